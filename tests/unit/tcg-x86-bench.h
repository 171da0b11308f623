/* SPDX-License-Identifier: MIT */
/*
 * A bench to run single operations of the x86-64 back end on. The idea to hold: allocation is by hand, so
 * that a test says where each register lives; everything else is as the run time has it.
 */
#ifndef ORRERY_TESTS_TCG_X86_BENCH_H
#define ORRERY_TESTS_TCG_X86_BENCH_H

#include "tcg/host.h"

#define BENCH_INTS 8
#define BENCH_FLOATS 8
#define BENCH_PAGE UINT64_C(0x40000) /* one page of guest memory, in the TLB */

typedef struct BenchEnv {
    uint64_t x[BENCH_INTS];
    uint64_t f[BENCH_FLOATS];
    uint64_t pc;
    uint32_t exit_request, zero;
} BenchEnv;

typedef struct X86Bench {
    TcgCpuFast fast; /* first: it is the TcgCpu */
    BenchEnv env;
    uint8_t page[4096];
    TcgViewFast *view;
    TcgCodeBuffer buffer, code; /* all of it, and what is behind the thunks */
    TcgHostFeatures features;
    TcgThunks thunks;
    TcgEmitter *emitter;
    IrRegion *region;
    IrAllocation allocation;
    TcgEmitted emitted;

    /* What C was called with. */
    unsigned lookups, links, hots, slows;
    uint64_t va, value, expected;
    uint32_t mem, slot;
    const void *go_on; /* what link and lookup return, or NULL: leave */
    uint64_t slow_value;
} X86Bench;

/* features_without: bits as in bench_features. fpu may be NULL. */
X86Bench *bench_create(unsigned features_without, const TcgFpu *fpu);
void bench_destroy(X86Bench *bench);
TcgHostFeatures bench_features(unsigned without);

/* A new region with one block begun; homes of globals: host registers, or -1 for memory. */
void bench_begin(X86Bench *bench, const int8_t *int_homes, const int8_t *float_homes);

/* Number of an x or f as an IrReg. */
IrReg bench_x(unsigned i);
IrReg bench_f(unsigned i);

/* Emits what has been built (an exit to 0x1234 is added when the block has no end), at the buffer's start. */
void bench_emit(X86Bench *bench);

/* Enters the code; the reason it left with. */
uint32_t bench_run(X86Bench *bench);

#endif
