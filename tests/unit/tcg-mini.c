/* SPDX-License-Identifier: MIT */
/*
 * The small run time of tcg-mini.h. It finds what faults by the contract (sites, dirty sets, homes), so
 * that what a front end says about pending counts is put to the test too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tcg-mini.h"

#define CODE_BYTES ((size_t)32 << 20)

typedef struct MiniTb {
    uint64_t pc;
    unsigned flags;
    uint8_t *code;
    uint32_t code_bytes, site_count;
    TcgSite *sites;
    TcgDirtySet *dirty;
    IrGuestInsn *guest;
    int8_t home[IR_MAX_GLOBALS];
} MiniTb;

struct Mini {
    TcgCpu tcg; /* first */
    Machine *m;
    MiniOptions options;
    IrRegion *region;
    IrAllocation allocation;
    TcgThunks thunks;
    TcgEmitter *emitter;
    TcgViewFast *view;
    uint8_t *code;
    size_t code_used, code_start;
    GPtrArray *tbs;
    MiniStats stats;
};

_Thread_local unsigned mini_flushes, mini_fences;

/* ---- What helpers call. */

void tcg_flush_all(TcgCpu *cpu)
{
    mini_flushes++;
}

void tcg_flush_space(TcgCpu *cpu, uint64_t space, uint64_t space_mask)
{
    mini_flushes++;
}

void tcg_flush_page(TcgCpu *cpu, uint64_t va, uint64_t space, uint64_t space_mask)
{
    mini_flushes++;
}

void tcg_fence_i(TcgCpu *cpu)
{
    mini_fences++;
}

/* Bits of the host's register are in another order than the guest's. */
void tcg_fp_pull(TcgCpu *cpu)
{
    uint32_t bits = cpu->fast.mxcsr;

    rv_tcg_target.fp_accrue(cpu->cpu, (bits & 1 ? 16 : 0) | (bits & 4 ? 8 : 0) |
                                          (bits & 8 ? 4 : 0) | (bits & 16 ? 2 : 0) |
                                          (bits & 32 ? 1 : 0));
    cpu->fast.mxcsr &= ~0x3fu;
}

void tcg_fp_changed(TcgCpu *cpu)
{
    cpu->fast.fp_round = rv_tcg_target.fp_round(cpu->cpu);
}

/* ---- Memory. */

static TcgValue leave_fault(Mini *mini, const TcgFrame *frame, unsigned cause, uint64_t va)
{
    RiscvCpu *cpu = mini->m->cpu;

    for (guint i = 0; i < mini->tbs->len; i++) {
        const MiniTb *tb = g_ptr_array_index(mini->tbs, i);
        uint64_t offset = frame->return_address - (uintptr_t)tb->code;
        const TcgSite *site = tb->sites;

        if (offset > tb->code_bytes) {
            continue;
        }
        while (site < tb->sites + tb->site_count && site->code_offset != offset) {
            site++;
        }
        assert_true(site < tb->sites + tb->site_count);
        for (IrReg g = 0; g < rv_tcg_target.ir->global_count; g++) {
            const IrGlobal *global = &rv_tcg_target.ir->globals[g];

            if (tb->dirty[site->dirty_set].globals[g / 64] >> (g % 64) & 1) {
                const uint64_t *from = global->type == IR_TYPE_F64 ? frame->fpr : frame->gpr;

                assert_true(tb->home[g] >= 0);
                memcpy((uint8_t *)mini->tcg.fast.env + global->offset_bytes, &from[tb->home[g]], 8);
            }
        }
        cpu->pc = tb->guest[site->guest].pc;
        rv_tcg_target.add_count(cpu, tb->guest[site->guest].pending);
        rv_tcg_target.fault(cpu, cause, va);
        return (TcgValue){ .status = TCG_EXIT_RESUME };
    }
    fail_msg("a fault from nowhere");
    return (TcgValue){ 0 };
}

/* RAM at a guest address, NULL: a device (then *paddr) or a fault (then *cause). */
static uint8_t *find(Mini *mini, uint64_t va, TcgAccess access, uint64_t *paddr, unsigned *cause)
{
    TcgWalk walk;

    *cause = 0;
    if (!rv_tcg_target.walk(mini->m->cpu, va, 1, access, &walk)) {
        *cause = walk.cause;
        return NULL;
    }
    *paddr = walk.paddr;
    if (walk.paddr - HART_RAM_BASE < RAM_BYTES) {
        return mini->m->ram->host + (walk.paddr - HART_RAM_BASE);
    }
    return NULL;
}

