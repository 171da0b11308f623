/* SPDX-License-Identifier: MIT */
/*
 * Encoding of x86-64 instructions: prefixes, REX or VEX, opcode, ModRM, SIB, displacement. See asm.h
 * for the one idea, the opcode word.
 */
#include "tcg/x86-64/asm.h"

#include <string.h>

enum { MOD_AUTO, MOD_LONG };

/* ModRM, SIB and displacement. */
static inline uint8_t *put_rm(uint8_t *p, unsigned reg, X86Rm rm, int how)
{
    unsigned field = (reg & 7) << 3, mod, base;

    if (rm.reg >= 0) {
        *p++ = (uint8_t)(0xc0 | field | (rm.reg & 7));
        return p;
    }
    base = rm.base & 7;
    /* rbp and r13 as base have no form without displacement. */
    if (how == MOD_LONG || rm.disp != (int8_t)rm.disp) {
        mod = 0x80;
    } else if (rm.disp || base == 5) {
        mod = 0x40;
    } else {
        mod = 0;
    }
    if (rm.index >= 0) {
        *p++ = (uint8_t)(mod | field | 4);
        *p++ = (uint8_t)(rm.scale << 6 | (rm.index & 7) << 3 | base);
    } else if (base == 4) {
        *p++ = (uint8_t)(mod | field | 4);
        *p++ = 0x24;
    } else {
        *p++ = (uint8_t)(mod | field | base);
    }
    if (mod == 0x80) {
        memcpy(p, &rm.disp, 4);
        p += 4;
    } else if (mod == 0x40) {
        *p++ = (uint8_t)rm.disp;
    }
    return p;
}

static inline uint8_t *put_op(uint8_t *p, uint32_t op, unsigned rex, bool need_rex)
{
    if (op & X_PREFIXED) {
        if (op & X_LOCK) {
            *p++ = 0xf0;
        }
        if (op & X_66) {
            *p++ = 0x66;
        }
        if (op & X_F3) {
            *p++ = 0xf3;
        }
        if (op & X_F2) {
            *p++ = 0xf2;
        }
    }
    if (rex || need_rex) {
        *p++ = (uint8_t)(0x40 | rex);
    }
    if (op & X_MAPPED) {
        *p++ = 0x0f;
        if (op & X_0F38) {
            *p++ = 0x38;
        } else if (op & X_0F3A) {
            *p++ = 0x3a;
        }
    }
    *p++ = (uint8_t)op;
    return p;
}

static inline unsigned rex_of(uint32_t op, unsigned reg, X86Rm rm)
{
    unsigned rex = (op & X_W ? 8 : 0) | (reg & 8) >> 1;

    if (rm.reg >= 0) {
        return rex | (unsigned)rm.reg >> 3;
    }
    return rex | (rm.index >= 0 ? (rm.index & 8) >> 2 : 0) | (rm.base & 8) >> 3;
}

/* spl, bpl, sil and dil exist with a REX prefix only. */
static inline bool byte_needs_rex(uint32_t op, unsigned reg, X86Rm rm)
{
    return (op & X_B && reg >= 4) || (op & X_BRM && rm.reg >= 4);
}

void asm_op(Asm *as, uint32_t op, unsigned reg, X86Rm rm)
{
    uint8_t *p = put_op(as->p, op, rex_of(op, reg, rm), byte_needs_rex(op, reg, rm));

    as->p = put_rm(p, reg, rm, MOD_AUTO);
}

void asm_op_long(Asm *as, uint32_t op, unsigned reg, X86Rm rm)
{
    uint8_t *p = put_op(as->p, op, rex_of(op, reg, rm), byte_needs_rex(op, reg, rm));

    as->p = put_rm(p, reg, rm, MOD_LONG);
}

static uint8_t *put_vex(uint8_t *p, uint32_t op, unsigned reg, unsigned vvvv, unsigned index,
                        unsigned base)
{
    unsigned pp = op & X_66 ? 1 : op & X_F3 ? 2 : op & X_F2 ? 3 : 0;
    unsigned r = reg & 8 ? 0 : 0x80, x = index & 8 ? 0 : 0x40, b = base & 8 ? 0 : 0x20;
    unsigned v = (~vvvv & 15) << 3;

    if (x && b && !(op & (X_W | X_0F38 | X_0F3A))) {
        *p++ = 0xc5;
        *p++ = (uint8_t)(r | v | pp);
    } else {
        *p++ = 0xc4;
        *p++ = (uint8_t)(r | x | b | (op & X_0F38 ? 2 : op & X_0F3A ? 3 : 1));
        *p++ = (uint8_t)((op & X_W ? 0x80 : 0) | v | pp);
    }
    *p++ = (uint8_t)op;
    return p;
}

void asm_vex(Asm *as, uint32_t op, unsigned reg, unsigned vvvv, X86Rm rm)
{
    unsigned index = rm.reg < 0 && rm.index >= 0 ? rm.index : 0;
    unsigned base = rm.reg >= 0 ? rm.reg : rm.base;

    as->p = put_rm(put_vex(as->p, op, reg, vvvv, index, base), reg, rm, MOD_AUTO);
}

static void put_at(Asm *as, uint8_t *p, unsigned reg, const void *rx, unsigned imm_bytes)
{
    *p++ = (uint8_t)(5 | (reg & 7) << 3);
    as->p = p;
    asm_u32(as, (uint32_t)((const uint8_t *)rx - (p + 4 + imm_bytes + as->delta_rx)));
}

