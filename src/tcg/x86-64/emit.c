/* SPDX-License-Identifier: MIT */
/*
 * Emission of a region: one pass over the blocks, then what was put out of line, then the kill stub.
 * The idea to hold: each operation has one function (x86_emitters); here is what they share, the
 * homes of registers, sites, dirty sets, and everything that leaves a block or the region.
 */
#include <string.h>

#include "tcg/x86-64/internal.h"

#define NOWHERE UINT32_MAX

TcgEmitter *x86_emitter_create(const TcgThunks *thunks, const TcgHostFeatures *features)
{
    TcgEmitter *e = g_new0(TcgEmitter, 1);

    e->features = *features;
    e->thunks = thunks->host;
    return e;
}

void x86_emitter_destroy(TcgEmitter *e)
{
    if (!e) {
        return;
    }
    g_free(e->rm);
    g_free(e->block_offset);
    g_free(e->fixups);
    g_free(e->colds);
    g_free(e->sites);
    g_free(e->dirty_sets);
    g_free(e->links);
    g_free(e->guest_offsets);
    g_free(e->groups);
    g_free(e->clusters);
    g_free(e);
}

/* ---- Values. */

unsigned int_in(TcgEmitter *e, IrReg reg, unsigned scratch)
{
    X86Rm rm;

    if (reg == IR_ZERO) {
        asm_zero(&e->as, scratch);
        return scratch;
    }
    rm = home_of(e, reg);
    if (rm.reg >= 0) {
        return (unsigned)rm.reg;
    }
    asm_op(&e->as, X_MOV | X_W, scratch, rm);
    return scratch;
}

X86Rm int_rm(TcgEmitter *e, IrReg reg, unsigned scratch)
{
    if (reg == IR_ZERO) {
        asm_zero(&e->as, scratch);
        return rm_reg(scratch);
    }
    return home_of(e, reg);
}

void int_to(TcgEmitter *e, unsigned dst, IrReg reg)
{
    X86Rm rm;

    if (reg == IR_ZERO) {
        asm_zero(&e->as, dst);
        return;
    }
    rm = home_of(e, reg);
    if (rm.reg != (int)dst) {
        asm_op(&e->as, X_MOV | X_W, dst, rm);
    }
}

void int_done(TcgEmitter *e, IrReg dst, unsigned reg)
{
    X86Rm rm = home_of(e, dst);

    if (rm.reg != (int)reg) {
        asm_op(&e->as, X_MOV_ST | X_W, reg, rm);
    }
}

/* ---- Out of line. */

uint16_t dirty_now(TcgEmitter *e)
{
    TcgDirtySet set = { { e->at.dirty[0] & e->in_regs[0], e->at.dirty[1] & e->in_regs[1] } };
    uint32_t n = e->dirty_set_count, far = n > 16 ? n - 16 : 0;

    while (n-- > far) {
        if (e->dirty_sets[n].globals[0] == set.globals[0] &&
            e->dirty_sets[n].globals[1] == set.globals[1]) {
            return (uint16_t)n;
        }
    }
    ARRAY_GROW(e->dirty_sets, e->dirty_set_count, e->dirty_set_capacity);
    e->dirty_sets[e->dirty_set_count] = set;
    return (uint16_t)e->dirty_set_count++;
}

Cold *cold_new(TcgEmitter *e, void (*emit)(TcgEmitter *e, const Cold *cold))
{
    Cold *cold;

    ARRAY_GROW(e->colds, e->cold_count, e->cold_capacity);
    cold = &e->colds[e->cold_count++];
    cold->emit = emit;
    cold->insn = e->at.insn;
    cold->index = e->at.index;
    cold->from = NOWHERE;
    cold->back = asm_offset(&e->as);
    cold->dirty_set = 0;
    cold->reg = 0;
    cold->extra = 0;
    return cold;
}

Cold *cold_jcc(TcgEmitter *e, unsigned cc, void (*emit)(TcgEmitter *e, const Cold *cold))
{
    uint32_t from = asm_jcc(&e->as, cc);
    Cold *cold = cold_new(e, emit);

    cold->from = from;
    return cold;
}

void site_here(TcgEmitter *e, const Cold *cold)
{
    ARRAY_GROW(e->sites, e->site_count, e->site_capacity);
    e->sites[e->site_count++] = (TcgSite){ .code_offset = asm_offset(&e->as),
                                           .guest = cold->insn->guest,
                                           .dirty_set = cold->dirty_set };
}

/* ---- Guest state. */

static X86Rm global_rm(const TcgEmitter *e, IrReg global)
{
    return rm_mem(ENV, e->region->target->globals[global].offset_bytes);
}

