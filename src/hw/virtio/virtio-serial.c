/* SPDX-License-Identifier: MIT */
/*
 * The virtio console device (VIRTIO 1.2, 5.3): queues, configuration, and the control messages by
 * which the driver learns of ports and the ports of the driver. The idea to hold: with a driver
 * that does not know about ports only port 0 is there, and it is open as soon as the driver is;
 * every other one is announced, gets ready, and is opened.
 */
#include "hw/virtio/virtio-serial.h"

#include <inttypes.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <string.h>

#include "hw/hw-classes.h"
#include "orrery/impl/error.h"

#define PORT_QUEUE_SIZE 128
#define CONTROL_QUEUE_SIZE 32
#define CONTROL_TO_DRIVER 2
#define CONTROL_FROM_DRIVER 3

/* For a driver that asks again and again and never takes the answer. */
#define MAX_MESSAGES 256

static const PropDef serial_props[] = {
    { .name = "max_ports",
      .type = PROP_U32,
      .offset = offsetof(VirtioSerial, max_ports),
      .fallback = "31",
      .min = 1,
      .max = VIRTIO_SERIAL_MAX_PORTS,
      .help = "ports there can be" },
    { .name = "emergency-write",
      .type = PROP_BOOL,
      .offset = offsetof(VirtioSerial, emergency_write),
      .fallback = "on",
      .help = "offer output through a register" },
    { .name = NULL },
};

/* ---- Which queue is whose (5.3.2): port 0 has the first pair, the control queues the second. */

static unsigned first_queue(uint32_t port)
{
    return port == 0 ? 0 : 2 + 2 * port;
}

/* NULL for the control queues and for ports that are not there. */
static SerialPort *port_of_queue(VirtioSerial *serial, unsigned n)
{
    if (n == CONTROL_TO_DRIVER || n == CONTROL_FROM_DRIVER) {
        return NULL;
    }
    return serial->port[n < 2 ? 0 : n / 2 - 1];
}

VirtQueue *serial_rx_queue(const SerialPort *port)
{
    return &port->serial->vdev.queue[first_queue(port->nr)];
}

VirtQueue *serial_tx_queue(const SerialPort *port)
{
    return &port->serial->vdev.queue[first_queue(port->nr) + 1];
}

