/* SPDX-License-Identifier: MIT */
/*
 * What the passes hand to each other. The idea to hold: ir_optimise makes one walk forward over all
 * operations (opt-forward.c: what is known about each register's value; opt-algebra.c: what an
 * operation becomes when that is known; opt-number.c: values that are there already), and one backward
 * (opt-dead.c: what nobody looks at). Each operation stays in its place or goes; none is added.
 */
#ifndef ORRERY_TCG_OPT_H
#define ORRERY_TCG_OPT_H

#include "tcg/ir-internal.h"

typedef enum FactKind {
    FACT_NONE,
    FACT_CONST, /* imm */
    FACT_SUM,   /* source + imm; a copy when imm is 0 */
    FACT_SHL,   /* source << imm */
    FACT_EXT32, /* the low 32 bits are those of source */
    FACT_SET,   /* result of the set at `index`, if its inputs are as they were */
} FactKind;

/* What is known about a register's present value. */
typedef struct Fact {
    uint32_t epoch;       /* good only when it is the pass's */
    uint32_t source_tick; /* source still has the value meant when this is its tick */
    IrReg source;
    uint8_t kind;  /* FactKind */
    uint8_t ubits; /* value < 2^ubits */
    uint8_t sbits; /* value is the sign extension of its low sbits */
    bool boxed;    /* floating point: upper half all ones */
    uint32_t index;
    int64_t imm;
} Fact;

/* A value that a register holds: an entry of the numbering table. */
typedef struct Numbered {
    uint32_t epoch, index; /* of the operation that made it */
    uint32_t hash;
    IrReg holder;
    uint32_t holder_tick, a_tick, b_tick, c_tick;
} Numbered;

#define NUMBERED_BITS 6

typedef struct Opt {
    IrRegion *region;
    uint32_t epoch;       /* grows where nothing that was known holds any longer */
    uint32_t *tick;       /* by register: when it was last written, index of the operation + 1 */
    Fact *fact;           /* by register */
    uint16_t *temp_block; /* by temp: block it was first seen in */
    bool *temp_crosses;   /* by temp: seen in several blocks */
    uint16_t *preds;      /* by block: how many blocks lead to it (at most 2), the entry counts */
    Numbered numbered[1 << NUMBERED_BITS];
    bool changed_flow; /* a branch has become an unconditional one */
} Opt;

static inline const Fact *opt_fact(const Opt *o, IrReg reg)
{
    return reg < IR_ZERO && o->fact[reg].epoch == o->epoch ? &o->fact[reg] : NULL;
}

/* Whether a fact's source still is what it was. */
static inline bool opt_source_holds(const Opt *o, const Fact *fact)
{
    return o->tick[fact->source] == fact->source_tick;
}

/* The constant that an input is, if it is. */
static inline bool opt_constant(const Opt *o, const IrInsn *insn, IrReg reg, uint64_t *value)
{
    const Fact *fact;

    if (reg >= IR_ZERO) {
        *value = reg == IR_IMM ? (uint64_t)insn->imm : 0;
        return reg != IR_NONE;
    }
    fact = opt_fact(o, reg);
    if (fact == NULL || fact->kind != FACT_CONST) {
        return false;
    }
    *value = (uint64_t)fact->imm;
    return true;
}

void opt_forward(Opt *o);

/* Simplifies an operation whose inputs have been resolved. In place; may make it another operation. */
void opt_algebra(Opt *o, IrInsn *insn);

/* Turns the operation at index into a mov if a register holds its value, else enters it in the table. */
bool opt_number_find(Opt *o, uint32_t index);
void opt_number_enter(Opt *o, uint32_t index, const uint32_t ticks[3]);

/* Widths of what an operation gives, for its Fact. */
void opt_widths(const Opt *o, const IrInsn *insn, uint8_t *ubits, uint8_t *sbits);

/* Inputs of which an operation looks at the low 32 bits alone: bit 0 for a, bit 1 for b. */
unsigned opt_low_half_inputs(const IrInsn *insn);

void opt_dead(Opt *o);

#endif
