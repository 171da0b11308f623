/* SPDX-License-Identifier: MIT */
/*
 * orrery-trace: from a command line to a model, a command, and an output that is complete or is not
 * there. The idea to hold: commands and options are two tables; --help, the parser, and what an
 * option may be combined with all come from them.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orrery/gen/config.h"
#include "trace/analysis/commands.h"
#include "trace/analysis/text.h"

/* ---- The tables. */

typedef bool ModelCommand(const TraceModel *model, const CommandOptions *options, FILE *out,
                          GError **error);

typedef enum CommandId {
    SUMMARY,
    SCHED,
    TIMELINE,
    PERFETTO,
    TLB,
    ACCEL,
    COMPARE,
    EXPORT,
} CommandId;

typedef struct Command {
    const char *name;
    const char *args;
    const char *help;
    ModelCommand *run; /* NULL: it has its own way */
    bool needs_output;
} Command;

static const Command commands[] = {
    [SUMMARY] = { "summary", "DIR...", "what is in the trace, what is missing, where time went",
                  command_summary },
    [SCHED] = { "sched", "DIR...",
                "time per state, wake-up and preemption latency, kicks, lock contention",
                command_sched },
    [TIMELINE] = { "timeline", "-o FILE.html DIR...",
                   "a page with a lane for each vCPU, for a "
                   "browser without a network",
                   command_timeline, true },
    [PERFETTO] = { "perfetto", "-o FILE.json DIR...", "for ui.perfetto.dev and chrome://tracing",
                   command_perfetto, true },
    [TLB] = { "tlb", "DIR...", "flushes by kind, cause and cost; who flushes whom", command_tlb },
    [ACCEL] = { "accel", "DIR...", "calls, time and outcomes of each accelerator op",
                command_accel },
    [COMPARE] = { "compare", "A B", "what differs between two traces by more than chance" },
    [EXPORT] = { "export csv", "DIR...", "events, or one of the model's tables, as CSV" },
};

#define ALL ((1u << G_N_ELEMENTS(commands)) - 1)
#define OF(command_) (1u << (command_))

typedef enum OptionId {
    OPT_OUTPUT,
    OPT_FROM,
    OPT_TO,
    OPT_CPU,
    OPT_EVENT,
    OPT_JSON,
    OPT_LIMIT,
    OPT_TITLE,
    OPT_TABLE,
    OPT_ABSOLUTE,
    OPT_HELP,
    OPT_VERSION,
} OptionId;

static const struct {
    const char *name;
    char letter;
    const char *arg;
    unsigned of; /* commands */
    const char *help;
} option_table[] = {
    [OPT_OUTPUT] = { "output", 'o', "FILE", ALL, "write there instead of to stdout" },
    [OPT_FROM] = { "from", 0, "TIME", ALL,
                   "leave out what is before: 1.5s, 200ms, 30us, since the "
                   "first event" },
    [OPT_TO] = { "to", 0, "TIME", ALL, "leave out what is after" },
    [OPT_CPU] = { "cpu", 0, "LIST", ALL, "only these vCPUs: 0,2-3" },
    [OPT_EVENT] = { "event", 0, "GLOB", ALL, "only these events: cpus:*; may be given again" },
    [OPT_JSON] = { "json", 0, NULL, OF(SUMMARY) | OF(SCHED) | OF(TLB) | OF(ACCEL) | OF(COMPARE),
                   "for scripts; "
                   "times in ns" },
    [OPT_LIMIT] = { "limit", 0, "N", OF(SUMMARY) | OF(SCHED) | OF(TLB) | OF(ACCEL) | OF(TIMELINE),
                    "rows of long tables; 0: all; default 20" },
    [OPT_TITLE] = { "title", 0, "TEXT", OF(TIMELINE), "the page's title" },
    [OPT_TABLE] = { "table", 0, "NAME", OF(EXPORT), "'help' lists them; default events" },
    [OPT_ABSOLUTE] = { "absolute", 0, NULL, OF(EXPORT),
                       "times since 1970 instead of since the "
                       "first event" },
    [OPT_HELP] = { "help", 'h', NULL, ALL, "this text" },
    [OPT_VERSION] = { "version", 0, NULL, ALL, "the version" },
};

typedef struct Tool {
    CommandId command;
    CommandOptions options;
    TraceModelOptions filter;
    GPtrArray *paths;
    GPtrArray *events;
    GArray *vcpus;
    const char *output;
    const char *table;
    bool absolute;
    bool limited;
    bool done; /* help or the version was printed */
} Tool;

