/* SPDX-License-Identifier: MIT */
/*
 * The code cache, and how blocks are found and taken back. The idea to hold: the cache is a ring of
 * segments. vCPUs take chunks of the newest and translate into them without a lock; when it is full
 * the oldest segment is emptied in an exclusive section and becomes the newest. So code that is no
 * longer used ages out, and nothing is ever freed under a running vCPU.
 *
 * Memory is mapped twice, once to write and once to execute. Between two mappings of one page x86
 * needs no more care than for code that modifies itself.
 */
#include "tcg/tb.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "orrery/impl/error.h"
#include "trace/trace-tcg.h"

/* ---- The memory. */

static void *map_lazily(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        g_error("tcg: cannot map %" G_GUINT64_FORMAT " bytes: %s", bytes, g_strerror(errno));
    }
    return memory;
}

static uint64_t starts_bytes(const TcgContext *context)
{
    return (context->cache_bytes >> TCG_START_SHIFT) / 8;
}

bool tcg_cache_open(TcgContext *context, GError **error)
{
    uint64_t bytes = context->cache_bytes;
    TcgCodeBuffer all;
    void *map;

    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
               0);
    context->rw = map == MAP_FAILED ? NULL : map;
    /* An old size of 0 makes a second mapping of shared memory, which perf takes for anonymous. */
    map = context->rw ? mremap(context->rw, 0, bytes, MREMAP_MAYMOVE) : MAP_FAILED;
    context->rx = map == MAP_FAILED ? NULL : map;
    if (!context->rw || !context->rx || mprotect(map, bytes, PROT_READ | PROT_EXEC) < 0) {
        return orr_fail(error, ORR_ERROR_IO,
                        "cannot map a code cache of %" G_GUINT64_FORMAT
                        " bytes: %s; try a smaller tb-size",
                        bytes, g_strerror(errno));
    }
    madvise(context->rw, bytes, MADV_DONTDUMP);
    all = (TcgCodeBuffer){ context->rw, (uint8_t *)(uintptr_t)context->rx, TCG_CHUNK_BYTES };
    if (!context->host->make_thunks(&all, &context->calls, &context->features, &context->thunks)) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "back end %s does not work on this host",
                        context->host->name);
    }
    context->thunk_bytes = (context->thunks.bytes + 4095) & ~UINT64_C(4095);
    context->segment_bytes =
        (bytes - context->thunk_bytes) / TCG_SEGMENTS / TCG_CHUNK_BYTES * TCG_CHUNK_BYTES;
    context->starts = map_lazily(starts_bytes(context));
    context->hash = map_lazily(sizeof(TcgTb *) << TCG_HASH_BITS);
    context->rams = g_new0(TcgRam, TCG_MAX_RAMS);
    for (unsigned i = 0; i < TCG_SEGMENTS; i++) {
        context->segment[i].tbs = g_ptr_array_new();
    }
    orr_mutex_init(&context->lock, "tcg code");
    return true;
}

void tcg_cache_close(TcgContext *context)
{
    if (context->hash) {
        for (unsigned i = 0; i < TCG_SEGMENTS; i++) {
            GPtrArray *tbs = context->segment[i].tbs;

            for (guint t = 0; t < tbs->len; t++) {
                tcg_tb_free(g_ptr_array_index(tbs, t));
            }
            g_ptr_array_free(tbs, TRUE);
        }
        for (uint32_t i = 0; i < context->ram_count; i++) {
            munmap(context->rams[i].map, context->rams[i].pages * sizeof(uint64_t));
            munmap(context->rams[i].tbs, context->rams[i].pages * sizeof(TcgTb *));
        }
        g_free(context->rams);
        munmap(context->starts, starts_bytes(context));
        munmap(context->hash, sizeof(TcgTb *) << TCG_HASH_BITS);
        orr_mutex_finish(&context->lock);
    }
    if (context->rw) {
        munmap(context->rw, context->cache_bytes);
    }
    if (context->rx) {
        munmap((void *)(uintptr_t)context->rx, context->cache_bytes);
    }
}

