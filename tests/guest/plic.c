/* SPDX-License-Identifier: MIT */
/*
 * The PLIC with the UART as its source: enables, priorities, thresholds, claim and completion, M and S
 * contexts of every hart; and the UART's own interrupts and FIFO, by looping its output back to its
 * input.
 */
#include "guest.h"

#define UART_RBR UART_BASE
#define UART_THR UART_BASE
#define UART_IER (UART_BASE + 1)
#define UART_IIR (UART_BASE + 2)
#define UART_FCR (UART_BASE + 2)
#define UART_LCR (UART_BASE + 3)
#define UART_MCR (UART_BASE + 4)
#define UART_LSR (UART_BASE + 5)
#define UART_MSR (UART_BASE + 6)
#define UART_SCR (UART_BASE + 7)

#define IER_RX 1
#define IER_TX 2
#define IER_LINE 4
#define IER_MODEM 8
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_TX 0x02
#define IIR_RX 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define LSR_DATA 0x01
#define LSR_OVERRUN 0x02
#define LSR_EMPTY 0x60
#define MCR_LOOP 0x10
#define FIFO_BYTES 16

#define SOURCE_BIT (1u << UART_IRQ)

static void loop_on(void)
{
    /* Let out what is still on its way to the console. */
    while ((read8(UART_LSR) & LSR_EMPTY) != LSR_EMPTY) {
    }
    write8(UART_MCR, MCR_LOOP);
}

static void loop_off(void)
{
    write8(UART_IER, 0);
    while (read8(UART_LSR) & LSR_DATA) {
        read8(UART_RBR);
    }
    write8(UART_MCR, 8);
}

/* Sends into the loop and waits for it to come back. */
static void send(uint8_t value)
{
    write8(UART_THR, value);
    while (!(read8(UART_LSR) & LSR_DATA)) {
    }
}

static void uart_registers(void)
{
    uint8_t scratch = 0, before;

    group("uart registers");
    write8(UART_SCR, 0x5a);
    scratch = read8(UART_SCR);
    CHECK_EQ(scratch, 0x5a);
    write8(UART_LCR, 0x83); /* the divisor latch over the first two */
    write8(UART_BASE, 0x34);
    write8(UART_BASE + 1, 0x12);
    CHECK_EQ(read8(UART_BASE), 0x34);
    CHECK_EQ(read8(UART_BASE + 1), 0x12);
    write8(UART_BASE, 1);
    write8(UART_BASE + 1, 0);
    write8(UART_LCR, 3);
    write8(UART_IER, 0xff);
    before = read8(UART_IER);
    write8(UART_IER, 0);
    CHECK_EQ(before, 0x0f);
    CHECK_EQ(read8(UART_IER), 0);
    CHECK_EQ(read8(UART_LSR) & LSR_EMPTY, LSR_EMPTY);
}

static void loopback(void)
{
    uint8_t status, id;
    bool ok = true;

    group("uart loopback");
    loop_on();
    for (unsigned i = 0; i < 256; i++) {
        send((uint8_t)i);
        ok &= read8(UART_RBR) == i;
    }
    status = read8(UART_LSR);
    /* Modem outputs come back as inputs: DTR, RTS, OUT1, OUT2 as DSR, CTS, RI, DCD. */
    write8(UART_MCR, MCR_LOOP | 0x0f);
    id = read8(UART_MSR) & 0xf0;
    loop_off();
    CHECK(ok);
    CHECK_EQ(status & LSR_DATA, 0);
    CHECK_EQ(id, 0xf0);

    group("uart interrupts");
    loop_on();
    write8(UART_IER, IER_RX);
    id = read8(UART_IIR) & 0x0f;
    send('x');
    status = read8(UART_IIR) & 0x0f;
    read8(UART_RBR);
    ok = (read8(UART_IIR) & 0x0f) == IIR_NONE;
    loop_off();
    CHECK_EQ(id, IIR_NONE);
    CHECK_EQ(status, IIR_RX);
    CHECK(ok);
    /* The transmitter's is taken back by reading the identification, and comes again. */
    write8(UART_IER, IER_TX);
    id = read8(UART_IIR) & 0x0f;
    status = read8(UART_IIR) & 0x0f;
    write8(UART_IER, 0);
    CHECK_EQ(id, IIR_TX);
    CHECK_EQ(status, IIR_NONE);
    /* Receiving goes before transmitting. */
    loop_on();
    write8(UART_IER, IER_RX | IER_TX);
    send('y');
    id = read8(UART_IIR) & 0x0f;
    read8(UART_RBR);
    status = read8(UART_IIR) & 0x0f;
    loop_off();
    CHECK_EQ(id, IIR_RX);
    CHECK_EQ(status, IIR_TX);

    group("uart fifo");
    loop_on();
    write8(UART_FCR, 0x07); /* on, both cleared, one byte is enough */
    id = read8(UART_IIR) & 0xc0;
    for (unsigned i = 0; i < FIFO_BYTES; i++) {
        write8(UART_THR, (uint8_t)(0x40 + i));
        while (!(read8(UART_LSR) & LSR_EMPTY)) {
        }
    }
    ok = true;
    for (unsigned i = 0; i < FIFO_BYTES; i++) {
        while (!(read8(UART_LSR) & LSR_DATA)) {
        }
        ok &= read8(UART_RBR) == 0x40 + i;
    }
    status = read8(UART_LSR);
    write8(UART_FCR, 0);
    loop_off();
    CHECK_EQ(id, 0xc0);
    CHECK(ok);
    CHECK_EQ(status & (LSR_DATA | LSR_OVERRUN), 0);
}

