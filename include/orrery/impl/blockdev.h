/* SPDX-License-Identifier: MIT */
/*
 * Disk back ends (-drive). Raw files and block devices, read and written by a small pool of worker
 * threads; completions come back on the main loop. A drive is used by one device at a time.
 */
#ifndef ORRERY_IMPL_BLOCKDEV_H
#define ORRERY_IMPL_BLOCKDEV_H

#include <sys/uio.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef struct BlockDev BlockDev;
typedef struct Cpus Cpus;

/*
 * Opens "file=PATH,if=none,format=raw,id=ID[,readonly=on][,cache=writeback|unsafe|none|writethrough][,snapshot=on]". Takes a lock on the file, so that a
 * disk in use by another emulator is refused. Main thread, machine lock. NULL with a GError.
 */
BlockDev *blockdev_open(Cpus *cpus, const char *options, GError **error);
void blockdev_close(BlockDev *blk); /* waits for requests in flight, flushes; NULL is fine */

const char *blockdev_id(const BlockDev *blk);
uint64_t blockdev_size_bytes(const BlockDev *blk);
bool blockdev_readonly(const BlockDev *blk);

/* One user at a time; false names the present one. */
bool blockdev_claim(BlockDev *blk, const char *user, GError **error);
void blockdev_release(BlockDev *blk);

typedef enum BlockOp {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH, /* everything completed before is durable when it completes */
    BLOCK_DISCARD,
    BLOCK_WRITE_ZEROES,
} BlockOp;

/* done runs on the main loop with the machine lock; error is 0 or an errno value. */
typedef void BlockDone(void *opaque, int error);

/*
 * Queues a request. The vector and what it points to stay valid until done. Out of range is
 * completed with EINVAL. Machine lock.
 */
void blockdev_submit(BlockDev *blk, BlockOp op, uint64_t offset_bytes, uint64_t length_bytes,
                     const struct iovec *iov, unsigned iov_count, BlockDone *done, void *opaque);

/* Returns when nothing is in flight; runs completions. Machine lock, main loop. */
void blockdev_drain(BlockDev *blk);

ORR_END_DECLS

#endif
