/* SPDX-License-Identifier: MIT */
/*
 * Options: a table, and a small function for each that is more than a word to keep. QEMU's names
 * and meanings throughout; what QEMU has and this emulator has not is in a table of its own, so
 * that it is refused by name.
 */
#include "cli/options.h"

#include <string.h>

#include "orrery/impl/error.h"

typedef enum CliStore {
    STORE_FLAG,  /* bool, set */
    STORE_TEXT,  /* const char *, the last one counts */
    STORE_COPY,  /* char *, the last one counts */
    STORE_LIST,  /* GPtrArray *, appended */
    STORE_PARSE, /* a function's business */
} CliStore;

typedef struct CliOption {
    const char *name;
    const char *alias;    /* NULL is fine */
    const char *argument; /* as -help names it; NULL: takes none */
    const char *help;
    CliStore store;
    size_t offset; /* in Cli */
    bool (*parse)(Cli *cli, const char *argument, GError **error);
    CliHelp on_help; /* what the argument "help" asks for; CLI_RUN: nothing */
} CliOption;

static bool is_help(const char *text)
{
    return strcmp(text, "help") == 0 || strcmp(text, "?") == 0;
}

static bool parse_number(const char *text, unsigned *value)
{
    char *end;
    guint64 number;

    if (!g_ascii_isdigit(text[0])) {
        return false;
    }
    number = g_ascii_strtoull(text, &end, 10);
    if (*end || number > G_MAXINT32) {
        return false;
    }
    *value = (unsigned)number;
    return true;
}

/* ---- Options that are more than a word. */

/*
 * -machine may come several times, each time with some of the items; they are joined into one text,
 * in which a later type= wins over an earlier one.
 */
static bool parse_machine(Cli *cli, const char *argument, GError **error)
{
    GArray *pairs = orr_split_options(argument, "type");

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);
        char **parts;
        char *value;

        if (is_help(pair->key) || (strcmp(pair->key, "type") == 0 && is_help(pair->value))) {
            cli->help = CLI_HELP_MACHINE;
            cli->help_arg = i > 0 ? argument : NULL;
            continue;
        }
        parts = g_strsplit(pair->value, ",", -1);
        value = g_strjoinv(",,", parts);
        g_string_append_printf(cli->machine_text, "%s%s=%s", cli->machine_text->len ? "," : "",
                               pair->key, value);
        g_free(value);
        g_strfreev(parts);
    }
    g_array_unref(pairs);
    return true;
}

static bool parse_memory(Cli *cli, const char *argument, GError **error)
{
    GArray *pairs = orr_split_options(argument, "size");
    bool ok = pairs->len > 0 || orr_fail(error, ORR_ERROR_INVALID, "write -m 512M");

    for (guint i = 0; ok && i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, "size") == 0) {
            ok = orr_parse_size(pair->value, 1 << 20, &cli->machine.ram_bytes, error);
            if (ok && cli->machine.ram_bytes == 0) {
                ok = orr_fail(error, ORR_ERROR_INVALID, "a machine needs RAM, 0 is none");
            }
            cli->machine.ram_given = true;
        } else if (strcmp(pair->key, "slots") == 0 || strcmp(pair->key, "maxmem") == 0) {
            ok = orr_fail(error, ORR_ERROR_UNSUPPORTED,
                          "'%s' is not supported: RAM cannot be "
                          "plugged into a running machine",
                          pair->key);
        } else {
            ok = orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no item '%s'; write -m 512M",
                          pair->key);
        }
    }
    g_array_unref(pairs);
    return ok;
}

enum {
    SMP_CPUS,
    SMP_MAXCPUS,
    SMP_SOCKETS,
    SMP_DIES,
    SMP_CLUSTERS,
    SMP_CORES,
    SMP_THREADS,
    SMP_COUNT,
};

