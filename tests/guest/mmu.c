/* SPDX-License-Identifier: MIT */
/*
 * Address translation (privileged spec 10.3 to 10.6, Svnapot, Svadu, Svinval): every level of every
 * mode, the whole matrix of permissions, malformed entries, A and D, fences and ASIDs, accesses across
 * pages, and a long random walk of mappings against a model. Tables are changed from M mode, which
 * does not translate, and looked at by code that runs in S or U mode.
 */
#include "paging.h"

CODE(code_load, "ld a0, 0(a0)");
CODE(code_load_byte, "lbu a0, 0(a0)");
CODE(code_store, "sd a1, 0(a0)");
CODE(code_amo, "amoadd.d a0, a1, (a0)");
CODE(code_jump, "jr a0");
CODE(code_sinval, ".4byte 0x18000073\n" /* sfence.w.inval */
                  ".4byte 0x16b50073\n" /* sinval.vma a0, a1 */
                  ".4byte 0x18100073"); /* sfence.inval.ir */

#define RET_INSN 0x8082
#define TEST_VA 0x1000000000ul /* in the lower half of every mode, in no other mapping */

/* Physical pages to map; each begins with `ret` so that it can also be executed. */
#define PAGES 64
static uint64_t pages[PAGES][512] __attribute__((aligned(65536)));

static const unsigned modes[] = { MODE_SV39, MODE_SV48, MODE_SV57 };
static const char *const mode_names[] = { "Sv39", "Sv48", "Sv57" };
static bool has_adue, has_svnapot;

static void fill_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        memset(pages[i], 0, PAGE_BYTES);
        pages[i][0] = RET_INSN | (uint64_t)(i + 1) << 32;
        pages[i][511] = (uint64_t)(i + 1) << 48 | i;
    }
    __asm__ volatile("fence.i" ::: "memory");
}

static void use_space(const Space *space)
{
    csr_write(satp, space_satp(space));
    sfence_all();
    run_set_alias(USER_ALIAS);
}

static void use_bare(void)
{
    csr_write(satp, 0);
    sfence_all();
    run_set_alias(0);
}

/* ---- Levels. */

static void levels(unsigned mode)
{
    unsigned top = mode - 6;
    Space space;
    TrapRecord r;
    uint64_t high;

    fill_pages();
    paging_reset();
    space = space_create(mode, 0);
    use_space(&space);
    for (unsigned level = 0; level <= top; level++) {
        uint64_t bytes = level_bytes(level);
        uint64_t target = (uint64_t)&pages[3][511];
        /* A root slot of its own in each mode, but for the smaller pages. */
        uint64_t va = level == top ? 5 * bytes : (TEST_VA & ~(bytes - 1)) + 2 * bytes;

        space_map(&space, va, target & ~(bytes - 1), level, PTE_ALL);
        sfence_all();
        r = RUN_S(code_load, va + (target & (bytes - 1)), 0);
        CHECK_RETURNED(r, pages[3][511]);
        if (level > 0) {
            /* A leaf whose address is not a multiple of its size. */
            space_map(&space, va, (target & ~(bytes - 1)) + bytes / 2, level, PTE_ALL);
            sfence_all();
            r = RUN_S(code_load, va + 8, 0);
            CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, va + 8);
        }
        *space_pte(&space, va, level) = 0;
        sfence_all();
        r = RUN_S(code_store, va + 16, 0);
        CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_store, va + 16);
    }

    /* The last page of the upper half; addresses that are no sign extension. */
    high = -(uint64_t)PAGE_BYTES;
    space_map(&space, high, (uint64_t)pages[4], 0, PTE_ALL);
    sfence_all();
    r = RUN_S(code_load, high, 0);
    CHECK_RETURNED(r, pages[4][0]);
    high &= (2ul << (12 + 9 * (top + 1))) - 1;
    r = RUN_S(code_load, high, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, high);
    high = 1ul << (12 + 9 * (top + 1) - 1);
    r = RUN_S(code_load, high, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, high);
    r = RUN_S(code_jump, high, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_PAGE, high, high);
    use_bare();
}

