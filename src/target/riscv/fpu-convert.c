/* SPDX-License-Identifier: MIT */
/*
 * Conversions between the formats and to and from integers. The idea to hold: the unpacked form is
 * common to both formats and holds every 64-bit integer, so a conversion is an unpack on one side
 * and a rounding on the other. Only rounding to an integer has rules of its own: RISC-V saturates.
 */
#include "target/riscv/fpu-internal.h"

/* --- Between formats ----------------------------------------------------------------------- */

PER_FORMAT uint64_t convert(FpFormat to, FpFormat from, FpEnv *env, uint64_t a)
{
    FpParts p = unpack(from, a);

    if (LIKELY(p.kind == KIND_FINITE)) {
        return round_pack(to, env, p.sign, p.exp, p.sig);
    }
    if (p.kind == KIND_NAN) {
        return is_snan(from, a) ? invalid(to, env) : canonical_nan(to);
    }
    return p.kind == KIND_INF ? infinity(to, p.sign) : zero(to, p.sign);
}

uint64_t fp32_to_fp64(FpEnv *env, uint32_t a)
{
    return convert(BINARY64, BINARY32, env, a);
}

uint32_t fp64_to_fp32(FpEnv *env, uint64_t a)
{
    return convert(BINARY32, BINARY64, env, a);
}

/* --- To integers --------------------------------------------------------------------------- */

/*
 * The integer nearest to `a`, as 64-bit two's complement; `max` and `min_mag` are the largest value
 * of the integer type and the magnitude of its smallest.
 */
PER_FORMAT uint64_t to_int(FpFormat f, FpEnv *env, uint64_t a, uint64_t max, uint64_t min_mag)
{
    FpParts p = unpack(f, a);
    uint64_t whole = 0;
    uint64_t tail = 0;

    if (UNLIKELY(p.kind != KIND_FINITE)) {
        if (p.kind == KIND_ZERO) {
            return 0;
        }
        env->flags |= FP_NV;
        return p.kind == KIND_INF && p.sign ? -min_mag : max;
    }
    /* Split the magnitude at the binary point; TOP_BIT of the tail weighs one half. */
    if (p.exp < 0) {
        tail = shift_right_sticky(p.sig, -1 - p.exp);
    } else if (p.exp < 63) {
        whole = p.sig >> (63 - p.exp);
        tail = p.sig << (p.exp + 1);
    } else {
        whole = p.sig;
    }
    /* No wrap: where `whole` is near 2^64 the significand has no bits left for a tail. */
    whole += rounds_up(env->rm, p.sign, whole & 1, tail);
    if (UNLIKELY(p.exp > 63 || whole > (p.sign ? min_mag : max))) {
        env->flags |= FP_NV;
        return p.sign ? -min_mag : max;
    }
    if (tail != 0) {
        env->flags |= FP_NX;
    }
    return p.sign ? -whole : whole;
}

int32_t fp32_to_i32(FpEnv *env, uint32_t a)
{
    return (int32_t)to_int(BINARY32, env, a, INT32_MAX, UINT64_C(1) << 31);
}

int32_t fp64_to_i32(FpEnv *env, uint64_t a)
{
    return (int32_t)to_int(BINARY64, env, a, INT32_MAX, UINT64_C(1) << 31);
}

uint32_t fp32_to_u32(FpEnv *env, uint32_t a)
{
    return (uint32_t)to_int(BINARY32, env, a, UINT32_MAX, 0);
}

uint32_t fp64_to_u32(FpEnv *env, uint64_t a)
{
    return (uint32_t)to_int(BINARY64, env, a, UINT32_MAX, 0);
}

int64_t fp32_to_i64(FpEnv *env, uint32_t a)
{
    return (int64_t)to_int(BINARY32, env, a, INT64_MAX, UINT64_C(1) << 63);
}

int64_t fp64_to_i64(FpEnv *env, uint64_t a)
{
    return (int64_t)to_int(BINARY64, env, a, INT64_MAX, UINT64_C(1) << 63);
}

uint64_t fp32_to_u64(FpEnv *env, uint32_t a)
{
    return to_int(BINARY32, env, a, UINT64_MAX, 0);
}

uint64_t fp64_to_u64(FpEnv *env, uint64_t a)
{
    return to_int(BINARY64, env, a, UINT64_MAX, 0);
}

/* --- From integers ------------------------------------------------------------------------- */

PER_FORMAT uint64_t from_uint(FpFormat f, FpEnv *env, bool sign, uint64_t mag)
{
    int shift;

    if (mag == 0) {
        return 0;
    }
    shift = __builtin_clzll(mag);
    return round_pack(f, env, sign, 63 - shift, mag << shift);
}

PER_FORMAT uint64_t from_int(FpFormat f, FpEnv *env, int64_t a)
{
    return from_uint(f, env, a < 0, a < 0 ? -(uint64_t)a : (uint64_t)a);
}

uint32_t fp32_from_i32(FpEnv *env, int32_t a)
{
    return from_int(BINARY32, env, a);
}

uint64_t fp64_from_i32(FpEnv *env, int32_t a)
{
    return from_int(BINARY64, env, a);
}

uint32_t fp32_from_u32(FpEnv *env, uint32_t a)
{
    return from_uint(BINARY32, env, false, a);
}

uint64_t fp64_from_u32(FpEnv *env, uint32_t a)
{
    return from_uint(BINARY64, env, false, a);
}

uint32_t fp32_from_i64(FpEnv *env, int64_t a)
{
    return from_int(BINARY32, env, a);
}

uint64_t fp64_from_i64(FpEnv *env, int64_t a)
{
    return from_int(BINARY64, env, a);
}

uint32_t fp32_from_u64(FpEnv *env, uint64_t a)
{
    return from_uint(BINARY32, env, false, a);
}

uint64_t fp64_from_u64(FpEnv *env, uint64_t a)
{
    return from_uint(BINARY64, env, false, a);
}
