/* SPDX-License-Identifier: MIT */
/*
 * The memory-mapped transport (VIRTIO 1.2, 4.2): version 2, and with force-legacy the version 1 of
 * 4.2.4. The idea to hold: it keeps what the driver selects and half-writes (a queue's number, the
 * halves of addresses and feature words); every decision is virtio.c's. With no device on its bus
 * it is a slot with DeviceID 0, which drivers pass over.
 */
#include <inttypes.h>
#include <linux/virtio_mmio.h>

#include "hw/hw-classes.h"
#include "hw/virtio/virtio.h"

#define MMIO_MAGIC 0x74726976  /* "virt" */
#define MMIO_VENDOR 0x554d4551 /* QEMU's, which guests compare */
#define MMIO_BYTES 0x200
#define MMIO_QUEUE_RESET 0x0c0 /* newer than some hosts' header */

typedef struct VirtioMmio {
    Device dev;
    bool force_legacy;

    VirtioDevice *vdev; /* NULL: an empty slot */
    uint32_t device_features_sel, driver_features_sel;
    uint64_t driver_features;
    uint32_t queue_sel;
    uint32_t page_shift, align; /* legacy */
    bool irq_level;
} VirtioMmio;

static const PropDef mmio_props[] = {
    { .name = "force-legacy",
      .type = PROP_BOOL,
      .offset = offsetof(VirtioMmio, force_legacy),
      .fallback = "on",
      .help = "the interface from before VIRTIO 1.0 (version 1)" },
    { .name = NULL },
};

static void update_irq(VirtioMmio *mmio)
{
    bool level = mmio->vdev && mmio->vdev->isr;

    if (level != mmio->irq_level) {
        mmio->irq_level = level;
        device_irq_set(&mmio->dev, 0, level);
    }
}

static void interrupt(Device *transport, int queue)
{
    update_irq((VirtioMmio *)transport);
}

static const VirtioTransportOps mmio_transport = { .interrupt = interrupt };

/* ---- Legacy queues: one page number places all three parts (2.7.2). */

static void set_pfn(VirtioMmio *mmio, VirtQueue *vq, uint32_t pfn)
{
    hwaddr align = mmio->align;

    virtio_queue_disable(vq);
    if (pfn) {
        vq->desc = (hwaddr)pfn << mmio->page_shift;
        vq->avail = vq->desc + (hwaddr)vq->size * sizeof(struct vring_desc);
        vq->used = vq->avail + (3 + (hwaddr)vq->size) * sizeof(uint16_t);
        vq->used = (vq->used + align - 1) & ~(align - 1);
        virtio_queue_enable(vq);
    }
}

static bool power_of_two(uint32_t value)
{
    return value && !(value & (value - 1));
}

/* ---- Registers. */

static uint32_t read_queue(VirtioMmio *mmio, hwaddr offset)
{
    VirtQueue *vq = virtio_queue(mmio->vdev, mmio->queue_sel);

    if (!vq) {
        return 0; /* 4.2.2.2: QueueNumMax is 0 for a queue that does not exist */
    }
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return vq->max_size;
    case VIRTIO_MMIO_QUEUE_PFN:
        return mmio->force_legacy && vq->enabled ? (uint32_t)(vq->desc >> mmio->page_shift) : 0;
    case VIRTIO_MMIO_QUEUE_READY:
        return !mmio->force_legacy && vq->enabled;
    default:
        return 0; /* QueueReset: done before its write returns */
    }
}

static uint32_t read_register(VirtioMmio *mmio, hwaddr offset)
{
    VirtioDevice *vdev = mmio->vdev;

    switch (offset) {
    case VIRTIO_MMIO_DEVICE_ID:
        return vdev->ops->device_id;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return mmio->device_features_sel > 1
                   ? 0
                   : (uint32_t)(virtio_offered(vdev) >> (32 * mmio->device_features_sel));
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
    case VIRTIO_MMIO_QUEUE_PFN:
    case VIRTIO_MMIO_QUEUE_READY:
    case MMIO_QUEUE_RESET:
        return read_queue(mmio, offset);
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        return vdev->isr;
    case VIRTIO_MMIO_STATUS:
        return vdev->status;
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return mmio->force_legacy ? 0 : UINT32_MAX; /* 4.2.2.1: no such region */
    case VIRTIO_MMIO_CONFIG_GENERATION:
        return mmio->force_legacy ? 0 : vdev->config_generation;
    default:
        virtio_guest_error(vdev, "read of register 0x%" PRIx64, offset);
        return 0;
    }
}

