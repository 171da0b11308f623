/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic of RV64I, M and Zicond (unprivileged spec chapters 4, 12, 13). One line an
 * instruction; unsigned arithmetic wraps as the guest's does, signed is used where the sign
 * matters.
 */
#include "target/riscv/interp/ops.h"

#define S(field_) ((int64_t)X(field_))
#define W(field_) ((uint32_t)X(field_))
#define SW(field_) ((int32_t)X(field_))

/* The result of a 32-bit operation: sign-extended to 64. */
static inline uint64_t word(uint32_t value)
{
    return (uint64_t)(int64_t)(int32_t)value;
}

/* clang-format off */
/* ---- Immediates. */

OP(lui) { X(rd) = (uint64_t)IMM; }
OP(auipc) { X(rd) = pc + (uint64_t)IMM; }
OP(addi) { X(rd) = X(rs1) + (uint64_t)IMM; }
OP(slti) { X(rd) = S(rs1) < IMM; }
OP(sltiu) { X(rd) = X(rs1) < (uint64_t)IMM; }
OP(xori) { X(rd) = X(rs1) ^ (uint64_t)IMM; }
OP(ori) { X(rd) = X(rs1) | (uint64_t)IMM; }
OP(andi) { X(rd) = X(rs1) & (uint64_t)IMM; }
OP(slli) { X(rd) = X(rs1) << IMM; }
OP(srli) { X(rd) = X(rs1) >> IMM; }
OP(srai) { X(rd) = (uint64_t)(S(rs1) >> IMM); }
OP(addiw) { X(rd) = word(W(rs1) + (uint32_t)op->imm); }
OP(slliw) { X(rd) = word(W(rs1) << IMM); }
OP(srliw) { X(rd) = word(W(rs1) >> IMM); }
OP(sraiw) { X(rd) = word((uint32_t)(SW(rs1) >> IMM)); }

/* ---- Registers. Shift amounts are taken modulo the width. */

OP(add) { X(rd) = X(rs1) + X(rs2); }
OP(sub) { X(rd) = X(rs1) - X(rs2); }
OP(sll) { X(rd) = X(rs1) << (X(rs2) & 63); }
OP(slt) { X(rd) = S(rs1) < S(rs2); }
OP(sltu) { X(rd) = X(rs1) < X(rs2); }
OP(xor) { X(rd) = X(rs1) ^ X(rs2); }
OP(srl) { X(rd) = X(rs1) >> (X(rs2) & 63); }
OP(sra) { X(rd) = (uint64_t)(S(rs1) >> (X(rs2) & 63)); }
OP(or) { X(rd) = X(rs1) | X(rs2); }
OP(and) { X(rd) = X(rs1) & X(rs2); }
OP(addw) { X(rd) = word(W(rs1) + W(rs2)); }
OP(subw) { X(rd) = word(W(rs1) - W(rs2)); }
OP(sllw) { X(rd) = word(W(rs1) << (X(rs2) & 31)); }
OP(srlw) { X(rd) = word(W(rs1) >> (X(rs2) & 31)); }
OP(sraw) { X(rd) = word((uint32_t)(SW(rs1) >> (X(rs2) & 31))); }

/* ---- Multiplication. */

static inline uint64_t high(unsigned __int128 product)
{
    return (uint64_t)(product >> 64);
}

OP(mul) { X(rd) = X(rs1) * X(rs2); }
OP(mulh) { X(rd) = high((unsigned __int128)((__int128)S(rs1) * S(rs2))); }
OP(mulhsu) { X(rd) = high((unsigned __int128)((__int128)S(rs1) * (__int128)X(rs2))); }
OP(mulhu) { X(rd) = high((unsigned __int128)X(rs1) * X(rs2)); }
OP(mulw) { X(rd) = word(W(rs1) * W(rs2)); }

/*
 * ---- Division. By zero: the quotient is all ones, the remainder the dividend; the signed overflow
 * gives the dividend and 0 (table "Semantics for division by zero and division overflow").
 */

static inline int64_t div_signed(int64_t a, int64_t b)
{
    if (b == 0) {
        return -1;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static inline int64_t rem_signed(int64_t a, int64_t b)
{
    if (b == 0) {
        return a;
    }
    return b == -1 ? 0 : a % b;
}

static inline uint64_t div_unsigned(uint64_t a, uint64_t b)
{
    return b == 0 ? UINT64_MAX : a / b;
}

static inline uint64_t rem_unsigned(uint64_t a, uint64_t b)
{
    return b == 0 ? a : a % b;
}

OP(div) { X(rd) = (uint64_t)div_signed(S(rs1), S(rs2)); }
OP(divu) { X(rd) = div_unsigned(X(rs1), X(rs2)); }
OP(rem) { X(rd) = (uint64_t)rem_signed(S(rs1), S(rs2)); }
OP(remu) { X(rd) = rem_unsigned(X(rs1), X(rs2)); }
OP(divw) { X(rd) = word((uint32_t)div_signed(SW(rs1), SW(rs2))); }
OP(divuw) { X(rd) = word((uint32_t)div_unsigned(W(rs1), W(rs2))); }
OP(remw) { X(rd) = word((uint32_t)rem_signed(SW(rs1), SW(rs2))); }
OP(remuw) { X(rd) = word((uint32_t)rem_unsigned(W(rs1), W(rs2))); }

/* ---- Zicond. */

OP(czero_eqz) { X(rd) = X(rs2) == 0 ? 0 : X(rs1); }
OP(czero_nez) { X(rd) = X(rs2) != 0 ? 0 : X(rs1); }

/* ---- Nothing to do. */

OP(nop) {}
OP(prefetch_i) {}
OP(prefetch_r) {}
OP(prefetch_w) {}
/* clang-format on */
