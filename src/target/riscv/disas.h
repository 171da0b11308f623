/* SPDX-License-Identifier: MIT */
/*
 * Text for guest instructions, in traces, logs and the monitor. rv_disas() writes what is decoded,
 * from the decoder's own tables; RvDisas can put capstone in front of it, where a capstone that
 * knows RISC-V was there at build time and is there at run time.
 */
#ifndef ORRERY_TARGET_RISCV_DISAS_H
#define ORRERY_TARGET_RISCV_DISAS_H

#include <stddef.h>

#include "decode.h"

ORR_BEGIN_DECLS

/* Enough for any instruction, with its NUL. */
#define RV_DISAS_MAX 64

/*
 * Writes @insn, which stands at @pc, to @buf as GNU objdump's `-M no-aliases` would: "c.addi
 * sp,-16", branch and jump targets absolute ("0x80000010"), CSRs by name; illegal ones as
 * ".2byte 0x..." or ".4byte 0x...". Returns the length of the whole text without NUL; at most
 * @len bytes are written and, for @len > 0, always with a NUL, as snprintf() does. Any thread.
 */
size_t rv_disas(char *buf, size_t len, uint64_t pc, const RvInsn *insn);

/* The name of CSR number @csr on RV64, static; NULL if it has none. Any thread. */
const char *rv_csr_name(unsigned csr);

/* ABI names ("sp", "fa0") of integer and floating-point registers 0 to 31, static. Any thread. */
const char *rv_reg_name(unsigned reg);
const char *rv_freg_name(unsigned reg);

/* A disassembler with state of its own; used by one thread at a time. */
typedef struct RvDisas RvDisas;

/*
 * Makes a disassembler. With @want_capstone, capstone is loaded (once per object; its failure to
 * load or to know RISC-V is no error: rv_disas_engine() tells). Never returns NULL.
 */
RvDisas *rv_disas_create(bool want_capstone);

/* NULL is accepted. */
void rv_disas_destroy(RvDisas *disas);

/* "capstone 5.0" or "builtin"; static for the life of @disas. */
const char *rv_disas_engine(const RvDisas *disas);

/*
 * Like rv_disas(), for the encoding @bits decoded with extensions @exts; what capstone does not
 * know, and everything without capstone, is rv_disas()'s text. Capstone's operands differ in
 * style: it prints pseudo-instructions and branch offsets. @insn_len, if not NULL, gets 2 or 4.
 */
size_t rv_disas_print(RvDisas *disas, char *buf, size_t len, uint64_t pc, uint32_t bits,
                      uint64_t exts, unsigned *insn_len);

ORR_END_DECLS

#endif
