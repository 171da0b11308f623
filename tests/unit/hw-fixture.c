/* SPDX-License-Identifier: MIT */
/*
 * The machine without vCPUs of hw-fixture.h.
 */
#include "hw-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t fixture_clock(void *opaque)
{
    return orr_load_relaxed(&((HwFixture *)opaque)->now_ns);
}

static void set_fixture_clock(void *opaque, int64_t ns)
{
    orr_store_relaxed(&((HwFixture *)opaque)->now_ns, ns);
}

static void set_level(void *opaque, unsigned n, int level)
{
    HwFixture *f = opaque;

    if (f->level[n] != level) {
        f->level[n] = level;
        f->changes[n]++;
    }
}

HwFixture *hw_fixture_new(void)
{
    HwFixture *f = g_new0(HwFixture, 1);
    TimersHooks hooks = {
        .virtual_clock = fixture_clock,
        .set_virtual_clock = set_fixture_clock,
        .opaque = f,
        .stepped = true,
    };

    f->timers = timers_create();
    f->memory = memory_create();
    f->cpus = cpus_create(f->timers, f->memory, &f->log);
    timers_set_hooks(f->timers, &hooks);
    machine_lock(f->cpus);
    clocks_start(f->timers);
    device_env_init(&f->env, f->cpus, f->memory, f->timers, &f->log);
    for (unsigned n = 0; n < G_N_ELEMENTS(f->line); n++) {
        f->line[n] = (IrqLine){ .set = set_level, .opaque = f, .n = n };
    }
    return f;
}

void hw_fixture_free(HwFixture *f)
{
    device_env_finish(&f->env);
    machine_unlock(f->cpus);
    cpus_destroy(f->cpus);
    memory_destroy(f->memory);
    timers_destroy(f->timers);
    g_free(f);
}

int hw_fixture_setup(void **state)
{
    *state = hw_fixture_new();
    return 0;
}

int hw_fixture_teardown(void **state)
{
    hw_fixture_free(*state);
    return 0;
}

Device *hw_fixture_add(HwFixture *f, const char *driver, const char *properties)
{
    GError *error = NULL;
    const DeviceClass *cls = device_class_get(driver, &error);
    Device *dev = cls ? device_create(&f->env, cls, NULL, &error) : NULL;
    GArray *pairs = orr_split_options(properties ? properties : "", NULL);

    for (guint i = 0; dev && i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        device_set_prop(dev, pair->key, pair->value, &error);
    }
    g_array_free(pairs, TRUE);
    if (!dev || error || !device_realize(dev, &error) || !device_map(dev, 0, HW_BASE, &error)) {
        fail_msg("%s: %s", driver, error->message);
    }
    for (unsigned n = 0; n < MIN(dev->irq_out_count, G_N_ELEMENTS(f->line)); n++) {
        device_connect_irq(dev, n, &f->line[n]);
    }
    device_env_reset(&f->env);
    return dev;
}

MemTxResult hw_read(HwFixture *f, hwaddr offset, unsigned size, uint64_t *value)
{
    MemSection section;

    *value = 0;
    return memory_find(f->memory, HW_BASE + offset, &section) ? mmio_read(&section, -1, size, value)
                                                              : MEMTX_DECODE_ERROR;
}

MemTxResult hw_write(HwFixture *f, hwaddr offset, unsigned size, uint64_t value)
{
    MemSection section;

    return memory_find(f->memory, HW_BASE + offset, &section)
               ? mmio_write(&section, -1, size, value)
               : MEMTX_DECODE_ERROR;
}

uint64_t hw_read_ok(HwFixture *f, hwaddr offset, unsigned size)
{
    uint64_t value;

    assert_int_equal(hw_read(f, offset, size, &value), MEMTX_OK);
    return value;
}

void hw_write_ok(HwFixture *f, hwaddr offset, unsigned size, uint64_t value)
{
    assert_int_equal(hw_write(f, offset, size, value), MEMTX_OK);
}

/* clock_step_to releases nothing; lockless timers run as on the main loop. */
void hw_advance(HwFixture *f, int64_t ns)
{
    clock_step_to(f->timers, f->now_ns + ns);
}

void hw_run_until(HwFixture *f, bool (*done)(void *), void *opaque)
{
    for (unsigned i = 0; i < 1000000 && !done(opaque); i++) {
        main_loop_iterate(f->cpus, true);
    }
    assert_true(done(opaque));
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void hw_torture(HwFixture *f, uint64_t region_bytes, unsigned rounds)
{
    static const uint64_t wild[] = { 0, 1, 0x80, 0xff, 0xffff, UINT32_MAX, INT64_MAX, UINT64_MAX };
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t r = next_random(&random);
        unsigned size = 1u << (r % 4);
        hwaddr offset = (next_random(&random) % region_bytes) & ~(hwaddr)(r & 16 ? 0 : size - 1);
        uint64_t value = r & 32 ? next_random(&random) : wild[(r >> 8) % G_N_ELEMENTS(wild)];

        if (r & 64) {
            hw_write(f, offset, size, value);
        } else {
            hw_read(f, offset, size, &value);
        }
        if (i % 64 == 0) {
            hw_advance(f, (int64_t)(r % 100000));
        }
    }
}
