/* SPDX-License-Identifier: MIT */
/*
 * Blocks: finding the one at a pc, making it, joining it to others, and finding the guest's state in
 * the middle of it. The idea to hold: translating takes no lock. It reads memory at a version of the
 * page, writes code where only this thread writes, and the block becomes known if the page still has
 * that version and nobody else was quicker.
 */
#include "tcg/tb.h"

#include <string.h>

#include "orrery/impl/host-clock.h"
#include "trace/trace-tcg.h"

#define TIER0_INSNS 64
#define TIER1_INSNS 384

/* ---- Where instructions are. */

typedef struct Fetch {
    RamBlock *ram;
    uint64_t offset; /* of the page in ram */
    bool keep;       /* the translation may be remembered */
} Fetch;

/* false: the fetch faulted, and the guest is in its handler. */
static bool fetch_page(TcgCpu *cpu, uint64_t va, uint64_t pc, Fetch *out)
{
    TcgView *view = cpu->view;
    uint64_t page = va & ~TCG_PAGE_MASK;
    TcgFetch *entry = &view->fetch[(page >> TCG_PAGE_BITS) % TCG_FETCH_SIZE];
    MemSection section;
    uint32_t token;
    bool found;
    TcgWalk w;

    if (entry->tag == page) {
        *out = (Fetch){ entry->ram, entry->offset, true };
        return true;
    }
    if (!cpu->target->walk(cpu->cpu, va, 2, TCG_ACCESS_FETCH, &w)) {
        cpu->target->set_pc(cpu->cpu, pc);
        cpu->target->fault(cpu->cpu, w.cause, va);
        return false;
    }
    tcg_count(&cpu->counters.fills);
    token = memory_read_enter(cpu->context->memory);
    found = memory_find(cpu->context->memory, w.paddr, &section) && section.ram &&
            ((section.offset ^ w.paddr) & TCG_PAGE_MASK) == 0 &&
            tcg_ram_of(cpu->context, section.ram);
    memory_read_exit(cpu->context->memory, token);
    if (!found) {
        cpu->target->set_pc(cpu->cpu, pc);
        cpu->target->fault(cpu->cpu, cpu->target->cause_bus(TCG_ACCESS_FETCH), va);
        return false;
    }
    *out = (Fetch){ section.ram, section.offset & ~TCG_PAGE_MASK, w.cacheable };
    if (w.cacheable) {
        tcg_view_note_large(view, page, w.page_bits);
        *entry = (TcgFetch){ page, out->ram, out->offset };
        tcg_note_fetched(view, page);
    }
    return true;
}

/* ---- Making a block. */

typedef struct Making {
    TcgCpu *cpu;
    uint64_t pc;
    unsigned flags, tier, max_insns;
    Fetch page, next;
    bool has_next;
    uint32_t version, version2;
    int64_t ns[5];
} Making;

typedef enum Made { MADE, MADE_FAULT, MADE_NO_ROOM, MADE_SPLIT } Made;

static bool wanted(void *opaque, uint64_t pc)
{
    Making *m = opaque;
    uint64_t offset = m->page.offset | (pc & TCG_PAGE_MASK);

    return ((pc ^ m->pc) & ~TCG_PAGE_MASK) == 0 &&
           tcg_hash_find(m->cpu->context, pc, m->page.ram, offset, m->flags) != NULL;
}

static bool no_breakpoint(void *opaque, uint64_t pc)
{
    return false;
}

static uint32_t heat_index(uint64_t pc)
{
    return (uint32_t)((pc >> 1) * UINT64_C(0x9e3779b97f4a7c15) >> 52) % TCG_HEAT_SIZE;
}

static int64_t stage_ns(const TcgContext *context)
{
    return trace_tcg_translate_enabled() ? host_monotonic_ns() : 0;
}

