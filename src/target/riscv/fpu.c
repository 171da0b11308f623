/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic behind fpu.h. Every operation has the same three steps: unpack() turns a bit
 * pattern into sign, exponent and a 64-bit significand whose top bit is set; the operation works on
 * those and folds what it cannot keep into the lowest bit (the "sticky" bit); round_pack(), the
 * only place that rounds, makes the bit pattern and the flags. The idea to hold: between the two
 * ends nothing depends on the format, so one body serves binary32 and binary64 alike.
 *
 * Why a sticky bit is enough: rounding asks of the discarded part only whether it is zero, below,
 * at, or above one half. binary64 leaves 11 spare bits below its 53, so bit 0 is far below the half
 * and may stand for "something not zero follows".
 */
#include "target/riscv/fpu.h"

#include <float.h>
#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Bodies shared by the formats are inlined into each, so that FpFormat folds into constants. */
#define PER_FORMAT static inline __attribute__((always_inline))

/* Cases off the usual path stay out of line, to keep the usual one short. */
#define RARE static __attribute__((noinline, cold))

/* Products and radicands before they are narrowed to 64 bits. */
typedef unsigned __int128 Wide;

#define TOP_BIT (UINT64_C(1) << 63)

/* --- Formats ------------------------------------------------------------------------------ */

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

/* --- Unpack --------------------------------------------------------------------------------- */

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

/* --- Round and pack --------------------------------------------------------------------------- */

PER_FORMAT uint64_t shift_right_sticky(uint64_t x, unsigned n)
{
    if (n > 63) {
        return x != 0;
    }
    return x >> n | ((x & ((UINT64_C(1) << n) - 1)) != 0);
}

PER_FORMAT Wide shift_right_sticky_wide(Wide x, unsigned n)
{
    if (n > 127) {
        return x != 0;
    }
    return x >> n | ((x & (((Wide)1 << n) - 1)) != 0);
}

PER_FORMAT uint64_t narrow_sticky(Wide x)
{
    return (uint64_t)(x >> 64) | ((uint64_t)x != 0);
}

/*
 * Whether a magnitude must grow by one unit in its last place when `tail` is cut off. TOP_BIT of the
 * tail weighs half a unit; `odd` is the last bit that is kept.
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

/* Modes that round towards zero from this sign stop at the largest finite number. */
RARE uint64_t overflow(FpFormat f, FpEnv *env, bool sign)
{
    bool stops = env->rm == FP_RTZ || (env->rm == FP_RDN && !sign) || (env->rm == FP_RUP && sign);

    env->flags |= FP_OF | FP_NX;
    return infinity(f, sign) - stops;
}

/*
 * The bit pattern nearest to (-1)^sign * sig/2^63 * 2^exp by env->rm. TOP_BIT is set in `sig`, whose
 * bit 0 may be sticky.
 *
 * The significand is added to the exponent field rather than OR-ed: its implicit top bit adds the 1
 * that was left out of the field, a subnormal has no such bit and so gets the field 0 it needs, and
 * a carry out of rounding moves to the next binade, to the smallest normal number, or to infinity,
 * all of which are then right as they stand.
 */
PER_FORMAT uint64_t round_pack(FpFormat f, FpEnv *env, bool sign, int exp, uint64_t sig)
{
    int biased = exp + exp_bias(f);
    bool tiny = false;
    uint64_t packed;
    uint64_t tail;

    if (UNLIKELY(biased <= 0)) {
        /*
         * Tiny after rounding: below the smallest normal number even when rounded to full precision
         * with no limit on the exponent. Only the binade just below can be rounded out of it.
         */
        bool all_ones = sig >> spare_bits(f) == UINT64_MAX >> spare_bits(f);

        tail = sig << (f.frac_bits + 1);
        tiny = !(biased == 0 && all_ones && rounds_up(env->rm, sign, true, tail));
        sig = shift_right_sticky(sig, 1 - biased);
        biased = 1;
    } else if (UNLIKELY(biased >= exp_max(f))) {
        return overflow(f, env, sign);
    }

    tail = sig << (f.frac_bits + 1);
    packed = ((uint64_t)(biased - 1) << f.frac_bits) + (sig >> spare_bits(f));
    if (tail != 0) {
        packed += rounds_up(env->rm, sign, packed & 1, tail);
        if (UNLIKELY(packed == infinity(f, false))) {
            return overflow(f, env, sign);
        }
        env->flags |= tiny ? FP_UF | FP_NX : FP_NX;
    }
    return packed | zero(f, sign);
}

/* --- NaNs and exact zeros --------------------------------------------------------------------- */

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

