/* SPDX-License-Identifier: MIT */
/*
 * The virtio entropy device (VIRTIO 1.2, 5.4): the host's random bytes, at no more than max-bytes
 * in each period. The idea to hold: a buffer may be given back filled in part, and so it is when it
 * is large; no driver can make the device work long at a time.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "hw/hw-classes.h"
#include "hw/virtio/virtio.h"

#define QUEUE_SIZE 8
#define MAX_FILL_BYTES ((size_t)64 * 1024)
#define MS_NS 1000000

typedef struct VirtioRng {
    VirtioDevice vdev;
    uint64_t max_bytes;
    uint32_t period_ms;

    uint64_t used_bytes; /* in the period that ends at: */
    int64_t period_end_ns;
} VirtioRng;

static const PropDef rng_props[] = {
    { .name = "max-bytes",
      .type = PROP_U64,
      .offset = offsetof(VirtioRng, max_bytes),
      .fallback = "9223372036854775807",
      .min = 1,
      .max = INT64_MAX,
      .help = "most bytes in a period" },
    { .name = "period",
      .type = PROP_U32,
      .offset = offsetof(VirtioRng, period_ms),
      .fallback = "65536",
      .min = 1,
      .max = INT32_MAX,
      .help = "the period, in milliseconds" },
    { .name = NULL },
};

/* Bytes that may be given out now; when there are none, *wait_ns says for how long. */
static uint64_t allowance(VirtioRng *rng, int64_t *wait_ns)
{
    int64_t now_ns = clock_get_ns(rng->vdev.dev.env->timers, CLOCK_KIND_REALTIME);

    if (now_ns >= rng->period_end_ns) {
        rng->period_end_ns = now_ns + (int64_t)rng->period_ms * MS_NS;
        rng->used_bytes = 0;
    }
    *wait_ns = rng->period_end_ns - now_ns;
    return rng->max_bytes - rng->used_bytes;
}

static size_t fill(const VirtElement *elem, size_t bytes)
{
    size_t done = 0;

    for (unsigned i = 0; i < elem->in_count && done < bytes; i++) {
        uint8_t *to = elem->in[i].iov_base;
        size_t left = MIN(elem->in[i].iov_len, bytes - done);

        while (left) {
            ssize_t n = getrandom(to, left, GRND_NONBLOCK);

            if (n < 0 && errno != EINTR) {
                return done;
            }
            if (n > 0) {
                to += n;
                left -= (size_t)n;
                done += (size_t)n;
            }
        }
    }
    return done;
}

static void rng_queue(VirtioDevice *vdev, unsigned n)
{
    VirtioRng *rng = (VirtioRng *)vdev;
    VirtQueue *vq = &vdev->queue[n];

    for (unsigned budget = QUEUE_SIZE; virtqueue_has_more(vq); budget--) {
        int64_t wait_ns;
        uint64_t allowed = allowance(rng, &wait_ns);
        VirtElement *elem;
        size_t bytes;

        if (!allowed || !budget) {
            virtqueue_again(vq, allowed ? 0 : wait_ns);
            break;
        }
        elem = virtqueue_pop(vq, sizeof(*elem));
        if (!elem) {
            break;
        }
        bytes = fill(elem, (size_t)MIN(MIN(elem->in_bytes, allowed), MAX_FILL_BYTES));
        rng->used_bytes += bytes;
        virtqueue_push(elem, bytes);
    }
    virtqueue_notify(vq);
}

static const VirtioOps rng_ops = {
    .device_id = VIRTIO_ID_RNG,
    .queue = rng_queue,
};

static bool rng_realize(Device *device, GError **error)
{
    VirtioRng *rng = (VirtioRng *)device;

    virtio_init(&rng->vdev, &rng_ops);
    virtio_add_queue(&rng->vdev, QUEUE_SIZE);
    return true;
}

static void rng_unrealize(Device *device)
{
    virtio_finish(&((VirtioRng *)device)->vdev);
}

const DeviceClass virtio_rng_class = {
    .name = "virtio-rng-device",
    .summary = "virtio source of random numbers",
    .bus_type = VIRTIO_BUS_TYPE,
    .user_creatable = true,
    .instance_bytes = sizeof(VirtioRng),
    .props = rng_props,
    .parent = &virtio_device_class,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
};
