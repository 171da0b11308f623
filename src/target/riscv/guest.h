/* SPDX-License-Identifier: MIT */
/*
 * Trace events of what the guest does (orrery_guest). The idea to hold: traps, returns, satp and
 * sstatus are out of line under every accelerator; they ask riscv_guest_watched, a few loads, and
 * call here only if somebody listens. Nothing in instructions' own path asks anything.
 */
#ifndef ORRERY_TARGET_RISCV_GUEST_H
#define ORRERY_TARGET_RISCV_GUEST_H

#include "target/riscv/cpu.h"
#include "trace/trace-guest.h"

/* Does anybody want to know of traps and returns? */
static inline bool riscv_guest_watched(void)
{
    return trace_guest_trap_enabled() | trace_guest_priv_enabled() |
           trace_guest_syscall_enter_enabled() | trace_guest_syscall_exit_enabled() |
           trace_guest_task_switch_enabled() | trace_guest_task_rename_enabled();
}

/*
 * Before a trap is entered, and after a return from one (priv and pc are those of where it goes).
 * Registers are exact. The hart's thread.
 */
void riscv_guest_trap(RiscvCpu *cpu, bool interrupt, unsigned cause, uint64_t tval, RvPriv to);
void riscv_guest_return(RiscvCpu *cpu, RvPriv from);

/*
 * satp has changed; interrupts were enabled in S mode, as Linux does at the end of a task switch:
 * only if trace_guest_satp_enabled(), trace_guest_task_switch_enabled(). The hart's thread.
 */
void riscv_guest_satp(RiscvCpu *cpu);
void riscv_guest_interrupts_on(RiscvCpu *cpu);

#endif
