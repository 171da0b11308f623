/* SPDX-License-Identifier: MIT */
/*
 * Executes whatever random memory holds, on every hart at once, in memory that all of them write: code,
 * data and page tables are the same pages. Nothing is compared, since nothing is determined; the emulator
 * must go on, and the program must come to its end. The idea to hold: what a hart may reach in S and U mode
 * is confined by PMP to the pages of the game, the end of RAM, and harmless devices; a timer interrupt
 * to M mode, where the random code never is, ends each turn.
 *
 * Arguments, in -append: seed=N, count=N turns a hart, wild=1: in M mode too, after which there may be no end.
 */
#include "paging.h"

typedef struct Pattern {
    const char *name;
    uint32_t mask, value;
    uint8_t length;
    uint8_t kind, dest;
    uint8_t mem_bytes;
    uint8_t stores;
} Pattern;

enum {
    KIND_PLAIN,
    KIND_FLOAT,
    KIND_MEMORY,
    KIND_ATOMIC,
    KIND_BRANCH,
    KIND_JUMP,
    KIND_CSR,
    KIND_FENCE,
    DEST_NONE = 0,
    DEST_AT_7,
    DEST_AT_7_PRIME,
    DEST_AT_2_PRIME,
    DEST_SP,
};

#include "random-patterns.h"

#define AREA_PAGES 64
#define AREA_BYTES (AREA_PAGES * PAGE_BYTES)
#define TABLES 4 /* the first pages of the area: a root, one of the middle, two of leaves */
#define RAM_END (RAM_BASE + (128ul << 20))
#define END_BYTES 0x10000ul
#define TURN_TRAPS 60

static uint8_t area[AREA_BYTES] __attribute__((aligned(AREA_BYTES)));
static uint64_t seed, turns, wild;

typedef struct Player {
    uint64_t rng;
    unsigned traps;
    bool virtual; /* satp is not 0 */
} Player;

static Player players[MAX_HARTS];

static unsigned below(Player *p, unsigned limit)
{
    return (unsigned)(random64(&p->rng) >> 33) % limit;
}

/* ---- Memory. */

static uint64_t random_pte(Player *p, unsigned level)
{
    static const uint64_t flags[] = {
        PTE_ALL,          PTE_ALL | PTE_U,       PTE_ALL & ~PTE_D,
        PTE_ALL & ~PTE_A, PTE_V | PTE_R | PTE_A, PTE_V | PTE_X | PTE_A | PTE_U,
        PTE_ALL | PTE_G
    };
    uint64_t flag = flags[below(p, ARRAY_LENGTH(flags))];
    uint64_t table = (uint64_t)area + (3 - level) * PAGE_BYTES;

    switch (below(p, 16)) {
    case 0:
        return random64(&p->rng);
    case 1:
        return pte_of(RAM_END - PAGE_BYTES * (1 + below(p, 3)), flag);
    case 2:
        return pte_of((below(p, 2) ? UART_BASE : RAM_END), flag);
    default:
        break;
    }
    if (level > 0 && below(p, 8) != 0) {
        return pte_of(table + (level == 1 ? below(p, 2) * PAGE_BYTES : 0), PTE_V);
    }
    if (level > 0) {
        return pte_of((uint64_t)area & -level_bytes(level), flag);
    }
    return pte_of((uint64_t)area + below(p, AREA_PAGES) * PAGE_BYTES, flag);
}

static uint32_t random_insn(Player *p, unsigned *length)
{
    const Pattern *pattern = &patterns[below(p, ARRAY_LENGTH(patterns))];
    uint32_t bits = ((uint32_t)random64(&p->rng) & ~pattern->mask) | pattern->value;
    static const uint32_t system[] = {
        0x12000073, 0x0000100f, 0x10200073, 0x00000073, 0x10500073, 0x0100000f, 0x18079073,
        0x10079073, 0x10579073, 0x00100073, 0x30200073, 0x14179073, 0x0330000f,
    };

    *length = pattern->length;
    if (below(p, 24) == 0) {
        *length = 4;
        return system[below(p, ARRAY_LENGTH(system))];
    }
    if (pattern->kind == KIND_BRANCH && pattern->length == 4) {
        bits &= 0xc1ffffff; /* near */
    }
    return bits;
}

static void fill_code(Player *p, uint16_t *to, const uint16_t *end)
{
    while (to < end) {
        unsigned length;
        uint32_t bits = random_insn(p, &length);

        *to++ = (uint16_t)bits;
        if (length == 4 && to < end) {
            *to++ = (uint16_t)(bits >> 16);
        }
    }
}

static uint64_t random_address(Player *p)
{
    static const uint64_t devices[] = { UART_BASE, PLIC_BASE, NOTHING_BASE, 0x1000, 0x101000 };
    uint64_t page = (uint64_t)area + below(p, AREA_PAGES) * PAGE_BYTES;

    switch (below(p, 8)) {
    case 0:
        return RAM_END - below(p, 64);
    case 1:
        return page + PAGE_BYTES - below(p, 16);
    case 2:
        return below(p, 2) ? devices[below(p, ARRAY_LENGTH(devices))] : random64(&p->rng);
    case 3:
        return (uint64_t)((int64_t)random64(&p->rng) >> (25 + below(p, 39)));
    default:
        return page + below(p, PAGE_BYTES);
    }
}

