/* SPDX-License-Identifier: MIT */
/*
 * Address translation against a model that follows the specification's numbered steps (privileged
 * spec 10.3.2, with the paragraphs of Svnapot, Svpbmt and Svadu) on a plain array. The idea to hold:
 * for each case both are given the same tables, and must agree on the fault or the address, and on
 * every byte of memory afterwards.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-hart.h"

#define RAM_PAGES 8
#define RAM_BYTES (RAM_PAGES * 4096)
#define ROM_BASE UINT64_C(0x20000000)

enum {
    V = 1 << 0,
    R = 1 << 1,
    W = 1 << 2,
    X = 1 << 3,
    U = 1 << 4,
    G = 1 << 5,
    A = 1 << 6,
    D = 1 << 7,
};

#define N (UINT64_C(1) << 63)
#define PBMT(n) ((uint64_t)(n) << 61)

static const RvAccess accesses[] = { RV_ACCESS_LOAD, RV_ACCESS_STORE, RV_ACCESS_FETCH };

/* ---- The model. */

typedef enum Outcome {
    FINE,
    PAGE_FAULT,
    ACCESS_FAULT,
} Outcome;

typedef struct Model {
    uint8_t ram[RAM_BYTES];
    const RiscvCpu *cpu;
    bool rom; /* tables lie in ROM: readable, not writable */
} Model;

typedef struct Answer {
    Outcome outcome;
    uint64_t paddr;
    unsigned page_bits;
    bool global;
    bool may[3];
} Answer;

static bool in_table_memory(const Model *model, uint64_t paddr)
{
    uint64_t base = model->rom ? ROM_BASE : HART_RAM_BASE;

    return paddr >= base && paddr - base < RAM_BYTES;
}

static bool permitted(const Model *model, uint64_t pte, RvAccess access, RvPriv priv)
{
    bool mxr = model->cpu->mstatus >> 19 & 1, sum = model->cpu->mstatus >> 18 & 1;

    if (priv == RV_PRIV_U && !(pte & U)) {
        return false;
    }
    if (priv == RV_PRIV_S && (pte & U) && (access == RV_ACCESS_FETCH || !sum)) {
        return false;
    }
    switch (access) {
    case RV_ACCESS_LOAD:
        return (pte & R) || ((pte & X) && mxr);
    case RV_ACCESS_STORE:
        return pte & W;
    default:
        return pte & X;
    }
}

