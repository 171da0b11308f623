/* SPDX-License-Identifier: MIT */
/*
 * Every control and status register of the hart, once. The number holds the lowest privilege (bits
 * 9:8) and whether it is read-only (11:10 both set), so neither is a column; a number that is not
 * here does not exist. The order is that of register lists (gdb, monitor).
 *
 * X(number, name, guard, read, write, field, mask)
 *   guard  who may get at it beyond the privilege in the number: a csr_guard_* function
 *   read   how its value is made: a csr_read_* function; `field` reads the member
 *   write  what a write does: a csr_write_* function; `field` stores the bits of mask in the member;
 *          `none` for registers whose fields are all read-only (WARL, ignored) or whose number is
 *   field  member of RiscvCpu, `pc` where read and write do not look
 *   mask   the writable bits, as far as they do not depend on the hart's extensions
 */
#ifndef ORRERY_TARGET_RISCV_CSR_LIST_H
#define ORRERY_TARGET_RISCV_CSR_LIST_H

#define RISCV_CSR_ALL UINT64_MAX

#define RISCV_CSR_LIST(X)                                                                          \
    /* Floating point (unprivileged). */                                                           \
    X(0x001, fflags, fp, fflags, fflags, fflags, 0x1f)                                             \
    X(0x002, frm, fp, frm, frm, frm, 0x7)                                                          \
    X(0x003, fcsr, fp, fcsr, fcsr, frm, 0xff)                                                      \
    /* Counters, user views. */                                                                    \
    X(0xc00, cycle, counter, mcycle, none, pc, 0)                                                  \
    X(0xc01, time, counter, time, none, pc, 0)                                                     \
    X(0xc02, instret, counter, minstret, none, pc, 0)                                              \
    RISCV_CSR_HPM(X, RISCV_CSR_HPMCOUNTER)                                                         \
    /* Supervisor. */                                                                              \
    X(0x100, sstatus, any, sstatus, sstatus, mstatus, 0)                                           \
    X(0x104, sie, any, sie, sie, mie, 0)                                                           \
    X(0x105, stvec, any, field, field, stvec, ~UINT64_C(2))                                        \
    X(0x106, scounteren, any, field, field, scounteren, UINT32_MAX)                                \
    X(0x10a, senvcfg, any, field, envcfg, senvcfg, RISCV_CSR_ENVCFG_CBO)                           \
    X(0x140, sscratch, any, field, field, sscratch, RISCV_CSR_ALL)                                 \
    X(0x141, sepc, any, field, epc, sepc, RISCV_CSR_ALL)                                           \
    X(0x142, scause, any, field, field, scause, RISCV_CSR_ALL)                                     \
    X(0x143, stval, any, field, field, stval, RISCV_CSR_ALL)                                       \
    X(0x144, sip, any, sip, sip, mip_soft, 0)                                                      \
    X(0x14d, stimecmp, sstc, field, stimecmp, stimecmp, RISCV_CSR_ALL)                             \
    X(0x180, satp, satp, field, satp, satp, RISCV_CSR_ALL)                                         \
    /* Machine. */                                                                                 \
    X(0xf11, mvendorid, any, zero, none, pc, 0)                                                    \
    X(0xf12, marchid, any, zero, none, pc, 0)                                                      \
    X(0xf13, mimpid, any, zero, none, pc, 0)                                                       \
    X(0xf14, mhartid, any, field, none, mhartid, 0)                                                \
    X(0xf15, mconfigptr, any, zero, none, pc, 0)                                                   \
    X(0x300, mstatus, any, field, mstatus, mstatus, 0)                                             \
    X(0x301, misa, any, field, none, misa, 0)                                                      \
    X(0x302, medeleg, any, field, field, medeleg, 0xb3ff)                                          \
    X(0x303, mideleg, any, field, mideleg, mideleg, RV_MIP_S)                                      \
    X(0x304, mie, any, field, mie, mie, RV_MIP_S | RV_MIP_M)                                       \
    X(0x305, mtvec, any, field, field, mtvec, ~UINT64_C(2))                                        \
    X(0x306, mcounteren, any, field, field, mcounteren, UINT32_MAX)                                \
    X(0x30a, menvcfg, any, field, envcfg, menvcfg, RISCV_CSR_ENVCFG_M)                             \
    X(0x320, mcountinhibit, any, field, mcountinhibit, mcountinhibit, 5)                           \
    RISCV_CSR_HPM(X, RISCV_CSR_MHPMEVENT)                                                          \
    X(0x340, mscratch, any, field, field, mscratch, RISCV_CSR_ALL)                                 \
    X(0x341, mepc, any, field, epc, mepc, RISCV_CSR_ALL)                                           \
    X(0x342, mcause, any, field, field, mcause, RISCV_CSR_ALL)                                     \
    X(0x343, mtval, any, field, field, mtval, RISCV_CSR_ALL)                                       \
    X(0x344, mip, any, mip, mip, mip_soft, 0)                                                      \
    X(0x3a0, pmpcfg0, pmp, pmpcfg, pmpcfg, pmpcfg, RISCV_CSR_ALL)                                  \
    X(0x3a2, pmpcfg2, pmp, pmpcfg, pmpcfg, pmpcfg, RISCV_CSR_ALL)                                  \
    RISCV_CSR_16(X, RISCV_CSR_PMPADDR)                                                             \
    /* Triggers: there are none, which software finds out by type 0 of the first. */               \
    X(0x7a0, tselect, any, zero, none, pc, 0)                                                      \
    X(0x7a1, tdata1, any, zero, none, pc, 0)                                                       \
    X(0x7a2, tdata2, any, zero, none, pc, 0)                                                       \
    X(0x7a3, tdata3, any, zero, none, pc, 0)                                                       \
    X(0x7a4, tinfo, any, one, none, pc, 0)                                                         \
    X(0xb00, mcycle, any, mcycle, mcycle, mcycle_bias, RISCV_CSR_ALL)                              \
    X(0xb02, minstret, any, minstret, minstret, minstret_bias, RISCV_CSR_ALL)                      \
    RISCV_CSR_HPM(X, RISCV_CSR_MHPMCOUNTER)

