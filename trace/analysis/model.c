/* SPDX-License-Identifier: MIT */
/*
 * Loading a model: the reader's events through the builder, then lanes into their final order, tables
 * into the order of time, and what the options leave out away. Nothing after that writes to it.
 */
#include "trace/analysis/model.h"

#include <string.h>

#include "trace/analysis/build.h"
#include "trace/analysis/text.h"

static const char *const state_names[TRACE_STATE_COUNT] = {
    [TRACE_STATE_CREATED] = "created",
    [TRACE_STATE_STOPPED] = "stopped",
    [TRACE_STATE_RUNNING] = "running",
    [TRACE_STATE_EXIT] = "exit",
    [TRACE_STATE_DEVICE] = "device",
    [TRACE_STATE_LOCK_WAIT] = "lock-wait",
    [TRACE_STATE_EXCLUSIVE_WAIT] = "exclusive-wait",
    [TRACE_STATE_EXCLUSIVE] = "exclusive",
    [TRACE_STATE_HALTED] = "halted",
    [TRACE_STATE_THROTTLED] = "throttled",
    [TRACE_STATE_UNPLUGGED] = "unplugged",
    [TRACE_STATE_UNKNOWN] = "unknown",
};

const char *trace_state_name(TraceState state)
{
    return (unsigned)state < TRACE_STATE_COUNT ? state_names[state] : "unknown";
}

const char *trace_model_text(const TraceModel *model, TraceAtom atom)
{
    return atom < model->n_texts ? model->texts[atom] : "";
}

const char *trace_model_lane_name(const TraceModel *model, TraceLaneId lane)
{
    return lane < model->n_lanes ? trace_model_text(model, model->lanes[lane].title) : "?";
}

/* ---- The tables, each once: name, length, offsets of its lanes. ---- */

#define NO_FIELD SIZE_MAX

typedef struct TableInfo {
    size_t table; /* offset of the pointer in TraceModel */
    size_t n;     /* of its length */
    size_t record_bytes;
    size_t lanes[2]; /* of TraceLaneId in a record */
    size_t end_ns;   /* of the time at which a record is over; NO_FIELD: a moment */
} TableInfo;

#define TABLE(table_, n_, type_, lane_, lane2_, end_)                                              \
    {                                                                                              \
        offsetof(TraceModel, table_), offsetof(TraceModel, n_), sizeof(type_), { lane_, lane2_ },  \
            end_                                                                                   \
    }
#define AT(type_, field_) offsetof(type_, field_)

static const TableInfo tables[] = {
    TABLE(states, n_states, TraceStateSpan, AT(TraceStateSpan, lane), NO_FIELD,
          AT(TraceStateSpan, end_ns)),
    TABLE(kicks, n_kicks, TraceKick, AT(TraceKick, target), AT(TraceKick, kicker), NO_FIELD),
    TABLE(wakes, n_wakes, TraceWake, AT(TraceWake, lane), AT(TraceWake, waker), NO_FIELD),
    TABLE(works, n_works, TraceWork, AT(TraceWork, lane), AT(TraceWork, from),
          AT(TraceWork, end_ns)),
    TABLE(exclusives, n_exclusives, TraceExclusive, AT(TraceExclusive, lane), NO_FIELD,
          AT(TraceExclusive, end_ns)),
    TABLE(locks, n_locks, TraceLock, AT(TraceLock, lane), NO_FIELD, AT(TraceLock, end_ns)),
    TABLE(ops, n_ops, TraceOp, AT(TraceOp, lane), AT(TraceOp, target), AT(TraceOp, end_ns)),
    TABLE(flushes, n_flushes, TraceFlush, AT(TraceFlush, lane), AT(TraceFlush, from),
          AT(TraceFlush, execute_ns)),
    TABLE(refills, n_refills, TraceRefill, AT(TraceRefill, lane), NO_FIELD, NO_FIELD),
    TABLE(irqs, n_irqs, TraceIrq, AT(TraceIrq, lane), AT(TraceIrq, from), AT(TraceIrq, deliver_ns)),
    TABLE(timers, n_timers, TraceTimer, AT(TraceTimer, lane), NO_FIELD, AT(TraceTimer, fired_ns)),
    TABLE(accesses, n_accesses, TraceAccess, AT(TraceAccess, lane), NO_FIELD, NO_FIELD),
    TABLE(guests, n_guests, TraceGuest, AT(TraceGuest, lane), NO_FIELD, AT(TraceGuest, end_ns)),
    TABLE(moments, n_moments, TraceMoment, AT(TraceMoment, lane), NO_FIELD, NO_FIELD),
    TABLE(losses, n_losses, TraceLoss, AT(TraceLoss, lane), NO_FIELD, AT(TraceLoss, end_ns)),
};