static bool front(Making *m, TcgTranslated *out)
{
    TcgCpu *cpu = m->cpu;
    IrRegion *region = cpu->maker->region;
    TcgSource source = {
        .cpu = cpu->cpu,
        .pc = m->pc,
        .page = m->page.ram->host + m->page.offset,
        .next_page = m->has_next ? m->next.ram->host + m->next.offset : NULL,
        .tb_flags = m->flags,
        .max_insns = m->max_insns,
        .tier = m->tier,
        .wanted = wanted,
        .breakpoint = no_breakpoint,
        .opaque = m,
    };

    ir_region_reset(region, cpu->target->ir, m->pc);
    region->tag_flags = m->flags & 1;
    if (m->tier == 0 && cpu->context->options.hot > 0) {
        region->heat_offset =
            TCG_VIEW_OFFSET(heat) + (int32_t)(heat_index(m->pc) * sizeof(int32_t));
    }
    *out = (TcgTranslated){ 0 };
    m->version = ram_watch_code(m->page.ram, m->page.offset);
    if (m->has_next) {
        m->version2 = ram_watch_code(m->next.ram, m->next.offset);
    }
    cpu->target->translate(region, &source, out);
    return !out->crosses || m->has_next;
}

static void log_region(const TcgContext *context, const IrRegion *region, const char *title)
{
    GString *text = g_string_new(NULL);

    ir_print(region, text);
    orr_log(context->log, "%s 0x%" G_GINT64_MODIFIER "x:\n%s\n", title, region->pc, text->str);
    g_string_free(text, TRUE);
}

static void log_guest(const TcgCpu *cpu, const IrRegion *region)
{
    GString *text = g_string_new(NULL);
    const TargetOps *ops = cpu->vcpu->target;

    for (uint32_t i = 0; i < region->guest_count; i++) {
        const IrGuestInsn *insn = &region->guest[i];
        uint8_t bytes[4] = { (uint8_t)insn->bits, (uint8_t)(insn->bits >> 8),
                             (uint8_t)(insn->bits >> 16), (uint8_t)(insn->bits >> 24) };
        char line[128] = "?";

        ops->disas(cpu->vcpu, insn->pc, bytes, insn->length_bytes, line, sizeof(line));
        g_string_append_printf(text, "0x%016" G_GINT64_MODIFIER "x:  %s\n", insn->pc, line);
    }
    orr_log(cpu->context->log, "IN:\n%s\n", text->str);
    g_string_free(text, TRUE);
}

static void log_host(const TcgContext *context, const TcgTb *tb)
{
    GString *text = g_string_new(NULL);
    size_t at = 0;

    while (context->host->disas && at < tb->code_bytes) {
        size_t length;

        g_string_append_printf(text, "0x%" G_GINTPTR_MODIFIER "x:  ", (uintptr_t)tb->code_rx + at);
        length = context->host->disas(tb->code_rx + at, (uintptr_t)tb->code_rx + at, text);
        if (length == 0) {
            break;
        }
        g_string_append_c(text, '\n');
        at += length;
    }
    orr_log(context->log, "OUT: pc 0x%" G_GINT64_MODIFIER "x tier %u, %u bytes\n%s\n", tb->pc,
            tb->tier, tb->code_bytes, text->str);
    g_string_free(text, TRUE);
}

/*
 * The guest's bytes, for fence.i to compare. Those of instructions are what was translated, since memory
 * may have changed since then by a store that was under way.
 */
static void keep_bytes(uint8_t *to, const TcgTb *tb, const IrRegion *region, const Making *m)
{
    const uint8_t *from = m->page.ram->host + m->page.offset + tb->first_byte;

    for (unsigned i = 0; i < tb->last_byte + 1u - tb->first_byte; i++) {
        to[i] = orr_load_relaxed(from + i); /* others may be storing */
    }
    for (uint32_t i = 0; i < region->guest_count; i++) {
        const IrGuestInsn *insn = &region->guest[i];
        unsigned at = (unsigned)(insn->pc & TCG_PAGE_MASK);

        for (unsigned k = 0; k < insn->length_bytes; k++) {
            if (at + k >= tb->first_byte && at + k <= tb->last_byte) {
                to[at + k - tb->first_byte] = (uint8_t)(insn->bits >> 8 * k);
            }
        }
    }
}

/* from may be NULL where there is nothing. */
static void *copy(void *to, const void *from, size_t bytes)
{
    return bytes > 0 ? memcpy(to, from, bytes) : to;
}

