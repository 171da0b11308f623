/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace perfetto`: the JSON of Chrome's trace event format, which ui.perfetto.dev and
 * chrome://tracing open. The idea to hold: slices of one track must nest, so each lane has a track of
 * its own for each kind of thing (states, ops, locks, guest tasks, ...), and what may overlap is an
 * asynchronous event.
 */
#include "trace/analysis/commands.h"

#include <inttypes.h>

#include "trace/analysis/text.h"

typedef enum Track {
    TRACK_STATES,
    TRACK_GUEST_TASK,
    TRACK_GUEST_MODE,
    TRACK_OPS,
    TRACK_LOCK,
    TRACK_WORK,
    TRACK_EXCLUSIVE,
    TRACK_EVENTS,
    TRACK_COUNT,
} Track;

static const char *const track_names[TRACK_COUNT] = {
    [TRACK_STATES] = "states",
    [TRACK_GUEST_TASK] = "guest task",
    [TRACK_GUEST_MODE] = "guest privilege",
    [TRACK_OPS] = "accelerator ops",
    [TRACK_LOCK] = "machine lock",
    [TRACK_WORK] = "work",
    [TRACK_EXCLUSIVE] = "exclusive sections",
    [TRACK_EVENTS] = "events",
};

/* Of the few names for colours that the format has. */
static const char *const state_colours[TRACE_STATE_COUNT] = {
    [TRACE_STATE_CREATED] = "grey",
    [TRACE_STATE_STOPPED] = "grey",
    [TRACE_STATE_RUNNING] = "thread_state_running",
    [TRACE_STATE_EXIT] = "thread_state_runnable",
    [TRACE_STATE_DEVICE] = "thread_state_iowait",
    [TRACE_STATE_LOCK_WAIT] = "terrible",
    [TRACE_STATE_EXCLUSIVE_WAIT] = "bad",
    [TRACE_STATE_EXCLUSIVE] = "olive",
    [TRACE_STATE_HALTED] = "thread_state_sleeping",
    [TRACE_STATE_THROTTLED] = "yellow",
    [TRACE_STATE_UNPLUGGED] = "white",
    [TRACE_STATE_UNKNOWN] = "black",
};

typedef struct Writer {
    const TraceModel *model;
    FILE *out;
    bool first;
    bool *used;       /* tracks: lane * TRACK_COUNT + track */
    uint64_t next_id; /* of flows and asynchronous events */
} Writer;

static const char *text(const Writer *w, TraceAtom atom)
{
    return trace_model_text(w->model, atom);
}

static int64_t pid_of(const Writer *w, uint32_t source)
{
    int64_t pid = w->model->sources[source].pid;

    return pid >= 0 ? pid : (int64_t)source + 1;
}

/* Lanes that the trace does not tell have the first source's last tracks. */
static unsigned tid_of(const Writer *w, TraceLaneId lane, Track track)
{
    unsigned number = lane == TRACE_NO_LANE ? (unsigned)w->model->n_lanes : lane;

    w->used[number * TRACK_COUNT + track] = true;
    return (number + 1) * TRACK_COUNT + track;
}

static uint32_t source_of(const Writer *w, TraceLaneId lane)
{
    return lane == TRACE_NO_LANE ? 0 : w->model->lanes[lane].source;
}

/* Opens an event; the caller adds fields and ends it with '}'. Microseconds with three digits are ns. */
static void event(Writer *w, const char *phase, const char *name, TraceLaneId lane, Track track,
                  int64_t time_ns)
{
    bool negative = time_ns < 0;
    uint64_t ns = negative ? (uint64_t)-time_ns : (uint64_t)time_ns;

    fprintf(w->out,
            "%s\n{\"ph\":\"%s\",\"pid\":%" PRId64 ",\"tid\":%u,\"ts\":%s%" PRIu64 ".%03u,\"name\":",
            w->first ? "" : ",", phase, pid_of(w, source_of(w, lane)), tid_of(w, lane, track),
            negative ? "-" : "", ns / 1000, (unsigned)(ns % 1000));
    w->first = false;
    json_write_quoted(w->out, name);
}

static void duration(const Writer *w, int64_t begin_ns, int64_t end_ns)
{
    int64_t ns = end_ns > begin_ns ? end_ns - begin_ns : 0;

    fprintf(w->out, ",\"dur\":%" PRId64 ".%03d", ns / 1000, (int)(ns % 1000));
}

static void text_arg(const Writer *w, const char *before, const char *name, const char *value)
{
    fprintf(w->out, "%s\"%s\":", before, name);
    json_write_quoted(w->out, value);
}

static int64_t end_or_last(const Writer *w, int64_t end_ns)
{
    return end_ns == TRACE_NO_TIME ? w->model->end_ns : end_ns;
}

/* ---- Tables. */

static void write_states(Writer *w)
{
    for (size_t i = 0; i < w->model->n_states; i++) {
        const TraceStateSpan *span = &w->model->states[i];

        event(w, "X", trace_state_name(span->state), span->lane, TRACK_STATES, span->begin_ns);
        duration(w, span->begin_ns, span->end_ns);
        fprintf(w->out, ",\"cat\":\"state\",\"cname\":\"%s\"", state_colours[span->state]);
        text_arg(w, ",\"args\":{", "reason", text(w, span->reason));
        if (w->model->has_vtime && w->model->state_vtime[i] != TRACE_NO_TIME) {
            fprintf(w->out, ",\"guest_ns\":%" PRId64, w->model->state_vtime[i]);
        }
        fputs("}}", w->out);
    }
}

/* An arrow from the kicker to where the kick took effect; a moment where it had none. */
static void write_kicks(Writer *w)
{
    for (size_t i = 0; i < w->model->n_kicks; i++) {
        const TraceKick *kick = &w->model->kicks[i];
        bool from_vcpu = kick->kicker != TRACE_NO_LANE &&
                         w->model->lanes[kick->kicker].kind == TRACE_LANE_VCPU &&
                         w->model->lanes[kick->kicker].states_n;
        Track track = from_vcpu ? TRACK_STATES : TRACK_EVENTS;

        if (!from_vcpu) {
            g_autofree char *name =
                g_strdup_printf("kick %s", trace_model_lane_name(w->model, kick->target));

            /* Arrows begin in slices. */
            event(w, "X", name, kick->kicker, TRACK_EVENTS, kick->sent_ns);
            text_arg(w, ",\"dur\":0.001,\"cat\":\"kick\",\"args\":{", "cause",
                     text(w, kick->cause));
            fputs("}}", w->out);
        }
        if (kick->taken_ns == TRACE_NO_TIME || kick->taken_ns == kick->sent_ns ||
            !w->model->lanes[kick->target].states_n) {
            continue;
        }
        event(w, "s", "kick", kick->kicker, track, kick->sent_ns);
        fprintf(w->out, ",\"cat\":\"kick\",\"id\":%" PRIu64, ++w->next_id);
        text_arg(w, ",\"args\":{", "cause", text(w, kick->cause));
        fputs("}}", w->out);
        event(w, "f", "kick", kick->target, TRACK_STATES, kick->taken_ns);
        fprintf(w->out, ",\"cat\":\"kick\",\"bp\":\"e\",\"id\":%" PRIu64 "}", w->next_id);
    }
}

static void write_ops(Writer *w)
{
    for (size_t i = 0; i < w->model->n_ops; i++) {
        const TraceOp *op = &w->model->ops[i];

        event(w, "X", text(w, op->op), op->lane, TRACK_OPS, op->begin_ns);
        duration(w, op->begin_ns, end_or_last(w, op->end_ns));
        text_arg(w, ",\"cat\":\"accel\",\"args\":{", "for",
                 op->target == TRACE_NO_LANE ? "the machine"
                                             : trace_model_lane_name(w->model, op->target));
        fprintf(w->out, ",\"outcome\":%" PRId64 "}}", op->outcome);
    }
}

static void write_locks(Writer *w)
{
    for (size_t i = 0; i < w->model->n_locks; i++) {
        const TraceLock *lock = &w->model->locks[i];

        event(w, "X", lock->hold ? "held" : "wait", lock->lane, TRACK_LOCK, lock->begin_ns);
        duration(w, lock->begin_ns, lock->end_ns);
        text_arg(w, ",\"cat\":\"lock\",\"args\":{", "site", text(w, lock->site));
        fputs("}}", w->out);
    }
    for (size_t i = 0; i < w->model->n_exclusives; i++) {
        const TraceExclusive *section = &w->model->exclusives[i];

        event(w, "X", "wait", section->lane, TRACK_EXCLUSIVE, section->asked_ns);
        duration(w, section->asked_ns, section->begin_ns);
        fputs(",\"cat\":\"exclusive\"}", w->out);
        event(w, "X", "exclusive", section->lane, TRACK_EXCLUSIVE, section->begin_ns);
        duration(w, section->begin_ns, end_or_last(w, section->end_ns));
        fputs(",\"cat\":\"exclusive\"}", w->out);
    }
}

static void write_works(Writer *w)
{
    for (size_t i = 0; i < w->model->n_works; i++) {
        const TraceWork *work = &w->model->works[i];

        if (work->begin_ns != TRACE_NO_TIME) {
            event(w, "X", text(w, work->kind), work->lane, TRACK_WORK, work->begin_ns);
            duration(w, work->begin_ns, work->end_ns);
            text_arg(w, ",\"cat\":\"work\",\"args\":{", "from",
                     trace_model_lane_name(w->model, work->from));
            fprintf(w->out, ",\"queued_ns\":%" PRId64 "}}", work->begin_ns - work->queued_ns);
        }
    }
}

/* Pairs that may overlap on a lane. */
static void write_pair(Writer *w, const char *category, const char *name, TraceLaneId lane,
                       int64_t begin_ns, int64_t end_ns)
{
    event(w, "b", name, lane, TRACK_EVENTS, begin_ns);
    fprintf(w->out, ",\"cat\":\"%s\",\"id\":%" PRIu64 "}", category, ++w->next_id);
    event(w, "e", name, lane, TRACK_EVENTS, end_ns);
    fprintf(w->out, ",\"cat\":\"%s\",\"id\":%" PRIu64 "}", category, w->next_id);
}

static void write_irqs(Writer *w)
{
    for (size_t i = 0; i < w->model->n_irqs; i++) {
        const TraceIrq *irq = &w->model->irqs[i];
        bool delivered = irq->deliver_ns != TRACE_NO_TIME;
        int64_t end_ns = delivered ? irq->deliver_ns : end_or_last(w, irq->lower_ns);
        g_autofree char *name =
            irq->lane == TRACE_NO_LANE
                ? g_strdup_printf("%s line %" PRIu64, text(w, irq->device), irq->line)
                : g_strdup_printf("%s pending", text(w, irq->device));

        write_pair(w, "irq", name, irq->lane == TRACE_NO_LANE ? irq->from : irq->lane,
                   irq->raise_ns, MAX(end_ns, irq->raise_ns));
    }
}

static void write_guests(Writer *w)
{
    for (size_t i = 0; i < w->model->n_guests; i++) {
        const TraceGuest *guest = &w->model->guests[i];
        const char *label = text(w, guest->text);
        g_autofree char *name = NULL;

        switch ((TraceGuestKind)guest->kind) {
        case TRACE_GUEST_TASK:
            name = g_strdup_printf("%s [%" PRId64 "]", label, guest->number);
            event(w, "X", name, guest->lane, TRACK_GUEST_TASK, guest->time_ns);
            duration(w, guest->time_ns, end_or_last(w, guest->end_ns));
            fputs(",\"cat\":\"guest\"}", w->out);
            break;
        case TRACE_GUEST_MODE:
            event(w, "X", label, guest->lane, TRACK_GUEST_MODE, guest->time_ns);
            duration(w, guest->time_ns, end_or_last(w, guest->end_ns));
            fputs(",\"cat\":\"guest\"}", w->out);
            break;
        case TRACE_GUEST_SYSCALL:
            name =
                *label ? g_strdup(label) : g_strdup_printf("system call %" PRId64, guest->number);
            write_pair(w, "syscall", name, guest->lane, guest->time_ns,
                       end_or_last(w, guest->end_ns));
            break;
        case TRACE_GUEST_TRAP:
        case TRACE_GUEST_SATP:
            name = guest->kind == TRACE_GUEST_TRAP ? g_strdup_printf("trap: %s", label)
                                                   : g_strdup_printf("satp: %s", label);
            event(w, "i", name, guest->lane, TRACK_EVENTS, guest->time_ns);
            fputs(",\"s\":\"t\",\"cat\":\"guest\"}", w->out);
            break;
        }
    }
}

static void write_accesses(Writer *w)
{
    static const char *const kinds[] = { "read", "write", "error", "notify", "complete" };

    for (size_t i = 0; i < w->model->n_accesses; i++) {
        const TraceAccess *access = &w->model->accesses[i];
        g_autofree char *name =
            g_strdup_printf("%s %s", text(w, access->device), kinds[access->kind]);

        event(w, "i", name, access->lane, TRACK_EVENTS, access->time_ns);
        fprintf(w->out,
                ",\"s\":\"t\",\"cat\":\"hw\",\"args\":{\"offset\":%" PRIu64
                ",\"value\":\"0x%" PRIx64 "\",\"size\":%u}}",
                access->offset, access->value, access->size_bytes);
    }
}

static void write_moments(Writer *w)
{
    for (size_t i = 0; i < w->model->n_moments; i++) {
        const TraceMoment *moment = &w->model->moments[i];

        event(w, "i", text(w, moment->event), moment->lane, TRACK_EVENTS, moment->time_ns);
        text_arg(w, ",\"s\":\"p\",\"args\":{", "fields", text(w, moment->text));
        fputs("}}", w->out);
    }
    for (size_t i = 0; i < w->model->n_timers; i++) {
        const TraceTimer *timer = &w->model->timers[i];

        if (timer->fired_ns != TRACE_NO_TIME) {
            event(w, "i", text(w, timer->name), timer->lane, TRACK_EVENTS, timer->fired_ns);
            fprintf(w->out,
                    ",\"s\":\"t\",\"cat\":\"timer\",\"args\":{\"lateness_ns\":%" PRId64 "}}",
                    timer->lateness_ns);
        }
    }
    for (size_t i = 0; i < w->model->n_flushes; i++) {
        const TraceFlush *flush = &w->model->flushes[i];
        g_autofree char *name = g_strdup_printf("TLB flush: %s", text(w, flush->kind));

        event(w, "i", name, flush->lane, TRACK_EVENTS, flush->request_ns);
        text_arg(w, ",\"s\":\"t\",\"cat\":\"tlb\",\"args\":{", "cause", text(w, flush->cause));
        fputs("}}", w->out);
    }
    for (size_t i = 0; i < w->model->n_losses; i++) {
        const TraceLoss *loss = &w->model->losses[i];
        g_autofree char *name = g_strdup_printf("%" PRIu64 " events lost", loss->count);

        write_pair(w, "lost", name, loss->lane, loss->begin_ns, MAX(loss->end_ns, loss->begin_ns));
    }
}

/* ---- Names of tracks, last: only those that were used. */

static void write_names(Writer *w)
{
    for (size_t i = 0; i < w->model->n_sources; i++) {
        fprintf(w->out,
                "%s\n{\"ph\":\"M\",\"pid\":%" PRId64 ",\"name\":\"process_name\",\"args\":{",
                w->first ? "" : ",", pid_of(w, (uint32_t)i));
        text_arg(w, "", "name", text(w, w->model->sources[i].path));
        fputs("}}", w->out);
        w->first = false;
    }
    for (size_t i = 0; i < (w->model->n_lanes + 1) * TRACK_COUNT; i++) {
        TraceLaneId lane =
            i / TRACK_COUNT < w->model->n_lanes ? (TraceLaneId)(i / TRACK_COUNT) : TRACE_NO_LANE;
        const char *name =
            lane == TRACE_NO_LANE ? "unknown thread" : trace_model_lane_name(w->model, lane);
        int64_t pid = pid_of(w, source_of(w, lane));

        if (!w->used[i]) {
            continue;
        }
        fprintf(w->out,
                ",\n{\"ph\":\"M\",\"pid\":%" PRId64
                ",\"tid\":%zu,\"name\":\"thread_name\",\"args\":{",
                pid, i + TRACK_COUNT);
        fputs("\"name\":", w->out);
        if (i % TRACK_COUNT == TRACK_STATES) {
            json_write_quoted(w->out, name);
        } else {
            g_autofree char *full = g_strdup_printf("%s: %s", name, track_names[i % TRACK_COUNT]);

            json_write_quoted(w->out, full);
        }
        fprintf(w->out,
                "}},\n{\"ph\":\"M\",\"pid\":%" PRId64
                ",\"tid\":%zu,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%zu}}",
                pid, i + TRACK_COUNT, i);
    }
}

bool command_perfetto(const TraceModel *model, const CommandOptions *options, FILE *out,
                      GError **error)
{
    g_autofree bool *used = g_new0(bool, (model->n_lanes + 1) * TRACK_COUNT);
    Writer w = { model, out, true, used, 0 };

    fprintf(out,
            "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"epoch_ns\":%" PRId64 ",\"lost\":%" PRIu64
            "},\"traceEvents\":[",
            model->epoch_ns, model->n_lost);
    write_states(&w);
    write_kicks(&w);
    write_ops(&w);
    write_locks(&w);
    write_works(&w);
    write_irqs(&w);
    write_guests(&w);
    write_accesses(&w);
    write_moments(&w);
    write_names(&w);
    fputs("\n]}\n", out);
    return true;
}
