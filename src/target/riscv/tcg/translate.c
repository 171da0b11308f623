/* SPDX-License-Identifier: MIT */
/*
 * From a region's instructions to its IR. Blocks are made from a queue, beginning with the entry; what
 * is known at the end of one holds at the start of another only if nothing else leads there. Such a
 * block also inherits `pending`; where ways join, the count is exact.
 *
 * The idea to hold: an edge is emitted by edge_begin, which knows three kinds: inside and forward (a jump),
 * inside and backward (through poll, since every loop has one of these), and out of the region.
 */
#include "target/riscv/tcg/translate.h"

#include <string.h>

#include "target/riscv/tcg/rules.h"
#include "target/riscv/tcg/target.h"

const RvRule rv_rules[RV_OP_COUNT] = {
#define RULE_ROW(upper_, lower_) [RV_OP_##upper_] = RV_RULE_##upper_,
    RV_OP_LIST(RULE_ROW)
#undef RULE_ROW
};

/* Where FP is not translated, an instruction may switch it on: the flags are looked at after it. */
static const RvRule fp_rule = SYSTEM_END(STEP);

const RvRule *rv_rule(const RvTranslate *t, const RvInsn *insn)
{
    if ((rv_op_info[insn->op].flags & RV_OPF_FP) && !(t->source->tb_flags & RV_TB_FP)) {
        return &fp_rule;
    }
    return &rv_rules[insn->op];
}

/* ---- Counting and helpers. */

static void emit_count(RvTranslate *t, unsigned n)
{
    if (n > 0) {
        ir_emit_imm(t->region, IR_OP_add, RV_G_COUNT, RV_G_COUNT, n);
    }
}

void rv_count_now(RvTranslate *t)
{
    emit_count(t, t->pending);
    t->pending = 0;
}

void rv_syscall(RvTranslate *t, RvHelper helper, IrReg a, IrReg b, int64_t imm)
{
    IrInsn *call = rv_op3(t, IR_OP_syscall, IR_NONE, a, b);

    call->aux = (uint16_t)helper;
    call->imm = imm;
}

/* ---- Ends of blocks. */

static void emit_exit(RvTranslate *t, uint64_t pc)
{
    IrInsn *exit = rv_op3(t, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE);

    exit->imm = (int64_t)pc;
    exit->aux = IR_LINK_NONE;
    if (((pc ^ t->page) & ~TCG_PAGE_MASK) == 0 && t->region->link_count < IR_MAX_LINKS) {
        exit->aux = (uint16_t)t->region->link_count++;
    }
}

void rv_exit(RvTranslate *t, uint64_t pc)
{
    rv_count_now(t);
    emit_exit(t, pc);
    t->ended = true;
}

static void emit_to_block(RvTranslate *t, IrOp op, uint16_t block, uint64_t pc)
{
    IrInsn *end = rv_op3(t, op, IR_NONE, IR_NONE, IR_NONE);

    end->aux = block;
    end->imm = (int64_t)pc;
}

static bool is_backward(const RvTranslate *t, uint64_t pc)
{
    return pc <= t->pc;
}

/* In tier 0 these leave: see region.c. */
static RvNode *inside(RvTranslate *t, uint64_t pc)
{
    RvNode *node = rv_region_node(t, pc);

    return node && (t->source->tier > 0 || !is_backward(t, pc)) ? node : NULL;
}

static bool inherits(const RvTranslate *t, const RvNode *node)
{
    return node->preds == 1 && !is_backward(t, rv_node_pc(t, node));
}

/* The block of a leader, which will be made. Takes over what holds now if only this leads there. */
static uint16_t block_of(RvTranslate *t, RvNode *node)
{
    if (!node->queued) {
        node->queued = true;
        node->block = ir_block_new(t->region, rv_node_pc(t, node));
        node->pending = 0;
        node->boxed = 0;
        t->queue[t->queue_count++] = (uint16_t)(node - t->nodes);
    }
    if (inherits(t, node)) {
        node->pending = (uint16_t)t->pending;
        node->boxed = t->boxed;
    }
    return node->block;
}

/* Whether an edge needs no more than to name the block it leads to. */
static bool is_plain(const RvTranslate *t, const RvNode *node)
{
    return node && !is_backward(t, rv_node_pc(t, node)) && (inherits(t, node) || t->pending == 0);
}

/* Ends a block (of the edge alone, or the one being made) with an edge. pending is left as it was. */
static void emit_edge(RvTranslate *t, uint64_t pc)
{
    RvNode *node = inside(t, pc);
    unsigned pending = t->pending;

    if (!node) {
        emit_count(t, pending);
        emit_exit(t, pc);
        return;
    }
    if (is_backward(t, pc)) {
        emit_count(t, pending);
        emit_to_block(t, IR_OP_poll, block_of(t, node), pc);
        return;
    }
    if (!inherits(t, node)) {
        emit_count(t, pending);
    }
    emit_to_block(t, IR_OP_br, block_of(t, node), pc);
}