/* ---- Permissions. */

static bool allowed(uint64_t flags, unsigned priv, bool sum, bool mxr, char access)
{
    bool user = (flags & PTE_U) != 0;

    if (!(flags & (PTE_R | PTE_X)) || (flags & (PTE_R | PTE_W)) == PTE_W) {
        return false;
    }
    if (priv == PRIV_U ? !user : user && (access == 'x' || !sum)) {
        return false;
    }
    switch (access) {
    case 'r':
        return (flags & PTE_R) || (mxr && (flags & PTE_X));
    case 'w':
        return flags & PTE_W;
    default:
        return flags & PTE_X;
    }
}

static bool try_access(unsigned priv, char access, uint64_t va)
{
    uint64_t want = access == 'r'   ? CAUSE_LOAD_PAGE
                    : access == 'w' ? CAUSE_STORE_PAGE
                                    : CAUSE_FETCH_PAGE;
    const char *code = access == 'r' ? code_load : access == 'w' ? code_store : code_jump;
    TrapRecord r = run_in(priv, code, va, pages[1][0], 0);

    if (r.level == 'R') {
        return true;
    }
    CHECK_TRAP(r, 'M', want, access == 'x' ? va : (uint64_t)code + (priv ? 0 : USER_ALIAS), va);
    return false;
}

static void permissions(void)
{
    static const char accesses[] = "rwx";
    Space space;

    group("permissions");
    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    use_space(&space);
    for (uint64_t bits = 0; bits < 16; bits++) {
        uint64_t flags = bits << 1; /* R, W, X, U */

        space_map(&space, TEST_VA, (uint64_t)pages[1], 0, PTE_V | PTE_A | PTE_D | flags);
        sfence_page(TEST_VA);
        for (unsigned mode = 0; mode < 8; mode++) {
            unsigned priv = mode & 1 ? PRIV_S : PRIV_U;
            bool sum = mode & 2, mxr = mode & 4;

            csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
            csr_set(mstatus, (sum ? MSTATUS_SUM : 0) | (mxr ? MSTATUS_MXR : 0));
            for (const char *access = accesses; *access; access++) {
                CHECK_EQ(try_access(priv, *access, TEST_VA),
                         allowed(flags, priv, sum, mxr, *access));
            }
        }
    }
    csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
    use_bare();
}

/* Loads of M mode as if made in MPP. */
CODE(code_load_mprv, "li t0, 0x1800\n"
                     "csrc mstatus, t0\n"
                     "slli a1, a1, 11\n"
                     "csrs mstatus, a1\n"
                     "li t0, 1 << 17\n"
                     "csrs mstatus, t0\n"
                     "ld a0, 0(a0)\n"
                     "csrc mstatus, t0");

static void mprv(void)
{
    Space space;
    TrapRecord r;

    group("MPRV");
    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    space_map(&space, TEST_VA, (uint64_t)pages[1], 0, PTE_ALL);
    space_map(&space, TEST_VA + PAGE_BYTES, (uint64_t)pages[2], 0, PTE_ALL | PTE_U);
    use_space(&space);
    r = RUN_M(code_load_mprv, TEST_VA, PRIV_S);
    CHECK_RETURNED(r, pages[1][0]);
    r = RUN_M(code_load_mprv, TEST_VA + PAGE_BYTES, PRIV_U);
    CHECK_RETURNED(r, pages[2][0]);
    r = RUN_M(code_load_mprv, TEST_VA, PRIV_U);
    CHECK(r.level == 'M' && r.cause == CAUSE_LOAD_PAGE && r.tval == TEST_VA);
    CHECK_EQ(r.status & (MSTATUS_MPRV | MSTATUS_MPP), MSTATUS_MPRV | MSTATUS_MPP);
    csr_clear(mstatus, MSTATUS_MPRV);
    r = RUN_M(code_load_mprv, TEST_VA + PAGE_BYTES, PRIV_S);
    CHECK(r.level == 'M' && r.cause == CAUSE_LOAD_PAGE && r.tval == TEST_VA + PAGE_BYTES);
    csr_clear(mstatus, MSTATUS_MPRV);
    r = RUN_M(code_load_mprv, pages[5], PRIV_M);
    CHECK_RETURNED(r, pages[5][0]);
    use_bare();
}

