/* SPDX-License-Identifier: MIT */
/*
 * Floating-point arithmetic. The idea to hold: the host's unit computes, rounds and accrues as the guest
 * wants, save for what NaNs look like and what is out of range; so each operation is the host's
 * instruction and a test for the odd case, whose repair is out of line. Singles are boxed by using an
 * input that is boxed as the register whose upper part the result keeps.
 */
#include "tcg/x86-64/internal.h"

static bool is_single(unsigned op)
{
    return op >= IR_OP_fadds && op <= IR_OP_fles;
}

/* Prefix of scalar operations, and of the comparisons. */
static uint32_t scalar(bool single)
{
    return single ? X_F3 : X_F2;
}

static uint32_t packed(bool single)
{
    return single ? 0 : X_66;
}

unsigned float_in(TcgEmitter *e, IrReg reg, unsigned scratch)
{
    X86Rm rm;

    if (reg == IR_ZERO) {
        asm_rr(&e->as, X_XORPS, scratch, scratch);
        return scratch;
    }
    rm = home_of(e, reg);
    if (rm.reg >= 0) {
        return (unsigned)rm.reg;
    }
    asm_op(&e->as, X_MOVSD, scratch, rm);
    return scratch;
}

static void cold_nan(TcgEmitter *e, const Cold *cold)
{
    asm_op_at(&e->as, X_MOVSD, cold->reg, cold->extra ? e->thunks->nan32 : e->thunks->nan64, 0);
    asm_jmp_back(&e->as, cold->back);
}

unsigned single_in(TcgEmitter *e, IrReg reg, bool boxed, unsigned scratch)
{
    Asm *as = &e->as;
    Cold *cold;
    X86Rm rm;

    if (reg == IR_ZERO) {
        asm_op_at(as, X_MOVSD, scratch, e->thunks->nan32, 0);
        return scratch;
    }
    if (boxed) {
        return float_in(e, reg, scratch);
    }
    rm = home_of(e, reg);
    if (rm.reg >= 0) {
        asm_rr(as, X_MOVAPS, scratch, (unsigned)rm.reg);
        asm_op(as, X_MOVQ_TO, (unsigned)rm.reg, rm_reg(RAX));
        asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RAX), 32);
        asm_alu_imm(as, ALU_ADD, 0, rm_reg(RAX), 1);
    } else {
        asm_op(as, X_MOVSD, scratch, rm);
        rm.disp += 4;
        asm_alu_imm(as, ALU_CMP, 0, rm, -1);
    }
    cold = cold_jcc(e, CC_NE, cold_nan);
    cold->reg = (uint8_t)scratch;
    cold->extra = 1;
    cold->back = asm_offset(as);
    return scratch;
}

static unsigned input(TcgEmitter *e, IrReg reg, bool single, bool boxed, unsigned scratch)
{
    return single ? single_in(e, reg, boxed, scratch) : float_in(e, reg, scratch);
}

void canonical_nan(TcgEmitter *e, unsigned reg, bool single)
{
    Cold *cold;

    asm_rr(&e->as, X_UCOMIS | packed(single), reg, reg);
    cold = cold_jcc(e, CC_P, cold_nan);
    cold->reg = (uint8_t)reg;
    cold->extra = single;
    cold->back = asm_offset(&e->as);
}

unsigned float_dst(const TcgEmitter *e, IrReg dst, unsigned scratch)
{
    return e->rm[dst].reg >= 0 ? (unsigned)e->rm[dst].reg : scratch;
}

void float_done(TcgEmitter *e, IrReg dst, unsigned reg)
{
    X86Rm rm = home_of(e, dst);

    if (rm.reg < 0) {
        asm_op(&e->as, X_MOVSD_ST, reg, rm);
    } else if (rm.reg != (int)reg) {
        asm_rr(&e->as, X_MOVAPS, (unsigned)rm.reg, reg);
    }
}

/* dst = a op b, the upper part of dst from a. */
static void three(TcgEmitter *e, uint32_t op, unsigned dst, unsigned a, X86Rm b)
{
    Asm *as = &e->as;

    if (e->features.avx) {
        asm_vex(as, op, dst, a, b);
    } else if (b.reg == (int)dst && a != dst) {
        unsigned t = a == X2 ? X2 : b.reg == X2 ? X0 : X2;

        if (t != a) {
            asm_rr(as, X_MOVAPS, t, a);
        }
        asm_op(as, op, t, b);
        asm_rr(as, X_MOVAPS, dst, t);
    } else {
        if (a != dst) {
            asm_rr(as, X_MOVAPS, dst, a);
        }
        asm_op(as, op, dst, b);
    }
}

