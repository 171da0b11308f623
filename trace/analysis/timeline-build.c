/* SPDX-License-Identifier: MIT */
/*
 * The model's tables become tracks. The idea to hold: each table is walked once, its records are
 * dealt out to their lanes as items, and then every lane's items are written as columns.
 */
#include "trace/analysis/timeline-build.h"

#include <string.h>

/* More rows than these are no picture any more; what does not fit is counted. */
#define MAX_ROWS 12

/* 52 days. What is farther off was never measured, and a script's numbers are exact up to 2^53. */
#define MAX_TIME ((int64_t)1 << 52)

static const char *const unit_names[] = {
    [TIMELINE_NS] = "ns",     [TIMELINE_COUNT] = "count", [TIMELINE_TEXT] = "text",
    [TIMELINE_LANE] = "lane", [TIMELINE_HEX] = "hex",     [TIMELINE_FLAG] = "flag",
};

uint32_t timeline_text(TimelineBuild *build, const char *text)
{
    gpointer value;
    uint32_t id;

    if (g_hash_table_lookup_extended(build->text_ids, text, NULL, &value)) {
        return GPOINTER_TO_UINT(value);
    }
    id = build->texts->len;
    g_ptr_array_add(build->texts, g_strdup(text));
    g_hash_table_insert(build->text_ids, g_ptr_array_index(build->texts, id), GUINT_TO_POINTER(id));
    return id;
}

uint32_t timeline_atom(TimelineBuild *build, TraceAtom atom)
{
    if (atom >= build->model->n_texts) {
        return 0;
    }
    if (build->atom_ids[atom] == 0) {
        build->atom_ids[atom] = timeline_text(build, trace_model_text(build->model, atom)) + 1;
    }
    return build->atom_ids[atom] - 1;
}

/* ---- Writing a track ---- */

/* Names in the order of their first use: the numbers stay small, and the viewer makes its colours
 * from so short a list. */
typedef struct Names {
    GHashTable *index;
    GArray *ids;
} Names;

static uint32_t name_index(Names *names, uint32_t text)
{
    gpointer value;

    if (g_hash_table_lookup_extended(names->index, GUINT_TO_POINTER(text), NULL, &value)) {
        return GPOINTER_TO_UINT(value);
    }
    g_hash_table_insert(names->index, GUINT_TO_POINTER(text), GUINT_TO_POINTER(names->ids->len));
    g_array_append_val(names->ids, text);
    return names->ids->len - 1;
}

static void begin_track(TimelineBuild *b, unsigned lane, const char *kind, const char *label,
                        const char *about, size_t n)
{
    GString *json = b->pack.json;

    g_string_append_printf(json,
                           "%s{\"lane\":%u,\"kind\":\"%s\",\"n\":%" G_GSIZE_FORMAT ",\"label\":",
                           b->n_tracks++ > 0 ? ",\n" : "", lane, kind, n);
    timeline_pack_string(&b->pack, label);
    g_string_append(json, ",\"about\":");
    timeline_pack_string(&b->pack, about);
}

static void add_column(TimelineBuild *b, const char *key)
{
    g_string_append_printf(b->pack.json, ",\"%s\":", key);
    timeline_pack_column(&b->pack, b->column);
}

static void write_times(TimelineBuild *b, GPtrArray *items)
{
    int64_t last = 0;

    for (guint i = 0; i < items->len; i++) {
        const TimelineItem *item = items->pdata[i];

        timeline_put_signed(b->column, item->begin_ns - last);
        last = item->end_ns;
    }
    add_column(b, "gap");
    for (guint i = 0; i < items->len; i++) {
        const TimelineItem *item = items->pdata[i];

        timeline_put(b->column, (uint64_t)(item->end_ns - item->begin_ns));
    }
    add_column(b, "dur");
}

