/* SPDX-License-Identifier: MIT */
/*
 * The core as an object: the machine lock, the table of vCPUs, and the way to the accelerator. No
 * accelerator is known here by name.
 */
#include "src/cpus/internal.h"

#include "trace/trace-cpus.h"

static __thread Vcpu *this_vcpu;

Vcpu *current_vcpu(void)
{
    return this_vcpu;
}

void set_current_vcpu(Vcpu *vcpu)
{
    this_vcpu = vcpu;
}

static void wake_loop(void *opaque)
{
    main_loop_wake(opaque);
}

Cpus *cpus_create(Timers *timers, Memory *memory, const LogSet *log)
{
    Cpus *cpus = g_new0(Cpus, 1);
    TimersHooks hooks = { .wake = wake_loop, .wake_opaque = cpus };

    orr_mutex_init(&cpus->lock, "machine");
    orr_mutex_init(&cpus->exclusive_lock, "exclusive");
    orr_cond_init(&cpus->lifecycle_cond);
    orr_cond_init(&cpus->pause_cond);
    orr_cond_init(&cpus->work_cond);
    orr_cond_init(&cpus->exclusive_ready);
    orr_cond_init(&cpus->exclusive_resume);
    cpus->timers = timers;
    cpus->memory = memory;
    cpus->log = log;
    cpus->slots = g_ptr_array_new();
    cpus->run_state = RUN_STATE_PRELAUNCH;
    cpus->context = g_main_context_new();
    cpus->poll_fds = g_array_new(FALSE, FALSE, sizeof(GPollFD));
    g_array_set_size(cpus->poll_fds, 16);
    timers_set_hooks(timers, &hooks);
    return cpus;
}

void cpus_set_guest_os(Cpus *cpus, GuestOs *os)
{
    cpus->guest_os = os;
}

void cpus_destroy(Cpus *cpus)
{
    if (!cpus) {
        return;
    }
    g_assert(cpus->count == 0);
    timers_set_hooks(cpus->timers, &(TimersHooks){ 0 });
    g_ptr_array_free(cpus->slots, TRUE);
    g_array_free(cpus->poll_fds, TRUE);
    g_main_context_unref(cpus->context);
    orr_cond_finish(&cpus->exclusive_resume);
    orr_cond_finish(&cpus->exclusive_ready);
    orr_cond_finish(&cpus->work_cond);
    orr_cond_finish(&cpus->pause_cond);
    orr_cond_finish(&cpus->lifecycle_cond);
    orr_mutex_finish(&cpus->exclusive_lock);
    orr_mutex_finish(&cpus->lock);
    g_free(cpus);
}

void cpus_set_hooks(Cpus *cpus, const CpusHooks *hooks)
{
    cpus->hooks = *hooks;
}

static int64_t hook_virtual_clock(void *accel)
{
    return accel_get_virtual_clock(accel);
}

static void hook_set_virtual_clock(void *accel, int64_t ns)
{
    accel_set_virtual_clock(accel, ns);
}

static int64_t hook_elapsed_ticks(void *accel)
{
    return accel_get_elapsed_ticks(accel);
}

/*
 * Only what the accelerator offers is hooked up: a clock read under an accelerator that leaves time
 * alone costs no call through the table.
 */
void cpus_set_accel(Cpus *cpus, Accel *accel)
{
    TimersHooks hooks = { .wake = wake_loop, .wake_opaque = cpus, .opaque = accel };

    cpus->accel = accel;
    if (accel_op_offered(accel->ops, ACCEL_OP_GET_VIRTUAL_CLOCK)) {
        hooks.virtual_clock = hook_virtual_clock;
    }
    if (accel_op_offered(accel->ops, ACCEL_OP_SET_VIRTUAL_CLOCK)) {
        hooks.set_virtual_clock = hook_set_virtual_clock;
        hooks.stepped = true;
    }
    if (accel_op_offered(accel->ops, ACCEL_OP_GET_ELAPSED_TICKS)) {
        hooks.elapsed_ticks = hook_elapsed_ticks;
    }
    timers_set_hooks(cpus->timers, &hooks);
}

unsigned cpus_count(const Cpus *cpus)
{
    return cpus->count;
}

Vcpu *cpus_get(const Cpus *cpus, unsigned index)
{
    return index < cpus->slots->len ? g_ptr_array_index(cpus->slots, index) : NULL;
}

/* ---- The machine lock. */

static void lock_taken(Cpus *cpus, const char *site)
{
    if (trace_cpus_machine_lock_hold_enabled()) {
        cpus->lock_site = site;
        cpus->lock_since_ns = host_monotonic_ns();
    }
}

void machine_lock_at(Cpus *cpus, const char *site)
{
    if (!orr_mutex_trylock(&cpus->lock)) {
        int64_t start = trace_cpus_machine_lock_wait_enabled() ? host_monotonic_ns() : 0;

        orr_mutex_lock(&cpus->lock);
        if (start) {
            trace_cpus_machine_lock_wait(site, (uint64_t)(host_monotonic_ns() - start));
        }
    }
    lock_taken(cpus, site);
}

void machine_unlock(Cpus *cpus)
{
    const char *site = cpus->lock_site;

    if (G_UNLIKELY(site)) {
        int64_t held = host_monotonic_ns() - cpus->lock_since_ns;

        cpus->lock_site = NULL;
        orr_mutex_unlock(&cpus->lock);
        trace_cpus_machine_lock_hold(site, (uint64_t)held);
        return;
    }
    orr_mutex_unlock(&cpus->lock);
}

void machine_lock_wait_for(Cpus *cpus, OrrCond *cond, const char *site)
{
    const char *before = cpus->lock_site;

    if (G_UNLIKELY(before)) {
        cpus->lock_site = NULL;
        trace_cpus_machine_lock_hold(before, (uint64_t)(host_monotonic_ns() - cpus->lock_since_ns));
    }
    orr_cond_wait(cond, &cpus->lock);
    lock_taken(cpus, site);
}

bool machine_locked(const Cpus *cpus)
{
    return orr_mutex_held(&cpus->lock);
}

void vcpu_machine_lock_at(Vcpu *vcpu, const char *site)
{
    Cpus *cpus = vcpu->cpus;

    if (orr_mutex_trylock(&cpus->lock)) {
        lock_taken(cpus, site);
    } else {
        VcpuState before = vcpu_state(vcpu);

        vcpu_set_state(vcpu, VCPU_STATE_LOCK_WAIT, site);
        machine_lock_at(cpus, site);
        vcpu_set_state(vcpu, before, "lock taken");
    }
}

void vcpu_machine_unlock(Vcpu *vcpu)
{
    machine_unlock(vcpu->cpus);
}
