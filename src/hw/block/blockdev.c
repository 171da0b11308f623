/* SPDX-License-Identifier: MIT */
/*
 * Disk back ends as their users see them: opened from text, claimed by one device, given requests
 * that complete on the main loop. The idea to hold: a request that cannot be is still a request; it
 * completes with an error, later, like any other.
 */
#include "orrery/impl/blockdev.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hw/block/internal.h"
#include "orrery/impl/error.h"
#include "orrery/impl/props.h"

static const char *const interface_names[] = { "none", "virtio", NULL };
static const char *const cache_names[] = { "writeback",  "none",   "writethrough",
                                           "directsync", "unsafe", NULL };
static const char *const discard_names[] = { "ignore", "unmap", NULL };

#define OPTION(field) offsetof(BlockOptions, field)

static const PropDef drive_props[] = {
    { .name = "file", .type = PROP_STRING, .offset = OPTION(file), .help = "path of the image" },
    { .name = "id", .type = PROP_STRING, .offset = OPTION(id), .help = "name for drive=" },
    { .name = "if",
      .type = PROP_ENUM,
      .offset = OPTION(interface),
      .fallback = "virtio",
      .values = interface_names,
      .help = "whether the board makes a device for it" },
    { .name = "format", .type = PROP_STRING, .offset = OPTION(format), .help = "raw" },
    { .name = "readonly", .type = PROP_BOOL, .offset = OPTION(readonly), .fallback = "off" },
    { .name = "cache",
      .type = PROP_ENUM,
      .offset = OPTION(cache),
      .fallback = "writeback",
      .values = cache_names },
    { .name = "discard",
      .type = PROP_ENUM,
      .offset = OPTION(discard),
      .fallback = "ignore",
      .values = discard_names },
    { .name = "snapshot", .type = PROP_BOOL, .offset = OPTION(snapshot), .fallback = "off" },
    { .name = "locking", .type = PROP_BOOL, .offset = OPTION(locking), .fallback = "on" },
    { .name = NULL },
};

static bool parse_options(BlockOptions *options, const char *text, GError **error)
{
    GArray *pairs = orr_split_options(text, "file");
    bool ok = true;

    props_init(options, drive_props);
    for (guint i = 0; ok && i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);
        const char *name = pair->key;

        if (strcmp(name, "file.locking") == 0) {
            name = "locking";
        } else if (strcmp(name, "file.filename") == 0) {
            name = "file";
        }
        ok = props_set(options, drive_props, "drive", name, pair->value, error);
    }
    g_array_free(pairs, TRUE);
    if (!ok) {
        return false;
    }
    if (!options->id || !*options->id) {
        return orr_fail(error, ORR_ERROR_INVALID, "-drive %s has no id; add id=NAME", text);
    }
    if (!options->file || !*options->file) {
        return orr_fail(error, ORR_ERROR_INVALID, "drive '%s' has no file; add file=PATH",
                        options->id);
    }
    if (options->snapshot) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "drive '%s': snapshot=on is not supported; give it a copy of '%s'",
                        options->id, options->file);
    }
    if (options->format && strcmp(options->format, "raw") != 0) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                        "drive '%s': format '%s' is not supported; convert '%s' to raw",
                        options->id, options->format, options->file);
    }
    return true;
}

BlockDev *blockdev_open(Cpus *cpus, const char *options, GError **error)
{
    BlockDev *blk = g_new0(BlockDev, 1);

    blk->cpus = cpus;
    blk->fd = blk->direct_fd = -1;
    if (!parse_options(&blk->options, options, error) || !block_file_open(blk, error)) {
        block_file_close(blk);
        props_finish(&blk->options, drive_props);
        g_free(blk);
        return NULL;
    }
    block_pool_init(blk);
    return blk;
}

void blockdev_close(BlockDev *blk)
{
    if (!blk) {
        return;
    }
    blockdev_drain(blk);
    block_pool_finish(blk);
    if (!blk->options.readonly && blk->options.cache != CACHE_UNSAFE && fdatasync(blk->fd) < 0) {
        orr_report_warning("drive '%s': the last writes to '%s' may be lost: %s", blk->options.id,
                           blk->options.file, g_strerror(errno));
    }
    block_file_close(blk);
    props_finish(&blk->options, drive_props);
    g_free(blk->user);
    g_free(blk);
}

const char *blockdev_id(const BlockDev *blk)
{
    return blk->options.id;
}

const char *blockdev_interface(const BlockDev *blk)
{
    return interface_names[blk->options.interface];
}

uint64_t blockdev_size_bytes(const BlockDev *blk)
{
    return blk->size_bytes;
}

bool blockdev_readonly(const BlockDev *blk)
{
    return blk->options.readonly;
}

bool blockdev_claim(BlockDev *blk, const char *user, GError **error)
{
    if (blk->user) {
        return orr_fail(error, ORR_ERROR_INVALID, "drive '%s' is in use by device '%s'",
                        blk->options.id, blk->user);
    }
    blk->user = g_strdup(user);
    return true;
}

void blockdev_release(BlockDev *blk)
{
    if (blk) {
        blockdev_drain(blk);
        g_clear_pointer(&blk->user, g_free);
    }
}

const char *blockdev_user(const BlockDev *blk)
{
    return blk->user;
}

static bool vector_holds(const struct iovec *iov, unsigned count, uint64_t length)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count && sum < length; i++) {
        sum += MIN(iov[i].iov_len, length - sum);
    }
    return sum >= length;
}

static int check_request(const BlockDev *blk, const BlockRequest *request)
{
    bool transfer = request->op == BLOCK_READ || request->op == BLOCK_WRITE;

    if (request->op == BLOCK_FLUSH) {
        return 0;
    }
    if (request->offset_bytes > blk->size_bytes ||
        request->length_bytes > blk->size_bytes - request->offset_bytes) {
        return EINVAL;
    }
    if (transfer && !vector_holds(request->iov, request->iov_count, request->length_bytes)) {
        return EINVAL;
    }
    return request->op != BLOCK_READ && blk->options.readonly ? EROFS : 0;
}

void blockdev_submit(BlockDev *blk, BlockOp op, uint64_t offset_bytes, uint64_t length_bytes,
                     const struct iovec *iov, unsigned iov_count, BlockDone *done, void *opaque)
{
    BlockRequest *request = g_new0(BlockRequest, 1);

    request->op = op;
    request->offset_bytes = offset_bytes;
    request->length_bytes = length_bytes;
    request->iov = iov;
    request->iov_count = iov_count;
    request->done = done;
    request->opaque = opaque;
    request->error = check_request(blk, request);
    blk->in_flight++;
    block_pool_submit(blk, request);
}
