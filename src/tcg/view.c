/* SPDX-License-Identifier: MIT */
/*
 * Views of a vCPU: which fits its state, and taking translations back. The idea to hold: a view that is
 * not selected costs nothing to flush, it is marked and emptied when it is wanted again; and what is
 * emptied is what was filled, not the whole of the tables.
 */
#include "tcg/tb.h"

#include <string.h>
#include <sys/mman.h>

#include "trace/trace-tlb.h"

static const char *const flush_names[] = {
#define TLB_FLUSH(name_, what_) #name_,
#include "tcg/tlb-flush.def"
#undef TLB_FLUSH
};

static void counted(TcgCpu *cpu, TcgFlush kind, uint64_t va, uint64_t length, uint64_t space,
                    const char *why)
{
    tcg_count(&cpu->counters.flushes);
    tcg_count(&cpu->flush_kinds[kind]);
    trace_tlb_flush_request(cpu->vcpu->accel.index, cpu->vcpu->accel.index, flush_names[kind], va,
                            length, space, why);
}

static void executed(TcgCpu *cpu, TcgFlush kind, unsigned views, unsigned entries)
{
    trace_tlb_flush_execute(cpu->vcpu->accel.index, flush_names[kind], views, entries);
}

/* One that nobody asked for by that name: it comes with something else. */
static void happened(TcgCpu *cpu, TcgFlush kind, unsigned views, unsigned entries)
{
    tcg_count(&cpu->flush_kinds[kind]);
    executed(cpu, kind, views, entries);
}

/* ---- The table from pc to code. */

void tcg_view_set_jump(TcgView *view, uint64_t pc, unsigned flags, const void *code)
{
    uint64_t tag = pc | (flags & 1);
    unsigned index = tcg_jump_index(tag);
    TcgJump *jump = &view->fast.jumps[index];

    if (jump->tag == TCG_JUMP_EMPTY(index)) {
        if (view->jump_count < TCG_JUMP_LIST) {
            view->jump[view->jump_count] = (uint16_t)index;
        }
        view->jump_count++;
    }
    jump->tag = tag;
    jump->code = code;
    tcg_note_fetched(view, pc);
}

static void forget_jumps(TcgView *view)
{
    if (view->jump_count > TCG_JUMP_LIST) {
        memset(view->fast.jumps, 0, sizeof(view->fast.jumps));
        view->fast.jumps[0].tag = TCG_JUMP_EMPTY(0);
    } else {
        for (uint32_t i = 0; i < view->jump_count; i++) {
            view->fast.jumps[view->jump[i]].tag = TCG_JUMP_EMPTY(view->jump[i]);
        }
    }
    view->jump_count = 0;
}

void tcg_view_forget_jumps(TcgCpu *cpu)
{
    unsigned views = 0, jumps = 0;

    for (; views < TCG_VIEW_COUNT && cpu->views[views]; views++) {
        jumps += cpu->views[views]->jump_count;
        forget_jumps(cpu->views[views]);
    }
    happened(cpu, TCG_FLUSH_jump_cache, views, jumps);
}

static void forget_fetches(TcgView *view)
{
    for (unsigned i = 0; i < TCG_FETCH_SIZE; i++) {
        view->fetch[i].tag = TCG_TLB_EMPTY;
    }
    memset(view->fetched, 0, sizeof(view->fetched));
    view->any_fetched = false;
}

/* ---- Selecting. */

static void empty(TcgView *view)
{
    tcg_table_empty(view->cpu, &view->load);
    tcg_forget_recent(&view->fast);
    tcg_table_empty(view->cpu, &view->store);
    forget_jumps(view);
    if (view->any_fetched) {
        forget_fetches(view);
    }
    memset(view->large, 0, sizeof(view->large));
    view->stale = false;
}

