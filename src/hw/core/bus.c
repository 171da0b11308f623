/* SPDX-License-Identifier: MIT */
/*
 * Buses, and -device, which finds the one a device goes on.
 */
#include <string.h>

#include "hw/core/internal.h"
#include "orrery/impl/error.h"

Bus *device_init_bus(Device *dev, const char *type, const char *name)
{
    Bus *bus = g_new0(Bus, 1);

    g_assert(!dev->child);
    bus->type = type;
    bus->name = g_strdup(name);
    bus->owner = dev;
    dev->child = bus;
    g_ptr_array_add(dev->env->buses, bus);
    return bus;
}

void bus_destroy(Bus *bus)
{
    GPtrArray *devices = bus->owner->env->devices;

    for (guint i = devices->len; i-- > 0;) {
        Device *dev = g_ptr_array_index(devices, i);

        if (dev->bus == bus) {
            device_remove(dev);
            i = devices->len; /* it may have taken others with it */
        }
    }
    g_ptr_array_remove(bus->owner->env->buses, bus);
    g_free(bus->name);
    g_free(bus);
}

Bus *bus_find(DeviceEnv *env, const char *name)
{
    for (guint i = 0; i < env->buses->len; i++) {
        Bus *bus = g_ptr_array_index(env->buses, i);

        if (strcmp(bus->name, name) == 0) {
            return bus;
        }
    }
    return NULL;
}

static Bus *named_bus(DeviceEnv *env, const DeviceClass *cls, const char *name, GError **error)
{
    Bus *bus = bus_find(env, name);
    GString *names;

    if (bus) {
        return bus;
    }
    names = g_string_new(NULL);
    for (guint i = 0; i < env->buses->len; i++) {
        bus = g_ptr_array_index(env->buses, i);
        if (strcmp(bus->type, cls->bus_type) == 0 && !bus->device) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", bus->name);
        }
    }
    orr_fail(error, ORR_ERROR_NOT_FOUND, "device '%s': there is no bus '%s'; free ones are: %s",
             cls->name, name, names->len ? names->str : "none");
    g_string_free(names, TRUE);
    return NULL;
}

static Bus *free_bus(DeviceEnv *env, const DeviceClass *cls, GError **error)
{
    bool any = false;

    for (guint i = env->buses->len; i-- > 0;) {
        Bus *bus = g_ptr_array_index(env->buses, i);

        if (strcmp(bus->type, cls->bus_type) == 0) {
            any = true;
            if (!bus->device) {
                return bus;
            }
        }
    }
    orr_fail(error, ORR_ERROR_NOT_FOUND, "device '%s': %s of type %s", cls->name,
             any ? "no bus is left" : "the machine has no bus", cls->bus_type);
    return NULL;
}

static bool place_on_bus(Device *dev, const char *bus_name, GError **error)
{
    const DeviceClass *cls = dev->cls;
    Bus *bus;

    if (!cls->bus_type) {
        return !bus_name ||
               orr_fail(error, ORR_ERROR_INVALID, "device '%s' goes on no bus", cls->name);
    }
    bus = bus_name ? named_bus(dev->env, cls, bus_name, error) : free_bus(dev->env, cls, error);
    return bus && device_set_bus(dev, bus, error);
}

static bool apply_options(Device *dev, const GArray *pairs, GError **error)
{
    static const char *const handled[] = { "driver", "id", "bus", NULL };

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (!g_strv_contains(handled, pair->key) &&
            !device_set_prop(dev, pair->key, pair->value, error)) {
            return false;
        }
    }
    return true;
}

static const char *option(const GArray *pairs, const char *key)
{
    const char *value = NULL;

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        value = strcmp(pair->key, key) == 0 ? pair->value : value;
    }
    return value;
}

static Device *add_from_pairs(DeviceEnv *env, const GArray *pairs, GError **error)
{
    const char *driver = option(pairs, "driver"), *id = option(pairs, "id");
    const DeviceClass *cls;
    Device *dev;

    if (!driver || !*driver) {
        orr_fail(error, ORR_ERROR_INVALID, "-device names no driver; '-device help' lists them");
        return NULL;
    }
    cls = device_class_get(driver, error);
    if (!cls) {
        return NULL;
    }
    if (!cls->user_creatable) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "device '%s' is the board's own and cannot be added by -device", cls->name);
        return NULL;
    }
    if (id && !device_id_well_formed(id)) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "'%s' cannot be an id: use a letter first, then letters, digits, '-', '.', '_'",
                 id);
        return NULL;
    }
    dev = device_create(env, cls, id, error);
    if (dev && place_on_bus(dev, option(pairs, "bus"), error) && apply_options(dev, pairs, error) &&
        device_realize(dev, error)) {
        return dev;
    }
    device_remove(dev);
    return NULL;
}

Device *device_add(DeviceEnv *env, const char *options, GError **error)
{
    GArray *pairs = orr_split_options(options, "driver");
    Device *dev = add_from_pairs(env, pairs, error);

    g_array_free(pairs, TRUE);
    return dev;
}
