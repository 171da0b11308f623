/* SPDX-License-Identifier: MIT */
/*
 * A machine's life: made from the user's options step by step, run, and taken apart in the reverse
 * order. The idea to hold: machine_destroy copes with whatever machine_create had got to, so that
 * every failure is one message and one call.
 */
#include "orrery/impl/machine.h"

#include <string.h>

#include "machine/internal.h"
#include "orrery/gen/config.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/error.h"
#include "orrery/impl/guest-os.h"
#include "orrery/impl/trace.h"

#include "trace/trace-hw.h"

/* ---- Limits. */

static bool check_limits(Machine *machine, GError **error)
{
    const MachineClass *cls = machine->cls;
    const MachineOptions *options = machine->options;
    unsigned limit = MIN(cls->max_vcpus, machine->target->max_vcpus);
    unsigned vcpus = MAX(options->vcpus, 1), max_vcpus = MAX(options->max_vcpus, vcpus);
    uint64_t ram_bytes = options->ram_given ? options->ram_bytes : cls->default_ram_bytes;

    if (!g_strv_contains(cls->targets, machine->target->name)) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "machine '%s' is not for target %s",
                        cls->name, machine->target->name);
    }
    if (max_vcpus > limit) {
        return orr_fail(error, ORR_ERROR_INVALID, "-smp: machine '%s' has at most %u vCPUs, not %u",
                        cls->name, limit, max_vcpus);
    }
    if (ram_bytes < cls->min_ram_bytes || ram_bytes > cls->max_ram_bytes) {
        g_autofree char *given = g_format_size_full(ram_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *least = g_format_size_full(cls->min_ram_bytes, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *most = g_format_size_full(cls->max_ram_bytes, G_FORMAT_SIZE_IEC_UNITS);

        return orr_fail(error, ORR_ERROR_INVALID, "-m: machine '%s' takes %s to %s of RAM, not %s",
                        cls->name, least, most, given);
    }
    machine->ram_bytes = (ram_bytes + MEMORY_PAGE_SIZE - 1) & ~(MEMORY_PAGE_SIZE - 1);
    if (options->serials && options->serials->len > cls->max_serials) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "-serial %s: machine '%s' has no more than %u serial line%s",
                        (const char *)g_ptr_array_index(options->serials, cls->max_serials),
                        cls->name, cls->max_serials, cls->max_serials == 1 ? "" : "s");
    }
    return true;
}

/* ---- Accelerator. */

static char *pair_value(const GArray *pairs, const char *key)
{
    char *value = NULL;

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, key) == 0) {
            value = pair->value;
        }
    }
    return value;
}

static bool set_accel_props(Machine *machine, const GArray *pairs, GError **error)
{
    const MachineOptions *options = machine->options;

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (strcmp(pair->key, "accel") != 0 &&
            !accel_set_prop(machine->accel, pair->key, pair->value, error)) {
            return false;
        }
    }
    if (!options->qtest) {
        return true;
    }
    if (!props_find(machine->accel->driver->props, "chardev")) {
        return orr_fail(error, ORR_ERROR_INVALID, "-qtest is of use only with -accel qtest, not %s",
                        machine->accel->driver->name);
    }
    return accel_set_prop(machine->accel, "chardev", options->qtest, error) &&
           (!options->qtest_log ||
            accel_set_prop(machine->accel, "log", options->qtest_log, error));
}

