/* SPDX-License-Identifier: MIT */
/*
 * What orrery-trace's commands have in common: each takes finished models and options that main has
 * read, and writes to a stream. The idea to hold: a command neither parses arguments nor reads
 * events, so that all of them mean the same by a time range, a vCPU or an output file.
 */
#ifndef ORRERY_TRACE_ANALYSIS_COMMANDS_H
#define ORRERY_TRACE_ANALYSIS_COMMANDS_H

#include <stdio.h>

#include "trace/analysis/model.h"

typedef struct CommandOptions {
    bool json;         /* for scripts, not for people */
    unsigned limit;    /* rows of "the longest ..." tables; 0: no limit */
    const char *title; /* of a page; NULL: made from the paths */
} CommandOptions;

/*
 * Each writes what `orrery-trace <command>` prints to `out` (flushed and checked by the caller).
 * false with `error` set where the model does not hold what the command needs. One thread.
 */
bool command_summary(const TraceModel *model, const CommandOptions *options, FILE *out,
                     GError **error);
bool command_sched(const TraceModel *model, const CommandOptions *options, FILE *out,
                   GError **error);
bool command_tlb(const TraceModel *model, const CommandOptions *options, FILE *out, GError **error);
bool command_accel(const TraceModel *model, const CommandOptions *options, FILE *out,
                   GError **error);
bool command_timeline(const TraceModel *model, const CommandOptions *options, FILE *out,
                      GError **error);
bool command_perfetto(const TraceModel *model, const CommandOptions *options, FILE *out,
                      GError **error);
bool command_compare(const TraceModel *a, const TraceModel *b, const CommandOptions *options,
                     FILE *out, GError **error);

/*
 * CSV with a line of names first. Events are read as they are written, so a trace may be larger than
 * memory; `absolute` is for times since 1970 instead of since the first event.
 */
bool command_export_events(const char *const *paths, const TraceModelOptions *filter, bool absolute,
                           FILE *out, GError **error);

/* A table of the model, by name. */
bool command_export_table(const TraceModel *model, const char *table, bool absolute, FILE *out,
                          GError **error);

/* Is there such a table? Else `error` names those that are. */
bool command_export_has(const char *table, GError **error);

/* Lists the tables. */
void command_export_tables(FILE *out);

#endif
