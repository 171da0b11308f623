/* SPDX-License-Identifier: MIT */
/*
 * Register allocation over live ranges. The idea to hold: time is two ticks an operation (inputs are
 * read at 2i, the result is written at 2i + 1), a range is one interval of ticks that covers all of a
 * register's life in the ordered region, and `busy` holds for each tick which host registers are
 * taken. A range is placed by or-ing the ticks it covers and taking a register that is not in there.
 *
 * Ranges are placed in order of weight (uses less costs, 8 times more for each loop around, over
 * length), so what is short and hot goes first and packs densely; long ranges then find the registers
 * that are free throughout. A global goes to a register only where that saves more than its load, write-backs
 * and reloads cost.
 */
#include "tcg/ir-internal.h"

#include <string.h>

#define NO_TICK UINT32_MAX
#define MAX_DEPTH 4

typedef struct Range {
    uint32_t start, end; /* ticks */
    uint32_t gain;       /* uses and definitions, weighed by how often they run */
    uint32_t cost;       /* of loading, reloading, writing back, were it in a register */
    IrReg hint;          /* best in the same register as that */
    uint16_t hint_frequency;
    uint16_t block;   /* of its first appearance; temps */
    int16_t crossing; /* number among the temps that live in more than one block, or -1 */
    bool used;
} Range;

typedef struct Call {
    uint32_t tick;
    uint16_t frequency;
    bool syscall;
} Call;

typedef struct Allocator {
    IrRegion *region;
    const IrHostRegs *host;
    IrAllocation *out;
    Range *range;
    uint32_t reg_count;
    IrReg *used; /* registers that operations name, as met */
    uint32_t used_count;
    uint64_t *busy; /* by tick: 32 bits of integer registers, 32 of floating-point ones above */
    uint32_t tick_count;
    uint64_t *order; /* weight and register, to sort */
    uint32_t order_count;
    Call *calls;
    uint32_t call_count;
    unsigned crossing_count;
    unsigned exit_often; /* of each exit: the region is left once for each time it is entered */
    uint64_t random;
} Allocator;

static unsigned frequency(const IrBlock *block)
{
    static const uint16_t by_depth[MAX_DEPTH + 1] = { 16, 128, 1024, 8192, 65535 };

    return block->cold ? 1 : by_depth[MIN(block->loop_depth, MAX_DEPTH)];
}

static unsigned exit_frequency(const IrRegion *region)
{
    unsigned exits = 0;

    for (uint32_t b = 0; b < region->block_count; b++) {
        uint16_t successors[2];

        exits += !region->blocks[b].cold &&
                 ir_successors(ir_block_last(region, &region->blocks[b]), successors) == 0;
    }
    return MAX(1, 16 / MAX(exits, 1));
}

static uint32_t add_capped(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX / 2 ? a : a + b;
}

static uint64_t next_random(Allocator *al)
{
    al->random ^= al->random << 13;
    al->random ^= al->random >> 7;
    al->random ^= al->random << 17;
    return al->random;
}

/* ---- Ranges. */

static inline void touch(Allocator *al, IrReg reg, uint32_t tick, unsigned frequency,
                         unsigned block)
{
    Range *r = &al->range[reg];

    if (r->start == NO_TICK) {
        r->start = tick;
        r->block = (uint16_t)block;
    } else if (ir_is_temp(reg) && r->block != block && r->crossing < 0) {
        r->crossing = (int16_t)al->crossing_count++;
    }
    if (!r->used) {
        r->used = true;
        al->used[al->used_count++] = reg;
    }
    r->end = tick;
    r->gain = add_capped(r->gain, frequency);
}

/* A syscall gives globals anew: one that is read next begins there. */
static inline void begin_at_syscall(Allocator *al, IrReg reg, uint32_t syscall)
{
    if (syscall != NO_TICK && ir_is_global(reg) && al->range[reg].start == NO_TICK) {
        al->range[reg].start = al->range[reg].end = syscall + 1;
    }
}

