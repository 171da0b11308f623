/* SPDX-License-Identifier: MIT */
/*
 * Properties, sizes, option lists and nearest names: what is taken, and that everything else is
 * refused with a message that names it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/props.h"

typedef struct Thing {
    bool flag;
    uint32_t small;
    uint64_t big, size;
    char *text;
    uint32_t choice;
} Thing;

static const char *const choices[] = { "red", "green", "blue", NULL };

static const PropDef defs[] = {
    { .name = "flag", .type = PROP_BOOL, .offset = offsetof(Thing, flag), .fallback = "on" },
    { .name = "small",
      .type = PROP_U32,
      .offset = offsetof(Thing, small),
      .fallback = "7",
      .min = 1,
      .max = 100,
      .help = "a number" },
    { .name = "wide", .type = PROP_U32, .offset = offsetof(Thing, small) },
    { .name = "big", .type = PROP_U64, .offset = offsetof(Thing, big) },
    { .name = "size", .type = PROP_SIZE, .offset = offsetof(Thing, size), .fallback = "64K" },
    { .name = "text", .type = PROP_STRING, .offset = offsetof(Thing, text), .fallback = "hello" },
    { .name = "choice",
      .type = PROP_ENUM,
      .offset = offsetof(Thing, choice),
      .fallback = "green",
      .values = choices },
    { .name = NULL },
};

static void expect_refusal(const char *name, const char *value, const char *part)
{
    Thing thing = { 0 };
    GError *error = NULL;

    props_init(&thing, defs);
    assert_false(props_set(&thing, defs, "thing", name, value, &error));
    assert_non_null(strstr(error->message, "thing"));
    assert_non_null(strstr(error->message, name));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' does not hold '%s'", error->message, part);
    }
    assert_null(strchr(error->message, '\n'));
    g_error_free(error);
    assert_true(thing.flag && thing.small == 7 && thing.size == 65536 && thing.choice == 1);
    assert_string_equal(thing.text, "hello");
    props_finish(&thing, defs);
}

static void set(Thing *thing, const char *name, const char *value)
{
    assert_true(props_set(thing, defs, "thing", name, value, NULL));
}

static void values_are_taken(void **state)
{
    Thing thing = { 0 };

    props_init(&thing, defs);
    set(&thing, "flag", "off");
    assert_false(thing.flag);
    set(&thing, "flag", "yes");
    assert_true(thing.flag);
    set(&thing, "small", "100");
    assert_int_equal(thing.small, 100);
    set(&thing, "wide", "0xffffffff");
    assert_int_equal(thing.small, UINT32_MAX);
    set(&thing, "big", "18446744073709551615");
    assert_true(thing.big == UINT64_MAX);
    set(&thing, "size", "1.5G");
    assert_int_equal(thing.size, 1610612736);
    set(&thing, "text", "a");
    set(&thing, "text", "");
    assert_string_equal(thing.text, "");
    set(&thing, "choice", "blue");
    assert_int_equal(thing.choice, 2);
    props_finish(&thing, defs);
    assert_null(thing.text);
}

static void other_values_are_refused(void **state)
{
    expect_refusal("flag", "maybe", "on or off");
    expect_refusal("small", "0", "1 to 100");
    expect_refusal("small", "101", "1 to 100");
    expect_refusal("small", "-1", "whole number");
    expect_refusal("small", "7x", "whole number");
    expect_refusal("small", "", "whole number");
    expect_refusal("small", " 7", "whole number");
    expect_refusal("wide", "0x100000000", "2^32");
    expect_refusal("big", "18446744073709551616", "whole number");
    expect_refusal("size", "64Q", "size");
    expect_refusal("choice", "gren", "red, green, blue");
    expect_refusal("smal", "1", "did you mean 'small'");
    expect_refusal("nothing-like-it", "1", "has no property");
}

static void empty_tables_are_fine(void **state)
{
    GError *error = NULL;

    props_init(NULL, NULL);
    props_finish(NULL, NULL);
    assert_null(props_find(NULL, "x"));
    assert_false(props_set(NULL, NULL, "thing", "x", "1", &error));
    g_error_free(error);
}

static void help_shows_each(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    props_help(defs, out);
    fclose(out);
    assert_non_null(strstr(text, "small=<1..100>"));
    assert_non_null(strstr(text, "a number (default: 7)"));
    assert_non_null(strstr(text, "choice=<red|green|blue>"));
    free(text);
}

static void check_size(const char *text, uint64_t unit, uint64_t expected)
{
    uint64_t bytes = 0;
    GError *error = NULL;

    if (!orr_parse_size(text, unit, &bytes, &error)) {
        fail_msg("%s: %s", text, error->message);
    }
    if (bytes != expected) {
        fail_msg("%s: %" G_GUINT64_FORMAT, text, bytes);
    }
}

static void sizes(void **state)
{
    static const char *const bad[] = { "",
                                       "x",
                                       "-1",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1KB",
                                       "1.2.3",
                                       "1.",
                                       "1.K",
                                       "0x",
                                       "0xg",
                                       "K",
                                       "16E",
                                       "1e5",
                                       "18446744073709551616",
                                       "99999999999999999999999999999999999999999E",
                                       "0xfffffffffffffffffffffffff" };
    uint64_t bytes = 42;

    check_size("0", 1, 0);
    check_size("4096", 1, 4096);
    check_size("128", 1024 * 1024, 134217728);
    check_size("128M", 1, 134217728);
    check_size("128m", 1, 134217728);
    check_size("1.5G", 1, 1610612736);
    check_size("0.5", 1024, 512);
    check_size("7B", 1024, 7);
    check_size("2T", 1, UINT64_C(2) << 40);
    check_size("15E", 1, UINT64_C(15) << 60);
    check_size("0x10", 1, 16);
    check_size("0x1K", 1, 1024);
    check_size("18446744073709551615", 1, UINT64_MAX);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;

        if (orr_parse_size(bad[i], 1, &bytes, &error)) {
            fail_msg("'%s' was taken as %" G_GUINT64_FORMAT, bad[i], bytes);
        }
        assert_non_null(strstr(error->message, bad[i]));
        g_error_free(error);
    }
    assert_int_equal(bytes, 42);
}

static void nearest_names(void **state)
{
    static const char *const names[] = { "virtio-blk-device", "virtio-net-device", "serial-mm",
                                         "pl", NULL };
    char *long_name = g_strnfill(10000, 'x');

    assert_string_equal(orr_nearest("virtio-blk-devic", names), "virtio-blk-device");
    assert_string_equal(orr_nearest("Virtio-Net-Device", names), "virtio-net-device");
    assert_string_equal(orr_nearest("virtio-blk", names), "virtio-blk-device");
    assert_string_equal(orr_nearest("serialmm", names), "serial-mm");
    assert_string_equal(orr_nearest("pk", names), "pl");
    assert_null(orr_nearest("e1000", names));
    assert_null(orr_nearest("", names));
    assert_null(orr_nearest(long_name, names));
    g_free(long_name);
}

static void check_options(const char *text, const char *implied, const char *expected)
{
    GArray *pairs = orr_split_options(text, implied);
    GString *seen = g_string_new(NULL);

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        g_string_append_printf(seen, "[%s|%s]", pair->key, pair->value);
    }
    assert_string_equal(seen->str, expected);
    g_string_free(seen, TRUE);
    g_array_free(pairs, TRUE);
}

static void option_lists(void **state)
{
    check_options("", "driver", "");
    check_options("x", "driver", "[driver|x]");
    check_options("x,a=b,c", "driver", "[driver|x][a|b][c|on]");
    check_options("a=b,x", "driver", "[a|b][x|on]");
    check_options("x", NULL, "[x|on]");
    check_options("file=a,,b=c,if=none", "driver", "[file|a,b=c][if|none]");
    check_options("a=,b=", NULL, "[a|][b|]");
    check_options(",,", "driver", "[driver|,]");
    check_options("a,,,b", "driver", "[driver|a,][b|on]");
    check_options("x,", "driver", "[driver|x][|on]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_taken),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(empty_tables_are_fine),
        cmocka_unit_test(help_shows_each),
        cmocka_unit_test(sizes),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(option_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
