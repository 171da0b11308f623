/* SPDX-License-Identifier: MIT */
/*
 * IEEE 754 arithmetic as the RISC-V F and D extensions define it, on plain bit patterns: a
 * binary32 value is a uint32_t, a binary64 value a uint64_t. The idea to hold: every function is
 * pure but for `env`, from which it takes the rounding mode and into which it ORs the exceptions
 * it raised (flags are sticky; nothing here clears them).
 *
 * The arithmetic is integer-only and so independent of the host's floating point unit; it is what
 * other implementations are judged by. FpEnv.fp_hostfloat allows a short cut through the host's
 * unit where result and flags are provably the same, see there.
 *
 * Common to all functions: any thread, no locks, no allocation, no failure; `env` is never NULL and
 * belongs to the caller. Results that are NaN are the canonical NaN (RISC-V unprivileged ISA,
 * "NaN Generation and Propagation"); tininess is detected after rounding.
 */
#ifndef ORRERY_TARGET_RISCV_FPU_H
#define ORRERY_TARGET_RISCV_FPU_H

#include <stdbool.h>
#include <stdint.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

/* The encodings of fcsr.frm. 5 and 6 are reserved and 7 (dynamic) is resolved by the caller. */
enum {
    FP_RNE = 0, /* to nearest, ties to even */
    FP_RTZ = 1, /* towards zero */
    FP_RDN = 2, /* towards minus infinity */
    FP_RUP = 3, /* towards plus infinity */
    FP_RMM = 4, /* to nearest, ties away from zero */
};

/* The bits of fcsr.fflags. */
enum {
    FP_NX = 1 << 0, /* inexact */
    FP_UF = 1 << 1, /* underflow: tiny and inexact */
    FP_OF = 1 << 2, /* overflow */
    FP_DZ = 1 << 3, /* division by zero */
    FP_NV = 1 << 4, /* invalid operation */
};

/*
 * fp_hostfloat: when not zero, add, sub, mul, div, sqrt and fma may run on the host's unit. They do
 * so only under FP_RNE with FP_NX already set, and keep the host's answer only when its value shows
 * that no other flag can have been raised; in all other cases the integer code answers. The calling
 * thread must then have the host's default environment (to nearest, subnormals honoured,
 * exceptions masked), and the host's own sticky flags are left changed. When zero, no host floating
 * point instruction is executed and the host's environment is neither read nor written.
 *
 * A reserved `rm` is the caller's to refuse (illegal instruction); here it rounds as FP_RMM.
 */
typedef struct FpEnv {
    uint8_t rm;
    uint8_t flags;
    uint8_t fp_hostfloat;
} FpEnv;

#define FP32_CANONICAL_NAN UINT32_C(0x7fc00000)
#define FP64_CANONICAL_NAN UINT64_C(0x7ff8000000000000)

/* NaN boxing of binary32 in a 64-bit register ("NaN Boxing of Narrower Values"). */
static inline uint64_t fp_box32(uint32_t a)
{
    return UINT64_C(0xffffffff00000000) | a;
}

/* The binary32 value in a 64-bit register; one that is not properly boxed reads as a NaN. */
static inline uint32_t fp_unbox32(uint64_t reg)
{
    return reg >> 32 == UINT32_MAX ? (uint32_t)reg : FP32_CANONICAL_NAN;
}

/* The value with its sign flipped, NaNs included; raises nothing. */
static inline uint32_t fp32_neg(uint32_t a)
{
    return a ^ UINT32_C(0x80000000);
}

static inline uint64_t fp64_neg(uint64_t a)
{
    return a ^ UINT64_C(0x8000000000000000);
}

