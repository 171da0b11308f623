/* SPDX-License-Identifier: MIT */
/*
 * Guest memory. The idea to hold: the TLB is asked in line (see view.h); what does not hit goes out
 * of line, where address and value are put into rax and rdx and a thunk is called that keeps all homes, so
 * the two ways meet again without any moves. Nothing is written before the access has succeeded.
 */
#include "tcg/x86-64/internal.h"

#define LOAD_TABLE TCG_VIEW_OFFSET(load)
#define STORE_TABLE TCG_VIEW_OFFSET(store)

/* Bytes of an access, less one. */
static int32_t access_last(const IrInsn *in)
{
    switch (in->op) {
    case IR_OP_ld64f:
    case IR_OP_st64f:
        return 7;
    case IR_OP_ld32f:
    case IR_OP_st32f:
        return 3;
    default:
        return (1 << (in->aux & IR_MEM_SIZE)) - 1;
    }
}

/* rax = guest address of the access. */
static void address_to_rax(TcgEmitter *e, const IrInsn *in)
{
    int64_t imm = in->op == IR_OP_amo || in->op == IR_OP_cas ? 0 : in->imm;
    Asm *as = &e->as;

    if (in->a == IR_ZERO) {
        asm_movi(as, RAX, imm);
    } else if (!fits_i32(imm)) {
        asm_movi(as, RAX, imm);
        asm_op(as, X_ALU(ALU_ADD) | X_W, RAX, home_of(e, in->a));
    } else if (imm && home_of(e, in->a).reg >= 0) {
        asm_op(as, X_LEA | X_W, RAX, rm_mem((unsigned)home_of(e, in->a).reg, (int32_t)imm));
    } else {
        int_to(e, RAX, in->a);
        if (imm) {
            asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RAX), (int32_t)imm);
        }
    }
}

/* rcx = byte offset of the entry for base + disp, rdx = page of the last byte; equal if that is its tag. */
static void probe(TcgEmitter *e, unsigned base, int32_t disp, int32_t last, bool store)
{
    int32_t mask = store ? TCG_VIEW_OFFSET(store_mask) : TCG_VIEW_OFFSET(load_mask);
    Asm *as = &e->as;

    if (disp == 0 && e->features.bmi2) {
        asm_vex(as, X_RORX, RCX, 0, rm_reg(base));
        asm_u8(as, 8);
    } else {
        if (disp == 0) {
            asm_rr(as, X_MOV, RCX, base);
        } else {
            asm_op(as, X_LEA, RCX, rm_mem(base, disp));
        }
        asm_shift_imm(as, SHIFT_SHR, 0, rm_reg(RCX), TCG_PAGE_BITS - TCG_TLB_ENTRY_SHIFT);
    }
    asm_op(as, X_ALU(ALU_AND), RCX, rm_mem(VIEW, mask));
    if (disp + last == 0) {
        asm_rr(as, X_MOV | X_W, RDX, base);
    } else {
        asm_op(as, X_LEA | X_W, RDX, rm_mem(base, disp + last));
    }
    asm_alu_imm(as, ALU_AND, X_W, rm_reg(RDX), -(1 << TCG_PAGE_BITS));
    asm_op(as, X_ALU(ALU_CMP) | X_W, RDX, rm_index(VIEW, RCX, 0, store ? STORE_TABLE : LOAD_TABLE));
}

/* Place of an entry of TcgViewFast.recent, or recent_store, for accesses through this base. */
static int32_t recent_place(const IrInsn *in, bool store)
{
    return (store ? TCG_VIEW_OFFSET(recent_store) : TCG_VIEW_OFFSET(recent)) +
           (int32_t)(in->a % TCG_RECENT_SIZE) * (int32_t)sizeof(TcgTlbEntry);
}

static void slow_load(TcgEmitter *e, const Cold *cold);

static void cold_recent(TcgEmitter *e, const Cold *cold)
{
    int32_t place = recent_place(cold->insn, false);
    Asm *as = &e->as;
    uint32_t miss;

    probe(e, cold->reg, cold->disp, access_last(cold->insn), false);
    miss = asm_jcc8(as, CC_NE);
    asm_op(as, X_MOV | X_W, RCX, rm_index(VIEW, RCX, 0, LOAD_TABLE + (int32_t)sizeof(uint64_t)));
    asm_op(as, X_MOV_ST | X_W, RDX, rm_mem(VIEW, place));
    asm_op(as, X_MOV_ST | X_W, RCX, rm_mem(VIEW, place + (int32_t)sizeof(uint64_t)));
    asm_jmp_back(as, cold->extra);
    asm_patch8(as, miss, asm_offset(as));
    slow_load(e, cold);
}

