/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 decoder against hand-written encoders and a hand-written reading of the compressed
 * instruction tables. The idea to hold: nothing here uses the pattern files' field layouts, so an
 * immediate scattered wrongly there shows here. tests/decode/compare-objdump is the other witness.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <glib.h>

#include "csr-list.h"
#include "disas.h"

static uint32_t bits(uint32_t value, unsigned high, unsigned low)
{
    return value >> low & (UINT32_MAX >> (31 - (high - low)));
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Random operands in @insn's members, and their encoding by the formats of the ISA manual. */
static uint32_t encode_operands(unsigned format, uint64_t *seed, RvInsn *insn)
{
    static const uint8_t modes[6] = { 0, 1, 2, 3, 4, 7 };
    uint64_t random = next_random(seed);
    uint32_t regs;
    int32_t simm12 = (int32_t)(random >> 32) >> 20;

    insn->rd = random & 31;
    insn->rs1 = random >> 5 & 31;
    insn->rs2 = random >> 10 & 31;
    insn->rs3 = 0;
    insn->rm = 0;
    insn->imm = 0;
    regs = (uint32_t)insn->rd << 7 | (uint32_t)insn->rs1 << 15;
    switch ((RvFormat)format) {
    case RV_FMT_R:
    case RV_FMT_FR:
    case RV_FMT_FCMP:
        return regs | (uint32_t)insn->rs2 << 20;
    case RV_FMT_FRM:
        insn->rm = modes[(random >> 20 & 1023) % 6];
        return regs | (uint32_t)insn->rs2 << 20 | (uint32_t)insn->rm << 12;
    case RV_FMT_FMA:
        insn->rs3 = random >> 15 & 31;
        insn->rm = modes[(random >> 20 & 1023) % 6];
        return regs | (uint32_t)insn->rs2 << 20 | (uint32_t)insn->rs3 << 27 |
               (uint32_t)insn->rm << 12;
    case RV_FMT_FSQRT:
    case RV_FMT_FCVTXF:
    case RV_FMT_FCVTFX:
    case RV_FMT_FCVTFF:
    case RV_FMT_FCVTFXE:
    case RV_FMT_FCVTFFE:
        insn->rs2 = 0;
        insn->rm = modes[(random >> 20 & 1023) % 6];
        return regs | (uint32_t)insn->rm << 12;
    case RV_FMT_R1:
    case RV_FMT_UNARY:
    case RV_FMT_FMVXF:
    case RV_FMT_FMVFX:
        insn->rs2 = 0;
        return regs;
    case RV_FMT_I:
    case RV_FMT_LOAD:
    case RV_FMT_JALR:
    case RV_FMT_FLOAD:
        insn->rs2 = 0;
        insn->imm = simm12;
        return regs | (uint32_t)simm12 << 20;
    case RV_FMT_STORE:
    case RV_FMT_FSTORE:
        insn->rd = 0;
        insn->imm = simm12;
        return (uint32_t)insn->rs1 << 15 | (uint32_t)insn->rs2 << 20 | bits(simm12, 4, 0) << 7 |
               bits(simm12, 11, 5) << 25;
    case RV_FMT_BRANCH:
        insn->rd = 0;
        insn->imm = simm12 * 2;
        return (uint32_t)insn->rs1 << 15 | (uint32_t)insn->rs2 << 20 |
               bits(insn->imm, 12, 12) << 31 | bits(insn->imm, 10, 5) << 25 |
               bits(insn->imm, 4, 1) << 8 | bits(insn->imm, 11, 11) << 7;
    case RV_FMT_UPPER:
        insn->rs1 = insn->rs2 = 0;
        insn->imm = (int32_t)(random >> 32 & 0xfffff000);
        return (uint32_t)insn->rd << 7 | (uint32_t)insn->imm;
    case RV_FMT_JAL:
        insn->rs1 = insn->rs2 = 0;
        insn->imm = ((int32_t)(random >> 32) >> 12) * 2;
        return (uint32_t)insn->rd << 7 | bits(insn->imm, 20, 20) << 31 |
               bits(insn->imm, 10, 1) << 21 | bits(insn->imm, 11, 11) << 20 |
               bits(insn->imm, 19, 12) << 12;
    case RV_FMT_SH6:
        insn->rs2 = 0;
        insn->imm = random >> 32 & 63;
        return regs | (uint32_t)insn->imm << 20;
    case RV_FMT_SH5:
        insn->rs2 = 0;
        insn->imm = random >> 32 & 31;
        return regs | (uint32_t)insn->imm << 20;
    case RV_FMT_AMO:
    case RV_FMT_LR:
        if (format == RV_FMT_LR) {
            insn->rs2 = 0;
        }
        insn->rm = random >> 20 & 3;
        return regs | (uint32_t)insn->rs2 << 20 | (uint32_t)insn->rm << 25;
    case RV_FMT_CSR:
    case RV_FMT_CSRI:
        insn->rs2 = 0;
        insn->imm = random >> 32 & 0xfff;
        return regs | (uint32_t)insn->imm << 20;
    case RV_FMT_FENCE:
        /* fm 0 or 4: not the values that make fence.tso of it; pred and succ not those of pause. */
        insn->rs2 = 0;
        insn->imm = (random >> 32 & 0x4ef) | 0x20;
        return regs | (uint32_t)insn->imm << 20;
    case RV_FMT_FENCEI:
        insn->rs2 = 0;
        insn->imm = random >> 32 & 0xfff;
        return regs | (uint32_t)insn->imm << 20;
    case RV_FMT_SFENCE:
        insn->rd = 0;
        return (uint32_t)insn->rs1 << 15 | (uint32_t)insn->rs2 << 20;
    case RV_FMT_CBO:
        insn->rd = insn->rs2 = 0;
        return (uint32_t)insn->rs1 << 15;
    case RV_FMT_PREF:
        insn->rd = insn->rs2 = 0;
        insn->imm = simm12 & ~31;
        return (uint32_t)insn->rs1 << 15 | (uint32_t)insn->imm << 20;
    case RV_FMT_HINT:
    case RV_FMT_NONE:
    case RV_FMT_SYS2:
        insn->rd = insn->rs1 = insn->rs2 = 0;
        return 0;
    case RV_FMT_ILLEGAL:
    case RV_FMT_COUNT:
        break;
    }
    fail_msg("format %u has no encoder in this test", format);
    return 0;
}

static bool same_fields(const RvInsn *a, const RvInsn *b)
{
    return a->op == b->op && a->len == b->len && a->rd == b->rd && a->rs1 == b->rs1 &&
           a->rs2 == b->rs2 && a->rs3 == b->rs3 && a->rm == b->rm && a->imm == b->imm;
}

static void fail_insn(const char *what, uint32_t word, const RvInsn *want, const RvInsn *got)
{
    fail_msg("%s %08x: want %s rd %u rs1 %u rs2 %u rs3 %u rm %u imm %d, "
             "got %s rd %u rs1 %u rs2 %u rs3 %u rm %u imm %d",
             what, word, rv_op_info[want->op].mnemonic, want->rd, want->rs1, want->rs2, want->rs3,
             want->rm, want->imm, rv_op_info[got->op].mnemonic, got->rd, got->rs1, got->rs2,
             got->rs3, got->rm, got->imm);
}

static void test_round_trip(void **state)
{
    uint64_t seed = 0x9e3779b97f4a7c15;

    for (unsigned op = 1; op < RV_OP_COUNT; op++) {
        const RvForm *form = &rv_forms[op];

        assert_int_equal(form->op, op);
        assert_string_equal(form->mnemonic, rv_op_info[op].mnemonic);
        for (unsigned k = 0; k < 2000; k++) {
            RvInsn want = { 0 }, got;
            uint32_t word = encode_operands(rv_op_info[op].format, &seed, &want);

            if (rv_op_info[op].format == RV_FMT_I && op == RV_OP_ORI && want.rd == 0) {
                continue; /* may be a prefetch */
            }
            assert_int_equal(word & form->mask & ~form->value & 0x7f, 0);
            word |= form->value;
            want.op = op;
            want.len = 4;
            want.raw = word;
            /* Members that the encoding fixes: the decoder fills them from where they stand. */
            if (op == RV_OP_FENCE_TSO || op == RV_OP_PAUSE) {
                want.imm = op == RV_OP_PAUSE ? 0x010 : 0x833;
            } else if (op == RV_OP_SFENCE_INVAL_IR) {
                want.rs2 = 1;
            }
            if (!rv_decode32(word, &got) || !same_fields(&want, &got) || got.raw != word) {
                fail_insn("round trip", word, &want, &got);
            }
        }
    }
}

/* A few encodings by hand, as the manuals print them; among them what objdump 2.40 cannot name. */
static void test_known(void **state)
{
    static const struct {
        uint32_t word;
        const char *text;
    } cases[] = {
        { 0x0ec5d533, "czero.eqz a0,a1,a2" },
        { 0x0ec5f533, "czero.nez a0,a1,a2" },
        { 0x00000073, "ecall" },
        { 0x30200073, "mret" },
        { 0x10500073, "wfi" },
        { 0x12b50073, "sfence.vma a0,a1" },
        { 0x18100073, "sfence.inval.ir" },
        { 0x0100000f, "pause" },
        { 0x8330000f, "fence.tso" },
        { 0x0ff0000f, "fence iorw,iorw" },
        { 0x0045200f, "cbo.zero (a0)" },
        { 0x04056013, "prefetch.i 64(a0)" },
        { 0x00d00073, "wrs.nto" },
        { 0x30529073, "csrrw zero,mtvec,t0" },
        { 0x7c002573, "csrrs a0,0x7c0,zero" },
        { 0x1605a52f, "lr.w.aqrl a0,(a1)" },
        { 0xfe000ae3, "beq zero,zero,0xff4" },
        { 0x00001141, "c.addi sp,-16" },
        { 0x0000717d, "c.addi16sp sp,-16" },
        { 0x00000001, "c.nop" },
        { 0x00000000, "c.unimp" },
        { 0xffffffff, ".4byte 0xffffffff" },
    };

    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        char text[RV_DISAS_MAX];
        RvInsn insn;

        rv_decode(cases[k].word, RV_EXT_ALL, &insn);
        assert_int_equal(rv_disas(text, sizeof(text), 0x1000, &insn), strlen(cases[k].text));
        assert_string_equal(text, cases[k].text);
    }
}

