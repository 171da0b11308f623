/* SPDX-License-Identifier: MIT */
/*
 * Life of a context and of its vCPUs, and the loop that runs one. The idea to hold: generated code
 * runs until something has happened that it leaves to this loop, and the loop begins each round by
 * looking at everything that can have changed: requests, interrupts, and which view fits.
 */
#include "tcg/tb.h"

#include <string.h>

#include "orrery/impl/error.h"
#include "trace/trace-tcg.h"

/* ---- The context. */

TcgContext *tcg_context_create(const TcgTarget *target, Memory *memory, const TcgOptions *options,
                               GError **error)
{
    TcgContext *context = g_new0(TcgContext, 1);

    context->target = target;
    context->host = options->host;
    context->options = *options;
    context->memory = memory;
    context->cache_bytes = options->cache_bytes;
    context->features = tcg_host_features();
    context->cpus = g_ptr_array_new();
    context->calls = (TcgHostCalls){
        .load = tcg_slow_load,
        .store = tcg_slow_store,
        .amo = tcg_slow_amo,
        .cas = tcg_slow_cas,
        .lookup = tcg_lookup,
        .link = tcg_make_link,
        .hot = tcg_make_hot,
        .fpu = target->fpu,
    };
    if (!tcg_cache_open(context, error)) {
        tcg_context_destroy(context);
        return NULL;
    }
    context->perf = tcg_perf_open(options);
    return context;
}

void tcg_context_destroy(TcgContext *context)
{
    if (!context) {
        return;
    }
    tcg_perf_close(context->perf);
    tcg_cache_close(context);
    g_ptr_array_free(context->cpus, TRUE);
    g_free(context);
}

/* ---- A vCPU. */

TcgCpu *tcg_cpu_create(TcgContext *context, Vcpu *vcpu)
{
    TcgCpu *cpu = g_new0(TcgCpu, 1);

    cpu->vcpu = vcpu;
    cpu->cpu = vcpu;
    cpu->target = context->target;
    cpu->context = context;
    cpu->entered_seq = UINT64_MAX;
    cpu->fast.env = context->target->env(vcpu);
    cpu->mmu_version = context->target->mmu_version(vcpu);
    cpu->maker = g_new0(TcgMaker, 1);
    cpu->maker->region = ir_region_create();
    cpu->maker->emitter = context->host->emitter_create(&context->thunks, &context->features);
    orr_mutex_lock(&context->lock);
    if (!context->log) {
        context->log = vcpu->log; /* the machine's: the same for all, and read without the lock */
    }
    g_ptr_array_add(context->cpus, cpu);
    orr_mutex_unlock(&context->lock);
    return cpu;
}

void tcg_cpu_destroy(TcgCpu *cpu)
{
    TcgContext *context;

    if (!cpu) {
        return;
    }
    context = cpu->context;
    orr_mutex_lock(&context->lock);
    g_ptr_array_remove_fast(context->cpus, cpu);
    orr_mutex_unlock(&context->lock);
    tcg_view_destroy_all(cpu);
    if (cpu->target_state && cpu->target->state_destroy) {
        cpu->target->state_destroy(cpu->target_state);
    }
    if (cpu->maker->stepper) {
        context->options.stepper->destroy(cpu->maker->stepper);
    }
    context->host->emitter_destroy(cpu->maker->emitter);
    ir_allocation_finish(&cpu->maker->allocation);
    ir_region_destroy(cpu->maker->region);
    g_free(cpu->maker);
    g_free(cpu);
}

/* ---- Floating point: the host's unit accrues, the target keeps. MXCSR: bits 0 to 5 are flags. */

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_FLAGS 0x3fu

static const uint8_t mxcsr_round[] = { 0, 3, 1, 2, 0 };

