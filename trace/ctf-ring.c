/* SPDX-License-Identifier: MIT */
/*
 * The emitting side of the recorder: one ring a thread, to which that thread alone appends. On the
 * usual path that is a time stamp, a copy of the arguments and one store that publishes them.
 *
 * The idea to hold: a ring is eight chunks, and a thread fills one that the writer has emptied
 * altogether. Within it no record can meet the ring's end or the writer, so a record's only check
 * is against the chunk's end; there the thread looks for the next chunk, and tells the writer that
 * one is full. Where the next is not empty yet, the event is dropped and counted.
 */
#include "trace/ctf-internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

CtfShared orr_trace_ctf;

static pthread_key_t ring_key;
static __thread CtfRing *this_ring;
static __thread volatile sig_atomic_t making_ring;

void orr_trace_ctf_wake(void)
{
    if (!orr_load_relaxed(&orr_trace_ctf.wake) && !orr_exchange(&orr_trace_ctf.wake, 1)) {
        int saved = errno;

        syscall(SYS_futex, &orr_trace_ctf.wake, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        errno = saved;
    }
}

/* ---- Rings come and go ---- */

static void put_name(CtfRing *ring);

static void thread_ends(void *opaque)
{
    CtfRing *ring = opaque;

    this_ring = NULL;
    orr_store_release(&ring->ended, true);
    orr_trace_ctf_wake();
}

/* A child has its parent's memory, but neither the writer nor the other threads. */
static void in_forked_child(void)
{
    orr_store_relaxed(&orr_trace_ctf.open, false);
    orr_store_relaxed(&orr_trace_ctf.wake, 0);
    if (this_ring) {
        this_ring->next = NULL;
        this_ring->stream = NULL;
        this_ring->tid = (pid_t)syscall(SYS_gettid);
    }
    orr_store_relaxed(&orr_trace_ctf.rings, this_ring);
}

/* Does the counter tick evenly, and alike on all CPUs? */
static bool ticks_are_steady(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
#else
    return true; /* host_ticks() is the clock itself */
#endif
}

void orr_trace_ctf_rings_init(void)
{
    pthread_key_create(&ring_key, thread_ends);
    pthread_atfork(NULL, NULL, in_forked_child);
    orr_trace_ctf.coarse_ticks = !ticks_are_steady();
}

/* By mmap, which asks no lock of the project's or the C library's. */
static CtfRing *ring_create(void)
{
    uint64_t size = orr_trace_ctf.ring_bytes;
    CtfRing *ring =
        mmap(NULL, sizeof(CtfRing), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *bytes;

    if (ring == MAP_FAILED) {
        return NULL;
    }
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        munmap(ring, sizeof(*ring));
        return NULL;
    }
    ring->bytes = bytes;
    ring->size = size;
    ring->limit = size / CTF_RING_CHUNKS;
    ring->tid = (pid_t)syscall(SYS_gettid);
    return ring;
}

static CtfRing *ring_of_this_thread(void)
{
    CtfRing *ring, *next;

    if (!orr_load_acquire(&orr_trace_ctf.open) || making_ring) {
        return NULL;
    }
    making_ring = 1;
    ring = ring_create();
    if (ring) {
        put_name(ring);
        pthread_setspecific(ring_key, ring);
        next = orr_load_relaxed(&orr_trace_ctf.rings);
        do {
            ring->next = next;
        } while (!__atomic_compare_exchange_n(&orr_trace_ctf.rings, &next, ring, true,
                                              __ATOMIC_RELEASE, __ATOMIC_RELAXED));
        this_ring = ring;
    }
    making_ring = 0;
    return ring;
}

void orr_trace_ctf_ring_free(CtfRing *ring)
{
    CtfRing *first = ring;

    /* New rings come in front of all others, so what follows one changes here alone. */
    if (!__atomic_compare_exchange_n(&orr_trace_ctf.rings, &first, ring->next, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        CtfRing *at = first;

        while (at->next != ring) {
            at = at->next;
        }
        at->next = ring->next;
    }
    munmap(ring->bytes, ring->size);
    munmap(ring, sizeof(*ring));
}

/* ---- Emitting ---- */

/*
 * Reading a context may pass an accelerator's traced ops. Such an event would not be without the
 * one that it comes amid, so it is no loss.
 */
enum { BUSY = 1, BUSY_WITH_CONTEXT = 2 };

static inline CtfRecord *record_at(const CtfRing *ring, uint64_t position)
{
    return (CtfRecord *)(ring->bytes + (position & (ring->size - 1)));
}

/* Where events are missing: the writer must not put the count anywhere else. */
static void mark_loss(CtfRing *ring)
{
    CtfRecord *record = record_at(ring, ring->head);

    ring->marked = ring->discarded;
    *record = (CtfRecord){ .event = CTF_RECORD_LOST,
                           .words = (sizeof(*record) + sizeof(ring->marked)) / 8 };
    memcpy(record + 1, &ring->marked, sizeof(ring->marked));
    orr_store_release(&ring->head, ring->head + record->words * UINT64_C(8));
}

/*
 * Goes on to the next chunk; false while the writer has not emptied it. Either way nothing more is put
 * into this one, so that events are missing at chunks' beginnings only.
 */
static __attribute__((noinline)) bool next_chunk(CtfRing *ring)
{
    uint64_t chunk = ring->size / CTF_RING_CHUNKS;
    bool free = ring->limit + chunk - orr_load_acquire(&ring->tail) <= ring->size;

    if (ring->head < ring->limit) {
        record_at(ring, ring->head)->event = CTF_RECORD_SKIP;
        orr_store_release(&ring->head, ring->limit);
    }
    if (free) {
        ring->limit += chunk;
        if (ring->discarded != ring->marked) {
            mark_loss(ring);
        }
    }
    orr_trace_ctf_wake();
    return free;
}

static char *put_long_string(char *to, const char *text)
{
    size_t n = strlen(text);

    if (G_UNLIKELY(n >= CTF_STRING_BYTES)) {
        memcpy(to, text, CTF_STRING_BYTES - sizeof("..."));
        memcpy(to + CTF_STRING_BYTES - sizeof("..."), "...", sizeof("..."));
        return to + CTF_STRING_BYTES;
    }
    memcpy(to, text, n + 1);
    return to + n + 1;
}

/* Reading behind a string's end is no error within its page, but checkers of memory think it is. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#define WORDS_OF_STRINGS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define WORDS_OF_STRINGS 0
#endif
#endif
#ifndef WORDS_OF_STRINGS
#define WORDS_OF_STRINGS 3
#endif

#define SMALLEST_PAGE 4096

/*
 * Most strings are a word or two. They are copied eight bytes at a time until those hold a NUL; what
 * comes behind it in the ring is overwritten by what follows, and there is room for it: a record may
 * take CTF_STRING_BYTES for each string.
 */
static inline char *put_string(char *to, const char *text)
{
    char *at = to;

    for (unsigned i = 0; i < WORDS_OF_STRINGS; i++) {
        const char *from = text + (at - to);
        uint64_t word, nul;

        if (G_UNLIKELY(((uintptr_t)from & (SMALLEST_PAGE - 1)) > SMALLEST_PAGE - sizeof(word))) {
            break;
        }
        memcpy(&word, from, sizeof(word));
        memcpy(at, &word, sizeof(word));
        nul = (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
        if (nul) {
            return at + (unsigned)__builtin_ctzll(nul) / 8 + 1;
        }
        at += sizeof(word);
    }
    return put_long_string(to, text);
}

/* The numbers of a record come widest first, so that only its last word may be a part of one. */
static inline char *put_numbers(char *to, const char *from, size_t n)
{
    for (; n >= 8; n -= 8, to += 8, from += 8) {
        memcpy(to, from, 8);
    }
    if (n & 4) {
        memcpy(to, from, 4);
        to += 4;
        from += 4;
    }
    if (n & 2) {
        memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if (n & 1) {
        *to++ = *from;
    }
    return to;
}

static char *put_contexts(CtfRing *ring, CtfRecord *record, char *to, uint16_t contexts)
{
    for (unsigned i = 0; i < TRACE_CONTEXT_N_SOURCES; i++) {
        if (contexts & 1u << i) {
            const TraceContextSource *source = orr_load_acquire(&orr_trace_ctf.sources[i]);
            int64_t value = -1;

            if (source) {
                ring->busy = BUSY_WITH_CONTEXT;
                __atomic_signal_fence(__ATOMIC_SEQ_CST);
                value = source->read(source->opaque);
                __atomic_signal_fence(__ATOMIC_SEQ_CST);
                ring->busy = BUSY;
            }

            memcpy(to, &value, sizeof(value));
            to += sizeof(value);
        }
    }
    if (contexts & TRACE_CONTEXT_CPU) {
        record->host_cpu = (uint16_t)sched_getcpu();
    }
    return to;
}

/* The last store of an emission; a reader that sees it sees the whole record. */
static inline void publish(CtfRing *ring, CtfRecord *record, const char *end)
{
    size_t bytes = (size_t)(end - (char *)record + 7) & ~(size_t)7;

    record->words = (uint16_t)(bytes / 8);
    orr_store_release(&ring->head, ring->head + bytes);
}

void orr_trace_ctf_emit(const TraceEvent *event, const void *args)
{
    CtfRing *ring = this_ring;
    size_t numbers = event->fixed_bytes, strings_at = (numbers + 7) & ~(size_t)7;
    size_t n_strings =
        event->args_bytes > strings_at ? (event->args_bytes - strings_at) / sizeof(char *) : 0;
    size_t most =
        sizeof(CtfRecord) + 8 * TRACE_CONTEXT_N_SOURCES + strings_at + n_strings * CTF_STRING_BYTES;
    CtfRecord *record;
    uint16_t contexts;
    char *at;

    if (G_UNLIKELY(!ring)) {
        ring = ring_of_this_thread();
        if (!ring) {
            if (orr_load_relaxed(&orr_trace_ctf.open)) {
                orr_fetch_add(&orr_trace_ctf.no_ring, 1);
            }
            return;
        }
    }
    if (G_UNLIKELY(ring->busy)) {
        if (ring->busy != BUSY_WITH_CONTEXT) {
            orr_fetch_add(&ring->nested, 1);
        }
        return;
    }
    ring->busy = BUSY;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (G_UNLIKELY(ring->head + most > ring->limit) && !next_chunk(ring)) {
        orr_store_relaxed(&ring->discarded, ring->discarded + 1);
    } else {
        record = record_at(ring, ring->head);
        at = (char *)(record + 1);
        contexts = orr_load_relaxed(&orr_trace_ctf.contexts);
        record->event = event->id;
        record->contexts = contexts;
        record->ticks = orr_trace_ctf_ticks();
        if (G_UNLIKELY(contexts)) {
            at = put_contexts(ring, record, at, contexts);
        }
        at = put_numbers(at, args, numbers);
        for (size_t i = 0; i < n_strings; i++) {
            const char *text;

            memcpy(&text, (const char *)args + strings_at + i * sizeof(text), sizeof(text));
            at = put_string(at, text);
        }
        publish(ring, record, at);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ring->busy = 0;
}

/* Where there is no room the name is learnt later, when the writer asks the kernel. */
static void put_name(CtfRing *ring)
{
    if (ring->busy) {
        return;
    }
    ring->busy = BUSY;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ring->head + sizeof(CtfRecord) + CTF_NAME_BYTES <= ring->limit || next_chunk(ring)) {
        CtfRecord *record = record_at(ring, ring->head);
        char *name = (char *)(record + 1);

        record->event = CTF_RECORD_NAME;
        record->contexts = 0;
        record->ticks = 0;
        memset(name, 0, CTF_NAME_BYTES);
        prctl(PR_GET_NAME, name);
        publish(ring, record, name + CTF_NAME_BYTES);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ring->busy = 0;
}

void orr_trace_ctf_thread_renamed(void)
{
    if (this_ring && orr_load_relaxed(&orr_trace_ctf.open)) {
        put_name(this_ring);
    }
}

/* ---- Contexts ---- */

void orr_trace_context_provide(TraceContext context, const TraceContextSource *source)
{
    orr_store_release(&orr_trace_ctf.sources[context], source);
}

void orr_trace_context_withdraw(TraceContext context, const TraceContextSource *source)
{
    const TraceContextSource *expected = source;

    if (source) {
        __atomic_compare_exchange_n(&orr_trace_ctf.sources[context], &expected, NULL, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
}
