/* SPDX-License-Identifier: MIT */
/*
 * CLINT and ACLINT: time, compares, software interrupts, halves of registers, holes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "hw-fixture.h"
#include "orrery/impl/hw/clint.h"

#define MTIMECMP(hart) (0x4000u + 8 * (hart))
#define MTIME 0xbff8u
#define NS_PER_TICK 100

static int setup(void **state)
{
    hw_fixture_setup(state);
    hw_fixture_add(*state, CLINT_CLASS, "num-harts=3");
    return 0;
}

static void time_is_the_guests(void **state)
{
    HwFixture *f = *state;

    assert_int_equal(hw_read_ok(f, MTIME, 8), 0);
    hw_advance(f, 12345 * NS_PER_TICK + 99);
    assert_int_equal(hw_read_ok(f, MTIME, 8), 12345);
    hw_advance(f, 1);
    assert_int_equal(hw_read_ok(f, MTIME, 8), 12346);
    hw_advance(f, (INT64_C(5) << 32) * NS_PER_TICK);
    assert_int_equal(hw_read_ok(f, MTIME, 4), 12346);
    assert_int_equal(hw_read_ok(f, MTIME + 4, 4), 5);
    hw_write_ok(f, MTIME, 8, 1);
    assert_int_equal(hw_read_ok(f, MTIME + 4, 4), 5);
}

static void a_compare_fires_not_before(void **state)
{
    HwFixture *f = *state;

    hw_write_ok(f, MTIMECMP(1), 8, 10);
    hw_advance(f, 10 * NS_PER_TICK - 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 0);
    hw_advance(f, 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(0)], 0);
    assert_int_equal(f->level[CLINT_OUTPUT_MSI(1)], 0);
    hw_write_ok(f, MTIMECMP(1), 8, 20);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 0);
    assert_int_equal(hw_read_ok(f, MTIMECMP(1), 8), 20);
    hw_write_ok(f, MTIMECMP(1), 8, 0);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 1);
    hw_write_ok(f, MTIMECMP(1), 8, UINT64_MAX);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 0);
    hw_advance(f, INT64_C(1) << 60);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(1)], 0);
}

static void a_compare_is_written_in_halves(void **state)
{
    HwFixture *f = *state;

    hw_advance(f, 1000 * NS_PER_TICK);
    hw_write_ok(f, MTIMECMP(0), 4, UINT32_MAX);
    hw_write_ok(f, MTIMECMP(0) + 4, 4, 0);
    assert_int_equal(f->changes[CLINT_OUTPUT_MTI(0)], 0);
    hw_write_ok(f, MTIMECMP(0), 4, 2000);
    assert_int_equal(hw_read_ok(f, MTIMECMP(0), 8), 2000);
    assert_int_equal(hw_read_ok(f, MTIMECMP(0) + 4, 4), 0);
    hw_advance(f, 1000 * NS_PER_TICK);
    assert_int_equal(f->level[CLINT_OUTPUT_MTI(0)], 1);
}

static void software_interrupts_have_one_bit(void **state)
{
    HwFixture *f = *state;
    uint64_t value;

    hw_write_ok(f, 4, 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, 4, 4), 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MSI(1)], 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MSI(0)], 0);
    hw_write_ok(f, 4, 4, UINT32_MAX - 1);
    assert_int_equal(f->level[CLINT_OUTPUT_MSI(1)], 0);
    assert_int_equal(hw_read(f, 0, 8, &value), MEMTX_ERROR);
    assert_int_equal(hw_write(f, 0, 8, 1), MEMTX_ERROR);
    assert_int_equal(hw_write(f, 0, 2, 1), MEMTX_ERROR);
}

static void absent_harts_are_ignored(void **state)
{
    HwFixture *f = *state;

    hw_write_ok(f, 4 * 3, 4, 1);
    assert_int_equal(hw_read_ok(f, 4 * 3, 4), 0);
    hw_write_ok(f, MTIMECMP(3), 8, 1);
    assert_int_equal(hw_read_ok(f, MTIMECMP(3), 8), 0);
    hw_write_ok(f, 0xfff8, 8, 1);
    assert_int_equal(hw_read_ok(f, 0xfff8, 8), 0);
    assert_int_equal(hw_read_ok(f, MTIME - 8, 8), 0);
}

static void reset_silences_it(void **state)
{
    HwFixture *f = *state;

    hw_write_ok(f, 0, 4, 1);
    hw_write_ok(f, MTIMECMP(0), 8, 0);
    assert_int_equal(f->level[0] + f->level[1], 2);
    device_env_reset(&f->env);
    assert_int_equal(f->level[0] + f->level[1], 0);
    assert_true(hw_read_ok(f, MTIMECMP(0), 8) == UINT64_MAX);
}

static void aclint_devices_are_windows_of_it(void **state)
{
    HwFixture *f = *state;
    uint64_t value;

    hw_fixture_add(f, ACLINT_MTIMER_CLASS, "num-harts=2");
    hw_advance(f, 77 * NS_PER_TICK);
    assert_int_equal(hw_read_ok(f, 0x7ff8, 8), 77);
    hw_write_ok(f, 8, 8, 78);
    hw_advance(f, NS_PER_TICK);
    assert_int_equal(f->level[1], 1);
    assert_int_equal(f->level[0], 0);
    assert_int_equal(hw_read(f, 0x8000, 8, &value), MEMTX_DECODE_ERROR);
}

static void aclint_mswi(void **state)
{
    HwFixture *f = *state;

    hw_fixture_add(f, ACLINT_MSWI_CLASS, "num-harts=2");
    hw_write_ok(f, 4, 4, 1);
    assert_int_equal(f->level[1], 1);
    assert_int_equal(hw_write(f, 0, 8, 1), MEMTX_ERROR);
}

static void aclint_sswi_is_an_edge(void **state)
{
    HwFixture *f = *state;

    hw_fixture_add(f, ACLINT_SSWI_CLASS, "num-harts=2");
    hw_write_ok(f, 4, 4, 0);
    assert_int_equal(f->level[1], 0);
    hw_write_ok(f, 4, 4, 1);
    assert_int_equal(f->level[1], 1);
    assert_int_equal(hw_read_ok(f, 4, 4), 0);
    hw_write_ok(f, 8, 4, 1);
}

typedef struct Racer {
    HwFixture *f;
    unsigned hart;
} Racer;

/* As a vCPU would: without the machine lock, inside a read section. */
static void access_lockless(HwFixture *f, hwaddr offset, bool write, uint64_t value)
{
    uint32_t token = memory_read_enter(f->memory);
    MemSection section;

    assert_true(memory_find(f->memory, HW_BASE + offset, &section));
    assert_true(mem_region_lockless(section.region));
    if (write) {
        mmio_write(&section, 0, 8, value);
    } else {
        mmio_read(&section, 0, 8, &value);
    }
    memory_read_exit(f->memory, token);
}

