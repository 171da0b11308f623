/* SPDX-License-Identifier: MIT */
/*
 * The qtest server: QEMU's text protocol. One command a line, one answer a line (`OK ...` or
 * `FAIL ...`), and `IRQ raise|lower N` whenever a tapped line changes. The table below is the
 * protocol. Everything here runs on the main loop with the machine lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/timers.h"
#include "src/accel/qtest/qtest.h"

#define MAX_TRANSFER_BYTES (1u << 20) /* of one read, write or memset command */

/* ---- Talking. */

static void log_line(QtestAccel *qtest, char direction, const char *text)
{
    int64_t us = (host_monotonic_ns() - qtest->opened_ns) / 1000;

    if (qtest->log) {
        fprintf(qtest->log, "[%c +%" PRId64 ".%06" PRId64 "] %s\n", direction, us / 1000000,
                us % 1000000, text);
        fflush(qtest->log);
    }
}

static void send_line(QtestAccel *qtest, const char *text)
{
    log_line(qtest, 'S', text);
    if (qtest->chardev) {
        chardev_write(qtest->chardev, (const uint8_t *)text, (unsigned)strlen(text));
        chardev_write(qtest->chardev, (const uint8_t *)"\n", 1);
    }
}

static void answer(QtestAccel *qtest, const char *fmt, ...) ORR_PRINTF(2, 3);

static void answer(QtestAccel *qtest, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    send_line(qtest, text);
}

/* ---- Arguments. */

static bool parse_number(const char *word, uint64_t *value)
{
    char *end;

    if (!word || !*word || *word == '-') {
        return false;
    }
    *value = g_ascii_strtoull(word, &end, 0);
    return *end == '\0';
}

/* ---- Interrupt taps. */

typedef struct QtestTap {
    QtestAccel *qtest;
    unsigned number;
    int level;
    IrqLine *input;  /* a tapped input, or NULL */
    Device *device;  /* of a tapped output */
    IrqLine *before; /* where the output went */
    IrqLine proxy;   /* where it goes now */
} QtestTap;

static void report_level(QtestTap *tap, int level)
{
    Cpus *cpus = tap->qtest->accel.cpus;
    bool held = machine_locked(cpus);

    if (tap->level == level) {
        return;
    }
    tap->level = level;
    if (!held) {
        machine_lock(cpus);
    }
    answer(tap->qtest, "IRQ %s %u", level ? "raise" : "lower", tap->number);
    if (!held) {
        machine_unlock(cpus);
    }
}

static void tapped_input(void *opaque, IrqLine *line, int level)
{
    line->set(line->opaque, line->n, level);
    report_level(opaque, level);
}

static void tapped_output(void *opaque, unsigned n, int level)
{
    QtestTap *tap = opaque;

    irq_set(tap->before, level);
    report_level(tap, level);
}

static void free_tap(void *opaque)
{
    QtestTap *tap = opaque;

    if (tap->input) {
        tap->input->intercept = NULL;
    } else {
        tap->device->irq_out[tap->number] = tap->before;
    }
    g_free(tap);
}

/* An id, a path that ends in one, or the name of a class with a single device. */
static Device *find_device(QtestAccel *qtest, const char *path)
{
    DeviceEnv *env = qtest->accel.devices;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    Device *found;

    if (!env) {
        return NULL;
    }
    found = device_find(env, name);
    for (guint i = 0; !found && i < env->devices->len; i++) {
        Device *dev = g_ptr_array_index(env->devices, i);

        if (!strcmp(dev->cls->name, name)) {
            found = dev;
        }
    }
    return found;
}

static void intercept(QtestAccel *qtest, char **words, bool inputs)
{
    Device *dev = find_device(qtest, words[1]);
    unsigned count;

    if (!dev) {
        answer(qtest, "FAIL Unknown device %s", words[1]);
        return;
    }
    if (qtest->intercepted) {
        if (!strcmp(qtest->intercepted, dev->id)) {
            answer(qtest, "OK");
        } else {
            answer(qtest, "FAIL IRQ intercept already enabled for %s", qtest->intercepted);
        }
        return;
    }
    qtest->intercepted = g_strdup(dev->id);
    count = inputs ? dev->irq_in_count : dev->irq_out_count;
    for (unsigned i = 0; i < count; i++) {
        QtestTap *tap = g_new0(QtestTap, 1);

        tap->qtest = qtest;
        tap->number = i;
        if (inputs) {
            tap->input = &dev->irq_in[i];
            tap->input->intercept_opaque = tap;
            tap->input->intercept = tapped_input;
        } else {
            tap->device = dev;
            tap->before = dev->irq_out[i];
            tap->proxy = (IrqLine){ .set = tapped_output, .opaque = tap, .n = i };
            dev->irq_out[i] = &tap->proxy;
        }
        g_ptr_array_add(qtest->taps, tap);
    }
    answer(qtest, "OK");
}

