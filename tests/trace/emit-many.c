/* SPDX-License-Identifier: MIT */
/*
 * Emits a known number of events from a number of threads, for tests that count what came of them.
 *
 * usage: emit-many THREADS EVENTS -trace-option...
 *
 * Each thread emits cpus:wake EVENTS times, with its own number as the vCPU, 0, 1, ... as the time
 * slept, and a pause now and then if the environment has EMIT_MANY_PAUSE_US. EVENTS 0 is without
 * end: "ready" is printed once each thread has emitted some. Else the last line on stdout says how
 * many were emitted and how many are known to be lost.
 */
#include "orrery/impl/trace.h"
#include "trace/internal.h"
#include "trace/trace-cpus.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_EVERY 100
#define SOME 10000

typedef struct Emitter {
    uint32_t number;
    uint64_t n_events;
    useconds_t pause_us;
    pthread_barrier_t *barrier;
} Emitter;

static void *emit(void *opaque)
{
    const Emitter *emitter = opaque;
    char name[16];

    snprintf(name, sizeof(name), "emitter %u", emitter->number);
    pthread_setname_np(pthread_self(), name);
    for (uint64_t i = 0; !emitter->n_events || i < emitter->n_events; i++) {
        trace_cpus_wake(emitter->number, i % 2 ? "kick" : "another cause", i);
        if (emitter->pause_us && i % PAUSE_EVERY == PAUSE_EVERY - 1) {
            usleep(emitter->pause_us);
        }
        if (!emitter->n_events && i == SOME) {
            pthread_barrier_wait(emitter->barrier);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned n_threads = argc > 3 ? (unsigned)atoi(argv[1]) : 0;
    g_autofree Emitter *emitters = g_new0(Emitter, n_threads);
    g_autofree pthread_t *threads = g_new0(pthread_t, n_threads);
    const char *pause = g_getenv("EMIT_MANY_PAUSE_US");
    g_autoptr(GError) error = NULL;
    pthread_barrier_t barrier;
    uint64_t n_events;

    if (!n_threads) {
        fprintf(stderr, "usage: emit-many THREADS EVENTS -trace-option...\n");
        return 2;
    }
    n_events = g_ascii_strtoull(argv[2], NULL, 10);
    for (int i = 3; i < argc; i++) {
        if (!orr_trace_option(argv[i], &error)) {
            fprintf(stderr, "%s\n", error->message);
            return 1;
        }
    }
    if (!orr_trace_start(&error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    pthread_barrier_init(&barrier, NULL, n_threads + 1);
    for (unsigned i = 0; i < n_threads; i++) {
        emitters[i] = (Emitter){ i, n_events, pause ? (useconds_t)atoi(pause) : 0, &barrier };
        if (pthread_create(&threads[i], NULL, emit, &emitters[i])) {
            return 1;
        }
    }
    if (!n_events) {
        pthread_barrier_wait(&barrier);
        orr_trace_ctf_sync();
        printf("ready\n");
        fflush(stdout);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
    orr_trace_stop();
    printf("emitted %" G_GUINT64_FORMAT " lost %" G_GUINT64_FORMAT "\n", n_threads * n_events,
           orr_trace_lost());
    return 0;
}
