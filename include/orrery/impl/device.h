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

#define DEVICE_MAX_IRQS 128
#define DEVICE_MAX_REGIONS 4

/* What devices may lean on; the Machine fills it. */
struct DeviceEnv {
    Cpus *cpus;
    Memory *memory;
    Timers *timers;
    const LogSet *log;
    GPtrArray *devices;   /* every Device, in order of creation; owned */
    GPtrArray *buses;     /* every Bus; owned by their devices or the machine */
    GPtrArray *drives;    /* BlockDev, owned */
    GPtrArray *chardevs;  /* Chardev, owned */
    GPtrArray *globals;   /* DeviceGlobal, from -global */
};

typedef struct DeviceGlobal {
    char *driver, *property, *value;
    bool used;
} DeviceGlobal;

struct DeviceClass {
    const char *name;    /* "virtio-blk-device" */
    const char *summary;
    const char *bus_type;     /* the kind of bus it plugs into; NULL: wired by a board */
    const char *provides_bus; /* the kind of bus it offers, named after the device's bus_name */
    bool user_creatable;      /* by -device */
    size_t instance_bytes;    /* of the struct that begins with Device */
    const PropDef *props;
    const DeviceClass *parent; /* its properties are accepted too (same struct prefix); or NULL */

    /* Properties are set. Creates regions, input lines, timers. false leaves nothing behind. */
    bool (*realize)(Device *dev, GError **error);
    void (*unrealize)(Device *dev); /* also after a failed realize; half-built is fine */
    void (*reset)(Device *dev);     /* all vCPUs stopped */
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
    IrqLine *irq_out[DEVICE_MAX_IRQS]; /* set by whoever wires it; NULL: nowhere */
    unsigned irq_out_count;
    IrqLine *irq_in; /* inputs the device offers, allocated by device_init_irq_in */
    unsigned irq_in_count;
};

struct Bus {
    const char *type; /* "virtio-bus" */
    char *name;       /* "virtio-mmio-bus.0" */
    Device *owner;
    Device *device; /* the one on it (single-slot buses); NULL while free */
    /* The owner learns of a device that was plugged; NULL is fine. */
    bool (*plugged)(Bus *bus, Device *dev, GError **error);
    void (*unplugged)(Bus *bus, Device *dev);
};

/* All classes, NULL-terminated: src/hw/classes.c. */
const DeviceClass *const *device_class_list(void);
const DeviceClass *device_class_find(const char *name); /* NULL when unknown */

/*
 * Makes an unrealized device with defaults, then -global values, applied. id may be NULL. A
 * duplicate id is an error. The environment owns it.
 */
Device *device_create(DeviceEnv *env, const DeviceClass *cls, const char *id, GError **error);
bool device_set_prop(Device *dev, const char *name, const char *value, GError **error);
bool device_realize(Device *dev, GError **error);
Device *device_find(DeviceEnv *env, const char *id); /* NULL when unknown */

/* -device DRIVER,prop=value,...,id=,bus=. Finds a free bus of the right kind when none is named. */
Device *device_add(DeviceEnv *env, const char *options, GError **error);
void device_help(FILE *out);                        /* -device help */
bool device_class_help(const char *name, FILE *out); /* -device NAME,help; false when unknown */

void device_env_init(DeviceEnv *env, Cpus *cpus, Memory *memory, Timers *timers,
                     const LogSet *log);
void device_env_finish(DeviceEnv *env); /* unrealizes and frees in reverse order */
void device_env_reset(DeviceEnv *env);

/* -global values nobody used; reported as warnings. */
void device_env_check_globals(DeviceEnv *env);

/* For realize functions. */
unsigned device_init_region(Device *dev, const char *name, const MmioOps *ops, uint64_t size_bytes);
void device_init_irq_in(Device *dev, unsigned count,
                        void (*set)(void *dev, unsigned n, int level));
void device_init_irq_out(Device *dev, unsigned count);
Bus *device_init_bus(Device *dev, const char *type, const char *name);
Bus *bus_find(DeviceEnv *env, const char *name);

/* For boards, after realize. */
bool device_map(Device *dev, unsigned region, hwaddr base, GError **error);
void device_connect_irq(Device *dev, unsigned n, IrqLine *line);
IrqLine *device_irq_in(Device *dev, unsigned n);

static inline void device_irq_set(Device *dev, unsigned n, int level)
{
    irq_set(dev->irq_out[n], level);
}

ORR_END_DECLS

#endif
