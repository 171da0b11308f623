/* SPDX-License-Identifier: MIT */
/*
 * Address translation (privileged spec 10.3 to 10.6, with Svnapot, Svpbmt and Svadu). The idea to
 * hold: one walk, walk_tables, finds the leaf and judges what is wrong with the tables themselves;
 * who may use the leaf, and whether its A and D bits must be set, is decided after it. Nothing is
 * cached here; accelerators keep what riscv_translate tells them.
 *
 * Page tables live in RAM: one anywhere else is an access fault, as the specification allows. An
 * A or D bit is set by compare-and-swap against the value that was judged; when another hart was
 * faster, the walk starts over.
 */
#include "target/riscv/internal.h"

#define PTE_V (UINT64_C(1) << 0)
#define PTE_R (UINT64_C(1) << 1)
#define PTE_W (UINT64_C(1) << 2)
#define PTE_X (UINT64_C(1) << 3)
#define PTE_U (UINT64_C(1) << 4)
#define PTE_G (UINT64_C(1) << 5)
#define PTE_A (UINT64_C(1) << 6)
#define PTE_D (UINT64_C(1) << 7)
#define PTE_RESERVED (UINT64_C(0x7f) << 54)
#define PTE_PBMT (UINT64_C(3) << 61)
#define PTE_N (UINT64_C(1) << 63)

#define PTE_PPN(pte) (((pte) >> 10) & ((UINT64_C(1) << 44) - 1))

#define PAGE_BITS MEMORY_PAGE_BITS
#define LEVEL_BITS 9
#define NAPOT_BITS 4 /* Svnapot has one size, 16 pages */

#define PROT(access) (1u << (access))
#define PROT_ALL (PROT(RV_ACCESS_LOAD) | PROT(RV_ACCESS_STORE) | PROT(RV_ACCESS_FETCH))

/* A hart that loses the race for a table entry this often in a row reports a page fault. */
#define AD_RETRIES 1000

typedef enum WalkResult {
    WALK_OK,
    WALK_PAGE_FAULT,
    WALK_ACCESS_FAULT,
    WALK_RETRY,
} WalkResult;

typedef struct Leaf {
    uint64_t pte;
    uint64_t pte_paddr;
    uint64_t *pte_host; /* inside the read section */
    RamBlock *ram;
    uint64_t ram_offset;
    uint64_t paddr;
    unsigned page_bits;
    bool global;
} Leaf;

/* The last section looked up; tables of one walk mostly lie in the same RAM. */
typedef struct TableCursor {
    Memory *memory;
    RamBlock *ram;
    uint64_t base, size_bytes; /* guest-physical extent of ram's region */
} TableCursor;

static uint64_t *table_entry(TableCursor *cursor, uint64_t paddr, RamBlock **ram,
                             uint64_t *ram_offset)
{
    if (!cursor->ram || paddr - cursor->base >= cursor->size_bytes) {
        MemSection section;

        if (!memory_find(cursor->memory, paddr, &section) || !section.ram) {
            return NULL;
        }
        cursor->ram = section.ram;
        cursor->base = paddr - section.offset;
        cursor->size_bytes = section.offset + section.remaining_bytes;
    }
    *ram = cursor->ram;
    *ram_offset = paddr - cursor->base;
    if (*ram_offset + sizeof(uint64_t) > cursor->size_bytes) {
        return NULL;
    }
    return (uint64_t *)(void *)(cursor->ram->host + *ram_offset);
}

/* Bits that make an entry reserved, whatever it points to. */
static bool pte_valid(const RiscvCpu *cpu, uint64_t pte)
{
    if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || (pte & PTE_RESERVED)) {
        return false;
    }
    if ((pte & PTE_PBMT) && (!(cpu->menvcfg & RV_ENVCFG_PBMTE) || (pte & PTE_PBMT) == PTE_PBMT)) {
        return false;
    }
    return !(pte & PTE_N) || cpu->feature.svnapot;
}

