/* SPDX-License-Identifier: MIT */
/*
 * For boards: how the devices of RISC-V's local interrupts are wired. All are lockless, and drive
 * their outputs from any thread: these must lead to a vCPU's inputs or to something else lockless.
 *
 *   riscv-clint          region 0 of 0x10000 bytes; outputs CLINT_OUTPUT_MSI/MTI(hart)
 *   riscv-aclint-mswi    region 0 of 0x4000; output `hart` is its machine software interrupt
 *   riscv-aclint-mtimer  region 0 of 0x8000 (compares at 0, time at 0x7ff8); output `hart`
 *   riscv-aclint-sswi    region 0 of 0x4000; output `hart` is its supervisor software interrupt,
 *                        which is set by level 1 and never lowered by the device
 *
 * Properties: num-harts; timebase-freq of those with a timer.
 */
#ifndef ORRERY_IMPL_HW_CLINT_H
#define ORRERY_IMPL_HW_CLINT_H

#define CLINT_CLASS "riscv-clint"
#define ACLINT_MSWI_CLASS "riscv-aclint-mswi"
#define ACLINT_MTIMER_CLASS "riscv-aclint-mtimer"
#define ACLINT_SSWI_CLASS "riscv-aclint-sswi"

#define CLINT_OUTPUT_MSI(hart) (2 * (hart))
#define CLINT_OUTPUT_MTI(hart) (2 * (hart) + 1)

#endif
