/* SPDX-License-Identifier: MIT */
/*
 * The registry and the module loader: what is refused, and that every refusal is a sentence. Damaged
 * modules are made from the real null module, cut and flipped at every place a header has.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "orrery/impl/accel.h"
#include "orrery/impl/module.h"

static char *good_path;
static char *good;
static gsize good_length;
static char *dir;

static char *write_module(const char *name, const char *data, gsize length)
{
    char *path = g_build_filename(dir, name, NULL);

    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), (ssize_t)length);
    close(fd);
    return path;
}

static int setup(void **state)
{
    good_path = module_find("accel-null");
    if (!good_path) {
        return -1;
    }
    dir = g_dir_make_tmp("orrery-accel-XXXXXX", NULL);
    return g_file_get_contents(good_path, &good, &good_length, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(dir);
    g_free(dir);
    g_free(good);
    g_free(good_path);
    return 0;
}

static void test_reads_the_note(void **state)
{
    g_autoptr(GError) error = NULL;
    ModuleInfo *info = module_read_info(good_path, &error);

    assert_non_null(info);
    assert_string_equal(info->kind, "accel");
    assert_string_equal(info->name, "null");
    assert_string_equal(info->drivers[0], "null");
    assert_string_equal(info->targets[0], "*");
    assert_string_equal(info->abi, ORR_ABI_STAMP);
    assert_null(info->refusal);
    module_info_free(info);
}

static void test_truncated(void **state)
{
    for (gsize length = 0; length < good_length; length += length < 256 ? 1 : 509) {
        g_autofree char *path = write_module("accel-cut.so", good, length);
        g_autoptr(GError) error = NULL;
        ModuleInfo *info = module_read_info(path, &error);

        assert_null(info);
        assert_non_null(strstr(error->message, path));
        assert_null(strchr(error->message, '\n'));
    }
}

static void test_flipped(void **state)
{
    g_autofree char *copy = g_memdup2(good, good_length);

    /* Every byte of the ELF header, the program headers and the note. */
    for (gsize i = 0; i < 1024; i++) {
        char keep = copy[i];
        g_autofree char *path = NULL;
        g_autoptr(GError) error = NULL;

        copy[i] ^= (char)(i & 1 ? 0x80 : 0xff);
        path = write_module("accel-flip.so", copy, good_length);
        module_info_free(module_read_info(path, &error));
        copy[i] = keep;
    }
}

static void test_other_stamp(void **state)
{
    g_autofree char *copy = g_memdup2(good, good_length);
    const char *stamp = "abi=" ORR_ABI_STAMP;
    char *at = memmem(copy, good_length, stamp, strlen(stamp));
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    ModuleInfo *info;

    assert_non_null(at);
    at[strlen(stamp) - 1] ^= 1;
    path = write_module("accel-old.so", copy, good_length);
    info = module_read_info(path, &error);
    assert_non_null(info);
    assert_non_null(strstr(info->refusal, ORR_ABI_STAMP));
    module_info_free(info);
    assert_null(module_load(path, ACCEL_MODULE_SYMBOL, &error));
    assert_non_null(strstr(error->message, "built for ABI"));
}

static void test_not_a_module(void **state)
{
    g_autofree char *path = write_module("accel-text.so", "hello\n", 6);
    g_autoptr(GError) error = NULL;

    assert_null(module_load(path, ACCEL_MODULE_SYMBOL, &error));
    assert_non_null(strstr(error->message, "not an ELF file"));
}

static void test_find(void **state)
{
    g_autoptr(GError) error = NULL;
    const AccelDriver *driver = accel_find("null", "riscv64", &error);

    assert_non_null(driver);
    assert_string_equal(driver->name, "null");

    /* The first usable one of a list. */
    assert_ptr_equal(accel_find("nonesuch:null", "riscv64", &error), driver);
    assert_null(error);

    /* All refused: each reason is there, on one line. */
    assert_null(accel_find("nonesuch:Bad/Name", "riscv64", &error));
    assert_non_null(strstr(error->message, "accelerator nonesuch is not installed for riscv64"));
    assert_non_null(strstr(error->message, "'Bad/Name' is not the name of an accelerator"));
    assert_null(strchr(error->message, '\n'));
}

static void fake_handle_interrupt(Vcpu *vcpu)
{
}

static bool fake_create(Vcpu *vcpu, GError **error)
{
    return false;
}

static void test_driver_check(void **state)
{
    AccelOps ops = {
        .struct_size = sizeof(AccelOps),
        .name = "fake",
        .create_vcpu_thread = fake_create,
        .handle_interrupt = fake_handle_interrupt,
    };
    AccelDriver driver = {
        .struct_size = sizeof(AccelDriver),
        .name = "fake",
        .instance_bytes = sizeof(Accel),
        .ops = &ops,
    };
    GError *error = NULL;

    assert_true(accel_driver_check(&driver, &error));

#define REFUSED(change, undo, word)                                                                \
    do {                                                                                           \
        change;                                                                                    \
        assert_false(accel_driver_check(&driver, &error));                                         \
        assert_non_null(strstr(error->message, word));                                             \
        g_clear_error(&error);                                                                     \
        undo;                                                                                      \
    } while (0)

    REFUSED(ops.handle_interrupt = NULL, ops.handle_interrupt = fake_handle_interrupt,
            "handle_interrupt");
    REFUSED(ops.create_vcpu_thread = NULL, ops.create_vcpu_thread = fake_create,
            "create_vcpu_thread");
    REFUSED(ops.struct_size -= 8, ops.struct_size += 8, "rebuild");
    REFUSED(driver.ops = NULL, driver.ops = &ops, "no ops table");
    REFUSED(driver.name = NULL, driver.name = "fake", "name");
    REFUSED(driver.instance_bytes = 1, driver.instance_bytes = sizeof(Accel), "instance_bytes");
    REFUSED(driver.struct_size = 8, driver.struct_size = sizeof(AccelDriver), "driver struct");
    REFUSED(driver.caps = ACCEL_CAP_GUEST_DEBUG, driver.caps = 0, "guest debug");
    assert_true(accel_driver_check(&driver, &error));
}

static void test_help_lists_it(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    accel_help("riscv64", out);
    fclose(out);
    assert_non_null(strstr(text, "null"));
    assert_non_null(strstr(text, "the template"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_note), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),        cmocka_unit_test(test_other_stamp),
        cmocka_unit_test(test_not_a_module),   cmocka_unit_test(test_find),
        cmocka_unit_test(test_driver_check),   cmocka_unit_test(test_help_lists_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
