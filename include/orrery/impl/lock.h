/* SPDX-License-Identifier: MIT */
/*
 * Mutexes that know their holder, and condition variables on the monotonic clock. "Held by me?" is
 * asked only by assertions and by code that serves callers with and without the lock.
 */
#ifndef ORRERY_IMPL_LOCK_H
#define ORRERY_IMPL_LOCK_H

#include <pthread.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef struct OrrMutex {
    pthread_mutex_t mutex;
    int32_t holder; /* kernel thread id, 0 when free; written only by the holder */
    const char *name;
} OrrMutex;

typedef struct OrrCond {
    pthread_cond_t cond;
} OrrCond;

void orr_mutex_init(OrrMutex *mutex, const char *name);
void orr_mutex_finish(OrrMutex *mutex);
void orr_mutex_lock(OrrMutex *mutex);
bool orr_mutex_trylock(OrrMutex *mutex);
void orr_mutex_unlock(OrrMutex *mutex);

/* True when the calling thread holds it. Any thread; no ordering. */
bool orr_mutex_held(const OrrMutex *mutex);

void orr_cond_init(OrrCond *cond);
void orr_cond_finish(OrrCond *cond);
void orr_cond_wait(OrrCond *cond, OrrMutex *mutex);

/* Waits until the monotonic clock reaches deadline_ns; false when it has. */
bool orr_cond_wait_until(OrrCond *cond, OrrMutex *mutex, int64_t deadline_ns);
void orr_cond_signal(OrrCond *cond);
void orr_cond_broadcast(OrrCond *cond);

/* Kernel id of the calling thread, cached. */
int32_t orr_thread_id(void);

/*
 * A one-word parking place: a thread announces that it will sleep, looks once more for a reason not
 * to, and sleeps; a waker never blocks. Wake-ups are remembered: unpark before park makes the next
 * park return at once.
 */
typedef struct OrrPark {
    int32_t word; /* 0 nothing, 1 token, -1 sleeping */
} OrrPark;

/* Sleeps until a token is there, consumes it. deadline_ns < 0 means none; false on time-out. */
bool orr_park(OrrPark *park, int64_t deadline_ns);

/* Leaves a token and wakes the sleeper. Any thread, never blocks. Returns whether it slept. */
bool orr_unpark(OrrPark *park);

ORR_END_DECLS

#endif
