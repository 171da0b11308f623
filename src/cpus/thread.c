/* SPDX-License-Identifier: MIT */
/*
 * The thread contract. A vCPU thread begins and ends here, asks here whether it may run, and sleeps
 * here when there is nothing to do. The idea to hold: a kicker stores its reason, then exit_request,
 * then wakes; the thread clears exit_request, then reads reasons. Clearing happens in one place,
 * vcpu_wait_io_event_common, so no reason can fall between.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "src/cpus/internal.h"
#include "trace/trace-cpus.h"

/* ---- Begin and end. */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t vcpu_random(Vcpu *vcpu)
{
    return splitmix(&vcpu->random);
}

void vcpu_signal_created(Vcpu *vcpu)
{
    g_assert(machine_locked(vcpu->cpus));
    vcpu->created = true;
    orr_cond_broadcast(&vcpu->cpus->lifecycle_cond);
}

void vcpu_signal_destroyed(Vcpu *vcpu)
{
    g_assert(machine_locked(vcpu->cpus));
    vcpu->destroyed = true;
    orr_cond_broadcast(&vcpu->cpus->lifecycle_cond);
}

void vcpu_thread_begin(Vcpu *vcpu)
{
    char name[16]; /* what the kernel keeps */

    g_strlcpy(name, vcpu->name, sizeof(name));
    pthread_setname_np(pthread_self(), name);
    set_current_vcpu(vcpu);
    vcpu->random = ((uint64_t)g_random_int() << 32) | g_random_int();
    orr_store_release(&vcpu->thread_id, orr_thread_id());
    trace_cpus_thread_begin(vcpu->accel.index, vcpu->accel.ops->name);
    machine_lock(vcpu->cpus);
    vcpu_set_state(vcpu, VCPU_STATE_STOPPED, "thread begin");
    vcpu_signal_created(vcpu);
    machine_unlock(vcpu->cpus);
}

void vcpu_thread_end(Vcpu *vcpu)
{
    Cpus *cpus = vcpu->cpus;

    /* Waiters on queued work must not hang on a vCPU that leaves. */
    vcpu_process_work(vcpu);
    trace_cpus_thread_end(vcpu->accel.index);
    machine_lock(cpus);
    vcpu_set_state(vcpu, VCPU_STATE_UNPLUGGED, "thread end");
    orr_store_release(&vcpu->stopped, true);
    orr_cond_broadcast(&cpus->pause_cond);
    set_current_vcpu(NULL);
    vcpu_signal_destroyed(vcpu);
    machine_unlock(cpus);
}

void vcpu_thread_switch(Vcpu *vcpu)
{
    set_current_vcpu(vcpu);
}

bool vcpu_start_thread(Vcpu *vcpu, void *(*fn)(void *vcpu), GError **error)
{
    sigset_t all, before;
    int err;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&vcpu->thread, NULL, fn, vcpu);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        return orr_fail(error, ORR_ERROR_IO, "cannot start the thread of vCPU %u: %s",
                        vcpu->accel.index, g_strerror(err));
    }
    vcpu->thread_joinable = true;
    return true;
}

/* ---- May it run, has it anything to do? */

bool vcpu_can_run(const Vcpu *vcpu)
{
    return !orr_load_acquire(&vcpu->stop) && !orr_load_acquire(&vcpu->stopped) &&
           !orr_load_acquire(&vcpu->unplug) && vm_running(vcpu->cpus);
}

bool vcpu_is_idle(Vcpu *vcpu)
{
    if (orr_load_acquire(&vcpu->stop) || orr_load_acquire(&vcpu->unplug) ||
        orr_load_acquire(&vcpu->work_pending)) {
        return false;
    }
    if (orr_load_acquire(&vcpu->stopped) || !vm_running(vcpu->cpus)) {
        return true;
    }
    if (!orr_load_acquire(&vcpu->halted) || vcpu->target->has_work(vcpu)) {
        return false;
    }
    return accel_vcpu_thread_is_idle(vcpu);
}

bool all_vcpu_threads_idle(Cpus *cpus)
{
    Vcpu *vcpu;

    g_assert(machine_locked(cpus));
    CPUS_FOREACH(cpus, vcpu)
    {
        if (!vcpu_is_idle(vcpu)) {
            return false;
        }
    }
    return true;
}

/* ---- Waiting. */

void vcpu_wait_io_event_common(Vcpu *vcpu)
{
    orr_exchange(&vcpu->exit_request, 0u);
    if (orr_load_acquire(&vcpu->stop)) {
        vcpu_machine_lock(vcpu);
        /* A resume may have come in between. */
        if (orr_load_acquire(&vcpu->stop)) {
            vcpu_set_state(vcpu, VCPU_STATE_STOPPED, "pause");
            orr_store_release(&vcpu->stop, false);
            orr_store_release(&vcpu->stopped, true);
            orr_cond_broadcast(&vcpu->cpus->pause_cond);
        }
        vcpu_machine_unlock(vcpu);
    }
    if (orr_load_acquire(&vcpu->work_pending)) {
        vcpu_process_work(vcpu);
    }
}

