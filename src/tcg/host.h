/* SPDX-License-Identifier: MIT */
/*
 * The contract between the translator and a host back end. A back end turns one allocated region into
 * code and describes that code well enough that guest state can be found at any place where it may
 * be left. docs/port-a-host.md explains it for those who write one.
 *
 * While generated code runs, two host registers are set: env (TcgCpuFast.env: a
 * place in the CPU struct that the target chose; IrGlobal.offset_bytes count from it) and view (see view.h). The thunks, a few pieces of code made once per code cache, join
 * generated code to C.
 */
#ifndef ORRERY_TCG_HOST_H
#define ORRERY_TCG_HOST_H

#include "tcg/ir.h"
#include "tcg/view.h"

typedef struct TcgCpu TcgCpu; /* the accelerator's part of a vCPU: runtime.h */
typedef struct TcgTb TcgTb;

/* Where a region's code may go: written at rw, run at rx. */
typedef struct TcgCodeBuffer {
    uint8_t *rw, *rx;
    size_t capacity_bytes;
} TcgCodeBuffer;

/*
 * A place in a region's code where C may be entered that needs the guest's state: the return address, which
 * guest instruction (index in IrRegion.guest), and which globals in host registers differ from the CPU
 * struct there (index of a TcgDirtySet).
 */
typedef struct TcgSite {
    uint32_t code_offset; /* of the return address from the region's first byte; ascending */
    uint16_t guest;
    uint16_t dirty_set;
} TcgSite;

typedef struct TcgDirtySet {
    uint64_t globals[2];
} TcgDirtySet;

/* A chainable exit: a 32-bit relative operand, 4-byte aligned, of a jump that first leads to the exit's stub. */
typedef struct TcgLink {
    uint32_t operand_offset; /* from the region's first byte */
    uint32_t stub_offset;    /* where the operand points when the link is not made */
    uint64_t pc;             /* guest address it leads to */
} TcgLink;

/* What emit made. Arrays are the caller's (TcgEmitter), good until its next emit. */
typedef struct TcgEmitted {
    uint32_t code_bytes;
    const TcgSite *sites;
    uint32_t site_count;
    const TcgDirtySet *dirty_sets;
    uint32_t dirty_set_count;
    const TcgLink *links; /* index: link slot of the exit */
    uint32_t link_count;
    uint32_t kill_stub_offset;     /* stores the region's pc and goes on by lookup */
    const uint32_t *guest_offsets; /* by guest instruction: code offset where it begins, or ~0 */
} TcgEmitted;

/*
 * Registers as a thunk saved them; homes of an allocation index it. For the x86-64 host: the
 * hardware's numbering of general and vector registers (low 64 bits).
 */
typedef struct TcgFrame {
    uint64_t gpr[32];
    uint64_t fpr[32];
    uintptr_t return_address; /* of the site */
} TcgFrame;

/* What thunks return from C with. */
typedef struct TcgValue {
    uint64_t value;
    uint64_t status; /* 0: go on. Else: leave to the run loop with this reason */
} TcgValue;

/* Why generated code came back; TcgCpu's fields say more. */
typedef enum TcgExitReason {
    TCG_EXIT_NONE = 0,
    TCG_EXIT_POLL,   /* exit_request was set; pc is stored */
    TCG_EXIT_RESUME, /* look at everything and go on at the stored pc: traps, changed translation */
    TCG_EXIT_STOP,   /* the target stored a reason for the accelerator */
} TcgExitReason;

/* What syscall helpers return. */
typedef enum TcgStep {
    TCG_STEP_NEXT = 0, /* the next operation */
    TCG_STEP_RESUME = TCG_EXIT_RESUME,
    TCG_STEP_STOP = TCG_EXIT_STOP,
    TCG_STEP_JUMP = 16, /* pc is stored, view and interrupts are as before: look it up at once */
} TcgStep;

/*
 * Exact floating point, for what a host's own unit cannot do (and for all of it in the IR interpreter): by
 * IrOp, set for those with IR_FP. a, b, c are the bits of the inputs, aux is the operation's; the
 * result is what the operation leaves in dst. A function of these and of env->round (as
 * TcgCpuFast.fp_round); ORs the exceptions it raises into env->flags (NV 16, DZ 8, OF 4, UF 2, NX 1).
 * Any thread; integer code alone, so whatever the host's unit is set to.
 */
typedef struct TcgFpEnv {
    uint8_t round, flags;
} TcgFpEnv;

typedef uint64_t TcgFpuFn(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c);

typedef struct TcgFpu {
    TcgFpuFn *op[IR_OP_COUNT];
} TcgFpu;