/* The sum of two numbers that cancel: +0, but -0 when rounding down (IEEE 754-2019, 6.3). */
PER_FORMAT uint64_t cancelled(FpFormat f, const FpEnv *env)
{
    return zero(f, env->rm == FP_RDN);
}

/* --- Addition ----------------------------------------------------------------------------------- */

/* The *_special functions answer when an operand is zero, infinite, or a NaN. */
RARE uint64_t add_special(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);

    if ((p.kind | q.kind) & KIND_NAN) {
        return nan_result(f, env, a, b);
    }
    if (p.kind == KIND_INF && q.kind == KIND_INF && p.sign != q.sign) {
        return invalid(f, env);
    }
    if (p.kind == KIND_INF || q.kind == KIND_INF) {
        return p.kind == KIND_INF ? a : b;
    }
    if (p.kind == KIND_ZERO && q.kind == KIND_ZERO) {
        return p.sign == q.sign ? a : cancelled(f, env);
    }
    return p.kind == KIND_ZERO ? b : a;
}

/*
 * The smaller operand is shifted to the exponent of the larger. That is exact for a shift of up to
 * one (the spare bits are zero); for a larger one the sum loses at most its top bit, so the sticky
 * bit stays clear of the bits that decide the rounding.
 */
PER_FORMAT uint64_t soft_add(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    uint64_t sum;
    uint64_t smaller;

    if (UNLIKELY(p.kind | q.kind)) {
        return add_special(f, env, a, b);
    }
    if (magnitude(f, a) < magnitude(f, b)) {
        FpParts t = p;

        p = q;
        q = t;
    }
    smaller = shift_right_sticky(q.sig, p.exp - q.exp);
    if (p.sign == q.sign) {
        if (__builtin_add_overflow(p.sig, smaller, &sum)) {
            sum = TOP_BIT | shift_right_sticky(sum, 1);
            p.exp++;
        }
    } else {
        int shift;

        sum = p.sig - smaller;
        if (UNLIKELY(sum == 0)) {
            return cancelled(f, env);
        }
        shift = __builtin_clzll(sum);
        sum <<= shift;
        p.exp -= shift;
    }
    return round_pack(f, env, p.sign, p.exp, sum);
}

/* --- Multiplication ----------------------------------------------------------------------------- */

RARE uint64_t mul_special(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    bool sign = p.sign != q.sign;

    if ((p.kind | q.kind) & KIND_NAN) {
        return nan_result(f, env, a, b);
    }
    if ((p.kind | q.kind) == (KIND_INF | KIND_ZERO)) {
        return invalid(f, env);
    }
    return (p.kind | q.kind) & KIND_INF ? infinity(f, sign) : zero(f, sign);
}

/* The exact product of two significands has its top bit at 126 or 127; it is moved to 127. */
PER_FORMAT Wide product(FpParts p, FpParts q, int *exp)
{
    Wide sig = (Wide)p.sig * q.sig;

    *exp = p.exp + q.exp + 1;
    if (!(sig >> 127)) {
        sig <<= 1;
        *exp -= 1;
    }
    return sig;
}

PER_FORMAT uint64_t soft_mul(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    Wide sig;
    int exp;

    if (UNLIKELY(p.kind | q.kind)) {
        return mul_special(f, env, a, b);
    }
    sig = product(p, q, &exp);
    return round_pack(f, env, p.sign != q.sign, exp, narrow_sticky(sig));
}

/* --- Fused multiply-add ------------------------------------------------------------------------- */

RARE uint64_t fma_special(FpFormat f, FpEnv *env, uint64_t a, uint64_t b, uint64_t c)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    FpParts r = unpack(f, c);
    bool sign = p.sign != q.sign;
    int exp;
    Wide sig;

    if ((p.kind | q.kind) == (KIND_INF | KIND_ZERO)) {
        return invalid(f, env);
    }
    if ((p.kind | q.kind | r.kind) & KIND_NAN) {
        return is_snan(f, c) ? invalid(f, env) : nan_result(f, env, a, b);
    }
    if ((p.kind | q.kind) & KIND_INF) {
        return r.kind == KIND_INF && r.sign != sign ? invalid(f, env) : infinity(f, sign);
    }
    if (r.kind == KIND_INF) {
        return c;
    }
    if ((p.kind | q.kind) & KIND_ZERO) {
        return r.kind != KIND_ZERO || r.sign == sign ? c : cancelled(f, env);
    }
    /* A product that is not zero plus a zero: the product, and its rounding, alone. */
    sig = product(p, q, &exp);
    return round_pack(f, env, sign, exp, narrow_sticky(sig));
}

