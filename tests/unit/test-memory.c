/* SPDX-License-Identifier: MIT */
/*
 * The map, access sizes, transfers, the re-entrancy guard, the dirty log and the promise of
 * ram_note_write. Devices are recorders: they note each call and answer with their offsets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "orrery/impl/memory.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(16) * 4096)
#define DEV_BASE UINT64_C(0x10000000)
#define DEV_BYTES 0x100

typedef struct Recorder {
    GString *calls;
    Memory *memory; /* to touch from inside a handler */
    hwaddr touch;
    MemTxResult touched;
    MemRegion *remove;
    MemTxResult answer;
} Recorder;

typedef struct Fixture {
    Memory *memory;
    RamBlock *ram;
    MemRegion *region;
    Recorder recorder;
    IoGuard guard;
    MmioOps ops;
} Fixture;

static void in_handler(Recorder *r)
{
    uint8_t byte;

    if (r->touch) {
        r->touched = memory_read(r->memory, r->touch, &byte, 1);
    }
    if (r->remove) {
        memory_remove(r->memory, r->remove);
        r->remove = NULL;
    }
}

static MemTxResult record_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    Recorder *r = opaque;

    g_string_append_printf(r->calls, "r%u@%x ", size, (unsigned)offset);
    in_handler(r);
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        *value |= ((offset + i) & 0xff) << (8 * i);
    }
    return r->answer;
}

static MemTxResult record_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Recorder *r = opaque;

    g_string_append_printf(r->calls, "w%u@%x=%" G_GINT64_MODIFIER "x ", size, (unsigned)offset,
                           value);
    in_handler(r);
    return r->answer;
}

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->memory = memory_create();
    f->recorder.calls = g_string_new(NULL);
    f->recorder.memory = f->memory;
    f->guard.owner = "recorder";
    f->ops = (MmioOps){ .read = record_read, .write = record_write };
    f->ram = memory_add_ram(f->memory, "ram", RAM_BASE, RAM_BYTES, false, NULL);
    f->region = memory_add_mmio(f->memory, "recorder", DEV_BASE, DEV_BYTES, &f->ops, &f->recorder,
                                &f->guard, NULL);
    assert_non_null(f->ram);
    assert_non_null(f->region);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    memory_destroy(f->memory);
    g_string_free(f->recorder.calls, TRUE);
    g_free(f);
    return 0;
}

static void expect_calls(Fixture *f, const char *calls)
{
    assert_string_equal(f->recorder.calls->str, calls);
    g_string_truncate(f->recorder.calls, 0);
}

static MemTxResult dev_read(Fixture *f, hwaddr offset, unsigned size, uint64_t *value)
{
    MemSection section;

    assert_true(memory_find(f->memory, DEV_BASE + offset, &section));
    return mmio_read(&section, -1, size, value);
}

static MemTxResult dev_write(Fixture *f, hwaddr offset, unsigned size, uint64_t value)
{
    MemSection section;

    assert_true(memory_find(f->memory, DEV_BASE + offset, &section));
    return mmio_write(&section, -1, size, value);
}

/* ---- The map. */

static void sections_are_found(void **state)
{
    Fixture *f = *state;
    MemSection section;
    uint32_t token = memory_read_enter(f->memory);

    assert_true(memory_find(f->memory, RAM_BASE, &section));
    assert_ptr_equal(section.ram, f->ram);
    assert_int_equal(section.offset, 0);
    assert_int_equal(section.remaining_bytes, RAM_BYTES);
    assert_true(memory_find(f->memory, RAM_BASE + RAM_BYTES - 1, &section));
    assert_int_equal(section.remaining_bytes, 1);
    assert_false(memory_find(f->memory, RAM_BASE + RAM_BYTES, &section));
    assert_false(memory_find(f->memory, RAM_BASE - 1, &section));
    assert_true(memory_find(f->memory, DEV_BASE + 5, &section));
    assert_null(section.ram);
    assert_int_equal(section.offset, 5);
    assert_string_equal(mem_region_name(section.region), "recorder");
    assert_true(mem_region_base(section.region) == DEV_BASE);
    assert_false(mem_region_lockless(section.region));
    assert_false(memory_find(f->memory, 0, &section));
    assert_false(memory_find(f->memory, UINT64_MAX, &section));
    memory_read_exit(f->memory, token);
}