static TcgView *create(TcgCpu *cpu)
{
    TcgView *view = mmap(NULL, sizeof(TcgView), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (view == MAP_FAILED) {
        g_error("tcg: cannot map a view of %zu bytes", sizeof(TcgView));
    }
    view->cpu = cpu;
    view->fast.jumps[0].tag = TCG_JUMP_EMPTY(0); /* the others are zero already */
    tcg_forget_recent(&view->fast);
    tcg_table_init(&view->load, view->fast.load, view->load_page, &view->fast.load_mask);
    tcg_table_init(&view->store, view->fast.store, view->store_page, &view->fast.store_mask);
    for (unsigned i = 0; i < TCG_HEAT_SIZE; i++) {
        view->fast.heat[i] = (int32_t)cpu->context->options.hot;
    }
    forget_fetches(view);
    return view;
}

static TcgView *replace_oldest(TcgCpu *cpu, const TcgViewKey *key)
{
    unsigned oldest = 0;
    TcgView *view;

    for (unsigned i = 0; i < TCG_VIEW_COUNT; i++) {
        if (!cpu->views[i]) {
            oldest = i;
            break;
        }
        if (cpu->views[i]->used < cpu->views[oldest]->used) {
            oldest = i;
        }
    }
    view = cpu->views[oldest];
    if (!view) {
        view = create(cpu);
        orr_store_release(&cpu->views[oldest], view);
    } else {
        tcg_count(&cpu->flush_kinds[TCG_FLUSH_view_evict]);
        trace_tlb_view_evict(cpu->vcpu->accel.index, key->space, key->mode, view->key.space);
    }
    view->key = *key;
    view->stale = true;
    return view;
}

static TcgView *find(TcgCpu *cpu, const TcgViewKey *key)
{
    for (unsigned i = 0; i < TCG_VIEW_COUNT && cpu->views[i]; i++) {
        if (cpu->views[i]->key.space == key->space && cpu->views[i]->key.mode == key->mode) {
            return cpu->views[i];
        }
    }
    return replace_oldest(cpu, key);
}

TcgView *tcg_view_select(TcgCpu *cpu)
{
    TcgView *view = cpu->view;
    uint32_t version = cpu->target->mmu_version(cpu->cpu);
    TcgViewKey key;

    if (cpu->mmu_version != version) {
        cpu->mmu_version = version;
        tcg_flush_all(cpu);
    }
    cpu->target->view_key(cpu->cpu, &key);
    if (!view || view->key.space != key.space || view->key.mode != key.mode) {
        view = find(cpu, &key);
        view->used = ++cpu->selections;
        cpu->view = view;
        trace_tlb_view_select(cpu->vcpu->accel.index, key.space, key.mode, (uint32_t)view->used,
                              view->stale);
    }
    if (view->stale) {
        empty(view);
    }
    cpu->fast.view = view->fast.load;
    return view;
}

void tcg_view_destroy_all(TcgCpu *cpu)
{
    for (unsigned i = 0; i < TCG_VIEW_COUNT; i++) {
        if (cpu->views[i]) {
            munmap(cpu->views[i], sizeof(TcgView));
            cpu->views[i] = NULL;
        }
    }
    cpu->view = NULL;
}

static bool in_region(const TcgRegion *region, uint64_t va)
{
    return region->mask != 0 && ((va ^ region->base) & region->mask) == 0;
}

/* The smallest region that holds both. Masks are ones and then zeros. */
static TcgRegion merged(const TcgRegion *a, const TcgRegion *b)
{
    uint64_t differ = (a->base ^ b->base) | ~(a->mask & b->mask);
    unsigned bits = differ ? 64 - (unsigned)__builtin_clzll(differ) : 0;

    return (TcgRegion){ a->base, bits > 63 ? 0 : UINT64_MAX << bits };
}

/*
 * Makes one of the two that lie nearest to each other; the place that becomes free is the last. Of more than
 * two, two are in one half of all addresses.
 */
static void merge_nearest(TcgRegion *regions, unsigned count)
{
    TcgRegion best = { 0, 0 };
    unsigned one = 0, other = 1;

    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            TcgRegion both = merged(&regions[i], &regions[j]);

            if (both.mask > best.mask) {
                best = both;
                one = i;
                other = j;
            }
        }
    }
    regions[one] = best;
    regions[other] = regions[count - 1];
}

void tcg_view_note_large(TcgView *view, uint64_t va, unsigned page_bits)
{
    TcgRegion all[TCG_LARGE + 1];
    unsigned count = 0;

    if (page_bits <= TCG_PAGE_BITS || page_bits >= 64) {
        return; /* not translated at all: nothing to flush one page of */
    }
    while (count < TCG_LARGE && view->large[count].mask) {
        if (in_region(&view->large[count], va) &&
            view->large[count].mask <= ~((UINT64_C(1) << page_bits) - 1)) {
            return;
        }
        count++;
    }
    memcpy(all, view->large, sizeof(view->large));
    all[count++] = (TcgRegion){ va, ~((UINT64_C(1) << page_bits) - 1) };
    if (count > TCG_LARGE) {
        merge_nearest(all, count);
        count--;
    }
    memcpy(view->large, all, count * sizeof(TcgRegion));
}

/* ---- Flushing. A selected view is emptied before the next entry; what is called says so. */

static void make_stale(TcgCpu *cpu, TcgView *view)
{
    view->stale = true;
    if (view == cpu->view) {
        empty(view);
    }
}

