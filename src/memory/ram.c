/* SPDX-License-Identifier: MIT */
/*
 * RAM blocks, and how writes to them reach translated code and the dirty log.
 *
 * The promise: when ram_note_write returns, every copy of instructions that was read before the
 * store fails its version check, and the dirty log has the page. A writer stores and then looks at
 * the flags; a reader of code sets a flag and then reads. For one of the two to see the other, both
 * need a full barrier in between. Stores are far more frequent, so the writer has none: the reader
 * makes all running threads execute one (membarrier) after it has set ARMED, and only then sets
 * CODE, which tells later readers that no barrier is needed. The dirty log does the same once a page
 * table scan.
 *
 * A write to a flagged page holds BUSY from the moment it may clear flags until the version has
 * grown. So a page without flags has no invalidation under way, and skipping it is right.
 *
 * Instructions and data may share a page. Were the flag cleared by each write, each decoding after
 * it would need a barrier; so it survives a few writes, and goes when nobody decodes any more.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory/internal.h"
#include "orrery/impl/error.h"

/* Lazily touched, and not counted against the host's commit limit. */
static void *map_table(uint64_t size_bytes)
{
    void *table = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return table == MAP_FAILED ? NULL : table;
}

static uint64_t page_count(const RamBlock *block)
{
    return block->size_bytes >> MEMORY_PAGE_BITS;
}

RamBlock *ram_block_create(const char *name, uint64_t size_bytes, bool readonly, GError **error)
{
    RamBlock *block = g_new0(RamBlock, 1);
    char *size = g_format_size_full(size_bytes, G_FORMAT_SIZE_IEC_UNITS);
    bool ok = false;

    block->name = g_strdup(name);
    block->readonly = readonly;
    block->fd = -1;
    if (size_bytes == 0 || size_bytes > INT64_MAX) {
        orr_fail(error, ORR_ERROR_INVALID, "memory '%s' cannot have a size of %s", name, size);
        goto out;
    }
    block->fd = memfd_create(name, MFD_CLOEXEC);
    if (block->fd < 0 || ftruncate(block->fd, (off_t)size_bytes) < 0) {
        orr_fail(error, ORR_ERROR_IO, "cannot make memory '%s' of %s: %s", name, size,
                 g_strerror(errno));
        goto out;
    }
    block->host =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, block->fd, 0);
    if (block->host == MAP_FAILED) {
        block->host = NULL;
        orr_fail(error, ORR_ERROR_IO, "cannot map memory '%s' of %s: %s", name, size,
                 g_strerror(errno));
        goto out;
    }
    block->size_bytes = size_bytes;
    madvise(block->host, size_bytes, MADV_DONTDUMP);
    block->page_flags = map_table(page_count(block));
    block->page_version = map_table(page_count(block) * sizeof(uint32_t));
    if (!block->page_flags || !block->page_version) {
        orr_fail(error, ORR_ERROR_IO, "cannot map the page tables of memory '%s' of %s: %s", name,
                 size, g_strerror(errno));
        goto out;
    }
    ok = true;
out:
    g_free(size);
    if (!ok) {
        ram_block_destroy(block);
        return NULL;
    }
    return block;
}

void ram_block_destroy(RamBlock *block)
{
    if (!block) {
        return;
    }
    if (block->host) {
        munmap(block->host, block->size_bytes);
    }
    if (block->page_flags) {
        munmap(block->page_flags, page_count(block));
    }
    if (block->page_version) {
        munmap(block->page_version, page_count(block) * sizeof(uint32_t));
    }
    if (block->fd >= 0) {
        close(block->fd);
    }
    g_free(block->name);
    g_free(block);
}

void ram_register_barrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

/*
 * A full barrier on every running thread. A host kernel without membarrier (before 4.14) leaves the
 * window that a store may wait in the writer's store buffer, some nanoseconds.
 */