static RvInsn make(RvOp op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
    return (RvInsn){ .op = op, .len = 2, .rd = rd, .rs1 = rs1, .rs2 = rs2, .imm = imm };
}

static int32_t sign(uint32_t value, unsigned width)
{
    return (int32_t)(value << (32 - width)) >> (32 - width);
}

static RvInsn compressed_arithmetic(uint16_t i)
{
    static const RvOp ops[8] = {
        RV_OP_SUB,  RV_OP_XOR,  RV_OP_OR,      RV_OP_AND,
        RV_OP_SUBW, RV_OP_ADDW, RV_OP_ILLEGAL, RV_OP_ILLEGAL,
    };
    unsigned reg = 8 + bits(i, 9, 7);
    uint32_t imm = bits(i, 12, 12) << 5 | bits(i, 6, 2);
    RvOp op;

    switch (bits(i, 11, 10)) {
    case 0:
        return make(RV_OP_SRLI, reg, reg, 0, imm);
    case 1:
        return make(RV_OP_SRAI, reg, reg, 0, imm);
    case 2:
        return make(RV_OP_ANDI, reg, reg, 0, sign(imm, 6));
    default:
        op = ops[bits(i, 12, 12) << 2 | bits(i, 6, 5)];
        return op ? make(op, reg, reg, 8 + bits(i, 4, 2), 0) : make(op, 0, 0, 0, 0);
    }
}

