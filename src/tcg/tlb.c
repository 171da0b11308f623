/* SPDX-License-Identifier: MIT */
/*
 * The software TLB: filling it, and the accesses that its fast path leaves over. The idea to hold:
 * `place` answers where an access within one page goes and whether it may; everything else is made of
 * it. An access across pages asks for both before it touches either, so that a fault leaves no trace.
 *
 * Only the vCPU's thread puts entries in. Any thread may take store entries out whose page must be
 * watched: it sets a page flag and then looks at the tables; we put the entry in and then look at the
 * flags. A full barrier stands between on both sides, so one of the two sees the other.
 */
#include "tcg/tb.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "orrery/impl/host-clock.h"
#include "trace/trace-tcg.h"
#include "trace/trace-tlb.h"

static const char *const access_names[] = { "load", "store", "fetch" };

/* ---- One table. */

static uint64_t table_index(const TcgTable *table, uint64_t va)
{
    return (va >> TCG_PAGE_BITS) & (*table->mask >> TCG_TLB_ENTRY_SHIFT);
}

static void clear_entries(TcgTable *table, uint64_t from, uint64_t to)
{
    memset(&table->entries[from], 0xff, (to - from) * sizeof(TcgTlbEntry));
}

static void set_bits(TcgTable *table, unsigned bits)
{
    table->bits = bits;
    orr_store_release(table->mask, ((UINT64_C(1) << bits) - 1) << TCG_TLB_ENTRY_SHIFT);
}

static void clear_victims(TcgTable *table)
{
    for (unsigned i = 0; i < TCG_VICTIMS; i++) {
        table->victim[i].entry.tag = TCG_TLB_EMPTY;
    }
}

void tcg_table_init(TcgTable *table, TcgTlbEntry *entries, TcgTlbPage *pages, uint64_t *mask)
{
    table->entries = entries;
    table->pages = pages;
    table->mask = mask;
    clear_entries(table, 0, 1u << TCG_TLB_MIN_BITS);
    clear_victims(table);
    set_bits(table, TCG_TLB_MIN_BITS);
}

static void note_resize(TcgCpu *cpu, TcgTable *table, unsigned before, const char *why)
{
    tcg_count(&cpu->counters.resizes);
    tcg_count(&cpu->flush_kinds[TCG_FLUSH_resize]);
    trace_tlb_resize(cpu->vcpu->accel.index, table == &cpu->view->load ? "load" : "store",
                     1u << before, 1u << table->bits, table->conflicts, why);
}

/* A table is made smaller when it was found nearly empty by so many flushes in a row. */
#define IDLE_FLUSHES 64

void tcg_table_empty(TcgCpu *cpu, TcgTable *table)
{
    uint32_t used = table->used_count;

    if (used > TCG_USED_LIST) {
        clear_entries(table, 0, UINT64_C(1) << table->bits);
    } else {
        for (uint32_t i = 0; i < used; i++) {
            orr_store_relaxed(&table->entries[table->used[i]].tag, TCG_TLB_EMPTY);
        }
    }
    orr_store_release(&table->used_count, 0u);
    clear_victims(table);
    table->idle = used < (1u << table->bits) / 16 ? table->idle + 1 : 0;
    if (table->idle >= IDLE_FLUSHES && table->bits > TCG_TLB_MIN_BITS) {
        unsigned before = table->bits;

        set_bits(table, before - 2 > TCG_TLB_MIN_BITS ? before - 2 : TCG_TLB_MIN_BITS);
        table->idle = 0;
        if (cpu->view) {
            note_resize(cpu, table, before, "idle");
        }
    }
    table->conflicts = 0;
}

void tcg_table_drop(TcgTable *table, uint64_t page)
{
    TcgTlbEntry *entry = &table->entries[table_index(table, page)];

    if ((entry->tag & ~TCG_TLB_SLOW) == page) {
        orr_store_relaxed(&entry->tag, TCG_TLB_EMPTY);
    }
    for (unsigned i = 0; i < TCG_VICTIMS; i++) {
        if ((table->victim[i].entry.tag & ~TCG_TLB_SLOW) == page) {
            table->victim[i].entry.tag = TCG_TLB_EMPTY;
        }
    }
}

