/* SPDX-License-Identifier: MIT */
/*
 * The IR interpreter's walk. The idea to hold: Machine is what a compiled back end has in
 * hardware: registers (TcgFrame), stack slots, env and view. One loop steps through operations;
 * whatever leaves the region gives the next piece of code, or a reason to go back to the run loop.
 */
#include "tcg/ir-interp.h"

#include <string.h>

#define POISON UINT64_C(0xdeadbea7f00dc0de)

typedef struct Machine {
    TcgCpu *cpu;
    TcgCpuFast *fast;
    uint8_t *env;
    const CodeHead *head;
    const IrInsn *insns;
    const Place *places;
    TcgFrame frame;
    uint64_t *slots;
    uint32_t slot_capacity;
    uint64_t few_slots[64];
} Machine;

static inline const void *table(const CodeHead *head, uint32_t offset)
{
    return (const uint8_t *)head + offset;
}

static inline uint64_t *global_place(const Machine *m, IrReg global)
{
    return (uint64_t *)(void *)(m->env + m->head->target->globals[global].offset_bytes);
}

static inline uint64_t *reg_place(Machine *m, IrReg reg)
{
    const Place *place = &m->places[reg];

    if (place->in_reg) {
        return place->f64 ? &m->frame.fpr[place->index] : &m->frame.gpr[place->index];
    }
    return place->global ? global_place(m, reg) : &m->slots[place->index];
}

static inline uint64_t read_reg(Machine *m, IrReg reg, const IrInsn *insn)
{
    if (reg >= IR_ZERO) {
        return reg == IR_IMM ? (uint64_t)insn->imm : 0;
    }
    return *reg_place(m, reg);
}

static void poison(Machine *m, uint32_t gprs, uint32_t fprs)
{
    for (unsigned i = 0; i < 32; i++) {
        if (gprs >> i & 1) {
            m->frame.gpr[i] = POISON + i;
        }
        if (fprs >> i & 1) {
            m->frame.fpr[i] = POISON - i;
        }
    }
}

static void enter_block(Machine *m, uint32_t block)
{
    const BlockHead *b = (const BlockHead *)table(m->head, m->head->blocks) + block;

    if (m->head->homes) {
        poison(m, ~b->in_use[0], ~b->in_use[1]);
    }
}

static void write_back(Machine *m, uint32_t index)
{
    const uint16_t *dirty_index = table(m->head, m->head->dirty_index);
    const TcgDirtySet *set =
        (const TcgDirtySet *)table(m->head, m->head->dirty_sets) + dirty_index[index];

    for (unsigned w = 0; w < 2; w++) {
        for (uint64_t bits = set->globals[w]; bits != 0; bits &= bits - 1) {
            IrReg global = (IrReg)(w * 64 + (unsigned)__builtin_ctzll(bits));
            *global_place(m, global) = *reg_place(m, global);
        }
    }
}

/* What a call does to registers: those that it may destroy and that nobody saves are poisoned. */
static void clobber(Machine *m, uint32_t index, bool globals)
{
    const Placed *placed = table(m->head, m->head->placed);
    uint32_t keep[2] = { 0, 0 };

    if (!m->head->homes) {
        return;
    }
    for (uint32_t i = 0; i < m->head->placed_count; i++) {
        if (placed[i].start <= index && index < placed[i].end &&
            (globals || ir_is_temp(placed[i].reg))) {
            keep[placed[i].f64] |= UINT32_C(1) << placed[i].host;
        }
    }
    poison(m, (globals ? m->head->regs->clobbered[0] : ~UINT32_C(0)) & ~keep[0],
           (globals ? m->head->regs->clobbered[1] : ~UINT32_C(0)) & ~keep[1]);
}

static void reload(Machine *m, uint32_t index)
{
    const Placed *placed = table(m->head, m->head->placed);

    for (uint32_t i = 0; i < m->head->placed_count; i++) {
        if (ir_is_global(placed[i].reg) && placed[i].start <= index && index < placed[i].end) {
            *reg_place(m, placed[i].reg) = *global_place(m, placed[i].reg);
        }
    }
}

static void store_pc(const Machine *m, uint64_t pc)
{
    memcpy(m->env + m->head->target->pc_offset, &pc, sizeof(pc));
}