static void scramble(Player *p)
{
    unsigned page = TABLES + below(p, AREA_PAGES - TABLES);
    uint16_t *at = (uint16_t *)(area + page * PAGE_BYTES);

    switch (below(p, 6)) {
    case 0:
        for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
            ((volatile uint64_t *)at)[i] = random64(&p->rng);
        }
        break;
    case 1: {
        unsigned table = below(p, TABLES);

        for (unsigned i = 0; i < 512; i++) {
            ((volatile uint64_t *)area)[table * 512 + i] =
                random_pte(p, table == 0 ? 2 : (table == 1 ? 1 : 0));
        }
        break;
    }
    case 2:
        at = (uint16_t *)(RAM_END - 2 * PAGE_BYTES);
        fill_code(p, at, (const uint16_t *)RAM_END);
        break;
    default:
        fill_code(p, at, at + PAGE_BYTES / 2);
        break;
    }
    if (below(p, 2)) {
        __asm__ volatile("fence.i" ::: "memory");
    }
}

/* ---- A turn. */

static bool on_trap(Hart *hart, TrapFrame *frame)
{
    Player *p = &players[hart->id];

    if ((frame->cause & INTERRUPT) || ++p->traps > TURN_TRAPS) {
        return false;
    }
    if (below(p, 4) == 0) {
        sfence_all();
    }
    if (below(p, 8) == 0) {
        csr_write(satp, below(p, 4) == 0 ? 0
                                         : (uint64_t)MODE_SV39 << 60 |
                                               (uint64_t)below(p, 20) << 44 | (uint64_t)area >> 12);
    }
    for (unsigned i = p->traps == 1 ? 31 : below(p, 4); i > 0; i--) {
        frame->x[p->traps == 1 ? i : 1 + below(p, 31)] = random_address(p);
    }
    frame->epc = below(p, 3) ? frame->epc + 2 + 2 * below(p, 2) : random_address(p) & ~1ul;
    return true;
}

/* Entries 0 to 5: the finisher and the timer are out of reach, the game is within. */
static void confine(Player *p)
{
    csr_write(pmpaddr0, (TEST_BASE | 0x7ff) >> 2);
    csr_write(pmpaddr1, (CLINT_BASE | 0x7fff) >> 2);
    csr_write(pmpaddr2, ((uint64_t)area | (AREA_BYTES / 2 - 1)) >> 2);
    csr_write(pmpaddr3, ((RAM_END - END_BYTES) | (END_BYTES / 2 - 1)) >> 2);
    csr_write(pmpaddr4, (RAM_BASE | ((128ul << 20) / 2 - 1)) >> 2);
    csr_write(pmpaddr5, -1ul >> 10);
    /* Now and then a few words of a page are apart, so that it is seen piece by piece. */
    csr_write(pmpaddr6, 0);
    csr_write(pmpcfg0, 0x00001f181f1f1818ul);
    if (below(p, 8) == 0) {
        uint64_t at = (uint64_t)area + below(p, AREA_PAGES) * PAGE_BYTES + below(p, 256) * 16;

        csr_write(pmpaddr1, at >> 2 | 1);
        csr_write(pmpcfg0, 0x00001f181f1f1918ul);
    }
}

static void turn(Player *p, Hart *hart)
{
    unsigned priv = below(p, 2);
    TrapRecord r;

    for (unsigned i = 0; i < 4; i++) {
        scramble(p);
    }
    if (wild && below(p, 4) == 0) {
        priv = PRIV_M;
    }
    p->traps = 0;
    hart->m_hook = on_trap;
    confine(p);
    csr_write(medeleg, below(p, 4) == 0 ? random64(&p->rng) & 0xb3ff : 0);
    csr_write(stvec, random_address(p) & ~3ul);
    csr_write(satp, below(p, 3) == 0 ? 0
                                     : (uint64_t)MODE_SV39 << 60 | (uint64_t)below(p, 20) << 44 |
                                           (uint64_t)area >> 12);
    if (below(p, 2)) {
        csr_set(mstatus, MSTATUS_FS | (below(p, 2) ? MSTATUS_SUM : MSTATUS_MXR));
    } else {
        csr_clear(mstatus, MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR);
    }
    write64(CLINT_MTIMECMP(hart->id), now() + MICROSECONDS(20 + below(p, 400)));
    csr_write(mie, MIP(IRQ_MTI));
    r = run_in(priv, (const void *)(random_address(p) & ~1ul), 0, 0, RUN_MIE);
    (void)r;
    csr_write(mie, 0);
    write64(CLINT_MTIMECMP(hart->id), -1ul);
    csr_write(satp, 0);
    csr_write(medeleg, 0);
    csr_clear(mstatus, MSTATUS_MPRV);
    hart->m_hook = NULL;
}

static void play(void *argument)
{
    Hart *hart = this_hart();
    Player *p = &players[hart->id];

    p->rng = mix64(seed * 0x9e3779b97f4a7c15 | 1, hart->id) | 1;
    for (uint64_t i = 0; i < turns; i++) {
        turn(p, hart);
    }
}

/* ---- Arguments. */

static uint64_t argument(const char *name, uint64_t otherwise)
{
    const uint8_t *fdt = guest_fdt;
    size_t length = 0;
    uint32_t total =
        (uint32_t)fdt[4] << 24 | (uint32_t)fdt[5] << 16 | (uint32_t)fdt[6] << 8 | fdt[7];

    while (name[length]) {
        length++;
    }
    for (uint32_t i = 0; i + length < total; i++) {
        if (memcmp(fdt + i, name, length) == 0 && fdt[i + length] == '=') {
            uint64_t value = 0;

            for (i += (uint32_t)length + 1; fdt[i] >= '0' && fdt[i] <= '9'; i++) {
                value = value * 10 + (fdt[i] - '0');
            }
            return value;
        }
    }
    return otherwise;
}

void guest_main(void)
{
    seed = argument("seed", 1);
    turns = argument("count", 200);
    wild = argument("wild", 0);
    hart_run_all(play, NULL);
    power_off(0);
}