/* ---- Malformed entries, and tables or pages in no memory. */

static void malformed(void)
{
    static const uint64_t bad_leaf[] = {
        PTE_ALL & ~PTE_V,
        PTE_V | PTE_W | PTE_A | PTE_D,
        PTE_V | PTE_W | PTE_X | PTE_A | PTE_D,
        PTE_ALL | 1ul << 54,
        PTE_ALL | 1ul << 60,
        PTE_ALL | PTE_PBMT(3),
        PTE_V | PTE_A | PTE_D, /* a pointer where there is no further level */
        PTE_V,
    };
    static const uint64_t bad_pointer[] = { PTE_A,     PTE_D, PTE_U,      PTE_A | PTE_D | PTE_U,
                                            1ul << 57, PTE_N, PTE_PBMT(1) };
    Space space;
    TrapRecord r;
    uint64_t *pointer;

    group("malformed entries");
    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    use_space(&space);
    for (unsigned i = 0; i < ARRAY_LENGTH(bad_leaf); i++) {
        space_map(&space, TEST_VA, (uint64_t)pages[1], 0, bad_leaf[i]);
        sfence_all();
        CHECK(!try_access(PRIV_S, 'r', TEST_VA));
        CHECK(!try_access(PRIV_S, 'x', TEST_VA));
    }
    space_map(&space, TEST_VA, (uint64_t)pages[1], 0, PTE_ALL);
    pointer = space_pte(&space, TEST_VA, 1);
    for (unsigned i = 0; i < ARRAY_LENGTH(bad_pointer); i++) {
        *pointer |= bad_pointer[i];
        sfence_all();
        CHECK(!try_access(PRIV_S, 'w', TEST_VA));
        *pointer &= ~bad_pointer[i];
    }
    sfence_all();
    CHECK(try_access(PRIV_S, 'w', TEST_VA));

    group("tables and pages in no memory");
    space_map(&space, TEST_VA, NOTHING_BASE, 0, PTE_ALL);
    sfence_all();
    r = RUN_S(code_load, TEST_VA + 8, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, code_load, TEST_VA + 8);
    r = RUN_S(code_store, TEST_VA + 8, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_store, TEST_VA + 8);
    r = RUN_S(code_jump, TEST_VA + 8, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_ACCESS, TEST_VA + 8, TEST_VA + 8);
    *pointer = pte_of(NOTHING_BASE, PTE_V);
    sfence_all();
    r = RUN_S(code_load, TEST_VA, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, code_load, TEST_VA);
    r = RUN_S(code_store, TEST_VA, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_store, TEST_VA);
    r = RUN_S(code_jump, TEST_VA, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_ACCESS, TEST_VA, TEST_VA);
    use_bare();
}

/* ---- Accessed and dirty. */

