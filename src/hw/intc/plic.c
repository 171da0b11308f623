/* SPDX-License-Identifier: MIT */
/*
 * The platform-level interrupt controller, with the register layout of SiFive's PLIC 1.0.0 (RISC-V
 * PLIC specification 1.0.0). The idea to hold: each source has a gateway. It makes one request out
 * of a raised line, and no other until the handler has said that it is done; a request once made
 * stays, even when the line falls.
 */
#include <string.h>

#include "hw/hw-classes.h"
#include "orrery/impl/device.h"
#include "orrery/impl/error.h"
#include "orrery/impl/hw/plic.h"

#define MAX_SOURCES 1024
#define MAX_HARTS 512
#define MAX_WORDS (MAX_SOURCES / 32)
#define PRIORITY_MASK 7u

/* Section 3, memory map. */
enum {
    PENDING_BASE = 0x1000,
    ENABLE_BASE = 0x2000,
    ENABLE_STRIDE = 0x80,
    CONTEXT_BASE = 0x200000,
    CONTEXT_STRIDE = 0x1000,
    CONTEXT_THRESHOLD = 0,
    CONTEXT_CLAIM = 4,
};

typedef struct PlicContext {
    uint32_t enable[MAX_WORDS];
    uint32_t threshold;
    bool raised; /* level of its output */
} PlicContext;

typedef struct Plic {
    Device dev;

    uint32_t num_sources, num_harts;

    unsigned words, context_count;
    uint32_t level[MAX_WORDS];   /* the lines */
    uint32_t pending[MAX_WORDS]; /* requests that nobody has claimed */
    uint32_t claimed[MAX_WORDS]; /* claimed and not completed */
    uint8_t priority[MAX_SOURCES];
    PlicContext *context;
} Plic;

static void guest_error(const Plic *plic, const char *what, hwaddr offset)
{
    if (orr_log_on(plic->dev.env->log, LOG_GUEST_ERROR)) {
        orr_log(plic->dev.env->log, "%s: %s at 0x%" G_GINT64_MODIFIER "x\n", plic->dev.id, what,
                offset);
    }
}

static bool get_bit(const uint32_t *words, unsigned n)
{
    return (words[n / 32] >> (n % 32)) & 1;
}

static void set_bit(uint32_t *words, unsigned n, bool on)
{
    uint32_t bit = (uint32_t)1 << (n % 32);

    words[n / 32] = on ? words[n / 32] | bit : words[n / 32] & ~bit;
}

/*
 * The request with the highest priority above `floor`, the lowest number among equals; 0: none.
 */
static unsigned best_source(const Plic *plic, const PlicContext *context, uint32_t floor)
{
    unsigned best = 0;

    for (unsigned word = 0; word < plic->words; word++) {
        uint32_t bits = plic->pending[word] & context->enable[word];

        for (; bits; bits &= bits - 1) {
            unsigned source = word * 32 + (unsigned)__builtin_ctz(bits);

            if (plic->priority[source] > floor) {
                floor = plic->priority[source];
                best = source;
            }
        }
    }
    return best;
}

static void update_context(Plic *plic, unsigned n)
{
    PlicContext *context = &plic->context[n];
    bool raised = best_source(plic, context, context->threshold) != 0;

    if (raised != context->raised) {
        context->raised = raised;
        device_irq_set(&plic->dev, n, raised);
    }
}

static void update_all(Plic *plic)
{
    for (unsigned n = 0; n < plic->context_count; n++) {
        update_context(plic, n);
    }
}

/* A change of one source matters only to the contexts that have it enabled. */
static void update_source(Plic *plic, unsigned source)
{
    for (unsigned n = 0; n < plic->context_count; n++) {
        if (get_bit(plic->context[n].enable, source)) {
            update_context(plic, n);
        }
    }
}

/* Section 5: the gateway of a level-triggered source. */
static void gateway(Plic *plic, unsigned source)
{
    if (get_bit(plic->level, source) && !get_bit(plic->claimed, source) &&
        !get_bit(plic->pending, source)) {
        set_bit(plic->pending, source, true);
        update_source(plic, source);
    }
}

static void plic_set_line(void *opaque, unsigned n, int level)
{
    Plic *plic = opaque;

    if (n == 0 || n >= plic->num_sources) {
        return;
    }
    set_bit(plic->level, n, level != 0);
    gateway(plic, n);
}

/* Section 7. The threshold masks the notification only; a claim takes any enabled request. */
static uint32_t claim(Plic *plic, unsigned n)
{
    unsigned source = best_source(plic, &plic->context[n], 0);

    if (source) {
        set_bit(plic->pending, source, false);
        set_bit(plic->claimed, source, true);
        update_source(plic, source);
    }
    return source;
}

/* Section 8: a completion of a source that the context has not enabled is ignored. */
static void complete(Plic *plic, unsigned n, uint32_t source)
{
    if (source == 0 || source >= plic->num_sources || !get_bit(plic->context[n].enable, source)) {
        return;
    }
    set_bit(plic->claimed, source, false);
    gateway(plic, source);
}

/* What an offset means; kind is UNKNOWN for holes and for what was not configured. */
typedef struct PlicPlace {
    enum { PLACE_UNKNOWN, PLACE_PRIORITY, PLACE_PENDING, PLACE_ENABLE, PLACE_CONTEXT } kind;
    unsigned context, index;
} PlicPlace;

