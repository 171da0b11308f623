/* SPDX-License-Identifier: MIT */
/*
 * From -trace to mask bytes. Options are kept as a list of rules until orr_trace_start, which plays
 * them in order over all events; an event's mask byte is then the set of back ends that the last
 * rule to name it asked for.
 */
#include "orrery/impl/error.h"
#include "trace/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bit i of every mask byte belongs to entry i: TRACE_MASK_*. */
static const TraceBackend *const backends[] = {
    &orr_trace_log_backend,
    &orr_trace_ust_backend,
    &orr_trace_ctf_backend,
};

/* What ends a guest: a flight recording is dumped for it unasked, if the event is in this build. */
static const char *const panics[] = {
    "cpus:run_state:to==guest-panicked",
    "cpus:run_state:to==internal-error",
};

typedef struct Rule {
    char *glob;
    bool off;         /* takes events out */
    uint8_t backends; /* 0: those of a backend= that stands without globs, else the log */
} Rule;

/* The options of the process. Main thread only; the mask bytes are all that others read. */
static struct {
    GArray *rules; /* of Rule */
    uint8_t default_backends;
    char *file;            /* file= */
    char *log_file;        /* -D */
    char *guest;           /* guest= */
    GPtrArray *conditions; /* of TraceCondition */
    TraceCtfOptions ctf;
    bool given;   /* there was a -trace */
    uint8_t open; /* back ends that are open */
} trace_state;

void orr_trace_say(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    fprintf(stderr, "%s: trace: %s\n", program_invocation_short_name, text);
}

/* ---- The nearest name ---- */

/* Levenshtein's distance, in which '*' stands for any text and '?' for any character. */
static size_t glob_distance(const char *glob, const char *text)
{
    size_t n = strlen(text);
    g_autofree size_t *row = g_new(size_t, n + 1);

    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (; *glob; glob++) {
        size_t diagonal = row[0];

        row[0] += *glob != '*';
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], best;

            if (*glob == '*') {
                best = MIN(above, row[j - 1]);
            } else {
                best = diagonal + (*glob != '?' && *glob != text[j - 1]);
                best = MIN(best, MIN(above, row[j - 1]) + 1);
            }
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

/*
 * What the user may have meant by a glob that matches nothing: for "cpu:*" or "cpus" a subsystem,
 * else an event. Caller frees.
 */
static char *nearest_name(const char *glob)
{
    const char *colon = strchr(glob, ':');
    bool whole_subsystem = colon && g_str_equal(colon, ":*");
    g_autofree char *head = g_strndup(glob, colon ? (size_t)(colon - glob) : strlen(glob));
    size_t best_distance = SIZE_MAX;
    char *best = NULL;

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        if (whole_subsystem || !colon) {
            size_t distance = glob_distance(head, sub->name);

            if (distance < best_distance) {
                best_distance = distance;
                g_free(best);
                best = g_strdup_printf("%s:*", sub->name);
            }
        }
        for (uint16_t j = 0; j < sub->n_events && !whole_subsystem; j++) {
            g_autofree char *full = g_strdup_printf("%s:%s", sub->name, sub->events[j].name);
            size_t distance = glob_distance(glob, colon ? full : sub->events[j].name);

            if (distance < best_distance) {
                best_distance = distance;
                g_free(best);
                best = g_steal_pointer(&full);
            }
        }
    }
    return best;
}

/* ---- Options ---- */

bool orr_trace_glob_matches(GPatternSpec *spec, const TraceEvent *event)
{
    g_autofree char *name = g_strdup_printf("%s:%s", event->subsystem->name, event->name);

    return g_pattern_spec_match_string(spec, name);
}

static bool glob_matches_any(const char *glob)
{
    GPatternSpec *spec = g_pattern_spec_new(glob);
    bool found = false;

    for (size_t i = 0; orr_trace_subsystems[i] && !found; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events && !found; j++) {
            found = orr_trace_glob_matches(spec, &orr_trace_subsystems[i]->events[j]);
        }
    }
    g_pattern_spec_free(spec);
    return found;
}

