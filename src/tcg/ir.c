/* SPDX-License-Identifier: MIT */
/*
 * Building regions and ordering their blocks. The idea to hold: a front end numbers blocks as it meets
 * them and fills them as it likes; ir_region_finish then lays them out once, and everything after
 * it (ranges of registers above all) trusts that order.
 *
 * Order: reverse postorder, visiting what leaves loops first so that it comes to lie behind them; then
 * each loop is pulled together, outer before inner; then cold blocks go last.
 */
#include "tcg/ir-internal.h"

#include <string.h>

const IrOpInfo ir_op_info[IR_OP_COUNT] = {
#define IR_OP(name_, shape_, flags_) { #name_, shape_, flags_ },
#include "tcg/ir-ops.def"
#undef IR_OP
};

#define NOT_BUILDING UINT32_MAX
#define NO_BLOCK UINT16_MAX

IrRegion *ir_region_create(void)
{
    return g_new0(IrRegion, 1);
}

void ir_region_destroy(IrRegion *region)
{
    if (region == NULL) {
        return;
    }
    g_free(region->insns);
    g_free(region->blocks);
    g_free(region->guest);
    g_free(region->temp_types);
    g_free(region->scratch);
    g_free(region);
}

void ir_region_reset(IrRegion *region, const IrTarget *target, uint64_t pc)
{
    region->target = target;
    region->pc = pc;
    region->heat_offset = 0;
    region->insn_count = 0;
    region->block_count = 0;
    region->guest_count = 0;
    region->temp_count = 0;
    region->link_count = 0;
    region->heat_offset = 0;
    region->tag_flags = 0;
    region->building = NOT_BUILDING;
    region->guest_now = 0;
}

void *ir_scratch(IrRegion *region, size_t bytes)
{
    if (bytes > region->scratch_bytes) {
        g_free(region->scratch);
        region->scratch_bytes = bytes + bytes / 2;
        region->scratch = g_malloc(region->scratch_bytes);
    }
    return region->scratch;
}

/* Room for one more element in an array of count used ones. */
static void *grown(void *array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = MAX(64, *capacity * 2);
    return g_realloc_n(array, *capacity, element_bytes);
}

uint16_t ir_block_new(IrRegion *region, uint64_t pc)
{
    g_assert(region->block_count < NO_BLOCK - 1);
    region->blocks = grown(region->blocks, region->block_count, &region->block_capacity,
                           sizeof(*region->blocks));
    region->blocks[region->block_count] = (IrBlock){ .pc = pc };
    return (uint16_t)region->block_count++;
}

void ir_block_begin(IrRegion *region, uint16_t block)
{
    g_assert(block < region->block_count && region->blocks[block].count == 0);
    region->blocks[block].first = region->insn_count;
    region->building = block;
}

IrReg ir_temp(IrRegion *region, IrType type)
{
    g_assert(region->temp_count < IR_ZERO - IR_FIRST_TEMP);
    region->temp_types = grown(region->temp_types, region->temp_count, &region->temp_capacity,
                               sizeof(*region->temp_types));
    region->temp_types[region->temp_count] = (uint8_t)type;
    return (IrReg)(IR_FIRST_TEMP + region->temp_count++);
}

uint16_t ir_guest(IrRegion *region, uint64_t pc, uint32_t bits, unsigned length_bytes,
                  unsigned pending)
{
    g_assert(region->guest_count < UINT16_MAX);
    region->guest =
        grown(region->guest, region->guest_count, &region->guest_capacity, sizeof(*region->guest));
    region->guest[region->guest_count] = (IrGuestInsn){
        .pc = pc, .bits = bits, .length_bytes = (uint8_t)length_bytes, .pending = (uint16_t)pending
    };
    region->guest_now = (uint16_t)region->guest_count++;
    return region->guest_now;
}

IrInsn *ir_emit(IrRegion *region, IrOp op, IrReg dst, IrReg a, IrReg b, IrReg c)
{
    IrInsn *insn;

    g_assert(region->building < region->block_count);
    region->insns =
        grown(region->insns, region->insn_count, &region->insn_capacity, sizeof(*region->insns));
    insn = &region->insns[region->insn_count++];
    *insn = (IrInsn){
        .op = (uint8_t)op, .dst = dst, .a = a, .b = b, .c = c, .guest = region->guest_now
    };
    region->blocks[region->building].count++;
    return insn;
}

/* ---- Order of blocks. */

