/* SPDX-License-Identifier: MIT */
/*
 * The events of `hw` and `timers`: device accesses, interrupts, virtio, timers. An interrupt is two
 * things in a trace: a device's line (no vCPU, raised and lowered), and what is pending at a vCPU
 * (raised, delivered, lowered); each is one record.
 */
#include "trace/analysis/build.h"

/* Joins the halves of a record: the place of the key's value, made where there is none. */
static size_t *open_record(GHashTable *table, int64_t key)
{
    size_t *index = g_hash_table_lookup(table, &key);

    if (!index) {
        /* Key and value in one allocation. */
        int64_t *both = g_malloc(sizeof(int64_t) + sizeof(size_t));

        both[0] = key;
        index = (size_t *)(both + 1);
        *index = 0;
        g_hash_table_insert(table, both, index);
    }
    return index;
}

/* ---- Accesses. */

static void add_access(Builder *b, const BuildEvent *event, TraceAccessKind kind, BuildLane *lane,
                       TraceAtom device, uint64_t offset, uint64_t value, uint64_t size_bytes)
{
    TraceAccess *access = BUILD_ADD(b, accesses, n_accesses);

    access->time_ns = event->time_ns;
    access->offset = offset;
    access->value = value;
    access->device = device;
    access->lane = lane_id(lane);
    access->kind = (uint8_t)kind;
    access->size_bytes = (uint8_t)MIN(size_bytes, UINT8_MAX);
}

enum { MMIO_CPU, MMIO_DEVICE, MMIO_OFFSET, MMIO_SIZE, MMIO_VALUE };

static void add_mmio(Builder *b, const BuildEvent *event, TraceAccessKind kind)
{
    int32_t cpu = (int32_t)event->values[MMIO_CPU];
    BuildLane *lane = cpu >= 0 ? build_vcpu(b, event->source, cpu) : build_thread(b, event);

    add_access(b, event, kind, lane, (TraceAtom)event->values[MMIO_DEVICE],
               event->values[MMIO_OFFSET], event->values[MMIO_VALUE], event->values[MMIO_SIZE]);
}

static void on_mmio_read(Builder *b, const BuildEvent *event)
{
    add_mmio(b, event, TRACE_ACCESS_MMIO_READ);
}

static void on_mmio_write(Builder *b, const BuildEvent *event)
{
    add_mmio(b, event, TRACE_ACCESS_MMIO_WRITE);
}

static void on_mmio_error(Builder *b, const BuildEvent *event)
{
    add_mmio(b, event, TRACE_ACCESS_MMIO_ERROR);
}

enum { VIRTIO_DEVICE, VIRTIO_QUEUE, VIRTIO_LEN };

static void on_virtio_notify(Builder *b, const BuildEvent *event)
{
    add_access(b, event, TRACE_ACCESS_VIRTIO_NOTIFY, build_thread(b, event),
               (TraceAtom)event->values[VIRTIO_DEVICE], event->values[VIRTIO_QUEUE], 0, 0);
}

static void on_virtio_complete(Builder *b, const BuildEvent *event)
{
    add_access(b, event, TRACE_ACCESS_VIRTIO_COMPLETE, build_thread(b, event),
               (TraceAtom)event->values[VIRTIO_DEVICE], event->values[VIRTIO_QUEUE],
               event->values[VIRTIO_LEN], 0);
}

/* ---- Interrupts. */

static int64_t irq_key(const BuildLane *lane, TraceAtom name, uint64_t line)
{
    return (int64_t)((uint64_t)(lane_id(lane)) << 48 | (uint64_t)(name & 0xffffff) << 24 |
                     (line & 0xffffff));
}

static TraceIrq *open_irq(Builder *b, const BuildEvent *event, BuildLane *lane, TraceAtom name,
                          uint64_t line)
{
    size_t *open = open_record(build_source(b, event->source)->irqs, irq_key(lane, name, line));

    return *open ? &b->model->irqs[*open - 1] : NULL;
}

static void close_irq(Builder *b, const BuildEvent *event, BuildLane *lane, TraceAtom name,
                      uint64_t line)
{
    *open_record(build_source(b, event->source)->irqs, irq_key(lane, name, line)) = 0;
}

static TraceIrq *raise_irq(Builder *b, const BuildEvent *event, BuildLane *lane, TraceAtom name,
                           uint64_t line)
{
    BuildLane *from = build_thread(b, event);
    TraceIrq *irq = BUILD_ADD(b, irqs, n_irqs);

    irq->raise_ns = event->time_ns;
    irq->deliver_ns = irq->lower_ns = TRACE_NO_TIME;
    irq->line = line;
    irq->device = name;
    irq->from = lane_id(from);
    irq->lane = lane_id(lane);
    *open_record(build_source(b, event->source)->irqs, irq_key(lane, name, line)) =
        b->model->n_irqs;
    return irq;
}

enum { LINE_DEVICE, LINE_LINE, LINE_LEVEL };

static void on_irq_set(Builder *b, const BuildEvent *event)
{
    TraceAtom device = (TraceAtom)event->values[LINE_DEVICE];
    uint64_t line = event->values[LINE_LINE];
    TraceIrq *open = open_irq(b, event, NULL, device, line);

    if (event->values[LINE_LEVEL] && !open) {
        raise_irq(b, event, NULL, device, line);
    } else if (!event->values[LINE_LEVEL] && open) {
        open->lower_ns = event->time_ns;
        close_irq(b, event, NULL, device, line);
    }
}

