/* SPDX-License-Identifier: MIT */
/*
 * The device-tree builder against libfdt's own readers, and what boards add to a finished tree.
 */
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/boot.h"
#include "machine/fdt-builder.h"

static void *small_tree(size_t *length)
{
    FdtBuilder fdt;

    fdt_builder_init(&fdt, 64);
    fdt_cells(&fdt, "#address-cells", 2);
    fdt_string_value(&fdt, "model", "test");
    fdt_node(&fdt, "soc@%x", 0x1000u);
    fdt_reg(&fdt, UINT64_C(0x123456789), 0x1000);
    fdt_strings(&fdt, "compatible", "one\0two");
    fdt_flag(&fdt, "ranges");
    fdt_cells(&fdt, "phandle", fdt_new_phandle(&fdt));
    fdt_node(&fdt, "inner");
    fdt_cells(&fdt, "phandle", fdt_new_phandle(&fdt));
    fdt_node_end(&fdt);
    fdt_node_end(&fdt);
    return fdt_builder_finish(&fdt, length, NULL);
}

static void test_reads_back(void **state)
{
    size_t length = 0;
    void *blob = small_tree(&length);
    const fdt32_t *cells;
    int node, bytes;

    assert_non_null(blob);
    assert_int_equal(fdt_check_full(blob, length), 0);
    node = fdt_path_offset(blob, "/soc@1000");
    assert_true(node >= 0);
    cells = fdt_getprop(blob, node, "reg", &bytes);
    assert_int_equal(bytes, 16);
    assert_int_equal(fdt32_to_cpu(cells[0]), 1);
    assert_int_equal(fdt32_to_cpu(cells[1]), 0x23456789);
    assert_int_equal(fdt32_to_cpu(cells[3]), 0x1000);
    assert_int_equal(fdt_stringlist_count(blob, node, "compatible"), 2);
    assert_non_null(fdt_getprop(blob, node, "ranges", &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(fdt_get_phandle(blob, node), 1);
    assert_int_equal(fdt_get_phandle(blob, fdt_path_offset(blob, "/soc@1000/inner")), 2);
    g_free(blob);
}

/* From a guess that is far too small. */
static void test_grows(void **state)
{
    FdtBuilder fdt;
    size_t length;
    void *blob;

    fdt_builder_init(&fdt, 1);
    for (unsigned i = 0; i < 1000; i++) {
        fdt_node(&fdt, "node@%x", i);
        fdt_cells(&fdt, "reg", i);
        fdt_string_value(&fdt, "status", "okay");
        fdt_node_end(&fdt);
    }
    blob = fdt_builder_finish(&fdt, &length, NULL);
    assert_non_null(blob);
    assert_int_equal(fdt_check_full(blob, length), 0);
    assert_true(fdt_path_offset(blob, "/node@3e7") > 0);
    g_free(blob);
}

static void test_first_error_is_kept(void **state)
{
    GError *error = NULL;
    FdtBuilder fdt;
    size_t length;

    fdt_builder_init(&fdt, 1024);
    fdt_node(&fdt, "a");
    fdt_node_end(&fdt);
    /* A property after a child is against the format. */
    fdt_cells(&fdt, "late", 1);
    fdt_data(&fdt, "too-long", "", (size_t)1 << 40);
    fdt_node(&fdt, "b");
    fdt_node_end(&fdt);
    assert_null(fdt_builder_finish(&fdt, &length, &error));
    assert_non_null(strstr(error->message, "device tree"));
    g_error_free(error);

    fdt_builder_init(&fdt, 1024);
    fdt_data(&fdt, "too-long", "", (size_t)1 << 40);
    assert_null(fdt_builder_finish(&fdt, &length, NULL));

    fdt_builder_init(&fdt, 1024);
    fdt_node(&fdt, "given up");
    fdt_builder_abandon(&fdt);
}

static void test_chosen(void **state)
{
    MachineOptions options = { .append = "console=ttyS0 quiet" };
    Machine machine = { .options = &options };
    BootPlan plan = { .has_initrd = true,
                      .initrd = UINT64_C(0x188000000),
                      .initrd_end = UINT64_C(0x188001234) };
    size_t length;
    void *dtb = boot_finish_dtb(small_tree(&length), &machine, &plan, &length, NULL);
    uint64_t start;
    uint8_t seed[32];
    int node, bytes;

    assert_non_null(dtb);
    assert_int_equal(fdt_check_full(dtb, length), 0);
    node = fdt_path_offset(dtb, "/chosen");
    assert_string_equal(fdt_getprop(dtb, node, "bootargs", NULL), "console=ttyS0 quiet");
    memcpy(&start, fdt_getprop(dtb, node, "linux,initrd-start", &bytes), sizeof(start));
    assert_int_equal(bytes, 8);
    assert_int_equal(GUINT64_FROM_BE(start), plan.initrd);
    memcpy(seed, fdt_getprop(dtb, node, "rng-seed", &bytes), sizeof(seed));
    assert_int_equal(bytes, sizeof(seed));
    /* A reset gives the guest another seed, and nothing else. */
    assert_true(boot_reseed_dtb(dtb, NULL));
    assert_memory_not_equal(seed, fdt_getprop(dtb, node, "rng-seed", NULL), sizeof(seed));
    assert_int_equal(fdt_totalsize(dtb), length);
    g_free(dtb);
}

/* What was there stays where the user asks for nothing. */
static void test_chosen_kept(void **state)
{
    MachineOptions options = { 0 };
    Machine machine = { .options = &options };
    BootPlan plan = { 0 };
    FdtBuilder fdt;
    size_t length;
    void *dtb;

    fdt_builder_init(&fdt, 64);
    fdt_node(&fdt, "chosen");
    fdt_string_value(&fdt, "bootargs", "from the tree");
    fdt_node_end(&fdt);
    dtb = boot_finish_dtb(fdt_builder_finish(&fdt, &length, NULL), &machine, &plan, &length, NULL);
    assert_non_null(dtb);
    assert_string_equal(fdt_getprop(dtb, fdt_path_offset(dtb, "/chosen"), "bootargs", NULL),
                        "from the tree");
    g_free(dtb);
}

static void test_long_command_line(void **state)
{
    g_autofree char *append = g_strnfill(100000, 'x');
    MachineOptions options = { .append = append };
    Machine machine = { .options = &options };
    BootPlan plan = { 0 };
    size_t length;
    void *dtb = boot_finish_dtb(small_tree(&length), &machine, &plan, &length, NULL);

    assert_non_null(dtb);
    assert_string_equal(fdt_getprop(dtb, fdt_path_offset(dtb, "/chosen"), "bootargs", NULL),
                        append);
    g_free(dtb);
}

/* Every file cut short, and every byte changed, is refused or is a tree one can work with. */
static void test_user_tree(void **state)
{
    MachineOptions options = { .append = "x" };
    Machine machine = { .options = &options };
    BootPlan plan = { 0 };
    size_t length, edited;
    uint8_t *blob = small_tree(&length);
    g_autofree char *path = g_strdup("/tmp/test-fdt-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (size_t i = 0; i < length; i++) {
        void *dtb;

        blob[i] ^= 0x81;
        assert_int_equal(pwrite(fd, blob, length, 0), length);
        dtb = boot_read_dtb(path, NULL);
        if (dtb) {
            g_free(boot_finish_dtb(dtb, &machine, &plan, &edited, NULL));
        }
        blob[i] ^= 0x81;
    }
    for (size_t cut = 1; cut < length; cut++) {
        GError *error = NULL;

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, blob, cut, 0), cut);
        assert_null(boot_read_dtb(path, &error));
        assert_null(strchr(error->message, '\n'));
        g_error_free(error);
    }
    close(fd);
    unlink(path);
    g_free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_back),          cmocka_unit_test(test_grows),
        cmocka_unit_test(test_first_error_is_kept), cmocka_unit_test(test_chosen),
        cmocka_unit_test(test_chosen_kept),         cmocka_unit_test(test_long_command_line),
        cmocka_unit_test(test_user_tree),
    };

    return cmocka_run_group_tests_name("fdt", tests, NULL, NULL);
}
