/* SPDX-License-Identifier: MIT */
/*
 * The `virt` board for RISC-V: QEMU's published memory map and wiring, made of the devices of
 * src/hw. The idea to hold: build() puts the hardware together and knows nothing of the guest's
 * programs, complete() loads those and knows nothing of the hardware but where RAM is; HTIF, whose
 * registers a program chooses for itself, is the one exception.
 */
#include "machine/virt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "hw/misc/htif.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/error.h"
#include "orrery/impl/hw/clint.h"
#include "orrery/impl/hw/plic.h"

#define HTIF_DEVICE "riscv-htif"

const VirtMapEntry virt_map[VIRT_PLACE_COUNT] = {
    [VIRT_MROM] = { 0x1000, 0xf000 },
    [VIRT_TEST] = { 0x100000, 0x1000 },
    [VIRT_RTC] = { 0x101000, 0x1000 },
    [VIRT_CLINT] = { 0x2000000, 0x10000 },
    [VIRT_ACLINT_SSWI] = { 0x2f00000, 0x4000 },
    [VIRT_PLIC] = { 0xc000000, 0x600000 },
    [VIRT_UART] = { 0x10000000, 0x100 },
    [VIRT_TRANSPORT] = { 0x10001000, 0x1000 },
    [VIRT_DRAM] = { 0x80000000, 0 },
};

static const char *const acpi_values[] = { "off", "auto", "on", NULL };

static const PropDef virt_props[] = {
    { .name = "aclint",
      .type = PROP_BOOL,
      .offset = offsetof(VirtMachine, aclint),
      .fallback = "off",
      .help = "timer and software interrupts as ACLINT devices, with S-mode ones, not as a CLINT" },
    { .name = "acpi",
      .type = PROP_ENUM,
      .offset = offsetof(VirtMachine, acpi),
      .fallback = "auto",
      .values = acpi_values,
      .help = "ACPI tables; off and auto are the same, there are none" },
    { .name = "dumpdtb",
      .type = PROP_STRING,
      .offset = offsetof(VirtMachine, dumpdtb),
      .help = "write the device tree to this file and end" },
    { .name = "htif",
      .type = PROP_BOOL,
      .offset = offsetof(VirtMachine, htif),
      .fallback = "off",
      .help = "watch the kernel's tohost and fromhost words, as -device " HTIF_DEVICE " does" },
    { .name = NULL },
};

static VirtMachine *virt_machine(Machine *machine)
{
    return (VirtMachine *)machine;
}

/* ---- HTIF: where it will be, before there is RAM. */

static bool htif_wanted(const VirtMachine *virt)
{
    const GPtrArray *devices = virt->machine.options->devices;

    for (guint i = 0; devices && i < devices->len; i++) {
        const char *text = g_ptr_array_index(devices, i);
        size_t length = strlen(HTIF_DEVICE);

        if (strncmp(text, HTIF_DEVICE, length) == 0 && (!text[length] || text[length] == ',')) {
            return true;
        }
    }
    return virt->htif;
}

static bool find_htif_words(VirtMachine *virt, GError **error)
{
    const char *kernel = virt->machine.options->kernel;
    ElfSymbol symbols[] = { { .name = "tohost" }, { .name = "fromhost" }, { .name = NULL } };
    LoadSource *source = virt->boot.kernel_source;

    if (source && load_is_elf(source) &&
        !load_elf_symbols(source, virt->machine.target->elf_machine, symbols, error)) {
        return false;
    }
    if (!symbols[0].found) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "HTIF needs a -kernel in ELF form with a symbol 'tohost'%s%s",
                        kernel ? "; there is none in " : "", kernel ? kernel : "");
    }
    virt->tohost = symbols[0].value;
    virt->fromhost = symbols[1].found ? symbols[1].value : 0;
    virt->htif_page = virt->tohost & ~(MEMORY_PAGE_SIZE - 1);
    if (virt->tohost % 8 || virt->fromhost % 8 ||
        (virt->fromhost && virt->fromhost - virt->htif_page >= MEMORY_PAGE_SIZE)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s: tohost and fromhost must be multiples of 8 on one page",
                        load_source_name(source));
    }
    if (virt->htif_page < virt_map[VIRT_DRAM].base ||
        virt->htif_page - virt_map[VIRT_DRAM].base >= virt->machine.ram_bytes) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s: tohost at 0x%" PRIx64 " is not in RAM",
                        load_source_name(source), virt->tohost);
    }
    return true;
}

