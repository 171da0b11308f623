/* SPDX-License-Identifier: MIT */
/*
 * Rows of machine mode about code: calls and returns, and code that is changed before every run.
 */
#include "peers.h"

#define CALL_ROUNDS 5000000
#define PATCH_ROUNDS 40000

static __attribute__((noinline, noclone)) uint64_t leaf(uint64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x + 1;
}

static __attribute__((noinline, noclone)) uint64_t middle(uint64_t x)
{
    return leaf(leaf(x) ^ 1) + 1;
}

/* A group is four calls, one of which comes from two places. */
static void row_calls(void)
{
    uint64_t start, sum = 0;

    row_start("call-return");
    start = now();
    for (uint64_t i = 0; i < CALL_ROUNDS; i++) {
        sum = leaf(middle(sum));
    }
    row_report("call-return", CALL_ROUNDS, now() - start, sum);
}

#define LI_A0(n) (0x00000513u | (uint32_t)(n) << 20)
#define RET 0x00008067u

static uint32_t code[1024] __attribute__((aligned(PAGE_BYTES)));

static void row_patch(void)
{
    uint64_t (*function)(void) = (uint64_t(*)(void))(uintptr_t)code;
    uint64_t start, stale = 0, sum = 0;

    row_start("patch");
    code[1] = RET;
    __asm__ volatile("" : "+r"(function));
    start = now();
    for (uint64_t i = 0; i < PATCH_ROUNDS; i++) {
        uint64_t got;

        code[0] = LI_A0(i & 2047);
        __asm__ volatile("fence.i" ::: "memory");
        got = function();
        stale += got != (i & 2047);
        sum += got;
    }
    start = now() - start;
    if (stale) {
        row_failed("patch", "old code ran after fence.i");
    } else {
        row_report("patch", PATCH_ROUNDS, start, sum);
    }
}

void guest_main(void)
{
    row_calls();
    row_patch();
    print("DONE\n");
    power_off(0);
}