static void full_fence(Asm *as)
{
    /* A locked operation on the stack's top orders as mfence does, and is faster. */
    asm_op(as, 0x83 | X_LOCK, ALU_OR, rm_mem(RSP, FRAME_SLOTS));
    asm_u8(as, 0);
}

static void cold_store(TcgEmitter *e, const Cold *cold);

/* See TcgViewFast.recent_store for the second look into the table. */
static void cold_recent_store(TcgEmitter *e, const Cold *cold)
{
    int32_t place = recent_place(cold->insn, true), patience = TCG_VIEW_OFFSET(patience);
    int32_t addend = STORE_TABLE + (int32_t)sizeof(uint64_t);
    uint32_t miss, fill, gone;
    Asm *as = &e->as;

    probe(e, cold->reg, cold->disp, access_last(cold->insn), true);
    miss = asm_jcc8(as, CC_NE);
    asm_alu_imm(as, ALU_SUB, X_W, rm_mem(VIEW, patience), 1);
    fill = asm_jcc8(as, CC_S);
    asm_op(as, X_MOV | X_W, RCX, rm_index(VIEW, RCX, 0, addend));
    asm_jmp_back(as, cold->extra);
    asm_patch8(as, fill, asm_offset(as));
    asm_store_imm(as, X_W, rm_mem(VIEW, patience), TCG_PATIENCE - 1);
    asm_op(as, X_MOV_ST | X_W, RDX, rm_mem(VIEW, place));
    full_fence(as);
    asm_op(as, X_ALU(ALU_CMP) | X_W, RDX, rm_index(VIEW, RCX, 0, STORE_TABLE));
    gone = asm_jcc8(as, CC_NE);
    asm_op(as, X_MOV | X_W, RCX, rm_index(VIEW, RCX, 0, addend));
    asm_op(as, X_MOV_ST | X_W, RCX, rm_mem(VIEW, place + (int32_t)sizeof(uint64_t)));
    asm_jmp_back(as, cold->extra);
    asm_patch8(as, gone, asm_offset(as));
    asm_store_imm(as, X_W, rm_mem(VIEW, place), -1);
    asm_patch8(as, miss, asm_offset(as));
    cold_store(e, cold);
}

/* As ask_tlb, for hot code. */
static X86Rm ask_recent(TcgEmitter *e, const IrInsn *in, unsigned base, int32_t disp, int32_t last,
                        bool store)
{
    int32_t place = recent_place(in, store);
    Asm *as = &e->as;
    Cold *cold;

    if (disp == 0) {
        asm_rr(as, X_MOV | X_W, RDX, base);
    } else {
        asm_op(as, X_LEA | X_W, RDX, rm_mem(base, disp));
    }
    asm_alu_imm(as, ALU_AND, X_W, rm_reg(RDX), -(1 << TCG_PAGE_BITS) | last);
    asm_op(as, X_ALU(ALU_CMP) | X_W, RDX, rm_mem(VIEW, place));
    cold = cold_jcc(e, CC_NE, store ? cold_recent_store : cold_recent);
    cold->dirty_set = dirty_now(e);
    cold->reg = (uint8_t)base;
    cold->disp = disp;
    asm_op(as, X_MOV | X_W, RCX, rm_mem(VIEW, place + (int32_t)sizeof(uint64_t)));
    cold->extra = asm_offset(as);
    return rm_index(RCX, base, 0, disp);
}

/*
 * Asks the TLB: rcx = addend, and the result is where to go on the host, less rcx being added. Destroys rax
 * (unless the address is in a home), rcx, rdx. The miss is a jump to `slow`.
 */
