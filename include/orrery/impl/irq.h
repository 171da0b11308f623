/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: a wire from an output of one device to an input of another (or of a vCPU). A
 * line belongs to whoever receives it; outputs hold a pointer to it.
 */
#ifndef ORRERY_IMPL_IRQ_H
#define ORRERY_IMPL_IRQ_H

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef struct IrqLine IrqLine;

struct IrqLine {
    /* Machine lock held, unless the receiver says that its inputs are lockless (a vCPU's are). */
    void (*set)(void *opaque, unsigned n, int level);
    void *opaque;
    unsigned n;

    /* A test's tap: called instead of set when not NULL. Written under the machine lock. */
    void (*intercept)(void *opaque, IrqLine *line, int level);
    void *intercept_opaque;
};

/* NULL is a wire to nowhere. Level is 0 or 1. */
static inline void irq_set(IrqLine *line, int level)
{
    if (!line) {
        return;
    }
    if (G_UNLIKELY(line->intercept)) {
        line->intercept(line->intercept_opaque, line, level);
        return;
    }
    line->set(line->opaque, line->n, level);
}

ORR_END_DECLS

#endif
