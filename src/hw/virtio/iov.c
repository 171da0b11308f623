/* SPDX-License-Identifier: MIT */
/*
 * Vectors of guest memory: copying out of and into them, and trimming headers off. The idea to
 * hold: a driver may cut its buffers where it likes (2.7.4), so nothing may assume that a header
 * is one piece.
 */
#include <string.h>

#include "hw/virtio/virtio.h"

/* Copies between a buffer and the vector; only one of to and from is given. */
static size_t copy(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *to,
                   const uint8_t *from, size_t bytes)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < bytes; i++) {
        uint8_t *base = iov[i].iov_base;
        size_t part;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - (size_t)offset, bytes - done);
        if (to) {
            memcpy(to + done, base + offset, part);
        } else {
            memcpy(base + offset, from + done, part);
        }
        done += part;
        offset = 0;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *to, size_t bytes)
{
    return copy(iov, count, offset, to, NULL, bytes);
}

size_t iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *from,
                 size_t bytes)
{
    return copy(iov, count, offset, NULL, from, bytes);
}

void iov_trim_front(struct iovec **iov, unsigned *count, uint64_t bytes)
{
    while (*count && bytes >= (*iov)->iov_len) {
        bytes -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (*count) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + bytes;
        (*iov)->iov_len -= (size_t)bytes;
    }
}

void iov_trim_back(struct iovec *iov, unsigned *count, uint64_t bytes)
{
    while (*count && bytes >= iov[*count - 1].iov_len) {
        bytes -= iov[*count - 1].iov_len;
        --*count;
    }
    if (*count) {
        iov[*count - 1].iov_len -= (size_t)bytes;
    }
}
