/* SPDX-License-Identifier: MIT */
/*
 * Operands and witnesses. The idea to hold: neither witness knows how the unit under test works.
 * The host's unit is only set up and read; binary128 (libgcc's __float128) has more than twice the
 * bits of binary64, so rounding becomes plain arithmetic on an exact, or as good as exact, value.
 */
#include "fpu-witness.h"

#include <string.h>

/* --- Random operands ----------------------------------------------------------------------- */

/* splitmix64 (public domain, S. Vigna). */
uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned pick(uint64_t *rng, unsigned n)
{
    return (next_random(rng) >> 32) * n >> 32;
}

uint64_t compose(int width, bool sign, int biased, uint64_t frac)
{
    return (sign ? sign_bit(width) : 0) | (uint64_t)biased << frac_bits(width) |
           (frac & ((UINT64_C(1) << frac_bits(width)) - 1));
}

int clamp_exp(int width, int biased)
{
    return biased < 0 ? 0 : biased > exp_max(width) ? exp_max(width) : biased;
}

uint64_t random_frac(int width, uint64_t *rng)
{
    int bits = frac_bits(width);
    uint64_t r = next_random(rng);

    switch (pick(rng, 6)) {
    case 0:
        return r << pick(rng, bits + 1);
    case 1:
        return r >> (64 - bits) >> pick(rng, bits);
    case 2:
        return UINT64_MAX << pick(rng, bits + 1);
    case 3:
        return (UINT64_C(1) << pick(rng, bits)) | (UINT64_C(1) << pick(rng, bits));
    default:
        return r;
    }
}

uint64_t random_operand(int width, uint64_t *rng)
{
    static const int EDGES[] = { 0, 1, 2, 3, -1, -2, -3 };
    bool sign = next_random(rng) & 1;
    int bias = exp_max(width) / 2;
    int biased;

    switch (pick(rng, 16)) {
    case 0:
        return next_random(rng) >> (64 - width);
    case 1: /* an infinity or a NaN */
        return compose(width, sign, exp_max(width), pick(rng, 2) ? random_frac(width, rng) : 0);
    case 2: /* zero */
        return compose(width, sign, 0, 0);
    case 3:
        return compose(width, sign, 0, random_frac(width, rng));
    case 4:
    case 5:
        biased = EDGES[pick(rng, ARRAY_SIZE(EDGES))];
        biased = biased < 0 ? biased + exp_max(width) : biased;
        return compose(width, sign, biased, random_frac(width, rng));
    case 6:
    case 7:
        biased = 1 + pick(rng, exp_max(width) - 1);
        return compose(width, sign, biased, random_frac(width, rng));
    default:
        biased = bias - 2 * frac_bits(width) + (int)pick(rng, 4 * frac_bits(width));
        return compose(width, sign, clamp_exp(width, biased), random_frac(width, rng));
    }
}

size_t edge_values(int width, uint64_t out[MAX_EDGES])
{
    int p = frac_bits(width);
    uint64_t one = (uint64_t)(exp_max(width) / 2) << p;
    uint64_t inf = inf_bits(width);
    uint64_t min_normal = UINT64_C(1) << p;
    uint64_t quiet = inf | min_normal >> 1;
    const uint64_t values[] = {
        0,
        1,
        2,
        min_normal / 2,
        min_normal - 1,
        min_normal,
        min_normal + 1,
        2 * min_normal - 1,
        2 * min_normal,
        3 * min_normal,
        one - p * min_normal,
        one - min_normal,
        one - 1,
        one,
        one + 1,
        one + min_normal / 2,
        one + min_normal,
        one + p * min_normal,
        inf - min_normal,
        inf - 2,
        inf - 1,
        inf,
        inf + 1,
        quiet - 1,
        quiet,
        quiet + 1,
    };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        out[n++] = values[i];
        out[n++] = values[i] | sign_bit(width);
    }
    return n;
}

#ifdef __x86_64__

static double double_of(uint64_t v)
{
    double x;

    memcpy(&x, &v, sizeof(x));
    return x;
}

static float float_of(uint64_t v)
{
    uint32_t low = (uint32_t)v;
    float x;

    memcpy(&x, &low, sizeof(x));
    return x;
}

