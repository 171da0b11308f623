/* SPDX-License-Identifier: MIT */
/*
 * The IR interpreter: a host back end whose "code" is the IR. The idea to hold: a piece of code is a
 * CodeHead in the code cache with tables and operations behind it; run walks it, and does by the
 * contract of host.h whatever a compiled back end would: it leaves at polls, follows links, calls the
 * same C functions with a frame and a return address that the emitted sites know. So the run time cannot tell
 * it from a compiler, and what goes wrong with both is not the compiler's.
 *
 * With homes, globals and temps are where the allocation put them: an array of simulated host registers.
 * What a call destroys, and at the start of each block what is nobody's home, is filled with a pattern (ir-run.c).
 */
#include "tcg/ir-interp.h"

#include <string.h>

struct TcgEmitter {
    const Thunks *thunks;
    bool homes;
    GArray *sites, *dirty_sets, *links, *guest_offsets;
};

/* ---- Registers that the allocator may use: two classes, some of which calls destroy. */

static const IrHostRegs simulated_regs = {
    .order = { { 0, 1, 2, 3, 8, 9, 10, 11 }, { 0, 1, 2, 3, 4, 5 } },
    .count = { 8, 6 },
    .clobbered = { 0xf, 0x3f },
};

static const IrHostRegs *interp_regs(void)
{
    return &simulated_regs;
}

/* ---- Emitting. */

static TcgEmitter *emitter_create(const TcgThunks *thunks, bool homes)
{
    TcgEmitter *emitter = g_new0(TcgEmitter, 1);

    emitter->thunks = thunks->lookup;
    emitter->homes = homes;
    emitter->sites = g_array_new(false, false, sizeof(TcgSite));
    emitter->dirty_sets = g_array_new(false, false, sizeof(TcgDirtySet));
    emitter->links = g_array_new(false, true, sizeof(TcgLink));
    emitter->guest_offsets = g_array_new(false, false, sizeof(uint32_t));
    return emitter;
}

static TcgEmitter *emitter_create_simple(const TcgThunks *thunks, const TcgHostFeatures *features)
{
    return emitter_create(thunks, false);
}

static TcgEmitter *emitter_create_homes(const TcgThunks *thunks, const TcgHostFeatures *features)
{
    return emitter_create(thunks, true);
}

static void emitter_destroy(TcgEmitter *emitter)
{
    if (emitter != NULL) {
        g_array_unref(emitter->sites);
        g_array_unref(emitter->dirty_sets);
        g_array_unref(emitter->links);
        g_array_unref(emitter->guest_offsets);
        g_free(emitter);
    }
}

/* Index of a dirty set, of globals that are in host registers. */
static uint16_t dirty_set(TcgEmitter *emitter, const IrAllocation *allocation,
                          const uint64_t dirty[2])
{
    TcgDirtySet set = { { 0, 0 } };

    for (IrReg g = 0; g < IR_MAX_GLOBALS && emitter->homes; g++) {
        if (ir_set_has(dirty, g) && allocation->home[g].reg >= 0) {
            ir_set_add(set.globals, g);
        }
    }
    for (uint32_t i = emitter->dirty_sets->len; i-- > 0;) {
        if (memcmp(&g_array_index(emitter->dirty_sets, TcgDirtySet, i), &set, sizeof(set)) == 0) {
            return (uint16_t)i;
        }
    }
    g_array_append_val(emitter->dirty_sets, set);
    return (uint16_t)(emitter->dirty_sets->len - 1);
}

static void find_sites(TcgEmitter *emitter, const IrRegion *region, const IrAllocation *allocation,
                       uint32_t insns_offset, uint16_t *dirty_index)
{
    for (uint32_t b = 0; b < region->block_count; b++) {
        IrCursor at;

        ir_cursor_begin(&at, region, b);
        while (ir_cursor_next(&at)) {
            unsigned flags = ir_op_info[at.insn->op].flags;
            uint32_t offset = insns_offset + at.index * (uint32_t)sizeof(IrInsn);

            if (at.insn->guest < region->guest_count) {
                uint32_t *guest = &g_array_index(emitter->guest_offsets, uint32_t, at.insn->guest);
                *guest = MIN(*guest, offset);
            }
            if (flags & (IR_FAULTS | IR_SYNC)) {
                dirty_index[at.index] = dirty_set(emitter, allocation, at.dirty);
            }
            if (flags & IR_FAULTS) {
                TcgSite site = { .code_offset = offset + (uint32_t)sizeof(IrInsn),
                                 .guest = at.insn->guest,
                                 .dirty_set = dirty_index[at.index] };
                g_array_append_val(emitter->sites, site);
            }
            if (at.insn->op == IR_OP_exit && at.insn->aux != IR_LINK_NONE) {
                g_array_index(emitter->links, TcgLink, at.insn->aux).pc = (uint64_t)at.insn->imm;
            }
        }
    }
}

