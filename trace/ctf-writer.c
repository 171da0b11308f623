/* SPDX-License-Identifier: MIT */
/*
 * The recorder's writer thread, and the back end that starts and ends it. In each pass it notes how
 * far every ring has come, reads both clocks, converts what it noted, and ten times a second writes
 * out what it has, packets that are not full included. A ring that fills a chunk wakes it before.
 *
 * The idea to hold: the clocks are read after the rings' heads, so all that a pass converts was
 * emitted before its mark. And only this thread waits for the disk: when that is slow, rings run
 * full and events are counted as lost, and the guest goes on.
 */
#include "orrery/impl/error.h"
#include "trace/ctf-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLUSH_NS (100 * 1000 * 1000)
#define RING_BYTES_DEFAULT (UINT64_C(2) << 20)
#define FLIGHT_BYTES_DEFAULT (UINT64_C(64) << 20)
#define WAITING_PACKETS 16 /* of a stream, before they are written ahead of the flush */
#define TRIGGER_DUMPS_MAX 16

/* The running session. Main thread, but for what says otherwise. */
static struct {
    CtfSession *session;
    pthread_t thread;
    pid_t pid; /* whose thread that is: a forked child has none */
    bool initialised;
    bool own_signal;
    uint32_t stop;                    /* atomic */
    uint64_t lost;                    /* atomic: as of the last pass */
    uint32_t flush_asked, flush_done; /* atomic: counts; the latter a futex */
} recorder;

/* ---- One pass ---- */

/* Names that threads were given without a word to us. */
static void refresh_name(CtfStream *stream)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/comm", (int)stream->tid);
    char name[CTF_NAME_BYTES + 1] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof(name) - 1) : 0;

    if (fd >= 0) {
        close(fd);
    }
    if (n > 1 && name[n - 1] == '\n') {
        memset(name + n - 1, 0, sizeof(name) - (size_t)(n - 1));
        orr_trace_ctf_stream_rename(stream, name);
    }
}

static void see_rings(CtfSession *session)
{
    for (CtfRing *ring = orr_load_acquire(&orr_trace_ctf.rings); ring; ring = ring->next) {
        bool ended = orr_load_acquire(&ring->ended);

        /* The losses first: they came no later than what is below the head. */
        ring->drain_lost = orr_load_acquire(&ring->discarded);
        ring->drain_nested = orr_load_relaxed(&ring->nested);
        ring->drain_lost += ring->drain_nested;
        ring->drain_to = orr_load_acquire(&ring->head);
        if (!ring->stream &&
            (ring->drain_to != ring->tail || ring->drain_lost != ring->lost_before)) {
            ring->stream = orr_trace_ctf_stream_create(session, ring);
            refresh_name(ring->stream);
        }
        if (ring->stream) {
            ring->stream->ended = ended;
        }
    }
}

static void report_rings(CtfSession *session, const CtfStream *stream)
{
    if (stream->ring_lost_all && !session->told_rings) {
        session->told_rings = true;
        orr_trace_say("warning: events come faster than they can be written to %s; some are "
                      "lost (ring= gives threads more room)",
                      session->path);
    }
}

/* The last of a stream whose thread has ended, or whose session ends. */
static void finish_stream(CtfSession *session, CtfStream *stream)
{
    if (stream->ring_lost != stream->ring_lost_all) {
        /* Behind all events, and not in the packet that has the last of them. */
        if (stream->packets.length) {
            orr_trace_ctf_stream_empty_packet(stream);
        }
        stream->ring_lost = stream->ring_lost_all;
    }
    orr_trace_ctf_files_write(session, stream, true, true);
    if (!session->flight) {
        session->ring_lost_gone += stream->ring_lost;
        session->disk_lost_gone += stream->disk_lost;
        g_ptr_array_remove_fast(session->streams, stream);
    }
}

static void drain_rings(CtfSession *session)
{
    CtfRing *next;

    for (CtfRing *ring = orr_load_acquire(&orr_trace_ctf.rings); ring; ring = next) {
        CtfStream *stream = ring->stream;

        next = ring->next;
        if (!stream) {
            /* Registered since see_rings, or without an event in this session. */
            if (orr_load_acquire(&ring->ended) && orr_load_acquire(&ring->head) == ring->tail) {
                orr_trace_ctf_ring_free(ring);
            }
            continue;
        }
        orr_trace_ctf_stream_drain(session, stream, ring);
        report_rings(session, stream);
        if (stream->ended) {
            finish_stream(session, stream);
            orr_trace_ctf_ring_free(ring);
        } else if (stream->packets.length > WAITING_PACKETS) {
            orr_trace_ctf_files_write(session, stream, false, false);
        }
    }
}

