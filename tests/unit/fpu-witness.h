/* SPDX-License-Identifier: MIT */
/*
 * Operands worth trying, and two implementations of IEEE 754 that share no code with
 * src/target/riscv/fpu*.c and so can judge it: the host's SSE2 and FMA unit, which knows four
 * rounding modes, and binary128 arithmetic rounded to odd and then to the format, which knows all
 * five. The idea to hold: values are bit patterns in a uint64_t with their width (32 or 64) beside
 * them, NaNs are returned canonical, and flags are OR-ed into `*flags`, so all can be compared with
 * the unit under test as they are.
 *
 * The witnesses exist on x86-64 only. They leave MXCSR at CSR_DEFAULT, and expect it so.
 */
#ifndef ORRERY_TESTS_UNIT_FPU_WITNESS_H
#define ORRERY_TESTS_UNIT_FPU_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/riscv/fpu.h"

typedef enum Op { ADD, SUB, MUL, DIV, SQRT, FMA } Op;
typedef enum Relation { EQ, LT, LE } Relation;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define CSR_DEFAULT 0x1f80u /* to nearest, all exceptions masked, no flags */
#define CSR_INEXACT 0x20u

static inline int frac_bits(int width)
{
    return width == 32 ? 23 : 52;
}

static inline int exp_max(int width)
{
    return width == 32 ? 255 : 2047;
}

static inline uint64_t sign_bit(int width)
{
    return UINT64_C(1) << (width - 1);
}

static inline uint64_t inf_bits(int width)
{
    return (uint64_t)exp_max(width) << frac_bits(width);
}

static inline uint64_t magnitude(int width, uint64_t a)
{
    return a & (sign_bit(width) - 1);
}

static inline bool is_nan(int width, uint64_t a)
{
    return magnitude(width, a) > inf_bits(width);
}

static inline bool is_snan(int width, uint64_t a)
{
    return is_nan(width, a) && !(a >> (frac_bits(width) - 1) & 1);
}

static inline bool is_finite(int width, uint64_t a)
{
    return magnitude(width, a) < inf_bits(width);
}

static inline uint64_t canonicalise(int width, uint64_t a)
{
    uint64_t nan = width == 32 ? FP32_CANONICAL_NAN : FP64_CANONICAL_NAN;

    return is_nan(width, a) ? nan : a;
}

/* The next 64 random bits of a stream, and a number below n. */
uint64_t next_random(uint64_t *state);
unsigned pick(uint64_t *rng, unsigned n);

/* A value from its fields; bits of `frac` beyond the field are dropped. */
uint64_t compose(int width, bool sign, int biased, uint64_t frac);

/* The nearest value that fits the exponent field. */
int clamp_exp(int width, int biased);

/* Fractions that make ties and carries: uniform, few bits at either end, runs of ones. */
uint64_t random_frac(int width, uint64_t *rng);

/* Half of them near 1, the others spread over special values and the exponent's range. */
uint64_t random_operand(int width, uint64_t *rng);

/* Fills `out` with the values at which anything changes; returns how many they are. */
#define MAX_EDGES 64
size_t edge_values(int width, uint64_t out[MAX_EDGES]);

/* MXCSR of this thread. */
uint32_t read_csr(void);
void write_csr(uint32_t csr);

/* Whether the host has an instruction for `op`. */
bool host_can(Op op);

/* The host's answers; `rm` is not FP_RMM. Integers it cannot represent give INT64_MIN and FP_NV. */
uint64_t host_arith(Op op, int width, int rm, const uint64_t v[3], unsigned *flags);
uint64_t host_convert(int to_width, int rm, uint64_t a, unsigned *flags);
uint64_t host_from_int(int width, int rm, int64_t a, unsigned *flags);
int64_t host_to_int(int width, int rm, uint64_t a, unsigned *flags);
bool host_compare(Relation relation, int width, uint64_t a, uint64_t b, unsigned *flags);

/*
 * The answers of binary128. False, and nothing written, where an operand is not finite or the exact
 * result not a number other than zero.
 */
bool quad_arith(Op op, int width, int rm, const uint64_t v[3], uint64_t *result, unsigned *flags);

/* From binary64 to binary32; `a` is finite and not zero. */
uint64_t quad_narrow(int rm, uint64_t a, unsigned *flags);

/* (-1)^sign * mag; `mag` is not zero. */
uint64_t quad_from_int(int width, int rm, bool sign, uint64_t mag, unsigned *flags);

/* To an integer in [min, max], with RISC-V's saturation; any `a`. */
__int128 quad_to_int(int width, int rm, uint64_t a, __int128 min, __int128 max, unsigned *flags);

#endif
