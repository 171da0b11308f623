/* SPDX-License-Identifier: MIT */
/*
 * Waiting (privileged spec 3.3.3): what wakes a hart and what does not, and that one which waits
 * executes nothing. How long the host takes to wake it is not judged.
 */
#include "guest.h"

CODE(code_wfi, "wfi");
CODE(code_wfi_pair, "wfi\nwfi\nli a0, 3");

static void pending_at_once(void)
{
    uint64_t before;
    TrapRecord r;

    group("an interrupt that is pending already");
    write32(CLINT_MSIP(0), 1);
    while (!(csr_read(mip) & MIP(IRQ_MSI))) {
    }
    csr_write(mie, MIP(IRQ_MSI));
    /* Enabled in mie but masked: wfi goes on, nothing is taken. */
    r = RUN_M(code_wfi_pair, 0, 0);
    CHECK_RETURNED(r, 3);
    csr_write(mideleg, MIP(IRQ_SSI));
    csr_write(mie, MIP(IRQ_SSI));
    csr_set(mip, MIP(IRQ_SSI));
    r = RUN_S(code_wfi_pair, 0, 0);
    CHECK_RETURNED(r, 3);
    csr_clear(mip, MIP(IRQ_SSI));
    csr_write(mideleg, 0);
    csr_write(mie, 0);
    write32(CLINT_MSIP(0), 0);

    group("a timer");
    for (unsigned i = 0; i < 20; i++) {
        uint64_t at = now() + MICROSECONDS(300);

        write64(CLINT_MTIMECMP(0), at);
        csr_write(mie, MIP(IRQ_MTI));
        while (!(csr_read(mip) & MIP(IRQ_MTI))) {
            __asm__ volatile("wfi");
        }
        CHECK(now() >= at);
        csr_write(mie, 0);
    }
    /* The handler comes right after the wfi. */
    before = now() + MILLISECONDS(1);
    write64(CLINT_MTIMECMP(0), before);
    csr_write(mie, MIP(IRQ_MTI));
    r = RUN_S(code_wfi, 0, 0);
    csr_write(mie, 0);
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    CHECK(r.level == 'M' && r.cause == (INTERRUPT | IRQ_MTI) && r.tval == 0);
    CHECK(r.epc == (uint64_t)code_wfi + 4 || r.epc == (uint64_t)code_wfi);
    CHECK(now() >= before);
}

static void idle_counts(void)
{
    uint64_t insns, wakes = 0;

    group("no instructions while waiting");
    write64(CLINT_MTIMECMP(0), now() + MILLISECONDS(200));
    csr_write(mie, MIP(IRQ_MTI));
    insns = csr_read(minstret);
    while (!(csr_read(mip) & MIP(IRQ_MTI))) {
        __asm__ volatile("wfi");
        wakes++;
    }
    insns = csr_read(minstret) - insns;
    csr_write(mie, 0);
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    CHECK(wakes < 1000);
    CHECK(insns < 20000);
}

/* ---- The other harts sleep with nothing enabled but what wakes them. */

static volatile uint64_t awake[MAX_HARTS];

static void sleeper(void *argument)
{
    unsigned id = (unsigned)this_hart()->id;

    csr_write(mie, MIP(IRQ_MSI));
    for (uint64_t i = 1; i <= 50; i++) {
        while (!(csr_read(mip) & MIP(IRQ_MSI))) {
            __asm__ volatile("wfi");
        }
        write32(CLINT_MSIP(id), 0);
        awake[id] = i;
    }
    csr_write(mie, 0);
}

static void others(void)
{
    group("other harts wake by software interrupts");
    for (unsigned id = 1; id < hart_count(); id++) {
        hart_run(id, sleeper, NULL);
        /* Not before it is awake to take the first one. */
        while (read32(CLINT_MSIP(id))) {
            relax();
        }
        for (uint64_t i = 1; i <= 50; i++) {
            write32(CLINT_MSIP(id), 1);
            while (awake[id] != i) {
                relax();
            }
        }
        hart_join(id);
        CHECK_EQ(awake[id], 50);
    }
}

void guest_main(void)
{
    pending_at_once();
    idle_counts();
    others();
}
