/* SPDX-License-Identifier: MIT */
/*
 * Random regions and a small machine to run them on, for any host back end. The idea to hold: a region is
 * a function of its seed, and what it does is a function of region and start state; so two ways
 * of compiling it must leave the same RandomResult, also where it faults in the middle.
 *
 * The machine: registers in RandomEnv; eight pages of memory at RANDOM_BASE, of which the first six are
 * in the TLB, the seventh always takes the slow path, the eighth faults, as all the rest does. Every region
 * ends: edges back count down the register RANDOM_FUEL.
 */
#ifndef ORRERY_TESTS_TCG_RANDOM_IR_H
#define ORRERY_TESTS_TCG_RANDOM_IR_H

#include "tcg/host.h"

#define RANDOM_INTS 16
#define RANDOM_FLOATS 8
#define RANDOM_FUEL 15     /* number of the global that edges back count down */
#define RANDOM_POINTERS 13 /* this one and the next mostly point into memory */
#define RANDOM_BASE UINT64_C(0x10000)
#define RANDOM_PAGES 8
#define RANDOM_HEAT 1 /* number of a counter that a region may count down at its entry */

typedef struct RandomEnv {
    uint64_t x[RANDOM_INTS];
    uint64_t f[RANDOM_FLOATS];
    uint64_t count, pc;
    uint32_t exit_request, zero;
} RandomEnv;

typedef struct RandomResult {
    RandomEnv env;
    uint8_t memory[RANDOM_PAGES << TCG_PAGE_BITS];
    uint32_t reason; /* TcgExitReason */
    uint32_t flags;  /* of floating point: sticky bits of MXCSR without that of denormals */
    uint64_t slow;   /* times that memory came to C */
    uint64_t fault;  /* address, or 0 */
} RandomResult;

extern const IrTarget random_ir_target;

/* What a region is made of. */
enum {
    RANDOM_IR_INT = 1, /* always there */
    RANDOM_IR_FP = 2,
    RANDOM_IR_MEMORY = 4,
    RANDOM_IR_CALLS = 8,
    RANDOM_IR_BRANCHES = 16, /* more than one block; loops */
    RANDOM_IR_ALL = 31,
};

/* Fills the region (which is reset): finished and well formed. */
void random_ir_region(IrRegion *region, uint64_t seed, unsigned parts);

/* The machine, for one host; features may be NULL for what the CPU has. */
typedef struct RandomMachine RandomMachine;
RandomMachine *random_machine_create(const TcgHost *host, const TcgHostFeatures *features,
                                     const TcgFpu *fpu);
void random_machine_destroy(RandomMachine *machine);

/*
 * Analyses the region, allocates (with this fuzz seed), emits and runs it from the start state of
 * state_seed. That also decides after how many slow accesses one faults, or asks to leave.
 */
void random_machine_run(RandomMachine *machine, IrRegion *region, uint64_t allocation_seed,
                        uint64_t state_seed, RandomResult *out);

/* NULL when they are the same, else the first difference (g_free). */
char *random_result_compare(const RandomResult *expected, const RandomResult *got);

#endif