void rv_goto(RvTranslate *t, uint64_t pc)
{
    emit_edge(t, pc);
    t->ended = true;
}

void rv_goto_if(RvTranslate *t, IrCond cond, IrReg a, IrReg b, uint64_t taken, uint64_t other)
{
    uint64_t to[2] = { taken, other };
    RvNode *node[2] = { inside(t, taken), inside(t, other) };
    uint16_t block[2];
    bool plain[2];
    IrInsn *branch;

    for (unsigned i = 0; i < 2; i++) {
        /* Better once here than in a block for the edge. */
        if (node[i] && !is_backward(t, to[i]) && !inherits(t, node[i])) {
            rv_count_now(t);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        plain[i] = is_plain(t, node[i]);
        block[i] = plain[i] ? block_of(t, node[i]) : ir_block_new(t->region, t->pc);
    }
    branch = rv_op3(t, IR_OP_brcond, IR_NONE, a, b);
    branch->cond = (uint8_t)cond;
    branch->aux = block[0];
    branch->target = block[1];
    for (unsigned i = 0; i < 2; i++) {
        if (!plain[i]) {
            ir_block_begin(t->region, block[i]);
            t->region->blocks[block[i]].cold = !node[i] && i == 0;
            emit_edge(t, to[i]);
        }
    }
    t->ended = true;
}

void rv_helper_if(RvTranslate *t, IrCond cond, IrReg a, IrReg b, int64_t imm, RvHelper helper,
                  IrReg arg)
{
    uint16_t help = ir_block_new(t->region, t->pc), on = ir_block_new(t->region, t->pc);
    const IrGuestInsn *guest = &t->region->guest[t->region->guest_count - 1];
    IrInsn *branch = rv_op3(t, IR_OP_brcond, IR_NONE, a, b);

    branch->cond = (uint8_t)cond;
    branch->imm = imm;
    branch->aux = help;
    branch->target = on;
    ir_block_begin(t->region, help);
    t->region->blocks[help].cold = true;
    emit_count(t, t->pending);
    rv_syscall(t, helper, arg, IR_NONE,
               (int64_t)(guest->bits | (uint64_t)guest->length_bytes << 32));
    emit_exit(t, t->next_pc);
    ir_block_begin(t->region, on);
}

/* ---- Instructions and blocks. */

static void log_insn(const RvTranslate *t, const RvInsn *insn)
{
    Vcpu *vcpu = &((RiscvCpu *)t->source->cpu)->vcpu;
    uint8_t bytes[4] = { (uint8_t)insn->raw, (uint8_t)(insn->raw >> 8), (uint8_t)(insn->raw >> 16),
                         (uint8_t)(insn->raw >> 24) };
    char text[128] = "";

    vcpu->target->disas(vcpu, t->pc, bytes, insn->len, text, sizeof(text));
    orr_log(vcpu->log, "in_asm: 0x%016" G_GINT64_MODIFIER "x: %0*x%*s %s\n", t->pc, insn->len * 2,
            insn->raw, insn->len == 2 ? 4 : 0, "", text);
}

static void emit_insn(RvTranslate *t, const RvNode *node)
{
    const RvInsn *insn = &node->insn;
    const RvRule *rule = rv_rule(t, insn);

    t->pc = rv_node_pc(t, node);
    t->next_pc = t->pc + insn->len;
    t->counted = false;
    if (node->breakpoint || (rule->flags & RV_RULE_EXACT)) {
        rv_count_now(t);
    }
    ir_guest(t->region, t->pc, insn->raw, insn->len, t->pending);
    if (orr_log_on(((RiscvCpu *)t->source->cpu)->vcpu.log, LOG_IN_ASM)) {
        log_insn(t, insn);
    }
    if (node->breakpoint) {
        rv_syscall(t, RV_HELPER_BREAKPOINT, IR_NONE, IR_NONE, 0);
        rv_exit(t, t->pc);
        return;
    }
    rule->translate(t, insn, rule);
    if (!t->ended && !t->counted) {
        t->pending++;
    }
}

/* ---- Branches over a few cheap instructions: what these write is moved under the condition. */

bool rv_is_cheap(const RvTranslate *t, const RvInsn *insn)
{
    const RvRule *rule = rv_rule(t, insn);

    if (insn->rd == 0) {
        return false;
    }
    if (rule->translate == rv_emit_alu) {
        return rule->op < IR_OP_mul;
    }
    return rule->translate == rv_emit_alu_imm || rule->translate == rv_emit_set ||
           rule->translate == rv_emit_set_imm || rule->translate == rv_emit_lui ||
           rule->translate == rv_emit_auipc || rule->translate == rv_emit_addi ||
           rule->translate == rv_emit_addiw || rule->translate == rv_emit_add ||
           rule->translate == rv_emit_sh_add || rule->translate == rv_emit_uw_add ||
           rule->translate == rv_emit_slli_uw;
}

/* From operation `from` on, reg is written to a temp instead, which is read from there on. IR_NONE: not at all. */
static IrReg divert(RvTranslate *t, uint32_t from, IrReg reg)
{
    IrReg temp = rv_temp(t);
    bool written = false;

    for (uint32_t i = from; i < t->region->insn_count; i++) {
        IrInsn *in = &t->region->insns[i];

        in->a = written && in->a == reg ? temp : in->a;
        in->b = written && in->b == reg ? temp : in->b;
        if (in->dst == reg) {
            in->dst = temp;
            written = true;
        }
    }
    return written ? temp : IR_NONE; /* a move to itself is nothing */
}

/* What is skipped counts only where it is not. */
static void count_skips(RvTranslate *t, IrReg done, unsigned n)
{
    if (n & 1) {
        rv_op3(t, IR_OP_add, RV_G_COUNT, RV_G_COUNT, done);
    }
    if (n & 2) {
        rv_op3(t, IR_OP_addsh, RV_G_COUNT, RV_G_COUNT, done)->aux = 1;
    }
}

static void emit_skip(RvTranslate *t, const RvNode *branch)
{
    const RvInsn *insn = &branch->insn;
    IrCond cond = (IrCond)(rv_rule(t, insn)->op ^ 1);
    IrReg a = rv_x(insn->rs1), b = insn->rs2 ? (IrReg)insn->rs2 : IR_IMM, done = rv_temp(t);
    uint32_t from, written = 0;
    const RvNode *node = branch;

    t->pc = rv_node_pc(t, branch);
    ir_guest(t->region, t->pc, insn->raw, insn->len, t->pending);
    t->pending++;
    rv_op3(t, IR_OP_set, done, a, b)->cond = (uint8_t)cond;
    from = t->region->insn_count;
    for (unsigned i = 0; i < branch->skips; i++) {
        node = rv_node_after(t, node);
        written |= 1u << node->insn.rd;
        emit_insn(t, node);
        t->pending--;
    }
    t->known &= ~written;
    for (unsigned rd = 1; rd < 32; rd++) {
        IrReg value = written >> rd & 1 ? divert(t, from, (IrReg)rd) : IR_NONE;

        if (value != IR_NONE) {
            ir_emit(t->region, IR_OP_cmov, (IrReg)rd, done, IR_IMM, value)->cond = IR_NE;
        }
    }
    count_skips(t, done, branch->skips);
}

static void emit_block(RvTranslate *t, RvNode *node)
{
    ir_block_begin(t->region, node->block);
    t->pending = node->pending;
    t->boxed = node->boxed;
    t->known = 0;
    t->ended = false;
    for (;;) {
        unsigned next;

        if (node->skips) {
            emit_skip(t, node);
            for (unsigned i = node->skips; i > 0; i--) {
                node = rv_node_after(t, node);
            }
        } else {
            emit_insn(t, node);
        }
        next = node->offset + node->insn.len / 2u;
        if (t->ended) {
            return;
        }
        if (next >= RV_PAGE_HALFWORDS || t->at[next] == 0) {
            rv_exit(t, t->next_pc);
            return;
        }
        node = &t->nodes[t->at[next] - 1];
        if (node->leader) {
            rv_goto(t, t->next_pc);
            return;
        }
    }
}

/* Others lead to the entry too: it gets a block of its own behind the region's first. */
static void emit_entry(RvTranslate *t)
{
    RvNode *entry = &t->nodes[0];

    t->pc = rv_node_pc(t, entry) - 1; /* so that nothing looks like a way back */
    t->pending = 0;
    if (entry->preds > 1) {
        ir_block_begin(t->region, ir_block_new(t->region, t->source->pc));
        ir_guest(t->region, t->source->pc, entry->insn.raw, entry->insn.len, 0);
        emit_to_block(t, IR_OP_br, block_of(t, entry), t->source->pc);
    } else {
        block_of(t, entry);
    }
}

static void init(RvTranslate *t, IrRegion *region, const TcgSource *source)
{
    t->region = region;
    t->source = source;
    t->exts = ((const RiscvCpu *)source->cpu)->exts;
    t->page = source->pc & ~TCG_PAGE_MASK;
    t->frm = (source->tb_flags & RV_TB_FRM) >> RV_TB_FRM_SHIFT;
    t->node_count = 0;
    t->max_nodes = CLAMP(source->max_insns, 1, RV_MAX_NODES);
    t->first_halfword = RV_PAGE_HALFWORDS;
    t->last_halfword = 0;
    t->crosses = false;
    t->return_count = 0;
    t->queue_count = 0;
    t->boxed = 0;
    memset(t->at, 0, sizeof(t->at));
}

void rv_translate(IrRegion *region, const TcgSource *source, TcgTranslated *out)
{
    RvTranslate t;

    init(&t, region, source);
    rv_region_find(&t);
    out->first_byte = 2 * t.first_halfword;
    out->last_byte = 2 * t.last_halfword + 1;
    out->crosses = t.crosses;
    if (t.node_count == 0) {
        return;
    }
    emit_entry(&t);
    while (t.queue_count > 0) {
        emit_block(&t, &t.nodes[t.queue[--t.queue_count]]);
    }
    ir_region_finish(region);
}
