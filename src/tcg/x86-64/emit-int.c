/* SPDX-License-Identifier: MIT */
/*
 * Integer operations. The idea to hold: each is computed in the home of its result when that is a
 * register and no input that is still needed lives there, else in rax; inputs in memory are used as
 * memory operands. Inputs and results are compared as places, not as IrRegs: a register that ends
 * here may share its home with the one that begins.
 */
#include "tcg/x86-64/internal.h"

static bool same_place(const TcgEmitter *e, IrReg a, IrReg b)
{
    return a == b || (a < IR_ZERO && b < IR_ZERO && rm_same(e->rm[a], e->rm[b]));
}

static inline uint32_t wide_if(bool wide)
{
    return wide ? X_W : 0;
}

void emit_move(TcgEmitter *e, const IrInsn *in)
{
    X86Rm dst = home_of(e, in->dst);

    if (in->a == IR_ZERO) {
        if (dst.reg >= 0) {
            asm_zero(&e->as, (unsigned)dst.reg);
        } else {
            asm_store_imm(&e->as, X_W, dst, 0);
        }
    } else if (dst.reg >= 0) {
        int_to(e, (unsigned)dst.reg, in->a);
    } else if (!same_place(e, in->dst, in->a)) {
        int_done(e, in->dst, int_in(e, in->a, RAX));
    }
}

void emit_movi(TcgEmitter *e, const IrInsn *in)
{
    X86Rm dst = home_of(e, in->dst);

    if (dst.reg < 0 && fits_i32(in->imm)) {
        asm_store_imm(&e->as, X_W, dst, (int32_t)in->imm);
        return;
    }
    if (dst.reg >= 0 && in->imm == 0) {
        asm_zero(&e->as, (unsigned)dst.reg);
        return;
    }
    asm_movi(&e->as, int_dst(e, in->dst, RAX), in->imm);
    int_done(e, in->dst, int_dst(e, in->dst, RAX));
}

/* ---- Addition, subtraction, logic. */

/* The second operand: an immediate that fits, or an r/m. */
typedef struct Second {
    bool is_imm;
    int32_t imm;
    X86Rm rm;
} Second;

static Second second(TcgEmitter *e, const IrInsn *in, IrReg b, bool wide)
{
    int64_t imm = b == IR_ZERO ? 0 : wide ? in->imm : (int32_t)in->imm;

    if (b != IR_IMM && b != IR_ZERO) {
        return (Second){ .rm = home_of(e, b) };
    }
    if (fits_i32(imm)) {
        return (Second){ .is_imm = true, .imm = (int32_t)imm, .rm = rm_reg(RCX) };
    }
    asm_movi(&e->as, RCX, imm);
    return (Second){ .rm = rm_reg(RCX) };
}

/* reg op= the second operand. */
static void apply(TcgEmitter *e, unsigned alu, uint32_t wide, unsigned reg, const Second *b)
{
    if (b->is_imm) {
        asm_alu_imm(&e->as, alu, wide, rm_reg(reg), b->imm);
    } else {
        asm_op(&e->as, X_ALU(alu) | wide, reg, b->rm);
    }
}

/* dst op= b where dst is in memory and the first input too. */
static bool apply_in_memory(TcgEmitter *e, unsigned alu, X86Rm dst, const Second *b)
{
    if (b->is_imm) {
        asm_alu_imm(&e->as, alu, X_W, dst, b->imm);
    } else if (b->rm.reg >= 0) {
        asm_op(&e->as, X_ALU_ST(alu) | X_W, (unsigned)b->rm.reg, dst);
    } else {
        asm_op(&e->as, X_MOV | X_W, RCX, b->rm);
        asm_op(&e->as, X_ALU_ST(alu) | X_W, RCX, dst);
    }
    return true;
}

/* Sums into another register. */
static bool apply_lea(TcgEmitter *e, unsigned dst, int a, uint32_t wide, const Second *b)
{
    if (a < 0 || a == (int)dst) {
        return false;
    }
    if (b->is_imm) {
        asm_op(&e->as, X_LEA | wide, dst, rm_mem((unsigned)a, b->imm));
        return true;
    }
    if (b->rm.reg >= 0 && b->rm.reg != (int)dst) {
        asm_op(&e->as, X_LEA | wide, dst, rm_index((unsigned)a, (unsigned)b->rm.reg, 0, 0));
        return true;
    }
    return false;
}