void tcg_fp_pull(TcgCpu *cpu)
{
    uint32_t seen = cpu->fast.mxcsr & MXCSR_FLAGS;

    if (seen) {
        unsigned flags = (seen & 1 ? 16u : 0) | (seen & 4 ? 8u : 0) | (seen & 8 ? 4u : 0) |
                         (seen & 16 ? 2u : 0) | (seen & 32 ? 1u : 0);

        cpu->fast.mxcsr &= ~MXCSR_FLAGS;
        if (flags) {
            cpu->target->fp_accrue(cpu->cpu, flags);
        }
    }
}

void tcg_fp_changed(TcgCpu *cpu)
{
    unsigned round = cpu->target->fp_round(cpu->cpu);

    cpu->fast.fp_round = round;
    cpu->fast.mxcsr = (cpu->fast.mxcsr & MXCSR_FLAGS) | MXCSR_DEFAULT |
                      (uint32_t)(round < sizeof(mxcsr_round) ? mxcsr_round[round] : 0) << 13;
}

/* ---- fence.i. */

static bool still_same(const TcgTb *tb)
{
    const uint8_t *now = tb->ram->host + (tb->offset & ~TCG_PAGE_MASK) + tb->first_byte;

    /* The second half of one that crosses is not kept; seldom enough to be made again. */
    return !tb->crosses && memcmp(now, tb->bytes, tb->last_byte + 1u - tb->first_byte) == 0;
}

static void check_young(TcgContext *context, TcgTb *tb, unsigned *compared, unsigned *stale)
{
    if (tb && !orr_load_acquire(&tb->dead)) {
        ++*compared;
        if (!still_same(tb)) {
            ++*stale;
            tcg_tb_invalidate(context, tb, "fence.i");
        }
    }
}

/*
 * Blocks up to here need not be compared again. Lock held. A vCPU that has been in guest code since before
 * a block was made may still be between its look into the table and its store.
 */
static uint64_t settled(const TcgContext *context, const TcgCpu *self)
{
    uint64_t seq = context->seq;

    for (guint i = 0; i < context->cpus->len; i++) {
        const TcgCpu *cpu = g_ptr_array_index(context->cpus, i);
        uint64_t entered = orr_load_acquire(&cpu->entered_seq);

        if (cpu != self && entered < seq) {
            seq = entered;
        }
    }
    return seq;
}

/*
 * A store is noticed when it is made, unless another vCPU had looked into its table before the page
 * was watched and stored after the block was made. Who hears of such a store by whatever way and then executes
 * fence.i finds it in memory.
 */
void tcg_fence_i(TcgCpu *cpu)
{
    TcgContext *context = cpu->context;
    unsigned compared = 0, stale = 0;

    if (!context->options.parallel) {
        return;
    }
    orr_mutex_lock(&context->lock);
    if (context->cpus->len < 2) {
        orr_mutex_unlock(&context->lock);
        return;
    }
    if (context->seq - cpu->fence_seq < TCG_YOUNG) {
        for (uint64_t seq = cpu->fence_seq + 1; seq <= context->seq; seq++) {
            check_young(context, context->young[seq % TCG_YOUNG], &compared, &stale);
        }
    } else {
        for (unsigned i = 0; i < TCG_SEGMENTS; i++) {
            GPtrArray *tbs = context->segment[i].tbs;

            for (guint t = 0; t < tbs->len; t++) {
                check_young(context, g_ptr_array_index(tbs, t), &compared, &stale);
            }
        }
    }
    cpu->fence_seq = settled(context, cpu);
    context->stats.young_checks += compared;
    orr_mutex_unlock(&context->lock);
    trace_tcg_fence_i(cpu->vcpu->accel.index, compared, stale);
}

/* ---- Without translating: for debuggers, and pages of which not all may be fetched. */

static void *stepper_state(TcgCpu *cpu)
{
    const TcgStepper *stepper = cpu->context->options.stepper;
    TcgMaker *maker = cpu->maker;

    if (!maker->stepper) {
        maker->stepper = stepper->create(cpu->vcpu);
    }
    /* What either has cached, the other has not kept up. */
    stepper->flush(maker->stepper, true);
    tcg_flush_all(cpu);
    if (cpu->target_state && cpu->target->state_forget) {
        cpu->target->state_forget(cpu->target_state);
    }
    tcg_fp_pull(cpu);
    return maker->stepper;
}

