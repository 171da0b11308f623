/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers: which exist for whom, over all 4096 numbers; what a write leaves in
 * each of them; and the rules that tie them together. The idea to hold: `expected` says once more,
 * from the specification's listing, what a hart of this kind has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-hart.h"
#include "target/riscv/disas.h"

#define MSTATUS 0x300
#define SSTATUS 0x100

/* Numbers [first, last] and what a full write of ones leaves, from a value of zero. */
static const struct {
    unsigned first, last;
    uint64_t ones;
} expected[] = {
    { 0x001, 0x001, 0x1f },
    { 0x002, 0x002, 7 },
    { 0x003, 0x003, 0xff },
    { 0x100, 0x100, UINT64_C(0x80000002000c6122) },
    { 0x104, 0x104, 0 }, /* nothing is delegated */
    { 0x105, 0x105, ~UINT64_C(2) },
    { 0x106, 0x106, UINT32_MAX },
    { 0x10a, 0x10a, 0xf1 },
    { 0x140, 0x140, UINT64_MAX },
    { 0x141, 0x141, ~UINT64_C(1) },
    { 0x142, 0x143, UINT64_MAX },
    { 0x144, 0x144, 0 },
    { 0x14d, 0x14d, UINT64_MAX },
    { 0x180, 0x180, 0 }, /* mode 15 is not there */
    { 0x300, 0x300, UINT64_C(0x8000000a007e79aa) },
    { 0x301, 0x301, UINT64_C(0x800000000014112f) },
    { 0x302, 0x302, 0xb3ff },
    { 0x303, 0x303, 0x222 },
    { 0x304, 0x304, 0xaaa },
    { 0x305, 0x305, ~UINT64_C(2) },
    { 0x306, 0x306, UINT32_MAX },
    { 0x30a, 0x30a, UINT64_C(0xe0000000000000f1) },
    { 0x320, 0x320, 5 },
    { 0x323, 0x33f, 0 },
    { 0x340, 0x340, UINT64_MAX },
    { 0x341, 0x341, ~UINT64_C(1) },
    { 0x342, 0x343, UINT64_MAX },
    { 0x344, 0x344, 0x222 },
    { 0x3a0, 0x3a0, UINT64_C(0x9f9f9f9f9f9f9f9f) },
    { 0x3a2, 0x3a2, UINT64_C(0x9f9f9f9f9f9f9f9f) },
    { 0x3b0, 0x3bf, (UINT64_C(1) << 54) - 1 },
    { 0x7a0, 0x7a3, 0 },
    { 0x7a4, 0x7a4, 1 },
    { 0xb00, 0xb00, UINT64_MAX },
    { 0xb02, 0xb02, UINT64_MAX },
    { 0xb03, 0xb1f, 0 },
    { 0xc00, 0xc1f, 0 },
    { 0xf11, 0xf15, 0 },
};

static bool exists(unsigned csr, uint64_t *ones)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        if (csr >= expected[i].first && csr <= expected[i].last) {
            *ones = expected[i].ones;
            return true;
        }
    }
    return false;
}

static RvCsrResult try_read(Hart *hart, unsigned csr)
{
    uint64_t value;

    return riscv_csr_access(hart->cpu, csr, &value, false, 0, 0);
}

static RvCsrResult try_write(Hart *hart, unsigned csr, uint64_t value)
{
    return riscv_csr_access(hart->cpu, csr, NULL, true, value, UINT64_MAX);
}

