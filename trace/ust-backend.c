/* SPDX-License-Identifier: MIT */
/*
 * Events to LTTng-UST. Nothing here links with LTTng: each subsystem's tracepoints are in a shared
 * object of their own, loaded when one of its events is first selected. So the binary starts the
 * same whether or not LTTng is installed or a session daemon runs. Loaded objects stay loaded.
 *
 * The idea to hold: who records is not ours to say. An object that will not do, a daemon that is
 * absent or has died, are said once and the guest runs on; events that went nowhere are counted.
 */
#include "orrery/gen/config.h"
#include "orrery/impl/error.h"
#include "trace/internal.h"
#include "trace/ust-provider.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What became of an event. */
typedef struct Account {
    uint64_t untaken; /* atomic: emitted while no session had it on */
    bool taken;       /* atomic: some session has had it on */
} Account;

/* By the subsystem's number, the high byte of an event's id. Written before a mask bit is set. */
static struct {
    const TraceUstProvider *provider; /* NULL: there is none that would do */
    const TraceSubsystem *sub;
    Account *events; /* n_events; kept to the end of the process, since emissions may come late */
} targets[TRACE_MAX_SUBSYSTEMS];

static struct {
    pid_t pid; /* whose account it is: a forked child has its own end, and says nothing there */
    bool told_provider, told_daemon;
    uint64_t missing; /* as of the last close */
} ust;

/* The directory of the running executable, or NULL. Caller frees. */
static char *executable_dir(void)
{
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

    return exe ? g_path_get_dirname(exe) : NULL;
}

/* Looks for the object in dir and in its trace/ subfolder. Caller frees; NULL when in neither. */
static char *find_in(const char *dir, const char *file)
{
    char *path = g_build_filename(dir, file, NULL);

    if (access(path, F_OK) == 0) {
        return path;
    }
    g_free(path);
    path = g_build_filename(dir, "trace", file, NULL);
    if (access(path, F_OK) == 0) {
        return path;
    }
    g_free(path);
    return NULL;
}

static char *find_provider(const char *file)
{
    g_autofree char *exe_dir = executable_dir();
    const char *dirs[] = { g_getenv("ORRERY_MODULE_DIR"), exe_dir, ORRERY_LIBDIR };

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        char *path = dirs[i] && *dirs[i] ? find_in(dirs[i], file) : NULL;

        if (path) {
            return path;
        }
    }
    return NULL;
}

/*
 * Does the file hold all that its program headers say? The dynamic linker does not ask, and a file
 * cut short by a full disk would end the process with SIGBUS.
 */
static bool is_whole_object(const char *path)
{
    g_autoptr(GMappedFile) map = g_mapped_file_new(path, FALSE, NULL);
    size_t size = map ? g_mapped_file_get_length(map) : 0;
    const char *bytes = size ? g_mapped_file_get_contents(map) : NULL;
    ElfW(Ehdr) eh;

    if (size < sizeof(eh)) {
        return false;
    }
    memcpy(&eh, bytes, sizeof(eh));
    if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_phentsize != sizeof(ElfW(Phdr)) ||
        eh.e_phoff > size || size - eh.e_phoff < (size_t)eh.e_phnum * sizeof(ElfW(Phdr))) {
        return false;
    }
    for (size_t i = 0; i < eh.e_phnum; i++) {
        ElfW(Phdr) ph;

        memcpy(&ph, bytes + eh.e_phoff + i * sizeof(ph), sizeof(ph));
        if (ph.p_offset > size || ph.p_filesz > size - ph.p_offset) {
            return false;
        }
    }
    return true;
}

static bool load_provider(const TraceSubsystem *sub, GError **error)
{
    g_autofree char *file = g_strdup_printf("orrery-trace-ust-%s.so", sub->name);
    g_autofree char *path = find_provider(file);
    const TraceUstProvider *provider;
    void *handle;

    if (!path) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "trace backend 'ust' needs %s, which is not installed; install the package "
                        "orrery-trace-ust, or build with -Dtrace_ust=enabled",
                        file);
    }
    if (!is_whole_object(path)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "the trace provider %s cannot be read or is incomplete; install it again",
                        path);
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        return orr_fail(error, ORR_ERROR_IO,
                        "cannot load the trace provider %s: %s (LTTng-UST itself is in the package "
                        "liblttng-ust1)",
                        path, dlerror());
    }
    provider = dlsym(handle, "orr_trace_ust_provider");
    if (!provider || provider->struct_size < sizeof(*provider)) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is no trace provider of Orrery", path);
    }
    if (g_strcmp0(provider->subsystem, sub->name) || provider->stamp != sub->stamp ||
        provider->n_events != sub->n_events) {
        return orr_fail(
            error, ORR_ERROR_INVALID,
            "the trace provider %s was built for other events than this binary; install "
            "or rebuild both together",
            path);
    }
    targets[sub->events[0].id >> 8].provider = provider;
    return true;
}

/* ---- The session daemon ---- */

