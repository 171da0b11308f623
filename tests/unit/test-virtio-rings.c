/* SPDX-License-Identifier: MIT */
/*
 * What a driver must not do to virtqueues, and what becomes of it. The idea to hold: every bad ring
 * ends in one of two ways, the device goes on or it asks for a reset, and after a reset it works.
 * First each rule by itself, then rings and registers at random, then a guest that writes all over
 * the rings while the device reads them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "orrery/impl/chardev.h"
#include "virtio-driver.h"

#define SIZE 8
#define TABLE (RIG_DATA - 0x10000)
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* A request that a working disk answers; the ring is as new. */
static void works(Rig *rig)
{
    static const struct virtio_blk_outhdr header = { .type = GUINT32_TO_LE(VIRTIO_BLK_T_IN) };
    RigBuf bufs[] = { { RIG_DATA, 16, false }, { RIG_DATA + 16, 513, true } };
    RigQueue q;

    rig_start(rig, &q, SIZE);
    memcpy(rig_ptr(rig, RIG_DATA), &header, sizeof(header));
    memset(rig_ptr(rig, RIG_DATA + 16), 0xaa, 513);
    rig_add_chain(rig, &q, bufs, 2);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 513);
    assert_int_equal(*(uint8_t *)rig_ptr(rig, RIG_DATA + 16 + 512), VIRTIO_BLK_S_OK);
    assert_false(rig_broken(rig));
}

static Rig *disk_rig(void)
{
    Rig *rig = rig_new(false);

    rig_add_disk(rig, 1 << 20, "");
    rig_add(rig, "virtio-blk-device,drive=d0");
    return rig;
}

/* ---- Rule by rule. Each makes one mistake in an otherwise good ring; head 0 is made available. */

typedef void Mistake(Rig *rig, RigQueue *q);

static void put(Rig *rig, RigQueue *q, unsigned n, hwaddr addr, uint32_t bytes, uint16_t flags,
                uint16_t next)
{
    rig_put_desc(rig, q->desc, n, addr, bytes, flags, next);
}

static void loop_of_one(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, 0);
}

static void loop_of_three(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, q, 1, RIG_DATA, 16, NEXT, 2);
    put(rig, q, 2, RIG_DATA, 16, NEXT, 1);
}

static void next_outside(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, SIZE);
}

static void next_far_outside(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, 0xffff);
}

static void head_outside(Rig *rig, RigQueue *q)
{
    rig_put_u16(rig, q->avail + 4, SIZE);
}

static void no_bytes(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 0, 0, 0);
}

static void below_ram(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, 0, 16, 0, 0);
}

static void beyond_ram(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_RAM_BASE + RIG_RAM_BYTES - 8, 16, 0, 0);
}

static void wraps_around(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, UINT64_MAX - 7, 16, 0, 0);
}

static void huge(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, UINT32_MAX, WRITE, 0);
}

static void own_registers(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, q, 1, RIG_SLOT_BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, WRITE, 0);
}

static void rom(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, q, 1, RIG_ROM_BASE, 16, WRITE, 0);
}

static void read_after_write(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, WRITE | NEXT, 1);
    put(rig, q, 1, RIG_DATA, 16, 0, 0);
}

static void no_status(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 16, 0, 0);
}

static void short_header(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_DATA, 15, NEXT, 1);
    put(rig, q, 1, RIG_DATA, 513, WRITE, 0);
}

static void table_in_table(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 32, INDIRECT, 0);
    rig_put_desc(rig, TABLE, 0, TABLE, 32, INDIRECT, 0);
}

static void table_with_next(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 16, INDIRECT | NEXT, 1);
    rig_put_desc(rig, TABLE, 0, RIG_DATA, 16, 0, 0);
}

static void table_of_no_bytes(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 0, INDIRECT, 0);
}

static void table_not_whole(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 24, INDIRECT, 0);
}

static void table_outside_ram(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_SLOT_BASE, 16, INDIRECT, 0);
}

static void table_half_outside_ram(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, RIG_RAM_BASE + RIG_RAM_BYTES - 16, 32, INDIRECT, 0);
}

static void loop_in_table(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 32, INDIRECT, 0);
    rig_put_desc(rig, TABLE, 0, RIG_DATA, 16, NEXT, 1);
    rig_put_desc(rig, TABLE, 1, RIG_DATA, 16, NEXT, 0);
}

static void next_outside_table(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 32, INDIRECT, 0);
    rig_put_desc(rig, TABLE, 0, RIG_DATA, 16, NEXT, 2);
    rig_put_desc(rig, TABLE, 2, RIG_DATA, 16, WRITE, 0);
}

