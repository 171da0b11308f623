/* SPDX-License-Identifier: MIT */
/*
 * From what a user names to directories that babeltrace2 reads without complaint: private to the
 * reader. A stream file that was cut off amid a packet, as the recorder's death leaves it, is
 * repaired in a copy.
 */
#ifndef ORRERY_TRACE_ANALYSIS_FIND_H
#define ORRERY_TRACE_ANALYSIS_FIND_H

#include <glib.h>
#include <stdbool.h>

typedef struct FoundTrace {
    char *path;   /* as given, or below it */
    char *read;   /* what to read: path, or a repaired copy */
    char *repair; /* the copy's directory, to be removed; NULL */
    bool flight;
    bool truncated;
    GArray *cut; /* of uint64_t: the stream instances that are cut off amid a packet */
} FoundTrace;

/*
 * The traces in `paths` (NULL-terminated), in order, as FoundTrace; free with g_ptr_array_unref,
 * which removes the copies. NULL with `error` set, one line with culprit and remedy.
 */
GPtrArray *find_traces(const char *const *paths, GError **error);

#endif
