/* SPDX-License-Identifier: MIT */
/*
 * The embedded recorder without babeltrace2: rings, packets, losses, threads that come and go,
 * faults of the disk, flight recordings, and the conditions on events. What is written is read back
 * by ctf-reader.c. A test that needs the process to end, or to have less, forks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctf-fixture.h"
#include "trace/ctf-internal.h"
#include "trace/trace-cpus.h"
#include "trace/trace-hw.h"
#include "trace/trace-timers.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Options ---- */

static void test_refused(void **state)
{
    CtfFixture *f = *state;

    ctf_refused("cpus:*,ring=1K", "is not between 64K and 1G");
    ctf_refused("cpus:*,ring=2G", "is not between 64K and 1G");
    ctf_refused("cpus:*,ring=many", "is not a number");
    ctf_refused("cpus:*,size=1K", "is less than 1M");
    ctf_refused("cpus:*,flight=soon", "write it as 5s, 500ms or 2m");
    ctf_refused("cpus:*,flight=0", "write it as 5s, 500ms or 2m");
    ctf_refused("cpus:*,flight=5h", "write it as 5s, 500ms or 2m");
    ctf_refused("cpus:*,flight=99999999999999999999", "write it as 5s, 500ms or 2m");
    ctf_refused("cpus:*,context=vtime+time", "unknown trace context 'time'");
    ctf_refused("cpus:*,dir=", "'dir=' needs a path");
    ctf_refused("cpus:*,sample=cpus:*", "is not of the form GLOB:1/N");
    ctf_refused("cpus:*,sample=cpus:*:2/3", "is not of the form GLOB:1/N");
    ctf_refused("cpus:*,sample=cpus:*:1/0", "is not of the form GLOB:1/N");
    ctf_refused("cpus:*,sample=cpu:*:1/2", "the nearest is 'cpus:*'");
    ctf_refused("cpus:*,filter=cpus:*", "is not of the form GLOB:FIELD==VALUE");
    ctf_refused("cpus:*,filter=cpus:*:cpus==1", "has a field 'cpus'");
    ctf_refused("cpus:*,filter=cpus:*:cpu==one", "field 'cpu' of event cpus:vcpu_state");
    ctf_refused("cpus:*,filter=cpus:wake:cpu==-1", "cannot be compared with '-1'");
    ctf_refused("cpus:*,filter=cpus:wake:cause<a", "cannot be compared with 'a'");
    ctf_refused("cpus:*,filter=cpus:wak:cpu==1", "the nearest is 'cpus:wake'");
    ctf_refused("cpus:*,trigger=cpus:wak", "the nearest is 'cpus:wake'");

    ctf_option("cpus:*,dir=%s", f->trace);
    ctf_start_refused("are for backend=ctf");
    assert_false(g_file_test(f->trace, G_FILE_TEST_EXISTS));
    ctf_option("cpus:*,trigger=cpus:wake");
    ctf_start_refused("are for backend=ctf");
    ctf_option("cpus:*,flight=5s");
    ctf_start_refused("are for backend=ctf");
    ctf_option("cpus:*,backend=ctf,trigger=cpus:wake");
    ctf_start_refused("are for a flight recording; add flight=5s");
    ctf_option("cpus:*,backend=ctf,size=8M");
    ctf_start_refused("are for a flight recording; add flight=5s");
}

static void test_directory_refused(void **state)
{
    CtfFixture *f = *state;

    assert_true(g_file_set_contents(f->trace, "mine", -1, NULL));
    ctf_option("cpus:*,backend=ctf,dir=%s", f->dir);
    ctf_start_refused("is not empty; remove it, or name another by dir=");
    assert_int_equal(g_remove(f->trace), 0);

    /* An empty one is welcome. */
    assert_int_equal(g_mkdir(f->trace, 0700), 0);
    ctf_record(f, "cpus:*", "");
    trace_cpus_halt(1);
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 1);
}

