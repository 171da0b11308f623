/* SPDX-License-Identifier: MIT */
/*
 * What the files of the run time share: blocks, the code cache, views as C sees them. The idea to
 * hold: whoever is in generated code (a vCPU between exec begin and exec end) may still run a block, or read
 * its description, after it was taken out of every table; so memory of blocks is given back in
 * exclusive sections alone.
 */
#ifndef ORRERY_TCG_TB_H
#define ORRERY_TCG_TB_H

#include "orrery/impl/lock.h"
#include "tcg/runtime.h"

/* ---- Blocks. */

typedef struct TcgGuestPos {
    uint16_t offset;  /* of the guest instruction in its page */
    uint16_t pending; /* retired before it and not yet counted */
} TcgGuestPos;

/* An exit that can lead straight to another block. Lock: TcgContext.lock. */
typedef struct TcgTbLink {
    TcgLink link;
    TcgTb *to;        /* NULL: not made */
    TcgTb *next_from; /* the next that leads to the same block, with its slot */
    uint32_t next_slot;
} TcgTbLink;

struct TcgTb {
    /* What finding one compares comes first, so that it is one line of the host's cache. */
    uint64_t pc;
    RamBlock *ram;
    uint64_t offset;  /* of pc in ram */
    TcgTb *hash_next; /* atomic */
    unsigned flags;
    uint8_t tier;
    bool crosses; /* one instruction in two pages; never linked to */
    bool dead;    /* taken out; atomic */
    const uint8_t *code_rx;

    /* Constant once it can be found, as the above. */
    RamBlock *ram2;
    uint64_t offset2;               /* of the second page, when it crosses */
    uint16_t first_byte, last_byte; /* in the page, looked at when it was made */
    uint32_t insns;
    uint8_t *code_rw;
    uint32_t code_bytes, kill_stub, site_count, link_count, dirty_count;
    uint64_t seq; /* counts the blocks of the context */
    const TcgSite *sites;
    const TcgDirtySet *dirty;
    const int8_t *homes; /* by global: host register or -1 */
    const TcgGuestPos *guest;
    const uint8_t *bytes; /* the guest's, first to last */
    void *tables;         /* that the pointers above point into */

    TcgTb *page_next[2]; /* of the lists of both pages; lock */
    TcgTbLink *links;    /* lock */
    TcgTb *from;         /* first link that leads here */
    uint32_t from_slot;
    uint32_t hot; /* times its counter ran out; its vCPUs, roughly */
};

/* ---- What a machine's vCPUs share. */

#define TCG_CHUNK_BYTES (256u << 10)
#define TCG_SEGMENTS 8
#define TCG_HASH_BITS 16
#define TCG_YOUNG 4096    /* blocks that fence.i can find without looking at all */
#define TCG_START_SHIFT 4 /* blocks begin at multiples of 16 bytes */

#define TCG_MAX_RAMS 64

/* Translations of a RAM block, by page. */
typedef struct TcgRam {
    RamBlock *block;
    uint64_t pages;
    uint64_t *map; /* by page: a bit for each 64 bytes that a block has looked at; atomics */
    TcgTb **tbs;   /* by page; lock */
} TcgRam;

typedef struct TcgSegment {
    GPtrArray *tbs; /* all that were made in it, dead ones too; lock */
    uint32_t used_bytes;
} TcgSegment;

/* How to execute without translating: for single steps and breakpoints. NULL: not at all. */
typedef struct TcgStepper {
    void *(*create)(Vcpu *vcpu);
    void (*destroy)(void *state);
    VcpuExit (*run)(void *state);
    VcpuExit (*step)(void *state);
    void (*flush)(void *state, bool code);
} TcgStepper;

typedef struct TcgOptions {
    uint64_t cache_bytes;
    const TcgHost *host;
    const TcgStepper *stepper;
    bool one_insn;
    bool perfmap, jitdump;
    uint32_t hot;  /* entries before a block is made again as tier 1; 0: never */
    bool parallel; /* vCPUs run at the same time */
} TcgOptions;

typedef struct TcgStats {
    uint64_t blocks, tier1, code_bytes, guest_bytes, guest_insns, host_ns;
    uint64_t invalidated, links, unlinks, reclaims, young_checks, live, dropped;
} TcgStats;

struct TcgContext {
    const TcgTarget *target;
    const TcgHost *host;
    TcgOptions options;
    TcgHostFeatures features;
    TcgHostCalls calls;
    TcgThunks thunks;
    Memory *memory;
    const LogSet *log;

    /* The code cache: one piece of memory, mapped twice. */
    uint8_t *rw;
    const uint8_t *rx;
    uint64_t cache_bytes, thunk_bytes, segment_bytes;
    uint64_t *starts; /* a bit where a block begins; atomics */

