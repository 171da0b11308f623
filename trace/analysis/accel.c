/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace accel`: what calls to the accelerator's ops cost and return. Durations are those that
 * the emulator measured around the call, so they hold the cost of the op's own trace events, too.
 */
#include "trace/analysis/report.h"

#include <inttypes.h>

bool command_accel(const TraceModel *model, const CommandOptions *options, FILE *out,
                   GError **error)
{
    Groups ops, callers, outcomes;
    size_t open = 0;
    Report report;

    if (!model->n_ops) {
        return tool_fail(
            error,
            "the trace, or the part asked for, has no call of an accelerator op: record with -trace "
            "'accel:*' (and enable orrery_accel:* in LTTng)");
    }
    ops = groups_create();
    callers = groups_create();
    outcomes = groups_create();
    for (size_t i = 0; i < model->n_ops; i++) {
        const TraceOp *op = &model->ops[i];
        Group *group = groups_get(&ops, op->op, 0);
        Group *caller = groups_get(&callers, op->op, (uint64_t)op->lane << 16 | op->target);

        if (!group->label) {
            group->label = g_strdup(trace_model_text(model, op->op));
        }
        if (!caller->label) {
            caller->label = g_strdup_printf("%s\t%s\t%s", trace_model_text(model, op->op),
                                            trace_model_lane_name(model, op->lane),
                                            op->target == TRACE_NO_LANE
                                                ? "the machine"
                                                : trace_model_lane_name(model, op->target));
        }
        if (op->end_ns == TRACE_NO_TIME) {
            group->count++;
            open++;
            continue;
        }
        stats_add(&group->first, (double)(op->end_ns - op->begin_ns));
        stats_add(&caller->first, (double)(op->end_ns - op->begin_ns));
        group = groups_get(&outcomes, op->op, (uint64_t)op->outcome);
        if (!group->label) {
            group->label =
                g_strdup_printf("%s\t%" PRId64, trace_model_text(model, op->op), op->outcome);
        }
        group->count++;
    }
    report = report_begin(model, options, out);
    report_groups(&report, "ops", "Accelerator ops", "<op", "duration", REPORT_FIRST, &ops);
    if (open) {
        report_note(&report, "%zu calls had not returned when the trace ended", open);
    }
    report_groups(&report, "outcomes", "Outcomes (0 for an op that returns nothing)",
                  "<op\toutcome", "", REPORT_COUNT, &outcomes);
    report_groups(&report, "callers", "By caller and vCPU", "<op\t<called by\t<for", "duration",
                  REPORT_FIRST, &callers);
    report_end(&report);
    groups_clear(&ops);
    groups_clear(&callers);
    groups_clear(&outcomes);
    return true;
}
