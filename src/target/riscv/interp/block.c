/* SPDX-License-Identifier: MIT */
/*
 * The cache of decoded blocks: finding the one at a pc, making it, and telling whether it is still
 * what memory holds. The idea to hold: a block found stale is compared with memory before it is
 * thrown away, since most writes to a page with code are to data beside the code.
 *
 * Memory for blocks is an arena that is given out from the front and emptied as a whole when it is
 * full. Nothing outside of it keeps pointers into it except the hash and the views' jump tables.
 */
#include "target/riscv/interp/ops.h"

#include <string.h>

/* After the copied bytes of a block that begins with op_second_page. */
typedef struct SecondPage {
    const uint8_t *host; /* of the page */
    RamBlock *ram;
    uint32_t version;
} SecondPage;

/* Room for a breakpoint test before each instruction, and for what stands at the seams. */
#define BUILD_MAX_OPS (2 * RV_BLOCK_MAX_HALFWORDS + 8)

typedef struct Build {
    RvInterp *s;
    uint64_t pc; /* of the block's start */
    const uint8_t *host;
    RamBlock *ram;
    unsigned op_count, insns, halfwords;
    bool single;  /* one instruction, in the scratch block, which nothing may be linked to */
    bool crosses; /* one instruction, in two pages: */
    SecondPage second;
    RvUop ops[BUILD_MAX_OPS];
    uint16_t copy[RV_BLOCK_MAX_HALFWORDS + 1];
} Build;

static uint16_t fetch_halfword(const uint8_t *host)
{
    return orr_load_relaxed((const uint16_t *)host);
}

static SecondPage *block_second(RvBlock *block)
{
    return (SecondPage *)(rv_block_copy(block) + 4);
}

static size_t block_bytes(unsigned op_count, unsigned halfwords)
{
    size_t bytes = sizeof(RvBlock) + (op_count + 1) * sizeof(RvUop) +
                   MAX(halfwords, 4u) * sizeof(uint16_t) + sizeof(SecondPage);

    return (bytes + ORR_CACHE_LINE - 1) & ~(size_t)(ORR_CACHE_LINE - 1);
}

uint32_t rv_block_bits(RvUop *op)
{
    const uint16_t *copy = rv_block_copy(rv_block_of(op)) + op[-1].next;

    return (copy[0] & 3) == 3 ? copy[0] | (uint32_t)copy[1] << 16 : copy[0];
}

/* ---- From RvInsn to RvUop. */

static bool is_plain_load(const RvOpInfo *info)
{
    return (info->flags & (RV_OPF_LOAD | RV_OPF_STORE | RV_OPF_AQRL | RV_OPF_FP)) == RV_OPF_LOAD;
}

static bool only_writes_x(const RvOpInfo *info)
{
    return (info->flags & RV_OPF_WRITES_X) &&
           !(info->flags & (RV_OPF_LOAD | RV_OPF_STORE | RV_OPF_END_BLOCK | RV_OPF_FP |
                            RV_OPF_PRIV | RV_OPF_TRAP | RV_OPF_CSR));
}

/* Puts another handler in place where an operand decides what there is to do. */
static void specialise(const RvInsn *insn, uint64_t exts, RvUop *op)
{
    const RvOpInfo *info = &rv_op_info[insn->op];
    bool misaligned = !(exts & RV_EXT_ZCA) && (op->imm & 2);

    if (insn->rd == 0 && only_writes_x(info)) {
        op->run = op_nop;
    } else if (insn->rd == 0 && is_plain_load(info)) {
        op->run = op_load_x0;
        op->rd = info->mem_bytes;
    } else if (insn->op == RV_OP_JALR) {
        op->run = insn->rd == 0 ? op_jr : op_jalr;
        if (!(exts & RV_EXT_ZCA)) {
            op->run = op_jalr_aligned;
        }
    } else if (insn->op == RV_OP_JAL) {
        op->run = insn->rd == 0 ? op_j : op_jal;
        if (misaligned) {
            op->run = op_misaligned_jump;
        }
    } else if ((info->flags & RV_OPF_BRANCH) && misaligned) {
        op->run = op_misaligned_branch;
        op->rd = insn->raw >> 12 & 7;
    }
}