/* The first text whose accelerator is usable; the reasons against earlier ones are kept. */
static bool choose_accel(Machine *machine, const char *from_machine, GError **error)
{
    const MachineOptions *options = machine->options;
    const char *fallback[] = { from_machine     ? from_machine
                               : options->qtest ? "qtest"
                                                : ORRERY_DEFAULT_ACCEL };
    bool given = options->accels && options->accels->len > 0;
    const char *const *texts = given ? (const char *const *)options->accels->pdata : fallback;
    guint count = given ? options->accels->len : 1;
    g_autoptr(GString) refusals = g_string_new(NULL);

    if (given && from_machine) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "-accel and -machine accel= both name an accelerator; give one of them");
    }
    for (guint i = 0; i < count; i++) {
        GArray *pairs = orr_split_options(texts[i], "accel");
        const char *names = pair_value(pairs, "accel");
        GError *why = NULL;
        const AccelDriver *driver = accel_find(names ? names : "", machine->target->name, &why);
        bool ok;

        if (!driver) {
            g_string_append_printf(refusals, "%s%s", refusals->len ? "; " : "", why->message);
            g_error_free(why);
            g_array_unref(pairs);
            continue;
        }
        if (refusals->len) {
            orr_report_warning("%s; using %s", refusals->str, driver->name);
        }
        machine->accel =
            accel_create(driver, machine->target, machine->cpus, machine->timers, machine->memory);
        machine->accel->devices = &machine->env;
        ok = set_accel_props(machine, pairs, error) && accel_init_machine(machine->accel, error);
        g_array_unref(pairs);
        return ok;
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "%s", refusals->str);
}

/* ---- vCPUs. */

static bool parse_cpu(Machine *machine, GError **error)
{
    const char *text = machine->options->cpu ? machine->options->cpu : machine->cls->default_cpu;
    const TargetCpuModel *models = machine->target->models;
    GPtrArray *names;
    const char *nearest;
    const OptPair *first;

    if (!text) {
        text = models[0].name;
    }
    machine->cpu_props = orr_split_options(text, "model");
    first = machine->cpu_props->len ? &g_array_index(machine->cpu_props, OptPair, 0) : NULL;
    if (!first || strcmp(first->key, "model") != 0) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "-cpu %s: a model's name comes first; '-cpu help' lists them", text);
    }
    machine->cpu_model = g_strdup(first->value);
    g_array_remove_index(machine->cpu_props, 0);
    names = g_ptr_array_new();
    for (const TargetCpuModel *model = models; model->name; model++) {
        if (strcmp(model->name, machine->cpu_model) == 0) {
            g_ptr_array_unref(names);
            return true;
        }
        g_ptr_array_add(names, (char *)model->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = orr_nearest(machine->cpu_model, (const char *const *)names->pdata);
    g_ptr_array_unref(names);
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "-cpu %s: target %s has no such model; %s%s%s",
                    machine->cpu_model, machine->target->name, nearest ? "did you mean '" : "",
                    nearest ? nearest : "'-cpu help' lists them", nearest ? "'?" : "");
}

static bool add_vcpu(Machine *machine, GError **error)
{
    Vcpu *vcpu = vcpu_create(machine->cpus, machine->target, machine->cpu_model, error);

    if (!vcpu) {
        return false;
    }
    for (guint i = 0; i < machine->cpu_props->len; i++) {
        const OptPair *pair = &g_array_index(machine->cpu_props, OptPair, i);

        if (!props_set(vcpu, machine->target->props, machine->cpu_model, pair->key, pair->value,
                       error)) {
            g_prefix_error(error, "-cpu: ");
            vcpu_discard(vcpu);
            return false;
        }
    }
    if (!vcpu_plug(vcpu, error)) {
        vcpu_discard(vcpu);
        return false;
    }
    return true;
}

bool machine_add_vcpus(Machine *machine, GError **error)
{
    for (unsigned i = 0; i < MAX(machine->options->vcpus, 1); i++) {
        if (!add_vcpu(machine, error)) {
            return false;
        }
    }
    return true;
}

/* ---- Back ends and the user's devices. */

Chardev *machine_open_chardev(Machine *machine, const char *label, const char *spec, GError **error)
{
    const char *prefix = "chardev:";
    Chardev *chr;

    if (!g_str_has_prefix(spec, prefix)) {
        return device_env_add_chardev(&machine->env, label, spec, error);
    }
    spec += strlen(prefix);
    chr = device_env_find_chardev(&machine->env, spec);
    if (!chr) {
        orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no chardev '%s'; make it with -chardev",
                 spec);
    }
    return chr;
}