static void cmd_irq_intercept_in(QtestAccel *qtest, char **words)
{
    intercept(qtest, words, true);
}

static void cmd_irq_intercept_out(QtestAccel *qtest, char **words)
{
    intercept(qtest, words, false);
}

static void cmd_set_irq_in(QtestAccel *qtest, char **words)
{
    Device *dev = find_device(qtest, words[1]);
    uint64_t number, level;

    if (!dev) {
        answer(qtest, "FAIL Unknown device %s", words[1]);
    } else if (!parse_number(words[3], &number) || !parse_number(words[4], &level) || level > 1) {
        answer(qtest, "FAIL set_irq_in needs a number and a level of 0 or 1");
    } else if (number >= dev->irq_in_count) {
        answer(qtest, "FAIL %s has %u inputs", dev->id, dev->irq_in_count);
    } else {
        irq_set(&dev->irq_in[number], (int)level);
        answer(qtest, "OK");
    }
}

/* ---- Memory. */

static const char *access_failure(MemTxResult result)
{
    switch (result) {
    case MEMTX_OK:
        return NULL;
    case MEMTX_DECODE_ERROR:
        return "nothing answers at this address";
    case MEMTX_REENTRY:
        return "the device was busy with itself";
    case MEMTX_ERROR:
        break;
    }
    return "the device refused";
}

/* As in QEMU, a failed access is answered OK (with zero): tests poke where nothing is. */
static void note_failure(QtestAccel *qtest, MemTxResult result)
{
    const char *why = access_failure(result);

    if (why) {
        log_line(qtest, 'I', why);
    }
}

static unsigned width_of(char suffix)
{
    return suffix == 'b' ? 1 : suffix == 'w' ? 2 : suffix == 'l' ? 4 : 8;
}

static void cmd_read_width(QtestAccel *qtest, char **words)
{
    uint64_t addr, value = 0;
    unsigned size = width_of(words[0][4]);

    if (!parse_number(words[1], &addr)) {
        answer(qtest, "FAIL bad address %s", words[1]);
        return;
    }
    note_failure(qtest, memory_read(qtest->accel.memory, addr, &value, size));
    answer(qtest, "OK 0x%016" PRIx64, value);
}

static void cmd_write_width(QtestAccel *qtest, char **words)
{
    uint64_t addr, value;
    unsigned size = width_of(words[0][5]);

    if (!parse_number(words[1], &addr) || !parse_number(words[2], &value)) {
        answer(qtest, "FAIL bad address or value");
        return;
    }
    note_failure(qtest, memory_write(qtest->accel.memory, addr, &value, size));
    answer(qtest, "OK");
}

static bool parse_range(QtestAccel *qtest, char **words, uint64_t *addr, uint64_t *length)
{
    if (!parse_number(words[1], addr) || !parse_number(words[2], length)) {
        answer(qtest, "FAIL bad address or length");
        return false;
    }
    if (*length == 0 || *length > MAX_TRANSFER_BYTES) {
        answer(qtest, "FAIL length is 1 to %u bytes", MAX_TRANSFER_BYTES);
        return false;
    }
    return true;
}

static void cmd_read(QtestAccel *qtest, char **words)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t addr, length;
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;

    if (!parse_range(qtest, words, &addr, &length)) {
        return;
    }
    data = g_malloc0(length);
    text = g_malloc(length * 2 + 1);
    note_failure(qtest, memory_read(qtest->accel.memory, addr, data, length));
    for (uint64_t i = 0; i < length; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[2 * length] = '\0';
    answer(qtest, "OK 0x%s", text);
}