    /*
     * lock: everything below but what readers use without it (hash and its chains, TcgRam.map). A
     * leaf: nothing is waited for with it held.
     */
    OrrMutex lock;
    TcgTb **hash; /* atomics */
    TcgRam *rams;
    uint32_t ram_count; /* atomic; entries stay where they are */
    TcgSegment segment[TCG_SEGMENTS];
    uint32_t segment_now;
    bool reclaiming;         /* some vCPU will do it; atomic */
    uint64_t seq;            /* blocks made; atomic */
    TcgTb *young[TCG_YOUNG]; /* by seq; NULL when freed */
    GPtrArray *cpus;         /* TcgCpu */
    TcgStats stats;
    struct TcgPerf *perf;
};

/* TcgCpu.stop_reason of the run time's own: execute one instruction without translating. */
#define TCG_STOP_STEP 1000u

/* What translating needs; belongs to a vCPU's thread. */
typedef struct TcgMaker {
    IrRegion *region;
    IrAllocation allocation;
    TcgEmitter *emitter;
    uint64_t chunk, chunk_left; /* offset in the cache, bytes; lock for others */
    void *stepper;
    bool stepper_ran; /* it has state of its own to be flushed */
} TcgMaker;

/* ---- Views as C sees them. */

typedef struct TcgTlbPage {
    RamBlock *ram; /* NULL: no RAM */
    uint64_t paddr;
} TcgTlbPage;

#define TCG_VICTIMS 8
#define TCG_USED_LIST 4096
#define TCG_JUMP_LIST 512
#define TCG_FETCH_SIZE 64

typedef struct TcgVictim {
    TcgTlbEntry entry;
    TcgTlbPage page;
} TcgVictim;

/* One of the two tables of a view. */
typedef struct TcgTable {
    TcgTlbEntry *entries;
    TcgTlbPage *pages;
    uint64_t *mask; /* in TcgViewFast */
    unsigned bits;
    uint32_t conflicts;  /* entries pushed out since the table was emptied or resized */
    uint32_t used_count; /* of `used`; more than it holds: unknown which */
    uint32_t idle;       /* flushes in a row that found it nearly empty */
    unsigned victim_next;
    TcgVictim victim[TCG_VICTIMS];
    uint16_t used[TCG_USED_LIST];
} TcgTable;

typedef struct TcgFetch {
    uint64_t tag; /* virtual page, or TCG_TLB_EMPTY */
    RamBlock *ram;
    uint64_t offset; /* of the page */
} TcgFetch;

/* Addresses that are base under mask. */
typedef struct TcgRegion {
    uint64_t base, mask;
} TcgRegion;

#define TCG_LARGE 6
#define TCG_FETCHED_BITS 16384u

struct TcgView {
    TcgViewFast fast;
    TcgTlbPage load_page[TCG_TLB_MAX], store_page[TCG_TLB_MAX];
    TcgCpu *cpu;
    TcgViewKey key;
    uint64_t used;
    bool stale;                 /* empty it before use */
    TcgRegion large[TCG_LARGE]; /* all kept pages above 4 KiB are in one of them; mask 0: none */
    uint64_t
        fetched[TCG_FETCHED_BITS / 64]; /* a bit for each hash of a page with jumps or fetches */
    bool any_fetched;
    TcgTable load, store;
    uint32_t jump_count;
    uint16_t jump[TCG_JUMP_LIST];
    TcgFetch fetch[TCG_FETCH_SIZE];
};

/* ---- view.c: the vCPU's thread. */
/* Selects the view that fits the CPU's state, empty if it was stale. */
TcgView *tcg_view_select(TcgCpu *cpu);
void tcg_view_destroy_all(TcgCpu *cpu);
void tcg_view_forget_jumps(TcgCpu *cpu);
void tcg_view_note_large(TcgView *view, uint64_t va, unsigned page_bits);
static inline unsigned tcg_jump_index(uint64_t tag)
{
    return (tag >> 1) & (TCG_JUMP_SIZE - 1);
}

void tcg_view_set_jump(TcgView *view, uint64_t pc, unsigned flags, const void *code);

/* Any thread, TcgContext.lock held: no store entry of any view leads to the page without asking. */
void tcg_view_watch(TcgContext *context, RamBlock *block, uint64_t page);

static inline uint32_t tcg_fetched_index(uint64_t va)
{
    return (uint32_t)(((va >> TCG_PAGE_BITS) * UINT64_C(0x9e3779b97f4a7c15)) >> 32) %
           TCG_FETCHED_BITS;
}

/* The page of va has entries among jumps or fetches; or one that ends in it has. */
static inline void tcg_note_fetched(TcgView *view, uint64_t va)
{
    uint32_t index = tcg_fetched_index(va);

    view->fetched[index / 64] |= UINT64_C(1) << index % 64;
    view->any_fetched = true;
}