/* start is the instruction's distance from the block's start, in bytes. */
static RvUop make_op(const RvInsn *insn, uint64_t exts, unsigned start)
{
    const RvOpInfo *info = &rv_op_info[insn->op];
    RvUop op = {
        .run = rv_handlers[insn->op],
        .rd = insn->rd,
        .rs1 = insn->rs1,
        .rs2 = insn->rs2,
        .next = (uint8_t)((start + insn->len) / 2),
        .imm = insn->imm,
    };

    if ((info->flags & RV_OPF_BRANCH) || insn->op == RV_OP_JAL || insn->op == RV_OP_AUIPC) {
        op.imm += (int32_t)start;
    } else if ((info->flags & RV_OPF_FP) && !(info->flags & (RV_OPF_LOAD | RV_OPF_STORE))) {
        op.imm = insn->rs3 | insn->rm << 8;
    }
    specialise(insn, exts, &op);
    return op;
}

/* ---- Making a block. */

static void add_pseudo(Build *b, RvHandler *run)
{
    b->ops[b->op_count++] = (RvUop){ .run = run, .next = (uint8_t)b->halfwords };
}

static bool may_have_breakpoint(const RvInterp *s, uint64_t pc)
{
    const GArray *list = s->cpu->vcpu.breakpoints;

    for (guint i = 0; list && i < list->len; i++) {
        if (((g_array_index(list, VcpuBreakpoint, i).addr ^ pc) & RV_PAGE_MASK) == 0) {
            return true;
        }
    }
    return false;
}

static void log_insn(const Build *b, uint64_t pc, const RvInsn *insn)
{
    Vcpu *vcpu = &b->s->cpu->vcpu;
    uint8_t bytes[4] = { (uint8_t)insn->raw, (uint8_t)(insn->raw >> 8), (uint8_t)(insn->raw >> 16),
                         (uint8_t)(insn->raw >> 24) };
    char text[128] = "";

    vcpu->target->disas(vcpu, pc, bytes, insn->len, text, sizeof(text));
    orr_log(vcpu->log, "in_asm: 0x%016" G_GINT64_MODIFIER "x: %0*x%*s %s\n", pc, insn->len * 2,
            insn->raw, insn->len == 2 ? 4 : 0, "", text);
}

/* Adds the instruction whose bits these are. True when the block ends with it. */
static bool add_insn(Build *b, uint32_t bits)
{
    RvInterp *s = b->s;
    unsigned start = 2 * b->halfwords;
    RvInsn insn;

    rv_decode(bits, s->cpu->exts, &insn);
    if (G_UNLIKELY(!b->single && may_have_breakpoint(s, b->pc + start))) {
        add_pseudo(b, op_breakpoint);
    }
    b->ops[b->op_count++] = make_op(&insn, s->cpu->exts, start);
    b->copy[b->halfwords++] = (uint16_t)bits;
    if (insn.len == 4) {
        b->copy[b->halfwords++] = (uint16_t)(bits >> 16);
    }
    b->insns++;
    if (orr_log_on(s->cpu->vcpu.log, LOG_IN_ASM)) {
        log_insn(b, b->pc + start, &insn);
    }
    return insn.op == RV_OP_ILLEGAL || (rv_op_info[insn.op].flags & RV_OPF_END_BLOCK);
}

static bool room_left(const Build *b)
{
    return b->halfwords + 2 <= RV_BLOCK_MAX_HALFWORDS;
}

/* Decodes from host on, within its page. */
static void decode_page(Build *b)
{
    unsigned left = (unsigned)(MEMORY_PAGE_SIZE - (b->pc & RV_PAGE_MASK)) / 2;
    bool ended = false;

    while (!ended && room_left(b) && b->halfwords < left) {
        const uint8_t *at = b->host + 2 * b->halfwords;
        uint32_t bits = fetch_halfword(at);

        if ((bits & 3) == 3) {
            if (b->halfwords + 1 == left) {
                break; /* its other half is in the next page: a block of its own */
            }
            bits |= (uint32_t)fetch_halfword(at + 2) << 16;
        }
        ended = add_insn(b, bits);
    }
    if (!ended) {
        add_pseudo(b, op_fall_through);
    }
}

