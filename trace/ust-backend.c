/* SPDX-License-Identifier: MIT */
/*
 * Events to LTTng-UST. Nothing here links with LTTng: each subsystem's tracepoints are in a shared
 * object of their own, loaded when one of its events is first selected. So the binary starts the
 * same whether or not LTTng is installed or a session daemon runs. Loaded objects stay loaded.
 */
#include "orrery/gen/config.h"
#include "orrery/impl/error.h"
#include "trace/internal.h"
#include "trace/ust-provider.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

/* By the subsystem's number, the high byte of an event's id. Written before a mask bit is set. */
static const TraceUstProvider *providers[TRACE_MAX_SUBSYSTEMS];

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
    providers[sub->events[0].id >> 8] = provider;
    return true;
}

static bool ust_open(const TraceSetup *setup, GError **error)
{
    /*
     * Without this the provider's constructor waits up to three seconds for a session daemon that
     * does not answer. A user who wants the first events of a run sets it.
     */
    g_setenv("LTTNG_UST_REGISTER_TIMEOUT", "0", FALSE);
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        if (setup->wanted[i] && !providers[sub->events[0].id >> 8] && !load_provider(sub, error)) {
            return false;
        }
    }
    return true;
}

static void ust_close(void)
{
    /* The session daemon owns the buffers; they are read out after the process has ended. */
}

static void ust_emit(const TraceEvent *event, const void *args)
{
    providers[event->id >> 8]->emit[event->index](args);
}

const TraceBackend orr_trace_ust_backend = {
    .name = "ust",
    .summary = "LTTng-UST, providers orrery_<subsystem>",
    .open = ust_open,
    .close = ust_close,
    .emit = ust_emit,
};
