/* SPDX-License-Identifier: MIT */
/*
 * Mutexes with a holder, condition variables on the monotonic clock, and the parking place. The idea
 * to hold: `holder` is only ever compared with the reader's own thread id, so a relaxed load is
 * enough; no other thread can make that comparison true or false.
 */
#include "orrery/impl/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PARK_EMPTY = 0,
    PARK_TOKEN = 1,
    PARK_SLEEPING = -1,
};

/* pthread calls fail only when this program is wrong: memory it does not own, a lock it lacks. */
static void check(int err, const char *what, const char *name)
{
    if (G_UNLIKELY(err)) {
        g_error("%s of '%s': %s", what, name ? name : "condition", g_strerror(err));
    }
}

int32_t orr_thread_id(void)
{
    static _Thread_local int32_t id;

    if (G_UNLIKELY(id == 0)) {
        id = (int32_t)syscall(SYS_gettid);
    }
    return id;
}

void orr_mutex_init(OrrMutex *mutex, const char *name)
{
    check(pthread_mutex_init(&mutex->mutex, NULL), "pthread_mutex_init", name);
    mutex->holder = 0;
    mutex->name = name;
}

void orr_mutex_finish(OrrMutex *mutex)
{
    check(pthread_mutex_destroy(&mutex->mutex), "pthread_mutex_destroy", mutex->name);
}

void orr_mutex_lock(OrrMutex *mutex)
{
    g_assert(!orr_mutex_held(mutex));
    check(pthread_mutex_lock(&mutex->mutex), "pthread_mutex_lock", mutex->name);
    orr_store_relaxed(&mutex->holder, orr_thread_id());
}

bool orr_mutex_trylock(OrrMutex *mutex)
{
    int err = pthread_mutex_trylock(&mutex->mutex);

    if (err == EBUSY) {
        return false;
    }
    check(err, "pthread_mutex_trylock", mutex->name);
    orr_store_relaxed(&mutex->holder, orr_thread_id());
    return true;
}

void orr_mutex_unlock(OrrMutex *mutex)
{
    g_assert(orr_mutex_held(mutex));
    orr_store_relaxed(&mutex->holder, 0);
    check(pthread_mutex_unlock(&mutex->mutex), "pthread_mutex_unlock", mutex->name);
}

bool orr_mutex_held(const OrrMutex *mutex)
{
    return orr_load_relaxed(&mutex->holder) == orr_thread_id();
}

void orr_cond_init(OrrCond *cond)
{
    pthread_condattr_t attr;

    check(pthread_condattr_init(&attr), "pthread_condattr_init", NULL);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "pthread_condattr_setclock", NULL);
    check(pthread_cond_init(&cond->cond, &attr), "pthread_cond_init", NULL);
    pthread_condattr_destroy(&attr);
}

void orr_cond_finish(OrrCond *cond)
{
    check(pthread_cond_destroy(&cond->cond), "pthread_cond_destroy", NULL);
}

void orr_cond_wait(OrrCond *cond, OrrMutex *mutex)
{
    g_assert(orr_mutex_held(mutex));
    orr_store_relaxed(&mutex->holder, 0);
    check(pthread_cond_wait(&cond->cond, &mutex->mutex), "pthread_cond_wait", mutex->name);
    orr_store_relaxed(&mutex->holder, orr_thread_id());
}

static struct timespec to_timespec(int64_t ns)
{
    ns = MAX(ns, 0);
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

bool orr_cond_wait_until(OrrCond *cond, OrrMutex *mutex, int64_t deadline_ns)
{
    struct timespec ts = to_timespec(deadline_ns);
    int err;

    g_assert(orr_mutex_held(mutex));
    orr_store_relaxed(&mutex->holder, 0);
    err = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &ts);
    orr_store_relaxed(&mutex->holder, orr_thread_id());
    if (err == ETIMEDOUT) {
        return false;
    }
    check(err, "pthread_cond_timedwait", mutex->name);
    return true;
}

void orr_cond_signal(OrrCond *cond)
{
    check(pthread_cond_signal(&cond->cond), "pthread_cond_signal", NULL);
}

void orr_cond_broadcast(OrrCond *cond)
{
    check(pthread_cond_broadcast(&cond->cond), "pthread_cond_broadcast", NULL);
}

static bool park_cas(OrrPark *park, int32_t expected, int32_t desired)
{
    return __atomic_compare_exchange_n(&park->word, &expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/*
 * An absolute deadline on CLOCK_MONOTONIC needs FUTEX_WAIT_BITSET; interrupted and spurious returns
 * go round the loop, which looks at the word again.
 */
bool orr_park(OrrPark *park, int64_t deadline_ns)
{
    struct timespec ts = to_timespec(deadline_ns);

    for (;;) {
        if (park_cas(park, PARK_TOKEN, PARK_EMPTY)) {
            return true;
        }
        park_cas(park, PARK_EMPTY, PARK_SLEEPING);
        if (syscall(SYS_futex, &park->word, FUTEX_WAIT_BITSET_PRIVATE, PARK_SLEEPING,
                    deadline_ns < 0 ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY) < 0 &&
            errno == ETIMEDOUT) {
            return orr_exchange(&park->word, PARK_EMPTY) == PARK_TOKEN;
        }
    }
}

bool orr_unpark(OrrPark *park)
{
    int32_t before = orr_exchange(&park->word, PARK_TOKEN);

    if (before == PARK_SLEEPING) {
        syscall(SYS_futex, &park->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return before == PARK_SLEEPING;
}
