/* SPDX-License-Identifier: MIT */
/*
 * Places for a RISC-V guest's programs. A piece is placed relative to those before it and RomSet
 * refuses what does not fit, so the order (firmware, kernel, initrd, device tree) is the whole of
 * the policy.
 */
#include "machine/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "orrery/gen/config.h"
#include "orrery/impl/error.h"

#define KERNEL_ALIGN ((hwaddr)2 << 20)            /* boot-image-header.rst: rv64 */
#define INITRD_DISTANCE_MAX ((uint64_t)128 << 20) /* from the kernel: inside its early mappings */
#define INITRD_ALIGN ((hwaddr)4096)
#define DTB_ALIGN ((hwaddr)2 << 20) /* OpenSBI may map it by a single large page */
#define DTB_BELOW ((hwaddr)3 << 30) /* a kernel's early mapping of it works with 32-bit addresses */
#define DTB_MAX_BYTES (1 << 20)
#define DTB_ROOM_BYTES 4096 /* for what is added to a user's tree, the command line aside */

static hwaddr align_up(hwaddr addr, hwaddr align)
{
    return (addr + align - 1) & ~(align - 1);
}

static hwaddr align_down(hwaddr addr, hwaddr align)
{
    return addr & ~(align - 1);
}

void boot_plan_finish(BootPlan *plan)
{
    load_source_unref(plan->kernel_source);
    plan->kernel_source = NULL;
}

bool boot_open_kernel(const Machine *machine, BootPlan *plan, GError **error)
{
    const MachineOptions *options = machine->options;

    if (!options->kernel) {
        if (options->append) {
            return orr_fail(error, ORR_ERROR_INVALID, "-append is of use only with -kernel");
        }
        if (options->initrd) {
            return orr_fail(error, ORR_ERROR_INVALID, "-initrd is of use only with -kernel");
        }
        return true;
    }
    plan->kernel_source = load_source_open("kernel", options->kernel, error);
    return plan->kernel_source != NULL &&
           load_kernel_unpack(plan->kernel_source, machine->ram_bytes, error);
}

/* ---- Firmware. */

static char *executable_dir(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length <= 0) {
        return NULL;
    }
    path[length] = '\0';
    return g_path_get_dirname(path);
}

/* The default firmware: OpenSBI that takes its next stage from registers. */
static char *find_firmware(const char *target)
{
    const char *from_env = g_getenv("ORRERY_FIRMWARE_DIR");
    g_autofree char *dir = executable_dir();
    char *candidates[] = {
        from_env ? g_build_filename(from_env, "fw_dynamic.bin", NULL) : NULL,
        dir ? g_build_filename(dir, "guest", target, "fw_dynamic.bin", NULL) : NULL,
        g_build_filename(ORRERY_DATADIR, target, "fw_dynamic.bin", NULL),
        g_strdup("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"),
        g_strdup("/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin"),
    };
    char *found = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++) {
        if (!found && candidates[i] && access(candidates[i], R_OK) == 0) {
            found = candidates[i];
        } else {
            g_free(candidates[i]);
        }
    }
    return found;
}

static bool add_firmware(const Machine *machine, RomSet *roms, BootPlan *plan, GError **error)
{
    const char *bios = machine->options->bios;
    g_autofree char *path = NULL;
    LoadSource *source;
    bool ok;

    if (bios && strcmp(bios, "none") == 0) {
        return true;
    }
    if (!bios || strcmp(bios, "default") == 0) {
        path = find_firmware(machine->target->name);
        if (!path) {
            return orr_fail(error, ORR_ERROR_NOT_FOUND,
                            "there is no OpenSBI (fw_dynamic.bin) to start with; install Debian's "
                            "package opensbi, name a file with -bios, or run the kernel without "
                            "firmware by -bios none");
        }
    }
    source = load_source_open("firmware", path ? path : bios, error);
    if (!source) {
        return false;
    }
    ok = load_firmware(roms, source, machine->target->elf_machine, rom_set_ram_base(roms),
                       &plan->firmware, error);
    load_source_unref(source);
    plan->has_firmware = ok;
    return ok;
}

/* ---- Kernel and initrd. */

static bool add_kernel(const Machine *machine, RomSet *roms, BootPlan *plan, GError **error)
{
    hwaddr start = rom_set_ram_base(roms);

    if (!plan->kernel_source) {
        return true;
    }
    if (plan->has_firmware) {
        start = align_up(plan->firmware.high, KERNEL_ALIGN);
    }
    plan->has_kernel = load_kernel(roms, plan->kernel_source, machine->target->elf_machine, start,
                                   &plan->kernel, error);
    if (!plan->has_kernel && plan->kernel.is_elf && plan->has_firmware && error && *error &&
        plan->kernel.entry >= plan->firmware.low && plan->kernel.entry < plan->firmware.high) {
        g_prefix_error(error, "the kernel wants the place of the firmware (use -bios none?): ");
    }
    return plan->has_kernel;
}

