/* SPDX-License-Identifier: MIT */
/*
 * The walk forward: constants, copies, sums, widths. The idea to hold: registers are variables, so a fact
 * about one names the sources it rests on with the tick of their last write, and holds as
 * long as these ticks are unchanged. Facts pass from a block to the next in order when that has no other
 * predecessor; else the epoch grows and nothing is known.
 *
 * For each operation: inputs are replaced by what they are copies of (a temp by a global rather than the
 * other way round, so that temps die); opt_algebra simplifies; opt_number looks whether the value is
 * there; then what is known of the result is noted.
 */
#include "tcg/opt.h"

#include <string.h>

static void see_temp(Opt *o, IrReg reg, unsigned block)
{
    unsigned temp = reg - IR_FIRST_TEMP;

    if (ir_is_temp(reg) && o->temp_block[temp] != block) {
        o->temp_crosses[temp] |= o->temp_block[temp] != UINT16_MAX;
        o->temp_block[temp] = (uint16_t)block;
    }
}

static IrReg resolve(const Opt *o, IrReg reg)
{
    for (unsigned i = 0; i < 2; i++) {
        const Fact *fact = opt_fact(o, reg);

        if (fact == NULL || fact->kind != FACT_SUM || fact->imm != 0 ||
            !opt_source_holds(o, fact)) {
            break;
        }
        reg = fact->source;
    }
    return reg;
}

static IrReg low_half_source(const Opt *o, IrReg reg)
{
    const Fact *fact = opt_fact(o, reg);

    return fact != NULL && fact->kind == FACT_EXT32 && opt_source_holds(o, fact) ? fact->source
                                                                                 : reg;
}

static bool fits_offset(int64_t imm)
{
    return imm >= INT32_MIN / 2 && imm <= INT32_MAX / 2;
}

/* Sums as addresses, and sums of sums. */
static void fold_sum(const Opt *o, IrInsn *insn)
{
    const Fact *fact = opt_fact(o, insn->a);
    int64_t imm;

    if (fact == NULL || (fact->kind != FACT_SUM && fact->kind != FACT_CONST)) {
        return;
    }
    imm = (int64_t)((uint64_t)insn->imm + (uint64_t)fact->imm);
    if (!fits_offset(imm)) {
        return;
    }
    if (fact->kind == FACT_CONST) {
        if ((ir_op_info[insn->op].flags & IR_MEM)) {
            insn->a = IR_ZERO;
            insn->imm = imm;
        }
    } else if (opt_source_holds(o, fact)) {
        insn->a = fact->source;
        insn->imm = imm;
    }
}

static void resolve_inputs(const Opt *o, IrInsn *insn)
{
    unsigned low = opt_low_half_inputs(insn);
    const IrOpInfo *info = &ir_op_info[insn->op];

    insn->a = resolve(o, insn->a);
    insn->b = resolve(o, insn->b);
    insn->c = resolve(o, insn->c);
    if (low & 1) {
        insn->a = low_half_source(o, insn->a);
    }
    if (low & 2) {
        insn->b = low_half_source(o, insn->b);
    }
    if ((info->flags & IR_MEM) && insn->op != IR_OP_amo && insn->op != IR_OP_cas) {
        fold_sum(o, insn);
    } else if (insn->op == IR_OP_add && insn->b == IR_IMM) {
        fold_sum(o, insn);
    }
}

/* Inputs of a single-precision operation that are known to be boxed. */
static void note_boxes(const Opt *o, IrInsn *insn)
{
    IrReg in[3] = { insn->a, insn->b, insn->c };

    for (unsigned i = 0; i < 3; i++) {
        const Fact *fact = opt_fact(o, in[i]);

        if (fact != NULL && fact->boxed) {
            insn->aux |= (uint16_t)(IR_BOXED_A << i);
        }
    }
}

static bool gives_box(const Opt *o, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_OP_fadds:
    case IR_OP_fsubs:
    case IR_OP_fmuls:
    case IR_OP_fdivs:
    case IR_OP_fsqrts:
    case IR_OP_fmas:
    case IR_OP_fmins:
    case IR_OP_fmaxs:
    case IR_OP_fcvtsw:
    case IR_OP_fcvtsu:
    case IR_OP_fcvtsl:
    case IR_OP_fcvtsq:
    case IR_OP_fcvtsd:
    case IR_OP_fsgnjs:
    case IR_OP_fsgnjns:
    case IR_OP_fsgnjxs:
    case IR_OP_fmvwx:
    case IR_OP_ld32f:
        return true;
    case IR_OP_fmov: {
        const Fact *fact = opt_fact(o, insn->a);
        return fact != NULL && fact->boxed;
    }
    default:
        return false;
    }
}

