/* SPDX-License-Identifier: MIT */
/*
 * `orrery-trace timeline`: one page that holds the viewer and the trace. The idea to hold: this
 * side decides what there is to see and packs it; how it looks is the viewer's business (viewer/),
 * whose sources the build puts into timeline_page_*.
 */
#include "trace/analysis/commands.h"
#include "trace/analysis/sched-kicks.h"
#include "trace/analysis/timeline-build.h"
#include "trace/analysis/timeline-page.h"

#include <string.h>

/* Says what the page's data is; data.js refuses another. */
#define FORMAT 1

static void write_sources(TimelineBuild *b)
{
    const TraceModel *m = b->model;
    GString *json = b->pack.json;

    g_string_append(json, ",\"sources\":[");
    for (size_t i = 0; i < m->n_sources; i++) {
        const TraceSource *s = &m->sources[i];

        g_string_append(json, i > 0 ? ",{\"path\":" : "{\"path\":");
        timeline_pack_string(&b->pack, trace_model_text(m, s->path));
        g_string_append(json, ",\"recorder\":");
        timeline_pack_string(&b->pack, trace_model_text(m, s->recorder));
        g_string_append(json, ",\"host\":");
        timeline_pack_string(&b->pack, trace_model_text(m, s->host));
        g_string_append(json, ",\"created\":");
        timeline_pack_string(&b->pack, trace_model_text(m, s->created));
        g_string_append(json, ",\"environment\":");
        timeline_pack_string(&b->pack, trace_model_text(m, s->environment));
        g_string_append_printf(
            json, ",\"pid\":%" G_GINT64_FORMAT ",\"flight\":%s,\"truncated\":%s}", s->pid,
            s->flight ? "true" : "false", s->truncated ? "true" : "false");
    }
    g_string_append(json, "]");
}

/* The model's own sums stand beside what the page adds up: the page's test compares them. */
static void write_lanes(TimelineBuild *b)
{
    const TraceModel *m = b->model;
    GString *json = b->pack.json;

    g_string_append(json, ",\"lanes\":[");
    for (size_t i = 0; i < m->n_lanes; i++) {
        const TraceLane *lane = &m->lanes[i];
        int64_t sums[TRACE_STATE_COUNT] = { 0 };

        for (size_t j = lane->states_first; j < lane->states_first + lane->states_n; j++) {
            sums[MIN(m->states[j].state, TRACE_STATE_UNKNOWN)] +=
                m->states[j].end_ns - m->states[j].begin_ns;
        }
        g_string_append(json, i > 0 ? ",\n{\"name\":" : "{\"name\":");
        timeline_pack_string(&b->pack, trace_model_lane_name(m, (TraceLaneId)i));
        g_string_append(json, ",\"accel\":");
        timeline_pack_string(&b->pack, trace_model_text(m, lane->accel));
        g_string_append_printf(
            json,
            ",\"vcpu\":%s,\"cpu\":%d,\"tid\":%" G_GINT64_FORMAT
            ",\"source\":%u,\"begin\":%" G_GINT64_FORMAT ",\"end\":%" G_GINT64_FORMAT
            ",\"events\":%" G_GUINT64_FORMAT ",\"sums\":[",
            lane->kind == TRACE_LANE_VCPU ? "true" : "false", lane->cpu, lane->tid, lane->source,
            lane->begin_ns, lane->end_ns, lane->n_events);
        for (int s = 0; s < TRACE_STATE_COUNT; s++) {
            g_string_append_printf(json, "%s%" G_GINT64_FORMAT, s > 0 ? "," : "", sums[s]);
        }
        g_string_append(json, "]}");
    }
    g_string_append(json, "]");
}

static void add_column(TimelineBuild *b, const char *key)
{
    g_string_append_printf(b->pack.json, ",\"%s\":", key);
    timeline_pack_column(&b->pack, b->column);
}

/* Lanes as the columns have them: 0 is none. */
static uint64_t lane_number(TraceLaneId lane)
{
    return lane == TRACE_NO_LANE ? 0 : (uint64_t)lane + 1;
}

static void write_kicks(TimelineBuild *b)
{
    const TraceModel *m = b->model;
    int64_t last = 0;

    g_string_append_printf(b->pack.json, ",\"kicks\":{\"n\":%" G_GSIZE_FORMAT, m->n_kicks);
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put_signed(b->column, m->kicks[i].sent_ns - last);
        last = m->kicks[i].sent_ns;
    }
    add_column(b, "sent");
    for (size_t i = 0; i < m->n_kicks; i++) {
        const TraceKick *k = &m->kicks[i];

        timeline_put_maybe(b->column, k->taken_ns - k->sent_ns, k->taken_ns != TRACE_NO_TIME);
    }
    add_column(b, "taken");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, lane_number(m->kicks[i].kicker));
    }
    add_column(b, "from");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, lane_number(m->kicks[i].target));
    }
    add_column(b, "to");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, timeline_atom(b, m->kicks[i].cause));
    }
    add_column(b, "cause");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, m->kicks[i].state);
    }
    add_column(b, "state");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, m->kicks[i].merged);
    }
    add_column(b, "merged");
    for (size_t i = 0; i < m->n_kicks; i++) {
        timeline_put(b->column, (uint64_t)sched_kick_kind(&m->kicks[i]));
    }
    add_column(b, "kind");
    g_string_append(b->pack.json, "}");
}

