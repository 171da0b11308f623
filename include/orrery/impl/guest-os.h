/* SPDX-License-Identifier: MIT */
/*
 * What the guest's own kernel is doing, for traces (docs/guest-awareness.md): which task a vCPU
 * runs and which system calls it makes. The idea to hold: a target calls here where the guest
 * enters or leaves its kernel and only while somebody listens; everything that is then learnt is
 * read from the guest's memory as a debugger would, is believed only after checks, and changes
 * nothing.
 */
#ifndef ORRERY_IMPL_GUEST_OS_H
#define ORRERY_IMPL_GUEST_OS_H

#include "orrery/impl/memory.h"

ORR_BEGIN_DECLS

typedef struct GuestOs GuestOs; /* one a machine */

#define GUEST_NAME_BYTES 65

/* What a vCPU was last seen to run: embedded in the target's vCPU, zeroed by reset. Its thread. */
typedef struct GuestVcpu {
    uint64_t task; /* the kernel's address of it; 0: none seen */
    int32_t pid, tgid;
    char comm[GUEST_NAME_BYTES];
    bool seen;
} GuestVcpu;

/* What the target can tell at the moment of a call. */
typedef struct GuestMoment {
    GuestVcpu *vcpu;
    unsigned cpu;
    uint64_t task;  /* the kernel's address of the current task, if this is Linux; 0: not now */
    uint64_t space; /* tells programs apart where tasks are not known: an address space */
    uint64_t code;  /* some address of the kernel's code, near which to look for its data */

    /* The guest's own numbers to names; NULL when it has none for a number. */
    const char *(*syscall_name)(uint64_t nr);

    /* Virtual to physical as a debugger sees it, in the address space of the moment. */
    bool (*translate)(void *opaque, uint64_t vaddr, uint64_t *paddr);
    void *opaque;
} GuestMoment;

/*
 * option is what -trace guest= says, or NULL: "auto" looks for the kernel in memory; "off" for
 * nothing; "pid:N+tgid:N+comm:N" gives the places of a task's fields; anything else is the path of
 * a file with the kernel's BTF in it (vmlinux, an uncompressed Image, /sys/kernel/btf/vmlinux).
 * Main thread. NULL with a GError: the option cannot be used.
 */
GuestOs *guest_os_create(Memory *memory, const char *option, GError **error);
void guest_os_destroy(GuestOs *os); /* NULL is fine */

/* Forgets the kernel: another may be started. All vCPUs are stopped. */
void guest_os_reset(GuestOs *os);

/*
 * The vCPU is at a moment that shows its task: emits guest:task_switch if that is another one than
 * last time. With refresh, a task that is the same is looked at too, for guest:task_rename. The
 * first moment that shows a task looks for the kernel, which reads all of the guest's RAM that is
 * in use; every other reads some bytes. The vCPU's thread, no lock needed.
 */
void guest_os_observe(GuestOs *os, const GuestMoment *moment, bool refresh);

/*
 * A program calls the kernel by the instruction at pc, and goes on at next_pc; a program goes on at
 * pc with ret in the register for results (it may not have called). The vCPU's thread.
 */
void guest_os_syscall_enter(GuestOs *os, const GuestMoment *moment, uint64_t nr,
                            const uint64_t args[6], uint64_t pc, uint64_t next_pc);
void guest_os_syscall_exit(GuestOs *os, const GuestMoment *moment, uint64_t pc, uint64_t ret);

/* Names of Linux's system calls on the architectures that share their numbers; NULL: none. */
const char *guest_linux_generic_syscall(uint64_t nr);

ORR_END_DECLS

#endif
