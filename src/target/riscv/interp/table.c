/* SPDX-License-Identifier: MIT */
/*
 * Which handler executes which instruction. The list is the decoder's; an instruction without a
 * handler does not link.
 */
#include "target/riscv/interp/ops.h"

#define RV_TABLE_ENTRY(upper_, lower_) [RV_OP_##upper_] = op_##lower_,

RvHandler *const rv_handlers[RV_OP_COUNT] = { RV_OP_LIST(RV_TABLE_ENTRY) };
