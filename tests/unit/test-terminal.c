/* SPDX-License-Identifier: MIT */
/*
 * The terminal is as it was, however the program ends or stops. Each case runs in a process of its
 * own, with a pty as its controlling terminal; a leader in between keeps its process group from
 * being an orphan, which could not be stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "hw-fixture.h"
#include "orrery/impl/chardev.h"

typedef struct Tty {
    int master, slave;
    int ready[2]; /* the program says that it has the terminal */
    int go[2];    /* the test lets it end */
    bool foreign; /* the pty is nobody's controlling terminal */
    struct termios before;
    pid_t leader, program;
} Tty;

/* How the program ends once it is told to. */
typedef void Ending(HwFixture *f, Chardev *chr);

static void run_program(Tty *tty, const char *spec, Ending *ending)
{
    /* By cmocka, or ignored by a shell that started the tests in the background. */
    static const int to_default[] = { SIGSEGV, SIGBUS, SIGFPE,  SIGILL, SIGSYS,
                                      SIGINT,  SIGHUP, SIGQUIT, SIGTERM };
    HwFixture *f = hw_fixture_new();
    struct rlimit no_core = { 0, 0 };
    pid_t self = getpid();
    Chardev *chr;
    char byte;

    for (size_t i = 0; i < G_N_ELEMENTS(to_default); i++) {
        signal(to_default[i], SIG_DFL);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    chr = chardev_open(f->cpus, "serial0", spec, NULL);
    if (!chr || write(tty->ready[1], &self, sizeof(self)) != sizeof(self)) {
        _exit(90);
    }
    if (read(tty->go[0], &byte, 1) != 1) {
        _exit(91);
    }
    ending(f, chr);
    _exit(92);
}

/* Session leader: starts the program in the foreground and reports how it stopped and ended. */
static void run_leader(Tty *tty, const char *spec, Ending *ending)
{
    pid_t child;
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (!tty->foreign) {
        ioctl(tty->slave, TIOCSCTTY, 0);
    }
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    dup2(tty->slave, STDIN_FILENO);
    dup2(tty->slave, STDOUT_FILENO);
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        tcsetpgrp(STDIN_FILENO, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        run_program(tty, spec, ending);
    }
    while (waitpid(child, &status, WUNTRACED) == child) {
        if (!WIFSTOPPED(status)) {
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
        raise(SIGSTOP); /* the test sees it, and continues both */
        kill(child, SIGCONT);
    }
    _exit(93);
}

static void start(Tty *tty, const char *spec, Ending *ending)
{
    char name[128];

    tty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(tty->master >= 0);
    assert_int_equal(grantpt(tty->master) | unlockpt(tty->master), 0);
    assert_int_equal(ptsname_r(tty->master, name, sizeof(name)), 0);
    tty->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(tcgetattr(tty->slave, &tty->before), 0);
    assert_int_equal(pipe2(tty->ready, O_CLOEXEC) | pipe2(tty->go, O_CLOEXEC), 0);
    tty->leader = fork();
    if (tty->leader == 0) {
        run_leader(tty, spec, ending);
    }
    assert_int_equal(read(tty->ready[0], &tty->program, sizeof(pid_t)), sizeof(pid_t));
}

/* ThreadSanitizer runs handlers late, so that what a handler does to its own process may never come. */
static void skip_without_prompt_signals(void)
{
#ifdef __SANITIZE_THREAD__
    print_message("skipped: signals that act at once, under ThreadSanitizer\n");
    skip();
#endif
}

static bool is_as_before(const Tty *tty)
{
    struct termios now;

    assert_int_equal(tcgetattr(tty->slave, &now), 0);
    return now.c_iflag == tty->before.c_iflag && now.c_oflag == tty->before.c_oflag &&
           now.c_lflag == tty->before.c_lflag && now.c_cflag == tty->before.c_cflag;
}

static void let_end(Tty *tty)
{
    assert_int_equal(write(tty->go[1], "x", 1), 1);
}

/* How the program ended: its exit status, or 128 and the signal. */
static int wait_end(Tty *tty)
{
    int status;

    assert_int_equal(waitpid(tty->leader, &status, 0), tty->leader);
    close(tty->master);
    close(tty->slave);
    for (unsigned i = 0; i < 2; i++) {
        close(tty->ready[i]);
        close(tty->go[i]);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check(Ending *ending, int expected)
{
    static const char *const specs[] = { "mon:stdio", "stdio", "stdio,signal=off" };

    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        Tty tty = { 0 };
        bool restored;
        int status;

        start(&tty, specs[i], ending);
        assert_false(is_as_before(&tty));
        let_end(&tty);
        assert_int_equal(waitid(P_PID, (id_t)tty.leader, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
        restored = is_as_before(&tty);
        status = wait_end(&tty);
        if (!restored || status != expected) {
            fail_msg("%s: %s, ended with %d, not %d", specs[i],
                     restored ? "restored" : "not restored", status, expected);
        }
    }
}

static void by_exit(HwFixture *f, Chardev *chr)
{
    exit(5);
}

static void by_close(HwFixture *f, Chardev *chr)
{
    chardev_close(chr);
    _exit(6);
}

static void by_term(HwFixture *f, Chardev *chr)
{
    raise(SIGTERM);
}

static void by_int(HwFixture *f, Chardev *chr)
{
    raise(SIGINT);
}

static void by_hup(HwFixture *f, Chardev *chr)
{
    raise(SIGHUP);
}

static void by_quit(HwFixture *f, Chardev *chr)
{
    raise(SIGQUIT);
}

static void by_abort(HwFixture *f, Chardev *chr)
{
    abort();
}

/* Not a constant, which compilers would warn of. */
static volatile unsigned no_address = 16;

static void by_fault(HwFixture *f, Chardev *chr)
{
    *(volatile int *)GUINT_TO_POINTER(no_address) = 1;
}

static void *fault_elsewhere(void *data)
{
    *(volatile int *)GUINT_TO_POINTER(no_address) = 1;
    return NULL;
}

static void by_fault_of_a_thread(HwFixture *f, Chardev *chr)
{
    pthread_t thread;

    pthread_create(&thread, NULL, fault_elsewhere, NULL);
    pthread_join(thread, NULL);
}

static void by_handler_of_its_own(HwFixture *f, Chardev *chr)
{
    signal(SIGTERM, (void (*)(int))exit);
    raise(SIGTERM);
}

static void it_is_restored(void **state)
{
    check(by_exit, 5);
    check(by_close, 6);
    check(by_term, 128 + SIGTERM);
    check(by_int, 128 + SIGINT);
    check(by_hup, 128 + SIGHUP);
    check(by_quit, 128 + SIGQUIT);
    check(by_abort, 128 + SIGABRT);
    check(by_fault, 128 + SIGSEGV);
    check(by_fault_of_a_thread, 128 + SIGSEGV);
    check(by_handler_of_its_own, SIGTERM);
}

static void wait_raw(Tty *tty)
{
    while (is_as_before(tty)) {
        sched_yield();
    }
}

static void stopping_gives_it_back_for_a_while(void **state)
{
    Tty tty = { 0 };
    int status;

    skip_without_prompt_signals();
    start(&tty, "mon:stdio", by_exit);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(is_as_before(&tty));
        assert_int_equal(kill(tty.program, SIGTSTP), 0);
        assert_int_equal(waitpid(tty.leader, &status, WUNTRACED), tty.leader);
        assert_true(WIFSTOPPED(status));
        assert_true(is_as_before(&tty));
        assert_int_equal(kill(tty.leader, SIGCONT), 0);
        wait_raw(&tty);
    }
    let_end(&tty);
    assert_int_equal(wait_end(&tty), 5);
}

/* Ctrl-Z and Ctrl-C are the guest's with a mux, and act on the program without. */
static void keys_are_the_guests_with_a_mux(void **state)
{
    Tty tty = { 0 };
    int waiting;

    skip_without_prompt_signals();
    start(&tty, "mon:stdio", by_exit);
    assert_int_equal(write(tty.master, "\x03\x1a\x1c", 3), 3);
    /* The kernel brings them over in its own time, and judges them by the mode it finds then. */
    while (ioctl(tty.slave, FIONREAD, &waiting) == 0 && waiting < 3) {
        sched_yield();
    }
    let_end(&tty);
    assert_int_equal(wait_end(&tty), 5);
    start(&tty, "stdio", by_exit);
    assert_int_equal(write(tty.master, "\x03", 1), 1);
    assert_int_equal(wait_end(&tty), 128 + SIGINT);
}

static void a_terminal_without_jobs_will_do(void **state)
{
    Tty tty = { .foreign = true };

    start(&tty, "mon:stdio", by_exit);
    assert_false(is_as_before(&tty));
    let_end(&tty);
    assert_int_equal(waitid(P_PID, (id_t)tty.leader, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
    assert_true(is_as_before(&tty));
    assert_int_equal(wait_end(&tty), 5);
}

static void only_one_has_stdio(void **state)
{
    HwFixture *f = hw_fixture_new();
    Chardev *first = chardev_open(f->cpus, "serial0", "stdio", NULL);
    GError *error = NULL;

    assert_non_null(first);
    assert_null(chardev_open(f->cpus, "monitor", "mon:stdio", &error));
    assert_non_null(strstr(error->message, "'serial0'"));
    assert_non_null(strstr(error->message, "'monitor'"));
    g_error_free(error);
    chardev_close(first);
    first = chardev_open(f->cpus, "monitor", "mon:stdio", NULL);
    assert_non_null(first);
    chardev_close(first);
    hw_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_restored),
        cmocka_unit_test(stopping_gives_it_back_for_a_while),
        cmocka_unit_test(keys_are_the_guests_with_a_mux),
        cmocka_unit_test(a_terminal_without_jobs_will_do),
        cmocka_unit_test(only_one_has_stdio),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
