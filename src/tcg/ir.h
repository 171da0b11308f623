/* SPDX-License-Identifier: MIT */
/*
 * The intermediate representation between front ends (guest code in), passes, and back ends (host
 * code out). The idea to hold: a region is a small control-flow graph over *globals*, which are
 * the guest's registers and live in the CPU struct between regions, and *temps*, which do not
 * outlive it. Registers are variables, not SSA values: an operation may write what an earlier one
 * wrote. Whatever leaves the region (IR_SYNC, or a fault) finds the globals' values in the CPU struct; in
 * between they may live in host registers.
 *
 * Thread: a region belongs to the thread that builds it. Nothing here takes locks.
 */
#ifndef ORRERY_TCG_IR_H
#define ORRERY_TCG_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

typedef uint16_t IrReg; /* a global, or IR_FIRST_TEMP and up a temp, or one of the three below */

#define IR_MAX_GLOBALS 128
#define IR_FIRST_TEMP IR_MAX_GLOBALS
#define IR_NONE ((IrReg)0xffff)
#define IR_IMM ((IrReg)0xfffe)  /* in place of b: the insn's imm */
#define IR_ZERO ((IrReg)0xfffd) /* an input that reads 0; integer or float */

typedef enum IrType { IR_TYPE_I64, IR_TYPE_F64 } IrType;

enum {
    IR_NO_FLAGS = 0,
    IR_COMMUTES = 1 << 0,  /* a and b may be exchanged */
    IR_COND = 1 << 1,      /* has an IrCond */
    IR_READS_DST = 1 << 2, /* the old value of dst is an input */
    IR_MEM = 1 << 3,       /* touches guest memory */
    IR_STORE = 1 << 4,
    IR_FAULTS = 1 << 5, /* may leave the region as if all before it had happened and it had not */
    IR_SIDE = 1 << 6,   /* not to be dropped, though nothing reads a result */
    IR_FP = 1 << 7,     /* depends on rounding mode, accrues flags: not to be dropped or moved */
    IR_CALL = 1 << 8,   /* a function of the host's calling convention */
    IR_SYNC = 1 << 9,   /* globals are written back before it */
    IR_END = 1 << 10,   /* ends a block */
};

typedef enum IrOp {
#define IR_OP(name_, shape_, flags_) IR_OP_##name_,
#include "tcg/ir-ops.def"
#undef IR_OP
    IR_OP_COUNT,
} IrOp;

typedef struct IrOpInfo {
    const char *name;
    char shape[6]; /* result, ':', a, b, c */
    uint16_t flags;
} IrOpInfo;

extern const IrOpInfo ir_op_info[IR_OP_COUNT];

/* Even and odd are each other's inverse. */
typedef enum IrCond {
    IR_EQ,
    IR_NE,
    IR_LT,
    IR_GE,
    IR_LTU,
    IR_GEU,
    IR_LE,
    IR_GT,
    IR_LEU,
    IR_GTU,
    IR_COND_COUNT,
} IrCond;

#define IR_COND_INVERT(cond_) ((IrCond)((cond_) ^ 1))

/* aux of memory operations. */
enum {
    IR_MEM_SIZE = 3, /* log2 of bytes */
    IR_MEM_SIGNED = 4,
    IR_MEM_ATOMIC = 8, /* of ld: as amo has it, RAM alone and aligned, else the slow path decides */
    IR_AMO_SHIFT = 8,
};

typedef enum IrAmo {
    IR_AMO_SWAP,
    IR_AMO_ADD,
    IR_AMO_XOR,
    IR_AMO_AND,
    IR_AMO_OR,
    IR_AMO_MIN,
    IR_AMO_MAX,
    IR_AMO_MINU,
    IR_AMO_MAXU,
} IrAmo;

/* aux of floating-point operations. */
enum {
    IR_BOXED_A = 1,
    IR_BOXED_B = 2,
    IR_BOXED_C = 4,
    IR_NEGATE_PRODUCT = 8,
    IR_NEGATE_ADDEND = 16,
    IR_TOWARD_ZERO = 32,
};

#define IR_LINK_NONE UINT16_C(0xffff)
#define IR_MAX_LINKS 64

typedef struct IrInsn {
    uint8_t op;   /* IrOp */
    uint8_t cond; /* IrCond */
    IrReg dst, a, b, c;
    uint16_t aux;
    uint16_t guest;  /* index of the guest instruction it is part of */
    uint16_t target; /* of brcond: the other block */
    int64_t imm;
} IrInsn;

