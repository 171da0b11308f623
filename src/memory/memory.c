/* SPDX-License-Identifier: MIT */
/*
 * The map of guest-physical addresses. The idea to hold: the map is a sorted array that never
 * changes; a writer builds another one, swaps the pointer, and frees the old one when the readers
 * that may have seen it are gone. Looking an address up is a binary search and takes no lock.
 */
#include "orrery/impl/memory.h"

#include <inttypes.h>
#include <string.h>

#include "memory/internal.h"
#include "orrery/impl/error.h"

static MemMap *map_new(unsigned count)
{
    MemMap *map = g_malloc(sizeof(MemMap) + count * sizeof(MemRegion *));

    map->count = count;
    return map;
}

Memory *memory_create(void)
{
    Memory *memory = g_new0(Memory, 1);

    orr_epoch_init(&memory->epoch);
    memory->map = map_new(0);
    memory->listeners = g_array_new(FALSE, FALSE, sizeof(MemoryListener));
    ram_register_barrier();
    return memory;
}

static void region_free(MemRegion *region)
{
    if (region) {
        ram_block_destroy(region->ram);
        g_free(region->name);
        g_free(region);
    }
}

void memory_destroy(Memory *memory)
{
    if (!memory) {
        return;
    }
    for (unsigned i = 0; i < memory->map->count; i++) {
        region_free(memory->map->region[i]);
    }
    g_free(memory->map);
    g_array_free(memory->listeners, TRUE);
    orr_epoch_finish(&memory->epoch);
    g_free(memory);
}

/* Swaps the map and waits out the old one's readers; what it no longer holds may be freed then. */
static void publish(Memory *memory, MemMap *map)
{
    MemMap *old = memory->map;

    orr_store_seq_cst(&memory->map, map);
    orr_epoch_synchronize(&memory->epoch);
    g_free(old);
}

static void tell_map_changed(Memory *memory)
{
    for (guint i = 0; i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);

        if (listener->map_changed) {
            listener->map_changed(listener->opaque);
        }
    }
}

static void tell_ram(Memory *memory, const MemRegion *region, bool added)
{
    for (guint i = 0; region->ram && i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);
        void (*tell)(void *, hwaddr, RamBlock *) =
            added ? listener->ram_added : listener->ram_removed;

        if (tell) {
            tell(listener->opaque, region->base, region->ram);
        }
    }
}

/* Index of the first region whose last address is not below addr; count when there is none. */
static unsigned map_search(const MemMap *map, hwaddr addr)
{
    unsigned low = 0, high = map->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (mem_region_last(map->region[middle]) < addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Takes the region over, also when it fails. */
static bool map_insert(Memory *memory, MemRegion *region, GError **error)
{
    MemMap *old = memory->map, *map;
    unsigned at;

    if (region->size_bytes == 0 || mem_region_last(region) < region->base) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "'%s' of 0x%" PRIx64 " bytes does not fit into the address space at 0x%" PRIx64,
                 region->name, region->size_bytes, region->base);
        region_free(region);
        return false;
    }
    at = map_search(old, region->base);
    if (at < old->count && old->region[at]->base <= mem_region_last(region)) {
        MemRegion *other = old->region[at];

        orr_fail(error, ORR_ERROR_INVALID,
                 "'%s' at 0x%" PRIx64 "-0x%" PRIx64 " overlaps '%s' at 0x%" PRIx64 "-0x%" PRIx64,
                 region->name, region->base, mem_region_last(region), other->name, other->base,
                 mem_region_last(other));
        region_free(region);
        return false;
    }
    map = map_new(old->count + 1);
    memcpy(map->region, old->region, at * sizeof(MemRegion *));
    map->region[at] = region;
    memcpy(map->region + at + 1, old->region + at, (old->count - at) * sizeof(MemRegion *));
    publish(memory, map);
    tell_ram(memory, region, true);
    tell_map_changed(memory);
    return true;
}

static MemRegion *region_new(const char *name, hwaddr base, uint64_t size_bytes)
{
    MemRegion *region = g_new0(MemRegion, 1);

    region->name = g_strdup(name);
    region->base = base;
    region->size_bytes = size_bytes;
    return region;
}

