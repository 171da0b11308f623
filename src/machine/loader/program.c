/* SPDX-License-Identifier: MIT */
/*
 * Tells what kind of program a file holds and has it loaded: ELF, the flat Image of Linux
 * (Documentation/arch/riscv/boot-image-header.rst), a flat binary, or one of these packed. What is
 * recognisably for another machine is refused by name rather than run as a flat binary.
 */
#include <inttypes.h>
#include <string.h>

#include "machine/loader/loader.h"
#include "orrery/impl/error.h"

#define HEAD_BYTES 1024

/* Linux Image header, little-endian. */
enum {
    IMAGE_SIZE = 16,      /* u64: in memory, zeroed part included */
    IMAGE_FLAGS = 24,     /* u64: bit 0 big-endian */
    IMAGE_MAGIC2 = 56,    /* "RSC\5" */
    IMAGE_PE_HEADER = 60, /* u32: offset of the PE header of a kernel that EFI can start */
    IMAGE_HEADER_BYTES = 64,
};

/* PE header ("Microsoft PE and COFF Specification", 3 and 4). */
enum {
    PE_SECTIONS = 6,        /* u16 */
    PE_OPTIONAL_BYTES = 20, /* u16 */
    PE_OPTIONAL = 24,       /* followed by the section table */
    PE_SECTION_BYTES = 40,
    PE_SECTION_RAW_SIZE = 16,   /* u32 */
    PE_SECTION_RAW_OFFSET = 20, /* u32 */
    PE_SLACK_BYTES = 64 * 1024, /* sizes are rounded up, the file ends before */
};

/* EFI zboot header (drivers/firmware/efi/libstub/zboot-header.S). */
enum {
    ZBOOT_MAGIC = 4,   /* "zimg" */
    ZBOOT_OFFSET = 8,  /* u32: of the packed kernel in the file */
    ZBOOT_METHOD = 24, /* text: "gzip", "zstd22" */
    ZBOOT_METHOD_BYTES = 32,
};

static uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return GUINT32_FROM_LE(value);
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return GUINT64_FROM_LE(value);
}

static bool has(const uint8_t *head, size_t offset, const char *magic, size_t length)
{
    return memcmp(head + offset, magic, length) == 0;
}

/* What is certainly not for us. Offsets are below HEAD_BYTES. */
static bool refuse_foreign(LoadSource *source, const uint8_t *head, GError **error)
{
    static const struct {
        uint16_t offset, length;
        const char *magic;
        const char *is;
    } foreign[] = {
        { 514, 4, "HdrS", "is a Linux kernel for x86" },
        { 56, 4, "ARM\x64", "is a Linux kernel for AArch64" },
        { 36, 4, "\x18\x28\x6f\x01", "is a Linux kernel for Arm" },
        { 0, 4, "\x27\x05\x19\x56", "is a U-Boot image; give the program that it wraps" },
        { 0, 4, "\xd0\x0d\xfe\xed", "is a device tree or FIT image, not a program" },
        { 0, 6,
          "\xfd"
          "7zXZ\0",
          "is packed with xz; unpack it first" },
        { 0, 4, "\x28\xb5\x2f\xfd", "is packed with zstd; unpack it first" },
        { 0, 3, "\x1f\x8b\x08", "is packed with gzip twice; unpack it once" },
        { 0, 3, "BZh", "is packed with bzip2; unpack it first" },
        { 0, 4, "\x89LZO", "is packed with lzop; unpack it first" },
        { 0, 4, "QFI\xfb", "is a qcow2 disk image, not a program" },
        { 0, 6, "070701", "is a cpio archive; did you mean -initrd?" },
        { 0, 8, "!<arch>\n", "is an archive or Debian package, not a program" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        if (has(head, foreign[i].offset, foreign[i].magic, foreign[i].length)) {
            return orr_fail(error, ORR_ERROR_INVALID, "%s %s", load_source_name(source),
                            foreign[i].is);
        }
    }
    return true;
}

bool load_kernel_unpack(LoadSource *source, uint64_t limit_bytes, GError **error)
{
    uint8_t head[64];
    char method[ZBOOT_METHOD_BYTES + 1] = "";
    uint64_t offset_bytes;

    if (!load_source_head(source, head, sizeof(head), error)) {
        return false;
    }
    if (has(head, 0, "\x1f\x8b\x08", 3)) {
        return load_source_gunzip(source, 0, limit_bytes, error);
    }
    if (!has(head, 0, "MZ", 2) || !has(head, ZBOOT_MAGIC, "zimg", 4)) {
        return true;
    }
    memcpy(method, head + ZBOOT_METHOD, ZBOOT_METHOD_BYTES);
    if (strcmp(method, "gzip") != 0) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "%s is an EFI zboot image packed with a method other than gzip; "
                        "give the Image that it holds",
                        load_source_name(source));
    }
    offset_bytes = get_u32(head + ZBOOT_OFFSET);
    if (offset_bytes >= load_source_size(source)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is truncated: its packed kernel lies past "
                        "its end",
                        load_source_name(source));
    }
    return load_source_gunzip(source, offset_bytes, limit_bytes, error);
}

