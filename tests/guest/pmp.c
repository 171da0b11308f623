/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection (privileged spec 3.7): all four ways of matching, order of entries, parts
 * of an access, locked entries in M mode, and the checks on page tables, instruction fetch and MPRV.
 * Locked entries last until reset, so they come last.
 */
#include "paging.h"

#define R 1
#define W 2
#define X 4
#define TOR 0x08
#define NA4 0x10
#define NAPOT 0x18
#define L 0x80

#define RET_INSN 0x8082
#define ALL_MEMORY_ENTRY 15 /* gives S and U what no other entry decides */

CODE(code_lb, "lbu a0, 0(a0)");
CODE(code_lw, "lwu a0, 0(a0)");
CODE(code_ld, "ld a0, 0(a0)");
CODE(code_sb, "sb a1, 0(a0)");
CODE(code_sw, "sw a1, 0(a0)");
CODE(code_sd, "sd a1, 0(a0)");
CODE(code_amo, "amoadd.w a0, a1, (a0)");
CODE(code_lr, "lr.w a0, (a0)");
CODE(code_jump, "jr a0");
CODE(code_load_mprv_u, "li t0, 0x1800\n"
                       "csrc mstatus, t0\n"
                       "li t0, 1 << 17\n"
                       "csrs mstatus, t0\n"
                       "ld a0, 0(a0)\n"
                       "csrc mstatus, t0");

static uint64_t zone[2048] __attribute__((aligned(16384)));

#define ZONE ((uint64_t)zone)

static uint64_t zone_value(uint64_t i)
{
    return RET_INSN | i << 32;
}

static void fill_zone(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(zone); i++) {
        zone[i] = zone_value(i);
    }
    __asm__ volatile("fence.i" ::: "memory");
}

