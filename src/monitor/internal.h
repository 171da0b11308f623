/* SPDX-License-Identifier: MIT */
/*
 * What the monitor's files share: its state, and the shape of a command.
 */
#ifndef ORRERY_MONITOR_INTERNAL_H
#define ORRERY_MONITOR_INTERNAL_H

#include "monitor/monitor.h"

struct Monitor {
    Machine *machine;
    Chardev *chr;
    unsigned cpu; /* index of the vCPU that registers and x are about */

    /* The line being typed. */
    GString *line;
    bool after_cr;   /* a newline that follows belongs to it */
    unsigned escape; /* bytes of a cursor key's sequence so far */
    bool greeted;
    bool quit; /* no prompt any more */
};

typedef struct MonitorCommand {
    const char *name;
    const char *alias;     /* NULL is fine */
    const char *arguments; /* for help */
    const char *help;

    /* rest is what follows the name, without blanks around it; never NULL. */
    void (*run)(Monitor *monitor, const char *rest, GString *out);
} MonitorCommand;

/* Tables end with a NULL name. */
extern const MonitorCommand monitor_commands[];
extern const MonitorCommand monitor_info_commands[];

/* Finds and runs a command of a table; says what is near when there is none. */
void monitor_dispatch(Monitor *monitor, const MonitorCommand *table, const char *what,
                      const char *line, GString *out);
void monitor_list(const MonitorCommand *table, const char *prefix, GString *out);

/* The selected vCPU; NULL, and a line in out, when it is not there. */
Vcpu *monitor_vcpu(Monitor *monitor, GString *out);

/* x and xp. */
void monitor_examine_virtual(Monitor *monitor, const char *rest, GString *out);
void monitor_examine_physical(Monitor *monitor, const char *rest, GString *out);

#endif