/* ---- Chunks. */

static uint64_t segment_start(const TcgContext *context, unsigned segment)
{
    return context->thunk_bytes + segment * context->segment_bytes;
}

static unsigned segment_of(const TcgContext *context, const uint8_t *rx)
{
    return (unsigned)(((uint64_t)(rx - context->rx) - context->thunk_bytes) /
                      context->segment_bytes);
}

static bool take_chunk(TcgContext *context, TcgMaker *maker)
{
    TcgSegment *segment = &context->segment[context->segment_now];

    if (segment->used_bytes + TCG_CHUNK_BYTES > context->segment_bytes) {
        unsigned next = (context->segment_now + 1) % TCG_SEGMENTS;

        if (context->segment[next].used_bytes > 0) {
            return false;
        }
        context->segment_now = next;
        segment = &context->segment[next];
    }
    maker->chunk = segment_start(context, context->segment_now) + segment->used_bytes;
    maker->chunk_left = TCG_CHUNK_BYTES;
    segment->used_bytes += TCG_CHUNK_BYTES;
    return true;
}

/* The block's pointer stands before its code. */
static uint64_t header_bytes(const TcgContext *context)
{
    return MAX(context->host->code_alignment, 1u << TCG_START_SHIFT);
}

/* All at once instead of a fault for each page that is written to; where the kernel cannot, they come. */
static void populate(void *at, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    madvise((void *)((uintptr_t)at & ~(uintptr_t)4095), bytes, MADV_POPULATE_WRITE);
#endif
}

/*
 * The chunk that is full: its pages stay, they are those of rx, and patches map them again. After its segment was
 * emptied the place is no chunk's end, or that of another; unmapping that is harmless too.
 */
static void unmap_last(TcgContext *context, const TcgMaker *maker)
{
    uint64_t end = maker->chunk + maker->chunk_left;

    if (end >= context->thunk_bytes + TCG_CHUNK_BYTES &&
        (end - context->thunk_bytes) % TCG_CHUNK_BYTES == 0) {
        madvise(context->rw + end - TCG_CHUNK_BYTES, TCG_CHUNK_BYTES, MADV_DONTNEED);
    }
}

bool tcg_cache_room(TcgCpu *cpu, TcgCodeBuffer *out, bool fresh)
{
    TcgContext *context = cpu->context;
    TcgMaker *maker = cpu->maker;
    bool ok = true;

    if (fresh || maker->chunk_left < 4096) {
        unmap_last(context, maker);
        orr_mutex_lock(&context->lock);
        ok = take_chunk(context, maker);
        orr_mutex_unlock(&context->lock);
        if (ok) {
            populate(context->rw + maker->chunk, TCG_CHUNK_BYTES);
        }
    }
    if (ok) {
        uint64_t at = maker->chunk + header_bytes(context);

        out->rw = context->rw + at;
        out->rx = (uint8_t *)(uintptr_t)(context->rx + at);
        out->capacity_bytes = maker->chunk_left - header_bytes(context);
    }
    return ok;
}

void tcg_cache_take(TcgCpu *cpu, TcgTb *tb)
{
    TcgContext *context = cpu->context;
    TcgMaker *maker = cpu->maker;
    uint64_t align = header_bytes(context);
    uint64_t bytes = align + tb->code_bytes;
    uint64_t start = (uint64_t)(tb->code_rx - context->rx) >> TCG_START_SHIFT;

    memcpy(tb->code_rw - sizeof(TcgTb *), &tb, sizeof(TcgTb *));
    orr_fetch_or(&context->starts[start / 64], UINT64_C(1) << start % 64);
    /* The next one's code is aligned when its header's end is. */
    bytes = (bytes + align - 1) & ~(align - 1);
    bytes = MIN(bytes, maker->chunk_left);
    maker->chunk += bytes;
    maker->chunk_left -= bytes;
}