/* Steps 1 to 7 of the specification's algorithm, without permissions. pmp is off for debuggers. */
static WalkResult walk_tables(RiscvCpu *cpu, TableCursor *cursor, uint64_t vaddr, bool pmp,
                              Leaf *leaf)
{
    int levels = (int)(cpu->satp >> 60) - 5; /* 8, 9, 10: three, four, five */
    unsigned va_bits = PAGE_BITS + LEVEL_BITS * (unsigned)levels;
    uint64_t table = (cpu->satp & ((UINT64_C(1) << 44) - 1)) << PAGE_BITS;

    /* csr.c stores no other modes; a snapshot made by hand might. */
    if (levels < 3 || levels > 5) {
        return WALK_PAGE_FAULT;
    }
    /* Sign-extended from the highest translated bit, or it is no address. */
    if ((uint64_t)((int64_t)(vaddr << (64 - va_bits)) >> (64 - va_bits)) != vaddr) {
        return WALK_PAGE_FAULT;
    }
    leaf->global = false;
    for (int level = levels - 1; level >= 0; level--) {
        unsigned shift = PAGE_BITS + LEVEL_BITS * (unsigned)level;
        uint64_t index = (vaddr >> shift) & ((1u << LEVEL_BITS) - 1);
        uint64_t low = (UINT64_C(1) << shift) - 1;
        uint64_t pte, base;

        leaf->pte_paddr = table + index * sizeof(uint64_t);
        if (pmp &&
            !riscv_pmp_check(cpu, leaf->pte_paddr, sizeof(uint64_t), RV_ACCESS_LOAD, RV_PRIV_S)) {
            return WALK_ACCESS_FAULT;
        }
        leaf->pte_host = table_entry(cursor, leaf->pte_paddr, &leaf->ram, &leaf->ram_offset);
        if (!leaf->pte_host) {
            return WALK_ACCESS_FAULT;
        }
        /* What the entry points to must not be read before the entry. */
        pte = GUINT64_FROM_LE(orr_load_acquire(leaf->pte_host));
        if (!pte_valid(cpu, pte)) {
            return WALK_PAGE_FAULT;
        }
        leaf->global |= (pte & PTE_G) != 0;
        base = PTE_PPN(pte) << PAGE_BITS;
        if (!(pte & (PTE_R | PTE_W | PTE_X))) {
            if (pte & (PTE_U | PTE_A | PTE_D | PTE_PBMT | PTE_N)) {
                return WALK_PAGE_FAULT;
            }
            table = base;
            continue;
        }
        leaf->pte = pte;
        leaf->page_bits = shift;
        if (pte & PTE_N) {
            if (level != 0 || (PTE_PPN(pte) & ((1u << NAPOT_BITS) - 1)) != 1u << (NAPOT_BITS - 1)) {
                return WALK_PAGE_FAULT;
            }
            leaf->page_bits = PAGE_BITS + NAPOT_BITS;
            low = (UINT64_C(1) << leaf->page_bits) - 1;
            base &= ~low;
        } else if (base & low) {
            return WALK_PAGE_FAULT; /* a misaligned superpage */
        }
        leaf->paddr = base | (vaddr & low);
        return WALK_OK;
    }
    return WALK_PAGE_FAULT;
}

/* What the leaf lets this privilege do, were its A and D bits set. */
static unsigned leaf_prot(const RiscvCpu *cpu, uint64_t pte, RvPriv priv)
{
    unsigned prot = 0;

    if ((pte & PTE_R) || ((pte & PTE_X) && (cpu->mstatus & RV_MSTATUS_MXR))) {
        prot |= PROT(RV_ACCESS_LOAD);
    }
    if (pte & PTE_W) {
        prot |= PROT(RV_ACCESS_STORE);
    }
    if (pte & PTE_X) {
        prot |= PROT(RV_ACCESS_FETCH);
    }
    if (priv == RV_PRIV_U) {
        return pte & PTE_U ? prot : 0;
    }
    if (pte & PTE_U) {
        prot &= cpu->mstatus & RV_MSTATUS_SUM ? ~PROT(RV_ACCESS_FETCH) : 0;
    }
    return prot;
}