static Answer model_translate(Model *model, uint64_t va, RvAccess access, RvPriv priv)
{
    const RiscvCpu *cpu = model->cpu;
    int levels = cpu->satp >> 60 == 8 ? 3 : cpu->satp >> 60 == 9 ? 4 : 5;
    int top_bit = levels == 3 ? 38 : levels == 4 ? 47 : 56;
    uint64_t a = (cpu->satp & 0xfffffffffff) * 4096;
    Answer answer = { .outcome = PAGE_FAULT };
    uint64_t pte = 0, pa;
    int i;

    for (int bit = 63; bit > top_bit; bit--) {
        if ((va >> bit & 1) != (va >> top_bit & 1)) {
            return answer;
        }
    }
    for (i = levels - 1;; i--) {
        uint64_t at = a + (va >> (12 + 9 * i) & 0x1ff) * 8;

        if (!riscv_pmp_check(cpu, at, 8, RV_ACCESS_LOAD, RV_PRIV_S) ||
            !in_table_memory(model, at)) {
            answer.outcome = ACCESS_FAULT;
            return answer;
        }
        memcpy(&pte, model->ram + at % RAM_BYTES, 8);
        if (!(pte & V) || (!(pte & R) && (pte & W))) {
            return answer;
        }
        if (pte >> 54 & 0x7f) {
            return answer;
        }
        if ((pte >> 61 & 3) == 3 || ((pte >> 61 & 3) && !(cpu->menvcfg >> 62 & 1))) {
            return answer;
        }
        if ((pte >> 63) && !cpu->feature.svnapot) {
            return answer;
        }
        answer.global |= (pte & G) != 0;
        if (pte & (R | X)) {
            a = at;
            break;
        }
        if ((pte & (D | A | U)) || (pte >> 61 & 7)) {
            return answer; /* reserved in a pointer */
        }
        if (i == 0) {
            return answer;
        }
        a = (pte >> 10 & 0xfffffffffff) * 4096;
    }
    pa = (pte >> 10 & 0xfffffffffff) << 12;
    for (int bit = 0; bit < 9 * i; bit++) {
        if (pte >> (10 + bit) & 1) {
            return answer; /* misaligned superpage */
        }
    }
    answer.page_bits = 12 + 9 * (unsigned)i;
    if (pte >> 63) {
        if (i != 0 || (pte >> 10 & 15) != 8) {
            return answer;
        }
        answer.page_bits = 16;
    }
    pa = (pa >> answer.page_bits << answer.page_bits) |
         (va & ((UINT64_C(1) << answer.page_bits) - 1));
    if (!permitted(model, pte, access, priv)) {
        return answer;
    }
    if (!(pte & A) || (access == RV_ACCESS_STORE && !(pte & D))) {
        if (!(cpu->menvcfg >> 61 & 1)) {
            return answer;
        }
        if (model->rom || !riscv_pmp_check(cpu, a, 8, RV_ACCESS_STORE, RV_PRIV_S) ||
            !riscv_pmp_check(cpu, pa, 1, access, priv)) {
            answer.outcome = ACCESS_FAULT;
            return answer;
        }
        pte |= A | (access == RV_ACCESS_STORE ? D : 0);
        memcpy(model->ram + a % RAM_BYTES, &pte, 8);
    }
    if (!riscv_pmp_check(cpu, pa, 1, access, priv)) {
        answer.outcome = ACCESS_FAULT;
        return answer;
    }
    answer.outcome = FINE;
    answer.paddr = pa;
    for (unsigned k = 0; k < 3; k++) {
        answer.may[k] = permitted(model, pte, accesses[k], priv) &&
                        riscv_pmp_check(cpu, pa, 1, accesses[k], priv);
    }
    answer.may[1] = answer.may[1] && (pte & D);
    return answer;
}

/* ---- Comparing. */

typedef struct Bench {
    Hart *hart;
    Model *model;
    uint8_t *ram; /* the hart's */
    unsigned compared, fine, page_faults, access_faults;
} Bench;

static void bench_init(Bench *bench, const char *options)
{
    *bench = (Bench){ .hart = hart_create(options), .model = calloc(1, sizeof(Model)) };
    bench->ram = hart_add_ram(bench->hart, HART_RAM_BASE, RAM_BYTES, false)->host;
    bench->model->cpu = bench->hart->cpu;
    if (bench->hart->cpu->feature.pmp) {
        hart_open_pmp(bench->hart);
    }
}

static void bench_finish(Bench *bench)
{
    hart_destroy(bench->hart);
    free(bench->model);
}

static unsigned cause_of(Outcome outcome, RvAccess access)
{
    static const unsigned page[] = { 13, 15, 12 }, fault[] = { 5, 7, 1 };

    return outcome == FINE ? 0 : outcome == PAGE_FAULT ? page[access] : fault[access];
}

