/* SPDX-License-Identifier: MIT */
/*
 * The program that runs rows: by name on its command line, or, as the first process of a guest, by
 * name on the kernel's (rows=NAME,...), after which it powers off. Each row is a process of its own,
 * so that one that dies or hangs is reported by name and the others go on. Lines of output:
 *
 *     RUN name                            before it starts
 *     ROW name value unit checksum        time a unit, or units a second
 *     FAIL name why
 *     DONE                                all were tried
 *
 * A name of the form 2xNAME runs two at once and reports the sum of their rates (or the longer of
 * their times); NAME*3 does three times the usual work, NAME/3 a third of it. The row "coremark"
 * runs /coremark (or ./coremark, or what ORRERY_COREMARK_PROGRAM names) and reads its report.
 */
#include "row.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROW_LIMIT_S 60
#define COREMARK_ITERATIONS 3000
#define MOST_AT_ONCE 16

static const Row *const all_rows[] = { integer_rows, text_rows, float_rows, memory_rows,
                                       system_rows };

const char *row_self;

/* What a row's process tells through its pipe. */
typedef struct Report {
    double value;
    char unit[16];
    char checksum[48];
    char why[80];
} Report;

static double seconds, began;
static int report_to = -1;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void row_begin(void)
{
    began = now();
}

void row_end(void)
{
    seconds += now() - began;
}

static _Noreturn void send_report(const Report *report)
{
    _exit(write(report_to, report, sizeof(*report)) == sizeof(*report) ? 0 : 1);
}

void row_fail(const char *why)
{
    Report report = { 0 };

    snprintf(report.why, sizeof(report.why), "%s", why);
    send_report(&report);
}

/* ---- CoreMark, which is not ours: a program that is started, and what it prints. */

static bool field(const char *text, const char *name, char *to, size_t bytes)
{
    const char *at = strstr(text, name);
    size_t n = 0;

    if (!at || !(at = strchr(at, ':'))) {
        return false;
    }
    for (at += 1 + strspn(at + 1, " "); n + 1 < bytes && at[n] > ' '; n++) {
        to[n] = at[n];
    }
    to[n] = '\0';
    return n > 0;
}

static const char *coremark_path(void)
{
    const char *path = getenv("ORRERY_COREMARK_PROGRAM");

    return path ? path : access("/coremark", X_OK) == 0 ? "/coremark" : "./coremark";
}

