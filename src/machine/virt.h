/* SPDX-License-Identifier: MIT */
/*
 * Private to the `virt` board: its state, and its memory map, which the builder of devices and the
 * writer of the device tree share.
 */
#ifndef ORRERY_MACHINE_VIRT_H
#define ORRERY_MACHINE_VIRT_H

#include "machine/boot.h"

#define VIRT_TIMEBASE_HZ 10000000
#define VIRT_UART_CLOCK_HZ 3686400
#define VIRT_PLIC_SOURCES 96
#define VIRT_TRANSPORTS 8
#define VIRT_MAX_VCPUS 512

#define VIRT_ACLINT_MTIMER_OFFSET 0x4000 /* in the CLINT's place */

/* Interrupt inputs of a hart, numbered as in mip (privileged specification, 3.1.9). */
enum {
    RISCV_IRQ_SSI = 1,
    RISCV_IRQ_MSI = 3,
    RISCV_IRQ_MTI = 7,
    RISCV_IRQ_SEI = 9,
    RISCV_IRQ_MEI = 11,
};

/* Interrupt sources of the PLIC. */
enum {
    VIRT_IRQ_TRANSPORT = 1, /* and the following ones */
    VIRT_IRQ_UART = 10,
    VIRT_IRQ_RTC = 11,
};

/* What lies where. Addresses are those that QEMU publishes for its board of this name. */
typedef enum VirtPlace {
    VIRT_MROM,
    VIRT_TEST,
    VIRT_RTC,
    VIRT_CLINT,
    VIRT_ACLINT_SSWI,
    VIRT_PLIC,
    VIRT_UART,
    VIRT_TRANSPORT, /* the first; the others follow */
    VIRT_DRAM,      /* its size is the user's choice */
    VIRT_PLACE_COUNT,
} VirtPlace;

typedef struct VirtMapEntry {
    hwaddr base;
    uint64_t size_bytes;
} VirtMapEntry;

extern const VirtMapEntry virt_map[VIRT_PLACE_COUNT];

typedef struct VirtMachine {
    Machine machine; /* first */

    /* Properties. */
    bool aclint, htif;
    uint32_t acpi;
    char *dumpdtb;

    BootPlan boot;
    RomSet *roms;
    void *dtb;    /* owned by roms */
    Device *plic; /* owned by the environment */

    /* With HTIF: the guest's tohost and fromhost words (0: no such), and the page they are on. */
    hwaddr tohost, fromhost, htif_page;
} VirtMachine;

/*
 * The device tree of the machine as built, /chosen without what the user's options add. g_free it;
 * NULL with a GError.
 */
void *virt_describe(VirtMachine *virt, GError **error);

#endif
