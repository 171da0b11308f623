/* SPDX-License-Identifier: MIT */
/*
 * Small extensions: Zicond, Zawrs, Zihintpause, Zicboz, Zicbom with what menvcfg and senvcfg allow, and
 * Svpbmt. Instructions are written by their bits where this assembler may not know them.
 */
#include "paging.h"

#define BLOCK_BYTES 64

#define ENVCFG_CBIE(n) ((uint64_t)(n) << 4)
#define ENVCFG_CBCFE (1ul << 6)
#define ENVCFG_CBZE (1ul << 7)

#define TEST_VA 0x1000000000ul

CODE(code_zero, ".insn i 0x0f, 2, x0, a0, 4");
CODE(code_inval, ".insn i 0x0f, 2, x0, a0, 0");
CODE(code_clean, ".insn i 0x0f, 2, x0, a0, 1");
CODE(code_flush, ".insn i 0x0f, 2, x0, a0, 2");
CODE(code_load, "ld a0, 0(a0)");
CODE(code_wait, ".4byte 0x00d00073\n" /* wrs.nto */
                ".4byte 0x01d00073\n" /* wrs.sto */
                ".4byte 0x0100000f\n" /* pause */
                "fence.tso\n"
                "li a0, 9");

#define INSN_CBO(operation) (0x0005200fu | (uint32_t)(operation) << 20) /* on (a0) */

static uint64_t page[512] __attribute__((aligned(PAGE_BYTES)));

