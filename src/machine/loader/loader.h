/* SPDX-License-Identifier: MIT */
/*
 * Guest programs from files into guest memory. A source is an open file, perhaps unpacked; a RomSet
 * is the list of pieces (parts of sources, or blobs) with their places. The idea to hold: a file's
 * bytes go straight from the file into guest RAM, at start and again at every reset, so that no
 * copy is kept. Nothing here runs guest code or trusts a byte of what it reads.
 *
 * All of it: main thread, machine lock held. Errors name the file.
 */
#ifndef ORRERY_MACHINE_LOADER_H
#define ORRERY_MACHINE_LOADER_H

#include "orrery/impl/memory.h"
#include "orrery/impl/target.h"

/* ---- Sources. */
typedef struct LoadSource LoadSource;

/*
 * Opens a regular, non-empty file. what says what it is for ("kernel"); both strings are copied.
 * Free with load_source_unref.
 */
LoadSource *load_source_open(const char *what, const char *path, GError **error);

/* A source over bytes in memory, copied; for tests. */
LoadSource *load_source_from_bytes(const char *what, const char *name, const void *data,
                                   uint64_t length_bytes);
LoadSource *load_source_ref(LoadSource *source);
void load_source_unref(LoadSource *source); /* NULL is fine */

uint64_t load_source_size(const LoadSource *source);
const char *load_source_name(const LoadSource *source); /* "kernel 'vmlinux'" */

/* All of [offset, offset + length) or an error. */
bool load_source_read(LoadSource *source, uint64_t offset_bytes, void *buffer,
                      uint64_t length_bytes, GError **error);

/* Up to length bytes from the beginning, the rest zeroed. */
bool load_source_head(LoadSource *source, void *buffer, size_t length_bytes, GError **error);

/*
 * Turns the source into what the gzip stream at offset holds, at most limit bytes of it. The
 * unpacked bytes can be dropped and come back when they are read next.
 */
bool load_source_gunzip(LoadSource *source, uint64_t offset_bytes, uint64_t limit_bytes,
                        GError **error);
void load_source_drop_unpacked(LoadSource *source);

/* False with an error if the file was written to since it was opened. */
bool load_source_unchanged(LoadSource *source, GError **error);

/* gunzip.c: reads packed data by `read`, appends to `out`. */
typedef bool GunzipRead(void *opaque, uint64_t offset_bytes, void *buffer, uint64_t length_bytes,
                        GError **error);
bool gunzip(GunzipRead *read, void *opaque, uint64_t packed_bytes, uint64_t limit_bytes,
            const char *name, GByteArray *out, GError **error);

/* ---- Pieces and their places. */
typedef struct RomSet RomSet;

/* ram_base, ram_bytes: where programs may be put. */
RomSet *rom_set_create(Memory *memory, hwaddr ram_base, uint64_t ram_bytes);
void rom_set_destroy(RomSet *roms); /* NULL is fine */
hwaddr rom_set_ram_base(const RomSet *roms);
uint64_t rom_set_ram_bytes(const RomSet *roms);

/*
 * file_bytes of the source at addr, then zeros up to memory_bytes. part is added to the source's
 * name in messages ("segment 2"; NULL for none). It is an error, naming both, to lie outside RAM
 * or over another piece.
 */
bool rom_add_part(RomSet *roms, LoadSource *source, const char *part, uint64_t offset_bytes,
                  uint64_t file_bytes, hwaddr addr, uint64_t memory_bytes, GError **error);

/* Bytes in memory, taken over and freed with g_free. anywhere: need not be RAM (a boot ROM). */
bool rom_add_blob(RomSet *roms, const char *name, void *data, uint64_t length_bytes, hwaddr addr,
                  bool anywhere, GError **error);

/* Keeps other pieces away from a range of RAM, without writing to it. */
bool rom_reserve(RomSet *roms, const char *name, hwaddr addr, uint64_t length_bytes,
                 GError **error);

/* Name of a piece that overlaps [addr, addr + length), or NULL. */
const char *rom_set_overlap(const RomSet *roms, hwaddr addr, uint64_t length_bytes);

/*
 * Writes all pieces. first: memory still reads as zeros, so zeros are not written. Otherwise fails
 * if a file has changed since it was opened, before anything is written.
 */
bool rom_set_write(RomSet *roms, bool first, GError **error);

/* ---- Programs. */
typedef struct LoadedProgram {
    hwaddr entry;
    hwaddr low, high; /* what it occupies in memory, zeroed parts included: [low, high) */
    bool is_elf;
} LoadedProgram;

typedef struct ElfSymbol {
    const char *name; /* NULL ends the list */
    bool found;
    uint64_t value;
} ElfSymbol;

/* True when the source begins with ELF's magic number. */
bool load_is_elf(LoadSource *source);

/* An executable for elf_machine, 64 bits, little-endian: every PT_LOAD at its physical address. */
bool load_elf(RomSet *roms, LoadSource *source, uint16_t elf_machine, LoadedProgram *program,
              GError **error);

/*
 * Looks up symbols in the file's symbol table; one that is not there is not an error. Works on what
 * load_elf would accept.
 */
bool load_elf_symbols(LoadSource *source, uint16_t elf_machine, ElfSymbol *symbols, GError **error);

/* ELF, or a flat binary for `start`. */
bool load_firmware(RomSet *roms, LoadSource *source, uint16_t elf_machine, hwaddr start,
                   LoadedProgram *program, GError **error);

/*
 * ELF, Linux Image, a flat binary, or one of them packed with gzip (also in an EFI zboot image).
 * What is not ELF is put at `start`. Kernels of other architectures are refused by name.
 */
bool load_kernel(RomSet *roms, LoadSource *source, uint16_t elf_machine, hwaddr start,
                 LoadedProgram *program, GError **error);

/* Unpacks the source if it is a packed kernel (load_kernel does this itself). */
bool load_kernel_unpack(LoadSource *source, uint64_t limit_bytes, GError **error);

#endif
