/* SPDX-License-Identifier: MIT */
/*
 * The device tree of the `virt` board: the nodes and properties that QEMU publishes for the devices
 * that this machine has (Devicetree Specification 0.4, and the kernel's bindings). What a hart can
 * do is told by the target, so that the tree cannot disagree with the hart.
 */
#include "machine/fdt-builder.h"
#include "machine/virt.h"

#define SYSCON_POWEROFF 0x5555
#define SYSCON_REBOOT 0x7777

typedef struct VirtTree {
    FdtBuilder fdt;
    VirtMachine *virt;
    unsigned harts;
    uint32_t *hart, *intc; /* phandles, by hart */
    uint32_t plic, test;
} VirtTree;

static void add_described(void *opaque, const char *property, const void *data, size_t length_bytes)
{
    fdt_data(opaque, property, data, length_bytes);
}

static void add_hart(VirtTree *tree, unsigned n)
{
    Machine *machine = &tree->virt->machine;
    FdtBuilder *fdt = &tree->fdt;

    tree->hart[n] = fdt_new_phandle(fdt);
    tree->intc[n] = fdt_new_phandle(fdt);
    fdt_node(fdt, "cpu@%x", n);
    fdt_cells(fdt, "reg", n);
    fdt_string_value(fdt, "status", "okay");
    fdt_cells(fdt, "phandle", tree->hart[n]);
    if (machine->target->describe) {
        machine->target->describe(cpus_get(machine->cpus, n), add_described, fdt);
    }
    fdt_node(fdt, "interrupt-controller");
    fdt_string_value(fdt, "compatible", "riscv,cpu-intc");
    fdt_flag(fdt, "interrupt-controller");
    fdt_cells(fdt, "#interrupt-cells", 1);
    fdt_cells(fdt, "#address-cells", 0);
    fdt_cells(fdt, "phandle", tree->intc[n]);
    fdt_node_end(fdt);
    fdt_node_end(fdt);
}

static void add_cpus(VirtTree *tree)
{
    FdtBuilder *fdt = &tree->fdt;

    fdt_node(fdt, "cpus");
    fdt_cells(fdt, "#address-cells", 1);
    fdt_cells(fdt, "#size-cells", 0);
    fdt_cells(fdt, "timebase-frequency", VIRT_TIMEBASE_HZ);
    for (unsigned n = 0; n < tree->harts; n++) {
        add_hart(tree, n);
    }
    fdt_node(fdt, "cpu-map");
    fdt_node(fdt, "cluster0");
    for (unsigned n = 0; n < tree->harts; n++) {
        fdt_node(fdt, "core%u", n);
        fdt_cells(fdt, "cpu", tree->hart[n]);
        fdt_node_end(fdt);
    }
    fdt_node_end(fdt);
    fdt_node_end(fdt);
    fdt_node_end(fdt);
}

/* interrupts-extended: for every hart its controller and each of the causes (0 ends the list). */
static void add_local_interrupts(VirtTree *tree, unsigned first_cause, unsigned second_cause)
{
    unsigned per_hart = second_cause ? 4 : 2;
    g_autofree uint32_t *cells = g_new(uint32_t, (size_t)tree->harts * per_hart);

    for (unsigned n = 0; n < tree->harts; n++) {
        uint32_t *cell = cells + (size_t)n * per_hart;

        cell[0] = tree->intc[n];
        cell[1] = first_cause;
        if (second_cause) {
            cell[2] = tree->intc[n];
            cell[3] = second_cause;
        }
    }
    fdt_cell_array(&tree->fdt, "interrupts-extended", cells, (size_t)tree->harts * per_hart);
}

static void add_clint(VirtTree *tree)
{
    FdtBuilder *fdt = &tree->fdt;
    const VirtMapEntry *place = &virt_map[VIRT_CLINT];

    fdt_node(fdt, "clint@%" G_GINT64_MODIFIER "x", place->base);
    fdt_strings(fdt, "compatible", "sifive,clint0\0riscv,clint0");
    fdt_reg(fdt, place->base, place->size_bytes);
    add_local_interrupts(tree, RISCV_IRQ_MSI, RISCV_IRQ_MTI);
    fdt_node_end(fdt);
}

