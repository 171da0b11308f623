/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (VIRTIO 1.2, 2.7), the device's side. The idea to hold: the driver may change
 * any byte of the rings at any time. So every field is read once, into a local, and judged there;
 * what the device must know (how far it is, how many buffers it holds) it never reads back from
 * guest memory; and every walk ends because the walker counts, not because the ring says so.
 */
#include <inttypes.h>
#include <string.h>

#include "hw/virtio/virtio.h"
#include "trace/trace-hw.h"

/* A chain's total (2.7.5.2, "Driver Requirements"). */
#define CHAIN_MAX_BYTES ((uint64_t)1 << 32)

/* Offsets in the available ring, in units of 16 bits, and in the used ring, in bytes. */
#define AVAIL_FLAGS 0
#define AVAIL_IDX 1
#define AVAIL_RING 2
#define USED_IDX 2
#define USED_RING 4
#define USED_ELEM_BYTES 8

typedef struct Piece {
    hwaddr addr;
    uint8_t *host;
    size_t bytes;
} Piece;

typedef struct Chain {
    unsigned out_count, in_count;
    uint64_t out_bytes, in_bytes;
    Piece piece[VIRTQUEUE_MAX_SEGMENTS]; /* out, then in */
} Chain;

void virtqueue_init(VirtQueue *vq, VirtioDevice *vdev, unsigned index, unsigned max_size)
{
    *vq = (VirtQueue){ .vdev = vdev, .index = index, .max_size = max_size, .size = max_size };
}

void virtqueue_restart(VirtQueue *vq)
{
    VirtQueue old = *vq;

    virtqueue_init(vq, old.vdev, old.index, old.max_size);
    vq->size = old.size;
    vq->desc = old.desc;
    vq->avail = old.avail;
    vq->used = old.used;
}

bool virtqueue_map(VirtQueue *vq)
{
    VirtioDevice *vdev = vq->vdev;
    Memory *memory = vdev->dev.env->memory;
    uint64_t used_bytes = USED_RING + (uint64_t)vq->size * USED_ELEM_BYTES + sizeof(uint16_t);
    uint64_t avail_bytes = (AVAIL_RING + (uint64_t)vq->size + 1) * sizeof(uint16_t);
    uint64_t desc_bytes = (uint64_t)vq->size * sizeof(struct vring_desc);
    MemSection used;

    if (vq->desc % 16 || vq->avail % 2 || vq->used % 4) {
        virtio_break(vdev, "queue %u: rings are not aligned", vq->index);
        return false;
    }
    vq->desc_host = memory_host_ptr(memory, vq->desc, desc_bytes, false);
    vq->avail_host = memory_host_ptr(memory, vq->avail, avail_bytes, false);
    if (!vq->desc_host || !vq->avail_host || !memory_find(memory, vq->used, &used) || !used.ram ||
        used.ram->readonly || used.remaining_bytes < used_bytes) {
        vq->desc_host = NULL;
        virtio_break(vdev, "queue %u: rings are not in RAM", vq->index);
        return false;
    }
    vq->used_ram = used.ram;
    vq->used_offset = used.offset;
    return true;
}

static bool usable(VirtQueue *vq)
{
    return vq->enabled && !vq->vdev->broken && (vq->desc_host || virtqueue_map(vq));
}

/* ---- Ring words. The rings are aligned, so each of these is one access. */

static uint16_t avail_word(const VirtQueue *vq, unsigned at)
{
    return GUINT16_FROM_LE(orr_load_acquire(&vq->avail_host[at]));
}

static void note_used(VirtQueue *vq, unsigned at, unsigned bytes)
{
    ram_note_write(vq->used_ram, vq->used_offset + at, bytes);
}

static void write_used_word(VirtQueue *vq, unsigned at, uint16_t value)
{
    uint16_t *host = (uint16_t *)(void *)(vq->used_ram->host + vq->used_offset + at);

    orr_store_release(host, GUINT16_TO_LE(value));
    note_used(vq, at, sizeof(*host));
}

static void write_used_elem(VirtQueue *vq, unsigned slot, uint32_t id, uint32_t length)
{
    unsigned at = USED_RING + slot * USED_ELEM_BYTES;
    uint32_t *host = (uint32_t *)(void *)(vq->used_ram->host + vq->used_offset + at);

    orr_store_relaxed(&host[0], GUINT32_TO_LE(id));
    orr_store_relaxed(&host[1], GUINT32_TO_LE(length));
    note_used(vq, at, USED_ELEM_BYTES);
}

/* ---- From descriptors to host memory. */