typedef struct Order {
    const IrRegion *region;
    unsigned count;       /* of all blocks, reachable or not */
    unsigned reached;     /* of the reachable ones */
    uint16_t *sequence;   /* reachable blocks in reverse postorder; later the final order */
    uint16_t *pre, *post; /* numbers of the first search; pre NO_BLOCK: not reached */
    uint16_t *stack;
    uint8_t *next;    /* successors of a block on the stack that have been visited */
    uint16_t *loop;   /* header of the innermost loop around a block, or NO_BLOCK */
    uint16_t *parent; /* by header: header of the loop around that loop */
    uint8_t *depth;
    uint16_t
        *dominator; /* of a block: the nearest block that all ways to it pass; post order rules */
    bool *header, *placed, *ahead;
    uint32_t
        *pred_first; /* preds of block b: preds[pred_first[b]] up to preds[pred_first[b + 1]] */
    uint16_t *preds;
    uint16_t *renumber;
} Order;

/* Successors in the order of the visit: the last one will follow directly. */
static unsigned visit_order(const Order *o, unsigned block, uint16_t out[2])
{
    unsigned n = ir_successors(ir_block_last(o->region, &o->region->blocks[block]), out);

    if (n == 2 && o->depth[out[0]] > o->depth[out[1]]) {
        uint16_t t = out[0];
        out[0] = out[1];
        out[1] = t;
    }
    return n;
}

/* Depth-first search from the entry; says whether there is an edge back. */
static bool search(Order *o)
{
    unsigned top = 0, pre = 0, post = 0;
    bool loops = false;

    memset(o->pre, 0xff, o->count * sizeof(*o->pre));
    memset(o->post, 0xff, o->count * sizeof(*o->post));
    o->stack[top++] = 0;
    o->pre[0] = (uint16_t)pre++;
    o->next[0] = 0;
    while (top > 0) {
        uint16_t block = o->stack[top - 1], successors[2];
        unsigned n = visit_order(o, block, successors);

        if (o->next[block] < n) {
            uint16_t to = successors[o->next[block]++];

            if (o->pre[to] == NO_BLOCK) {
                o->pre[to] = (uint16_t)pre++;
                o->next[to] = 0;
                o->stack[top++] = to;
            } else if (o->post[to] == NO_BLOCK) {
                o->header[to] = true;
                loops = true;
            }
        } else {
            o->post[block] = (uint16_t)post++;
            top--;
        }
    }
    o->reached = post;
    for (unsigned i = 0; i < o->count; i++) {
        if (o->pre[i] != NO_BLOCK) {
            o->sequence[post - 1 - o->post[i]] = (uint16_t)i;
        }
    }
    return loops;
}

static void find_predecessors(Order *o)
{
    uint16_t successors[2];

    memset(o->pred_first, 0, (o->count + 1) * sizeof(*o->pred_first));
    for (unsigned i = 0; i < o->reached; i++) {
        unsigned n =
            ir_successors(ir_block_last(o->region, &o->region->blocks[o->sequence[i]]), successors);
        for (unsigned s = 0; s < n; s++) {
            o->pred_first[successors[s]]++;
        }
    }
    for (unsigned i = 1; i <= o->count; i++) {
        o->pred_first[i] += o->pred_first[i - 1];
    }
    for (unsigned i = 0; i < o->reached; i++) {
        unsigned n =
            ir_successors(ir_block_last(o->region, &o->region->blocks[o->sequence[i]]), successors);
        for (unsigned s = 0; s < n; s++) {
            o->preds[--o->pred_first[successors[s]]] = o->sequence[i];
        }
    }
}

/* Nearest common dominator of two blocks that have one each. */
static uint16_t common_dominator(const Order *o, uint16_t a, uint16_t b)
{
    while (a != b) {
        while (o->post[a] < o->post[b]) {
            a = o->dominator[a];
        }
        while (o->post[b] < o->post[a]) {
            b = o->dominator[b];
        }
    }
    return a;
}

static void find_dominators(Order *o)
{
    bool again = true;

    memset(o->dominator, 0xff, o->count * sizeof(*o->dominator));
    o->dominator[0] = 0;
    while (again) {
        again = false;
        for (unsigned i = 1; i < o->reached; i++) {
            uint16_t block = o->sequence[i], found = NO_BLOCK;

            for (uint32_t p = o->pred_first[block]; p < o->pred_first[block + 1]; p++) {
                uint16_t from = o->preds[p];

                if (o->dominator[from] != NO_BLOCK) {
                    found = found == NO_BLOCK ? from : common_dominator(o, found, from);
                }
            }
            again |= o->dominator[block] != found;
            o->dominator[block] = found;
        }
    }
}

static bool dominates(const Order *o, uint16_t above, uint16_t block)
{
    while (o->post[block] < o->post[above]) {
        block = o->dominator[block];
    }
    return block == above;
}

static bool leads_back(const Order *o, uint16_t from, uint16_t header)
{
    return o->pre[header] <= o->pre[from] && o->post[from] <= o->post[header];
}