void emit_farith(TcgEmitter *e, const IrInsn *in)
{
    bool single = is_single(in->op), root = in->op == IR_OP_fsqrtd || in->op == IR_OP_fsqrts;
    unsigned to = float_dst(e, in->dst, X0), a;
    uint32_t op;
    X86Rm b;

    a = input(e, in->a, single, in->aux & IR_BOXED_A, X0);
    if (root) {
        b = rm_reg(a);
    } else if (in->b != IR_ZERO && (!single || in->aux & IR_BOXED_B)) {
        b = home_of(e, in->b);
    } else {
        b = rm_reg(input(e, in->b, single, false, X1));
    }
    switch (in->op) {
    case IR_OP_faddd:
    case IR_OP_fadds:
        op = X_ADDF;
        break;
    case IR_OP_fsubd:
    case IR_OP_fsubs:
        op = X_SUBF;
        break;
    case IR_OP_fmuld:
    case IR_OP_fmuls:
        op = X_MULF;
        break;
    case IR_OP_fdivd:
    case IR_OP_fdivs:
        op = X_DIVF;
        break;
    default:
        op = X_SQRTF;
        break;
    }
    three(e, op | scalar(single), to, a, b);
    canonical_nan(e, to, single);
    float_done(e, in->dst, to);
}

/* ---- Through the exact functions. */

void call_fpu(TcgEmitter *e, const IrInsn *in)
{
    const IrReg inputs[2] = { in->a, in->b };
    static const uint8_t places[2] = { RAX, RDX };
    Asm *as = &e->as;

    for (unsigned i = 0; i < 2; i++) {
        if (inputs[i] < IR_ZERO && home_of(e, inputs[i]).reg >= 0) {
            asm_op(as, X_MOVQ_TO, (unsigned)home_of(e, inputs[i]).reg, rm_reg(places[i]));
        } else if (inputs[i] <= IR_ZERO) {
            int_to(e, places[i], inputs[i]);
        }
    }
    if (in->c <= IR_ZERO) {
        unsigned c = float_in(e, in->c, X0);

        if (c != X0) {
            asm_rr(as, X_MOVAPS, X0, c);
        }
    }
    asm_movi(as, RCX, (int64_t)in->op | (int64_t)in->aux << 16);
    asm_call(as, e->thunks->fpu);
}

/* ---- Fused multiply-add. */

static void cold_fma(TcgEmitter *e, const Cold *cold)
{
    unsigned a = cold->extra & 15, b = cold->extra >> 4 & 15;
    bool single = cold->extra >> 8;
    uint32_t op = single ? X_MOVD_TO : X_MOVQ_TO;
    Asm *as = &e->as;

    asm_op(as, op, a, rm_reg(RAX));
    asm_op(as, op, b, rm_reg(RCX));
    asm_call(as, single ? e->thunks->fma_nan32 : e->thunks->fma_nan);
    asm_op_at(as, X_MOVSD, cold->reg, single ? e->thunks->nan32 : e->thunks->nan64, 0);
    asm_jmp_back(as, cold->back);
}

void emit_fma(TcgEmitter *e, const IrInsn *in)
{
    static const uint32_t ops[4] = { X_FMADD231, X_FNMADD231, X_FMSUB231, X_FNMSUB231 };
    bool single = in->op == IR_OP_fmas;
    unsigned to = float_dst(e, in->dst, X2), a, b, c;
    uint32_t op = ops[(in->aux & IR_NEGATE_PRODUCT ? 1 : 0) + (in->aux & IR_NEGATE_ADDEND ? 2 : 0)];
    Asm *as = &e->as;
    Cold *cold;

    if (!e->features.fma) {
        call_fpu(e, in);
        asm_op(as, X_MOVQ_FROM, X0, rm_reg(RAX));
        float_done(e, in->dst, X0);
        return;
    }
    a = input(e, in->a, single, in->aux & IR_BOXED_A, X0);
    b = input(e, in->b, single, in->aux & IR_BOXED_B, X1);
    c = input(e, in->c, single, in->aux & IR_BOXED_C, X2);
    if (to == a || to == b) {
        to = X2;
    }
    if (c != to) {
        asm_rr(as, X_MOVAPS, to, c);
    }
    asm_vex(as, op | (single ? 0 : X_W), to, a, rm_reg(b));
    asm_rr(as, X_UCOMIS | packed(single), to, to);
    cold = cold_jcc(e, CC_P, cold_fma);
    cold->reg = (uint8_t)to;
    cold->extra = a | b << 4 | (uint32_t)single << 8;
    cold->back = asm_offset(as);
    float_done(e, in->dst, to);
}

