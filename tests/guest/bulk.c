/* SPDX-License-Identifier: MIT */
/*
 * More code than the smallest code cache of a translator holds (tb-size=8M): while the last of it is
 * translated the first is dropped, and is made again when it is called again.
 */
#include "guest.h"

#define PAIRS 200000
#define SLOTS 256
#define ADDI_A0_A0_1 0x00150513u
#define SD_A0_A1(at) (0x00a5b023u | ((uint32_t)(at) >> 5) << 25 | ((uint32_t)(at)&31) << 7)
#define RET 0x00008067u

typedef uint64_t Function(uint64_t start, uint64_t *slots);

static uint32_t code[2 * PAIRS + 1] __attribute__((aligned(PAGE_BYTES)));
static uint64_t slots[SLOTS];

static uint64_t call(uint64_t start)
{
    /* Through a register that the compiler knows nothing about. */
    Function *function = (Function *)(void *)code;

    __asm__ volatile("" : "+r"(function)::"memory");
    return function(start, slots);
}

void guest_main(void)
{
    bool ok = true;

    for (unsigned i = 0; i < PAIRS; i++) {
        code[2 * i] = ADDI_A0_A0_1;
        code[2 * i + 1] = SD_A0_A1(8 * (i % SLOTS));
    }
    code[2 * PAIRS] = RET;
    __asm__ volatile("fence.i" ::: "memory");
    group("more code than fits");
    for (uint64_t start = 1; start < 4; start++) {
        CHECK_EQ(call(start), start + PAIRS);
        for (unsigned i = 0; i < SLOTS; i++) {
            ok &= slots[i] == start + 1 + (PAIRS - 1 - (PAIRS - 1 - i) % SLOTS);
        }
    }
    CHECK(ok);
}
