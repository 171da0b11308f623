/* SPDX-License-Identifier: MIT */
/*
 * An interrupt's way in the trace: when it became pending, and how long it took until the hart took
 * it. The idea to hold: the time is noted before the bit is set, so that the hart, which takes the
 * time away when it takes the interrupt, never finds the one without the other. A line that stays up
 * after that has no time: it is not known since when the hart could have had it again.
 */
#include "orrery/impl/host-clock.h"
#include "target/riscv/internal.h"

#define N_IRQS G_N_ELEMENTS(((RiscvCpu *)NULL)->irq_raised_ns)

void riscv_trace_raise(RiscvCpu *cpu, uint64_t bits)
{
    for (; bits; bits &= bits - 1) {
        unsigned irq = (unsigned)__builtin_ctzll(bits);

        if (irq < N_IRQS && trace_hw_irq_deliver_enabled()) {
            orr_store_relaxed(&cpu->irq_raised_ns[irq], host_monotonic_ns());
        }
        trace_hw_irq_raise(cpu->vcpu.accel.index, irq, riscv_cause_name(true, irq));
    }
}

void riscv_trace_lower(RiscvCpu *cpu, uint64_t bits)
{
    for (; bits; bits &= bits - 1) {
        unsigned irq = (unsigned)__builtin_ctzll(bits);

        if (irq < N_IRQS) {
            orr_store_relaxed(&cpu->irq_raised_ns[irq], 0);
        }
        trace_hw_irq_lower(cpu->vcpu.accel.index, irq, riscv_cause_name(true, irq));
    }
}

void riscv_trace_deliver(RiscvCpu *cpu, unsigned irq)
{
    int64_t since = irq < N_IRQS ? orr_exchange(&cpu->irq_raised_ns[irq], INT64_C(0)) : 0;

    trace_hw_irq_deliver(cpu->vcpu.accel.index, irq, riscv_cause_name(true, irq),
                         since ? host_monotonic_ns() - since : -1);
}
