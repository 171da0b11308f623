/* SPDX-License-Identifier: MIT */
/*
 * The interpreter's machinery: counting, precise traps, code that changes, interrupts, debugging,
 * and vCPUs that race. Memory and translation are in test-interp-memory.c, what single instructions
 * compute in test-interp-insns.c.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-run.h"

static uint64_t blocks_filled(Machine *m)
{
    AccelVcpuStats stats = { .struct_size = sizeof(stats) };

    rv_interp_stats(m->interp, &stats);
    return stats.blocks_filled;
}

/* ---- Counting. */

static void test_counts_retired(void **state)
{
    Machine *m = machine_make(NULL);

    PROGRAM(m, CODE, nop(), csrrs(A0, 0xb02, ZERO), nop(), nop(), csrrs(A1, 0xb02, ZERO),
            csrrw(ZERO, 0xb02, ZERO), csrrs(A2, 0xb02, ZERO), nop(), csrrs(A3, 0xc02, ZERO));
    run_from(m, CODE);
    assert_end(m, CODE + 4 * 9);
    assert_int_equal(m->cpu->insns, 9 + 1); /* ebreak does not retire, wfi does */
    assert_int_equal(m->cpu->x[A0], 1);
    assert_int_equal(m->cpu->x[A1], 4);
    assert_int_equal(m->cpu->x[A2], 0); /* the write takes the place of its own increment */
    assert_int_equal(m->cpu->x[A3], 2);
    machine_free(m);
}

static void test_trap_is_precise(void **state)
{
    Machine *m = machine_make(NULL);

    PROGRAM(m, CODE, addi(A0, ZERO, 1), addi(A1, ZERO, 7), ld(A1, A2, 8), addi(A0, ZERO, 2));
    m->cpu->x[A2] = 0x1000;
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_ACCESS, CODE + 8, 0x1008);
    assert_int_equal(m->cpu->x[A0], 1);
    assert_int_equal(m->cpu->x[A1], 7);
    assert_int_equal(m->cpu->insns, 2 + 1);

    PROGRAM(m, CODE, sd(A0, A2, 0), addi(A0, ZERO, 2));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_STORE_ACCESS, CODE, 0x1000);
    assert_int_equal(m->cpu->x[A0], 1);

    PROGRAM(m, CODE, jalr(RA, A2, 2));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_FETCH_ACCESS, 0x1002, 0x1002);
    assert_int_equal(m->cpu->x[RA], CODE + 4);

    PROGRAM(m, CODE, nop(), 0xffffffff);
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_ILLEGAL, CODE + 4, 0xffffffff);
    put32(m, CODE, 0x00000001); /* c.nop, then the illegal encoding of all zeros */
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_ILLEGAL, CODE + 2, 0);

    PROGRAM(m, CODE, csrrs(A0, 0x123, ZERO));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_ILLEGAL, CODE, csrrs(A0, 0x123, ZERO));
    machine_free(m);
}

static void test_alignment_without_c(void **state)
{
    Machine *m = machine_make("c=off");

    PROGRAM(m, CODE, addi(A0, ZERO, 1), jal(RA, 6));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_FETCH_MISALIGNED, CODE + 4, CODE + 10);
    assert_int_equal(m->cpu->x[RA], 0);
    PROGRAM(m, CODE, beq(A0, ZERO, 6), bne(A0, ZERO, 6));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_FETCH_MISALIGNED, CODE + 4, CODE + 10);
    PROGRAM(m, CODE, jalr(RA, A1, 3));
    m->cpu->x[A1] = CODE + 0x100;
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_FETCH_MISALIGNED, CODE, CODE + 0x102);
    assert_int_equal(m->cpu->x[RA], 0);
    machine_free(m);
}

/*
 * Millions of handlers of every shape: if they did not follow each other by jumps, or return to the
 * loop, the stack would end.
 */