static void expect_overlap(Fixture *f, hwaddr base, uint64_t size, const char *other)
{
    GError *error = NULL;

    assert_null(memory_add_mmio(f->memory, "new", base, size, &f->ops, &f->recorder, NULL, &error));
    assert_non_null(strstr(error->message, "'new'"));
    assert_non_null(strstr(error->message, other));
    g_error_free(error);
}

static void overlaps_are_refused(void **state)
{
    Fixture *f = *state;
    MemRegion *region;
    GError *error = NULL;

    expect_overlap(f, DEV_BASE, 1, "recorder");
    expect_overlap(f, DEV_BASE - 1, 2, "recorder");
    expect_overlap(f, DEV_BASE + DEV_BYTES - 1, 100, "recorder");
    expect_overlap(f, 0, DEV_BASE * 2, "recorder");
    expect_overlap(f, RAM_BASE + 4096, 16, "ram");
    expect_overlap(f, UINT64_MAX, 2, "address space");
    expect_overlap(f, 4096, 0, "address space");
    assert_null(memory_add_ram(f->memory, "odd", 100, 4096, false, &error));
    g_clear_error(&error);
    assert_null(memory_add_ram(f->memory, "none", 4096, 0, false, &error));
    g_clear_error(&error);
    assert_null(memory_add_ram(f->memory, "vast", 0, UINT64_C(1) << 63, false, &error));
    assert_non_null(strstr(error->message, "vast"));
    g_clear_error(&error);
    /* Neighbours, and both ends of the space, are fine. */
    region = memory_add_mmio(f->memory, "after", DEV_BASE + DEV_BYTES, 1, &f->ops, &f->recorder,
                             NULL, NULL);
    assert_non_null(region);
    assert_non_null(
        memory_add_mmio(f->memory, "before", DEV_BASE - 1, 1, &f->ops, &f->recorder, NULL, NULL));
    assert_non_null(
        memory_add_mmio(f->memory, "last", UINT64_MAX, 1, &f->ops, &f->recorder, NULL, NULL));
    assert_non_null(memory_add_mmio(f->memory, "first", 0, 1, &f->ops, &f->recorder, NULL, NULL));
    memory_remove(f->memory, region);
    assert_non_null(memory_add_mmio(f->memory, "again", DEV_BASE + DEV_BYTES, 16, &f->ops,
                                    &f->recorder, NULL, NULL));
}

typedef struct Listened {
    unsigned added, removed, changed;
    RamBlock *block;
} Listened;

static void on_added(void *opaque, hwaddr base, RamBlock *block)
{
    ((Listened *)opaque)->added++;
    ((Listened *)opaque)->block = block;
}

static void on_removed(void *opaque, hwaddr base, RamBlock *block)
{
    ((Listened *)opaque)->removed++;
}

static void on_changed(void *opaque)
{
    ((Listened *)opaque)->changed++;
}

static void listeners_hear_of_changes(void **state)
{
    Fixture *f = *state;
    Listened heard = { 0 };
    MemoryListener listener = { .ram_added = on_added,
                                .ram_removed = on_removed,
                                .map_changed = on_changed,
                                .opaque = &heard };
    MemSection section;

    memory_add_listener(f->memory, &listener);
    assert_int_equal(heard.added, 1);
    assert_ptr_equal(heard.block, f->ram);
    assert_int_equal(heard.changed, 0);
    memory_remove(f->memory, f->region);
    assert_int_equal(heard.changed, 1);
    assert_int_equal(heard.removed, 0);
    assert_true(memory_find(f->memory, RAM_BASE, &section));
    memory_remove(f->memory, section.region);
    assert_int_equal(heard.removed, 1);
    memory_remove_listener(f->memory, &listener);
    assert_non_null(memory_add_ram(f->memory, "other", 0, 4096, false, NULL));
    assert_int_equal(heard.added, 1);
    assert_int_equal(heard.changed, 2);
}