/* Bits that depend on an extension are masked further by csr_write_envcfg. */
#define RISCV_CSR_ENVCFG_CBO (RV_ENVCFG_FIOM | RV_ENVCFG_CBIE | RV_ENVCFG_CBCFE | RV_ENVCFG_CBZE)
#define RISCV_CSR_ENVCFG_M                                                                         \
    (RISCV_CSR_ENVCFG_CBO | RV_ENVCFG_ADUE | RV_ENVCFG_PBMTE | RV_ENVCFG_STCE)

/* The 29 event counters count nothing: their fields are all read-only zero. */
#define RISCV_CSR_HPMCOUNTER(X, n) X(0xc00 + n, hpmcounter##n, counter, zero, none, pc, 0)
#define RISCV_CSR_MHPMCOUNTER(X, n) X(0xb00 + n, mhpmcounter##n, any, zero, none, pc, 0)
#define RISCV_CSR_MHPMEVENT(X, n) X(0x320 + n, mhpmevent##n, any, zero, none, pc, 0)
#define RISCV_CSR_PMPADDR(X, n)                                                                    \
    X(0x3b0 + n, pmpaddr##n, pmp, pmpaddr, pmpaddr, pmpaddr, RISCV_CSR_ALL)

/* clang-format off */
#define RISCV_CSR_HPM(X, M)                                                                        \
    M(X, 3) M(X, 4) M(X, 5) M(X, 6) M(X, 7) M(X, 8) M(X, 9) M(X, 10) M(X, 11) M(X, 12) M(X, 13)    \
    M(X, 14) M(X, 15) M(X, 16) M(X, 17) M(X, 18) M(X, 19) M(X, 20) M(X, 21) M(X, 22) M(X, 23)      \
    M(X, 24) M(X, 25) M(X, 26) M(X, 27) M(X, 28) M(X, 29) M(X, 30) M(X, 31)

#define RISCV_CSR_16(X, M)                                                                         \
    M(X, 0) M(X, 1) M(X, 2) M(X, 3) M(X, 4) M(X, 5) M(X, 6) M(X, 7) M(X, 8) M(X, 9) M(X, 10)       \
    M(X, 11) M(X, 12) M(X, 13) M(X, 14) M(X, 15)
/* clang-format on */

#endif