static char **table_of(TraceModel *model, const TableInfo *info)
{
    return (char **)((char *)model + info->table);
}

static size_t *length_of(TraceModel *model, const TableInfo *info)
{
    return (size_t *)((char *)model + info->n);
}

static int64_t time_at(const char *record, size_t offset)
{
    int64_t time;

    memcpy(&time, record + offset, sizeof(time));
    return time;
}

/* ---- Order. ---- */

static int compare_lanes(const void *a, const void *b)
{
    const BuildLane *x = *(BuildLane *const *)a, *y = *(BuildLane *const *)b;

    if (x->lane.kind != y->lane.kind) {
        return x->lane.kind < y->lane.kind ? -1 : 1;
    }
    if (x->lane.source != y->lane.source) {
        return x->lane.source < y->lane.source ? -1 : 1;
    }
    if (x->lane.cpu != y->lane.cpu) {
        return x->lane.cpu < y->lane.cpu ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static void name_lane(TraceModel *model, Atoms *atoms, TraceLane *lane)
{
    const TraceSource *source = &model->sources[lane->source];
    const char *name = atoms_text(atoms, lane->name);
    g_autoptr(GString) title = g_string_new(*name ? name : "thread");

    if (lane->kind == TRACE_LANE_THREAD && lane->tid >= 0) {
        g_string_append_printf(title, " %" G_GINT64_FORMAT, lane->tid);
    }
    if (model->n_sources > 1) {
        g_autofree char *base = g_path_get_basename(atoms_text(atoms, source->path));

        if (source->pid >= 0) {
            g_string_append_printf(title, " (%s, %" G_GINT64_FORMAT ")", base, source->pid);
        } else {
            g_string_append_printf(title, " (%s)", base);
        }
    }
    lane->title = atoms_add_text(atoms, title->str);
}

/* Lanes into their final order, and their final numbers into all records. */
static void order_lanes(TraceModel *model, Builder *b)
{
    g_autofree TraceLaneId *final = g_new(TraceLaneId, b->lanes->len + 1);

    if (b->lanes->len) {
        qsort(b->lanes->pdata, b->lanes->len, sizeof(gpointer), compare_lanes);
    }
    model->n_lanes = b->lanes->len;
    model->lanes = g_new0(TraceLane, b->lanes->len);
    for (unsigned i = 0; i < b->lanes->len; i++) {
        BuildLane *lane = g_ptr_array_index(b->lanes, i);

        final[lane->id] = (TraceLaneId)i;
        name_lane(model, b->atoms, &lane->lane);
        model->lanes[i] = lane->lane;
        model->n_vcpus += lane->lane.kind == TRACE_LANE_VCPU;
    }
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        char *records = *table_of(model, &tables[t]);
        size_t n = *length_of(model, &tables[t]);

        for (unsigned f = 0; f < G_N_ELEMENTS(tables[t].lanes); f++) {
            for (size_t i = 0; tables[t].lanes[f] != NO_FIELD && i < n; i++) {
                char *at = records + i * tables[t].record_bytes + tables[t].lanes[f];
                TraceLaneId lane;

                memcpy(&lane, at, sizeof(lane));
                if (lane != TRACE_NO_LANE) {
                    memcpy(at, &final[lane], sizeof(lane));
                }
            }
        }
    }
}

/* States by lane; within one they are in order already. */
static void order_states(TraceModel *model)
{
    TraceStateSpan *sorted = g_new(TraceStateSpan, model->n_states);
    int64_t *vtime = model->state_vtime ? g_new(int64_t, model->n_states) : NULL;
    g_autofree size_t *next = g_new0(size_t, model->n_lanes + 1);
    size_t first = 0;

    for (size_t i = 0; i < model->n_states; i++) {
        model->lanes[model->states[i].lane].states_n++;
    }
    for (size_t i = 0; i < model->n_lanes; i++) {
        model->lanes[i].states_first = next[i] = first;
        first += model->lanes[i].states_n;
    }
    for (size_t i = 0; i < model->n_states; i++) {
        size_t to = next[model->states[i].lane]++;

        sorted[to] = model->states[i];
        if (vtime) {
            vtime[to] = model->state_vtime[i];
        }
    }
    g_free(model->states);
    g_free(model->state_vtime);
    model->states = sorted;
    model->state_vtime = vtime;
}

static int compare_times(gconstpointer a, gconstpointer b, gpointer opaque)
{
    int64_t x = time_at(a, 0), y = time_at(b, 0);

    return x < y ? -1 : x > y;
}

static void order_table(TraceModel *model, const TableInfo *info)
{
    char *records = *table_of(model, info);
    size_t n = *length_of(model, info);

    for (size_t i = 1; i < n; i++) {
        const char *record = records + i * info->record_bytes;

        if (time_at(record, 0) < time_at(record - info->record_bytes, 0)) {
            g_qsort_with_data(records, (gint)n, info->record_bytes, compare_times, NULL);
            return;
        }
    }
}

static int compare_events(const void *a, const void *b, void *model)
{
    const TraceEventCount *x = a, *y = b;

    return strcmp(trace_model_text(model, x->event), trace_model_text(model, y->event));
}

/* Classes of one name, of several traces, are one event. */
static void count_events(TraceModel *model, const Builder *b)
{
    model->events = g_new0(TraceEventCount, b->kinds->len + 1);
    for (unsigned i = 0; i < b->kinds->len; i++) {
        const EventKind *kind = g_ptr_array_index(b->kinds, i);
        size_t at = 0;

        while (at < model->n_events_known && model->events[at].event != kind->name) {
            at++;
        }
        model->n_events_known = MAX(model->n_events_known, at + 1);
        model->events[at].event = kind->name;
        model->events[at].count += kind->count;
        model->events[at].known |= kind->handler || kind->moment;
    }
    g_qsort_with_data(model->events, (gint)model->n_events_known, sizeof(TraceEventCount),
                      compare_events, model);
}

/* ---- What the options leave out. ---- */

static bool wants_lane(const TraceModel *model, const TraceModelOptions *options, TraceLaneId lane)
{
    if (lane == TRACE_NO_LANE || model->lanes[lane].kind != TRACE_LANE_VCPU) {
        return false;
    }
    for (size_t i = 0; i < options->n_vcpus; i++) {
        if (model->lanes[lane].cpu == options->vcpus[i]) {
            return true;
        }
    }
    return false;
}

static bool keep_record(const TraceModel *model, const TraceModelOptions *options,
                        const TableInfo *info, const char *record)
{
    int64_t begin = time_at(record, 0);
    int64_t end = info->end_ns == NO_FIELD ? begin : time_at(record, info->end_ns);
    bool by_lane = !options->vcpus;

    /* What has no first half is at its second; what has no end is at its beginning. */
    begin = begin == TRACE_NO_TIME ? end : begin;
    end = MAX(begin, end);
    if (begin != TRACE_NO_TIME && (begin > model->end_ns || end < model->begin_ns)) {
        return false;
    }
    for (unsigned f = 0; !by_lane && f < G_N_ELEMENTS(info->lanes); f++) {
        TraceLaneId lane;

        if (info->lanes[f] != NO_FIELD) {
            memcpy(&lane, record + info->lanes[f], sizeof(lane));
            by_lane = wants_lane(model, options, lane);
        }
    }
    /* Losses concern all. */
    return by_lane || info->table == offsetof(TraceModel, losses);
}

static void filter_table(TraceModel *model, const TraceModelOptions *options, const TableInfo *info)
{
    char *records = *table_of(model, info);
    size_t n = *length_of(model, info), kept = 0;
    bool states = info->table == offsetof(TraceModel, states);

    for (size_t i = 0; i < n; i++) {
        const char *record = records + i * info->record_bytes;

        if (keep_record(model, options, info, record)) {
            if (states && model->state_vtime) {
                model->state_vtime[kept] = model->state_vtime[i];
            }
            memmove(records + kept++ * info->record_bytes, record, info->record_bytes);
        }
    }
    *length_of(model, info) = kept;
}

static void cut_states(TraceModel *model)
{
    for (size_t i = 0; i < model->n_lanes; i++) {
        model->lanes[i].states_n = 0;
    }
    for (size_t i = model->n_states; i-- > 0;) {
        TraceStateSpan *span = &model->states[i];

        if (span->begin_ns < model->begin_ns) {
            span->begin_ns = model->begin_ns;
            span->flags |= TRACE_CUT_BEGIN;
            if (model->state_vtime) {
                model->state_vtime[i] = TRACE_NO_TIME;
            }
        }
        if (span->end_ns > model->end_ns) {
            span->end_ns = model->end_ns;
            span->flags |= TRACE_CUT_END;
        }
        model->lanes[span->lane].states_first = i;
        model->lanes[span->lane].states_n++;
    }
}

static bool apply_options(TraceModel *model, const TraceModelOptions *options, GError **error)
{
    if (!options) {
        return true;
    }
    if (options->from_ns > model->end_ns) {
        char end[DURATION_SIZE];

        return tool_fail(error, "the time range begins after the trace's end, at %s",
                         format_duration(end, (double)model->end_ns));
    }
    if (options->from_ns) {
        model->begin_ns = options->from_ns;
    }
    if (options->to_ns && options->to_ns < model->end_ns) {
        model->end_ns = options->to_ns;
    }
    for (size_t i = 0; i < options->n_vcpus; i++) {
        bool found = false;

        for (size_t j = 0; j < model->n_vcpus; j++) {
            found |= model->lanes[j].cpu == options->vcpus[i];
        }
        if (!found) {
            return tool_fail(error, "there is no vCPU %d in the trace, which has %zu of them",
                             options->vcpus[i], model->n_vcpus);
        }
    }
    if (options->from_ns || options->to_ns || options->vcpus) {
        for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
            filter_table(model, options, &tables[t]);
        }
        cut_states(model);
    }
    return true;
}

