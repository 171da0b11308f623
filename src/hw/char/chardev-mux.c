/* SPDX-License-Identifier: MIT */
/*
 * A terminal shared by several front ends, with keys of its own behind Ctrl-A. The idea to hold: keys
 * are looked at when they are typed, not when the front end takes them; so a guest that reads nothing
 * can still be ended with Ctrl-A x.
 */
#include <stdio.h>
#include <string.h>

#include "hw/char/internal.h"

#define ESCAPE_KEY 0x01

static const struct {
    const char *key;
    const char *help;
} keys[] = {
    { "h", "print this help" },
    { "x", "end the emulator" },
    { "s", "write the disks' data back to the files" },
    { "b", "send a break" },
    { "c", "switch between the console and the monitor" },
    { "a", "send Ctrl-A itself (Ctrl-A twice does it as well)" },
};

static void print(Chardev *chr, const char *text)
{
    chardev_write(chr, (const uint8_t *)text, (unsigned)strlen(text));
}

static void print_help(Chardev *chr)
{
    print(chr, "\r\n");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        print(chr, "Ctrl-A ");
        print(chr, keys[i].key);
        print(chr, "    ");
        print(chr, keys[i].help);
        print(chr, "\r\n");
    }
}

static CharFrontend *focused(Chardev *chr)
{
    return chr->frontend_count ? &chr->frontend[chr->focus] : NULL;
}

static void tell(const CharFrontend *frontend, int event)
{
    if (frontend && frontend->event) {
        frontend->event(frontend->opaque, event);
    }
}

static void switch_focus(Chardev *chr)
{
    if (chr->frontend_count < 2) {
        return;
    }
    char_mux_deliver(chr); /* what was typed before belongs to the one that had the keyboard */
    tell(focused(chr), CHAR_EVENT_FOCUS_OUT);
    chr->focus = (chr->focus + 1) % chr->frontend_count;
    g_byte_array_set_size(chr->pending, 0);
    tell(focused(chr), CHAR_EVENT_FOCUS_IN);
}

static void quit(Chardev *chr)
{
    print(chr, "Orrery: terminated\r\n");
    if (chr->hooks.quit) {
        chr->hooks.quit(chr->hooks.opaque);
    } else {
        system_shutdown_request(chr->cpus, "Ctrl-A x", 0);
    }
}

static void add_pending(Chardev *chr, uint8_t byte)
{
    if (chr->pending->len < CHAR_PENDING_BYTES) {
        g_byte_array_append(chr->pending, &byte, 1);
    }
}

static void after_escape(Chardev *chr, uint8_t key)
{
    switch (key) {
    case 'h':
    case '?':
        print_help(chr);
        break;
    case 'x':
        quit(chr);
        break;
    case 's':
        if (chr->hooks.sync) {
            chr->hooks.sync(chr->hooks.opaque);
        }
        break;
    case 'b':
        tell(focused(chr), CHAR_EVENT_BREAK);
        break;
    case 'c':
        switch_focus(chr);
        break;
    case 'a':
    case ESCAPE_KEY:
        add_pending(chr, ESCAPE_KEY);
        break;
    default:
        break;
    }
}

void char_mux_input(Chardev *chr, const uint8_t *data, size_t length_bytes)
{
    for (size_t i = 0; i < length_bytes; i++) {
        if (chr->escape) {
            chr->escape = false;
            after_escape(chr, data[i]);
        } else if (data[i] == ESCAPE_KEY) {
            chr->escape = true;
        } else {
            add_pending(chr, data[i]);
        }
    }
    char_mux_deliver(chr);
}

/*
 * A terminal is always read, for its keys; what nobody takes beyond the bound is lost. Other inputs
 * are held back instead.
 */
unsigned char_mux_room(const Chardev *chr)
{
    if (chr->in_is_terminal) {
        return CHAR_PENDING_BYTES;
    }
    return CHAR_PENDING_BYTES - MIN(chr->pending->len, CHAR_PENDING_BYTES);
}

static unsigned deliverable_bytes(const Chardev *chr)
{
    const CharFrontend *frontend = &chr->frontend[chr->focus];

    if (chr->pending->len == 0 || chr->frontend_count == 0) {
        return 0;
    }
    return MIN(chr->pending->len, frontend->can_receive(frontend->opaque));
}

bool char_mux_deliverable(const Chardev *chr)
{
    return deliverable_bytes(chr) > 0;
}

void char_mux_deliver(Chardev *chr)
{
    unsigned count = deliverable_bytes(chr);

    if (count) {
        CharFrontend *frontend = focused(chr);
        uint8_t *data = g_memdup2(chr->pending->data, count);

        g_byte_array_remove_range(chr->pending, 0, count);
        frontend->receive(frontend->opaque, data, count);
        g_free(data);
    }
}
