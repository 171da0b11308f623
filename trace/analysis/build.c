/* SPDX-License-Identifier: MIT */
/*
 * From the reader's events to handlers: which class of events means what, whose lane it is about, and
 * what is no handler's (moments, counts, losses).
 */
#include "trace/analysis/build.h"

#include <stdio.h>
#include <string.h>

#define PROGRESS_EVENTS 65536
#define LEVEL_INFO 6

void *build_add(void *table, size_t *n, size_t record_bytes)
{
    if ((*n & (*n - 1)) == 0) {
        table = g_realloc_n(table, *n ? *n * 2 : 1, record_bytes);
    }
    memset((char *)table + *n * record_bytes, 0, record_bytes);
    (*n)++;
    return table;
}

void pending_add(Pending *pending, size_t item)
{
    pending->items = build_add(pending->items, &pending->n, sizeof(size_t));
    pending->items[pending->n - 1] = item;
}

/* ---- Lanes. */

BuildSource *build_source(Builder *b, ReaderSource *source)
{
    BuildSource *data = source->user;

    if (!data) {
        data = g_new0(BuildSource, 1);
        data->begin_ns = TRACE_NO_TIME;
        data->loss_begin_ns = TRACE_NO_TIME;
        data->timers = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        data->irqs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        data->index = b->sources->len;
        g_ptr_array_add(b->sources, data);
        source->user = data;
    }
    return data;
}

BuildThread *build_thread_data(Builder *b, ReaderThread *thread)
{
    BuildThread *data = thread->user;

    if (!data) {
        data = g_new0(BuildThread, 1);
        data->entries = g_array_new(FALSE, FALSE, sizeof(size_t));
        g_ptr_array_add(b->threads, data);
        thread->user = data;
    }
    return data;
}

static BuildLane *new_lane(Builder *b, TraceLaneKind kind, ReaderSource *source)
{
    BuildLane *lane;

    if (b->lanes->len >= MAX_LANES) {
        return NULL;
    }
    lane = g_new0(BuildLane, 1);
    lane->id = (TraceLaneId)b->lanes->len;
    lane->lane.kind = kind;
    lane->lane.source = build_source(b, source)->index;
    lane->lane.cpu = -1;
    lane->lane.tid = -1;
    lane->lane.begin_ns = TRACE_NO_TIME;
    lane->loss_begin_ns = TRACE_NO_TIME;
    lane->state = TRACE_STATE_UNKNOWN;
    g_ptr_array_add(b->lanes, lane);
    return lane;
}

BuildLane *build_vcpu(Builder *b, ReaderSource *source, int64_t cpu)
{
    BuildSource *data = build_source(b, source);
    BuildLane *lane;

    if (cpu < 0 || cpu >= MAX_CPU) {
        return NULL;
    }
    if (cpu >= data->n_vcpus) {
        unsigned n = (unsigned)cpu + 1;

        data->vcpus = g_renew(BuildLane *, data->vcpus, n);
        memset(data->vcpus + data->n_vcpus, 0, (n - data->n_vcpus) * sizeof(*data->vcpus));
        data->n_vcpus = n;
    }
    lane = data->vcpus[cpu];
    if (!lane) {
        lane = new_lane(b, TRACE_LANE_VCPU, source);
        if (lane) {
            lane->lane.cpu = (int32_t)cpu;
            lane->lane.name = atoms_add_printf(b->atoms, "vCPU %d", (int)cpu);
        }
        data->vcpus[cpu] = lane;
    }
    return lane;
}

BuildLane *build_thread(Builder *b, const BuildEvent *event)
{
    BuildThread *data;
    int cpu;

    if (!event->thread) {
        return NULL;
    }
    data = build_thread_data(b, event->thread);
    if (!data->vcpu && !data->lane) {
        /* A recording that begins in the middle has no thread_begin. */
        const char *name = atoms_text(b->atoms, event->thread->name);

        if (g_ascii_strncasecmp(name, "cpu ", 4) == 0 && sscanf(name + 4, "%d/", &cpu) == 1) {
            data->vcpu = build_vcpu(b, event->source, cpu);
        }
        if (!data->vcpu) {
            data->lane = new_lane(b, TRACE_LANE_THREAD, event->source);
        }
    }
    if (data->lane && !data->vcpu) {
        data->lane->lane.tid = event->thread->tid;
        data->lane->lane.name = event->thread->name;
    }
    return data->vcpu ? data->vcpu : data->lane;
}

/* ---- Classes. */

static const Handler *const handler_tables[] = { build_cpus_handlers, build_hw_handlers,
                                                 build_guest_handlers, build_tlb_handlers };