static void too_many_buffers(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 1025 * 16, INDIRECT, 0);
    for (unsigned i = 0; i < 1025; i++) {
        rig_put_desc(rig, TABLE, i, RIG_DATA, 16, i == 1024 ? 0 : NEXT, (uint16_t)(i + 1));
    }
}

static void more_than_4_gib(Rig *rig, RigQueue *q)
{
    put(rig, q, 0, TABLE, 1024 * 16, INDIRECT, 0);
    for (unsigned i = 0; i < 1024; i++) {
        rig_put_desc(rig, TABLE, i, RIG_RAM_BASE, (uint32_t)RIG_RAM_BYTES,
                     WRITE | (i == 1023 ? 0 : NEXT), (uint16_t)(i + 1));
    }
}

static void index_jumps(Rig *rig, RigQueue *q)
{
    rig_put_u16(rig, q->avail + 2, SIZE + 1);
}

static void index_goes_back(Rig *rig, RigQueue *q)
{
    rig_put_u16(rig, q->avail + 2, 0xffff);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *name;
        Mistake *make;
    } mistakes[] = {
#define MISTAKE(f) { #f, f }
        MISTAKE(loop_of_one),
        MISTAKE(loop_of_three),
        MISTAKE(next_outside),
        MISTAKE(next_far_outside),
        MISTAKE(head_outside),
        MISTAKE(no_bytes),
        MISTAKE(below_ram),
        MISTAKE(beyond_ram),
        MISTAKE(wraps_around),
        MISTAKE(huge),
        MISTAKE(own_registers),
        MISTAKE(rom),
        MISTAKE(read_after_write),
        MISTAKE(no_status),
        MISTAKE(short_header),
        MISTAKE(table_in_table),
        MISTAKE(table_with_next),
        MISTAKE(table_of_no_bytes),
        MISTAKE(table_not_whole),
        MISTAKE(table_outside_ram),
        MISTAKE(table_half_outside_ram),
        MISTAKE(loop_in_table),
        MISTAKE(next_outside_table),
        MISTAKE(too_many_buffers),
        MISTAKE(more_than_4_gib),
        MISTAKE(index_jumps),
        MISTAKE(index_goes_back),
#undef MISTAKE
    };
    Rig *rig = disk_rig();

    for (unsigned i = 0; i < G_N_ELEMENTS(mistakes); i++) {
        RigQueue q;

        works(rig);
        rig_start(rig, &q, SIZE);
        put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
        put(rig, &q, 1, RIG_DATA + 16, 513, WRITE, 0);
        rig_add_head(rig, &q, 0);
        mistakes[i].make(rig, &q);
        rig_kick(rig, &q);
        rig_pump(rig);
        if (!rig_broken(rig)) {
            fail_msg("%s: the device is content", mistakes[i].name);
        }
        /* It tells the driver, and does nothing more: not even what would be right. */
        assert_true(rig_read(rig, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
        assert_int_equal(rig->level, 1);
        assert_int_equal(rig_used_idx(rig, &q), 0);
        rig_put_u16(rig, q.avail + 4, 0);
        rig_put_u16(rig, q.avail + 2, 1);
        put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
        put(rig, &q, 1, RIG_DATA + 16, 513, WRITE, 0);
        rig_kick(rig, &q);
        rig_pump(rig);
        assert_int_equal(rig_used_idx(rig, &q), 0);
        /* It takes a reset: no status that the driver writes will do. */
        rig_write(rig, VIRTIO_MMIO_STATUS, 15);
        assert_true(rig_broken(rig));
    }
    works(rig);
    rig_free(rig);
}

/* Without the features, what they allow is a mistake too; and version 1 knows no such status bit. */
static void test_not_negotiated(void **state)
{
    Rig *rig = disk_rig();
    RigQueue q;

    rig_negotiate(rig, UINT64_C(1) << VIRTIO_F_VERSION_1);
    rig_setup_queue(rig, &q, 0, SIZE);
    rig_driver_ok(rig);
    put(rig, &q, 0, TABLE, 16, INDIRECT, 0);
    rig_add_head(rig, &q, 0);
    rig_kick(rig, &q);
    assert_true(rig_broken(rig));
    rig_free(rig);

    rig = rig_new(true);
    rig_add_disk(rig, 1 << 20, "");
    rig_add(rig, "virtio-blk-device,drive=d0");
    works(rig);
    rig_start(rig, &q, SIZE);
    loop_of_one(rig, &q);
    rig_add_head(rig, &q, 0);
    rig_kick(rig, &q);
    rig_pump(rig);
    assert_false(rig_broken(rig));
    assert_int_equal(rig_used_idx(rig, &q), 0);
    works(rig);
    rig_free(rig);
}

/* The same buffers made available again and again while the device still has them. */
static void test_too_many_in_use(void **state)
{
    Rig *rig = disk_rig();
    RigQueue q;

    rig_start(rig, &q, SIZE);
    memset(rig_ptr(rig, RIG_DATA), 0, 16);
    put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, &q, 1, RIG_DATA + 16, 513, WRITE, 0);
    for (unsigned i = 0; i < 4 * SIZE; i++) {
        rig_add_head(rig, &q, 0);
        rig_kick(rig, &q);
    }
    rig_pump(rig);
    assert_true(rig_broken(rig));
    works(rig);
    rig_free(rig);
}

