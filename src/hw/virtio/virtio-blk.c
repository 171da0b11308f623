/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device (VIRTIO 1.2, 5.2). The idea to hold: a request goes from the ring to the
 * drive with vectors that point into guest RAM, and back when the drive is done with it; as many as
 * the ring holds may be on their way, in any order. Only what is wrong is answered at once.
 *
 * Without a write cache (the driver may turn it off, and one that knows no flush never has it) a
 * write is followed by a flush before it completes.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <string.h>

#include "hw/hw-classes.h"
#include "hw/virtio/virtio.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/error.h"

#define SECTOR_BITS 9
#define SECTOR_BYTES (1u << SECTOR_BITS)

/* Up to the end of what discard and write zeroes need; what some hosts' header has after it is not
 * offered. */
#define CONFIG_BYTES (offsetof(struct virtio_blk_config, unused1) + 3)

typedef struct VirtioBlk {
    VirtioDevice vdev;
    char *drive, *serial;
    uint32_t logical_block_size, physical_block_size, min_io_size, opt_io_size;
    uint32_t discard_granularity, max_discard_sectors, max_write_zeroes_sectors;
    uint32_t num_queues, queue_size;
    bool write_cache, config_wce, discard, write_zeroes;

    BlockDev *blk;
    bool writeback; /* as the driver has set it */
} VirtioBlk;

typedef struct BlkRequest {
    VirtElement elem;
    VirtioBlk *dev;
    uint32_t type;
    bool flushing; /* the write is done, its flush is on the way */
    uint8_t *status;
    struct iovec *data; /* without header and status */
    unsigned data_count;
    uint64_t data_bytes;
} BlkRequest;

#define PROPERTY(field) offsetof(VirtioBlk, field)

static const PropDef blk_props[] = {
    { .name = "drive", .type = PROP_STRING, .offset = PROPERTY(drive), .help = "id of a -drive" },
    { .name = "serial",
      .type = PROP_STRING,
      .offset = PROPERTY(serial),
      .help = "serial number, 20 characters" },
    { .name = "logical_block_size",
      .type = PROP_U32,
      .offset = PROPERTY(logical_block_size),
      .fallback = "512",
      .min = SECTOR_BYTES,
      .max = 32768,
      .help = "bytes of a block, the unit of access" },
    { .name = "physical_block_size",
      .type = PROP_U32,
      .offset = PROPERTY(physical_block_size),
      .max = 1u << 21,
      .help = "bytes that the medium writes at once; 0: a block" },
    { .name = "min_io_size",
      .type = PROP_U32,
      .offset = PROPERTY(min_io_size),
      .help = "smallest good transfer, in bytes" },
    { .name = "opt_io_size",
      .type = PROP_U32,
      .offset = PROPERTY(opt_io_size),
      .help = "best transfer, in bytes" },
    { .name = "discard_granularity",
      .type = PROP_U32,
      .offset = PROPERTY(discard_granularity),
      .help = "bytes that a discard should be a multiple of; 0: a block" },
    { .name = "write-cache",
      .type = PROP_BOOL,
      .offset = PROPERTY(write_cache),
      .fallback = "on",
      .help = "writes may complete before they are durable" },
    { .name = "config-wce",
      .type = PROP_BOOL,
      .offset = PROPERTY(config_wce),
      .fallback = "on",
      .help = "the driver may turn the write cache on and off" },
    { .name = "discard",
      .type = PROP_BOOL,
      .offset = PROPERTY(discard),
      .fallback = "on",
      .help = "offer discard" },
    { .name = "write-zeroes",
      .type = PROP_BOOL,
      .offset = PROPERTY(write_zeroes),
      .fallback = "on",
      .help = "offer write zeroes" },
    { .name = "max-discard-sectors",
      .type = PROP_U32,
      .offset = PROPERTY(max_discard_sectors),
      .fallback = "4194303",
      .min = 1,
      .max = 4194303,
      .help = "most sectors in one discard" },
    { .name = "max-write-zeroes-sectors",
      .type = PROP_U32,
      .offset = PROPERTY(max_write_zeroes_sectors),
      .fallback = "4194303",
      .min = 1,
      .max = 4194303,
      .help = "most sectors in one write zeroes" },
    { .name = "num-queues",
      .type = PROP_U32,
      .offset = PROPERTY(num_queues),
      .fallback = "1",
      .min = 1,
      .max = 64,
      .help = "request queues" },
    { .name = "queue-size",
      .type = PROP_U32,
      .offset = PROPERTY(queue_size),
      .fallback = "256",
      .min = 4,
      .max = 1024,
      .help = "entries of a queue, a power of two" },
    { .name = NULL },
};

