/* SPDX-License-Identifier: MIT */
/*
 * The virtio transport and its devices, driven as a guest's driver does: negotiation, disk, random
 * numbers. Consoles have test-virtio-console.c, and what a hostile driver can do is in
 * test-virtio-rings.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orrery/impl/blockdev.h"
#include "virtio-driver.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define DISK_BYTES (UINT64_C(1) << 20)
#define SECTOR 512

/* ---- Transport. */

static void test_empty_slot(void **state)
{
    Rig *rig = rig_new(false);

    assert_int_equal(rig_read(rig, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_ID), 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_VENDOR_ID), 0x554d4551);
    for (hwaddr offset = 0; offset < 0x200; offset += 4) {
        rig_write(rig, offset, 0xffffffff);
        if (offset > VIRTIO_MMIO_VENDOR_ID) {
            assert_int_equal(rig_read(rig, offset), 0);
        }
    }
    rig_free(rig);
}

static void test_modern(void **state)
{
    Rig *rig = rig_new(false);
    uint64_t offered;
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_ID), 4);
    offered = rig_offered(rig);
    assert_true(offered & FEATURE(VIRTIO_F_VERSION_1));
    assert_true(offered & FEATURE(VIRTIO_RING_F_EVENT_IDX));
    assert_true(offered & FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
    assert_false(offered & FEATURE(VIRTIO_F_RING_PACKED));
    assert_false(offered & FEATURE(VIRTIO_F_IN_ORDER));
    rig_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_FEATURES), 0);

    /* Not offered: FEATURES_OK does not stick, and neither does DRIVER_OK. */
    rig_negotiate(rig, offered | FEATURE(VIRTIO_F_RING_PACKED));
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_STATUS), 3);
    rig_write(rig, VIRTIO_MMIO_STATUS, 15);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_STATUS), 3);
    /* A better choice is possible without a reset, and bits do not go away. */
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(offered >> 32));
    rig_write(rig, VIRTIO_MMIO_STATUS, 8);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_STATUS), 11);

    /* Queues. */
    rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_READY), 0);
    rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 8);
    rig_setup_queue(rig, &q, 0, 8);
    rig_write(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x123);
    rig_write(rig, VIRTIO_MMIO_QUEUE_NUM, 4);
    rig_driver_ok(rig);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 64, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 64);
    rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_READY), 0);

    /* Shared memory: none. Version 1's registers: not there. */
    rig_write(rig, VIRTIO_MMIO_SHM_SEL, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_PFN), 0);
    rig_free(rig);
}

static void test_notify_before_driver_ok(void **state)
{
    Rig *rig = rig_new(false);
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, &q, 0, 8);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 64, true }, 1);
    rig_kick(rig, &q);
    rig_pump(rig);
    assert_int_equal(rig_used_idx(rig, &q), 0); /* 2.1.2 */
    rig_driver_ok(rig);
    assert_int_equal(rig_wait(rig, &q, NULL), 64);
    rig_free(rig);
}

static void test_legacy(void **state)
{
    Rig *rig = rig_new(true);
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_VERSION), 1);
    assert_int_equal(rig_offered(rig) >> 32, 0);
    assert_true(rig_offered(rig) & FEATURE(VIRTIO_F_ANY_LAYOUT));
    /* Linux sets the page size, then resets the device. */
    rig_write(rig, VIRTIO_MMIO_GUEST_PAGE_SIZE, 8192);
    rig_negotiate(rig, rig_offered(rig));
    rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
    rig_write(rig, VIRTIO_MMIO_QUEUE_NUM, 8);
    rig_write(rig, VIRTIO_MMIO_QUEUE_ALIGN, 4096);
    rig_write(rig, VIRTIO_MMIO_QUEUE_PFN, (uint32_t)((RIG_RAM_BASE + 0x2000) / 8192));
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_PFN), (RIG_RAM_BASE + 0x2000) / 8192);
    q = (RigQueue){ .size = 8,
                    .desc = RIG_RAM_BASE + 0x2000,
                    .avail = RIG_RAM_BASE + 0x2080,
                    .used = RIG_RAM_BASE + 0x3000 };
    /* Such drivers may use the device before they say that they are there. */
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 64, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 64);
    rig_driver_ok(rig);
    rig_write(rig, VIRTIO_MMIO_QUEUE_PFN, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_PFN), 0);
    rig_setup_queue(rig, &q, 0, 8);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 32, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 32);
    rig_free(rig);
}