static bool add_buffer(VirtQueue *vq, Chain *chain, hwaddr addr, uint32_t bytes, bool writable)
{
    VirtioDevice *vdev = vq->vdev;
    uint64_t *total = writable ? &chain->in_bytes : &chain->out_bytes;
    unsigned *count = writable ? &chain->in_count : &chain->out_count;
    hwaddr from = addr;
    uint32_t left = bytes;

    if (bytes == 0) {
        virtio_break(vdev, "queue %u: a descriptor of no bytes", vq->index);
        return false;
    }
    if (!writable && chain->in_count) {
        virtio_break(vdev, "queue %u: a buffer to read after one to write", vq->index);
        return false;
    }
    while (left) {
        unsigned used = chain->out_count + chain->in_count;
        MemSection section;
        Piece *piece;

        if (from < addr || !memory_find(vdev->dev.env->memory, from, &section) || !section.ram ||
            (writable && section.ram->readonly)) {
            virtio_break(vdev, "queue %u: buffer 0x%" PRIx64 "+0x%" PRIx32 " is not all in RAM",
                         vq->index, addr, bytes);
            return false;
        }
        if (used == VIRTQUEUE_MAX_SEGMENTS) {
            virtio_break(vdev, "queue %u: a chain of more than %u buffers", vq->index,
                         VIRTQUEUE_MAX_SEGMENTS);
            return false;
        }
        piece = &chain->piece[used];
        piece->addr = from;
        piece->host = section.ram->host + section.offset;
        piece->bytes = (size_t)MIN(left, section.remaining_bytes);
        from += piece->bytes;
        left -= (uint32_t)piece->bytes;
        ++*count;
    }
    *total += bytes;
    if (chain->out_bytes + chain->in_bytes > CHAIN_MAX_BYTES) {
        virtio_break(vdev, "queue %u: a chain of more than 4 GiB", vq->index);
        return false;
    }
    return true;
}

/* An indirect descriptor's table (2.7.5.3); NULL when the device is broken by it. */
static const struct vring_desc *indirect_table(VirtQueue *vq, const struct vring_desc *desc)
{
    VirtioDevice *vdev = vq->vdev;
    const void *table = NULL;

    if (!virtio_has(vdev, VIRTIO_RING_F_INDIRECT_DESC)) {
        virtio_break(vdev, "queue %u: an indirect descriptor, which was not negotiated", vq->index);
    } else if (desc->flags & VRING_DESC_F_NEXT) {
        virtio_break(vdev, "queue %u: an indirect descriptor with a next one", vq->index);
    } else if (desc->len == 0 || desc->len % sizeof(struct vring_desc)) {
        virtio_break(vdev, "queue %u: an indirect table of %u bytes", vq->index, desc->len);
    } else {
        table = memory_host_ptr(vdev->dev.env->memory, desc->addr, desc->len, false);
        if (!table) {
            virtio_break(vdev, "queue %u: an indirect table that is not in RAM", vq->index);
        }
    }
    return table;
}

static void read_desc(const struct vring_desc *from, struct vring_desc *desc)
{
    /* The table of an indirect descriptor need not be aligned. */
    memcpy(desc, from, sizeof(*desc));
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* not to be read again */
    desc->addr = GUINT64_FROM_LE(desc->addr);
    desc->len = GUINT32_FROM_LE(desc->len);
    desc->flags = GUINT16_FROM_LE(desc->flags);
    desc->next = GUINT16_FROM_LE(desc->next);
}

