/* SPDX-License-Identifier: MIT */
/*
 * Private to src/accel: what the generated wrappers need for their exit events.
 */
#ifndef ORRERY_ACCEL_INTERNAL_H
#define ORRERY_ACCEL_INTERNAL_H

#include "orrery/impl/accel.h"
#include "orrery/impl/host-clock.h"

/* Nanoseconds for an exit event; never 0, which the wrappers use for "not asked for". */
static inline uint64_t accel_trace_clock(void)
{
    return (uint64_t)host_monotonic_ns() | 1;
}

static inline uint64_t accel_trace_elapsed_ns(uint64_t start)
{
    return (uint64_t)host_monotonic_ns() - start;
}

/* Drivers compiled into the binary (-Daccel_<name>=builtin), NULL-terminated. */
extern const AccelModule *const accel_builtin_modules[];

#endif
