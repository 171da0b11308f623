/* SPDX-License-Identifier: MIT */
/*
 * What an operation becomes, given what is known of its inputs. The idea to hold: first whole
 * results (all inputs constant), then the second input as an immediate, then identities by
 * operation, among them cheaper operations (multiplication and division by powers of two, pairs of shifts that
 * extend) and extensions of what is extended already.
 */
#include "tcg/opt.h"

/* Operations that look at the low half of inputs alone: bit 0 for a, bit 1 for b. */
unsigned opt_low_half_inputs(const IrInsn *insn)
{
    switch (insn->op) {
    case IR_OP_addw:
    case IR_OP_subw:
    case IR_OP_shlw:
    case IR_OP_shrw:
    case IR_OP_sarw:
    case IR_OP_rorw:
    case IR_OP_rolw:
    case IR_OP_mulw:
    case IR_OP_divsw:
    case IR_OP_divuw:
    case IR_OP_remsw:
    case IR_OP_remuw:
        return 3;
    case IR_OP_sext8:
    case IR_OP_sext16:
    case IR_OP_sext32:
    case IR_OP_zext8:
    case IR_OP_zext16:
    case IR_OP_zext32:
    case IR_OP_clzw:
    case IR_OP_ctzw:
    case IR_OP_popcntw:
    case IR_OP_fmvwx:
    case IR_OP_fcvtdw:
    case IR_OP_fcvtdu:
    case IR_OP_fcvtsw:
    case IR_OP_fcvtsu:
        return 1;
    case IR_OP_st:
        return (insn->aux & IR_MEM_SIZE) <= 2 ? 2 : 0;
    default:
        return 0;
    }
}

static void become_movi(IrInsn *insn, uint64_t value)
{
    insn->op = IR_OP_movi;
    insn->a = insn->b = insn->c = IR_NONE;
    insn->aux = 0;
    insn->imm = (int64_t)value;
}

static void become_mov(IrInsn *insn, IrReg from)
{
    if (from == IR_ZERO) {
        become_movi(insn, 0);
        return;
    }
    insn->op = IR_OP_mov;
    insn->a = from;
    insn->b = insn->c = IR_NONE;
    insn->aux = 0;
    insn->imm = 0;
}

static void become_unary(IrInsn *insn, IrOp op, IrReg a)
{
    insn->op = (uint8_t)op;
    insn->a = a;
    insn->b = IR_NONE;
    insn->imm = 0;
}

static void become_imm(IrInsn *insn, IrOp op, int64_t imm)
{
    insn->op = (uint8_t)op;
    insn->b = IR_IMM;
    insn->imm = imm;
}

