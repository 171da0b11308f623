/* SPDX-License-Identifier: MIT */
/*
 * What single instructions compute: a table of operands and results worked out by hand from the
 * specification, then random programs executed once block by block and once instruction by
 * instruction, which must leave the same state, then random bits, which must leave the emulator
 * alive.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-run.h"

/* ---- The table. a is in rs1, b in rs2 or is the immediate; rd starts as something else. */

enum {
    OP = 0x33,
    OP_32 = 0x3b,
    OP_IMM = 0x13,
    OP_IMM_32 = 0x1b,
};

typedef struct Row {
    const char *name;
    unsigned op, f3;
    int f7; /* R-type; -1: the immediate is b */
    uint64_t a, b, want;
} Row;

#define MIN64 UINT64_C(0x8000000000000000)
#define MAX64 UINT64_C(0x7fffffffffffffff)
#define ONES UINT64_MAX
#define P UINT64_C(0x0123456789abcdef)
#define Q UINT64_C(0xfedcba9876543210)

/* clang-format off */
static const Row rows[] = {
    {"addi", OP_IMM, 0, -1, P, (uint64_t)-1, P - 1},
    {"slti", OP_IMM, 2, -1, MIN64, (uint64_t)-1, 1},
    {"slti", OP_IMM, 2, -1, 5, (uint64_t)-1, 0},
    {"sltiu", OP_IMM, 3, -1, 5, (uint64_t)-1, 1},
    {"xori", OP_IMM, 4, -1, P, (uint64_t)-1, Q},
    {"ori", OP_IMM, 6, -1, P, 0x7f0, UINT64_C(0x0123456789abcfff)},
    {"andi", OP_IMM, 7, -1, P, (uint64_t)-256, UINT64_C(0x0123456789abcd00)},
    {"slli", OP_IMM, 1, -1, P, 36, UINT64_C(0x9abcdef000000000)},
    {"srli", OP_IMM, 5, -1, Q, 60, 0xf},
    {"srai", OP_IMM, 5, -1, Q, 0x400 | 60, ONES},
    {"addiw", OP_IMM_32, 0, -1, 0x7fffffff, 1, UINT64_C(0xffffffff80000000)},
    {"slliw", OP_IMM_32, 1, -1, P, 4, UINT64_C(0xffffffff9abcdef0)},
    {"srliw", OP_IMM_32, 5, -1, P, 4, 0x089abcde},
    {"sraiw", OP_IMM_32, 5, -1, P, 0x400 | 4, UINT64_C(0xfffffffff89abcde)},
    {"add", OP, 0, 0, ONES, 2, 1},
    {"sub", OP, 0, 0x20, 1, 2, ONES},
    {"sll", OP, 1, 0, P, 64 + 8, UINT64_C(0x23456789abcdef00)},
    {"slt", OP, 2, 0, ONES, 0, 1},
    {"sltu", OP, 3, 0, ONES, 0, 0},
    {"xor", OP, 4, 0, P, Q, ONES},
    {"srl", OP, 5, 0, Q, 64 + 4, UINT64_C(0x0fedcba987654321)},
    {"sra", OP, 5, 0x20, Q, 64 + 4, UINT64_C(0xffedcba987654321)},
    {"or", OP, 6, 0, P, Q, ONES},
    {"and", OP, 7, 0, P, Q, 0},
    {"addw", OP_32, 0, 0, ONES, 0x80000000, 0x7fffffff},
    {"subw", OP_32, 0, 0x20, 0, 1, ONES},
    {"sllw", OP_32, 1, 0, 3, 32 + 31, UINT64_C(0xffffffff80000000)},
    {"srlw", OP_32, 5, 0, ONES, 32 + 31, 1},
    {"sraw", OP_32, 5, 0x20, 0x80000000, 32 + 31, ONES},

    {"mul", OP, 0, 1, ONES, 3, (uint64_t)-3},
    {"mulh", OP, 1, 1, MIN64, MIN64, UINT64_C(0x4000000000000000)},
    {"mulh", OP, 1, 1, ONES, 1, ONES},
    {"mulhsu", OP, 2, 1, ONES, ONES, ONES},
    {"mulhsu", OP, 2, 1, 1, ONES, 0},
    {"mulhu", OP, 3, 1, ONES, ONES, ONES - 1},
    {"div", OP, 4, 1, (uint64_t)-7, 2, (uint64_t)-3},
    {"div by 0", OP, 4, 1, 7, 0, ONES},
    {"div over", OP, 4, 1, MIN64, ONES, MIN64},
    {"divu", OP, 5, 1, (uint64_t)-7, 2, MAX64 - 3},
    {"divu by 0", OP, 5, 1, 7, 0, ONES},
    {"rem", OP, 6, 1, (uint64_t)-7, 2, ONES},
    {"rem by 0", OP, 6, 1, 7, 0, 7},
    {"rem over", OP, 6, 1, MIN64, ONES, 0},
    {"remu", OP, 7, 1, (uint64_t)-7, 10, 9},
    {"remu by 0", OP, 7, 1, 7, 0, 7},
    {"mulw", OP_32, 0, 1, 0x10000, 0x8000, UINT64_C(0xffffffff80000000)},
    {"divw", OP_32, 4, 1, 0x80000000, 0xffffffff, UINT64_C(0xffffffff80000000)},
    {"divw by 0", OP_32, 4, 1, 7, UINT64_C(1) << 32, ONES},
    {"divuw", OP_32, 5, 1, 0xffffffff, 1, ONES},
    {"divuw by 0", OP_32, 5, 1, 7, 0, ONES},
    {"remw", OP_32, 6, 1, 0x80000000, 0xffffffff, 0},
    {"remuw by 0", OP_32, 7, 1, 0x80000001, 0, UINT64_C(0xffffffff80000001)},

    {"czero.eqz", OP, 5, 7, P, 0, 0},
    {"czero.eqz", OP, 5, 7, P, 9, P},
    {"czero.nez", OP, 7, 7, P, 0, P},
    {"czero.nez", OP, 7, 7, P, 9, 0},

    {"sh1add", OP, 2, 0x10, MIN64 + 1, 5, 7},
    {"sh2add", OP, 4, 0x10, 3, 5, 17},
    {"sh3add", OP, 6, 0x10, 3, 5, 29},
    {"add.uw", OP_32, 0, 4, ONES, 1, UINT64_C(0x100000000)},
    {"sh1add.uw", OP_32, 2, 0x10, ONES, 1, UINT64_C(0x1ffffffff)},
    {"sh2add.uw", OP_32, 4, 0x10, ONES, 1, UINT64_C(0x3fffffffd)},
    {"sh3add.uw", OP_32, 6, 0x10, ONES, 1, UINT64_C(0x7fffffff9)},
    {"slli.uw", OP_IMM_32, 1, -1, ONES, 0x080 | 4, UINT64_C(0xffffffff0)},

    {"andn", OP, 7, 0x20, ONES, P, Q},
    {"orn", OP, 6, 0x20, 0, P, Q},
    {"xnor", OP, 4, 0x20, P, P, ONES},
    {"min", OP, 4, 5, ONES, 1, ONES},
    {"minu", OP, 5, 5, ONES, 1, 1},
    {"max", OP, 6, 5, ONES, 1, 1},
    {"maxu", OP, 7, 5, ONES, 1, ONES},
    {"rol", OP, 1, 0x30, P, 64 + 8, UINT64_C(0x23456789abcdef01)},
    {"rol 0", OP, 1, 0x30, P, 64, P},
    {"ror", OP, 5, 0x30, P, 64 + 8, UINT64_C(0xef0123456789abcd)},
    {"rori", OP_IMM, 5, -1, P, 0x600 | 4, UINT64_C(0xf0123456789abcde)},
    {"rolw", OP_32, 1, 0x30, 0x80000001, 1, 3},
    {"rorw", OP_32, 5, 0x30, 3, 1, UINT64_C(0xffffffff80000001)},
    {"roriw", OP_IMM_32, 5, -1, 3, 0x600 | 1, UINT64_C(0xffffffff80000001)},
    {"clz", OP_IMM, 1, -1, 1, 0x600, 63},
    {"clz 0", OP_IMM, 1, -1, 0, 0x600, 64},
    {"ctz", OP_IMM, 1, -1, MIN64, 0x601, 63},
    {"ctz 0", OP_IMM, 1, -1, 0, 0x601, 64},
    {"cpop", OP_IMM, 1, -1, P, 0x602, 32},
    {"clzw", OP_IMM_32, 1, -1, UINT64_C(0xffffffff00000001), 0x600, 31},
    {"clzw 0", OP_IMM_32, 1, -1, UINT64_C(0xffffffff00000000), 0x600, 32},
    {"ctzw", OP_IMM_32, 1, -1, UINT64_C(0xffffffff00000000), 0x601, 32},
    {"cpopw", OP_IMM_32, 1, -1, P, 0x602, 20},
    {"sext.b", OP_IMM, 1, -1, 0x180, 0x604, (uint64_t)-128},
    {"sext.h", OP_IMM, 1, -1, 0x18000, 0x605, (uint64_t)-32768},
    {"zext.h", OP_32, 4, 4, ONES, 0, 0xffff},
    {"orc.b", OP_IMM, 5, -1, UINT64_C(0x0100800000100001), 0x287, UINT64_C(0xff00ff0000ff00ff)},
    {"rev8", OP_IMM, 5, -1, P, 0x6b8, UINT64_C(0xefcdab8967452301)},

    {"clmul", OP, 1, 5, 0xb, 0xd, 0x7f},
    {"clmulh", OP, 3, 5, MIN64, MIN64, UINT64_C(0x4000000000000000)},
    {"clmulr", OP, 2, 5, MIN64, MIN64, MIN64},

    {"bclr", OP, 1, 0x24, ONES, 64 + 63, MAX64},
    {"bext", OP, 5, 0x24, MIN64, 64 + 63, 1},
    {"binv", OP, 1, 0x34, 3, 64, 2},
    {"bset", OP, 1, 0x14, 0, 63, MIN64},
    {"bclri", OP_IMM, 1, -1, ONES, 0x480 | 63, MAX64},
    {"bexti", OP_IMM, 5, -1, MIN64, 0x480 | 63, 1},
    {"binvi", OP_IMM, 1, -1, 3, 0x680 | 0, 2},
    {"bseti", OP_IMM, 1, -1, 0, 0x280 | 63, MIN64},
};
/* clang-format on */

