/* SPDX-License-Identifier: MIT */
/*
 * Judges src/target/riscv/fpu*.c by the two witnesses of fpu-witness.h and by cases written out by
 * hand. The idea to hold: random operands alone almost never meet a tie, a cancellation or the
 * subnormal boundary, so half of the operands here are steered towards them.
 *
 * test-fpu [cases per operation and width] [seed]. A failure prints the operands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fpu-witness.h"

typedef struct Fixture {
    unsigned cases;
    uint64_t seed;
} Fixture;

static const char *const OP_NAMES[] = { "add", "sub", "mul", "div", "sqrt", "fma" };
static const char *const RM_NAMES[] = { "rne", "rtz", "rdn", "rup", "rmm" };

/* --- The unit under test, by operation and width ------------------------------------------- */

static uint64_t ours(Op op, int width, FpEnv *env, uint64_t a, uint64_t b, uint64_t c)
{
    bool wide = width == 64;

    switch (op) {
    case ADD:
        return wide ? fp64_add(env, a, b) : fp32_add(env, a, b);
    case SUB:
        return wide ? fp64_sub(env, a, b) : fp32_sub(env, a, b);
    case MUL:
        return wide ? fp64_mul(env, a, b) : fp32_mul(env, a, b);
    case DIV:
        return wide ? fp64_div(env, a, b) : fp32_div(env, a, b);
    case SQRT:
        return wide ? fp64_sqrt(env, a) : fp32_sqrt(env, a);
    default:
        return wide ? fp64_fma(env, a, b, c) : fp32_fma(env, a, b, c);
    }
}

/* --- Reporting ----------------------------------------------------------------------------- */

static void expect(const char *what, int width, int rm, const uint64_t operands[3], uint64_t got,
                   unsigned got_flags, uint64_t want, unsigned want_flags)
{
    if (got != want || got_flags != want_flags) {
        print_error("%s, %d bits, %s: %016llx %016llx %016llx: got %016llx flags %02x, "
                    "want %016llx flags %02x\n",
                    what, width, RM_NAMES[rm], (unsigned long long)operands[0],
                    (unsigned long long)operands[1], (unsigned long long)operands[2],
                    (unsigned long long)got, got_flags, (unsigned long long)want, want_flags);
        fail();
    }
}

/* --- Cases by hand ------------------------------------------------------------------------- */

#define NX FP_NX
#define UF FP_UF
#define OF FP_OF
#define DZ FP_DZ
#define NV FP_NV
#define QNAN FP64_CANONICAL_NAN
#define ONE 0x3ff0000000000000
#define NEG_ONE 0xbff0000000000000
#define INF 0x7ff0000000000000
#define NEG_INF 0xfff0000000000000
#define NEG_ZERO 0x8000000000000000
#define SNAN 0x7ff0000000000001
#define LARGEST 0x7fefffffffffffff
#define MIN_NORMAL 0x0010000000000000
#define HALF_ULP 0x3ca0000000000000 /* half a unit in the last place of 1 */