static TcgValue mini_load(TcgCpu *tcg, uint64_t va, uint32_t mem, TcgFrame *frame)
{
    Mini *mini = (Mini *)tcg;
    unsigned size = 1u << (mem & IR_MEM_SIZE), cause;
    uint64_t value = 0, paddr = 0;

    if ((mem & IR_MEM_ATOMIC) && (va & (size - 1))) {
        return leave_fault(mini, frame, rv_tcg_target.cause_misaligned(TCG_ACCESS_LOAD), va);
    }
    for (unsigned i = 0; i < size; i++) {
        const uint8_t *host = find(mini, va + i, TCG_ACCESS_LOAD, &paddr, &cause);

        if (cause) {
            return leave_fault(mini, frame, cause, i == 0 ? va : (va + i));
        }
        if (!host) {
            if ((mem & IR_MEM_ATOMIC) ||
                vcpu_mmio_read(&mini->m->cpu->vcpu, paddr, size, &value) != MEMTX_OK) {
                return leave_fault(mini, frame, rv_tcg_target.cause_bus(TCG_ACCESS_LOAD), va);
            }
            break;
        }
        value |= (uint64_t)*host << 8 * i;
    }
    if ((mem & IR_MEM_SIGNED) && size < 8) {
        unsigned shift = 64 - 8 * size;

        value = (uint64_t)((int64_t)(value << shift) >> shift);
    }
    return (TcgValue){ .value = value };
}

static TcgValue mini_store(TcgCpu *tcg, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame)
{
    Mini *mini = (Mini *)tcg;
    unsigned size = 1u << (mem & IR_MEM_SIZE), cause;
    uint64_t paddr = 0;
    uint8_t *host[8];

    for (unsigned i = 0; i < size; i++) {
        host[i] = find(mini, va + i, TCG_ACCESS_STORE, &paddr, &cause);
        if (cause) {
            return leave_fault(mini, frame, cause, i == 0 ? va : (va + i));
        }
        if (!host[i]) {
            if (size < 8) {
                value &= (UINT64_C(1) << 8 * size) - 1;
            }
            if (vcpu_mmio_write(&mini->m->cpu->vcpu, paddr, size, value) != MEMTX_OK) {
                return leave_fault(mini, frame, rv_tcg_target.cause_bus(TCG_ACCESS_STORE), va);
            }
            return (TcgValue){ 0 };
        }
    }
    for (unsigned i = 0; i < size; i++) {
        *host[i] = (uint8_t)(value >> 8 * i);
    }
    memory_note_written(mini->m->hart->memory, va, size);
    return (TcgValue){ 0 };
}

static uint64_t sign_extended(uint64_t value, unsigned size)
{
    return size == 4 ? (uint64_t)(int64_t)(int32_t)value : value;
}

static uint64_t amo_result(unsigned kind, uint64_t old, uint64_t value, unsigned size)
{
    uint64_t mask = size == 4 ? UINT32_MAX : UINT64_MAX;

    switch (kind) {
    case IR_AMO_SWAP:
        return value;
    case IR_AMO_ADD:
        return old + value;
    case IR_AMO_XOR:
        return old ^ value;
    case IR_AMO_AND:
        return old & value;
    case IR_AMO_OR:
        return old | value;
    case IR_AMO_MIN:
        return (int64_t)old < (int64_t)value ? old : value;
    case IR_AMO_MAX:
        return (int64_t)old > (int64_t)value ? old : value;
    case IR_AMO_MINU:
        return (old & mask) < (value & mask) ? old : value;
    default:
        return (old & mask) > (value & mask) ? old : value;
    }
}

/* expected NULL: an AMO. */
static TcgValue atomic(Mini *mini, uint64_t va, const uint64_t *expected, uint64_t value,
                       uint32_t mem, TcgFrame *frame)
{
    unsigned size = 1u << (mem & IR_MEM_SIZE), cause;
    uint64_t paddr, old = 0;
    uint8_t *host;

    if (va & (size - 1)) {
        return leave_fault(mini, frame, rv_tcg_target.cause_misaligned(TCG_ACCESS_STORE), va);
    }
    host = find(mini, va, TCG_ACCESS_STORE, &paddr, &cause);
    if (!host) {
        cause = cause ? cause : rv_tcg_target.cause_bus(TCG_ACCESS_STORE);
        return leave_fault(mini, frame, cause, va);
    }
    memcpy(&old, host, size);
    old = sign_extended(old, size);
    value = sign_extended(value, size);
    if (!expected) {
        value = amo_result(mem >> IR_AMO_SHIFT, old, value, size);
    } else if (sign_extended(*expected, size) != old) {
        return (TcgValue){ .value = old };
    }
    memcpy(host, &value, size);
    memory_note_written(mini->m->hart->memory, va, size);
    return (TcgValue){ .value = old };
}

