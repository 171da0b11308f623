/* SPDX-License-Identifier: MIT */
/*
 * The command line as data: one table of options, from which parsing, -help and the nearest name
 * to a misspelt one come. Parsing opens nothing and builds nothing; what it leaves is a Cli.
 */
#ifndef ORRERY_CLI_OPTIONS_H
#define ORRERY_CLI_OPTIONS_H

#include "orrery/impl/log.h"
#include "orrery/impl/machine.h"

/* What is asked for besides a run; printed after all options are known, since -target matters. */
typedef enum CliHelp {
    CLI_RUN,
    CLI_HELP,
    CLI_VERSION,
    CLI_HELP_MACHINE,
    CLI_HELP_CPU,
    CLI_HELP_ACCEL,
    CLI_HELP_DEVICE,
    CLI_HELP_LOG,
    CLI_HELP_TRACE,
} CliHelp;

typedef struct Cli {
    MachineOptions machine; /* what is in it points into this struct or into argv */
    LogSet log;
    GString *machine_text;
    char *target;
    char *log_items, *log_path;
    char *monitor;
    char *process_name;
    char *pid_path;
    GPtrArray *traces;
    bool nographic, display_none, nodefaults;
    bool no_reboot, no_shutdown;
    CliHelp help;
    const char *help_arg;
} Cli;

void cli_init(Cli *cli);
void cli_finish(Cli *cli);

/* argv[0] chooses the target by its ending "-system-TARGET". Main thread. */
bool cli_parse(Cli *cli, int argc, char **argv, GError **error);

/* Serial line and monitor where nothing was said of them, as QEMU's -nographic does. */
void cli_apply_defaults(Cli *cli);

void cli_print_help(FILE *out);

#endif