static X86Rm ask_tlb(TcgEmitter *e, const IrInsn *in, unsigned size_log2, bool store, bool aligned,
                     void (*slow)(TcgEmitter *e, const Cold *cold), uint32_t *second_miss)
{
    int32_t table = store ? STORE_TABLE : LOAD_TABLE, last = (1 << size_log2) - 1, disp = 0;
    bool offset = in->op != IR_OP_amo && in->op != IR_OP_cas;
    unsigned base;
    Asm *as = &e->as;
    X86Rm place;

    if (shared_access(e, in, &place)) {
        return place;
    }
    if (in->a != IR_ZERO && (!offset || (in->imm >= INT32_MIN && in->imm <= INT32_MAX - 16))) {
        base = int_in(e, in->a, RAX);
        disp = offset ? (int32_t)in->imm : 0;
    } else {
        address_to_rax(e, in);
        base = RAX;
    }
    *second_miss = 0;
    if (aligned && last) {
        if (disp) {
            asm_op(as, X_LEA | X_W, RAX, rm_mem(base, disp));
            base = RAX;
            disp = 0;
        }
        if (base < 4) {
            asm_op(as, X_TEST8_IMM, 0, rm_reg(base));
            asm_u8(as, (unsigned)last);
        } else {
            asm_op(as, X_TEST_IMM, 0, rm_reg(base));
            asm_u32(as, (uint32_t)last);
        }
        *second_miss = asm_jcc(as, CC_NE);
    }
    if (e->share && !aligned) {
        return ask_recent(e, in, base, disp, last, store);
    }
    probe(e, base, disp, aligned ? 0 : last, store);
    {
        Cold *cold = cold_jcc(e, CC_NE, slow);

        cold->dirty_set = dirty_now(e);
        cold->extra = *second_miss;
    }
    asm_op(as, X_MOV | X_W, RCX, rm_index(VIEW, RCX, 0, table + (int32_t)sizeof(uint64_t)));
    return rm_index(RCX, base, 0, disp);
}

void ask_tlb_range(TcgEmitter *e, Group *group)
{
    int32_t table = group->store ? STORE_TABLE : LOAD_TABLE;
    int32_t mask = group->store ? TCG_VIEW_OFFSET(store_mask) : TCG_VIEW_OFFSET(load_mask);
    unsigned base = int_in(e, group->base, RAX);
    Asm *as = &e->as;

    asm_op(as, X_LEA, RCX, rm_mem(base, group->low));
    asm_shift_imm(as, SHIFT_SHR, 0, rm_reg(RCX), TCG_PAGE_BITS - TCG_TLB_ENTRY_SHIFT);
    asm_op(as, X_ALU(ALU_AND), RCX, rm_mem(VIEW, mask));
    asm_op(as, X_LEA | X_W, RDX, rm_mem(base, group->high - 1));
    asm_alu_imm(as, ALU_AND, X_W, rm_reg(RDX), -(1 << TCG_PAGE_BITS));
    asm_op(as, X_ALU(ALU_CMP) | X_W, RDX, rm_index(VIEW, RCX, 0, table));
    group->from = asm_jcc(as, CC_NE);
    asm_op(as, X_MOV | X_W, group->reg, rm_index(VIEW, RCX, 0, table + (int32_t)sizeof(uint64_t)));
    asm_rr(as, X_ALU(ALU_ADD) | X_W, group->reg, base);
}

/* Where the miss comes back to, if there is one: accesses that share a check have none. */
static void back_here(TcgEmitter *e, uint32_t cold)
{
    if (cold < e->cold_count) {
        e->colds[cold].back = asm_offset(&e->as);
    }
}

/* The jump of a misaligned access, if there is one, leads here as well. */
static void join_misses(TcgEmitter *e, const Cold *cold)
{
    if (cold->extra) {
        asm_patch(&e->as, cold->extra, asm_offset(&e->as));
    }
}

/* ---- Loads. */

static void slow_load(TcgEmitter *e, const Cold *cold)
{
    const IrInsn *in = cold->insn;
    X86Rm dst = home_of(e, in->dst);
    Asm *as = &e->as;
    unsigned mem = in->op == IR_OP_ld ? in->aux & (LOAD_THUNKS - 1) : in->op == IR_OP_ld64f ? 3 : 2;

    address_to_rax(e, in);
    asm_call(as, e->thunks->load[mem]);
    site_here(e, cold);
    if (in->op == IR_OP_ld32f) {
        asm_op_at(as, X_ALU(ALU_OR) | X_W, RAX, e->thunks->box, 0);
    }
    if (in->op == IR_OP_ld || dst.reg < 0) {
        int_done(e, in->dst, RAX);
    } else {
        asm_op(as, X_MOVQ_FROM, (unsigned)dst.reg, rm_reg(RAX));
    }
    asm_jmp_back(as, cold->back);
}

static void cold_load(TcgEmitter *e, const Cold *cold)
{
    join_misses(e, cold);
    slow_load(e, cold);
}

