/* SPDX-License-Identifier: MIT */
/*
 * A view: what one vCPU has cached about one way of seeing memory, laid out for generated code. The
 * idea to hold: a view belongs to a key (address space, privilege, and whatever else decides
 * about translation), so a change of address space selects another view and flushes nothing.
 *
 * While guest code runs, one host register points at the view's `tlb` member; everything is at a constant
 * distance from there. The table is reserved at its largest and grows by a wider mask, so neither
 * the pointer nor the code changes.
 *
 * Thread: the vCPU's, except that any thread may take write permission back (TCG_TLB_EMPTY stored to a
 * tag of `store`, with atomics); see tlb.c.
 */
#ifndef ORRERY_TCG_VIEW_H
#define ORRERY_TCG_VIEW_H

#include <stdint.h>

#include <glib.h>

#define TCG_PAGE_BITS 12
#define TCG_PAGE_MASK ((UINT64_C(1) << TCG_PAGE_BITS) - 1)

/*
 * Entry of address va is table[(va >> 12) & mask]. An access of n bytes at va hits when
 * ((va + n - 1) & ~0xfff) == tag, so one that crosses a page's end never does; its host address is then
 * va + addend. Atomics also want va to be aligned. A tag with any of the low 12 bits set never hits.
 */
typedef struct TcgTlbEntry {
    uint64_t tag;
    uintptr_t addend;
} TcgTlbEntry;

#define TCG_TLB_ENTRY_SHIFT 4
#define TCG_TLB_EMPTY UINT64_MAX
#define TCG_TLB_SLOW UINT64_C(1) /* translated, but each access asks: MMIO, ROM, watched writes */
#define TCG_TLB_MIN_BITS 8
#define TCG_TLB_MAX_BITS 16
#define TCG_TLB_MAX (1u << TCG_TLB_MAX_BITS)

/* From pc to code. tag is pc | flags, where flags (bit 0) are TcgTb.flags' lowest bit. */
typedef struct TcgJump {
    uint64_t tag;
    const void *code;
} TcgJump;

#define TCG_JUMP_BITS 14
#define TCG_JUMP_SIZE (1u << TCG_JUMP_BITS)
/* Tag of an empty entry: one that belongs into another, so that no pc whatever matches it. */
#define TCG_JUMP_EMPTY(index_) ((index_) ? UINT64_C(0) : UINT64_C(2))
/* Index of a tag: (tag >> 1) & (size - 1), as a byte offset (tag << 3) & ((size - 1) << 4). */

#define TCG_HEAT_SIZE 4096u

/*
 * Loads of code that is hot first ask here, an entry by the register that holds the base, since the address of the
 * entry is then no function of the address that is loaded from: pages are guessed, and the check is off the
 * path from one load to the next. An aligned access of n bytes hits when (va & (~0xfff | (n - 1))) == tag.
 * Filled by generated code from `load`; forgotten with whatever goes from there but for replacement.
 */
#define TCG_RECENT_SIZE 32u

/* The part that generated code reads. */
typedef struct TcgViewFast {
    TcgJump jumps[TCG_JUMP_SIZE];
    int32_t heat[TCG_HEAT_SIZE]; /* entries left before code is hot; see IrRegion.heat_offset */
    TcgTlbEntry recent[TCG_RECENT_SIZE];
    TcgTlbEntry recent_store[TCG_RECENT_SIZE];
    int64_t patience; /* misses of recent_store left before one fills it */
    uint64_t reserved[5];
    uint64_t load_mask; /* byte offset mask: (entries - 1) << TCG_TLB_ENTRY_SHIFT */
    uint64_t store_mask;
    TcgTlbEntry load[TCG_TLB_MAX]; /* the view pointer of generated code points here */
    TcgTlbEntry store[TCG_TLB_MAX];
} TcgViewFast;

/*
 * The same for stores. Who takes write permission back empties it after `store`, any thread; so generated code
 * looks into `store` again after it has filled an entry, behind a fence, and fills at every TCG_PATIENCEth miss only.
 */
#define TCG_PATIENCE 16

static inline void tcg_forget_recent_stores(TcgViewFast *view)
{
    for (unsigned i = 0; i < TCG_RECENT_SIZE; i++) {
        __atomic_store_n(&view->recent_store[i].tag, TCG_TLB_EMPTY, __ATOMIC_RELAXED);
    }
}

static inline void tcg_forget_recent(TcgViewFast *view)
{
    for (unsigned i = 0; i < TCG_RECENT_SIZE; i++) {
        view->recent[i].tag = TCG_TLB_EMPTY;
    }
    tcg_forget_recent_stores(view);
}

#define TCG_VIEW_BASE G_STRUCT_OFFSET(TcgViewFast, load)
#define TCG_VIEW_OFFSET(member_) ((int32_t)(G_STRUCT_OFFSET(TcgViewFast, member_) - TCG_VIEW_BASE))

#endif