/* The compressed instruction tables of the manual ("RVC Instruction Set Listings", RV64). */
static RvInsn compressed_oracle(uint16_t i)
{
    unsigned rdp = 8 + bits(i, 4, 2), rs1p = 8 + bits(i, 9, 7);
    unsigned rd = bits(i, 11, 7), rs2 = bits(i, 6, 2);
    uint32_t imm6 = bits(i, 12, 12) << 5 | rs2;
    uint32_t word_offset = bits(i, 12, 10) << 3 | bits(i, 6, 6) << 2 | bits(i, 5, 5) << 6;
    uint32_t double_offset = bits(i, 12, 10) << 3 | bits(i, 6, 5) << 6;
    uint32_t load_word = bits(i, 12, 12) << 5 | bits(i, 6, 4) << 2 | bits(i, 3, 2) << 6;
    uint32_t load_double = bits(i, 12, 12) << 5 | bits(i, 6, 5) << 3 | bits(i, 4, 2) << 6;
    uint32_t store_word = bits(i, 12, 9) << 2 | bits(i, 8, 7) << 6;
    uint32_t store_double = bits(i, 12, 10) << 3 | bits(i, 9, 7) << 6;
    int32_t jump = sign(bits(i, 12, 12) << 11 | bits(i, 11, 11) << 4 | bits(i, 10, 9) << 8 |
                            bits(i, 8, 8) << 10 | bits(i, 7, 7) << 6 | bits(i, 6, 6) << 7 |
                            bits(i, 5, 3) << 1 | bits(i, 2, 2) << 5,
                        12);
    int32_t branch = sign(bits(i, 12, 12) << 8 | bits(i, 11, 10) << 3 | bits(i, 6, 5) << 6 |
                              bits(i, 4, 3) << 1 | bits(i, 2, 2) << 5,
                          9);
    uint32_t imm4spn =
        bits(i, 12, 11) << 4 | bits(i, 10, 7) << 6 | bits(i, 6, 6) << 2 | bits(i, 5, 5) << 3;
    int32_t imm16sp = sign(bits(i, 12, 12) << 9 | bits(i, 6, 6) << 4 | bits(i, 5, 5) << 6 |
                               bits(i, 4, 3) << 7 | bits(i, 2, 2) << 5,
                           10);
    RvInsn illegal = make(RV_OP_ILLEGAL, 0, 0, 0, 0);

    switch ((i & 3) << 3 | i >> 13) {
    case 000:
        return imm4spn ? make(RV_OP_ADDI, rdp, 2, 0, imm4spn) : illegal;
    case 001:
        return make(RV_OP_FLD, rdp, rs1p, 0, double_offset);
    case 002:
        return make(RV_OP_LW, rdp, rs1p, 0, word_offset);
    case 003:
        return make(RV_OP_LD, rdp, rs1p, 0, double_offset);
    case 005:
        return make(RV_OP_FSD, 0, rs1p, rdp, double_offset);
    case 006:
        return make(RV_OP_SW, 0, rs1p, rdp, word_offset);
    case 007:
        return make(RV_OP_SD, 0, rs1p, rdp, double_offset);
    case 010:
        return make(RV_OP_ADDI, rd, rd, 0, sign(imm6, 6));
    case 011:
        return rd ? make(RV_OP_ADDIW, rd, rd, 0, sign(imm6, 6)) : illegal;
    case 012:
        return make(RV_OP_ADDI, rd, 0, 0, sign(imm6, 6));
    case 013:
        if (imm6 == 0) {
            return illegal;
        }
        return rd == 2 ? make(RV_OP_ADDI, 2, 2, 0, imm16sp)
                       : make(RV_OP_LUI, rd, 0, 0, sign(imm6 << 12, 18));
    case 014:
        return compressed_arithmetic(i);
    case 015:
        return make(RV_OP_JAL, 0, 0, 0, jump);
    case 016:
        return make(RV_OP_BEQ, 0, rs1p, 0, branch);
    case 017:
        return make(RV_OP_BNE, 0, rs1p, 0, branch);
    case 020:
        return make(RV_OP_SLLI, rd, rd, 0, imm6);
    case 021:
        return make(RV_OP_FLD, rd, 2, 0, load_double);
    case 022:
        return rd ? make(RV_OP_LW, rd, 2, 0, load_word) : illegal;
    case 023:
        return rd ? make(RV_OP_LD, rd, 2, 0, load_double) : illegal;
    case 024:
        if (bits(i, 12, 12) == 0) {
            if (rs2 == 0) {
                return rd ? make(RV_OP_JALR, 0, rd, 0, 0) : illegal;
            }
            return make(RV_OP_ADD, rd, 0, rs2, 0);
        }
        if (rs2 == 0) {
            return rd ? make(RV_OP_JALR, 1, rd, 0, 0) : make(RV_OP_EBREAK, 0, 0, 0, 0);
        }
        return make(RV_OP_ADD, rd, rd, rs2, 0);
    case 025:
        return make(RV_OP_FSD, 0, 2, rs2, store_double);
    case 026:
        return make(RV_OP_SW, 0, 2, rs2, store_word);
    case 027:
        return make(RV_OP_SD, 0, 2, rs2, store_double);
    default:
        return illegal;
    }
}

