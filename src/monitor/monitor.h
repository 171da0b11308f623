/* SPDX-License-Identifier: MIT */
/*
 * The human monitor: a line of text in, a command's output back. Any number of them on one machine,
 * each on a character back end of its own or on a mux.
 */
#ifndef ORRERY_MONITOR_MONITOR_H
#define ORRERY_MONITOR_MONITOR_H

#include "orrery/impl/chardev.h"
#include "orrery/impl/machine.h"

typedef struct Monitor Monitor;

/*
 * Attaches to chr, which outlives it. Main thread, machine lock held. NULL with a GError when chr
 * is taken.
 */
Monitor *monitor_create(Machine *machine, Chardev *chr, GError **error);
void monitor_destroy(Monitor *monitor); /* NULL is fine */

/* Executes one command line and appends what it prints to out. Main thread, machine lock held. */
void monitor_execute(Monitor *monitor, const char *line, GString *out);

#endif
