/* SPDX-License-Identifier: MIT */
/*
 * PMP against an oracle that knows only single bytes: which entry covers this byte, by the words of
 * privileged spec 3.7.1, tried entry by entry. The idea to hold: the oracle has no ranges, so an
 * error in turning registers into ranges shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-hart.h"

enum {
    OFF,
    TOR,
    NA4,
    NAPOT,
};

static const RvAccess accesses[] = { RV_ACCESS_LOAD, RV_ACCESS_STORE, RV_ACCESS_FETCH };
static const RvPriv privs[] = { RV_PRIV_U, RV_PRIV_S, RV_PRIV_M };

static void set_entry(Hart *hart, unsigned entry, uint8_t cfg, uint64_t addr)
{
    hart->cpu->pmpcfg[entry] = cfg;
    hart->cpu->pmpaddr[entry] = addr;
}

static bool byte_matches(const RiscvCpu *cpu, unsigned entry, uint64_t byte)
{
    uint64_t addr = cpu->pmpaddr[entry];
    unsigned trailing = 0;

    switch ((cpu->pmpcfg[entry] >> 3) & 3) {
    case TOR:
        return byte >> 2 < addr && (entry == 0 || byte >> 2 >= cpu->pmpaddr[entry - 1]);
    case NA4:
        return byte >> 2 == addr;
    case NAPOT:
        while (trailing < 54 && (addr >> trailing & 1)) {
            trailing++;
        }
        /* yyyy...0 is 8 bytes, y..01 16, and so on: the base is what stands left of the zero. */
        return (byte >> 2) >> (trailing + 1) == addr >> (trailing + 1);
    default:
        return false;
    }
}

static bool oracle(const RiscvCpu *cpu, uint64_t paddr, unsigned size, RvAccess access, RvPriv priv)
{
    for (unsigned entry = 0; entry < RV_PMP_COUNT; entry++) {
        unsigned matching = 0;
        uint8_t cfg = cpu->pmpcfg[entry];

        for (unsigned i = 0; i < size; i++) {
            matching += byte_matches(cpu, entry, paddr + i);
        }
        if (matching == 0) {
            continue;
        }
        if (matching < size) {
            return false;
        }
        if (priv == RV_PRIV_M && !(cfg & 0x80)) {
            return true;
        }
        switch (access) {
        case RV_ACCESS_LOAD:
            return cfg & 1;
        case RV_ACCESS_STORE:
            return cfg & 2;
        default:
            return cfg & 4;
        }
    }
    return priv == RV_PRIV_M;
}

static void compare(Hart *hart, uint64_t paddr, unsigned size)
{
    for (unsigned a = 0; a < G_N_ELEMENTS(accesses); a++) {
        for (unsigned p = 0; p < G_N_ELEMENTS(privs); p++) {
            bool want = oracle(hart->cpu, paddr, size, accesses[a], privs[p]);
            bool have = riscv_pmp_check(hart->cpu, paddr, size, accesses[a], privs[p]);

            if (want != have) {
                fail_msg("paddr 0x%" G_GINT64_MODIFIER "x size %u access %u priv %u: %d", paddr,
                         size, accesses[a], privs[p], have);
            }
        }
    }
}

/* Every mode, address and lower bound in a space of 128 bytes, every byte, every size. */
static void test_one_entry(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned mode = OFF; mode <= NAPOT; mode++) {
        for (uint64_t addr = 0; addr < 32; addr++) {
            for (uint64_t below = 0; below < (mode == TOR ? 32 : 1); below++) {
                set_entry(hart, 2, 0, below);
                set_entry(hart, 3, (uint8_t)(mode << 3 | 0x05 | 0x80), addr);
                riscv_state_changed(hart->cpu);
                for (uint64_t paddr = 0; paddr < 160; paddr++) {
                    for (unsigned size = 1; size <= 8; size *= 2) {
                        compare(hart, paddr, size);
                    }
                }
            }
        }
    }
    hart_destroy(hart);
}

static void test_permissions(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned cfg = 0; cfg < 256; cfg++) {
        set_entry(hart, 0, (uint8_t)(cfg & 0x9f), 0x20);
        riscv_state_changed(hart->cpu);
        for (uint64_t paddr = 0x70; paddr < 0xa0; paddr++) {
            compare(hart, paddr, 1);
            compare(hart, paddr, 8);
        }
    }
    hart_destroy(hart);
}

