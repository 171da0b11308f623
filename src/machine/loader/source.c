/* SPDX-License-Identifier: MIT */
/*
 * What a program is read from: a file that stays open, so that a reset can read it again. A packed
 * file is unpacked into memory for as long as it is being read and forgotten afterwards. Files are
 * read with pread, never mapped: a file that shrinks under us is then an error and not a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/loader/loader.h"
#include "orrery/impl/error.h"

struct LoadSource {
    unsigned refs;
    char *name; /* "kernel 'path'" */
    int fd;     /* -1: bytes holds all there is */
    struct stat opened;
    uint64_t size_bytes; /* as readers see it */
    GByteArray *bytes;   /* the content, or what was unpacked; NULL while that is dropped */
    bool packed;
    uint64_t packed_offset, limit_bytes;
};

static LoadSource *source_new(const char *what, const char *path)
{
    LoadSource *source = g_new0(LoadSource, 1);

    source->refs = 1;
    source->fd = -1;
    source->name = g_strdup_printf("%s '%s'", what, path);
    return source;
}

LoadSource *load_source_open(const char *what, const char *path, GError **error)
{
    LoadSource *source = source_new(what, path);

    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (source->fd < 0 || fstat(source->fd, &source->opened) < 0) {
        orr_fail(error, errno == ENOENT ? ORR_ERROR_NOT_FOUND : ORR_ERROR_IO, "cannot open %s: %s",
                 source->name, g_strerror(errno));
    } else if (!S_ISREG(source->opened.st_mode)) {
        orr_fail(error, ORR_ERROR_INVALID, "%s is %s, not a file", source->name,
                 S_ISDIR(source->opened.st_mode) ? "a directory" : "a device or pipe");
    } else if (source->opened.st_size == 0) {
        orr_fail(error, ORR_ERROR_INVALID, "%s is empty", source->name);
    } else {
        source->size_bytes = (uint64_t)source->opened.st_size;
        return source;
    }
    load_source_unref(source);
    return NULL;
}

LoadSource *load_source_from_bytes(const char *what, const char *name, const void *data,
                                   uint64_t length_bytes)
{
    LoadSource *source = source_new(what, name);

    source->bytes = g_byte_array_new();
    g_byte_array_append(source->bytes, data, (guint)length_bytes);
    source->size_bytes = length_bytes;
    return source;
}

LoadSource *load_source_ref(LoadSource *source)
{
    source->refs++;
    return source;
}

void load_source_unref(LoadSource *source)
{
    if (!source || --source->refs > 0) {
        return;
    }
    if (source->fd >= 0) {
        close(source->fd);
    }
    if (source->bytes) {
        g_byte_array_unref(source->bytes);
    }
    g_free(source->name);
    g_free(source);
}

uint64_t load_source_size(const LoadSource *source)
{
    return source->size_bytes;
}

const char *load_source_name(const LoadSource *source)
{
    return source->name;
}

static bool read_file(LoadSource *source, uint64_t offset_bytes, void *buffer,
                      uint64_t length_bytes, GError **error)
{
    char *to = buffer;

    while (length_bytes > 0) {
        ssize_t got =
            pread(source->fd, to, MIN(length_bytes, (uint64_t)1 << 30), (off_t)offset_bytes);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return orr_fail(error, ORR_ERROR_IO, "cannot read %s: %s", source->name,
                            g_strerror(errno));
        }
        if (got == 0) {
            return orr_fail(error, ORR_ERROR_IO, "%s became shorter while it was read",
                            source->name);
        }
        to += got;
        offset_bytes += (uint64_t)got;
        length_bytes -= (uint64_t)got;
    }
    return true;
}

/* What the file or the given bytes hold, before any unpacking. */
static bool read_packed(void *opaque, uint64_t offset_bytes, void *buffer, uint64_t length_bytes,
                        GError **error)
{
    LoadSource *source = opaque;

    if (source->fd >= 0) {
        return read_file(source, source->packed_offset + offset_bytes, buffer, length_bytes, error);
    }
    memcpy(buffer, source->bytes->data + source->packed_offset + offset_bytes, length_bytes);
    return true;
}

static bool unpack(LoadSource *source, uint64_t packed_bytes, GError **error)
{
    GByteArray *out = g_byte_array_new();

    if (!gunzip(read_packed, source, packed_bytes, source->limit_bytes, source->name, out, error)) {
        g_byte_array_unref(out);
        return false;
    }
    if (source->bytes) {
        g_byte_array_unref(source->bytes);
    }
    source->bytes = out;
    return true;
}

bool load_source_gunzip(LoadSource *source, uint64_t offset_bytes, uint64_t limit_bytes,
                        GError **error)
{
    if (source->packed) {
        return orr_fail(error, ORR_ERROR_INVALID, "%s is packed more than once", source->name);
    }
    source->packed_offset = offset_bytes;
    source->limit_bytes = limit_bytes;
    if (!unpack(source, source->size_bytes - offset_bytes, error)) {
        return false;
    }
    source->packed = true;
    source->size_bytes = source->bytes->len;
    return true;
}

void load_source_drop_unpacked(LoadSource *source)
{
    if (source->packed && source->fd >= 0 && source->bytes) {
        g_byte_array_unref(source->bytes);
        source->bytes = NULL;
    }
}

bool load_source_read(LoadSource *source, uint64_t offset_bytes, void *buffer,
                      uint64_t length_bytes, GError **error)
{
    if (offset_bytes > source->size_bytes || length_bytes > source->size_bytes - offset_bytes) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "%s is truncated: it ends at byte %" PRIu64 ", %" PRIu64 " are needed",
                        source->name, source->size_bytes, offset_bytes + length_bytes);
    }
    if (source->packed && !source->bytes &&
        !unpack(source, (uint64_t)source->opened.st_size - source->packed_offset, error)) {
        return false;
    }
    if (source->bytes) {
        if (length_bytes > 0) {
            memcpy(buffer, source->bytes->data + offset_bytes, length_bytes);
        }
        return true;
    }
    return read_file(source, offset_bytes, buffer, length_bytes, error);
}

bool load_source_head(LoadSource *source, void *buffer, size_t length_bytes, GError **error)
{
    memset(buffer, 0, length_bytes);
    return load_source_read(source, 0, buffer, MIN(length_bytes, source->size_bytes), error);
}

bool load_source_unchanged(LoadSource *source, GError **error)
{
    struct stat now;

    if (source->fd < 0) {
        return true;
    }
    if (fstat(source->fd, &now) < 0) {
        return orr_fail(error, ORR_ERROR_IO, "cannot read %s: %s", source->name, g_strerror(errno));
    }
    if (now.st_size != source->opened.st_size ||
        now.st_mtim.tv_sec != source->opened.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != source->opened.st_mtim.tv_nsec) {
        return orr_fail(error, ORR_ERROR_IO,
                        "%s was overwritten while the guest ran, so it cannot be loaded again",
                        source->name);
    }
    return true;
}
