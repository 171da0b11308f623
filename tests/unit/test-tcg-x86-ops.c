/* SPDX-License-Identifier: MIT */
/*
 * Every operation of the x86-64 back end alone: all homes, registers that coincide, immediates of each
 * size, with and without the CPU's features, against what the operation means in C. And what leaves
 * a region: links, look-ups, hot code, killed code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "target/riscv/tcg/fpu-ops.h"
#include "tcg/ir-internal.h"
#include "tests/unit/tcg-x86-bench.h"

static const unsigned subsets[] = { 0, 1, 2, 16, 32, 255 };

static const uint64_t ints[] = {
    0,
    1,
    2,
    63,
    64,
    (uint64_t)-1,
    (uint64_t)-64,
    0x7f,
    0x80,
    0xff00,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    UINT64_C(0xffffffff80000000),
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT64_C(0x0123456789abcdef),
    UINT64_C(0xfedc00ba98007654),
};

static const int64_t immediates[] = {
    0,  1,  -1, 7,   0x7f,       0x80,       -0x80,      0xff,
    31, 33, 63, 100, 0xffff,     0x7fffffff, 0x80000000, -INT64_C(0x80000000),
    -5, 64, 3,  8,   0xffffffff, INT64_MAX,  INT64_MIN,  INT64_C(0x123456789abcdef),
};

#define RANDOM_PAIRS 4

static uint64_t random_word(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

static const int8_t no_homes[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

/* Which of x0 (dst), x1 (a), x2 (b), x3 (c) have registers: bits; the registers change as well. */
static void int_homes(unsigned pattern, int8_t homes[8])
{
    static const int8_t registers[2][4] = { { 3, 6, 8, 12 }, { 13, 7, 14, 11 } };

    memcpy(homes, no_homes, 8);
    for (unsigned i = 0; i < 4; i++) {
        if (pattern >> i & 1) {
            homes[i] = registers[pattern >> 4 & 1][i];
        }
    }
}

typedef struct Operands {
    IrReg dst, a, b, c;
    int64_t imm;
} Operands;

static void try_int(X86Bench *bench, unsigned op, unsigned pattern, const Operands *o, unsigned aux,
                    unsigned cond, unsigned step)
{
    int8_t homes[8];
    uint64_t random = op * 977 + pattern;
    IrInsn insn;

    int_homes(pattern, homes);
    bench_begin(bench, homes, no_homes);
    insn = *ir_emit(bench->region, op, o->dst, o->a, o->b, o->c);
    insn.imm = o->imm;
    insn.aux = (uint16_t)aux;
    insn.cond = (uint8_t)cond;
    bench->region->insns[0] = insn;
    bench_emit(bench);
    for (unsigned i = step; i < G_N_ELEMENTS(ints) * G_N_ELEMENTS(ints); i += 7) {
        uint64_t x[4], in[3], expected;

        x[0] = random_word(&random);
        x[1] = ints[i % G_N_ELEMENTS(ints)];
        x[2] = ints[i / G_N_ELEMENTS(ints)];
        x[3] = random_word(&random);
        if (i % 5 == 0) {
            x[1] = random_word(&random);
        }
        memcpy(bench->env.x, x, sizeof(x));
        in[0] = o->a < 4 ? x[o->a] : 0;
        in[1] = o->b < 4 ? x[o->b] : o->b == IR_IMM ? (uint64_t)o->imm : 0;
        in[2] = o->c < 4 ? x[o->c] : 0;
        expected = ir_eval(&insn, in[0], in[1], in[2], x[o->dst]);
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        x[o->dst] = expected;
        for (unsigned r = 0; r < 4; r++) {
            if (bench->env.x[r] != x[r]) {
                fail_msg("%s, dst x%u a %#x b %#x imm %#llx homes %#x: inputs %#llx %#llx, x%u is "
                         "%#llx, not %#llx",
                         ir_op_info[op].name, o->dst, o->a, o->b, (unsigned long long)o->imm,
                         pattern, (unsigned long long)in[0], (unsigned long long)in[1], r,
                         (unsigned long long)bench->env.x[r], (unsigned long long)x[r]);
            }
        }
    }
}

