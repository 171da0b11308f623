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
 * Opens the text of a -drive:
 *
 *   file=PATH          a regular file or a block device
 *   id=ID              needed here; device_env_add_drive makes one up
 *   if=none|virtio     virtio (default): the board makes a virtio-blk device for it
 *   format=raw         without it a file that looks like another format is refused
 *   readonly=on|off
 *   cache=MODE         writeback (default), none (past the host's cache), writethrough (each write
 *                      durable when it completes), directsync (both), unsafe (flushes do nothing)
 *   discard=ignore|unmap, locking=on|off, snapshot=off
 *
 * Takes a lock on the file, the same as QEMU's, so that a disk in use by another emulator is refused.
 * Main thread, machine lock. NULL with a GError.
 */
BlockDev *blockdev_open(Cpus *cpus, const char *options, GError **error);
void blockdev_close(BlockDev *blk); /* waits for requests in flight, flushes; NULL is fine */

const char *blockdev_id(const BlockDev *blk);
const char *blockdev_interface(const BlockDev *blk); /* "none" or "virtio" */
uint64_t blockdev_size_bytes(const BlockDev *blk);
bool blockdev_readonly(const BlockDev *blk);

/* One user at a time; false names the present one. Machine lock. release waits as drain does. */
bool blockdev_claim(BlockDev *blk, const char *user, GError **error);
void blockdev_release(BlockDev *blk);           /* NULL is fine */
const char *blockdev_user(const BlockDev *blk); /* NULL when it is free */

typedef enum BlockOp {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH, /* everything completed before is durable when it completes */
    BLOCK_DISCARD,
    BLOCK_WRITE_ZEROES,
} BlockOp;

/* Runs on the main loop, or inside drain, with the machine lock; error is 0 or an errno value. */
typedef void BlockDone(void *opaque, int error);

/*
 * Queues a request. The vector and what it points to stay valid until done. Out of range, a vector
 * shorter than the length and a write to a read-only drive (EROFS) are completed with an error; done
 * never runs inside this call. Machine lock. The caller notes what was written to guest memory.
 */
void blockdev_submit(BlockDev *blk, BlockOp op, uint64_t offset_bytes, uint64_t length_bytes,
                     const struct iovec *iov, unsigned iov_count, BlockDone *done, void *opaque);

/* Returns when nothing is in flight; runs completions itself. Any thread; machine lock, kept. */
void blockdev_drain(BlockDev *blk);

ORR_END_DECLS

#endif