static void note_source(Opt *o, Fact *fact, FactKind kind, IrReg source, int64_t imm)
{
    if (ir_has_reg(source)) {
        fact->kind = (uint8_t)kind;
        fact->source = source;
        fact->source_tick = o->tick[source];
        fact->imm = imm;
    }
}

/* What is known of dst after the operation. Its tick is still that of the old value. */
static void note_result(Opt *o, const IrInsn *insn, uint32_t index)
{
    IrReg dst = insn->dst;
    Fact fact = { .epoch = o->epoch, .kind = FACT_NONE, .source = IR_NONE, .index = index };
    bool copies = insn->op == IR_OP_mov || insn->op == IR_OP_fmov;

    opt_widths(o, insn, &fact.ubits, &fact.sbits);
    fact.boxed = gives_box(o, insn);
    switch (insn->op) {
    case IR_OP_movi:
        fact.kind = FACT_CONST;
        fact.imm = insn->imm;
        break;
    case IR_OP_mov:
    case IR_OP_fmov:
        if (insn->a == dst) {
            return;
        }
        if (ir_is_temp(insn->a) && ir_is_global(dst)) {
            /* The global knows what the temp did, and the temp becomes a name for the global. */
            const Fact *known = opt_fact(o, insn->a);
            if (known != NULL) {
                fact = *known;
                if (fact.kind > FACT_CONST && fact.kind != FACT_SET && fact.source == dst) {
                    fact.kind = FACT_NONE;
                }
                if (fact.kind == FACT_SET) {
                    fact.kind = FACT_NONE;
                }
            }
        } else {
            note_source(o, &fact, FACT_SUM, insn->a, 0);
        }
        break;
    case IR_OP_add:
        if (insn->b == IR_IMM && insn->a != dst) {
            note_source(o, &fact, FACT_SUM, insn->a, insn->imm);
        }
        break;
    case IR_OP_shl:
        if (insn->b == IR_IMM && insn->a != dst) {
            note_source(o, &fact, FACT_SHL, insn->a, insn->imm & 63);
        }
        break;
    case IR_OP_sext32:
    case IR_OP_zext32:
        if (insn->a != dst) {
            note_source(o, &fact, FACT_EXT32, insn->a, 0);
        }
        break;
    case IR_OP_set:
        fact.kind = FACT_SET;
        break;
    default:
        break;
    }
    o->tick[dst] = index + 1;
    o->fact[dst] = fact;
    if (copies && ir_is_temp(insn->a) && ir_is_global(dst)) {
        Fact *back = &o->fact[insn->a];

        *back = o->fact[dst];
        note_source(o, back, FACT_SUM, dst, 0);
    }
}

/* A comparison of a comparison's result: of brcond, set and cmov with zero. */
static void fuse_compare(const Opt *o, IrInsn *insn)
{
    const Fact *fact = opt_fact(o, insn->a);
    const IrInsn *set;
    uint64_t zero;

    if (fact == NULL || fact->kind != FACT_SET || (insn->cond != IR_EQ && insn->cond != IR_NE) ||
        !opt_constant(o, insn, insn->b, &zero) || zero != 0) {
        return;
    }
    set = &o->region->insns[fact->index];
    if ((ir_has_reg(set->a) && o->tick[set->a] > fact->index) ||
        (ir_has_reg(set->b) && o->tick[set->b] > fact->index)) {
        return;
    }
    insn->cond = insn->cond == IR_NE ? set->cond : (uint8_t)IR_COND_INVERT(set->cond);
    insn->a = set->a;
    insn->b = set->b;
    insn->imm = set->imm;
}

static void fold_branch(Opt *o, IrInsn *insn)
{
    uint64_t a, b;

    if (insn->aux == insn->target) {
        *insn = (IrInsn){ .op = IR_OP_br, .aux = insn->aux, .guest = insn->guest };
    } else if (opt_constant(o, insn, insn->a, &a) && opt_constant(o, insn, insn->b, &b)) {
        *insn = (IrInsn){ .op = IR_OP_br,
                          .aux = ir_eval_cond(insn->cond, a, b) ? insn->aux : insn->target,
                          .guest = insn->guest };
    } else if (ir_has_reg(insn->a) && insn->a == insn->b) {
        *insn = (IrInsn){ .op = IR_OP_br,
                          .aux = ir_eval_cond(insn->cond, 0, 0) ? insn->aux : insn->target,
                          .guest = insn->guest };
    } else {
        return;
    }
    insn->dst = insn->a = insn->b = insn->c = IR_NONE;
    o->changed_flow = true;
}