/* FADD, FSUB, FMUL, FDIV, FSQRT. */
uint32_t fp32_add(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_add(FpEnv *env, uint64_t a, uint64_t b);
uint32_t fp32_sub(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_sub(FpEnv *env, uint64_t a, uint64_t b);
uint32_t fp32_mul(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_mul(FpEnv *env, uint64_t a, uint64_t b);
uint32_t fp32_div(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_div(FpEnv *env, uint64_t a, uint64_t b);
uint32_t fp32_sqrt(FpEnv *env, uint32_t a);
uint64_t fp64_sqrt(FpEnv *env, uint64_t a);

/*
 * FMADD: a * b + c, rounded once. The relatives are made by negating operands, which is what the
 * ISA defines them to be: FMSUB is fma(a, b, -c), FNMSUB is fma(-a, b, c), FNMADD is
 * fma(-a, b, -c). Infinity times zero raises FP_NV also when c is a quiet NaN.
 */
uint32_t fp32_fma(FpEnv *env, uint32_t a, uint32_t b, uint32_t c);
uint64_t fp64_fma(FpEnv *env, uint64_t a, uint64_t b, uint64_t c);

/*
 * FMIN, FMAX as of F and D 2.2 (minimumNumber and maximumNumber of IEEE 754-2019): -0 is less than
 * +0, a NaN loses against a number, and a signalling NaN raises FP_NV even then.
 */
uint32_t fp32_min(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_min(FpEnv *env, uint64_t a, uint64_t b);
uint32_t fp32_max(FpEnv *env, uint32_t a, uint32_t b);
uint64_t fp64_max(FpEnv *env, uint64_t a, uint64_t b);

/* FEQ is a quiet comparison (FP_NV for signalling NaNs alone); FLT, FLE raise FP_NV for any NaN. */
bool fp32_eq(FpEnv *env, uint32_t a, uint32_t b);
bool fp64_eq(FpEnv *env, uint64_t a, uint64_t b);
bool fp32_lt(FpEnv *env, uint32_t a, uint32_t b);
bool fp64_lt(FpEnv *env, uint64_t a, uint64_t b);
bool fp32_le(FpEnv *env, uint32_t a, uint32_t b);
bool fp64_le(FpEnv *env, uint64_t a, uint64_t b);

/* FCLASS: a mask with exactly one of these ten bits set. Raises nothing, so it takes no FpEnv. */
enum {
    FP_CLASS_NEG_INF = 1 << 0,
    FP_CLASS_NEG_NORMAL = 1 << 1,
    FP_CLASS_NEG_SUBNORMAL = 1 << 2,
    FP_CLASS_NEG_ZERO = 1 << 3,
    FP_CLASS_POS_ZERO = 1 << 4,
    FP_CLASS_POS_SUBNORMAL = 1 << 5,
    FP_CLASS_POS_NORMAL = 1 << 6,
    FP_CLASS_POS_INF = 1 << 7,
    FP_CLASS_SNAN = 1 << 8,
    FP_CLASS_QNAN = 1 << 9,
};

uint32_t fp32_class(uint32_t a);
uint32_t fp64_class(uint64_t a);

/* FCVT.D.S (always exact) and FCVT.S.D. */
uint64_t fp32_to_fp64(FpEnv *env, uint32_t a);
uint32_t fp64_to_fp32(FpEnv *env, uint64_t a);

/*
 * FCVT.{W,WU,L,LU}.{S,D}. A value that does not fit after rounding raises FP_NV, not FP_NX, and
 * gives the nearest representable integer; any NaN gives the largest one. The caller extends 32-bit
 * results to XLEN, which the ISA does by sign for i32 and u32 alike.
 */
int32_t fp32_to_i32(FpEnv *env, uint32_t a);
int32_t fp64_to_i32(FpEnv *env, uint64_t a);
uint32_t fp32_to_u32(FpEnv *env, uint32_t a);
uint32_t fp64_to_u32(FpEnv *env, uint64_t a);
int64_t fp32_to_i64(FpEnv *env, uint32_t a);
int64_t fp64_to_i64(FpEnv *env, uint64_t a);
uint64_t fp32_to_u64(FpEnv *env, uint32_t a);
uint64_t fp64_to_u64(FpEnv *env, uint64_t a);

/* FCVT.{S,D}.{W,WU,L,LU}. Integer zero gives +0 in every mode. */
uint32_t fp32_from_i32(FpEnv *env, int32_t a);
uint64_t fp64_from_i32(FpEnv *env, int32_t a);
uint32_t fp32_from_u32(FpEnv *env, uint32_t a);
uint64_t fp64_from_u32(FpEnv *env, uint32_t a);
uint32_t fp32_from_i64(FpEnv *env, int64_t a);
uint64_t fp64_from_i64(FpEnv *env, int64_t a);
uint32_t fp32_from_u64(FpEnv *env, uint64_t a);
uint64_t fp64_from_u64(FpEnv *env, uint64_t a);

ORR_END_DECLS

#endif
