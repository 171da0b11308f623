/* SPDX-License-Identifier: MIT */
/*
 * Between trace.c, the back ends and the generated emitters. A back end is one table of functions;
 * its place in trace.c's list of back ends is its bit in every mask byte.
 */
#ifndef ORRERY_TRACE_INTERNAL_H
#define ORRERY_TRACE_INTERNAL_H

#include "orrery/impl/trace.h"

#define TRACE_MAX_SUBSYSTEMS 256 /* an event id has one byte for the subsystem */

/* What the options ask of a back end. */
typedef struct TraceSetup {
    const char *file;   /* file= or -D, or NULL */
    bool append;        /* keep what the file holds: others write to it as well */
    const bool *wanted; /* parallel to orr_trace_subsystems: has an event for this back end */
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

extern const TraceBackend orr_trace_log_backend;
extern const TraceBackend orr_trace_ust_backend;

uint64_t orr_trace_log_lost(void);

/* Hands an event to the back ends that want it. Called by the generated emitters. */
void orr_trace_dispatch(const TraceEvent *event, const void *args);

#endif
