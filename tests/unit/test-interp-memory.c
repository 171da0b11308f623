/* SPDX-License-Identifier: MIT */
/*
 * Memory as the interpreter's guest sees it: misaligned accesses, MMIO, ROM, reservations, and
 * translations that change with and without a fence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-run.h"

#define TABLES (HART_RAM_BASE + 0x20000)

/* ---- Memory. */

static void test_misaligned(void **state)
{
    Machine *m = machine_make(NULL);

    for (unsigned i = 0; i < 32; i++) {
        m->ram->host[DATA - HART_RAM_BASE + 0xff0 + i] = (uint8_t)(i + 1);
    }
    PROGRAM(m, CODE, ld(A0, S0, 1), ld(A1, S0, 12), lw(A2, S0, 14), lh(A3, S0, 15), sd(A1, S1, 13),
            sw(A1, S1, 0x21));
    m->cpu->x[S0] = DATA + 0xff0;
    m->cpu->x[S1] = DATA + 0x1ff0;
    run_from(m, CODE);
    assert_end(m, CODE + 24);
    assert_int_equal(m->cpu->x[A0], 0x0908070605040302);
    assert_int_equal(m->cpu->x[A1], 0x14131211100f0e0d);
    assert_int_equal(m->cpu->x[A2], 0x1211100f);
    assert_int_equal(m->cpu->x[A3], 0x1110);
    assert_int_equal(get64(m, DATA + 0x1ff0 + 13), 0x14131211100f0e0d);
    assert_int_equal(get64(m, DATA + 0x1ff0 + 0x21) & 0xffffffff, 0x100f0e0d);

    /* Atomics do not. */
    PROGRAM(m, CODE, amoadd_d(A0, A1, S0));
    m->cpu->x[S0] = DATA + 4;
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_STORE_MISALIGNED, CODE, DATA + 4);
    PROGRAM(m, CODE, lr_d(A0, S0));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_MISALIGNED, CODE, DATA + 4);
    machine_free(m);
}

/* The upper page is missing: nothing of the store may be seen, and tval names that page. */
static void test_store_across_the_end(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t end = HART_RAM_BASE + RAM_BYTES;

    put64(m, end - 8, UINT64_C(0x1111111111111111));
    PROGRAM(m, CODE, sd(A0, S0, 0));
    m->cpu->x[S0] = end - 4;
    m->cpu->x[A0] = UINT64_MAX;
    run_from(m, CODE);
    assert_int_equal(m->cpu->mcause, RV_CAUSE_STORE_ACCESS);
    assert_int_equal(m->cpu->mtval, end);
    machine_free(m);
}

static void test_mmio(void **state)
{
    Machine *m = machine_make(NULL);

    PROGRAM(m, CODE, sw(A0, S0, 8), lw(A1, S0, 4), lw(ZERO, S0, 12));
    m->cpu->x[S0] = MMIO_BASE;
    m->cpu->x[A0] = 0x87654321;
    run_from(m, CODE);
    assert_end(m, CODE + 12);
    assert_int_equal(m->cpu->x[A1], (uint64_t)(int32_t)0x87654321);
    assert_int_equal(m->mmio_accesses, 3); /* a load to x0 is made */
    assert_int_equal(m->mmio_addr, 12);

    PROGRAM(m, CODE, lb(A1, S0, 4));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_ACCESS, CODE, MMIO_BASE + 4);
    PROGRAM(m, CODE, sw(A1, S0, 2));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_STORE_ACCESS, CODE, MMIO_BASE + 2);
    PROGRAM(m, CODE, amo(0, 2, A0, A0, S0));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_STORE_ACCESS, CODE, MMIO_BASE);
    PROGRAM(m, CODE, amo(2, 2, A0, ZERO, S0));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_ACCESS, CODE, MMIO_BASE);
    PROGRAM(m, CODE, jalr(ZERO, S0, 0));
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_FETCH_ACCESS, MMIO_BASE, MMIO_BASE);
    machine_free(m);
}

static void test_rom(void **state)
{
    Machine *m = machine_make(NULL);
    RamBlock *rom = hart_add_ram(m->hart, 0x1000, 0x1000, true);
    const uint32_t code[] = { addi(A0, ZERO, 5), sw(A0, S0, 0), lw(A1, S0, 0), ebreak() };

    memcpy(rom->host, code, sizeof(code));
    m->cpu->x[S0] = 0x1000;
    run_from(m, 0x1000);
    assert_end(m, 0x100c);
    assert_int_equal(m->cpu->x[A1], code[0]); /* the store was dropped */
    machine_free(m);
}

