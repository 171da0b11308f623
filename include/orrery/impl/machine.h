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

/*
 * What the command line asked for. Strings and arrays are borrowed for the machine's life. NULL: not
 * given. The arrays hold option texts in the order of the command line.
 */
typedef struct MachineOptions {
    const char *name;    /* of the guest, for people; -name */
    const char *machine; /* "virt,prop=value"; a text without a type names the default one */
    const char *cpu;     /* "model,prop=on" */
    const char *target;
    GPtrArray *accels;         /* -accel texts, "a:b,prop=value"; the first usable one is taken */
    unsigned vcpus, max_vcpus; /* 0: one; as many as vcpus */
    bool ram_given;            /* -m was given, ram_bytes counts */
    uint64_t ram_bytes;
    const char *bios, *kernel, *initrd, *append, *dtb;
    GPtrArray *devices;  /* -device texts */
    GPtrArray *drives;   /* -drive texts */
    GPtrArray *globals;  /* -global texts */
    GPtrArray *serials;  /* -serial texts; NULL or empty: no serial line is connected */
    GPtrArray *chardevs; /* -chardev texts */
    const char *qtest;   /* -qtest text: where the accelerator that needs it listens */
    const char *qtest_log;
    bool start_paused; /* -S */
    LogSet *log;
} MachineOptions;

struct MachineClass {
    const char *name;
    const char *summary;
    const char *alias;          /* NULL is fine */
    const char *const *targets; /* NULL-terminated */
    uint64_t default_ram_bytes, min_ram_bytes, max_ram_bytes;
    unsigned max_vcpus;
    unsigned max_serials;
    const char *default_cpu;  /* NULL: the target's */
    const char *drive_device; /* made for a -drive with if=virtio that no -device takes */
    const PropDef *props;
    size_t instance_bytes; /* of the struct that begins with Machine */

    /* Memory, vCPUs (by machine_add_vcpus) and devices. Machine lock held, for all of these. */
    bool (*build)(Machine *machine, GError **error);

    /* After the user's devices: device tree, firmware, kernel; all of it written to memory. */
    bool (*complete)(Machine *machine, GError **error);

    /* After devices and vCPUs; first is true once, right after complete. */
    bool (*reset)(Machine *machine, bool first, GError **error);

    /* Presses the power button; NULL when the board has none. */
    void (*powerdown)(Machine *machine);
    void (*finish)(Machine *machine); /* half-built is fine */
};

struct Machine {
    const MachineClass *cls;
    const MachineOptions *options;
    const TargetOps *target;
    Memory *memory;
    Timers *timers;
    Cpus *cpus;
    Accel *accel;
    struct GuestOs *guest_os;
    DeviceEnv env;
    uint64_t ram_bytes;
    Chardev **serials; /* one a -serial text, NULL for "none"; owned by env */
    unsigned serial_count;
    bool only_dump; /* a dumpdtb= or the like was the purpose: machine_run returns at once */
    bool failed;    /* could not be reset: the process shall fail */
    char *cpu_model;
    GArray *cpu_props; /* OptPair, from -cpu */
};

const MachineClass *const *machine_class_list(void); /* NULL-terminated */

/* By name or alias; NULL when unknown. */
const MachineClass *machine_class_find(const char *name);

/* -machine help, -machine NAME,help (false when unknown), -cpu help. */
void machine_help(const char *target, FILE *out);
bool machine_class_help(const char *name, FILE *out);
void machine_cpu_help(const TargetOps *target, FILE *out);

/*
 * Builds everything; all vCPUs are stopped and have been reset. Main thread; returns with the
 * machine lock held. NULL with a GError, and nothing left behind.
 */
Machine *machine_create(const MachineOptions *options, GError **error);

/*
 * Starts the guest unless start_paused, and runs the main loop until the guest powers off or the
 * user quits; the process's exit status. Main thread, machine lock held.
 */
int machine_run(Machine *machine, bool no_reboot, bool no_shutdown);

/* Ends the vCPUs, frees everything, drops the machine lock. Half-built is fine, NULL is fine. */
void machine_destroy(Machine *machine);

/*
 * For boards: makes options->vcpus of them of the model and with the properties of -cpu, realized,
 * their threads begun, stopped. Machine lock held.
 */
bool machine_add_vcpus(Machine *machine, GError **error);

/*
 * Opens a back end and hands it to the machine: what -serial and -monitor accept, with
 * "chardev:ID" for one that -chardev has opened. label names it in messages.
 */
Chardev *machine_open_chardev(Machine *machine, const char *label, const char *spec,
                              GError **error);

ORR_END_DECLS

#endif