static void *program_compares(void *data)
{
    Racer *racer = data;

    for (unsigned i = 0; i < 20000; i++) {
        access_lockless(racer->f, MTIME, false, 0);
        access_lockless(racer->f, MTIMECMP(racer->hart), true, i % 200);
    }
    access_lockless(racer->f, MTIMECMP(racer->hart), true, UINT64_MAX);
    return NULL;
}

static void harts_need_no_machine_lock(void **state)
{
    HwFixture *f = *state;
    Racer racer[3];
    pthread_t thread[3];

    for (unsigned n = 0; n < 3; n++) {
        racer[n] = (Racer){ f, n };
        assert_int_equal(pthread_create(&thread[n], NULL, program_compares, &racer[n]), 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        hw_advance(f, NS_PER_TICK);
    }
    for (unsigned n = 0; n < 3; n++) {
        pthread_join(thread[n], NULL);
        assert_int_equal(f->level[CLINT_OUTPUT_MTI(n)], 0);
    }
}

static void wild_accesses_are_survived(void **state)
{
    hw_torture(*state, 0x10010, 200000);
    hw_torture(*state, 0x20, 20000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, hw_fixture_teardown)
#define BARE(name) cmocka_unit_test_setup_teardown(name, hw_fixture_setup, hw_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(time_is_the_guests),
        TEST(a_compare_fires_not_before),
        TEST(a_compare_is_written_in_halves),
        TEST(software_interrupts_have_one_bit),
        TEST(absent_harts_are_ignored),
        TEST(reset_silences_it),
        BARE(aclint_devices_are_windows_of_it),
        BARE(aclint_mswi),
        BARE(aclint_sswi_is_an_edge),
        TEST(harts_need_no_machine_lock),
        TEST(wild_accesses_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
