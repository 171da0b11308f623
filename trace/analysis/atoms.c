/* SPDX-License-Identifier: MIT */
/*
 * Interned text. An open-addressed table of atom numbers over an array of strings that live in a
 * GStringChunk; it is asked for each string field of each event, so a hit must be cheap.
 */
#include "trace/analysis/atoms.h"

#include <stdarg.h>
#include <string.h>

#define SLOTS_MIN 256

typedef struct Entry {
    const char *text;
    uint32_t length;
    uint32_t hash;
} Entry;

struct Atoms {
    GStringChunk *chunk;
    Entry *entries;
    uint32_t *slots; /* atom + 1; 0 is empty */
    size_t n_entries;
    size_t n_slots; /* a power of two, at least twice n_entries */
    size_t text_bytes;
};

static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    }
    return hash;
}

static uint32_t *slot_of(const Atoms *atoms, const char *text, size_t length, uint32_t hash)
{
    size_t at = hash & (atoms->n_slots - 1);

    while (atoms->slots[at]) {
        const Entry *entry = &atoms->entries[atoms->slots[at] - 1];

        if (entry->hash == hash && entry->length == length &&
            memcmp(entry->text, text, length) == 0) {
            break;
        }
        at = (at + 1) & (atoms->n_slots - 1);
    }
    return &atoms->slots[at];
}

static void grow(Atoms *atoms)
{
    atoms->n_slots *= 2;
    g_free(atoms->slots);
    atoms->slots = g_new0(uint32_t, atoms->n_slots);
    atoms->entries = g_renew(Entry, atoms->entries, atoms->n_slots / 2);
    for (size_t i = 0; i < atoms->n_entries; i++) {
        const Entry *entry = &atoms->entries[i];

        *slot_of(atoms, entry->text, entry->length, entry->hash) = (uint32_t)i + 1;
    }
}

Atoms *atoms_create(void)
{
    Atoms *atoms = g_new0(Atoms, 1);

    atoms->chunk = g_string_chunk_new(4096);
    atoms->n_slots = SLOTS_MIN / 2;
    grow(atoms);
    atoms_add(atoms, "", 0);
    return atoms;
}

void atoms_destroy(Atoms *atoms)
{
    if (atoms) {
        g_string_chunk_free(atoms->chunk);
        g_free(atoms->entries);
        g_free(atoms->slots);
        g_free(atoms);
    }
}

uint32_t atoms_add(Atoms *atoms, const char *text, size_t length)
{
    uint32_t hash = hash_of(text, length);
    uint32_t *slot = slot_of(atoms, text, length, hash);
    Entry *entry;

    if (*slot) {
        return *slot - 1;
    }
    if (!g_utf8_validate(text, (gssize)length, NULL)) {
        g_autofree char *valid = g_utf8_make_valid(text, (gssize)length);

        return atoms_add(atoms, valid, strlen(valid));
    }
    entry = &atoms->entries[atoms->n_entries];
    entry->text = g_string_chunk_insert_len(atoms->chunk, text, (gssize)length);
    entry->length = (uint32_t)length;
    entry->hash = hash;
    *slot = (uint32_t)++atoms->n_entries;
    atoms->text_bytes += length + 1;
    if (atoms->n_entries * 2 >= atoms->n_slots) {
        grow(atoms);
    }
    return (uint32_t)atoms->n_entries - 1;
}

uint32_t atoms_add_text(Atoms *atoms, const char *text)
{
    return text ? atoms_add(atoms, text, strlen(text)) : 0;
}

uint32_t atoms_add_printf(Atoms *atoms, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return atoms_add_text(atoms, text);
}

const char *atoms_text(const Atoms *atoms, uint32_t atom)
{
    return atom < atoms->n_entries ? atoms->entries[atom].text : "";
}

size_t atoms_count(const Atoms *atoms)
{
    return atoms->n_entries;
}

size_t atoms_bytes(const Atoms *atoms)
{
    return atoms->text_bytes + atoms->n_slots * (sizeof(uint32_t) + sizeof(Entry) / 2);
}
