/* SPDX-License-Identifier: MIT */
/*
 * What `info` shows. Everything is read under the machine lock; registers are read on the vCPU's
 * own thread, between two of its instructions.
 */
#include <inttypes.h>
#include <string.h>

#include "monitor/internal.h"
#include "orrery/gen/config.h"
#include "orrery/impl/blockdev.h"
#include "orrery/impl/trace.h"

static void info_jit(Monitor *monitor, const char *rest, GString *out)
{
    Accel *accel = monitor->machine->accel;

    if (!accel_print_translator(accel, out)) {
        g_string_append_printf(out, "accelerator %s translates no code\n", accel->ops->name);
    }
}

static void info_version(Monitor *monitor, const char *rest, GString *out)
{
    g_string_append(out, "Orrery " ORRERY_VERSION "\n");
}

static void info_name(Monitor *monitor, const char *rest, GString *out)
{
    const char *name = monitor->machine->options->name;

    g_string_append_printf(out, "%s\n", name ? name : "(no name; -name gives one)");
}

static void info_status(Monitor *monitor, const char *rest, GString *out)
{
    RunState state = run_state(monitor->machine->cpus);

    g_string_append_printf(out, "VM status: %s", state == RUN_STATE_RUNNING ? "running" : "paused");
    if (state != RUN_STATE_RUNNING && state != RUN_STATE_PAUSED) {
        g_string_append_printf(out, " (%s)", run_state_name(state));
    }
    g_string_append_c(out, '\n');
}

/* ---- vCPUs. */

typedef struct PcReading {
    uint64_t pc;
} PcReading;

static void read_pc(Vcpu *vcpu, void *data)
{
    accel_synchronize_state(vcpu);
    ((PcReading *)data)->pc = vcpu->target->get_pc(vcpu);
}

static void info_cpus(Monitor *monitor, const char *rest, GString *out)
{
    Cpus *cpus = monitor->machine->cpus;
    unsigned left = cpus_count(cpus);

    for (unsigned i = 0; left > 0; i++) {
        Vcpu *vcpu = cpus_get(cpus, i);
        VcpuState state;
        PcReading reading;

        if (!vcpu) {
            continue;
        }
        left--;
        state = vcpu_state(vcpu);
        vcpu_run_on(vcpu, read_pc, &reading);
        g_string_append_printf(out, "%c CPU #%u: pc=0x%016" PRIx64 " %s%s thread_id=%d\n",
                               i == monitor->cpu ? '*' : ' ', i, reading.pc, vcpu_state_name(state),
                               vcpu->crashed ? " (crashed)" : "", (int)vcpu->thread_id);
    }
}

static void dump_registers(Vcpu *vcpu, void *data)
{
    accel_synchronize_state(vcpu);
    vcpu->target->dump_state(vcpu, data);
}

static void info_registers(Monitor *monitor, const char *rest, GString *out)
{
    Cpus *cpus = monitor->machine->cpus;
    unsigned left = cpus_count(cpus);
    Vcpu *vcpu;

    if (strcmp(rest, "-a") != 0) {
        vcpu = monitor_vcpu(monitor, out);
        if (vcpu) {
            vcpu_run_on(vcpu, dump_registers, out);
        }
        return;
    }
    for (unsigned i = 0; left > 0; i++) {
        vcpu = cpus_get(cpus, i);
        if (vcpu) {
            g_string_append_printf(out, "CPU #%u\n", i);
            vcpu_run_on(vcpu, dump_registers, out);
            left--;
        }
    }
}

static void info_sched(Monitor *monitor, const char *rest, GString *out)
{
    cpus_print_sched(monitor->machine->cpus, out);
}

static void info_accel(Monitor *monitor, const char *rest, GString *out)
{
    static const struct {
        uint32_t cap;
        const char *name;
    } caps[] = {
        { ACCEL_CAP_RUNS_GUEST, "runs guest code" },
        { ACCEL_CAP_GUEST_DEBUG, "guest debug" },
        { ACCEL_CAP_RESETTABLE, "resettable" },
        { ACCEL_CAP_EXACT_ICOUNT, "exact icount" },
    };
    const AccelDriver *driver = monitor->machine->accel->driver;
    Cpus *cpus = monitor->machine->cpus;
    unsigned left = cpus_count(cpus);

    g_string_append_printf(out, "%s - %s\n", driver->name, driver->summary);
    for (size_t i = 0; i < G_N_ELEMENTS(caps); i++) {
        if (driver->caps & caps[i].cap) {
            g_string_append_printf(out, "  can: %s\n", caps[i].name);
        }
    }
    for (unsigned i = 0; left > 0; i++) {
        AccelVcpuStats stats = { .struct_size = sizeof(stats) };
        Vcpu *vcpu = cpus_get(cpus, i);

        if (!vcpu) {
            continue;
        }
        left--;
        if (accel_get_vcpu_stats(vcpu, &stats)) {
            g_string_append_printf(out,
                                   "  CPU #%u: instructions %" PRIu64 ", exits %" PRIu64
                                   ", blocks %" PRIu64 ", TLB fills %" PRIu64
                                   ", TLB flushes %" PRIu64 "\n",
                                   i, stats.insns, stats.exits, stats.blocks_filled,
                                   stats.tlb_fills, stats.tlb_flushes);
        }
    }
}

