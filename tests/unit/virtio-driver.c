/* SPDX-License-Identifier: MIT */
/*
 * See virtio-driver.h.
 */
#include "virtio-driver.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void set_level(void *opaque, unsigned n, int level)
{
    Rig *rig = opaque;

    rig->raised += level && !rig->level;
    rig->level = level;
}

Rig *rig_new(bool legacy)
{
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;
    RamBlock *ram;

    rig->legacy = legacy;
    rig->log.items = LOG_GUEST_ERROR;
    rig->log.file = fopen("/dev/null", "w");
    assert_non_null(rig->log.file);
    rig->memory = memory_create();
    rig->timers = timers_create();
    rig->cpus = cpus_create(rig->timers, rig->memory, &rig->log);
    machine_lock(rig->cpus);
    device_env_init(&rig->env, rig->cpus, rig->memory, rig->timers, &rig->log);
    ram = memory_add_ram(rig->memory, "ram", RIG_RAM_BASE, RIG_RAM_BYTES, false, &error);
    assert_non_null(ram);
    rig->ram = ram->host;
    assert_non_null(memory_add_ram(rig->memory, "rom", RIG_ROM_BASE, RIG_ROM_BYTES, true, &error));
    rig->slot = device_create(&rig->env, device_class_find("virtio-mmio"), NULL, &error);
    assert_non_null(rig->slot);
    assert_true(device_set_prop(rig->slot, "force-legacy", legacy ? "on" : "off", &error));
    assert_true(device_realize(rig->slot, &error));
    assert_true(device_map(rig->slot, 0, RIG_SLOT_BASE, &error));
    rig->line.set = set_level;
    rig->line.opaque = rig;
    device_connect_irq(rig->slot, 0, &rig->line);
    return rig;
}

void rig_free(Rig *rig)
{
    device_env_finish(&rig->env);
    machine_unlock(rig->cpus);
    cpus_destroy(rig->cpus);
    timers_destroy(rig->timers);
    memory_destroy(rig->memory);
    fclose(rig->log.file);
    if (rig->disk) {
        g_unlink(rig->disk);
        g_free(rig->disk);
    }
    g_free(rig);
}

void rig_add_disk(Rig *rig, uint64_t bytes, const char *more)
{
    GError *error = NULL;
    int fd = g_file_open_tmp("orrery-disk-XXXXXX", &rig->disk, &error);
    char *options;

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
    options = g_strdup_printf("file=%s,id=d0,if=none,format=raw%s", rig->disk, more);
    if (!device_env_add_drive(&rig->env, options, &error)) {
        fail_msg("%s", error->message);
    }
    g_free(options);
}

Device *rig_add(Rig *rig, const char *options)
{
    GError *error = NULL;
    Device *dev = device_add(&rig->env, options, &error);

    if (!dev) {
        fail_msg("%s", error->message);
    }
    return dev;
}

/* ---- Registers. */

static MemSection slot_section(Rig *rig, hwaddr offset)
{
    MemSection section;

    assert_true(memory_find(rig->memory, RIG_SLOT_BASE + offset, &section));
    return section;
}

uint32_t rig_read(Rig *rig, hwaddr offset)
{
    MemSection section = slot_section(rig, offset);
    uint64_t value;

    assert_int_equal(mmio_read(&section, 0, 4, &value), MEMTX_OK);
    return (uint32_t)value;
}

void rig_write(Rig *rig, hwaddr offset, uint32_t value)
{
    MemSection section = slot_section(rig, offset);

    assert_int_equal(mmio_write(&section, 0, 4, value), MEMTX_OK);
}

uint64_t rig_config(Rig *rig, unsigned offset, unsigned size)
{
    MemSection section = slot_section(rig, VIRTIO_MMIO_CONFIG + offset);
    uint64_t value;

    assert_int_equal(mmio_read(&section, 0, size, &value), MEMTX_OK);
    return value;
}

void rig_set_config(Rig *rig, unsigned offset, unsigned size, uint64_t value)
{
    MemSection section = slot_section(rig, VIRTIO_MMIO_CONFIG + offset);

    assert_int_equal(mmio_write(&section, 0, size, value), MEMTX_OK);
}

uint64_t rig_offered(Rig *rig)
{
    uint64_t low, high;

    rig_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    low = rig_read(rig, VIRTIO_MMIO_DEVICE_FEATURES);
    rig_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    high = rig_read(rig, VIRTIO_MMIO_DEVICE_FEATURES);
    return high << 32 | low;
}

static void add_status(Rig *rig, uint32_t bits)
{
    rig_write(rig, VIRTIO_MMIO_STATUS, rig_read(rig, VIRTIO_MMIO_STATUS) | bits);
}

