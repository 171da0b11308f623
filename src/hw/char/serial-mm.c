/* SPDX-License-Identifier: MIT */
/*
 * A memory-mapped 16550A UART (National Semiconductor PC16550D data sheet; section numbers are its).
 * The idea to hold: sending takes no time, so the transmitter is always empty, and what remains of
 * it is the interrupt: one is due each time THR has become empty, or when it is enabled while THR is
 * empty, until IIR has shown it. Receiving keeps the FIFO, its trigger levels and its time-out.
 */
#include <string.h>

#include "hw/hw-classes.h"
#include "orrery/impl/chardev.h"
#include "orrery/impl/device.h"

#define FIFO_BYTES 16
#define REGION_BYTES 0x100
#define MAX_TIMEOUT_NS 10000000

/* Registers (8.0). DLL and DLM take the place of the first two while LCR.DLAB is set. */
enum {
    REG_RBR_THR_DLL,
    REG_IER_DLM,
    REG_IIR_FCR,
    REG_LCR,
    REG_MCR,
    REG_LSR,
    REG_MSR,
    REG_SCR,
    REG_COUNT,
};

enum {
    IER_RDI = 0x01,
    IER_THRI = 0x02,
    IER_RLSI = 0x04,
    IER_MSI = 0x08,

    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_CTI = 0x0c,
    IIR_FIFO = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_CLEAR_RX = 0x02,
    FCR_KEPT = 0xc9, /* enable, DMA mode, trigger level */

    LCR_DLAB = 0x80,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,

    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_BI = 0x10,
    LSR_HEAD_ERRORS = 0x1c, /* PE, FE, BI: of the character at the head of the FIFO */
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,

    MSR_DCTS = 0x01,
    MSR_DDSR = 0x02,
    MSR_TERI = 0x04,
    MSR_DDCD = 0x08,
    MSR_DELTAS = 0x0f,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

typedef struct SerialMm {
    Device dev;

    char *chardev_id;
    uint32_t regshift, clock_hz;

    Chardev *chr;
    Timer timeout; /* of characters that wait in the FIFO below the trigger level */

    uint8_t ier, fcr, lcr, mcr, msr, scr;
    uint8_t last_received; /* what an empty RBR shows */
    uint16_t divisor;
    bool overrun;
    bool thre_pending; /* the transmitter's interrupt has not been seen in IIR */
    bool timeout_pending;
    struct {
        uint8_t data, errors;
    } fifo[FIFO_BYTES];
    unsigned fifo_start, fifo_used;
} SerialMm;

static bool fifo_enabled(const SerialMm *uart)
{
    return uart->fcr & FCR_ENABLE;
}

static unsigned rx_capacity(const SerialMm *uart)
{
    return fifo_enabled(uart) ? FIFO_BYTES : 1;
}

static unsigned rx_trigger(const SerialMm *uart)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return fifo_enabled(uart) ? levels[uart->fcr >> 6] : 1;
}

static uint8_t line_status(const SerialMm *uart)
{
    uint8_t lsr = LSR_THRE | LSR_TEMT;

    if (uart->fifo_used) {
        lsr |= LSR_DR | uart->fifo[uart->fifo_start].errors;
    }
    if (uart->overrun) {
        lsr |= LSR_OE;
    }
    for (unsigned i = 0; fifo_enabled(uart) && i < uart->fifo_used; i++) {
        if (uart->fifo[(uart->fifo_start + i) % FIFO_BYTES].errors) {
            lsr |= LSR_FIFO_ERROR;
        }
    }
    return lsr;
}

