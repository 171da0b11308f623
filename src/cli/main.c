/* SPDX-License-Identifier: MIT */
/*
 * From a command line to a machine that runs, and to an exit status: the guest's own, 0 when it was
 * ended from outside, 1 when it could not be started. Nothing is opened before all options are
 * known; what was opened is closed on every way out.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/options.h"
#include "monitor/monitor.h"
#include "orrery/gen/config.h"
#include "orrery/impl/error.h"
#include "orrery/impl/trace.h"

/* ---- Help. */

static int print_help(const Cli *cli)
{
    const TargetOps *target = target_find(cli->target);

    if (!target) {
        orr_report_error("there is no target '%s'", cli->target);
        return 1;
    }
    switch (cli->help) {
    case CLI_RUN:
    case CLI_HELP:
        cli_print_help(stdout);
        break;
    case CLI_VERSION:
        printf("Orrery emulator version %s (%s)\n", ORRERY_VERSION, target->name);
        break;
    case CLI_HELP_MACHINE: {
        char *name = cli->help_arg ? g_strndup(cli->help_arg, strcspn(cli->help_arg, ",")) : NULL;
        const char *type = name && g_str_has_prefix(name, "type=") ? name + 5 : name;
        bool known = !type || machine_class_help(type, stdout);

        if (!type) {
            machine_help(target->name, stdout);
        } else if (!known) {
            orr_report_error("there is no machine '%s'; '-machine help' lists them", type);
        }
        g_free(name);
        return known ? 0 : 1;
    }
    case CLI_HELP_CPU:
        machine_cpu_help(target, stdout);
        break;
    case CLI_HELP_ACCEL:
        accel_help(target->name, stdout);
        break;
    case CLI_HELP_DEVICE:
        if (!device_help_asked(cli->help_arg, stdout)) {
            orr_report_error("there is no such device; '-device help' lists them");
            return 1;
        }
        break;
    case CLI_HELP_LOG: {
        LogSet log = { 0 };
        bool help;

        orr_log_parse(&log, "help", &help, NULL);
        break;
    }
    case CLI_HELP_TRACE:
        orr_trace_help(stdout);
        break;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- Log and trace. */

static bool open_log(Cli *cli, GError **error)
{
    bool help = false;
    int fd;

    if (cli->log_items && !orr_log_parse(&cli->log, cli->log_items, &help, error)) {
        g_prefix_error(error, "-d: ");
        return false;
    }
    if (!cli->log_path) {
        return true;
    }
    /* Trace lines may go to the same file by a descriptor of their own: both append. */
    fd = open(cli->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    cli->log.file = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (!cli->log.file) {
        orr_fail(error, ORR_ERROR_IO, "-D %s: %s", cli->log_path, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        cli->log.file = stderr;
        return false;
    }
    setvbuf(cli->log.file, NULL, _IOLBF, 0);
    orr_trace_log_file(cli->log_path);
    return true;
}

static void close_log(Cli *cli)
{
    if (cli->log.file != stderr) {
        fclose(cli->log.file);
        cli->log.file = stderr;
    }
}

static bool start_trace(Cli *cli, GError **error)
{
    for (guint i = 0; i < cli->traces->len; i++) {
        const char *text = g_ptr_array_index(cli->traces, i);

        if (!orr_trace_option(text, error)) {
            g_prefix_error(error, "-trace %s: ", text);
            return false;
        }
    }
    return cli->traces->len == 0 || orr_trace_start(error);
}

static bool write_pid(const char *path, GError **error)
{
    FILE *file = fopen(path, "we");
    bool ok = file && fprintf(file, "%d\n", (int)getpid()) > 0;

    if (file && fclose(file) != 0) {
        ok = false;
    }
    return ok || orr_fail(error, ORR_ERROR_IO, "-pidfile %s: %s", path, g_strerror(errno));
}

/*
 * ---- Signals. Once there is a machine they are read by its main loop, so that they end it as a
 * power-off would; threads of vCPUs and disks block them. Before and after, they end the process.
 */

typedef struct Signals {
    int fd;
    GSource *source;
    Cpus *cpus;
    sigset_t set, before;
} Signals;

static gboolean on_signal(gint fd, GIOCondition condition, gpointer opaque)
{
    Signals *signals = opaque;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_pid != 0) {
            orr_report_warning("ended by signal %u from process %u", info.ssi_signo, info.ssi_pid);
        } else {
            orr_report_warning("ended by signal %u", info.ssi_signo);
        }
        system_quit_request(signals->cpus, "host-signal");
    }
    return G_SOURCE_CONTINUE;
}

static bool watch_signals(Signals *signals, Cpus *cpus, GError **error)
{
    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGINT);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGHUP);
    signals->cpus = cpus;
    signals->fd = signalfd(-1, &signals->set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0) {
        return orr_fail(error, ORR_ERROR_IO, "signals cannot be watched: %s", g_strerror(errno));
    }
    pthread_sigmask(SIG_BLOCK, &signals->set, &signals->before);
    signals->source = g_unix_fd_source_new(signals->fd, G_IO_IN);
    g_source_set_callback(signals->source, G_SOURCE_FUNC(on_signal), signals, NULL);
    g_source_attach(signals->source, main_loop_context(cpus));
    return true;
}

