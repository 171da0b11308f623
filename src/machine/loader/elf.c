/* SPDX-License-Identifier: MIT */
/*
 * ELF executables (System V ABI, "Object Files" and "Program Loading"). Every offset, size and
 * count in the file is a claim to be checked against the file's real size before it is followed;
 * arithmetic on them is done so that it cannot wrap.
 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "machine/loader/loader.h"
#include "orrery/impl/error.h"

#define ELF_MAX_SEGMENTS 1024
#define ELF_MAX_HEADERS_BYTES (64 << 10)
#define ELF_MAX_TABLE_BYTES (64 << 20) /* of a symbol or string table */

static const char *elf_machine_name(unsigned machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {
        { EM_RISCV, "RISC-V" },     { EM_X86_64, "x86-64" }, { EM_386, "x86 (32 bits)" },
        { EM_AARCH64, "AArch64" },  { EM_ARM, "Arm" },       { EM_PPC64, "PowerPC (64 bits)" },
        { EM_PPC, "PowerPC" },      { EM_S390, "S/390" },    { EM_MIPS, "MIPS" },
        { EM_SPARCV9, "SPARC V9" }, { 258, "LoongArch" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].machine == machine) {
            return names[i].name;
        }
    }
    return "an unknown architecture";
}

bool load_is_elf(LoadSource *source)
{
    uint8_t magic[SELFMAG];

    return load_source_head(source, magic, sizeof(magic), NULL) &&
           memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static bool read_header(LoadSource *source, uint16_t elf_machine, Elf64_Ehdr *header,
                        GError **error)
{
    const char *name = load_source_name(source);

    if (load_source_size(source) < EI_NIDENT) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is truncated: it ends in its ELF header",
                        name);
    }
    if (!load_source_head(source, header, sizeof(*header), error)) {
        return false;
    }
    /* Machine and type stand at the same place in 32-bit and 64-bit files of one byte order. */
    if (header->e_ident[EI_DATA] != ELFDATA2LSB) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is a big-endian ELF file; the machine is little-endian", name);
    }
    if (header->e_machine != elf_machine) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is for %s, not for %s", name,
                        elf_machine_name(header->e_machine), elf_machine_name(elf_machine));
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is a 32-bit ELF file; the machine has 64 bits", name);
    }
    if (load_source_size(source) < sizeof(*header)) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is truncated: it ends in its ELF header",
                        name);
    }
    if (header->e_type == ET_REL) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is an object file that has not been linked",
                        name);
    }
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is not an executable ELF file", name);
    }
    return true;
}

static bool read_segments(LoadSource *source, const Elf64_Ehdr *header, Elf64_Phdr **segments,
                          GError **error)
{
    const char *name = load_source_name(source);
    uint64_t size_bytes = load_source_size(source);
    uint64_t table_bytes = (uint64_t)header->e_phnum * sizeof(Elf64_Phdr);

    *segments = NULL;
    if (header->e_phnum == 0) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s has no segments to load", name);
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > ELF_MAX_SEGMENTS) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is damaged: its ELF header tells of %u segments of %u bytes", name,
                        header->e_phnum, header->e_phentsize);
    }
    if (header->e_phoff > size_bytes || table_bytes > size_bytes - header->e_phoff) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is truncated: its segment table lies past its end", name);
    }
    *segments = g_malloc(table_bytes);
    if (!load_source_read(source, header->e_phoff, *segments, table_bytes, error)) {
        g_free(*segments);
        *segments = NULL;
        return false;
    }
    return true;
}

/*
 * Linkers like to put the ELF headers in front of the first segment's code, on the page before the
 * address that the user chose, which for the start of RAM is no memory at all. No program without
 * an operating system wants its headers: what of them is below RAM is left out.
 */
static void drop_headers(const RomSet *roms, Elf64_Phdr *segment)
{
    hwaddr base = rom_set_ram_base(roms);
    uint64_t below = base - segment->p_paddr;

    if (segment->p_offset == 0 && segment->p_paddr < base && below <= ELF_MAX_HEADERS_BYTES &&
        below < segment->p_filesz) {
        segment->p_offset += below;
        segment->p_vaddr += below;
        segment->p_paddr += below;
        segment->p_filesz -= below;
        segment->p_memsz -= below;
    }
}