static void begin_set_at_syscall(Allocator *al, const uint64_t set[2], uint32_t syscall)
{
    for (unsigned w = 0; w < 2; w++) {
        for (uint64_t bits = set[w]; bits != 0; bits &= bits - 1) {
            begin_at_syscall(al, (IrReg)(w * 64 + (unsigned)__builtin_ctzll(bits)), syscall);
        }
    }
}

static inline void want_same(Allocator *al, IrReg a, IrReg b, unsigned frequency)
{
    if (al->range[a].hint == IR_NONE || al->range[a].hint_frequency < frequency) {
        al->range[a].hint = b;
        al->range[a].hint_frequency = (uint16_t)frequency;
    }
}

static void extend_set(Allocator *al, const uint64_t set[2], uint32_t tick)
{
    for (unsigned w = 0; w < 2; w++) {
        for (uint64_t bits = set[w]; bits != 0; bits &= bits - 1) {
            Range *r = &al->range[w * 64 + (unsigned)__builtin_ctzll(bits)];

            r->start = MIN(r->start, tick);
            r->end = r->end == NO_TICK ? tick : MAX(r->end, tick);
        }
    }
}

static void charge_set(Allocator *al, const uint64_t set[2], unsigned frequency)
{
    for (unsigned w = 0; w < 2; w++) {
        for (uint64_t bits = set[w]; bits != 0; bits &= bits - 1) {
            Range *r = &al->range[w * 64 + (unsigned)__builtin_ctzll(bits)];

            r->cost = add_capped(r->cost, frequency);
        }
    }
}

static void walk_block(Allocator *al, unsigned number)
{
    const IrBlock *block = &al->region->blocks[number];
    unsigned often = frequency(block);
    uint64_t dirty[2] = { block->dirty_in[0], block->dirty_in[1] };
    uint64_t at_site[2] = { 0, 0 };
    uint32_t site = NO_TICK, syscall = NO_TICK;

    extend_set(al, block->live_in, 2 * block->first);
    for (uint32_t i = block->first; i < block->first + block->count; i++) {
        const IrInsn *insn = &al->region->insns[i];
        unsigned flags = ir_op_info[insn->op].flags;
        const char *shape = ir_op_info[insn->op].shape;

        if (ir_has_reg(insn->a)) {
            begin_at_syscall(al, insn->a, syscall);
            touch(al, insn->a, 2 * i, often, number);
        }
        if (ir_has_reg(insn->b)) {
            begin_at_syscall(al, insn->b, syscall);
            touch(al, insn->b, 2 * i, often, number);
        }
        if (ir_has_reg(insn->c)) {
            begin_at_syscall(al, insn->c, syscall);
            touch(al, insn->c, 2 * i, often, number);
        }
        if (flags & (IR_FAULTS | IR_SYNC | IR_CALL)) {
            if (flags & (IR_FAULTS | IR_SYNC)) {
                site = 2 * i;
                at_site[0] = dirty[0];
                at_site[1] = dirty[1];
                if ((flags & IR_SYNC) && insn->op != IR_OP_poll) {
                    charge_set(al, dirty, flags & IR_END ? MIN(often, al->exit_often) : often);
                }
            }
            if (insn->op == IR_OP_syscall) {
                extend_set(al, dirty, 2 * i);
                dirty[0] = dirty[1] = 0;
                site = NO_TICK;
                syscall = 2 * i;
            }
            if (flags & IR_CALL) {
                al->calls[al->call_count++] = (Call){ .tick = 2 * i,
                                                      .frequency = (uint16_t)often,
                                                      .syscall = insn->op == IR_OP_syscall };
            }
        }
        if (ir_has_reg(insn->dst)) {
            if (flags & IR_READS_DST) {
                begin_at_syscall(al, insn->dst, syscall);
                touch(al, insn->dst, 2 * i, often, number);
            }
            touch(al, insn->dst, 2 * i + 1, often, number);
            if (ir_is_global(insn->dst)) {
                ir_set_add(dirty, insn->dst);
            }
            if (ir_has_reg(insn->a) && shape[0] == shape[2]) {
                want_same(al, insn->dst, insn->a, often);
                want_same(al, insn->a, insn->dst, often);
            }
        }
    }
    if (site != NO_TICK) {
        extend_set(al, at_site, site);
    }
    if (syscall != NO_TICK) {
        begin_set_at_syscall(al, block->live_out, syscall);
    }
    extend_set(al, block->live_out, 2 * (block->first + block->count - 1) + 1);
}

