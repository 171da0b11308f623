/* SPDX-License-Identifier: MIT */
/*
 * Device core: properties and -global, ids, buses, -device, life cycle. The classes are the test's
 * own where it needs to see them come and go, and the program's where -device looks them up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "hw-fixture.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/error.h"

typedef struct Probe {
    Device dev;
    uint32_t number;
    char *text;
    bool fail;
} Probe;

static GString *story; /* what happened, in order */

static void tell(Device *dev, const char *what)
{
    g_string_append_printf(story, "%s:%s ", dev->id, what);
}

static MemTxResult probe_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    *value = ((Probe *)opaque)->number;
    return MEMTX_OK;
}

static const MmioOps probe_ops = { .read = probe_read };

static void probe_set_irq(void *opaque, unsigned n, int level)
{
    device_irq_set(opaque, n, !level);
}

static bool plugged(Bus *bus, Device *dev, GError **error)
{
    tell(dev, "plugged");
    return !((Probe *)dev)->fail || orr_fail(error, ORR_ERROR_INVALID, "plugging refused");
}

static void unplugged(Bus *bus, Device *dev)
{
    tell(dev, "unplugged");
}

static bool probe_realize(Device *dev, GError **error)
{
    char *name = g_strconcat(dev->id, "-bus", NULL);
    Bus *bus = device_init_bus(dev, "test-bus", name);

    g_free(name);
    bus->plugged = plugged;
    bus->unplugged = unplugged;
    tell(dev, "realize");
    device_init_region(dev, "one", &probe_ops, 16);
    device_init_region(dev, "two", &probe_ops, 16);
    device_init_irq_in(dev, 2, probe_set_irq);
    device_init_irq_out(dev, 2);
    return !((Probe *)dev)->fail || orr_fail(error, ORR_ERROR_INVALID, "realize refused");
}

static bool leaf_realize(Device *dev, GError **error)
{
    tell(dev, "realize");
    return true;
}

static void probe_unrealize(Device *dev)
{
    tell(dev, "unrealize");
}

static void probe_reset(Device *dev)
{
    tell(dev, "reset");
}

static const PropDef base_props[] = {
    { .name = "number", .type = PROP_U32, .offset = offsetof(Probe, number), .fallback = "5" },
    { .name = NULL },
};

static const PropDef probe_props[] = {
    { .name = "text", .type = PROP_STRING, .offset = offsetof(Probe, text) },
    { .name = "fail", .type = PROP_BOOL, .offset = offsetof(Probe, fail) },
    { .name = NULL },
};

static const DeviceClass base_class = { .name = "probe-base", .props = base_props };

static const DeviceClass probe_class = {
    .name = "probe",
    .provides_bus = "test-bus",
    .instance_bytes = sizeof(Probe),
    .props = probe_props,
    .parent = &base_class,
    .realize = probe_realize,
    .unrealize = probe_unrealize,
    .reset = probe_reset,
};

static const DeviceClass leaf_class = {
    .name = "leaf",
    .bus_type = "test-bus",
    .instance_bytes = sizeof(Probe),
    .props = probe_props,
    .realize = leaf_realize,
    .unrealize = probe_unrealize,
};

static int setup(void **state)
{
    story = g_string_new(NULL);
    return hw_fixture_setup(state);
}

static int teardown(void **state)
{
    hw_fixture_teardown(state);
    g_string_free(story, TRUE);
    return 0;
}

static void expect_story(const char *expected)
{
    assert_string_equal(story->str, expected);
    g_string_truncate(story, 0);
}

static void expect_error(GError **error, const char *part)
{
    assert_non_null(*error);
    if (!strstr((*error)->message, part)) {
        fail_msg("'%s' does not hold '%s'", (*error)->message, part);
    }
    assert_null(strchr((*error)->message, '\n'));
    g_clear_error(error);
}

static Device *create(HwFixture *f, const DeviceClass *cls, const char *id)
{
    Device *dev = device_create(&f->env, cls, id, NULL);

    assert_non_null(dev);
    return dev;
}

