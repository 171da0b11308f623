/* SPDX-License-Identifier: MIT */
/*
 * The generator of random regions. The idea to hold: it works in guest instructions, as a front end does:
 * memory first, then what is written; each counts one, and the sum is added before a block ends and
 * before each syscall.
 */
#include "tests/tcg/random-ir.h"

#include <stddef.h>

/* ---- The target. */

static uint64_t mix(uint64_t a)
{
    a ^= a >> 33;
    a *= UINT64_C(0xff51afd7ed558ccd);
    a ^= a >> 29;
    a *= UINT64_C(0xc4ceb9fe1a85ec53);
    return a ^ a >> 32;
}

static uint64_t pure_helper(uint64_t a, uint64_t b, uint64_t c, uint64_t imm)
{
    return mix(a + 3 * mix(b + 5 * mix(c) + imm));
}

static uint64_t pure_float_helper(void *env, uint64_t a, uint64_t b, uint64_t c, uint64_t imm)
{
    return UINT64_C(0x3ff0000000000000) | mix(a ^ mix(b ^ mix(c ^ imm))) >> 12;
}

/* Reads and changes some registers, sees count and pc; leaves now and then. */
static uint64_t syscall_helper(void *opaque, uint64_t a, uint64_t b, uint64_t imm)
{
    RandomEnv *env = opaque;
    uint64_t seen = mix(a + mix(b + imm) + env->pc + 7 * env->count);

    for (unsigned i = 0; i < RANDOM_POINTERS; i++) {
        seen = mix(seen + env->x[i]);
        if (seen & 1) {
            env->x[i] = seen;
        }
    }
    for (unsigned i = 0; i < RANDOM_FLOATS; i++) {
        seen = mix(seen + env->f[i]);
        if ((seen & 3) == 0) {
            env->f[i] = seen;
        }
    }
    env->count++;
    switch (seen >> 8 & 15) {
    case 0:
        env->pc += 4;
        return TCG_STEP_RESUME;
    case 1:
        env->pc += 8;
        return TCG_STEP_JUMP;
    default:
        return TCG_STEP_NEXT;
    }
}

#define INT(i_)                                                                                    \
    {                                                                                              \
        "x" #i_, IR_TYPE_I64, offsetof(RandomEnv, x) + 8 * i_                                      \
    }
#define FLOAT(i_)                                                                                  \
    {                                                                                              \
        "f" #i_, IR_TYPE_F64, offsetof(RandomEnv, f) + 8 * i_                                      \
    }
#define COUNT (RANDOM_INTS + RANDOM_FLOATS)

static const IrGlobal globals[] = {
    INT(0),   INT(1),   INT(2),   INT(3),   INT(4),
    INT(5),   INT(6),   INT(7),   INT(8),   INT(9),
    INT(10),  INT(11),  INT(12),  INT(13),  INT(14),
    INT(15),  FLOAT(0), FLOAT(1), FLOAT(2), FLOAT(3),
    FLOAT(4), FLOAT(5), FLOAT(6), FLOAT(7), { "count", IR_TYPE_I64, offsetof(RandomEnv, count) },
};

enum { HELPER_PURE, HELPER_PURE_FLOAT, HELPER_SYSCALL };

static const IrHelper helpers[] = {
    [HELPER_PURE] = { "pure", (void *)pure_helper, false },
    [HELPER_PURE_FLOAT] = { "pure_float", (void *)pure_float_helper, true },
    [HELPER_SYSCALL] = { "mixture", (void *)syscall_helper, true },
};

const IrTarget random_ir_target = {
    .name = "random",
    .globals = globals,
    .global_count = G_N_ELEMENTS(globals),
    .helpers = helpers,
    .helper_count = G_N_ELEMENTS(helpers),
    .pc_offset = offsetof(RandomEnv, pc),
    .exit_request_offset = offsetof(RandomEnv, exit_request),
    .count = COUNT,
};

/* ---- The generator. */

#define MAX_BLOCKS 10
#define TEMPS 12

