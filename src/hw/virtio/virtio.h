/* SPDX-License-Identifier: MIT */
/*
 * What a virtio device is to its transport, and what both are to the rings (VIRTIO 1.2). The idea
 * to hold: three parts that know one another only by this header. A transport (virtio-mmio) turns
 * register accesses into the virtio_* calls; a device (virtio-blk) is a VirtioOps table that pops
 * elements and pushes them back; the rings in between believe nothing that the driver wrote.
 *
 * A driver that breaks the rules (a loop in a chain, a buffer outside RAM, an index that jumps)
 * breaks its device: it asks for a reset, if the driver knows such a thing, and touches no ring
 * until it gets one. Rings and buffers lie in RAM, so that no transfer re-enters a device.
 *
 * Machine lock throughout.
 */
#ifndef ORRERY_HW_VIRTIO_VIRTIO_H
#define ORRERY_HW_VIRTIO_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "orrery/impl/device.h"

#define VIRTIO_BUS_TYPE "virtio-bus"
#define VIRTIO_MAX_CONFIG_BYTES 64
#define VIRTIO_MAX_QUEUES 1024

/* The largest ring (2.6), and the most pieces of guest memory one element may be made of. */
#define VIRTQUEUE_MAX_SIZE 32768
#define VIRTQUEUE_MAX_SEGMENTS 1024

#define VIRTIO_FEATURE(bit) ((uint64_t)1 << (bit))

/* Interrupt status (4.2.2, 4.1.4.5). */
enum {
    VIRTIO_ISR_QUEUE = 1,
    VIRTIO_ISR_CONFIG = 2,
};

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtioOps VirtioOps;
typedef struct VirtioTransportOps VirtioTransportOps;
typedef struct VirtElement VirtElement;
typedef struct VirtQueue VirtQueue;

/* A kind of device. */
struct VirtioOps {
    uint32_t device_id; /* section 5 */
    unsigned config_bytes;
    uint64_t features; /* of the kind; those of the rings are added */

    void (*get_config)(VirtioDevice *vdev, uint8_t *config); /* fills config_bytes */

    /* The driver wrote size bytes at offset, all inside. NULL: nothing is writable. */
    void (*set_config)(VirtioDevice *vdev, unsigned offset, unsigned size, uint64_t value);

    /* Queue n may have new buffers. Does bounded work, and virtqueue_again if some is left. */
    void (*queue)(VirtioDevice *vdev, unsigned n);

    void (*status)(VirtioDevice *vdev); /* vdev->status grew; NULL is fine */

    /* Gives back or drops every element of queue n before it returns; NULL: none is ever kept. */
    void (*stop_queue)(VirtioDevice *vdev, unsigned n);
    void (*reset)(VirtioDevice *vdev); /* its queues are stopped; NULL: nothing to reset */
};

struct VirtioTransportOps {
    /* vdev->isr changed. queue is the one with used buffers, -1 when it is about something else. */
    void (*interrupt)(Device *transport, int queue);
};

struct VirtQueue {
    VirtioDevice *vdev;
    unsigned index;
    unsigned max_size;
    unsigned size;            /* the driver's choice; a power of two */
    hwaddr desc, avail, used; /* set by the transport while not enabled */
    bool enabled;
    bool again; /* waits for the device's timer */

    /* Where the rings are on the host; desc_host is NULL while not known. */
    const struct vring_desc *desc_host;
    const uint16_t *avail_host; /* flags, idx, ring[size], used_event */
    RamBlock *used_ram;
    uint64_t used_offset;

    uint16_t next_avail; /* of the driver's entries, the first not popped */
    uint16_t seen_avail; /* the driver's index when last read */
    uint16_t next_used;
    uint16_t signalled_used; /* next_used when the driver's wish was last looked at */
    bool signalled_valid;
    bool kicks_off;  /* VRING_USED_F_NO_NOTIFY is set */
    unsigned in_use; /* popped and not pushed */
};

struct VirtioDevice {
    Device dev;
    const VirtioOps *ops; /* NULL before virtio_init */
    Device *transport;
    const VirtioTransportOps *transport_ops;
    bool legacy; /* the transport speaks the interface from before 1.0 */

    /* Properties of all virtio devices. */
    bool indirect_desc, event_idx, any_layout, queue_reset;

    uint64_t offered;  /* what this one has of VirtioOps.features */
    uint64_t features; /* negotiated */
    uint8_t status, isr;
    bool broken;
    uint32_t config_generation;
    VirtQueue *queue;
    unsigned queue_count;
    Timer again;      /* for the queues that wait for it */
    int64_t again_ns; /* its deadline */
};