enum { IRQ_CPU, IRQ_IRQ, IRQ_NAME, IRQ_LATENCY };

static void on_irq_raise(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[IRQ_CPU]);

    if (lane) {
        raise_irq(b, event, lane, (TraceAtom)event->values[IRQ_NAME], event->values[IRQ_IRQ]);
    }
}

static void on_irq_lower(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[IRQ_CPU]);
    TraceAtom name = (TraceAtom)event->values[IRQ_NAME];
    TraceIrq *open = lane ? open_irq(b, event, lane, name, event->values[IRQ_IRQ]) : NULL;

    if (open) {
        open->lower_ns = event->time_ns;
        close_irq(b, event, lane, name, event->values[IRQ_IRQ]);
    }
}

static void on_irq_deliver(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_vcpu(b, event->source, (int64_t)event->values[IRQ_CPU]);
    TraceAtom name = (TraceAtom)event->values[IRQ_NAME];
    int64_t latency = (int64_t)event->values[IRQ_LATENCY];
    TraceIrq *irq = lane ? open_irq(b, event, lane, name, event->values[IRQ_IRQ]) : NULL;

    if (!lane) {
        return;
    }
    if (!irq || irq->deliver_ns != TRACE_NO_TIME) {
        /* Raised before the trace began, or taken once more without having been lowered. */
        irq = raise_irq(b, event, lane, name, event->values[IRQ_IRQ]);
        irq->from = TRACE_NO_LANE;
        irq->raise_ns = latency >= 0 ? event->time_ns - latency : event->time_ns;
    } else if (latency >= 0) {
        irq->raise_ns = event->time_ns - latency;
    }
    irq->deliver_ns = event->time_ns;
}

/* ---- Timers. */

enum { TIMER_ID, TIMER_NAME, TIMER_CLOCK, TIMER_NS };
enum { TIMER_PENDING, TIMER_FIRED, TIMER_DROPPED, TIMER_REARMED };

static TraceTimer *add_timer(Builder *b, const BuildEvent *event)
{
    BuildLane *lane = build_thread(b, event);
    TraceTimer *timer = BUILD_ADD(b, timers, n_timers);

    timer->armed_ns = timer->fired_ns = TRACE_NO_TIME;
    timer->id = event->values[TIMER_ID];
    timer->name = (TraceAtom)event->values[TIMER_NAME];
    timer->lane = lane_id(lane);
    return timer;
}

/* Takes the armed timer out of the table of those; NULL: it was armed before the trace. */
static TraceTimer *end_timer(Builder *b, const BuildEvent *event, unsigned how)
{
    size_t *open =
        open_record(build_source(b, event->source)->timers, (int64_t)event->values[TIMER_ID]);
    TraceTimer *timer = *open ? &b->model->timers[*open - 1] : NULL;

    *open = 0;
    if (timer) {
        timer->end = (uint8_t)how;
    }
    return timer;
}

static void on_timer_mod(Builder *b, const BuildEvent *event)
{
    TraceTimer *timer;

    end_timer(b, event, TIMER_REARMED);
    timer = add_timer(b, event);
    timer->armed_ns = event->time_ns;
    timer->clock = (TraceAtom)event->values[TIMER_CLOCK];
    timer->deadline_ns = (int64_t)event->values[TIMER_NS];
    *open_record(build_source(b, event->source)->timers, (int64_t)event->values[TIMER_ID]) =
        b->model->n_timers;
}

static void on_timer_del(Builder *b, const BuildEvent *event)
{
    end_timer(b, event, TIMER_DROPPED);
}

static void on_timer_fire(Builder *b, const BuildEvent *event)
{
    TraceTimer *timer = end_timer(b, event, TIMER_FIRED);
    BuildLane *lane = build_thread(b, event);

    if (!timer) {
        timer = add_timer(b, event);
        timer->end = TIMER_FIRED;
        timer->clock = (TraceAtom)event->values[TIMER_CLOCK];
    }
    timer->fired_ns = event->time_ns;
    timer->lateness_ns = (int64_t)event->values[TIMER_NS];
    timer->lane = lane_id(lane);
}

const Handler build_hw_handlers[] = {
    { "hw:mmio_read", { "cpu", "device", "offset", "size", "value" }, on_mmio_read },
    { "hw:mmio_write", { "cpu", "device", "offset", "size", "value" }, on_mmio_write },
    { "hw:mmio_error", { "cpu", "device", "offset", "size" }, on_mmio_error, true },
    { "hw:virtio_notify", { "device", "queue" }, on_virtio_notify },
    { "hw:virtio_complete", { "device", "queue", "len" }, on_virtio_complete },
    { "hw:irq_set", { "device", "line", "level" }, on_irq_set },
    { "hw:irq_raise", { "cpu", "irq", "name" }, on_irq_raise },
    { "hw:irq_lower", { "cpu", "irq", "name" }, on_irq_lower },
    { "hw:irq_deliver", { "cpu", "irq", "name", "?latency_ns" }, on_irq_deliver },
    { "timers:timer_mod", { "timer", "name", "clock", "deadline_ns" }, on_timer_mod },
    { "timers:timer_del", { "timer", "name" }, on_timer_del },
    { "timers:timer_fire", { "timer", "name", "clock", "lateness_ns" }, on_timer_fire },
    { NULL },
};
