/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores beyond the TLB's fast path: filling it, accesses that are misaligned or cross a
 * page, MMIO, and the places of atomics. The idea to hold: find_place answers "what is at this
 * address, may I?" for one access within a page; everything else is made of it. An access across
 * pages asks for both before it touches either, so that a fault leaves no trace.
 */
#include "target/riscv/interp/ops.h"

#include <string.h>

/* Where an access goes. */
typedef struct Place {
    RamBlock *ram;   /* NULL: MMIO, or nothing there */
    uint64_t offset; /* in ram */
    uint64_t paddr;
} Place;

static uint8_t *place_host(const Place *place)
{
    return place->ram->host + place->offset;
}

/* ---- Finding. */

static void fill(RvView *view, uint64_t addr, const RvTranslation *t, const Place *place)
{
    RvTlbEntry *entry = rv_tlb_entry(view, addr);
    RvTlbPage *page = &view->pages[entry - view->tlb];
    uint64_t tag = addr & ~RV_PAGE_MASK;
    uint64_t page_offset = place->offset & ~RV_PAGE_MASK;

    page->ram = place->ram;
    page->paddr = place->paddr & ~RV_PAGE_MASK;
    if (place->ram) {
        entry->addend = (uintptr_t)place->ram->host + page_offset - tag;
        entry->page_flags = &place->ram->page_flags[page_offset >> MEMORY_PAGE_BITS];
    } else {
        tag |= RV_TLB_SLOW;
    }
    entry->load_tag = t->prot & (1 << RV_ACCESS_LOAD) ? tag : RV_TLB_EMPTY;
    if (place->ram && place->ram->readonly) {
        tag |= RV_TLB_SLOW;
    }
    entry->store_tag = t->prot & (1 << RV_ACCESS_STORE) ? tag : RV_TLB_EMPTY;
    rv_view_note_large(view, addr & ~RV_PAGE_MASK, t->page_bits);
}

static unsigned translate(RvView *view, uint64_t addr, unsigned size, RvAccess access, Place *place)
{
    RvInterp *s = view->interp;
    RiscvCpu *cpu = s->cpu;
    bool in_page = true;
    RvTranslation t;
    MemSection section;
    unsigned cause;
    uint32_t token;

    cause = riscv_translate(cpu, addr, size, access, riscv_data_priv(cpu), &t);
    if (cause) {
        s->tval = addr;
        return cause;
    }
    rv_count(&s->tlb_fills);
    *place = (Place){ .paddr = t.paddr };
    token = memory_read_enter(s->memory);
    if (memory_find(s->memory, t.paddr, &section) && section.ram) {
        place->ram = section.ram;
        place->offset = section.offset;
        in_page = ((section.offset ^ t.paddr) & RV_PAGE_MASK) == 0;
    }
    memory_read_exit(s->memory, token);
    if (t.cacheable && in_page) {
        fill(view, addr, &t, place);
    }
    return 0;
}

/* The access does not cross a page. 0, or a cause with tval. */
static unsigned find_place(RvView *view, uint64_t addr, unsigned size, RvAccess access,
                           Place *place)
{
    RvTlbEntry *entry = rv_tlb_entry(view, addr);
    RvTlbPage *page = &view->pages[entry - view->tlb];
    uint64_t tag = access == RV_ACCESS_LOAD ? entry->load_tag : entry->store_tag;

    if ((tag & ~RV_TLB_SLOW) != (addr & ~RV_PAGE_MASK)) {
        return translate(view, addr, size, access, place);
    }
    place->ram = page->ram;
    place->paddr = page->paddr | (addr & RV_PAGE_MASK);
    if (page->ram) {
        place->offset = (uint64_t)(entry->addend + addr - (uintptr_t)page->ram->host);
    }
    return 0;
}

/* How much of an access lies in its first page. */
static unsigned first_part(uint64_t addr, unsigned size)
{
    uint64_t left = MEMORY_PAGE_SIZE - (addr & RV_PAGE_MASK);

    return left < size ? (unsigned)left : size;
}

void rv_note_store(RvView *view, uint64_t addr, unsigned size)
{
    RvTlbEntry *entry = rv_tlb_entry(view, addr);
    RamBlock *ram = view->pages[entry - view->tlb].ram;

    ram_note_write(ram, (uint64_t)(entry->addend + addr - (uintptr_t)ram->host), size);
}

/* ---- One access to a place. size 1 to 8; MMIO in powers of two only. */

static unsigned load_place(RvInterp *s, const Place *place, uint64_t addr, unsigned size,
                           uint64_t *value)
{
    if (place->ram) {
        *value = ram_load(place_host(place), size);
        return 0;
    }
    *value = 0;
    if (vcpu_mmio_read(&s->cpu->vcpu, place->paddr, size, value) != MEMTX_OK) {
        s->tval = addr;
        return RV_CAUSE_LOAD_ACCESS;
    }
    return 0;
}

static unsigned store_place(RvInterp *s, const Place *place, uint64_t addr, unsigned size,
                            uint64_t value)
{
    if (place->ram) {
        if (!place->ram->readonly) {
            ram_store(place_host(place), size, value);
            ram_note_write(place->ram, place->offset, size);
        }
        return 0;
    }
    if (vcpu_mmio_write(&s->cpu->vcpu, place->paddr, size, value) != MEMTX_OK) {
        s->tval = addr;
        return RV_CAUSE_STORE_ACCESS;
    }
    return 0;
}

