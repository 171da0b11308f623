/* SPDX-License-Identifier: MIT */
/*
 * How a RISC-V board starts its guest: firmware at the bottom of RAM, a kernel and an initrd above
 * it, the device tree near the top, and in the boot ROM the few instructions that every hart begins
 * with. The places are those of QEMU's boards, so that guests find what they expect.
 *
 * All of it: main thread, machine lock held. Errors name the file.
 */
#ifndef ORRERY_MACHINE_BOOT_H
#define ORRERY_MACHINE_BOOT_H

#include "machine/loader/loader.h"
#include "orrery/impl/machine.h"

typedef struct BootPlan {
    bool has_firmware, has_kernel, has_initrd;
    LoadedProgram firmware, kernel;
    LoadSource *kernel_source; /* owned; NULL without a kernel */
    hwaddr initrd, initrd_end;
    hwaddr dtb;
} BootPlan;

void boot_plan_finish(BootPlan *plan); /* half-built is fine */

/* Opens the kernel, if one is given, so that boards can look into it before they build. */
bool boot_open_kernel(const Machine *machine, BootPlan *plan, GError **error);

/* Firmware, kernel and initrd as the options say, added to roms. */
bool boot_add_programs(const Machine *machine, RomSet *roms, BootPlan *plan, GError **error);

/* The user's device tree (-dtb), checked. NULL with a GError. Freed with g_free. */
void *boot_read_dtb(const char *path, GError **error);

/*
 * Fills /chosen with the command line, the initrd's place and a seed, where they are known. Takes
 * over dtb and returns another, to be freed with g_free, and its size; NULL with a GError.
 */
void *boot_finish_dtb(void *dtb, const Machine *machine, const BootPlan *plan, size_t *length_bytes,
                      GError **error);

/* A new seed in /chosen of a finished tree, in place. */
bool boot_reseed_dtb(void *dtb, GError **error);

/* Chooses a place for the tree, which roms then owns, also on failure. */
bool boot_add_dtb(RomSet *roms, BootPlan *plan, void *dtb, size_t length_bytes, GError **error);

/* Where every hart begins: a0 = its id, a1 = device tree, a2 = OpenSBI's dynamic information. */
bool boot_add_reset_vector(RomSet *roms, const BootPlan *plan, hwaddr rom, GError **error);

#endif