static void compare(Bench *bench, uint64_t va, RvAccess access, RvPriv priv)
{
    RvTranslation got = { 0 };
    unsigned cause = riscv_translate(bench->hart->cpu, va, 1, access, priv, &got);
    Answer want = model_translate(bench->model, va, access, priv);

    if (cause != cause_of(want.outcome, access) ||
        (cause == 0 && (got.paddr != want.paddr || got.page_bits != want.page_bits ||
                        got.global != want.global))) {
        fail_msg("va 0x%" G_GINT64_MODIFIER
                 "x access %u priv %u: cause %u, not %u; 0x%" G_GINT64_MODIFIER
                 "x, not 0x%" G_GINT64_MODIFIER "x",
                 va, access, priv, cause, cause_of(want.outcome, access), got.paddr, want.paddr);
    }
    if (cause == 0 && got.cacheable) {
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(got.prot >> k & 1, want.may[k]);
        }
    }
    /* All of memory now and then, since a difference stays; what tests overwrite, each time. */
    for (unsigned page = 0; page < RAM_PAGES; page++) {
        assert_true(memcmp(bench->ram + page * 4096, bench->model->ram + page * 4096, 32) == 0);
    }
    if (bench->compared++ % 32 == 0) {
        assert_true(memcmp(bench->ram, bench->model->ram, RAM_BYTES) == 0);
    }
    bench->fine += want.outcome == FINE;
    bench->page_faults += want.outcome == PAGE_FAULT;
    bench->access_faults += want.outcome == ACCESS_FAULT;
}

static void put_pte(Bench *bench, unsigned page, unsigned index, uint64_t pte)
{
    memcpy(bench->ram + page * 4096 + index * 8, &pte, 8);
    memcpy(bench->model->ram + page * 4096 + index * 8, &pte, 8);
}

static uint64_t ppn_of_page(unsigned page)
{
    return (HART_RAM_BASE / 4096 + page) << 10;
}

static void set_satp(Bench *bench, unsigned mode)
{
    hart_csrw(bench->hart, 0x180, (uint64_t)mode << 60 | HART_RAM_BASE / 4096);
}

/* Pointers from the root in page 0 down to page `depth`, index 0 all the way. */
static void put_path(Bench *bench, unsigned depth)
{
    for (unsigned page = 0; page < depth; page++) {
        put_pte(bench, page, 0, ppn_of_page(page + 1) | V);
    }
}

/* ---- Every low byte of a leaf, at every level, in every mode, for everybody. */

static void test_leaf_bits(void **state)
{
    Bench bench;

    bench_init(&bench, NULL);
    for (unsigned mode = 8; mode <= 10; mode++) {
        unsigned levels = mode - 5;

        set_satp(&bench, mode);
        for (unsigned depth = 0; depth < levels; depth++) {
            put_path(&bench, depth);
            for (unsigned flags = 0; flags < 256; flags++) {
                for (unsigned rest = 0; rest < 48; rest++) {
                    bench.hart->cpu->mstatus =
                        (rest & 1 ? RV_MSTATUS_SUM : 0) | (rest & 2 ? RV_MSTATUS_MXR : 0);
                    bench.hart->cpu->menvcfg = rest & 4 ? RV_ENVCFG_ADUE : 0;
                    put_pte(&bench, depth, 0, UINT64_C(0x200000000000) >> 2 | flags);
                    compare(&bench, 0x123, accesses[(rest >> 4) % 3],
                            rest & 8 ? RV_PRIV_S : RV_PRIV_U);
                }
            }
        }
    }
    assert_true(bench.fine > 10000 && bench.page_faults > 10000);
    bench_finish(&bench);
}

