/* SPDX-License-Identifier: MIT */
/*
 * Between trace.c, the back ends and the generated emitters. A back end is one table of functions;
 * its place in trace.c's list of back ends is its bit in every mask byte.
 */
#ifndef ORRERY_TRACE_INTERNAL_H
#define ORRERY_TRACE_INTERNAL_H

#include "orrery/impl/trace.h"

#define TRACE_MAX_SUBSYSTEMS 256 /* an event id has one byte for the subsystem */

/* Bits of a mask byte: the back ends by their place in trace.c's list, and one that is none. */
#define TRACE_MASK_LOG 0x01
#define TRACE_MASK_UST 0x02
#define TRACE_MASK_CTF 0x04
#define TRACE_MASK_CONDITIONS 0x80 /* ask orr_trace_conditions_check before the back ends */

/* ---- Events by name ---- */

bool orr_trace_glob_matches(GPatternSpec *spec, const TraceEvent *event);
/* False, with the nearest name in the message, when no event matches. */
bool orr_trace_glob_known(const char *glob, GError **error);

/* ---- Conditions: filter=, sample=, trigger= ---- */

typedef enum TraceConditionKind {
    TRACE_CONDITION_FILTER,  /* GLOB:FIELD OPERATOR VALUE: the others are dropped */
    TRACE_CONDITION_SAMPLE,  /* GLOB:1/N: one in N of each thread's is kept */
    TRACE_CONDITION_TRIGGER, /* GLOB, or as a filter: dumps the flight recording */
    TRACE_CONDITION_PANIC,   /* the same, for what ends a guest */
} TraceConditionKind;

typedef struct TraceCondition TraceCondition;

/* NULL with a message when the text does not fit the events it names. */
TraceCondition *orr_trace_condition_parse(TraceConditionKind kind, const char *text,
                                          GError **error);
void orr_trace_condition_free(void *opaque); /* a TraceCondition */
bool orr_trace_condition_is_trigger(const TraceCondition *condition);

/*
 * Makes these the conditions of the process, in place of what was. Main thread, while no mask byte
 * has TRACE_MASK_CONDITIONS. The array stays the caller's.
 */
void orr_trace_conditions_install(const GPtrArray *conditions);

/* Is the event under a condition; and is it a trigger, which must be on to be seen? */
bool orr_trace_conditions_on(const TraceEvent *event);
bool orr_trace_conditions_trigger(const TraceEvent *event);

#define TRACE_VERDICT_KEEP 1u
#define TRACE_VERDICT_TRIGGER 2u
#define TRACE_VERDICT_PANIC 4u

/* As emit below: any thread, any locks. */
unsigned orr_trace_conditions_check(const TraceEvent *event, const void *args);

/* ---- Back ends ---- */

/* What the recorder is asked for besides events. Zero means the default throughout. */
typedef struct TraceCtfOptions {
    char *dir;
    uint64_t ring_bytes;   /* of each thread's ring; a power of two */
    uint64_t flight_ns;    /* 0: to files; else what is kept in memory */
    uint64_t flight_bytes; /* and its most */
    uint16_t contexts;     /* bits: 1 << TraceContext, TRACE_CONTEXT_CPU */
    bool given;            /* any of it */
} TraceCtfOptions;

#define TRACE_CONTEXT_CPU (1u << TRACE_CONTEXT_N_SOURCES)

/*
 * Takes one of the recorder's options. *known is false, and nothing has happened, when it is none
 * of them. False: the value will not do.
 */
bool orr_trace_ctf_option(TraceCtfOptions *options, const char *key, const char *value, bool *known,
                          GError **error);
void orr_trace_ctf_options_copy(TraceCtfOptions *to, const TraceCtfOptions *from);
void orr_trace_ctf_options_clear(TraceCtfOptions *options);

/* What the options ask of a back end. */
typedef struct TraceSetup {
    const char *file;   /* file= or -D, or NULL */
    bool append;        /* keep what the file holds: others write to it as well */
    const bool *wanted; /* parallel to orr_trace_subsystems: has an event for this back end */
    const TraceCtfOptions *ctf;
} TraceSetup;

typedef struct TraceBackend {
    const char *name; /* as in backend= */
    const char *summary;
    /*
     * Main thread. False leaves it as it was. Called while it is open when more events are wanted:
     * wanted then has those alone, and the file stays what it was.
     */
    bool (*open)(const TraceSetup *setup, GError **error);
    /* No mask has the bit any more, but calls of emit may still be under way, or come late. */
    void (*close)(void);
    /*
     * Any thread, any locks held, also inside a signal handler: takes no lock of the project and
     * calls nothing back. args is laid out as event->fields says, NULL when it has none.
     */
    void (*emit)(const TraceEvent *event, const void *args);
} TraceBackend;

/* One line on stderr, with the program's name. */
void orr_trace_say(const char *fmt, ...) ORR_PRINTF(1, 2);

extern const TraceBackend orr_trace_log_backend;
extern const TraceBackend orr_trace_ust_backend;
extern const TraceBackend orr_trace_ctf_backend;

uint64_t orr_trace_log_lost(void);
void orr_trace_log_thread_renamed(void);

uint64_t orr_trace_ust_lost(void);

/* The recorder's emit. */
void orr_trace_ctf_emit(const TraceEvent *event, const void *args);
uint64_t orr_trace_ctf_lost(void);
void orr_trace_ctf_thread_renamed(void);

/* The event is a trigger of the flight recording. verdict: TRACE_VERDICT_*. As emit. */
void orr_trace_ctf_trigger(const TraceEvent *event, unsigned verdict);

/* See orr_trace_dump. */
char *orr_trace_ctf_dump(GError **error);

/*
 * Waits until what was emitted before, by any thread that the caller knows to have done so, is in
 * the files (or, in a flight recording, in packets). For tests and benchmarks. Not from emit.
 */
void orr_trace_ctf_sync(void);

/* Hands an event to the back ends that want it. Called by the generated emitters. */
void orr_trace_dispatch(const TraceEvent *event, const void *args);

#endif