static void set_rings(Rig *rig, hwaddr desc, hwaddr avail, hwaddr used)
{
    const hwaddr places[] = { desc, avail, used };

    rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
    rig_write(rig, VIRTIO_MMIO_QUEUE_NUM, SIZE);
    for (unsigned i = 0; i < 3; i++) {
        rig_write(rig, VIRTIO_MMIO_QUEUE_DESC_LOW + 16 * i, (uint32_t)places[i]);
        rig_write(rig, VIRTIO_MMIO_QUEUE_DESC_HIGH + 16 * i, (uint32_t)(places[i] >> 32));
    }
    rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void test_misplaced_rings(void **state)
{
    const hwaddr good = RIG_RAM_BASE + 0x4000, end = RIG_RAM_BASE + RIG_RAM_BYTES;
    const hwaddr bad[][3] = {
        { 0, good, good },
        { good, 0, good },
        { good, good, 0 },
        { good + 8, good, good },
        { good, good + 1, good },
        { good, good, good + 2 },
        { end - 64, good, good },
        { good, end - 20, good },
        { good, good, end - 64 },
        { RIG_SLOT_BASE, good, good },
        { good, RIG_SLOT_BASE, good },
        { good, good, RIG_SLOT_BASE },
        { good, good, RIG_ROM_BASE },
        { UINT64_MAX - 15, good, good },
        { good, UINT64_MAX - 1, good },
        { good, good, UINT64_MAX - 3 },
    };
    Rig *rig = disk_rig();

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        rig_negotiate(rig, rig_offered(rig));
        set_rings(rig, bad[i][0], bad[i][1], bad[i][2]);
        rig_driver_ok(rig);
        rig_write(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        rig_pump(rig);
        assert_true(rig_broken(rig));
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_READY), 0);
        works(rig);
    }
    /* Rings that the device only reads may lie in ROM. */
    rig_negotiate(rig, rig_offered(rig));
    set_rings(rig, RIG_ROM_BASE, RIG_ROM_BASE + 0x800, good);
    rig_driver_ok(rig);
    rig_write(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert_false(rig_broken(rig));
    rig_free(rig);
}

/* ---- At random. */

typedef struct Random {
    uint64_t state;
} Random;

static uint32_t next(Random *r)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(r->state >> 33);
}

static bool one_in(Random *r, unsigned n)
{
    return next(r) % n == 0;
}

static hwaddr random_address(Random *r)
{
    switch (next(r) % 16) {
    case 0:
        return (uint64_t)next(r) << 32 | next(r);
    case 1:
        return RIG_SLOT_BASE + next(r) % 0x300;
    case 2:
        return RIG_RAM_BASE + RIG_RAM_BYTES - next(r) % 0x2000;
    case 3:
        return RIG_RAM_BASE + next(r) % 0x40000; /* the rings */
    case 4:
        return RIG_ROM_BASE + next(r) % 0x1100;
    default:
        return RIG_DATA + next(r) % 0x100000;
    }
}

static uint32_t random_length(Random *r)
{
    static const uint32_t usual[] = { 16, 16, 1, 512, 513, 4096, 8, 64, 20 };

    return one_in(r, 8) ? next(r) >> (next(r) % 31) : usual[next(r) % G_N_ELEMENTS(usual)];
}

