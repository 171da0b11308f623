/* SPDX-License-Identifier: MIT */
/*
 * How a timeline's data is packed; the layout is in the header. The idea to hold: the stream is
 * compressed and written piece by piece, so that the page is never in memory as a whole.
 */
#include "trace/analysis/timeline-pack.h"

#include <glib.h>
#include <string.h>
#include <zlib.h>

/* A multiple of three, so that no piece but the last needs padding in base64. */
#define CHUNK_BYTES (3 * 16384)

void timeline_pack_init(TimelinePack *pack)
{
    pack->json = g_string_sized_new(65536);
    pack->data = g_byte_array_sized_new(1 << 20);
}

void timeline_pack_finish(TimelinePack *pack)
{
    g_string_free(pack->json, TRUE);
    g_byte_array_free(pack->data, TRUE);
}

void timeline_pack_string(TimelinePack *pack, const char *text)
{
    GString *s = pack->json;

    g_string_append_c(s, '"');
    for (const char *p = text ? text : ""; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == '"' || c == '\\') {
            g_string_append_c(s, '\\');
            g_string_append_c(s, *p);
        } else if (c < 0x20 || c == 0x7f) {
            g_string_append_printf(s, "\\u%04x", c);
        } else {
            g_string_append_c(s, *p);
        }
    }
    g_string_append_c(s, '"');
}

void timeline_put(GByteArray *column, uint64_t value)
{
    uint8_t bytes[10];
    guint n = 0;

    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    g_byte_array_append(column, bytes, n);
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

void timeline_put_signed(GByteArray *column, int64_t value)
{
    timeline_put(column, zigzag(value));
}

void timeline_put_maybe(GByteArray *column, int64_t value, bool present)
{
    timeline_put(column, present && value != INT64_MIN ? zigzag(value) + 1 : 0);
}

void timeline_pack_column(TimelinePack *pack, GByteArray *column)
{
    g_string_append_printf(pack->json, "[%u,%u]", pack->data->len, column->len);
    g_byte_array_append(pack->data, column->data, column->len);
    g_byte_array_set_size(column, 0);
}

typedef struct Writer {
    z_stream z;
    FILE *out;
    gint base64_state;
    gint base64_save;
    guchar packed[CHUNK_BYTES];
    gchar text[(CHUNK_BYTES / 3 + 1) * 4 + 4];
} Writer;

static void write_packed(Writer *w)
{
    gsize n = sizeof(w->packed) - w->z.avail_out;
    gsize length =
        g_base64_encode_step(w->packed, n, FALSE, w->text, &w->base64_state, &w->base64_save);

    fwrite(w->text, 1, length, w->out);
    w->z.next_out = w->packed;
    w->z.avail_out = sizeof(w->packed);
}

static void deflate_bytes(Writer *w, const void *bytes, gsize n, int flush)
{
    int status;

    w->z.next_in = (Bytef *)bytes;
    w->z.avail_in = (uInt)n;
    do {
        status = deflate(&w->z, flush);
        if (w->z.avail_out == 0) {
            write_packed(w);
        }
    } while (w->z.avail_in > 0 || (flush == Z_FINISH && status != Z_STREAM_END));
}

bool timeline_pack_write(const TimelinePack *pack, FILE *out, GError **error)
{
    g_autofree Writer *w = g_new0(Writer, 1);
    uint32_t length = GUINT32_TO_LE((uint32_t)pack->json->len);

    w->out = out;
    w->z.next_out = w->packed;
    w->z.avail_out = sizeof(w->packed);
    if (deflateInit(&w->z, 6) != Z_OK) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
                    "not enough memory to compress the timeline");
        return false;
    }
    deflate_bytes(w, &length, sizeof(length), Z_NO_FLUSH);
    deflate_bytes(w, pack->json->str, pack->json->len, Z_NO_FLUSH);
    deflate_bytes(w, pack->data->data, pack->data->len, Z_FINISH);
    write_packed(w);
    fwrite(w->text, 1, g_base64_encode_close(FALSE, w->text, &w->base64_state, &w->base64_save),
           out);
    deflateEnd(&w->z);
    return true;
}