/* Copies what emit and the region know into one piece of memory. */
static void describe(TcgTb *tb, const IrRegion *region, const IrAllocation *allocation,
                     const TcgEmitted *code, const Making *m)
{
    unsigned globals = region->target->global_count;
    unsigned guest_bytes = tb->last_byte + 1u - tb->first_byte;
    size_t links = code->link_count * sizeof(TcgTbLink), sites = code->site_count * sizeof(TcgSite);
    size_t dirty = code->dirty_set_count * sizeof(TcgDirtySet);
    size_t guest = region->guest_count * sizeof(TcgGuestPos);
    uint8_t *at = g_malloc(links + dirty + sites + guest + globals + guest_bytes);
    TcgGuestPos *pos;
    int8_t *homes;

    tb->tables = at;
    tb->links = (TcgTbLink *)(void *)at;
    memset(tb->links, 0, links);
    for (uint32_t i = 0; i < code->link_count; i++) {
        tb->links[i].link = code->links[i];
    }
    at += links;
    tb->dirty = copy(at, code->dirty_sets, dirty);
    at += dirty;
    tb->sites = copy(at, code->sites, sites);
    at += sites;
    tb->guest = pos = (TcgGuestPos *)(void *)at;
    for (uint32_t i = 0; i < region->guest_count; i++) {
        pos[i].offset = (uint16_t)(region->guest[i].pc & TCG_PAGE_MASK);
        pos[i].pending = region->guest[i].pending;
    }
    at += guest;
    tb->homes = homes = (int8_t *)at;
    for (unsigned i = 0; i < globals; i++) {
        homes[i] = i < allocation->capacity ? allocation->home[i].reg : -1;
    }
    at += globals;
    tb->bytes = at;
    keep_bytes(at, tb, region, m);
    tb->link_count = code->link_count;
    tb->site_count = code->site_count;
    tb->dirty_count = code->dirty_set_count;
    tb->insns = region->guest_count;
}

static bool emit(Making *m, TcgTb *tb)
{
    TcgCpu *cpu = m->cpu;
    TcgMaker *maker = cpu->maker;
    TcgCodeBuffer buffer;
    TcgEmitted code;

    for (int fresh = 0; fresh < 2; fresh++) {
        if (!tcg_cache_room(cpu, &buffer, fresh)) {
            return false;
        }
        if (cpu->context->host->emit(maker->emitter, maker->region, &maker->allocation, tb, &buffer,
                                     &code)) {
            tb->code_rw = buffer.rw;
            tb->code_rx = buffer.rx;
            tb->code_bytes = code.code_bytes;
            tb->kill_stub = code.kill_stub_offset;
            describe(tb, maker->region, &maker->allocation, &code, m);
            return true;
        }
    }
    g_error("tcg: a region of %u instructions does not fit into a whole chunk", m->max_insns);
}

static void note_made(const Making *m, const TcgTb *tb)
{
    const TcgContext *context = m->cpu->context;

    tcg_count(&m->cpu->counters.blocks);
    if (tb->tier) {
        tcg_count(&m->cpu->counters.tier1);
    }
    trace_tcg_translate(m->cpu->vcpu->accel.index, tb->pc, tb->tier,
                        tb->last_byte + 1u - tb->first_byte, tb->insns, tb->code_bytes,
                        (uint64_t)(m->ns[1] - m->ns[0]), (uint64_t)(m->ns[2] - m->ns[1]),
                        (uint64_t)(m->ns[3] - m->ns[2]), (uint64_t)(m->ns[4] - m->ns[3]));
    if (orr_log_on(context->log, LOG_OUT_ASM)) {
        log_host(context, tb);
    }
}

/* From the region to code. NULL: no room. */
static TcgTb *back(Making *m, const TcgTranslated *translated)
{
    TcgCpu *cpu = m->cpu;
    TcgContext *context = cpu->context;
    IrRegion *region = cpu->maker->region;
    TcgTb *tb = g_new0(TcgTb, 1);

    tb->pc = m->pc;
    tb->flags = m->flags;
    tb->tier = (uint8_t)m->tier;
    tb->ram = m->page.ram;
    tb->offset = m->page.offset | (m->pc & TCG_PAGE_MASK);
    tb->first_byte = (uint16_t)translated->first_byte;
    tb->last_byte = (uint16_t)MIN(translated->last_byte, TCG_PAGE_MASK);
    tb->crosses = translated->crosses;
    if (tb->crosses) {
        tb->ram2 = m->next.ram;
        tb->offset2 = m->next.offset;
        if (tb->ram2 == tb->ram && m->next.offset == m->page.offset) {
            tb->first_byte = 0;
        }
    }
    if (orr_log_on(context->log, LOG_IN_ASM)) {
        log_guest(cpu, region);
    }
    if (orr_log_on(context->log, LOG_OP)) {
        log_region(context, region, "OP");
    }
    m->ns[1] = stage_ns(context);
    ir_optimise(region);
    if (orr_log_on(context->log, LOG_OP_OPT)) {
        log_region(context, region, "OP after optimisation");
    }
    m->ns[2] = stage_ns(context);
    ir_analyse(region);
    ir_allocate(region, context->host->regs(), 0, &cpu->maker->allocation);
    m->ns[3] = stage_ns(context);
    if (!emit(m, tb)) {
        g_free(tb);
        return NULL;
    }
    m->ns[4] = stage_ns(context);
    tcg_cache_take(cpu, tb);
    note_made(m, tb);
    orr_store_release(&tb->dead, false); /* for those who come to it by way of its code */
    return tb;
}

