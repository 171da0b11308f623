/* SPDX-License-Identifier: MIT */
/*
 * The events of `tlb`: a flush from its request to its end. The idea to hold: a request names who
 * asks and for whom; the steps after it happen on other threads, and find it by its id, or where
 * there is none by vCPU and kind, oldest first.
 */
#include "trace/analysis/build.h"

/* Flushes of one kind that are under way for a vCPU are few; more than this are lost sight of. */
#define LOOK_BACK 64

enum { FLUSH_CPU, FLUSH_KIND, FLUSH_ID, FLUSH_FROM, FLUSH_CAUSE, FLUSH_A, FLUSH_B };

static BuildLane *target_of(Builder *b, const BuildEvent *event)
{
    return build_vcpu(b, event->source, (int32_t)event->values[FLUSH_CPU]);
}

static TraceFlush *add_flush(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = target_of(b, event);
    BuildLane *from = build_thread(b, event);
    TraceFlush *flush = BUILD_ADD(b, flushes, n_flushes);

    flush->request_ns = event->time_ns;
    flush->enqueue_ns = flush->execute_ns = TRACE_NO_TIME;
    flush->barrier_ns = flush->cost_ns = TRACE_NO_TIME;
    flush->entries = UINT64_MAX;
    flush->id = event->values[FLUSH_ID];
    flush->kind = (TraceAtom)event->values[FLUSH_KIND];
    flush->from = lane_id(from);
    flush->lane = lane_id(lane);
    return flush;
}

/* The flush under way that an event continues; NULL: begun before the trace. */
static TraceFlush *find_flush(Builder *b, const BuildEvent *event, bool executed)
{
    TraceLaneId lane = lane_id(target_of(b, event));
    size_t first = b->model->n_flushes > LOOK_BACK ? b->model->n_flushes - LOOK_BACK : 0;

    for (size_t i = first; i < b->model->n_flushes; i++) {
        TraceFlush *flush = &b->model->flushes[i];

        if (flush->kind == (TraceAtom)event->values[FLUSH_KIND] && flush->lane == lane &&
            flush->id == event->values[FLUSH_ID] &&
            (flush->execute_ns != TRACE_NO_TIME) == executed &&
            (!executed || flush->barrier_ns == TRACE_NO_TIME)) {
            return flush;
        }
    }
    return NULL;
}

static void on_request(Builder *b, const BuildEvent *event)
{
    TraceFlush *flush = add_flush(b, event);

    flush->cause = (TraceAtom)event->values[FLUSH_CAUSE];
}

static void on_enqueue(Builder *b, const BuildEvent *event)
{
    TraceFlush *flush = find_flush(b, event, false);

    if (!flush) {
        flush = add_flush(b, event);
        flush->cause = (TraceAtom)event->values[FLUSH_CAUSE];
    }
    flush->enqueue_ns = event->time_ns;
}

static void on_execute(Builder *b, const BuildEvent *event)
{
    TraceFlush *flush = find_flush(b, event, false);
    int64_t cost = (int64_t)event->values[FLUSH_B];

    if (!flush) {
        flush = add_flush(b, event);
        flush->request_ns -= cost;
    }
    if (event->values[FLUSH_CAUSE]) {
        flush->cause = (TraceAtom)event->values[FLUSH_CAUSE];
    }
    flush->execute_ns = event->time_ns - cost;
    flush->cost_ns = cost;
    if (event->kind->slots[FLUSH_A] >= 0) {
        flush->entries = event->values[FLUSH_A];
    }
}

static void on_escalate(Builder *b, const BuildEvent *event)
{
    TraceFlush *flush = find_flush(b, event, false);

    if (!flush) {
        flush = add_flush(b, event);
    }
    flush->widened = (TraceAtom)event->values[FLUSH_CAUSE];
}

static void on_barrier(Builder *b, const BuildEvent *event)
{
    TraceFlush *flush = find_flush(b, event, true);

    if (!flush) {
        flush = add_flush(b, event);
        flush->request_ns -= (int64_t)event->values[FLUSH_A];
    }
    flush->barrier_ns = (int64_t)event->values[FLUSH_A];
}

/* What is counted but has no life: victim hits and refills are too many for records. */
const Handler build_tlb_handlers[] = {
    { "tlb:flush_request", { "cpu", "kind", "?id", "?from", "?cause" }, on_request },
    { "tlb:flush_enqueue", { "cpu", "kind", "?id", "?from", "?cause" }, on_enqueue },
    { "tlb:flush_execute",
      { "cpu", "kind", "?id", "?from", "?cause", "?entries", "?cost_ns" },
      on_execute },
    { "tlb:flush_escalate", { "cpu", "kind", "?id", "?from", "cause" }, on_escalate },
    { "tlb:flush_barrier", { "cpu", "kind", "?id", "?from", "?cause", "wait_ns" }, on_barrier },
    { NULL },
};
