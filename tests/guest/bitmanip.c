/* SPDX-License-Identifier: MIT */
/*
 * Zba, Zbb, Zbc and Zbs: each instruction against a C expression of the same meaning, on values with
 * few bits, many bits, and edges. One table holds both.
 */
#include "guest.h"

/* ---- What needs more than an expression. */

static uint64_t leading(uint64_t a, unsigned bits)
{
    uint64_t n = 0;

    while (n < bits && !(a >> (bits - 1 - n) & 1)) {
        n++;
    }
    return n;
}

static uint64_t trailing(uint64_t a, unsigned bits)
{
    uint64_t n = 0;

    while (n < bits && !(a >> n & 1)) {
        n++;
    }
    return n;
}

static uint64_t population(uint64_t a)
{
    uint64_t n = 0;

    for (; a; a >>= 1) {
        n += a & 1;
    }
    return n;
}

static uint64_t or_bytes(uint64_t a)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 64; i += 8) {
        r |= a >> i & 0xff ? 0xfful << i : 0;
    }
    return r;
}

static uint64_t reverse_bytes(uint64_t a)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 64; i += 8) {
        r |= (a >> i & 0xff) << (56 - i);
    }
    return r;
}

/* Bits [low, low + 64) of the 127-bit carry-less product. */
static uint64_t carry_less(uint64_t a, uint64_t b, unsigned low)
{
    unsigned __int128 r = 0;

    for (unsigned i = 0; i < 64; i++) {
        if (b >> i & 1) {
            r ^= (unsigned __int128)a << i;
        }
    }
    return (uint64_t)(r >> low);
}

static uint64_t rotate(uint64_t a, uint64_t n)
{
    n &= 63;
    return n ? a >> n | a << (64 - n) : a;
}

static uint64_t extend(uint32_t a)
{
    return (uint64_t)(int64_t)(int32_t)a;
}

static uint64_t rotate_w(uint64_t a, uint64_t n)
{
    uint32_t w = (uint32_t)a;

    n &= 31;
    return extend(n ? w >> n | w << (32 - n) : w);
}

#define U32(x) ((uint64_t)(uint32_t)(x))
#define S(x) ((int64_t)(x))

