/* SPDX-License-Identifier: MIT */
/*
 * Time: mtime and the time CSR are one clock that never runs backwards; mtimecmp and Sstc's stimecmp
 * raise and withdraw their interrupts by comparing with it. No check has an upper bound on how long
 * something takes: only "not before" and "in the end".
 */
#include "guest.h"

#define TICKS 20

static bool has_sstc;

CODE(code_nop, "nop");
CODE(code_read_time, "csrr a0, time");
CODE(code_read_stimecmp, "csrr a0, 0x14d");
CODE(code_write_stimecmp, "csrw 0x14d, a0\ncsrr a0, sip");
/* a0: how many interrupts to wait for; counts rounds so that the loop is interrupted anywhere. */
CODE(code_wait_ticks, "1: ld t0, 0(a1)\nbltu t0, a0, 1b\nmv a0, t0");

static void clock(void)
{
    uint64_t before, after;
    bool monotonic = true, agree = true;

    group("mtime and time");
    before = now();
    for (unsigned i = 0; i < 20000; i++) {
        after = i & 1 ? read64(CLINT_MTIME) : now();
        monotonic &= after >= before;
        before = after;
    }
    CHECK(monotonic);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t a = now(), b = read64(CLINT_MTIME), c = now();
        uint64_t d = read32(CLINT_MTIME) | (uint64_t)read32(CLINT_MTIME + 4) << 32;

        agree &= a <= b && b <= c && (d >= c || (uint32_t)d < (uint32_t)c);
    }
    CHECK(agree);
    before = now();
    while (now() == before) {
    }
    CHECK(now() > before);
}

static void compare(void)
{
    uint64_t at;
    TrapRecord r;

    group("mtimecmp");
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    CHECK_EQ(read64(CLINT_MTIMECMP(0)), UINT64_MAX);
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MTI), 0);
    write64(CLINT_MTIMECMP(0), 0);
    while (!(csr_read(mip) & MIP(IRQ_MTI))) {
    }
    /* The bit is the comparison; software cannot clear it. */
    csr_clear(mip, MIP(IRQ_MTI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MTI), MIP(IRQ_MTI));
    write32(CLINT_MTIMECMP(0) + 4, UINT32_MAX);
    CHECK_EQ(read64(CLINT_MTIMECMP(0)), 0xffffffff00000000);
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MTI), 0);
    write32(CLINT_MTIMECMP(0), 5);
    CHECK_EQ(read64(CLINT_MTIMECMP(0)), 0xffffffff00000005);

    at = now() + MILLISECONDS(2);
    write64(CLINT_MTIMECMP(0), at);
    while (!(csr_read(mip) & MIP(IRQ_MTI))) {
    }
    CHECK(now() >= at);
    csr_write(mie, MIP(IRQ_MTI));
    r = RUN_U(code_nop, 0, 0);
    CHECK_TRAP(r, 'M', INTERRUPT | IRQ_MTI, code_nop, 0);
    csr_write(mie, 0);
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MTI), 0);
}

/* ---- Periodic ticks, on every hart at once. */

static bool early[MAX_HARTS];

static bool m_tick(Hart *hart, TrapFrame *frame)
{
    uint64_t at = read64(CLINT_MTIMECMP(hart->id));

    if (frame->cause != (INTERRUPT | IRQ_MTI)) {
        return false;
    }
    early[hart->id] |= now() < at;
    hart->ticks++;
    write64(CLINT_MTIMECMP(hart->id), at + MICROSECONDS(500));
    return true;
}

static void tick_for_a_while(void *argument)
{
    Hart *hart = this_hart();

    hart->ticks = 0;
    hart->m_hook = m_tick;
    write64(CLINT_MTIMECMP(hart->id), now() + MICROSECONDS(500));
    csr_write(mie, MIP(IRQ_MTI));
    csr_set(mstatus, MSTATUS_MIE);
    while (hart->ticks < TICKS) {
        if (hart->id & 1) {
            __asm__ volatile("wfi");
        }
    }
    csr_clear(mstatus, MSTATUS_MIE);
    csr_write(mie, 0);
    write64(CLINT_MTIMECMP(hart->id), UINT64_MAX);
    hart->m_hook = NULL;
}

static void periodic(void)
{
    bool all = true, none_early = true;

    group("periodic ticks");
    hart_run_all(tick_for_a_while, NULL);
    for (unsigned i = 0; i < hart_count(); i++) {
        all &= hart_get(i)->ticks >= TICKS;
        none_early &= !early[i];
    }
    CHECK(all);
    CHECK(none_early);
}

