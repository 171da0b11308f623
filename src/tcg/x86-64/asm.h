/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 encoder. The idea to hold: an opcode is one word, its byte below the flags that say
 * which prefixes and which map it has, and the r/m operand is one word too, a register or a memory
 * place; so one function encodes every two-operand form and one its VEX twin, and code that emits
 * need not know whether an operand lives in a register.
 *
 * Nothing here checks for room: the emitter sees to it that ASM_MARGIN bytes are free before each
 * operation. Thread: an Asm belongs to its user.
 */
#ifndef ORRERY_TCG_X86_64_ASM_H
#define ORRERY_TCG_X86_64_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes; even and odd are each other's inverse. */
enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G,
};

/* Flags of an opcode word. */
enum {
    X_66 = 1 << 8,
    X_F3 = 1 << 9,
    X_F2 = 1 << 10,
    X_0F = 1 << 11,
    X_0F38 = 1 << 12,
    X_0F3A = 1 << 13,
    X_W = 1 << 14,   /* 64 bits wide */
    X_B = 1 << 15,   /* the register operand is a byte */
    X_BRM = 1 << 16, /* the r/m operand is a byte */
    X_LOCK = 1 << 17,
    X_PREFIXED = X_66 | X_F3 | X_F2 | X_LOCK,
    X_MAPPED = X_0F | X_0F38 | X_0F3A,
};

/* Opcodes, named by mnemonic; X_W is added where wanted. The /r operand first, r/m second. */
enum {
    X_MOV = 0x8b,
    X_MOV_ST = 0x89,
    X_MOV8_ST = 0x88 | X_B,
    X_MOV_IMM = 0xc7,  /* /0, imm32 */
    X_MOV8_IMM = 0xc6, /* /0, imm8 */
    X_LEA = 0x8d,
    X_TEST = 0x85,
    X_TEST_IMM = 0xf7,          /* /0 */
    X_TEST8_IMM = 0xf6 | X_BRM, /* /0 */
    X_XCHG = 0x87,
    X_SHIFT_IMM = 0xc1,
    X_SHIFT_1 = 0xd1,
    X_SHIFT_CL = 0xd3,
    X_GROUP3 = 0xf7, /* 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv */
    X_GROUP5 = 0xff, /* 0 inc, 1 dec, 2 call, 4 jmp, 6 push */
    X_IMUL = 0xaf | X_0F,
    X_IMUL_IMM32 = 0x69,
    X_IMUL_IMM8 = 0x6b,
    X_MOVSXD = 0x63 | X_W,
    X_MOVSX8 = 0xbe | X_0F | X_BRM,
    X_MOVSX16 = 0xbf | X_0F,
    X_MOVZX8 = 0xb6 | X_0F | X_BRM,
    X_MOVZX16 = 0xb7 | X_0F,
    X_BSF = 0xbc | X_0F,
    X_BSR = 0xbd | X_0F,
    X_TZCNT = 0xbc | X_0F | X_F3,
    X_LZCNT = 0xbd | X_0F | X_F3,
    X_POPCNT = 0xb8 | X_0F | X_F3,
    X_SHLD_IMM = 0xa4 | X_0F,
    X_CMOV = 0x40 | X_0F,          /* + condition */
    X_SETCC = 0x90 | X_0F | X_BRM, /* + condition */
    X_CMPXCHG = 0xb1 | X_0F,
    X_CMPXCHG8 = 0xb0 | X_0F | X_B,
    X_XADD = 0xc1 | X_0F,
    X_XADD8 = 0xc0 | X_0F | X_B,
    X_XCHG8 = 0x86 | X_B,

    /* BMI, with asm_vex. */
    X_SHLX = 0xf7 | X_0F38 | X_66,
    X_SHRX = 0xf7 | X_0F38 | X_F2,
    X_SARX = 0xf7 | X_0F38 | X_F3,
    X_RORX = 0xf0 | X_0F3A | X_F2, /* imm8 */
    X_ANDN = 0xf2 | X_0F38,
    X_MULX = 0xf6 | X_0F38 | X_F2,

