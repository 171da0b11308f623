/* SPDX-License-Identifier: MIT */
/*
 * Flight recordings: what is kept, what is let go, and all that has one dumped. Besides them the
 * conditions on events, of which triggers are some, and the contexts that events bear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctf-fixture.h"
#include "orrery/impl/host-clock.h"
#include "trace/internal.h"
#include "trace/trace-cpus.h"
#include "trace/trace-hw.h"
#include "trace/trace-timers.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first and the last of the events cpus:wake in a trace, by their third field. */
typedef struct Range {
    uint64_t first, last, n;
    uint64_t first_ns, last_ns;
    unsigned others;
} Range;

static void collect_range(const CtfSeen *event, void *opaque)
{
    Range *range = opaque;

    if (strcmp(event->event->name, "wake") != 0) {
        range->others++;
        return;
    }
    if (!range->n++) {
        range->first = event->values[2].number;
        range->first_ns = event->ns;
    }
    range->last = event->values[2].number;
    range->last_ns = event->ns;
}

static char *dump_path(const CtfFixture *f, unsigned number)
{
    return g_strdup_printf("%s/dump-%u", f->trace, number);
}

/* Waits for a dump: it appears when it is whole. No test waits for less than its own time limit. */
static Range read_dump(const CtfFixture *f, unsigned number)
{
    g_autofree char *path = dump_path(f, number);
    Range range = { 0 };

    while (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        orr_trace_ctf_sync();
    }
    ctf_read_dir(path, 0, collect_range, &range);
    return range;
}

static bool has_dump(const CtfFixture *f, unsigned number)
{
    g_autofree char *path = dump_path(f, number);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static uint64_t emit_wakes(uint64_t from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        trace_cpus_wake(0, "kick", from + i);
    }
    return from + n;
}

/* ---- What is kept ---- */

static void test_nothing_without_a_dump(void **state)
{
    CtfFixture *f = *state;

    ctf_record(f, "cpus:wake", ",flight=5s");
    assert_true(g_file_test(f->trace, G_FILE_TEST_IS_DIR));
    emit_wakes(0, 1000);
    orr_trace_stop();
    assert_false(g_file_test(f->trace, G_FILE_TEST_EXISTS));
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_no_recording(void **state)
{
    CtfFixture *f = *state;
    g_autoptr(GError) error = NULL;

    assert_null(orr_trace_dump(NULL));
    ctf_record(f, "cpus:wake", "");
    assert_null(orr_trace_dump(&error));
    assert_non_null(strstr(error->message, "there is no flight recording"));
}

static void test_dump(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *expected = dump_path(f, 1);
    g_autofree char *path = NULL, *second = NULL, *text = NULL;
    Range range;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=1m");
    emit_wakes(0, 5000);
    path = orr_trace_dump(NULL);
    assert_string_equal(path, expected);
    range = read_dump(f, 1);
    assert_int_equal(range.n, 5000);
    emit_wakes(5000, 10);
    second = orr_trace_dump(NULL);
    range = read_dump(f, 2);
    orr_trace_stop();
    text = ctf_said(f);
    assert_int_equal(range.n, 5010);
    assert_int_equal(range.last, 5009);
    assert_int_equal(ctf_count_text(text, "asked for: the last 0."), 2);
    assert_true(g_str_has_suffix(second, "/dump-2"));
}

/* A full memory lets go of the oldest, and the dump still has an unbroken rest. */
static void test_size(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    uint64_t n = 0;
    Range range;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m,size=1M");
    while (n < 200000) {
        n = emit_wakes(n, 10000);
        orr_trace_ctf_sync();
    }
    g_free(orr_trace_dump(NULL));
    range = read_dump(f, 1);
    orr_trace_stop();
    text = ctf_said(f);
    assert_int_equal(range.last, n - 1);
    assert_int_equal(range.n, range.last - range.first + 1);
    assert_in_range(range.n, 20000, 50000); /* of some 30 bytes, in 1 MiB */
    assert_int_equal(ctf_count_text(text, "size= has no room for more"), 1);
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_window(void **state)
{
    CtfFixture *f = *state;
    int64_t begin = host_monotonic_ns();
    uint64_t n = 0;
    Range range;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=2ms,size=1G");
    while (n < 20000 || host_monotonic_ns() - begin < 50 * 1000 * 1000) {
        n = emit_wakes(n, 500);
        orr_trace_ctf_sync();
    }
    g_free(orr_trace_dump(NULL));
    range = read_dump(f, 1);
    orr_trace_stop();
    g_free(ctf_said(f));
    assert_true(range.first > 0);
    assert_int_equal(range.last, n - 1);
    assert_int_equal(range.n, range.last - range.first + 1);
}

static void *emit_some(void *opaque)
{
    emit_wakes(GPOINTER_TO_UINT(opaque), 10);
    return NULL;
}

/* Threads that have ended are in the recording until they are too old for it. */
static void test_ended_threads(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *path = dump_path(f, 1);
    CtfSums sums;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m");
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, emit_some, GUINT_TO_POINTER(i)), 0);
        pthread_join(thread, NULL);
    }
    orr_trace_ctf_sync();
    g_free(orr_trace_dump(NULL));
    read_dump(f, 1);
    orr_trace_stop();
    g_free(ctf_said(f));
    sums = ctf_read_dir(path, 0, NULL, NULL);
    assert_int_equal(sums.n_streams, 20);
    assert_int_equal(sums.n_events, 200);
}