static void try_int_op(X86Bench *bench, unsigned op, unsigned aux, unsigned cond)
{
    static const Operands shapes[] = {
        { 0, 1, 2, 3, 0 }, { 0, 0, 2, 3, 0 }, { 0, 1, 0, 3, 0 },       { 0, 1, 1, 3, 0 },
        { 0, 0, 0, 0, 0 }, { 0, 1, 2, 0, 0 }, { 0, IR_ZERO, 2, 3, 0 }, { 0, 1, IR_ZERO, 3, 0 },
        { 0, 1, 2, 1, 0 }, { 0, 1, 2, 2, 0 }, { 0, 0, IR_ZERO, 3, 0 }, { 0, 1, 2, IR_ZERO, 0 },
    };
    const char *shape = ir_op_info[op].shape;

    for (unsigned pattern = 0; pattern < 32; pattern++) {
        for (unsigned s = 0; s < G_N_ELEMENTS(shapes); s++) {
            Operands o = shapes[s];

            o.a = shape[2] == '-' ? IR_NONE : o.a;
            o.b = shape[3] == '-' ? IR_NONE : o.b;
            o.c = shape[4] == '-' ? IR_NONE : o.c;
            o.imm = op == IR_OP_movi ? immediates[(s + pattern) % G_N_ELEMENTS(immediates)] : 0;
            try_int(bench, op, pattern, &o, aux, cond, s % 7);
        }
        if (shape[3] == 'I') {
            for (unsigned i = 0; i < G_N_ELEMENTS(immediates); i++) {
                Operands o = { 0, i & 1 ? 0 : 1, IR_IMM, shape[4] == '-' ? IR_NONE : 3,
                               immediates[i] };

                if ((i + pattern) % 11 == 0) {
                    o.a = IR_ZERO;
                }
                try_int(bench, op, pattern, &o, aux, cond, i % 7);
            }
        }
    }
}

static void integer_operations(void **state)
{
    for (unsigned s = 0; s < G_N_ELEMENTS(subsets); s++) {
        X86Bench *bench = bench_create(subsets[s], NULL);

        for (unsigned op = 0; op < IR_OP_COUNT; op++) {
            if (!ir_can_eval(op)) {
                continue;
            }
            if (ir_op_info[op].flags & IR_COND) {
                for (unsigned cond = 0; cond < IR_COND_COUNT; cond++) {
                    try_int_op(bench, op, 0, cond);
                }
            } else {
                try_int_op(bench, op, 1 + op % 3, 0);
            }
        }
        bench_destroy(bench);
    }
}

/* ---- Floating point. */

static const uint64_t doubles[] = {
    0,
    UINT64_C(0x8000000000000000),
    UINT64_C(0x3ff0000000000000),
    UINT64_C(0xbff0000000000000),
    UINT64_C(0x3fe0000000000000),
    UINT64_C(0x3ff8000000000000),
    UINT64_C(0x7ff0000000000000),
    UINT64_C(0xfff0000000000000),
    UINT64_C(0x7ff8000000000000),
    UINT64_C(0xfff8000000000123),
    UINT64_C(0x7ff0000000000001),
    UINT64_C(0xfff4000000000000),
    1,
    UINT64_C(0x8000000000000001),
    UINT64_C(0x000fffffffffffff),
    UINT64_C(0x0010000000000000),
    UINT64_C(0x7fefffffffffffff),
    UINT64_C(0xffefffffffffffff),
    UINT64_C(0x41dfffffffc00000), /* 2^31 - 1 */
    UINT64_C(0x41dfffffffe00000), /* and a half */
    UINT64_C(0x41e0000000000000),
    UINT64_C(0xc1e0000000000000),
    UINT64_C(0xc1e0000000100000),
    UINT64_C(0xc1e0000000200000),
    UINT64_C(0x41efffffffe00000), /* 2^32 - 1 */
    UINT64_C(0x41effffffff00000),
    UINT64_C(0x41f0000000000000),
    UINT64_C(0x43e0000000000000), /* 2^63 */
    UINT64_C(0x43dfffffffffffff),
    UINT64_C(0xc3e0000000000000),
    UINT64_C(0xc3e0000000000001),
    UINT64_C(0x43f0000000000000), /* 2^64 */
    UINT64_C(0x43efffffffffffff),
    UINT64_C(0xbfe0000000000000),
    UINT64_C(0xbfd0000000000000),
    UINT64_C(0x36a0000000000000), /* the smallest single */
    UINT64_C(0x47efffffe0000000), /* the largest */
    UINT64_C(0x47effffff0000000),
    UINT64_C(0x380fffffffffffff),
};

