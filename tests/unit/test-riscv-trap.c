/* SPDX-License-Identifier: MIT */
/*
 * Traps, interrupts and the supervisor timer. Where the state that matters is small, all of it is
 * tried and compared with a second reading of the specification's sentences; the idea to hold is
 * that those readings are written as the text is, one clause a line, not as the code is.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-hart.h"

static const RvPriv privs[] = { RV_PRIV_U, RV_PRIV_S, RV_PRIV_M };
static const unsigned irqs[] = { RV_IRQ_SSI, RV_IRQ_MSI, RV_IRQ_STI,
                                 RV_IRQ_MTI, RV_IRQ_SEI, RV_IRQ_MEI };

/* Spreads the low bits of a counter over interrupt numbers. */
static uint64_t spread(unsigned bits)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(irqs); i++) {
        word |= (uint64_t)(bits >> i & 1) << irqs[i];
    }
    return word;
}

/* ---- Which interrupt is taken: 3.1.9 and 10.1.3. */

static int expected_interrupt(uint64_t mip, uint64_t mie, uint64_t mideleg, RvPriv priv, bool m_on,
                              bool s_on)
{
    static const unsigned order[] = { 11, 3, 7, 9, 1, 5 };

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        bool delegated = mideleg >> order[i] & 1;
        bool pending = (mip & mie) >> order[i] & 1;

        if (pending && !delegated && (priv < RV_PRIV_M || m_on)) {
            return (int)order[i];
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        bool delegated = mideleg >> order[i] & 1;
        bool pending = (mip & mie) >> order[i] & 1;

        if (pending && delegated && (priv < RV_PRIV_S || (priv == RV_PRIV_S && s_on))) {
            return (int)order[i];
        }
    }
    return -1;
}

static void test_pending(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned mip = 0; mip < 64; mip++) {
        for (unsigned mie = 0; mie < 64; mie++) {
            for (unsigned deleg = 0; deleg < 8; deleg++) {
                for (unsigned rest = 0; rest < 12; rest++) {
                    bool m_on = rest & 1, s_on = rest & 2;
                    int want;

                    cpu->mip_soft = spread(mip) & 0x222;
                    cpu->mip_lines = spread(mip) & 0x888;
                    cpu->mie = spread(mie);
                    cpu->mideleg = (deleg & 1) << 1 | (deleg & 2) << 4 | (deleg & 4) << 7;
                    cpu->priv = privs[rest >> 2];
                    cpu->mstatus = (m_on ? 8 : 0) | (s_on ? 2 : 0);
                    want = expected_interrupt(spread(mip), cpu->mie, cpu->mideleg, cpu->priv, m_on,
                                              s_on);
                    assert_int_equal(riscv_pending_interrupt(cpu), want);
                    assert_int_equal(riscv64_target_ops.has_work(&cpu->vcpu), (mip & mie) != 0);
                }
            }
        }
    }
    hart_destroy(hart);
}

/* ---- Entry: 3.1.6.1, 3.1.7, 3.1.8, 3.1.14. */

