/* SPDX-License-Identifier: MIT */
/*
 * Addition, multiplication, division, root, fused multiply-add, and the rounding they end in. Every
 * operation has three steps: unpack, compute on the parts, round and pack. The idea to hold: one
 * body per operation serves both formats, and each result that is not rounded by round_pack() is
 * exact.
 */
#include "target/riscv/fpu-internal.h"

#include <float.h>
#include <string.h>

/* Products and radicands before they are narrowed to 64 bits. */
typedef unsigned __int128 Wide;

/* --- Round and pack ------------------------------------------------------------------------ */

/* Modes that round towards zero from this sign stop at the largest finite number. */
RARE uint64_t overflow(FpFormat f, FpEnv *env, bool sign)
{
    bool stops = env->rm == FP_RTZ || (env->rm == FP_RDN && !sign) || (env->rm == FP_RUP && sign);

    env->flags |= FP_OF | FP_NX;
    return infinity(f, sign) - stops;
}

/*
 * The significand is added to the exponent field rather than OR-ed: its implicit top bit adds the 1
 * that was left out of the field, a subnormal has no such bit and so gets the field 0 it needs, and
 * a carry out of rounding moves to the next binade, to the smallest normal number, or to infinity,
 * all of which are then right as they stand.
 */
PER_FORMAT uint64_t round_pack_body(FpFormat f, FpEnv *env, bool sign, int exp, uint64_t sig)
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

uint32_t fp32_round_pack(FpEnv *env, bool sign, int exp, uint64_t sig)
{
    return round_pack_body(BINARY32, env, sign, exp, sig);
}

uint64_t fp64_round_pack(FpEnv *env, bool sign, int exp, uint64_t sig)
{
    return round_pack_body(BINARY64, env, sign, exp, sig);
}

/* --- Addition ------------------------------------------------------------------------------ */

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

/* The sum of two numbers that cancel: +0, but -0 when rounding down (IEEE 754-2019, 6.3). */
PER_FORMAT uint64_t cancelled(FpFormat f, const FpEnv *env)
{
    return zero(f, env->rm == FP_RDN);
}

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

/* --- Multiplication ------------------------------------------------------------------------ */

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

/* --- Fused multiply-add -------------------------------------------------------------------- */

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
 * As soft_add(), with 128-bit significands because the product must stay exact until the sum is
 * known. The same argument about the sticky bit holds: at least 22 low bits of either are zero.
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

/* --- Division ------------------------------------------------------------------------------ */

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
    return round_pack(f, env, p.sign != q.sign, p.exp - q.exp - below_one, divide_sticky(n, q.sig));
}

/* --- Square root --------------------------------------------------------------------------- */

/* n = root^2 + rem with rem <= 2 * root. */
typedef struct RootRem {
    uint64_t root;
    uint64_t rem;
} RootRem;

/* Digit by digit, as by hand: `rem` takes two more bits of n for each bit of the root. */
static RootRem sqrt_rem16(uint16_t n)
{
    RootRem s = { 0, 0 };

    for (int i = 14; i >= 0; i -= 2) {
        uint64_t rem = s.rem << 2 | (n >> i & 3);
        uint64_t trial = s.root << 2 | 1;
        bool digit = rem >= trial;

        s.rem = digit ? rem - trial : rem;
        s.root = s.root << 1 | digit;
    }
    return s;
}

/*
 * From the root of high to that of n = high * b^2 + n1 * b + n0, where b = 2^bits and n1, n0 < b,
 * by P. Zimmermann, "Karatsuba Square Root" (INRIA RR-3805): divide rem * b + n1 by 2 * root; with
 * q the quotient, the new root is root * b + q or one less. The top two bits of high are not both 0.
 */
static inline RootRem sqrt_double(RootRem high, int bits, uint64_t n1, uint64_t n0)
{
    uint64_t dividend = high.rem << bits | n1;
    uint64_t q = dividend / (2 * high.root);
    uint64_t low = (dividend % (2 * high.root) << bits) + n0;
    uint64_t root = (high.root << bits) + q;

    if (low < q * q) {
        low += 2 * root - 1;
        root--;
    }
    return (RootRem){ root, low - q * q };
}

