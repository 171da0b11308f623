/* SPDX-License-Identifier: MIT */
/*
 * The back ends that are not sockets: stdio, file, pipe, pty, an inherited descriptor, a ring of
 * memory. The idea to hold: descriptors shared with other processes keep their flags; only what was
 * opened here is made non-blocking.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "hw/char/internal.h"
#include "orrery/impl/error.h"
#include "orrery/impl/log.h"

static CharOutMode out_mode_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        return CHAR_OUT_FILE;
    }
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
        return CHAR_OUT_SOCKET;
    }
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) ? CHAR_OUT_NONBLOCKING : CHAR_OUT_POLLED;
}

/*
 * Terminals and pipes can be opened once more by their descriptor, which gives one whose O_NONBLOCK
 * the shell and our parent do not share.
 */
static int reopen_nonblocking(int fd)
{
    char path[64];
    struct stat st;

    if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))) {
        return -1;
    }
    g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool open_stdio(Chardev *chr, const CharSpec *spec, GError **error)
{
    int own;

    if (!terminal_acquire(chr->label, spec->signal, error)) {
        return false;
    }
    chr->uses_stdio = true;
    chr->in_is_terminal = isatty(STDIN_FILENO);
    chr->in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    own = reopen_nonblocking(STDOUT_FILENO);
    chr->out_fd = own >= 0 ? own : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    chr->out_mode = chr->out_fd >= 0 ? out_mode_of(chr->out_fd) : CHAR_OUT_POLLED;
    chr->owns_fds = true;
    return true;
}

static bool open_file(Chardev *chr, const CharSpec *spec, GError **error)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (spec->append ? O_APPEND : O_TRUNC);

    chr->owns_fds = true;
    chr->out_fd = open(spec->path, flags, 0666);
    if (chr->out_fd < 0) {
        return orr_fail(error, ORR_ERROR_IO, "'%s': cannot open '%s': %s", chr->label, spec->path,
                        g_strerror(errno));
    }
    chr->out_mode = out_mode_of(chr->out_fd);
    return true;
}

static bool open_pipe(Chardev *chr, const CharSpec *spec, GError **error)
{
    char *in = g_strconcat(spec->path, ".in", NULL);
    char *out = g_strconcat(spec->path, ".out", NULL);

    chr->owns_fds = true;
    /* Read and write: opening does not wait for the other side, nor does its end end ours. */
    chr->in_fd = open(in, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    chr->out_fd = open(out, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    g_free(in);
    g_free(out);
    if (chr->in_fd < 0 || chr->out_fd < 0) {
        if (chr->in_fd >= 0) {
            close(chr->in_fd);
        }
        if (chr->out_fd >= 0) {
            close(chr->out_fd);
        }
        chr->in_fd = chr->out_fd = open(spec->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (chr->in_fd < 0) {
        return orr_fail(error, ORR_ERROR_IO,
                        "'%s': cannot open pipe '%s': %s; make it with mkfifo %s.in %s.out",
                        chr->label, spec->path, g_strerror(errno), spec->path, spec->path);
    }
    chr->out_mode = CHAR_OUT_NONBLOCKING;
    return true;
}

static bool open_pty(Chardev *chr, GError **error)
{
    struct termios raw;
    char name[128];
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    chr->owns_fds = true;
    chr->in_fd = chr->out_fd = fd;
    chr->out_mode = CHAR_OUT_NONBLOCKING;
    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0) {
        return orr_fail(error, ORR_ERROR_IO, "'%s': cannot make a pty: %s", chr->label,
                        g_strerror(errno));
    }
    chr->pty_peer_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (chr->pty_peer_fd < 0 || tcgetattr(chr->pty_peer_fd, &raw) < 0) {
        return orr_fail(error, ORR_ERROR_IO, "'%s': cannot open the pty's other side '%s': %s",
                        chr->label, name, g_strerror(errno));
    }
    cfmakeraw(&raw);
    tcsetattr(chr->pty_peer_fd, TCSANOW, &raw);
    fprintf(stderr, "char device redirected to %s (label %s)\n", name, chr->label);
    return true;
}

static bool open_fd(Chardev *chr, const CharSpec *spec, GError **error)
{
    int flags = fcntl((int)spec->fd, F_GETFL);

    if (flags < 0) {
        return orr_fail(error, ORR_ERROR_INVALID, "'%s': file descriptor %u is not open",
                        chr->label, spec->fd);
    }
    chr->owns_fds = true;
    chr->in_fd = (flags & O_ACCMODE) != O_WRONLY ? (int)spec->fd : -1;
    chr->out_fd = (flags & O_ACCMODE) != O_RDONLY ? (int)spec->fd : -1;
    chr->out_mode = out_mode_of((int)spec->fd);
    chr->in_is_terminal = isatty((int)spec->fd);
    return true;
}

static bool open_ring(Chardev *chr, const CharSpec *spec)
{
    chr->ring.data = g_malloc(spec->size_bytes);
    chr->ring.size_bytes = spec->size_bytes;
    return true;
}

void char_ring_write(CharRing *ring, const uint8_t *data, size_t length_bytes)
{
    for (size_t i = 0; i < length_bytes; i++) {
        ring->data[(ring->start + ring->used_bytes) % ring->size_bytes] = data[i];
        if (ring->used_bytes < ring->size_bytes) {
            ring->used_bytes++;
        } else {
            ring->start = (ring->start + 1) % ring->size_bytes;
        }
    }
}

size_t chardev_ringbuf_read(Chardev *chr, uint8_t *data, size_t length_bytes)
{
    CharRing *ring = &chr->ring;
    size_t count = MIN(length_bytes, ring->used_bytes);

    for (size_t i = 0; i < count; i++) {
        data[i] = ring->data[(ring->start + i) % ring->size_bytes];
    }
    if (count) {
        ring->start = (ring->start + count) % ring->size_bytes;
        ring->used_bytes -= count;
    }
    return count;
}

bool char_backend_open(Chardev *chr, const CharSpec *spec, GError **error)
{
    bool ok = true;

    switch (spec->kind) {
    case CHAR_KIND_STDIO:
        ok = open_stdio(chr, spec, error);
        break;
    case CHAR_KIND_NULL:
        break;
    case CHAR_KIND_FILE:
        ok = open_file(chr, spec, error);
        break;
    case CHAR_KIND_PIPE:
        ok = open_pipe(chr, spec, error);
        break;
    case CHAR_KIND_PTY:
        ok = open_pty(chr, error);
        break;
    case CHAR_KIND_UNIX:
    case CHAR_KIND_TCP:
        return char_socket_open(chr, spec, error);
    case CHAR_KIND_FD:
        ok = open_fd(chr, spec, error);
        break;
    case CHAR_KIND_RINGBUF:
        ok = open_ring(chr, spec);
        break;
    }
    if (ok) {
        char_stream_start(chr);
    }
    return ok;
}
