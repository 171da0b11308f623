/* SPDX-License-Identifier: MIT */
/*
 * The common cpus core: vCPU lifecycle, the thread contract, kick and halt, work queues, exclusive
 * sections, run state, and the main loop that serves them. It knows no accelerator. A vCPU thread
 * normally holds no lock; it takes the machine lock for device access that asks for it, to stop, and
 * to run queued work.
 */
#ifndef ORRERY_IMPL_CPUS_H
#define ORRERY_IMPL_CPUS_H

#include "orrery/impl/vcpu.h"

ORR_BEGIN_DECLS

typedef enum RunState {
    RUN_STATE_PRELAUNCH, /* -S, or the machine is not complete */
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,   /* by the user */
    RUN_STATE_DEBUG,    /* by a breakpoint */
    RUN_STATE_SHUTDOWN, /* the guest has powered off */
    RUN_STATE_GUEST_PANICKED,
    RUN_STATE_INTERNAL_ERROR, /* an accelerator could not go on */
    RUN_STATE_SAVE_VM,
    RUN_STATE_RESTORE_VM,
    RUN_STATE_COUNT,
} RunState;

const char *run_state_name(RunState state);

/* Called on the main loop with the machine lock, all vCPUs stopped, unless said otherwise. */
typedef struct CpusHooks {
    void (*reset)(void *opaque, const char *cause);
    void (*run_state_changed)(void *opaque, RunState from, RunState to); /* any stop or start */
    void (*guest_debug)(void *opaque, Vcpu *vcpu); /* a vCPU stopped for the debugger */
    void *opaque;
} CpusHooks;

/* ---- The core as an object. One a machine. Main thread. */
Cpus *cpus_create(Timers *timers, Memory *memory, const LogSet *log);
void cpus_destroy(Cpus *cpus); /* no vCPU thread may be left; NULL is fine */
void cpus_set_hooks(Cpus *cpus, const CpusHooks *hooks);
void cpus_set_accel(Cpus *cpus, Accel *accel);   /* before the first vCPU; passes clock hooks on */
void cpus_set_guest_os(Cpus *cpus, GuestOs *os); /* before the first vCPU; not owned */
unsigned cpus_count(const Cpus *cpus);

/* The vCPU with this index, or NULL. Machine lock, or a time when none is plugged. */
Vcpu *cpus_get(const Cpus *cpus, unsigned index);

/* ---- The machine lock. See docs/locking.md. */
#define machine_lock(cpus) machine_lock_at((cpus), __func__)
void machine_lock_at(Cpus *cpus, const char *site);
void machine_unlock(Cpus *cpus);
bool machine_locked(const Cpus *cpus); /* by the calling thread */

/* The same, accounted to a vCPU (lock-wait). Its thread only. */
#define vcpu_machine_lock(vcpu) vcpu_machine_lock_at((vcpu), __func__)
void vcpu_machine_lock_at(Vcpu *vcpu, const char *site);
void vcpu_machine_unlock(Vcpu *vcpu);

/* ---- Lifecycle. Machine lock held. */

/* Makes a stopped vCPU of the target's model, with the lowest free index. */
Vcpu *vcpu_create(Cpus *cpus, const TargetOps *target, const char *model, GError **error);

/* Frees one that was created and not plugged. NULL is fine. */
void vcpu_discard(Vcpu *vcpu);

/* Realizes it, starts its thread, waits until the thread has begun; the vCPU is still stopped. */
bool vcpu_plug(Vcpu *vcpu, GError **error);

/* Lets it run if the VM runs. */
void vcpu_resume(Vcpu *vcpu);

/* Ends its thread, waits for it, frees it. Never from a vCPU's thread. */
void vcpu_unplug(Vcpu *vcpu);

/* Resets the architecture and the accelerator's part. The vCPU is stopped. */
void vcpu_reset(Vcpu *vcpu);

/* ---- The thread contract: the one way in and out of a thread that runs vCPUs. */

/*
 * First in the thread, no lock held: name, random seed, registration, `created` signalled. Returns
 * with no lock held.
 */
void vcpu_thread_begin(Vcpu *vcpu);

/* Last: state unplugged, `destroyed` signalled. The vCPU may be gone when it returns. */
void vcpu_thread_end(Vcpu *vcpu);

/* For a thread that runs several vCPUs: the one whose turn it is now. Between begin and end of it. */
void vcpu_thread_switch(Vcpu *vcpu);

/* For accelerators: starts a joinable thread that runs fn(vcpu); false with a GError. */
bool vcpu_start_thread(Vcpu *vcpu, void *(*fn)(void *vcpu), GError **error);

/* What begin and end do about the waiters. Machine lock held. */
void vcpu_signal_created(Vcpu *vcpu);
void vcpu_signal_destroyed(Vcpu *vcpu);

/* True when the thread shall go on: not (unplug requested and nothing left to do). */
static inline bool vcpu_thread_continues(const Vcpu *vcpu)
{
    return !orr_load_acquire(&vcpu->unplug);
}

/* May run guest code: not asked to stop, not stopped, VM running. Its thread or machine lock. */
bool vcpu_can_run(const Vcpu *vcpu);

/* Nothing to do: stopped, or halted without work, interrupt or request. Any thread. */
bool vcpu_is_idle(Vcpu *vcpu);
bool all_vcpu_threads_idle(Cpus *cpus); /* machine lock */

/*
 * The common part: clears exit_request (here and nowhere else), then reads the reasons: stops if
 * asked, runs queued work. Its thread; the machine lock is taken only when there is a reason.
 */
void vcpu_wait_io_event_common(Vcpu *vcpu);

