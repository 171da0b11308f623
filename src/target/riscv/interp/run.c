/* SPDX-License-Identifier: MIT */
/*
 * The life of a vCPU's interpreter, and the loop that runs it. The idea to hold: handlers run until
 * something happened that they leave to this loop, and the loop begins each round by looking at
 * everything that can have changed: requests, interrupts, privilege and address space.
 */
#include "target/riscv/interp/ops.h"

#include <stdlib.h>
#include <string.h>

/* Like g_malloc, ends the program when there is no memory. */
static void *alloc_lines(size_t bytes)
{
    void *memory = aligned_alloc(ORR_CACHE_LINE, bytes);

    if (!memory) {
        g_error("interp: cannot allocate %zu bytes", bytes);
    }
    return memory;
}

RvInterp *rv_interp_create(Vcpu *vcpu, bool host_float)
{
    RvInterp *s = g_new0(RvInterp, 1);

    s->cpu = riscv_cpu(vcpu);
    s->memory = vcpu->memory;
    s->fp.fp_hostfloat = host_float;
    s->arena = alloc_lines(RV_ARENA_BYTES);
    s->scratch = alloc_lines(RV_SCRATCH_BYTES);
    s->mmu_version = s->cpu->mmu_version;
    return s;
}

void rv_interp_destroy(RvInterp *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < RV_VIEW_COUNT; i++) {
        g_free(s->views[i]);
    }
    free(s->arena);
    free(s->scratch);
    g_free(s);
}

void rv_interp_flush(RvInterp *s, bool code)
{
    if (code) {
        orr_store_release(&s->flush_code, true);
    }
    orr_store_release(&s->flush_views, true);
}

void rv_interp_stats(const RvInterp *s, AccelVcpuStats *stats)
{
    AccelVcpuStats all = {
        .struct_size = stats->struct_size,
        .insns = orr_load_relaxed(&s->cpu->insns),
        .exits = orr_load_relaxed(&s->exits),
        .blocks_filled = orr_load_relaxed(&s->blocks_filled),
        .tlb_fills = orr_load_relaxed(&s->tlb_fills),
        .tlb_flushes = orr_load_relaxed(&s->tlb_flushes),
    };

    memcpy(stats, &all, MIN(stats->struct_size, sizeof(all)));
}

/* Does what other threads asked for, and notices that blocks must be made otherwise than before. */
static void take_requests(RvInterp *s)
{
    const LogSet *log = s->cpu->vcpu.log;
    uint32_t items = log ? orr_load_relaxed(&log->items) & (LOG_IN_ASM | LOG_EXEC | LOG_CPU) : 0;

    if (orr_load_relaxed(&s->flush_views) && orr_exchange(&s->flush_views, false)) {
        rv_view_flush_all(s);
    }
    if (orr_load_relaxed(&s->flush_code) && orr_exchange(&s->flush_code, false)) {
        rv_block_flush(s);
    }
    if (items != s->log_items) {
        s->log_items = items;
        rv_block_flush(s);
    }
}

static void execute(RvInterp *s, RvBlock *block)
{
    RvUop *op = rv_begin(s->cpu, block, s->view, s->cpu->pc);

    /* With threaded handlers, all is done when the first of them returns. */
    while (op) {
        op = op->run(s->cpu, op, s->view, s->view->pc);
    }
}

VcpuExit rv_interp_run(RvInterp *s)
{
    RiscvCpu *cpu = s->cpu;
    RvBlock *block;
    int irq;

    if (cpu->vcpu.single_step) {
        return rv_interp_step(s);
    }
    take_requests(s);
    do {
        if (vcpu_exit_requested(&cpu->vcpu)) {
            s->stop = RV_STOP_KICKED;
            break;
        }
        irq = riscv_pending_interrupt(cpu);
        if (irq >= 0) {
            riscv_enter_trap(cpu, true, (unsigned)irq, 0);
        }
        s->stop = RV_STOP_RESUME;
        block = rv_block_find(rv_view_select(s), cpu->pc);
        if (block) {
            execute(s, block);
        }
    } while (s->stop == RV_STOP_RESUME);
    rv_count(&s->exits);
    return (VcpuExit)s->stop;
}

VcpuExit rv_interp_step(RvInterp *s)
{
    RvView *view;
    RvBlock *block;

    take_requests(s);
    s->stepping = true;
    s->stop = RV_STOP_DEBUG;
    view = rv_view_select(s);
    rv_view_forget_blocks(s); /* so that no jump passes by rv_chase */
    block = rv_block_single(view, s->cpu->pc);
    if (block) {
        execute(s, block);
    }
    s->stepping = false;
    rv_count(&s->exits);
    return s->stop == RV_STOP_RESUME ? VCPU_EXIT_DEBUG : (VcpuExit)s->stop;
}
