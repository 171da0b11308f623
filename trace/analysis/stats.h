/* SPDX-License-Identifier: MIT */
/*
 * Numbers about samples: percentiles that are samples themselves, histograms by powers of two, and
 * the two tests that decide whether two samples differ. A percentile that a sample is too small for
 * is not a number; nobody is told the 99th of twenty. One thread at a time.
 */
#ifndef ORRERY_TRACE_ANALYSIS_STATS_H
#define ORRERY_TRACE_ANALYSIS_STATS_H

#include <stdio.h>

#include "trace/analysis/text.h"

/* A growing sample. Zero-filled is empty; stats_clear frees it. */
typedef struct Stats {
    double *values;
    size_t n;
    double total;
    bool sorted;
} Stats;

void stats_add(Stats *stats, double value);
void stats_clear(Stats *stats);

/* The smallest value that `share` (0 to 1) of the sample does not exceed. NAN where the sample is
 * empty or has fewer than one value beyond it: 100 values are needed for 0.99, 1000 for 0.999. */
double stats_percentile(Stats *stats, double share);
double stats_min(Stats *stats);
double stats_max(Stats *stats);

/* Cells n, total, p50, p90, p99, max of a table. */
#define STATS_COLUMNS "count\ttotal\tmedian\tp90\tp99\tmax"
void stats_cells(Stats *stats, Table *table);

/* An object: count, total_ns, min_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns. */
void stats_json(Stats *stats, Json *json, const char *key);

/* Bars by powers of two of nanoseconds. */
void stats_histogram(Stats *stats, FILE *out);

/* An array of [from_ns, to_ns, count]. */
void stats_histogram_json(Stats *stats, Json *json, const char *key);

/*
 * Mann and Whitney's U test, two-sided, with the correction for ties, by the normal approximation:
 * how likely samples at least as different are from one distribution. 1 where one has fewer than 8.
 */
double stats_mann_whitney(Stats *a, Stats *b);

#endif
