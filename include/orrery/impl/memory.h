/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: RAM blocks on memfd, MMIO regions, and the map from addresses to them.
 * Readers find a region without a lock; the map is an immutable sorted array that a writer replaces
 * and frees after an epoch. Every write to RAM that does not go through a vCPU's own store path
 * passes ram_note_write, which is how translated code and dirty logs learn of it.
 */
#ifndef ORRERY_IMPL_MEMORY_H
#define ORRERY_IMPL_MEMORY_H

#include "orrery/impl/compiler.h"
#include "orrery/impl/epoch.h"

ORR_BEGIN_DECLS

typedef uint64_t hwaddr;

#define MEMORY_PAGE_BITS 12
#define MEMORY_PAGE_SIZE ((hwaddr)1 << MEMORY_PAGE_BITS)

typedef enum MemTxResult {
    MEMTX_OK = 0,
    MEMTX_ERROR,        /* the device refused: size, alignment, no such register */
    MEMTX_DECODE_ERROR, /* nothing answers at this address */
    MEMTX_REENTRY,      /* the device was already in a handler: a DMA loop, refused */
} MemTxResult;

/* What a device shows of itself. Handlers see offsets inside the region and sizes 1, 2, 4, 8. */
typedef struct MmioOps {
    /* *value is zero-extended. Machine lock held unless lockless. */
    MemTxResult (*read)(void *opaque, hwaddr offset, unsigned size, uint64_t *value);
    MemTxResult (*write)(void *opaque, hwaddr offset, unsigned size, uint64_t value);

    /* What a guest may do; outside of it the access is an error. 0 means 1..8. */
    struct {
        unsigned min_bytes, max_bytes;
        bool unaligned;
    } valid;

    /*
     * What the handlers can do; valid accesses of other sizes are split (larger) or widened and
     * shifted (smaller; a narrow write becomes a wide one with zeros around it). 0 means as valid.
     */
    struct {
        unsigned min_bytes, max_bytes;
    } impl;

    bool lockless; /* handlers do their own locking and may run on several threads at once */
} MmioOps;

/*
 * One a device, shared by its regions: engaged while one of its handlers runs, and an access to the
 * device's own registers is refused then. Lockless regions have none (they make no transfers).
 * Machine lock held.
 */
typedef struct IoGuard {
    bool engaged;
    const char *owner; /* device name for traces; outlives the guard */
} IoGuard;

/*
 * For device code that makes transfers outside of a handler (timers, completions): engage before,
 * and give what it returned to restore after.
 */
static inline bool io_guard_engage(IoGuard *guard)
{
    bool before = guard->engaged;

    guard->engaged = true;
    return before;
}

static inline void io_guard_restore(IoGuard *guard, bool before)
{
    guard->engaged = before;
}

/*
 * Bits of RamBlock.page_flags. A write to a page with any of them takes the slow path; what that
 * does, and why no write slips through, stands at the head of src/memory/ram.c.
 */
enum {
    RAM_PAGE_CODE = 1 << 0,  /* somebody decodes instructions from it; every writer knows */
    RAM_PAGE_LOG = 1 << 1,   /* dirty logging on, page clean */
    RAM_PAGE_BUSY = 1 << 2,  /* a writer is between its store and the new version */
    RAM_PAGE_ARMED = 1 << 3, /* as CODE, but some writer may not have seen it yet */
    RAM_PAGE_UNREAD = 0xf0,  /* counts writes since instructions were last decoded */
    RAM_PAGE_UNREAD_ONE = 1 << 4,
};

typedef struct RamBlock {
    uint8_t *host;       /* page aligned mapping */
    uint64_t size_bytes; /* multiple of the page size */
    int fd;              /* memfd behind it */
    bool readonly;       /* ROM: guest writes are dropped */
    char *name;
    uint8_t *page_flags;    /* one byte a page */
    uint32_t *page_version; /* grows with each noted write to a page with CODE or ARMED */

    /* The memory's one listener with page_watched and code_written, or NULL; atomic. */
    const struct MemoryListener *code_listener;
} RamBlock;