typedef struct MapRace {
    Fixture *f;
    bool ending;
} MapRace;

static void *look_up(void *data)
{
    MapRace *race = data;

    while (!orr_load_acquire(&race->ending)) {
        MemSection section;
        uint32_t token = memory_read_enter(race->f->memory);

        if (memory_find(race->f->memory, 0x5000, &section)) {
            assert_string_equal(mem_region_name(section.region), "comes and goes");
        }
        assert_true(memory_find(race->f->memory, RAM_BASE, &section));
        memory_read_exit(race->f->memory, token);
    }
    return NULL;
}

static void readers_survive_changes(void **state)
{
    MapRace race = { .f = *state };
    pthread_t reader[2];

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&reader[i], NULL, look_up, &race), 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        memory_remove(race.f->memory, memory_add_mmio(race.f->memory, "comes and goes", 0x5000, 16,
                                                      &race.f->ops, &race.f->recorder, NULL, NULL));
    }
    orr_store_release(&race.ending, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(reader[i], NULL);
    }
}

/* ---- Access sizes. */

static void plain_accesses_pass(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    assert_int_equal(dev_read(f, 0x10, 1, &value), MEMTX_OK);
    assert_int_equal(value, 0x10);
    assert_int_equal(dev_read(f, 0x10, 8, &value), MEMTX_OK);
    assert_true(value == UINT64_C(0x1716151413121110));
    assert_int_equal(dev_write(f, 0x20, 2, 0x1234567), MEMTX_OK);
    expect_calls(f, "r1@10 r8@10 w2@20=4567 ");
}

static void invalid_accesses_do_not(void **state)
{
    Fixture *f = *state;
    uint64_t value = 1;

    f->ops.valid.min_bytes = 2;
    f->ops.valid.max_bytes = 4;
    assert_int_equal(dev_read(f, 0, 1, &value), MEMTX_ERROR);
    assert_int_equal(value, 0);
    assert_int_equal(dev_read(f, 0, 8, &value), MEMTX_ERROR);
    assert_int_equal(dev_read(f, 0, 3, &value), MEMTX_ERROR);
    assert_int_equal(dev_read(f, 0, 0, &value), MEMTX_ERROR);
    assert_int_equal(dev_read(f, 0, 16, &value), MEMTX_ERROR);
    assert_int_equal(dev_write(f, 1, 2, 0), MEMTX_ERROR);
    assert_int_equal(dev_write(f, 2, 4, 0), MEMTX_ERROR);
    assert_int_equal(dev_write(f, DEV_BYTES - 2, 4, 0), MEMTX_ERROR);
    expect_calls(f, "");
    assert_int_equal(dev_write(f, DEV_BYTES - 2, 2, 0), MEMTX_OK);
    f->recorder.answer = MEMTX_ERROR;
    assert_int_equal(dev_read(f, 0, 4, &value), MEMTX_ERROR);
    assert_int_equal(value, 0);
    expect_calls(f, "w2@fe=0 r4@0 ");
}

static void missing_handlers_are_errors(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    f->ops.read = NULL;
    f->ops.write = NULL;
    assert_int_equal(dev_read(f, 0, 4, &value), MEMTX_ERROR);
    assert_int_equal(dev_write(f, 0, 4, 1), MEMTX_ERROR);
}

static void wide_accesses_are_split(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    f->ops.impl.max_bytes = 2;
    assert_int_equal(dev_read(f, 0x10, 8, &value), MEMTX_OK);
    assert_true(value == UINT64_C(0x1716151413121110));
    assert_int_equal(dev_write(f, 0x10, 4, 0xaabbccdd), MEMTX_OK);
    expect_calls(f, "r2@10 r2@12 r2@14 r2@16 w2@10=ccdd w2@12=aabb ");
}

