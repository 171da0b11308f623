/* SPDX-License-Identifier: MIT */
/*
 * What integer operations compute, in plain C. The idea to hold: this is the meaning that ir-ops.def gives
 * in words; constant folding and the interpreter share it, and host back ends are tested against it.
 */
#include "tcg/ir-internal.h"

#define SIGNED32(x_) ((uint64_t)(int64_t)(int32_t)(uint32_t)(x_))

bool ir_can_eval(unsigned op)
{
    const IrOpInfo *info = &ir_op_info[op];

    return info->shape[0] == 'i' && info->shape[2] != 'f' &&
           !(info->flags & (IR_MEM | IR_CALL | IR_FP | IR_SIDE | IR_END));
}

bool ir_eval_cond(unsigned cond, uint64_t a, uint64_t b)
{
    switch (cond) {
    case IR_EQ:
        return a == b;
    case IR_NE:
        return a != b;
    case IR_LT:
        return (int64_t)a < (int64_t)b;
    case IR_GE:
        return (int64_t)a >= (int64_t)b;
    case IR_LTU:
        return a < b;
    case IR_GEU:
        return a >= b;
    case IR_LE:
        return (int64_t)a <= (int64_t)b;
    case IR_GT:
        return (int64_t)a > (int64_t)b;
    case IR_LEU:
        return a <= b;
    default:
        return a > b;
    }
}

uint64_t ir_eval_amo(unsigned kind, uint64_t old, uint64_t operand)
{
    switch (kind) {
    case IR_AMO_ADD:
        return old + operand;
    case IR_AMO_XOR:
        return old ^ operand;
    case IR_AMO_AND:
        return old & operand;
    case IR_AMO_OR:
        return old | operand;
    case IR_AMO_MIN:
        return (int64_t)old < (int64_t)operand ? old : operand;
    case IR_AMO_MAX:
        return (int64_t)old > (int64_t)operand ? old : operand;
    case IR_AMO_MINU:
        return old < operand ? old : operand;
    case IR_AMO_MAXU:
        return old > operand ? old : operand;
    default:
        return operand;
    }
}

static uint64_t divide(unsigned op, uint64_t a, uint64_t b)
{
    switch (op) {
    case IR_OP_divs:
        return b == 0 ? UINT64_MAX : b == UINT64_MAX ? -a : (uint64_t)((int64_t)a / (int64_t)b);
    case IR_OP_divu:
        return b == 0 ? UINT64_MAX : a / b;
    case IR_OP_rems:
        return b == 0 ? a : b == UINT64_MAX ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
    case IR_OP_remu:
        return b == 0 ? a : a % b;
    case IR_OP_divsw: {
        int64_t x = (int32_t)a, y = (int32_t)b;
        return y == 0 ? UINT64_MAX : SIGNED32(x / y);
    }
    case IR_OP_divuw:
        return (uint32_t)b == 0 ? UINT64_MAX : SIGNED32((uint32_t)a / (uint32_t)b);
    case IR_OP_remsw: {
        int64_t x = (int32_t)a, y = (int32_t)b;
        return y == 0 ? SIGNED32(a) : SIGNED32(x % y);
    }
    default:
        return (uint32_t)b == 0 ? SIGNED32(a) : SIGNED32((uint32_t)a % (uint32_t)b);
    }
}

static uint64_t carryless(unsigned op, uint64_t a, uint64_t b)
{
    unsigned __int128 product = 0;

    for (unsigned i = 0; i < 64; i++) {
        if (b >> i & 1) {
            product ^= (unsigned __int128)a << i;
        }
    }
    return (uint64_t)(op == IR_OP_clmul    ? product
                      : op == IR_OP_clmulh ? product >> 64
                                           : product >> 63);
}

static uint64_t orcb(uint64_t a)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < 64; i += 8) {
        if (a >> i & 0xff) {
            result |= UINT64_C(0xff) << i;
        }
    }
    return result;
}

static uint64_t high_signed(int64_t a, unsigned __int128 b)
{
    return (uint64_t)(((unsigned __int128)(__int128)a * b) >> 64);
}

