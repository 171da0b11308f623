/* SPDX-License-Identifier: MIT */
/*
 * Conversions between integers and floating point, and operations on the bits of floating-point
 * registers. The idea to hold: the host's conversions are taken where they cannot be wrong, which the
 * result or the exponent tells; the rest goes out of line, to a repair or to the exact functions.
 */
#include "tcg/x86-64/internal.h"

/* ---- To integers. */

typedef struct ToInt {
    bool single, wide, is_unsigned;
} ToInt;

static ToInt to_int(unsigned op)
{
    G_STATIC_ASSERT(IR_OP_fcvtud == IR_OP_fcvtwd + 1 && IR_OP_fcvtld == IR_OP_fcvtwd + 2 &&
                    IR_OP_fcvtqd == IR_OP_fcvtwd + 3 && IR_OP_fcvtws == IR_OP_fcvtwd + 4);
    unsigned n = op - IR_OP_fcvtwd;

    return (ToInt){ .single = n >= 4, .wide = n & 2, .is_unsigned = n & 1 };
}

/* The host's answer (rax) is the most negative integer: right for that one, and for what is below. */
static void cold_saturate(TcgEmitter *e, const Cold *cold)
{
    ToInt how = to_int(cold->insn->op);
    uint32_t wide = how.wide ? X_W : 0, nan, negative;
    Asm *as = &e->as;

    asm_rr(as, X_UCOMIS | (how.single ? 0 : X_66), cold->reg, cold->reg);
    nan = asm_jcc8(as, CC_P);
    asm_op(as, how.single ? X_MOVD_TO : X_MOVQ_TO, cold->reg, rm_reg(RCX));
    asm_rr(as, X_TEST | (how.single ? 0 : X_W), RCX, RCX);
    negative = asm_jcc8(as, CC_S);
    asm_patch8(as, nan, asm_offset(as));
    asm_op(as, X_GROUP3 | wide, 2, rm_reg(RAX)); /* the largest */
    asm_patch8(as, negative, asm_offset(as));
    asm_jmp_back(as, cold->back);
}

static void cold_exact(TcgEmitter *e, const Cold *cold)
{
    call_fpu(e, cold->insn);
    asm_jmp_back(&e->as, cold->back);
}

void emit_float_to_int(TcgEmitter *e, const IrInsn *in)
{
    ToInt how = to_int(in->op);
    uint32_t op = in->aux & IR_TOWARD_ZERO ? X_CVTT_TO : X_CVT_TO;
    unsigned a =
        how.single ? single_in(e, in->a, in->aux & IR_BOXED_A, X0) : float_in(e, in->a, X0);
    unsigned to = int_dst(e, in->dst, RAX);
    Asm *as = &e->as;
    Cold *cold;

    op |= how.single ? X_F3 : X_F2;
    if (how.is_unsigned) {
        unsigned small = how.wide ? 63 : 31; /* below 2 to this: no way to be out of range */

        asm_op(as, how.single ? X_MOVD_TO : X_MOVQ_TO, a, rm_reg(RAX));
        asm_shift_imm(as, SHIFT_SHR, how.single ? 0 : X_W, rm_reg(RAX), how.single ? 23 : 52);
        asm_alu_imm(as, ALU_CMP, 0, rm_reg(RAX), (int32_t)((how.single ? 127 : 1023) + small));
        cold = cold_jcc(e, CC_AE, cold_exact);
        asm_rr(as, op | X_W, RAX, a);
    } else {
        uint32_t wide = how.wide ? X_W : 0;

        asm_rr(as, op | wide, RAX, a);
        asm_alu_imm(as, ALU_CMP, wide, rm_reg(RAX), 1);
        cold = cold_jcc(e, CC_O, cold_saturate);
        cold->reg = (uint8_t)a;
    }
    cold->back = asm_offset(as);
    if (how.wide) {
        int_done(e, in->dst, RAX);
    } else {
        asm_rr(as, X_MOVSXD, to, RAX);
        int_done(e, in->dst, to);
    }
}

/* ---- From integers. */

/* An unsigned integer with the top bit set: half of it, its lowest bit kept for rounding, twice. */
static void cold_top_bit(TcgEmitter *e, const Cold *cold)
{
    uint32_t prefix = cold->extra ? X_F3 : X_F2;
    Asm *as = &e->as;

    int_to(e, RAX, cold->insn->a);
    asm_rr(as, X_MOV, RCX, RAX);
    asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RAX), 1);
    asm_alu_imm(as, ALU_AND, 0, rm_reg(RCX), 1);
    asm_rr(as, X_ALU(ALU_OR) | X_W, RAX, RCX);
    asm_rr(as, X_CVT_INT | prefix | X_W, cold->reg, RAX);
    asm_rr(as, X_ADDF | prefix, cold->reg, cold->reg);
    asm_jmp_back(as, cold->back);
}

