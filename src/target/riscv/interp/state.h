/* SPDX-License-Identifier: MIT */
/*
 * The interpreter's own data: decoded blocks, views of the address space, and the state of one vCPU
 * that holds them. Three ideas to hold:
 *
 * - A block is a run of decoded instructions that ends at a jump or at its page's end. It is found
 *   by where its bytes lie in host memory, holds no guest address, and so serves every mapping of
 *   its page. Handlers get the guest pc of the block's start as an argument.
 * - A view is what one privilege sees of one address space: a TLB for loads and stores, and a table
 *   from pc to block. Changing privilege or satp selects another view, and empties none.
 * - Handlers call each other: each ends by calling the next one's handler as its last act, which a
 *   compiler turns into a jump. Where it does not (no optimisation, sanitizers), they return to a
 *   loop. RV_DISPATCH is all the difference.
 */
#ifndef ORRERY_TARGET_RISCV_INTERP_STATE_H
#define ORRERY_TARGET_RISCV_INTERP_STATE_H

#include "target/riscv/cpu.h"
#include "target/riscv/decode.h"
#include "target/riscv/fpu.h"
#include "target/riscv/interp/interp.h"

typedef struct RvBlock RvBlock;
typedef struct RvUop RvUop;
typedef struct RvView RvView;

/* ---- Handlers and how they follow each other. */

/* pc is the guest address of the start of the block that op is in. */
#define RV_HANDLER_PARAMS RiscvCpu *cpu, RvUop *op, RvView *view, uint64_t pc

/* Returns the op that follows, if it does not call it itself; NULL: the handlers are done. */
typedef RvUop *RvHandler(RV_HANDLER_PARAMS);

#ifndef INTERP_THREADED
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INTERP_THREADED 1
#else
#define INTERP_THREADED 0
#endif
#endif

#if INTERP_THREADED
#define RV_DISPATCH(cpu_, op_, view_, pc_) return (op_)->run((cpu_), (op_), (view_), (pc_))
#else
#define RV_DISPATCH(cpu_, op_, view_, pc_)                                                         \
    do {                                                                                           \
        (view_)->pc = (pc_);                                                                       \
        return (op_);                                                                              \
    } while (0)
#endif

/*
 * One decoded instruction. Meanings of imm by instruction: jumps, branches and auipc have their
 * offset from the block's start; FP arithmetic has rs3 in bits 0-4 and rm in bits 8-10; an illegal
 * instruction has its bits. Ops that are not guest instructions have the next of the op before.
 */
struct RvUop {
    RvHandler *run;
    uint8_t rd, rs1, rs2;
    uint8_t next; /* where the following instruction is: halfwords from the block's start */
    int32_t imm;
};

/* Follows a block's last op: the blocks after it when it jumps, and when it does not. */
typedef struct RvLinks {
    RvBlock *to[2];
} RvLinks;

enum {
    RV_LINK_TAKEN = 0,
    RV_LINK_NEXT = 1,
};

/* Values of a link that are not blocks: not looked for yet; in another page, so never kept. */
#define RV_LINK_NONE ((RvBlock *)0)
#define RV_LINK_FAR ((RvBlock *)1)

#define RV_BLOCK_MAX_HALFWORDS 255

/*
 * A block is good while its page's version is the one it was decoded from and no fence.i has been
 * executed since its bytes were compared last: both are in the stamp. After the ops stand the
 * links, then a copy of the instructions' bytes.
 */
struct RvBlock {
    const uint8_t *host; /* where the bytes are; the key */
    RvBlock *hash_next;
    RamBlock *ram;               /* that they are in */
    uint16_t op_count;           /* without begin */
    uint16_t halfwords;          /* of the copy */
    const uint32_t *version_now; /* the page's */
    uint64_t stamp;              /* fence epoch << 32 | version */
    RvUop begin;                 /* run NULL, next 0; imm is the number of instructions */
    RvUop ops[];
};

_Static_assert(sizeof(RvUop) == 16, "RvUop is stored per decoded instruction");
_Static_assert(sizeof(RvBlock) == ORR_CACHE_LINE, "a block's head and its first ops share no line");
_Static_assert(sizeof(RvLinks) == sizeof(RvUop), "the links take the place of an op");

/* The block that op is in: its ops are preceded by the only one without a handler. */
static inline RvBlock *rv_block_of(RvUop *op)
{
    while (op->run) {
        op--;
    }
    return ORR_CONTAINER_OF(op, RvBlock, begin);
}

