/* SPDX-License-Identifier: MIT */
/*
 * The events of `cpus` and `accel`: states, kicks, wakes, work, exclusive sections, the machine lock,
 * ops. The idea to hold: a vCPU's state is known between two of its state events only if the second
 * leaves the state that the first entered; where it does not, events are missing, and what lies
 * between is unknown and is called that.
 */
#include "trace/analysis/build.h"

#include <string.h>

static TraceState state_of(const Builder *b, TraceAtom name)
{
    for (int i = 0; i < TRACE_STATE_UNKNOWN; i++) {
        if (b->state_atoms[i] == name) {
            return (TraceState)i;
        }
    }
    return TRACE_STATE_UNKNOWN;
}

/* ---- States. */

static void add_span(Builder *b, const BuildLane *lane, TraceState state, int64_t begin_ns,
                     int64_t end_ns, TraceAtom reason, unsigned flags, int64_t vtime)
{
    TraceStateSpan *span;

    /* A state may last no time, but what is unknown for none is nothing. */
    if (begin_ns > end_ns || (begin_ns == end_ns && state == TRACE_STATE_UNKNOWN)) {
        return;
    }
    span = BUILD_ADD(b, states, n_states);
    span->begin_ns = begin_ns;
    span->end_ns = end_ns;
    span->reason = reason;
    span->lane = lane->id;
    span->state = (uint8_t)state;
    span->flags = (uint8_t)flags;
    /* In step with states: its length is that of the table, also where not all events have it. */
    if (b->model->has_vtime) {
        size_t n = b->model->n_states - 1;

        if ((n & (n - 1)) == 0 || !b->model->state_vtime) {
            size_t room = 1;

            while (room < b->model->n_states) {
                room *= 2;
            }
            bool first = !b->model->state_vtime;

            b->model->state_vtime = g_renew(int64_t, b->model->state_vtime, room);
            for (size_t i = 0; first && i < n; i++) {
                b->model->state_vtime[i] = TRACE_NO_TIME;
            }
        }
        b->model->state_vtime[n] = vtime;
    }
}

/*
 * Ends the lane's open state at time_ns, where the trace says that it was in `from`; from is
 * TRACE_STATE_COUNT where it does not say (the trace ends).
 */
static void end_state(Builder *b, BuildLane *lane, TraceState from, int64_t time_ns, unsigned flags)
{
    int64_t begin = lane->loss_begin_ns, end = lane->loss_end_ns;
    bool same = from == TRACE_STATE_COUNT || from == lane->state;

    flags |= lane->flags;
    if (begin != TRACE_NO_TIME) {
        begin = CLAMP(begin, lane->since_ns, time_ns);
        end = from == TRACE_STATE_COUNT ? time_ns : CLAMP(end, begin, time_ns);
    } else if (!same) {
        /* Nothing was counted as lost: a filter, or events from more than one machine. */
        begin = lane->since_ns;
        end = time_ns;
    }
    if (begin == TRACE_NO_TIME) {
        add_span(b, lane, lane->state, lane->since_ns, time_ns, lane->reason, flags,
                 lane->since_vtime);
        return;
    }
    add_span(b, lane, lane->state, lane->since_ns, begin, lane->reason, lane->flags,
             lane->since_vtime);
    add_span(b, lane, TRACE_STATE_UNKNOWN, begin, end, atoms_add_text(b->atoms, "lost events"),
             flags | TRACE_AFTER_LOSS, TRACE_NO_TIME);
    if (from != TRACE_STATE_COUNT && end < time_ns) {
        add_span(b, lane, from, end, time_ns, 0, TRACE_AFTER_LOSS, TRACE_NO_TIME);
    }
}

static void take_kicks(Builder *b, BuildLane *lane, int64_t time_ns)
{
    for (size_t i = 0; i < lane->kicks.n; i++) {
        b->model->kicks[lane->kicks.items[i]].taken_ns = time_ns;
    }
    lane->kicks.n = 0;
}

static bool outside_guest(TraceState state)
{
    return state != TRACE_STATE_RUNNING && state != TRACE_STATE_DEVICE &&
           state != TRACE_STATE_LOCK_WAIT && state != TRACE_STATE_EXCLUSIVE_WAIT;
}

static bool asleep(const BuildLane *lane)
{
    return lane->state == TRACE_STATE_HALTED || lane->state == TRACE_STATE_STOPPED;
}

enum { STATE_CPU, STATE_FROM, STATE_TO, STATE_REASON };

