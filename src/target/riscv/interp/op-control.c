/* SPDX-License-Identifier: MIT */
/*
 * Jumps and branches (unprivileged spec 2.5), and the ops at a block's seams that are no
 * instructions. A block ends with one of these; targets in the same page are linked on first use.
 */
#include "target/riscv/interp/ops.h"

#define S(field_) ((int64_t)X(field_))

/* ---- Branches. */

#define BRANCH(name_, condition_)                                                                  \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        if (condition_) {                                                                          \
            FOLLOW_TAKEN;                                                                          \
        }                                                                                          \
        FOLLOW_NEXT;                                                                               \
    }

BRANCH(beq, X(rs1) == X(rs2))
BRANCH(bne, X(rs1) != X(rs2))
BRANCH(blt, S(rs1) < S(rs2))
BRANCH(bge, S(rs1) >= S(rs2))
BRANCH(bltu, X(rs1) < X(rs2))
BRANCH(bgeu, X(rs1) >= X(rs2))

/* ---- Jumps. The target of jalr is computed before rd is written: they may be one register. */

HANDLER(jal)
{
    X(rd) = NEXT_PC;
    FOLLOW_TAKEN;
}

HANDLER(j)
{
    FOLLOW_TAKEN;
}

HANDLER(jalr)
{
    uint64_t target = (X(rs1) + (uint64_t)IMM) & ~UINT64_C(1);

    X(rd) = NEXT_PC;
    JUMP(target);
}

HANDLER(jr)
{
    JUMP((X(rs1) + (uint64_t)IMM) & ~UINT64_C(1));
}

/* ---- The same without C: a target that is not a multiple of 4 traps at the jump. */

HANDLER(jalr_aligned)
{
    uint64_t target = (X(rs1) + (uint64_t)IMM) & ~UINT64_C(1);

    if (target & 2) {
        RAISE(RV_CAUSE_FETCH_MISALIGNED, target);
    }
    set_x(cpu, op->rd, NEXT_PC);
    JUMP(target);
}

HANDLER(misaligned_jump)
{
    RAISE(RV_CAUSE_FETCH_MISALIGNED, pc + (uint64_t)IMM);
}

static bool branch_taken(const RiscvCpu *cpu, const RvUop *op)
{
    switch (op->rd) {
    case 0:
        return X(rs1) == X(rs2);
    case 1:
        return X(rs1) != X(rs2);
    case 4:
        return S(rs1) < S(rs2);
    case 5:
        return S(rs1) >= S(rs2);
    case 6:
        return X(rs1) < X(rs2);
    default:
        return X(rs1) >= X(rs2);
    }
}

HANDLER(misaligned_branch)
{
    if (branch_taken(cpu, op)) {
        RAISE(RV_CAUSE_FETCH_MISALIGNED, pc + (uint64_t)IMM);
    }
    FOLLOW_NEXT;
}

/* ---- Seams. */

HANDLER(fall_through)
{
    FOLLOW_NEXT;
}

HANDLER(second_page)
{
    if (!rv_block_second_good(view, op, pc)) {
        rv_unwind(cpu, op);
        STOP(RV_STOP_RESUME, pc);
    }
    NEXT;
}

static bool at_breakpoint(const RiscvCpu *cpu, uint64_t pc)
{
    const GArray *list = cpu->vcpu.breakpoints;

    for (guint i = 0; list && i < list->len; i++) {
        const VcpuBreakpoint *b = &g_array_index(list, VcpuBreakpoint, i);

        if (b->addr == pc && (b->kind == BREAKPOINT_SOFTWARE || b->kind == BREAKPOINT_HARDWARE)) {
            return true;
        }
    }
    return false;
}

HANDLER(breakpoint)
{
    if (at_breakpoint(cpu, PC)) {
        rv_unwind(cpu, op);
        STOP(RV_STOP_DEBUG, PC);
    }
    NEXT;
}

HANDLER(stepped)
{
    STOP(RV_STOP_DEBUG, PC);
}

RV_APART static void trace_block(RiscvCpu *cpu, uint64_t pc)
{
    const LogSet *log = cpu->vcpu.log;

    if (orr_log_on(log, LOG_EXEC)) {
        orr_log(log, "exec: cpu %u pc 0x%016" G_GINT64_MODIFIER "x\n", cpu->vcpu.accel.index, pc);
    }
    if (orr_log_on(log, LOG_CPU)) {
        GString *text = g_string_new(NULL);

        cpu->pc = pc;
        cpu->vcpu.target->dump_state(&cpu->vcpu, text);
        orr_log(log, "%s", text->str);
        g_string_free(text, TRUE);
    }
}

HANDLER(trace)
{
    trace_block(cpu, pc);
    NEXT;
}
