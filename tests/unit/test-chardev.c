/* SPDX-License-Identifier: MIT */
/*
 * Character back ends other than the terminal: text, streams, sockets, queues, the mux's keys. The
 * front end is a recorder whose room the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hw-fixture.h"
#include "orrery/impl/chardev.h"

typedef struct Front {
    CharFrontend ops;
    unsigned room;
    GString *got, *events;
} Front;

typedef struct Line {
    HwFixture *hw;
    char *dir;
    Front a, b;
} Line;

static unsigned front_can_receive(void *opaque)
{
    return ((Front *)opaque)->room;
}

static void front_receive(void *opaque, const uint8_t *data, unsigned length_bytes)
{
    Front *front = opaque;

    assert_true(length_bytes <= front->room);
    front->room -= length_bytes;
    g_string_append_len(front->got, (const char *)data, length_bytes);
}

static void front_event(void *opaque, int event)
{
    static const char names[] = "OCBio";

    g_string_append_c(((Front *)opaque)->events, names[event]);
}

static void front_init(Front *front)
{
    front->ops = (CharFrontend){ front_can_receive, front_receive, front_event, front };
    front->room = 1000000;
    front->got = g_string_new(NULL);
    front->events = g_string_new(NULL);
}

static void front_finish(Front *front)
{
    g_string_free(front->got, TRUE);
    g_string_free(front->events, TRUE);
}

static int setup(void **state)
{
    Line *l = g_new0(Line, 1);

    l->hw = hw_fixture_new();
    l->dir = g_dir_make_tmp("orrery-chardev-XXXXXX", NULL);
    front_init(&l->a);
    front_init(&l->b);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    Line *l = *state;

    hw_fixture_free(l->hw);
    rmdir(l->dir);
    front_finish(&l->a);
    front_finish(&l->b);
    g_free(l->dir);
    g_free(l);
    return 0;
}

static Chardev *open_chr(Line *l, const char *spec)
{
    GError *error = NULL;
    Chardev *chr = chardev_open(l->hw->cpus, "c0", spec, &error);

    if (!chr) {
        fail_msg("%s: %s", spec, error->message);
    }
    return chr;
}

static void expect_error(GError **error, const char *part)
{
    assert_non_null(*error);
    if (!strstr((*error)->message, part)) {
        fail_msg("'%s' does not hold '%s'", (*error)->message, part);
    }
    assert_null(strchr((*error)->message, '\n'));
    g_clear_error(error);
}

static void put(Chardev *chr, const char *text)
{
    chardev_write(chr, (const uint8_t *)text, (unsigned)strlen(text));
}

typedef struct Expected {
    GString *seen;
    gsize length;
} Expected;

static bool has_length(void *opaque)
{
    Expected *expected = opaque;

    return expected->seen->len >= expected->length;
}

/* Runs the main loop until it has come, and only that. */
static void expect_got(Line *l, Front *front, const char *text)
{
    Expected expected = { front->got, strlen(text) };

    hw_run_until(l->hw, has_length, &expected);
    assert_string_equal(front->got->str, text);
    g_string_truncate(front->got, 0);
}

static void expect_events(Line *l, Front *front, const char *events)
{
    Expected expected = { front->events, strlen(events) };

    hw_run_until(l->hw, has_length, &expected);
    assert_string_equal(front->events->str, events);
    g_string_truncate(front->events, 0);
}

static void settle(Line *l)
{
    for (unsigned i = 0; i < 20; i++) {
        main_loop_iterate(l->hw->cpus, false);
    }
}

static void expect_read(int fd, const char *text)
{
    char buffer[4096] = { 0 };
    size_t length = strlen(text), done = 0;

    while (done < length) {
        ssize_t n = read(fd, buffer + done, length - done);

        assert_true(n > 0);
        done += (size_t)n;
    }
    assert_string_equal(buffer, text);
}

