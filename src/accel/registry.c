/* SPDX-License-Identifier: MIT */
/*
 * From the name a user types to a driver that has been checked: built in or loaded, for the right
 * target, usable on this host. Every refusal is kept as a sentence, because a user whose choice
 * falls through wants to know why.
 */
#include <stdio.h>
#include <string.h>

#include "orrery/impl/accel.h"
#include "orrery/impl/error.h"
#include "orrery/impl/log.h"
#include "orrery/impl/module.h"
#include "orrery/impl/target.h"
#include "src/accel/internal.h"

bool accel_driver_check(const AccelDriver *driver, GError **error)
{
    const char *name = driver->name ? driver->name : "(unnamed)";
    const char *missing;

    if (driver->struct_size < offsetof(AccelDriver, memory_listener)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "accelerator %s: its driver struct has %zu bytes, at least %zu are needed",
                        name, driver->struct_size, offsetof(AccelDriver, memory_listener));
    }
    if (!driver->name || !*driver->name) {
        return orr_fail(error, ORR_ERROR_INVALID, "accelerator without a name");
    }
    if (!driver->ops || driver->ops->struct_size < offsetof(AccelOps, create_vcpu_thread)) {
        return orr_fail(error, ORR_ERROR_INVALID, "accelerator %s: no ops table", name);
    }
    if (driver->ops->struct_size != sizeof(AccelOps)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "accelerator %s: its ops table has %zu bytes, this binary's has %zu; "
                        "rebuild it against the installed headers",
                        name, driver->ops->struct_size, sizeof(AccelOps));
    }
    missing = accel_ops_missing(driver->ops);
    if (missing) {
        return orr_fail(error, ORR_ERROR_INVALID, "accelerator %s: required op %s is missing", name,
                        missing);
    }
    if (driver->instance_bytes < sizeof(Accel)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "accelerator %s: instance_bytes is %zu, smaller than struct Accel", name,
                        driver->instance_bytes);
    }
    if ((driver->caps & ACCEL_CAP_GUEST_DEBUG) && !driver->ops->supports_guest_debug) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "accelerator %s: claims guest debug without the op supports_guest_debug",
                        name);
    }
    for (const AccelCpu *const *cpu = driver->cpus; cpu && *cpu; cpu++) {
        if ((*cpu)->struct_size != sizeof(AccelCpu) || !(*cpu)->target) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "accelerator %s: an AccelCpu has a wrong size or no target", name);
        }
    }
    return true;
}

static bool serves(const char *const *targets, const char *target)
{
    return !targets || g_strv_contains(targets, target) || g_strv_contains(targets, "*");
}

static const AccelDriver *pick(const AccelModule *module, const char *name)
{
    for (const AccelDriver *const *d = module->drivers; *d; d++) {
        if (!g_strcmp0((*d)->name, name)) {
            return *d;
        }
    }
    return NULL;
}

static const AccelDriver *find_builtin(const char *name, const char *target)
{
    for (const AccelModule *const *m = accel_builtin_modules; *m; m++) {
        const AccelDriver *driver = pick(*m, name);

        if (driver && serves(driver->targets, target)) {
            return driver;
        }
    }
    return NULL;
}

/* accel-NAME-TARGET, accel-NAME, and the same for the family of a variant: tcg of tcg-rr. */
static char *find_module_file(const char *name, const char *target)
{
    g_autofree char *stem = g_strdup(name);
    char *path = NULL;

    for (;;) {
        g_autofree char *specific = g_strdup_printf("accel-%s-%s", stem, target);
        g_autofree char *general = g_strdup_printf("accel-%s", stem);
        char *dash;

        path = module_find(specific);
        if (!path) {
            path = module_find(general);
        }
        dash = strrchr(stem, '-');
        if (path || !dash) {
            return path;
        }
        *dash = '\0';
    }
}

static bool name_is_sane(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(name);
}

/* A module that serves another target than asked for: say so instead of "not installed". */
static char *other_target_hint(const char *name)
{
    g_autofree char *prefix = g_strdup_printf("accel-%s", name);
    g_autoptr(GPtrArray) found = module_scan(prefix);
    GString *hint = g_string_new(NULL);

    for (guint i = 0; i < found->len; i++) {
        ModuleInfo *info = g_ptr_array_index(found, i);

        if (info->targets && info->drivers &&
            g_strv_contains((const char *const *)info->drivers, name)) {
            g_autofree char *targets = g_strjoinv(", ", info->targets);

            g_string_append_printf(hint, "%s%s serves only %s", hint->len ? "; " : "", info->path,
                                   targets);
        }
    }
    return g_string_free(hint, hint->len == 0);
}

