/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share and nobody else calls. The idea to hold: csr.c decides what a
 * guest may write, and calls here for what a register makes happen.
 */
#ifndef ORRERY_TARGET_RISCV_INTERNAL_H
#define ORRERY_TARGET_RISCV_INTERNAL_H

#include "target/riscv/cpu.h"
#include "trace/trace-hw.h"

#define RV_MIP_BIT(irq) (UINT64_C(1) << (irq))

/* Interrupts that may be delegated: the supervisor's. */
#define RV_MIP_S (RV_MIP_BIT(RV_IRQ_SSI) | RV_MIP_BIT(RV_IRQ_STI) | RV_MIP_BIT(RV_IRQ_SEI))
#define RV_MIP_M (RV_MIP_BIT(RV_IRQ_MSI) | RV_MIP_BIT(RV_IRQ_MTI) | RV_MIP_BIT(RV_IRQ_MEI))

/* CSRs of csr-list.h, for register tables. */
unsigned riscv_csr_count(void);
unsigned riscv_csr_number(unsigned index);
const char *riscv_csr_name(unsigned index);

/* Recomputes pmp_range and pmp_active. The hart's thread. */
void riscv_pmp_update(RiscvCpu *cpu);

/*
 * One verdict for a whole page: *prot gets a bit 1 << RvAccess for each access that is allowed. false
 * when an entry splits the page, and *prot says nothing. The hart's thread.
 */
bool riscv_pmp_page(const RiscvCpu *cpu, uint64_t page, RvPriv priv, uint8_t *prot);

/* Legal values of one entry's registers (3.7.1): false when nothing changed. The caller updates. */
bool riscv_pmp_write_cfg(RiscvCpu *cpu, unsigned entry, uint8_t value);
bool riscv_pmp_write_addr(RiscvCpu *cpu, unsigned entry, uint64_t value);

/* Brings stimer and stimer_pending in line with stimecmp and menvcfg.STCE. The hart's thread. */
void riscv_stimer_init(RiscvCpu *cpu);
void riscv_stimer_update(RiscvCpu *cpu);

/*
 * For the trace: bits that are about to be set in mip, bits that have been cleared, and the taking of
 * an interrupt. Any thread; delivery is the hart's. When all three events are off nothing is noted.
 */
void riscv_trace_raise(RiscvCpu *cpu, uint64_t bits);
void riscv_trace_lower(RiscvCpu *cpu, uint64_t bits);
void riscv_trace_deliver(RiscvCpu *cpu, unsigned irq);

static inline void riscv_irq_rises(RiscvCpu *cpu, uint64_t bits)
{
    if (G_UNLIKELY(trace_hw_irq_raise_enabled() || trace_hw_irq_deliver_enabled())) {
        riscv_trace_raise(cpu, bits);
    }
}

static inline void riscv_irq_fell(RiscvCpu *cpu, uint64_t bits)
{
    if (G_UNLIKELY(trace_hw_irq_lower_enabled() || trace_hw_irq_deliver_enabled())) {
        riscv_trace_lower(cpu, bits);
    }
}

/* The legal value for mepc and sepc: instruction addresses are multiples of 2, or of 4 without C. */
static inline uint64_t riscv_epc_mask(const RiscvCpu *cpu)
{
    return cpu->feature.c ? ~UINT64_C(1) : ~UINT64_C(3);
}

/* TargetOps.describe. */
void riscv_describe(Vcpu *vcpu, TargetDescribeFn *add, void *opaque);

/* The walk for a debugger: no permissions, no accessed bits, no PMP. false: not mapped. */
bool riscv_debug_walk(RiscvCpu *cpu, uint64_t vaddr, uint64_t *paddr);

#endif
