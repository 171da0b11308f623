/* SPDX-License-Identifier: MIT */
/*
 * Character back ends: front ends attached to a pair of file descriptors. The idea to hold: nothing
 * here waits. Output that the host does not take now is queued and sent when it does; the queue is
 * bounded and loses its oldest bytes, so that a reader who went away never stops a guest.
 */
#include "orrery/impl/chardev.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hw/char/internal.h"
#include "orrery/impl/error.h"

/* What a terminal takes without blocking once it says that it takes something. */
#define POLLED_CHUNK_BYTES 128

/* How long close waits for a reader that takes nothing. */
#define CLOSE_PATIENCE_MS 200

static bool poll_writable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

    return poll(&poll_fd, 1, timeout_ms) > 0;
}

/* As write(2); EAGAIN when nothing can be taken now. */
static ssize_t write_some(Chardev *chr, const uint8_t *data, size_t length)
{
    switch (chr->out_mode) {
    case CHAR_OUT_SOCKET:
        return send(chr->out_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case CHAR_OUT_POLLED:
        if (!poll_writable(chr->out_fd, 0)) {
            errno = EAGAIN;
            return -1;
        }
        return write(chr->out_fd, data, MIN(length, POLLED_CHUNK_BYTES));
    case CHAR_OUT_NONBLOCKING:
    case CHAR_OUT_FILE:
        break;
    }
    return write(chr->out_fd, data, length);
}

/* Bytes gone out; -1 when the far end is gone for good. */
static ssize_t write_most(Chardev *chr, const uint8_t *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = write_some(chr, data + done, length - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else if (n == 0 || errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)done;
}

static void output_dead(Chardev *chr)
{
    chr->dropped_bytes += chr->queue->len;
    g_byte_array_set_size(chr->queue, 0);
    if (chr->in_fd == chr->out_fd && chr->in_source) {
        return; /* the reading side sees it as well, and cleans up */
    }
    if (chr->owns_fds && chr->in_fd != chr->out_fd) {
        close(chr->out_fd);
    }
    chr->out_fd = -1;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    Chardev *chr = data;
    ssize_t n = write_most(chr, chr->queue->data, chr->queue->len);

    if (n < 0) {
        output_dead(chr);
    } else {
        g_byte_array_remove_range(chr->queue, 0, (guint)n);
    }
    if (chr->queue->len) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&chr->out_source, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void enqueue(Chardev *chr, const uint8_t *data, size_t length)
{
    size_t total, excess;

    if (length > CHAR_QUEUE_BYTES) {
        chr->dropped_bytes += length - CHAR_QUEUE_BYTES;
        data += length - CHAR_QUEUE_BYTES;
        length = CHAR_QUEUE_BYTES;
    }
    total = chr->queue->len + length;
    if (total > CHAR_QUEUE_BYTES) {
        /* A good piece at once, so that a stuck reader does not cost a move of it all each byte. */
        excess = MIN(chr->queue->len, MAX(total - CHAR_QUEUE_BYTES, CHAR_QUEUE_BYTES / 8));
        chr->dropped_bytes += excess;
        g_byte_array_remove_range(chr->queue, 0, (guint)excess);
    }
    g_byte_array_append(chr->queue, data, (guint)length);
    if (!chr->out_source) {
        chr->out_source = g_unix_fd_source_new(chr->out_fd, G_IO_OUT | G_IO_ERR | G_IO_HUP);
        g_source_set_callback(chr->out_source, G_SOURCE_FUNC(on_writable), chr, NULL);
        g_source_attach(chr->out_source, main_loop_context(chr->cpus));
    }
}

void chardev_write(Chardev *chr, const uint8_t *data, unsigned length_bytes)
{
    ssize_t n = 0;

    if (chr->kind == CHAR_KIND_RINGBUF) {
        char_ring_write(&chr->ring, data, length_bytes);
        return;
    }
    if (chr->out_fd < 0) {
        return;
    }
    if (chr->queue->len == 0) {
        n = write_most(chr, data, length_bytes);
        if (n < 0) {
            output_dead(chr);
            return;
        }
    }
    if ((size_t)n < length_bytes) {
        enqueue(chr, data + n, length_bytes - (size_t)n);
    }
}

bool chardev_congested(const Chardev *chr)
{
    return chr->queue->len > CHAR_CONGESTED_BYTES;
}

uint64_t chardev_dropped_bytes(const Chardev *chr)
{
    return chr->dropped_bytes;
}

void char_send_event(Chardev *chr, int event)
{
    if (event == CHAR_EVENT_OPENED || event == CHAR_EVENT_CLOSED) {
        chr->opened = event == CHAR_EVENT_OPENED;
    }
    for (unsigned i = 0; i < chr->frontend_count; i++) {
        if (chr->frontend[i].event) {
            chr->frontend[i].event(chr->frontend[i].opaque, event);
        }
    }
}

void char_input(Chardev *chr, const uint8_t *data, size_t length_bytes)
{
    if (chr->mux) {
        char_mux_input(chr, data, length_bytes);
    } else if (chr->frontend_count) {
        chr->frontend[0].receive(chr->frontend[0].opaque, data, (unsigned)length_bytes);
    }
}

void char_stream_start(Chardev *chr)
{
    if (chr->in_fd >= 0) {
        chr->in_source = char_input_source_new(chr);
        g_source_attach(chr->in_source, main_loop_context(chr->cpus));
    }
    char_send_event(chr, CHAR_EVENT_OPENED);
}

static void drop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

void char_stream_stop(Chardev *chr)
{
    drop_source(&chr->in_source);
    drop_source(&chr->out_source);
    if (chr->owns_fds && chr->out_fd >= 0 && chr->out_fd != chr->in_fd) {
        close(chr->out_fd);
    }
    if (chr->owns_fds && chr->in_fd >= 0) {
        close(chr->in_fd);
    }
    chr->in_fd = chr->out_fd = -1;
    chr->dropped_bytes += chr->queue->len;
    g_byte_array_set_size(chr->queue, 0);
}

Chardev *chardev_open(Cpus *cpus, const char *label, const char *spec_text, GError **error)
{
    Chardev *chr;
    CharSpec spec;
    bool ok;

    if (!char_spec_parse(spec_text, &spec, error)) {
        g_prefix_error(error, "'%s': ", label);
        char_spec_finish(&spec);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write */
    chr = g_new0(Chardev, 1);
    chr->cpus = cpus;
    chr->label = g_strdup(label);
    chr->kind = spec.kind;
    chr->mux = spec.mux;
    chr->in_fd = chr->out_fd = chr->listen_fd = chr->pty_peer_fd = -1;
    chr->queue = g_byte_array_new();
    chr->pending = g_byte_array_new();
    ok = char_backend_open(chr, &spec, error);
    char_spec_finish(&spec);
    if (!ok) {
        chardev_close(chr);
        return NULL;
    }
    return chr;
}

static void flush_queue(Chardev *chr)
{
    while (chr->queue->len && chr->out_fd >= 0) {
        ssize_t n = write_most(chr, chr->queue->data, chr->queue->len);

        if (n < 0 || (n == 0 && !poll_writable(chr->out_fd, CLOSE_PATIENCE_MS))) {
            return;
        }
        g_byte_array_remove_range(chr->queue, 0, (guint)n);
    }
}

void chardev_close(Chardev *chr)
{
    if (!chr) {
        return;
    }
    flush_queue(chr);
    char_stream_stop(chr);
    drop_source(&chr->listen_source);
    if (chr->listen_fd >= 0) {
        close(chr->listen_fd);
    }
    if (chr->unlink_path) {
        unlink(chr->unlink_path);
        g_free(chr->unlink_path);
    }
    if (chr->pty_peer_fd >= 0) {
        close(chr->pty_peer_fd);
    }
    if (chr->uses_stdio) {
        terminal_release();
    }
    g_free(chr->ring.data);
    g_byte_array_unref(chr->queue);
    g_byte_array_unref(chr->pending);
    g_free(chr->label);
    g_free(chr);
}

const char *chardev_label(const Chardev *chr)
{
    return chr->label;
}

void chardev_set_hooks(Chardev *chr, const CharHooks *hooks)
{
    chr->hooks = *hooks;
}

bool chardev_is_mux(const Chardev *chr)
{
    return chr->mux;
}

bool chardev_attach(Chardev *chr, const CharFrontend *frontend, GError **error)
{
    if (chr->frontend_count && !chr->mux) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "character back end '%s' is in use; make it a mux (mon:...) to share it",
                        chr->label);
    }
    if (chr->frontend_count == CHAR_MAX_FRONTENDS) {
        return orr_fail(error, ORR_ERROR_INVALID, "mux '%s' has all its %d places taken",
                        chr->label, CHAR_MAX_FRONTENDS);
    }
    chr->frontend[chr->frontend_count++] = *frontend;
    if (chr->opened && frontend->event) {
        frontend->event(frontend->opaque, CHAR_EVENT_OPENED);
    }
    chardev_accept_input(chr);
    return true;
}

void chardev_detach(Chardev *chr, void *opaque)
{
    for (unsigned i = 0; i < chr->frontend_count; i++) {
        if (chr->frontend[i].opaque != opaque) {
            continue;
        }
        chr->frontend_count--;
        memmove(&chr->frontend[i], &chr->frontend[i + 1],
                (chr->frontend_count - i) * sizeof(CharFrontend));
        if (chr->focus > i || chr->focus >= chr->frontend_count) {
            chr->focus = chr->focus ? chr->focus - 1 : 0;
        }
        g_byte_array_set_size(chr->pending, 0);
        return;
    }
}

void chardev_accept_input(Chardev *chr)
{
    if (chr->input_blocked || chr->pending->len) {
        main_loop_wake(chr->cpus);
    }
}
