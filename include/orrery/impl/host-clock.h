/* SPDX-License-Identifier: MIT */
/*
 * The host's clocks. Ticks are the cheapest monotonic counter there is (the invariant TSC where the
 * CPU has one); they become nanoseconds only when somebody asks, so that accounting on hot paths
 * costs one instruction and no conversion.
 */
#ifndef ORRERY_IMPL_HOST_CLOCK_H
#define ORRERY_IMPL_HOST_CLOCK_H

#include <time.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

static inline int64_t host_monotonic_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Wall-clock time since the Unix epoch. */
static inline int64_t host_realtime_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline uint64_t host_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)host_monotonic_ns();
#endif
}

/* A pair of simultaneous readings; two of them give the rate. */
typedef struct HostTickMark {
    uint64_t ticks;
    int64_t ns;
} HostTickMark;

HostTickMark host_tick_mark(void);

/* Nanoseconds in `ticks`, at the rate seen between two marks. Exact at the second mark. */
int64_t host_ticks_to_ns(uint64_t ticks, const HostTickMark *from, const HostTickMark *to);

ORR_END_DECLS

#endif
