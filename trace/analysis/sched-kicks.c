/* SPDX-License-Identifier: MIT */
/*
 * Sections of `orrery-trace sched`: what kicks, locks, work, interrupts and timers cost, and whose they
 * are. The idea to hold: a latency is from a kick to its effect, and there are two, of a vCPU that
 * slept and of one in guest code; a kick that found its vCPU awake and outside has none.
 */
#include "trace/analysis/sched-kicks.h"

#include <math.h>

int sched_kick_kind(const TraceKick *kick)
{
    if (kick->merged || kick->taken_ns == TRACE_NO_TIME) {
        return 0;
    }
    switch (kick->state) {
    case TRACE_STATE_HALTED:
        return 1;
    case TRACE_STATE_RUNNING:
    case TRACE_STATE_DEVICE:
    case TRACE_STATE_LOCK_WAIT:
    case TRACE_STATE_EXCLUSIVE_WAIT:
        /* Waiting outside guest code: nothing had to be left. */
        return kick->taken_ns == kick->sent_ns ? 0 : 2;
    default:
        return 0;
    }
}

static void label_lane(const TraceModel *model, Group *group, TraceLaneId lane, TraceAtom text)
{
    if (!group->label) {
        group->label = g_strdup_printf("%s\t%s", trace_model_lane_name(model, lane),
                                       trace_model_text(model, text));
    }
}

static void label_text(const TraceModel *model, Group *group, TraceAtom text)
{
    if (!group->label) {
        group->label = g_strdup(trace_model_text(model, text));
    }
}

void sched_latencies(const Report *report)
{
    static const char *const keys[] = { NULL, "wakeup_latency", "preemption_latency" };
    static const char *const titles[] = {
        NULL, "Wake-up latency: from the kick of a halted vCPU until its thread is awake",
        "Preemption latency: from the kick of a vCPU in guest code until it is out"
    };
    static const char *const by_titles[] = { NULL, "Wake-up latency by vCPU and cause",
                                             "Preemption latency by vCPU and cause" };
    static const char *const by_keys[] = { NULL, "wakeup_by_cause", "preemption_by_cause" };
    const TraceModel *model = report->model;

    for (int kind = 1; kind <= 2; kind++) {
        Groups groups = groups_create();
        Stats all = { 0 };

        for (size_t i = 0; i < model->n_kicks; i++) {
            const TraceKick *kick = &model->kicks[i];

            if (sched_kick_kind(kick) == kind) {
                Group *group = groups_get(&groups, kick->target, kick->cause);

                label_lane(model, group, kick->target, kick->cause);
                stats_add(&group->first, (double)(kick->taken_ns - kick->sent_ns));
                stats_add(&all, (double)(kick->taken_ns - kick->sent_ns));
            }
        }
        report_sample(report, keys[kind], titles[kind], &all);
        report_groups(report, by_keys[kind], by_titles[kind], "<vcpu\t<cause", "latency",
                      REPORT_FIRST, &groups);
        stats_clear(&all);
        groups_clear(&groups);
    }
}

/* ---- Who kicks whom. */

static void print_matrix(const Report *report, const size_t *counts, size_t side)
{
    const TraceModel *model = report->model;
    g_autoptr(GString) header = g_string_new("<from \\ to");
    Table *table;

    for (size_t to = 0; to < model->n_vcpus; to++) {
        g_string_append_printf(header, "\t%s", trace_model_lane_name(model, (TraceLaneId)to));
    }
    table = table_create(header->str);
    for (size_t from = 0; from < side; from++) {
        size_t sum = 0;

        for (size_t to = 0; to < model->n_vcpus; to++) {
            sum += counts[from * model->n_vcpus + to];
        }
        if (!sum) {
            continue;
        }
        table_cell(
            table, "%s",
            trace_model_lane_name(model, from + 1 < side ? (TraceLaneId)from : TRACE_NO_LANE));
        for (size_t to = 0; to < model->n_vcpus; to++) {
            size_t count = counts[from * model->n_vcpus + to];

            if (count) {
                table_cell(table, "%zu", count);
            } else {
                table_cell(table, ".");
            }
        }
    }
    report_title(report, "Kicks, from whom to whom");
    table_print(table, report->out);
}

