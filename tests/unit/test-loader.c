/* SPDX-License-Identifier: MIT */
/*
 * Loaders: what is put where for programs that are right, and that those that are wrong are refused
 * before a byte of memory is written. Programs are made here, field by field.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "machine/loader/loader.h"
#include "orrery/impl/cpus.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(4) << 20)

typedef struct World {
    Timers *timers;
    Memory *memory;
    Cpus *cpus;
    RomSet *roms;
} World;

static int setup(void **state)
{
    World *w = g_new0(World, 1);

    w->timers = timers_create();
    w->memory = memory_create();
    w->cpus = cpus_create(w->timers, w->memory, NULL);
    machine_lock(w->cpus);
    assert_non_null(memory_add_ram(w->memory, "ram", RAM_BASE, RAM_BYTES, false, NULL));
    assert_non_null(memory_add_ram(w->memory, "rom", 0x1000, 0x1000, true, NULL));
    w->roms = rom_set_create(w->memory, RAM_BASE, RAM_BYTES);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;

    rom_set_destroy(w->roms);
    machine_unlock(w->cpus);
    cpus_destroy(w->cpus);
    memory_destroy(w->memory);
    timers_destroy(w->timers);
    g_free(w);
    return 0;
}

/* ---- Programs. */

typedef struct Elf {
    Elf64_Ehdr header;
    Elf64_Phdr segment[2];
    uint8_t code[64];
    Elf64_Sym symbols[3];
    char strings[32];
    Elf64_Shdr sections[3];
} Elf;

static Elf good_elf(void)
{
    Elf elf = {
        .header = { .e_type = ET_EXEC,
                    .e_machine = EM_RISCV,
                    .e_version = 1,
                    .e_entry = RAM_BASE + 0x1010,
                    .e_phoff = offsetof(Elf, segment),
                    .e_shoff = offsetof(Elf, sections),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 3 },
        .segment = { { .p_type = PT_LOAD,
                       .p_offset = offsetof(Elf, code),
                       .p_vaddr = RAM_BASE + 0x1000,
                       .p_paddr = RAM_BASE + 0x1000,
                       .p_filesz = 48,
                       .p_memsz = 48 },
                     { .p_type = PT_LOAD,
                       .p_offset = offsetof(Elf, code) + 48,
                       .p_vaddr = RAM_BASE + 0x3000,
                       .p_paddr = RAM_BASE + 0x3000,
                       .p_filesz = 16,
                       .p_memsz = 0x2000 } },
        .symbols = { { 0 },
                     { .st_name = 1, .st_shndx = 1, .st_value = RAM_BASE + 0x3000 },
                     { .st_name = 8, .st_shndx = SHN_UNDEF, .st_value = 7 } },
        .strings = "\0tohost\0fromhost",
        .sections = { { 0 },
                      { .sh_type = SHT_SYMTAB,
                        .sh_offset = offsetof(Elf, symbols),
                        .sh_size = sizeof(elf.symbols),
                        .sh_link = 2 },
                      { .sh_type = SHT_STRTAB,
                        .sh_offset = offsetof(Elf, strings),
                        .sh_size = sizeof(elf.strings) } },
    };

    memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
    elf.header.e_ident[EI_CLASS] = ELFCLASS64;
    elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
    for (size_t i = 0; i < sizeof(elf.code); i++) {
        elf.code[i] = (uint8_t)(i + 1);
    }
    return elf;
}

static LoadSource *source_of(const void *data, size_t length)
{
    return load_source_from_bytes("kernel", "test", data, length);
}

static bool load(World *w, const void *data, size_t length, LoadedProgram *program, GError **error)
{
    LoadSource *source = source_of(data, length);
    bool ok = load_kernel(w->roms, source, EM_RISCV, RAM_BASE + 0x200000, program, error);

    load_source_unref(source);
    return ok;
}

static uint8_t byte_at(World *w, hwaddr addr)
{
    uint8_t byte = 0xee;

    assert_int_equal(memory_read(w->memory, addr, &byte, 1), MEMTX_OK);
    return byte;
}

static void assert_refused(World *w, const void *data, size_t length, const char *why)
{
    LoadedProgram program;
    GError *error = NULL;

    assert_false(load(w, data, length, &program, &error));
    assert_non_null(error);
    if (!strstr(error->message, why)) {
        fail_msg("'%s' does not say '%s'", error->message, why);
    }
    assert_null(strchr(error->message, '\n'));
    g_error_free(error);
    /* A program of several pieces may have added some before the bad one. */
    rom_set_destroy(w->roms);
    w->roms = rom_set_create(w->memory, RAM_BASE, RAM_BYTES);
}