static inline RvLinks *rv_block_links(RvBlock *block)
{
    return (RvLinks *)&block->ops[block->op_count];
}

static inline uint16_t *rv_block_copy(RvBlock *block)
{
    return (uint16_t *)&block->ops[block->op_count + 1];
}

/* ---- Views. */

#define RV_TLB_BITS 8
#define RV_TLB_SIZE (1 << RV_TLB_BITS)
#define RV_JUMP_BITS 12
#define RV_JUMP_SIZE (1 << RV_JUMP_BITS)
#define RV_FETCH_SIZE 64
#define RV_VIEW_COUNT 16

#define RV_PAGE_MASK (MEMORY_PAGE_SIZE - 1)

/*
 * A tag is the virtual page's address; a lookup compares it with the address less its offset, but
 * with the bits that alignment wants zero. RV_TLB_SLOW keeps the fast path away from a page that is
 * known but not plain RAM.
 */
typedef struct RvTlbEntry {
    uint64_t load_tag, store_tag;
    uintptr_t addend;          /* host address less guest address */
    const uint8_t *page_flags; /* of a page in RAM: not zero when a store must be noted */
} RvTlbEntry;

#define RV_TLB_SLOW (UINT64_C(1) << 11)
#define RV_TLB_EMPTY UINT64_MAX

/* What else is known of a page in the TLB. */
typedef struct RvTlbPage {
    RamBlock *ram;  /* NULL: MMIO, or nothing there */
    uint64_t paddr; /* of the page */
} RvTlbPage;

typedef struct RvJump {
    uint64_t pc; /* odd: empty */
    RvBlock *block;
} RvJump;

typedef struct RvFetchPage {
    uint64_t tag; /* virtual page, or RV_TLB_EMPTY */
    const uint8_t *host;
    RamBlock *ram;
    uint64_t offset; /* of the page in ram */
} RvFetchPage;

/* What decides how addresses are translated, and whether that is allowed. */
typedef struct RvViewKey {
    uint64_t satp; /* 0 where it has no say */
    uint64_t mode; /* privileges of fetch and data, SUM, MXR; UINT64_MAX: the view is unused */
} RvViewKey;

struct RvView {
    RvInterp *interp;
    uint64_t pc;    /* that goes with an op which was returned */
    uint64_t epoch; /* of fence.i, << 32: what a block's stamp must agree with */
    RvViewKey key;
    uint64_t used; /* when it was selected last */
    bool stale;    /* empty it before use */

    /* Smallest aligned region that holds all kept pages larger than 4 KiB; mask 0: none. */
    uint64_t large_base, large_mask;
    uint64_t fetched; /* a bit for each hash of a page that has entries in jumps */
    RvTlbEntry tlb[RV_TLB_SIZE];
    RvTlbPage pages[RV_TLB_SIZE];
    RvJump jumps[RV_JUMP_SIZE];
    RvFetchPage fetch[RV_FETCH_SIZE];
};

/* ---- The state of one vCPU. */

/* Why the handlers came to an end: a VcpuExit, or: nothing to leave run() for. */
typedef enum RvStop {
    RV_STOP_KICKED = VCPU_EXIT_KICKED,
    RV_STOP_HALTED = VCPU_EXIT_HALTED,
    RV_STOP_DEBUG = VCPU_EXIT_DEBUG,
    RV_STOP_YIELD = VCPU_EXIT_YIELD,
    RV_STOP_RESUME = 100, /* privilege, translation or interrupts may have changed: look again */
} RvStop;

#define RV_HASH_BITS 16
#define RV_ARENA_BYTES (UINT64_C(16) << 20)
#define RV_SCRATCH_BYTES 512

struct RvInterp {
    RiscvCpu *cpu;
    Memory *memory;

    RvStop stop;
    bool stepping; /* one instruction is asked for */
    FpEnv fp;

    /* What a memory access that failed returned; where the last atomic one was. */
    unsigned cause;
    uint64_t tval;
    struct {
        RamBlock *ram;
        uint64_t offset, paddr;
    } atomic;

    RvView *view;                 /* selected */
    RvView *views[RV_VIEW_COUNT]; /* NULL until needed */
    uint64_t selections;
    uint32_t mmu_version; /* of the CPU, that the views agree with */

    /* Blocks. */
    uint64_t epoch;      /* counts fence.i, << 32 */
    uint64_t generation; /* counts emptyings of the arena */
    uint32_t log_items;  /* those that change how blocks are made, as they were */
    uint8_t *arena;
    size_t arena_used;
    RvBlock *hash[1 << RV_HASH_BITS];
    RvBlock *scratch; /* for one instruction that is not kept */