/* ---- Memory. */

static bool add_ram(Memory *memory, const char *name, hwaddr base, hwaddr end, GError **error)
{
    return base == end || memory_add_ram(memory, name, base, end - base, false, error);
}

static bool add_memory(VirtMachine *virt, GError **error)
{
    Memory *memory = virt->machine.memory;
    const VirtMapEntry *rom = &virt_map[VIRT_MROM];
    hwaddr base = virt_map[VIRT_DRAM].base, end = base + virt->machine.ram_bytes;

    if (!memory_add_ram(memory, "mrom", rom->base, rom->size_bytes, true, error)) {
        return false;
    }
    if (!virt->htif_page) {
        return add_ram(memory, "ram", base, end, error);
    }
    /* The page with HTIF's words is the device's; it keeps what else is on it. */
    return add_ram(memory, "ram", base, virt->htif_page, error) &&
           add_ram(memory, "ram.1", virt->htif_page + MEMORY_PAGE_SIZE, end, error);
}

/* ---- Devices. */

static Device *new_device(VirtMachine *virt, const char *driver, const char *id, GError **error)
{
    const DeviceClass *cls = device_class_get(driver, error);

    return cls ? device_create(&virt->machine.env, cls, id, error) : NULL;
}

static bool set_number(Device *dev, const char *name, uint64_t value, GError **error)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" PRIu64, value);
    return device_set_prop(dev, name, text, error);
}

/* A device with one region and no interrupt or one. */
static Device *add_simple(VirtMachine *virt, const char *driver, const char *id, hwaddr base,
                          unsigned irq, GError **error)
{
    Device *dev = new_device(virt, driver, id, error);

    if (!dev || !device_realize(dev, error) || !device_map(dev, 0, base, error)) {
        return NULL;
    }
    if (irq) {
        device_connect_irq(dev, 0, device_irq_in(virt->plic, irq));
    }
    return dev;
}

/* Wires each hart's input `cause` to output first + hart * stride of the device. */
static bool wire_harts(VirtMachine *virt, Device *dev, unsigned first, unsigned stride,
                       unsigned cause, GError **error)
{
    const TargetOps *target = virt->machine.target;
    Cpus *cpus = virt->machine.cpus;

    for (unsigned n = 0; n < cpus_count(cpus); n++) {
        IrqLine *line = target->irq_in ? target->irq_in(cpus_get(cpus, n), cause) : NULL;

        if (!line) {
            return orr_fail(error, ORR_ERROR_UNSUPPORTED, "target %s has no interrupt input %u",
                            target->name, cause);
        }
        device_connect_irq(dev, first + n * stride, line);
    }
    return true;
}

/* A controller of the harts' local interrupts. */
static Device *add_controller(VirtMachine *virt, const char *driver, const char *id, hwaddr base,
                              GError **error)
{
    Device *dev = new_device(virt, driver, id, error);

    if (!dev || !set_number(dev, "num-harts", cpus_count(virt->machine.cpus), error)) {
        return NULL;
    }
    if (strcmp(driver, PLIC_CLASS) == 0 &&
        !set_number(dev, "num-sources", VIRT_PLIC_SOURCES + 1, error)) {
        return NULL;
    }
    return device_realize(dev, error) && device_map(dev, 0, base, error) ? dev : NULL;
}