typedef struct MemRegion MemRegion; /* RAM or MMIO at a place in the map */
typedef struct Memory Memory;       /* the whole guest-physical space of one machine */

/* Where an address leads. Valid as long as the map is held (see memory_find). */
typedef struct MemSection {
    MemRegion *region;
    RamBlock *ram;            /* NULL for MMIO */
    hwaddr offset;            /* of the address in the block or region */
    uint64_t remaining_bytes; /* from the address to the region's end */
} MemSection;

Memory *memory_create(void);
void memory_destroy(Memory *memory); /* frees regions and blocks; NULL is fine */

/*
 * Changes of the map. Machine lock held. They publish a new map and wait out its readers, so never
 * from inside a read section. Overlap with an existing region is an error that names both.
 */
RamBlock *memory_add_ram(Memory *memory, const char *name, hwaddr base, uint64_t size_bytes,
                         bool readonly, GError **error);
MemRegion *memory_add_mmio(Memory *memory, const char *name, hwaddr base, uint64_t size_bytes,
                           const MmioOps *ops, void *opaque, IoGuard *guard, GError **error);
void memory_remove(Memory *memory, MemRegion *region);

/* Told of RAM regions as they come and go (KVM slots) and of dirty logging. */
typedef struct MemoryListener {
    void (*ram_added)(void *opaque, hwaddr base, RamBlock *block);
    void (*ram_removed)(void *opaque, hwaddr base, RamBlock *block);
    void (*log_start)(void *opaque, RamBlock *block);
    void (*log_sync)(void *opaque, RamBlock *block);
    void (*log_stop)(void *opaque, RamBlock *block);
    void (*map_changed)(void *opaque); /* after any change: cached look-ups are stale */

    /*
     * For one who writes without looking at page_flags, and keeps translations of pages; at most one
     * listener of a memory has them, both or none, and it stays in place until it is removed. Any
     * thread, any lock may be held.
     *
     * page_watched: flags of a page (RAM_EVERY_PAGE: of all) have been set; when it returns, its own
     * writers notice them. code_written: [offset, offset + length) in one page with CODE or ARMED has
     * been written, and the page's version has grown. true: the page still has translations, and
     * CODE stays.
     */
    void (*page_watched)(void *opaque, RamBlock *block, uint64_t page);
    bool (*code_written)(void *opaque, RamBlock *block, uint64_t offset, uint64_t length_bytes);
    void *opaque;
} MemoryListener;

#define RAM_EVERY_PAGE UINT64_MAX

void memory_add_listener(Memory *memory,
                         const MemoryListener *listener); /* replays what is there */
void memory_remove_listener(Memory *memory, const MemoryListener *listener);

/*
 * Read sections over the map. Any thread, no lock; never wait for the machine lock inside one, since
 * whoever changes the map holds that lock and waits for the sections to end.
 */
uint32_t memory_read_enter(Memory *memory);
void memory_read_exit(Memory *memory, uint32_t token);

/*
 * Inside a read section, or with the machine lock held, which keeps the map as it is. false when
 * nothing is mapped there.
 */
bool memory_find(Memory *memory, hwaddr addr, MemSection *section);

const char *mem_region_name(const MemRegion *region);
hwaddr mem_region_base(const MemRegion *region);
bool mem_region_lockless(const MemRegion *region);

/*
 * One MMIO access by the access-size rules. size 1, 2, 4 or 8. A region that is lockless: inside a
 * read section. Any other: machine lock held and no read section, since a handler may change the
 * map. *value is zero when the result is not MEMTX_OK. cpu is for traces: a vCPU's index, or -1
 * for a device or tool.
 */
MemTxResult mmio_read(const MemSection *section, int cpu, unsigned size, uint64_t *value);
MemTxResult mmio_write(const MemSection *section, int cpu, unsigned size, uint64_t value);

/*
 * Block transfers as a device or a tool makes them: RAM and MMIO mixed, any alignment. Stops at the
 * first failure. Writes to ROM are dropped, except by memory_write_rom (loaders). Machine lock held
 * if the range can touch MMIO that is not lockless.
 */
