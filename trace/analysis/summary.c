/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace summary`: what is in a trace, how much of it is missing, and where the vCPUs' time
 * went, on one screen.
 */
#include "trace/analysis/commands.h"

#include <inttypes.h>
#include <math.h>

#include "trace/analysis/stats.h"

/* ---- Facts. */

/* Time a lane spent in each state, ns. */
static void state_times(const TraceModel *model, const TraceLane *lane,
                        double ns[TRACE_STATE_COUNT])
{
    for (int i = 0; i < TRACE_STATE_COUNT; i++) {
        ns[i] = 0;
    }
    for (size_t i = 0; i < lane->states_n; i++) {
        const TraceStateSpan *span = &model->states[lane->states_first + i];

        ns[span->state] += (double)(span->end_ns - span->begin_ns);
    }
}

static const struct {
    const char *name;
    size_t n;
} table_names[] = {
    { "state intervals", offsetof(TraceModel, n_states) },
    { "kicks", offsetof(TraceModel, n_kicks) },
    { "wake-ups", offsetof(TraceModel, n_wakes) },
    { "work items", offsetof(TraceModel, n_works) },
    { "exclusive sections", offsetof(TraceModel, n_exclusives) },
    { "lock waits and holds", offsetof(TraceModel, n_locks) },
    { "accelerator ops", offsetof(TraceModel, n_ops) },
    { "TLB flushes", offsetof(TraceModel, n_flushes) },
    { "TLB refills", offsetof(TraceModel, n_refills) },
    { "interrupts", offsetof(TraceModel, n_irqs) },
    { "timers", offsetof(TraceModel, n_timers) },
    { "device accesses", offsetof(TraceModel, n_accesses) },
    { "guest records", offsetof(TraceModel, n_guests) },
};

static size_t table_length(const TraceModel *model, unsigned i)
{
    return *(const size_t *)((const char *)model + table_names[i].n);
}

/* ---- For people. */

static void print_sources(const TraceModel *model, FILE *out)
{
    char duration[DURATION_SIZE];

    for (size_t i = 0; i < model->n_sources; i++) {
        const TraceSource *source = &model->sources[i];
        const char *recorder = trace_model_text(model, source->recorder);

        fprintf(out, "%s: recorded by %s", trace_model_text(model, source->path),
                !*recorder                           ? "an unknown tracer"
                : g_str_equal(recorder, "orrery")    ? "Orrery"
                : g_str_equal(recorder, "lttng-ust") ? "LTTng-UST"
                                                     : recorder);
        if (*trace_model_text(model, source->host)) {
            fprintf(out, " on %s", trace_model_text(model, source->host));
        }
        if (source->pid >= 0) {
            fprintf(out, ", process %" PRId64, source->pid);
        }
        fprintf(out, "%s\n", source->flight ? ", a flight recording" : "");
        if (source->truncated) {
            fprintf(out, "  its last packet was cut off: read as far as it goes\n");
        }
    }
    fprintf(out, "%" PRIu64 " events in %s", model->n_events,
            format_duration(duration, (double)(model->end_ns - model->begin_ns)));
    if (model->n_losses) {
        fprintf(out, "; %" PRIu64 " MORE ARE LOST, at %zu place%s", model->n_lost, model->n_losses,
                model->n_losses == 1 ? "" : "s");
    } else {
        fprintf(out, ", none lost");
    }
    fputs("\n", out);
}

static void print_lanes(const TraceModel *model, FILE *out)
{
    Table *table = table_create("<vCPU\t<accelerator\tevents\trunning\thalted\tdevice\tlock-wait\t"
                                "exclusive*\tother\tunknown");

    for (size_t i = 0; i < model->n_vcpus; i++) {
        const TraceLane *lane = &model->lanes[i];
        double ns[TRACE_STATE_COUNT], total = 0, columns[6];

        state_times(model, lane, ns);
        for (int s = 0; s < TRACE_STATE_COUNT; s++) {
            total += ns[s];
        }
        columns[0] = ns[TRACE_STATE_RUNNING];
        columns[1] = ns[TRACE_STATE_HALTED];
        columns[2] = ns[TRACE_STATE_DEVICE];
        columns[3] = ns[TRACE_STATE_LOCK_WAIT];
        columns[4] = ns[TRACE_STATE_EXCLUSIVE] + ns[TRACE_STATE_EXCLUSIVE_WAIT];
        columns[5] = total - ns[TRACE_STATE_UNKNOWN];
        for (int c = 0; c < 5; c++) {
            columns[5] -= columns[c];
        }
        table_cell(table, "%s", trace_model_lane_name(model, (TraceLaneId)i));
        table_cell(table, "%s", trace_model_text(model, lane->accel));
        table_cell(table, "%" PRIu64, lane->n_events);
        for (int c = 0; c < 6; c++) {
            if (total > 0) {
                table_cell(table, "%.1f%%", 100 * columns[c] / total);
            } else {
                table_cell(table, "-");
            }
        }
        if (total > 0) {
            table_cell(table, "%.1f%%", 100 * ns[TRACE_STATE_UNKNOWN] / total);
        } else {
            table_cell(table, "-");
        }
    }
    fputs("\n", out);
    table_print(table, out);
}

static void print_events(const TraceModel *model, const CommandOptions *options, FILE *out)
{
    Table *table = table_create("<event\tcount\tper second\t<");
    double seconds = (double)(model->end_ns - model->begin_ns) / 1e9;
    g_autofree bool *printed = g_new0(bool, model->n_events_known + 1);
    size_t rows = options->limit ? options->limit : SIZE_MAX, left = 0;

    for (size_t row = 0; row < model->n_events_known; row++) {
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < model->n_events_known; i++) {
            if (!printed[i] &&
                (best == SIZE_MAX || model->events[i].count > model->events[best].count)) {
                best = i;
            }
        }
        printed[best] = true;
        if (!model->events[best].count) {
            break;
        }
        if (row >= rows) {
            left++;
            continue;
        }
        table_cell(table, "%s", trace_model_text(model, model->events[best].event));
        table_cell(table, "%" PRIu64, model->events[best].count);
        if (seconds > 0) {
            table_cell(table, "%.3g", (double)model->events[best].count / seconds);
        } else {
            table_cell(table, "-");
        }
        table_cell(table, "%s", model->events[best].known ? "" : "not known to this orrery-trace");
    }
    fputs("\n", out);
    table_print(table, out);
    if (left) {
        fprintf(out, "  and %zu rarer ones (--limit 0 prints all)\n", left);
    }
}

static void print_moments(const TraceModel *model, const CommandOptions *options, FILE *out)
{
    Table *table = table_create("time\t<event\t<on\t<");
    size_t rows = options->limit ? options->limit : SIZE_MAX;

    for (size_t i = 0; i < model->n_moments && i < rows; i++) {
        const TraceMoment *moment = &model->moments[i];

        table_cell(table, "%.6f s", (double)moment->time_ns / 1e9);
        table_cell(table, "%s", trace_model_text(model, moment->event));
        table_cell(table, "%s", trace_model_lane_name(model, moment->lane));
        table_cell(table, "%s", trace_model_text(model, moment->text));
    }
    fputs("\n", out);
    table_print(table, out);
    if (model->n_moments > rows) {
        fprintf(out, "  and %zu later ones (--limit 0 prints all)\n", model->n_moments - rows);
    }
}

/* ---- For scripts. */

static void print_json(const TraceModel *model, FILE *out)
{
    Json *json = json_create(out);

    json_begin_object(json, NULL);
    json_begin_array(json, "sources");
    for (size_t i = 0; i < model->n_sources; i++) {
        const TraceSource *source = &model->sources[i];

        json_begin_object(json, NULL);
        json_text(json, "path", trace_model_text(model, source->path));
        json_text(json, "recorder", trace_model_text(model, source->recorder));
        json_text(json, "host", trace_model_text(model, source->host));
        json_int(json, "pid", source->pid);
        json_bool(json, "flight", source->flight);
        json_bool(json, "truncated", source->truncated);
        json_end(json);
    }
    json_end(json);
    json_int(json, "epoch_ns", model->epoch_ns);
    json_int(json, "begin_ns", model->begin_ns);
    json_int(json, "end_ns", model->end_ns);
    json_uint(json, "events", model->n_events);
    json_uint(json, "lost", model->n_lost);
    json_begin_array(json, "losses");
    for (size_t i = 0; i < model->n_losses; i++) {
        json_begin_object(json, NULL);
        json_int(json, "begin_ns", model->losses[i].begin_ns);
        json_int(json, "end_ns", model->losses[i].end_ns);
        json_uint(json, "count", model->losses[i].count);
        json_text(json, "lane", trace_model_lane_name(model, model->losses[i].lane));
        json_end(json);
    }
    json_end(json);
    json_begin_array(json, "lanes");
    for (size_t i = 0; i < model->n_lanes; i++) {
        const TraceLane *lane = &model->lanes[i];
        double ns[TRACE_STATE_COUNT];

        state_times(model, lane, ns);
        json_begin_object(json, NULL);
        json_text(json, "name", trace_model_lane_name(model, (TraceLaneId)i));
        json_text(json, "kind", lane->kind == TRACE_LANE_VCPU ? "vcpu" : "thread");
        json_int(json, "cpu", lane->cpu);
        json_int(json, "tid", lane->tid);
        json_text(json, "accel", trace_model_text(model, lane->accel));
        json_uint(json, "events", lane->n_events);
        json_begin_object(json, "states_ns");
        for (int s = 0; s < TRACE_STATE_COUNT; s++) {
            if (ns[s] > 0) {
                json_real(json, trace_state_name((TraceState)s), ns[s]);
            }
        }
        json_end(json);
        json_end(json);
    }
    json_end(json);
    json_begin_object(json, "event_counts");
    for (size_t i = 0; i < model->n_events_known; i++) {
        json_uint(json, trace_model_text(model, model->events[i].event), model->events[i].count);
    }
    json_end(json);
    json_begin_object(json, "records");
    for (unsigned i = 0; i < G_N_ELEMENTS(table_names); i++) {
        json_uint(json, table_names[i].name, table_length(model, i));
    }
    json_end(json);
    json_uint(json, "model_bytes", model->memory_bytes);
    json_end(json);
    json_close(json);
}

bool command_summary(const TraceModel *model, const CommandOptions *options, FILE *out,
                     GError **error)
{
    const char *before = "";

    if (options->json) {
        print_json(model, out);
        return true;
    }
    print_sources(model, out);
    for (unsigned i = 0; i < G_N_ELEMENTS(table_names); i++) {
        if (table_length(model, i)) {
            fprintf(out, "%s%zu %s", before, table_length(model, i), table_names[i].name);
            before = ", ";
        }
    }
    fputs("\n", out);
    print_lanes(model, out);
    print_events(model, options, out);
    print_moments(model, options, out);
    return true;
}