static bool check_topology(const unsigned *count, unsigned *vcpus, unsigned *max_vcpus,
                           GError **error)
{
    uint64_t product = 1;
    bool some = false;

    for (unsigned i = SMP_SOCKETS; i < SMP_COUNT; i++) {
        product = MIN(product * MAX(count[i], 1), (uint64_t)G_MAXINT32);
        some = some || count[i];
    }
    *max_vcpus = count[SMP_MAXCPUS] ? count[SMP_MAXCPUS]
                 : count[SMP_CPUS]  ? count[SMP_CPUS]
                                    : (unsigned)product;
    *vcpus = count[SMP_CPUS] ? count[SMP_CPUS] : *max_vcpus;
    if (*max_vcpus < *vcpus) {
        return orr_fail(error, ORR_ERROR_INVALID, "maxcpus=%u is less than the %u vCPUs to start",
                        *max_vcpus, *vcpus);
    }
    if (!some) {
        return true;
    }
    /* Where not all is given, the rest has to be a whole number of something. */
    if (count[SMP_SOCKETS] && count[SMP_CORES] && count[SMP_THREADS] ? product != *max_vcpus
                                                                     : *max_vcpus % product != 0) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "sockets, dies, clusters, cores and threads make %u vCPUs, not %u",
                        (unsigned)product, *max_vcpus);
    }
    return true;
}

static bool parse_smp(Cli *cli, const char *argument, GError **error)
{
    static const char *const keys[] = {
        [SMP_CPUS] = "cpus",       [SMP_MAXCPUS] = "maxcpus",   [SMP_SOCKETS] = "sockets",
        [SMP_DIES] = "dies",       [SMP_CLUSTERS] = "clusters", [SMP_CORES] = "cores",
        [SMP_THREADS] = "threads", [SMP_COUNT] = NULL,
    };
    GArray *pairs = orr_split_options(argument, "cpus");
    unsigned count[SMP_COUNT] = { 0 };
    bool ok = pairs->len > 0 || orr_fail(error, ORR_ERROR_INVALID, "write -smp 2");

    for (guint i = 0; ok && i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);
        unsigned key = 0;

        while (keys[key] && strcmp(keys[key], pair->key) != 0) {
            key++;
        }
        if (!keys[key]) {
            ok = orr_fail(error, ORR_ERROR_NOT_FOUND,
                          "there is no item '%s'; known are cpus, maxcpus, sockets, dies, "
                          "clusters, cores, threads",
                          pair->key);
        } else if (!parse_number(pair->value, &count[key]) || count[key] == 0) {
            ok = orr_fail(error, ORR_ERROR_INVALID, "'%s' must be a number from 1 on, not '%s'",
                          pair->key, pair->value);
        }
    }
    g_array_unref(pairs);
    return ok && check_topology(count, &cli->machine.vcpus, &cli->machine.max_vcpus, error);
}

static bool parse_name(Cli *cli, const char *argument, GError **error)
{
    GArray *pairs = orr_split_options(argument, "guest");
    bool ok = true;

    for (guint i = 0; ok && i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, "guest") == 0) {
            g_free((char *)cli->machine.name);
            cli->machine.name = g_strdup(pair->value);
        } else if (strcmp(pair->key, "process") == 0) {
            g_free(cli->process_name);
            cli->process_name = g_strdup(pair->value);
        } else if (strcmp(pair->key, "debug-threads") != 0) { /* threads always have names */
            ok = orr_fail(error, ORR_ERROR_NOT_FOUND,
                          "there is no item '%s'; known are guest, process, debug-threads",
                          pair->key);
        }
    }
    g_array_unref(pairs);
    return ok;
}

static bool parse_display(Cli *cli, const char *argument, GError **error)
{
    if (strcmp(argument, "none") != 0) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "'%s' is not supported: there is no display; 'none' is accepted", argument);
    }
    cli->display_none = true;
    return true;
}

/* What a machine never has is accepted when it is declined. */
static bool parse_none(Cli *cli, const char *argument, GError **error)
{
    if (strcmp(argument, "none") != 0) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "'%s' is not supported; 'none' is accepted",
                        argument);
    }
    return true;
}