/* ---- The PLIC. The transmitter's interrupt is a source one can switch on and off. */

static void raise(void)
{
    write8(UART_IER, IER_TX);
}

/* Reading the identification withdraws the transmitter's interrupt. */
static void lower(void)
{
    write8(UART_IER, 0);
    read8(UART_IIR);
}

static void wait_pending(void)
{
    while (!(read32(PLIC_PENDING(0)) & SOURCE_BIT)) {
    }
}

static void wait_mip(uint64_t bit, bool set)
{
    while (((csr_read(mip) & bit) != 0) != set) {
    }
}

static void plic_registers(void)
{
    group("plic registers");
    for (unsigned source = 1; source < 12; source++) {
        write32(PLIC_PRIORITY(source), 7);
        CHECK_EQ(read32(PLIC_PRIORITY(source)), 7);
        write32(PLIC_PRIORITY(source), 0);
        CHECK_EQ(read32(PLIC_PRIORITY(source)), 0);
    }
    for (unsigned context = 0; context < 2 * hart_count(); context++) {
        write32(PLIC_ENABLE(context, 0), 0xfffffffe);
        CHECK_EQ(read32(PLIC_ENABLE(context, 0)), 0xfffffffe);
        write32(PLIC_ENABLE(context, 0), 0);
        write32(PLIC_THRESHOLD(context), 3);
        CHECK_EQ(read32(PLIC_THRESHOLD(context)), 3);
        write32(PLIC_THRESHOLD(context), 0);
        CHECK_EQ(read32(PLIC_CLAIM(context)), 0);
    }
}

static void claims(void)
{
    group("claim and completion");
    write32(PLIC_PRIORITY(UART_IRQ), 2);
    write32(PLIC_ENABLE(0, 0), SOURCE_BIT);
    /* A request once made stays, so one may be left from before. */
    if (read32(PLIC_CLAIM(0)) == UART_IRQ) {
        write32(PLIC_CLAIM(0), UART_IRQ);
    }
    wait_mip(MIP(IRQ_MEI), false);
    CHECK_EQ(read32(PLIC_CLAIM(0)), 0);
    raise();
    wait_pending();
    wait_mip(MIP(IRQ_MEI), true);
    CHECK_EQ(read32(PLIC_CLAIM(0)), UART_IRQ);
    /* Claimed: no longer pending, and not pending again while it is being served. */
    CHECK_EQ(read32(PLIC_PENDING(0)) & SOURCE_BIT, 0);
    wait_mip(MIP(IRQ_MEI), false);
    CHECK_EQ(read32(PLIC_CLAIM(0)), 0);
    /* Completed while the line is still high: it is pending once more. */
    write32(PLIC_CLAIM(0), UART_IRQ);
    wait_pending();
    wait_mip(MIP(IRQ_MEI), true);
    CHECK_EQ(read32(PLIC_CLAIM(0)), UART_IRQ);
    lower();
    write32(PLIC_CLAIM(0), UART_IRQ);
    CHECK_EQ(read32(PLIC_PENDING(0)) & SOURCE_BIT, 0);
    wait_mip(MIP(IRQ_MEI), false);

    group("thresholds, enables and priority 0");
    raise();
    wait_mip(MIP(IRQ_MEI), true);
    write32(PLIC_THRESHOLD(0), 2);
    wait_mip(MIP(IRQ_MEI), false);
    write32(PLIC_THRESHOLD(0), 1);
    wait_mip(MIP(IRQ_MEI), true);
    write32(PLIC_ENABLE(0, 0), 0);
    wait_mip(MIP(IRQ_MEI), false);
    CHECK_EQ(read32(PLIC_CLAIM(0)), 0);
    write32(PLIC_ENABLE(0, 0), SOURCE_BIT);
    wait_mip(MIP(IRQ_MEI), true);
    write32(PLIC_PRIORITY(UART_IRQ), 0);
    wait_mip(MIP(IRQ_MEI), false);
    CHECK_EQ(read32(PLIC_PENDING(0)) & SOURCE_BIT, SOURCE_BIT);
    write32(PLIC_PRIORITY(UART_IRQ), 2);
    write32(PLIC_THRESHOLD(0), 0);
    wait_mip(MIP(IRQ_MEI), true);
    CHECK_EQ(read32(PLIC_CLAIM(0)), UART_IRQ);
    lower();
    write32(PLIC_CLAIM(0), UART_IRQ);
    write32(PLIC_ENABLE(0, 0), 0);
}