/* and with a mask that a zero extension makes. */
static bool apply_mask(TcgEmitter *e, const IrInsn *in, unsigned dst)
{
    uint32_t op = in->imm == 0xff ? X_MOVZX8 : in->imm == 0xffff ? X_MOVZX16 : X_MOV;

    if (in->b != IR_IMM || in->a == IR_ZERO ||
        (in->imm != 0xff && in->imm != 0xffff && in->imm != UINT32_MAX)) {
        return false;
    }
    asm_op(&e->as, op, dst, home_of(e, in->a));
    return true;
}

typedef struct AluOp {
    uint8_t alu;
    bool narrow, commutes, invert;
} AluOp;

static AluOp alu_op(unsigned op)
{
    switch (op) {
    case IR_OP_add:
        return (AluOp){ ALU_ADD, .commutes = true };
    case IR_OP_addw:
        return (AluOp){ ALU_ADD, .narrow = true, .commutes = true };
    case IR_OP_sub:
        return (AluOp){ ALU_SUB };
    case IR_OP_subw:
        return (AluOp){ ALU_SUB, .narrow = true };
    case IR_OP_and:
        return (AluOp){ ALU_AND, .commutes = true };
    case IR_OP_or:
        return (AluOp){ ALU_OR, .commutes = true };
    case IR_OP_xnor:
        return (AluOp){ ALU_XOR, .commutes = true, .invert = true };
    default:
        return (AluOp){ ALU_XOR, .commutes = true };
    }
}

void emit_alu(TcgEmitter *e, const IrInsn *in)
{
    AluOp op = alu_op(in->op);
    X86Rm dst = home_of(e, in->dst);
    IrReg a = in->a, b = in->b;
    uint32_t wide = wide_if(!op.narrow);
    unsigned to = int_dst(e, in->dst, RAX);
    int a_reg;
    Second rhs;

    if (op.commutes && b != IR_IMM && (a == IR_ZERO || (same_place(e, b, in->dst)))) {
        IrReg t = a;
        a = b;
        b = t;
    }
    if (op.alu == ALU_AND && apply_mask(e, in, to)) {
        int_done(e, in->dst, to);
        return;
    }
    rhs = second(e, in, b, !op.narrow);
    if (op.narrow && rhs.is_imm && rhs.imm == 0 && a != IR_ZERO) {
        asm_op(&e->as, X_MOVSXD, to, home_of(e, a));
        int_done(e, in->dst, to);
        return;
    }
    if (dst.reg < 0 && !op.narrow && !op.invert && same_place(e, a, in->dst)) {
        apply_in_memory(e, op.alu, dst, &rhs);
        return;
    }
    a_reg = a == IR_ZERO ? -1 : home_of(e, a).reg;
    if (op.alu == ALU_SUB && rhs.is_imm && rhs.imm != INT32_MIN) {
        op.alu = ALU_ADD;
        rhs.imm = -rhs.imm;
    }
    if (op.alu != ALU_ADD || !apply_lea(e, to, a_reg, wide, &rhs)) {
        if (!rhs.is_imm && rhs.rm.reg == (int)to && a_reg != (int)to) {
            to = RAX; /* b would be lost */
        }
        if (a != IR_ZERO && home_of(e, a).reg != (int)to) {
            asm_op(&e->as, X_MOV | wide, to, home_of(e, a));
        } else if (a == IR_ZERO) {
            asm_zero(&e->as, to);
        }
        if (op.alu == ALU_AND && rhs.is_imm && rhs.imm >= 0) {
            wide = 0; /* shorter, and clears the upper half as the mask does */
        }
        if (!(rhs.is_imm && rhs.imm == 0 && op.alu != ALU_AND)) {
            apply(e, op.alu, wide, to, &rhs);
        }
    }
    if (op.invert) {
        asm_op(&e->as, X_GROUP3 | X_W, 2, rm_reg(to));
    }
    if (op.narrow) {
        unsigned home = int_dst(e, in->dst, to);

        asm_rr(&e->as, X_MOVSXD, home, to);
        to = home;
    }
    int_done(e, in->dst, to);
}