static void test_access_sizes(void **state)
{
    Rig *rig = rig_new(false);
    MemSection section;
    uint64_t value;

    rig_add_disk(rig, DISK_BYTES, "");
    rig_add(rig, "virtio-blk-device,drive=d0");
    /* Registers by 32 bits only; the configuration space in any width. */
    assert_true(memory_find(rig->memory, RIG_SLOT_BASE, &section));
    assert_int_equal(mmio_read(&section, 0, 1, &value), MEMTX_OK);
    assert_int_equal(value, 0);
    assert_int_equal(mmio_read(&section, 0, 8, &value), MEMTX_OK);
    assert_int_equal(value, 0);
    assert_int_equal(rig_config(rig, 0, 8), DISK_BYTES / SECTOR);
    assert_int_equal(rig_config(rig, 1, 1), DISK_BYTES / SECTOR >> 8);
    assert_int_equal(rig_config(rig, 0, 2), DISK_BYTES / SECTOR);
    assert_int_equal(rig_config(rig, 0x80, 4), 0xffffffff);
    assert_int_equal(rig_config(rig, 0xf8, 8), UINT64_MAX);
    assert_false(memory_find(rig->memory, RIG_SLOT_BASE + 0x200, &section));
    rig_free(rig);
}

static void test_interrupt(void **state)
{
    Rig *rig = rig_new(false);
    RigQueue q;

    rig_add(rig, "virtio-rng-device,event_idx=off");
    rig_start(rig, &q, 8);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 16, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig->level, 1);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
    rig_write(rig, VIRTIO_MMIO_INTERRUPT_ACK, 2);
    assert_int_equal(rig->level, 1);
    rig_write(rig, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(rig->level, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    /* A notification without buffers is none. */
    rig_kick(rig, &q);
    assert_int_equal(rig->level, 0);
    rig_put_u16(rig, q.avail, VRING_AVAIL_F_NO_INTERRUPT);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 16, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_used_idx(rig, &q), 2);
    assert_int_equal(rig->level, 0);
    /* Reset takes the line down. */
    rig_put_u16(rig, q.avail, 0);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 16, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig->level, 1);
    rig_write(rig, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(rig->level, 0);
    rig_free(rig);
}

/* Interrupts and notifications by position, over more than a wrap of the 16-bit indices. */
static void test_event_idx(void **state)
{
    Rig *rig = rig_new(false);
    unsigned interrupts = 0;
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    rig_start(rig, &q, 8);
    for (unsigned i = 0; i < 70000; i++) {
        hwaddr avail_event = q.used + 4 + 8 * q.size, used_event = q.avail + 4 + 2 * q.size;

        /* Ask for an interrupt at every fourth. */
        rig_put_u16(rig, used_event, (uint16_t)(i | 3));
        if (i) { /* before the device has looked the first time, its wish means nothing */
            assert_int_equal(rig_u16(rig, avail_event), (uint16_t)i);
        }
        rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 8, true }, 1);
        rig_kick(rig, &q);
        assert_int_equal(rig_wait(rig, &q, NULL), 8);
        if (rig->level) {
            rig_write(rig, VIRTIO_MMIO_INTERRUPT_ACK, 1);
            interrupts++;
            assert_true(i == 0 || i % 4 == 3);
        }
    }
    assert_int_equal(interrupts, 70000 / 4 + 1); /* the first is not known to be unwanted */
    rig_free(rig);
}

/* A queue may be stopped, and used again from its first entry. */
static void test_queue_reset(void **state)
{
    Rig *rig = rig_new(false);
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    assert_true(rig_offered(rig) & FEATURE(VIRTIO_F_RING_RESET));
    rig_start(rig, &q, 8);
    for (unsigned i = 0; i < 3; i++) {
        rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 8, true }, 1);
        rig_kick(rig, &q);
        assert_int_equal(rig_wait(rig, &q, NULL), 8);
        rig_write(rig, 0x0c0, 1);
        assert_int_equal(rig_read(rig, 0x0c0), 0);
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_READY), 0);
        rig_kick(rig, &q);
        rig_setup_queue(rig, &q, 0, 4);
    }
    rig_free(rig);
}