static void test_long_loop(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t turns = 500000;

    m->cpu->mstatus |= RV_MSTATUS_FS;
    PROGRAM(m, CODE, addi(A0, A0, 1), addi(A2, A2, 3), sd(A2, A3, 0), ld(A2, A3, 0),
            csrrs(A6, 0xc02, ZERO), csrrw(ZERO, 0x340, A6), lr_d(A7, A3), sc_d(A7, A2, A3),
            amoadd_d(A7, ZERO, A3), amo(16, 3, A7, A2, A3),                      /* amomin.d */
            asm_i(0x07, 3, 1, A3, 0), asm_r(0x53, 7, 1, 1, 1, 1),                /* fld, fadd.d */
            asm_s(0x27, 3, 1, A3, 8), lw(A7, A3, 3), asm_i(0x0f, 0, 0, 0, 0xff), /* fsd, fence */
            asm_r(0x33, 4, 1, A7, A0, A2) /* div */, jal(T0, 8), nop(), jalr(T1, A5, 0),
            blt(A0, A1, -4 * 19), jalr(ZERO, A4, 0));
    put32(m, CODE + 0x2000, jalr(ZERO, T1, 0));
    PROGRAM(m, CODE + 0x1000, addi(A5, A5, 1));
    m->cpu->x[A1] = turns;
    m->cpu->x[A3] = DATA;
    m->cpu->x[A4] = CODE + 0x1000;
    m->cpu->x[A5] = CODE + 0x2000;
    run_from(m, CODE);
    assert_end(m, CODE + 0x1004);
    assert_int_equal(m->cpu->x[A2], 3 * turns);
    assert_int_equal(m->cpu->insns, 20 * turns + 2 + 1);
    machine_free(m);
}

/* ---- Code that changes. */

static void test_code_written_without_fence(void **state)
{
    Machine *m = machine_make(NULL);

    /* Twice through the block at +0x40, which the first passage rewrites. */
    PROGRAM(m, CODE, jal(RA, 0x40), sw(A1, A2, 0), jal(RA, 0x38));
    PROGRAM(m, CODE + 0x40, addi(A0, A0, 1), jalr(ZERO, RA, 0));
    m->cpu->x[A1] = addi(A0, A0, 100);
    m->cpu->x[A2] = CODE + 0x40;
    run_from(m, CODE);
    assert_end(m, CODE + 12);
    assert_int_equal(m->cpu->x[A0], 101);
    machine_free(m);
}

/* The TLB knows the page already when it is written, and the block has been compared since. */
static void test_code_written_again_and_again(void **state)
{
    Machine *m = machine_make(NULL);

    /* Adds a0 to itself by an instruction whose immediate grows by one each turn. */
    PROGRAM(m, CODE, jal(RA, 0x40), add(A1, A1, A3), sw(A1, A2, 0), sd(ZERO, A2, 0x100),
            jal(RA, 0x30), addi(A4, A4, -1), bne(A4, ZERO, -20));
    PROGRAM(m, CODE + 0x40, addi(A0, A0, 1), jalr(ZERO, RA, 0));
    m->cpu->x[A1] = addi(A0, A0, 1);
    m->cpu->x[A2] = CODE + 0x40;
    m->cpu->x[A3] = 1 << 20;
    m->cpu->x[A4] = 10;
    run_from(m, CODE);
    assert_end(m, CODE + 28);
    assert_int_equal(m->cpu->x[A0], 1 + (2 + 11) * 10 / 2);
    machine_free(m);
}

static void test_data_beside_code(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t filled;

    PROGRAM(m, CODE, sd(A0, A2, 0), addi(A0, A0, 1), blt(A0, A1, -8));
    m->cpu->x[A1] = 100;
    m->cpu->x[A2] = CODE + 0x800;
    run_from(m, CODE);
    filled = blocks_filled(m);
    m->cpu->x[A0] = 0;
    run_from(m, CODE);
    assert_int_equal(get64(m, CODE + 0x800), 99);
    assert_int_equal(blocks_filled(m), filled); /* compared, not decoded again */

    /* What was compared is still watched. */
    put32(m, CODE + 4, addi(A0, A0, 2));
    m->cpu->x[A0] = 0;
    run_from(m, CODE);
    assert_int_equal(get64(m, CODE + 0x800), 98);
    machine_free(m);
}

