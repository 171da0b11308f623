/* SPDX-License-Identifier: MIT */
/*
 * The PLIC: gateways, priorities, thresholds, claim and completion, holes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw-fixture.h"
#include "orrery/impl/hw/plic.h"

#define PRIORITY(source) (4u * (source))
#define PENDING(word) (0x1000u + 4 * (word))
#define ENABLE(context, word) (0x2000u + 0x80 * (context) + 4 * (word))
#define THRESHOLD(context) (0x200000u + 0x1000 * (context))
#define CLAIM(context) (0x200004u + 0x1000 * (context))

static Device *plic;

static int setup(void **state)
{
    hw_fixture_setup(state);
    plic = hw_fixture_add(*state, PLIC_CLASS, "num-sources=96,num-harts=4");
    return 0;
}

static void raise_line(unsigned source, int level)
{
    irq_set(device_irq_in(plic, source), level);
}

static void enable(HwFixture *f, unsigned context, unsigned source, unsigned priority)
{
    hwaddr word = ENABLE(context, source / 32);

    hw_write_ok(f, word, 4, hw_read_ok(f, word, 4) | 1u << (source % 32));
    hw_write_ok(f, PRIORITY(source), 4, priority);
}

static void a_request_goes_its_way(void **state)
{
    HwFixture *f = *state;

    enable(f, 1, 10, 1);
    assert_int_equal(f->level[PLIC_OUTPUT_S(0)], 0);
    raise_line(10, 1);
    assert_int_equal(f->level[PLIC_OUTPUT_S(0)], 1);
    assert_int_equal(f->level[PLIC_OUTPUT_M(0)], 0);
    assert_int_equal(hw_read_ok(f, PENDING(0), 4), 1 << 10);
    assert_int_equal(hw_read_ok(f, CLAIM(0), 4), 0);
    assert_int_equal(hw_read_ok(f, CLAIM(1), 4), 10);
    assert_int_equal(f->level[PLIC_OUTPUT_S(0)], 0);
    assert_int_equal(hw_read_ok(f, PENDING(0), 4), 0);
    assert_int_equal(hw_read_ok(f, CLAIM(1), 4), 0);
    /* Still high when the handler is done: again. */
    hw_write_ok(f, CLAIM(1), 4, 10);
    assert_int_equal(f->level[PLIC_OUTPUT_S(0)], 1);
    assert_int_equal(hw_read_ok(f, CLAIM(1), 4), 10);
    raise_line(10, 0);
    hw_write_ok(f, CLAIM(1), 4, 10);
    assert_int_equal(f->level[PLIC_OUTPUT_S(0)], 0);
    assert_int_equal(hw_read_ok(f, CLAIM(1), 4), 0);
}

static void a_request_outlives_its_line(void **state)
{
    HwFixture *f = *state;

    enable(f, 0, 33, 3);
    raise_line(33, 1);
    raise_line(33, 0);
    assert_int_equal(f->level[PLIC_OUTPUT_M(0)], 1);
    assert_int_equal(hw_read_ok(f, PENDING(1), 4), 2);
    assert_int_equal(hw_read_ok(f, CLAIM(0), 4), 33);
    /* Between claim and completion the gateway is shut. */
    raise_line(33, 1);
    raise_line(33, 0);
    assert_int_equal(f->level[PLIC_OUTPUT_M(0)], 0);
    hw_write_ok(f, CLAIM(0), 4, 33);
    assert_int_equal(f->level[PLIC_OUTPUT_M(0)], 0);
}

static void priorities_decide(void **state)
{
    HwFixture *f = *state;

    enable(f, 3, 5, 2);
    enable(f, 3, 64, 7);
    enable(f, 3, 7, 2);
    enable(f, 3, 95, 0);
    raise_line(7, 1);
    raise_line(5, 1);
    raise_line(64, 1);
    raise_line(95, 1);
    assert_int_equal(f->level[PLIC_OUTPUT_S(1)], 1);
    assert_int_equal(hw_read_ok(f, CLAIM(3), 4), 64);
    assert_int_equal(hw_read_ok(f, CLAIM(3), 4), 5);
    assert_int_equal(hw_read_ok(f, CLAIM(3), 4), 7);
    assert_int_equal(hw_read_ok(f, CLAIM(3), 4), 0);
    assert_int_equal(hw_read_ok(f, PENDING(2), 4), UINT32_C(1) << 31);
    hw_write_ok(f, PRIORITY(95), 4, 1);
    assert_int_equal(f->level[PLIC_OUTPUT_S(1)], 1);
}

