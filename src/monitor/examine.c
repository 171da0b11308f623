/* SPDX-License-Identifier: MIT */
/*
 * Memory as the monitor shows it: x through the chosen vCPU's translation, xp by physical address,
 * both with gdb's /COUNT FORMAT SIZE. A vCPU is looked at on its own thread, between two of its
 * instructions, so that registers and memory belong together.
 */
#include <inttypes.h>
#include <string.h>

#include "monitor/internal.h"

#define MAX_COUNT 65536
#define MAX_INSN_BYTES 16

typedef struct Examine {
    unsigned count;
    char format; /* x d u o c i */
    unsigned size;
    bool physical;
    const char *expression;
    GString *out;
} Examine;

/* ---- The format: "/4xw" or nothing. */

static bool parse_format(Examine *examine, const char **rest, GString *out)
{
    const char *p = *rest;
    unsigned count = 0;
    bool counted = false;

    examine->count = 1;
    examine->format = 'x';
    examine->size = 4;
    if (*p != '/') {
        return true;
    }
    for (p++; g_ascii_isdigit(*p); p++) {
        count = MIN(count * 10 + (unsigned)(*p - '0'), MAX_COUNT);
        counted = true;
    }
    if (counted) {
        examine->count = count;
    }
    for (; *p && *p != ' '; p++) {
        switch (*p) {
        case 'x':
        case 'd':
        case 'u':
        case 'o':
        case 'c':
        case 'i':
            examine->format = *p;
            if (*p == 'c') {
                examine->size = 1;
            }
            break;
        case 'b':
            examine->size = 1;
            break;
        case 'h':
            examine->size = 2;
            break;
        case 'w':
            examine->size = 4;
            break;
        case 'g':
            examine->size = 8;
            break;
        default:
            g_string_append_printf(out,
                                   "'%c' is no format (x, d, u, o, c, i) and no size "
                                   "(b, h, w, g)\n",
                                   *p);
            return false;
        }
    }
    while (*p == ' ') {
        p++;
    }
    *rest = p;
    return true;
}

/* ---- Addresses: numbers and $registers, added and subtracted. */

static bool parse_term(Vcpu *vcpu, const char **text, uint64_t *value)
{
    const TargetOps *target = vcpu->target;
    const char *p = *text;
    char *end;

    if (*p == '$') {
        size_t length = strcspn(++p, " +-");

        for (unsigned i = 0; i < target->reg_count; i++) {
            if (strlen(target->regs[i].name) == length &&
                strncmp(target->regs[i].name, p, length) == 0) {
                *value = target->read_reg(vcpu, i);
                *text = p + length;
                return true;
            }
        }
        return false;
    }
    if (!g_ascii_isdigit(*p)) {
        return false;
    }
    *value = g_ascii_strtoull(p, &end, 0);
    *text = end;
    return true;
}

static bool evaluate(Vcpu *vcpu, const char *text, uint64_t *value)
{
    uint64_t term;
    bool minus;

    if (!parse_term(vcpu, &text, value)) {
        return false;
    }
    for (;;) {
        while (*text == ' ') {
            text++;
        }
        if (*text != '+' && *text != '-') {
            return *text == '\0';
        }
        minus = *text++ == '-';
        while (*text == ' ') {
            text++;
        }
        if (!parse_term(vcpu, &text, &term)) {
            return false;
        }
        *value = minus ? *value - term : *value + term;
    }
}

/* ---- Reading. */

/* Bytes from addr on that can be read, up to length. */
static size_t read_bytes(Vcpu *vcpu, const Examine *examine, uint64_t addr, uint8_t *buffer,
                         size_t length)
{
    size_t done = 0;

    while (done < length) {
        uint64_t at = addr + done, paddr = at;
        size_t n = MIN(length - done, MEMORY_PAGE_SIZE - (at & (MEMORY_PAGE_SIZE - 1)));

        if ((!examine->physical && !vcpu->target->debug_translate(vcpu, at, &paddr)) ||
            memory_read(vcpu->memory, paddr, buffer + done, n) != MEMTX_OK) {
            break;
        }
        done += n;
    }
    return done;
}

static void print_address(const Examine *examine, uint64_t addr)
{
    g_string_append_printf(examine->out, "%016" PRIx64 ":", addr);
}

