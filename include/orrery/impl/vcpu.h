/* SPDX-License-Identifier: MIT */
/*
 * A vCPU as the common code sees it. Targets embed it first in their own struct. Fields are grouped
 * by who writes them; the group's comment is the rule. The state account answers "where did this
 * vCPU's time go": one function changes the state, and it keeps the books.
 */
#ifndef ORRERY_IMPL_VCPU_H
#define ORRERY_IMPL_VCPU_H

#include "orrery/impl/accel.h"
#include "orrery/impl/host-clock.h"
#include "orrery/impl/lock.h"
#include "orrery/impl/log.h"
#include "orrery/impl/memory.h"
#include "orrery/impl/seqlock.h"
#include "orrery/impl/target.h"
#include "orrery/impl/timers.h"

ORR_BEGIN_DECLS

typedef enum VcpuState {
    VCPU_STATE_CREATED,        /* exists, its thread has not begun to run guest code */
    VCPU_STATE_STOPPED,        /* the VM is paused */
    VCPU_STATE_RUNNING,        /* in guest code */
    VCPU_STATE_EXIT,           /* in the accelerator's loop, between guest code and a reason */
    VCPU_STATE_DEVICE,         /* in a device's MMIO handler */
    VCPU_STATE_LOCK_WAIT,      /* waits for the machine lock */
    VCPU_STATE_EXCLUSIVE_WAIT, /* waits to enter an exclusive section, or for one to end */
    VCPU_STATE_EXCLUSIVE,      /* alone: every other vCPU is held */
    VCPU_STATE_HALTED,         /* the guest waits for an interrupt */
    VCPU_STATE_THROTTLED,      /* held by the throttle */
    VCPU_STATE_UNPLUGGED,      /* its thread has ended */
    VCPU_STATE_COUNT,
} VcpuState;

const char *vcpu_state_name(VcpuState state);

/* Why an accelerator's inner loop returned. */
typedef enum VcpuExit {
    VCPU_EXIT_KICKED, /* exit_request, or an interrupt to look at */
    VCPU_EXIT_HALTED, /* wait-for-interrupt with nothing pending; vcpu->halted is set */
    VCPU_EXIT_DEBUG,  /* breakpoint, watchpoint or single step */
    VCPU_EXIT_ATOMIC, /* the next instruction must run in an exclusive section */
    VCPU_EXIT_YIELD,  /* spin hint: let others run */
    VCPU_EXIT_ERROR,  /* the accelerator cannot go on; it has said why */
} VcpuExit;

typedef struct VcpuSched {
    OrrSeqlock lock; /* one writer: the vCPU's thread, its creator before that */
    uint32_t state;
    uint64_t since_ticks;
    uint64_t ticks[VCPU_STATE_COUNT]; /* closed intervals only */
    uint64_t entries[VCPU_STATE_COUNT];
    HostTickMark born;
} VcpuSched;

/* A reading of the account: nanoseconds a state, the open interval included. */
typedef struct VcpuSchedInfo {
    VcpuState state;
    int64_t total_ns;
    int64_t ns[VCPU_STATE_COUNT];
    uint64_t entries[VCPU_STATE_COUNT];
} VcpuSchedInfo;

typedef struct VcpuWork VcpuWork;
typedef struct GuestOs GuestOs; /* guest-os.h */

typedef struct VcpuBreakpoint {
    BreakpointKind kind;
    uint64_t addr, length_bytes;
} VcpuBreakpoint;

struct Vcpu {
    VcpuAccel accel; /* first */

    /* Constant after vcpu_create. */
    Cpus *cpus;
    const TargetOps *target;
    Memory *memory;
    Timers *timers;
    const LogSet *log;
    GuestOs *guest_os; /* for traces of the guest's tasks; NULL: none */
    char *name; /* "cpu 0/interp": thread name and traces */

    /*
     * Written by anyone, with atomics. A kicker stores its reason (one of the words below, or an
     * entry in the work list), then release-stores exit_request, then kicks.
     */
    uint32_t exit_request ORR_ALIGNED(ORR_CACHE_LINE);
    bool stop;              /* a pauser asks */
    bool unplug;            /* the thread shall end */
    bool debug_request;     /* a debugger asks for a stop */
    bool work_pending;      /* the work list is not empty */
    OrrPark park;           /* where the thread sleeps */
    const char *kick_cause; /* the last kicker's, for traces */

    /* Written by the vCPU's thread, read by anyone. */
    bool running ORR_ALIGNED(ORR_CACHE_LINE); /* between exec begin and end; see exclusive.c */
    bool has_waiter;                          /* an exclusive section waits for this vCPU */
    bool halted;                              /* the guest waits for an interrupt */
    bool stopped;                             /* it has stopped; set after it has */
    bool created, destroyed;                  /* machine lock */
    bool crashed;                             /* stopped for an error */
    VcpuSched sched;

    /* The thread. */
    pthread_t thread;
    bool thread_joinable; /* vcpu_start_thread made it */
    int32_t thread_id;    /* kernel's; 0 before it began */
    uint64_t random;      /* seed of this vCPU's generator */
    uint32_t epoch_stripe;

    /* Work queue: lock vcpu->work_lock. */
    OrrMutex work_lock;
    VcpuWork *work_head, *work_tail;

    /* Guest debug: machine lock, vCPU stopped. */
    bool single_step;
    GArray *breakpoints; /* VcpuBreakpoint */
};

/*
 * Changes the state and closes the account of the old one; emits cpus:vcpu_state. Only the vCPU's
 * own thread, or its creator before the thread exists. reason is a constant string.
 */
void vcpu_set_state(Vcpu *vcpu, VcpuState state, const char *reason);

static inline VcpuState vcpu_state(const Vcpu *vcpu)
{
    return (VcpuState)orr_load_relaxed(&vcpu->sched.state);
}

/* Any thread, no lock. The sum of ns[] is total_ns, the vCPU's age. */
void vcpu_sched_read(Vcpu *vcpu, VcpuSchedInfo *info);

/* A pseudo-random number from the vCPU's own generator. Its thread only. */
uint64_t vcpu_random(Vcpu *vcpu);

ORR_END_DECLS

#endif
