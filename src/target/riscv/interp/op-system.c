/* SPDX-License-Identifier: MIT */
/*
 * Environment calls, CSRs, fences, waiting, cache blocks: the instructions whose meaning is in the
 * privileged architecture (cpu.h). The idea to hold: whatever may change privilege, translation or
 * interrupts leaves the handlers with RV_STOP_RESUME, and the run loop looks at everything anew.
 */
#include "target/riscv/interp/ops.h"

/* ---- Traps and returns. Neither ecall nor ebreak retires. */

HANDLER(illegal)
{
    RAISE_ILLEGAL;
}

HANDLER(ecall)
{
    RAISE(RV_CAUSE_ECALL_U + cpu->priv, 0);
}

HANDLER(ebreak)
{
    RAISE(RV_CAUSE_BREAKPOINT, PC);
}

HANDLER(mret)
{
    if (!riscv_mret(cpu)) {
        RAISE_ILLEGAL;
    }
    STOP(RV_STOP_RESUME, cpu->pc);
}

HANDLER(sret)
{
    if (!riscv_sret(cpu)) {
        RAISE_ILLEGAL;
    }
    STOP(RV_STOP_RESUME, cpu->pc);
}

/* ---- CSRs. */

enum {
    CSR_SSTATUS = 0x100,
    CSR_SATP = 0x180,
    CSR_MSTATUS = 0x300,
};

RV_APART static RvCsrResult csr_access(RiscvCpu *cpu, const RvUop *op, RvInterp *s, bool read,
                                       bool write, uint64_t value, uint64_t mask)
{
    unsigned csr = (unsigned)op->imm;
    uint64_t old = 0;
    RvCsrResult result;

    rv_add_insns(cpu, -1); /* the counters do not see the instruction that reads them */
    result = riscv_csr_access(cpu, csr, read ? &old : NULL, write, value, mask);
    rv_add_insns(cpu, 1);
    if (result == RV_CSR_ILLEGAL) {
        return result;
    }
    if (read) {
        set_x(cpu, op->rd, old);
    }
    /* These select a view by its key; what the views hold stays true. */
    if (result == RV_CSR_OK_MMU && cpu->mmu_version == s->mmu_version + 1 &&
        (csr == CSR_SSTATUS || csr == CSR_MSTATUS || csr == CSR_SATP)) {
        s->mmu_version = cpu->mmu_version;
    }
    return result;
}

/* csrrw does not read for rd = x0; csrrs and csrrc do not write for rs1 = x0 (9.1). */
#define CSR(name_, read_, write_, value_, mask_)                                                   \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        RvCsrResult result =                                                                       \
            csr_access(cpu, op, view->interp, (read_), (write_), (value_), (mask_));               \
                                                                                                   \
        if (result == RV_CSR_ILLEGAL) {                                                            \
            RAISE_ILLEGAL;                                                                         \
        }                                                                                          \
        if (result != RV_CSR_OK) {                                                                 \
            STOP(RV_STOP_RESUME, NEXT_PC);                                                         \
        }                                                                                          \
        FOLLOW_NEXT;                                                                               \
    }

CSR(csrrw, op->rd != 0, true, X(rs1), UINT64_MAX)
CSR(csrrs, true, op->rs1 != 0, UINT64_MAX, X(rs1))
CSR(csrrc, true, op->rs1 != 0, 0, X(rs1))
CSR(csrrwi, op->rd != 0, true, op->rs1, UINT64_MAX)
CSR(csrrsi, true, op->rs1 != 0, UINT64_MAX, op->rs1)
CSR(csrrci, true, op->rs1 != 0, 0, op->rs1)

/* ---- Fences. */

enum {
    FENCE_INPUT = 8,
    FENCE_OUTPUT = 4,
    FENCE_READ = 2,
    FENCE_WRITE = 1,
};

