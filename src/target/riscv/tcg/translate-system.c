/* SPDX-License-Identifier: MIT */
/*
 * System instructions, fences and atomics as IR. A helper that does an instruction finds the count
 * exact without it and adds it; translate.c sees to the former (RV_RULE_EXACT).
 *
 * The idea to hold for LR and SC: SC is a compare-and-swap with the value that LR saw, as in the
 * interpreter. But LR does not know the physical address, so the reservation is of the virtual one, in
 * RiscvCpu.reserved_paddr, marked so that no address the interpreter has reserved looks like it: odd.
 * Where the mark is not the one SC wants, the interpreter does the SC (and mostly says no).
 */
#include "target/riscv/tcg/translate.h"

void rv_emit_system(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    int64_t imm = RV_HELPER_IMM(insn);

    if (rule->op == RV_HELPER_ILLEGAL) {
        imm = insn->raw;
    }
    rv_syscall(t, (RvHelper)rule->op, IR_NONE, IR_NONE, imm);
    t->counted = true;
    t->known = 0;
    t->boxed = 0;
    if (rule->flags & RV_RULE_ENDS) {
        rv_exit(t, t->next_pc);
    }
}

enum {
    FENCE_STORES = 5, /* w and o */
    FENCE_LOADS = 10, /* r and i */
};

void rv_emit_fence(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    unsigned before = (unsigned)insn->imm >> 4 & 15;
    unsigned after = (unsigned)insn->imm & 15;

    if ((before & FENCE_STORES) && (after & FENCE_LOADS)) {
        rv_op3(t, IR_OP_fence, IR_NONE, IR_NONE, IR_NONE);
    }
}

/* The address of an atomic: a register, also for x0. */
static IrReg address(RvTranslate *t, const RvInsn *insn)
{
    IrReg zero;

    if (insn->rs1) {
        return (IrReg)insn->rs1;
    }
    zero = rv_temp(t);
    rv_movi(t, zero, 0);
    return zero;
}

void rv_emit_amo(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg at = address(t, insn);
    IrInsn *amo = rv_op3(t, IR_OP_amo, rv_to_x(t, insn->rd), at, rv_x(insn->rs2));

    amo->aux = (uint16_t)(rule->aux | IR_MEM_SIGNED | rule->op << IR_AMO_SHIFT);
}

/* What the address of an aligned access differs from its reservation by; no other size fits. */
static int64_t reservation_mark(const RvRule *rule)
{
    return rule->aux == 3 ? 3 : 1;
}

#define RELEASE_BIT (1u << 25)

/* With rl it stays behind stores before it, which a host's load need not. */
void rv_emit_lr(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg at = address(t, insn), value = rv_temp(t);
    IrInsn *ld;

    if (insn->raw & RELEASE_BIT) {
        rv_op3(t, IR_OP_fence, IR_NONE, IR_NONE, IR_NONE);
    }
    ld = rv_op3(t, IR_OP_ld, value, at, IR_NONE);
    ld->aux = (uint16_t)(rule->aux | IR_MEM_SIGNED | IR_MEM_ATOMIC);
    ir_emit_imm(t->region, IR_OP_add, RV_G_RESERVED, at, reservation_mark(rule));
    rv_op3(t, IR_OP_mov, RV_G_RESERVED_VALUE, value, IR_NONE);
    if (insn->rd) {
        rv_op3(t, IR_OP_mov, rv_to_x(t, insn->rd), value, IR_NONE);
    }
}

void rv_emit_sc(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg at = address(t, insn), mark = rv_temp(t), old = rv_temp(t);
    IrInsn *op;

    ir_emit_imm(t->region, IR_OP_add, mark, at, reservation_mark(rule));
    rv_helper_if(t, IR_NE, mark, RV_G_RESERVED, 0, RV_HELPER_STEP, IR_NONE);
    op = ir_emit(t->region, IR_OP_cas, old, at, RV_G_RESERVED_VALUE, rv_x(insn->rs2));
    op->aux = (uint16_t)(rule->aux | IR_MEM_SIGNED);
    rv_movi(t, RV_G_RESERVED, UINT64_MAX);
    if (insn->rd) {
        rv_op3(t, IR_OP_set, rv_to_x(t, insn->rd), old, RV_G_RESERVED_VALUE)->cond = IR_NE;
    }
}

/* A fault gives the address in rs1, so only a block's own address is good enough for stores here. */
void rv_emit_cbo_zero(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg at = address(t, insn), low;

    if (!(t->source->tb_flags & RV_TB_CBO_ZERO)) {
        rv_emit_system(t, insn, &(RvRule){ .op = RV_HELPER_STEP });
        return;
    }
    low = rv_temp(t);
    ir_emit_imm(t->region, IR_OP_and, low, at, RV_CACHE_BLOCK_BYTES - 1);
    rv_helper_if(t, IR_NE, low, IR_IMM, 0, RV_HELPER_STEP, IR_NONE);
    for (unsigned i = 0; i < RV_CACHE_BLOCK_BYTES; i += 8) {
        IrInsn *st = rv_op3(t, IR_OP_st, IR_NONE, at, IR_ZERO);

        st->imm = i;
        st->aux = 3;
    }
}