static void *emit_many(void *opaque)
{
    uint64_t *n = opaque;

    *n = emit_wakes(*n, 20000);
    return NULL;
}

/* What a ring had no room for shows in the dump. A thread that is new has a ring of this size. */
static void test_losses(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *path = dump_path(f, 1);
    uint64_t n = 0;
    Range range;
    CtfSums sums;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m,ring=64K,size=256M");
    while (orr_trace_lost() == 0) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, emit_many, &n), 0);
        pthread_join(thread, NULL);
        orr_trace_ctf_sync();
    }
    g_free(orr_trace_dump(NULL));
    range = read_dump(f, 1);
    sums = ctf_read_dir(path, 0, NULL, NULL);
    orr_trace_stop();
    g_free(ctf_said(f));
    assert_int_equal(sums.n_events, range.n);
    assert_int_equal(sums.n_events + sums.n_discarded, n);
    assert_int_equal(sums.n_discarded, orr_trace_lost());
}

/* ---- What has it dumped ---- */

static void test_trigger(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    Range range;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m,trigger=hw:dma_reentry");
    /* The trigger is on, though no glob has it. */
    assert_true(trace_hw_dma_reentry_enabled());
    emit_wakes(0, 100);
    trace_hw_dma_reentry("disk");
    range = read_dump(f, 1);
    assert_int_equal(range.n, 100);
    assert_int_equal(range.others, 1);
    /* A second within the same ten minutes waits, here until the end. */
    trace_hw_dma_reentry("disk");
    orr_trace_ctf_sync();
    assert_false(has_dump(f, 2));
    emit_wakes(100, 1);
    orr_trace_stop();
    text = ctf_said(f);
    range = read_dump(f, 2);
    assert_int_equal(range.n, 101);
    assert_int_equal(range.others, 2);
    assert_int_equal(ctf_count_text(text, "hw:dma_reentry: the last "), 2);
}

static void test_trigger_on_condition(void **state)
{
    CtfFixture *f = *state;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m,trigger=cpus:wake:slept_ns>=500");
    emit_wakes(0, 500);
    orr_trace_ctf_sync();
    assert_false(has_dump(f, 1));
    emit_wakes(500, 1);
    assert_int_equal(read_dump(f, 1).n, 501);
    orr_trace_stop();
    g_free(ctf_said(f));
}