/* ---- Completion. */

static void finish(BlkRequest *req, uint8_t status)
{
    *req->status = status;
    virtqueue_push(&req->elem, req->elem.in_bytes);
}

static uint8_t status_of(int error)
{
    switch (error) {
    case 0:
        return VIRTIO_BLK_S_OK;
    case EOPNOTSUPP:
        return VIRTIO_BLK_S_UNSUPP;
    default:
        return VIRTIO_BLK_S_IOERR;
    }
}

static bool changes_disk(uint32_t type)
{
    return type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_WRITE_ZEROES ||
           type == VIRTIO_BLK_T_DISCARD;
}

static void done(void *opaque, int error)
{
    BlkRequest *req = opaque;
    VirtQueue *vq = req->elem.queue;

    if (!error && !req->flushing && !req->dev->writeback && changes_disk(req->type)) {
        req->flushing = true;
        blockdev_submit(req->dev->blk, BLOCK_FLUSH, 0, 0, NULL, 0, done, req);
        return;
    }
    finish(req, status_of(error));
    virtqueue_notify(vq);
}

/* ---- Requests (5.2.6). Each of these finishes the request or leaves that to done. */

/* A range of sectors that is on the disk and made of whole blocks. */
static bool range_good(const VirtioBlk *dev, uint64_t sector, uint64_t bytes)
{
    uint64_t size = blockdev_size_bytes(dev->blk);

    return sector <= size >> SECTOR_BITS && bytes <= size - (sector << SECTOR_BITS) &&
           (sector << SECTOR_BITS) % dev->logical_block_size == 0 &&
           bytes % dev->logical_block_size == 0;
}

