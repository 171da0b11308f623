/* SPDX-License-Identifier: MIT */
/*
 * Just enough of an assembler for programs in unit tests: one function an instruction, which returns
 * its 32 bits. Written from the instruction formats, not from the decoder's tables.
 */
#ifndef ORRERY_TESTS_UNIT_RISCV_ASM_H
#define ORRERY_TESTS_UNIT_RISCV_ASM_H

#include <stdint.h>

enum {
    ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7, S2, S3, S4, S5, S6, S7,
    S8, S9, S10, S11, T3, T4, T5, T6,
};

static inline uint32_t asm_r(unsigned op, unsigned f3, unsigned f7, unsigned rd, unsigned rs1,
                             unsigned rs2)
{
    return f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op;
}

static inline uint32_t asm_i(unsigned op, unsigned f3, unsigned rd, unsigned rs1, int imm)
{
    return (uint32_t)imm << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op;
}

static inline uint32_t asm_s(unsigned op, unsigned f3, unsigned rs2, unsigned rs1, int imm)
{
    uint32_t i = (uint32_t)imm;

    return (i >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (i & 0x1f) << 7 | op;
}

static inline uint32_t asm_b(unsigned f3, unsigned rs1, unsigned rs2, int offset)
{
    uint32_t i = (uint32_t)offset;

    return (i >> 12 & 1) << 31 | (i >> 5 & 0x3f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 |
           (i >> 1 & 0xf) << 8 | (i >> 11 & 1) << 7 | 0x63;
}

static inline uint32_t jal(unsigned rd, int offset)
{
    uint32_t i = (uint32_t)offset;

    return (i >> 20 & 1) << 31 | (i >> 1 & 0x3ff) << 21 | (i >> 11 & 1) << 20 |
           (i >> 12 & 0xff) << 12 | rd << 7 | 0x6f;
}

static inline uint32_t jalr(unsigned rd, unsigned rs1, int imm) { return asm_i(0x67, 0, rd, rs1, imm); }
static inline uint32_t beq(unsigned a, unsigned b, int offset) { return asm_b(0, a, b, offset); }
static inline uint32_t bne(unsigned a, unsigned b, int offset) { return asm_b(1, a, b, offset); }
static inline uint32_t blt(unsigned a, unsigned b, int offset) { return asm_b(4, a, b, offset); }
static inline uint32_t lui(unsigned rd, uint32_t upper) { return upper << 12 | rd << 7 | 0x37; }
static inline uint32_t auipc(unsigned rd, uint32_t upper) { return upper << 12 | rd << 7 | 0x17; }
static inline uint32_t addi(unsigned rd, unsigned rs1, int imm) { return asm_i(0x13, 0, rd, rs1, imm); }
static inline uint32_t slli(unsigned rd, unsigned rs1, int n) { return asm_i(0x13, 1, rd, rs1, n); }
static inline uint32_t add(unsigned rd, unsigned a, unsigned b) { return asm_r(0x33, 0, 0, rd, a, b); }
static inline uint32_t lb(unsigned rd, unsigned rs1, int imm) { return asm_i(0x03, 0, rd, rs1, imm); }
static inline uint32_t lh(unsigned rd, unsigned rs1, int imm) { return asm_i(0x03, 1, rd, rs1, imm); }
static inline uint32_t lw(unsigned rd, unsigned rs1, int imm) { return asm_i(0x03, 2, rd, rs1, imm); }
static inline uint32_t ld(unsigned rd, unsigned rs1, int imm) { return asm_i(0x03, 3, rd, rs1, imm); }
static inline uint32_t sb(unsigned rs2, unsigned rs1, int imm) { return asm_s(0x23, 0, rs2, rs1, imm); }
static inline uint32_t sh(unsigned rs2, unsigned rs1, int imm) { return asm_s(0x23, 1, rs2, rs1, imm); }
static inline uint32_t sw(unsigned rs2, unsigned rs1, int imm) { return asm_s(0x23, 2, rs2, rs1, imm); }
static inline uint32_t sd(unsigned rs2, unsigned rs1, int imm) { return asm_s(0x23, 3, rs2, rs1, imm); }
static inline uint32_t csrrw(unsigned rd, unsigned csr, unsigned rs1) { return asm_i(0x73, 1, rd, rs1, (int)csr); }
static inline uint32_t csrrs(unsigned rd, unsigned csr, unsigned rs1) { return asm_i(0x73, 2, rd, rs1, (int)csr); }
static inline uint32_t csrrc(unsigned rd, unsigned csr, unsigned rs1) { return asm_i(0x73, 3, rd, rs1, (int)csr); }
static inline uint32_t ecall(void) { return 0x00000073; }
static inline uint32_t ebreak(void) { return 0x00100073; }
static inline uint32_t mret(void) { return 0x30200073; }
static inline uint32_t wfi(void) { return 0x10500073; }
static inline uint32_t fence_i(void) { return 0x0000100f; }
static inline uint32_t nop(void) { return addi(0, 0, 0); }
static inline uint32_t sfence_vma(unsigned rs1, unsigned rs2) { return asm_r(0x73, 0, 9, 0, rs1, rs2); }

/* aq and rl clear. */
static inline uint32_t amo(unsigned f5, unsigned f3, unsigned rd, unsigned rs2, unsigned rs1)
{
    return asm_r(0x2f, f3, f5 << 2, rd, rs1, rs2);
}

static inline uint32_t lr_d(unsigned rd, unsigned rs1) { return amo(2, 3, rd, 0, rs1); }
static inline uint32_t sc_d(unsigned rd, unsigned rs2, unsigned rs1) { return amo(3, 3, rd, rs2, rs1); }
static inline uint32_t amoadd_d(unsigned rd, unsigned rs2, unsigned rs1) { return amo(0, 3, rd, rs2, rs1); }

#endif