static void put_half(uint64_t *word, bool high, uint32_t value)
{
    *word = high ? (*word & UINT32_MAX) | (uint64_t)value << 32
                 : (*word & ~(uint64_t)UINT32_MAX) | value;
}

static void write_driver_features(VirtioMmio *mmio, uint32_t value)
{
    if (mmio->driver_features_sel > 1) {
        return;
    }
    put_half(&mmio->driver_features, mmio->driver_features_sel == 1, value);
    if (mmio->force_legacy) {
        mmio->driver_features &= UINT32_MAX;
        virtio_set_features(mmio->vdev, mmio->driver_features);
    }
}

static void write_status(VirtioMmio *mmio, uint32_t value)
{
    virtio_set_status(mmio->vdev, (uint8_t)value, mmio->driver_features);
    if ((uint8_t)value == 0) {
        mmio->driver_features = 0; /* but the page size stays: Linux sets it before it resets */
    }
}

static void write_legacy_queue(VirtioMmio *mmio, VirtQueue *vq, hwaddr offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_ALIGN:
        if (power_of_two(value)) {
            mmio->align = value;
        } else {
            virtio_guest_error(mmio->vdev, "QueueAlign %" PRIu32, value);
        }
        break;
    case VIRTIO_MMIO_QUEUE_PFN:
        set_pfn(mmio, vq, value);
        break;
    default:
        virtio_guest_error(mmio->vdev, "write of register 0x%" PRIx64, offset);
        break;
    }
}

static void set_address(VirtQueue *vq, hwaddr *address, bool high, uint32_t value)
{
    if (vq->enabled) {
        virtio_guest_error(vq->vdev, "queue %u: moved while in use", vq->index);
    } else {
        put_half(address, high, value);
    }
}

static void write_modern_queue(VirtioMmio *mmio, VirtQueue *vq, hwaddr offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_address(vq, &vq->desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_address(vq, &vq->avail, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_address(vq, &vq->used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_READY:
        if (value & 1) {
            virtio_queue_enable(vq);
        } else {
            virtio_queue_disable(vq);
        }
        break;
    case MMIO_QUEUE_RESET:
        if ((value & 1) && virtio_has(mmio->vdev, VIRTIO_F_RING_RESET)) {
            virtio_queue_reset(vq);
        }
        break;
    default:
        virtio_guest_error(mmio->vdev, "write of register 0x%" PRIx64, offset);
        break;
    }
}

static void write_queue(VirtioMmio *mmio, hwaddr offset, uint32_t value)
{
    VirtQueue *vq = virtio_queue(mmio->vdev, mmio->queue_sel);

    if (!vq) {
        virtio_guest_error(mmio->vdev, "write of 0x%" PRIx64 " for queue %" PRIu32, offset,
                           mmio->queue_sel);
    } else if (offset == VIRTIO_MMIO_QUEUE_NUM) {
        virtio_queue_set_size(vq, value);
    } else if (mmio->force_legacy) {
        write_legacy_queue(mmio, vq, offset, value);
    } else {
        write_modern_queue(mmio, vq, offset, value);
    }
}

static void write_register(VirtioMmio *mmio, hwaddr offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        mmio->device_features_sel = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        mmio->driver_features_sel = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        write_driver_features(mmio, value);
        break;
    case VIRTIO_MMIO_GUEST_PAGE_SIZE:
        if (mmio->force_legacy && power_of_two(value)) {
            mmio->page_shift = (uint32_t)__builtin_ctz(value);
        } else {
            virtio_guest_error(mmio->vdev, "GuestPageSize %" PRIu32, value);
        }
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        mmio->queue_sel = value;
        break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        virtio_queue_notify(mmio->vdev, value);
        break;
    case VIRTIO_MMIO_INTERRUPT_ACK:
        virtio_ack(mmio->vdev, (uint8_t)value);
        break;
    case VIRTIO_MMIO_STATUS:
        write_status(mmio, value);
        break;
    case VIRTIO_MMIO_SHM_SEL:
        break;
    default:
        write_queue(mmio, offset, value);
        break;
    }
}

static MemTxResult mmio_slot_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    VirtioMmio *mmio = opaque;

    *value = 0;
    if (mmio->vdev && offset >= VIRTIO_MMIO_CONFIG) {
        *value = virtio_config_read(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size);
    } else if (size != 4) {
        /* 4.2.2.2: registers are read and written by 32 bits. */
    } else if (offset == VIRTIO_MMIO_MAGIC_VALUE) {
        *value = MMIO_MAGIC;
    } else if (offset == VIRTIO_MMIO_VERSION) {
        *value = mmio->force_legacy ? 1 : 2;
    } else if (offset == VIRTIO_MMIO_VENDOR_ID) {
        *value = MMIO_VENDOR;
    } else if (mmio->vdev) {
        *value = read_register(mmio, offset);
    }
    return MEMTX_OK;
}