static bool parse_nothing(Cli *cli, const char *argument, GError **error)
{
    return true;
}

static bool parse_help(Cli *cli, const char *argument, GError **error)
{
    cli->help = CLI_HELP;
    return true;
}

static bool parse_version(Cli *cli, const char *argument, GError **error)
{
    cli->help = CLI_VERSION;
    return true;
}

static bool parse_device(Cli *cli, const char *argument, GError **error)
{
    GArray *pairs = orr_split_options(argument, "driver");

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (is_help(pair->key) || (i == 0 && is_help(pair->value))) {
            cli->help = CLI_HELP_DEVICE;
            cli->help_arg = argument;
        }
    }
    g_array_unref(pairs);
    g_ptr_array_add(cli->machine.devices, (char *)argument);
    return true;
}

/* ---- The table. */

#define FLAG(field) .store = STORE_FLAG, .offset = offsetof(Cli, field)
#define TEXT(field) .store = STORE_TEXT, .offset = offsetof(Cli, field)
#define COPY(field) .store = STORE_COPY, .offset = offsetof(Cli, field)
#define LIST(field) .store = STORE_LIST, .offset = offsetof(Cli, field)
#define PARSE(function) .store = STORE_PARSE, .parse = (function)

static const CliOption options[] = {
    { "target", NULL, "ARCH", "guest architecture, where the program's name does not tell it",
      COPY(target) },
    { "machine", "M", "[type=]NAME[,PROP=VALUE...]", "board (-machine help, -machine NAME,help)",
      PARSE(parse_machine) },
    { "cpu", NULL, "MODEL[,PROP=VALUE...]", "vCPU model (-cpu help)", TEXT(machine.cpu),
      .on_help = CLI_HELP_CPU },
    { "smp", NULL, "[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]",
      "number of vCPUs (default 1)", PARSE(parse_smp) },
    { "m", NULL, "[size=]N[K|M|G|T]", "RAM, in MiB without a suffix (default 128M)",
      PARSE(parse_memory) },
    { "accel", NULL, "NAME[:NAME...][,PROP=VALUE...]",
      "accelerator, the first usable one (-accel help); may be repeated", LIST(machine.accels),
      .on_help = CLI_HELP_ACCEL },
    { "bios", NULL, "FILE", "firmware; 'none': start the kernel directly (default: OpenSBI)",
      TEXT(machine.bios) },
    { "kernel", NULL, "FILE", "kernel: ELF, Linux Image, flat binary; packed with gzip or not",
      TEXT(machine.kernel) },
    { "initrd", NULL, "FILE", "initial RAM disk", TEXT(machine.initrd) },
    { "append", NULL, "TEXT", "kernel command line", TEXT(machine.append) },
    { "dtb", NULL, "FILE", "device tree in place of the board's own", TEXT(machine.dtb) },
    { "drive", NULL, "file=PATH,if=none,format=raw,id=ID[,PROP=VALUE...]", "disk back end",
      LIST(machine.drives) },
    { "device", NULL, "DRIVER[,PROP=VALUE...]", "add a device (-device help, -device DRIVER,help)",
      PARSE(parse_device) },
    { "global", NULL, "DRIVER.PROP=VALUE", "default of a property for all devices of a kind",
      LIST(machine.globals) },
    { "serial", NULL, "BACKEND",
      "where the next serial line ends: mon:stdio, stdio, none, null, "
      "file:PATH, pty, unix:PATH, tcp:HOST:PORT, chardev:ID",
      LIST(machine.serials) },
    { "chardev", NULL, "KIND,id=ID[,PROP=VALUE...]", "character back end", LIST(machine.chardevs) },
    { "monitor", NULL, "BACKEND", "where the human monitor talks (as -serial)", COPY(monitor) },
    { "nographic", NULL, NULL,
      "serial line and monitor on this terminal, Ctrl-A c between them "
      "(as without any option)",
      FLAG(nographic) },
    { "display", NULL, "none", "no display; the serial line is not put on the terminal unasked",
      PARSE(parse_display) },
    { "nodefaults", NULL, NULL, "no serial line and no monitor unless asked for",
      FLAG(nodefaults) },
    { "no-user-config", NULL, NULL, "accepted; there are no configuration files",
      PARSE(parse_nothing) },
    { "nic", NULL, "none", "accepted; there is no network card unless a -device is one",
      PARSE(parse_none) },
    { "net", NULL, "none", "as -nic", PARSE(parse_none) },
    { "vga", NULL, "none", "accepted; there is no display", PARSE(parse_none) },
    { "parallel", NULL, "none", "accepted; there is no parallel port", PARSE(parse_none) },
    { "no-reboot", NULL, NULL, "end when the guest resets the machine", FLAG(no_reboot) },
    { "no-shutdown", NULL, NULL, "stop, do not end, when the guest powers off", FLAG(no_shutdown) },
    { "S", NULL, NULL, "do not start the vCPUs; the monitor's 'cont' does",
      FLAG(machine.start_paused) },
    { "d", NULL, "ITEM[,ITEM...]", "what to log (-d help)", COPY(log_items),
      .on_help = CLI_HELP_LOG },
    { "D", NULL, "FILE", "where to log (default: standard error)", COPY(log_path) },
    { "trace", NULL, "[enable=]GLOB[,...][,backend=log|ust|ctf][,file=PATH][,dir=PATH]",
      "trace events (-trace help); may be repeated", LIST(traces), .on_help = CLI_HELP_TRACE },
    { "name", NULL, "[guest=]NAME[,process=NAME]", "name of the guest", PARSE(parse_name) },
    { "pidfile", NULL, "FILE", "write the process's id to this file", COPY(pid_path) },
    { "qtest", NULL, "BACKEND", "where -accel qtest takes its commands", TEXT(machine.qtest) },
    { "qtest-log", NULL, "FILE", "log of what is said there", TEXT(machine.qtest_log) },
    { "version", NULL, NULL, "print the version", PARSE(parse_version) },
    { "help", "h", NULL, "this text", PARSE(parse_help) },
    { NULL },
};

