/* SPDX-License-Identifier: MIT */
/*
 * Character back ends: where a serial line or a monitor ends on the host. One front end at a time,
 * except for a mux (mon:stdio), which gives several front ends one terminal and the Ctrl-A keys.
 */
#ifndef ORRERY_IMPL_CHARDEV_H
#define ORRERY_IMPL_CHARDEV_H

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef struct Chardev Chardev;
typedef struct Cpus Cpus;

/* What the front end offers. Main loop, machine lock held. */
typedef struct CharFrontend {
    unsigned (*can_receive)(void *opaque); /* bytes it will take now */
    void (*receive)(void *opaque, const uint8_t *data, unsigned length_bytes);
    void (*event)(void *opaque, int event); /* CHAR_EVENT_*; NULL is fine */
    void *opaque;
} CharFrontend;

enum {
    CHAR_EVENT_OPENED,    /* the far end is there, also at attach if it is already */
    CHAR_EVENT_CLOSED,    /* it has gone, or stdin has ended */
    CHAR_EVENT_BREAK,     /* Ctrl-A b */
    CHAR_EVENT_FOCUS_IN,  /* a mux gives the keyboard to this front end (not the first time) */
    CHAR_EVENT_FOCUS_OUT, /* and takes it away */
};

/*
 * What a mux's Ctrl-A x and Ctrl-A s ask for; set by the machine. Main loop. A NULL quit requests a
 * shutdown with exit code 0, a NULL sync does nothing.
 */
typedef struct CharHooks {
    void (*quit)(void *opaque);
    void (*sync)(void *opaque);
    void *opaque;
} CharHooks;

/*
 * Opens one of these, as -serial and -monitor take them; a doubled comma in a path is a comma.
 *
 *   stdio[,signal=on|off]                     on: Ctrl-C and Ctrl-Z act on the emulator (default)
 *   null, none                                takes all, gives nothing
 *   file:PATH[,append=on]                     output only
 *   pipe:PATH                                 PATH.in and PATH.out if they exist, else PATH
 *   pty                                       reports its name on stderr
 *   unix:PATH[,server=on][,wait=off]          server: one client at a time; wait=on (default)
 *   tcp:[HOST]:PORT[,server=on][,wait=off]      returns when the first has connected
 *   fd:N                                      a file descriptor the parent left open
 *   ringbuf[:SIZE]                            keeps the last SIZE bytes (64K)
 *   mon:SPEC                                  any of these as a mux; signal=off is the default then
 *
 * label names it in messages. Main thread, machine lock. NULL with a GError. A terminal is put into
 * raw mode and restored however the program ends. A second user of stdio is refused.
 */
Chardev *chardev_open(Cpus *cpus, const char *label, const char *spec, GError **error);

/*
 * Turns the text of a -chardev ("socket,id=c0,path=/tmp/s,server=on") into the id and the spec that
 * chardev_open takes. Both are the caller's to free. Cold; any thread.
 */
bool chardev_parse_options(const char *options, char **id, char **spec, GError **error);
void chardev_close(Chardev *chr); /* flushes what can be written without blocking; NULL is fine */
const char *chardev_label(const Chardev *chr);
void chardev_set_hooks(Chardev *chr, const CharHooks *hooks);
bool chardev_is_mux(const Chardev *chr);

/* Attaches a front end; false when it is taken and not a mux. Machine lock. */
bool chardev_attach(Chardev *chr, const CharFrontend *frontend, GError **error);
void chardev_detach(Chardev *chr, void *opaque);

/* The front end can take more. Machine lock. */
void chardev_accept_input(Chardev *chr);

/*
 * Writes all of it: what the host does not take at once is queued (bounded; beyond the bound the
 * oldest queued bytes are dropped and counted, so that a stuck reader never stops the guest).
 * Machine lock.
 */
void chardev_write(Chardev *chr, const uint8_t *data, unsigned length_bytes);

/* True while so much is queued that a front end with flow control should hold back. */
bool chardev_congested(const Chardev *chr);

/* Bytes of output that were dropped so far. Machine lock. */
uint64_t chardev_dropped_bytes(const Chardev *chr);

/* Takes up to length_bytes out of a ringbuf; 0 for another kind. Machine lock. */
size_t chardev_ringbuf_read(Chardev *chr, uint8_t *data, size_t length_bytes);

ORR_END_DECLS

#endif