void tcg_cache_untake(TcgCpu *cpu, const TcgTb *tb)
{
    TcgContext *context = cpu->context;
    TcgMaker *maker = cpu->maker;
    uint64_t at = (uint64_t)(tb->code_rx - context->rx), start = at >> TCG_START_SHIFT;

    orr_fetch_and(&context->starts[start / 64], ~(UINT64_C(1) << start % 64));
    at -= header_bytes(context);
    maker->chunk_left += maker->chunk - at;
    maker->chunk = at;
}

TcgTb *tcg_cache_block_at(const TcgContext *context, uintptr_t address)
{
    uint64_t at = (address - (uintptr_t)context->rx) >> TCG_START_SHIFT;
    uint64_t word, bits;
    TcgTb *tb;

    if (address < (uintptr_t)context->rx ||
        address >= (uintptr_t)context->rx + context->cache_bytes) {
        return NULL;
    }
    word = at / 64;
    bits = orr_load_relaxed(&context->starts[word]) & (UINT64_MAX >> (63 - at % 64));
    while (!bits) {
        if (word == 0) {
            return NULL;
        }
        bits = orr_load_relaxed(&context->starts[--word]);
    }
    at = (word * 64 + 63 - (unsigned)__builtin_clzll(bits)) << TCG_START_SHIFT;
    memcpy(&tb, context->rx + at - sizeof(TcgTb *), sizeof(TcgTb *));
    return tb;
}

/* ---- RAM blocks. */

TcgRam *tcg_ram_of(TcgContext *context, const RamBlock *block)
{
    uint32_t count = orr_load_acquire(&context->ram_count);

    for (uint32_t i = 0; i < count; i++) {
        if (context->rams[i].block == block) {
            return &context->rams[i];
        }
    }
    return NULL;
}

void tcg_ram_added(TcgContext *context, RamBlock *block)
{
    uint32_t count = context->ram_count;
    TcgRam *r;

    if (count == TCG_MAX_RAMS || tcg_ram_of(context, block)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!context->rams[i].block &&
            context->rams[i].pages == block->size_bytes >> TCG_PAGE_BITS) {
            orr_store_release(&context->rams[i].block, block);
            return;
        }
    }
    r = &context->rams[count];
    r->pages = block->size_bytes >> TCG_PAGE_BITS;
    r->map = map_lazily(r->pages * sizeof(uint64_t));
    r->tbs = map_lazily(r->pages * sizeof(TcgTb *));
    r->block = block;
    orr_store_release(&context->ram_count, count + 1);
}

void tcg_ram_removed(TcgContext *context, RamBlock *block)
{
    TcgRam *r = tcg_ram_of(context, block);

    if (!r) {
        return;
    }
    orr_mutex_lock(&context->lock);
    for (uint64_t page = 0; page < r->pages; page++) {
        while (orr_load_relaxed(&r->map[page]) && r->tbs[page]) {
            tcg_tb_invalidate(context, r->tbs[page], "RAM removed");
        }
    }
    orr_store_release(&r->block, NULL);
    orr_mutex_unlock(&context->lock);
}

static uint64_t granules(unsigned first, unsigned last)
{
    uint64_t from = UINT64_MAX << (first >> 6);
    uint64_t to = UINT64_MAX >> (63 - (last >> 6));

    return from & to;
}

/* ---- The hash. */

static TcgTb **bucket(TcgContext *context, uint64_t pc, const RamBlock *ram, uint64_t offset)
{
    /* Multiplied apart: where addresses are places plus a constant, pc ^ offset is nearly one too. */
    uint64_t key = (pc >> 1) + (offset >> TCG_PAGE_BITS) * UINT64_C(0xd6e8feb86659fd93) +
                   ((uintptr_t)ram >> 6);

    return &context->hash[(key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TCG_HASH_BITS)];
}

TcgTb *tcg_hash_find(TcgContext *context, uint64_t pc, const RamBlock *ram, uint64_t offset,
                     unsigned flags)
{
    TcgTb *tb = orr_load_acquire(bucket(context, pc, ram, offset));

    while (tb && !(tb->pc == pc && tb->offset == offset && tb->ram == ram && tb->flags == flags &&
                   !orr_load_acquire(&tb->dead))) {
        tb = orr_load_acquire(&tb->hash_next);
    }
    return tb;
}