static PlicPlace find_place(const Plic *plic, hwaddr offset)
{
    PlicPlace place = { .kind = PLACE_UNKNOWN };
    hwaddr rest;

    if (offset < PENDING_BASE) {
        place.index = (unsigned)offset / 4;
        place.kind = place.index < plic->num_sources ? PLACE_PRIORITY : PLACE_UNKNOWN;
    } else if (offset < ENABLE_BASE) {
        place.index = (unsigned)(offset - PENDING_BASE) / 4;
        place.kind = place.index < plic->words ? PLACE_PENDING : PLACE_UNKNOWN;
    } else if (offset < CONTEXT_BASE) {
        rest = offset - ENABLE_BASE;
        place.context = (unsigned)(rest / ENABLE_STRIDE);
        place.index = (unsigned)(rest % ENABLE_STRIDE) / 4;
        if (place.context < plic->context_count && place.index < plic->words) {
            place.kind = PLACE_ENABLE;
        }
    } else {
        rest = offset - CONTEXT_BASE;
        place.context = (unsigned)(rest / CONTEXT_STRIDE);
        place.index = (unsigned)(rest % CONTEXT_STRIDE);
        if (place.context < plic->context_count && place.index <= CONTEXT_CLAIM) {
            place.kind = PLACE_CONTEXT;
        }
    }
    return place;
}

static MemTxResult plic_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    Plic *plic = opaque;
    PlicPlace place = find_place(plic, offset);

    switch (place.kind) {
    case PLACE_PRIORITY:
        *value = plic->priority[place.index];
        break;
    case PLACE_PENDING:
        *value = plic->pending[place.index];
        break;
    case PLACE_ENABLE:
        *value = plic->context[place.context].enable[place.index];
        break;
    case PLACE_CONTEXT:
        *value = place.index == CONTEXT_THRESHOLD ? plic->context[place.context].threshold
                                                  : claim(plic, place.context);
        break;
    case PLACE_UNKNOWN:
        *value = 0;
        guest_error(plic, "read of no register", offset);
        break;
    }
    return MEMTX_OK;
}

/* Bits of sources that do not exist stay zero, as does that of source 0. */
static uint32_t existing_sources(const Plic *plic, unsigned word)
{
    unsigned first = word * 32;
    uint32_t mask = plic->num_sources - first >= 32
                        ? UINT32_MAX
                        : ((uint32_t)1 << (plic->num_sources - first)) - 1;

    return word == 0 ? mask & ~(uint32_t)1 : mask;
}

static MemTxResult plic_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    Plic *plic = opaque;
    PlicPlace place = find_place(plic, offset);

    switch (place.kind) {
    case PLACE_PRIORITY:
        if (place.index) {
            plic->priority[place.index] = value & PRIORITY_MASK;
            update_source(plic, place.index);
        }
        break;
    case PLACE_ENABLE:
        plic->context[place.context].enable[place.index] =
            (uint32_t)value & existing_sources(plic, place.index);
        update_context(plic, place.context);
        break;
    case PLACE_CONTEXT:
        if (place.index == CONTEXT_THRESHOLD) {
            plic->context[place.context].threshold = value & PRIORITY_MASK;
            update_context(plic, place.context);
        } else {
            complete(plic, place.context, (uint32_t)value);
        }
        break;
    case PLACE_PENDING:
    case PLACE_UNKNOWN:
        guest_error(plic, "write to no writable register", offset);
        break;
    }
    return MEMTX_OK;
}

static const MmioOps plic_ops = {
    .read = plic_read,
    .write = plic_write,
    .valid = { .min_bytes = 4, .max_bytes = 4 },
};

static bool plic_realize(Device *dev, GError **error)
{
    Plic *plic = (Plic *)dev;

    plic->words = (plic->num_sources + 31) / 32;
    plic->context_count = 2 * plic->num_harts;
    plic->context = g_new0(PlicContext, plic->context_count);
    device_init_region(dev, "registers", &plic_ops,
                       CONTEXT_BASE + (uint64_t)plic->context_count * CONTEXT_STRIDE);
    device_init_irq_in(dev, plic->num_sources, plic_set_line);
    device_init_irq_out(dev, plic->context_count);
    return true;
}

static void plic_unrealize(Device *dev)
{
    g_clear_pointer(&((Plic *)dev)->context, g_free);
}

static void plic_reset(Device *dev)
{
    Plic *plic = (Plic *)dev;

    memset(plic->level, 0, sizeof(plic->level));
    memset(plic->pending, 0, sizeof(plic->pending));
    memset(plic->claimed, 0, sizeof(plic->claimed));
    memset(plic->priority, 0, sizeof(plic->priority));
    for (unsigned n = 0; n < plic->context_count; n++) {
        memset(plic->context[n].enable, 0, sizeof(plic->context[n].enable));
        plic->context[n].threshold = 0;
    }
    update_all(plic);
}

static const PropDef plic_props[] = {
    { .name = "num-sources",
      .type = PROP_U32,
      .offset = offsetof(Plic, num_sources),
      .fallback = "96",
      .min = 2,
      .max = MAX_SOURCES,
      .help = "interrupt sources, the unused source 0 included" },
    { .name = "num-harts",
      .type = PROP_U32,
      .offset = offsetof(Plic, num_harts),
      .fallback = "1",
      .min = 1,
      .max = MAX_HARTS,
      .help = "harts, each with a context for M and one for S" },
    { .name = NULL },
};

const DeviceClass riscv_plic_class = {
    .name = PLIC_CLASS,
    .summary = "RISC-V platform-level interrupt controller",
    .instance_bytes = sizeof(Plic),
    .props = plic_props,
    .realize = plic_realize,
    .unrealize = plic_unrealize,
    .reset = plic_reset,
};
