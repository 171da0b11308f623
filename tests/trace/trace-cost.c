/* SPDX-License-Identifier: MIT */
/*
 * What one trace point costs, in nanoseconds: switched off, logged, and given to whatever -trace
 * options the command line has besides. Prints a series a row, a round a column; whoever compares
 * two builds compares those. No figure is judged here.
 *
 * usage: trace-cost [-trace option for one more row]...
 */
#include "orrery/impl/trace.h"
#include "trace/trace-cpus.h"

#include <stdlib.h>
#include <time.h>

#define ROUNDS 9

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* The barrier makes each pass load the mask byte again, as code between two events would. */
static __attribute__((noinline)) void loop_empty(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        __asm__ volatile("" ::: "memory");
    }
}

static __attribute__((noinline)) void loop_events(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        __asm__ volatile("" ::: "memory");
        trace_cpus_vcpu_state(i & 7, "running", "halted", "wfi");
    }
}

static void measure(const char *name, uint64_t n, void (*loop)(uint64_t n))
{
    printf("%-28s", name);
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();

        loop(n);
        printf(" %8.3f", (now_ns() - begin) / n);
    }
    printf("\n");
    fflush(stdout);
}

static void measure_with(const char *name, const char *option, uint64_t n)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_option(option, &error) || !orr_trace_start(&error)) {
        fprintf(stderr, "trace-cost: %s\n", error->message);
        exit(1);
    }
    measure(name, n, loop_events);
    orr_trace_stop();
}

int main(int argc, char **argv)
{
    printf("# ns per pass; %d rounds\n", ROUNDS);
    measure("empty loop", 200 * 1000 * 1000, loop_empty);
    measure("switched off", 200 * 1000 * 1000, loop_events);
    if (orr_trace_subsystems[0]) {
        measure_with("log to a file", "cpus:vcpu_state,file=/dev/null", 500 * 1000);
    }
    for (int i = 1; i < argc; i++) {
        measure_with(argv[i], argv[i], 500 * 1000);
    }
    return 0;
}
