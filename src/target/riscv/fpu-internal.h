/* SPDX-License-Identifier: MIT */
/*
 * What the fpu*.c files share: the formats, the unpacked form of a value, and the step back. The
 * idea to hold: only unpack() and round_pack() know the format; everything between them works on a
 * sign, an exponent, and a 64-bit significand whose top bit is set.
 *
 * What an operation cannot keep in 64 bits it folds into the lowest one, the "sticky" bit. That is
 * enough because rounding asks of the discarded part only whether it is zero, below, at, or above
 * one half. binary64 leaves 11 spare bits below its 53, so bit 0 is far below the half and may
 * stand for "something not zero follows".
 */
#ifndef ORRERY_TARGET_RISCV_FPU_INTERNAL_H
#define ORRERY_TARGET_RISCV_FPU_INTERNAL_H

#include "target/riscv/fpu.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Bodies shared by the formats are inlined into each, so that FpFormat folds into constants. */
#define PER_FORMAT static inline __attribute__((always_inline))

/* Cases off the usual path stay out of line, to keep the usual one short. */
#define RARE static __attribute__((noinline, cold))

#define TOP_BIT (UINT64_C(1) << 63)

/* --- Formats ------------------------------------------------------------------------------- */

/* Everything about an interchange format follows from two widths; binary16 would be {5, 10}. */
typedef struct FpFormat {
    int exp_bits;
    int frac_bits;
} FpFormat;

static const FpFormat BINARY32 = { .exp_bits = 8, .frac_bits = 23 };
static const FpFormat BINARY64 = { .exp_bits = 11, .frac_bits = 52 };

/* The exponent field of infinities and NaNs. */
PER_FORMAT int exp_max(FpFormat f)
{
    return (1 << f.exp_bits) - 1;
}

PER_FORMAT int exp_bias(FpFormat f)
{
    return exp_max(f) / 2;
}

/* The low bits of a 64-bit significand that the format has no room for. */
PER_FORMAT int spare_bits(FpFormat f)
{
    return 63 - f.frac_bits;
}

PER_FORMAT uint64_t sign_mask(FpFormat f)
{
    return UINT64_C(1) << (f.exp_bits + f.frac_bits);
}

PER_FORMAT uint64_t frac_mask(FpFormat f)
{
    return (UINT64_C(1) << f.frac_bits) - 1;
}

PER_FORMAT uint64_t infinity(FpFormat f, bool sign)
{
    return (uint64_t)exp_max(f) << f.frac_bits | (sign ? sign_mask(f) : 0);
}

PER_FORMAT uint64_t zero(FpFormat f, bool sign)
{
    return sign ? sign_mask(f) : 0;
}

/* A NaN is quiet when the top bit of its fraction is set. */
PER_FORMAT uint64_t quiet_bit(FpFormat f)
{
    return UINT64_C(1) << (f.frac_bits - 1);
}

PER_FORMAT uint64_t canonical_nan(FpFormat f)
{
    return infinity(f, false) | quiet_bit(f);
}

PER_FORMAT uint64_t magnitude(FpFormat f, uint64_t bits)
{
    return bits & ~sign_mask(f);
}

PER_FORMAT bool is_nan(FpFormat f, uint64_t bits)
{
    return magnitude(f, bits) > infinity(f, false);
}

PER_FORMAT bool is_snan(FpFormat f, uint64_t bits)
{
    return is_nan(f, bits) && !(bits & quiet_bit(f));
}

PER_FORMAT uint64_t invalid(FpFormat f, FpEnv *env)
{
    env->flags |= FP_NV;
    return canonical_nan(f);
}

/* The result of an operation one of whose operands is a NaN; unary ones repeat their operand. */
PER_FORMAT uint64_t nan_result(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    return is_snan(f, a) || is_snan(f, b) ? invalid(f, env) : canonical_nan(f);
}

/* --- Unpack -------------------------------------------------------------------------------- */

/* KIND_FINITE (neither zero) is 0, so that OR-ing kinds asks whether all are usual. */
typedef enum FpKind {
    KIND_FINITE = 0,
    KIND_ZERO = 1,
    KIND_INF = 2,
    KIND_NAN = 4,
} FpKind;

/* A KIND_FINITE value is (-1)^sign * sig/2^63 * 2^exp, with TOP_BIT set in sig. */
typedef struct FpParts {
    uint64_t sig;
    int exp;
    FpKind kind;
    bool sign;
} FpParts;

PER_FORMAT FpParts unpack(FpFormat f, uint64_t bits)
{
    uint64_t frac = bits & frac_mask(f);
    int biased = bits >> f.frac_bits & exp_max(f);
    FpParts p = { .kind = KIND_FINITE, .sign = bits & sign_mask(f) };

    if (LIKELY(biased != 0 && biased != exp_max(f))) {
        p.exp = biased - exp_bias(f);
        p.sig = TOP_BIT | frac << spare_bits(f);
    } else if (biased != 0) {
        p.kind = frac != 0 ? KIND_NAN : KIND_INF;
    } else if (frac != 0) {
        int shift = __builtin_clzll(frac);

        p.exp = 1 - exp_bias(f) + spare_bits(f) - shift;
        p.sig = frac << shift;
    } else {
        p.kind = KIND_ZERO;
    }
    return p;
}

/* --- Round and pack ------------------------------------------------------------------------ */

PER_FORMAT uint64_t shift_right_sticky(uint64_t x, unsigned n)
{
    if (n > 63) {
        return x != 0;
    }
    return x >> n | ((x & ((UINT64_C(1) << n) - 1)) != 0);
}

/*
 * Whether a magnitude must grow by one unit in its last place when `tail` is cut off. TOP_BIT of
 * the tail weighs half a unit; `odd` is the last bit that is kept.
 */
PER_FORMAT bool rounds_up(uint8_t rm, bool sign, bool odd, uint64_t tail)
{
    switch (rm) {
    case FP_RNE:
        return tail > TOP_BIT || (tail == TOP_BIT && odd);
    case FP_RTZ:
        return false;
    case FP_RDN:
        return sign && tail != 0;
    case FP_RUP:
        return !sign && tail != 0;
    default:
        return tail >= TOP_BIT;
    }
}

/*
 * The bit pattern nearest to (-1)^sign * sig/2^63 * 2^exp by env->rm, with the flags that rounding
 * raises. TOP_BIT is set in `sig`, whose bit 0 may be sticky. Out of line on purpose: inlining it
 * into every operation gains under 0.7 ns of 5 to 7 and costs 6 KiB.
 */
uint32_t fp32_round_pack(FpEnv *env, bool sign, int exp, uint64_t sig);
uint64_t fp64_round_pack(FpEnv *env, bool sign, int exp, uint64_t sig);

PER_FORMAT uint64_t round_pack(FpFormat f, FpEnv *env, bool sign, int exp, uint64_t sig)
{
    return f.frac_bits == BINARY32.frac_bits ? fp32_round_pack(env, sign, exp, sig)
                                             : fp64_round_pack(env, sign, exp, sig);
}

#endif
