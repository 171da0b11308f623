/* SPDX-License-Identifier: MIT */
/*
 * Floating point (unprivileged spec chapters 20 and 21): flags, rounding modes, NaN boxing, canonical
 * NaNs, conversions at their limits, mstatus.FS, and a checksum over results and flags of a long
 * pseudo-random stream, of operands chosen to be awkward.
 */
#include "guest.h"

#define NX 1
#define UF 2
#define OF 4
#define DZ 8
#define NV 16

#define NAN_D 0x7ff8000000000000
#define SNAN_D 0x7ff4000000000000
#define INF_D 0x7ff0000000000000
#define ONE_D 0x3ff0000000000000
#define MAX_D 0x7fefffffffffffff
#define MIN_NORMAL_D 0x0010000000000000
#define NEG 0x8000000000000000

#define BOX(f) (0xffffffff00000000 | (uint32_t)(f))
#define NAN_S BOX(0x7fc00000)
#define ONE_S BOX(0x3f800000)

static uint64_t flags;

/* One instruction with operands and result as bits; flags gets the accrued ones. */
#define FP3(insn, x, y, z)                                                                         \
    ({                                                                                             \
        uint64_t r_, f_;                                                                           \
                                                                                                   \
        __asm__ volatile("fmv.d.x fa1, %2\n"                                                       \
                         "fmv.d.x fa2, %3\n"                                                       \
                         "fmv.d.x fa3, %4\n"                                                       \
                         "csrw fflags, x0\n" insn "\n"                                             \
                         "csrr %1, fflags\n"                                                       \
                         "fmv.x.d %0, fa0"                                                         \
                         : "=&r"(r_), "=&r"(f_)                                                    \
                         : "r"((uint64_t)(x)), "r"((uint64_t)(y)), "r"((uint64_t)(z))              \
                         : "fa0", "fa1", "fa2", "fa3");                                            \
        flags = f_;                                                                                \
        r_;                                                                                        \
    })
#define FP2(insn, x, y) FP3(insn " fa0, fa1, fa2", x, y, 0)
#define FP1(insn, x) FP3(insn " fa0, fa1", x, 0, 0)

/* The same with a result in an integer register. */
#define FPX2(insn, x, y)                                                                           \
    ({                                                                                             \
        uint64_t r_, f_;                                                                           \
                                                                                                   \
        __asm__ volatile("fmv.d.x fa1, %2\n"                                                       \
                         "fmv.d.x fa2, %3\n"                                                       \
                         "csrw fflags, x0\n" insn "\n"                                             \
                         "csrr %1, fflags"                                                         \
                         : "=&r"(r_), "=&r"(f_)                                                    \
                         : "r"((uint64_t)(x)), "r"((uint64_t)(y))                                  \
                         : "fa1", "fa2");                                                          \
        flags = f_;                                                                                \
        r_;                                                                                        \
    })
#define FPX1(insn, x) FPX2(insn " %0, fa1", x, 0)
#define FCMP(insn, x, y) FPX2(insn " %0, fa1, fa2", x, y)

/* From an integer register. */
#define XFP(insn, x)                                                                               \
    ({                                                                                             \
        uint64_t r_, f_;                                                                           \
                                                                                                   \
        __asm__ volatile("csrw fflags, x0\n" insn " fa0, %2\n"                                     \
                         "csrr %1, fflags\n"                                                       \
                         "fmv.x.d %0, fa0"                                                         \
                         : "=&r"(r_), "=&r"(f_)                                                    \
                         : "r"((uint64_t)(x))                                                      \
                         : "fa0");                                                                 \
        flags = f_;                                                                                \
        r_;                                                                                        \
    })

