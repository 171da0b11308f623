/* SPDX-License-Identifier: MIT */
/*
 * The data inside a timeline page: one JSON text that says what there is, and behind it columns of
 * variable-length integers. The idea to hold: records are taken apart into columns of like numbers
 * (all durations, all states, ...), each small against its neighbour, so that deflate finds them
 * alike; viewer/data.js puts them together again.
 *
 * Layout: 4 bytes, little-endian: length of the JSON text; the JSON text; the columns. All of it as
 * one zlib stream, in base64. A column is LEB128 integers; the JSON gives its offset behind the
 * text and its length in bytes.
 */
#ifndef ORRERY_TRACE_ANALYSIS_TIMELINE_PACK_H
#define ORRERY_TRACE_ANALYSIS_TIMELINE_PACK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct TimelinePack {
    GString *json; /* being written by the caller, with the functions below for what is not plain */
    GByteArray *data; /* the columns that are finished */
} TimelinePack;

/* Both are owned by the pack. */
void timeline_pack_init(TimelinePack *pack);
void timeline_pack_finish(TimelinePack *pack);

/* Appends `text` (UTF-8, NULL is empty) as a JSON string with its quotes. */
void timeline_pack_string(TimelinePack *pack, const char *text);

/* Unsigned LEB128: seven bits a byte, lowest first. */
void timeline_put(GByteArray *column, uint64_t value);

/* Signed, by zigzag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ... */
void timeline_put_signed(GByteArray *column, int64_t value);

/*
 * A value that may be absent: 0 is absent, else zigzag + 1. INT64_MIN is always written as absent.
 */
void timeline_put_maybe(GByteArray *column, int64_t value, bool present);

/* Moves `column`, which is empty afterwards, behind the data, and appends its "[offset,length]". */
void timeline_pack_column(TimelinePack *pack, GByteArray *column);

/*
 * Writes the whole as base64. false when zlib has no memory; the stream's errors are the caller's.
 */
bool timeline_pack_write(const TimelinePack *pack, FILE *out, GError **error);

#endif