static const char *text_at(const GPtrArray *texts, guint i)
{
    return texts && i < texts->len ? g_ptr_array_index((GPtrArray *)texts, i) : NULL;
}

static bool open_backends(Machine *machine, GError **error)
{
    const MachineOptions *options = machine->options;
    const char *text;

    for (guint i = 0; (text = text_at(options->chardevs, i)); i++) {
        if (!device_env_add_chardev(&machine->env, NULL, text, error)) {
            return false;
        }
    }
    machine->serial_count = options->serials ? options->serials->len : 0;
    machine->serials = g_new0(Chardev *, machine->serial_count + 1);
    for (guint i = 0; (text = text_at(options->serials, i)); i++) {
        g_autofree char *label = g_strdup_printf("serial%u", i);

        if (strcmp(text, "none") == 0) {
            continue;
        }
        machine->serials[i] = machine_open_chardev(machine, label, text, error);
        if (!machine->serials[i]) {
            g_prefix_error(error, "-serial %s: ", text);
            return false;
        }
    }
    for (guint i = 0; (text = text_at(options->drives, i)); i++) {
        if (!device_env_add_drive(&machine->env, text, error)) {
            g_prefix_error(error, "-drive %s: ", text);
            return false;
        }
    }
    for (guint i = 0; (text = text_at(options->globals, i)); i++) {
        if (!device_env_add_global(&machine->env, text, error)) {
            return false;
        }
    }
    return true;
}

/* Drives that are for the board to connect (if=virtio) and that no -device has taken. */
static bool add_drive_devices(Machine *machine, GError **error)
{
    const GPtrArray *drives = machine->env.drives;

    for (guint i = 0; i < drives->len; i++) {
        const BlockDev *blk = g_ptr_array_index(drives, i);
        g_autofree char *text =
            g_strdup_printf("%s,drive=%s", machine->cls->drive_device, blockdev_id(blk));

        if (strcmp(blockdev_interface(blk), "none") == 0 || blockdev_user(blk)) {
            continue;
        }
        if (!device_add(&machine->env, text, error)) {
            g_prefix_error(error, "-drive id=%s: ", blockdev_id(blk));
            return false;
        }
    }
    return true;
}

static bool add_user_devices(Machine *machine, GError **error)
{
    const char *text;

    for (guint i = 0; (text = text_at(machine->options->devices, i)); i++) {
        if (!device_add(&machine->env, text, error)) {
            g_prefix_error(error, "-device %s: ", text);
            return false;
        }
    }
    if (machine->cls->drive_device && !add_drive_devices(machine, error)) {
        return false;
    }
    device_env_check_globals(&machine->env);
    return true;
}

/* ---- The whole. */

static bool reset_all(Machine *machine, bool first, GError **error)
{
    unsigned left = cpus_count(machine->cpus);

    device_env_reset(&machine->env);
    guest_os_reset(machine->guest_os);
    /* Indices may have holes where vCPUs were unplugged. */
    for (unsigned i = 0; left > 0; i++) {
        Vcpu *vcpu = cpus_get(machine->cpus, i);

        if (vcpu) {
            vcpu_reset(vcpu);
            left--;
        }
    }
    return !machine->cls->reset || machine->cls->reset(machine, first, error);
}

static void on_reset(void *opaque, const char *cause)
{
    Machine *machine = opaque;
    GError *error = NULL;

    trace_hw_machine_reset(cause);
    if (!reset_all(machine, false, &error)) {
        orr_report_error("the machine cannot be reset: %s", error->message);
        g_error_free(error);
        machine->failed = true;
        system_shutdown_request(machine->cpus, "reset-failed", 1);
    } else if (!vm_running(machine->cpus)) {
        vm_stop(machine->cpus, RUN_STATE_PRELAUNCH); /* whatever it ended in is over */
    }
}