static bool add_timers(VirtMachine *virt, GError **error)
{
    hwaddr base = virt_map[VIRT_CLINT].base;
    Device *dev;

    if (!virt->aclint) {
        dev = add_controller(virt, CLINT_CLASS, "clint", base, error);
        return dev &&
               wire_harts(virt, dev, CLINT_OUTPUT_MSI(0), CLINT_OUTPUT_MSI(1), RISCV_IRQ_MSI,
                          error) &&
               wire_harts(virt, dev, CLINT_OUTPUT_MTI(0), CLINT_OUTPUT_MSI(1), RISCV_IRQ_MTI,
                          error);
    }
    dev = add_controller(virt, ACLINT_MSWI_CLASS, "mswi", base, error);
    if (!dev || !wire_harts(virt, dev, 0, 1, RISCV_IRQ_MSI, error)) {
        return false;
    }
    dev = add_controller(virt, ACLINT_MTIMER_CLASS, "mtimer", base + VIRT_ACLINT_MTIMER_OFFSET,
                         error);
    if (!dev || !wire_harts(virt, dev, 0, 1, RISCV_IRQ_MTI, error)) {
        return false;
    }
    dev = add_controller(virt, ACLINT_SSWI_CLASS, "sswi", virt_map[VIRT_ACLINT_SSWI].base, error);
    return dev && wire_harts(virt, dev, 0, 1, RISCV_IRQ_SSI, error);
}

static bool add_plic(VirtMachine *virt, GError **error)
{
    virt->plic = add_controller(virt, PLIC_CLASS, "plic", virt_map[VIRT_PLIC].base, error);
    return virt->plic &&
           wire_harts(virt, virt->plic, PLIC_OUTPUT_M(0), PLIC_OUTPUT_M(1), RISCV_IRQ_MEI, error) &&
           wire_harts(virt, virt->plic, PLIC_OUTPUT_S(0), PLIC_OUTPUT_M(1), RISCV_IRQ_SEI, error);
}

static bool add_uart(VirtMachine *virt, GError **error)
{
    Device *dev = new_device(virt, "serial-mm", "uart0", error);
    Chardev *chr = virt->machine.serial_count ? virt->machine.serials[0] : NULL;

    if (!dev || !set_number(dev, "clock-frequency", VIRT_UART_CLOCK_HZ, error) ||
        (chr && !device_set_prop(dev, "chardev", chardev_label(chr), error)) ||
        !device_realize(dev, error) || !device_map(dev, 0, virt_map[VIRT_UART].base, error)) {
        return false;
    }
    device_connect_irq(dev, 0, device_irq_in(virt->plic, VIRT_IRQ_UART));
    return true;
}

static bool add_transports(VirtMachine *virt, GError **error)
{
    const VirtMapEntry *first = &virt_map[VIRT_TRANSPORT];

    for (unsigned n = 0; n < VIRT_TRANSPORTS; n++) {
        if (!add_simple(virt, "virtio-mmio", NULL, first->base + n * first->size_bytes,
                        VIRT_IRQ_TRANSPORT + n, error)) {
            return false;
        }
    }
    return true;
}

static bool add_devices(VirtMachine *virt, GError **error)
{
    return add_timers(virt, error) && add_plic(virt, error) &&
           add_simple(virt, "sifive-test", "test", virt_map[VIRT_TEST].base, 0, error) &&
           add_simple(virt, "goldfish-rtc", "rtc", virt_map[VIRT_RTC].base, VIRT_IRQ_RTC, error) &&
           add_uart(virt, error) && add_transports(virt, error);
}

/* ---- The board. */

static bool check_properties(const VirtMachine *virt, GError **error)
{
    if (virt->acpi == 2) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "-machine acpi=on is not supported: machine 'virt' is described by a "
                        "device tree");
    }
    return true;
}

static bool virt_build(Machine *machine, GError **error)
{
    VirtMachine *virt = virt_machine(machine);

    return check_properties(virt, error) && boot_open_kernel(machine, &virt->boot, error) &&
           (!htif_wanted(virt) || find_htif_words(virt, error)) && add_memory(virt, error) &&
           machine_add_vcpus(machine, error) && add_devices(virt, error);
}

