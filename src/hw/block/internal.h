/* SPDX-License-Identifier: MIT */
/*
 * What the files of the disk back end share: the drive, a request, and the pool that works on
 * requests.
 */
#ifndef ORRERY_HW_BLOCK_INTERNAL_H
#define ORRERY_HW_BLOCK_INTERNAL_H

#include "orrery/impl/blockdev.h"
#include "orrery/impl/cpus.h"

#define BLOCK_SECTOR_BYTES 512
#define BLOCK_MAX_WORKERS 8

typedef enum BlockCache {
    CACHE_WRITEBACK,
    CACHE_NONE,
    CACHE_WRITETHROUGH,
    CACHE_DIRECTSYNC,
    CACHE_UNSAFE,
} BlockCache;

typedef struct BlockOptions {
    char *file, *id, *format;
    uint32_t interface; /* 0 none, 1 virtio */
    bool readonly, snapshot, locking;
    uint32_t cache, discard; /* discard: 0 ignore, 1 unmap */
} BlockOptions;

typedef struct BlockRequest BlockRequest;

struct BlockRequest {
    BlockRequest *next;
    BlockOp op;
    uint64_t offset_bytes, length_bytes;
    const struct iovec *iov;
    unsigned iov_count;
    BlockDone *done;
    void *opaque;
    int error;
};

typedef struct BlockQueue {
    BlockRequest *head, *tail;
} BlockQueue;

struct BlockDev {
    /* Constant after open. */
    Cpus *cpus;
    BlockOptions options;
    int fd, direct_fd; /* direct_fd: O_DIRECT for aligned requests, or -1 */
    bool is_device;    /* a host block device, not a file */
    uint64_t size_bytes;

    /* Machine lock. */
    char *user;
    GSource *completion;
    unsigned in_flight; /* submitted, done not called yet */

    /* lock. */
    OrrMutex lock;
    OrrCond wake;     /* workers: there is something to do */
    OrrCond finished; /* drain: something was done */
    BlockQueue todo, done;
    bool ending;
    unsigned worker_count, idle_count;
    pthread_t worker[BLOCK_MAX_WORKERS];
};

/* block-file.c: the work on the file itself, by a worker. Returns 0 or an errno value. */
int block_perform(BlockDev *blk, const BlockRequest *request);

/* Opens, locks and measures the file. */
bool block_file_open(BlockDev *blk, GError **error);
void block_file_close(BlockDev *blk);

/* block-pool.c */
void block_pool_init(BlockDev *blk);
void block_pool_finish(BlockDev *blk); /* nothing may be in flight */
void block_pool_submit(BlockDev *blk, BlockRequest *request);
void block_queue_push(BlockQueue *queue, BlockRequest *request);
BlockRequest *block_queue_pop(BlockQueue *queue);

#endif
