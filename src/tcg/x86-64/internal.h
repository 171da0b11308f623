/* SPDX-License-Identifier: MIT */
/*
 * What the files of the x86-64 back end share. The idea to hold: rbp is env, r15 the view, rsp a
 * frame that `run` made once and that every region uses; rax, rcx, rdx and xmm0 to xmm2 belong to
 * whatever operation is being emitted, all other registers are homes. An operation is emitted in two
 * places: its usual course in line, the rest as a Cold entry that is emitted behind the region.
 */
#ifndef ORRERY_TCG_X86_64_INTERNAL_H
#define ORRERY_TCG_X86_64_INTERNAL_H

#include "tcg/host.h"
#include "tcg/x86-64/asm.h"

enum { ENV = RBP, VIEW = R15, X0 = 0, X1 = 1, X2 = 2, FIRST_XMM_HOME = 3 };

/* The frame: spilled temps at the bottom, then what calls save, then what thunks need. */
enum {
    FRAME_SLOTS = 0,
    FRAME_SAVE = IR_MAX_SLOTS * 8,
    FRAME_CPU = FRAME_SAVE + 32 * 8,
    FRAME_HOST_MXCSR = FRAME_CPU + 8,
    FRAME_WORK_MXCSR = FRAME_HOST_MXCSR + 4,
    FRAME_BYTES = FRAME_WORK_MXCSR + 12, /* 8 modulo 16 */
};

/* Registers that a C function destroys and that are homes. */
#define CLOBBERED_GPRS (1u << RSI | 1u << RDI | 1u << R8 | 1u << R9 | 1u << R10 | 1u << R11)
#define HOME_GPRS (CLOBBERED_GPRS | 1u << RBX | 1u << R12 | 1u << R13 | 1u << R14)
#define HOME_XMMS 0xfff8u

#define LOAD_THUNKS 16 /* by IrMem, IR_MEM_ATOMIC included */

/* Stands before the thunks' code, in the code cache: constants in reach, and addresses. */
typedef struct X86Thunks {
    uint64_t nan64[2]; /* canonical */
    uint64_t nan32[2]; /* boxed */
    uint64_t box[2];   /* upper half of a single */
    uint64_t sign64[2];
    uint64_t abs64[2];
    uint64_t sign32[2];
    uint64_t abs32[2];
    uint32_t mxcsr[8];   /* by TcgCpuFast.fp_round, all exceptions masked */
    uint8_t accrued[32]; /* MXCSR's flags by TcgFpEnv.flags */

    const void *leave;             /* to jump to with eax: reason */
    const void *lookup;            /* to jump to with pc stored */
    const void *link;              /* to jump to with rsi: tb, edx: slot */
    const void *hot;               /* to jump to with rsi: tb */
    const void *call;              /* to call with rax: function, rdi, rsi, rdx, rcx: arguments */
    const void *load[LOAD_THUNKS]; /* to call with rax: va; result in rax */
    const void *store[4];          /* to call with rax: va, rdx: value */
    const void *amo;               /* to call with rax: va, rdx: value, ecx: aux; result in rax */
    const void *cas;               /* the same, expected value in xmm0 */
    const void *clmul;             /* to call with rax, rcx: product in rdx:rax; rcx is lost */
    const void *fpu; /* to call with rax, rdx, xmm0: inputs, ecx: op | aux << 16; result in rax */
    const void *fma_nan; /* to call with rax, rcx: factors; see emit-float.c */
    const void *fma_nan32;
} X86Thunks;

typedef struct Cold Cold;

/* Out-of-line code of one operation. */
struct Cold {
    void (*emit)(TcgEmitter *e, const Cold *cold);
    const IrInsn *insn;
    uint32_t index; /* of insn */
    uint32_t
        from; /* operand of the jump to it; ~0 when there are none or they are patched otherwise */
    uint32_t back; /* where it returns to */
    uint16_t dirty_set;
    uint8_t reg; /* meaning as emit has it, as that of extra and disp */
    uint32_t extra;
    int32_t disp;
};