G_STATIC_ASSERT(sizeof(IrInsn) == 24);

/* One guest instruction of the region, for faults, logs, and maps from host to guest code. */
typedef struct IrGuestInsn {
    uint64_t pc;
    uint32_t bits; /* as fetched */
    uint8_t length_bytes;
    /* Instructions before this one that have retired and are not yet added to the count global. */
    uint16_t pending;
} IrGuestInsn;

typedef struct IrBlock {
    uint32_t first, count; /* insns, in IrRegion.insns; the last one has IR_END */
    uint64_t pc;           /* of its first guest instruction, for printing */
    uint8_t loop_depth;    /* 0 outside of loops; filled by ir_region_finish */
    bool cold;             /* seldom runs; placed last, and its uses count little */

    /* By ir_analyse; bit sets over globals. */
    uint64_t dirty_in[2]; /* may differ from the CPU struct at the start */
    uint64_t live_in[2];  /* read before written, writing back counts as reading */
    uint64_t live_out[2];
} IrBlock;

/* A global of the front end. */
typedef struct IrGlobal {
    const char *name;
    IrType type;
    int32_t offset_bytes; /* from the env pointer; 8 bytes */
} IrGlobal;

/*
 * What a helper is; the target's table of these is indexed by aux of calls. Arguments, all of 64 bits
 * in integer registers: env if wanted, the op's inputs (a, b, c of call, callf, callif, bits of
 * floating-point ones; a, b of syscall), and imm; inputs that the op does not have are there, with any
 * value. Returns 64 bits; for syscall a TcgStep.
 */
typedef struct IrHelper {
    const char *name;
    void *fn;
    bool env; /* the first argument is the env pointer (always so for syscall) */
} IrHelper;

/* The constant part of a front end, shared by all of its regions. */
typedef struct IrTarget {
    const char *name;
    const IrGlobal *globals;
    unsigned global_count;
    const IrHelper *helpers;
    unsigned helper_count;
    int32_t pc_offset;           /* of the guest's pc, from env */
    int32_t exit_request_offset; /* of the 32-bit word that asks a vCPU to leave, from env */
    IrReg count;                 /* the global that counts instructions, or IR_NONE */
} IrTarget;

/* Reusable: reset keeps the memory. */
typedef struct IrRegion {
    const IrTarget *target;
    uint64_t pc; /* of block 0, where the region is entered */

    /*
     * Not 0: at entry, the 32-bit word at this distance from the view pointer is decremented, and when it
     * becomes negative pc is stored and TcgHostCalls.hot called. Set after ir_region_reset, which clears it.
     */
    int32_t heat_offset;

    /* Bit 0: what exits put into the tags they look up (TcgJump), that is of TcgTb.flags. As above. */
    uint32_t tag_flags;

    IrInsn *insns;
    uint32_t insn_count, insn_capacity;
    IrBlock *blocks; /* in the order of code; block 0 is the entry */
    uint32_t block_count, block_capacity;
    IrGuestInsn *guest;
    uint32_t guest_count, guest_capacity;
    uint8_t *temp_types; /* IrType by temp - IR_FIRST_TEMP */
    uint32_t temp_count, temp_capacity;
    uint32_t link_count; /* slots given to exits; the front end counts up, finish closes gaps */

    /* Private: where building stands, memory that passes share. */
    uint32_t building;
    uint16_t guest_now;
    void *scratch;
    size_t scratch_bytes;
} IrRegion;

IrRegion *ir_region_create(void);
void ir_region_destroy(IrRegion *region); /* NULL is fine */
void ir_region_reset(IrRegion *region, const IrTarget *target, uint64_t pc);

/* ---- Building. Blocks are numbered first (ir_block_new), then each is filled once, in any order. */

/* Number of a new empty block; at most 65534. */
uint16_t ir_block_new(IrRegion *region, uint64_t pc);

/* From here on operations go to this block. The one before must have ended. */
void ir_block_begin(IrRegion *region, uint16_t block);

IrReg ir_temp(IrRegion *region, IrType type);

/* Index of a new guest instruction; operations emitted from here on belong to it. */
uint16_t ir_guest(IrRegion *region, uint64_t pc, uint32_t bits, unsigned length_bytes,
                  unsigned pending);