static void random_entries(Hart *hart, uint64_t *seed, uint64_t words)
{
    for (unsigned entry = 0; entry < RV_PMP_COUNT; entry++) {
        uint64_t random = hart_random(seed);
        uint64_t addr = hart_random(seed) % words;

        if (random >> 60 == 0) {
            addr = (UINT64_C(1) << (random >> 8 & 63) % 55) - 1;
        }
        if (random >> 60 == 1) {
            addr |= (UINT64_C(1) << (random >> 8) % 12) - 1;
        }
        set_entry(hart, entry, (uint8_t)(random & 0x9f), addr);
        if (random >> 56 & 3) {
            hart->cpu->pmpcfg[entry] &= 0x87; /* most are off, so that later ones matter */
        }
    }
    riscv_state_changed(hart->cpu);
}

static void test_many_entries(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x5eed;

    for (unsigned round = 0; round < 1500; round++) {
        random_entries(hart, &seed, 64);
        for (uint64_t paddr = 0; paddr < 256; paddr += 1 + hart_random(&seed) % 3) {
            compare(hart, paddr, 1u << hart_random(&seed) % 4);
        }
    }
    hart_destroy(hart);
}

static void test_far_addresses(void **state)
{
    static const uint64_t places[] = {
        0,
        UINT64_C(1) << 32,
        (UINT64_C(1) << 55) - 8,
        (UINT64_C(1) << 56) - 8,
        (UINT64_C(1) << 56),
        (UINT64_C(1) << 57) - 4,
        (UINT64_C(1) << 57),
        UINT64_C(1) << 63,
        UINT64_MAX - 7,
    };
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0xfa5;

    for (unsigned round = 0; round < 3000; round++) {
        random_entries(hart, &seed, UINT64_C(1) << 54);
        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
            compare(hart, places[i] + hart_random(&seed) % 8, 1);
            compare(hart, places[i], 8);
        }
    }
    /* All ones is the whole space, as the specification's table says. */
    hart_open_pmp(hart);
    hart_destroy(hart);
}

/* "Uniform" means that no access inside the page gets another verdict than its neighbour. */
static void test_page_uniform(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x9a6e;
    unsigned uniform = 0, split = 0;

    for (unsigned round = 0; round < 400; round++) {
        random_entries(hart, &seed, 4096); /* 4 pages */
        for (uint64_t page = 0; page < 5; page++) {
            bool verdict[3][3];

            if (!riscv_pmp_page_uniform(hart->cpu, page * 4096 + hart_random(&seed) % 4096)) {
                split++;
                continue;
            }
            uniform++;
            for (unsigned a = 0; a < 3; a++) {
                for (unsigned p = 0; p < 3; p++) {
                    verdict[a][p] = oracle(hart->cpu, page * 4096, 1, accesses[a], privs[p]);
                }
            }
            for (uint64_t byte = 0; byte < 4096; byte += 1 + hart_random(&seed) % 7) {
                unsigned size = 1u << hart_random(&seed) % 4;
                unsigned a = hart_random(&seed) % 3, p = hart_random(&seed) % 3;

                if (byte + size <= 4096) {
                    assert_int_equal(
                        oracle(hart->cpu, page * 4096 + byte, size, accesses[a], privs[p]),
                        verdict[a][p]);
                }
            }
        }
    }
    assert_true(uniform > 200 && split > 200);

    /* The common cases must be cacheable: an entry over everything, and none. */
    memset(hart->cpu->pmpcfg, 0, sizeof(hart->cpu->pmpcfg));
    riscv_state_changed(hart->cpu);
    assert_true(riscv_pmp_page_uniform(hart->cpu, HART_RAM_BASE));
    hart_open_pmp(hart);
    assert_true(riscv_pmp_page_uniform(hart->cpu, HART_RAM_BASE));
    hart_destroy(hart);
}

static void test_no_entries(void **state)
{
    Hart *hart = hart_create(NULL);

    assert_false(hart->cpu->pmp_active);
    for (unsigned a = 0; a < 3; a++) {
        assert_true(riscv_pmp_check(hart->cpu, 0x1000, 8, accesses[a], RV_PRIV_M));
        assert_false(riscv_pmp_check(hart->cpu, 0x1000, 8, accesses[a], RV_PRIV_S));
        assert_false(riscv_pmp_check(hart->cpu, 0x1000, 8, accesses[a], RV_PRIV_U));
    }
    hart_destroy(hart);

    hart = hart_create("pmp=off");
    assert_true(riscv_pmp_check(hart->cpu, 0x1000, 8, RV_ACCESS_STORE, RV_PRIV_U));
    assert_int_equal(riscv_csr_access(hart->cpu, 0x3a0, NULL, true, 0, UINT64_MAX), RV_CSR_ILLEGAL);
    assert_int_equal(riscv_csr_access(hart->cpu, 0x3b0, NULL, true, 0, UINT64_MAX), RV_CSR_ILLEGAL);
    hart_destroy(hart);
}

/* ---- The registers. */