static void test_trigger_often(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=1ms,trigger=cpus:wake");
    while (!has_dump(f, 16)) {
        emit_wakes(0, 10);
        orr_trace_ctf_sync();
    }
    emit_wakes(0, 10);
    orr_trace_stop();
    text = ctf_said(f);
    assert_false(has_dump(f, 17));
    assert_int_equal(ctf_count_text(text, "no trigger dumps any more"), 1);
}

/* Without anybody's asking, and however many triggers there were before. */
static void test_panic(void **state)
{
    CtfFixture *f = *state;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m,trigger=cpus:halt");
    emit_wakes(0, 7);
    trace_cpus_run_state("prelaunch", "running");
    orr_trace_ctf_sync();
    assert_false(has_dump(f, 1));
    trace_cpus_halt(0);
    assert_int_equal(read_dump(f, 1).n, 7);
    trace_cpus_run_state("running", "guest-panicked");
    assert_int_equal(read_dump(f, 2).n, 7);
    trace_cpus_run_state("guest-panicked", "internal-error");
    assert_int_equal(read_dump(f, 3).others, 4);
    orr_trace_stop();
    g_free(ctf_said(f));
}

/* The last thing that happens before the end. */
static void test_panic_at_exit(void **state)
{
    CtfFixture *f = *state;
    Range range;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m");
    emit_wakes(0, 7);
    trace_cpus_run_state("running", "internal-error");
    orr_trace_stop();
    g_free(ctf_said(f));
    range = read_dump(f, 1);
    assert_int_equal(range.n, 7);
    assert_int_equal(range.others, 1);
}

static void test_signal(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    struct sigaction sa;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m");
    emit_wakes(0, 3);
    raise(SIGUSR2);
    assert_int_equal(read_dump(f, 1).n, 3);
    orr_trace_stop();
    text = ctf_said(f);
    assert_int_equal(ctf_count_text(text, "SIGUSR2: the last "), 1);
    sigaction(SIGUSR2, NULL, &sa);
    assert_ptr_equal(sa.sa_handler, SIG_DFL);
}

static void test_dump_fails(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    pid_t pid;

    ctf_hush(f);
    pid = fork();
    if (pid == 0) {
        struct rlimit before, limit;
        uint64_t n;

        ctf_record(f, "cpus:wake", ",flight=10m");
        n = emit_wakes(0, 20000);
        orr_trace_ctf_sync();
        getrlimit(RLIMIT_FSIZE, &before);
        limit = before;
        limit.rlim_cur = 100000;
        setrlimit(RLIMIT_FSIZE, &limit);
        g_free(orr_trace_dump(NULL));
        /* The dump is made in the pass that the first sync waits for, or before. */
        orr_trace_ctf_sync();
        orr_trace_ctf_sync();
        setrlimit(RLIMIT_FSIZE, &before);
        /* Nothing of it is left, and the recording is as it was. */
        assert_false(has_dump(f, 1));
        g_free(orr_trace_dump(NULL));
        _exit(read_dump(f, 2).n == n ? 0 : 3);
    }
    assert_int_equal(ctf_child_status(pid), 0);
    text = ctf_said(f);
    assert_int_equal(ctf_count_text(text, "dump-1: File too large"), 1);
}

/* A directory that could not be made is tried again for each dump. */
static void test_directory_comes_late(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *parent = g_build_filename(f->dir, "late", NULL);
    g_autofree char *text = NULL;

    g_free(f->trace);
    f->trace = g_build_filename(parent, "trace", NULL);
    ctf_hush(f);
    ctf_record(f, "cpus:wake", ",flight=10m");
    emit_wakes(0, 100);
    g_free(orr_trace_dump(NULL));
    orr_trace_ctf_sync();
    orr_trace_ctf_sync();
    assert_int_equal(g_mkdir(parent, 0700), 0);
    g_free(orr_trace_dump(NULL));
    assert_int_equal(read_dump(f, 2).n, 100);
    orr_trace_stop();
    text = ctf_said(f);
    assert_int_equal(ctf_count_text(text, "No such file or directory; nothing can be dumped"), 1);
    assert_int_equal(ctf_count_text(text, "dump-1: No such file or directory"), 1);
    assert_int_equal(orr_trace_lost(), 0);
}

