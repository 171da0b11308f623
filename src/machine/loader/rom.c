/* SPDX-License-Identifier: MIT */
/*
 * Which piece of which file lies where, and the writing of them. Every piece is checked when it is
 * added: inside the RAM that the board names, and clear of every other piece. What can be wrong
 * with a file is therefore known before the guest's memory is touched.
 */
#include <inttypes.h>
#include <string.h>

#include "machine/loader/loader.h"
#include "orrery/impl/error.h"

#define BOUNCE_BYTES 4096

typedef struct RomPiece {
    char *name;
    LoadSource *source; /* NULL: blob, or a mere reservation */
    void *blob;
    uint64_t offset_bytes, file_bytes;
    hwaddr addr;
    uint64_t memory_bytes;
} RomPiece;

struct RomSet {
    Memory *memory;
    hwaddr ram_base;
    uint64_t ram_bytes;
    GArray *pieces; /* RomPiece */
};

static void piece_clear(void *data)
{
    RomPiece *piece = data;

    load_source_unref(piece->source);
    g_free(piece->blob);
    g_free(piece->name);
}

RomSet *rom_set_create(Memory *memory, hwaddr ram_base, uint64_t ram_bytes)
{
    RomSet *roms = g_new0(RomSet, 1);

    roms->memory = memory;
    roms->ram_base = ram_base;
    roms->ram_bytes = ram_bytes;
    roms->pieces = g_array_new(FALSE, FALSE, sizeof(RomPiece));
    g_array_set_clear_func(roms->pieces, piece_clear);
    return roms;
}

void rom_set_destroy(RomSet *roms)
{
    if (roms) {
        g_array_unref(roms->pieces);
        g_free(roms);
    }
}

hwaddr rom_set_ram_base(const RomSet *roms)
{
    return roms->ram_base;
}

uint64_t rom_set_ram_bytes(const RomSet *roms)
{
    return roms->ram_bytes;
}

static const RomPiece *overlapping(const RomSet *roms, hwaddr addr, uint64_t length_bytes)
{
    for (guint i = 0; i < roms->pieces->len; i++) {
        const RomPiece *piece = &g_array_index(roms->pieces, RomPiece, i);

        /* Neither sum wraps: every piece ends inside RAM or a ROM. */
        if (addr < piece->addr + piece->memory_bytes && piece->addr < addr + length_bytes) {
            return piece;
        }
    }
    return NULL;
}

const char *rom_set_overlap(const RomSet *roms, hwaddr addr, uint64_t length_bytes)
{
    const RomPiece *piece = overlapping(roms, addr, length_bytes);

    return piece ? piece->name : NULL;
}

/* Takes over the piece; frees it on failure. */
static bool add_piece(RomSet *roms, RomPiece *piece, bool anywhere, GError **error)
{
    hwaddr ram_end = roms->ram_base + roms->ram_bytes;
    const RomPiece *other;

    if (piece->memory_bytes == 0) {
        piece_clear(piece);
        return true;
    }
    if (!anywhere && (piece->addr < roms->ram_base || piece->addr >= ram_end ||
                      piece->memory_bytes > ram_end - piece->addr)) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "%s does not fit: it needs %" PRIu64 " KiB at 0x%" PRIx64
                 ", the machine's RAM is 0x%" PRIx64 " to 0x%" PRIx64,
                 piece->name, (piece->memory_bytes + 1023) / 1024, piece->addr, roms->ram_base,
                 ram_end - 1);
        piece_clear(piece);
        return false;
    }
    other = overlapping(roms, piece->addr, piece->memory_bytes);
    if (other) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "%s at 0x%" PRIx64 " to 0x%" PRIx64 " overlaps %s at 0x%" PRIx64 " to 0x%" PRIx64,
                 piece->name, piece->addr, piece->addr + piece->memory_bytes - 1, other->name,
                 other->addr, other->addr + other->memory_bytes - 1);
        piece_clear(piece);
        return false;
    }
    g_array_append_val(roms->pieces, *piece);
    return true;
}

