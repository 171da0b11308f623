/* SPDX-License-Identifier: MIT */
/*
 * From -trace options to mask bytes: what is refused, and with which words; which events end up with
 * which back end; the events' descriptors. Every test starts and stops the trace itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace-fixture.h"
#include "trace/internal.h"
#include "trace/trace-cpus.h"
#include "trace/trace-hw.h"
#include "trace/trace-timers.h"

#include <string.h>

#define LOG TRACE_MASK_LOG

/* ---- Options ---- */

static void test_refused(void **state)
{
    tf_refused("cpus:vcpu_stat", "no trace event matches 'cpus:vcpu_stat'; the nearest is "
                                 "'cpus:vcpu_state' (-trace help lists all)");
    tf_refused("cpu:*",
               "no trace event matches 'cpu:*'; the nearest is 'cpus:*' (-trace help lists all)");
    tf_refused("timer", "no trace event matches 'timer'; the nearest is 'timers:*' "
                        "(-trace help lists all)");
    tf_refused("hw:mio_wr*", "no trace event matches 'hw:mio_wr*'; the nearest is 'hw:mmio_write' "
                             "(-trace help lists all)");
    tf_refused("-hw:irq", "no trace event matches 'hw:irq'; the nearest is 'hw:irq_set' "
                          "(-trace help lists all)");
    tf_refused("cpus:*,backend=dtrace", "unknown trace backend 'dtrace'; known: log, ust, ctf");
    tf_refused("flie=x",
               "unknown trace option 'flie='; known: backend=, context=, dir=, enable=, "
               "events=, file=, filter=, flight=, guest=, ring=, sample=, size=, trigger=");
    tf_refused("file=", "trace option 'file=' needs a path");
    tf_refused("", "an event name is missing (-trace help lists them)");
    tf_refused("cpus:*,", "an event name is missing (-trace help lists them)");
    tf_refused("-", "an event name is missing (-trace help lists them)");
    tf_refused("cpus:*,help", "'help' stands alone: -trace help");
    tf_refused("events=/nonexistent",
               "cannot read the list of events '/nonexistent': No such file or directory");
    /* None of these left anything behind. */
    tf_start();
    assert_false(trace_cpus_kick_enabled());
}

static void test_masks(void **state)
{
    tf_option("cpus:*,-cpus:kick");
    tf_option("hw:mmio_*,cpus:kick");
    tf_option("-hw:mmio_error");
    tf_start();
    assert_true(trace_cpus_vcpu_state_enabled());
    assert_true(trace_cpus_kick_enabled());
    assert_true(trace_hw_mmio_read_enabled());
    assert_false(trace_hw_mmio_error_enabled());
    assert_false(trace_hw_irq_set_enabled());
    assert_false(trace_timers_timer_mod_enabled());
    assert_int_equal(tf_mask_of("cpus:vcpu_state"), LOG);
    orr_trace_stop();
    assert_false(trace_cpus_vcpu_state_enabled());

    tf_option("enable=*,-cpus:*,cpus:wake");
    tf_start();
    assert_true(trace_timers_clock_stop_enabled());
    assert_true(trace_cpus_wake_enabled());
    assert_false(trace_cpus_halt_enabled());
    orr_trace_stop();

    tf_start(); /* nothing was asked for any more */
    assert_false(trace_cpus_wake_enabled());
}

static void test_events_file(void **state)
{
    TraceFixture *f = *state;
    g_autofree char *arg = g_strdup_printf("events=%s/log,,1", f->dir);
    g_autofree char *message =
        g_strdup_printf("%s:2: no trace event matches 'cpus:wakes'; the nearest is 'cpus:wake' "
                        "(-trace help lists all)",
                        f->file);

    g_file_set_contents(f->file, "# some events\n\n  cpus:*  # all of them\n-cpus:halt\n", -1,
                        NULL);
    tf_option(arg);
    tf_start();
    assert_true(trace_cpus_wake_enabled());
    assert_false(trace_cpus_halt_enabled());
    assert_false(trace_hw_irq_set_enabled());
    orr_trace_stop();

    g_file_set_contents(f->file, "cpus:wake\ncpus:wakes\n", -1, NULL);
    tf_refused(arg, message);
}