void rig_negotiate(Rig *rig, uint64_t features)
{
    rig_write(rig, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(rig_read(rig, VIRTIO_MMIO_STATUS), 0);
    add_status(rig, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    add_status(rig, VIRTIO_CONFIG_S_DRIVER);
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
    if (!rig->legacy) {
        add_status(rig, VIRTIO_CONFIG_S_FEATURES_OK);
    }
}

void rig_driver_ok(Rig *rig)
{
    add_status(rig, VIRTIO_CONFIG_S_DRIVER_OK);
    assert_true(rig_read(rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void write_address(Rig *rig, hwaddr offset, hwaddr address)
{
    rig_write(rig, offset, (uint32_t)address);
    rig_write(rig, offset + 4, (uint32_t)(address >> 32));
}

void rig_setup_queue(Rig *rig, RigQueue *q, uint32_t index, unsigned size)
{
    hwaddr base = RIG_RAM_BASE + 0x1000 + index * RIG_RING_BYTES;

    memset(q, 0, sizeof(*q));
    q->index = index;
    q->size = size;
    q->desc = base;
    q->avail = q->desc + 16 * size;
    q->used = (q->avail + 2 * (3 + (hwaddr)size) + 4095) & ~UINT64_C(4095);
    memset(rig_ptr(rig, base), 0, RIG_RING_BYTES);
    rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, index);
    assert_true(rig_read(rig, VIRTIO_MMIO_QUEUE_NUM_MAX) >= size);
    rig_write(rig, VIRTIO_MMIO_QUEUE_NUM, size);
    if (rig->legacy) {
        rig_write(rig, VIRTIO_MMIO_GUEST_PAGE_SIZE, 4096);
        rig_write(rig, VIRTIO_MMIO_QUEUE_ALIGN, 4096);
        rig_write(rig, VIRTIO_MMIO_QUEUE_PFN, (uint32_t)(base / 4096));
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_PFN), base / 4096);
    } else {
        write_address(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc);
        write_address(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, q->avail);
        write_address(rig, VIRTIO_MMIO_QUEUE_USED_LOW, q->used);
        rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
        assert_int_equal(rig_read(rig, VIRTIO_MMIO_QUEUE_READY), 1);
    }
}

void rig_start(Rig *rig, RigQueue *q, unsigned size)
{
    rig_negotiate(rig, rig_offered(rig));
    rig_setup_queue(rig, q, 0, size);
    rig_driver_ok(rig);
}

/* ---- Memory and rings. */

void *rig_ptr(Rig *rig, hwaddr addr)
{
    assert_true(addr >= RIG_RAM_BASE && addr < RIG_RAM_BASE + RIG_RAM_BYTES);
    return rig->ram + (addr - RIG_RAM_BASE);
}

uint16_t rig_u16(Rig *rig, hwaddr addr)
{
    return GUINT16_FROM_LE(orr_load_acquire((uint16_t *)rig_ptr(rig, addr)));
}

void rig_put_u16(Rig *rig, hwaddr addr, uint16_t value)
{
    orr_store_release((uint16_t *)rig_ptr(rig, addr), GUINT16_TO_LE(value));
}

void rig_put_desc(Rig *rig, hwaddr table, unsigned n, hwaddr addr, uint32_t bytes, uint16_t flags,
                  uint16_t next)
{
    struct vring_desc desc = {
        .addr = GUINT64_TO_LE(addr),
        .len = GUINT32_TO_LE(bytes),
        .flags = GUINT16_TO_LE(flags),
        .next = GUINT16_TO_LE(next),
    };

    memcpy(rig_ptr(rig, table + 16 * n), &desc, sizeof(desc));
}

void rig_add_head(Rig *rig, RigQueue *q, uint16_t head)
{
    rig_put_u16(rig, q->avail + 4 + 2 * (q->next_avail % q->size), head);
    rig_put_u16(rig, q->avail + 2, ++q->next_avail);
}

uint16_t rig_add_chain(Rig *rig, RigQueue *q, const RigBuf *bufs, unsigned count)
{
    uint16_t head = q->next_desc % q->size;

    for (unsigned i = 0; i < count; i++) {
        uint16_t at = q->next_desc++ % q->size;
        bool last = i + 1 == count;

        rig_put_desc(rig, q->desc, at, bufs[i].addr, bufs[i].bytes,
                     (bufs[i].writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT),
                     last ? 0 : q->next_desc % q->size);
    }
    rig_add_head(rig, q, head);
    return head;
}

void rig_kick(Rig *rig, const RigQueue *q)
{
    rig_write(rig, VIRTIO_MMIO_QUEUE_NOTIFY, q->index);
}

uint16_t rig_used_idx(Rig *rig, const RigQueue *q)
{
    return rig_u16(rig, q->used + 2);
}

uint32_t rig_wait(Rig *rig, RigQueue *q, uint32_t *head)
{
    uint32_t *elem = rig_ptr(rig, q->used + 4 + 8 * (q->seen_used % q->size));

    while (rig_used_idx(rig, q) == q->seen_used) {
        main_loop_iterate(rig->cpus, true);
    }
    q->seen_used++;
    if (head) {
        *head = GUINT32_FROM_LE(elem[0]);
    }
    return GUINT32_FROM_LE(elem[1]);
}

void rig_pump(Rig *rig)
{
    for (unsigned i = 0; i < 4; i++) {
        main_loop_iterate(rig->cpus, false);
    }
}

bool rig_broken(Rig *rig)
{
    return rig_read(rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
