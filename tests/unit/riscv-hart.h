/* SPDX-License-Identifier: MIT */
/*
 * One riscv64 hart without a machine around it, for unit tests: real memory and timers, a clock that
 * the test sets, and an accelerator that only counts what it is told. The idea to hold: tests speak
 * to the hart as an accelerator would.
 */
#ifndef ORRERY_TESTS_UNIT_RISCV_HART_H
#define ORRERY_TESTS_UNIT_RISCV_HART_H

#include "target/riscv/cpu.h"

#define HART_RAM_BASE UINT64_C(0x80000000)

typedef struct Hart {
    RiscvCpu *cpu;
    Memory *memory;
    Timers *timers;
    int64_t now_ns;      /* of the virtual clock; atomic */
    unsigned interrupts; /* calls of handle_interrupt; atomic */
} Hart;

/* options as after `-cpu rv64,`: "svadu=off,pmp=off", or NULL. A mistake in them ends the test. */
Hart *hart_create(const char *options);
void hart_destroy(Hart *hart);

/* RAM or ROM of the hart's memory. */
RamBlock *hart_add_ram(Hart *hart, uint64_t base, uint64_t size_bytes, bool readonly);

/* Moves the clock and runs the timers that became due. */
void hart_set_time(Hart *hart, int64_t now_ns);

/* Writes the whole of a CSR as csrrw in the hart's privilege would; the result must not be illegal. */
RvCsrResult hart_csrw(Hart *hart, unsigned csr, uint64_t value);
uint64_t hart_csrr(Hart *hart, unsigned csr);

/* One entry that lets every privilege do everything. */
void hart_open_pmp(Hart *hart);

/* A small generator with a fixed seed: failures repeat. */
uint64_t hart_random(uint64_t *state);

#endif