static void print_help(FILE *out)
{
    fputs(
        "usage: orrery-trace COMMAND [OPTION]... DIR...\n"
        "Reads traces that Orrery's recorder (-trace backend=ctf) or LTTng-UST wrote. A DIR is the\n"
        "directory that was recorded into, or a session of LTTng's; several are read as one "
        "trace.\n\ncommands:\n",
        out);
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].name) {
            g_autofree char *form = g_strdup_printf("%s %s", commands[i].name, commands[i].args);

            fprintf(out, "  %-30s %s\n", form, commands[i].help);
        }
    }
    fputs("\noptions:\n", out);
    for (unsigned i = 0; i < G_N_ELEMENTS(option_table); i++) {
        g_autoptr(GString) form = g_string_new(NULL);

        if (option_table[i].letter) {
            g_string_append_printf(form, "-%c, ", option_table[i].letter);
        }
        g_string_append_printf(form, "--%s%s%s", option_table[i].name,
                               option_table[i].arg ? " " : "",
                               option_table[i].arg ? option_table[i].arg : "");
        fprintf(out, "  %-22s %s", form->str, option_table[i].help);
        if (option_table[i].of != ALL) {
            const char *before = " (";

            for (unsigned c = 0; c < G_N_ELEMENTS(commands); c++) {
                if (option_table[i].of & OF(c) && commands[c].name) {
                    fprintf(out, "%s%s", before, commands[c].name);
                    before = ", ";
                }
            }
            putc(')', out);
        }
        putc('\n', out);
    }
}

/* ---- Arguments. */

static bool parse_time(const char *text, int64_t *ns, GError **error)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "", 1e9 } };
    char *end;
    double value = g_ascii_strtod(text, &end);

    for (unsigned i = 0; end > text && i < G_N_ELEMENTS(units); i++) {
        if (strcmp(end, units[i].name) == 0 && value >= 0 && value * units[i].ns < 9e18) {
            *ns = (int64_t)llround(value * units[i].ns);
            return true;
        }
    }
    return tool_fail(error, "'%s' is no time; write 1.5s, 200ms, 30us or 500ns", text);
}

static bool parse_cpus(const char *text, GArray *cpus, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (unsigned i = 0; parts[i]; i++) {
        g_auto(GStrv) ends = g_strsplit(parts[i], "-", 2);
        guint64 first, last;

        if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 0, 4095, &first, NULL) ||
            !g_ascii_string_to_unsigned(ends[1] ? ends[1] : ends[0], 10, first, 4095, &last,
                                        NULL)) {
            return tool_fail(error, "'%s' is no list of vCPUs; write 0,2-3", text);
        }
        for (guint64 cpu = first; cpu <= last; cpu++) {
            int number = (int)cpu;

            g_array_append_val(cpus, number);
        }
    }
    return true;
}

static bool take_option(Tool *tool, OptionId id, const char *value, GError **error)
{
    guint64 number;

    switch (id) {
    case OPT_OUTPUT:
        tool->output = value;
        return true;
    case OPT_FROM:
        return parse_time(value, &tool->filter.from_ns, error);
    case OPT_TO:
        return parse_time(value, &tool->filter.to_ns, error);
    case OPT_CPU:
        return parse_cpus(value, tool->vcpus, error);
    case OPT_EVENT:
        g_ptr_array_add(tool->events, (gpointer)value);
        return true;
    case OPT_JSON:
        tool->options.json = true;
        return true;
    case OPT_LIMIT:
        if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT, &number, NULL)) {
            return tool_fail(error, "--limit %s: give a number of rows", value);
        }
        tool->options.limit = (unsigned)number;
        return true;
    case OPT_TITLE:
        tool->options.title = value;
        return true;
    case OPT_TABLE:
        tool->table = value;
        return true;
    case OPT_ABSOLUTE:
        tool->absolute = true;
        return true;
    case OPT_HELP:
        print_help(stdout);
        tool->done = true;
        return true;
    case OPT_VERSION:
        puts("orrery-trace " ORRERY_VERSION);
        tool->done = true;
        return true;
    }
    return true;
}