VcpuExit tcg_step(TcgCpu *cpu)
{
    void *state = stepper_state(cpu);
    VcpuExit why = cpu->context->options.stepper->step(state);

    tcg_flush_all(cpu);
    return why;
}

static VcpuExit run_stepper(TcgCpu *cpu)
{
    void *state = stepper_state(cpu);
    VcpuExit why = cpu->context->options.stepper->run(state);

    tcg_flush_all(cpu);
    return why;
}

/* ---- The loop. */

void tcg_request_flush(TcgCpu *cpu, bool code)
{
    if (code) {
        orr_store_release(&cpu->flush_code, true);
    }
    orr_store_release(&cpu->flush_views, true);
}

static void take_requests(TcgCpu *cpu)
{
    const LogSet *log = cpu->vcpu->log;
    uint32_t items = log ? orr_load_relaxed(&log->items) & (LOG_EXEC | LOG_CPU | LOG_NOCHAIN) : 0;

    if (orr_load_relaxed(&cpu->flush_views) && orr_exchange(&cpu->flush_views, false)) {
        tcg_flush_all(cpu);
        if (cpu->target_state && cpu->target->state_forget) {
            cpu->target->state_forget(cpu->target_state);
        }
    }
    if (orr_load_relaxed(&cpu->flush_code) && orr_exchange(&cpu->flush_code, false)) {
        tcg_tb_invalidate_all(cpu->context, "reset");
    }
    if (items != cpu->log_items) {
        cpu->log_items = items;
        tcg_view_forget_jumps(cpu);
        tcg_tb_invalidate_all(cpu->context, "log items changed");
    }
}

static uint32_t enter(TcgCpu *cpu)
{
    TcgValue code;
    uint32_t reason;

    cpu->target->take_interrupt(cpu->cpu);
    tcg_view_select(cpu);
    code = tcg_lookup(cpu);
    if (code.status) {
        return (uint32_t)code.status;
    }
    tcg_fp_changed(cpu);
    orr_store_release(&cpu->entered_seq, orr_load_acquire(&cpu->context->seq));
    reason = cpu->context->thunks.run(cpu, (const void *)(uintptr_t)code.value);
    orr_store_release(&cpu->entered_seq, UINT64_MAX);
    tcg_fp_pull(cpu);
    tcg_count(&cpu->counters.exits);
    if (trace_tcg_exit_enabled()) {
        trace_tcg_exit(cpu->vcpu->accel.index, reason, cpu->target->get_pc(cpu->cpu));
    }
    return reason;
}

VcpuExit tcg_run(TcgCpu *cpu)
{
    Vcpu *vcpu = cpu->vcpu;

    take_requests(cpu);
    if (G_UNLIKELY(vcpu->single_step)) {
        return tcg_step(cpu);
    }
    if (G_UNLIKELY(vcpu->breakpoints->len > 0)) {
        return run_stepper(cpu);
    }
    while (!vcpu_exit_requested(vcpu)) {
        if (enter(cpu) != TCG_EXIT_STOP) {
            continue;
        }
        if (cpu->stop_reason == TCG_STOP_STEP) {
            VcpuExit why = tcg_step(cpu);

            if (why != VCPU_EXIT_DEBUG) {
                return why;
            }
            continue;
        }
        return (VcpuExit)cpu->stop_reason;
    }
    return VCPU_EXIT_KICKED;
}

/* ---- Figures. */