static uint64_t czero_eqz(uint64_t a, uint64_t b)
{
    uint64_t r;

    __asm__(".insn r 0x33, 5, 7, %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

static uint64_t czero_nez(uint64_t a, uint64_t b)
{
    uint64_t r;

    __asm__(".insn r 0x33, 7, 7, %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

static void zicond(void)
{
    uint64_t state = 3;
    bool ok = true;

    group("Zicond");
    for (unsigned i = 0; i < 200; i++) {
        uint64_t a = random64(&state), b = i % 3 ? 0 : random64(&state);

        ok &= czero_eqz(a, b) == (b ? a : 0) && czero_nez(a, b) == (b ? 0 : a);
    }
    CHECK(ok);
    CHECK_EQ(czero_eqz(5, 1ul << 63), 5);
    CHECK_EQ(czero_nez(5, 1ul << 32), 0);
}

static void waits(void)
{
    TrapRecord r;

    group("Zawrs and pause");
    for (unsigned priv = PRIV_U; priv <= PRIV_M; priv += priv == PRIV_U ? 1 : 2) {
        r = run_in(priv, code_wait, 0, 0, 0);
        CHECK_RETURNED(r, 9);
    }
}

static void fill(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(page); i++) {
        page[i] = ~(uint64_t)i;
    }
}

/* How many words of the page are zero, from where. */
static bool zeroed(unsigned first_byte, unsigned bytes)
{
    bool ok = true;

    for (unsigned i = 0; i < ARRAY_LENGTH(page); i++) {
        bool in = 8 * i >= first_byte && 8 * i < first_byte + bytes;

        ok &= page[i] == (in ? 0 : ~(uint64_t)i);
    }
    return ok;
}

static void set_envcfg(uint64_t m, uint64_t s)
{
    uint64_t all = ENVCFG_CBIE(3) | ENVCFG_CBCFE | ENVCFG_CBZE;

    csr_clear(CSR_MENVCFG, all);
    csr_set(CSR_MENVCFG, m);
    csr_clear(CSR_SENVCFG, all);
    csr_set(CSR_SENVCFG, s);
}

static void zicboz(void)
{
    uint64_t base = (uint64_t)page;
    TrapRecord r;

    group("Zicboz");
    set_envcfg(0, 0);
    fill();
    CHECK(RUN_M(code_zero, base + 128, 0).level == 'R');
    CHECK(zeroed(128, BLOCK_BYTES));
    fill();
    CHECK(RUN_M(code_zero, base + 4095, 0).level == 'R'); /* any address of the block */
    CHECK(zeroed(4096 - BLOCK_BYTES, BLOCK_BYTES));
    fill();
    r = RUN_S(code_zero, base, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_zero, INSN_CBO(4));
    set_envcfg(ENVCFG_CBZE, 0);
    CHECK(RUN_S(code_zero, base, 0).level == 'R');
    CHECK(zeroed(0, BLOCK_BYTES));
    r = RUN_U(code_zero, base, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_zero, INSN_CBO(4));
    set_envcfg(0, ENVCFG_CBZE);
    r = RUN_U(code_zero, base, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_zero, INSN_CBO(4));
    set_envcfg(ENVCFG_CBZE, ENVCFG_CBZE);
    CHECK(RUN_U(code_zero, base, 0).level == 'R');
    r = RUN_M(code_zero, NOTHING_BASE + 5, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_zero, NOTHING_BASE + 5);
}

static void zicbom(void)
{
    static const char *const codes[] = { code_inval, code_clean, code_flush };
    uint64_t base = (uint64_t)page;
    TrapRecord r;

    group("Zicbom");
    set_envcfg(0, 0);
    fill();
    for (unsigned i = 0; i < ARRAY_LENGTH(codes); i++) {
        CHECK(RUN_M(codes[i], base + 100, 0).level == 'R');
        r = RUN_S(codes[i], base, 0);
        CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, codes[i], INSN_CBO(i));
    }
    set_envcfg(ENVCFG_CBCFE, ENVCFG_CBIE(3));
    CHECK(RUN_S(code_clean, base, 0).level == 'R');
    CHECK(RUN_S(code_flush, base, 0).level == 'R');
    CHECK(RUN_S(code_inval, base, 0).level == 'M');
    CHECK(RUN_U(code_flush, base, 0).level == 'M');
    CHECK(RUN_U(code_inval, base, 0).level == 'M');
    for (uint64_t m = 1; m <= 3; m += 2) {
        for (uint64_t s = 1; s <= 3; s += 2) {
            set_envcfg(ENVCFG_CBIE(m), ENVCFG_CBIE(s));
            CHECK(RUN_S(code_inval, base, 0).level == 'R');
            CHECK(RUN_U(code_inval, base, 0).level == 'R');
        }
    }
    CHECK(zeroed(0, 0)); /* memory is as it was */
}

static void translated(void)
{
    Space space;
    TrapRecord r;

    group("cache blocks and page tables");
    paging_reset();
    space = space_create(MODE_SV39, 1);
    csr_write(satp, space_satp(&space));
    set_envcfg(ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE(3), 0);
    space_map(&space, TEST_VA, (uint64_t)page, 0, PTE_V | PTE_R | PTE_A | PTE_D);
    sfence_all();
    r = RUN_S(code_zero, TEST_VA + 70, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_zero, TEST_VA + 70);
    CHECK(RUN_S(code_clean, TEST_VA + 70, 0).level == 'R');
    r = RUN_S(code_flush, TEST_VA + PAGE_BYTES + 3, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_flush, TEST_VA + PAGE_BYTES + 3);
    space_map(&space, TEST_VA, (uint64_t)page, 0, PTE_ALL);
    sfence_all();
    fill();
    CHECK(RUN_S(code_zero, TEST_VA + 70, 0).level == 'R');
    CHECK(zeroed(64, BLOCK_BYTES));

    group("Svpbmt");
    csr_set(CSR_MENVCFG, ENVCFG_PBMTE);
    for (unsigned type = 0; type < 4; type++) {
        space_map(&space, TEST_VA, (uint64_t)page, 0, PTE_ALL | PTE_PBMT(type));
        sfence_all();
        r = RUN_S(code_load, TEST_VA, 0);
        if (type < 3) {
            CHECK_RETURNED(r, page[0]);
        } else {
            CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, TEST_VA);
        }
    }
    csr_clear(CSR_MENVCFG, ENVCFG_PBMTE);
    for (unsigned type = 1; type < 3; type++) {
        space_map(&space, TEST_VA, (uint64_t)page, 0, PTE_ALL | PTE_PBMT(type));
        sfence_all();
        r = RUN_S(code_load, TEST_VA, 0);
        CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, TEST_VA);
    }
    csr_write(satp, 0);
    set_envcfg(0, 0);
}

void guest_main(void)
{
    zicond();
    waits();
    zicboz();
    zicbom();
    translated();
}