static void flush(CtfSession *session)
{
    for (guint i = 0; i < session->streams->len; i++) {
        CtfStream *stream = session->streams->pdata[i];

        if (stream->active && !stream->ended) {
            refresh_name(stream);
        }
        stream->active = false;
        orr_trace_ctf_files_write(session, stream, true, false);
    }
}

static uint64_t drain(CtfSession *session)
{
    HostTickMark mark;

    see_rings(session);
    mark = orr_trace_ctf_mark();
    orr_trace_ctf_clock_mark(&session->clock, mark);
    drain_rings(session);
    orr_store_relaxed(&recorder.lost, orr_trace_ctf_session_lost(session) +
                                          orr_load_relaxed(&orr_trace_ctf.no_ring));
    return (uint64_t)mark.ns;
}

/* ---- Dumps ---- */

static void between_writes(CtfSession *session)
{
    orr_trace_ctf_files_expire(session, drain(session));
}

static char *name_of_event(const CtfSession *session, uint16_t id)
{
    const TraceSubsystem *sub = session->subsystems[id >> 8];

    return sub ? g_strdup_printf("%s:%s", sub->name, sub->events[id & 0xff].name)
               : g_strdup("trigger");
}

/*
 * Triggers wait until the dump before them is a whole recording old, so that a guest which pulls
 * them all the time cannot fill the disk at once; and there is a last one.
 */
static bool trigger_is_due(CtfSession *session, uint64_t now_ns, bool final)
{
    if (session->n_trigger_dumps >= TRIGGER_DUMPS_MAX) {
        session->pending &= ~CTF_CAUSE_TRIGGER;
        return false;
    }
    return final || !session->n_trigger_dumps ||
           now_ns - session->dumped_trigger_ns >= session->options.flight_ns;
}

static void dump_if_due(CtfSession *session, uint64_t now_ns, bool final)
{
    uint32_t due = session->pending & ~CTF_CAUSE_TRIGGER;
    g_autofree char *event = NULL;
    const char *why = "asked for";

    if (session->pending & CTF_CAUSE_TRIGGER && trigger_is_due(session, now_ns, final)) {
        due |= CTF_CAUSE_TRIGGER;
    }
    if (!due) {
        return;
    }
    session->pending = session->pending & ~due;
    if (due & (CTF_CAUSE_TRIGGER | CTF_CAUSE_PANIC)) {
        event = name_of_event(session, orr_load_relaxed(&orr_trace_ctf.trigger));
        why = event;
    } else if (due & CTF_CAUSE_SIGNAL) {
        why = "SIGUSR2";
    }
    if (due & CTF_CAUSE_TRIGGER) {
        session->n_trigger_dumps++;
        session->dumped_trigger_ns = now_ns;
    }
    orr_trace_ctf_files_dump(session, why, between_writes);
    if (due & CTF_CAUSE_TRIGGER && session->n_trigger_dumps == TRIGGER_DUMPS_MAX) {
        orr_trace_say("that was dump %u by a trigger; no trigger dumps any more",
                      session->n_trigger_dumps);
    }
}

/* ---- The thread ---- */