/* Every value of the top ten bits and of the PPN's low bits, at every level. */
static void test_reserved_bits(void **state)
{
    static const char *const options[] = { NULL, "svnapot=off", "svpbmt=off" };

    for (unsigned o = 0; o < G_N_ELEMENTS(options); o++) {
        Bench bench;

        bench_init(&bench, options[o]);
        for (unsigned depth = 0; depth < 3; depth++) {
            for (unsigned pbmte = 0; pbmte < 2; pbmte++) {
                set_satp(&bench, 8);
                put_path(&bench, depth);
                hart_csrw(bench.hart, 0x30a, pbmte ? RV_ENVCFG_PBMTE : 0);
                for (uint64_t top = 0; top < 1024; top++) {
                    put_pte(&bench, depth, 0, top << 54 | (UINT64_C(0x40008) << 10) | 0xcf);
                    compare(&bench, 0xfff, RV_ACCESS_LOAD, RV_PRIV_S);
                    put_pte(&bench, depth, 0, top << 54 | ppn_of_page(depth + 1) | V);
                    compare(&bench, 0xfff, RV_ACCESS_LOAD, RV_PRIV_S);
                }
                for (uint64_t low = 0; low < 32; low++) {
                    for (unsigned n = 0; n < 2; n++) {
                        put_pte(&bench, depth, 3, (n ? N : 0) | (low << 10) | 0xcf);
                        compare(&bench, (uint64_t)3 << (30 - 9 * depth), RV_ACCESS_STORE,
                                RV_PRIV_S);
                        put_pte(&bench, depth, 3, (n ? N : 0) | (low << 19) | 0xcf);
                        compare(&bench, (uint64_t)3 << (30 - 9 * depth), RV_ACCESS_FETCH,
                                RV_PRIV_S);
                    }
                }
            }
        }
        assert_true(bench.fine > 0 && bench.page_faults > 0);
        bench_finish(&bench);
    }
}

/* A 64 KiB page: the low four bits of the page number come from the address. */
static void test_napot(void **state)
{
    Bench bench;
    RvTranslation out;

    bench_init(&bench, NULL);
    set_satp(&bench, 8);
    put_path(&bench, 2);
    for (unsigned i = 0; i < 16; i++) {
        put_pte(&bench, 2, 16 + i, N | (UINT64_C(0x12348) << 10) | 0xcf);
    }
    for (uint64_t va = 0x10000; va < 0x20000; va += 0x777) {
        compare(&bench, va, RV_ACCESS_STORE, RV_PRIV_S);
        assert_int_equal(riscv_translate(bench.hart->cpu, va, 1, RV_ACCESS_LOAD, RV_PRIV_S, &out),
                         0);
        assert_int_equal(out.paddr, 0x12340000 | (va & 0xffff));
        assert_int_equal(out.page_bits, 16);
    }
    bench_finish(&bench);
}

static void test_canonical(void **state)
{
    Bench bench;
    uint64_t seed = 0xca;

    bench_init(&bench, NULL);
    /* One gigapage in the first and the last slot of each root: only the sign bits can be wrong. */
    for (unsigned mode = 8; mode <= 10; mode++) {
        unsigned top = mode == 8 ? 38 : mode == 9 ? 47 : 56;

        set_satp(&bench, mode);
        for (unsigned index = 0; index < 512; index++) {
            put_pte(&bench, 0, index, 0xcf);
        }
        for (unsigned bit = 0; bit < 64; bit++) {
            compare(&bench, UINT64_C(1) << bit, RV_ACCESS_LOAD, RV_PRIV_S);
            compare(&bench, ~(UINT64_C(1) << bit), RV_ACCESS_LOAD, RV_PRIV_S);
            compare(&bench, (UINT64_C(1) << bit) - 1, RV_ACCESS_LOAD, RV_PRIV_S);
            compare(&bench, -(UINT64_C(1) << bit), RV_ACCESS_LOAD, RV_PRIV_S);
        }
        for (unsigned i = 0; i < 500; i++) {
            uint64_t va = hart_random(&seed);

            compare(&bench, va, RV_ACCESS_LOAD, RV_PRIV_S);
            compare(&bench, (uint64_t)((int64_t)(va << (63 - top)) >> (63 - top)), RV_ACCESS_LOAD,
                    RV_PRIV_S);
        }
    }
    assert_true(bench.fine > 1000 && bench.page_faults > 1000);
    bench_finish(&bench);
}

/* ---- Random tables, dense enough that walks get far. */

