/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for everything that reads a file the user names: kernels (ELF, Image, gzip, zboot),
 * firmware and device trees. The first byte of an input chooses a well-formed file to start from,
 * or none; the rest changes bytes of it (pairs of a place and a value) or is the file. So that a
 * fuzzer, and plain random numbers too, get past the first checks.
 */
#include <elf.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/boot.h"
#include "machine/fdt-builder.h"
#include "orrery/impl/cpus.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(1) << 20)

static struct {
    Timers *timers;
    Memory *memory;
    Cpus *cpus;
    int file; /* memfd for device trees, which are read by path */
    char path[32];
} world;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    world.timers = timers_create();
    world.memory = memory_create();
    world.cpus = cpus_create(world.timers, world.memory, NULL);
    machine_lock(world.cpus);
    memory_add_ram(world.memory, "ram", RAM_BASE, RAM_BYTES, false, NULL);
    world.file = memfd_create("input", MFD_CLOEXEC);
    g_snprintf(world.path, sizeof(world.path), "/proc/self/fd/%d", world.file);
    return 0;
}

/* ---- Well-formed files. */

static void start_from_elf(GByteArray *file)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment[3];
        Elf64_Sym symbols[2];
        char strings[16];
        Elf64_Shdr sections[3];
        uint8_t code[64];
    } elf = {
        .header = { .e_type = ET_EXEC,
                    .e_machine = EM_RISCV,
                    .e_version = 1,
                    .e_entry = RAM_BASE,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 3,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 3 },
        .strings = "\0tohost",
    };

    memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
    elf.header.e_ident[EI_CLASS] = ELFCLASS64;
    elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.header.e_shoff = (uint64_t)((char *)elf.sections - (char *)&elf);
    for (unsigned i = 0; i < 3; i++) {
        elf.segment[i].p_type = PT_LOAD;
        elf.segment[i].p_offset = (uint64_t)((char *)elf.code - (char *)&elf);
        elf.segment[i].p_vaddr = elf.segment[i].p_paddr = RAM_BASE + i * 0x1000;
        elf.segment[i].p_filesz = sizeof(elf.code);
        elf.segment[i].p_memsz = 0x800;
    }
    elf.symbols[1].st_name = 1;
    elf.symbols[1].st_shndx = 1;
    elf.sections[1].sh_type = SHT_SYMTAB;
    elf.sections[1].sh_offset = (uint64_t)((char *)elf.symbols - (char *)&elf);
    elf.sections[1].sh_size = sizeof(elf.symbols);
    elf.sections[1].sh_link = 2;
    elf.sections[2].sh_offset = (uint64_t)((char *)elf.strings - (char *)&elf);
    elf.sections[2].sh_size = sizeof(elf.strings);
    g_byte_array_append(file, (const uint8_t *)&elf, sizeof(elf));
}

static void start_from_image(GByteArray *file)
{
    uint8_t image[256] = { [18] = 1, [50] = 'R' };

    memcpy(image, "MZ", 2);
    memcpy(image + 56, "RSC\x05\x40\0\0\0PE\0\0", 12);
    image[0x40 + 6] = 2;       /* sections */
    image[0x40 + 24 + 17] = 1; /* raw size */
    g_byte_array_append(file, image, sizeof(image));
}

/* A gzip file of one stored block, whose check sum is wrong unless the fuzzer finds it. */
static void start_from_gzip(GByteArray *file)
{
    static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 16, 0, 0xef, 0xff };

    g_byte_array_append(file, head, sizeof(head));
    g_byte_array_append(file, (const uint8_t *)"sixteen bytes...\xa1\x25\x1b\x98\x10\0\0\0", 24);
}

static void start_from_zboot(GByteArray *file)
{
    uint8_t head[64] = "MZ\0\0zimg\x40\0\0\0";

    memcpy(head + 24, "gzip", 5);
    g_byte_array_append(file, head, sizeof(head));
    start_from_gzip(file);
}