static void try_entry(Hart *hart, RvPriv priv, bool interrupt, unsigned cause, bool delegated,
                      uint64_t status, uint64_t tvec_mode)
{
    RiscvCpu *cpu = hart->cpu;
    uint64_t code = (uint64_t)interrupt << 63 | cause;
    bool to_s = delegated && priv != RV_PRIV_M;
    uint64_t offset = interrupt && tvec_mode ? 4 * cause : 0;

    cpu->priv = priv;
    cpu->pc = 0x80001236;
    cpu->mstatus = status;
    cpu->medeleg = !interrupt && delegated ? UINT64_C(1) << cause : 0;
    cpu->mideleg = interrupt && delegated ? UINT64_C(1) << cause : 0;
    cpu->mtvec = 0x100000 | tvec_mode;
    cpu->stvec = 0x200000 | tvec_mode;
    cpu->mepc = cpu->sepc = cpu->mcause = cpu->scause = cpu->mtval = cpu->stval = 99;
    cpu->reserved_paddr = 0x80000000;
    riscv_enter_trap(cpu, interrupt, cause, 0x1234);

    assert_int_equal(cpu->reserved_paddr, UINT64_MAX);
    if (to_s) {
        assert_int_equal(cpu->priv, RV_PRIV_S);
        assert_int_equal(cpu->pc, 0x200000 + offset);
        assert_int_equal(cpu->sepc, 0x80001236);
        assert_int_equal(cpu->scause, code);
        assert_int_equal(cpu->stval, 0x1234);
        assert_int_equal(cpu->mepc + cpu->mcause + cpu->mtval, 3 * 99);
        assert_int_equal(cpu->mstatus & 2, 0);
        assert_int_equal(cpu->mstatus >> 5 & 1, status >> 1 & 1);
        assert_int_equal(cpu->mstatus >> 8 & 1, priv == RV_PRIV_S);
        assert_int_equal((cpu->mstatus ^ status) & ~UINT64_C(0x122), 0);
    } else {
        assert_int_equal(cpu->priv, RV_PRIV_M);
        assert_int_equal(cpu->pc, 0x100000 + offset);
        assert_int_equal(cpu->mepc, 0x80001236);
        assert_int_equal(cpu->mcause, code);
        assert_int_equal(cpu->mtval, 0x1234);
        assert_int_equal(cpu->sepc + cpu->scause + cpu->stval, 3 * 99);
        assert_int_equal(cpu->mstatus & 8, 0);
        assert_int_equal(cpu->mstatus >> 7 & 1, status >> 3 & 1);
        assert_int_equal(cpu->mstatus >> 11 & 3, priv);
        assert_int_equal((cpu->mstatus ^ status) & ~UINT64_C(0x1888), 0);
    }
}

static void test_entry(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x7a9;

    for (unsigned cause = 0; cause < 64; cause++) {
        for (unsigned rest = 0; rest < 24; rest++) {
            for (unsigned round = 0; round < 16; round++) {
                uint64_t status = hart_random(&seed) & ~UINT64_C(0x1800);

                try_entry(hart, privs[rest % 3], rest / 3 & 1, cause, rest / 6 & 1, status,
                          rest / 12);
            }
        }
    }
    hart_destroy(hart);
}

/* ---- mret, sret: 3.1.6.1, 3.3.2. Every combination of the bits that matter. */

static uint64_t status_bits(unsigned bits)
{
    static const unsigned place[] = { 1, 3, 5, 7, 8, 17, 22 };
    uint64_t status = (uint64_t)(bits >> 7 == 2 ? 3 : bits >> 7) << 11;

    for (unsigned i = 0; i < G_N_ELEMENTS(place); i++) {
        status |= (uint64_t)(bits >> i & 1) << place[i];
    }
    return status;
}

