/* SPDX-License-Identifier: MIT */
/*
 * Building regions, the order of blocks, the verifier's complaints, the printer, and what analysis
 * finds about globals.
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
#define PC UINT64_C(0x80001000)

static IrRegion *start(unsigned blocks)
{
    IrRegion *region = ir_region_create();

    ir_region_reset(region, &random_ir_target, PC);
    for (unsigned i = 0; i < blocks; i++) {
        ir_block_new(region, PC + 16 * i);
    }
    ir_guest(region, PC, 0x13, 4, 0);
    return region;
}

static void emit_br(IrRegion *region, unsigned to)
{
    ir_emit(region, IR_OP_br, IR_NONE, IR_NONE, IR_NONE, IR_NONE)->aux = (uint16_t)to;
}

static void emit_brcond(IrRegion *region, IrReg a, unsigned to, unsigned other)
{
    IrInsn *insn = ir_emit(region, IR_OP_brcond, IR_NONE, a, IR_IMM, IR_NONE);

    insn->cond = IR_NE;
    insn->aux = (uint16_t)to;
    insn->target = (uint16_t)other;
}

static IrInsn *emit_exit(IrRegion *region, uint64_t pc)
{
    IrInsn *insn = ir_emit(region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);

    insn->imm = (int64_t)pc;
    insn->aux = IR_LINK_NONE;
    return insn;
}

static void expect_good(const IrRegion *region)
{
    char *wrong = ir_verify(region);

    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
}

static void expect_wrong(IrRegion *region, const char *part)
{
    char *wrong = ir_verify(region);

    if (wrong == NULL) {
        fail_msg("nobody says '%s'", part);
    } else if (strstr(wrong, part) == NULL) {
        fail_msg("'%s' does not say '%s'", wrong, part);
    }
    g_free(wrong);
    ir_region_destroy(region);
}

/* ---- Order of blocks. */

static void reachable_blocks_stay_and_cold_ones_go_last(void **state)
{
    IrRegion *region = start(5);

    region->blocks[1].cold = true;
    ir_block_begin(region, 4);
    emit_exit(region, 4);
    ir_block_begin(region, 1);
    emit_br(region, 3);
    ir_block_begin(region, 0);
    emit_brcond(region, X(1), 1, 3);
    ir_block_begin(region, 2); /* nothing leads here */
    emit_exit(region, 2);
    ir_block_begin(region, 3);
    emit_br(region, 4);
    ir_region_finish(region);
    expect_good(region);

    assert_int_equal(region->block_count, 4);
    assert_int_equal(region->insn_count, 4);
    assert_int_equal(region->blocks[0].pc, PC);
    assert_int_equal(region->blocks[1].pc, PC + 16 * 3);
    assert_int_equal(region->blocks[2].pc, PC + 16 * 4);
    assert_int_equal(region->blocks[3].pc, PC + 16 * 1);
    assert_true(region->blocks[3].cold);
    assert_int_equal(region->insns[0].aux, 3);
    assert_int_equal(region->insns[0].target, 1);
    for (unsigned b = 0; b < 4; b++) {
        assert_int_equal(region->blocks[b].first, b);
        assert_int_equal(region->blocks[b].loop_depth, 0);
    }
    ir_region_destroy(region);
}

/* 0 -> 1; 1 -> 2 or 5; 2 -> 3 or 4; 3 -> 2; 4 -> 1; a way out of each loop comes behind it. */
static void nested_loops_have_depths_and_stay_together(void **state)
{
    IrRegion *region = start(7);
    unsigned position[7];

    ir_block_begin(region, 0);
    emit_br(region, 1);
    ir_block_begin(region, 1);
    emit_brcond(region, X(1), 5, 2);
    ir_block_begin(region, 5);
    emit_exit(region, 5);
    ir_block_begin(region, 2);
    emit_brcond(region, X(2), 3, 4);
    ir_block_begin(region, 3);
    emit_brcond(region, X(3), 6, 2);
    ir_block_begin(region, 4);
    emit_br(region, 1);
    ir_block_begin(region, 6);
    emit_exit(region, 6);
    ir_region_finish(region);
    expect_good(region);

    assert_int_equal(region->block_count, 7);
    for (unsigned b = 0; b < 7; b++) {
        position[(region->blocks[b].pc - PC) / 16] = b;
    }
    assert_int_equal(region->blocks[position[0]].loop_depth, 0);
    assert_int_equal(region->blocks[position[1]].loop_depth, 1);
    assert_int_equal(region->blocks[position[2]].loop_depth, 2);
    assert_int_equal(region->blocks[position[3]].loop_depth, 2);
    assert_int_equal(region->blocks[position[4]].loop_depth, 1);
    assert_int_equal(region->blocks[position[5]].loop_depth, 0);
    assert_int_equal(region->blocks[position[6]].loop_depth, 0);
    assert_int_equal(position[3], position[2] + 1);
    assert_true(position[5] > position[4] && position[6] > position[4]);
    ir_region_destroy(region);
}

