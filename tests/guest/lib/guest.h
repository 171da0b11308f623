/* SPDX-License-Identifier: MIT */
/*
 * What the bare-metal programs stand on: console, checks, harts, traps, and the registers of the
 * `virt` board. The one idea to hold: run_in() executes a piece of code in some privilege until it
 * traps or returns, and tells what ended it; nearly every check is made of that.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "csr.h"
#include "layout.h"

#define PAGE_BYTES 4096
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- The board. */
#define TEST_BASE 0x100000ul
#define CLINT_BASE 0x2000000ul
#define PLIC_BASE 0xc000000ul
#define UART_BASE 0x10000000ul
#define RAM_BASE 0x80000000ul
#define NOTHING_BASE 0x500000ul /* no device and no memory here */

#define UART_IRQ 10

static inline uint8_t read8(uint64_t addr)
{
    return *(volatile uint8_t *)addr;
}

static inline void write8(uint64_t addr, uint8_t value)
{
    *(volatile uint8_t *)addr = value;
}

static inline uint32_t read32(uint64_t addr)
{
    return *(volatile uint32_t *)addr;
}

static inline void write32(uint64_t addr, uint32_t value)
{
    *(volatile uint32_t *)addr = value;
}

static inline uint64_t read64(uint64_t addr)
{
    return *(volatile uint64_t *)addr;
}

static inline void write64(uint64_t addr, uint64_t value)
{
    *(volatile uint64_t *)addr = value;
}

#define CLINT_MSIP(hart) (CLINT_BASE + 4ul * (hart))
#define CLINT_MTIMECMP(hart) (CLINT_BASE + 0x4000 + 8ul * (hart))
#define CLINT_MTIME (CLINT_BASE + 0xbff8)

#define TIME_HZ 10000000ul
#define MICROSECONDS(n) ((n) * (TIME_HZ / 1000000))
#define MILLISECONDS(n) ((n) * (TIME_HZ / 1000))

/* A context is 2 * hart for M mode, one more for S mode. */
#define PLIC_PRIORITY(source) (PLIC_BASE + 4ul * (source))
#define PLIC_PENDING(word) (PLIC_BASE + 0x1000 + 4ul * (word))
#define PLIC_ENABLE(context, word) (PLIC_BASE + 0x2000 + 0x80ul * (context) + 4ul * (word))
#define PLIC_THRESHOLD(context) (PLIC_BASE + 0x200000 + 0x1000ul * (context))
#define PLIC_CLAIM(context) (PLIC_BASE + 0x200004 + 0x1000ul * (context))

/* Ends the run; the emulator's exit status is code. */
_Noreturn void power_off(unsigned code);

/* ---- Console. Hart 0 only. Knows %d %u %x %lx %ld %lu %s %c %%, and widths with 0. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * ---- Checks. Hart 0 only. A group ends where the next begins or at finish(), and is then one line
 * of output with the number of checks made in it, so that a check that was not reached shows.
 */
void group(const char *name);
bool check(bool ok, int line, const char *text);
bool check_eq(uint64_t got, uint64_t want, int line, const char *text);
_Noreturn void finish(void);

#define CHECK(condition) check((condition), __LINE__, #condition)
#define CHECK_EQ(got, want) check_eq((uint64_t)(got), (uint64_t)(want), __LINE__, #got)

/* ---- Harts. */
typedef struct TrapFrame {
    uint64_t x[32];
    uint64_t epc, cause, tval, status;
} TrapFrame;

typedef struct Hart Hart;

/* Looks at a trap first, in the mode that took it; true: it is dealt with, go on at frame->epc. */
typedef bool TrapHook(Hart *hart, TrapFrame *frame);

typedef void Job(void *argument);

struct Hart {
    TrapFrame m, s;
    uint64_t saved[14];
    uint64_t m_stack, s_stack;
    uint64_t slot; /* of the vector through which the last trap came, plus 1; 0: none */
    uint64_t spare;

    uint64_t id;
    bool running; /* between run_in's start and end */
    bool in_trap;
    TrapHook *m_hook, *s_hook;
    volatile uint64_t ticks; /* for hooks */
    Job *job;
    void *job_argument;
};

