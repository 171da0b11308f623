/* SPDX-License-Identifier: MIT */
/*
 * The file behind a drive. The idea to hold: reads and writes may be short or interrupted and are
 * continued until done; what lies beyond the end of the file reads as zeros, up to the whole sector
 * the guest was promised.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/block/internal.h"
#include "orrery/impl/error.h"
#include "orrery/impl/log.h"

#define DIRECT_ALIGN 4096
#define ZEROES_CHUNK_BYTES (64 * 1024)

/*
 * QEMU's image locks: a byte for each thing done to the file (100 + n) and one for each that others
 * shall not do (200 + n), all of them shared locks; who finds the opposite byte taken gives way.
 */
enum {
    IMAGE_DOES = 100,
    IMAGE_FORBIDS = 200,
    IMAGE_READ = 0,
    IMAGE_WRITE = 1,
    IMAGE_RESIZE = 3,
};

static int lock_byte(int fd, int cmd, short type, off_t start, struct flock *lock)
{
    *lock = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };
    return fcntl(fd, cmd, lock);
}

/* 0 free, 1 taken by another, -1 the file system has no such locks. */
static int take_locks(int fd, bool writable)
{
    const off_t ours[] = { IMAGE_DOES + IMAGE_READ, IMAGE_FORBIDS + IMAGE_WRITE,
                           IMAGE_FORBIDS + IMAGE_RESIZE, IMAGE_DOES + IMAGE_WRITE };
    const off_t theirs[] = { IMAGE_FORBIDS + IMAGE_READ, IMAGE_DOES + IMAGE_WRITE,
                             IMAGE_DOES + IMAGE_RESIZE, IMAGE_FORBIDS + IMAGE_WRITE };
    size_t count = writable ? G_N_ELEMENTS(ours) : G_N_ELEMENTS(ours) - 1;
    struct flock lock;

    for (size_t i = 0; i < count; i++) {
        if (lock_byte(fd, F_OFD_SETLK, F_RDLCK, ours[i], &lock) < 0) {
            return errno == EAGAIN || errno == EACCES ? 1 : -1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (lock_byte(fd, F_OFD_GETLK, F_WRLCK, theirs[i], &lock) < 0) {
            return -1;
        }
        if (lock.l_type != F_UNLCK) {
            return 1;
        }
    }
    return 0;
}

static bool lock_file(BlockDev *blk, GError **error)
{
    const BlockOptions *options = &blk->options;
    int taken = options->locking ? take_locks(blk->fd, !options->readonly) : 0;

    if (taken > 0) {
        return orr_fail(error, ORR_ERROR_IO,
                        "drive '%s': '%s' is in use by another drive or emulator; end that one, "
                        "or give this one a copy",
                        options->id, options->file);
    }
    if (taken < 0) {
        orr_report_warning("drive '%s': '%s' cannot be locked (%s): another emulator may use it",
                           options->id, options->file, g_strerror(errno));
    }
    return true;
}

/* What a guest must not be given as if it were a disk's content. */
static const char *foreign_format(int fd)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *name;
    } formats[] = {
        { "QFI\xfb", 4, "qcow2" }, { "KDMV", 4, "vmdk" }, { "vhdxfile", 8, "vhdx" },
        { "conectix", 8, "vpc" },  { "QED", 4, "qed" },
    };
    char head[8] = { 0 };

    if (pread(fd, head, sizeof(head), 0) < (ssize_t)sizeof(head)) {
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (memcmp(head, formats[i].magic, formats[i].length) == 0) {
            return formats[i].name;
        }
    }
    return NULL;
}