/* CSR numbers are part of the instruction, so each entry has code of its own. */
#define ENTRIES(X)                                                                                 \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define WRITE_ENTRY(n)                                                                             \
    case n:                                                                                        \
        csr_write(pmpaddr##n, value);                                                              \
        break;
#define READ_ENTRY(n)                                                                              \
    case n:                                                                                        \
        return csr_read(pmpaddr##n);

static void write_addr(unsigned entry, uint64_t value)
{
    switch (entry) {
        ENTRIES(WRITE_ENTRY)
    }
}

static uint64_t read_addr(unsigned entry)
{
    switch (entry) {
        ENTRIES(READ_ENTRY)
    }
    return 0;
}

static void write_cfg(unsigned entry, uint64_t cfg)
{
    unsigned shift = 8 * (entry & 7);

    if (entry < 8) {
        csr_write(pmpcfg0, (csr_read(pmpcfg0) & ~(0xfful << shift)) | cfg << shift);
    } else {
        csr_write(pmpcfg2, (csr_read(pmpcfg2) & ~(0xfful << shift)) | cfg << shift);
    }
}

static uint64_t read_cfg(unsigned entry)
{
    return (entry < 8 ? csr_read(pmpcfg0) : csr_read(pmpcfg2)) >> 8 * (entry & 7) & 0xff;
}

static void set(unsigned entry, uint64_t addr, uint64_t cfg)
{
    write_addr(entry, addr);
    write_cfg(entry, cfg);
    sfence_all();
}

static uint64_t napot(uint64_t base, uint64_t bytes)
{
    return (base | (bytes / 2 - 1)) >> 2;
}

static void clear_all(void)
{
    for (unsigned i = 0; i < ALL_MEMORY_ENTRY; i++) {
        set(i, 0, 0);
    }
    set(ALL_MEMORY_ENTRY, UINT64_MAX, R | W | X | NAPOT);
}

/* Checks one access by all three kinds; allowed is a set of R, W, X. */
static void expect(unsigned priv, uint64_t addr, unsigned allowed, int line)
{
    uint64_t value = zone_value((addr - ZONE) / 8); /* M mode may not be allowed to look */
    TrapRecord r = run_in(priv, code_ld, addr, 0, 0);

    if (allowed & R) {
        check_returned(&r, value, line);
    } else {
        check_trap(&r, 'M', CAUSE_LOAD_ACCESS, (uint64_t)code_ld, addr, line);
    }
    r = run_in(priv, code_sd, addr, value, 0);
    if (allowed & W) {
        check(r.level == 'R', line, "store allowed");
    } else {
        check_trap(&r, 'M', CAUSE_STORE_ACCESS, (uint64_t)code_sd, addr, line);
    }
    r = run_in(priv, code_jump, addr, 0, 0);
    if (allowed & X) {
        check(r.level == 'R', line, "fetch allowed");
    } else {
        check_trap(&r, 'M', CAUSE_FETCH_ACCESS, addr, addr, line);
    }
}

#define EXPECT(priv, addr, allowed) expect((priv), (addr), (allowed), __LINE__)

static void registers(void)
{
    group("registers");
    for (unsigned i = 0; i < ALL_MEMORY_ENTRY; i++) {
        write_addr(i, UINT64_MAX);
        CHECK_EQ(read_addr(i), (1ul << 54) - 1);
        write_addr(i, 0x123456789);
        CHECK_EQ(read_addr(i), 0x123456789);
        write_cfg(i, 0x7f & ~NAPOT); /* bits 5 and 6 are zero */
        CHECK_EQ(read_cfg(i), R | W | X);
        write_cfg(i, 0);
    }
    clear_all();
}

static void matching(void)
{
    group("permissions");
    clear_all();
    for (unsigned rwx = 0; rwx < 8; rwx++) {
        if ((rwx & (R | W)) == W) {
            continue; /* reserved */
        }
        set(0, napot(ZONE, 4096), NAPOT | rwx);
        EXPECT(PRIV_U, ZONE + 64, rwx);
        EXPECT(PRIV_S, ZONE + 64, rwx);
        EXPECT(PRIV_M, ZONE + 64, R | W | X);
    }

    group("NAPOT");
    clear_all();
    for (uint64_t bytes = 8; bytes <= 8192; bytes *= 4) {
        set(3, napot(ZONE + 8192, bytes), NAPOT | R);
        EXPECT(PRIV_U, ZONE + 8192 - 8, R | W | X);
        EXPECT(PRIV_U, ZONE + 8192, R);
        EXPECT(PRIV_U, ZONE + 8192 + bytes - 8, R);
        if (bytes < 8192) {
            EXPECT(PRIV_U, ZONE + 8192 + bytes, R | W | X);
        }
    }

    group("NA4");
    clear_all();
    set(2, (ZONE + 100) >> 2, NA4);
    CHECK(RUN_U(code_lw, ZONE + 96, 0).level == 'R');
    CHECK(RUN_U(code_lw, ZONE + 104, 0).level == 'R');
    CHECK(RUN_U(code_lb, ZONE + 103, 0).level == 'M');
    CHECK(RUN_U(code_lw, ZONE + 100, 0).level == 'M');
    CHECK(RUN_U(code_sw, ZONE + 100, 0).level == 'M');
    CHECK(RUN_U(code_amo, ZONE + 100, 0).cause == CAUSE_STORE_ACCESS);
    CHECK(RUN_U(code_lr, ZONE + 100, 0).cause == CAUSE_LOAD_ACCESS);
    /* Half of a wider access is not enough, even of one that the other entries allow. */
    CHECK(RUN_U(code_ld, ZONE + 96, 0).level == 'M');
    CHECK(RUN_U(code_sd, ZONE + 96, 0).level == 'M');
    set(2, (ZONE + 100) >> 2, NA4 | R | W);
    CHECK(RUN_U(code_lw, ZONE + 100, 0).level == 'R');
    CHECK(RUN_U(code_ld, ZONE + 96, 0).level == 'M');

    group("TOR");
    clear_all();
    set(4, (ZONE + 256) >> 2, 0);
    set(5, (ZONE + 512) >> 2, TOR | X);
    EXPECT(PRIV_S, ZONE + 248, R | W | X);
    EXPECT(PRIV_S, ZONE + 256, X);
    EXPECT(PRIV_S, ZONE + 504, X);
    EXPECT(PRIV_S, ZONE + 512, R | W | X);
    /* An empty range matches nothing. */
    set(5, (ZONE + 256) >> 2, TOR);
    EXPECT(PRIV_S, ZONE + 256, R | W | X);
    set(5, (ZONE + 128) >> 2, TOR);
    EXPECT(PRIV_S, ZONE + 128, R | W | X);
    EXPECT(PRIV_S, ZONE + 256, R | W | X);
    /* The first entry's range begins at 0. */
    clear_all();
    set(0, ZONE >> 2, TOR | R | W | X);
    set(1, (ZONE + 64) >> 2, TOR);
    EXPECT(PRIV_U, ZONE, 0);
    EXPECT(PRIV_U, ZONE + 64, R | W | X);

    group("order of entries");
    clear_all();
    set(1, napot(ZONE, 64), NAPOT | R);
    set(2, napot(ZONE, 4096), NAPOT | R | W | X);
    set(3, napot(ZONE, 16384), NAPOT);
    EXPECT(PRIV_U, ZONE, R);
    EXPECT(PRIV_U, ZONE + 64, R | W | X);
    EXPECT(PRIV_U, ZONE + 4096, 0);
    set(0, napot(ZONE, 8), NAPOT | R | W);
    EXPECT(PRIV_U, ZONE, R | W);
    EXPECT(PRIV_U, ZONE + 8, R);

    group("no entry matches");
    clear_all();
    /* The program's own pages, but not the second half of the zone. */
    set(0, (ZONE + 8192) >> 2, TOR | R | W | X);
    set(ALL_MEMORY_ENTRY, 0, 0);
    write_addr(1, (ZONE + 16384) >> 2);
    set(2, UINT64_MAX >> 10, TOR | R | W | X);
    EXPECT(PRIV_U, ZONE + 8192, 0);
    EXPECT(PRIV_S, ZONE + 8192, 0);
    EXPECT(PRIV_M, ZONE + 8192, R | W | X);
}

static void with_translation(void)
{
    static const uint64_t va = 0x1000000000;
    Space space;
    TrapRecord r;
    uint64_t *table;

    group("page tables");
    clear_all();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    space_map(&space, va, ZONE, 0, PTE_ALL);
    table = space_pte(&space, va & ~(level_bytes(1) - 1), 0); /* its first entry */
    csr_write(satp, space_satp(&space));
    sfence_all();
    r = RUN_S(code_ld, va, 0);
    CHECK_RETURNED(r, zone[0]);
    set(0, napot((uint64_t)table, 4096), NAPOT);
    r = RUN_S(code_ld, va, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, code_ld, va);
    r = RUN_S(code_sd, va, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_sd, va);
    r = RUN_S(code_jump, va, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_ACCESS, va, va);
    /* The walk only reads, as far as A and D are set. */
    set(0, napot((uint64_t)table, 4096), NAPOT | R);
    r = RUN_S(code_ld, va, 0);
    CHECK_RETURNED(r, zone[0]);

    group("pages");
    set(0, napot(ZONE + 64, 64), NAPOT | R);
    r = RUN_S(code_ld, va + 64, 0);
    CHECK_RETURNED(r, zone[8]);
    r = RUN_S(code_sd, va + 64, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_sd, va + 64);
    CHECK(RUN_S(code_sd, va + 128, 0).level == 'R');
    CHECK(RUN_S(code_sd, va + 56, 0).level == 'R');
    r = RUN_S(code_sd, va + 60, 0);
    CHECK(r.level == 'M' && r.cause == CAUSE_STORE_ACCESS);
    /* What a TLB may have kept of the page is not used for the part that is protected. */
    for (unsigned i = 0; i < 8; i++) {
        uint64_t offset = 32 * i;
        bool in = offset >= 64 && offset < 128;

        CHECK_EQ(RUN_S(code_sd, va + offset, 0).level, in ? 'M' : 'R');
    }
    csr_write(satp, 0);
    clear_all();

    group("MPRV");
    set(0, napot(ZONE, 64), NAPOT);
    r = RUN_M(code_ld, ZONE, 0);
    CHECK_RETURNED(r, zone[0]);
    r = RUN_M(code_load_mprv_u, ZONE, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, r.epc, ZONE);
    csr_clear(mstatus, MSTATUS_MPRV);
    r = RUN_M(code_load_mprv_u, ZONE + 64, 0);
    CHECK_RETURNED(r, zone[8]);
}

static void changes(void)
{
    TrapRecord r;
    bool ok = true;

    group("changes take effect");
    clear_all();
    for (unsigned i = 0; i < 200; i++) {
        write_cfg(0, i & 1 ? NAPOT : NAPOT | R | W | X);
        write_addr(0, napot(ZONE, 64));
        r = RUN_U(code_ld, ZONE, 0);
        ok &= (r.level == 'R') == !(i & 1);
        r = RUN_U(code_jump, ZONE + 8, 0);
        ok &= (r.level == 'R') == !(i & 1);
    }
    CHECK(ok);
}

static void locks(void)
{
    group("locked entries");
    fill_zone();
    clear_all();
    set(6, napot(ZONE, 64), L | NAPOT | R);
    EXPECT(PRIV_M, ZONE, R);
    EXPECT(PRIV_S, ZONE, R);
    EXPECT(PRIV_M, ZONE + 64, R | W | X);
    set(6, napot(ZONE, 128), NAPOT | R | W | X);
    CHECK_EQ(read_cfg(6), L | NAPOT | R);
    CHECK_EQ(read_addr(6), napot(ZONE, 64));
    EXPECT(PRIV_M, ZONE, R);
    /* A locked TOR entry holds the address before it as well. */
    write_addr(9, (ZONE + 128) >> 2);
    set(10, (ZONE + 192) >> 2, L | TOR | X);
    write_addr(9, 0);
    CHECK_EQ(read_addr(9), (ZONE + 128) >> 2);
    EXPECT(PRIV_M, ZONE + 128, X);
    EXPECT(PRIV_M, ZONE + 184, X);
    EXPECT(PRIV_M, ZONE + 192, R | W | X);
    /* An earlier entry that is not locked still gives M all. */
    set(0, napot(ZONE, 8), NAPOT);
    EXPECT(PRIV_M, ZONE, R | W | X);
    EXPECT(PRIV_M, ZONE + 8, R);
}

void guest_main(void)
{
    fill_zone();
    registers();
    matching();
    with_translation();
    changes();
    locks();
}
