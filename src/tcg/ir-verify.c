/* SPDX-License-Identifier: MIT */
/*
 * Well-formedness of regions. The idea to hold: everything back ends and passes take for granted is checked
 * here and nowhere else; the first thing wrong is reported with the operation's text. It is for tests
 * and debug builds, so it may take its time.
 */
#include "tcg/ir-internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

typedef struct Verifier {
    const IrRegion *region;
    uint32_t block, index;
    uint64_t links; /* slots that an exit has */
    char *wrong;
} Verifier;

static bool wrong(Verifier *v, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool wrong(Verifier *v, const char *format, ...)
{
    va_list args;
    char *what;

    if (v->wrong == NULL) {
        const IrBlock *block = &v->region->blocks[v->block];
        const char *op = "?";

        if (v->index < v->region->insn_count && v->region->insns[v->index].op < IR_OP_COUNT) {
            op = ir_op_info[v->region->insns[v->index].op].name;
        }
        va_start(args, format);
        what = g_strdup_vprintf(format, args);
        va_end(args);
        v->wrong = g_strdup_printf("block %u, operation %u (%s): %s", v->block,
                                   v->index - block->first, op, what);
        g_free(what);
    }
    return false;
}

static bool known(const IrRegion *region, IrReg reg)
{
    return ir_is_temp(reg) ? (uint32_t)(reg - IR_FIRST_TEMP) < region->temp_count
                           : reg < region->target->global_count;
}

static bool check_operand(Verifier *v, IrReg reg, char shape, const char *role, bool optional)
{
    if (shape == '-') {
        return reg == IR_NONE || wrong(v, "%s must be IR_NONE", role);
    }
    if (reg == IR_NONE) {
        return optional || wrong(v, "%s is missing", role);
    }
    if (reg == IR_IMM) {
        return shape == 'I' || wrong(v, "%s cannot be an immediate", role);
    }
    if (reg == IR_ZERO) {
        return strcmp(role, "dst") != 0 || wrong(v, "dst cannot be zero");
    }
    if (!known(v->region, reg)) {
        return wrong(v, "%s is register %u, which there is not", role, reg);
    }
    if ((ir_type(v->region, reg) == IR_TYPE_F64) != (shape == 'f')) {
        return wrong(v, "%s is of the wrong type", role);
    }
    return true;
}

static bool check_block_number(Verifier *v, unsigned number)
{
    return number < v->region->block_count ||
           wrong(v, "leads to block %u of %u", number, v->region->block_count);
}

static bool check_fp_aux(Verifier *v, const IrInsn *insn)
{
    const IrOpInfo *info = &ir_op_info[insn->op];
    unsigned allowed = IR_BOXED_A | IR_BOXED_B | IR_BOXED_C;

    if (insn->op == IR_OP_fmad || insn->op == IR_OP_fmas) {
        allowed |= IR_NEGATE_PRODUCT | IR_NEGATE_ADDEND;
    } else if (info->shape[0] == 'i' && info->shape[3] == '-') {
        allowed |= IR_TOWARD_ZERO;
    }
    return (insn->aux & ~allowed) == 0 ||
           wrong(v, "aux 0x%x has bits that mean nothing", insn->aux);
}

static bool check_aux(Verifier *v, const IrInsn *insn)
{
    const IrRegion *region = v->region;
    unsigned flags = ir_op_info[insn->op].flags;

    if ((flags & IR_COND) && insn->cond >= IR_COND_COUNT) {
        return wrong(v, "condition %u", insn->cond);
    }
    if (flags & IR_FP) {
        return check_fp_aux(v, insn);
    }
    if (flags & IR_CALL) {
        return insn->aux < region->target->helper_count ||
               wrong(v, "helper %u of %u", insn->aux, region->target->helper_count);
    }
    switch (insn->op) {
    case IR_OP_addsh:
        return (insn->aux >= 1 && insn->aux <= 3) || wrong(v, "shift by %u", insn->aux);
    case IR_OP_ld:
        return insn->aux <= (IR_MEM_SIZE | IR_MEM_SIGNED | IR_MEM_ATOMIC) ||
               wrong(v, "aux 0x%x", insn->aux);
    case IR_OP_ld64f:
    case IR_OP_st64f:
        return (insn->aux & IR_MEM_SIZE) == 3 || wrong(v, "aux 0x%x is not 8 bytes", insn->aux);
    case IR_OP_ld32f:
    case IR_OP_st32f:
        return (insn->aux & IR_MEM_SIZE) == 2 || wrong(v, "aux 0x%x is not 4 bytes", insn->aux);
    case IR_OP_amo:
        return insn->aux >> IR_AMO_SHIFT <= IR_AMO_MAXU || wrong(v, "aux 0x%x", insn->aux);
    case IR_OP_br:
    case IR_OP_poll:
        return check_block_number(v, insn->aux);
    case IR_OP_brcond:
        return check_block_number(v, insn->aux) && check_block_number(v, insn->target);
    case IR_OP_exit:
        if (insn->aux == IR_LINK_NONE) {
            return true;
        }
        if (insn->aux >= region->link_count || insn->aux >= IR_MAX_LINKS) {
            return wrong(v, "link %u of %u", insn->aux, region->link_count);
        }
        if (v->links >> insn->aux & 1) {
            return wrong(v, "link %u is another exit's", insn->aux);
        }
        v->links |= UINT64_C(1) << insn->aux;
        return true;
    default:
        return true;
    }
}

static bool check_insn(Verifier *v, const IrInsn *insn, bool last)
{
    const IrOpInfo *info;
    bool optional;

    if (insn->op >= IR_OP_COUNT) {
        return wrong(v, "operation %u, which there is not", insn->op);
    }
    info = &ir_op_info[insn->op];
    optional = info->flags & IR_CALL; /* helpers take as many as they like */
    if (last && !(info->flags & IR_END)) {
        return wrong(v, "does not end the block");
    }
    if (!last && (info->flags & IR_END)) {
        return wrong(v, "ends the block before its last operation");
    }
    if (insn->guest >= v->region->guest_count &&
        (v->region->guest_count > 0 || (info->flags & (IR_FAULTS | IR_SYNC)))) {
        return wrong(v, "belongs to guest instruction %u of %u", insn->guest,
                     v->region->guest_count);
    }
    return check_operand(v, insn->dst, info->shape[0], "dst", false) &&
           check_operand(v, insn->a, info->shape[2], "a", optional) &&
           check_operand(v, insn->b, info->shape[3], "b", optional) &&
           check_operand(v, insn->c, info->shape[4], "c", optional) && check_aux(v, insn);
}

/* What may fault comes before what the same guest instruction writes. */
static bool check_faults(Verifier *v, const IrBlock *block)
{
    uint32_t wrote = UINT32_MAX;

    for (uint32_t i = block->first; i < block->first + block->count; i++) {
        const IrInsn *insn = &v->region->insns[i];

        v->index = i;
        if ((ir_op_info[insn->op].flags & IR_FAULTS) && wrote == insn->guest) {
            return wrong(v, "may fault after its guest instruction has written a global");
        }
        if (ir_is_global(insn->dst)) {
            wrote = insn->guest;
        }
    }
    return true;
}

static bool check_blocks(Verifier *v)
{
    const IrRegion *region = v->region;

    for (v->block = 0; v->block < region->block_count; v->block++) {
        const IrBlock *block = &region->blocks[v->block];

        v->index = block->first;
        if (block->count == 0) {
            return wrong(v, "the block is empty");
        }
        if (block->first > region->insn_count || block->count > region->insn_count - block->first) {
            return wrong(v, "the block ends behind the region's operations");
        }
        for (; v->index < block->first + block->count; v->index++) {
            if (!check_insn(v, &region->insns[v->index],
                            v->index == block->first + block->count - 1)) {
                return false;
            }
        }
        if (!check_faults(v, block)) {
            return false;
        }
    }
    return true;
}

/* Temps are written before they are read on every path: a forward flow of "surely written". */
static bool check_temps(Verifier *v)
{
    const IrRegion *region = v->region;
    size_t words = ((size_t)region->temp_count + 63) / 64;
    uint64_t *in = g_new(uint64_t, words * region->block_count + 1);
    uint64_t *now = g_new0(uint64_t, words + 1);
    bool again = true, good = true;

    memset(in, 0xff, words * region->block_count * sizeof(*in));
    memset(in, 0, words * sizeof(*in));
    /* One more turn when nothing changes any longer: that one complains. */
    for (bool report = false; again || !report;) {
        report = !again;
        again = false;
        for (v->block = 0; v->block < region->block_count && good; v->block++) {
            const IrBlock *block = &region->blocks[v->block];
            uint16_t successors[2];
            unsigned n = ir_successors(ir_block_last(region, block), successors);

            memcpy(now, &in[v->block * words], words * sizeof(*now));
            for (v->index = block->first; v->index < block->first + block->count; v->index++) {
                const IrInsn *insn = &region->insns[v->index];
                bool reads_dst = ir_op_info[insn->op].flags & IR_READS_DST;
                IrReg inputs[4] = { insn->a, insn->b, insn->c, reads_dst ? insn->dst : IR_NONE };

                for (unsigned k = 0; k < 4 && report && good; k++) {
                    unsigned temp = inputs[k] - IR_FIRST_TEMP;
                    if (ir_is_temp(inputs[k]) && !(now[temp / 64] >> (temp & 63) & 1)) {
                        good = wrong(v, "t%u may not have been written", temp);
                    }
                }
                if (!good) {
                    break;
                }
                if (ir_is_temp(insn->dst)) {
                    unsigned temp = insn->dst - IR_FIRST_TEMP;
                    now[temp / 64] |= UINT64_C(1) << (temp & 63);
                }
            }
            for (unsigned s = 0; s < n && good; s++) {
                for (size_t w = 0; w < words; w++) {
                    uint64_t *to = &in[successors[s] * words + w];
                    again |= (*to & ~now[w]) != 0;
                    *to &= now[w];
                }
            }
        }
        if (!good) {
            break;
        }
    }
    g_free(in);
    g_free(now);
    return good;
}

char *ir_verify(const IrRegion *region)
{
    Verifier v = { .region = region };

    if (region->target == NULL || region->target->global_count > IR_MAX_GLOBALS) {
        return g_strdup("the region has no target, or one with too many globals");
    }
    if (region->block_count == 0) {
        return g_strdup("the region has no block");
    }
    if (check_blocks(&v) && region->temp_count > 0) {
        check_temps(&v);
    }
    return v.wrong;
}
