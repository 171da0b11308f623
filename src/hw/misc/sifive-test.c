/* SPDX-License-Identifier: MIT */
/*
 * SiFive's test finisher, which boards offer as a syscon for power-off and reset: the guest says
 * how its run ended by writing one word.
 */
#include "hw/hw-classes.h"
#include "orrery/impl/device.h"
#include "trace/trace-hw.h"

enum {
    TEST_FAIL = 0x3333, /* with an exit code in the upper half */
    TEST_PASS = 0x5555,
    TEST_RESET = 0x7777,
    TEST_BYTES = 0x1000,
};

static MemTxResult test_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    *value = 0;
    return MEMTX_OK;
}

static MemTxResult test_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Device *dev = opaque;
    int code = (int)((value >> 16) & 0xff);

    if (offset == 0 && (value & 0xffff) == TEST_PASS) {
        trace_hw_guest_exit(0);
        system_shutdown_request(dev->env->cpus, "guest", 0);
    } else if (offset == 0 && (value & 0xffff) == TEST_FAIL) {
        code = code ? code : 1; /* a failure is not to look like success */
        trace_hw_guest_exit(code);
        system_shutdown_request(dev->env->cpus, "guest failure", code);
    } else if (offset == 0 && (value & 0xffff) == TEST_RESET) {
        system_reset_request(dev->env->cpus, "guest");
    } else if (orr_log_on(dev->env->log, LOG_GUEST_ERROR)) {
        orr_log(dev->env->log, "%s: 0x%" G_GINT64_MODIFIER "x means nothing at 0x%x\n", dev->id,
                value, (unsigned)offset);
    }
    return MEMTX_OK;
}

static const MmioOps test_ops = {
    .read = test_read,
    .write = test_write,
    .valid = { .min_bytes = 2, .max_bytes = 4 },
};

static bool test_realize(Device *dev, GError **error)
{
    device_init_region(dev, "registers", &test_ops, TEST_BYTES);
    return true;
}

const DeviceClass sifive_test_class = {
    .name = "sifive-test",
    .summary = "SiFive test finisher: power-off, reset, exit code",
    .instance_bytes = sizeof(Device),
    .realize = test_realize,
};
