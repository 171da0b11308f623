/* SPDX-License-Identifier: MIT */
/*
 * A reader of the recorder's packets, written from CTF's rules and not from the writer's code. The
 * idea to hold: it goes by content_size and packet_size alone, and an event that does not end where
 * the packet's content ends shows at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ctf-reader.h"

#define HEAD_BYTES (4 + 16 + 4 + 8 + 6 * 8 + 4 + 16)

typedef struct Cursor {
    const char *at, *end;
} Cursor;

static uint64_t take(Cursor *cursor, unsigned n)
{
    uint64_t value = 0;

    assert_true(n <= 8 && (size_t)(cursor->end - cursor->at) >= n);
    memcpy(&value, cursor->at, n); /* little endian, as the host is */
    cursor->at += n;
    return value;
}

static const char *take_text(Cursor *cursor)
{
    const char *text = cursor->at;

    cursor->at = memchr(text, 0, (size_t)(cursor->end - text));
    assert_non_null(cursor->at);
    cursor->at++;
    return text;
}

static const TraceEvent *find_event(uint32_t id)
{
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        if (sub->events[0].id >> 8 == id >> 8) {
            assert_true((id & 0xff) < sub->n_events);
            return &sub->events[id & 0xff];
        }
    }
    fail_msg("no event has the id %u", id);
    return NULL;
}

static CtfValue take_value(Cursor *cursor, const TraceField *field)
{
    CtfValue value = { 0 };
    bool is_signed = field->type == TRACE_FIELD_ENUM ||
                     (field->type >= TRACE_FIELD_I8 && field->type <= TRACE_FIELD_I64);

    if (field->type == TRACE_FIELD_STR) {
        value.text = take_text(cursor);
    } else {
        value.number = take(cursor, field->size);
        if (is_signed && field->size < 8) {
            unsigned shift = 64 - 8u * field->size;

            value.number = (uint64_t)((int64_t)(value.number << shift) >> shift);
        }
    }
    return value;
}

/* Completes the low 32 bits of a time from the event before. */
static uint64_t complete(uint64_t before, uint32_t low)
{
    uint64_t ns = (before & ~UINT64_C(0xffffffff)) | low;

    return ns < before ? ns + (UINT64_C(1) << 32) : ns;
}

static void take_event(Cursor *cursor, unsigned contexts, CtfSeen *event, CtfSums *sums)
{
    uint32_t id = (uint32_t)take(cursor, 2);
    unsigned n = 0;
    uint64_t ns;

    if (id == 0xffff) {
        id = (uint32_t)take(cursor, 4);
        ns = take(cursor, 8);
        sums->n_extended++;
    } else {
        ns = complete(event->ns, (uint32_t)take(cursor, 4));
    }
    assert_true(ns >= event->ns);
    event->ns = ns;
    event->event = find_event(id);
    for (unsigned i = 0; i < 3; i++) {
        if (contexts & 1u << i) {
            event->contexts[n++] =
                i == 2 ? (int64_t)(int32_t)take(cursor, 4) : (int64_t)take(cursor, 8);
        }
    }
    for (unsigned i = 0; i < event->event->n_fields; i++) {
        event->values[i] = take_value(cursor, &event->event->fields[i]);
    }
    sums->n_events++;
}

void ctf_read_stream(const char *bytes, size_t n_bytes, unsigned contexts,
                     void (*seen)(const CtfSeen *event, void *opaque), void *opaque, CtfSums *sums)
{
    uint64_t seq = 0, discarded = 0, last_ns = 0, instance = 0;

    for (size_t offset = 0; offset < n_bytes; seq++) {
        Cursor cursor = { bytes + offset, bytes + n_bytes };
        uint64_t begin, end, content, packet, now_discarded;
        CtfSeen event = { 0 };
        char thread[17] = "";

        assert_true(n_bytes - offset >= HEAD_BYTES);
        assert_int_equal(take(&cursor, 4), 0xc1fc1fc1);
        cursor.at += 16;
        assert_int_equal(take(&cursor, 4), 0);
        event.stream = take(&cursor, 8);
        if (!seq) {
            instance = event.stream;
        }
        assert_int_equal(event.stream, instance);
        begin = take(&cursor, 8);
        end = take(&cursor, 8);
        content = take(&cursor, 8) / 8;
        packet = take(&cursor, 8) / 8;
        assert_true(begin >= last_ns && begin <= end);
        assert_true(content >= HEAD_BYTES && content <= packet && packet <= n_bytes - offset);
        assert_int_equal(take(&cursor, 8), seq);
        now_discarded = take(&cursor, 8);
        assert_true(now_discarded >= discarded);
        if (!seq) {
            assert_int_equal(now_discarded, 0);
        }
        sums->n_discarded += now_discarded - discarded;
        discarded = now_discarded;
        event.tid = (uint32_t)take(&cursor, 4);
        memcpy(thread, cursor.at, 16);
        cursor.at += 16;
        event.thread = thread;
        event.ns = begin;
        cursor.end = bytes + offset + content;
        while (cursor.at < cursor.end) {
            take_event(&cursor, contexts, &event, sums);
            assert_true(event.ns <= end);
            if (seen) {
                seen(&event, opaque);
            }
        }
        last_ns = end;
        offset += packet;
        sums->n_packets++;
    }
    sums->n_streams++;
}

CtfSums ctf_read_dir(const char *path, unsigned contexts,
                     void (*seen)(const CtfSeen *event, void *opaque), void *opaque)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    CtfSums sums = { 0 };
    bool metadata = false;
    const char *name;

    if (!dir) {
        fail_msg("there is no directory %s", path);
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autofree char *bytes = NULL;
        gsize n;

        assert_true(g_file_get_contents(file, &bytes, &n, NULL));
        if (strcmp(name, "metadata") == 0) {
            metadata = true;
            assert_true(g_str_has_prefix(bytes, "/* CTF 1.8 */"));
        } else {
            assert_true(n > 0);
            ctf_read_stream(bytes, n, contexts, seen, opaque, &sums);
        }
    }
    g_dir_close(dir);
    assert_true(metadata);
    return sums;
}
