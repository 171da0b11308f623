/* SPDX-License-Identifier: MIT */
/*
 * What an operating system's services cost: calls, faults, signals, processes, and code that is
 * written and then run. Processes that talk to each other stay on one processor.
 */
#include "row.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static uint8_t *map(size_t bytes, int protection)
{
    uint8_t *at = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        row_fail("mmap refused");
    }
    return at;
}

static uint64_t run_getppid(uint64_t count)
{
    uint64_t parent = (uint64_t)getppid(), others = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        others += (uint64_t)syscall(SYS_getppid) != parent;
    }
    row_end();
    return others;
}

static uint64_t run_fault(uint64_t count)
{
    enum { PAGES = 4096 };
    uint64_t sum = 0;

    for (uint64_t done = 0; done < count; done += PAGES) {
        uint8_t *at = map((size_t)PAGES * PAGE, PROT_READ | PROT_WRITE);

        madvise(at, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
        row_begin();
        for (size_t i = 0; i < PAGES; i++) {
            sum += at[i * PAGE + i % PAGE]; /* pages come as zeros */
            at[i * PAGE] = 1;
        }
        row_end();
        munmap(at, (size_t)PAGES * PAGE);
    }
    return sum;
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    signals++;
}

static uint64_t run_signal(uint64_t count)
{
    struct sigaction action = { .sa_handler = count_signal };
    pid_t self = getpid();

    sigaction(SIGUSR1, &action, NULL);
    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        kill(self, SIGUSR1);
    }
    row_end();
    return (uint64_t)signals;
}

static uint64_t run_mmap(uint64_t count)
{
    enum { PAGES = 16 };
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *at = map(PAGES * PAGE, PROT_READ | PROT_WRITE);

        at[i % PAGES * PAGE] = (uint8_t)i;
        sum = sum * 31 + at[i % PAGES * PAGE];
        munmap(at, PAGES * PAGE);
    }
    row_end();
    return sum;
}

static uint64_t run_fork_exec(uint64_t count)
{
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
            execl(row_self, row_self, "--nothing", (char *)NULL);
            _exit(99);
        }
        if (child < 0 || waitpid(child, &status, 0) != child) {
            row_fail("fork or waitpid refused");
        }
        sum = mix64(sum, (uint64_t)WEXITSTATUS(status));
    }
    row_end();
    return sum;
}

static void stay_on_one_processor(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu() < 0 ? 0 : sched_getcpu(), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

/* A ring of processes through which a byte goes round `rounds` times; each touches `bytes` of its own. */
static uint64_t ring(unsigned processes, uint64_t rounds, size_t bytes)
{
    enum { MOST = 8 };
    int pipes[MOST][2];
    uint8_t *own = map(bytes + PAGE, PROT_READ | PROT_WRITE), byte = 1;
    uint64_t sum = 0;

    stay_on_one_processor();
    for (unsigned i = 0; i < processes; i++) {
        if (pipe(pipes[i]) != 0) {
            row_fail("pipe refused");
        }
    }
    for (unsigned i = 1; i < processes; i++) {
        if (fork() == 0) {
            /* Only the ends it uses, so that the ring ends when its parent does. */
            for (unsigned k = 0; k < processes; k++) {
                if (k != (i + 1) % processes) {
                    close(pipes[k][1]);
                }
                if (k != i) {
                    close(pipes[k][0]);
                }
            }
            while (read(pipes[i][0], &byte, 1) == 1) {
                for (size_t at = 0; at < bytes; at += 64) {
                    own[at] += byte;
                }
                byte++;
                if (write(pipes[(i + 1) % processes][1], &byte, 1) != 1) {
                    break;
                }
            }
            _exit(0);
        }
    }
    row_begin();
    for (uint64_t n = 0; n < rounds; n++) {
        if (write(pipes[1][1], &byte, 1) != 1 || read(pipes[0][0], &byte, 1) != 1) {
            row_fail("the ring broke");
        }
        for (size_t at = 0; at < bytes; at += 64) {
            own[at] += byte;
        }
        sum = sum * 31 + byte;
    }
    row_end();
    for (unsigned i = 0; i < processes; i++) {
        close(pipes[i][1]);
    }
    while (wait(NULL) > 0) {
    }
    return sum;
}

static uint64_t run_pipe(uint64_t count)
{
    return ring(2, count, 0);
}

/* One unit is a switch. */
static uint64_t run_switch(uint64_t count)
{
    return ring(8, count / 8, 32768);
}

/* ---- Code written and run: a function of 1000 additions, new each time, called ten times. */

#define WRITTEN 1000
#define CALLS 10

typedef uint64_t Function(uint64_t);

/* Writes `to = argument + all values`; returns where it ends. */
static uint8_t *write_code(uint8_t *to, uint64_t *seed)
{
    for (unsigned i = 0; i < WRITTEN; i++) {
        int32_t value = (int32_t)(random64(seed) & 2047);

#if defined(__riscv)
        uint32_t insn = (uint32_t)value << 20 | 0x00050513; /* addi a0, a0, value */

        memcpy(to, &insn, sizeof(insn));
        to += sizeof(insn);
#elif defined(__x86_64__)
        if (i == 0) {
            memcpy(to, "\x48\x89\xf8", 3); /* mov rax, rdi */
            to += 3;
        }
        memcpy(to, "\x48\x05", 2); /* add rax, value */
        memcpy(to + 2, &value, sizeof(value));
        to += 6;
#else
#error "no code is known for this processor"
#endif
    }
#if defined(__riscv)
    memcpy(to, "\x67\x80\x00\x00", 4); /* ret */
    return to + 4;
#else
    *to = 0xc3;
    return to + 1;
#endif
}

static uint64_t run_jit(uint64_t count)
{
    uint8_t *code = map(4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    Function *function = (Function *)(uintptr_t)code;
    uint64_t seed = 88172645463325252, sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *end = write_code(code, &seed);

        __builtin___clear_cache((char *)code, (char *)end);
        for (unsigned k = 0; k < CALLS; k++) {
            sum = function(sum);
        }
    }
    row_end();
    return sum;
}

const Row system_rows[] = {
    { "getppid", "ns", 400000, 0, run_getppid },
    { "fault", "ns", 16384, 0, run_fault },
    { "signal", "us", 4000, 0, run_signal },
    { "mmap", "us", 8000, 0, run_mmap },
    { "fork-exec", "us", 80, 0, run_fork_exec },
    { "pipe", "us", 8000, 0, run_pipe },
    { "switch", "us", 8000, 0, run_switch },
    { "jit", "us", 2000, 0, run_jit },
    { 0 },
};
