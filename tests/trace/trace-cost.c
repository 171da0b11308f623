/* SPDX-License-Identifier: MIT */
/*
 * What one trace point costs, in nanoseconds of the emitting thread: switched off, logged,
 * recorded, and given to whatever -trace options the command line has besides. Prints a series a
 * row, a round a column; whoever compares two builds compares those. No figure is judged here.
 *
 * Events that are on come in bursts, as they do from a program that does other work besides, and a
 * round's figure is the median of its bursts: so it is neither that of a recorder which cannot keep
 * up with an emitter that does nothing else, nor that of another program which had the CPU. A last
 * row says what a sustained stream costs, and how much of it got lost for want of room.
 *
 * usage: trace-cost [-trace option for one more row]...
 */
#include "orrery/impl/trace.h"
#include "trace/internal.h"
#include "trace/trace-cpus.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9
#define BURSTS 101
#define BURST 2000

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
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

/* One number and no text: what is not for copying strings. */
static __attribute__((noinline)) void loop_small_events(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        __asm__ volatile("" ::: "memory");
        trace_cpus_halt(i & 7);
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

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure_bursts(const char *name, void (*loop)(uint64_t n))
{
    double bursts[BURSTS];

    printf("%-28s", name);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BURSTS; i++) {
            double begin = now_ns();

            loop(BURST);
            bursts[i] = (now_ns() - begin) / BURST;
            orr_trace_ctf_sync();
        }
        qsort(bursts, BURSTS, sizeof(bursts[0]), compare_doubles);
        printf(" %8.3f", bursts[BURSTS / 2]);
    }
    printf("\n");
    fflush(stdout);
}

static void start(const char *option)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_option(option, &error) || !orr_trace_start(&error)) {
        fprintf(stderr, "trace-cost: %s\n", error->message);
        exit(1);
    }
}

static void measure_with(const char *name, const char *option, void (*loop)(uint64_t n))
{
    start(option);
    measure_bursts(name, loop);
    orr_trace_stop();
}

static void remove_trace(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(path);
}

/* The recorder's directory is in memory if it can be: the disk is not what is measured. */
static void measure_recorder(void)
{
    const char *parent = g_access("/dev/shm", 7) == 0 ? "/dev/shm" : g_get_tmp_dir();
    g_autofree char *path = g_strdup_printf("%s/orrery-trace-cost-XXXXXX", parent);
    g_autofree char *option = NULL;
    uint64_t n = 2 * 1000 * 1000;

    if (!g_mkdtemp(path)) {
        fprintf(stderr, "trace-cost: no directory in %s\n", parent);
        exit(1);
    }
    option = g_strdup_printf("cpus:vcpu_state,cpus:halt,backend=ctf,dir=%s", path);
    measure_with("recorded, 1 number, 3 texts", option, loop_events);
    remove_trace(path);
    g_mkdir(path, 0700);
    measure_with("recorded, 1 number", option, loop_small_events);
    remove_trace(path);
    g_mkdir(path, 0700);
    start(option);
    measure("recorded, sustained", n, loop_events);
    orr_trace_ctf_sync();
    printf("# of the last row's %" G_GUINT64_FORMAT " events %" G_GUINT64_FORMAT " were lost\n",
           n * ROUNDS, orr_trace_lost());
    orr_trace_stop();
    remove_trace(path);
}

int main(int argc, char **argv)
{
    printf("# ns of CPU time per pass; %d rounds\n", ROUNDS);
    measure("empty loop", 200 * 1000 * 1000, loop_empty);
    measure("switched off", 200 * 1000 * 1000, loop_events);
    if (orr_trace_subsystems[0]) {
        measure_with("log to a file", "cpus:vcpu_state,file=/dev/null", loop_events);
        measure_recorder();
    }
    for (int i = 1; i < argc; i++) {
        measure_with(argv[i], argv[i], loop_events);
    }
    return 0;
}