static bool walk(VirtQueue *vq, unsigned head, Chain *chain)
{
    VirtioDevice *vdev = vq->vdev;
    const struct vring_desc *table = vq->desc_host;
    unsigned count = vq->size, index = head, steps = 0;
    bool indirect = false;
    struct vring_desc desc;

    for (;;) {
        if (index >= count) {
            virtio_break(vdev, "queue %u: descriptor %u of %u", vq->index, index, count);
            return false;
        }
        if (steps++ == count) {
            virtio_break(vdev, "queue %u: the chain at %u is a loop", vq->index, head);
            return false;
        }
        read_desc(&table[index], &desc);
        if (desc.flags & VRING_DESC_F_INDIRECT) {
            if (indirect) {
                virtio_break(vdev, "queue %u: an indirect descriptor in an indirect table",
                             vq->index);
                return false;
            }
            table = indirect_table(vq, &desc);
            if (!table) {
                return false;
            }
            indirect = true;
            count = desc.len / sizeof(desc);
            index = steps = 0;
            continue;
        }
        if (!add_buffer(vq, chain, desc.addr, desc.len, desc.flags & VRING_DESC_F_WRITE)) {
            return false;
        }
        if (!(desc.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        index = desc.next;
    }
}

static VirtElement *element_new(VirtQueue *vq, uint16_t head, const Chain *chain, size_t bytes)
{
    unsigned count = chain->out_count + chain->in_count;
    size_t iov_at = (bytes + 15) & ~(size_t)15;
    size_t range_at = iov_at + count * sizeof(struct iovec);
    uint8_t *memory = g_malloc(range_at + chain->in_count * sizeof(struct VirtGuestRange));
    VirtElement *elem = (VirtElement *)(void *)memory;

    memset(memory, 0, bytes);
    elem->queue = vq;
    elem->head = head;
    elem->out_count = chain->out_count;
    elem->in_count = chain->in_count;
    elem->out_bytes = chain->out_bytes;
    elem->in_bytes = chain->in_bytes;
    elem->out = (struct iovec *)(void *)(memory + iov_at);
    elem->in = elem->out + elem->out_count;
    elem->in_range = (struct VirtGuestRange *)(void *)(memory + range_at);
    for (unsigned i = 0; i < count; i++) {
        elem->out[i].iov_base = chain->piece[i].host;
        elem->out[i].iov_len = chain->piece[i].bytes;
    }
    for (unsigned i = 0; i < chain->in_count; i++) {
        elem->in_range[i].addr = chain->piece[chain->out_count + i].addr;
        elem->in_range[i].length_bytes = chain->piece[chain->out_count + i].bytes;
    }
    return elem;
}

/* ---- What devices call. */

/* Reads the driver's index; false when the device is broken by it. */
static bool look(VirtQueue *vq)
{
    vq->seen_avail = avail_word(vq, AVAIL_IDX);
    if ((uint16_t)(vq->seen_avail - vq->next_avail) > vq->size) {
        virtio_break(vq->vdev, "queue %u: the available index jumps from %u to %u", vq->index,
                     vq->next_avail, vq->seen_avail);
        return false;
    }
    return true;
}

static bool has_seen(VirtQueue *vq)
{
    return usable(vq) && (vq->seen_avail != vq->next_avail || look(vq)) &&
           vq->seen_avail != vq->next_avail;
}

bool virtqueue_has_more(VirtQueue *vq)
{
    if (has_seen(vq)) {
        return true;
    }
    if (!usable(vq) || !virtio_has(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        return false;
    }
    write_used_word(vq, USED_RING + vq->size * USED_ELEM_BYTES, vq->next_avail);
    /* The driver stores its index, then reads the event; this is the other half of that. */
    orr_fence_seq_cst();
    return has_seen(vq);
}

void *virtqueue_pop(VirtQueue *vq, size_t bytes)
{
    Chain chain;
    uint16_t head;

    if (!virtqueue_has_more(vq)) {
        return NULL;
    }
    if (vq->in_use >= vq->size) {
        virtio_break(vq->vdev, "queue %u: more buffers in use than the queue holds", vq->index);
        return NULL;
    }
    chain.out_count = chain.in_count = 0;
    chain.out_bytes = chain.in_bytes = 0;
    head = avail_word(vq, AVAIL_RING + (vq->next_avail & (vq->size - 1)));
    if (!walk(vq, head, &chain)) {
        return NULL;
    }
    vq->next_avail++;
    vq->in_use++;
    return element_new(vq, head, &chain, bytes);
}

void virtqueue_drop(VirtElement *elem)
{
    elem->queue->in_use--;
    g_free(elem);
}

static void note_written(const VirtElement *elem, uint64_t bytes)
{
    Memory *memory = elem->queue->vdev->dev.env->memory;

    for (unsigned i = 0; i < elem->in_count && bytes; i++) {
        uint64_t part = MIN(bytes, elem->in_range[i].length_bytes);

        memory_note_written(memory, elem->in_range[i].addr, part);
        bytes -= part;
    }
}

void virtqueue_push(VirtElement *elem, uint64_t length_bytes)
{
    VirtQueue *vq = elem->queue;
    uint32_t length = (uint32_t)MIN(length_bytes, UINT32_MAX);

    note_written(elem, length_bytes);
    if (usable(vq)) {
        write_used_elem(vq, vq->next_used & (vq->size - 1), elem->head, length);
        write_used_word(vq, USED_IDX, ++vq->next_used);
        trace_hw_virtio_complete(vq->vdev->dev.id, vq->index, elem->head, length);
    }
    virtqueue_drop(elem);
}

/* Whether the driver wants to hear of what came since the last time it was asked (2.7.7). */
static bool interrupt_wanted(VirtQueue *vq)
{
    uint16_t before = vq->signalled_used;
    bool valid = vq->signalled_valid;

    if (valid && before == vq->next_used) {
        return false;
    }
    vq->signalled_used = vq->next_used;
    vq->signalled_valid = true;
    orr_fence_seq_cst(); /* the index is stored before the wish is read */
    if (virtio_has(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        return !valid ||
               vring_need_event(avail_word(vq, AVAIL_RING + vq->size), vq->next_used, before);
    }
    return !(avail_word(vq, AVAIL_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT);
}

void virtqueue_notify(VirtQueue *vq)
{
    VirtioDevice *vdev = vq->vdev;

    if (usable(vq) && interrupt_wanted(vq)) {
        vdev->isr |= VIRTIO_ISR_QUEUE;
        vdev->transport_ops->interrupt(vdev->transport, (int)vq->index);
    }
}