/* ---- ELF. */

static void test_elf(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    LoadedProgram program;

    assert_true(load(w, &elf, sizeof(elf), &program, NULL));
    assert_true(program.is_elf);
    assert_int_equal(program.entry, RAM_BASE + 0x1010);
    assert_int_equal(program.low, RAM_BASE + 0x1000);
    assert_int_equal(program.high, RAM_BASE + 0x5000);
    assert_int_equal(byte_at(w, RAM_BASE + 0x1000), 0);
    assert_true(rom_set_write(w->roms, true, NULL));
    assert_int_equal(byte_at(w, RAM_BASE + 0x1000), 1);
    assert_int_equal(byte_at(w, RAM_BASE + 0x102f), 48);
    assert_int_equal(byte_at(w, RAM_BASE + 0x1030), 0);
    assert_int_equal(byte_at(w, RAM_BASE + 0x3000), 49);
}

/* What a reset brings back: bytes of the file, and zeros after them. */
static void test_rewrite(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    LoadedProgram program;

    assert_true(load(w, &elf, sizeof(elf), &program, NULL));
    assert_true(rom_set_write(w->roms, true, NULL));
    memory_write(w->memory, RAM_BASE + 0x1000, "\xff", 1);
    memory_write(w->memory, RAM_BASE + 0x4fff, "\xff", 1);
    memory_write(w->memory, RAM_BASE + 0x5000, "\xff", 1);
    assert_true(rom_set_write(w->roms, false, NULL));
    assert_int_equal(byte_at(w, RAM_BASE + 0x1000), 1);
    assert_int_equal(byte_at(w, RAM_BASE + 0x4fff), 0);
    assert_int_equal(byte_at(w, RAM_BASE + 0x5000), 0xff);
}

/* Linked for virtual addresses, loaded at physical ones: the entry is translated. */
static void test_elf_virtual_entry(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    LoadedProgram program;

    elf.segment[0].p_vaddr = UINT64_C(0xffffffff80000000);
    elf.header.e_entry = UINT64_C(0xffffffff80000004);
    assert_true(load(w, &elf, sizeof(elf), &program, NULL));
    assert_int_equal(program.entry, RAM_BASE + 0x1004);
}

/* Headers in front of the code, on a page below RAM. */
static void test_elf_headers_below_ram(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    LoadedProgram program;
    uint64_t code = offsetof(Elf, code);

    elf.header.e_phnum = 1;
    elf.header.e_entry = RAM_BASE;
    elf.segment[0].p_offset = 0;
    elf.segment[0].p_paddr = elf.segment[0].p_vaddr = RAM_BASE - code;
    elf.segment[0].p_filesz = elf.segment[0].p_memsz = code + 64;
    assert_true(load(w, &elf, sizeof(elf), &program, NULL));
    assert_int_equal(program.low, RAM_BASE);
    assert_int_equal(program.entry, RAM_BASE);
    assert_true(rom_set_write(w->roms, true, NULL));
    assert_int_equal(byte_at(w, RAM_BASE), 1);
    assert_int_equal(byte_at(w, RAM_BASE + 63), 64);
}

static void test_elf_wrong(void **state)
{
    World *w = *state;
    Elf elf = good_elf();

    elf.header.e_machine = EM_X86_64;
    assert_refused(w, &elf, sizeof(elf), "is for x86-64, not for RISC-V");
    elf = good_elf();
    elf.header.e_machine = 0x1234;
    assert_refused(w, &elf, sizeof(elf), "unknown architecture");
    elf = good_elf();
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_refused(w, &elf, sizeof(elf), "32-bit");
    elf = good_elf();
    elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
    assert_refused(w, &elf, sizeof(elf), "big-endian");
    elf = good_elf();
    elf.header.e_type = ET_REL;
    assert_refused(w, &elf, sizeof(elf), "not been linked");
    elf = good_elf();
    elf.header.e_type = ET_CORE;
    assert_refused(w, &elf, sizeof(elf), "not an executable");
    elf = good_elf();
    elf.header.e_phnum = 0;
    assert_refused(w, &elf, sizeof(elf), "no segments");
    elf = good_elf();
    elf.segment[0].p_type = elf.segment[1].p_type = PT_NULL;
    assert_refused(w, &elf, sizeof(elf), "no segments");
    elf = good_elf();
    elf.header.e_phentsize = 8;
    assert_refused(w, &elf, sizeof(elf), "damaged");
    elf = good_elf();
    elf.header.e_phoff = sizeof(elf) - 20;
    assert_refused(w, &elf, sizeof(elf), "truncated");
    elf = good_elf();
    elf.header.e_phoff = UINT64_MAX;
    assert_refused(w, &elf, sizeof(elf), "truncated");
    elf = good_elf();
    elf.segment[1].p_offset = UINT64_MAX - 4;
    assert_refused(w, &elf, sizeof(elf), "truncated: segment 1");
    elf = good_elf();
    elf.segment[1].p_memsz = 1;
    assert_refused(w, &elf, sizeof(elf), "more bytes in the file than in memory");
    elf = good_elf();
    elf.segment[0].p_paddr = RAM_BASE - 16;
    assert_refused(w, &elf, sizeof(elf), "does not fit");
    elf = good_elf();
    elf.segment[1].p_memsz = RAM_BYTES;
    assert_refused(w, &elf, sizeof(elf), "does not fit");
    elf = good_elf();
    elf.segment[1].p_memsz = UINT64_MAX;
    assert_refused(w, &elf, sizeof(elf), "does not fit");
    elf = good_elf();
    elf.segment[1].p_paddr = UINT64_MAX - 8;
    assert_refused(w, &elf, sizeof(elf), "does not fit");
}

