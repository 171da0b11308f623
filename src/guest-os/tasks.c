/* SPDX-License-Identifier: MIT */
/*
 * Reading a task. The idea to hold: whether an address is a task's is never certain, so what is
 * read there counts only if all of it looks as it would in one; a wrong address, or a wrong layout,
 * gives no pid and no name instead of strange ones.
 */
#include "guest-os/tasks.h"

#include <string.h>

/* Linux's PID_MAX_LIMIT on 64-bit machines. */
#define PID_LIMIT (4 << 20)

/* Guest memory by virtual address; the last page's translation is kept. */
typedef struct Reader {
    Memory *memory;
    const GuestMoment *moment;
    uint64_t vpage, ppage;
    bool has_page;
} Reader;

static bool read_virtual(Reader *reader, uint64_t vaddr, void *buffer, size_t bytes)
{
    const uint64_t mask = MEMORY_PAGE_SIZE - 1;
    uint8_t *to = buffer;

    while (bytes) {
        size_t part = (size_t)MIN(bytes, MEMORY_PAGE_SIZE - (vaddr & mask));
        uint64_t paddr;

        if (!reader->has_page || reader->vpage != (vaddr & ~mask)) {
            if (!reader->moment->translate(reader->moment->opaque, vaddr & ~mask, &paddr)) {
                return false;
            }
            reader->vpage = vaddr & ~mask;
            reader->ppage = paddr & ~mask;
            reader->has_page = true;
        }
        paddr = reader->ppage | (vaddr & mask);
        /* RAM only: a read of a device would be no observation. */
        if (!memory_host_ptr(reader->memory, paddr, part, false) ||
            memory_read(reader->memory, paddr, to, part) != MEMTX_OK) {
            return false;
        }
        to += part;
        vaddr += part;
        bytes -= part;
    }
    return true;
}

static bool printable(const char *name)
{
    for (const char *p = name; *p; p++) {
        if ((uint8_t)*p < ' ' || *p == 0x7f) {
            return false;
        }
    }
    return g_utf8_validate(name, -1, NULL);
}

bool guest_task_plausible(uint64_t task)
{
    return task >> 63 && task % 8 == 0;
}

TaskReading guest_task_read(Memory *memory, const GuestMoment *moment, const TaskLayout *layout,
                            GuestVcpu *out)
{
    Reader reader = { .memory = memory, .moment = moment };
    uint64_t task = moment->task;
    uint32_t pid, tgid;

    memset(out->comm, 0, sizeof(out->comm));
    out->task = task;
    out->pid = out->tgid = -1;
    if (!guest_task_plausible(task) ||
        !read_virtual(&reader, task + layout->pid, &pid, sizeof(pid)) ||
        !read_virtual(&reader, task + layout->tgid, &tgid, sizeof(tgid)) ||
        !read_virtual(&reader, task + layout->comm, out->comm,
                      MIN(layout->comm_bytes, GUEST_NAME_BYTES - 1))) {
        out->comm[0] = '\0';
        return TASK_UNREADABLE;
    }
    pid = GUINT32_FROM_LE(pid);
    tgid = GUINT32_FROM_LE(tgid);
    /* Only idle tasks have pid 0, and they have names: zeros are no task. */
    if (pid > PID_LIMIT || tgid > PID_LIMIT || (pid == 0) != (tgid == 0) ||
        (pid == 0 && !out->comm[0]) || !memchr(out->comm, '\0', layout->comm_bytes) ||
        !printable(out->comm)) {
        out->comm[0] = '\0';
        return TASK_WRONG;
    }
    out->pid = (int32_t)pid;
    out->tgid = (int32_t)tgid;
    return TASK_READ;
}