/* andn, orn: a op ~b. */
void emit_andn(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RAX);
    bool and = in->op == IR_OP_andn;

    if (and&&e->features.bmi1 && in->a != IR_ZERO && in->b != IR_ZERO) {
        asm_vex(&e->as, X_ANDN | X_W, to, int_in(e, in->b, RCX), home_of(e, in->a));
    } else {
        int_to(e, RAX, in->b);
        asm_op(&e->as, X_GROUP3 | X_W, 2, rm_reg(RAX));
        asm_op(&e->as, X_ALU(and? ALU_AND : ALU_OR) | X_W, RAX, int_rm(e, in->a, RCX));
        to = RAX;
    }
    int_done(e, in->dst, to);
}

void emit_addsh(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RAX);
    unsigned a = int_in(e, in->a, RAX), b = int_in(e, in->b, RCX);

    asm_op(&e->as, X_LEA | X_W, to, rm_index(a, b, in->aux, 0));
    int_done(e, in->dst, to);
}

/* ---- Shifts. */

typedef struct ShiftOp {
    uint8_t shift;
    bool narrow;
} ShiftOp;

static ShiftOp shift_op(unsigned op)
{
    switch (op) {
    case IR_OP_shl:
    case IR_OP_shlw:
        return (ShiftOp){ SHIFT_SHL, op == IR_OP_shlw };
    case IR_OP_shr:
    case IR_OP_shrw:
        return (ShiftOp){ SHIFT_SHR, op == IR_OP_shrw };
    case IR_OP_sar:
    case IR_OP_sarw:
        return (ShiftOp){ SHIFT_SAR, op == IR_OP_sarw };
    case IR_OP_ror:
    case IR_OP_rorw:
        return (ShiftOp){ SHIFT_ROR, op == IR_OP_rorw };
    default:
        return (ShiftOp){ SHIFT_ROL, op == IR_OP_rolw };
    }
}

static void shift_by_imm(TcgEmitter *e, const IrInsn *in, ShiftOp op, unsigned to, unsigned count)
{
    uint32_t wide = wide_if(!op.narrow);

    if (e->features.bmi2 && (op.shift == SHIFT_ROR || op.shift == SHIFT_ROL)) {
        unsigned right = op.shift == SHIFT_ROR ? count : -count;

        asm_vex(&e->as, X_RORX | wide, to, 0, int_rm(e, in->a, RCX));
        asm_u8(&e->as, right & (op.narrow ? 31 : 63));
        return;
    }
    int_to(e, to, in->a);
    if (count) {
        asm_shift_imm(&e->as, op.shift, wide, rm_reg(to), count);
    }
}

void emit_shift(TcgEmitter *e, const IrInsn *in)
{
    static const uint32_t bmi[8] = {
        [SHIFT_SHL] = X_SHLX, [SHIFT_SHR] = X_SHRX, [SHIFT_SAR] = X_SARX
    };
    ShiftOp op = shift_op(in->op);
    uint32_t wide = wide_if(!op.narrow);
    unsigned to = int_dst(e, in->dst, RAX);

    if (in->b == IR_IMM || in->b == IR_ZERO) {
        unsigned count = in->b == IR_ZERO ? 0 : (unsigned)in->imm & (op.narrow ? 31 : 63);

        shift_by_imm(e, in, op, to, count);
    } else if (e->features.bmi2 && bmi[op.shift] && in->a != IR_ZERO) {
        asm_vex(&e->as, bmi[op.shift] | wide, to, int_in(e, in->b, RCX), home_of(e, in->a));
    } else {
        int_to(e, RCX, in->b);
        int_to(e, to, in->a);
        asm_op(&e->as, X_SHIFT_CL | wide, op.shift, rm_reg(to));
    }
    if (op.narrow) {
        asm_rr(&e->as, X_MOVSXD, to, to);
    }
    int_done(e, in->dst, to);
}

