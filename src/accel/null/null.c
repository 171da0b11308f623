/* SPDX-License-Identifier: MIT */
/*
 * The null accelerator: every vCPU has a thread that keeps the whole thread contract and executes
 * nothing. It is the template for new accelerators; docs/add-accelerator.md walks through it.
 *
 * The one idea to hold: the core owns the vCPU's life, the accelerator owns its thread. The core
 * says "stop", "work", "interrupt" by storing a reason and kicking; this file promises to notice.
 *
 * To make your own: copy this file, replace "null" by your name throughout, compile it with the
 * flags that `pkg-config --cflags orrery` gives, -shared -fPIC, into accel-NAME.so, put it where
 * ORRERY_MODULE_DIR points, and start `orrery -accel NAME`. Then fill in null_run.
 */
#include "orrery/impl/accel.h"
#include "orrery/impl/cpus.h"
#include "orrery/impl/module.h"

/*
 * ---- State.
 *
 * One of these per machine. It begins with struct Accel, and the driver below says how large it is;
 * the core allocates it, zeroes it, and sets the properties. No globals: two machines may live in
 * one process.
 */
typedef struct NullAccel {
    Accel accel; /* first */
    bool busy;   /* property busy=on: spin instead of sleeping while "in guest code" */
} NullAccel;

/* One of these per vCPU: ours alone, reached by vcpu->accel.opaque. */
typedef struct NullVcpu {
    uint64_t entries; /* times "guest code" was entered */
} NullVcpu;

/*
 * ---- Running guest code.
 *
 * A real accelerator executes guest instructions here until there is a reason to come back:
 *   VCPU_EXIT_KICKED   exit_request was set, look at the reasons;
 *   VCPU_EXIT_HALTED   the guest waits for an interrupt (store vcpu->halted = true first);
 *   VCPU_EXIT_DEBUG    a breakpoint or a single step;
 *   VCPU_EXIT_ATOMIC   the next instruction must run alone;
 *   VCPU_EXIT_ERROR    you cannot go on, and have said why with orr_report_error.
 * It must look at exit_request at least once in every loop a guest can make.
 *
 * There is no lock held here. RAM may be touched freely through the host pointers of memory.h;
 * everything else goes through vcpu_mmio_read and vcpu_mmio_write, which take the machine lock when
 * the device wants it.
 */
static VcpuExit null_run(Vcpu *vcpu)
{
    NullAccel *null = (NullAccel *)vcpu_accel(vcpu);
    NullVcpu *mine = vcpu->accel.opaque;

    orr_store_relaxed(&mine->entries, mine->entries + 1);
    while (!vcpu_exit_requested(vcpu)) {
        if (!null->busy) {
            /* Sleeps until somebody kicks; a kick that came first is remembered. */
            orr_park(&vcpu->park, -1);
        }
    }
    return VCPU_EXIT_KICKED;
}

/*
 * ---- The thread.
 *
 * The loop is the same in every accelerator with a thread per vCPU. No lock is held in it.
 */
static void *null_thread(void *opaque)
{
    Vcpu *vcpu = opaque;

    /* First: the thread's name, its registration, and word to whoever waits for it. */
    vcpu_thread_begin(vcpu);

    do {
        /* May guest code run? Not while the VM is stopped, paused, or this vCPU asked to stop. */
        if (vcpu_can_run(vcpu)) {
            VcpuExit why;

            /*
             * The state is for the account and the timeline. Between exec begin and exec end other
             * threads' exclusive sections wait for us, so nothing in there may wait for them.
             */
            vcpu_set_state(vcpu, VCPU_STATE_RUNNING, "enter");
            vcpu_exec_begin(vcpu);
            why = null_run(vcpu);
            vcpu_exec_end(vcpu);
            vcpu_set_state(vcpu, VCPU_STATE_EXIT, "exit");

            switch (why) {
            case VCPU_EXIT_DEBUG:
                vcpu_handle_guest_debug(vcpu);
                break;
            case VCPU_EXIT_ATOMIC:
                vcpu_step_atomic(vcpu);
                break;
            case VCPU_EXIT_ERROR:
                vcpu_handle_error(vcpu);
                break;
            case VCPU_EXIT_KICKED:
            case VCPU_EXIT_HALTED:
            case VCPU_EXIT_YIELD:
                break;
            }
        }

        /*
         * Clears exit_request and then reads the reasons behind it: stops if a pauser asked, runs
         * queued work, and sleeps while there is nothing to do.
         */
        vcpu_wait_io_event(vcpu);
    } while (vcpu_thread_continues(vcpu));

    g_free(vcpu->accel.opaque);
    vcpu->accel.opaque = NULL;

    /* Last: after this the vCPU may be freed. */
    vcpu_thread_end(vcpu);
    return NULL;
}

