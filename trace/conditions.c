/* SPDX-License-Identifier: MIT */
/*
 * Conditions on single events: filter= and sample= drop some of them before any back end is asked,
 * trigger= finds the one for which a flight recording is dumped.
 *
 * The idea to hold: a condition is text until it is installed; then each event that it names has
 * tests of its own, made for the type that the field has there. An event without conditions never
 * comes here: its mask byte says so.
 */
#include "orrery/impl/error.h"
#include "trace/internal.h"

#include <errno.h>
#include <string.h>

#define MAX_SAMPLED 512 /* beyond that, two events share a count */

typedef enum Operator { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL } Operator;

/* Two letters before one, so that "<=" is not found as "<". */
static const struct {
    const char *text;
    Operator op;
} operators[] = {
    { "==", EQUAL },         { "!=", NOT_EQUAL }, { "<=", LESS_EQUAL },
    { ">=", GREATER_EQUAL }, { "<", LESS },       { ">", GREATER },
};

struct TraceCondition {
    TraceConditionKind kind;
    char *glob;
    char *field; /* NULL: all that the glob names */
    Operator op;
    char *value;
    uint32_t every; /* of a sample */
};

/* A condition on one event. */
typedef struct Test {
    TraceConditionKind kind;
    const TraceField *field; /* NULL: always true */
    Operator op;
    bool is_signed;
    uint64_t number;
    char *pattern; /* of a string: '*' any text, '?' any character */
} Test;

typedef struct Tests {
    unsigned n;
    Test *tests;
    uint32_t every; /* 0: no sample */
    unsigned slot;  /* in sample_counts */
} Tests;

/*
 * By the high byte of an event's id and its index; read while events are emitted. What was
 * replaced is kept, since an emission may still be looking at it.
 */
static Tests *tables[TRACE_MAX_SUBSYSTEMS];
static GPtrArray *retired;

static __thread uint32_t sample_counts[MAX_SAMPLED];

/* ---- Text ---- */

static bool text_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

static bool parse_number(Test *test, const char *value)
{
    char *end = NULL;

    errno = 0;
    if (*value == '-') {
        test->number = (uint64_t)g_ascii_strtoll(value, &end, 0);
        return test->is_signed && end && !*end && !errno;
    }
    test->number = g_ascii_strtoull(value, &end, 0);
    return g_ascii_isdigit(*value) && end && !*end && !errno &&
           !(test->is_signed && test->number > INT64_MAX);
}

static bool parse_label(Test *test, const char *value)
{
    for (unsigned i = 0; i < test->field->n_labels; i++) {
        if (g_str_equal(test->field->labels[i].name, value)) {
            test->number = (uint64_t)(int64_t)test->field->labels[i].value;
            return true;
        }
    }
    return false;
}

/* ---- Tests of one event ---- */

static const TraceField *find_field(const TraceEvent *event, const char *name)
{
    for (unsigned i = 0; i < event->n_fields; i++) {
        if (g_str_equal(event->fields[i].name, name)) {
            return &event->fields[i];
        }
    }
    return NULL;
}

/* Makes the test for the event, which has the field. The pattern is the condition's. */
static bool make_test(const TraceCondition *condition, const TraceEvent *event, Test *test,
                      GError **error)
{
    const TraceField *field = condition->field ? find_field(event, condition->field) : NULL;
    bool ok = true;

    *test = (Test){ .kind = condition->kind, .field = field, .op = condition->op };
    if (!field) {
        return true;
    }
    test->is_signed = field->type == TRACE_FIELD_ENUM ||
                      (field->type >= TRACE_FIELD_I8 && field->type <= TRACE_FIELD_I64);
    if (field->type == TRACE_FIELD_STR) {
        test->pattern = condition->value;
        ok = condition->op == EQUAL || condition->op == NOT_EQUAL;
    } else if (field->type == TRACE_FIELD_ENUM) {
        ok = parse_label(test, condition->value) || parse_number(test, condition->value);
    } else {
        ok = parse_number(test, condition->value);
    }
    return ok || orr_fail(error, ORR_ERROR_INVALID,
                          "field '%s' of event %s:%s cannot be compared with '%s' in that way",
                          field->name, event->subsystem->name, event->name, condition->value);
}

