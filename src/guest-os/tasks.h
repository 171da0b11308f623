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

typedef enum TaskReading {
    TASK_READ,
    TASK_UNREADABLE, /* there is no memory at its places */
    TASK_WRONG,      /* what is there is no task */
} TaskReading;

/*
 * Reads the task at moment->task into *out, whose `seen` stays. Unless the result is TASK_READ, pid
 * and tgid are -1 and the name is empty. The vCPU's thread, no lock.
 */
TaskReading guest_task_read(Memory *memory, const GuestMoment *moment, const TaskLayout *layout,
                            GuestVcpu *out);

#endif
