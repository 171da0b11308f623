/* SPDX-License-Identifier: MIT */
/*
 * What the console device and its ports share. The idea to hold: the device owns the queues and the
 * control messages; a port owns a character back end and is called with what comes for it.
 */
#ifndef ORRERY_HW_VIRTIO_VIRTIO_SERIAL_H
#define ORRERY_HW_VIRTIO_VIRTIO_SERIAL_H

#include "hw/virtio/virtio.h"
#include "orrery/impl/chardev.h"

#define VIRTIO_SERIAL_BUS_TYPE "virtio-serial-bus"
#define VIRTIO_SERIAL_MAX_PORTS 31

typedef struct SerialPort SerialPort;
typedef struct VirtioSerial VirtioSerial;

struct SerialPort {
    Device dev;
    char *chardev, *name;
    uint32_t nr; /* SERIAL_PORT_ANY before it is on the bus */
    bool console;

    VirtioSerial *serial; /* NULL while not on the bus */
    Chardev *chr;         /* NULL: output goes nowhere */
    bool guest_open, host_open;
    VirtElement *tx; /* written so far: */
    uint64_t tx_done;
    VirtElement *rx; /* to be filled next */
};

#define SERIAL_PORT_ANY UINT32_MAX

struct VirtioSerial {
    VirtioDevice vdev;
    uint32_t max_ports;
    bool emergency_write;

    SerialPort *port[VIRTIO_SERIAL_MAX_PORTS];
    GQueue *messages; /* GByteArray: to the driver, for which there was no buffer yet */
};

/* The port's queues (5.3.2). */
VirtQueue *serial_rx_queue(const SerialPort *port);
VirtQueue *serial_tx_queue(const SerialPort *port);

/* A message about the port, unless the driver knows no ports. name is for PORT_NAME. */
void serial_send_control(SerialPort *port, uint16_t event, uint16_t value, const char *name);

/* ---- Ports: virtio-console.c. */
void serial_port_output(SerialPort *port); /* the driver may have something to write */
void serial_port_input(SerialPort *port);  /* the driver may have room */
void serial_port_stop(SerialPort *port, const VirtQueue *vq); /* drops what it has of the queue */
void serial_port_give_back(SerialPort *port);                 /* the port goes, its queues stay */
void serial_port_set_guest_open(SerialPort *port, bool open);
void serial_port_emergency_write(SerialPort *port, uint8_t byte);

#endif