static void write_extra(TimelineBuild *b, GPtrArray *items, const TimelineExtra *extra, int which)
{
    g_string_append_printf(b->pack.json, "%s{\"key\":\"%s\",\"unit\":\"%s\",\"cols\":[",
                           which > 0 ? "," : "", extra->key, unit_names[extra->unit]);
    for (int half = 0; half < (extra->unit == TIMELINE_HEX ? 2 : 1); half++) {
        for (guint i = 0; i < items->len; i++) {
            int64_t value = ((const TimelineItem *)items->pdata[i])->extra[which];

            if (extra->unit == TIMELINE_HEX) {
                timeline_put(b->column, half ? (uint32_t)value : (uint64_t)value >> 32);
            } else {
                timeline_put_maybe(b->column, value, true);
            }
        }
        g_string_append(b->pack.json, half ? "," : "");
        timeline_pack_column(&b->pack, b->column);
    }
    g_string_append(b->pack.json, "]}");
}

static void write_row(TimelineBuild *b, unsigned lane, const TimelineKind *kind, GPtrArray *items,
                      unsigned row, size_t dropped)
{
    Names names = { g_hash_table_new(NULL, NULL), g_array_new(FALSE, FALSE, sizeof(uint32_t)) };
    GString *json = b->pack.json;

    begin_track(b, lane, kind->marks ? "mark" : "span", kind->label, kind->about, items->len);
    g_string_append_printf(json, ",\"row\":%u,\"dropped\":%" G_GSIZE_FORMAT, row, dropped);
    write_times(b, items);
    for (guint i = 0; i < items->len; i++) {
        timeline_put(b->column, name_index(&names, ((TimelineItem *)items->pdata[i])->name));
    }
    add_column(b, "cls");
    g_string_append(json, ",\"names\":[");
    for (guint i = 0; i < names.ids->len; i++) {
        g_string_append_printf(json, "%s%u", i > 0 ? "," : "",
                               g_array_index(names.ids, uint32_t, i));
    }
    g_string_append(json, "],\"extra\":[");
    for (int i = 0; i < TIMELINE_EXTRAS && kind->extra[i].unit != TIMELINE_NO_UNIT; i++) {
        write_extra(b, items, &kind->extra[i], i);
    }
    g_string_append(json, "]}");
    g_hash_table_destroy(names.index);
    g_array_free(names.ids, TRUE);
}

static gint by_begin(gconstpointer a, gconstpointer b)
{
    const TimelineItem *x = a, *y = b;

    if (x->begin_ns != y->begin_ns) {
        return x->begin_ns < y->begin_ns ? -1 : 1;
    }
    /*
     * What takes no time first, so that it needs no row; then the longer, which is the outer one.
     */
    if ((x->end_ns == x->begin_ns) != (y->end_ns == y->begin_ns)) {
        return x->end_ns == x->begin_ns ? -1 : 1;
    }
    return x->end_ns > y->end_ns ? -1 : x->end_ns < y->end_ns;
}

static void write_lane(TimelineBuild *b, unsigned lane, const TimelineKind *kind)
{
    GArray *items = b->items[lane];
    GPtrArray *rows[MAX_ROWS];
    int64_t row_end[MAX_ROWS];
    unsigned n_rows = 0;
    size_t dropped = 0;

    g_array_sort(items, by_begin);
    for (guint i = 0; i < items->len; i++) {
        TimelineItem *item = &g_array_index(items, TimelineItem, i);
        unsigned row = 0;

        while (row < n_rows && !kind->marks && row_end[row] > item->begin_ns) {
            row++;
        }
        if (row == MAX_ROWS) {
            dropped++;
            continue;
        }
        if (row == n_rows) {
            rows[n_rows++] = g_ptr_array_new();
        }
        g_ptr_array_add(rows[row], item);
        row_end[row] = item->end_ns;
    }
    for (unsigned row = 0; row < n_rows; row++) {
        write_row(b, lane, kind, rows[row], row, row == 0 ? dropped : 0);
        g_ptr_array_free(rows[row], TRUE);
    }
    g_array_set_size(items, 0);
}