static void test_compressed_all(void **state)
{
    unsigned legal = 0;

    for (uint32_t i = 0; i < 65536; i++) {
        RvInsn want, got;
        bool ok;

        if ((i & 3) == 3) {
            assert_false(rv_decode16(i, &got));
            continue;
        }
        want = compressed_oracle(i);
        ok = rv_decode16(i, &got);
        assert_int_equal(ok, want.op != RV_OP_ILLEGAL);
        legal += ok;
        if (!same_fields(&want, &got) || got.raw != i) {
            fail_insn("compressed", i, &want, &got);
        }
        /* The upper half, part of the next instruction, must not matter. */
        rv_decode(0xbeef0000 | i, RV_EXT_ALL, &got);
        if (!same_fields(&want, &got) || got.raw != i) {
            fail_insn("compressed in 32 bits", i, &want, &got);
        }
        /* Without D there is no compressed access to FP registers, without C nothing at all. */
        rv_decode(i, RV_EXT_ALL & ~RV_EXT_D, &got);
        assert_int_equal(got.op,
                         want.op == RV_OP_FLD || want.op == RV_OP_FSD ? RV_OP_ILLEGAL : want.op);
        assert_false(rv_decode(i, RV_EXT_ALL & ~RV_EXT_C, &got));
        assert_int_equal(got.len, 2);
    }
    print_message("%u of 49152 compressed encodings are legal\n", legal);
}