/* Marks what can be reached from a block. */
static void look_ahead(Order *o, uint16_t block)
{
    unsigned top = 0;

    memset(o->ahead, 0, o->count * sizeof(*o->ahead));
    o->ahead[block] = true;
    o->stack[top++] = block;
    while (top > 0) {
        uint16_t successors[2];
        unsigned n;

        block = o->stack[--top];
        n = ir_successors(ir_block_last(o->region, &o->region->blocks[block]), successors);
        for (unsigned s = 0; s < n; s++) {
            if (!o->ahead[successors[s]]) {
                o->ahead[successors[s]] = true;
                o->stack[top++] = successors[s];
            }
        }
    }
}

/*
 * The loop of this header: what reaches its edges back without passing through it. With entries besides the
 * header: that part of it which the header leads to.
 */
static void find_loop(Order *o, uint16_t header, bool one_entry)
{
    unsigned top = 0;
    bool any = false;

    if (o->loop[header] != NO_BLOCK) {
        return; /* part of another one with the same blocks, or nearly */
    }
    for (uint32_t p = o->pred_first[header]; p < o->pred_first[header + 1]; p++) {
        any |=
            leads_back(o, o->preds[p], header) && (!one_entry || dominates(o, header, o->preds[p]));
    }
    if (!any) {
        return;
    }
    if (!one_entry) {
        look_ahead(o, header);
    }
    o->loop[header] = header;
    for (uint32_t p = o->pred_first[header]; p < o->pred_first[header + 1]; p++) {
        if (leads_back(o, o->preds[p], header) &&
            (!one_entry || dominates(o, header, o->preds[p]))) {
            o->stack[top++] = o->preds[p];
        }
    }
    while (top > 0) {
        uint16_t block = o->stack[--top];

        if (!one_entry && !o->ahead[block]) {
            continue;
        }
        if (o->loop[block] == NO_BLOCK) {
            o->loop[block] = header;
        } else {
            block = o->loop[block];
            while (o->parent[block] != NO_BLOCK) {
                block = o->parent[block];
            }
            if (block == header) {
                continue;
            }
            o->parent[block] = header;
        }
        for (uint32_t p = o->pred_first[block]; p < o->pred_first[block + 1]; p++) {
            o->stack[top++] = o->preds[p];
        }
    }
}

static void find_loops(Order *o)
{
    find_predecessors(o);
    find_dominators(o);
    /* Inner headers have lower post numbers. Loops with several entries come after all others. */
    for (unsigned i = o->reached; i-- > 0;) {
        if (o->header[o->sequence[i]]) {
            find_loop(o, o->sequence[i], true);
        }
    }
    for (unsigned i = o->reached; i-- > 0;) {
        if (o->header[o->sequence[i]]) {
            find_loop(o, o->sequence[i], false);
        }
    }
    for (unsigned i = 0; i < o->reached; i++) {
        uint16_t block = o->sequence[i];
        unsigned depth = 0;

        for (uint16_t l = o->loop[block]; l != NO_BLOCK; l = o->parent[l]) {
            depth++;
        }
        o->depth[block] = (uint8_t)MIN(depth, 255);
    }
}

static bool inside(const Order *o, uint16_t block, uint16_t header)
{
    for (uint16_t l = o->loop[block]; l != NO_BLOCK; l = o->parent[l]) {
        if (l == header) {
            return true;
        }
    }
    return false;
}

/* Puts a block, and if it heads a loop all of that behind it, at the end of out. */
static unsigned place(Order *o, unsigned index, uint16_t *out, unsigned at)
{
    uint16_t block = o->sequence[index];

    o->placed[block] = true;
    out[at++] = block;
    if (o->loop[block] == block) {
        for (unsigned i = index + 1; i < o->reached; i++) {
            if (!o->placed[o->sequence[i]] && inside(o, o->sequence[i], block)) {
                at = place(o, i, out, at);
            }
        }
    }
    return at;
}

static void pull_loops_together(Order *o)
{
    uint16_t *out = o->stack;
    unsigned at = 0;

    for (unsigned i = 0; i < o->reached; i++) {
        if (!o->placed[o->sequence[i]]) {
            at = place(o, i, out, at);
        }
    }
    memcpy(o->sequence, out, at * sizeof(*out));
}

static void cold_last(Order *o)
{
    unsigned warm = 0, cold = 0;

    for (unsigned i = 0; i < o->reached; i++) {
        uint16_t block = o->sequence[i];
        if (o->region->blocks[block].cold && i > 0) {
            o->stack[cold++] = block;
        } else {
            o->sequence[warm++] = block;
        }
    }
    memcpy(&o->sequence[warm], o->stack, cold * sizeof(*o->stack));
}

