/* SPDX-License-Identifier: MIT */
/*
 * Messages for the person at the terminal, and the `-d` log. Reports go to stderr with the
 * program's name; the log goes where -D says. Which -d items are on hangs off a LogSet that the
 * machine owns.
 */
#ifndef ORRERY_IMPL_LOG_H
#define ORRERY_IMPL_LOG_H

#include <stdio.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

void orr_report_error(const char *fmt, ...) ORR_PRINTF(1, 2);
void orr_report_warning(const char *fmt, ...) ORR_PRINTF(1, 2);

typedef enum LogItem {
    LOG_IN_ASM = 1 << 0,      /* guest instructions when first decoded */
    LOG_INT = 1 << 1,         /* interrupts and exceptions */
    LOG_CPU = 1 << 2,         /* registers at each block */
    LOG_CPU_RESET = 1 << 3,   /* registers at reset */
    LOG_UNIMP = 1 << 4,       /* guest used something not offered */
    LOG_GUEST_ERROR = 1 << 5, /* guest did what no working guest does */
    LOG_MMU = 1 << 6,         /* page faults */
    LOG_EXEC = 1 << 7,        /* each block executed */
    LOG_SCHED = 1 << 8,       /* vCPU state account at exit */
    LOG_OP = 1 << 9,          /* translator: operations as the front end made them */
    LOG_OP_OPT = 1 << 10,     /* translator: operations after optimisation */
    LOG_OUT_ASM = 1 << 11,    /* translator: host code */
    LOG_NOCHAIN = 1 << 12,    /* translator: blocks are not linked */
} LogItem;

typedef struct LogSet {
    uint32_t items; /* LogItem bits; read with a relaxed load */
    FILE *file;     /* stderr, or what -D named */
} LogSet;

/* Parses "in_asm,int"; "help" prints the list to stdout and sets *help. Cold; any thread. */
bool orr_log_parse(LogSet *log, const char *items, bool *help, GError **error);

static inline bool orr_log_on(const LogSet *log, uint32_t items)
{
    return G_UNLIKELY(log && (orr_load_relaxed(&log->items) & items));
}

/* Writes one whole line or block; lines of different threads do not mix. Any thread. */
void orr_log(const LogSet *log, const char *fmt, ...) ORR_PRINTF(2, 3);

ORR_END_DECLS

#endif
