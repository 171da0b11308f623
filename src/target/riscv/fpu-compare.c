/* SPDX-License-Identifier: MIT */
/*
 * Comparison, minimum, maximum and classification. The idea to hold: IEEE 754 bit patterns of one
 * sign are ordered as integers, so none of these needs to unpack, round, or know a rounding mode.
 */
#include "target/riscv/fpu-internal.h"

/* Numbers compare as their keys do; -0 and +0 share the key 0. Not for NaNs. */
PER_FORMAT int64_t order_key(FpFormat f, uint64_t bits)
{
    int64_t key = magnitude(f, bits);

    return bits & sign_mask(f) ? -key : key;
}

/* Whether a comparison has no answer; raises FP_NV for a signalling NaN, or for any if asked to. */
PER_FORMAT bool unordered(FpFormat f, FpEnv *env, uint64_t a, uint64_t b, bool any_signals)
{
    if (LIKELY(!is_nan(f, a) && !is_nan(f, b))) {
        return false;
    }
    if (any_signals || is_snan(f, a) || is_snan(f, b)) {
        env->flags |= FP_NV;
    }
    return true;
}

PER_FORMAT bool equal(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    return !unordered(f, env, a, b, false) && order_key(f, a) == order_key(f, b);
}

PER_FORMAT bool less(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    return !unordered(f, env, a, b, true) && order_key(f, a) < order_key(f, b);
}

PER_FORMAT bool less_or_equal(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    return !unordered(f, env, a, b, true) && order_key(f, a) <= order_key(f, b);
}

/* The number among two operands that are not both numbers. */
PER_FORMAT uint64_t other_than_nan(FpFormat f, uint64_t a, uint64_t b)
{
    if (!is_nan(f, a)) {
        return a;
    }
    return is_nan(f, b) ? canonical_nan(f) : b;
}

/* Operands with equal keys differ at most in the sign of zero; OR and AND choose between them. */
PER_FORMAT uint64_t minimum(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    if (unordered(f, env, a, b, false)) {
        return other_than_nan(f, a, b);
    }
    if (order_key(f, a) == order_key(f, b)) {
        return a | b;
    }
    return order_key(f, a) < order_key(f, b) ? a : b;
}

PER_FORMAT uint64_t maximum(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    if (unordered(f, env, a, b, false)) {
        return other_than_nan(f, a, b);
    }
    if (order_key(f, a) == order_key(f, b)) {
        return a & b;
    }
    return order_key(f, a) > order_key(f, b) ? a : b;
}

PER_FORMAT uint32_t classify(FpFormat f, uint64_t bits)
{
    bool sign = bits & sign_mask(f);
    uint64_t mag = magnitude(f, bits);

    if (mag > infinity(f, false)) {
        return mag & quiet_bit(f) ? FP_CLASS_QNAN : FP_CLASS_SNAN;
    }
    if (mag == infinity(f, false)) {
        return sign ? FP_CLASS_NEG_INF : FP_CLASS_POS_INF;
    }
    if (mag > frac_mask(f)) {
        return sign ? FP_CLASS_NEG_NORMAL : FP_CLASS_POS_NORMAL;
    }
    if (mag != 0) {
        return sign ? FP_CLASS_NEG_SUBNORMAL : FP_CLASS_POS_SUBNORMAL;
    }
    return sign ? FP_CLASS_NEG_ZERO : FP_CLASS_POS_ZERO;
}

uint32_t fp32_min(FpEnv *env, uint32_t a, uint32_t b)
{
    return minimum(BINARY32, env, a, b);
}

uint64_t fp64_min(FpEnv *env, uint64_t a, uint64_t b)
{
    return minimum(BINARY64, env, a, b);
}

uint32_t fp32_max(FpEnv *env, uint32_t a, uint32_t b)
{
    return maximum(BINARY32, env, a, b);
}

uint64_t fp64_max(FpEnv *env, uint64_t a, uint64_t b)
{
    return maximum(BINARY64, env, a, b);
}

bool fp32_eq(FpEnv *env, uint32_t a, uint32_t b)
{
    return equal(BINARY32, env, a, b);
}

bool fp64_eq(FpEnv *env, uint64_t a, uint64_t b)
{
    return equal(BINARY64, env, a, b);
}

bool fp32_lt(FpEnv *env, uint32_t a, uint32_t b)
{
    return less(BINARY32, env, a, b);
}

bool fp64_lt(FpEnv *env, uint64_t a, uint64_t b)
{
    return less(BINARY64, env, a, b);
}

bool fp32_le(FpEnv *env, uint32_t a, uint32_t b)
{
    return less_or_equal(BINARY32, env, a, b);
}

bool fp64_le(FpEnv *env, uint64_t a, uint64_t b)
{
    return less_or_equal(BINARY64, env, a, b);
}

uint32_t fp32_class(uint32_t a)
{
    return classify(BINARY32, a);
}

uint32_t fp64_class(uint64_t a)
{
    return classify(BINARY64, a);
}