static uint64_t random_pte(uint64_t *seed)
{
    static const uint8_t kinds[] = { 0x01, 0x01, 0x01, 0x0f, 0xcf, 0xdf, 0x1f, 0x4b, 0xc7, 0x2f };
    uint64_t random = hart_random(seed);
    uint64_t pte = kinds[random % G_N_ELEMENTS(kinds)];
    uint64_t ppn = HART_RAM_BASE / 4096 + (random >> 8 & (RAM_PAGES - 1));

    switch (random >> 16 & 15) {
    case 0:
        pte ^= 1u << (random >> 24 & 7); /* one wrong flag */
        break;
    case 1:
        pte |= UINT64_C(1) << (54 + (random >> 24) % 10); /* one high bit */
        break;
    case 2:
        ppn = random >> 20; /* anywhere */
        break;
    case 3:
        ppn = (random >> 24 & 0xffff) << 18; /* a superpage */
        break;
    case 4:
        pte |= N;
        ppn = (ppn & ~UINT64_C(15)) | 8;
        break;
    default:
        break;
    }
    return pte | (ppn & 0xfffffffffff) << 10;
}

static void fill_tables(Bench *bench, uint64_t *seed)
{
    for (unsigned page = 0; page < RAM_PAGES; page++) {
        for (unsigned index = 0; index < 512; index++) {
            put_pte(bench, page, index, random_pte(seed));
        }
    }
}

static void random_walks(Bench *bench, uint64_t *seed, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned mode = 8 + hart_random(seed) % 3;
        unsigned va_bits = 12 + 9 * (mode - 5);
        uint64_t va = hart_random(seed);
        uint64_t random = hart_random(seed);

        if (random & 63) {
            va = (uint64_t)((int64_t)(va << (64 - va_bits)) >> (64 - va_bits));
        }
        bench->hart->cpu->satp =
            (uint64_t)mode << 60 | (HART_RAM_BASE / 4096 + (random >> 8) % RAM_PAGES);
        bench->hart->cpu->mstatus =
            (random & 64 ? RV_MSTATUS_SUM : 0) | (random & 128 ? RV_MSTATUS_MXR : 0);
        bench->hart->cpu->menvcfg = random & (RV_ENVCFG_ADUE | RV_ENVCFG_PBMTE);
        compare(bench, va, accesses[(random >> 16) % 3], random >> 24 & 1 ? RV_PRIV_S : RV_PRIV_U);
    }
}

static void test_random_tables(void **state)
{
    Bench bench;
    uint64_t seed = 0x7ab1e;

    bench_init(&bench, NULL);
    for (unsigned round = 0; round < 100; round++) {
        fill_tables(&bench, &seed);
        random_walks(&bench, &seed, 1000);
    }
    assert_true(bench.fine > 1000 && bench.page_faults > 1000 && bench.access_faults > 1000);
    bench_finish(&bench);
}

/* The same with PMP over the tables and over what they map. */
static void test_random_pmp(void **state)
{
    Bench bench;
    uint64_t seed = 0x9397;

    bench_init(&bench, NULL);
    for (unsigned round = 0; round < 60; round++) {
        fill_tables(&bench, &seed);
        for (unsigned entry = 0; entry < 4; entry++) {
            bench.hart->cpu->pmpcfg[entry] = (uint8_t)(hart_random(&seed) & 0x1f);
            bench.hart->cpu->pmpaddr[entry] =
                (HART_RAM_BASE >> 2) + hart_random(&seed) % (RAM_BYTES / 4);
        }
        bench.hart->cpu->pmpcfg[4] = 0x1f;
        bench.hart->cpu->pmpaddr[4] = UINT64_MAX >> 10;
        riscv_state_changed(bench.hart->cpu);
        random_walks(&bench, &seed, 500);
    }
    assert_true(bench.fine > 500 && bench.page_faults > 500 && bench.access_faults > 500);
    bench_finish(&bench);
}

/* ---- Where tables lie. */