bool orr_trace_glob_known(const char *glob, GError **error)
{
    g_autofree char *nearest = NULL;

    if (glob_matches_any(glob)) {
        return true;
    }
    nearest = nearest_name(glob);
    return orr_fail(error, ORR_ERROR_NOT_FOUND,
                    "no trace event matches '%s'; the nearest is '%s' (-trace help lists all)",
                    glob, nearest);
}

static void rule_clear(void *opaque)
{
    g_free(((Rule *)opaque)->glob);
}

static GArray *rules_new(void)
{
    GArray *rules = g_array_new(FALSE, FALSE, sizeof(Rule));

    g_array_set_clear_func(rules, rule_clear);
    return rules;
}

static bool add_glob(GArray *rules, const char *glob, GError **error)
{
    bool off = *glob == '-';
    Rule rule;

    glob += off;
    if (!*glob) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "an event name is missing (-trace help lists them)");
    }
    if (!orr_trace_glob_known(glob, error)) {
        return false;
    }
    rule = (Rule){ .glob = g_strdup(glob), .off = off };
    g_array_append_val(rules, rule);
    return true;
}

static bool add_file(GArray *rules, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) why = NULL;

    if (access(path, R_OK) != 0) {
        return orr_fail(error, ORR_ERROR_IO, "cannot read the list of events '%s': %s", path,
                        g_strerror(errno));
    }
    if (!g_file_get_contents(path, &text, NULL, &why)) {
        return orr_fail(error, ORR_ERROR_IO, "cannot read the list of events '%s': %s", path,
                        why->message);
    }
    lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        char *comment = strchr(lines[i], '#');

        if (comment) {
            *comment = '\0';
        }
        g_strstrip(lines[i]);
        if (*lines[i] && !add_glob(rules, lines[i], error)) {
            g_prefix_error(error, "%s:%zu: ", path, i + 1);
            return false;
        }
    }
    return true;
}

static bool find_backend(const char *name, uint8_t *bits, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        if (g_str_equal(name, backends[i]->name)) {
            *bits |= 1u << i;
            return true;
        }
        g_string_append_printf(known, "%s%s", i ? ", " : "", backends[i]->name);
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "unknown trace backend '%s'; known: %s", name,
                    known->str);
}

/* The items between commas; ",," stands for a comma. Caller frees the array and the strings. */
static GPtrArray *split_items(const char *arg)
{
    GPtrArray *items = g_ptr_array_new_with_free_func(g_free);
    GString *item = g_string_new(NULL);

    for (;; arg++) {
        if (*arg && (*arg != ',' || arg[1] == ',')) {
            g_string_append_c(item, *arg);
            arg += *arg == ',';
        } else {
            g_ptr_array_add(items, g_string_free(item, FALSE));
            if (!*arg) {
                return items;
            }
            item = g_string_new(NULL);
        }
    }
}

/* What one argument says, before it is known to be right as a whole. */
typedef struct Parsed {
    GArray *rules;
    uint8_t backends;
    char *file, *guest;
    GPtrArray *conditions; /* of TraceCondition */
    TraceCtfOptions ctf;   /* those so far, and this argument's */
} Parsed;

static bool add_condition(Parsed *parsed, TraceConditionKind kind, const char *text, GError **error)
{
    TraceCondition *condition = orr_trace_condition_parse(kind, text, error);

    if (condition) {
        g_ptr_array_add(parsed->conditions, condition);
    }
    return condition != NULL;
}

