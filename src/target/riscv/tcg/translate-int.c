/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic, bits, loads and stores as IR. The idea to hold: an operation that only computes
 * and writes x0 is dropped; one that may fault is not, its result goes to a temp.
 */
#include "target/riscv/tcg/translate.h"

/* Operand b of operations that take an immediate there too: x0 is one. */
static void emit_alu(RvTranslate *t, IrOp op, IrReg dst, IrReg a, IrReg b)
{
    if (b == IR_ZERO && ir_op_info[op].shape[3] == 'I') {
        ir_emit_imm(t->region, op, dst, a, 0);
    } else {
        rv_op3(t, op, dst, a, b);
    }
}

void rv_emit_nothing(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
}

void rv_emit_alu(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        emit_alu(t, rule->op, rv_to_x(t, insn->rd), rv_x(insn->rs1), rv_x(insn->rs2));
    }
}

void rv_emit_alu_imm(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        ir_emit_imm(t->region, rule->op, rv_to_x(t, insn->rd), rv_x(insn->rs1), insn->imm);
    }
}

void rv_emit_alu_one(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        rv_op3(t, rule->op, rv_to_x(t, insn->rd), rv_x(insn->rs1), IR_NONE);
    }
}

void rv_emit_set(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        emit_alu(t, IR_OP_set, rv_to_x(t, insn->rd), rv_x(insn->rs1), rv_x(insn->rs2));
        t->region->insns[t->region->insn_count - 1].cond = (uint8_t)rule->op;
    }
}

void rv_emit_set_imm(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        IrInsn *set = rv_op3(t, IR_OP_set, rv_to_x(t, insn->rd), rv_x(insn->rs1), IR_IMM);

        set->imm = insn->imm;
        set->cond = (uint8_t)rule->op;
    }
}

/* ---- Constants and moves. */

static void set_known(RvTranslate *t, unsigned rd, uint64_t value)
{
    if (rd) {
        rv_movi(t, rv_to_x(t, rd), value);
        t->known |= 1u << rd;
        t->value[rd] = value;
    }
}

static void emit_move(RvTranslate *t, unsigned rd, unsigned rs)
{
    if (rd && rd != rs) {
        rv_op3(t, IR_OP_mov, rv_to_x(t, rd), rv_x(rs), IR_NONE);
    }
}

void rv_emit_lui(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    set_known(t, insn->rd, (uint64_t)(int64_t)insn->imm);
}

void rv_emit_auipc(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    set_known(t, insn->rd, t->pc + (uint64_t)(int64_t)insn->imm);
}

void rv_emit_addi(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rs1 == 0) {
        set_known(t, insn->rd, (uint64_t)(int64_t)insn->imm);
    } else if (t->known >> insn->rs1 & 1) {
        set_known(t, insn->rd, t->value[insn->rs1] + (uint64_t)(int64_t)insn->imm);
    } else if (insn->imm == 0) {
        emit_move(t, insn->rd, insn->rs1);
    } else if (insn->rd) {
        ir_emit_imm(t->region, IR_OP_add, rv_to_x(t, insn->rd), (IrReg)insn->rs1, insn->imm);
    }
}

void rv_emit_add(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd == 0) {
        return;
    }
    if (insn->rs1 == 0 || insn->rs2 == 0) {
        unsigned from = insn->rs1 | insn->rs2;

        if (from == 0) {
            set_known(t, insn->rd, 0);
        } else {
            emit_move(t, insn->rd, from);
        }
    } else {
        rv_op3(t, IR_OP_add, rv_to_x(t, insn->rd), (IrReg)insn->rs1, (IrReg)insn->rs2);
    }
}

void rv_emit_addiw(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd == 0) {
        return;
    }
    if (insn->rs1 == 0) {
        set_known(t, insn->rd, (uint64_t)(int64_t)insn->imm);
    } else if (insn->imm == 0) {
        rv_op3(t, IR_OP_sext32, rv_to_x(t, insn->rd), (IrReg)insn->rs1, IR_NONE);
    } else {
        ir_emit_imm(t->region, IR_OP_addw, rv_to_x(t, insn->rd), (IrReg)insn->rs1, insn->imm);
    }
}

/* ---- Zba. */

