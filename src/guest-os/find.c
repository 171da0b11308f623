/* SPDX-License-Identifier: MIT */
/*
 * Finds a Linux kernel's BTF and version banner among bytes: the guest's RAM, or a file. The idea
 * to hold: a kernel image lies in memory in one piece, so it is enough to look for the first bytes
 * of what is wanted. Everything is copied before it is looked at, since the guest goes on writing;
 * and however many beginnings a guest has planted, the work has a bound.
 */
#include "guest-os/internal.h"

#include <string.h>
#include <unistd.h>

#include "orrery/impl/error.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define NEAR_BYTES ((uint64_t)64 << 20) /* a kernel image is smaller */
#define PARSE_BYTES ((uint64_t)256 << 20)
#define BTF_ALIGNMENT 4

static const char banner_start[] = "Linux version ";

void kernel_search_init(KernelSearch *search)
{
    memset(search, 0, sizeof(*search));
    search->parse_budget = PARSE_BYTES;
}

/* ---- One find. */

static void try_btf(KernelSearch *search, const Bytes *bytes, uint64_t offset)
{
    uint8_t header[BTF_HEADER_BYTES];
    size_t size;
    uint8_t *data;

    if (bytes->size_bytes - offset < sizeof(header) ||
        !bytes->read(bytes, offset, header, sizeof(header))) {
        return;
    }
    size = btf_size(header);
    if (size == 0 || size > bytes->size_bytes - offset || size > search->parse_budget) {
        return;
    }
    search->parse_budget -= size;
    data = g_try_malloc(size);
    if (data && bytes->read(bytes, offset, data, size)) {
        search->has_layout = btf_task_layout(data, size, &search->layout);
    }
    g_free(data);
}

static void try_banner(KernelSearch *search, const char *text, size_t length)
{
    size_t start = strlen(banner_start);
    size_t end = start;

    if (length <= start || !g_ascii_isdigit(text[start])) {
        return; /* a format string */
    }
    while (end < length && end < BANNER_BYTES - 1 && text[end] >= ' ' && text[end] <= '~') {
        end++;
    }
    memcpy(search->banner, text, end);
    search->banner[end] = '\0';
    search->has_banner = true;
}

/* ---- The search. Chunks overlap by what a find needs to be recognised. */

static void search_chunk(KernelSearch *search, const Bytes *bytes, uint64_t offset,
                         const uint8_t *chunk, size_t length, size_t fresh)
{
    const uint8_t *at = chunk;
    size_t left = length;

    while (!search->has_layout && (at = memmem(at, left, btf_magic, sizeof(btf_magic)))) {
        uint64_t place = (uint64_t)(at - chunk);

        if (place < fresh && (offset + place) % BTF_ALIGNMENT == 0) {
            try_btf(search, bytes, offset + place);
        }
        at++;
        left = length - place - 1;
    }
    at = chunk;
    left = length;
    while (!search->has_banner && (at = memmem(at, left, banner_start, strlen(banner_start)))) {
        size_t place = (size_t)(at - chunk);

        if (place < fresh) {
            try_banner(search, (const char *)at, length - place);
        }
        at++;
        left = length - place - 1;
    }
}

void kernel_search(KernelSearch *search, const Bytes *bytes, uint64_t from, uint64_t to)
{
    uint8_t *chunk = g_try_malloc(CHUNK_BYTES + BANNER_BYTES);

    to = MIN(to, bytes->size_bytes);
    while (chunk && from < to && !(search->has_layout && search->has_banner)) {
        uint64_t data = bytes->next_data(bytes, from);
        size_t fresh, length;

        if (data >= to) {
            break;
        }
        from = data;
        fresh = (size_t)MIN(to - from, CHUNK_BYTES);
        length = (size_t)MIN(bytes->size_bytes - from, fresh + BANNER_BYTES);
        if (bytes->read(bytes, from, chunk, length)) {
            search_chunk(search, bytes, from, chunk, length, fresh);
        }
        from += fresh;
    }
    g_free(chunk);
}

/* ---- RAM. Read through its file: so that pages nobody has touched are skipped, and stay so. */

static uint64_t ram_next_data(const Bytes *bytes, uint64_t offset)
{
    const RamBlock *ram = bytes->opaque;
    off_t data;

    if (ram->fd < 0) {
        return offset;
    }
    data = lseek(ram->fd, (off_t)offset, SEEK_DATA);
    return data < 0 ? bytes->size_bytes : MAX((uint64_t)data, offset);
}

static bool ram_read(const Bytes *bytes, uint64_t offset, void *buffer, size_t length)
{
    const RamBlock *ram = bytes->opaque;
    size_t done = 0;

    while (done < length) {
        ssize_t part = pread(ram->fd, (char *)buffer + done, length - done, (off_t)(offset + done));

        if (part <= 0) {
            return false;
        }
        done += (size_t)part;
    }
    return true;
}

void kernel_search_memory(KernelSearch *search, Memory *memory, uint64_t paddr)
{
    uint32_t token = memory_read_enter(memory);
    MemSection section;

    if (memory_find(memory, paddr, &section) && section.ram) {
        Bytes bytes = { .size_bytes = section.ram->size_bytes,
                        .next_data = ram_next_data,
                        .read = ram_read,
                        .opaque = section.ram };
        uint64_t here = section.offset & ~(uint64_t)(MEMORY_PAGE_SIZE - 1);
        uint64_t low = here - MIN(here, NEAR_BYTES);

        kernel_search(search, &bytes, here, here + NEAR_BYTES);
        kernel_search(search, &bytes, low, here);
        kernel_search(search, &bytes, here + NEAR_BYTES, bytes.size_bytes);
        kernel_search(search, &bytes, 0, low);
    }
    memory_read_exit(memory, token);
}

/* ---- A file. */

static uint64_t file_next_data(const Bytes *bytes, uint64_t offset)
{
    return offset;
}

static bool file_read(const Bytes *bytes, uint64_t offset, void *buffer, size_t length)
{
    memcpy(buffer, (const char *)bytes->opaque + offset, length);
    return true;
}

bool kernel_search_file(KernelSearch *search, const char *path, GError **error)
{
    GError *why = NULL;
    GMappedFile *file = g_mapped_file_new(path, FALSE, &why);
    Bytes bytes = { .next_data = file_next_data, .read = file_read };

    if (!file) {
        orr_fail(error, ORR_ERROR_IO, "guest=%s is no keyword and cannot be read as a file: %s",
                 path, why->message);
        g_error_free(why);
        return false;
    }
    bytes.opaque = g_mapped_file_get_contents(file);
    bytes.size_bytes = bytes.opaque ? g_mapped_file_get_length(file) : 0;
    kernel_search(search, &bytes, 0, bytes.size_bytes);
    g_mapped_file_unref(file);
    return search->has_layout ||
           orr_fail(error, ORR_ERROR_INVALID,
                    "guest=%s: there is no BTF in it that describes struct task_struct; name a "
                    "vmlinux made with CONFIG_DEBUG_INFO_BTF or give guest=pid:N+tgid:N+comm:N",
                    path);
}