static void test_extensions(void **state)
{
    for (unsigned op = 1; op < RV_OP_COUNT; op++) {
        uint64_t exts = rv_op_info[op].exts;
        /* An ori to x0 could be a prefetch. */
        uint32_t word = rv_forms[op].value | (op == RV_OP_ORI ? 1 << 7 : 0);
        RvInsn got;

        assert_int_not_equal(exts, 0);
        assert_true(rv_decode(word, exts, &got));
        assert_int_equal(got.op, op);
        for (uint64_t rest = exts; rest; rest &= rest - 1) {
            uint64_t one = rest & -rest;
            RvOp want = RV_OP_ILLEGAL;

            /* Hints are what they are a special case of, where their extension is absent. */
            if (op == RV_OP_PAUSE) {
                want = RV_OP_FENCE;
            } else if (op >= RV_OP_PREFETCH_I && op <= RV_OP_PREFETCH_W) {
                want = RV_OP_ORI;
            }
            rv_decode(word, RV_EXT_ALL & ~one, &got);
            assert_int_equal(got.op, want);
            assert_int_equal(got.raw, word);
        }
    }
}

/* The switch tree finds what a search of the whole list finds: the narrowest form that matches. */
static void test_tree(void **state)
{
    uint64_t seed = 7;
    unsigned legal = 0;

    for (unsigned k = 0; k < 400000; k++) {
        uint64_t random = next_random(&seed);
        const RvForm *near = &rv_forms[1 + (random >> 40) % (RV_OP_COUNT - 1)];
        /* A known form with one or no fixed bit flipped, so that near misses are tried. */
        uint32_t word = ((uint32_t)random & ~near->mask) | near->value;
        unsigned want = 0;
        RvInsn got;

        word ^= (random >> 32 & 1) << (random >> 33 & 31) & ~3u;
        for (unsigned op = 1; op < RV_OP_COUNT; op++) {
            if ((word & rv_forms[op].mask) == rv_forms[op].value &&
                (!want || (rv_forms[op].mask & ~rv_forms[want].mask))) {
                want = op;
            }
        }
        if (rv_op_info[want].flags & RV_OPF_ROUNDS && (word >> 12 & 7) >= 5 &&
            (word >> 12 & 7) <= 6) {
            want = RV_OP_ILLEGAL;
        }
        rv_decode32(word, &got);
        assert_int_equal(got.op, want);
        legal += want != RV_OP_ILLEGAL;
    }
    assert_in_range(legal, 100000, 399999);
}