/* The interrupt with the highest priority (8.6.3, table IV). */
static uint8_t interrupt_id(const SerialMm *uart)
{
    if ((uart->ier & IER_RLSI) && (line_status(uart) & (LSR_OE | LSR_HEAD_ERRORS))) {
        return IIR_RLSI;
    }
    if ((uart->ier & IER_RDI) && uart->fifo_used >= rx_trigger(uart)) {
        return IIR_RDI;
    }
    if ((uart->ier & IER_RDI) && uart->timeout_pending) {
        return IIR_CTI;
    }
    if ((uart->ier & IER_THRI) && uart->thre_pending) {
        return IIR_THRI;
    }
    if ((uart->ier & IER_MSI) && (uart->msr & MSR_DELTAS)) {
        return IIR_MSI;
    }
    return IIR_NONE;
}

static void update_irq(SerialMm *uart)
{
    device_irq_set(&uart->dev, 0, interrupt_id(uart) != IIR_NONE);
}

/* Four characters of ten bits (8.5.1), but no longer than a person would notice. */
static int64_t timeout_ns(const SerialMm *uart)
{
    uint64_t bit_ns = (uint64_t)16 * 1000000000 * MAX(uart->divisor, 1) / uart->clock_hz;

    return (int64_t)MIN(bit_ns * 40, MAX_TIMEOUT_NS);
}

/* After each character that came or went. */
static void restart_timeout(SerialMm *uart)
{
    Timers *timers = uart->dev.env->timers;

    uart->timeout_pending = false;
    if (fifo_enabled(uart) && uart->fifo_used) {
        timer_arm_ns(&uart->timeout, clock_get_ns(timers, CLOCK_KIND_VIRTUAL) + timeout_ns(uart));
    } else {
        timer_disarm(&uart->timeout);
    }
}

static void timeout_fired(void *opaque)
{
    SerialMm *uart = opaque;

    if (uart->fifo_used) {
        uart->timeout_pending = true;
        update_irq(uart);
    }
}

/* Beyond its capacity the FIFO keeps what it has; the holding register takes the new (8.4). */
static void push_rx(SerialMm *uart, uint8_t data, uint8_t errors)
{
    unsigned at = (uart->fifo_start + uart->fifo_used) % FIFO_BYTES;

    if (uart->fifo_used == rx_capacity(uart)) {
        uart->overrun = true;
        if (fifo_enabled(uart)) {
            return;
        }
        at = uart->fifo_start;
    } else {
        uart->fifo_used++;
    }
    uart->fifo[at].data = data;
    uart->fifo[at].errors = errors;
}

static void clear_rx(SerialMm *uart)
{
    uart->fifo_start = uart->fifo_used = 0;
    restart_timeout(uart);
}

static void accept_input(SerialMm *uart)
{
    if (uart->chr) {
        chardev_accept_input(uart->chr);
    }
}

static uint8_t read_rbr(SerialMm *uart)
{
    if (uart->fifo_used) {
        uart->last_received = uart->fifo[uart->fifo_start].data;
        uart->fifo_start = (uart->fifo_start + 1) % FIFO_BYTES;
        uart->fifo_used--;
        restart_timeout(uart);
        update_irq(uart);
        accept_input(uart);
    }
    return uart->last_received;
}

static void write_thr(SerialMm *uart, uint8_t byte)
{
    if (uart->mcr & MCR_LOOP) {
        push_rx(uart, byte, 0);
        restart_timeout(uart);
    } else if (uart->chr) {
        chardev_write(uart->chr, &byte, 1);
    }
    uart->thre_pending = true;
    update_irq(uart);
}

static uint8_t modem_inputs(const SerialMm *uart)
{
    uint8_t inputs = 0;

    if (!(uart->mcr & MCR_LOOP)) {
        return MSR_CTS | MSR_DSR | MSR_DCD; /* somebody is there, always ready */
    }
    inputs |= uart->mcr & MCR_RTS ? MSR_CTS : 0;
    inputs |= uart->mcr & MCR_DTR ? MSR_DSR : 0;
    inputs |= uart->mcr & MCR_OUT1 ? MSR_RI : 0;
    inputs |= uart->mcr & MCR_OUT2 ? MSR_DCD : 0;
    return inputs;
}