static const uint32_t singles[] = {
    0,          0x80000000, 0x3f800000, 0xbf800000, 0x3f000000, 0x3fc00000, 0x7f800000, 0xff800000,
    0x7fc00000, 0xffc00123, 0x7f800001, 0xffa00000, 1,          0x80000001, 0x007fffff, 0x00800000,
    0x7f7fffff, 0xff7fffff, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000,
    0x5f000000, 0x5effffff, 0xdf000000, 0xdf000001, 0x5f800000, 0x5f7fffff, 0xbf000000, 0xbe800000,
};

static bool takes_singles(unsigned op)
{
    return (op >= IR_OP_fadds && op <= IR_OP_fles) || (op >= IR_OP_fcvtws && op <= IR_OP_fcvtqs) ||
           op == IR_OP_fcvtds || (op >= IR_OP_fsgnjs && op <= IR_OP_fsgnjxs);
}

static uint64_t float_input(unsigned op, uint64_t random, bool boxed)
{
    if (!takes_singles(op)) {
        return random % 3 == 0 ? random_word(&random)
                               : doubles[(random >> 8) % G_N_ELEMENTS(doubles)];
    }
    if (!boxed && random % 5 == 0) {
        return doubles[(random >> 8) % G_N_ELEMENTS(doubles)];
    }
    return UINT64_C(0xffffffff00000000) |
           (random % 3 == 0 ? (uint32_t)(random >> 20)
                            : singles[(random >> 8) % G_N_ELEMENTS(singles)]);
}

/* The flags that guests have; the host's for denormal inputs is not one. */
static uint32_t guest_flags(uint32_t mxcsr)
{
    return mxcsr & 0x3d;
}

static uint32_t host_flags(unsigned flags)
{
    return (flags & 1) << 5 | (flags & 2) << 3 | (flags & 4) << 1 | (flags & 8) >> 1 |
           (flags & 16) >> 4;
}