static void note_used(TcgTable *table, uint64_t index)
{
    uint32_t count = table->used_count;

    if (count < TCG_USED_LIST) {
        orr_store_relaxed(&table->used[count], (uint16_t)index);
    }
    if (count <= TCG_USED_LIST) {
        orr_store_release(&table->used_count, count + 1);
    }
}

/*
 * Four times as large, entries kept. Lock: nobody looks for entries of a watched page meanwhile.
 * An entry of a table of n moves up by a multiple of n or stays.
 */
static void grow(TcgCpu *cpu, TcgTable *table)
{
    unsigned before = table->bits, after = MIN(before + 2, TCG_TLB_MAX_BITS);
    uint64_t old = UINT64_C(1) << before, mask = (UINT64_C(1) << after) - 1;

    orr_mutex_lock(&cpu->context->lock);
    clear_entries(table, old, mask + 1);
    table->used_count = 0;
    for (uint64_t i = 0; i < old; i++) {
        TcgTlbEntry entry = table->entries[i];
        uint64_t to = (entry.tag >> TCG_PAGE_BITS) & mask;

        if (entry.tag == TCG_TLB_EMPTY) {
            continue;
        }
        if (to != i) {
            table->entries[i].tag = TCG_TLB_EMPTY;
            table->entries[to] = entry;
            table->pages[to] = table->pages[i];
        }
        note_used(table, to);
    }
    set_bits(table, after);
    orr_mutex_unlock(&cpu->context->lock);
    note_resize(cpu, table, before, "conflicts");
    table->conflicts = 0;
}

static void keep_victim(TcgTable *table, const TcgTlbEntry *entry, const TcgTlbPage *page)
{
    TcgVictim *victim = &table->victim[table->victim_next++ % TCG_VICTIMS];

    victim->entry = *entry;
    victim->page = *page;
}

/*
 * Puts an entry in. Of a store table: one whose page has flags becomes SLOW, now or when they are set
 * at this moment.
 */
static void put(TcgCpu *cpu, TcgTable *table, const TcgTlbEntry *new, const TcgTlbPage *info)
{
    uint64_t index = table_index(table, new->tag & ~TCG_TLB_SLOW);
    TcgTlbEntry *entry = &table->entries[index];
    RamBlock *ram = info->ram;

    if (entry->tag == TCG_TLB_EMPTY) {
        note_used(table, index);
    } else {
        if ((entry->tag ^ new->tag) & ~TCG_TLB_SLOW) {
            keep_victim(table, entry, &table->pages[index]);
            table->conflicts++;
        }
        orr_store_release(&entry->tag, TCG_TLB_EMPTY);
    }
    orr_store_relaxed(&table->pages[index].ram, ram);
    orr_store_relaxed(&table->pages[index].paddr, info->paddr);
    orr_store_relaxed(&entry->addend, new->addend);
    orr_store_release(&entry->tag, new->tag);
    if (table == &cpu->view->store && ram && !(new->tag &TCG_TLB_SLOW)) {
        uint64_t offset = new->addend + new->tag - (uintptr_t)ram->host;

        orr_fence_seq_cst();
        if (orr_load_relaxed(&ram->page_flags[offset >> TCG_PAGE_BITS])) {
            orr_store_release(&entry->tag, new->tag | TCG_TLB_SLOW);
        }
    }
    if (table->conflicts > (1u << table->bits) / 4 && table->bits < TCG_TLB_MAX_BITS) {
        grow(cpu, table);
    }
}

static bool from_victims(TcgCpu *cpu, TcgTable *table, uint64_t va, TcgAccess access)
{
    for (unsigned i = 0; i < TCG_VICTIMS; i++) {
        if ((table->victim[i].entry.tag & ~TCG_TLB_SLOW) == (va & ~TCG_PAGE_MASK)) {
            TcgVictim victim = table->victim[i];
            RamBlock *ram = victim.page.ram;

            table->victim[i].entry.tag = TCG_TLB_EMPTY;
            /* SLOW for a flag that may be gone; put looks again. */
            if (ram && !(ram->readonly && access == TCG_ACCESS_STORE)) {
                victim.entry.tag &= ~TCG_TLB_SLOW;
            }
            put(cpu, table, &victim.entry, &victim.page);
            tcg_count(&cpu->counters.victims);
            trace_tlb_victim_hit(cpu->vcpu->accel.index, va, access_names[access]);
            return true;
        }
    }
    return false;
}

