/* SPDX-License-Identifier: MIT */
/*
 * Events as lines of text. To stderr each line is one write, so that nothing is lost when the
 * program dies. To a file each thread fills a buffer of its own and takes the lock only to write it
 * out: when it is full, when its oldest line is a second old at the thread's next event, when the
 * thread ends, and at orr_trace_stop.
 *
 * The idea to hold: a buffer is appended to by its thread alone, without a lock, and `head` is
 * published after each whole line; whoever holds the lock may write out tail..head and move `tail`.
 * Only the owner, under the lock, moves `head` back. Every chunk that is written therefore begins
 * and ends at a line.
 */
#include "orrery/impl/error.h"
#include "trace/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048 /* below PIPE_BUF, so that a line to a pipe goes in one piece */
#define BUFFER_BYTES (64 * 1024)
#define FLUSH_AGE_NS (1000 * 1000 * 1000ull)
#define NAME_AGE_NS (100 * 1000 * 1000ull)
#define NAME_BYTES 16 /* what the kernel keeps */

typedef struct LogThread LogThread;

struct LogThread {
    LogThread *next; /* in log.threads, under log.lock */
    char *buffer;    /* BUFFER_BYTES, NULL until its first line to a file */
    size_t head;     /* bytes filled; moved by the owner, release */
    size_t tail;     /* bytes written out; under log.lock */
    uint64_t oldest_ns;
    uint64_t name_ns;
    long tid;
    char name[NAME_BYTES];
};