static bool cannot_read(const Examine *examine, uint64_t addr)
{
    g_string_append_printf(examine->out, "cannot read %s memory at 0x%" PRIx64 "\n",
                           examine->physical ? "physical" : "virtual", addr);
    return false;
}

static bool print_insn(Vcpu *vcpu, const Examine *examine, uint64_t *addr)
{
    uint8_t bytes[MAX_INSN_BYTES];
    char text[128] = "";
    size_t available = 0, length;

    /* The page that follows may not be there. */
    for (size_t want = sizeof(bytes); want > 0 && available == 0; want -= 2) {
        available = read_bytes(vcpu, examine, *addr, bytes, want) == want ? want : 0;
    }
    if (available == 0) {
        return cannot_read(examine, *addr);
    }
    length = vcpu->target->disas(vcpu, *addr, bytes, available, text, sizeof(text));
    print_address(examine, *addr);
    if (length == 0) {
        g_string_append_printf(examine->out, "  .half 0x%02x%02x\n", bytes[1], bytes[0]);
        *addr += 2;
    } else {
        g_string_append_printf(examine->out, "  %s\n", text);
        *addr += length;
    }
    return true;
}

static void print_value(const Examine *examine, uint64_t value)
{
    unsigned bits = examine->size * 8;
    int64_t as_signed = (int64_t)(value << (64 - bits)) >> (64 - bits);

    switch (examine->format) {
    case 'd':
        g_string_append_printf(examine->out, " %" PRId64, as_signed);
        break;
    case 'u':
        g_string_append_printf(examine->out, " %" PRIu64, value);
        break;
    case 'o':
        g_string_append_printf(examine->out, " 0%" PRIo64, value);
        break;
    case 'c':
        if (g_ascii_isprint((char)value)) {
            g_string_append_printf(examine->out, " '%c'", (char)value);
        } else {
            g_string_append_printf(examine->out, " '\\x%02x'", (unsigned)(value & 0xff));
        }
        break;
    default:
        g_string_append_printf(examine->out, " 0x%0*" PRIx64, (int)examine->size * 2, value);
        break;
    }
}

static bool print_values(Vcpu *vcpu, const Examine *examine, uint64_t addr)
{
    unsigned per_line = examine->format == 'c' ? 8 : 16 / examine->size;

    for (unsigned i = 0; i < examine->count; i++, addr += examine->size) {
        uint8_t bytes[8] = { 0 };
        uint64_t value;

        if (read_bytes(vcpu, examine, addr, bytes, examine->size) != examine->size) {
            if (i % per_line) {
                g_string_append_c(examine->out, '\n');
            }
            return cannot_read(examine, addr);
        }
        memcpy(&value, bytes, sizeof(value));
        if (i % per_line == 0) {
            print_address(examine, addr);
        }
        print_value(examine, GUINT64_FROM_LE(value));
        if (i % per_line == per_line - 1 || i + 1 == examine->count) {
            g_string_append_c(examine->out, '\n');
        }
    }
    return true;
}

/* On the vCPU's thread. */
static void examine_on(Vcpu *vcpu, void *data)
{
    Examine *examine = data;
    uint64_t addr;

    accel_synchronize_state(vcpu);
    if (!evaluate(vcpu, examine->expression, &addr)) {
        g_string_append_printf(examine->out,
                               "'%s' is no address: numbers and $registers, with + and -\n",
                               examine->expression);
    } else if (examine->format != 'i') {
        print_values(vcpu, examine, addr);
    } else {
        for (unsigned i = 0; i < examine->count && print_insn(vcpu, examine, &addr); i++) {
        }
    }
}

static void run_examine(Monitor *monitor, const char *rest, bool physical, GString *out)
{
    Examine examine = { .physical = physical, .out = out };
    Vcpu *vcpu = monitor_vcpu(monitor, out);

    if (vcpu && parse_format(&examine, &rest, out)) {
        examine.expression = rest;
        vcpu_run_on(vcpu, examine_on, &examine);
    }
}

void monitor_examine_virtual(Monitor *monitor, const char *rest, GString *out)
{
    run_examine(monitor, rest, false, out);
}

void monitor_examine_physical(Monitor *monitor, const char *rest, GString *out)
{
    run_examine(monitor, rest, true, out);
}
