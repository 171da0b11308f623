/* SPDX-License-Identifier: MIT */
/*
 * The smallest tour of the machine: every hart answers in turn, a timer interrupt wakes hart 0 from
 * wfi, and the finisher ends the run. Also what `./dev demo` runs where no Debian guest is to be had.
 */
#include "guest.h"

static volatile uint64_t answer;

static void say_hello(void *argument)
{
    answer = csr_read(mhartid) + 1;
}

void guest_main(void)
{
    print("orrery: hello from hart 0, %u in all\n", hart_count());
    for (unsigned i = 1; i < hart_count(); i++) {
        hart_run(i, say_hello, NULL);
        hart_join(i);
        print("orrery: hart %lu answered\n", answer - 1);
    }
    write64(CLINT_MTIMECMP(0), now() + MILLISECONDS(10));
    csr_write(mie, MIP(IRQ_MTI));
    while (!(csr_read(mip) & MIP(IRQ_MTI))) {
        __asm__ volatile("wfi");
    }
    print("orrery: the timer woke hart 0\n");
    group("goodbye");
    CHECK(now() >= read64(CLINT_MTIMECMP(0)));
}