/* Whether `distance` bytes from the block's start is in the same page. */
static RvBlock *initial_link(const Build *b, int64_t distance)
{
    int64_t at = (int64_t)(b->pc & RV_PAGE_MASK) + distance;

    return !b->single && at >= 0 && at < (int64_t)MEMORY_PAGE_SIZE ? RV_LINK_NONE : RV_LINK_FAR;
}

/* Lays the block out in memory of block_bytes() bytes. */
static void finish(const Build *b, RvBlock *block)
{
    const RvUop *last = &b->ops[b->op_count - 1];
    RvLinks *links;

    memset(block, 0, sizeof(*block));
    block->host = b->host;
    block->ram = b->ram;
    block->op_count = (uint16_t)b->op_count;
    block->halfwords = (uint16_t)b->halfwords;
    block->begin.imm = (int32_t)b->insns;
    memcpy(block->ops, b->ops, b->op_count * sizeof(RvUop));
    links = rv_block_links(block);
    links->to[RV_LINK_TAKEN] = initial_link(b, last->imm);
    links->to[RV_LINK_NEXT] = initial_link(b, 2 * (int64_t)last->next);
    memcpy(rv_block_copy(block), b->copy, b->halfwords * sizeof(uint16_t));
    if (b->crosses) {
        *block_second(block) = b->second;
    }
    rv_count(&b->s->blocks_filled);
}

/* ---- Good or stale. */

static uint64_t block_offset(const RvBlock *block)
{
    return (uint64_t)(block->host - block->ram->host);
}

/* The version first, then the bytes: what is written in between shows in the version. */
static void stamp(RvInterp *s, RvBlock *block, uint32_t version)
{
    block->version_now = &block->ram->page_version[block_offset(block) >> MEMORY_PAGE_BITS];
    block->stamp = s->epoch | version;
}

static bool is_good(const RvInterp *s, const RvBlock *block)
{
    return (orr_load_acquire(block->version_now) | s->epoch) == block->stamp;
}

/* Makes a stale block good again if memory holds the same instructions still. */
static bool revalidate(RvInterp *s, RvBlock *block)
{
    const uint16_t *copy = rv_block_copy(block);
    uint32_t version;

    if (block->ops[0].run == op_second_page) {
        return false;
    }
    version = ram_watch_code(block->ram, block_offset(block));
    for (unsigned i = 0; i < block->halfwords; i++) {
        if (fetch_halfword(block->host + 2 * i) != copy[i]) {
            return false;
        }
    }
    stamp(s, block, version);
    return true;
}

bool rv_block_second_good(RvView *view, RvUop *op, uint64_t pc)
{
    RvBlock *block = rv_block_of(op);
    const SecondPage *second = block_second(block);
    uint64_t page = pc + 2;
    RvFetchPage split;
    unsigned cause;
    const RvFetchPage *now = rv_view_fetch(view, page, &split, &cause);

    if (now && now->host == second->host &&
        ram_page_version(now->ram, now->offset) == second->version) {
        return true;
    }
    block->stamp = UINT64_MAX; /* no version and epoch make this */
    return false;
}

/* ---- The arena and the hash. */

static RvBlock **hash_bucket(RvInterp *s, const uint8_t *host)
{
    uint64_t key = (uintptr_t)host >> 1;

    return &s->hash[(key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - RV_HASH_BITS)];
}

void rv_block_flush(RvInterp *s)
{
    if (s->arena_used == 0) {
        return;
    }
    memset(s->hash, 0, sizeof(s->hash));
    s->arena_used = 0;
    s->generation++;
    rv_view_forget_blocks(s);
}

static RvBlock *arena_take(RvInterp *s, size_t bytes)
{
    RvBlock *block;

    if (s->arena_used + bytes > RV_ARENA_BYTES) {
        rv_block_flush(s);
    }
    block = (RvBlock *)(s->arena + s->arena_used);
    s->arena_used += bytes;
    return block;
}

/* Takes the block of these bytes out of the hash if it is stale for good. */
static RvBlock *hash_find(RvInterp *s, const uint8_t *host)
{
    RvBlock **at = hash_bucket(s, host);

    for (; *at; at = &(*at)->hash_next) {
        RvBlock *block = *at;

        if (block->host != host) {
            continue;
        }
        if (is_good(s, block) || revalidate(s, block)) {
            return block;
        }
        *at = block->hash_next;
        return NULL;
    }
    return NULL;
}