/* ---- Multiplication and division. */

void emit_mul(TcgEmitter *e, const IrInsn *in)
{
    bool narrow = in->op == IR_OP_mulw;
    uint32_t wide = wide_if(!narrow);
    unsigned to = int_dst(e, in->dst, RAX);
    IrReg a = in->a, b = in->b;
    Second rhs;

    if (b != IR_IMM && same_place(e, b, in->dst)) {
        b = a;
        a = in->b;
    }
    if (a == IR_ZERO || b == IR_ZERO) {
        asm_zero(&e->as, to);
        int_done(e, in->dst, to);
        return;
    }
    rhs = second(e, in, b, !narrow);
    if (rhs.is_imm) {
        bool small = rhs.imm == (int8_t)rhs.imm;

        asm_op(&e->as, (small ? X_IMUL_IMM8 : X_IMUL_IMM32) | wide, to, home_of(e, a));
        if (small) {
            asm_u8(&e->as, (uint8_t)rhs.imm);
        } else {
            asm_u32(&e->as, (uint32_t)rhs.imm);
        }
    } else {
        if (rhs.rm.reg == (int)to && home_of(e, a).reg != (int)to) {
            to = RAX;
        }
        int_to(e, to, a);
        asm_op(&e->as, X_IMUL | wide, to, rhs.rm);
    }
    if (narrow) {
        unsigned home = int_dst(e, in->dst, to);

        asm_rr(&e->as, X_MOVSXD, home, to);
        to = home;
    }
    int_done(e, in->dst, to);
}

void emit_mul_high(TcgEmitter *e, const IrInsn *in)
{
    Asm *as = &e->as;

    int_to(e, RAX, in->a);
    asm_op(as, X_GROUP3 | X_W, in->op == IR_OP_mulhs ? 5 : 4, int_rm(e, in->b, RCX));
    if (in->op == IR_OP_mulhsu) {
        /* The product of a + 2^64 instead of a, where a is negative. */
        int_to(e, RAX, in->a);
        asm_shift_imm(as, SHIFT_SAR, X_W, rm_reg(RAX), 63);
        asm_op(as, X_ALU(ALU_AND) | X_W, RAX, int_rm(e, in->b, RCX));
        asm_rr(as, X_ALU(ALU_SUB) | X_W, RDX, RAX);
    }
    int_done(e, in->dst, RDX);
}

typedef struct DivOp {
    bool narrow, is_signed, remainder;
} DivOp;

static DivOp div_op(unsigned op)
{
    return (DivOp){
        .narrow = op == IR_OP_divsw || op == IR_OP_divuw || op == IR_OP_remsw || op == IR_OP_remuw,
        .is_signed = op == IR_OP_divs || op == IR_OP_rems || op == IR_OP_divsw || op == IR_OP_remsw,
        .remainder = op == IR_OP_rems || op == IR_OP_remu || op == IR_OP_remsw || op == IR_OP_remuw,
    };
}

/* Divisor (rcx) 0 or, signed, -1. The dividend is in rax; the result goes where division puts it. */
static void cold_divide(TcgEmitter *e, const Cold *cold)
{
    DivOp op = div_op(cold->insn->op);
    uint32_t wide = wide_if(!op.narrow), minus_one = 0;
    Asm *as = &e->as;

    if (op.is_signed) {
        asm_rr(as, X_TEST | wide, RCX, RCX);
        minus_one = asm_jcc8(as, CC_NE);
    }
    if (op.remainder) {
        asm_rr(as, X_MOV | wide, RDX, RAX);
    } else {
        asm_movi(as, RAX, -1);
    }
    asm_jmp_back(as, cold->back);
    if (op.is_signed) {
        asm_patch8(as, minus_one, asm_offset(as));
        if (op.remainder) {
            asm_zero(as, RDX);
        } else {
            asm_op(as, X_GROUP3 | wide, 3, rm_reg(RAX));
        }
        asm_jmp_back(as, cold->back);
    }
}

