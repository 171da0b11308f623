/* SPDX-License-Identifier: MIT */
/*
 * Page tables for programs that run code under translation. A space shows the program itself twice:
 * where it is, for S mode, and at USER_ALIAS above that, for U mode. Tables come from a fixed pool,
 * which paging_reset() empties.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include "guest.h"

#define PTE_V 0x01ul
#define PTE_R 0x02ul
#define PTE_W 0x04ul
#define PTE_X 0x08ul
#define PTE_U 0x10ul
#define PTE_G 0x20ul
#define PTE_A 0x40ul
#define PTE_D 0x80ul
#define PTE_PBMT(n) ((uint64_t)(n) << 61)
#define PTE_N (1ul << 63)

/* A leaf that nothing stops but U. */
#define PTE_ALL (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

#define MODE_BARE 0
#define MODE_SV39 8
#define MODE_SV48 9
#define MODE_SV57 10

#define USER_ALIAS 0x40000000ul
#define SUPERPAGE_BYTES (2ul << 20)

typedef struct Space {
    uint64_t *root;
    unsigned mode;
    uint16_t asid;
} Space;

void paging_reset(void);

/* Whether satp takes the mode; leaves it Bare. M mode. */
bool paging_has_mode(unsigned mode);

Space space_create(unsigned mode, uint16_t asid);
uint64_t space_satp(const Space *space);

/* Bytes that a leaf at this level maps: 0 is 4 KiB. */
uint64_t level_bytes(unsigned level);

/* The entry for vaddr at this level; tables above it are made as needed. */
uint64_t *space_pte(const Space *space, uint64_t vaddr, unsigned level);

void space_map(const Space *space, uint64_t vaddr, uint64_t paddr, unsigned level, uint64_t flags);

static inline uint64_t pte_of(uint64_t paddr, uint64_t flags)
{
    return paddr >> 12 << 10 | flags;
}

static inline void sfence_all(void)
{
    __asm__ volatile("sfence.vma" ::: "memory");
}

static inline void sfence_page(uint64_t vaddr)
{
    __asm__ volatile("sfence.vma %0" ::"r"(vaddr) : "memory");
}

static inline void sfence_asid(uint64_t asid)
{
    __asm__ volatile("sfence.vma x0, %0" ::"r"(asid) : "memory");
}

static inline void sfence_page_asid(uint64_t vaddr, uint64_t asid)
{
    __asm__ volatile("sfence.vma %0, %1" ::"r"(vaddr), "r"(asid) : "memory");
}

#endif