/* ---- Conditions ---- */

/* What of 100 events cpus:wake, times 10 of each of 10 vCPUs, these options let through. */
static Range wakes_under(CtfFixture *f, const char *more)
{
    Range range = { 0 };

    ctf_record(f, "cpus:*,hw:*,timers:*", more);
    for (uint32_t i = 0; i < 100; i++) {
        trace_cpus_wake(i % 10, i % 2 ? "timer-1" : "kick", i);
    }
    trace_cpus_exclusive_begin(-1, 5);
    trace_cpus_machine_lock_wait("site", 5);
    trace_timers_timer_fire(NULL, "a", TRACE_TIMERS_CLOCK_HOST, -5);
    orr_trace_stop();
    ctf_read_dir(f->trace, 0, collect_range, &range);
    ctf_remove_all(f->trace);
    return range;
}

static void test_filters(void **state)
{
    static const struct {
        const char *more;
        uint64_t n;
        unsigned others;
    } cases[] = {
        { "", 100, 3 },
        { ",filter=cpus:wake:cpu==3", 10, 3 },
        { ",filter=cpus:wake:cpu!=0x3", 90, 3 },
        { ",filter=cpus:wake:cpu<3", 30, 3 },
        { ",filter=cpus:wake:cpu<=3", 40, 3 },
        { ",filter=cpus:wake:cpu>3", 60, 3 },
        { ",filter=cpus:wake:cpu>=3", 70, 3 },
        { ",filter=cpus:wake:cpu>=3,filter=cpus:wake:cpu<5", 20, 3 },
        { ",filter=cpu==3", 10, 2 }, /* any event that has the field */
        { ",filter=cpus:*:cpu==3", 10, 2 },
        { ",filter=cpus:exclusive_b*:cpu==-1", 100, 3 },
        { ",filter=cpus:exclusive_b*:cpu<-1", 100, 2 },
        { ",filter=cpus:exclusive_b*:cpu>=0", 100, 2 },
        { ",filter=cpus:wake:cause==kick", 50, 3 },
        { ",filter=cpus:wake:cause!=kick", 50, 3 },
        { ",filter=cpus:wake:cause==t?mer*", 50, 3 },
        { ",filter=cpus:wake:cause==*1", 50, 3 },
        { ",filter=cpus:wake:cause==*", 100, 3 },
        { ",filter=cpus:wake:cause==", 0, 3 },
        { ",filter=timers:*:clock==host", 100, 3 },
        { ",filter=timers:*:clock==virtual", 100, 2 },
        { ",filter=timers:*:clock!=2", 100, 2 },
        { ",filter=lateness_ns<0", 100, 3 },
        { ",filter=lateness_ns>-5", 100, 2 },
        { ",sample=cpus:wake:1/10", 10, 3 },
        { ",sample=*:1/7", 15, 3 },
        { ",sample=cpus:wake:1/1", 100, 3 },
        { ",filter=cpu==3,sample=cpus:wake:1/5", 2, 2 }, /* of those that pass */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Range range = wakes_under(*state, cases[i].more);

        if (range.n != cases[i].n || range.others != cases[i].others) {
            fail_msg("%s: %u wakes and %u others", cases[i].more, (unsigned)range.n, range.others);
        }
        assert_int_equal(orr_trace_lost(), 0);
    }
}