static void write_losses(TimelineBuild *b)
{
    const TraceModel *m = b->model;

    g_string_append(b->pack.json, ",\"losses\":[");
    for (size_t i = 0; i < m->n_losses; i++) {
        const TraceLoss *l = &m->losses[i];

        g_string_append_printf(b->pack.json,
                               "%s{\"begin\":%" G_GINT64_FORMAT ",\"end\":%" G_GINT64_FORMAT
                               ",\"count\":%" G_GUINT64_FORMAT ",\"lane\":%d,\"source\":%u}",
                               i > 0 ? "," : "", l->begin_ns, l->end_ns, l->count,
                               l->lane == TRACE_NO_LANE ? -1 : l->lane, l->source);
    }
    g_string_append(b->pack.json, "]");
}

static void write_events(TimelineBuild *b)
{
    const TraceModel *m = b->model;

    g_string_append(b->pack.json, ",\"events\":[");
    for (size_t i = 0; i < m->n_events_known; i++) {
        g_string_append(b->pack.json, i > 0 ? ",{\"name\":" : "{\"name\":");
        timeline_pack_string(&b->pack, trace_model_text(m, m->events[i].event));
        g_string_append_printf(b->pack.json, ",\"count\":%" G_GUINT64_FORMAT ",\"known\":%s}",
                               m->events[i].count, m->events[i].known ? "true" : "false");
    }
    g_string_append(b->pack.json, "]");
}

static void write_json(TimelineBuild *b, const char *title)
{
    const TraceModel *m = b->model;
    GString *json = b->pack.json;

    g_string_append_printf(json, "{\"format\":%d,\"title\":", FORMAT);
    timeline_pack_string(&b->pack, title);
    g_string_append_printf(json,
                           ",\"epoch\":\"%" G_GINT64_FORMAT "\",\"begin\":%" G_GINT64_FORMAT
                           ",\"end\":%" G_GINT64_FORMAT ",\"n_events\":%" G_GUINT64_FORMAT
                           ",\"n_lost\":%" G_GUINT64_FORMAT ",\"states\":[",
                           m->epoch_ns, m->begin_ns, m->end_ns, m->n_events, m->n_lost);
    for (int s = 0; s < TRACE_STATE_COUNT; s++) {
        g_string_append(json, s > 0 ? "," : "");
        timeline_pack_string(&b->pack, trace_state_name((TraceState)s));
    }
    g_string_append(json, "]");
    write_sources(b);
    write_lanes(b);
    g_string_append(json, ",\n\"tracks\":[");
    timeline_build_tracks(b);
    g_string_append(json, "]");
    write_kicks(b);
    write_losses(b);
    write_events(b);
    g_string_append_printf(json, ",\"stray\":%s,\n\"texts\":[", b->stray ? "true" : "false");
    for (guint i = 0; i < b->texts->len; i++) {
        g_string_append(json, i > 0 ? "," : "");
        timeline_pack_string(&b->pack, g_ptr_array_index(b->texts, i));
    }
    g_string_append(json, "]}");
}

static char *make_title(const TraceModel *m, const CommandOptions *options)
{
    GString *title;

    if (options->title) {
        return g_strdup(options->title);
    }
    title = g_string_new(NULL);
    for (size_t i = 0; i < m->n_sources; i++) {
        g_autofree char *base = g_path_get_basename(trace_model_text(m, m->sources[i].path));

        g_string_append_printf(title, "%s%s", i > 0 ? ", " : "", base);
    }
    return g_string_free(title, FALSE);
}

bool command_timeline(const TraceModel *model, const CommandOptions *options, FILE *out,
                      GError **error)
{
    TimelineBuild b = { .model = model };
    g_autofree char *title = make_title(model, options);
    g_autofree char *html_title = g_markup_escape_text(title, -1);
    bool ok;

    timeline_pack_init(&b.pack);
    b.text_ids = g_hash_table_new(g_str_hash, g_str_equal);
    b.texts = g_ptr_array_new_with_free_func(g_free);
    b.atom_ids = g_new0(uint32_t, model->n_texts + 1);
    b.items = g_new0(GArray *, model->n_lanes + 1);
    for (size_t i = 0; i <= model->n_lanes; i++) {
        b.items[i] = g_array_new(FALSE, FALSE, sizeof(TimelineItem));
    }
    b.column = g_byte_array_new();
    timeline_text(&b, ""); /* number 0 */

    write_json(&b, title);
    fputs(timeline_page_head, out);
    fputs(html_title, out);
    fputs(timeline_page_middle, out);
    ok = timeline_pack_write(&b.pack, out, error);
    fputs(timeline_page_tail, out);

    for (size_t i = 0; i <= model->n_lanes; i++) {
        g_array_free(b.items[i], TRUE);
    }
    g_free(b.items);
    g_free(b.atom_ids);
    g_byte_array_free(b.column, TRUE);
    g_ptr_array_free(b.texts, TRUE);
    g_hash_table_destroy(b.text_ids);
    timeline_pack_finish(&b.pack);
    return ok;
}
