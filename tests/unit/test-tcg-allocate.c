/* SPDX-License-Identifier: MIT */
/*
 * Register allocation: no two ranges that touch share a register, whatever the seed; what is hot has
 * one, what is used seldom has none; what lives through calls avoids what they destroy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/tcg/random-ir.h"

#define X(n_) ((IrReg)(n_))
#define PC UINT64_C(0x80001000)

static const IrHostRegs few_regs = {
    .order = { { 0, 1, 8 }, { 0, 1 } },
    .count = { 3, 2 },
    .clobbered = { 3, 3 },
};

static const IrHostRegs many_regs = {
    .order = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, { 0, 1, 2, 3, 4, 5, 6, 7 } },
    .count = { 12, 8 },
    .clobbered = { 0x3f, 0xff },
};

static IrType type_of(const IrRegion *region, IrReg reg)
{
    return ir_is_global(reg) ? region->target->globals[reg].type
                             : (IrType)region->temp_types[reg - IR_FIRST_TEMP];
}

/* First tick of a range that is written (odd) or live into a block (even), last tick. */
static void check_sharing(const IrRegion *region, const IrAllocation *al)
{
    for (uint32_t i = 0; i < al->placed_count; i++) {
        IrReg a = al->placed[i];

        assert_true(al->used[type_of(region, a)] >> al->home[a].reg & 1);
        for (uint32_t j = i + 1; j < al->placed_count; j++) {
            IrReg b = al->placed[j];
            const IrHome *ha = &al->home[a], *hb = &al->home[b];

            if (ha->reg != hb->reg || type_of(region, a) != type_of(region, b)) {
                continue;
            }
            /* One may end at the operation that writes the other. */
            assert_true(ha->end <= hb->start || hb->end <= ha->start);
        }
    }
}

static void ranges_that_touch_share_nothing(void **state)
{
    IrRegion *region = ir_region_create();
    IrAllocation al = { 0 };

    for (uint64_t seed = 1; seed < 2000; seed++) {
        random_ir_region(region, seed, RANDOM_IR_ALL);
        ir_analyse(region);
        ir_allocate(region, seed & 1 ? &few_regs : &many_regs, seed & 2 ? seed : 0, &al);
        check_sharing(region, &al);
        for (IrReg t = IR_FIRST_TEMP; t < IR_FIRST_TEMP + region->temp_count; t++) {
            const IrHome *home = &al.home[t];
            if (home->start <= home->end) {
                assert_true(home->reg >= 0 ||
                            (home->slot >= 0 && (uint32_t)home->slot < al.slot_count));
            }
        }
    }
    ir_allocation_finish(&al);
    ir_region_destroy(region);
}

static IrRegion *start(void)
{
    IrRegion *region = ir_region_create();

    ir_region_reset(region, &random_ir_target, PC);
    for (unsigned i = 0; i < 3; i++) {
        ir_block_new(region, PC + 16 * i);
    }
    ir_guest(region, PC, 0x13, 4, 0);
    return region;
}

static void end_region(IrRegion *region)
{
    IrInsn *insn = ir_emit(region, IR_OP_exit, IR_NONE, IR_NONE, IR_NONE, IR_NONE);
    char *wrong;

    insn->aux = IR_LINK_NONE;
    ir_region_finish(region);
    wrong = ir_verify(region);
    if (wrong != NULL) {
        fail_msg("%s", wrong);
    }
    ir_analyse(region);
}

static void loop(IrRegion *region, unsigned header, unsigned out)
{
    IrInsn *insn = ir_emit(region, IR_OP_brcond, IR_NONE, X(1), IR_IMM, IR_NONE);

    insn->cond = IR_NE;
    insn->aux = (uint16_t)header;
    insn->target = (uint16_t)out;
}

/* Before the loop four globals are used, in it three others: those get the three registers. */
static void what_is_hot_gets_the_registers(void **state)
{
    IrRegion *region = start();
    IrAllocation al = { 0 };

    ir_block_begin(region, 0);
    for (unsigned i = 4; i < 8; i++) {
        ir_emit(region, IR_OP_add, X(i), X(i), X(9), IR_NONE);
    }
    ir_emit(region, IR_OP_br, IR_NONE, IR_NONE, IR_NONE, IR_NONE)->aux = 1;
    ir_block_begin(region, 1);
    ir_emit(region, IR_OP_add, X(2), X(2), X(3), IR_NONE);
    ir_emit_imm(region, IR_OP_sub, X(1), X(1), 1);
    loop(region, 1, 2);
    ir_block_begin(region, 2);
    end_region(region);
    ir_allocate(region, &few_regs, 0, &al);
    for (unsigned i = 1; i < 4; i++) {
        assert_true(al.home[i].reg >= 0);
    }
    for (unsigned i = 4; i < 8; i++) {
        assert_int_equal(al.home[i].reg, -1);
    }
    assert_int_equal(al.slot_count, 0);
    ir_allocation_finish(&al);
    ir_region_destroy(region);
}

static void a_global_used_once_stays_in_memory(void **state)
{
    IrRegion *region = start();
    IrAllocation al = { 0 };

    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, X(1), X(2), 8);
    end_region(region);
    ir_allocate(region, &many_regs, 0, &al);
    assert_int_equal(al.home[1].reg, -1);
    assert_int_equal(al.home[2].reg, -1);
    ir_allocation_finish(&al);
    ir_region_destroy(region);
}

static void what_lives_through_calls_is_put_where_they_keep_it(void **state)
{
    IrRegion *region = start();
    IrAllocation al = { 0 };
    IrReg t = ir_temp(region, IR_TYPE_I64);
    uint32_t across[2];

    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, t, X(2), 8);
    ir_emit(region, IR_OP_call, X(3), X(4), X(4), X(4))->aux = 0;
    ir_emit(region, IR_OP_add, X(5), t, X(3), IR_NONE);
    end_region(region);
    ir_allocate(region, &many_regs, 0, &al);
    assert_true(al.home[t].reg >= 6);
    assert_true(ir_live_after(&al, t, 1));
    assert_false(ir_live_after(&al, t, 2));
    ir_live_across(region, &al, 1, true, across);
    assert_true(across[IR_TYPE_I64] >> al.home[t].reg & 1);
    ir_live_across(region, &al, 2, true, across);
    assert_false(across[IR_TYPE_I64] >> al.home[t].reg & 1);
    ir_allocation_finish(&al);
    ir_region_destroy(region);
}

/* x1 = t needs no instruction when both have the same home. */
static void a_copy_shares_its_source_s_register(void **state)
{
    IrRegion *region = start();
    IrAllocation al = { 0 };
    IrReg t = ir_temp(region, IR_TYPE_I64), u = ir_temp(region, IR_TYPE_I64);

    ir_block_begin(region, 0);
    ir_emit_imm(region, IR_OP_add, t, X(2), 8);
    ir_emit_imm(region, IR_OP_shl, u, t, 3);
    ir_emit(region, IR_OP_exit_reg, IR_NONE, u, IR_NONE, IR_NONE);
    ir_region_finish(region);
    ir_analyse(region);
    ir_allocate(region, &many_regs, 0, &al);
    assert_true(al.home[t].reg >= 0);
    assert_int_equal(al.home[t].reg, al.home[u].reg);
    ir_allocation_finish(&al);
    ir_region_destroy(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_that_touch_share_nothing),
        cmocka_unit_test(what_is_hot_gets_the_registers),
        cmocka_unit_test(a_global_used_once_stays_in_memory),
        cmocka_unit_test(what_lives_through_calls_is_put_where_they_keep_it),
        cmocka_unit_test(a_copy_shares_its_source_s_register),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