    /* SSE, with asm_op or asm_vex. */
    X_MOVAPS = 0x28 | X_0F,
    X_MOVSD = 0x10 | X_0F | X_F2, /* from memory only: register forms merge */
    X_MOVSD_ST = 0x11 | X_0F | X_F2,
    X_MOVSS = 0x10 | X_0F | X_F3,
    X_MOVSS_ST = 0x11 | X_0F | X_F3,
    X_MOVQ_FROM = 0x6e | X_0F | X_66 | X_W, /* xmm <- r/m64 */
    X_MOVD_FROM = 0x6e | X_0F | X_66,       /* xmm <- r/m32 */
    X_MOVQ_TO = 0x7e | X_0F | X_66 | X_W,   /* r/m64 <- xmm */
    X_MOVD_TO = 0x7e | X_0F | X_66,
    X_ANDPS = 0x54 | X_0F,
    X_ANDNPS = 0x55 | X_0F,
    X_ORPS = 0x56 | X_0F,
    X_XORPS = 0x57 | X_0F,
    X_PCMPEQB = 0x74 | X_0F | X_66,
    X_PCMPEQD = 0x76 | X_0F | X_66,
    X_PSRLQ_HIGH = 0x73 | X_0F | X_66, /* group: /2 psrlq, /6 psllq, imm8 */
    X_PSHUFD = 0x70 | X_0F | X_66,     /* imm8 */
    X_PCLMUL = 0x44 | X_0F3A | X_66,   /* imm8 */
    X_ADDF = 0x58 | X_0F,              /* + X_F2 double, X_F3 single */
    X_MULF = 0x59 | X_0F,
    X_SUBF = 0x5c | X_0F,
    X_MINF = 0x5d | X_0F,
    X_DIVF = 0x5e | X_0F,
    X_MAXF = 0x5f | X_0F,
    X_SQRTF = 0x51 | X_0F,
    X_UCOMIS = 0x2e | X_0F, /* + X_66 double */
    X_COMIS = 0x2f | X_0F,
    X_CMPF = 0xc2 | X_0F,    /* imm8: 0 eq, 1 lt, 2 le */
    X_CVT_INT = 0x2a | X_0F, /* cvtsi2sd, ss */
    X_CVTT_TO = 0x2c | X_0F, /* cvttsd2si, ss */
    X_CVT_TO = 0x2d | X_0F,  /* cvtsd2si, ss */
    X_CVT_F2F = 0x5a | X_0F, /* cvtsd2ss (F2), cvtss2sd (F3) */
    X_UNPCKLPS = 0x14 | X_0F,
    X_FMADD231 = 0xb9 | X_0F38 | X_66, /* X_W double */
    X_FMSUB231 = 0xbb | X_0F38 | X_66,
    X_FNMADD231 = 0xbd | X_0F38 | X_66,
    X_FNMSUB231 = 0xbf | X_0F38 | X_66,
    X_STMXCSR = 0xae | X_0F, /* /3; /2 is ldmxcsr */
};

/* Numbers of the eight-operation groups. */
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum { SHIFT_ROL, SHIFT_ROR, SHIFT_SHL = 4, SHIFT_SHR, SHIFT_SAR = 7 };

#define X_ALU(alu_) (0x03u | (unsigned)(alu_) << 3)    /* reg op= r/m */
#define X_ALU_ST(alu_) (0x01u | (unsigned)(alu_) << 3) /* r/m op= reg */

/* A register (reg >= 0), or [base + index << scale + disp]; index < 0: none. */
typedef struct X86Rm {
    int32_t disp;
    int8_t reg, base, index;
    uint8_t scale;
} X86Rm;

static inline X86Rm rm_reg(unsigned reg)
{
    return (X86Rm){ .reg = (int8_t)reg, .base = -1, .index = -1 };
}

static inline X86Rm rm_mem(unsigned base, int32_t disp)
{
    return (X86Rm){ .disp = disp, .reg = -1, .base = (int8_t)base, .index = -1 };
}

static inline X86Rm rm_index(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (X86Rm){ .disp = disp,
                    .reg = -1,
                    .base = (int8_t)base,
                    .index = (int8_t)index,
                    .scale = (uint8_t)scale };
}

