/* SPDX-License-Identifier: MIT */
/*
 * The table of device classes, and what `-device help` prints of it.
 */
#include <string.h>

#include "hw/core/internal.h"
#include "hw/hw-classes.h"
#include "orrery/impl/error.h"

#define HW_CLASS_ENTRY(name) &name,

const DeviceClass *const *device_class_list(void)
{
    static const DeviceClass *const classes[] = { HW_CLASSES(HW_CLASS_ENTRY) NULL };

    return classes;
}

const DeviceClass *device_class_find(const char *name)
{
    for (const DeviceClass *const *cls = device_class_list(); *cls; cls++) {
        if (strcmp((*cls)->name, name) == 0) {
            return *cls;
        }
    }
    return NULL;
}

const DeviceClass *device_class_get(const char *name, GError **error)
{
    const DeviceClass *found = device_class_find(name);
    GPtrArray *names;
    const char *nearest;

    if (found) {
        return found;
    }
    names = g_ptr_array_new();
    for (const DeviceClass *const *cls = device_class_list(); *cls; cls++) {
        g_ptr_array_add(names, (char *)(*cls)->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = orr_nearest(name, (const char *const *)names->pdata);
    g_ptr_array_free(names, TRUE);
    if (nearest) {
        orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no device '%s'; did you mean '%s'?", name,
                 nearest);
    } else {
        orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no device '%s'; '-device help' lists them",
                 name);
    }
    return NULL;
}

const PropDef *device_class_prop(const DeviceClass *cls, const char *name)
{
    const PropDef *def = NULL;

    for (; cls && !def; cls = cls->parent) {
        def = props_find(cls->props, name);
    }
    return def;
}

void device_help(FILE *out)
{
    fprintf(out, "Devices for -device:\n");
    for (const DeviceClass *const *cls = device_class_list(); *cls; cls++) {
        if ((*cls)->user_creatable) {
            fprintf(out, "name \"%s\", bus %s, desc \"%s\"\n", (*cls)->name,
                    (*cls)->bus_type ? (*cls)->bus_type : "none", (*cls)->summary);
        }
    }
    fprintf(out, "\nDevices that boards make (their properties can be set with -global):\n");
    for (const DeviceClass *const *cls = device_class_list(); *cls; cls++) {
        if (!(*cls)->user_creatable) {
            fprintf(out, "name \"%s\", desc \"%s\"\n", (*cls)->name, (*cls)->summary);
        }
    }
}

bool device_class_help(const char *name, FILE *out)
{
    const DeviceClass *cls = device_class_find(name);

    if (!cls) {
        return false;
    }
    fprintf(out, "%s options:\n", cls->name);
    if (cls->user_creatable) {
        fprintf(out, "  %-30s %s\n", "id=<str>", "the device's name");
        if (cls->bus_type) {
            fprintf(out, "  %-30s a bus of type %s\n", "bus=<str>", cls->bus_type);
        }
    }
    for (; cls; cls = cls->parent) {
        props_help(cls->props, out);
    }
    return true;
}

static bool is_help(const char *text)
{
    return strcmp(text, "help") == 0 || strcmp(text, "?") == 0;
}

bool device_help_asked(const char *options, FILE *out)
{
    GArray *pairs = orr_split_options(options, "driver");
    const char *driver = NULL;
    bool asked = false;

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, "driver") == 0) {
            driver = pair->value;
            asked = asked || is_help(driver);
        } else {
            asked = asked || is_help(pair->key);
        }
    }
    if (asked && driver && !is_help(driver)) {
        asked = device_class_help(driver, out); /* an unknown one is device_add's to refuse */
    } else if (asked) {
        device_help(out);
    }
    g_array_free(pairs, TRUE);
    return asked;
}
