/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes one device of the virt machine over qtest: the input becomes qtest commands, so that what
 * is found can be replayed against any build by its log. A machine is made for each input, so that
 * an input means the same every time. ORRERY_FUZZ_DEVICE names a row of the table below.
 *
 * Beside raw accesses there are operations that a working driver makes (bring a virtio device up,
 * put a chain into a ring): without them random bytes would hardly ever get past the front door.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orrery/impl/machine.h"
#include "src/accel/qtest/qtest.h"

#define RAM UINT64_C(0x80000000)
#define WINDOW (RAM + 0x10000) /* what the input may write to, and where rings live */
#define WINDOW_BYTES 0x10000
#define MAX_OPS 400

typedef struct FuzzTarget {
    const char *name;
    uint64_t base, length_bytes;
    const char *device; /* -device text, or NULL for a device of the board */
} FuzzTarget;

static const FuzzTarget targets[] = {
    { "serial", 0x10000000, 0x100, NULL },
    { "plic", 0x0c000000, 0x600000, NULL },
    { "clint", 0x02000000, 0x10000, NULL },
    { "rtc", 0x00101000, 0x1000, NULL },
    { "test-finisher", 0x00100000, 0x1000, NULL },
    { "virtio-mmio", 0x10008000, 0x1000, NULL },
    { "virtio-blk", 0x10001000, 0x1000, "virtio-blk-device,drive=d0,bus=virtio-mmio-bus.0" },
    { "virtio-rng", 0x10001000, 0x1000, "virtio-rng-device,bus=virtio-mmio-bus.0" },
    { "virtio-console", 0x10001000, 0x1000, "virtio-serial-device,bus=virtio-mmio-bus.0" },
};

typedef struct Input {
    const uint8_t *data;
    size_t left;
} Input;

static uint64_t take(Input *input, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && input->left > 0; i++) {
        value |= (uint64_t)*input->data++ << (8 * i);
        input->left--;
    }
    return value;
}

static Machine *machine;
static const FuzzTarget *target;

static void command(const char *fmt, ...) ORR_PRINTF(1, 2);

static void command(const char *fmt, ...)
{
    char line[4096];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    qtest_execute((QtestAccel *)machine->accel, line);
}

static void put_register(uint64_t offset, uint32_t value)
{
    command("writel 0x%" PRIx64 " 0x%x", target->base + offset, value);
}

/* What a driver does to bring a device up; features and sizes are the input's. */
static void virtio_bring_up(Input *input)
{
    unsigned queue = (unsigned)take(input, 1) % 4;
    unsigned size = 1u << (take(input, 1) % 11);
    uint64_t features = take(input, 8);

    put_register(0x70, 0);
    put_register(0x70, 1);
    put_register(0x70, 3);
    put_register(0x24, 0);
    put_register(0x20, (uint32_t)features);
    put_register(0x24, 1);
    put_register(0x20, (uint32_t)(features >> 32) | 1);
    put_register(0x70, 11);
    put_register(0x30, queue);
    put_register(0x38, size);
    put_register(0x28, 4096); /* legacy: page size, alignment, frame number */
    put_register(0x3c, 4096);
    put_register(0x40, (uint32_t)(WINDOW >> 12));
    put_register(0x80, (uint32_t)WINDOW);
    put_register(0x84, 0);
    put_register(0x90, (uint32_t)WINDOW + 0x4000);
    put_register(0x94, 0);
    put_register(0xa0, (uint32_t)WINDOW + 0x5000);
    put_register(0xa4, 0);
    put_register(0x44, 1);
    put_register(0x70, 15);
}

/* A chain of descriptors, sound or wild as the input has it, made available and announced. */
static void virtio_push(Input *input)
{
    unsigned queue = (unsigned)take(input, 1) % 4;
    unsigned first = (unsigned)take(input, 1);
    unsigned count = 1 + (unsigned)take(input, 1) % 6;
    uint32_t type = (uint32_t)take(input, 1) % 16;

    for (unsigned i = 0; i < count; i++) {
        uint64_t at = WINDOW + 16 * ((first + i) % 256);
        uint8_t wild = (uint8_t)take(input, 1);
        uint64_t addr = wild & 1 ? take(input, 8) : WINDOW + 0x8000 + 0x200 * i;
        uint32_t length = wild & 2         ? (uint32_t)take(input, 4)
                          : i == 0         ? 16
                          : i + 1 == count ? 1
                                           : 512;
        uint16_t flags = wild & 4 ? (uint16_t)take(input, 1)
                                  : (uint16_t)((i + 1 < count) | (i > 0 && (wild & 8) ? 2 : 0) |
                                               (i + 1 == count ? 2 : 0));
        uint16_t next = wild & 16 ? (uint16_t)take(input, 2) : (uint16_t)((first + i + 1) % 256);

        command("writeq 0x%" PRIx64 " 0x%" PRIx64, at, addr);
        command("writel 0x%" PRIx64 " 0x%x", at + 8, length);
        command("writel 0x%" PRIx64 " 0x%x", at + 12, flags | (uint32_t)next << 16);
    }
    command("writel 0x%" PRIx64 " 0x%x", WINDOW + 0x8000, type);
    command("writeq 0x%" PRIx64 " 0x%" PRIx64, WINDOW + 0x8008, take(input, 2));
    command("writew 0x%" PRIx64 " 0x%x", WINDOW + 0x4004, first % 256);
    command("writew 0x%" PRIx64 " 0x%x", WINDOW + 0x4002, (unsigned)take(input, 1) + 1);
    put_register(0x50, queue);
}