static void hash_remove(TcgContext *context, TcgTb *tb)
{
    TcgTb **at = bucket(context, tb->pc, tb->ram, tb->offset);

    while (*at && *at != tb) {
        at = &(*at)->hash_next;
    }
    if (*at) {
        orr_store_release(at, tb->hash_next);
    }
}

/* ---- Lists by page. */

static TcgTb **page_list(TcgContext *context, const RamBlock *ram, uint64_t offset, TcgRam **found)
{
    TcgRam *r = tcg_ram_of(context, ram);

    *found = r;
    return r ? &r->tbs[offset >> TCG_PAGE_BITS] : NULL;
}

/* Where both halves are in one page (mapped twice), its list has the block once. */
static bool in_second_list(const TcgTb *tb)
{
    return tb->ram2 &&
           !(tb->ram2 == tb->ram && tb->offset2 >> TCG_PAGE_BITS == tb->offset >> TCG_PAGE_BITS);
}

/* Which of its two lists a page's is. */
static unsigned list_index(const TcgTb *tb, const RamBlock *ram, uint64_t offset)
{
    return !(tb->ram == ram && tb->offset >> TCG_PAGE_BITS == offset >> TCG_PAGE_BITS);
}

static void bytes_in(const TcgTb *tb, unsigned list, unsigned *first, unsigned *last)
{
    *first = list ? 0 : tb->first_byte;
    *last = list ? 1 : tb->last_byte;
}

static void page_insert(TcgContext *context, TcgTb *tb, const RamBlock *ram, uint64_t offset)
{
    unsigned list = list_index(tb, ram, offset), first, last;
    TcgRam *r;
    TcgTb **head = page_list(context, ram, offset, &r);

    tb->page_next[list] = *head;
    *head = tb;
    bytes_in(tb, list, &first, &last);
    orr_fetch_or(&r->map[offset >> TCG_PAGE_BITS], granules(first, last));
}

static void page_remove(TcgContext *context, TcgTb *tb, const RamBlock *ram, uint64_t offset)
{
    TcgRam *r;
    TcgTb **at = page_list(context, ram, offset, &r);
    uint64_t map = 0;

    while (at && *at) {
        unsigned list = list_index(*at, ram, offset), first, last;

        if (*at == tb) {
            *at = tb->page_next[list];
            continue;
        }
        bytes_in(*at, list, &first, &last);
        map |= granules(first, last);
        at = &(*at)->page_next[list];
    }
    if (r) {
        orr_store_seq_cst(&r->map[offset >> TCG_PAGE_BITS], map);
    }
}

/* ---- Links. Lock held. */

void tcg_tb_link(TcgContext *context, TcgTb *from, uint32_t slot, TcgTb *to)
{
    TcgTbLink *link = &from->links[slot];

    if (link->to || orr_load_relaxed(&from->dead) || orr_load_relaxed(&to->dead)) {
        return;
    }
    link->to = to;
    link->next_from = to->from;
    link->next_slot = to->from_slot;
    to->from = from;
    to->from_slot = slot;
    context->host->link(from->code_rw, from->code_rx, &link->link, to->code_rx);
    context->stats.links++;
    trace_tcg_link(from->pc, slot, to->pc);
}

/* Takes the link out of the list of what it leads to. */
static void unlist(TcgTb *from, uint32_t slot)
{
    TcgTbLink *link = &from->links[slot];
    TcgTb **tb = &link->to->from;
    uint32_t *at = &link->to->from_slot;

    while (*tb && !(*tb == from && *at == slot)) {
        TcgTbLink *next = &(*tb)->links[*at];

        tb = &next->next_from;
        at = &next->next_slot;
    }
    if (*tb) {
        *tb = link->next_from;
        *at = link->next_slot;
    }
    link->to = NULL;
}