/* Fewer digits than bytes leave zeros, as in QEMU. */
static void cmd_write(QtestAccel *qtest, char **words)
{
    uint64_t addr, length;
    const char *hex = words[3];
    size_t digits;
    g_autofree uint8_t *data = NULL;

    if (!parse_range(qtest, words, &addr, &length)) {
        return;
    }
    if (strncmp(hex, "0x", 2) != 0) {
        answer(qtest, "FAIL data begins with 0x");
        return;
    }
    hex += 2;
    digits = strlen(hex);
    data = g_malloc0(length);
    for (uint64_t i = 0; i < length && 2 * i + 1 < digits; i++) {
        int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            answer(qtest, "FAIL data is not hexadecimal");
            return;
        }
        data[i] = (uint8_t)(high << 4 | low);
    }
    note_failure(qtest, memory_write(qtest->accel.memory, addr, data, length));
    answer(qtest, "OK");
}

static void cmd_b64read(QtestAccel *qtest, char **words)
{
    uint64_t addr, length;
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;

    if (!parse_range(qtest, words, &addr, &length)) {
        return;
    }
    data = g_malloc0(length);
    note_failure(qtest, memory_read(qtest->accel.memory, addr, data, length));
    text = g_base64_encode(data, length);
    answer(qtest, "OK %s", text);
}

static void cmd_b64write(QtestAccel *qtest, char **words)
{
    uint64_t addr, length;
    gsize got = 0;
    g_autofree uint8_t *data = NULL;

    if (!parse_range(qtest, words, &addr, &length)) {
        return;
    }
    data = g_base64_decode(words[3], &got);
    if (got != length) {
        answer(qtest, "FAIL %zu bytes of data, %" PRIu64 " announced", (size_t)got, length);
        return;
    }
    note_failure(qtest, memory_write(qtest->accel.memory, addr, data, length));
    answer(qtest, "OK");
}

static void cmd_memset(QtestAccel *qtest, char **words)
{
    uint64_t addr, length, pattern;
    g_autofree uint8_t *data = NULL;

    if (!parse_range(qtest, words, &addr, &length)) {
        return;
    }
    if (!parse_number(words[3], &pattern)) {
        answer(qtest, "FAIL bad pattern");
        return;
    }
    data = g_malloc(length);
    memset(data, (int)(pattern & 0xff), length);
    note_failure(qtest, memory_write(qtest->accel.memory, addr, data, length));
    answer(qtest, "OK");
}

/* ---- Time. */

static void cmd_clock_step(QtestAccel *qtest, char **words)
{
    Timers *timers = qtest->accel.timers;
    int64_t now = clock_get_ns(timers, CLOCK_KIND_VIRTUAL);
    uint64_t step = 0;

    if (words[1]) {
        if (!parse_number(words[1], &step) || step > (uint64_t)(INT64_MAX - now)) {
            answer(qtest, "FAIL bad step");
            return;
        }
    } else {
        int64_t deadline = clock_deadline_ns(timers, CLOCK_KIND_VIRTUAL);

        step = deadline > now ? (uint64_t)(deadline - now) : deadline >= 0 ? 1 : 0;
    }
    clock_step_to(timers, now + (int64_t)step);
    answer(qtest, "OK %" PRId64, clock_get_ns(timers, CLOCK_KIND_VIRTUAL));
}

static void cmd_clock_set(QtestAccel *qtest, char **words)
{
    Timers *timers = qtest->accel.timers;
    uint64_t ns;

    if (!parse_number(words[1], &ns) || ns > INT64_MAX) {
        answer(qtest, "FAIL bad time");
        return;
    }
    clock_step_to(timers, (int64_t)ns);
    answer(qtest, "OK %" PRId64, clock_get_ns(timers, CLOCK_KIND_VIRTUAL));
}

static void cmd_endianness(QtestAccel *qtest, char **words)
{
    answer(qtest, "OK little");
}

static void cmd_reset(QtestAccel *qtest, char **words)
{
    system_reset_request(qtest->accel.cpus, "qtest");
    answer(qtest, "OK");
}

/* ---- The protocol. */

