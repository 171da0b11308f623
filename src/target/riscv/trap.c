/* SPDX-License-Identifier: MIT */
/*
 * Traps and interrupts (privileged spec 3.1.6 to 3.1.15, 3.3, and Sstc). The idea to hold: the
 * pending word is read in one place, riscv_mip, from parts that any thread may change with atomics;
 * whether and where a trap is taken is decided by the hart's own thread from that word.
 *
 * Ordering: who raises an interrupt stores it, then reads mie; the hart that enables one stores mie,
 * then reads mip. Both are sequentially consistent, so at least one of them sees the other.
 */
#include "target/riscv/guest.h"
#include "target/riscv/internal.h"

/* ---- Pending interrupts. */

static bool stimer_reached(const RiscvCpu *cpu)
{
    return riscv_time(cpu) >= orr_load_seq_cst(&cpu->stimecmp);
}

uint64_t riscv_mip(const RiscvCpu *cpu)
{
    uint64_t mip = orr_load_seq_cst(&cpu->mip_soft) | orr_load_seq_cst(&cpu->mip_lines);

    if (orr_load_relaxed(&cpu->menvcfg) & RV_ENVCFG_STCE) {
        mip &= ~RV_MIP_BIT(RV_IRQ_STI);
        /* The timer may have fired for a compare value that has just been replaced. */
        if (orr_load_seq_cst(&cpu->stimer_pending) && stimer_reached(cpu)) {
            mip |= RV_MIP_BIT(RV_IRQ_STI);
        }
    }
    return mip;
}

int riscv_pending_interrupt(const RiscvCpu *cpu)
{
    static const uint8_t order[] = { RV_IRQ_MEI, RV_IRQ_MSI, RV_IRQ_MTI,
                                     RV_IRQ_SEI, RV_IRQ_SSI, RV_IRQ_STI };
    uint64_t enabled = orr_load_relaxed(&cpu->mie);
    uint64_t pending, take;

    if (!enabled) {
        return -1;
    }
    pending = riscv_mip(cpu) & enabled;
    if (G_LIKELY(!pending)) {
        return -1;
    }
    take = 0;
    if (cpu->priv < RV_PRIV_M || (cpu->mstatus & RV_MSTATUS_MIE)) {
        take = pending & ~cpu->mideleg;
    }
    /* Interrupts for M-mode come before all of those that are delegated. */
    if (!take &&
        (cpu->priv < RV_PRIV_S || (cpu->priv == RV_PRIV_S && (cpu->mstatus & RV_MSTATUS_SIE)))) {
        take = pending & cpu->mideleg;
    }
    for (unsigned i = 0; take && i < G_N_ELEMENTS(order); i++) {
        if (take & RV_MIP_BIT(order[i])) {
            return order[i];
        }
    }
    return -1;
}

static void tell_accel(RiscvCpu *cpu, uint64_t bit)
{
    if (orr_load_seq_cst(&cpu->mie) & bit) {
        vcpu_interrupt(&cpu->vcpu);
    }
}

void riscv_set_irq(RiscvCpu *cpu, unsigned irq, int level)
{
    uint64_t bit = irq < 64 ? RV_MIP_BIT(irq) : 0;
    uint64_t *word;

    if (bit & (RV_MIP_M | RV_MIP_BIT(RV_IRQ_SEI))) {
        word = &cpu->mip_lines;
    } else if (irq == RV_IRQ_SSI && level) {
        word = &cpu->mip_soft;
    } else {
        return;
    }
    if (!level) {
        riscv_irq_fell(cpu, orr_fetch_and(word, ~bit) & bit);
    } else {
        riscv_irq_rises(cpu, bit & ~orr_load_relaxed(word));
        if (!(orr_fetch_or(word, bit) & bit)) {
            tell_accel(cpu, bit);
        }
    }
}

/* ---- Time and the supervisor timer. */

#define NS_PER_S UINT64_C(1000000000)

uint64_t riscv_time(const RiscvCpu *cpu)
{
    int64_t ns = clock_get_ns(cpu->vcpu.timers, CLOCK_KIND_VIRTUAL);
    uint64_t now = ns < 0 ? 0 : (uint64_t)ns;

    return now / NS_PER_S * cpu->time_hz + now % NS_PER_S * cpu->time_hz / NS_PER_S;
}

int64_t riscv_time_to_ns(const RiscvCpu *cpu, uint64_t time)
{
    uint64_t hz = cpu->time_hz;
    uint64_t seconds = time / hz;
    uint64_t part = (time % hz * NS_PER_S + hz - 1) / hz; /* up: not before the tick */

    if (seconds >= INT64_MAX / NS_PER_S - 1) {
        return INT64_MAX;
    }
    return (int64_t)(seconds * NS_PER_S + part);
}

