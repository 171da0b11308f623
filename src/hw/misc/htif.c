/* SPDX-License-Identifier: MIT */
/*
 * HTIF, the host-target interface of the Berkeley simulators (riscv-isa-sim, fesvr/htif.cc and
 * fesvr/device.cc; no further specification exists). A program declares two 64-bit words, tohost
 * and fromhost. A command is written to tohost: the device in bits 63..56, what it shall do in bits
 * 55..48, the payload below. Device 0 is the proxy for system calls, whose odd payloads end the
 * program; device 1 is a character console.
 *
 * The idea to hold: the words are ordinary memory to the program, so the device is a page of memory
 * that looks at what is written to it.
 */
#include "hw/misc/htif.h"

#include <string.h>

#include "orrery/impl/chardev.h"
#include "orrery/impl/error.h"
#include "orrery/impl/log.h"

#define HTIF_WORD_BYTES 8
#define NO_WORD UINT32_MAX
#define MAX_WRITE_BYTES 4096 /* of one proxied write */

enum {
    HTIF_DEV_SYSCALL = 0,
    HTIF_DEV_CONSOLE = 1,

    HTIF_CONSOLE_GETC = 0,
    HTIF_CONSOLE_PUTC = 1,

    SYSCALL_WRITE = 64, /* the numbers of RISC-V Linux */
    SYSCALL_EXIT = 93,
};

typedef struct HtifDevice {
    Device dev; /* first */
    char *chardev_id;
    Chardev *own;     /* property chardev: input and output */
    Chardev *console; /* where output goes */
    uint8_t page[MEMORY_PAGE_SIZE];
    uint32_t tohost, fromhost; /* offsets, or NO_WORD */
    bool half_written;         /* the lower half of tohost was, its upper half not yet */
    bool getc_waits;
} HtifDevice;

static HtifDevice *htif_device(void *opaque)
{
    return opaque;
}

static uint64_t get_word(const HtifDevice *htif, uint32_t offset)
{
    uint64_t value;

    memcpy(&value, htif->page + offset, sizeof(value));
    return GUINT64_FROM_LE(value);
}

static void put_word(HtifDevice *htif, uint32_t offset, uint64_t value)
{
    if (offset != NO_WORD) {
        value = GUINT64_TO_LE(value);
        memcpy(htif->page + offset, &value, sizeof(value));
    }
}

/* Hands an answer to the program and frees tohost for its next command. */
static void answer(HtifDevice *htif, unsigned device, unsigned command, uint64_t payload)
{
    put_word(htif, htif->fromhost, (uint64_t)device << 56 | (uint64_t)command << 48 | payload);
}

static void end_program(HtifDevice *htif, uint64_t code)
{
    /* A process's status has eight bits; a failure must not look like success. */
    int status = (int)(code & 0xff);

    if (code != 0 && status == 0) {
        status = 255;
    }
    system_shutdown_request(htif->dev.env->cpus, "htif", status);
}

/* The proxied write(fd, buffer, length): what of it was done, or a negative errno value. */
static int64_t proxy_write(HtifDevice *htif, uint64_t fd, hwaddr buffer, uint64_t length_bytes)
{
    uint8_t bytes[MAX_WRITE_BYTES];
    uint64_t n = MIN(length_bytes, sizeof(bytes));

    if (fd != 1 && fd != 2) {
        return -9; /* EBADF */
    }
    if (memory_read(htif->dev.env->memory, buffer, bytes, n) != MEMTX_OK) {
        return -14; /* EFAULT */
    }
    if (htif->console) {
        chardev_write(htif->console, bytes, (unsigned)n);
    }
    return (int64_t)n;
}

/* The payload points to a system call's number and arguments, and takes its result. */
static void proxy_syscall(HtifDevice *htif, hwaddr block)
{
    Memory *memory = htif->dev.env->memory;
    uint64_t args[4];
    int64_t result = -38; /* ENOSYS */

    for (unsigned i = 0; i < G_N_ELEMENTS(args); i++) {
        if (memory_read_u64(memory, block + i * sizeof(args[0]), &args[i]) != MEMTX_OK) {
            if (orr_log_on(htif->dev.env->log, LOG_GUEST_ERROR)) {
                orr_log(htif->dev.env->log, "htif: no system call at 0x%" G_GINT64_MODIFIER "x\n",
                        block);
            }
            return;
        }
    }
    if (args[0] == SYSCALL_EXIT) {
        end_program(htif, args[1]);
        return;
    }
    if (args[0] == SYSCALL_WRITE) {
        result = proxy_write(htif, args[1], args[2], args[3]);
    }
    args[0] = GUINT64_TO_LE((uint64_t)result);
    memory_write(memory, block, &args[0], sizeof(args[0]));
    answer(htif, HTIF_DEV_SYSCALL, 0, 1);
}

