/* SPDX-License-Identifier: MIT */
/*
 * Which passes run, and the memory they share. The idea to hold: see opt.h; only when a branch went
 * away are blocks ordered anew.
 */
#include "tcg/opt.h"

#include <string.h>

void ir_optimise(IrRegion *region)
{
    Opt o = { .region = region, .epoch = 0 };
    uint32_t regs = IR_FIRST_TEMP + region->temp_count;
    uint8_t *at = ir_scratch(region, regs * (sizeof(*o.fact) + sizeof(*o.tick) + 3) +
                                         region->block_count * sizeof(*o.preds) + 256);
    uint16_t successors[2];

    o.fact = IR_CARVE(at, Fact, regs);
    o.tick = IR_CARVE(at, uint32_t, regs);
    o.temp_block = IR_CARVE(at, uint16_t, region->temp_count + 1);
    o.preds = IR_CARVE(at, uint16_t, region->block_count);
    o.temp_crosses = IR_CARVE(at, bool, region->temp_count + 1);
    for (uint32_t i = 0; i < regs; i++) {
        o.fact[i].epoch = 0;
    }
    memset(o.tick, 0, regs * sizeof(*o.tick));
    memset(o.temp_block, 0xff, region->temp_count * sizeof(*o.temp_block));
    memset(o.temp_crosses, 0, region->temp_count * sizeof(*o.temp_crosses));
    memset(o.preds, 0, region->block_count * sizeof(*o.preds));
    o.preds[0] = 1;
    for (uint32_t b = 0; b < region->block_count; b++) {
        unsigned n = ir_successors(ir_block_last(region, &region->blocks[b]), successors);

        for (unsigned s = 0; s < n; s++) {
            o.preds[successors[s]] = (uint16_t)MIN(o.preds[successors[s]] + 1, 2);
        }
    }
    opt_forward(&o);
    opt_dead(&o);
    if (o.changed_flow) {
        ir_region_finish(region);
    }
}