static uint64_t bits_of_double(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static uint64_t bits_of_float(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* --- The host's unit ----------------------------------------------------------------------- */

static uint32_t csr_for(int rm)
{
    static const uint32_t RC[] = { [FP_RNE] = 0, [FP_RTZ] = 3, [FP_RDN] = 1, [FP_RUP] = 2 };

    return CSR_DEFAULT | RC[rm] << 13;
}

static unsigned flags_of_csr(uint32_t csr)
{
    return (csr & 0x01 ? FP_NV : 0) | (csr & 0x04 ? FP_DZ : 0) | (csr & 0x08 ? FP_OF : 0) |
           (csr & 0x10 ? FP_UF : 0) | (csr & CSR_INEXACT ? FP_NX : 0);
}

uint32_t read_csr(void)
{
    uint32_t csr;

    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    return csr;
}

void write_csr(uint32_t csr)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(csr));
}

/* One asm statement holds all, so that no compiler moves the operation out of its environment. */
#define UNDER_CSR(insn, out, ...)                                                                  \
    do {                                                                                           \
        uint32_t before_ = csr_for(rm);                                                            \
        uint32_t after_;                                                                           \
        uint32_t default_ = CSR_DEFAULT;                                                           \
        __asm__ volatile("ldmxcsr %[before]\n\t" insn "\n\t"                                       \
                         "stmxcsr %[after]\n\t"                                                    \
                         "ldmxcsr %[normal]"                                                       \
                         : out, [after] "=m"(after_)                                               \
                         : [before] "m"(before_), [normal] "m"(default_), __VA_ARGS__);            \
        *flags |= flags_of_csr(after_);                                                            \
    } while (0)