/* Sets bits in the leaf's entry in memory, if that still holds what was judged. */
static WalkResult set_accessed(RiscvCpu *cpu, Leaf *leaf, uint64_t bits)
{
    uint64_t expected = GUINT64_TO_LE(leaf->pte);
    uint64_t wanted = GUINT64_TO_LE(leaf->pte | bits);

    if (!riscv_pmp_check(cpu, leaf->pte_paddr, sizeof(uint64_t), RV_ACCESS_STORE, RV_PRIV_S) ||
        leaf->ram->readonly) {
        return WALK_ACCESS_FAULT;
    }
    if (!__atomic_compare_exchange_n(leaf->pte_host, &expected, wanted, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        return WALK_RETRY;
    }
    ram_note_write(leaf->ram, leaf->ram_offset, sizeof(uint64_t));
    leaf->pte |= bits;
    return WALK_OK;
}

/* Fills in what PMP says about the page around out->paddr. */
static void limit_by_pmp(const RiscvCpu *cpu, RvPriv priv, RvTranslation *out)
{
    uint8_t prot;

    out->cacheable =
        riscv_pmp_page(cpu, out->paddr & ~(uint64_t)(MEMORY_PAGE_SIZE - 1), priv, &prot);
    if (out->cacheable) {
        out->prot &= prot;
    }
}

static WalkResult translate_once(RiscvCpu *cpu, TableCursor *cursor, uint64_t vaddr, unsigned size,
                                 RvAccess access, RvPriv priv, RvTranslation *out)
{
    bool hardware_ad = (cpu->menvcfg & RV_ENVCFG_ADUE) != 0;
    uint64_t need = PTE_A | (access == RV_ACCESS_STORE ? PTE_D : 0);
    WalkResult result;
    Leaf leaf;

    result = walk_tables(cpu, cursor, vaddr, true, &leaf);
    if (result != WALK_OK) {
        return result;
    }
    out->prot = (uint8_t)leaf_prot(cpu, leaf.pte, priv);
    if (!(out->prot & PROT(access)) || ((need & ~leaf.pte) && !hardware_ad)) {
        return WALK_PAGE_FAULT;
    }
    /* Before A and D are set: D must not tell of a store that was not made. */
    if (!riscv_pmp_check(cpu, leaf.paddr, size, access, priv)) {
        return WALK_ACCESS_FAULT;
    }
    if (need & ~leaf.pte) {
        result = set_accessed(cpu, &leaf, need & ~leaf.pte);
        if (result != WALK_OK) {
            return result;
        }
    }
    if (!(leaf.pte & PTE_D)) {
        out->prot &= (uint8_t)~PROT(RV_ACCESS_STORE);
    }
    out->paddr = leaf.paddr;
    out->page_bits = leaf.page_bits;
    out->global = leaf.global;
    return WALK_OK;
}

static unsigned access_fault(RvAccess access)
{
    static const uint8_t cause[] = {
        [RV_ACCESS_LOAD] = RV_CAUSE_LOAD_ACCESS,
        [RV_ACCESS_STORE] = RV_CAUSE_STORE_ACCESS,
        [RV_ACCESS_FETCH] = RV_CAUSE_FETCH_ACCESS,
    };

    return cause[access];
}

static unsigned page_fault(RvAccess access)
{
    static const uint8_t cause[] = {
        [RV_ACCESS_LOAD] = RV_CAUSE_LOAD_PAGE,
        [RV_ACCESS_STORE] = RV_CAUSE_STORE_PAGE,
        [RV_ACCESS_FETCH] = RV_CAUSE_FETCH_PAGE,
    };

    return cause[access];
}

static bool bare(const RiscvCpu *cpu, RvPriv priv)
{
    return priv == RV_PRIV_M || cpu->satp >> 60 == 0;
}

unsigned riscv_translate(RiscvCpu *cpu, uint64_t vaddr, unsigned size, RvAccess access, RvPriv priv,
                         RvTranslation *out)
{
    WalkResult result = WALK_RETRY;

    if (bare(cpu, priv)) {
        if (!riscv_pmp_check(cpu, vaddr, size, access, priv)) {
            return access_fault(access);
        }
        *out = (RvTranslation){ .paddr = vaddr, .page_bits = 64, .prot = PROT_ALL };
        limit_by_pmp(cpu, priv, out);
        return 0;
    }
    for (unsigned i = 0; result == WALK_RETRY && i < AD_RETRIES; i++) {
        TableCursor cursor = { .memory = cpu->vcpu.memory };
        uint32_t token = memory_read_enter(cursor.memory);

        result = translate_once(cpu, &cursor, vaddr, size, access, priv, out);
        memory_read_exit(cursor.memory, token);
    }
    if (result == WALK_OK) {
        limit_by_pmp(cpu, priv, out);
        return 0;
    }
    if (orr_log_on(cpu->vcpu.log, LOG_MMU)) {
        orr_log(cpu->vcpu.log,
                "riscv: hart %" G_GUINT64_FORMAT " %s at 0x%016" G_GINT64_MODIFIER
                "x, pc 0x%016" G_GINT64_MODIFIER "x, %c-mode\n",
                cpu->mhartid,
                riscv_cause_name(false, result == WALK_ACCESS_FAULT ? access_fault(access)
                                                                    : page_fault(access)),
                vaddr, cpu->pc, "US?M"[priv & 3]);
    }
    return result == WALK_ACCESS_FAULT ? access_fault(access) : page_fault(access);
}

bool riscv_debug_walk(RiscvCpu *cpu, uint64_t vaddr, uint64_t *paddr)
{
    TableCursor cursor = { .memory = cpu->vcpu.memory };
    WalkResult result;
    uint32_t token;
    Leaf leaf;

    if (bare(cpu, riscv_data_priv(cpu))) {
        *paddr = vaddr;
        return true;
    }
    token = memory_read_enter(cursor.memory);
    result = walk_tables(cpu, &cursor, vaddr, false, &leaf);
    memory_read_exit(cursor.memory, token);
    if (result == WALK_OK) {
        *paddr = leaf.paddr;
    }
    return result == WALK_OK;
}
