/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers by name or number, and the bits the programs use.
 */
#ifndef GUEST_CSR_H
#define GUEST_CSR_H

#define PRIV_U 0
#define PRIV_S 1
#define PRIV_M 3

/* Numbers that this assembler may not know by name. */
#define CSR_STIMECMP 0x14d
#define CSR_SENVCFG 0x10a
#define CSR_MENVCFG 0x30a

#define CSR_TEXT_(csr) #csr
#define CSR_TEXT(csr) CSR_TEXT_(csr)

#define csr_read(csr)                                                                              \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("csrr %0, " CSR_TEXT(csr) : "=r"(value_)::"memory");                      \
        value_;                                                                                    \
    })
#define csr_write(csr, value)                                                                      \
    __asm__ volatile("csrw " CSR_TEXT(csr) ", %0" ::"r"((uint64_t)(value)) : "memory")
#define csr_set(csr, bits)                                                                         \
    __asm__ volatile("csrs " CSR_TEXT(csr) ", %0" ::"r"((uint64_t)(bits)) : "memory")
#define csr_clear(csr, bits)                                                                       \
    __asm__ volatile("csrc " CSR_TEXT(csr) ", %0" ::"r"((uint64_t)(bits)) : "memory")
#define csr_swap(csr, value)                                                                       \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("csrrw %0, " CSR_TEXT(csr) ", %1"                                         \
                         : "=r"(value_)                                                            \
                         : "r"((uint64_t)(value))                                                  \
                         : "memory");                                                              \
        value_;                                                                                    \
    })

#define MSTATUS_SIE (1ul << 1)
#define MSTATUS_MIE (1ul << 3)
#define MSTATUS_SPIE (1ul << 5)
#define MSTATUS_MPIE (1ul << 7)
#define MSTATUS_SPP (1ul << 8)
#define MSTATUS_MPP (3ul << 11)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_FS (3ul << 13)
#define MSTATUS_MPRV (1ul << 17)
#define MSTATUS_SUM (1ul << 18)
#define MSTATUS_MXR (1ul << 19)
#define MSTATUS_TVM (1ul << 20)
#define MSTATUS_TW (1ul << 21)
#define MSTATUS_TSR (1ul << 22)
#define MSTATUS_SD (1ul << 63)

#define IRQ_SSI 1
#define IRQ_MSI 3
#define IRQ_STI 5
#define IRQ_MTI 7
#define IRQ_SEI 9
#define IRQ_MEI 11
#define INTERRUPT (1ul << 63)

#define MIP(irq) (1ul << (irq))

#define CAUSE_FETCH_ACCESS 1
#define CAUSE_ILLEGAL 2
#define CAUSE_BREAKPOINT 3
#define CAUSE_LOAD_MISALIGNED 4
#define CAUSE_LOAD_ACCESS 5
#define CAUSE_STORE_MISALIGNED 6
#define CAUSE_STORE_ACCESS 7
#define CAUSE_ECALL_U 8
#define CAUSE_ECALL_S 9
#define CAUSE_ECALL_M 11
#define CAUSE_FETCH_PAGE 12
#define CAUSE_LOAD_PAGE 13
#define CAUSE_STORE_PAGE 15

#define ENVCFG_ADUE (1ul << 61)
#define ENVCFG_PBMTE (1ul << 62)
#define ENVCFG_STCE (1ul << 63)

#endif