static void unwatch_signals(Signals *signals)
{
    if (!signals->source) {
        return;
    }
    g_source_destroy(signals->source);
    g_source_unref(signals->source);
    close(signals->fd);
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

/* ---- Monitors: one on each mux, and the one that was asked for. */

static void quit_by_key(void *opaque)
{
    system_quit_request(opaque, "Ctrl-A x");
}

static bool add_monitor(GPtrArray *monitors, Machine *machine, Chardev *chr, GError **error)
{
    Monitor *monitor = monitor_create(machine, chr, error);

    if (monitor) {
        g_ptr_array_add(monitors, monitor);
    }
    return monitor != NULL;
}

static bool open_monitors(const Cli *cli, Machine *machine, GPtrArray *monitors, GError **error)
{
    GPtrArray *chardevs = machine->env.chardevs;

    if (cli->monitor && strcmp(cli->monitor, "none") != 0) {
        Chardev *chr = machine_open_chardev(machine, "monitor", cli->monitor, error);

        if (!chr || (!chardev_is_mux(chr) && !add_monitor(monitors, machine, chr, error))) {
            g_prefix_error(error, "-monitor %s: ", cli->monitor);
            return false;
        }
    }
    for (guint i = 0; i < chardevs->len; i++) {
        Chardev *chr = g_ptr_array_index(chardevs, i);

        if (chardev_is_mux(chr)) {
            CharHooks hooks = { .quit = quit_by_key, .opaque = machine->cpus };

            chardev_set_hooks(chr, &hooks);
            if (!add_monitor(monitors, machine, chr, error)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- The run. */

static void print_account(const Cli *cli, Machine *machine)
{
    if (orr_log_on(&cli->log, LOG_SCHED)) {
        GString *text = g_string_new(NULL);

        cpus_print_sched(machine->cpus, text);
        orr_log(&cli->log, "%s", text->str);
        g_string_free(text, TRUE);
    }
}

static bool run(Cli *cli, int *status, GError **error)
{
    GPtrArray *monitors = g_ptr_array_new_with_free_func((GDestroyNotify)monitor_destroy);
    Signals signals = { .fd = -1 };
    Machine *machine = machine_create(&cli->machine, error);
    bool ok = machine && (machine->only_dump || (open_monitors(cli, machine, monitors, error) &&
                                                 watch_signals(&signals, machine->cpus, error)));

    if (ok) {
        *status = machine_run(machine, cli->no_reboot, cli->no_shutdown);
        print_account(cli, machine);
    }
    unwatch_signals(&signals);
    g_ptr_array_unref(monitors);
    machine_destroy(machine);
    return ok;
}

int main(int argc, char **argv)
{
    g_autofree char *program = g_path_get_basename(argc > 0 ? argv[0] : "orrery");
    GError *error = NULL;
    int status = 1;
    bool ok, pid_written = false;
    Cli cli;

    g_set_prgname(program);
    cli_init(&cli);
    ok = cli_parse(&cli, argc, argv, &error);
    if (ok && cli.help != CLI_RUN) {
        status = print_help(&cli);
    } else if (ok) {
        if (cli.process_name) {
            prctl(PR_SET_NAME, cli.process_name, 0, 0, 0);
        }
        signal(SIGPIPE, SIG_IGN);
        cli_apply_defaults(&cli);
        ok = open_log(&cli, &error) && start_trace(&cli, &error);
        if (ok && cli.pid_path) {
            ok = pid_written = write_pid(cli.pid_path, &error);
        }
        ok = ok && run(&cli, &status, &error);
    }
    if (!ok) {
        orr_report_error("%s", error->message);
        g_error_free(error);
        status = 1;
    }
    if (pid_written) {
        unlink(cli.pid_path);
    }
    orr_trace_stop();
    close_log(&cli);
    cli_finish(&cli);
    return status;
}