static bool bind(const Handler *handler, const ReaderClass *cls, int slots[8])
{
    for (unsigned i = 0; i < G_N_ELEMENTS(handler->fields) && handler->fields[i]; i++) {
        bool optional = handler->fields[i][0] == '?';
        const char *name = handler->fields[i] + optional;

        slots[i] = -1;
        for (unsigned j = 0; j < cls->n_fields; j++) {
            if (strcmp(cls->fields[j].name, name) == 0) {
                slots[i] = (int)j;
            }
        }
        if (slots[i] < 0 && !optional) {
            return false;
        }
    }
    return true;
}

static const Handler *handler_of(const ReaderClass *cls, int slots[8])
{
    for (unsigned t = 0; t < G_N_ELEMENTS(handler_tables); t++) {
        for (const Handler *handler = handler_tables[t]; handler->event; handler++) {
            const char *star = strchr(handler->event, '*');
            bool match =
                star ? strncmp(cls->name, handler->event, (size_t)(star - handler->event)) == 0 &&
                           g_str_has_suffix(cls->name, star + 1)
                     : strcmp(cls->name, handler->event) == 0;

            if (match && bind(handler, cls, slots)) {
                return handler;
            }
        }
    }
    return NULL;
}

static bool wanted(const TraceModelOptions *options, const char *name)
{
    if (!options || !options->events) {
        return true;
    }
    for (unsigned i = 0; options->events[i]; i++) {
        if (g_pattern_match_simple(options->events[i], name)) {
            return true;
        }
    }
    return false;
}

void build_on_class(void *builder, ReaderClass *cls)
{
    Builder *b = builder;
    EventKind *kind = g_new0(EventKind, 1);

    g_ptr_array_add(b->kinds, kind);
    cls->user = kind;
    kind->name = atoms_add_text(b->atoms, cls->name);
    if (cls->ours) {
        kind->handler = handler_of(cls, kind->slots);
    }
    /* A handler without a function is an event that needs none. */
    kind->moment = kind->handler ? kind->handler->moment
                                 : cls->ours && cls->level >= 0 && cls->level <= LEVEL_INFO;
    cls->skip =
        !wanted(b->options, cls->name) || (!kind->moment && (!kind->handler || !kind->handler->fn));
    if (kind->handler && g_str_has_prefix(cls->name, "accel:")) {
        const char *op = cls->name + strlen("accel:");
        const char *end = strrchr(op, '_');

        kind->op = atoms_add(b->atoms, op, (size_t)(end - op));
    }
}

/* ---- Events. */

static TraceAtom fields_as_text(Builder *b, const ReaderEvent *event)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < event->cls->n_fields; i++) {
        const ReaderField *field = &event->cls->fields[i];
        uint64_t value = event->values[i];

        g_string_append_printf(text, "%s%s=", i ? " " : "", field->name);
        switch (field->type) {
        case READER_UNSIGNED:
            g_string_append_printf(text, "%" G_GUINT64_FORMAT, value);
            break;
        case READER_HEX:
            g_string_append_printf(text, "0x%" G_GINT64_MODIFIER "x", value);
            break;
        case READER_SIGNED:
            g_string_append_printf(text, "%" G_GINT64_FORMAT, (int64_t)value);
            break;
        case READER_TEXT:
            g_string_append(text, atoms_text(b->atoms, (uint32_t)value));
            break;
        case READER_REAL:
        case READER_OTHER:
            g_string_append_c(text, '?');
            break;
        }
    }
    return atoms_add(b->atoms, text->str, text->len);
}

/* Whose event it is: the vCPU it names, else the thread's. */
static BuildLane *lane_of_event(Builder *b, const BuildEvent *event)
{
    const ReaderClass *cls = event->raw->cls;

    for (unsigned i = 0; i < cls->n_fields && i < 2; i++) {
        if (strcmp(cls->fields[i].name, "cpu") == 0 && (int32_t)event->raw->values[i] >= 0) {
            return build_vcpu(b, event->source, (int32_t)event->raw->values[i]);
        }
    }
    return build_thread(b, event);
}

static void add_moment(Builder *b, const BuildEvent *event)
{
    TraceAtom text = fields_as_text(b, event->raw);
    TraceMoment *moment = BUILD_ADD(b, moments, n_moments);

    moment->time_ns = event->time_ns;
    moment->event = event->kind->name;
    moment->text = text;
    moment->lane = lane_id(lane_of_event(b, event));
}

static void touch(BuildLane *lane, int64_t time_ns)
{
    if (lane->lane.begin_ns == TRACE_NO_TIME) {
        lane->lane.begin_ns = time_ns;
    }
    lane->lane.end_ns = time_ns;
    lane->lane.n_events++;
}