static unsigned unsigned_bits(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static unsigned signed_bits(uint64_t value)
{
    return 1 + unsigned_bits(value ^ (uint64_t)((int64_t)value >> 63));
}

static void widths(const Opt *o, const IrInsn *insn, IrReg reg, unsigned *u, unsigned *s)
{
    const Fact *fact = opt_fact(o, reg);
    uint64_t value;

    if (opt_constant(o, insn, reg, &value)) {
        *u = unsigned_bits(value);
        *s = signed_bits(value);
    } else if (fact != NULL) {
        *u = fact->ubits;
        *s = fact->sbits;
    } else {
        *u = *s = 64;
    }
}

void opt_widths(const Opt *o, const IrInsn *insn, uint8_t *ubits, uint8_t *sbits)
{
    unsigned u = 64, s = 64, au, as, bu, bs;

    *ubits = *sbits = 64;
    if (ir_op_info[insn->op].shape[0] != 'i' || ir_op_info[insn->op].shape[2] == 'f') {
        if (insn->op == IR_OP_fmvxw || insn->op == IR_OP_fcvtwd || insn->op == IR_OP_fcvtud ||
            insn->op == IR_OP_fcvtws || insn->op == IR_OP_fcvtus) {
            *sbits = 32;
        }
        return;
    }
    switch (insn->op) {
    case IR_OP_movi:
        u = unsigned_bits((uint64_t)insn->imm);
        s = signed_bits((uint64_t)insn->imm);
        break;
    case IR_OP_mov:
        widths(o, insn, insn->a, &u, &s);
        break;
    case IR_OP_sext8:
    case IR_OP_sext16:
    case IR_OP_sext32:
        s = insn->op == IR_OP_sext8 ? 8 : insn->op == IR_OP_sext16 ? 16 : 32;
        break;
    case IR_OP_zext8:
    case IR_OP_zext16:
    case IR_OP_zext32:
        u = insn->op == IR_OP_zext8 ? 8 : insn->op == IR_OP_zext16 ? 16 : 32;
        break;
    case IR_OP_addw:
    case IR_OP_subw:
    case IR_OP_shlw:
    case IR_OP_shrw:
    case IR_OP_sarw:
    case IR_OP_rorw:
    case IR_OP_rolw:
    case IR_OP_mulw:
    case IR_OP_divsw:
    case IR_OP_divuw:
    case IR_OP_remsw:
    case IR_OP_remuw:
        s = 32;
        break;
    case IR_OP_set:
        u = 1;
        break;
    case IR_OP_clz:
    case IR_OP_ctz:
    case IR_OP_popcnt:
    case IR_OP_clzw:
    case IR_OP_ctzw:
    case IR_OP_popcntw:
        u = 7;
        break;
    case IR_OP_ld:
        if (insn->aux & IR_MEM_SIGNED) {
            s = 8u << (insn->aux & IR_MEM_SIZE);
        } else {
            u = 8u << (insn->aux & IR_MEM_SIZE);
        }
        break;
    case IR_OP_amo:
    case IR_OP_cas:
        s = 8u << (insn->aux & IR_MEM_SIZE);
        break;
    case IR_OP_and:
    case IR_OP_or:
    case IR_OP_xor:
    case IR_OP_min:
    case IR_OP_max:
    case IR_OP_minu:
    case IR_OP_maxu:
        widths(o, insn, insn->a, &au, &as);
        widths(o, insn, insn->b, &bu, &bs);
        u = insn->op == IR_OP_and || insn->op == IR_OP_minu ? MIN(au, bu) : MAX(au, bu);
        s = MAX(as, bs);
        break;
    case IR_OP_shr:
        if (insn->b == IR_IMM) {
            widths(o, insn, insn->a, &au, &as);
            u = au > (insn->imm & 63) ? au - (unsigned)(insn->imm & 63) : 0;
        }
        break;
    case IR_OP_sar:
        if (insn->b == IR_IMM) {
            widths(o, insn, insn->a, &au, &as);
            s = as > (insn->imm & 63) ? MAX(as - (unsigned)(insn->imm & 63), 1) : 1;
        }
        break;
    default:
        break;
    }
    if (u < 64) {
        s = MIN(s, u + 1);
    }
    *ubits = (uint8_t)u;
    *sbits = (uint8_t)s;
}

/* Multiplication by constants that a shift or an addition with shift can do. */
static void simplify_mul(IrInsn *insn)
{
    uint64_t by = (uint64_t)insn->imm;

    if (by == 0) {
        become_movi(insn, 0);
    } else if (by == 1) {
        become_mov(insn, insn->a);
    } else if ((by & (by - 1)) == 0) {
        become_imm(insn, IR_OP_shl, __builtin_ctzll(by));
    } else if (by == 3 || by == 5 || by == 9) {
        insn->op = IR_OP_addsh;
        insn->b = insn->a;
        insn->aux = by == 3 ? 1 : by == 5 ? 2 : 3;
        insn->imm = 0;
    }
}

/* A shift right of a shift left by as much: an extension, where there is one of that width. */
static void simplify_shift_pair(const Opt *o, IrInsn *insn)
{
    const Fact *fact = opt_fact(o, insn->a);
    bool sign = insn->op == IR_OP_sar;

    if (fact == NULL || fact->kind != FACT_SHL || fact->imm != (insn->imm & 63) ||
        !opt_source_holds(o, fact)) {
        return;
    }
    switch (fact->imm) {
    case 32:
        become_unary(insn, sign ? IR_OP_sext32 : IR_OP_zext32, fact->source);
        break;
    case 48:
        become_unary(insn, sign ? IR_OP_sext16 : IR_OP_zext16, fact->source);
        break;
    case 56:
        become_unary(insn, sign ? IR_OP_sext8 : IR_OP_zext8, fact->source);
        break;
    default:
        break;
    }
}

/* A mask that keeps the low bits only, given as an immediate. */
static void simplify_and(const Opt *o, IrInsn *insn)
{
    uint64_t mask = (uint64_t)insn->imm;
    unsigned u, s;

    widths(o, insn, insn->a, &u, &s);
    if (mask == 0) {
        become_movi(insn, 0);
    } else if (mask == UINT64_MAX || (u < 64 && (~mask & ((UINT64_C(1) << u) - 1)) == 0)) {
        become_mov(insn, insn->a);
    } else if (mask == 0xff) {
        become_unary(insn, IR_OP_zext8, insn->a);
    } else if (mask == 0xffff) {
        become_unary(insn, IR_OP_zext16, insn->a);
    } else if (mask == 0xffffffff) {
        become_unary(insn, IR_OP_zext32, insn->a);
    }
}

static void with_immediate(const Opt *o, IrInsn *insn)
{
    int64_t imm = insn->imm;

    switch (insn->op) {
    case IR_OP_sub:
        become_imm(insn, IR_OP_add, (int64_t) - (uint64_t)imm);
        imm = insn->imm;
        G_GNUC_FALLTHROUGH;
    case IR_OP_add:
        if (imm == 0) {
            become_mov(insn, insn->a);
        }
        break;
    case IR_OP_subw:
        become_imm(insn, IR_OP_addw, (int32_t) - (uint32_t)imm);
        imm = insn->imm;
        G_GNUC_FALLTHROUGH;
    case IR_OP_addw:
        if ((uint32_t)imm == 0) {
            become_unary(insn, IR_OP_sext32, insn->a);
        }
        break;
    case IR_OP_and:
        simplify_and(o, insn);
        break;
    case IR_OP_or:
        if (imm == 0) {
            become_mov(insn, insn->a);
        } else if (imm == -1) {
            become_movi(insn, UINT64_MAX);
        }
        break;
    case IR_OP_xor:
        if (imm == 0) {
            become_mov(insn, insn->a);
        }
        break;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_ror:
    case IR_OP_rol:
        insn->imm &= 63;
        if (insn->imm == 0) {
            become_mov(insn, insn->a);
        } else if (insn->op == IR_OP_shr || insn->op == IR_OP_sar) {
            simplify_shift_pair(o, insn);
        }
        break;
    case IR_OP_shlw:
    case IR_OP_shrw:
    case IR_OP_sarw:
    case IR_OP_rorw:
    case IR_OP_rolw:
        insn->imm &= 31;
        if (insn->imm == 0) {
            become_unary(insn, IR_OP_sext32, insn->a);
        }
        break;
    case IR_OP_mul:
        simplify_mul(insn);
        break;
    case IR_OP_mulw: {
        uint32_t by = (uint32_t)imm;

        if (by == 0) {
            become_movi(insn, 0);
        } else if (by == 1) {
            become_unary(insn, IR_OP_sext32, insn->a);
        } else if ((by & (by - 1)) == 0) {
            become_imm(insn, IR_OP_shlw, __builtin_ctz(by));
        }
        break;
    }
    case IR_OP_set:
        if (imm == 0 && (insn->cond == IR_LTU || insn->cond == IR_GEU)) {
            become_movi(insn, insn->cond == IR_GEU);
        }
        break;
    default:
        break;
    }
}

/* Where b must be a register, but is known to be constant. */
static void divide_by(IrInsn *insn, uint64_t by)
{
    bool power = by != 0 && (by & (by - 1)) == 0;

    switch (insn->op) {
    case IR_OP_divu:
        if (by == 1) {
            become_mov(insn, insn->a);
        } else if (power) {
            become_imm(insn, IR_OP_shr, __builtin_ctzll(by));
        }
        break;
    case IR_OP_remu:
        if (by == 1) {
            become_movi(insn, 0);
        } else if (power) {
            become_imm(insn, IR_OP_and, (int64_t)(by - 1));
        }
        break;
    case IR_OP_andn:
        become_imm(insn, IR_OP_and, (int64_t)~by);
        break;
    case IR_OP_orn:
        become_imm(insn, IR_OP_or, (int64_t)~by);
        break;
    case IR_OP_addsh:
        become_imm(insn, IR_OP_add, (int64_t)(by << insn->aux));
        insn->aux = 0;
        break;
    default:
        break;
    }
}

static void same_inputs(IrInsn *insn)
{
    switch (insn->op) {
    case IR_OP_sub:
    case IR_OP_xor:
    case IR_OP_subw:
    case IR_OP_andn:
        become_movi(insn, 0);
        break;
    case IR_OP_and:
    case IR_OP_or:
    case IR_OP_min:
    case IR_OP_max:
    case IR_OP_minu:
    case IR_OP_maxu:
        become_mov(insn, insn->a);
        break;
    case IR_OP_orn:
    case IR_OP_xnor:
        become_movi(insn, UINT64_MAX);
        break;
    case IR_OP_set:
        become_movi(insn, ir_eval_cond(insn->cond, 0, 0));
        break;
    default:
        break;
    }
}

/* What is extended already. */
static void extend(const Opt *o, IrInsn *insn)
{
    unsigned u, s;

    widths(o, insn, insn->a, &u, &s);
    switch (insn->op) {
    case IR_OP_sext8:
        s = s <= 8 ? 0 : s;
        break;
    case IR_OP_sext16:
        s = s <= 16 ? 0 : s;
        break;
    case IR_OP_sext32:
        s = s <= 32 ? 0 : s;
        break;
    case IR_OP_zext8:
        s = u <= 8 ? 0 : s;
        break;
    case IR_OP_zext16:
        s = u <= 16 ? 0 : s;
        break;
    default:
        s = u <= 32 ? 0 : s;
        break;
    }
    if (s == 0) {
        become_mov(insn, insn->a);
    }
}

static bool is_extension(unsigned op)
{
    return op >= IR_OP_sext8 && op <= IR_OP_zext32;
}

static IrCond swapped(unsigned cond)
{
    switch (cond) {
    case IR_LT:
        return IR_GT;
    case IR_GE:
        return IR_LE;
    case IR_LTU:
        return IR_GTU;
    case IR_GEU:
        return IR_LEU;
    case IR_LE:
        return IR_GE;
    case IR_GT:
        return IR_LT;
    case IR_LEU:
        return IR_GEU;
    case IR_GTU:
        return IR_LTU;
    default:
        return (IrCond)cond;
    }
}

/* Constants to the right, as immediates where the operation takes them; zeros elsewhere as IR_ZERO. */
static void place_constants(const Opt *o, IrInsn *insn, bool a_known, uint64_t a, bool b_known,
                            uint64_t b)
{
    const IrOpInfo *info = &ir_op_info[insn->op];

    if (a_known && !b_known && ir_has_reg(insn->b) && info->shape[3] == 'I' &&
        (info->flags & (IR_COMMUTES | IR_COND))) {
        insn->a = insn->b;
        insn->b = IR_IMM;
        insn->imm = (int64_t)a;
        if (info->flags & IR_COND) {
            insn->cond = (uint8_t)swapped(insn->cond);
        }
        return;
    }
    if (b_known && info->shape[3] == 'I' && insn->b != IR_IMM) {
        insn->b = IR_IMM;
        insn->imm = (int64_t)b;
    } else if (b_known && b == 0 && ir_has_reg(insn->b)) {
        insn->b = IR_ZERO;
    }
    if (a_known && a == 0 && ir_has_reg(insn->a)) {
        insn->a = IR_ZERO;
    }
}

void opt_algebra(Opt *o, IrInsn *insn)
{
    const IrOpInfo *info = &ir_op_info[insn->op];
    uint64_t a = 0, b = 0, c = 0;
    bool a_known, b_known;

    if (info->shape[2] == 'f' || info->shape[3] == 'f' || (info->flags & IR_CALL)) {
        return;
    }
    a_known = opt_constant(o, insn, insn->a, &a);
    b_known = opt_constant(o, insn, insn->b, &b);
    if (insn->op == IR_OP_cmov) {
        if ((a_known && b_known) || (ir_has_reg(insn->a) && insn->a == insn->b)) {
            bool taken = a_known ? ir_eval_cond(insn->cond, a, b) : ir_eval_cond(insn->cond, 0, 0);
            become_mov(insn, taken ? insn->c : insn->dst);
            return;
        }
        if (insn->c == insn->dst) {
            become_mov(insn, insn->dst);
            return;
        }
        if (opt_constant(o, insn, insn->c, &c) && c == 0) {
            insn->c = IR_ZERO;
        }
    } else if (ir_can_eval(insn->op) && insn->op != IR_OP_movi &&
               (a_known || info->shape[2] == '-') && (b_known || info->shape[3] == '-')) {
        become_movi(insn, ir_eval(insn, a, b, 0, 0));
        return;
    }
    if (a_known || b_known) {
        place_constants(o, insn, a_known, a, b_known, b);
    }
    if (insn->op == IR_OP_brcond || insn->dst == IR_NONE || (info->flags & (IR_MEM | IR_SIDE))) {
        return;
    }
    if (insn->b == IR_IMM) {
        with_immediate(o, insn);
    } else if (ir_has_reg(insn->a) && insn->a == insn->b) {
        same_inputs(insn);
    } else if (insn->op == IR_OP_addsh && insn->a == IR_ZERO) {
        insn->a = insn->b;
        become_imm(insn, IR_OP_shl, insn->aux);
        insn->aux = 0;
    } else if (b_known) {
        divide_by(insn, b);
        if (insn->b == IR_IMM) {
            with_immediate(o, insn);
        }
    }
    if (is_extension(insn->op)) {
        extend(o, insn);
    }
}