static bool in_order_already(const Order *o)
{
    uint32_t end = 0;

    if (o->reached != o->count) {
        return false;
    }
    for (unsigned i = 0; i < o->count; i++) {
        if (o->sequence[i] != i || o->region->blocks[i].first < end) {
            return false;
        }
        end = o->region->blocks[i].first + o->region->blocks[i].count;
    }
    return true;
}

/* Lays insns and blocks out in the order found. blocks and insns are memory for copies. */
static void rewrite(IrRegion *region, Order *o, IrBlock *blocks, IrInsn *insns)
{
    uint32_t at = 0, links = 0;

    for (unsigned i = 0; i < o->reached; i++) {
        o->renumber[o->sequence[i]] = (uint16_t)i;
    }
    for (unsigned i = 0; i < o->reached; i++) {
        IrBlock *block = &blocks[i];
        IrInsn *end;

        *block = region->blocks[o->sequence[i]];
        memcpy(&insns[at], &region->insns[block->first], block->count * sizeof(*insns));
        block->first = at;
        at += block->count;
        end = &insns[at - 1];
        switch (end->op) {
        case IR_OP_br:
        case IR_OP_poll:
            end->aux = o->renumber[end->aux];
            break;
        case IR_OP_brcond:
            end->aux = o->renumber[end->aux];
            end->target = o->renumber[end->target];
            break;
        case IR_OP_exit:
            if (end->aux != IR_LINK_NONE) {
                end->aux = (uint16_t)links++;
            }
            break;
        default:
            break;
        }
    }
    memcpy(region->blocks, blocks, o->reached * sizeof(*blocks));
    memcpy(region->insns, insns, at * sizeof(*insns));
    region->block_count = o->reached;
    region->insn_count = at;
    region->link_count = links;
}

void ir_region_finish(IrRegion *region)
{
    unsigned n = region->block_count;
    Order o = { .region = region, .count = n };
    uint16_t successors[2];
    IrBlock *blocks;
    IrInsn *insns;
    uint8_t *at;

    region->building = NOT_BUILDING;
    if (n == 1 && ir_successors(ir_block_last(region, &region->blocks[0]), successors) == 0) {
        IrInsn *end = &region->insns[region->blocks[0].first + region->blocks[0].count - 1];

        region->blocks[0].loop_depth = 0;
        region->link_count = 0;
        if (end->op == IR_OP_exit && end->aux != IR_LINK_NONE) {
            end->aux = 0;
            region->link_count = 1;
        }
        return;
    }
    at = ir_scratch(region,
                    n * (sizeof(IrBlock) + 48) + (size_t)region->insn_count * sizeof(IrInsn) + 256);
    insns = IR_CARVE(at, IrInsn, region->insn_count);
    blocks = IR_CARVE(at, IrBlock, n);
    o.pred_first = IR_CARVE(at, uint32_t, n + 1);
    o.sequence = IR_CARVE(at, uint16_t, n);
    o.pre = IR_CARVE(at, uint16_t, n);
    o.post = IR_CARVE(at, uint16_t, n);
    o.stack = IR_CARVE(at, uint16_t, 4 * n);
    o.loop = IR_CARVE(at, uint16_t, n);
    o.parent = IR_CARVE(at, uint16_t, n);
    o.preds = IR_CARVE(at, uint16_t, 2 * n);
    o.renumber = IR_CARVE(at, uint16_t, n);
    o.dominator = IR_CARVE(at, uint16_t, n);
    o.next = IR_CARVE(at, uint8_t, n);
    o.depth = IR_CARVE(at, uint8_t, n);
    o.header = IR_CARVE(at, bool, n);
    o.placed = IR_CARVE(at, bool, n);
    o.ahead = IR_CARVE(at, bool, n);
    memset(o.loop, 0xff, n * sizeof(*o.loop));
    memset(o.parent, 0xff, n * sizeof(*o.parent));
    memset(o.depth, 0, n);
    memset(o.header, 0, n);
    memset(o.placed, 0, n);

    if (search(&o)) {
        find_loops(&o);
        search(&o);
        pull_loops_together(&o);
    }
    cold_last(&o);
    for (unsigned i = 0; i < n; i++) {
        region->blocks[i].loop_depth = o.depth[i];
    }
    if (!in_order_already(&o)) {
        rewrite(region, &o, blocks, insns);
    } else {
        uint32_t links = 0;
        for (unsigned i = 0; i < n; i++) {
            IrInsn *end = &region->insns[region->blocks[i].first + region->blocks[i].count - 1];
            if (end->op == IR_OP_exit && end->aux != IR_LINK_NONE) {
                end->aux = (uint16_t)links++;
            }
        }
        region->link_count = links;
    }
}
