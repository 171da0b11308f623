/* SPDX-License-Identifier: MIT */
/*
 * What the files of the riscv64 front end share. The idea to hold: a region is found first (region.c:
 * which instructions, which of them begin blocks), then each instruction is turned into IR by its rule
 * (rules.h: one row an operation), and translate.c joins them. Whatever has no rule of its own is
 * done by a helper, one instruction at a time, by the reference interpreter.
 */
#ifndef ORRERY_TARGET_RISCV_TCG_TRANSLATE_H
#define ORRERY_TARGET_RISCV_TCG_TRANSLATE_H

#include "target/riscv/cpu.h"
#include "target/riscv/decode.h"
#include "tcg/target.h"

/* Globals: x and f registers by number, f from 32 on; then: */
enum {
    RV_G_F0 = 32,
    RV_G_COUNT = 64,
    RV_G_RESERVED = 65,       /* RiscvCpu.reserved_paddr, see translate-system.c */
    RV_G_RESERVED_VALUE = 66, /* RiscvCpu.reserved_value */
    RV_G_NUMBER,
};

/* The env register points here: the x registers are within reach of 8-bit displacements. */
#define RV_ENV_OFFSET G_STRUCT_OFFSET(RiscvCpu, x[16])

static inline void *rv_env(RiscvCpu *cpu)
{
    return (char *)cpu + RV_ENV_OFFSET;
}

static inline RiscvCpu *rv_env_cpu(void *env)
{
    return (RiscvCpu *)((char *)env - RV_ENV_OFFSET);
}

/*
 * Flags of translations. RV_TB_FP: mstatus.FS is dirty and frm is a mode that the host has, so that FP
 * needs neither checks nor marks; without it each FP instruction is left to the interpreter, which
 * makes FS dirty with the first one that writes.
 */
enum {
    RV_TB_FP = 1 << 0,
    RV_TB_FRM_SHIFT = 1, /* frm where it is 0 to 3, else 0 */
    RV_TB_FRM = 3 << RV_TB_FRM_SHIFT,
    RV_TB_CBO_ZERO = 1 << 3, /* cbo.zero is legal */
};

unsigned rv_tb_flags(const RiscvCpu *cpu);

/* ---- Helpers (helpers.c); the order is that of the table there. */
typedef enum RvHelper {
    RV_HELPER_STEP,       /* the instruction, by the interpreter */
    RV_HELPER_ILLEGAL,    /* imm: its bits */
    RV_HELPER_MISALIGNED, /* a: the address jumped to */
    RV_HELPER_BREAKPOINT,
    RV_HELPER_ECALL,
    RV_HELPER_EBREAK,
    RV_HELPER_MRET, /* from here on imm is RV_HELPER_IMM */
    RV_HELPER_SRET,
    RV_HELPER_CSR,
    RV_HELPER_SFENCE_VMA,
    RV_HELPER_SFENCE_INVAL, /* sfence.w.inval, sfence.inval.ir */
    RV_HELPER_FENCE_I,
    RV_HELPER_WFI,
    RV_HELPER_YIELD,    /* pause, wrs.* */
    RV_HELPER_FCLASS_S, /* callif */
    RV_HELPER_FCLASS_D,
    RV_HELPER_COUNT,
} RvHelper;

extern const IrHelper rv_helpers[RV_HELPER_COUNT];

/* What helpers keep for a vCPU: the interpreter. See TcgTarget. */
void rv_state_destroy(void *state);
void rv_state_forget(void *state);

/* imm of helpers: the instruction's bits and length. */
#define RV_HELPER_IMM(insn_) ((int64_t)((insn_)->raw | (uint64_t)(insn_)->len << 32))

/* ---- Regions (region.c). */

#define RV_MAX_NODES 1024
#define RV_PAGE_HALFWORDS 2048
#define RV_MAX_RETURNS 4
#define RV_MAX_SKIPS 3

/* One instruction of the region. */
typedef struct RvNode {
    RvInsn insn;
    uint16_t offset; /* from the page's start, in halfwords */
    uint16_t preds;  /* edges that lead to it */
    uint16_t block;  /* of a leader: its IR block */
    uint8_t skips;   /* a branch over so many instructions that are done without one */
    bool leader;     /* begins a block */
    bool queued;     /* of a leader: its block is made, or will be */
    bool breakpoint;

    /* Of a leader with one predecessor: what holds at its start. */
    uint16_t pending; /* instructions retired and not counted */
    uint32_t boxed;   /* f registers that hold boxed singles for certain */
} RvNode;

typedef struct RvTranslate {
    IrRegion *region;
    const TcgSource *source;
    uint64_t exts;
    uint64_t page; /* guest address */
    unsigned frm;

    /* The region. Node 0 is the entry; at says 1 + the node of a halfword, 0 is none. */
    unsigned node_count, max_nodes;
    unsigned first_halfword, last_halfword;
    bool crosses; /* the first instruction does */
    unsigned return_count;
    uint16_t returns[RV_MAX_RETURNS]; /* halfwords where calls inside the region return to */
    uint16_t queue_count;
    uint16_t queue[RV_MAX_NODES]; /* nodes whose blocks are to be made */
    uint16_t at[RV_PAGE_HALFWORDS];
    RvNode nodes[RV_MAX_NODES];

    /* The instruction being translated. */
    uint64_t pc, next_pc;
    unsigned pending; /* instructions before it that are not counted yet */
    bool counted;     /* it has counted itself */
    bool ended;       /* and its block has ended */
    uint32_t boxed;

    /* x registers whose values are known, and these. */
    uint32_t known;
    uint64_t value[32];
} RvTranslate;

