/* SPDX-License-Identifier: MIT */
/*
 * One access to a device's registers. The idea to hold: `valid` says what a guest may do and is
 * checked once; `impl` says what the handlers can do, and the access is cut into aligned pieces of
 * such sizes, least significant first. Nothing of the region is touched after a handler has run:
 * it may have removed the region.
 */
#include "memory/internal.h"
#include "trace/trace-hw.h"

#define MMIO_MAX_BYTES 8

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static uint64_t low_bytes(unsigned count)
{
    return count >= 8 ? UINT64_MAX : ((uint64_t)1 << (count * 8)) - 1;
}

/* NULL when the access is allowed, else why not. */
static const char *refusal(const MemSection *section, unsigned size)
{
    const MmioOps *ops = section->region->ops;

    if ((size & (size - 1)) || size == 0 || size > MMIO_MAX_BYTES) {
        return "not a size";
    }
    if (size > section->remaining_bytes) {
        return "crosses the end";
    }
    if (size < or_default(ops->valid.min_bytes, 1) ||
        size > or_default(ops->valid.max_bytes, MMIO_MAX_BYTES)) {
        return "size";
    }
    if (!ops->valid.unaligned && section->offset % size) {
        return "alignment";
    }
    return NULL;
}

/* How one access falls apart into what the handlers can do. */
typedef struct Piece {
    hwaddr offset;  /* given to the handler */
    unsigned bytes; /* likewise */
    unsigned skip;  /* bytes of it below the guest's */
    unsigned take;  /* bytes of it that are the guest's */
} Piece;

static Piece next_piece(const MmioOps *ops, hwaddr offset, unsigned left)
{
    unsigned min = or_default(ops->impl.min_bytes, or_default(ops->valid.min_bytes, 1));
    unsigned max = or_default(ops->impl.max_bytes, or_default(ops->valid.max_bytes, 8));
    unsigned bytes = MAX(max, min);
    Piece piece;

    while (bytes > min && (bytes > left || offset % bytes)) {
        bytes /= 2;
    }
    piece.bytes = bytes;
    piece.skip = (unsigned)(offset % bytes);
    piece.offset = offset - piece.skip;
    piece.take = MIN(bytes - piece.skip, left);
    return piece;
}

static MemTxResult refuse(const MemSection *section, int cpu, unsigned size, bool write,
                          const char *why, MemTxResult result)
{
    const MemRegion *region = section->region;

    trace_hw_mmio_error(cpu, region->name, region->base + section->offset, section->offset, size,
                        write, why);
    if (result == MEMTX_REENTRY) {
        trace_hw_dma_reentry(region->guard->owner ? region->guard->owner : region->name);
    }
    return result;
}

static MemTxResult read_pieces(const MemRegion *region, hwaddr offset, unsigned size,
                               uint64_t *value)
{
    const MmioOps *ops = region->ops;
    void *opaque = region->opaque;
    uint64_t end = region->size_bytes;
    uint64_t result = 0;

    if (!ops->read) {
        return MEMTX_ERROR;
    }
    for (unsigned done = 0; done < size;) {
        Piece piece = next_piece(ops, offset + done, size - done);
        uint64_t part = 0;
        MemTxResult r;

        if (piece.offset + piece.bytes > end) {
            return MEMTX_ERROR;
        }
        r = ops->read(opaque, piece.offset, piece.bytes, &part);
        if (r != MEMTX_OK) {
            return r;
        }
        result |= ((part >> (piece.skip * 8)) & low_bytes(piece.take)) << (done * 8);
        done += piece.take;
    }
    *value = result;
    return MEMTX_OK;
}

static MemTxResult write_pieces(const MemRegion *region, hwaddr offset, unsigned size,
                                uint64_t value)
{
    const MmioOps *ops = region->ops;
    void *opaque = region->opaque;
    uint64_t end = region->size_bytes;

    if (!ops->write) {
        return MEMTX_ERROR;
    }
    for (unsigned done = 0; done < size;) {
        Piece piece = next_piece(ops, offset + done, size - done);
        uint64_t part = ((value >> (done * 8)) & low_bytes(piece.take)) << (piece.skip * 8);
        MemTxResult r;

        if (piece.offset + piece.bytes > end) {
            return MEMTX_ERROR;
        }
        r = ops->write(opaque, piece.offset, piece.bytes, part);
        if (r != MEMTX_OK) {
            return r;
        }
        done += piece.take;
    }
    return MEMTX_OK;
}

MemTxResult mmio_read(const MemSection *section, int cpu, unsigned size, uint64_t *value)
{
    const MemRegion *region = section->region;
    IoGuard *guard = region->guard;
    const char *why = refusal(section, size);
    char name[64];
    hwaddr addr = region->base + section->offset;
    bool traced = trace_hw_mmio_read_enabled() || trace_hw_mmio_error_enabled();
    MemTxResult result;

    *value = 0;
    if (why) {
        return refuse(section, cpu, size, false, why, MEMTX_ERROR);
    }
    if (guard && guard->engaged) {
        return refuse(section, cpu, size, false, "re-entry", MEMTX_REENTRY);
    }
    if (traced) {
        g_strlcpy(name, region->name, sizeof(name));
    }
    if (guard) {
        guard->engaged = true;
    }
    result = read_pieces(region, section->offset, size, value);
    if (guard) {
        guard->engaged = false;
    }
    if (traced && result == MEMTX_OK) {
        trace_hw_mmio_read(cpu, name, addr, section->offset, size, *value);
    } else if (traced) {
        trace_hw_mmio_error(cpu, name, addr, section->offset, size, false, "device");
    }
    return result;
}

MemTxResult mmio_write(const MemSection *section, int cpu, unsigned size, uint64_t value)
{
    const MemRegion *region = section->region;
    IoGuard *guard = region->guard;
    const char *why = refusal(section, size);
    char name[64];
    hwaddr addr = region->base + section->offset;
    bool traced = trace_hw_mmio_error_enabled();
    MemTxResult result;

    if (why) {
        return refuse(section, cpu, size, true, why, MEMTX_ERROR);
    }
    if (guard && guard->engaged) {
        return refuse(section, cpu, size, true, "re-entry", MEMTX_REENTRY);
    }
    if (traced) {
        g_strlcpy(name, region->name, sizeof(name));
    }
    trace_hw_mmio_write(cpu, region->name, addr, section->offset, size, value);
    if (guard) {
        guard->engaged = true;
    }
    result = write_pieces(region, section->offset, size, value);
    if (guard) {
        guard->engaged = false;
    }
    if (traced && result != MEMTX_OK) {
        trace_hw_mmio_error(cpu, name, addr, section->offset, size, true, "device");
    }
    return result;
}