/* Every number in every privilege, with all enables on: existence, privilege, read-only. */
static void test_all_numbers(void **state)
{
    static const RvPriv privs[] = { RV_PRIV_U, RV_PRIV_S, RV_PRIV_M };
    unsigned count = 0;

    for (unsigned csr = 0; csr < 4096 + 64; csr++) {
        uint64_t ones = 0;
        bool there = exists(csr, &ones);

        count += there;
        for (unsigned p = 0; p < 3; p++) {
            Hart *hart = hart_create(NULL);
            bool allowed = there && privs[p] >= ((csr >> 8) & 3);

            hart_csrw(hart, MSTATUS, RV_MSTATUS_FS);
            hart_csrw(hart, 0x306, UINT32_MAX);
            hart_csrw(hart, 0x106, UINT32_MAX);
            hart_csrw(hart, 0x30a, RV_ENVCFG_STCE);
            hart->cpu->priv = privs[p];
            assert_int_equal(try_read(hart, csr) != RV_CSR_ILLEGAL, allowed);
            assert_int_equal(try_write(hart, csr, 0) != RV_CSR_ILLEGAL, allowed && csr >> 10 != 3);
            hart_destroy(hart);
        }
    }
    assert_int_equal(count, 3 + 12 + 9 + 5 + 5 + 2 + 16 + 5 + 2 + 32 + 2 * 29);
}

/* A write of zero and of ones: what the register holds afterwards. */
static void test_extremes(void **state)
{
    for (unsigned csr = 0; csr < 0xc00; csr++) {
        uint64_t ones;
        Hart *hart;
        uint64_t zero = 0;

        if (!exists(csr, &ones)) {
            continue;
        }
        hart = hart_create(NULL);
        if (csr < 4) {
            hart_csrw(hart, MSTATUS, RV_MSTATUS_FS);
        }
        hart_csrw(hart, csr, 0);
        hart->cpu->insns++;
        switch (csr) {
        case MSTATUS:
            zero = UINT64_C(0xa00000000);
            break;
        case SSTATUS:
            zero = UINT64_C(0x200000000);
            break;
        case 0x301:
            zero = ones;
            break;
        case 0x7a4:
            zero = 1;
            break;
        default:
            break;
        }
        assert_int_equal(hart_csrr(hart, csr), zero);
        hart_csrw(hart, csr, UINT64_MAX);
        hart->cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), ones);
        hart_destroy(hart);
    }
}

/* csrrs and csrrc touch the bits of their mask and no other, in any register that holds any value. */
static void test_masks(void **state)
{
    static const unsigned plain[] = { 0x140, 0x142, 0x143, 0x14d, 0x340, 0x342, 0x343 };
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0xc5;

    for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++) {
        uint64_t value = 0, old;

        hart_csrw(hart, plain[i], 0);
        for (unsigned round = 0; round < 200; round++) {
            uint64_t bits = hart_random(&seed), mask = hart_random(&seed);

            riscv_csr_access(hart->cpu, plain[i], &old, true, bits, mask);
            assert_int_equal(old, value);
            value = (value & ~mask) | (bits & mask);
            assert_int_equal(hart_csrr(hart, plain[i]), value);
        }
    }
    hart_destroy(hart);
}

/* ---- mstatus and sstatus. */

static void check_status(Hart *hart)
{
    uint64_t m = hart_csrr(hart, MSTATUS), s = hart_csrr(hart, SSTATUS);

    assert_int_equal(m & UINT64_C(0x7ffffff0ff818655), 0); /* fields that are read-only zero */
    assert_int_equal(m >> 32 & 15, 10);
    assert_int_not_equal(m >> 11 & 3, 2);
    assert_int_equal(m >> 63, (m >> 13 & 3) == 3);
    assert_int_equal(s, m & UINT64_C(0x80000003000de762));
}

static void test_status(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x57a;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t before = hart_csrr(hart, MSTATUS), after;
        uint64_t value = hart_random(&seed);
        bool supervisor = i & 1;
        uint64_t writable = supervisor ? 0xc6122 : 0x7e79aa;

        if (!supervisor && (value >> 11 & 3) == 2) {
            writable &= ~UINT64_C(0x1800);
        }
        hart_csrw(hart, supervisor ? SSTATUS : MSTATUS, value);
        after = hart_csrr(hart, MSTATUS);
        assert_int_equal(after << 1 >> 1, ((before & ~writable) | (value & writable)) << 1 >> 1);
        check_status(hart);
    }
    hart_destroy(hart);
}

