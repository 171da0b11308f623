/* SPDX-License-Identifier: MIT */
/*
 * Reads BTF, the type information that a Linux kernel carries with it (its section .BTF), as far as
 * it takes to learn where in a task the pid and the name are. The bytes are the guest's: nothing in
 * them is believed before it has been checked, and reading them costs no more than a pass over
 * them.
 */
#ifndef ORRERY_GUEST_OS_BTF_H
#define ORRERY_GUEST_OS_BTF_H

#include "orrery/impl/compiler.h"

/* Where fields of a struct task_struct are, in bytes from its start. */
typedef struct TaskLayout {
    uint32_t pid, tgid; /* 32-bit signed integers */
    uint32_t comm, comm_bytes;
} TaskLayout;

/* The fixed head of BTF data, and the first bytes by which to look for it. */
#define BTF_HEADER_BYTES 24
#define BTF_MAX_BYTES ((size_t)64 << 20)
extern const uint8_t btf_magic[8];

/*
 * How many bytes the BTF data that begins with this header has in all. 0: this is no header, or of
 * data of more than BTF_MAX_BYTES. Any thread.
 */
size_t btf_size(const uint8_t header[BTF_HEADER_BYTES]);

/*
 * The layout of a task by the types in data. false: the data is damaged, or has no struct
 * task_struct with the fields wanted in the types that they have in Linux. Any thread; nothing is
 * written but *layout, and that on success alone. Linux: Documentation/bpf/btf.rst.
 */
bool btf_task_layout(const uint8_t *data, size_t size_bytes, TaskLayout *layout);

#endif