/* The rings stay where they are while the map around them changes. */
static void test_map_changes(void **state)
{
    Rig *rig = rig_new(false);
    GError *error = NULL;
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    rig_start(rig, &q, 8);
    for (unsigned i = 0; i < 4; i++) {
        assert_non_null(
            memory_add_ram(rig->memory, "more", 0x20000000 + i * 0x10000, 0x1000, false, &error));
        rig_add_chain(rig, &q, &(RigBuf){ 0x20000000 + i * 0x10000, 8, true }, 1);
        rig_kick(rig, &q);
        assert_int_equal(rig_wait(rig, &q, NULL), 8);
    }
    rig_free(rig);
}

/* A buffer across two regions of RAM is as good as any. */
static void test_adjacent_ram(void **state)
{
    const hwaddr end = RIG_RAM_BASE + RIG_RAM_BYTES;
    Rig *rig = rig_new(false);
    GError *error = NULL;
    RigQueue q;

    assert_non_null(memory_add_ram(rig->memory, "more", end, 0x1000, false, &error));
    rig_add(rig, "virtio-rng-device");
    rig_start(rig, &q, 8);
    rig_add_chain(rig, &q, &(RigBuf){ end - 8, 16, true }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 16);
    assert_false(rig_broken(rig));
    rig_free(rig);
}

/* ---- Disk. */

static unsigned syncs; /* how often a drive was asked to make its writes durable */

int fdatasync(int fd)
{
    syncs++;
    return 0;
}

#define HEADER (RIG_DATA - 0x1000)
#define STATUS (RIG_DATA - 0x800)

static void put_header(Rig *rig, uint32_t type, uint64_t sector)
{
    struct virtio_blk_outhdr header = { .type = GUINT32_TO_LE(type),
                                        .sector = GUINT64_TO_LE(sector) };

    memcpy(rig_ptr(rig, HEADER), &header, sizeof(header));
    *(uint8_t *)rig_ptr(rig, STATUS) = 0xaa;
}

/* One request with one buffer of data, or none; returns the status. */
static uint8_t request(Rig *rig, RigQueue *q, uint32_t type, uint64_t sector, uint32_t bytes)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    RigBuf bufs[3] = { { HEADER, 16, false }, { RIG_DATA, bytes, in }, { STATUS, 1, true } };

    put_header(rig, type, sector);
    if (!bytes) {
        bufs[1] = bufs[2];
    }
    rig_add_chain(rig, q, bufs, bytes ? 3 : 2);
    rig_kick(rig, q);
    assert_int_equal(rig_wait(rig, q, NULL), (in ? bytes : 0) + 1);
    return *(uint8_t *)rig_ptr(rig, STATUS);
}

static Rig *disk_rig(bool legacy, const char *drive, const char *device, RigQueue *q)
{
    Rig *rig = rig_new(legacy);
    char *options = g_strdup_printf("virtio-blk-device,drive=d0%s", device);

    rig_add_disk(rig, DISK_BYTES, drive);
    rig_add(rig, options);
    g_free(options);
    rig_start(rig, q, 16);
    return rig;
}

static void disk_contents(Rig *rig, uint64_t offset, void *bytes, size_t count)
{
    int fd = open(rig->disk, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, count, (off_t)offset), count);
    close(fd);
}

static void write_and_read(Rig *rig, RigQueue *q)
{
    bool write_cache = rig_config(rig, offsetof(struct virtio_blk_config, wce), 1);
    uint8_t *data = rig_ptr(rig, RIG_DATA), disk[2 * SECTOR];

    for (unsigned i = 0; i < sizeof(disk); i++) {
        data[i] = (uint8_t)(i * 7);
    }
    syncs = 0;
    assert_int_equal(request(rig, q, VIRTIO_BLK_T_OUT, 3, sizeof(disk)), VIRTIO_BLK_S_OK);
    assert_int_equal(syncs, !write_cache);
    disk_contents(rig, 3 * SECTOR, disk, sizeof(disk));
    assert_memory_equal(disk, data, sizeof(disk));
    assert_int_equal(request(rig, q, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(syncs, 1 + !write_cache);
    memset(data, 0, sizeof(disk));
    assert_int_equal(request(rig, q, VIRTIO_BLK_T_IN, 3, sizeof(disk)), VIRTIO_BLK_S_OK);
    assert_memory_equal(disk, data, sizeof(disk));
}

static void test_blk(void **state)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        RigQueue q;
        Rig *rig = disk_rig(legacy, "", "", &q);

        assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_ID), 2);
        assert_int_equal(rig_config(rig, 0, 8), DISK_BYTES / SECTOR);
        write_and_read(rig, &q);
        rig_free(rig);
    }
}