/* Options of QEMU that are not offered, with what is near to them. */
static const struct {
    const char *name;
    const char *instead; /* NULL: nothing is */
} refused[] = {
    { "preconfig", NULL },
    { "L", "name the firmware with -bios, or set ORRERY_FIRMWARE_DIR" },
    { "accel-blocker", NULL },
    { "action", "-no-reboot and -no-shutdown are supported" },
    { "add-fd", "a back end fd:N is supported" },
    { "async-teardown", NULL },
    { "audio", NULL },
    { "audio-help", NULL },
    { "audiodev", NULL },
    { "blockdev", "use -drive" },
    { "boot", "the board starts its firmware or -kernel" },
    { "cdrom", "use -drive with readonly=on" },
    { "chroot", NULL },
    { "compat", NULL },
    { "curses", "use -nographic" },
    { "daemonize", NULL },
    { "debugcon", "use -serial" },
    { "dfilter", NULL },
    { "dump-vmstate", NULL },
    { "echr", NULL },
    { "enable-kvm", "use -accel kvm" },
    { "enable-sync-profile", "use -trace 'cpus:machine_lock_*'" },
    { "fda", "use -drive" },
    { "fdb", "use -drive" },
    { "fsdev", NULL },
    { "full-screen", NULL },
    { "fw_cfg", NULL },
    { "gdb", NULL },
    { "hda", "use -drive and -device virtio-blk-device" },
    { "hdb", "use -drive and -device virtio-blk-device" },
    { "hdc", "use -drive and -device virtio-blk-device" },
    { "hdd", "use -drive and -device virtio-blk-device" },
    { "icount", NULL },
    { "incoming", NULL },
    { "iscsi", NULL },
    { "k", NULL },
    { "loadvm", NULL },
    { "mem-path", NULL },
    { "mem-prealloc", NULL },
    { "mon", "use -monitor" },
    { "msg", NULL },
    { "mtdblock", NULL },
    { "netdev", NULL },
    { "numa", NULL },
    { "object", NULL },
    { "only-migratable", NULL },
    { "option-rom", NULL },
    { "overcommit", NULL },
    { "pflash", "name the firmware with -bios" },
    { "plugin", "use -trace" },
    { "portrait", NULL },
    { "qmp", "use -monitor" },
    { "qmp-pretty", "use -monitor" },
    { "readconfig", NULL },
    { "rotate", NULL },
    { "rtc", NULL },
    { "run-with", NULL },
    { "runas", NULL },
    { "s", NULL },
    { "sandbox", NULL },
    { "sd", "use -drive and -device virtio-blk-device" },
    { "seed", NULL },
    { "semihosting", "-device riscv-htif is supported" },
    { "semihosting-config", "-device riscv-htif is supported" },
    { "set", "use -global" },
    { "shim", NULL },
    { "singlestep", NULL },
    { "smbios", NULL },
    { "acpitable", NULL },
    { "snapshot", "use -drive with snapshot=on" },
    { "spice", NULL },
    { "tpmdev", NULL },
    { "usb", NULL },
    { "usbdevice", NULL },
    { "uuid", NULL },
    { "virtfs", NULL },
    { "vnc", NULL },
    { "watchdog", NULL },
    { "watchdog-action", NULL },
    { "win2k-hack", NULL },
    { "writeconfig", NULL },
    { "xen-domid", NULL },
};