static void barrier_everywhere(void)
{
    orr_fence_seq_cst();
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static const MemoryListener *code_listener(const RamBlock *block)
{
    return orr_load_acquire(&block->code_listener);
}

static void tell_watched(RamBlock *block, uint64_t page)
{
    const MemoryListener *listener = code_listener(block);

    if (listener) {
        listener->page_watched(listener->opaque, block, page);
    }
}

/* Sets CODE, unless a writer takes ARMED away: who has looked since then may not know of us. */
static void confirm_code(RamBlock *block, uint64_t page)
{
    uint8_t *flags = &block->page_flags[page];
    uint8_t seen;

    orr_fetch_or(flags, (uint8_t)RAM_PAGE_ARMED);
    tell_watched(block, page);
    barrier_everywhere();
    seen = orr_load_seq_cst(flags);
    while ((seen & RAM_PAGE_ARMED) && !(seen & RAM_PAGE_CODE) &&
           !__atomic_compare_exchange_n(flags, &seen, (uint8_t)(seen | RAM_PAGE_CODE), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

/* The version comes before the look at CODE that makes it count, as in ram_watch_code. */
uint32_t ram_watch_code_slow(RamBlock *block, uint64_t page)
{
    uint8_t *flags = &block->page_flags[page];

    for (;;) {
        uint32_t version = orr_load_seq_cst(&block->page_version[page]);

        if (orr_fetch_and(flags, (uint8_t)~RAM_PAGE_UNREAD) & RAM_PAGE_CODE) {
            return version;
        }
        confirm_code(block, page);
    }
}

/*
 * The flags that a write leaves. ARMED alone stays: its reader is on the way to set CODE, and must
 * not be kept from it by writers that are quicker than a barrier.
 */
static uint8_t flags_after_write(uint8_t flags)
{
    if (!(flags & RAM_PAGE_CODE)) {
        return flags & RAM_PAGE_ARMED;
    }
    if ((flags & RAM_PAGE_UNREAD) == RAM_PAGE_UNREAD) {
        return 0;
    }
    return (uint8_t)((flags & ~RAM_PAGE_LOG) + RAM_PAGE_UNREAD_ONE);
}

/* BUSY is held, so no writer passes by while CODE is away. */
static void tell_written(RamBlock *block, uint64_t offset, uint64_t length_bytes)
{
    const MemoryListener *listener = code_listener(block);
    uint8_t *flags = &block->page_flags[offset >> MEMORY_PAGE_BITS];

    if (listener && listener->code_written(listener->opaque, block, offset, length_bytes)) {
        orr_fetch_or(flags, (uint8_t)(RAM_PAGE_CODE | RAM_PAGE_ARMED));
        orr_fetch_and(flags, (uint8_t)~RAM_PAGE_UNREAD);
    }
}

/* [offset, offset + length) has been written; it is in one page. */
static void note_page(RamBlock *block, uint64_t offset, uint64_t length_bytes)
{
    uint64_t page = offset >> MEMORY_PAGE_BITS;
    uint8_t *flags = &block->page_flags[page];
    uint8_t seen = orr_load_relaxed(flags);

    for (;;) {
        if (seen == 0) {
            return;
        }
        if (seen & RAM_PAGE_BUSY) {
            sched_yield();
            seen = orr_load_relaxed(flags);
            continue;
        }
        if (__atomic_compare_exchange_n(flags, &seen,
                                        (uint8_t)(flags_after_write(seen) | RAM_PAGE_BUSY), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            break;
        }
    }
    if (seen & (RAM_PAGE_CODE | RAM_PAGE_ARMED)) {
        orr_fetch_add(&block->page_version[page], 1u);
        tell_written(block, offset, length_bytes);
    }
    orr_fetch_and(flags, (uint8_t)~RAM_PAGE_BUSY);
}

void ram_note_write_slow(RamBlock *block, uint64_t offset, uint64_t length_bytes)
{
    uint64_t last;

    if (length_bytes == 0 || offset >= block->size_bytes) {
        return;
    }
    last = offset + MIN(length_bytes, block->size_bytes - offset) - 1;
    while (offset <= last) {
        uint64_t end = MIN(last, offset | (MEMORY_PAGE_SIZE - 1));

        if (orr_load_relaxed(&block->page_flags[offset >> MEMORY_PAGE_BITS])) {
            note_page(block, offset, end - offset + 1);
        }
        offset = end + 1;
    }
}

void ram_log_start(Memory *memory, RamBlock *block)
{
    for (uint64_t page = 0; page < page_count(block); page++) {
        orr_fetch_or(&block->page_flags[page], (uint8_t)RAM_PAGE_LOG);
    }
    tell_watched(block, RAM_EVERY_PAGE);
    barrier_everywhere();
    for (guint i = 0; i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);

        if (listener->log_start) {
            listener->log_start(listener->opaque, block);
        }
    }
}

void ram_log_stop(Memory *memory, RamBlock *block)
{
    for (guint i = 0; i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);

        if (listener->log_stop) {
            listener->log_stop(listener->opaque, block);
        }
    }
    for (uint64_t page = 0; page < page_count(block); page++) {
        if (orr_load_relaxed(&block->page_flags[page]) & RAM_PAGE_LOG) {
            orr_fetch_and(&block->page_flags[page], (uint8_t)~RAM_PAGE_LOG);
        }
    }
}

void ram_log_fetch_and_clear(Memory *memory, RamBlock *block, uint64_t *bitmap)
{
    for (guint i = 0; i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);

        if (listener->log_sync) {
            listener->log_sync(listener->opaque, block);
        }
    }
    memset(bitmap, 0, (page_count(block) + 63) / 64 * sizeof(uint64_t));
    for (uint64_t page = 0; page < page_count(block); page++) {
        if (!(orr_load_relaxed(&block->page_flags[page]) & RAM_PAGE_LOG)) {
            orr_fetch_or(&block->page_flags[page], (uint8_t)RAM_PAGE_LOG);
            bitmap[page / 64] |= (uint64_t)1 << (page % 64);
        }
    }
    tell_watched(block, RAM_EVERY_PAGE);
    barrier_everywhere();
}

/* ---- A guest's accesses. */

uint64_t ram_load(const uint8_t *host, unsigned size)
{
    uint64_t value = 0;

    if (((uintptr_t)host & (size - 1)) == 0) {
        switch (size) {
        case 1:
            return orr_load_relaxed(host);
        case 2:
            return orr_load_relaxed((const uint16_t *)host);
        case 4:
            return orr_load_relaxed((const uint32_t *)host);
        case 8:
            return orr_load_relaxed((const uint64_t *)host);
        default:
            break;
        }
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)orr_load_relaxed(host + i) << 8 * i;
    }
    return value;
}

void ram_store(uint8_t *host, unsigned size, uint64_t value)
{
    if (((uintptr_t)host & (size - 1)) == 0) {
        switch (size) {
        case 1:
            orr_store_relaxed(host, (uint8_t)value);
            return;
        case 2:
            orr_store_relaxed((uint16_t *)host, (uint16_t)value);
            return;
        case 4:
            orr_store_relaxed((uint32_t *)host, (uint32_t)value);
            return;
        case 8:
            orr_store_relaxed((uint64_t *)host, value);
            return;
        default:
            break;
        }
    }
    for (unsigned i = 0; i < size; i++) {
        orr_store_relaxed(host + i, (uint8_t)(value >> 8 * i));
    }
}