static void accessed_dirty(void)
{
    uint64_t *pte;
    Space space;

    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    space_map(&space, TEST_VA, (uint64_t)pages[1], 0, PTE_ALL);
    pte = space_pte(&space, TEST_VA, 0);
    use_space(&space);

#define WITH(bits)                                                                                 \
    do {                                                                                           \
        *pte = pte_of((uint64_t)pages[1], (PTE_ALL & ~(PTE_A | PTE_D)) | (bits));                  \
        sfence_page(TEST_VA);                                                                      \
    } while (0)
#define BITS (*(volatile uint64_t *)pte & (PTE_A | PTE_D))

    group("A and D set by hardware");
    csr_set(CSR_MENVCFG, ENVCFG_ADUE);
    WITH(0);
    CHECK(try_access(PRIV_S, 'r', TEST_VA));
    CHECK_EQ(BITS, PTE_A);
    WITH(0);
    CHECK(try_access(PRIV_S, 'x', TEST_VA));
    CHECK_EQ(BITS, PTE_A);
    CHECK(try_access(PRIV_S, 'w', TEST_VA));
    CHECK_EQ(BITS, PTE_A | PTE_D);
    WITH(0);
    CHECK(try_access(PRIV_S, 'w', TEST_VA));
    CHECK_EQ(BITS, PTE_A | PTE_D);
    /* What is not allowed leaves no mark. */
    WITH(0);
    CHECK(!try_access(PRIV_U, 'w', TEST_VA));
    CHECK_EQ(BITS, 0);
    /* A load, then a store through what the load may have left in a TLB. */
    WITH(PTE_A);
    CHECK(try_access(PRIV_S, 'r', TEST_VA));
    CHECK_EQ(BITS, PTE_A);
    CHECK(RUN_S(code_amo, TEST_VA, 0).level == 'R');
    CHECK_EQ(BITS, PTE_A | PTE_D);

    if (!has_adue) {
        group("no Svadu");
        use_bare();
        return;
    }
    group("A and D left to software");
    csr_clear(CSR_MENVCFG, ENVCFG_ADUE);
    WITH(0);
    CHECK(!try_access(PRIV_S, 'r', TEST_VA));
    CHECK(!try_access(PRIV_S, 'x', TEST_VA));
    CHECK(!try_access(PRIV_S, 'w', TEST_VA));
    CHECK_EQ(BITS, 0);
    WITH(PTE_A);
    CHECK(try_access(PRIV_S, 'r', TEST_VA));
    CHECK(!try_access(PRIV_S, 'w', TEST_VA));
    CHECK_EQ(BITS, PTE_A);
    WITH(PTE_A | PTE_D);
    CHECK(try_access(PRIV_S, 'w', TEST_VA));
    csr_set(CSR_MENVCFG, ENVCFG_ADUE);
    use_bare();
}

/* ---- Fences and ASIDs. */