static void write_kind(TimelineBuild *b, const TimelineKind *kind)
{
    for (size_t lane = 0; lane <= b->model->n_lanes; lane++) {
        if (b->items[lane]->len > 0) {
            write_lane(b, (unsigned)lane, kind);
        }
    }
}

/* Durations are fields of events, and a damaged trace may have any number there. */
static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN + 1 : INT64_MAX) : sum;
}

static int64_t minus(int64_t a, int64_t b)
{
    int64_t difference;

    return __builtin_sub_overflow(a, b, &difference) ? (b < 0 ? INT64_MAX : INT64_MIN + 1)
                                                     : difference;
}

/* An end that the trace does not have is the trace's own. */
static void add_item(TimelineBuild *b, TraceLaneId lane, TimelineItem item)
{
    size_t index = lane < b->model->n_lanes ? lane : b->model->n_lanes;

    if (item.begin_ns == TRACE_NO_TIME) {
        return;
    }
    if (item.end_ns == TRACE_NO_TIME) {
        item.end_ns = b->model->end_ns;
    }
    item.begin_ns = CLAMP(item.begin_ns, -MAX_TIME, MAX_TIME);
    item.end_ns = CLAMP(item.end_ns, item.begin_ns, MAX_TIME);
    b->stray |= index == b->model->n_lanes;
    g_array_append_val(b->items[index], item);
}

/* As extras have it: absent is TRACE_NO_TIME. */
static int64_t text_extra(TimelineBuild *b, TraceAtom atom)
{
    return atom ? (int64_t)timeline_atom(b, atom) : TRACE_NO_TIME;
}

static int64_t lane_extra(TraceLaneId lane)
{
    return lane == TRACE_NO_LANE ? TRACE_NO_TIME : lane;
}

static int64_t between(int64_t from, int64_t to)
{
    return from == TRACE_NO_TIME || to == TRACE_NO_TIME ? TRACE_NO_TIME : minus(to, from);
}

static int64_t flag(bool value)
{
    return value ? 1 : TRACE_NO_TIME;
}

/* ---- The tables ---- */

static void write_states(TimelineBuild *b, unsigned lane)
{
    const TraceModel *m = b->model;
    size_t first = m->lanes[lane].states_first, n = m->lanes[lane].states_n;
    int64_t last = 0;

    begin_track(b, lane, "state", "state", "what the vCPU did, and why", n);
    for (size_t i = first; i < first + n; i++) {
        timeline_put_signed(b->column, m->states[i].begin_ns - last);
        last = m->states[i].end_ns;
    }
    add_column(b, "gap");
    for (size_t i = first; i < first + n; i++) {
        timeline_put(b->column, (uint64_t)(m->states[i].end_ns - m->states[i].begin_ns));
    }
    add_column(b, "dur");
    for (size_t i = first; i < first + n; i++) {
        timeline_put(b->column, m->states[i].state);
    }
    add_column(b, "cls");
    for (size_t i = first; i < first + n; i++) {
        timeline_put(b->column, timeline_atom(b, m->states[i].reason));
    }
    add_column(b, "reason");
    for (size_t i = first; i < first + n; i++) {
        timeline_put(b->column, m->states[i].flags);
    }
    add_column(b, "flags");
    if (m->has_vtime) {
        last = 0;
        for (size_t i = first; i < first + n; i++) {
            int64_t v = m->state_vtime[i];

            timeline_put_maybe(b->column, v == TRACE_NO_TIME ? v : v - last, true);
            last = v == TRACE_NO_TIME ? last : v;
        }
        add_column(b, "vtime");
    }
    g_string_append(b->pack.json, "}");
}

