/* SPDX-License-Identifier: MIT */
/*
 * The reference interpreter, the half that knows no guest architecture: one thread a vCPU, and the
 * ops. The idea to hold: interp_thread is the whole of a vCPU's life, and the only thing other
 * threads do to it is leave a request and kick.
 */
#include "src/accel/interp/interp-target.h"

#include "orrery/impl/error.h"

static const InterpTarget *interp_target(const Vcpu *vcpu)
{
    return ((const InterpAccel *)vcpu_accel(vcpu))->target;
}

/* ---- The thread. */

/* Those who reach the state through the vCPU hold the machine lock. */
static void destroy_state(Vcpu *vcpu)
{
    vcpu_machine_lock(vcpu);
    interp_target(vcpu)->destroy(vcpu->accel.opaque);
    vcpu->accel.opaque = NULL;
    vcpu_machine_unlock(vcpu);
}

static void *interp_thread(void *opaque)
{
    Vcpu *vcpu = opaque;
    const InterpTarget *target = interp_target(vcpu);
    void *state = vcpu->accel.opaque;

    vcpu_thread_begin(vcpu);
    do {
        if (vcpu_can_run(vcpu) && !orr_load_acquire(&vcpu->halted)) {
            vcpu_execute(vcpu, target->run, state);
        }
        vcpu_wait_io_event(vcpu);
    } while (vcpu_thread_continues(vcpu));
    destroy_state(vcpu);
    vcpu_thread_end(vcpu);
    return NULL;
}

static bool interp_create_vcpu_thread(Vcpu *vcpu, GError **error)
{
    vcpu->accel.opaque = interp_target(vcpu)->create(vcpu);
    if (!vcpu_start_thread(vcpu, interp_thread, error)) {
        interp_target(vcpu)->destroy(vcpu->accel.opaque);
        vcpu->accel.opaque = NULL;
        return false;
    }
    return true;
}

/* ---- Requests. The state is there as long as the thread is; else there is nothing to do. */

static void interp_handle_interrupt(Vcpu *vcpu)
{
    vcpu_kick(vcpu, "interrupt");
}

static void flush(Vcpu *vcpu, bool code)
{
    if (vcpu->accel.opaque) {
        interp_target(vcpu)->flush(vcpu->accel.opaque, code);
    }
}

static void interp_vcpu_reset_hold(Vcpu *vcpu)
{
    flush(vcpu, true);
}

static void interp_invalidate_translations(Vcpu *vcpu)
{
    flush(vcpu, false);
}

static bool interp_step_vcpu(Vcpu *vcpu)
{
    interp_target(vcpu)->step(vcpu->accel.opaque);
    return true;
}

static bool interp_get_vcpu_stats(Vcpu *vcpu, AccelVcpuStats *stats)
{
    if (!vcpu->accel.opaque) {
        return false;
    }
    interp_target(vcpu)->stats(vcpu->accel.opaque, stats);
    return true;
}

/* A region came or went: what vCPUs cached of the map is stale. Machine lock held. */
static void interp_map_changed(void *opaque)
{
    Cpus *cpus = ((Accel *)opaque)->cpus;

    for (unsigned i = 0, left = cpus_count(cpus); left > 0; i++) {
        Vcpu *vcpu = cpus_get(cpus, i);

        if (vcpu) {
            left--;
            flush(vcpu, false);
            vcpu_kick(vcpu, "memory map changed");
        }
    }
}

const MemoryListener interp_memory_listener = {
    .map_changed = interp_map_changed,
};

/* ---- Guest debug. The list is the core's; blocks are made anew to heed it. */

static bool interp_supports_guest_debug(Accel *accel)
{
    return true;
}

static bool interp_update_guest_debug(Vcpu *vcpu, GError **error)
{
    flush(vcpu, true);
    return true;
}

static bool interp_insert_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr,
                                     uint64_t length_bytes, GError **error)
{
    if (kind != BREAKPOINT_SOFTWARE && kind != BREAKPOINT_HARDWARE) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "accelerator interp has no watchpoints");
    }
    flush(vcpu, true);
    return true;
}

static bool interp_remove_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr,
                                     uint64_t length_bytes, GError **error)
{
    flush(vcpu, true);
    return true;
}

static void interp_remove_all_breakpoints(Vcpu *vcpu)
{
    flush(vcpu, true);
}

const AccelOps interp_ops = {
    .struct_size = sizeof(AccelOps),
    .name = "interp",
    .create_vcpu_thread = interp_create_vcpu_thread,
    .handle_interrupt = interp_handle_interrupt,
    .vcpu_reset_hold = interp_vcpu_reset_hold,
    .invalidate_translations = interp_invalidate_translations,
    .supports_guest_debug = interp_supports_guest_debug,
    .update_guest_debug = interp_update_guest_debug,
    .insert_breakpoint = interp_insert_breakpoint,
    .remove_breakpoint = interp_remove_breakpoint,
    .remove_all_breakpoints = interp_remove_all_breakpoints,
    .get_vcpu_stats = interp_get_vcpu_stats,
    .step_vcpu = interp_step_vcpu,
};

const PropDef interp_props[] = {
    { "hostfloat", PROP_BOOL, offsetof(InterpAccel, host_float),
      .help = "use the host's floating point unit where the result is provably the same" },
    { NULL },
};