/*
 * ---- Ops.
 *
 * docs/accel-ops.md lists all of them with the calling thread, the locks, and what leaving one NULL
 * means. Two are required.
 */

/* Called with the machine lock; the caller waits until the thread has begun. */
static bool null_create_vcpu_thread(Vcpu *vcpu, GError **error)
{
    vcpu->accel.opaque = g_new0(NullVcpu, 1);
    if (!vcpu_start_thread(vcpu, null_thread, error)) {
        g_free(vcpu->accel.opaque);
        vcpu->accel.opaque = NULL;
        return false;
    }
    return true;
}

/*
 * The target's pending-interrupt word has changed. Any thread, any lock. Leaving guest code is
 * enough: the way back in is where a real accelerator looks at interrupts.
 */
static void null_handle_interrupt(Vcpu *vcpu)
{
    vcpu_kick(vcpu, "interrupt");
}

/*
 * kick_vcpu_thread is left NULL: the default wakes the thread from orr_park, which is how null_run
 * sleeps. An accelerator whose guest code runs in the kernel sends itself a signal here instead.
 */
static bool null_get_vcpu_stats(Vcpu *vcpu, AccelVcpuStats *stats)
{
    NullVcpu *mine = vcpu->accel.opaque;

    if (!mine) {
        return false;
    }
    stats->exits = orr_load_relaxed(&mine->entries);
    return true;
}

static const AccelOps null_ops = {
    .struct_size = sizeof(AccelOps),
    .name = "null",
    .create_vcpu_thread = null_create_vcpu_thread,
    .handle_interrupt = null_handle_interrupt,
    .get_vcpu_stats = null_get_vcpu_stats,
};

/*
 * ---- The driver: what the machine knows of us before it chooses.
 */

/* -accel null,busy=on. The table ends with an empty entry. */
static const PropDef null_props[] = {
    { "busy", PROP_BOOL, offsetof(NullAccel, busy), .fallback = "off",
      .help = "spin while in guest code instead of sleeping" },
    { NULL },
};

/* Usable on this host? This one always is; KVM would try to open its device here. */
static bool null_probe(const char *target, char **why)
{
    return true;
}

/* Before the first vCPU: memory and clocks exist, properties are set. */
static bool null_init_machine(Accel *accel, GError **error)
{
    return true;
}

static const AccelDriver null_driver = {
    .struct_size = sizeof(AccelDriver),
    .name = "null",
    .summary = "executes nothing; the template for new accelerators",
    .targets = NULL, /* all: it never looks at a guest register */
    .caps = ACCEL_CAP_RESETTABLE,
    .instance_bytes = sizeof(NullAccel),
    .ops = &null_ops,
    .props = null_props,
    .probe = null_probe,
    .init_machine = null_init_machine,
};

/*
 * ---- The module: the note is read without loading the file (-accel help shows it), and its ABI
 * stamp is compared before any code of ours runs. The descriptor is the one exported symbol.
 */
ORR_MODULE_NOTE("accel", "null", "null", "*", "executes nothing; the template for new accelerators",
                "");

static const AccelDriver *const null_drivers[] = { &null_driver, NULL };

ORR_ACCEL_MODULE_DECLARE(null);
ORR_ACCEL_MODULE(null) = {
    .struct_size = sizeof(AccelModule),
    .abi_stamp = ORR_ABI_STAMP,
    .drivers = null_drivers,
};