static void test_floating_point(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned fs = 0; fs < 4; fs++) {
        hart_csrw(hart, MSTATUS, (uint64_t)fs << 13);
        assert_int_equal(hart_csrr(hart, MSTATUS) >> 63, fs == 3);
        for (unsigned csr = 1; csr <= 3; csr++) {
            assert_int_equal(try_read(hart, csr) == RV_CSR_ILLEGAL, fs == 0);
            assert_int_equal(hart_csrr(hart, MSTATUS) >> 13 & 3, fs); /* reading dirties nothing */
            if (fs == 0) {
                assert_int_equal(try_write(hart, csr, 0), RV_CSR_ILLEGAL);
                continue;
            }
            assert_int_equal(try_write(hart, csr, 0), RV_CSR_OK);
            assert_int_equal(hart_csrr(hart, MSTATUS) >> 13 & 3, 3);
            assert_int_equal(hart_csrr(hart, MSTATUS) >> 63, 1);
            hart_csrw(hart, MSTATUS, (uint64_t)fs << 13);
        }
    }
    hart_csrw(hart, 0x003, 0xb5);
    assert_int_equal(hart_csrr(hart, 0x001), 0x15);
    assert_int_equal(hart_csrr(hart, 0x002), 5);
    hart_csrw(hart, 0x001, 0xff);
    hart_csrw(hart, 0x002, 0xfa);
    assert_int_equal(hart_csrr(hart, 0x003), 0x5f);
    hart_destroy(hart);

    hart = hart_create("f=off,d=off");
    hart_csrw(hart, MSTATUS, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, MSTATUS) & (RV_MSTATUS_FS | RV_MSTATUS_SD), 0);
    assert_int_equal(try_read(hart, 3), RV_CSR_ILLEGAL);
    hart_destroy(hart);
}

/* What a write of mstatus says of translations and interrupts. */
static void test_status_results(void **state)
{
    Hart *hart = hart_create(NULL);
    uint32_t version = hart->cpu->mmu_version;

    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_FS), RV_CSR_OK);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_SUM), RV_CSR_OK_MMU);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_SUM), RV_CSR_OK);
    assert_int_equal(hart_csrw(hart, SSTATUS, RV_MSTATUS_MXR), RV_CSR_OK_MMU);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_MXR | RV_MSTATUS_MPP), RV_CSR_OK);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_MPRV | RV_MSTATUS_MPP), RV_CSR_OK_MMU);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_MPRV), RV_CSR_OK_MMU);
    assert_int_equal(hart_csrw(hart, MSTATUS, 0), RV_CSR_OK_MMU);
    assert_int_equal(hart->cpu->mmu_version, version); /* none of these outdates anything */

    hart_csrw(hart, 0x304, 1 << RV_IRQ_MTI);
    riscv_set_irq(hart->cpu, RV_IRQ_MTI, 1);
    assert_int_equal(hart_csrw(hart, MSTATUS, RV_MSTATUS_MIE), RV_CSR_OK_IRQ);
    assert_int_equal(hart_csrw(hart, MSTATUS, 0), RV_CSR_OK);
    hart_csrw(hart, MSTATUS, RV_MSTATUS_MIE);
    assert_int_equal(hart_csrw(hart, 0x304, 0), RV_CSR_OK);
    assert_int_equal(hart_csrw(hart, 0x304, 1 << RV_IRQ_MTI), RV_CSR_OK_IRQ);
    hart_destroy(hart);
}

/* ---- Interrupt registers. */

