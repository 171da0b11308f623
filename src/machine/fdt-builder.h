/* SPDX-License-Identifier: MIT */
/*
 * Writes a flattened device tree from front to back with libfdt's sequential calls. The idea to
 * hold: calls never fail in between; the first error is kept and told by fdt_builder_finish, so
 * that a board's description reads as the tree it makes.
 */
#ifndef ORRERY_MACHINE_FDT_BUILDER_H
#define ORRERY_MACHINE_FDT_BUILDER_H

#include "orrery/impl/compiler.h"

typedef struct FdtBuilder {
    void *blob;
    int size_bytes;
    int error; /* libfdt's, 0 while all went well */
    uint32_t last_phandle;
} FdtBuilder;

/* guess_bytes: how large the tree may become; it grows when it must. Opens the root node. */
void fdt_builder_init(FdtBuilder *fdt, int guess_bytes);

void fdt_node(FdtBuilder *fdt, const char *name_fmt, ...) ORR_PRINTF(2, 3);
void fdt_node_end(FdtBuilder *fdt);

/* Properties of the node that was opened last, before its first child. */
void fdt_data(FdtBuilder *fdt, const char *name, const void *data, size_t length_bytes);
void fdt_flag(FdtBuilder *fdt, const char *name);
void fdt_string_value(FdtBuilder *fdt, const char *name, const char *value);

/* strings holds zero-terminated strings one after the other; so "a\0b" is two. */
#define fdt_strings(fdt, name, strings) fdt_data((fdt), (name), (strings), sizeof(strings))

/* Cells are given in host order. */
void fdt_cell_array(FdtBuilder *fdt, const char *name, const uint32_t *cells, size_t count);
#define fdt_cells(fdt, name, ...)                                                                  \
    fdt_cell_array((fdt), (name), (const uint32_t[]){ __VA_ARGS__ },                               \
                   sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* reg = <addr size> with two cells each. */
void fdt_reg(FdtBuilder *fdt, uint64_t addr, uint64_t size_bytes);

/* A number that no other node of this tree has. */
uint32_t fdt_new_phandle(FdtBuilder *fdt);

/*
 * Closes the root. The tree, to be freed with g_free, and its size; NULL with a GError if some call
 * failed. The builder is done with either way.
 */
void *fdt_builder_finish(FdtBuilder *fdt, size_t *length_bytes, GError **error);

/* Gives up; nothing to do after finish. */
void fdt_builder_abandon(FdtBuilder *fdt);

#endif
