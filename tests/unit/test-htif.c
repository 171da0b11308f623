/* SPDX-License-Identifier: MIT */
/*
 * HTIF as a program sees it: its page is memory, and what is written to tohost is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hw/misc/htif.h"
#include "orrery/impl/chardev.h"

#define PAGE UINT64_C(0x80001000)
#define RAM UINT64_C(0x80002000)
#define TOHOST (PAGE + 0x40)
#define FROMHOST (PAGE + 0x80)

typedef struct World {
    Timers *timers;
    Memory *memory;
    Cpus *cpus;
    DeviceEnv env;
    Device *dev;
    Chardev *console;
} World;

static int setup(void **state)
{
    World *w = g_new0(World, 1);

    w->timers = timers_create();
    w->memory = memory_create();
    w->cpus = cpus_create(w->timers, w->memory, NULL);
    machine_lock(w->cpus);
    device_env_init(&w->env, w->cpus, w->memory, w->timers, NULL);
    assert_non_null(memory_add_ram(w->memory, "ram", RAM, 0x1000, false, NULL));
    w->console = device_env_add_chardev(&w->env, "console", "ringbuf", NULL);
    assert_non_null(w->console);
    w->dev = device_create(&w->env, &riscv_htif_class, NULL, NULL);
    assert_non_null(w->dev);
    assert_true(device_realize(w->dev, NULL));
    htif_set_words(w->dev, TOHOST - PAGE, FROMHOST - PAGE, w->console);
    assert_true(device_map(w->dev, 0, PAGE, NULL));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;

    device_env_finish(&w->env);
    machine_unlock(w->cpus);
    cpus_destroy(w->cpus);
    memory_destroy(w->memory);
    timers_destroy(w->timers);
    g_free(w);
    return 0;
}

static void store(World *w, hwaddr addr, unsigned size, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    assert_int_equal(memory_write(w->memory, addr, &value, size), MEMTX_OK);
}

static uint64_t load(World *w, hwaddr addr)
{
    uint64_t value = 0;

    assert_int_equal(memory_read_u64(w->memory, addr, &value), MEMTX_OK);
    return value;
}

/* The exit code that the program asked for. */
static int ended(World *w)
{
    return main_loop_run(w->cpus, false, false);
}

static void test_page_is_memory(void **state)
{
    World *w = *state;

    for (unsigned offset = 0; offset < 0x40; offset += 8) {
        store(w, PAGE + offset, 8, UINT64_C(0x0101010101010101) * offset);
    }
    store(w, PAGE + 3, 1, 0xab);
    store(w, PAGE + 0xff8, 8, UINT64_MAX);
    assert_int_equal(load(w, PAGE), 0xab000000);
    assert_int_equal(load(w, PAGE + 0x38), UINT64_C(0x3838383838383838));
    assert_int_equal(load(w, PAGE + 0xff8), UINT64_MAX);
    assert_int_equal(load(w, TOHOST), 0);
}

static void test_pass(void **state)
{
    store(*state, TOHOST, 8, 1);
    assert_int_equal(ended(*state), 0);
}

static void test_fail(void **state)
{
    store(*state, TOHOST, 8, 5 << 1 | 1);
    assert_int_equal(ended(*state), 5);
}

/* A code whose low eight bits are zero must not look like success. */
static void test_fail_wide(void **state)
{
    store(*state, TOHOST, 8, 256 << 1 | 1);
    assert_int_equal(ended(*state), 255);
}

static void test_two_halves(void **state)
{
    World *w = *state;

    store(w, TOHOST, 4, 7);
    assert_int_equal(load(w, TOHOST), 7);
    store(w, TOHOST + 4, 4, 0);
    assert_int_equal(ended(w), 3);
}

static void test_lower_half_twice(void **state)
{
    World *w = *state;

    store(w, TOHOST, 4, 7);
    store(w, TOHOST, 4, 7);
    assert_int_equal(ended(w), 3);
}

static void assert_console(World *w, const char *text)
{
    uint8_t out[64] = { 0 };

    chardev_ringbuf_read(w->console, out, sizeof(out) - 1);
    assert_string_equal((char *)out, text);
}

static void test_putc(void **state)
{
    World *w = *state;

    for (const char *p = "Hello"; *p; p++) {
        store(w, TOHOST, 8, UINT64_C(0x0101) << 48 | (uint8_t)*p);
        assert_int_equal(load(w, TOHOST), 0);
        assert_int_equal(load(w, FROMHOST), UINT64_C(0x0101) << 48);
    }
    /* In halves, the character first: odd, but no exit. */
    store(w, TOHOST, 4, 'a');
    store(w, TOHOST + 4, 4, 0x01010000);
    assert_console(w, "Helloa");
}

static void test_write_call(void **state)
{
    World *w = *state;

    store(w, RAM, 8, 64);
    store(w, RAM + 8, 8, 1);
    store(w, RAM + 16, 8, RAM + 0x100);
    store(w, RAM + 24, 8, 4);
    assert_int_equal(memory_write(w->memory, RAM + 0x100, "text", 4), MEMTX_OK);
    store(w, TOHOST, 8, RAM);
    assert_int_equal(load(w, RAM), 4);
    assert_int_equal(load(w, FROMHOST), 1);
    assert_console(w, "text");

    store(w, RAM, 8, 64);
    store(w, RAM + 8, 8, 9);
    store(w, TOHOST, 8, RAM);
    assert_int_equal((int64_t)load(w, RAM), -9);

    store(w, RAM, 8, 64);
    store(w, RAM + 8, 8, 1);
    store(w, RAM + 16, 8, 0x10);
    store(w, TOHOST, 8, RAM);
    assert_int_equal((int64_t)load(w, RAM), -14);

    store(w, RAM, 8, 1234);
    store(w, TOHOST, 8, RAM);
    assert_int_equal((int64_t)load(w, RAM), -38);
}

static void test_exit_call(void **state)
{
    World *w = *state;

    store(w, RAM, 8, 93);
    store(w, RAM + 8, 8, 42);
    store(w, TOHOST, 8, RAM);
    assert_int_equal(ended(w), 42);
}

/* Commands that make no sense are forgotten; a call at no memory, or on the page itself, too. */
static void test_nonsense(void **state)
{
    World *w = *state;

    store(w, TOHOST, 8, UINT64_C(0x7f) << 56 | 1);
    store(w, TOHOST, 8, UINT64_C(0x0055) << 48 | 1);
    store(w, TOHOST, 8, 0x1000);
    store(w, TOHOST, 8, PAGE);
    store(w, TOHOST, 8, UINT64_C(0x0100) << 48);
    assert_int_equal(load(w, FROMHOST), 0);
    store(w, TOHOST + 3, 2, 0xffff);
    store(w, TOHOST - 4, 8, 0);
    store(w, TOHOST, 8, 3);
    assert_int_equal(ended(w), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_page_is_memory), CASE(test_pass),       CASE(test_fail),
        CASE(test_fail_wide),      CASE(test_two_halves), CASE(test_lower_half_twice),
        CASE(test_putc),           CASE(test_write_call), CASE(test_exit_call),
        CASE(test_nonsense),
    };

    return cmocka_run_group_tests_name("htif", tests, NULL, NULL);
}