static void test_interrupt_views(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0x1e;

    for (unsigned i = 0; i < 5000; i++) {
        uint64_t mideleg = hart_random(&seed), mie = hart_random(&seed), sie = hart_random(&seed);
        uint64_t mip = hart_random(&seed), sip = hart_random(&seed);

        hart_csrw(hart, 0x303, mideleg);
        mideleg &= 0x222;
        hart_csrw(hart, 0x304, mie);
        mie &= 0xaaa;
        assert_int_equal(hart_csrr(hart, 0x104), mie & mideleg);
        hart_csrw(hart, 0x104, sie);
        assert_int_equal(hart_csrr(hart, 0x304), (mie & ~mideleg) | (sie & mideleg));

        hart_csrw(hart, 0x344, mip);
        mip &= 0x222;
        assert_int_equal(hart_csrr(hart, 0x344), mip);
        assert_int_equal(hart_csrr(hart, 0x144), mip & mideleg);
        hart_csrw(hart, 0x144, sip);
        mip = (mip & ~(mideleg & 2)) | (sip & mideleg & 2);
        assert_int_equal(hart_csrr(hart, 0x344), mip);
    }
    hart_destroy(hart);
}

/* 3.1.9: the external line shows in SEIP but takes no part in a read-modify-write. */
static void test_seip(void **state)
{
    const uint64_t seip = 1 << RV_IRQ_SEI, ssip = 1 << RV_IRQ_SSI;
    Hart *hart = hart_create(NULL);
    uint64_t old;

    riscv_set_irq(hart->cpu, RV_IRQ_SEI, 1);
    riscv_csr_access(hart->cpu, 0x344, &old, true, ssip, ssip); /* csrrs mip, ssip */
    assert_int_equal(old, seip);
    assert_int_equal(hart_csrr(hart, 0x344), seip | ssip);
    riscv_set_irq(hart->cpu, RV_IRQ_SEI, 0);
    assert_int_equal(hart_csrr(hart, 0x344), ssip);

    riscv_csr_access(hart->cpu, 0x344, &old, true, seip, seip);
    riscv_set_irq(hart->cpu, RV_IRQ_SEI, 1);
    riscv_csr_access(hart->cpu, 0x344, &old, true, 0, seip); /* csrrc: the line stays */
    assert_int_equal(hart_csrr(hart, 0x344), seip | ssip);
    riscv_set_irq(hart->cpu, RV_IRQ_SEI, 0);
    assert_int_equal(hart_csrr(hart, 0x344), ssip);
    hart_destroy(hart);
}

/* ---- Counters. insns stands for what an accelerator has retired before the access. */

static void test_counters(void **state)
{
    static const unsigned csrs[] = { 0xb00, 0xb02 };
    Hart *hart = hart_create(NULL);
    RiscvCpu *cpu = hart->cpu;

    for (unsigned c = 0; c < 2; c++) {
        unsigned csr = csrs[c], user = csr + 0x100;

        cpu->insns = 1000;
        assert_int_equal(hart_csrr(hart, csr), 1000);
        assert_int_equal(hart_csrr(hart, user), 1000);

        /* A written value is what the next instruction reads. */
        hart_csrw(hart, csr, 0);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), 0);
        cpu->insns += 41;
        assert_int_equal(hart_csrr(hart, user), 41);
        hart_csrw(hart, csr, UINT64_MAX);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), UINT64_MAX);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), 0);

        /* Inhibited: the instruction that says so is the last to count. */
        hart_csrw(hart, 0x320, csr == 0xb00 ? 1 : 4);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), 1);
        cpu->insns += 100;
        assert_int_equal(hart_csrr(hart, user), 1);
        hart_csrw(hart, csr, 77);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), 77);
        hart_csrw(hart, 0x320, 0);
        cpu->insns++;
        assert_int_equal(hart_csrr(hart, csr), 77);
        cpu->insns += 3;
        assert_int_equal(hart_csrr(hart, csr), 80);
        hart_csrw(hart, 0x320, 5);
        hart_csrw(hart, 0x320, 5); /* again: nothing moves */
        assert_int_equal(hart_csrr(hart, csr), 81);
        hart_csrw(hart, 0x320, 0);
        hart_csrw(hart, csr, 0);
    }

    /* A debugger's write is no instruction. */
    assert_true(riscv_csr_poke(cpu, 0xb02, 500));
    assert_int_equal(hart_csrr(hart, 0xb02), 500);
    hart_destroy(hart);
}