static void try_float(X86Bench *bench, unsigned op, unsigned pattern, unsigned shape_number,
                      unsigned aux)
{
    static const uint8_t shapes[][4] = {
        { 0, 1, 2, 3 }, { 0, 0, 1, 2 }, { 0, 1, 0, 2 },
        { 0, 1, 2, 0 }, { 0, 1, 1, 1 }, { 0, 0, 0, 0 },
    };
    const char *shape = ir_op_info[op].shape;
    const uint8_t *numbers = shapes[shape_number];
    uint64_t random = op * 1000 + pattern * 10 + shape_number + aux;
    int8_t floats[8], homes[8];
    IrReg regs[4];
    IrInsn *insn;

    int_homes(pattern, homes);
    memcpy(floats, no_homes, 8);
    for (unsigned i = 0; i < 4; i++) {
        if (pattern >> i & 1) {
            floats[i] = (int8_t)(3 + i * 3 + (pattern >> 4 & 1));
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        char kind = shape[i ? i + 1 : 0];

        regs[i] = kind == '-' ? IR_NONE : kind == 'f' ? bench_f(numbers[i]) : bench_x(numbers[i]);
    }
    bench_begin(bench, homes, floats);
    insn = ir_emit(bench->region, op, regs[0], regs[1], regs[2], regs[3]);
    insn->aux = (uint16_t)aux;
    bench_emit(bench);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t x[4], f[4], in[3] = { 0 }, expected, got;
        TcgFpEnv env = { .round = (uint8_t)(i % 4) };
        uint32_t flags;

        for (unsigned r = 0; r < 4; r++) {
            x[r] = i % 3 ? ints[random_word(&random) % G_N_ELEMENTS(ints)] : random_word(&random);
            f[r] =
                float_input(op, random_word(&random), aux & (IR_BOXED_A | IR_BOXED_B | IR_BOXED_C));
        }
        memcpy(bench->env.x, x, sizeof(x));
        memcpy(bench->env.f, f, sizeof(f));
        for (unsigned r = 0; r < 3; r++) {
            in[r] = shape[r + 2] == 'f'   ? f[numbers[r + 1]]
                    : shape[r + 2] == 'i' ? x[numbers[r + 1]]
                                          : 0;
        }
        expected = riscv_tcg_fpu.op[op](&env, aux, in[0], in[1], in[2]);
        bench->fast.fp_round = env.round;
        bench->fast.mxcsr = 0x1f80;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        got = shape[0] == 'f' ? bench->env.f[0] : bench->env.x[0];
        flags = guest_flags(bench->fast.mxcsr);
        if (got != expected || flags != host_flags(env.flags)) {
            fail_msg(
                "%s aux %#x homes %#x shape %u round %u of %#llx %#llx %#llx: %#llx flags %#x, "
                "not %#llx flags %#x",
                ir_op_info[op].name, aux, pattern, shape_number, env.round,
                (unsigned long long)in[0], (unsigned long long)in[1], (unsigned long long)in[2],
                (unsigned long long)got, flags, (unsigned long long)expected,
                host_flags(env.flags));
        }
        for (unsigned r = 1; r < 4; r++) {
            assert_int_equal(bench->env.x[r], x[r]);
            assert_int_equal(bench->env.f[r], f[r]);
        }
    }
}

static void floating_point_operations(void **state)
{
    for (unsigned s = 0; s < G_N_ELEMENTS(subsets); s++) {
        X86Bench *bench = bench_create(subsets[s], &riscv_tcg_fpu);

        for (unsigned op = 0; op < IR_OP_COUNT; op++) {
            bool boxes = takes_singles(op), negates = op == IR_OP_fmad || op == IR_OP_fmas;

            if (!riscv_tcg_fpu.op[op]) {
                assert_false(ir_op_info[op].flags & IR_FP);
                continue;
            }
            for (unsigned n = 0; n < 32 * 6; n++) {
                try_float(bench, op, n / 6, n % 6, negates ? n % 4 * IR_NEGATE_PRODUCT : 0);
                if (boxes) {
                    try_float(bench, op, n / 6, n % 6, IR_BOXED_A | IR_BOXED_B | IR_BOXED_C);
                }
                if (op >= IR_OP_fcvtwd && op <= IR_OP_fcvtqs) {
                    try_float(bench, op, n / 6, n % 6, IR_TOWARD_ZERO);
                }
            }
        }
        bench_destroy(bench);
    }
}