typedef struct Generator {
    IrRegion *region;
    uint64_t random;
    unsigned parts, block_count, block;
    uint64_t pc;
    unsigned pending;
    IrReg temps[2][TEMPS]; /* that may be read here, by type */
    unsigned temp_count[2];
    unsigned common[2]; /* of these, written in block 0, read anywhere */
    IrReg fresh[2][2];  /* written again in this guest instruction: rewritten temps */
    bool wrote;         /* the guest instruction has written a global */
} Generator;

static uint64_t bits(Generator *g)
{
    g->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(g->random);
}

static unsigned below(Generator *g, unsigned n)
{
    return (unsigned)(bits(g) >> 33) % n;
}

static IrReg any_global(Generator *g, IrType type)
{
    return (IrReg)(type == IR_TYPE_F64 ? RANDOM_INTS + below(g, RANDOM_FLOATS)
                                       : below(g, RANDOM_INTS));
}

static IrReg any_input(Generator *g, IrType type)
{
    if (g->temp_count[type] > 0 && below(g, 2) == 0) {
        return g->temps[type][below(g, g->temp_count[type])];
    }
    if (below(g, 16) == 0) {
        return IR_ZERO;
    }
    return any_global(g, type);
}

static IrReg new_temp(Generator *g, IrType type)
{
    IrReg temp;

    /* Write one again that is there already: temps are variables. */
    if (g->temp_count[type] > g->common[type] && below(g, 4) == 0) {
        return g->temps[type][g->common[type] + below(g, g->temp_count[type] - g->common[type])];
    }
    temp = ir_temp(g->region, type);
    if (g->temp_count[type] < TEMPS) {
        g->temps[type][g->temp_count[type]++] = temp;
    } else if (g->common[type] < TEMPS) {
        g->temps[type][g->common[type] + below(g, TEMPS - g->common[type])] = temp;
    }
    return temp;
}

/* A result: a temp, or a global that may be written at will. Ask for inputs first. */
static IrReg any_result(Generator *g, IrType type)
{
    if (below(g, 2) == 0) {
        return new_temp(g, type);
    }
    g->wrote = true;
    return (IrReg)(type == IR_TYPE_F64 ? RANDOM_INTS + below(g, RANDOM_FLOATS)
                                       : below(g, RANDOM_POINTERS));
}

static int64_t any_imm(Generator *g)
{
    static const int64_t special[] = { 0,    1,         -1,        2,          8,
                                       31,   32,        63,        64,         255,
                                       4095, 0xfffff,   INT32_MAX, INT32_MIN,  0x80000000,
                                       -8,   INT64_MAX, INT64_MIN, 0xffffffff, 0x123456789abcdef };

    return below(g, 4) == 0 ? (int64_t)bits(g)
           : below(g, 2)    ? (int64_t)below(g, 4096) - 2048
                            : special[below(g, G_N_ELEMENTS(special))];
}

static void count_up(Generator *g)
{
    if (g->pending > 0) {
        ir_emit_imm(g->region, IR_OP_add, COUNT, COUNT, g->pending);
        g->pending = 0;
    }
}

static IrReg address(Generator *g, int64_t *imm)
{
    IrReg base, temp;

    *imm = below(g, 3) == 0 ? 0 : (int64_t)below(g, 128) - 32;
    if (below(g, 2) == 0) {
        return (IrReg)(RANDOM_POINTERS + below(g, 2));
    }
    base = any_input(g, IR_TYPE_I64);
    temp = new_temp(g, IR_TYPE_I64);
    ir_emit_imm(g->region, IR_OP_and, temp, base, below(g, 4) ? 0x7ff8 : 0x7fff);
    if (below(g, 4) == 0) {
        *imm += RANDOM_BASE;
        return temp;
    }
    base = temp;
    temp = new_temp(g, IR_TYPE_I64);
    ir_emit_imm(g->region, IR_OP_add, temp, base, RANDOM_BASE);
    return temp;
}