static void narrow_accesses_are_widened(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    f->ops.impl.min_bytes = 4;
    f->ops.impl.max_bytes = 4;
    assert_int_equal(dev_read(f, 0x13, 1, &value), MEMTX_OK);
    assert_int_equal(value, 0x13);
    assert_int_equal(dev_read(f, 0x12, 2, &value), MEMTX_OK);
    assert_int_equal(value, 0x1312);
    assert_int_equal(dev_write(f, 0x11, 1, 0xab), MEMTX_OK);
    assert_int_equal(dev_read(f, 0x10, 8, &value), MEMTX_OK);
    assert_true(value == UINT64_C(0x1716151413121110));
    expect_calls(f, "r4@10 r4@10 w4@10=ab00 r4@10 r4@14 ");
}

static void unaligned_accesses_fall_apart(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    f->ops.valid.unaligned = true;
    f->ops.impl.max_bytes = 4;
    assert_int_equal(dev_read(f, 0x11, 4, &value), MEMTX_OK);
    assert_int_equal(value, 0x14131211);
    expect_calls(f, "r1@11 r2@12 r1@14 ");
    f->ops.impl.min_bytes = 4;
    assert_int_equal(dev_read(f, 0x11, 4, &value), MEMTX_OK);
    assert_int_equal(value, 0x14131211);
    assert_int_equal(dev_write(f, 0x13, 2, 0xbbaa), MEMTX_OK);
    expect_calls(f, "r4@10 r4@14 w4@10=aa000000 w4@14=bb ");
}

/* Each size, offset and pair of limits: bytes arrive where they belong. */
static void every_combination_reads_right(void **state)
{
    Fixture *f = *state;

    f->ops.valid.unaligned = true;
    for (unsigned min = 1; min <= 8; min *= 2) {
        for (unsigned max = min; max <= 8; max *= 2) {
            f->ops.impl.min_bytes = min;
            f->ops.impl.max_bytes = max;
            for (unsigned size = 1; size <= 8; size *= 2) {
                for (unsigned offset = 0; offset + size <= 32; offset++) {
                    uint64_t value, expected = 0;

                    for (unsigned i = 0; i < size; i++) {
                        expected |= (uint64_t)(offset + i) << (8 * i);
                    }
                    assert_int_equal(dev_read(f, offset, size, &value), MEMTX_OK);
                    assert_true(value == expected);
                }
            }
        }
    }
}

static void widening_stops_at_the_end(void **state)
{
    Fixture *f = *state;
    uint64_t value;

    f->ops.impl.min_bytes = 4;
    memory_remove(f->memory, f->region);
    f->region =
        memory_add_mmio(f->memory, "recorder", DEV_BASE, 6, &f->ops, &f->recorder, &f->guard, NULL);
    assert_int_equal(dev_read(f, 5, 1, &value), MEMTX_ERROR);
    assert_int_equal(dev_write(f, 4, 2, 1), MEMTX_ERROR);
    expect_calls(f, "");
}

/* ---- Re-entrancy. */

static void a_device_cannot_reach_itself(void **state)
{
    Fixture *f = *state;
    Recorder other = { .calls = g_string_new(NULL), .memory = f->memory };
    IoGuard other_guard = { .owner = "other" };
    uint64_t value;
    uint8_t byte;
    bool before;

    f->recorder.touch = DEV_BASE;
    assert_int_equal(dev_write(f, 0, 4, 1), MEMTX_OK);
    assert_int_equal(f->recorder.touched, MEMTX_REENTRY);
    expect_calls(f, "w4@0=1 ");
    /* By way of another one neither. */
    assert_non_null(
        memory_add_mmio(f->memory, "other", 0x1000, 16, &f->ops, &other, &other_guard, NULL));
    f->recorder.touch = 0x1000;
    other.touch = DEV_BASE;
    assert_int_equal(dev_read(f, 0, 4, &value), MEMTX_OK);
    assert_int_equal(f->recorder.touched, MEMTX_OK);
    assert_int_equal(other.touched, MEMTX_REENTRY);
    assert_string_equal(other.calls->str, "r1@0 ");
    expect_calls(f, "r4@0 ");
    assert_false(f->guard.engaged || other_guard.engaged);
    /* Nor from a completion that engages the guard itself. */
    f->recorder.touch = 0;
    before = io_guard_engage(&f->guard);
    assert_int_equal(memory_read(f->memory, DEV_BASE, &byte, 1), MEMTX_REENTRY);
    io_guard_restore(&f->guard, before);
    assert_int_equal(memory_read(f->memory, DEV_BASE, &byte, 1), MEMTX_OK);
    g_string_free(other.calls, TRUE);
}