/* Comparisons whose only use is a branch. */
static void comparison_and_branch(void **state)
{
    static const uint8_t ops[] = { IR_OP_feqd, IR_OP_fltd, IR_OP_fled,
                                   IR_OP_feqs, IR_OP_flts, IR_OP_fles };
    static const int8_t floats[8] = { 3, 4, -1, -1, -1, -1, -1, -1 };

    for (unsigned n = 0; n < G_N_ELEMENTS(ops) * 8; n++) {
        unsigned op = ops[n / 8], cond = n & 1, swap = n >> 1 & 1, memory = n >> 2 & 1;
        X86Bench *bench = bench_create(0, &riscv_tcg_fpu);
        IrRegion *region = bench->region;
        uint16_t blocks[2];
        IrInsn *end;
        IrReg t;

        bench_begin(bench, no_homes, memory ? no_homes : floats);
        t = ir_temp(region, IR_TYPE_I64);
        bench->allocation.home[t] = (IrHome){ .reg = 3, .start = 0, .end = 1 };
        blocks[0] = ir_block_new(region, 0x1000);
        blocks[1] = ir_block_new(region, 0x1000);
        ir_emit(region, op, t, bench_f(0), bench_f(1), IR_NONE);
        end = ir_emit(region, IR_OP_brcond, IR_NONE, t, IR_ZERO, IR_NONE);
        end->cond = (uint8_t)cond;
        end->aux = blocks[swap];
        end->target = blocks[!swap];
        for (unsigned i = 0; i < 2; i++) {
            ir_block_begin(region, blocks[i]);
            end = ir_emit(region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);
            end->imm = 0x2000 + i;
            end->aux = IR_LINK_NONE;
        }
        bench_emit(bench);
        for (unsigned i = 0; i < 300; i++) {
            uint64_t random = i * 7919 + 1, a, b;
            TcgFpEnv env = { 0 };
            bool result, taken;

            a = float_input(op, random_word(&random), false);
            b = i % 3 ? float_input(op, random_word(&random), false) : a;
            bench->env.f[0] = a;
            bench->env.f[1] = b;
            bench->fast.mxcsr = 0;
            bench_run(bench);
            result = riscv_tcg_fpu.op[op](&env, 0, a, b, 0);
            taken = result == (cond == IR_NE);
            assert_int_equal(bench->env.pc, 0x2000 + (taken ? swap : !swap));
            assert_int_equal(guest_flags(bench->fast.mxcsr), host_flags(env.flags));
        }
        bench_destroy(bench);
    }
}

/* ---- Memory. */

static void addresses(void **state)
{
    static const int64_t offsets[] = {
        0, 8, -8, 0x7ff, 0x12345678, INT64_C(0x1234567890), INT32_MAX
    };

    for (unsigned n = 0; n < G_N_ELEMENTS(offsets) * 2 * 4; n++) {
        X86Bench *bench = bench_create(n & 4 ? 255 : 0, NULL);
        int64_t offset = offsets[n / 8];
        int8_t homes[8];
        IrInsn *ld, *st;

        int_homes(n & 1 ? 15 : 0, homes);
        bench_begin(bench, homes, no_homes);
        ld = ir_emit(bench->region, IR_OP_ld, 0, 1, IR_NONE, IR_NONE);
        ld->imm = offset;
        ld->aux = n & 2 ? 3 | IR_MEM_ATOMIC : 3;
        st = ir_emit(bench->region, IR_OP_st, IR_NONE, 2, 3, IR_NONE);
        st->imm = offset;
        st->aux = 2;
        st = ir_emit(bench->region, IR_OP_st, IR_NONE, IR_ZERO, IR_ZERO, IR_NONE);
        st->imm = (int64_t)BENCH_PAGE + 0x40;
        st->aux = n & 3;
        bench_emit(bench);
        memset(bench->page, 0xa5, sizeof(bench->page));
        memcpy(bench->page + 0x100, &(uint64_t){ 0x1122334455667788 }, 8);
        bench->env.x[1] = BENCH_PAGE + 0x100 - (uint64_t)offset;
        bench->env.x[2] = BENCH_PAGE + 0xffc - (uint64_t)offset;
        bench->env.x[3] = 0x99aabbccddeeff00;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        assert_int_equal(bench->slows, 0);
        assert_int_equal(bench->env.x[0], 0x1122334455667788);
        assert_memory_equal(bench->page + 0xffc, &(uint32_t){ 0xddeeff00 }, 4);
        assert_int_equal(bench->page[0x40], 0);
        assert_int_equal(bench->page[0x40 + (1 << (n & 3))], 0xa5);

        /* Across the page's end, and misaligned. */
        bench->env.x[1]++;
        bench->env.x[2]++;
        bench->slow_value = 77;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        assert_int_equal(bench->slows, n & 2 ? 2 : 1);
        assert_int_equal(bench->va, BENCH_PAGE + 0xffd);
        assert_int_equal((uint32_t)bench->value, 0xddeeff00);
        assert_int_equal(bench->env.x[0], n & 2 ? 77 : 0xa511223344556677);
        bench_destroy(bench);
    }
}