static bool parse_item(Parsed *parsed, const char *item, GError **error)
{
    const char *value = strchr(item, '=');
    g_autofree char *key = value ? g_strndup(item, value++ - item) : NULL;
    bool known, ok;

    if (!key) {
        if (g_str_equal(item, "help")) {
            return orr_fail(error, ORR_ERROR_INVALID, "'help' stands alone: -trace help");
        }
        return add_glob(parsed->rules, item, error);
    }
    if (g_str_equal(key, "backend")) {
        return find_backend(value, &parsed->backends, error);
    }
    if (g_str_equal(key, "enable")) {
        return add_glob(parsed->rules, value, error);
    }
    if (g_str_equal(key, "events")) {
        return add_file(parsed->rules, value, error);
    }
    if (g_str_equal(key, "file")) {
        if (!*value) {
            return orr_fail(error, ORR_ERROR_INVALID, "trace option 'file=' needs a path");
        }
        g_free(parsed->file);
        parsed->file = g_strdup(value);
        return true;
    }
    if (g_str_equal(key, "guest")) {
        g_free(parsed->guest);
        parsed->guest = g_strdup(value);
        return true;
    }
    if (g_str_equal(key, "filter")) {
        return add_condition(parsed, TRACE_CONDITION_FILTER, value, error);
    }
    if (g_str_equal(key, "sample")) {
        return add_condition(parsed, TRACE_CONDITION_SAMPLE, value, error);
    }
    if (g_str_equal(key, "trigger")) {
        return add_condition(parsed, TRACE_CONDITION_TRIGGER, value, error);
    }
    ok = orr_trace_ctf_option(&parsed->ctf, key, value, &known, error);
    if (known) {
        return ok;
    }
    return orr_fail(error, ORR_ERROR_INVALID,
                    "unknown trace option '%s='; known: backend=, context=, dir=, enable=, "
                    "events=, file=, filter=, flight=, guest=, ring=, sample=, size=, trigger=",
                    key);
}

static GPtrArray *conditions_new(void)
{
    return g_ptr_array_new_with_free_func(orr_trace_condition_free);
}

bool orr_trace_option(const char *arg, GError **error)
{
    g_autoptr(GPtrArray) items = split_items(arg);
    Parsed parsed = { .rules = rules_new(), .conditions = conditions_new() };
    bool ok = true;

    orr_trace_ctf_options_copy(&parsed.ctf, &trace_state.ctf);

    if (!orr_trace_subsystems[0]) {
        ok = orr_fail(error, ORR_ERROR_UNSUPPORTED,
                      "tracing is not in this build; build with -Dtrace=enabled");
    }
    for (guint i = 0; i < items->len && ok; i++) {
        ok = parse_item(&parsed, items->pdata[i], error);
    }
    if (ok) {
        trace_state.given = true;
        if (!trace_state.rules) {
            trace_state.rules = rules_new();
        }
        if (!parsed.rules->len) {
            trace_state.default_backends |= parsed.backends;
        }
        for (guint i = 0; i < parsed.rules->len; i++) {
            Rule *rule = &g_array_index(parsed.rules, Rule, i);
            Rule kept = { .glob = g_steal_pointer(&rule->glob),
                          .off = rule->off,
                          .backends = parsed.backends };

            g_array_append_val(trace_state.rules, kept);
        }
        if (parsed.file) {
            g_free(trace_state.file);
            trace_state.file = g_steal_pointer(&parsed.file);
        }
        if (parsed.guest) {
            g_free(trace_state.guest);
            trace_state.guest = g_steal_pointer(&parsed.guest);
        }
        if (!trace_state.conditions) {
            trace_state.conditions = conditions_new();
        }
        g_ptr_array_extend_and_steal(trace_state.conditions, g_steal_pointer(&parsed.conditions));
        orr_trace_ctf_options_clear(&trace_state.ctf);
        trace_state.ctf = parsed.ctf;
        parsed.ctf = (TraceCtfOptions){ 0 };
    }
    g_clear_pointer(&parsed.conditions, g_ptr_array_unref);
    orr_trace_ctf_options_clear(&parsed.ctf);
    g_free(parsed.file);
    g_free(parsed.guest);
    g_array_unref(parsed.rules);
    return ok;
}

