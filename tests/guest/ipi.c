/* SPDX-License-Identifier: MIT */
/*
 * Software interrupts between harts: a token that goes back and forth by MSIP alone, with the
 * receiver asleep, spinning with interrupts on, or in U mode; broadcasts; and bits that must not
 * reach another hart. A lost wake-up shows as a hang.
 */
#include "guest.h"

#define ROUNDS 200

typedef enum Way {
    WAY_POLL,      /* reads mip */
    WAY_WFI,       /* sleeps, interrupts masked */
    WAY_INTERRUPT, /* spins, a handler takes it */
    WAY_COUNT,
} Way;

static const char *const way_names[] = { "ping-pong by polling", "ping-pong by wfi",
                                         "ping-pong by interrupts" };

static Way way;
static volatile uint64_t shared[2]; /* what each side of the pair last wrote */
static uint64_t bad;

static bool take(Hart *hart, TrapFrame *frame)
{
    if (frame->cause != (INTERRUPT | IRQ_MSI)) {
        return false;
    }
    write32(CLINT_MSIP(hart->id), 0);
    __asm__ volatile("fence" ::: "memory");
    hart->ticks++;
    return true;
}

static void begin(void)
{
    Hart *hart = this_hart();

    hart->ticks = 0;
    hart->m_hook = take;
    csr_write(mie, way == WAY_POLL ? 0 : MIP(IRQ_MSI));
    if (way == WAY_INTERRUPT) {
        csr_set(mstatus, MSTATUS_MIE);
    }
}

static void end(void)
{
    csr_clear(mstatus, MSTATUS_MIE);
    csr_write(mie, 0);
    this_hart()->m_hook = NULL;
}

/* Waits for the count-th interrupt of this hart since begin(). */
static void wait_for(uint64_t count)
{
    Hart *hart = this_hart();

    if (way == WAY_INTERRUPT) {
        while (hart->ticks < count) {
            relax();
        }
        return;
    }
    while (!(csr_read(mip) & MIP(IRQ_MSI))) {
        if (way == WAY_WFI) {
            __asm__ volatile("wfi");
        } else {
            relax();
        }
    }
    write32(CLINT_MSIP(hart->id), 0);
    __asm__ volatile("fence" ::: "memory");
}

static void send(unsigned to)
{
    __asm__ volatile("fence" ::: "memory");
    write32(CLINT_MSIP(to), 1);
}

static volatile bool ready;

static void partner(void *argument)
{
    unsigned id = (unsigned)this_hart()->id;

    begin();
    ready = true;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        wait_for(i);
        /* Whoever sent the interrupt wrote first. */
        if (shared[0] != i) {
            __atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
        }
        shared[1] = i * id;
        send(0);
    }
    end();
}

static void ping_pong(unsigned with)
{
    ready = false;
    shared[0] = shared[1] = 0;
    begin();
    hart_run(with, partner, NULL);
    while (!ready) {
        relax();
    }
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        shared[0] = i;
        send(with);
        wait_for(i);
        if (shared[1] != i * with) {
            bad++;
        }
    }
    hart_join(with);
    end();
}

/* ---- Broadcast: hart 0 sends to all, all answer by counting. */

static uint64_t answers;
static volatile uint64_t stop;

static void answer_broadcasts(void *argument)
{
    begin();
    ready = true;
    while (!stop) {
        while (!(csr_read(mip) & MIP(IRQ_MSI))) {
            __asm__ volatile("wfi");
        }
        write32(CLINT_MSIP(this_hart()->id), 0);
        __atomic_fetch_add(&answers, 1, __ATOMIC_ACQ_REL);
    }
    end();
}

static void broadcast(void)
{
    unsigned others = hart_count() - 1;
    uint64_t before;

    group("broadcasts");
    way = WAY_WFI;
    stop = 0;
    for (unsigned i = 1; i <= others; i++) {
        ready = false;
        hart_run(i, answer_broadcasts, NULL);
        while (!ready) {
            relax();
        }
    }
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        before = __atomic_load_n(&answers, __ATOMIC_ACQUIRE);
        if (round == ROUNDS / 4 - 1) {
            stop = 1;
        }
        for (unsigned i = 1; i <= others; i++) {
            send(i);
        }
        while (__atomic_load_n(&answers, __ATOMIC_ACQUIRE) != before + others) {
            relax();
        }
    }
    for (unsigned i = 1; i <= others; i++) {
        hart_join(i);
    }
    CHECK_EQ(answers, (uint64_t)others * (ROUNDS / 4));
}

static void registers(void)
{
    group("msip registers");
    for (unsigned i = 0; i < hart_count(); i++) {
        CHECK_EQ(read32(CLINT_MSIP(i)), 0);
    }
    /* Only bit 0 is there, and only this hart's. */
    write32(CLINT_MSIP(0), 0xffffffff);
    CHECK_EQ(read32(CLINT_MSIP(0)), 1);
    while (!(csr_read(mip) & MIP(IRQ_MSI))) {
    }
    write32(CLINT_MSIP(0), 0xfffffffe);
    CHECK_EQ(read32(CLINT_MSIP(0)), 0);
    while (csr_read(mip) & MIP(IRQ_MSI)) {
    }
    csr_set(mip, MIP(IRQ_MSI)); /* read-only in the CSR */
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MSI), 0);
}

void guest_main(void)
{
    registers();
    for (way = 0; way < WAY_COUNT; way++) {
        group(way_names[way]);
        for (unsigned with = 1; with < hart_count(); with++) {
            ping_pong(with);
            CHECK_EQ(shared[1], (uint64_t)ROUNDS * with);
        }
        CHECK_EQ(bad, 0);
    }
    broadcast();
}