/* Copies 32 bytes from x1 to x2 by four loads and four stores, interleaved; singly where heat is counted. */
static void emit_copy(X86Bench *bench, bool shared, unsigned pattern)
{
    static const uint8_t order[] = { 2, 0, 3, 1 };
    int8_t homes[8];

    int_homes(pattern, homes);
    bench_begin(bench, homes, no_homes);
    bench->region->heat_offset = shared ? 0 : TCG_VIEW_OFFSET(heat[7]);
    bench->view->heat[7] = INT32_MAX;
    for (unsigned i = 0; i < 4; i++) {
        IrInsn *ld = ir_emit(bench->region, IR_OP_ld, 0, 1, IR_NONE, IR_NONE), *st;

        ld->imm = order[i] * 8;
        ld->aux = 3;
        ir_emit_imm(bench->region, IR_OP_add, 3, 3, 1);
        st = ir_emit(bench->region, IR_OP_st, IR_NONE, 2, 0, IR_NONE);
        st->imm = order[i] * 8;
        st->aux = 3;
    }
    ir_emit(bench->region, IR_OP_mul, 3, 3, 3, IR_NONE); /* after the groups */
    bench_emit(bench);
}

/* One check for several accesses; where it fails, each is made for itself. */
static void shared_checks(void **state)
{
    for (unsigned pattern = 0; pattern < 32; pattern++) {
        for (unsigned shared = 0; shared < 2; shared++) {
            X86Bench *bench = bench_create(0, NULL);

            emit_copy(bench, shared, pattern);
            for (unsigned run = 0; run < 200; run++) {
                /* Within the page, and over its end by more and more accesses. */
                uint64_t from = 0x800 + run * 8, to = run % 3 ? 0x400 : 0xfe8 + run % 7;
                unsigned slows = 0;

                if (run > 100) {
                    from = 0xfd0 + run % 48;
                }
                for (unsigned i = 0; i < 4; i++) {
                    slows += from + i * 8 + 8 > 4096;
                    slows += to + i * 8 + 8 > 4096;
                }
                for (unsigned i = 0; i < sizeof(bench->page); i++) {
                    bench->page[i] = (uint8_t)(i * 7 + i / 256);
                }
                bench->slow_value = 0x55;
                bench->slows = 0;
                bench->env.x[1] = BENCH_PAGE + from;
                bench->env.x[2] = BENCH_PAGE + to;
                bench->env.x[3] = 5;
                assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
                assert_int_equal(bench->slows, slows);
                assert_int_equal(bench->env.x[3], 81);
                for (unsigned i = 0; i < 32 && slows == 0; i++) {
                    unsigned at = (unsigned)from + i;

                    if (to + 32 <= from) {
                        assert_int_equal(bench->page[to + i], (uint8_t)(at * 7 + at / 256));
                    }
                }
            }
            /* The table forgets the page: so does everything. */
            bench->view->load[BENCH_PAGE >> TCG_PAGE_BITS].tag = TCG_TLB_EMPTY;
            tcg_forget_recent(bench->view);
            bench->slows = 0;
            bench->env.x[1] = BENCH_PAGE + 0x100;
            bench->env.x[2] = BENCH_PAGE + 0x200;
            bench_run(bench);
            assert_int_equal(bench->slows, 4);
            assert_int_equal(bench->env.x[0], 0x55);
            bench_destroy(bench);
        }
    }
}

