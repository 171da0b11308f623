/* SPDX-License-Identifier: MIT */
/*
 * The relation between host ticks and nanoseconds. The idea to hold: no calibration; whoever wants
 * nanoseconds keeps a mark from the beginning, takes one now, and the two give the rate over just
 * the span in question.
 */
#include "orrery/impl/host-clock.h"

/* The tighter two tick readings enclose the clock's, the closer the pair is to simultaneous. */
HostTickMark host_tick_mark(void)
{
    HostTickMark best = { 0 };
    uint64_t best_width = UINT64_MAX;

    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = host_ticks();
        int64_t ns = host_monotonic_ns();
        uint64_t width = host_ticks() - before;

        if (width < best_width) {
            best_width = width;
            best = (HostTickMark){ .ticks = before + width / 2, .ns = ns };
        }
    }
    return best;
}

int64_t host_ticks_to_ns(uint64_t ticks, const HostTickMark *from, const HostTickMark *to)
{
    uint64_t span_ticks = to->ticks - from->ticks;
    int64_t span_ns = to->ns - from->ns;

    if (span_ticks == 0 || span_ns <= 0) {
        return 0;
    }
    return (int64_t)((unsigned __int128)ticks * (uint64_t)span_ns / span_ticks);
}