/* ---- Load. ---- */

static void take_sources(TraceModel *model, const Builder *b, GPtrArray *sources)
{
    model->n_sources = b->sources->len;
    model->sources = g_new0(TraceSource, b->sources->len + 1);
    for (unsigned i = 0; i < sources->len; i++) {
        const ReaderSource *from = g_ptr_array_index(sources, i);
        const BuildSource *to = from->user;

        if (to) {
            model->sources[to->index] = (TraceSource){
                .path = atoms_add_text(b->atoms, from->path),
                .recorder = from->recorder,
                .host = from->host,
                .pid = from->pid,
                .created = from->created,
                .environment = from->environment,
                .flight = from->flight,
                .truncated = from->truncated,
            };
        }
    }
}

static void take_texts(TraceModel *model, Atoms *atoms)
{
    model->atoms = atoms;
    model->n_texts = atoms_count(atoms);
    model->texts = g_new(const char *, model->n_texts);
    for (size_t i = 0; i < model->n_texts; i++) {
        model->texts[i] = atoms_text(atoms, (uint32_t)i);
    }
}

static void measure(TraceModel *model)
{
    model->memory_bytes = sizeof(*model) + atoms_bytes(model->atoms) +
                          model->n_texts * sizeof(char *) + model->n_lanes * sizeof(TraceLane) +
                          (model->state_vtime ? model->n_states * sizeof(int64_t) : 0);
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        size_t bytes = *length_of(model, &tables[t]) * tables[t].record_bytes;
        char **table = table_of(model, &tables[t]);

        /* They have grown by doubling. */
        *table = g_realloc(*table, MAX(bytes, 1));
        model->memory_bytes += bytes;
    }
}