static const char *const level_names[] = {
    "emerg",        "alert",      "crit",           "err",           "warning",
    "notice",       "info",       "debug_system",   "debug_program", "debug_process",
    "debug_module", "debug_unit", "debug_function", "debug_line",    "debug",
};

void orr_trace_help(FILE *out)
{
    fprintf(
        out,
        "Trace events (-trace GLOB,...,backend=NAME,file=PATH,dir=PATH,events=FILE,\n"
        "filter=GLOB:FIELD==VALUE,sample=GLOB:1/N; -GLOB excludes; docs/tracing.md has more):\n");
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            const TraceEvent *event = &sub->events[j];

            fprintf(out, "%s:%s %s - %s\n", sub->name, event->name, level_names[event->level],
                    event->sentence);
        }
    }
    if (!orr_trace_subsystems[0]) {
        fprintf(out, "none: this build has no tracing (-Dtrace=disabled)\n");
    }
    fprintf(out, "Back ends:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        fprintf(out, "%s - %s\n", backends[i]->name, backends[i]->summary);
    }
}

void orr_trace_log_file(const char *path)
{
    g_free(trace_state.log_file);
    trace_state.log_file = g_strdup(path);
}

const char *orr_trace_guest(void)
{
    return trace_state.guest;
}

/* ---- On and off ---- */

static bool recorder_wanted(void)
{
    uint8_t bits = trace_state.default_backends;

    for (guint i = 0; i < trace_state.rules->len; i++) {
        bits |= g_array_index(trace_state.rules, Rule, i).backends;
    }
    return bits & TRACE_MASK_CTF;
}

/*
 * Does the recorder take the event without a glob? Its triggers must be on to be seen; and where no
 * event is named anywhere, it has those of level info and above.
 */
static bool recorded_anyway(const TraceEvent *event)
{
    return recorder_wanted() && ((!trace_state.rules->len && event->level <= TRACE_LEVEL_INFO) ||
                                 orr_trace_conditions_trigger(event));
}

/* Options that would do nothing are mistakes. */
static bool recorder_options_fit(GError **error)
{
    bool trigger = false;

    for (guint i = 0; trace_state.conditions && i < trace_state.conditions->len; i++) {
        trigger |= orr_trace_condition_is_trigger(trace_state.conditions->pdata[i]);
    }
    if ((trigger || trace_state.ctf.given) && !recorder_wanted()) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "context=, dir=, flight=, ring=, size= and trigger= are for backend=ctf, "
                        "which no event has");
    }
    if ((trigger || trace_state.ctf.flight_bytes) && !trace_state.ctf.flight_ns) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "size= and trigger= are for a flight recording; add flight=5s");
    }
    return true;
}

/* The back ends that each event of a subsystem ends up with. Caller frees. */
static uint8_t *chosen_for(const TraceSubsystem *sub)
{
    uint8_t *chosen = g_new0(uint8_t, sub->n_events);
    uint8_t standard = trace_state.default_backends ? trace_state.default_backends : TRACE_MASK_LOG;

    for (guint i = 0; i < trace_state.rules->len; i++) {
        const Rule *rule = &g_array_index(trace_state.rules, Rule, i);
        GPatternSpec *spec = g_pattern_spec_new(rule->glob);

        for (uint16_t j = 0; j < sub->n_events; j++) {
            if (orr_trace_glob_matches(spec, &sub->events[j])) {
                uint8_t bits = rule->backends ? rule->backends : standard;

                /* "-glob" with a backend= takes the event from that one alone. */
                if (!rule->off) {
                    chosen[j] |= bits;
                } else {
                    chosen[j] &= rule->backends ? ~rule->backends : 0;
                }
            }
        }
        g_pattern_spec_free(spec);
    }
    for (uint16_t j = 0; j < sub->n_events; j++) {
        chosen[j] |= recorded_anyway(&sub->events[j]) ? TRACE_MASK_CTF : 0;
    }
    return chosen;
}