static const struct {
    Op op;
    int rm;
    uint64_t a, b, c, result;
    unsigned flags;
} CASES64[] = {
    /* Ties and what lies beside them. */
    { ADD, FP_RNE, ONE, HALF_ULP, 0, ONE, NX },
    { ADD, FP_RMM, ONE, HALF_ULP, 0, ONE + 1, NX },
    { ADD, FP_RTZ, ONE, HALF_ULP, 0, ONE, NX },
    { ADD, FP_RUP, ONE, HALF_ULP, 0, ONE + 1, NX },
    { ADD, FP_RDN, ONE, HALF_ULP, 0, ONE, NX },
    { ADD, FP_RNE, ONE + 1, HALF_ULP, 0, ONE + 2, NX },
    { ADD, FP_RNE, ONE, HALF_ULP + 1, 0, ONE + 1, NX },
    { ADD, FP_RMM, ONE, HALF_ULP - 1, 0, ONE, NX },
    { SUB, FP_RMM, NEG_ONE, HALF_ULP, 0, NEG_ONE + 1, NX },
    /* Exact zeros. */
    { SUB, FP_RNE, ONE, ONE, 0, 0, 0 },
    { SUB, FP_RDN, ONE, ONE, 0, NEG_ZERO, 0 },
    { SUB, FP_RMM, ONE, ONE, 0, 0, 0 },
    { ADD, FP_RDN, 0, NEG_ZERO, 0, NEG_ZERO, 0 },
    { ADD, FP_RNE, NEG_ZERO, NEG_ZERO, 0, NEG_ZERO, 0 },
    { FMA, FP_RDN, ONE, ONE, NEG_ONE, NEG_ZERO, 0 },
    { FMA, FP_RNE, NEG_ZERO, ONE, 0, 0, 0 },
    { FMA, FP_RNE, NEG_ZERO, ONE, NEG_ZERO, NEG_ZERO, 0 },
    /* Overflow, by mode. */
    { ADD, FP_RNE, LARGEST, LARGEST, 0, INF, OF | NX },
    { ADD, FP_RMM, LARGEST, LARGEST, 0, INF, OF | NX },
    { ADD, FP_RTZ, LARGEST, LARGEST, 0, LARGEST, OF | NX },
    { ADD, FP_RDN, LARGEST, LARGEST, 0, LARGEST, OF | NX },
    { ADD, FP_RUP, LARGEST, LARGEST, 0, INF, OF | NX },
    { SUB, FP_RUP, LARGEST | NEG_ZERO, LARGEST, 0, LARGEST | NEG_ZERO, OF | NX },
    { SUB, FP_RDN, LARGEST | NEG_ZERO, LARGEST, 0, NEG_INF, OF | NX },
    /* The largest number plus half its unit: a tie, which RNE and RMM carry to infinity. */
    { ADD, FP_RNE, LARGEST, 0x7c90000000000000, 0, INF, OF | NX },
    { ADD, FP_RMM, LARGEST, 0x7c90000000000000, 0, INF, OF | NX },
    { ADD, FP_RNE, LARGEST, 0x7c8fffffffffffff, 0, LARGEST, NX },
    /* Tininess is judged after rounding with an unbounded exponent, not by the packed result. */
    { MUL, FP_RNE, MIN_NORMAL, ONE - 1, 0, MIN_NORMAL, UF | NX },
    { FMA, FP_RNE, 0x9a70000000000000, 0x1a70000000000000, MIN_NORMAL, MIN_NORMAL, NX },
    { FMA, FP_RMM, 0x9a70000000000000, 0x1a70000000000000, MIN_NORMAL, MIN_NORMAL, NX },
    { FMA, FP_RTZ, 0x9a70000000000000, 0x1a70000000000000, MIN_NORMAL, MIN_NORMAL - 1, UF | NX },
    { SUB, FP_RTZ, MIN_NORMAL, 1, 0, MIN_NORMAL - 1, 0 },
    /* Half the smallest subnormal. */
    { MUL, FP_RNE, 1, 0x3fe0000000000000, 0, 0, UF | NX },
    { MUL, FP_RMM, 1, 0x3fe0000000000000, 0, 1, UF | NX },
    { MUL, FP_RUP, 1, 0x3fe0000000000000, 0, 1, UF | NX },
    { MUL, FP_RDN, 1, 0xbfe0000000000000, 0, NEG_ZERO | 1, UF | NX },
    { MUL, FP_RNE, MIN_NORMAL, MIN_NORMAL, 0, 0, UF | NX },
    /* NaNs: always the canonical one; only signalling ones, and invalid operations, raise. */
    { ADD, FP_RNE, 0xfff8000000000123, ONE, 0, QNAN, 0 },
    { ADD, FP_RNE, SNAN, ONE, 0, QNAN, NV },
    { MUL, FP_RNE, QNAN, SNAN, 0, QNAN, NV },
    { SQRT, FP_RNE, 0xfff8000000000000, 0, 0, QNAN, 0 },
    { SQRT, FP_RNE, SNAN, 0, 0, QNAN, NV },
    { SUB, FP_RNE, INF, INF, 0, QNAN, NV },
    { MUL, FP_RNE, INF, NEG_ZERO, 0, QNAN, NV },
    { DIV, FP_RNE, 0, 0, 0, QNAN, NV },
    { DIV, FP_RNE, INF, NEG_INF, 0, QNAN, NV },
    { SQRT, FP_RNE, NEG_ONE, 0, 0, QNAN, NV },
    { SQRT, FP_RNE, NEG_INF, 0, 0, QNAN, NV },
    { FMA, FP_RNE, INF, 0, QNAN, QNAN, NV },
    { FMA, FP_RNE, 0, NEG_INF, ONE, QNAN, NV },
    { FMA, FP_RNE, ONE, INF, NEG_INF, QNAN, NV },
    { FMA, FP_RNE, ONE, ONE, QNAN, QNAN, 0 },
    { FMA, FP_RNE, ONE, ONE, SNAN, QNAN, NV },
    { FMA, FP_RNE, ONE, QNAN, SNAN, QNAN, NV },
    /* Infinities and zeros that are exact. */
    { DIV, FP_RNE, NEG_ONE, 0, 0, NEG_INF, DZ },
    { DIV, FP_RNE, INF, NEG_ZERO, 0, NEG_INF, 0 },
    { DIV, FP_RNE, ONE, NEG_INF, 0, NEG_ZERO, 0 },
    { SQRT, FP_RNE, NEG_ZERO, 0, 0, NEG_ZERO, 0 },
    { SQRT, FP_RNE, INF, 0, 0, INF, 0 },
    { FMA, FP_RNE, LARGEST, LARGEST, NEG_INF, NEG_INF, 0 },
    { FMA, FP_RTZ, LARGEST, LARGEST, ONE, LARGEST, OF | NX },
    /* A fused product keeps what a rounded one would lose. */
    { FMA, FP_RNE, ONE + 1, ONE + 1, 0xbff0000000000002, 0x3970000000000000, 0 },
    /* A product that misses a tie by 2^-78, with an addend of that or a little more. */
    { FMA, FP_RNE, 0x3ff0000002000001, 0x3ff0000004000000, 0xbb10000000000000, 0x3ff0000006000002,
      NX },
    { FMA, FP_RNE, 0x3ff0000002000001, 0x3ff0000004000000, 0xbb10000000000001, 0x3ff0000006000001,
      NX },
    { SQRT, FP_RNE, 0x4000000000000000, 0, 0, 0x3ff6a09e667f3bcd, NX },
    { SQRT, FP_RDN, 0x4000000000000000, 0, 0, 0x3ff6a09e667f3bcc, NX },
    { DIV, FP_RNE, ONE, 0x4008000000000000, 0, 0x3fd5555555555555, NX },
    { DIV, FP_RUP, ONE, 0x4008000000000000, 0, 0x3fd5555555555556, NX },
};