static void links_are_numbered_without_gaps(void **state)
{
    IrRegion *region = start(3);

    region->link_count = 3;
    ir_block_begin(region, 0);
    emit_brcond(region, X(1), 2, 2);
    ir_block_begin(region, 1);
    emit_exit(region, 4)->aux = 0;
    ir_block_begin(region, 2);
    emit_exit(region, 8)->aux = 2;
    ir_region_finish(region);
    expect_good(region);
    assert_int_equal(region->link_count, 1);
    assert_int_equal(region->insns[1].aux, 0);
    ir_region_destroy(region);
}

/* A loop that is entered in two places has no one header; it must still be laid out. */
static void a_loop_with_two_entries_is_laid_out(void **state)
{
    IrRegion *region = start(4);

    ir_block_begin(region, 0);
    emit_brcond(region, X(1), 1, 2);
    ir_block_begin(region, 1);
    emit_br(region, 2);
    ir_block_begin(region, 2);
    emit_brcond(region, X(2), 1, 3);
    ir_block_begin(region, 3);
    emit_exit(region, 8);
    ir_region_finish(region);
    expect_good(region);
    assert_int_equal(region->block_count, 4);
    ir_region_destroy(region);
}

/* The same, with a loop of its own inside: that one is deeper than what is around it. */
static void a_loop_inside_a_loop_with_two_entries_is_deeper(void **state)
{
    IrRegion *region = start(5);

    ir_block_begin(region, 0);
    emit_brcond(region, X(1), 1, 2);
    ir_block_begin(region, 1);
    emit_br(region, 2);
    ir_block_begin(region, 2);
    emit_brcond(region, X(2), 2, 3);
    ir_block_begin(region, 3);
    emit_brcond(region, X(3), 1, 4);
    ir_block_begin(region, 4);
    emit_exit(region, 8);
    ir_region_finish(region);
    expect_good(region);
    assert_int_equal(region->block_count, 5);
    for (unsigned b = 0; b < 5; b++) {
        static const uint8_t depths[] = { 0, 1, 2, 1, 0 };

        assert_int_equal(region->blocks[b].loop_depth, depths[(region->blocks[b].pc - PC) / 16]);
    }
    ir_region_destroy(region);
}

/* ---- The verifier. */

static IrRegion *one_insn(IrOp op, IrReg dst, IrReg a, IrReg b, IrReg c)
{
    IrRegion *region = start(1);

    ir_block_begin(region, 0);
    ir_emit(region, op, dst, a, b, c);
    emit_exit(region, 4);
    return region;
}

