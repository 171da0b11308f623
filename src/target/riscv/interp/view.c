/* SPDX-License-Identifier: MIT */
/*
 * Views: which one fits the hart's state, and when they must be emptied. The idea to hold: a view's
 * key is everything that decides about translation and is not in memory, so a view that is not
 * selected cannot be wrong about the hart's state, only about the page tables; and about those the
 * guest tells us with sfence.vma.
 */
#include "target/riscv/interp/state.h"

#include <string.h>

#define VIEW_UNUSED UINT64_MAX

/* ---- Selecting. */

static RvViewKey current_key(const RiscvCpu *cpu)
{
    RvPriv data = riscv_data_priv(cpu);
    RvViewKey key = { 0, cpu->priv | (uint64_t)data << 2 };

    if (cpu->priv != RV_PRIV_M || data != RV_PRIV_M) {
        key.satp = cpu->satp;
    }
    if (data != RV_PRIV_M) {
        key.mode |= cpu->mstatus & (RV_MSTATUS_SUM | RV_MSTATUS_MXR);
    }
    return key;
}

static bool key_equal(const RvViewKey *a, const RvViewKey *b)
{
    return a->satp == b->satp && a->mode == b->mode;
}

/* All tags become RV_TLB_EMPTY, and all pcs of jumps odd. */
static void empty(RvView *view)
{
    memset(view->tlb, 0xff, sizeof(view->tlb));
    memset(view->jumps, 0xff, sizeof(view->jumps));
    memset(view->fetch, 0xff, sizeof(view->fetch));
    view->large_base = UINT64_MAX;
    view->large_mask = 0;
    view->fetched = 0;
    view->stale = false;
}

static RvView *replace_oldest(RvInterp *s, const RvViewKey *key)
{
    unsigned oldest = 0;
    RvView *view;

    for (unsigned i = 0; i < RV_VIEW_COUNT; i++) {
        if (!s->views[i]) {
            oldest = i;
            break;
        }
        if (s->views[i]->used < s->views[oldest]->used) {
            oldest = i;
        }
    }
    view = s->views[oldest];
    if (!view) {
        view = g_new0(RvView, 1);
        view->interp = s;
        s->views[oldest] = view;
    }
    view->key = *key;
    view->stale = true;
    return view;
}

static RvView *find_view(RvInterp *s, const RvViewKey *key)
{
    for (unsigned i = 0; i < RV_VIEW_COUNT && s->views[i]; i++) {
        if (key_equal(&s->views[i]->key, key)) {
            return s->views[i];
        }
    }
    return replace_oldest(s, key);
}

RvView *rv_view_select(RvInterp *s)
{
    RvViewKey key = current_key(s->cpu);
    RvView *view = s->view;

    if (s->mmu_version != s->cpu->mmu_version) {
        s->mmu_version = s->cpu->mmu_version;
        rv_view_flush_all(s);
    }
    if (!view || !key_equal(&view->key, &key)) {
        view = find_view(s, &key);
        view->used = ++s->selections;
        s->view = view;
    }
    if (view->stale) {
        empty(view);
    }
    view->epoch = s->epoch;
    return view;
}

/* ---- Flushing. */

void rv_view_flush_all(RvInterp *s)
{
    for (unsigned i = 0; i < RV_VIEW_COUNT && s->views[i]; i++) {
        s->views[i]->stale = true;
    }
    rv_count(&s->tlb_flushes);
}

static bool has_asid(const RvView *view, uint16_t asid)
{
    return (uint16_t)(view->key.satp >> 44) == asid;
}

void rv_view_flush_asid(RvInterp *s, uint16_t asid)
{
    for (unsigned i = 0; i < RV_VIEW_COUNT && s->views[i]; i++) {
        if (has_asid(s->views[i], asid)) {
            s->views[i]->stale = true;
        }
    }
    rv_count(&s->tlb_flushes);
}

static uint64_t fetched_bit(uint64_t page)
{
    return UINT64_C(1) << (page >> MEMORY_PAGE_BITS) % 64;
}

static RvFetchPage *fetch_entry(RvView *view, uint64_t page)
{
    return &view->fetch[(page >> MEMORY_PAGE_BITS) % RV_FETCH_SIZE];
}

