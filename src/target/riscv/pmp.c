/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection (privileged spec 3.7). The idea to hold: registers are turned into
 * byte ranges when they are written, so that a check is a walk over at most 16 ranges in priority
 * order, and the first that overlaps the access decides.
 *
 * Choices the specification leaves open: 16 entries, 54 address bits, granularity 4 bytes; writing
 * the reserved combination W=1, R=0 stores W=0.
 */
#include "target/riscv/internal.h"

enum {
    PMP_OFF = 0x00,
    PMP_TOR = 0x08,
    PMP_NA4 = 0x10,
    PMP_NAPOT = 0x18,
};

#define PMPADDR_MASK ((UINT64_C(1) << 54) - 1)

void riscv_pmp_update(RiscvCpu *cpu)
{
    bool active = false;

    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        uint64_t addr = cpu->pmpaddr[i] & PMPADDR_MASK;
        uint64_t first = 1, last = 0;

        switch (cpu->pmpcfg[i] & RV_PMP_A) {
        case PMP_TOR: {
            uint64_t end = addr << 2;
            uint64_t start = i == 0 ? 0 : (cpu->pmpaddr[i - 1] & PMPADDR_MASK) << 2;

            if (start < end) {
                first = start;
                last = end - 1;
            }
            break;
        }
        case PMP_NA4:
            first = addr << 2;
            last = first + 3;
            break;
        case PMP_NAPOT: {
            /* The trailing ones, and the zero above them, are not part of the base. */
            uint64_t ones = addr ^ (addr + 1);

            first = (addr & ~ones) << 2;
            last = first + (ones << 2) + 3;
            break;
        }
        default:
            break;
        }
        cpu->pmp_range[i].first = first;
        cpu->pmp_range[i].last = last;
        active |= (cpu->pmpcfg[i] & RV_PMP_A) != PMP_OFF;
    }
    cpu->pmp_active = active;
}

static const uint8_t needed[] = {
    [RV_ACCESS_LOAD] = RV_PMP_R,
    [RV_ACCESS_STORE] = RV_PMP_W,
    [RV_ACCESS_FETCH] = RV_PMP_X,
};

/* The entry that decides about [first, last], or -1. *whole: it covers all of it. */
static int pmp_match(const RiscvCpu *cpu, uint64_t first, uint64_t last, bool *whole)
{
    for (int i = 0; i < RV_PMP_COUNT; i++) {
        uint64_t low = cpu->pmp_range[i].first, high = cpu->pmp_range[i].last;

        if (low > high || first > high || last < low) {
            continue;
        }
        *whole = first >= low && last <= high;
        return i;
    }
    return -1;
}

bool riscv_pmp_check(const RiscvCpu *cpu, uint64_t paddr, unsigned size, RvAccess access,
                     RvPriv priv)
{
    uint64_t last = paddr + (size ? size - 1 : 0);
    bool whole = false;
    int entry;

    if (!cpu->feature.pmp) {
        return true;
    }
    if (!cpu->pmp_active) {
        return priv == RV_PRIV_M;
    }
    if (last < paddr) {
        last = UINT64_MAX; /* wraps: beyond all ranges either way */
    }
    entry = pmp_match(cpu, paddr, last, &whole);
    if (entry < 0) {
        return priv == RV_PRIV_M;
    }
    if (!whole) {
        return false;
    }
    if (priv == RV_PRIV_M && !(cpu->pmpcfg[entry] & RV_PMP_L)) {
        return true;
    }
    return (cpu->pmpcfg[entry] & needed[access]) != 0;
}

bool riscv_pmp_page_uniform(const RiscvCpu *cpu, uint64_t paddr)
{
    uint64_t first = paddr & ~(uint64_t)(MEMORY_PAGE_SIZE - 1);
    bool whole = true;

    if (!cpu->pmp_active || !cpu->feature.pmp) {
        return true;
    }
    /* A later entry has no say where an earlier one covers the page, so the first overlap settles. */
    return pmp_match(cpu, first, first + (MEMORY_PAGE_SIZE - 1), &whole) < 0 || whole;
}

bool riscv_pmp_page(const RiscvCpu *cpu, uint64_t page, RvPriv priv, uint8_t *prot)
{
    uint8_t all = 1 << RV_ACCESS_LOAD | 1 << RV_ACCESS_STORE | 1 << RV_ACCESS_FETCH;
    bool whole = true;
    int entry = -1;

    *prot = all;
    if (!cpu->feature.pmp) {
        return true;
    }
    if (cpu->pmp_active) {
        entry = pmp_match(cpu, page, page + (MEMORY_PAGE_SIZE - 1), &whole);
    }
    if (entry < 0) {
        *prot = priv == RV_PRIV_M ? all : 0;
    } else if (priv != RV_PRIV_M || (cpu->pmpcfg[entry] & RV_PMP_L)) {
        for (unsigned access = RV_ACCESS_LOAD; access <= RV_ACCESS_FETCH; access++) {
            if (!(cpu->pmpcfg[entry] & needed[access])) {
                *prot &= (uint8_t) ~(1u << access);
            }
        }
    }
    return whole;
}

bool riscv_pmp_write_cfg(RiscvCpu *cpu, unsigned entry, uint8_t value)
{
    uint8_t old = cpu->pmpcfg[entry];

    if (old & RV_PMP_L) {
        return false;
    }
    value &= RV_PMP_R | RV_PMP_W | RV_PMP_X | RV_PMP_A | RV_PMP_L;
    if (!(value & RV_PMP_R)) {
        value &= (uint8_t)~RV_PMP_W;
    }
    cpu->pmpcfg[entry] = value;
    return value != old;
}

bool riscv_pmp_write_addr(RiscvCpu *cpu, unsigned entry, uint64_t value)
{
    uint64_t old = cpu->pmpaddr[entry];

    if (cpu->pmpcfg[entry] & RV_PMP_L) {
        return false;
    }
    /* A locked TOR entry also holds its lower bound. */
    if (entry + 1 < RV_PMP_COUNT && (cpu->pmpcfg[entry + 1] & RV_PMP_L) &&
        (cpu->pmpcfg[entry + 1] & RV_PMP_A) == PMP_TOR) {
        return false;
    }
    cpu->pmpaddr[entry] = value & PMPADDR_MASK;
    return cpu->pmpaddr[entry] != old;
}