static void one_operation(Input *input)
{
    static const char widths[] = "bwlq";
    uint8_t op = (uint8_t)take(input, 1);
    char width = widths[(op >> 4) & 3];
    uint64_t offset;

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        offset = take(input, 3) % target->length_bytes;
        command("write%c 0x%" PRIx64 " 0x%" PRIx64, width, target->base + offset, take(input, 8));
        break;
    case 4:
    case 5:
        offset = take(input, 3) % target->length_bytes;
        command("read%c 0x%" PRIx64, width, target->base + offset);
        break;
    case 6:
        offset = take(input, 1) * 4 % target->length_bytes;
        put_register(offset, (uint32_t)take(input, 4));
        break;
    case 7:
        offset = take(input, 2) % (WINDOW_BYTES - 8);
        command("write%c 0x%" PRIx64 " 0x%" PRIx64, width, WINDOW + offset, take(input, 8));
        break;
    case 8:
        command("clock_step %" PRIu64, take(input, 4));
        break;
    case 9:
        virtio_bring_up(input);
        break;
    case 10:
    case 11:
        virtio_push(input);
        break;
    case 12:
        put_register(0x50, (uint32_t)take(input, 1) % 8);
        break;
    case 13:
        main_loop_iterate(machine->cpus, false);
        break;
    case 14:
        command("set_irq_in riscv-plic - %u %u", (unsigned)take(input, 1), op >> 7);
        break;
    case 15:
        /* A guest reads and writes whole buffers too. */
        offset = take(input, 3) % target->length_bytes;
        command("read 0x%" PRIx64 " %" PRIu64, target->base + offset, 1 + take(input, 1));
        break;
    }
}

static int disk_fd = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("ORRERY_FUZZ_DEVICE");

    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        if (name && strcmp(name, targets[i].name) == 0) {
            target = &targets[i];
        }
    }
    if (!target) {
        fprintf(stderr, "fuzz-devices: ORRERY_FUZZ_DEVICE must be one of:");
        for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
            fprintf(stderr, " %s", targets[i].name);
        }
        fprintf(stderr, "\n");
        exit(2);
    }
    disk_fd = memfd_create("disk", MFD_CLOEXEC);
    if (disk_fd < 0 || ftruncate(disk_fd, 1 << 20) < 0) {
        perror("fuzz-devices: disk");
        exit(2);
    }
    return 0;
}

static void add(GPtrArray **texts, const char *text)
{
    *texts = g_ptr_array_new();
    g_ptr_array_add(*texts, (char *)text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *drive =
        g_strdup_printf("file=/proc/self/fd/%d,if=none,format=raw,id=d0", disk_fd);
    Input input = { data, size };
    LogSet log = { .file = stderr };
    MachineOptions options = {
        .machine = "virt",
        .target = "riscv64",
        .vcpus = 2,
        .ram_given = true,
        .ram_bytes = 16 << 20,
        .bios = "none",
        .log = &log,
    };
    uint8_t choices = (uint8_t)take(&input, 1);
    GError *error = NULL;

    add(&options.accels, "qtest");
    add(&options.serials, "null");
    add(&options.globals,
        choices & 1 ? "virtio-mmio.force-legacy=false" : "virtio-mmio.force-legacy=true");
    if (target->device) {
        add(&options.devices, target->device);
        add(&options.drives, drive);
    }
    machine = machine_create(&options, &error);
    if (!machine) {
        fprintf(stderr, "fuzz-devices: %s\n", error->message);
        abort();
    }
    vm_start(machine->cpus);
    for (int i = 0; i < MAX_OPS && input.left > 0; i++) {
        one_operation(&input);
    }
    main_loop_iterate(machine->cpus, false);
    machine_destroy(machine);
    g_ptr_array_unref(options.accels);
    g_ptr_array_unref(options.serials);
    g_ptr_array_unref(options.globals);
    if (target->device) {
        g_ptr_array_unref(options.devices);
        g_ptr_array_unref(options.drives);
    }
    return 0;
}
