/* SPDX-License-Identifier: MIT */
/*
 * Ports of a virtio console: a console (virtconsole) or a plain channel (virtserialport), each with
 * a character back end. The idea to hold: neither side may flood the other. Output stops while the
 * back end is congested and goes on by the queue's timer; input is taken only into buffers that
 * the driver has provided.
 */
#include <linux/virtio_console.h>

#include "hw/hw-classes.h"
#include "hw/virtio/virtio-serial.h"

/* What one call writes before others get their turn, and what an empty buffer counts for. */
#define OUTPUT_BUDGET_BYTES ((uint64_t)64 * 1024)
#define BUFFER_COST_BYTES 64

/* How often a congested back end is looked at. */
#define CONGESTED_NS 2000000
#define MAX_INPUT_BYTES 4096

static const PropDef port_props[] = {
    { .name = "chardev",
      .type = PROP_STRING,
      .offset = offsetof(SerialPort, chardev),
      .help = "id of a -chardev" },
    { .name = "name",
      .type = PROP_STRING,
      .offset = offsetof(SerialPort, name),
      .help = "name that the guest sees" },
    { .name = "nr",
      .type = PROP_U32,
      .offset = offsetof(SerialPort, nr),
      .fallback = "4294967295",
      .help = "number of the port; the first free one if not given" },
    { .name = NULL },
};

/* ---- Output. */

static bool goes_somewhere(const SerialPort *port)
{
    return port->chr && port->host_open;
}

/* Writes up to limit bytes of the current element; bytes that go nowhere count as written. */
static uint64_t write_part(SerialPort *port, uint64_t limit)
{
    const VirtElement *elem = port->tx;
    uint64_t skip = port->tx_done, done = 0;

    if (!goes_somewhere(port)) {
        return elem->out_bytes - port->tx_done;
    }
    for (unsigned i = 0; i < elem->out_count && done < limit; i++) {
        uint64_t length = elem->out[i].iov_len;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        length = MIN(length - skip, limit - done);
        chardev_write(port->chr, (const uint8_t *)elem->out[i].iov_base + skip, (unsigned)length);
        done += length;
        skip = 0;
    }
    return done;
}

void serial_port_output(SerialPort *port)
{
    VirtQueue *vq = serial_tx_queue(port);
    uint64_t budget = OUTPUT_BUDGET_BYTES;

    while (port->tx || virtqueue_has_more(vq)) {
        bool congested = goes_somewhere(port) && chardev_congested(port->chr);
        uint64_t part;

        if (congested || budget < BUFFER_COST_BYTES) {
            virtqueue_again(vq, congested ? CONGESTED_NS : 0);
            break;
        }
        if (!port->tx) {
            port->tx = virtqueue_pop(vq, sizeof(*port->tx));
            port->tx_done = 0;
            if (!port->tx) {
                break;
            }
            budget -= BUFFER_COST_BYTES;
        }
        part = write_part(port, budget);
        port->tx_done += part;
        budget -= MIN(budget, part);
        if (port->tx_done == port->tx->out_bytes) {
            virtqueue_push(port->tx, 0);
            port->tx = NULL;
        }
    }
    virtqueue_notify(vq);
}

void serial_port_emergency_write(SerialPort *port, uint8_t byte)
{
    if (goes_somewhere(port)) {
        chardev_write(port->chr, &byte, 1);
    }
}

/* ---- Input. */

static bool takes_input(SerialPort *port)
{
    return port->serial && port->guest_open && virtio_running(&port->serial->vdev);
}

/* Gets a buffer to fill, if there is none yet; passes over those that cannot be written to. */
static bool get_rx(SerialPort *port)
{
    VirtQueue *vq = serial_rx_queue(port);

    for (unsigned budget = vq->size; !port->rx && budget; budget--) {
        port->rx = virtqueue_pop(vq, sizeof(*port->rx));
        if (!port->rx) {
            return false;
        }
        if (port->rx->in_bytes == 0) {
            virtqueue_push(port->rx, 0);
            port->rx = NULL;
        }
    }
    return port->rx != NULL;
}

