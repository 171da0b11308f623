/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share: finding a kernel in memory or in a file.
 */
#ifndef ORRERY_GUEST_OS_INTERNAL_H
#define ORRERY_GUEST_OS_INTERNAL_H

#include "guest-os/btf.h"
#include "orrery/impl/guest-os.h"

#define BANNER_BYTES 256

/* What a search is for, and what of it has been found. */
typedef struct KernelSearch {
    bool has_layout, has_banner;
    TaskLayout layout;
    char banner[BANNER_BYTES]; /* "Linux version 6.12 ...", printable, one line */
    uint64_t parse_budget;     /* bytes of BTF still to be read: a guest may plant many */
} KernelSearch;

void kernel_search_init(KernelSearch *search);

/* A stretch of bytes that is read piece by piece. */
typedef struct Bytes {
    uint64_t size_bytes;

    /* The next offset from here on at which there may be anything but zeros; size_bytes: none. */
    uint64_t (*next_data)(const struct Bytes *bytes, uint64_t offset);

    /* false: cannot be read. [offset, offset + length) is inside. */
    bool (*read)(const struct Bytes *bytes, uint64_t offset, void *buffer, size_t length);
    const void *opaque;
} Bytes;

/* Looks in [from, to) for what is not found yet. What begins there may end later. Any thread. */
void kernel_search(KernelSearch *search, const Bytes *bytes, uint64_t from, uint64_t to);

/* The RAM around a physical address, nearest first. Any thread, no lock. */
void kernel_search_memory(KernelSearch *search, Memory *memory, uint64_t paddr);

/* false with a GError: the file cannot be read, or has no BTF that tells of tasks. */
bool kernel_search_file(KernelSearch *search, const char *path, GError **error);

#endif
