/* SPDX-License-Identifier: MIT */
/*
 * Life of a vCPU outside its thread: made, plugged, resumed, reset, unplugged. A vCPU is born
 * stopped and only resume lets it run; its memory goes when its thread has been joined.
 */
#include <stdlib.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "src/cpus/internal.h"
#include "trace/trace-cpus.h"

static unsigned lowest_free_index(const Cpus *cpus)
{
    for (guint i = 0; i < cpus->slots->len; i++) {
        if (!g_ptr_array_index(cpus->slots, i)) {
            return i;
        }
    }
    return cpus->slots->len;
}

static void set_slot(Cpus *cpus, unsigned index, Vcpu *vcpu)
{
    orr_mutex_lock(&cpus->exclusive_lock);
    if (index >= cpus->slots->len) {
        g_ptr_array_set_size(cpus->slots, (int)index + 1);
    }
    g_ptr_array_index(cpus->slots, index) = vcpu;
    cpus->count += vcpu ? 1 : -1;
    orr_mutex_unlock(&cpus->exclusive_lock);
}

static void vcpu_free(Vcpu *vcpu)
{
    props_finish(vcpu, vcpu->target->props);
    g_array_free(vcpu->breakpoints, TRUE);
    orr_mutex_finish(&vcpu->work_lock);
    g_free(vcpu->name);
    free(vcpu);
}

Vcpu *vcpu_create(Cpus *cpus, const TargetOps *target, const char *model, GError **error)
{
    unsigned index = lowest_free_index(cpus);
    size_t bytes = (target->vcpu_bytes + ORR_CACHE_LINE - 1) & ~(size_t)(ORR_CACHE_LINE - 1);
    Accel *accel = cpus->accel;
    const AccelCpu *extension = accel_cpu_for(accel->driver, target->name);
    Vcpu *vcpu;

    g_assert(machine_locked(cpus));
    if (index >= target->max_vcpus) {
        orr_fail(error, ORR_ERROR_INVALID, "target %s has at most %u vCPUs", target->name,
                 target->max_vcpus);
        return NULL;
    }
    vcpu = aligned_alloc(ORR_CACHE_LINE, bytes);
    if (!vcpu) {
        orr_fail(error, ORR_ERROR_IO, "no memory for vCPU %u (%zu bytes)", index, bytes);
        return NULL;
    }
    memset(vcpu, 0, bytes);
    vcpu->accel.ops = accel->ops;
    vcpu->accel.accel = accel;
    vcpu->accel.index = index;
    vcpu->cpus = cpus;
    vcpu->target = target;
    vcpu->memory = cpus->memory;
    vcpu->timers = cpus->timers;
    vcpu->log = cpus->log;
    vcpu->guest_os = cpus->guest_os;
    vcpu->name = g_strdup_printf("cpu %u/%s", index, accel->ops->name);
    vcpu->stopped = true;
    vcpu->epoch_stripe = index;
    vcpu->breakpoints = g_array_new(FALSE, FALSE, sizeof(VcpuBreakpoint));
    orr_mutex_init(&vcpu->work_lock, "vcpu.work");
    vcpu_sched_init(vcpu);
    props_init(vcpu, target->props);
    if (!target->vcpu_init(vcpu, model, error)) {
        vcpu_free(vcpu);
        return NULL;
    }
    if (extension && extension->cpu_instance_init) {
        extension->cpu_instance_init(accel, vcpu);
    }
    return vcpu;
}

void vcpu_discard(Vcpu *vcpu)
{
    if (vcpu) {
        vcpu->target->vcpu_finish(vcpu);
        vcpu_free(vcpu);
    }
}

bool vcpu_plug(Vcpu *vcpu, GError **error)
{
    Cpus *cpus = vcpu->cpus;
    Accel *accel = cpus->accel;
    const AccelCpu *extension = accel_cpu_for(accel->driver, vcpu->target->name);

    g_assert(machine_locked(cpus));
    if (!vcpu->target->vcpu_realize(vcpu, error)) {
        return false;
    }
    if (extension && extension->cpu_realize && !extension->cpu_realize(accel, vcpu, error)) {
        return false;
    }
    vcpu->target->vcpu_reset(vcpu);
    set_slot(cpus, vcpu->accel.index, vcpu);
    if (!accel_create_vcpu_thread(vcpu, error)) {
        set_slot(cpus, vcpu->accel.index, NULL);
        if (extension && extension->cpu_unrealize) {
            extension->cpu_unrealize(accel, vcpu);
        }
        return false;
    }
    while (!vcpu->created) {
        machine_lock_wait_for(cpus, &cpus->lifecycle_cond, __func__);
    }
    accel_synchronize_post_init(vcpu);
    trace_cpus_plug(vcpu->accel.index);
    return true;
}

void vcpu_resume(Vcpu *vcpu)
{
    g_assert(machine_locked(vcpu->cpus));
    if (vcpu->destroyed) {
        return; /* its thread has ended and only waits to be taken off the list */
    }
    orr_store_release(&vcpu->stop, false);
    orr_store_release(&vcpu->stopped, false);
    vcpu_kick(vcpu, "resume");
}

void vcpu_unplug(Vcpu *vcpu)
{
    Cpus *cpus = vcpu->cpus;
    const AccelCpu *extension = accel_cpu_for(cpus->accel->driver, vcpu->target->name);
    unsigned index = vcpu->accel.index;

    g_assert(machine_locked(cpus));
    orr_store_release(&vcpu->unplug, true);
    vcpu_kick(vcpu, "unplug");
    while (!vcpu->destroyed) {
        machine_lock_wait_for(cpus, &cpus->lifecycle_cond, __func__);
    }
    set_slot(cpus, index, NULL);
    /* A pauser may be waiting for a vCPU that is no more. */
    orr_cond_broadcast(&cpus->pause_cond);
    if (vcpu->thread_joinable) {
        machine_unlock(cpus);
        pthread_join(vcpu->thread, NULL);
        machine_lock(cpus);
    }
    if (extension && extension->cpu_unrealize) {
        extension->cpu_unrealize(cpus->accel, vcpu);
    }
    trace_cpus_unplug(index);
    vcpu_discard(vcpu);
}

void vcpu_reset(Vcpu *vcpu)
{
    g_assert(machine_locked(vcpu->cpus));
    orr_store_release(&vcpu->halted, false);
    vcpu->crashed = false;
    vcpu->target->vcpu_reset(vcpu);
    accel_vcpu_reset_hold(vcpu);
    accel_synchronize_post_reset(vcpu);
    trace_cpus_reset(vcpu->accel.index);
}