static bool condition_applies(const TraceCondition *condition, GPatternSpec *spec,
                              const TraceEvent *event)
{
    return orr_trace_glob_matches(spec, event) &&
           (!condition->field || find_field(event, condition->field));
}

/* Does it name any event that has the field, and does the value suit all of these? */
static bool condition_fits(const TraceCondition *condition, GError **error)
{
    GPatternSpec *spec;
    bool any = false, ok = true;

    if (!orr_trace_glob_known(condition->glob, error)) {
        return false;
    }
    spec = g_pattern_spec_new(condition->glob);
    for (size_t i = 0; orr_trace_subsystems[i] && ok; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (unsigned j = 0; j < sub->n_events && ok; j++) {
            if (condition_applies(condition, spec, &sub->events[j])) {
                Test test;

                any = true;
                ok = make_test(condition, &sub->events[j], &test, error);
            }
        }
    }
    g_pattern_spec_free(spec);
    return ok && (any || orr_fail(error, ORR_ERROR_NOT_FOUND,
                                  "no event that matches '%s' has a field '%s'", condition->glob,
                                  condition->field));
}

/* ---- Parsing ---- */

/* Splits "GLOB:FIELD OP VALUE"; without an operator all of it is the glob. */
static void split(TraceCondition *condition, const char *text)
{
    for (const char *at = text; *at; at++) {
        for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
            if (g_str_has_prefix(at, operators[i].text)) {
                g_autofree char *left = g_strndup(text, (size_t)(at - text));
                char *colon = strrchr(left, ':');

                condition->op = operators[i].op;
                condition->value = g_strdup(at + strlen(operators[i].text));
                condition->field = g_strdup(colon ? colon + 1 : left);
                condition->glob = colon ? g_strndup(left, (size_t)(colon - left)) : g_strdup("*");
                return;
            }
        }
    }
    condition->glob = g_strdup(text);
}

static bool parse_sample(TraceCondition *condition, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    guint64 every = 0;

    if (colon && g_str_has_prefix(colon, ":1/") && g_ascii_isdigit(colon[3])) {
        every = g_ascii_strtoull(colon + 3, &end, 10);
    }
    if (!end || *end || every < 1 || every > UINT32_MAX) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "trace option 'sample=%s' is not of the form GLOB:1/N", text);
    }
    condition->glob = g_strndup(text, (size_t)(colon - text));
    condition->every = (uint32_t)every;
    return true;
}

TraceCondition *orr_trace_condition_parse(TraceConditionKind kind, const char *text, GError **error)
{
    TraceCondition *condition = g_new0(TraceCondition, 1);
    bool ok = true;

    condition->kind = kind;
    if (kind == TRACE_CONDITION_SAMPLE) {
        ok = parse_sample(condition, text, error);
    } else {
        split(condition, text);
        if (kind == TRACE_CONDITION_FILTER && !condition->field) {
            ok = orr_fail(error, ORR_ERROR_INVALID,
                          "trace option 'filter=%s' is not of the form GLOB:FIELD==VALUE (or !=, "
                          "<, <=, >, >=)",
                          text);
        }
    }
    if (ok && condition_fits(condition, error)) {
        return condition;
    }
    orr_trace_condition_free(condition);
    return NULL;
}

void orr_trace_condition_free(void *opaque)
{
    TraceCondition *condition = opaque;

    if (condition) {
        g_free(condition->glob);
        g_free(condition->field);
        g_free(condition->value);
        g_free(condition);
    }
}

bool orr_trace_condition_is_trigger(const TraceCondition *condition)
{
    return condition->kind == TRACE_CONDITION_TRIGGER;
}

/* ---- Installing ---- */

static void *keep(void *memory)
{
    if (!retired) {
        retired = g_ptr_array_new();
    }
    g_ptr_array_add(retired, memory);
    return memory;
}