/* ---- Finding where an access goes. */

static void make_entry(uint64_t va, const TcgPlace *place, bool store, TcgTlbEntry *entry,
                       TcgTlbPage *page)
{
    uint64_t tag = va & ~TCG_PAGE_MASK;

    entry->tag = tag;
    entry->addend = 0;
    page->ram = place->ram;
    page->paddr = place->paddr & ~TCG_PAGE_MASK;
    if (place->ram) {
        entry->addend = (uintptr_t)place->ram->host + (place->offset & ~TCG_PAGE_MASK) - tag;
    }
    if (!place->ram || (store && place->ram->readonly)) {
        entry->tag |= TCG_TLB_SLOW;
    }
}

static void fill(TcgCpu *cpu, TcgTable *table, uint64_t va, const TcgPlace *place)
{
    TcgTlbEntry entry;
    TcgTlbPage page;

    make_entry(va, place, table == &cpu->view->store, &entry, &page);
    put(cpu, table, &entry, &page);
}

/* The page's other table gets it too if nothing has to make way there. */
static void fill_other(TcgCpu *cpu, TcgTable *table, uint64_t va, const TcgPlace *place)
{
    if (table->entries[table_index(table, va)].tag == TCG_TLB_EMPTY) {
        fill(cpu, table, va, place);
    }
}

static bool walk(TcgCpu *cpu, uint64_t va, unsigned size, TcgAccess access, TcgPlace *place,
                 unsigned *cause)
{
    TcgView *view = cpu->view;
    int64_t start = trace_tlb_fill_enabled() ? host_monotonic_ns() : 0;
    MemSection section;
    bool in_page = true;
    uint32_t token;
    TcgWalk w;

    if (!cpu->target->walk(cpu->cpu, va, size, access, &w)) {
        *cause = w.cause;
        trace_tlb_fill_fault(cpu->vcpu->accel.index, va, access_names[access], w.cause);
        return false;
    }
    tcg_count(&cpu->counters.fills);
    *place = (TcgPlace){ .paddr = w.paddr };
    token = memory_read_enter(cpu->context->memory);
    if (memory_find(cpu->context->memory, w.paddr, &section) && section.ram) {
        place->ram = section.ram;
        place->offset = section.offset;
        place->host = section.ram->host + section.offset;
        in_page = ((section.offset ^ w.paddr) & TCG_PAGE_MASK) == 0;
    }
    memory_read_exit(cpu->context->memory, token);
    if (w.cacheable && in_page) {
        tcg_view_note_large(view, va & ~TCG_PAGE_MASK, w.page_bits);
        if (access == TCG_ACCESS_STORE) {
            fill(cpu, &view->store, va, place);
            if (w.prot & 1 << TCG_ACCESS_LOAD) {
                fill_other(cpu, &view->load, va, place);
            }
        } else {
            fill(cpu, &view->load, va, place);
            if (w.prot & 1 << TCG_ACCESS_STORE) {
                fill_other(cpu, &view->store, va, place);
            }
        }
    }
    if (start) {
        trace_tlb_fill(cpu->vcpu->accel.index, va, w.paddr, access_names[access], w.page_bits,
                       !place->ram            ? "device"
                       : place->ram->readonly ? "ROM"
                                              : "RAM",
                       (uint64_t)(host_monotonic_ns() - start));
    }
    return true;
}

