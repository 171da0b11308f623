/* SPDX-License-Identifier: MIT */
/*
 * What the passes make of known patterns, as text; that they keep the meaning of everything is
 * test-tcg-random's to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/tcg/random-ir.h"

#define X(n_) ((IrReg)(n_))
#define F(n_) ((IrReg)(RANDOM_INTS + (n_)))

static IrRegion *region;

static int start(void **state)
{
    region = ir_region_create();
    ir_region_reset(region, &random_ir_target, 0x1000);
    ir_block_new(region, 0x1000);
    ir_block_begin(region, 0);
    ir_guest(region, 0x1000, 0, 4, 0);
    return 0;
}

static int stop(void **state)
{
    ir_region_destroy(region);
    return 0;
}

static IrReg temp(void)
{
    return ir_temp(region, IR_TYPE_I64);
}

static void imm(IrOp op, IrReg dst, IrReg a, int64_t value)
{
    ir_emit_imm(region, op, dst, a, value);
    if (op == IR_OP_movi) {
        region->insns[region->insn_count - 1].b = IR_NONE;
    }
}

static void two(IrOp op, IrReg dst, IrReg a, IrReg b)
{
    ir_emit(region, op, dst, a, b, IR_NONE);
}

static void one(IrOp op, IrReg dst, IrReg a)
{
    ir_emit(region, op, dst, a, IR_NONE, IR_NONE);
}

static void load(IrReg dst, IrReg base, int64_t offset, unsigned mem)
{
    IrInsn *insn = ir_emit(region, IR_OP_ld, dst, base, IR_NONE, IR_NONE);

    insn->imm = offset;
    insn->aux = (uint16_t)mem;
}

static void next_guest(void)
{
    ir_guest(region, 0x1000 + 4 * region->guest_count, 0, 4, region->guest_count);
}

/* Ends the region, optimises, and compares its operations, one a line, without the exit. */
static void expect(const char *const *lines)
{
    GString *text = g_string_new(NULL), *wanted = g_string_new(NULL), *got = g_string_new(NULL);
    IrInsn *insn = ir_emit(region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);
    char **printed, *wrong;

    insn->aux = IR_LINK_NONE;
    ir_region_finish(region);
    wrong = ir_verify(region);
    if (wrong != NULL) {
        fail_msg("as made: %s", wrong);
    }
    ir_optimise(region);
    wrong = ir_verify(region);
    if (wrong != NULL) {
        fail_msg("optimised: %s", wrong);
    }
    ir_print(region, text);
    printed = g_strsplit(text->str, "\n", -1);
    for (unsigned i = 0; printed[i] != NULL; i++) {
        if (g_str_has_prefix(printed[i], "    ") && !g_str_has_prefix(printed[i], "    exit ")) {
            g_string_append_printf(got, "%s\n", printed[i] + 4);
        }
    }
    for (unsigned i = 0; lines[i] != NULL; i++) {
        g_string_append_printf(wanted, "%s\n", lines[i]);
    }
    assert_string_equal(got->str, wanted->str);
    g_strfreev(printed);
    g_string_free(text, true);
    g_string_free(wanted, true);
    g_string_free(got, true);
}

#define EXPECT(...) expect((const char *const[]){ __VA_ARGS__, NULL })

/* lui and addi; a known pointer and its offset. */
static void constants_fold(void **state)
{
    imm(IR_OP_movi, X(1), IR_NONE, 0x12345000);
    next_guest();
    imm(IR_OP_addw, X(1), X(1), 0x678);
    next_guest();
    imm(IR_OP_movi, X(2), IR_NONE, 0x10000);
    next_guest();
    load(X(3), X(2), 8, 3);
    EXPECT("movi x1, 0x12345678", "movi x2, 0x10000", "ld.u64 x3, [zero + 0x10008]");
}

static void copies_go(void **state)
{
    IrReg t = temp(), u = temp();

    one(IR_OP_mov, t, X(2));
    one(IR_OP_mov, u, t);
    two(IR_OP_add, X(1), u, t);
    EXPECT("add x1, x2, x2");
}

static void a_temp_that_is_only_moved_on_becomes_its_destination(void **state)
{
    IrReg t = temp();

    two(IR_OP_add, t, X(2), X(3));
    one(IR_OP_mov, X(1), t);
    EXPECT("add x1, x2, x3");
}

