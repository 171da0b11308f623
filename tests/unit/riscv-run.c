/* SPDX-License-Identifier: MIT */
/*
 * Makes the machine of riscv-run.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-run.h"

/* ---- A device that takes 4 bytes and nothing else. */

static MemTxResult device_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    Machine *m = opaque;

    m->mmio_addr = offset;
    m->mmio_accesses++;
    *value = m->mmio_value;
    return MEMTX_OK;
}

static MemTxResult device_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Machine *m = opaque;

    m->mmio_addr = offset;
    m->mmio_accesses++;
    m->mmio_value = value;
    return MEMTX_OK;
}

static const MmioOps device_ops = {
    .read = device_read,
    .write = device_write,
    .valid = { .min_bytes = 4, .max_bytes = 4 },
    .lockless = true,
};

/* ---- Set-up. */

void put(Machine *m, uint64_t addr, const void *bytes, size_t length)
{
    memcpy(m->ram->host + (addr - HART_RAM_BASE), bytes, length);
    memory_note_written(m->hart->memory, addr, length);
}

void put64(Machine *m, uint64_t addr, uint64_t value)
{
    put(m, addr, &value, 8);
}

void put32(Machine *m, uint64_t addr, uint32_t value)
{
    put(m, addr, &value, 4);
}

uint64_t get64(Machine *m, uint64_t addr)
{
    uint64_t value;

    memcpy(&value, m->ram->host + (addr - HART_RAM_BASE), 8);
    return value;
}

Machine *machine_make(const char *options)
{
    Machine *m = g_new0(Machine, 1);
    GError *error = NULL;

    m->hart = hart_create(options);
    m->cpu = m->hart->cpu;
    m->ram = hart_add_ram(m->hart, HART_RAM_BASE, RAM_BYTES, false);
    assert_non_null(memory_add_mmio(m->hart->memory, "device", MMIO_BASE, 0x1000, &device_ops, m,
                                    NULL, &error));
    m->interp = rv_interp_create(&m->cpu->vcpu, false);
    hart_open_pmp(m->hart);
    hart_csrw(m->hart, 0x305, TRAP);
    PROGRAM(m, TRAP, wfi());
    m->cpu->pc = CODE;
    return m;
}

void machine_free(Machine *m)
{
    rv_interp_destroy(m->interp);
    hart_destroy(m->hart);
    g_free(m);
}

void run_from(Machine *m, uint64_t pc)
{
    m->cpu->pc = pc;
    m->cpu->priv = RV_PRIV_M;
    orr_store_release(&m->cpu->vcpu.exit_request, 0u);
    assert_int_equal(rv_interp_run(m->interp), VCPU_EXIT_HALTED);
    assert_true(m->cpu->vcpu.halted);
    m->cpu->vcpu.halted = false;
}

void assert_trap(Machine *m, unsigned cause, uint64_t epc, uint64_t tval)
{
    assert_int_equal(m->cpu->mcause, cause);
    assert_int_equal(m->cpu->mepc, epc);
    assert_int_equal(m->cpu->mtval, tval);
}

void assert_end(Machine *m, uint64_t epc)
{
    assert_trap(m, RV_CAUSE_BREAKPOINT, epc, epc);
}
