/* SPDX-License-Identifier: MIT */
/*
 * The state of one RISC-V hart, and the functions that act on it for every accelerator: traps and
 * interrupts, control and status registers, physical memory protection, the page-table walk.
 * Instructions themselves are executed in accelerators' modules; what is here is the privileged
 * architecture, and lives in the base binary.
 */
#ifndef ORRERY_TARGET_RISCV_CPU_H
#define ORRERY_TARGET_RISCV_CPU_H

#include "orrery/impl/cpus.h"
#include "orrery/impl/guest-os.h"

ORR_BEGIN_DECLS

typedef enum RvPriv {
    RV_PRIV_U = 0,
    RV_PRIV_S = 1,
    RV_PRIV_M = 3,
} RvPriv;

typedef enum RvAccess {
    RV_ACCESS_LOAD,
    RV_ACCESS_STORE, /* also AMO */
    RV_ACCESS_FETCH,
} RvAccess;

/* Exception codes, privileged specification table "mcause values". */
typedef enum RvCause {
    RV_CAUSE_FETCH_MISALIGNED = 0,
    RV_CAUSE_FETCH_ACCESS = 1,
    RV_CAUSE_ILLEGAL = 2,
    RV_CAUSE_BREAKPOINT = 3,
    RV_CAUSE_LOAD_MISALIGNED = 4,
    RV_CAUSE_LOAD_ACCESS = 5,
    RV_CAUSE_STORE_MISALIGNED = 6,
    RV_CAUSE_STORE_ACCESS = 7,
    RV_CAUSE_ECALL_U = 8,
    RV_CAUSE_ECALL_S = 9,
    RV_CAUSE_ECALL_M = 11,
    RV_CAUSE_FETCH_PAGE = 12,
    RV_CAUSE_LOAD_PAGE = 13,
    RV_CAUSE_STORE_PAGE = 15,
} RvCause;

/* Interrupt numbers: bit positions in mip and mie. */
enum {
    RV_IRQ_SSI = 1,
    RV_IRQ_MSI = 3,
    RV_IRQ_STI = 5,
    RV_IRQ_MTI = 7,
    RV_IRQ_SEI = 9,
    RV_IRQ_MEI = 11,
};

#define RV_PMP_COUNT 16
#define RV_CACHE_BLOCK_BYTES 64 /* of cbo.*, Zicbom and Zicboz */

/* mstatus, and the part of it that sstatus shows (3.1.6, 10.1.1). */
#define RV_MSTATUS_SIE (UINT64_C(1) << 1)
#define RV_MSTATUS_MIE (UINT64_C(1) << 3)
#define RV_MSTATUS_SPIE (UINT64_C(1) << 5)
#define RV_MSTATUS_MPIE (UINT64_C(1) << 7)
#define RV_MSTATUS_SPP (UINT64_C(1) << 8)
#define RV_MSTATUS_MPP (UINT64_C(3) << 11)
#define RV_MSTATUS_FS (UINT64_C(3) << 13)
#define RV_MSTATUS_MPRV (UINT64_C(1) << 17)
#define RV_MSTATUS_SUM (UINT64_C(1) << 18)
#define RV_MSTATUS_MXR (UINT64_C(1) << 19)
#define RV_MSTATUS_TVM (UINT64_C(1) << 20)
#define RV_MSTATUS_TW (UINT64_C(1) << 21)
#define RV_MSTATUS_TSR (UINT64_C(1) << 22)
#define RV_MSTATUS_UXL (UINT64_C(3) << 32)
#define RV_MSTATUS_SXL (UINT64_C(3) << 34)
#define RV_MSTATUS_SD (UINT64_C(1) << 63)

/* menvcfg and senvcfg (3.1.18, 10.1.10). */
#define RV_ENVCFG_FIOM (UINT64_C(1) << 0)
#define RV_ENVCFG_CBIE (UINT64_C(3) << 4)
#define RV_ENVCFG_CBCFE (UINT64_C(1) << 6)
#define RV_ENVCFG_CBZE (UINT64_C(1) << 7)
#define RV_ENVCFG_ADUE (UINT64_C(1) << 61)
#define RV_ENVCFG_PBMTE (UINT64_C(1) << 62)
#define RV_ENVCFG_STCE (UINT64_C(1) << 63)

/* pmpcfg, one byte an entry (3.7.1). */
#define RV_PMP_R 0x01
#define RV_PMP_W 0x02
#define RV_PMP_X 0x04
#define RV_PMP_A 0x18 /* 0 off, 0x08 TOR, 0x10 NA4, 0x18 NAPOT */
#define RV_PMP_L 0x80

