/* SPDX-License-Identifier: MIT */
/*
 * The four clocks and the guest's tick counter. The idea to hold: a clock that can stop is a bias
 * and a flag; starting subtracts the host's reading from the bias, stopping adds it back, and a
 * reader takes both under a seqlock.
 */
#include "src/cpu-timers/internal.h"

#include <string.h>

#include "orrery/impl/host-clock.h"
#include "trace/trace-timers.h"

static const char *const clock_names[CLOCK_KIND_COUNT] = {
    [CLOCK_KIND_REALTIME] = "realtime",
    [CLOCK_KIND_VIRTUAL] = "virtual",
    [CLOCK_KIND_HOST] = "host",
    [CLOCK_KIND_VIRTUAL_RT] = "virtual_rt",
};

const char *clock_kind_name(ClockType clock)
{
    return (unsigned)clock < CLOCK_KIND_COUNT ? clock_names[clock] : "unknown";
}

static int64_t read_vtime(void *timers)
{
    return clock_get_ns(timers, CLOCK_KIND_VIRTUAL);
}

Timers *timers_create(void)
{
    Timers *timers = g_new0(Timers, 1);

    orr_mutex_init(&timers->writer, "timers.writer");
    for (int c = 0; c < CLOCK_KIND_COUNT; c++) {
        for (int lockless = 0; lockless < 2; lockless++) {
            TimerList *list = &timers->list[c][lockless];

            orr_mutex_init(&list->lock, "timers.list");
            orr_cond_init(&list->fired);
            list->earliest_ns = INT64_MAX;
        }
    }
    timers->vtime = (TraceContextSource){ .read = read_vtime, .opaque = timers };
    orr_trace_context_provide(TRACE_CONTEXT_VTIME, &timers->vtime);
    return timers;
}

void timers_destroy(Timers *timers)
{
    if (!timers) {
        return;
    }
    orr_trace_context_withdraw(TRACE_CONTEXT_VTIME, &timers->vtime);
    for (int c = 0; c < CLOCK_KIND_COUNT; c++) {
        for (int lockless = 0; lockless < 2; lockless++) {
            TimerList *list = &timers->list[c][lockless];

            g_free(list->heap);
            orr_cond_finish(&list->fired);
            orr_mutex_finish(&list->lock);
        }
    }
    orr_mutex_finish(&timers->writer);
    g_free(timers);
}

void timers_set_hooks(Timers *timers, const TimersHooks *hooks)
{
    timers->hooks = *hooks;
}

int64_t timers_default_virtual_ns(Timers *timers)
{
    uint32_t start;
    int64_t ns;

    do {
        start = orr_seqlock_read_begin(&timers->seqlock);
        ns = orr_load_acquire(&timers->virtual_bias_ns);
        if (orr_load_acquire(&timers->running)) {
            ns += host_monotonic_ns();
            orr_seqlock_read_after_counter();
        }
    } while (orr_seqlock_read_retry(&timers->seqlock, start));
    return ns;
}

int64_t clock_get_ns(Timers *timers, ClockType clock)
{
    switch (clock) {
    case CLOCK_KIND_REALTIME:
        return host_monotonic_ns();
    case CLOCK_KIND_HOST:
        return host_realtime_ns();
    case CLOCK_KIND_VIRTUAL:
        if (timers->hooks.virtual_clock) {
            return timers->hooks.virtual_clock(timers->hooks.opaque);
        }
        return timers_default_virtual_ns(timers);
    case CLOCK_KIND_VIRTUAL_RT:
    case CLOCK_KIND_COUNT:
        break;
    }
    return timers_default_virtual_ns(timers);
}

/* A counter that fell back (the TSC restarts with a suspended host) resumes where it was. */
static int64_t repair_ticks(Timers *timers, int64_t last)
{
    int64_t ticks;

    orr_mutex_lock(&timers->writer);
    ticks = timers->ticks_bias + (timers->running ? (int64_t)host_ticks() : 0);
    if (ticks < last) {
        orr_seqlock_write_begin(&timers->seqlock);
        orr_store_release(&timers->ticks_bias, timers->ticks_bias + (last - ticks));
        orr_seqlock_write_end(&timers->seqlock);
        ticks = last;
    }
    orr_mutex_unlock(&timers->writer);
    return ticks;
}

/* More than the skew between two cores' counters: the host has slept. */
#define TICKS_RESTART (INT64_C(1) << 32)

int64_t timers_default_ticks(Timers *timers)
{
    int64_t last = orr_load_acquire(&timers->ticks_last);
    uint32_t start;
    int64_t ticks;

    do {
        start = orr_seqlock_read_begin(&timers->seqlock);
        ticks = orr_load_acquire(&timers->ticks_bias);
        if (orr_load_acquire(&timers->running)) {
            ticks += (int64_t)host_ticks();
        }
    } while (orr_seqlock_read_retry(&timers->seqlock, start));
    if (G_UNLIKELY(ticks < last)) {
        return last - ticks > TICKS_RESTART ? repair_ticks(timers, last) : last;
    }
    while (ticks > last && !__atomic_compare_exchange_n(&timers->ticks_last, &last, ticks, true,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    return MAX(ticks, last);
}

int64_t guest_ticks_get(Timers *timers)
{
    if (timers->hooks.elapsed_ticks) {
        return timers->hooks.elapsed_ticks(timers->hooks.opaque);
    }
    return timers_default_ticks(timers);
}

static void set_running(Timers *timers, bool running)
{
    int64_t sign = running ? -1 : 1;

    orr_mutex_lock(&timers->writer);
    if (timers->running != running) {
        orr_seqlock_write_begin(&timers->seqlock);
        orr_seqlock_write_before_counter();
        orr_store_release(&timers->virtual_bias_ns,
                          timers->virtual_bias_ns + sign * host_monotonic_ns());
        orr_store_release(&timers->ticks_bias, timers->ticks_bias + sign * (int64_t)host_ticks());
        orr_store_release(&timers->running, running);
        orr_seqlock_write_end(&timers->seqlock);
    }
    orr_mutex_unlock(&timers->writer);
}

void clocks_start(Timers *timers)
{
    set_running(timers, true);
    trace_timers_clock_resume(timers->virtual_bias_ns);
    if (timers->hooks.wake) {
        timers->hooks.wake(timers->hooks.wake_opaque);
    }
}

void clocks_stop(Timers *timers)
{
    set_running(timers, false);
    trace_timers_clock_stop();
}

bool clocks_running(Timers *timers)
{
    return orr_load_acquire(&timers->running);
}