static void test_elf_overlap(void **state)
{
    World *w = *state;
    Elf elf = good_elf();

    elf.segment[1].p_paddr = RAM_BASE + 0x1020;
    assert_refused(w, &elf, sizeof(elf), "overlaps segment 0");
}

/* Cut anywhere, a file is refused or all that is loaded of it is still there. */
static void test_elf_every_cut(void **state)
{
    Elf elf = good_elf();

    for (size_t length = 1; length < sizeof(elf); length++) {
        void *inner = NULL;
        LoadedProgram program;
        bool loaded;

        setup(&inner);
        loaded = load(inner, &elf, length, &program, NULL);
        if (length >= 4 && loaded) {
            assert_true(length >= offsetof(Elf, code) + sizeof(elf.code));
        }
        teardown(&inner);
    }
}

static void test_symbols(void **state)
{
    Elf elf = good_elf();
    ElfSymbol symbols[] = { { .name = "tohost" }, { .name = "fromhost" }, { .name = NULL } };
    LoadSource *source = source_of(&elf, sizeof(elf));

    assert_true(load_elf_symbols(source, EM_RISCV, symbols, NULL));
    assert_true(symbols[0].found);
    assert_int_equal(symbols[0].value, RAM_BASE + 0x3000);
    assert_false(symbols[1].found);
    load_source_unref(source);

    /* Tables that lie: nothing is found, nothing breaks. */
    elf.sections[1].sh_size = UINT64_MAX;
    elf.sections[2].sh_offset = UINT64_MAX;
    symbols[0].found = false;
    source = source_of(&elf, sizeof(elf));
    assert_true(load_elf_symbols(source, EM_RISCV, symbols, NULL));
    assert_false(symbols[0].found);
    load_source_unref(source);
}

/* ---- Flat programs. */

static void put_u64(uint8_t *at, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    memcpy(at, &value, sizeof(value));
}

static void make_image(uint8_t image[128], uint64_t memory_bytes, uint64_t flags)
{
    memset(image, 0x13, 128);
    put_u64(image + 8, 0x200000);
    put_u64(image + 16, memory_bytes);
    put_u64(image + 24, flags);
    memcpy(image + 48, "RISCV\0\0\0", 8);
    memcpy(image + 56, "RSC\x05", 4);
}

static void test_image(void **state)
{
    World *w = *state;
    uint8_t image[128];
    LoadedProgram program;

    make_image(image, 0x100000, 0);
    assert_true(load(w, image, sizeof(image), &program, NULL));
    assert_false(program.is_elf);
    assert_int_equal(program.entry, RAM_BASE + 0x200000);
    assert_int_equal(program.high, RAM_BASE + 0x300000);
    assert_string_equal(rom_set_overlap(w->roms, RAM_BASE + 0x2fffff, 1), "kernel 'test'");
    assert_null(rom_set_overlap(w->roms, RAM_BASE + 0x300000, 1));
}

static void test_image_wrong(void **state)
{
    World *w = *state;
    uint8_t image[128];

    make_image(image, 0x100000, 1);
    assert_refused(w, image, sizeof(image), "big-endian");
    make_image(image, UINT64_MAX, 0);
    assert_refused(w, image, sizeof(image), "does not fit");
    make_image(image, 0x100000, 0);
    assert_refused(w, image, 60, "truncated");
    /* A PE header that tells of more than there is. */
    make_image(image, 0x100000, 0);
    memcpy(image, "MZ", 2);
    memcpy(image + 60, "\x40\0\0\0PE\0\0", 8);
    memset(image + 68, 0, 60);
    image[0x40 + 6] = 1;
    put_u64(image + 0x40 + 24 + 16, UINT64_C(0x40000000) | UINT64_C(0x1000) << 32);
    assert_refused(w, image, sizeof(image), "truncated: its header tells");
}

