/* SPDX-License-Identifier: MIT */
/*
 * The words that instructions are written in. `OP(add) { X(rd) = X(rs1) + X(rs2); }` is a whole
 * instruction: OP wraps the body in a handler that goes on with the next op. HANDLER is for those
 * that decide for themselves what comes next, which they say in their last statement: NEXT, JUMP,
 * STOP, RAISE. The idea to hold: in a handler no local variable's address is taken, since that
 * would keep the last call from being a jump; what needs one is a function of its own.
 */
#ifndef ORRERY_TARGET_RISCV_INTERP_OPS_H
#define ORRERY_TARGET_RISCV_INTERP_OPS_H

#include "target/riscv/interp/state.h"

/* Handlers of instructions, op_<name>, and those that decoding puts in their place. */
#define RV_DECLARE_HANDLER(upper_, lower_) RvHandler op_##lower_;
RV_OP_LIST(RV_DECLARE_HANDLER)
#undef RV_DECLARE_HANDLER

RvHandler op_nop;               /* writes x0 and does nothing else */
RvHandler op_load_x0;           /* a load to x0; its size is in rd */
RvHandler op_j, op_jr;          /* jal and jalr without a link */
RvHandler op_jalr_aligned;      /* jalr on a hart whose instructions are multiples of 4 */
RvHandler op_misaligned_jump;   /* a jump on such a hart to what is not */
RvHandler op_misaligned_branch; /* a branch likewise; its BRANCH_* condition is in rd */

/* Not instructions. */
RvHandler op_fall_through; /* the block ends without a jump */
RvHandler op_second_page;  /* the next instruction's upper half is in another page */
RvHandler op_breakpoint;   /* there may be one before the next instruction */
RvHandler op_trace;        /* -d exec, -d cpu */
RvHandler op_stepped;      /* the one instruction of rv_interp_step is done */

/* Parts of a handler that are called in place of it, so that they cost it no registers. */
#define RV_SELDOM __attribute__((noinline, cold))

/* Parts that take a local variable's address: inlined, they would bring it into the handler. */
#define RV_APART __attribute__((noinline))

/* ---- Operands. */
#define X(field_) cpu->x[op->field_]
#define IMM ((int64_t)op->imm)

/* Guest address of this instruction and of the one after it. */
#define PC (pc + 2 * (uint64_t)op[-1].next)
#define NEXT_PC (pc + 2 * (uint64_t)op->next)

/* For instructions that may have rd = x0 and are not dropped then. */
static inline void set_x(RiscvCpu *cpu, unsigned rd, uint64_t value)
{
    cpu->x[rd] = value;
    cpu->x[0] = 0;
}

/* ---- How a handler ends. */
#define NEXT RV_DISPATCH(cpu, op + 1, view, pc)
#define RAISE(cause_, tval_) return rv_raise(cpu, op, view, pc, (cause_), (tval_))
#define RAISE_ILLEGAL return rv_raise_illegal(cpu, op, view, pc)

/* Leaves the handlers; pc_ is where the guest goes on. */
#define STOP(why_, pc_) return rv_stop(cpu, view, (why_), (pc_))

static inline RvUop *rv_stop(RiscvCpu *cpu, RvView *view, RvStop why, uint64_t pc)
{
    cpu->pc = pc;
    view->interp->stop = why;
    return NULL;
}

/* Goes on at *from, whose start is at pc. Each block passes here: kicks are heeded here. */
static inline RvUop *rv_enter(RiscvCpu *cpu, RvBlock **from, RvView *view, uint64_t pc)
{
    RvBlock *block = *from;

    if (G_UNLIKELY((orr_load_acquire(block->version_now) | view->epoch) != block->stamp)) {
        return rv_chase(cpu, from, view, pc);
    }
    if (vcpu_exit_requested(&cpu->vcpu)) {
        return rv_stop(cpu, view, RV_STOP_KICKED, pc);
    }
    return rv_begin(cpu, block, view, pc);
}

static inline RvJump *rv_jump_entry(RvView *view, uint64_t pc)
{
    return &view->jumps[(pc >> 1) & (RV_JUMP_SIZE - 1)];
}

/* Goes on at any address. */
static inline RvUop *rv_jump(RiscvCpu *cpu, RvView *view, uint64_t pc)
{
    RvJump *jump = rv_jump_entry(view, pc);

    if (G_LIKELY(jump->pc == pc)) {
        return rv_enter(cpu, &jump->block, view, pc);
    }
    return rv_chase(cpu, NULL, view, pc);
}

/* Goes on at pc, one of the two places that the block's last op can lead to. */
static inline RvUop *rv_follow(RiscvCpu *cpu, RvUop *op, RvView *view, uint64_t pc, unsigned which)
{
    RvBlock **link = &((RvLinks *)(op + 1))->to[which];

    if (G_LIKELY(*link > RV_LINK_FAR)) {
        return rv_enter(cpu, link, view, pc);
    }
    if (*link == RV_LINK_FAR) {
        return rv_jump(cpu, view, pc);
    }
    return rv_chase(cpu, link, view, pc);
}

#define FOLLOW_TAKEN return rv_follow(cpu, op, view, pc + (uint64_t)IMM, RV_LINK_TAKEN)
#define FOLLOW_NEXT return rv_follow(cpu, op, view, NEXT_PC, RV_LINK_NEXT)
#define JUMP(pc_) return rv_jump(cpu, view, (pc_))

/* ---- How a handler begins. */
#define HANDLER(name_) RvUop *op_##name_(RV_HANDLER_PARAMS)

#define OP(name_)                                                                                  \
    static inline void exec_##name_(RV_HANDLER_PARAMS);                                            \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        exec_##name_(cpu, op, view, pc);                                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    static inline void exec_##name_(RV_HANDLER_PARAMS)

/* ---- The TLB's fast path. */

static inline RvTlbEntry *rv_tlb_entry(RvView *view, uint64_t addr)
{
    return &view->tlb[(addr >> MEMORY_PAGE_BITS) & (RV_TLB_SIZE - 1)];
}

/* What a tag must be for an aligned access to hit. */
static inline uint64_t rv_tlb_tag(uint64_t addr, unsigned size)
{
    return addr & (~RV_PAGE_MASK | (size - 1));
}

#endif