static void stimer_fire(void *opaque)
{
    RiscvCpu *cpu = opaque;

    if (!(orr_load_relaxed(&cpu->menvcfg) & RV_ENVCFG_STCE) || !stimer_reached(cpu)) {
        return;
    }
    if (!orr_load_relaxed(&cpu->stimer_pending)) {
        riscv_irq_rises(cpu, RV_MIP_BIT(RV_IRQ_STI));
    }
    orr_store_seq_cst(&cpu->stimer_pending, true);
    tell_accel(cpu, RV_MIP_BIT(RV_IRQ_STI));
}

void riscv_stimer_init(RiscvCpu *cpu)
{
    timer_init(&cpu->stimer, cpu->vcpu.timers, CLOCK_KIND_VIRTUAL, true, "riscv-stimer",
               stimer_fire, cpu);
}

void riscv_stimer_update(RiscvCpu *cpu)
{
    int64_t deadline_ns;

    /*
     * False before the clock is read: a timer that fires in between for the new value is not lost,
     * since then the comparison below is true as well.
     */
    if (orr_exchange(&cpu->stimer_pending, false)) {
        riscv_irq_fell(cpu, RV_MIP_BIT(RV_IRQ_STI));
    }
    if (!(cpu->menvcfg & RV_ENVCFG_STCE)) {
        timer_disarm(&cpu->stimer);
        return;
    }
    if (stimer_reached(cpu)) {
        timer_disarm(&cpu->stimer);
        riscv_irq_rises(cpu, RV_MIP_BIT(RV_IRQ_STI));
        orr_store_seq_cst(&cpu->stimer_pending, true);
        return;
    }
    deadline_ns = riscv_time_to_ns(cpu, cpu->stimecmp);
    if (deadline_ns == INT64_MAX) {
        timer_disarm(&cpu->stimer);
    } else {
        timer_arm_ns(&cpu->stimer, deadline_ns);
    }
}

/* ---- Entry and return. */

static const char *const exception_names[] = {
    [RV_CAUSE_FETCH_MISALIGNED] = "misaligned_fetch",
    [RV_CAUSE_FETCH_ACCESS] = "fault_fetch",
    [RV_CAUSE_ILLEGAL] = "illegal_instruction",
    [RV_CAUSE_BREAKPOINT] = "breakpoint",
    [RV_CAUSE_LOAD_MISALIGNED] = "misaligned_load",
    [RV_CAUSE_LOAD_ACCESS] = "fault_load",
    [RV_CAUSE_STORE_MISALIGNED] = "misaligned_store",
    [RV_CAUSE_STORE_ACCESS] = "fault_store",
    [RV_CAUSE_ECALL_U] = "user_ecall",
    [RV_CAUSE_ECALL_S] = "supervisor_ecall",
    [RV_CAUSE_ECALL_M] = "machine_ecall",
    [RV_CAUSE_FETCH_PAGE] = "exec_page_fault",
    [RV_CAUSE_LOAD_PAGE] = "load_page_fault",
    [RV_CAUSE_STORE_PAGE] = "store_page_fault",
};

static const char *const interrupt_names[] = {
    [RV_IRQ_SSI] = "s_software", [RV_IRQ_MSI] = "m_software", [RV_IRQ_STI] = "s_timer",
    [RV_IRQ_MTI] = "m_timer",    [RV_IRQ_SEI] = "s_external", [RV_IRQ_MEI] = "m_external",
};

const char *riscv_cause_name(bool interrupt, unsigned cause)
{
    const char *name = NULL;

    if (interrupt) {
        name = cause < G_N_ELEMENTS(interrupt_names) ? interrupt_names[cause] : NULL;
    } else {
        name = cause < G_N_ELEMENTS(exception_names) ? exception_names[cause] : NULL;
    }
    return name ? name : "reserved";
}

static uint64_t trap_target(uint64_t tvec, bool interrupt, unsigned cause)
{
    uint64_t base = tvec & ~UINT64_C(3);

    return (tvec & 1) && interrupt ? base + 4 * (uint64_t)cause : base;
}