void vcpu_trace_halt(Vcpu *vcpu)
{
    trace_cpus_halt(vcpu->accel.index);
}

void vcpu_trace_wake(Vcpu *vcpu, int64_t asleep_ns)
{
    if (trace_cpus_wake_enabled() && asleep_ns) {
        const char *cause = orr_load_relaxed(&vcpu->kick_cause);

        trace_cpus_wake(vcpu->accel.index, cause ? cause : "none",
                        (uint64_t)(host_monotonic_ns() - asleep_ns));
    }
}

void vcpu_wait_io_event(Vcpu *vcpu)
{
    vcpu_wait_io_event_common(vcpu);
    while (vcpu_is_idle(vcpu)) {
        bool halted = vcpu_can_run(vcpu);
        int64_t asleep_ns;

        vcpu_set_state(vcpu, halted ? VCPU_STATE_HALTED : VCPU_STATE_STOPPED,
                       halted ? "wait for interrupt" : "vm stopped");
        if (halted) {
            vcpu_trace_halt(vcpu);
        }
        asleep_ns = trace_cpus_wake_enabled() ? host_monotonic_ns() : 0;
        orr_park(&vcpu->park, -1);
        vcpu_trace_wake(vcpu, asleep_ns);
        vcpu_wait_io_event_common(vcpu);
    }
    if (orr_load_acquire(&vcpu->halted) && vcpu->target->has_work(vcpu)) {
        orr_store_release(&vcpu->halted, false);
    }
    if (vcpu_state(vcpu) != VCPU_STATE_EXIT && vcpu_can_run(vcpu)) {
        vcpu_set_state(vcpu, VCPU_STATE_EXIT, "work");
    }
}

/* ---- Kick. */

void vcpu_kick_default(Vcpu *vcpu)
{
    orr_unpark(&vcpu->park);
}

void vcpu_kick(Vcpu *vcpu, const char *cause)
{
    if (trace_cpus_kick_enabled()) {
        Vcpu *self = current_vcpu();

        trace_cpus_kick(vcpu->accel.index, self ? (int32_t)self->accel.index : -1, cause);
    }
    orr_store_relaxed(&vcpu->kick_cause, cause);
    orr_store_release(&vcpu->exit_request, 1u);
    accel_kick_vcpu_thread(vcpu);
}

void vcpu_interrupt(Vcpu *vcpu)
{
    accel_handle_interrupt(vcpu);
}

/* ---- Odd exits. */

void vcpu_stop_self(Vcpu *vcpu)
{
    orr_store_release(&vcpu->stop, true);
    orr_store_release(&vcpu->exit_request, 1u);
}

void vcpu_handle_guest_debug(Vcpu *vcpu)
{
    Cpus *cpus = vcpu->cpus;

    if (trace_cpus_guest_debug_enabled()) {
        trace_cpus_guest_debug(vcpu->accel.index, vcpu->target->get_pc(vcpu));
    }
    vcpu_machine_lock(vcpu);
    cpus->debug_vcpu = vcpu;
    vm_stop_request(cpus, RUN_STATE_DEBUG);
    vcpu_stop_self(vcpu);
    vcpu_machine_unlock(vcpu);
}

void vcpu_handle_error(Vcpu *vcpu)
{
    vcpu_machine_lock(vcpu);
    vcpu->crashed = true;
    vm_stop_request(vcpu->cpus, RUN_STATE_INTERNAL_ERROR);
    vcpu_stop_self(vcpu);
    vcpu_machine_unlock(vcpu);
}

bool vcpu_step_atomic(Vcpu *vcpu)
{
    bool stepped;

    exclusive_start(vcpu->cpus, vcpu);
    stepped = accel_step_vcpu(vcpu);
    exclusive_end(vcpu->cpus, vcpu);
    return stepped;
}

/* For the state account. */
static const char *const exit_reasons[] = {
    [VCPU_EXIT_KICKED] = "kicked", [VCPU_EXIT_HALTED] = "halted", [VCPU_EXIT_DEBUG] = "debug",
    [VCPU_EXIT_ATOMIC] = "atomic", [VCPU_EXIT_YIELD] = "yield",   [VCPU_EXIT_ERROR] = "error",
};

void vcpu_execute(Vcpu *vcpu, VcpuExit (*run)(void *opaque), void *opaque)
{
    VcpuExit why;

    vcpu_set_state(vcpu, VCPU_STATE_RUNNING, "enter");
    vcpu_exec_begin(vcpu);
    why = run(opaque);
    vcpu_exec_end(vcpu);
    vcpu_set_state(vcpu, VCPU_STATE_EXIT, exit_reasons[why]);

    switch (why) {
    case VCPU_EXIT_DEBUG:
        vcpu_handle_guest_debug(vcpu);
        break;
    case VCPU_EXIT_ERROR:
        vcpu_handle_error(vcpu);
        break;
    case VCPU_EXIT_ATOMIC:
        vcpu_step_atomic(vcpu);
        break;
    case VCPU_EXIT_YIELD:
        sched_yield();
        break;
    case VCPU_EXIT_KICKED:
    case VCPU_EXIT_HALTED:
        break;
    }
}