static void add_test(Tests *tests, const TraceCondition *condition, const TraceEvent *event,
                     unsigned *n_sampled)
{
    Test test;

    if (condition->kind == TRACE_CONDITION_SAMPLE) {
        if (!tests->every) {
            tests->slot = (*n_sampled)++ % MAX_SAMPLED;
        }
        tests->every = condition->every; /* the last word on an event holds */
        return;
    }
    make_test(condition, event, &test, NULL);
    if (test.pattern) {
        test.pattern = keep(g_strdup(test.pattern));
    }
    if (test.kind >= TRACE_CONDITION_TRIGGER || test.field) {
        Test *grown = keep(g_new(Test, tests->n + 1));

        for (unsigned i = 0; i < tests->n; i++) {
            grown[i] = tests->tests[i];
        }
        grown[tests->n++] = test;
        tests->tests = grown;
    }
}

void orr_trace_conditions_install(const GPtrArray *conditions)
{
    unsigned n_sampled = 0;

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];
        Tests *table = NULL;

        for (guint c = 0; conditions && c < conditions->len; c++) {
            const TraceCondition *condition = conditions->pdata[c];
            GPatternSpec *spec = g_pattern_spec_new(condition->glob);

            for (unsigned j = 0; j < sub->n_events; j++) {
                if (condition_applies(condition, spec, &sub->events[j])) {
                    table = table ? table : keep(g_new0(Tests, sub->n_events));
                    add_test(&table[j], condition, &sub->events[j], &n_sampled);
                }
            }
            g_pattern_spec_free(spec);
        }
        orr_store_release(&tables[sub->events[0].id >> 8], table);
    }
}

static const Tests *tests_of(const TraceEvent *event)
{
    const Tests *table = orr_load_acquire(&tables[event->id >> 8]);

    return table ? &table[event->index] : NULL;
}

bool orr_trace_conditions_on(const TraceEvent *event)
{
    const Tests *tests = tests_of(event);

    return tests && (tests->n || tests->every);
}

bool orr_trace_conditions_trigger(const TraceEvent *event)
{
    const Tests *tests = tests_of(event);

    for (unsigned i = 0; tests && i < tests->n; i++) {
        if (tests->tests[i].kind >= TRACE_CONDITION_TRIGGER) {
            return true;
        }
    }
    return false;
}

/* ---- Asking ---- */

static uint64_t load_number(const TraceField *field, const char *at, bool is_signed)
{
    switch (field->size) {
    case 1:
        return is_signed ? (uint64_t)(int64_t) * (const int8_t *)at : *(const uint8_t *)at;
    case 2:
        return is_signed ? (uint64_t)(int64_t) * (const int16_t *)at : *(const uint16_t *)at;
    case 4:
        return is_signed ? (uint64_t)(int64_t) * (const int32_t *)at : *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static bool test_holds(const Test *test, const char *args)
{
    uint64_t value;
    int order;

    if (!test->field) {
        return true;
    }
    if (test->pattern) {
        const char *text = *(const char *const *)(args + test->field->offset);

        return text_matches(test->pattern, text) == (test->op == EQUAL);
    }
    value = load_number(test->field, args + test->field->offset, test->is_signed);
    if (test->is_signed) {
        order = ((int64_t)value > (int64_t)test->number) - ((int64_t)value < (int64_t)test->number);
    } else {
        order = (value > test->number) - (value < test->number);
    }
    switch (test->op) {
    case EQUAL:
        return order == 0;
    case NOT_EQUAL:
        return order != 0;
    case LESS:
        return order < 0;
    case LESS_EQUAL:
        return order <= 0;
    case GREATER:
        return order > 0;
    case GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

unsigned orr_trace_conditions_check(const TraceEvent *event, const void *args)
{
    const Tests *tests = tests_of(event);
    unsigned verdict = TRACE_VERDICT_KEEP;

    if (!tests) {
        return verdict;
    }
    for (unsigned i = 0; i < tests->n; i++) {
        const Test *test = &tests->tests[i];
        bool holds = test_holds(test, args);

        if (test->kind == TRACE_CONDITION_FILTER) {
            verdict &= holds ? ~0u : ~TRACE_VERDICT_KEEP;
        } else if (holds) {
            verdict |=
                test->kind == TRACE_CONDITION_PANIC ? TRACE_VERDICT_PANIC : TRACE_VERDICT_TRIGGER;
        }
    }
    if (verdict & TRACE_VERDICT_KEEP && tests->every &&
        sample_counts[tests->slot]++ % tests->every) {
        verdict &= ~TRACE_VERDICT_KEEP;
    }
    return verdict;
}
