/* SPDX-License-Identifier: MIT */
/*
 * Calls of the target's helpers. The idea to hold: only what is in use on both sides of the call and lives in a
 * register that C may destroy is saved, in the frame; arguments go to their registers from homes, of which
 * rdi and rsi alone can be in each other's way.
 */
#include "tcg/x86-64/internal.h"

static void save_or_restore(TcgEmitter *e, const uint32_t regs[2], bool save)
{
    int32_t place = FRAME_SAVE;

    for (uint32_t left = regs[0]; left; left &= left - 1, place += 8) {
        asm_op(&e->as, (save ? X_MOV_ST : X_MOV) | X_W, (unsigned)__builtin_ctz(left),
               rm_mem(RSP, place));
    }
    for (uint32_t left = regs[1]; left; left &= left - 1, place += 8) {
        asm_op(&e->as, save ? X_MOVSD_ST : X_MOVSD, (unsigned)__builtin_ctz(left),
               rm_mem(RSP, place));
    }
}

static void argument(TcgEmitter *e, unsigned to, IrReg reg)
{
    if (reg < IR_ZERO && e->rm[reg].reg >= 0 && type_of(e, reg) == IR_TYPE_F64) {
        asm_op(&e->as, X_MOVQ_TO, (unsigned)e->rm[reg].reg, rm_reg(to));
    } else if (reg <= IR_ZERO) {
        int_to(e, to, reg);
    }
}

/* Puts regs into the argument registers from `first` on. What is IR_NONE is left as it is. */
static void arguments(TcgEmitter *e, const IrReg *regs, unsigned count, unsigned first)
{
    static const uint8_t places[] = { RDI, RSI, RDX, RCX };
    bool rdi = first == 0 && count > 0, rsi = first + count > 1;

    for (unsigned i = 0; i < count; i++) {
        if (first + i >= 2) {
            argument(e, places[first + i], regs[i]);
        }
    }
    if (rdi && rsi && count > 1) {
        bool a_in_rsi = is_home(e, regs[0], RSI) && type_of(e, regs[0]) == IR_TYPE_I64;
        bool b_in_rdi = is_home(e, regs[1], RDI) && type_of(e, regs[1]) == IR_TYPE_I64;

        if (a_in_rsi && b_in_rdi) {
            asm_rr(&e->as, X_XCHG | X_W, RDI, RSI);
        } else if (b_in_rdi) {
            argument(e, RSI, regs[1]);
            argument(e, RDI, regs[0]);
        } else {
            argument(e, RDI, regs[0]);
            argument(e, RSI, regs[1]);
        }
    } else if (rdi) {
        argument(e, RDI, regs[0]);
    } else if (rsi) {
        argument(e, RSI, regs[0]);
    }
}

/* Calls within reach by a relative operand, others by a register. */
static void call_helper(TcgEmitter *e, const void *fn)
{
    intptr_t distance = (const uint8_t *)fn - (asm_rx(&e->as) + 5);

    if (fits_i32(distance)) {
        asm_call(&e->as, fn);
    } else {
        asm_movi(&e->as, RAX, (int64_t)(uintptr_t)fn);
        asm_rr(&e->as, X_GROUP5, 2, RAX);
    }
}

void emit_call(TcgEmitter *e, const IrInsn *in)
{
    static const uint8_t imm_place[] = { RCX, R8 };
    const IrHelper *helper = &e->region->target->helpers[in->aux];
    const IrReg regs[3] = { in->a, in->b, in->c };
    X86Rm dst = home_of(e, in->dst);
    uint32_t across[2];

    ir_live_across(e->region, e->allocation, e->at.index, true, across);
    across[0] &= CLOBBERED_GPRS;
    across[1] &= HOME_XMMS;
    save_or_restore(e, across, true);
    arguments(e, regs, 3, helper->env ? 1 : 0);
    if (helper->env) {
        move(e, RDI, ENV);
    }
    asm_movi(&e->as, imm_place[helper->env], in->imm);
    call_helper(e, helper->fn);
    save_or_restore(e, across, false);
    if (dst.reg >= 0 && type_of(e, in->dst) == IR_TYPE_F64) {
        asm_op(&e->as, X_MOVQ_FROM, (unsigned)dst.reg, rm_reg(RAX));
    } else {
        int_done(e, in->dst, RAX);
    }
}

void emit_syscall(TcgEmitter *e, const IrInsn *in)
{
    const IrHelper *helper = &e->region->target->helpers[in->aux];
    const IrReg regs[2] = { in->a, in->b };
    uint32_t across[2];

    write_back(e, e->at.dirty);
    if (in->guest < e->region->guest_count) {
        store_pc(e, e->region->guest[in->guest].pc);
    }
    ir_live_across(e->region, e->allocation, e->at.index, false, across);
    across[0] &= CLOBBERED_GPRS;
    across[1] &= HOME_XMMS;
    save_or_restore(e, across, true);
    arguments(e, regs, 2, 1);
    move(e, RDI, ENV);
    asm_movi(&e->as, RCX, in->imm);
    asm_movi(&e->as, RAX, (int64_t)(uintptr_t)helper->fn);
    asm_call(&e->as, e->thunks->call);
    save_or_restore(e, across, false);
    reload_after_syscall(e);
}
