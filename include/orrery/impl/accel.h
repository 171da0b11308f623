/* SPDX-License-Identifier: MIT */
/*
 * What an accelerator is. A driver describes it to the machine, one table of ops acts on vCPUs, and
 * an AccelCpu extends the CPU classes of the targets it serves. Everything here is constant data of
 * a module; what changes hangs off Accel (one a machine) and VcpuAccel (one a vCPU).
 */
#ifndef ORRERY_IMPL_ACCEL_H
#define ORRERY_IMPL_ACCEL_H

#include <stdio.h>

#include "orrery/impl/compiler.h"
#include "orrery/impl/props.h"

ORR_BEGIN_DECLS

typedef struct Accel Accel;
typedef struct AccelCpu AccelCpu;
typedef struct AccelDriver AccelDriver;
typedef struct AccelOps AccelOps;
typedef struct Cpus Cpus;
typedef struct DeviceEnv DeviceEnv;
typedef struct Memory Memory;
typedef struct MemoryListener MemoryListener;
typedef struct TargetOps TargetOps;
typedef struct Timers Timers;
typedef struct Vcpu Vcpu;

typedef enum BreakpointKind {
    BREAKPOINT_SOFTWARE,
    BREAKPOINT_HARDWARE,
    WATCHPOINT_WRITE,
    WATCHPOINT_READ,
    WATCHPOINT_ACCESS,
} BreakpointKind;

/* Grows at the tail; the caller sets struct_size and the callee fills no more than that. */
typedef struct AccelVcpuStats {
    size_t struct_size;
    uint64_t insns;         /* guest instructions executed */
    uint64_t exits;         /* returns from guest code to the loop */
    uint64_t blocks_filled; /* translations or decodes made */
    uint64_t tlb_fills;     /* address translations computed */
    uint64_t tlb_flushes;
} AccelVcpuStats;

/* The accelerator's side of a vCPU: the first member of struct Vcpu. */
typedef struct VcpuAccel {
    const AccelOps *ops;
    Accel *accel;
    void *opaque; /* the accelerator's own, freed by it at the end of its thread */
    uint32_t index;
} VcpuAccel;

/* One a machine. Embedded by the accelerator as the first member of a struct of its own size. */
struct Accel {
    const AccelDriver *driver;
    const AccelOps *ops;
    const TargetOps *target;
    Cpus *cpus;
    Timers *timers;
    Memory *memory;
    DeviceEnv *devices; /* the board's devices, for a module that drives them; may be NULL */

    /* The core's own. */
    bool initialised; /* init_machine has succeeded */
    MemoryListener *listener;
};

/* Extensions of a target's CPU class; called in this order, after the model's own. NULL is fine. */
struct AccelCpu {
    size_t struct_size;
    const char *target;
    bool (*cpu_class_init)(Accel *accel, GError **error);
    void (*cpu_instance_init)(Accel *accel, Vcpu *vcpu);
    bool (*cpu_realize)(Accel *accel, Vcpu *vcpu, GError **error);
    void (*cpu_unrealize)(Accel *accel, Vcpu *vcpu);
};

/* Capabilities that common code may ask about; never the accelerator's name. */
enum {
    ACCEL_CAP_RUNS_GUEST = 1 << 0,   /* executes guest code (qtest does not) */
    ACCEL_CAP_GUEST_DEBUG = 1 << 1,  /* breakpoints and single-step */
    ACCEL_CAP_RESETTABLE = 1 << 2,   /* survives system_reset */
    ACCEL_CAP_EXACT_ICOUNT = 1 << 3, /* can count guest instructions exactly */
};

struct AccelDriver {
    size_t struct_size;
    const char *name;
    const char *summary;        /* one line for -accel help */
    const char *const *targets; /* NULL-terminated; NULL serves all */
    uint32_t caps;
    size_t instance_bytes; /* of the struct that begins with Accel */
    const AccelOps *ops;
    const AccelCpu *const *cpus; /* NULL-terminated; NULL adds nothing */
    const PropDef *props;

    /* Usable here? On false *why says why not; it is freed by the caller. NULL means usable. */
    bool (*probe)(const char *target, char **why);

    /* Machine lock held. Properties are set, memory and timers exist, no vCPU yet. */
    bool (*init_machine)(Accel *accel, GError **error);

    /* The board is complete, vCPUs exist and are stopped. */
    bool (*setup_post)(Accel *accel, GError **error);
    void (*finish_machine)(Accel *accel); /* all vCPU threads have ended */

    const MemoryListener *memory_listener; /* opaque is replaced by the Accel; NULL for none */
};

/* The one symbol of a module, named orrery_accel_module. */
typedef struct AccelModule {
    size_t struct_size;
    const char *abi_stamp;             /* ORR_ABI_STAMP as the module saw it */
    const AccelDriver *const *drivers; /* NULL-terminated */
} AccelModule;

#define ACCEL_MODULE_SYMBOL "orrery_accel_module"

/* Names the descriptor in a module's source; a built-in accelerator's symbol ends in its name. */
#ifdef ORR_ACCEL_BUILTIN
#define ORR_ACCEL_MODULE(name_) const AccelModule orrery_accel_module_##name_
#define ORR_ACCEL_MODULE_DECLARE(name_) extern const AccelModule orrery_accel_module_##name_
#else
#define ORR_ACCEL_MODULE(name_) const AccelModule orrery_accel_module
#define ORR_ACCEL_MODULE_DECLARE(name_)                                                            \
    extern const AccelModule orrery_accel_module __attribute__((visibility("default")))
#endif

static inline Accel *vcpu_accel(const Vcpu *vcpu)
{
    return ((const VcpuAccel *)vcpu)->accel;
}

static inline const AccelOps *vcpu_accel_ops(const Vcpu *vcpu)
{
    return ((const VcpuAccel *)vcpu)->ops;
}

/* Registry. The list of modules is the process's; all else is the machine's. Cold, main thread. */

/*
 * Finds the first usable of "a:b:c" for a target, loading modules as needed. On success the
 * refusals of earlier ones are reported as warnings; on failure the error explains each.
 */
const AccelDriver *accel_find(const char *names, const char *target, GError **error);

/* -accel help: what is installed, for which target, and why one is unusable. */
void accel_help(const char *target, FILE *out);

/* Validates tables: sizes, required ops, known targets. A module that fails is refused. */
bool accel_driver_check(const AccelDriver *driver, GError **error);

Accel *accel_create(const AccelDriver *driver, const TargetOps *target, Cpus *cpus, Timers *timers,
                    Memory *memory);
bool accel_set_prop(Accel *accel, const char *name, const char *value, GError **error);
bool accel_init_machine(Accel *accel, GError **error);
bool accel_setup_post(Accel *accel, GError **error);
void accel_destroy(Accel *accel); /* NULL is fine */

const AccelCpu *accel_cpu_for(const AccelDriver *driver, const char *target);

ORR_END_DECLS

#include "orrery/gen/accel-ops.h"

#endif