static void unlink_to(TcgContext *context, TcgTb *tb)
{
    while (tb->from) {
        TcgTb *from = tb->from;
        uint32_t slot = tb->from_slot;

        context->host->link(from->code_rw, from->code_rx, &from->links[slot].link, NULL);
        unlist(from, slot);
        context->stats.unlinks++;
        trace_tcg_unlink(from->pc, slot, tb->pc);
    }
}

/* ---- Coming and going of blocks. */

bool tcg_tb_insert(TcgContext *context, TcgTb *tb, uint32_t version, uint32_t version2,
                   TcgTb **present)
{
    TcgRam *r = tcg_ram_of(context, tb->ram), *r2 = tb->ram2 ? tcg_ram_of(context, tb->ram2) : r;
    TcgTb **head;
    bool fresh;

    *present = NULL;
    if (!r || !r2) {
        return false;
    }
    orr_mutex_lock(&context->lock);
    *present = tcg_hash_find(context, tb->pc, tb->ram, tb->offset, tb->flags);
    if (*present && (*present)->tier < tb->tier) {
        tcg_tb_invalidate(context, *present, "made again as a region");
        *present = NULL;
    }
    if (*present) {
        orr_mutex_unlock(&context->lock);
        return false;
    }
    page_insert(context, tb, tb->ram, tb->offset);
    if (in_second_list(tb)) {
        page_insert(context, tb, tb->ram2, tb->offset2);
    }
    /* A writer makes the version grow and then looks at the map; we the other way round. */
    orr_fence_seq_cst();
    fresh = ram_page_version(tb->ram, tb->offset) == version &&
            (!tb->ram2 || ram_page_version(tb->ram2, tb->offset2) == version2);
    if (!fresh) {
        page_remove(context, tb, tb->ram, tb->offset);
        if (in_second_list(tb)) {
            page_remove(context, tb, tb->ram2, tb->offset2);
        }
        orr_mutex_unlock(&context->lock);
        return false;
    }
    tb->seq = context->seq + 1;
    orr_store_release(&context->seq, tb->seq);
    context->young[tb->seq % TCG_YOUNG] = tb;
    g_ptr_array_add(context->segment[segment_of(context, tb->code_rx)].tbs, tb);
    head = bucket(context, tb->pc, tb->ram, tb->offset);
    tb->hash_next = *head;
    orr_store_release(head, tb);
    context->stats.blocks++;
    context->stats.live++;
    context->stats.tier1 += tb->tier > 0;
    context->stats.code_bytes += tb->code_bytes;
    context->stats.guest_insns += tb->insns;
    context->stats.guest_bytes += tb->last_byte + 1u - tb->first_byte;
    if (context->perf) {
        tcg_perf_block(context, tb);
    }
    orr_mutex_unlock(&context->lock);
    return true;
}

void tcg_tb_free(TcgTb *tb)
{
    if (tb) {
        g_free(tb->tables);
        g_free(tb);
    }
}

static void take_out(TcgContext *context, TcgTb *tb, const char *why)
{
    orr_store_release(&tb->dead, true);
    hash_remove(context, tb);
    page_remove(context, tb, tb->ram, tb->offset);
    if (in_second_list(tb)) {
        page_remove(context, tb, tb->ram2, tb->offset2);
    }
    unlink_to(context, tb);
    for (uint32_t i = 0; i < tb->link_count; i++) {
        if (tb->links[i].to) {
            unlist(tb, i);
        }
    }
    context->stats.invalidated++;
    context->stats.live--;
    trace_tcg_invalidate(tb->pc, tb->offset, why);
}

void tcg_tb_invalidate(TcgContext *context, TcgTb *tb, const char *why)
{
    if (!orr_load_acquire(&tb->dead)) {
        take_out(context, tb, why);
        context->host->kill(tb->code_rw, tb->code_rx, tb->kill_stub);
    }
}

void tcg_tb_invalidate_all(TcgContext *context, const char *why)
{
    orr_mutex_lock(&context->lock);
    for (unsigned i = 0; i < TCG_SEGMENTS; i++) {
        GPtrArray *tbs = context->segment[i].tbs;

        for (guint t = 0; t < tbs->len; t++) {
            tcg_tb_invalidate(context, g_ptr_array_index(tbs, t), why);
        }
    }
    orr_mutex_unlock(&context->lock);
}