bool tcg_find(TcgCpu *cpu, uint64_t va, unsigned size, TcgAccess access, TcgPlace *place,
              unsigned *cause)
{
    TcgTable *table = access == TCG_ACCESS_STORE ? &cpu->view->store : &cpu->view->load;
    uint64_t page = va & ~TCG_PAGE_MASK;
    uint64_t index = table_index(table, va);
    const TcgTlbEntry *entry = &table->entries[index];

    if ((entry->tag & ~TCG_TLB_SLOW) != page) {
        if (!from_victims(cpu, table, va, access)) {
            return walk(cpu, va, size, access, place, cause);
        }
        index = table_index(table, va); /* the table may have grown */
        entry = &table->entries[index];
        if ((entry->tag & ~TCG_TLB_SLOW) != page) {
            return walk(cpu, va, size, access, place, cause);
        }
    }
    *place = (TcgPlace){ .ram = table->pages[index].ram,
                         .paddr = table->pages[index].paddr | (va & TCG_PAGE_MASK) };
    if (place->ram) {
        place->host = (uint8_t *)(entry->addend + va);
        place->offset = (uint64_t)(place->host - place->ram->host);
    }
    return true;
}

/* A store entry is SLOW for flags that are gone now: give it its speed back. */
static void hasten(TcgCpu *cpu, uint64_t va, const TcgPlace *place)
{
    TcgTable *table = &cpu->view->store;
    TcgTlbEntry *entry = &table->entries[table_index(table, va)];
    uint64_t page = va & ~TCG_PAGE_MASK;
    uint8_t *flags = &place->ram->page_flags[place->offset >> TCG_PAGE_BITS];

    if (entry->tag == (page | TCG_TLB_SLOW) && !orr_load_relaxed(flags)) {
        orr_store_release(&entry->tag, page);
        orr_fence_seq_cst();
        if (orr_load_relaxed(flags)) {
            orr_store_release(&entry->tag, page | TCG_TLB_SLOW);
        }
    }
}

void tcg_written(const TcgPlace *place, unsigned size)
{
    ram_note_write(place->ram, place->offset, size);
}

/* ---- Devices. Their code may use the host's floating-point unit, which the guest has set up. */

typedef struct HostFp {
    uint32_t mxcsr;
} HostFp;

static HostFp host_fp_default(void)
{
    HostFp fp = { 0 };

#if defined(__x86_64__)
    fp.mxcsr = _mm_getcsr();
    _mm_setcsr(0x1f80);
#endif
    return fp;
}

static void host_fp_restore(HostFp fp)
{
#if defined(__x86_64__)
    _mm_setcsr(fp.mxcsr);
#endif
}

static bool device(TcgCpu *cpu, const TcgPlace *place, unsigned size, uint64_t *value, bool write,
                   const TcgFrame *frame)
{
    uint64_t count = frame ? tcg_count_begin(cpu, frame) : 0;
    HostFp fp = host_fp_default();
    MemTxResult result;

    tcg_count(&cpu->counters.mmio);
    if (write) {
        result = vcpu_mmio_write(cpu->vcpu, place->paddr, size, *value);
    } else {
        result = vcpu_mmio_read(cpu->vcpu, place->paddr, size, value);
    }
    host_fp_restore(fp);
    if (frame) {
        tcg_count_end(cpu, count);
    }
    return result == MEMTX_OK;
}

/* ---- One access to a place, size 1 to 8. false: nothing answered. */

static bool load_place(TcgCpu *cpu, const TcgPlace *place, unsigned size, uint64_t *value,
                       const TcgFrame *frame)
{
    if (place->ram) {
        *value = ram_load(place->host, size);
        return true;
    }
    *value = 0;
    return device(cpu, place, size, value, false, frame);
}

static bool store_place(TcgCpu *cpu, const TcgPlace *place, unsigned size, uint64_t value,
                        const TcgFrame *frame)
{
    if (place->ram) {
        if (!place->ram->readonly) {
            ram_store(place->host, size, value);
            ram_note_write(place->ram, place->offset, size);
        }
        return true;
    }
    return device(cpu, place, size, &value, true, frame);
}

/* ---- Any access. */

typedef struct Access {
    TcgCpu *cpu;
    uint64_t va;
    unsigned size;
    TcgAccess kind;
    const TcgFrame *frame; /* NULL: by a helper */
    uint64_t value;
    unsigned cause;
    uint64_t fault_va;
} Access;