static void what_is_malformed_is_said(void **state)
{
    IrRegion *region;

    expect_wrong(one_insn(IR_OP_add, X(1), X(2), IR_NONE, IR_NONE), "b is missing");
    expect_wrong(one_insn(IR_OP_add, IR_ZERO, X(2), X(3), IR_NONE), "dst cannot be zero");
    expect_wrong(one_insn(IR_OP_add, X(1), X(2), X(3), X(4)), "c must be IR_NONE");
    expect_wrong(one_insn(IR_OP_add, X(1), X(2), F(1), IR_NONE), "b is of the wrong type");
    expect_wrong(one_insn(IR_OP_divs, X(1), X(2), IR_IMM, IR_NONE), "b cannot be an immediate");
    expect_wrong(one_insn(IR_OP_mov, X(100), X(2), IR_NONE, IR_NONE), "which there is not");
    expect_wrong(one_insn(IR_OP_mov, X(1), IR_FIRST_TEMP, IR_NONE, IR_NONE), "which there is not");
    expect_wrong(one_insn(IR_OP_addsh, X(1), X(2), X(3), IR_NONE), "shift by 0");
    expect_wrong(one_insn(IR_OP_br, IR_NONE, IR_NONE, IR_NONE, IR_NONE), "before its last");

    region = one_insn(IR_OP_call, X(1), X(2), IR_NONE, IR_NONE);
    region->insns[0].aux = 99;
    expect_wrong(region, "helper 99");

    region = one_insn(IR_OP_faddd, F(1), F(2), F(2), IR_NONE);
    region->insns[0].aux = IR_NEGATE_ADDEND;
    expect_wrong(region, "mean nothing");

    region = one_insn(IR_OP_mov, X(1), X(2), IR_NONE, IR_NONE);
    region->insns[1].aux = 3;
    expect_wrong(region, "link 3 of 0");

    region = start(1);
    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, X(1), X(1), 1);
    expect_wrong(region, "does not end the block");

    expect_wrong(start(1), "empty");

    region = start(2);
    ir_block_begin(region, 0);
    emit_br(region, 7);
    ir_block_begin(region, 1);
    emit_exit(region, 4);
    expect_wrong(region, "block 7 of 2");

    region = start(1);
    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, X(1), X(1), 1);
    ir_emit(region, IR_OP_ld, X(2), X(3), IR_NONE, IR_NONE)->aux = 3;
    emit_exit(region, 4);
    expect_wrong(region, "after its guest instruction has written");
}

static void temps_are_written_before_they_are_read(void **state)
{
    IrRegion *region = start(4);
    IrReg t = ir_temp(region, IR_TYPE_I64);

    /* Written on one of two ways. */
    ir_block_begin(region, 0);
    emit_brcond(region, X(1), 1, 2);
    ir_block_begin(region, 1);
    ir_emit_imm(region, IR_OP_movi, t, IR_NONE, 1);
    region->insns[region->insn_count - 1].b = IR_NONE;
    emit_br(region, 3);
    ir_block_begin(region, 2);
    emit_br(region, 3);
    ir_block_begin(region, 3);
    ir_emit(region, IR_OP_mov, X(1), t, IR_NONE, IR_NONE);
    emit_exit(region, 4);
    expect_wrong(region, "t0 may not have been written");
}

/* ---- Text. */

static void text_says_all_of_an_operation(void **state)
{
    IrRegion *region = start(2);
    IrReg t = ir_temp(region, IR_TYPE_I64);
    GString *text = g_string_new(NULL);
    IrInsn *insn;

    ir_block_begin(region, 0);
    insn = ir_emit(region, IR_OP_ld, t, X(2), IR_NONE, IR_NONE);
    insn->aux = 2 | IR_MEM_SIGNED;
    insn->imm = -8;
    ir_emit(region, IR_OP_fmas, F(1), F(2), F(3), F(4))->aux = IR_BOXED_A | IR_NEGATE_ADDEND;
    ir_emit_imm(region, IR_OP_set, X(3), t, 5);
    region->insns[2].cond = IR_LTU;
    emit_brcond(region, X(3), 0, 1);
    ir_block_begin(region, 1);
    emit_exit(region, 0x80002000);
    ir_region_finish(region);
    expect_good(region);
    ir_print(region, text);
    assert_non_null(strstr(text->str, "region 0x80001000\n  b0: 0x80001000 loop 1\n"));
    assert_non_null(strstr(text->str, "    ld.s32 t0, [x2 + -8]\n"));
    assert_non_null(strstr(text->str, "    fmas.ba.na f1, f2, f3, f4\n"));
    assert_non_null(strstr(text->str, "    set.ltu x3, t0, 5\n"));
    assert_non_null(strstr(text->str, "    brcond.ne x3, 0 -> b0, else b1\n"));
    assert_non_null(strstr(text->str, "    exit 0x80002000\n"));
    g_string_free(text, true);
    ir_region_destroy(region);
}