/* ---- Parsing. */

static const CliOption *find_option(const char *name)
{
    for (const CliOption *option = options; option->name; option++) {
        if (strcmp(option->name, name) == 0 ||
            (option->alias && strcmp(option->alias, name) == 0)) {
            return option;
        }
    }
    return NULL;
}

static bool refuse_option(const char *word, const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(options) + 1] = { NULL };
    const char *nearest;
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        if (strcmp(refused[i].name, name) == 0) {
            return orr_fail(error, ORR_ERROR_UNSUPPORTED, "option -%s is not supported%s%s", name,
                            refused[i].instead ? "; " : "",
                            refused[i].instead ? refused[i].instead : "");
        }
    }
    for (const CliOption *option = options; option->name; option++) {
        names[n++] = option->name;
    }
    nearest = orr_nearest(name, names);
    if (nearest) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND, "unknown option %s; did you mean -%s?", word,
                        nearest);
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "unknown option %s; -help lists them", word);
}

static bool apply_option(Cli *cli, const CliOption *option, const char *argument, GError **error)
{
    void *field = (char *)cli + option->offset;
    bool ok = true;

    if (option->on_help != CLI_RUN && is_help(argument)) {
        cli->help = option->on_help;
        return true;
    }
    switch (option->store) {
    case STORE_FLAG:
        *(bool *)field = true;
        break;
    case STORE_TEXT:
        *(const char **)field = argument;
        break;
    case STORE_COPY:
        g_free(*(char **)field);
        *(char **)field = g_strdup(argument);
        break;
    case STORE_LIST:
        g_ptr_array_add(*(GPtrArray **)field, (char *)argument);
        break;
    case STORE_PARSE:
        ok = option->parse(cli, argument, error);
        break;
    }
    if (!ok) {
        g_prefix_error(error, "-%s %s: ", option->name, argument ? argument : "");
    }
    return ok;
}

static void target_from_name(Cli *cli, const char *program)
{
    const char *mark = "-system-";
    const char *found = g_strrstr(program, mark);

    if (found && found[strlen(mark)]) {
        cli->target = g_strdup(found + strlen(mark));
    }
}

void cli_init(Cli *cli)
{
    *cli = (Cli){ 0 };
    cli->log.file = stderr;
    cli->machine_text = g_string_new(NULL);
    cli->machine.log = &cli->log;
    cli->machine.accels = g_ptr_array_new();
    cli->machine.devices = g_ptr_array_new();
    cli->machine.drives = g_ptr_array_new();
    cli->machine.globals = g_ptr_array_new();
    cli->machine.serials = g_ptr_array_new();
    cli->machine.chardevs = g_ptr_array_new();
    cli->traces = g_ptr_array_new();
}

