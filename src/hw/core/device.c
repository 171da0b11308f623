/* SPDX-License-Identifier: MIT */
/*
 * Devices: made from a class, given properties, realized, wired, removed. The idea to hold: what a
 * device's realize asks for through device_init_* is undone here, in one place, whether realize
 * went through or not; a class's unrealize undoes only what is its own.
 */
#include "orrery/impl/device.h"

#include <string.h>

#include "hw/core/internal.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/error.h"
#include "trace/trace-hw.h"

#define DEVICE_MAX_IRQS 8192

bool device_id_well_formed(const char *id)
{
    if (!g_ascii_isalpha(id[0])) {
        return false;
    }
    for (const char *p = id; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return false;
        }
    }
    return true;
}

Device *device_find(DeviceEnv *env, const char *id)
{
    for (guint i = 0; i < env->devices->len; i++) {
        Device *dev = g_ptr_array_index(env->devices, i);

        if (strcmp(dev->id, id) == 0) {
            return dev;
        }
    }
    return NULL;
}

static char *make_id(DeviceEnv *env, const DeviceClass *cls)
{
    for (unsigned n = 0;; n++) {
        char *id = g_strdup_printf("%s.%u", cls->name, n);

        if (!device_find(env, id)) {
            return id;
        }
        g_free(id);
    }
}

static void init_props(Device *dev, const DeviceClass *cls)
{
    if (cls) {
        init_props(dev, cls->parent);
        props_init(dev, cls->props);
    }
}

Device *device_create(DeviceEnv *env, const DeviceClass *cls, const char *id, GError **error)
{
    Device *dev;

    if (id && device_find(env, id)) {
        orr_fail(error, ORR_ERROR_INVALID, "there are two devices with the id '%s'; rename one",
                 id);
        return NULL;
    }
    dev = g_malloc0(cls->instance_bytes);
    dev->cls = cls;
    dev->env = env;
    dev->id = id ? g_strdup(id) : make_id(env, cls);
    dev->guard.owner = dev->id;
    init_props(dev, cls);
    g_ptr_array_add(env->devices, dev);
    if (!device_apply_globals(dev, error)) {
        device_remove(dev);
        return NULL;
    }
    return dev;
}

bool device_set_prop(Device *dev, const char *name, const char *value, GError **error)
{
    GPtrArray *names;
    const char *nearest;

    for (const DeviceClass *cls = dev->cls; cls; cls = cls->parent) {
        if (props_find(cls->props, name)) {
            return props_set(dev, cls->props, dev->cls->name, name, value, error);
        }
    }
    names = g_ptr_array_new();
    for (const DeviceClass *cls = dev->cls; cls; cls = cls->parent) {
        for (const PropDef *def = cls->props; def && def->name; def++) {
            g_ptr_array_add(names, (char *)def->name);
        }
    }
    g_ptr_array_add(names, NULL);
    nearest = orr_nearest(name, (const char *const *)names->pdata);
    g_ptr_array_free(names, TRUE);
    if (nearest) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "device '%s' has no property '%s'; did you mean '%s'?", dev->cls->name,
                        name, nearest);
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND,
                    "device '%s' has no property '%s'; '-device %s,help' lists them",
                    dev->cls->name, name, dev->cls->name);
}

bool device_set_bus(Device *dev, Bus *bus, GError **error)
{
    if (!dev->cls->bus_type || strcmp(dev->cls->bus_type, bus->type) != 0) {
        return orr_fail(error, ORR_ERROR_INVALID, "device '%s' does not fit on bus '%s' (%s)",
                        dev->cls->name, bus->name, bus->type);
    }
    if (bus->device) {
        return orr_fail(error, ORR_ERROR_INVALID, "bus '%s' is in use by device '%s'", bus->name,
                        bus->device->id);
    }
    bus->device = bus->shared ? NULL : dev;
    dev->bus = bus;
    return true;
}

static void free_resources(Device *dev)
{
    for (unsigned i = 0; i < dev->region_count; i++) {
        if (dev->region[i].mapped) {
            memory_remove(dev->env->memory, dev->region[i].mapped);
            dev->region[i].mapped = NULL;
        }
    }
    if (dev->child) {
        bus_destroy(dev->child);
        dev->child = NULL;
    }
}

static void unrealize(Device *dev)
{
    free_resources(dev);
    if (dev->cls->unrealize) {
        dev->cls->unrealize(dev);
    }
    dev->region_count = 0;
    g_clear_pointer(&dev->irq_out, g_free);
    dev->irq_out_count = 0;
    g_clear_pointer(&dev->irq_in, g_free);
    dev->irq_in_count = 0;
    dev->realized = false;
}

