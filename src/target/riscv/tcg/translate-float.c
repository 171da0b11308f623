/* SPDX-License-Identifier: MIT */
/*
 * F and D as IR. These rules run where RV_TB_FP is set: FS is dirty, and the host rounds as frm says.
 * An instruction that names another rounding mode than that is left to the interpreter. The idea to
 * hold: which f registers hold boxed singles for certain is followed within a block, so that singles
 * made here need no check when they are used.
 */
#include "target/riscv/tcg/translate.h"

/* The host rounds as this instruction wants. */
static bool rounds_so(const RvTranslate *t, const RvInsn *insn)
{
    return insn->rm == 7 || insn->rm == t->frm;
}

static void leave_to_interpreter(RvTranslate *t, const RvInsn *insn)
{
    rv_count_now(t);
    rv_syscall(t, RV_HELPER_STEP, IR_NONE, IR_NONE, RV_HELPER_IMM(insn));
    t->counted = true;
    t->known = 0;
    t->boxed = 0;
}

static bool is_boxed(const RvTranslate *t, unsigned reg)
{
    return t->boxed >> reg & 1;
}

static IrReg to_f(RvTranslate *t, unsigned rd, bool single)
{
    t->boxed &= ~(1u << rd);
    if (single) {
        t->boxed |= 1u << rd;
    }
    return rv_f(rd);
}

static uint16_t boxes(const RvTranslate *t, const RvInsn *insn, unsigned inputs)
{
    uint16_t aux = is_boxed(t, insn->rs1) ? IR_BOXED_A : 0;

    if (inputs >= 2 && is_boxed(t, insn->rs2)) {
        aux |= IR_BOXED_B;
    }
    if (inputs >= 3 && is_boxed(t, insn->rs3)) {
        aux |= IR_BOXED_C;
    }
    return aux;
}

/* ---- Memory. A load that faults leaves what was known. */

void rv_emit_fload(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrReg dst = to_f(t, insn->rd, rule->op == IR_OP_ld32f);
    IrInsn *ld = rv_op3(t, rule->op, dst, rv_x(insn->rs1), IR_NONE);

    ld->imm = insn->imm;
    ld->aux = rule->aux;
}

void rv_emit_fstore(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    IrInsn *st = rv_op3(t, rule->op, IR_NONE, rv_x(insn->rs1), rv_f(insn->rs2));

    st->imm = insn->imm;
    st->aux = rule->aux;
}

/* ---- Arithmetic. Operations without a rounding mode have rm 0 and must not be asked for it. */

static bool has_rm(const RvInsn *insn)
{
    return rv_op_info[insn->op].flags & RV_OPF_ROUNDS;
}

void rv_emit_fp2(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = boxes(t, insn, 2);

    if (has_rm(insn) && !rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    rv_op3(t, rule->op, to_f(t, insn->rd, !rule->aux), rv_f(insn->rs1), rv_f(insn->rs2))->aux = aux;
}

void rv_emit_fp1(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = boxes(t, insn, 1);

    if (has_rm(insn) && !rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    rv_op3(t, rule->op, to_f(t, insn->rd, !rule->aux), rv_f(insn->rs1), IR_NONE)->aux = aux;
}

void rv_emit_fma(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = (uint16_t)(boxes(t, insn, 3) | rule->aux);

    if (!rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    ir_emit(t->region, rule->op, to_f(t, insn->rd, rule->op == IR_OP_fmas), rv_f(insn->rs1),
            rv_f(insn->rs2), rv_f(insn->rs3))
        ->aux = aux;
}

void rv_emit_fsgnj(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    bool single = !rule->aux;
    uint16_t aux = boxes(t, insn, 2);

    if (insn->rs1 == insn->rs2 && (rule->op == IR_OP_fsgnjd || rule->op == IR_OP_fsgnjs) &&
        (!single || is_boxed(t, insn->rs1))) {
        if (insn->rd != insn->rs1) {
            rv_op3(t, IR_OP_fmov, to_f(t, insn->rd, single), rv_f(insn->rs1), IR_NONE);
        } else {
            to_f(t, insn->rd, single);
        }
        return;
    }
    rv_op3(t, rule->op, to_f(t, insn->rd, single), rv_f(insn->rs1), rv_f(insn->rs2))->aux = aux;
}

void rv_emit_fcompare(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = boxes(t, insn, 2);

    rv_op3(t, rule->op, rv_to_x(t, insn->rd), rv_f(insn->rs1), rv_f(insn->rs2))->aux = aux;
}

/* ---- Conversions. */

void rv_emit_f_to_x(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = boxes(t, insn, 1);

    if (insn->rm == 1) {
        aux |= IR_TOWARD_ZERO;
    } else if (!rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    rv_op3(t, rule->op, rv_to_x(t, insn->rd), rv_f(insn->rs1), IR_NONE)->aux = aux;
}

/* A double holds every 32-bit integer and every single: nothing is rounded, whatever rm is. */
static bool is_exact(const RvInsn *insn)
{
    return insn->op == RV_OP_FCVT_D_W || insn->op == RV_OP_FCVT_D_WU || insn->op == RV_OP_FCVT_D_S;
}

void rv_emit_x_to_f(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (!is_exact(insn) && !rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    rv_op3(t, rule->op, to_f(t, insn->rd, !rule->aux), rv_x(insn->rs1), IR_NONE);
}

void rv_emit_f_to_f(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    uint16_t aux = boxes(t, insn, 1);

    if (!is_exact(insn) && !rounds_so(t, insn)) {
        leave_to_interpreter(t, insn);
        return;
    }
    rv_op3(t, rule->op, to_f(t, insn->rd, !rule->aux), rv_f(insn->rs1), IR_NONE)->aux = aux;
}

/* ---- Bits: no flags, no rounding. */

void rv_emit_fclass(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        rv_op3(t, IR_OP_callif, rv_to_x(t, insn->rd), rv_f(insn->rs1), IR_NONE)->aux = rule->op;
    }
}

void rv_emit_fmv_to_x(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    if (insn->rd) {
        rv_op3(t, rule->op, rv_to_x(t, insn->rd), rv_f(insn->rs1), IR_NONE);
    }
}

void rv_emit_fmv_to_f(RvTranslate *t, const RvInsn *insn, const RvRule *rule)
{
    rv_op3(t, rule->op, to_f(t, insn->rd, !rule->aux), rv_x(insn->rs1), IR_NONE);
}