bool rom_add_part(RomSet *roms, LoadSource *source, const char *part, uint64_t offset_bytes,
                  uint64_t file_bytes, hwaddr addr, uint64_t memory_bytes, GError **error)
{
    uint64_t size_bytes = load_source_size(source);
    RomPiece piece = {
        .source = load_source_ref(source),
        .offset_bytes = offset_bytes,
        .file_bytes = file_bytes,
        .addr = addr,
        .memory_bytes = MAX(file_bytes, memory_bytes),
    };

    piece.name = part ? g_strdup_printf("%s of %s", part, load_source_name(source))
                      : g_strdup(load_source_name(source));
    if (offset_bytes > size_bytes || file_bytes > size_bytes - offset_bytes) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "%s is truncated: %" PRIu64 " bytes at %" PRIu64 " are needed, it has %" PRIu64,
                 load_source_name(source), file_bytes, offset_bytes, size_bytes);
        piece_clear(&piece);
        return false;
    }
    return add_piece(roms, &piece, false, error);
}

bool rom_add_blob(RomSet *roms, const char *name, void *data, uint64_t length_bytes, hwaddr addr,
                  bool anywhere, GError **error)
{
    RomPiece piece = {
        .name = g_strdup(name),
        .blob = data,
        .file_bytes = length_bytes,
        .addr = addr,
        .memory_bytes = length_bytes,
    };

    return add_piece(roms, &piece, anywhere, error);
}

bool rom_reserve(RomSet *roms, const char *name, hwaddr addr, uint64_t length_bytes, GError **error)
{
    RomPiece piece = { .name = g_strdup(name), .addr = addr, .memory_bytes = length_bytes };

    return add_piece(roms, &piece, false, error);
}

/* Bytes from addr that one region holds, and where they are if it is RAM that guests may write. */
static uint64_t place_at(RomSet *roms, hwaddr addr, uint64_t length_bytes, void **host)
{
    MemSection section;
    uint32_t token = memory_read_enter(roms->memory);
    bool ram = false;

    *host = NULL;
    if (memory_find(roms->memory, addr, &section)) {
        length_bytes = MIN(length_bytes, section.remaining_bytes);
        ram = section.ram && !section.ram->readonly;
    }
    memory_read_exit(roms->memory, token);
    if (ram) {
        *host = memory_host_ptr(roms->memory, addr, length_bytes, true);
    }
    return *host ? length_bytes : MIN(length_bytes, BOUNCE_BYTES);
}

static bool fetch_bytes(const RomPiece *piece, uint64_t from, void *buffer, uint64_t length_bytes,
                        GError **error)
{
    if (from >= piece->file_bytes) {
        memset(buffer, 0, length_bytes);
        return true;
    }
    if (piece->source) {
        return load_source_read(piece->source, piece->offset_bytes + from, buffer, length_bytes,
                                error);
    }
    memcpy(buffer, (const char *)piece->blob + from, length_bytes);
    return true;
}

/* Writes [from, to) of the piece, all of it from the file or all of it zeros. */
static bool write_range(RomSet *roms, const RomPiece *piece, uint64_t from, uint64_t to,
                        GError **error)
{
    while (from < to) {
        hwaddr addr = piece->addr + from;
        void *host;
        uint64_t n = place_at(roms, addr, to - from, &host);

        if (host) {
            if (!fetch_bytes(piece, from, host, n, error)) {
                return false;
            }
            memory_note_written(roms->memory, addr, n);
        } else {
            uint8_t bounce[BOUNCE_BYTES];

            if (!fetch_bytes(piece, from, bounce, n, error)) {
                return false;
            }
            if (memory_write_rom(roms->memory, addr, bounce, n) != MEMTX_OK) {
                return orr_fail(error, ORR_ERROR_INVALID,
                                "%s cannot be written to 0x%" PRIx64 ": there is no memory",
                                piece->name, addr);
            }
        }
        from += n;
    }
    return true;
}

bool rom_set_write(RomSet *roms, bool first, GError **error)
{
    for (guint i = 0; !first && i < roms->pieces->len; i++) {
        const RomPiece *piece = &g_array_index(roms->pieces, RomPiece, i);

        if (piece->source && !load_source_unchanged(piece->source, error)) {
            return false;
        }
    }
    for (guint i = 0; i < roms->pieces->len; i++) {
        const RomPiece *piece = &g_array_index(roms->pieces, RomPiece, i);

        if (!piece->source && !piece->blob) {
            continue;
        }
        if (!write_range(roms, piece, 0, piece->file_bytes, error) ||
            (!first && !write_range(roms, piece, piece->file_bytes, piece->memory_bytes, error))) {
            return false;
        }
        if (piece->source) {
            load_source_drop_unpacked(piece->source);
        }
    }
    return true;
}