static void a_handler_may_remove_its_region(void **state)
{
    Fixture *f = *state;
    uint64_t value = 0;

    f->ops.impl.max_bytes = 8;
    f->recorder.remove = f->region;
    assert_int_equal(dev_read(f, 0, 4, &value), MEMTX_OK);
    assert_int_equal(value, 0x03020100);
    assert_int_equal(memory_read(f->memory, DEV_BASE, &value, 1), MEMTX_DECODE_ERROR);
}

/* ---- Transfers. */

static void transfers_cross_regions(void **state)
{
    Fixture *f = *state;
    uint8_t data[32];

    assert_non_null(memory_add_ram(f->memory, "more", RAM_BASE + RAM_BYTES, 4096, false, NULL));
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    assert_int_equal(memory_write(f->memory, RAM_BASE + RAM_BYTES - 10, data, 32), MEMTX_OK);
    memset(data, 0, sizeof(data));
    assert_int_equal(memory_read(f->memory, RAM_BASE + RAM_BYTES - 10, data, 32), MEMTX_OK);
    for (unsigned i = 0; i < sizeof(data); i++) {
        assert_int_equal(data[i], i);
    }
    assert_int_equal(f->ram->host[RAM_BYTES - 1], 9);
    assert_null(memory_host_ptr(f->memory, RAM_BASE + RAM_BYTES - 10, 32, false));
    assert_ptr_equal(memory_host_ptr(f->memory, RAM_BASE + 16, RAM_BYTES - 16, true),
                     f->ram->host + 16);
    assert_null(memory_host_ptr(f->memory, RAM_BASE + 16, UINT64_MAX, true));
    assert_null(memory_host_ptr(f->memory, DEV_BASE, 1, false));
}

static void transfers_reach_devices(void **state)
{
    Fixture *f = *state;
    uint8_t data[11] = { 0 };

    f->ops.valid.max_bytes = 4;
    assert_int_equal(memory_read(f->memory, DEV_BASE + 1, data, 11), MEMTX_OK);
    expect_calls(f, "r1@1 r2@2 r4@4 r4@8 ");
    for (unsigned i = 0; i < sizeof(data); i++) {
        assert_int_equal(data[i], i + 1);
    }
    assert_int_equal(memory_write(f->memory, DEV_BASE + 4, data, 4), MEMTX_OK);
    expect_calls(f, "w4@4=4030201 ");
}

static void transfers_stop_where_nothing_is(void **state)
{
    Fixture *f = *state;
    uint8_t data[16] = { 1, 2, 3, 4 };
    uint32_t word = 7;

    assert_int_equal(memory_write(f->memory, RAM_BASE + RAM_BYTES - 2, data, 4),
                     MEMTX_DECODE_ERROR);
    assert_int_equal(f->ram->host[RAM_BYTES - 1], 2);
    assert_int_equal(memory_read(f->memory, 0x1234, data, 1), MEMTX_DECODE_ERROR);
    assert_int_equal(memory_read(f->memory, 0x1234, data, 0), MEMTX_OK);
    assert_int_equal(memory_read_u32(f->memory, 0x1234, &word), MEMTX_DECODE_ERROR);
    assert_int_equal(word, 0);
    assert_int_equal(memory_read(f->memory, UINT64_MAX - 3, data, 16), MEMTX_DECODE_ERROR);
    assert_non_null(
        memory_add_mmio(f->memory, "last", UINT64_MAX - 15, 16, &f->ops, &f->recorder, NULL, NULL));
    assert_int_equal(memory_read(f->memory, UINT64_MAX - 3, data, 16), MEMTX_DECODE_ERROR);
    assert_int_equal(memory_read(f->memory, UINT64_MAX - 3, data, 4), MEMTX_OK);
    memory_note_written(f->memory, UINT64_MAX - 3, 100);
}