static _Noreturn void run_coremark(double factor)
{
    char text[8192], iterations[16], rate[32], list[16], matrix[16], state[16];
    Report report = { 0 };
    size_t length = 0;
    int ends[2];
    ssize_t n;

    snprintf(iterations, sizeof(iterations), "%d", (int)(COREMARK_ITERATIONS * factor));
    if (access(coremark_path(), X_OK) != 0) {
        row_fail("there is no CoreMark here");
    }
    if (pipe(ends) != 0) {
        row_fail("pipe refused");
    }
    if (fork() == 0) {
        dup2(ends[1], 1);
        execl(coremark_path(), "coremark", "0", "0", "0x66", iterations, (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    while (length < sizeof(text) - 1 &&
           (n = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0) {
        length += (size_t)n;
    }
    text[length] = '\0';
    wait(NULL); /* so that its time counts as ours */
    if (!field(text, "Iterations/Sec", rate, sizeof(rate)) ||
        !field(text, "[0]crclist", list, sizeof(list)) ||
        !field(text, "[0]crcmatrix", matrix, sizeof(matrix)) ||
        !field(text, "[0]crcstate", state, sizeof(state))) {
        row_fail("CoreMark printed no result");
    }
    report.value = strtod(rate, NULL);
    strcpy(report.unit, "it/s");
    snprintf(report.checksum, sizeof(report.checksum), "%s.%s.%s", list, matrix, state);
    send_report(&report);
}

/* ---- One row. */

static const Row *find_row(const char *name)
{
    for (unsigned i = 0; i < sizeof(all_rows) / sizeof(*all_rows); i++) {
        for (const Row *row = all_rows[i]; row->name; row++) {
            if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static bool is_time(const char *unit)
{
    return strcmp(unit, "ns") == 0 || strcmp(unit, "us") == 0 || strcmp(unit, "ms") == 0;
}

static _Noreturn void run_here(const char *name, double factor)
{
    const Row *row = find_row(name);
    Report report = { 0 };
    uint64_t count, sum;
    double each;

    if (strcmp(name, "coremark") == 0) {
        run_coremark(factor);
    }
    if (!row) {
        row_fail("there is no such row");
    }
    count = (uint64_t)((double)row->count * factor);
    sum = row->run(count ? count : 1);
    each = seconds / (double)(count ? count : 1);
    if (is_time(row->unit)) {
        report.value = each * (row->unit[0] == 'n' ? 1e9 : row->unit[0] == 'u' ? 1e6 : 1e3);
    } else {
        report.value = row->scale / each;
    }
    strcpy(report.unit, row->unit);
    snprintf(report.checksum, sizeof(report.checksum), "%016llx", (unsigned long long)sum);
    send_report(&report);
}

/* Forks a process for the row; the end of the pipe that its report comes through. */
static int start_row(const char *name, double factor, pid_t *child)
{
    int ends[2];

    if (pipe(ends) != 0) {
        return -1;
    }
    fflush(stdout);
    *child = fork();
    if (*child == 0) {
        close(ends[0]);
        report_to = ends[1];
        setpgid(0, 0);
        alarm(ROW_LIMIT_S);
        run_here(name, factor);
    }
    close(ends[1]);
    return ends[0];
}

static void end_row(int from, pid_t child, Report *report)
{
    int status = 0;
    bool whole = read(from, report, sizeof(*report)) == sizeof(*report);

    close(from);
    waitpid(child, &status, 0);
    kill(-child, SIGKILL); /* what it may have left behind */
    if (!whole) {
        *report = (Report){ 0 };
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
            snprintf(report->why, sizeof(report->why), "not over after %d s", ROW_LIMIT_S);
        } else if (WIFSIGNALED(status)) {
            snprintf(report->why, sizeof(report->why), "ended by signal %d", WTERMSIG(status));
        } else {
            snprintf(report->why, sizeof(report->why), "ended with status %d", WEXITSTATUS(status));
        }
    }
}

static void run_named(const char *full)
{
    char name[64];
    const char *start = full;
    char *end;
    unsigned copies = (unsigned)strtoul(full, &end, 10);
    double factor = 1;
    Report reports[MOST_AT_ONCE];
    pid_t children[MOST_AT_ONCE];
    int pipes[MOST_AT_ONCE];
    size_t length;

    if (end > full && *end == 'x' && copies >= 1 && copies <= MOST_AT_ONCE) {
        start = end + 1;
    } else {
        copies = 1;
    }
    length = strcspn(start, "*/");
    snprintf(name, sizeof(name), "%.*s", (int)length, start);
    if (start[length]) {
        factor = strtod(start + length + 1, NULL);
        factor = start[length] == '/' ? 1 / factor : factor;
    }
    printf("RUN %s\n", full);
    for (unsigned i = 0; i < copies; i++) {
        pipes[i] = start_row(name, factor, &children[i]);
    }
    for (unsigned i = 0; i < copies; i++) {
        end_row(pipes[i], children[i], &reports[i]);
    }
    for (unsigned i = 1; i < copies; i++) {
        if (reports[i].why[0] || strcmp(reports[i].checksum, reports[0].checksum) != 0) {
            if (!reports[0].why[0]) {
                snprintf(reports[0].why, sizeof(reports[0].why), "%.40s",
                         reports[i].why[0] ? reports[i].why : "copies differ in their checksum");
            }
        }
        if (!is_time(reports[0].unit)) {
            reports[0].value += reports[i].value;
        } else if (reports[i].value > reports[0].value) {
            reports[0].value = reports[i].value;
        }
    }
    if (reports[0].why[0]) {
        printf("FAIL %s %s\n", full, reports[0].why);
    } else {
        printf("ROW %s %.6g %s %s\n", full, reports[0].value, reports[0].unit, reports[0].checksum);
    }
    fflush(stdout);
}

/* ---- As the first process. */

static void run_as_init(void)
{
    char line[4096], *names, *rest = NULL;
    FILE *f;

    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    row_self = "/init";
    f = fopen("/proc/cmdline", "r");
    if (f && fgets(line, sizeof(line), f) && (names = strstr(line, "rows="))) {
        names[strcspn(names, " \n")] = '\0';
        for (char *n = strtok_r(names + 5, ",", &rest); n; n = strtok_r(NULL, ",", &rest)) {
            run_named(n);
        }
    }
    printf("DONE\n");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--nothing") == 0) {
        return 7;
    }
    if (getpid() == 1) {
        run_as_init();
        return 1;
    }
    row_self = "/proc/self/exe";
    if (argc < 2) {
        for (unsigned i = 0; i < sizeof(all_rows) / sizeof(*all_rows); i++) {
            for (const Row *row = all_rows[i]; row->name; row++) {
                puts(row->name);
            }
        }
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        run_named(argv[i]);
    }
    printf("DONE\n");
    return 0;
}