static bool measure(BlockDev *blk, GError **error)
{
    const BlockOptions *options = &blk->options;
    uint64_t size = 0;
    struct stat st;

    if (fstat(blk->fd, &st) < 0) {
        return orr_fail(error, ORR_ERROR_IO, "drive '%s': cannot look at '%s': %s", options->id,
                        options->file, g_strerror(errno));
    }
    if (S_ISBLK(st.st_mode)) {
        blk->is_device = true;
        if (ioctl(blk->fd, BLKGETSIZE64, &size) < 0) {
            return orr_fail(error, ORR_ERROR_IO, "drive '%s': cannot get the size of '%s': %s",
                            options->id, options->file, g_strerror(errno));
        }
    } else if (S_ISREG(st.st_mode)) {
        size = (uint64_t)st.st_size;
    } else {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "drive '%s': '%s' is neither a file nor a block device", options->id,
                        options->file);
    }
    blk->size_bytes = (size + BLOCK_SECTOR_BYTES - 1) / BLOCK_SECTOR_BYTES * BLOCK_SECTOR_BYTES;
    return true;
}

static bool check_format(const BlockDev *blk, GError **error)
{
    const BlockOptions *options = &blk->options;
    const char *format = options->format ? NULL : foreign_format(blk->fd);

    if (format) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "drive '%s': '%s' is a %s image; convert it to raw, or say format=raw if "
                        "the guest shall see it as it is",
                        options->id, options->file, format);
    }
    return true;
}

bool block_file_open(BlockDev *blk, GError **error)
{
    const BlockOptions *options = &blk->options;
    bool sync = options->cache == CACHE_WRITETHROUGH || options->cache == CACHE_DIRECTSYNC;
    bool direct = options->cache == CACHE_NONE || options->cache == CACHE_DIRECTSYNC;
    int flags =
        O_CLOEXEC | O_NONBLOCK | (options->readonly ? O_RDONLY : O_RDWR) | (sync ? O_DSYNC : 0);

    blk->fd = open(options->file, flags); /* O_NONBLOCK: not to wait for a fifo's other end */
    if (blk->fd < 0) {
        int saved = errno;
        bool read_would_do = (saved == EACCES || saved == EROFS || saved == EPERM) &&
                             !options->readonly && access(options->file, R_OK) == 0;

        return orr_fail(error, ORR_ERROR_IO, "drive '%s': cannot open '%s': %s%s", options->id,
                        options->file, g_strerror(saved),
                        read_would_do ? "; readonly=on would do without writing" : "");
    }
    if (!measure(blk, error) || !lock_file(blk, error) || !check_format(blk, error)) {
        return false;
    }
    if (direct) {
        blk->direct_fd = open(options->file, flags | O_DIRECT);
        if (blk->direct_fd < 0) {
            orr_report_warning("drive '%s': '%s' cannot bypass the host's cache (%s): "
                               "cache=%s is as writeback",
                               options->id, options->file, g_strerror(errno),
                               options->cache == CACHE_NONE ? "none" : "directsync");
        }
    }
    return true;
}

void block_file_close(BlockDev *blk)
{
    if (blk->direct_fd >= 0) {
        close(blk->direct_fd);
    }
    if (blk->fd >= 0) {
        close(blk->fd);
    }
    blk->fd = blk->direct_fd = -1;
}

/* Fills out with the part of the vector from skip on, at most count pieces and length bytes. */
static int slice(const BlockRequest *request, uint64_t skip, struct iovec *out, int count)
{
    uint64_t left = request->length_bytes - skip;
    int filled = 0;

    for (unsigned i = 0; i < request->iov_count && filled < count && left; i++) {
        size_t length = request->iov[i].iov_len;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        out[filled].iov_base = (char *)request->iov[i].iov_base + skip;
        out[filled].iov_len = (size_t)MIN(length - skip, left);
        left -= out[filled].iov_len;
        skip = 0;
        filled++;
    }
    return filled;
}

static void zero_rest(const BlockRequest *request, uint64_t from)
{
    struct iovec iov[16];
    int count;

    while (from < request->length_bytes && (count = slice(request, from, iov, 16)) > 0) {
        for (int i = 0; i < count; i++) {
            memset(iov[i].iov_base, 0, iov[i].iov_len);
            from += iov[i].iov_len;
        }
    }
}

