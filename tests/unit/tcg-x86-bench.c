/* SPDX-License-Identifier: MIT */
/* See tcg-x86-bench.h. */
#define _GNU_SOURCE 1
#include "tests/unit/tcg-x86-bench.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#define CODE_BYTES (1u << 18)
#define THUNK_BYTES (1u << 14)

/* clang-format off */
#define X(i_) { "x" #i_, IR_TYPE_I64, offsetof(BenchEnv, x) + 8 * (i_) }
#define F(i_) { "f" #i_, IR_TYPE_F64, offsetof(BenchEnv, f) + 8 * (i_) }
/* clang-format on */

static const IrGlobal globals[] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7),
};

static const IrTarget target = {
    .name = "bench",
    .globals = globals,
    .global_count = G_N_ELEMENTS(globals),
    .pc_offset = offsetof(BenchEnv, pc),
    .exit_request_offset = offsetof(BenchEnv, exit_request),
    .count = IR_NONE,
};

IrReg bench_x(unsigned i)
{
    return (IrReg)i;
}

IrReg bench_f(unsigned i)
{
    return (IrReg)(BENCH_INTS + i);
}

static TcgValue slow(X86Bench *b, uint64_t va, uint64_t value, uint32_t mem)
{
    b->slows++;
    b->va = va;
    b->value = value;
    b->mem = mem;
    return (TcgValue){ .value = b->slow_value };
}

static TcgValue slow_load(TcgCpu *cpu, uint64_t va, uint32_t mem, TcgFrame *frame)
{
    return slow((X86Bench *)(void *)cpu, va, 0, mem);
}

static TcgValue slow_store(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame)
{
    return slow((X86Bench *)(void *)cpu, va, value, mem);
}

static TcgValue slow_cas(TcgCpu *cpu, uint64_t va, uint64_t expected, uint64_t value, uint32_t mem,
                         TcgFrame *frame)
{
    ((X86Bench *)(void *)cpu)->expected = expected;
    return slow((X86Bench *)(void *)cpu, va, value, mem);
}

static TcgValue go_on(X86Bench *b)
{
    if (b->go_on) {
        return (TcgValue){ .value = (uintptr_t)b->go_on };
    }
    return (TcgValue){ .status = TCG_EXIT_RESUME };
}

static TcgValue lookup(TcgCpu *cpu)
{
    X86Bench *b = (X86Bench *)(void *)cpu;

    b->lookups++;
    return go_on(b);
}

static TcgValue link_slot(TcgCpu *cpu, TcgTb *tb, uint32_t slot)
{
    X86Bench *b = (X86Bench *)(void *)cpu;

    g_assert((void *)tb == b);
    b->links++;
    b->slot = slot;
    return go_on(b);
}

static TcgValue hot(TcgCpu *cpu, TcgTb *tb)
{
    X86Bench *b = (X86Bench *)(void *)cpu;

    g_assert((void *)tb == b);
    b->hots++;
    return go_on(b);
}

TcgHostFeatures bench_features(unsigned without)
{
    TcgHostFeatures f = tcg_host_features();

    f.bmi1 &= !(without & 1);
    f.bmi2 &= !(without & 2);
    f.lzcnt &= !(without & 4);
    f.popcnt &= !(without & 8);
    f.avx &= !(without & 16);
    f.fma &= f.avx && !(without & 32);
    f.pclmul &= !(without & 64);
    f.sse41 &= !(without & 128);
    return f;
}

