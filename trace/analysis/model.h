/* SPDX-License-Identifier: MIT */
/*
 * A trace in memory, the same whoever recorded it (the CTF recorder, LTTng-UST): lanes, and for each
 * kind of thing that happens on them a table. The idea to hold: events are pairs of halves (a state
 * entered and left, a kick sent and taken, a line raised and delivered); the loader joins the halves
 * once, so that every command reads finished facts and none reads events.
 *
 * Tables are arrays of small fixed-size records in the order of their first field, a time. Text is interned:
 * a record holds a TraceAtom, and equal atoms are equal text. Times are nanoseconds since
 * TraceModel.epoch_ns, which is the time of the first event; TRACE_NO_TIME where the trace does not
 * have it, a little below 0 for what began before the first event. Lanes are indices into TraceModel.lanes; TRACE_NO_LANE where the trace does not say.
 *
 * Ownership: the model owns all that it points to, until trace_model_free. After trace_model_load it
 * is read-only, so any number of threads may read it without a lock.
 */
#ifndef ORRERY_TRACE_ANALYSIS_MODEL_H
#define ORRERY_TRACE_ANALYSIS_MODEL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t TraceAtom; /* see trace_model_text; 0 is the empty text */
typedef uint16_t TraceLaneId;

#define TRACE_NO_TIME INT64_MIN
#define TRACE_NO_LANE UINT16_MAX

/* The vCPU states of orrery/impl/vcpu.h, in its order, and one for a name that this build does not
 * know. */
typedef enum TraceState {
    TRACE_STATE_CREATED,
    TRACE_STATE_STOPPED,
    TRACE_STATE_RUNNING,
    TRACE_STATE_EXIT,
    TRACE_STATE_DEVICE,
    TRACE_STATE_LOCK_WAIT,
    TRACE_STATE_EXCLUSIVE_WAIT,
    TRACE_STATE_EXCLUSIVE,
    TRACE_STATE_HALTED,
    TRACE_STATE_THROTTLED,
    TRACE_STATE_UNPLUGGED,
    TRACE_STATE_UNKNOWN, /* another name, or lost events hide it */
    TRACE_STATE_COUNT,
} TraceState;

typedef enum TraceLaneKind {
    TRACE_LANE_VCPU,
    TRACE_LANE_THREAD, /* main loop, I/O and other threads that are no vCPU's */
} TraceLaneKind;

/*
 * A vCPU, or a thread that is none. vCPUs come first, by source and index. A vCPU's thread has no
 * lane of its own: what it does is on the vCPU's.
 */
typedef struct TraceLane {
    TraceLaneKind kind;
    uint32_t source;  /* index into TraceModel.sources */
    int32_t cpu;      /* vCPU index; -1 for a thread */
    int64_t tid;      /* host thread; -1 where unknown */
    TraceAtom name;   /* "vCPU 0"; a thread's own name */
    TraceAtom accel;  /* accelerator of a vCPU, empty where unknown */
    int64_t begin_ns; /* its first and last event */
    int64_t end_ns;
    uint64_t n_events;
    TraceAtom title;     /* see trace_model_lane_name */
    size_t states_first; /* its records in TraceModel.states: [first, first + n) */
    size_t states_n;
} TraceLane;

/* One process that was traced. */
typedef struct TraceSource {
    TraceAtom path;     /* as given */
    TraceAtom recorder; /* "orrery" (the CTF recorder), "lttng-ust", or what the trace says */
    TraceAtom host;
    int64_t pid;           /* -1 where the trace does not say */
    TraceAtom created;     /* date and time as in the trace, may be empty */
    TraceAtom environment; /* all of it, "key=value" in lines */
    bool flight;           /* a dump of a flight recording: it begins in the middle */
    bool truncated;        /* the last packet is cut off, as SIGKILL or a full disk leaves it */
} TraceSource;

/* ---- Tables ---- */

enum {
    TRACE_CUT_BEGIN = 1 << 0,  /* began before the trace (or the time range) did */
    TRACE_CUT_END = 1 << 1,    /* not over when the trace (or the time range) ended */
    TRACE_AFTER_LOSS = 1 << 2, /* events of its thread are missing within it */
};