static void fill_places(const IrRegion *region, const IrAllocation *allocation, bool homes,
                        Place *places, uint32_t count)
{
    for (uint32_t reg = 0; reg < count; reg++) {
        const IrHome *home = &allocation->home[reg];
        bool global = ir_is_global((IrReg)reg);

        if (global && reg >= region->target->global_count) {
            places[reg] = (Place){ .index = 0 };
            continue;
        }
        places[reg] =
            (Place){ .f64 = ir_type(region, (IrReg)reg) == IR_TYPE_F64, .global = global };
        if (homes && home->reg >= 0) {
            places[reg].in_reg = true;
            places[reg].index = home->reg;
        } else {
            places[reg].index = (int16_t)(global  ? reg
                                          : homes ? (uint32_t)home->slot
                                                  : reg - IR_FIRST_TEMP);
        }
    }
}

static void fill_blocks(const IrRegion *region, const IrAllocation *allocation, BlockHead *blocks)
{
    for (uint32_t b = 0; b < region->block_count; b++) {
        uint32_t first = region->blocks[b].first;

        blocks[b] = (BlockHead){ .first = first };
        for (uint32_t i = 0; i < allocation->placed_count; i++) {
            IrReg reg = allocation->placed[i];
            const IrHome *home = &allocation->home[reg];

            if (home->start <= first && first <= home->end) {
                blocks[b].in_use[ir_type(region, reg)] |= UINT32_C(1) << home->reg;
            }
        }
    }
}

static uint32_t reserve(uint32_t *at, size_t bytes)
{
    uint32_t offset = *at;

    *at = (uint32_t)((*at + bytes + 7) & ~(size_t)7);
    return offset;
}

static bool interp_emit(TcgEmitter *emitter, const IrRegion *region, const IrAllocation *allocation,
                        const TcgTb *tb, const TcgCodeBuffer *buffer, TcgEmitted *out)
{
    uint32_t regs = IR_FIRST_TEMP + region->temp_count, at = sizeof(CodeHead);
    CodeHead head = {
        .kind = CODE_REGION,
        .insn_count = region->insn_count,
        .reg_count = regs,
        .block_count = region->block_count,
        .link_count = region->link_count,
        .slot_count = emitter->homes ? allocation->slot_count : region->temp_count,
        .homes = emitter->homes,
        .heat_offset = region->heat_offset,
        .pc = region->pc,
        .tb = (TcgTb *)tb,
        .calls = &emitter->thunks->calls,
        .target = region->target,
        .regs = &simulated_regs,
        .live_in = { region->blocks[0].live_in[0], region->blocks[0].live_in[1] },
        .placed_count = emitter->homes ? allocation->placed_count : 0,
    };
    uint64_t *guest_pcs;
    Placed *placed;
    uint8_t *rw = buffer->rw;

    head.links = reserve(&at, sizeof(int32_t) * region->link_count);
    head.blocks = reserve(&at, sizeof(BlockHead) * region->block_count);
    head.places = reserve(&at, sizeof(Place) * regs);
    head.placed = reserve(&at, sizeof(Placed) * head.placed_count);
    head.dirty_index = reserve(&at, sizeof(uint16_t) * region->insn_count);
    head.guest_pcs = reserve(&at, sizeof(uint64_t) * region->guest_count);
    head.insns = reserve(&at, sizeof(IrInsn) * region->insn_count);
    head.dirty_sets = at;
    if (at > buffer->capacity_bytes) {
        return false;
    }
    memset(rw, 0, head.insns);

    g_array_set_size(emitter->sites, 0);
    g_array_set_size(emitter->dirty_sets, 0);
    g_array_set_size(emitter->links, region->link_count);
    g_array_set_size(emitter->guest_offsets, region->guest_count);
    memset(emitter->guest_offsets->data, 0xff, region->guest_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < region->link_count; i++) {
        TcgLink *link = &g_array_index(emitter->links, TcgLink, i);
        *link = (TcgLink){ .operand_offset = head.links + i * (uint32_t)sizeof(int32_t),
                           .stub_offset = 0 };
    }
    find_sites(emitter, region, allocation, head.insns, (uint16_t *)(rw + head.dirty_index));
    reserve(&at, sizeof(TcgDirtySet) * emitter->dirty_sets->len);
    if (at > buffer->capacity_bytes) {
        return false;
    }
    if (emitter->dirty_sets->len > 0) {
        memcpy(rw + head.dirty_sets, emitter->dirty_sets->data,
               sizeof(TcgDirtySet) * emitter->dirty_sets->len);
    }
    fill_blocks(region, allocation, (BlockHead *)(rw + head.blocks));
    fill_places(region, allocation, emitter->homes, (Place *)(rw + head.places), regs);
    placed = (Placed *)(rw + head.placed);
    for (uint32_t i = 0; i < head.placed_count; i++) {
        const IrHome *home = &allocation->home[allocation->placed[i]];
        placed[i] = (Placed){ .reg = allocation->placed[i],
                              .host = (uint8_t)home->reg,
                              .f64 = ir_type(region, allocation->placed[i]) == IR_TYPE_F64,
                              .start = home->start,
                              .end = home->end };
    }
    guest_pcs = (uint64_t *)(rw + head.guest_pcs);
    for (uint32_t i = 0; i < region->guest_count; i++) {
        guest_pcs[i] = region->guest[i].pc;
    }
    memcpy(rw + head.insns, region->insns, sizeof(IrInsn) * region->insn_count);
    memcpy(rw, &head, sizeof(head));

    *out = (TcgEmitted){
        .code_bytes = at,
        .sites = (const TcgSite *)(void *)emitter->sites->data,
        .site_count = emitter->sites->len,
        .dirty_sets = (const TcgDirtySet *)(void *)emitter->dirty_sets->data,
        .dirty_set_count = emitter->dirty_sets->len,
        .links = (const TcgLink *)(void *)emitter->links->data,
        .link_count = region->link_count,
        .kill_stub_offset = 0,
        .guest_offsets = (const uint32_t *)(void *)emitter->guest_offsets->data,
    };
    return true;
}