/*
 * Temps that live in several blocks: which are live into and out of each, by the same flow as ir_analyse
 * has for globals. There are few, if any.
 */
static void extend_crossing_temps(Allocator *al)
{
    IrRegion *region = al->region;
    unsigned words = (al->crossing_count + 63) / 64, n = region->block_count;
    uint64_t *sets = g_new0(uint64_t, (size_t)words * n * 3);
    uint64_t *use = sets, *def = use + (size_t)words * n, *in = def + (size_t)words * n;
    bool again = true;

    for (unsigned b = 0; b < n; b++) {
        const IrBlock *block = &region->blocks[b];

        for (uint32_t i = block->first; i < block->first + block->count; i++) {
            const IrInsn *insn = &region->insns[i];
            bool reads_dst = ir_op_info[insn->op].flags & IR_READS_DST;
            IrReg in_order[5] = { insn->a, insn->b, insn->c, reads_dst ? insn->dst : IR_NONE,
                                  insn->dst };

            for (unsigned k = 0; k < 5; k++) {
                int number = ir_is_temp(in_order[k]) ? al->range[in_order[k]].crossing : -1;
                size_t word = (size_t)b * words + (unsigned)number / 64;
                uint64_t bit = UINT64_C(1) << (number & 63);

                if (number < 0) {
                    continue;
                }
                if (k == 4) {
                    def[word] |= bit;
                } else if (!(def[word] & bit)) {
                    use[word] |= bit;
                }
            }
        }
    }
    while (again) {
        again = false;
        for (unsigned b = n; b-- > 0;) {
            uint16_t successors[2];
            unsigned count = ir_successors(ir_block_last(region, &region->blocks[b]), successors);

            for (unsigned w = 0; w < words; w++) {
                size_t word = (size_t)b * words + w;
                uint64_t out = 0;

                for (unsigned s = 0; s < count; s++) {
                    out |= in[(size_t)successors[s] * words + w];
                }
                out = use[word] | (out & ~def[word]);
                again |= out != in[word];
                in[word] = out;
            }
        }
    }
    for (uint32_t u = 0; u < al->used_count; u++) {
        Range *r = &al->range[al->used[u]];

        if (r->crossing < 0) {
            continue;
        }
        for (unsigned b = 0; b < n; b++) {
            const IrBlock *block = &region->blocks[b];
            size_t word = (size_t)b * words + (unsigned)r->crossing / 64;
            uint64_t bit = UINT64_C(1) << (r->crossing & 63);
            uint16_t successors[2];
            unsigned count = ir_successors(ir_block_last(region, block), successors);

            if (in[word] & bit) {
                r->start = MIN(r->start, 2 * block->first);
                r->end = MAX(r->end, 2 * block->first);
            }
            for (unsigned s = 0; s < count; s++) {
                if (in[(size_t)successors[s] * words + (unsigned)r->crossing / 64] & bit) {
                    r->start = MIN(r->start, 2 * (block->first + block->count - 1) + 1);
                    r->end = MAX(r->end, 2 * (block->first + block->count - 1) + 1);
                }
            }
        }
    }
    g_free(sets);
}

/* ---- Order. */

static void sort_descending(uint64_t *keys, uint32_t count)
{
    static const uint32_t gaps[] = { 3610, 1591, 701, 301, 132, 57, 23, 10, 4, 1 };

    for (unsigned g = 0; g < G_N_ELEMENTS(gaps); g++) {
        uint32_t gap = gaps[g];

        for (uint32_t i = gap; i < count; i++) {
            uint64_t key = keys[i];
            uint32_t j = i;

            for (; j >= gap && keys[j - gap] < key; j -= gap) {
                keys[j] = keys[j - gap];
            }
            keys[j] = key;
        }
    }
}

