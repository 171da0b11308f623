/* SPDX-License-Identifier: MIT */
/*
 * A disk that takes its time: preloaded, it delays each write of the recorder's by as many
 * microseconds as SLOW_DISK_US says.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset);

__attribute__((visibility("default"))) ssize_t pwritev(int fd, const struct iovec *parts, int n,
                                                       off_t offset)
{
    ssize_t (*next)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "pwritev");
    const char *delay = getenv("SLOW_DISK_US");

    usleep(delay ? (useconds_t)atoi(delay) : 0);
    return next(fd, parts, n, offset);
}
