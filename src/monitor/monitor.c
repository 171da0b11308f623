/* SPDX-License-Identifier: MIT */
/*
 * The monitor's side towards people: bytes in, a line edited and echoed, a command run, its text
 * out. The idea to hold: output is collected whole and written once, so that a command cannot be
 * interleaved with the guest's console on a mux.
 */
#include <string.h>

#include "monitor/internal.h"
#include "orrery/gen/config.h"

#define PROMPT "(orrery) "
#define MAX_LINE_BYTES 4096

enum {
    KEY_CTRL_C = 0x03,
    KEY_BACKSPACE = 0x08,
    KEY_NEWLINE = 0x0a,
    KEY_RETURN = 0x0d,
    KEY_CTRL_U = 0x15,
    KEY_CTRL_W = 0x17,
    KEY_ESCAPE = 0x1b,
    KEY_DELETE = 0x7f,
};

/* Terminals are raw: a newline needs its return. */
static void print(Monitor *monitor, const char *text, size_t length)
{
    g_autoptr(GString) converted = g_string_sized_new(length + 16);

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            g_string_append_c(converted, '\r');
        }
        g_string_append_c(converted, text[i]);
    }
    chardev_write(monitor->chr, (const uint8_t *)converted->str, (unsigned)converted->len);
}

static void print_text(Monitor *monitor, const char *text)
{
    print(monitor, text, strlen(text));
}

static void greet(Monitor *monitor)
{
    if (!monitor->greeted) {
        monitor->greeted = true;
        print_text(monitor, "Orrery " ORRERY_VERSION " monitor - type 'help' for a list\n");
    }
    print_text(monitor, PROMPT);
}

void monitor_execute(Monitor *monitor, const char *line, GString *out)
{
    g_autofree char *stripped = g_strstrip(g_strdup(line));

    if (*stripped) {
        monitor_dispatch(monitor, monitor_commands, "command", stripped, out);
    }
}

static void run_line(Monitor *monitor)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *line = g_strdup(monitor->line->str);

    g_string_truncate(monitor->line, 0);
    monitor_execute(monitor, line, out);
    if (!monitor->quit) {
        g_string_append(out, PROMPT);
    }
    print(monitor, out->str, out->len);
}

/* Takes back the last n characters, on the screen too. */
static void erase(Monitor *monitor, size_t n)
{
    for (; n > 0 && monitor->line->len > 0; n--) {
        g_string_truncate(monitor->line, monitor->line->len - 1);
        print_text(monitor, "\b \b");
    }
}

static size_t last_word(const GString *line)
{
    size_t end = line->len, start = end;

    while (start > 0 && line->str[start - 1] == ' ') {
        start--;
    }
    while (start > 0 && line->str[start - 1] != ' ') {
        start--;
    }
    return end - start;
}

/* True while a byte belongs to the sequence that a cursor or function key sends. */
static bool in_escape(Monitor *monitor, uint8_t byte)
{
    if (monitor->escape == 0) {
        monitor->escape = byte == KEY_ESCAPE ? 1 : 0;
        return monitor->escape != 0;
    }
    if (monitor->escape == 1) {
        monitor->escape = byte == '[' || byte == 'O' ? 2 : 0;
    } else if (byte >= 0x40) {
        monitor->escape = 0;
    }
    return true;
}

static void take_byte(Monitor *monitor, uint8_t byte)
{
    bool after_cr = monitor->after_cr;

    monitor->after_cr = byte == KEY_RETURN;
    if (in_escape(monitor, byte) || (byte == KEY_NEWLINE && after_cr)) {
        return;
    }
    switch (byte) {
    case KEY_RETURN:
    case KEY_NEWLINE:
        print_text(monitor, "\n");
        run_line(monitor);
        break;
    case KEY_BACKSPACE:
    case KEY_DELETE:
        erase(monitor, 1);
        break;
    case KEY_CTRL_U:
        erase(monitor, monitor->line->len);
        break;
    case KEY_CTRL_W:
        erase(monitor, last_word(monitor->line));
        break;
    case KEY_CTRL_C:
        g_string_truncate(monitor->line, 0);
        print_text(monitor, "\n" PROMPT);
        break;
    default:
        if (byte >= ' ' && monitor->line->len < MAX_LINE_BYTES) {
            g_string_append_c(monitor->line, (char)byte);
            chardev_write(monitor->chr, &byte, 1);
        }
        break;
    }
}

/* ---- As a front end. */

static unsigned can_receive(void *opaque)
{
    return 256;
}

static void receive(void *opaque, const uint8_t *data, unsigned length_bytes)
{
    for (unsigned i = 0; i < length_bytes; i++) {
        take_byte(opaque, data[i]);
    }
}

static void on_event(void *opaque, int event)
{
    Monitor *monitor = opaque;
    bool mux = chardev_is_mux(monitor->chr);

    /* On a mux nothing is shown before somebody turns to the monitor. */
    if (event == CHAR_EVENT_FOCUS_IN || (event == CHAR_EVENT_OPENED && !mux)) {
        if (event == CHAR_EVENT_FOCUS_IN) {
            print_text(monitor, "\n");
        }
        greet(monitor);
        print(monitor, monitor->line->str, monitor->line->len);
    } else if (event == CHAR_EVENT_FOCUS_OUT) {
        print_text(monitor, "\n");
    } else if (event == CHAR_EVENT_CLOSED) {
        g_string_truncate(monitor->line, 0);
        monitor->greeted = false;
    }
}

Monitor *monitor_create(Machine *machine, Chardev *chr, GError **error)
{
    Monitor *monitor = g_new0(Monitor, 1);
    CharFrontend frontend = { can_receive, receive, on_event, monitor };

    monitor->machine = machine;
    monitor->chr = chr;
    monitor->line = g_string_new(NULL);
    if (!chardev_attach(chr, &frontend, error)) {
        g_string_free(monitor->line, TRUE);
        g_free(monitor);
        return NULL;
    }
    return monitor;
}

void monitor_destroy(Monitor *monitor)
{
    if (!monitor) {
        return;
    }
    chardev_detach(monitor->chr, monitor);
    g_string_free(monitor->line, TRUE);
    g_free(monitor);
}