/* X(C name, instruction with operands, meaning in terms of a and b) */
#define INSNS(X)                                                                                   \
    X(add_uw, "add.uw %0, %1, %2", U32(a) + b)                                                     \
    X(sh1add, "sh1add %0, %1, %2", (a << 1) + b)                                                   \
    X(sh2add, "sh2add %0, %1, %2", (a << 2) + b)                                                   \
    X(sh3add, "sh3add %0, %1, %2", (a << 3) + b)                                                   \
    X(sh1add_uw, "sh1add.uw %0, %1, %2", (U32(a) << 1) + b)                                        \
    X(sh2add_uw, "sh2add.uw %0, %1, %2", (U32(a) << 2) + b)                                        \
    X(sh3add_uw, "sh3add.uw %0, %1, %2", (U32(a) << 3) + b)                                        \
    X(slli_uw_1, "slli.uw %0, %1, 1", U32(a) << 1)                                                 \
    X(slli_uw_40, "slli.uw %0, %1, 40", U32(a) << 40)                                              \
    X(andn, "andn %0, %1, %2", a & ~b)                                                             \
    X(orn, "orn %0, %1, %2", a | ~b)                                                               \
    X(xnor, "xnor %0, %1, %2", ~(a ^ b))                                                           \
    X(clz, "clz %0, %1", leading(a, 64))                                                           \
    X(clzw, "clzw %0, %1", leading(a, 32))                                                         \
    X(ctz, "ctz %0, %1", trailing(a, 64))                                                          \
    X(ctzw, "ctzw %0, %1", trailing(a, 32))                                                        \
    X(cpop, "cpop %0, %1", population(a))                                                          \
    X(cpopw, "cpopw %0, %1", population(U32(a)))                                                   \
    X(max, "max %0, %1, %2", S(a) > S(b) ? a : b)                                                  \
    X(maxu, "maxu %0, %1, %2", a > b ? a : b)                                                      \
    X(min, "min %0, %1, %2", S(a) < S(b) ? a : b)                                                  \
    X(minu, "minu %0, %1, %2", a < b ? a : b)                                                      \
    X(sext_b, "sext.b %0, %1", (int8_t)a)                                                          \
    X(sext_h, "sext.h %0, %1", (int16_t)a)                                                         \
    X(zext_h, "zext.h %0, %1", (uint16_t)a)                                                        \
    X(rol, "rol %0, %1, %2", rotate(a, 64 - (b & 63)))                                             \
    X(ror, "ror %0, %1, %2", rotate(a, b))                                                         \
    X(rori_13, "rori %0, %1, 13", rotate(a, 13))                                                   \
    X(rori_63, "rori %0, %1, 63", rotate(a, 63))                                                   \
    X(rolw, "rolw %0, %1, %2", rotate_w(a, 32 - (b & 31)))                                         \
    X(rorw, "rorw %0, %1, %2", rotate_w(a, b))                                                     \
    X(roriw_9, "roriw %0, %1, 9", rotate_w(a, 9))                                                  \
    X(orc_b, "orc.b %0, %1", or_bytes(a))                                                          \
    X(rev8, "rev8 %0, %1", reverse_bytes(a))                                                       \
    X(clmul, "clmul %0, %1, %2", carry_less(a, b, 0))                                              \
    X(clmulh, "clmulh %0, %1, %2", carry_less(a, b, 64))                                           \
    X(clmulr, "clmulr %0, %1, %2", carry_less(a, b, 63))                                           \
    X(bclr, "bclr %0, %1, %2", a & ~(1ul << (b & 63)))                                             \
    X(bclri_37, "bclri %0, %1, 37", a & ~(1ul << 37))                                              \
    X(bext, "bext %0, %1, %2", a >> (b & 63) & 1)                                                  \
    X(bexti_63, "bexti %0, %1, 63", a >> 63)                                                       \
    X(binv, "binv %0, %1, %2", a ^ 1ul << (b & 63))                                                \
    X(binvi_31, "binvi %0, %1, 31", a ^ 1ul << 31)                                                 \
    X(bset, "bset %0, %1, %2", a | 1ul << (b & 63))                                                \
    X(bseti_62, "bseti %0, %1, 62", a | 1ul << 62)

#define DEFINE(name, text, meaning)                                                                \
    static uint64_t insn_##name(uint64_t a, uint64_t b)                                            \
    {                                                                                              \
        uint64_t r;                                                                                \
                                                                                                   \
        __asm__(".option push\n.option arch, +zba, +zbb, +zbc, +zbs\n" text "\n.option pop"        \
                : "=r"(r)                                                                          \
                : "r"(a), "r"(b));                                                                 \
        return r;                                                                                  \
    }                                                                                              \
    static uint64_t c_##name(uint64_t a, uint64_t b)                                               \
    {                                                                                              \
        return (uint64_t)(meaning);                                                                \
    }
#define ROW(name, text, meaning) { #name, insn_##name, c_##name },

INSNS(DEFINE)

static const struct {
    const char *name;
    uint64_t (*insn)(uint64_t a, uint64_t b);
    uint64_t (*c)(uint64_t a, uint64_t b);
} rows[] = { INSNS(ROW) };

static uint64_t value(uint64_t *state)
{
    static const uint64_t edges[] = { 0,          1,          ~0ul,      1ul << 63, (1ul << 63) - 1,
                                      0xffffffff, 0x80000000, 0x7fffffff };
    uint64_t r = random64(state);

    switch (r >> 61) {
    case 0:
        return edges[r & 7];
    case 1:
        return 1ul << (r & 63);
    case 2:
        return r & 0xff;
    case 3:
        return random64(state) & random64(state) & random64(state);
    case 4:
        return ~(random64(state) & random64(state) & random64(state));
    default:
        return random64(state);
    }
}

void guest_main(void)
{
    group("instructions");
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t state = 1 + i, wrong = 0;

        for (unsigned n = 0; n < 500; n++) {
            uint64_t a = value(&state), b = value(&state);
            uint64_t got = rows[i].insn(a, b), want = rows[i].c(a, b);

            if (got != want && !wrong++) {
                print("%s of 0x%lx, 0x%lx: 0x%lx, not 0x%lx\n", rows[i].name, a, b, got, want);
            }
        }
        CHECK_EQ(wrong, 0);
    }
}