void emit_divide(TcgEmitter *e, const IrInsn *in)
{
    DivOp op = div_op(in->op);
    uint32_t wide = wide_if(!op.narrow);
    Asm *as = &e->as;
    Cold *cold;
    unsigned result = op.remainder ? RDX : RAX;

    int_to(e, RAX, in->a);
    int_to(e, RCX, in->b);
    if (op.is_signed) {
        asm_op(as, X_LEA | wide, RDX, rm_mem(RCX, 1));
        asm_alu_imm(as, ALU_CMP, wide, rm_reg(RDX), 1);
        cold = cold_jcc(e, CC_BE, cold_divide);
        if (op.narrow) {
            asm_u8(as, 0x99); /* cdq */
        } else {
            asm_u8(as, 0x48);
            asm_u8(as, 0x99); /* cqo */
        }
    } else {
        asm_rr(as, X_TEST | wide, RCX, RCX);
        cold = cold_jcc(e, CC_E, cold_divide);
        asm_zero(as, RDX);
    }
    asm_op(as, X_GROUP3 | wide, op.is_signed ? 7 : 6, rm_reg(RCX));
    cold->back = asm_offset(as);
    if (op.narrow) {
        unsigned to = int_dst(e, in->dst, RAX);

        asm_rr(as, X_MOVSXD, to, result);
        result = to;
    }
    int_done(e, in->dst, result);
}

/* ---- Bits. */

void emit_extend(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RAX);
    X86Rm a = int_rm(e, in->a, RAX);
    uint32_t op;

    switch (in->op) {
    case IR_OP_sext8:
        op = X_MOVSX8 | X_W;
        break;
    case IR_OP_sext16:
        op = X_MOVSX16 | X_W;
        break;
    case IR_OP_sext32:
        op = X_MOVSXD;
        break;
    case IR_OP_zext8:
        op = X_MOVZX8;
        break;
    case IR_OP_zext16:
        op = X_MOVZX16;
        break;
    default:
        op = X_MOV;
        break;
    }
    asm_op(&e->as, op, to, a);
    int_done(e, in->dst, to);
}

void emit_count_zeros(TcgEmitter *e, const IrInsn *in)
{
    bool narrow = in->op == IR_OP_clzw || in->op == IR_OP_ctzw;
    bool leading = in->op == IR_OP_clz || in->op == IR_OP_clzw;
    uint32_t wide = wide_if(!narrow);
    unsigned to = int_dst(e, in->dst, RAX);
    X86Rm a = int_rm(e, in->a, RCX);
    Asm *as = &e->as;

    if (leading ? e->features.lzcnt : e->features.bmi1) {
        asm_op(as, (leading ? X_LZCNT : X_TZCNT) | wide, to, a);
    } else {
        unsigned bits = narrow ? 32 : 64;

        /* The bit scans leave the result undefined for zero, and say so. */
        asm_op(as, (leading ? X_BSR : X_BSF) | wide, RAX, a);
        asm_movi(as, RCX, leading ? 2 * bits - 1 : bits);
        asm_rr(as, (X_CMOV + CC_E) | X_W, RAX, RCX);
        if (leading) {
            asm_alu_imm(as, ALU_XOR, 0, rm_reg(RAX), (int32_t)bits - 1);
        }
        to = RAX;
    }
    int_done(e, in->dst, to);
}

static void popcnt_by_hand(TcgEmitter *e)
{
    Asm *as = &e->as;

    /* Sums of pairs, of four bits, of bytes, then all bytes by a product. */
    asm_rr(as, X_MOV | X_W, RCX, RAX);
    asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RCX), 1);
    asm_movi(as, RDX, 0x5555555555555555);
    asm_rr(as, X_ALU(ALU_AND) | X_W, RCX, RDX);
    asm_rr(as, X_ALU(ALU_SUB) | X_W, RAX, RCX);
    asm_movi(as, RDX, 0x3333333333333333);
    asm_rr(as, X_MOV | X_W, RCX, RAX);
    asm_rr(as, X_ALU(ALU_AND) | X_W, RAX, RDX);
    asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RCX), 2);
    asm_rr(as, X_ALU(ALU_AND) | X_W, RCX, RDX);
    asm_rr(as, X_ALU(ALU_ADD) | X_W, RAX, RCX);
    asm_rr(as, X_MOV | X_W, RCX, RAX);
    asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RCX), 4);
    asm_rr(as, X_ALU(ALU_ADD) | X_W, RAX, RCX);
    asm_movi(as, RDX, 0x0f0f0f0f0f0f0f0f);
    asm_rr(as, X_ALU(ALU_AND) | X_W, RAX, RDX);
    asm_movi(as, RDX, 0x0101010101010101);
    asm_rr(as, X_IMUL | X_W, RAX, RDX);
    asm_shift_imm(as, SHIFT_SHR, X_W, rm_reg(RAX), 56);
}

