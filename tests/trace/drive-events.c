/* SPDX-License-Identifier: MIT */
/*
 * A machine that is made to do everything the trace has an event for, under one accelerator.
 *
 * usage: drive-events ACCEL -trace-option...
 *
 * No event is emitted here: each comes from the code that has it, driven from outside by what a
 * guest, a user or an accelerator would do. What ought to have come of it is not known here either:
 * tests/trace/test-coverage has the lists. The last line on stdout says what the accelerator claims.
 * Where no guest code runs, the vCPU's own thread does by a work item what a guest would have had it
 * do.
 */
#include <glib/gstdio.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/machine.h"
#include "orrery/impl/trace.h"
#include "src/cpus/internal.h"
#include "tcg/runtime.h"

#define RAM UINT64_C(0x80000000)
#define CODE (RAM + 0x1000)
#define RINGS (RAM + 0x10000)
#define BUFFER (RAM + 0x20000)
#define UART UINT64_C(0x10000000)
#define TRANSPORT UINT64_C(0x10001000)
#define TEST_FINISHER UINT64_C(0x100000)
#define OWN_DEVICE UINT64_C(0x50000000)
#define MSI 3

/*
 * Writes satp, visits user mode and calls back from there, then waits for software interrupts; when
 * one is taken, a register of the UART's is read. Over and over, all in M and U mode.
 */
static const uint32_t guest_code[] = {
    0x00000297, /* auipc t0, 0; to handler */
    0x05828293, /* add t0, t0, 88 */
    0x30529073, /* csrw mtvec, t0 */
    0x00800e13, /* li t3, 8 */
    0x304e1073, /* csrw mie, t3 */
    0xfff00e13, /* li t3, -1 */
    0x00ae5e13, /* srl t3, t3, 0xa */
    0x3b0e1073, /* csrw pmpaddr0, t3 */
    0x01f00e13, /* li t3, 31 */
    0x3a0e1073, /* csrw pmpcfg0, t3 */
    0x00100e13, /* loop: li t3, 1 */
    0x03fe1e13, /* sll t3, t3, 0x3f */
    0x180e1073, /* csrw satp, t3 */
    0x18001073, /* csrw satp, zero */
    0x00000297, /* auipc t0, 0; to user */
    0x01c28293, /* add t0, t0, 28 */
    0x34129073, /* csrw mepc, t0 */
    0x00300e13, /* li t3, 3 */
    0x00be1e13, /* sll t3, t3, 0xb */
    0x300e3073, /* csrc mstatus, t3 */
    0x30200073, /* mret */
    0x00000073, /* user: ecall */
    0x34202373, /* handler: csrr t1, mcause */
    0x00034a63, /* bltz t1, interrupt */
    0x30046073, /* csrs mstatus, 8 */
    0x10500073, /* wfi */
    0x30047073, /* csrc mstatus, 8 */
    0xfbdff06f, /* j loop */
    0x100002b7, /* interrupt: lui t0, 0x10000 */
    0x00528303, /* lb t1, 5(t0) */
    0x00030297, /* auipc t0, 0x30; a page without code */
    0x2062a023, /* sw t1, 512(t0) */
    0x30200073, /* mret */
};

static Machine *machine;

static void die(const char *what, GError *error)
{
    fprintf(stderr, "drive-events: %s: %s\n", what, error ? error->message : "failed");
    exit(1);
}

/* One round of the main loop, with whatever was asked of it. */
static void iterate(void)
{
    int code;

    main_loop_handle_requests(machine->cpus, false, true, &code);
    main_loop_iterate(machine->cpus, false);
    machine_unlock(machine->cpus);
    sched_yield();
    machine_lock(machine->cpus);
}

#define AWAIT(condition)                                                                           \
    while (!(condition)) {                                                                         \
        iterate();                                                                                 \
    }

static uint64_t entries(Vcpu *vcpu, VcpuState state)
{
    return orr_load_acquire(&vcpu->sched.entries[state]);
}

/* ---- The accelerator's ops. */

static void step(Vcpu *vcpu, void *opaque)
{
    accel_step_vcpu(vcpu);
    orr_store_release((uint32_t *)opaque, 1u);
}

