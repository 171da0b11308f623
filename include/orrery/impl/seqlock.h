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

/*
 * Both sides of a section that reads a hardware counter (a clock) besides memory: counters are not
 * memory, so neither the writer's store of an odd sequence nor the reader's check is ordered with
 * them by the rules above. Without these a reader could use a counter read after the writer's and
 * still find the sequence unchanged.
 *
 * The writer calls the first before its counter read, the reader the second after its own.
 */
static inline void orr_seqlock_write_before_counter(void)
{
    orr_fence_seq_cst();
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#endif
}

static inline void orr_seqlock_read_after_counter(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#else
    orr_fence_seq_cst();
#endif
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