/* ---- Minimum, maximum. */

/* The inputs are equal, zeros of both signs perhaps, or one is NaN. */
static void cold_minmax(TcgEmitter *e, const Cold *cold)
{
    unsigned a = cold->extra & 15, b = cold->extra >> 4 & 15, op = cold->insn->op;
    bool single = is_single(op), minimum = op == IR_OP_fmind || op == IR_OP_fmins;
    uint32_t compare = X_UCOMIS | packed(single), nan, done[3];
    Asm *as = &e->as;

    asm_rr(as, X_MOVAPS, X2, a);
    nan = asm_jcc8(as, CC_P);
    asm_rr(as, minimum ? X_ORPS : X_ANDPS, X2, b);
    done[0] = asm_jmp8(as);
    asm_patch8(as, nan, asm_offset(as));
    asm_rr(as, compare, a, a);
    done[1] = asm_jcc8(as, CC_NP);
    asm_rr(as, X_MOVAPS, X2, b);
    asm_rr(as, compare, b, b);
    done[2] = asm_jcc8(as, CC_NP);
    asm_op_at(as, X_MOVSD, X2, single ? e->thunks->nan32 : e->thunks->nan64, 0);
    for (unsigned i = 0; i < 3; i++) {
        asm_patch8(as, done[i], asm_offset(as));
    }
    if (cold->reg != X2) {
        asm_rr(as, X_MOVAPS, cold->reg, X2);
    }
    asm_jmp_back(as, cold->back);
}

void emit_fminmax(TcgEmitter *e, const IrInsn *in)
{
    bool single = is_single(in->op);
    uint32_t op = in->op == IR_OP_fmind || in->op == IR_OP_fmins ? X_MINF : X_MAXF, from;
    unsigned to = float_dst(e, in->dst, X2), a, b;
    Cold *cold;

    a = input(e, in->a, single, in->aux & IR_BOXED_A, X0);
    b = input(e, in->b, single, in->aux & IR_BOXED_B, X1);
    asm_rr(&e->as, X_UCOMIS | packed(single), a, b);
    from = asm_jcc(&e->as, CC_E);
    three(e, op | scalar(single), to, a, rm_reg(b));
    cold = cold_new(e, cold_minmax);
    cold->from = from;
    cold->reg = (uint8_t)to;
    cold->extra = a | b << 4;
    float_done(e, in->dst, to);
}

/* ---- Comparisons. */

/* The next operation, when it branches on the result of this one and is the last to look at it. */
static const IrInsn *branch_on(TcgEmitter *e, const IrInsn *in)
{
    const IrInsn *next = in + 1;

    if (e->at.index + 1 >= e->at.end || next->op != IR_OP_brcond || next->a != in->dst ||
        !ir_is_temp(in->dst) || !(next->b == IR_ZERO || (next->b == IR_IMM && next->imm == 0)) ||
        next->cond > IR_NE || ir_live_after(e->allocation, in->dst, e->at.index + 1)) {
        return NULL;
    }
    return next;
}

void emit_fcompare(TcgEmitter *e, const IrInsn *in)
{
    bool single = is_single(in->op), equal = in->op == IR_OP_feqd || in->op == IR_OP_feqs;
    bool less = in->op == IR_OP_fltd || in->op == IR_OP_flts;
    unsigned a = input(e, in->a, single, in->aux & IR_BOXED_A, X0);
    unsigned b = input(e, in->b, single, in->aux & IR_BOXED_B, X1);
    unsigned to = int_dst(e, in->dst, RDX), cc = equal ? CC_E : less ? CC_A : CC_AE;
    const IrInsn *next = branch_on(e, in);
    Asm *as = &e->as;

    if (!next) {
        asm_zero(as, to);
    }
    /* b above a, not a below b: unordered counts as below. */
    if (equal) {
        asm_rr(as, X_UCOMIS | packed(single), a, b);
    } else {
        asm_rr(as, X_COMIS | packed(single), b, a);
    }
    if (next) {
        uint16_t then = next->cond == IR_NE ? next->aux : next->target;
        uint16_t otherwise = next->cond == IR_NE ? next->target : next->aux;

        if (equal && then != otherwise) {
            jump_cc(e, CC_P, otherwise);
        }
        branch(e, cc, then, otherwise);
        e->skip = 1;
        return;
    }
    asm_op(as, X_SETCC + cc, 0, rm_reg(to));
    if (equal) {
        asm_movi(as, RCX, 0);
        asm_rr(as, X_CMOV + CC_P, to, RCX);
    }
    int_done(e, in->dst, to);
}