static void fences(void)
{
    static const uint64_t va = TEST_VA, other = TEST_VA + PAGE_BYTES;
    Space a, b;
    TrapRecord r;
    bool ok = true;

    group("fences");
    fill_pages();
    paging_reset();
    a = space_create(MODE_SV39, 3);
    b = space_create(MODE_SV39, 4);
    use_space(&a);
    for (unsigned i = 0; i < 200; i++) {
        const uint64_t *page = pages[i % PAGES], *still = pages[i / 7 % PAGES];

        space_map(&a, va, (uint64_t)page, 0, PTE_ALL);
        if (i % 7 == 0) {
            space_map(&a, other, (uint64_t)still, 0, PTE_ALL);
            sfence_page(other);
        }
        switch (i % 5) {
        case 0:
            sfence_all();
            break;
        case 1:
            sfence_page(va);
            break;
        case 2:
            sfence_asid(3);
            break;
        case 3:
            sfence_page_asid(va, 3);
            break;
        default:
            sfence_page(va + 0x123);
            break;
        }
        r = RUN_S(code_load, va, 0);
        ok &= r.level == 'R' && r.a0 == page[0];
        r = RUN_S(code_load, other, 0);
        ok &= r.level == 'R' && r.a0 == still[0];
    }
    CHECK(ok);
    /* A leaf of 2 MiB where a table was, fenced by an address in the middle, and back. */
    for (unsigned i = 0; i < 8; i++) {
        uint64_t base = TEST_VA + SUPERPAGE_BYTES * 2,
                 offset = (uint64_t)pages[9] & (SUPERPAGE_BYTES - 1);

        *space_pte(&a, base, 1) = pte_of((uint64_t)pages[9] - offset, PTE_ALL);
        sfence_page(base + offset);
        r = RUN_S(code_load, base + offset, 0);
        ok &= r.level == 'R' && r.a0 == pages[9][0];
        *space_pte(&a, base, 1) = 0;
        sfence_page(base + 0x1000);
        r = RUN_S(code_load, base + offset, 0);
        ok &= r.level == 'M' && r.cause == CAUSE_LOAD_PAGE;
    }
    CHECK(ok);

    group("address-space identifiers");
    space_map(&a, va, (uint64_t)pages[10], 0, PTE_ALL);
    space_map(&b, va, (uint64_t)pages[11], 0, PTE_ALL);
    sfence_all();
    for (unsigned i = 0; i < 100; i++) {
        /* No fence between: the identifiers tell the two apart. */
        csr_write(satp, space_satp(i & 1 ? &a : &b));
        r = RUN_S(code_load, va, 0);
        ok &= r.level == 'R' && r.a0 == pages[i & 1 ? 10 : 11][0];
        r = RUN_S(code_jump, va, 5);
        ok &= r.level == 'R';
    }
    CHECK(ok);
    /* A fence for one identifier makes the change visible there. */
    space_map(&a, va, (uint64_t)pages[12], 0, PTE_ALL);
    space_map(&b, va, (uint64_t)pages[13], 0, PTE_ALL);
    sfence_asid(3);
    sfence_page_asid(va, 4);
    csr_write(satp, space_satp(&a));
    r = RUN_S(code_load, va, 0);
    CHECK_RETURNED(r, pages[12][0]);
    csr_write(satp, space_satp(&b));
    r = RUN_S(code_load, va, 0);
    CHECK_RETURNED(r, pages[13][0]);

    group("global pages");
    space_map(&a, other, (uint64_t)pages[14], 0, PTE_ALL | PTE_G);
    space_map(&b, other, (uint64_t)pages[14], 0, PTE_ALL | PTE_G);
    sfence_all();
    r = RUN_S(code_load, other, 0);
    CHECK_RETURNED(r, pages[14][0]);
    csr_write(satp, space_satp(&a));
    r = RUN_S(code_load, other, 0);
    CHECK_RETURNED(r, pages[14][0]);
    space_map(&a, other, (uint64_t)pages[15], 0, PTE_ALL | PTE_G);
    space_map(&b, other, (uint64_t)pages[15], 0, PTE_ALL | PTE_G);
    sfence_page(other);
    r = RUN_S(code_load, other, 0);
    CHECK_RETURNED(r, pages[15][0]);
    csr_write(satp, space_satp(&b));
    r = RUN_S(code_load, other, 0);
    CHECK_RETURNED(r, pages[15][0]);
    use_bare();
}

static bool skip_illegal(Hart *hart, TrapFrame *frame)
{
    if (frame->cause != CAUSE_ILLEGAL) {
        return false;
    }
    frame->epc += 4;
    hart->ticks++;
    return true;
}

static void svinval(void)
{
    Space space;
    TrapRecord r;

    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 2);
    space_map(&space, TEST_VA, (uint64_t)pages[1], 0, PTE_ALL);
    use_space(&space);
    this_hart()->m_hook = skip_illegal;
    this_hart()->ticks = 0;
    r = RUN_S(code_sinval, TEST_VA, 2);
    this_hart()->m_hook = NULL;
    if (this_hart()->ticks) {
        group("no Svinval");
        use_bare();
        return;
    }
    group("Svinval");
    for (unsigned i = 0; i < 10; i++) {
        space_map(&space, TEST_VA, (uint64_t)pages[i], 0, PTE_ALL);
        r = RUN_S(code_sinval, TEST_VA, 2);
        CHECK_RETURNED(r, TEST_VA);
        r = RUN_S(code_load, TEST_VA, 0);
        CHECK_RETURNED(r, pages[i][0]);
    }
    r = RUN_U(code_sinval, TEST_VA, 2);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_sinval + USER_ALIAS, 0x18000073);
    csr_set(mstatus, MSTATUS_TVM);
    r = RUN_S(code_sinval, TEST_VA, 2);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_sinval + 4, 0x16b50073);
    csr_clear(mstatus, MSTATUS_TVM);
    use_bare();
}