static void test_tables_elsewhere(void **state)
{
    Bench bench;
    RamBlock *rom;
    RvTranslation out;
    uint64_t leaf = ((uint64_t)0x40000 << 10) | V | R | W | X;

    bench_init(&bench, NULL);
    rom = hart_add_ram(bench.hart, ROM_BASE, RAM_BYTES, true);

    /* Nowhere: an access fault of the kind that was asked for. */
    bench.hart->cpu->satp = UINT64_C(8) << 60 | 0x12345;
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(riscv_translate(bench.hart->cpu, 0x1000, 1, accesses[k], RV_PRIV_S, &out),
                         cause_of(ACCESS_FAULT, accesses[k]));
    }

    /* ROM: a table that needs no update serves, one that needs it is an access fault. */
    memcpy(rom->host, &leaf, 8);
    memcpy(bench.model->ram, &leaf, 8);
    bench.model->rom = true;
    bench.hart->cpu->satp = UINT64_C(8) << 60 | ROM_BASE >> 12;
    bench.ram = rom->host;
    compare(&bench, 0x1000, RV_ACCESS_LOAD, RV_PRIV_S);
    assert_int_equal(bench.access_faults, 1);
    leaf |= A;
    memcpy(rom->host, &leaf, 8);
    memcpy(bench.model->ram, &leaf, 8);
    compare(&bench, 0x1000, RV_ACCESS_LOAD, RV_PRIV_S);
    compare(&bench, 0x1000, RV_ACCESS_STORE, RV_PRIV_S);
    assert_int_equal(bench.fine, 1);
    assert_int_equal(bench.access_faults, 2);
    bench_finish(&bench);
}

/* Tables in two blocks of RAM, and one on the last page of a block. */
static void test_two_blocks(void **state)
{
    Hart *hart = hart_create(NULL);
    RamBlock *low = hart_add_ram(hart, 0x80000000, 0x1000, false);
    RamBlock *high = hart_add_ram(hart, 0x80001000, 0x1000, false);
    RamBlock *far = hart_add_ram(hart, 0x90000000, 0x1000, false);
    uint64_t pte[] = { UINT64_C(0x80001) << 10 | V, UINT64_C(0x90000) << 10 | V,
                       UINT64_C(0x77777) << 10 | V | R | W };
    RvTranslation out;

    hart_open_pmp(hart);
    hart->cpu->satp = UINT64_C(8) << 60 | 0x80000;
    memcpy(low->host + 511 * 8, &pte[0], 8);
    memcpy(high->host + 511 * 8, &pte[1], 8);
    memcpy(far->host + 511 * 8, &pte[2], 8);
    assert_int_equal(
        riscv_translate(hart->cpu, UINT64_MAX - 8, 8, RV_ACCESS_STORE, RV_PRIV_S, &out), 0);
    assert_int_equal(out.paddr, 0x77777ff7);
    memcpy(&pte[2], far->host + 511 * 8, 8);
    assert_int_equal(pte[2] & 0xff, V | R | W | A | D);
    hart_destroy(hart);
}

/* A and D reach whoever watches the page: decoded code and the dirty log. */
static void test_update_is_noted(void **state)
{
    Hart *hart = hart_create(NULL);
    RamBlock *ram = hart_add_ram(hart, HART_RAM_BASE, RAM_BYTES, false);
    uint64_t pte = UINT64_C(0x40000) << 10 | V | R | W;
    uint32_t version;
    RvTranslation out;

    hart_open_pmp(hart);
    hart->cpu->satp = UINT64_C(8) << 60 | HART_RAM_BASE >> 12;
    memcpy(ram->host, &pte, 8);
    version = ram_watch_code(ram, 0);
    assert_int_equal(riscv_translate(hart->cpu, 0, 1, RV_ACCESS_LOAD, RV_PRIV_S, &out), 0);
    assert_int_equal(out.prot, 1 << RV_ACCESS_LOAD); /* clean: a store must come by again */
    assert_int_not_equal(ram_page_version(ram, 0), version);
    version = ram_watch_code(ram, 0);
    assert_int_equal(riscv_translate(hart->cpu, 0, 1, RV_ACCESS_LOAD, RV_PRIV_S, &out), 0);
    assert_int_equal(ram_page_version(ram, 0), version); /* nothing to set, nothing noted */
    assert_int_equal(riscv_translate(hart->cpu, 0, 1, RV_ACCESS_STORE, RV_PRIV_S, &out), 0);
    assert_int_equal(out.prot, 1 << RV_ACCESS_LOAD | 1 << RV_ACCESS_STORE);
    assert_int_not_equal(ram_page_version(ram, 0), version);
    hart_destroy(hart);
}