static RootRem sqrt_rem64(uint64_t n)
{
    RootRem s16 = sqrt_rem16(n >> 48);
    RootRem s32 = sqrt_double(s16, 8, n >> 40 & 0xff, n >> 32 & 0xff);

    return sqrt_double(s32, 16, n >> 16 & 0xffff, n & 0xffff);
}

/*
 * The root of n * 2^64: the last doubling, where n1 and n0 are 0. Dividend and remainder may need 65
 * bits, so the dividend is halved and divided by root; and the remainder is folded into the lowest
 * bit of the result. A root that had to be lowered has a remainder: for n = (root * b + d)^2 the
 * quotient is d + (d^2 / b) / (2 * root) rounded down, which is d because d < b <= 2 * root.
 */
static uint64_t sqrt_sticky128(uint64_t n)
{
    RootRem high = sqrt_rem64(n);
    uint64_t q = (high.rem << 31) / high.root;
    uint64_t u = (high.rem << 31) % high.root << 1;
    uint64_t root = (high.root << 32) + q; /* may wrap to 0, and is then one too large */
    Wide low = (Wide)u << 32;
    Wide square = (Wide)q * q;

    return low < square ? (root - 1) | 1 : root | (low != square);
}

PER_FORMAT uint64_t soft_sqrt(FpFormat f, FpEnv *env, uint64_t a)
{
    FpParts p = unpack(f, a);
    bool odd = p.exp & 1;
    int half_exp = (p.exp - odd) / 2;
    uint64_t radicand;

    if (UNLIKELY(p.kind || p.sign)) {
        if (p.kind == KIND_NAN) {
            return nan_result(f, env, a, a);
        }
        return p.kind == KIND_ZERO || !p.sign ? a : invalid(f, env);
    }
    /* An odd exponent lends the radicand a factor 2; the bit that goes otherwise is a spare one. */
    radicand = odd ? p.sig : p.sig >> 1;
    if (f.frac_bits < 30) {
        RootRem s = sqrt_rem64(radicand);

        return round_pack(f, env, false, half_exp, s.root << 32 | (s.rem != 0));
    }
    return round_pack(f, env, false, half_exp, sqrt_sticky128(radicand));
}

/* --- The short cut through the host's unit ------------------------------------------------- */

/*
 * Under FP_RNE with FP_NX already set, a host operation in its default environment differs from the
 * integer code at most by flags other than FP_NX, or by the bits of a NaN. A finite result rules
 * out infinite and NaN operands, and so FP_NV, FP_DZ and FP_OF; FP_UF is ruled out by a result
 * above the smallest normal number (at that number a tiny value may have been rounded up). Sums need
 * no such bound: a tiny sum is a multiple of the smallest subnormal number, hence exact.
 *
 * OPAQUE hides a result's origin from the compiler, which might otherwise contract a product and a
 * sum that meet after inlining. Root and fused multiply-add are written out because the C functions
 * would bring in libm, which handles errno and, without the instruction, is slower than soft_fma().
 */
#if defined(__x86_64__) && FLT_EVAL_METHOD == 0 && !defined(__FAST_MATH__)
#define HOST_FPU 1
#define OPAQUE(x) __asm__("" : "+x"(x))
#else
#define HOST_FPU 0
#define OPAQUE(x) ((void)(x))
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

static inline double host_sqrt64(double a)
{
#if HOST_FPU
    __asm__("sqrtsd %0, %0" : "+x"(a));
#endif
    return a;
}

static inline float host_sqrt32(float a)
{
#if HOST_FPU
    __asm__("sqrtss %0, %0" : "+x"(a));
#endif
    return a;
}

