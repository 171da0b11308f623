/* SPDX-License-Identifier: MIT */
/*
 * The commands that do something. A command's text goes to `out`; what is wrong with its arguments
 * is said there too, never elsewhere. What a command shows about the machine is in hmp-info.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "monitor/internal.h"
#include "orrery/impl/error.h"
#include "orrery/impl/trace.h"

/* ---- Dispatch. */

static bool names(const MonitorCommand *command, const char *word)
{
    return strcmp(command->name, word) == 0 ||
           (command->alias && strcmp(command->alias, word) == 0);
}

void monitor_dispatch(Monitor *monitor, const MonitorCommand *table, const char *what,
                      const char *line, GString *out)
{
    size_t length = strcspn(line, " \t/");
    g_autofree char *word = g_strndup(line, length);
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    const char *rest = line + length, *nearest;

    while (*rest == ' ' || *rest == '\t') {
        rest++;
    }
    for (const MonitorCommand *command = table; command->name; command++) {
        if (names(command, word)) {
            command->run(monitor, rest, out);
            return;
        }
        g_ptr_array_add(known, (char *)command->name);
    }
    g_ptr_array_add(known, NULL);
    nearest = orr_nearest(word, (const char *const *)known->pdata);
    g_string_append_printf(out, "there is no %s '%s'", what, word);
    if (nearest) {
        g_string_append_printf(out, "; did you mean '%s'?\n", nearest);
    } else {
        g_string_append(out, "; 'help' lists what there is\n");
    }
}

void monitor_list(const MonitorCommand *table, const char *prefix, GString *out)
{
    for (const MonitorCommand *command = table; command->name; command++) {
        g_autofree char *left =
            g_strdup_printf("%s%s%s%s%s%s", prefix, command->name, command->alias ? "|" : "",
                            command->alias ? command->alias : "", *command->arguments ? " " : "",
                            command->arguments);

        g_string_append_printf(out, "%-34s %s\n", left, command->help);
    }
}

Vcpu *monitor_vcpu(Monitor *monitor, GString *out)
{
    Vcpu *vcpu = cpus_get(monitor->machine->cpus, monitor->cpu);

    if (!vcpu) {
        g_string_append_printf(out, "there is no vCPU %u; 'info cpus' lists them\n", monitor->cpu);
    }
    return vcpu;
}

static void print_error(GString *out, GError *error)
{
    g_string_append_printf(out, "%s\n", error->message);
    g_error_free(error);
}

/* ---- Commands. */

static void cmd_help(Monitor *monitor, const char *rest, GString *out)
{
    if (strcmp(rest, "info") == 0) {
        monitor_list(monitor_info_commands, "info ", out);
    } else {
        monitor_list(monitor_commands, "", out);
    }
}

static void cmd_info(Monitor *monitor, const char *rest, GString *out)
{
    if (!*rest) {
        monitor_list(monitor_info_commands, "info ", out);
    } else {
        monitor_dispatch(monitor, monitor_info_commands, "item of info", rest, out);
    }
}

static void cmd_quit(Monitor *monitor, const char *rest, GString *out)
{
    monitor->quit = true;
    system_quit_request(monitor->machine->cpus, "monitor");
}

static void cmd_stop(Monitor *monitor, const char *rest, GString *out)
{
    if (vm_running(monitor->machine->cpus)) {
        vm_stop(monitor->machine->cpus, RUN_STATE_PAUSED);
    }
}

static void cmd_cont(Monitor *monitor, const char *rest, GString *out)
{
    RunState state = run_state(monitor->machine->cpus);

    if (state == RUN_STATE_SHUTDOWN || state == RUN_STATE_GUEST_PANICKED ||
        state == RUN_STATE_INTERNAL_ERROR) {
        g_string_append_printf(out, "the machine is in state '%s': system_reset comes first\n",
                               run_state_name(state));
        return;
    }
    vm_start(monitor->machine->cpus);
}

static void cmd_system_reset(Monitor *monitor, const char *rest, GString *out)
{
    system_reset_request(monitor->machine->cpus, "monitor");
}

static void cmd_system_powerdown(Monitor *monitor, const char *rest, GString *out)
{
    const MachineClass *cls = monitor->machine->cls;

    if (cls->powerdown) {
        cls->powerdown(monitor->machine);
    } else {
        g_string_append_printf(out, "machine '%s' has no power button\n", cls->name);
    }
}

static void cmd_cpu(Monitor *monitor, const char *rest, GString *out)
{
    char *end;
    guint64 index = g_ascii_strtoull(rest, &end, 10);

    if (!g_ascii_isdigit(*rest) || *end || index > UINT32_MAX ||
        !cpus_get(monitor->machine->cpus, (unsigned)index)) {
        g_string_append_printf(out, "there is no vCPU '%s'; 'info cpus' lists them\n", rest);
        return;
    }
    monitor->cpu = (unsigned)index;
}