/* An access as a front end would write it: nothing of this instruction has been written yet. */
static void emit_access(Generator *g)
{
    int64_t imm;
    IrReg a = address(g, &imm), b, c, dst;
    IrInsn *insn;
    unsigned size = below(g, 4);

    switch (below(g, 8)) {
    case 0:
    case 1:
    case 2:
        dst = any_result(g, IR_TYPE_I64);
        insn = ir_emit(g->region, IR_OP_ld, dst, a, IR_NONE, IR_NONE);
        insn->imm = imm;
        insn->aux = (uint16_t)(size | (below(g, 2) ? IR_MEM_SIGNED : 0));
        if (size >= 2 && below(g, 6) == 0) {
            insn->aux |= IR_MEM_ATOMIC;
        }
        break;
    case 3:
    case 4:
        b = any_input(g, IR_TYPE_I64);
        insn = ir_emit(g->region, IR_OP_st, IR_NONE, a, b, IR_NONE);
        insn->imm = imm;
        insn->aux = (uint16_t)size;
        break;
    case 5:
        b = any_input(g, IR_TYPE_I64);
        dst = any_result(g, IR_TYPE_I64);
        insn = ir_emit(g->region, IR_OP_amo, dst, a, b, IR_NONE);
        insn->aux = (uint16_t)((2 + (size & 1)) | IR_MEM_SIGNED |
                               below(g, IR_AMO_MAXU + 1) << IR_AMO_SHIFT);
        break;
    case 6:
        b = any_input(g, IR_TYPE_I64);
        c = any_input(g, IR_TYPE_I64);
        dst = any_result(g, IR_TYPE_I64);
        insn = ir_emit(g->region, IR_OP_cas, dst, a, b, c);
        insn->aux = (uint16_t)((2 + (size & 1)) | IR_MEM_SIGNED);
        break;
    default:
        if (!(g->parts & RANDOM_IR_FP)) {
            break;
        }
        if (below(g, 2)) {
            dst = any_result(g, IR_TYPE_F64);
            insn =
                ir_emit(g->region, size & 1 ? IR_OP_ld64f : IR_OP_ld32f, dst, a, IR_NONE, IR_NONE);
        } else {
            b = any_input(g, IR_TYPE_F64);
            insn = ir_emit(g->region, size & 1 ? IR_OP_st64f : IR_OP_st32f, IR_NONE, a, b, IR_NONE);
        }
        insn->imm = imm;
        insn->aux = size & 1 ? 3 : 2;
        break;
    }
}

static bool wanted(const Generator *g, unsigned op)
{
    const IrOpInfo *info = &ir_op_info[op];

    if (info->flags & (IR_END | IR_MEM)) {
        return false;
    }
    if (info->flags & IR_CALL) {
        return g->parts & RANDOM_IR_CALLS;
    }
    return (g->parts & RANDOM_IR_FP) ||
           (!(info->flags & IR_FP) && strchr(info->shape, 'f') == NULL);
}

static void fill_aux(Generator *g, IrInsn *insn)
{
    const IrOpInfo *info = &ir_op_info[insn->op];

    if (info->flags & IR_COND) {
        insn->cond = (uint8_t)below(g, IR_COND_COUNT);
    }
    if (insn->op == IR_OP_addsh) {
        insn->aux = (uint16_t)(1 + below(g, 3));
    } else if (insn->op == IR_OP_fmad || insn->op == IR_OP_fmas) {
        insn->aux =
            (uint16_t)((below(g, 4) * IR_NEGATE_PRODUCT) & (IR_NEGATE_PRODUCT | IR_NEGATE_ADDEND));
    } else if ((info->flags & IR_FP) && info->shape[0] == 'i' && info->shape[3] == '-') {
        insn->aux = below(g, 2) ? IR_TOWARD_ZERO : 0;
    } else if (info->flags & IR_CALL) {
        insn->aux = insn->op == IR_OP_syscall ? HELPER_SYSCALL
                    : insn->op == IR_OP_call  ? HELPER_PURE
                                              : HELPER_PURE_FLOAT;
    }
}

