/* SPDX-License-Identifier: MIT */
/*
 * One accelerator in one machine: made from its driver's constant tables, given properties,
 * initialised in two steps, taken down after the last vCPU thread has ended.
 */
#include "orrery/impl/accel.h"

#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/memory.h"
#include "orrery/impl/target.h"

Accel *accel_create(const AccelDriver *driver, const TargetOps *target, Cpus *cpus, Timers *timers,
                    Memory *memory)
{
    Accel *accel = g_malloc0(driver->instance_bytes);

    accel->driver = driver;
    accel->ops = driver->ops;
    accel->target = target;
    accel->cpus = cpus;
    accel->timers = timers;
    accel->memory = memory;
    props_init(accel, driver->props);
    return accel;
}

bool accel_set_prop(Accel *accel, const char *name, const char *value, GError **error)
{
    return props_set(accel, accel->driver->props, accel->driver->name, name, value, error);
}

bool accel_init_machine(Accel *accel, GError **error)
{
    const AccelDriver *driver = accel->driver;
    const AccelCpu *cpu = accel_cpu_for(driver, accel->target->name);

    if (driver->init_machine && !driver->init_machine(accel, error)) {
        return false;
    }
    accel->initialised = true;
    if (driver->memory_listener) {
        accel->listener = g_new(MemoryListener, 1);
        *accel->listener = *driver->memory_listener;
        accel->listener->opaque = accel;
        memory_add_listener(accel->memory, accel->listener);
    }
    if (cpu && cpu->cpu_class_init && !cpu->cpu_class_init(accel, error)) {
        return false;
    }
    return true;
}

bool accel_setup_post(Accel *accel, GError **error)
{
    return !accel->driver->setup_post || accel->driver->setup_post(accel, error);
}

void accel_destroy(Accel *accel)
{
    if (!accel) {
        return;
    }
    if (accel->listener) {
        memory_remove_listener(accel->memory, accel->listener);
        g_free(accel->listener);
    }
    if (accel->initialised && accel->driver->finish_machine) {
        accel->driver->finish_machine(accel);
    }
    props_finish(accel, accel->driver->props);
    g_free(accel);
}

const AccelCpu *accel_cpu_for(const AccelDriver *driver, const char *target)
{
    for (const AccelCpu *const *cpu = driver->cpus; cpu && *cpu; cpu++) {
        if (!strcmp((*cpu)->target, target)) {
            return *cpu;
        }
    }
    return NULL;
}
