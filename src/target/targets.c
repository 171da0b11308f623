/* SPDX-License-Identifier: MIT */
/*
 * The guest architectures of this build. Each folder beside this file gives one TargetOps; this is
 * the one list of them.
 */
#include "orrery/impl/target.h"

#include <string.h>

#include "target/riscv/cpu.h"

static const TargetOps *const targets[] = {
    &riscv64_target_ops,
    NULL,
};

const TargetOps *const *target_list(void)
{
    return targets;
}

const TargetOps *target_find(const char *name)
{
    for (const TargetOps *const *target = targets; *target; target++) {
        if (strcmp((*target)->name, name) == 0) {
            return *target;
        }
    }
    return NULL;
}
