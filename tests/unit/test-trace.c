/* SPDX-License-Identifier: MIT */
/*
 * Tracing without a session daemon: options to mask bytes, and the lines of the log back end, whole
 * and complete under threads, signals, exit and full disks. Every test starts and stops the trace
 * itself; a test that needs the process to end, or to have less, forks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orrery/impl/error.h"
#include "trace/internal.h"
#include "trace/trace-cpus.h"
#include "trace/trace-hw.h"
#include "trace/trace-timers.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG 1

typedef struct Fixture {
    char *dir, *file, *option; /* option: file=<file>, its comma doubled */
} Fixture;

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->dir = g_dir_make_tmp("orrery-trace-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "log,1", NULL);
    f->option = g_strdup_printf("file=%s/log,,1", f->dir);
    *state = f;
    return f->dir ? 0 : -1;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    orr_trace_stop();
    g_unlink(f->file);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->file);
    g_free(f->option);
    g_free(f);
    return 0;
}

static void option(const char *arg)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_option(arg, &error)) {
        fail_msg("-trace %s: %s", arg, error->message);
    }
}

static void refused(const char *arg, const char *message)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_option(arg, &error));
    assert_string_equal(error->message, message);
}

static void start(void)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_start(&error)) {
        fail_msg("%s", error->message);
    }
}

/* Starts to log what the glob matches to the fixture's file. */
static void log_to(const Fixture *f, const char *glob)
{
    option(glob);
    option(f->option);
    start();
}

static void start_refused(const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_start(&error));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' is not in '%s'", part, error->message);
    }
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            assert_int_equal(orr_trace_subsystems[i]->mask[j], 0);
        }
    }
}

/* The mask byte of an event; -1 when there is no such event. */
static int mask_of(const char *name)
{
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            g_autofree char *full = g_strdup_printf("%s:%s", sub->name, sub->events[j].name);

            if (g_str_equal(full, name)) {
                return sub->mask[j];
            }
        }
    }
    return -1;
}

