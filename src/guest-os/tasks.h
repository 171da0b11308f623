/* SPDX-License-Identifier: MIT */
/*
 * Reading one task of the guest's kernel from its memory.
 */
#ifndef ORRERY_GUEST_OS_TASKS_H
#define ORRERY_GUEST_OS_TASKS_H

#include "guest-os/btf.h"
#include "orrery/impl/guest-os.h"

/* Could a 64-bit kernel have a task at this address? */
bool guest_task_plausible(uint64_t task);

/*
 * Reads the task at moment->task into *out, whose `seen` stays. false: what is there is no task, or
 * cannot be read; pid and tgid are -1 then and the name is empty. The vCPU's thread, no lock.
 */
bool guest_task_read(Memory *memory, const GuestMoment *moment, const TaskLayout *layout,
                     GuestVcpu *out);

#endif
