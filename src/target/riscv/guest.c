/* SPDX-License-Identifier: MIT */
/*
 * The hart's side of guest awareness: which registers say what the guest does. The idea to hold,
 * for Linux (arch/riscv/kernel/entry.S): in the kernel tp is the current task and sscratch is 0;
 * while a program runs, tp is the program's and sscratch is the task. So sscratch tells which of
 * the two is the case, and at a trap's first instruction and a return's last one everything is in
 * its place.
 */
#include "target/riscv/guest.h"

#include "orrery/impl/guest-os.h"
#include "target/riscv/internal.h"

enum {
    REG_TP = 4,
    REG_A0 = 10,
    REG_A7 = 17,
    ECALL_BYTES = 4,
};

static bool translate(void *opaque, uint64_t vaddr, uint64_t *paddr)
{
    return riscv_debug_walk(opaque, vaddr, paddr);
}

/* What code at this privilege shows of its task; cpu->priv must be the same, for the walk. */
static GuestMoment moment_at(RiscvCpu *cpu)
{
    GuestMoment moment = {
        .vcpu = &cpu->guest,
        .cpu = cpu->vcpu.accel.index,
        .space = cpu->satp,
        .code = cpu->stvec,
        .syscall_name = guest_linux_generic_syscall,
        .translate = translate,
        .opaque = cpu,
    };

    if (cpu->satp >> 60 != 0 && cpu->priv == RV_PRIV_U) {
        moment.task = cpu->sscratch;
    } else if (cpu->satp >> 60 != 0 && cpu->priv == RV_PRIV_S && cpu->sscratch == 0) {
        moment.task = cpu->x[REG_TP];
    }
    return moment;
}

static void call_or_observe(RiscvCpu *cpu, bool call)
{
    GuestMoment moment = moment_at(cpu);

    if (call) {
        guest_os_syscall_enter(cpu->vcpu.guest_os, &moment, cpu->x[REG_A7], &cpu->x[REG_A0],
                               cpu->pc, cpu->pc + ECALL_BYTES);
    } else {
        guest_os_observe(cpu->vcpu.guest_os, &moment, false);
    }
}

void riscv_guest_trap(RiscvCpu *cpu, bool interrupt, unsigned cause, uint64_t tval, RvPriv to)
{
    bool calls = trace_guest_syscall_enter_enabled() | trace_guest_syscall_exit_enabled();
    bool tasks = calls | trace_guest_task_switch_enabled() | trace_guest_task_rename_enabled();

    /* Firmware interrupts whom it pleases; only its own programs' tasks would be met there. */
    if (tasks && cpu->vcpu.guest_os && cpu->priv != RV_PRIV_M) {
        call_or_observe(cpu, calls && !interrupt && cause == RV_CAUSE_ECALL_U);
    }
    trace_guest_trap(cpu->vcpu.accel.index, interrupt, cause, riscv_cause_name(interrupt, cause),
                     cpu->pc, tval, cpu->priv, to);
    if (cpu->priv != to) {
        trace_guest_priv(cpu->vcpu.accel.index, cpu->priv, to);
    }
}

void riscv_guest_return(RiscvCpu *cpu, RvPriv from)
{
    bool calls = trace_guest_syscall_enter_enabled() | trace_guest_syscall_exit_enabled();
    bool tasks = calls | trace_guest_task_switch_enabled() | trace_guest_task_rename_enabled();

    if (cpu->priv != from) {
        trace_guest_priv(cpu->vcpu.accel.index, from, cpu->priv);
    }
    if (tasks && cpu->vcpu.guest_os && cpu->priv != RV_PRIV_M) {
        GuestMoment moment = moment_at(cpu);

        if (calls && cpu->priv == RV_PRIV_U) {
            guest_os_syscall_exit(cpu->vcpu.guest_os, &moment, cpu->pc, cpu->x[REG_A0]);
        } else {
            guest_os_observe(cpu->vcpu.guest_os, &moment, cpu->priv == RV_PRIV_U);
        }
    }
}

void riscv_guest_satp(RiscvCpu *cpu)
{
    trace_guest_satp(cpu->vcpu.accel.index, (int)(cpu->satp >> 60), cpu->satp >> 44 & 0xffff,
                     cpu->satp & ((UINT64_C(1) << 44) - 1));
}

void riscv_guest_interrupts_on(RiscvCpu *cpu)
{
    if (cpu->vcpu.guest_os && cpu->priv == RV_PRIV_S) {
        GuestMoment moment = moment_at(cpu);

        guest_os_observe(cpu->vcpu.guest_os, &moment, false);
    }
}