static bool knows_ports(const VirtioSerial *serial)
{
    return virtio_has(&serial->vdev, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* ---- Control messages (5.3.6.2). */

static void free_message(gpointer message)
{
    g_byte_array_unref(message);
}

static void deliver_messages(VirtioSerial *serial)
{
    VirtQueue *vq = &serial->vdev.queue[CONTROL_TO_DRIVER];
    VirtElement *elem;

    while (!g_queue_is_empty(serial->messages) && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        GByteArray *message = g_queue_pop_head(serial->messages);

        virtqueue_push(elem, iov_write(elem->in, elem->in_count, 0, message->data, message->len));
        free_message(message);
    }
    virtqueue_notify(vq);
}

void serial_send_control(SerialPort *port, uint16_t event, uint16_t value, const char *name)
{
    VirtioSerial *serial = port->serial;
    struct virtio_console_control control = {
        .id = GUINT32_TO_LE(port->nr),
        .event = GUINT16_TO_LE(event),
        .value = GUINT16_TO_LE(value),
    };
    GByteArray *message;

    if (!serial || !virtio_running(&serial->vdev) || !knows_ports(serial) ||
        g_queue_get_length(serial->messages) >= MAX_MESSAGES) {
        return;
    }
    message = g_byte_array_new();
    g_byte_array_append(message, (const guint8 *)&control, sizeof(control));
    if (name) {
        g_byte_array_append(message, (const guint8 *)name, (guint)strlen(name));
    }
    g_queue_push_tail(serial->messages, message);
    deliver_messages(serial);
}

static void port_ready(SerialPort *port)
{
    if (port->console) {
        serial_send_control(port, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
    }
    if (port->name) {
        serial_send_control(port, VIRTIO_CONSOLE_PORT_NAME, 1, port->name);
    }
    if (port->host_open) {
        serial_send_control(port, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    }
}

static void announce_ports(VirtioSerial *serial)
{
    for (unsigned i = 0; i < VIRTIO_SERIAL_MAX_PORTS; i++) {
        if (serial->port[i]) {
            serial_send_control(serial->port[i], VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
        }
    }
}

static void handle_control(VirtioSerial *serial, const struct virtio_console_control *control)
{
    uint32_t id = GUINT32_FROM_LE(control->id);
    uint16_t event = GUINT16_FROM_LE(control->event), value = GUINT16_FROM_LE(control->value);
    SerialPort *port = id < VIRTIO_SERIAL_MAX_PORTS ? serial->port[id] : NULL;

    if (event == VIRTIO_CONSOLE_DEVICE_READY) {
        if (value) {
            announce_ports(serial);
        }
    } else if (!port) {
        virtio_guest_error(&serial->vdev, "message %u about port %" PRIu32, event, id);
    } else if (event == VIRTIO_CONSOLE_PORT_READY) {
        if (value) {
            port_ready(port);
        }
    } else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
        serial_port_set_guest_open(port, value != 0);
    }
}

static void control_from_driver(VirtioSerial *serial)
{
    VirtQueue *vq = &serial->vdev.queue[CONTROL_FROM_DRIVER];
    unsigned budget = CONTROL_QUEUE_SIZE;
    VirtElement *elem = NULL;

    while (budget && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        struct virtio_console_control control;
        size_t got = iov_read(elem->out, elem->out_count, 0, &control, sizeof(control));

        virtqueue_push(elem, 0);
        if (got == sizeof(control)) {
            handle_control(serial, &control);
        }
        budget--;
    }
    if (!budget && virtqueue_has_more(vq)) {
        virtqueue_again(vq, 0);
    }
    virtqueue_notify(vq);
}

/* ---- What the core calls. */

static void serial_queue(VirtioDevice *vdev, unsigned n)
{
    VirtioSerial *serial = (VirtioSerial *)vdev;
    SerialPort *port = port_of_queue(serial, n);

    if (n == CONTROL_TO_DRIVER) {
        deliver_messages(serial);
    } else if (n == CONTROL_FROM_DRIVER) {
        control_from_driver(serial);
    } else if (port && n == first_queue(port->nr)) {
        serial_port_input(port);
    } else if (port) {
        serial_port_output(port);
    }
}

static void serial_stop_queue(VirtioDevice *vdev, unsigned n)
{
    SerialPort *port = port_of_queue((VirtioSerial *)vdev, n);

    if (port) {
        serial_port_stop(port, &vdev->queue[n]);
    }
}

static void serial_status(VirtioDevice *vdev)
{
    VirtioSerial *serial = (VirtioSerial *)vdev;

    if (serial->port[0] && virtio_running(vdev) && !knows_ports(serial)) {
        serial_port_set_guest_open(serial->port[0], true);
    }
}

static void serial_reset(VirtioDevice *vdev)
{
    VirtioSerial *serial = (VirtioSerial *)vdev;

    g_queue_clear_full(serial->messages, free_message);
    for (unsigned i = 0; i < VIRTIO_SERIAL_MAX_PORTS; i++) {
        if (serial->port[i]) {
            serial_port_set_guest_open(serial->port[i], false);
        }
    }
}

static void serial_get_config(VirtioDevice *vdev, uint8_t *bytes)
{
    const VirtioSerial *serial = (const VirtioSerial *)vdev;
    struct virtio_console_config config = { .max_nr_ports = GUINT32_TO_LE(serial->max_ports) };

    memcpy(bytes, &config, sizeof(config));
}

static void serial_set_config(VirtioDevice *vdev, unsigned offset, unsigned size, uint64_t value)
{
    VirtioSerial *serial = (VirtioSerial *)vdev;

    /* 5.3.4: also before the device is set up. */
    if (offset != offsetof(struct virtio_console_config, emerg_wr) || !serial->emergency_write) {
        virtio_guest_error(vdev, "configuration byte %u is not writable", offset);
    } else if (serial->port[0]) {
        serial_port_emergency_write(serial->port[0], (uint8_t)value);
    }
}

static const VirtioOps serial_ops = {
    .device_id = VIRTIO_ID_CONSOLE,
    .config_bytes = sizeof(struct virtio_console_config),
    .get_config = serial_get_config,
    .set_config = serial_set_config,
    .queue = serial_queue,
    .status = serial_status,
    .stop_queue = serial_stop_queue,
    .reset = serial_reset,
};

/* ---- The bus of ports. */

static bool take_number(VirtioSerial *serial, SerialPort *port, GError **error)
{
    uint32_t n = port->nr;

    if (n == SERIAL_PORT_ANY) {
        /* Port 0 is what a driver without ports uses as its console: kept for one. */
        for (n = port->console ? 0 : 1; n < serial->max_ports && serial->port[n]; n++) {
        }
        if (n >= serial->max_ports) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "device '%s': no port is left on '%s' (max_ports=%" PRIu32 ")",
                            port->dev.id, serial->vdev.dev.id, serial->max_ports);
        }
    }
    if (n >= serial->max_ports) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': nr=%" PRIu32 ", but '%s' has ports 0 to %" PRIu32,
                        port->dev.id, n, serial->vdev.dev.id, serial->max_ports - 1);
    }
    if (n == 0 && !port->console) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': port 0 is kept for a virtconsole; use nr=1 or above",
                        port->dev.id);
    }
    if (serial->port[n]) {
        return orr_fail(error, ORR_ERROR_INVALID, "device '%s': port %" PRIu32 " is that of '%s'",
                        port->dev.id, n, serial->port[n]->dev.id);
    }
    port->nr = n;
    return true;
}