void tcg_cpu_stats(const TcgCpu *cpu, AccelVcpuStats *stats)
{
    const TcgCounters *c = &cpu->counters;
    IrReg count = cpu->target->ir->count;
    AccelVcpuStats all = {
        .struct_size = stats->struct_size,
        .exits = orr_load_relaxed(&c->exits),
        .blocks_filled = orr_load_relaxed(&c->blocks),
        .tlb_fills = orr_load_relaxed(&c->fills),
        .tlb_flushes = orr_load_relaxed(&c->flushes),
    };

    if (count != IR_NONE) {
        all.insns =
            orr_load_relaxed((uint64_t *)(void *)((uint8_t *)cpu->fast.env +
                                                  cpu->target->ir->globals[count].offset_bytes));
    }
    memcpy(stats, &all, MIN(stats->struct_size, sizeof(all)));
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static void info_cpu(const TcgCpu *cpu, GString *out)
{
    const TcgCounters *c = &cpu->counters;

#define SHOW(field_) orr_load_relaxed(&c->field_)
    g_string_append_printf(out,
                           "cpu %u: exits %" G_GUINT64_FORMAT ", lookups %" G_GUINT64_FORMAT
                           ", slow accesses %" G_GUINT64_FORMAT
                           ", of these device %" G_GUINT64_FORMAT ", faults %" G_GUINT64_FORMAT "\n"
                           "  TLB: fills %" G_GUINT64_FORMAT ", victim hits %" G_GUINT64_FORMAT
                           ", resizes %" G_GUINT64_FORMAT ", flushes %" G_GUINT64_FORMAT "\n",
                           cpu->vcpu->accel.index, SHOW(exits), SHOW(lookups), SHOW(slow),
                           SHOW(mmio), SHOW(faults), SHOW(fills), SHOW(victims), SHOW(resizes),
                           SHOW(flushes));
#undef SHOW
    static const char *const names[] = {
#define TLB_FLUSH(name_, what_) #name_,
#include "tcg/tlb-flush.def"
#undef TLB_FLUSH
    };

    for (unsigned i = 0; i < TCG_FLUSH_COUNT; i++) {
        uint64_t n = orr_load_relaxed(&cpu->flush_kinds[i]);

        if (n) {
            g_string_append_printf(out, "  flush %s %" G_GUINT64_FORMAT "\n", names[i], n);
        }
    }
}

void tcg_info_jit(TcgContext *context, GString *out)
{
    uint64_t used = 0;
    TcgStats s;

    orr_mutex_lock(&context->lock);
    s = context->stats;
    for (unsigned i = 0; i < TCG_SEGMENTS; i++) {
        used += context->segment[i].used_bytes;
    }
    g_string_append_printf(
        out,
        "back end: %s\ncode cache: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
        " KiB given out, emptied %" G_GUINT64_FORMAT " times by segment\n"
        "blocks: %" G_GUINT64_FORMAT " made, %" G_GUINT64_FORMAT " live, %" G_GUINT64_FORMAT
        " as regions of hot code, %" G_GUINT64_FORMAT " invalidated, %" G_GUINT64_FORMAT
        " dropped\n"
        "guest: %" G_GUINT64_FORMAT " instructions, %" G_GUINT64_FORMAT " bytes\n"
        "host: %" G_GUINT64_FORMAT " bytes, %.1f for each of the guest's, %.1f an instruction\n"
        "links: %" G_GUINT64_FORMAT " made, %" G_GUINT64_FORMAT " undone\n"
        "compared by fence.i: %" G_GUINT64_FORMAT "\n",
        context->host->name, used >> 10, context->cache_bytes >> 10, s.reclaims, s.blocks, s.live,
        s.tier1, s.invalidated, s.dropped, s.guest_insns, s.guest_bytes, s.code_bytes,
        ratio(s.code_bytes, s.guest_bytes), ratio(s.code_bytes, s.guest_insns), s.links, s.unlinks,
        s.young_checks);
    for (guint i = 0; i < context->cpus->len; i++) {
        info_cpu(g_ptr_array_index(context->cpus, i), out);
    }
    orr_mutex_unlock(&context->lock);
}
