/* SPDX-License-Identifier: MIT */
/*
 * See trace-fixture.h. Lines are taken apart here strictly: a line that is not whole fails the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace-fixture.h"

#include "trace/internal.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int tf_set_up(void **state)
{
    TraceFixture *f = g_new0(TraceFixture, 1);

    f->dir = g_dir_make_tmp("orrery-trace-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "log,1", NULL);
    f->option = g_strdup_printf("file=%s/log,,1", f->dir);
    *state = f;
    return f->dir ? 0 : -1;
}

int tf_tear_down(void **state)
{
    TraceFixture *f = *state;

    orr_trace_stop();
    g_unlink(f->file);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->file);
    g_free(f->option);
    g_free(f);
    return 0;
}

void tf_option(const char *arg)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_option(arg, &error)) {
        fail_msg("-trace %s: %s", arg, error->message);
    }
}

void tf_refused(const char *arg, const char *message)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_option(arg, &error));
    assert_string_equal(error->message, message);
}

void tf_start(void)
{
    g_autoptr(GError) error = NULL;

    if (!orr_trace_start(&error)) {
        fail_msg("%s", error->message);
    }
}

void tf_log_to(const TraceFixture *f, const char *glob)
{
    tf_option(glob);
    tf_option(f->option);
    tf_start();
}

void tf_start_refused(const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(orr_trace_start(&error));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' is not in '%s'", part, error->message);
    }
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            assert_int_equal(orr_trace_subsystems[i]->mask[j], 0);
        }
    }
}

int tf_mask_of(const char *name)
{
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (uint16_t j = 0; j < sub->n_events; j++) {
            g_autofree char *full = g_strdup_printf("%s:%s", sub->name, sub->events[j].name);

            if (g_str_equal(full, name)) {
                return sub->mask[j];
            }
        }
    }
    return -1;
}

char *tf_read_file(const char *path)
{
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

char **tf_read_lines(const char *path)
{
    g_autofree char *text = tf_read_file(path);
    GPtrArray *lines = g_ptr_array_new();

    for (char *at = text; *at;) {
        char *end = strchr(at, '\n');

        if (!end) {
            fail_msg("a torn line at the end: '%s'", at);
        }
        g_ptr_array_add(lines, g_strndup(at, end - at));
        at = end + 1;
    }
    g_ptr_array_add(lines, NULL);
    return (char **)g_ptr_array_free(lines, FALSE);
}

const char *tf_payload(const char *line, const char *thread)
{
    char fraction[10] = "", bracket = 0;
    int begin = 0, digits = 0, end = 0;
    const char *slash;

    /* A thread's name may hold blanks and slashes; "] " ends it. */
    sscanf(line, "%*[0-9].%9[0-9] [%n%*[^]]%c%n", fraction, &begin, &bracket, &end);
    slash = end ? g_strrstr_len(line, end, "/") : NULL;
    if (slash) {
        sscanf(slash, "/%*[0-9]%n", &digits);
    }
    if (strlen(fraction) != 9 || digits < 2 || slash + digits + 1 != line + end ||
        line[end] != ' ' || slash == line + begin ||
        (thread && strncmp(line + begin, thread, slash - line - begin))) {
        fail_msg("not a line of the log: '%s'", line);
    }
    return line + end + 1;
}

int tf_stderr_to(const char *path)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    assert_true(saved >= 0 && fd >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return saved;
}

void tf_stderr_back(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
}

int tf_child_status(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
