/* SPDX-License-Identifier: MIT */
/*
 * For boards: how a `riscv-plic` is wired. Inputs (device_irq_in) are numbered as its sources are, 0
 * being unused; outputs by the contexts, which are M and S of hart 0, M and S of hart 1, and so on.
 *
 * Properties: num-sources (with source 0; the device tree's riscv,ndev is one less), num-harts.
 * One region, as large as the contexts need.
 */
#ifndef ORRERY_IMPL_HW_PLIC_H
#define ORRERY_IMPL_HW_PLIC_H

#define PLIC_CLASS "riscv-plic"

#define PLIC_OUTPUT_M(hart) (2 * (hart))
#define PLIC_OUTPUT_S(hart) (2 * (hart) + 1)

#endif