static uint64_t host64(Op op, int rm, const uint64_t v[3], unsigned *flags)
{
    double x = double_of(v[0]);
    double y = double_of(v[1]);
    double z = double_of(v[2]);

    switch (op) {
    case ADD:
        UNDER_CSR("addsd %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case SUB:
        UNDER_CSR("subsd %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case MUL:
        UNDER_CSR("mulsd %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case DIV:
        UNDER_CSR("divsd %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case SQRT:
        UNDER_CSR("sqrtsd %[x], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    default:
        UNDER_CSR("vfmadd213sd %[z], %[y], %[x]", [x] "+x"(x), [y] "x"(y), [z] "x"(z));
        break;
    }
    return bits_of_double(x);
}

static uint64_t host32(Op op, int rm, const uint64_t v[3], unsigned *flags)
{
    float x = float_of(v[0]);
    float y = float_of(v[1]);
    float z = float_of(v[2]);

    switch (op) {
    case ADD:
        UNDER_CSR("addss %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case SUB:
        UNDER_CSR("subss %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case MUL:
        UNDER_CSR("mulss %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case DIV:
        UNDER_CSR("divss %[y], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    case SQRT:
        UNDER_CSR("sqrtss %[x], %[x]", [x] "+x"(x), [y] "x"(y));
        break;
    default:
        UNDER_CSR("vfmadd213ss %[z], %[y], %[x]", [x] "+x"(x), [y] "x"(y), [z] "x"(z));
        break;
    }
    return bits_of_float(x);
}

/* The host's answer less its known differences: NaN payloads, and inf * 0 + qNaN without FP_NV. */
uint64_t host_arith(Op op, int width, int rm, const uint64_t v[3], unsigned *flags)
{
    uint64_t result = width == 64 ? host64(op, rm, v, flags) : host32(op, rm, v, flags);
    uint64_t a = magnitude(width, v[0]);
    uint64_t b = magnitude(width, v[1]);
    uint64_t inf = inf_bits(width);

    if (op == FMA && ((a == inf && b == 0) || (a == 0 && b == inf))) {
        *flags |= FP_NV;
    }
    return canonicalise(width, result);
}

bool host_can(Op op)
{
    return op != FMA || __builtin_cpu_supports("fma");
}

uint64_t host_convert(int to_width, int rm, uint64_t a, unsigned *flags)
{
    double d = 0;
    float f = 0;

    if (to_width == 64) {
        f = float_of(a);
        UNDER_CSR("cvtss2sd %[y], %[x]", [x] "+x"(d), [y] "x"(f));
        return canonicalise(64, bits_of_double(d));
    }
    d = double_of(a);
    UNDER_CSR("cvtsd2ss %[y], %[x]", [x] "+x"(f), [y] "x"(d));
    return canonicalise(32, bits_of_float(f));
}

uint64_t host_from_int(int width, int rm, int64_t a, unsigned *flags)
{
    double d = 0;
    float f = 0;

    if (width == 64) {
        UNDER_CSR("cvtsi2sdq %[y], %[x]", [x] "+x"(d), [y] "r"(a));
        return bits_of_double(d);
    }
    UNDER_CSR("cvtsi2ssq %[y], %[x]", [x] "+x"(f), [y] "r"(a));
    return bits_of_float(f);
}

int64_t host_to_int(int width, int rm, uint64_t a, unsigned *flags)
{
    int64_t result;

    if (width == 64) {
        UNDER_CSR("cvtsd2siq %[y], %[x]", [x] "=r"(result), [y] "x"(double_of(a)));
    } else {
        UNDER_CSR("cvtss2siq %[y], %[x]", [x] "=r"(result), [y] "x"(float_of(a)));
    }
    return result;
}

bool host_compare(Relation relation, int width, uint64_t a, uint64_t b, unsigned *flags)
{
    const int rm = FP_RNE;
    double d = double_of(a);
    float f = float_of(a);

    if (width == 64) {
        switch (relation) {
        case EQ:
            UNDER_CSR("cmpeqsd %[y], %[x]", [x] "+x"(d), [y] "x"(double_of(b)));
            break;
        case LT:
            UNDER_CSR("cmpltsd %[y], %[x]", [x] "+x"(d), [y] "x"(double_of(b)));
            break;
        default:
            UNDER_CSR("cmplesd %[y], %[x]", [x] "+x"(d), [y] "x"(double_of(b)));
            break;
        }
        return bits_of_double(d) != 0;
    }
    switch (relation) {
    case EQ:
        UNDER_CSR("cmpeqss %[y], %[x]", [x] "+x"(f), [y] "x"(float_of(b)));
        break;
    case LT:
        UNDER_CSR("cmpltss %[y], %[x]", [x] "+x"(f), [y] "x"(float_of(b)));
        break;
    default:
        UNDER_CSR("cmpless %[y], %[x]", [x] "+x"(f), [y] "x"(float_of(b)));
        break;
    }
    return bits_of_float(f) != 0;
}

/* --- binary128 ----------------------------------------------------------------------------- */

typedef __float128 Quad;
typedef unsigned __int128 QuadBits;

static QuadBits bits_of_quad(Quad q)
{
    QuadBits bits;

    memcpy(&bits, &q, sizeof(bits));
    return bits;
}

static Quad quad_of_bits(QuadBits bits)
{
    Quad q;

    memcpy(&q, &bits, sizeof(q));
    return q;
}

static Quad power_of_two(int exp)
{
    return quad_of_bits((QuadBits)(exp + 16383) << 112);
}

static Quad quad_of(int width, uint64_t v)
{
    return width == 64 ? (Quad)double_of(v) : (Quad)float_of(v);
}

/* sqrt(a) to 61 bits and more, then a bit that says "inexact"; digit by digit on integers. */
static Quad quad_sqrt_odd(Quad a)
{
    QuadBits bits = bits_of_quad(a);
    int exp = (int)(bits >> 112) - 16383;
    QuadBits n = ((bits & (((QuadBits)1 << 112) - 1)) | (QuadBits)1 << 112) << 8;
    QuadBits root = 0;

    exp -= 120; /* a = n * 2^exp */
    if (exp & 1) {
        n <<= 1;
        exp--;
    }
    for (int i = 61; i >= 0; i--) {
        QuadBits trial = root | (QuadBits)1 << i;

        if (trial * trial <= n) {
            root = trial;
        }
    }
    root = root << 1 | (root * root != n);
    return (Quad)root * power_of_two(exp / 2 - 1);
}

/*
 * The exact result rounded to odd in 113 bits: truncated, with the last bit set where that lost
 * anything. 113 is at least two more than the 53 kept later, so rounding again is innocent.
 */
static Quad quad_answer(Op op, Quad a, Quad b, Quad c)
{
    Quad r;
    bool inexact;

    if (op == SQRT) {
        return quad_sqrt_odd(a);
    }
    write_csr(csr_for(FP_RTZ));
    __asm__ volatile("" : "+m"(a), "+m"(b), "+m"(c));
    switch (op) {
    case ADD:
        r = a + b;
        break;
    case SUB:
        r = a - b;
        break;
    case DIV:
        r = a / b;
        break;
    case MUL:
        r = a * b;
        break;
    default:
        r = a * b; /* exact: 106 bits */
        r += c;
        break;
    }
    __asm__ volatile("" : "+m"(r));
    inexact = read_csr() & CSR_INEXACT;
    write_csr(CSR_DEFAULT);
    return quad_of_bits(bits_of_quad(r) | inexact);
}

/* `mag` (not negative) to a multiple of 2^ulp_exp. */
static Quad round_to_ulp(Quad mag, int ulp_exp, int rm, bool sign, bool *inexact)
{
    Quad scaled = mag * power_of_two(-ulp_exp);
    uint64_t whole = (uint64_t)scaled;
    Quad rest = scaled - whole;
    bool up = rm == FP_RUP   ? !sign && rest > 0
              : rm == FP_RDN ? sign && rest > 0
              : rm == FP_RNE ? rest > 0.5 || (rest == 0.5 && whole & 1)
              : rm == FP_RMM ? rest >= 0.5
                             : false;

    *inexact = rest != 0;
    return (Quad)(whole + up) * power_of_two(ulp_exp);
}

/* `value` is not zero. */
static uint64_t round_quad(int width, Quad value, int rm, unsigned *flags)
{
    bool sign = value < 0;
    Quad mag = sign ? -value : value;
    int exp = (int)(bits_of_quad(mag) >> 112) - 16383;
    int min_exp = 1 - exp_max(width) / 2;
    int max_exp = exp_max(width) / 2;
    bool inexact;
    bool ignored;
    Quad limited =
        round_to_ulp(mag, (exp < min_exp ? min_exp : exp) - frac_bits(width), rm, sign, &inexact);
    Quad unlimited = round_to_ulp(mag, exp - frac_bits(width), rm, sign, &ignored);
    uint64_t bits;

    if (limited >= power_of_two(max_exp + 1)) {
        bool stops = rm == FP_RTZ || rm == (sign ? FP_RUP : FP_RDN);

        *flags |= FP_OF | FP_NX;
        return (inf_bits(width) - stops) | (sign ? sign_bit(width) : 0);
    }
    *flags |= inexact ? FP_NX : 0;
    *flags |= inexact && unlimited < power_of_two(min_exp) ? FP_UF : 0;
    bits = width == 64 ? bits_of_double((double)limited) : bits_of_float((float)limited);
    return bits | (sign ? sign_bit(width) : 0);
}

bool quad_arith(Op op, int width, int rm, const uint64_t v[3], uint64_t *result, unsigned *flags)
{
    int operands = op == SQRT ? 1 : op == FMA ? 3 : 2;
    Quad exact;

    for (int i = 0; i < operands; i++) {
        if (!is_finite(width, v[i])) {
            return false;
        }
    }
    if ((op == DIV && magnitude(width, v[1]) == 0) ||
        (op == SQRT && (v[0] & sign_bit(width) || v[0] == 0))) {
        return false;
    }
    exact = quad_answer(op, quad_of(width, v[0]), quad_of(width, v[1]), quad_of(width, v[2]));
    if (exact == 0) {
        return false;
    }
    *result = round_quad(width, exact, rm, flags);
    return true;
}

uint64_t quad_narrow(int rm, uint64_t a, unsigned *flags)
{
    return round_quad(32, quad_of(64, a), rm, flags);
}

uint64_t quad_from_int(int width, int rm, bool sign, uint64_t mag, unsigned *flags)
{
    Quad value = mag;

    return round_quad(width, sign ? -value : value, rm, flags);
}

__int128 quad_to_int(int width, int rm, uint64_t a, __int128 min, __int128 max, unsigned *flags)
{
    bool sign = a & sign_bit(width);
    bool inexact;
    Quad mag;
    __int128 result;

    if (is_nan(width, a) || (!is_finite(width, a) && !sign)) {
        *flags |= FP_NV;
        return max;
    }
    mag = quad_of(width, magnitude(width, a));
    if (mag >= power_of_two(64)) {
        *flags |= FP_NV;
        return sign ? min : max;
    }
    mag = round_to_ulp(mag, 0, rm, sign, &inexact);
    result = sign ? -(__int128)mag : (__int128)mag;
    if (result < min || result > max) {
        *flags |= FP_NV;
        return sign ? min : max;
    }
    *flags |= inexact ? FP_NX : 0;
    return result;
}

#endif
