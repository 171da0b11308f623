/* SPDX-License-Identifier: MIT */
/*
 * The terminal on standard input: raw while the guest has it, as it was whenever the program is not
 * running. The idea to hold: every way out passes through restore(), which only uses what a signal
 * handler may use. A terminal belongs to the process, and so does this state: it is the one mutable
 * global of the back ends, because a signal handler has nothing else to hang on to.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "hw/char/internal.h"
#include "orrery/impl/error.h"

/* Those that end the program; each is restored to what it was and then raised again. */
static const int ending_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS,
                                      SIGABRT, SIGFPE, SIGILL, SIGSYS,  SIGXCPU, SIGXFSZ };

static struct {
    char *label; /* who has standard input and output; NULL: nobody */
    bool is_terminal;
    bool prepared; /* exit handler and signal handlers are in place */
    struct termios saved, raw;
    volatile sig_atomic_t raw_wanted;
    struct sigaction before[G_N_ELEMENTS(ending_signals)];
    struct sigaction before_stop, before_continue;
} terminal;

/* A terminal that does not control this session has no foreground to respect. */
static bool in_foreground(void)
{
    pid_t group = tcgetpgrp(STDIN_FILENO);

    return group < 0 || group == getpgrp();
}

static void restore(void)
{
    int saved_errno = errno;

    if (terminal.raw_wanted && in_foreground()) {
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
    }
    errno = saved_errno;
}

static void make_raw(void)
{
    int saved_errno = errno;

    if (terminal.raw_wanted && in_foreground()) {
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw);
    }
    errno = saved_errno;
}

static bool is_fault(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL;
}

/*
 * A fault of the program itself happens again when the handler returns, and then finds the earlier
 * disposition; what somebody sent has to be sent again.
 */
static void on_ending_signal(int sig, siginfo_t *info, void *context)
{
    restore();
    for (size_t i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        if (ending_signals[i] == sig) {
            sigaction(sig, &terminal.before[i], NULL);
        }
    }
    if (info->si_code <= 0 || !is_fault(sig)) {
        raise(sig);
    }
}

static void on_stop(int sig)
{
    struct sigaction ours;
    sigset_t set;

    restore();
    sigaction(SIGTSTP, &terminal.before_stop, &ours);
    raise(SIGTSTP);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* stops here */
    sigaction(SIGTSTP, &ours, NULL);
    make_raw();
}

static void on_continue(int sig)
{
    make_raw();
}

/* A handler that somebody else installed (and that ends in exit) stays. */
static void take_signal(int sig, struct sigaction *before, void (*handler)(int),
                        void (*info_handler)(int, siginfo_t *, void *), bool only_default)
{
    struct sigaction action;

    sigaction(sig, NULL, before);
    if (only_default && ((before->sa_flags & SA_SIGINFO) || before->sa_handler != SIG_DFL)) {
        return;
    }
    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    if (info_handler) {
        action.sa_sigaction = info_handler;
        action.sa_flags |= SA_SIGINFO;
    } else {
        action.sa_handler = handler;
    }
    sigaction(sig, &action, NULL);
}

static bool is_polite(int sig)
{
    return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

static void prepare(void)
{
    if (terminal.prepared) {
        return;
    }
    terminal.prepared = true;
    atexit(restore);
    for (size_t i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        take_signal(ending_signals[i], &terminal.before[i], NULL, on_ending_signal,
                    is_polite(ending_signals[i]));
    }
    take_signal(SIGTSTP, &terminal.before_stop, on_stop, NULL, true);
    take_signal(SIGCONT, &terminal.before_continue, on_continue, NULL, true);
}

bool terminal_acquire(const char *label, bool signals, GError **error)
{
    if (terminal.label) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "'%s' and '%s' both want stdio; give one of them another back end, or "
                        "let them share mon:stdio",
                        terminal.label, label);
    }
    terminal.label = g_strdup(label);
    terminal.is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal.saved) == 0;
    if (!terminal.is_terminal) {
        return true;
    }
    terminal.raw = terminal.saved;
    terminal.raw.c_iflag &=
        ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    terminal.raw.c_oflag |= OPOST;
    terminal.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals) {
        terminal.raw.c_lflag &= ~(tcflag_t)ISIG;
    }
    terminal.raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    terminal.raw.c_cflag |= CS8;
    terminal.raw.c_cc[VMIN] = 1;
    terminal.raw.c_cc[VTIME] = 0;
    prepare();
    terminal.raw_wanted = 1;
    make_raw();
    return true;
}

void terminal_release(void)
{
    restore();
    terminal.raw_wanted = 0;
    terminal.is_terminal = false;
    g_clear_pointer(&terminal.label, g_free);
}