static void test_rounding_modes(void **state)
{
    unsigned checked = 0;

    for (unsigned op = 1; op < RV_OP_COUNT; op++) {
        if (!(rv_op_info[op].flags & RV_OPF_ROUNDS)) {
            continue;
        }
        checked++;
        for (uint32_t rm = 0; rm < 8; rm++) {
            RvInsn got;
            bool ok = rv_decode32(rv_forms[op].value | rm << 12, &got);

            assert_int_equal(ok, rm != 5 && rm != 6);
            assert_int_equal(got.op, ok ? op : RV_OP_ILLEGAL);
            assert_int_equal(got.rm, ok ? rm : 0);
        }
    }
    assert_true(checked > 30);
}

static void test_disas_buffer(void **state)
{
    char text[RV_DISAS_MAX];
    RvInsn insn;
    size_t longest = 0;

    rv_decode32(0x30529073, &insn);
    memset(text, 'x', sizeof(text));
    assert_int_equal(rv_disas(text, 6, 0, &insn), strlen("csrrw zero,mtvec,t0"));
    assert_string_equal(text, "csrrw");
    assert_int_equal(rv_disas(NULL, 0, 0, &insn), strlen("csrrw zero,mtvec,t0"));
    /* Every form at the far end of the address space fits RV_DISAS_MAX. */
    for (unsigned form = 1; form < RV_FORM_COUNT; form++) {
        static const uint32_t fills[] = { 0xffffffff, 0xffff8fff, 0x7fff8fff, 0xfb0ff0ff };

        for (size_t k = 0; k < G_N_ELEMENTS(fills); k++) {
            uint32_t word = (fills[k] & ~rv_forms[form].mask) | rv_forms[form].value;
            size_t used;

            rv_decode(word, RV_EXT_ALL, &insn);
            used = rv_disas(text, sizeof(text), UINT64_MAX / 2, &insn);
            assert_true(used < sizeof(text));
            longest = MAX(longest, used);
        }
    }
    /* A caller's nonsense is printed, not followed. */
    insn = (RvInsn){ .op = UINT16_MAX, .len = 9, .rd = 255, .rm = 255, .raw = 1 };
    assert_true(rv_disas(text, sizeof(text), 0, &insn) > 0);
    print_message("longest text: %zu characters\n", longest);
}