static unsigned flush_space(TcgCpu *cpu, uint64_t space, uint64_t space_mask)
{
    unsigned views = 0;

    for (unsigned i = 0; i < TCG_VIEW_COUNT && cpu->views[i]; i++) {
        if (!((cpu->views[i]->key.space ^ space) & space_mask)) {
            make_stale(cpu, cpu->views[i]);
            views++;
        }
    }
    return views;
}

void tcg_flush_all(TcgCpu *cpu)
{
    counted(cpu, TCG_FLUSH_all, 0, 0, 0, "guest");
    executed(cpu, TCG_FLUSH_all, flush_space(cpu, 0, 0), 0);
}

void tcg_flush_space(TcgCpu *cpu, uint64_t space, uint64_t space_mask)
{
    counted(cpu, TCG_FLUSH_by_view, 0, 0, space, "guest");
    executed(cpu, TCG_FLUSH_by_view, flush_space(cpu, space, space_mask), 0);
}

static void widen(TcgCpu *cpu, TcgView *view, uint64_t va)
{
    tcg_count(&cpu->flush_kinds[TCG_FLUSH_large_page]);
    trace_tlb_flush_widened(cpu->vcpu->accel.index, flush_names[TCG_FLUSH_large_page], va,
                            "in a large page");
    make_stale(cpu, view);
}

static void flush_page(TcgCpu *cpu, TcgView *view, uint64_t page)
{
    uint32_t index = tcg_fetched_index(page);

    if (view->stale) {
        return;
    }
    for (unsigned i = 0; i < TCG_LARGE; i++) {
        if (in_region(&view->large[i], page)) {
            widen(cpu, view, page);
            return;
        }
    }
    tcg_table_drop(&view->load, page);
    tcg_forget_recent(&view->fast);
    tcg_table_drop(&view->store, page);
    if (view->fetched[index / 64] >> index % 64 & 1) {
        happened(cpu, TCG_FLUSH_jump_cache, 1, view->jump_count);
        forget_jumps(view);
        forget_fetches(view);
    }
}

void tcg_flush_page(TcgCpu *cpu, uint64_t va, uint64_t space, uint64_t space_mask)
{
    TcgFlush kind = space_mask ? TCG_FLUSH_page_by_view : TCG_FLUSH_page;
    unsigned views = 0;

    counted(cpu, kind, va, TCG_PAGE_MASK + 1, space, "guest");
    for (unsigned i = 0; i < TCG_VIEW_COUNT && cpu->views[i]; i++) {
        if (!((cpu->views[i]->key.space ^ space) & space_mask)) {
            flush_page(cpu, cpu->views[i], va & ~TCG_PAGE_MASK);
            views++;
        }
    }
    executed(cpu, kind, views, 1);
}

void tcg_flush_range(TcgCpu *cpu, uint64_t va, uint64_t length_bytes, uint64_t space,
                     uint64_t space_mask)
{
    uint64_t pages = (length_bytes + (va & TCG_PAGE_MASK) + TCG_PAGE_MASK) >> TCG_PAGE_BITS;
    unsigned views = 0;

    counted(cpu, TCG_FLUSH_range_by_view, va, length_bytes, space, "guest");
    for (unsigned i = 0; i < TCG_VIEW_COUNT && cpu->views[i]; i++) {
        if ((cpu->views[i]->key.space ^ space) & space_mask) {
            continue;
        }
        views++;
        if (pages > 64) {
            make_stale(cpu, cpu->views[i]);
            continue;
        }
        for (uint64_t p = 0; p < pages; p++) {
            flush_page(cpu, cpu->views[i], (va & ~TCG_PAGE_MASK) + (p << TCG_PAGE_BITS));
        }
    }
    executed(cpu, TCG_FLUSH_range_by_view, views, (unsigned)MIN(pages, 64));
}

/* Pages of which only low bits are known may be anywhere in the tables. */
void tcg_flush_page_bits(TcgCpu *cpu, uint64_t va, unsigned bits, uint64_t space,
                         uint64_t space_mask)
{
    if (bits >= 64) {
        tcg_flush_page(cpu, va, space, space_mask);
        return;
    }
    counted(cpu, TCG_FLUSH_page_bits, va, TCG_PAGE_MASK + 1, space, "guest");
    trace_tlb_flush_widened(cpu->vcpu->accel.index, flush_names[TCG_FLUSH_page_bits], va,
                            "upper bits are not compared");
    executed(cpu, TCG_FLUSH_page_bits, flush_space(cpu, space, space_mask), 0);
}