/* Without a glob: events of level info and above. */
static void test_default_events(void **state)
{
    CtfFixture *f = *state;

    ctf_option("backend=ctf,dir=%s", f->trace);
    ctf_start();
    assert_true(trace_cpus_vcpu_state_enabled());
    assert_true(trace_timers_clock_stop_enabled());
    assert_false(trace_cpus_work_run_enabled());
    assert_false(trace_hw_mmio_read_enabled());
    trace_cpus_halt(3);
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 1);
}

static void test_default_directory(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *before = g_get_current_dir();
    g_autofree char *name = g_strdup_printf("%s/orrery-trace-%d", f->dir, (int)getpid());
    g_autofree char *second = g_strdup_printf("%s-2", name);
    g_autofree char *text = NULL;

    assert_int_equal(g_chdir(f->dir), 0);
    ctf_hush(f);
    for (uint32_t i = 0; i < 2; i++) {
        ctf_option("cpus:*,backend=ctf");
        ctf_start();
        trace_cpus_halt(i);
        orr_trace_stop();
    }
    text = ctf_said(f);
    assert_int_equal(g_chdir(before), 0);
    assert_int_equal(ctf_read_dir(name, 0, NULL, NULL).n_events, 1);
    assert_int_equal(ctf_read_dir(second, 0, NULL, NULL).n_events, 1);
    assert_int_equal(ctf_count_text(text, "trace: recorded in orrery-trace-"), 2);
}

/* ---- Values ---- */

static void check_value(const CtfSeen *seen, void *opaque)
{
    unsigned *n = opaque;

    switch ((*n)++) {
    case 0:
        assert_string_equal(seen->event->name, "mmio_error");
        assert_int_equal((int64_t)seen->values[0].number, INT32_MIN);
        assert_string_equal(seen->values[1].text, "uart");
        assert_true(seen->values[2].number == UINT64_MAX);
        assert_int_equal(seen->values[3].number, 0);
        assert_int_equal(seen->values[4].number, UINT32_MAX);
        assert_int_equal(seen->values[5].number, 1);
        assert_string_equal(seen->values[6].text, "");
        break;
    case 1:
        assert_string_equal(seen->event->name, "timer_mod");
        assert_int_equal(seen->values[0].number, 0xbeef);
        assert_string_equal(seen->values[1].text, "(null)");
        assert_int_equal((int64_t)seen->values[2].number, -77);
        assert_true(seen->values[3].number == (uint64_t)INT64_MIN);
        break;
    case 2:
        assert_string_equal(seen->event->name, "clock_stop");
        break;
    case 3: /* cut to what a packet has room for */
        assert_int_equal(strlen(seen->values[0].text), 255);
        assert_true(g_str_has_suffix(seen->values[0].text, "x..."));
        break;
    case 4: /* the longest that is whole */
        assert_int_equal(strlen(seen->values[0].text), 255);
        assert_true(g_str_has_suffix(seen->values[0].text, "xxxx"));
        break;
    default:
        /* The lengths around which strings are copied in other ways. */
        assert_int_equal(strlen(seen->values[0].text), *n - 6);
        assert_int_equal(strspn(seen->values[0].text, "x"), *n - 6);
        assert_int_equal(seen->tid, (uint32_t)getpid());
    }
}

static void test_values(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = g_strnfill(300, 'x');
    unsigned n = 0;

    ctf_record(f, "*", "");
    trace_hw_mmio_error(INT32_MIN, "uart", UINT64_MAX, 0, UINT32_MAX, true, "");
    trace_timers_timer_mod((void *)(uintptr_t)0xbeef, NULL, -77, INT64_MIN);
    trace_timers_clock_stop();
    trace_hw_dma_reentry(text);
    text[255] = '\0';
    trace_hw_dma_reentry(text);
    for (unsigned i = 0; i <= 20; i++) {
        g_autofree char *some = g_strnfill(i, 'x');

        trace_hw_dma_reentry(some);
    }
    orr_trace_stop();
    ctf_read_dir(f->trace, 0, check_value, &n);
    assert_int_equal(n, 26);
    assert_int_equal(orr_trace_lost(), 0);
}