/* What one chain of descriptors leads to. Device structs for requests begin with it. */
struct VirtElement {
    VirtQueue *queue;
    uint16_t head;
    unsigned out_count, in_count;
    uint64_t out_bytes, in_bytes;
    struct iovec *out;               /* read by the device, which may edit the vectors */
    struct iovec *in;                /* written by the device */
    struct VirtGuestRange *in_range; /* in, as the guest knows it */
};

struct VirtGuestRange {
    hwaddr addr;
    uint64_t length_bytes;
};

/* Properties for DeviceClass.parent of every virtio device. */
extern const DeviceClass virtio_device_class;

/* ---- For devices: in realize and unrealize. */
void virtio_init(VirtioDevice *vdev, const VirtioOps *ops);
void virtio_add_queue(VirtioDevice *vdev, unsigned max_size);
void virtio_finish(VirtioDevice *vdev); /* fine after a failed realize; the queues are stopped */

static inline bool virtio_has(const VirtioDevice *vdev, unsigned feature)
{
    return vdev->features & VIRTIO_FEATURE(feature);
}

/* The driver has said that it is set up, and the device still believes it. */
bool virtio_running(const VirtioDevice *vdev);

/* The driver broke the rules: the device stops until it is reset. */
void virtio_break(VirtioDevice *vdev, const char *fmt, ...) ORR_PRINTF(2, 3);
void virtio_guest_error(VirtioDevice *vdev, const char *fmt, ...) ORR_PRINTF(2, 3);

/* The configuration changed by the device's own doing. */
void virtio_config_changed(VirtioDevice *vdev);

/* ---- For devices: the rings. */

/*
 * The next element, in a struct of `bytes` that begins with VirtElement and is otherwise zero; NULL
 * when there is none (the driver will notify then) or the device is broken. virtqueue_push or
 * virtqueue_drop ends it.
 */
void *virtqueue_pop(VirtQueue *vq, size_t bytes);

/* The device wrote the first length_bytes of `in`. Frees the element; no interrupt yet. */
void virtqueue_push(VirtElement *elem, uint64_t length_bytes);
void virtqueue_drop(VirtElement *elem); /* frees it; the queue is being stopped */

/* Interrupts the driver if it wishes so for what was pushed. */
void virtqueue_notify(VirtQueue *vq);

/* Calls ops->queue again from the main loop, after delay_ns of real time. */
void virtqueue_again(VirtQueue *vq, int64_t delay_ns);

/* There is a buffer to pop. When there is none, the driver is asked to notify of the next. */
bool virtqueue_has_more(VirtQueue *vq);

/* ---- For transports. */
void virtio_attach(VirtioDevice *vdev, Device *transport, const VirtioTransportOps *ops,
                   bool legacy);
uint64_t virtio_offered(const VirtioDevice *vdev);               /* on this transport */
void virtio_set_features(VirtioDevice *vdev, uint64_t features); /* legacy: at once */

/* bits the driver wrote, and for a modern transport the features it chose; 0 resets. (2.1, 3.1) */
void virtio_set_status(VirtioDevice *vdev, uint8_t status, uint64_t features);
void virtio_reset(VirtioDevice *vdev);
void virtio_ack(VirtioDevice *vdev, uint8_t isr); /* clears bits of isr */

VirtQueue *virtio_queue(VirtioDevice *vdev, uint32_t n);  /* NULL when there is none */
void virtio_queue_set_size(VirtQueue *vq, uint32_t size); /* ignores what cannot be */
void virtio_queue_enable(VirtQueue *vq);
void virtio_queue_disable(VirtQueue *vq); /* returns when it is stopped; size and places stay */
void virtio_queue_reset(VirtQueue *vq);   /* the same, and they go */
void virtio_queue_notify(VirtioDevice *vdev, uint32_t n);

/* size 1, 2, 4 or 8. Beyond the end reads as ones, as QEMU has it; writes there do nothing. */
uint64_t virtio_config_read(VirtioDevice *vdev, uint64_t offset, unsigned size);
void virtio_config_write(VirtioDevice *vdev, uint64_t offset, unsigned size, uint64_t value);

/* ---- virtqueue.c, for virtio.c. */
void virtqueue_init(VirtQueue *vq, VirtioDevice *vdev, unsigned index, unsigned max_size);
void virtqueue_restart(VirtQueue *vq); /* to the first entry of its rings, not enabled */
bool virtqueue_map(VirtQueue *vq);     /* finds the rings, or breaks the device */

/* ---- Vectors. */
size_t iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *to, size_t bytes);
size_t iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *from,
                 size_t bytes);

/* Take bytes off an end; the vector holds that many. */
void iov_trim_front(struct iovec **iov, unsigned *count, uint64_t bytes);
void iov_trim_back(struct iovec *iov, unsigned *count, uint64_t bytes);

#endif