static void add_guests(TimelineBuild *b, TraceGuestKind which, const TimelineKind *kind)
{
    const TraceModel *m = b->model;

    for (size_t i = 0; i < m->n_guests; i++) {
        const TraceGuest *g = &m->guests[i];
        const char *text = trace_model_text(m, g->text);
        g_autofree char *name = NULL;

        if (g->kind != which) {
            continue;
        }
        if (which == TRACE_GUEST_TASK) {
            name = g_strdup_printf("%s [%" G_GINT64_FORMAT "]", *text ? text : "?", g->number);
        } else if (which == TRACE_GUEST_SATP) {
            name = g_strdup("satp");
        } else if (*text) {
            name = g_strdup(text);
        } else {
            name = g_strdup_printf("%s %" G_GINT64_FORMAT, kind->label, g->number);
        }
        /* Calls that do not return (exit) would fill row after row to the trace's end. */
        add_item(b, g->lane,
                 (TimelineItem){
                     .begin_ns = g->time_ns,
                     .end_ns = kind->marks || g->end_ns == TRACE_NO_TIME ? g->time_ns : g->end_ns,
                     .name = timeline_text(b, name),
                     .extra = { g->number, flag(!kind->marks && g->end_ns == TRACE_NO_TIME) },
                 });
    }
    write_kind(b, kind);
}

static void write_guests(TimelineBuild *b)
{
    static const TimelineKind tasks = {
        "task", "the guest's task: name [pid]", false, { { "pid", TIMELINE_COUNT } }
    };
    static const TimelineKind modes = {
        "mode", "the guest's privilege mode", false, { { "level", TIMELINE_COUNT } }
    };
    static const TimelineKind calls = { "syscall",
                                        "the guest's system calls",
                                        false,
                                        { { "number", TIMELINE_COUNT },
                                          { "no return in the trace", TIMELINE_FLAG } } };
    static const TimelineKind traps = {
        "trap", "the guest's traps", true, { { "cause", TIMELINE_COUNT } }
    };
    static const TimelineKind satps = {
        "satp", "the guest changes its address space", true, { { "value", TIMELINE_HEX } }
    };

    add_guests(b, TRACE_GUEST_TASK, &tasks);
    add_guests(b, TRACE_GUEST_MODE, &modes);
    add_guests(b, TRACE_GUEST_SYSCALL, &calls);
    add_guests(b, TRACE_GUEST_TRAP, &traps);
    add_guests(b, TRACE_GUEST_SATP, &satps);
}

static void write_irqs(TimelineBuild *b)
{
    static const TimelineKind kind = { "interrupts",
                                       "interrupt lines, from raised to lowered",
                                       false,
                                       { { "line or cause", TIMELINE_COUNT },
                                         { "delivered after", TIMELINE_NS },
                                         { "raised by", TIMELINE_LANE } } };
    const TraceModel *m = b->model;

    for (size_t i = 0; i < m->n_irqs; i++) {
        const TraceIrq *irq = &m->irqs[i];
        int64_t begin = irq->raise_ns != TRACE_NO_TIME ? irq->raise_ns : irq->deliver_ns;
        int64_t end = irq->lower_ns != TRACE_NO_TIME     ? irq->lower_ns
                      : irq->deliver_ns != TRACE_NO_TIME ? irq->deliver_ns
                                                         : begin;

        add_item(b, irq->lane != TRACE_NO_LANE ? irq->lane : irq->from,
                 (TimelineItem){
                     .begin_ns = begin,
                     .end_ns = end,
                     .name = timeline_text(b, irq->device ? trace_model_text(m, irq->device)
                                                          : "interrupt"),
                     .extra = { (int64_t)irq->line, between(irq->raise_ns, irq->deliver_ns),
                                lane_extra(irq->from) },
                 });
    }
    write_kind(b, &kind);
}

static void write_locks(TimelineBuild *b)
{
    static const TimelineKind kinds[] = {
        { "lock wait", "waits for the machine lock, by call site", false, { { NULL } } },
        { "lock held", "the machine lock is held, by call site", false, { { NULL } } },
    };

    for (unsigned hold = 0; hold < 2; hold++) {
        for (size_t i = 0; i < b->model->n_locks; i++) {
            const TraceLock *lock = &b->model->locks[i];

            if (lock->hold == hold) {
                add_item(b, lock->lane,
                         (TimelineItem){
                             .begin_ns = lock->begin_ns,
                             .end_ns = lock->end_ns,
                             .name = timeline_atom(b, lock->site),
                         });
            }
        }
        write_kind(b, &kinds[hold]);
    }
}

