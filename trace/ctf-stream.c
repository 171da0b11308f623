/* SPDX-License-Identifier: MIT */
/*
 * From records to packets, on the writer thread: ticks become nanoseconds, fields go into the order
 * in which the metadata declares them, and each packet's head says what is in it.
 *
 * The idea to hold: an event's header has the low 32 bits of its time, which a reader completes
 * from the event before; only after a gap of 2^32 ns does it carry all 64. So the time of the event
 * before, and of a packet's begin, is what decides an event's form.
 */
#include "trace/ctf-internal.h"

#include <string.h>

/* ---- The clock ---- */

static HostTickMark *mark_at(CtfClock *clock, unsigned i)
{
    return &clock->marks[i % CTF_MARKS];
}

HostTickMark orr_trace_ctf_mark(void)
{
    HostTickMark mark;

    if (orr_trace_ctf.coarse_ticks) {
        mark.ns = host_monotonic_ns();
        mark.ticks = (uint64_t)mark.ns;
    } else {
        mark = host_tick_mark();
    }
    return mark;
}

void orr_trace_ctf_clock_init(CtfClock *clock, HostTickMark mark)
{
    clock->newest = 0;
    clock->count = 1;
    clock->marks[0] = mark;
    clock->rates[0] = 0;
    clock->begin_ns = (uint64_t)mark.ns;
}

void orr_trace_ctf_clock_mark(CtfClock *clock, HostTickMark mark)
{
    const HostTickMark *last = mark_at(clock, clock->newest);

    if (mark.ns <= last->ns || mark.ticks == last->ticks) {
        return;
    }
    if (mark.ticks < last->ticks) {
        orr_trace_ctf_clock_init(clock, mark); /* the host was suspended */
        return;
    }
    clock->rates[(clock->newest + 1) % CTF_MARKS] =
        (uint64_t)(((unsigned __int128)(uint64_t)(mark.ns - last->ns) << 32) /
                   (mark.ticks - last->ticks));
    clock->newest = (clock->newest + 1) % CTF_MARKS;
    clock->marks[clock->newest] = mark;
    clock->count = MIN(clock->count + 1, CTF_MARKS);
}

static inline uint64_t scale(uint64_t ticks, uint64_t rate)
{
    return (uint64_t)((unsigned __int128)ticks * rate >> 32);
}

uint64_t orr_trace_ctf_clock_ns(const CtfClock *clock, uint64_t ticks)
{
    unsigned at = clock->newest;
    uint64_t rate = 0, back;

    if (ticks >= clock->marks[at].ticks) {
        return (uint64_t)clock->marks[at].ns;
    }
    for (unsigned left = clock->count - 1; left > 0; left--) {
        unsigned before = (at + CTF_MARKS - 1) % CTF_MARKS;

        rate = clock->rates[at];
        if (ticks >= clock->marks[before].ticks) {
            return (uint64_t)clock->marks[before].ns +
                   scale(ticks - clock->marks[before].ticks, rate);
        }
        at = before;
    }
    /* The thread slept amid the emission while many marks were made. */
    back = scale(clock->marks[at].ticks - ticks, rate);
    return (uint64_t)clock->marks[at].ns > clock->begin_ns + back
               ? (uint64_t)clock->marks[at].ns - back
               : clock->begin_ns;
}

/* ---- Packets ---- */

/* NULL when memory is short: tracing must not be what ends the program. */
static CtfPacket *packet_append(CtfStream *stream, uint64_t begin_ns)
{
    CtfPacket *packet = g_try_malloc(sizeof(*packet));

    if (!packet) {
        return NULL;
    }
    packet->refs = 1;
    packet->used = sizeof(packet->head);
    packet->n_events = packet->n_written = 0;
    packet->end_ns = begin_ns;
    packet->head.timestamp_begin = begin_ns;
    packet->head.events_discarded = stream->ring_lost + stream->disk_lost;
    memcpy(packet->head.procname, stream->name, sizeof(packet->head.procname));
    g_queue_push_tail(&stream->packets, packet);
    return packet;
}

