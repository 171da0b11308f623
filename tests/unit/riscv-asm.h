/* SPDX-License-Identifier: MIT */
/*
 * Just enough of an assembler for programs in unit tests: one function an instruction, which
 * returns its 32 bits. Written from the instruction formats, not from the decoder's tables.
 */
#ifndef ORRERY_TESTS_UNIT_RISCV_ASM_H
#define ORRERY_TESTS_UNIT_RISCV_ASM_H

#include <stdint.h>

/* clang-format off */
enum {
    ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7,
    S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, T3, T4, T5, T6,
};
/* clang-format on */

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

#define ASM_R(name_, op_, f3_, f7_)                                                                \
    static inline uint32_t name_(unsigned rd, unsigned rs1, unsigned rs2)                          \
    {                                                                                              \
        return asm_r(op_, f3_, f7_, rd, rs1, rs2);                                                 \
    }

/* rd, rs1, immediate; loads and jalr too */
#define ASM_I(name_, op_, f3_)                                                                     \
    static inline uint32_t name_(unsigned rd, unsigned rs1, int imm)                               \
    {                                                                                              \
        return asm_i(op_, f3_, rd, rs1, imm);                                                      \
    }

/* value, base, offset */
#define ASM_S(name_, op_, f3_)                                                                     \
    static inline uint32_t name_(unsigned rs2, unsigned rs1, int imm)                              \
    {                                                                                              \
        return asm_s(op_, f3_, rs2, rs1, imm);                                                     \
    }

/* two registers, offset */
#define ASM_B(name_, f3_)                                                                          \
    static inline uint32_t name_(unsigned rs1, unsigned rs2, int offset)                           \
    {                                                                                              \
        return asm_b(f3_, rs1, rs2, offset);                                                       \
    }

/* rd, CSR, rs1 */
#define ASM_CSR(name_, f3_)                                                                        \
    static inline uint32_t name_(unsigned rd, unsigned csr, unsigned rs1)                          \
    {                                                                                              \
        return asm_i(0x73, f3_, rd, rs1, (int)csr);                                                \
    }

/* rd, the 20 upper bits */
#define ASM_U(name_, op_)                                                                          \
    static inline uint32_t name_(unsigned rd, uint32_t upper)                                      \
    {                                                                                              \
        return upper << 12 | rd << 7 | op_;                                                        \
    }

#define ASM_FIXED(name_, bits_)                                                                    \
    static inline uint32_t name_(void)                                                             \
    {                                                                                              \
        return bits_;                                                                              \
    }

ASM_U(lui, 0x37)
ASM_U(auipc, 0x17)
ASM_I(jalr, 0x67, 0)
ASM_B(beq, 0)
ASM_B(bne, 1)
ASM_B(blt, 4)
ASM_I(lb, 0x03, 0)
ASM_I(lh, 0x03, 1)
ASM_I(lw, 0x03, 2)
ASM_I(ld, 0x03, 3)
ASM_S(sb, 0x23, 0)
ASM_S(sh, 0x23, 1)
ASM_S(sw, 0x23, 2)
ASM_S(sd, 0x23, 3)
ASM_I(addi, 0x13, 0)
ASM_I(slli, 0x13, 1)
ASM_R(add, 0x33, 0, 0)
ASM_CSR(csrrw, 1)
ASM_CSR(csrrs, 2)
ASM_CSR(csrrc, 3)
ASM_FIXED(ecall, 0x00000073)
ASM_FIXED(ebreak, 0x00100073)
ASM_FIXED(mret, 0x30200073)
ASM_FIXED(wfi, 0x10500073)
ASM_FIXED(fence_i, 0x0000100f)
ASM_FIXED(nop, 0x00000013)

/* address, ASID */
static inline uint32_t sfence_vma(unsigned rs1, unsigned rs2)
{
    return asm_r(0x73, 0, 9, 0, rs1, rs2);
}

/* aq and rl clear. */
static inline uint32_t amo(unsigned f5, unsigned f3, unsigned rd, unsigned rs2, unsigned rs1)
{
    return asm_r(0x2f, f3, f5 << 2, rd, rs1, rs2);
}

static inline uint32_t lr_d(unsigned rd, unsigned rs1)
{
    return amo(2, 3, rd, 0, rs1);
}

static inline uint32_t sc_d(unsigned rd, unsigned rs2, unsigned rs1)
{
    return amo(3, 3, rd, rs2, rs1);
}

static inline uint32_t amoadd_d(unsigned rd, unsigned rs2, unsigned rs1)
{
    return amo(0, 3, rd, rs2, rs1);
}

#endif