/* A software-interrupt device of an ACLINT, which is an interrupt controller of no cells. */
static void add_aclint_swi(VirtTree *tree, const char *name, const char *compatible, hwaddr base,
                           unsigned cause)
{
    FdtBuilder *fdt = &tree->fdt;

    fdt_node(fdt, "%s@%" G_GINT64_MODIFIER "x", name, base);
    fdt_string_value(fdt, "compatible", compatible);
    fdt_reg(fdt, base, 0x4000);
    add_local_interrupts(tree, cause, 0);
    fdt_flag(fdt, "interrupt-controller");
    fdt_cells(fdt, "#interrupt-cells", 0);
    fdt_cells(fdt, "#address-cells", 0);
    fdt_node_end(fdt);
}

/* The same registers as the CLINT's, told apart: MSWI, MTIMER (time, then compares), and SSWI. */
static void add_aclint(VirtTree *tree)
{
    FdtBuilder *fdt = &tree->fdt;
    uint32_t base = (uint32_t)virt_map[VIRT_CLINT].base;
    uint32_t compare = base + VIRT_ACLINT_MTIMER_OFFSET, compare_bytes = 0x7ff8;

    add_aclint_swi(tree, "mswi", "riscv,aclint-mswi", base, RISCV_IRQ_MSI);
    fdt_node(fdt, "mtimer@%x", compare + compare_bytes);
    fdt_string_value(fdt, "compatible", "riscv,aclint-mtimer");
    fdt_cells(fdt, "reg", 0, compare + compare_bytes, 0, 0x4008, 0, compare, 0, compare_bytes);
    add_local_interrupts(tree, RISCV_IRQ_MTI, 0);
    fdt_node_end(fdt);
    add_aclint_swi(tree, "sswi", "riscv,aclint-sswi", virt_map[VIRT_ACLINT_SSWI].base,
                   RISCV_IRQ_SSI);
}

static void add_plic(VirtTree *tree)
{
    FdtBuilder *fdt = &tree->fdt;

    fdt_node(fdt, "plic@%" G_GINT64_MODIFIER "x", virt_map[VIRT_PLIC].base);
    fdt_strings(fdt, "compatible", "sifive,plic-1.0.0\0riscv,plic0");
    fdt_reg(fdt, virt_map[VIRT_PLIC].base, tree->virt->plic->region[0].size_bytes);
    add_local_interrupts(tree, RISCV_IRQ_MEI, RISCV_IRQ_SEI);
    fdt_flag(fdt, "interrupt-controller");
    fdt_cells(fdt, "#interrupt-cells", 1);
    fdt_cells(fdt, "#address-cells", 0);
    fdt_cells(fdt, "riscv,ndev", VIRT_PLIC_SOURCES);
    fdt_cells(fdt, "phandle", tree->plic);
    fdt_node_end(fdt);
}

/* Opens a device's node: register range and, if it has one, interrupt. */
static void begin_device(VirtTree *tree, const char *name, const void *compatible,
                         size_t compatible_bytes, hwaddr base, uint64_t size_bytes, uint32_t irq)
{
    FdtBuilder *fdt = &tree->fdt;

    fdt_node(fdt, "%s@%" G_GINT64_MODIFIER "x", name, base);
    fdt_data(fdt, "compatible", compatible, compatible_bytes);
    fdt_reg(fdt, base, size_bytes);
    if (irq) {
        fdt_cells(fdt, "interrupt-parent", tree->plic);
        fdt_cells(fdt, "interrupts", irq);
    }
}

#define BEGIN_DEVICE(tree, name, compatible, place, irq)                                           \
    begin_device((tree), (name), (compatible), sizeof(compatible), (place)->base,                  \
                 (place)->size_bytes, (irq))

