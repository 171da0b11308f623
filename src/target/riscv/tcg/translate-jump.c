/* SPDX-License-Identifier: MIT */
/*
 * Jumps and branches as IR. The idea to hold: a jump retires before its block ends, so `pending` has
 * grown by one when the ends of blocks are emitted; without the C extension a jump to what is not a
 * multiple of 4 does not retire, a helper raises its exception.
 */
#include "target/riscv/tcg/translate.h"

static bool misaligned(const RvTranslate *t, uint64_t target)
{
    return (target & 2) && !(t->exts & RV_EXT_ZCA);
}

void rv_emit_branch(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint64_t target = t->pc + (uint64_t)(int64_t)insn->imm;
    IrReg a = rv_x(insn->rs1), b = insn->rs2 ? (IrReg)insn->rs2 : IR_IMM;

    if (misaligned(t, target)) {
        IrReg to = rv_temp(t);

        rv_movi(t, to, target);
        rv_helper_if(t, (IrCond)rule->op, a, b, 0, RV_HELPER_MISALIGNED, to);
        return;
    }
    t->pending++;
    rv_goto_if(t, (IrCond)rule->op, a, b, target, t->next_pc);
}

void rv_emit_jal(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint64_t target = t->pc + (uint64_t)(int64_t)insn->imm;

    if (misaligned(t, target)) {
        IrReg to = rv_temp(t);

        rv_movi(t, to, target);
        rv_count_now(t);
        rv_syscall(t, RV_HELPER_MISALIGNED, to, IR_NONE, RV_HELPER_IMM(insn));
        rv_exit(t, t->next_pc);
        return;
    }
    if (insn->rd) {
        rv_movi(t, rv_to_x(t, insn->rd), t->next_pc);
    }
    t->pending++;
    rv_goto(t, target);
}

/* A return: to a call in the region, perhaps. The comparison needs no cleared bit 0: those have it. */
static void emit_returns(RvTranslate *t, const RvInsn *insn)
{
    IrRegion *region = t->region;

    rv_count_now(t);
    for (unsigned i = 0; i < t->return_count; i++) {
        uint64_t pc = t->page + 2 * (uint64_t)t->returns[i];
        uint16_t there = ir_block_new(region, pc), on = ir_block_new(region, t->pc);
        IrInsn *branch = rv_op3(t, IR_OP_brcond, IR_NONE, (IrReg)insn->rs1, IR_IMM);

        branch->cond = IR_EQ;
        branch->imm = (int64_t)pc;
        branch->aux = there;
        branch->target = on;
        ir_block_begin(region, there);
        rv_goto(t, pc);
        t->ended = false;
        ir_block_begin(region, on);
    }
}

void rv_emit_jalr(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    bool counted = false;
    IrReg target;

    if (insn->rs1 == 0 || (t->known >> insn->rs1 & 1)) {
        uint64_t base = insn->rs1 ? t->value[insn->rs1] : 0;
        uint64_t to = (base + (uint64_t)(int64_t)insn->imm) & ~UINT64_C(1);

        if (!misaligned(t, to)) {
            if (insn->rd) {
                rv_movi(t, rv_to_x(t, insn->rd), t->next_pc);
            }
            t->pending++;
            rv_exit(t, to);
            return;
        }
    }
    if (rv_is_return(insn) && t->return_count > 0 && (t->exts & RV_EXT_ZCA)) {
        t->pending++;
        emit_returns(t, insn);
        counted = true;
    }
    target = rv_temp(t);
    if (insn->imm) {
        ir_emit_imm(t->region, IR_OP_add, target, rv_x(insn->rs1), insn->imm);
        ir_emit_imm(t->region, IR_OP_and, target, target, -2);
    } else {
        ir_emit_imm(t->region, IR_OP_and, target, rv_x(insn->rs1), -2);
    }
    if (!(t->exts & RV_EXT_ZCA)) {
        IrReg bit = rv_temp(t);

        ir_emit_imm(t->region, IR_OP_and, bit, target, 2);
        rv_helper_if(t, IR_NE, bit, IR_IMM, 0, RV_HELPER_MISALIGNED, target);
    }
    if (insn->rd) {
        rv_movi(t, rv_to_x(t, insn->rd), t->next_pc);
    }
    if (!counted) {
        t->pending++;
        rv_count_now(t);
    }
    rv_op3(t, IR_OP_exit_reg, IR_NONE, target, IR_NONE);
    t->ended = true;
}
