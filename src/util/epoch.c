/* SPDX-License-Identifier: MIT */
/*
 * The writer's half of epoch reclamation. The idea to hold: a reader that loaded the generation just
 * before a flip may still enter the one being drained, so one drained generation proves nothing; but
 * a reader that enters after the writer saw its stripe empty also sees what the writer published
 * before, so two flips, each followed by a drain, are enough.
 */
#include "orrery/impl/epoch.h"

#include <sched.h>

void orr_epoch_init(OrrEpoch *epoch)
{
    epoch->current = 0;
    for (unsigned i = 0; i < ORR_EPOCH_STRIPES; i++) {
        epoch->stripe[i].readers[0] = 0;
        epoch->stripe[i].readers[1] = 0;
    }
    orr_mutex_init(&epoch->writer, "epoch writer");
}

void orr_epoch_finish(OrrEpoch *epoch)
{
    orr_mutex_finish(&epoch->writer);
}

static void drain(OrrEpoch *epoch, uint32_t generation)
{
    for (unsigned i = 0; i < ORR_EPOCH_STRIPES; i++) {
        while (orr_load_seq_cst(&epoch->stripe[i].readers[generation])) {
            sched_yield();
        }
    }
}

void orr_epoch_synchronize(OrrEpoch *epoch)
{
    orr_mutex_lock(&epoch->writer);
    for (unsigned flip = 0; flip < 2; flip++) {
        uint32_t old = orr_fetch_add(&epoch->current, 1u) & 1;

        drain(epoch, old);
    }
    orr_mutex_unlock(&epoch->writer);
}