void write_back(TcgEmitter *e, const uint64_t set[2])
{
    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t left = set[i] & e->in_regs[i]; left; left &= left - 1) {
            IrReg global = (IrReg)(64 * i + (unsigned)__builtin_ctzll(left));
            bool is_float = e->region->target->globals[global].type == IR_TYPE_F64;

            asm_op(&e->as, is_float ? X_MOVSD_ST : X_MOV_ST | X_W, (unsigned)e->rm[global].reg,
                   global_rm(e, global));
        }
    }
}

static void load_globals(TcgEmitter *e, const uint64_t set[2])
{
    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t left = set[i] & e->in_regs[i]; left; left &= left - 1) {
            IrReg global = (IrReg)(64 * i + (unsigned)__builtin_ctzll(left));
            bool is_float = e->region->target->globals[global].type == IR_TYPE_F64;

            asm_op(&e->as, is_float ? X_MOVSD : X_MOV | X_W, (unsigned)e->rm[global].reg,
                   global_rm(e, global));
        }
    }
}

void reload_after_syscall(TcgEmitter *e)
{
    uint64_t set[2] = { 0, 0 };

    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t left = e->in_regs[i]; left; left &= left - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(left);

            if (ir_live_after(e->allocation, (IrReg)(64 * i + bit), e->at.index)) {
                set[i] |= UINT64_C(1) << bit;
            }
        }
    }
    load_globals(e, set);
}

void store_pc(TcgEmitter *e, uint64_t pc)
{
    X86Rm place = rm_mem(ENV, e->region->target->pc_offset);

    if (fits_i32((int64_t)pc)) {
        asm_store_imm(&e->as, X_W, place, (int32_t)pc);
    } else {
        asm_movi(&e->as, RAX, (int64_t)pc);
        asm_op(&e->as, X_MOV_ST | X_W, RAX, place);
    }
}

/* ---- Between blocks. */

static void fix_later(TcgEmitter *e, uint32_t operand, uint16_t block)
{
    ARRAY_GROW(e->fixups, e->fixup_count, e->fixup_capacity);
    e->fixups[e->fixup_count++] = (Fixup){ operand, block };
}

void jump_cc(TcgEmitter *e, unsigned cc, uint16_t block)
{
    if (block <= e->block) {
        asm_jcc_back(&e->as, cc, e->block_offset[block]);
    } else {
        fix_later(e, asm_jcc(&e->as, cc), block);
    }
}

void jump(TcgEmitter *e, uint16_t block)
{
    if (block <= e->block) {
        asm_jmp_back(&e->as, e->block_offset[block]);
    } else if (block != e->block + 1) {
        fix_later(e, asm_jmp(&e->as), block);
    }
}

void branch(TcgEmitter *e, unsigned cc, uint16_t then, uint16_t otherwise)
{
    if (then == otherwise) {
        jump(e, then);
    } else if (then == e->block + 1) {
        jump_cc(e, cc ^ 1, otherwise);
    } else {
        jump_cc(e, cc, then);
        jump(e, otherwise);
    }
}

void emit_br(TcgEmitter *e, const IrInsn *in)
{
    jump(e, in->aux);
}

/* ---- Out of the region. */

static void cold_poll(TcgEmitter *e, const Cold *cold)
{
    write_back(e, e->dirty_sets[cold->dirty_set].globals);
    store_pc(e, (uint64_t)cold->insn->imm);
    asm_movi(&e->as, RAX, TCG_EXIT_POLL);
    asm_jmp_to(&e->as, e->thunks->leave);
}

void emit_poll(TcgEmitter *e, const IrInsn *in)
{
    X86Rm request = rm_mem(ENV, e->region->target->exit_request_offset);
    Cold *cold;

    asm_alu_imm(&e->as, ALU_CMP, 0, request, 0);
    if (in->aux == e->block + 1) {
        cold = cold_jcc(e, CC_NE, cold_poll);
    } else {
        uint32_t from;

        jump_cc(e, CC_E, in->aux);
        from = asm_jmp(&e->as);
        cold = cold_new(e, cold_poll);
        cold->from = from;
    }
    cold->dirty_set = dirty_now(e);
}

/* Of a link: pc and slot, then a tail that the region's stubs share. */
static void cold_link(TcgEmitter *e, const Cold *cold)
{
    TcgLink *link = &e->links[cold->extra];

    link->stub_offset = asm_offset(&e->as);
    asm_patch(&e->as, link->operand_offset, link->stub_offset);
    store_pc(e, link->pc);
    asm_movi(&e->as, RDX, cold->extra);
    if (e->link_tail) {
        asm_jmp_back(&e->as, e->link_tail);
        return;
    }
    e->link_tail = asm_offset(&e->as);
    asm_movi(&e->as, RSI, (int64_t)(uintptr_t)e->tb);
    asm_jmp_to(&e->as, e->thunks->link);
}