static uint32_t encode(const Row *row, unsigned rd, unsigned rs1, unsigned rs2)
{
    if (row->f7 < 0) {
        return asm_i(row->op, row->f3, rd, rs1, (int)row->b);
    }
    /* zext.h has no second operand. */
    return asm_r(row->op, row->f3, (unsigned)row->f7, rd, rs1,
                 row->op == OP_32 && row->f3 == 4 && row->f7 == 4 ? ZERO : rs2);
}

static void test_table(void **state)
{
    Machine *m = machine_make(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Row *row = &rows[i];
        /* A result of its own, one that takes an operand's place, and one that is dropped. */
        const uint32_t code[] = {
            encode(row, A0, S1, S2),
            encode(row, ZERO, S1, S2),
            encode(row, S1, S1, S2),
            ebreak(),
        };

        m->cpu->x[A0] = ~row->want;
        m->cpu->x[S1] = row->a;
        m->cpu->x[S2] = row->b;
        put(m, CODE, code, sizeof(code));
        run_from(m, CODE);
        if (m->cpu->x[A0] != row->want || m->cpu->x[S1] != row->want || m->cpu->x[0] != 0 ||
            m->cpu->mepc != CODE + 12) {
            fail_msg("%s: %" PRIx64 ", %" PRIx64 " gives %" PRIx64 ", %" PRIx64 ", not %" PRIx64
                     "; x0 %" PRIx64 ", ended at %" PRIx64,
                     row->name, row->a, row->b, m->cpu->x[A0], m->cpu->x[S1], row->want,
                     m->cpu->x[0], m->cpu->mepc);
        }
    }
    machine_free(m);
}

