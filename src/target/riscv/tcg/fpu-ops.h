/* SPDX-License-Identifier: MIT */
/*
 * The translator's floating-point operations by fpu.h. The idea to hold: one function an IR operation,
 * with the operation's own boxing, negations and rounding, so that host back ends need no more.
 */
#ifndef ORRERY_TARGET_RISCV_TCG_FPU_OPS_H
#define ORRERY_TARGET_RISCV_TCG_FPU_OPS_H

#include "tcg/host.h"

extern const TcgFpu riscv_tcg_fpu;

#endif
