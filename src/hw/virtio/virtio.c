/* SPDX-License-Identifier: MIT */
/*
 * The part all virtio devices have in common: status, features, configuration space, reset, and
 * the timer that lets a device go on with its queues later. The idea to hold: the driver's requests
 * come in here by way of a transport and are checked here, so that a device's own functions are
 * called only with what the specification allows.
 */
#include "hw/virtio/virtio.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "orrery/impl/log.h"
#include "trace/trace-hw.h"

#define STATUS_BITS                                                                                \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |            \
     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

#define MAX_MESSAGE_BYTES 160

#define PROPERTY(field) offsetof(VirtioDevice, field)

static const PropDef virtio_props[] = {
    { .name = "indirect_desc",
      .type = PROP_BOOL,
      .offset = PROPERTY(indirect_desc),
      .fallback = "on",
      .help = "offer indirect descriptors" },
    { .name = "event_idx",
      .type = PROP_BOOL,
      .offset = PROPERTY(event_idx),
      .fallback = "on",
      .help = "offer notifications by ring position" },
    { .name = "any_layout",
      .type = PROP_BOOL,
      .offset = PROPERTY(any_layout),
      .fallback = "on",
      .help = "offer arbitrary descriptor layouts to drivers from before 1.0" },
    { .name = "queue_reset",
      .type = PROP_BOOL,
      .offset = PROPERTY(queue_reset),
      .fallback = "on",
      .help = "offer the reset of single queues" },
    { .name = NULL },
};

const DeviceClass virtio_device_class = {
    .name = "virtio-device",
    .summary = "properties of all virtio devices",
    .props = virtio_props,
    .instance_bytes = sizeof(VirtioDevice),
};

/* ---- Setting up. */

static void map_changed(void *opaque)
{
    VirtioDevice *vdev = opaque;

    for (unsigned n = 0; n < vdev->queue_count; n++) {
        vdev->queue[n].desc_host = NULL;
    }
}

static bool runs(const VirtioDevice *vdev)
{
    return virtio_running(vdev) || (vdev->legacy && !vdev->broken);
}

static void run_queue(VirtioDevice *vdev, unsigned n)
{
    if (runs(vdev) && vdev->queue[n].enabled) {
        vdev->ops->queue(vdev, n);
    }
}

static void again(void *opaque)
{
    VirtioDevice *vdev = opaque;

    for (unsigned n = 0; n < vdev->queue_count; n++) {
        if (vdev->queue[n].again) {
            vdev->queue[n].again = false;
            run_queue(vdev, n);
        }
    }
}

void virtio_init(VirtioDevice *vdev, const VirtioOps *ops)
{
    MemoryListener listener = { .map_changed = map_changed, .opaque = vdev };

    g_assert(ops->config_bytes <= VIRTIO_MAX_CONFIG_BYTES);
    vdev->ops = ops;
    vdev->offered = ops->features;
    timer_init(&vdev->again, vdev->dev.env->timers, CLOCK_KIND_REALTIME, false, "virtio again",
               again, vdev);
    memory_add_listener(vdev->dev.env->memory, &listener);
}

void virtio_add_queue(VirtioDevice *vdev, unsigned max_size)
{
    g_assert(vdev->queue_count < VIRTIO_MAX_QUEUES && max_size <= VIRTQUEUE_MAX_SIZE);
    vdev->queue = g_renew(VirtQueue, vdev->queue, vdev->queue_count + 1);
    virtqueue_init(&vdev->queue[vdev->queue_count], vdev, vdev->queue_count, max_size);
    vdev->queue_count++;
}

void virtio_finish(VirtioDevice *vdev)
{
    MemoryListener listener = { .map_changed = map_changed, .opaque = vdev };

    if (!vdev->ops) {
        return;
    }
    memory_remove_listener(vdev->dev.env->memory, &listener);
    timer_finish(&vdev->again);
    g_clear_pointer(&vdev->queue, g_free);
    vdev->queue_count = 0;
    vdev->ops = NULL;
}

void virtio_attach(VirtioDevice *vdev, Device *transport, const VirtioTransportOps *ops,
                   bool legacy)
{
    vdev->transport = transport;
    vdev->transport_ops = ops;
    vdev->legacy = legacy;
}

/* ---- Trouble. */

bool virtio_running(const VirtioDevice *vdev)
{
    return !vdev->broken && (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_guest_error(VirtioDevice *vdev, const char *fmt, ...)
{
    char text[MAX_MESSAGE_BYTES];
    va_list ap;

    if (!orr_log_on(vdev->dev.env->log, LOG_GUEST_ERROR)) {
        return;
    }
    va_start(ap, fmt);
    g_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    orr_log(vdev->dev.env->log, "%s: %s\n", vdev->dev.id, text);
}

void virtio_break(VirtioDevice *vdev, const char *fmt, ...)
{
    char text[MAX_MESSAGE_BYTES];
    va_list ap;

    if (vdev->broken) {
        return;
    }
    va_start(ap, fmt);
    g_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    virtio_guest_error(vdev, "%s", text);
    trace_hw_virtio_broken(vdev->dev.id, text);
    vdev->broken = true;
    if (!vdev->legacy) {
        vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        virtio_config_changed(vdev); /* 2.1.2 */
    }
}

void virtio_config_changed(VirtioDevice *vdev)
{
    vdev->config_generation++;
    if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        vdev->isr |= VIRTIO_ISR_CONFIG;
        vdev->transport_ops->interrupt(vdev->transport, -1);
    }
}

/* ---- Features and status. */

uint64_t virtio_offered(const VirtioDevice *vdev)
{
    uint64_t offered = vdev->offered;

    if (vdev->indirect_desc) {
        offered |= VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
    }
    if (vdev->event_idx) {
        offered |= VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX);
    }
    if (vdev->legacy) {
        offered |= vdev->any_layout ? VIRTIO_FEATURE(VIRTIO_F_ANY_LAYOUT) : 0;
        return offered & UINT32_MAX;
    }
    offered |= vdev->queue_reset ? VIRTIO_FEATURE(VIRTIO_F_RING_RESET) : 0;
    return offered | VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
}

