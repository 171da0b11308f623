/* SPDX-License-Identifier: MIT */
/*
 * The machine for random regions. The idea to hold: it is a run time in miniature, by the contract of
 * host.h alone: a TLB, C functions that thunks call, and finding the guest's state at a site when
 * an access faults.
 */
#define _GNU_SOURCE 1
#include "tests/tcg/random-ir.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_BYTES (1u << 20)
#define THUNK_BYTES (64u << 10)
#define CHECKED_FLAGS 0x3du

struct RandomMachine {
    TcgCpuFast fast; /* first: the machine is the TcgCpu that code is given */
    RandomEnv env;
    const TcgHost *host;
    TcgViewFast *view;
    uint8_t *memory;
    TcgCodeBuffer code;
    TcgThunks thunks;
    TcgEmitter *emitter;
    TcgHostFeatures features;
    IrAllocation allocation;
    uint64_t tb[64]; /* stands for the block: all zero */

    /* The run under way. */
    const IrRegion *region;
    TcgEmitted emitted;
    TcgCodeBuffer at;
    RandomResult *out;
    uint64_t fault_after, leave_after;
};

static uint64_t next(uint64_t *random)
{
    uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- What code calls. */

static TcgValue fault(RandomMachine *m, uint64_t va, const TcgFrame *frame)
{
    uint32_t offset = (uint32_t)(frame->return_address - (uintptr_t)m->at.rx);
    const TcgSite *site = NULL;
    const TcgDirtySet *set;

    for (uint32_t i = 0; i < m->emitted.site_count && site == NULL; i++) {
        if (m->emitted.sites[i].code_offset == offset) {
            site = &m->emitted.sites[i];
        }
    }
    g_assert(site != NULL);
    set = &m->emitted.dirty_sets[site->dirty_set];
    for (IrReg g = 0; g < m->region->target->global_count; g++) {
        if (set->globals[g / 64] >> (g % 64) & 1) {
            const IrGlobal *global = &m->region->target->globals[g];
            int8_t reg = m->allocation.home[g].reg;

            g_assert(reg >= 0);
            memcpy((uint8_t *)&m->env + global->offset_bytes,
                   global->type == IR_TYPE_F64 ? &frame->fpr[reg] : &frame->gpr[reg], 8);
        }
    }
    m->env.pc = m->region->guest[site->guest].pc;
    m->env.count += m->region->guest[site->guest].pending;
    m->out->fault = va;
    return (TcgValue){ .status = TCG_EXIT_RESUME };
}

/* The host place of an access that came to C, or NULL: it faults. */
static uint8_t *slow_place(RandomMachine *m, uint64_t va, uint64_t bytes, bool aligned)
{
    uint64_t end = RANDOM_BASE + ((RANDOM_PAGES - 1) << TCG_PAGE_BITS);

    m->out->slow++;
    if (m->out->slow == m->leave_after) {
        m->env.exit_request = 1;
    }
    if (m->out->slow == m->fault_after || va < RANDOM_BASE || va > end - bytes ||
        (aligned && (va & (bytes - 1)) != 0)) {
        return NULL;
    }
    return m->memory + (va - RANDOM_BASE);
}

static uint64_t extend(uint64_t value, uint32_t mem, bool sign)
{
    unsigned shift = 64 - (8u << (mem & IR_MEM_SIZE));

    return sign ? (uint64_t)((int64_t)(value << shift) >> shift) : value << shift >> shift;
}

static TcgValue machine_load(TcgCpu *cpu, uint64_t va, uint32_t mem, TcgFrame *frame)
{
    RandomMachine *m = (RandomMachine *)(void *)cpu;
    uint64_t bytes = UINT64_C(1) << (mem & IR_MEM_SIZE), value = 0;
    const uint8_t *host = slow_place(m, va, bytes, mem & IR_MEM_ATOMIC);

    if (host == NULL) {
        return fault(m, va, frame);
    }
    memcpy(&value, host, bytes);
    return (TcgValue){ .value = extend(value, mem, mem & IR_MEM_SIGNED) };
}

static TcgValue machine_store(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem,
                              TcgFrame *frame)
{
    RandomMachine *m = (RandomMachine *)(void *)cpu;
    uint64_t bytes = UINT64_C(1) << (mem & IR_MEM_SIZE);
    uint8_t *host = slow_place(m, va, bytes, false);

    if (host == NULL) {
        return fault(m, va, frame);
    }
    memcpy(host, &value, bytes);
    return (TcgValue){ 0 };
}

static uint64_t amo_result(unsigned kind, uint64_t old, uint64_t operand, uint32_t mem)
{
    bool sign = kind != IR_AMO_MINU && kind != IR_AMO_MAXU;
    uint64_t a = extend(old, mem, sign), b = extend(operand, mem, sign);

    switch (kind) {
    case IR_AMO_ADD:
        return a + b;
    case IR_AMO_XOR:
        return a ^ b;
    case IR_AMO_AND:
        return a & b;
    case IR_AMO_OR:
        return a | b;
    case IR_AMO_MIN:
        return (int64_t)a < (int64_t)b ? a : b;
    case IR_AMO_MAX:
        return (int64_t)a > (int64_t)b ? a : b;
    case IR_AMO_MINU:
        return MIN(a, b);
    case IR_AMO_MAXU:
        return MAX(a, b);
    default:
        return b;
    }
}

static TcgValue machine_amo(TcgCpu *cpu, uint64_t va, uint64_t operand, uint32_t mem,
                            TcgFrame *frame)
{
    RandomMachine *m = (RandomMachine *)(void *)cpu;
    uint64_t bytes = UINT64_C(1) << (mem & IR_MEM_SIZE), old = 0, store;
    uint8_t *host = slow_place(m, va, bytes, true);

    if (host == NULL) {
        return fault(m, va, frame);
    }
    memcpy(&old, host, bytes);
    store = amo_result(mem >> IR_AMO_SHIFT, old, operand, mem);
    memcpy(host, &store, bytes);
    return (TcgValue){ .value = extend(old, mem, true) };
}

static TcgValue machine_cas(TcgCpu *cpu, uint64_t va, uint64_t expected, uint64_t value,
                            uint32_t mem, TcgFrame *frame)
{
    RandomMachine *m = (RandomMachine *)(void *)cpu;
    uint64_t bytes = UINT64_C(1) << (mem & IR_MEM_SIZE), old = 0;
    uint8_t *host = slow_place(m, va, bytes, true);

    if (host == NULL) {
        return fault(m, va, frame);
    }
    memcpy(&old, host, bytes);
    if (extend(old, mem, false) == extend(expected, mem, false)) {
        memcpy(host, &value, bytes);
    }
    return (TcgValue){ .value = extend(old, mem, true) };
}

static TcgValue machine_lookup(TcgCpu *cpu)
{
    return (TcgValue){ .status = TCG_EXIT_RESUME };
}

static TcgValue machine_link(TcgCpu *cpu, TcgTb *tb, uint32_t slot)
{
    RandomMachine *m = (RandomMachine *)(void *)cpu;

    g_assert(slot < m->emitted.link_count && (void *)tb == m->tb);
    m->env.pc = m->emitted.links[slot].pc;
    return (TcgValue){ .status = TCG_EXIT_RESUME };
}

static TcgValue machine_hot(TcgCpu *cpu, TcgTb *tb)
{
    return (TcgValue){ .status = TCG_EXIT_RESUME };
}

/* ---- Life. */

RandomMachine *random_machine_create(const TcgHost *host, const TcgHostFeatures *features,
                                     const TcgFpu *fpu)
{
    RandomMachine *m = g_new0(RandomMachine, 1);
    int fd = memfd_create("code", MFD_CLOEXEC);
    TcgHostCalls calls = {
        .load = machine_load,
        .store = machine_store,
        .amo = machine_amo,
        .cas = machine_cas,
        .lookup = machine_lookup,
        .link = machine_link,
        .hot = machine_hot,
        .fpu = fpu,
    };

    g_assert(fd >= 0 && ftruncate(fd, CODE_BYTES) == 0);
    m->host = host;
    m->code.rw = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m->code.rx = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    m->code.capacity_bytes = CODE_BYTES;
    close(fd);
    m->view =
        mmap(NULL, sizeof(*m->view), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m->memory = mmap(NULL, RANDOM_PAGES << TCG_PAGE_BITS, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(m->code.rw != MAP_FAILED && m->code.rx != MAP_FAILED && m->view != MAP_FAILED &&
             m->memory != MAP_FAILED);
    tcg_forget_recent(m->view);
    m->view->heat[RANDOM_HEAT] = INT32_MAX; /* never hot */
    m->view->load_mask = m->view->store_mask = (uint64_t)((1u << TCG_TLB_MIN_BITS) - 1)
                                               << TCG_TLB_ENTRY_SHIFT;
    for (unsigned i = 0; i < 1u << TCG_TLB_MIN_BITS; i++) {
        m->view->load[i].tag = m->view->store[i].tag = TCG_TLB_EMPTY;
    }
    for (unsigned i = 0; i < TCG_JUMP_SIZE; i++) {
        m->view->jumps[i].tag = TCG_JUMP_EMPTY(i);
    }
    for (uint64_t page = 0; page < RANDOM_PAGES - 2; page++) {
        uint64_t va = RANDOM_BASE + (page << TCG_PAGE_BITS);
        TcgTlbEntry entry = { .tag = va, .addend = (uintptr_t)m->memory - (uintptr_t)RANDOM_BASE };

        m->view->load[va >> TCG_PAGE_BITS] = entry;
        m->view->store[va >> TCG_PAGE_BITS] = entry;
    }
    if (features != NULL) {
        m->features = *features;
    }
    m->fast.env = &m->env;
    m->fast.view = (uint8_t *)m->view + TCG_VIEW_BASE;
    g_assert(host->make_thunks(&m->code, &calls, &m->features, &m->thunks));
    m->emitter = host->emitter_create(&m->thunks, &m->features);
    return m;
}

void random_machine_destroy(RandomMachine *m)
{
    m->host->emitter_destroy(m->emitter);
    ir_allocation_finish(&m->allocation);
    munmap(m->code.rw, CODE_BYTES);
    munmap((void *)(uintptr_t)m->code.rx, CODE_BYTES);
    munmap(m->view, sizeof(*m->view));
    munmap(m->memory, RANDOM_PAGES << TCG_PAGE_BITS);
    g_free(m);
}

static void start_state(RandomMachine *m, uint64_t seed)
{
    static const uint64_t floats[] = {
        0,
        UINT64_C(0x8000000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xbff8000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0x0000000000000001),
        UINT64_C(0x4340000000000001),
        UINT64_C(0xffffffff3f800000),
        UINT64_C(0xffffffffbfc00000),
        UINT64_C(0xffffffff7f800001),
        UINT64_C(0xffffffff00000001),
        UINT64_C(0xffffffff4f000000),
    };
    uint64_t random = seed;
    uint64_t *words = (uint64_t *)(void *)m->memory;

    memset(&m->env, 0, sizeof(m->env));
    for (unsigned i = 0; i < RANDOM_INTS; i++) {
        uint64_t value = next(&random);

        m->env.x[i] =
            value & 1 ? next(&random) : (uint64_t)((int64_t)next(&random) >> (value % 64));
    }
    for (unsigned i = 0; i < 2; i++) {
        m->env.x[RANDOM_POINTERS + i] = RANDOM_BASE + (next(&random) & 0x7ff8);
    }
    m->env.x[RANDOM_FUEL] = 1 + (next(&random) & 15);
    for (unsigned i = 0; i < RANDOM_FLOATS; i++) {
        uint64_t value = next(&random);

        m->env.f[i] = value & 1   ? floats[(value >> 8) % G_N_ELEMENTS(floats)]
                      : value & 2 ? next(&random)
                                  : UINT64_C(0xffffffff00000000) | (next(&random) >> 32);
    }
    for (unsigned i = 0; i < (RANDOM_PAGES << TCG_PAGE_BITS) / 8; i++) {
        words[i] = next(&random);
    }
    m->fault_after = next(&random) & 1 ? 1 + next(&random) % 6 : UINT64_MAX;
    m->leave_after = next(&random) & 1 ? 1 + next(&random) % 6 : UINT64_MAX;
    m->fast.fp_round = (uint32_t)(next(&random) % 4); /* see TcgCpuFast.fp_round */
    m->fast.mxcsr = 0x1f80u | (uint32_t[]){ 0, 3, 1, 2 }[m->fast.fp_round] << 13;
}

void random_machine_run(RandomMachine *m, IrRegion *region, uint64_t allocation_seed,
                        uint64_t state_seed, RandomResult *out)
{
    size_t at = (m->thunks.bytes + 63) & ~(size_t)63;

    memset(out, 0, sizeof(*out));
    m->region = region;
    m->out = out;
    m->at = (TcgCodeBuffer){ m->code.rw + at, m->code.rx + at, CODE_BYTES - at };
    ir_analyse(region);
    ir_allocate(region, m->host->regs(), allocation_seed, &m->allocation);
    g_assert(m->host->emit(m->emitter, region, &m->allocation, (const TcgTb *)(void *)m->tb, &m->at,
                           &m->emitted));
    start_state(m, state_seed);
    out->reason = m->thunks.run((TcgCpu *)(void *)m, m->at.rx);
    out->env = m->env;
    out->flags = m->fast.mxcsr & CHECKED_FLAGS;
    memcpy(out->memory, m->memory, sizeof(out->memory));
}

char *random_result_compare(const RandomResult *expected, const RandomResult *got)
{
#define DIFFER(what_, a_, b_)                                                                      \
    do {                                                                                           \
        if ((a_) != (b_)) {                                                                        \
            return g_strdup_printf("%s: expected 0x%" G_GINT64_MODIFIER                            \
                                   "x, got 0x%" G_GINT64_MODIFIER "x",                             \
                                   what_, (guint64)(a_), (guint64)(b_));                           \
        }                                                                                          \
    } while (0)
    char name[32];

    DIFFER("reason", expected->reason, got->reason);
    DIFFER("pc", expected->env.pc, got->env.pc);
    DIFFER("fault", expected->fault, got->fault);
    DIFFER("slow accesses", expected->slow, got->slow);
    DIFFER("count", expected->env.count, got->env.count);
    for (unsigned i = 0; i < RANDOM_INTS; i++) {
        g_snprintf(name, sizeof(name), "x%u", i);
        DIFFER(name, expected->env.x[i], got->env.x[i]);
    }
    for (unsigned i = 0; i < RANDOM_FLOATS; i++) {
        g_snprintf(name, sizeof(name), "f%u", i);
        DIFFER(name, expected->env.f[i], got->env.f[i]);
    }
    DIFFER("floating-point flags", expected->flags, got->flags);
    for (unsigned i = 0; i < sizeof(expected->memory); i++) {
        if (expected->memory[i] != got->memory[i]) {
            return g_strdup_printf("memory at 0x%x: expected 0x%x, got 0x%x",
                                   (unsigned)RANDOM_BASE + i, expected->memory[i], got->memory[i]);
        }
    }
    return NULL;
#undef DIFFER
}