/* A vCPU was in a state. Sorted by lane, then begin; a lane's intervals do not overlap and leave no
 * gap between its first event and its last: what lost events hide is TRACE_STATE_UNKNOWN. */
typedef struct TraceStateSpan {
    int64_t begin_ns;
    int64_t end_ns;
    TraceAtom reason; /* why it was entered */
    TraceLaneId lane;
    uint8_t state; /* TraceState */
    uint8_t flags; /* TRACE_CUT_*, TRACE_AFTER_LOSS */
} TraceStateSpan;

/* A vCPU was told to leave guest code, or to wake. */
typedef struct TraceKick {
    int64_t sent_ns;
    int64_t taken_ns; /* when the target was out of guest code, or awake; sent_ns where it was
                           * so already; TRACE_NO_TIME: not within the trace */
    TraceAtom cause;
    TraceLaneId kicker; /* a vCPU or a thread */
    TraceLaneId target;
    uint8_t state;  /* the target's TraceState when it was sent */
    uint8_t merged; /* 1: an earlier one was under way, and both were taken at once */
} TraceKick;

/* A halted vCPU's thread woke. */
typedef struct TraceWake {
    int64_t time_ns;
    int64_t slept_ns;
    int64_t kick_ns; /* the kick that woke it; TRACE_NO_TIME where none was seen */
    TraceAtom cause;
    TraceLaneId lane;
    TraceLaneId waker; /* who kicked; TRACE_NO_LANE where no kick was seen */
} TraceWake;

/* A work item on a vCPU. */
typedef struct TraceWork {
    int64_t queued_ns;
    int64_t begin_ns; /* TRACE_NO_TIME: not run within the trace */
    int64_t end_ns;
    TraceAtom kind; /* "run-on", "async", "async-safe" */
    TraceLaneId from;
    TraceLaneId lane;
} TraceWork;

/* An exclusive section. */
typedef struct TraceExclusive {
    int64_t asked_ns;
    int64_t begin_ns; /* all vCPUs are out of guest code */
    int64_t end_ns;   /* TRACE_NO_TIME: not within the trace */
    TraceLaneId lane;
} TraceExclusive;

/* The machine lock was waited for, or held. */
typedef struct TraceLock {
    int64_t begin_ns;
    int64_t end_ns;
    TraceAtom site; /* "function" or "file:line" of the call */
    TraceLaneId lane;
    uint8_t hold; /* 0: waited, 1: held */
} TraceLock;

/* An accelerator op was called. */
typedef struct TraceOp {
    int64_t begin_ns;
    int64_t end_ns;  /* TRACE_NO_TIME: its return is not in the trace */
    int64_t outcome; /* 0 for an op that returns nothing */
    TraceAtom op;
    TraceLaneId lane;   /* the thread that called */
    TraceLaneId target; /* the vCPU it was for; TRACE_NO_LANE for one on the whole machine */
} TraceOp;

/* A TLB flush, from the request to its end. */
typedef struct TraceFlush {
    int64_t request_ns;
    int64_t enqueue_ns; /* handed to the vCPU as work; TRACE_NO_TIME: it was not, or not recorded */
    int64_t execute_ns; /* TRACE_NO_TIME: not within the trace */
    int64_t cost_ns;    /* how long it took, a duration; TRACE_NO_TIME where not recorded */
    int64_t barrier_ns; /* how long it was waited for all vCPUs, a duration; TRACE_NO_TIME: not */
    uint64_t entries;   /* entries that went; UINT64_MAX where unknown */
    TraceAtom kind;     /* "all", "page", ...; rows of src/tcg/tlb-flush.def */
    TraceAtom cause;
    TraceAtom widened; /* why more was flushed than asked; empty where it was not */
    TraceLaneId from;  /* who asked; the vCPU itself where nobody did */
    TraceLaneId lane;  /* whose TLB */
} TraceFlush;