static void supervisor(void)
{
    group("the S-mode context");
    write32(PLIC_ENABLE(1, 0), SOURCE_BIT);
    raise();
    wait_mip(MIP(IRQ_SEI), true);
    CHECK_EQ(csr_read(mip) & MIP(IRQ_MEI), 0);
    /* A read-modify-write of other bits leaves no software copy of the line in mip. */
    csr_set(mip, MIP(IRQ_SSI));
    csr_clear(mip, MIP(IRQ_SSI));
    CHECK_EQ(read32(PLIC_CLAIM(1)), UART_IRQ);
    wait_mip(MIP(IRQ_SEI), false);
    /* The software bit and the line are or-ed. */
    csr_set(mip, MIP(IRQ_SEI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_SEI), MIP(IRQ_SEI));
    csr_clear(mip, MIP(IRQ_SEI));
    CHECK_EQ(csr_read(mip) & MIP(IRQ_SEI), 0);
    lower();
    write32(PLIC_CLAIM(1), UART_IRQ);
    write32(PLIC_ENABLE(1, 0), 0);
}

/* ---- Interrupts for real: an echo by handlers, on each hart in turn. */

#define ECHOES 100

static volatile uint64_t received, sum;

static bool echo(Hart *hart, TrapFrame *frame)
{
    unsigned context = 2 * (unsigned)hart->id;
    uint32_t source;

    if (frame->cause != (INTERRUPT | IRQ_MEI)) {
        return false;
    }
    source = read32(PLIC_CLAIM(context));
    if (source == UART_IRQ) {
        while (read8(UART_LSR) & LSR_DATA) {
            sum += read8(UART_RBR);
            received++;
        }
        write32(PLIC_CLAIM(context), source);
    }
    return true;
}

static void listen(void *argument)
{
    Hart *hart = this_hart();
    unsigned context = 2 * (unsigned)hart->id;

    hart->m_hook = echo;
    write32(PLIC_ENABLE(context, 0), SOURCE_BIT);
    csr_write(mie, MIP(IRQ_MEI));
    csr_set(mstatus, MSTATUS_MIE);
    for (unsigned i = 1; i <= ECHOES; i++) {
        write8(UART_THR, (uint8_t)i);
        while (received < i) {
            __asm__ volatile("nop");
        }
    }
    csr_clear(mstatus, MSTATUS_MIE);
    csr_write(mie, 0);
    write32(PLIC_ENABLE(context, 0), 0);
    hart->m_hook = NULL;
}

static void echoes(void)
{
    group("echo by interrupts, on every hart");
    for (unsigned id = 0; id < hart_count(); id++) {
        received = sum = 0;
        loop_on();
        write8(UART_IER, IER_RX);
        if (id == 0) {
            listen(NULL);
        } else {
            hart_run(id, listen, NULL);
            hart_join(id);
        }
        loop_off();
        CHECK_EQ(received, ECHOES);
        CHECK_EQ(sum, ECHOES * (ECHOES + 1) / 2);
    }
}

void guest_main(void)
{
    uart_registers();
    loopback();
    plic_registers();
    claims();
    supervisor();
    echoes();
}
