/* SPDX-License-Identifier: MIT */
/*
 * What the tests of -trace and of its log share: a directory and a file of their own, options as the
 * command line gives them, and the lines that were written. tf_ stands for trace fixture.
 */
#ifndef ORRERY_TESTS_UNIT_TRACE_FIXTURE_H
#define ORRERY_TESTS_UNIT_TRACE_FIXTURE_H

#include <sys/types.h>

typedef struct TraceFixture {
    char *dir, *file, *option; /* option: file=<file>, its comma doubled */
} TraceFixture;

int tf_set_up(void **state);
int tf_tear_down(void **state);

/* One -trace argument, which must do; or which must be refused with just this message. */
void tf_option(const char *arg);
void tf_refused(const char *arg, const char *message);

void tf_start(void);
void tf_start_refused(const char *part);

/* Starts to log what the glob matches to the fixture's file. */
void tf_log_to(const TraceFixture *f, const char *glob);

/* The mask byte of an event; -1 when there is no such event. */
int tf_mask_of(const char *name);

/* Caller frees. */
char *tf_read_file(const char *path);

/*
 * The lines of the log; fails unless the last one is whole too. Not by g_strsplit, which is
 * quadratic under the sanitizers' strstr. Caller frees.
 */
char **tf_read_lines(const char *path);

/* What stands behind "seconds.nanoseconds [thread/tid] ", after checking that. */
const char *tf_payload(const char *line, const char *thread);

/* Sends fd 2 to a file while a test looks at what is written there, and back. */
int tf_stderr_to(const char *path);
void tf_stderr_back(int saved);

int tf_child_status(pid_t pid);

#endif
