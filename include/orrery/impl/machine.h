/* SPDX-License-Identifier: MIT */
/*
 * A machine: one guest with its memory, clocks, vCPUs, accelerator and devices, built by a board
 * from the user's options. Nothing in it is global; a process may hold several.
 */
#ifndef ORRERY_IMPL_MACHINE_H
#define ORRERY_IMPL_MACHINE_H

#include "orrery/impl/device.h"

ORR_BEGIN_DECLS

typedef struct Machine Machine;
typedef struct MachineClass MachineClass;

/* What the command line asked for. Strings are borrowed for the machine's life. NULL: not given. */
typedef struct MachineOptions {
    const char *machine;  /* "virt,prop=value" */
    const char *cpu;      /* "model,prop=on" */
    const char *accel;    /* "a:b,prop=value" */
    const char *target;
    unsigned vcpus, max_vcpus;
    uint64_t ram_bytes;   /* 0: the board's default */
    const char *bios, *kernel, *initrd, *append, *dtb;
    GPtrArray *devices;   /* -device texts */
    GPtrArray *drives;    /* -drive texts */
    GPtrArray *globals;   /* -global texts */
    GPtrArray *serials;   /* -serial texts */
    GPtrArray *chardevs;  /* -chardev texts */
    const char *monitor;  /* -monitor text */
    const char *qtest;    /* -qtest text */
    bool nographic;
    bool start_paused;    /* -S */
    const LogSet *log;
} MachineOptions;

struct MachineClass {
    const char *name;
    const char *summary;
    const char *alias; /* NULL is fine */
    const char *const *targets;
    uint64_t default_ram_bytes, max_ram_bytes;
    unsigned max_vcpus;
    const char *default_cpu;
    const PropDef *props;
    size_t instance_bytes; /* of the struct that begins with Machine */
    bool (*build)(Machine *machine, GError **error);     /* memory, vCPUs, devices */
    bool (*complete)(Machine *machine, GError **error);  /* after -device: device tree, kernel */
    void (*reset)(Machine *machine);                     /* after devices and vCPUs */
    void (*finish)(Machine *machine);
};

struct Machine {
    const MachineClass *cls;
    const MachineOptions *options;
    const TargetOps *target;
    Memory *memory;
    Timers *timers;
    Cpus *cpus;
    Accel *accel;
    DeviceEnv env;
    uint64_t ram_bytes;
};

const MachineClass *const *machine_class_list(void); /* NULL-terminated */

/* Builds everything; all vCPUs are stopped. Main thread; returns with the machine lock held. */
Machine *machine_create(const MachineOptions *options, GError **error);

/* Main loop until the guest powers off or the user quits; the process's exit status. */
int machine_run(Machine *machine, bool no_reboot, bool no_shutdown);
void machine_destroy(Machine *machine); /* half-built is fine, NULL is fine */

ORR_END_DECLS

#endif