static void test_returns(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned bits = 0; bits < 3 << 7; bits++) {
        for (unsigned p = 0; p < 3; p++) {
            uint64_t status = status_bits(bits), want = status;
            unsigned mpp = status >> 11 & 3;

            cpu->mstatus = status;
            cpu->priv = privs[p];
            cpu->pc = 0x100;
            cpu->mepc = 0x2000;
            cpu->sepc = 0x3000;
            if (privs[p] != RV_PRIV_M) {
                assert_false(riscv_mret(cpu));
                assert_int_equal(cpu->pc, 0x100);
                assert_int_equal(cpu->mstatus, status);
                assert_int_equal(cpu->priv, privs[p]);
            } else {
                assert_true(riscv_mret(cpu));
                want = (want & ~UINT64_C(0x1888)) | (status >> 7 & 1) << 3 | 1 << 7;
                want &= mpp == 3 ? want : ~(UINT64_C(1) << 17);
                assert_int_equal(cpu->mstatus, want);
                assert_int_equal(cpu->pc, 0x2000);
                assert_int_equal(cpu->priv, mpp);
            }

            cpu->mstatus = want = status;
            cpu->priv = privs[p];
            cpu->pc = 0x100;
            if (privs[p] == RV_PRIV_U || (privs[p] == RV_PRIV_S && (status >> 22 & 1))) {
                assert_false(riscv_sret(cpu));
                assert_int_equal(cpu->pc, 0x100);
                assert_int_equal(cpu->mstatus, status);
                assert_int_equal(cpu->priv, privs[p]);
            } else {
                assert_true(riscv_sret(cpu));
                want = (want & ~UINT64_C(0x20122)) | (status >> 5 & 1) << 1 | 1 << 5;
                assert_int_equal(cpu->mstatus, want);
                assert_int_equal(cpu->pc, 0x3000);
                assert_int_equal(cpu->priv, status >> 8 & 1);
            }
        }
    }
    hart_destroy(hart);
}

static void test_legality(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned bits = 0; bits < 4; bits++) {
        bool tvm = bits & 1, tw = bits & 2;

        cpu->mstatus = (tvm ? RV_MSTATUS_TVM : 0) | (tw ? RV_MSTATUS_TW : 0);
        cpu->priv = RV_PRIV_M;
        assert_true(riscv_wfi_allowed(cpu) && riscv_sfence_allowed(cpu));
        cpu->priv = RV_PRIV_S;
        assert_int_equal(riscv_wfi_allowed(cpu), !tw);
        assert_int_equal(riscv_sfence_allowed(cpu), !tvm);
        cpu->priv = RV_PRIV_U;
        assert_false(riscv_wfi_allowed(cpu));
        assert_false(riscv_sfence_allowed(cpu));
    }
    hart_destroy(hart);
}

/* The tables of the CMO specification, 2.5: one row an instruction. */
static void test_cache_blocks(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned m = 0; m < 16; m++) {
        for (unsigned s = 0; s < 16; s++) {
            for (unsigned p = 0; p < 3; p++) {
                bool below_m = privs[p] < RV_PRIV_M, below_s = privs[p] < RV_PRIV_S;
                unsigned m_cbie = m & 3, s_cbie = s & 3;
                int inval = 1;

                cpu->menvcfg = (uint64_t)m << 4;
                cpu->senvcfg = (uint64_t)s << 4;
                cpu->priv = privs[p];
                assert_int_equal(riscv_cbo_allowed(cpu, true, false),
                                 !(below_m && !(m & 8)) && !(below_s && !(s & 8)));
                assert_int_equal(riscv_cbo_allowed(cpu, false, false),
                                 !(below_m && !(m & 4)) && !(below_s && !(s & 4)));
                if (m_cbie == 2 || s_cbie == 2) {
                    continue; /* reserved, cannot be written */
                }
                if ((below_m && m_cbie == 1) || (below_s && s_cbie == 1)) {
                    inval = 2;
                }
                if ((below_m && m_cbie == 0) || (below_s && s_cbie == 0)) {
                    inval = 0;
                }
                assert_int_equal(riscv_cbo_allowed(cpu, false, true), inval);
            }
        }
    }
    hart_destroy(hart);
}

/* ---- Lines from devices. */

