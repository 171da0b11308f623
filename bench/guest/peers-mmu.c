/* SPDX-License-Identifier: MIT */
/*
 * Rows of supervisor mode under Sv39: pages at random, and loads after each way of making the
 * translation forget. Every page holds its own number, so a load through a stale entry shows.
 */
#include "paging.h"
#include "peers.h"

#define PAGES 16384ul /* 64 MiB */
#define MEMORY (RAM_BASE + (32ul << 20))
#define WINDOW 0x1000000000ul
#define PAGE_ROUNDS 1500000ul
#define FENCE_ROUNDS 300000ul

static Space spaces[2];
static uint64_t checksum;

static uint64_t load(uint64_t vaddr)
{
    return *(volatile uint64_t *)vaddr;
}

/* Ticks; what was loaded goes into the checksum. All of these run in S mode. */
static uint64_t random_pages(uint64_t rounds)
{
    uint64_t at = 1, sum = 0, start = now();

    for (uint64_t i = 0; i < rounds; i++) {
        at = at * 6364136223846793005 + 1442695040888963407;
        sum += load(WINDOW + (at >> 50) * PAGE_BYTES);
    }
    checksum = sum;
    return now() - start;
}

static uint64_t fence_all(uint64_t rounds)
{
    uint64_t sum = 0, start = now();

    for (uint64_t i = 0; i < rounds; i++) {
        sfence_all();
        sum += load(WINDOW + (i & 63) * PAGE_BYTES);
    }
    checksum = sum;
    return now() - start;
}

static uint64_t fence_page(uint64_t rounds)
{
    uint64_t sum = 0, start = now();

    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t vaddr = WINDOW + (i & 63) * PAGE_BYTES;

        sfence_page(vaddr);
        sum += load(vaddr);
    }
    checksum = sum;
    return now() - start;
}

static uint64_t switch_asid(uint64_t rounds)
{
    uint64_t values[2] = { space_satp(&spaces[0]), space_satp(&spaces[1]) };
    uint64_t sum = 0, start = now();

    for (uint64_t i = 0; i < rounds; i++) {
        csr_write(satp, values[i & 1]);
        sum = sum * 3 + load(WINDOW + PAGE_BYTES);
    }
    checksum = sum;
    return now() - start;
}

static void row(const char *name, uint64_t (*run)(uint64_t), uint64_t rounds)
{
    TrapRecord record;

    row_start(name);
    csr_write(satp, space_satp(&spaces[0]));
    sfence_all();
    record = RUN_S(run, rounds, 0);
    csr_write(satp, 0);
    sfence_all();
    if (record.level != 'R') {
        row_failed(name, "it trapped");
    } else {
        row_report(name, rounds, record.a0, checksum);
    }
}

void guest_main(void)
{
    paging_reset();
    for (unsigned i = 0; i < 2; i++) {
        spaces[i] = space_create(MODE_SV39, (uint16_t)(i + 1));
    }
    for (uint64_t i = 0; i < PAGES; i++) {
        write64(MEMORY + i * PAGE_BYTES, i);
        space_map(&spaces[0], WINDOW + i * PAGE_BYTES, MEMORY + i * PAGE_BYTES, 0, PTE_ALL);
    }
    for (uint64_t i = 0; i < 64; i++) {
        space_map(&spaces[1], WINDOW + i * PAGE_BYTES, MEMORY + (i + 64) * PAGE_BYTES, 0, PTE_ALL);
    }
    csr_set(mstatus, MSTATUS_SUM);
    row("page-random", random_pages, PAGE_ROUNDS);
    row("sfence-all", fence_all, FENCE_ROUNDS);
    row("sfence-page", fence_page, FENCE_ROUNDS);
    row("asid-switch", switch_asid, FENCE_ROUNDS);
    print("DONE\n");
    power_off(0);
}