/* Mostly plausible: all random would be refused at the first field. */
static void random_desc(Rig *rig, Random *r, hwaddr table, unsigned n, unsigned count)
{
    uint16_t flags = 0, to = (uint16_t)(n + 1);

    if (!one_in(r, 3)) {
        flags |= NEXT;
    }
    if (!one_in(r, 3) && n % 4 > 0) {
        flags |= WRITE;
    }
    if (one_in(r, 12)) {
        flags |= INDIRECT;
    }
    if (one_in(r, 20)) {
        flags = (uint16_t)next(r);
    }
    if (one_in(r, 10)) {
        to = (uint16_t)(next(r) % (count + 1));
    }
    rig_put_desc(rig, table, n, random_address(r),
                 flags & INDIRECT ? 16 * (next(r) % 40) : random_length(r), flags, to);
}

static void random_ring(Rig *rig, Random *r, RigQueue *q)
{
    for (unsigned i = 0; i < q->size; i++) {
        random_desc(rig, r, q->desc, i, q->size);
    }
    for (unsigned i = 0; i < 32; i++) {
        random_desc(rig, r, RIG_DATA + 16 * (next(r) % 0x1000), next(r) % 8, 8);
    }
    /* Requests that a disk or a console understands. */
    for (unsigned i = 0; i < 64; i++) {
        uint32_t *words = rig_ptr(rig, RIG_DATA + 8 * (next(r) % 0x4000));

        words[0] = GUINT32_TO_LE(next(r) % 16);
        words[1] = GUINT32_TO_LE(next(r) % 0x20008);
        words[2] = GUINT32_TO_LE(next(r) % 2100);
        words[3] = 0;
    }
    for (unsigned i = 1 + next(r) % q->size; i > 0; i--) {
        rig_add_head(rig, q, one_in(r, 12) ? (uint16_t)next(r) : (uint16_t)(next(r) % q->size));
    }
    if (one_in(r, 16)) {
        rig_put_u16(rig, q->avail + 2, (uint16_t)next(r));
    }
    rig_put_u16(rig, q->avail, (uint16_t)(next(r) % 2));
    rig_put_u16(rig, q->used + 2, (uint16_t)next(r)); /* the device's own: it must not care */
}

static void poke(Rig *rig, Random *r)
{
    static const hwaddr offsets[] = {
        VIRTIO_MMIO_QUEUE_NOTIFY,
        VIRTIO_MMIO_QUEUE_NOTIFY,
        VIRTIO_MMIO_QUEUE_SEL,
        VIRTIO_MMIO_QUEUE_NUM,
        VIRTIO_MMIO_QUEUE_READY,
        VIRTIO_MMIO_QUEUE_PFN,
        VIRTIO_MMIO_GUEST_PAGE_SIZE,
        VIRTIO_MMIO_QUEUE_ALIGN,
        VIRTIO_MMIO_STATUS,
        VIRTIO_MMIO_INTERRUPT_ACK,
        0x0c0,
        VIRTIO_MMIO_QUEUE_USED_LOW,
    };
    hwaddr offset =
        one_in(r, 3) ? (next(r) % 0x200) & ~3u : offsets[next(r) % G_N_ELEMENTS(offsets)];
    uint32_t value = one_in(r, 2) ? next(r) % 8 : next(r) >> (next(r) % 31);

    if (one_in(r, 3)) {
        rig_read(rig, offset);
    } else {
        rig_write(rig, offset, value);
    }
}

/* Seeds begin..end-1, each a device from reset, up to 4 queues in disorder, and some pokes. */
static void random_rings(Rig *rig, unsigned queues, uint64_t begin, uint64_t end)
{
    for (uint64_t seed = begin; seed < end; seed++) {
        Random r = { seed };
        RigQueue q[4];

        next(&r);
        rig_negotiate(rig, rig_offered(rig) & ~(uint64_t)(one_in(&r, 4) ? next(&r) : 0));
        for (unsigned i = 0; i < queues; i++) {
            rig_setup_queue(rig, &q[i], i, 4u << (next(&r) % 2));
            random_ring(rig, &r, &q[i]);
        }
        rig_write(rig, VIRTIO_MMIO_STATUS, 15);
        for (unsigned i = 0; i < queues; i++) {
            rig_kick(rig, &q[i]);
        }
        for (unsigned i = next(&r) % 8; i > 0; i--) {
            poke(rig, &r);
            if (one_in(&r, 4)) {
                random_ring(rig, &r, &q[next(&r) % queues]);
            }
        }
        if (one_in(&r, 2)) {
            main_loop_iterate(rig->cpus, false);
        }
    }
    rig_pump(rig);
}

static void test_random_rng(void **state)
{
    Rig *rig = rig_new(false);

    rig_add(rig, "virtio-rng-device");
    random_rings(rig, 1, 10000, 13000);
    rig_free(rig);
}

