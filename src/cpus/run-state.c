/* SPDX-License-Identifier: MIT */
/*
 * Run state, pause and resume, and the requests by which any thread asks the main loop for a reset,
 * a power-off or a stop. Only the main loop acts on them, so the machine is always taken apart by
 * the thread that put it together.
 */
#include "src/cpus/internal.h"
#include "trace/trace-cpus.h"

static const char *const run_state_names[RUN_STATE_COUNT] = {
    [RUN_STATE_PRELAUNCH] = "prelaunch",
    [RUN_STATE_RUNNING] = "running",
    [RUN_STATE_PAUSED] = "paused",
    [RUN_STATE_DEBUG] = "debug",
    [RUN_STATE_SHUTDOWN] = "shutdown",
    [RUN_STATE_GUEST_PANICKED] = "guest-panicked",
    [RUN_STATE_INTERNAL_ERROR] = "internal-error",
    [RUN_STATE_SAVE_VM] = "save-vm",
    [RUN_STATE_RESTORE_VM] = "restore-vm",
};

const char *run_state_name(RunState state)
{
    return (unsigned)state < RUN_STATE_COUNT ? run_state_names[state] : "unknown";
}

RunState run_state(const Cpus *cpus)
{
    return (RunState)orr_load_acquire(&cpus->run_state);
}

bool vm_running(const Cpus *cpus)
{
    return run_state(cpus) == RUN_STATE_RUNNING;
}

static void set_run_state(Cpus *cpus, RunState to)
{
    RunState from = run_state(cpus);

    if (from == to) {
        return;
    }
    orr_store_release(&cpus->run_state, (uint32_t)to);
    trace_cpus_run_state(run_state_name(from), run_state_name(to));
    if (cpus->hooks.run_state_changed) {
        cpus->hooks.run_state_changed(cpus->hooks.opaque, from, to);
    }
}

/* ---- Pause and resume. */

static bool all_stopped(Cpus *cpus, Vcpu *self)
{
    Vcpu *vcpu;

    CPUS_FOREACH(cpus, vcpu)
    {
        if (vcpu != self && !orr_load_acquire(&vcpu->stopped) && !vcpu->destroyed) {
            return false;
        }
    }
    return true;
}

/*
 * Asked again in every round: company may have resumed a vCPU, or plugged one, while the machine
 * lock was free. The caller's own vCPU counts as stopped from here on.
 */
static void ask_to_stop(Cpus *cpus, Vcpu *self)
{
    Vcpu *vcpu;

    CPUS_FOREACH(cpus, vcpu)
    {
        if (vcpu == self) {
            orr_store_release(&vcpu->stop, false);
            orr_store_release(&vcpu->stopped, true);
        } else if (!orr_load_acquire(&vcpu->stopped) && !orr_load_acquire(&vcpu->stop)) {
            orr_store_release(&vcpu->stop, true);
            vcpu_kick(vcpu, "pause");
        }
    }
}

void pause_vcpus(Cpus *cpus)
{
    int64_t start = host_monotonic_ns();
    Vcpu *self = current_vcpu();

    g_assert(machine_locked(cpus));
    trace_cpus_pause_begin(cpus->count);
    ask_to_stop(cpus, self);
    while (!all_stopped(cpus, self)) {
        machine_lock_wait_for(cpus, &cpus->pause_cond, __func__);
        ask_to_stop(cpus, self);
    }
    trace_cpus_pause_end(cpus->count, (uint64_t)(host_monotonic_ns() - start));
}

void resume_vcpus(Cpus *cpus)
{
    Vcpu *vcpu;

    g_assert(machine_locked(cpus));
    if (!vm_running(cpus)) {
        return;
    }
    trace_cpus_resume(cpus->count);
    CPUS_FOREACH(cpus, vcpu)
    {
        if (!vcpu->crashed) {
            vcpu_resume(vcpu);
        }
    }
}

void vm_start(Cpus *cpus)
{
    g_assert(machine_locked(cpus));
    if (vm_running(cpus)) {
        return;
    }
    set_run_state(cpus, RUN_STATE_RUNNING);
    clocks_start(cpus->timers);
    resume_vcpus(cpus);
}

void vm_stop(Cpus *cpus, RunState state)
{
    Vcpu *self = current_vcpu();

    if (self) {
        vm_stop_request(cpus, state);
        vcpu_stop_self(self);
        return;
    }
    g_assert(machine_locked(cpus));
    if (vm_running(cpus)) {
        clocks_stop(cpus->timers);
        pause_vcpus(cpus);
    }
    set_run_state(cpus, state);
}

/* ---- Requests. */

void system_reset_request(Cpus *cpus, const char *cause)
{
    orr_store_release(&cpus->reset_cause, cause);
    main_loop_wake(cpus);
}

void system_shutdown_request(Cpus *cpus, const char *cause, int exit_code)
{
    const char *none = NULL;

    /* The first one counts; its code is stored before the cause makes it visible. */
    if (!orr_load_acquire(&cpus->shutdown_cause)) {
        orr_store_release(&cpus->shutdown_code, exit_code);
    }
    __atomic_compare_exchange_n(&cpus->shutdown_cause, &none, cause, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
    main_loop_wake(cpus);
}

void system_quit_request(Cpus *cpus, const char *cause)
{
    orr_store_release(&cpus->quit, true);
    system_shutdown_request(cpus, cause, 0);
}

void vm_stop_request(Cpus *cpus, RunState state)
{
    orr_store_release(&cpus->stop_request, (uint32_t)state + 1);
    main_loop_wake(cpus);
}

static void do_reset(Cpus *cpus, const char *cause)
{
    bool was_running = vm_running(cpus);

    pause_vcpus(cpus);
    if (cpus->hooks.reset) {
        cpus->hooks.reset(cpus->hooks.opaque, cause);
    }
    if (was_running) {
        resume_vcpus(cpus);
    }
}

bool main_loop_handle_requests(Cpus *cpus, bool no_reboot, bool no_shutdown, int *exit_code)
{
    const char *cause;
    uint32_t stop;

    stop = orr_exchange(&cpus->stop_request, 0u);
    if (stop) {
        vm_stop(cpus, (RunState)(stop - 1));
        if (stop - 1 == RUN_STATE_DEBUG && cpus->debug_vcpu && cpus->hooks.guest_debug) {
            cpus->hooks.guest_debug(cpus->hooks.opaque, cpus->debug_vcpu);
        }
    }
    cause = orr_exchange(&cpus->reset_cause, (const char *)NULL);
    if (cause) {
        if (no_reboot) {
            system_shutdown_request(cpus, cause, 0);
        } else {
            do_reset(cpus, cause);
        }
    }
    cause = orr_exchange(&cpus->shutdown_cause, (const char *)NULL);
    if (cause) {
        vm_stop(cpus, RUN_STATE_SHUTDOWN);
        if (!no_shutdown || orr_load_acquire(&cpus->quit)) {
            *exit_code = orr_load_acquire(&cpus->shutdown_code);
            return true;
        }
    }
    return false;
}