/* mcounteren and scounteren, bit by bit, for all 32 counters (3.1.11, 10.1.6). */
static void test_counter_enables(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned n = 0; n < 32; n++) {
        for (unsigned bits = 0; bits < 4; bits++) {
            uint64_t m = bits & 1 ? UINT64_C(1) << n : ~(UINT64_C(1) << n);
            uint64_t s = bits & 2 ? UINT64_C(1) << n : ~(UINT64_C(1) << n);

            hart_csrw(hart, 0x306, m);
            hart_csrw(hart, 0x106, s);
            assert_int_equal(try_read(hart, 0xc00 + n), RV_CSR_OK);
            hart->cpu->priv = RV_PRIV_S;
            assert_int_equal(try_read(hart, 0xc00 + n) == RV_CSR_OK, bits & 1);
            hart->cpu->priv = RV_PRIV_U;
            assert_int_equal(try_read(hart, 0xc00 + n) == RV_CSR_OK, bits == 3);
            hart->cpu->priv = RV_PRIV_M;
        }
    }
    hart_destroy(hart);
}

static void test_stimecmp_access(void **state)
{
    Hart *hart = hart_create(NULL);

    for (unsigned bits = 0; bits < 4; bits++) {
        hart_csrw(hart, 0x306, bits & 1 ? 2 : 0);
        hart_csrw(hart, 0x30a, bits & 2 ? RV_ENVCFG_STCE : 0);
        assert_int_equal(try_read(hart, 0x14d), RV_CSR_OK);
        hart->cpu->priv = RV_PRIV_S;
        assert_int_equal(try_read(hart, 0x14d) == RV_CSR_OK, bits == 3);
        hart->cpu->priv = RV_PRIV_U;
        assert_int_equal(try_read(hart, 0x14d), RV_CSR_ILLEGAL);
        hart->cpu->priv = RV_PRIV_M;
    }
    hart_destroy(hart);

    hart = hart_create("sstc=off");
    assert_int_equal(try_read(hart, 0x14d), RV_CSR_ILLEGAL);
    hart_csrw(hart, 0x30a, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, 0x30a) >> 63, 0);
    hart_destroy(hart);
}

/* ---- Translation. */

static void try_satp(const char *options, unsigned max_mode)
{
    Hart *hart = hart_create(options);
    uint64_t held = 0;

    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t mode = 0; mode < 16; mode++) {
            uint64_t value = mode << 60 | UINT64_C(0xfedcba9876543) << round;
            bool good = mode == 0 || (mode >= 8 && mode <= max_mode);
            RvCsrResult result = hart_csrw(hart, 0x180, value);

            held = good ? value : held;
            assert_int_equal(hart_csrr(hart, 0x180), held);
            assert_int_equal(result, good ? RV_CSR_OK_MMU : RV_CSR_OK);
        }
    }
    hart_csrw(hart, 0x180, UINT64_C(0x0ffff) << 44);
    assert_int_equal(hart_csrr(hart, 0x180) >> 44, 0xffff); /* ASIDs have 16 bits */

    /* TVM closes it to S-mode. */
    hart->cpu->priv = RV_PRIV_S;
    assert_int_equal(try_read(hart, 0x180), RV_CSR_OK);
    hart->cpu->mstatus |= RV_MSTATUS_TVM;
    assert_int_equal(try_read(hart, 0x180), RV_CSR_ILLEGAL);
    assert_int_equal(try_write(hart, 0x180, 0), RV_CSR_ILLEGAL);
    hart->cpu->priv = RV_PRIV_M;
    assert_int_equal(try_read(hart, 0x180), RV_CSR_OK);
    hart_destroy(hart);
}

