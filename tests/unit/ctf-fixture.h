/* SPDX-License-Identifier: MIT */
/*
 * What the recorder's tests share: a directory of their own, -trace as the command line gives it,
 * and what was said on stderr.
 */
#ifndef ORRERY_TESTS_UNIT_CTF_FIXTURE_H
#define ORRERY_TESTS_UNIT_CTF_FIXTURE_H

#include <sys/types.h>

#include "ctf-reader.h"

typedef struct CtfFixture {
    char *dir;   /* the test's own */
    char *trace; /* dir/trace, the recorder's */
    char *err;   /* dir/err, what was said on stderr */
    int saved_err;
} CtfFixture;

int ctf_set_up(void **state);
int ctf_tear_down(void **state);

/* A file, or a directory with all that is in it; it need not be there. */
void ctf_remove_all(const char *path);

/* One -trace argument, which must do. */
void ctf_option(const char *format, ...) ORR_PRINTF(1, 2);
void ctf_start(void);

/* Starts to record what the glob matches, with more options behind it, each after a comma. */
void ctf_record(const CtfFixture *f, const char *glob, const char *more);

/* The message that refuses it has this part. */
void ctf_refused(const char *arg, const char *part);
void ctf_start_refused(const char *part);

/* Sends fd 2 to a file, and says what is there. Caller frees. */
void ctf_hush(const CtfFixture *f);
char *ctf_said(const CtfFixture *f);

unsigned ctf_count_text(const char *text, const char *part);
int ctf_child_status(pid_t pid);
CtfSums ctf_read_all(const CtfFixture *f);

#endif
