/* SPDX-License-Identifier: MIT */
/*
 * One look into the TLB for several accesses. The idea to hold: loads (or stores) of one block through
 * one base register whose offsets lie close together form a group; its first member checks the whole
 * range and keeps base + addend in a host register that is free until the last, so that the others are one
 * instruction each. Where the check fails (a miss, or the range crosses a page's end), the rest of
 * the cluster, which is a run of overlapping groups, is done by code of its own out of line, access by access.
 *
 * No group reaches across a call: what a helper does may take translations back.
 */
#include "tcg/x86-64/internal.h"

enum {
    MAX_RANGE = 512,   /* bytes; the wider, the more often it crosses a page's end */
    MAX_DISTANCE = 48, /* operations looked ahead */
};

static bool plain_access(const IrInsn *in, bool *store)
{
    switch (in->op) {
    case IR_OP_ld:
        *store = false;
        return !(in->aux & IR_MEM_ATOMIC);
    case IR_OP_ld64f:
    case IR_OP_ld32f:
        *store = false;
        return true;
    case IR_OP_st:
    case IR_OP_st64f:
    case IR_OP_st32f:
        *store = true;
        return true;
    default:
        return false;
    }
}

static int64_t access_bytes(const IrInsn *in)
{
    if (in->op == IR_OP_ld || in->op == IR_OP_st) {
        return INT64_C(1) << (in->aux & IR_MEM_SIZE);
    }
    return in->op == IR_OP_ld64f || in->op == IR_OP_st64f ? 8 : 4;
}

static bool offset_is_small(const IrInsn *in)
{
    return in->imm >= -(1 << 20) && in->imm <= 1 << 20;
}

/* The group that starts with the current operation. false: it would be alone. */
static bool find_group(const TcgEmitter *e, const IrInsn *in, bool store, Group *out)
{
    uint32_t index = e->at.index, end = MIN(e->at.end, index + MAX_DISTANCE);
    int64_t low = in->imm, high = in->imm + access_bytes(in);
    unsigned members = 1;

    *out = (Group){ .first = index, .last = index, .base = in->a, .store = store };
    for (; in->dst != out->base && ++index < end;) {
        bool kind;

        in = &e->region->insns[index];
        if (ir_op_info[in->op].flags & (IR_CALL | IR_END)) {
            break;
        }
        if (plain_access(in, &kind) && kind == store && in->a == out->base && offset_is_small(in)) {
            int64_t new_low = MIN(low, in->imm), new_high = MAX(high, in->imm + access_bytes(in));

            if (new_high - new_low <= MAX_RANGE) {
                low = new_low;
                high = new_high;
                out->last = index;
                members++;
            }
        }
    }
    out->low = (int32_t)low;
    out->high = (int32_t)high;
    return members > 1;
}

/* A host register that is nobody's home meanwhile, or -1. */
static int free_register(const TcgEmitter *e, uint32_t first, uint32_t last)
{
    const IrAllocation *allocation = e->allocation;
    uint32_t busy = 0;

    for (uint32_t i = 0; i < allocation->placed_count; i++) {
        const IrHome *home = &allocation->home[allocation->placed[i]];

        if (home->start <= last && first <= home->end &&
            type_of(e, allocation->placed[i]) == IR_TYPE_I64) {
            busy |= 1u << home->reg;
        }
    }
    for (uint32_t i = e->cluster.first_group; i < e->group_count; i++) {
        busy |= 1u << e->groups[i].reg;
    }
    busy = HOME_GPRS & ~busy;
    return busy ? __builtin_ctz(busy) : -1;
}

bool shared_access(TcgEmitter *e, const IrInsn *in, X86Rm *place)
{
    int64_t bytes;
    Group group, *known;
    bool store;
    int reg;

    if (!e->share || in->a >= IR_ZERO || !plain_access(in, &store) || !offset_is_small(in)) {
        return false;
    }
    bytes = access_bytes(in);
    for (uint32_t i = e->cluster.first_group; i < e->group_count; i++) {
        known = &e->groups[i];
        if (known->base == in->a && known->store == store && e->at.index <= known->last &&
            in->imm >= known->low && in->imm + bytes <= known->high) {
            *place = rm_mem(known->reg, (int32_t)in->imm);
            return true;
        }
    }
    if (!find_group(e, in, store, &group)) {
        return false;
    }
    reg = free_register(e, group.first, group.last);
    if (reg < 0) {
        return false;
    }
    group.reg = (uint8_t)reg;
    if (e->cluster.first_group == e->group_count) {
        e->cluster.first = group.first;
        e->cluster.last = group.last;
    }
    e->cluster.last = MAX(e->cluster.last, group.last);
    ask_tlb_range(e, &group);
    ARRAY_GROW(e->groups, e->group_count, e->group_capacity);
    e->groups[e->group_count++] = group;
    *place = rm_mem(group.reg, (int32_t)in->imm);
    return true;
}

/* The same operations once more, each access for itself; entered where a group's check has failed. */
static void cold_cluster(TcgEmitter *e, const Cold *cold)
{
    const Cluster cluster = e->clusters[cold->extra];
    bool share = e->share;

    e->share = false;
    e->block = cluster.block;
    ir_cursor_begin(&e->at, e->region, cluster.block);
    while (ir_cursor_next(&e->at) && e->at.index <= cluster.last) {
        if (e->at.index < cluster.first) {
            continue;
        }
        for (uint32_t i = cluster.first_group; i < cluster.end_group; i++) {
            if (e->groups[i].first == e->at.index) {
                asm_patch(&e->as, e->groups[i].from, asm_offset(&e->as));
            }
        }
        if (e->as.end - e->as.p < ASM_MARGIN) {
            e->full = true;
            break;
        }
        x86_emitters[e->at.insn->op](e, e->at.insn);
    }
    asm_jmp_back(&e->as, cluster.back);
    e->share = share;
}

void share_after(TcgEmitter *e)
{
    Cold *cold;

    if (e->cluster.first_group == e->group_count || e->at.index < e->cluster.last) {
        return;
    }
    e->cluster.end_group = e->group_count;
    e->cluster.block = (uint16_t)e->block;
    e->cluster.back = asm_offset(&e->as);
    ARRAY_GROW(e->clusters, e->cluster_count, e->cluster_capacity);
    e->clusters[e->cluster_count] = e->cluster;
    cold = cold_new(e, cold_cluster);
    cold->extra = e->cluster_count++;
    e->cluster.first_group = e->group_count;
}