static void test_reservation(void **state)
{
    Machine *m = machine_make(NULL);

    put64(m, DATA, 10);
    PROGRAM(m, CODE, lr_d(A0, S0), sc_d(A1, S1, S0), sc_d(A2, S1, S0), lr_d(A3, S0),
            sd(ZERO, S0, 0), sc_d(A4, S1, S0));
    m->cpu->x[S0] = DATA;
    m->cpu->x[S1] = 77;
    run_from(m, CODE);
    assert_end(m, CODE + 24);
    assert_int_equal(m->cpu->x[A0], 10);
    assert_int_equal(m->cpu->x[A1], 0);
    assert_int_equal(m->cpu->x[A2], 1);
    assert_int_equal(m->cpu->x[A3], 77);
    assert_int_equal(m->cpu->x[A4], 1);
    assert_int_equal(get64(m, DATA), 0);

    /* Elsewhere, and a second time, also when the value is the one that was loaded. */
    PROGRAM(m, CODE, lr_d(A0, S0), sc_d(A1, ZERO, S2), lr_d(A0, S0), sc_d(A2, ZERO, S0),
            sc_d(A3, ZERO, S0));
    m->cpu->x[S2] = DATA + 8;
    run_from(m, CODE);
    assert_end(m, CODE + 20);
    assert_int_equal(m->cpu->x[A1], 1);
    assert_int_equal(m->cpu->x[A2], 0);
    assert_int_equal(m->cpu->x[A3], 1);
    machine_free(m);
}

/* ---- Translation. Sv39, one table a level for the lower half, entries by hand. */

enum {
    PTE_V = 1,
    PTE_R = 2,
    PTE_W = 4,
    PTE_X = 8,
    PTE_U = 16,
    PTE_AD = 0xc0,
};

#define SATP(asid_, root_) (UINT64_C(8) << 60 | (uint64_t)(asid_) << 44 | (root_) >> 12)
#define PTE(paddr_, bits_) ((paddr_) >> 12 << 10 | (bits_) | PTE_V | PTE_AD)

/* Root at `tables`: one table each for levels 1 and 0, virtual pages 0 to 511. */
static void make_tables(Machine *m, uint64_t tables)
{
    put64(m, tables, (tables + 0x1000) >> 12 << 10 | PTE_V);
    put64(m, tables + 0x1000, (tables + 0x2000) >> 12 << 10 | PTE_V);
    /* The kernel's gigabyte, where the tests' code is: identity. */
    put64(m, tables + 8 * 2, PTE(HART_RAM_BASE, PTE_R | PTE_W | PTE_X));
}

static void map(Machine *m, uint64_t tables, unsigned page, uint64_t paddr, unsigned bits)
{
    put64(m, tables + 0x2000 + 8 * page, PTE(paddr, bits));
}

/* From M to S at pc. */
static void run_s(Machine *m, uint64_t pc)
{
    m->cpu->mstatus = (m->cpu->mstatus & ~RV_MSTATUS_MPP) | ((uint64_t)RV_PRIV_S << 11);
    m->cpu->mepc = pc;
    put32(m, TRAP + 0x100, mret());
    run_from(m, TRAP + 0x100);
}

static void test_fence_vma(void **state)
{
    Machine *m = machine_make(NULL);
    uint64_t pte = TABLES + 0x2000 + 8 * 5;

    make_tables(m, TABLES);
    map(m, TABLES, 5, DATA, PTE_R | PTE_W);
    put64(m, DATA, 111);
    put64(m, DATA + 0x1000, 222);
    hart_csrw(m->hart, 0x180, SATP(1, TABLES));
    PROGRAM(m, CODE, ld(A0, S0, 0), sd(S1, S2, 0), sfence_vma(S0, ZERO), ld(A1, S0, 0),
            sd(S3, S2, 0), sfence_vma(ZERO, S4), ld(A2, S0, 0), sd(ZERO, S2, 0),
            sfence_vma(ZERO, ZERO), ld(A3, S0, 0));
    m->cpu->x[S0] = 0x5000;
    m->cpu->x[S1] = PTE(DATA + 0x1000, PTE_R | PTE_W);
    m->cpu->x[S2] = pte;
    m->cpu->x[S3] = PTE(DATA, PTE_R | PTE_W);
    m->cpu->x[S4] = 1;
    run_s(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_PAGE, CODE + 36, 0x5000);
    assert_int_equal(m->cpu->x[A0], 111);
    assert_int_equal(m->cpu->x[A1], 222);
    assert_int_equal(m->cpu->x[A2], 111);
    machine_free(m);
}