static void test_blk_errors(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, "", "", &q);
    uint64_t last = DISK_BYTES / SECTOR - 1;

    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, last, SECTOR), VIRTIO_BLK_S_OK);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, last, 2 * SECTOR), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_OUT, last + 1, SECTOR), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, UINT64_MAX, SECTOR), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, UINT64_MAX / SECTOR, SECTOR),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 0, SECTOR - 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(request(rig, &q, 77, 0, SECTOR), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_SCSI_CMD, 0, SECTOR), VIRTIO_BLK_S_UNSUPP);
    assert_false(rig_broken(rig));
    rig_free(rig);
}

static void test_blk_readonly(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, ",readonly=on", "", &q);

    assert_true(rig_offered(rig) & FEATURE(VIRTIO_BLK_F_RO));
    assert_false(rig_offered(rig) & FEATURE(VIRTIO_BLK_F_DISCARD));
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 0, SECTOR), VIRTIO_BLK_S_OK);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_OUT, 0, SECTOR), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
    rig_free(rig);
}

static void test_blk_id(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, "", ",serial=DISK-0123456789ABCDEF", &q);
    char *data = rig_ptr(rig, RIG_DATA);

    memset(data, 0x55, 64);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES),
                     VIRTIO_BLK_S_OK);
    assert_memory_equal(data, "DISK-0123456789ABCDEF", 20);
    assert_int_equal(data[20], 0x55);
    /* A driver with less room gets less. */
    memset(data, 0x55, 64);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_GET_ID, 0, 5), VIRTIO_BLK_S_OK);
    assert_memory_equal(data, "DISK-\x55", 6);
    rig_free(rig);
}

static uint8_t range(Rig *rig, RigQueue *q, uint32_t type, uint64_t sector, uint32_t sectors,
                     uint32_t flags)
{
    struct virtio_blk_discard_write_zeroes range = { .sector = GUINT64_TO_LE(sector),
                                                     .num_sectors = GUINT32_TO_LE(sectors),
                                                     .flags = GUINT32_TO_LE(flags) };

    memcpy(rig_ptr(rig, RIG_DATA), &range, sizeof(range));
    return request(rig, q, type, 0, sizeof(range));
}

static void test_blk_ranges(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, ",discard=unmap", ",max-write-zeroes-sectors=8", &q);
    uint8_t bytes[4 * SECTOR], zeroes[2 * SECTOR] = { 0 };

    assert_true(rig_offered(rig) & FEATURE(VIRTIO_BLK_F_DISCARD));
    assert_true(rig_offered(rig) & FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
    memset(rig_ptr(rig, RIG_DATA), 0xee, sizeof(bytes));
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_OUT, 8, sizeof(bytes)), VIRTIO_BLK_S_OK);
    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_WRITE_ZEROES, 9, 2, 1), VIRTIO_BLK_S_OK);
    disk_contents(rig, 8 * SECTOR, bytes, sizeof(bytes));
    assert_int_equal(bytes[SECTOR - 1], 0xee);
    assert_memory_equal(bytes + SECTOR, zeroes, sizeof(zeroes));
    assert_int_equal(bytes[3 * SECTOR], 0xee);
    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_OK);

    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_WRITE_ZEROES, 0, 9, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_DISCARD, DISK_BYTES / SECTOR, 1, 0),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_DISCARD, UINT64_MAX, UINT32_MAX, 0),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(range(rig, &q, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_DISCARD, 0, 32), VIRTIO_BLK_S_UNSUPP);
    rig_free(rig);
}

