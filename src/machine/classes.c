/* SPDX-License-Identifier: MIT */
/*
 * The table of boards, their properties by name, and what -machine help and -cpu help print.
 */
#include <string.h>

#include "machine/internal.h"
#include "orrery/impl/error.h"

static const MachineClass *const machine_classes[] = { &virt_machine_class, NULL };

/* Properties of QEMU's boards that are refused by name rather than as unknown. */
static const char *const not_offered[] = {
    "aia",
    "aia-guests",
    "append",
    "boot",
    "confidential-guest-support",
    "dt-compatible",
    "dtb",
    "dump-guest-core",
    "firmware",
    "graphics",
    "initrd",
    "iommu-sys",
    "kernel",
    "mem-merge",
    "memory",
    "memory-backend",
    "memory-encryption",
    "phandle-start",
    "smp",
    "spcr",
    "strict",
    "suppress-vmdesc",
    "usb",
    NULL,
};

const MachineClass *const *machine_class_list(void)
{
    return machine_classes;
}

const MachineClass *machine_class_find(const char *name)
{
    for (const MachineClass *const *cls = machine_classes; *cls; cls++) {
        if (strcmp((*cls)->name, name) == 0 ||
            ((*cls)->alias && strcmp((*cls)->alias, name) == 0)) {
            return *cls;
        }
    }
    return NULL;
}

static bool serves(const MachineClass *cls, const char *target)
{
    return g_strv_contains(cls->targets, target);
}

const MachineClass *machine_class_choose(const char *name, const TargetOps *target, GError **error)
{
    const char *known[G_N_ELEMENTS(machine_classes)] = { NULL };
    const MachineClass *found = name ? machine_class_find(name) : NULL;
    const char *nearest;
    size_t n = 0;

    if (found) {
        return found;
    }
    for (const MachineClass *const *cls = machine_classes; *cls; cls++) {
        if (serves(*cls, target->name)) {
            if (!name) {
                return *cls;
            }
            known[n++] = (*cls)->name;
        }
    }
    nearest = name ? orr_nearest(name, known) : NULL;
    orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no machine '%s' for %s; %s%s%s",
             name ? name : "(default)", target->name, nearest ? "did you mean '" : "",
             nearest ? nearest : "'-machine help' lists them", nearest ? "'?" : "");
    return NULL;
}

bool machine_set_props(Machine *machine, const GArray *pairs, GError **error)
{
    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, "type") == 0 || strcmp(pair->key, "accel") == 0) {
            continue;
        }
        if (!props_find(machine->cls->props, pair->key) &&
            g_strv_contains(not_offered, pair->key)) {
            return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                            "-machine: property '%s' of '%s' is not supported", pair->key,
                            machine->cls->name);
        }
        if (!props_set(machine, machine->cls->props, machine->cls->name, pair->key, pair->value,
                       error)) {
            g_prefix_error(error, "-machine: ");
            return false;
        }
    }
    return true;
}

/* ---- Help. */

void machine_help(const char *target, FILE *out)
{
    fprintf(out, "Machines for %s:\n", target);
    for (const MachineClass *const *cls = machine_classes; *cls; cls++) {
        if (serves(*cls, target)) {
            fprintf(out, "%-20s %s (up to %u vCPUs)\n", (*cls)->name, (*cls)->summary,
                    (*cls)->max_vcpus);
        }
    }
}

bool machine_class_help(const char *name, FILE *out)
{
    const MachineClass *cls = machine_class_find(name);

    if (!cls) {
        return false;
    }
    fprintf(out, "%s options:\n", cls->name);
    props_help(cls->props, out);
    return true;
}

void machine_cpu_help(const TargetOps *target, FILE *out)
{
    fprintf(out, "CPU models of %s:\n", target->name);
    for (const TargetCpuModel *model = target->models; model->name; model++) {
        if (!model->alias) {
            fprintf(out, "  %-18s %s\n", model->name, model->summary);
        }
    }
    fprintf(out, "\nProperties (-cpu MODEL,PROPERTY=VALUE,...):\n");
    props_help(target->props, out);
}
