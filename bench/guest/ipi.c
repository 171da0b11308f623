/* SPDX-License-Identifier: MIT */
/*
 * Round trips of a software interrupt between two harts: both asleep in wfi when it comes, and both
 * looking out for it. On a host with fewer free processors than harts the latter takes a scheduler's
 * time slice each, so the time is bounded too.
 */
#include "guest.h"

#define ROUNDS 5000
#define TIME_LIMIT (2 * TIME_HZ)

static bool asleep;
static volatile uint64_t passed, last;

static void wait_and_clear(unsigned id)
{
    while (!(csr_read(mip) & MIP(IRQ_MSI))) {
        if (asleep) {
            __asm__ volatile("wfi");
        }
    }
    write32(CLINT_MSIP(id), 0);
    __asm__ volatile("fence" ::: "memory");
}

static void partner(void *argument)
{
    csr_write(mie, MIP(IRQ_MSI));
    passed = 1;
    do {
        wait_and_clear(1);
        passed++;
        write32(CLINT_MSIP(0), 1);
    } while (passed <= last);
    csr_write(mie, 0);
}

static void measure(const char *name, bool sleep)
{
    uint64_t start, rounds;

    asleep = sleep;
    passed = 0;
    last = ROUNDS;
    csr_write(mie, MIP(IRQ_MSI));
    hart_run(1, partner, NULL);
    while (!passed) {
        relax();
    }
    start = now();
    for (rounds = 1; rounds <= last; rounds++) {
        if (rounds < last && now() - start > TIME_LIMIT) {
            last = rounds;
        }
        write32(CLINT_MSIP(1), 1);
        wait_and_clear(0);
    }
    rounds--;
    print("ipi %s=%lu ticks=%lu checksum=%08lx\n", name, rounds, now() - start, passed - rounds);
    hart_join(1);
    csr_write(mie, 0);
}

void guest_main(void)
{
    if (hart_count() < 2) {
        print("ipi needs two harts\n");
        power_off(1);
    }
    measure("wfi", true);
    measure("poll", false);
    power_off(0);
}
