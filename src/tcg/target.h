/* SPDX-License-Identifier: MIT */
/*
 * The contract between the translator and a guest architecture. The idea to hold: the front end
 * (translate) sees bytes and writes IR; everything that needs the CPU's state goes through the other
 * functions here, which the run time calls on the vCPU's thread. `cpu` is the target's CPU struct,
 * which the translator never looks into.
 */
#ifndef ORRERY_TCG_TARGET_H
#define ORRERY_TCG_TARGET_H

#include "tcg/host.h"

/* What decides about translation of data and instruction addresses besides memory's contents. */
typedef struct TcgViewKey {
    uint64_t space; /* address space: satp, cr3; 0 where there is none */
    uint64_t mode;  /* privileges and the like */
} TcgViewKey;

typedef enum TcgAccess { TCG_ACCESS_LOAD, TCG_ACCESS_STORE, TCG_ACCESS_FETCH } TcgAccess;

typedef struct TcgWalk {
    uint64_t paddr;
    unsigned page_bits; /* of the leaf; 12 and up; 64: not translated at all */
    uint8_t prot;       /* bits 1 << TcgAccess that may be done without asking again */
    bool cacheable;     /* false: ask each time */
    unsigned cause;     /* of the fault, the target's own numbering */
} TcgWalk;

/* What translate is given. All pointers are good during the call. */
typedef struct TcgSource {
    void *cpu;   /* for constants of the CPU (its extensions) and logs alone: never its state */
    uint64_t pc; /* where the region is entered */
    const uint8_t *page; /* host address of the page that holds pc */

    /*
     * The page after it, when an instruction at the very end of the page needs it and the caller has
     * it; else NULL. Only for a region whose first instruction crosses: it is that instruction alone.
     */
    const uint8_t *next_page;
    unsigned tb_flags;  /* what cpu_flags returned */
    unsigned max_insns; /* guest instructions in the region */

    /*
     * 0: one run of instructions from pc, up to the first jump or branch that leaves it. 1: a region:
     * also what branches lead to, within the page, where wanted() says so.
     */
    unsigned tier;
    bool (*wanted)(void *opaque, uint64_t pc);     /* tier 1: has run before */
    bool (*breakpoint)(void *opaque, uint64_t pc); /* stop before this instruction */
    void *opaque;
} TcgSource;

/* What translate says besides the region. Byte offsets in the page; for invalidation. */
typedef struct TcgTranslated {
    uint32_t first_byte, last_byte; /* lowest and highest guest byte that was looked at */

    /*
     * The first instruction crosses into the next page. With next_page the region is made of it; without,
     * the region is not looked at, and translate is called again with next_page (or the fetch faults).
     * An instruction that crosses and is not the first ends the region before it.
     */
    bool crosses;
} TcgTranslated;

typedef struct TcgTarget {
    const char *name;
    const IrTarget *ir;

    /* Value of the env register for this CPU. */
    void *(*env)(void *cpu);
    uint64_t (*get_pc)(void *cpu);
    void (*set_pc)(void *cpu, uint64_t pc);

    void (*view_key)(void *cpu, TcgViewKey *out);

    /*
     * State that translations depend on besides the pc: two regions of one pc with different flags are
     * different. Bit 0 may change while a view stays selected; the others are also in its key's mode.
     */
    unsigned (*cpu_flags)(void *cpu);

    /* Rounding mode for TcgCpuFast.fp_round, and accrued flags (NV 16, DZ 8, OF 4, UF 2, NX 1). */
    unsigned (*fp_round)(void *cpu);
    void (*fp_accrue)(void *cpu, unsigned flags);

    const TcgFpu *fpu; /* exact arithmetic; see TcgFpu */

    /* Grows when cached walks are stale in all views; compared at each entry. */
    uint32_t (*mmu_version)(void *cpu);

    /* Page walk with permissions of the current state. false: out->cause. Side effects: A and D bits. */
    bool (*walk)(void *cpu, uint64_t va, unsigned size, TcgAccess access, TcgWalk *out);

    /* Causes for what the run time finds: misaligned atomic, no device, fetch from a device. */
    unsigned (*cause_misaligned)(TcgAccess access);
    unsigned (*cause_bus)(TcgAccess access);

    /* Enters the trap; the CPU struct has the state before the instruction, pc included. */
    void (*fault)(void *cpu, unsigned cause, uint64_t va);

    /* Builds the region (reset by the caller), finished and well formed. At least one instruction. */
    void (*translate)(IrRegion *region, const TcgSource *source, TcgTranslated *out);

    /* Adds to the instruction count (retired before an instruction that is left in the middle of a block). */
    void (*add_count)(void *cpu, uint64_t insns);

    /*
     * What the front end's helpers keep for a vCPU in TcgCpu.target_state, made by them when first needed
     * (NULL until then, and never passed as such). forget: translations kept in it are stale, as
     * after changes of the memory map; any thread.
     */
    void (*state_destroy)(void *state);
    void (*state_forget)(void *state);

    /* An interrupt that can be taken now is taken. Before each entry from the run loop. */
    void (*take_interrupt)(void *cpu);
} TcgTarget;

#endif