static bool load_flat(RomSet *roms, LoadSource *source, hwaddr start, uint64_t memory_bytes,
                      LoadedProgram *program, GError **error)
{
    uint64_t size_bytes = load_source_size(source);

    memory_bytes = MAX(memory_bytes, size_bytes);
    if (!rom_add_part(roms, source, NULL, 0, size_bytes, start, memory_bytes, error)) {
        return false;
    }
    *program = (LoadedProgram){ .entry = start, .low = start, .high = start + memory_bytes };
    return true;
}

bool load_firmware(RomSet *roms, LoadSource *source, uint16_t elf_machine, hwaddr start,
                   LoadedProgram *program, GError **error)
{
    if (load_is_elf(source)) {
        return load_elf(roms, source, elf_machine, program, error);
    }
    return load_flat(roms, source, start, 0, program, error);
}

/*
 * The Image header does not tell the size of the file, but the PE header in an Image that EFI can
 * start does. head is HEAD_BYTES long; what does not look like a PE header is not judged.
 */
static bool check_image_whole(LoadSource *source, const uint8_t *head, GError **error)
{
    uint32_t pe = get_u32(head + IMAGE_PE_HEADER);
    uint64_t end = 0;
    size_t table;
    unsigned count;

    if (!has(head, 0, "MZ", 2) || pe > HEAD_BYTES - PE_OPTIONAL || !has(head, pe, "PE\0", 4)) {
        return true;
    }
    table = (size_t)pe + PE_OPTIONAL + get_u16(head + pe + PE_OPTIONAL_BYTES);
    count = get_u16(head + pe + PE_SECTIONS);
    for (unsigned i = 0; i < count && table + PE_SECTION_BYTES <= HEAD_BYTES; i++) {
        end = MAX(end, (uint64_t)get_u32(head + table + PE_SECTION_RAW_OFFSET) +
                           get_u32(head + table + PE_SECTION_RAW_SIZE));
        table += PE_SECTION_BYTES;
    }
    if (end > load_source_size(source) + PE_SLACK_BYTES) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is truncated: its header tells of %" PRIu64 " KiB, it has %" PRIu64,
                        load_source_name(source), end >> 10, load_source_size(source) >> 10);
    }
    return true;
}

static bool load_image(RomSet *roms, LoadSource *source, const uint8_t *head, hwaddr start,
                       LoadedProgram *program, GError **error)
{
    const char *name = load_source_name(source);
    uint64_t memory_bytes = get_u64(head + IMAGE_SIZE);

    if (get_u64(head + IMAGE_FLAGS) & 1) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is a big-endian kernel", name);
    }
    if (load_source_size(source) < IMAGE_HEADER_BYTES) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is truncated: it ends in its Image header",
                        name);
    }
    if (!check_image_whole(source, head, error)) {
        return false;
    }
    /* The header's size is that of the memory image; the file may leave out no more than zeros. */
    return load_flat(roms, source, start, memory_bytes, program, error);
}

bool load_kernel(RomSet *roms, LoadSource *source, uint16_t elf_machine, hwaddr start,
                 LoadedProgram *program, GError **error)
{
    uint8_t head[HEAD_BYTES];

    if (!load_kernel_unpack(source, rom_set_ram_bytes(roms), error)) {
        return false;
    }
    if (load_is_elf(source)) {
        return load_elf(roms, source, elf_machine, program, error);
    }
    if (!load_source_head(source, head, sizeof(head), error) ||
        !refuse_foreign(source, head, error)) {
        return false;
    }
    if (has(head, IMAGE_MAGIC2, "RSC\x05", 4)) {
        return load_image(roms, source, head, start, program, error);
    }
    return load_flat(roms, source, start, 0, program, error);
}