static void ids_are_unique(void **state)
{
    HwFixture *f = *state;
    GError *error = NULL;
    Device *a = create(f, &probe_class, "a"), *b = create(f, &probe_class, NULL);

    assert_string_equal(b->id, "probe.0");
    assert_string_equal(create(f, &probe_class, NULL)->id, "probe.1");
    assert_ptr_equal(device_find(&f->env, "a"), a);
    assert_null(device_find(&f->env, "b"));
    assert_null(device_create(&f->env, &probe_class, "a", &error));
    expect_error(&error, "two devices with the id 'a'");
    device_remove(a);
    assert_null(device_find(&f->env, "a"));
    create(f, &probe_class, "a");
}

static void properties_come_from_class_and_parent(void **state)
{
    HwFixture *f = *state;
    GError *error = NULL;
    Device *dev = create(f, &probe_class, "a");

    assert_int_equal(((Probe *)dev)->number, 5);
    assert_true(device_set_prop(dev, "number", "9", &error));
    assert_true(device_set_prop(dev, "text", "x", &error));
    assert_int_equal(((Probe *)dev)->number, 9);
    assert_false(device_set_prop(dev, "numbr", "9", &error));
    expect_error(&error, "'probe' has no property 'numbr'; did you mean 'number'");
    assert_false(device_set_prop(dev, "zzzzzzzz", "9", &error));
    expect_error(&error, "'probe' has no property 'zzzzzzzz'");
    assert_false(device_set_prop(dev, "number", "nine", &error));
    expect_error(&error, "'number' of 'probe'");
}

static void globals_are_defaults(void **state)
{
    HwFixture *f = *state;
    GError *error = NULL;
    Probe *probe;

    assert_true(device_env_add_global(&f->env, "probe-base.number=7", &error));
    assert_true(device_env_add_global(&f->env, "driver=probe,property=text,value=a.b=c", &error));
    assert_true(device_env_add_global(&f->env, "unused.x=1", &error));
    probe = (Probe *)create(f, &probe_class, "a");
    assert_int_equal(probe->number, 7);
    assert_string_equal(probe->text, "a.b=c");
    assert_false(((DeviceGlobal *)g_ptr_array_index(f->env.globals, 2))->used);
    assert_true(device_env_add_global(&f->env, "probe.nothing=1", &error));
    assert_null(device_create(&f->env, &probe_class, "b", &error));
    expect_error(&error, "-global probe.nothing=1: ");
    assert_null(device_find(&f->env, "b"));
    assert_false(device_env_add_global(&f->env, "probe.number", &error));
    expect_error(&error, "DRIVER.PROPERTY=VALUE");
    assert_false(device_env_add_global(&f->env, "=1", &error));
    expect_error(&error, "DRIVER.PROPERTY=VALUE");
    assert_false(device_env_add_global(&f->env, "", &error));
    expect_error(&error, "DRIVER.PROPERTY=VALUE");
}

static void regions_are_mapped(void **state)
{
    HwFixture *f = *state;
    GError *error = NULL;
    Device *dev = create(f, &probe_class, "a");
    MemSection section;
    uint32_t value;

    assert_true(device_realize(dev, NULL));
    assert_true(device_map(dev, 0, 0x1000, NULL));
    assert_false(device_map(dev, 1, 0x1008, &error));
    expect_error(&error, "'a/two'");
    assert_true(device_map(dev, 1, 0x2000, NULL));
    assert_int_equal(memory_read_u32(f->memory, 0x2000, &value), MEMTX_OK);
    assert_int_equal(value, 5);
    device_remove(dev);
    assert_false(memory_find(f->memory, 0x1000, &section));
    assert_false(memory_find(f->memory, 0x2000, &section));
}

static void lines_are_wired(void **state)
{
    HwFixture *f = *state;
    Device *dev = create(f, &probe_class, "a");

    assert_true(device_realize(dev, NULL));
    irq_set(device_irq_in(dev, 0), 0); /* an output that leads nowhere */
    device_connect_irq(dev, 1, &f->line[3]);
    irq_set(device_irq_in(dev, 1), 0);
    assert_int_equal(f->level[3], 1);
    irq_set(device_irq_in(dev, 1), 1);
    assert_int_equal(f->level[3], 0);
    irq_set(NULL, 1);
}