/* One that is known to all, or of one use. NULL: *made says why. */
static TcgTb *make(Making *m, Made *made)
{
    TcgCpu *cpu = m->cpu;
    TcgTranslated translated;
    TcgTb *tb, *present;

    for (;;) {
        m->ns[0] = stage_ns(cpu->context);
        if (!front(m, &translated)) {
            if (!fetch_page(cpu, (m->pc | TCG_PAGE_MASK) + 1, m->pc, &m->next)) {
                *made = MADE_FAULT;
                return NULL;
            }
            if (!m->next.keep) {
                *made = MADE_SPLIT;
                return NULL;
            }
            m->has_next = true;
            continue;
        }
        tb = back(m, &translated);
        if (!tb) {
            *made = MADE_NO_ROOM;
            return NULL;
        }
        *made = MADE;
        if (tcg_tb_insert(cpu->context, tb, m->version, m->version2, &present)) {
            return tb;
        }
        trace_tcg_dropped(cpu->vcpu->accel.index, tb->pc, present ? "made twice" : "page written");
        /* Nobody can have seen it; its code is not used again before the segment is. */
        orr_fetch_add(&cpu->context->stats.dropped, UINT64_C(1));
        tcg_cache_untake(cpu, tb);
        tcg_tb_free(tb);
        if (present) {
            return present;
        }
    }
}

/* ---- Finding. */

static TcgValue leave(TcgCpu *cpu, TcgExitReason reason)
{
    return (TcgValue){ 0, reason };
}

/* The cache is full: this vCPU empties a part of it as soon as it has left guest code. */
static void reclaim_work(Vcpu *vcpu, void *data)
{
    TcgContext *context = data;

    if (orr_exchange(&context->reclaiming, false)) {
        tcg_cache_reclaim(context);
    }
}

static TcgValue out_of_room(TcgCpu *cpu)
{
    TcgContext *context = cpu->context;

    orr_store_seq_cst(&context->reclaiming, true);
    vcpu_async_safe_run_on(cpu->vcpu, reclaim_work, context);
    cpu->stop_reason = VCPU_EXIT_KICKED;
    return leave(cpu, TCG_EXIT_STOP);
}

/* What may be fetched is not the same for the whole page, so nothing of it is kept. */
static TcgValue step_instead(TcgCpu *cpu)
{
    cpu->stop_reason = TCG_STOP_STEP;
    return leave(cpu, TCG_EXIT_STOP);
}

static TcgValue not_made(TcgCpu *cpu, Made made)
{
    switch (made) {
    case MADE_NO_ROOM:
        return out_of_room(cpu);
    case MADE_SPLIT:
        return step_instead(cpu);
    default:
        return leave(cpu, TCG_EXIT_RESUME);
    }
}

static bool second_page_fits(TcgCpu *cpu, TcgTb *tb, bool *fault)
{
    Fetch next;

    *fault = !fetch_page(cpu, (tb->pc | TCG_PAGE_MASK) + 1, tb->pc, &next);
    return !*fault && next.keep && next.ram == tb->ram2 && next.offset == tb->offset2;
}

static void log_exec(TcgCpu *cpu, uint64_t pc)
{
    const LogSet *log = cpu->context->log;

    if (orr_log_on(log, LOG_EXEC)) {
        orr_log(log, "exec: cpu %u pc 0x%016" G_GINT64_MODIFIER "x\n", cpu->vcpu->accel.index, pc);
    }
    if (orr_log_on(log, LOG_CPU)) {
        GString *text = g_string_new(NULL);

        cpu->vcpu->target->dump_state(cpu->vcpu, text);
        orr_log(log, "%s", text->str);
        g_string_free(text, TRUE);
    }
}

