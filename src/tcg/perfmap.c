/* SPDX-License-Identifier: MIT */
/*
 * Names for `perf`: which guest code a host address is. A perf map is a text file that perf finds by
 * the process's id; a jitdump has the code itself, so that perf annotate works after the process has
 * ended. The idea to hold: both are lists of blocks as they were made; perf sorts out by time which
 * of two at one address was there. The layout is that of
 * Documentation/tools/perf/jitdump-specification in Linux.
 */
#include "tcg/tb.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "orrery/impl/host-clock.h"
#include "orrery/impl/log.h"

struct TcgPerf {
    FILE *map, *dump;
    void *marker; /* mapping that makes perf notice the dump */
    uint64_t index;
};

typedef struct DumpHeader {
    uint32_t magic, version, total_size, elf_mach, pad, pid;
    uint64_t timestamp, flags;
} DumpHeader;

typedef struct DumpLoad {
    uint32_t id, total_size;
    uint64_t timestamp;
    uint32_t pid, tid;
    uint64_t vma, code_addr, code_size, code_index;
} DumpLoad;

static FILE *open_file(const char *format)
{
    char *path = g_strdup_printf(format, (int)getpid());
    FILE *file = fopen(path, "w+");

    if (!file) {
        orr_report_warning("cannot write %s for perf: %s", path, g_strerror(errno));
    }
    g_free(path);
    return file;
}

static void open_dump(struct TcgPerf *perf)
{
    DumpHeader header = {
        .magic = 0x4a695444,
        .version = 1,
        .total_size = sizeof(header),
        .elf_mach = EM_X86_64,
        .pid = (uint32_t)getpid(),
        .timestamp = (uint64_t)host_monotonic_ns(),
    };

    perf->dump = open_file("./jit-%d.dump");
    if (!perf->dump) {
        return;
    }
    fwrite(&header, sizeof(header), 1, perf->dump);
    fflush(perf->dump);
    perf->marker = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(perf->dump), 0);
}

struct TcgPerf *tcg_perf_open(const TcgOptions *options)
{
    struct TcgPerf *perf;

    if (!options->perfmap && !options->jitdump) {
        return NULL;
    }
    perf = g_new0(struct TcgPerf, 1);
    perf->marker = MAP_FAILED;
    if (options->perfmap) {
        perf->map = open_file("/tmp/perf-%d.map");
    }
    if (options->jitdump) {
        open_dump(perf);
    }
    return perf;
}

void tcg_perf_close(struct TcgPerf *perf)
{
    if (!perf) {
        return;
    }
    if (perf->map) {
        fclose(perf->map);
    }
    if (perf->dump) {
        fclose(perf->dump);
    }
    if (perf->marker != MAP_FAILED) {
        munmap(perf->marker, 4096);
    }
    g_free(perf);
}

void tcg_perf_block(TcgContext *context, const TcgTb *tb)
{
    struct TcgPerf *perf = context->perf;
    char name[64];

    g_snprintf(name, sizeof(name), "guest:0x%" G_GINT64_MODIFIER "x%s", tb->pc,
               tb->tier ? ":hot" : "");
    if (perf->map) {
        fprintf(perf->map, "%" G_GINTPTR_MODIFIER "x %x %s\n", (uintptr_t)tb->code_rx,
                tb->code_bytes, name);
        fflush(perf->map);
    }
    if (perf->dump) {
        DumpLoad load = {
            .total_size = (uint32_t)(sizeof(load) + strlen(name) + 1 + tb->code_bytes),
            .timestamp = (uint64_t)host_monotonic_ns(),
            .pid = (uint32_t)getpid(),
            .tid = (uint32_t)orr_thread_id(),
            .vma = (uintptr_t)tb->code_rx,
            .code_addr = (uintptr_t)tb->code_rx,
            .code_size = tb->code_bytes,
            .code_index = perf->index++,
        };

        fwrite(&load, sizeof(load), 1, perf->dump);
        fwrite(name, strlen(name) + 1, 1, perf->dump);
        fwrite(tb->code_rw, tb->code_bytes, 1, perf->dump);
    }
}