/* ---- Atomics: old value, operand, what memory holds then. */

typedef struct AmoRow {
    unsigned f5;
    uint64_t old, operand, want_d;
    uint32_t want_w;
} AmoRow;

static void test_amo(void **state)
{
    static const AmoRow amos[] = {
        { 1, P, Q, Q, (uint32_t)Q },                                     /* swap */
        { 0, ONES, 2, 1, 1 },                                            /* add */
        { 4, P, Q, ONES, 0xffffffff },                                   /* xor */
        { 12, P, UINT64_C(0xff000000ff), UINT64_C(0x67000000ef), 0xef }, /* and */
        { 8, 0xf0f0f0f0, 0x0f0f0f0f, 0xffffffff, 0xffffffff },           /* or */
        { 16, 0x80000000, 1, 1, 0x80000000 },                            /* min */
        { 20, 0x80000000, 1, 0x80000000, 1 },                            /* max */
        { 24, UINT64_C(0x8000000080000000), 1, 1, 1 },                   /* minu */
        { 28, UINT64_C(0x8000000080000000), 1, UINT64_C(0x8000000080000000),
          0x80000000 }, /* maxu */
    };
    Machine *m = machine_make(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(amos); i++) {
        const AmoRow *row = &amos[i];
        const uint32_t code[] = {
            amo(row->f5, 3, A0, S1, S0),
            amo(row->f5, 2, A1, S1, S2),
            amo(row->f5, 2, ZERO, S1, S3),
            ebreak(),
        };
        uint64_t words[3] = { row->old, row->old, row->old };

        memcpy(m->ram->host + (DATA - HART_RAM_BASE), words, sizeof(words));
        m->cpu->x[S0] = DATA;
        m->cpu->x[S1] = row->operand;
        m->cpu->x[S2] = DATA + 8;
        m->cpu->x[S3] = DATA + 16;
        put(m, CODE, code, sizeof(code));
        run_from(m, CODE);
        memcpy(words, m->ram->host + (DATA - HART_RAM_BASE), sizeof(words));
        assert_int_equal(m->cpu->mepc, CODE + 12);
        assert_int_equal(m->cpu->x[A0], row->old);
        assert_int_equal(m->cpu->x[A1], (uint64_t)(int32_t)row->old);
        assert_int_equal(m->cpu->x[0], 0);
        assert_int_equal(words[0], row->want_d);
        assert_int_equal(words[1], (row->old >> 32 << 32) | row->want_w);
        assert_int_equal(words[2], words[1]);
    }
    machine_free(m);
}

