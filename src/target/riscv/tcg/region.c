/* SPDX-License-Identifier: MIT */
/*
 * Finding the instructions of a region. Tier 0 is one run from the entry to the first jump; branches in
 * it that lead forward into the run stay inside. Tier 1 follows branches and jumps within the page to
 * where the guest has been before, calls too: what they return to is remembered, so that a return can
 * stay inside.
 *
 * The idea to hold: a node is an instruction that is in the region, and an edge to what has no node is
 * an exit. So running out of room anywhere is no special case.
 */
#include "target/riscv/tcg/translate.h"

#define NO_OFFSET UINT_MAX

typedef struct Find {
    RvTranslate *t;
    unsigned todo_count;
    uint16_t todo[RV_MAX_NODES]; /* halfwords where runs begin */
} Find;

static uint16_t halfword(const uint8_t *at)
{
    return orr_load_relaxed((const uint16_t *)at);
}

/* Halfword in the page of a guest address, or NO_OFFSET. */
static unsigned offset_of(const RvTranslate *t, uint64_t pc)
{
    uint64_t distance = pc - t->page;

    return distance <= TCG_PAGE_MASK && !(distance & 1) ? (unsigned)distance / 2 : NO_OFFSET;
}

RvNode *rv_region_node(RvTranslate *t, uint64_t pc)
{
    unsigned offset = offset_of(t, pc);
    RvNode *node;

    if (offset == NO_OFFSET || t->at[offset] == 0) {
        return NULL;
    }
    node = &t->nodes[t->at[offset] - 1];
    return node->leader ? node : NULL;
}

/* The bits at a halfword; false: the instruction ends in the next page, which is not here. */
static bool fetch(RvTranslate *t, unsigned offset, uint32_t *bits)
{
    const uint8_t *page = t->source->page;

    *bits = halfword(page + 2 * offset);
    t->first_halfword = MIN(t->first_halfword, offset);
    t->last_halfword = MAX(t->last_halfword, offset);
    if ((*bits & 3) != 3) {
        return true;
    }
    if (offset + 1 < RV_PAGE_HALFWORDS) {
        *bits |= (uint32_t)halfword(page + 2 * offset + 2) << 16;
        t->last_halfword = MAX(t->last_halfword, offset + 1);
        return true;
    }
    if (t->node_count > 0) {
        return false;
    }
    t->crosses = true;
    if (!t->source->next_page) {
        return false;
    }
    *bits |= (uint32_t)halfword(t->source->next_page) << 16;
    return true;
}

/* A new node at a halfword; NULL: no room, or no instruction that is wholly here. */
static RvNode *add_node(RvTranslate *t, unsigned offset)
{
    const TcgSource *source = t->source;
    uint64_t pc = t->page + 2 * (uint64_t)offset;
    RvNode *node = &t->nodes[t->node_count];
    uint32_t bits;

    if (t->node_count >= t->max_nodes || offset >= RV_PAGE_HALFWORDS || !fetch(t, offset, &bits)) {
        return NULL;
    }
    *node = (RvNode){ .offset = (uint16_t)offset };
    rv_decode(bits, t->exts, &node->insn);
    node->breakpoint = source->breakpoint && source->breakpoint(source->opaque, pc);
    t->at[offset] = (uint16_t)++t->node_count;
    return node;
}

static bool is_branch(const RvNode *node)
{
    return rv_op_info[node->insn.op].flags & RV_OPF_BRANCH;
}

static uint64_t jump_target(const RvTranslate *t, const RvNode *node)
{
    return rv_node_pc(t, node) + (uint64_t)(int64_t)node->insn.imm;
}

static uint64_t node_next(const RvTranslate *t, const RvNode *node)
{
    return rv_node_pc(t, node) + node->insn.len;
}

static bool is_call(const RvInsn *insn)
{
    return insn->op == RV_OP_JAL && (insn->rd == 1 || insn->rd == 5);
}

static bool ends(const RvTranslate *t, const RvNode *node)
{
    return node->breakpoint || (rv_rule(t, &node->insn)->flags & RV_RULE_ENDS);
}

static bool wanted(const RvTranslate *t, uint64_t pc)
{
    const TcgSource *source = t->source;

    return source->tier > 0 && offset_of(t, pc) != NO_OFFSET && source->wanted &&
           source->wanted(source->opaque, pc);
}

static void follow(Find *f, uint64_t pc)
{
    unsigned offset = offset_of(f->t, pc);

    if (f->t->at[offset] == 0 && f->todo_count < RV_MAX_NODES) {
        f->todo[f->todo_count++] = (uint16_t)offset;
    }
}

static void follow_call(Find *f, const RvNode *node)
{
    RvTranslate *t = f->t;
    uint64_t back = node_next(t, node);

    if (t->return_count < RV_MAX_RETURNS && wanted(t, back)) {
        t->returns[t->return_count++] = (uint16_t)offset_of(t, back);
        follow(f, back);
    }
}

