/* SPDX-License-Identifier: MIT */
/*
 * Code that changes under its reader (unprivileged spec chapter 5, Zifencei). After fence.i the new
 * instructions run; before it, each is either the old or the new one, and nothing else. By this hart,
 * by another one, through another address of the same page, and by copying over whole pages.
 */
#include "paging.h"

/* A function at `code`: li a0, n; ret. */
#define LI_A0(n) (0x00000513u | (uint32_t)(n) << 20)
#define RET 0x00008067u
#define NOP 0x00000013u
#define ADDI_A0_A0(n) (0x00050513u | (uint32_t)(n) << 20)

static uint32_t code[2048] __attribute__((aligned(PAGE_BYTES)));

typedef uint64_t Function(void);

static uint64_t call(const void *at)
{
    /* Through a register that the compiler knows nothing about. */
    Function *function = (Function *)at;

    __asm__ volatile("" : "+r"(function)::"memory");
    return function();
}

static inline void fence_i(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}

static void with_fence(void)
{
    uint32_t values[256];
    bool ok = true;

    group("with fence.i");
    code[1] = RET;
    for (unsigned i = 0; i < 2000; i++) {
        code[0] = LI_A0(i);
        fence_i();
        ok &= call(code) == i;
    }
    CHECK(ok);
    /* Many functions on one page, of which one changes at a time. */
    for (unsigned i = 0; i < 256; i++) {
        values[i] = i;
        code[4 * i] = LI_A0(i);
        code[4 * i + 1] = RET;
    }
    fence_i();
    for (unsigned i = 0; i < 256; i++) {
        ok &= call(&code[4 * i]) == i;
    }
    for (unsigned i = 0; i < 256; i++) {
        unsigned at = i * 37 % 256;

        values[at] += 1000;
        code[4 * at] = LI_A0(values[at]);
        fence_i();
        ok &= call(&code[4 * at]) == values[at];
        ok &= call(&code[4 * ((at + 1) % 256)]) == values[(at + 1) % 256];
    }
    CHECK(ok);
}

static void without_fence(void)
{
    bool either = true;

    group("without fence.i");
    code[1] = RET;
    code[0] = LI_A0(0);
    fence_i();
    for (unsigned i = 1; i < 2000; i++) {
        uint64_t got;

        code[0] = LI_A0(i);
        got = call(code);
        either &= got <= i;
        if (i % 16 == 0) {
            fence_i();
            either &= call(code) == i;
        }
    }
    CHECK(either);
    fence_i();
    CHECK_EQ(call(code), 1999);
}

/* A store to the very next instruction, and to a later one of the same straight run. */
static void next_instruction(void)
{
    /* sw a1, 8(a0); nop or fence.i; addi a2, x0, 1 (overwritten by addi a2, x0, 2); mv a0, a2; ret */
    static const uint32_t text[] = { 0x00b52423, NOP, 0x00100613, 0x00060513, RET };
    TrapRecord r;
    bool ok = true;

    group("the instruction ahead");
    for (unsigned fenced = 0; fenced < 2; fenced++) {
        for (unsigned i = 0; i < 50; i++) {
            memcpy(code, text, sizeof(text));
            code[1] = fenced ? 0x0000100f : NOP;
            fence_i();
            r = RUN_M(code, code, 0x00200613);
            ok &= r.level == 'R' && (r.a0 == 2 || (!fenced && r.a0 == 1));
        }
    }
    CHECK(ok);
}

/* A loop that patches its own body: the sum tells which body ran how often. */
static void loop(void)
{
    /*
     * a0: sum, a1: rounds, a2: code, a3: the other instruction
     * 0: addi a0, a0, 1   <- swapped with addi a0, a0, 100 each round
     * 4: lw a4, 0(a2); sw a3, 0(a2); mv a3, a4; fence.i; addi a1, a1, -1; bnez a1, 0; ret
     */
    static const uint32_t text[] = { ADDI_A0_A0(1), 0x00062703, 0x00d62023, 0x00070693,
                                     0x0000100f,    0xfff58593, 0xfe0594e3, RET };
    uint64_t sum;

    group("a loop that changes itself");
    memcpy(code, text, sizeof(text));
    fence_i();
    __asm__ volatile("li a0, 0\n"
                     "li a1, 1000\n"
                     "mv a2, %1\n"
                     "mv a3, %2\n"
                     "jalr %1\n"
                     "mv %0, a0"
                     : "=r"(sum)
                     : "r"(code), "r"((uint64_t)ADDI_A0_A0(100))
                     : "a0", "a1", "a2", "a3", "a4", "ra", "memory");
    CHECK_EQ(sum, 500 * 101);
}

