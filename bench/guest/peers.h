/* SPDX-License-Identifier: MIT */
/*
 * How the bare-metal rows of the comparison report: the same lines as bench/programs prints.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "guest.h"

static inline void row_start(const char *name)
{
    print("RUN %s\n", name);
}

/* Nanoseconds a unit; the checksum is the same for every machine that computes rightly. */
static inline void row_report(const char *name, uint64_t count, uint64_t ticks, uint64_t checksum)
{
    uint64_t ps = ticks * (1000000000000 / TIME_HZ) / count;

    print("ROW %s %lu.%03lu ns %016lx\n", name, ps / 1000, ps % 1000, checksum);
}

static inline void row_failed(const char *name, const char *why)
{
    print("FAIL %s %s\n", name, why);
}

#endif