/* All of them by the wrappers that everybody calls; create_vcpu_thread comes with each vCPU. */
static void drive_ops(Vcpu *vcpu)
{
    AccelVcpuStats stats = { .struct_size = sizeof(stats) };
    Accel *accel = machine->accel;
    GString *figures = g_string_new(NULL);
    uint32_t stepped = 0;

    accel_kick_vcpu_thread(vcpu);
    accel_vcpu_thread_is_idle(vcpu);
    accel_handle_interrupt(vcpu);
    accel_synchronize_state(vcpu);
    accel_synchronize_post_reset(vcpu);
    accel_synchronize_pre_loadvm(vcpu);
    accel_synchronize_post_init(vcpu);
    accel_vcpu_reset_hold(vcpu);
    accel_set_virtual_clock(accel, accel_get_virtual_clock(accel));
    accel_get_elapsed_ticks(accel);
    accel_invalidate_translations(vcpu);
    accel_supports_guest_debug(accel);
    accel_update_guest_debug(vcpu, NULL);
    accel_insert_breakpoint(vcpu, BREAKPOINT_SOFTWARE, RAM, 4, NULL);
    accel_remove_breakpoint(vcpu, BREAKPOINT_SOFTWARE, RAM, 4, NULL);
    accel_remove_all_breakpoints(vcpu);
    accel_get_vcpu_stats(vcpu, &stats);
    accel_print_translator(accel, figures);
    g_string_free(figures, TRUE);
    vcpu_async_safe_run_on(vcpu, step, &stepped);
    AWAIT(orr_load_acquire(&stepped));
}

/* ---- vCPUs. */

static void nothing(Vcpu *vcpu, void *opaque)
{
}

static void halt(Vcpu *vcpu, void *opaque)
{
    orr_store_release(&vcpu->halted, true);
}

/* A vCPU that is halted and woken; and one that waits for the machine lock. */
static void drive_sleep(Vcpu *vcpu)
{
    uint64_t before = entries(vcpu, VCPU_STATE_HALTED);

    vcpu_run_on(vcpu, halt, NULL);
    AWAIT(entries(vcpu, VCPU_STATE_HALTED) > before);
    orr_store_release(&vcpu->halted, false);
    before = entries(vcpu, VCPU_STATE_EXIT);
    vcpu_kick(vcpu, "test");
    AWAIT(entries(vcpu, VCPU_STATE_EXIT) > before);

    /* Several times, since one that has said that it waits may yet find the lock free. */
    for (unsigned i = 0; i < 20; i++) {
        vcpu_async_run_on(vcpu, nothing, NULL);
        while (vcpu_state(vcpu) != VCPU_STATE_LOCK_WAIT &&
               vcpu_state(cpus_get(machine->cpus, 0)) != VCPU_STATE_LOCK_WAIT) {
            sched_yield(); /* with the lock */
        }
        sched_yield();
        iterate();
    }
}

/* A section that finds a vCPU in guest code and keeps it out of there. */
static void drive_exclusive(Vcpu *vcpu)
{
    Vcpu *first = cpus_get(machine->cpus, 0); /* one thread may run both */
    uint64_t before =
        entries(vcpu, VCPU_STATE_EXCLUSIVE_WAIT) + entries(first, VCPU_STATE_EXCLUSIVE_WAIT);
    IrqLine *line = machine->target->irq_in(vcpu, MSI);

    irq_set(line, 1); /* it has enough to do */
    machine_unlock(machine->cpus);
    exclusive_start(machine->cpus, NULL);
    while (entries(vcpu, VCPU_STATE_EXCLUSIVE_WAIT) + entries(first, VCPU_STATE_EXCLUSIVE_WAIT) ==
           before) {
        vcpu_kick(vcpu, "test");
        sched_yield();
    }
    exclusive_end(machine->cpus, NULL);
    machine_lock(machine->cpus);
    irq_set(line, 0);
}

static void stop_for_debugger(Vcpu *vcpu, void *opaque)
{
    vcpu_handle_guest_debug(vcpu);
}

static void drive_stop(Vcpu *vcpu)
{
    vcpu_async_safe_run_on(vcpu, stop_for_debugger, NULL);
    AWAIT(run_state(machine->cpus) == RUN_STATE_DEBUG);
    vm_start(machine->cpus);
    vm_stop(machine->cpus, RUN_STATE_PAUSED);
    vm_start(machine->cpus);
}

static void plug_and_unplug(void)
{
    GError *error = NULL;
    Vcpu *vcpu =
        vcpu_create(machine->cpus, machine->target, machine->target->models[0].name, &error);

    if (!vcpu || !vcpu_plug(vcpu, &error)) {
        die("vCPU", error);
    }
    vcpu_unplug(vcpu);
}

/* ---- Interrupts of a vCPU. */

static void drive_interrupts(Vcpu *vcpu)
{
    IrqLine *line = machine->target->irq_in(vcpu, MSI);
    bool runs = machine->accel->driver->caps & ACCEL_CAP_RUNS_GUEST;

    for (unsigned i = 0; i < 5; i++) {
        uint64_t before;

        if (runs) {
            AWAIT(vcpu_state(vcpu) == VCPU_STATE_HALTED);
        }
        before = entries(vcpu, VCPU_STATE_DEVICE);
        irq_set(line, 1);
        if (runs) {
            AWAIT(entries(vcpu, VCPU_STATE_DEVICE) > before);
        }
        irq_set(line, 0);
    }
}

