/* SPDX-License-Identifier: MIT */
/*
 * The run time of the translator as its neighbours see it: the accelerator's part of a vCPU
 * (TcgCpu), what a machine's vCPUs share (TcgContext), and what helpers of a front end may call. The
 * idea to hold: a TcgCpu belongs to the thread that runs the vCPU; other threads leave requests in it, and
 * take write permission out of its tables.
 */
#ifndef ORRERY_TCG_RUNTIME_H
#define ORRERY_TCG_RUNTIME_H

#include "orrery/impl/cpus.h"
#include "tcg/target.h"

typedef struct TcgContext TcgContext;
typedef struct TcgView TcgView;

/* Counters; the vCPU's thread writes, anyone reads with relaxed loads. */
typedef struct TcgCounters {
    uint64_t exits;   /* returns from generated code to the run loop */
    uint64_t lookups; /* of code by pc, in C */
    uint64_t slow;    /* loads, stores, atomics that came to C */
    uint64_t fills;   /* page walks made for the TLB */
    uint64_t victims; /* misses served by the victim table */
    uint64_t flushes; /* all kinds */
    uint64_t resizes; /* of TLB tables */
    uint64_t mmio;    /* accesses to devices */
    uint64_t faults;  /* of memory accesses */
    uint64_t blocks;  /* translations made */
    uint64_t tier1;   /* of these, of hot code */
} TcgCounters;

#define TCG_VIEW_COUNT 16

/* Ways of taking translations back. */
typedef enum TcgFlush {
#define TLB_FLUSH(name_, what_) TCG_FLUSH_##name_,
#include "tcg/tlb-flush.def"
#undef TLB_FLUSH
    TCG_FLUSH_COUNT,
} TcgFlush;

struct TcgCpu {
    TcgCpuFast fast; /* first */

    Vcpu *vcpu;
    void *cpu; /* the target's CPU struct, as TcgTarget's functions take it */
    const TcgTarget *target;
    TcgContext *context;

    /*
     * A VcpuExit: what the run loop returns after a helper has said TCG_STEP_STOP, or TCG_EXIT_STOP.
     * The helper stores it (and vcpu->halted first, for VCPU_EXIT_HALTED).
     */
    uint32_t stop_reason;

    void *target_state; /* of the front end's helpers; see TcgTarget.state_destroy */

    /* The rest is the run time's own. */
    TcgView *view; /* selected */
    TcgView *views[TCG_VIEW_COUNT];
    uint64_t selections;
    uint32_t mmu_version;
    uint32_t log_items;
    struct TcgMaker *maker; /* what translating needs; tb.c */
    uint64_t fence_seq;     /* blocks made up to here have been compared with memory by fence.i */
    uint64_t entered_seq; /* as fence_seq, when it entered guest code; UINT64_MAX: not in; atomic */
    bool single;          /* the region being made is of one instruction */
    TcgCounters counters;
    uint64_t flush_kinds[TCG_FLUSH_COUNT]; /* counters, by kind */

    /* Asked for by other threads; atomics. */
    bool flush_views, flush_code;

    int64_t asleep_ns; /* tcg-rr: since when there is nothing to do; 0: there is */
};

/* The TcgCpu of a vCPU that a tcg accelerator runs. Its thread, or the machine lock held. */
static inline TcgCpu *tcg_cpu(const Vcpu *vcpu)
{
    return vcpu->accel.opaque;
}

static inline void tcg_count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* ---- For helpers (IR_OP_syscall): the vCPU's thread, state in the CPU struct. */

/*
 * Take cached translations back, before the helper's next guest access or instruction. space is compared under
 * space_mask with TcgViewKey.space: mask 0 means every address space. After it a helper returns
 * TCG_STEP_JUMP or TCG_STEP_RESUME: not TCG_STEP_NEXT.
 */
void tcg_flush_all(TcgCpu *cpu);
void tcg_flush_space(TcgCpu *cpu, uint64_t space, uint64_t space_mask);
void tcg_flush_page(TcgCpu *cpu, uint64_t va, uint64_t space, uint64_t space_mask);
void tcg_flush_range(TcgCpu *cpu, uint64_t va, uint64_t length_bytes, uint64_t space,
                     uint64_t space_mask);

/* The pages whose low `bits` bits of the address are va's; may take back more. */
void tcg_flush_page_bits(TcgCpu *cpu, uint64_t va, unsigned bits, uint64_t space,
                         uint64_t space_mask);

/* All vCPUs: without waiting, or done when the caller's block has ended (return TCG_STEP_RESUME). */
void tcg_flush_all_vcpus(TcgCpu *cpu);
void tcg_flush_all_vcpus_synced(TcgCpu *cpu);

/* Instructions fetched from here on are what memory holds. Return TCG_STEP_JUMP. */
void tcg_fence_i(TcgCpu *cpu);

/*
 * Accrued flags of the host's unit go to the target (fp_accrue) and are cleared there; before a
 * helper reads them. tcg_fp_changed: rounding mode was written.
 */
void tcg_fp_pull(TcgCpu *cpu);
void tcg_fp_changed(TcgCpu *cpu);

/* Where an access goes: RAM (host is good until the next flush), or a device. */
typedef struct TcgPlace {
    RamBlock *ram;   /* NULL: device or nothing */
    uint64_t offset; /* in ram */
    uint64_t paddr;
    uint8_t *host; /* NULL when ram is NULL */
} TcgPlace;

/*
 * Translates an access that does not cross a page, by way of the TLB. false: *cause says why not. The
 * caller raises it. After writing to place->host comes tcg_written.
 */
bool tcg_find(TcgCpu *cpu, uint64_t va, unsigned size, TcgAccess access, TcgPlace *place,
              unsigned *cause);
void tcg_written(const TcgPlace *place, unsigned size);

/* A load or store of 1, 2, 4 or 8 bytes by a helper. false: *cause says why not. */
bool tcg_load(TcgCpu *cpu, uint64_t va, unsigned size, uint64_t *value, unsigned *cause);
bool tcg_store(TcgCpu *cpu, uint64_t va, unsigned size, uint64_t value, unsigned *cause);

#endif