static bool fit_for_direct(const BlockRequest *request)
{
    uintptr_t bits = (uintptr_t)request->offset_bytes | (uintptr_t)request->length_bytes;
    uint64_t left = request->length_bytes;

    for (unsigned i = 0; i < request->iov_count && left; i++) {
        uint64_t part = MIN(request->iov[i].iov_len, left);

        bits |= (uintptr_t)request->iov[i].iov_base | (uintptr_t)part;
        left -= part;
    }
    return bits % DIRECT_ALIGN == 0;
}

static int transfer(BlockDev *blk, const BlockRequest *request)
{
    bool reading = request->op == BLOCK_READ;
    int fd = blk->direct_fd >= 0 && fit_for_direct(request) ? blk->direct_fd : blk->fd;
    uint64_t done = 0;

    while (done < request->length_bytes) {
        struct iovec iov[64];
        int count = slice(request, done, iov, G_N_ELEMENTS(iov));
        off_t at = (off_t)(request->offset_bytes + done);
        ssize_t n = reading ? preadv(fd, iov, count, at) : pwritev(fd, iov, count, at);

        if (n > 0) {
            done += (uint64_t)n;
        } else if (n == 0 && reading) {
            zero_rest(request, done); /* the file's last sector is not a whole one */
            return 0;
        } else if (n == 0) {
            return ENOSPC;
        } else if (errno == EINVAL && fd != blk->fd) {
            fd = blk->fd; /* an alignment that this file system does not take */
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* The part of a range that lies in the file; the rest of its last sector is zero anyway. */
static int punch(BlockDev *blk, const BlockRequest *request)
{
    uint64_t range[2] = { request->offset_bytes, request->length_bytes };

    if (request->length_bytes == 0) {
        return 0;
    }
    if (blk->is_device) {
        return ioctl(blk->fd, BLKDISCARD, range) < 0 ? errno : 0;
    }
    return fallocate(blk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t)request->offset_bytes, (off_t)request->length_bytes) < 0
               ? errno
               : 0;
}

/* A discard is advice: a file system that cannot do it has taken note. */
static int discard(BlockDev *blk, const BlockRequest *request)
{
    int err = blk->options.discard ? punch(blk, request) : 0;

    return err == EOPNOTSUPP || err == ENOSYS || err == ENOTTY ? 0 : err;
}

static int write_zeroes_slowly(BlockDev *blk, const BlockRequest *request)
{
    static const uint8_t zeroes[ZEROES_CHUNK_BYTES];
    uint64_t done = 0;

    while (done < request->length_bytes) {
        size_t part = (size_t)MIN(request->length_bytes - done, sizeof(zeroes));
        ssize_t n = pwrite(blk->fd, zeroes, part, (off_t)(request->offset_bytes + done));

        if (n > 0) {
            done += (uint64_t)n;
        } else if (n == 0) {
            return ENOSPC;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int write_zeroes(BlockDev *blk, const BlockRequest *request)
{
    if (request->length_bytes == 0) {
        return 0;
    }
    if (!blk->is_device && fallocate(blk->fd, FALLOC_FL_ZERO_RANGE, (off_t)request->offset_bytes,
                                     (off_t)request->length_bytes) == 0) {
        return 0;
    }
    return write_zeroes_slowly(blk, request);
}

static int flush(BlockDev *blk)
{
    if (blk->options.cache == CACHE_UNSAFE || blk->options.readonly) {
        return 0;
    }
    return fdatasync(blk->fd) < 0 ? errno : 0;
}

int block_perform(BlockDev *blk, const BlockRequest *request)
{
    switch (request->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return transfer(blk, request);
    case BLOCK_FLUSH:
        return flush(blk);
    case BLOCK_DISCARD:
        return discard(blk, request);
    case BLOCK_WRITE_ZEROES:
        return write_zeroes(blk, request);
    }
    return EINVAL;
}