static void test_device_writes_code(void **state)
{
    Machine *m = machine_make(NULL);
    uint32_t insn = addi(A0, ZERO, 9);

    PROGRAM(m, CODE, addi(A0, ZERO, 1));
    run_from(m, CODE);
    assert_int_equal(m->cpu->x[A0], 1);
    assert_int_equal(memory_write(m->hart->memory, CODE, &insn, 4), MEMTX_OK);
    run_from(m, CODE);
    assert_int_equal(m->cpu->x[A0], 9);
    machine_free(m);
}

/* A 32-bit instruction whose halves are in two pages. */
static void test_insn_across_pages(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t at = CODE + 0x1000 - 2;
    uint32_t first = addi(A0, A0, 1), second = addi(A0, A0, 0x7f0);

    assert_int_equal(first & 0xffff, second & 0xffff);
    PROGRAM(m, at, first, jalr(ZERO, RA, 0));
    PROGRAM(m, CODE, jalr(RA, A1, 0), sh(A2, A3, 0), jalr(RA, A1, 0), fence_i(), jalr(RA, A1, 0));
    m->cpu->x[A1] = at;
    m->cpu->x[A2] = second >> 16;
    m->cpu->x[A3] = at + 2;
    run_from(m, CODE);
    assert_end(m, CODE + 20);
    assert_int_equal(m->cpu->x[A0], 1 + 0x7f0 + 0x7f0);
    machine_free(m);
}

/* More code than the cache of blocks holds, twice. */
static void test_cache_overflow(void **state)
{
    Machine *m = machine_make(NULL);
    unsigned pages = 256;

    for (unsigned i = 0; i < pages * 1024; i++) {
        uint64_t at = CODE + 4 * i;

        put32(m, at, i % 2 ? jal(ZERO, 4) : addi(A0, A0, 1));
    }
    put32(m, CODE + pages * 4096 - 4, ebreak());
    hart_csrw(m->hart, 0x305, CODE + pages * 4096);
    PROGRAM(m, CODE + pages * 4096, wfi());
    for (unsigned turn = 1; turn <= 2; turn++) {
        run_from(m, CODE);
        assert_end(m, CODE + pages * 4096 - 4);
        assert_int_equal(m->cpu->x[A0], turn * pages * 512);
    }
    machine_free(m);
}

/* ---- Interrupts, kicks, debugging. */

static void test_interrupt(void **state)
{
    Machine *m = machine_make(NULL);

    PROGRAM(m, CODE, addi(A0, A0, 1), csrrs(ZERO, 0x300, S0), addi(A0, A0, 1));
    m->cpu->x[S0] = RV_MSTATUS_MIE;
    hart_csrw(m->hart, 0x304, 1 << RV_IRQ_MSI);
    riscv_set_irq(m->cpu, RV_IRQ_MSI, 1);
    m->cpu->pc = CODE;
    hart_csrw(m->hart, 0x305, TRAP + 0x40);
    PROGRAM(m, TRAP + 0x40, csrrw(ZERO, 0x304, ZERO), wfi());
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_HALTED);
    assert_int_equal(m->cpu->mcause, UINT64_C(1) << 63 | RV_IRQ_MSI);
    assert_int_equal(m->cpu->mepc, CODE + 8);
    assert_int_equal(m->cpu->x[A0], 1);
    machine_free(m);
}

static void *kick_later(void *opaque)
{
    Machine *m = opaque;

    while (orr_load_relaxed(&m->cpu->insns) < 100000) {
    }
    orr_store_release(&m->cpu->vcpu.exit_request, 1u);
    return NULL;
}

static void test_kick(void **state)
{
    Machine *m = machine_make(NULL);
    pthread_t thread;

    PROGRAM(m, CODE, addi(A0, A0, 1), jal(ZERO, -4));
    assert_int_equal(pthread_create(&thread, NULL, kick_later, m), 0);
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_KICKED);
    pthread_join(thread, NULL);
    assert_true(m->cpu->pc == CODE || m->cpu->pc == CODE + 4);
    /* Still asked: no instruction runs. */
    m->cpu->x[A0] = 0;
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_KICKED);
    assert_int_equal(m->cpu->x[A0], 0);
    machine_free(m);
}

