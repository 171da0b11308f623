/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share besides the boards' own headers.
 */
#ifndef ORRERY_MACHINE_INTERNAL_H
#define ORRERY_MACHINE_INTERNAL_H

#include "orrery/impl/machine.h"

extern const MachineClass virt_machine_class;

/* By name or alias; NULL names the target's default. NULL with a GError when there is none. */
const MachineClass *machine_class_choose(const char *name, const TargetOps *target, GError **error);

/* The properties among the items of -machine; "type" and "accel" are not theirs. */
bool machine_set_props(Machine *machine, const GArray *pairs, GError **error);

#endif