static bool port_plugged(Bus *bus, Device *dev, GError **error)
{
    VirtioSerial *serial = (VirtioSerial *)bus->owner;
    SerialPort *port = (SerialPort *)dev;

    if (!take_number(serial, port, error)) {
        return false;
    }
    port->serial = serial;
    serial->port[port->nr] = port;
    if (knows_ports(serial)) {
        serial_send_control(port, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
    } else {
        serial_status(&serial->vdev);
    }
    return true;
}

static void port_unplugged(Bus *bus, Device *dev)
{
    VirtioSerial *serial = (VirtioSerial *)bus->owner;
    SerialPort *port = (SerialPort *)dev;

    serial_port_set_guest_open(port, false);
    serial_port_give_back(port);
    serial_send_control(port, VIRTIO_CONSOLE_PORT_REMOVE, 1, NULL);
    serial->port[port->nr] = NULL;
    port->serial = NULL;
}

/* ---- Life. */

static bool serial_realize(Device *dev, GError **error)
{
    VirtioSerial *serial = (VirtioSerial *)dev;
    /* As QEMU names it: after the user's id, if there is one. */
    bool made_up = g_str_has_prefix(dev->id, dev->cls->name);
    char *name = NULL;
    Bus *bus;

    for (unsigned n = 0; !name; n++) {
        name = g_strdup_printf("%s.%u", made_up ? VIRTIO_SERIAL_BUS_TYPE : dev->id, n);
        if (bus_find(dev->env, name)) {
            g_clear_pointer(&name, g_free);
        }
    }
    serial->messages = g_queue_new();
    virtio_init(&serial->vdev, &serial_ops);
    if (serial->emergency_write) {
        serial->vdev.offered |= VIRTIO_FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE);
    }
    virtio_add_queue(&serial->vdev, PORT_QUEUE_SIZE);
    virtio_add_queue(&serial->vdev, PORT_QUEUE_SIZE);
    if (serial->max_ports > 1) {
        serial->vdev.offered |= VIRTIO_FEATURE(VIRTIO_CONSOLE_F_MULTIPORT);
        virtio_add_queue(&serial->vdev, CONTROL_QUEUE_SIZE);
        virtio_add_queue(&serial->vdev, CONTROL_QUEUE_SIZE);
    }
    for (unsigned n = 1; n < serial->max_ports; n++) {
        virtio_add_queue(&serial->vdev, PORT_QUEUE_SIZE);
        virtio_add_queue(&serial->vdev, PORT_QUEUE_SIZE);
    }
    bus = device_init_bus(dev, VIRTIO_SERIAL_BUS_TYPE, name);
    bus->shared = true;
    bus->plugged = port_plugged;
    bus->unplugged = port_unplugged;
    g_free(name);
    return true;
}

static void serial_unrealize(Device *dev)
{
    VirtioSerial *serial = (VirtioSerial *)dev;

    if (serial->messages) {
        g_queue_free_full(serial->messages, free_message);
        serial->messages = NULL;
    }
    virtio_finish(&serial->vdev);
}

const DeviceClass virtio_serial_class = {
    .name = "virtio-serial-device",
    .summary = "virtio console controller, for virtconsole and virtserialport",
    .bus_type = VIRTIO_BUS_TYPE,
    .provides_bus = VIRTIO_SERIAL_BUS_TYPE,
    .user_creatable = true,
    .instance_bytes = sizeof(VirtioSerial),
    .props = serial_props,
    .parent = &virtio_device_class,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
};
