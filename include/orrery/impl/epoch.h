/* SPDX-License-Identifier: MIT */
/*
 * Epoch reclamation for structures that are read often and replaced rarely. A reader marks itself in
 * one of two generations; a writer publishes the new version, then waits until both generations
 * have been empty once, and only then frees the old one. Readers never wait.
 */
#ifndef ORRERY_IMPL_EPOCH_H
#define ORRERY_IMPL_EPOCH_H

#include "orrery/impl/compiler.h"
#include "orrery/impl/lock.h"

ORR_BEGIN_DECLS

#define ORR_EPOCH_STRIPES 16

typedef struct OrrEpoch {
    uint32_t current;
    OrrMutex writer;
    struct {
        uint32_t readers[2];
    } ORR_ALIGNED(ORR_CACHE_LINE) stripe[ORR_EPOCH_STRIPES];
} OrrEpoch;

void orr_epoch_init(OrrEpoch *epoch);
void orr_epoch_finish(OrrEpoch *epoch);

/*
 * Begins a read section; what it returns goes to orr_epoch_exit. Any thread; sections may nest and
 * may not sleep for long. stripe is any number that tends to differ between threads.
 */
static inline uint32_t orr_epoch_enter(OrrEpoch *epoch, uint32_t stripe)
{
    uint32_t token = ((stripe % ORR_EPOCH_STRIPES) << 1) | (orr_load_seq_cst(&epoch->current) & 1);

    orr_fetch_add(&epoch->stripe[token >> 1].readers[token & 1], 1u);
    return token;
}

static inline void orr_epoch_exit(OrrEpoch *epoch, uint32_t token)
{
    __atomic_fetch_sub(&epoch->stripe[token >> 1].readers[token & 1], 1u, __ATOMIC_RELEASE);
}

/*
 * Returns when every read section that could see what was unpublished before the call has ended.
 * Never from inside a read section. Waits by yielding.
 */
void orr_epoch_synchronize(OrrEpoch *epoch);

ORR_END_DECLS

#endif