/* ---- Translations. */

/*
 * What no instruction of this target asks for, by the functions that helpers of another one would
 * call. They are linked into this program; what they work on is the accelerator's.
 */
static void flush_each(Vcpu *vcpu, void *opaque)
{
    TcgCpu *cpu = tcg_cpu(vcpu);

    tcg_flush_range(cpu, CODE, 0x2000, 0, 0);
    tcg_flush_page_bits(cpu, CODE, 48, 0, 0);
    tcg_flush_all_vcpus(cpu);
    tcg_flush_all_vcpus_synced(cpu);
}

static void come_by(Vcpu *vcpu, void *opaque)
{
    orr_store_release((uint32_t *)opaque, 1u);
}

static void drive_translations(Vcpu *vcpu)
{
    g_autofree uint64_t *dirty = NULL;
    MemSection section;
    uint32_t token, done = 0;

    if (!g_str_has_prefix(machine->accel->driver->name, "tcg")) {
        return;
    }
    AWAIT(vcpu_state(vcpu) == VCPU_STATE_HALTED); /* it has written to memory */
    token = memory_read_enter(machine->memory);
    if (!memory_find(machine->memory, RAM, &section) || !section.ram) {
        die("RAM", NULL);
    }
    memory_read_exit(machine->memory, token);
    dirty = g_new0(uint64_t, section.ram->size_bytes / MEMORY_PAGE_SIZE / 64 + 1);
    ram_log_start(machine->memory, section.ram);
    ram_log_fetch_and_clear(machine->memory, section.ram, dirty);
    ram_log_stop(machine->memory, section.ram);

    vcpu_run_on(vcpu, flush_each, NULL);
    vcpu_async_safe_run_on(vcpu, come_by, &done); /* after what they have left to it */
    AWAIT(orr_load_acquire(&done));
}

/* ---- Timers. */

static void fired(void *opaque)
{
    orr_store_release((uint32_t *)opaque, 1u);
}

static void drive_timers(void)
{
    uint32_t done = 0;
    Timer timer;

    timer_init(&timer, machine->timers, CLOCK_KIND_REALTIME, false, "test", fired, &done);
    timer_arm_ns(&timer, clock_get_ns(machine->timers, CLOCK_KIND_REALTIME) + 1000000000);
    timer_disarm(&timer);
    timer_arm_ns(&timer, clock_get_ns(machine->timers, CLOCK_KIND_REALTIME));
    AWAIT(orr_load_acquire(&done));
    timer_finish(&timer);
}

/* ---- Devices. */

static uint32_t get(hwaddr addr)
{
    uint32_t value = 0;

    memory_read(machine->memory, addr, &value, sizeof(value));
    return value;
}

static void put(hwaddr addr, uint32_t value)
{
    memory_write(machine->memory, addr, &value, sizeof(value));
}

static void put_address(hwaddr reg, hwaddr addr)
{
    put(TRANSPORT + reg, (uint32_t)addr);
    put(TRANSPORT + reg + 4, (uint32_t)(addr >> 32));
}