/* ---- Untranslated addresses, effective privilege, debuggers. */

static void test_no_such_mode(void **state)
{
    Hart *hart = hart_create(NULL);
    RvTranslation out;

    for (uint64_t mode = 1; mode < 16; mode++) {
        if (mode < 8 || mode > 10) {
            hart->cpu->satp = mode << 60;
            assert_int_equal(riscv_translate(hart->cpu, 0, 1, RV_ACCESS_LOAD, RV_PRIV_S, &out),
                             RV_CAUSE_LOAD_PAGE);
        }
    }
    hart_destroy(hart);
}

static void test_bare(void **state)
{
    Hart *hart = hart_create(NULL);
    RvTranslation out;

    /* M while nothing is configured: everything; S: nothing. */
    assert_int_equal(riscv_translate(hart->cpu, 0x12345678, 4, RV_ACCESS_FETCH, RV_PRIV_M, &out),
                     0);
    assert_int_equal(out.paddr, 0x12345678);
    assert_int_equal(out.page_bits, 64);
    assert_int_equal(out.prot, 7);
    assert_true(out.cacheable);
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(riscv_translate(hart->cpu, 0, 4, accesses[k], RV_PRIV_S, &out),
                         cause_of(ACCESS_FAULT, accesses[k]));
    }

    /* A read-only megabyte, then everything else for loads and fetches. */
    hart_csrw(hart, 0x3b0, (0x100000 >> 2) | 0x1ffff);
    hart_csrw(hart, 0x3b1, UINT64_MAX);
    hart_csrw(hart, 0x3a0, 0x1d19);
    assert_int_equal(riscv_translate(hart->cpu, 0x100008, 8, RV_ACCESS_LOAD, RV_PRIV_S, &out), 0);
    assert_int_equal(out.prot, 1 << RV_ACCESS_LOAD);
    assert_int_equal(riscv_translate(hart->cpu, 0x200008, 8, RV_ACCESS_FETCH, RV_PRIV_S, &out), 0);
    assert_int_equal(out.prot, 1 << RV_ACCESS_LOAD | 1 << RV_ACCESS_FETCH);
    assert_int_equal(riscv_translate(hart->cpu, 0x200008, 8, RV_ACCESS_STORE, RV_PRIV_S, &out),
                     RV_CAUSE_STORE_ACCESS);
    assert_int_equal(riscv_translate(hart->cpu, 0x200008, 8, RV_ACCESS_STORE, RV_PRIV_M, &out), 0);
    assert_int_equal(out.prot, 7);

    /* A page that PMP splits may not be kept. */
    hart_csrw(hart, 0x3a0, 0x1d11);
    assert_int_equal(riscv_translate(hart->cpu, 0x17fff0, 4, RV_ACCESS_FETCH, RV_PRIV_S, &out), 0);
    assert_false(out.cacheable);
    hart_destroy(hart);

    hart = hart_create("pmp=off");
    assert_int_equal(riscv_translate(hart->cpu, UINT64_MAX, 1, RV_ACCESS_STORE, RV_PRIV_U, &out),
                     0);
    assert_int_equal(out.paddr, UINT64_MAX);
    hart_destroy(hart);
}