static bool add_initrd(const Machine *machine, RomSet *roms, BootPlan *plan, GError **error)
{
    const char *path = machine->options->initrd;
    hwaddr start = plan->kernel.low;
    uint64_t size_bytes;
    LoadSource *source;
    bool ok;

    if (!path) {
        return true;
    }
    source = load_source_open("initrd", path, error);
    if (!source) {
        return false;
    }
    size_bytes = load_source_size(source);
    /*
     * Far enough for a kernel to unpack itself, near enough for its early page tables; half-way
     * when there is little RAM.
     */
    start = align_down(start + MIN(machine->ram_bytes / 2, INITRD_DISTANCE_MAX), INITRD_ALIGN);
    start = MAX(start, align_up(plan->kernel.high, INITRD_ALIGN));
    ok = rom_add_part(roms, source, NULL, 0, size_bytes, start, size_bytes, error);
    load_source_unref(source);
    plan->has_initrd = ok;
    plan->initrd = start;
    plan->initrd_end = start + size_bytes;
    return ok;
}

bool boot_add_programs(const Machine *machine, RomSet *roms, BootPlan *plan, GError **error)
{
    return add_firmware(machine, roms, plan, error) && add_kernel(machine, roms, plan, error) &&
           add_initrd(machine, roms, plan, error);
}

/* ---- Device tree. */

#define SEED_BYTES 32

static bool random_seed(uint8_t seed[SEED_BYTES], GError **error)
{
    if (getrandom(seed, SEED_BYTES, 0) != SEED_BYTES) {
        return orr_fail(error, ORR_ERROR_IO, "the host gives no random numbers: %s",
                        g_strerror(errno));
    }
    return true;
}

void *boot_read_dtb(const char *path, GError **error)
{
    LoadSource *source = load_source_open("device tree", path, error);
    void *dtb = NULL;
    uint64_t size_bytes;
    int status;

    if (!source) {
        return NULL;
    }
    size_bytes = load_source_size(source);
    if (size_bytes > DTB_MAX_BYTES) {
        orr_fail(error, ORR_ERROR_INVALID, "%s is larger than %d KiB", load_source_name(source),
                 DTB_MAX_BYTES >> 10);
        load_source_unref(source);
        return NULL;
    }
    dtb = g_malloc(size_bytes);
    if (!load_source_read(source, 0, dtb, size_bytes, error)) {
        g_clear_pointer(&dtb, g_free);
    } else if ((status = fdt_check_full(dtb, size_bytes)) != 0) {
        orr_fail(error, ORR_ERROR_INVALID, "%s cannot be used: %s", load_source_name(source),
                 status == -FDT_ERR_BADMAGIC
                     ? "it is not a flattened device tree (a source file goes through dtc first)"
                 : status == -FDT_ERR_TRUNCATED ? "it is truncated"
                                                : "its structure is damaged");
        g_clear_pointer(&dtb, g_free);
    }
    load_source_unref(source);
    return dtb;
}

static int edit_chosen(void *dtb, const Machine *machine, const BootPlan *plan,
                       const uint8_t seed[SEED_BYTES])
{
    const char *append = machine->options->append;
    int node = fdt_path_offset(dtb, "/chosen"), status = 0;

    if (node == -FDT_ERR_NOTFOUND) {
        node = fdt_add_subnode(dtb, 0, "chosen");
    }
    if (node < 0) {
        return node;
    }
    if (append) {
        status = fdt_setprop_string(dtb, node, "bootargs", append);
    }
    if (!status && plan->has_initrd) {
        status = fdt_setprop_u64(dtb, node, "linux,initrd-start", plan->initrd);
    }
    if (!status && plan->has_initrd) {
        status = fdt_setprop_u64(dtb, node, "linux,initrd-end", plan->initrd_end);
    }
    if (!status) {
        status = fdt_setprop(dtb, node, "rng-seed", seed, SEED_BYTES);
    }
    return status;
}