static void emit_operation(Generator *g)
{
    IrReg in[3], dst = IR_NONE;
    const char *shape;
    IrInsn *insn;
    int64_t imm = any_imm(g);
    unsigned op;

    do {
        op = below(g, IR_OP_COUNT);
    } while (!wanted(g, op) || (op == IR_OP_syscall && below(g, 4) != 0));
    if (below(g, 4) == 0) { /* what is common: more of it */
        static const uint8_t common[] = { IR_OP_add, IR_OP_mov,  IR_OP_movi,   IR_OP_addw,
                                          IR_OP_and, IR_OP_shl,  IR_OP_sext32, IR_OP_zext32,
                                          IR_OP_set, IR_OP_cmov, IR_OP_shr,    IR_OP_sub,
                                          IR_OP_or,  IR_OP_xor,  IR_OP_shlw,   IR_OP_sext8 };
        op = common[below(g, G_N_ELEMENTS(common))];
    }
    shape = ir_op_info[op].shape;
    for (unsigned i = 0; i < 3; i++) {
        char s = shape[2 + i];

        in[i] = s == '-'                       ? IR_NONE
                : s == 'I' && below(g, 2) == 0 ? IR_IMM
                                               : any_input(g, s == 'f' ? IR_TYPE_F64 : IR_TYPE_I64);
    }
    if (op == IR_OP_syscall) {
        count_up(g);
    }
    if (shape[0] != '-') {
        IrType type = shape[0] == 'f' ? IR_TYPE_F64 : IR_TYPE_I64;

        if (!(ir_op_info[op].flags & IR_READS_DST)) {
            dst = any_result(g, type);
        } else if (g->temp_count[type] > g->common[type] && below(g, 2)) {
            dst = g->temps[type][g->common[type]]; /* one that has been written */
        } else {
            dst = (IrReg)below(g, RANDOM_POINTERS);
            g->wrote = true;
        }
    }
    insn = ir_emit(g->region, op, dst, in[0], in[1], in[2]);
    insn->imm = in[1] == IR_IMM || op == IR_OP_movi || (ir_op_info[op].flags & IR_CALL) ? imm : 0;
    fill_aux(g, insn);
}

/* Extensions as compilers write them: two shifts in place, now and then with something in between. */
static void emit_shift_pair(Generator *g)
{
    static const uint8_t amounts[] = { 16, 24, 32, 48, 56, 7 };
    IrReg reg = (IrReg)below(g, RANDOM_POINTERS), from = any_input(g, IR_TYPE_I64);
    bool word = below(g, 2);
    unsigned by = amounts[below(g, G_N_ELEMENTS(amounts))];

    if (below(g, 2)) {
        from = reg;
        ir_emit_imm(g->region, IR_OP_addw, reg, reg, any_imm(g));
    }
    ir_emit_imm(g->region, word ? IR_OP_shlw : IR_OP_shl, reg, from, by);
    g->wrote = true;
    if (below(g, 3) == 0) {
        ir_emit_imm(g->region, IR_OP_add, (IrReg)below(g, RANDOM_POINTERS),
                    any_input(g, IR_TYPE_I64), 1);
    }
    ir_emit_imm(g->region,
                below(g, 2) ? (word ? IR_OP_shrw : IR_OP_shr) : (word ? IR_OP_sarw : IR_OP_sar),
                reg, reg, by);
}

static void emit_guest_insn(Generator *g)
{
    unsigned operations = 1 + below(g, 3);

    ir_guest(g->region, g->pc, (uint32_t)bits(g), 4, g->pending);
    g->pc += 4;
    g->wrote = false;
    if ((g->parts & RANDOM_IR_MEMORY) && below(g, 3) == 0) {
        emit_access(g);
    }
    g->pending++;
    if (below(g, 8) == 0) {
        IrReg pointer = (IrReg)(RANDOM_POINTERS + below(g, 2));

        ir_emit_imm(g->region, IR_OP_add, pointer, pointer, ((int64_t)below(g, 16) - 4) * 8);
    }
    if (below(g, 8) == 0) {
        emit_shift_pair(g);
    }
    while (operations-- > 0) {
        emit_operation(g);
    }
}

static uint16_t forward(Generator *g)
{
    return (uint16_t)(g->block + 1 + below(g, g->block_count - g->block - 1));
}

static void emit_brcond(Generator *g, unsigned cond, IrReg a, IrReg b, int64_t imm, uint16_t taken,
                        uint16_t other)
{
    IrInsn *insn = ir_emit(g->region, IR_OP_brcond, IR_NONE, a, b, IR_NONE);

    insn->cond = (uint8_t)cond;
    insn->imm = imm;
    insn->aux = taken;
    insn->target = other;
}

