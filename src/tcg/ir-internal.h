/* SPDX-License-Identifier: MIT */
/*
 * What the passes over a region share. The idea to hold: a pass takes its working memory from the
 * region (ir_scratch), so that translating allocates nothing once a region has been as large as it gets.
 */
#ifndef ORRERY_TCG_IR_INTERNAL_H
#define ORRERY_TCG_IR_INTERNAL_H

#include "tcg/ir.h"

/* Memory for one pass, contents undefined; the next call may move or reuse it. */
void *ir_scratch(IrRegion *region, size_t bytes);

/* Carves count objects from memory that ir_scratch gave. */
#define IR_CARVE(at_, type_, count_)                                                               \
    ((type_ *)ir_carve(&(at_), sizeof(type_) * (size_t)(count_), _Alignof(type_)))

static inline void *ir_carve(uint8_t **at, size_t bytes, size_t align)
{
    uintptr_t start = ((uintptr_t)*at + align - 1) & ~(uintptr_t)(align - 1);

    *at = (uint8_t *)start + bytes;
    return (void *)start;
}

static inline bool ir_has_reg(IrReg reg)
{
    return reg < IR_ZERO;
}

static inline IrType ir_type(const IrRegion *region, IrReg reg)
{
    return ir_is_global(reg) ? region->target->globals[reg].type
                             : (IrType)region->temp_types[reg - IR_FIRST_TEMP];
}

static inline const IrInsn *ir_block_last(const IrRegion *region, const IrBlock *block)
{
    return &region->insns[block->first + block->count - 1];
}

/* Blocks that the end of a block leads to within the region: how many, and which. */
static inline unsigned ir_successors(const IrInsn *end, uint16_t out[2])
{
    switch (end->op) {
    case IR_OP_br:
    case IR_OP_poll:
        out[0] = end->aux;
        return 1;
    case IR_OP_brcond:
        out[0] = end->aux;
        out[1] = end->target;
        return 2;
    default:
        return 0;
    }
}

/* Whether ir_eval can compute this operation: integers in, integer out, nothing else touched. */
bool ir_can_eval(unsigned op);

/* The result of such an operation; old is what dst held. For folding and for the interpreter. */
uint64_t ir_eval(const IrInsn *insn, uint64_t a, uint64_t b, uint64_t c, uint64_t old);

bool ir_eval_cond(unsigned cond, uint64_t a, uint64_t b);

/* An IrAmo on values of a size (log2 of bytes), sign-extended alike: what is to be stored. */
uint64_t ir_eval_amo(unsigned kind, uint64_t old, uint64_t operand);

/* Sets of globals. */
static inline bool ir_set_has(const uint64_t set[2], IrReg global)
{
    return set[global >> 6] >> (global & 63) & 1;
}

static inline void ir_set_add(uint64_t set[2], IrReg global)
{
    set[global >> 6] |= UINT64_C(1) << (global & 63);
}

static inline void ir_set_remove(uint64_t set[2], IrReg global)
{
    set[global >> 6] &= ~(UINT64_C(1) << (global & 63));
}

#endif