void emit_popcnt(TcgEmitter *e, const IrInsn *in)
{
    uint32_t wide = wide_if(in->op == IR_OP_popcnt);
    unsigned to = int_dst(e, in->dst, RAX);

    if (e->features.popcnt) {
        asm_op(&e->as, X_POPCNT | wide, to, int_rm(e, in->a, RCX));
    } else {
        asm_op(&e->as, X_MOV | wide, RAX, int_rm(e, in->a, RAX));
        popcnt_by_hand(e);
        to = RAX;
    }
    int_done(e, in->dst, to);
}

void emit_bswap(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RAX);

    int_to(e, to, in->a);
    asm_u8(&e->as, 0x48 | to >> 3);
    asm_u8(&e->as, 0x0f);
    asm_u8(&e->as, 0xc8 | (to & 7));
    int_done(e, in->dst, to);
}

void emit_orcb(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RAX);
    Asm *as = &e->as;

    asm_op(as, X_MOVQ_FROM, X0, int_rm(e, in->a, RAX));
    asm_rr(as, X_XORPS, X1, X1);
    asm_rr(as, X_PCMPEQB, X0, X1);
    asm_op(as, X_MOVQ_TO, X0, rm_reg(to));
    asm_op(as, X_GROUP3 | X_W, 2, rm_reg(to));
    int_done(e, in->dst, to);
}

void emit_clmul(TcgEmitter *e, const IrInsn *in)
{
    unsigned result = RAX;
    Asm *as = &e->as;

    if (e->features.pclmul) {
        asm_op(as, X_MOVQ_FROM, X0, int_rm(e, in->a, RAX));
        asm_op(as, X_MOVQ_FROM, X1, int_rm(e, in->b, RAX));
        asm_rr(as, X_PCLMUL, X0, X1);
        asm_u8(as, 0);
        if (in->op != IR_OP_clmulh) {
            asm_op(as, X_MOVQ_TO, X0, rm_reg(RAX));
        }
        if (in->op != IR_OP_clmul) {
            asm_rr(as, X_PSHUFD, X0, X0);
            asm_u8(as, 0xee); /* upper half */
            asm_op(as, X_MOVQ_TO, X0, rm_reg(RDX));
        }
    } else {
        int_to(e, RAX, in->a);
        int_to(e, RCX, in->b);
        asm_call(as, e->thunks->clmul);
    }
    if (in->op == IR_OP_clmulr) {
        asm_op(as, X_SHLD_IMM | X_W, RAX, rm_reg(RDX));
        asm_u8(as, 1);
    }
    if (in->op != IR_OP_clmul) {
        result = RDX;
    }
    int_done(e, in->dst, result);
}

/* ---- Conditions. */

static const uint8_t condition_code[IR_COND_COUNT] = {
    [IR_EQ] = CC_E,   [IR_NE] = CC_NE, [IR_LT] = CC_L, [IR_GE] = CC_GE,  [IR_LTU] = CC_B,
    [IR_GEU] = CC_AE, [IR_LE] = CC_LE, [IR_GT] = CC_G, [IR_LEU] = CC_BE, [IR_GTU] = CC_A,
};

/* With a and b exchanged. */
static const uint8_t exchanged[IR_COND_COUNT] = {
    [IR_EQ] = IR_EQ,   [IR_NE] = IR_NE, [IR_LT] = IR_GT, [IR_GE] = IR_LE,   [IR_LTU] = IR_GTU,
    [IR_GEU] = IR_LEU, [IR_LE] = IR_GE, [IR_GT] = IR_LT, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU,
};

