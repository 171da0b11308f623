/* SPDX-License-Identifier: MIT */
/*
 * The pool of tables, and entries made in them.
 */
#include "paging.h"

#define POOL_PAGES 96
#define ENTRIES 512

static uint64_t pool[POOL_PAGES][ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static unsigned used;

extern const char image_end[];

void paging_reset(void)
{
    used = 0;
}

static uint64_t *new_table(void)
{
    if (used == POOL_PAGES) {
        print("out of page tables\n");
        power_off(98);
    }
    memset(pool[used], 0, PAGE_BYTES);
    return pool[used++];
}

bool paging_has_mode(unsigned mode)
{
    bool has;

    csr_write(satp, (uint64_t)mode << 60 | (uint64_t)pool[0] >> 12);
    has = csr_read(satp) >> 60 == mode;
    csr_write(satp, 0);
    return has;
}

uint64_t level_bytes(unsigned level)
{
    return (uint64_t)PAGE_BYTES << 9 * level;
}

uint64_t *space_pte(const Space *space, uint64_t vaddr, unsigned level)
{
    unsigned at = space->mode - 6; /* of the root: 2, 3, 4 */
    uint64_t *table = space->root;

    for (;;) {
        uint64_t *entry = &table[vaddr >> (12 + 9 * at) & (ENTRIES - 1)];

        if (at == level) {
            return entry;
        }
        if (!(*entry & PTE_V)) {
            *entry = pte_of((uint64_t)new_table(), PTE_V);
        }
        table = (uint64_t *)(*entry >> 10 << 12);
        at--;
    }
}

void space_map(const Space *space, uint64_t vaddr, uint64_t paddr, unsigned level, uint64_t flags)
{
    *space_pte(space, vaddr, level) = pte_of(paddr, flags);
}

Space space_create(unsigned mode, uint16_t asid)
{
    Space space = { new_table(), mode, asid };

    for (uint64_t at = RAM_BASE; at < (uint64_t)image_end; at += SUPERPAGE_BYTES) {
        space_map(&space, at, at, 1, PTE_ALL);
        space_map(&space, at + USER_ALIAS, at, 1, PTE_ALL | PTE_U);
    }
    return space;
}

uint64_t space_satp(const Space *space)
{
    return (uint64_t)space->mode << 60 | (uint64_t)space->asid << 44 | (uint64_t)space->root >> 12;
}