static void test_lines(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned n = 0; n < 80; n++) {
        bool held = n == 3 || n == 7 || n == 9 || n == 11;
        bool edge = n == 1;

        cpu->mip_soft = cpu->mip_lines = 0;
        cpu->mie = 0;
        hart->interrupts = 0;
        riscv_set_irq(cpu, n, 1);
        assert_int_equal(riscv_mip(cpu), held || edge ? UINT64_C(1) << n : 0);
        assert_int_equal(hart->interrupts, 0); /* not enabled: nobody need know */
        riscv_set_irq(cpu, n, 0);
        assert_int_equal(riscv_mip(cpu), edge ? 2 : 0);

        cpu->mip_soft = 0;
        cpu->mie = 0xaaa;
        riscv_set_irq(cpu, n, 1);
        assert_int_equal(hart->interrupts, held || edge);
        riscv_set_irq(cpu, n, 1); /* no change */
        assert_int_equal(hart->interrupts, held || edge);
        riscv_set_irq(cpu, n, 0);
        assert_int_equal(hart->interrupts, held || edge);
    }
    cpu->mip_soft = 0;
    assert_null(riscv64_target_ops.irq_in(&cpu->vcpu, 16));
    irq_set(riscv64_target_ops.irq_in(&cpu->vcpu, RV_IRQ_MEI), 1);
    assert_int_equal(riscv_mip(cpu), 1 << RV_IRQ_MEI);

    /* Wires keep their level over a reset of the hart; what software wrote does not. */
    cpu->mip_soft = 0x222;
    riscv64_target_ops.vcpu_reset(&cpu->vcpu);
    assert_int_equal(riscv_mip(cpu), 1 << RV_IRQ_MEI);
    hart_destroy(hart);
}

typedef struct Raiser {
    Hart *hart;
    unsigned irq;
} Raiser;

#define RAISES 5000

static void *raise_often(void *opaque)
{
    Raiser *raiser = opaque;

    for (unsigned i = 0; i < RAISES; i++) {
        riscv_set_irq(raiser->hart->cpu, raiser->irq, 1);
        riscv_set_irq(raiser->hart->cpu, raiser->irq, 0);
    }
    riscv_set_irq(raiser->hart->cpu, raiser->irq, 1);
    return NULL;
}

/* Lines raised by several threads while the hart writes mip: no line's change is lost. */
static void test_lines_race(void **state)
{
    Hart *hart = hart_create(NULL);
    Raiser raisers[] = { { hart, RV_IRQ_MSI }, { hart, RV_IRQ_MTI }, { hart, RV_IRQ_SEI } };
    pthread_t threads[G_N_ELEMENTS(raisers)];

    hart_csrw(hart, 0x304, 0xaaa);
    for (unsigned i = 0; i < G_N_ELEMENTS(raisers); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, raise_often, &raisers[i]), 0);
    }
    for (unsigned i = 0; i < RAISES; i++) {
        hart_csrw(hart, 0x344, i & 1 ? 0x222 : 0);
        assert_int_equal(hart_csrr(hart, 0x344) & 0x22, i & 1 ? 0x22 : 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(raisers); i++) {
        pthread_join(threads[i], NULL);
    }
    hart_csrw(hart, 0x344, 0);
    assert_int_equal(hart_csrr(hart, 0x344), 1 << 3 | 1 << 7 | 1 << 9);
    hart_destroy(hart);
}

/*
 * The promise of trap.c: an interrupt raised while the hart enables it is either told to the
 * accelerator, or seen by the hart in the result of its write.
 */
static void *raise_once(void *opaque)
{
    Raiser *raiser = opaque;

    riscv_set_irq(raiser->hart->cpu, raiser->irq, 1);
    return NULL;
}

static void test_enable_race(void **state)
{
    Hart *hart = hart_create(NULL);
    Raiser raiser = { hart, RV_IRQ_MTI };

    hart_csrw(hart, 0x300, RV_MSTATUS_MIE);
    for (unsigned i = 0; i < 300; i++) {
        pthread_t thread;
        bool seen;

        hart_csrw(hart, 0x304, 0);
        riscv_set_irq(hart->cpu, RV_IRQ_MTI, 0);
        hart->interrupts = 0;
        assert_int_equal(pthread_create(&thread, NULL, raise_once, &raiser), 0);
        if (i & 1) {
            sched_yield();
        }
        seen = hart_csrw(hart, 0x304, 1 << RV_IRQ_MTI) == RV_CSR_OK_IRQ;
        pthread_join(thread, NULL);
        assert_true(seen || hart->interrupts == 1);
    }
    hart_destroy(hart);
}

