/* SPDX-License-Identifier: MIT */
/*
 * Output: tables keep their cells until they know their widths; JSON is written as it comes, with a
 * stack of what is open, so that a document can be larger than memory.
 */
#include "trace/analysis/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static GQuark tool_error_quark(void)
{
    return g_quark_from_static_string("orrery-trace");
}

bool tool_fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error) {
        *error = g_error_new_valist(tool_error_quark(), 0, format, args);
        g_strdelimit((*error)->message, "\r\n\t", ' ');
    }
    va_end(args);
    return false;
}

const char *format_duration(char out[DURATION_SIZE], double ns)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" }, { 1, "ns" } };
    double size = fabs(ns);
    unsigned i = 0;
    double value;

    while (i + 1 < G_N_ELEMENTS(units) && size < units[i].unit * 0.9995) {
        i++;
    }
    value = ns / units[i].unit;
    size = fabs(value);
    g_snprintf(out, DURATION_SIZE, "%.*f %s",
               units[i].unit == 1 || size >= 99.95 ? 0
               : size >= 9.995                     ? 1
                                                   : 2,
               value, units[i].name);
    return out;
}

/* ---- Tables. */

struct Table {
    unsigned n_columns;
    bool *left;
    GPtrArray *cells; /* the header's first */
};

Table *table_create(const char *header)
{
    g_auto(GStrv) titles = g_strsplit(header, "\t", -1);
    Table *table = g_new0(Table, 1);

    table->n_columns = g_strv_length(titles);
    table->left = g_new0(bool, table->n_columns);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < table->n_columns; i++) {
        table->left[i] = titles[i][0] == '<';
        g_ptr_array_add(table->cells, g_strdup(titles[i] + table->left[i]));
    }
    return table;
}

void table_cell(Table *table, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(table->cells, g_strdup_vprintf(format, args));
    va_end(args);
}

void table_duration(Table *table, double ns)
{
    char buffer[DURATION_SIZE];

    table_cell(table, "%s", isnan(ns) ? "-" : format_duration(buffer, ns));
}

void table_print(Table *table, FILE *out)
{
    g_autofree glong *widths = g_new0(glong, table->n_columns);

    for (unsigned i = 0; i < table->cells->len; i++) {
        glong width = g_utf8_strlen(g_ptr_array_index(table->cells, i), -1);

        widths[i % table->n_columns] = MAX(widths[i % table->n_columns], width);
    }
    for (unsigned i = 0; table->cells->len > table->n_columns && i < table->cells->len; i++) {
        const char *cell = g_ptr_array_index(table->cells, i);
        unsigned column = i % table->n_columns;
        bool last = column + 1 == table->n_columns;
        int pad = (int)(widths[column] - g_utf8_strlen(cell, -1));

        fputs("  ", out);
        if (table->left[column]) {
            fprintf(out, "%s%*s", cell, last ? 0 : pad, "");
        } else {
            fprintf(out, "%*s%s", pad, "", cell);
        }
        if (last) {
            putc('\n', out);
        }
    }
    g_ptr_array_unref(table->cells);
    g_free(table->left);
    g_free(table);
}

/* ---- JSON. */

struct Json {
    FILE *out;
    GString *open; /* the closing brackets of what is open */
    bool first;
};

Json *json_create(FILE *out)
{
    Json *json = g_new0(Json, 1);

    json->out = out;
    json->open = g_string_new(NULL);
    json->first = true;
    return json;
}

void json_close(Json *json)
{
    g_assert(json->open->len == 0);
    putc('\n', json->out);
    g_string_free(json->open, TRUE);
    g_free(json);
}

void json_write_quoted(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putc('\\', out);
            putc(*text, out);
        } else if ((unsigned char)*text < 0x20) {
            fprintf(out, "\\u%04x", *text);
        } else {
            putc(*text, out);
        }
    }
    putc('"', out);
}

static void begin_value(Json *json, const char *key)
{
    if (!json->first) {
        putc(',', json->out);
    }
    json->first = false;
    if (json->open->len && json->open->len <= 2) {
        fprintf(json->out, "\n%*s", (int)json->open->len, "");
    }
    if (key) {
        json_write_quoted(json->out, key);
        fputs(": ", json->out);
    }
}

static void begin(Json *json, const char *key, char opening, char closing)
{
    begin_value(json, key);
    putc(opening, json->out);
    g_string_append_c(json->open, closing);
    json->first = true;
}

void json_begin_object(Json *json, const char *key)
{
    begin(json, key, '{', '}');
}

void json_begin_array(Json *json, const char *key)
{
    begin(json, key, '[', ']');
}

void json_end(Json *json)
{
    size_t last = json->open->len - 1;

    putc(json->open->str[last], json->out);
    g_string_truncate(json->open, last);
    json->first = false;
}

void json_text(Json *json, const char *key, const char *value)
{
    begin_value(json, key);
    json_write_quoted(json->out, value);
}

void json_int(Json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void json_uint(Json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_real(Json *json, const char *key, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    fputs(g_ascii_formatd(buffer, sizeof(buffer), "%.9g", value), json->out);
}

void json_bool(Json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_null(Json *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->out);
}
