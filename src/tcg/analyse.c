/* SPDX-License-Identifier: MIT */
/*
 * Which globals differ from the CPU struct, and which are still needed. The idea to hold: two data
 * flows over bit sets of 128 globals. Forward, "dirty": written since the entry or the last syscall,
 * on some path. Backward, "live": read before it is written; and where guest state may be looked
 * at (a fault, the end of the region, a syscall) everything dirty is read. After a syscall every
 * global comes from the CPU struct anew, so nothing is live through one.
 */
#include "tcg/ir-internal.h"

#include <string.h>

typedef struct Flow {
    uint64_t use[2], def[2]; /* read before written; written, or reloaded */
    uint64_t dirty_new[2];   /* written since the last syscall, or the start */
    uint64_t
        dirty_use_not[2]; /* of dirty_in, not read by this block's first site: written before */
    bool syscall;         /* dirty_in does not reach the end */
    bool site;            /* dirty_in is looked at */
} Flow;

static inline void read_global(Flow *f, IrReg reg)
{
    if (ir_is_global(reg) && !ir_set_has(f->def, reg)) {
        ir_set_add(f->use, reg);
    }
}

static void look_at_block(const IrRegion *region, const IrBlock *block, Flow *f)
{
    const IrInsn *insn = &region->insns[block->first], *end = insn + block->count;

    memset(f, 0, sizeof(*f));
    for (; insn < end; insn++) {
        unsigned flags = ir_op_info[insn->op].flags;

        read_global(f, insn->a);
        read_global(f, insn->b);
        read_global(f, insn->c);
        if (flags & IR_READS_DST) {
            read_global(f, insn->dst);
        }
        if (flags & (IR_FAULTS | IR_SYNC)) {
            if (!f->site) {
                f->site = true;
                f->dirty_use_not[0] = f->def[0];
                f->dirty_use_not[1] = f->def[1];
            }
            if (insn->op == IR_OP_syscall) {
                f->syscall = true;
                f->dirty_new[0] = f->dirty_new[1] = 0;
                f->def[0] = f->def[1] = ~UINT64_C(0);
            }
        }
        if (ir_is_global(insn->dst)) {
            ir_set_add(f->def, insn->dst);
            ir_set_add(f->dirty_new, insn->dst);
        }
    }
}

static void dirty_out(const IrBlock *block, const Flow *f, uint64_t out[2])
{
    uint64_t through = f->syscall ? 0 : ~UINT64_C(0);

    out[0] = (block->dirty_in[0] & through) | f->dirty_new[0];
    out[1] = (block->dirty_in[1] & through) | f->dirty_new[1];
}

static void flow_dirty(IrRegion *region, const Flow *flow)
{
    bool again = true;

    while (again) {
        again = false;
        for (unsigned i = 0; i < region->block_count; i++) {
            IrBlock *block = &region->blocks[i];
            uint16_t successors[2];
            unsigned n = ir_successors(ir_block_last(region, block), successors);
            uint64_t out[2];

            dirty_out(block, &flow[i], out);
            for (unsigned s = 0; s < n; s++) {
                IrBlock *to = &region->blocks[successors[s]];

                if ((out[0] & ~to->dirty_in[0]) | (out[1] & ~to->dirty_in[1])) {
                    to->dirty_in[0] |= out[0];
                    to->dirty_in[1] |= out[1];
                    again |= successors[s] <= i;
                }
            }
        }
    }
}

static void flow_live(IrRegion *region, Flow *flow)
{
    bool again = true;

    while (again) {
        again = false;
        for (unsigned i = region->block_count; i-- > 0;) {
            IrBlock *block = &region->blocks[i];
            uint16_t successors[2];
            unsigned n = ir_successors(ir_block_last(region, block), successors);

            for (unsigned w = 0; w < 2; w++) {
                uint64_t out = 0, in;

                for (unsigned s = 0; s < n; s++) {
                    out |= region->blocks[successors[s]].live_in[w];
                }
                in = flow[i].use[w] | (out & ~flow[i].def[w]);
                if (flow[i].site) {
                    in |= block->dirty_in[w] & ~flow[i].dirty_use_not[w];
                }
                block->live_out[w] = out;
                again |= in != block->live_in[w];
                block->live_in[w] = in;
            }
        }
    }
}

void ir_analyse(IrRegion *region)
{
    Flow *flow = ir_scratch(region, region->block_count * sizeof(*flow));

    for (unsigned i = 0; i < region->block_count; i++) {
        IrBlock *block = &region->blocks[i];

        look_at_block(region, block, &flow[i]);
        memset(block->dirty_in, 0, sizeof(block->dirty_in));
        memset(block->live_in, 0, sizeof(block->live_in));
    }
    if (region->block_count == 1 && region->blocks[0].count > 0 &&
        !(ir_op_info[ir_block_last(region, &region->blocks[0])->op].flags & IR_COND)) {
        IrBlock *block = &region->blocks[0];
        uint16_t successors[2];

        if (ir_successors(ir_block_last(region, block), successors) == 0) {
            memcpy(block->live_in, flow[0].use, sizeof(block->live_in));
            memset(block->live_out, 0, sizeof(block->live_out));
            return;
        }
    }
    flow_dirty(region, flow);
    flow_live(region, flow);
}

void ir_cursor_begin(IrCursor *at, const IrRegion *region, uint32_t block)
{
    const IrBlock *b = &region->blocks[block];

    *at = (IrCursor){ .region = region,
                      .index = b->first,
                      .end = b->first + b->count,
                      .dirty = { b->dirty_in[0], b->dirty_in[1] } };
}

bool ir_cursor_next(IrCursor *at)
{
    if (at->insn != NULL) {
        if (at->insn->op == IR_OP_syscall) {
            at->dirty[0] = at->dirty[1] = 0;
        }
        if (ir_is_global(at->insn->dst)) {
            ir_set_add(at->dirty, at->insn->dst);
        }
        at->index++;
    }
    if (at->index == at->end) {
        return false;
    }
    at->insn = &at->region->insns[at->index];
    return true;
}