void build_on_event(void *builder, const ReaderEvent *raw)
{
    Builder *b = builder;
    EventKind *kind = raw->cls->user;
    BuildSource *source = build_source(b, raw->source);
    BuildLane *lane;
    BuildEvent event;

    if (!b->started) {
        b->started = true;
        b->model->epoch_ns = raw->time_ns;
        for (size_t i = 0; i < b->n_early_losses; i++) {
            TraceLoss *loss = &b->model->losses[i];

            loss->begin_ns = loss->end_ns == READER_NO_TIME ? 0 : loss->begin_ns - raw->time_ns;
            loss->end_ns = loss->end_ns == READER_NO_TIME ? 0 : loss->end_ns - raw->time_ns;
        }
    }
    event.time_ns = raw->time_ns - b->model->epoch_ns;
    kind->count++;
    b->last_ns = MAX(b->last_ns, event.time_ns);
    if (source->begin_ns == TRACE_NO_TIME) {
        source->begin_ns = event.time_ns;
    }
    source->end_ns = event.time_ns;
    if (++b->model->n_events % PROGRESS_EVENTS == 0 && b->options && b->options->progress) {
        b->options->progress(b->model->n_events, b->options->opaque);
    }
    if (raw->cls->skip) {
        return;
    }
    event.raw = raw;
    event.kind = kind;
    event.thread = raw->thread;
    event.source = raw->source;
    if (raw->vtime_ns != READER_NO_TIME) {
        b->model->has_vtime = true;
    }
    if (kind->handler) {
        for (unsigned i = 0; i < G_N_ELEMENTS(kind->slots) && kind->handler->fields[i]; i++) {
            event.values[i] = kind->slots[i] >= 0 ? raw->values[kind->slots[i]] : 0;
        }
        if (kind->handler->fn) {
            kind->handler->fn(b, &event);
        }
    }
    if (kind->moment) {
        add_moment(b, &event);
    }
    lane = lane_of_event(b, &event);
    if (lane) {
        touch(lane, event.time_ns);
    }
}

void build_on_loss(void *builder, ReaderSource *source, ReaderThread *thread, int64_t begin_ns,
                   int64_t end_ns, uint64_t count)
{
    Builder *b = builder;
    BuildEvent event = { .thread = thread, .source = source };
    BuildLane *lane = build_thread(b, &event);
    TraceLoss *loss = BUILD_ADD(b, losses, n_losses);

    loss->begin_ns = begin_ns != READER_NO_TIME ? begin_ns : end_ns;
    loss->end_ns = end_ns;
    loss->count = count;
    loss->lane = lane_id(lane);
    loss->source = build_source(b, source)->index;
    b->model->n_lost += count;
    if (b->started) {
        loss->begin_ns =
            end_ns == READER_NO_TIME ? b->last_ns : loss->begin_ns - b->model->epoch_ns;
        loss->end_ns = end_ns == READER_NO_TIME ? b->last_ns : loss->end_ns - b->model->epoch_ns;
        build_cpus_loss(b, build_source(b, source), lane, loss->begin_ns, loss->end_ns);
    } else {
        /* Before all events: no state is open, and there is no epoch yet. */
        b->n_early_losses = b->model->n_losses;
    }
}

/* ---- Life. */

static void lane_free(gpointer data)
{
    BuildLane *lane = data;

    g_free(lane->kicks.items);
    g_free(lane->works.items);
    g_free(lane);
}

static void thread_free(gpointer data)
{
    BuildThread *thread = data;

    g_array_unref(thread->entries);
    g_free(thread);
}

static void source_free(gpointer data)
{
    BuildSource *source = data;

    g_free(source->vcpus);
    g_hash_table_destroy(source->timers);
    g_hash_table_destroy(source->irqs);
    g_free(source);
}

void build_init(Builder *b, TraceModel *model, Atoms *atoms, const TraceModelOptions *options)
{
    memset(b, 0, sizeof(*b));
    b->model = model;
    b->atoms = atoms;
    b->options = options;
    b->lanes = g_ptr_array_new_with_free_func(lane_free);
    b->kinds = g_ptr_array_new_with_free_func(g_free);
    b->threads = g_ptr_array_new_with_free_func(thread_free);
    b->sources = g_ptr_array_new_with_free_func(source_free);
    for (int i = 0; i < TRACE_STATE_COUNT; i++) {
        b->state_atoms[i] = atoms_add_text(atoms, trace_state_name((TraceState)i));
    }
}

void build_clear(Builder *b)
{
    g_ptr_array_unref(b->lanes);
    g_ptr_array_unref(b->kinds);
    g_ptr_array_unref(b->threads);
    g_ptr_array_unref(b->sources);
}