static TcgValue mini_amo(TcgCpu *tcg, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame)
{
    return atomic((Mini *)tcg, va, NULL, value, mem, frame);
}

static TcgValue mini_cas(TcgCpu *tcg, uint64_t va, uint64_t expected, uint64_t value, uint32_t mem,
                         TcgFrame *frame)
{
    return atomic((Mini *)tcg, va, &expected, value, mem, frame);
}

/* ---- Code. */

static bool wanted(void *opaque, uint64_t pc)
{
    return true;
}

static void tb_free(gpointer data)
{
    MiniTb *tb = data;

    g_free(tb->sites);
    g_free(tb->dirty);
    g_free(tb->guest);
    g_free(tb);
}

static void print_region(const Mini *mini, const char *when)
{
    GString *text = g_string_new(NULL);

    ir_print(mini->region, text);
    print_message("%s %s\n", when, text->str);
    g_string_free(text, TRUE);
}

static void verify(const Mini *mini)
{
    char *wrong = ir_verify(mini->region);

    if (wrong) {
        print_region(mini, "wrong:");
        fail_msg("%s", wrong);
    }
}

static MiniTb *make(Mini *mini, uint64_t pc, unsigned flags)
{
    uint64_t page = pc & ~TCG_PAGE_MASK;
    TcgSource source = {
        .cpu = mini->m->cpu,
        .pc = pc,
        .page = mini->m->ram->host + (page - HART_RAM_BASE),
        .tb_flags = flags,
        .max_insns = mini->options.max_insns,
        .tier = mini->options.tier,
        .wanted = wanted,
    };
    MiniTb *tb = g_new0(MiniTb, 1);
    TcgTranslated translated = { 0 };
    TcgEmitted emitted;
    TcgCodeBuffer buffer;

    ir_region_reset(mini->region, rv_tcg_target.ir, pc);
    rv_tcg_target.translate(mini->region, &source, &translated);
    if (translated.crosses) {
        source.next_page = source.page + 4096;
        rv_tcg_target.translate(mini->region, &source, &translated);
    }
    verify(mini);
    if (mini->options.print) {
        print_region(mini, "op:");
    }
    mini->region->tag_flags = flags & 1;
    mini->stats.regions++;
    mini->stats.insns += mini->region->guest_count;
    mini->stats.ops += mini->region->insn_count;
    if (mini->options.optimise) {
        ir_optimise(mini->region);
        verify(mini);
        if (mini->options.print) {
            print_region(mini, "op_opt:");
        }
    }
    mini->stats.ops_left += mini->region->insn_count;
    ir_analyse(mini->region);
    ir_allocate(mini->region, mini->options.host->regs(), mini->options.fuzz_seed,
                &mini->allocation);
    mini->code_used = (mini->code_used + 63) & ~(size_t)63;
    buffer.rw = buffer.rx = mini->code + mini->code_used;
    buffer.capacity_bytes = CODE_BYTES - mini->code_used;
    assert_true(mini->options.host->emit(mini->emitter, mini->region, &mini->allocation,
                                         (const TcgTb *)tb, &buffer, &emitted));
    mini->code_used += emitted.code_bytes;
    tb->pc = pc;
    tb->flags = flags;
    tb->code = buffer.rx;
    tb->code_bytes = emitted.code_bytes;
    tb->site_count = emitted.site_count;
    tb->sites = g_memdup2(emitted.sites, emitted.site_count * sizeof(TcgSite));
    tb->dirty = g_memdup2(emitted.dirty_sets, emitted.dirty_set_count * sizeof(TcgDirtySet));
    tb->guest = g_memdup2(mini->region->guest, mini->region->guest_count * sizeof(IrGuestInsn));
    for (unsigned g = 0; g < rv_tcg_target.ir->global_count; g++) {
        tb->home[g] = mini->allocation.home[g].reg;
    }
    g_ptr_array_add(mini->tbs, tb);
    return tb;
}