static void cmd_trace_event(Monitor *monitor, const char *rest, GString *out)
{
    g_auto(GStrv) words = g_strsplit(rest, " ", 2);
    const char *state = words[0] && words[1] ? g_strstrip(words[1]) : "";
    GError *error = NULL;

    if (strcmp(state, "on") != 0 && strcmp(state, "off") != 0) {
        g_string_append(out, "write trace-event NAME on, or off\n");
    } else if (!orr_trace_switch(words[0], strcmp(state, "on") == 0, &error)) {
        print_error(out, error);
    }
}

static void cmd_trace_dump(Monitor *monitor, const char *rest, GString *out)
{
    GError *error = NULL;
    g_autofree char *path = orr_trace_dump(&error);

    if (path) {
        g_string_append_printf(out, "the flight recording goes to %s\n", path);
    } else {
        print_error(out, error);
    }
}

static void cmd_log(Monitor *monitor, const char *rest, GString *out)
{
    LogSet *log = monitor->machine->options->log;
    LogSet parsed = { 0 };
    GError *error = NULL;
    bool help = false;

    if (!*rest || strcmp(rest, "help") == 0) {
        g_string_append(out, "write log ITEM[,ITEM...] with the items of '-d help', or log none\n");
    } else if (strcmp(rest, "none") == 0) {
        orr_store_relaxed(&log->items, 0u);
    } else if (!orr_log_parse(&parsed, rest, &help, &error)) {
        print_error(out, error);
    } else {
        orr_store_relaxed(&log->items, parsed.items);
    }
}

static void cmd_logfile(Monitor *monitor, const char *rest, GString *out)
{
    LogSet *log = monitor->machine->options->log;
    int fd = *rest ? open(rest, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666) : -1;

    if (!*rest) {
        g_string_append(out, "write logfile FILE\n");
    } else if (fd < 0) {
        g_string_append_printf(out, "cannot write '%s': %s\n", rest, g_strerror(errno));
    } else if (log->file == stderr) {
        /* Errors still go to standard error, so the log gets a stream of its own. */
        FILE *file = fdopen(fd, "a");

        setvbuf(file, NULL, _IOLBF, 0);
        orr_store_release(&log->file, file);
    } else {
        /* Other threads may hold the stream: it stays, and what is beneath it is exchanged. */
        fflush(log->file);
        dup3(fd, fileno(log->file), O_CLOEXEC);
        close(fd);
    }
}

static void cmd_device_add(Monitor *monitor, const char *rest, GString *out)
{
    g_string_append(out, "no bus of this machine takes devices while it runs; give the device by "
                         "-device\n");
}

static void cmd_device_del(Monitor *monitor, const char *rest, GString *out)
{
    if (!device_find(&monitor->machine->env, rest)) {
        g_string_append_printf(out, "there is no device '%s'; 'info qtree' lists them\n", rest);
    } else {
        g_string_append_printf(out, "device '%s' cannot be taken off a running machine\n", rest);
    }
}

const MonitorCommand monitor_commands[] = {
    { "help", "?", "[info]", "this list; what info knows", cmd_help },
    { "info", NULL, "ITEM", "show something ('help info' lists the items)", cmd_info },
    { "cont", "c", "", "let the machine run", cmd_cont },
    { "stop", "s", "", "pause it", cmd_stop },
    { "quit", "q", "", "end the emulator", cmd_quit },
    { "system_reset", NULL, "", "reset the machine", cmd_system_reset },
    { "system_powerdown", NULL, "", "press its power button", cmd_system_powerdown },
    { "cpu", NULL, "N", "choose the vCPU for 'info registers' and 'x'", cmd_cpu },
    { "x", NULL, "/FMT ADDR", "show memory at a virtual address (FMT: count, x|d|u|o|c|i, b|h|w|g)",
      monitor_examine_virtual },
    { "xp", NULL, "/FMT ADDR", "show memory at a physical address", monitor_examine_physical },
    { "trace-event", NULL, "NAME on|off", "switch trace events (NAME may have * and ?)",
      cmd_trace_event },
    { "trace-dump", NULL, "", "write out what the flight recorder holds", cmd_trace_dump },
    { "log", NULL, "ITEM[,ITEM...]|none", "choose what is logged, as -d does", cmd_log },
    { "logfile", NULL, "FILE", "log to another file, as -D does", cmd_logfile },
    { "device_add", NULL, "DRIVER,...", "plug a device (no bus here can)", cmd_device_add },
    { "device_del", NULL, "ID", "unplug a device (none here can be)", cmd_device_del },
    { NULL },
};