typedef struct RiscvCpu {
    Vcpu vcpu; /* first */

    /* Architectural registers. x[0] stays 0. F registers hold NaN-boxed singles. */
    uint64_t x[32] ORR_ALIGNED(ORR_CACHE_LINE);
    uint64_t f[32];
    uint64_t pc;
    uint8_t fflags, frm;
    uint8_t priv;   /* RvPriv */
    uint64_t insns; /* instructions retired since reset; minstret = insns + minstret_bias */

    /* LR/SC: the reserved physical address (or ~0) and the value loaded. */
    uint64_t reserved_paddr, reserved_value;
    uint8_t reserved_bytes;

    /* Privileged state. */
    uint64_t mstatus, misa, mie, mideleg, medeleg, mtvec, mscratch, mepc, mcause, mtval;
    uint64_t mcounteren, mcountinhibit, menvcfg, senvcfg;
    uint64_t stvec, sscratch, sepc, scause, stval, satp, scounteren, stimecmp;
    uint64_t minstret_bias, mcycle_bias;
    uint64_t mcounterhold[2]; /* values of cycle and instret while inhibited */
    uint8_t pmpcfg[RV_PMP_COUNT];
    uint64_t pmpaddr[RV_PMP_COUNT];

    /* What riscv_pmp_update made of the two: the bytes each entry covers; none if first > last. */
    struct {
        uint64_t first, last;
    } pmp_range[RV_PMP_COUNT];

    /*
     * mip is made of three parts, all atomics: the bits that software wrote (and SSIP, which a
     * device may set), the lines that devices hold (MSI, MTI, SEI, MEI), and, when menvcfg.STCE is
     * set, STIP from stimecmp. mie, menvcfg and stimecmp are written by the hart's thread and read
     * by others with atomics. stimer_pending is a hint that is never false too long: who finds it
     * true compares the clock.
     */
    uint64_t mip_soft;
    uint64_t mip_lines;
    bool stimer_pending;
    Timer stimer;
    /* Since when each interrupt is pending, 0 where that is not known. Atomics; for the trace. */
    int64_t irq_raised_ns[16];

    uint64_t mhartid;
    uint64_t exts;          /* RvExt bits of decode.h that are enabled */
    uint32_t time_hz;       /* of the time CSR; 10 MHz on virt */
    uint32_t satp_mode_max; /* 8, 9, 10: Sv39, Sv48, Sv57; 0: no paging */
    bool pmp_active; /* some entry is not off; see riscv_pmp_check for what follows when none */

    /*
     * Grows when a translation kept from before may be wrong for one and the same satp, effective
     * privilege, SUM and MXR: PMP, menvcfg.ADUE and PBMTE, reset. Those four are what a cache of
     * translations must be told apart by; changing them does not count here.
     */
    uint32_t mmu_version;

    /* Properties (-cpu rv64,zba=off,...): one bool each, folded into exts by vcpu_realize. */
    struct {
        bool m, a, f, d, c, zba, zbb, zbc, zbs, zicbom, zicboz, zicond, sstc, svinval, svnapot,
            svpbmt, svadu, zawrs, pmp, mmu, sv39, sv48, sv57;
    } feature;

    IrqLine irq[16]; /* inputs by interrupt number; lockless */

    GuestVcpu guest; /* what traces have seen of the guest's tasks */
} RiscvCpu;

static inline RiscvCpu *riscv_cpu(Vcpu *vcpu)
{
    return (RiscvCpu *)vcpu;
}

extern const TargetOps riscv64_target_ops;

/* ---- Interrupts and traps (priv spec 3.1.6-3.1.9, 3.1.15). */

/*
 * Drives an interrupt line into mip: MSI, MTI, SEI, MEI follow the level; SSI is set by level 1 and
 * cleared by software alone; others are ignored. Any thread, no lock. Tells the accelerator when an
 * enabled interrupt may have become pending.
 */
void riscv_set_irq(RiscvCpu *cpu, unsigned irq, int level);

/* mip as a CSR read shows it. Any thread. */
uint64_t riscv_mip(const RiscvCpu *cpu);

/*
 * The interrupt to take now, or -1: pending, enabled, not masked by privilege and delegation, by
 * the specified priority MEI, MSI, MTI, SEI, SSI, STI. The hart's thread.
 */
int riscv_pending_interrupt(const RiscvCpu *cpu);

/*
 * Enters a trap: cause is an exception code, or an interrupt number with interrupt true. pc must be
 * that of the trapping instruction (or the next, for interrupts). Sets pc, privilege, xcause,
 * xtval, xepc, status stacks. Clears the LR reservation. x must be exact here, and at mret, sret and
 * writes of CSRs: the trace reads registers of the guest's ABI (guest.h). The hart's thread.
 */
void riscv_enter_trap(RiscvCpu *cpu, bool interrupt, unsigned cause, uint64_t tval);

/* mret and sret (3.3.2). false: illegal in this privilege (TSR and so on); state is unchanged. */
bool riscv_mret(RiscvCpu *cpu);
bool riscv_sret(RiscvCpu *cpu);

/* wfi: false when illegal here (mstatus.TW, U-mode). */
bool riscv_wfi_allowed(const RiscvCpu *cpu);

/*
 * sfence.vma, sinval.vma: false when illegal here (mstatus.TVM, U-mode). sfence.w.inval and
 * sfence.inval.ir do not heed TVM: they are illegal in U-mode alone.
 */