/* Calls within a range: how much saving around them costs. */
static uint32_t call_cost(const Allocator *al, const Range *r, bool global)
{
    uint32_t cost = 0;

    for (uint32_t i = 0; i < al->call_count; i++) {
        if (r->start < al->calls[i].tick + 1 && al->calls[i].tick + 1 < r->end &&
            !(global && al->calls[i].syscall)) {
            cost = add_capped(cost, 2u * al->calls[i].frequency);
        }
    }
    return cost;
}

static uint32_t reload_cost(const Allocator *al, const Range *r)
{
    uint32_t cost = 0;

    for (uint32_t i = 0; i < al->call_count; i++) {
        if (al->calls[i].syscall && r->start <= al->calls[i].tick && al->calls[i].tick < r->end) {
            cost = add_capped(cost, al->calls[i].frequency);
        }
    }
    return cost;
}

static void collect(Allocator *al)
{
    const IrBlock *entry = &al->region->blocks[0];

    for (uint32_t u = 0; u < al->used_count; u++) {
        IrReg reg = al->used[u];
        Range *r = &al->range[reg];
        IrHome *home = &al->out->home[reg];
        uint64_t weight;

        home->start = r->start / 2;
        home->end = r->end / 2;
        if (ir_is_global(reg)) {
            if (ir_set_has(entry->live_in, reg)) {
                r->cost = add_capped(r->cost, 16);
            }
            r->cost = add_capped(r->cost, reload_cost(al, r));
            if (r->cost >= r->gain && al->random == 0) {
                continue;
            }
        }
        weight = (uint64_t)(r->gain - MIN(r->cost, r->gain)) * 64 / (r->end - r->start + 2);
        if (al->random != 0) {
            weight = next_random(al);
            if (weight % 7 == 0) {
                continue;
            }
        }
        al->order[al->order_count++] = MIN(weight, UINT64_C(0xffffffffffff)) << 16 | reg;
    }
    sort_descending(al->order, al->order_count);
}

/* ---- Placing. */

static uint64_t busy_within(const Allocator *al, const Range *r)
{
    uint64_t busy = 0;

    for (uint32_t t = r->start; t <= r->end; t++) {
        busy |= al->busy[t];
    }
    return busy;
}