static void add_devices(VirtTree *tree)
{
    FdtBuilder *fdt = &tree->fdt;

    BEGIN_DEVICE(tree, "test", "sifive,test1\0sifive,test0\0syscon", &virt_map[VIRT_TEST], 0);
    fdt_cells(fdt, "phandle", tree->test);
    fdt_node_end(fdt);
    BEGIN_DEVICE(tree, "rtc", "google,goldfish-rtc", &virt_map[VIRT_RTC], VIRT_IRQ_RTC);
    fdt_node_end(fdt);
    BEGIN_DEVICE(tree, "serial", "ns16550a", &virt_map[VIRT_UART], VIRT_IRQ_UART);
    fdt_cells(fdt, "clock-frequency", VIRT_UART_CLOCK_HZ);
    fdt_node_end(fdt);
    /* From the last to the first, the order in which -device fills them: vda is the first disk. */
    for (unsigned n = VIRT_TRANSPORTS; n-- > 0;) {
        VirtMapEntry transport = virt_map[VIRT_TRANSPORT];

        transport.base += n * transport.size_bytes;
        BEGIN_DEVICE(tree, "virtio_mmio", "virtio,mmio", &transport, VIRT_IRQ_TRANSPORT + n);
        fdt_node_end(fdt);
    }
}

/* The test finisher's registers as a syscon that ends or restarts the machine. */
static void add_syscon(VirtTree *tree, const char *name, const char *compatible, uint32_t value)
{
    FdtBuilder *fdt = &tree->fdt;

    fdt_node(fdt, "%s", name);
    fdt_string_value(fdt, "compatible", compatible);
    fdt_cells(fdt, "regmap", tree->test);
    fdt_cells(fdt, "offset", 0);
    fdt_cells(fdt, "value", value);
    fdt_node_end(fdt);
}

static void add_chosen(VirtTree *tree)
{
    g_autofree char *console =
        g_strdup_printf("/soc/serial@%" G_GINT64_MODIFIER "x", virt_map[VIRT_UART].base);

    fdt_node(&tree->fdt, "chosen");
    fdt_string_value(&tree->fdt, "stdout-path", console);
    fdt_node_end(&tree->fdt);
}

void *virt_describe(VirtMachine *virt, GError **error)
{
    VirtTree tree = { .virt = virt, .harts = cpus_count(virt->machine.cpus) };
    FdtBuilder *fdt = &tree.fdt;
    size_t length_bytes;

    tree.hart = g_new0(uint32_t, tree.harts);
    tree.intc = g_new0(uint32_t, tree.harts);
    fdt_builder_init(fdt, 8192 + (int)tree.harts * 1024);
    tree.plic = fdt_new_phandle(fdt);
    tree.test = fdt_new_phandle(fdt);

    fdt_cells(fdt, "#address-cells", 2);
    fdt_cells(fdt, "#size-cells", 2);
    fdt_string_value(fdt, "compatible", "riscv-virtio");
    fdt_string_value(fdt, "model", "riscv-virtio,orrery");
    add_chosen(&tree);
    fdt_node(fdt, "memory@%" G_GINT64_MODIFIER "x", virt_map[VIRT_DRAM].base);
    fdt_string_value(fdt, "device_type", "memory");
    fdt_reg(fdt, virt_map[VIRT_DRAM].base, virt->machine.ram_bytes);
    fdt_node_end(fdt);
    add_cpus(&tree);
    fdt_node(fdt, "soc");
    fdt_cells(fdt, "#address-cells", 2);
    fdt_cells(fdt, "#size-cells", 2);
    fdt_string_value(fdt, "compatible", "simple-bus");
    fdt_flag(fdt, "ranges");
    if (virt->aclint) {
        add_aclint(&tree);
    } else {
        add_clint(&tree);
    }
    add_plic(&tree);
    add_devices(&tree);
    fdt_node_end(fdt);
    add_syscon(&tree, "poweroff", "syscon-poweroff", SYSCON_POWEROFF);
    add_syscon(&tree, "reboot", "syscon-reboot", SYSCON_REBOOT);

    g_free(tree.hart);
    g_free(tree.intc);
    return fdt_builder_finish(fdt, &length_bytes, error);
}