/* ---- Across pages. */

static void crossing(void)
{
    static const uint64_t va = TEST_VA + PAGE_BYTES;
    uint8_t *low = (uint8_t *)pages[20], *high = (uint8_t *)pages[7]; /* not neighbours */
    Space space;
    TrapRecord r;

    group("accesses across pages");
    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    space_map(&space, va - PAGE_BYTES, (uint64_t)low, 0, PTE_ALL);
    space_map(&space, va, (uint64_t)high, 0, PTE_ALL);
    use_space(&space);
    for (unsigned i = 1; i < 8; i++) {
        uint64_t value = 0x1122334455667788 * i, low_part, high_part;

        r = RUN_S(code_store, va - i, value);
        CHECK(r.level == 'R');
        low_part = high_part = 0;
        memcpy(&low_part, low + PAGE_BYTES - i, i);
        memcpy(&high_part, high, 8 - i);
        CHECK_EQ(low_part | high_part << 8 * i, value);
        r = RUN_S(code_load, va - i, 0);
        CHECK_RETURNED(r, value);
    }
    /* The part that faults is what tval names, and nothing is stored before it is known. */
    *space_pte(&space, va, 0) = 0;
    sfence_all();
    memset(low + PAGE_BYTES - 8, 0x5a, 8);
    r = RUN_S(code_load, va - 3, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_PAGE, code_load, va);
    r = RUN_S(code_store, va - 3, UINT64_MAX);
    CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_store, va);
    CHECK_EQ(low[PAGE_BYTES - 1], 0x5a);
    space_map(&space, va, (uint64_t)high, 0, PTE_ALL & ~PTE_W);
    sfence_all();
    r = RUN_S(code_store, va - 3, UINT64_MAX);
    CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_store, va);
    CHECK_EQ(low[PAGE_BYTES - 3], 0x5a);
    *space_pte(&space, va - PAGE_BYTES, 0) = 0;
    space_map(&space, va, (uint64_t)high, 0, PTE_ALL);
    sfence_all();
    high[0] = 0x77;
    r = RUN_S(code_store, va - 3, UINT64_MAX);
    CHECK_TRAP(r, 'M', CAUSE_STORE_PAGE, code_store, va - 3);
    CHECK_EQ(high[0], 0x77);

    group("instructions across pages");
    /* addi a0, a0, 0x123 with its halves on two pages, then ret. */
    space_map(&space, va - PAGE_BYTES, (uint64_t)low, 0, PTE_ALL);
    low[PAGE_BYTES - 2] = 0x13;
    low[PAGE_BYTES - 1] = 0x05;
    high[0] = 0x35;
    high[1] = 0x12;
    high[2] = RET_INSN & 0xff;
    high[3] = RET_INSN >> 8;
    __asm__ volatile("fence.i" ::: "memory");
    sfence_all();
    r = RUN_S(va - 2, 1, 0);
    CHECK_RETURNED(r, 0x124);
    /* The second half changes alone. */
    high[1] = 0x22;
    __asm__ volatile("fence.i" ::: "memory");
    r = RUN_S(va - 2, 1, 0);
    CHECK_RETURNED(r, 0x224);
    memcpy(pages[8], high, 4);
    ((uint8_t *)pages[8])[1] = 0x32;
    __asm__ volatile("fence.i" ::: "memory");
    space_map(&space, va, (uint64_t)pages[8], 0, PTE_ALL);
    sfence_page(va);
    r = RUN_S(va - 2, 1, 0);
    CHECK_RETURNED(r, 0x324);
    *space_pte(&space, va, 0) = 0;
    sfence_page(va);
    r = RUN_S(va - 2, 1, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_PAGE, va - 2, va);
    use_bare();
}

