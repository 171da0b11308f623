/* SPDX-License-Identifier: MIT */
/*
 * The goldfish clock and the test finisher.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw-fixture.h"
#include "orrery/impl/host-clock.h"

enum {
    TIME_LOW = 0x00,
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08,
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18,
    CLEAR_INTERRUPT = 0x1c,
};

#define HOUR_NS (INT64_C(3600) * 1000000000)

static int setup(void **state)
{
    hw_fixture_setup(state);
    hw_fixture_add(*state, "goldfish-rtc", NULL);
    return 0;
}

static uint64_t read_time(HwFixture *f)
{
    uint64_t low = hw_read_ok(f, TIME_LOW, 4);

    return low | hw_read_ok(f, TIME_HIGH, 4) << 32;
}

static void write_time(HwFixture *f, uint64_t ns)
{
    hw_write_ok(f, TIME_HIGH, 4, ns >> 32);
    hw_write_ok(f, TIME_LOW, 4, ns & UINT32_MAX);
}

static void write_alarm(HwFixture *f, uint64_t ns)
{
    hw_write_ok(f, ALARM_HIGH, 4, ns >> 32);
    hw_write_ok(f, ALARM_LOW, 4, ns & UINT32_MAX);
}

static void it_is_now(void **state)
{
    HwFixture *f = *state;
    int64_t before = host_realtime_ns();
    int64_t seen = (int64_t)read_time(f);
    int64_t after = host_realtime_ns();

    assert_true(seen >= before - HOUR_NS && seen <= after + HOUR_NS);
}

static void the_guest_may_set_it(void **state)
{
    HwFixture *f = *state;
    uint64_t seen;

    write_time(f, UINT64_C(1000) * HOUR_NS);
    seen = read_time(f);
    assert_true(seen >= UINT64_C(1000) * HOUR_NS && seen < UINT64_C(1001) * HOUR_NS);
    device_env_reset(&f->env);
    assert_true(read_time(f) >= seen);
}

static void a_past_alarm_rings_at_once(void **state)
{
    HwFixture *f = *state;

    write_alarm(f, read_time(f) - 1);
    assert_int_equal(hw_read_ok(f, ALARM_STATUS, 4), 0);
    assert_int_equal(f->level[0], 0);
    hw_write_ok(f, IRQ_ENABLED, 4, 1);
    assert_int_equal(f->level[0], 1);
    hw_write_ok(f, CLEAR_INTERRUPT, 4, 1);
    assert_int_equal(f->level[0], 0);
}

static bool is_ringing(void *opaque)
{
    return ((HwFixture *)opaque)->level[0];
}

static void an_alarm_rings_when_it_is_time(void **state)
{
    HwFixture *f = *state;

    hw_write_ok(f, IRQ_ENABLED, 4, 1);
    write_alarm(f, read_time(f) + 1000000);
    hw_run_until(f, is_ringing, f);
    assert_int_equal(hw_read_ok(f, ALARM_STATUS, 4), 0);
}

static void setting_the_time_reaches_the_alarm(void **state)
{
    HwFixture *f = *state;
    uint64_t then = read_time(f) + HOUR_NS;

    hw_write_ok(f, IRQ_ENABLED, 4, 1);
    write_alarm(f, then);
    assert_int_equal(hw_read_ok(f, ALARM_STATUS, 4), 1);
    assert_int_equal(hw_read_ok(f, ALARM_LOW, 4), then & UINT32_MAX);
    assert_int_equal(hw_read_ok(f, ALARM_HIGH, 4), then >> 32);
    write_time(f, then + 1);
    assert_int_equal(f->level[0], 1);
    hw_write_ok(f, CLEAR_INTERRUPT, 4, 1);
    write_alarm(f, then + HOUR_NS);
    hw_write_ok(f, CLEAR_ALARM, 4, 1);
    assert_int_equal(hw_read_ok(f, ALARM_STATUS, 4), 0);
}

static void wild_accesses_are_survived(void **state)
{
    HwFixture *f = *state;
    uint64_t value;

    hw_torture(f, 0x30, 50000);
    assert_int_equal(hw_read(f, 0, 8, &value), MEMTX_ERROR);
    for (unsigned i = 0; i < 100; i++) {
        main_loop_iterate(f->cpus, false);
    }
}

static void finish(void **state, uint64_t value, unsigned size, int code)
{
    HwFixture *f = *state;

    hw_fixture_add(f, "sifive-test", NULL);
    hw_write_ok(f, 0, size, value);
    assert_int_equal(main_loop_run(f->cpus, false, false), code);
}

static void a_pass_ends_with_zero(void **state)
{
    finish(state, 0x5555, 4, 0);
}

static void a_failure_ends_with_its_code(void **state)
{
    finish(state, 0x00073333, 4, 7);
}

static void a_failure_is_never_zero(void **state)
{
    finish(state, 0x3333, 2, 1);
}

static void other_words_mean_nothing(void **state)
{
    HwFixture *f = *state;
    uint64_t value;

    hw_fixture_add(f, "sifive-test", NULL);
    hw_write_ok(f, 0, 4, 0x1234);
    hw_write_ok(f, 8, 4, 0x5555);
    assert_int_equal(hw_read_ok(f, 0, 4), 0);
    assert_int_equal(hw_write(f, 0, 8, 0x5555), MEMTX_ERROR);
    assert_int_equal(hw_read(f, 0, 1, &value), MEMTX_ERROR);
    hw_write_ok(f, 0, 4, 0x00023333);
    assert_int_equal(main_loop_run(f->cpus, false, false), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, hw_fixture_teardown)
#define BARE(name) cmocka_unit_test_setup_teardown(name, hw_fixture_setup, hw_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_now),
        TEST(the_guest_may_set_it),
        TEST(a_past_alarm_rings_at_once),
        TEST(an_alarm_rings_when_it_is_time),
        TEST(setting_the_time_reaches_the_alarm),
        TEST(wild_accesses_are_survived),
        BARE(a_pass_ends_with_zero),
        BARE(a_failure_ends_with_its_code),
        BARE(a_failure_is_never_zero),
        BARE(other_words_mean_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