static MemTxResult mmio_slot_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    VirtioMmio *mmio = opaque;

    if (mmio->vdev && offset >= VIRTIO_MMIO_CONFIG) {
        virtio_config_write(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size, value);
    } else if (mmio->vdev && size == 4) {
        write_register(mmio, offset, (uint32_t)value);
    }
    return MEMTX_OK;
}

static const MmioOps mmio_ops = { .read = mmio_slot_read, .write = mmio_slot_write };

/* ---- Life. */

static void forget(VirtioMmio *mmio)
{
    mmio->device_features_sel = mmio->driver_features_sel = 0;
    mmio->driver_features = 0;
    mmio->queue_sel = 0;
    mmio->page_shift = MEMORY_PAGE_BITS;
    mmio->align = MEMORY_PAGE_SIZE;
}

static bool plugged(Bus *bus, Device *dev, GError **error)
{
    VirtioMmio *mmio = (VirtioMmio *)bus->owner;

    mmio->vdev = (VirtioDevice *)dev;
    virtio_attach(mmio->vdev, bus->owner, &mmio_transport, mmio->force_legacy);
    return true;
}

static void unplugged(Bus *bus, Device *dev)
{
    VirtioMmio *mmio = (VirtioMmio *)bus->owner;

    virtio_reset(mmio->vdev);
    mmio->vdev = NULL;
    forget(mmio);
}

static bool mmio_realize(Device *dev, GError **error)
{
    VirtioMmio *mmio = (VirtioMmio *)dev;
    Bus *bus;
    char name[32];

    for (unsigned n = 0;; n++) {
        g_snprintf(name, sizeof(name), "virtio-mmio-bus.%u", n);
        if (!bus_find(dev->env, name)) {
            break;
        }
    }
    forget(mmio);
    device_init_region(dev, "registers", &mmio_ops, MMIO_BYTES);
    device_init_irq_out(dev, 1);
    bus = device_init_bus(dev, VIRTIO_BUS_TYPE, name);
    bus->plugged = plugged;
    bus->unplugged = unplugged;
    return true;
}

static void mmio_reset(Device *dev)
{
    VirtioMmio *mmio = (VirtioMmio *)dev;

    if (mmio->vdev) {
        virtio_reset(mmio->vdev);
    }
    forget(mmio);
}

const DeviceClass virtio_mmio_class = {
    .name = "virtio-mmio",
    .summary = "memory-mapped virtio transport",
    .provides_bus = VIRTIO_BUS_TYPE,
    .instance_bytes = sizeof(VirtioMmio),
    .props = mmio_props,
    .realize = mmio_realize,
    .reset = mmio_reset,
};