/* Room for one more in an array of count used elements. */
#define ARRAY_GROW(array_, count_, capacity_)                                                      \
    do {                                                                                           \
        if ((count_) >= (capacity_)) {                                                             \
            (capacity_) = MAX(64, MAX((capacity_)*2, (count_) + 1));                               \
            (array_) = g_realloc_n((array_), (capacity_), sizeof(*(array_)));                      \
        }                                                                                          \
    } while (0)

/* See emit-share.c. */
typedef struct Group {
    uint32_t first, last; /* operations */
    int32_t low, high;    /* bytes from the base */
    uint32_t from;        /* operand of the jump where the check fails */
    IrReg base;
    bool store;
    uint8_t reg; /* holds base + addend */
} Group;

typedef struct Cluster {
    uint32_t first_group, end_group;
    uint32_t first, last; /* operations */
    uint32_t back;        /* code offset after the last */
    uint16_t block;
} Cluster;

typedef struct Fixup {
    uint32_t operand;
    uint16_t block;
} Fixup;

struct TcgEmitter {
    Asm as;
    TcgHostFeatures features;
    const X86Thunks *thunks;

    const IrRegion *region;
    const IrAllocation *allocation;
    const TcgTb *tb;
    X86Rm *rm; /* by IrReg: where it lives */
    uint32_t rm_capacity;
    uint64_t in_regs[2]; /* globals whose home is a host register */

    IrCursor at;
    uint32_t block; /* being emitted */
    uint32_t skip;  /* operations that the last one has taken along */

    uint32_t *block_offset;
    uint32_t block_capacity;
    Fixup *fixups;
    uint32_t fixup_count, fixup_capacity;
    Cold *colds;
    uint32_t cold_count, cold_capacity;
    TcgSite *sites;
    uint32_t site_count, site_capacity;
    TcgDirtySet *dirty_sets;
    uint32_t dirty_set_count, dirty_set_capacity;
    TcgLink *links;
    uint32_t link_capacity;
    uint32_t *guest_offsets;
    uint32_t guest_capacity;
    Group *groups;
    uint32_t group_count, group_capacity;
    Cluster *clusters;
    uint32_t cluster_count, cluster_capacity;
    Cluster cluster;    /* under way, when there are groups from first_group on */
    bool share;         /* accesses share checks */
    bool full;          /* the buffer was, in code out of line */
    uint32_t link_tail; /* offset of the code shared by link stubs, 0: not yet emitted */
};

/* ---- emit.c */

static inline X86Rm home_of(const TcgEmitter *e, IrReg reg)
{
    return e->rm[reg];
}

/* A register that holds the value: its home, else scratch. IR_ZERO in scratch destroys the flags. */
unsigned int_in(TcgEmitter *e, IrReg reg, unsigned scratch);

/* The value as an r/m operand; scratch is for IR_ZERO alone. */
X86Rm int_rm(TcgEmitter *e, IrReg reg, unsigned scratch);

/* Moves the value to a given register. */
void int_to(TcgEmitter *e, unsigned dst, IrReg reg);

/* Register to compute dst in: its home, else scratch; int_done puts it home. */
static inline unsigned int_dst(const TcgEmitter *e, IrReg dst, unsigned scratch)
{
    return e->rm[dst].reg >= 0 ? (unsigned)e->rm[dst].reg : scratch;
}

void int_done(TcgEmitter *e, IrReg dst, unsigned reg);

static inline bool is_home(const TcgEmitter *e, IrReg reg, unsigned host)
{
    return reg < IR_ZERO && e->rm[reg].reg == (int)host;
}

static inline void move(TcgEmitter *e, unsigned dst, unsigned src)
{
    if (dst != src) {
        asm_rr(&e->as, X_MOV | X_W, dst, src);
    }
}

/* A jump out of line under cc; what the caller adds to the result counts. */
Cold *cold_jcc(TcgEmitter *e, unsigned cc, void (*emit)(TcgEmitter *e, const Cold *cold));
Cold *cold_new(TcgEmitter *e, void (*emit)(TcgEmitter *e, const Cold *cold));

/* Number of the dirty set before the current operation. */
uint16_t dirty_now(TcgEmitter *e);

/* The call instruction just emitted is a site. */
void site_here(TcgEmitter *e, const Cold *cold);

void write_back(TcgEmitter *e, const uint64_t set[2]);
void store_pc(TcgEmitter *e, uint64_t pc);

