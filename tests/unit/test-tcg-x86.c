/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 back end against the IR interpreter, on random regions: with registers where the allocator
 * puts them and where a fuzzed one does, with all the features of this CPU and with fewer.
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

/* What this CPU has, less what the bits of `without` say. */
static TcgHostFeatures features_without(unsigned without)
{
    TcgHostFeatures f = tcg_host_features();

    f.bmi1 &= !(without & 1);
    f.bmi2 &= !(without & 2);
    f.lzcnt &= !(without & 4);
    f.popcnt &= !(without & 8);
    f.avx &= !(without & 16);
    f.fma &= f.avx && !(without & 32);
    f.pclmul &= !(without & 64);
    f.sse41 &= !(without & 128);
    return f;
}

static void compare_parts(unsigned parts, unsigned without, uint64_t count)
{
    uint64_t first = from_environment("ORR_TEST_SEED", 1);
    TcgHostFeatures features = features_without(without);
    RandomMachine *plain = random_machine_create(&tcg_host_ir, NULL, &riscv_tcg_fpu);
    RandomMachine *native = random_machine_create(&tcg_host_x86_64, &features, &riscv_tcg_fpu);
    IrRegion *region = ir_region_create(), *changed = ir_region_create();
    RandomResult *expected = g_new(RandomResult, 1), *got = g_new(RandomResult, 1);

    count = from_environment("ORR_TEST_COUNT", count);
    for (uint64_t seed = first; seed < first + count; seed++) {
        random_ir_region(region, seed, parts);
        random_ir_region(changed, seed, parts);
        if (seed & 1) {
            ir_optimise(changed);
        }
        if (seed & 2) { /* as code that is not hot yet: accesses do not share checks */
            changed->heat_offset = TCG_VIEW_OFFSET(heat[RANDOM_HEAT]);
        }
        for (unsigned i = 0; i < 4; i++) {
            char *difference;

            random_machine_run(plain, region, 0, seed * 4 + i, expected);
            random_machine_run(native, changed, i == 0 ? 0 : seed * 977 + i, seed * 4 + i, got);
            difference = random_result_compare(expected, got);
            if (difference != NULL) {
                GString *text = g_string_new(NULL);

                ir_print(region, text);
                g_string_append(text, "as run:\n");
                ir_print(changed, text);
                fail_msg("without %#x, seed %" G_GUINT64_FORMAT " state %u: %s\n%s", without, seed,
                         i, difference, text->str);
            }
        }
    }
    g_free(expected);
    g_free(got);
    ir_region_destroy(region);
    ir_region_destroy(changed);
    random_machine_destroy(plain);
    random_machine_destroy(native);
}

static void integer_code(void **state)
{
    compare_parts(RANDOM_IR_INT, 0, 2000);
    compare_parts(RANDOM_IR_INT | RANDOM_IR_BRANCHES, 0, 2000);
}

static void memory(void **state)
{
    compare_parts(RANDOM_IR_INT | RANDOM_IR_MEMORY, 0, 2000);
}

static void calls(void **state)
{
    compare_parts(RANDOM_IR_INT | RANDOM_IR_CALLS | RANDOM_IR_BRANCHES, 0, 1000);
}

static void floating_point(void **state)
{
    compare_parts(RANDOM_IR_INT | RANDOM_IR_FP, 0, 2000);
}

static void everything(void **state)
{
    compare_parts(RANDOM_IR_ALL, 0, 2000);
}

static void with_fewer_features(void **state)
{
    for (unsigned bit = 0; bit < 8; bit++) {
        compare_parts(RANDOM_IR_ALL, 1u << bit, 200);
    }
    compare_parts(RANDOM_IR_ALL, 255, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integer_code), cmocka_unit_test(memory),
        cmocka_unit_test(calls),        cmocka_unit_test(floating_point),
        cmocka_unit_test(everything),   cmocka_unit_test(with_fewer_features),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
