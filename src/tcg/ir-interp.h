/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the IR interpreter share: the layout of its "code".
 */
#ifndef ORRERY_TCG_IR_INTERP_H
#define ORRERY_TCG_IR_INTERP_H

#include "tcg/ir-internal.h"
#include "tcg/host.h"

typedef enum CodeKind {
    CODE_KILLED, /* go on at the stored pc, after storing the region's */
    CODE_REGION,
    CODE_LOOKUP, /* go on at the stored pc */
} CodeKind;

/* Where an operation's register is. */
typedef struct Place {
    int16_t index; /* host register, or slot of the stack; of a global its number */
    bool in_reg, f64, global;
} Place;

typedef struct BlockHead {
    uint32_t first;
    uint32_t in_use[2]; /* host registers that hold something at its start */
} BlockHead;

/* Offsets are from the head: the region can be read at any address. */
typedef struct CodeHead {
    uint32_t kind; /* CodeKind; atomic */
    uint32_t insn_count, reg_count, block_count, link_count, slot_count;
    bool homes;
    int32_t heat_offset;
    uint64_t pc;
    TcgTb *tb;
    const TcgHostCalls *calls;
    const IrTarget *target;
    const IrHostRegs *regs;
    uint64_t live_in[2];
    uint32_t links, blocks, places, placed, dirty_index, dirty_sets, guest_pcs, insns;
    uint32_t placed_count;
} CodeHead;

/* A register with its range, for what is in use around a call. */
typedef struct Placed {
    IrReg reg;
    uint8_t host, f64;
    uint32_t start, end;
} Placed;

/* The thunks: calls, and code that looks up. */
typedef struct Thunks {
    CodeHead lookup;
    TcgHostCalls calls;
} Thunks;

/* TcgThunks.run. */
uint32_t ir_interp_run(TcgCpu *cpu, const void *code);

#endif