/* ---- Memory and devices. */

typedef struct MapLine {
    hwaddr base, last;
    char *text;
} MapLine;

static void map_line_clear(void *data)
{
    g_free(((MapLine *)data)->text);
}

static int map_line_compare(const void *a, const void *b)
{
    hwaddr left = ((const MapLine *)a)->base, right = ((const MapLine *)b)->base;

    return left < right ? -1 : left > right;
}

static void add_map_line(GArray *lines, hwaddr base, uint64_t size_bytes, char *text)
{
    MapLine line = { base, base + (size_bytes - 1), text };

    g_array_append_val(lines, line);
}

static void on_ram(void *opaque, hwaddr base, RamBlock *block)
{
    add_map_line(opaque, base, block->size_bytes,
                 g_strdup_printf("(%s): %s", block->readonly ? "rom" : "ram", block->name));
}

static void info_mtree(Monitor *monitor, const char *rest, GString *out)
{
    const GPtrArray *devices = monitor->machine->env.devices;
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(MapLine));
    MemoryListener listener = { .ram_added = on_ram, .opaque = lines };

    g_array_set_clear_func(lines, map_line_clear);
    /* A listener is told what is there when it comes. */
    memory_add_listener(monitor->machine->memory, &listener);
    memory_remove_listener(monitor->machine->memory, &listener);
    for (guint i = 0; i < devices->len; i++) {
        const Device *dev = g_ptr_array_index(devices, i);

        for (unsigned n = 0; n < dev->region_count; n++) {
            if (dev->region[n].mapped) {
                add_map_line(lines, dev->region[n].base, dev->region[n].size_bytes,
                             g_strdup_printf("(i/o%s): %s %s",
                                             dev->region[n].ops->lockless ? ", lockless" : "",
                                             dev->id, dev->region[n].name));
            }
        }
    }
    g_array_sort(lines, map_line_compare);
    for (guint i = 0; i < lines->len; i++) {
        const MapLine *line = &g_array_index(lines, MapLine, i);

        g_string_append_printf(out, "%016" PRIx64 "-%016" PRIx64 " %s\n", line->base, line->last,
                               line->text);
    }
}

