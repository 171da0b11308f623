/* SPDX-License-Identifier: MIT */
/*
 * A hart with an interpreter, RAM, and a device, for tests that run small programs. The idea to
 * hold: a program stands at CODE or elsewhere and ends in ebreak, whose trap lands on a wfi, so
 * that a run ends by itself.
 */
#ifndef ORRERY_TESTS_UNIT_RISCV_RUN_H
#define ORRERY_TESTS_UNIT_RISCV_RUN_H

#include "riscv-asm.h"
#include "riscv-hart.h"
#include "target/riscv/interp/interp.h"

#define RAM_BYTES (UINT64_C(2) << 20)
#define CODE HART_RAM_BASE
#define TRAP (HART_RAM_BASE + 0x8000) /* mtvec: wfi */
#define DATA (HART_RAM_BASE + 0x10000)
#define MMIO_BASE UINT64_C(0x10000000) /* takes 4 bytes and nothing else */

typedef struct Machine {
    Hart *hart;
    RiscvCpu *cpu;
    RvInterp *interp;
    RamBlock *ram;
    uint64_t mmio_value, mmio_addr; /* of the last access */
    unsigned mmio_accesses;
} Machine;

/* options as hart_create takes them. All privileges may do everything; mtvec is TRAP. */
Machine *machine_make(const char *options);
void machine_free(Machine *m);

/* Guest RAM, as a device would write it. */
void put(Machine *m, uint64_t addr, const void *bytes, size_t length);
void put32(Machine *m, uint64_t addr, uint32_t value);
void put64(Machine *m, uint64_t addr, uint64_t value);
uint64_t get64(Machine *m, uint64_t addr);

/* A program, ended by ebreak. */
#define PROGRAM(m_, addr_, ...)                                                                    \
    do {                                                                                           \
        const uint32_t code_[] = { __VA_ARGS__, ebreak() };                                        \
        put((m_), (addr_), code_, sizeof(code_));                                                  \
    } while (0)

/* Runs in M-mode from pc to the wfi that the program's trap leads to. */
void run_from(Machine *m, uint64_t pc);

/* What the last trap to M-mode was; the second: the program ran to its ebreak, which is at epc. */
void assert_trap(Machine *m, unsigned cause, uint64_t epc, uint64_t tval);
void assert_end(Machine *m, uint64_t epc);

#endif
