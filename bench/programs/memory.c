/* SPDX-License-Identifier: MIT */
/*
 * Memory rows: what an access costs, by how much memory the accesses are spread over. Chains are
 * followed in an order that no prefetcher foresees; pages are small (MADV_NOHUGEPAGE), so that the
 * translation of addresses is measured as well.
 */
#include "row.h"

#include <string.h>
#include <sys/mman.h>

static uint8_t *map(size_t bytes)
{
    uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) {
        row_fail("there is not enough memory");
    }
    madvise(at, bytes, MADV_NOHUGEPAGE);
    return at;
}

/* ---- Chains: each cache line holds the address of the next; all lines are one circle. */

#define LINE 64

static uint64_t chase(size_t bytes, uint64_t count)
{
    size_t lines = bytes / LINE;
    uint8_t *base = map(bytes);
    void **at;

    /* A full period of a linear congruence modulo a power of two (Hull and Dobell). */
    for (size_t i = 0; i < lines; i++) {
        size_t next = (i * 2891336453 + 1640531527) % lines;

        *(void **)(base + i * LINE) = base + next * LINE;
    }
    at = (void **)base;
    for (size_t i = 0; i < lines && i < 65536; i++) {
        at = *at;
    }
    at = (void **)base;
    row_begin();
    for (uint64_t i = 0; i < count; i += 8) {
        at = *at;
        at = *at;
        at = *at;
        at = *at;
        at = *at;
        at = *at;
        at = *at;
        at = *at;
        __asm__ volatile("" : "+r"(at));
    }
    row_end();
    return mix64(bytes, (uint64_t)((uint8_t *)at - base));
}

static uint64_t run_chase_16k(uint64_t count)
{
    return chase(16 << 10, count);
}

static uint64_t run_chase_1m(uint64_t count)
{
    return chase(1 << 20, count);
}

static uint64_t run_chase_16m(uint64_t count)
{
    return chase(16 << 20, count);
}

static uint64_t run_chase_256m(uint64_t count)
{
    return chase(256 << 20, count);
}

/* ---- Streams: a[i] = b[i] + 3 * c[i] over arrays larger than caches close to the processor. */

#define STREAM (1 << 19)

static uint64_t run_stream(uint64_t count)
{
    uint64_t *a = (uint64_t *)map(3 * STREAM * sizeof(*a)), *b = a + STREAM, *c = b + STREAM;

    for (size_t i = 0; i < STREAM; i++) {
        a[i] = 0;
        b[i] = i;
        c[i] = i ^ 0x5555;
    }
    row_begin();
    for (uint64_t n = 0; n < count; n++) {
        uint64_t *to = n & 1 ? b : a, *from = n & 1 ? a : b;

        for (size_t i = 0; i < STREAM; i++) {
            to[i] = from[i] + 3 * c[i];
        }
    }
    row_end();
    return mix64(a[STREAM / 3], b[STREAM - 1]);
}

/* ---- Loads at random places of 4 MiB, which do not wait for each other. */

#define RANDOM (4 << 20)

static uint64_t run_random(uint64_t count)
{
    uint64_t *base = (uint64_t *)map(RANDOM), at = 1, sum = 0;

    for (size_t i = 0; i < RANDOM / sizeof(*base); i++) {
        base[i] = i * 0x9e3779b97f4a7c15;
    }
    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        at = at * 6364136223846793005 + 1442695040888963407;
        sum += base[at >> 45];
    }
    row_end();
    return sum;
}

_Static_assert(RANDOM / 8 == 1 << 19, "indices have 19 bits");

/* ---- Copies between buffers whose addresses differ by a power of two, and by nothing special. */

#define COPIED 65536

static uint64_t copy(size_t apart, uint64_t count)
{
    uint64_t *from = (uint64_t *)map(apart + COPIED), *to = from + apart / sizeof(*to);
    uint64_t sum = 0;

    for (size_t i = 0; i < COPIED / sizeof(*to); i++) {
        from[i] = i * 0x9e3779b97f4a7c15;
        to[i] = 0;
    }
    row_begin();
    for (uint64_t n = 0; n < count; n++) {
        for (size_t i = 0; i < COPIED / sizeof(*to); i++) {
            to[i] = from[i];
            /* One word at a time, as the guest's code says. */
            __asm__ volatile("" ::: "memory");
        }
        from[n % 8192] ^= n;
    }
    row_end();
    for (size_t i = 0; i < COPIED / sizeof(*to); i++) {
        sum = mix64(sum, to[i]);
    }
    return sum;
}

static uint64_t run_copy_aliased(uint64_t count)
{
    return copy(32 << 20, count);
}

static uint64_t run_copy_unrelated(uint64_t count)
{
    return copy((23 << 20) + 37 * 4096, count);
}

/* ---- Atomic additions to one word. */

static uint64_t run_atomic(uint64_t count)
{
    static uint64_t words[2];

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        __atomic_fetch_add(&words[0], i, __ATOMIC_RELAXED);
    }
    row_end();
    return words[0];
}

const Row memory_rows[] = {
    { "chase-16k", "ns", 40000000, 0, run_chase_16k },
    { "chase-1m", "ns", 4000000, 0, run_chase_1m },
    { "chase-16m", "ns", 2000000, 0, run_chase_16m },
    { "chase-256m", "ns", 1000000, 0, run_chase_256m },
    { "stream", "MB/s", 60, 3.0 * STREAM * sizeof(uint64_t) * 1e-6, run_stream },
    { "random-4m", "ns", 6000000, 0, run_random },
    { "copy-32m-apart", "MB/s", 3200, COPIED * 1e-6, run_copy_aliased },
    { "copy-unrelated", "MB/s", 3200, COPIED * 1e-6, run_copy_unrelated },
    { "atomic-add", "M/s", 40000000, 1e-6, run_atomic },
    { 0 },
};