static void test_data_priv(void **state)
{
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned mpp = 0; mpp < 4; mpp++) {
        cpu->priv = RV_PRIV_M;
        cpu->mstatus = (uint64_t)mpp << 11;
        assert_int_equal(riscv_data_priv(cpu), RV_PRIV_M);
        cpu->mstatus |= RV_MSTATUS_MPRV;
        assert_int_equal(riscv_data_priv(cpu), mpp);
    }
    hart_destroy(hart);
}

static void test_debugger(void **state)
{
    Bench bench;
    uint64_t paddr;
    bool (*walk)(Vcpu *, uint64_t, uint64_t *) = riscv64_target_ops.debug_translate;

    bench_init(&bench, NULL);
    set_satp(&bench, 8);
    put_path(&bench, 2);
    put_pte(&bench, 2, 1, UINT64_C(0x54321) << 10 | V | X); /* not even readable, not accessed */
    bench.hart->cpu->pmpcfg[0] = 0;
    riscv_state_changed(bench.hart->cpu);
    bench.hart->cpu->priv = RV_PRIV_S;
    assert_true(walk(&bench.hart->cpu->vcpu, 0x1abc, &paddr));
    assert_int_equal(paddr, 0x54321abc);
    assert_false(walk(&bench.hart->cpu->vcpu, 0x2abc, &paddr));
    assert_false(walk(&bench.hart->cpu->vcpu, UINT64_C(1) << 60, &paddr));
    assert_memory_equal(bench.ram, bench.model->ram, RAM_BYTES); /* A stays clear */
    bench.hart->cpu->priv = RV_PRIV_M;
    assert_true(walk(&bench.hart->cpu->vcpu, 0x2abc, &paddr));
    assert_int_equal(paddr, 0x2abc);
    bench_finish(&bench);
}

/* ---- Two writers of one entry: what the other changed is never undone. */

#define RSW_SHIFT 8
#define FLIPS 200000

static void *flip_rsw(void *opaque)
{
    uint64_t *pte = opaque;

    for (unsigned i = 1; i <= FLIPS; i++) {
        uint64_t old = orr_load_relaxed(pte), wanted;

        do {
            /* The software bits count; A and D are taken away, so that the hart sets them anew. */
            wanted = (old & ~(UINT64_C(3) << RSW_SHIFT | A | D)) | (uint64_t)(i & 3) << RSW_SHIFT;
        } while (!__atomic_compare_exchange_n(pte, &old, wanted, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_SEQ_CST));
        if ((old >> RSW_SHIFT & 3) != ((i - 1) & 3)) {
            return pte; /* somebody overwrote the count */
        }
    }
    return NULL;
}

static void test_update_race(void **state)
{
    Bench bench;
    uint64_t *pte;
    pthread_t thread;
    void *failed;

    bench_init(&bench, NULL);
    set_satp(&bench, 8);
    pte = (uint64_t *)(void *)bench.ram;
    *pte = UINT64_C(0x40000) << 10 | V | R | W;
    assert_int_equal(pthread_create(&thread, NULL, flip_rsw, pte), 0);
    for (unsigned i = 0; i < FLIPS; i++) {
        RvTranslation out;

        assert_int_equal(
            riscv_translate(bench.hart->cpu, 0x10, 8, RV_ACCESS_STORE, RV_PRIV_S, &out), 0);
        assert_int_equal(out.paddr, 0x40000010);
    }
    pthread_join(thread, &failed);
    assert_null(failed);
    bench_finish(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_bits),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_napot),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_random_tables),
        cmocka_unit_test(test_random_pmp),
        cmocka_unit_test(test_tables_elsewhere),
        cmocka_unit_test(test_two_blocks),
        cmocka_unit_test(test_update_is_noted),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_no_such_mode),
        cmocka_unit_test(test_data_priv),
        cmocka_unit_test(test_debugger),
        cmocka_unit_test(test_update_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
