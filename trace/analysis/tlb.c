/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace tlb`: flushes by kind and cause, what they cost, who flushes whom. An accelerator
 * without a software TLB has no tlb events; what common code asks of it (the op
 * invalidate_translations) is there all the same.
 */
#include "trace/analysis/report.h"

#include <inttypes.h>
#include <string.h>

static void report_flushes(const Report *report)
{
    const TraceModel *model = report->model;
    Groups kinds = groups_create(), whom = groups_create(), delays = groups_create(),
           widened = groups_create();
    uint64_t entries = 0;

    for (size_t i = 0; i < model->n_flushes; i++) {
        const TraceFlush *flush = &model->flushes[i];
        Group *kind = groups_get(&kinds, flush->kind, flush->cause);
        Group *pair = groups_get(&whom, (uint64_t)flush->from << 16 | flush->lane, flush->kind);
        Group *delay = groups_get(&delays, flush->kind, 0);

        if (!kind->label) {
            kind->label = g_strdup_printf("%s\t%s", trace_model_text(model, flush->kind),
                                          trace_model_text(model, flush->cause));
        }
        if (!pair->label) {
            pair->label = g_strdup_printf("%s\t%s\t%s", trace_model_lane_name(model, flush->from),
                                          trace_model_lane_name(model, flush->lane),
                                          trace_model_text(model, flush->kind));
        }
        if (!delay->label) {
            delay->label = g_strdup(trace_model_text(model, flush->kind));
        }
        pair->count++;
        kind->count++;
        if (flush->barrier_ns != TRACE_NO_TIME) {
            stats_add(&delay->second, (double)flush->barrier_ns);
        }
        if (flush->execute_ns != TRACE_NO_TIME) {
            stats_add(&delay->first, (double)(flush->execute_ns - flush->request_ns));
        }
        if (flush->entries != UINT64_MAX) {
            entries += flush->entries;
        }
        if (flush->widened) {
            Group *group = groups_get(&widened, flush->kind, flush->widened);

            if (!group->label) {
                group->label = g_strdup_printf("%s\t%s", trace_model_text(model, flush->kind),
                                               trace_model_text(model, flush->widened));
            }
            group->count++;
        }
    }
    report_groups(report, "flushes", "Flushes by kind and cause", "<kind\t<cause", "", REPORT_COUNT,
                  &kinds);
    if (model->n_flushes) {
        report_note(report, "%zu flushes took %" PRIu64 " entries with them", model->n_flushes,
                    entries);
    }
    report_groups(report, "delays",
                  "From the request until it was done; and waits for all vCPUs' leaving guest code",
                  "<kind", "delay\tbarrier", REPORT_BOTH, &delays);
    report_groups(report, "widened", "Flushes that took more than was asked", "<kind\t<why", "",
                  REPORT_COUNT, &widened);
    report_groups(report, "whom", "Who flushes whom", "<from\t<whose TLB\t<kind", "", REPORT_COUNT,
                  &whom);
    groups_clear(&kinds);
    groups_clear(&whom);
    groups_clear(&delays);
    groups_clear(&widened);
}

/* Misses: what serving them cost, and what they led to. */
static void report_refills(const Report *report)
{
    static const char *const kinds[] = { "page walk", "fault", "victim table", "resize" };
    const TraceModel *model = report->model;
    Groups walks = groups_create(), others = groups_create();

    for (size_t i = 0; i < model->n_refills; i++) {
        const TraceRefill *refill = &model->refills[i];
        bool walk = refill->kind == TRACE_REFILL_WALK;
        Group *group =
            groups_get(walk ? &walks : &others, (uint64_t)refill->kind << 32 | refill->lane,
                       (uint64_t)refill->access << 32 | refill->what);

        if (!group->label) {
            group->label = g_strdup_printf("%s\t%s\t%s\t%s", kinds[refill->kind & 3],
                                           trace_model_lane_name(model, refill->lane),
                                           trace_model_text(model, refill->access),
                                           trace_model_text(model, refill->what));
        }
        if (walk) {
            stats_add(&group->first, (double)refill->duration_ns);
        } else {
            group->count++;
        }
    }
    report_groups(report, "refills", "Misses served by a page walk",
                  "<by\t<vcpu\t<access\t<leads to", "duration", REPORT_FIRST, &walks);
    report_groups(report, "misses", "Other misses, and tables that changed their size",
                  "<by\t<vcpu\t<access or table\t<why", "", REPORT_COUNT, &others);
    groups_clear(&walks);
    groups_clear(&others);
}

static bool is_invalidation(const TraceModel *model, const TraceOp *op)
{
    return strcmp(trace_model_text(model, op->op), "invalidate_translations") == 0 &&
           op->end_ns != TRACE_NO_TIME;
}

static void report_invalidations(const Report *report)
{
    const TraceModel *model = report->model;
    Groups groups = groups_create();

    for (size_t i = 0; i < model->n_ops; i++) {
        const TraceOp *op = &model->ops[i];

        if (is_invalidation(model, op)) {
            Group *group = groups_get(&groups, op->lane, op->target);

            if (!group->label) {
                group->label = g_strdup_printf("%s\t%s", trace_model_lane_name(model, op->lane),
                                               trace_model_lane_name(model, op->target));
            }
            stats_add(&group->first, (double)(op->end_ns - op->begin_ns));
        }
    }
    report_groups(report, "invalidate_translations",
                  "What common code asked of the accelerator (invalidate_translations)",
                  "<from\t<whose", "duration", REPORT_FIRST, &groups);
    groups_clear(&groups);
}

/* Refills, victim hits, resizes: how many of each event. */
static void report_counts(const Report *report)
{
    const TraceModel *model = report->model;
    Groups groups = groups_create();

    for (size_t i = 0; i < model->n_events_known; i++) {
        const char *name = trace_model_text(model, model->events[i].event);

        if (g_str_has_prefix(name, "tlb:")) {
            Group *group = groups_get(&groups, i, 0);

            group->label = g_strdup(name);
            group->count = model->events[i].count;
        }
    }
    report_groups(report, "events", "TLB events, in the whole trace", "<event", "", REPORT_COUNT,
                  &groups);
    groups_clear(&groups);
}

bool command_tlb(const TraceModel *model, const CommandOptions *options, FILE *out, GError **error)
{
    bool any = model->n_flushes > 0;
    Report report;

    for (size_t i = 0; i < model->n_events_known && !any; i++) {
        any = model->events[i].count &&
              g_str_has_prefix(trace_model_text(model, model->events[i].event), "tlb:");
    }
    for (size_t i = 0; i < model->n_ops && !any; i++) {
        any = is_invalidation(model, &model->ops[i]);
    }
    if (!any) {
        return tool_fail(
            error,
            "the trace, or the part asked for, has no TLB event: record with -trace 'tlb:*,accel:*' and an "
            "accelerator that has a software TLB");
    }
    report = report_begin(model, options, out);
    report_flushes(&report);
    report_refills(&report);
    report_invalidations(&report);
    report_counts(&report);
    report_end(&report);
    return true;
}
