/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 half of the reference interpreter, as the accelerator's driver sees it: a state per
 * vCPU that can run, step, forget and count. The idea to hold: everything guest-visible lives in
 * RiscvCpu; what is here can be thrown away at any instruction boundary.
 */
#ifndef ORRERY_TARGET_RISCV_INTERP_INTERP_H
#define ORRERY_TARGET_RISCV_INTERP_INTERP_H

#include "orrery/impl/cpus.h"

typedef struct RvInterp RvInterp;

/*
 * Makes the state of one vCPU. host_float lets FP arithmetic take short cuts (fpu.h). Machine lock
 * held, any thread. Never NULL.
 */
RvInterp *rv_interp_create(Vcpu *vcpu, bool host_float);

/* The vCPU may be gone already. NULL is fine. */
void rv_interp_destroy(RvInterp *interp);

/*
 * Executes guest code until there is a reason to leave. The vCPU's thread, no lock held, between
 * vcpu_exec_begin and vcpu_exec_end.
 */
VcpuExit rv_interp_run(RvInterp *interp);

/*
 * Executes one instruction, or enters the trap it raises; interrupts are not looked at. The vCPU's
 * thread, no lock held. What rv_interp_run would return for it; VCPU_EXIT_DEBUG for most.
 */
VcpuExit rv_interp_step(RvInterp *interp);

/*
 * Everything cached is stale: translations always, decoded instructions too when code is true.
 * Any thread, no lock; takes effect before the next instruction that starts after a call of
 * rv_interp_run or rv_interp_step.
 */
void rv_interp_flush(RvInterp *interp, bool code);

/* Counters; any thread, no lock, a moment old. */
void rv_interp_stats(const RvInterp *interp, AccelVcpuStats *stats);

#endif