X86Bench *bench_create(unsigned features_without, const TcgFpu *fpu)
{
    X86Bench *b = g_new0(X86Bench, 1);
    TcgHostCalls calls = {
        .load = slow_load,
        .store = slow_store,
        .amo = slow_store,
        .cas = slow_cas,
        .lookup = lookup,
        .link = link_slot,
        .hot = hot,
        .fpu = fpu,
    };
    TcgTlbEntry entry;

    b->features = bench_features(features_without);
    b->buffer.rw = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b->buffer.rx = b->buffer.rw;
    b->buffer.capacity_bytes = CODE_BYTES;
    b->view =
        mmap(NULL, sizeof(*b->view), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(b->buffer.rw != MAP_FAILED && b->view != MAP_FAILED);
    b->view->jumps[0].tag = TCG_JUMP_EMPTY(0);
    tcg_forget_recent(b->view);
    b->view->load_mask = b->view->store_mask = (uint64_t)(TCG_TLB_MAX - 1) << TCG_TLB_ENTRY_SHIFT;
    memset(b->view->load, 0xff, sizeof(b->view->load));
    memset(b->view->store, 0xff, sizeof(b->view->store));
    entry.tag = BENCH_PAGE;
    entry.addend = (uintptr_t)b->page - (uintptr_t)BENCH_PAGE;
    b->view->load[BENCH_PAGE >> TCG_PAGE_BITS] = entry;
    b->view->store[BENCH_PAGE >> TCG_PAGE_BITS] = entry;
    b->fast.env = &b->env;
    b->fast.view = (uint8_t *)b->view + TCG_VIEW_BASE;
    g_assert(tcg_host_x86_64.make_thunks(&b->buffer, &calls, &b->features, &b->thunks));
    g_assert(b->thunks.bytes <= THUNK_BYTES);
    b->code.rw = b->buffer.rw + THUNK_BYTES;
    b->code.rx = b->buffer.rx + THUNK_BYTES;
    b->code.capacity_bytes = CODE_BYTES - THUNK_BYTES;
    b->emitter = tcg_host_x86_64.emitter_create(&b->thunks, &b->features);
    b->region = ir_region_create();
    b->allocation.home = g_new0(IrHome, IR_FIRST_TEMP + 64);
    b->allocation.placed = g_new0(IrReg, BENCH_INTS + BENCH_FLOATS);
    return b;
}

void bench_destroy(X86Bench *b)
{
    tcg_host_x86_64.emitter_destroy(b->emitter);
    ir_region_destroy(b->region);
    munmap(b->buffer.rw, CODE_BYTES);
    munmap(b->view, sizeof(*b->view));
    g_free(b->allocation.home);
    g_free(b->allocation.placed);
    g_free(b);
}

void bench_begin(X86Bench *b, const int8_t *int_homes, const int8_t *float_homes)
{
    ir_region_reset(b->region, &target, 0x1000);
    for (unsigned i = 0; i < IR_FIRST_TEMP + 64; i++) {
        b->allocation.home[i] = (IrHome){ .reg = -1, .end = UINT32_MAX };
        if (i < BENCH_INTS) {
            b->allocation.home[i].reg = int_homes[i];
        } else if (i < BENCH_INTS + BENCH_FLOATS) {
            b->allocation.home[i].reg = float_homes[i - BENCH_INTS];
        } else if (i >= IR_FIRST_TEMP) {
            b->allocation.home[i].slot = (int16_t)(i - IR_FIRST_TEMP);
        }
    }
    b->allocation.placed_count = 0;
    for (unsigned i = 0; i < BENCH_INTS + BENCH_FLOATS; i++) {
        if (b->allocation.home[i].reg >= 0) {
            b->allocation.placed[b->allocation.placed_count++] = (IrReg)i;
        }
    }
    ir_block_begin(b->region, ir_block_new(b->region, 0x1000));
    ir_guest(b->region, 0x1000, 0x13, 4, 0);
}

void bench_emit(X86Bench *b)
{
    IrRegion *region = b->region;
    const IrBlock *last = &region->blocks[region->block_count - 1];

    if (last->count == 0 ||
        !(ir_op_info[region->insns[last->first + last->count - 1].op].flags & IR_END)) {
        IrInsn *end = ir_emit(region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);

        end->imm = 0x1234;
        end->aux = IR_LINK_NONE;
    }
    /* All that has a register is loaded; what is dirty at the start of other blocks: all of it. */
    for (unsigned i = 0; i < region->block_count; i++) {
        IrBlock *block = &region->blocks[i];

        block->live_in[0] = block->live_out[0] = (1u << G_N_ELEMENTS(globals)) - 1;
        block->dirty_in[0] = i ? block->live_in[0] : 0;
    }
    g_assert(
        tcg_host_x86_64.emit(b->emitter, region, &b->allocation, (void *)b, &b->code, &b->emitted));
}

uint32_t bench_run(X86Bench *b)
{
    return b->thunks.run((TcgCpu *)(void *)b, b->code.rx);
}
