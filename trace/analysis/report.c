/* SPDX-License-Identifier: MIT */
/*
 * Groups, and the two ways to print them.
 */
#include "trace/analysis/report.h"

#include <stdlib.h>
#include <string.h>

/* ---- Groups. */

static guint group_hash(gconstpointer data)
{
    const Group *group = data;
    uint64_t mixed = (group->key[0] * 0x9e3779b97f4a7c15u) ^ (group->key[1] * 0xc2b2ae3d27d4eb4fu);

    return (guint)(mixed >> 32);
}

static gboolean group_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(((const Group *)a)->key, ((const Group *)b)->key, sizeof(((Group *)0)->key)) == 0;
}

static void group_free(gpointer data)
{
    Group *group = data;

    g_free(group->label);
    stats_clear(&group->first);
    stats_clear(&group->second);
    g_free(group);
}

Groups groups_create(void)
{
    return (Groups){ g_hash_table_new_full(group_hash, group_equal, group_free, NULL) };
}

void groups_clear(Groups *groups)
{
    g_hash_table_destroy(groups->table);
    groups->table = NULL;
}

Group *groups_get(const Groups *groups, uint64_t key, uint64_t key2)
{
    Group wanted = { .key = { key, key2 } };
    Group *group = g_hash_table_lookup(groups->table, &wanted);

    if (!group) {
        group = g_new0(Group, 1);
        memcpy(group->key, wanted.key, sizeof(group->key));
        g_hash_table_add(groups->table, group);
    }
    return group;
}

static int compare_groups(const void *a, const void *b)
{
    const Group *x = *(Group *const *)a, *y = *(Group *const *)b;

    if (x->first.total + x->second.total != y->first.total + y->second.total) {
        return x->first.total + x->second.total > y->first.total + y->second.total ? -1 : 1;
    }
    if (x->count + x->first.n != y->count + y->first.n) {
        return x->count + x->first.n > y->count + y->first.n ? -1 : 1;
    }
    return strcmp(x->label, y->label);
}

static Group **sorted(const Groups *groups, size_t *n)
{
    GHashTableIter iter;
    gpointer group;
    Group **list = g_new(Group *, g_hash_table_size(groups->table) + 1);

    *n = 0;
    g_hash_table_iter_init(&iter, groups->table);
    while (g_hash_table_iter_next(&iter, &group, NULL)) {
        list[(*n)++] = group;
    }
    qsort(list, *n, sizeof(*list), compare_groups);
    return list;
}

/* ---- Reports. */

Report report_begin(const TraceModel *model, const CommandOptions *options, FILE *out)
{
    Report report = { model, options, out, options->json ? json_create(out) : NULL };

    if (report.json) {
        json_begin_object(report.json, NULL);
        json_int(report.json, "begin_ns", model->begin_ns);
        json_int(report.json, "end_ns", model->end_ns);
        json_uint(report.json, "lost", model->n_lost);
    }
    return report;
}

void report_end(Report *report)
{
    if (report->json) {
        json_end(report->json);
        json_close(report->json);
    }
}

void report_title(const Report *report, const char *format, ...)
{
    va_list args;

    if (!report->json) {
        putc('\n', report->out);
        va_start(args, format);
        vfprintf(report->out, format, args);
        va_end(args);
        putc('\n', report->out);
    }
}

void report_note(const Report *report, const char *format, ...)
{
    va_list args;

    if (!report->json) {
        fputs("  ", report->out);
        va_start(args, format);
        vfprintf(report->out, format, args);
        va_end(args);
        putc('\n', report->out);
    }
}

static void groups_as_json(const Report *report, const char *key, const char *labels,
                           const char *names, ReportColumns columns, Group **list, size_t n)
{
    g_auto(GStrv) titles = g_strsplit(labels, "\t", -1);
    g_auto(GStrv) samples = g_strsplit(names, "\t", -1);

    json_begin_array(report->json, key);
    for (size_t i = 0; i < n; i++) {
        g_auto(GStrv) cells = g_strsplit(list[i]->label, "\t", -1);

        json_begin_object(report->json, NULL);
        for (unsigned c = 0; titles[c] && cells[c]; c++) {
            json_text(report->json, titles[c] + (titles[c][0] == '<'), cells[c]);
        }
        if (list[i]->count || columns == REPORT_COUNT) {
            json_uint(report->json, "count", list[i]->count);
        }
        if (columns != REPORT_COUNT) {
            stats_json(&list[i]->first, report->json, samples[0]);
        }
        if (columns == REPORT_BOTH) {
            stats_json(&list[i]->second, report->json, samples[1]);
        }
        json_end(report->json);
    }
    json_end(report->json);
}

void report_groups(const Report *report, const char *key, const char *title, const char *labels,
                   const char *names, ReportColumns columns, const Groups *groups)
{
    size_t limit = report->options->limit ? report->options->limit : SIZE_MAX, n;
    g_autofree Group **list = sorted(groups, &n);
    g_autoptr(GString) header = g_string_new(labels);
    g_auto(GStrv) samples = g_strsplit(names, "\t", -1);
    Table *table;

    if (report->json) {
        groups_as_json(report, key, labels, names, columns, list, n);
        return;
    }
    if (!n) {
        return;
    }
    report_title(report, "%s", title);
    if (columns == REPORT_COUNT) {
        g_string_append(header, "\tcount");
    } else {
        g_string_append(header, "\t" STATS_COLUMNS);
    }
    if (columns == REPORT_BOTH) {
        g_string_append_printf(header, "\t%s\ttotal\tmax", samples[1]);
    }
    table = table_create(header->str);
    for (size_t i = 0; i < n && i < limit; i++) {
        g_auto(GStrv) cells = g_strsplit(list[i]->label, "\t", -1);

        for (unsigned c = 0; cells[c]; c++) {
            table_cell(table, "%s", cells[c]);
        }
        if (columns == REPORT_COUNT) {
            table_cell(table, "%zu", list[i]->count);
        } else {
            stats_cells(&list[i]->first, table);
        }
        if (columns == REPORT_BOTH) {
            table_cell(table, "%zu", list[i]->second.n);
            table_duration(table, list[i]->second.total);
            table_duration(table, stats_max(&list[i]->second));
        }
    }
    table_print(table, report->out);
    if (n > limit) {
        report_note(report, "and %zu more (--limit 0 prints all)", n - limit);
    }
}

void report_sample(const Report *report, const char *key, const char *title, Stats *stats)
{
    Table *table;

    if (report->json) {
        json_begin_object(report->json, key);
        stats_json(stats, report->json, "latency");
        stats_histogram_json(stats, report->json, "histogram");
        json_end(report->json);
        return;
    }
    if (!stats->n) {
        return;
    }
    report_title(report, "%s", title);
    table = table_create(STATS_COLUMNS);
    stats_cells(stats, table);
    table_print(table, report->out);
    stats_histogram(stats, report->out);
}