static void check_length(const CtfSeen *seen, void *opaque)
{
    unsigned *n = opaque;

    assert_int_equal(strlen(seen->values[0].text), *n);
    assert_int_equal(strspn(seen->values[0].text, "y"), *n);
    ++*n;
}

/* Strings are copied a word at a time, and end where nothing may be read any more. */
static void test_strings_at_the_end_of_memory(void **state)
{
    CtfFixture *f = *state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned n = 0;

    assert_true(two != MAP_FAILED);
    assert_int_equal(mprotect(two + page, page, PROT_NONE), 0);
    memset(two, 'y', page - 1);
    ctf_record(f, "hw:dma_reentry", "");
    for (unsigned i = 0; i < 60; i++) {
        trace_hw_dma_reentry(two + page - 1 - i);
    }
    orr_trace_stop();
    ctf_read_dir(f->trace, 0, check_length, &n);
    assert_int_equal(n, 60);
    munmap(two, 2 * page);
}

/* All that ctf-stream.c makes of time, with time of the test's making. */
static void test_clock(void **state)
{
    CtfClock clock;
    uint64_t last = 0;

    orr_trace_ctf_clock_init(&clock, (HostTickMark){ 1000, 500 });
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 0), 500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 5000), 500);
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 3000, 1500 }); /* half a ns a tick */
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 3000, 1600 }); /* no tick: left out */
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 3001, 1500 }); /* no time: left out */
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 4000, 3500 }); /* two ns a tick */
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 1000), 500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 0), 500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 2000), 1000);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 3000), 1500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 3500), 2500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 4000), 3500);
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 9999), 3500);
    for (unsigned i = 0; i < 3 * CTF_MARKS; i++) {
        orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 5000 + i * 3000, 4000 + i * 997 });
    }
    for (uint64_t ticks = 0; ticks < 400000; ticks += 7) {
        uint64_t ns = orr_trace_ctf_clock_ns(&clock, ticks);

        assert_true(ns >= last);
        last = ns;
    }
    assert_int_equal(last, 4000 + (3 * CTF_MARKS - 1) * 997);
    /* Before the oldest mark that is kept: as fast as after it. */
    assert_in_range(orr_trace_ctf_clock_ns(&clock, 5000 + 2 * CTF_MARKS * 3000 - 3000),
                    4000 + 2 * CTF_MARKS * 997 - 998, 4000 + 2 * CTF_MARKS * 997 - 996);
    /* The host slept and its counter began anew: time goes on. */
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 10, 2000000 });
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 400000), 2000000);
    orr_trace_ctf_clock_mark(&clock, (HostTickMark){ 1010, 2001000 });
    assert_int_equal(orr_trace_ctf_clock_ns(&clock, 510), 2000500);
}

static void put_halt(CtfRing *ring, uint64_t ticks)
{
    CtfRecord *record = (CtfRecord *)(ring->bytes + ring->head);
    uint32_t cpu = 7;

    /* cpus:halt is the list's fourth. */
    *record = (CtfRecord){ .event = 0x0103, .words = 3, .ticks = ticks };
    memcpy(record + 1, &cpu, sizeof(cpu));
    ring->head += sizeof(*record) + 8;
}

static void collect_ns(const CtfSeen *event, void *opaque)
{
    g_array_append_val((GArray *)opaque, event->ns);
}