void *boot_finish_dtb(void *dtb, const Machine *machine, const BootPlan *plan, size_t *length_bytes,
                      GError **error)
{
    const char *append = machine->options->append;
    size_t room_bytes = fdt_totalsize(dtb) + DTB_ROOM_BYTES + (append ? strlen(append) : 0);
    void *finished = g_malloc0(room_bytes);
    uint8_t seed[SEED_BYTES];
    int status;

    if (!random_seed(seed, error)) {
        goto fail;
    }
    status = fdt_open_into(dtb, finished, (int)room_bytes);
    if (!status) {
        status = edit_chosen(finished, machine, plan, seed);
    }
    if (!status) {
        status = fdt_pack(finished);
    }
    if (status) {
        orr_fail(error, ORR_ERROR_INVALID, "the device tree's /chosen cannot be filled: %s",
                 fdt_strerror(status));
        goto fail;
    }
    g_free(dtb);
    *length_bytes = fdt_totalsize(finished);
    return finished;

fail:
    g_free(finished);
    g_free(dtb);
    return NULL;
}

bool boot_reseed_dtb(void *dtb, GError **error)
{
    uint8_t seed[SEED_BYTES];
    int node = fdt_path_offset(dtb, "/chosen");

    if (!random_seed(seed, error)) {
        return false;
    }
    if (node >= 0) {
        (void)fdt_setprop_inplace(dtb, node, "rng-seed", seed, SEED_BYTES);
    }
    return true;
}

bool boot_add_dtb(RomSet *roms, BootPlan *plan, void *dtb, size_t length_bytes, GError **error)
{
    hwaddr base = rom_set_ram_base(roms), end = base + rom_set_ram_bytes(roms);
    hwaddr align[] = { DTB_ALIGN, 4096 };

    if (base < DTB_BELOW) {
        end = MIN(end, DTB_BELOW);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(align); i++) {
        if (length_bytes <= end - base) {
            plan->dtb = align_down(end - length_bytes, align[i]);
            if (plan->dtb >= base && !rom_set_overlap(roms, plan->dtb, length_bytes)) {
                return rom_add_blob(roms, "the device tree", dtb, length_bytes, plan->dtb, false,
                                    error);
            }
        }
    }
    g_free(dtb);
    return orr_fail(error, ORR_ERROR_INVALID,
                    "there is no room left in RAM for the device tree (%zu bytes); give more by -m",
                    length_bytes);
}

/* ---- Reset vector. */

/* OpenSBI's struct fw_dynamic_info (include/sbi/fw_dynamic.h), version 2. */
typedef struct FirmwareInfo {
    uint64_t magic, version, next_addr, next_mode, options, boot_hart;
} FirmwareInfo;

#define FIRMWARE_INFO_MAGIC UINT64_C(0x4942534f) /* "OSBI" */
#define FIRMWARE_NEXT_MODE_S 1

typedef struct ResetVector {
    uint32_t code[6];
    uint64_t start, dtb;
    FirmwareInfo info;
} ResetVector;

enum {
    REG_T0 = 5,
    REG_A0 = 10,
    REG_A1 = 11,
    REG_A2 = 12,
    CSR_MHARTID = 0xf14,
};

/* I-type: imm[11:0] rs1 funct3 rd opcode (unprivileged specification, 2.2). */
static uint32_t insn_i(uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1, uint32_t imm)
{
    return GUINT32_TO_LE(imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode);
}

bool boot_add_reset_vector(RomSet *roms, const BootPlan *plan, hwaddr rom, GError **error)
{
    ResetVector *vector = g_new0(ResetVector, 1);
    hwaddr start = plan->has_firmware ? plan->firmware.entry
                   : plan->has_kernel ? plan->kernel.entry
                                      : rom_set_ram_base(roms);

    vector->code[0] = GUINT32_TO_LE(REG_T0 << 7 | 0x17); /* auipc t0, 0 */
    vector->code[1] = insn_i(0x13, 0, REG_A2, REG_T0, offsetof(ResetVector, info));  /* addi */
    vector->code[2] = insn_i(0x73, 2, REG_A0, 0, CSR_MHARTID);                       /* csrr */
    vector->code[3] = insn_i(0x03, 3, REG_A1, REG_T0, offsetof(ResetVector, dtb));   /* ld */
    vector->code[4] = insn_i(0x03, 3, REG_T0, REG_T0, offsetof(ResetVector, start)); /* ld */
    vector->code[5] = insn_i(0x67, 0, 0, REG_T0, 0);                                 /* jr t0 */
    vector->start = GUINT64_TO_LE(start);
    vector->dtb = GUINT64_TO_LE(plan->dtb);
    vector->info.magic = GUINT64_TO_LE(FIRMWARE_INFO_MAGIC);
    vector->info.version = GUINT64_TO_LE(2);
    vector->info.next_addr = GUINT64_TO_LE(plan->has_kernel ? plan->kernel.entry : 0);
    vector->info.next_mode = GUINT64_TO_LE(FIRMWARE_NEXT_MODE_S);
    return rom_add_blob(roms, "the reset vector", vector, sizeof(*vector), rom, true, error);
}