static void on_state(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[STATE_CPU]);
    TraceState from = state_of(b, (TraceAtom)event->values[STATE_FROM]);
    TraceState to = state_of(b, (TraceAtom)event->values[STATE_TO]);
    const BuildSource *source = build_source(b, event->source);

    if (!lane) {
        return;
    }
    if (event->thread) {
        build_thread_data(b, event->thread)->vcpu = lane;
        lane->lane.tid = event->thread->tid;
    }
    if (!lane->seen_state) {
        lane->seen_state = true;
        lane->state = (uint8_t)from;
        lane->in_guest = !outside_guest(from);
        lane->since_vtime = TRACE_NO_TIME;
        lane->since_ns =
            lane->lane.begin_ns == TRACE_NO_TIME ? event->time_ns : lane->lane.begin_ns;
        if (!lane->started && from != TRACE_STATE_CREATED) {
            lane->since_ns = source->begin_ns;
            lane->flags = TRACE_CUT_BEGIN;
        }
    }
    if (source->lossy_cpu && from != lane->state && source->loss_begin_ns < event->time_ns &&
        source->loss_end_ns > lane->since_ns) {
        lane->loss_begin_ns = source->loss_begin_ns;
        lane->loss_end_ns = source->loss_end_ns;
    }
    end_state(b, lane, from, event->time_ns, 0);
    if (asleep(lane) || outside_guest(to) || lane->state == TRACE_STATE_UNKNOWN) {
        take_kicks(b, lane, event->time_ns);
    }
    lane->in_guest = to == TRACE_STATE_RUNNING || (lane->in_guest && !outside_guest(to));
    lane->state = (uint8_t)to;
    lane->flags = 0;
    lane->reason = (TraceAtom)event->values[STATE_REASON];
    lane->since_ns = event->time_ns;
    lane->since_vtime = event->raw->vtime_ns;
    lane->loss_begin_ns = TRACE_NO_TIME;
}

void build_cpus_loss(Builder *b, BuildSource *source, BuildLane *lane, int64_t begin_ns,
                     int64_t end_ns)
{
    if (!lane) {
        source->loss_begin_ns = source->lossy_cpu ? MIN(source->loss_begin_ns, begin_ns) : begin_ns;
        source->loss_end_ns = source->lossy_cpu ? MAX(source->loss_end_ns, end_ns) : end_ns;
        source->lossy_cpu = true;
    } else if (lane->lane.kind == TRACE_LANE_VCPU) {
        if (lane->loss_begin_ns == TRACE_NO_TIME) {
            lane->loss_begin_ns = begin_ns;
        }
        lane->loss_end_ns = end_ns;
    }
}

/* ---- Kicks and wakes. */

enum { KICK_CPU, KICK_KICKER, KICK_CAUSE };

static void on_kick(Builder *b, const BuildEvent *event)
{
    BuildLane *target = build_vcpu(b, event->source, (int64_t)event->values[KICK_CPU]);
    int32_t kicker = (int32_t)event->values[KICK_KICKER];
    BuildLane *from = kicker >= 0 ? build_vcpu(b, event->source, kicker) : build_thread(b, event);
    TraceKick *kick;

    if (!target) {
        return;
    }
    kick = BUILD_ADD(b, kicks, n_kicks);
    kick->sent_ns = event->time_ns;
    kick->taken_ns = TRACE_NO_TIME;
    kick->cause = (TraceAtom)event->values[KICK_CAUSE];
    kick->kicker = lane_id(from);
    kick->target = target->id;
    kick->state = target->state;
    if (target->seen_state && !target->in_guest && !asleep(target)) {
        kick->taken_ns = event->time_ns;
        return;
    }
    kick->merged = target->kicks.n > 0;
    pending_add(&target->kicks, b->model->n_kicks - 1);
}

enum { WAKE_CPU, WAKE_CAUSE, WAKE_SLEPT };

static void on_wake(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[WAKE_CPU]);
    TraceWake *wake;

    if (!lane) {
        return;
    }
    wake = BUILD_ADD(b, wakes, n_wakes);
    wake->time_ns = event->time_ns;
    wake->slept_ns = (int64_t)event->values[WAKE_SLEPT];
    wake->kick_ns = TRACE_NO_TIME;
    wake->cause = (TraceAtom)event->values[WAKE_CAUSE];
    wake->lane = lane->id;
    wake->waker = TRACE_NO_LANE;
    if (lane->kicks.n && (asleep(lane) || !lane->seen_state)) {
        const TraceKick *kick = &b->model->kicks[lane->kicks.items[0]];

        wake->kick_ns = kick->sent_ns;
        wake->waker = kick->kicker;
        take_kicks(b, lane, event->time_ns);
    }
}

/* ---- Work. */

enum { WORK_CPU, WORK_KIND, WORK_QUEUED, WORK_RUN };