RamBlock *memory_add_ram(Memory *memory, const char *name, hwaddr base, uint64_t size_bytes,
                         bool readonly, GError **error)
{
    MemRegion *region;
    RamBlock *block;

    if (base % MEMORY_PAGE_SIZE || size_bytes % MEMORY_PAGE_SIZE) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "memory '%s' of 0x%" PRIx64 " bytes at 0x%" PRIx64 " is not made of whole pages",
                 name, size_bytes, base);
        return NULL;
    }
    block = ram_block_create(name, size_bytes, readonly, error);
    if (!block) {
        return NULL;
    }
    region = region_new(name, base, size_bytes);
    region->ram = block;
    block->code_listener = memory->code_listener;
    return map_insert(memory, region, error) ? block : NULL;
}

MemRegion *memory_add_mmio(Memory *memory, const char *name, hwaddr base, uint64_t size_bytes,
                           const MmioOps *ops, void *opaque, IoGuard *guard, GError **error)
{
    MemRegion *region = region_new(name, base, size_bytes);

    region->ops = ops;
    region->opaque = opaque;
    region->guard = ops->lockless ? NULL : guard;
    return map_insert(memory, region, error) ? region : NULL;
}

void memory_remove(Memory *memory, MemRegion *region)
{
    MemMap *old = memory->map, *map;
    unsigned at = map_search(old, region->base);

    g_assert(at < old->count && old->region[at] == region);
    map = map_new(old->count - 1);
    memcpy(map->region, old->region, at * sizeof(MemRegion *));
    memcpy(map->region + at, old->region + at + 1, (map->count - at) * sizeof(MemRegion *));
    publish(memory, map);
    tell_ram(memory, region, false);
    tell_map_changed(memory);
    region_free(region);
}

static void set_code_listener(Memory *memory, const MemoryListener *listener)
{
    memory->code_listener = listener;
    for (unsigned i = 0; i < memory->map->count; i++) {
        if (memory->map->region[i]->ram) {
            orr_store_release(&memory->map->region[i]->ram->code_listener, listener);
        }
    }
}

void memory_add_listener(Memory *memory, const MemoryListener *listener)
{
    g_array_append_vals(memory->listeners, listener, 1);
    if (listener->page_watched) {
        g_assert(!memory->code_listener && listener->code_written);
        set_code_listener(memory, listener);
    }
    for (unsigned i = 0; listener->ram_added && i < memory->map->count; i++) {
        MemRegion *region = memory->map->region[i];

        if (region->ram) {
            listener->ram_added(listener->opaque, region->base, region->ram);
        }
    }
}

static bool same_listener(const MemoryListener *a, const MemoryListener *b)
{
    return a->opaque == b->opaque && a->ram_added == b->ram_added &&
           a->ram_removed == b->ram_removed && a->log_start == b->log_start &&
           a->log_sync == b->log_sync && a->log_stop == b->log_stop &&
           a->map_changed == b->map_changed && a->page_watched == b->page_watched &&
           a->code_written == b->code_written;
}

void memory_remove_listener(Memory *memory, const MemoryListener *listener)
{
    for (guint i = 0; i < memory->listeners->len; i++) {
        if (same_listener(&g_array_index(memory->listeners, MemoryListener, i), listener)) {
            if (listener->page_watched) {
                set_code_listener(memory, NULL);
            }
            g_array_remove_index(memory->listeners, i);
            return;
        }
    }
}

uint32_t memory_read_enter(Memory *memory)
{
    return orr_epoch_enter(&memory->epoch, (uint32_t)orr_thread_id());
}

void memory_read_exit(Memory *memory, uint32_t token)
{
    orr_epoch_exit(&memory->epoch, token);
}

bool memory_find(Memory *memory, hwaddr addr, MemSection *section)
{
    const MemMap *map = orr_load_seq_cst(&memory->map);
    unsigned at = map_search(map, addr);
    MemRegion *region;

    if (at == map->count || map->region[at]->base > addr) {
        return false;
    }
    region = map->region[at];
    section->region = region;
    section->ram = region->ram;
    section->offset = addr - region->base;
    section->remaining_bytes = region->size_bytes - section->offset;
    return true;
}

const char *mem_region_name(const MemRegion *region)
{
    return region->name;
}

hwaddr mem_region_base(const MemRegion *region)
{
    return region->base;
}

bool mem_region_lockless(const MemRegion *region)
{
    return region->ram || region->ops->lockless;
}
