/* SPDX-License-Identifier: MIT */
/*
 * Timer and software interrupts of RISC-V harts: SiFive's CLINT, and the devices of the ACLINT
 * specification 1.0-rc4 that the CLINT's registers fall apart into. The idea to hold: nothing here
 * takes the machine lock. A hart's registers have a lock of their own, held while its output moves,
 * so that a compare value being written and the timer of the old one cannot cross.
 *
 * mtime is the `time` that harts read, and as unchangeable: writes to it are ignored.
 */
#include "hw/hw-classes.h"
#include "orrery/impl/device.h"
#include "orrery/impl/hw/clint.h"
#include "orrery/impl/lock.h"

#define MAX_HARTS 4095
#define NS_PER_S 1000000000u

/* Offsets in the CLINT; the ACLINT's devices are windows of it. */
enum {
    MSIP_BASE = 0,
    MTIMECMP_BASE = 0x4000,
    MTIME_OFFSET = 0xbff8,
    CLINT_BYTES = 0x10000,
    MSWI_BYTES = 0x4000,
    MTIMER_BYTES = 0x8000,
    SSWI_BYTES = 0x4000,
};

typedef struct Clint Clint;

typedef struct ClintHart {
    Clint *clint;
    OrrMutex lock;
    uint64_t mtimecmp;
    uint32_t msip;
    Timer timer; /* lockless: when mtime reaches mtimecmp */
} ClintHart;

struct Clint {
    Device dev;

    uint32_t num_harts, timebase_hz;

    ClintHart *hart;
    unsigned ready;           /* harts whose locks and timers exist */
    unsigned outputs;         /* of a hart */
    bool has_soft, has_timer; /* outputs, in this order */
    hwaddr window;            /* where region 0 begins in the CLINT */
};

static void guest_error(const Clint *clint, const char *what, hwaddr offset)
{
    if (orr_log_on(clint->dev.env->log, LOG_GUEST_ERROR)) {
        orr_log(clint->dev.env->log, "%s: %s at 0x%" G_GINT64_MODIFIER "x\n", clint->dev.id, what,
                offset);
    }
}

static uint64_t read_mtime(const Clint *clint)
{
    int64_t ns = clock_get_ns(clint->dev.env->timers, CLOCK_KIND_VIRTUAL);
    uint64_t now = ns < 0 ? 0 : (uint64_t)ns;

    return now / NS_PER_S * clint->timebase_hz + now % NS_PER_S * clint->timebase_hz / NS_PER_S;
}

/* When mtime reaches `time`: rounded up, not to fire before. INT64_MAX: never in this life. */
static int64_t mtime_to_ns(const Clint *clint, uint64_t time)
{
    uint64_t hz = clint->timebase_hz;
    uint64_t seconds = time / hz;

    if (seconds >= INT64_MAX / NS_PER_S) {
        return INT64_MAX;
    }
    return (int64_t)(seconds * NS_PER_S + (time % hz * NS_PER_S + hz - 1) / hz);
}

static unsigned hart_index(const ClintHart *hart)
{
    return (unsigned)(hart - hart->clint->hart);
}

static void set_soft(ClintHart *hart, bool on)
{
    device_irq_set(&hart->clint->dev, hart_index(hart) * hart->clint->outputs, on);
}

static void set_timer(ClintHart *hart, bool on)
{
    unsigned n = hart_index(hart) * hart->clint->outputs + (hart->clint->has_soft ? 1 : 0);

    device_irq_set(&hart->clint->dev, n, on);
}

static void update_timer_locked(ClintHart *hart)
{
    bool reached = read_mtime(hart->clint) >= hart->mtimecmp;
    int64_t deadline_ns;

    g_assert(orr_mutex_held(&hart->lock));
    if (!reached) {
        deadline_ns = mtime_to_ns(hart->clint, hart->mtimecmp);
        if (deadline_ns == INT64_MAX) {
            timer_disarm(&hart->timer);
        } else {
            timer_arm_ns(&hart->timer, deadline_ns);
        }
    } else {
        timer_disarm(&hart->timer);
    }
    set_timer(hart, reached);
}

static void timer_fired(void *opaque)
{
    ClintHart *hart = opaque;

    orr_mutex_lock(&hart->lock);
    update_timer_locked(hart);
    orr_mutex_unlock(&hart->lock);
}