static void cold_lookup(TcgEmitter *e, const Cold *cold)
{
    asm_jmp_to(&e->as, e->thunks->lookup);
}

void emit_exit(TcgEmitter *e, const IrInsn *in)
{
    Asm *as = &e->as;

    write_back(e, e->at.dirty);
    if (in->aux != IR_LINK_NONE) {
        /* The operand begins one byte into the jump. */
        asm_nops(as, (3 - (uint32_t)(uintptr_t)asm_rx(as)) & 3);
        e->links[in->aux] = (TcgLink){ .operand_offset = asm_jmp(as), .pc = (uint64_t)in->imm };
        cold_new(e, cold_link)->extra = in->aux;
    } else {
        uint64_t pc = (uint64_t)in->imm, tag = pc | (e->region->tag_flags & 1);
        int32_t place =
            TCG_VIEW_OFFSET(jumps) + (int32_t)((tag << 3) & ((uint64_t)(TCG_JUMP_SIZE - 1) << 4));

        store_pc(e, pc);
        if (fits_i32((int64_t)tag)) {
            asm_alu_imm(as, ALU_CMP, X_W, rm_mem(VIEW, place), (int32_t)tag);
        } else {
            if (tag != pc) {
                asm_alu_imm(as, ALU_OR, 0, rm_reg(RAX), 1);
            }
            asm_op(as, X_ALU_ST(ALU_CMP) | X_W, RAX, rm_mem(VIEW, place));
        }
        cold_jcc(e, CC_NE, cold_lookup);
        asm_op(as, X_GROUP5, 4, rm_mem(VIEW, place + (int32_t)sizeof(uint64_t)));
    }
}

void emit_exit_reg(TcgEmitter *e, const IrInsn *in)
{
    Asm *as = &e->as;
    unsigned pc = int_in(e, in->a, RAX), tag = pc;
    int32_t jumps = TCG_VIEW_OFFSET(jumps);

    asm_op(as, X_MOV_ST | X_W, pc, rm_mem(ENV, e->region->target->pc_offset));
    write_back(e, e->at.dirty);
    if (e->region->tag_flags & 1) {
        move(e, RAX, pc);
        asm_alu_imm(as, ALU_OR, X_W, rm_reg(RAX), 1);
        tag = RAX;
    }
    asm_rr(as, X_MOV, RCX, pc);
    asm_shift_imm(as, SHIFT_SHL, 0, rm_reg(RCX), 3);
    asm_alu_imm(as, ALU_AND, 0, rm_reg(RCX), (int32_t)((TCG_JUMP_SIZE - 1) << 4));
    asm_op(as, X_ALU_ST(ALU_CMP) | X_W, tag, rm_index(VIEW, RCX, 0, jumps));
    cold_jcc(e, CC_NE, cold_lookup);
    asm_op(as, X_GROUP5, 4, rm_index(VIEW, RCX, 0, jumps + (int32_t)sizeof(uint64_t)));
}

static void cold_entry(TcgEmitter *e, const Cold *cold)
{
    store_pc(e, e->region->pc);
    asm_movi(&e->as, RAX, TCG_EXIT_POLL);
    asm_jmp_to(&e->as, e->thunks->leave);
}

static void cold_hot(TcgEmitter *e, const Cold *cold)
{
    store_pc(e, e->region->pc);
    asm_movi(&e->as, RSI, (int64_t)(uintptr_t)e->tb);
    asm_jmp_to(&e->as, e->thunks->hot);
}

/* The first instruction is of at least 5 bytes: kill writes a jump over it. */
static void emit_entry(TcgEmitter *e)
{
    Asm *as = &e->as;

    asm_op_long(as, 0x83, ALU_CMP, rm_mem(ENV, e->region->target->exit_request_offset));
    asm_u8(as, 0);
    cold_jcc(e, CC_NE, cold_entry);
    if (e->region->heat_offset) {
        asm_op(as, X_GROUP5, 1, rm_mem(VIEW, e->region->heat_offset));
        cold_jcc(e, CC_S, cold_hot);
    }
    load_globals(e, e->region->blocks[0].live_in);
}

/* ---- The region. */

static void find_homes(TcgEmitter *e)
{
    const IrRegion *region = e->region;
    uint32_t count = IR_FIRST_TEMP + region->temp_count;

    if (count > e->rm_capacity) {
        e->rm_capacity = count + count / 2;
        e->rm = g_realloc_n(e->rm, e->rm_capacity, sizeof(*e->rm));
    }
    e->in_regs[0] = e->in_regs[1] = 0;
    for (unsigned i = 0; i < region->target->global_count; i++) {
        int reg = e->allocation->home[i].reg;

        if (reg >= 0) {
            e->rm[i] = rm_reg((unsigned)reg);
            e->in_regs[i >> 6] |= UINT64_C(1) << (i & 63);
        } else {
            e->rm[i] = global_rm(e, (IrReg)i);
        }
    }
    for (uint32_t i = IR_FIRST_TEMP; i < count; i++) {
        const IrHome *home = &e->allocation->home[i];

        e->rm[i] = home->reg >= 0 ? rm_reg((unsigned)home->reg)
                                  : rm_mem(RSP, FRAME_SLOTS + 8 * home->slot);
    }
}

