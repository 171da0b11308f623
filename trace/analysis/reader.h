/* SPDX-License-Identifier: MIT */
/*
 * Reading traces: all given directories as one sequence of events in the order of time, with the
 * thread that emitted each where the trace says. The idea to hold: here ends what is particular to
 * CTF, babeltrace2, and who recorded; behind it an event is a class and an array of numbers, with an
 * atom in place of each text.
 */
#ifndef ORRERY_TRACE_ANALYSIS_READER_H
#define ORRERY_TRACE_ANALYSIS_READER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "trace/analysis/atoms.h"

#define READER_MAX_FIELDS 24 /* of a class; more are passed over */
#define READER_NO_TIME INT64_MIN

typedef enum ReaderFieldType {
    READER_UNSIGNED,
    READER_HEX, /* unsigned, to be shown in hexadecimal */
    READER_SIGNED,
    READER_TEXT,  /* an atom; an enum's label too */
    READER_REAL,  /* a double's bits */
    READER_OTHER, /* of a kind that no Orrery event has; 0 */
} ReaderFieldType;

typedef struct ReaderField {
    const char *name;
    ReaderFieldType type;
} ReaderField;

/* Events of one name with the same fields. */
typedef struct ReaderClass {
    const char *name; /* "cpus:kick"; another provider's in full */
    bool ours;        /* an Orrery event */
    int level;        /* LTTng's, 0 emergency to 14 debug; -1 where the trace does not say */
    unsigned n_fields;
    ReaderField fields[READER_MAX_FIELDS];
    bool skip; /* set by on_class: its events are not wanted, and only counted */
    void *user;
} ReaderClass;

/* One traced process. */
typedef struct ReaderSource {
    const char *path;
    uint32_t index;
    uint32_t recorder; /* atoms */
    uint32_t host;
    uint32_t created;
    uint32_t environment; /* "key=value" in lines */
    int64_t pid;          /* -1 where the trace does not say */
    bool truncated;       /* the last packet of a file is cut off */
    bool flight;          /* a dump of a flight recording */
    bool twice;           /* two tracers recorded it, and both traces were given */
    void *user;
} ReaderSource;

typedef struct ReaderThread {
    ReaderSource *source;
    int64_t tid;
    uint32_t name; /* an atom; the latest name it had */
    void *user;
} ReaderThread;

typedef struct ReaderEvent {
    int64_t time_ns; /* since 1970 */
    ReaderClass *cls;
    ReaderSource *source;
    ReaderThread *thread;   /* NULL where the trace does not say */
    const uint64_t *values; /* by field; a signed one's bits */
    int64_t vtime_ns;       /* READER_NO_TIME where not recorded or not known */
    int64_t icount;
    int64_t host_cpu;
} ReaderEvent;

typedef struct ReaderCallbacks {
    /* A class of events is described, before the first of them. */
    void (*on_class)(void *opaque, ReaderClass *cls);
    void (*on_event)(void *opaque, const ReaderEvent *event);
    /* Events are missing. thread is NULL where they are some host CPU's. */
    void (*on_loss)(void *opaque, ReaderSource *source, ReaderThread *thread, int64_t begin_ns,
                    int64_t end_ns, uint64_t count);
    void *opaque;
} ReaderCallbacks;

typedef struct Reader Reader;

/*
 * Finds the traces in `paths` (NULL-terminated). NULL with `error` set, one line, where one has none
 * or several to choose from. `atoms` must outlive the reader.
 */
Reader *reader_open(const char *const *paths, Atoms *atoms, GError **error);

/* Reads everything, once. false with `error` set where a trace is damaged. Events that were read
 * before that have been handed out. */
bool reader_run(Reader *reader, const ReaderCallbacks *callbacks, GError **error);

/* After reader_run: events read, those of skipped classes too. */
uint64_t reader_n_events(const Reader *reader);

/* Was a file of the traces cut off amid a packet? */
bool reader_truncated(const Reader *reader);

/* The sources seen so far, by index. */
GPtrArray *reader_sources(const Reader *reader);

/* Accepts NULL. Sources, threads and classes go with it. */
void reader_close(Reader *reader);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reader, reader_close)

#endif