static void test_flat(void **state)
{
    World *w = *state;
    LoadedProgram program;

    assert_true(load(w, "plain bytes", 11, &program, NULL));
    assert_int_equal(program.entry, RAM_BASE + 0x200000);
    assert_int_equal(program.high, RAM_BASE + 0x200000 + 11);
    assert_true(rom_set_write(w->roms, true, NULL));
    assert_int_equal(byte_at(w, RAM_BASE + 0x200006), 'b');
}

static void test_foreign(void **state)
{
    World *w = *state;
    static char head[1024];

    memcpy(head + 514, "HdrS", 4);
    assert_refused(w, head, sizeof(head), "for x86");
    memset(head, 0, sizeof(head));
    memcpy(head + 56, "ARM\x64", 4);
    assert_refused(w, head, sizeof(head), "for AArch64");
    assert_refused(w, "\x27\x05\x19\x56 and more", 13, "U-Boot image");
    assert_refused(w, "\x28\xb5\x2f\xfd and more", 13, "packed with zstd");
    assert_refused(w, "\xd0\x0d\xfe\xed and more", 13, "device tree");
}

/* ---- Packed programs. */

static size_t pack(const void *data, size_t length, uint8_t *out, size_t room)
{
    z_stream stream = {
        .next_in = (void *)data, .avail_in = (uInt)length, .next_out = out, .avail_out = (uInt)room
    };

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void test_gzip(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    uint8_t packed[4096];
    size_t length = pack(&elf, sizeof(elf), packed, sizeof(packed));
    LoadedProgram program;

    assert_true(load(w, packed, length, &program, NULL));
    assert_true(program.is_elf);
    assert_true(rom_set_write(w->roms, true, NULL));
    assert_int_equal(byte_at(w, RAM_BASE + 0x1000), 1);
}

static void test_gzip_wrong(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    uint8_t packed[65536], twice[65536], *zeros = g_malloc0(RAM_BYTES + 1);
    size_t length = pack(&elf, sizeof(elf), packed, sizeof(packed));

    for (size_t cut = 4; cut < length; cut++) {
        assert_refused(w, packed, cut, "truncated");
    }
    packed[length / 2] ^= 0x55;
    assert_refused(w, packed, length, "gzip data");
    packed[length / 2] ^= 0x55;
    length = pack(packed, length, twice, sizeof(twice));
    assert_refused(w, twice, length, "gzip twice");
    /* A little that becomes more than there is RAM. */
    length = pack(zeros, RAM_BYTES + 1, packed, sizeof(packed));
    assert_refused(w, packed, length, "unpacks to more than");
    g_free(zeros);
}

static void test_zboot(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    uint8_t file[4096] = "MZ";
    size_t length = pack(&elf, sizeof(elf), file + 128, sizeof(file) - 128);
    LoadedProgram program;

    memcpy(file + 4, "zimg\x80\0\0\0", 8);
    memcpy(file + 24, "zstd22", 7);
    assert_refused(w, file, 128 + length, "other than gzip");
    memcpy(file + 24, "gzip\0\0", 7);
    memcpy(file + 8, "\xff\xff\xff\x7f", 4);
    assert_refused(w, file, 128 + length, "truncated");
    memcpy(file + 8, "\x80\0\0\0", 4);
    assert_true(load(w, file, 128 + length, &program, NULL));
    assert_true(program.is_elf);
}

/* ---- Files. */

static char *temp_file(const void *data, size_t length)
{
    char *path = g_strdup("/tmp/test-loader-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
    return path;
}

static void test_file_rewritten(void **state)
{
    World *w = *state;
    char *path = temp_file("first content", 13);
    LoadSource *source = load_source_open("kernel", path, NULL);
    LoadedProgram program;
    GError *error = NULL;
    int fd;

    assert_non_null(source);
    assert_true(load_kernel(w->roms, source, EM_RISCV, RAM_BASE, &program, NULL));
    load_source_unref(source);
    assert_true(rom_set_write(w->roms, true, NULL));
    /* A new file of the same name is another file: the old one is what resets load. */
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "something", 9), 9);
    assert_true(rom_set_write(w->roms, false, NULL));
    assert_int_equal(byte_at(w, RAM_BASE), 'f');
    close(fd);
    unlink(path);
    g_free(path);

    /* One that is overwritten in place cannot be loaded again. */
    path = temp_file("first content", 13);
    source = load_source_open("kernel", path, NULL);
    assert_true(load_kernel(w->roms, source, EM_RISCV, RAM_BASE + 0x1000, &program, NULL));
    load_source_unref(source);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "other", 5), 5);
    close(fd);
    assert_false(rom_set_write(w->roms, false, &error));
    assert_non_null(strstr(error->message, "overwritten"));
    g_error_free(error);
    unlink(path);
    g_free(path);
}