static void finish(TraceModel *model, Builder *b)
{
    build_cpus_finish(b);
    build_guest_finish(b);
    model->end_ns = b->last_ns;
    order_lanes(model, b);
    order_states(model);
    for (unsigned t = 1; t < G_N_ELEMENTS(tables); t++) {
        order_table(model, &tables[t]);
    }
}

static bool load(TraceModel *model, const char *const *paths, const TraceModelOptions *options,
                 Atoms *atoms, GError **error)
{
    ReaderCallbacks callbacks = { build_on_class, build_on_event, build_on_loss, NULL };
    g_autoptr(Reader) reader = reader_open(paths, atoms, error);
    Builder b;
    bool ok;

    if (!reader) {
        return false;
    }
    build_init(&b, model, atoms, options);
    callbacks.opaque = &b;
    ok = reader_run(reader, &callbacks, error);
    if (ok && !model->n_events && reader_truncated(reader)) {
        ok = tool_fail(error,
                       "%s: the trace was cut off before its first event was whole; record "
                       "again",
                       paths[0]);
    } else if (ok && !model->n_events) {
        ok = tool_fail(error,
                       "%s: the trace has no event: were any selected (-trace GLOB, and with "
                       "LTTng 'lttng enable-event')?",
                       paths[0]);
    }
    for (unsigned i = 0; ok && i < reader_sources(reader)->len; i++) {
        const ReaderSource *source = g_ptr_array_index(reader_sources(reader), i);

        if (source->twice) {
            ok = tool_fail(error,
                           "process %" G_GINT64_FORMAT " was recorded by two tracers, and "
                           "both traces are named: name one of them",
                           source->pid);
        }
    }
    if (ok) {
        take_sources(model, &b, reader_sources(reader));
        finish(model, &b);
    }
    take_texts(model, atoms);
    if (ok) {
        count_events(model, &b);
    }
    build_clear(&b);
    return ok;
}

TraceModel *trace_model_load(const char *const *paths, const TraceModelOptions *options,
                             GError **error)
{
    g_autoptr(TraceModel) model = g_new0(TraceModel, 1);
    Atoms *atoms = atoms_create();

    model->atoms = atoms;
    if (!load(model, paths, options, atoms, error) || !apply_options(model, options, error)) {
        return NULL;
    }
    measure(model);
    return g_steal_pointer(&model);
}

void trace_model_free(TraceModel *model)
{
    if (!model) {
        return;
    }
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        g_free(*table_of(model, &tables[t]));
    }
    g_free(model->state_vtime);
    g_free(model->sources);
    g_free(model->lanes);
    g_free(model->events);
    g_free(model->texts);
    atoms_destroy(model->atoms);
    g_free(model);
}