/* Gaps at and around the 32 bits that an event's header has, and over several of them. */
static void test_gaps(void **state)
{
    static const uint64_t gaps[] = { 0,
                                     1,
                                     UINT32_MAX,
                                     UINT64_C(1) << 32,
                                     5,
                                     0x7fffffff,
                                     (UINT64_C(1) << 32) + 1,
                                     UINT64_C(1) << 40,
                                     UINT32_MAX,
                                     0 };
    g_autofree char *bytes = g_malloc0(CTF_RING_BYTES_MIN);
    CtfRing ring = { .bytes = bytes, .size = CTF_RING_BYTES_MIN };
    CtfSession session = { .streams = g_ptr_array_new() };
    uint64_t at = UINT64_C(0x1fffffff0);
    GArray *times = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    CtfSums sums = { 0 };
    CtfStream *stream;
    CtfPacket *packet;

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        session.subsystems[orr_trace_subsystems[i]->events[0].id >> 8] = orr_trace_subsystems[i];
    }
    orr_trace_ctf_clock_init(&session.clock, (HostTickMark){ 1, 1 });
    orr_trace_ctf_clock_mark(&session.clock,
                             (HostTickMark){ UINT64_C(1) << 48, UINT64_C(1) << 48 });
    stream = orr_trace_ctf_stream_create(&session, &ring);
    stream->last_ns = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(gaps); i++) {
        put_halt(&ring, at += gaps[i]);
    }
    ring.drain_to = ring.head;
    orr_trace_ctf_stream_drain(&session, stream, &ring);
    assert_int_equal(ring.tail, ring.head);
    assert_int_equal(stream->packets.length, 1);
    packet = g_queue_peek_head(&stream->packets);
    packet->head.packet_seq_num = 0;
    orr_trace_ctf_packet_seal(&session, stream, packet);
    ctf_read_stream(packet->bytes, CTF_PACKET_BYTES, 0, collect_ns, times, &sums);
    assert_int_equal(times->len, G_N_ELEMENTS(gaps));
    assert_int_equal(sums.n_extended, 3);
    at = UINT64_C(0x1fffffff0);
    for (size_t i = 0; i < G_N_ELEMENTS(gaps); i++) {
        assert_int_equal(g_array_index(times, uint64_t, i), at += gaps[i]);
    }
    g_array_unref(times);
    orr_trace_ctf_stream_destroy(stream);
    g_ptr_array_unref(session.streams);
}

/* ---- Threads ---- */

#define N_THREADS 4
#define N_EVENTS 200000

static void *emitter(void *opaque)
{
    uint32_t id = GPOINTER_TO_UINT(opaque);

    for (uint64_t i = 0; i < N_EVENTS; i++) {
        trace_cpus_wake(id, i % 3 ? "kick" : "a longer cause", i);
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

/* Each thread's events, those that are there, in order and whole. */
static void check_emitter(const CtfSeen *event, void *opaque)
{
    uint64_t *next = opaque;
    uint32_t id = (uint32_t)event->values[0].number;
    uint64_t i = event->values[2].number;

    assert_string_equal(event->event->name, "wake");
    assert_true(id < N_THREADS && i >= next[id] && i < N_EVENTS);
    assert_string_equal(event->values[1].text, i % 3 ? "kick" : "a longer cause");
    next[id] = i + 1;
}

static void check_account(const CtfFixture *f, const char *ring)
{
    uint64_t next[N_THREADS] = { 0 };
    g_autofree char *text = NULL;
    CtfSums sums;

    ctf_hush(f);
    ctf_record(f, "cpus:wake", ring);
    emit_from_threads();
    orr_trace_stop();
    text = ctf_said(f);
    sums = ctf_read_dir(f->trace, 0, check_emitter, next);
    assert_int_equal(sums.n_streams, N_THREADS);
    assert_int_equal(sums.n_events + sums.n_discarded, N_THREADS * N_EVENTS);
    assert_int_equal(sums.n_discarded, orr_trace_lost());
    assert_int_equal(ctf_count_text(text, "events come faster"), orr_trace_lost() ? 1 : 0);
    assert_int_equal(ctf_count_text(text, "events are missing in"), orr_trace_lost() ? 1 : 0);
}

/* Rings too small for such a rate: what is lost is counted to the event. */
static void test_threads_small_rings(void **state)
{
    check_account(*state, ",ring=64K");
}

static void test_threads(void **state)
{
    check_account(*state, ",ring=16M");
}

static void *named_thread(void *opaque)
{
    pthread_setname_np(pthread_self(), "first");
    trace_cpus_halt(1);
    pthread_setname_np(pthread_self(), "CPU 0/interp");
    orr_trace_thread_renamed();
    trace_cpus_halt(2);
    return NULL;
}

static void check_names(const CtfSeen *event, void *opaque)
{
    unsigned *n = opaque;

    assert_string_equal(event->thread, (*n)++ ? "CPU 0/interp" : "first");
    assert_int_equal(event->values[0].number, *n);
}

static unsigned count_rings(void)
{
    unsigned n = 0;

    for (const CtfRing *ring = orr_load_acquire(&orr_trace_ctf.rings); ring; ring = ring->next) {
        n++;
    }
    return n;
}

/* A thread that has ended leaves nothing behind in its ring, and its names in the packets. */
static void test_thread_end(void **state)
{
    CtfFixture *f = *state;
    pthread_t thread;
    unsigned n = 0, n_rings;

    ctf_record(f, "cpus:halt", "");
    n_rings = count_rings();
    assert_int_equal(pthread_create(&thread, NULL, named_thread, NULL), 0);
    pthread_join(thread, NULL);
    orr_trace_ctf_sync();
    ctf_read_dir(f->trace, 0, check_names, &n);
    assert_int_equal(n, 2);
    assert_int_equal(count_rings(), n_rings);
}

static void *one_event(void *opaque)
{
    trace_cpus_halt(GPOINTER_TO_UINT(opaque));
    return NULL;
}

static void test_many_short_threads(void **state)
{
    CtfFixture *f = *state;
    CtfSums sums;

    ctf_record(f, "cpus:halt", "");
    for (uint32_t i = 0; i < 200; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, one_event, GUINT_TO_POINTER(i)), 0);
        pthread_join(thread, NULL);
    }
    orr_trace_stop();
    sums = ctf_read_all(f);
    assert_int_equal(sums.n_streams, 200);
    assert_int_equal(sums.n_events, 200);
}

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
    trace_cpus_halt((uint32_t)++ticks);
}