void rv_emit_sh_add(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        rv_op3(t, IR_OP_addsh, rv_to_x(t, insn->rd), rv_x(insn->rs2), rv_x(insn->rs1))->aux =
            rule->aux;
    }
}

void rv_emit_uw_add(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg low;

    if (insn->rd == 0) {
        return;
    }
    if (insn->rs2 == 0 && rule->aux == 0) { /* zext.w */
        rv_op3(t, IR_OP_zext32, rv_to_x(t, insn->rd), rv_x(insn->rs1), IR_NONE);
        return;
    }
    low = rv_temp(t);
    rv_op3(t, IR_OP_zext32, low, rv_x(insn->rs1), IR_NONE);
    if (rule->aux) {
        rv_op3(t, IR_OP_addsh, rv_to_x(t, insn->rd), rv_x(insn->rs2), low)->aux = rule->aux;
    } else {
        rv_op3(t, IR_OP_add, rv_to_x(t, insn->rd), low, rv_x(insn->rs2));
    }
}

void rv_emit_slli_uw(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        IrReg low = rv_temp(t);

        rv_op3(t, IR_OP_zext32, low, rv_x(insn->rs1), IR_NONE);
        ir_emit_imm(t->region, IR_OP_shl, rv_to_x(t, insn->rd), low, insn->imm);
    }
}

/* ---- Zbs. */

void rv_emit_bit(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        IrReg mask = rv_temp(t);

        rv_movi(t, mask, 1);
        emit_alu(t, IR_OP_shl, mask, mask, rv_x(insn->rs2));
        rv_op3(t, rule->op, rv_to_x(t, insn->rd), rv_x(insn->rs1), mask);
    }
}

void rv_emit_bit_imm(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        uint64_t mask = UINT64_C(1) << insn->imm;

        ir_emit_imm(t->region, rule->op, rv_to_x(t, insn->rd), rv_x(insn->rs1),
                    (int64_t)(rule->aux ? ~mask : mask));
    }
}

void rv_emit_bext(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        IrReg shifted = rv_temp(t);

        emit_alu(t, IR_OP_shr, shifted, rv_x(insn->rs1), rv_x(insn->rs2));
        ir_emit_imm(t->region, IR_OP_and, rv_to_x(t, insn->rd), shifted, 1);
    }
}

void rv_emit_bexti(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        IrReg shifted = rv_temp(t);

        ir_emit_imm(t->region, IR_OP_shr, shifted, rv_x(insn->rs1), insn->imm);
        ir_emit_imm(t->region, IR_OP_and, rv_to_x(t, insn->rd), shifted, 1);
    }
}

/* ---- Zicond. */

void rv_czero(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    bool in_place = insn->rd == insn->rs1;
    IrReg result;
    IrInsn *cmov;

    if (insn->rd == 0) {
        return;
    }
    if (insn->rs2 == 0) { /* known beforehand */
        if (rule->op == IR_EQ) {
            set_known(t, insn->rd, 0);
        } else {
            emit_move(t, insn->rd, insn->rs1);
        }
        return;
    }
    if (in_place || insn->rd != insn->rs2) {
        result = rv_to_x(t, insn->rd);
    } else {
        result = rv_temp(t); /* rd is what is compared */
    }
    if (!in_place) {
        rv_op3(t, IR_OP_mov, result, rv_x(insn->rs1), IR_NONE);
    }
    cmov = ir_emit(t->region, IR_OP_cmov, result, (IrReg)insn->rs2, IR_IMM, IR_ZERO);
    cmov->cond = (uint8_t)rule->op;
    if (ir_is_temp(result)) {
        rv_op3(t, IR_OP_mov, rv_to_x(t, insn->rd), result, IR_NONE);
    }
}

/* ---- Loads and stores. */

void rv_emit_load(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrInsn *ld = rv_op3(t, IR_OP_ld, rv_to_x(t, insn->rd), rv_x(insn->rs1), IR_NONE);

    ld->imm = insn->imm;
    ld->aux = rule->aux;
}

void rv_emit_store(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrInsn *st = rv_op3(t, IR_OP_st, IR_NONE, rv_x(insn->rs1), rv_x(insn->rs2));

    st->imm = insn->imm;
    st->aux = rule->aux;
}
