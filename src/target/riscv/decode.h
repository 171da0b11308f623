/* SPDX-License-Identifier: MIT */
/*
 * Decoding of riscv64 guest instructions: one RvInsn per instruction, the same for the reference
 * interpreter, the translator and the disassembler. The idea to hold: a compressed instruction
 * becomes the operation it stands for (len tells which it was), so consumers handle RvOp only.
 *
 * RvOp, RV_EXT_*, RvFormat and RvOpFlag come from insn32.decode and insn16.decode by way of
 * tools/gen-decode. Every function here is pure: any thread, no locks, cannot fail otherwise than
 * by saying "illegal".
 */
#ifndef ORRERY_TARGET_RISCV_DECODE_H
#define ORRERY_TARGET_RISCV_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "orrery/impl/compiler.h"
#include "riscv-decode.inc.h"

ORR_BEGIN_DECLS

/*
 * A decoded instruction, 16 bytes. Members that the instruction does not have are 0.
 *
 * rm   by operation: the rounding mode, 0 to 4 or 7 (RV_OPF_ROUNDS; 5 and 6 decode as illegal); or
 *      aq << 1 | rl (RV_OPF_AQRL)
 * imm  the immediate with its sign and scale applied (lui and auipc: the value that is added or
 *      loaded, low 12 bits zero; branches and jumps: byte offset from this instruction's pc); the
 *      shift amount; the CSR number (0 to 4095); for fence fm << 8 | pred << 4 | succ
 * rs1  is the 5-bit zero-extended immediate of csrrwi, csrrsi and csrrci
 */
typedef struct RvInsn {
    uint16_t op; /* RvOp */
    uint8_t len; /* bytes: 2 or 4 */
    uint8_t rd;
    uint8_t rs1;
    uint8_t rs2;
    uint8_t rs3;
    uint8_t rm;
    int32_t imm;
    uint32_t raw; /* as fetched; the upper half is 0 when len is 2 */
} RvInsn;

G_STATIC_ASSERT(sizeof(RvInsn) == 16);

/* What is known of an operation. Indexed by RvOp. */
typedef struct RvOpInfo {
    const char *mnemonic;
    uint8_t format;    /* RvFormat */
    uint8_t mem_bytes; /* size of the access, 0: none, or a whole cache block (cbo.*) */
    uint32_t flags;    /* RV_OPF_* */
    uint64_t exts;     /* RV_EXT_*, all of them needed */
} RvOpInfo;

extern const RvOpInfo rv_op_info[RV_OP_COUNT];

/* Name ("zba", lower case), mask and description of each extension, in bit order. */
typedef struct RvExtInfo {
    const char *name;
    uint64_t mask;
    const char *description;
} RvExtInfo;

extern const RvExtInfo rv_ext_info[RV_EXT_COUNT];

/* How an instruction is written and which bits tell it; for the disassembler and for tests. */
typedef struct RvForm {
    const char *mnemonic;
    uint16_t op;     /* RvOp */
    uint8_t args[6]; /* RvOperand, up to RV_ARG_END */
    uint32_t mask;   /* the encoding's fixed bits */
    uint32_t value;
} RvForm;

extern const RvForm rv_forms[RV_FORM_COUNT];

/* CSR names in order of number; rv_csr_name() in disas.h searches it. */
typedef struct RvCsrName {
    uint16_t number;
    const char *name;
} RvCsrName;

extern const RvCsrName rv_csr_names[RV_CSR_NAME_COUNT];

/*
 * Generated matchers, the parts of which the functions below are made. They fill *out and return
 * the index in rv_forms, or return 0 and leave *out alone. A hint or other special case whose
 * extension is not in @exts matches as the general instruction it is a case of.
 */
unsigned rv_match32(uint32_t insn, uint64_t exts, RvInsn *out);
unsigned rv_match16(uint32_t insn, uint64_t exts, RvInsn *out);

/* Makes *out the illegal instruction of these bits. */
static inline void rv_illegal(uint32_t bits, uint8_t len, RvInsn *out)
{
    *out = (RvInsn){ .op = RV_OP_ILLEGAL, .len = len, .raw = bits };
}

/*
 * Decodes @bits, 32 bits fetched at the pc of which only the lower 16 count if they are a
 * compressed instruction, for a hart with the extensions @exts (RV_EXT_*). Returns false with
 * op RV_OP_ILLEGAL if no instruction of those extensions is encoded so; len is then 2 or 4 by the
 * low two bits (longer encodings: 4).
 */
static inline bool rv_decode(uint32_t bits, uint64_t exts, RvInsn *out)
{
    if ((bits & 3) == 3) {
        if (rv_match32(bits, exts, out)) {
            return true;
        }
        rv_illegal(bits, 4, out);
    } else {
        if (rv_match16(bits & 0xffff, exts, out)) {
            return true;
        }
        rv_illegal(bits & 0xffff, 2, out);
    }
    return false;
}

/* Decodes a 32-bit encoding with every extension on; false and RV_OP_ILLEGAL as rv_decode(). */
static inline bool rv_decode32(uint32_t insn, RvInsn *out)
{
    if ((insn & 3) == 3 && rv_match32(insn, RV_EXT_ALL, out)) {
        return true;
    }
    rv_illegal(insn, 4, out);
    return false;
}

/* Decodes a 16-bit encoding with every extension on; false and RV_OP_ILLEGAL as rv_decode(). */
static inline bool rv_decode16(uint16_t insn, RvInsn *out)
{
    if (rv_match16(insn, RV_EXT_ALL, out)) {
        return true;
    }
    rv_illegal(insn, 2, out);
    return false;
}

ORR_END_DECLS

#endif