static void test_cases_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES64); i++) {
        FpEnv env = { .rm = CASES64[i].rm };
        uint64_t operands[3] = { CASES64[i].a, CASES64[i].b, CASES64[i].c };
        uint64_t got = ours(CASES64[i].op, 64, &env, operands[0], operands[1], operands[2]);

        expect(OP_NAMES[CASES64[i].op], 64, env.rm, operands, got, env.flags, CASES64[i].result,
               CASES64[i].flags);
    }
}

/* The ISA's table "Domains of float-to-integer conversions and behavior for invalid inputs". */
static void test_saturation(void **state)
{
    static const uint64_t NANS[] = { QNAN, SNAN, 0xfff8000000000000 };
    FpEnv env = { .rm = FP_RNE };

    (void)state;
#define EXPECT_INT(call, value, raised)                                                            \
    do {                                                                                           \
        env.flags = 0;                                                                             \
        assert_true((call) == (value));                                                            \
        assert_int_equal(env.flags, raised);                                                       \
    } while (0)
    for (size_t i = 0; i < ARRAY_SIZE(NANS); i++) {
        EXPECT_INT(fp64_to_i32(&env, NANS[i]), INT32_MAX, NV);
        EXPECT_INT(fp64_to_u32(&env, NANS[i]), UINT32_MAX, NV);
        EXPECT_INT(fp64_to_i64(&env, NANS[i]), INT64_MAX, NV);
        EXPECT_INT(fp64_to_u64(&env, NANS[i]), UINT64_MAX, NV);
    }
    EXPECT_INT(fp64_to_i32(&env, INF), INT32_MAX, NV);
    EXPECT_INT(fp64_to_i32(&env, NEG_INF), INT32_MIN, NV);
    EXPECT_INT(fp64_to_u32(&env, NEG_INF), 0, NV);
    EXPECT_INT(fp64_to_i64(&env, NEG_INF), INT64_MIN, NV);
    EXPECT_INT(fp64_to_u64(&env, INF), UINT64_MAX, NV);
    EXPECT_INT(fp64_to_u64(&env, NEG_ONE), 0, NV);
    EXPECT_INT(fp64_to_i32(&env, 0xc1e0000000000000), INT32_MIN, 0);  /* -2^31 */
    EXPECT_INT(fp64_to_i32(&env, 0xc1e0000000100000), INT32_MIN, NX); /* -2^31 - 1/2, even */
    EXPECT_INT(fp64_to_i32(&env, 0xc1e0000000100001), INT32_MIN, NV);
    EXPECT_INT(fp64_to_i32(&env, 0x41dfffffffe00000), INT32_MAX, NV); /* 2^31 - 1/2 */
    EXPECT_INT(fp64_to_i64(&env, 0x43e0000000000000), INT64_MAX, NV); /* 2^63 */
    EXPECT_INT(fp64_to_i64(&env, 0xc3e0000000000000), INT64_MIN, 0);
    EXPECT_INT(fp64_to_u64(&env, 0x43efffffffffffff), UINT64_MAX - 0x7ff, 0);
    EXPECT_INT(fp64_to_u64(&env, 0x43f0000000000000), UINT64_MAX, NV); /* 2^64 */
    EXPECT_INT(fp64_to_u32(&env, 0xbfe0000000000000), 0, NX);          /* -1/2 */
    EXPECT_INT(fp32_to_u32(&env, 0x4f800000), UINT32_MAX, NV);         /* 2^32 */
    EXPECT_INT(fp32_to_i64(&env, 0x7fc00000), INT64_MAX, NV);
    env.rm = FP_RDN;
    EXPECT_INT(fp64_to_u32(&env, 0xbfe0000000000000), 0, NV);
    EXPECT_INT(fp64_to_i32(&env, 0xbfe0000000000000), -1, NX);
    EXPECT_INT(fp64_to_i32(&env, 0x41dfffffffe00000), INT32_MAX, NX);
    env.rm = FP_RMM;
    EXPECT_INT(fp64_to_u32(&env, 0xbfe0000000000000), 0, NV);
    EXPECT_INT(fp64_to_i64(&env, 0x4004000000000000), 3, NX); /* 2.5 */
#undef EXPECT_INT
}

