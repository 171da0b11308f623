/* SPDX-License-Identifier: MIT */
/*
 * Unpacks gzip data with zlib, which is loaded when a packed file is first met: most runs never
 * need it, and every library that the binary names costs each start. The output is bounded by
 * the caller, whatever the stream claims.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "machine/loader/loader.h"
#include "orrery/impl/error.h"

#define PACKED_CHUNK_BYTES (64 * 1024)
#define WINDOW_BITS_GZIP (15 + 16) /* the largest window, gzip header expected */

typedef struct Zlib {
    void *handle;
    const char *(*version)(void);
    int (*init)(z_streamp stream, int window_bits, const char *version, int stream_bytes);
    int (*inflate)(z_streamp stream, int flush);
    int (*end)(z_streamp stream);
} Zlib;

static bool zlib_open(Zlib *zlib, const char *name, GError **error)
{
    zlib->handle = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    if (zlib->handle) {
        zlib->version = (const char *(*)(void))dlsym(zlib->handle, "zlibVersion");
        zlib->init =
            (int (*)(z_streamp, int, const char *, int))dlsym(zlib->handle, "inflateInit2_");
        zlib->inflate = (int (*)(z_streamp, int))dlsym(zlib->handle, "inflate");
        zlib->end = (int (*)(z_streamp))dlsym(zlib->handle, "inflateEnd");
    }
    if (!zlib->handle || !zlib->version || !zlib->init || !zlib->inflate || !zlib->end) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "%s is packed with gzip, and libz.so.1 cannot be loaded to unpack it; "
                        "install zlib1g or give the unpacked file",
                        name);
    }
    return true;
}

/* One call of inflate with room for a chunk, appended to out. */
static int inflate_some(const Zlib *zlib, z_stream *stream, GByteArray *out)
{
    uint8_t chunk[PACKED_CHUNK_BYTES];
    int status;

    stream->next_out = chunk;
    stream->avail_out = sizeof(chunk);
    status = zlib->inflate(stream, Z_NO_FLUSH);
    g_byte_array_append(out, chunk, (guint)(sizeof(chunk) - stream->avail_out));
    return status;
}

static bool inflate_all(const Zlib *zlib, z_stream *stream, GunzipRead *read, void *opaque,
                        uint64_t packed_bytes, uint64_t limit_bytes, const char *name,
                        GByteArray *out, GError **error)
{
    g_autofree uint8_t *packed = g_malloc(PACKED_CHUNK_BYTES);
    uint64_t offset = 0;
    int status = Z_OK;

    while (status != Z_STREAM_END) {
        if (stream->avail_in == 0 && offset < packed_bytes) {
            uint64_t n = MIN(packed_bytes - offset, PACKED_CHUNK_BYTES);

            if (!read(opaque, offset, packed, n, error)) {
                return false;
            }
            stream->next_in = packed;
            stream->avail_in = (uInt)n;
            offset += n;
        }
        status = inflate_some(zlib, stream, out);
        if (out->len > limit_bytes) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "%s unpacks to more than the %" PRIu64 " MiB there is room for", name,
                            limit_bytes >> 20);
        }
        if (status == Z_BUF_ERROR && offset == packed_bytes) {
            return orr_fail(error, ORR_ERROR_INVALID, "%s is truncated: its gzip data ends early",
                            name);
        }
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
            return orr_fail(error, ORR_ERROR_INVALID, "%s holds damaged gzip data", name);
        }
    }
    return true;
}

bool gunzip(GunzipRead *read, void *opaque, uint64_t packed_bytes, uint64_t limit_bytes,
            const char *name, GByteArray *out, GError **error)
{
    Zlib zlib = { 0 };
    z_stream stream = { 0 };
    bool done = false;

    limit_bytes = MIN(limit_bytes, (uint64_t)G_MAXINT32 - PACKED_CHUNK_BYTES);
    if (zlib_open(&zlib, name, error)) {
        if (zlib.init(&stream, WINDOW_BITS_GZIP, zlib.version(), (int)sizeof(stream)) != Z_OK) {
            orr_fail(error, ORR_ERROR_IO, "%s: zlib could not be started", name);
        } else {
            done = inflate_all(&zlib, &stream, read, opaque, packed_bytes, limit_bytes, name, out,
                               error);
            zlib.end(&stream);
        }
    }
    if (zlib.handle) {
        dlclose(zlib.handle);
    }
    return done;
}