static void find_run(Find *f, unsigned offset)
{
    RvTranslate *t = f->t;

    while (offset < RV_PAGE_HALFWORDS && t->at[offset] == 0) {
        RvNode *node = add_node(t, offset);

        if (!node || t->crosses) {
            return;
        }
        if ((is_branch(node) || node->insn.op == RV_OP_JAL) && !node->breakpoint &&
            wanted(t, jump_target(t, node))) {
            follow(f, jump_target(t, node));
            if (is_call(&node->insn)) {
                follow_call(f, node);
            }
        }
        if (ends(t, node)) {
            return;
        }
        offset += node->insn.len / 2;
    }
}

/* ---- Edges. */

/* leads: the target begins a block even if nothing else leads there. */
static void add_edge(RvTranslate *t, uint64_t pc, bool leads)
{
    unsigned offset = offset_of(t, pc);

    if (offset != NO_OFFSET && t->at[offset] != 0) {
        RvNode *node = &t->nodes[t->at[offset] - 1];

        node->preds++;
        node->leader |= leads;
    }
}

/* In tier 0, jumps back leave, so that the counter at the entry sees loops. */
static bool stays(const RvTranslate *t, const RvNode *node)
{
    return t->source->tier > 0 || jump_target(t, node) > rv_node_pc(t, node);
}

static void add_edges(RvTranslate *t, const RvNode *node)
{
    if (node->breakpoint) {
        return;
    }
    if (is_branch(node)) {
        if (stays(t, node)) {
            add_edge(t, jump_target(t, node), true);
        }
        add_edge(t, node_next(t, node), true);
    } else if (node->insn.op == RV_OP_JAL) {
        if (stays(t, node)) {
            add_edge(t, jump_target(t, node), true);
        }
    } else if (rv_is_return(&node->insn)) {
        for (unsigned i = 0; i < t->return_count; i++) {
            add_edge(t, t->page + 2 * (uint64_t)t->returns[i], true);
        }
    } else if (!ends(t, node)) {
        add_edge(t, node_next(t, node), false);
    }
}

/* ---- Branches over a few cheap instructions. */

/* How many it skips, if nothing else leads to one of them and all can be done as moves under a condition. */
static unsigned skipped(RvTranslate *t, const RvNode *branch)
{
    uint64_t target = jump_target(t, branch);
    const RvNode *node = branch;
    uint32_t written = 0;

    for (unsigned n = 0; n <= RV_MAX_SKIPS; n++) {
        uint64_t next = node_next(t, node);
        unsigned offset = offset_of(t, next);

        if (offset == NO_OFFSET || t->at[offset] == 0) {
            return 0;
        }
        if (next == target) {
            return __builtin_popcount(written) <= 2 ? n : 0;
        }
        node = &t->nodes[t->at[offset] - 1];
        if (node->preds != 1 || node->breakpoint || !rv_is_cheap(t, &node->insn)) {
            return 0;
        }
        written |= 1u << node->insn.rd;
    }
    return 0;
}

static void find_skips(RvTranslate *t)
{
    for (unsigned i = 0; i < t->node_count; i++) {
        RvNode *branch = &t->nodes[i], *to = branch;
        unsigned n;

        if (!is_branch(branch) || branch->breakpoint || (n = skipped(t, branch)) == 0) {
            continue;
        }
        branch->skips = (uint8_t)n;
        for (unsigned k = 0; k <= n; k++) {
            to = rv_node_after(t, to);
            to->leader &= k == n;
        }
        /* Two ways led there, and now there is one. */
        to->preds--;
        to->leader &= to->preds > 1;
    }
}

/* Forgets returns for which there was no room. */
static void keep_returns_found(RvTranslate *t)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < t->return_count; i++) {
        if (t->at[t->returns[i]] != 0) {
            t->returns[kept++] = t->returns[i];
        }
    }
    t->return_count = kept;
}

void rv_region_find(RvTranslate *t)
{
    Find f = { .t = t };

    find_run(&f, offset_of(t, t->source->pc));
    while (f.todo_count > 0 && !t->crosses) {
        find_run(&f, f.todo[--f.todo_count]);
    }
    if (t->node_count == 0) {
        return;
    }
    keep_returns_found(t);
    t->nodes[0].leader = true;
    t->nodes[0].preds = 1;
    for (unsigned i = 0; i < t->node_count; i++) {
        add_edges(t, &t->nodes[i]);
    }
    if (t->source->tier > 0) {
        find_skips(t);
    }
    for (unsigned i = 0; i < t->node_count; i++) {
        t->nodes[i].leader |= t->nodes[i].preds > 1;
    }
}