/* Half of an instruction changes; and an instruction is entered in its middle. */
static void halves(void)
{
    uint16_t *half = (uint16_t *)code;

    group("halves of instructions");
    code[0] = LI_A0(0x123);
    code[1] = RET;
    fence_i();
    CHECK_EQ(call(code), 0x123);
    half[1] = (uint16_t)(LI_A0(0x456) >> 16);
    fence_i();
    CHECK_EQ(call(code), 0x456);
    /* 0x4529 is c.li a0, 10: the immediate of a lui that spans it. */
    half[0] = 0x0537 | 0x1000;
    half[1] = 0x4529;
    code[1] = RET;
    fence_i();
    CHECK_EQ(call(half), 0x45291000);
    CHECK_EQ(call(half + 1), 10);
}

/* The page is written through one address and run through another. */
static void aliases(void)
{
    static const uint64_t va = 0x1000000000;
    Space space;
    TrapRecord r;
    bool ok = true;

    group("through another address");
    paging_reset();
    space = space_create(MODE_SV39, 1);
    for (unsigned i = 0; i < 2; i++) {
        space_map(&space, va + i * PAGE_BYTES, (uint64_t)code, 0, PTE_ALL);
    }
    csr_write(satp, space_satp(&space));
    sfence_all();
    code[1] = RET;
    for (unsigned i = 0; i < 100; i++) {
        code[0] = LI_A0(i);
        fence_i();
        r = RUN_S(va, 0, 0);
        ok &= r.level == 'R' && r.a0 == i;
        r = RUN_S(va + PAGE_BYTES, 0, 0);
        ok &= r.level == 'R' && r.a0 == i;
    }
    CHECK(ok);
    csr_write(satp, 0);
    sfence_all();
}

static void copies(void)
{
    bool ok = true;

    group("whole pages");
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned k = 0; k < 1023; k++) {
            code[1024 + k] = ADDI_A0_A0(i & 7);
        }
        code[1024] = LI_A0(0);
        code[2047] = RET;
        memcpy(code, code + 1024, PAGE_BYTES);
        fence_i();
        ok &= call(code) == 1022ul * (i & 7);
    }
    CHECK(ok);
}

/* ---- Another hart runs what this one writes. */

static volatile uint32_t written, seen;
static volatile uint64_t got;

static void runner(void *argument)
{
    for (uint32_t i = 1; i <= 500; i++) {
        while (__atomic_load_n(&written, __ATOMIC_ACQUIRE) != i) {
            relax();
        }
        fence_i();
        got = call(code);
        __atomic_store_n(&seen, i, __ATOMIC_RELEASE);
    }
}

static volatile bool stop_spinning;
static uint64_t strange;

/* Runs the code all the time, without fences: each instruction is an old or a new one. */
static void spinner(void *argument)
{
    uint64_t bad = 0;

    while (!stop_spinning) {
        uint64_t value = call(code);

        bad += value != 11 && value != 22;
    }
    strange = bad;
}

static void other_hart(void)
{
    bool ok = true;

    group("by another hart");
    code[1] = RET;
    hart_run(1, runner, NULL);
    for (uint32_t i = 1; i <= 500; i++) {
        code[0] = LI_A0(i);
        __atomic_store_n(&written, i, __ATOMIC_RELEASE);
        while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) != i) {
            relax();
        }
        ok &= got == i;
    }
    hart_join(1);
    CHECK(ok);

    code[0] = LI_A0(11);
    fence_i();
    hart_run(1, spinner, NULL);
    for (uint32_t i = 0; i < 20000; i++) {
        *(volatile uint32_t *)&code[0] = LI_A0(i & 1 ? 11 : 22);
    }
    stop_spinning = true;
    hart_join(1);
    CHECK_EQ(strange, 0);
}

void guest_main(void)
{
    with_fence();
    without_fence();
    next_instruction();
    loop();
    halves();
    aliases();
    copies();
    if (hart_count() > 1) {
        other_hart();
    }
}
