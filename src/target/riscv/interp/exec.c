/* SPDX-License-Identifier: MIT */
/*
 * The seldom parts of executing: exceptions, and finding the block that a link does not name yet.
 * The idea to hold: a block counts all its instructions when it begins, so whoever leaves in the
 * middle takes those back that did not retire.
 */
#include "target/riscv/interp/ops.h"

void rv_unwind(RiscvCpu *cpu, RvUop *op)
{
    RvBlock *block = rv_block_of(op);
    uint64_t retired = 0;

    for (RvUop *before = op - 1; before->run; before--) {
        retired += before->next != before[-1].next;
    }
    rv_add_insns(cpu, retired - (uint64_t)block->begin.imm);
}

RvUop *rv_raise(RV_HANDLER_PARAMS, unsigned cause, uint64_t tval)
{
    rv_unwind(cpu, op);
    cpu->pc = PC;
    riscv_enter_trap(cpu, false, cause, tval);
    STOP(RV_STOP_RESUME, cpu->pc);
}

RvUop *rv_raise_illegal(RV_HANDLER_PARAMS)
{
    return rv_raise(cpu, op, view, pc, RV_CAUSE_ILLEGAL, rv_block_bits(op));
}

RvUop *rv_chase(RiscvCpu *cpu, RvBlock **from, RvView *view, uint64_t pc)
{
    RvInterp *s = view->interp;
    uint64_t generation = s->generation;
    RvBlock *block;

    if (s->stepping) {
        STOP(RV_STOP_DEBUG, pc);
    }
    block = rv_block_find(view, pc);
    if (!block) {
        STOP(RV_STOP_RESUME, cpu->pc);
    }
    /* If the arena was emptied meanwhile, *from went with it. */
    if (from && s->generation == generation) {
        *from = block;
    }
    if (vcpu_exit_requested(&cpu->vcpu)) {
        STOP(RV_STOP_KICKED, pc);
    }
    return rv_begin(cpu, block, view, pc);
}