static void load_float(TcgEmitter *e, const IrInsn *in, X86Rm place)
{
    X86Rm dst = home_of(e, in->dst);
    unsigned to = dst.reg >= 0 ? (unsigned)dst.reg : X0;
    Asm *as = &e->as;

    if (in->op == IR_OP_ld64f) {
        asm_op(as, X_MOVSD, to, place);
    } else {
        asm_op(as, X_MOVSS, to, place);
        asm_op_at(as, X_ORPS, to, e->thunks->box, 0);
    }
    if (dst.reg < 0) {
        asm_op(as, X_MOVSD_ST, to, dst);
    }
}

void emit_load(TcgEmitter *e, const IrInsn *in)
{
    static const uint32_t ops[8] = {
        X_MOVZX8,       X_MOVZX16,       X_MOV,    X_MOV | X_W,
        X_MOVSX8 | X_W, X_MOVSX16 | X_W, X_MOVSXD, X_MOV | X_W,
    };
    unsigned size_log2 = in->op == IR_OP_ld ? in->aux & IR_MEM_SIZE : in->op == IR_OP_ld64f ? 3 : 2;
    uint32_t cold = e->cold_count, unused;
    X86Rm place = ask_tlb(e, in, size_log2, false, in->op == IR_OP_ld && in->aux & IR_MEM_ATOMIC,
                          cold_load, &unused);

    if (in->op == IR_OP_ld) {
        unsigned to = int_dst(e, in->dst, RAX);
        uint32_t op = ops[in->aux & (IR_MEM_SIZE | IR_MEM_SIGNED)];

        asm_op(&e->as, op & ~(uint32_t)X_BRM, to, place);
        int_done(e, in->dst, to);
    } else {
        load_float(e, in, place);
    }
    back_here(e, cold);
}

/* ---- Stores. */

static void cold_store(TcgEmitter *e, const Cold *cold)
{
    const IrInsn *in = cold->insn;
    Asm *as = &e->as;
    unsigned size_log2 = in->op == IR_OP_st ? in->aux & IR_MEM_SIZE : in->op == IR_OP_st64f ? 3 : 2;
    X86Rm value;

    address_to_rax(e, in);
    if (in->op == IR_OP_st || in->b == IR_ZERO) {
        int_to(e, RDX, in->b);
    } else {
        value = home_of(e, in->b);
        if (value.reg >= 0) {
            asm_op(as, X_MOVQ_TO, (unsigned)value.reg, rm_reg(RDX));
        } else {
            asm_op(as, X_MOV | X_W, RDX, value);
        }
    }
    asm_call(as, e->thunks->store[size_log2]);
    site_here(e, cold);
    asm_jmp_back(as, cold->back);
}

void emit_store(TcgEmitter *e, const IrInsn *in)
{
    unsigned size_log2 = in->op == IR_OP_st ? in->aux & IR_MEM_SIZE : in->op == IR_OP_st64f ? 3 : 2;
    static const uint32_t ops[4] = { X_MOV8_ST, X_MOV_ST | X_66, X_MOV_ST, X_MOV_ST | X_W };
    uint32_t cold = e->cold_count, unused;
    X86Rm place = ask_tlb(e, in, size_log2, true, false, cold_store, &unused);
    Asm *as = &e->as;

    if (in->b == IR_ZERO) {
        static const uint32_t zero[4] = { X_MOV8_IMM, X_MOV_IMM | X_66, X_MOV_IMM,
                                          X_MOV_IMM | X_W };

        asm_op(as, zero[size_log2], 0, place);
        if (size_log2 == 0) {
            asm_u8(as, 0);
        } else if (size_log2 == 1) {
            asm_u8(as, 0);
            asm_u8(as, 0);
        } else {
            asm_u32(as, 0);
        }
    } else if (in->op == IR_OP_st || home_of(e, in->b).reg < 0) {
        asm_op(as, ops[size_log2], int_in(e, in->b, RDX), place);
    } else {
        asm_op(as, in->op == IR_OP_st64f ? X_MOVSD_ST : X_MOVSS_ST, (unsigned)home_of(e, in->b).reg,
               place);
    }
    back_here(e, cold);
}

/* ---- Atomics. */

static void cold_amo(TcgEmitter *e, const Cold *cold)
{
    const IrInsn *in = cold->insn;
    Asm *as = &e->as;

    join_misses(e, cold);
    address_to_rax(e, in);
    if (in->op == IR_OP_cas) {
        asm_op(as, X_MOVQ_FROM, X0, int_rm(e, in->b, RDX));
        int_to(e, RDX, in->c);
    } else {
        int_to(e, RDX, in->b);
    }
    asm_movi(as, RCX, in->aux);
    asm_call(as, in->op == IR_OP_cas ? e->thunks->cas : e->thunks->amo);
    site_here(e, cold);
    int_done(e, in->dst, RAX);
    asm_jmp_back(as, cold->back);
}

