/* SPDX-License-Identifier: MIT */
/*
 * The walk backward: what nobody looks at goes. The idea to hold: within a block, a global is
 * looked at by its readers, and all of them by whatever may show the guest's state (faults, syscalls, the
 * end of the block); a write that another one follows before any of these is dead. Kept operations
 * move up to the end of the block's place, so a gap is left in front of them.
 *
 * Of what is looked at, it is also known whether that is the low 32 bits alone; then the operations that
 * extend their 32-bit results need not.
 *
 * On the way, a temp that is only moved on to its destination is replaced by that: `t = a + b; x = t`
 * becomes `x = a + b` when nothing in between could tell.
 */
#include "tcg/opt.h"

#include <string.h>

typedef struct Dead {
    Opt *o;
    uint64_t live[2];   /* globals that are looked at below */
    uint64_t low[2];    /* of these: only their low half */
    uint8_t *temp_live; /* 0, LIVE, LIVE_LOW */
    /* A mov that waits for the definition of its source: index of its kept copy, or NONE. */
    uint32_t waiting;
} Dead;

#define NOTHING UINT32_MAX

enum { LIVE = 1, LIVE_LOW = 2 };

static bool may_go(const IrInsn *insn)
{
    return insn->dst != IR_NONE && !(ir_op_info[insn->op].flags &
                                     (IR_FAULTS | IR_SIDE | IR_FP | IR_CALL | IR_SYNC | IR_END));
}

static bool is_live(const Dead *d, IrReg reg)
{
    return ir_is_temp(reg) ? d->temp_live[reg - IR_FIRST_TEMP] != 0 : ir_set_has(d->live, reg);
}

static void set_dead(Dead *d, IrReg reg)
{
    if (ir_is_temp(reg)) {
        d->temp_live[reg - IR_FIRST_TEMP] = 0;
    } else if (ir_is_global(reg)) {
        ir_set_remove(d->live, reg);
        ir_set_remove(d->low, reg);
    }
}

static void set_read(Dead *d, IrReg reg, bool low)
{
    if (ir_is_temp(reg)) {
        uint8_t *live = &d->temp_live[reg - IR_FIRST_TEMP];

        *live = low && *live != LIVE ? LIVE_LOW : LIVE;
    } else if (ir_is_global(reg)) {
        if (!low) {
            ir_set_remove(d->low, reg);
        } else if (!ir_set_has(d->live, reg)) {
            ir_set_add(d->low, reg);
        }
        ir_set_add(d->live, reg);
    }
}

static bool low_alone(const Dead *d, IrReg reg)
{
    return ir_is_temp(reg) ? d->temp_live[reg - IR_FIRST_TEMP] == LIVE_LOW
                           : ir_set_has(d->low, reg);
}

/* Nobody looks at the upper half of the result. */
static void forget_upper_half(IrInsn *insn)
{
    switch (insn->op) {
    case IR_OP_addw:
        insn->op = IR_OP_add;
        break;
    case IR_OP_subw:
        insn->op = IR_OP_sub;
        break;
    case IR_OP_mulw:
        insn->op = IR_OP_mul;
        break;
    case IR_OP_shlw:
        if (insn->b == IR_IMM) {
            insn->op = IR_OP_shl;
            insn->imm &= 31;
        }
        break;
    case IR_OP_sext32:
    case IR_OP_zext32:
        insn->op = IR_OP_mov;
        break;
    default:
        break;
    }
}

/*
 * The mov that waits, and an operation above it. True: the operation now writes the mov's destination itself, and
 * the mov is to go.
 */
static bool joins(Dead *d, IrInsn *insn)
{
    IrInsn *mov = &d->o->region->insns[d->waiting];
    const IrOpInfo *info = &ir_op_info[insn->op];

    if (insn->dst == mov->a) {
        if (!(info->flags & IR_READS_DST)) {
            set_dead(d, mov->a);
            insn->dst = mov->dst;
            return true;
        }
    } else if (insn->a != mov->a && insn->b != mov->a && insn->c != mov->a &&
               insn->dst != mov->dst && insn->a != mov->dst && insn->b != mov->dst &&
               insn->c != mov->dst && !(info->flags & (IR_FAULTS | IR_SYNC))) {
        return false;
    }
    d->waiting = NOTHING;
    return false;
}

static void dead_in_block(Dead *d, IrBlock *block)
{
    IrInsn *insns = d->o->region->insns;
    uint32_t end = block->first + block->count, to = end;

    d->live[0] = d->live[1] = ~UINT64_C(0);
    d->low[0] = d->low[1] = 0;
    d->waiting = NOTHING;
    for (uint32_t i = end; i-- > block->first;) {
        IrInsn *insn = &insns[i];
        unsigned flags = ir_op_info[insn->op].flags, low;

        if (may_go(insn) &&
            (!is_live(d, insn->dst) ||
             ((insn->op == IR_OP_mov || insn->op == IR_OP_fmov) && insn->a == insn->dst))) {
            continue;
        }
        if (insn->dst != IR_NONE && low_alone(d, insn->dst)) {
            forget_upper_half(insn);
        }
        if (d->waiting != NOTHING && joins(d, insn)) {
            /* What was kept above the mov moves down by one place. */
            memmove(&insns[to + 1], &insns[to], (d->waiting - to) * sizeof(*insns));
            to++;
            d->waiting = NOTHING;
        }
        if ((insn->op == IR_OP_mov || insn->op == IR_OP_fmov) && ir_is_temp(insn->a) &&
            !is_live(d, insn->a)) {
            d->waiting = to - 1;
        }
        insns[--to] = *insn;
        if (insn->dst != IR_NONE && !(flags & IR_READS_DST)) {
            set_dead(d, insn->dst);
        }
        if (flags & (IR_FAULTS | IR_SYNC)) {
            d->live[0] = d->live[1] = ~UINT64_C(0);
            d->low[0] = d->low[1] = 0;
        }
        low = opt_low_half_inputs(&insns[to]);
        set_read(d, insns[to].a, low & 1);
        set_read(d, insns[to].b, low & 2);
        set_read(d, insns[to].c, false);
        if (flags & IR_READS_DST) {
            set_read(d, insns[to].dst, false);
        }
    }
    block->first = to;
    block->count = end - to;
}

void opt_dead(Opt *o)
{
    Dead d = { .o = o, .temp_live = (uint8_t *)o->temp_crosses };
    uint32_t temps = o->region->temp_count;
    bool *crosses = (bool *)o->fact; /* what was known is needed no longer */

    memcpy(crosses, o->temp_crosses, temps);
    for (uint32_t b = 0; b < o->region->block_count; b++) {
        memcpy(d.temp_live, crosses, temps);
        dead_in_block(&d, &o->region->blocks[b]);
    }
}