/* ---- Floating point: what is not arithmetic. */

static void test_fp_state(void **state)
{
    enum {
        FS_CLEAN = 2,
    };
    Machine *m = machine_make(NULL);
    const uint32_t code[] = {
        0xf2000053 | A0 << 15 | 1 << 7,           /* fmv.d.x f1, a0 */
        0xf0000053 | A1 << 15 | 2 << 7,           /* fmv.w.x f2, a1 */
        0x00000053 | 2 << 20 | 2 << 15 | 3 << 7,  /* fadd.s f3, f2, f2, rne */
        0xe0000053 | 3 << 15 | A2 << 7,           /* fmv.x.w a2, f3 */
        0xa0002053 | 2 << 20 | 1 << 15 | A3 << 7, /* feq.s a3, f1, f2: f1 is no boxed single */
        0xe0001053 | 1 << 15 | A4 << 7,           /* fclass.s a4, f1 */
        ebreak(),
    };
    const uint32_t dynamic[] = { 0x02007053 | 1 << 20 | 1 << 15 | 4 << 7,
                                 ebreak() };                         /* fadd.d, dyn */
    const uint32_t store[] = { asm_s(0x27, 3, 1, S0, 0), ebreak() }; /* fsd */

    put(m, CODE, code, sizeof(code));
    m->cpu->mstatus &= ~(RV_MSTATUS_FS | RV_MSTATUS_SD);
    run_from(m, CODE);
    assert_int_equal(m->cpu->mcause, RV_CAUSE_ILLEGAL);
    assert_int_equal(m->cpu->mtval, code[0]);

    m->cpu->mstatus |= (uint64_t)FS_CLEAN << 13;
    m->cpu->x[A0] = UINT64_C(0x400000003f800000);
    m->cpu->x[A1] = 0x40400000; /* 3.0f */
    run_from(m, CODE);
    assert_int_equal(m->cpu->mepc, CODE + 24);
    assert_true(m->cpu->mstatus & RV_MSTATUS_SD);
    assert_int_equal(m->cpu->f[2], UINT64_C(0xffffffff40400000));
    assert_int_equal(m->cpu->x[A2], 0x40c00000);
    assert_int_equal(m->cpu->x[A3], 0);
    assert_int_equal(m->cpu->x[A4], 1 << 9); /* quiet NaN */

    /* A reserved dynamic mode is an illegal instruction; fsd leaves a clean state clean. */
    put(m, CODE, dynamic, sizeof(dynamic));
    m->cpu->frm = 5;
    run_from(m, CODE);
    assert_int_equal(m->cpu->mcause, RV_CAUSE_ILLEGAL);
    m->cpu->mstatus = (m->cpu->mstatus & ~(RV_MSTATUS_FS | RV_MSTATUS_SD)) | (uint64_t)FS_CLEAN
                                                                                 << 13;
    put(m, CODE, store, sizeof(store));
    m->cpu->x[S0] = DATA;
    run_from(m, CODE);
    assert_int_equal(m->cpu->mcause, RV_CAUSE_BREAKPOINT);
    assert_false(m->cpu->mstatus & RV_MSTATUS_SD);
    machine_free(m);
}

