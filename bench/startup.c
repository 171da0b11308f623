/* SPDX-License-Identifier: MIT */
/*
 * Times a command from before it is started to the first byte that it writes to its standard output,
 * and reports that with its whole time and its largest resident size. A small program of its own,
 * since posix_spawn of a small process costs little and a child's size can then not be its parent's.
 *
 *     startup RUNS COMMAND...   prints RUNS lines: first_byte_ns total_ns max_rss_kib status
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "startup: %s: %s\n", what, strerror(error));
    exit(2);
}

/* Returns false when the command wrote nothing. */
static int run_once(char **command)
{
    posix_spawn_file_actions_t actions;
    int64_t start_ns, first_ns = 0;
    struct rusage usage;
    char buffer[4096];
    int pipe_fds[2], status, error;
    ssize_t got;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        die("pipe", errno);
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
    start_ns = now_ns();
    error = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
    if (error) {
        die(command[0], error);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    while ((got = read(pipe_fds[0], buffer, sizeof(buffer))) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0 && !first_ns) {
            first_ns = now_ns();
        }
    }
    close(pipe_fds[0]);
    if (wait4(pid, &status, 0, &usage) != pid) {
        die("wait4", errno);
    }
    if (!first_ns) {
        fprintf(stderr, "startup: the command wrote nothing\n");
        return 1;
    }
    printf("%lld %lld %ld %d\n", (long long)(first_ns - start_ns), (long long)(now_ns() - start_ns),
           usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? atoi(argv[1]) : 0;

    if (runs <= 0) {
        fprintf(stderr, "usage: startup RUNS COMMAND...\n");
        return 2;
    }
    for (int i = 0; i < runs; i++) {
        if (run_once(argv + 2)) {
            return 1;
        }
    }
    return 0;
}