static void test_boxing(void **state)
{
    (void)state;
    assert_true(fp_box32(0x3f800000) == UINT64_C(0xffffffff3f800000));
    assert_true(fp_unbox32(UINT64_C(0xffffffff3f800000)) == 0x3f800000);
    assert_true(fp_unbox32(UINT64_C(0xffffffff7f800001)) == 0x7f800001);
    assert_true(fp_unbox32(UINT64_C(0x7fffffff3f800000)) == FP32_CANONICAL_NAN);
    assert_true(fp_unbox32(UINT64_C(0xfffffffe3f800000)) == FP32_CANONICAL_NAN);
    assert_true(fp_unbox32(0x3f800000) == FP32_CANONICAL_NAN);
}

static void test_class(void **state)
{
    static const struct {
        uint64_t a;
        unsigned mask;
    } CLASSES[] = {
        { NEG_INF, FP_CLASS_NEG_INF },
        { NEG_ONE, FP_CLASS_NEG_NORMAL },
        { NEG_ZERO | MIN_NORMAL, FP_CLASS_NEG_NORMAL },
        { NEG_ZERO | (MIN_NORMAL - 1), FP_CLASS_NEG_SUBNORMAL },
        { NEG_ZERO | 1, FP_CLASS_NEG_SUBNORMAL },
        { NEG_ZERO, FP_CLASS_NEG_ZERO },
        { 0, FP_CLASS_POS_ZERO },
        { 1, FP_CLASS_POS_SUBNORMAL },
        { MIN_NORMAL - 1, FP_CLASS_POS_SUBNORMAL },
        { MIN_NORMAL, FP_CLASS_POS_NORMAL },
        { LARGEST, FP_CLASS_POS_NORMAL },
        { INF, FP_CLASS_POS_INF },
        { SNAN, FP_CLASS_SNAN },
        { QNAN - 1, FP_CLASS_SNAN },
        { NEG_ZERO | SNAN, FP_CLASS_SNAN },
        { QNAN, FP_CLASS_QNAN },
        { UINT64_MAX, FP_CLASS_QNAN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CLASSES); i++) {
        assert_int_equal(fp64_class(CLASSES[i].a), CLASSES[i].mask);
    }
    assert_int_equal(fp32_class(0xff800000), 1 << 0);
    assert_int_equal(fp32_class(0xbf800000), 1 << 1);
    assert_int_equal(fp32_class(0x807fffff), 1 << 2);
    assert_int_equal(fp32_class(0x80000000), 1 << 3);
    assert_int_equal(fp32_class(0x00000000), 1 << 4);
    assert_int_equal(fp32_class(0x00000001), 1 << 5);
    assert_int_equal(fp32_class(0x00800000), 1 << 6);
    assert_int_equal(fp32_class(0x7f800000), 1 << 7);
    assert_int_equal(fp32_class(0x7f800001), 1 << 8);
    assert_int_equal(fp32_class(0xffc00000), 1 << 9);
}

#ifdef __x86_64__

