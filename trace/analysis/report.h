/* SPDX-License-Identifier: MIT */
/*
 * What sched, tlb and accel print: sections, each a table of groups with the statistics of each, for
 * people or as JSON. The idea to hold: a command only sorts records into groups; how a group looks is
 * decided here, once. One thread.
 */
#ifndef ORRERY_TRACE_ANALYSIS_REPORT_H
#define ORRERY_TRACE_ANALYSIS_REPORT_H

#include "trace/analysis/commands.h"
#include "trace/analysis/stats.h"

typedef struct Group {
    uint64_t key[2];
    char *label; /* its cells between tabs; NULL in a new group, the caller sets it */
    Stats first;
    Stats second;
    size_t count; /* for what has no duration */
} Group;

typedef struct Groups {
    GHashTable *table; /* of Group, to itself */
} Groups;

Groups groups_create(void);
void groups_clear(Groups *groups);
/* The group of the key, made where there is none. */
Group *groups_get(const Groups *groups, uint64_t key, uint64_t key2);

typedef struct Report {
    const TraceModel *model;
    const CommandOptions *options;
    FILE *out;
    Json *json; /* NULL: for people */
} Report;

Report report_begin(const TraceModel *model, const CommandOptions *options, FILE *out);
void report_end(Report *report);

/* A heading with an empty line before it; nothing in JSON. */
void report_title(const Report *report, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A remark in the text; nothing in JSON. */
void report_note(const Report *report, const char *format, ...) G_GNUC_PRINTF(2, 3);

typedef enum ReportColumns {
    REPORT_COUNT, /* count alone */
    REPORT_FIRST, /* statistics of the first sample */
    REPORT_BOTH,  /* and count, total and maximum of the second */
} ReportColumns;

/*
 * Groups by falling total of the first sample, then count. `labels` names the label's cells between
 * tabs; `names` the two samples, "waited\theld". Where there are no groups nothing is printed but the
 * JSON's empty array. Rows beyond the limit are counted.
 */
void report_groups(const Report *report, const char *key, const char *title, const char *labels,
                   const char *names, ReportColumns columns, const Groups *groups);

/* Statistics of one sample under a title, with its histogram. */
void report_sample(const Report *report, const char *key, const char *title, Stats *stats);

#endif