/* Finds the region's instructions. None at all: t->crosses. */
void rv_region_find(RvTranslate *t);

/* The node that follows another in memory, which must be there. */
static inline RvNode *rv_node_after(RvTranslate *t, const RvNode *node)
{
    return &t->nodes[t->at[node->offset + node->insn.len / 2u] - 1];
}

/* Whether an instruction only computes, and in less time than a wrong guess of a branch takes. */
bool rv_is_cheap(const RvTranslate *t, const RvInsn *insn);

/* The node of a guest address that jumps inside the region may lead to, or NULL. */
RvNode *rv_region_node(RvTranslate *t, uint64_t pc);

static inline uint64_t rv_node_pc(const RvTranslate *t, const RvNode *node)
{
    return t->page + 2 * (uint64_t)node->offset;
}

/* Whether this instruction ends with a return to one of t->returns, perhaps. */
static inline bool rv_is_return(const RvInsn *insn)
{
    return insn->op == RV_OP_JALR && insn->rd == 0 && (insn->rs1 == 1 || insn->rs1 == 5) &&
           insn->imm == 0;
}

/* ---- Rules. */

typedef struct RvRule RvRule;

enum {
    RV_RULE_EXACT = 1 << 0, /* the count is made exact before it */
    RV_RULE_ENDS = 1 << 1,  /* nothing in the region follows by itself */
};

struct RvRule {
    void (*translate)(RvTranslate *t, const RvInsn *insn, const RvRule *rule);
    uint16_t op; /* IrOp, or a helper, or what the function makes of it */
    uint16_t aux;
    uint8_t flags;
};

extern const RvRule rv_rules[RV_OP_COUNT];

/* The rule of an instruction here and now: FP falls back where the flags do not allow it. */
const RvRule *rv_rule(const RvTranslate *t, const RvInsn *insn);

typedef void RvRuleFn(RvTranslate *t, const RvInsn *insn, const RvRule *rule);

/* translate-int.c */
RvRuleFn rv_emit_alu, rv_emit_alu_imm, rv_emit_alu_one, rv_emit_set, rv_emit_set_imm, rv_emit_lui,
    rv_emit_auipc, rv_emit_addi, rv_emit_add;
RvRuleFn rv_emit_addiw, rv_emit_sh_add, rv_emit_uw_add, rv_emit_slli_uw, rv_emit_bit,
    rv_emit_bit_imm, rv_emit_bext, rv_emit_bexti, rv_czero;
RvRuleFn rv_emit_load, rv_emit_store, rv_emit_nothing;

/* translate-jump.c */
RvRuleFn rv_emit_branch, rv_emit_jal, rv_emit_jalr;

/* translate-float.c */
RvRuleFn rv_emit_fload, rv_emit_fstore, rv_emit_fp2, rv_emit_fp1, rv_emit_fma, rv_emit_fsgnj,
    rv_emit_fcompare, rv_emit_f_to_x, rv_emit_x_to_f;
RvRuleFn rv_emit_f_to_f, rv_emit_fclass, rv_emit_fmv_to_x, rv_emit_fmv_to_f;

/* translate-system.c */
RvRuleFn rv_emit_system, rv_emit_fence, rv_emit_amo, rv_emit_lr, rv_emit_sc, rv_emit_cbo_zero;

/* ---- Words that rules are written in. */

/* An x register as an input. */
static inline IrReg rv_x(unsigned reg)
{
    return reg ? (IrReg)reg : IR_ZERO;
}

static inline IrReg rv_f(unsigned reg)
{
    return (IrReg)(RV_G_F0 + reg);
}

/* The same as results: of an x register, a temp for x0 (for what must be done all the same). */
static inline IrReg rv_to_x(RvTranslate *t, unsigned reg)
{
    t->known &= ~(1u << reg);
    return reg ? (IrReg)reg : ir_temp(t->region, IR_TYPE_I64);
}

static inline IrReg rv_temp(RvTranslate *t)
{
    return ir_temp(t->region, IR_TYPE_I64);
}

static inline IrInsn *rv_op3(RvTranslate *t, IrOp op, IrReg dst, IrReg a, IrReg b)
{
    return ir_emit(t->region, op, dst, a, b, IR_NONE);
}

static inline void rv_movi(RvTranslate *t, IrReg dst, uint64_t value)
{
    ir_emit(t->region, IR_OP_movi, dst, IR_NONE, IR_NONE, IR_NONE)->imm = (int64_t)value;
}

/* Adds what is pending to the count, so that it is exact. */
void rv_count_now(RvTranslate *t);

/* Calls a syscall helper; the count is exact. */
void rv_syscall(RvTranslate *t, RvHelper helper, IrReg a, IrReg b, int64_t imm);

/* Ends the block: the guest goes on at pc, inside the region if it is there. The instruction has retired. */
void rv_goto(RvTranslate *t, uint64_t pc);

/* Ends the block: to taken if the condition holds, else to other; as rv_goto. */
void rv_goto_if(RvTranslate *t, IrCond cond, IrReg a, IrReg b, uint64_t taken, uint64_t other);

/* Ends the block without a look at whether pc is in the region. */
void rv_exit(RvTranslate *t, uint64_t pc);

/*
 * If the condition holds, a helper does this instruction (with the arguments given) and the region is left.
 * What follows is emitted for the other case; no state may have been written yet.
 */
void rv_helper_if(RvTranslate *t, IrCond cond, IrReg a, IrReg b, int64_t imm, RvHelper helper,
                  IrReg arg);

#endif