/* Prefixes of an operation on 1 << size_log2 bytes. */
static uint32_t sized(uint32_t op, unsigned size_log2)
{
    return op | (size_log2 == 3 ? X_W : size_log2 == 1 ? X_66 : 0);
}

static void sign_extend(TcgEmitter *e, unsigned to, unsigned from, unsigned size_log2)
{
    static const uint32_t ops[3] = { X_MOVSX8 | X_W, X_MOVSX16 | X_W, X_MOVSXD };

    if (size_log2 < 3) {
        asm_rr(&e->as, ops[size_log2], to, from);
    } else {
        move(e, to, from);
    }
}

/* rdx = what memory shall hold, from rax, what it held, for the operations without an instruction. */
static void amo_new_value(TcgEmitter *e, const IrInsn *in, unsigned size_log2)
{
    static const uint8_t keep_old[] = {
        [IR_AMO_MIN] = CC_L, [IR_AMO_MAX] = CC_G, [IR_AMO_MINU] = CC_B, [IR_AMO_MAXU] = CC_A
    };
    static const uint8_t logic[] = {
        [IR_AMO_XOR] = ALU_XOR, [IR_AMO_AND] = ALU_AND, [IR_AMO_OR] = ALU_OR
    };
    unsigned kind = in->aux >> IR_AMO_SHIFT;
    Asm *as = &e->as;

    int_to(e, RDX, in->b);
    if (kind <= IR_AMO_OR) {
        asm_rr(as, X_ALU(logic[kind]) | X_W, RDX, RAX);
        return;
    }
    if (size_log2 == 0) {
        asm_op(as, 0x3a | X_B, RAX, rm_reg(RDX));
    } else {
        asm_rr(as, sized(X_ALU(ALU_CMP), size_log2), RAX, RDX);
    }
    asm_rr(as, (X_CMOV + keep_old[kind]) | X_W, RDX, RAX);
}

void emit_amo(TcgEmitter *e, const IrInsn *in)
{
    unsigned size_log2 = in->aux & IR_MEM_SIZE, kind = in->aux >> IR_AMO_SHIFT;
    uint32_t cold = e->cold_count, unused, again;
    Asm *as = &e->as;
    X86Rm place;
    unsigned to = int_dst(e, in->dst, RAX);

    place = ask_tlb(e, in, size_log2, true, true, cold_amo, &unused);
    asm_op(as, X_LEA | X_W, RCX, place);
    place = rm_mem(RCX, 0);
    switch (kind) {
    case IR_AMO_SWAP:
        int_to(e, RAX, in->b);
        asm_op(as, size_log2 ? sized(X_XCHG, size_log2) : X_XCHG8, RAX, place);
        break;
    case IR_AMO_ADD:
        int_to(e, RAX, in->b);
        asm_op(as, (size_log2 ? sized(X_XADD, size_log2) : X_XADD8) | X_LOCK, RAX, place);
        break;
    default:
        asm_op(as, size_log2 ? sized(X_MOV, size_log2) : X_MOVZX8 & ~(uint32_t)X_BRM, RAX, place);
        again = asm_offset(as);
        amo_new_value(e, in, size_log2);
        asm_op(as, (size_log2 ? sized(X_CMPXCHG, size_log2) : X_CMPXCHG8) | X_LOCK, RDX, place);
        asm_jcc_back(as, CC_NE, again);
        break;
    }
    sign_extend(e, to, RAX, size_log2);
    int_done(e, in->dst, to);
    back_here(e, cold);
}

void emit_cas(TcgEmitter *e, const IrInsn *in)
{
    unsigned size_log2 = in->aux & IR_MEM_SIZE;
    uint32_t cold = e->cold_count, unused;
    Asm *as = &e->as;
    X86Rm place;
    unsigned to = int_dst(e, in->dst, RAX);

    place = ask_tlb(e, in, size_log2, true, true, cold_amo, &unused);
    asm_op(as, X_LEA | X_W, RCX, place);
    int_to(e, RAX, in->b);
    int_to(e, RDX, in->c);
    asm_op(as, (size_log2 ? sized(X_CMPXCHG, size_log2) : X_CMPXCHG8) | X_LOCK, RDX,
           rm_mem(RCX, 0));
    sign_extend(e, to, RAX, size_log2);
    int_done(e, in->dst, to);
    back_here(e, cold);
}

void emit_fence(TcgEmitter *e, const IrInsn *in)
{
    full_fence(&e->as);
}
