/* SPDX-License-Identifier: MIT */
/*
 * Work for a vCPU's thread: with the machine lock and a waiter (run-on), with it and none (async),
 * or alone in an exclusive section (async-safe). Items run in the order in which they were queued.
 */
#include "src/cpus/internal.h"
#include "trace/trace-cpus.h"

static const char *kind_of(const VcpuWork *work)
{
    return work->safe ? "async-safe" : work->sync ? "run-on" : "async";
}

static void enqueue(Vcpu *vcpu, VcpuWork *work)
{
    work->queued_ns = trace_cpus_work_run_enabled() ? host_monotonic_ns() : 0;
    trace_cpus_work_queue(vcpu->accel.index, kind_of(work));
    orr_mutex_lock(&vcpu->work_lock);
    if (vcpu->work_tail) {
        vcpu->work_tail->next = work;
    } else {
        vcpu->work_head = work;
    }
    vcpu->work_tail = work;
    orr_store_release(&vcpu->work_pending, true);
    orr_mutex_unlock(&vcpu->work_lock);
    vcpu_kick(vcpu, "work");
}

static VcpuWork *dequeue(Vcpu *vcpu)
{
    VcpuWork *work;

    orr_mutex_lock(&vcpu->work_lock);
    work = vcpu->work_head;
    if (work) {
        vcpu->work_head = work->next;
        if (!vcpu->work_head) {
            vcpu->work_tail = NULL;
        }
    }
    if (!vcpu->work_head) {
        orr_store_release(&vcpu->work_pending, false);
    }
    orr_mutex_unlock(&vcpu->work_lock);
    return work;
}

static void run_item(Vcpu *vcpu, VcpuWork *work)
{
    int64_t start = work->queued_ns ? host_monotonic_ns() : 0;
    int64_t queued = work->queued_ns;
    const char *kind = kind_of(work);

    if (work->safe) {
        exclusive_start(vcpu->cpus, vcpu);
        work->fn(vcpu, work->data);
        exclusive_end(vcpu->cpus, vcpu);
        g_free(work);
    } else {
        vcpu_machine_lock(vcpu);
        work->fn(vcpu, work->data);
        if (work->sync) {
            /* The item is on the waiter's stack; it is gone once the lock is. */
            work->done = true;
            orr_cond_broadcast(&vcpu->cpus->work_cond);
        } else {
            g_free(work);
        }
        vcpu_machine_unlock(vcpu);
    }
    if (start) {
        trace_cpus_work_run(vcpu->accel.index, kind, (uint64_t)(start - queued),
                            (uint64_t)(host_monotonic_ns() - start));
    }
}

void vcpu_process_work(Vcpu *vcpu)
{
    VcpuWork *work;

    while ((work = dequeue(vcpu))) {
        run_item(vcpu, work);
    }
}

void vcpu_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data)
{
    VcpuWork work = { .fn = fn, .data = data, .sync = true };

    g_assert(machine_locked(vcpu->cpus));
    if (current_vcpu() == vcpu || !vcpu->created || vcpu->destroyed) {
        fn(vcpu, data);
        return;
    }
    enqueue(vcpu, &work);
    while (!work.done) {
        machine_lock_wait_for(vcpu->cpus, &vcpu->cpus->work_cond, __func__);
    }
}

void vcpu_async_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data)
{
    VcpuWork *work = g_new0(VcpuWork, 1);

    work->fn = fn;
    work->data = data;
    enqueue(vcpu, work);
}

void vcpu_async_safe_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data)
{
    VcpuWork *work = g_new0(VcpuWork, 1);

    work->fn = fn;
    work->data = data;
    work->safe = true;
    enqueue(vcpu, work);
}