static void rom_keeps_its_content(void **state)
{
    Fixture *f = *state;
    uint32_t word = 0x11223344, seen;
    RamBlock *rom = memory_add_ram(f->memory, "rom", 0x1000, 4096, true, NULL);

    assert_non_null(rom);
    assert_int_equal(memory_write_rom(f->memory, 0x1000, &word, 4), MEMTX_OK);
    assert_int_equal(memory_write_u32(f->memory, 0x1000, 0), MEMTX_OK);
    assert_int_equal(memory_write_u16(f->memory, 0x1001, 0), MEMTX_OK);
    assert_int_equal(memory_write(f->memory, 0x1000, "xxxx", 4), MEMTX_OK);
    assert_int_equal(memory_read_u32(f->memory, 0x1000, &seen), MEMTX_OK);
    assert_int_equal(seen, word);
    assert_null(memory_host_ptr(f->memory, 0x1000, 4, true));
    assert_non_null(memory_host_ptr(f->memory, 0x1000, 4, false));
}

static void fixed_widths_are_little_endian(void **state)
{
    Fixture *f = *state;
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;

    assert_int_equal(memory_write_u32(f->memory, RAM_BASE + 4, 0xaabbccdd), MEMTX_OK);
    assert_int_equal(f->ram->host[4], 0xdd);
    assert_int_equal(memory_write_u16(f->memory, RAM_BASE + 9, 0x1122), MEMTX_OK);
    assert_int_equal(f->ram->host[9], 0x22);
    assert_int_equal(memory_read_u16(f->memory, RAM_BASE + 9, &u16), MEMTX_OK);
    assert_int_equal(u16, 0x1122);
    assert_int_equal(memory_read_u32(f->memory, RAM_BASE + 4, &u32), MEMTX_OK);
    assert_int_equal(u32, 0xaabbccdd);
    assert_int_equal(memory_read_u64(f->memory, RAM_BASE, &u64), MEMTX_OK);
    assert_true(u64 == UINT64_C(0xaabbccdd00000000));
    assert_int_equal(memory_read_u64(f->memory, RAM_BASE + 3, &u64), MEMTX_OK);
    assert_true(u64 == UINT64_C(0x112200aabbccdd00));
    assert_int_equal(memory_read_u32(f->memory, DEV_BASE + 4, &u32), MEMTX_OK);
    assert_int_equal(u32, 0x07060504);
}

/* ---- What writes do to flagged pages. */

static void writes_outdate_code(void **state)
{
    Fixture *f = *state;
    uint32_t version = ram_watch_code(f->ram, 0x1000);

    assert_int_equal(ram_watch_code(f->ram, 0x1ffc), version);
    assert_int_equal(memory_write_u32(f->memory, RAM_BASE + 0x2000, 1), MEMTX_OK);
    assert_int_equal(ram_page_version(f->ram, 0x1000), version);
    assert_int_equal(memory_write_u32(f->memory, RAM_BASE + 0x1004, 1), MEMTX_OK);
    assert_int_not_equal(ram_page_version(f->ram, 0x1000), version);
    /* A write that only ends on the page, and one that covers it. */
    version = ram_watch_code(f->ram, 0x1000);
    ram_note_write(f->ram, 0xffe, 4);
    assert_int_not_equal(ram_page_version(f->ram, 0x1000), version);
    version = ram_watch_code(f->ram, 0x1000);
    memory_note_written(f->memory, RAM_BASE, RAM_BYTES);
    assert_int_not_equal(ram_page_version(f->ram, 0x1000), version);
    /* Nobody decodes any more: writes get cheap again, yet a new reader is heard. */
    for (unsigned i = 0; i < 100; i++) {
        ram_note_write(f->ram, 0x1000, 8);
    }
    assert_int_equal(f->ram->page_flags[1], 0);
    version = ram_watch_code(f->ram, 0x1000);
    ram_note_write(f->ram, 0x1000, 1);
    assert_int_not_equal(ram_page_version(f->ram, 0x1000), version);
    ram_note_write_slow(f->ram, RAM_BYTES - 1, 4096);
    ram_note_write_slow(f->ram, RAM_BYTES, 4096);
}