static void send_all(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- Text. */

static void wrong_specs_are_refused(void **state)
{
    static const struct {
        const char *spec, *part;
    } cases[] = {
        { "", "no character back end ''" },
        { "stdo", "did you mean 'stdio'" },
        { "mon:nul", "did you mean 'null'" },
        { "telnet:localhost:1", "no character back end 'telnet'" },
        { "null:x", "nothing after a colon" },
        { "null,wait=off", "does not take the option 'wait'" },
        { "file", "needs file:" },
        { "file:", "needs a path" },
        { "file:/nowhere/at/all", "cannot open '/nowhere/at/all'" },
        { "pipe:/nowhere/at/all", "mkfifo" },
        { "unix:/nowhere/at/all", "cannot connect to '/nowhere/at/all'" },
        { "unix:/nowhere/at/all,server=on", "cannot listen on" },
        { "unix:/x,server=perhaps", "on or off" },
        { "unix:/x,serve=on", "does not take the option 'serve'" },
        { "tcp:localhost", "names no port" },
        { "tcp:localhost:", "names no port" },
        { "tcp:localhost:nosuchport", "cannot connect" },
        { "fd:", "not a file descriptor" },
        { "fd:-1", "not a file descriptor" },
        { "fd:99999999999", "not a file descriptor" },
        { "fd:987654", "is not open" },
        { "ringbuf:0", "not between" },
        { "ringbuf:1T", "not between" },
        { "ringbuf:x", "size 'x'" },
    };
    Line *l = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;

        assert_null(chardev_open(l->hw->cpus, "c0", cases[i].spec, &error));
        assert_non_null(strstr(error->message, "c0"));
        expect_error(&error, cases[i].part);
    }
}

static void chardev_options_become_specs(void **state)
{
    static const struct {
        const char *options, *id, *spec;
    } cases[] = {
        { "null,id=a", "a", "null" },
        { "stdio,id=a,mux=on,signal=off", "a", "mon:stdio,signal=off" },
        { "file,path=/a,,b,id=a,append=on", "a", "file:/a,,b,append=on" },
        { "socket,id=a,path=/s,server=on,wait=off", "a", "unix:/s,server=on,wait=off" },
        { "socket,id=a,host=h,port=1", "a", "tcp:h:1" },
        { "socket,id=a,port=1,server=on", "a", "tcp::1,server=on" },
        { "ringbuf,id=a,size=4K", "a", "ringbuf:4K" },
        { "fd,id=a,fd=3", "a", "fd:3" },
        { "id=a,backend=pty", "a", "pty" },
    };
    static const struct {
        const char *options, *part;
    } bad[] = {
        { "null", "id=ID" },
        { "id=a", "id=ID" },
        { "", "id=ID" },
        { "socket,id=a", "path=" },
        { "nul,id=a", "did you mean 'null'" },
        { "null,id=a,path=/x", "nothing after a colon" },
        { "null,id=a,mux=maybe", "on or off" },
        { "file,id=a,path=/x,frob=1", "does not take the option 'frob'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        char *id, *spec;

        if (!chardev_parse_options(cases[i].options, &id, &spec, &error)) {
            fail_msg("%s: %s", cases[i].options, error->message);
        }
        assert_string_equal(id, cases[i].id);
        assert_string_equal(spec, cases[i].spec);
        g_free(id);
        g_free(spec);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        char *id, *spec;

        assert_false(chardev_parse_options(bad[i].options, &id, &spec, &error));
        assert_null(id);
        assert_null(spec);
        expect_error(&error, bad[i].part);
    }
}

/* ---- Streams. */

static void nothing_takes_all(void **state)
{
    Line *l = *state;
    Chardev *chr = open_chr(l, "null");

    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    put(chr, "lost");
    settle(l);
    assert_string_equal(l->a.got->str, "");
    assert_false(chardev_is_mux(chr));
    assert_string_equal(chardev_label(chr), "c0");
    chardev_close(chr);
    chardev_close(NULL);
}

static void a_file_has_what_was_written(void **state)
{
    Line *l = *state;
    char *path = g_build_filename(l->dir, "out=1", NULL);
    char *spec = g_strconcat("file:", path, NULL), *append = g_strconcat(spec, ",append=on", NULL);
    char *text;
    Chardev *chr = open_chr(l, spec);

    put(chr, "one");
    chardev_close(chr);
    chr = open_chr(l, spec);
    put(chr, "two");
    chardev_close(chr);
    chr = open_chr(l, append);
    put(chr, "three");
    chardev_close(chr);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, "twothree");
    unlink(path);
    g_free(text);
    g_free(path);
    g_free(spec);
    g_free(append);
}