static void pass(CtfSession *session, bool final)
{
    uint32_t asked = orr_load_acquire(&recorder.flush_asked);
    uint64_t now_ns;

    session->pending |= orr_exchange(&orr_trace_ctf.causes, 0);
    now_ns = drain(session);
    if (session->flight) {
        orr_trace_ctf_files_expire(session, now_ns);
        dump_if_due(session, now_ns, final);
    }
    if (final || asked != orr_load_relaxed(&recorder.flush_done) ||
        now_ns - session->flushed_ns >= FLUSH_NS) {
        flush(session);
        session->flushed_ns = now_ns;
    }
    if (asked != orr_load_relaxed(&recorder.flush_done)) {
        orr_store_release(&recorder.flush_done, asked);
        syscall(SYS_futex, &recorder.flush_done, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

static void wait_until_due(const CtfSession *session)
{
    int64_t due_ns = (int64_t)session->flushed_ns + FLUSH_NS - host_monotonic_ns();
    struct timespec timeout = { 0, CLAMP(due_ns, 1000 * 1000, FLUSH_NS) };

    syscall(SYS_futex, &orr_trace_ctf.wake, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
}

/* Here and not where the session is closed: a file's limit must not kill the program. */
static void finish_all(CtfSession *session)
{
    for (guint i = session->streams->len; i > 0; i--) {
        finish_stream(session, session->streams->pdata[i - 1]);
    }
    for (CtfRing *ring = orr_load_acquire(&orr_trace_ctf.rings); ring; ring = ring->next) {
        ring->stream = NULL;
    }
    orr_store_relaxed(&recorder.lost, orr_trace_ctf_session_lost(session) +
                                          orr_load_relaxed(&orr_trace_ctf.no_ring));
}

static void *write_traces(void *opaque)
{
    CtfSession *session = opaque;
    bool stop;

    prctl(PR_SET_NAME, "trace-ctf");
    do {
        if (!orr_load_acquire(&orr_trace_ctf.wake)) {
            wait_until_due(session);
        }
        orr_store_seq_cst(&orr_trace_ctf.wake, 0);
        stop = orr_load_acquire(&recorder.stop);
        pass(session, stop);
    } while (!stop);
    finish_all(session);
    return NULL;
}

/* ---- Sessions ---- */

static void session_free(CtfSession *session)
{
    orr_trace_ctf_files_close(session);
    g_ptr_array_unref(session->streams);
    orr_trace_ctf_options_clear(&session->options);
    g_free(session->metadata);
    g_free(session->path);
    g_free(session);
}

/* What the wall clock is ahead of the monotonic one: the reading that took the least time. */
static int64_t realtime_offset_ns(void)
{
    int64_t best = 0, best_width = INT64_MAX;

    for (unsigned i = 0; i < 8; i++) {
        int64_t before = host_monotonic_ns();
        int64_t real = host_realtime_ns();
        int64_t width = host_monotonic_ns() - before;

        if (width < best_width) {
            best_width = width;
            best = real - (before + width / 2);
        }
    }
    return best;
}

static char *default_path(void)
{
    g_autofree char *path = g_strdup_printf("orrery-trace-%d", (int)getpid());

    for (unsigned i = 2; access(path, F_OK) == 0 && i < 1000; i++) {
        g_free(path);
        path = g_strdup_printf("orrery-trace-%d-%u", (int)getpid(), i);
    }
    return g_steal_pointer(&path);
}

static CtfSession *session_create(const TraceCtfOptions *options)
{
    CtfSession *session = g_new0(CtfSession, 1);

    orr_trace_ctf_options_copy(&session->options, options);
    if (!session->options.flight_bytes) {
        session->options.flight_bytes = FLIGHT_BYTES_DEFAULT;
    }
    session->path = options->dir ? g_strdup(options->dir) : default_path();
    session->dir_fd = -1;
    session->flight = options->flight_ns != 0;
    session->contexts = options->contexts;
    session->next_dump = 1;
    session->streams = g_ptr_array_new_with_free_func((GDestroyNotify)orr_trace_ctf_stream_destroy);
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        session->subsystems[orr_trace_subsystems[i]->events[0].id >> 8] = orr_trace_subsystems[i];
    }
    if (getrandom(session->uuid, sizeof(session->uuid), GRND_NONBLOCK) !=
        (ssize_t)sizeof(session->uuid)) {
        uint64_t parts[2] = { host_ticks(), (uint64_t)host_realtime_ns() ^ (uint64_t)getpid() };

        memcpy(session->uuid, parts, sizeof(parts));
    }
    session->uuid[6] = (uint8_t)((session->uuid[6] & 0x0f) | 0x40); /* RFC 4122, random */
    session->uuid[8] = (uint8_t)((session->uuid[8] & 0x3f) | 0x80);
    session->metadata = orr_trace_ctf_metadata(session, realtime_offset_ns());
    return session;
}

/* Nobody reads the rings now: what they still hold belongs to a session that is over. */
static void begin_rings(void)
{
    CtfRing *next;

    for (CtfRing *ring = orr_load_acquire(&orr_trace_ctf.rings); ring; ring = next) {
        next = ring->next;
        ring->stream = NULL;
        ring->told = orr_load_acquire(&ring->discarded);
        ring->lost_before = ring->told + orr_load_relaxed(&ring->nested);
        orr_store_release(&ring->tail, orr_load_acquire(&ring->head));
        if (orr_load_acquire(&ring->ended)) {
            orr_trace_ctf_ring_free(ring);
        }
    }
}

static bool start_thread(CtfSession *session, GError **error)
{
    sigset_t all, before;
    int failed;

    /* It takes no signal, those of a file's limit included: its writes fail instead. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&recorder.thread, NULL, write_traces, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed || orr_fail(error, ORR_ERROR_IO, "cannot start the recorder's thread: %s",
                               g_strerror(failed));
}

static void on_signal(int signo)
{
    orr_fetch_or(&orr_trace_ctf.causes, CTF_CAUSE_SIGNAL);
    orr_trace_ctf_wake();
}

static void take_signal(void)
{
    struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, now;

    if (sigaction(SIGUSR2, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        recorder.own_signal = sigaction(SIGUSR2, &sa, NULL) == 0;
    }
}

static void give_signal_back(void)
{
    if (recorder.own_signal) {
        signal(SIGUSR2, SIG_DFL);
        recorder.own_signal = false;
    }
}

static bool running_here(void)
{
    return recorder.session && recorder.pid == getpid();
}

static bool ctf_open(const TraceSetup *setup, GError **error)
{
    CtfSession *session;

    if (running_here()) {
        return true;
    }
    if (!recorder.initialised) {
        orr_trace_ctf_rings_init();
        recorder.initialised = true;
    }
    session = session_create(setup->ctf);
    if (!orr_trace_ctf_files_open(session, error)) {
        session_free(session);
        return false;
    }
    orr_trace_ctf_clock_init(&session->clock, orr_trace_ctf_mark());
    session->flushed_ns = (uint64_t)session->clock.marks[0].ns;
    begin_rings();
    orr_trace_ctf.ring_bytes =
        session->options.ring_bytes ? session->options.ring_bytes : RING_BYTES_DEFAULT;
    orr_store_relaxed(&orr_trace_ctf.causes, 0);
    orr_store_relaxed(&orr_trace_ctf.no_ring, 0);
    orr_store_relaxed(&orr_trace_ctf.contexts, session->contexts);
    orr_store_relaxed(&recorder.lost, 0);
    orr_store_relaxed(&recorder.stop, 0);
    if (!start_thread(session, error)) {
        session_free(session);
        return false;
    }
    recorder.session = session;
    recorder.pid = getpid();
    if (session->flight) {
        take_signal();
    }
    orr_store_release(&orr_trace_ctf.open, true);
    return true;
}

static void report_end(const CtfSession *session)
{
    uint64_t lost = orr_load_relaxed(&recorder.lost);

    if (lost) {
        orr_trace_say("warning: %" G_GUINT64_FORMAT " events are missing in %s", lost,
                      session->path);
    }
    if (!session->options.dir && session->dir_fd >= 0 && (!session->flight || session->n_dumps)) {
        orr_trace_say("recorded in %s", session->path);
    }
}

static void ctf_close(void)
{
    CtfSession *session = recorder.session;

    orr_store_release(&orr_trace_ctf.open, false);
    if (!running_here()) {
        return; /* a forked child: thread and files are its parent's */
    }
    give_signal_back();
    orr_store_release(&recorder.stop, 1);
    orr_trace_ctf_wake();
    pthread_join(recorder.thread, NULL);
    recorder.session = NULL;
    report_end(session);
    session_free(session);
}

/* ---- Asked from elsewhere ---- */

uint64_t orr_trace_ctf_lost(void)
{
    return orr_load_relaxed(&recorder.lost);
}

void orr_trace_ctf_trigger(const TraceEvent *event, unsigned verdict)
{
    orr_store_relaxed(&orr_trace_ctf.trigger, event->id);
    orr_fetch_or(&orr_trace_ctf.causes,
                 verdict & TRACE_VERDICT_PANIC ? CTF_CAUSE_PANIC : CTF_CAUSE_TRIGGER);
    orr_trace_ctf_wake();
}

char *orr_trace_ctf_dump(GError **error)
{
    char *path;

    if (!running_here() || !recorder.session->flight) {
        orr_fail(error, ORR_ERROR_UNSUPPORTED,
                 "there is no flight recording; start with -trace ...,backend=ctf,flight=5s");
        return NULL;
    }
    path = g_strdup_printf("%s/dump-%u", recorder.session->path,
                           orr_load_relaxed(&recorder.session->next_dump));
    orr_fetch_or(&orr_trace_ctf.causes, CTF_CAUSE_ASKED);
    orr_trace_ctf_wake();
    return path;
}

void orr_trace_ctf_sync(void)
{
    uint32_t asked, done;

    if (!running_here()) {
        return;
    }
    asked = orr_fetch_add(&recorder.flush_asked, 1) + 1;
    orr_trace_ctf_wake();
    while ((int32_t)((done = orr_load_acquire(&recorder.flush_done)) - asked) < 0) {
        syscall(SYS_futex, &recorder.flush_done, FUTEX_WAIT_PRIVATE, done, NULL, NULL, 0);
    }
}

const TraceBackend orr_trace_ctf_backend = {
    .name = "ctf",
    .summary = "CTF 1.8 in a directory (dir=PATH), by a recorder of Orrery's own",
    .open = ctf_open,
    .close = ctf_close,
    .emit = orr_trace_ctf_emit,
};