#define IS(expression, value, flags_)                                                              \
    do {                                                                                           \
        check_eq((expression), (value), __LINE__, #expression);                                    \
        check_eq(flags, (flags_), __LINE__, "flags of " #expression);                              \
    } while (0)

static void arithmetic_flags(void)
{
    group("flags");
    IS(FP2("fadd.d", ONE_D, ONE_D), 0x4000000000000000, 0);
    IS(FP2("fadd.d", ONE_D, 0x3c00000000000000), ONE_D, NX);
    IS(FP2("fadd.d", MAX_D, MAX_D), INF_D, OF | NX);
    IS(FP2("fsub.d", INF_D, INF_D), NAN_D, NV);
    IS(FP2("fmul.d", INF_D, 0), NAN_D, NV);
    IS(FP2("fmul.d", MIN_NORMAL_D, 0x3fe0000000000000), 0x0008000000000000, 0);
    IS(FP2("fmul.d", MIN_NORMAL_D | 1, 0x3fe0000000000000), 0x0008000000000000, UF | NX);
    IS(FP2("fdiv.d", ONE_D, 0), INF_D, DZ);
    IS(FP2("fdiv.d", ONE_D, NEG), NEG | INF_D, DZ);
    IS(FP2("fdiv.d", 0, 0), NAN_D, NV);
    IS(FP2("fdiv.d", ONE_D, 0x4008000000000000), 0x3fd5555555555555, NX);
    IS(FP1("fsqrt.d", NEG | ONE_D), NAN_D, NV);
    IS(FP1("fsqrt.d", NEG), NEG, 0);
    IS(FP1("fsqrt.d", 0x4000000000000000), 0x3ff6a09e667f3bcd, NX);
    IS(FP2("fadd.s", BOX(0x7f7fffff), BOX(0x7f7fffff)), BOX(0x7f800000), OF | NX);
    IS(FP2("fdiv.s", ONE_S, BOX(0x80000000)), BOX(0xff800000), DZ);
    /*
     * Both products become the smallest normal number. Tininess is judged after rounding to 53 bits:
     * the first is not tiny then, the second is.
     */
    IS(FP2("fmul.d", 0x000fffffffffffff, 0x3ff0000000000001), 0x0010000000000000, NX);
    IS(FP2("fmul.d", 0x001fffffffffffff, 0x3fe0000000000000), 0x0010000000000000, NX | UF);
    IS(FP3("fmadd.d fa0, fa1, fa2, fa3", INF_D, 0, NAN_D), NAN_D, NV);
    IS(FP3("fmadd.d fa0, fa1, fa2, fa3", ONE_D, INF_D, NEG | INF_D), NAN_D, NV);
    IS(FP3("fnmadd.d fa0, fa1, fa2, fa3", ONE_D, ONE_D, ONE_D), 0xc000000000000000, 0);
    IS(FP3("fnmsub.d fa0, fa1, fa2, fa3", ONE_D, ONE_D, ONE_D), 0, 0);
    IS(FP3("fmsub.d fa0, fa1, fa2, fa3", 0x3ff0000000000001, 0x3ff0000000000001,
           0x3ff0000000000002),
       0x3970000000000000, 0);
    /* Flags accrue until they are written. */
    csr_write(fflags, NV);
    __asm__ volatile("fmv.d.x fa1, %0\nfmv.d.x fa2, x0\nfdiv.d fa0, fa1, fa2" ::"r"(ONE_D)
                     : "fa0", "fa1", "fa2");
    CHECK_EQ(csr_read(fflags), NV | DZ);
}

static void nans(void)
{
    group("canonical NaNs");
    IS(FP2("fadd.d", 0x7ff8000000001234, ONE_D), NAN_D, 0);
    IS(FP2("fadd.d", SNAN_D, ONE_D), NAN_D, NV);
    IS(FP2("fmul.s", BOX(0xffc12345), ONE_S), NAN_S, 0);
    IS(FP1("fcvt.s.d", 0x7ff8000000001234), NAN_S, 0);
    IS(FP1("fcvt.d.s", BOX(0x7fa00000)), NAN_D, NV);
    IS(FP2("fmin.d", NAN_D, ONE_D), ONE_D, 0);
    IS(FP2("fmax.d", ONE_D, SNAN_D), ONE_D, NV);
    IS(FP2("fmin.d", SNAN_D, NAN_D), NAN_D, NV);
    IS(FP2("fmin.d", 0, NEG), NEG, 0);
    IS(FP2("fmax.d", NEG, 0), 0, 0);
    IS(FP2("fsgnj.d", SNAN_D, NEG), SNAN_D | NEG, 0);
    IS(FP2("fsgnjn.d", ONE_D, ONE_D), NEG | ONE_D, 0);
    IS(FP2("fsgnjx.d", NEG | ONE_D, NEG), ONE_D, 0);

    group("comparisons");
    IS(FCMP("feq.d", NAN_D, ONE_D), 0, 0);
    IS(FCMP("feq.d", SNAN_D, ONE_D), 0, NV);
    IS(FCMP("flt.d", NAN_D, ONE_D), 0, NV);
    IS(FCMP("fle.d", ONE_D, NAN_D), 0, NV);
    IS(FCMP("feq.d", 0, NEG), 1, 0);
    IS(FCMP("flt.d", NEG, 0), 0, 0);
    IS(FCMP("fle.d", NEG | INF_D, INF_D), 1, 0);
    IS(FCMP("flt.s", BOX(0xbf800000), ONE_S), 1, 0);

    group("NaN boxing");
    /* A single that is not boxed reads as the canonical NaN. */
    IS(FP2("fadd.s", 0x000000003f800000, ONE_S), NAN_S, 0);
    IS(FP2("fadd.s", 0xfffffffe3f800000, ONE_S), NAN_S, 0);
    IS(FP2("fsgnj.s", 0x3f800000, ONE_S), NAN_S, 0);
    IS(FCMP("feq.s", 0x3f800000, 0x3f800000), 0, 0);
    IS(FP1("fcvt.d.s", 0x3f800000), NAN_D, 0);
    IS(FPX1("fclass.s", 0x3f800000), 1 << 9, 0);
    IS(FPX1("fmv.x.w", 0x12345678bf800000), 0xffffffffbf800000, 0);
    IS(XFP("fmv.w.x", 0x123456783f800000), ONE_S, 0);
    IS(FP2("fadd.s", ONE_S, ONE_S), BOX(0x40000000), 0);

    group("fclass");
    IS(FPX1("fclass.d", NEG | INF_D), 1 << 0, 0);
    IS(FPX1("fclass.d", NEG | ONE_D), 1 << 1, 0);
    IS(FPX1("fclass.d", NEG | 1), 1 << 2, 0);
    IS(FPX1("fclass.d", NEG), 1 << 3, 0);
    IS(FPX1("fclass.d", 0), 1 << 4, 0);
    IS(FPX1("fclass.d", 1), 1 << 5, 0);
    IS(FPX1("fclass.d", ONE_D), 1 << 6, 0);
    IS(FPX1("fclass.d", INF_D), 1 << 7, 0);
    IS(FPX1("fclass.d", SNAN_D), 1 << 8, 0);
    IS(FPX1("fclass.d", NAN_D), 1 << 9, 0);
    IS(FPX1("fclass.s", BOX(0x7f800001)), 1 << 8, 0);
    IS(FPX1("fclass.s", BOX(0x80000001)), 1 << 2, 0);
}

static void rounding(void)
{
    /* 2.5, -2.5, 2.4, -3.5 to integers, and 1 + 2^-53 both ways, by RNE RTZ RDN RUP RMM. */
    static const uint64_t values[] = { 0x4004000000000000, 0xc004000000000000, 0x4003333333333333,
                                       0xc00c000000000000 };
    static const int64_t integers[4][5] = {
        { 2, 2, 2, 3, 3 }, { -2, -2, -3, -2, -3 }, { 2, 2, 2, 3, 2 }, { -4, -3, -4, -3, -4 }
    };
    static const uint64_t half_ulp[5] = { ONE_D, ONE_D, ONE_D, ONE_D + 1, ONE_D + 1 };
    static const uint64_t minus_half[5] = { NEG | ONE_D, NEG | ONE_D, (NEG | ONE_D) + 1,
                                            NEG | ONE_D, (NEG | ONE_D) + 1 };
    static const uint64_t overflow[5] = { INF_D, MAX_D, MAX_D, INF_D, INF_D };
    static const uint64_t zero_sum[5] = { 0, 0, NEG, 0, 0 };

    group("rounding modes");
    for (unsigned rm = 0; rm < 5; rm++) {
        csr_write(frm, rm);
        for (unsigned i = 0; i < ARRAY_LENGTH(values); i++) {
            IS(FPX1("fcvt.l.d", values[i]), (uint64_t)integers[i][rm], NX);
        }
        IS(FP2("fadd.d", ONE_D, 0x3ca0000000000000), half_ulp[rm], NX);
        IS(FP2("fsub.d", NEG | ONE_D, 0x3ca0000000000000), minus_half[rm], NX);
        IS(FP2("fmul.d", MAX_D, MAX_D), overflow[rm], OF | NX);
        IS(FP2("fsub.d", ONE_D, ONE_D), zero_sum[rm], 0);
        IS(FP1("fcvt.s.d", 0x3ff0000010000000), BOX(rm == 3 || rm == 4 ? 0x3f800001 : 0x3f800000),
           NX);
        IS(XFP("fcvt.s.l", 0x1000001), BOX(rm == 3 || rm == 4 ? 0x4b800001 : 0x4b800000), NX);
    }
    /* A mode in the instruction goes before frm. */
    csr_write(frm, 0);
    IS(FP3("fadd.d fa0, fa1, fa2, rup", ONE_D, 0x3c00000000000000, 0), ONE_D + 1, NX);
    IS(FP3("fadd.d fa0, fa1, fa2, rmm", ONE_D, 0x3ca0000000000000, 0), ONE_D + 1, NX);
    IS(FP3("fdiv.s fa0, fa1, fa2, rdn", ONE_S, BOX(0x40400000), 0), BOX(0x3eaaaaaa), NX);
    csr_write(frm, 1);
    IS(FP3("fadd.d fa0, fa1, fa2, rne", MAX_D, MAX_D, 0), INF_D, OF | NX);
    csr_write(frm, 0);
}

static void conversions(void)
{
    group("conversions");
    IS(FPX2("fcvt.w.d %0, fa1, rtz", 0x41e0000000000000, 0), 0x7fffffff, NV);
    IS(FPX2("fcvt.w.d %0, fa1, rtz", 0xc1e0000000000000, 0), 0xffffffff80000000, 0);
    IS(FPX2("fcvt.w.d %0, fa1, rtz", 0xc1e0000000200000, 0), 0xffffffff80000000, NV);
    IS(FPX2("fcvt.w.d %0, fa1, rtz", NEG | NAN_D, 0), 0x7fffffff, NV);
    IS(FPX2("fcvt.wu.d %0, fa1, rtz", 0x41efffffffe00000, 0), 0xffffffffffffffff, 0);
    IS(FPX2("fcvt.wu.d %0, fa1, rtz", 0x41f0000000000000, 0), 0xffffffffffffffff, NV);
    IS(FPX2("fcvt.wu.d %0, fa1, rtz", 0xbfe0000000000000, 0), 0, NX);
    IS(FPX2("fcvt.wu.d %0, fa1, rtz", 0xbff0000000000000, 0), 0, NV);
    IS(FPX2("fcvt.wu.d %0, fa1, rdn", 0xbfe0000000000000, 0), 0, NV);
    IS(FPX2("fcvt.l.d %0, fa1, rtz", 0x43e0000000000000, 0), 0x7fffffffffffffff, NV);
    IS(FPX2("fcvt.l.d %0, fa1, rtz", 0xc3e0000000000000, 0), 0x8000000000000000, 0);
    IS(FPX2("fcvt.lu.d %0, fa1, rtz", 0x43f0000000000000, 0), 0xffffffffffffffff, NV);
    IS(FPX2("fcvt.lu.d %0, fa1, rtz", 0x43e0000000000000, 0), 0x8000000000000000, 0);
    IS(FPX2("fcvt.lu.d %0, fa1, rtz", NEG | INF_D, 0), 0, NV);
    IS(FPX2("fcvt.lu.s %0, fa1, rtz", BOX(0x7fc00000), 0), 0xffffffffffffffff, NV);
    IS(FPX2("fcvt.w.s %0, fa1, rtz", BOX(0x4f000000), 0), 0x7fffffff, NV);
    IS(XFP("fcvt.d.w", 0x80000000), 0xc1e0000000000000, 0);
    IS(XFP("fcvt.d.wu", 0xffffffff80000000), 0x41e0000000000000, 0);
    IS(XFP("fcvt.d.l", 0x7fffffffffffffff), 0x43e0000000000000, NX);
    IS(XFP("fcvt.d.lu", 0xffffffffffffffff), 0x43f0000000000000, NX);
    IS(XFP("fcvt.s.lu", 0x8000008000000001), BOX(0x5f000001), NX);
    IS(FP1("fcvt.s.d", 0x36a0000000000000), BOX(0x00000001), 0);
    IS(FP1("fcvt.s.d", 0x3690000000000000), BOX(0x00000000), UF | NX);
    IS(FP1("fcvt.s.d", 0x47efffffffffffff), BOX(0x7f800000), OF | NX);
    IS(FP1("fcvt.d.s", BOX(0x00000001)), 0x36a0000000000000, 0);
}

CODE(code_fadd, "fadd.d fa0, fa0, fa0");
CODE(code_fld, "fld fa0, 0(a0)");
CODE(code_fmv, "fmv.x.d a0, fa0");
CODE(code_read_frm, "csrr a0, frm");
CODE(code_dynamic, "fadd.d fa0, fa0, fa0, dyn");
CODE(code_reserved_rm, ".4byte 0x02a55553"); /* fadd.d fa0, fa0, fa0 with rm = 5 */

static uint32_t insn_at(const char *code)
{
    uint32_t insn;

    memcpy(&insn, code, 4);
    return insn;
}

static void status(void)
{
    static const char *const codes[] = { code_fadd, code_fld, code_fmv, code_read_frm };
    static uint64_t word;
    TrapRecord r;

    group("mstatus.FS");
    csr_clear(mstatus, MSTATUS_FS);
    for (unsigned i = 0; i < ARRAY_LENGTH(codes); i++) {
        uint32_t insn = insn_at(codes[i]);

        r = RUN_U(codes[i], &word, 0);
        CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, codes[i], (insn & 3) == 3 ? insn : (uint16_t)insn);
    }
    CHECK_EQ(csr_read(mstatus) & MSTATUS_SD, 0);
    csr_set(mstatus, 1ul << 13); /* initial */
    r = RUN_U(code_fmv, 0, 0);
    CHECK_EQ(r.status & (MSTATUS_FS | MSTATUS_SD), 1ul << 13);
    r = RUN_U(code_fld, &word, 0);
    CHECK_EQ(r.status & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
    csr_clear(mstatus, MSTATUS_FS);
    csr_set(mstatus, 2ul << 13); /* clean */
    r = RUN_U(code_fadd, 0, 0);
    CHECK_EQ(r.status & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
    csr_clear(mstatus, MSTATUS_FS);
    csr_set(mstatus, 2ul << 13);
    csr_write(frm, 0);
    CHECK_EQ(csr_read(mstatus) & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);

    group("reserved rounding modes");
    r = RUN_U(code_reserved_rm, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_reserved_rm, 0x02a55553);
    for (unsigned rm = 0; rm < 8; rm++) {
        csr_write(frm, rm);
        r = RUN_U(code_dynamic, 0, 0);
        if (rm < 5) {
            CHECK(r.level == 'R');
        } else {
            CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_dynamic, insn_at(code_dynamic));
        }
    }
    csr_write(fcsr, 0xff);
    CHECK_EQ(csr_read(frm), 7);
    CHECK_EQ(csr_read(fflags), 0x1f);
    csr_write(fcsr, 0);
}

/* ---- The stream. Operands: random bits, random exponents near each other, and special values. */

static uint64_t operand(uint64_t *state)
{
    static const uint64_t special[] = { 0,
                                        NEG,
                                        INF_D,
                                        NEG | INF_D,
                                        NAN_D,
                                        SNAN_D,
                                        ONE_D,
                                        MAX_D,
                                        MIN_NORMAL_D,
                                        1,
                                        NEG | ONE_D,
                                        0x000fffffffffffff,
                                        0x7ff0000000000001,
                                        0x43e0000000000000,
                                        0x41dfffffffc00000,
                                        0x3fe0000000000000 };
    uint64_t r = random64(state);

    switch (r >> 60) {
    case 0:
    case 1:
        return special[r & 15];
    case 2:
        return random64(state);
    case 3:
        return BOX(random64(state));
    case 4:
        return (r & 0x800fffffffffffff) | 1ul << 52; /* the smallest exponents */
    default:
        return (r & 0x800fffffffffffff) | (1000 + (r >> 52 & 63)) << 52;
    }
}

static uint64_t operand_s(uint64_t *state)
{
    uint64_t r = random64(state);

    switch (r >> 60) {
    case 0:
        return BOX((r & 0x80000000) | 0x7f800000);
    case 1:
        return BOX(r & 0x80ffffff);
    case 2:
        return BOX(r);
    case 3:
        return BOX(r | 0x7fc00000);
    default:
        return BOX((r & 0x807fffff) | (100 + (r >> 32 & 63)) << 23);
    }
}

#define MIX(expression)                                                                            \
    do {                                                                                           \
        hash = mix64(hash, (expression));                                                          \
        hash = mix64(hash, flags);                                                                 \
    } while (0)

static void stream(void)
{
    uint64_t state = 0x0ddba11;

    for (unsigned rm = 0; rm < 5; rm++) {
        uint64_t hash = 0;

        csr_write(frm, rm);
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t a = operand(&state), b = operand(&state), c = operand(&state);

            MIX(FP2("fadd.d", a, b));
            MIX(FP2("fsub.d", a, b));
            MIX(FP2("fmul.d", a, b));
            MIX(FP2("fdiv.d", a, b));
            MIX(FP1("fsqrt.d", a));
            MIX(FP3("fmadd.d fa0, fa1, fa2, fa3", a, b, c));
            MIX(FP3("fnmsub.d fa0, fa1, fa2, fa3", a, b, c));
            MIX(FP2("fmin.d", a, b));
            MIX(FP2("fmax.d", a, b));
            MIX(FCMP("flt.d", a, b));
            MIX(FPX1("fcvt.w.d", a));
            MIX(FPX1("fcvt.lu.d", b));
            MIX(FP1("fcvt.s.d", c));
            MIX(XFP("fcvt.d.l", a));
            MIX(XFP("fcvt.s.wu", b));
            MIX(FPX1("fclass.d", a));
            a = operand_s(&state);
            b = operand_s(&state);
            c = operand_s(&state);
            MIX(FP2("fadd.s", a, b));
            MIX(FP2("fsub.s", a, b));
            MIX(FP2("fmul.s", a, b));
            MIX(FP2("fdiv.s", a, b));
            MIX(FP1("fsqrt.s", a));
            MIX(FP3("fmsub.s fa0, fa1, fa2, fa3", a, b, c));
            MIX(FP3("fnmadd.s fa0, fa1, fa2, fa3", a, b, c));
            MIX(FP2("fmin.s", a, b));
            MIX(FPX1("fcvt.wu.s", a));
            MIX(FPX1("fcvt.l.s", b));
            MIX(FP1("fcvt.d.s", c));
            MIX(FCMP("fle.s", a, b));
        }
        print("stream, rounding mode %u: %016lx\n", rm, hash);
    }
    csr_write(fcsr, 0);
}

void guest_main(void)
{
    arithmetic_flags();
    nans();
    rounding();
    conversions();
    status();
    stream();
}