/* One half of a 64-bit register, or all of it. */
static uint64_t merge(uint64_t old, hwaddr offset, unsigned size, uint64_t value)
{
    if (size == 8) {
        return value;
    }
    return offset % 8 ? (old & UINT32_MAX) | value << 32
                      : (old & ~(uint64_t)UINT32_MAX) | (value & UINT32_MAX);
}

static uint64_t part(uint64_t whole, hwaddr offset, unsigned size)
{
    return size == 8 ? whole : offset % 8 ? whole >> 32 : whole & UINT32_MAX;
}

/* The hart whose msip or mtimecmp is at the offset; NULL for none. */
static ClintHart *hart_at(Clint *clint, hwaddr offset)
{
    hwaddr n = offset < MTIMECMP_BASE ? offset / 4 : (offset - MTIMECMP_BASE) / 8;

    return n < clint->num_harts ? &clint->hart[n] : NULL;
}

static MemTxResult clint_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    Clint *clint = opaque;
    hwaddr at = offset + clint->window;
    ClintHart *hart;

    *value = 0;
    if (at >= MTIME_OFFSET && at < MTIME_OFFSET + 8) {
        *value = part(read_mtime(clint), at, size);
        return MEMTX_OK;
    }
    hart = at < MTIME_OFFSET ? hart_at(clint, at) : NULL;
    if (!hart) {
        guest_error(clint, "read of no register", offset);
    } else if (at >= MTIMECMP_BASE) {
        orr_mutex_lock(&hart->lock);
        *value = part(hart->mtimecmp, at, size);
        orr_mutex_unlock(&hart->lock);
    } else if (size == 4) {
        *value = orr_load_relaxed(&hart->msip);
    } else {
        return MEMTX_ERROR;
    }
    return MEMTX_OK;
}

static MemTxResult clint_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Clint *clint = opaque;
    hwaddr at = offset + clint->window;
    ClintHart *hart = at < MTIME_OFFSET ? hart_at(clint, at) : NULL;

    if (!hart) {
        guest_error(clint, at >= MTIME_OFFSET ? "write to the time" : "write to no register",
                    offset);
    } else if (at >= MTIMECMP_BASE) {
        orr_mutex_lock(&hart->lock);
        hart->mtimecmp = merge(hart->mtimecmp, at, size, value);
        update_timer_locked(hart);
        orr_mutex_unlock(&hart->lock);
    } else if (size == 4) {
        orr_mutex_lock(&hart->lock);
        orr_store_relaxed(&hart->msip, (uint32_t)(value & 1));
        set_soft(hart, value & 1);
        orr_mutex_unlock(&hart->lock);
    } else {
        return MEMTX_ERROR;
    }
    return MEMTX_OK;
}

/* ACLINT 4: SETSSIP registers read as zero; writing 1 sends an edge. */
static MemTxResult sswi_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    *value = 0;
    return MEMTX_OK;
}

static MemTxResult sswi_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Clint *clint = opaque;

    if (offset / 4 >= clint->num_harts) {
        guest_error(clint, "write to no register", offset);
    } else if (value & 1) {
        device_irq_set(&clint->dev, (unsigned)(offset / 4), 1);
    }
    return MEMTX_OK;
}

static const MmioOps clint_ops = {
    .read = clint_read,
    .write = clint_write,
    .valid = { .min_bytes = 4, .max_bytes = 8 },
    .lockless = true,
};

static const MmioOps mswi_ops = {
    .read = clint_read,
    .write = clint_write,
    .valid = { .min_bytes = 4, .max_bytes = 4 },
    .lockless = true,
};

static const MmioOps sswi_ops = {
    .read = sswi_read,
    .write = sswi_write,
    .valid = { .min_bytes = 4, .max_bytes = 4 },
    .lockless = true,
};

static void make_harts(Clint *clint)
{
    Timers *timers = clint->dev.env->timers;

    clint->outputs = (clint->has_soft ? 1 : 0) + (clint->has_timer ? 1 : 0);
    clint->hart = g_new0(ClintHart, clint->num_harts);
    for (unsigned n = 0; n < clint->num_harts; n++) {
        ClintHart *hart = &clint->hart[n];

        hart->clint = clint;
        hart->mtimecmp = UINT64_MAX;
        orr_mutex_init(&hart->lock, "clint hart");
        timer_init(&hart->timer, timers, CLOCK_KIND_VIRTUAL, true, "clint", timer_fired, hart);
        clint->ready++;
    }
    device_init_irq_out(&clint->dev, clint->num_harts * clint->outputs);
}