static void test_random_console(void **state)
{
    GError *error = NULL;

    for (unsigned legacy = 0; legacy < 2; legacy++) {
        Rig *rig = rig_new(legacy);

        assert_non_null(device_env_add_chardev(&rig->env, NULL, "ringbuf,id=c0", &error));
        assert_non_null(device_env_add_chardev(&rig->env, NULL, "ringbuf,id=c1", &error));
        rig_add(rig, "virtio-serial-device,max_ports=4");
        rig_add(rig, "virtconsole,chardev=c0");
        rig_add(rig, "virtserialport,chardev=c1,name=port");
        random_rings(rig, 4, 20000, 22000);
        rig_free(rig);
    }
}

/*
 * ---- Races that are the guest's own affair, which a race detector cannot know: a disk that writes
 * over rings and buffers in use, and a guest on another processor.
 */

#ifndef __SANITIZE_THREAD__

/* Overlapping buffers, and buffers over the rings themselves, harm nobody but the guest. */
static void test_overlaps(void **state)
{
    Rig *rig = disk_rig();
    RigQueue q;

    rig_start(rig, &q, SIZE);
    memset(rig_ptr(rig, RIG_DATA), 0, 16);
    put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, &q, 1, RIG_DATA, 512, WRITE | NEXT, 2);
    put(rig, &q, 2, RIG_DATA + 100, 512, WRITE | NEXT, 3);
    put(rig, &q, 3, RIG_DATA + 50, 1, WRITE, 0);
    rig_add_head(rig, &q, 0);
    rig_kick(rig, &q);
    assert_int_equal(rig_wait(rig, &q, NULL), 1025);
    memset(rig_ptr(rig, RIG_DATA), 0, 16);
    put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
    put(rig, &q, 1, q.desc, 4096, WRITE | NEXT, 2);
    put(rig, &q, 2, q.used, 512, WRITE | NEXT, 3);
    put(rig, &q, 3, RIG_DATA + 50, 1, WRITE, 0);
    rig_add_head(rig, &q, 0);
    rig_kick(rig, &q);
    rig_wait(rig, &q, NULL);
    works(rig);
    rig_free(rig);
}

static void test_random_disk(void **state)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        Rig *rig = rig_new(legacy);

        rig_add_disk(rig, 1 << 20, "");
        rig_add(rig, "virtio-blk-device,drive=d0,num-queues=2");
        random_rings(rig, 2, 0, 3000);
        works(rig);
        rig_free(rig);
    }
}

typedef struct Scribbler {
    Rig *rig;
    hwaddr from;
    uint64_t bytes;
    bool stop;
} Scribbler;

static void *scribble(void *opaque)
{
    Scribbler *s = opaque;
    uint16_t *words = rig_ptr(s->rig, s->from);
    Random r = { 1 };

    while (!orr_load_acquire(&s->stop)) {
        uint32_t at = next(&r) % (s->bytes / 2);

        orr_store_relaxed(&words[at], (uint16_t)(next(&r) % 20));
    }
    return NULL;
}

static void test_scribbled_rings(void **state)
{
    Rig *rig = disk_rig();
    Scribbler s = { .rig = rig };
    pthread_t thread;
    Random r = { 7 };
    RigQueue q;

    rig_start(rig, &q, SIZE);
    s.from = q.desc;
    s.bytes = q.used + 4 + 8 * q.size - q.desc;
    assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
    for (unsigned i = 0; i < 5000; i++) {
        rig_negotiate(rig, rig_offered(rig));
        set_rings(rig, q.desc, q.avail, q.used);
        rig_driver_ok(rig);
        q.next_avail = 0;
        for (unsigned k = 0; k < 4; k++) {
            put(rig, &q, 0, RIG_DATA, 16, NEXT, 1);
            put(rig, &q, 1, RIG_DATA + 16, 513, WRITE | (one_in(&r, 2) ? NEXT : 0), 2);
            put(rig, &q, 2, RIG_DATA + 1024, 513, WRITE, 0);
            rig_add_head(rig, &q, 0);
            rig_kick(rig, &q);
        }
    }
    orr_store_release(&s.stop, true);
    pthread_join(thread, NULL);
    works(rig);
    rig_free(rig);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),        cmocka_unit_test(test_not_negotiated),
        cmocka_unit_test(test_too_many_in_use), cmocka_unit_test(test_misplaced_rings),
        cmocka_unit_test(test_random_rng),      cmocka_unit_test(test_random_console),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(test_overlaps),        cmocka_unit_test(test_random_disk),
        cmocka_unit_test(test_scribbled_rings),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