/* One log for the process, as there is one set of mask bytes. */
static struct {
    pthread_mutex_t lock; /* a leaf: nothing is called with it held that could take another */
    LogThread *threads;
    char *path;    /* NULL is stderr */
    int fd;        /* -1 when closed */
    bool buffered; /* atomic: lines go through the threads' buffers */
    bool open;     /* atomic */
    bool reported;
    bool torn;     /* the last thing written was part of a line */
    pid_t pid;     /* who opened it: a forked child must not write what it inherited */
    uint64_t lost; /* atomic */
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static pthread_key_t thread_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static __thread LogThread *this_thread;
/* Set while this thread is in log_emit: a signal handler that traces in between must not get in. */
static __thread volatile sig_atomic_t emitting;

/* ---- Text ---- */

/* A line under construction; `end` leaves room for the mark of a cut line and the newline. */
typedef struct Line {
    char *start, *at, *end;
} Line;

static const char cut_mark[] = "...";

static void line_begin(Line *line, char *space)
{
    line->start = line->at = space;
    line->end = space + LINE_MAX_BYTES - sizeof(cut_mark);
}

static inline void put_char(Line *line, char c)
{
    if (line->at < line->end) {
        *line->at++ = c;
    }
}

static void put_text(Line *line, const char *text)
{
    size_t n = strlen(text);

    if (n > (size_t)(line->end - line->at)) {
        n = line->end - line->at;
    }
    memcpy(line->at, text, n);
    line->at += n;
}

static void put_decimal(Line *line, uint64_t value, int min_digits)
{
    char digits[20];
    int n = sizeof(digits);

    do {
        digits[--n] = '0' + value % 10;
        value /= 10;
        min_digits--;
    } while (value || min_digits > 0);
    while (n < (int)sizeof(digits)) {
        put_char(line, digits[n++]);
    }
}

static void put_signed(Line *line, int64_t value)
{
    if (value < 0) {
        put_char(line, '-');
        put_decimal(line, -(uint64_t)value, 1);
    } else {
        put_decimal(line, value, 1);
    }
}

static void put_hex(Line *line, uint64_t value)
{
    char digits[16];
    int n = sizeof(digits);

    put_text(line, "0x");
    do {
        digits[--n] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    while (n < (int)sizeof(digits)) {
        put_char(line, digits[n++]);
    }
}

/* Bare if it is one plain word, else quoted: a line stays one, and can be split at blanks. */
static void put_string(Line *line, const char *text)
{
    const char *c = text;

    while (*c > ' ' && *c < 0x7f && *c != '"' && *c != '\\' && *c != '=') {
        c++;
    }
    if (!*c && c != text) {
        put_text(line, text);
        return;
    }
    put_char(line, '"');
    for (c = text; *c && line->at < line->end; c++) {
        unsigned char u = *c;

        if (u == '"' || u == '\\') {
            put_char(line, '\\');
            put_char(line, u);
        } else if (u == '\n') {
            put_text(line, "\\n");
        } else if (u < ' ' || u == 0x7f) {
            put_text(line, "\\x");
            put_char(line, "0123456789abcdef"[u >> 4]);
            put_char(line, "0123456789abcdef"[u & 15]);
        } else {
            put_char(line, u);
        }
    }
    put_char(line, '"');
}

static void put_enum(Line *line, const TraceField *field, int32_t value)
{
    for (uint16_t i = 0; i < field->n_labels; i++) {
        if (field->labels[i].value == value) {
            put_text(line, field->labels[i].name);
            return;
        }
    }
    put_signed(line, value);
}

static void put_value(Line *line, const TraceField *field, const void *at)
{
    switch (field->type) {
    case TRACE_FIELD_U8:
    case TRACE_FIELD_BOOL:
        put_decimal(line, *(const uint8_t *)at, 1);
        break;
    case TRACE_FIELD_U16:
        put_decimal(line, *(const uint16_t *)at, 1);
        break;
    case TRACE_FIELD_U32:
        put_decimal(line, *(const uint32_t *)at, 1);
        break;
    case TRACE_FIELD_U64:
        put_decimal(line, *(const uint64_t *)at, 1);
        break;
    case TRACE_FIELD_I8:
        put_signed(line, *(const int8_t *)at);
        break;
    case TRACE_FIELD_I16:
        put_signed(line, *(const int16_t *)at);
        break;
    case TRACE_FIELD_I32:
        put_signed(line, *(const int32_t *)at);
        break;
    case TRACE_FIELD_I64:
        put_signed(line, *(const int64_t *)at);
        break;
    case TRACE_FIELD_HEX8:
        put_hex(line, *(const uint8_t *)at);
        break;
    case TRACE_FIELD_HEX16:
        put_hex(line, *(const uint16_t *)at);
        break;
    case TRACE_FIELD_HEX32:
        put_hex(line, *(const uint32_t *)at);
        break;
    case TRACE_FIELD_HEX64:
    case TRACE_FIELD_PTR:
        put_hex(line, *(const uint64_t *)at);
        break;
    case TRACE_FIELD_ENUM:
        put_enum(line, field, *(const int32_t *)at);
        break;
    case TRACE_FIELD_STR:
        put_string(line, *(const char *const *)at);
        break;
    }
}

static void put_thread_name(Line *line, const char *name)
{
    for (; *name; name++) {
        put_char(line, (unsigned char)*name < ' ' || *name == ']' ? '?' : *name);
    }
}

/* seconds.nanoseconds [thread/tid] subsystem:event field=value ... */
static size_t format_line(char *space, const LogThread *thread, const struct timespec *now,
                          const TraceEvent *event, const void *args)
{
    Line line;

    line_begin(&line, space);
    put_decimal(&line, now->tv_sec, 1);
    put_char(&line, '.');
    put_decimal(&line, now->tv_nsec, 9);
    put_text(&line, " [");
    put_thread_name(&line, thread->name);
    put_char(&line, '/');
    put_decimal(&line, thread->tid, 1);
    put_text(&line, "] ");
    put_text(&line, event->subsystem->name);
    put_char(&line, ':');
    put_text(&line, event->name);
    for (uint16_t i = 0; i < event->n_fields; i++) {
        const TraceField *field = &event->fields[i];

        put_char(&line, ' ');
        put_text(&line, field->name);
        put_char(&line, '=');
        put_value(&line, field, (const char *)args + field->offset);
    }
    if (line.at == line.end) {
        memcpy(line.at, cut_mark, sizeof(cut_mark) - 1);
        line.at += sizeof(cut_mark) - 1;
    }
    *line.at++ = '\n';
    return line.at - line.start;
}

/* ---- Writing ---- */

/* Straight to fd 2: stdio's lock may be held by whoever emits. */
static void report_locked(const char *what, const char *why)
{
    char text[512];
    int n;

    if (log_state.reported) {
        return;
    }
    log_state.reported = true;
    n = snprintf(text, sizeof(text), "%s: warning: trace: cannot %s %s: %s; events are lost\n",
                 program_invocation_short_name, what, log_state.path ? log_state.path : "stderr",
                 why);
    n = MIN(n, (int)sizeof(text) - 1);
    if (write(STDERR_FILENO, text, n) < 0) {
        /* Nobody is left to be told. */
    }
}

static uint64_t count_lines(const char *text, size_t n)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < n; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

/* Writes as much as there is room for; *error is why that was not all. */
static size_t write_some_locked(const char *text, size_t n, int *error)
{
    size_t done = 0;

    *error = 0;
    while (done < n) {
        ssize_t got = write(log_state.fd, text + done, n - done);

        if (got > 0) {
            done += got;
        } else if (got < 0 && errno == EAGAIN) {
            /* Whoever shares the terminal made it non-blocking. */
            struct pollfd pfd = { .fd = log_state.fd, .events = POLLOUT };

            poll(&pfd, 1, -1);
        } else if (got == 0 || errno != EINTR) {
            *error = got == 0 ? EIO : errno;
            break;
        }
    }
    return done;
}

/* Takes back the part of a line that a full disk left at the file's end. */
static bool cut_back_locked(size_t bytes)
{
    struct stat st;

    return fstat(log_state.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t)bytes &&
           ftruncate(log_state.fd, st.st_size - (off_t)bytes) == 0;
}

static void write_lines_locked(const char *text, size_t n)
{
    int error;
    size_t done, whole;

    if (log_state.torn) {
        if (write_some_locked("\n", 1, &error) != 1) {
            orr_fetch_add(&log_state.lost, count_lines(text, n));
            return;
        }
        log_state.torn = false;
    }
    done = write_some_locked(text, n, &error);
    if (done == n) {
        return;
    }
    for (whole = done; whole > 0 && text[whole - 1] != '\n'; whole--) {
    }
    if (whole < done && !cut_back_locked(done - whole)) {
        log_state.torn = true;
    }
    orr_fetch_add(&log_state.lost, count_lines(text + whole, n - whole));
    report_locked("write", g_strerror(error));
}

static void flush_locked(LogThread *thread)
{
    size_t head = orr_load_acquire(&thread->head);

    if (head > thread->tail) {
        if (log_state.fd >= 0 && log_state.pid == getpid()) {
            write_lines_locked(thread->buffer + thread->tail, head - thread->tail);
        }
        thread->tail = head;
    }
}

/* ---- Threads ---- */

static void thread_ends(void *opaque)
{
    LogThread *thread = opaque;

    emitting = 1;
    pthread_mutex_lock(&log_state.lock);
    flush_locked(thread);
    for (LogThread **at = &log_state.threads; *at; at = &(*at)->next) {
        if (*at == thread) {
            *at = thread->next;
            break;
        }
    }
    pthread_mutex_unlock(&log_state.lock);
    this_thread = NULL;
    free(thread->buffer);
    free(thread);
    emitting = 0;
}

static void make_key(void)
{
    pthread_key_create(&thread_key, thread_ends);
}

/* NULL when memory is short: tracing must not be what ends the program. */
static LogThread *thread_create(void)
{
    LogThread *thread = calloc(1, sizeof(*thread));

    if (!thread) {
        return NULL;
    }
    thread->tid = syscall(SYS_gettid);
    pthread_setspecific(thread_key, thread);
    pthread_mutex_lock(&log_state.lock);
    thread->next = log_state.threads;
    log_state.threads = thread;
    pthread_mutex_unlock(&log_state.lock);
    this_thread = thread;
    return thread;
}

static void refresh_name(LogThread *thread, uint64_t now_ns)
{
    if (!thread->name_ns || now_ns - thread->name_ns > NAME_AGE_NS) {
        prctl(PR_GET_NAME, thread->name);
        thread->name_ns = now_ns;
    }
}

void orr_trace_log_thread_renamed(void)
{
    if (this_thread) {
        this_thread->name_ns = 0;
    }
}

/* ---- The back end ---- */

static void emit_buffered(LogThread *thread, const struct timespec *now, uint64_t now_ns,
                          const TraceEvent *event, const void *args)
{
    size_t head = thread->head;

    if (!thread->buffer) {
        thread->buffer = malloc(BUFFER_BYTES);
        if (!thread->buffer) {
            orr_fetch_add(&log_state.lost, 1);
            return;
        }
    }
    if (head &&
        (head + LINE_MAX_BYTES > BUFFER_BYTES || now_ns - thread->oldest_ns > FLUSH_AGE_NS)) {
        pthread_mutex_lock(&log_state.lock);
        flush_locked(thread);
        thread->tail = head = 0;
        orr_store_relaxed(&thread->head, 0);
        pthread_mutex_unlock(&log_state.lock);
    }
    if (!head) {
        thread->oldest_ns = now_ns;
    }
    head += format_line(thread->buffer + head, thread, now, event, args);
    orr_store_release(&thread->head, head);
}

static void emit_direct(const LogThread *thread, const struct timespec *now,
                        const TraceEvent *event, const void *args)
{
    char line[LINE_MAX_BYTES];
    size_t n = format_line(line, thread, now, event, args);

    pthread_mutex_lock(&log_state.lock);
    if (log_state.fd >= 0) {
        write_lines_locked(line, n);
    }
    pthread_mutex_unlock(&log_state.lock);
}

static void log_emit(const TraceEvent *event, const void *args)
{
    int saved_errno = errno;
    LogThread *thread;
    struct timespec now;
    uint64_t now_ns;

    if (emitting) {
        orr_fetch_add(&log_state.lost, 1);
        return;
    }
    if (!orr_load_acquire(&log_state.open)) {
        return;
    }
    emitting = 1;
    thread = this_thread ? this_thread : thread_create();
    if (thread) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        now_ns = now.tv_sec * 1000000000ull + now.tv_nsec;
        refresh_name(thread, now_ns);
        if (orr_load_relaxed(&log_state.buffered)) {
            emit_buffered(thread, &now, now_ns, event, args);
        } else {
            emit_direct(thread, &now, event, args);
        }
    } else {
        orr_fetch_add(&log_state.lost, 1);
    }
    emitting = 0;
    errno = saved_errno;
}

static bool log_open(const TraceSetup *setup, GError **error)
{
    struct sigaction sa;
    int fd = STDERR_FILENO;

    if (orr_load_relaxed(&log_state.open)) {
        return true;
    }
    pthread_once(&key_once, make_key);
    if (setup->file) {
        fd = open(setup->file,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (setup->append ? 0 : O_TRUNC), 0666);
        if (fd < 0) {
            return orr_fail(error, ORR_ERROR_IO, "cannot open the trace file '%s': %s", setup->file,
                            g_strerror(errno));
        }
    }
    /* A reader that goes away is an error to count, and nothing to die of. */
    if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
    pthread_mutex_lock(&log_state.lock);
    for (LogThread *thread = log_state.threads; thread; thread = thread->next) {
        thread->tail = orr_load_acquire(&thread->head);
    }
    log_state.fd = fd;
    log_state.path = g_strdup(setup->file);
    log_state.pid = getpid();
    log_state.reported = log_state.torn = false;
    orr_store_relaxed(&log_state.lost, 0);
    orr_store_relaxed(&log_state.buffered, setup->file != NULL);
    orr_store_release(&log_state.open, true);
    pthread_mutex_unlock(&log_state.lock);
    return true;
}

static void log_close(void)
{
    uint64_t lost;

    orr_store_release(&log_state.open, false);
    if (log_state.pid != getpid()) {
        return; /* a forked child: the lock may have been held elsewhere when it was copied */
    }
    emitting = 1;
    pthread_mutex_lock(&log_state.lock);
    for (LogThread *thread = log_state.threads; thread; thread = thread->next) {
        flush_locked(thread);
    }
    lost = orr_load_relaxed(&log_state.lost);
    if (lost) {
        char why[64];

        snprintf(why, sizeof(why), "%" G_GUINT64_FORMAT " in all", lost);
        log_state.reported = false;
        report_locked("write all events to", why);
    }
    if (log_state.fd >= 0 && log_state.fd != STDERR_FILENO && close(log_state.fd) != 0) {
        report_locked("close", g_strerror(errno));
    }
    log_state.fd = -1;
    g_clear_pointer(&log_state.path, g_free);
    pthread_mutex_unlock(&log_state.lock);
    emitting = 0;
}

uint64_t orr_trace_log_lost(void)
{
    return orr_load_relaxed(&log_state.lost);
}

const TraceBackend orr_trace_log_backend = {
    .name = "log",
    .summary = "lines of text, to stderr or to file=PATH (the default)",
    .open = log_open,
    .close = log_close,
    .emit = log_emit,
};
