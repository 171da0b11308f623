/* SPDX-License-Identifier: MIT */
/*
 * What the reader's two halves share: reader.c has the graph and the order of messages, and
 * reader-event.c what is in one. Private to them.
 */
#ifndef ORRERY_TRACE_ANALYSIS_READER_INTERNAL_H
#define ORRERY_TRACE_ANALYSIS_READER_INTERNAL_H

#include <babeltrace2/babeltrace.h>

#include "trace/analysis/find.h"
#include "trace/analysis/reader.h"

#define ENUM_CACHE 16

typedef struct FieldPlan {
    uint64_t member;
    bt_field_class_type type;
    uint32_t text; /* the atom it had last */
    unsigned n_labels;
    uint64_t label_values[ENUM_CACHE];
    uint32_t labels[ENUM_CACHE];
} FieldPlan;

typedef struct ClassPlan {
    ReaderClass cls;
    char *name;
    FieldPlan fields[READER_MAX_FIELDS];
} ClassPlan;

/* Members of a context that matter; -1: it has not got it. */
typedef struct ContextPlan {
    bool known;
    int vtime, icount, cpu, tid, pid, name;
} ContextPlan;

typedef struct Stream {
    Reader *reader;
    const FoundTrace *found;
    char *port;
    bt_self_component_port_input *self_port;
    bt_message_iterator *iterator;
    bt_message_array_const messages;
    uint64_t n_messages;
    uint64_t next;
    int64_t head_ns; /* of the next event; INT64_MAX at the end */
    bool fixed_offset;
    int64_t offset_ns;
    ReaderSource *trace_source;
    ReaderSource *source;
    ReaderThread *thread;
    int64_t host_cpu;
    int64_t pid;
    const bt_event_class *last_class;
    ClassPlan *last_plan;
    ContextPlan common;
    uint32_t last_name;
    int64_t loss_begin_ns; /* of events lost before the packet that comes next */
    int64_t loss_end_ns;
    uint64_t n_lost; /* 0: none */
} Stream;

typedef struct ClockOffset {
    uint8_t uuid[16];
    int64_t offset_ns;
} ClockOffset;

struct Reader {
    Atoms *atoms;
    GPtrArray *found;
    GPtrArray *sources;   /* of ReaderSource */
    GHashTable *threads;  /* ReaderThread to itself */
    GHashTable *plans;    /* bt_event_class to ClassPlan */
    GPtrArray *all_plans; /* they outlive the graph */
    GPtrArray *streams;
    GArray *clocks; /* of ClockOffset */
    const ReaderCallbacks *callbacks;
    uint64_t n_events;
    GError *error;
    uint64_t values[READER_MAX_FIELDS];
};

/* Makes it where it is not there yet; fills in what the trace's environment says. */
ReaderSource *reader_source_of_trace(Reader *reader, const FoundTrace *found,
                                     const bt_trace *trace);

/* The packet's thread and host CPU become the stream's. */
void reader_begin_packet(Stream *stream, const bt_packet *packet);

/* Hands out the event that is the stream's next, of head_ns. */
void reader_take_event(Stream *stream, const bt_message *message);

/* Of tables in Reader. */
guint reader_thread_hash(gconstpointer key);
gboolean reader_thread_equal(gconstpointer a, gconstpointer b);
void reader_class_plan_free(gpointer data);

#endif