static const AccelDriver *find_one(const char *name, const char *target, GError **error)
{
    const AccelDriver *driver;
    g_autofree char *path = NULL;
    g_autofree char *why = NULL;

    if (!name_is_sane(name)) {
        orr_fail(error, ORR_ERROR_INVALID, "'%s' is not the name of an accelerator", name);
        return NULL;
    }
    driver = find_builtin(name, target);
    if (!driver) {
        const AccelModule *module;
        ModuleInfo *info;
        bool other;

        path = find_module_file(name, target);
        if (!path) {
            g_autofree char *hint = other_target_hint(name);
            g_auto(GStrv) dirs = module_search_path();
            g_autofree char *where = g_strjoinv(" ", dirs);

            /* One module holds a family: tcg-rr is in accel-tcg. */
            orr_fail(error, ORR_ERROR_NOT_FOUND,
                     "accelerator %s is not installed for %s: no accel-%.*s-%s.so in %s%s%s; "
                     "install it, or see -accel help",
                     name, target, (int)strcspn(name, "-"), name, target, where, hint ? "; " : "",
                     hint ? hint : "");
            return NULL;
        }
        info = module_read_info(path, error);
        if (!info) {
            return NULL;
        }
        other = !serves((const char *const *)info->targets, target);
        if (other) {
            g_autofree char *targets = g_strjoinv(", ", info->targets);

            orr_fail(error, ORR_ERROR_INVALID, "module %s is for target %s, not %s", path, targets,
                     target);
        }
        module_info_free(info);
        if (other) {
            return NULL;
        }
        module = module_load(path, ACCEL_MODULE_SYMBOL, error);
        if (!module) {
            return NULL;
        }
        if (module->struct_size != sizeof(AccelModule) || !module->drivers) {
            orr_fail(error, ORR_ERROR_INVALID, "module %s has a foreign descriptor; rebuild it",
                     path);
            return NULL;
        }
        driver = pick(module, name);
        if (!driver) {
            orr_fail(error, ORR_ERROR_NOT_FOUND, "module %s holds no accelerator named %s", path,
                     name);
            return NULL;
        }
    }
    if (!accel_driver_check(driver, error)) {
        return NULL;
    }
    if (!serves(driver->targets, target)) {
        orr_fail(error, ORR_ERROR_INVALID, "accelerator %s does not serve target %s", name, target);
        return NULL;
    }
    if (driver->probe && !driver->probe(target, &why)) {
        orr_fail(error, ORR_ERROR_UNSUPPORTED, "accelerator %s cannot be used here: %s", name,
                 why ? why : "it gives no reason");
        return NULL;
    }
    return driver;
}

const AccelDriver *accel_find(const char *names, const char *target, GError **error)
{
    g_auto(GStrv) list = g_strsplit(names, ":", -1);
    g_autoptr(GString) refusals = g_string_new(NULL);

    if (!list[0] || !*list[0]) {
        orr_fail(error, ORR_ERROR_INVALID, "-accel needs a name; see -accel help");
        return NULL;
    }
    for (char **name = list; *name; name++) {
        g_autoptr(GError) why = NULL;
        const AccelDriver *driver = find_one(*name, target, &why);

        if (driver) {
            if (refusals->len) {
                orr_report_warning("%s; using %s", refusals->str, *name);
            }
            return driver;
        }
        g_string_append_printf(refusals, "%s%s", refusals->len ? "; " : "", why->message);
    }
    orr_fail(error, ORR_ERROR_NOT_FOUND, "%s", refusals->str);
    return NULL;
}

static void help_line(FILE *out, const char *name, const char *targets, const char *summary,
                      const char *refusal)
{
    fprintf(out, "%-12s %-16s %s", name, targets, summary ? summary : "");
    if (refusal) {
        fprintf(out, "%sunusable: %s", summary && *summary ? "; " : "", refusal);
    }
    fputc('\n', out);
}

void accel_help(const char *target, FILE *out)
{
    g_autoptr(GPtrArray) found = module_scan("accel-");

    fprintf(out, "Accelerators (for target %s unless the module says otherwise):\n", target);
    fprintf(out, "%-12s %-16s %s\n", "name", "targets", "what it is");
    for (const AccelModule *const *m = accel_builtin_modules; *m; m++) {
        for (const AccelDriver *const *d = (*m)->drivers; *d; d++) {
            g_autofree char *targets =
                (*d)->targets ? g_strjoinv(",", (char **)(*d)->targets) : g_strdup("*");

            help_line(out, (*d)->name, targets, (*d)->summary, NULL);
        }
    }
    for (guint i = 0; i < found->len; i++) {
        ModuleInfo *info = g_ptr_array_index(found, i);
        g_autofree char *targets = info->targets ? g_strjoinv(",", info->targets) : g_strdup("?");
        g_autofree char *why = g_strdup(info->refusal);

        if (!info->drivers) {
            help_line(out, info->name, targets, info->summary, why);
            continue;
        }
        for (char **name = info->drivers; *name; name++) {
            g_autoptr(GError) error = NULL;

            if (!why && serves((const char *const *)info->targets, target) &&
                !find_one(*name, target, &error)) {
                why = g_strdup(error->message);
            } else if (!why && !serves((const char *const *)info->targets, target)) {
                why = g_strdup_printf("not for %s", target);
            }
            help_line(out, *name, targets, info->summary, why);
        }
    }
}