static void thresholds_hold_back(void **state)
{
    HwFixture *f = *state;

    enable(f, 0, 1, 4);
    hw_write_ok(f, THRESHOLD(0), 4, 4);
    assert_int_equal(hw_read_ok(f, THRESHOLD(0), 4), 4);
    raise_line(1, 1);
    assert_int_equal(f->level[0], 0);
    hw_write_ok(f, THRESHOLD(0), 4, 3);
    assert_int_equal(f->level[0], 1);
    hw_write_ok(f, THRESHOLD(0), 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, THRESHOLD(0), 4), 7);
    assert_int_equal(f->level[0], 0);
    /* A claim takes it nevertheless. */
    assert_int_equal(hw_read_ok(f, CLAIM(0), 4), 1);
}

static void harts_share_a_source(void **state)
{
    HwFixture *f = *state;

    for (unsigned context = 0; context < 8; context++) {
        enable(f, context, 20, 1);
    }
    raise_line(20, 1);
    for (unsigned context = 0; context < 8; context++) {
        assert_int_equal(f->level[context], 1);
    }
    assert_int_equal(hw_read_ok(f, CLAIM(5), 4), 20);
    for (unsigned context = 0; context < 8; context++) {
        assert_int_equal(f->level[context], 0);
        assert_int_equal(hw_read_ok(f, CLAIM(context), 4), 0);
    }
}

static void only_enabled_sources_complete(void **state)
{
    HwFixture *f = *state;

    enable(f, 0, 9, 1);
    raise_line(9, 1);
    assert_int_equal(hw_read_ok(f, CLAIM(0), 4), 9);
    hw_write_ok(f, CLAIM(1), 4, 9);
    hw_write_ok(f, CLAIM(0), 4, 8);
    hw_write_ok(f, CLAIM(0), 4, 0);
    hw_write_ok(f, CLAIM(0), 4, 96);
    hw_write_ok(f, CLAIM(0), 4, UINT32_MAX);
    assert_int_equal(f->level[0], 0);
    hw_write_ok(f, ENABLE(0, 0), 4, 0);
    hw_write_ok(f, CLAIM(0), 4, 9);
    hw_write_ok(f, ENABLE(0, 0), 4, 1 << 9);
    assert_int_equal(f->level[0], 0);
    hw_write_ok(f, CLAIM(0), 4, 9);
    assert_int_equal(f->level[0], 1);
}

static void what_does_not_exist_reads_zero(void **state)
{
    HwFixture *f = *state;
    uint64_t value;

    hw_write_ok(f, PRIORITY(0), 4, 7);
    assert_int_equal(hw_read_ok(f, PRIORITY(0), 4), 0);
    hw_write_ok(f, PRIORITY(95), 4, 0xff);
    assert_int_equal(hw_read_ok(f, PRIORITY(95), 4), 7);
    hw_write_ok(f, PRIORITY(96), 4, 7);
    assert_int_equal(hw_read_ok(f, PRIORITY(96), 4), 0);
    hw_write_ok(f, PENDING(0), 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, PENDING(0), 4), 0);
    hw_write_ok(f, ENABLE(0, 0), 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, ENABLE(0, 0), 4), 0xfffffffe);
    hw_write_ok(f, ENABLE(0, 3), 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, ENABLE(0, 3), 4), 0);
    hw_write_ok(f, ENABLE(8, 0), 4, UINT32_MAX);
    assert_int_equal(hw_read_ok(f, ENABLE(8, 0), 4), 0);
    hw_write_ok(f, THRESHOLD(0) + 8, 4, 1);
    assert_int_equal(hw_read_ok(f, THRESHOLD(0) + 8, 4), 0);
    assert_int_equal(hw_read(f, 0, 8, &value), MEMTX_ERROR);
    assert_int_equal(hw_read(f, 0, 1, &value), MEMTX_ERROR);
    assert_int_equal(hw_read(f, 2, 4, &value), MEMTX_ERROR);
    raise_line(0, 1);
    assert_int_equal(hw_read_ok(f, PENDING(0), 4), 0);
}

static void reset_clears_it(void **state)
{
    HwFixture *f = *state;

    enable(f, 0, 9, 1);
    raise_line(9, 1);
    assert_int_equal(f->level[0], 1);
    device_env_reset(&f->env);
    assert_int_equal(f->level[0], 0);
    assert_int_equal(hw_read_ok(f, ENABLE(0, 0), 4), 0);
    assert_int_equal(hw_read_ok(f, PRIORITY(9), 4), 0);
    assert_int_equal(hw_read_ok(f, PENDING(0), 4), 0);
}

static void wild_accesses_are_survived(void **state)
{
    for (unsigned source = 0; source < 96; source++) {
        raise_line(source, source % 3 != 0);
    }
    hw_torture(*state, 0x2600, 200000);
    hw_torture(*state, 0x208000, 100000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, hw_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_its_way),
        TEST(a_request_outlives_its_line),
        TEST(priorities_decide),
        TEST(thresholds_hold_back),
        TEST(harts_share_a_source),
        TEST(only_enabled_sources_complete),
        TEST(what_does_not_exist_reads_zero),
        TEST(reset_clears_it),
        TEST(wild_accesses_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