/* They hold for every back end, for events that are switched on later, and not for the next trace. */
static void test_filter_for_the_log(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;

    ctf_option("cpus:halt,file=%s,filter=cpus:*:cpu==1,sample=cpus:halt:1/2", f->err);
    ctf_start();
    assert_true(orr_trace_switch("cpus:wake", true, NULL));
    for (uint32_t i = 0; i < 4; i++) {
        trace_cpus_halt(1);
        trace_cpus_halt(2);
        trace_cpus_wake(i, "kick", 0);
    }
    orr_trace_stop();
    assert_true(g_file_get_contents(f->err, &text, NULL, NULL));
    assert_int_equal(ctf_count_text(text, "cpus:halt cpu=1"), 2);
    assert_int_equal(ctf_count_text(text, "cpus:halt cpu=2"), 0);
    assert_int_equal(ctf_count_text(text, "cpus:wake cpu=1"), 1);
    assert_int_equal(ctf_count_text(text, "cpus:wake"), 1);
    ctf_record(f, "cpus:halt", "");
    trace_cpus_halt(2);
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 1);
}

static void *sampled_thread(void *opaque)
{
    for (uint64_t i = 0; i < 1000; i++) {
        trace_cpus_wake(0, "kick", i);
    }
    return NULL;
}

/* One in N of each thread's. */
static void test_sample_by_thread(void **state)
{
    CtfFixture *f = *state;
    pthread_t threads[3];

    ctf_record(f, "cpus:wake", ",sample=cpus:wake:1/100");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sampled_thread, NULL), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 30);
}

/* ---- Contexts ---- */

static int64_t read_counter(void *opaque)
{
    trace_cpus_halt(99); /* as an accelerator's op does on the way to its clock */
    return ++*(int64_t *)opaque;
}

static void check_contexts(const CtfSeen *event, void *opaque)
{
    uint64_t i = event->values[2].number;

    (*(unsigned *)opaque)++;
    assert_string_equal(event->event->name, "wake");
    assert_int_equal(event->contexts[0], i < 100 ? (int64_t)i + 1001 : -1);
    assert_int_equal(event->contexts[1], i < 50 || i >= 150 ? -1 : (int64_t)i - 49);
    assert_in_range(event->contexts[2], 0, sysconf(_SC_NPROCESSORS_CONF) - 1);
}

static void test_contexts(void **state)
{
    CtfFixture *f = *state;
    int64_t vtime = 1000, icount = 0;
    TraceContextSource first = { read_counter, &vtime }, second = { read_counter, &icount };
    unsigned n = 0;

    ctf_record(f, "cpus:*", ",context=vtime+icount+cpu");
    orr_trace_context_provide(TRACE_CONTEXT_VTIME, &first);
    emit_wakes(0, 50);
    orr_trace_context_provide(TRACE_CONTEXT_ICOUNT, &second);
    emit_wakes(50, 50);
    orr_trace_context_withdraw(TRACE_CONTEXT_VTIME, &first);
    orr_trace_context_withdraw(TRACE_CONTEXT_ICOUNT, &first); /* not the one that is asked */
    emit_wakes(100, 50);
    orr_trace_context_withdraw(TRACE_CONTEXT_ICOUNT, &second);
    emit_wakes(150, 50);
    orr_trace_stop();
    ctf_read_dir(f->trace, 7, check_contexts, &n);
    assert_int_equal(n, 200);
    assert_int_equal(orr_trace_lost(), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ctf_set_up, ctf_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_without_a_dump),
        TEST(test_no_recording),
        TEST(test_dump),
        TEST(test_size),
        TEST(test_window),
        TEST(test_ended_threads),
        TEST(test_losses),
        TEST(test_trigger),
        TEST(test_trigger_on_condition),
        TEST(test_trigger_often),
        TEST(test_panic),
        TEST(test_panic_at_exit),
        TEST(test_signal),
        TEST(test_dump_fails),
        TEST(test_directory_comes_late),
        TEST(test_filters),
        TEST(test_filter_for_the_log),
        TEST(test_sample_by_thread),
        TEST(test_contexts),
    };

    if (!orr_trace_subsystems[0]) {
        return 0; /* -Dtrace=disabled */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
