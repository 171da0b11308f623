/* SPDX-License-Identifier: MIT */
/*
 * Random regions, run by the IR interpreter in two ways: as they are with globals in the CPU struct,
 * and optimised with everything where the allocation put it. Both must leave the same state.
 * ORR_TEST_SEED and ORR_TEST_COUNT choose where to begin and how many regions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "target/riscv/tcg/fpu-ops.h"
#include "tests/tcg/random-ir.h"

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void check_well_formed(const IrRegion *region, uint64_t seed, const char *when)
{
    char *wrong = ir_verify(region);

    if (wrong != NULL) {
        GString *text = g_string_new(NULL);

        ir_print(region, text);
        fail_msg("seed %" G_GUINT64_FORMAT ", %s: %s\n%s", seed, when, wrong, text->str);
    }
}

static void compare_parts(unsigned parts, bool optimise, bool homes)
{
    uint64_t first = from_environment("ORR_TEST_SEED", 1);
    uint64_t count = from_environment("ORR_TEST_COUNT", 1500);
    RandomMachine *plain = random_machine_create(&tcg_host_ir, NULL, &riscv_tcg_fpu);
    RandomMachine *other =
        random_machine_create(homes ? &tcg_host_ir_homes : &tcg_host_ir, NULL, &riscv_tcg_fpu);
    IrRegion *region = ir_region_create(), *changed = ir_region_create();
    RandomResult *expected = g_new(RandomResult, 1), *got = g_new(RandomResult, 1);
    uint64_t leaves[8] = { 0 }, faults = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        random_ir_region(region, seed, parts);
        random_ir_region(changed, seed, parts);
        check_well_formed(region, seed, "as made");
        if (optimise) {
            ir_optimise(changed);
            check_well_formed(changed, seed, "optimised");
        }
        for (unsigned i = 0; i < 4; i++) {
            char *difference;

            random_machine_run(plain, region, 0, seed * 4 + i, expected);
            random_machine_run(other, changed, i == 0 ? 0 : seed * 977 + i, seed * 4 + i, got);
            leaves[expected->reason % 8]++;
            faults += expected->fault != 0;
            difference = random_result_compare(expected, got);
            if (difference != NULL) {
                GString *text = g_string_new(NULL);

                ir_print(region, text);
                g_string_append(text, "as run:\n");
                ir_print(changed, text);
                fail_msg("seed %" G_GUINT64_FORMAT " state %u: %s\n%s", seed, i, difference,
                         text->str);
            }
        }
    }
    /* The regions must do something: all ways of leaving have been seen. */
    if (count >= 1000 && (parts & RANDOM_IR_MEMORY)) {
        assert_true(faults > 100);
        assert_true(leaves[TCG_EXIT_RESUME] > faults);
        if (parts & RANDOM_IR_BRANCHES) {
            assert_true(leaves[TCG_EXIT_POLL] > 0);
        }
    }
    g_free(expected);
    g_free(got);
    ir_region_destroy(region);
    ir_region_destroy(changed);
    random_machine_destroy(plain);
    random_machine_destroy(other);
}

static void homes_keep_the_meaning(void **state)
{
    compare_parts(RANDOM_IR_INT, false, true);
    compare_parts(RANDOM_IR_ALL, false, true);
}

static void passes_keep_the_meaning_of_integer_code(void **state)
{
    compare_parts(RANDOM_IR_INT, true, false);
    compare_parts(RANDOM_IR_INT | RANDOM_IR_BRANCHES, true, false);
}

static void passes_keep_the_meaning_where_it_faults(void **state)
{
    compare_parts(RANDOM_IR_INT | RANDOM_IR_MEMORY, true, false);
}

static void passes_keep_the_meaning_of_everything(void **state)
{
    compare_parts(RANDOM_IR_ALL, true, false);
}

static void both_together(void **state)
{
    compare_parts(RANDOM_IR_ALL, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(homes_keep_the_meaning),
        cmocka_unit_test(passes_keep_the_meaning_of_integer_code),
        cmocka_unit_test(passes_keep_the_meaning_where_it_faults),
        cmocka_unit_test(passes_keep_the_meaning_of_everything),
        cmocka_unit_test(both_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