/* No bit in fetched: the table is empty. */
static void forget_blocks(RvView *view)
{
    if (view->fetched) {
        memset(view->jumps, 0xff, sizeof(view->jumps));
        view->fetched = 0;
    }
}

static void flush_page(RvView *view, uint64_t page)
{
    RvTlbEntry *entry = &view->tlb[(page >> MEMORY_PAGE_BITS) % RV_TLB_SIZE];
    RvFetchPage *fetch = fetch_entry(view, page);

    /* One leaf entry of the page table may stand for many pages. */
    if (((page ^ view->large_base) & view->large_mask) == 0 && view->large_mask != 0) {
        view->stale = true;
        return;
    }
    if ((entry->load_tag & ~RV_PAGE_MASK) == page || (entry->store_tag & ~RV_PAGE_MASK) == page) {
        entry->load_tag = RV_TLB_EMPTY;
        entry->store_tag = RV_TLB_EMPTY;
    }
    if (fetch->tag == page) {
        fetch->tag = RV_TLB_EMPTY;
    }
    if (view->fetched & fetched_bit(page)) {
        forget_blocks(view);
    }
}

void rv_view_flush_page(RvInterp *s, uint64_t vaddr, bool any_asid, uint16_t asid)
{
    for (unsigned i = 0; i < RV_VIEW_COUNT && s->views[i]; i++) {
        if (!s->views[i]->stale && (any_asid || has_asid(s->views[i], asid))) {
            flush_page(s->views[i], vaddr & ~RV_PAGE_MASK);
        }
    }
    rv_count(&s->tlb_flushes);
}

void rv_view_forget_blocks(RvInterp *s)
{
    for (unsigned i = 0; i < RV_VIEW_COUNT && s->views[i]; i++) {
        forget_blocks(s->views[i]);
    }
}

void rv_view_note_large(RvView *view, uint64_t vaddr, unsigned page_bits)
{
    uint64_t mask;

    if (page_bits <= MEMORY_PAGE_BITS || page_bits >= 64) {
        return; /* not translated at all: no page table entry to change */
    }
    mask = ~((UINT64_C(1) << page_bits) - 1);
    if (view->large_mask == 0) {
        view->large_base = vaddr;
        view->large_mask = mask;
        return;
    }
    mask &= view->large_mask;
    while (((view->large_base ^ vaddr) & mask) != 0) {
        mask <<= 1;
    }
    view->large_mask = mask;
}

void rv_view_note_fetched(RvView *view, uint64_t pc)
{
    view->fetched |= fetched_bit(pc & ~RV_PAGE_MASK);
}

/* ---- Translating for fetches. */

static bool find_ram(RvInterp *s, uint64_t paddr, MemSection *section)
{
    uint32_t token = memory_read_enter(s->memory);
    bool found = memory_find(s->memory, paddr, section);

    memory_read_exit(s->memory, token);
    return found && section->ram && ((section->offset ^ paddr) & RV_PAGE_MASK) == 0;
}

const RvFetchPage *rv_view_fetch(RvView *view, uint64_t pc, RvFetchPage *split, unsigned *cause)
{
    RvInterp *s = view->interp;
    uint64_t page = pc & ~RV_PAGE_MASK;
    RvFetchPage *entry = fetch_entry(view, page);
    RvTranslation t;
    MemSection section;

    if (entry->tag == page) {
        return entry;
    }
    *cause = riscv_translate(s->cpu, pc, 2, RV_ACCESS_FETCH, (RvPriv)s->cpu->priv, &t);
    if (*cause) {
        return NULL;
    }
    rv_count(&s->tlb_fills);
    if (!find_ram(s, t.paddr, &section)) {
        *cause = RV_CAUSE_FETCH_ACCESS;
        return NULL;
    }
    if (!t.cacheable) {
        entry = split;
    } else {
        rv_view_note_large(view, page, t.page_bits);
    }
    entry->tag = page;
    entry->ram = section.ram;
    entry->offset = section.offset & ~RV_PAGE_MASK;
    entry->host = section.ram->host + entry->offset;
    return entry;
}