static void test_step(void **state)
{
    Machine *m = machine_make(NULL);

    PROGRAM(m, CODE, addi(A0, A0, 1), jal(RA, 8), nop(), beq(A0, ZERO, 8), jalr(ZERO, RA, 0));
    m->cpu->vcpu.single_step = true;
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t next[] = { CODE + 4, CODE + 12, CODE + 16, CODE + 8 };

        assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_DEBUG);
        assert_int_equal(m->cpu->pc, next[i]);
        assert_int_equal(m->cpu->insns, i + 1);
    }
    put32(m, CODE + 8, ecall());
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_DEBUG);
    assert_int_equal(m->cpu->pc, TRAP);
    assert_int_equal(m->cpu->insns, 4);
    machine_free(m);
}

static void test_breakpoint(void **state)
{
    Machine *m = machine_make(NULL);
    VcpuBreakpoint bp = { BREAKPOINT_SOFTWARE, CODE + 8, 4 };
    GArray *list = g_array_new(FALSE, TRUE, sizeof(bp));

    PROGRAM(m, CODE, addi(A0, A0, 1), addi(A0, A0, 1), addi(A0, A0, 1), addi(A0, A0, 1));
    run_from(m, CODE);
    g_array_append_val(list, bp);
    m->cpu->vcpu.breakpoints = list;
    rv_interp_flush(m->interp, true);
    m->cpu->pc = CODE;
    m->cpu->x[A0] = 0;
    m->cpu->insns = 0;
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_DEBUG);
    assert_int_equal(m->cpu->pc, CODE + 8);
    assert_int_equal(m->cpu->x[A0], 2);
    assert_int_equal(m->cpu->insns, 2);
    assert_int_equal(rv_interp_step(m->interp), VCPU_EXIT_DEBUG); /* a step gets past it */
    run_from(m, m->cpu->pc);
    assert_int_equal(m->cpu->x[A0], 4);
    m->cpu->vcpu.breakpoints = NULL;
    g_array_unref(list);
    machine_free(m);
}

/* ---- vCPUs that share memory. */

#define RACERS 3
#define TURNS 20000

static void *race(void *opaque)
{
    Machine *m = opaque;

    run_from(m, CODE);
    return NULL;
}

/* Each adds to one counter by AMO and to another by LR/SC; none may be lost. */
static void test_atomics_race(void **state)
{
    Machine *m[RACERS];
    pthread_t thread[RACERS];

    for (unsigned i = 0; i < RACERS; i++) {
        m[i] = machine_make(NULL);
        if (i > 0) {
            rv_interp_destroy(m[i]->interp);
            m[i]->cpu->vcpu.memory = m[0]->hart->memory;
            m[i]->interp = rv_interp_create(&m[i]->cpu->vcpu, false);
        }
        m[i]->cpu->x[S0] = DATA;
        m[i]->cpu->x[S1] = DATA + 64;
        m[i]->cpu->x[S2] = TURNS;
        m[i]->cpu->x[S3] = 1;
    }
    PROGRAM(m[0], CODE, amoadd_d(ZERO, S3, S0), lr_d(A0, S1), addi(A0, A0, 1), sc_d(A1, A0, S1),
            bne(A1, ZERO, -12), addi(S2, S2, -1), bne(S2, ZERO, -24));
    for (unsigned i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, race, m[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_int_equal(get64(m[0], DATA), RACERS * TURNS);
    assert_int_equal(get64(m[0], DATA + 64), RACERS * TURNS);
    for (unsigned i = RACERS; i-- > 0;) {
        machine_free(m[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_retired),
        cmocka_unit_test(test_trap_is_precise),
        cmocka_unit_test(test_alignment_without_c),
        cmocka_unit_test(test_long_loop),
        cmocka_unit_test(test_code_written_without_fence),
        cmocka_unit_test(test_code_written_again_and_again),
        cmocka_unit_test(test_data_beside_code),
        cmocka_unit_test(test_device_writes_code),
        cmocka_unit_test(test_insn_across_pages),
        cmocka_unit_test(test_cache_overflow),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_kick),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_breakpoint),
        cmocka_unit_test(test_atomics_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