/* A handler that traces amid an emission loses its event, counted, and harms nothing. */
static void test_signal_handler(void **state)
{
    CtfFixture *f = *state;
    struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART }, old;
    uint64_t sent = 0;
    CtfSums sums;

    ctf_hush(f);
    ctf_record(f, "cpus:*", ",ring=16M");
    ticks = 0;
    sigaction(SIGALRM, &sa, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 2000) {
        trace_cpus_wake(0, "loop", sent++);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    orr_trace_stop();
    g_free(ctf_said(f));
    sums = ctf_read_all(f);
    assert_int_equal(sums.n_events + sums.n_discarded, sent + (uint64_t)ticks);
    assert_int_equal(sums.n_discarded, orr_trace_lost());
}

/* ---- Sessions and processes ---- */

static void test_restart(void **state)
{
    CtfFixture *f = *state;

    for (uint32_t i = 0; i < 3; i++) {
        trace_cpus_halt(99);
        ctf_record(f, "cpus:halt", "");
        for (uint32_t j = 0; j <= i; j++) {
            trace_cpus_halt(j);
        }
        orr_trace_stop();
        assert_int_equal(ctf_read_all(f).n_events, i + 1);
        ctf_remove_all(f->trace);
    }
}

static void test_switch(void **state)
{
    CtfFixture *f = *state;

    ctf_record(f, "cpus:halt", "");
    assert_true(orr_trace_switch("cpus:wake", true, NULL));
    trace_cpus_wake(1, "on", 1);
    assert_true(orr_trace_switch("cpus:halt", false, NULL));
    trace_cpus_halt(1);
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 1);
}

