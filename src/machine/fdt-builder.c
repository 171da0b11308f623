/* SPDX-License-Identifier: MIT */
/*
 * The sequential writer of libfdt with a buffer that grows, and one place where its errors end.
 */
#include "machine/fdt-builder.h"

#include <libfdt.h>
#include <stdarg.h>
#include <string.h>

#include "orrery/impl/error.h"

#define FDT_MAX_BYTES (16 << 20)

/* True when the call that returned `status` shall be made again, in a larger buffer. */
static bool again(FdtBuilder *fdt, int status)
{
    void *larger;

    if (status != -FDT_ERR_NOSPACE || fdt->size_bytes >= FDT_MAX_BYTES) {
        fdt->error = status;
        return false;
    }
    larger = g_malloc0((gsize)fdt->size_bytes * 2);
    fdt->error = fdt_resize(fdt->blob, larger, fdt->size_bytes * 2);
    g_free(fdt->blob);
    fdt->blob = larger;
    fdt->size_bytes *= 2;
    return fdt->error == 0;
}

void fdt_builder_init(FdtBuilder *fdt, int guess_bytes)
{
    fdt->size_bytes = MAX(guess_bytes, 1024);
    fdt->blob = g_malloc0((gsize)fdt->size_bytes);
    fdt->last_phandle = 0;
    fdt->error = fdt_create(fdt->blob, fdt->size_bytes);
    if (!fdt->error) {
        fdt->error = fdt_finish_reservemap(fdt->blob);
    }
    fdt_node(fdt, "%s", "");
}

void fdt_node(FdtBuilder *fdt, const char *name_fmt, ...)
{
    va_list ap;
    char *name;

    va_start(ap, name_fmt);
    name = g_strdup_vprintf(name_fmt, ap);
    va_end(ap);
    while (!fdt->error && again(fdt, fdt_begin_node(fdt->blob, name))) {
    }
    g_free(name);
}

void fdt_node_end(FdtBuilder *fdt)
{
    while (!fdt->error && again(fdt, fdt_end_node(fdt->blob))) {
    }
}

void fdt_data(FdtBuilder *fdt, const char *name, const void *data, size_t length_bytes)
{
    if (length_bytes > FDT_MAX_BYTES) {
        fdt->error = fdt->error ? fdt->error : -FDT_ERR_NOSPACE;
    }
    while (!fdt->error && again(fdt, fdt_property(fdt->blob, name, data, (int)length_bytes))) {
    }
}

void fdt_flag(FdtBuilder *fdt, const char *name)
{
    fdt_data(fdt, name, NULL, 0);
}

void fdt_string_value(FdtBuilder *fdt, const char *name, const char *value)
{
    fdt_data(fdt, name, value, strlen(value) + 1);
}

void fdt_cell_array(FdtBuilder *fdt, const char *name, const uint32_t *cells, size_t count)
{
    g_autofree uint32_t *stored = g_new(uint32_t, MAX(count, 1));

    for (size_t i = 0; i < count; i++) {
        stored[i] = GUINT32_TO_BE(cells[i]);
    }
    fdt_data(fdt, name, stored, count * sizeof(uint32_t));
}

void fdt_reg(FdtBuilder *fdt, uint64_t addr, uint64_t size_bytes)
{
    fdt_cells(fdt, "reg", (uint32_t)(addr >> 32), (uint32_t)addr, (uint32_t)(size_bytes >> 32),
              (uint32_t)size_bytes);
}

uint32_t fdt_new_phandle(FdtBuilder *fdt)
{
    return ++fdt->last_phandle;
}

void *fdt_builder_finish(FdtBuilder *fdt, size_t *length_bytes, GError **error)
{
    void *blob;

    fdt_node_end(fdt);
    while (!fdt->error && again(fdt, fdt_finish(fdt->blob))) {
    }
    if (fdt->error) {
        orr_fail(error, ORR_ERROR_INVALID, "the device tree could not be made: %s",
                 fdt_strerror(fdt->error));
        fdt_builder_abandon(fdt);
        return NULL;
    }
    blob = fdt->blob;
    fdt->blob = NULL;
    *length_bytes = fdt_totalsize(blob);
    return blob;
}

void fdt_builder_abandon(FdtBuilder *fdt)
{
    g_free(fdt->blob);
    fdt->blob = NULL;
}
