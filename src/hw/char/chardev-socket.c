/* SPDX-License-Identifier: MIT */
/*
 * Sockets as character back ends. The idea to hold: a server has one client at a time and listens
 * again when it has gone; a client that lost its server stays closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hw/char/internal.h"
#include "orrery/impl/error.h"

static void connected(Chardev *chr, int fd)
{
    int on = 1;

    if (chr->kind == CHAR_KIND_TCP) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    chr->in_fd = chr->out_fd = fd;
    chr->out_mode = CHAR_OUT_SOCKET;
    chr->owns_fds = true;
    char_stream_start(chr);
}

static gboolean on_connection(gint listen_fd, GIOCondition condition, gpointer data)
{
    Chardev *chr = data;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&chr->listen_source, g_source_unref);
    connected(chr, fd);
    return G_SOURCE_REMOVE;
}

static void listen_again(Chardev *chr)
{
    chr->listen_source = g_unix_fd_source_new(chr->listen_fd, G_IO_IN);
    g_source_set_callback(chr->listen_source, G_SOURCE_FUNC(on_connection), chr, NULL);
    g_source_attach(chr->listen_source, main_loop_context(chr->cpus));
}

void char_socket_hangup(Chardev *chr)
{
    char_stream_stop(chr);
    char_send_event(chr, CHAR_EVENT_CLOSED);
    if (chr->listen_fd >= 0) {
        listen_again(chr);
    }
}

/* A socket file that nobody listens on is a leftover. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat st;
    int fd;

    if (stat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
            errno == ECONNREFUSED) {
            unlink(address->sun_path);
        }
        close(fd);
    }
}

/* Returns a bound or connected socket; -1 with errno. */
static int open_unix(const CharSpec *spec)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, saved;

    if (strlen(spec->path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    g_strlcpy(address.sun_path, spec->path, sizeof(address.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (spec->server) {
        remove_stale(&address);
    }
    if ((spec->server ? bind : connect)(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int open_tcp_address(const CharSpec *spec, const struct addrinfo *info)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol);
    int on = 1, saved;

    if (fd < 0) {
        return -1;
    }
    if (spec->server) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if ((spec->server ? bind : connect)(fd, info->ai_addr, info->ai_addrlen) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int open_tcp(const CharSpec *spec, const char **why)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    int fd = -1, err;

    hints.ai_flags = spec->server ? AI_PASSIVE : 0;
    err = getaddrinfo(*spec->host ? spec->host : NULL, spec->port, &hints, &list);
    if (err) {
        *why = gai_strerror(err);
        return -1;
    }
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next) {
        fd = open_tcp_address(spec, info);
    }
    *why = g_strerror(errno);
    freeaddrinfo(list);
    return fd;
}

static int accept_first(const Chardev *chr, const char *address)
{
    int fd;

    fprintf(stderr, "'%s': waiting for a connection on %s\n", chr->label, address);
    do {
        fd = accept4(chr->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

bool char_socket_open(Chardev *chr, const CharSpec *spec, GError **error)
{
    char *address = spec->kind == CHAR_KIND_UNIX ? g_strdup(spec->path)
                                                 : g_strconcat(spec->host, ":", spec->port, NULL);
    const char *why = NULL;
    bool ok = true;
    int fd;

    if (spec->kind == CHAR_KIND_UNIX) {
        fd = open_unix(spec);
        why = g_strerror(errno);
    } else {
        fd = open_tcp(spec, &why);
    }
    if (fd >= 0 && spec->server && listen(fd, 1) < 0) {
        why = g_strerror(errno);
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        ok = orr_fail(error, ORR_ERROR_IO, "'%s': cannot %s '%s': %s", chr->label,
                      spec->server ? "listen on" : "connect to", address, why);
    } else if (!spec->server) {
        connected(chr, fd);
    } else {
        chr->listen_fd = fd;
        chr->unlink_path = spec->kind == CHAR_KIND_UNIX ? g_strdup(spec->path) : NULL;
        if (spec->wait) {
            fd = accept_first(chr, address);
            ok = fd >= 0 || orr_fail(error, ORR_ERROR_IO, "'%s': cannot accept on '%s': %s",
                                     chr->label, address, g_strerror(errno));
        }
        fcntl(chr->listen_fd, F_SETFL, O_NONBLOCK);
        if (ok && spec->wait) {
            connected(chr, fd);
        } else if (ok) {
            listen_again(chr);
        }
    }
    g_free(address);
    return ok;
}