CtfPacket *orr_trace_ctf_stream_packet(CtfStream *stream, uint64_t ns, uint32_t bytes)
{
    CtfPacket *packet = g_queue_peek_tail(&stream->packets);

    if (stream->split) {
        stream->split = false;
        stream->ring_lost = stream->split_lost;
        packet = NULL;
    }
    if (!packet || packet->used + bytes > CTF_PACKET_BYTES) {
        packet = packet_append(stream, ns);
    }
    return packet;
}

CtfPacket *orr_trace_ctf_stream_empty_packet(CtfStream *stream)
{
    return packet_append(stream, stream->last_ns);
}

void orr_trace_ctf_packet_seal(const CtfSession *session, const CtfStream *stream,
                               CtfPacket *packet)
{
    packet->head.magic = CTF_MAGIC;
    memcpy(packet->head.uuid, session->uuid, sizeof(packet->head.uuid));
    packet->head.stream_id = 0;
    packet->head.stream_instance_id = stream->instance;
    packet->head.timestamp_end = packet->end_ns;
    packet->head.content_size = packet->used * UINT64_C(8);
    packet->head.packet_size = CTF_PACKET_BYTES * UINT64_C(8);
    packet->head.vtid = (uint32_t)stream->tid;
    memset(packet->bytes + packet->used, 0, CTF_PACKET_BYTES - packet->used);
}

void orr_trace_ctf_packet_unref(CtfPacket *packet)
{
    if (--packet->refs == 0) {
        g_free(packet);
    }
}

/* ---- Streams ---- */

CtfStream *orr_trace_ctf_stream_create(CtfSession *session, const CtfRing *ring)
{
    CtfStream *stream = g_new0(CtfStream, 1);

    stream->instance = session->n_streams++;
    stream->tid = ring->tid;
    stream->fd = -1;
    stream->last_ns = (uint64_t)session->clock.marks[session->clock.newest].ns;
    g_queue_init(&stream->packets);
    g_ptr_array_add(session->streams, stream);
    return stream;
}

void orr_trace_ctf_stream_destroy(CtfStream *stream)
{
    CtfPacket *packet;

    while ((packet = g_queue_pop_head(&stream->packets))) {
        orr_trace_ctf_packet_unref(packet);
    }
    g_free(stream);
}

void orr_trace_ctf_stream_rename(CtfStream *stream, const char *name)
{
    CtfPacket *open = g_queue_peek_tail(&stream->packets);

    if (memcmp(stream->name, name, CTF_NAME_BYTES) == 0) {
        return;
    }
    memcpy(stream->name, name, CTF_NAME_BYTES);
    if (open && open->n_events == 0) {
        memcpy(open->head.procname, name, CTF_NAME_BYTES);
    } else if (open) {
        packet_append(stream, stream->last_ns);
    }
}

/* ---- Records ---- */