void tcg_flush_all_vcpus(TcgCpu *cpu)
{
    TcgContext *context = cpu->context;

    counted(cpu, TCG_FLUSH_all_vcpus, 0, 0, 0, "guest");
    orr_mutex_lock(&context->lock);
    for (guint i = 0; i < context->cpus->len; i++) {
        TcgCpu *other = g_ptr_array_index(context->cpus, i);

        if (other != cpu) {
            orr_store_release(&other->flush_views, true);
            vcpu_kick(other->vcpu, "TLB flush");
        }
    }
    orr_mutex_unlock(&context->lock);
    executed(cpu, TCG_FLUSH_all_vcpus, flush_space(cpu, 0, 0), 0);
}

typedef struct Barrier {
    TcgContext *context;
    int64_t asked_ns;
} Barrier;

/* In an exclusive section: no vCPU is in guest code, so all tables may be marked. */
static void flush_everybody(Vcpu *vcpu, void *data)
{
    Barrier *barrier = data;
    TcgContext *context = barrier->context;

    orr_mutex_lock(&context->lock);
    for (guint i = 0; i < context->cpus->len; i++) {
        TcgCpu *cpu = g_ptr_array_index(context->cpus, i);
        unsigned views = 0;

        for (; views < TCG_VIEW_COUNT && cpu->views[views]; views++) {
            cpu->views[views]->stale = true;
        }
        executed(cpu, TCG_FLUSH_all_vcpus_synced, views, 0);
    }
    orr_mutex_unlock(&context->lock);
    trace_tlb_barrier_wait(vcpu->accel.index, flush_names[TCG_FLUSH_all_vcpus_synced],
                           (uint64_t)(host_monotonic_ns() - barrier->asked_ns));
    g_free(barrier);
}

void tcg_flush_all_vcpus_synced(TcgCpu *cpu)
{
    Barrier *barrier = g_new(Barrier, 1);

    counted(cpu, TCG_FLUSH_all_vcpus_synced, 0, 0, 0, "guest");
    *barrier = (Barrier){ cpu->context, host_monotonic_ns() };
    flush_space(cpu, 0, 0);
    /* Runs when this vCPU leaves guest code, which the kick makes the end of its block. */
    vcpu_async_safe_run_on(cpu->vcpu, flush_everybody, barrier);
}

/* ---- Watched pages. Any thread, lock held. */

static bool leads_to(const TcgTable *table, uint64_t index, const RamBlock *block, uint64_t page)
{
    const TcgTlbEntry *entry = &table->entries[index];
    uint64_t tag = orr_load_acquire(&entry->tag);
    uint64_t at;

    if ((tag & TCG_PAGE_MASK) != 0 || orr_load_relaxed(&table->pages[index].ram) != block) {
        return false;
    }
    at = orr_load_relaxed(&entry->addend) + tag - (uintptr_t)block->host;
    return page == RAM_EVERY_PAGE || at >> TCG_PAGE_BITS == page;
}

static unsigned watch_table(TcgTable *table, RamBlock *block, uint64_t page)
{
    uint64_t entries = (orr_load_relaxed(table->mask) >> TCG_TLB_ENTRY_SHIFT) + 1;
    uint32_t used = orr_load_acquire(&table->used_count);
    bool listed = used <= TCG_USED_LIST;
    uint64_t count = listed ? used : entries;
    unsigned taken = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = listed ? orr_load_relaxed(&table->used[i]) : i;
        uint64_t tag = orr_load_acquire(&table->entries[index].tag);

        if (leads_to(table, index, block, page) &&
            __atomic_compare_exchange_n(&table->entries[index].tag, &tag, TCG_TLB_EMPTY, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            taken++;
        }
    }
    return taken;
}

void tcg_view_watch(TcgContext *context, RamBlock *block, uint64_t page)
{
    TcgFlush kind = page == RAM_EVERY_PAGE ? TCG_FLUSH_dirty_reset : TCG_FLUSH_protect_code;
    unsigned taken = 0;

    for (guint c = 0; c < context->cpus->len; c++) {
        TcgCpu *cpu = g_ptr_array_index(context->cpus, c);
        unsigned before = taken, views = 0;

        for (unsigned i = 0; i < TCG_VIEW_COUNT; i++) {
            TcgView *view = orr_load_acquire(&cpu->views[i]);

            if (view) {
                taken += watch_table(&view->store, block, page);
                tcg_forget_recent_stores(&view->fast);
                views++;
            }
        }
        if (taken > before) {
            happened(cpu, kind, views, taken - before);
        }
    }
    trace_tlb_watch(block->name, page == RAM_EVERY_PAGE ? 0 : page << TCG_PAGE_BITS, taken);
}