/* ---- Time and Sstc. */

static void test_time(void **state)
{
    static const uint32_t rates[] = { 1, 10, 32768, 10000000, 24000000, 1000000000, 3000000000u };
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x71e;

    hart->now_ns = 1234567890123;
    assert_int_equal(hart_csrr(hart, 0xc01), 12345678901);
    for (unsigned r = 0; r < G_N_ELEMENTS(rates); r++) {
        hart->cpu->time_hz = rates[r];
        for (unsigned i = 0; i < 2000; i++) {
            /* A deadline is the first nanosecond at which the counter shows the value. */
            uint64_t time = hart_random(&seed) % ((uint64_t)rates[r] * 9000000000u);
            int64_t ns = riscv_time_to_ns(hart->cpu, time);

            hart->now_ns = ns;
            assert_true(riscv_time(hart->cpu) >= time);
            if (ns > 0) {
                hart->now_ns = ns - 1;
                assert_true(riscv_time(hart->cpu) < time);
            }
        }
    }
    hart->cpu->time_hz = 10000000;
    assert_int_equal(riscv_time_to_ns(hart->cpu, UINT64_MAX), INT64_MAX);
    assert_int_equal(riscv_time_to_ns(hart->cpu, UINT64_C(1) << 62), INT64_MAX);
    assert_int_equal(riscv_time_to_ns(hart->cpu, 0), 0);
    hart_destroy(hart);
}

static void test_stimecmp(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;
    const uint64_t stip = 1 << RV_IRQ_STI;

    hart_set_time(hart, 1000000);
    hart_csrw(hart, 0x303, stip);
    hart_csrw(hart, 0x304, stip);

    /* Without STCE the register is plain and STIP is software's. */
    hart_csrw(hart, 0x14d, 0);
    assert_int_equal(hart_csrr(hart, 0x344), 0);
    assert_false(timer_armed(&cpu->stimer));
    hart_csrw(hart, 0x344, stip);
    assert_int_equal(hart_csrr(hart, 0x144), stip);

    /* With it, STIP shows the comparison alone, and writes do not change it. */
    hart_csrw(hart, 0x14d, UINT64_MAX);
    hart_csrw(hart, 0x30a, RV_ENVCFG_STCE);
    assert_int_equal(hart_csrr(hart, 0x144), 0);
    hart_csrw(hart, 0x344, stip);
    hart_csrw(hart, 0x344, 0);
    assert_int_equal(hart_csrr(hart, 0x344), 0);
    hart_csrw(hart, 0x30a, 0);
    assert_int_equal(hart_csrr(hart, 0x344), stip); /* those writes were ignored */
    hart_csrw(hart, 0x30a, RV_ENVCFG_STCE);

    /* In the future: nothing until the moment, then one call and the bit. */
    hart_csrw(hart, 0x14d, 20000);
    assert_int_equal(hart_csrr(hart, 0x144), 0);
    assert_int_equal(clock_deadline_ns(hart->timers, CLOCK_KIND_VIRTUAL), 2000000);
    hart_set_time(hart, 1999999);
    assert_int_equal(hart_csrr(hart, 0x144), 0);
    assert_int_equal(hart->interrupts, 0);
    hart_set_time(hart, 2000000);
    assert_int_equal(hart->interrupts, 1);
    assert_int_equal(hart_csrr(hart, 0x144), stip);
    assert_true(riscv64_target_ops.has_work(&cpu->vcpu));
    cpu->priv = RV_PRIV_U;
    assert_int_equal(riscv_pending_interrupt(cpu), RV_IRQ_STI);
    cpu->priv = RV_PRIV_M;

    /* Writing a later value takes the bit away, and one that has passed gives it at once. */
    hart_csrw(hart, 0x14d, 30000);
    assert_int_equal(hart_csrr(hart, 0x344), 0);
    assert_false(riscv64_target_ops.has_work(&cpu->vcpu));
    cpu->priv = RV_PRIV_S;
    hart_csrw(hart, 0x100, RV_MSTATUS_SIE);
    cpu->mcounteren = 2;
    assert_int_equal(hart_csrw(hart, 0x14d, 19999), RV_CSR_OK_IRQ);
    assert_int_equal(riscv_pending_interrupt(cpu), RV_IRQ_STI);
    assert_false(timer_armed(&cpu->stimer));
    assert_int_equal(hart_csrw(hart, 0x14d, UINT64_MAX), RV_CSR_OK);
    assert_false(timer_armed(&cpu->stimer));
    cpu->priv = RV_PRIV_M;

    /* Off again; and reset forgets all. */
    hart_csrw(hart, 0x14d, 30000);
    assert_true(timer_armed(&cpu->stimer));
    hart_csrw(hart, 0x30a, 0);
    assert_false(timer_armed(&cpu->stimer));
    hart_csrw(hart, 0x30a, RV_ENVCFG_STCE);
    assert_true(timer_armed(&cpu->stimer));
    riscv64_target_ops.vcpu_reset(&cpu->vcpu);
    assert_false(timer_armed(&cpu->stimer));
    hart_destroy(hart);
}

