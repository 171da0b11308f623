/* SPDX-License-Identifier: MIT */
/*
 * What the commands write with: errors of one line, durations and counts for people, tables whose
 * columns line up, and JSON for scripts. One thread at a time.
 */
#ifndef ORRERY_TRACE_ANALYSIS_TEXT_H
#define ORRERY_TRACE_ANALYSIS_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Sets `error` and returns false. One line that names culprit and remedy, no period. */
bool tool_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "734 ns", "12.3 us", "4.56 ms", "7.89 s": three digits that count. The buffer is `out`. */
#define DURATION_SIZE 32
const char *format_duration(char out[DURATION_SIZE], double ns);

/* ---- Tables ---- */

typedef struct Table Table;

/* `header`: columns between tabs; one that begins with '<' is aligned left, others right. */
Table *table_create(const char *header);

/* Adds a cell to the current row; rows fill up from left to right. */
void table_cell(Table *table, const char *format, ...) G_GNUC_PRINTF(2, 3);
void table_duration(Table *table, double ns);

/* Prints it, indented by two, and frees it. A table without rows prints nothing. */
void table_print(Table *table, FILE *out);

/* ---- JSON ---- */

typedef struct Json Json;

/* Writes to `out`; json_close ends the line and frees the writer. */
Json *json_create(FILE *out);
void json_close(Json *json);

/* `key` is NULL in arrays and at the top. */
void json_begin_object(Json *json, const char *key);
void json_begin_array(Json *json, const char *key);
void json_end(Json *json);
void json_text(Json *json, const char *key, const char *value);
void json_int(Json *json, const char *key, int64_t value);
void json_uint(Json *json, const char *key, uint64_t value);
/* null where it is not finite. */
void json_real(Json *json, const char *key, double value);
void json_bool(Json *json, const char *key, bool value);
void json_null(Json *json, const char *key);

/* Text with JSON's escapes and quotes. */
void json_write_quoted(FILE *out, const char *text);

#endif