/* The driver's part of the start, with queue 0 of eight descriptors at these places. */
static void start_virtio(hwaddr desc, hwaddr avail, hwaddr used)
{
    put(TRANSPORT + VIRTIO_MMIO_STATUS, 0);
    put(TRANSPORT + VIRTIO_MMIO_STATUS, 3);
    put(TRANSPORT + VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(TRANSPORT + VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
    put(TRANSPORT + VIRTIO_MMIO_STATUS, 11);
    put(TRANSPORT + VIRTIO_MMIO_QUEUE_SEL, 0);
    put(TRANSPORT + VIRTIO_MMIO_QUEUE_NUM, 8);
    put_address(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
    put_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
    put_address(VIRTIO_MMIO_QUEUE_USED_LOW, used);
    put(TRANSPORT + VIRTIO_MMIO_QUEUE_READY, 1);
    put(TRANSPORT + VIRTIO_MMIO_STATUS, 15);
}

/* Makes `count` chains available, the first of them descriptor 0, and tells the device. */
static void make_available(uint16_t count)
{
    struct vring_desc desc = { .addr = BUFFER, .len = 16, .flags = VRING_DESC_F_WRITE };
    uint16_t avail[3] = { 0, count, 0 };

    memory_write(machine->memory, RINGS, &desc, sizeof(desc));
    memory_write(machine->memory, RINGS + 0x1000, avail, sizeof(avail));
    put(TRANSPORT + VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static uint16_t used_index(void)
{
    return (uint16_t)(get(RINGS + 0x2000) >> 16);
}

/* A device whose register has no width of a byte, and whose DMA goes to that register. */
static MemTxResult read_own_register(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    *value = 0;
    return memory_read(machine->memory, OWN_DEVICE, value, sizeof(uint32_t));
}

static void drive_devices(void)
{
    static const MmioOps ops = { .read = read_own_register, .valid = { .min_bytes = 4 } };
    IoGuard guard = { .owner = "test" };
    GError *error = NULL;
    MemRegion *region =
        memory_add_mmio(machine->memory, "test", OWN_DEVICE, 0x1000, &ops, NULL, &guard, &error);
    uint32_t zero = 0;
    uint8_t byte;

    if (!region) {
        die("region", error);
    }

    memory_read(machine->memory, UART + 5, &byte, 1);
    memory_write(machine->memory, UART + 7, &byte, 1);
    memory_read(machine->memory, OWN_DEVICE, &byte, 1);
    get(OWN_DEVICE);
    memory_remove(machine->memory, region);

    memory_write(machine->memory, RINGS + 0x2000, &zero, sizeof(zero));
    start_virtio(RINGS, RINGS + 0x1000, RINGS + 0x2000);
    make_available(1);
    AWAIT(used_index() == 1);
    put(TRANSPORT + VIRTIO_MMIO_INTERRUPT_ACK, get(TRANSPORT + VIRTIO_MMIO_INTERRUPT_STATUS));
    make_available(1000); /* more than the queue has */
    AWAIT(get(TRANSPORT + VIRTIO_MMIO_STATUS) & 0x40);

    put(TRANSPORT + VIRTIO_MMIO_STATUS, 0);
}

/* ---- All of it. */

static void drive_requests(void)
{
    system_reset_request(machine->cpus, "test");
    AWAIT(!orr_load_acquire(&machine->cpus->reset_cause));
    put(TEST_FINISHER, 0x5555);
    AWAIT(run_state(machine->cpus) == RUN_STATE_SHUTDOWN);
}

static void point_at_code(void)
{
    for (unsigned i = 0; i < 2; i++) {
        Vcpu *vcpu = cpus_get(machine->cpus, i);

        accel_synchronize_state(vcpu);
        machine->target->set_pc(vcpu, CODE);
        accel_synchronize_post_reset(vcpu);
    }
}

static void trace(int argc, char **argv)
{
    GError *error = NULL;

    for (int i = 2; i < argc; i++) {
        if (!orr_trace_option(argv[i], &error)) {
            die(argv[i], error);
        }
    }
    if (!orr_trace_start(&error)) {
        die("trace", error);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) accels = g_ptr_array_new(), devices = g_ptr_array_new();
    g_autoptr(GPtrArray) globals = g_ptr_array_new();
    LogSet log = { .file = stderr };
    MachineOptions options = { .target = "riscv64",
                               .machine = "virt",
                               .accels = accels,
                               .devices = devices,
                               .globals = globals,
                               .bios = "none",
                               .vcpus = 2,
                               .max_vcpus = 3,
                               .start_paused = true,
                               .log = &log };
    GError *error = NULL;
    uint32_t caps;

    if (argc < 3) {
        fprintf(stderr, "usage: drive-events ACCEL -trace-option...\n");
        return 2;
    }
    g_ptr_array_add(accels, argv[1]);
    g_ptr_array_add(devices, (char *)"virtio-rng-device,bus=virtio-mmio-bus.0");
    g_ptr_array_add(globals, (char *)"virtio-mmio.force-legacy=false");
    trace(argc, argv);
    machine = machine_create(&options, &error);
    if (!machine) {
        die(argv[1], error);
    }
    caps = machine->accel->driver->caps;
    memory_write(machine->memory, CODE, guest_code, sizeof(guest_code));
    drive_ops(cpus_get(machine->cpus, 0));
    plug_and_unplug();
    point_at_code();
    vm_start(machine->cpus);
    drive_interrupts(cpus_get(machine->cpus, 0));
    drive_translations(cpus_get(machine->cpus, 0));
    drive_exclusive(cpus_get(machine->cpus, 1));
    drive_sleep(cpus_get(machine->cpus, 1));
    drive_stop(cpus_get(machine->cpus, 1));
    drive_timers();
    drive_devices();
    drive_requests();
    machine_destroy(machine);
    orr_trace_stop();
    printf("caps%s%s lost %" G_GUINT64_FORMAT "\n", caps & ACCEL_CAP_RUNS_GUEST ? " guest" : "",
           caps & ACCEL_CAP_GUEST_DEBUG ? " debug" : "", orr_trace_lost());
    return 0;
}
