/* SPDX-License-Identifier: MIT */
/*
 * The events of `guest`: what the guest's software does on a vCPU. Each record lasts until the next of
 * its kind; a system call until its return on the same vCPU; a trap is a moment.
 */
#include "trace/analysis/build.h"

#include <string.h>

static TraceGuest *add_guest(Builder *b, const BuildEvent *event, BuildLane *lane,
                             TraceGuestKind kind, int64_t number, TraceAtom text)
{
    TraceGuest *guest;

    if (lane->guest[kind] && kind != TRACE_GUEST_SYSCALL) {
        b->model->guests[lane->guest[kind] - 1].end_ns = event->time_ns;
    }
    guest = BUILD_ADD(b, guests, n_guests);
    guest->time_ns = event->time_ns;
    guest->end_ns = TRACE_NO_TIME;
    guest->number = number;
    guest->text = text;
    guest->lane = lane->id;
    guest->kind = (uint8_t)kind;
    lane->guest[kind] = kind == TRACE_GUEST_TRAP ? 0 : b->model->n_guests;
    return guest;
}

static BuildLane *lane_of(Builder *b, const BuildEvent *event)
{
    return build_vcpu(b, event->source, (int64_t)event->values[0]);
}

enum { TASK_CPU, TASK_PID, TASK_COMM };

static void on_task(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = lane_of(b, event);

    if (lane) {
        add_guest(b, event, lane, TRACE_GUEST_TASK, (int32_t)event->values[TASK_PID],
                  (TraceAtom)event->values[TASK_COMM]);
    }
}

enum { PRIV_CPU, PRIV_TO };

static void on_priv(Builder *b, const BuildEvent *event)
{
    static const char *const levels[] = { "user", "supervisor", "hypervisor", "machine" };
    TraceAtom text = (TraceAtom)event->values[PRIV_TO];
    BuildLane *lane = lane_of(b, event);
    int64_t level = -1;

    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(atoms_text(b->atoms, text), levels[i]) == 0) {
            level = i;
        }
    }
    if (lane) {
        add_guest(b, event, lane, TRACE_GUEST_MODE, level, text);
    }
}

enum { CALL_CPU, CALL_NR, CALL_NAME, CALL_DURATION };

static void on_syscall_enter(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = lane_of(b, event);

    if (lane) {
        add_guest(b, event, lane, TRACE_GUEST_SYSCALL, (int64_t)event->values[CALL_NR],
                  (TraceAtom)event->values[CALL_NAME]);
    }
}

static void on_syscall_exit(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = lane_of(b, event);
    TraceGuest *guest;

    if (!lane) {
        return;
    }
    guest = lane->guest[TRACE_GUEST_SYSCALL]
                ? &b->model->guests[lane->guest[TRACE_GUEST_SYSCALL] - 1]
                : NULL;
    if (!guest || guest->number != (int64_t)event->values[CALL_NR]) {
        /* It was called before the trace, or its task was on another vCPU then. */
        guest = add_guest(b, event, lane, TRACE_GUEST_SYSCALL, (int64_t)event->values[CALL_NR],
                          (TraceAtom)event->values[CALL_NAME]);
        guest->time_ns = event->time_ns - (int64_t)event->values[CALL_DURATION];
    }
    guest->end_ns = event->time_ns;
    lane->guest[TRACE_GUEST_SYSCALL] = 0;
}

enum { TRAP_CPU, TRAP_CAUSE, TRAP_NAME };

static void on_trap(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = lane_of(b, event);

    if (lane) {
        add_guest(b, event, lane, TRACE_GUEST_TRAP, (int64_t)event->values[TRAP_CAUSE],
                  (TraceAtom)event->values[TRAP_NAME]);
    }
}

enum { SATP_CPU, SATP_MODE, SATP_ASID, SATP_PPN };

/* The text names the mode and the ASID; the number is the root table's page. */
static void on_satp(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = lane_of(b, event);
    TraceAtom text;

    if (lane) {
        text = atoms_add_printf(b->atoms, "%s, ASID %u",
                                atoms_text(b->atoms, (TraceAtom)event->values[SATP_MODE]),
                                (unsigned)event->values[SATP_ASID]);
        add_guest(b, event, lane, TRACE_GUEST_SATP, (int64_t)event->values[SATP_PPN], text);
    }
}

void build_guest_finish(Builder *b)
{
    for (unsigned i = 0; i < b->lanes->len; i++) {
        BuildLane *lane = g_ptr_array_index(b->lanes, i);

        for (unsigned kind = 0; kind < G_N_ELEMENTS(lane->guest); kind++) {
            if (lane->guest[kind] && kind != TRACE_GUEST_SYSCALL) {
                b->model->guests[lane->guest[kind] - 1].end_ns = lane->lane.end_ns;
            }
        }
    }
}

const Handler build_guest_handlers[] = {
    { "guest:task_switch", { "cpu", "pid", "comm" }, on_task },
    { "guest:task_rename", { "cpu", "pid", "comm" }, on_task },
    { "guest:priv", { "cpu", "to" }, on_priv },
    { "guest:syscall_enter", { "cpu", "nr", "name" }, on_syscall_enter },
    { "guest:syscall_exit", { "cpu", "nr", "name", "duration_ns" }, on_syscall_exit },
    { "guest:trap", { "cpu", "cause", "name" }, on_trap },
    { "guest:satp", { "cpu", "mode", "asid", "ppn" }, on_satp },
    { "guest:kernel", { "banner", "layout" }, NULL, true },
    { NULL },
};