static void on_work_queue(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[WORK_CPU]);
    BuildLane *from = build_thread(b, event);
    TraceWork *work;

    if (!lane) {
        return;
    }
    work = BUILD_ADD(b, works, n_works);
    work->queued_ns = event->time_ns;
    work->begin_ns = work->end_ns = TRACE_NO_TIME;
    work->kind = (TraceAtom)event->values[WORK_KIND];
    work->from = lane_id(from);
    work->lane = lane->id;
    pending_add(&lane->works, b->model->n_works - 1);
}

static TraceWork *queued_work(Builder *b, BuildLane *lane, TraceAtom kind)
{
    for (size_t i = 0; i < lane->works.n; i++) {
        TraceWork *work = &b->model->works[lane->works.items[i]];

        if (work->kind == kind) {
            /* Items run in order: those before it were lost sight of. */
            lane->works.n -= i + 1;
            memmove(lane->works.items, lane->works.items + i + 1, lane->works.n * sizeof(size_t));
            return work;
        }
    }
    return NULL;
}

static void on_work_run(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[WORK_CPU]);
    TraceAtom kind = (TraceAtom)event->values[WORK_KIND];
    TraceWork *work;

    if (!lane) {
        return;
    }
    work = queued_work(b, lane, kind);
    if (!work) {
        work = BUILD_ADD(b, works, n_works);
        work->kind = kind;
        work->from = TRACE_NO_LANE;
        work->lane = lane->id;
    }
    work->end_ns = event->time_ns;
    work->begin_ns = event->time_ns - (int64_t)event->values[WORK_RUN];
    work->queued_ns = work->begin_ns - (int64_t)event->values[WORK_QUEUED];
}

/* ---- Exclusive sections. */

enum { EXCLUSIVE_CPU, EXCLUSIVE_NS };

static BuildLane *exclusive_lane(Builder *b, const BuildEvent *event)
{
    int32_t cpu = (int32_t)event->values[EXCLUSIVE_CPU];

    return cpu >= 0 ? build_vcpu(b, event->source, cpu) : build_thread(b, event);
}

static void on_exclusive_begin(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = exclusive_lane(b, event);
    TraceExclusive *section = BUILD_ADD(b, exclusives, n_exclusives);

    section->asked_ns = event->time_ns - (int64_t)event->values[EXCLUSIVE_NS];
    section->begin_ns = event->time_ns;
    section->end_ns = TRACE_NO_TIME;
    section->lane = lane_id(lane);
    if (lane) {
        lane->exclusive = b->model->n_exclusives;
    }
}

static void on_exclusive_end(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = exclusive_lane(b, event);
    TraceExclusive *section;

    if (lane && lane->exclusive) {
        section = &b->model->exclusives[lane->exclusive - 1];
        lane->exclusive = 0;
    } else {
        section = BUILD_ADD(b, exclusives, n_exclusives);
        section->asked_ns = event->time_ns - (int64_t)event->values[EXCLUSIVE_NS];
        section->begin_ns = section->asked_ns;
        section->lane = lane_id(lane);
    }
    section->end_ns = event->time_ns;
}

/* ---- The machine lock. */

enum { LOCK_SITE, LOCK_NS };

static void add_lock(Builder *b, const BuildEvent *event, bool hold)
{
    BuildLane *lane = build_thread(b, event);
    TraceLock *lock = BUILD_ADD(b, locks, n_locks);

    lock->begin_ns = event->time_ns - (int64_t)event->values[LOCK_NS];
    lock->end_ns = event->time_ns;
    lock->site = (TraceAtom)event->values[LOCK_SITE];
    lock->lane = lane_id(lane);
    lock->hold = hold;
}

static void on_lock_wait(Builder *b, const BuildEvent *event)
{
    add_lock(b, event, false);
}

static void on_lock_hold(Builder *b, const BuildEvent *event)
{
    add_lock(b, event, true);
}

/* ---- Life. */

enum { THREAD_CPU, THREAD_ACCEL };

static void on_thread_begin(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[THREAD_CPU]);

    if (!lane) {
        return;
    }
    lane->started = true;
    lane->lane.accel = (TraceAtom)event->values[THREAD_ACCEL];
    if (event->thread) {
        build_thread_data(b, event->thread)->vcpu = lane;
        lane->lane.tid = event->thread->tid;
    }
}

/* ---- Accelerator ops. */

enum { OP_CPU, OP_DURATION, OP_OUTCOME };

static TraceOp *add_op(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_thread(b, event);
    BuildLane *target = build_vcpu(b, event->source, (int32_t)event->values[OP_CPU]);
    TraceOp *op = BUILD_ADD(b, ops, n_ops);

    op->begin_ns = event->time_ns;
    op->end_ns = TRACE_NO_TIME;
    op->op = event->kind->op;
    op->lane = lane_id(lane);
    op->target = lane_id(target);
    return op;
}