static void prepare(TcgEmitter *e, const IrRegion *region)
{
    if (region->block_count > e->block_capacity) {
        e->block_capacity = region->block_count * 2;
        e->block_offset = g_realloc_n(e->block_offset, e->block_capacity, sizeof(uint32_t));
    }
    if (region->link_count > e->link_capacity) {
        e->link_capacity = region->link_count * 2;
        e->links = g_realloc_n(e->links, e->link_capacity, sizeof(TcgLink));
    }
    if (region->guest_count > e->guest_capacity) {
        e->guest_capacity = region->guest_count * 2;
        e->guest_offsets = g_realloc_n(e->guest_offsets, e->guest_capacity, sizeof(uint32_t));
    }
    /* There may be none of either, and no memory for them. */
    if (region->guest_count > 0) {
        memset(e->guest_offsets, 0xff, region->guest_count * sizeof(uint32_t));
    }
    if (region->link_count > 0) {
        memset(e->links, 0, region->link_count * sizeof(TcgLink));
    }
    e->fixup_count = 0;
    e->cold_count = 0;
    e->site_count = 0;
    e->dirty_set_count = 0;
    e->link_tail = 0;
    e->group_count = 0;
    e->cluster_count = 0;
    e->cluster.first_group = 0;
    e->share = region->heat_offset == 0; /* else it is hardly worth more code */
    e->full = false;
    find_homes(e);
}

static bool has_room(const TcgEmitter *e)
{
    return e->as.end - e->as.p >= ASM_MARGIN;
}

static bool emit_block(TcgEmitter *e, unsigned block)
{
    const IrBlock *b = &e->region->blocks[block];
    uint16_t guest = UINT16_MAX;

    if (b->loop_depth && block && b->loop_depth > b[-1].loop_depth && !b->cold) {
        asm_nops(&e->as, -(uint32_t)(uintptr_t)asm_rx(&e->as) & 15);
    }
    e->block = block;
    e->block_offset[block] = asm_offset(&e->as);
    e->skip = 0;
    ir_cursor_begin(&e->at, e->region, block);
    while (ir_cursor_next(&e->at)) {
        const IrInsn *in = e->at.insn;

        if (in->guest != guest) {
            guest = in->guest;
            if (guest < e->region->guest_count && e->guest_offsets[guest] == NOWHERE) {
                e->guest_offsets[guest] = asm_offset(&e->as);
            }
        }
        if (e->skip) {
            e->skip--;
            continue;
        }
        if (!has_room(e)) {
            return false;
        }
        x86_emitters[in->op](e, in);
        share_after(e);
    }
    return true;
}

bool x86_emit(TcgEmitter *e, const IrRegion *region, const IrAllocation *allocation,
              const TcgTb *tb, const TcgCodeBuffer *buffer, TcgEmitted *out)
{
    e->region = region;
    e->allocation = allocation;
    e->tb = tb;
    asm_init(&e->as, buffer->rw, buffer->rx, buffer->capacity_bytes);
    prepare(e, region);
    if (!has_room(e)) {
        return false;
    }
    e->at = (IrCursor){ .region = region };
    emit_entry(e);
    for (unsigned i = 0; i < region->block_count; i++) {
        if (!emit_block(e, i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < e->fixup_count; i++) {
        asm_patch(&e->as, e->fixups[i].operand, e->block_offset[e->fixups[i].block]);
    }
    for (uint32_t i = 0; i < e->cold_count; i++) { /* may grow under way */
        Cold cold = e->colds[i];

        if (!has_room(e)) {
            return false;
        }
        if (cold.from != NOWHERE) {
            asm_patch(&e->as, cold.from, asm_offset(&e->as));
        }
        cold.emit(e, &cold);
    }
    if (e->full || !has_room(e)) {
        return false;
    }
    *out = (TcgEmitted){
        .sites = e->sites,
        .site_count = e->site_count,
        .dirty_sets = e->dirty_sets,
        .dirty_set_count = e->dirty_set_count,
        .links = e->links,
        .link_count = region->link_count,
        .kill_stub_offset = asm_offset(&e->as),
        .guest_offsets = e->guest_offsets,
    };
    store_pc(e, region->pc);
    asm_jmp_to(&e->as, e->thunks->lookup);
    out->code_bytes = asm_offset(&e->as);
    return true;
}