static bool parse_option(Tool *tool, char **argv, int *at, unsigned *given, GError **error)
{
    const char *arg = argv[*at];
    const char *equals = strchr(arg, '=');
    size_t length = equals ? (size_t)(equals - arg) : strlen(arg);

    for (unsigned i = 0; i < G_N_ELEMENTS(option_table); i++) {
        bool is_long = g_str_has_prefix(arg, "--") && strlen(option_table[i].name) == length - 2 &&
                       strncmp(arg + 2, option_table[i].name, length - 2) == 0;
        bool is_short = option_table[i].letter && arg[1] == option_table[i].letter;
        const char *value = NULL;

        if (!is_long && !is_short) {
            continue;
        }
        if (option_table[i].arg) {
            value = is_long && equals    ? equals + 1
                    : is_short && arg[2] ? arg + 2
                    : argv[*at + 1]      ? argv[++*at]
                                         : NULL;
            if (!value) {
                return tool_fail(error, "--%s needs its %s", option_table[i].name,
                                 option_table[i].arg);
            }
        } else if ((is_long && equals) || (is_short && arg[2])) {
            return tool_fail(error, "--%s takes no value", option_table[i].name);
        }
        *given |= 1u << i;
        return take_option(tool, (OptionId)i, value, error);
    }
    return tool_fail(error, "there is no option %.*s; 'orrery-trace --help' lists them",
                     (int)length, arg);
}

static bool find_command(Tool *tool, const char *name, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].name && strncmp(commands[i].name, name, strlen(name)) == 0 &&
            strcspn(commands[i].name, " ") == strlen(name)) {
            tool->command = (CommandId)i;
            return true;
        }
    }
    return tool_fail(error, "there is no command '%s'; 'orrery-trace --help' lists them", name);
}

static bool check_given(const Tool *tool, unsigned given, GError **error)
{
    const Command *command = &commands[tool->command];

    for (unsigned i = 0; i < G_N_ELEMENTS(option_table); i++) {
        if (given & 1u << i && !(option_table[i].of & OF(tool->command))) {
            return tool_fail(error, "--%s is no option of '%s'", option_table[i].name,
                             command->name);
        }
    }
    if (tool->command == EXPORT && tool->table && strcmp(tool->table, "help") == 0) {
        return true;
    }
    if (!tool->paths->len) {
        return tool_fail(error, "name the directory of a trace: orrery-trace %s %s", command->name,
                         command->args);
    }
    if (tool->command == COMPARE && tool->paths->len != 2) {
        return tool_fail(error, "compare needs two traces: orrery-trace compare A B");
    }
    if (command->needs_output && !tool->output) {
        return tool_fail(error, "name the file to write: orrery-trace %s %s", command->name,
                         command->args);
    }
    if (tool->filter.to_ns && tool->filter.to_ns <= tool->filter.from_ns) {
        return tool_fail(error, "--to is not after --from");
    }
    return true;
}

static bool parse(Tool *tool, int argc, char **argv, GError **error)
{
    bool have_command = false, have_form = false, options = true;
    unsigned given = 0;

    for (int i = 1; i < argc && !tool->done; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            if (!parse_option(tool, argv, &i, &given, error)) {
                return false;
            }
        } else if (!have_command) {
            have_command = true;
            if (!find_command(tool, argv[i], error)) {
                return false;
            }
        } else if (tool->command == EXPORT && !have_form) {
            have_form = true;
            if (strcmp(argv[i], "csv") != 0) {
                return tool_fail(error, "export knows no '%s': orrery-trace export csv DIR...",
                                 argv[i]);
            }
        } else {
            g_ptr_array_add(tool->paths, argv[i]);
        }
    }
    if (tool->done) {
        return true;
    }
    if (!have_command) {
        return tool_fail(error, "name a command; 'orrery-trace --help' lists them");
    }
    if (tool->command == EXPORT && !have_form) {
        return tool_fail(error, "export what? orrery-trace export csv DIR...");
    }
    return check_given(tool, given, error);
}

/* ---- Output. */

/* Beside the file, so that what has its name is complete. */
static FILE *open_output(const Tool *tool, char **temporary, GError **error)
{
    FILE *out;

    if (!tool->output || strcmp(tool->output, "-") == 0) {
        return stdout;
    }
    if (g_file_test(tool->output, G_FILE_TEST_EXISTS) &&
        !g_file_test(tool->output, G_FILE_TEST_IS_REGULAR)) {
        /* A pipe or a device is written as it is. */
        out = fopen(tool->output, "w");
    } else {
        *temporary = g_strdup_printf("%s.part", tool->output);
        out = fopen(*temporary, "w");
    }
    if (!out) {
        tool_fail(error, "cannot write %s: %s", tool->output, g_strerror(errno));
        g_clear_pointer(temporary, g_free);
    }
    return out;
}

