/* SPDX-License-Identifier: MIT */
/*
 * Private to accel/qtest: the accelerator's state, and its server.
 */
#ifndef ORRERY_ACCEL_QTEST_H
#define ORRERY_ACCEL_QTEST_H

#include <stdio.h>

#include "orrery/impl/accel.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/device.h"

#define QTEST_MAX_LINE (4u << 20) /* longest command, b64write of a few MiB included */

typedef struct QtestAccel {
    Accel accel; /* first */
    char *chardev_spec;
    char *log_path;
    int64_t clock_ns; /* guest time; atomic */

    /* The server. Main loop, machine lock held. */
    Chardev *chardev;
    FILE *log;
    int64_t opened_ns;
    GString *line; /* received and not yet complete */
    bool line_too_long;
    GPtrArray *taps;   /* QtestTap, owned */
    char *intercepted; /* id of the device whose lines are tapped, or NULL */
} QtestAccel;

bool qtest_server_open(QtestAccel *qtest, GError **error);
void qtest_server_close(QtestAccel *qtest);

/* Executes one command line (without its newline) and answers it. For the server and fuzzers. */
void qtest_execute(QtestAccel *qtest, char *line);

#endif
