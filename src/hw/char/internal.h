/* SPDX-License-Identifier: MIT */
/*
 * What the files of the character back ends share. The idea to hold: a back end only provides file
 * descriptors (in_fd, out_fd); watching, queueing and the front ends are common. Everything here is
 * protected by the machine lock.
 */
#ifndef ORRERY_HW_CHAR_INTERNAL_H
#define ORRERY_HW_CHAR_INTERNAL_H

#include "orrery/impl/chardev.h"
#include "orrery/impl/cpus.h"

#define CHAR_MAX_FRONTENDS 4
#define CHAR_QUEUE_BYTES (1024 * 1024)
#define CHAR_CONGESTED_BYTES (64 * 1024)
#define CHAR_PENDING_BYTES (64 * 1024)

typedef enum CharKind {
    CHAR_KIND_STDIO,
    CHAR_KIND_NULL,
    CHAR_KIND_FILE,
    CHAR_KIND_PIPE,
    CHAR_KIND_PTY,
    CHAR_KIND_UNIX,
    CHAR_KIND_TCP,
    CHAR_KIND_FD,
    CHAR_KIND_RINGBUF,
} CharKind;

typedef struct CharSpec {
    CharKind kind;
    bool mux;
    bool signal, append, server, wait;
    bool signal_given;
    char *path, *host, *port;
    uint64_t size_bytes;
    uint32_t fd;
} CharSpec;

/* How bytes go out without ever blocking. */
typedef enum CharOutMode {
    CHAR_OUT_NONBLOCKING, /* the descriptor is ours and says EAGAIN */
    CHAR_OUT_SOCKET,      /* send(MSG_DONTWAIT) */
    CHAR_OUT_POLLED,      /* shared with others: ask first, then write little */
    CHAR_OUT_FILE,        /* a regular file */
} CharOutMode;

typedef struct CharRing {
    uint8_t *data;
    size_t size_bytes, used_bytes, start;
} CharRing;

struct Chardev {
    Cpus *cpus;
    char *label;
    CharKind kind;
    bool mux;
    bool opened; /* the far end is there */
    CharHooks hooks;

    CharFrontend frontend[CHAR_MAX_FRONTENDS];
    unsigned frontend_count;
    unsigned focus;
    bool escape;         /* Ctrl-A was typed */
    GByteArray *pending; /* mux: typed, but not taken by the front end yet */

    int in_fd, out_fd; /* -1: none. Equal for what goes both ways */
    CharOutMode out_mode;
    bool owns_fds;
    bool in_is_terminal;
    GSource *in_source, *out_source;
    bool input_blocked; /* the front end took nothing when last asked */
    GByteArray *queue;  /* output not written yet */
    uint64_t dropped_bytes;

    int listen_fd; /* server sockets */
    GSource *listen_source;
    char *unlink_path;
    int pty_peer_fd; /* keeps the pty open while no terminal program has it */
    bool uses_stdio;
    CharRing ring;
};

/* chardev-spec.c. Strings are freed by char_spec_finish, also after a failure. */
bool char_spec_parse(const char *text, CharSpec *spec, GError **error);
void char_spec_finish(CharSpec *spec);

/* chardev-backends.c and chardev-socket.c: fill the descriptors. */
bool char_backend_open(Chardev *chr, const CharSpec *spec, GError **error);
bool char_socket_open(Chardev *chr, const CharSpec *spec, GError **error);
void char_socket_hangup(Chardev *chr); /* the peer has gone */
void char_ring_write(CharRing *ring, const uint8_t *data, size_t length_bytes);

/* chardev.c: the descriptors are there; the far end is open. */
void char_stream_start(Chardev *chr);
void char_stream_stop(Chardev *chr); /* closes the descriptors; queued output is dropped */
void char_send_event(Chardev *chr, int event);
void char_input(Chardev *chr, const uint8_t *data, size_t length_bytes);

/* chardev-input.c: the source that reads, holding back what the front end cannot take. */
GSource *char_input_source_new(Chardev *chr);

/* chardev-mux.c */
unsigned char_mux_room(const Chardev *chr);
void char_mux_input(Chardev *chr, const uint8_t *data, size_t length_bytes);
bool char_mux_deliverable(const Chardev *chr);
void char_mux_deliver(Chardev *chr);

/*
 * terminal.c: standard input's terminal, of which a process has one. acquire fails when another
 * label has it. signals: keep Ctrl-C and Ctrl-Z acting on the process.
 */
bool terminal_acquire(const char *label, bool signals, GError **error);
void terminal_release(void);

#endif
