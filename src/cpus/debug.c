/* SPDX-License-Identifier: MIT */
/*
 * Guest debug as the common code sees it: the list of breakpoints of each vCPU is kept here, the
 * accelerator makes them work.
 */
#include "orrery/impl/error.h"
#include "src/cpus/internal.h"

bool vcpu_set_single_step(Vcpu *vcpu, bool on, GError **error)
{
    bool before = vcpu->single_step;

    if (before == on) {
        return true;
    }
    if (on && !accel_supports_guest_debug(vcpu_accel(vcpu))) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "accelerator %s cannot single-step",
                        vcpu->accel.ops->name);
    }
    vcpu->single_step = on;
    if (!accel_update_guest_debug(vcpu, error)) {
        vcpu->single_step = before;
        return false;
    }
    return true;
}

static int find_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes)
{
    for (guint i = 0; i < vcpu->breakpoints->len; i++) {
        const VcpuBreakpoint *bp = &g_array_index(vcpu->breakpoints, VcpuBreakpoint, i);

        if (bp->kind == kind && bp->addr == addr && bp->length_bytes == length_bytes) {
            return (int)i;
        }
    }
    return -1;
}

bool vcpu_insert_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                            GError **error)
{
    VcpuBreakpoint bp = { kind, addr, length_bytes };

    if (find_breakpoint(vcpu, kind, addr, length_bytes) >= 0) {
        return true;
    }
    g_array_append_val(vcpu->breakpoints, bp);
    if (!accel_insert_breakpoint(vcpu, kind, addr, length_bytes, error)) {
        g_array_set_size(vcpu->breakpoints, vcpu->breakpoints->len - 1);
        return false;
    }
    return true;
}

bool vcpu_remove_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                            GError **error)
{
    int index = find_breakpoint(vcpu, kind, addr, length_bytes);

    if (index < 0) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "no such breakpoint at 0x%" G_GINT64_MODIFIER "x", addr);
    }
    g_array_remove_index(vcpu->breakpoints, (guint)index);
    return accel_remove_breakpoint(vcpu, kind, addr, length_bytes, error);
}

void vcpu_remove_all_breakpoints(Vcpu *vcpu)
{
    g_array_set_size(vcpu->breakpoints, 0);
    accel_remove_all_breakpoints(vcpu);
}

bool vcpu_breakpoint_unsupported(Vcpu *vcpu, GError **error)
{
    return orr_fail(error, ORR_ERROR_UNSUPPORTED, "accelerator %s has no breakpoints",
                    vcpu->accel.ops->name);
}