static void write_exclusives(TimelineBuild *b)
{
    static const TimelineKind kind = { "exclusive",
                                       "waits for all vCPUs to leave guest code, then is alone",
                                       false,
                                       { { "waited", TIMELINE_NS },
                                         { "not over in the trace", TIMELINE_FLAG } } };

    for (size_t i = 0; i < b->model->n_exclusives; i++) {
        const TraceExclusive *e = &b->model->exclusives[i];
        int64_t asked = e->asked_ns != TRACE_NO_TIME ? e->asked_ns : e->begin_ns;

        if (e->begin_ns != asked) {
            add_item(b, e->lane,
                     (TimelineItem){
                         .begin_ns = asked,
                         .end_ns = e->begin_ns,
                         .name = timeline_text(b, "waits for the others"),
                         .extra = { TRACE_NO_TIME, flag(e->begin_ns == TRACE_NO_TIME) },
                     });
        }
        add_item(
            b, e->lane,
            (TimelineItem){
                .begin_ns = e->begin_ns,
                .end_ns = e->end_ns,
                .name = timeline_text(b, "exclusive section"),
                .extra = { between(e->asked_ns, e->begin_ns), flag(e->end_ns == TRACE_NO_TIME) },
            });
    }
    write_kind(b, &kind);
}

static void write_works(TimelineBuild *b)
{
    static const TimelineKind kind = { "work",
                                       "work items: queued, then run",
                                       false,
                                       { { "queued for", TIMELINE_NS },
                                         { "by", TIMELINE_LANE },
                                         { "not run in the trace", TIMELINE_FLAG } } };

    for (size_t i = 0; i < b->model->n_works; i++) {
        const TraceWork *w = &b->model->works[i];
        const char *what = trace_model_text(b->model, w->kind);
        g_autofree char *queued = g_strdup_printf("%s: queued", what);
        g_autofree char *runs = g_strdup_printf("%s: runs", what);

        if (w->queued_ns != w->begin_ns) {
            add_item(b, w->lane,
                     (TimelineItem){
                         .begin_ns = w->queued_ns,
                         .end_ns = w->begin_ns,
                         .name = timeline_text(b, queued),
                         .extra = { TRACE_NO_TIME, lane_extra(w->from),
                                    flag(w->begin_ns == TRACE_NO_TIME) },
                     });
        }
        add_item(
            b, w->lane,
            (TimelineItem){
                .begin_ns = w->begin_ns,
                .end_ns = w->end_ns,
                .name = timeline_text(b, runs),
                .extra = { between(w->queued_ns, w->begin_ns), lane_extra(w->from), TRACE_NO_TIME },
            });
    }
    write_kind(b, &kind);
}

static void write_ops(TimelineBuild *b)
{
    static const TimelineKind kind = { "ops",
                                       "accelerator ops, on the lane that called them, if known",
                                       false,
                                       { { "for", TIMELINE_LANE },
                                         { "outcome", TIMELINE_COUNT },
                                         { "not returned in the trace", TIMELINE_FLAG } } };

    for (size_t i = 0; i < b->model->n_ops; i++) {
        const TraceOp *op = &b->model->ops[i];

        add_item(
            b, op->lane != TRACE_NO_LANE ? op->lane : op->target,
            (TimelineItem){
                .begin_ns = op->begin_ns,
                .end_ns = op->end_ns,
                .name = timeline_atom(b, op->op),
                .extra = { lane_extra(op->target), op->outcome, flag(op->end_ns == TRACE_NO_TIME) },
            });
    }
    write_kind(b, &kind);
}