/*
 * As soft_add(), with 128-bit significands because the product must stay exact until the sum is known.
 * The same argument about the sticky bit holds: at least 22 low bits of either are zero.
 */
PER_FORMAT uint64_t soft_fma(FpFormat f, FpEnv *env, uint64_t a, uint64_t b, uint64_t c)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    FpParts r = unpack(f, c);
    bool sign = p.sign != q.sign;
    Wide big;
    Wide small;
    Wide sum;
    int exp;

    if (UNLIKELY(p.kind | q.kind | r.kind)) {
        return fma_special(f, env, a, b, c);
    }
    big = product(p, q, &exp);
    small = (Wide)r.sig << 64;
    if (exp < r.exp || (exp == r.exp && big < small)) {
        Wide t = big;

        big = small;
        small = shift_right_sticky_wide(t, r.exp - exp);
        exp = r.exp;
        p.sign = r.sign;
    } else {
        small = shift_right_sticky_wide(small, exp - r.exp);
        p.sign = sign;
    }
    if (sign == r.sign) {
        if (__builtin_add_overflow(big, small, &sum)) {
            sum = (Wide)TOP_BIT << 64 | shift_right_sticky_wide(sum, 1);
            exp++;
        }
    } else {
        int shift;

        sum = big - small;
        if (UNLIKELY(sum == 0)) {
            return cancelled(f, env);
        }
        shift = sum >> 64 ? __builtin_clzll(sum >> 64) : 64 + __builtin_clzll((uint64_t)sum);
        sum <<= shift;
        exp -= shift;
    }
    return round_pack(f, env, p.sign, exp, narrow_sticky(sum));
}

/* --- Division ----------------------------------------------------------------------------------- */

RARE uint64_t div_special(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    bool sign = p.sign != q.sign;

    if ((p.kind | q.kind) & KIND_NAN) {
        return nan_result(f, env, a, b);
    }
    if (p.kind == q.kind) {
        return invalid(f, env); /* inf/inf or 0/0 */
    }
    if (p.kind == KIND_INF || q.kind == KIND_ZERO) {
        env->flags |= p.kind == KIND_INF ? 0 : FP_DZ;
        return infinity(f, sign);
    }
    return zero(f, sign);
}

/*
 * n / d with the remainder folded into the lowest bit. The quotient fits 64 bits because the
 * callers' n is below d * 2^64; C has no such division and would call a 128-bit routine.
 */
PER_FORMAT uint64_t divide_sticky(Wide n, uint64_t d)
{
    uint64_t quotient;
    uint64_t remainder;

#ifdef __x86_64__
    __asm__("divq %4"
            : "=a"(quotient), "=d"(remainder)
            : "a"((uint64_t)n), "d"((uint64_t)(n >> 64)), "r"(d)
            : "cc");
#else
    quotient = (uint64_t)(n / d);
    remainder = (uint64_t)(n % d);
#endif
    return quotient | (remainder != 0);
}

PER_FORMAT uint64_t soft_div(FpFormat f, FpEnv *env, uint64_t a, uint64_t b)
{
    FpParts p = unpack(f, a);
    FpParts q = unpack(f, b);
    bool below_one = p.sig < q.sig;
    Wide n = (Wide)p.sig << (below_one ? 64 : 63);

    if (UNLIKELY(p.kind | q.kind)) {
        return div_special(f, env, a, b);
    }
    return round_pack(f, env, p.sign != q.sign, p.exp - q.exp - below_one,
                      divide_sticky(n, q.sig));
}

/* --- Square root -------------------------------------------------------------------------------- */

/* n = root^2 + rem with rem <= 2 * root. */
typedef struct RootRem {
    uint64_t root;
    uint64_t rem;
} RootRem;

/* Digit by digit, as by hand: `rem` takes two more bits of n for each bit of the root. */
static RootRem sqrt_rem32(uint32_t n)
{
    RootRem s = { 0, 0 };

    for (int i = 30; i >= 0; i -= 2) {
        uint64_t trial = s.root << 2 | 1;

        s.rem = s.rem << 2 | (n >> i & 3);
        s.root <<= 1;
        if (s.rem >= trial) {
            s.rem -= trial;
            s.root |= 1;
        }
    }
    return s;
}

/*
 * The root of twice as many digits, by P. Zimmermann, "Karatsuba Square Root" (INRIA RR-3805): with
 * n = high * b^2 + n1 * b + n0 and high = s^2 + r, divide r * b + n1 by 2s; the quotient q gives the
 * lower digits, so that the root is s * b + q or one less. n is at least a quarter of its range.
 */