unsigned compare(TcgEmitter *e, const IrInsn *in)
{
    IrReg a = in->a, b = in->b;
    unsigned cond = in->cond;
    Asm *as = &e->as;
    X86Rm rm;

    if (a == IR_ZERO && b < IR_ZERO) {
        a = b;
        b = IR_ZERO;
        cond = exchanged[cond];
    }
    rm = int_rm(e, a, RAX);
    if (b == IR_ZERO || (b == IR_IMM && in->imm == 0)) {
        if (rm.reg >= 0) {
            asm_rr(as, X_TEST | X_W, (unsigned)rm.reg, (unsigned)rm.reg);
        } else {
            asm_alu_imm(as, ALU_CMP, X_W, rm, 0);
        }
    } else if (b == IR_IMM && fits_i32(in->imm)) {
        asm_alu_imm(as, ALU_CMP, X_W, rm, (int32_t)in->imm);
    } else if (b == IR_IMM) {
        asm_movi(as, RCX, in->imm);
        asm_op(as, X_ALU_ST(ALU_CMP) | X_W, RCX, rm);
    } else if (rm.reg >= 0) {
        asm_op(as, X_ALU(ALU_CMP) | X_W, (unsigned)rm.reg, home_of(e, b));
    } else {
        asm_op(as, X_ALU_ST(ALU_CMP) | X_W, int_in(e, b, RCX), rm);
    }
    return condition_code[cond];
}

void emit_brcond(TcgEmitter *e, const IrInsn *in)
{
    branch(e, compare(e, in), in->aux, in->target);
}

void emit_set(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RDX), cc;
    Asm *as = &e->as;

    if (is_home(e, in->a, to) || is_home(e, in->b, to)) {
        to = RDX;
    }
    asm_zero(as, to);
    cc = compare(e, in);
    asm_op(as, X_SETCC + cc, 0, rm_reg(to));
    int_done(e, in->dst, to);
}

void emit_cmov(TcgEmitter *e, const IrInsn *in)
{
    unsigned to = int_dst(e, in->dst, RDX), cc;
    X86Rm c;

    if (in->c == IR_ZERO) { /* before the comparison, which may use rax and rcx */
        X86Rm dst = home_of(e, in->dst);

        if (dst.reg < 0) {
            asm_op(&e->as, X_MOV | X_W, RDX, dst);
        }
        cc = compare(e, in);
        asm_movi(&e->as, RAX, 0);
        c = rm_reg(RAX);
    } else {
        if (to == RDX) {
            asm_op(&e->as, X_MOV | X_W, RDX, home_of(e, in->dst));
        }
        cc = compare(e, in);
        c = home_of(e, in->c);
    }
    asm_op(&e->as, (X_CMOV + cc) | X_W, to, c);
    int_done(e, in->dst, to);
}

void emit_minmax(TcgEmitter *e, const IrInsn *in)
{
    static const uint8_t second_wins[] = { CC_G, CC_L, CC_A, CC_B };
    unsigned cc = second_wins[in->op - IR_OP_min];
    unsigned to = int_dst(e, in->dst, RAX);
    IrReg a = in->a, b = in->b;
    Asm *as = &e->as;
    X86Rm rhs;

    G_STATIC_ASSERT(IR_OP_max == IR_OP_min + 1 && IR_OP_minu == IR_OP_min + 2 &&
                    IR_OP_maxu == IR_OP_min + 3);
    if (b == IR_IMM) {
        asm_movi(as, RCX, in->imm);
        rhs = rm_reg(RCX);
    } else {
        if (is_home(e, b, to)) {
            b = a;
            a = in->b;
        }
        rhs = int_rm(e, b, RCX);
        if (is_home(e, b, to) && !is_home(e, a, to)) {
            to = RAX;
        }
    }
    int_to(e, to, a);
    asm_op(as, X_ALU(ALU_CMP) | X_W, to, rhs);
    asm_op(as, (X_CMOV + cc) | X_W, to, rhs);
    int_done(e, in->dst, to);
}
