/* SPDX-License-Identifier: MIT */
/*
 * Transfers that no vCPU makes: devices' DMA, loaders, debuggers. The idea to hold: a range is
 * walked section by section; RAM is copied inside a read section, while a device's handler is
 * called outside of one (the machine lock keeps the map then), in the widest aligned accesses that
 * fit.
 */
#include <string.h>

#include "memory/internal.h"

typedef enum Direction {
    TRANSFER_READ,
    TRANSFER_WRITE,
    TRANSFER_WRITE_ROM,
} Direction;

/* In its own function so that tools which look for data races can be told: the guest's affair. */
static void __attribute__((noinline)) ram_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static void transfer_ram(const MemSection *section, uint8_t *buffer, uint64_t bytes,
                         Direction direction)
{
    RamBlock *block = section->ram;

    if (direction == TRANSFER_READ) {
        ram_copy(buffer, block->host + section->offset, bytes);
    } else if (!block->readonly || direction == TRANSFER_WRITE_ROM) {
        ram_copy(block->host + section->offset, buffer, bytes);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ram_note_write_slow(block, section->offset, bytes);
    }
}

/* One access of the widest aligned size that fits; *done is its size. */
static MemTxResult transfer_mmio(const MemSection *section, uint8_t *buffer, uint64_t bytes,
                                 Direction direction, uint64_t *done)
{
    const MmioOps *ops = section->region->ops;
    unsigned size = ops->valid.max_bytes ? ops->valid.max_bytes : 8;
    uint64_t value = 0;
    MemTxResult result;

    while (size > bytes || section->offset % size) {
        size /= 2;
    }
    *done = size;
    if (direction == TRANSFER_READ) {
        result = mmio_read(section, -1, size, &value);
        value = GUINT64_TO_LE(value);
        memcpy(buffer, &value, size);
        return result;
    }
    memcpy(&value, buffer, size);
    return mmio_write(section, -1, size, GUINT64_FROM_LE(value));
}

static MemTxResult transfer(Memory *memory, hwaddr addr, uint8_t *buffer, uint64_t bytes,
                            Direction direction)
{
    while (bytes) {
        uint32_t token = memory_read_enter(memory);
        MemTxResult result = MEMTX_OK;
        MemSection section;
        uint64_t part;

        if (!memory_find(memory, addr, &section)) {
            memory_read_exit(memory, token);
            return MEMTX_DECODE_ERROR;
        }
        part = MIN(bytes, section.remaining_bytes);
        if (section.ram) {
            transfer_ram(&section, buffer, part, direction);
            memory_read_exit(memory, token);
        } else if (mem_region_lockless(section.region)) {
            result = transfer_mmio(&section, buffer, part, direction, &part);
            memory_read_exit(memory, token);
        } else {
            memory_read_exit(memory, token);
            result = transfer_mmio(&section, buffer, part, direction, &part);
        }
        if (result != MEMTX_OK) {
            return result;
        }
        buffer += part;
        bytes -= part;
        if (bytes && addr + part < addr) {
            return MEMTX_DECODE_ERROR; /* beyond the last address */
        }
        addr += part;
    }
    return MEMTX_OK;
}

MemTxResult memory_read(Memory *memory, hwaddr addr, void *buffer, uint64_t length_bytes)
{
    return transfer(memory, addr, buffer, length_bytes, TRANSFER_READ);
}

MemTxResult memory_write(Memory *memory, hwaddr addr, const void *buffer, uint64_t length_bytes)
{
    return transfer(memory, addr, (uint8_t *)buffer, length_bytes, TRANSFER_WRITE);
}

MemTxResult memory_write_rom(Memory *memory, hwaddr addr, const void *buffer, uint64_t length_bytes)
{
    return transfer(memory, addr, (uint8_t *)buffer, length_bytes, TRANSFER_WRITE_ROM);
}