/* Byte and halfword atomics, which random regions may leave out. */
static void small_atomics(void **state)
{
    for (unsigned n = 0; n < 2 * 9; n++) {
        unsigned size_log2 = n & 1, kind = n / 2, bits = 8u << size_log2;
        X86Bench *bench = bench_create(0, NULL);
        int8_t homes[8];

        int_homes(n % 3 ? 15 : 0, homes);
        bench_begin(bench, homes, no_homes);
        ir_emit(bench->region, IR_OP_amo, 0, 1, 2, IR_NONE)->aux =
            (uint16_t)(size_log2 | kind << IR_AMO_SHIFT);
        bench_emit(bench);
        for (unsigned i = 0; i < G_N_ELEMENTS(ints); i++) {
            uint64_t old = ints[(i * 5 + 3) % G_N_ELEMENTS(ints)], operand = ints[i], left = 0;
            unsigned shift = 64 - bits;
            bool is_signed = kind == IR_AMO_MIN || kind == IR_AMO_MAX;
            uint64_t a, b, expected;

            a = is_signed ? (uint64_t)((int64_t)(old << shift) >> shift) : old << shift >> shift;
            b = is_signed ? (uint64_t)((int64_t)(operand << shift) >> shift)
                          : operand << shift >> shift;
            expected = ir_eval_amo(kind, a, b) << shift >> shift;
            memcpy(bench->page + 0x20, &old, 8);
            bench->env.x[1] = BENCH_PAGE + 0x20;
            bench->env.x[2] = operand;
            bench_run(bench);
            memcpy(&left, bench->page + 0x20, bits / 8);
            assert_int_equal(left, expected);
            assert_int_equal(bench->env.x[0], (uint64_t)((int64_t)(old << shift) >> shift));
        }
        assert_int_equal(bench->slows, 0);
        bench_destroy(bench);
    }
}

/* ---- Ways out. */

static void leaving_and_linking(void **state)
{
    X86Bench *bench = bench_create(0, NULL);
    static const int8_t homes[8] = { 3, 6, -1, -1, -1, -1, -1, -1 };
    const TcgHost *host = &tcg_host_x86_64;
    TcgLink link;
    IrInsn *end;

    bench_begin(bench, homes, no_homes);
    ir_emit_imm(bench->region, IR_OP_add, 0, 0, 1);
    end = ir_emit(bench->region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);
    end->imm = INT64_C(0x123456789000);
    end->aux = 0;
    bench->region->link_count = 1;
    bench->region->heat_offset = TCG_VIEW_OFFSET(heat[5]);
    bench->view->heat[5] = 1000;
    bench_emit(bench);
    link = bench->emitted.links[0];
    assert_int_equal(link.operand_offset % 4, 0);
    assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
    assert_int_equal(bench->links, 1);
    assert_int_equal(bench->env.pc, 0x123456789000);
    assert_int_equal(bench->env.x[0], 1);

    /* To itself, until it is hot. */
    host->link(bench->code.rw, bench->code.rx, &link, bench->code.rx);
    assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
    assert_int_equal(bench->hots, 1);
    assert_int_equal(bench->env.pc, 0x1000);
    assert_int_equal(bench->env.x[0], 1 + 999);
    assert_int_equal(bench->view->heat[5], -1);

    bench->env.exit_request = 1;
    assert_int_equal(bench_run(bench), TCG_EXIT_POLL);
    bench->env.exit_request = 0;

    host->link(bench->code.rw, bench->code.rx, &link, NULL);
    bench->view->heat[5] = 1000;
    assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
    assert_int_equal(bench->links, 2);

    host->kill(bench->code.rw, bench->code.rx, bench->emitted.kill_stub_offset);
    bench->env.pc = 0;
    assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
    assert_int_equal(bench->lookups, 1);
    assert_int_equal(bench->env.pc, 0x1000);
    bench_destroy(bench);
}