void virtio_set_features(VirtioDevice *vdev, uint64_t features)
{
    if (features & ~virtio_offered(vdev)) {
        virtio_guest_error(vdev, "features 0x%" PRIx64 " are not offered",
                           features & ~virtio_offered(vdev));
    }
    if (!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
        vdev->features = features & virtio_offered(vdev);
    }
}

/*
 * Whether the device can do with what the driver chose (2.2.2, 3.1.1 step 5). It may refuse one
 * that does not choose VERSION_1 (6.1), but xv6's is such a driver, and nothing here depends on it.
 */
static bool accept_features(VirtioDevice *vdev, uint64_t features)
{
    if (features & ~virtio_offered(vdev)) {
        virtio_guest_error(vdev, "features 0x%" PRIx64 " are refused", features);
        return false;
    }
    vdev->features = features;
    return true;
}

void virtio_set_status(VirtioDevice *vdev, uint8_t status, uint64_t features)
{
    uint8_t added = status & STATUS_BITS & ~vdev->status;

    if (status == 0) {
        virtio_reset(vdev);
        return;
    }
    if (!vdev->legacy) {
        if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !accept_features(vdev, features)) {
            added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
        }
        if ((added & VIRTIO_CONFIG_S_DRIVER_OK) &&
            !((vdev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK)) {
            virtio_guest_error(vdev, "a driver without accepted features");
            added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
        }
    }
    if (!added) {
        return;
    }
    vdev->status |= added;
    if (vdev->ops->status) {
        vdev->ops->status(vdev);
    }
    if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
        /* For a driver that notified too early. */
        for (unsigned n = 0; n < vdev->queue_count; n++) {
            run_queue(vdev, n);
        }
    }
}

void virtio_reset(VirtioDevice *vdev)
{
    for (unsigned n = 0; n < vdev->queue_count; n++) {
        virtio_queue_reset(&vdev->queue[n]);
    }
    timer_disarm(&vdev->again);
    vdev->status = 0;
    vdev->features = 0;
    vdev->broken = false;
    if (vdev->ops->reset) {
        vdev->ops->reset(vdev);
    }
    vdev->isr = 0;
    vdev->transport_ops->interrupt(vdev->transport, -1);
}

void virtio_ack(VirtioDevice *vdev, uint8_t isr)
{
    vdev->isr &= (uint8_t)~isr;
    vdev->transport_ops->interrupt(vdev->transport, -1);
}

/* ---- Queues. */

VirtQueue *virtio_queue(VirtioDevice *vdev, uint32_t n)
{
    return n < vdev->queue_count ? &vdev->queue[n] : NULL;
}

void virtio_queue_set_size(VirtQueue *vq, uint32_t size)
{
    if (vq->enabled || size == 0 || size > vq->max_size || (size & (size - 1))) {
        virtio_guest_error(vq->vdev, "queue %u: size %" PRIu32 " is not possible%s", vq->index,
                           size, vq->enabled ? " now" : "");
        return;
    }
    vq->size = size;
}

void virtio_queue_enable(VirtQueue *vq)
{
    if (!vq->enabled && !vq->vdev->broken) {
        virtqueue_restart(vq);
        vq->enabled = virtqueue_map(vq);
    }
}

void virtio_queue_disable(VirtQueue *vq)
{
    if (vq->enabled && vq->vdev->ops->stop_queue) {
        vq->vdev->ops->stop_queue(vq->vdev, vq->index);
    }
    virtqueue_restart(vq);
}

void virtio_queue_reset(VirtQueue *vq)
{
    virtio_queue_disable(vq);
    virtqueue_init(vq, vq->vdev, vq->index, vq->max_size);
}

void virtio_queue_notify(VirtioDevice *vdev, uint32_t n)
{
    trace_hw_virtio_notify(vdev->dev.id, n);
    if (n >= vdev->queue_count || !vdev->queue[n].enabled) {
        virtio_guest_error(vdev, "queue %" PRIu32 ": notified, but not set up", n);
        return;
    }
    run_queue(vdev, n);
}

void virtqueue_again(VirtQueue *vq, int64_t delay_ns)
{
    VirtioDevice *vdev = vq->vdev;
    int64_t deadline_ns = clock_get_ns(vdev->dev.env->timers, CLOCK_KIND_REALTIME) + delay_ns;

    vq->again = true;
    if (!timer_armed(&vdev->again) || deadline_ns < vdev->again_ns) {
        vdev->again_ns = deadline_ns;
        timer_arm_ns(&vdev->again, deadline_ns);
    }
}

/* ---- Configuration space. */

uint64_t virtio_config_read(VirtioDevice *vdev, uint64_t offset, unsigned size)
{
    uint8_t config[VIRTIO_MAX_CONFIG_BYTES] = { 0 };
    uint64_t value = 0;

    if (offset + size > vdev->ops->config_bytes) {
        return UINT64_MAX >> (64 - size * 8);
    }
    vdev->ops->get_config(vdev, config);
    memcpy(&value, config + offset, size);
    return GUINT64_FROM_LE(value);
}

void virtio_config_write(VirtioDevice *vdev, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset + size > vdev->ops->config_bytes || !vdev->ops->set_config) {
        virtio_guest_error(vdev, "configuration byte %" PRIu64 " is not writable", offset);
        return;
    }
    vdev->ops->set_config(vdev, (unsigned)offset, size, value);
}
