/* SPDX-License-Identifier: MIT */
/*
 * The lines of the log back end, whole and complete under threads, signals, exit and full disks.
 * Every test starts and stops the trace itself; a test that needs the process to end, or to have
 * less, forks.
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

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- Lines ---- */

static void test_line(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    static const char *const expected[] = {
        "cpus:vcpu_state cpu=0 from=running to=halted reason=wfi",
        "cpus:kick cpu=1 kicker=-1 cause=\"two words\"",
        "timers:timer_mod timer=0xbeef name=\"\" clock=virtual deadline_ns=-9223372036854775808",
        "timers:timer_mod timer=0x0 name=(null) clock=77 deadline_ns=9223372036854775807",
        "timers:clock_stop",
        ("hw:mmio_error cpu=-2147483648 device=uart@10000000 addr=0xffffffffffffffff offset=0x0 "
         "size=4294967295 write=1 why=\"a\\\"b\\\\c\\nd\\x01=\""),
    };

    tf_log_to(f, "*");
    trace_cpus_vcpu_state(0, "running", "halted", "wfi");
    trace_cpus_kick(1, -1, "two words");
    trace_timers_timer_mod((void *)(uintptr_t)0xbeef, "", TRACE_TIMERS_CLOCK_VIRTUAL, INT64_MIN);
    trace_timers_timer_mod(NULL, NULL, 77, INT64_MAX);
    trace_timers_clock_stop();
    trace_hw_mmio_error(INT32_MIN, "uart@10000000", UINT64_MAX, 0, UINT32_MAX, true,
                        "a\"b\\c\nd\x01=");
    orr_trace_stop();
    trace_cpus_kick(2, 0, "after the end");
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), G_N_ELEMENTS(expected));
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        assert_string_equal(tf_payload(lines[i], NULL), expected[i]);
    }
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_long_line(void **state)
{
    TraceFixture *f = *state;
    g_autofree char *plain = g_strnfill(5000, 'x');
    g_autofree char *quoted = g_strnfill(5000, '\n');
    g_auto(GStrv) lines = NULL;

    tf_log_to(f, "hw:dma_reentry");
    trace_hw_dma_reentry(plain);
    trace_hw_dma_reentry(quoted);
    trace_hw_dma_reentry("short");
    orr_trace_stop();
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 3);
    for (size_t i = 0; i < 2; i++) {
        assert_true(strlen(lines[i]) < 2048);
        assert_true(g_str_has_suffix(lines[i], "..."));
        assert_true(g_str_has_prefix(tf_payload(lines[i], NULL), "hw:dma_reentry device="));
    }
    assert_string_equal(tf_payload(lines[2], NULL), "hw:dma_reentry device=short");
}

static void test_stderr(void **state)
{
    TraceFixture *f = *state;
    g_autofree char *text = NULL;
    int saved;

    tf_option("cpus:*");
    tf_start();
    saved = tf_stderr_to(f->file);
    trace_cpus_halt(7);
    /* It is there before anything is flushed. */
    text = tf_read_file(f->file);
    tf_stderr_back(saved);
    g_strchomp(text);
    assert_string_equal(tf_payload(text, NULL), "cpus:halt cpu=7");
}

static void test_restart_and_append(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;

    for (uint32_t i = 0; i < 2; i++) { /* file= begins anew */
        tf_log_to(f, "cpus:halt");
        trace_cpus_halt(i);
        orr_trace_stop();
        trace_cpus_halt(99);
    }
    tf_option("cpus:halt");
    orr_trace_log_file(f->file); /* -D shares the file */
    tf_start();
    trace_cpus_halt(2);
    orr_trace_stop();
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(tf_payload(lines[0], NULL), "cpus:halt cpu=1");
    assert_string_equal(tf_payload(lines[1], NULL), "cpus:halt cpu=2");
}