void *memory_host_ptr(Memory *memory, hwaddr addr, uint64_t length_bytes, bool for_write)
{
    uint32_t token = memory_read_enter(memory);
    MemSection section;
    void *host = NULL;

    if (memory_find(memory, addr, &section) && section.ram &&
        length_bytes <= section.remaining_bytes && !(for_write && section.ram->readonly)) {
        host = section.ram->host + section.offset;
    }
    memory_read_exit(memory, token);
    return host;
}

void memory_note_written(Memory *memory, hwaddr addr, uint64_t length_bytes)
{
    uint32_t token = memory_read_enter(memory);
    MemSection section;

    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    while (length_bytes && memory_find(memory, addr, &section)) {
        uint64_t part = MIN(length_bytes, section.remaining_bytes);

        if (section.ram) {
            ram_note_write_slow(section.ram, section.offset, part);
        }
        addr += part;
        length_bytes -= part;
        if (addr == 0) {
            break;
        }
    }
    memory_read_exit(memory, token);
}

/* A host pointer when one atomic access will do; inside a read section. */
static void *aligned_ram(Memory *memory, hwaddr addr, unsigned size, MemSection *section)
{
    if (addr % size || !memory_find(memory, addr, section) || !section->ram) {
        return NULL;
    }
    return section->ram->host + section->offset;
}

MemTxResult memory_read_u16(Memory *memory, hwaddr addr, uint16_t *value)
{
    uint32_t token = memory_read_enter(memory);
    MemTxResult result = MEMTX_OK;
    MemSection section;
    uint16_t *host = aligned_ram(memory, addr, sizeof(*host), &section);

    *value = host ? orr_load_acquire(host) : 0;
    memory_read_exit(memory, token);
    if (!host) {
        result = memory_read(memory, addr, value, sizeof(*value));
    }
    *value = GUINT16_FROM_LE(*value);
    return result;
}

MemTxResult memory_read_u32(Memory *memory, hwaddr addr, uint32_t *value)
{
    uint32_t token = memory_read_enter(memory);
    MemTxResult result = MEMTX_OK;
    MemSection section;
    uint32_t *host = aligned_ram(memory, addr, sizeof(*host), &section);

    *value = host ? orr_load_acquire(host) : 0;
    memory_read_exit(memory, token);
    if (!host) {
        result = memory_read(memory, addr, value, sizeof(*value));
    }
    *value = GUINT32_FROM_LE(*value);
    return result;
}

MemTxResult memory_read_u64(Memory *memory, hwaddr addr, uint64_t *value)
{
    uint32_t token = memory_read_enter(memory);
    MemTxResult result = MEMTX_OK;
    MemSection section;
    uint64_t *host = aligned_ram(memory, addr, sizeof(*host), &section);

    *value = host ? orr_load_acquire(host) : 0;
    memory_read_exit(memory, token);
    if (!host) {
        result = memory_read(memory, addr, value, sizeof(*value));
    }
    *value = GUINT64_FROM_LE(*value);
    return result;
}

MemTxResult memory_write_u16(Memory *memory, hwaddr addr, uint16_t value)
{
    uint16_t le = GUINT16_TO_LE(value);
    uint32_t token = memory_read_enter(memory);
    MemSection section;
    uint16_t *host = aligned_ram(memory, addr, sizeof(*host), &section);

    if (host && !section.ram->readonly) {
        orr_store_release(host, le);
        ram_note_write(section.ram, section.offset, sizeof(*host));
    }
    memory_read_exit(memory, token);
    return host ? MEMTX_OK : memory_write(memory, addr, &le, sizeof(le));
}

MemTxResult memory_write_u32(Memory *memory, hwaddr addr, uint32_t value)
{
    uint32_t le = GUINT32_TO_LE(value);
    uint32_t token = memory_read_enter(memory);
    MemSection section;
    uint32_t *host = aligned_ram(memory, addr, sizeof(*host), &section);

    if (host && !section.ram->readonly) {
        orr_store_release(host, le);
        ram_note_write(section.ram, section.offset, sizeof(*host));
    }
    memory_read_exit(memory, token);
    return host ? MEMTX_OK : memory_write(memory, addr, &le, sizeof(le));
}