/* The whole: the common part, and while the vCPU is idle, sleep. Its thread, no lock held. */
void vcpu_wait_io_event(Vcpu *vcpu);

/*
 * For an accelerator whose thread sleeps by itself: the vCPU has nothing to do from now on; and it has
 * again, idle since asleep_ns of the host's monotonic clock. The vCPU's thread.
 */
void vcpu_trace_halt(Vcpu *vcpu);
void vcpu_trace_wake(Vcpu *vcpu, int64_t asleep_ns);

/*
 * One stay in guest code: exec begin, run(opaque), exec end, with the state account; then does what the
 * reason asks for (debugger, error, atomic step, yield). The vCPU's thread, no lock held.
 */
void vcpu_execute(Vcpu *vcpu, VcpuExit (*run)(void *opaque), void *opaque);

/* After VCPU_EXIT_DEBUG: stops the VM in RUN_STATE_DEBUG and tells the debugger. No lock held. */
void vcpu_handle_guest_debug(Vcpu *vcpu);

/* After VCPU_EXIT_ERROR: stops the VM in RUN_STATE_INTERNAL_ERROR. No lock held. */
void vcpu_handle_error(Vcpu *vcpu);

/* After VCPU_EXIT_ATOMIC: one instruction in an exclusive section, by the accelerator's step_vcpu. */
bool vcpu_step_atomic(Vcpu *vcpu);

/* ---- Kick. Any thread, any lock, never blocks, never lost. cause is a constant string. */
void vcpu_kick(Vcpu *vcpu, const char *cause);

/* What a NULL kick_vcpu_thread does: wakes the thread if it sleeps. */
void vcpu_kick_default(Vcpu *vcpu);

/* The target's interrupt word changed and is stored: tells the accelerator. */
void vcpu_interrupt(Vcpu *vcpu);

static inline bool vcpu_exit_requested(const Vcpu *vcpu)
{
    return G_UNLIKELY(orr_load_acquire(&vcpu->exit_request));
}

/* ---- Work queues. */
typedef void VcpuWorkFn(Vcpu *vcpu, void *data);

/* Runs fn on the vCPU's thread with the machine lock held and waits. Machine lock held by caller. */
void vcpu_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data);

/* The same without waiting. Any thread; the caller may hold any lock. */
void vcpu_async_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data);

/* fn runs on the vCPU's thread in an exclusive section, without the machine lock. Any thread. */
void vcpu_async_safe_run_on(Vcpu *vcpu, VcpuWorkFn *fn, void *data);

/* ---- Exclusive sections. Accelerators bracket guest execution with begin and end. */
void vcpu_exec_begin(Vcpu *vcpu);
void vcpu_exec_end(Vcpu *vcpu);

/*
 * Waits until no vCPU is between begin and end, and keeps it so. Never with the machine lock, never
 * between begin and end. self is the calling thread's vCPU, or NULL.
 */
void exclusive_start(Cpus *cpus, Vcpu *self);
void exclusive_end(Cpus *cpus, Vcpu *self);

/* ---- Pause and resume. Machine lock held; released while waiting. */
void pause_vcpus(Cpus *cpus); /* returns when every vCPU has stopped; survives company */
void resume_vcpus(Cpus *cpus);

/* Stops this vCPU's own VM from its thread, without waiting for it. */
void vcpu_stop_self(Vcpu *vcpu);

/* ---- Run state. Machine lock held. */
RunState run_state(const Cpus *cpus);
bool vm_running(const Cpus *cpus);
void vm_start(Cpus *cpus);
void vm_stop(Cpus *cpus, RunState state); /* from a vCPU's thread: a request */

/* ---- Requests to the main loop. Any thread, any lock. */
void system_reset_request(Cpus *cpus, const char *cause);

/* exit_code becomes the process's. With -no-shutdown the VM only stops. */
void system_shutdown_request(Cpus *cpus, const char *cause, int exit_code);

/* The user wants the process to end, also with -no-shutdown. */
void system_quit_request(Cpus *cpus, const char *cause);
void vm_stop_request(Cpus *cpus, RunState state);

/* ---- Main loop: a GMainContext whose poll drops the machine lock and serves timers to the ns. */
GMainContext *main_loop_context(Cpus *cpus);

/* Runs until a shutdown request; returns its exit code. Main thread, machine lock held. */
int main_loop_run(Cpus *cpus, bool no_reboot, bool no_shutdown);

/* One iteration; for tests and for accelerators' waits. Machine lock held. */
void main_loop_iterate(Cpus *cpus, bool may_block);
void main_loop_wake(Cpus *cpus); /* any thread */

/* ---- MMIO by a vCPU: state account, machine lock where the region asks for it. No lock held. */
MemTxResult vcpu_mmio_read(Vcpu *vcpu, hwaddr addr, unsigned size, uint64_t *value);
MemTxResult vcpu_mmio_write(Vcpu *vcpu, hwaddr addr, unsigned size, uint64_t value);

/* ---- Guest debug. Machine lock, vCPU stopped. */
bool vcpu_set_single_step(Vcpu *vcpu, bool on, GError **error);
bool vcpu_insert_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                            GError **error);
bool vcpu_remove_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                            GError **error);
void vcpu_remove_all_breakpoints(Vcpu *vcpu);
bool vcpu_breakpoint_unsupported(Vcpu *vcpu, GError **error); /* always false */

/* ---- State account of all vCPUs, as text (info sched, -d sched). Any thread, machine lock. */
void cpus_print_sched(Cpus *cpus, GString *out);

ORR_END_DECLS

#endif