/* --- Arithmetic against the witnesses --------------------------------------------------- */

static int biased_exp(int width, uint64_t a)
{
    return magnitude(width, a) >> frac_bits(width);
}

/* Turns half of the cases into ones whose result is near a tie, a cancellation or a boundary. */
static void steer(Op op, int width, uint64_t *rng, uint64_t *a, uint64_t *b, uint64_t *c)
{
    FpEnv env = { .rm = pick(rng, 5) };
    int bias = exp_max(width) / 2;
    int jitter = (int)pick(rng, 5) - 2;
    int near = (int)pick(rng, 2 * frac_bits(width)) - frac_bits(width) - frac_bits(width) / 2;
    /* A biased exponent just around the smallest normal, or around the largest one. */
    int target = pick(rng, 2) ? near : exp_max(width) - 3 + (int)pick(rng, 6);
    bool flip = pick(rng, 2);
    int e;

    switch (op) {
    case ADD:
    case SUB:
        if (pick(rng, 2)) {
            *b = *a + jitter;
        } else {
            e = biased_exp(width, *a) + (int)pick(rng, 2 * frac_bits(width) + 8) -
                frac_bits(width) - 4;
            *b = compose(width, flip, clamp_exp(width, e), *b);
        }
        break;
    case MUL:
        e = target + bias - biased_exp(width, *a);
        *b = compose(width, flip, clamp_exp(width, e), *b);
        break;
    case DIV:
        if (pick(rng, 2)) {
            *a = ours(MUL, width, &env, *a, *b, 0) + jitter;
        } else {
            e = biased_exp(width, *a) - target + bias;
            *b = compose(width, flip, clamp_exp(width, e), *b);
        }
        break;
    case SQRT:
        *a = ours(MUL, width, &env, *a, *a, 0) + jitter;
        break;
    case FMA:
        if (pick(rng, 2)) {
            e = target + bias - biased_exp(width, *a);
            *b = compose(width, flip, clamp_exp(width, e), *b);
        }
        *c = ours(MUL, width, &env, *a, *b, 0);
        switch (pick(rng, 3)) {
        case 0:
            *c += jitter;
            break;
        case 1: /* what the rounded product lost, so that the sum is all but a number or a tie */
            *c = ours(FMA, width, &env, *a, *b, *c ^ sign_bit(width)) + jitter;
            break;
        default:
            e = biased_exp(width, *c) + (int)pick(rng, 4 * frac_bits(width)) - 2 * frac_bits(width);
            *c = compose(width, flip, clamp_exp(width, e), next_random(rng));
            break;
        }
        if (flip) {
            *c ^= sign_bit(width);
        }
        break;
    }
    *a &= UINT64_MAX >> (64 - width);
    *b &= UINT64_MAX >> (64 - width);
    *c &= UINT64_MAX >> (64 - width);
}

/* An environment in which host arithmetic would give other results and leave traces. */
#define CSR_HOSTILE (CSR_DEFAULT | 0x8040u | 2u << 13) /* flush to zero both ways, round up */

/*
 * Where binary128 has no answer, ties-away gives what RNE gives: a NaN, an infinity, a zero, or one
 * of the operands.
 */
static void check_arith(Op op, int width, int rm, const uint64_t v[3], unsigned sticky,
                        bool ask_quad)
{
    FpEnv soft = { .rm = rm, .flags = sticky };
    FpEnv short_cut = { .rm = rm, .flags = sticky, .fp_hostfloat = 1 };
    uint64_t got;
    uint64_t want;
    unsigned flags = sticky;
    bool quad_answered = false;

    write_csr(CSR_HOSTILE);
    got = ours(op, width, &soft, v[0], v[1], v[2]);
    assert_int_equal(read_csr(), CSR_HOSTILE);
    write_csr(CSR_DEFAULT);

    if (ask_quad || rm == FP_RMM || !host_can(op)) {
        quad_answered = quad_arith(op, width, rm, v, &want, &flags);
        if (quad_answered) {
            expect(OP_NAMES[op], width, rm, v, got, soft.flags, want, flags);
        }
    }
    if (host_can(op) && !(rm == FP_RMM && quad_answered)) {
        flags = sticky;
        want = host_arith(op, width, rm == FP_RMM ? FP_RNE : rm, v, &flags);
        expect(OP_NAMES[op], width, rm, v, got, soft.flags, want, flags);
    }

    write_csr(CSR_DEFAULT);
    want = ours(op, width, &short_cut, v[0], v[1], v[2]);
    if (rm != FP_RNE || !(sticky & NX)) {
        assert_int_equal(read_csr(), CSR_DEFAULT);
    }
    expect("with fp_hostfloat", width, rm, v, want, short_cut.flags, got, soft.flags);
}