void sched_kicks(const Report *report)
{
    const TraceModel *model = report->model;
    size_t side = model->n_lanes + 1, outside = 0, merged = 0, pending = 0;
    g_autofree size_t *counts = g_new0(size_t, side * model->n_vcpus + 1);
    Groups groups = groups_create();

    for (size_t i = 0; i < model->n_kicks; i++) {
        const TraceKick *kick = &model->kicks[i];
        TraceLaneId from =
            kick->kicker == TRACE_NO_LANE ? (TraceLaneId)model->n_lanes : kick->kicker;
        Group *group =
            groups_get(&groups, (uint64_t)kick->kicker << 16 | kick->target, kick->cause);

        if (!group->label) {
            group->label = g_strdup_printf("%s\t%s\t%s", trace_model_lane_name(model, kick->kicker),
                                           trace_model_lane_name(model, kick->target),
                                           trace_model_text(model, kick->cause));
        }
        group->count++;
        if (sched_kick_kind(kick)) {
            stats_add(&group->second, (double)(kick->taken_ns - kick->sent_ns));
        }
        counts[(size_t)from * model->n_vcpus + kick->target]++;
        pending += kick->taken_ns == TRACE_NO_TIME;
        merged += kick->merged;
        outside += kick->taken_ns == kick->sent_ns;
    }
    if (!report->json && model->n_kicks) {
        print_matrix(report, counts, side);
        report_note(report,
                    "%zu kicks; %zu found their vCPU awake and outside guest code, %zu were taken "
                    "together with an earlier one, %zu have no end in the trace",
                    model->n_kicks, outside, merged, pending);
    } else if (report->json) {
        json_uint(report->json, "kicks", model->n_kicks);
        json_uint(report->json, "kicks_outside", outside);
        json_uint(report->json, "kicks_merged", merged);
        json_uint(report->json, "kicks_pending", pending);
    }
    report_groups(report, "kick_matrix", "Kicks by cause", "<from\t<to\t<cause", "", REPORT_COUNT,
                  &groups);
    groups_clear(&groups);
}

/* ---- Locks, work, interrupts. */

void sched_locks(const Report *report)
{
    const TraceModel *model = report->model;
    Groups groups = groups_create(), sections = groups_create();

    for (size_t i = 0; i < model->n_locks; i++) {
        const TraceLock *lock = &model->locks[i];
        Group *group = groups_get(&groups, lock->site, 0);

        label_text(model, group, lock->site);
        stats_add(lock->hold ? &group->second : &group->first,
                  (double)(lock->end_ns - lock->begin_ns));
    }
    report_groups(report, "machine_lock", "The machine lock by call site: waits, and times held",
                  "<site", "waited\theld", REPORT_BOTH, &groups);
    for (size_t i = 0; i < model->n_exclusives; i++) {
        const TraceExclusive *section = &model->exclusives[i];
        Group *group = groups_get(&sections, section->lane, 0);

        if (!group->label) {
            group->label = g_strdup(trace_model_lane_name(model, section->lane));
        }
        stats_add(&group->first, (double)(section->begin_ns - section->asked_ns));
        if (section->end_ns != TRACE_NO_TIME) {
            stats_add(&group->second, (double)(section->end_ns - section->begin_ns));
        }
    }
    report_groups(report, "exclusive",
                  "Exclusive sections: waits until all others were out, and times held", "<by",
                  "waited\theld", REPORT_BOTH, &sections);
    groups_clear(&groups);
    groups_clear(&sections);
}

void sched_work(const Report *report)
{
    const TraceModel *model = report->model;
    Groups groups = groups_create();

    for (size_t i = 0; i < model->n_works; i++) {
        const TraceWork *work = &model->works[i];
        Group *group = groups_get(&groups, (uint64_t)work->from << 16 | work->lane, work->kind);

        if (!group->label) {
            group->label = g_strdup_printf("%s\t%s\t%s", trace_model_lane_name(model, work->from),
                                           trace_model_lane_name(model, work->lane),
                                           trace_model_text(model, work->kind));
        }
        if (work->begin_ns != TRACE_NO_TIME) {
            stats_add(&group->first, (double)(work->begin_ns - work->queued_ns));
            stats_add(&group->second, (double)(work->end_ns - work->begin_ns));
        } else {
            group->count++;
        }
    }
    report_groups(report, "work", "Work items: time in the queue, and time run",
                  "<from\t<on\t<kind", "queued\trun", REPORT_BOTH, &groups);
    groups_clear(&groups);
}

void sched_interrupts(const Report *report)
{
    const TraceModel *model = report->model;
    Groups irqs = groups_create(), timers = groups_create();

    for (size_t i = 0; i < model->n_irqs; i++) {
        const TraceIrq *irq = &model->irqs[i];

        if (irq->lane != TRACE_NO_LANE && irq->deliver_ns != TRACE_NO_TIME) {
            Group *group = groups_get(&irqs, irq->lane, irq->device);

            label_lane(model, group, irq->lane, irq->device);
            stats_add(&group->first, (double)(irq->deliver_ns - irq->raise_ns));
        }
    }
    report_groups(report, "interrupts", "Interrupts, from pending until taken", "<vcpu\t<interrupt",
                  "latency", REPORT_FIRST, &irqs);
    for (size_t i = 0; i < model->n_timers; i++) {
        const TraceTimer *timer = &model->timers[i];

        if (timer->fired_ns != TRACE_NO_TIME) {
            Group *group = groups_get(&timers, timer->name, timer->clock);

            if (!group->label) {
                group->label = g_strdup_printf("%s\t%s", trace_model_text(model, timer->name),
                                               trace_model_text(model, timer->clock));
            }
            stats_add(&group->first, (double)timer->lateness_ns);
        }
    }
    report_groups(report, "timers", "Timers: how late they fired", "<timer\t<clock", "lateness",
                  REPORT_FIRST, &timers);
    groups_clear(&irqs);
    groups_clear(&timers);
}
