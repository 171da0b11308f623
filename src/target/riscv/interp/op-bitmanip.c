/* SPDX-License-Identifier: MIT */
/*
 * Bit manipulation: Zba, Zbb, Zbc, Zbs (unprivileged spec chapter 30). The less obvious ones are
 * written as the specification's pseudo-code has them.
 */
#include "target/riscv/interp/ops.h"

#define W(field_) ((uint32_t)X(field_))
#define BIT(n_) (UINT64_C(1) << ((n_)&63))

static inline uint64_t word(uint32_t value)
{
    return (uint64_t)(int64_t)(int32_t)value;
}

/* clang-format off */
/* ---- Zba: addresses of array elements. */

OP(sh1add) { X(rd) = (X(rs1) << 1) + X(rs2); }
OP(sh2add) { X(rd) = (X(rs1) << 2) + X(rs2); }
OP(sh3add) { X(rd) = (X(rs1) << 3) + X(rs2); }
OP(add_uw) { X(rd) = (uint64_t)W(rs1) + X(rs2); }
OP(sh1add_uw) { X(rd) = ((uint64_t)W(rs1) << 1) + X(rs2); }
OP(sh2add_uw) { X(rd) = ((uint64_t)W(rs1) << 2) + X(rs2); }
OP(sh3add_uw) { X(rd) = ((uint64_t)W(rs1) << 3) + X(rs2); }
OP(slli_uw) { X(rd) = (uint64_t)W(rs1) << IMM; }

/* ---- Zbb: logic with negation, minimum, counts, extensions, rotations, bytes. */

static inline uint64_t rotate_right(uint64_t value, unsigned n)
{
    return value >> (n & 63) | value << (-n & 63);
}

static inline uint32_t rotate_right_word(uint32_t value, unsigned n)
{
    return value >> (n & 31) | value << (-n & 31);
}

/* Each byte: all ones if any of its bits is set. */
static inline uint64_t or_combine_bytes(uint64_t value)
{
    uint64_t low = UINT64_C(0x0101010101010101);

    value |= value >> 4 & low * 0x0f;
    value |= value >> 2 & low * 0x03;
    value |= value >> 1 & low;
    return (value & low) * 0xff;
}

OP(andn) { X(rd) = X(rs1) & ~X(rs2); }
OP(orn) { X(rd) = X(rs1) | ~X(rs2); }
OP(xnor) { X(rd) = ~(X(rs1) ^ X(rs2)); }
OP(min) { X(rd) = (int64_t)X(rs1) < (int64_t)X(rs2) ? X(rs1) : X(rs2); }
OP(minu) { X(rd) = X(rs1) < X(rs2) ? X(rs1) : X(rs2); }
OP(max) { X(rd) = (int64_t)X(rs1) > (int64_t)X(rs2) ? X(rs1) : X(rs2); }
OP(maxu) { X(rd) = X(rs1) > X(rs2) ? X(rs1) : X(rs2); }
OP(rol) { X(rd) = rotate_right(X(rs1), -(unsigned)X(rs2)); }
OP(ror) { X(rd) = rotate_right(X(rs1), (unsigned)X(rs2)); }
OP(rori) { X(rd) = rotate_right(X(rs1), (unsigned)op->imm); }
OP(rolw) { X(rd) = word(rotate_right_word(W(rs1), -(unsigned)X(rs2))); }
OP(rorw) { X(rd) = word(rotate_right_word(W(rs1), (unsigned)X(rs2))); }
OP(roriw) { X(rd) = word(rotate_right_word(W(rs1), (unsigned)op->imm)); }
OP(clz) { X(rd) = X(rs1) ? (uint64_t)__builtin_clzll(X(rs1)) : 64; }
OP(ctz) { X(rd) = X(rs1) ? (uint64_t)__builtin_ctzll(X(rs1)) : 64; }
OP(cpop) { X(rd) = (uint64_t)__builtin_popcountll(X(rs1)); }
OP(clzw) { X(rd) = W(rs1) ? (uint64_t)__builtin_clz(W(rs1)) : 32; }
OP(ctzw) { X(rd) = W(rs1) ? (uint64_t)__builtin_ctz(W(rs1)) : 32; }
OP(cpopw) { X(rd) = (uint64_t)__builtin_popcount(W(rs1)); }
OP(sext_b) { X(rd) = (uint64_t)(int8_t)X(rs1); }
OP(sext_h) { X(rd) = (uint64_t)(int16_t)X(rs1); }
OP(zext_h) { X(rd) = (uint16_t)X(rs1); }
OP(orc_b) { X(rd) = or_combine_bytes(X(rs1)); }
OP(rev8) { X(rd) = __builtin_bswap64(X(rs1)); }

/* ---- Zbc: multiplication without carries. */

static inline unsigned __int128 carryless_product(uint64_t a, uint64_t b)
{
    unsigned __int128 sum = 0;

    for (unsigned i = 0; i < 64; i++) {
        if (b >> i & 1) {
            sum ^= (unsigned __int128)a << i;
        }
    }
    return sum;
}

OP(clmul) { X(rd) = (uint64_t)carryless_product(X(rs1), X(rs2)); }
OP(clmulh) { X(rd) = (uint64_t)(carryless_product(X(rs1), X(rs2)) >> 64); }
OP(clmulr) { X(rd) = (uint64_t)(carryless_product(X(rs1), X(rs2)) >> 63); }

/* ---- Zbs: one bit. */

OP(bclr) { X(rd) = X(rs1) & ~BIT(X(rs2)); }
OP(bext) { X(rd) = X(rs1) >> (X(rs2) & 63) & 1; }
OP(binv) { X(rd) = X(rs1) ^ BIT(X(rs2)); }
OP(bset) { X(rd) = X(rs1) | BIT(X(rs2)); }
OP(bclri) { X(rd) = X(rs1) & ~BIT(IMM); }
OP(bexti) { X(rd) = X(rs1) >> IMM & 1; }
OP(binvi) { X(rd) = X(rs1) ^ BIT(IMM); }
OP(bseti) { X(rd) = X(rs1) | BIT(IMM); }
/* clang-format on */
