/* SPDX-License-Identifier: MIT */
/*
 * Making the model from events: what the files build-*.c share, private to the loader. The idea to
 * hold: each event has one handler, named in a table with the fields that it wants; the handler
 * closes what the event ends and opens what it begins. Lanes have provisional numbers, in the order in
 * which they appear, until model.c puts them in their final one.
 */
#ifndef ORRERY_TRACE_ANALYSIS_BUILD_H
#define ORRERY_TRACE_ANALYSIS_BUILD_H

#include "trace/analysis/atoms.h"
#include "trace/analysis/model.h"
#include "trace/analysis/reader.h"

#define MAX_LANES 16384
#define MAX_CPU 4096 /* a higher index is a damaged trace's */

typedef struct Builder Builder;
typedef struct EventKind EventKind;
typedef struct BuildLane BuildLane;

/* An event as handlers see it; fields by the place in their handler's list. */
typedef struct BuildEvent {
    int64_t time_ns; /* since the trace's epoch */
    const ReaderEvent *raw;
    const EventKind *kind;
    ReaderThread *thread;
    ReaderSource *source;
    uint64_t values[READER_MAX_FIELDS]; /* 0 where the event has no such field */
} BuildEvent;

typedef void HandlerFn(Builder *b, const BuildEvent *event);

/* A row of the handlers' table. */
typedef struct Handler {
    const char *event;     /* "cpus:kick"; one that begins with '*' matches the end of the name */
    const char *fields[8]; /* NULL-terminated; all are needed but those that begin with '?' */
    HandlerFn *fn;
    bool moment; /* is a TraceMoment, too */
} Handler;

/* What a class of events means here; hangs off ReaderClass.user. */
struct EventKind {
    const Handler *handler; /* NULL: nothing */
    uint64_t count;
    TraceAtom name;
    TraceAtom op; /* accelerator's op */
    bool moment;
    int slots[8]; /* of the handler's fields in the class; -1 */
};

/* Sequences of tables that are still open. */
typedef struct Pending {
    size_t *items; /* indices into a table */
    size_t n;
} Pending;

struct BuildLane {
    TraceLane lane;
    TraceLaneId id;
    bool seen_state;
    bool started;  /* its thread began, or it was plugged in, within the trace */
    bool in_guest; /* left guest code since it entered? */
    uint8_t state;
    uint8_t flags;
    TraceAtom reason;
    int64_t since_ns;
    int64_t since_vtime;
    int64_t loss_begin_ns; /* of events lost since since_ns; TRACE_NO_TIME: none */
    int64_t loss_end_ns;
    Pending kicks;
    Pending works;
    size_t exclusive;                   /* index + 1 of its open section */
    size_t guest[TRACE_GUEST_SATP + 1]; /* index + 1 of its latest record of each kind */
};

/* Of a ReaderSource. */
typedef struct BuildSource {
    uint32_t index;    /* in the model: only sources that have events are there */
    BuildLane **vcpus; /* by index, sparse */
    unsigned n_vcpus;
    int64_t begin_ns;
    int64_t end_ns;
    bool lossy_cpu; /* lost events were a host CPU's, and may be any vCPU's */
    int64_t loss_begin_ns;
    int64_t loss_end_ns;
    GHashTable *timers; /* id to index + 1 */
    GHashTable *irqs;   /* lane, line and name to index + 1 */
} BuildSource;

/* Of a ReaderThread. */
typedef struct BuildThread {
    BuildLane *lane; /* its own, NULL before it is needed */
    BuildLane *vcpu; /* the vCPU that it runs, NULL */
    GArray *entries; /* of ops entered: indices into model->ops */
} BuildThread;

struct Builder {
    TraceModel *model;
    const TraceModelOptions *options;
    Atoms *atoms;
    GPtrArray *lanes;   /* of BuildLane, by provisional number */
    GPtrArray *kinds;   /* of EventKind */
    GPtrArray *threads; /* of BuildThread */
    GPtrArray *sources; /* of BuildSource */
    bool started;       /* the epoch is known */
    int64_t last_ns;
    size_t n_early_losses; /* whose times are since 1970 still */
    TraceAtom state_atoms[TRACE_STATE_COUNT];
};

/* Tables double: their room is the next power of two above n. */
void *build_add(void *table, size_t *n, size_t record_bytes);

/* Appends a zeroed record to a table of the model and names it. */
#define BUILD_ADD(b_, table_, n_)                                                                  \
    ((b_)->model->table_ =                                                                         \
         build_add((b_)->model->table_, &(b_)->model->n_, sizeof(*(b_)->model->table_)),           \
     &(b_)->model->table_[(b_)->model->n_ - 1])

void pending_add(Pending *pending, size_t item);

/* The lane of a vCPU; NULL for an index that none can have. */
BuildLane *build_vcpu(Builder *b, ReaderSource *source, int64_t cpu);

/* The lane on which the event's thread acts; NULL where the trace does not say. */
BuildLane *build_thread(Builder *b, const BuildEvent *event);

BuildThread *build_thread_data(Builder *b, ReaderThread *thread);
BuildSource *build_source(Builder *b, ReaderSource *source);

static inline TraceLaneId lane_id(const BuildLane *lane)
{
    return lane ? lane->id : TRACE_NO_LANE;
}

/* NULL-terminated by event. */
extern const Handler build_cpus_handlers[];
extern const Handler build_hw_handlers[];
extern const Handler build_guest_handlers[];
extern const Handler build_tlb_handlers[];

/* Closes what is open on the lanes at their sources' ends. */
void build_cpus_finish(Builder *b);
void build_guest_finish(Builder *b);

/* Events of the lane (NULL: of any of the source's) are missing. */
void build_cpus_loss(Builder *b, BuildSource *source, BuildLane *lane, int64_t begin_ns,
                     int64_t end_ns);

/* From here on: the reader's callbacks, and the model's own (model.c). */
void build_on_class(void *builder, ReaderClass *cls);
void build_on_event(void *builder, const ReaderEvent *raw);
void build_on_loss(void *builder, ReaderSource *source, ReaderThread *thread, int64_t begin_ns,
                   int64_t end_ns, uint64_t count);
void build_init(Builder *b, TraceModel *model, Atoms *atoms, const TraceModelOptions *options);
void build_clear(Builder *b);

#endif
