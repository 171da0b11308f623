/* SPDX-License-Identifier: MIT */
/*
 * Reading from a back end's descriptor. The idea to hold: before each wait the front end is asked
 * what it can take; when that is nothing, the descriptor is not watched at all, and the host's own
 * buffers hold the sender back.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hw/char/internal.h"

#define INPUT_CHUNK_BYTES 4096

typedef struct InputSource {
    GSource source;
    Chardev *chr;
    gpointer watch; /* NULL: not watched */
} InputSource;

static unsigned input_room(const Chardev *chr)
{
    const CharFrontend *frontend = &chr->frontend[0];

    if (chr->mux) {
        return char_mux_room(chr);
    }
    return chr->frontend_count ? frontend->can_receive(frontend->opaque) : 0;
}

static gboolean input_prepare(GSource *source, gint *timeout_ms)
{
    InputSource *input = (InputSource *)source;
    Chardev *chr = input->chr;
    bool watch = input_room(chr) > 0;

    *timeout_ms = -1;
    chr->input_blocked = !watch;
    if (watch && !input->watch) {
        input->watch = g_source_add_unix_fd(source, chr->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
    } else if (!watch && input->watch) {
        g_source_remove_unix_fd(source, input->watch);
        input->watch = NULL;
    }
    return chr->mux && char_mux_deliverable(chr);
}

static gboolean input_check(GSource *source)
{
    InputSource *input = (InputSource *)source;

    if (input->watch && g_source_query_unix_fd(source, input->watch)) {
        return TRUE;
    }
    return input->chr->mux && char_mux_deliverable(input->chr);
}

static void input_ended(Chardev *chr)
{
    if (chr->kind == CHAR_KIND_UNIX || chr->kind == CHAR_KIND_TCP) {
        char_socket_hangup(chr);
        return;
    }
    /* Output may go on, as that of `emulator </dev/null` does. */
    g_source_destroy(chr->in_source);
    g_clear_pointer(&chr->in_source, g_source_unref);
    if (chr->in_fd != chr->out_fd) {
        if (chr->owns_fds) {
            close(chr->in_fd);
        }
        chr->in_fd = -1;
    }
    char_send_event(chr, CHAR_EVENT_CLOSED);
}

static gboolean input_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    InputSource *input = (InputSource *)source;
    Chardev *chr = input->chr;
    uint8_t buffer[INPUT_CHUNK_BYTES];
    unsigned room;
    ssize_t n;

    if (chr->mux) {
        char_mux_deliver(chr);
    }
    room = input_room(chr);
    if (!input->watch || !g_source_query_unix_fd(source, input->watch) || room == 0) {
        return G_SOURCE_CONTINUE;
    }
    n = read(chr->in_fd, buffer, MIN(room, sizeof(buffer)));
    if (n > 0) {
        char_input(chr, buffer, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        input_ended(chr);
    }
    return G_SOURCE_CONTINUE;
}

GSource *char_input_source_new(Chardev *chr)
{
    static GSourceFuncs funcs = {
        .prepare = input_prepare,
        .check = input_check,
        .dispatch = input_dispatch,
    };
    GSource *source = g_source_new(&funcs, sizeof(InputSource));

    ((InputSource *)source)->chr = chr;
    g_source_set_static_name(source, "chardev input");
    return source;
}