static TcgValue mini_lookup(TcgCpu *tcg)
{
    Mini *mini = (Mini *)tcg;
    RiscvCpu *cpu = mini->m->cpu;
    unsigned flags = rv_tcg_target.cpu_flags(cpu);
    uint64_t paddr;
    unsigned cause;

    /* An end for programs that go on for ever. */
    if (vcpu_exit_requested(&cpu->vcpu)) {
        return (TcgValue){ .status = TCG_EXIT_POLL };
    }
    for (guint i = 0; i < mini->tbs->len; i++) {
        MiniTb *tb = g_ptr_array_index(mini->tbs, i);

        if (tb->pc == cpu->pc && tb->flags == flags) {
            return (TcgValue){ .value = (uintptr_t)tb->code };
        }
    }
    if (!find(mini, cpu->pc, TCG_ACCESS_FETCH, &paddr, &cause)) {
        cause = cause ? cause : rv_tcg_target.cause_bus(TCG_ACCESS_FETCH);
        rv_tcg_target.fault(cpu, cause, cpu->pc);
        return (TcgValue){ .status = TCG_EXIT_RESUME };
    }
    return (TcgValue){ .value = (uintptr_t)make(mini, cpu->pc, flags)->code };
}

static TcgValue mini_link(TcgCpu *tcg, TcgTb *tb, uint32_t slot)
{
    return mini_lookup(tcg);
}

static TcgValue mini_hot(TcgCpu *tcg, TcgTb *tb)
{
    return mini_lookup(tcg);
}

/* ---- Life. */

static void start_host(Mini *mini)
{
    TcgCodeBuffer buffer = { mini->code, mini->code, CODE_BYTES };
    TcgHostFeatures features = mini->options.features;
    TcgHostCalls calls = {
        .load = mini_load,
        .store = mini_store,
        .amo = mini_amo,
        .cas = mini_cas,
        .lookup = mini_lookup,
        .link = mini_link,
        .hot = mini_hot,
        .fpu = rv_tcg_target.fpu,
    };

    assert_true(mini->options.host->make_thunks(&buffer, &calls, &features, &mini->thunks));
    mini->code_start = mini->code_used = mini->thunks.bytes;
    mini->emitter = mini->options.host->emitter_create(&mini->thunks, &features);
}

Mini *mini_create(Machine *m, const MiniOptions *options)
{
    Mini *mini = g_new0(Mini, 1);
    TcgViewFast *view = g_new0(TcgViewFast, 1);

    mini->m = m;
    mini->options = *options;
    mini->region = ir_region_create();
    mini->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(mini->code, MAP_FAILED);
    mini->tbs = g_ptr_array_new_with_free_func(tb_free);
    memset(view->jumps, 0xff, sizeof(view->jumps));
    memset(view->load, 0xff, sizeof(view->load));
    memset(view->store, 0xff, sizeof(view->store));
    tcg_forget_recent(view);
    mini->view = view;
    mini->tcg.vcpu = &m->cpu->vcpu;
    mini->tcg.cpu = m->cpu;
    mini->tcg.target = &rv_tcg_target;
    mini->tcg.fast.env = rv_tcg_target.env(m->cpu);
    mini->tcg.fast.view = view->load;
    mini->tcg.fast.mxcsr = 0x1f80;
    m->cpu->vcpu.accel.opaque = mini;
    start_host(mini);
    return mini;
}

void mini_destroy(Mini *mini)
{
    if (mini->tcg.target_state) {
        rv_tcg_target.state_destroy(mini->tcg.target_state);
    }
    mini->m->cpu->vcpu.accel.opaque = NULL;
    mini->options.host->emitter_destroy(mini->emitter);
    g_ptr_array_unref(mini->tbs);
    ir_allocation_finish(&mini->allocation);
    ir_region_destroy(mini->region);
    munmap(mini->code, CODE_BYTES);
    g_free(mini->view);
    g_free(mini);
}

void mini_reset(Mini *mini, const MiniOptions *options)
{
    g_ptr_array_set_size(mini->tbs, 0);
    if (options->host != mini->options.host) {
        mini->options.host->emitter_destroy(mini->emitter);
        mini->options = *options;
        start_host(mini);
    }
    mini->options = *options;
    mini->code_used = mini->code_start;
}

VcpuExit mini_run(Mini *mini)
{
    RiscvCpu *cpu = mini->m->cpu;

    for (;;) {
        TcgValue code;
        uint32_t why;

        if (vcpu_exit_requested(&cpu->vcpu)) {
            return VCPU_EXIT_KICKED;
        }
        rv_tcg_target.take_interrupt(cpu);
        mini->tcg.fast.fp_round = rv_tcg_target.fp_round(cpu);
        code = mini_lookup(&mini->tcg);
        if (code.status) {
            continue;
        }
        why = mini->thunks.run(&mini->tcg, (const void *)(uintptr_t)code.value);
        tcg_fp_pull(&mini->tcg);
        if (why == TCG_EXIT_STOP && mini->tcg.stop_reason != VCPU_EXIT_YIELD) {
            return (VcpuExit)mini->tcg.stop_reason;
        }
    }
}

const MiniStats *mini_stats(const Mini *mini)
{
    return &mini->stats;
}