/* Another satp is another space, at once; and the first is as it was when it comes back. */
static void test_address_spaces(void **state)
{
    Machine *m = machine_make(NULL);

    make_tables(m, TABLES);
    make_tables(m, TABLES + 0x8000);
    map(m, TABLES, 5, DATA, PTE_R);
    map(m, TABLES + 0x8000, 5, DATA + 0x1000, PTE_R);
    put64(m, DATA, 111);
    put64(m, DATA + 0x1000, 222);
    hart_csrw(m->hart, 0x180, SATP(1, TABLES));
    PROGRAM(m, CODE, ld(A0, S0, 0), csrrw(ZERO, 0x180, S1), ld(A1, S0, 0), csrrw(ZERO, 0x180, S2),
            ld(A2, S0, 0));
    m->cpu->x[S0] = 0x5000;
    m->cpu->x[S1] = SATP(2, TABLES + 0x8000);
    m->cpu->x[S2] = SATP(1, TABLES);
    run_s(m, CODE);
    assert_end(m, CODE + 20);
    assert_int_equal(m->cpu->x[A0], 111);
    assert_int_equal(m->cpu->x[A1], 222);
    assert_int_equal(m->cpu->x[A2], 111);
    machine_free(m);
}

/* A page of a 2 MiB leaf is fenced after the leaf changed: no other page of it may stay cached. */
static void test_fence_of_large_page(void **state)
{
    Machine *m = machine_make(NULL);

    make_tables(m, TABLES);
    put64(m, TABLES + 0x1000 + 8, PTE(HART_RAM_BASE, PTE_R));
    put64(m, DATA, 111);
    hart_csrw(m->hart, 0x180, SATP(1, TABLES));
    PROGRAM(m, CODE, ld(A0, S0, 0), ld(A1, S1, 0), sd(ZERO, S2, 0), sfence_vma(S1, ZERO),
            ld(A2, S0, 0));
    m->cpu->x[S0] = 0x200000 + (DATA - HART_RAM_BASE);
    m->cpu->x[S1] = 0x200000;
    m->cpu->x[S2] = TABLES + 0x1000 + 8;
    run_s(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_PAGE, CODE + 16, m->cpu->x[S0]);
    assert_int_equal(m->cpu->x[A0], 111);
    machine_free(m);
}

static void test_status_bits(void **state)
{
    Machine *m = machine_make(NULL);

    make_tables(m, TABLES);
    map(m, TABLES, 5, DATA, PTE_R | PTE_U);
    map(m, TABLES, 6, DATA, PTE_X);
    put64(m, DATA, 111);
    hart_csrw(m->hart, 0x180, SATP(0, TABLES));
    m->cpu->x[S0] = 0x5000;
    m->cpu->x[S1] = RV_MSTATUS_SUM;
    m->cpu->x[S2] = 0x6000;
    m->cpu->x[S3] = RV_MSTATUS_MXR;

    PROGRAM(m, CODE, csrrs(ZERO, 0x100, S1), ld(A0, S0, 0), csrrc(ZERO, 0x100, S1), ld(A1, S0, 0));
    run_s(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_PAGE, CODE + 12, 0x5000);
    assert_int_equal(m->cpu->x[A0], 111);

    PROGRAM(m, CODE, csrrs(ZERO, 0x100, S3), ld(A2, S2, 0), csrrc(ZERO, 0x100, S3), ld(A1, S2, 0));
    run_s(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_PAGE, CODE + 12, 0x6000);
    assert_int_equal(m->cpu->x[A2], 111);

    /* MPRV: M loads as U, then as itself. */
    PROGRAM(m, CODE, csrrs(ZERO, 0x300, S4), ld(A3, S0, 0), csrrc(ZERO, 0x300, S4), ld(A4, S0, 0));
    m->cpu->x[S4] = RV_MSTATUS_MPRV;
    m->cpu->mstatus &= ~RV_MSTATUS_MPP;
    run_from(m, CODE);
    assert_trap(m, RV_CAUSE_LOAD_ACCESS, CODE + 12, 0x5000);
    assert_int_equal(m->cpu->x[A3], 111);
    machine_free(m);
}