static void append_prop(const Device *dev, const PropDef *def, GString *out)
{
    const void *field = (const char *)dev + def->offset;
    const char *text;

    g_string_append_printf(out, "  %s = ", def->name);
    switch (def->type) {
    case PROP_BOOL:
        g_string_append(out, *(const bool *)field ? "on" : "off");
        break;
    case PROP_U32:
        g_string_append_printf(out, "%" PRIu32, *(const uint32_t *)field);
        break;
    case PROP_U64:
    case PROP_SIZE:
        g_string_append_printf(out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case PROP_STRING:
        text = *(const char *const *)field;
        g_string_append_printf(out, "\"%s\"", text ? text : "");
        break;
    case PROP_ENUM:
        g_string_append(out, def->values[*(const uint32_t *)field]);
        break;
    }
    g_string_append_c(out, '\n');
}

static void append_device(const Device *dev, GString *out)
{
    g_string_append_printf(out, "dev: %s, id \"%s\"", dev->cls->name, dev->id);
    if (dev->bus) {
        g_string_append_printf(out, ", on bus \"%s\"", dev->bus->name);
    }
    g_string_append_c(out, '\n');
    for (const DeviceClass *cls = dev->cls; cls; cls = cls->parent) {
        for (const PropDef *def = cls->props; def && def->name; def++) {
            append_prop(dev, def, out);
        }
    }
    for (unsigned n = 0; n < dev->region_count; n++) {
        if (dev->region[n].mapped) {
            g_string_append_printf(out, "  mmio %016" PRIx64 "/%" PRIx64 "\n", dev->region[n].base,
                                   dev->region[n].size_bytes);
        }
    }
    if (dev->child) {
        g_string_append_printf(out, "  bus: %s (%s)%s%s\n", dev->child->name, dev->child->type,
                               dev->child->device ? ", holds " : ", free",
                               dev->child->device ? dev->child->device->id : "");
    }
}

static void info_qtree(Monitor *monitor, const char *rest, GString *out)
{
    const GPtrArray *devices = monitor->machine->env.devices;

    for (guint i = 0; i < devices->len; i++) {
        append_device(g_ptr_array_index(devices, i), out);
    }
}

/* The wires that lead out of devices, and how many of a device's outputs lead anywhere. */
static void info_irq(Monitor *monitor, const char *rest, GString *out)
{
    const GPtrArray *devices = monitor->machine->env.devices;

    for (guint i = 0; i < devices->len; i++) {
        const Device *dev = g_ptr_array_index(devices, i);
        unsigned wired = 0;

        for (unsigned n = 0; n < dev->irq_out_count; n++) {
            wired += dev->irq_out[n] != NULL;
        }
        if (dev->irq_out_count || dev->irq_in_count) {
            g_string_append_printf(out, "%-24s inputs %u, outputs %u (%u wired)", dev->id,
                                   dev->irq_in_count, dev->irq_out_count, wired);
            if (dev->irq_out_count == 1 && dev->irq_out[0]) {
                g_string_append_printf(out, ", to input %u", dev->irq_out[0]->n);
            }
            g_string_append_c(out, '\n');
        }
    }
}

static void info_chardev(Monitor *monitor, const char *rest, GString *out)
{
    const GPtrArray *chardevs = monitor->machine->env.chardevs;

    for (guint i = 0; i < chardevs->len; i++) {
        Chardev *chr = g_ptr_array_index(chardevs, i);
        uint64_t dropped = chardev_dropped_bytes(chr);

        g_string_append_printf(out, "%s%s", chardev_label(chr), chardev_is_mux(chr) ? ": mux" : "");
        if (dropped) {
            g_string_append_printf(out, " (%" PRIu64 " bytes dropped: nobody reads them)", dropped);
        }
        g_string_append_c(out, '\n');
    }
}

static void info_block(Monitor *monitor, const char *rest, GString *out)
{
    const GPtrArray *drives = monitor->machine->env.drives;

    for (guint i = 0; i < drives->len; i++) {
        const BlockDev *blk = g_ptr_array_index(drives, i);

        const char *user = blockdev_user(blk);

        g_string_append_printf(out, "%s: %" PRIu64 " bytes%s, used by %s\n", blockdev_id(blk),
                               blockdev_size_bytes(blk),
                               blockdev_readonly(blk) ? ", read-only" : "", user ? user : "nobody");
    }
}

static void info_trace_events(Monitor *monitor, const char *rest, GString *out)
{
    GPatternSpec *spec = g_pattern_spec_new(*rest ? rest : "*");

    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            g_autofree char *name = g_strdup_printf("%s:%s", sub->name, sub->events[j].name);

            if (g_pattern_spec_match_string(spec, name)) {
                g_string_append_printf(out, "%s : %s\n", name,
                                       orr_load_relaxed(&sub->mask[j]) ? "on" : "off");
            }
        }
    }
    g_pattern_spec_free(spec);
}

const MonitorCommand monitor_info_commands[] = {
    { "accel", NULL, "", "the accelerator, and what it counts", info_accel },
    { "block", NULL, "", "disks", info_block },
    { "chardev", NULL, "", "character back ends", info_chardev },
    { "cpus", NULL, "", "vCPUs: program counter, state, thread", info_cpus },
    { "irq", NULL, "", "interrupt wires between devices", info_irq },
    { "jit", NULL, "", "figures of the translator", info_jit },
    { "mtree", NULL, "", "what is where in physical memory", info_mtree },
    { "name", NULL, "", "the guest's name", info_name },
    { "qtree", NULL, "", "devices and buses with their properties", info_qtree },
    { "registers", NULL, "[-a]", "registers of the chosen vCPU (-a: of all)", info_registers },
    { "sched", NULL, "", "where each vCPU's time went", info_sched },
    { "status", NULL, "", "does the machine run?", info_status },
    { "trace-events", NULL, "[GLOB]", "trace events and whether they are on", info_trace_events },
    { "version", NULL, "", "this program's version", info_version },
    { NULL },
};
