/* SPDX-License-Identifier: MIT */
/*
 * The virtio console and its ports, driven as a guest's driver does: output and input with and
 * without ports, the messages about ports, and a far end that does not read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orrery/impl/chardev.h"
#include "virtio-driver.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))

static Chardev *ringbuf(Rig *rig, const char *id)
{
    GError *error = NULL;
    char *options = g_strdup_printf("ringbuf,id=%s", id);
    Chardev *chr = device_env_add_chardev(&rig->env, NULL, options, &error);

    if (!chr) {
        fail_msg("%s", error->message);
    }
    g_free(options);
    return chr;
}

static void expect_output(Chardev *chr, const char *text)
{
    uint8_t data[256] = { 0 };
    size_t n = chardev_ringbuf_read(chr, data, sizeof(data) - 1);

    data[n] = 0;
    assert_string_equal((char *)data, text);
}

static void send_text(Rig *rig, RigQueue *q, const char *text)
{
    memcpy(rig_ptr(rig, RIG_DATA), text, strlen(text));
    rig_add_chain(rig, q, &(RigBuf){ RIG_DATA, (uint32_t)strlen(text), false }, 1);
    rig_kick(rig, q);
    assert_int_equal(rig_wait(rig, q, NULL), 0);
}

static void test_console_output(void **state)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        Rig *rig = rig_new(legacy);
        Chardev *chr = ringbuf(rig, "c0");
        RigQueue tx;

        rig_add(rig, "virtio-serial-device,max_ports=1");
        rig_add(rig, "virtconsole,chardev=c0");
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_ID), 3);
        assert_false(rig_offered(rig) & FEATURE(VIRTIO_CONSOLE_F_MULTIPORT));
        rig_negotiate(rig, rig_offered(rig));
        rig_setup_queue(rig, &tx, 1, 64);
        rig_set_config(rig, 8, 4, '!'); /* emergency write, 5.3.4 */
        expect_output(chr, "!");
        rig_driver_ok(rig);
        send_text(rig, &tx, "hello");
        send_text(rig, &tx, ", world");
        expect_output(chr, "hello, world");
        assert_int_equal(rig->raised, 1);
        rig_free(rig);
    }
}

/* A port's far end: the test holds one end of a socket. */
static int socket_chardev(Rig *rig, const char *id)
{
    GError *error = NULL;
    char *spec;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    spec = g_strdup_printf("fd:%d", pair[1]);
    if (!device_env_add_chardev(&rig->env, id, spec, &error)) {
        fail_msg("%s", error->message);
    }
    g_free(spec);
    return pair[0];
}

static void test_console_input(void **state)
{
    Rig *rig = rig_new(false);
    int fd = socket_chardev(rig, "c0");
    RigQueue rx;
    char text[16];

    rig_add(rig, "virtio-serial-device,max_ports=1");
    rig_add(rig, "virtconsole,chardev=c0");
    assert_int_equal(write(fd, "abcdefghij", 10), 10);
    rig_pump(rig);
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, &rx, 0, 64);
    rig_driver_ok(rig);
    rig_pump(rig);
    assert_int_equal(rig_used_idx(rig, &rx), 0);
    /* It waits in the host until there are buffers, however small. */
    for (unsigned i = 0; i < 3; i++) {
        rig_add_chain(rig, &rx, &(RigBuf){ RIG_DATA + i * 4, 4, true }, 1);
    }
    rig_kick(rig, &rx);
    assert_int_equal(rig_wait(rig, &rx, NULL), 4);
    assert_int_equal(rig_wait(rig, &rx, NULL), 4);
    assert_int_equal(rig_wait(rig, &rx, NULL), 2);
    assert_memory_equal(rig_ptr(rig, RIG_DATA), "abcdefghij", 10);
    rig_add_chain(rig, &rx, &(RigBuf){ RIG_DATA, 4096, true }, 1);
    rig_kick(rig, &rx);
    /* Across a reset nothing is written that the driver took back. */
    rig_write(rig, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(write(fd, "klm", 3), 3);
    rig_pump(rig);
    assert_memory_equal(rig_ptr(rig, RIG_DATA), "abc", 3);
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, &rx, 0, 64);
    rig_driver_ok(rig);
    rig_add_chain(rig, &rx, &(RigBuf){ RIG_DATA, 4096, true }, 1);
    rig_kick(rig, &rx);
    assert_int_equal(rig_wait(rig, &rx, NULL), 3);
    memcpy(text, rig_ptr(rig, RIG_DATA), 3);
    assert_memory_equal(text, "klm", 3);
    rig_free(rig);
    close(fd);
}

typedef struct Multi {
    Rig *rig;
    RigQueue rx, tx, control_in, control_out;
} Multi;

static void send_control(Multi *m, uint32_t id, uint16_t event, uint16_t value)
{
    struct virtio_console_control control = { GUINT32_TO_LE(id), GUINT16_TO_LE(event),
                                              GUINT16_TO_LE(value) };

    memcpy(rig_ptr(m->rig, RIG_DATA), &control, sizeof(control));
    rig_add_chain(m->rig, &m->control_out, &(RigBuf){ RIG_DATA, sizeof(control), false }, 1);
    rig_kick(m->rig, &m->control_out);
    rig_wait(m->rig, &m->control_out, NULL);
}