/* Header, data and status cut anywhere, and in an indirect table. */
static void test_blk_layout(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, "", "", &q);
    RigBuf pieces[] = { { HEADER, 3, false },
                        { HEADER + 3, 13, false },
                        { RIG_DATA, 100, true },
                        { RIG_DATA + 0x1000, SECTOR - 100 + 1, true } };
    hwaddr table = RIG_DATA - 0x2001; /* tables need no alignment */
    uint8_t *data = rig_ptr(rig, RIG_DATA);

    for (unsigned i = 0; i < SECTOR; i++) {
        data[i] = (uint8_t)i;
    }
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_OUT, 5, SECTOR), VIRTIO_BLK_S_OK);
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        memset(data, 0xaa, 0x2000);
        put_header(rig, VIRTIO_BLK_T_IN, 5);
        if (indirect) {
            for (unsigned i = 0; i < 4; i++) {
                rig_put_desc(rig, table, i, pieces[i].addr, pieces[i].bytes,
                             (pieces[i].writable ? VRING_DESC_F_WRITE : 0) |
                                 (i < 3 ? VRING_DESC_F_NEXT : 0),
                             (uint16_t)(i + 1));
            }
            rig_put_desc(rig, q.desc, 0, table, 4 * 16, VRING_DESC_F_INDIRECT, 0);
            rig_add_head(rig, &q, 0);
        } else {
            rig_add_chain(rig, &q, pieces, 4);
        }
        rig_kick(rig, &q);
        assert_int_equal(rig_wait(rig, &q, NULL), SECTOR + 1);
        for (unsigned i = 0; i < SECTOR; i++) {
            assert_int_equal(data[i < 100 ? i : 0x1000 + i - 100], (uint8_t)i);
        }
        assert_int_equal(data[0x1000 + SECTOR - 100], VIRTIO_BLK_S_OK);
        assert_int_equal(data[0x1000 + SECTOR - 100 + 1], 0xaa);
    }
    /* Normal descriptors, then a table (2.7.5.3.2). */
    rig_put_desc(rig, q.desc, 1, HEADER, 3, VRING_DESC_F_NEXT, 0);
    rig_put_desc(rig, q.desc, 0, table + 16, 3 * 16, VRING_DESC_F_INDIRECT, 0);
    for (unsigned i = 1; i < 4; i++) {
        rig_put_desc(rig, table, i, pieces[i].addr, pieces[i].bytes,
                     (pieces[i].writable ? VRING_DESC_F_WRITE : 0) |
                         (i < 3 ? VRING_DESC_F_NEXT : 0),
                     (uint16_t)i);
    }
    rig_add_head(rig, &q, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), SECTOR + 1);
    assert_false(rig_broken(rig));
    rig_free(rig);
}

/* Many on their way at once, and each comes back once. */
static void test_blk_many(void **state)
{
    Rig *rig = rig_new(false);
    const unsigned count = 64;
    uint64_t back = 0;
    RigQueue q;

    rig_add_disk(rig, DISK_BYTES, "");
    rig_add(rig, "virtio-blk-device,drive=d0,queue-size=256");
    rig_start(rig, &q, 256);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < count; i++) {
            struct virtio_blk_outhdr header = {
                .type = GUINT32_TO_LE(round ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT),
                .sector = GUINT64_TO_LE((uint64_t)i * 8),
            };
            hwaddr at = RIG_DATA + (hwaddr)i * 0x2000;
            RigBuf bufs[] = { { at, 16, false },
                              { at + 0x1000, 4096, round },
                              { at + 16, 1, true } };

            memcpy(rig_ptr(rig, at), &header, sizeof(header));
            memset(rig_ptr(rig, at + 16), 0xaa, 1);
            memset(rig_ptr(rig, at + 0x1000), round ? 0 : (int)i + 1, 4096);
            rig_add_chain(rig, &q, bufs, 3);
        }
        rig_kick(rig, &q);
        back = 0;
        for (unsigned i = 0; i < count; i++) {
            uint32_t head;

            rig_wait(rig, &q, &head);
            head = (head - round * 3 * count) % 256;
            assert_int_equal(head % 3, 0);
            head /= 3;
            assert_false(back & FEATURE(head));
            back |= FEATURE(head);
            assert_int_equal(*(uint8_t *)rig_ptr(rig, RIG_DATA + head * 0x2000 + 16), 0);
        }
        assert_int_equal(rig_used_idx(rig, &q), count * (round + 1));
    }
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *data = rig_ptr(rig, RIG_DATA + i * 0x2000 + 0x1000);

        assert_int_equal(data[0], i + 1);
        assert_int_equal(data[4095], i + 1);
    }
    rig_free(rig);
}

