/* SPDX-License-Identifier: MIT */
/*
 * Percentiles by rank (no interpolation: what is printed was measured), histograms, and the rank test.
 */
#include "trace/analysis/stats.h"

#include <math.h>
#include <stdlib.h>

#define BAR_CHARS 50
#define BUCKETS 64
#define ENOUGH 8

void stats_add(Stats *stats, double value)
{
    if ((stats->n & (stats->n - 1)) == 0) {
        stats->values = g_renew(double, stats->values, stats->n ? stats->n * 2 : 1);
    }
    stats->values[stats->n++] = value;
    stats->total += value;
    stats->sorted = false;
}

void stats_clear(Stats *stats)
{
    g_free(stats->values);
    *stats = (Stats){ 0 };
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void sort(Stats *stats)
{
    if (!stats->sorted && stats->n) {
        qsort(stats->values, stats->n, sizeof(double), compare);
    }
    stats->sorted = true;
}

double stats_percentile(Stats *stats, double share)
{
    double rank = ceil(share * (double)stats->n - 1e-9);

    if (!stats->n || (share > 0.5 && (double)stats->n * (1 - share) < 1 - 1e-9)) {
        return NAN;
    }
    sort(stats);
    return stats->values[(size_t)MAX(rank, 1) - 1];
}

double stats_min(Stats *stats)
{
    sort(stats);
    return stats->n ? stats->values[0] : NAN;
}

double stats_max(Stats *stats)
{
    sort(stats);
    return stats->n ? stats->values[stats->n - 1] : NAN;
}

void stats_cells(Stats *stats, Table *table)
{
    table_cell(table, "%zu", stats->n);
    table_duration(table, stats->total);
    table_duration(table, stats_percentile(stats, 0.5));
    table_duration(table, stats_percentile(stats, 0.9));
    table_duration(table, stats_percentile(stats, 0.99));
    table_duration(table, stats_max(stats));
}

void stats_json(Stats *stats, Json *json, const char *key)
{
    json_begin_object(json, key);
    json_uint(json, "count", stats->n);
    json_real(json, "total_ns", stats->total);
    json_real(json, "min_ns", stats_min(stats));
    json_real(json, "p50_ns", stats_percentile(stats, 0.5));
    json_real(json, "p90_ns", stats_percentile(stats, 0.9));
    json_real(json, "p99_ns", stats_percentile(stats, 0.99));
    json_real(json, "p999_ns", stats_percentile(stats, 0.999));
    json_real(json, "max_ns", stats_max(stats));
    json_end(json);
}

/* ---- Histograms. */

/* Bucket i holds [2^i, 2^(i+1)); the first also what is below. */
static unsigned bucket_of(double value)
{
    unsigned i = 0;

    while (i + 1 < BUCKETS && value >= ldexp(1, (int)i + 1)) {
        i++;
    }
    return i;
}

static bool fill_buckets(const Stats *stats, size_t counts[BUCKETS], unsigned *first,
                         unsigned *last, size_t *most)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        counts[i] = 0;
    }
    *most = 0;
    for (size_t i = 0; i < stats->n; i++) {
        unsigned bucket = bucket_of(stats->values[i]);

        counts[bucket]++;
        *most = MAX(*most, counts[bucket]);
        *first = i ? MIN(*first, bucket) : bucket;
        *last = i ? MAX(*last, bucket) : bucket;
    }
    return stats->n > 0;
}

void stats_histogram(Stats *stats, FILE *out)
{
    size_t counts[BUCKETS], most;
    unsigned first, last;

    if (!fill_buckets(stats, counts, &first, &last, &most)) {
        return;
    }
    for (unsigned i = first; i <= last; i++) {
        char from[DURATION_SIZE], to[DURATION_SIZE];
        size_t bar = (counts[i] * BAR_CHARS + most - 1) / most;

        fprintf(out, "  %9s .. %-9s %9zu  ", format_duration(from, i ? ldexp(1, (int)i) : 0),
                format_duration(to, ldexp(1, (int)i + 1)), counts[i]);
        for (size_t j = 0; j < bar; j++) {
            putc('#', out);
        }
        putc('\n', out);
    }
}

void stats_histogram_json(Stats *stats, Json *json, const char *key)
{
    size_t counts[BUCKETS], most;
    unsigned first, last;

    json_begin_array(json, key);
    if (fill_buckets(stats, counts, &first, &last, &most)) {
        for (unsigned i = first; i <= last; i++) {
            json_begin_array(json, NULL);
            json_real(json, NULL, i ? ldexp(1, (int)i) : 0);
            json_real(json, NULL, ldexp(1, (int)i + 1));
            json_uint(json, NULL, counts[i]);
            json_end(json);
        }
    }
    json_end(json);
}

/* ---- The rank test. */

double stats_mann_whitney(Stats *a, Stats *b)
{
    double n = (double)a->n, m = (double)b->n;
    double rank_sum = 0, ties = 0, deviation, variance;
    size_t i = 0, j = 0;

    if (a->n < ENOUGH || b->n < ENOUGH) {
        return 1;
    }
    sort(a);
    sort(b);
    while (i < a->n || j < b->n) {
        double value =
            j >= b->n || (i < a->n && a->values[i] <= b->values[j]) ? a->values[i] : b->values[j];
        size_t before = i + j, in_a = 0, in_b = 0;
        double tied;

        for (; i < a->n && a->values[i] == value; i++) {
            in_a++;
        }
        for (; j < b->n && b->values[j] == value; j++) {
            in_b++;
        }
        tied = (double)(in_a + in_b);
        rank_sum += (double)in_a * ((double)before + (tied + 1) / 2);
        ties += tied * tied * tied - tied;
    }
    variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)));
    if (variance <= 0) {
        return 1;
    }
    deviation = fabs(rank_sum - n * (n + 1) / 2 - n * m / 2) - 0.5;
    return deviation <= 0 ? 1 : erfc(deviation / sqrt(variance) / sqrt(2));
}
