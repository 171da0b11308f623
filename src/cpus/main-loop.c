/* SPDX-License-Identifier: MIT */
/*
 * The main loop: file descriptors and idle work by a GMainContext, timers to the nanosecond, and
 * the requests of run-state.c. The machine lock is dropped for exactly the time spent in poll.
 * Lockless timers run before it is taken again, so that a hart's timer waits for nobody.
 */
#include <errno.h>
#include <poll.h>

#include "src/cpus/internal.h"

G_STATIC_ASSERT(sizeof(GPollFD) == sizeof(struct pollfd));

GMainContext *main_loop_context(Cpus *cpus)
{
    return cpus->context;
}

void main_loop_wake(Cpus *cpus)
{
    /* Nobody asleep: the loop looks at everything again before it sleeps. */
    if (orr_load_seq_cst(&cpus->polling) && orr_exchange(&cpus->polling, 0u)) {
        g_main_context_wakeup(cpus->context);
    }
}

static bool requests_pending(Cpus *cpus)
{
    return orr_load_acquire(&cpus->reset_cause) || orr_load_acquire(&cpus->shutdown_cause) ||
           orr_load_acquire(&cpus->stop_request);
}

void main_loop_iterate(Cpus *cpus, bool may_block)
{
    GMainContext *context = cpus->context;
    GPollFD *fds;
    gint priority, timeout_ms, count;
    int64_t timeout_ns, timer_ns;
    struct timespec ts;

    g_assert(machine_locked(cpus));
    g_main_context_acquire(context);
    g_main_context_prepare(context, &priority);
    for (;;) {
        fds = (GPollFD *)(void *)cpus->poll_fds->data;
        count =
            g_main_context_query(context, priority, &timeout_ms, fds, (gint)cpus->poll_fds->len);
        if (count <= (gint)cpus->poll_fds->len) {
            break;
        }
        g_array_set_size(cpus->poll_fds, (guint)count);
    }
    /* From here on a waker signals; what it stored before is seen by the checks below. */
    orr_exchange(&cpus->polling, 1u);
    timeout_ns = timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000000;
    timer_ns = timers_next_ns(cpus->timers);
    if (timer_ns >= 0 && (timeout_ns < 0 || timer_ns < timeout_ns)) {
        timeout_ns = timer_ns;
    }
    if (!may_block || requests_pending(cpus)) {
        timeout_ns = 0;
    }
    machine_unlock(cpus);
    ts.tv_sec = timeout_ns / 1000000000;
    ts.tv_nsec = timeout_ns % 1000000000;
    if (ppoll((struct pollfd *)fds, (nfds_t)count, timeout_ns < 0 ? NULL : &ts, NULL) < 0) {
        for (gint i = 0; i < count; i++) {
            fds[i].revents = 0;
        }
    }
    orr_store_seq_cst(&cpus->polling, 0u);
    timers_run_lockless(cpus->timers);
    machine_lock_at(cpus, "main_loop");
    if (g_main_context_check(context, priority, fds, count)) {
        g_main_context_dispatch(context);
    }
    g_main_context_release(context);
    timers_run_locked(cpus->timers);
}

int main_loop_run(Cpus *cpus, bool no_reboot, bool no_shutdown)
{
    int exit_code = 0;

    while (!main_loop_handle_requests(cpus, no_reboot, no_shutdown, &exit_code)) {
        main_loop_iterate(cpus, true);
    }
    return exit_code;
}
