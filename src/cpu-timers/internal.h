/* SPDX-License-Identifier: MIT */
/*
 * Private to src/cpu-timers: the clocks' state and the timer lists.
 */
#ifndef ORRERY_CPU_TIMERS_INTERNAL_H
#define ORRERY_CPU_TIMERS_INTERNAL_H

#include "orrery/impl/lock.h"
#include "orrery/impl/seqlock.h"
#include "orrery/impl/timers.h"
#include "orrery/impl/trace.h"

/* A binary heap by deadline. `earliest_ns` mirrors heap[0] so that idle checks take no lock. */
typedef struct TimerList {
    OrrMutex lock;
    OrrCond fired;
    Timer **heap;
    uint32_t count, capacity;
    int64_t earliest_ns; /* atomic; INT64_MAX when empty */
    Timer *firing;       /* under lock */
    int32_t firing_thread;
    bool awaited; /* somebody waits on `fired` */
} TimerList;

/*
 * VIRTUAL and VIRTUAL_RT are bias + monotonic while running, bias while stopped; ticks likewise.
 * Writers hold the machine lock (and `writer`, for callers without one); readers use the seqlock.
 */
struct Timers {
    OrrSeqlock seqlock;
    OrrMutex writer;
    bool running;
    int64_t virtual_bias_ns;
    int64_t ticks_bias;
    int64_t ticks_last; /* atomic: the largest value handed out */
    TimersHooks hooks;
    TraceContextSource vtime;            /* VIRTUAL, for events that are to bear it */
    TimerList list[CLOCK_KIND_COUNT][2]; /* [][1]: lockless */
};

#endif