static void test_packed_file_again(void **state)
{
    World *w = *state;
    Elf elf = good_elf();
    uint8_t packed[4096];
    size_t length = pack(&elf, sizeof(elf), packed, sizeof(packed));
    char *path = temp_file(packed, length);
    LoadSource *source = load_source_open("kernel", path, NULL);
    LoadedProgram program;

    assert_true(load_kernel(w->roms, source, EM_RISCV, RAM_BASE, &program, NULL));
    load_source_unref(source);
    assert_true(rom_set_write(w->roms, true, NULL));
    memory_write(w->memory, RAM_BASE + 0x1000, "\xff", 1);
    assert_true(rom_set_write(w->roms, false, NULL));
    assert_int_equal(byte_at(w, RAM_BASE + 0x1000), 1);
    unlink(path);
    g_free(path);
}

/* ---- Pieces. */

static void test_pieces(void **state)
{
    World *w = *state;
    GError *error = NULL;

    assert_true(rom_add_blob(w->roms, "one", g_strdup("1"), 1, RAM_BASE, false, NULL));
    assert_false(rom_reserve(w->roms, "two", RAM_BASE, 16, &error));
    assert_non_null(strstr(error->message, "two at 0x80000000"));
    assert_non_null(strstr(error->message, "overlaps one"));
    g_clear_error(&error);
    assert_true(rom_reserve(w->roms, "three", RAM_BASE + 1, RAM_BYTES - 1, NULL));
    assert_false(rom_reserve(w->roms, "four", RAM_BASE + RAM_BYTES, 1, NULL));
    assert_true(rom_reserve(w->roms, "nothing", RAM_BASE, 0, NULL));
    /* A read-only place outside RAM, and one where there is nothing. */
    assert_true(rom_add_blob(w->roms, "rom", g_strdup("R"), 1, 0x1000, true, NULL));
    assert_true(rom_set_write(w->roms, true, NULL));
    assert_int_equal(byte_at(w, 0x1000), 'R');
    assert_true(rom_add_blob(w->roms, "void", g_strdup("V"), 1, 0x9000, true, NULL));
    assert_false(rom_set_write(w->roms, true, &error));
    assert_non_null(strstr(error->message, "there is no memory"));
    g_clear_error(&error);
}

/* A piece over a hole in the RAM block: two blocks and MMIO between them. */
static void test_across_regions(void **state)
{
    World *w = *state;
    RomSet *roms;
    uint8_t *data = g_malloc(0x3000);

    assert_non_null(memory_add_ram(w->memory, "a", 0x10000, 0x1000, false, NULL));
    assert_non_null(memory_add_ram(w->memory, "b", 0x11000, 0x1000, true, NULL));
    assert_non_null(memory_add_ram(w->memory, "c", 0x12000, 0x1000, false, NULL));
    memset(data, 0x5a, 0x3000);
    roms = rom_set_create(w->memory, 0x10000, 0x3000);
    assert_true(rom_add_blob(roms, "long", data, 0x3000, 0x10000, false, NULL));
    assert_true(rom_set_write(roms, true, NULL));
    for (hwaddr addr = 0x10000; addr < 0x13000; addr += 0xfff) {
        assert_int_equal(byte_at(w, addr), 0x5a);
    }
    rom_set_destroy(roms);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_elf),
        CASE(test_rewrite),
        CASE(test_elf_virtual_entry),
        CASE(test_elf_headers_below_ram),
        CASE(test_elf_wrong),
        CASE(test_elf_overlap),
        cmocka_unit_test(test_elf_every_cut),
        cmocka_unit_test(test_symbols),
        CASE(test_image),
        CASE(test_image_wrong),
        CASE(test_flat),
        CASE(test_foreign),
        CASE(test_gzip),
        CASE(test_gzip_wrong),
        CASE(test_zboot),
        CASE(test_file_rewritten),
        CASE(test_packed_file_again),
        CASE(test_pieces),
        CASE(test_across_regions),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