typedef struct NoteRace {
    RamBlock *ram;
    unsigned writer; /* number of the next writer thread */
    uint32_t done[2];
    bool ending;
    uint64_t stale, refreshed;
} NoteRace;

static void *write_counts(void *data)
{
    NoteRace *race = data;
    unsigned n = __atomic_fetch_add(&race->writer, 1, __ATOMIC_RELAXED);
    uint32_t *word = (uint32_t *)race->ram->host + n;

    /* A reader that the scheduler starts late shall meet writes too. */
    for (uint32_t i = 1; i <= 300000 || orr_load_acquire(&race->refreshed) < 2; i++) {
        orr_store_relaxed(word, i);
        ram_note_write(race->ram, n * sizeof(*word), sizeof(*word));
        orr_store_release(&race->done[n], i);
    }
    return NULL;
}

/* What a version check lets pass is not older than a write that has been noted. */
static void *use_copies(void *data)
{
    NoteRace *race = data;
    uint32_t version = 0, copy[2] = { 0, 0 };
    bool have = false;

    while (!orr_load_acquire(&race->ending)) {
        uint32_t done[2] = { orr_load_acquire(&race->done[0]), orr_load_acquire(&race->done[1]) };

        if (!have || ram_page_version(race->ram, 0) != version) {
            version = ram_watch_code(race->ram, 0);
            for (unsigned i = 0; i < 2; i++) {
                copy[i] = orr_load_relaxed((uint32_t *)race->ram->host + i);
            }
            have = true;
            orr_store_release(&race->refreshed, race->refreshed + 1);
        } else if (copy[0] < done[0] || copy[1] < done[1]) {
            race->stale++;
        }
    }
    return NULL;
}

static void no_copy_outlives_a_write(void **state)
{
    Fixture *f = *state;
    NoteRace race = { .ram = f->ram };
    pthread_t writer[2], reader;

    assert_int_equal(pthread_create(&reader, NULL, use_copies, &race), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&writer[i], NULL, write_counts, &race), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(writer[i], NULL);
    }
    orr_store_release(&race.ending, true);
    pthread_join(reader, NULL);
    assert_int_equal(race.stale, 0);
    assert_true(race.refreshed >= 2);
}

/*
 * One write against one first look at a page, over and over: whichever came first, the copy that was
 * made is the new word or fails its check. Each round starts with a page that nobody watches.
 */
typedef struct FirstLook {
    RamBlock *ram;
    uint32_t round, noted;
    bool ending;
} FirstLook;

static void *write_each_round(void *data)
{
    FirstLook *look = data;

    for (uint32_t round = 1;; round++) {
        for (unsigned spins = 1; orr_load_acquire(&look->round) < round; spins++) {
            if (spins % 4096 == 0) {
                sched_yield();
            }
            if (orr_load_acquire(&look->ending)) {
                return NULL;
            }
        }
        orr_store_relaxed((uint32_t *)look->ram->host, round);
        ram_note_write(look->ram, 0, sizeof(round));
        orr_store_release(&look->noted, round);
    }
}