    /* Asked for by other threads; atomics. */
    bool flush_views, flush_code;

    /* Written by the vCPU's thread, read by anyone; relaxed atomics. */
    uint64_t exits, blocks_filled, tlb_fills, tlb_flushes;
};

static inline void rv_count(uint64_t *counter)
{
    orr_store_relaxed(counter, *counter + 1);
}

/* Others read the count of instructions while it grows. */
static inline void rv_add_insns(RiscvCpu *cpu, uint64_t n)
{
    orr_store_relaxed(&cpu->insns, cpu->insns + n);
}

/* ---- view.c */

/* Empties the one selected, or selects another, so that it fits privilege and satp. */
RvView *rv_view_select(RvInterp *s);
void rv_view_flush_all(RvInterp *s);
void rv_view_flush_asid(RvInterp *s, uint16_t asid);

/* One page; any_asid, or those of one address space. */
void rv_view_flush_page(RvInterp *s, uint64_t vaddr, bool any_asid, uint16_t asid);
void rv_view_forget_blocks(RvInterp *s);

/* A translation from a page of 1 << page_bits bytes is kept; a block at pc is in the jump table. */
void rv_view_note_large(RvView *view, uint64_t vaddr, unsigned page_bits);
void rv_view_note_fetched(RvView *view, uint64_t pc);

/*
 * The page that pc is in, for fetching; NULL when it cannot be fetched from: *cause says why. A
 * page that PMP splits is returned in *split, good for this one instruction.
 */
const RvFetchPage *rv_view_fetch(RvView *view, uint64_t pc, RvFetchPage *split, unsigned *cause);

/* ---- access.c: what the inline paths below leave over. */

/* Result of a load: cause 0, or that of the exception with interp->tval. */
typedef struct RvLoaded {
    uint64_t value;
    unsigned cause;
} RvLoaded;

/* Any alignment, any kind of memory. value is zero-extended. */
RvLoaded rv_load(RvView *view, uint64_t addr, unsigned size);

/* 0, or the cause with interp->tval; nothing has been stored then. */
unsigned rv_store(RvView *view, uint64_t addr, unsigned size, uint64_t value);

/*
 * Where in RAM to make an atomic access that must be naturally aligned; NULL: interp->cause and
 * interp->tval say why not. After one that has written comes rv_atomic_written.
 */
void *rv_atomic_begin(RvView *view, uint64_t addr, unsigned size, RvAccess access);
void rv_atomic_written(RvView *view, unsigned size);

/* After a store by way of the TLB to a page with flags. */
void rv_note_store(RvView *view, uint64_t addr, unsigned size);

/* cbo.zero and the checks of cbo.inval, clean, flush. As rv_store. */
unsigned rv_cache_block(RvView *view, uint64_t addr, bool zero);

/* ---- block.c */

/* The block at pc, decoded if need be; NULL: fetching trapped and the trap has been entered. */
RvBlock *rv_block_find(RvView *view, uint64_t pc);

/* The one instruction at pc, followed by an op that stops; as rv_block_find. */
RvBlock *rv_block_single(RvView *view, uint64_t pc);
void rv_block_flush(RvInterp *s);

/* The bits of the instruction that op is. */
uint32_t rv_block_bits(RvUop *op);

/* The instruction after op (an op_second_page) ends in the page it was decoded from. */
bool rv_block_second_good(RvView *view, RvUop *op, uint64_t pc);

/* ---- table.c */
extern RvHandler *const rv_handlers[RV_OP_COUNT];

/* ---- exec.c: what handlers do seldom. */

/* Takes the instructions from op to the block's end back from the count. */
void rv_unwind(RiscvCpu *cpu, RvUop *op);

/* Raises an exception at op. */
RvUop *rv_raise(RV_HANDLER_PARAMS, unsigned cause, uint64_t tval);
RvUop *rv_raise_illegal(RV_HANDLER_PARAMS);

/*
 * Finds the block at pc, remembers it in *from (a link or the like; NULL is fine) and goes on
 * there. For links that are not blocks, and blocks that are not good.
 */
RvUop *rv_chase(RiscvCpu *cpu, RvBlock **from, RvView *view, uint64_t pc);

/* Goes on at a block that is known to be good. */
static inline RvUop *rv_begin(RiscvCpu *cpu, RvBlock *block, RvView *view, uint64_t pc)
{
    rv_add_insns(cpu, (uint64_t)block->begin.imm);
    RV_DISPATCH(cpu, block->ops, view, pc);
}

#endif