static void test_csr_names(void **state)
{
    unsigned named = 0;

    assert_string_equal(rv_csr_name(0x300), "mstatus");
    assert_string_equal(rv_csr_name(0xc1f), "hpmcounter31");
    assert_string_equal(rv_csr_name(0x3ef), "pmpaddr63");
    assert_null(rv_csr_name(0x3a1));
    assert_null(rv_csr_name(0x1300));
    assert_null(rv_csr_name(UINT32_MAX));
    for (unsigned csr = 0; csr < 4096; csr++) {
        named += rv_csr_name(csr) != NULL;
    }
    assert_int_equal(named, RV_CSR_NAME_COUNT);
/* The disassembler knows more CSRs than the hart has, but calls those by the same names. */
#define CHECK_NAME(number, csr, guard, read, write, field, mask)                                   \
    assert_string_equal(rv_csr_name(number), #csr);
    RISCV_CSR_LIST(CHECK_NAME)
#undef CHECK_NAME
}

static void test_disassembler_object(void **state)
{
    RvDisas *plain = rv_disas_create(false);
    RvDisas *fancy = rv_disas_create(true);
    char text[RV_DISAS_MAX];
    unsigned len;

    assert_string_equal(rv_disas_engine(plain), "builtin");
    print_message("disassembler asked for capstone uses %s\n", rv_disas_engine(fancy));
    rv_disas_print(plain, text, sizeof(text), 0, 0xbeef1141, RV_EXT_ALL, &len);
    assert_string_equal(text, "c.addi sp,-16");
    assert_int_equal(len, 2);
    assert_true(rv_disas_print(fancy, text, sizeof(text), 0, 0x00a58533, RV_EXT_ALL, &len) > 3);
    assert_memory_equal(text, "add", 3);
    assert_int_equal(len, 4);
    rv_disas_print(fancy, text, sizeof(text), 0, 0xffffffff, RV_EXT_ALL, NULL);
    assert_string_equal(text, ".4byte 0xffffffff");
    rv_disas_destroy(plain);
    rv_disas_destroy(fancy);
    rv_disas_destroy(NULL);
}

static double decode_ns(const uint32_t *words, size_t count, unsigned rounds)
{
    struct timespec start, stop;
    unsigned sum = 0;
    RvInsn insn;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t k = 0; k < count; k++) {
            rv_decode(words[k], RV_EXT_ALL, &insn);
            sum += insn.op + insn.rd + insn.imm;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &stop);
    assert_int_not_equal(sum, 1);
    return ((stop.tv_sec - start.tv_sec) * 1e9 + (stop.tv_nsec - start.tv_nsec)) /
           ((double)count * rounds);
}

static void test_speed(void **state)
{
    /* A copy loop and a function's frame, as compilers write them. */
    static const uint32_t loop[] = {
        0x1141,     0xe406,     0xe022,     0x0800, 0x00054783, 0x0005, 0x00f58023, 0x0585, 0xfbf5,
        0x00b50633, 0x02c5d5b3, 0x0006b703, 0x8b3d, 0x00e7f463, 0x60a2, 0x6402,     0x0141, 0x8082,
    };
    size_t count = 8192;
    g_autofree uint32_t *mixed = g_new(uint32_t, count);
    uint64_t seed = 42;

    for (size_t k = 0; k < count; k++) {
        uint64_t random = next_random(&seed);
        const RvForm *form = &rv_forms[1 + (random >> 32) % (RV_FORM_COUNT - 1)];

        mixed[k] = ((uint32_t)random & ~form->mask) | form->value;
    }
    print_message(
        "decode: %.2f ns each in a loop's code, %.2f ns each in an even mix of all forms\n",
        decode_ns(loop, G_N_ELEMENTS(loop), 200000), decode_ns(mixed, count, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_compressed_all),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_rounding_modes),
        cmocka_unit_test(test_disas_buffer),
        cmocka_unit_test(test_csr_names),
        cmocka_unit_test(test_disassembler_object),
        cmocka_unit_test(test_speed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