OP(fence)
{
    unsigned before = (unsigned)op->imm >> 4 & 15;
    unsigned after = (unsigned)op->imm & 15;

    if ((before & (FENCE_WRITE | FENCE_OUTPUT)) && (after & (FENCE_READ | FENCE_INPUT))) {
        orr_fence_seq_cst();
    } else {
        __atomic_thread_fence(__ATOMIC_ACQ_REL);
    }
}

OP(fence_tso)
{
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
}

/*
 * Blocks whose page has not been written since are good as they are, but for one case: a store of
 * another hart that was under way while the page's bytes were read may not have seen that anybody
 * reads them. A new epoch has every block's bytes compared before it runs again.
 */
HANDLER(fence_i)
{
    view->interp->epoch += UINT64_C(1) << 32;
    orr_fence_seq_cst();
    STOP(RV_STOP_RESUME, NEXT_PC);
}

/* ---- Address translation (priv spec 10.2.1, and Svinval). */

static void fence_vma(const RiscvCpu *cpu, const RvUop *op, RvInterp *s)
{
    uint16_t asid = (uint16_t)X(rs2);

    if (op->rs1) {
        rv_view_flush_page(s, X(rs1), op->rs2 == 0, asid);
    } else if (op->rs2) {
        rv_view_flush_asid(s, asid);
    } else {
        rv_view_flush_all(s);
    }
}

HANDLER(sfence_vma)
{
    if (!riscv_sfence_allowed(cpu)) {
        RAISE_ILLEGAL;
    }
    fence_vma(cpu, op, view->interp);
    STOP(RV_STOP_RESUME, NEXT_PC);
}

HANDLER(sinval_vma)
{
    if (!riscv_sfence_allowed(cpu)) {
        RAISE_ILLEGAL;
    }
    fence_vma(cpu, op, view->interp);
    STOP(RV_STOP_RESUME, NEXT_PC);
}

/* sinval.vma is ordered by itself here. */
HANDLER(sfence_w_inval)
{
    if (cpu->priv == RV_PRIV_U) {
        RAISE_ILLEGAL;
    }
    FOLLOW_NEXT;
}

HANDLER(sfence_inval_ir)
{
    if (cpu->priv == RV_PRIV_U) {
        RAISE_ILLEGAL;
    }
    FOLLOW_NEXT;
}

/* ---- Waiting. */

HANDLER(wfi)
{
    if (!riscv_wfi_allowed(cpu)) {
        RAISE_ILLEGAL;
    }
    if (view->interp->stepping || cpu->vcpu.target->has_work(&cpu->vcpu)) {
        STOP(RV_STOP_RESUME, NEXT_PC);
    }
    orr_store_seq_cst(&cpu->vcpu.halted, true);
    STOP(RV_STOP_HALTED, NEXT_PC);
}

/* A spinning guest gives its turn to the hart that it waits for. */
HANDLER(pause)
{
    STOP(RV_STOP_YIELD, NEXT_PC);
}

HANDLER(wrs_sto)
{
    STOP(RV_STOP_YIELD, NEXT_PC);
}

HANDLER(wrs_nto)
{
    STOP(RV_STOP_YIELD, NEXT_PC);
}

/* ---- Cache blocks (CMO spec 2.5.1). There is no cache to manage; permissions are checked. */

#define CACHE_BLOCK(name_, zero_, inval_)                                                          \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        unsigned cause;                                                                            \
                                                                                                   \
        if (!riscv_cbo_allowed(cpu, (zero_), (inval_))) {                                          \
            RAISE_ILLEGAL;                                                                         \
        }                                                                                          \
        cause = rv_cache_block(view, X(rs1), (zero_));                                             \
        if (cause) {                                                                               \
            RAISE(cause, view->interp->tval);                                                      \
        }                                                                                          \
        NEXT;                                                                                      \
    }

CACHE_BLOCK(cbo_zero, true, false)
CACHE_BLOCK(cbo_inval, false, true)
CACHE_BLOCK(cbo_clean, false, false)
CACHE_BLOCK(cbo_flush, false, false)
