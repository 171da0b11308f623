/* SPDX-License-Identifier: MIT */
/*
 * Private to src/cpus: the core's own state. Who may touch a field is said beside it; "machine lock"
 * means cpus->lock.
 */
#ifndef ORRERY_CPUS_INTERNAL_H
#define ORRERY_CPUS_INTERNAL_H

#include "orrery/impl/cpus.h"

struct VcpuWork {
    VcpuWork *next;
    VcpuWorkFn *fn;
    void *data;
    int64_t queued_ns;
    bool safe; /* runs in an exclusive section, without the machine lock */
    bool sync; /* a waiter owns the item; done is set under the machine lock */
    bool done;
};

struct Cpus {
    /* The machine lock, and who holds it since when (only kept while it is traced). */
    OrrMutex lock;
    const char *lock_site;
    int64_t lock_since_ns;

    /* Constant after set-up. */
    Timers *timers;
    Memory *memory;
    GuestOs *guest_os;
    const LogSet *log;
    Accel *accel;
    CpusHooks hooks;

    /*
     * Slots by index, NULL where free. Written with both the machine lock and exclusive_lock, read
     * with either.
     */
    GPtrArray *slots;
    unsigned count;

    /* Conditions on the machine lock. */
    OrrCond lifecycle_cond; /* created, destroyed */
    OrrCond pause_cond;     /* stopped, or the list changed */
    OrrCond work_cond;      /* a synchronous work item is done */

    /* Exclusive sections: exclusive_lock. */
    OrrMutex exclusive_lock;
    OrrCond exclusive_ready;    /* pending fell to 1: the section may begin */
    OrrCond exclusive_resume;   /* pending fell to 0 */
    uint32_t exclusive_pending; /* 1 + vCPUs still to leave; read without the lock by exec begin */
    int64_t exclusive_since_ns;

    /* Run state: written with the machine lock, read by anyone. */
    uint32_t run_state;

    /* Requests to the main loop; atomics, any thread. */
    const char *reset_cause;    /* NULL: none */
    const char *shutdown_cause; /* NULL: none */
    int32_t shutdown_code;
    bool quit;             /* the shutdown ends the process whatever the options say; atomic */
    uint32_t stop_request; /* RunState + 1; 0: none */
    Vcpu *debug_vcpu;      /* the one that stopped for the debugger */

    /* Main loop. */
    GMainContext *context;
    GArray *poll_fds;
    uint32_t polling; /* the loop is about to sleep, or asleep: wakers must signal it */
};

/* The calling thread's vCPU, or NULL. Valid in the base binary only. */
Vcpu *current_vcpu(void);
void set_current_vcpu(Vcpu *vcpu);

/* For loops over vCPUs; body sees `vcpu`. The lock rule of slots applies. */
#define CPUS_FOREACH(cpus_, vcpu_)                                                                 \
    for (guint i_##vcpu_ = 0; i_##vcpu_ < (cpus_)->slots->len; i_##vcpu_++)                        \
        if (((vcpu_) = g_ptr_array_index((cpus_)->slots, i_##vcpu_)) != NULL)

/* Waits on a condition of the machine lock; in the trace it is not held meanwhile. */
void machine_lock_wait_for(Cpus *cpus, OrrCond *cond, const char *site);

/* Runs what is queued. The vCPU's thread, no lock held. */
void vcpu_process_work(Vcpu *vcpu);

void vcpu_sched_init(Vcpu *vcpu);

/* Handles requests; true when the loop shall end with *exit_code. Machine lock held. */
bool main_loop_handle_requests(Cpus *cpus, bool no_reboot, bool no_shutdown, int *exit_code);

#endif