static void emit_exit(Generator *g)
{
    if (below(g, 4) == 0) {
        ir_emit(g->region, IR_OP_exit_reg, IR_NONE, any_input(g, IR_TYPE_I64), IR_NONE, IR_NONE);
    } else {
        IrInsn *insn = ir_emit(g->region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);

        insn->imm = (int64_t)(g->pc + 16 * below(g, 64));
        insn->aux = below(g, 3) == 0 || g->region->link_count >= IR_MAX_LINKS
                        ? IR_LINK_NONE
                        : (uint16_t)g->region->link_count++;
    }
}

static void emit_end(Generator *g)
{
    bool last = g->block == g->block_count - 1;

    count_up(g);
    if (last || below(g, 8) == 0) {
        emit_exit(g);
        return;
    }
    switch (below(g, 4)) {
    case 0:
        ir_emit(g->region, IR_OP_br, IR_NONE, IR_NONE, IR_NONE, IR_NONE)->aux = forward(g);
        break;
    case 1:
        emit_brcond(g, below(g, IR_COND_COUNT), any_input(g, IR_TYPE_I64),
                    below(g, 2) ? any_input(g, IR_TYPE_I64) : IR_IMM, any_imm(g), forward(g),
                    forward(g));
        break;
    case 2: {
        /* A comparison of its own, as a front end for another architecture would make. */
        IrReg a = any_input(g, IR_TYPE_I64), b = any_input(g, IR_TYPE_I64);
        IrReg dst = ir_temp(g->region, IR_TYPE_I64);

        ir_emit(g->region, IR_OP_set, dst, a, b, IR_NONE)->cond = (uint8_t)below(g, IR_COND_COUNT);
        emit_brcond(g, below(g, 2) ? IR_EQ : IR_NE, dst, IR_IMM, 0, forward(g), forward(g));
        break;
    }
    default: {
        uint16_t back = (uint16_t)below(g, g->block + 1);

        ir_emit_imm(g->region, IR_OP_sub, RANDOM_FUEL, RANDOM_FUEL, 1);
        if (below(g, 2)) {
            uint16_t poll = ir_block_new(g->region, g->pc);

            emit_brcond(g, IR_GT, RANDOM_FUEL, IR_IMM, 0, poll, forward(g));
            ir_block_begin(g->region, poll);
            ir_emit_imm(g->region, IR_OP_poll, IR_NONE, IR_NONE, (int64_t)g->pc - 64);
            g->region->insns[g->region->insn_count - 1].b = IR_NONE;
            g->region->insns[g->region->insn_count - 1].aux = back;
        } else {
            emit_brcond(g, IR_GT, RANDOM_FUEL, IR_IMM, 0, back, forward(g));
        }
        break;
    }
    }
}

void random_ir_region(IrRegion *region, uint64_t seed, unsigned parts)
{
    Generator g = { .region = region, .random = seed, .parts = parts };

    g.pc = UINT64_C(0x80000000) + (bits(&g) & 0xff0);
    ir_region_reset(region, &random_ir_target, g.pc);
    g.block_count = parts & RANDOM_IR_BRANCHES ? 1 + below(&g, MAX_BLOCKS) : 1;
    for (unsigned i = 0; i < g.block_count; i++) {
        ir_block_new(region, g.pc + 64 * i);
    }
    for (g.block = 0; g.block < g.block_count; g.block++) {
        unsigned insns = 1 + below(&g, 8);

        region->blocks[g.block].cold = below(&g, 6) == 0;
        ir_block_begin(region, (uint16_t)g.block);
        if (g.block > 0) {
            g.temp_count[0] = g.common[0];
            g.temp_count[1] = g.common[1];
        }
        while (insns-- > 0) {
            emit_guest_insn(&g);
        }
        if (g.block == 0) {
            g.common[0] = MIN(g.temp_count[0], 4);
            g.common[1] = MIN(g.temp_count[1], 2);
        }
        emit_end(&g);
    }
    ir_region_finish(region);
}