typedef enum TraceRefillKind {
    TRACE_REFILL_WALK,   /* a miss, served by a page walk */
    TRACE_REFILL_FAULT,  /* a miss whose walk ended in a fault */
    TRACE_REFILL_VICTIM, /* a miss, served by the victim table */
    TRACE_REFILL_RESIZE, /* a table changed its size; access: which; what: why */
} TraceRefillKind;

typedef struct TraceRefill {
    int64_t time_ns;
    int64_t duration_ns; /* of a walk; else TRACE_NO_TIME */
    TraceAtom access;    /* "load", "store", "fetch" */
    TraceAtom what;      /* what a walk's entry leads to */
    TraceLaneId lane;
    uint8_t kind; /* TraceRefillKind */
} TraceRefill;

/* An interrupt line, from its raising to its delivery to a vCPU. */
typedef struct TraceIrq {
    int64_t raise_ns;
    int64_t deliver_ns; /* TRACE_NO_TIME: not delivered within the trace, or not recorded */
    int64_t lower_ns;
    uint64_t line; /* line number, or the architecture's cause at delivery */
    TraceAtom device;
    TraceLaneId from;
    TraceLaneId lane; /* the vCPU it was delivered to */
} TraceIrq;

/* A timer, from its arming to its callback. */
typedef struct TraceTimer {
    int64_t armed_ns;    /* TRACE_NO_TIME: before the trace */
    int64_t fired_ns;    /* TRACE_NO_TIME: dropped, re-armed, or not within the trace */
    int64_t deadline_ns; /* on its own clock, not relative to epoch_ns */
    int64_t lateness_ns; /* a duration; meaningful where fired_ns is */
    uint64_t id;
    TraceAtom name;
    TraceAtom clock;  /* "realtime", "virtual", "host", "virtual_rt" */
    TraceLaneId lane; /* the thread that fired it, else that armed it */
    uint8_t end;      /* 0 pending, 1 fired, 2 dropped, 3 re-armed */
} TraceTimer;

typedef enum TraceAccessKind {
    TRACE_ACCESS_MMIO_READ,
    TRACE_ACCESS_MMIO_WRITE,
    TRACE_ACCESS_MMIO_ERROR,
    TRACE_ACCESS_VIRTIO_NOTIFY,
    TRACE_ACCESS_VIRTIO_COMPLETE,
} TraceAccessKind;

/* The guest used a device, or a device answered. */
typedef struct TraceAccess {
    int64_t time_ns;
    uint64_t offset; /* within the device; virtio: the queue */
    uint64_t value;  /* virtio_complete: bytes written */
    TraceAtom device;
    TraceLaneId lane;
    uint8_t kind; /* TraceAccessKind */
    uint8_t size_bytes;
} TraceAccess;

typedef enum TraceGuestKind {
    TRACE_GUEST_TASK,    /* number: pid; text: the task's name */
    TRACE_GUEST_MODE,    /* number: the level; text: "user", "supervisor", "machine", ... */
    TRACE_GUEST_SYSCALL, /* number: the call's; text: its name where known */
    TRACE_GUEST_TRAP,    /* number: the cause; text: its name where known */
    TRACE_GUEST_SATP,    /* number: the new value */
} TraceGuestKind;

/* What the guest does on a vCPU, from time_ns to end_ns. */
typedef struct TraceGuest {
    int64_t time_ns;
    int64_t end_ns; /* the vCPU's next record of the kind, or its lane's end; for a system
                           * call its return; TRACE_NO_TIME for what is a moment */
    int64_t number;
    TraceAtom text;
    TraceLaneId lane;
    uint8_t kind; /* TraceGuestKind */
} TraceGuest;

/* Any other event of level info or above: run states, pauses, resets, plugs, faults. */
typedef struct TraceMoment {
    int64_t time_ns;
    TraceAtom event; /* "cpus:run_state" */
    TraceAtom text;  /* its fields, "from=running to=paused" */
    TraceLaneId lane;
} TraceMoment;