/* A flush's life is drawn as up to three stretches on the lane whose TLB it is. */
static void write_flushes(TimelineBuild *b)
{
    static const TimelineKind kind = { "TLB",
                                       "TLB flushes: asked for, queued, done, barrier waited for",
                                       false,
                                       { { "cause", TIMELINE_TEXT },
                                         { "asked by", TIMELINE_LANE },
                                         { "entries", TIMELINE_COUNT },
                                         { "widened because", TIMELINE_TEXT },
                                         { "after its request", TIMELINE_NS } } };

    for (size_t i = 0; i < b->model->n_flushes; i++) {
        const TraceFlush *f = &b->model->flushes[i];
        const char *what = trace_model_text(b->model, f->kind);
        int64_t cost = f->cost_ns == TRACE_NO_TIME ? 0 : f->cost_ns;
        int64_t done = f->execute_ns;
        g_autofree char *queued = g_strdup_printf("%s: queued", what);
        g_autofree char *barrier = g_strdup_printf("%s: barrier", what);
        TimelineItem item = {
            .extra = { text_extra(b, f->cause), lane_extra(f->from),
                       f->entries > INT64_MAX ? TRACE_NO_TIME : (int64_t)f->entries,
                       text_extra(b, f->widened), between(f->request_ns, f->execute_ns) },
        };

        if (done == TRACE_NO_TIME) {
            done = f->enqueue_ns != TRACE_NO_TIME ? f->enqueue_ns : f->request_ns;
        }
        item.begin_ns = done;
        item.end_ns = plus(done, cost);
        item.name = timeline_atom(b, f->kind);
        if (f->request_ns != TRACE_NO_TIME && f->request_ns < done) {
            if (f->enqueue_ns == TRACE_NO_TIME) {
                /* Done by who asked: from the request on. */
                item.begin_ns = f->request_ns;
            } else {
                TimelineItem wait = item;

                wait.begin_ns = f->request_ns;
                wait.end_ns = done;
                wait.name = timeline_text(b, queued);
                add_item(b, f->lane, wait);
            }
        }
        add_item(b, f->lane, item);
        if (f->barrier_ns != TRACE_NO_TIME && f->barrier_ns > 0) {
            item.begin_ns = plus(done, cost);
            item.end_ns = plus(plus(done, cost), f->barrier_ns);
            item.name = timeline_text(b, barrier);
            add_item(b, f->lane, item);
        }
    }
    write_kind(b, &kind);
}

static void write_refills(TimelineBuild *b)
{
    static const char *const how[] = {
        [TRACE_REFILL_WALK] = "walk",
        [TRACE_REFILL_FAULT] = "fault",
        [TRACE_REFILL_VICTIM] = "victim",
        [TRACE_REFILL_RESIZE] = "resize",
    };
    static const TimelineKind kind = { "TLB refills",
                                       "TLB misses: page walks, faults, the victim table; resizes",
                                       false,
                                       { { "leads to", TIMELINE_TEXT } } };

    for (size_t i = 0; i < b->model->n_refills; i++) {
        const TraceRefill *r = &b->model->refills[i];
        g_autofree char *name = g_strdup_printf("%s: %s", trace_model_text(b->model, r->access),
                                                r->kind < G_N_ELEMENTS(how) ? how[r->kind] : "?");

        /* The event is emitted when the walk is over. */
        add_item(b, r->lane,
                 (TimelineItem){
                     .begin_ns = r->duration_ns == TRACE_NO_TIME
                                     ? r->time_ns
                                     : minus(r->time_ns, r->duration_ns),
                     .end_ns = r->time_ns,
                     .name = timeline_text(b, name),
                     .extra = { text_extra(b, r->what) },
                 });
    }
    write_kind(b, &kind);
}