/* A reset waits for what is on its way: nothing is written to the guest's memory after it. */
static void test_blk_reset(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, "", "", &q);
    RigBuf bufs[] = { { HEADER, 16, false }, { RIG_DATA, 0x80000, true }, { STATUS, 1, true } };

    for (unsigned how = 0; how < 3; how++) {
        put_header(rig, VIRTIO_BLK_T_IN, 0);
        rig_add_chain(rig, &q, bufs, 3);
        rig_kick(rig, &q);
        if (how == 0) {
            rig_write(rig, VIRTIO_MMIO_STATUS, 0);
        } else if (how == 1) {
            rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 0);
        } else {
            device_env_reset(&rig->env);
        }
        memset(rig_ptr(rig, RIG_RAM_BASE), 0x77, 0x10000);
        memset(rig_ptr(rig, RIG_DATA), 0x77, 0x80000);
        rig_pump(rig);
        for (unsigned i = 0; i < 0x10000; i++) {
            assert_int_equal(rig->ram[i], 0x77);
        }
        for (unsigned i = 0; i < 0x80000; i++) {
            assert_int_equal(((uint8_t *)rig_ptr(rig, RIG_DATA))[i], 0x77);
        }
        rig_start(rig, &q, 16);
        write_and_read(rig, &q);
    }
    rig_free(rig);
}

/* A device that goes while it works, and comes back. */
static void test_blk_unplug(void **state)
{
    RigQueue q;
    Rig *rig = rig_new(false);
    RigBuf bufs[] = { { HEADER, 16, false }, { RIG_DATA, 0x80000, true }, { STATUS, 1, true } };

    rig_add_disk(rig, DISK_BYTES, "");
    for (unsigned i = 0; i < 3; i++) {
        Device *dev = rig_add(rig, "virtio-blk-device,drive=d0");

        rig_start(rig, &q, 16);
        write_and_read(rig, &q);
        put_header(rig, VIRTIO_BLK_T_IN, 0);
        rig_add_chain(rig, &q, bufs, 3);
        rig_kick(rig, &q);
        device_remove(dev);
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_DEVICE_ID), 0);
        assert_int_equal(rig->level, 0);
    }
    rig_free(rig);
}

static void test_blk_write_cache(void **state)
{
    const unsigned wce = offsetof(struct virtio_blk_config, wce);
    RigQueue q;
    Rig *rig = disk_rig(false, "", "", &q);

    assert_int_equal(rig_config(rig, wce, 1), 1);
    rig_set_config(rig, wce, 1, 0);
    assert_int_equal(rig_config(rig, wce, 1), 0);
    write_and_read(rig, &q);
    rig_set_config(rig, 0, 8, 0);
    assert_int_equal(rig_config(rig, 0, 8), DISK_BYTES / SECTOR);
    /* A driver that knows neither flush nor this field gets durable writes; others their own. */
    rig_negotiate(rig, FEATURE(VIRTIO_F_VERSION_1));
    rig_setup_queue(rig, &q, 0, 16);
    assert_int_equal(rig_config(rig, wce, 1), 1);
    rig_driver_ok(rig);
    assert_int_equal(rig_config(rig, wce, 1), 0);
    write_and_read(rig, &q);
    rig_negotiate(rig, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH));
    rig_driver_ok(rig);
    assert_int_equal(rig_config(rig, wce, 1), 1);
    rig_free(rig);
}

static void test_blk_geometry(void **state)
{
    RigQueue q;
    Rig *rig = disk_rig(false, "",
                        ",logical_block_size=4096,physical_block_size=8192,num-queues=3,"
                        "min_io_size=8192,opt_io_size=65536,discard_granularity=16384",
                        &q);

    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, blk_size), 4), 4096);
    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, physical_block_exp), 1), 1);
    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, min_io_size), 2), 2);
    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, opt_io_size), 4), 16);
    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, num_queues), 2), 3);
    assert_int_equal(
        rig_config(rig, offsetof(struct virtio_blk_config, discard_sector_alignment), 4), 32);
    assert_int_equal(rig_config(rig, offsetof(struct virtio_blk_config, seg_max), 4), 254);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 8, 4096), VIRTIO_BLK_S_OK);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 7, 4096), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 8, 512), VIRTIO_BLK_S_IOERR);
    rig_setup_queue(rig, &q, 2, 16);
    assert_int_equal(request(rig, &q, VIRTIO_BLK_T_IN, 8, 4096), VIRTIO_BLK_S_OK);
    rig_free(rig);
}