static char *read_file(const char *path)
{
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/*
 * The lines of the log; fails unless the last one is whole too. Not by g_strsplit, which is
 * quadratic under the sanitizers' strstr.
 */
static char **read_lines(const char *path)
{
    g_autofree char *text = read_file(path);
    GPtrArray *lines = g_ptr_array_new();

    for (char *at = text; *at;) {
        char *end = strchr(at, '\n');

        if (!end) {
            fail_msg("a torn line at the end: '%s'", at);
        }
        g_ptr_array_add(lines, g_strndup(at, end - at));
        at = end + 1;
    }
    g_ptr_array_add(lines, NULL);
    return (char **)g_ptr_array_free(lines, FALSE);
}

/* What stands behind "seconds.nanoseconds [thread/tid] ", after checking that. */
static const char *payload(const char *line, const char *thread)
{
    char fraction[10] = "", bracket = 0;
    int begin = 0, digits = 0, end = 0;
    const char *slash;

    /* A thread's name may hold blanks and slashes; "] " ends it. */
    sscanf(line, "%*[0-9].%9[0-9] [%n%*[^]]%c%n", fraction, &begin, &bracket, &end);
    slash = end ? g_strrstr_len(line, end, "/") : NULL;
    if (slash) {
        sscanf(slash, "/%*[0-9]%n", &digits);
    }
    if (strlen(fraction) != 9 || digits < 2 || slash + digits + 1 != line + end ||
        line[end] != ' ' || slash == line + begin ||
        (thread && strncmp(line + begin, thread, slash - line - begin))) {
        fail_msg("not a line of the log: '%s'", line);
    }
    return line + end + 1;
}

/* Sends fd 2 to a file while a test looks at what is written there. */
static int stderr_to(const char *path)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    assert_true(saved >= 0 && fd >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return saved;
}

static void stderr_back(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static int child_status(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- Options ---- */

static void test_refused(void **state)
{
    refused("cpus:vcpu_stat", "no trace event matches 'cpus:vcpu_stat'; the nearest is "
                              "'cpus:vcpu_state' (-trace help lists all)");
    refused("cpu:*",
            "no trace event matches 'cpu:*'; the nearest is 'cpus:*' (-trace help lists all)");
    refused("timer", "no trace event matches 'timer'; the nearest is 'timers:*' "
                     "(-trace help lists all)");
    refused("hw:mio_wr*", "no trace event matches 'hw:mio_wr*'; the nearest is 'hw:mmio_write' "
                          "(-trace help lists all)");
    refused("-hw:irq", "no trace event matches 'hw:irq'; the nearest is 'hw:irq_set' "
                       "(-trace help lists all)");
    refused("cpus:*,backend=dtrace", "unknown trace backend 'dtrace'; known: log, ust, ctf");
    refused("flie=x", "unknown trace option 'flie='; known: backend=, context=, dir=, enable=, "
                      "events=, file=, filter=, flight=, ring=, sample=, size=, trigger=");
    refused("file=", "trace option 'file=' needs a path");
    refused("", "an event name is missing (-trace help lists them)");
    refused("cpus:*,", "an event name is missing (-trace help lists them)");
    refused("-", "an event name is missing (-trace help lists them)");
    refused("cpus:*,help", "'help' stands alone: -trace help");
    refused("events=/nonexistent",
            "cannot read the list of events '/nonexistent': No such file or directory");
    /* None of these left anything behind. */
    start();
    assert_false(trace_cpus_kick_enabled());
}

static void test_masks(void **state)
{
    option("cpus:*,-cpus:kick");
    option("hw:mmio_*,cpus:kick");
    option("-hw:mmio_error");
    start();
    assert_true(trace_cpus_vcpu_state_enabled());
    assert_true(trace_cpus_kick_enabled());
    assert_true(trace_hw_mmio_read_enabled());
    assert_false(trace_hw_mmio_error_enabled());
    assert_false(trace_hw_irq_set_enabled());
    assert_false(trace_timers_timer_mod_enabled());
    assert_int_equal(mask_of("cpus:vcpu_state"), LOG);
    orr_trace_stop();
    assert_false(trace_cpus_vcpu_state_enabled());

    option("enable=*,-cpus:*,cpus:wake");
    start();
    assert_true(trace_timers_clock_stop_enabled());
    assert_true(trace_cpus_wake_enabled());
    assert_false(trace_cpus_halt_enabled());
    orr_trace_stop();

    start(); /* nothing was asked for any more */
    assert_false(trace_cpus_wake_enabled());
}

static void test_events_file(void **state)
{
    Fixture *f = *state;
    g_autofree char *arg = g_strdup_printf("events=%s/log,,1", f->dir);
    g_autofree char *message =
        g_strdup_printf("%s:2: no trace event matches 'cpus:wakes'; the nearest is 'cpus:wake' "
                        "(-trace help lists all)",
                        f->file);

    g_file_set_contents(f->file, "# some events\n\n  cpus:*  # all of them\n-cpus:halt\n", -1,
                        NULL);
    option(arg);
    start();
    assert_true(trace_cpus_wake_enabled());
    assert_false(trace_cpus_halt_enabled());
    assert_false(trace_hw_irq_set_enabled());
    orr_trace_stop();

    g_file_set_contents(f->file, "cpus:wake\ncpus:wakes\n", -1, NULL);
    refused(arg, message);
}

/* As a monitor does it: without -trace, and beside one. */
static void test_switch(void **state)
{
    Fixture *f = *state;
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
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(payload(lines[1], NULL), "cpus:halt cpu=2");
}

static void test_start_refused(void **state)
{
    option("file=/nonexistent/log");
    start_refused("-trace selects no event");
    option("cpus:*,-cpus:*");
    start_refused("-trace selects no event");
    option("cpus:*,file=/nonexistent/log");
    start_refused("cannot open the trace file '/nonexistent/log': No such file or directory");
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

/* ---- Lines ---- */

static void test_line(void **state)
{
    Fixture *f = *state;
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

    log_to(f, "*");
    trace_cpus_vcpu_state(0, "running", "halted", "wfi");
    trace_cpus_kick(1, -1, "two words");
    trace_timers_timer_mod((void *)(uintptr_t)0xbeef, "", TRACE_TIMERS_CLOCK_VIRTUAL, INT64_MIN);
    trace_timers_timer_mod(NULL, NULL, 77, INT64_MAX);
    trace_timers_clock_stop();
    trace_hw_mmio_error(INT32_MIN, "uart@10000000", UINT64_MAX, 0, UINT32_MAX, true,
                        "a\"b\\c\nd\x01=");
    orr_trace_stop();
    trace_cpus_kick(2, 0, "after the end");
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), G_N_ELEMENTS(expected));
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        assert_string_equal(payload(lines[i], NULL), expected[i]);
    }
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_long_line(void **state)
{
    Fixture *f = *state;
    g_autofree char *plain = g_strnfill(5000, 'x');
    g_autofree char *quoted = g_strnfill(5000, '\n');
    g_auto(GStrv) lines = NULL;

    log_to(f, "hw:dma_reentry");
    trace_hw_dma_reentry(plain);
    trace_hw_dma_reentry(quoted);
    trace_hw_dma_reentry("short");
    orr_trace_stop();
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 3);
    for (size_t i = 0; i < 2; i++) {
        assert_true(strlen(lines[i]) < 2048);
        assert_true(g_str_has_suffix(lines[i], "..."));
        assert_true(g_str_has_prefix(payload(lines[i], NULL), "hw:dma_reentry device="));
    }
    assert_string_equal(payload(lines[2], NULL), "hw:dma_reentry device=short");
}

static void test_stderr(void **state)
{
    Fixture *f = *state;
    g_autofree char *text = NULL;
    int saved;

    option("cpus:*");
    start();
    saved = stderr_to(f->file);
    trace_cpus_halt(7);
    /* It is there before anything is flushed. */
    text = read_file(f->file);
    stderr_back(saved);
    g_strchomp(text);
    assert_string_equal(payload(text, NULL), "cpus:halt cpu=7");
}

static void test_restart_and_append(void **state)
{
    Fixture *f = *state;
    g_auto(GStrv) lines = NULL;

    for (uint32_t i = 0; i < 2; i++) { /* file= begins anew */
        log_to(f, "cpus:halt");
        trace_cpus_halt(i);
        orr_trace_stop();
        trace_cpus_halt(99);
    }
    option("cpus:halt");
    orr_trace_log_file(f->file); /* -D shares the file */
    start();
    trace_cpus_halt(2);
    orr_trace_stop();
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(payload(lines[0], NULL), "cpus:halt cpu=1");
    assert_string_equal(payload(lines[1], NULL), "cpus:halt cpu=2");
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
    Fixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pthread_t thread;

    log_to(f, "cpus:halt");
    assert_int_equal(pthread_create(&thread, NULL, named_thread, NULL), 0);
    pthread_join(thread, NULL);
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
    assert_string_equal(payload(lines[0], "first"), "cpus:halt cpu=1");
    assert_string_equal(payload(lines[1], "CPU 0/interp"), "cpus:halt cpu=2");
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
    g_auto(GStrv) lines = read_lines(path);
    uint64_t next[N_THREADS] = { 0 };

    for (size_t i = 0; lines[i]; i++) {
        const char *text = payload(lines[i], NULL);
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
    Fixture *f = *state;

    log_to(f, "cpus:wake");
    emit_from_threads();
    orr_trace_stop();
    check_emitters(f->file);
    assert_int_equal(orr_trace_lost(), 0);
}

static void test_threads_to_stderr(void **state)
{
    Fixture *f = *state;
    int saved;

    option("cpus:wake");
    start();
    saved = stderr_to(f->file);
    emit_from_threads();
    stderr_back(saved);
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
    Fixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid = fork();

    if (pid == 0) {
        GAsyncQueue *said = g_async_queue_new();
        pthread_t thread;

        log_to(f, "cpus:halt");
        trace_cpus_halt(0);
        pthread_create(&thread, NULL, emit_and_wait, said);
        g_async_queue_pop(said);
        exit(0);
    }
    assert_int_equal(child_status(pid), 0);
    lines = read_lines(f->file);
    assert_int_equal(g_strv_length(lines), 2);
}

/* What a forked child inherited is the parent's to write. */
static void test_fork(void **state)
{
    Fixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid;

    log_to(f, "cpus:halt");
    trace_cpus_halt(1);
    pid = fork();
    if (pid == 0) {
        orr_trace_stop();
        _exit(0);
    }
    assert_int_equal(child_status(pid), 0);
    trace_cpus_halt(2);
    orr_trace_stop();
    lines = read_lines(f->file);
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
    Fixture *f = *state;
    struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART }, old;
    g_auto(GStrv) lines = NULL;
    uint64_t sent = 0, n = 0;

    log_to(f, "cpus:*");
    ticks = 0;
    sigaction(SIGALRM, &sa, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 2000) {
        trace_cpus_wake(0, "loop", sent++);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    orr_trace_stop();
    lines = read_lines(f->file);
    for (size_t i = 0; lines[i]; i++) {
        g_autofree char *expected =
            g_strdup_printf("cpus:wake cpu=0 cause=loop slept_ns=%" G_GUINT64_FORMAT, n);
        const char *text = payload(lines[i], NULL);

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
    Fixture *f = *state;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int saved;

    option("cpus:wake,file=/dev/full");
    start();
    saved = stderr_to(f->file);
    for (uint64_t i = 0; i < 10000; i++) {
        trace_cpus_wake(0, "kick", i);
    }
    orr_trace_stop();
    stderr_back(saved);
    assert_int_equal(orr_trace_lost(), 10000);
    text = read_file(f->file);
    lines = g_strsplit(text, "\n", -1);
    assert_int_equal(g_strv_length(lines), 3);
    assert_non_null(strstr(lines[0], "trace: cannot write /dev/full: No space left on device; "
                                     "events are lost"));
    assert_non_null(strstr(lines[1], "trace: cannot write all events to /dev/full: 10000 in all"));
}

/* The limit cuts a write in two, as a disk that fills up does. */
static void test_no_torn_line(void **state)
{
    Fixture *f = *state;
    g_auto(GStrv) lines = NULL;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit limit = { 100000, 100000 };
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        log_to(f, "cpus:wake");
        for (uint64_t i = 0; i < 10000; i++) {
            trace_cpus_wake(0, "kick", i);
        }
        orr_trace_stop();
        lines = read_lines(f->file);
        _exit(g_strv_length(lines) + orr_trace_lost() == 10000 ? 0 : 3);
    }
    assert_int_equal(child_status(pid), 0);
    lines = read_lines(f->file);
    assert_true(g_strv_length(lines) > 1000);
    for (size_t i = 0; lines[i]; i++) {
        assert_true(
            g_str_has_prefix(payload(lines[i], NULL), "cpus:wake cpu=0 cause=kick slept_ns="));
    }
}

static void test_reader_gone(void **state)
{
    int fds[2];
    int saved;

    assert_int_equal(pipe(fds), 0);
    option("cpus:wake");
    start();
    saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[0]);
    trace_cpus_wake(0, "kick", 1);
    trace_cpus_wake(0, "kick", 2);
    orr_trace_stop();
    stderr_back(saved);
    close(fds[1]);
    assert_int_equal(orr_trace_lost(), 2);
}

/* ---- Two back ends ---- */

static void test_backend_choice(void **state)
{
    option("cpus:*,backend=log");
    option("backend=log");
    option("hw:*");
    start();
    assert_int_equal(mask_of("cpus:kick"), LOG);
    assert_int_equal(mask_of("hw:mmio_write"), LOG);
    orr_trace_stop();

    /* An argument's backend= is for its own globs, and with "-" for that back end alone. */
    option("cpus:*");
    option("-*,backend=ust");
    start();
    assert_int_equal(mask_of("cpus:kick"), LOG);
    assert_int_equal(mask_of("hw:mmio_write"), 0);
    orr_trace_stop();
}

static void test_disabled(void **state)
{
    refused("cpus:*", "tracing is not in this build; build with -Dtrace=enabled");
    start();
    trace_cpus_halt(1);
    assert_false(trace_cpus_halt_enabled());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_refused),
        TEST(test_masks),
        TEST(test_events_file),
        TEST(test_switch),
        TEST(test_start_refused),
        TEST(test_help),
        TEST(test_descriptors),
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
        TEST(test_backend_choice),
    };
    const struct CMUnitTest without[] = { TEST(test_disabled) };

    if (!orr_trace_subsystems[0]) {
        return cmocka_run_group_tests(without, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