static void start_from_tree(GByteArray *file)
{
    FdtBuilder fdt;
    size_t length;
    void *blob;

    fdt_builder_init(&fdt, 512);
    fdt_cells(&fdt, "#address-cells", 2);
    fdt_node(&fdt, "chosen");
    fdt_string_value(&fdt, "bootargs", "one two");
    fdt_node_end(&fdt);
    fdt_node(&fdt, "soc");
    fdt_reg(&fdt, 0x1000, 0x1000);
    fdt_node(&fdt, "inner");
    fdt_node_end(&fdt);
    fdt_node_end(&fdt);
    blob = fdt_builder_finish(&fdt, &length, NULL);
    g_byte_array_append(file, blob, (guint)length);
    g_free(blob);
}

/* ---- What is done with them. */

static void check_program(const LoadedProgram *program)
{
    if (program->low < RAM_BASE || program->high > RAM_BASE + RAM_BYTES ||
        program->low >= program->high) {
        abort();
    }
}

static void use_program(const GByteArray *file, bool firmware)
{
    LoadSource *source = load_source_from_bytes("kernel", "fuzz", file->data, file->len);
    RomSet *roms = rom_set_create(world.memory, RAM_BASE, RAM_BYTES);
    ElfSymbol symbols[] = { { .name = "tohost" }, { .name = "fromhost" }, { .name = NULL } };
    LoadedProgram program = { 0 };
    bool loaded;

    if (load_is_elf(source)) {
        load_elf_symbols(source, EM_RISCV, symbols, NULL);
    }
    loaded = firmware ? load_firmware(roms, source, EM_RISCV, RAM_BASE, &program, NULL)
                      : load_kernel(roms, source, EM_RISCV, RAM_BASE + 0x80000, &program, NULL);
    if (loaded) {
        check_program(&program);
        rom_set_write(roms, false, NULL);
    }
    rom_set_destroy(roms);
    load_source_unref(source);
}

static void use_tree(const GByteArray *file)
{
    MachineOptions options = { .append = "console=ttyS0" };
    Machine machine = { .options = &options };
    BootPlan plan = { .has_initrd = true, .initrd = 0x1000, .initrd_end = 0x2000 };
    size_t length;
    void *dtb;

    if (ftruncate(world.file, 0) < 0 ||
        pwrite(world.file, file->data, file->len, 0) != (ssize_t)file->len) {
        abort();
    }
    dtb = boot_read_dtb(world.path, NULL);
    if (dtb) {
        dtb = boot_finish_dtb(dtb, &machine, &plan, &length, NULL);
    }
    if (dtb && (fdt_check_full(dtb, length) || !boot_reseed_dtb(dtb, NULL))) {
        abort();
    }
    g_free(dtb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const starts[])(GByteArray *) = { start_from_elf,  start_from_image,
                                                    start_from_gzip, start_from_zboot,
                                                    start_from_tree, NULL };
    GByteArray *file = g_byte_array_new();
    unsigned kind = size ? data[0] % 16 : 0;
    unsigned start = kind % G_N_ELEMENTS(starts);

    if (size < 2) {
        g_byte_array_unref(file);
        return 0;
    }
    if (starts[start]) {
        /* A few changes at most: a file that is all wrong only ever fails the first check. */
        starts[start](file);
        for (size_t i = 2; i + 2 < size && i < 2 + 3 * (size_t)(data[1] % 8); i += 3) {
            file->data[(data[i] | data[i + 1] << 8) % file->len] = data[i + 2];
        }
    } else {
        g_byte_array_append(file, data + 1, (guint)size - 1);
    }
    if (data[1] & 0x80) {
        g_byte_array_set_size(file, file->len * (data[1] & 0x7f) / 128 + 1);
    }
    if (start == 4) {
        use_tree(file);
    }
    use_program(file, kind >= 12);
    g_byte_array_unref(file);
    return 0;
}
