/* SPDX-License-Identifier: MIT */
/*
 * What an orrery-trace-ust-<subsystem>.so exports, under the name orr_trace_ust_provider. The
 * object is made from the same list as the binary; the stamp tells when it was not.
 */
#ifndef ORRERY_TRACE_UST_PROVIDER_H
#define ORRERY_TRACE_UST_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct TraceUstProvider {
    uint32_t struct_size;
    uint32_t n_events;
    uint64_t stamp; /* TraceSubsystem.stamp */
    const char *subsystem;
    /* n_events of them; false: no session of LTTng's has the event on, it went nowhere. */
    bool (*const *emit)(const void *record);
    const char *socket; /* the name of a session daemon's socket, with LTTng-UST's version in it */
} TraceUstProvider;

#endif