static inline bool rm_same(X86Rm a, X86Rm b)
{
    return a.reg == b.reg && a.base == b.base && a.index == b.index && a.disp == b.disp;
}

/* Bytes that are written at start are run delta_rx further. */
typedef struct Asm {
    uint8_t *start, *p, *end;
    intptr_t delta_rx;
} Asm;

#define ASM_MARGIN 1024

static inline void asm_init(Asm *as, uint8_t *rw, const uint8_t *rx, size_t capacity_bytes)
{
    as->start = as->p = rw;
    as->end = rw + capacity_bytes;
    as->delta_rx = rx - rw;
}

static inline uint32_t asm_offset(const Asm *as)
{
    return (uint32_t)(as->p - as->start);
}

static inline uint8_t *asm_rx(const Asm *as)
{
    return as->p + as->delta_rx;
}

static inline void asm_u8(Asm *as, unsigned byte)
{
    *as->p++ = (uint8_t)byte;
}

static inline void asm_u32(Asm *as, uint32_t word)
{
    __builtin_memcpy(as->p, &word, 4);
    as->p += 4;
}

static inline void asm_u64(Asm *as, uint64_t word)
{
    __builtin_memcpy(as->p, &word, 8);
    as->p += 8;
}

/* op reg, rm (or rm, reg, as the opcode has it). An immediate is the caller's to append. */
void asm_op(Asm *as, uint32_t op, unsigned reg, X86Rm rm);

/* The same with a displacement of 32 bits whatever its value, for instructions that are patched. */
void asm_op_long(Asm *as, uint32_t op, unsigned reg, X86Rm rm);

/* VEX.128 op reg, vvvv, rm; vvvv 0 where there is none. */
void asm_vex(Asm *as, uint32_t op, unsigned reg, unsigned vvvv, X86Rm rm);

/* As asm_op and asm_vex, with a place in memory within 2 GiB; imm_bytes that the caller appends. */
void asm_op_at(Asm *as, uint32_t op, unsigned reg, const void *rx, unsigned imm_bytes);
void asm_vex_at(Asm *as, uint32_t op, unsigned reg, unsigned vvvv, const void *rx,
                unsigned imm_bytes);

static inline void asm_rr(Asm *as, uint32_t op, unsigned reg, unsigned rm)
{
    asm_op(as, op, reg, rm_reg(rm));
}

/* dst = imm in the shortest form that leaves the flags alone. */
void asm_movi(Asm *as, unsigned dst, int64_t imm);

static inline void asm_zero(Asm *as, unsigned dst)
{
    asm_rr(as, X_ALU(ALU_XOR), dst, dst); /* 32 bits: clears all */
}

/* rm op= imm; wide is 0 or X_W. */
void asm_alu_imm(Asm *as, unsigned alu, uint32_t wide, X86Rm rm, int32_t imm);

/* rm shifted by imm; shift is SHIFT_*. */
void asm_shift_imm(Asm *as, unsigned shift, uint32_t wide, X86Rm rm, unsigned imm);

/* qword [rm] = imm; the immediate is sign-extended. */
void asm_store_imm(Asm *as, uint32_t wide, X86Rm rm, int32_t imm);

void asm_push(Asm *as, unsigned reg);
void asm_pop(Asm *as, unsigned reg);
void asm_call(Asm *as, const void *target_rx);
void asm_jmp_to(Asm *as, const void *target_rx);
void asm_nops(Asm *as, unsigned bytes);

/* Jumps forward; the result is the offset of the operand, for asm_patch. */
uint32_t asm_jcc(Asm *as, unsigned cc);
uint32_t asm_jmp(Asm *as);
uint32_t asm_jcc8(Asm *as, unsigned cc);
uint32_t asm_jmp8(Asm *as);
void asm_patch(Asm *as, uint32_t operand, uint32_t target);
void asm_patch8(Asm *as, uint32_t operand, uint32_t target);

/* Jumps to an offset that is known, in the shorter form. */
void asm_jcc_back(Asm *as, unsigned cc, uint32_t target);
void asm_jmp_back(Asm *as, uint32_t target);

static inline bool fits_i32(int64_t value)
{
    return value == (int32_t)value;
}

#endif
