/* SPDX-License-Identifier: MIT */
/*
 * Sequence lock: readers never wait for a lock and never write; they repeat when a writer was at
 * work. Writers are serialised by a lock of their own. Protected fields are stored with
 * orr_store_release and read with orr_load_acquire, so that no read sinks below the check and a
 * torn set of values is discarded, not undefined.
 */
#ifndef ORRERY_IMPL_SEQLOCK_H
#define ORRERY_IMPL_SEQLOCK_H

#include "orrery/impl/compiler.h"

typedef struct OrrSeqlock {
    uint32_t sequence;
} OrrSeqlock;

static inline void orr_seqlock_write_begin(OrrSeqlock *lock)
{
    /* The data's release stores keep this one above them; a reader that saw one sees this. */
    __atomic_store_n(&lock->sequence, lock->sequence + 1, __ATOMIC_RELAXED);
}

static inline void orr_seqlock_write_end(OrrSeqlock *lock)
{
    __atomic_store_n(&lock->sequence, lock->sequence + 1, __ATOMIC_RELEASE);
}

static inline uint32_t orr_seqlock_read_begin(const OrrSeqlock *lock)
{
    return __atomic_load_n(&lock->sequence, __ATOMIC_ACQUIRE) & ~1u;
}

static inline bool orr_seqlock_read_retry(const OrrSeqlock *lock, uint32_t start)
{
    return __atomic_load_n(&lock->sequence, __ATOMIC_RELAXED) != start;
}

#endif