static bool asked_to_leave(const Machine *m)
{
    const uint32_t *request =
        (const uint32_t *)(const void *)(m->env + m->head->target->exit_request_offset);

    return __atomic_load_n(request, __ATOMIC_ACQUIRE) != 0;
}

/* ---- Memory. */

static uint64_t extended(uint64_t value, unsigned mem)
{
    unsigned shift = 64 - (8u << (mem & IR_MEM_SIZE));

    return mem & IR_MEM_SIGNED ? (uint64_t)((int64_t)(value << shift) >> shift)
                               : value << shift >> shift;
}

/* The host address of an access that the TLB knows, or NULL. */
static uint8_t *tlb_hit(const Machine *m, uint64_t va, unsigned mem, bool store, bool atomic)
{
    const uint8_t *view = m->fast->view;
    uint64_t bytes = UINT64_C(1) << (mem & IR_MEM_SIZE), mask;
    const TcgTlbEntry *entry;

    if (view == NULL || (atomic && (va & (bytes - 1)) != 0)) {
        return NULL;
    }
    memcpy(&mask, view + (store ? TCG_VIEW_OFFSET(store_mask) : TCG_VIEW_OFFSET(load_mask)),
           sizeof(mask));
    entry =
        (const TcgTlbEntry *)(const void *)(view + (store ? TCG_VIEW_OFFSET(store) : 0) +
                                            ((va >> TCG_PAGE_BITS << TCG_TLB_ENTRY_SHIFT) & mask));
    if (((va + bytes - 1) & ~TCG_PAGE_MASK) != __atomic_load_n(&entry->tag, __ATOMIC_ACQUIRE)) {
        return NULL;
    }
    return (uint8_t *)(uintptr_t)(va + entry->addend);
}

static uint64_t host_load(const uint8_t *host, unsigned mem)
{
    uint64_t value = 0;

    if (((uintptr_t)host & ((UINT64_C(1) << (mem & IR_MEM_SIZE)) - 1)) != 0) {
        memcpy(&value, host, (size_t)1 << (mem & IR_MEM_SIZE));
        return value;
    }
    switch (mem & IR_MEM_SIZE) {
    case 0:
        return __atomic_load_n(host, __ATOMIC_ACQUIRE);
    case 1:
        return __atomic_load_n((const uint16_t *)(const void *)host, __ATOMIC_ACQUIRE);
    case 2:
        return __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_ACQUIRE);
    default:
        return __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_ACQUIRE);
    }
}