/* A link's operand is the distance of the code it leads to from itself; 0 is the stub. */
static void interp_link(uint8_t *code_rw, const uint8_t *code_rx, const TcgLink *link,
                        const void *target_rx)
{
    int32_t *operand = (int32_t *)(code_rw + link->operand_offset);
    ptrdiff_t distance =
        target_rx == NULL ? 0 : (const uint8_t *)target_rx - (code_rx + link->operand_offset);

    __atomic_store_n(operand, (int32_t)distance, __ATOMIC_RELEASE);
}

static void interp_kill(uint8_t *code_rw, const uint8_t *code_rx, uint32_t stub_offset)
{
    __atomic_store_n(&((CodeHead *)code_rw)->kind, CODE_KILLED, __ATOMIC_RELEASE);
}

static size_t interp_disas(const uint8_t *code, uintptr_t address, GString *out)
{
    const CodeHead *head = (const CodeHead *)code;
    const IrInsn *insn = (const IrInsn *)code;

    if (head->kind <= CODE_LOOKUP && head->insns > sizeof(*head) && head->places < head->insns) {
        g_string_append_printf(out, "region of %u operations", head->insn_count);
        return head->insns;
    }
    g_string_append_printf(out, "%s",
                           insn->op < IR_OP_COUNT ? ir_op_info[insn->op].name : "(table)");
    return sizeof(*insn);
}

static bool interp_make_thunks(const TcgCodeBuffer *buffer, const TcgHostCalls *calls,
                               const TcgHostFeatures *features, TcgThunks *out)
{
    Thunks *thunks = (Thunks *)(void *)buffer->rw;
    const Thunks *rx = (const Thunks *)(const void *)buffer->rx;

    if (buffer->capacity_bytes < sizeof(*thunks)) {
        return false;
    }
    *thunks = (Thunks){ .lookup = { .kind = CODE_LOOKUP, .calls = &rx->calls }, .calls = *calls };
    *out = (TcgThunks){ .run = ir_interp_run, .lookup = rx, .bytes = sizeof(*thunks) };
    return true;
}

const TcgHost tcg_host_ir = {
    .name = "ir",
    .code_alignment = 16,
    .regs = interp_regs,
    .make_thunks = interp_make_thunks,
    .emitter_create = emitter_create_simple,
    .emitter_destroy = emitter_destroy,
    .emit = interp_emit,
    .link = interp_link,
    .kill = interp_kill,
    .disas = interp_disas,
};

const TcgHost tcg_host_ir_homes = {
    .name = "ir-homes",
    .code_alignment = 16,
    .regs = interp_regs,
    .make_thunks = interp_make_thunks,
    .emitter_create = emitter_create_homes,
    .emitter_destroy = emitter_destroy,
    .emit = interp_emit,
    .link = interp_link,
    .kill = interp_kill,
    .disas = interp_disas,
};