static void forget_starts(TcgContext *context, unsigned segment)
{
    uint64_t first = segment_start(context, segment) >> TCG_START_SHIFT;
    uint64_t last = (segment_start(context, segment) + context->segment_bytes) >> TCG_START_SHIFT;

    for (uint64_t at = first; at < last;) {
        if (at % 64 == 0 && at + 64 <= last) {
            orr_store_relaxed(&context->starts[at / 64], UINT64_C(0));
            at += 64;
        } else {
            orr_fetch_and(&context->starts[at / 64], ~(UINT64_C(1) << at % 64));
            at++;
        }
    }
}

static void empty_segment(TcgContext *context, unsigned segment)
{
    GPtrArray *tbs = context->segment[segment].tbs;

    trace_tcg_cache_full(segment, tbs->len, context->segment[segment].used_bytes);
    for (guint i = 0; i < tbs->len; i++) {
        TcgTb *tb = g_ptr_array_index(tbs, i);

        if (!tb->dead) {
            take_out(context, tb, "code cache full");
        }
        if (context->young[tb->seq % TCG_YOUNG] == tb) {
            context->young[tb->seq % TCG_YOUNG] = NULL;
        }
        tcg_tb_free(tb);
    }
    g_ptr_array_set_size(tbs, 0);
    context->segment[segment].used_bytes = 0;
    forget_starts(context, segment);
}

void tcg_cache_reclaim(TcgContext *context)
{
    unsigned oldest;
    uint64_t start;

    orr_mutex_lock(&context->lock);
    oldest = (context->segment_now + 1) % TCG_SEGMENTS;
    start = segment_start(context, oldest);
    empty_segment(context, oldest);
    context->stats.reclaims++;
    for (guint i = 0; i < context->cpus->len; i++) {
        TcgCpu *cpu = g_ptr_array_index(context->cpus, i);

        tcg_view_forget_jumps(cpu);
        if (cpu->maker->chunk >= start && cpu->maker->chunk < start + context->segment_bytes) {
            cpu->maker->chunk_left = 0;
        }
    }
    orr_mutex_unlock(&context->lock);
}

/* ---- What memory tells us. Any thread, any lock but ours. */

static void invalidate_range(TcgContext *context, TcgRam *r, uint64_t offset, uint64_t length_bytes)
{
    uint64_t page = offset >> TCG_PAGE_BITS;
    unsigned first = (unsigned)(offset & TCG_PAGE_MASK), last = first + (unsigned)length_bytes - 1;
    TcgTb *tb, *next;

    for (tb = r->tbs[page]; tb; tb = next) {
        unsigned list = list_index(tb, r->block, offset), from, to;

        next = tb->page_next[list];
        bytes_in(tb, list, &from, &to);
        if (from <= last && to >= first) {
            tcg_tb_invalidate(context, tb, "written");
        }
    }
}

bool tcg_code_written(TcgContext *context, RamBlock *block, uint64_t offset, uint64_t length_bytes)
{
    TcgRam *r = tcg_ram_of(context, block);
    unsigned first = (unsigned)(offset & TCG_PAGE_MASK);
    uint64_t map;

    if (!r) {
        return false;
    }
    map = orr_load_seq_cst(&r->map[offset >> TCG_PAGE_BITS]);
    if (map & granules(first, first + (unsigned)length_bytes - 1)) {
        orr_mutex_lock(&context->lock);
        invalidate_range(context, r, offset, length_bytes);
        map = r->map[offset >> TCG_PAGE_BITS];
        orr_mutex_unlock(&context->lock);
    }
    return map != 0;
}

void tcg_page_watched(TcgContext *context, RamBlock *block, uint64_t page)
{
    orr_mutex_lock(&context->lock);
    tcg_view_watch(context, block, page);
    orr_mutex_unlock(&context->lock);
}