/* A fault between the two must still show the old x1. */
static void but_not_through_what_may_fault(void **state)
{
    IrReg t = temp();

    two(IR_OP_add, t, X(2), X(3));
    load(X(5), X(4), 0, 3);
    one(IR_OP_mov, X(1), t);
    EXPECT("add t0, x2, x3", "ld.u64 x5, [x4]", "mov x1, t0");
}

static void sums_become_offsets(void **state)
{
    IrReg t = temp(), u = temp();

    imm(IR_OP_add, t, X(2), 16);
    load(X(1), t, 8, 3);
    next_guest();
    imm(IR_OP_add, u, t, 4);
    load(X(3), u, 0, 2 | IR_MEM_SIGNED);
    EXPECT("ld.u64 x1, [x2 + 24]", "ld.s32 x3, [x2 + 20]");
}

static void a_pointer_that_moves_is_not_its_old_self(void **state)
{
    imm(IR_OP_add, X(2), X(2), 8);
    next_guest();
    load(X(1), X(2), 0, 3);
    EXPECT("add x2, x2, 8", "ld.u64 x1, [x2]");
}

static void writes_nobody_sees_go(void **state)
{
    imm(IR_OP_add, X(1), X(2), 1);
    next_guest();
    imm(IR_OP_add, X(1), X(3), 2);
    next_guest();
    imm(IR_OP_movi, X(4), IR_NONE, 5);
    next_guest();
    load(X(5), X(6), 0, 3);
    next_guest();
    imm(IR_OP_movi, X(4), IR_NONE, 6);
    EXPECT("add x1, x3, 2", "movi x4, 5", "ld.u64 x5, [x6]", "movi x4, 6");
}

static void extensions_of_what_is_extended_go(void **state)
{
    IrReg t = temp(), u = temp();

    two(IR_OP_addw, X(1), X(2), X(3));
    one(IR_OP_sext32, X(1), X(1));
    next_guest();
    load(t, X(4), 0, 0);
    one(IR_OP_zext8, X(5), t);
    next_guest();
    load(u, X(4), 0, 1 | IR_MEM_SIGNED);
    one(IR_OP_sext32, X(6), u);
    EXPECT("addw x1, x2, x3", "ld.u8 x5, [x4]", "ld.s16 x6, [x4]");
}

static void pairs_of_shifts_extend(void **state)
{
    imm(IR_OP_shl, X(1), X(2), 32);
    next_guest();
    imm(IR_OP_shr, X(1), X(1), 32);
    next_guest();
    imm(IR_OP_shl, X(3), X(2), 48);
    next_guest();
    imm(IR_OP_sar, X(3), X(3), 48);
    EXPECT("zext32 x1, x2", "sext16 x3, x2");
}

/* As compilers write it: the shifts overwrite what they shift, and only low halves matter. */
static void shifts_in_place_extend_too(void **state)
{
    imm(IR_OP_addw, X(1), X(1), 1);
    next_guest();
    imm(IR_OP_shlw, X(1), X(1), 16);
    next_guest();
    imm(IR_OP_add, X(5), X(5), 1);
    next_guest();
    imm(IR_OP_sarw, X(1), X(1), 16);
    next_guest();
    imm(IR_OP_shl, X(2), X(2), 32);
    next_guest();
    load(X(6), X(7), 0, 3);
    next_guest();
    imm(IR_OP_shr, X(2), X(2), 32);
    EXPECT("add x1, x1, 1", "sext16 x1, x1", "add x5, x5, 1", "shl x2, x2, 32", "ld.u64 x6, [x7]",
           "shr x2, x2, 32");
}

static void strength_is_reduced(void **state)
{
    IrReg t = temp(), u = temp();

    imm(IR_OP_mul, X(1), X(2), 8);
    imm(IR_OP_mul, X(3), X(2), 5);
    imm(IR_OP_movi, t, IR_NONE, 16);
    two(IR_OP_divu, X(4), X(2), t);
    two(IR_OP_remu, X(5), X(2), t);
    imm(IR_OP_sub, X(6), X(2), 3);
    two(IR_OP_xor, X(7), X(2), X(2));
    imm(IR_OP_movi, u, IR_NONE, 3);
    two(IR_OP_add, X(8), u, X(9));
    EXPECT("shl x1, x2, 3", "addsh.2 x3, x2, x2", "shr x4, x2, 4", "and x5, x2, 15",
           "add x6, x2, -3", "movi x7, 0", "add x8, x9, 3");
}

