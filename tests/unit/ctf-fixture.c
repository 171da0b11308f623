/* SPDX-License-Identifier: MIT */
/*
 * See ctf-fixture.h. Every test starts and stops the trace itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctf-fixture.h"
#include "trace/trace-cpus.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int ctf_set_up(void **state)
{
    CtfFixture *f = g_new0(CtfFixture, 1);

    f->dir = g_dir_make_tmp("orrery-ctf-XXXXXX", NULL);
    f->trace = g_build_filename(f->dir, "trace", NULL);
    f->err = g_build_filename(f->dir, "err", NULL);
    f->saved_err = dup(STDERR_FILENO);
    *state = f;
    return 0;
}

void ctf_remove_all(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        ctf_remove_all(file);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_remove(path);
}

int ctf_tear_down(void **state)
{
    CtfFixture *f = *state;

    orr_trace_stop();
    dup2(f->saved_err, STDERR_FILENO);
    close(f->saved_err);
    ctf_remove_all(f->dir);
    g_free(f->dir);
    g_free(f->trace);
    g_free(f->err);
    g_free(f);
    return 0;
}

void ctf_option(const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (!orr_trace_option(text, &error)) {
        fail_msg("-trace %s: %s", text, error->message);
    }
}

void ctf_start(void)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_start(&error)) {
        fail_msg("%s", error->message);
    }
}

void ctf_record(const CtfFixture *f, const char *glob, const char *more)
{
    ctf_option("%s,backend=ctf,dir=%s%s", glob, f->trace, more);
    ctf_start();
}

void ctf_refused(const char *arg, const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_option(arg, &error));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' is not in '%s'", part, error->message);
    }
}

void ctf_start_refused(const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_start(&error));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' is not in '%s'", part, error->message);
    }
    assert_false(trace_cpus_wake_enabled());
}

void ctf_hush(const CtfFixture *f)
{
    int fd = open(f->err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    assert_true(fd >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

char *ctf_said(const CtfFixture *f)
{
    char *text = NULL;

    fflush(stderr);
    dup2(f->saved_err, STDERR_FILENO);
    assert_true(g_file_get_contents(f->err, &text, NULL, NULL));
    return text;
}

unsigned ctf_count_text(const char *text, const char *part)
{
    unsigned n = 0;

    while ((text = strstr(text, part))) {
        text++;
        n++;
    }
    return n;
}

int ctf_child_status(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

CtfSums ctf_read_all(const CtfFixture *f)
{
    return ctf_read_dir(f->trace, 0, NULL, NULL);
}
