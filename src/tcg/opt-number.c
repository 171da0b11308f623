/* SPDX-License-Identifier: MIT */
/*
 * Values that a register holds already. The idea to hold: a small table, one entry a hash, of operations
 * that were done; an entry is good while neither the inputs nor the register that got the result
 * have been written since, which ticks say. Only integer operations without effects are entered.
 */
#include "tcg/opt.h"

static bool worthwhile(unsigned op)
{
    return op != IR_OP_mov && op != IR_OP_movi && op != IR_OP_cmov && ir_can_eval(op);
}

static uint32_t hash_of(const IrInsn *insn)
{
    uint64_t h = insn->op | (uint64_t)insn->cond << 8 | (uint64_t)insn->aux << 16 |
                 (uint64_t)insn->a << 32 | (uint64_t)insn->b << 48;

    h = (h ^ (uint64_t)insn->imm * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(h >> 32);
}

static uint32_t tick_of(const Opt *o, IrReg reg)
{
    return ir_has_reg(reg) ? o->tick[reg] : 0;
}

bool opt_number_find(Opt *o, uint32_t index)
{
    IrInsn *insn = &o->region->insns[index];
    const Numbered *n;
    const IrInsn *same;
    uint32_t hash;

    if (!worthwhile(insn->op)) {
        return false;
    }
    hash = hash_of(insn);
    n = &o->numbered[hash >> (32 - NUMBERED_BITS)];
    if (n->epoch != o->epoch || n->hash != hash || n->holder_tick != o->tick[n->holder]) {
        return false;
    }
    same = &o->region->insns[n->index];
    if (same->op != insn->op || same->cond != insn->cond || same->aux != insn->aux ||
        same->a != insn->a || same->b != insn->b || same->imm != insn->imm ||
        n->a_tick != tick_of(o, insn->a) || n->b_tick != tick_of(o, insn->b)) {
        return false;
    }
    insn->op = IR_OP_mov;
    insn->a = n->holder;
    insn->b = IR_NONE;
    insn->cond = 0;
    insn->aux = 0;
    insn->imm = 0;
    return true;
}

void opt_number_enter(Opt *o, uint32_t index, const uint32_t ticks[3])
{
    const IrInsn *insn = &o->region->insns[index];
    uint32_t hash;

    if (!worthwhile(insn->op)) {
        return;
    }
    hash = hash_of(insn);
    o->numbered[hash >> (32 - NUMBERED_BITS)] = (Numbered){ .epoch = o->epoch,
                                                            .index = index,
                                                            .hash = hash,
                                                            .holder = insn->dst,
                                                            .holder_tick = o->tick[insn->dst],
                                                            .a_tick = ticks[0],
                                                            .b_tick = ticks[1],
                                                            .c_tick = ticks[2] };
}
