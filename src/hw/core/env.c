/* SPDX-License-Identifier: MIT */
/*
 * What a machine's devices hang off: the lists of devices, back ends and -global values. The idea to
 * hold: things end in the reverse of the order in which they began, so that a device on a bus goes
 * before the bus, and every device before the drive it claimed.
 */
#include <string.h>

#include "hw/core/internal.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/error.h"

static void global_free(gpointer data)
{
    DeviceGlobal *global = data;

    g_free(global->driver);
    g_free(global->property);
    g_free(global->value);
    g_free(global);
}

void device_env_init(DeviceEnv *env, Cpus *cpus, Memory *memory, Timers *timers, const LogSet *log)
{
    env->cpus = cpus;
    env->memory = memory;
    env->timers = timers;
    env->log = log;
    env->devices = g_ptr_array_new();
    env->buses = g_ptr_array_new();
    env->drives = g_ptr_array_new_with_free_func((GDestroyNotify)blockdev_close);
    env->chardevs = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_close);
    env->globals = g_ptr_array_new_with_free_func(global_free);
}

void device_env_finish(DeviceEnv *env)
{
    if (!env->devices) {
        return;
    }
    while (env->devices->len) {
        device_remove(g_ptr_array_index(env->devices, env->devices->len - 1));
    }
    g_clear_pointer(&env->devices, g_ptr_array_unref);
    g_clear_pointer(&env->buses, g_ptr_array_unref);
    g_clear_pointer(&env->drives, g_ptr_array_unref);
    g_clear_pointer(&env->chardevs, g_ptr_array_unref);
    g_clear_pointer(&env->globals, g_ptr_array_unref);
}

void device_env_reset(DeviceEnv *env)
{
    for (guint i = 0; i < env->devices->len; i++) {
        Device *dev = g_ptr_array_index(env->devices, i);

        if (dev->realized && dev->cls->reset) {
            dev->cls->reset(dev);
        }
    }
}

BlockDev *device_env_find_drive(DeviceEnv *env, const char *id)
{
    for (guint i = 0; i < env->drives->len; i++) {
        BlockDev *blk = g_ptr_array_index(env->drives, i);

        if (strcmp(blockdev_id(blk), id) == 0) {
            return blk;
        }
    }
    return NULL;
}

static bool has_option(const char *options, const char *key)
{
    GArray *pairs = orr_split_options(options, NULL);
    bool found = false;

    for (guint i = 0; i < pairs->len; i++) {
        found = found || strcmp(g_array_index(pairs, OptPair, i).key, key) == 0;
    }
    g_array_free(pairs, TRUE);
    return found;
}

static char *make_drive_id(DeviceEnv *env, const char *options)
{
    for (unsigned n = 0;; n++) {
        char *id = g_strdup_printf("drive%u", n);
        char *text = device_env_find_drive(env, id) ? NULL : g_strconcat(options, ",id=", id, NULL);

        g_free(id);
        if (text) {
            return text;
        }
    }
}

BlockDev *device_env_add_drive(DeviceEnv *env, const char *options, GError **error)
{
    char *with_id = NULL;
    BlockDev *blk;

    if (!has_option(options, "id")) {
        with_id = make_drive_id(env, options);
    }
    blk = blockdev_open(env->cpus, with_id ? with_id : options, error);
    g_free(with_id);
    if (blk && device_env_find_drive(env, blockdev_id(blk))) {
        orr_fail(error, ORR_ERROR_INVALID, "there are two drives with the id '%s'; rename one",
                 blockdev_id(blk));
        blockdev_close(blk);
        return NULL;
    }
    if (blk) {
        g_ptr_array_add(env->drives, blk);
    }
    return blk;
}

Chardev *device_env_find_chardev(DeviceEnv *env, const char *label)
{
    for (guint i = 0; i < env->chardevs->len; i++) {
        Chardev *chr = g_ptr_array_index(env->chardevs, i);

        if (strcmp(chardev_label(chr), label) == 0) {
            return chr;
        }
    }
    return NULL;
}

Chardev *device_env_add_chardev(DeviceEnv *env, const char *label, const char *spec, GError **error)
{
    char *own_label = g_strdup(label), *own_spec = NULL;
    Chardev *chr = NULL;

    if (!label && !chardev_parse_options(spec, &own_label, &own_spec, error)) {
        return NULL;
    }
    if (device_env_find_chardev(env, own_label)) {
        orr_fail(error, ORR_ERROR_INVALID, "there are two chardevs with the id '%s'; rename one",
                 own_label);
    } else {
        chr = chardev_open(env->cpus, own_label, own_spec ? own_spec : spec, error);
    }
    if (chr) {
        g_ptr_array_add(env->chardevs, chr);
    }
    g_free(own_label);
    g_free(own_spec);
    return chr;
}

bool device_env_add_global(DeviceEnv *env, const char *text, GError **error)
{
    DeviceGlobal *global = g_new0(DeviceGlobal, 1);
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');

    if (dot && equals && dot < equals) {
        global->driver = g_strndup(text, (gsize)(dot - text));
        global->property = g_strndup(dot + 1, (gsize)(equals - dot - 1));
        global->value = g_strdup(equals + 1);
    } else {
        GArray *pairs = orr_split_options(text, NULL);

        for (guint i = 0; i < pairs->len; i++) {
            OptPair *pair = &g_array_index(pairs, OptPair, i);
            char **field = strcmp(pair->key, "driver") == 0     ? &global->driver
                           : strcmp(pair->key, "property") == 0 ? &global->property
                           : strcmp(pair->key, "value") == 0    ? &global->value
                                                                : NULL;

            if (field) {
                g_free(*field);
                *field = g_strdup(pair->value);
            }
        }
        g_array_free(pairs, TRUE);
    }
    if (!global->driver || !global->property || !global->value || !*global->driver ||
        !*global->property) {
        global_free(global);
        return orr_fail(error, ORR_ERROR_INVALID,
                        "-global %s: write it as -global DRIVER.PROPERTY=VALUE", text);
    }
    g_ptr_array_add(env->globals, global);
    return true;
}

static bool is_a(const DeviceClass *cls, const char *name)
{
    for (; cls; cls = cls->parent) {
        if (strcmp(cls->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool device_apply_globals(Device *dev, GError **error)
{
    for (guint i = 0; i < dev->env->globals->len; i++) {
        DeviceGlobal *global = g_ptr_array_index(dev->env->globals, i);

        if (is_a(dev->cls, global->driver)) {
            global->used = true;
            if (!device_set_prop(dev, global->property, global->value, error)) {
                g_prefix_error(error, "-global %s.%s=%s: ", global->driver, global->property,
                               global->value);
                return false;
            }
        }
    }
    return true;
}

void device_env_check_globals(DeviceEnv *env)
{
    for (guint i = 0; i < env->globals->len; i++) {
        DeviceGlobal *global = g_ptr_array_index(env->globals, i);
        bool known = device_class_find(global->driver) != NULL;

        if (!global->used) {
            orr_report_warning("-global %s.%s=%s has no effect: %s '%s'", global->driver,
                               global->property, global->value,
                               known ? "the machine has no" : "there is no device", global->driver);
        }
    }
}