static bool close_output(const Tool *tool, FILE *out, const char *temporary, bool ok,
                         GError **error)
{
    bool written = fflush(out) == 0 && !ferror(out);
    int why = errno;

    if (out != stdout) {
        int closed = fclose(out);

        why = closed && written ? errno : why;
        written = closed == 0 && written;
    }
    if (temporary) {
        if (ok && written && rename(temporary, tool->output) != 0) {
            written = false;
            why = errno;
        }
        if (!ok || !written) {
            unlink(temporary);
        }
    }
    if (ok && !written) {
        return tool_fail(error, "cannot write %s: %s", tool->output ? tool->output : "to stdout",
                         g_strerror(why));
    }
    return ok;
}

/* ---- Running. */

static TraceModel *load(const Tool *tool, const char *const *paths, GError **error)
{
    TraceModel *model = trace_model_load(paths, &tool->filter, error);

    if (!model) {
        return NULL;
    }
    for (size_t i = 0; i < model->n_sources; i++) {
        if (model->sources[i].truncated) {
            fprintf(stderr,
                    "orrery-trace: %s: the last packet was cut off, as by a kill or a full disk: "
                    "read as far as it goes\n",
                    trace_model_text(model, model->sources[i].path));
        }
    }
    if (model->n_losses) {
        fprintf(stderr,
                "orrery-trace: %s: %" G_GUINT64_FORMAT " events were lost in recording, at %zu "
                "place%s; what they hide is called unknown\n",
                paths[0], model->n_lost, model->n_losses, model->n_losses == 1 ? "" : "s");
    }
    return model;
}

static bool run_compare(const Tool *tool, FILE *out, GError **error)
{
    const char *first[] = { g_ptr_array_index(tool->paths, 0), NULL };
    const char *second[] = { g_ptr_array_index(tool->paths, 1), NULL };
    g_autoptr(TraceModel) a = load(tool, first, error);
    g_autoptr(TraceModel) b = a ? load(tool, second, error) : NULL;

    return b && command_compare(a, b, &tool->options, out, error);
}

static bool run_export(const Tool *tool, FILE *out, GError **error)
{
    const char *const *paths = (const char *const *)tool->paths->pdata;
    g_autoptr(TraceModel) model = NULL;

    if (tool->table && strcmp(tool->table, "help") == 0) {
        command_export_tables(out);
        return true;
    }
    if (!tool->table || strcmp(tool->table, "events") == 0) {
        return command_export_events(paths, &tool->filter, tool->absolute, out, error);
    }
    if (!command_export_has(tool->table, error)) {
        return false;
    }
    model = load(tool, paths, error);
    return model && command_export_table(model, tool->table, tool->absolute, out, error);
}

static bool run(const Tool *tool, FILE *out, GError **error)
{
    g_autoptr(TraceModel) model = NULL;

    if (tool->command == COMPARE) {
        return run_compare(tool, out, error);
    }
    if (tool->command == EXPORT) {
        return run_export(tool, out, error);
    }
    model = load(tool, (const char *const *)tool->paths->pdata, error);
    return model && commands[tool->command].run(model, &tool->options, out, error);
}

int main(int argc, char **argv)
{
    Tool tool = { .options = { .limit = 20 } };
    g_autoptr(GError) error = NULL;
    g_autofree char *temporary = NULL;
    FILE *out;
    bool ok;

    tool.paths = g_ptr_array_new();
    tool.events = g_ptr_array_new();
    tool.vcpus = g_array_new(FALSE, FALSE, sizeof(int));
    ok = parse(&tool, argc, argv, &error);
    g_ptr_array_add(tool.paths, NULL);
    if (tool.events->len) {
        g_ptr_array_add(tool.events, NULL);
        tool.filter.events = (const char *const *)tool.events->pdata;
    }
    if (tool.vcpus->len) {
        tool.filter.vcpus = (const int *)(void *)tool.vcpus->data;
        tool.filter.n_vcpus = tool.vcpus->len;
    }
    if (ok && !tool.done) {
        out = open_output(&tool, &temporary, &error);
        ok = out && close_output(&tool, out, temporary, run(&tool, out, &error), &error);
    }
    if (!ok) {
        fprintf(stderr, "orrery-trace: %s\n", error ? error->message : "failed");
    }
    g_ptr_array_unref(tool.paths);
    g_ptr_array_unref(tool.events);
    g_array_unref(tool.vcpus);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