static void test_legal_values(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned value = 0; value < 256; value++) {
        uint8_t want = value & 0x1f; /* bits 5 and 6 are read-only zero */

        if ((want & 3) == 2) {
            want &= ~2; /* W without R is reserved */
        }
        hart_csrw(hart, 0x3a2, (uint64_t)(value & 0x7f) << 56);
        assert_int_equal(hart_csrr(hart, 0x3a2), (uint64_t)want << 56);
        assert_int_equal(hart->cpu->pmpcfg[15], want);
    }
    for (unsigned entry = 0; entry < 16; entry++) {
        hart_csrw(hart, 0x3b0 + entry, UINT64_MAX);
        assert_int_equal(hart_csrr(hart, 0x3b0 + entry), (UINT64_C(1) << 54) - 1);
        hart_csrw(hart, 0x3b0 + entry, entry);
    }
    for (unsigned entry = 0; entry < 16; entry++) {
        assert_int_equal(hart_csrr(hart, 0x3b0 + entry), entry);
    }
    hart_destroy(hart);
}

static void test_locks(void **state)
{
    Hart *hart = hart_create(NULL);

    /* Entry 1 locked NAPOT: its own registers are fixed, its neighbours' are not. */
    hart_csrw(hart, 0x3b1, 0x1234);
    hart_csrw(hart, 0x3a0, 0x98 << 8);
    hart_csrw(hart, 0x3b1, 0);
    hart_csrw(hart, 0x3b0, 7);
    hart_csrw(hart, 0x3a0, 0x1f1f1f);
    assert_int_equal(hart_csrr(hart, 0x3b1), 0x1234);
    assert_int_equal(hart_csrr(hart, 0x3b0), 7);
    assert_int_equal(hart_csrr(hart, 0x3a0), 0x1f981f);

    /* Entry 5 locked TOR: the lower bound, address 4, is fixed too; configuration 4 is not. */
    hart_csrw(hart, 0x3b4, 0x40);
    hart_csrw(hart, 0x3b5, 0x80);
    hart_csrw(hart, 0x3a0, UINT64_C(0x88) << 40);
    hart_csrw(hart, 0x3b4, 0);
    hart_csrw(hart, 0x3b5, 0);
    assert_int_equal(hart_csrr(hart, 0x3b4), 0x40);
    assert_int_equal(hart_csrr(hart, 0x3b5), 0x80);
    hart_csrw(hart, 0x3a0, UINT64_C(0x1f) << 32);
    assert_int_equal(hart->cpu->pmpcfg[4], 0x1f);
    assert_int_equal(hart->cpu->pmpcfg[5], 0x88);

    /* Off but locked: M has no say about it any more, and it matches nothing. */
    hart_csrw(hart, 0x3a2, 0x87);
    hart_csrw(hart, 0x3a2, 0x1f);
    assert_int_equal(hart->cpu->pmpcfg[8], 0x87);

    /* Only reset unlocks. */
    riscv64_target_ops.vcpu_reset(&hart->cpu->vcpu);
    assert_int_equal(hart_csrr(hart, 0x3a0), 0);
    hart_csrw(hart, 0x3a0, 0x1f);
    assert_int_equal(hart_csrr(hart, 0x3a0), 0x1f);
    hart_destroy(hart);
}

/* Cached translations hold PMP's verdict, so a change must outdate them. */
static void test_staleness(void **state)
{
    Hart *hart = hart_create(NULL);
    uint32_t version = hart->cpu->mmu_version;

    assert_int_equal(hart_csrw(hart, 0x3b0, 0x1000), RV_CSR_OK_MMU);
    assert_int_not_equal(hart->cpu->mmu_version, version);
    version = hart->cpu->mmu_version;
    assert_int_equal(hart_csrw(hart, 0x3b0, 0x1000), RV_CSR_OK);
    assert_int_equal(hart->cpu->mmu_version, version);
    assert_int_equal(hart_csrw(hart, 0x3a0, 0x0f), RV_CSR_OK_MMU);
    assert_int_not_equal(hart->cpu->mmu_version, version);
    assert_true(riscv_pmp_check(hart->cpu, 0x3ff8, 8, RV_ACCESS_FETCH, RV_PRIV_U));
    assert_false(riscv_pmp_check(hart->cpu, 0x3ffc, 8, RV_ACCESS_FETCH, RV_PRIV_U));
    assert_false(riscv_pmp_check(hart->cpu, 0x4000, 8, RV_ACCESS_FETCH, RV_PRIV_U));
    hart_destroy(hart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_entry),    cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_many_entries), cmocka_unit_test(test_far_addresses),
        cmocka_unit_test(test_page_uniform), cmocka_unit_test(test_no_entries),
        cmocka_unit_test(test_legal_values), cmocka_unit_test(test_locks),
        cmocka_unit_test(test_staleness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