static bool make_core(Machine *machine, GError **error)
{
    CpusHooks hooks = { .reset = on_reset, .opaque = machine };

    machine->timers = timers_create();
    machine->memory = memory_create();
    machine->cpus = cpus_create(machine->timers, machine->memory, machine->options->log);
    machine_lock(machine->cpus);
    cpus_set_hooks(machine->cpus, &hooks);
    device_env_init(&machine->env, machine->cpus, machine->memory, machine->timers,
                    machine->options->log);
    machine->guest_os = guest_os_create(machine->memory, orr_trace_guest(), error);
    cpus_set_guest_os(machine->cpus, machine->guest_os);
    return machine->guest_os != NULL;
}

static bool make_all(Machine *machine, const GArray *pairs, GError **error)
{
    if (!machine_set_props(machine, pairs, error) || !check_limits(machine, error) ||
        !parse_cpu(machine, error) || !make_core(machine, error)) {
        return false;
    }
    if (!choose_accel(machine, pair_value(pairs, "accel"), error)) {
        return false;
    }
    cpus_set_accel(machine->cpus, machine->accel);
    if (!open_backends(machine, error) || !machine->cls->build(machine, error) ||
        !add_user_devices(machine, error) || !machine->cls->complete(machine, error)) {
        return false;
    }
    return machine->only_dump ||
           (accel_setup_post(machine->accel, error) && reset_all(machine, true, error));
}

Machine *machine_create(const MachineOptions *options, GError **error)
{
    const TargetOps *target = target_find(options->target);
    GArray *pairs = orr_split_options(options->machine ? options->machine : "", "type");
    Machine *machine = NULL;
    const MachineClass *cls;

    if (!target) {
        orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no target '%s'", options->target);
    } else if ((cls = machine_class_choose(pair_value(pairs, "type"), target, error))) {
        machine = g_malloc0(cls->instance_bytes);
        machine->cls = cls;
        machine->options = options;
        machine->target = target;
        props_init(machine, cls->props);
        if (!make_all(machine, pairs, error)) {
            machine_destroy(machine);
            machine = NULL;
        }
    }
    g_array_unref(pairs);
    return machine;
}

int machine_run(Machine *machine, bool no_reboot, bool no_shutdown)
{
    int status;

    if (machine->only_dump) {
        return 0;
    }
    if (!machine->options->start_paused) {
        vm_start(machine->cpus);
    }
    status = main_loop_run(machine->cpus, no_reboot, no_shutdown);
    return machine->failed ? 1 : status;
}

void machine_destroy(Machine *machine)
{
    Cpus *cpus = machine ? machine->cpus : NULL;

    if (!machine) {
        return;
    }
    if (cpus) {
        if (cpus_count(cpus) > 0) {
            vm_stop(cpus, RUN_STATE_SHUTDOWN);
        }
        /* Devices go first: they may still lower lines that end in a vCPU. */
        device_env_finish(&machine->env);
        for (unsigned i = 0; cpus_count(cpus) > 0; i++) {
            if (cpus_get(cpus, i)) {
                vcpu_unplug(cpus_get(cpus, i));
            }
        }
        accel_destroy(machine->accel);
    }
    if (machine->cls->finish) {
        machine->cls->finish(machine);
    }
    if (cpus) {
        machine_unlock(cpus);
        cpus_destroy(cpus);
        guest_os_destroy(machine->guest_os);
        memory_destroy(machine->memory);
        timers_destroy(machine->timers);
    }
    props_finish(machine, machine->cls->props);
    if (machine->cpu_props) {
        g_array_unref(machine->cpu_props);
    }
    g_free(machine->cpu_model);
    g_free(machine->serials);
    g_free(machine);
}
