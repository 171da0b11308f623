/* SPDX-License-Identifier: MIT */
/*
 * A region as text. The idea to hold: a line is the operation's name with what its aux and cond say
 * after a dot, then result and inputs; blocks are b0, b1, ... in the order of code, temps t0, t1, ...
 */
#include "tcg/ir-internal.h"

#include <inttypes.h>

static const char *const cond_names[IR_COND_COUNT] = {
    "eq", "ne", "lt", "ge", "ltu", "geu", "le", "gt", "leu", "gtu",
};

static const char *const amo_names[] = {
    "swap", "add", "xor", "and", "or", "min", "max", "minu", "maxu",
};

static void print_reg(const IrRegion *region, IrReg reg, GString *out)
{
    if (ir_is_temp(reg)) {
        g_string_append_printf(out, "t%u", reg - IR_FIRST_TEMP);
    } else if (reg == IR_ZERO) {
        g_string_append(out, "zero");
    } else if (ir_is_global(reg) && reg < region->target->global_count) {
        g_string_append(out, region->target->globals[reg].name);
    } else {
        g_string_append_printf(out, "?%u", reg);
    }
}

static void print_imm(int64_t imm, GString *out)
{
    if (imm > -65536 && imm < 65536) {
        g_string_append_printf(out, "%" PRId64, imm);
    } else {
        g_string_append_printf(out, "0x%" PRIx64, (uint64_t)imm);
    }
}

static void print_place(const IrRegion *region, const IrInsn *insn, GString *out)
{
    g_string_append_c(out, '[');
    print_reg(region, insn->a, out);
    if (insn->imm != 0) {
        g_string_append(out, " + ");
        print_imm(insn->imm, out);
    }
    g_string_append_c(out, ']');
}

static void print_suffix(const IrRegion *region, const IrInsn *insn, GString *out)
{
    unsigned flags = ir_op_info[insn->op].flags;

    if (flags & IR_COND) {
        g_string_append_printf(out, ".%s",
                               insn->cond < IR_COND_COUNT ? cond_names[insn->cond] : "?");
    }
    if (insn->op == IR_OP_amo) {
        unsigned kind = insn->aux >> IR_AMO_SHIFT;
        g_string_append_printf(out, ".%s", kind < G_N_ELEMENTS(amo_names) ? amo_names[kind] : "?");
    }
    if (flags & IR_MEM) {
        g_string_append_printf(out, ".%s%u", insn->aux & IR_MEM_SIGNED ? "s" : "u",
                               8u << (insn->aux & IR_MEM_SIZE));
        if (insn->aux & IR_MEM_ATOMIC) {
            g_string_append(out, ".atomic");
        }
    }
    if (flags & IR_FP) {
        static const char *const bits[] = { ".ba", ".bb", ".bc", ".np", ".na", ".rtz" };
        for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
            g_string_append(out, insn->aux >> i & 1 ? bits[i] : "");
        }
    }
    if (flags & IR_CALL) {
        g_string_append_printf(out, ".%s",
                               insn->aux < region->target->helper_count
                                   ? region->target->helpers[insn->aux].name
                                   : "?");
    }
    if (insn->op == IR_OP_addsh) {
        g_string_append_printf(out, ".%u", insn->aux);
    }
}

static void print_insn(const IrRegion *region, const IrInsn *insn, GString *out)
{
    const IrOpInfo *info = &ir_op_info[insn->op];
    const char *separator = " ";
    IrReg inputs[3] = { insn->a, insn->b, insn->c };

    g_string_append_printf(out, "    %s", info->name);
    print_suffix(region, insn, out);
    if (info->shape[0] != '-') {
        g_string_append(out, separator);
        print_reg(region, insn->dst, out);
        separator = ", ";
    }
    for (unsigned i = 0; i < 3; i++) {
        if (inputs[i] == IR_NONE) {
            continue;
        }
        g_string_append(out, separator);
        if (i == 0 && (info->flags & IR_MEM)) {
            print_place(region, insn, out);
        } else if (inputs[i] == IR_IMM) {
            print_imm(insn->imm, out);
        } else {
            print_reg(region, inputs[i], out);
        }
        separator = ", ";
    }
    if (insn->op == IR_OP_movi || insn->op == IR_OP_exit || insn->op == IR_OP_poll ||
        ((info->flags & IR_CALL) && insn->imm != 0)) {
        g_string_append(out, separator);
        print_imm(insn->imm, out);
    }
    switch (insn->op) {
    case IR_OP_br:
    case IR_OP_poll:
        g_string_append_printf(out, " -> b%u", insn->aux);
        break;
    case IR_OP_brcond:
        g_string_append_printf(out, " -> b%u, else b%u", insn->aux, insn->target);
        break;
    case IR_OP_exit:
        if (insn->aux != IR_LINK_NONE) {
            g_string_append_printf(out, " link %u", insn->aux);
        }
        break;
    default:
        break;
    }
    g_string_append_c(out, '\n');
}

void ir_print(const IrRegion *region, GString *out)
{
    g_string_append_printf(out, "region 0x%" PRIx64 "\n", region->pc);
    for (uint32_t b = 0; b < region->block_count; b++) {
        const IrBlock *block = &region->blocks[b];
        uint32_t guest = UINT32_MAX;

        g_string_append_printf(out, "  b%u: 0x%" PRIx64, b, block->pc);
        if (block->loop_depth > 0) {
            g_string_append_printf(out, " loop %u", block->loop_depth);
        }
        g_string_append(out, block->cold ? " cold\n" : "\n");
        for (uint32_t i = block->first; i < block->first + block->count; i++) {
            const IrInsn *insn = &region->insns[i];

            if (insn->guest != guest && insn->guest < region->guest_count) {
                guest = insn->guest;
                g_string_append_printf(out, "   0x%" PRIx64 ":\n", region->guest[guest].pc);
            }
            print_insn(region, insn, out);
        }
    }
}