/* ---- Access to the time from less privileged modes. */

static void enables(void)
{
    TrapRecord r;

    group("mcounteren and scounteren");
    csr_write(mcounteren, 0);
    r = RUN_S(code_read_time, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_time, 0xc0102573);
    r = RUN_U(code_read_time, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_time, 0xc0102573);
    csr_write(mcounteren, 2);
    csr_write(scounteren, 0);
    CHECK(RUN_S(code_read_time, 0, 0).level == 'R');
    r = RUN_U(code_read_time, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_time, 0xc0102573);
    csr_write(scounteren, 2);
    CHECK(RUN_U(code_read_time, 0, 0).level == 'R');
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
}

/* ---- Sstc. */

static bool s_tick(Hart *hart, TrapFrame *frame)
{
    uint64_t at = csr_read(CSR_STIMECMP);

    if (frame->cause != (INTERRUPT | IRQ_STI)) {
        return false;
    }
    early[hart->id] |= now() < at;
    hart->ticks++;
    csr_write(CSR_STIMECMP, at + MICROSECONDS(500));
    return true;
}

static bool skip_illegal(Hart *hart, TrapFrame *frame)
{
    if (frame->cause != CAUSE_ILLEGAL) {
        return false;
    }
    frame->epc += 4;
    hart->ticks++;
    return true;
}

static void detect_sstc(void)
{
    this_hart()->m_hook = skip_illegal;
    this_hart()->ticks = 0;
    csr_set(CSR_MENVCFG, ENVCFG_STCE);
    has_sstc = (csr_read(CSR_MENVCFG) & ENVCFG_STCE) && this_hart()->ticks == 0;
    this_hart()->m_hook = NULL;
}

static void sstc(void)
{
    uint64_t at;
    TrapRecord r;

    group("Sstc");
    csr_clear(CSR_MENVCFG, ENVCFG_STCE);
    r = RUN_S(code_read_stimecmp, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_stimecmp, 0x14d02573);
    csr_write(CSR_STIMECMP, 0);
    CHECK_EQ(csr_read(mip) & MIP(IRQ_STI), 0);
    /* Without STCE, STIP is software's. */
    csr_set(mip, MIP(IRQ_STI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_STI), MIP(IRQ_STI));
    csr_clear(mip, MIP(IRQ_STI));
    csr_set(CSR_MENVCFG, ENVCFG_STCE);
    csr_write(mideleg, MIP(IRQ_STI));
    csr_write(mcounteren, 5);
    r = RUN_S(code_read_stimecmp, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_stimecmp, 0x14d02573);
    csr_write(mcounteren, 7);
    r = RUN_S(code_write_stimecmp, 0, 0);
    CHECK_RETURNED(r, MIP(IRQ_STI));
    csr_clear(mip, MIP(IRQ_STI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_STI), MIP(IRQ_STI));
    r = RUN_S(code_write_stimecmp, UINT64_MAX, 0);
    CHECK_RETURNED(r, 0);
    csr_set(mip, MIP(IRQ_STI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_STI), 0);
    r = RUN_U(code_read_stimecmp, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_stimecmp, 0x14d02573);

    at = now() + MILLISECONDS(2);
    csr_write(CSR_STIMECMP, at);
    csr_write(mie, MIP(IRQ_STI));
    csr_set(mstatus, MSTATUS_SIE);
    r = RUN_S("\x01\xa0", 0, 0); /* j . */
    CHECK(r.level == 'S' && r.cause == (INTERRUPT | IRQ_STI));
    CHECK(now() >= at);

    csr_set(mstatus, MSTATUS_SIE);
    this_hart()->ticks = 0;
    this_hart()->s_hook = s_tick;
    early[0] = false;
    csr_write(CSR_STIMECMP, now());
    r = RUN_S(code_wait_ticks, TICKS, &this_hart()->ticks);
    this_hart()->s_hook = NULL;
    CHECK(r.level == 'R' && this_hart()->ticks >= TICKS && !early[0]);
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    csr_clear(mstatus, MSTATUS_SIE);
    csr_write(CSR_STIMECMP, UINT64_MAX);
    csr_clear(CSR_MENVCFG, ENVCFG_STCE);
}

void guest_main(void)
{
    clock();
    compare();
    periodic();
    enables();
    detect_sstc();
    if (has_sstc) {
        sstc();
    } else {
        group("no Sstc");
    }
}