/* Inline look-ups find what is in the table under the region's flag, and nothing else. */
static void looking_up(void **state)
{
    static const uint64_t pcs[] = { 0x2000,
                                    UINT64_C(0xffffffff80002004),
                                    UINT64_C(0x7ffff7fe0fe2),
                                    UINT64_C(0xfffffffffffffffe),
                                    0,
                                    2 };

    for (unsigned n = 0; n < G_N_ELEMENTS(pcs) * 8; n++) {
        X86Bench *bench = bench_create(0, NULL);
        unsigned flag = n & 1, in_register = n >> 1 & 1, home = n >> 2 & 1;
        uint64_t pc = pcs[n / 8], tag = pc | flag;
        TcgJump *jump = &bench->view->jumps[(tag >> 1) & (TCG_JUMP_SIZE - 1)];
        int8_t homes[8];
        IrInsn *end;

        int_homes(home ? 15 : 0, homes);
        bench_begin(bench, homes, no_homes);
        bench->region->tag_flags = flag;
        end = ir_emit(bench->region, in_register ? IR_OP_exit_reg : IR_OP_exit, IR_NONE,
                      in_register ? bench_x(1) : IR_NONE, IR_NONE, IR_NONE);
        end->imm = in_register ? 0 : (int64_t)pc;
        end->aux = in_register ? 0 : IR_LINK_NONE;
        bench_emit(bench);
        bench->env.x[1] = pc;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        assert_int_equal(bench->lookups, 1);
        assert_int_equal(bench->env.pc, pc);

        jump->tag = tag;
        jump->code = bench->thunks.lookup;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        assert_int_equal(bench->lookups, 2);
        jump->tag = tag ^ 1;
        jump->code = NULL;
        assert_int_equal(bench_run(bench), TCG_EXIT_RESUME);
        assert_int_equal(bench->lookups, 3);
        bench_destroy(bench);
    }
}

static void text_of_code(void **state)
{
    GString *text = g_string_new(NULL);
    uint8_t code[16] = { 0x48, 0x01, 0xd8 };
    size_t length = tcg_host_x86_64.disas(code, 0x1000, text);

    assert_true(length == 3 || length == 1);
    if (length == 3) {
        assert_string_equal(text->str, "add rax, rbx");
    }
    g_string_free(text, TRUE);
}

/* Too little room is found out before anything is written behind the buffer. */
static void buffers_that_are_too_small(void **state)
{
    X86Bench *bench = bench_create(0, NULL);
    TcgEmitted out;

    bench_begin(bench, no_homes, no_homes);
    for (unsigned i = 0; i < 500; i++) {
        ir_emit_imm(bench->region, IR_OP_add, 0, 1, 1);
    }
    bench_emit(bench);
    for (size_t room = 0; room < bench->emitted.code_bytes; room += 61) {
        TcgCodeBuffer small = bench->code;

        small.capacity_bytes = room;
        memset(small.rw + room, 0xcc, 4096);
        assert_false(tcg_host_x86_64.emit(bench->emitter, bench->region, &bench->allocation,
                                          (void *)bench, &small, &out));
        for (unsigned i = 0; i < 4096; i++) {
            assert_int_equal(small.rw[room + i], 0xcc);
        }
    }
    bench_destroy(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integer_operations),    cmocka_unit_test(floating_point_operations),
        cmocka_unit_test(comparison_and_branch), cmocka_unit_test(addresses),
        cmocka_unit_test(shared_checks),         cmocka_unit_test(small_atomics),
        cmocka_unit_test(leaving_and_linking),   cmocka_unit_test(looking_up),
        cmocka_unit_test(text_of_code),          cmocka_unit_test(buffers_that_are_too_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