void cli_finish(Cli *cli)
{
    g_string_free(cli->machine_text, TRUE);
    g_ptr_array_unref(cli->machine.accels);
    g_ptr_array_unref(cli->machine.devices);
    g_ptr_array_unref(cli->machine.drives);
    g_ptr_array_unref(cli->machine.globals);
    g_ptr_array_unref(cli->machine.serials);
    g_ptr_array_unref(cli->machine.chardevs);
    g_ptr_array_unref(cli->traces);
    g_free((char *)cli->machine.name);
    g_free(cli->target);
    g_free(cli->log_items);
    g_free(cli->log_path);
    g_free(cli->monitor);
    g_free(cli->process_name);
    g_free(cli->pid_path);
}

bool cli_parse(Cli *cli, int argc, char **argv, GError **error)
{
    g_autofree char *program = g_path_get_basename(argc > 0 ? argv[0] : "orrery");

    target_from_name(cli, program);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *name = word[0] != '-' ? NULL : word[1] == '-' ? word + 2 : word + 1;
        const CliOption *option = name && *name ? find_option(name) : NULL;

        if (!name) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "'%s' is not an option; a disk image is given with -drive", word);
        }
        if (!option) {
            return refuse_option(word, name, error);
        }
        if (option->argument && ++i >= argc) {
            return orr_fail(error, ORR_ERROR_INVALID, "option -%s needs an argument: %s", name,
                            option->argument);
        }
        if (!apply_option(cli, option, option->argument ? argv[i] : NULL, error)) {
            return false;
        }
    }
    if (!cli->target) {
        cli->target = g_strdup("riscv64");
    }
    cli->machine.target = cli->target;
    cli->machine.machine = cli->machine_text->len ? cli->machine_text->str : NULL;
    return true;
}

/* ---- Defaults. */

static bool uses_stdio(const char *spec)
{
    return g_str_has_prefix(spec, "mon:stdio") || g_str_has_prefix(spec, "stdio");
}

void cli_apply_defaults(Cli *cli)
{
    GPtrArray *serials = cli->machine.serials;
    bool terminal = cli->nographic || !cli->display_none;
    bool taken = cli->monitor && uses_stdio(cli->monitor);

    if (cli->nodefaults || cli->machine.qtest || !terminal) {
        return;
    }
    for (guint i = 0; i < serials->len; i++) {
        const char *spec = g_ptr_array_index(serials, i);

        taken = taken || uses_stdio(spec) || g_str_has_prefix(spec, "mon:");
    }
    for (guint i = 0; i < cli->machine.chardevs->len; i++) {
        taken = taken || uses_stdio(g_ptr_array_index(cli->machine.chardevs, i));
    }
    if (serials->len == 0 && !taken) {
        g_ptr_array_add(serials, (char *)(cli->monitor ? "stdio" : "mon:stdio"));
    } else if (cli->nographic && !cli->monitor && !taken) {
        cli->monitor = g_strdup("stdio");
    }
}

/* ---- Help. */

void cli_print_help(FILE *out)
{
    const char *program = g_get_prgname();

    fprintf(out, "usage: %s [OPTION...]\n\n", program ? program : "orrery");
    for (const CliOption *option = options; option->name; option++) {
        g_autofree char *alias = option->alias ? g_strdup_printf(", -%s", option->alias) : NULL;

        fprintf(out, "  -%s%s%s%s\n        %s\n", option->name, alias ? alias : "",
                option->argument ? " " : "", option->argument ? option->argument : "",
                option->help);
    }
    fprintf(out, "\nOptions are QEMU's where QEMU has them; --NAME is the same as -NAME.\n"
                 "On the terminal: Ctrl-A x ends the emulator, Ctrl-A c is the monitor, "
                 "Ctrl-A h helps.\n");
}