/* Events that the recorder counted but could not keep. */
typedef struct TraceLoss {
    int64_t begin_ns;
    int64_t end_ns;
    uint64_t count;
    TraceLaneId lane; /* TRACE_NO_LANE where they are some CPU's and not a thread's */
    uint32_t source;
} TraceLoss;

/* How often each event is in the trace, whether this tool knows it or not. */
typedef struct TraceEventCount {
    TraceAtom event; /* "cpus:kick" */
    uint64_t count;
    bool known;
} TraceEventCount;

typedef struct TraceModel {
    int64_t epoch_ns; /* host's real time of time 0, ns since 1970 */
    int64_t begin_ns; /* of the trace or of the time range asked for */
    int64_t end_ns;
    uint64_t n_events;   /* read, before any filter */
    uint64_t n_lost;     /* sum of losses */
    size_t memory_bytes; /* of this model */
    bool has_vtime;      /* state_vtime is there */

    TraceSource *sources;
    size_t n_sources;
    TraceLane *lanes;
    size_t n_lanes;
    size_t n_vcpus; /* how many of the lanes, from the first, are vCPUs */

    TraceStateSpan *states;
    size_t n_states;
    int64_t *state_vtime; /* guest's virtual time at each state's begin; NULL unless has_vtime, and
                           * TRACE_NO_TIME where unknown. Not relative to epoch_ns */
    TraceKick *kicks;
    size_t n_kicks;
    TraceWake *wakes;
    size_t n_wakes;
    TraceWork *works;
    size_t n_works;
    TraceExclusive *exclusives;
    size_t n_exclusives;
    TraceLock *locks;
    size_t n_locks;
    TraceOp *ops;
    size_t n_ops;
    TraceFlush *flushes;
    size_t n_flushes;
    TraceRefill *refills;
    size_t n_refills;
    TraceIrq *irqs;
    size_t n_irqs;
    TraceTimer *timers;
    size_t n_timers;
    TraceAccess *accesses;
    size_t n_accesses;
    TraceGuest *guests;
    size_t n_guests;
    TraceMoment *moments;
    size_t n_moments;
    TraceLoss *losses;
    size_t n_losses;
    TraceEventCount *events; /* by name */
    size_t n_events_known;   /* how many different ones */

    const char **texts; /* by atom */
    size_t n_texts;
    struct Atoms *atoms; /* where the texts are */
} TraceModel;

/* Zero-filled is everything. */
typedef struct TraceModelOptions {
    int64_t from_ns; /* since the trace's begin; both 0: all. A span that crosses an end is cut */
    int64_t to_ns;   /* 0: to the end */
    const char *const *events; /* globs on "subsystem:event", NULL-terminated: the others are passed
                                * over; NULL: all */
    const int *vcpus;          /* keep only these vCPUs' records, NULL: all */
    size_t n_vcpus;
    /* Called about every 65536 events with how many were read; may be NULL. */
    void (*progress)(uint64_t n_events, void *opaque);
    void *opaque;
} TraceModelOptions;

/*
 * Reads the traces in `paths` (NULL-terminated; each a directory that holds a trace's metadata, or
 * directories that do, as LTTng's sessions) and joins them on one time axis. NULL with `error` set
 * (one line: the culprit and the remedy) when there is no trace, it is damaged beyond what a cut-off
 * end explains, or it has no event. Free with trace_model_free. Any thread, no locks; takes about 1 us
 * an event.
 */
TraceModel *trace_model_load(const char *const *paths, const TraceModelOptions *options,
                             GError **error);

/* Accepts NULL. */
void trace_model_free(TraceModel *model);

/* The text of an atom, valid UTF-8, never NULL; owned by the model. */
const char *trace_model_text(const TraceModel *model, TraceAtom atom);

/* "running", "lock-wait", ...; "unknown" for anything else. Static. */
const char *trace_state_name(TraceState state);

/* A lane for people: "vCPU 0", "vCPU 0 (run2)" where there are several sources, a thread's name with
 * its number, "?" for TRACE_NO_LANE. Owned by the model. */
const char *trace_model_lane_name(const TraceModel *model, TraceLaneId lane);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TraceModel, trace_model_free)

#endif
