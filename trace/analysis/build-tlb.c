/* SPDX-License-Identifier: MIT */
/*
 * The events of `tlb`: flushes from the request to their end, refills, resizes. The idea to hold: a
 * request names who asks and for whom; what follows happens on the target's thread and finds its
 * request by vCPU and kind, the oldest first, or the kind that the request became (one for all vCPUs
 * is `all` on each; one that was widened is a larger one).
 */
#include "trace/analysis/build.h"

#include <string.h>

/* Flushes under way for a vCPU are few; those further back are lost sight of. */
#define LOOK_BACK 64

static TraceFlush *add_flush(Builder *b, const BuildEvent *event, BuildLane *lane, TraceAtom kind)
{
    TraceFlush *flush = BUILD_ADD(b, flushes, n_flushes);

    flush->request_ns = event->time_ns;
    flush->enqueue_ns = flush->execute_ns = TRACE_NO_TIME;
    flush->cost_ns = flush->barrier_ns = TRACE_NO_TIME;
    flush->entries = UINT64_MAX;
    flush->kind = kind;
    flush->from = TRACE_NO_LANE;
    flush->lane = lane_id(lane);
    return flush;
}

/* One that was asked for and not executed yet; NULL: nobody asked, the vCPU did it of itself. */
static TraceFlush *open_flush(Builder *b, TraceLaneId lane, TraceAtom kind)
{
    size_t n = b->model->n_flushes, first = n > LOOK_BACK ? n - LOOK_BACK : 0;
    TraceFlush *other = NULL;

    for (size_t i = first; i < n; i++) {
        TraceFlush *flush = &b->model->flushes[i];

        if (flush->lane != lane || flush->execute_ns != TRACE_NO_TIME) {
            continue;
        }
        if (flush->kind == kind) {
            return flush;
        }
        if (!other &&
            (flush->widened || g_str_has_prefix(atoms_text(b->atoms, flush->kind), "all_vcpus"))) {
            other = flush;
        }
    }
    return other;
}

enum { REQUEST_CPU, REQUEST_BY, REQUEST_KIND, REQUEST_WHY };

static void on_request(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[REQUEST_CPU]);
    BuildLane *from = build_vcpu(b, event->source, (int64_t)event->values[REQUEST_BY]);
    TraceFlush *flush;

    if (event->values[REQUEST_BY] == event->values[REQUEST_CPU]) {
        /* Itself, or the machine on its behalf: the thread knows. */
        from = event->thread ? build_thread(b, event) : from;
    }
    flush = add_flush(b, event, lane, (TraceAtom)event->values[REQUEST_KIND]);
    flush->cause = (TraceAtom)event->values[REQUEST_WHY];
    flush->from = lane_id(from);
}

enum { EXECUTE_CPU, EXECUTE_KIND, EXECUTE_ENTRIES };

static void on_execute(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[EXECUTE_CPU]);
    TraceAtom kind = (TraceAtom)event->values[EXECUTE_KIND];
    TraceFlush *flush = open_flush(b, lane_id(lane), kind);

    if (!flush) {
        flush = add_flush(b, event, lane, kind);
        flush->from = lane_id(lane);
    }
    flush->execute_ns = event->time_ns;
    flush->entries = event->values[EXECUTE_ENTRIES];
}

enum { WIDENED_CPU, WIDENED_KIND, WIDENED_WHY };

static void on_widened(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[WIDENED_CPU]);
    TraceAtom kind = (TraceAtom)event->values[WIDENED_KIND];
    TraceFlush *flush = open_flush(b, lane_id(lane), kind);

    if (!flush) {
        flush = add_flush(b, event, lane, kind);
        flush->from = lane_id(lane);
    }
    flush->widened = (TraceAtom)event->values[WIDENED_WHY];
}

enum { BARRIER_CPU, BARRIER_KIND, BARRIER_NS };

/* The one who asked has waited; its latest flush of the kind has what it waited. */
static void on_barrier(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[BARRIER_CPU]);
    TraceAtom kind = (TraceAtom)event->values[BARRIER_KIND];
    size_t n = b->model->n_flushes, first = n > LOOK_BACK ? n - LOOK_BACK : 0;
    TraceFlush *flush = NULL;

    for (size_t i = n; i > first && !flush; i--) {
        TraceFlush *at = &b->model->flushes[i - 1];

        if (at->kind == kind && at->barrier_ns == TRACE_NO_TIME &&
            (at->from == lane_id(lane) || at->lane == lane_id(lane))) {
            flush = at;
        }
    }
    if (!flush) {
        flush = add_flush(b, event, lane, kind);
        flush->request_ns -= (int64_t)event->values[BARRIER_NS];
        flush->from = lane_id(lane);
    }
    flush->barrier_ns = (int64_t)event->values[BARRIER_NS];
}

/* ---- Refills. */

static void add_refill(Builder *b, const BuildEvent *event, TraceRefillKind kind, TraceAtom what,
                       int64_t duration_ns)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[0]);
    TraceRefill *refill = BUILD_ADD(b, refills, n_refills);

    refill->time_ns = event->time_ns;
    refill->duration_ns = duration_ns;
    refill->access = (TraceAtom)event->values[1];
    refill->what = what;
    refill->lane = lane_id(lane);
    refill->kind = (uint8_t)kind;
}

static void on_fill(Builder *b, const BuildEvent *event)
{
    add_refill(b, event, TRACE_REFILL_WALK, (TraceAtom)event->values[2], (int64_t)event->values[3]);
}

static void on_fill_fault(Builder *b, const BuildEvent *event)
{
    add_refill(b, event, TRACE_REFILL_FAULT, 0, TRACE_NO_TIME);
}

static void on_victim_hit(Builder *b, const BuildEvent *event)
{
    add_refill(b, event, TRACE_REFILL_VICTIM, 0, TRACE_NO_TIME);
}

/* The text that says what for stands in place of the access. */
static void on_resize(Builder *b, const BuildEvent *event)
{
    add_refill(b, event, TRACE_REFILL_RESIZE, (TraceAtom)event->values[2], TRACE_NO_TIME);
}

const Handler build_tlb_handlers[] = {
    { "tlb:flush_request", { "cpu", "by", "kind", "why" }, on_request },
    { "tlb:flush_execute", { "cpu", "kind", "entries" }, on_execute },
    { "tlb:flush_widened", { "cpu", "kind", "why" }, on_widened },
    { "tlb:barrier_wait", { "cpu", "kind", "waited_ns" }, on_barrier },
    { "tlb:fill", { "cpu", "access", "what", "duration_ns" }, on_fill },
    { "tlb:fill_fault", { "cpu", "access" }, on_fill_fault },
    { "tlb:victim_hit", { "cpu", "access" }, on_victim_hit },
    { "tlb:resize", { "cpu", "table", "why" }, on_resize },
    { "tlb:*", { NULL }, NULL },
    { NULL },
};
