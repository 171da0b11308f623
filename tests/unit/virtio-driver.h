/* SPDX-License-Identifier: MIT */
/*
 * A driver for virtio devices, in C: it builds rings in a machine's RAM and works the registers of
 * one virtio-mmio transport. The idea to hold: `ram` is the guest's memory as the test sees it, so
 * a test can write any nonsense into it; the helpers are what a well-behaved driver does.
 */
#ifndef ORRERY_TESTS_VIRTIO_DRIVER_H
#define ORRERY_TESTS_VIRTIO_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "orrery/impl/device.h"
#include "orrery/impl/log.h"

#define RIG_RAM_BASE UINT64_C(0x80000000)
#define RIG_RAM_BYTES (UINT64_C(16) << 20)
#define RIG_ROM_BASE UINT64_C(0x1000)
#define RIG_ROM_BYTES UINT64_C(0x1000)
#define RIG_SLOT_BASE UINT64_C(0x10001000)

/* Rings are put at the bottom of RAM, what buffers hold above. */
#define RIG_RING_BYTES UINT64_C(0x8000)
#define RIG_DATA (RIG_RAM_BASE + 0x800000)

typedef struct RigQueue {
    uint32_t index;
    unsigned size;
    hwaddr desc, avail, used;
    uint16_t next_desc, next_avail, seen_used;
} RigQueue;

typedef struct RigBuf {
    hwaddr addr;
    uint32_t bytes;
    bool writable;
} RigBuf;

typedef struct Rig {
    Memory *memory;
    Timers *timers;
    Cpus *cpus;
    LogSet log;
    DeviceEnv env;
    uint8_t *ram;
    Device *slot, *dev;
    IrqLine line;
    int level;
    unsigned raised; /* times the line went up */
    bool legacy;
    char *disk; /* a scratch file */
} Rig;

/* A machine with one transport and nothing on it. */
Rig *rig_new(bool legacy);
void rig_free(Rig *rig);

/* A scratch file of this size as drive "d0"; more is appended to the options. */
void rig_add_disk(Rig *rig, uint64_t bytes, const char *more);

/* -device, which must go through. */
Device *rig_add(Rig *rig, const char *options);

uint32_t rig_read(Rig *rig, hwaddr offset);
void rig_write(Rig *rig, hwaddr offset, uint32_t value);
uint64_t rig_config(Rig *rig, unsigned offset, unsigned size);
void rig_set_config(Rig *rig, unsigned offset, unsigned size, uint64_t value);
uint64_t rig_offered(Rig *rig);

/* Reset, acknowledge, features, FEATURES_OK; queues and DRIVER_OK are the caller's. */
void rig_negotiate(Rig *rig, uint64_t features);
void rig_driver_ok(Rig *rig);
void rig_setup_queue(Rig *rig, RigQueue *q, uint32_t index, unsigned size);

/* negotiate with all that is offered, queue 0 of this size, DRIVER_OK. */
void rig_start(Rig *rig, RigQueue *q, unsigned size);

/* The guest's memory. */
void *rig_ptr(Rig *rig, hwaddr addr);
uint16_t rig_u16(Rig *rig, hwaddr addr);
void rig_put_u16(Rig *rig, hwaddr addr, uint16_t value);
void rig_put_desc(Rig *rig, hwaddr table, unsigned n, hwaddr addr, uint32_t bytes, uint16_t flags,
                  uint16_t next);

/* Makes a chain of the buffers available and returns its head; kick tells the device. */
uint16_t rig_add_chain(Rig *rig, RigQueue *q, const RigBuf *bufs, unsigned count);
void rig_add_head(Rig *rig, RigQueue *q, uint16_t head);
void rig_kick(Rig *rig, const RigQueue *q);

uint16_t rig_used_idx(Rig *rig, const RigQueue *q);

/* Runs the main loop until an element comes back; returns its length and head. */
uint32_t rig_wait(Rig *rig, RigQueue *q, uint32_t *head);
void rig_pump(Rig *rig); /* what the main loop has to do now */
bool rig_broken(Rig *rig);

#endif