bool riscv_sfence_allowed(const RiscvCpu *cpu);

/* cbo.*: what menvcfg and senvcfg say: 0 illegal, 1 allowed, 2 (inval only) do a flush instead. */
int riscv_cbo_allowed(const RiscvCpu *cpu, bool zero, bool inval);

/* ---- CSRs (2.1). */
typedef enum RvCsrResult {
    RV_CSR_OK = 0,
    RV_CSR_ILLEGAL,
    /* Addresses translate otherwise from here on: satp, SUM, MXR, MPRV or MPP under MPRV have
     * changed, or mmu_version has grown. End the block, look at those, and at interrupts too. */
    RV_CSR_OK_MMU,
    RV_CSR_OK_IRQ, /* an interrupt can be taken now: end the block, look at interrupts */
} RvCsrResult;

/*
 * One access as csrrw/s/c makes it: reads the old value (unless old is NULL: csrrw with rd=x0 has no
 * read side effects), then, when write is true, sets (value & mask) | (csr & ~mask). insns must be
 * exact up to this instruction. The hart's thread (or any while it is stopped, in M privilege).
 */
RvCsrResult riscv_csr_access(RiscvCpu *cpu, unsigned csr, uint64_t *old, bool write, uint64_t value,
                             uint64_t mask);

/* True when FP instructions are legal (mstatus.FS != 0). Sets nothing. */
static inline bool riscv_fp_enabled(const RiscvCpu *cpu)
{
    return (cpu->mstatus & (UINT64_C(3) << 13)) != 0;
}

/* FP state was written: FS becomes dirty, SD with it. */
static inline void riscv_fp_dirty(RiscvCpu *cpu)
{
    cpu->mstatus |= (UINT64_C(3) << 13) | (UINT64_C(1) << 63);
}

/*
 * The same for debuggers and snapshots: no privilege, no counter enables, no mstatus.FS. false when
 * this hart has no such CSR, or (poke) when its number says read-only. The vCPU is stopped.
 */
bool riscv_csr_peek(RiscvCpu *cpu, unsigned csr, uint64_t *value);
bool riscv_csr_poke(RiscvCpu *cpu, unsigned csr, uint64_t value);

/*
 * Makes everything that is derived from the registers (PMP ranges, the stimecmp timer) anew, with
 * mmu_version grown; after fields were filled otherwise than by the functions here
 * (reset, a snapshot, another accelerator). The vCPU is stopped or its own thread.
 */
void riscv_state_changed(RiscvCpu *cpu);

/* Current time CSR value and the virtual-clock deadline of a compare value (INT64_MAX: never). */
uint64_t riscv_time(const RiscvCpu *cpu);
int64_t riscv_time_to_ns(const RiscvCpu *cpu, uint64_t time);

/* ---- Memory protection and translation (3.7, 4.3-4.6). */

/*
 * PMP check of [paddr, paddr + size): true when allowed. priv is the effective privilege. The first
 * entry that overlaps decides, and must cover the whole access. Without one (so also while all
 * entries are off) M is allowed and S and U are not, unless the hart has no PMP at all. The hart's
 * thread.
 */
bool riscv_pmp_check(const RiscvCpu *cpu, uint64_t paddr, unsigned size, RvAccess access,
                     RvPriv priv);

/* True when one PMP verdict holds for the whole 4 KiB page, so that a TLB may keep it. */
bool riscv_pmp_page_uniform(const RiscvCpu *cpu, uint64_t paddr);

typedef struct RvTranslation {
    uint64_t paddr;     /* of the address asked for */
    unsigned page_bits; /* 12, 16 (Svnapot), 21, 30, 39, 48; 64 when not translated at all */
    uint8_t prot;       /* bits 1 << RvAccess that this privilege may do without another walk: a
                         * clean page has no store bit until its D is set */
    bool global;        /* PTE.G */
    bool cacheable;     /* false: PMP splits the page, ask again each time */
} RvTranslation;

/* Effective privilege of loads and stores (mstatus.MPRV); fetches use cpu->priv. */
static inline RvPriv riscv_data_priv(const RiscvCpu *cpu)
{
    if (G_UNLIKELY(cpu->mstatus & (UINT64_C(1) << 17))) {
        return (RvPriv)((cpu->mstatus >> 11) & 3);
    }
    return (RvPriv)cpu->priv;
}

/*
 * Translates and checks one address: walk, permission bits with SUM and MXR, A and D (set in memory
 * by atomic compare-and-swap when Svadu is on in menvcfg.ADUE, else a fault), PMP of the tables and
 * of the result. size is for PMP. 0 on success, else a cause (page fault or access fault) for
 * `access`; RvCause 0 is never returned as a fault. The hart's thread, no lock.
 */
unsigned riscv_translate(RiscvCpu *cpu, uint64_t vaddr, unsigned size, RvAccess access, RvPriv priv,
                         RvTranslation *out);

/* ---- Names for dumps and logs. */
const char *riscv_cause_name(bool interrupt, unsigned cause);

ORR_END_DECLS

#endif