static RootRem sqrt_rem64(uint64_t n)
{
    RootRem s = sqrt_rem32(n >> 32);
    uint64_t n1 = n >> 16 & 0xffff;
    uint64_t n0 = n & 0xffff;
    uint64_t q = (s.rem << 16 | n1) / (2 * s.root);
    uint64_t u = (s.rem << 16 | n1) % (2 * s.root);
    uint64_t root = (s.root << 16) + q;
    int64_t rem = (int64_t)((u << 16) + n0) - (int64_t)(q * q);

    if (rem < 0) {
        rem += 2 * root - 1;
        root--;
    }
    return (RootRem){ root, rem };
}

/*
 * The same once more; the remainder, which may need 65 bits, is folded into the lowest bit. Where q
 * was one too large n is no square: for n = (s * b + q')^2 the quotient is q' + (q'^2 / b) / 2s
 * rounded down, which is q' because q' < b <= 2s.
 */
static uint64_t sqrt_sticky128(Wide n)
{
    RootRem s = sqrt_rem64(n >> 64);
    uint64_t n1 = (uint64_t)n >> 32;
    uint64_t n0 = (uint32_t)n;
    /* r * b + n1 may need 65 bits too, so it is halved and divided by s instead of 2s. */
    uint64_t half = s.rem << 31 | n1 >> 1;
    uint64_t q = half / s.root;
    uint64_t u = half % s.root << 1 | (n1 & 1);
    uint64_t root = (s.root << 32) + q; /* may wrap to 0, and is then one too large */
    Wide low = ((Wide)u << 32) + n0;
    Wide square = (Wide)q * q;

    return low < square ? (root - 1) | 1 : root | (low != square);
}

PER_FORMAT uint64_t soft_sqrt(FpFormat f, FpEnv *env, uint64_t a)
{
    FpParts p = unpack(f, a);
    bool odd = p.exp & 1;
    int half_exp = (p.exp - odd) / 2;

    if (UNLIKELY(p.kind || p.sign)) {
        if (p.kind == KIND_NAN) {
            return nan_result(f, env, a, a);
        }
        return p.kind == KIND_ZERO || !p.sign ? a : invalid(f, env);
    }
    /* The root of sig * 2^63 (or 2^64 when one factor 2 comes from the exponent) has 64 bits. */
    if (f.frac_bits < 30) {
        RootRem s = sqrt_rem64(odd ? p.sig : p.sig >> 1);

        return round_pack(f, env, false, half_exp, s.root << 32 | (s.rem != 0));
    }
    return round_pack(f, env, false, half_exp, sqrt_sticky128((Wide)p.sig << (odd ? 64 : 63)));
}

/* --- The short cut through the host's unit ------------------------------------------------------ */

/*
 * Under FP_RNE with FP_NX already set, a host operation in its default environment differs from the
 * integer code at most by flags other than FP_NX, or by the bits of a NaN. A finite result rules
 * out infinite and NaN operands, and so FP_NV, FP_DZ and FP_OF; FP_UF is ruled out by a result above
 * the smallest normal number (at that number a tiny value may have been rounded up). Sums need no
 * such bound: a tiny sum is a multiple of the smallest subnormal number, hence exact.
 *
 * OPAQUE hides a result's origin from the compiler, which might otherwise contract a product and a
 * sum that meet after inlining; the file is also meant to be compiled with -ffp-contract=off.
 */
#if (defined(__x86_64__) || defined(__aarch64__)) && FLT_EVAL_METHOD == 0 && !defined(__FAST_MATH__)
#define HOST_FPU 1
#else
#define HOST_FPU 0
#endif

#if defined(__x86_64__)
#define OPAQUE(x) __asm__("" : "+x"(x))
#else
#define OPAQUE(x) __asm__("" : "+m"(x))
#endif

static inline bool host_may_run(const FpEnv *env)
{
    return HOST_FPU && env->fp_hostfloat && env->rm == FP_RNE && env->flags & FP_NX;
}

PER_FORMAT bool is_finite(FpFormat f, uint64_t bits)
{
    return magnitude(f, bits) < infinity(f, false);
}

PER_FORMAT bool is_finite_above_tiny(FpFormat f, uint64_t bits)
{
    uint64_t above = (UINT64_C(1) << f.frac_bits) + 1;

    return magnitude(f, bits) - above < infinity(f, false) - above;
}

static inline float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline double double_of(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline uint32_t bits_of_float(float x)
{
    uint32_t bits;

    OPAQUE(x);
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline uint64_t bits_of_double(double x)
{
    uint64_t bits;

    OPAQUE(x);
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}
