/* SPDX-License-Identifier: MIT */
/*
 * The polled UART, print, the checks and their verdict. Output has no host-dependent part: what a
 * program prints is compared byte by byte with a file.
 */
#include <stdarg.h>

#include "guest.h"

#define UART_THR UART_BASE
#define UART_LSR (UART_BASE + 5)
#define LSR_THR_EMPTY 0x20

#define FINISH_PASS 0x5555
#define FINISH_FAIL 0x3333

static const char *group_name;
static unsigned group_checks, group_failures, failures;

static void put(char c)
{
    while (!(read8(UART_LSR) & LSR_THR_EMPTY)) {
    }
    write8(UART_THR, (uint8_t)c);
}

static void put_text(const char *text)
{
    while (*text) {
        put(*text++);
    }
}

static void put_number(uint64_t value, unsigned base, unsigned width, char fill)
{
    char digits[20];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (unsigned i = n; i < width; i++) {
        put(fill);
    }
    while (n) {
        put(digits[--n]);
    }
}

void print(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    for (const char *p = format; *p; p++) {
        char fill = ' ';
        unsigned width = 0;
        bool is_long = false;

        if (*p != '%') {
            put(*p);
            continue;
        }
        p++;
        if (*p == '0') {
            fill = '0';
        }
        while (*p >= '0' && *p <= '9') {
            width = width * 10 + (unsigned)(*p++ - '0');
        }
        while (*p == 'l') {
            is_long = true;
            p++;
        }
        switch (*p) {
        case 'd': {
            int64_t value = is_long ? va_arg(list, int64_t) : va_arg(list, int);

            if (value < 0) {
                put('-');
            }
            put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, fill);
            break;
        }
        case 'u':
        case 'x':
            put_number(is_long ? va_arg(list, uint64_t) : va_arg(list, unsigned),
                       *p == 'x' ? 16 : 10, width, fill);
            break;
        case 's':
            put_text(va_arg(list, const char *));
            break;
        case 'c':
            put((char)va_arg(list, int));
            break;
        default:
            put(*p);
            break;
        }
    }
    va_end(list);
}

_Noreturn void power_off(unsigned code)
{
    __asm__ volatile("fence" ::: "memory");
    write32(TEST_BASE, code ? FINISH_FAIL | code << 16 : FINISH_PASS);
    for (;;) {
    }
}

static void end_group(void)
{
    if (group_name) {
        print("%s: %u checks", group_name, group_checks);
        if (group_failures) {
            print(", %u failed\n", group_failures);
        } else {
            print(" ok\n");
        }
    }
    group_checks = group_failures = 0;
}

void group(const char *name)
{
    end_group();
    group_name = name;
}

static bool count(bool ok)
{
    group_checks++;
    group_failures += !ok;
    failures += !ok;
    return ok;
}

bool check(bool ok, int line, const char *text)
{
    if (!count(ok)) {
        print("line %d: %s does not hold\n", line, text);
    }
    return ok;
}

bool check_eq(uint64_t got, uint64_t want, int line, const char *text)
{
    if (!count(got == want)) {
        print("line %d: %s is 0x%lx, not 0x%lx\n", line, text, got, want);
    }
    return got == want;
}

bool check_trap(const TrapRecord *got, char level, uint64_t cause, uint64_t epc, uint64_t tval,
                int line)
{
    bool ok = got->level == level && got->cause == cause && got->epc == epc && got->tval == tval;

    if (!count(ok)) {
        print("line %d: trap to %c, cause 0x%lx epc 0x%lx tval 0x%lx; not to %c, cause 0x%lx "
              "epc 0x%lx tval 0x%lx\n",
              line, got->level, got->cause, got->epc, got->tval, level, cause, epc, tval);
    }
    return ok;
}

bool check_returned(const TrapRecord *got, uint64_t a0, int line)
{
    bool ok = got->level == 'R' && got->a0 == a0;

    if (!count(ok)) {
        print("line %d: ended by %c, a0 0x%lx, cause 0x%lx epc 0x%lx tval 0x%lx; should return "
              "0x%lx\n",
              line, got->level, got->a0, got->cause, got->epc, got->tval, a0);
    }
    return ok;
}

_Noreturn void finish(void)
{
    end_group();
    print(failures ? "FAIL\n" : "PASS\n");
    power_off(failures ? 1 : 0);
}