void emit_int_to_float(TcgEmitter *e, const IrInsn *in)
{
    G_STATIC_ASSERT(IR_OP_fcvtdu == IR_OP_fcvtdw + 1 && IR_OP_fcvtdl == IR_OP_fcvtdw + 2 &&
                    IR_OP_fcvtdq == IR_OP_fcvtdw + 3 && IR_OP_fcvtsw == IR_OP_fcvtdw + 4);
    unsigned n = in->op - IR_OP_fcvtdw, to = float_dst(e, in->dst, X0);
    bool single = n >= 4, wide = n & 2, is_unsigned = n & 1;
    uint32_t op = X_CVT_INT | (single ? X_F3 : X_F2);
    X86Rm a = int_rm(e, in->a, RAX);
    Asm *as = &e->as;
    Cold *cold = NULL;

    /* Also frees the result of what the register was. */
    if (single) {
        asm_op_at(as, X_MOVAPS, to, e->thunks->box, 0);
    } else {
        asm_rr(as, X_XORPS, to, to);
    }
    if (is_unsigned && !wide) {
        asm_op(as, X_MOV, RAX, a);
        a = rm_reg(RAX);
        wide = true;
    } else if (is_unsigned) {
        asm_op(as, X_MOV | X_W, RAX, a);
        asm_rr(as, X_TEST | X_W, RAX, RAX);
        cold = cold_jcc(e, CC_S, cold_top_bit);
        cold->reg = (uint8_t)to;
        cold->extra = single;
        a = rm_reg(RAX);
    }
    asm_op(as, op | (wide ? X_W : 0), to, a);
    if (cold) {
        cold->back = asm_offset(as);
    }
    float_done(e, in->dst, to);
}

void emit_float_to_float(TcgEmitter *e, const IrInsn *in)
{
    bool to_single = in->op == IR_OP_fcvtsd;
    unsigned to = float_dst(e, in->dst, X0), a;
    Asm *as = &e->as;

    if (to_single) {
        a = float_in(e, in->a, X0);
        asm_op_at(as, X_MOVAPS, X1, e->thunks->box, 0);
    } else {
        a = single_in(e, in->a, in->aux & IR_BOXED_A, X0);
        asm_rr(as, X_XORPS, X1, X1);
    }
    asm_rr(as, X_CVT_F2F | (to_single ? X_F2 : X_F3), X1, a);
    asm_rr(as, X_MOVAPS, to, X1);
    canonical_nan(e, to, to_single);
    float_done(e, in->dst, to);
}

/* ---- Bits. */

void emit_fmove(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = float_dst(e, in->dst, X0);
    X86Rm a;

    if (in->a == IR_ZERO) {
        asm_rr(&e->as, X_XORPS, to, to);
    } else if ((a = home_of(e, in->a)).reg < 0) {
        asm_op(&e->as, X_MOVSD, to, a);
    } else if (home_of(e, in->dst).reg < 0) {
        to = (unsigned)a.reg;
    } else if (a.reg != (int)to) {
        asm_rr(&e->as, X_MOVAPS, to, (unsigned)a.reg);
    }
    float_done(e, in->dst, to);
}

void emit_fsign(TcgEmitter *e, const IrInsn *in)
{
    bool single = in->op >= IR_OP_fsgnjs;
    unsigned kind = single ? in->op - IR_OP_fsgnjs : in->op - IR_OP_fsgnjd; /* plain, n, x */
    const void *sign = single ? e->thunks->sign32 : e->thunks->sign64;
    const void *magnitude = single ? e->thunks->abs32 : e->thunks->abs64;
    unsigned to = float_dst(e, in->dst, X0), a, b;
    Asm *as = &e->as;

    a = single ? single_in(e, in->a, in->aux & IR_BOXED_A, X0) : float_in(e, in->a, X0);
    if (in->a == in->b) {
        /* Move, negation, absolute value. */
        if (a != to) {
            asm_rr(as, X_MOVAPS, to, a);
        }
        if (kind) {
            asm_op_at(as, kind == 1 ? X_XORPS : X_ANDPS, to, kind == 1 ? sign : magnitude, 0);
        }
        float_done(e, in->dst, to);
        return;
    }
    b = single ? single_in(e, in->b, in->aux & IR_BOXED_B, X1) : float_in(e, in->b, X1);
    if (b != X1) {
        asm_rr(as, X_MOVAPS, X1, b);
    }
    asm_op_at(as, X_ANDPS, X1, sign, 0);
    if (kind == 1) {
        asm_op_at(as, X_XORPS, X1, sign, 0);
    }
    if (a != to) {
        asm_rr(as, X_MOVAPS, to, a);
    }
    if (kind == 2) {
        asm_rr(as, X_XORPS, to, X1);
    } else {
        asm_op_at(as, X_ANDPS, to, magnitude, 0);
        asm_rr(as, X_ORPS, to, X1);
    }
    float_done(e, in->dst, to);
}

void emit_fbits(TcgEmitter *e, const IrInsn *in)
{
    X86Rm dst = home_of(e, in->dst), a = in->a == IR_ZERO ? rm_reg(RAX) : home_of(e, in->a);
    Asm *as = &e->as;
    unsigned to;

    if (in->a == IR_ZERO) {
        asm_zero(as, RAX);
    }
    switch (in->op) {
    case IR_OP_fmvxd:
    case IR_OP_fmvxw:
        to = dst.reg >= 0 ? (unsigned)dst.reg : RAX;
        if (in->a != IR_ZERO && a.reg >= 0) {
            asm_op(as, in->op == IR_OP_fmvxd ? X_MOVQ_TO : X_MOVD_TO, (unsigned)a.reg, rm_reg(to));
            a = rm_reg(to);
        }
        if (in->op == IR_OP_fmvxw) {
            asm_op(as, X_MOVSXD, to, a);
        } else if (a.reg != (int)to) {
            asm_op(as, X_MOV | X_W, to, a);
        }
        int_done(e, in->dst, to);
        break;
    default:
        to = dst.reg >= 0 ? (unsigned)dst.reg : X0;
        if (in->op == IR_OP_fmvdx) {
            asm_op(as, X_MOVQ_FROM, to, a);
        } else {
            asm_op(as, X_MOVD_FROM, to, a);
            asm_op_at(as, X_ORPS, to, e->thunks->box, 0);
        }
        float_done(e, in->dst, to);
        break;
    }
}