static void update_modem(SerialMm *uart)
{
    uint8_t inputs = modem_inputs(uart);
    uint8_t changed = (uart->msr ^ inputs) & (uint8_t)~MSR_DELTAS;
    uint8_t deltas = uart->msr & MSR_DELTAS;

    deltas |= changed & MSR_CTS ? MSR_DCTS : 0;
    deltas |= changed & MSR_DSR ? MSR_DDSR : 0;
    deltas |= (changed & MSR_RI) && !(inputs & MSR_RI) ? MSR_TERI : 0;
    deltas |= changed & MSR_DCD ? MSR_DDCD : 0;
    uart->msr = inputs | deltas;
}

static uint8_t read_iir(SerialMm *uart)
{
    uint8_t id = interrupt_id(uart);

    if (id == IIR_THRI) {
        uart->thre_pending = false;
        update_irq(uart);
    }
    return id | (fifo_enabled(uart) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(SerialMm *uart)
{
    uint8_t lsr = line_status(uart);

    if (lsr & (LSR_OE | LSR_HEAD_ERRORS)) {
        uart->overrun = false;
        uart->fifo[uart->fifo_start].errors = 0;
        update_irq(uart);
    }
    return lsr;
}

static uint8_t read_msr(SerialMm *uart)
{
    uint8_t msr = uart->msr;

    if (msr & MSR_DELTAS) {
        uart->msr &= (uint8_t)~MSR_DELTAS;
        update_irq(uart);
    }
    return msr;
}

static MemTxResult serial_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    SerialMm *uart = opaque;
    bool dlab = uart->lcr & LCR_DLAB;

    switch (offset >> uart->regshift) {
    case REG_RBR_THR_DLL:
        *value = dlab ? uart->divisor & 0xff : read_rbr(uart);
        break;
    case REG_IER_DLM:
        *value = dlab ? uart->divisor >> 8 : uart->ier;
        break;
    case REG_IIR_FCR:
        *value = read_iir(uart);
        break;
    case REG_LCR:
        *value = uart->lcr;
        break;
    case REG_MCR:
        *value = uart->mcr;
        break;
    case REG_LSR:
        *value = read_lsr(uart);
        break;
    case REG_MSR:
        *value = read_msr(uart);
        break;
    case REG_SCR:
        *value = uart->scr;
        break;
    default:
        *value = 0;
        break;
    }
    return MEMTX_OK;
}

static void write_ier(SerialMm *uart, uint8_t ier)
{
    ier &= IER_RDI | IER_THRI | IER_RLSI | IER_MSI;
    if ((ier & ~uart->ier) & IER_THRI) {
        uart->thre_pending = true; /* THR is empty, as always */
    }
    uart->ier = ier;
    update_irq(uart);
}

static void write_fcr(SerialMm *uart, uint8_t fcr)
{
    bool clear = fcr & FCR_CLEAR_RX;

    if (!(fcr & FCR_ENABLE)) {
        fcr = 0; /* other bits are taken only together with this one (8.5) */
    }
    clear = clear || ((fcr ^ uart->fcr) & FCR_ENABLE);
    uart->fcr = fcr & FCR_KEPT;
    if (clear) {
        clear_rx(uart);
        accept_input(uart);
    }
    update_irq(uart);
}

static MemTxResult serial_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    SerialMm *uart = opaque;
    uint8_t byte = (uint8_t)value;
    bool dlab = uart->lcr & LCR_DLAB;

    switch (offset >> uart->regshift) {
    case REG_RBR_THR_DLL:
        if (dlab) {
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | byte);
        } else {
            write_thr(uart, byte);
        }
        break;
    case REG_IER_DLM:
        if (dlab) {
            uart->divisor = (uint16_t)((uart->divisor & 0xff) | byte << 8);
        } else {
            write_ier(uart, byte);
        }
        break;
    case REG_IIR_FCR:
        write_fcr(uart, byte);
        break;
    case REG_LCR:
        uart->lcr = byte;
        break;
    case REG_MCR:
        uart->mcr = byte & 0x1f;
        update_modem(uart);
        update_irq(uart);
        accept_input(uart);
        break;
    case REG_SCR:
        uart->scr = byte;
        break;
    default: /* LSR and MSR are read-only; beyond SCR there is nothing */
        break;
    }
    return MEMTX_OK;
}

