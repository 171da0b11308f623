/* SPDX-License-Identifier: MIT */
/*
 * Timer lists. Each clock has two: timers that want the machine lock and timers that do not. A list
 * is a heap under a short lock that is never held while a timer fires; whoever makes the earliest
 * deadline earlier wakes the main loop.
 */
#include "src/cpu-timers/internal.h"

#include "orrery/impl/host-clock.h"
#include "trace/trace-timers.h"

static TimerList *list_of(const Timer *timer)
{
    return &timer->timers->list[timer->clock][timer->lockless];
}

static void place(TimerList *list, uint32_t index, Timer *timer)
{
    list->heap[index] = timer;
    timer->heap_index = index;
}

static void sift_up(TimerList *list, uint32_t index, Timer *timer)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;

        if (list->heap[parent]->deadline_ns <= timer->deadline_ns) {
            break;
        }
        place(list, index, list->heap[parent]);
        index = parent;
    }
    place(list, index, timer);
}

static void sift_down(TimerList *list, uint32_t index, Timer *timer)
{
    for (;;) {
        uint32_t child = 2 * index + 1;

        if (child >= list->count) {
            break;
        }
        if (child + 1 < list->count &&
            list->heap[child + 1]->deadline_ns < list->heap[child]->deadline_ns) {
            child++;
        }
        if (timer->deadline_ns <= list->heap[child]->deadline_ns) {
            break;
        }
        place(list, index, list->heap[child]);
        index = child;
    }
    place(list, index, timer);
}

static void publish_earliest_locked(TimerList *list)
{
    orr_store_seq_cst(&list->earliest_ns, list->count ? list->heap[0]->deadline_ns : INT64_MAX);
}

static void remove_locked(TimerList *list, Timer *timer)
{
    uint32_t index = timer->heap_index;
    Timer *last;

    if (timer->deadline_ns < 0) {
        return;
    }
    timer->deadline_ns = -1;
    last = list->heap[--list->count];
    if (last != timer) {
        if (index > 0 && list->heap[(index - 1) / 2]->deadline_ns > last->deadline_ns) {
            sift_up(list, index, last);
        } else {
            sift_down(list, index, last);
        }
    }
}

void timer_init(Timer *timer, Timers *timers, ClockType clock, bool lockless, const char *name,
                void (*fire)(void *opaque), void *opaque)
{
    *timer = (Timer){
        .timers = timers,
        .clock = clock,
        .lockless = lockless,
        .name = name,
        .fire = fire,
        .opaque = opaque,
        .deadline_ns = -1,
    };
}

void timer_finish(Timer *timer)
{
    TimerList *list;

    if (!timer->timers) {
        return;
    }
    list = list_of(timer);
    orr_mutex_lock(&list->lock);
    remove_locked(list, timer);
    publish_earliest_locked(list);
    while (list->firing == timer && list->firing_thread != orr_thread_id()) {
        list->awaited = true;
        orr_cond_wait(&list->fired, &list->lock);
    }
    orr_mutex_unlock(&list->lock);
    timer->timers = NULL;
}

void timer_arm_ns(Timer *timer, int64_t deadline_ns)
{
    Timers *timers = timer->timers;
    TimerList *list = list_of(timer);
    int64_t before;
    bool earlier;

    deadline_ns = MAX(deadline_ns, 0);
    trace_timers_timer_mod(timer, timer->name, timer->clock, deadline_ns);
    orr_mutex_lock(&list->lock);
    before = list->count ? list->heap[0]->deadline_ns : INT64_MAX;
    remove_locked(list, timer);
    if (list->count == list->capacity) {
        list->capacity = MAX(16, list->capacity * 2);
        list->heap = g_renew(Timer *, list->heap, list->capacity);
    }
    timer->deadline_ns = deadline_ns;
    sift_up(list, list->count++, timer);
    publish_earliest_locked(list);
    earlier = list->heap[0]->deadline_ns < before;
    orr_mutex_unlock(&list->lock);
    if (earlier && timers->hooks.wake) {
        timers->hooks.wake(timers->hooks.wake_opaque);
    }
}

void timer_disarm(Timer *timer)
{
    TimerList *list;

    if (!timer->timers) {
        return;
    }
    list = list_of(timer);
    orr_mutex_lock(&list->lock);
    if (timer->deadline_ns >= 0) {
        trace_timers_timer_del(timer, timer->name);
        remove_locked(list, timer);
        publish_earliest_locked(list);
    }
    orr_mutex_unlock(&list->lock);
}