/* Code that is mapped elsewhere, and an instruction whose second half is not mapped. */
static void test_fetch_translation(void **state)
{
    Machine *m = machine_make(NULL);
    uint32_t half[2] = { nop(), addi(A3, ZERO, 3) };

    make_tables(m, TABLES);
    map(m, TABLES, 5, DATA, PTE_X);
    PROGRAM(m, DATA, addi(A0, ZERO, 1), jalr(ZERO, RA, 0));
    PROGRAM(m, DATA + 0x1000, addi(A1, ZERO, 2), jalr(ZERO, RA, 0));
    hart_csrw(m->hart, 0x180, SATP(0, TABLES));
    PROGRAM(m, CODE, jalr(RA, S0, 0), sd(S1, S2, 0), sfence_vma(S0, ZERO), jalr(RA, S0, 0));
    m->cpu->x[S0] = 0x5000;
    m->cpu->x[S1] = PTE(DATA + 0x1000, PTE_X);
    m->cpu->x[S2] = TABLES + 0x2000 + 8 * 5;
    run_s(m, CODE);
    assert_end(m, CODE + 16);
    assert_int_equal(m->cpu->x[A0], 1);
    assert_int_equal(m->cpu->x[A1], 2);

    put(m, DATA + 0x2000 - 6, half, 6);
    run_s(m, 0x6000 - 6);
    assert_trap(m, RV_CAUSE_FETCH_PAGE, 0x6000 - 2, 0x6000);

    /* Now it is, in a page that is not the neighbour in memory. */
    map(m, TABLES, 6, DATA + 0x5000, PTE_X);
    put32(m, DATA + 0x5000, half[1] >> 16);
    put32(m, DATA + 0x5002, ebreak());
    rv_interp_flush(m->interp, false);
    run_s(m, 0x6000 - 6);
    assert_end(m, 0x6002);
    assert_int_equal(m->cpu->x[A3], 3);
    machine_free(m);
}

/* The next page is mapped elsewhere: jumps and an instruction that ends in it must follow. */
static void test_next_page_moves(void **state)
{
    Machine *m = machine_make(NULL);
    uint32_t first = addi(A0, A0, 1), second = addi(A0, A0, 0x7f0);
    uint64_t last = DATA + 0x1000 - 2;

    make_tables(m, TABLES);
    map(m, TABLES, 5, DATA, PTE_X);
    map(m, TABLES, 6, DATA + 0x1000, PTE_X);
    put32(m, DATA, jal(ZERO, 0x1008));
    PROGRAM(m, DATA + 0x1008, addi(A1, A1, 1), jalr(ZERO, RA, 0));
    PROGRAM(m, DATA + 0x2008, addi(A1, A1, 100), jalr(ZERO, RA, 0));
    put32(m, last, first);
    put32(m, DATA + 0x1002, jalr(ZERO, RA, 0));
    put32(m, DATA + 0x2000, second >> 16);
    put32(m, DATA + 0x2002, jalr(ZERO, RA, 0));
    hart_csrw(m->hart, 0x180, SATP(0, TABLES));
    PROGRAM(m, CODE, jalr(RA, S0, 0), jalr(RA, S3, 0), sd(S1, S2, 0), sfence_vma(S4, ZERO),
            jalr(RA, S0, 0), jalr(RA, S3, 0));
    m->cpu->x[S0] = 0x5000;
    m->cpu->x[S1] = PTE(DATA + 0x2000, PTE_X);
    m->cpu->x[S2] = TABLES + 0x2000 + 8 * 6;
    m->cpu->x[S3] = 0x5ffe;
    m->cpu->x[S4] = 0x6000;
    run_s(m, CODE);
    assert_end(m, CODE + 24);
    assert_int_equal(m->cpu->x[A0], 1 + 0x7f0);
    assert_int_equal(m->cpu->x[A1], 1 + 100);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misaligned),
        cmocka_unit_test(test_store_across_the_end),
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_rom),
        cmocka_unit_test(test_reservation),
        cmocka_unit_test(test_fence_vma),
        cmocka_unit_test(test_address_spaces),
        cmocka_unit_test(test_fence_of_large_page),
        cmocka_unit_test(test_status_bits),
        cmocka_unit_test(test_fetch_translation),
        cmocka_unit_test(test_next_page_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