/* That fp_hostfloat does reach the host's unit, which leaves its inexact flag as a trace. */
static void test_short_cut_taken(void **state)
{
    (void)state;
    for (int width = 32; width <= 64; width += 32) {
        uint64_t three = width == 64 ? 0x4008000000000000 : 0x40400000;
        uint64_t tenth = width == 64 ? 0x3fb999999999999a : 0x3dcccccd;
        uint64_t fifth = width == 64 ? 0x3fc999999999999a : 0x3e4ccccd;

        for (Op op = ADD; op <= FMA; op++) {
            FpEnv env = { .rm = FP_RNE, .flags = NX, .fp_hostfloat = 1 };

            if (host_can(op)) {
                write_csr(CSR_DEFAULT);
                ours(op, width, &env, three, tenth, fifth);
                assert_int_equal(read_csr(), CSR_DEFAULT | CSR_INEXACT);
            }
        }
    }
    write_csr(CSR_DEFAULT);
}

/* Every combination of the values at which anything changes, in every mode. */
static void test_edges(void **state)
{
    uint64_t edges[MAX_EDGES];

    (void)state;
    for (int width = 32; width <= 64; width += 32) {
        size_t n = edge_values(width, edges);

        for (size_t i = 0; i < n * n * n; i++) {
            uint64_t v[3] = { edges[i % n], edges[i / n % n], edges[i / n / n] };

            for (int rm = FP_RNE; rm <= FP_RMM; rm++) {
                check_arith(FMA, width, rm, v, i % 32, i % 4 == 0);
                for (Op op = ADD; i < n * n && op <= SQRT; op++) {
                    check_arith(op, width, rm, v, i % 32, true);
                }
            }
        }
    }
}

static void random_arith(const Fixture *fixture, Op op, int width)
{
    uint64_t rng = fixture->seed + op * 2 + width;

    for (unsigned i = 0; i < fixture->cases; i++) {
        uint64_t v[3];
        uint64_t r = next_random(&rng);

        for (int k = 0; k < 3; k++) {
            v[k] = random_operand(width, &rng);
        }
        if (i & 1) {
            steer(op, width, &rng, &v[0], &v[1], &v[2]);
        }
        /* Two in three start with NX, where the short cut is open; one in four asks binary128. */
        check_arith(op, width, (r & 0xffff) * 5 >> 16, v, (r >> 16 & 0x1f) | (i % 3 != 0),
                    (r >> 32) % 4 == 0);
    }
}

#define RANDOM_TEST(name, op)                                                                      \
    static void test_random_##name(void **state)                                                   \
    {                                                                                              \
        random_arith(*state, op, 32);                                                              \
        random_arith(*state, op, 64);                                                              \
    }

RANDOM_TEST(add, ADD)
RANDOM_TEST(sub, SUB)
RANDOM_TEST(mul, MUL)
RANDOM_TEST(div, DIV)
RANDOM_TEST(sqrt, SQRT)
RANDOM_TEST(fma, FMA)

/* --- Conversions against the witnesses ----------------------------------------------------- */

static void check_formats(int from, uint64_t a, int rm)
{
    FpEnv env = { .rm = rm };
    uint64_t v[3] = { a };
    uint64_t got = from == 32 ? fp32_to_fp64(&env, a) : fp64_to_fp32(&env, a);
    uint64_t want;
    unsigned flags = 0;

    if (from == 64 && is_finite(64, a) && magnitude(64, a) != 0) {
        want = quad_narrow(rm, a, &flags);
        expect("fp64_to_fp32", from, rm, v, got, env.flags, want, flags);
    }
    if (rm != FP_RMM || from == 32) {
        flags = 0;
        want = host_convert(96 - from, rm == FP_RMM ? FP_RNE : rm, a, &flags);
        expect("between formats", from, rm, v, got, env.flags, want, flags);
    }
}