_Static_assert(offsetof(Hart, s) == HART_S && offsetof(Hart, saved) == HART_SAVED &&
                   offsetof(Hart, m_stack) == HART_M_STACK &&
                   offsetof(Hart, s_stack) == HART_S_STACK && offsetof(Hart, slot) == HART_SLOT &&
                   offsetof(Hart, spare) == HART_SPARE && sizeof(Hart) <= HART_BYTES,
               "layout.h differs from guest.h");

static inline Hart *this_hart(void)
{
    Hart *hart;

    __asm__("mv %0, tp" : "=r"(hart));
    return hart;
}

Hart *hart_get(unsigned id);
extern const void *guest_fdt; /* the device tree */
unsigned hart_count(void); /* by the device tree, at most MAX_HARTS */

/* Every program's own: hart 0 runs it, the others wait for jobs. */
void guest_main(void);

/* Starts a job on another hart, which must be idle; waits for it. */
void hart_run(unsigned id, Job *job, void *argument);
void hart_join(unsigned id);

/* The same job on all harts, this one included; back when all are done. */
void hart_run_all(Job *job, void *argument);

/* Waits until `count` harts are here. A barrier starts out as zeros and can be used again. */
typedef struct Barrier {
    uint32_t arrived, round;
} Barrier;

void barrier_wait(Barrier *barrier, unsigned count);

static inline void relax(void)
{
    __asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory"); /* pause */
}

/* ---- Running code until it traps. */
typedef struct TrapRecord {
    char level;     /* 'M' or 'S': who took the trap; 'R': the code returned */
    uint64_t cause; /* with the interrupt bit */
    uint64_t epc, tval;
    uint64_t status; /* mstatus or sstatus in the handler */
    uint64_t slot;   /* of a vector table, plus 1 */
    uint64_t a0;
} TrapRecord;

#define RUN_MIE (1u << 0) /* with mstatus.MIE set when the code starts */

/*
 * Executes code(a0, a1) in privilege priv (PRIV_*) on this hart until it returns or a trap comes
 * that no hook deals with. mstatus but for MPP and MPIE, and all other CSRs, are the caller's.
 * In U mode the code, its stack and its return address are those at run_alias() distance.
 */
TrapRecord run_in(unsigned priv, const void *code, uint64_t a0, uint64_t a1, unsigned flags);

/* Distance from where code is linked to where U mode sees it; 0 at first. */
void run_set_alias(uint64_t distance);

#define RUN_M(code, a0, a1) run_in(PRIV_M, (const void *)(code), (uint64_t)(a0), (uint64_t)(a1), 0)
#define RUN_S(code, a0, a1) run_in(PRIV_S, (const void *)(code), (uint64_t)(a0), (uint64_t)(a1), 0)
#define RUN_U(code, a0, a1) run_in(PRIV_U, (const void *)(code), (uint64_t)(a0), (uint64_t)(a1), 0)

/* Checks of a record, reported at the caller's line. */
bool check_trap(const TrapRecord *got, char level, uint64_t cause, uint64_t epc, uint64_t tval,
                int line);
bool check_returned(const TrapRecord *got, uint64_t a0, int line);

#define CHECK_TRAP(record, level, cause, epc, tval)                                                \
    check_trap(&(record), (level), (cause), (uint64_t)(epc), (uint64_t)(tval), __LINE__)
#define CHECK_RETURNED(record, a0) check_returned(&(record), (uint64_t)(a0), __LINE__)

/* A function of instructions only: nothing is saved, nothing is returned but by the text itself. */
#define CODE(name, text)                                                                           \
    extern const char name[];                                                                      \
    __asm__(".pushsection .text\n.balign 4\n.globl " #name "\n" #name ":\n" text                   \
            "\nret\n.popsection\n")

/* Trap entries of start.S, for mtvec and stvec. */
extern const char m_trap_entry[], s_trap_entry[], m_vectors[], s_vectors[];

/* ---- Odds and ends. */
uint64_t random64(uint64_t *state); /* xorshift; state is not 0 */
uint64_t mix64(uint64_t hash, uint64_t value);
void *memset(void *to, int value, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

static inline uint64_t now(void)
{
    return csr_read(time);
}

#endif