static int choose(Allocator *al, IrReg reg, IrType type, uint32_t free_regs)
{
    const Range *r = &al->range[reg];
    const IrHostRegs *host = al->host;
    unsigned count = host->count[type];
    uint32_t calls = 0;

    if (al->random != 0) {
        unsigned start = (unsigned)(next_random(al) % MAX(count, 1));

        for (unsigned i = 0; i < count; i++) {
            unsigned candidate = host->order[type][(start + i) % count];
            if (free_regs >> candidate & 1) {
                return (int)candidate;
            }
        }
        return -1;
    }
    if (al->call_count > 0) {
        calls = call_cost(al, r, ir_is_global(reg));
    }
    if (r->hint != IR_NONE) {
        int wish = al->out->home[r->hint].reg;

        if (wish >= 0 && (free_regs >> wish & 1) &&
            (calls == 0 || !(host->clobbered[type] >> wish & 1))) {
            return wish;
        }
    }
    if (calls > 0) {
        for (unsigned i = 0; i < count; i++) {
            unsigned candidate = host->order[type][i];
            if ((free_regs & ~host->clobbered[type]) >> candidate & 1) {
                return (int)candidate;
            }
        }
        if (add_capped(calls, r->cost) >= r->gain) {
            return -1;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned candidate = host->order[type][i];
        if (free_regs >> candidate & 1) {
            return (int)candidate;
        }
    }
    return -1;
}

static void place_all(Allocator *al)
{
    for (uint32_t k = 0; k < al->order_count; k++) {
        IrReg reg = (IrReg)(al->order[k] & 0xffff);
        const Range *r = &al->range[reg];
        IrType type = ir_type(al->region, reg);
        uint32_t busy = (uint32_t)(busy_within(al, r) >> (type == IR_TYPE_F64 ? 32 : 0));
        int chosen = choose(al, reg, type, ~busy);

        if (chosen >= 0) {
            uint64_t bit = UINT64_C(1) << (chosen + (type == IR_TYPE_F64 ? 32 : 0));

            for (uint32_t t = r->start; t <= r->end; t++) {
                al->busy[t] |= bit;
            }
            al->out->home[reg].reg = (int8_t)chosen;
            al->out->used[type] |= UINT32_C(1) << chosen;
            al->out->placed[al->out->placed_count++] = reg;
        }
    }
}

/* Temps that got no register share slots as their ranges allow, in order of start. */
static void give_slots(Allocator *al)
{
    uint32_t slot_end[IR_MAX_SLOTS];
    uint32_t count = 0;

    for (uint32_t u = 0; u < al->used_count; u++) {
        IrReg reg = al->used[u];

        if (ir_is_temp(reg) && al->out->home[reg].reg < 0) {
            al->order[count++] = (uint64_t)~al->range[reg].start << 16 | reg;
        }
    }
    if (count == 0) {
        return;
    }
    sort_descending(al->order, count);
    for (uint32_t k = 0; k < count; k++) {
        IrReg reg = (IrReg)(al->order[k] & 0xffff);
        uint32_t slot = 0;

        while (slot < al->out->slot_count && slot_end[slot] >= al->range[reg].start) {
            slot++;
        }
        g_assert(slot < IR_MAX_SLOTS);
        al->out->slot_count = MAX(al->out->slot_count, slot + 1);
        slot_end[slot] = al->range[reg].end;
        al->out->home[reg].slot = (int16_t)slot;
    }
}

void ir_allocate(IrRegion *region, const IrHostRegs *host, uint64_t fuzz_seed, IrAllocation *out)
{
    Allocator al = { .region = region, .host = host, .out = out, .random = fuzz_seed };
    uint8_t *at;

    al.reg_count = IR_FIRST_TEMP + region->temp_count;
    al.tick_count = 2 * region->insn_count + 2;
    if (out->capacity < al.reg_count) {
        out->capacity = al.reg_count + al.reg_count / 2;
        out->home = g_renew(IrHome, out->home, out->capacity);
        out->placed = g_renew(IrReg, out->placed, out->capacity);
    }
    out->slot_count = 0;
    out->placed_count = 0;
    out->used[0] = out->used[1] = 0;

    at = ir_scratch(region, al.reg_count * (sizeof(*al.range) + sizeof(*al.order) + 2) +
                                al.tick_count * sizeof(*al.busy) +
                                region->insn_count * sizeof(*al.calls) + 256);
    al.range = IR_CARVE(at, Range, al.reg_count);
    al.order = IR_CARVE(at, uint64_t, al.reg_count);
    al.busy = IR_CARVE(at, uint64_t, al.tick_count);
    al.calls = IR_CARVE(at, Call, region->insn_count);
    al.used = IR_CARVE(at, IrReg, al.reg_count);
    memset(al.busy, 0, al.tick_count * sizeof(*al.busy));
    for (uint32_t i = 0; i < al.reg_count; i++) {
        if (i == region->target->global_count) {
            i = IR_FIRST_TEMP;
        }
        if (i < al.reg_count) {
            al.range[i] =
                (Range){ .start = NO_TICK, .end = NO_TICK, .hint = IR_NONE, .crossing = -1 };
            out->home[i] = (IrHome){ .reg = -1, .slot = -1, .start = 1, .end = 0 };
        }
    }
    al.exit_often = exit_frequency(region);
    for (unsigned b = 0; b < region->block_count; b++) {
        walk_block(&al, b);
    }
    if (al.crossing_count > 0) {
        extend_crossing_temps(&al);
    }
    collect(&al);
    place_all(&al);
    give_slots(&al);
}

void ir_allocation_finish(IrAllocation *allocation)
{
    g_free(allocation->home);
    g_free(allocation->placed);
    memset(allocation, 0, sizeof(*allocation));
}

void ir_live_across(const IrRegion *region, const IrAllocation *allocation, uint32_t index,
                    bool globals, uint32_t regs[2])
{
    regs[0] = regs[1] = 0;
    for (uint32_t i = 0; i < allocation->placed_count; i++) {
        IrReg reg = allocation->placed[i];

        if (ir_live_after(allocation, reg, index) && (globals || ir_is_temp(reg))) {
            regs[ir_type(region, reg)] |= UINT32_C(1) << allocation->home[reg].reg;
        }
    }
}
