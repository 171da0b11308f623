/* SPDX-License-Identifier: MIT */
/*
 * Reads what the recorder wrote, by the descriptors instead of the metadata, and checks on the way
 * all that a packet promises. For tests: what is wrong fails the test.
 */
#ifndef ORRERY_TESTS_UNIT_CTF_READER_H
#define ORRERY_TESTS_UNIT_CTF_READER_H

#include "orrery/impl/trace.h"

typedef struct CtfValue {
    uint64_t number;  /* sign-extended */
    const char *text; /* of a string */
} CtfValue;

typedef struct CtfSeen {
    const TraceEvent *event;
    uint64_t ns;
    uint64_t stream;
    uint32_t tid;
    const char *thread;  /* the packet's procname */
    int64_t contexts[3]; /* in the order of `contexts`' bits */
    CtfValue values[16]; /* in the order of the event's fields */
} CtfSeen;

typedef struct CtfSums {
    unsigned n_streams;
    uint64_t n_packets, n_events;
    uint64_t n_discarded; /* as a reader can tell: between packets */
    uint64_t n_extended;  /* events with a time of 64 bits */
} CtfSums;

/*
 * Reads a trace's directory. contexts: the bits of TraceCtfOptions. seen may be NULL. The sums are
 * of all streams.
 */
CtfSums ctf_read_dir(const char *path, unsigned contexts,
                     void (*seen)(const CtfSeen *event, void *opaque), void *opaque);

/* The same of one stream's bytes. */
void ctf_read_stream(const char *bytes, size_t n_bytes, unsigned contexts,
                     void (*seen)(const CtfSeen *event, void *opaque), void *opaque, CtfSums *sums);

#endif