/* One register answers an access of any size, as on buses of 32 bits. */
static const MmioOps serial_ops = {
    .read = serial_read,
    .write = serial_write,
};

static unsigned serial_can_receive(void *opaque)
{
    SerialMm *uart = opaque;

    if (uart->mcr & MCR_LOOP) {
        return 0;
    }
    return rx_capacity(uart) - MIN(uart->fifo_used, rx_capacity(uart));
}

static void serial_receive(void *opaque, const uint8_t *data, unsigned length_bytes)
{
    SerialMm *uart = opaque;

    for (unsigned i = 0; i < length_bytes; i++) {
        push_rx(uart, data[i], 0);
    }
    restart_timeout(uart);
    update_irq(uart);
}

static void serial_event(void *opaque, int event)
{
    SerialMm *uart = opaque;

    if (event == CHAR_EVENT_BREAK) {
        push_rx(uart, 0, LSR_BI);
        restart_timeout(uart);
        update_irq(uart);
    }
}

static void serial_reset(Device *dev)
{
    SerialMm *uart = (SerialMm *)dev;

    uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scr = 0;
    uart->divisor = 12;
    uart->overrun = false;
    uart->thre_pending = false;
    uart->last_received = 0;
    uart->msr = modem_inputs(uart);
    clear_rx(uart);
    update_irq(uart);
    accept_input(uart);
}

static bool serial_realize(Device *dev, GError **error)
{
    SerialMm *uart = (SerialMm *)dev;
    CharFrontend frontend = {
        .can_receive = serial_can_receive,
        .receive = serial_receive,
        .event = serial_event,
        .opaque = uart,
    };

    timer_init(&uart->timeout, dev->env->timers, CLOCK_KIND_VIRTUAL, false, "serial-mm",
               timeout_fired, uart);
    device_init_region(dev, "registers", &serial_ops, REGION_BYTES);
    device_init_irq_out(dev, 1);
    serial_reset(dev);
    if (!device_get_chardev(dev, uart->chardev_id, &uart->chr, error)) {
        return false;
    }
    if (uart->chr && !chardev_attach(uart->chr, &frontend, error)) {
        uart->chr = NULL;
        return false;
    }
    return true;
}

static void serial_unrealize(Device *dev)
{
    SerialMm *uart = (SerialMm *)dev;

    if (uart->chr) {
        chardev_detach(uart->chr, uart);
        uart->chr = NULL;
    }
    timer_finish(&uart->timeout);
}

static const PropDef serial_props[] = {
    { .name = "chardev",
      .type = PROP_STRING,
      .offset = offsetof(SerialMm, chardev_id),
      .help = "id of the character back end; without one output is lost" },
    { .name = "regshift",
      .type = PROP_U32,
      .offset = offsetof(SerialMm, regshift),
      .fallback = "0",
      .min = 0,
      .max = 5,
      .help = "registers are 2^regshift bytes apart" },
    { .name = "clock-frequency",
      .type = PROP_U32,
      .offset = offsetof(SerialMm, clock_hz),
      .fallback = "3686400",
      .min = 1,
      .max = UINT32_MAX,
      .help = "input clock in Hz; only the receiver's time-out depends on it" },
    { .name = NULL },
};

const DeviceClass serial_mm_class = {
    .name = "serial-mm",
    .summary = "16550A UART, memory-mapped",
    .instance_bytes = sizeof(SerialMm),
    .props = serial_props,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .reset = serial_reset,
};