static void host_store(uint8_t *host, uint64_t value, unsigned mem)
{
    if (((uintptr_t)host & ((UINT64_C(1) << (mem & IR_MEM_SIZE)) - 1)) != 0) {
        memcpy(host, &value, (size_t)1 << (mem & IR_MEM_SIZE));
        return;
    }
    switch (mem & IR_MEM_SIZE) {
    case 0:
        __atomic_store_n(host, (uint8_t)value, __ATOMIC_RELEASE);
        break;
    case 1:
        __atomic_store_n((uint16_t *)(void *)host, (uint16_t)value, __ATOMIC_RELEASE);
        break;
    case 2:
        __atomic_store_n((uint32_t *)(void *)host, (uint32_t)value, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((uint64_t *)(void *)host, value, __ATOMIC_RELEASE);
        break;
    }
}

/* Stores value if *host holds expected; *expected becomes what it held. */
static bool host_swap_if(uint8_t *host, uint64_t *expected, uint64_t value, unsigned mem)
{
    bool done;

    if ((mem & IR_MEM_SIZE) == 3) {
        return __atomic_compare_exchange_n((uint64_t *)(void *)host, expected, value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint32_t old = (uint32_t)*expected;
        done = __atomic_compare_exchange_n((uint32_t *)(void *)host, &old, (uint32_t)value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *expected = old;
    }
    return done;
}

static uint64_t host_amo(uint8_t *host, uint64_t operand, unsigned mem)
{
    uint64_t old = host_load(host, mem), store;
    unsigned kind = mem >> IR_AMO_SHIFT;

    do {
        bool is_unsigned = kind == IR_AMO_MINU || kind == IR_AMO_MAXU;
        unsigned how = (mem & IR_MEM_SIZE) | (is_unsigned ? 0 : IR_MEM_SIGNED);

        store = ir_eval_amo(kind, extended(old, how), extended(operand, how));
    } while (!host_swap_if(host, &old, store, mem));
    return extended(old, (mem & IR_MEM_SIZE) | IR_MEM_SIGNED);
}

/* An operation with IR_MEM. 0, or why to leave. */
static uint64_t access_memory(Machine *m, const IrInsn *insn)
{
    const TcgHostCalls *calls = m->head->calls;
    uint64_t va = read_reg(m, insn->a, insn), value = 0, operand = 0;
    bool store = ir_op_info[insn->op].flags & IR_STORE;
    bool atomic = insn->op == IR_OP_amo || insn->op == IR_OP_cas || (insn->aux & IR_MEM_ATOMIC);
    TcgValue slow = { 0 };
    uint8_t *host;

    if (insn->op != IR_OP_amo && insn->op != IR_OP_cas) {
        va += (uint64_t)insn->imm;
    }
    if (store) {
        operand = read_reg(m, insn->b, insn);
    }
    m->frame.return_address = (uintptr_t)(insn + 1);
    host = tlb_hit(m, va, insn->aux, store, atomic);
    switch (insn->op) {
    case IR_OP_ld:
    case IR_OP_ld64f:
    case IR_OP_ld32f:
        if (host == NULL) {
            slow = calls->load(m->cpu, va, insn->aux, &m->frame);
        } else {
            slow.value = host_load(host, insn->aux);
        }
        value = extended(slow.value, insn->aux);
        if (insn->op == IR_OP_ld32f) {
            value |= UINT64_C(0xffffffff00000000);
        }
        break;
    case IR_OP_amo:
        if (host == NULL || (insn->aux & IR_MEM_SIZE) < 2) {
            slow = calls->amo(m->cpu, va, operand, insn->aux, &m->frame);
        } else {
            slow.value = host_amo(host, operand, insn->aux);
        }
        value = slow.value;
        break;
    case IR_OP_cas: {
        uint64_t wish = read_reg(m, insn->c, insn);

        if (host == NULL) {
            slow = calls->cas(m->cpu, va, operand, wish, insn->aux, &m->frame);
        } else {
            slow.value = extended(operand, insn->aux & IR_MEM_SIZE);
            host_swap_if(host, &slow.value, wish, insn->aux);
        }
        value = extended(slow.value, (insn->aux & IR_MEM_SIZE) | IR_MEM_SIGNED);
        break;
    }
    default:
        if (host == NULL) {
            slow = calls->store(m->cpu, va, operand, insn->aux, &m->frame);
        } else {
            host_store(host, operand, insn->aux);
        }
        break;
    }
    if (slow.status == 0 && insn->dst != IR_NONE) {
        *reg_place(m, insn->dst) = value;
    }
    return slow.status;
}

/* ---- Floating point and calls. */

static uint64_t floating_point(Machine *m, const IrInsn *insn, uint64_t a, uint64_t b, uint64_t c)
{
    TcgFpEnv fp = { .round = (uint8_t)m->fast->fp_round };
    uint64_t result = m->head->calls->fpu->op[insn->op](&fp, insn->aux, a, b, c);

    m->fast->mxcsr |= (fp.flags & 16 ? 1u : 0) | (fp.flags & 8 ? 4u : 0) | (fp.flags & 4 ? 8u : 0) |
                      (fp.flags & 2 ? 16u : 0) | (fp.flags & 1 ? 32u : 0);
    return result;
}

static uint64_t boxed_or_nan(uint64_t reg)
{
    return reg >> 32 == UINT32_MAX ? reg : UINT64_C(0xffffffff7fc00000);
}

/* Bits of floating-point registers: what neither rounds nor raises. */
static uint64_t move_bits(unsigned op, uint64_t a, uint64_t b)
{
    const uint64_t sign64 = UINT64_C(1) << 63, sign32 = UINT64_C(1) << 31;

    switch (op) {
    case IR_OP_fsgnjd:
        return (a & ~sign64) | (b & sign64);
    case IR_OP_fsgnjnd:
        return (a & ~sign64) | (~b & sign64);
    case IR_OP_fsgnjxd:
        return a ^ (b & sign64);
    case IR_OP_fsgnjs:
        a = boxed_or_nan(a);
        return (a & ~sign32) | (boxed_or_nan(b) & sign32);
    case IR_OP_fsgnjns:
        a = boxed_or_nan(a);
        return (a & ~sign32) | (~boxed_or_nan(b) & sign32);
    case IR_OP_fsgnjxs:
        return boxed_or_nan(a) ^ (boxed_or_nan(b) & sign32);
    case IR_OP_fmvxw:
        return (uint64_t)(int64_t)(int32_t)a;
    case IR_OP_fmvwx:
        return UINT64_C(0xffffffff00000000) | (uint32_t)a;
    default: /* fmov, fmvxd, fmvdx */
        return a;
    }
}

static uint64_t call_helper(const Machine *m, const IrInsn *insn, uint64_t a, uint64_t b,
                            uint64_t c)
{
    const IrHelper *helper = &m->head->target->helpers[insn->aux];
    uint64_t imm = (uint64_t)insn->imm;

    if (helper->env) {
        uint64_t (*fn)(void *, uint64_t, uint64_t, uint64_t, uint64_t) =
            (uint64_t(*)(void *, uint64_t, uint64_t, uint64_t, uint64_t))helper->fn;
        return fn(m->env, a, b, c, imm);
    }
    return ((uint64_t(*)(uint64_t, uint64_t, uint64_t, uint64_t))helper->fn)(a, b, c, imm);
}

static uint32_t call_syscall(Machine *m, uint32_t index, uint64_t a, uint64_t b)
{
    const IrInsn *insn = &m->insns[index];
    const IrHelper *helper = &m->head->target->helpers[insn->aux];
    const uint64_t *guest_pcs = table(m->head, m->head->guest_pcs);
    uint64_t (*fn)(void *, uint64_t, uint64_t, uint64_t) =
        (uint64_t(*)(void *, uint64_t, uint64_t, uint64_t))helper->fn;
    uint32_t step;

    write_back(m, index);
    store_pc(m, guest_pcs[insn->guest]);
    step = (uint32_t)fn(m->env, a, b, (uint64_t)insn->imm);
    if (step == TCG_STEP_NEXT) {
        clobber(m, index, false);
        reload(m, index);
    }
    return step;
}

/* ---- The walk. */

static const void *follow_link(Machine *m, uint32_t slot, uint32_t *reason)
{
    const int32_t *operand = (const int32_t *)table(m->head, m->head->links) + slot;
    int32_t distance = __atomic_load_n(operand, __ATOMIC_ACQUIRE);
    TcgValue next;

    if (distance != 0) {
        return (const uint8_t *)operand + distance;
    }
    next = m->head->calls->link(m->cpu, m->head->tb, slot);
    *reason = (uint32_t)next.status;
    return (const void *)(uintptr_t)next.value;
}

static const void *look_up(Machine *m, uint32_t *reason)
{
    TcgValue next = m->head->calls->lookup(m->cpu);

    *reason = (uint32_t)next.status;
    return (const void *)(uintptr_t)next.value;
}

static bool prepare(Machine *m)
{
    const CodeHead *head = m->head;

    m->insns = table(head, head->insns);
    m->places = table(head, head->places);
    if (head->slot_count > m->slot_capacity) {
        if (m->slots != m->few_slots) {
            g_free(m->slots);
        }
        m->slot_capacity = head->slot_count;
        m->slots = g_new(uint64_t, m->slot_capacity);
    }
    if (head->homes) {
        const Placed *placed = table(head, head->placed);

        poison(m, ~UINT32_C(0), ~UINT32_C(0));
        for (uint32_t i = 0; i < head->slot_count; i++) {
            m->slots[i] = POISON ^ 1;
        }
        for (uint32_t i = 0; i < head->placed_count; i++) {
            if (ir_is_global(placed[i].reg) && ir_set_has(head->live_in, placed[i].reg)) {
                *reg_place(m, placed[i].reg) = *global_place(m, placed[i].reg);
            }
        }
    }
    return true;
}

/* Before the first block: what the entry of compiled code does. True: *next or *reason say what to do. */
static bool leave_at_entry(Machine *m, const void **next, uint32_t *reason)
{
    const CodeHead *head = m->head;

    if (head->kind == CODE_LOOKUP) {
        *next = look_up(m, reason);
        return true;
    }
    if (__atomic_load_n(&head->kind, __ATOMIC_ACQUIRE) == CODE_KILLED) {
        store_pc(m, head->pc);
        *next = look_up(m, reason);
        return true;
    }
    if (asked_to_leave(m)) {
        store_pc(m, head->pc);
        *next = NULL;
        *reason = TCG_EXIT_POLL;
        return true;
    }
    if (head->heat_offset != 0) {
        int32_t *heat = (int32_t *)(void *)((uint8_t *)m->fast->view + head->heat_offset);

        if (--*heat < 0) {
            TcgValue hot;

            store_pc(m, head->pc);
            hot = head->calls->hot(m->cpu, head->tb);
            *reason = (uint32_t)hot.status;
            *next = (const void *)(uintptr_t)hot.value;
            /* The same code again: go on without another count. */
            return *reason != 0 || *next != head;
        }
    }
    return false;
}

/* One region. The code to go on with, or NULL and why to leave. */
static const void *walk(Machine *m, uint32_t *reason)
{
    const BlockHead *blocks = table(m->head, m->head->blocks);
    uint32_t index = blocks[0].first;

    enter_block(m, 0);
    for (;;) {
        const IrInsn *insn = &m->insns[index];
        unsigned flags = ir_op_info[insn->op].flags;
        uint32_t block = UINT32_MAX, step;
        uint64_t a, b, c, result;

        if (flags & IR_MEM) {
            *reason = (uint32_t)access_memory(m, insn);
            if (*reason != 0) {
                return NULL;
            }
            index++;
            continue;
        }
        a = read_reg(m, insn->a, insn);
        b = read_reg(m, insn->b, insn);
        c = read_reg(m, insn->c, insn);
        switch (insn->op) {
        case IR_OP_br:
            block = insn->aux;
            break;
        case IR_OP_brcond:
            block = ir_eval_cond(insn->cond, a, b) ? insn->aux : insn->target;
            break;
        case IR_OP_poll:
            if (asked_to_leave(m)) {
                write_back(m, index);
                store_pc(m, (uint64_t)insn->imm);
                *reason = TCG_EXIT_POLL;
                return NULL;
            }
            block = insn->aux;
            break;
        case IR_OP_exit:
            write_back(m, index);
            store_pc(m, (uint64_t)insn->imm);
            return insn->aux == IR_LINK_NONE ? look_up(m, reason)
                                             : follow_link(m, insn->aux, reason);
        case IR_OP_exit_reg:
            write_back(m, index);
            store_pc(m, a);
            return look_up(m, reason);
        case IR_OP_syscall:
            step = call_syscall(m, index, a, b);
            if (step == TCG_STEP_JUMP) {
                return look_up(m, reason);
            } else if (step != TCG_STEP_NEXT) {
                *reason = step;
                return NULL;
            }
            break;
        case IR_OP_call:
        case IR_OP_callf:
        case IR_OP_callif:
            result = call_helper(m, insn, a, b, c);
            clobber(m, index, true);
            *reg_place(m, insn->dst) = result;
            break;
        case IR_OP_fence:
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            break;
        default:
            if (flags & IR_FP) {
                result = floating_point(m, insn, a, b, c);
            } else if (ir_can_eval(insn->op)) {
                result =
                    ir_eval(insn, a, b, c, flags & IR_READS_DST ? read_reg(m, insn->dst, insn) : 0);
            } else {
                result = move_bits(insn->op, a, b);
            }
            *reg_place(m, insn->dst) = result;
            break;
        }
        if (block != UINT32_MAX) {
            enter_block(m, block);
            index = blocks[block].first;
        } else {
            index++;
        }
    }
}

uint32_t ir_interp_run(TcgCpu *cpu, const void *code)
{
    Machine m = { .cpu = cpu, .fast = (TcgCpuFast *)(void *)cpu };
    uint32_t reason = TCG_EXIT_NONE;

    m.slots = m.few_slots;
    m.slot_capacity = G_N_ELEMENTS(m.few_slots);
    while (reason == TCG_EXIT_NONE && code != NULL) {
        m.env = m.fast->env;
        m.head = code;
        if (!leave_at_entry(&m, &code, &reason)) {
            prepare(&m);
            code = walk(&m, &reason);
        }
    }
    if (m.slots != m.few_slots) {
        g_free(m.slots);
    }
    return reason;
}