static void transfer(BlkRequest *req, BlockOp op, uint64_t sector)
{
    VirtioBlk *dev = req->dev;

    if (!range_good(dev, sector, req->data_bytes)) {
        finish(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    blockdev_submit(dev->blk, op, sector << SECTOR_BITS, req->data_bytes, req->data,
                    req->data_count, done, req);
}

static void range_request(BlkRequest *req, BlockOp op, bool offered, uint32_t max_sectors,
                          uint32_t known_flags)
{
    struct virtio_blk_discard_write_zeroes range;
    uint64_t sector;
    uint32_t count;

    if (!offered || req->data_bytes != sizeof(range)) { /* one range is what is offered */
        finish(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    iov_read(req->data, req->data_count, 0, &range, sizeof(range));
    sector = GUINT64_FROM_LE(range.sector);
    count = GUINT32_FROM_LE(range.num_sectors);
    if (GUINT32_FROM_LE(range.flags) & ~known_flags) {
        finish(req, VIRTIO_BLK_S_UNSUPP);
    } else if (count > max_sectors ||
               !range_good(req->dev, sector, (uint64_t)count << SECTOR_BITS)) {
        finish(req, VIRTIO_BLK_S_IOERR);
    } else {
        blockdev_submit(req->dev->blk, op, sector << SECTOR_BITS, (uint64_t)count << SECTOR_BITS,
                        NULL, 0, done, req);
    }
}

static void get_id(BlkRequest *req)
{
    char id[VIRTIO_BLK_ID_BYTES] = { 0 };

    if (req->dev->serial) {
        memcpy(id, req->dev->serial, MIN(strlen(req->dev->serial), sizeof(id)));
    }
    iov_write(req->data, req->data_count, 0, id, sizeof(id));
    finish(req, VIRTIO_BLK_S_OK);
}

/* Finds data and status; there is a header and at least a byte to write. */
static void take_apart(BlkRequest *req, bool data_is_in)
{
    VirtElement *elem = &req->elem;
    struct iovec *last = &elem->in[elem->in_count - 1];

    req->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    if (data_is_in) {
        req->data = elem->in;
        req->data_count = elem->in_count;
        req->data_bytes = elem->in_bytes - 1;
        iov_trim_back(req->data, &req->data_count, 1);
    } else {
        req->data = elem->out;
        req->data_count = elem->out_count;
        req->data_bytes = elem->out_bytes - sizeof(struct virtio_blk_outhdr);
        iov_trim_front(&req->data, &req->data_count, sizeof(struct virtio_blk_outhdr));
    }
}

static void start(VirtioBlk *dev, BlkRequest *req)
{
    VirtElement *elem = &req->elem;
    struct virtio_blk_outhdr header;
    uint64_t sector;

    if (elem->in_bytes == 0 ||
        iov_read(elem->out, elem->out_count, 0, &header, sizeof(header)) < sizeof(header)) {
        virtio_break(&dev->vdev, "queue %u: a request without header or status",
                     elem->queue->index);
        virtqueue_drop(elem);
        return;
    }
    req->dev = dev;
    req->type = GUINT32_FROM_LE(header.type);
    sector = GUINT64_FROM_LE(header.sector);
    take_apart(req, req->type == VIRTIO_BLK_T_IN || req->type == VIRTIO_BLK_T_GET_ID);
    switch (req->type) {
    case VIRTIO_BLK_T_IN:
        transfer(req, BLOCK_READ, sector);
        break;
    case VIRTIO_BLK_T_OUT:
        transfer(req, BLOCK_WRITE, sector);
        break;
    case VIRTIO_BLK_T_FLUSH:
        blockdev_submit(dev->blk, BLOCK_FLUSH, 0, 0, NULL, 0, done, req);
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(req);
        break;
    case VIRTIO_BLK_T_DISCARD:
        range_request(req, BLOCK_DISCARD, dev->discard, dev->max_discard_sectors, 0);
        break;
    case VIRTIO_BLK_T_WRITE_ZEROES:
        range_request(req, BLOCK_WRITE_ZEROES, dev->write_zeroes, dev->max_write_zeroes_sectors,
                      VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
        break;
    default:
        finish(req, VIRTIO_BLK_S_UNSUPP);
        break;
    }
}

static void blk_queue(VirtioDevice *vdev, unsigned n)
{
    VirtQueue *vq = &vdev->queue[n];
    unsigned budget = vq->size;
    BlkRequest *req = NULL;

    while (budget && (req = virtqueue_pop(vq, sizeof(*req)))) {
        start((VirtioBlk *)vdev, req);
        budget--;
    }
    if (!budget && virtqueue_has_more(vq)) {
        virtqueue_again(vq, 0);
    }
    virtqueue_notify(vq);
}

static void blk_stop_queue(VirtioDevice *vdev, unsigned n)
{
    blockdev_drain(((VirtioBlk *)vdev)->blk);
}

/* ---- Status and configuration. */

static void blk_status(VirtioDevice *vdev)
{
    VirtioBlk *dev = (VirtioBlk *)vdev;

    /* 5.2.5.2: a driver that can neither flush nor ask expects durable writes. */
    if ((vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) && !virtio_has(vdev, VIRTIO_BLK_F_FLUSH) &&
        !virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE)) {
        dev->writeback = false;
    }
}

static void blk_reset(VirtioDevice *vdev)
{
    VirtioBlk *dev = (VirtioBlk *)vdev;

    dev->writeback = dev->write_cache;
}

static void blk_get_config(VirtioDevice *vdev, uint8_t *bytes)
{
    const VirtioBlk *dev = (const VirtioBlk *)vdev;
    uint64_t sectors = blockdev_size_bytes(dev->blk) / dev->logical_block_size *
                       (dev->logical_block_size / SECTOR_BYTES);
    uint32_t granularity = MAX(dev->discard_granularity, dev->logical_block_size);
    struct virtio_blk_config config = { 0 };

    config.capacity = GUINT64_TO_LE(sectors);
    config.seg_max = GUINT32_TO_LE(dev->queue_size - 2);
    config.geometry.heads = 16;
    config.geometry.sectors = 63;
    config.geometry.cylinders = GUINT16_TO_LE((uint16_t)MIN(sectors / (16 * 63), 65535));
    config.blk_size = GUINT32_TO_LE(dev->logical_block_size);
    config.physical_block_exp =
        (uint8_t)__builtin_ctz(dev->physical_block_size / dev->logical_block_size);
    config.min_io_size = GUINT16_TO_LE((uint16_t)(dev->min_io_size / dev->logical_block_size));
    config.opt_io_size = GUINT32_TO_LE(dev->opt_io_size / dev->logical_block_size);
    config.wce = dev->writeback;
    config.num_queues = GUINT16_TO_LE((uint16_t)dev->num_queues);
    config.max_discard_sectors = GUINT32_TO_LE(dev->max_discard_sectors);
    config.max_discard_seg = GUINT32_TO_LE(1);
    config.discard_sector_alignment = GUINT32_TO_LE(granularity / SECTOR_BYTES);
    config.max_write_zeroes_sectors = GUINT32_TO_LE(dev->max_write_zeroes_sectors);
    config.max_write_zeroes_seg = GUINT32_TO_LE(1);
    memcpy(bytes, &config, CONFIG_BYTES);
}

static void blk_set_config(VirtioDevice *vdev, unsigned offset, unsigned size, uint64_t value)
{
    VirtioBlk *dev = (VirtioBlk *)vdev;

    /* 5.2.5.1: the one field a driver may write, and only if it negotiated that. */
    if (offset == offsetof(struct virtio_blk_config, wce) && size == 1 &&
        virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE)) {
        dev->writeback = value & 1;
    } else {
        virtio_guest_error(vdev, "configuration byte %u is not writable", offset);
    }
}

static const VirtioOps blk_ops = {
    .device_id = VIRTIO_ID_BLOCK,
    .config_bytes = CONFIG_BYTES,
    .features = VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_FEATURE(VIRTIO_BLK_F_GEOMETRY) |
                VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
                VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY),
    .get_config = blk_get_config,
    .set_config = blk_set_config,
    .queue = blk_queue,
    .status = blk_status,
    .stop_queue = blk_stop_queue,
    .reset = blk_reset,
};

/* ---- Life. */

static bool power_of_two(uint32_t value)
{
    return !(value & (value - 1));
}

static bool check_props(const VirtioBlk *dev, GError **error)
{
    const char *id = dev->vdev.dev.id;

    if (!power_of_two(dev->logical_block_size) || !power_of_two(dev->physical_block_size)) {
        return orr_fail(error, ORR_ERROR_INVALID, "device '%s': block sizes are powers of two", id);
    }
    if (dev->physical_block_size < dev->logical_block_size) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': physical_block_size=%u is below logical_block_size=%u", id,
                        dev->physical_block_size, dev->logical_block_size);
    }
    if (dev->min_io_size % dev->logical_block_size || dev->opt_io_size % dev->logical_block_size ||
        dev->min_io_size / dev->logical_block_size > UINT16_MAX) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': min_io_size and opt_io_size are multiples of the block size",
                        id);
    }
    if (dev->discard_granularity % dev->logical_block_size) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': discard_granularity is a multiple of the block size", id);
    }
    if (!power_of_two(dev->queue_size)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "device '%s': queue-size=%u is not a power of two", id, dev->queue_size);
    }
    return true;
}