static void console_command(HtifDevice *htif, unsigned command, uint64_t payload)
{
    uint8_t byte = (uint8_t)payload;

    if (command == HTIF_CONSOLE_PUTC) {
        if (htif->console) {
            chardev_write(htif->console, &byte, 1);
        }
        answer(htif, HTIF_DEV_CONSOLE, HTIF_CONSOLE_PUTC, 0);
    } else if (command == HTIF_CONSOLE_GETC) {
        htif->getc_waits = true;
        if (htif->own) {
            chardev_accept_input(htif->own);
        }
    }
}

static void run_command(HtifDevice *htif, uint64_t value)
{
    unsigned device = (unsigned)(value >> 56), command = (unsigned)(value >> 48) & 0xff;
    uint64_t payload = value & ((UINT64_C(1) << 48) - 1);

    if (value == 0) {
        return;
    }
    put_word(htif, htif->tohost, 0);
    if (device == HTIF_DEV_CONSOLE) {
        console_command(htif, command, payload);
    } else if (device == HTIF_DEV_SYSCALL && command == 0 && (payload & 1)) {
        end_program(htif, payload >> 1);
    } else if (device == HTIF_DEV_SYSCALL && command == 0) {
        proxy_syscall(htif, payload);
    }
}

/*
 * A store of part of tohost. Programs of 32 bits store the lower half, then the upper one, which
 * completes the command. Some store the lower half alone and over and over: the second such store
 * is the command.
 */
static void tohost_written(HtifDevice *htif, hwaddr offset, unsigned size)
{
    hwaddr first = offset - htif->tohost;

    if (size < HTIF_WORD_BYTES && first == 0 && !htif->half_written) {
        htif->half_written = true;
        return;
    }
    htif->half_written = false;
    run_command(htif, get_word(htif, htif->tohost));
}

static MemTxResult htif_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    HtifDevice *htif = htif_device(opaque);
    uint64_t bytes = 0;

    memcpy(&bytes, htif->page + offset, size);
    *value = GUINT64_FROM_LE(bytes);
    return MEMTX_OK;
}

static MemTxResult htif_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    HtifDevice *htif = htif_device(opaque);

    value = GUINT64_TO_LE(value);
    memcpy(htif->page + offset, &value, size);
    if (htif->tohost != NO_WORD && offset < htif->tohost + HTIF_WORD_BYTES &&
        offset + size > htif->tohost) {
        tohost_written(htif, offset, size);
    }
    return MEMTX_OK;
}

static const MmioOps htif_ops = {
    .read = htif_read,
    .write = htif_write,
    .valid = { .min_bytes = 1, .max_bytes = 8, .unaligned = true },
};

/* ---- Input. */

static unsigned can_receive(void *opaque)
{
    return htif_device(opaque)->getc_waits ? 1 : 0;
}

static void receive(void *opaque, const uint8_t *data, unsigned length_bytes)
{
    HtifDevice *htif = htif_device(opaque);

    if (length_bytes > 0 && htif->getc_waits) {
        htif->getc_waits = false;
        answer(htif, HTIF_DEV_CONSOLE, HTIF_CONSOLE_GETC, 0x100 | data[0]);
    }
}

/* ---- Life cycle. */

void htif_set_words(Device *dev, unsigned tohost, int fromhost, Chardev *console)
{
    HtifDevice *htif = htif_device(dev);

    htif->tohost = tohost;
    htif->fromhost = fromhost < 0 ? NO_WORD : (uint32_t)fromhost;
    htif->console = htif->own ? htif->own : console;
}

static bool htif_realize(Device *dev, GError **error)
{
    HtifDevice *htif = htif_device(dev);
    CharFrontend frontend = { can_receive, receive, NULL, htif };

    htif->tohost = htif->fromhost = NO_WORD;
    device_init_region(dev, "words", &htif_ops, sizeof(htif->page));
    if (!device_get_chardev(dev, htif->chardev_id, &htif->own, error)) {
        return false;
    }
    if (htif->own && !chardev_attach(htif->own, &frontend, error)) {
        htif->own = NULL;
        return false;
    }
    return true;
}

static void htif_unrealize(Device *dev)
{
    HtifDevice *htif = htif_device(dev);

    if (htif->own) {
        chardev_detach(htif->own, htif);
        htif->own = NULL;
    }
}

static void htif_reset(Device *dev)
{
    HtifDevice *htif = htif_device(dev);

    memset(htif->page, 0, sizeof(htif->page));
    htif->half_written = htif->getc_waits = false;
}

static const PropDef htif_props[] = {
    { .name = "chardev",
      .type = PROP_STRING,
      .offset = offsetof(HtifDevice, chardev_id),
      .help = "chardev for the console; the machine's first serial line takes its output if none" },
    { .name = NULL },
};

const DeviceClass riscv_htif_class = {
    .name = "riscv-htif",
    .summary = "HTIF: tohost and fromhost words of a kernel ELF (exit status, console)",
    .user_creatable = true,
    .instance_bytes = sizeof(HtifDevice),
    .props = htif_props,
    .realize = htif_realize,
    .unrealize = htif_unrealize,
    .reset = htif_reset,
};