static unsigned first_part(uint64_t va, unsigned size)
{
    uint64_t left = TCG_PAGE_MASK + 1 - (va & TCG_PAGE_MASK);

    return left < size ? (unsigned)left : size;
}

static bool find_part(Access *a, uint64_t va, unsigned size, TcgPlace *place)
{
    a->fault_va = va;
    return tcg_find(a->cpu, va, size, a->kind, place, &a->cause);
}

static bool bus_error(Access *a, uint64_t va)
{
    a->fault_va = va;
    a->cause = a->cpu->target->cause_bus(a->kind);
    return false;
}

static bool access_across(Access *a)
{
    unsigned first = first_part(a->va, a->size);
    bool store = a->kind == TCG_ACCESS_STORE;
    uint64_t value = 0;
    TcgPlace place[2];

    if (!find_part(a, a->va, first, &place[0]) ||
        !find_part(a, a->va + first, a->size - first, &place[1])) {
        return false;
    }
    for (unsigned i = 0; i < a->size; i++) {
        TcgPlace byte = place[i >= first];
        unsigned distance = i < first ? i : i - first;
        uint64_t part = a->value >> 8 * i & 0xff;

        byte.offset += distance;
        byte.paddr += distance;
        byte.host = byte.ram ? byte.host + distance : NULL;
        if (!(store ? store_place(a->cpu, &byte, 1, part, a->frame)
                    : load_place(a->cpu, &byte, 1, &part, a->frame))) {
            return bus_error(a, a->va + i);
        }
        value |= part << 8 * i;
    }
    a->value = value;
    return true;
}

static bool access_any(Access *a)
{
    TcgPlace place;
    bool ok;

    if (G_UNLIKELY(first_part(a->va, a->size) != a->size)) {
        return access_across(a);
    }
    if (!find_part(a, a->va, a->size, &place)) {
        return false;
    }
    if (a->kind == TCG_ACCESS_STORE) {
        ok = store_place(a->cpu, &place, a->size, a->value, a->frame);
        if (place.ram && !place.ram->readonly) {
            hasten(a->cpu, a->va, &place);
        }
    } else {
        ok = load_place(a->cpu, &place, a->size, &a->value, a->frame);
    }
    return ok || bus_error(a, a->va);
}

static TcgValue raise_fault(const Access *a)
{
    TcgCpu *cpu = a->cpu;

    tcg_unwind(cpu, a->frame);
    tcg_count(&cpu->counters.faults);
    trace_tcg_fault(cpu->vcpu->accel.index, cpu->target->get_pc(cpu->cpu), a->fault_va,
                    access_names[a->kind], a->cause);
    cpu->target->fault(cpu->cpu, a->cause, a->fault_va);
    return (TcgValue){ 0, TCG_EXIT_RESUME };
}