static uint64_t feature_if(bool wanted, unsigned feature)
{
    return wanted ? VIRTIO_FEATURE(feature) : 0;
}

static bool blk_realize(Device *device, GError **error)
{
    VirtioBlk *dev = (VirtioBlk *)device;
    VirtioDevice *vdev = &dev->vdev;
    bool readonly;

    dev->physical_block_size =
        dev->physical_block_size ? dev->physical_block_size : dev->logical_block_size;
    if (!check_props(dev, error)) {
        return false;
    }
    dev->blk = device_claim_drive(device, dev->drive, error);
    if (!dev->blk) {
        return false;
    }
    readonly = blockdev_readonly(dev->blk);
    dev->discard = dev->discard && !readonly;
    dev->write_zeroes = dev->write_zeroes && !readonly;
    virtio_init(vdev, &blk_ops);
    vdev->offered |= feature_if(readonly, VIRTIO_BLK_F_RO) |
                     feature_if(dev->config_wce, VIRTIO_BLK_F_CONFIG_WCE) |
                     feature_if(dev->num_queues > 1, VIRTIO_BLK_F_MQ) |
                     feature_if(dev->discard, VIRTIO_BLK_F_DISCARD) |
                     feature_if(dev->write_zeroes, VIRTIO_BLK_F_WRITE_ZEROES);
    for (unsigned n = 0; n < dev->num_queues; n++) {
        virtio_add_queue(vdev, dev->queue_size);
    }
    blk_reset(vdev);
    return true;
}

static void blk_unrealize(Device *device)
{
    VirtioBlk *dev = (VirtioBlk *)device;

    blockdev_release(dev->blk);
    dev->blk = NULL;
    virtio_finish(&dev->vdev);
}

const DeviceClass virtio_blk_class = {
    .name = "virtio-blk-device",
    .summary = "virtio disk",
    .bus_type = VIRTIO_BUS_TYPE,
    .user_creatable = true,
    .instance_bytes = sizeof(VirtioBlk),
    .props = blk_props,
    .parent = &virtio_device_class,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
};