static void expect_control(Multi *m, uint32_t id, uint16_t event, uint16_t value, const char *name)
{
    hwaddr at = RIG_DATA + 0x1000;
    struct virtio_console_control control;
    uint32_t length;

    rig_add_chain(m->rig, &m->control_in, &(RigBuf){ at, 64, true }, 1);
    rig_kick(m->rig, &m->control_in);
    length = rig_wait(m->rig, &m->control_in, NULL);
    memcpy(&control, rig_ptr(m->rig, at), sizeof(control));
    assert_int_equal(GUINT32_FROM_LE(control.id), id);
    assert_int_equal(GUINT16_FROM_LE(control.event), event);
    assert_int_equal(GUINT16_FROM_LE(control.value), value);
    assert_int_equal(length, sizeof(control) + strlen(name));
    assert_memory_equal((char *)rig_ptr(m->rig, at) + sizeof(control), name, strlen(name));
}

static void test_multiport(void **state)
{
    Multi m = { .rig = rig_new(false) };
    Chardev *console = ringbuf(m.rig, "c0"), *port = ringbuf(m.rig, "c1");
    Device *extra;

    rig_add(m.rig, "virtio-serial-device,id=vs");
    rig_add(m.rig, "virtserialport,bus=vs.0,chardev=c1,name=org.test");
    rig_add(m.rig, "virtconsole,bus=vs.0,chardev=c0");
    assert_int_equal(rig_config(m.rig, 4, 4), 31);
    rig_negotiate(m.rig, rig_offered(m.rig));
    rig_setup_queue(m.rig, &m.control_in, 2, 32);
    rig_setup_queue(m.rig, &m.control_out, 3, 32);
    rig_setup_queue(m.rig, &m.tx, 5, 64);
    rig_driver_ok(m.rig);
    send_control(&m, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
    expect_control(&m, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    expect_control(&m, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    send_control(&m, 0, VIRTIO_CONSOLE_PORT_READY, 1);
    expect_control(&m, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
    expect_control(&m, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    send_control(&m, 1, VIRTIO_CONSOLE_PORT_READY, 1);
    expect_control(&m, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "org.test");
    expect_control(&m, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
    send_control(&m, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    send_text(m.rig, &m.tx, "to the port");
    expect_output(port, "to the port");
    expect_output(console, "");
    rig_setup_queue(m.rig, &m.tx, 1, 64);
    send_text(m.rig, &m.tx, "to the console");
    expect_output(console, "to the console");

    /* One that comes and goes while the driver runs. */
    extra = rig_add(m.rig, "virtserialport,bus=vs.0,nr=7");
    expect_control(&m, 7, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    device_remove(extra);
    expect_control(&m, 7, VIRTIO_CONSOLE_PORT_REMOVE, 1, "");
    /* Nonsense is passed over, and so is a flood that nobody listens to. */
    send_control(&m, 7, VIRTIO_CONSOLE_PORT_READY, 1);
    send_control(&m, 0, 99, 1);
    for (unsigned i = 0; i < 1000; i++) {
        send_control(&m, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    }
    expect_control(&m, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
    assert_false(rig_broken(m.rig));
    rig_free(m.rig);
}

/* A far end that reads nothing holds the driver back, and loses nothing. */
static void test_console_congested(void **state)
{
    const unsigned bytes = 1 << 20;
    Rig *rig = rig_new(false);
    int fd = socket_chardev(rig, "c0");
    uint8_t *data = rig_ptr(rig, RIG_DATA), buffer[4096];
    unsigned received = 0;
    RigQueue tx;

    rig_add(rig, "virtio-serial-device,max_ports=1");
    rig_add(rig, "virtconsole,chardev=c0");
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, &tx, 1, 64);
    rig_driver_ok(rig);
    for (unsigned i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(i / 251);
    }
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    rig_add_chain(rig, &tx, &(RigBuf){ RIG_DATA, bytes, false }, 1);
    rig_kick(rig, &tx);
    rig_pump(rig);
    assert_int_equal(rig_used_idx(rig, &tx), 0);
    while (received < bytes) {
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n > 0) {
            assert_memory_equal(buffer, data + received, (size_t)n);
            received += (unsigned)n;
        } else {
            assert_int_equal(errno, EAGAIN);
            main_loop_iterate(rig->cpus, true);
        }
    }
    assert_int_equal(rig_wait(rig, &tx, NULL), 0);
    rig_free(rig);
    close(fd);
}

/* A port that goes gives the driver its buffers back. */
static void test_unplug_port(void **state)
{
    Rig *rig = rig_new(false);
    int fd = socket_chardev(rig, "c0");
    RigQueue rx, tx;
    Device *port;

    rig_add(rig, "virtio-serial-device,max_ports=1");
    port = rig_add(rig, "virtconsole,chardev=c0");
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, &rx, 0, 64);
    rig_setup_queue(rig, &tx, 1, 64);
    rig_driver_ok(rig);
    rig_add_chain(rig, &rx, &(RigBuf){ RIG_DATA, 16, false }, 1); /* of no use: passed over */
    rig_add_chain(rig, &rx, &(RigBuf){ RIG_DATA, 16, true }, 1);
    rig_add_chain(rig, &tx, &(RigBuf){ RIG_DATA, 0x400000, false }, 1);
    rig_kick(rig, &rx);
    rig_kick(rig, &tx);
    rig_pump(rig);
    assert_int_equal(rig_used_idx(rig, &rx), 1);
    assert_int_equal(rig_used_idx(rig, &tx), 0);
    device_remove(port);
    assert_int_equal(rig_used_idx(rig, &rx), 2);
    assert_int_equal(rig_used_idx(rig, &tx), 1);
    /* Another takes its place, without a far end: what is written is gone. */
    rig_add(rig, "virtconsole");
    tx.seen_used = 1;
    send_text(rig, &tx, "lost");
    rig_free(rig);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_console_output), cmocka_unit_test(test_console_input),
        cmocka_unit_test(test_multiport),      cmocka_unit_test(test_console_congested),
        cmocka_unit_test(test_unplug_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