static void the_table_is_consistent(void **state)
{
    for (unsigned op = 0; op < IR_OP_COUNT; op++) {
        const IrOpInfo *info = &ir_op_info[op];

        assert_int_equal(strlen(info->shape), 5);
        assert_int_equal(info->shape[1], ':');
        assert_true(!(info->flags & IR_COMMUTES) || info->shape[3] != '-');
        assert_true(!(info->flags & IR_STORE) || (info->flags & IR_MEM));
        assert_true(!(info->flags & IR_MEM) || (info->flags & IR_FAULTS));
        assert_true(!(info->flags & IR_END) || info->shape[0] == '-');
    }
}

/* ---- Analysis. */

static bool has(const uint64_t set[2], IrReg reg)
{
    return set[reg / 64] >> (reg % 64) & 1;
}

/* A loop that adds x2 to x1: both live around it, x1 dirty, and written back where it is left. */
static void a_loop_keeps_its_globals_live(void **state)
{
    IrRegion *region = start(3);
    IrCursor at;

    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_movi, X(5), IR_NONE, 7);
    region->insns[0].b = IR_NONE;
    emit_br(region, 1);
    ir_block_begin(region, 1);
    ir_emit(region, IR_OP_add, X(1), X(1), X(2), IR_NONE);
    emit_brcond(region, X(1), 1, 2);
    ir_block_begin(region, 2);
    emit_exit(region, 4);
    ir_region_finish(region);
    expect_good(region);
    ir_analyse(region);

    assert_true(has(region->blocks[0].live_in, X(1)));
    assert_true(has(region->blocks[0].live_in, X(2)));
    assert_false(has(region->blocks[0].live_in, X(5)));
    assert_true(has(region->blocks[1].live_in, X(5))); /* to be written back */
    assert_true(has(region->blocks[1].dirty_in, X(1)));
    assert_true(has(region->blocks[1].dirty_in, X(5)));
    assert_false(has(region->blocks[1].dirty_in, X(2)));
    assert_true(has(region->blocks[2].live_in, X(1)));
    assert_false(has(region->blocks[2].live_in, X(2)));
    assert_false(has(region->blocks[2].live_out, X(1)));

    ir_cursor_begin(&at, region, 0);
    assert_true(ir_cursor_next(&at));
    assert_false(has(at.dirty, X(5)));
    assert_true(ir_cursor_next(&at));
    assert_true(has(at.dirty, X(5)));
    assert_false(ir_cursor_next(&at));
    ir_region_destroy(region);
}

static void a_syscall_cuts_what_is_known(void **state)
{
    IrRegion *region = start(1);
    IrCursor at;

    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, X(1), X(2), 1);
    ir_emit(region, IR_OP_syscall, IR_NONE, X(3), IR_NONE, IR_NONE)->aux = 2;
    ir_emit_imm(region, IR_OP_add, X(4), X(5), 1);
    emit_exit(region, 4);
    ir_region_finish(region);
    expect_good(region);
    ir_analyse(region);
    assert_true(has(region->blocks[0].live_in, X(2)));
    assert_true(has(region->blocks[0].live_in, X(3)));
    assert_false(has(region->blocks[0].live_in, X(5))); /* comes from the CPU struct afterwards */

    ir_cursor_begin(&at, region, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ir_cursor_next(&at));
    }
    assert_false(has(at.dirty, X(1)));
    assert_true(ir_cursor_next(&at));
    assert_true(has(at.dirty, X(4)));
    ir_region_destroy(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reachable_blocks_stay_and_cold_ones_go_last),
        cmocka_unit_test(nested_loops_have_depths_and_stay_together),
        cmocka_unit_test(links_are_numbered_without_gaps),
        cmocka_unit_test(a_loop_with_two_entries_is_laid_out),
        cmocka_unit_test(a_loop_inside_a_loop_with_two_entries_is_deeper),
        cmocka_unit_test(what_is_malformed_is_said),
        cmocka_unit_test(temps_are_written_before_they_are_read),
        cmocka_unit_test(text_says_all_of_an_operation),
        cmocka_unit_test(the_table_is_consistent),
        cmocka_unit_test(a_loop_keeps_its_globals_live),
        cmocka_unit_test(a_syscall_cuts_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
