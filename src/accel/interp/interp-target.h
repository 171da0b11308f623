/* SPDX-License-Identifier: MIT */
/*
 * What the reference interpreter needs of a guest architecture. The driver, the ops and the thread
 * are the same for all (interp.c); a module joins them to one target with a table like this one and
 * a few lines of glue (riscv64.c).
 */
#ifndef ORRERY_ACCEL_INTERP_INTERP_TARGET_H
#define ORRERY_ACCEL_INTERP_INTERP_TARGET_H

#include "orrery/impl/cpus.h"

typedef struct InterpTarget {
    /* Makes what the interpreter keeps for a vCPU. Machine lock held, any thread. Never NULL. */
    void *(*create)(Vcpu *vcpu);

    /* Frees it. The vCPU may be gone already; NULL is fine. */
    void (*destroy)(void *state);

    /*
     * Executes guest code until there is a reason to leave. The vCPU's thread, no lock held,
     * between vcpu_exec_begin and vcpu_exec_end.
     */
    VcpuExit (*run)(void *state);

    /* Executes one instruction, taking no interrupt. As run. */
    VcpuExit (*step)(void *state);

    /*
     * Forgets cached translations, and decoded instructions too when code is true, before the next
     * run or step. Any thread, no lock.
     */
    void (*flush)(void *state, bool code);

    /* Fills counters. Any thread, no lock. */
    void (*stats)(const void *state, AccelVcpuStats *stats);
} InterpTarget;

/* The Accel of every interp module. */
typedef struct InterpAccel {
    Accel accel; /* first */
    const InterpTarget *target;
    bool host_float; /* property: take short cuts through the host's floating point unit */
} InterpAccel;

extern const AccelOps interp_ops;
extern const PropDef interp_props[];
extern const MemoryListener interp_memory_listener;

#endif