static bool add_segment(RomSet *roms, LoadSource *source, unsigned number,
                        const Elf64_Phdr *segment, LoadedProgram *program, GError **error)
{
    const char *name = load_source_name(source);
    uint64_t size_bytes = load_source_size(source);
    char part[24];

    if (segment->p_filesz > segment->p_memsz) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is damaged: segment %u has more bytes in the file than in memory", name,
                        number);
    }
    if (segment->p_filesz > 0 &&
        (segment->p_offset > size_bytes || segment->p_filesz > size_bytes - segment->p_offset)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is truncated: segment %u needs %" PRIu64 " bytes at %" PRIu64
                        ", the file has %" PRIu64,
                        name, number, segment->p_filesz, segment->p_offset, size_bytes);
    }
    g_snprintf(part, sizeof(part), "segment %u", number);
    if (!rom_add_part(roms, source, part, segment->p_filesz ? segment->p_offset : 0,
                      segment->p_filesz, segment->p_paddr, segment->p_memsz, error)) {
        return false;
    }
    program->low = MIN(program->low, segment->p_paddr);
    program->high = MAX(program->high, segment->p_paddr + segment->p_memsz);
    return true;
}

bool load_elf(RomSet *roms, LoadSource *source, uint16_t elf_machine, LoadedProgram *program,
              GError **error)
{
    Elf64_Ehdr header;
    g_autofree Elf64_Phdr *segments = NULL;

    if (!read_header(source, elf_machine, &header, error) ||
        !read_segments(source, &header, &segments, error)) {
        return false;
    }
    *program = (LoadedProgram){ .entry = header.e_entry, .low = UINT64_MAX, .is_elf = true };
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr *segment = &segments[i];

        if (segment->p_type != PT_LOAD || segment->p_memsz == 0) {
            continue;
        }
        if (segment->p_filesz <= segment->p_memsz) {
            drop_headers(roms, segment);
        }
        if (!add_segment(roms, source, i, segment, program, error)) {
            return false;
        }
        /* A kernel linked for virtual addresses starts at the physical one of its entry. */
        if (header.e_entry >= segment->p_vaddr &&
            header.e_entry - segment->p_vaddr < segment->p_memsz) {
            program->entry = header.e_entry - segment->p_vaddr + segment->p_paddr;
        }
    }
    if (program->high == 0) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s has no segments to load",
                        load_source_name(source));
    }
    return true;
}

/* A table of the file, whole; NULL when it is absurd or not there. */
static void *read_table(LoadSource *source, const Elf64_Shdr *section)
{
    uint64_t size_bytes = load_source_size(source);
    void *table;

    if (section->sh_size == 0 || section->sh_size > ELF_MAX_TABLE_BYTES ||
        section->sh_offset > size_bytes || section->sh_size > size_bytes - section->sh_offset) {
        return NULL;
    }
    table = g_malloc(section->sh_size);
    if (!load_source_read(source, section->sh_offset, table, section->sh_size, NULL)) {
        g_free(table);
        return NULL;
    }
    return table;
}

static void match_symbols(const Elf64_Sym *table, uint64_t count, const char *strings,
                          uint64_t strings_bytes, ElfSymbol *symbols)
{
    for (uint64_t i = 0; i < count; i++) {
        for (ElfSymbol *wanted = symbols; wanted->name; wanted++) {
            size_t length = strlen(wanted->name) + 1;

            if (table[i].st_shndx != SHN_UNDEF && table[i].st_name < strings_bytes &&
                length <= strings_bytes - table[i].st_name &&
                memcmp(strings + table[i].st_name, wanted->name, length) == 0) {
                wanted->found = true;
                wanted->value = table[i].st_value;
            }
        }
    }
}

bool load_elf_symbols(LoadSource *source, uint16_t elf_machine, ElfSymbol *symbols, GError **error)
{
    Elf64_Ehdr header;
    Elf64_Shdr sections_header = { 0 };
    g_autofree Elf64_Shdr *sections = NULL;

    if (!read_header(source, elf_machine, &header, error)) {
        return false;
    }
    if (header.e_shentsize != sizeof(Elf64_Shdr)) {
        return true;
    }
    sections_header.sh_offset = header.e_shoff;
    sections_header.sh_size = (uint64_t)header.e_shnum * sizeof(Elf64_Shdr);
    sections = read_table(source, &sections_header);
    for (unsigned i = 0; sections && i < header.e_shnum; i++) {
        g_autofree Elf64_Sym *table = NULL;
        g_autofree char *strings = NULL;

        if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header.e_shnum) {
            continue;
        }
        table = read_table(source, &sections[i]);
        strings = read_table(source, &sections[sections[i].sh_link]);
        if (table && strings) {
            match_symbols(table, sections[i].sh_size / sizeof(Elf64_Sym), strings,
                          sections[sections[i].sh_link].sh_size, symbols);
        }
    }
    return true;
}
