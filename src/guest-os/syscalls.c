/* SPDX-License-Identifier: MIT */
/*
 * Names of system calls. The numbers are data, in linux-syscalls.def.
 */
#include "orrery/impl/guest-os.h"

#define LINUX_SYSCALL(nr_, name_) [nr_] = #name_,

static const char *const linux_generic[] = {
#include "guest-os/linux-syscalls.def"
};

#undef LINUX_SYSCALL

const char *guest_linux_generic_syscall(uint64_t nr)
{
    return nr < G_N_ELEMENTS(linux_generic) ? linux_generic[nr] : NULL;
}