MemTxResult memory_read(Memory *memory, hwaddr addr, void *buffer, uint64_t length_bytes);
MemTxResult memory_write(Memory *memory, hwaddr addr, const void *buffer, uint64_t length_bytes);
MemTxResult memory_write_rom(Memory *memory, hwaddr addr, const void *buffer,
                             uint64_t length_bytes);

/*
 * Host pointer to [addr, addr + length) when all of it is RAM of one block (and writable when
 * for_write), else NULL. The pointer stays good while the block is mapped; after writing through
 * it, call memory_note_written. Any thread.
 */
void *memory_host_ptr(Memory *memory, hwaddr addr, uint64_t length_bytes, bool for_write);
void memory_note_written(Memory *memory, hwaddr addr, uint64_t length_bytes);

/*
 * Fixed-width little-endian accesses for devices' descriptors. MEMTX_OK or the first error. Aligned
 * ones in RAM are single-copy atomic; reads acquire, writes release.
 */
MemTxResult memory_read_u16(Memory *memory, hwaddr addr, uint16_t *value);
MemTxResult memory_read_u32(Memory *memory, hwaddr addr, uint32_t *value);
MemTxResult memory_read_u64(Memory *memory, hwaddr addr, uint64_t *value);
MemTxResult memory_write_u16(Memory *memory, hwaddr addr, uint16_t value);
MemTxResult memory_write_u32(Memory *memory, hwaddr addr, uint32_t value);

/* Slow half of ram_watch_code: makes every writer know of the reader before it returns. */
uint32_t ram_watch_code_slow(RamBlock *block, uint64_t page);

/*
 * Protocol for cached instructions: set the flag with ram_watch_code, THEN read the bytes, remember
 * the version; the copy is good while ram_page_version still returns it. Any thread.
 */
static inline uint32_t ram_watch_code(RamBlock *block, uint64_t offset)
{
    uint64_t page = offset >> MEMORY_PAGE_BITS;
    uint32_t version = orr_load_acquire(&block->page_version[page]);

    /* In this order: a flag that is taken away after it was seen here makes the version older. */
    if ((orr_load_acquire(&block->page_flags[page]) & (RAM_PAGE_CODE | RAM_PAGE_UNREAD)) ==
        RAM_PAGE_CODE) {
        return version;
    }
    return ram_watch_code_slow(block, page);
}

static inline uint32_t ram_page_version(const RamBlock *block, uint64_t offset)
{
    return orr_load_acquire(&block->page_version[offset >> MEMORY_PAGE_BITS]);
}

/*
 * Slow half of ram_note_write, for any length: clears flags, bumps the version, marks the dirty
 * log. An accelerator whose hardware keeps the dirty log calls it for each dirty page.
 */
void ram_note_write_slow(RamBlock *block, uint64_t offset, uint64_t length_bytes);

/*
 * After a store of up to a page. The store comes first; that the processor may still hold it back
 * is taken care of by the readers' side. Any thread.
 */
static inline void ram_note_write(RamBlock *block, uint64_t offset, unsigned length_bytes)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (G_UNLIKELY(orr_load_relaxed(&block->page_flags[offset >> MEMORY_PAGE_BITS])) ||
        G_UNLIKELY(((offset & (MEMORY_PAGE_SIZE - 1)) + length_bytes) > MEMORY_PAGE_SIZE)) {
        ram_note_write_slow(block, offset, length_bytes);
    }
}

/*
 * One access of a guest to RAM, size 1 to 8 bytes, little-endian, within a page: aligned ones of a power
 * of two are single-copy atomic, others are made byte by byte, as a guest must expect. A store is not
 * noted here. Any thread.
 */
uint64_t ram_load(const uint8_t *host, unsigned size);
void ram_store(uint8_t *host, unsigned size, uint64_t value);

/* Dirty log for snapshots and migration. Machine lock held. */
void ram_log_start(Memory *memory, RamBlock *block);
void ram_log_stop(Memory *memory, RamBlock *block);

/* Fills one bit a page (set: written since the last call or the start) and starts over. */
void ram_log_fetch_and_clear(Memory *memory, RamBlock *block, uint64_t *bitmap);

ORR_END_DECLS

#endif