static inline char *put(char *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

static char *put_fields(char *to, const TraceEvent *event, const char *numbers)
{
    const char *strings = numbers + event->fixed_bytes;

    for (unsigned i = 0; i < event->n_fields; i++) {
        const TraceField *field = &event->fields[i];

        if (field->type == TRACE_FIELD_STR) {
            size_t n = strlen(strings) + 1;

            to = put(to, strings, n);
            strings += n;
        } else if (field->size == 8) {
            to = put(to, numbers + field->offset, 8);
        } else if (field->size == 4) {
            to = put(to, numbers + field->offset, 4);
        } else {
            to = put(to, numbers + field->offset, field->size);
        }
    }
    return to;
}

/* A context that the session wants and the record (of an emission begun before) has not, is -1. */
static char *put_contexts(char *to, const CtfRecord *record, uint16_t wanted, const char **from)
{
    const int64_t unknown = -1;

    for (unsigned i = 0; i < TRACE_CONTEXT_N_SOURCES; i++) {
        if (wanted & 1u << i) {
            to = put(to, record->contexts & 1u << i ? *from : (const char *)&unknown, 8);
        }
        if (record->contexts & 1u << i) {
            *from += 8;
        }
    }
    if (wanted & TRACE_CONTEXT_CPU) {
        uint32_t cpu = record->contexts & TRACE_CONTEXT_CPU ? record->host_cpu : UINT32_MAX;

        to = put(to, &cpu, sizeof(cpu));
    }
    return to;
}

static void put_record(CtfSession *session, CtfStream *stream, const CtfRecord *record)
{
    const TraceSubsystem *sub = session->subsystems[record->event >> 8];
    const TraceEvent *event = &sub->events[record->event & 0xff];
    const char *from = (const char *)(record + 1);
    /* Its own bytes, the larger header, and the contexts that it may be without. */
    uint32_t most = record->words * 8u + 8 + 8 * TRACE_CONTEXT_N_SOURCES;
    uint64_t ns = orr_trace_ctf_clock_ns(&session->clock, record->ticks);
    CtfPacket *packet;
    uint64_t before;
    char *to;

    ns = MAX(ns, stream->last_ns);
    packet = orr_trace_ctf_stream_packet(stream, ns, most);
    if (!packet) {
        stream->disk_lost++;
        return;
    }
    before = packet->n_events ? stream->last_ns : packet->head.timestamp_begin;
    to = packet->bytes + packet->used;
    if (G_LIKELY(ns - before <= UINT32_MAX)) {
        uint32_t low = (uint32_t)ns;

        to = put(to, &event->id, 2);
        to = put(to, &low, 4);
    } else {
        const uint16_t extended = UINT16_MAX;
        uint32_t id = event->id;

        to = put(to, &extended, 2);
        to = put(to, &id, 4);
        to = put(to, &ns, 8);
    }
    if (record->contexts | session->contexts) {
        to = put_contexts(to, record, session->contexts, &from);
    }
    to = put_fields(to, event, from);
    packet->used = (uint32_t)(to - packet->bytes);
    packet->n_events++;
    packet->end_ns = stream->last_ns = ns;
}

static void take_loss(CtfStream *stream, CtfRing *ring, const CtfRecord *record)
{
    memcpy(&ring->told, record + 1, sizeof(ring->told));
    stream->split_lost = ring->told + ring->drain_nested - ring->lost_before;
    stream->split = true;
}

void orr_trace_ctf_stream_drain(CtfSession *session, CtfStream *stream, CtfRing *ring)
{
    uint64_t chunk = ring->size / CTF_RING_CHUNKS;
    uint64_t at = ring->tail, chunk_end = (at & ~(chunk - 1)) + chunk;

    stream->active |= at != ring->drain_to;
    while (at != ring->drain_to) {
        const CtfRecord *record = (const CtfRecord *)(ring->bytes + (at & (ring->size - 1)));

        if (record->event == CTF_RECORD_SKIP) {
            at = chunk_end;
        } else {
            if (record->event == CTF_RECORD_NAME) {
                orr_trace_ctf_stream_rename(stream, (const char *)(record + 1));
            } else if (record->event == CTF_RECORD_LOST) {
                take_loss(stream, ring, record);
            } else {
                put_record(session, stream, record);
            }
            at += record->words * UINT64_C(8);
        }
        if (at == chunk_end) {
            orr_store_release(&ring->tail, at); /* the thread waits for whole chunks */
            chunk_end += chunk;
        }
    }
    orr_store_release(&ring->tail, at);
    stream->ring_lost_all = ring->drain_lost - ring->lost_before;
    /* What is not told of yet is missing behind all that was drained. */
    if (!stream->split && ring->told == ring->drain_lost - ring->drain_nested) {
        stream->ring_lost = stream->ring_lost_all;
    }
}
