/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace sched`: how the vCPUs were scheduled. The account of states with its sum against the
 * time that passed, the longest waits with the place where each is, and the sections of
 * sched-kicks.c.
 */
#include "trace/analysis/sched-kicks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* ---- States. */

typedef struct LaneStates {
    Stats states[TRACE_STATE_COUNT];
    double sum_ns;
    double wall_ns; /* from its first state's begin to its last one's end */
    double unknown_ns;
} LaneStates;

static void gather_lane(const TraceModel *model, const TraceLane *lane, LaneStates *out)
{
    const TraceStateSpan *spans = &model->states[lane->states_first];

    *out = (LaneStates){ 0 };
    for (size_t i = 0; i < lane->states_n; i++) {
        double ns = (double)(spans[i].end_ns - spans[i].begin_ns);

        stats_add(&out->states[spans[i].state], ns);
        out->sum_ns += ns;
    }
    if (lane->states_n) {
        out->wall_ns = (double)(spans[lane->states_n - 1].end_ns - spans[0].begin_ns);
    }
    out->unknown_ns = out->states[TRACE_STATE_UNKNOWN].total;
}

static void print_lane(const Report *report, TraceLaneId id, LaneStates *lane)
{
    Table *table = table_create("<state\ttime\tshare\tentered\tmedian\tp99\tlongest");
    char sum[DURATION_SIZE], wall[DURATION_SIZE], unknown[DURATION_SIZE];

    report_title(report, "%s", trace_model_lane_name(report->model, id));
    for (int s = 0; s < TRACE_STATE_COUNT; s++) {
        Stats *stats = &lane->states[s];

        if (stats->n) {
            table_cell(table, "%s", trace_state_name((TraceState)s));
            table_duration(table, stats->total);
            table_cell(table, "%.2f%%", lane->sum_ns > 0 ? 100 * stats->total / lane->sum_ns : 0);
            table_cell(table, "%zu", stats->n);
            table_duration(table, stats_percentile(stats, 0.5));
            table_duration(table, stats_percentile(stats, 0.99));
            table_duration(table, stats_max(stats));
        }
    }
    table_print(table, report->out);
    report_note(report, "sum %s of %s that passed (%.2f%%)", format_duration(sum, lane->sum_ns),
                format_duration(wall, lane->wall_ns),
                lane->wall_ns > 0 ? 100 * lane->sum_ns / lane->wall_ns : 100);
    if (lane->unknown_ns > 0) {
        report_note(report,
                    "%s of it (%.2f%%) is unknown: events are missing there, and what the vCPU did "
                    "cannot be told",
                    format_duration(unknown, lane->unknown_ns),
                    100 * lane->unknown_ns / lane->sum_ns);
    }
}

static void lane_as_json(const Report *report, TraceLaneId id, LaneStates *lane)
{
    Json *json = report->json;

    json_begin_object(json, NULL);
    json_text(json, "name", trace_model_lane_name(report->model, id));
    json_int(json, "cpu", report->model->lanes[id].cpu);
    json_begin_object(json, "states");
    for (int s = 0; s < TRACE_STATE_COUNT; s++) {
        if (lane->states[s].n) {
            stats_json(&lane->states[s], json, trace_state_name((TraceState)s));
        }
    }
    json_end(json);
    json_real(json, "sum_ns", lane->sum_ns);
    json_real(json, "wall_ns", lane->wall_ns);
    json_real(json, "unknown_ns", lane->unknown_ns);
    json_end(json);
}

static void report_states(const Report *report)
{
    if (report->json) {
        json_begin_array(report->json, "vcpus");
    }
    for (size_t i = 0; i < report->model->n_vcpus; i++) {
        LaneStates lane;

        gather_lane(report->model, &report->model->lanes[i], &lane);
        if (report->json) {
            lane_as_json(report, (TraceLaneId)i, &lane);
        } else if (report->model->lanes[i].states_n) {
            print_lane(report, (TraceLaneId)i, &lane);
        }
        for (int s = 0; s < TRACE_STATE_COUNT; s++) {
            stats_clear(&lane.states[s]);
        }
    }
    if (report->json) {
        json_end(report->json);
    }
}

/* ---- The longest waits. */

typedef struct Wait {
    int64_t begin_ns;
    int64_t ns;
    const char *what;
    TraceAtom why;
    TraceLaneId lane;
    TraceLaneId by;
} Wait;

static void add_wait(GArray *waits, int64_t begin_ns, int64_t end_ns, const char *what,
                     TraceAtom why, TraceLaneId lane, TraceLaneId by)
{
    Wait wait = { begin_ns, end_ns - begin_ns, what, why, lane, by };

    if (end_ns > begin_ns) {
        g_array_append_val(waits, wait);
    }
}

static int compare_waits(const void *a, const void *b)
{
    const Wait *x = a, *y = b;

    if (x->ns != y->ns) {
        return x->ns > y->ns ? -1 : 1;
    }
    return x->begin_ns < y->begin_ns ? -1 : x->begin_ns > y->begin_ns;
}

static GArray *gather_waits(const TraceModel *model)
{
    GArray *waits = g_array_new(FALSE, FALSE, sizeof(Wait));

    for (size_t i = 0; i < model->n_states; i++) {
        const TraceStateSpan *span = &model->states[i];

        if (span->state == TRACE_STATE_LOCK_WAIT || span->state == TRACE_STATE_EXCLUSIVE_WAIT ||
            span->state == TRACE_STATE_THROTTLED) {
            add_wait(waits, span->begin_ns, span->end_ns, trace_state_name(span->state),
                     span->reason, span->lane, TRACE_NO_LANE);
        }
    }
    for (size_t i = 0; i < model->n_kicks; i++) {
        const TraceKick *kick = &model->kicks[i];

        if (kick->taken_ns != TRACE_NO_TIME && !kick->merged &&
            kick->state != TRACE_STATE_STOPPED) {
            add_wait(waits, kick->sent_ns, kick->taken_ns,
                     kick->state == TRACE_STATE_HALTED ? "wake-up" : "leaving guest code",
                     kick->cause, kick->target, kick->kicker);
        }
    }
    for (size_t i = 0; i < model->n_works; i++) {
        const TraceWork *work = &model->works[i];

        if (work->begin_ns != TRACE_NO_TIME) {
            add_wait(waits, work->queued_ns, work->begin_ns, "work queued", work->kind, work->lane,
                     work->from);
        }
    }
    for (size_t i = 0; i < model->n_irqs; i++) {
        const TraceIrq *irq = &model->irqs[i];

        if (irq->deliver_ns != TRACE_NO_TIME) {
            add_wait(waits, irq->raise_ns, irq->deliver_ns, "interrupt pending", irq->device,
                     irq->lane, irq->from);
        }
    }
    if (waits->len) {
        qsort(waits->data, waits->len, sizeof(Wait), compare_waits);
    }
    return waits;
}

static void report_waits(const Report *report)
{
    const TraceModel *model = report->model;
    GArray *waits = gather_waits(model);
    guint limit = report->options->limit ? report->options->limit : waits->len;
    Table *table = table_create("lasted\t<on\t<what\t<why\t<by\t<from");

    if (report->json) {
        json_begin_array(report->json, "longest_waits");
    }
    for (guint i = 0; i < waits->len && i < limit; i++) {
        const Wait *wait = &g_array_index(waits, Wait, i);

        if (report->json) {
            json_begin_object(report->json, NULL);
            json_int(report->json, "begin_ns", wait->begin_ns);
            json_int(report->json, "duration_ns", wait->ns);
            json_text(report->json, "on", trace_model_lane_name(model, wait->lane));
            json_text(report->json, "what", wait->what);
            json_text(report->json, "why", trace_model_text(model, wait->why));
            json_text(report->json, "by", trace_model_lane_name(model, wait->by));
            json_end(report->json);
            continue;
        }
        table_duration(table, (double)wait->ns);
        table_cell(table, "%s", trace_model_lane_name(model, wait->lane));
        table_cell(table, "%s", wait->what);
        table_cell(table, "%s", trace_model_text(model, wait->why));
        table_cell(table, "%s",
                   wait->by == TRACE_NO_LANE ? "" : trace_model_lane_name(model, wait->by));
        table_cell(table, "%.6f s", (double)wait->begin_ns / 1e9);
    }
    if (report->json) {
        json_end(report->json);
    } else if (waits->len) {
        report_title(report, "The longest waits (--from and --to show what was around one)");
    }
    table_print(table, report->out);
    g_array_unref(waits);
}

bool command_sched(const TraceModel *model, const CommandOptions *options, FILE *out,
                   GError **error)
{
    Report report;

    if (!model->n_states && !model->n_kicks && !model->n_locks && !model->n_wakes) {
        return tool_fail(
            error,
            "the trace, or the part asked for, has no event of vCPU scheduling: record with -trace "
            "'cpus:*' (and enable orrery_cpus:* in LTTng)");
    }
    report = report_begin(model, options, out);
    report_states(&report);
    sched_latencies(&report);
    sched_kicks(&report);
    sched_locks(&report);
    sched_work(&report);
    sched_interrupts(&report);
    report_waits(&report);
    report_end(&report);
    return true;
}