/* ---- Across a page's end: byte by byte, after both pages have been found. */

static unsigned find_both(RvView *view, uint64_t addr, unsigned size, RvAccess access,
                          Place place[2])
{
    unsigned first = first_part(addr, size);
    unsigned cause = find_place(view, addr, first, access, &place[0]);

    return cause ? cause : find_place(view, addr + first, size - first, access, &place[1]);
}

static Place place_of_byte(const Place place[2], unsigned first, unsigned i)
{
    Place byte = place[i >= first];
    unsigned distance = i < first ? i : i - first;

    byte.offset += distance;
    byte.paddr += distance;
    return byte;
}

static RvLoaded load_across(RvView *view, uint64_t addr, unsigned size)
{
    unsigned first = first_part(addr, size);
    RvLoaded loaded = { 0, 0 };
    Place place[2];

    loaded.cause = find_both(view, addr, size, RV_ACCESS_LOAD, place);
    for (unsigned i = 0; i < size && !loaded.cause; i++) {
        Place byte = place_of_byte(place, first, i);
        uint64_t value;

        loaded.cause = load_place(view->interp, &byte, addr + i, 1, &value);
        loaded.value |= value << 8 * i;
    }
    return loaded;
}

static unsigned store_across(RvView *view, uint64_t addr, unsigned size, uint64_t value)
{
    unsigned first = first_part(addr, size);
    Place place[2];
    unsigned cause = find_both(view, addr, size, RV_ACCESS_STORE, place);

    for (unsigned i = 0; i < size && !cause; i++) {
        Place byte = place_of_byte(place, first, i);

        cause = store_place(view->interp, &byte, addr + i, 1, value >> 8 * i & 0xff);
    }
    return cause;
}

RvLoaded rv_load(RvView *view, uint64_t addr, unsigned size)
{
    RvLoaded loaded = { 0, 0 };
    Place place;

    if (first_part(addr, size) != size) {
        return load_across(view, addr, size);
    }
    loaded.cause = find_place(view, addr, size, RV_ACCESS_LOAD, &place);
    if (!loaded.cause) {
        loaded.cause = load_place(view->interp, &place, addr, size, &loaded.value);
    }
    return loaded;
}

unsigned rv_store(RvView *view, uint64_t addr, unsigned size, uint64_t value)
{
    Place place;
    unsigned cause;

    if (first_part(addr, size) != size) {
        return store_across(view, addr, size, value);
    }
    cause = find_place(view, addr, size, RV_ACCESS_STORE, &place);
    return cause ? cause : store_place(view->interp, &place, addr, size, value);
}

/* ---- Atomics. Misaligned ones trap before they are translated; MMIO has none. */

void *rv_atomic_begin(RvView *view, uint64_t addr, unsigned size, RvAccess access)
{
    RvInterp *s = view->interp;
    bool load = access == RV_ACCESS_LOAD;
    Place place;

    s->tval = addr;
    if (addr & (size - 1)) {
        s->cause = load ? RV_CAUSE_LOAD_MISALIGNED : RV_CAUSE_STORE_MISALIGNED;
        return NULL;
    }
    s->cause = find_place(view, addr, size, access, &place);
    if (s->cause) {
        return NULL;
    }
    if (!place.ram || (!load && place.ram->readonly)) {
        s->cause = load ? RV_CAUSE_LOAD_ACCESS : RV_CAUSE_STORE_ACCESS;
        return NULL;
    }
    s->atomic.ram = place.ram;
    s->atomic.offset = place.offset;
    s->atomic.paddr = place.paddr;
    return place_host(&place);
}

void rv_atomic_written(RvView *view, unsigned size)
{
    ram_note_write(view->interp->atomic.ram, view->interp->atomic.offset, size);
}

/* ---- Cache blocks. */

static unsigned as_store(unsigned cause)
{
    switch (cause) {
    case RV_CAUSE_LOAD_ACCESS:
        return RV_CAUSE_STORE_ACCESS;
    case RV_CAUSE_LOAD_PAGE:
        return RV_CAUSE_STORE_PAGE;
    default:
        return cause;
    }
}

unsigned rv_cache_block(RvView *view, uint64_t addr, bool zero)
{
    RvInterp *s = view->interp;
    uint64_t block = addr & ~(uint64_t)(RV_CACHE_BLOCK_BYTES - 1);
    Place place;
    unsigned cause;

    /* Management wants leave to load or to store (CMO 2.5.1); who may store may load. */
    cause = find_place(view, block, RV_CACHE_BLOCK_BYTES, zero ? RV_ACCESS_STORE : RV_ACCESS_LOAD,
                       &place);
    if (cause) {
        s->tval = addr;
        return as_store(cause);
    }
    if (!zero) {
        return 0;
    }
    if (!place.ram) {
        s->tval = addr;
        return RV_CAUSE_STORE_ACCESS;
    }
    for (unsigned i = 0; i < RV_CACHE_BLOCK_BYTES; i += 8) {
        Place word = { place.ram, place.offset + i, place.paddr + i };

        store_place(s, &word, block + i, 8, 0);
    }
    return 0;
}
