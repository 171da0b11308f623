/* SPDX-License-Identifier: MIT */
/*
 * The sections of `orrery-trace sched` that are in sched-kicks.c. One thread.
 */
#ifndef ORRERY_TRACE_ANALYSIS_SCHED_KICKS_H
#define ORRERY_TRACE_ANALYSIS_SCHED_KICKS_H

#include "trace/analysis/report.h"

/* Does the kick count as one of a wake-up (1), of leaving guest code (2), or of neither (0)? Those
 * that an earlier kick took along do not count, nor those without an end. */
int sched_kick_kind(const TraceKick *kick);

void sched_latencies(const Report *report);
void sched_kicks(const Report *report);
void sched_locks(const Report *report);
void sched_work(const Report *report);
void sched_interrupts(const Report *report);

#endif
