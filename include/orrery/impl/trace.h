/* SPDX-License-Identifier: MIT */
/*
 * Tracing as seen by whoever starts it (the command line, a monitor) and by whoever writes what was
 * traced (a back end). Code that is traced includes the generated "trace/trace-<subsystem>.h" and
 * calls trace_<subsystem>_<event>(...) instead; see docs/tracing.md. The idea to hold: every event
 * is a descriptor that can be read at run time, an argument record laid out as the descriptor says,
 * and one mask byte whose bits are the back ends that want it.
 *
 * What is selected belongs to the process, as the mask bytes do: it is one trace, whatever number
 * of machines run.
 */
#ifndef ORRERY_IMPL_TRACE_H
#define ORRERY_IMPL_TRACE_H

#include "orrery/impl/compiler.h"

#include <stdio.h>

ORR_BEGIN_DECLS

/* LTTng's levels, with its numbers. */
typedef enum TraceLevel {
    TRACE_LEVEL_EMERG,
    TRACE_LEVEL_ALERT,
    TRACE_LEVEL_CRIT,
    TRACE_LEVEL_ERR,
    TRACE_LEVEL_WARNING,
    TRACE_LEVEL_NOTICE,
    TRACE_LEVEL_INFO,
    TRACE_LEVEL_DEBUG_SYSTEM,
    TRACE_LEVEL_DEBUG_PROGRAM,
    TRACE_LEVEL_DEBUG_PROCESS,
    TRACE_LEVEL_DEBUG_MODULE,
    TRACE_LEVEL_DEBUG_UNIT,
    TRACE_LEVEL_DEBUG_FUNCTION,
    TRACE_LEVEL_DEBUG_LINE,
    TRACE_LEVEL_DEBUG,
} TraceLevel;

/* How a field is stored in the argument record, and shown. */
typedef enum TraceFieldType {
    TRACE_FIELD_U8,
    TRACE_FIELD_U16,
    TRACE_FIELD_U32,
    TRACE_FIELD_U64,
    TRACE_FIELD_I8,
    TRACE_FIELD_I16,
    TRACE_FIELD_I32,
    TRACE_FIELD_I64,
    TRACE_FIELD_HEX8,
    TRACE_FIELD_HEX16,
    TRACE_FIELD_HEX32,
    TRACE_FIELD_HEX64,
    TRACE_FIELD_BOOL, /* uint8_t, 0 or 1 */
    TRACE_FIELD_PTR,  /* uint64_t */
    TRACE_FIELD_ENUM, /* int32_t */
    TRACE_FIELD_STR,  /* const char *, never NULL, lives as long as the emitting call */
} TraceFieldType;

typedef struct TraceLabel {
    const char *name;
    int32_t value;
} TraceLabel;

typedef struct TraceField {
    const char *name;
    const char *unit; /* "ns", "bytes", ...; NULL when it has none */
    TraceFieldType type;
    uint16_t size;   /* bytes in the record; sizeof(char *) for a string */
    uint16_t offset; /* of the field in the record */
    /* An enum's name and labels, else NULL and none. */
    const char *type_name;
    const TraceLabel *labels;
    uint16_t n_labels;
} TraceField;

typedef struct TraceSubsystem TraceSubsystem;

/*
 * Fields stand in the list's order. In the record the numbers come first, widest first and without
 * padding in between (fixed_bytes of them), then the pointers of the strings: a recorder may copy
 * the former in one piece.
 */
typedef struct TraceEvent {
    const TraceSubsystem *subsystem;
    const char *name;
    const char *sentence;
    uint16_t id;    /* unique: the subsystem's number in the high byte, the index in the low */
    uint16_t index; /* in the subsystem's events[] and mask[] */
    TraceLevel level;
    const TraceField *fields;
    uint16_t n_fields;
    uint16_t fixed_bytes;
    uint16_t args_bytes;
} TraceEvent;

struct TraceSubsystem {
    const char *name;
    uint64_t stamp; /* hash of names and types: equal stamps have equal records */
    uint16_t n_events;
    const TraceEvent *events;
    uint8_t *mask; /* a byte an event, atomic: bit i is set when back end i wants it; bit 7 when
                      the event is under a condition */
};