static unsigned can_receive(void *opaque)
{
    SerialPort *port = opaque;

    if (!takes_input(port) || !get_rx(port)) {
        return 0;
    }
    return (unsigned)MIN(port->rx->in_bytes, MAX_INPUT_BYTES);
}

static void receive(void *opaque, const uint8_t *data, unsigned length_bytes)
{
    SerialPort *port = opaque;
    VirtElement *elem = port->rx;

    /* The port may have been closed since it said that it had room. */
    if (elem && takes_input(port)) {
        VirtQueue *vq = elem->queue;

        port->rx = NULL;
        virtqueue_push(elem, iov_write(elem->in, elem->in_count, 0, data, length_bytes));
        virtqueue_notify(vq);
    }
}

void serial_port_input(SerialPort *port)
{
    if (port->chr && takes_input(port)) {
        chardev_accept_input(port->chr);
    }
}

/* ---- Stopped, opened, closed. */

void serial_port_stop(SerialPort *port, const VirtQueue *vq)
{
    if (port->tx && port->tx->queue == vq) {
        virtqueue_drop(port->tx);
        port->tx = NULL;
    }
    if (port->rx && port->rx->queue == vq) {
        virtqueue_drop(port->rx);
        port->rx = NULL;
    }
}

void serial_port_give_back(SerialPort *port)
{
    if (port->tx) {
        virtqueue_push(port->tx, 0);
        port->tx = NULL;
        virtqueue_notify(serial_tx_queue(port));
    }
    if (port->rx) {
        virtqueue_push(port->rx, 0);
        port->rx = NULL;
        virtqueue_notify(serial_rx_queue(port));
    }
}

void serial_port_set_guest_open(SerialPort *port, bool open)
{
    if (open != port->guest_open) {
        port->guest_open = open;
        serial_port_input(port);
    }
}

static void event(void *opaque, int what)
{
    SerialPort *port = opaque;

    if (port->console || (what != CHAR_EVENT_OPENED && what != CHAR_EVENT_CLOSED)) {
        return; /* a console is always there */
    }
    port->host_open = what == CHAR_EVENT_OPENED;
    serial_send_control(port, VIRTIO_CONSOLE_PORT_OPEN, port->host_open, NULL);
}

/* ---- Life. */

static bool port_realize(Device *dev, GError **error)
{
    SerialPort *port = (SerialPort *)dev;
    CharFrontend frontend = {
        .can_receive = can_receive,
        .receive = receive,
        .event = event,
        .opaque = port,
    };

    port->console = dev->cls == &virtconsole_class;
    port->host_open = port->console;
    if (!device_get_chardev(dev, port->chardev, &port->chr, error)) {
        return false;
    }
    if (port->chr && !chardev_attach(port->chr, &frontend, error)) {
        port->chr = NULL;
        return false;
    }
    return true;
}

static void port_unrealize(Device *dev)
{
    SerialPort *port = (SerialPort *)dev;

    if (port->chr) {
        chardev_detach(port->chr, port);
        port->chr = NULL;
    }
}

const DeviceClass virtserialport_class = {
    .name = "virtserialport",
    .summary = "port of a virtio-serial-device",
    .bus_type = VIRTIO_SERIAL_BUS_TYPE,
    .user_creatable = true,
    .instance_bytes = sizeof(SerialPort),
    .props = port_props,
    .realize = port_realize,
    .unrealize = port_unrealize,
};

const DeviceClass virtconsole_class = {
    .name = "virtconsole",
    .summary = "console on a virtio-serial-device",
    .bus_type = VIRTIO_SERIAL_BUS_TYPE,
    .user_creatable = true,
    .instance_bytes = sizeof(SerialPort),
    .props = port_props,
    .realize = port_realize,
    .unrealize = port_unrealize,
};