/* After a syscall helper: registers of globals that are still in use. */
void reload_after_syscall(TcgEmitter *e);

/* On to one block if the flags say cc, else to the other. */
void branch(TcgEmitter *e, unsigned cc, uint16_t then, uint16_t otherwise);
void jump(TcgEmitter *e, uint16_t block);
void jump_cc(TcgEmitter *e, unsigned cc, uint16_t block);

static inline IrType type_of(const TcgEmitter *e, IrReg reg)
{
    if (reg >= IR_ZERO) {
        return IR_TYPE_I64;
    }
    return ir_is_global(reg) ? e->region->target->globals[reg].type
                             : (IrType)e->region->temp_types[reg - IR_FIRST_TEMP];
}

/* ---- emit-share.c */

/* Whether a group has checked this access, or does so now; then its place on the host. */
bool shared_access(TcgEmitter *e, const IrInsn *in, X86Rm *place);

/* After each operation: ends a run of groups. */
void share_after(TcgEmitter *e);

/* ---- emit-mem.c: group->reg = base + addend, if the range is one that hits; sets group->from. */
void ask_tlb_range(TcgEmitter *e, Group *group);

/* ---- emit-float.c */

/* A register that holds the value: its home, else scratch. */
unsigned float_in(TcgEmitter *e, IrReg reg, unsigned scratch);

/* The same of a single, boxed, where what is not boxed has been replaced. Destroys rax. */
unsigned single_in(TcgEmitter *e, IrReg reg, bool boxed, unsigned scratch);

/* Register to compute dst in: its home, else scratch; float_done puts it home. */
unsigned float_dst(const TcgEmitter *e, IrReg dst, unsigned scratch);
void float_done(TcgEmitter *e, IrReg dst, unsigned reg);

/* A NaN in reg becomes the canonical one. */
void canonical_nan(TcgEmitter *e, unsigned reg, bool single);

/* The operation by TcgFpu; the result is in rax. Keeps all homes, destroys the scratch registers. */
void call_fpu(TcgEmitter *e, const IrInsn *in);

/* ---- One function an operation. */
typedef void EmitFn(TcgEmitter *e, const IrInsn *in);

extern EmitFn *const x86_emitters[IR_OP_COUNT];

/* Flags for a condition on integers a, b of in; the result is the condition code. */
unsigned compare(TcgEmitter *e, const IrInsn *in);

#define EMITTER(name_) void emit_##name_(TcgEmitter *e, const IrInsn *in)

EMITTER(move);
EMITTER(movi);
EMITTER(alu);
EMITTER(andn);
EMITTER(addsh);
EMITTER(shift);
EMITTER(mul);
EMITTER(mul_high);
EMITTER(divide);
EMITTER(extend);
EMITTER(count_zeros);
EMITTER(popcnt);
EMITTER(bswap);
EMITTER(orcb);
EMITTER(clmul);
EMITTER(set);
EMITTER(cmov);
EMITTER(minmax);
EMITTER(load);
EMITTER(store);
EMITTER(amo);
EMITTER(cas);
EMITTER(fence);
EMITTER(fmove);
EMITTER(farith);
EMITTER(fma);
EMITTER(fminmax);
EMITTER(fcompare);
EMITTER(float_to_int);
EMITTER(int_to_float);
EMITTER(float_to_float);
EMITTER(fsign);
EMITTER(fbits);
EMITTER(call);
EMITTER(syscall);
EMITTER(br);
EMITTER(brcond);
EMITTER(poll);
EMITTER(exit);
EMITTER(exit_reg);

#undef EMITTER

/* ---- thunks.c */
bool x86_make_thunks(const TcgCodeBuffer *buffer, const TcgHostCalls *calls,
                     const TcgHostFeatures *features, TcgThunks *out);

/* ---- emit.c */
TcgEmitter *x86_emitter_create(const TcgThunks *thunks, const TcgHostFeatures *features);
void x86_emitter_destroy(TcgEmitter *emitter);
bool x86_emit(TcgEmitter *e, const IrRegion *region, const IrAllocation *allocation,
              const TcgTb *tb, const TcgCodeBuffer *buffer, TcgEmitted *out);

#endif