typedef struct Ticker {
    Hart *hart;
    bool stop;
} Ticker;

static void *tick(void *opaque)
{
    Ticker *ticker = opaque;

    while (!orr_load_acquire(&ticker->stop)) {
        orr_fetch_add(&ticker->hart->now_ns, (int64_t)100);
        timers_run_lockless(ticker->hart->timers);
    }
    return NULL;
}

/*
 * The hart sets compare values while the main loop's thread moves time and fires: after every write
 * STIP agrees with the comparison as soon as the timer has had its turn, and is never there early.
 */
static void test_stimecmp_race(void **state)
{
    Hart *hart = hart_create(NULL);
    Ticker ticker = { .hart = hart };
    uint64_t seed = 0x57c;
    pthread_t thread;

    hart_csrw(hart, 0x30a, RV_ENVCFG_STCE);
    assert_int_equal(pthread_create(&thread, NULL, tick, &ticker), 0);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t target = riscv_time(hart->cpu) + hart_random(&seed) % 8;
        bool pending, reached;

        hart_csrw(hart, 0x14d, target);
        pending = hart_csrr(hart, 0x344) >> RV_IRQ_STI & 1;
        reached = riscv_time(hart->cpu) >= target;
        assert_true(reached || !pending);
        if (i % 16 == 0) {
            while (!(hart_csrr(hart, 0x344) >> RV_IRQ_STI & 1)) {
                sched_yield(); /* ends: time moves on the other thread */
            }
            assert_true(riscv_time(hart->cpu) >= target);
        }
    }
    orr_store_release(&ticker.stop, true);
    pthread_join(thread, NULL);
    hart_destroy(hart);
}

static void test_names(void **state)
{
    assert_string_equal(riscv_cause_name(true, 5), "s_timer");
    assert_string_equal(riscv_cause_name(false, 13), "load_page_fault");
    assert_string_equal(riscv_cause_name(false, 14), "reserved");
    assert_string_equal(riscv_cause_name(true, 2), "reserved");
    assert_string_equal(riscv_cause_name(true, 4000000000u), "reserved");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending),       cmocka_unit_test(test_entry),
        cmocka_unit_test(test_returns),       cmocka_unit_test(test_legality),
        cmocka_unit_test(test_cache_blocks),  cmocka_unit_test(test_lines),
        cmocka_unit_test(test_lines_race),    cmocka_unit_test(test_enable_race),
        cmocka_unit_test(test_time),          cmocka_unit_test(test_stimecmp),
        cmocka_unit_test(test_stimecmp_race), cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