static void check_to_int(int width, uint64_t a, int rm)
{
    const uint64_t v[3] = { a };
    FpEnv env[4] = { { .rm = rm }, { .rm = rm }, { .rm = rm }, { .rm = rm } };
    bool wide = width == 64;
    const struct {
        const char *name;
        __int128 got, min, max;
    } kinds[4] = {
        { "to_i32", wide ? fp64_to_i32(&env[0], a) : fp32_to_i32(&env[0], a), INT32_MIN,
          INT32_MAX },
        { "to_u32", wide ? fp64_to_u32(&env[1], a) : fp32_to_u32(&env[1], a), 0, UINT32_MAX },
        { "to_i64", wide ? fp64_to_i64(&env[2], a) : fp32_to_i64(&env[2], a), INT64_MIN,
          INT64_MAX },
        { "to_u64", wide ? fp64_to_u64(&env[3], a) : fp32_to_u64(&env[3], a), 0, UINT64_MAX },
    };
    unsigned flags;
    int64_t want;

    for (int i = 0; i < 4; i++) {
        __int128 exact;

        flags = 0;
        exact = quad_to_int(width, rm, a, kinds[i].min, kinds[i].max, &flags);
        expect(kinds[i].name, width, rm, v, kinds[i].got, env[i].flags, exact, flags);
    }
    if (rm != FP_RMM) {
        flags = 0;
        want = host_to_int(width, rm, a, &flags);
        if (!(flags & NV)) {
            expect("to_i64", width, rm, v, kinds[2].got, env[2].flags, want, flags);
        }
    }
}

static void check_from_int(int width, uint64_t a, int rm)
{
    const uint64_t v[3] = { a };
    bool wide = width == 64;
    const struct {
        const char *name;
        bool sign;
        uint64_t mag;
    } kinds[4] = {
        { "from_i32", (int32_t)a < 0, (int32_t)a < 0 ? -(int64_t)(int32_t)a : (int32_t)a },
        { "from_u32", false, (uint32_t)a },
        { "from_i64", (int64_t)a < 0, (int64_t)a < 0 ? -a : a },
        { "from_u64", false, a },
    };

    for (int i = 0; i < 4; i++) {
        FpEnv env = { .rm = rm };
        unsigned flags = 0;
        uint64_t want = 0;
        uint64_t got;

        switch (i) {
        case 0:
            got = wide ? fp64_from_i32(&env, a) : fp32_from_i32(&env, a);
            break;
        case 1:
            got = wide ? fp64_from_u32(&env, a) : fp32_from_u32(&env, a);
            break;
        case 2:
            got = wide ? fp64_from_i64(&env, a) : fp32_from_i64(&env, a);
            break;
        default:
            got = wide ? fp64_from_u64(&env, a) : fp32_from_u64(&env, a);
            break;
        }
        if (kinds[i].mag != 0) {
            want = quad_from_int(width, rm, kinds[i].sign, kinds[i].mag, &flags);
        }
        expect(kinds[i].name, width, rm, v, got, env.flags, want, flags);
        if (rm != FP_RMM && (i == 2 || kinds[i].mag <= INT64_MAX)) {
            flags = 0;
            want = host_from_int(width, rm, kinds[i].sign ? -kinds[i].mag : kinds[i].mag, &flags);
            expect(kinds[i].name, width, rm, v, got, env.flags, want, flags);
        }
    }
}

/* Around an integer's limits and one half, which random operands seldom meet. */
static uint64_t random_near_int(int width, uint64_t *rng)
{
    int bias = exp_max(width) / 2;

    return compose(width, pick(rng, 2), bias - 3 + pick(rng, 70), random_frac(width, rng));
}

static uint64_t random_int(uint64_t *rng)
{
    uint64_t r = random_frac(64, rng) >> pick(rng, 64);

    return pick(rng, 2) ? r : -r;
}

static void test_conversions(void **state)
{
    const Fixture *fixture = *state;
    uint64_t rng = fixture->seed;
    uint64_t edges[MAX_EDGES];

    for (int width = 32; width <= 64; width += 32) {
        size_t n = edge_values(width, edges);

        for (int rm = FP_RNE; rm <= FP_RMM; rm++) {
            for (size_t i = 0; i < n; i++) {
                check_formats(width, edges[i], rm);
                check_to_int(width, edges[i], rm);
                check_from_int(width, edges[i], rm);
            }
            /* Each power of two and its neighbours: every limit of every integer type. */
            for (int i = 0; i < 64; i++) {
                for (int offset = -1; offset <= 1; offset++) {
                    check_from_int(width, (UINT64_C(1) << i) + offset, rm);
                    check_from_int(width, -(UINT64_C(1) << i) + offset, rm);
                }
            }
        }
        for (unsigned i = 0; i < fixture->cases; i++) {
            int rm = pick(&rng, 5);

            check_formats(width, random_operand(width, &rng), rm);
            check_to_int(width, i & 1 ? random_near_int(width, &rng) : random_operand(width, &rng),
                         rm);
            check_from_int(width, random_int(&rng), rm);
        }
        /* binary64 values around the limits of binary32, where narrowing rounds and overflows. */
        for (unsigned i = 0; i < fixture->cases; i++) {
            int biased = 1023 + (i & 1 ? 120 : -160) + (int)pick(&rng, 40);

            check_formats(64, compose(64, i & 2, biased, random_frac(64, &rng)), pick(&rng, 5));
        }
    }
}

