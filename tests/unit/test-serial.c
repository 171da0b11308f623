/* SPDX-License-Identifier: MIT */
/*
 * The 16550A, driven as drivers do: detection, polled output, interrupts of each kind, the FIFO's
 * trigger levels and time-out, loopback. Its other end is a ring (output) or a pipe (both ways).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hw-fixture.h"
#include "orrery/impl/chardev.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

#define THR RBR
#define FCR IIR

typedef struct Uart {
    HwFixture *hw;
    Chardev *chr;
    int peer; /* the far end of the line; -1: it is a ring */
} Uart;

static Uart *new_uart(const char *properties, bool both_ways)
{
    Uart *u = g_new0(Uart, 1);
    char *spec = g_strdup("ringbuf:64"), *all;
    int pair[2] = { -1, -1 };

    if (both_ways) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        g_free(spec);
        spec = g_strdup_printf("mon:fd:%d", pair[1]);
    }
    u->hw = hw_fixture_new();
    u->peer = pair[0];
    u->chr = device_env_add_chardev(&u->hw->env, "c0", spec, NULL);
    assert_non_null(u->chr);
    all = g_strdup_printf("chardev=c0%s%s", properties ? "," : "", properties ? properties : "");
    hw_fixture_add(u->hw, "serial-mm", all);
    g_free(all);
    g_free(spec);
    return u;
}

static int setup_ring(void **state)
{
    *state = new_uart(NULL, false);
    return 0;
}

static int setup_pair(void **state)
{
    *state = new_uart(NULL, true);
    return 0;
}

static int teardown(void **state)
{
    Uart *u = *state;

    hw_fixture_free(u->hw);
    if (u->peer >= 0) {
        close(u->peer);
    }
    g_free(u);
    return 0;
}

static unsigned in(Uart *u, unsigned reg)
{
    return (unsigned)hw_read_ok(u->hw, reg, 1);
}

static void out(Uart *u, unsigned reg, unsigned value)
{
    hw_write_ok(u->hw, reg, 1, value);
}

static void expect_output(Uart *u, const char *text)
{
    char seen[65] = { 0 };

    chardev_ringbuf_read(u->chr, (uint8_t *)seen, 64);
    assert_string_equal(seen, text);
}

/* Bytes come in as fast as the main loop and the FIFO let them. */
static void type(Uart *u, const char *text)
{
    assert_int_equal(write(u->peer, text, strlen(text)), (ssize_t)strlen(text));
    main_loop_iterate(u->hw->cpus, true);
    for (unsigned i = 0; i < 4; i++) {
        main_loop_iterate(u->hw->cpus, false);
    }
}

static void drivers_find_a_16550a(void **state)
{
    Uart *u = *state;

    assert_int_equal(in(u, LSR), 0x60);
    assert_int_equal(in(u, IIR), 0x01);
    assert_int_equal(in(u, MSR), 0xb0);
    out(u, SCR, 0xa5);
    assert_int_equal(in(u, SCR), 0xa5);
    out(u, IER, 0xff);
    assert_int_equal(in(u, IER), 0x0f);
    out(u, IER, 0);
    out(u, FCR, 1);
    assert_int_equal(in(u, IIR) >> 6, 3);
    out(u, FCR, 0);
    assert_int_equal(in(u, IIR) >> 6, 0);
    /* Modem lines in loopback, as Linux's autoconfig looks at them. */
    out(u, MCR, 0x1a);
    assert_int_equal(in(u, MSR) & 0xf0, 0x90);
    out(u, MCR, 0);
    assert_int_equal(in(u, MCR), 0);
}

static void the_divisor_hides_behind_dlab(void **state)
{
    Uart *u = *state;

    out(u, LCR, 0x83);
    out(u, 0, 0x34);
    out(u, 1, 0x12);
    assert_int_equal(in(u, 0), 0x34);
    assert_int_equal(in(u, 1), 0x12);
    expect_output(u, "");
    out(u, LCR, 0x03);
    assert_int_equal(in(u, LCR), 0x03);
    assert_int_equal(in(u, IER), 0);
    out(u, THR, 'x');
    expect_output(u, "x");
}