/* A flight recording has triggers of its own, besides the user's. */
static void install_conditions(void)
{
    GPtrArray *conditions = trace_state.conditions ? trace_state.conditions : conditions_new();

    trace_state.conditions = conditions;
    for (size_t i = 0; trace_state.ctf.flight_ns && i < G_N_ELEMENTS(panics); i++) {
        TraceCondition *panic = orr_trace_condition_parse(TRACE_CONDITION_PANIC, panics[i], NULL);

        if (panic) {
            g_ptr_array_add(conditions, panic);
        }
    }
    orr_trace_conditions_install(conditions);
}

static uint8_t condition_bit(const TraceEvent *event, uint8_t mask)
{
    return mask && orr_trace_conditions_on(event) ? TRACE_MASK_CONDITIONS : 0;
}

static bool open_backends(uint8_t *const *chosen, size_t n, GError **error)
{
    g_autofree bool *wanted = g_new0(bool, n);
    bool any = false;

    for (size_t b = 0; b < G_N_ELEMENTS(backends); b++) {
        TraceSetup setup = { .file = trace_state.file ? trace_state.file : trace_state.log_file,
                             .append = !trace_state.file,
                             .wanted = wanted,
                             .ctf = &trace_state.ctf };
        bool needed = false;

        for (size_t i = 0; i < n; i++) {
            wanted[i] = false;
            for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
                wanted[i] |= chosen[i][j] >> b & 1;
            }
            needed |= wanted[i];
        }
        any |= needed;
        if (needed) {
            if (!backends[b]->open(&setup, error)) {
                return false;
            }
            trace_state.open |= 1u << b;
        }
    }
    if (!any) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "-trace selects no event; name some, as in -trace 'cpus:*'");
    }
    return true;
}

static void stop_at_exit(void)
{
    static bool registered;

    if (!registered) {
        registered = true;
        atexit(orr_trace_stop);
    }
}

bool orr_trace_start(GError **error)
{
    size_t n = 0;
    bool ok;

    if (!trace_state.given) {
        return true;
    }
    if (!trace_state.rules) {
        trace_state.rules = rules_new();
    }
    while (orr_trace_subsystems[n]) {
        n++;
    }
    if (!recorder_options_fit(error)) {
        orr_trace_stop();
        return false;
    }
    install_conditions();
    {
        g_autofree uint8_t **chosen = g_new0(uint8_t *, n);

        for (size_t i = 0; i < n; i++) {
            chosen[i] = chosen_for(orr_trace_subsystems[i]);
        }
        ok = open_backends(chosen, n, error);
        for (size_t i = 0; i < n; i++) {
            for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events && ok; j++) {
                const TraceEvent *event = &orr_trace_subsystems[i]->events[j];

                chosen[i][j] |= condition_bit(event, chosen[i][j]);
                orr_store_release(&orr_trace_subsystems[i]->mask[j], chosen[i][j]);
            }
            g_free(chosen[i]);
        }
    }
    if (!ok) {
        orr_trace_stop();
    } else {
        stop_at_exit();
    }
    return ok;
}

/* Opens the back ends, or has those that are open take more events. */
static bool open_for_glob(uint8_t bits, GPatternSpec *spec, GError **error)
{
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(bool));
    TraceSetup setup = { .file = trace_state.file ? trace_state.file : trace_state.log_file,
                         .append = !trace_state.file,
                         .ctf = &trace_state.ctf };

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        bool any = false;

        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            any |= orr_trace_glob_matches(spec, &orr_trace_subsystems[i]->events[j]);
        }
        g_array_append_val(wanted, any);
    }
    setup.wanted = (const bool *)(void *)wanted->data;
    for (size_t b = 0; b < G_N_ELEMENTS(backends); b++) {
        if (bits >> b & 1) {
            if (!backends[b]->open(&setup, error)) {
                return false;
            }
            trace_state.open |= 1u << b;
        }
    }
    stop_at_exit();
    return true;
}