uint64_t ir_eval(const IrInsn *insn, uint64_t a, uint64_t b, uint64_t c, uint64_t old)
{
    switch (insn->op) {
    case IR_OP_mov:
        return a;
    case IR_OP_movi:
        return (uint64_t)insn->imm;
    case IR_OP_add:
        return a + b;
    case IR_OP_sub:
        return a - b;
    case IR_OP_and:
        return a & b;
    case IR_OP_or:
        return a | b;
    case IR_OP_xor:
        return a ^ b;
    case IR_OP_andn:
        return a & ~b;
    case IR_OP_orn:
        return a | ~b;
    case IR_OP_xnor:
        return ~(a ^ b);
    case IR_OP_addsh:
        return a + (b << insn->aux);
    case IR_OP_addw:
        return SIGNED32(a + b);
    case IR_OP_subw:
        return SIGNED32(a - b);
    case IR_OP_shl:
        return a << (b & 63);
    case IR_OP_shr:
        return a >> (b & 63);
    case IR_OP_sar:
        return (uint64_t)((int64_t)a >> (b & 63));
    case IR_OP_ror:
        return a >> (b & 63) | a << (-b & 63);
    case IR_OP_rol:
        return a << (b & 63) | a >> (-b & 63);
    case IR_OP_shlw:
        return SIGNED32((uint32_t)a << (b & 31));
    case IR_OP_shrw:
        return SIGNED32((uint32_t)a >> (b & 31));
    case IR_OP_sarw:
        return SIGNED32((int32_t)a >> (b & 31));
    case IR_OP_rorw:
        return SIGNED32((uint32_t)a >> (b & 31) | (uint32_t)a << (-b & 31));
    case IR_OP_rolw:
        return SIGNED32((uint32_t)a << (b & 31) | (uint32_t)a >> (-b & 31));
    case IR_OP_mul:
        return a * b;
    case IR_OP_mulhu:
        return (uint64_t)((unsigned __int128)a * b >> 64);
    case IR_OP_mulhs:
        return high_signed((int64_t)a, (unsigned __int128)(__int128)(int64_t)b);
    case IR_OP_mulhsu:
        return high_signed((int64_t)a, b);
    case IR_OP_mulw:
        return SIGNED32(a * b);
    case IR_OP_divs:
    case IR_OP_divu:
    case IR_OP_rems:
    case IR_OP_remu:
    case IR_OP_divsw:
    case IR_OP_divuw:
    case IR_OP_remsw:
    case IR_OP_remuw:
        return divide(insn->op, a, b);
    case IR_OP_sext8:
        return (uint64_t)(int64_t)(int8_t)a;
    case IR_OP_sext16:
        return (uint64_t)(int64_t)(int16_t)a;
    case IR_OP_sext32:
        return SIGNED32(a);
    case IR_OP_zext8:
        return (uint8_t)a;
    case IR_OP_zext16:
        return (uint16_t)a;
    case IR_OP_zext32:
        return (uint32_t)a;
    case IR_OP_clz:
        return a == 0 ? 64 : (uint64_t)__builtin_clzll(a);
    case IR_OP_ctz:
        return a == 0 ? 64 : (uint64_t)__builtin_ctzll(a);
    case IR_OP_popcnt:
        return (uint64_t)__builtin_popcountll(a);
    case IR_OP_clzw:
        return (uint32_t)a == 0 ? 32 : (uint64_t)__builtin_clz((uint32_t)a);
    case IR_OP_ctzw:
        return (uint32_t)a == 0 ? 32 : (uint64_t)__builtin_ctz((uint32_t)a);
    case IR_OP_popcntw:
        return (uint64_t)__builtin_popcount((uint32_t)a);
    case IR_OP_bswap:
        return __builtin_bswap64(a);
    case IR_OP_orcb:
        return orcb(a);
    case IR_OP_clmul:
    case IR_OP_clmulh:
    case IR_OP_clmulr:
        return carryless(insn->op, a, b);
    case IR_OP_set:
        return ir_eval_cond(insn->cond, a, b);
    case IR_OP_cmov:
        return ir_eval_cond(insn->cond, a, b) ? c : old;
    case IR_OP_min:
        return (int64_t)a < (int64_t)b ? a : b;
    case IR_OP_max:
        return (int64_t)a > (int64_t)b ? a : b;
    case IR_OP_minu:
        return a < b ? a : b;
    case IR_OP_maxu:
        return a > b ? a : b;
    default:
        g_assert_not_reached(); /* callers ask ir_can_eval */
    }
}