static bool clint_realize(Device *dev, GError **error)
{
    Clint *clint = (Clint *)dev;

    clint->has_soft = clint->has_timer = true;
    make_harts(clint);
    device_init_region(dev, "registers", &clint_ops, CLINT_BYTES);
    return true;
}

static bool mswi_realize(Device *dev, GError **error)
{
    Clint *clint = (Clint *)dev;

    clint->has_soft = true;
    make_harts(clint);
    device_init_region(dev, "registers", &mswi_ops, MSWI_BYTES);
    return true;
}

static bool mtimer_realize(Device *dev, GError **error)
{
    Clint *clint = (Clint *)dev;

    clint->has_timer = true;
    clint->window = MTIMECMP_BASE;
    make_harts(clint);
    device_init_region(dev, "registers", &clint_ops, MTIMER_BYTES);
    return true;
}

static bool sswi_realize(Device *dev, GError **error)
{
    Clint *clint = (Clint *)dev;

    device_init_region(dev, "registers", &sswi_ops, SSWI_BYTES);
    device_init_irq_out(dev, clint->num_harts);
    return true;
}

static void clint_unrealize(Device *dev)
{
    Clint *clint = (Clint *)dev;

    for (unsigned n = 0; n < clint->ready; n++) {
        timer_finish(&clint->hart[n].timer);
        orr_mutex_finish(&clint->hart[n].lock);
    }
    clint->ready = 0;
    g_clear_pointer(&clint->hart, g_free);
}

static void clint_reset(Device *dev)
{
    Clint *clint = (Clint *)dev;

    for (unsigned n = 0; n < clint->ready; n++) {
        ClintHart *hart = &clint->hart[n];

        orr_mutex_lock(&hart->lock);
        hart->mtimecmp = UINT64_MAX;
        orr_store_relaxed(&hart->msip, 0u);
        if (clint->has_soft) {
            set_soft(hart, false);
        }
        if (clint->has_timer) {
            update_timer_locked(hart);
        }
        orr_mutex_unlock(&hart->lock);
    }
}

#define NUM_HARTS_PROP                                                                             \
    {                                                                                              \
        .name = "num-harts", .type = PROP_U32, .offset = offsetof(Clint, num_harts),               \
        .fallback = "1", .min = 1, .max = MAX_HARTS, .help = "harts, from 0 on"                    \
    }

static const PropDef timer_props[] = {
    NUM_HARTS_PROP,
    { .name = "timebase-freq",
      .type = PROP_U32,
      .offset = offsetof(Clint, timebase_hz),
      .fallback = "10000000",
      .min = 1,
      .max = 1000000000,
      .help = "mtime's rate in Hz" },
    { .name = NULL },
};

static const PropDef soft_props[] = { NUM_HARTS_PROP, { .name = NULL } };

const DeviceClass riscv_clint_class = {
    .name = CLINT_CLASS,
    .summary = "SiFive core-local interruptor: timer and software interrupts of harts",
    .instance_bytes = sizeof(Clint),
    .props = timer_props,
    .realize = clint_realize,
    .unrealize = clint_unrealize,
    .reset = clint_reset,
};

const DeviceClass riscv_aclint_mswi_class = {
    .name = ACLINT_MSWI_CLASS,
    .summary = "RISC-V ACLINT machine software interrupts",
    .instance_bytes = sizeof(Clint),
    .props = soft_props,
    .realize = mswi_realize,
    .unrealize = clint_unrealize,
    .reset = clint_reset,
};

const DeviceClass riscv_aclint_mtimer_class = {
    .name = ACLINT_MTIMER_CLASS,
    .summary = "RISC-V ACLINT machine timer",
    .instance_bytes = sizeof(Clint),
    .props = timer_props,
    .realize = mtimer_realize,
    .unrealize = clint_unrealize,
    .reset = clint_reset,
};

const DeviceClass riscv_aclint_sswi_class = {
    .name = ACLINT_SSWI_CLASS,
    .summary = "RISC-V ACLINT supervisor software interrupts",
    .instance_bytes = sizeof(Clint),
    .props = soft_props,
    .realize = sswi_realize,
};