static void test_satp(void **state)
{
    Hart *hart;

    try_satp(NULL, 10);
    try_satp("sv57=off", 9);
    try_satp("sv48=off", 8);
    try_satp("sv39=off", 0);
    try_satp("mmu=off", 0);

    hart = hart_create("mmu=off");
    hart_csrw(hart, MSTATUS, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, MSTATUS) & RV_MSTATUS_SUM, 0);
    hart_destroy(hart);
}

static void test_envcfg(void **state)
{
    Hart *hart = hart_create(NULL);
    uint32_t version;

    assert_int_equal(hart_csrr(hart, 0x30a), RV_ENVCFG_ADUE | RV_ENVCFG_PBMTE); /* at reset */
    for (uint64_t cbie = 0; cbie < 4; cbie++) {
        for (unsigned csr = 0x10a; csr <= 0x30a; csr += 0x200) {
            uint64_t before = hart_csrr(hart, csr) >> 4 & 3;

            hart_csrw(hart, csr, cbie << 4);
            assert_int_equal(hart_csrr(hart, csr) >> 4 & 3, cbie == 2 ? before : cbie);
        }
    }
    version = hart->cpu->mmu_version;
    assert_int_equal(hart_csrw(hart, 0x30a, RV_ENVCFG_FIOM), RV_CSR_OK);
    assert_int_equal(hart->cpu->mmu_version, version);
    assert_int_equal(hart_csrw(hart, 0x30a, RV_ENVCFG_ADUE), RV_CSR_OK_MMU);
    assert_int_not_equal(hart->cpu->mmu_version, version);
    version = hart->cpu->mmu_version;
    assert_int_equal(hart_csrw(hart, 0x30a, RV_ENVCFG_ADUE | RV_ENVCFG_PBMTE), RV_CSR_OK_MMU);
    assert_int_not_equal(hart->cpu->mmu_version, version);
    hart_destroy(hart);

    hart = hart_create("svadu=off,svpbmt=off,zicbom=off,zicboz=off,sstc=off");
    assert_int_equal(hart_csrr(hart, 0x30a), 0);
    hart_csrw(hart, 0x30a, UINT64_MAX);
    hart_csrw(hart, 0x10a, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, 0x30a), RV_ENVCFG_FIOM);
    assert_int_equal(hart_csrr(hart, 0x10a), RV_ENVCFG_FIOM);
    hart_destroy(hart);
}

static void test_epc_and_misa(void **state)
{
    Hart *hart = hart_create("c=off");

    hart_csrw(hart, 0x341, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, 0x341), ~UINT64_C(3));
    hart_csrw(hart, 0x141, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, 0x141), ~UINT64_C(3));
    assert_int_equal(hart_csrr(hart, 0x301) & 4, 0);
    hart_csrw(hart, 0x301, UINT64_MAX);
    assert_int_equal(hart_csrr(hart, 0x301), UINT64_C(0x800000000014112b));
    hart_destroy(hart);

    hart = hart_create("zba=off,m=off,a=off");
    assert_int_equal(hart_csrr(hart, 0x301), UINT64_C(0x800000000014012c));
    hart_destroy(hart);
}

/* ---- The debugger's side, and what hangs together by name. */