/*
 * The C side of thunks, filled by the runtime. cpu is what run was given. The caller holds no lock;
 * it is the vCPU's thread inside its execution.
 */
typedef struct TcgHostCalls {
    /* mem is the IrMem (aux) of the operation. Loads: 32-bit floats come boxed, integers extended. */
    TcgValue (*load)(TcgCpu *cpu, uint64_t va, uint32_t mem, TcgFrame *frame);
    TcgValue (*store)(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame);
    TcgValue (*amo)(TcgCpu *cpu, uint64_t va, uint64_t value, uint32_t mem, TcgFrame *frame);
    TcgValue (*cas)(TcgCpu *cpu, uint64_t va, uint64_t expected, uint64_t value, uint32_t mem,
                    TcgFrame *frame);

    /* pc is stored. The code to go on with; status not 0: none, leave. Also reloads the view. */
    TcgValue (*lookup)(TcgCpu *cpu);

    /* A link slot is reached for the first time: make it if possible, and say where to go on. */
    TcgValue (*link)(TcgCpu *cpu, TcgTb *tb, uint32_t slot);

    /* The entry counter of tb has run out (see IrRegion.heat_offset). The code to go on with, as lookup. */
    TcgValue (*hot)(TcgCpu *cpu, TcgTb *tb);

    const TcgFpu *fpu; /* the target's */
} TcgHostCalls;

/* The head of TcgCpu, which thunks know. */
typedef struct TcgCpuFast {
    void *env;  /* value of the env register */
    void *view; /* value of the view register: &TcgViewFast.load */
    uint32_t
        mxcsr; /* x86-64: sticky bits to run with; the flags come back here, also for syscalls */

    /*
     * 0 to 3: RNE RTZ RDN RUP; the host chooses its bits, at run and after each syscall. 4, RMM: no
     * operation with IR_FP may run (but in the IR interpreter); front ends call helpers instead.
     */
    uint32_t fp_round;
} TcgCpuFast;

/* What a host CPU offers; found once. */
typedef struct TcgHostFeatures {
    bool bmi1, bmi2, lzcnt, popcnt, fma, avx, pclmul, sse41;
} TcgHostFeatures;

typedef struct TcgEmitter TcgEmitter; /* scratch memory of one translating thread */

typedef struct TcgThunks {
    uint32_t (*run)(TcgCpu *cpu, const void *code); /* TcgExitReason; from C into code */
    const void *lookup;                             /* code to jump to: goes on at the stored pc */
    size_t bytes;
    const void *host; /* the back end's own */
} TcgThunks;

typedef struct TcgHost {
    const char *name;
    unsigned code_alignment;
    const IrHostRegs *(*regs)(void);

    /* Makes the thunks at the start of a code cache. features may be less than what the CPU has. */
    bool (*make_thunks)(const TcgCodeBuffer *buffer, const TcgHostCalls *calls,
                        const TcgHostFeatures *features, TcgThunks *out);

    TcgEmitter *(*emitter_create)(const TcgThunks *thunks, const TcgHostFeatures *features);
    void (*emitter_destroy)(TcgEmitter *emitter);

    /*
     * Emits the region for tb. The first instruction checks exit_request (leaving with POLL and pc stored),
     * then loads what block 0 has live. false: not enough room in buffer (nothing else can go wrong).
     */
    bool (*emit)(TcgEmitter *emitter, const IrRegion *region, const IrAllocation *allocation,
                 const TcgTb *tb, const TcgCodeBuffer *buffer, TcgEmitted *out);

    /* Patches a link's operand (any thread; others may be executing it). target_rx NULL: back to its stub. */
    void (*link)(uint8_t *code_rw, const uint8_t *code_rx, const TcgLink *link,
                 const void *target_rx);

    /* Makes a region's entry lead to its invalid stub for good (any thread; others may be executing it). */
    void (*kill)(uint8_t *code_rw, const uint8_t *code_rx, uint32_t stub_offset);

    /* One instruction of text for out_asm; returns its length in bytes. */
    size_t (*disas)(const uint8_t *code, uintptr_t address, GString *out);
} TcgHost;

extern const TcgHost tcg_host_x86_64;

/*
 * The IR interpreter: its "code" is a copy of region and allocation, its thunks.run walks it. Exceptions of
 * floating point are ORed into TcgCpuFast.mxcsr in that register's layout. tcg_host_ir keeps globals in
 * the CPU struct, whatever the allocation says; tcg_host_ir_homes where the allocation put them, with
 * what calls destroy and what is nobody's home filled with a pattern, so that analysis and allocation are
 * judged by what runs.
 */
extern const TcgHost tcg_host_ir;
extern const TcgHost tcg_host_ir_homes;

TcgHostFeatures tcg_host_features(void);

#endif
