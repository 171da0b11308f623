/* SPDX-License-Identifier: MIT */
/*
 * Devices and buses. A class is a constant table: properties, regions, life-cycle functions. A
 * board wires devices by hand (device_connect_irq, device_map); users add more with -device, which
 * plugs them into a bus by name. All of it runs under the machine lock, on the main thread, unless
 * a class says that its handlers are lockless.
 */
#ifndef ORRERY_IMPL_DEVICE_H
#define ORRERY_IMPL_DEVICE_H

#include "orrery/impl/cpus.h"
#include "orrery/impl/irq.h"
#include "orrery/impl/memory.h"
#include "orrery/impl/props.h"

ORR_BEGIN_DECLS

typedef struct BlockDev BlockDev;
typedef struct Bus Bus;
typedef struct Chardev Chardev;
typedef struct Device Device;
typedef struct DeviceClass DeviceClass;
typedef struct DeviceEnv DeviceEnv;

#define DEVICE_MAX_REGIONS 4

/* What devices may lean on; the Machine fills it. */
struct DeviceEnv {
    Cpus *cpus;
    Memory *memory;
    Timers *timers;
    const LogSet *log;
    GPtrArray *devices;  /* every Device, in order of creation; owned */
    GPtrArray *buses;    /* every Bus; owned by their devices or the machine */
    GPtrArray *drives;   /* BlockDev, owned */
    GPtrArray *chardevs; /* Chardev, owned */
    GPtrArray *globals;  /* DeviceGlobal, from -global */
};

typedef struct DeviceGlobal {
    char *driver, *property, *value;
    bool used;
} DeviceGlobal;

struct DeviceClass {
    const char *name; /* "virtio-blk-device" */
    const char *summary;
    const char *bus_type;     /* the kind of bus it plugs into; NULL: wired by a board */
    const char *provides_bus; /* the kind of bus it offers; NULL for none */
    bool user_creatable;      /* by -device */
    size_t instance_bytes;    /* of the struct that begins with Device */
    const PropDef *props;
    const DeviceClass *parent; /* its properties are accepted too (same struct prefix); or NULL */

    /* Properties are set. Creates regions, input lines, timers. After false, unrealize follows. */
    bool (*realize)(Device *dev, GError **error);

    /* Undoes realize, also a half-done one. Its regions are out of the map. NULL: nothing to undo. */
    void (*unrealize)(Device *dev);
    void (*reset)(Device *dev); /* machine lock, all vCPUs stopped; NULL: nothing to reset */
};

struct Device {
    const DeviceClass *cls;
    DeviceEnv *env;
    char *id;   /* from id=, or made: "uart0" */
    Bus *bus;   /* it sits on; NULL for board devices */
    Bus *child; /* it offers; NULL for none */
    bool realized;
    IoGuard guard;
    struct {
        const char *name;
        const MmioOps *ops;
        uint64_t size_bytes;
        MemRegion *mapped; /* NULL until device_map */
        hwaddr base;
    } region[DEVICE_MAX_REGIONS];
    unsigned region_count;
    IrqLine *
        *irq_out; /* allocated by device_init_irq_out, set by whoever wires it; NULL: nowhere */
    unsigned irq_out_count;
    IrqLine *irq_in; /* inputs the device offers, allocated by device_init_irq_in */
    unsigned irq_in_count;
};

struct Bus {
    const char *type; /* "virtio-bus" */
    char *name;       /* "virtio-mmio-bus.0" */
    Device *owner;
    Device *device; /* the one on it; NULL while free */
    bool shared;    /* takes any number: `device` stays NULL, and plugged tells the owner of each */
    /* The owner learns of a device that is realized; false undoes that. NULL is fine. */
    bool (*plugged)(Bus *bus, Device *dev, GError **error);
    void (*unplugged)(Bus *bus, Device *dev); /* before its unrealize; NULL is fine */
};