static void write_timers(TimelineBuild *b)
{
    static const TimelineKind kind = {
        "timers",
        "timers that fired, from when each was due",
        false,
        { { "late by", TIMELINE_NS }, { "clock", TIMELINE_TEXT }, { "armed before", TIMELINE_NS } }
    };

    for (size_t i = 0; i < b->model->n_timers; i++) {
        const TraceTimer *t = &b->model->timers[i];

        if (t->fired_ns == TRACE_NO_TIME) {
            continue;
        }
        add_item(
            b, t->lane,
            (TimelineItem){
                .begin_ns = MAX(minus(t->fired_ns, MAX(t->lateness_ns, 0)), b->model->begin_ns),
                .end_ns = t->fired_ns,
                .name = timeline_atom(b, t->name),
                .extra = { t->lateness_ns, text_extra(b, t->clock),
                           between(t->armed_ns, t->fired_ns) },
            });
    }
    write_kind(b, &kind);
}

static void write_accesses(TimelineBuild *b)
{
    static const char *const what[] = {
        [TRACE_ACCESS_MMIO_READ] = "read",           [TRACE_ACCESS_MMIO_WRITE] = "write",
        [TRACE_ACCESS_MMIO_ERROR] = "refused",       [TRACE_ACCESS_VIRTIO_NOTIFY] = "notify",
        [TRACE_ACCESS_VIRTIO_COMPLETE] = "complete",
    };
    static const TimelineKind kind = { "devices",
                                       "device accesses, virtio notify and complete",
                                       true,
                                       { { "offset or queue", TIMELINE_HEX },
                                         { "value", TIMELINE_HEX },
                                         { "size", TIMELINE_COUNT } } };
    const TraceModel *m = b->model;

    for (size_t i = 0; i < m->n_accesses; i++) {
        const TraceAccess *a = &m->accesses[i];
        g_autofree char *name = g_strdup_printf("%s: %s", trace_model_text(m, a->device),
                                                a->kind < G_N_ELEMENTS(what) ? what[a->kind] : "?");

        add_item(b, a->lane,
                 (TimelineItem){
                     .begin_ns = a->time_ns,
                     .end_ns = a->time_ns,
                     .name = timeline_text(b, name),
                     .extra = { (int64_t)a->offset, (int64_t)a->value, a->size_bytes },
                 });
    }
    write_kind(b, &kind);
}

static void write_wakes(TimelineBuild *b)
{
    static const TimelineKind kind = { "wake-ups",
                                       "the halted vCPU's thread woke",
                                       true,
                                       { { "cause", TIMELINE_TEXT },
                                         { "slept", TIMELINE_NS },
                                         { "woken by", TIMELINE_LANE },
                                         { "after the kick", TIMELINE_NS } } };

    for (size_t i = 0; i < b->model->n_wakes; i++) {
        const TraceWake *w = &b->model->wakes[i];

        add_item(b, w->lane,
                 (TimelineItem){
                     .begin_ns = w->time_ns,
                     .end_ns = w->time_ns,
                     .name = timeline_text(b, "wake"),
                     .extra = { text_extra(b, w->cause), w->slept_ns, lane_extra(w->waker),
                                between(w->kick_ns, w->time_ns) },
                 });
    }
    write_kind(b, &kind);
}

static void write_moments(TimelineBuild *b)
{
    static const TimelineKind kind = {
        "moments", "run states, pauses, resets, faults", true, { { "fields", TIMELINE_TEXT } }
    };

    for (size_t i = 0; i < b->model->n_moments; i++) {
        const TraceMoment *moment = &b->model->moments[i];

        add_item(b, moment->lane,
                 (TimelineItem){
                     .begin_ns = moment->time_ns,
                     .end_ns = moment->time_ns,
                     .name = timeline_atom(b, moment->event),
                     .extra = { text_extra(b, moment->text) },
                 });
    }
    write_kind(b, &kind);
}

void timeline_build_tracks(TimelineBuild *build)
{
    for (size_t lane = 0; lane < build->model->n_lanes; lane++) {
        if (build->model->lanes[lane].states_n > 0) {
            write_states(build, (unsigned)lane);
        }
    }
    write_guests(build);
    write_irqs(build);
    write_locks(build);
    write_exclusives(build);
    write_works(build);
    write_flushes(build);
    write_refills(build);
    write_ops(build);
    write_timers(build);
    write_accesses(build);
    write_wakes(build);
    write_moments(build);
}