static void a_life(void **state)
{
    HwFixture *f = *state;
    Device *owner = create(f, &probe_class, "o"), *leaf = create(f, &leaf_class, "l");
    GError *error = NULL;

    assert_false(device_realize(leaf, &error));
    expect_error(&error, "needs a bus");
    assert_true(device_realize(owner, NULL));
    assert_ptr_equal(bus_find(&f->env, "o-bus"), owner->child);
    assert_true(device_set_bus(leaf, owner->child, NULL));
    assert_true(device_realize(leaf, NULL));
    device_env_reset(&f->env);
    expect_story("o:realize l:realize l:plugged o:reset ");
    assert_false(device_set_bus(create(f, &leaf_class, "l2"), owner->child, &error));
    expect_error(&error, "in use by device 'l'");
    assert_false(device_set_bus(create(f, &probe_class, "p"), owner->child, &error));
    expect_error(&error, "does not fit");
    device_remove(leaf);
    expect_story("l:unplugged l:unrealize ");
    assert_null(owner->child->device);
    leaf = create(f, &leaf_class, "l");
    assert_true(device_set_bus(leaf, owner->child, NULL));
    assert_true(device_realize(leaf, NULL));
    g_string_truncate(story, 0);
    /* What is on it goes with it. */
    device_remove(owner);
    expect_story("l:unplugged l:unrealize o:unrealize ");
    assert_null(bus_find(&f->env, "o-bus"));
    assert_null(device_find(&f->env, "l"));
}

static void failures_leave_nothing(void **state)
{
    HwFixture *f = *state;
    Device *owner = create(f, &probe_class, "o"), *leaf = create(f, &leaf_class, "l");
    GError *error = NULL;

    assert_true(device_set_prop(owner, "fail", "on", NULL));
    assert_false(device_realize(owner, &error));
    expect_error(&error, "realize refused");
    expect_story("o:realize o:unrealize ");
    assert_null(bus_find(&f->env, "o-bus"));
    assert_int_equal(owner->region_count, 0);
    assert_true(device_set_prop(owner, "fail", "off", NULL));
    assert_true(device_realize(owner, NULL));
    assert_true(device_set_prop(leaf, "fail", "on", NULL));
    assert_true(device_set_bus(leaf, owner->child, NULL));
    g_string_truncate(story, 0);
    assert_false(device_realize(leaf, &error));
    expect_error(&error, "plugging refused");
    expect_story("l:realize l:plugged l:unrealize ");
    device_remove(leaf);
    expect_story("");
}

static void all_ends_in_reverse(void **state)
{
    HwFixture *f = hw_fixture_new();
    Device *a = create(f, &probe_class, "a"), *b = create(f, &leaf_class, "b");

    assert_true(device_realize(a, NULL));
    assert_true(device_set_bus(b, a->child, NULL));
    assert_true(device_realize(b, NULL));
    create(f, &probe_class, "never-realized");
    g_string_truncate(story, 0);
    hw_fixture_free(f);
    expect_story("b:unplugged b:unrealize a:unrealize ");
}

static void expect_refused_device(HwFixture *f, const char *options, const char *part)
{
    guint before = f->env.devices->len;
    GError *error = NULL;

    assert_null(device_add(&f->env, options, &error));
    expect_error(&error, part);
    assert_int_equal(f->env.devices->len, before);
}

static void wrong_devices_are_refused(void **state)
{
    HwFixture *f = *state;

    expect_refused_device(f, "", "names no driver");
    expect_refused_device(f, "id=x", "names no driver");
    expect_refused_device(f, "serial-mn", "did you mean 'serial-mm'");
    expect_refused_device(f, "e1000e,mac=1", "no device 'e1000e'");
    expect_refused_device(f, "riscv-plic", "board's own");
}