TcgValue tcg_lookup(TcgCpu *cpu)
{
    TcgContext *context = cpu->context;
    uint64_t pc = cpu->target->get_pc(cpu->cpu);
    unsigned flags = cpu->target->cpu_flags(cpu->cpu);
    Making m = { .cpu = cpu, .pc = pc, .flags = flags, .max_insns = TIER0_INSNS };
    const TcgJump *jump = &cpu->view->fast.jumps[tcg_jump_index(pc)];
    bool fault = false;
    TcgTb *tb;
    Made made;

    /* Nobody has looked there yet when a helper has jumped. */
    if (jump->tag == (pc | (flags & 1)) &&
        !orr_load_acquire(&tcg_cache_block_of(jump->code)->dead)) {
        return (TcgValue){ (uintptr_t)jump->code, 0 };
    }
    tcg_count(&cpu->counters.lookups);
    if (!fetch_page(cpu, pc, pc, &m.page)) {
        return leave(cpu, TCG_EXIT_RESUME);
    }
    if (!m.page.keep) {
        return step_instead(cpu);
    }
    if (G_UNLIKELY(cpu->log_items & (LOG_EXEC | LOG_CPU))) {
        log_exec(cpu, pc);
    }
    tb = tcg_hash_find(context, pc, m.page.ram, m.page.offset | (pc & TCG_PAGE_MASK), flags);
    if (tb && tb->crosses && !second_page_fits(cpu, tb, &fault)) {
        if (fault) {
            return leave(cpu, TCG_EXIT_RESUME);
        }
        orr_mutex_lock(&context->lock);
        tcg_tb_invalidate(context, tb, "second page moved");
        orr_mutex_unlock(&context->lock);
        tb = NULL;
    }
    if (!tb) {
        if (context->options.one_insn) {
            m.max_insns = 1;
        }
        tb = make(&m, &made);
        if (!tb) {
            return not_made(cpu, made);
        }
    }
    if (!(cpu->log_items & (LOG_EXEC | LOG_CPU))) {
        tcg_view_set_jump(cpu->view, pc, flags, tb->code_rx);
        if (tb->crosses) {
            tcg_note_fetched(cpu->view, pc + 2);
        }
    }
    return (TcgValue){ (uintptr_t)tb->code_rx, 0 };
}

/*
 * A block that code has led to: whoever made it has finished it before, which a link patched into other
 * code orders on the host, but not in the language.
 */
static TcgTb *from_code(TcgTb *tb)
{
    (void)orr_load_acquire(&tb->dead);
    return tb;
}

TcgValue tcg_make_link(TcgCpu *cpu, TcgTb *tb, uint32_t slot)
{
    TcgContext *context = cpu->context;
    uint64_t pc = from_code(tb)->links[slot].link.pc;
    uint64_t offset = (tb->offset & ~TCG_PAGE_MASK) | (pc & TCG_PAGE_MASK);
    TcgTb *to;

    cpu->target->set_pc(cpu->cpu, pc);
    to = tcg_hash_find(context, pc, tb->ram, offset, tb->flags);
    if (!to) {
        TcgValue found = tcg_lookup(cpu);

        if (found.status) {
            return found;
        }
        to = tcg_hash_find(context, pc, tb->ram, offset, tb->flags);
        if (!to || (const void *)to->code_rx != (const void *)(uintptr_t)found.value) {
            return found;
        }
    }
    if (to->crosses || (cpu->log_items & (LOG_EXEC | LOG_CPU | LOG_NOCHAIN))) {
        return tcg_lookup(cpu);
    }
    orr_mutex_lock(&context->lock);
    tcg_tb_link(context, tb, slot, to);
    orr_mutex_unlock(&context->lock);
    return (TcgValue){ (uintptr_t)to->code_rx, 0 };
}

