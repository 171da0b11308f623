/* SPDX-License-Identifier: MIT */
/*
 * Messages to the terminal and the `-d` log. The idea to hold: a line is formatted whole and handed
 * to stdio in one call, so that stdio's own lock keeps the lines of different threads apart.
 */
#include "orrery/impl/log.h"

#include <stdarg.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/props.h"

static const struct {
    const char *name;
    uint32_t item;
    const char *help;
} log_items[] = {
    { "in_asm", LOG_IN_ASM, "guest instructions when they are first decoded" },
    { "int", LOG_INT, "interrupts and exceptions" },
    { "cpu", LOG_CPU, "registers before each block" },
    { "cpu_reset", LOG_CPU_RESET, "registers at reset" },
    { "unimp", LOG_UNIMP, "the guest uses something that is not offered" },
    { "guest_errors", LOG_GUEST_ERROR, "the guest does what no working guest does" },
    { "mmu", LOG_MMU, "page faults" },
    { "exec", LOG_EXEC, "each block that is executed" },
    { "sched", LOG_SCHED, "each vCPU's state account at exit" },
    { "op", LOG_OP, "operations that guest code became (translator)" },
    { "op_opt", LOG_OP_OPT, "operations after optimisation (translator)" },
    { "out_asm", LOG_OUT_ASM, "host code (translator)" },
    { "nochain", LOG_NOCHAIN, "blocks are not linked, so that exec shows each (translator)" },
};

static void report(const char *kind, const char *fmt, va_list ap)
{
    const char *program = g_get_prgname();
    char *text = g_strdup_vprintf(fmt, ap);

    fprintf(stderr, "%s: %s%s\n", program ? program : "orrery", kind, text);
    g_free(text);
}

void orr_report_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("", fmt, ap);
    va_end(ap);
}

void orr_report_warning(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("warning: ", fmt, ap);
    va_end(ap);
}

static bool parse_item(const char *name, uint32_t *items, GError **error)
{
    const char *known[G_N_ELEMENTS(log_items) + 1] = { NULL };
    const char *nearest;

    for (size_t i = 0; i < G_N_ELEMENTS(log_items); i++) {
        if (strcmp(name, log_items[i].name) == 0) {
            *items |= log_items[i].item;
            return true;
        }
        known[i] = log_items[i].name;
    }
    nearest = orr_nearest(name, known);
    if (nearest) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND, "unknown log item '%s'; did you mean '%s'?",
                        name, nearest);
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "unknown log item '%s'; '-d help' lists them",
                    name);
}

bool orr_log_parse(LogSet *log, const char *items, bool *help, GError **error)
{
    char **names = g_strsplit(items, ",", -1);
    uint32_t bits = 0;
    bool ok = true;

    *help = false;
    for (char **name = names; ok && *name; name++) {
        if (strcmp(*name, "help") == 0 || strcmp(*name, "?") == 0) {
            *help = true;
            printf("Items for -d, separated by commas:\n");
            for (size_t i = 0; i < G_N_ELEMENTS(log_items); i++) {
                printf("  %-14s %s\n", log_items[i].name, log_items[i].help);
            }
            break;
        }
        ok = parse_item(*name, &bits, error);
    }
    g_strfreev(names);
    if (ok && !*help) {
        orr_store_relaxed(&log->items, log->items | bits);
    }
    return ok;
}

void orr_log(const LogSet *log, const char *fmt, ...)
{
    va_list ap;

    if (!log) {
        return;
    }
    va_start(ap, fmt);
    vfprintf(log->file ? log->file : stderr, fmt, ap);
    va_end(ap);
}