/* ---- tlb.c */
void tcg_table_init(TcgTable *table, TcgTlbEntry *entries, TcgTlbPage *pages, uint64_t *mask);
void tcg_table_empty(TcgCpu *cpu, TcgTable *table);
void tcg_table_drop(TcgTable *table, uint64_t page);
TcgValue tcg_slow_load(TcgCpu *cpu, uint64_t va, uint32_t mem, TcgFrame *frame);
TcgValue tcg_slow_store(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame);
TcgValue tcg_slow_amo(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame);
TcgValue tcg_slow_cas(TcgCpu *cpu, uint64_t va, uint64_t expected, uint64_t value, uint32_t mem,
                      TcgFrame *frame);

/* ---- tb.c: the vCPU's thread. */
TcgValue tcg_lookup(TcgCpu *cpu);
TcgValue tcg_make_link(TcgCpu *cpu, TcgTb *tb, uint32_t slot);
TcgValue tcg_make_hot(TcgCpu *cpu, TcgTb *tb);

/* State before the instruction of the frame's site goes to the CPU struct; pc and count are exact. */
void tcg_unwind(TcgCpu *cpu, const TcgFrame *frame);

/* The exact count around an access to a device: what the CPU struct had is put back by the second. */
uint64_t tcg_count_begin(TcgCpu *cpu, const TcgFrame *frame);
void tcg_count_end(TcgCpu *cpu, uint64_t before);

/* ---- cache.c */
bool tcg_cache_open(TcgContext *context, GError **error);
void tcg_cache_close(TcgContext *context);
TcgRam *tcg_ram_of(TcgContext *context, const RamBlock *block);

/* Machine lock held. Blocks beyond the first 64 are not translated from. */
void tcg_ram_added(TcgContext *context, RamBlock *block);
void tcg_ram_removed(TcgContext *context, RamBlock *block);

/* As MemoryListener has them. */
bool tcg_code_written(TcgContext *context, RamBlock *block, uint64_t offset, uint64_t length_bytes);
void tcg_page_watched(TcgContext *context, RamBlock *block, uint64_t page);

/* Room for a block, at least 4 KiB; false: the cache has to be emptied first. The vCPU's thread. */
bool tcg_cache_room(TcgCpu *cpu, TcgCodeBuffer *out, bool fresh);
void tcg_cache_take(TcgCpu *cpu, TcgTb *tb);         /* tb's code stays where it is */
void tcg_cache_untake(TcgCpu *cpu, const TcgTb *tb); /* the last that was taken */
TcgTb *tcg_cache_block_at(const TcgContext *context, uintptr_t address); /* NULL: none */

/* Of code that a block begins with: its pointer stands before it. */
static inline TcgTb *tcg_cache_block_of(const void *code)
{
    return ((TcgTb *const *)code)[-1];
}

/* Lock-free. */
TcgTb *tcg_hash_find(TcgContext *context, uint64_t pc, const RamBlock *ram, uint64_t offset,
                     unsigned flags);

/*
 * Makes it known unless the page has been written since `version`, or there is one already (then that
 * one is *present). false: not known; free it.
 */
bool tcg_tb_insert(TcgContext *context, TcgTb *tb, uint32_t version, uint32_t version2,
                   TcgTb **present);
void tcg_tb_free(TcgTb *tb);
void tcg_tb_invalidate(TcgContext *context, TcgTb *tb, const char *why); /* lock held */
void tcg_tb_invalidate_all(TcgContext *context, const char *why);
void tcg_tb_link(TcgContext *context, TcgTb *from, uint32_t slot, TcgTb *to);

/* In an exclusive section: gives the oldest segment back. */
void tcg_cache_reclaim(TcgContext *context);

/* ---- runtime.c */

/*
 * The context of a machine. init: machine lock, before the first vCPU; false: error is set, and destroy
 * takes what there is. The memory's listener is the accelerator's; it hands on what concerns RAM.
 */
TcgContext *tcg_context_create(const TcgTarget *target, Memory *memory, const TcgOptions *options,
                               GError **error);
void tcg_context_destroy(TcgContext *context); /* no vCPU left; NULL is fine */

/* Machine lock held, any thread. destroy: NULL is fine. */
TcgCpu *tcg_cpu_create(TcgContext *context, Vcpu *vcpu);
void tcg_cpu_destroy(TcgCpu *cpu);

/* The vCPU's thread, between exec begin and exec end. */
VcpuExit tcg_run(TcgCpu *cpu);
VcpuExit tcg_step(TcgCpu *cpu);

/* Before the next instruction after run is entered. Any thread. */
void tcg_request_flush(TcgCpu *cpu, bool code);

/* Any thread. */
void tcg_cpu_stats(const TcgCpu *cpu, AccelVcpuStats *stats);
void tcg_info_jit(TcgContext *context, GString *out);

/* ---- perfmap.c */
struct TcgPerf *tcg_perf_open(const TcgOptions *options);
void tcg_perf_close(struct TcgPerf *perf);
void tcg_perf_block(TcgContext *context, const TcgTb *tb); /* lock held */

#endif