/* All classes, NULL-terminated: the list is src/hw/hw-classes.h. */
const DeviceClass *const *device_class_list(void);
const DeviceClass *device_class_find(const char *name); /* NULL when unknown */

/* Fails, naming the nearest class, when there is none of this name. */
const DeviceClass *device_class_get(const char *name, GError **error);

/*
 * Makes an unrealized device with defaults, then -global values, applied. id may be NULL: one is
 * made up then. A duplicate id is an error. The environment owns it.
 */
Device *device_create(DeviceEnv *env, const DeviceClass *cls, const char *id, GError **error);
bool device_set_prop(Device *dev, const char *name, const char *value, GError **error);

/* For classes with a bus_type, before realize. An occupied bus or one of another kind is an error. */
bool device_set_bus(Device *dev, Bus *bus, GError **error);

/* On false the device is unrealized and still the environment's; device_remove ends it. */
bool device_realize(Device *dev, GError **error);

/* Takes it off its bus and out of the map, unrealizes and frees it. NULL is fine. */
void device_remove(Device *dev);
Device *device_find(DeviceEnv *env, const char *id); /* NULL when unknown */

/*
 * -device DRIVER,prop=value,...,id=,bus=. When no bus is named it takes the free one of the right
 * kind that was made last, as QEMU does. The device is realized, or nothing is left of it.
 */
Device *device_add(DeviceEnv *env, const char *options, GError **error);

/* True when the text of a -device asks for help ("help", "NAME,help"), which is printed then. */
bool device_help_asked(const char *options, FILE *out);
void device_help(FILE *out);                         /* -device help */
bool device_class_help(const char *name, FILE *out); /* -device NAME,help; false when unknown */

void device_env_init(DeviceEnv *env, Cpus *cpus, Memory *memory, Timers *timers, const LogSet *log);
void device_env_finish(DeviceEnv *env); /* unrealizes and frees in reverse order */
void device_env_reset(DeviceEnv *env);

/*
 * Back ends by their text (-drive, -chardev, -serial), which then belong to the environment. An id
 * that is taken is an error. A label of NULL is only for texts that carry an id=.
 */
BlockDev *device_env_add_drive(DeviceEnv *env, const char *options, GError **error);
Chardev *device_env_add_chardev(DeviceEnv *env, const char *label, const char *spec,
                                GError **error);
BlockDev *device_env_find_drive(DeviceEnv *env, const char *id);     /* NULL when unknown */
Chardev *device_env_find_chardev(DeviceEnv *env, const char *label); /* NULL when unknown */

/* -global DRIVER.PROPERTY=VALUE, or driver=,property=,value=. Before the devices are made. */
bool device_env_add_global(DeviceEnv *env, const char *text, GError **error);

/* -global values nobody used; reported as warnings. */
void device_env_check_globals(DeviceEnv *env);

/* For realize functions. Names are constant strings. */
unsigned device_init_region(Device *dev, const char *name, const MmioOps *ops, uint64_t size_bytes);
void device_init_irq_in(Device *dev, unsigned count, void (*set)(void *dev, unsigned n, int level));
void device_init_irq_out(Device *dev, unsigned count);
Bus *device_init_bus(Device *dev, const char *type, const char *name);
Bus *bus_find(DeviceEnv *env, const char *name); /* NULL when unknown */

/* The drive a property names, claimed for this device; release it in unrealize. */
BlockDev *device_claim_drive(Device *dev, const char *id, GError **error);

/* The chardev a property names; NULL and no error when the property is not set (id is NULL). */
bool device_get_chardev(Device *dev, const char *id, Chardev **chr, GError **error);

/* For boards, after realize. */
bool device_map(Device *dev, unsigned region, hwaddr base, GError **error);
void device_connect_irq(Device *dev, unsigned n, IrqLine *line);
IrqLine *device_irq_in(Device *dev, unsigned n);

/* Drives output n. Machine lock, unless what it is wired to is lockless. */
void device_irq_set(Device *dev, unsigned n, int level);

ORR_END_DECLS

#endif