static const struct {
    const char *name;
    unsigned min_args, max_args;
    void (*run)(QtestAccel *qtest, char **words);
} commands[] = {
    { "readb", 1, 1, cmd_read_width },
    { "readw", 1, 1, cmd_read_width },
    { "readl", 1, 1, cmd_read_width },
    { "readq", 1, 1, cmd_read_width },
    { "writeb", 2, 2, cmd_write_width },
    { "writew", 2, 2, cmd_write_width },
    { "writel", 2, 2, cmd_write_width },
    { "writeq", 2, 2, cmd_write_width },
    { "read", 2, 2, cmd_read },
    { "write", 3, 3, cmd_write },
    { "b64read", 2, 2, cmd_b64read },
    { "b64write", 3, 3, cmd_b64write },
    { "memset", 3, 3, cmd_memset },
    { "clock_step", 0, 1, cmd_clock_step },
    { "clock_set", 1, 1, cmd_clock_set },
    { "irq_intercept_in", 1, 1, cmd_irq_intercept_in },
    { "irq_intercept_out", 1, 1, cmd_irq_intercept_out },
    { "set_irq_in", 4, 4, cmd_set_irq_in },
    { "endianness", 0, 0, cmd_endianness },
    { "system_reset", 0, 0, cmd_reset },
};

void qtest_execute(QtestAccel *qtest, char *line)
{
    g_auto(GStrv) words = NULL;
    guint count;

    log_line(qtest, 'R', line);
    words = g_strsplit_set(g_strstrip(line), " ", -1);
    count = g_strv_length(words);
    if (count == 0 || !*words[0]) {
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(words[0], commands[i].name) != 0) {
            continue;
        }
        if (count - 1 < commands[i].min_args || count - 1 > commands[i].max_args) {
            answer(qtest, "FAIL %s takes %u to %u arguments", words[0], commands[i].min_args,
                   commands[i].max_args);
            return;
        }
        commands[i].run(qtest, words);
        return;
    }
    answer(qtest, "FAIL Unknown command '%s'", words[0]);
}

/* ---- The connection. */

static unsigned can_receive(void *opaque)
{
    return 64 * 1024;
}

static void receive(void *opaque, const uint8_t *data, unsigned length)
{
    QtestAccel *qtest = opaque;

    for (unsigned i = 0; i < length; i++) {
        if (data[i] == '\n') {
            if (qtest->line_too_long) {
                answer(qtest, "FAIL line longer than %u bytes", QTEST_MAX_LINE);
            } else {
                qtest_execute(qtest, qtest->line->str);
            }
            g_string_truncate(qtest->line, 0);
            qtest->line_too_long = false;
        } else if (qtest->line->len >= QTEST_MAX_LINE) {
            qtest->line_too_long = true;
        } else if (data[i] != '\0') {
            g_string_append_c(qtest->line, (char)data[i]);
        }
    }
}

static void event(void *opaque, int what)
{
    QtestAccel *qtest = opaque;

    if (what == CHAR_EVENT_OPENED) {
        g_string_truncate(qtest->line, 0);
        qtest->opened_ns = host_monotonic_ns();
        log_line(qtest, 'I', "OPENED");
    } else if (what == CHAR_EVENT_CLOSED) {
        log_line(qtest, 'I', "CLOSED");
    }
}

bool qtest_server_open(QtestAccel *qtest, GError **error)
{
    const CharFrontend frontend = {
        .can_receive = can_receive,
        .receive = receive,
        .event = event,
        .opaque = qtest,
    };

    qtest->line = g_string_new(NULL);
    qtest->taps = g_ptr_array_new_with_free_func(free_tap);
    qtest->opened_ns = host_monotonic_ns();
    if (qtest->log_path && strcmp(qtest->log_path, "none") != 0) {
        qtest->log =
            strcmp(qtest->log_path, "/dev/fd/2") == 0 ? stderr : fopen(qtest->log_path, "we");
        if (!qtest->log) {
            return orr_fail(error, ORR_ERROR_IO, "cannot write the qtest log %s: %s",
                            qtest->log_path, g_strerror(errno));
        }
    }
    if (!qtest->chardev_spec) {
        return true; /* time stands still and nobody asks: what a fuzzer wants */
    }
    qtest->chardev = chardev_open(qtest->accel.cpus, "qtest", qtest->chardev_spec, error);
    return qtest->chardev && chardev_attach(qtest->chardev, &frontend, error);
}

void qtest_server_close(QtestAccel *qtest)
{
    if (qtest->taps) {
        g_ptr_array_free(qtest->taps, TRUE);
        qtest->taps = NULL;
    }
    if (qtest->chardev) {
        chardev_close(qtest->chardev);
        qtest->chardev = NULL;
    }
    if (qtest->log && qtest->log != stderr) {
        fclose(qtest->log);
    }
    qtest->log = NULL;
    if (qtest->line) {
        g_string_free(qtest->line, TRUE);
        qtest->line = NULL;
    }
    g_clear_pointer(&qtest->intercepted, g_free);
}
