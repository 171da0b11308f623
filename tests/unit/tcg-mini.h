/* SPDX-License-Identifier: MIT */
/*
 * As little of a run time as translated riscv64 code needs: regions are made when they are first reached and
 * kept until forgotten, every access to memory is slow. The idea to hold: a test runs one program on
 * the machine of riscv-run.h by translation, and on another by the interpreter, and compares.
 */
#ifndef ORRERY_TESTS_UNIT_TCG_MINI_H
#define ORRERY_TESTS_UNIT_TCG_MINI_H

#include "riscv-run.h"
#include "target/riscv/tcg/target.h"
#include "tcg/runtime.h"

typedef struct Mini Mini;

typedef struct MiniOptions {
    const TcgHost *host;
    unsigned tier, max_insns;
    uint64_t fuzz_seed; /* of register allocation */
    TcgHostFeatures features;
    bool optimise;
    bool print; /* each region, to stdout */
} MiniOptions;

/* Translates the code of this machine's hart. What rv_helpers want is in the same file. */
Mini *mini_create(Machine *m, const MiniOptions *options);
void mini_destroy(Mini *mini);

/* Changes options and forgets all regions. */
void mini_reset(Mini *mini, const MiniOptions *options);

/* Runs from the hart's pc until a helper stops it; what it said. Pauses and yields are gone through. */
VcpuExit mini_run(Mini *mini);

/* Regions made, guest instructions in them, operations in them before and after passes. */
typedef struct MiniStats {
    uint64_t regions, insns, ops, ops_left;
} MiniStats;

const MiniStats *mini_stats(const Mini *mini);

/* Calls of tcg_flush_* and tcg_fence_i. */
extern _Thread_local unsigned mini_flushes, mini_fences;

#endif