/* ---- By block and by instruction. */

#define PROGRAM_WORDS 300

static uint32_t random_insn(uint64_t *seed)
{
    uint64_t r = hart_random(seed);
    unsigned rd = r & 31, rs1 = r >> 5 & 31, rs2 = r >> 10 & 31, f3 = r >> 15 & 7;
    int imm = (int)(r >> 20 & 0x7ff) - 0x400;
    static const unsigned f7s[] = { 0, 1, 0x20, 4, 5, 0x10, 0x14, 0x24, 0x30, 0x34, 7 };

    rd = rd == S0 ? A0 : rd; /* S0 is the base of loads and stores */
    switch (r >> 40 & 15) {
    case 0:
    case 1:
        return asm_r(OP, f3, f7s[(r >> 32 & 0xff) % G_N_ELEMENTS(f7s)], rd, rs1, rs2);
    case 2:
        return asm_r(OP_32, f3, f7s[(r >> 32 & 0xff) % G_N_ELEMENTS(f7s)], rd, rs1, rs2);
    case 3:
    case 4:
        return asm_i(OP_IMM, f3 == 1 || f3 == 5 ? 0 : f3, rd, rs1, imm);
    case 5:
        return asm_i(0x03, f3 == 7 ? 3 : f3, rd, S0, imm);
    case 6:
        return asm_s(0x23, f3 & 3, rs2, S0, imm);
    case 7:
        return asm_b(f3 == 2 || f3 == 3 ? 0 : f3, rs1, rs2, 4 + (int)(r >> 20 & 7) * 4);
    case 8:
        return r >> 50 & 1 ? jal(rd, 4 + (int)(r >> 20 & 7) * 4) : auipc(rd, r >> 20 & 0xfffff);
    case 9:
        return asm_r(0x53, r >> 50 & 1 ? 7 : 0, (unsigned)(r >> 20 & 3) << 2 | (r >> 22 & 1), rd,
                     rs1, rs2); /* fadd, fsub, fmul, fdiv */
    case 10:
        return asm_i(0x07, 2 + (f3 & 1), rd, S0, imm & ~7);
    case 11:
        return csrrs(rd, 0xc02, ZERO);
    case 12:
        return amo((unsigned)(r >> 20 & 3) << 2, 3, rd, rs2, S0);
    case 13: { /* two compressed ones: c.addi and c.mv */
        unsigned one = 0x0001 | (rd == 0 ? A0 : rd) << 7 | (unsigned)(imm & 31) << 2;
        unsigned two = 0x8002 | (rd == 0 ? A1 : rd) << 7 | (rs2 == 0 ? A2 : rs2) << 2;

        return one | two << 16;
    }
    case 14:
        return lui(rd, r >> 20 & 0xfffff);
    default:
        return r >> 44 & 15 ? fence_i() : (uint32_t)hart_random(seed);
    }
}