/* ---- Delegated page faults. */

static void delegated(void)
{
    Space space;
    TrapRecord r;

    group("delegated page faults");
    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    use_space(&space);
    csr_write(medeleg, 1 << CAUSE_FETCH_PAGE | 1 << CAUSE_LOAD_PAGE | 1 << CAUSE_STORE_PAGE);
    r = RUN_U(code_load, TEST_VA + 5, 0);
    CHECK_TRAP(r, 'S', CAUSE_LOAD_PAGE, code_load + USER_ALIAS, TEST_VA + 5);
    r = RUN_U(code_store, TEST_VA, 0);
    CHECK_TRAP(r, 'S', CAUSE_STORE_PAGE, code_store + USER_ALIAS, TEST_VA);
    r = RUN_U(code_amo, TEST_VA + 8, 0);
    CHECK_TRAP(r, 'S', CAUSE_STORE_PAGE, code_amo + USER_ALIAS, TEST_VA + 8);
    r = RUN_U(code_jump, TEST_VA + 2, 0);
    CHECK_TRAP(r, 'S', CAUSE_FETCH_PAGE, TEST_VA + 2, TEST_VA + 2);
    r = RUN_S(code_load, TEST_VA, 0);
    CHECK_TRAP(r, 'S', CAUSE_LOAD_PAGE, code_load, TEST_VA);
    csr_write(medeleg, 0);
    use_bare();
}

/* ---- Svnapot. */

static void svnapot(void)
{
    /* pages is aligned to 64 KiB; the entry's low address bits say the size. */
    uint64_t napot = pte_of((uint64_t)pages[16] | 0x8000, PTE_ALL | PTE_N);
    Space space;
    TrapRecord r;

    fill_pages();
    paging_reset();
    space = space_create(MODE_SV39, 1);
    for (unsigned i = 0; i < 16; i++) {
        *space_pte(&space, TEST_VA + i * PAGE_BYTES, 0) = napot;
    }
    use_space(&space);
    has_svnapot = RUN_S(code_load, TEST_VA, 0).level == 'R';
    if (!has_svnapot) {
        group("no Svnapot");
        use_bare();
        return;
    }
    group("Svnapot");
    for (unsigned i = 0; i < 16; i++) {
        r = RUN_S(code_load, TEST_VA + i * PAGE_BYTES + 0xff8, 0);
        CHECK_RETURNED(r, pages[16 + i][511]);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (i != 8) {
            *space_pte(&space, TEST_VA, 0) = pte_of((uint64_t)pages[16] | i << 12, PTE_ALL | PTE_N);
            sfence_all();
            CHECK(!try_access(PRIV_S, 'r', TEST_VA));
        }
    }
    *space_pte(&space, TEST_VA + SUPERPAGE_BYTES, 1) =
        pte_of(RAM_BASE | 0x8000ul << 9, PTE_ALL | PTE_N);
    sfence_all();
    CHECK(!try_access(PRIV_S, 'r', TEST_VA + SUPERPAGE_BYTES));
    use_bare();
}

/* ---- A random walk against a model. */

#define SLOTS 48
#define STEPS 3000

