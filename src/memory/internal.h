/* SPDX-License-Identifier: MIT */
/*
 * What the files of the memory core share: the region, the published map and the object that holds
 * them. The idea to hold: everything a reader can reach from `map` is constant while it is reachable.
 */
#ifndef ORRERY_MEMORY_INTERNAL_H
#define ORRERY_MEMORY_INTERNAL_H

#include "orrery/impl/memory.h"

struct MemRegion {
    char *name;
    hwaddr base;
    uint64_t size_bytes;
    RamBlock *ram; /* owned; NULL for MMIO */
    const MmioOps *ops;
    void *opaque;
    IoGuard *guard; /* NULL for RAM, lockless regions and owners without one */
};

/* Sorted by base, without overlaps. Immutable once published. */
typedef struct MemMap {
    unsigned count;
    MemRegion *region[];
} MemMap;

struct Memory {
    OrrEpoch epoch;
    MemMap *map; /* read with seq_cst inside a read section; replaced under the machine lock */
    GArray *listeners; /* MemoryListener; machine lock */
    const MemoryListener *code_listener; /* the one with page_watched; the caller's; machine lock */
};

static inline hwaddr mem_region_last(const MemRegion *region)
{
    return region->base + (region->size_bytes - 1);
}

RamBlock *ram_block_create(const char *name, uint64_t size_bytes, bool readonly, GError **error);
void ram_block_destroy(RamBlock *block); /* half-built is fine, NULL is fine */

/* Lets ram_watch_code_slow reach every running thread. Once a process is enough; repeats are fine. */
void ram_register_barrier(void);

#endif