static void test_registers(void **state)
{
    const TargetOps *ops = &riscv64_target_ops;
    Hart *hart = hart_create(NULL);
    Vcpu *vcpu = &hart->cpu->vcpu;
    unsigned csrs = 0;

    hart->cpu->priv = RV_PRIV_U; /* privilege is no matter here */
    for (unsigned reg = 0; reg < ops->reg_count; reg++) {
        const TargetReg *info = &ops->regs[reg];

        assert_int_equal(info->bits, 64);
        if (strcmp(info->group, "csr") != 0) {
            assert_true(ops->write_reg(vcpu, reg, 0x1234567890abcdf0));
            assert_int_equal(ops->read_reg(vcpu, reg), reg == 0 ? 0 : 0x1234567890abcdf0);
            continue;
        }
        csrs++;
        ops->write_reg(vcpu, reg, UINT64_MAX);
        ops->read_reg(vcpu, reg);
    }
    assert_int_equal(hart->cpu->x[0], 0);
    assert_string_equal(ops->regs[32].name, "pc");
    for (unsigned i = 0; i < 32; i++) {
        assert_string_equal(ops->regs[i].name, i == 8 ? "fp" : rv_reg_name(i));
        assert_string_equal(ops->regs[33 + i].name, rv_freg_name(i));
    }
    assert_int_equal(ops->read_reg(vcpu, ops->reg_count), 0);
    assert_false(ops->write_reg(vcpu, ops->reg_count, 0));
    assert_int_equal(ops->reg_count, 65 + csrs);

    /* The list here and the disassembler's agree on every name. */
    hart->cpu->mscratch = 0x11;
    hart->cpu->mhartid = 0x22;
    for (unsigned csr = 0; csr < 4096; csr++) {
        uint64_t value;
        unsigned reg = 65;

        if (!exists(csr, &value)) {
            assert_false(riscv_csr_peek(hart->cpu, csr, &value));
            continue;
        }
        while (reg < ops->reg_count && strcmp(ops->regs[reg].name, rv_csr_name(csr)) != 0) {
            reg++;
        }
        assert_true(reg < ops->reg_count);
        assert_true(riscv_csr_peek(hart->cpu, csr, &value));
        assert_int_equal(ops->read_reg(vcpu, reg), value);
        csrs--;
    }
    assert_int_equal(csrs, 0);
    hart_destroy(hart);
}

static void test_dump(void **state)
{
    Hart *hart = hart_create(NULL);
    GString *text = g_string_new(NULL);

    hart->cpu->pc = 0x80001234;
    hart->cpu->x[2] = 0xabc;
    riscv64_target_ops.dump_state(&hart->cpu->vcpu, text);
    assert_non_null(strstr(text->str, " pc       0000000080001234\n"));
    assert_non_null(strstr(text->str, " mstatus  0000000a00000000\n"));
    assert_non_null(strstr(text->str, " x2/sp    0000000000000abc"));
    assert_non_null(strstr(text->str, " f31/ft11 0000000000000000\n"));
    g_string_free(text, TRUE);
    hart_destroy(hart);
}

static void collect(void *opaque, const char *property, const void *data, size_t length_bytes)
{
    g_hash_table_insert(opaque, g_strdup(property), g_strndup(data, length_bytes));
}

static void test_describe(void **state)
{
    Hart *hart = hart_create("zbc=off,svadu=off,sv57=off");
    GHashTable *node = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    riscv64_target_ops.describe(&hart->cpu->vcpu, collect, node);
    assert_string_equal(g_hash_table_lookup(node, "riscv,isa"),
                        "rv64imafdc_zicbom_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zihpm_"
                        "zawrs_zba_zbb_zbs_sstc_svinval_svnapot_svpbmt");
    assert_string_equal(g_hash_table_lookup(node, "mmu-type"), "riscv,sv48");
    assert_string_equal(g_hash_table_lookup(node, "device_type"), "cpu");
    hart_destroy(hart);

    /* What hangs on something that is off is not announced. */
    hart = hart_create("mmu=off,a=off,f=off,d=off,c=off");
    riscv64_target_ops.describe(&hart->cpu->vcpu, collect, node);
    assert_string_equal(g_hash_table_lookup(node, "riscv,isa"),
                        "rv64im_zicbom_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zihpm_"
                        "zba_zbb_zbc_zbs_sstc");
    assert_string_equal(g_hash_table_lookup(node, "mmu-type"), "riscv,none");
    g_hash_table_destroy(node);
    hart_destroy(hart);
}

