/* SPDX-License-Identifier: MIT */
/*
 * The vCPU state account: where each vCPU's time went. One function changes the state; intervals are
 * kept in host ticks and become nanoseconds when read, by the rate seen over the vCPU's own life,
 * so that the parts add up to its age.
 */
#include "src/cpus/internal.h"

#include <inttypes.h>

#include "trace/trace-cpus.h"

static const char *const state_names[VCPU_STATE_COUNT] = {
    [VCPU_STATE_CREATED] = "created",
    [VCPU_STATE_STOPPED] = "stopped",
    [VCPU_STATE_RUNNING] = "running",
    [VCPU_STATE_EXIT] = "exit",
    [VCPU_STATE_DEVICE] = "device",
    [VCPU_STATE_LOCK_WAIT] = "lock-wait",
    [VCPU_STATE_EXCLUSIVE_WAIT] = "exclusive-wait",
    [VCPU_STATE_EXCLUSIVE] = "exclusive",
    [VCPU_STATE_HALTED] = "halted",
    [VCPU_STATE_THROTTLED] = "throttled",
    [VCPU_STATE_UNPLUGGED] = "unplugged",
};

const char *vcpu_state_name(VcpuState state)
{
    return (unsigned)state < VCPU_STATE_COUNT ? state_names[state] : "unknown";
}

void vcpu_sched_init(Vcpu *vcpu)
{
    VcpuSched *sched = &vcpu->sched;

    sched->born = host_tick_mark();
    sched->since_ticks = sched->born.ticks;
    sched->state = VCPU_STATE_CREATED;
    sched->entries[VCPU_STATE_CREATED] = 1;
}

void vcpu_set_state(Vcpu *vcpu, VcpuState state, const char *reason)
{
    VcpuSched *sched = &vcpu->sched;
    uint32_t from = sched->state;
    uint64_t now;

    if (from == (uint32_t)state) {
        return;
    }
    now = host_ticks();
    /* Counters of two cores may differ by a little when the thread has moved. */
    if (G_UNLIKELY((int64_t)(now - sched->since_ticks) < 0)) {
        now = sched->since_ticks;
    }
    orr_seqlock_write_begin(&sched->lock);
    orr_store_release(&sched->ticks[from], sched->ticks[from] + (now - sched->since_ticks));
    orr_store_release(&sched->entries[state], sched->entries[state] + 1);
    orr_store_release(&sched->since_ticks, now);
    orr_store_release(&sched->state, (uint32_t)state);
    orr_seqlock_write_end(&sched->lock);
    trace_cpus_vcpu_state(vcpu->accel.index, state_names[from], state_names[state], reason);
}

void vcpu_sched_read(Vcpu *vcpu, VcpuSchedInfo *info)
{
    VcpuSched *sched = &vcpu->sched;
    uint64_t ticks[VCPU_STATE_COUNT];
    uint64_t since;
    uint32_t start;
    HostTickMark now;

    do {
        start = orr_seqlock_read_begin(&sched->lock);
        for (int i = 0; i < VCPU_STATE_COUNT; i++) {
            ticks[i] = orr_load_acquire(&sched->ticks[i]);
            info->entries[i] = orr_load_acquire(&sched->entries[i]);
        }
        since = orr_load_acquire(&sched->since_ticks);
        info->state = (VcpuState)orr_load_acquire(&sched->state);
    } while (orr_seqlock_read_retry(&sched->lock, start));
    now = host_tick_mark();
    if ((int64_t)(now.ticks - since) > 0) {
        ticks[info->state] += now.ticks - since;
    }
    info->total_ns = 0;
    for (int i = 0; i < VCPU_STATE_COUNT; i++) {
        info->ns[i] = host_ticks_to_ns(ticks[i], &sched->born, &now);
        info->total_ns += info->ns[i];
    }
}

void cpus_print_sched(Cpus *cpus, GString *out)
{
    bool used[VCPU_STATE_COUNT] = { false };
    Vcpu *vcpu;

    g_string_append(out, "vCPU states, ms (share of the vCPU's age; times entered)\n");
    CPUS_FOREACH(cpus, vcpu)
    {
        VcpuSchedInfo info;

        vcpu_sched_read(vcpu, &info);
        for (int i = 0; i < VCPU_STATE_COUNT; i++) {
            used[i] |= info.ns[i] > 0;
        }
    }
    g_string_append_printf(out, "%-16s", "state");
    CPUS_FOREACH(cpus, vcpu)
    {
        g_autofree char *title = g_strdup_printf("cpu %u", vcpu->accel.index);

        g_string_append_printf(out, "  %-28s", title);
    }
    g_string_append_c(out, '\n');
    for (int i = 0; i < VCPU_STATE_COUNT; i++) {
        if (!used[i]) {
            continue;
        }
        g_string_append_printf(out, "%-16s", state_names[i]);
        CPUS_FOREACH(cpus, vcpu)
        {
            VcpuSchedInfo info;
            g_autofree char *cell = NULL;

            vcpu_sched_read(vcpu, &info);
            cell = g_strdup_printf(
                "%.3f (%.1f%%; %" PRIu64 ")", (double)info.ns[i] / 1e6,
                info.total_ns ? 100.0 * (double)info.ns[i] / (double)info.total_ns : 0.0,
                info.entries[i]);
            g_string_append_printf(out, "  %-28s", cell);
        }
        g_string_append_c(out, '\n');
    }
    g_string_append_printf(out, "%-16s", "age");
    CPUS_FOREACH(cpus, vcpu)
    {
        VcpuSchedInfo info;
        g_autofree char *cell = NULL;

        vcpu_sched_read(vcpu, &info);
        cell = g_strdup_printf("%.3f", (double)info.total_ns / 1e6);
        g_string_append_printf(out, "  %-28s", cell);
    }
    g_string_append_c(out, '\n');
}