static void output_is_sent_at_once(void **state)
{
    Uart *u = *state;

    for (const char *p = "hello"; *p; p++) {
        assert_int_equal(in(u, LSR) & 0x60, 0x60);
        out(u, THR, (unsigned char)*p);
    }
    expect_output(u, "hello");
}

static void the_transmitter_interrupts_once(void **state)
{
    Uart *u = *state;

    out(u, IER, 2);
    assert_int_equal(u->hw->level[0], 1);
    assert_int_equal(in(u, IIR), 2);
    assert_int_equal(u->hw->level[0], 0);
    assert_int_equal(in(u, IIR), 1);
    out(u, THR, 'x');
    assert_int_equal(u->hw->level[0], 1);
    assert_int_equal(in(u, IIR), 2);
    /* Enabling it anew shows it anew (Linux tests for UARTs that do not). */
    out(u, IER, 0);
    assert_int_equal(in(u, IIR), 1);
    out(u, IER, 2);
    assert_int_equal(in(u, IIR), 2);
    out(u, IER, 3);
    assert_int_equal(in(u, IIR), 1);
}

static void one_character_without_fifo(void **state)
{
    Uart *u = *state;

    out(u, IER, 1);
    type(u, "ab");
    assert_int_equal(u->hw->level[0], 1);
    assert_int_equal(in(u, IIR), 4);
    assert_int_equal(in(u, LSR), 0x61);
    assert_int_equal(in(u, RBR), 'a');
    assert_int_equal(u->hw->level[0], 0);
    assert_int_equal(in(u, LSR), 0x60);
    main_loop_iterate(u->hw->cpus, true);
    assert_int_equal(in(u, RBR), 'b');
    assert_int_equal(in(u, RBR), 'b');
}

static void the_fifo_waits_for_its_trigger(void **state)
{
    static const unsigned levels[] = { 1, 4, 8, 14 };
    Uart *u = *state;

    out(u, IER, 1);
    for (unsigned i = 0; i < 4; i++) {
        out(u, FCR, 0x03 | i << 6);
        for (unsigned n = 1; n <= 14; n++) {
            type(u, "x");
            assert_int_equal(u->hw->level[0], n >= levels[i]);
            assert_int_equal(in(u, IIR), n >= levels[i] ? 0xc4 : 0xc1);
        }
        for (unsigned n = 14; n > 0; n--) {
            assert_int_equal(in(u, LSR) & 1, 1);
            assert_int_equal(in(u, RBR), 'x');
        }
        assert_int_equal(in(u, LSR) & 1, 0);
    }
}

static void what_lies_in_the_fifo_times_out(void **state)
{
    Uart *u = *state;

    out(u, IER, 1);
    out(u, FCR, 0x81);
    type(u, "abc");
    assert_int_equal(u->hw->level[0], 0);
    hw_advance(u->hw, 20000000);
    assert_int_equal(u->hw->level[0], 1);
    assert_int_equal(in(u, IIR), 0xcc);
    assert_int_equal(in(u, RBR), 'a');
    assert_int_equal(u->hw->level[0], 0);
    hw_advance(u->hw, 20000000);
    assert_int_equal(in(u, IIR), 0xcc);
    assert_int_equal(in(u, RBR), 'b');
    assert_int_equal(in(u, RBR), 'c');
    hw_advance(u->hw, 20000000);
    assert_int_equal(u->hw->level[0], 0);
    assert_int_equal(in(u, IIR), 0xc1);
}

static void a_full_fifo_holds_the_sender_back(void **state)
{
    Uart *u = *state;

    out(u, FCR, 0x01);
    type(u, "0123456789abcdefghij");
    assert_int_equal(in(u, LSR) & 0x83, 0x01);
    for (const char *p = "0123456789abcdefghij"; *p; p++) {
        if (!(in(u, LSR) & 1)) {
            main_loop_iterate(u->hw->cpus, true);
        }
        assert_int_equal(in(u, RBR), *p);
    }
    assert_int_equal(in(u, LSR), 0x60);
}