static void test_models(void **state)
{
    Hart *hart = hart_create(NULL);
    Vcpu *vcpu = &hart->cpu->vcpu;
    GError *error = NULL;

    assert_false(riscv64_target_ops.vcpu_init(vcpu, "rv32", &error));
    assert_non_null(strstr(error->message, "'rv32'"));
    g_clear_error(&error);
    hart->cpu->feature.f = false;
    assert_false(riscv64_target_ops.vcpu_realize(vcpu, &error));
    assert_non_null(strstr(error->message, "d=off"));
    g_clear_error(&error);
    assert_ptr_equal(target_find("riscv64"), &riscv64_target_ops);
    assert_null(target_find("riscv32"));
    hart_destroy(hart);
}

static void test_disas(void **state)
{
    static const uint8_t bytes[] = { 0x73, 0x25, 0x40, 0xf1, 0x01, 0x11, 0xff, 0xff, 0xff, 0xff };
    Hart *hart = hart_create(NULL);
    Vcpu *vcpu = &hart->cpu->vcpu;
    char text[64];

    assert_int_equal(riscv64_target_ops.disas(vcpu, 0, bytes, 10, text, sizeof(text)), 4);
    assert_string_equal(text, "csrrs a0,mhartid,zero");
    assert_int_equal(riscv64_target_ops.disas(vcpu, 0, bytes + 4, 2, text, sizeof(text)), 2);
    assert_int_equal(riscv64_target_ops.disas(vcpu, 0, bytes, 3, text, sizeof(text)), 0);
    assert_int_equal(riscv64_target_ops.disas(vcpu, 0, bytes, 1, text, sizeof(text)), 0);
    assert_int_equal(riscv64_target_ops.disas(vcpu, 0, bytes + 6, 4, text, sizeof(text)), 0);
    hart_destroy(hart);
}

/* Reset leaves nothing of what a guest wrote; random accesses never end the program. */
static void test_reset_after_nonsense(void **state)
{
    Hart *hart = hart_create(NULL);
    uint64_t seed = 0xbad;
    GString *fresh = g_string_new(NULL), *again = g_string_new(NULL);

    riscv64_target_ops.dump_state(&hart->cpu->vcpu, fresh);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t old;
        unsigned csr = hart_random(&seed) & 4095;

        hart->cpu->insns = hart_random(&seed);
        hart->cpu->priv = (uint8_t[]){ 0, 1, 3, 3 }[hart_random(&seed) >> 62];
        riscv_csr_access(hart->cpu, csr, &old, hart_random(&seed) & 1, hart_random(&seed),
                         hart_random(&seed));
        if (i % 1024 == 0) {
            hart_set_time(hart, (int64_t)(hart_random(&seed) >> 1));
        }
    }
    riscv64_target_ops.vcpu_reset(&hart->cpu->vcpu);
    riscv64_target_ops.dump_state(&hart->cpu->vcpu, again);
    assert_string_equal(fresh->str, again->str);
    assert_false(timer_armed(&hart->cpu->stimer));
    for (unsigned csr = 0; csr < 0xc00; csr++) {
        Hart *other = hart_create(NULL);
        uint64_t value = 0, want = 0;

        if (riscv_csr_peek(hart->cpu, csr, &value)) {
            riscv_csr_peek(other->cpu, csr, &want);
            assert_int_equal(value, want);
        }
        hart_destroy(other);
    }
    g_string_free(fresh, TRUE);
    g_string_free(again, TRUE);
    hart_destroy(hart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_numbers),     cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_masks),           cmocka_unit_test(test_status),
        cmocka_unit_test(test_floating_point),  cmocka_unit_test(test_status_results),
        cmocka_unit_test(test_interrupt_views), cmocka_unit_test(test_seip),
        cmocka_unit_test(test_counters),        cmocka_unit_test(test_counter_enables),
        cmocka_unit_test(test_stimecmp_access), cmocka_unit_test(test_satp),
        cmocka_unit_test(test_envcfg),          cmocka_unit_test(test_epc_and_misa),
        cmocka_unit_test(test_registers),       cmocka_unit_test(test_dump),
        cmocka_unit_test(test_describe),        cmocka_unit_test(test_models),
        cmocka_unit_test(test_disas),           cmocka_unit_test(test_reset_after_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