/* ---- Finding. */

static void trap_fetch(RvInterp *s, uint64_t pc, unsigned cause, uint64_t tval)
{
    s->cpu->pc = pc;
    riscv_enter_trap(s->cpu, false, cause, tval);
}

static void build_init(Build *b, RvInterp *s, uint64_t pc)
{
    b->s = s;
    b->pc = pc;
    b->host = NULL;
    b->ram = NULL;
    b->op_count = b->insns = b->halfwords = 0;
    b->single = b->crosses = false;
}

/* The instruction at pc whose halves may be in two pages. false: it trapped. */
static bool build_one(RvView *view, Build *b, uint64_t pc)
{
    RvInterp *s = view->interp;
    RvFetchPage split, split2;
    unsigned cause;
    const RvFetchPage *page = rv_view_fetch(view, pc, &split, &cause);
    const RvFetchPage *page2;
    uint32_t bits;

    if (!page) {
        trap_fetch(s, pc, cause, pc);
        return false;
    }
    bits = fetch_halfword(page->host + (pc & RV_PAGE_MASK));
    if ((bits & 3) == 3) {
        page2 = rv_view_fetch(view, pc + 2, &split2, &cause);
        if (!page2) {
            trap_fetch(s, pc, cause, pc + 2);
            return false;
        }
        b->second.host = page2->host;
        b->second.ram = page2->ram;
        b->second.version = ram_watch_code(page2->ram, page2->offset);
        bits |= (uint32_t)fetch_halfword(page2->host + ((pc + 2) & RV_PAGE_MASK)) << 16;
    }
    if (!add_insn(b, bits)) {
        add_pseudo(b, s->stepping ? op_stepped : op_fall_through);
    }
    return true;
}

RvBlock *rv_block_single(RvView *view, uint64_t pc)
{
    RvInterp *s = view->interp;
    Build b;

    build_init(&b, s, pc);
    b.single = true;
    if (!build_one(view, &b, pc)) {
        return NULL;
    }
    finish(&b, s->scratch);
    return s->scratch;
}

/* A block that is kept; page is the one pc is in. NULL: fetching the second half trapped. */
static RvBlock *build_block(RvView *view, const RvFetchPage *page, uint64_t pc)
{
    RvInterp *s = view->interp;
    const uint8_t *host = page->host + (pc & RV_PAGE_MASK);
    uint32_t version = ram_watch_code(page->ram, page->offset);
    RvBlock *block, **bucket;
    Build b;

    build_init(&b, s, pc);
    b.host = host;
    b.ram = page->ram;
    b.crosses = (pc & RV_PAGE_MASK) == MEMORY_PAGE_SIZE - 2 && (fetch_halfword(host) & 3) == 3;
    if (b.crosses) {
        add_pseudo(&b, op_second_page);
    }
    if (orr_log_on(s->cpu->vcpu.log, LOG_EXEC | LOG_CPU)) {
        add_pseudo(&b, op_trace);
    }
    if (!b.crosses) {
        decode_page(&b);
    } else if (!build_one(view, &b, pc)) {
        return NULL;
    }
    block = arena_take(s, block_bytes(b.op_count, b.halfwords));
    finish(&b, block);
    stamp(s, block, version);
    bucket = hash_bucket(s, host);
    block->hash_next = *bucket;
    *bucket = block;
    return block;
}

RvBlock *rv_block_find(RvView *view, uint64_t pc)
{
    RvInterp *s = view->interp;
    RvJump *jump = rv_jump_entry(view, pc);
    const RvFetchPage *page;
    RvFetchPage split;
    RvBlock *block;
    unsigned cause;

    if (jump->pc == pc && is_good(s, jump->block)) {
        return jump->block;
    }
    page = rv_view_fetch(view, pc, &split, &cause);
    if (!page) {
        trap_fetch(s, pc, cause, pc);
        return NULL;
    }
    if (page == &split) {
        return rv_block_single(view, pc);
    }
    block = hash_find(s, page->host + (pc & RV_PAGE_MASK));
    if (!block) {
        block = build_block(view, page, pc);
    }
    if (block) {
        jump->pc = pc;
        jump->block = block;
        rv_view_note_fetched(view, pc);
    }
    return block;
}