static char *help_text(const char *options, bool *asked)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    *asked = device_help_asked(options, out);
    fclose(out);
    return text;
}

static void help_is_given(void **state)
{
    bool asked;
    char *text = help_text("help", &asked);

    assert_true(asked);
    assert_non_null(strstr(text, "serial-mm"));
    free(text);
    text = help_text("serial-mm,help", &asked);
    assert_true(asked);
    assert_non_null(strstr(text, "regshift=<0..5>"));
    free(text);
    text = help_text("serial-mm,regshift=1", &asked);
    assert_false(asked);
    assert_string_equal(text, "");
    free(text);
    text = help_text("nothing,help", &asked);
    assert_false(asked);
    free(text);
}

static void every_class_is_sound(void **state)
{
    for (const DeviceClass *const *cls = device_class_list(); *cls; cls++) {
        assert_ptr_equal(device_class_find((*cls)->name), *cls);
        assert_true((*cls)->summary && *(*cls)->summary);
        assert_true((*cls)->instance_bytes >= sizeof(Device));
        for (const DeviceClass *c = *cls; c; c = c->parent) {
            for (const PropDef *def = c->props; def && def->name; def++) {
                assert_true(def->offset >= sizeof(Device));
                assert_true(def->offset < (*cls)->instance_bytes);
                assert_true(def->help && *def->help);
                assert_ptr_equal(props_find(c->props, def->name), def);
            }
        }
    }
}

static void back_ends_have_ids_too(void **state)
{
    HwFixture *f = *state;
    char path[] = "/tmp/orrery-test-device-XXXXXX";
    int fd = mkstemp(path);
    char *options = g_strdup_printf("file=%s,if=none,format=raw", path);
    char *with_id = g_strconcat(options, ",id=d1,locking=off", NULL);
    GError *error = NULL;
    Device *a = create(f, &probe_class, "a"), *b = create(f, &probe_class, "b");
    Chardev *chr;
    BlockDev *blk;

    close(fd);
    blk = device_env_add_drive(&f->env, options, NULL);
    assert_string_equal(blockdev_id(blk), "drive0");
    assert_null(device_env_add_drive(&f->env, options, &error));
    expect_error(&error, "in use");
    assert_non_null(device_env_add_drive(&f->env, with_id, NULL));
    assert_null(device_env_add_drive(&f->env, with_id, &error));
    expect_error(&error, "two drives with the id 'd1'");
    assert_ptr_equal(device_claim_drive(a, "drive0", NULL), blk);
    assert_null(device_claim_drive(b, "drive0", &error));
    expect_error(&error, "in use by device 'a'");
    assert_null(device_claim_drive(b, "d2", &error));
    expect_error(&error, "no drive 'd2'");
    assert_null(device_claim_drive(b, NULL, &error));
    expect_error(&error, "drive=ID");
    assert_non_null(device_env_add_chardev(&f->env, NULL, "null,id=c0", NULL));
    assert_null(device_env_add_chardev(&f->env, NULL, "null,id=c0", &error));
    expect_error(&error, "two chardevs with the id 'c0'");
    assert_null(device_env_add_chardev(&f->env, NULL, "null", &error));
    expect_error(&error, "id=ID");
    assert_true(device_get_chardev(a, NULL, &chr, NULL));
    assert_null(chr);
    assert_true(device_get_chardev(a, "c0", &chr, NULL));
    assert_string_equal(chardev_label(chr), "c0");
    assert_false(device_get_chardev(a, "c1", &chr, &error));
    expect_error(&error, "no chardev 'c1'");
    blockdev_release(blk);
    unlink(path);
    g_free(options);
    g_free(with_id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_are_unique),
        TEST(properties_come_from_class_and_parent),
        TEST(globals_are_defaults),
        TEST(regions_are_mapped),
        TEST(lines_are_wired),
        TEST(a_life),
        TEST(failures_leave_nothing),
        TEST(all_ends_in_reverse),
        TEST(wrong_devices_are_refused),
        TEST(help_is_given),
        TEST(every_class_is_sound),
        TEST(back_ends_have_ids_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