static void what_was_computed_is_not_computed_again(void **state)
{
    IrReg t = temp(), u = temp();

    two(IR_OP_mul, t, X(2), X(3));
    imm(IR_OP_add, X(1), t, 1);
    two(IR_OP_mul, u, X(2), X(3));
    imm(IR_OP_add, X(4), u, 2);
    EXPECT("mul t0, x2, x3", "add x1, t0, 1", "add x4, t0, 2");
}

static void but_again_when_an_input_has_changed(void **state)
{
    IrReg t = temp(), u = temp();

    two(IR_OP_mul, t, X(2), X(3));
    imm(IR_OP_add, X(2), t, 1);
    two(IR_OP_mul, u, X(2), X(3));
    imm(IR_OP_add, X(4), u, 2);
    EXPECT("mul t0, x2, x3", "add x2, t0, 1", "mul t1, x2, x3", "add x4, t1, 2");
}

static void boxes_are_known(void **state)
{
    IrInsn *insn = ir_emit(region, IR_OP_ld32f, F(1), X(2), IR_NONE, IR_NONE);

    insn->aux = 2;
    next_guest();
    two(IR_OP_fmuls, F(2), F(1), F(3));
    next_guest();
    ir_emit(region, IR_OP_fmas, F(4), F(5), F(2), F(1));
    EXPECT("ld32f.u32 f1, [x2]", "fmuls.ba f2, f1, f3", "fmas.bb.bc f4, f5, f2, f1");
}

static void stores_of_zero_and_low_halves(void **state)
{
    IrReg t = temp(), u = temp();

    imm(IR_OP_movi, t, IR_NONE, 0);
    two(IR_OP_st, IR_NONE, X(1), t);
    region->insns[region->insn_count - 1].aux = 3;
    one(IR_OP_sext32, u, X(2));
    two(IR_OP_st, IR_NONE, X(1), u);
    region->insns[region->insn_count - 1].aux = 2;
    EXPECT("st.u64 [x1], zero", "st.u32 [x1], x2");
}

/* set and a branch on it; the branch is then known, and one way goes. */
static void branches_fuse_and_fold(void **state)
{
    uint16_t yes = ir_block_new(region, 0x1010), no = ir_block_new(region, 0x1020);
    uint16_t never = ir_block_new(region, 0x1030);
    IrReg t = temp();
    IrInsn *insn;

    two(IR_OP_set, t, X(1), X(2));
    region->insns[0].cond = IR_LTU;
    insn = ir_emit(region, IR_OP_brcond, IR_NONE, t, IR_IMM, IR_NONE);
    insn->cond = IR_EQ;
    insn->aux = no;
    insn->target = yes;
    ir_block_begin(region, no);
    insn = ir_emit(region, IR_OP_brcond, IR_NONE, X(3), X(3), IR_NONE);
    insn->cond = IR_NE;
    insn->aux = never;
    insn->target = yes;
    ir_block_begin(region, never);
    imm(IR_OP_movi, X(7), IR_NONE, 7);
    insn = ir_emit(region, IR_OP_br, IR_NONE, IR_NONE, IR_NONE, IR_NONE);
    insn->aux = yes;
    ir_block_begin(region, yes);
    imm(IR_OP_movi, X(8), IR_NONE, 8);
    EXPECT("brcond.geu x1, x2 -> b1, else b2", "br -> b2", "movi x8, 8");
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(constants_fold),
        TEST(copies_go),
        TEST(a_temp_that_is_only_moved_on_becomes_its_destination),
        TEST(but_not_through_what_may_fault),
        TEST(sums_become_offsets),
        TEST(a_pointer_that_moves_is_not_its_old_self),
        TEST(writes_nobody_sees_go),
        TEST(extensions_of_what_is_extended_go),
        TEST(pairs_of_shifts_extend),
        TEST(shifts_in_place_extend_too),
        TEST(strength_is_reduced),
        TEST(what_was_computed_is_not_computed_again),
        TEST(but_again_when_an_input_has_changed),
        TEST(boxes_are_known),
        TEST(stores_of_zero_and_low_halves),
        TEST(branches_fuse_and_fold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
