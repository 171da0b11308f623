/* SPDX-License-Identifier: MIT */
/*
 * A machine without vCPUs for tests of devices: memory, a main loop, and a guest clock that moves
 * only when a test moves it. The calling thread holds the machine lock throughout.
 */
#ifndef ORRERY_TESTS_HW_FIXTURE_H
#define ORRERY_TESTS_HW_FIXTURE_H

#include "orrery/impl/device.h"

#define HW_BASE UINT64_C(0x10000000)

typedef struct HwFixture {
    Timers *timers;
    Memory *memory;
    Cpus *cpus;
    LogSet log;
    DeviceEnv env;
    int64_t now_ns;

    /* Where a device's outputs end: levels, and how often each was driven to a level it had not. */
    IrqLine line[64];
    int level[64];
    unsigned changes[64];
} HwFixture;

HwFixture *hw_fixture_new(void);
void hw_fixture_free(HwFixture *f);

/* cmocka's set-up and tear-down with it as the state. */
int hw_fixture_setup(void **state);
int hw_fixture_teardown(void **state);

/*
 * Makes, realizes, maps (region 0 at HW_BASE) and wires a device; its properties are "a=b,c=d" or
 * NULL. Fails the test if that fails. The device has been reset.
 */
Device *hw_fixture_add(HwFixture *f, const char *driver, const char *properties);

/* One access at HW_BASE + offset; *_ok fail the test unless it is MEMTX_OK. */
MemTxResult hw_read(HwFixture *f, hwaddr offset, unsigned size, uint64_t *value);
MemTxResult hw_write(HwFixture *f, hwaddr offset, unsigned size, uint64_t value);
uint64_t hw_read_ok(HwFixture *f, hwaddr offset, unsigned size);
void hw_write_ok(HwFixture *f, hwaddr offset, unsigned size, uint64_t value);

/* Moves the guest's clock and runs the timers that became due. */
void hw_advance(HwFixture *f, int64_t ns);

/* Runs the main loop until the condition holds; fails the test after a great many rounds. */
void hw_run_until(HwFixture *f, bool (*done)(void *), void *opaque);

/*
 * Reads and writes of every size at every offset of region 0 with wild values, from a fixed seed.
 * It passes by returning.
 */
void hw_torture(HwFixture *f, uint64_t region_bytes, unsigned rounds);

#endif