/* Appends; the pointer is good until the next call. */
IrInsn *ir_emit(IrRegion *region, IrOp op, IrReg dst, IrReg a, IrReg b, IrReg c);

static inline void ir_emit_imm(IrRegion *region, IrOp op, IrReg dst, IrReg a, int64_t imm)
{
    ir_emit(region, op, dst, a, IR_IMM, IR_NONE)->imm = imm;
}

/*
 * After the last block: loop depths, block order (reachable ones only, loops contiguous, cold last;
 * block numbers and link slots in insns are rewritten). Afterwards blocks' insns ascend in the order of
 * blocks, with gaps where passes dropped some. Cannot fail on what the verifier accepts.
 */
void ir_region_finish(IrRegion *region);

/* NULL when well formed, else what is wrong and where (free with g_free). For tests and debug builds. */
char *ir_verify(const IrRegion *region);

/* Text, one line an operation, for -d op and -d op_opt. */
void ir_print(const IrRegion *region, GString *out);

/* ---- Passes. In place, any order is right, ir_optimise runs the useful one. */
void ir_optimise(IrRegion *region);

/* ---- Analysis and register allocation. */

/* Fills dirty_in, live_in, live_out of each block. */
void ir_analyse(IrRegion *region);

/*
 * Registers the allocator may use, as the host describes them: numbers below 32 of each class, in
 * order of preference, and those that a call destroys.
 */
typedef struct IrHostRegs {
    uint8_t order[2][32]; /* by IrType */
    uint8_t count[2];
    uint32_t clobbered[2]; /* by calls: bit sets */
} IrHostRegs;

/*
 * Where a register of the region lives, for the whole of its live range: in a host register, or in
 * memory: for globals the CPU struct, for temps a slot of the host stack.
 */
typedef struct IrHome {
    int8_t reg;          /* host register, or -1: memory */
    int16_t slot;        /* of a temp in memory: 8-byte slot number */
    uint32_t start, end; /* live range in insn indices of the ordered region, both included */
} IrHome;

typedef struct IrAllocation {
    IrHome *home; /* by IrReg; capacity grows with the regions */
    uint32_t capacity;
    uint32_t slot_count; /* at most IR_MAX_SLOTS */
    uint32_t used[2];    /* host registers that are the home of something: bit sets */
    IrReg *placed;       /* what has a register for a home */
    uint32_t placed_count;
} IrAllocation;

#define IR_MAX_SLOTS 256

/*
 * Linear scan over live ranges, weighed by use and loop depth. After ir_analyse. fuzz_seed other than 0
 * makes arbitrary (still right) choices. Two registers whose ranges touch never share a home, except
 * that one may end where another is defined (an operation reads its inputs before it writes).
 */
void ir_allocate(IrRegion *region, const IrHostRegs *host, uint64_t fuzz_seed, IrAllocation *out);
void ir_allocation_finish(IrAllocation *allocation);

/* Whether reg's range covers both insn `index` and what follows it (index as in IrCursor). */
static inline bool ir_live_after(const IrAllocation *allocation, IrReg reg, uint32_t index)
{
    return allocation->home[reg].start <= index && index < allocation->home[reg].end;
}

/*
 * Host registers (bit sets by IrType) whose contents are in use both before and after insn `index`: what
 * a call must not lose. Nothing keeps the allocator from placing those in clobbered registers; the
 * back end saves them. Without globals for syscall, which writes back and reloads those.
 */
void ir_live_across(const IrRegion *region, const IrAllocation *allocation, uint32_t index,
                    bool globals, uint32_t regs[2]);

/*
 * Walks one block with what is known at each insn. For back ends:
 *     IrCursor at; ir_cursor_begin(&at, region, block);
 *     while (ir_cursor_next(&at)) { at.insn ... at.dirty ... }
 * dirty: globals that may differ from the CPU struct before this insn. live: temps and globals are in
 * use after it when ir_live_after says so.
 */
typedef struct IrCursor {
    const IrRegion *region;
    const IrInsn *insn;
    uint32_t index, end;
    uint64_t dirty[2];
} IrCursor;

void ir_cursor_begin(IrCursor *at, const IrRegion *region, uint32_t block);
bool ir_cursor_next(IrCursor *at);

static inline bool ir_is_temp(IrReg reg)
{
    return reg >= IR_FIRST_TEMP && reg < IR_ZERO;
}

static inline bool ir_is_global(IrReg reg)
{
    return reg < IR_FIRST_TEMP;
}

#endif