static void a_first_look_meets_a_write(void **state)
{
    Fixture *f = *state;
    FirstLook look = { .ram = f->ram };
    pthread_t writer;
    unsigned stale = 0;

    assert_int_equal(pthread_create(&writer, NULL, write_each_round, &look), 0);
    for (uint32_t round = 1; round <= 30000; round++) {
        uint32_t version, copy;

        orr_store_seq_cst(&f->ram->page_flags[0], (uint8_t)0);
        orr_store_release(&look.round, round);
        for (unsigned i = 0; i < round % 64; i++) {
            __asm__ volatile("");
        }
        version = ram_watch_code(f->ram, 0);
        copy = orr_load_relaxed((uint32_t *)f->ram->host);
        while (orr_load_acquire(&look.noted) < round) {
            sched_yield();
        }
        if (copy != round && ram_page_version(f->ram, 0) == version) {
            stale++;
        }
    }
    orr_store_release(&look.ending, true);
    pthread_join(writer, NULL);
    assert_int_equal(stale, 0);
}

static void the_dirty_log_has_each_page_once(void **state)
{
    Fixture *f = *state;
    uint64_t bitmap[1] = { ~UINT64_C(0) };
    uint32_t version;

    memory_note_written(f->memory, RAM_BASE, RAM_BYTES);
    ram_log_start(f->memory, f->ram);
    ram_log_fetch_and_clear(f->memory, f->ram, bitmap);
    assert_int_equal(bitmap[0], 0);
    version = ram_watch_code(f->ram, 0x3000);
    assert_int_equal(memory_write(f->memory, RAM_BASE + 0x3ffe, "abcd", 4), MEMTX_OK);
    assert_int_equal(memory_write_u16(f->memory, RAM_BASE + 0xf000, 1), MEMTX_OK);
    assert_int_equal(memory_write_u16(f->memory, RAM_BASE + 0xf002, 1), MEMTX_OK);
    assert_int_not_equal(ram_page_version(f->ram, 0x3000), version);
    ram_log_fetch_and_clear(f->memory, f->ram, bitmap);
    assert_int_equal(bitmap[0], 1 << 3 | 1 << 4 | 1 << 15);
    ram_log_fetch_and_clear(f->memory, f->ram, bitmap);
    assert_int_equal(bitmap[0], 0);
    ram_log_stop(f->memory, f->ram);
    assert_int_equal(f->ram->page_flags[0], 0);
}

static void untouched_ram_costs_nothing(void **state)
{
    Fixture *f = *state;
    unsigned char resident[64];
    GError *error = NULL;
    RamBlock *big =
        memory_add_ram(f->memory, "big", UINT64_C(1) << 40, UINT64_C(1) << 36, false, &error);

    assert_non_null(big);
    assert_int_equal(mincore(big->host, 64 * 4096, resident), 0);
    for (unsigned i = 0; i < 64; i++) {
        assert_false(resident[i] & 1);
    }
    assert_int_equal(memory_write_u32(f->memory, (UINT64_C(1) << 40) + (UINT64_C(1) << 35), 5),
                     MEMTX_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sections_are_found),
        TEST(overlaps_are_refused),
        TEST(listeners_hear_of_changes),
        TEST(readers_survive_changes),
        TEST(plain_accesses_pass),
        TEST(invalid_accesses_do_not),
        TEST(missing_handlers_are_errors),
        TEST(wide_accesses_are_split),
        TEST(narrow_accesses_are_widened),
        TEST(unaligned_accesses_fall_apart),
        TEST(every_combination_reads_right),
        TEST(widening_stops_at_the_end),
        TEST(a_device_cannot_reach_itself),
        TEST(a_handler_may_remove_its_region),
        TEST(transfers_cross_regions),
        TEST(transfers_reach_devices),
        TEST(transfers_stop_where_nothing_is),
        TEST(rom_keeps_its_content),
        TEST(fixed_widths_are_little_endian),
        TEST(writes_outdate_code),
        TEST(no_copy_outlives_a_write),
        TEST(a_first_look_meets_a_write),
        TEST(the_dirty_log_has_each_page_once),
        TEST(untouched_ram_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