static void a_ring_keeps_the_newest(void **state)
{
    Line *l = *state;
    Chardev *chr = open_chr(l, "ringbuf:8");
    char text[16] = { 0 };

    put(chr, "abcdefghijkl");
    assert_int_equal(chardev_ringbuf_read(chr, (uint8_t *)text, 3), 3);
    assert_string_equal(text, "efg");
    put(chr, "MNO");
    assert_int_equal(chardev_ringbuf_read(chr, (uint8_t *)text, 16), 8);
    assert_memory_equal(text, "hijklMNO", 8);
    assert_int_equal(chardev_ringbuf_read(chr, (uint8_t *)text, 16), 0);
    chardev_close(chr);
}

static void fifos_go_both_ways(void **state)
{
    Line *l = *state;
    char *in = g_build_filename(l->dir, "p.in", NULL),
         *out = g_build_filename(l->dir, "p.out", NULL);
    char *spec = g_strdup_printf("pipe:%s/p", l->dir);
    Chardev *chr;
    int to, from;

    assert_int_equal(mkfifo(in, 0600) | mkfifo(out, 0600), 0);
    chr = open_chr(l, spec);
    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    to = open(in, O_WRONLY | O_CLOEXEC);
    from = open(out, O_RDONLY | O_CLOEXEC);
    send_all(to, "ping");
    expect_got(l, &l->a, "ping");
    put(chr, "pong");
    expect_read(from, "pong");
    /* A writer that goes is not the end. */
    close(to);
    settle(l);
    to = open(in, O_WRONLY | O_CLOEXEC);
    send_all(to, "again");
    expect_got(l, &l->a, "again");
    chardev_close(chr);
    close(to);
    close(from);
    unlink(in);
    unlink(out);
    g_free(in);
    g_free(out);
    g_free(spec);
}

/* The front end's room is the limit, down to not reading at all. */
static void input_waits_for_room(void **state)
{
    Line *l = *state;
    int pair[2];
    char spec[32];
    Chardev *chr;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    g_snprintf(spec, sizeof(spec), "fd:%d", pair[1]);
    chr = open_chr(l, spec);
    send_all(pair[0], "abcdefgh");
    settle(l);
    l->a.room = 0;
    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    settle(l);
    assert_string_equal(l->a.got->str, "");
    l->a.room = 3;
    chardev_accept_input(chr);
    expect_got(l, &l->a, "abc");
    settle(l);
    l->a.room = 100;
    chardev_accept_input(chr);
    expect_got(l, &l->a, "defgh");
    expect_events(l, &l->a, "O");
    close(pair[0]);
    expect_events(l, &l->a, "C");
    chardev_close(chr);
}

static void one_front_end_unless_mux(void **state)
{
    Line *l = *state;
    Chardev *chr = open_chr(l, "null");
    GError *error = NULL;

    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    assert_false(chardev_attach(chr, &l->b.ops, &error));
    expect_error(&error, "'c0' is in use");
    chardev_detach(chr, &l->a);
    assert_true(chardev_attach(chr, &l->b.ops, NULL));
    chardev_close(chr);
}

typedef struct Drained {
    int fd;
    uint64_t bytes, last;
} Drained;