bool device_realize(Device *dev, GError **error)
{
    if (dev->cls->bus_type && !dev->bus) {
        return orr_fail(error, ORR_ERROR_INVALID, "device '%s' needs a bus of type %s",
                        dev->cls->name, dev->cls->bus_type);
    }
    if (dev->cls->realize && !dev->cls->realize(dev, error)) {
        unrealize(dev);
        return false;
    }
    dev->realized = true;
    if (dev->bus && dev->bus->plugged && !dev->bus->plugged(dev->bus, dev, error)) {
        unrealize(dev);
        return false;
    }
    return true;
}

void device_remove(Device *dev)
{
    if (!dev) {
        return;
    }
    if (dev->bus) {
        if (dev->realized && dev->bus->unplugged) {
            dev->bus->unplugged(dev->bus, dev);
        }
        dev->bus->device = NULL;
        dev->bus = NULL;
    }
    if (dev->realized) {
        unrealize(dev);
    }
    for (const DeviceClass *cls = dev->cls; cls; cls = cls->parent) {
        props_finish(dev, cls->props);
    }
    g_ptr_array_remove(dev->env->devices, dev);
    g_free(dev->id);
    g_free(dev);
}

unsigned device_init_region(Device *dev, const char *name, const MmioOps *ops, uint64_t size_bytes)
{
    unsigned n = dev->region_count++;

    g_assert(n < DEVICE_MAX_REGIONS);
    dev->region[n].name = name;
    dev->region[n].ops = ops;
    dev->region[n].size_bytes = size_bytes;
    dev->region[n].mapped = NULL;
    return n;
}

void device_init_irq_in(Device *dev, unsigned count, void (*set)(void *dev, unsigned n, int level))
{
    g_assert(!dev->irq_in && count <= DEVICE_MAX_IRQS);
    dev->irq_in = g_new0(IrqLine, count);
    dev->irq_in_count = count;
    for (unsigned n = 0; n < count; n++) {
        dev->irq_in[n].set = set;
        dev->irq_in[n].opaque = dev;
        dev->irq_in[n].n = n;
    }
}

void device_init_irq_out(Device *dev, unsigned count)
{
    g_assert(!dev->irq_out && count <= DEVICE_MAX_IRQS);
    dev->irq_out = g_new0(IrqLine *, count);
    dev->irq_out_count = count;
}

bool device_map(Device *dev, unsigned region, hwaddr base, GError **error)
{
    char *name;

    g_assert(region < dev->region_count && !dev->region[region].mapped);
    name = dev->region_count == 1 ? g_strdup(dev->id)
                                  : g_strdup_printf("%s/%s", dev->id, dev->region[region].name);
    dev->region[region].mapped =
        memory_add_mmio(dev->env->memory, name, base, dev->region[region].size_bytes,
                        dev->region[region].ops, dev, &dev->guard, error);
    dev->region[region].base = base;
    g_free(name);
    return dev->region[region].mapped != NULL;
}

void device_connect_irq(Device *dev, unsigned n, IrqLine *line)
{
    g_assert(n < dev->irq_out_count);
    dev->irq_out[n] = line;
}

IrqLine *device_irq_in(Device *dev, unsigned n)
{
    g_assert(n < dev->irq_in_count);
    return &dev->irq_in[n];
}

void device_irq_set(Device *dev, unsigned n, int level)
{
    g_assert(n < dev->irq_out_count);
    trace_hw_irq_set(dev->id, n, level);
    irq_set(dev->irq_out[n], level);
}

BlockDev *device_claim_drive(Device *dev, const char *id, GError **error)
{
    BlockDev *blk;

    if (!id) {
        orr_fail(error, ORR_ERROR_INVALID, "device '%s' needs a drive; give drive=ID",
                 dev->cls->name);
        return NULL;
    }
    blk = device_env_find_drive(dev->env, id);
    if (!blk) {
        orr_fail(error, ORR_ERROR_NOT_FOUND,
                 "device '%s': there is no drive '%s'; make it with -drive id=%s,if=none,file=...",
                 dev->cls->name, id, id);
        return NULL;
    }
    return blockdev_claim(blk, dev->id, error) ? blk : NULL;
}

bool device_get_chardev(Device *dev, const char *id, Chardev **chr, GError **error)
{
    *chr = id ? device_env_find_chardev(dev->env, id) : NULL;
    if (id && !*chr) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "device '%s': there is no chardev '%s'; make it with -chardev ...,id=%s",
                        dev->cls->name, id, id);
    }
    return true;
}