TcgValue tcg_make_hot(TcgCpu *cpu, TcgTb *tb)
{
    TcgContext *context = cpu->context;
    Making m = {
        .cpu = cpu, .pc = from_code(tb)->pc, .flags = tb->flags, .max_insns = TIER1_INSNS, .tier = 1
    };
    TcgTb *now;
    Made made;

    cpu->view->fast.heat[heat_index(tb->pc)] = (int32_t)context->options.hot;
    if (orr_load_relaxed(&tb->dead) || tb->crosses || context->options.one_insn) {
        return tcg_lookup(cpu);
    }
    if (!fetch_page(cpu, tb->pc, tb->pc, &m.page)) {
        return leave(cpu, TCG_EXIT_RESUME);
    }
    if (!m.page.keep) {
        return step_instead(cpu);
    }
    trace_tcg_hot(cpu->vcpu->accel.index, tb->pc, context->options.hot);
    now = make(&m, &made);
    return now ? tcg_lookup(cpu) : not_made(cpu, made);
}

/* ---- Finding the guest's state. */

static const TcgSite *find_site(const TcgTb *tb, uint32_t offset)
{
    uint32_t low = 0, high = tb->site_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (tb->sites[middle].code_offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == tb->site_count || tb->sites[low].code_offset != offset) {
        return NULL;
    }
    return &tb->sites[low];
}

static const TcgSite *site_of(const TcgCpu *cpu, const TcgFrame *frame, const TcgTb **tb)
{
    const TcgSite *site = NULL;

    *tb = tcg_cache_block_at(cpu->context, frame->return_address);
    if (*tb) {
        (void)orr_load_acquire(&(*tb)->dead); /* as from_code */
        site = find_site(*tb, (uint32_t)(frame->return_address - (uintptr_t)(*tb)->code_rx));
    }
    if (!site) {
        g_error("tcg: no site at host address 0x%" G_GINTPTR_MODIFIER "x", frame->return_address);
    }
    return site;
}

static bool in_register(const TcgTb *tb, const TcgSite *site, IrReg global)
{
    const TcgDirtySet *dirty = &tb->dirty[site->dirty_set];

    return (dirty->globals[global / 64] >> global % 64 & 1) && tb->homes[global] >= 0;
}

static uint64_t frame_value(const TcgCpu *cpu, const TcgTb *tb, const TcgFrame *frame, IrReg global)
{
    const IrGlobal *g = &cpu->target->ir->globals[global];

    return g->type == IR_TYPE_F64 ? frame->fpr[tb->homes[global]] : frame->gpr[tb->homes[global]];
}

static uint64_t *global_place(const TcgCpu *cpu, IrReg global)
{
    return (uint64_t *)(void *)((uint8_t *)cpu->fast.env +
                                cpu->target->ir->globals[global].offset_bytes);
}

void tcg_unwind(TcgCpu *cpu, const TcgFrame *frame)
{
    const IrTarget *ir = cpu->target->ir;
    const TcgTb *tb;
    const TcgSite *site = site_of(cpu, frame, &tb);
    const TcgGuestPos *pos = &tb->guest[site->guest];
    unsigned moved = 0;

    for (unsigned i = 0; i < ir->global_count; i++) {
        if (in_register(tb, site, (IrReg)i)) {
            orr_store_relaxed(global_place(cpu, (IrReg)i), frame_value(cpu, tb, frame, (IrReg)i));
            moved++;
        }
    }
    cpu->target->set_pc(cpu->cpu, (tb->pc & ~TCG_PAGE_MASK) | pos->offset);
    cpu->target->add_count(cpu->cpu, pos->pending);
    trace_tcg_unwind(cpu->vcpu->accel.index, (tb->pc & ~TCG_PAGE_MASK) | pos->offset, moved,
                     pos->pending);
}

uint64_t tcg_count_begin(TcgCpu *cpu, const TcgFrame *frame)
{
    IrReg count = cpu->target->ir->count;
    const TcgTb *tb;
    const TcgSite *site;
    uint64_t before;

    if (count == IR_NONE) {
        return 0;
    }
    site = site_of(cpu, frame, &tb);
    before = *global_place(cpu, count);
    orr_store_relaxed(global_place(cpu, count),
                      (in_register(tb, site, count) ? frame_value(cpu, tb, frame, count) : before) +
                          tb->guest[site->guest].pending);
    return before;
}

void tcg_count_end(TcgCpu *cpu, uint64_t before)
{
    if (cpu->target->ir->count != IR_NONE) {
        orr_store_relaxed(global_place(cpu, cpu->target->ir->count), before);
    }
}