/* As a monitor does it: without -trace, and beside one. */
static void test_switch(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;

    orr_trace_log_file(f->file);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(orr_trace_switch(i ? "cpus:halt" : "cpus:*", i % 2 == 0, NULL));
        trace_cpus_halt(i);
    }
    assert_false(orr_trace_switch("cpus:hal", true, &error));
    assert_non_null(strstr(error->message, "the nearest is 'cpus:halt'"));
    orr_trace_stop();
    assert_false(trace_cpus_halt_enabled());
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(tf_payload(lines[1], NULL), "cpus:halt cpu=2");
}

static void test_start_refused(void **state)
{
    tf_option("file=/nonexistent/log");
    tf_start_refused("-trace selects no event");
    tf_option("cpus:*,-cpus:*");
    tf_start_refused("-trace selects no event");
    tf_option("cpus:*,file=/nonexistent/log");
    tf_start_refused("cannot open the trace file '/nonexistent/log': No such file or directory");
}

static void test_help(void **state)
{
    g_autofree char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    orr_trace_help(out);
    fclose(out);
    assert_non_null(strstr(text,
                           "\ncpus:vcpu_state info - The vCPU moved from one state to another, "
                           "for the reason given.\n"));
    assert_non_null(strstr(text, "\nlog - "));
    assert_non_null(strstr(text, "\nust - "));
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            g_autofree char *head = g_strdup_printf("\n%s:%s ", orr_trace_subsystems[i]->name,
                                                    orr_trace_subsystems[i]->events[j].name);

            assert_non_null(strstr(text, head));
        }
    }
}

static void test_descriptors(void **state)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            const TraceEvent *event = &sub->events[j];
            size_t fixed = 0;

            assert_ptr_equal(event->subsystem, sub);
            assert_int_equal(event->index, j);
            assert_true(g_hash_table_add(ids, GINT_TO_POINTER((int)event->id)));
            for (uint16_t k = 0; k < event->n_fields; k++) {
                const TraceField *field = &event->fields[k];

                assert_true(field->offset + field->size <= event->args_bytes);
                if (field->type == TRACE_FIELD_STR) {
                    assert_true(field->offset >= event->fixed_bytes);
                } else {
                    assert_true(field->offset + field->size <= event->fixed_bytes);
                    fixed += field->size;
                }
                assert_int_equal(field->n_labels > 0, field->type == TRACE_FIELD_ENUM);
            }
            assert_int_equal(fixed, event->fixed_bytes);
        }
    }
}

/* ---- Two back ends ---- */

static void test_backend_choice(void **state)
{
    tf_option("cpus:*,backend=log");
    tf_option("backend=log");
    tf_option("hw:*");
    tf_start();
    assert_int_equal(tf_mask_of("cpus:kick"), LOG);
    assert_int_equal(tf_mask_of("hw:mmio_write"), LOG);
    orr_trace_stop();

    /* An argument's backend= is for its own globs, and with "-" for that back end alone. */
    tf_option("cpus:*");
    tf_option("-*,backend=ust");
    tf_start();
    assert_int_equal(tf_mask_of("cpus:kick"), LOG);
    assert_int_equal(tf_mask_of("hw:mmio_write"), 0);
    orr_trace_stop();
}

static void test_disabled(void **state)
{
    tf_refused("cpus:*", "tracing is not in this build; build with -Dtrace=enabled");
    tf_start();
    trace_cpus_halt(1);
    assert_false(trace_cpus_halt_enabled());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, tf_set_up, tf_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_refused),     TEST(test_masks),          TEST(test_events_file),
        TEST(test_switch),      TEST(test_start_refused),  TEST(test_help),
        TEST(test_descriptors), TEST(test_backend_choice),
    };
    const struct CMUnitTest without[] = { TEST(test_disabled) };

    if (!orr_trace_subsystems[0]) {
        return cmocka_run_group_tests(without, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