void riscv_enter_trap(RiscvCpu *cpu, bool interrupt, unsigned cause, uint64_t tval)
{
    uint64_t deleg = interrupt ? cpu->mideleg : cpu->medeleg;
    bool to_s = cpu->priv <= RV_PRIV_S && cause < 64 && ((deleg >> cause) & 1);
    uint64_t status = cpu->mstatus;
    uint64_t xcause = ((uint64_t)interrupt << 63) | cause;

    if (orr_log_on(cpu->vcpu.log, LOG_INT)) {
        orr_log(cpu->vcpu.log,
                "riscv: hart %" G_GUINT64_FORMAT " %s %s (%u) epc 0x%016" G_GINT64_MODIFIER
                "x tval 0x%016" G_GINT64_MODIFIER "x from %c to %c\n",
                cpu->mhartid, interrupt ? "interrupt" : "exception",
                riscv_cause_name(interrupt, cause), cause, cpu->pc, tval, "US?M"[cpu->priv & 3],
                to_s ? 'S' : 'M');
    }
    if (interrupt && trace_hw_irq_deliver_enabled()) {
        riscv_trace_deliver(cpu, cause);
    }
    if (riscv_guest_watched()) {
        riscv_guest_trap(cpu, interrupt, cause, tval, to_s ? RV_PRIV_S : RV_PRIV_M);
    }
    if (to_s) {
        status &= ~(RV_MSTATUS_SPP | RV_MSTATUS_SPIE | RV_MSTATUS_SIE);
        status |= cpu->priv == RV_PRIV_S ? RV_MSTATUS_SPP : 0;
        status |= cpu->mstatus & RV_MSTATUS_SIE ? RV_MSTATUS_SPIE : 0;
        cpu->scause = xcause;
        cpu->sepc = cpu->pc & riscv_epc_mask(cpu);
        cpu->stval = tval;
        cpu->priv = RV_PRIV_S;
        cpu->pc = trap_target(cpu->stvec, interrupt, cause);
    } else {
        status &= ~(RV_MSTATUS_MPP | RV_MSTATUS_MPIE | RV_MSTATUS_MIE);
        status |= (uint64_t)cpu->priv << 11;
        status |= cpu->mstatus & RV_MSTATUS_MIE ? RV_MSTATUS_MPIE : 0;
        cpu->mcause = xcause;
        cpu->mepc = cpu->pc & riscv_epc_mask(cpu);
        cpu->mtval = tval;
        cpu->priv = RV_PRIV_M;
        cpu->pc = trap_target(cpu->mtvec, interrupt, cause);
    }
    cpu->mstatus = status;
    cpu->reserved_paddr = UINT64_MAX;
}

bool riscv_mret(RiscvCpu *cpu)
{
    uint64_t status = cpu->mstatus;
    RvPriv to = (RvPriv)((status & RV_MSTATUS_MPP) >> 11);

    if (cpu->priv != RV_PRIV_M) {
        return false;
    }
    status &= ~(RV_MSTATUS_MIE | RV_MSTATUS_MPIE | RV_MSTATUS_MPP);
    status |= cpu->mstatus & RV_MSTATUS_MPIE ? RV_MSTATUS_MIE : 0;
    status |= RV_MSTATUS_MPIE; /* and MPP becomes U, the least privileged */
    if (to != RV_PRIV_M) {
        status &= ~RV_MSTATUS_MPRV;
    }
    cpu->mstatus = status;
    cpu->priv = (uint8_t)to;
    cpu->pc = cpu->mepc;
    if (riscv_guest_watched()) {
        riscv_guest_return(cpu, RV_PRIV_M);
    }
    return true;
}

bool riscv_sret(RiscvCpu *cpu)
{
    uint64_t status = cpu->mstatus;
    RvPriv from = (RvPriv)cpu->priv;

    if (cpu->priv < RV_PRIV_S || (cpu->priv == RV_PRIV_S && (status & RV_MSTATUS_TSR))) {
        return false;
    }
    status &= ~(RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP | RV_MSTATUS_MPRV);
    status |= cpu->mstatus & RV_MSTATUS_SPIE ? RV_MSTATUS_SIE : 0;
    status |= RV_MSTATUS_SPIE;
    cpu->priv = cpu->mstatus & RV_MSTATUS_SPP ? RV_PRIV_S : RV_PRIV_U;
    cpu->mstatus = status;
    cpu->pc = cpu->sepc;
    if (riscv_guest_watched()) {
        riscv_guest_return(cpu, from);
    }
    return true;
}

/* ---- Instructions whose legality hangs on privileged state. */

bool riscv_wfi_allowed(const RiscvCpu *cpu)
{
    switch (cpu->priv) {
    case RV_PRIV_M:
        return true;
    case RV_PRIV_S:
        return !(cpu->mstatus & RV_MSTATUS_TW);
    default:
        return false; /* with S-mode there, U-mode may not wait (3.3.3) */
    }
}

bool riscv_sfence_allowed(const RiscvCpu *cpu)
{
    return cpu->priv == RV_PRIV_M || (cpu->priv == RV_PRIV_S && !(cpu->mstatus & RV_MSTATUS_TVM));
}

int riscv_cbo_allowed(const RiscvCpu *cpu, bool zero, bool inval)
{
    uint64_t bit = zero ? RV_ENVCFG_CBZE : RV_ENVCFG_CBCFE;
    uint64_t m = cpu->priv < RV_PRIV_M ? cpu->menvcfg : ~UINT64_C(0);
    uint64_t s = cpu->priv < RV_PRIV_S ? cpu->senvcfg : ~UINT64_C(0);

    if (zero || !inval) {
        return (m & s & bit) ? 1 : 0;
    }
    /* CBIE: 0 illegal, 1 flush, 3 invalidate; the stricter of the two levels holds. */
    m = (m & RV_ENVCFG_CBIE) >> 4;
    s = (s & RV_ENVCFG_CBIE) >> 4;
    if (m == 0 || s == 0) {
        return 0;
    }
    return m == 3 && s == 3 ? 1 : 2;
}