static void refused(Rig *rig, const char *options, const char *why)
{
    GError *error = NULL;

    assert_null(device_add(&rig->env, options, &error));
    if (!strstr(error->message, why)) {
        fail_msg("'%s' is refused with: %s", options, error->message);
    }
    g_error_free(error);
}

static void test_refused(void **state)
{
    Rig *rig = rig_new(false);

    rig_add_disk(rig, DISK_BYTES, "");
    refused(rig, "virtio-blk-device", "needs a drive");
    refused(rig, "virtio-blk-device,drive=none", "no drive 'none'");
    refused(rig, "virtio-blk-device,drive=d0,queue-size=100", "power of two");
    refused(rig, "virtio-blk-device,drive=d0,logical_block_size=1000", "powers of two");
    refused(rig, "virtio-blk-device,drive=d0,logical_block_size=4096,physical_block_size=512",
            "below logical_block_size");
    refused(rig, "virtio-blk-device,drive=d0,min_io_size=1000", "multiples of the block size");
    refused(rig, "virtio-blk-device,drive=d0,discard_granularity=1000", "a multiple of the block");
    refused(rig, "virtio-rng-device,max-bytes=0", "max-bytes");
    refused(rig, "virtconsole", "no bus of type virtio-serial-bus");
    rig_add(rig, "virtio-serial-device,max_ports=2");
    refused(rig, "virtio-rng-device", "no bus is left");
    refused(rig, "virtserialport,nr=0", "kept for a virtconsole");
    refused(rig, "virtserialport,nr=2", "ports 0 to 1");
    rig_add(rig, "virtserialport,id=p1");
    refused(rig, "virtserialport,nr=1", "is that of 'p1'");
    refused(rig, "virtserialport", "no port is left");
    refused(rig, "virtconsole,chardev=nothing", "no chardev 'nothing'");
    rig_free(rig);
}

/* ---- Random numbers. */

static void test_rng(void **state)
{
    Rig *rig = rig_new(false);
    uint8_t *data = rig_ptr(rig, RIG_DATA), zeroes[64] = { 0 };
    RigQueue q;

    rig_add(rig, "virtio-rng-device");
    rig_start(rig, &q, 8);
    rig_add_chain(rig, &q, (RigBuf[]){ { RIG_DATA, 64, true }, { RIG_DATA + 4096, 64, true } }, 2);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 128);
    assert_memory_not_equal(data, zeroes, 64);
    assert_memory_not_equal(data + 4096, zeroes, 64);
    assert_memory_equal(data + 64, zeroes, 64);
    /* Large ones are filled in part, and what is only to be read not at all. */
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 0x400000, true }, 1);
    rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 64, false }, 1);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 65536);
    assert_int_equal(rig_wait(rig, &q, NULL), 0);
    rig_free(rig);
}

static void test_rng_quota(void **state)
{
    Rig *rig = rig_new(false);
    RigQueue q;

    rig_add(rig, "virtio-rng-device,max-bytes=40,period=20");
    rig_start(rig, &q, 8);
    for (unsigned i = 0; i < 3; i++) {
        rig_add_chain(rig, &q, &(RigBuf){ RIG_DATA, 32, true }, 1);
    }
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 32);
    assert_int_equal(rig_wait(rig, &q, NULL), 8);
    assert_int_equal(rig_wait(rig, &q, NULL), 32); /* in the next period */
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_slot),
        cmocka_unit_test(test_modern),
        cmocka_unit_test(test_notify_before_driver_ok),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_access_sizes),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_event_idx),
        cmocka_unit_test(test_queue_reset),
        cmocka_unit_test(test_map_changes),
        cmocka_unit_test(test_adjacent_ram),
        cmocka_unit_test(test_blk),
        cmocka_unit_test(test_blk_errors),
        cmocka_unit_test(test_blk_readonly),
        cmocka_unit_test(test_blk_id),
        cmocka_unit_test(test_blk_ranges),
        cmocka_unit_test(test_blk_layout),
        cmocka_unit_test(test_blk_many),
        cmocka_unit_test(test_blk_reset),
        cmocka_unit_test(test_blk_unplug),
        cmocka_unit_test(test_blk_write_cache),
        cmocka_unit_test(test_blk_geometry),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rng),
        cmocka_unit_test(test_rng_quota),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