static void on_op_entry(Builder *b, const BuildEvent *event)
{
    /* Without its thread no return can be told to be this call's. */
    if (event->thread) {
        size_t index = b->model->n_ops;

        add_op(b, event);
        g_array_append_val(build_thread_data(b, event->thread)->entries, index);
    }
}

static TraceOp *entered_op(Builder *b, const BuildEvent *event)
{
    GArray *entries = event->thread ? build_thread_data(b, event->thread)->entries : NULL;

    for (guint i = entries ? entries->len : 0; i > 0; i--) {
        TraceOp *op = &b->model->ops[g_array_index(entries, size_t, i - 1)];

        if (op->op == event->kind->op) {
            /* Calls nest: those entered later have returned unseen. */
            g_array_set_size(entries, i - 1);
            return op;
        }
    }
    return NULL;
}

static void on_op_exit(Builder *b, const BuildEvent *event)
{
    TraceOp *op = entered_op(b, event);

    if (!op) {
        op = add_op(b, event);
    }
    op->end_ns = event->time_ns;
    op->begin_ns = event->time_ns - (int64_t)event->values[OP_DURATION];
    op->outcome = (int64_t)event->values[OP_OUTCOME];
}

/* What the translator does of itself takes the vCPU's time as ops do; its outcome is the tier. */

enum { TRANSLATE_CPU, TRANSLATE_TIER, TRANSLATE_FIRST_NS, TRANSLATE_LAST_NS = 5 };

static void on_translate(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[TRANSLATE_CPU]);
    TraceOp *op = BUILD_ADD(b, ops, n_ops);

    op->begin_ns = op->end_ns = event->time_ns;
    for (unsigned i = TRANSLATE_FIRST_NS; i <= TRANSLATE_LAST_NS; i++) {
        op->begin_ns -= (int64_t)event->values[i];
    }
    op->op = atoms_add_text(b->atoms, "translate");
    op->outcome = (int64_t)event->values[TRANSLATE_TIER];
    op->lane = op->target = lane_id(lane);
}

/* ---- The end of the trace. */

void build_cpus_finish(Builder *b)
{
    for (unsigned i = 0; i < b->lanes->len; i++) {
        BuildLane *lane = g_ptr_array_index(b->lanes, i);

        if (lane->seen_state) {
            int64_t end_ns = MAX(lane->since_ns, lane->lane.end_ns);

            for (unsigned s = 0; s < b->sources->len; s++) {
                const BuildSource *source = g_ptr_array_index(b->sources, s);

                if (lane->lane.cpu < (int32_t)source->n_vcpus &&
                    source->vcpus[lane->lane.cpu] == lane) {
                    end_ns = MAX(end_ns, source->end_ns);
                }
            }
            end_state(b, lane, TRACE_STATE_COUNT, end_ns, TRACE_CUT_END);
            lane->lane.end_ns = end_ns;
        }
    }
}

const Handler build_cpus_handlers[] = {
    { "cpus:vcpu_state", { "cpu", "from", "to", "reason" }, on_state },
    { "cpus:kick", { "cpu", "kicker", "cause" }, on_kick },
    { "cpus:wake", { "cpu", "cause", "slept_ns" }, on_wake },
    { "cpus:halt", { "cpu" }, NULL },
    { "cpus:work_queue", { "cpu", "kind" }, on_work_queue },
    { "cpus:work_run", { "cpu", "kind", "queued_ns", "run_ns" }, on_work_run },
    { "cpus:exclusive_begin", { "cpu", "wait_ns" }, on_exclusive_begin },
    { "cpus:exclusive_wait", { "cpu" }, NULL },
    { "cpus:exclusive_end", { "cpu", "held_ns" }, on_exclusive_end },
    { "cpus:machine_lock_wait", { "site", "wait_ns" }, on_lock_wait },
    { "cpus:machine_lock_hold", { "site", "held_ns" }, on_lock_hold },
    { "cpus:thread_begin", { "cpu", "accel" }, on_thread_begin, true },
    { "accel:*_entry", { "cpu" }, on_op_entry },
    { "accel:*_exit", { "cpu", "duration_ns", "outcome" }, on_op_exit },
    { "tcg:translate",
      { "cpu", "tier", "front_ns", "passes_ns", "allocate_ns", "emit_ns" },
      on_translate },
    { "tcg:cache_full", { NULL }, NULL, true },
    { "tcg:*", { NULL }, NULL },
    { NULL },
};