bool orr_trace_switch(const char *glob, bool on, GError **error)
{
    uint8_t bits =
        !trace_state.open || trace_state.open & TRACE_MASK_LOG ? TRACE_MASK_LOG : trace_state.open;
    GPatternSpec *spec;
    bool ok;

    if (!glob_matches_any(glob)) {
        g_autofree char *nearest = nearest_name(glob);

        return orr_fail(error, ORR_ERROR_NOT_FOUND, "no trace event matches '%s'%s%s%s", glob,
                        nearest ? "; the nearest is '" : "", nearest ? nearest : "",
                        nearest ? "'" : "");
    }
    spec = g_pattern_spec_new(glob);
    ok = !on || open_for_glob(bits, spec, error);
    for (size_t i = 0; orr_trace_subsystems[i] && ok; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            if (orr_trace_glob_matches(spec, &sub->events[j])) {
                uint8_t mask = on ? sub->mask[j] | bits : 0;

                mask |= condition_bit(&sub->events[j], mask);
                orr_store_release(&sub->mask[j], mask);
            }
        }
    }
    g_pattern_spec_free(spec);
    return ok;
}

void orr_trace_stop(void)
{
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            orr_store_relaxed(&orr_trace_subsystems[i]->mask[j], 0);
        }
    }
    for (size_t b = 0; b < G_N_ELEMENTS(backends); b++) {
        if (trace_state.open >> b & 1) {
            backends[b]->close();
        }
    }
    g_clear_pointer(&trace_state.rules, g_array_unref);
    g_clear_pointer(&trace_state.file, g_free);
    g_clear_pointer(&trace_state.log_file, g_free);
    g_clear_pointer(&trace_state.guest, g_free);
    g_clear_pointer(&trace_state.conditions, g_ptr_array_unref);
    orr_trace_ctf_options_clear(&trace_state.ctf);
    trace_state.default_backends = trace_state.open = 0;
    trace_state.given = false;
}

uint64_t orr_trace_lost(void)
{
    return orr_trace_log_lost() + orr_trace_ust_lost() + orr_trace_ctf_lost();
}

char *orr_trace_dump(GError **error)
{
    return orr_trace_ctf_dump(error);
}

void orr_trace_thread_renamed(void)
{
    orr_trace_log_thread_renamed();
    orr_trace_ctf_thread_renamed();
}

/* ---- Emitting ---- */

static void dispatch_on_conditions(const TraceEvent *event, const void *args, uint8_t mask)
{
    unsigned verdict = orr_trace_conditions_check(event, args);
    bool is_trigger = verdict & (TRACE_VERDICT_TRIGGER | TRACE_VERDICT_PANIC);

    if (!(verdict & TRACE_VERDICT_KEEP)) {
        mask &= is_trigger ? TRACE_MASK_CTF : 0;
    }
    for (mask &= (uint8_t)~TRACE_MASK_CONDITIONS; mask; mask &= mask - 1) {
        backends[__builtin_ctz(mask)]->emit(event, args);
    }
    if (is_trigger) {
        orr_trace_ctf_trigger(event, verdict);
    }
}

void orr_trace_dispatch(const TraceEvent *event, const void *args)
{
    uint8_t mask = orr_load_acquire(&event->subsystem->mask[event->index]);

    /* The usual case of many events in little time. */
    if (G_LIKELY(mask == TRACE_MASK_CTF)) {
        orr_trace_ctf_emit(event, args);
        return;
    }
    if (G_UNLIKELY(mask & TRACE_MASK_CONDITIONS)) {
        dispatch_on_conditions(event, args, mask);
        return;
    }
    for (; mask; mask &= mask - 1) {
        backends[__builtin_ctz(mask)]->emit(event, args);
    }
}
