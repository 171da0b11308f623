/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace export csv`: RFC 4180 with a line of names. Events are read twice: once to know which
 * fields there are, once to write them; a trace may so be larger than memory. The model's tables are
 * written from a description of their columns.
 */
#include "trace/analysis/commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace/analysis/reader.h"
#include "trace/analysis/text.h"

static void write_text(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"') {
            putc('"', out);
        }
        putc(*text, out);
    }
    putc('"', out);
}

/* ---- Events. */

typedef struct ClassColumns {
    int columns[READER_MAX_FIELDS]; /* of the class's fields */
    int cpu;                        /* the field that names a vCPU; -1 */
} ClassColumns;

typedef struct EventExport {
    const TraceModelOptions *filter;
    Atoms *atoms;
    FILE *out;
    bool absolute;
    bool counting; /* the first pass */
    bool started;
    int64_t epoch_ns;
    uint64_t written;
    GPtrArray *classes; /* names of classes and their fields, to be sorted: "cpus:kick\tcpu\t..." */
    GPtrArray *names;   /* of columns */
    GPtrArray *plans;   /* of ClassColumns */
    const char **cells; /* scratch: what each column has; NULL is nothing */
    GString **numbers;  /* where cells of numbers are */
} EventExport;

static bool wanted(const EventExport *e, const char *name)
{
    if (!e->filter->events) {
        return true;
    }
    for (unsigned i = 0; e->filter->events[i]; i++) {
        if (g_pattern_match_simple(e->filter->events[i], name)) {
            return true;
        }
    }
    return false;
}

static int column_of(const EventExport *e, const char *name)
{
    for (unsigned i = 0; i < e->names->len; i++) {
        if (strcmp(g_ptr_array_index(e->names, i), name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void on_class(void *opaque, ReaderClass *cls)
{
    EventExport *e = opaque;
    g_autoptr(GString) names = g_string_new(cls->name);
    ClassColumns *plan;

    cls->skip = !wanted(e, cls->name);
    if (cls->skip) {
        return;
    }
    if (e->counting) {
        cls->skip = true;
        for (unsigned i = 0; i < cls->n_fields; i++) {
            g_string_append_printf(names, "\t%s", cls->fields[i].name);
        }
        g_ptr_array_add(e->classes, g_strdup(names->str));
        return;
    }
    plan = g_new0(ClassColumns, 1);
    g_ptr_array_add(e->plans, plan);
    plan->cpu = -1;
    for (unsigned i = 0; i < cls->n_fields; i++) {
        plan->columns[i] = column_of(e, cls->fields[i].name);
        if (strcmp(cls->fields[i].name, "cpu") == 0) {
            plan->cpu = (int)i;
        }
    }
    cls->user = plan;
}

static bool in_range(const EventExport *e, const ReaderEvent *event, int64_t time_ns)
{
    const ClassColumns *plan = event->cls->user;
    int64_t cpu = -1;

    if (time_ns < e->filter->from_ns || (e->filter->to_ns && time_ns > e->filter->to_ns)) {
        return false;
    }
    if (!e->filter->vcpus) {
        return true;
    }
    if (plan->cpu >= 0) {
        cpu = (int32_t)event->values[plan->cpu];
    } else if (event->thread) {
        const char *name = atoms_text(e->atoms, event->thread->name);
        char *end;

        if (g_ascii_strncasecmp(name, "cpu ", 4) == 0) {
            cpu = strtol(name + 4, &end, 10);
            cpu = *end == '/' ? cpu : -1;
        }
    }
    for (size_t i = 0; i < e->filter->n_vcpus; i++) {
        if (cpu == e->filter->vcpus[i]) {
            return true;
        }
    }
    return false;
}

static void set_cell(EventExport *e, const ReaderEvent *event, unsigned field)
{
    const ClassColumns *plan = event->cls->user;
    int column = plan->columns[field];
    uint64_t value = event->values[field];
    GString *number;
    double real;

    if (column < 0) {
        return;
    }
    number = e->numbers[column];
    e->cells[column] = number->str;
    switch (event->cls->fields[field].type) {
    case READER_UNSIGNED:
        g_string_printf(number, "%" PRIu64, value);
        break;
    case READER_HEX:
        g_string_printf(number, "0x%" PRIx64, value);
        break;
    case READER_SIGNED:
        g_string_printf(number, "%" PRId64, (int64_t)value);
        break;
    case READER_TEXT:
        e->cells[column] = atoms_text(e->atoms, (uint32_t)value);
        return;
    case READER_REAL:
        memcpy(&real, &value, sizeof(real));
        g_string_printf(number, "%.17g", real);
        break;
    case READER_OTHER:
        g_string_assign(number, "");
        break;
    }
    e->cells[column] = number->str;
}

static void on_event(void *opaque, const ReaderEvent *event)
{
    EventExport *e = opaque;
    int64_t time_ns;

    if (!e->started) {
        e->started = true;
        e->epoch_ns = event->time_ns;
    }
    time_ns = event->time_ns - e->epoch_ns;
    if (event->cls->skip || !in_range(e, event, time_ns)) {
        return;
    }
    e->written++;
    fprintf(e->out, "%" PRId64 ",%u,", e->absolute ? event->time_ns : time_ns,
            event->source->index);
    if (event->thread) {
        fprintf(e->out, "%" PRId64 ",", event->thread->tid);
        write_text(e->out, atoms_text(e->atoms, event->thread->name));
    } else {
        putc(',', e->out);
    }
    putc(',', e->out);
    write_text(e->out, event->cls->name);
    putc(',', e->out);
    if (event->vtime_ns != READER_NO_TIME) {
        fprintf(e->out, "%" PRId64, event->vtime_ns);
    }
    memset(e->cells, 0, e->names->len * sizeof(*e->cells));
    for (unsigned i = 0; i < event->cls->n_fields; i++) {
        set_cell(e, event, i);
    }
    for (unsigned i = 0; i < e->names->len; i++) {
        putc(',', e->out);
        if (e->cells[i]) {
            write_text(e->out, e->cells[i]);
        }
    }
    putc('\n', e->out);
}

static void on_loss(void *opaque, ReaderSource *source, ReaderThread *thread, int64_t begin_ns,
                    int64_t end_ns, uint64_t count)
{
    EventExport *e = opaque;

    if (!e->counting) {
        fprintf(stderr, "orrery-trace: %s: %" PRIu64 " events were lost in recording\n",
                source->path, count);
    }
}

static bool pass(EventExport *e, const char *const *paths, bool counting, GError **error)
{
    ReaderCallbacks callbacks = { on_class, on_event, on_loss, e };
    g_autoptr(Reader) reader = reader_open(paths, e->atoms, error);
    bool ok;

    e->counting = counting;
    ok = reader && reader_run(reader, &callbacks, error);
    if (ok && !reader_n_events(reader)) {
        ok = tool_fail(error, "%s: the trace has no event", paths[0]);
    }
    if (ok && !counting) {
        GPtrArray *sources = reader_sources(reader);

        for (unsigned i = 0; i < sources->len; i++) {
            const ReaderSource *source = g_ptr_array_index(sources, i);

            if (source->truncated) {
                fprintf(stderr,
                        "orrery-trace: %s: the last packet was cut off, as by a kill or a full "
                        "disk: read as far as it goes\n",
                        source->path);
            }
        }
    }
    return ok;
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The union of all classes' fields, in an order that does not depend on the trace's. */
static void name_columns(EventExport *e)
{
    g_ptr_array_sort(e->classes, compare_texts);
    for (unsigned i = 0; i < e->classes->len; i++) {
        g_auto(GStrv) names = g_strsplit(g_ptr_array_index(e->classes, i), "\t", -1);

        for (unsigned j = 1; names[j]; j++) {
            if (column_of(e, names[j]) < 0) {
                g_ptr_array_add(e->names, g_strdup(names[j]));
            }
        }
    }
    e->cells = g_new0(const char *, e->names->len + 1);
    e->numbers = g_new0(GString *, e->names->len + 1);
    fputs("time_ns,source,tid,thread,event,vtime_ns", e->out);
    for (unsigned i = 0; i < e->names->len; i++) {
        e->numbers[i] = g_string_new(NULL);
        putc(',', e->out);
        write_text(e->out, g_ptr_array_index(e->names, i));
    }
    putc('\n', e->out);
}

bool command_export_events(const char *const *paths, const TraceModelOptions *filter, bool absolute,
                           FILE *out, GError **error)
{
    EventExport e = { .filter = filter, .out = out, .absolute = absolute };
    bool ok;

    e.atoms = atoms_create();
    e.classes = g_ptr_array_new_with_free_func(g_free);
    e.names = g_ptr_array_new_with_free_func(g_free);
    e.plans = g_ptr_array_new_with_free_func(g_free);
    ok = pass(&e, paths, true, error);
    if (ok) {
        name_columns(&e);
        ok = pass(&e, paths, false, error);
        for (unsigned i = 0; i < e.names->len; i++) {
            g_string_free(e.numbers[i], TRUE);
        }
        g_free(e.cells);
        g_free(e.numbers);
    }
    g_ptr_array_unref(e.classes);
    g_ptr_array_unref(e.names);
    g_ptr_array_unref(e.plans);
    atoms_destroy(e.atoms);
    return ok;
}

/* ---- Tables. */

typedef enum ColumnType {
    TIME,
    NS,
    ATOM,
    LANE,
    U64,
    I64,
    U8,
    STATE,
    ACCESS,
    GUEST,
    REFILL,
    BOOL
} ColumnType;

typedef struct Column {
    const char *name;
    ColumnType type;
    size_t offset;
} Column;

typedef struct TableExport {
    const char *name;
    size_t table, n, record_bytes;
    Column columns[12];
} TableExport;

#define RECORDS(table_, n_, type_)                                                                 \
    offsetof(TraceModel, table_), offsetof(TraceModel, n_), sizeof(type_)
#define COLUMN(type_, record_, field_)                                                             \
    {                                                                                              \
#field_, type_, offsetof(record_, field_)                                                  \
    }

static const TableExport table_exports[] = {
    { "states",
      RECORDS(states, n_states, TraceStateSpan),
      { COLUMN(TIME, TraceStateSpan, begin_ns), COLUMN(TIME, TraceStateSpan, end_ns),
        COLUMN(LANE, TraceStateSpan, lane), COLUMN(STATE, TraceStateSpan, state),
        COLUMN(ATOM, TraceStateSpan, reason), COLUMN(U8, TraceStateSpan, flags) } },
    { "kicks",
      RECORDS(kicks, n_kicks, TraceKick),
      { COLUMN(TIME, TraceKick, sent_ns), COLUMN(TIME, TraceKick, taken_ns),
        COLUMN(LANE, TraceKick, kicker), COLUMN(LANE, TraceKick, target),
        COLUMN(ATOM, TraceKick, cause), COLUMN(STATE, TraceKick, state),
        COLUMN(BOOL, TraceKick, merged) } },
    { "wakes",
      RECORDS(wakes, n_wakes, TraceWake),
      { COLUMN(TIME, TraceWake, time_ns), COLUMN(NS, TraceWake, slept_ns),
        COLUMN(TIME, TraceWake, kick_ns), COLUMN(LANE, TraceWake, lane),
        COLUMN(LANE, TraceWake, waker), COLUMN(ATOM, TraceWake, cause) } },
    { "works",
      RECORDS(works, n_works, TraceWork),
      { COLUMN(TIME, TraceWork, queued_ns), COLUMN(TIME, TraceWork, begin_ns),
        COLUMN(TIME, TraceWork, end_ns), COLUMN(ATOM, TraceWork, kind),
        COLUMN(LANE, TraceWork, from), COLUMN(LANE, TraceWork, lane) } },
    { "exclusives",
      RECORDS(exclusives, n_exclusives, TraceExclusive),
      { COLUMN(TIME, TraceExclusive, asked_ns), COLUMN(TIME, TraceExclusive, begin_ns),
        COLUMN(TIME, TraceExclusive, end_ns), COLUMN(LANE, TraceExclusive, lane) } },
    { "locks",
      RECORDS(locks, n_locks, TraceLock),
      { COLUMN(TIME, TraceLock, begin_ns), COLUMN(TIME, TraceLock, end_ns),
        COLUMN(BOOL, TraceLock, hold), COLUMN(ATOM, TraceLock, site),
        COLUMN(LANE, TraceLock, lane) } },
    { "ops",
      RECORDS(ops, n_ops, TraceOp),
      { COLUMN(TIME, TraceOp, begin_ns), COLUMN(TIME, TraceOp, end_ns), COLUMN(ATOM, TraceOp, op),
        COLUMN(LANE, TraceOp, lane), COLUMN(LANE, TraceOp, target),
        COLUMN(I64, TraceOp, outcome) } },
    { "flushes",
      RECORDS(flushes, n_flushes, TraceFlush),
      { COLUMN(TIME, TraceFlush, request_ns), COLUMN(TIME, TraceFlush, execute_ns),
        COLUMN(NS, TraceFlush, barrier_ns), COLUMN(ATOM, TraceFlush, kind),
        COLUMN(ATOM, TraceFlush, cause), COLUMN(ATOM, TraceFlush, widened),
        COLUMN(LANE, TraceFlush, from), COLUMN(LANE, TraceFlush, lane),
        COLUMN(U64, TraceFlush, entries) } },
    { "refills",
      RECORDS(refills, n_refills, TraceRefill),
      { COLUMN(TIME, TraceRefill, time_ns), COLUMN(NS, TraceRefill, duration_ns),
        COLUMN(REFILL, TraceRefill, kind), COLUMN(ATOM, TraceRefill, access),
        COLUMN(ATOM, TraceRefill, what), COLUMN(LANE, TraceRefill, lane) } },
    { "irqs",
      RECORDS(irqs, n_irqs, TraceIrq),
      { COLUMN(TIME, TraceIrq, raise_ns), COLUMN(TIME, TraceIrq, deliver_ns),
        COLUMN(TIME, TraceIrq, lower_ns), COLUMN(ATOM, TraceIrq, device),
        COLUMN(U64, TraceIrq, line), COLUMN(LANE, TraceIrq, from), COLUMN(LANE, TraceIrq, lane) } },
    { "timers",
      RECORDS(timers, n_timers, TraceTimer),
      { COLUMN(TIME, TraceTimer, armed_ns), COLUMN(TIME, TraceTimer, fired_ns),
        COLUMN(I64, TraceTimer, deadline_ns), COLUMN(I64, TraceTimer, lateness_ns),
        COLUMN(ATOM, TraceTimer, name), COLUMN(ATOM, TraceTimer, clock),
        COLUMN(LANE, TraceTimer, lane), COLUMN(U8, TraceTimer, end) } },
    { "accesses",
      RECORDS(accesses, n_accesses, TraceAccess),
      { COLUMN(TIME, TraceAccess, time_ns), COLUMN(ACCESS, TraceAccess, kind),
        COLUMN(ATOM, TraceAccess, device), COLUMN(LANE, TraceAccess, lane),
        COLUMN(U64, TraceAccess, offset), COLUMN(U64, TraceAccess, value),
        COLUMN(U8, TraceAccess, size_bytes) } },
    { "guests",
      RECORDS(guests, n_guests, TraceGuest),
      { COLUMN(TIME, TraceGuest, time_ns), COLUMN(TIME, TraceGuest, end_ns),
        COLUMN(GUEST, TraceGuest, kind), COLUMN(LANE, TraceGuest, lane),
        COLUMN(I64, TraceGuest, number), COLUMN(ATOM, TraceGuest, text) } },
    { "moments",
      RECORDS(moments, n_moments, TraceMoment),
      { COLUMN(TIME, TraceMoment, time_ns), COLUMN(ATOM, TraceMoment, event),
        COLUMN(LANE, TraceMoment, lane), COLUMN(ATOM, TraceMoment, text) } },
    { "losses",
      RECORDS(losses, n_losses, TraceLoss),
      { COLUMN(TIME, TraceLoss, begin_ns), COLUMN(TIME, TraceLoss, end_ns),
        COLUMN(U64, TraceLoss, count), COLUMN(LANE, TraceLoss, lane) } },
};

static const TableExport *find_table(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(table_exports); i++) {
        if (strcmp(table_exports[i].name, name) == 0) {
            return &table_exports[i];
        }
    }
    return NULL;
}

static const char *name_in(const char *const *names, size_t n, unsigned i)
{
    return i < n ? names[i] : "unknown";
}

static void write_cell(const TraceModel *model, const char *record, const Column *column,
                       bool absolute, FILE *out)
{
    static const char *const accesses[] = { "mmio_read", "mmio_write", "mmio_error",
                                            "virtio_notify", "virtio_complete" };
    static const char *const guests[] = { "task", "mode", "syscall", "trap", "satp" };
    static const char *const refills[] = { "walk", "fault", "victim", "resize" };
    const char *at = record + column->offset;
    uint64_t wide;
    uint32_t atom;
    uint16_t lane;

    switch (column->type) {
    case TIME:
    case NS:
        memcpy(&wide, at, sizeof(wide));
        if ((int64_t)wide != TRACE_NO_TIME) {
            fprintf(out, "%" PRId64,
                    (int64_t)wide + (absolute && column->type == TIME ? model->epoch_ns : 0));
        }
        break;
    case U64:
        memcpy(&wide, at, sizeof(wide));
        if (wide != UINT64_MAX) {
            fprintf(out, "%" PRIu64, wide);
        }
        break;
    case I64:
        memcpy(&wide, at, sizeof(wide));
        fprintf(out, "%" PRId64, (int64_t)wide);
        break;
    case ATOM:
        memcpy(&atom, at, sizeof(atom));
        write_text(out, trace_model_text(model, atom));
        break;
    case LANE:
        memcpy(&lane, at, sizeof(lane));
        if (lane != TRACE_NO_LANE) {
            write_text(out, trace_model_lane_name(model, lane));
        }
        break;
    case U8:
    case BOOL:
        fprintf(out, "%u", *(const uint8_t *)at);
        break;
    case STATE:
        fputs(trace_state_name(*(const uint8_t *)at), out);
        break;
    case ACCESS:
        fputs(name_in(accesses, G_N_ELEMENTS(accesses), *(const uint8_t *)at), out);
        break;
    case REFILL:
        fputs(name_in(refills, G_N_ELEMENTS(refills), *(const uint8_t *)at), out);
        break;
    case GUEST:
        fputs(name_in(guests, G_N_ELEMENTS(guests), *(const uint8_t *)at), out);
        break;
    }
}

bool command_export_table(const TraceModel *model, const char *table, bool absolute, FILE *out,
                          GError **error)
{
    const TableExport *export = find_table(table);
    size_t n = *(const size_t *)((const char *)model + export->n);
    const char *records = *(char *const *)((const char *)model + export->table);

    for (unsigned c = 0; c < G_N_ELEMENTS(export->columns) && export->columns[c].name; c++) {
        fprintf(out, "%s%s", c ? "," : "", export->columns[c].name);
    }
    putc('\n', out);
    for (size_t i = 0; i < n; i++) {
        for (unsigned c = 0; c < G_N_ELEMENTS(export->columns) && export->columns[c].name; c++) {
            if (c) {
                putc(',', out);
            }
            write_cell(model, records + i * export->record_bytes, &export->columns[c], absolute,
                       out);
        }
        putc('\n', out);
    }
    return true;
}

bool command_export_has(const char *table, GError **error)
{
    return find_table(table) ||
           tool_fail(error, "there is no table '%s'; --table help lists them", table);
}

void command_export_tables(FILE *out)
{
    fputs("events\n", out);
    for (unsigned i = 0; i < G_N_ELEMENTS(table_exports); i++) {
        fprintf(out, "%s\n", table_exports[i].name);
    }
}