/* Every subsystem with events in this build, ends with NULL. Empty under -Dtrace=disabled. */
extern const TraceSubsystem *const orr_trace_subsystems[];

/*
 * Takes one -trace argument: comma-separated globs over "subsystem:event" ("-glob" takes events out
 * again), enable=GLOB, events=FILE (a glob a line), backend=NAME, file=PATH, and what docs/tracing.md
 * lists besides (filter=, sample=, the recorder's); ",," is a comma within one of them. Later globs
 * win over earlier ones. A backend= holds for the globs of its own argument; in an argument without
 * globs, for all that have none of their own. Nothing is switched on before orr_trace_start.
 *
 * Main thread, before orr_trace_start. false: an unknown name (the message has the nearest), an
 * unreadable FILE; nothing of the argument was taken then. "help" is not taken here: callers
 * compare for it, call orr_trace_help and end.
 */
bool orr_trace_option(const char *arg, GError **error);

/* Prints a line an event, "subsystem:event level - sentence", and the back ends. Any thread. */
void orr_trace_help(FILE *out);

/*
 * Names the file of -D: log lines are appended to it unless a file= was given. NULL forgets it.
 * Main thread, before orr_trace_start.
 */
void orr_trace_log_file(const char *path);

/*
 * Opens the back ends that are asked for and switches the selected events on; also has
 * orr_trace_stop called at exit(). Does nothing when no -trace was given. Main thread, after all
 * options; call it before other threads start, since it may set environment variables. false: no
 * event selected, file or provider object not usable; no event is on then.
 */
bool orr_trace_start(GError **error);

/*
 * Switches the events that match a glob on or off while the program runs: for the log, or if that
 * is not open and another back end is, for that one. Opens the log when nothing is open. Main
 * thread. false: no event matches, or the back end refuses (the log's file cannot be opened, a
 * provider object is missing); nothing has changed then.
 */
bool orr_trace_switch(const char *glob, bool on, GError **error);

/*
 * Switches all events off, writes out what is buffered, closes the back ends, forgets the options.
 * What other threads emit from then on is dropped. May be called twice. Any thread, no lock needed.
 */
void orr_trace_stop(void);

/*
 * Events of the log and of the recorder that were not written (disk full, reader gone, more than
 * the recorder could write, emitted from a signal handler that interrupted an emission) since
 * orr_trace_start. The recorder's are counted up to a tenth of a second late. Any thread.
 */
uint64_t orr_trace_lost(void);

/*
 * Asks for what the flight recorder holds to be written, and returns the path of the directory that
 * will have it, once it is complete; what goes wrong then is said on stderr. Caller frees. NULL when
 * there is no flight recording. Main thread, no lock needed; does not wait.
 */
char *orr_trace_dump(GError **error);

/*
 * The calling thread has a new name (pthread_setname_np): the log and the recorder show it from the
 * next event. Not calling it delays that by up to a tenth of a second. Any thread, no lock.
 */
void orr_trace_thread_renamed(void);

/*
 * What guest= says of how tasks of the guest are found (guest-os.h), or NULL. Stays until
 * orr_trace_stop. Main thread.
 */
const char *orr_trace_guest(void);

/* What the recorder may note with each event (context=), where a higher floor knows it. */
typedef enum TraceContext {
    TRACE_CONTEXT_VTIME,  /* the guest's virtual time, ns */
    TRACE_CONTEXT_ICOUNT, /* instructions that the guest has executed */
    TRACE_CONTEXT_N_SOURCES,
} TraceContext;

/*
 * read is called within an emission: from any thread, under any lock, in signal handlers. It takes
 * no lock and answers -1 when it does not know; what it emits itself is not recorded.
 */
typedef struct TraceContextSource {
    int64_t (*read)(void *opaque);
    void *opaque;
} TraceContextSource;

/*
 * From now on `source` is asked for that context, in place of any other; it stays the caller's. Main
 * thread.
 */
void orr_trace_context_provide(TraceContext context, const TraceContextSource *source);

/*
 * Withdraws `source`, if it is still the one that is asked. Other threads may be asking it until
 * they have left the emission they are in. Main thread; NULL is fine.
 */
void orr_trace_context_withdraw(TraceContext context, const TraceContextSource *source);

ORR_END_DECLS

#endif