static inline bool host_has_fma(void)
{
#if HOST_FPU
    return __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

/* a * b + c; only where host_has_fma(). */
static inline double host_fma64(double a, double b, double c)
{
#if HOST_FPU
    __asm__("vfmadd213sd %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
#else
    (void)b;
    (void)c;
#endif
    return a;
}

static inline float host_fma32(float a, float b, float c)
{
#if HOST_FPU
    __asm__("vfmadd213ss %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
#else
    (void)b;
    (void)c;
#endif
    return a;
}

/* --- The operations of fpu.h --------------------------------------------------------------- */

uint32_t fp32_add(FpEnv *env, uint32_t a, uint32_t b)
{
    if (host_may_run(env)) {
        uint32_t result = bits_of_float(float_of(a) + float_of(b));

        if (LIKELY(is_finite(BINARY32, result))) {
            return result;
        }
    }
    return soft_add(BINARY32, env, a, b);
}

uint64_t fp64_add(FpEnv *env, uint64_t a, uint64_t b)
{
    if (host_may_run(env)) {
        uint64_t result = bits_of_double(double_of(a) + double_of(b));

        if (LIKELY(is_finite(BINARY64, result))) {
            return result;
        }
    }
    return soft_add(BINARY64, env, a, b);
}

uint32_t fp32_sub(FpEnv *env, uint32_t a, uint32_t b)
{
    if (host_may_run(env)) {
        uint32_t result = bits_of_float(float_of(a) - float_of(b));

        if (LIKELY(is_finite(BINARY32, result))) {
            return result;
        }
    }
    return soft_add(BINARY32, env, a, b ^ sign_mask(BINARY32));
}

uint64_t fp64_sub(FpEnv *env, uint64_t a, uint64_t b)
{
    if (host_may_run(env)) {
        uint64_t result = bits_of_double(double_of(a) - double_of(b));

        if (LIKELY(is_finite(BINARY64, result))) {
            return result;
        }
    }
    return soft_add(BINARY64, env, a, b ^ sign_mask(BINARY64));
}

uint32_t fp32_mul(FpEnv *env, uint32_t a, uint32_t b)
{
    if (host_may_run(env)) {
        uint32_t result = bits_of_float(float_of(a) * float_of(b));

        if (LIKELY(is_finite_above_tiny(BINARY32, result))) {
            return result;
        }
    }
    return soft_mul(BINARY32, env, a, b);
}

uint64_t fp64_mul(FpEnv *env, uint64_t a, uint64_t b)
{
    if (host_may_run(env)) {
        uint64_t result = bits_of_double(double_of(a) * double_of(b));

        if (LIKELY(is_finite_above_tiny(BINARY64, result))) {
            return result;
        }
    }
    return soft_mul(BINARY64, env, a, b);
}

uint32_t fp32_div(FpEnv *env, uint32_t a, uint32_t b)
{
    if (host_may_run(env)) {
        uint32_t result = bits_of_float(float_of(a) / float_of(b));

        if (LIKELY(is_finite_above_tiny(BINARY32, result))) {
            return result;
        }
    }
    return soft_div(BINARY32, env, a, b);
}

uint64_t fp64_div(FpEnv *env, uint64_t a, uint64_t b)
{
    if (host_may_run(env)) {
        uint64_t result = bits_of_double(double_of(a) / double_of(b));

        if (LIKELY(is_finite_above_tiny(BINARY64, result))) {
            return result;
        }
    }
    return soft_div(BINARY64, env, a, b);
}

uint32_t fp32_sqrt(FpEnv *env, uint32_t a)
{
    if (host_may_run(env)) {
        uint32_t result = bits_of_float(host_sqrt32(float_of(a)));

        if (LIKELY(is_finite_above_tiny(BINARY32, result))) {
            return result;
        }
    }
    return soft_sqrt(BINARY32, env, a);
}

uint64_t fp64_sqrt(FpEnv *env, uint64_t a)
{
    if (host_may_run(env)) {
        uint64_t result = bits_of_double(host_sqrt64(double_of(a)));

        if (LIKELY(is_finite_above_tiny(BINARY64, result))) {
            return result;
        }
    }
    return soft_sqrt(BINARY64, env, a);
}

uint32_t fp32_fma(FpEnv *env, uint32_t a, uint32_t b, uint32_t c)
{
    if (host_may_run(env) && host_has_fma()) {
        uint32_t result = bits_of_float(host_fma32(float_of(a), float_of(b), float_of(c)));

        if (LIKELY(is_finite_above_tiny(BINARY32, result))) {
            return result;
        }
    }
    return soft_fma(BINARY32, env, a, b, c);
}

uint64_t fp64_fma(FpEnv *env, uint64_t a, uint64_t b, uint64_t c)
{
    if (host_may_run(env) && host_has_fma()) {
        uint64_t result = bits_of_double(host_fma64(double_of(a), double_of(b), double_of(c)));

        if (LIKELY(is_finite_above_tiny(BINARY64, result))) {
            return result;
        }
    }
    return soft_fma(BINARY64, env, a, b, c);
}