static uint64_t extend(uint64_t value, uint32_t mem)
{
    unsigned shift = 64 - (8u << (mem & IR_MEM_SIZE));

    if (!(mem & IR_MEM_SIGNED)) {
        return value << shift >> shift;
    }
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* ---- What thunks call. */

static bool find_atomic(Access *a, TcgPlace *place)
{
    a->fault_va = a->va;
    if (a->va & (a->size - 1)) {
        a->cause = a->cpu->target->cause_misaligned(a->kind);
        return false;
    }
    if (!find_part(a, a->va, a->size, place)) {
        return false;
    }
    if (!place->ram || (a->kind == TCG_ACCESS_STORE && place->ram->readonly)) {
        return bus_error(a, a->va);
    }
    return true;
}

TcgValue tcg_slow_load(TcgCpu *cpu, uint64_t va, uint32_t mem, TcgFrame *frame)
{
    Access a = { cpu, va, 1u << (mem & IR_MEM_SIZE), TCG_ACCESS_LOAD, frame };
    TcgPlace place;

    tcg_count(&cpu->counters.slow);
    if (mem & IR_MEM_ATOMIC) {
        if (!find_atomic(&a, &place)) {
            return raise_fault(&a);
        }
        a.value = ram_load(place.host, a.size);
    } else if (!access_any(&a)) {
        return raise_fault(&a);
    }
    return (TcgValue){ extend(a.value, mem), 0 };
}

TcgValue tcg_slow_store(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame)
{
    Access a = { cpu, va, 1u << (mem & IR_MEM_SIZE), TCG_ACCESS_STORE, frame, value };

    tcg_count(&cpu->counters.slow);
    if (!access_any(&a)) {
        return raise_fault(&a);
    }
    return (TcgValue){ 0, 0 };
}

static uint64_t combine(uint64_t old, uint64_t operand, IrAmo amo, unsigned size)
{
    uint32_t mem = size == 4 ? 2 : 3;
    int64_t sold = (int64_t)extend(old, mem | IR_MEM_SIGNED);
    int64_t soperand = (int64_t)extend(operand, mem | IR_MEM_SIGNED);
    uint64_t uold = extend(old, mem), uoperand = extend(operand, mem);

    switch (amo) {
    case IR_AMO_SWAP:
        return operand;
    case IR_AMO_ADD:
        return old + operand;
    case IR_AMO_XOR:
        return old ^ operand;
    case IR_AMO_AND:
        return old & operand;
    case IR_AMO_OR:
        return old | operand;
    case IR_AMO_MIN:
        return sold < soperand ? old : operand;
    case IR_AMO_MAX:
        return sold > soperand ? old : operand;
    case IR_AMO_MINU:
        return uold < uoperand ? old : operand;
    case IR_AMO_MAXU:
        return uold > uoperand ? old : operand;
    }
    return old;
}

static bool host_cas(uint8_t *host, unsigned size, uint64_t *expected, uint64_t value)
{
    if (size == 4) {
        uint32_t seen = (uint32_t)*expected;
        bool done = __atomic_compare_exchange_n((uint32_t *)(void *)host, &seen, (uint32_t)value,
                                                false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

        *expected = seen;
        return done;
    }
    return __atomic_compare_exchange_n((uint64_t *)(void *)host, expected, value, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

TcgValue tcg_slow_amo(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame)
{
    Access a = { cpu, va, 1u << (mem & IR_MEM_SIZE), TCG_ACCESS_STORE, frame, value };
    TcgPlace place;
    uint64_t old;

    tcg_count(&cpu->counters.slow);
    if (!find_atomic(&a, &place)) {
        return raise_fault(&a);
    }
    old = ram_load(place.host, a.size);
    while (!host_cas(place.host, a.size, &old,
                     combine(old, value, (IrAmo)(mem >> IR_AMO_SHIFT), a.size))) {
    }
    tcg_written(&place, a.size);
    hasten(cpu, va, &place);
    return (TcgValue){ extend(old, (mem & IR_MEM_SIZE) | IR_MEM_SIGNED), 0 };
}

TcgValue tcg_slow_cas(TcgCpu *cpu, uint64_t va, uint64_t expected, uint64_t value, uint32_t mem,
                      TcgFrame *frame)
{
    Access a = { cpu, va, 1u << (mem & IR_MEM_SIZE), TCG_ACCESS_STORE, frame, value };
    TcgPlace place;

    tcg_count(&cpu->counters.slow);
    if (!find_atomic(&a, &place)) {
        return raise_fault(&a);
    }
    if (host_cas(place.host, a.size, &expected, value)) {
        tcg_written(&place, a.size);
        hasten(cpu, va, &place);
    }
    return (TcgValue){ extend(expected, (mem & IR_MEM_SIZE) | IR_MEM_SIGNED), 0 };
}

/* ---- For helpers. */

bool tcg_load(TcgCpu *cpu, uint64_t va, unsigned size, uint64_t *value, unsigned *cause)
{
    Access a = { cpu, va, size, TCG_ACCESS_LOAD, NULL };
    bool ok = access_any(&a);

    *value = a.value;
    *cause = a.cause;
    return ok;
}

bool tcg_store(TcgCpu *cpu, uint64_t va, unsigned size, uint64_t value, unsigned *cause)
{
    Access a = { cpu, va, size, TCG_ACCESS_STORE, NULL, value };
    bool ok = access_any(&a);

    *cause = a.cause;
    return ok;
}