static void random_walk(void)
{
    uint8_t model[2][SLOTS]; /* page + 1 each slot shows in each space; 0: none */
    uint64_t state = 20221122;
    unsigned wrong = 0, current = 0;
    Space spaces[2];

    group("random mappings");
    fill_pages();
    paging_reset();
    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < 2; i++) {
        spaces[i] = space_create(i ? MODE_SV48 : MODE_SV39, (uint16_t)(40 + i));
    }
    use_space(&spaces[0]);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t r = random64(&state);
        unsigned slot = (unsigned)(r >> 8) % SLOTS, page = (unsigned)(r >> 24) % PAGES;
        /* Slots lie far apart, so that they meet in any direct-mapped table. */
        uint64_t va = TEST_VA + (uint64_t)slot * (1ul << 20) + (slot % 3) * PAGE_BYTES;
        TrapRecord record;
        uint64_t want;

        switch (r % 8) {
        case 0:
        case 1:
            space_map(&spaces[current], va, (uint64_t)pages[page], 0, PTE_ALL);
            model[current][slot] = (uint8_t)(page + 1);
            sfence_page_asid(va, spaces[current].asid);
            break;
        case 2:
            *space_pte(&spaces[current], va, 0) = 0;
            model[current][slot] = 0;
            sfence_page(va);
            break;
        case 3:
            current ^= 1;
            csr_write(satp, space_satp(&spaces[current]));
            break;
        default:
            break;
        }
        want = model[current][slot];
        if (r >> 40 & 1) {
            record = RUN_S(code_load, va, 0);
            wrong += want ? record.level != 'R' || record.a0 != pages[want - 1][0]
                          : record.level != 'M' || record.cause != CAUSE_LOAD_PAGE;
        } else {
            record = RUN_S(code_jump, va, 0);
            wrong += want ? record.level != 'R'
                          : record.level != 'M' || record.cause != CAUSE_FETCH_PAGE;
        }
    }
    CHECK_EQ(wrong, 0);
    use_bare();
}

/* ---- Another hart's fence. */

static Space remote_space;
static volatile uint64_t remote_asked, remote_done;

static void remote_reader(void *argument)
{
    uint64_t expected = 0;

    csr_write(satp, space_satp(&remote_space));
    sfence_all();
    while (expected < 100) {
        TrapRecord r;

        while (__atomic_load_n(&remote_asked, __ATOMIC_ACQUIRE) == expected) {
            relax();
        }
        expected++;
        sfence_page(TEST_VA);
        r = RUN_S(code_load, TEST_VA, 0);
        if (r.level != 'R' || r.a0 != pages[expected % PAGES][0]) {
            break;
        }
        __atomic_store_n(&remote_done, expected, __ATOMIC_RELEASE);
    }
    csr_write(satp, 0);
    sfence_all();
    __atomic_store_n(&remote_done, expected, __ATOMIC_RELEASE);
}

static void remote(void)
{
    group("fences on another hart");
    fill_pages();
    paging_reset();
    remote_space = space_create(MODE_SV39, 9);
    space_map(&remote_space, TEST_VA, (uint64_t)pages[0], 0, PTE_ALL);
    hart_run(1, remote_reader, NULL);
    for (uint64_t i = 1; i <= 100; i++) {
        space_map(&remote_space, TEST_VA, (uint64_t)pages[i % PAGES], 0, PTE_ALL);
        __atomic_store_n(&remote_asked, i, __ATOMIC_RELEASE);
        while (__atomic_load_n(&remote_done, __ATOMIC_ACQUIRE) != i && hart_get(1)->job) {
            relax();
        }
    }
    hart_join(1);
    CHECK_EQ(remote_done, 100);
}

void guest_main(void)
{
    this_hart()->m_hook = skip_illegal;
    csr_set(CSR_MENVCFG, ENVCFG_ADUE);
    has_adue = (csr_read(CSR_MENVCFG) & ENVCFG_ADUE) != 0;
    this_hart()->m_hook = NULL;
    for (unsigned i = 0; i < ARRAY_LENGTH(modes); i++) {
        group(mode_names[i]);
        if (CHECK(paging_has_mode(modes[i]))) {
            levels(modes[i]);
        }
    }
    permissions();
    mprv();
    malformed();
    accessed_dirty();
    fences();
    svinval();
    crossing();
    delegated();
    svnapot();
    random_walk();
    if (hart_count() > 1) {
        remote();
    }
}