static void loopback_overruns(void **state)
{
    Uart *u = *state;

    out(u, MCR, 0x10);
    out(u, THR, 'a');
    assert_int_equal(in(u, LSR), 0x61);
    out(u, THR, 'b');
    out(u, IER, 4);
    assert_int_equal(in(u, IIR), 6);
    assert_int_equal(in(u, LSR), 0x63);
    assert_int_equal(in(u, LSR), 0x61);
    assert_int_equal(in(u, RBR), 'b');
    out(u, FCR, 1);
    for (unsigned i = 0; i < 17; i++) {
        out(u, THR, 'A' + i);
    }
    assert_int_equal(in(u, LSR), 0x63);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(in(u, RBR), 'A' + i);
    }
    out(u, MCR, 0);
    out(u, THR, 'x');
    expect_output(u, "x");
}

static void modem_lines_report_changes(void **state)
{
    Uart *u = *state;

    out(u, IER, 8);
    out(u, MCR, 0x10); /* all go down */
    assert_int_equal(u->hw->level[0], 1);
    assert_int_equal(in(u, IIR), 0);
    assert_int_equal(in(u, MSR), 0x0b);
    assert_int_equal(u->hw->level[0], 0);
    assert_int_equal(in(u, MSR), 0);
    out(u, MCR, 0x14);
    assert_int_equal(in(u, MSR), 0x40);
    out(u, MCR, 0x10);
    assert_int_equal(in(u, MSR), 0x04);
}

static void breaks_are_seen(void **state)
{
    Uart *u = *state;

    out(u, FCR, 1);
    out(u, IER, 5);
    type(u, "\x01"
            "b");
    assert_int_equal(in(u, IIR), 0xc6);
    assert_int_equal(in(u, LSR), 0xf1);
    assert_int_equal(in(u, LSR), 0x61);
    assert_int_equal(in(u, IIR), 0xc4);
    assert_int_equal(in(u, RBR), 0);
    assert_int_equal(in(u, IIR), 0xc1);
}

static void line_errors_come_first(void **state)
{
    Uart *u = *state;

    out(u, MCR, 0x10);
    out(u, THR, 'a');
    out(u, THR, 'b');
    out(u, IER, 0x0f);
    assert_int_equal(in(u, IIR), 6);
    in(u, LSR);
    assert_int_equal(in(u, IIR), 4);
    in(u, RBR);
    assert_int_equal(in(u, IIR), 2);
    assert_int_equal(in(u, IIR), 0);
    in(u, MSR);
    assert_int_equal(in(u, IIR), 1);
}

static void registers_may_lie_apart(void **state)
{
    Uart *u = new_uart("regshift=2", false);

    hw_write_ok(u->hw, SCR << 2, 4, 0xffffff5a);
    assert_int_equal(hw_read_ok(u->hw, SCR << 2, 4), 0x5a);
    assert_int_equal(hw_read_ok(u->hw, SCR << 2, 1), 0x5a);
    assert_int_equal(hw_read_ok(u->hw, 0x80, 4), 0);
    hw_write_ok(u->hw, 0xf8, 8, UINT64_MAX);
    hw_write_ok(u->hw, THR, 4, 'y');
    expect_output(u, "y");
    *state = u;
    teardown(state);
}

static void wild_accesses_are_survived(void **state)
{
    Uart *u = *state;

    hw_torture(u->hw, 0x108, 200000);
    hw_torture(u->hw, 8, 200000);
}

#define RING(name) cmocka_unit_test_setup_teardown(name, setup_ring, teardown)
#define PAIR(name) cmocka_unit_test_setup_teardown(name, setup_pair, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING(drivers_find_a_16550a),
        RING(the_divisor_hides_behind_dlab),
        RING(output_is_sent_at_once),
        RING(the_transmitter_interrupts_once),
        PAIR(one_character_without_fifo),
        PAIR(the_fifo_waits_for_its_trigger),
        PAIR(what_lies_in_the_fifo_times_out),
        PAIR(a_full_fifo_holds_the_sender_back),
        RING(loopback_overruns),
        RING(modem_lines_report_changes),
        PAIR(breaks_are_seen),
        RING(line_errors_come_first),
        cmocka_unit_test(registers_may_lie_apart),
        RING(wild_accesses_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