static bool nothing_left(void *opaque)
{
    Drained *drained = opaque;
    char buffer[65536];
    ssize_t n;

    while ((n = recv(drained->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
        drained->bytes += (uint64_t)n;
        drained->last = (uint8_t)buffer[n - 1];
    }
    return drained->last == '!';
}

/* A reader that stops reading holds nobody up; the newest output survives. */
static void a_stuck_reader_loses_the_oldest(void **state)
{
    Line *l = *state;
    int pair[2];
    char spec[32];
    Chardev *chr;
    uint64_t written = 0;
    Drained drained = { 0 };

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    g_snprintf(spec, sizeof(spec), "fd:%d", pair[1]);
    chr = open_chr(l, spec);
    assert_false(chardev_congested(chr));
    for (unsigned i = 0; i < 100000; i++) {
        put(chr, "0123456789012345678901234567890123456789");
        written += 40;
    }
    put(chr, "!");
    written++;
    assert_true(chardev_congested(chr));
    assert_true(chardev_dropped_bytes(chr) > 0);
    drained.fd = pair[0];
    hw_run_until(l->hw, nothing_left, &drained);
    assert_true(drained.bytes + chardev_dropped_bytes(chr) == written);
    assert_false(chardev_congested(chr));
    chardev_close(chr);
    close(pair[0]);
}

static void a_reader_that_went_away_is_no_harm(void **state)
{
    Line *l = *state;
    int pair[2];
    char spec[32];
    Chardev *chr;

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    g_snprintf(spec, sizeof(spec), "fd:%d", pair[1]);
    chr = open_chr(l, spec);
    close(pair[0]);
    put(chr, "into the void");
    settle(l);
    put(chr, "into the void");
    chardev_close(chr);
}

/* ---- Sockets. */

static int connect_unix(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void a_server_takes_one_after_the_other(void **state)
{
    Line *l = *state;
    char *path = g_build_filename(l->dir, "sock", NULL);
    char *spec = g_strdup_printf("unix:%s,server=on,wait=off", path);
    Chardev *chr = open_chr(l, spec);
    struct stat st;
    int fd;

    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    put(chr, "nobody there");
    for (unsigned i = 0; i < 3; i++) {
        fd = connect_unix(path);
        expect_events(l, &l->a, "O");
        send_all(fd, "hello");
        expect_got(l, &l->a, "hello");
        put(chr, "world");
        expect_read(fd, "world");
        close(fd);
        expect_events(l, &l->a, "C");
    }
    chardev_close(chr);
    assert_int_equal(stat(path, &st), -1);
    g_free(path);
    g_free(spec);
}

static void client_and_server_meet(void **state)
{
    Line *l = *state;
    char *path = g_build_filename(l->dir, "sock", NULL);
    char *server_spec = g_strdup_printf("unix:%s,server,nowait", path);
    char *client_spec = g_strdup_printf("unix:%s", path);
    Chardev *server = open_chr(l, server_spec), *client = open_chr(l, client_spec);
    GError *error = NULL;

    assert_true(chardev_attach(server, &l->a.ops, NULL));
    assert_true(chardev_attach(client, &l->b.ops, NULL));
    put(client, "from client");
    expect_got(l, &l->a, "from client");
    put(server, "from server");
    expect_got(l, &l->b, "from server");
    assert_null(chardev_open(l->hw->cpus, "second", server_spec, &error));
    expect_error(&error, "cannot listen on");
    chardev_close(server);
    expect_events(l, &l->b, "OC");
    put(client, "nobody");
    chardev_close(client);
    g_free(path);
    g_free(server_spec);
    g_free(client_spec);
}

static void a_stale_socket_file_is_replaced(void **state)
{
    Line *l = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char *path = g_build_filename(l->dir, "sock", NULL);
    char *spec = g_strdup_printf("unix:%s,server=on,wait=off", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    chardev_close(open_chr(l, spec));
    g_free(path);
    g_free(spec);
}

static void tcp_works_as_well(void **state)
{
    Line *l = *state;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *spec;
    Chardev *chr, *client;

    /* A port that was free just now. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(probe, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&address, &length), 0);
    close(probe);
    spec = g_strdup_printf("tcp:127.0.0.1:%u,server=on,wait=off", ntohs(address.sin_port));
    chr = open_chr(l, spec);
    g_free(spec);
    spec = g_strdup_printf("tcp:127.0.0.1:%u", ntohs(address.sin_port));
    client = open_chr(l, spec);
    assert_true(chardev_attach(chr, &l->a.ops, NULL));
    assert_true(chardev_attach(client, &l->b.ops, NULL));
    put(client, "ping");
    expect_got(l, &l->a, "ping");
    put(chr, "pong");
    expect_got(l, &l->b, "pong");
    chardev_close(client);
    expect_events(l, &l->a, "OC");
    chardev_close(chr);
    g_free(spec);
}

/* ---- The mux. */

typedef struct Muxed {
    Line *l;
    Chardev *chr;
    int fd;
    unsigned quits, syncs;
} Muxed;

static void count_quit(void *opaque)
{
    ((Muxed *)opaque)->quits++;
}

static void count_sync(void *opaque)
{
    ((Muxed *)opaque)->syncs++;
}

static void open_mux(Muxed *m, Line *l)
{
    CharHooks hooks = { count_quit, count_sync, m };
    int pair[2];
    char spec[32];

    *m = (Muxed){ .l = l };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    g_snprintf(spec, sizeof(spec), "mon:fd:%d", pair[1]);
    m->chr = open_chr(l, spec);
    m->fd = pair[0];
    chardev_set_hooks(m->chr, &hooks);
    assert_true(chardev_is_mux(m->chr));
    assert_true(chardev_attach(m->chr, &l->a.ops, NULL));
    assert_true(chardev_attach(m->chr, &l->b.ops, NULL));
}

static void close_mux(Muxed *m)
{
    chardev_close(m->chr);
    close(m->fd);
}

static void keys_switch_front_ends(void **state)
{
    Line *l = *state;
    Muxed m;

    open_mux(&m, l);
    send_all(m.fd, "to a");
    expect_got(l, &l->a, "to a");
    send_all(m.fd, "\x01"
                   "cto b");
    expect_got(l, &l->b, "to b");
    assert_string_equal(l->a.got->str, "");
    expect_events(l, &l->a, "Oo");
    expect_events(l, &l->b, "Oi");
    send_all(m.fd, "\x01");
    settle(l);
    send_all(m.fd, "c\x01\x01\x01"
                   "a\x01zx");
    expect_got(l, &l->a, "\x01\x01x");
    put(m.chr, "both write");
    expect_read(m.fd, "both write");
    close_mux(&m);
}

static void keys_do_what_help_says(void **state)
{
    Line *l = *state;
    Muxed m;
    char help[4096] = { 0 };

    open_mux(&m, l);
    send_all(m.fd, "\x01s\x01"
                   "b!");
    expect_got(l, &l->a, "!");
    assert_int_equal(m.syncs, 1);
    expect_events(l, &l->a, "OB");
    send_all(m.fd, "\x01h!");
    expect_got(l, &l->a, "!");
    assert_true(recv(m.fd, help, sizeof(help) - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(help, "Ctrl-A x"));
    send_all(m.fd, "\x01x!");
    expect_got(l, &l->a, "!");
    assert_int_equal(m.quits, 1);
    close_mux(&m);
}

/* A guest that takes nothing can still be ended. */
static void keys_work_while_nobody_reads(void **state)
{
    Line *l = *state;
    Muxed m;

    open_mux(&m, l);
    l->a.room = 2;
    send_all(m.fd, "abcdef\x01x");
    settle(l);
    assert_int_equal(m.quits, 1);
    assert_string_equal(l->a.got->str, "ab");
    l->a.room = 100;
    chardev_accept_input(m.chr);
    expect_got(l, &l->a, "abcdef");
    close_mux(&m);
}

static void without_a_hook_quitting_is_a_shutdown(void **state)
{
    Line *l = *state;
    CharHooks none = { 0 };
    Muxed m;

    open_mux(&m, l);
    chardev_set_hooks(m.chr, &none);
    send_all(m.fd, "\x01s\x01x");
    assert_int_equal(main_loop_run(l->hw->cpus, false, false), 0);
    close_mux(&m);
}

static void front_ends_may_leave(void **state)
{
    Line *l = *state;
    Muxed m;

    open_mux(&m, l);
    send_all(m.fd, "\x01"
                   "c1");
    expect_got(l, &l->b, "1");
    chardev_detach(m.chr, &l->b);
    send_all(m.fd, "2");
    expect_got(l, &l->a, "2");
    chardev_detach(m.chr, &l->a);
    send_all(m.fd, "3\x01"
                   "c\x01"
                   "b\x01h");
    settle(l);
    assert_true(chardev_attach(m.chr, &l->b.ops, NULL));
    settle(l);
    close_mux(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_specs_are_refused),
        cmocka_unit_test(chardev_options_become_specs),
        TEST(nothing_takes_all),
        TEST(a_file_has_what_was_written),
        TEST(a_ring_keeps_the_newest),
        TEST(fifos_go_both_ways),
        TEST(input_waits_for_room),
        TEST(one_front_end_unless_mux),
        TEST(a_stuck_reader_loses_the_oldest),
        TEST(a_reader_that_went_away_is_no_harm),
        TEST(a_server_takes_one_after_the_other),
        TEST(client_and_server_meet),
        TEST(a_stale_socket_file_is_replaced),
        TEST(tcp_works_as_well),
        TEST(keys_switch_front_ends),
        TEST(keys_do_what_help_says),
        TEST(keys_work_while_nobody_reads),
        TEST(without_a_hook_quitting_is_a_shutdown),
        TEST(front_ends_may_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
