/* SPDX-License-Identifier: MIT */
/*
 * The machine's clocks and timers. Four clocks; a timer belongs to one of them and runs once when
 * its deadline has passed. Clock reads take no lock. Timers run on the main-loop thread: ordinary
 * ones with the machine lock, lockless ones (a hart's own timer) without.
 */
#ifndef ORRERY_IMPL_TIMERS_H
#define ORRERY_IMPL_TIMERS_H

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef enum ClockType {
    CLOCK_KIND_REALTIME,   /* host monotonic: runs always; for the user's side */
    CLOCK_KIND_VIRTUAL,    /* guest time: stops with the VM */
    CLOCK_KIND_HOST,       /* host wall clock: jumps when the host's does */
    CLOCK_KIND_VIRTUAL_RT, /* as VIRTUAL, but real time also under icount */
    CLOCK_KIND_COUNT,
} ClockType;

const char *clock_kind_name(ClockType clock);

typedef struct Timers Timers; /* one a machine */
typedef struct Timer Timer;

struct Timer {
    Timers *timers;
    ClockType clock;
    bool lockless;
    const char *name; /* for traces; outlives the timer */
    void (*fire)(void *opaque);
    void *opaque;

    /* Protected by the list's lock. */
    int64_t deadline_ns; /* -1 when not armed */
    uint32_t heap_index; /* place in its list */
};

/*
 * What an accelerator may replace: the source of guest time. NULL entries mean the default (host
 * time less the time spent stopped).
 */
typedef struct TimersHooks {
    int64_t (*virtual_clock)(void *opaque);
    void (*set_virtual_clock)(void *opaque, int64_t ns);
    int64_t (*elapsed_ticks)(void *opaque);
    void (*wake)(void *wake_opaque); /* a deadline moved closer: the main loop must look again */
    void *opaque;
    void *wake_opaque;
    bool stepped; /* VIRTUAL moves by clock_step_to alone; its timers never make the loop wake */
} TimersHooks;

Timers *timers_create(void);
void timers_destroy(Timers *timers);
void timers_set_hooks(Timers *timers, const TimersHooks *hooks); /* before vCPUs run */

/* Nanoseconds on a clock. Any thread, no lock (seqlock read). */
int64_t clock_get_ns(Timers *timers, ClockType clock);

/* What clocks show when no accelerator owns them; for the ops' defaults. Any thread, no lock. */
int64_t timers_default_virtual_ns(Timers *timers);
int64_t timers_default_ticks(Timers *timers);

/* Guest ticks (what a cycle counter shows): monotonic, stops with the VM, survives host suspend. */
int64_t guest_ticks_get(Timers *timers);

/* VIRTUAL, VIRTUAL_RT and ticks start and stop together. Machine lock held; idempotent. */
void clocks_start(Timers *timers);
void clocks_stop(Timers *timers);
bool clocks_running(Timers *timers);

/* Moves VIRTUAL to `ns` (never backwards) and runs what became due. For qtest. Machine lock held. */
bool clock_step_to(Timers *timers, int64_t ns);

/* The caller owns the struct (embedded in a device). init allocates nothing; finish disarms. */
void timer_init(Timer *timer, Timers *timers, ClockType clock, bool lockless, const char *name,
                void (*fire)(void *opaque), void *opaque);
void timer_finish(Timer *timer);

/* Arms for an absolute deadline, in place of an earlier one. Any thread. */
void timer_arm_ns(Timer *timer, int64_t deadline_ns);

/*
 * Disarms. Any thread. A lockless timer may still be running on the main loop when this returns;
 * timer_finish waits for it.
 */
void timer_disarm(Timer *timer);
bool timer_armed(const Timer *timer);

/* Nanoseconds until the earliest deadline over all clocks that run; -1 when there is none. */
int64_t timers_next_ns(Timers *timers);

/* Earliest armed deadline on one clock, absolute; -1 when none. */
int64_t clock_deadline_ns(Timers *timers, ClockType clock);

/* Runs what is due. Main loop only; the first without the machine lock, the second with it. */
bool timers_run_lockless(Timers *timers);
bool timers_run_locked(Timers *timers);

ORR_END_DECLS

#endif