static void set_random_state(Machine *m, uint64_t seed)
{
    for (unsigned i = 1; i < 32; i++) {
        m->cpu->x[i] = hart_random(&seed);
        m->cpu->f[i] = hart_random(&seed);
    }
    m->cpu->f[0] = 0;
    m->cpu->x[S0] = DATA + 0x1000;
    for (unsigned i = 0; i < 0x2000; i += 8) {
        uint64_t value = hart_random(&seed);

        memcpy(m->ram->host + (DATA - HART_RAM_BASE) + i, &value, 8);
    }
    m->cpu->mstatus = RV_MSTATUS_MPP | RV_MSTATUS_FS | RV_MSTATUS_SD;
    m->cpu->fflags = m->cpu->frm = 0;
    m->cpu->reserved_paddr = UINT64_MAX;
    m->cpu->mcause = m->cpu->mepc = m->cpu->mtval = 0;
    m->cpu->insns = 0;
    m->cpu->priv = RV_PRIV_M;
    m->cpu->pc = CODE;
}

static void test_block_equals_steps(void **state)
{
    Machine *m = machine_make(NULL), *by_step = machine_make(NULL);
    uint64_t seed = 7;
    uint32_t code[PROGRAM_WORDS + 16];

    for (unsigned turn = 0; turn < 400; turn++) {
        uint64_t start = hart_random(&seed);
        unsigned steps = 0;

        for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
            code[i] = i < PROGRAM_WORDS ? random_insn(&seed) : ebreak();
        }
        put(m, CODE, code, sizeof(code));
        put(by_step, CODE, code, sizeof(code));
        set_random_state(m, start);
        set_random_state(by_step, start);
        run_from(m, CODE);
        while (by_step->cpu->pc != TRAP && steps++ < 10000) {
            assert_int_equal(rv_interp_step(by_step->interp), VCPU_EXIT_DEBUG);
        }
        assert_int_equal(m->cpu->mepc, by_step->cpu->mepc);
        assert_int_equal(m->cpu->mcause, by_step->cpu->mcause);
        assert_int_equal(m->cpu->mtval, by_step->cpu->mtval);
        assert_int_equal(m->cpu->insns, by_step->cpu->insns + 1); /* the wfi */
        assert_int_equal(m->cpu->fflags, by_step->cpu->fflags);
        assert_memory_equal(m->cpu->x, by_step->cpu->x, sizeof(m->cpu->x));
        assert_memory_equal(m->cpu->f, by_step->cpu->f, sizeof(m->cpu->f));
        assert_memory_equal(m->ram->host, by_step->ram->host, RAM_BYTES);
    }
    machine_free(by_step);
    machine_free(m);
}

/* ---- Nonsense. */

static void test_random_bits(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t seed = 99;

    for (unsigned turn = 0; turn < 300; turn++) {
        for (unsigned i = 0; i < 0x1000; i += 8) {
            uint64_t value = hart_random(&seed);

            memcpy(m->ram->host + i, &value, 8);
        }
        memory_note_written(m->hart->memory, CODE, 0x1000);
        set_random_state(m, seed);
        for (unsigned i = 0; i < 500; i++) {
            rv_interp_step(m->interp);
            m->cpu->vcpu.halted = false;
            if (m->cpu->pc - CODE >= 0x1000 || hart_random(&seed) % 16 == 0) {
                m->cpu->pc = CODE + hart_random(&seed) % 0x800 * 2;
            }
            assert_int_equal(m->cpu->x[0], 0);
        }
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),       cmocka_unit_test(test_amo),
        cmocka_unit_test(test_fp_state),    cmocka_unit_test(test_block_equals_steps),
        cmocka_unit_test(test_random_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