/* --- Comparison, minimum, maximum, class --------------------------------------------------- */

/* minimumNumber or maximumNumber in terms of the host's comparison. */
static uint64_t expected_extreme(int width, bool max, uint64_t a, uint64_t b, unsigned *flags)
{
    unsigned ignored = 0;

    *flags |= is_snan(width, a) || is_snan(width, b) ? NV : 0;
    if (is_nan(width, a) && is_nan(width, b)) {
        return width == 64 ? FP64_CANONICAL_NAN : FP32_CANONICAL_NAN;
    }
    if (is_nan(width, a) || is_nan(width, b)) {
        return is_nan(width, a) ? b : a;
    }
    if (magnitude(width, a) == 0 && magnitude(width, b) == 0) {
        return (a != 0) == max ? b : a;
    }
    return host_compare(LT, width, a, b, &ignored) == max ? b : a;
}

static void check_order(int width, uint64_t a, uint64_t b)
{
    const uint64_t v[3] = { a, b };
    bool wide = width == 64;

    for (int i = 0; i < 5; i++) {
        FpEnv env = { .rm = FP_RNE };
        unsigned flags = 0;
        uint64_t got;
        uint64_t want;

        switch (i) {
        case 0:
            got = wide ? fp64_eq(&env, a, b) : fp32_eq(&env, a, b);
            want = host_compare(EQ, width, a, b, &flags);
            break;
        case 1:
            got = wide ? fp64_lt(&env, a, b) : fp32_lt(&env, a, b);
            want = host_compare(LT, width, a, b, &flags);
            break;
        case 2:
            got = wide ? fp64_le(&env, a, b) : fp32_le(&env, a, b);
            want = host_compare(LE, width, a, b, &flags);
            break;
        case 3:
            got = wide ? fp64_min(&env, a, b) : fp32_min(&env, a, b);
            want = expected_extreme(width, false, a, b, &flags);
            break;
        default:
            got = wide ? fp64_max(&env, a, b) : fp32_max(&env, a, b);
            want = expected_extreme(width, true, a, b, &flags);
            break;
        }
        expect(((const char *[]){ "eq", "lt", "le", "min", "max" })[i], width, FP_RNE, v, got,
               env.flags, want, flags);
    }
}

static void test_order(void **state)
{
    const Fixture *fixture = *state;
    uint64_t rng = fixture->seed;
    uint64_t edges[MAX_EDGES];

    for (int width = 32; width <= 64; width += 32) {
        size_t n = edge_values(width, edges);

        for (size_t i = 0; i < n * n; i++) {
            check_order(width, edges[i % n], edges[i / n]);
        }
        for (unsigned i = 0; i < fixture->cases; i++) {
            uint64_t a = random_operand(width, &rng);
            uint64_t b = random_operand(width, &rng);

            check_order(width, a, i & 1 ? b : (a + pick(&rng, 3) - 1) & UINT64_MAX >> (64 - width));
        }
    }
}

#else

static void test_witnesses(void **state)
{
    (void)state;
    print_message("no witness for the arithmetic on this host: only cases by hand were run\n");
    skip();
}

#endif

int main(int argc, char **argv)
{
    Fixture fixture = {
        .cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 500000,
        .seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1,
    };
    void *state = &fixture;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_by_hand),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_boxing),
        cmocka_unit_test(test_class),
#ifdef __x86_64__
        cmocka_unit_test(test_short_cut_taken),
        cmocka_unit_test(test_edges),
        cmocka_unit_test_prestate(test_random_add, state),
        cmocka_unit_test_prestate(test_random_sub, state),
        cmocka_unit_test_prestate(test_random_mul, state),
        cmocka_unit_test_prestate(test_random_div, state),
        cmocka_unit_test_prestate(test_random_sqrt, state),
        cmocka_unit_test_prestate(test_random_fma, state),
        cmocka_unit_test_prestate(test_conversions, state),
        cmocka_unit_test_prestate(test_order, state),
#else
        cmocka_unit_test_prestate(test_witnesses, state),
#endif
    };

    return cmocka_run_group_tests_name("fpu", tests, NULL, NULL);
}