/* A child has no writer: what it emits is lost, what it stops is not the parent's. */
static void test_fork(void **state)
{
    CtfFixture *f = *state;
    pid_t pid;

    ctf_record(f, "cpus:halt", "");
    trace_cpus_halt(1);
    pid = fork();
    if (pid == 0) {
        trace_cpus_halt(2);
        orr_trace_stop();
#ifndef __SANITIZE_THREAD__ /* which allows no thread after such a fork */
        /* It may have a trace of its own. */
        ctf_option("cpus:halt,backend=ctf,dir=%s/child", f->dir);
        ctf_start();
        trace_cpus_halt(3);
        orr_trace_stop();
#endif
        _exit(0);
    }
    assert_int_equal(ctf_child_status(pid), 0);
    trace_cpus_halt(4);
    orr_trace_stop();
    assert_int_equal(ctf_read_all(f).n_events, 2);
#ifndef __SANITIZE_THREAD__
    g_free(f->trace);
    f->trace = g_build_filename(f->dir, "child", NULL);
    assert_int_equal(ctf_read_all(f).n_events, 1);
#endif
}

static void *emit_and_wait(void *opaque)
{
    trace_cpus_halt(1);
    g_async_queue_push(opaque, GINT_TO_POINTER(1));
    for (;;) {
        pause();
    }
    return NULL;
}

static void test_exit(void **state)
{
    CtfFixture *f = *state;
    pid_t pid = fork();

    if (pid == 0) {
        GAsyncQueue *queue = g_async_queue_new();
        pthread_t thread;

        ctf_record(f, "cpus:halt", "");
        trace_cpus_halt(0);
        pthread_create(&thread, NULL, emit_and_wait, queue);
        g_async_queue_pop(queue);
        exit(0);
    }
    assert_int_equal(ctf_child_status(pid), 0);
    assert_int_equal(ctf_read_all(f).n_events, 2);
}

/* ---- Write errors ---- */

/* The limit ends files amid a packet, as a disk does that fills up. */
static void test_disk_full(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    uint64_t next[N_THREADS] = { 0 };
    CtfSums sums;
    pid_t pid;

    ctf_hush(f);
    pid = fork();
    if (pid == 0) {
        struct rlimit limit = { 300001, 300001 };

        setrlimit(RLIMIT_FSIZE, &limit); /* and no handler for SIGXFSZ */
        ctf_record(f, "cpus:wake", ",ring=16M");
        emit_from_threads();
        orr_trace_stop();
        sums = ctf_read_dir(f->trace, 0, NULL, NULL);
        _exit(orr_trace_lost() > 0 && sums.n_events + orr_trace_lost() == N_THREADS * N_EVENTS ? 0
                                                                                               : 3);
    }
    assert_int_equal(ctf_child_status(pid), 0);
    text = ctf_said(f);
    sums = ctf_read_dir(f->trace, 0, check_emitter, next);
    assert_true(sums.n_packets > 100 && sums.n_events > 10000);
    assert_int_equal(ctf_count_text(text, ": File too large; events are lost"), 1);
    assert_int_equal(ctf_count_text(text, "events are missing in"), 1);
}

/* The disk has room again: the packets that follow say how many are missing before them. */
static void test_disk_full_for_a_while(void **state)
{
    CtfFixture *f = *state;
    struct rlimit before, limit;
    pid_t pid = fork();

    if (pid == 0) {
        uint64_t n = 0;
        CtfSums sums;

        ctf_hush(f);
        getrlimit(RLIMIT_FSIZE, &before);
        ctf_record(f, "cpus:wake", ",ring=16M");
        for (unsigned i = 0; i < 3; i++) {
            limit = before;
            if (i == 1) {
                limit.rlim_cur = 20000;
            }
            setrlimit(RLIMIT_FSIZE, &limit);
            for (unsigned j = 0; j < 2000; j++) {
                trace_cpus_wake(0, "kick", n++);
            }
            orr_trace_ctf_sync();
        }
        orr_trace_stop();
        sums = ctf_read_dir(f->trace, 0, NULL, NULL);
        _exit(sums.n_discarded > 1000 && sums.n_discarded == orr_trace_lost() &&
                      sums.n_events + sums.n_discarded == n
                  ? 0
                  : 3);
    }
    assert_int_equal(ctf_child_status(pid), 0);
}