/* The device that -device has made, or that the property htif asks for, takes its page. */
static bool complete_htif(VirtMachine *virt, GError **error)
{
    DeviceEnv *env = &virt->machine.env;
    Device *dev = NULL;

    if (!virt->htif_page) {
        return true;
    }
    for (guint i = 0; i < env->devices->len; i++) {
        Device *other = g_ptr_array_index(env->devices, i);

        if (other->cls == &riscv_htif_class) {
            if (dev) {
                return orr_fail(error, ORR_ERROR_INVALID, "there can be only one " HTIF_DEVICE);
            }
            dev = other;
        }
    }
    if (!dev) {
        dev = device_create(env, &riscv_htif_class, NULL, error);
        if (!dev || !device_realize(dev, error)) {
            return false;
        }
    }
    htif_set_words(dev, (unsigned)(virt->tohost - virt->htif_page),
                   virt->fromhost ? (int)(virt->fromhost - virt->htif_page) : -1,
                   virt->machine.serial_count ? virt->machine.serials[0] : NULL);
    return device_map(dev, 0, virt->htif_page, error);
}

static bool write_dtb(const char *path, const void *dtb, size_t length_bytes, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool written = fd >= 0 && write(fd, dtb, length_bytes) == (ssize_t)length_bytes;

    if (!written) {
        orr_fail(error, ORR_ERROR_IO, "dumpdtb: cannot write '%s': %s", path, g_strerror(errno));
    }
    if (fd >= 0 && close(fd) < 0 && written) {
        written = orr_fail(error, ORR_ERROR_IO, "dumpdtb: cannot write '%s': %s", path,
                           g_strerror(errno));
    }
    return written;
}

static bool virt_complete(Machine *machine, GError **error)
{
    VirtMachine *virt = virt_machine(machine);
    const char *user_dtb = machine->options->dtb;
    size_t length_bytes;

    virt->roms = rom_set_create(machine->memory, virt_map[VIRT_DRAM].base, machine->ram_bytes);
    if (!complete_htif(virt, error) ||
        !boot_add_programs(machine, virt->roms, &virt->boot, error)) {
        return false;
    }
    virt->dtb = user_dtb ? boot_read_dtb(user_dtb, error) : virt_describe(virt, error);
    if (!virt->dtb) {
        return false;
    }
    virt->dtb = boot_finish_dtb(virt->dtb, machine, &virt->boot, &length_bytes, error);
    if (!virt->dtb) {
        return false;
    }
    if (virt->dumpdtb) {
        machine->only_dump = write_dtb(virt->dumpdtb, virt->dtb, length_bytes, error);
        g_free(virt->dtb);
        return machine->only_dump;
    }
    return boot_add_dtb(virt->roms, &virt->boot, virt->dtb, length_bytes, error) &&
           boot_add_reset_vector(virt->roms, &virt->boot, virt_map[VIRT_MROM].base, error);
}

static bool virt_reset(Machine *machine, bool first, GError **error)
{
    VirtMachine *virt = virt_machine(machine);
    unsigned left = cpus_count(machine->cpus);

    if (!first && !boot_reseed_dtb(virt->dtb, error)) {
        return false;
    }
    if (!rom_set_write(virt->roms, first, error)) {
        return false;
    }
    for (unsigned i = 0; left > 0; i++) {
        Vcpu *vcpu = cpus_get(machine->cpus, i);

        if (vcpu) {
            machine->target->set_pc(vcpu, virt_map[VIRT_MROM].base);
            accel_synchronize_post_reset(vcpu);
            left--;
        }
    }
    return true;
}

static void virt_finish(Machine *machine)
{
    VirtMachine *virt = virt_machine(machine);

    rom_set_destroy(virt->roms);
    boot_plan_finish(&virt->boot);
}

static const char *const virt_targets[] = { "riscv64", NULL };

const MachineClass virt_machine_class = {
    .name = "virt",
    .summary = "RISC-V board with virtio-mmio transports, as QEMU's virt",
    .targets = virt_targets,
    .default_ram_bytes = UINT64_C(128) << 20,
    .min_ram_bytes = UINT64_C(1) << 20,
    .max_ram_bytes = UINT64_C(1) << 40,
    .max_vcpus = VIRT_MAX_VCPUS,
    .max_serials = 1,
    .drive_device = "virtio-blk-device",
    .props = virt_props,
    .instance_bytes = sizeof(VirtMachine),
    .build = virt_build,
    .complete = virt_complete,
    .reset = virt_reset,
    .finish = virt_finish,
};
