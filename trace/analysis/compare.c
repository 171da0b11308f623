/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace compare A B`: what differs by more than chance. The idea to hold: events of one trace
 * come in bursts and phases and are not independent, so each trace is cut into slices of time, and
 * chance is judged by drawing slices (a block bootstrap), for latencies by Mann and Whitney's test as
 * well, the more cautious of the two; and since many things are compared, by Holm's correction over
 * all of them. How much two runs of the same thing differ, two traces cannot tell, and the output says
 * so.
 */
#include "trace/analysis/commands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trace/analysis/sched-kicks.h"
#include "trace/analysis/stats.h"

#define SLICES 32
#define DRAWS 1000
#define SAMPLE_MAX                                                                                 \
    20000 /* values of a metric that are drawn from; evenly spaced where there are more */
#define ENOUGH 8
#define ALPHA 0.01

typedef enum MetricKind {
    METRIC_SAMPLE, /* nanoseconds; compared by the median */
    METRIC_RATE,   /* per second */
    METRIC_SHARE,  /* of the vCPUs' time */
} MetricKind;

typedef struct Value {
    double value;
    unsigned slice;
} Value;

typedef struct Side {
    Stats all;           /* samples */
    GArray *values;      /* of Value */
    double over[SLICES]; /* rates and shares: numerator of each slice */
    double count;
} Side;

typedef struct Metric {
    char *name;
    const char *what; /* the part of the name that many metrics share */
    MetricKind kind;
    Side side[2];
    double figure[2];
    double change;    /* relative, B to A; NAN where A is 0 */
    double low, high; /* of the difference, 99 % */
    double p;
    bool judged;
    bool differs;
    bool one_sided; /* nothing of its sort is in the other trace, which may not have recorded it */
} Metric;

typedef struct Compare {
    const TraceModel *model[2];
    GHashTable *metrics;  /* name to Metric */
    GHashTable *sorts[2]; /* each `what` that a trace has */
    double slice_ns[2];
    double under[2][SLICES]; /* lanes' time in each slice, for shares */
    uint64_t random;
} Compare;

static uint64_t draw(Compare *c)
{
    uint64_t z = (c->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- Gathering. */

static void metric_free(gpointer data)
{
    Metric *metric = data;

    for (int s = 0; s < 2; s++) {
        stats_clear(&metric->side[s].all);
        g_array_unref(metric->side[s].values);
    }
    g_free(metric->name);
    g_free(metric);
}

static Metric *metric_get(Compare *c, MetricKind kind, const char *what, const char *which)
{
    char name[256];
    Metric *metric;

    g_snprintf(name, sizeof(name), "%s%s%s", what, *which ? " " : "", which);
    metric = g_hash_table_lookup(c->metrics, name);
    if (!metric) {
        metric = g_new0(Metric, 1);
        metric->name = g_strdup(name);
        metric->what = what;
        metric->kind = kind;
        for (int s = 0; s < 2; s++) {
            metric->side[s].values = g_array_new(FALSE, FALSE, sizeof(Value));
        }
        g_hash_table_insert(c->metrics, metric->name, metric);
    }
    return metric;
}

static unsigned slice_of(const Compare *c, int side, int64_t time_ns)
{
    double slice = (double)(time_ns - c->model[side]->begin_ns) / c->slice_ns[side];

    return slice <= 0 ? 0 : slice >= SLICES ? SLICES - 1 : (unsigned)slice;
}

static void add_sample(Compare *c, int side, const char *what, const char *which, int64_t time_ns,
                       int64_t ns)
{
    Metric *metric = metric_get(c, METRIC_SAMPLE, what, which);
    Value value = { (double)ns, slice_of(c, side, time_ns) };

    g_hash_table_add(c->sorts[side], (gpointer)what);
    stats_add(&metric->side[side].all, value.value);
    g_array_append_val(metric->side[side].values, value);
}

static void add_count(Compare *c, int side, const char *what, const char *which, int64_t time_ns)
{
    Metric *metric = metric_get(c, METRIC_RATE, what, which);

    g_hash_table_add(c->sorts[side], (gpointer)what);
    metric->side[side].over[slice_of(c, side, time_ns)]++;
    metric->side[side].count++;
}

/* A span's parts go to the slices it lies in. */
static void add_span(Compare *c, int side, double into[SLICES], int64_t begin_ns, int64_t end_ns)
{
    unsigned last = slice_of(c, side, end_ns);

    for (unsigned i = slice_of(c, side, begin_ns); i <= last; i++) {
        double from = (double)c->model[side]->begin_ns + c->slice_ns[side] * i;
        double to = from + c->slice_ns[side];

        into[i] += MAX(0, MIN(to, (double)end_ns) - MAX(from, (double)begin_ns));
    }
}

static void gather_scheduling(Compare *c, int side)
{
    const TraceModel *model = c->model[side];

    for (size_t i = 0; i < model->n_states; i++) {
        const TraceStateSpan *span = &model->states[i];
        Metric *metric =
            metric_get(c, METRIC_SHARE, "time", trace_state_name((TraceState)span->state));

        g_hash_table_add(c->sorts[side], (gpointer)metric->what);
        add_span(c, side, metric->side[side].over, span->begin_ns, span->end_ns);
        add_span(c, side, c->under[side], span->begin_ns, span->end_ns);
        metric->side[side].count++;
    }
    for (size_t i = 0; i < model->n_kicks; i++) {
        const TraceKick *kick = &model->kicks[i];
        int kind = sched_kick_kind(kick);

        add_count(c, side, "kicks,", trace_model_text(model, kick->cause), kick->sent_ns);
        if (kind) {
            add_sample(c, side, kind == 1 ? "wake-up latency" : "preemption latency", "",
                       kick->sent_ns, kick->taken_ns - kick->sent_ns);
        }
    }
    for (size_t i = 0; i < model->n_locks; i++) {
        const TraceLock *lock = &model->locks[i];

        add_sample(c, side, lock->hold ? "lock held," : "lock wait,",
                   trace_model_text(model, lock->site), lock->begin_ns,
                   lock->end_ns - lock->begin_ns);
        add_count(c, side, lock->hold ? "lock taken," : "lock contended,",
                  trace_model_text(model, lock->site), lock->begin_ns);
    }
    for (size_t i = 0; i < model->n_exclusives; i++) {
        add_sample(c, side, "exclusive wait", "", model->exclusives[i].asked_ns,
                   model->exclusives[i].begin_ns - model->exclusives[i].asked_ns);
    }
    for (size_t i = 0; i < model->n_works; i++) {
        if (model->works[i].begin_ns != TRACE_NO_TIME) {
            add_sample(c, side, "work queued,", trace_model_text(model, model->works[i].kind),
                       model->works[i].queued_ns,
                       model->works[i].begin_ns - model->works[i].queued_ns);
        }
    }
}

static void gather_rest(Compare *c, int side)
{
    static const char *const accesses[] = { "MMIO reads,", "MMIO writes,", "MMIO errors,",
                                            "virtio notifications,", "virtio completions," };
    const TraceModel *model = c->model[side];

    for (size_t i = 0; i < model->n_ops; i++) {
        const TraceOp *op = &model->ops[i];

        if (op->end_ns != TRACE_NO_TIME) {
            add_sample(c, side, "op", trace_model_text(model, op->op), op->begin_ns,
                       op->end_ns - op->begin_ns);
        }
        add_count(c, side, "calls of", trace_model_text(model, op->op), op->begin_ns);
    }
    for (size_t i = 0; i < model->n_flushes; i++) {
        const TraceFlush *flush = &model->flushes[i];

        add_count(c, side, "TLB flushes,", trace_model_text(model, flush->kind), flush->request_ns);
        if (flush->execute_ns != TRACE_NO_TIME && flush->execute_ns != flush->request_ns) {
            add_sample(c, side, "TLB flush delay,", trace_model_text(model, flush->kind),
                       flush->request_ns, flush->execute_ns - flush->request_ns);
        }
    }
    for (size_t i = 0; i < model->n_refills; i++) {
        const TraceRefill *refill = &model->refills[i];

        add_count(c, side, "TLB refills,", trace_model_text(model, refill->access),
                  refill->time_ns);
        if (refill->duration_ns != TRACE_NO_TIME) {
            add_sample(c, side, "TLB refill,", trace_model_text(model, refill->access),
                       refill->time_ns, refill->duration_ns);
        }
    }
    for (size_t i = 0; i < model->n_irqs; i++) {
        const TraceIrq *irq = &model->irqs[i];

        if (irq->lane != TRACE_NO_LANE && irq->deliver_ns != TRACE_NO_TIME) {
            add_sample(c, side, "interrupt latency,", trace_model_text(model, irq->device),
                       irq->raise_ns, irq->deliver_ns - irq->raise_ns);
        }
        add_count(c, side, irq->lane == TRACE_NO_LANE ? "interrupt lines," : "interrupts,",
                  trace_model_text(model, irq->device), irq->raise_ns);
    }
    for (size_t i = 0; i < model->n_timers; i++) {
        const TraceTimer *timer = &model->timers[i];

        if (timer->fired_ns != TRACE_NO_TIME) {
            add_sample(c, side, "timer lateness,", trace_model_text(model, timer->name),
                       timer->fired_ns, timer->lateness_ns);
        }
    }
    for (size_t i = 0; i < model->n_accesses; i++) {
        const TraceAccess *access = &model->accesses[i];

        add_count(c, side, accesses[access->kind], trace_model_text(model, access->device),
                  access->time_ns);
    }
}

/* ---- Drawing. */

static int compare_values(const void *a, const void *b)
{
    double x = ((const Value *)a)->value, y = ((const Value *)b)->value;

    return x < y ? -1 : x > y;
}

static void thin_out(Side *side)
{
    guint n = side->values->len;

    if (n > SAMPLE_MAX) {
        for (guint i = 0; i < SAMPLE_MAX; i++) {
            g_array_index(side->values, Value, i) =
                g_array_index(side->values, Value, (guint)((guint64)i * n / SAMPLE_MAX));
        }
        g_array_set_size(side->values, SAMPLE_MAX);
    }
    if (n) {
        qsort(side->values->data, side->values->len, sizeof(Value), compare_values);
    }
}

/* The median where each slice counts as often as it was drawn. NAN: none was drawn that has any. */
static double weighted_median(const Side *side, const unsigned weights[SLICES],
                              const size_t in_slice[SLICES])
{
    double total = 0, sum = 0;

    for (unsigned i = 0; i < SLICES; i++) {
        total += (double)weights[i] * (double)in_slice[i];
    }
    for (guint i = 0; total > 0 && i < side->values->len; i++) {
        const Value *value = &g_array_index(side->values, Value, i);

        sum += weights[value->slice];
        if (sum >= total / 2) {
            return value->value;
        }
    }
    return NAN;
}

static double figure_of(const Compare *c, const Metric *metric, int side,
                        const unsigned weights[SLICES], const size_t in_slice[SLICES])
{
    double over = 0, under = 0;

    if (metric->kind == METRIC_SAMPLE) {
        return weighted_median(&metric->side[side], weights, in_slice);
    }
    for (unsigned i = 0; i < SLICES; i++) {
        over += weights[i] * metric->side[side].over[i];
        under += weights[i] *
                 (metric->kind == METRIC_SHARE ? c->under[side][i] : c->slice_ns[side] / 1e9);
    }
    return under > 0 ? over / under : NAN;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void judge(Compare *c, Metric *metric)
{
    double differences[DRAWS], sum = 0, squares = 0, deviation;
    unsigned ones[SLICES], n = 0;
    size_t in_slice[2][SLICES] = { 0 };

    for (unsigned i = 0; i < SLICES; i++) {
        ones[i] = 1;
    }
    for (int s = 0; s < 2; s++) {
        thin_out(&metric->side[s]);
        for (guint i = 0; i < metric->side[s].values->len; i++) {
            in_slice[s][g_array_index(metric->side[s].values, Value, i).slice]++;
        }
        metric->figure[s] = figure_of(c, metric, s, ones, in_slice[s]);
    }
    metric->change = metric->figure[1] / metric->figure[0] - 1;
    metric->judged = metric->kind == METRIC_SAMPLE
                         ? MIN(metric->side[0].all.n, metric->side[1].all.n) >= ENOUGH
                         : metric->side[0].count + metric->side[1].count >= ENOUGH;
    metric->one_sided = !g_hash_table_contains(c->sorts[0], metric->what) ||
                        !g_hash_table_contains(c->sorts[1], metric->what);
    metric->judged = metric->judged && !metric->one_sided;
    metric->p = 1;
    if (!metric->judged) {
        return;
    }
    for (unsigned d = 0; d < DRAWS; d++) {
        double figure[2];

        for (int s = 0; s < 2; s++) {
            unsigned weights[SLICES] = { 0 };

            for (unsigned i = 0; i < SLICES; i++) {
                weights[draw(c) % SLICES]++;
            }
            figure[s] = figure_of(c, metric, s, weights, in_slice[s]);
        }
        if (!isnan(figure[0]) && !isnan(figure[1])) {
            differences[n] = figure[1] - figure[0];
            sum += differences[n++];
        }
    }
    if (n < DRAWS / 2) {
        metric->judged = false;
        return;
    }
    qsort(differences, n, sizeof(double), compare_doubles);
    metric->low = differences[(unsigned)(n * 0.005)];
    metric->high = differences[MIN(n - 1, (unsigned)(n * 0.995))];
    for (unsigned d = 0; d < n; d++) {
        squares += (differences[d] - sum / n) * (differences[d] - sum / n);
    }
    deviation = sqrt(squares / (n - 1));
    if (metric->figure[1] == metric->figure[0]) {
        metric->p = 1;
    } else if (deviation > 0) {
        metric->p = erfc(fabs(metric->figure[1] - metric->figure[0]) / deviation / sqrt(2));
    } else {
        metric->p = 0;
    }
    if (metric->low <= 0 && metric->high >= 0) {
        metric->p = MAX(metric->p, ALPHA);
    }
    if (metric->kind == METRIC_SAMPLE) {
        metric->p = MAX(metric->p, stats_mann_whitney(&metric->side[0].all, &metric->side[1].all));
    }
}

/* Holm: the smallest p is held to alpha over their number, the next to a little more, ... */
static void correct(Metric **list, size_t n, size_t judged)
{
    size_t rank = 0;
    bool rejected = true;

    for (size_t i = 0; i < n; i++) {
        if (list[i]->judged) {
            rejected = rejected && list[i]->p < ALPHA / (double)(judged - rank);
            list[i]->differs = rejected;
            rank++;
        }
    }
}

/* ---- Output. */

static int by_p(const void *a, const void *b)
{
    const Metric *x = *(Metric *const *)a, *y = *(Metric *const *)b;

    return x->p != y->p ? (x->p < y->p ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_change(const void *a, const void *b)
{
    const Metric *x = *(Metric *const *)a, *y = *(Metric *const *)b;
    double change_x = isfinite(x->change) ? fabs(x->change) : INFINITY;
    double change_y = isfinite(y->change) ? fabs(y->change) : INFINITY;

    return change_x != change_y ? (change_x > change_y ? -1 : 1) : strcmp(x->name, y->name);
}

static void figure_cell(Table *table, const Metric *metric, double figure)
{
    if (isnan(figure)) {
        table_cell(table, "-");
    } else if (metric->kind == METRIC_SAMPLE) {
        table_duration(table, figure);
    } else if (metric->kind == METRIC_RATE) {
        table_cell(table, "%.4g/s", figure);
    } else {
        table_cell(table, "%.2f%%", 100 * figure);
    }
}

static void print(const Compare *c, Metric **list, size_t n, const CommandOptions *options,
                  FILE *out)
{
    size_t limit = options->limit ? options->limit : SIZE_MAX, differ = 0, judged = 0, rows = 0,
           one_sided = 0;
    Table *table = table_create("<what differs\tA\tB\tchange\t99% of B - A: from\tto\tp");

    for (size_t i = 0; i < n; i++) {
        const Metric *metric = list[i];

        judged += metric->judged;
        differ += metric->differs;
        one_sided += metric->one_sided;
        if (!metric->differs || rows++ >= limit) {
            continue;
        }
        table_cell(table, "%s", metric->name);
        figure_cell(table, metric, metric->figure[0]);
        figure_cell(table, metric, metric->figure[1]);
        if (isfinite(metric->change)) {
            table_cell(table, "%+.1f%%", 100 * metric->change);
        } else {
            table_cell(table, "new");
        }
        figure_cell(table, metric, metric->low);
        figure_cell(table, metric, metric->high);
        table_cell(table, metric->p < 1e-9 ? "<1e-9" : "%.2g", metric->p);
    }
    fprintf(out, "A: %s\nB: %s\n", trace_model_text(c->model[0], c->model[0]->sources[0].path),
            trace_model_text(c->model[1], c->model[1]->sources[0].path));
    if (differ) {
        fputs("\n", out);
    }
    table_print(table, out);
    if (rows > limit) {
        fprintf(out, "  and %zu more (--limit 0 prints all)\n", rows - limit);
    }
    fprintf(
        out,
        "\n%zu of %zu differ by more than chance within these two traces would make (1%% over all "
        "of them together); %zu more had too few values to tell.\n",
        differ, judged, n - judged - one_sided);
    if (one_sided) {
        fprintf(out,
                "%zu are of a sort that only one of the two has: the other may not have recorded "
                "it.\n",
                one_sided);
    }
    fputs("Durations are medians. That another run of the same would differ, too, two traces "
          "cannot tell: compare two of the same first.\n",
          out);
}

static void print_json(Metric **list, size_t n, FILE *out)
{
    static const char *const kinds[] = { "duration_ns", "per_second", "share" };
    Json *json = json_create(out);

    json_begin_object(json, NULL);
    json_real(json, "alpha", ALPHA);
    json_begin_array(json, "metrics");
    for (size_t i = 0; i < n; i++) {
        const Metric *metric = list[i];

        json_begin_object(json, NULL);
        json_text(json, "name", metric->name);
        json_text(json, "kind", kinds[metric->kind]);
        for (int s = 0; s < 2; s++) {
            json_real(json, s ? "b" : "a", metric->figure[s]);
            json_real(json, s ? "n_b" : "n_a",
                      metric->kind == METRIC_SAMPLE ? (double)metric->side[s].all.n
                                                    : metric->side[s].count);
        }
        json_real(json, "change", metric->change);
        json_bool(json, "judged", metric->judged);
        json_bool(json, "one_sided", metric->one_sided);
        if (metric->judged) {
            json_real(json, "low", metric->low);
            json_real(json, "high", metric->high);
            json_real(json, "p", metric->p);
        }
        json_bool(json, "differs", metric->differs);
        json_end(json);
    }
    json_end(json);
    json_end(json);
    json_close(json);
}

bool command_compare(const TraceModel *a, const TraceModel *b, const CommandOptions *options,
                     FILE *out, GError **error)
{
    Compare c = { .model = { a, b }, .random = 1 };
    g_autofree Metric **list = NULL;
    size_t n = 0, judged = 0;
    GHashTableIter iter;
    gpointer metric;

    c.sorts[0] = g_hash_table_new(g_str_hash, g_str_equal);
    c.sorts[1] = g_hash_table_new(g_str_hash, g_str_equal);
    c.metrics = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, metric_free);
    for (int s = 0; s < 2; s++) {
        c.slice_ns[s] = MAX((double)(c.model[s]->end_ns - c.model[s]->begin_ns) / SLICES, 1);
        gather_scheduling(&c, s);
        gather_rest(&c, s);
    }
    list = g_new(Metric *, g_hash_table_size(c.metrics) + 1);
    g_hash_table_iter_init(&iter, c.metrics);
    while (g_hash_table_iter_next(&iter, NULL, &metric)) {
        list[n++] = metric;
    }
    /* In one order, that of drawing depends on it. */
    qsort(list, n, sizeof(*list), by_p);
    for (size_t i = 0; i < n; i++) {
        judge(&c, list[i]);
        judged += list[i]->judged;
    }
    qsort(list, n, sizeof(*list), by_p);
    correct(list, n, judged);
    qsort(list, n, sizeof(*list), by_change);
    if (options->json) {
        print_json(list, n, out);
    } else {
        print(&c, list, n, options, out);
    }
    g_hash_table_destroy(c.metrics);
    g_hash_table_destroy(c.sorts[0]);
    g_hash_table_destroy(c.sorts[1]);
    return n > 0 || tool_fail(error, "the traces have nothing that can be compared");
}
