/* SPDX-License-Identifier: MIT */
/*
 * Rows of machine mode: registers, traps, a device, interrupts of its own and of the timer. Handlers
 * are as short as they can be, so that the trap is what is measured.
 */
#include "peers.h"

#define CSR_ROUNDS 5000000
#define ECALL_ROUNDS 1000000
#define MMIO_ROUNDS 2000000
#define IPI_ROUNDS 500000
#define WAIT_ROUNDS 2000
#define WAIT_LIMIT (TIME_HZ * 3 / 10)
#define UART_LSR (UART_BASE + 5)

static void row_csr(void)
{
    uint64_t kept = csr_read(mscratch), start, sum = 0;

    row_start("csr");
    start = now();
    for (uint64_t i = 0; i < CSR_ROUNDS; i++) {
        csr_write(mscratch, i);
        sum += csr_read(mscratch);
    }
    row_report("csr", CSR_ROUNDS, now() - start, sum);
    csr_write(mscratch, kept);
}

/* Goes on after the ecall, and counts it in a0. */
extern const char skip_ecall[];
__asm__(".pushsection .text\n"
        ".balign 4\n"
        "skip_ecall:\n"
        "    csrr t0, mepc\n"
        "    addi t0, t0, 4\n"
        "    csrw mepc, t0\n"
        "    addi a0, a0, 1\n"
        "    mret\n"
        ".popsection\n");

static void row_ecall(void)
{
    register uint64_t taken __asm__("a0") = 0;
    uint64_t start;

    row_start("ecall");
    csr_write(mtvec, skip_ecall);
    csr_set(mstatus, MSTATUS_MPP);
    taken = 0;
    start = now();
    for (uint64_t i = 0; i < ECALL_ROUNDS; i++) {
        __asm__ volatile("ecall" : "+r"(taken)::"t0", "memory");
    }
    start = now() - start;
    csr_write(mtvec, m_trap_entry);
    row_report("ecall", ECALL_ROUNDS, start, taken);
}

static void row_mmio(void)
{
    uint64_t start, idle = 0;

    row_start("mmio");
    for (unsigned i = 0; i < 100000 && !(read8(UART_LSR) & 0x40); i++) {
        /* until what was printed is out */
    }
    start = now();
    for (uint64_t i = 0; i < MMIO_ROUNDS; i++) {
        idle += read8(UART_LSR) >> 5 & 1;
    }
    row_report("mmio", MMIO_ROUNDS, now() - start, idle);
}

static volatile uint64_t interrupts;

static __attribute__((interrupt("machine"), aligned(4))) void on_ipi(void)
{
    write32(CLINT_MSIP(0), 0);
    interrupts++;
}

static __attribute__((interrupt("machine"), aligned(4))) void on_timer(void)
{
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    interrupts++;
}

static void row_ipi(void)
{
    uint64_t start;

    row_start("ipi");
    interrupts = 0;
    csr_write(mtvec, on_ipi);
    csr_write(mie, MIP(IRQ_MSI));
    csr_set(mstatus, MSTATUS_MIE);
    start = now();
    for (uint64_t i = 0; i < IPI_ROUNDS; i++) {
        write32(CLINT_MSIP(0), 1);
        while (interrupts == i) {
            /* until the handler has run */
        }
    }
    start = now() - start;
    csr_clear(mstatus, MSTATUS_MIE);
    csr_write(mie, 0);
    csr_write(mtvec, m_trap_entry);
    row_report("ipi", IPI_ROUNDS, start, interrupts);
}

/* How long a wait for a timer takes that is due in a microsecond. */
static void row_timer(void)
{
    uint64_t start, spent, n;

    row_start("timer-wait");
    interrupts = 0;
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    csr_write(mtvec, on_timer);
    csr_write(mie, MIP(IRQ_MTI));
    csr_set(mstatus, MSTATUS_MIE);
    start = now();
    for (n = 0; n < WAIT_ROUNDS && (n < 10 || now() - start < WAIT_LIMIT); n++) {
        write64(CLINT_MTIMECMP(0), now() + MICROSECONDS(1));
        while (interrupts == n) {
            /* until the handler has run */
        }
    }
    spent = now() - start;
    csr_clear(mstatus, MSTATUS_MIE);
    csr_write(mie, 0);
    csr_write(mtvec, m_trap_entry);
    row_report("timer-wait", n, spent, interrupts - n);
}

void guest_main(void)
{
    row_csr();
    row_ecall();
    row_mmio();
    row_ipi();
    row_timer();
    print("DONE\n");
    power_off(0);
}
