/* SPDX-License-Identifier: MIT */
/*
 * The few things every header needs: symbol visibility, alignment to cache lines, and the
 * container-of idiom. Everything is hidden by default; what stands between ORR_BEGIN_DECLS and
 * ORR_END_DECLS is the interface that loadable modules link against.
 */
#ifndef ORRERY_IMPL_COMPILER_H
#define ORRERY_IMPL_COMPILER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ORR_BEGIN_DECLS                                                                            \
    _Pragma("GCC visibility push(default)") extern "C"                                             \
    {
#define ORR_END_DECLS                                                                              \
    }                                                                                              \
    _Pragma("GCC visibility pop")
#else
#define ORR_BEGIN_DECLS _Pragma("GCC visibility push(default)")
#define ORR_END_DECLS _Pragma("GCC visibility pop")
#endif

#define ORR_CACHE_LINE 64
#define ORR_ALIGNED(n) __attribute__((aligned(n)))
#define ORR_PRINTF(f, a) __attribute__((format(printf, f, a)))

#define ORR_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Plain names for the orderings this project uses; see docs/locking.md for where and why. */
#define orr_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define orr_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define orr_load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define orr_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define orr_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define orr_store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define orr_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define orr_fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define orr_fetch_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define orr_fetch_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define orr_fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