/* Where there is no directory to be had the program runs on; it is said once, and counted. */
static void test_directory_unwritable(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *nowhere = g_build_filename(f->dir, "no", "such", NULL);
    g_autofree char *file = g_build_filename(f->dir, "file", NULL);
    /* For root, too, nothing can be made in /proc. */
    const char *const paths[] = { nowhere, "/proc/trace", file };
    const char *const messages[] = { "cannot create the trace directory",
                                     "cannot create the trace directory '/proc/trace'",
                                     "cannot open the trace directory" };

    assert_true(g_file_set_contents(file, "mine", -1, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = NULL;

        ctf_hush(f);
        ctf_option("cpus:*,backend=ctf,dir=%s", paths[i]);
        ctf_start();
        for (uint32_t j = 0; j < 10000; j++) {
            trace_cpus_halt(j);
        }
        orr_trace_stop();
        text = ctf_said(f);
        assert_int_equal(orr_trace_lost(), 10000);
        assert_int_equal(ctf_count_text(text, "\n"), 2);
        assert_int_equal(ctf_count_text(text, messages[i]), 1);
        assert_int_equal(ctf_count_text(text, "; events are lost\n"), 1);
        assert_int_equal(ctf_count_text(text, "10000 events are missing in"), 1);
    }
}

/* No descriptor to be had for a thread's file: it has one when there is, and the rest is counted. */
static void test_no_descriptor_for_a_while(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;
    uint64_t n = 0;
    CtfSums sums;
    pid_t pid;

    ctf_hush(f);
    pid = fork();
    if (pid == 0) {
        struct rlimit before, limit;
        int lowest;

        ctf_record(f, "cpus:wake", "");
        orr_trace_ctf_sync();
        getrlimit(RLIMIT_NOFILE, &before);
        lowest = dup(STDIN_FILENO);
        close(lowest);
        limit = before;
        limit.rlim_cur = (rlim_t)lowest;
        for (unsigned i = 0; i < 3; i++) {
            setrlimit(RLIMIT_NOFILE, i < 2 ? &limit : &before);
            for (unsigned j = 0; j < 1000; j++) {
                trace_cpus_wake(0, "kick", n++);
            }
            orr_trace_ctf_sync();
        }
        orr_trace_stop();
        sums = ctf_read_dir(f->trace, 0, NULL, NULL);
        _exit(sums.n_events == 1000 && sums.n_discarded == 2000 && orr_trace_lost() == 2000 ? 0
                                                                                            : 3);
    }
    assert_int_equal(ctf_child_status(pid), 0);
    text = ctf_said(f);
    assert_int_equal(ctf_count_text(text, "Too many open files; events are lost"), 1);
    assert_int_equal(ctf_count_text(text, "2000 events are missing in"), 1);
}

static void test_directory_gone(void **state)
{
    CtfFixture *f = *state;
    g_autofree char *text = NULL;

    ctf_hush(f);
    ctf_record(f, "cpus:halt", "");
    ctf_remove_all(f->trace);
    trace_cpus_halt(1);
    orr_trace_ctf_sync();
    trace_cpus_halt(2);
    orr_trace_stop();
    text = ctf_said(f);
    assert_int_equal(orr_trace_lost(), 2);
    assert_int_equal(ctf_count_text(text, "No such file or directory; events are lost"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ctf_set_up, ctf_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_refused),
        TEST(test_directory_refused),
        TEST(test_default_events),
        TEST(test_default_directory),
        TEST(test_values),
        TEST(test_strings_at_the_end_of_memory),
        TEST(test_clock),
        TEST(test_gaps),
        TEST(test_threads_small_rings),
        TEST(test_threads),
        TEST(test_thread_end),
        TEST(test_many_short_threads),
        TEST(test_signal_handler),
        TEST(test_restart),
        TEST(test_switch),
        TEST(test_fork),
        TEST(test_exit),
        TEST(test_disk_full),
        TEST(test_disk_full_for_a_while),
        TEST(test_directory_unwritable),
        TEST(test_no_descriptor_for_a_while),
        TEST(test_directory_gone),
    };

    if (!orr_trace_subsystems[0]) {
        return 0; /* -Dtrace=disabled */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