static void *named_thread(void *opaque)
{
    (void)opaque;
    pthread_setname_np(pthread_self(), "first");
    trace_cpus_halt(1);
    pthread_setname_np(pthread_self(), "CPU 0/interp");
    orr_trace_thread_renamed();
    trace_cpus_halt(2);
    return NULL;
}

/* A thread's lines are written when it ends, under the names it had. */
static void test_thread_end(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pthread_t thread;

    tf_log_to(f, "cpus:halt");
    assert_int_equal(pthread_create(&thread, NULL, named_thread, NULL), 0);
    pthread_join(thread, NULL);
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(tf_payload(lines[0], "first"), "cpus:halt cpu=1");
    assert_string_equal(tf_payload(lines[1], "CPU 0/interp"), "cpus:halt cpu=2");
}

/* ---- Threads, signals, exit ---- */

#define N_THREADS 8
#define N_LINES 10000

static void *emitter(void *opaque)
{
    uint32_t id = GPOINTER_TO_UINT(opaque);

    for (uint64_t i = 0; i < N_LINES; i++) {
        trace_cpus_wake(id, i % 3 ? "kick" : "a longer cause, in quotes", i);
    }
    return NULL;
}

static void emit_from_threads(void)
{
    pthread_t threads[N_THREADS];

    for (uint32_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, emitter, GUINT_TO_POINTER(i)), 0);
    }
    for (uint32_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* Every line whole, each thread's in order, none missing. */
static void check_emitters(const char *path)
{
    g_auto(GStrv) lines = tf_read_lines(path);
    uint64_t next[N_THREADS] = { 0 };

    for (size_t i = 0; lines[i]; i++) {
        const char *text = tf_payload(lines[i], NULL);
        g_autofree char *expected = NULL;
        unsigned id;

        assert_int_equal(sscanf(text, "cpus:wake cpu=%u", &id), 1);
        assert_true(id < N_THREADS);
        expected =
            g_strdup_printf("cpus:wake cpu=%u cause=%s slept_ns=%" G_GUINT64_FORMAT, id,
                            next[id] % 3 ? "kick" : "\"a longer cause, in quotes\"", next[id]);
        assert_string_equal(text, expected);
        next[id]++;
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(next[i], N_LINES);
    }
}

static void test_threads_to_file(void **state)
{
    TraceFixture *f = *state;

    tf_log_to(f, "cpus:wake");
    emit_from_threads();
    orr_trace_stop();
    check_emitters(f->file);
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_threads_to_stderr(void **state)
{
    TraceFixture *f = *state;
    int saved;

    tf_option("cpus:wake");
    tf_start();
    saved = tf_stderr_to(f->file);
    emit_from_threads();
    tf_stderr_back(saved);
    check_emitters(f->file);
}

static void *emit_and_wait(void *opaque)
{
    GAsyncQueue *said = opaque;

    trace_cpus_halt(1);
    g_async_queue_push(said, GINT_TO_POINTER(1));
    for (;;) {
        pause();
    }
    return NULL;
}

/* exit() with a thread that still has lines in its buffer. */
static void test_exit(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid = fork();

    if (pid == 0) {
        GAsyncQueue *said = g_async_queue_new();
        pthread_t thread;

        tf_log_to(f, "cpus:halt");
        trace_cpus_halt(0);
        pthread_create(&thread, NULL, emit_and_wait, said);
        g_async_queue_pop(said);
        exit(0);
    }
    assert_int_equal(tf_child_status(pid), 0);
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
}

/* What a forked child inherited is the parent's to write. */
static void test_fork(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid;

    tf_log_to(f, "cpus:halt");
    trace_cpus_halt(1);
    pid = fork();
    if (pid == 0) {
        orr_trace_stop();
        _exit(0);
    }
    assert_int_equal(tf_child_status(pid), 0);
    trace_cpus_halt(2);
    orr_trace_stop();
    lines = tf_read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
}

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
    (void)signo;
    trace_cpus_halt(++ticks);
}

/* A handler that traces amid an emission loses its event, counted, and harms nothing. */
static void test_signal_handler(void **state)
{
    TraceFixture *f = *state;
    struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART }, old;
    g_auto(GStrv) lines = NULL;
    uint64_t sent = 0, n = 0;

    tf_log_to(f, "cpus:*");
    ticks = 0;
    sigaction(SIGALRM, &sa, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 2000) {
        trace_cpus_wake(0, "loop", sent++);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    orr_trace_stop();
    lines = tf_read_lines(f->file);
    for (size_t i = 0; lines[i]; i++) {
        g_autofree char *expected =
            g_strdup_printf("cpus:wake cpu=0 cause=loop slept_ns=%" G_GUINT64_FORMAT, n);
        const char *text = tf_payload(lines[i], NULL);

        if (!g_str_has_prefix(text, "cpus:halt cpu=")) {
            assert_string_equal(text, expected);
            n++;
        }
    }
    assert_int_equal(n, sent);
    assert_int_equal(g_strv_length(lines) + orr_trace_lost(), sent + ticks);
}

/* ---- Write errors ---- */

static void test_disk_full(void **state)
{
    TraceFixture *f = *state;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int saved;

    tf_option("cpus:wake,file=/dev/full");
    tf_start();
    saved = tf_stderr_to(f->file);
    for (uint64_t i = 0; i < 10000; i++) {
        trace_cpus_wake(0, "kick", i);
    }
    orr_trace_stop();
    tf_stderr_back(saved);
    assert_int_equal(orr_trace_lost(), 10000);
    text = tf_read_file(f->file);
    lines = g_strsplit(text, "\n", -1);
    assert_int_equal(g_strv_length(lines), 3);
    assert_non_null(strstr(lines[0], "trace: cannot write /dev/full: No space left on device; "
                                     "events are lost"));
    assert_non_null(strstr(lines[1], "trace: cannot write all events to /dev/full: 10000 in all"));
}

/* The limit cuts a write in two, as a disk that fills up does. */
static void test_no_torn_line(void **state)
{
    TraceFixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit limit = { 100000, 100000 };
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        tf_log_to(f, "cpus:wake");
        for (uint64_t i = 0; i < 10000; i++) {
            trace_cpus_wake(0, "kick", i);
        }
        orr_trace_stop();
        lines = tf_read_lines(f->file);
        _exit(g_strv_length(lines) + orr_trace_lost() == 10000 ? 0 : 3);
    }
    assert_int_equal(tf_child_status(pid), 0);
    lines = tf_read_lines(f->file);
    assert_true(g_strv_length(lines) > 1000);
    for (size_t i = 0; lines[i]; i++) {
        assert_true(
            g_str_has_prefix(tf_payload(lines[i], NULL), "cpus:wake cpu=0 cause=kick slept_ns="));
    }
}

static void test_reader_gone(void **state)
{
    int fds[2];
    int saved;

    assert_int_equal(pipe(fds), 0);
    tf_option("cpus:wake");
    tf_start();
    saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[0]);
    trace_cpus_wake(0, "kick", 1);
    trace_cpus_wake(0, "kick", 2);
    orr_trace_stop();
    tf_stderr_back(saved);
    close(fds[1]);
    assert_int_equal(orr_trace_lost(), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, tf_set_up, tf_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_line),
        TEST(test_long_line),
        TEST(test_stderr),
        TEST(test_restart_and_append),
        TEST(test_thread_end),
        TEST(test_threads_to_file),
        TEST(test_threads_to_stderr),
        TEST(test_exit),
        TEST(test_fork),
        TEST(test_signal_handler),
        TEST(test_disk_full),
        TEST(test_no_torn_line),
        TEST(test_reader_gone),
    };

    if (!orr_trace_subsystems[0]) {
        return 0; /* -Dtrace=disabled */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
