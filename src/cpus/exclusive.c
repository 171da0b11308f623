/* SPDX-License-Identifier: MIT */
/*
 * Exclusive sections: one thread makes sure that no vCPU is in guest code, and keeps it so. Entering
 * guest code costs one ordered store and one load. Either the vCPU's store of `running` comes
 * first, and the section's owner sees it and waits for exec end; or the owner's store of `pending`
 * comes first, and the vCPU sees it and waits outside. Both are sequentially consistent.
 */
#include "src/cpus/internal.h"
#include "trace/trace-cpus.h"

void vcpu_exec_begin(Vcpu *vcpu)
{
    Cpus *cpus = vcpu->cpus;

    orr_store_seq_cst(&vcpu->running, true);
    if (G_LIKELY(orr_load_seq_cst(&cpus->exclusive_pending) == 0)) {
        return;
    }
    orr_mutex_lock(&cpus->exclusive_lock);
    if (!vcpu->has_waiter && cpus->exclusive_pending) {
        VcpuState before = vcpu_state(vcpu);

        /* Not counted among those to wait for: stay outside until the section has ended. */
        orr_store_seq_cst(&vcpu->running, false);
        vcpu_set_state(vcpu, VCPU_STATE_EXCLUSIVE_WAIT, "another's exclusive section");
        trace_cpus_exclusive_wait(vcpu->accel.index);
        while (cpus->exclusive_pending) {
            orr_cond_wait(&cpus->exclusive_resume, &cpus->exclusive_lock);
        }
        vcpu_set_state(vcpu, before, "exclusive section over");
        orr_store_seq_cst(&vcpu->running, true);
    }
    /* Counted: the owner waits for our exec end, which its kick makes come soon. */
    orr_mutex_unlock(&cpus->exclusive_lock);
}

void vcpu_exec_end(Vcpu *vcpu)
{
    Cpus *cpus = vcpu->cpus;

    orr_store_seq_cst(&vcpu->running, false);
    if (G_LIKELY(orr_load_seq_cst(&cpus->exclusive_pending) == 0)) {
        return;
    }
    orr_mutex_lock(&cpus->exclusive_lock);
    if (vcpu->has_waiter) {
        vcpu->has_waiter = false;
        orr_store_seq_cst(&cpus->exclusive_pending, cpus->exclusive_pending - 1);
        if (cpus->exclusive_pending == 1) {
            orr_cond_signal(&cpus->exclusive_ready);
        }
    }
    orr_mutex_unlock(&cpus->exclusive_lock);
}

void exclusive_start(Cpus *cpus, Vcpu *self)
{
    int64_t start = host_monotonic_ns();
    uint32_t to_leave = 0;
    Vcpu *vcpu;

    g_assert(!machine_locked(cpus));
    if (self) {
        vcpu_set_state(self, VCPU_STATE_EXCLUSIVE_WAIT, "exclusive start");
    }
    orr_mutex_lock(&cpus->exclusive_lock);
    while (cpus->exclusive_pending) {
        orr_cond_wait(&cpus->exclusive_resume, &cpus->exclusive_lock);
    }
    orr_store_seq_cst(&cpus->exclusive_pending, 1u);
    CPUS_FOREACH(cpus, vcpu)
    {
        if (vcpu != self && orr_load_seq_cst(&vcpu->running)) {
            vcpu->has_waiter = true;
            to_leave++;
            vcpu_kick(vcpu, "exclusive");
        }
    }
    orr_store_seq_cst(&cpus->exclusive_pending, 1 + to_leave);
    while (cpus->exclusive_pending > 1) {
        orr_cond_wait(&cpus->exclusive_ready, &cpus->exclusive_lock);
    }
    orr_mutex_unlock(&cpus->exclusive_lock);
    cpus->exclusive_since_ns = host_monotonic_ns();
    if (self) {
        vcpu_set_state(self, VCPU_STATE_EXCLUSIVE, "exclusive");
    }
    trace_cpus_exclusive_begin(self ? self->accel.index : UINT32_MAX,
                               (uint64_t)(cpus->exclusive_since_ns - start));
}

void exclusive_end(Cpus *cpus, Vcpu *self)
{
    int64_t held = host_monotonic_ns() - cpus->exclusive_since_ns;

    orr_mutex_lock(&cpus->exclusive_lock);
    orr_store_seq_cst(&cpus->exclusive_pending, 0u);
    orr_cond_broadcast(&cpus->exclusive_resume);
    orr_mutex_unlock(&cpus->exclusive_lock);
    if (self) {
        vcpu_set_state(self, VCPU_STATE_EXIT, "exclusive end");
    }
    trace_cpus_exclusive_end(self ? self->accel.index : UINT32_MAX, (uint64_t)held);
}