bool timer_armed(const Timer *timer)
{
    TimerList *list;
    bool armed;

    if (!timer->timers) {
        return false;
    }
    list = list_of(timer);
    orr_mutex_lock(&list->lock);
    armed = timer->deadline_ns >= 0;
    orr_mutex_unlock(&list->lock);
    return armed;
}

static bool clock_moves(Timers *timers, ClockType clock)
{
    switch (clock) {
    case CLOCK_KIND_VIRTUAL:
        return !timers->hooks.stepped && clocks_running(timers);
    case CLOCK_KIND_VIRTUAL_RT:
        return clocks_running(timers);
    default:
        return true;
    }
}

int64_t clock_deadline_ns(Timers *timers, ClockType clock)
{
    int64_t locked = orr_load_seq_cst(&timers->list[clock][0].earliest_ns);
    int64_t lockless = orr_load_seq_cst(&timers->list[clock][1].earliest_ns);
    int64_t earliest = MIN(locked, lockless);

    return earliest == INT64_MAX ? -1 : earliest;
}

int64_t timers_next_ns(Timers *timers)
{
    int64_t next = -1;

    for (int c = 0; c < CLOCK_KIND_COUNT; c++) {
        int64_t deadline;

        if (!clock_moves(timers, (ClockType)c)) {
            continue;
        }
        deadline = clock_deadline_ns(timers, (ClockType)c);
        if (deadline >= 0) {
            /* The clock is read once: MAX evaluates its arguments twice. */
            int64_t delta = deadline - clock_get_ns(timers, (ClockType)c);

            delta = MAX(delta, 0);
            next = next < 0 ? delta : MIN(next, delta);
        }
    }
    return next;
}

/*
 * Runs what is due at the time of the call; timers armed meanwhile wait for the next round, so a
 * timer that re-arms itself in the past cannot hold the loop.
 */
static bool run_list(Timers *timers, ClockType clock, bool lockless)
{
    TimerList *list = &timers->list[clock][lockless];
    int64_t now;
    bool ran = false;

    if (orr_load_seq_cst(&list->earliest_ns) == INT64_MAX) {
        return false;
    }
    now = clock_get_ns(timers, clock);
    orr_mutex_lock(&list->lock);
    for (uint32_t budget = list->count; budget > 0 && list->count > 0; budget--) {
        Timer *timer = list->heap[0];
        int64_t deadline = timer->deadline_ns;

        if (deadline > now) {
            break;
        }
        remove_locked(list, timer);
        publish_earliest_locked(list);
        list->firing = timer;
        list->firing_thread = orr_thread_id();
        orr_mutex_unlock(&list->lock);
        if (trace_timers_timer_fire_enabled()) {
            /* Those before it may have taken their time. */
            trace_timers_timer_fire(timer, timer->name, clock,
                                    clock_get_ns(timers, clock) - deadline);
        }
        timer->fire(timer->opaque);
        ran = true;
        orr_mutex_lock(&list->lock);
        list->firing = NULL;
        if (list->awaited) {
            list->awaited = false;
            orr_cond_broadcast(&list->fired);
        }
    }
    orr_mutex_unlock(&list->lock);
    return ran;
}

static bool run_lists(Timers *timers, bool lockless)
{
    bool ran = false;

    for (int c = 0; c < CLOCK_KIND_COUNT; c++) {
        if (clock_moves(timers, (ClockType)c)) {
            ran |= run_list(timers, (ClockType)c, lockless);
        }
    }
    return ran;
}

bool timers_run_lockless(Timers *timers)
{
    return run_lists(timers, true);
}

bool timers_run_locked(Timers *timers)
{
    return run_lists(timers, false);
}

bool clock_step_to(Timers *timers, int64_t ns)
{
    int64_t now = clock_get_ns(timers, CLOCK_KIND_VIRTUAL);

    if (!timers->hooks.set_virtual_clock) {
        return false;
    }
    while (now < ns) {
        int64_t deadline = clock_deadline_ns(timers, CLOCK_KIND_VIRTUAL);

        now = deadline >= 0 ? CLAMP(deadline, now, ns) : ns;
        timers->hooks.set_virtual_clock(timers->hooks.opaque, now);
        run_list(timers, CLOCK_KIND_VIRTUAL, true);
        run_list(timers, CLOCK_KIND_VIRTUAL, false);
        if (deadline >= 0 && clock_deadline_ns(timers, CLOCK_KIND_VIRTUAL) == deadline &&
            deadline <= now) {
            /* A timer that re-arms itself for the same instant must not hold time still. */
            if (now < ns) {
                now++;
                timers->hooks.set_virtual_clock(timers->hooks.opaque, now);
            }
        }
    }
    return true;
}