/*
 * x = y << n; x = x >> n: the second shift overwrites the first one's result, so that y may be gone by now. When
 * nothing in between could tell, the first one becomes the extension and the second a copy of itself.
 */
static void fuse_shift_pair(Opt *o, IrInsn *insn, uint32_t index)
{
    bool word = insn->op == IR_OP_shrw || insn->op == IR_OP_sarw;
    bool sign = insn->op == IR_OP_sar || insn->op == IR_OP_sarw;
    const Fact *fact = opt_fact(o, insn->a);
    int64_t by = insn->imm & (word ? 31 : 63);
    IrInsn *first;
    unsigned width;

    if (insn->b != IR_IMM || insn->dst != insn->a || fact == NULL || index - fact->index > 4 ||
        fact->index >= index) {
        return;
    }
    first = &o->region->insns[fact->index];
    width = (word ? 32 : 64) - (unsigned)by;
    if (first->op != (word ? IR_OP_shlw : IR_OP_shl) || first->dst != insn->a ||
        first->b != IR_IMM || (first->imm & (word ? 31 : 63)) != by ||
        (width != 8 && width != 16 && (word || width != 32))) {
        return;
    }
    for (const IrInsn *between = first + 1; between < insn; between++) {
        if ((ir_op_info[between->op].flags & (IR_FAULTS | IR_SYNC | IR_END | IR_READS_DST)) ||
            between->a == insn->a || between->b == insn->a || between->c == insn->a ||
            between->dst == insn->a || between->dst == first->a) {
            return;
        }
    }
    first->op = (uint8_t)(width == 8    ? (sign ? IR_OP_sext8 : IR_OP_zext8)
                          : width == 16 ? (sign ? IR_OP_sext16 : IR_OP_zext16)
                                        : (sign ? IR_OP_sext32 : IR_OP_zext32));
    first->b = IR_NONE;
    first->imm = 0;
    insn->op = IR_OP_mov;
    insn->b = IR_NONE;
    insn->imm = 0;
    /* What is known of the register is now what the extension gives. */
    note_result(o, first, fact->index);
}

static void forward_insn(Opt *o, IrInsn *insn, uint32_t index)
{
    unsigned flags = ir_op_info[insn->op].flags;
    uint32_t ticks[3];

    resolve_inputs(o, insn);
    if (flags & IR_COND) {
        fuse_compare(o, insn);
    }
    if (insn->op == IR_OP_brcond) {
        opt_algebra(o, insn);
        fold_branch(o, insn);
        return;
    }
    if (flags & IR_FP) {
        note_boxes(o, insn);
    }
    if (insn->op == IR_OP_syscall) {
        o->epoch++; /* temps keep their values, but few syscalls have any behind them */
        for (unsigned i = 0; i < o->region->target->global_count; i++) {
            o->tick[i] = index + 1;
        }
        return;
    }
    if (insn->dst == IR_NONE) {
        opt_algebra(o, insn);
        return;
    }
    if (insn->op == IR_OP_shr || insn->op == IR_OP_sar || insn->op == IR_OP_shrw ||
        insn->op == IR_OP_sarw) {
        fuse_shift_pair(o, insn, index);
    }
    opt_algebra(o, insn);
    if (!opt_number_find(o, index)) {
        ticks[0] = ir_has_reg(insn->a) ? o->tick[insn->a] : 0;
        ticks[1] = ir_has_reg(insn->b) ? o->tick[insn->b] : 0;
        ticks[2] = ir_has_reg(insn->c) ? o->tick[insn->c] : 0;
        note_result(o, insn, index);
        opt_number_enter(o, index, ticks);
    } else {
        note_result(o, insn, index);
    }
}

void opt_forward(Opt *o)
{
    IrRegion *region = o->region;

    memset(o->numbered, 0, sizeof(o->numbered));
    for (uint32_t b = 0; b < region->block_count; b++) {
        const IrBlock *block = &region->blocks[b];
        bool follows = false;

        if (b > 0 && o->preds[b] == 1) {
            uint16_t successors[2];
            unsigned n = ir_successors(ir_block_last(region, block - 1), successors);

            for (unsigned s = 0; s < n; s++) {
                follows |= successors[s] == b;
            }
        }
        if (!follows) {
            o->epoch++;
        }
        for (uint32_t i = block->first; i < block->first + block->count; i++) {
            IrInsn *insn = &region->insns[i];

            forward_insn(o, insn, i);
            see_temp(o, insn->a, b);
            see_temp(o, insn->b, b);
            see_temp(o, insn->c, b);
            see_temp(o, insn->dst, b);
        }
    }
}