/* Does somebody answer at the socket? */
static bool answers(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = false;

    if (fd >= 0 && g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) < sizeof(addr.sun_path)) {
        /* EAGAIN: it listens, and has its hands full. */
        ok = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/*
 * Looks for a daemon of this LTTng's kind in a directory, and for one of another. An application
 * speaks to both the system's and the user's own.
 */
static bool daemon_in(const char *dir, const char *wanted, char **other)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;
    bool found = false;

    while (entries && (name = g_dir_read_name(entries))) {
        if (g_str_has_prefix(name, "lttng-ust-sock-")) {
            g_autofree char *path = g_build_filename(dir, name, NULL);

            if (!answers(path)) {
                continue;
            }
            if (g_str_equal(name, wanted)) {
                found = true;
            } else if (!*other) {
                *other = g_steal_pointer(&path);
            }
        }
    }
    return found;
}

static void look_for_daemon(const char *socket_name)
{
    const char *home = g_getenv("LTTNG_HOME") ? g_getenv("LTTNG_HOME") : g_getenv("HOME");
    g_autofree char *own = g_build_filename(home ? home : "/", ".lttng", NULL);
    g_autofree char *other = NULL;
    bool system = daemon_in("/var/run/lttng", socket_name, &other);

    if (system || daemon_in(own, socket_name, &other)) {
        return;
    }
    ust.told_daemon = true;
    if (other) {
        orr_trace_say("warning: the LTTng session daemon at %s is of another version than this "
                      "host's liblttng-ust, which looks for %s; events are not recorded",
                      other, socket_name);
    } else {
        orr_trace_say("warning: no LTTng session daemon answers; events are not recorded until "
                      "one runs (lttng-sessiond --daemonize)");
    }
}

/* ---- The back end ---- */

static void load_if_needed(const TraceSubsystem *sub)
{
    unsigned number = sub->events[0].id >> 8;
    g_autoptr(GError) why = NULL;

    targets[number].sub = sub;
    if (!targets[number].events) {
        targets[number].events = g_new0(Account, sub->n_events);
    }
    if (!targets[number].provider && !load_provider(sub, &why) && !ust.told_provider) {
        ust.told_provider = true;
        orr_trace_say("warning: %s; events are lost", why->message);
    }
}

static bool ust_open(const TraceSetup *setup, GError **error)
{
    const char *socket_name = NULL;

    /*
     * Without this the provider's constructor waits up to three seconds for a session daemon that
     * does not answer. A user who wants the first events of a run sets it.
     */
    g_setenv("LTTNG_UST_REGISTER_TIMEOUT", "0", FALSE);
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        if (setup->wanted[i]) {
            load_if_needed(orr_trace_subsystems[i]);
        }
    }
    for (unsigned i = 0; i < TRACE_MAX_SUBSYSTEMS && !socket_name; i++) {
        socket_name = targets[i].provider ? targets[i].provider->socket : NULL;
    }
    if (socket_name && !ust.told_daemon) {
        look_for_daemon(socket_name);
    }
    ust.pid = getpid();
    ust.missing = 0;
    return true;
}

/*
 * What went nowhere: all that was emitted of an event before a session had it on, and after that,
 * or after the daemon, ended. An event that no session ever had on was not asked for, unless none
 * had any on, or it has no provider.
 */
static uint64_t count_missing(void)
{
    uint64_t of_taken = 0, of_others = 0, of_missing = 0;
    bool any = false;

    for (unsigned i = 0; i < TRACE_MAX_SUBSYSTEMS; i++) {
        for (unsigned j = 0; targets[i].events && j < targets[i].sub->n_events; j++) {
            uint64_t n = orr_load_relaxed(&targets[i].events[j].untaken);

            if (!targets[i].provider) {
                of_missing += n;
            } else if (orr_load_relaxed(&targets[i].events[j].taken)) {
                of_taken += n;
                any = true;
            } else {
                of_others += n;
            }
        }
    }
    return of_missing + of_taken + (any ? 0 : of_others);
}

static void forget_counts(void)
{
    for (unsigned i = 0; i < TRACE_MAX_SUBSYSTEMS; i++) {
        for (unsigned j = 0; targets[i].events && j < targets[i].sub->n_events; j++) {
            orr_store_relaxed(&targets[i].events[j].untaken, 0);
            orr_store_relaxed(&targets[i].events[j].taken, false);
        }
    }
}

/* The session daemon owns the buffers; they are read out after the process has ended. */
static void ust_close(void)
{
    if (ust.pid != getpid()) {
        return;
    }
    ust.missing = count_missing();
    if (ust.missing) {
        orr_trace_say("warning: %" G_GUINT64_FORMAT " events came while no LTTng session "
                      "recorded them",
                      ust.missing);
    }
    ust.told_provider = ust.told_daemon = false;
    forget_counts();
}

uint64_t orr_trace_ust_lost(void)
{
    uint64_t now = count_missing();

    return now ? now : ust.missing;
}

static void ust_emit(const TraceEvent *event, const void *args)
{
    const TraceUstProvider *provider = targets[event->id >> 8].provider;
    Account *account = &targets[event->id >> 8].events[event->index];

    if (G_LIKELY(provider && provider->emit[event->index](args))) {
        if (G_UNLIKELY(!orr_load_relaxed(&account->taken))) {
            orr_store_relaxed(&account->taken, true);
        }
    } else {
        orr_fetch_add(&account->untaken, 1);
    }
}

const TraceBackend orr_trace_ust_backend = {
    .name = "ust",
    .summary = "LTTng-UST, providers orrery_<subsystem>",
    .open = ust_open,
    .close = ust_close,
    .emit = ust_emit,
};