void asm_op_at(Asm *as, uint32_t op, unsigned reg, const void *rx, unsigned imm_bytes)
{
    X86Rm none = rm_reg(0);

    put_at(as, put_op(as->p, op, rex_of(op, reg, none), op & X_B && reg >= 4), reg, rx, imm_bytes);
}

void asm_vex_at(Asm *as, uint32_t op, unsigned reg, unsigned vvvv, const void *rx,
                unsigned imm_bytes)
{
    put_at(as, put_vex(as->p, op, reg, vvvv, 0, 0), reg, rx, imm_bytes);
}

void asm_movi(Asm *as, unsigned dst, int64_t imm)
{
    if (imm == (int64_t)(uint32_t)imm) {
        if (dst & 8) {
            asm_u8(as, 0x41);
        }
        asm_u8(as, 0xb8 | (dst & 7));
        asm_u32(as, (uint32_t)imm);
    } else if (fits_i32(imm)) {
        asm_op(as, X_MOV_IMM | X_W, 0, rm_reg(dst));
        asm_u32(as, (uint32_t)imm);
    } else {
        asm_u8(as, 0x48 | dst >> 3);
        asm_u8(as, 0xb8 | (dst & 7));
        asm_u64(as, (uint64_t)imm);
    }
}

void asm_alu_imm(Asm *as, unsigned alu, uint32_t wide, X86Rm rm, int32_t imm)
{
    if (imm == (int8_t)imm) {
        asm_op(as, 0x83 | wide, alu, rm);
        asm_u8(as, (uint8_t)imm);
    } else {
        asm_op(as, 0x81 | wide, alu, rm);
        asm_u32(as, (uint32_t)imm);
    }
}

void asm_shift_imm(Asm *as, unsigned shift, uint32_t wide, X86Rm rm, unsigned imm)
{
    if (imm == 1) {
        asm_op(as, X_SHIFT_1 | wide, shift, rm);
    } else {
        asm_op(as, X_SHIFT_IMM | wide, shift, rm);
        asm_u8(as, imm);
    }
}

void asm_store_imm(Asm *as, uint32_t wide, X86Rm rm, int32_t imm)
{
    asm_op(as, X_MOV_IMM | wide, 0, rm);
    asm_u32(as, (uint32_t)imm);
}

void asm_push(Asm *as, unsigned reg)
{
    if (reg & 8) {
        asm_u8(as, 0x41);
    }
    asm_u8(as, 0x50 | (reg & 7));
}

void asm_pop(Asm *as, unsigned reg)
{
    if (reg & 8) {
        asm_u8(as, 0x41);
    }
    asm_u8(as, 0x58 | (reg & 7));
}

static void put_rel32(Asm *as, const void *target_rx)
{
    asm_u32(as, (uint32_t)((const uint8_t *)target_rx - (asm_rx(as) + 4)));
}

void asm_call(Asm *as, const void *target_rx)
{
    asm_u8(as, 0xe8);
    put_rel32(as, target_rx);
}

void asm_jmp_to(Asm *as, const void *target_rx)
{
    asm_u8(as, 0xe9);
    put_rel32(as, target_rx);
}

void asm_nops(Asm *as, unsigned bytes)
{
    static const uint8_t nops[8][8] = {
        { 0x90 },
        { 0x66, 0x90 },
        { 0x0f, 0x1f, 0x00 },
        { 0x0f, 0x1f, 0x40, 0x00 },
        { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
    };

    while (bytes) {
        unsigned n = bytes < 8 ? bytes : 8;

        memcpy(as->p, nops[n - 1], n);
        as->p += n;
        bytes -= n;
    }
}

uint32_t asm_jcc(Asm *as, unsigned cc)
{
    asm_u8(as, 0x0f);
    asm_u8(as, 0x80 | cc);
    asm_u32(as, 0);
    return asm_offset(as) - 4;
}

uint32_t asm_jmp(Asm *as)
{
    asm_u8(as, 0xe9);
    asm_u32(as, 0);
    return asm_offset(as) - 4;
}

uint32_t asm_jcc8(Asm *as, unsigned cc)
{
    asm_u8(as, 0x70 | cc);
    asm_u8(as, 0);
    return asm_offset(as) - 1;
}

uint32_t asm_jmp8(Asm *as)
{
    asm_u8(as, 0xeb);
    asm_u8(as, 0);
    return asm_offset(as) - 1;
}

void asm_patch(Asm *as, uint32_t operand, uint32_t target)
{
    uint32_t rel = target - (operand + 4);

    memcpy(as->start + operand, &rel, 4);
}

void asm_patch8(Asm *as, uint32_t operand, uint32_t target)
{
    as->start[operand] = (uint8_t)(target - (operand + 1));
}

void asm_jcc_back(Asm *as, unsigned cc, uint32_t target)
{
    int32_t rel = (int32_t)(target - asm_offset(as));

    if (rel - 2 >= -128) {
        asm_u8(as, 0x70 | cc);
        asm_u8(as, (uint8_t)(rel - 2));
    } else {
        asm_u8(as, 0x0f);
        asm_u8(as, 0x80 | cc);
        asm_u32(as, (uint32_t)(rel - 6));
    }
}

void asm_jmp_back(Asm *as, uint32_t target)
{
    int32_t rel = (int32_t)(target - asm_offset(as));

    if (rel - 2 >= -128) {
        asm_u8(as, 0xeb);
        asm_u8(as, (uint8_t)(rel - 2));
    } else {
        asm_u8(as, 0xe9);
        asm_u32(as, (uint32_t)(rel - 5));
    }
}
