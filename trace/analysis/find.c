/* SPDX-License-Identifier: MIT */
/*
 * Which directories are traces, and are their files whole? The idea to hold: babeltrace2 refuses a
 * whole trace for one packet that is cut off, so packets are walked here first, head by head (both
 * recorders write the same head), and a file that ends amid one is offered as a shorter copy.
 */
#include "trace/analysis/find.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/analysis/text.h"

#define PACKET_MAGIC 0xc1fc1fc1u
#define MAX_DEPTH 6
#define MAX_TRACES 256
/* Less than this of a packet holds no event. */
#define SALVAGE_BYTES 128

/* How packets begin in LTTng-UST's and the recorder's files. */
typedef struct PacketHead {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t stream_id;
    uint64_t stream_instance_id;
    uint64_t timestamp_begin;
    uint64_t timestamp_end;
    uint64_t content_bits;
    uint64_t packet_bits;
} PacketHead;

/* ---- Repair. */

static void remove_copy(const char *dir)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        unlink(path);
    }
    rmdir(dir);
}

static void found_trace_free(gpointer data)
{
    FoundTrace *found = data;

    if (found->repair) {
        remove_copy(found->repair);
    }
    g_free(found->path);
    g_free(found->read);
    g_free(found->repair);
    g_array_unref(found->cut);
    g_free(found);
}

static bool all_zero(int fd, off_t from, off_t to)
{
    uint8_t buffer[4096];

    while (from < to) {
        ssize_t n = pread(fd, buffer, (size_t)MIN((off_t)sizeof(buffer), to - from), from);

        if (n <= 0) {
            return n == 0;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i]) {
                return false;
            }
        }
        from += n;
    }
    return true;
}

/*
 * Where the last whole packet ends and what is behind it. false: the file is whole, or of a form
 * that only babeltrace2 can judge.
 */
static bool cut_amid_packet(int fd, off_t size, off_t *whole, PacketHead *part)
{
    off_t at = 0;

    memset(part, 0, sizeof(*part));
    while (at < size) {
        PacketHead head = { 0 };
        ssize_t n = pread(fd, &head, sizeof(head), at);

        if (n < 0) {
            return false;
        }
        *whole = at;
        if ((size_t)n < sizeof(head)) {
            return at > 0 || n < (ssize_t)sizeof(head.magic) || head.magic == PACKET_MAGIC;
        }
        if (head.magic != PACKET_MAGIC) {
            /* Space that was reserved and never written. */
            return at > 0 && all_zero(fd, at, size);
        }
        if (head.packet_bits % 8 || head.packet_bits / 8 < sizeof(head) ||
            head.content_bits > head.packet_bits || head.packet_bits / 8 > (uint64_t)1 << 40) {
            return false;
        }
        if (head.packet_bits / 8 > (uint64_t)(size - at)) {
            *part = head;
            return true;
        }
        at += (off_t)(head.packet_bits / 8);
    }
    return false;
}

static bool copy_bytes(int from, int to, off_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc(1 << 16);
    off_t at = 0;

    while (at < bytes) {
        ssize_t n = pread(from, buffer, (size_t)MIN((off_t)1 << 16, bytes - at), at);

        if (n <= 0 || pwrite(to, buffer, (size_t)n, at) != n) {
            return false;
        }
        at += n;
    }
    return true;
}

/* The copy ends with what there is of the last packet, its head saying so. */
static bool repair_file(int fd, off_t size, off_t whole, const PacketHead *part, const char *copy)
{
    int to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = to >= 0;
    off_t end = whole;

    if (part->magic == PACKET_MAGIC && size - whole >= SALVAGE_BYTES) {
        end = size;
    }
    ok = ok && copy_bytes(fd, to, end);
    if (ok && end > whole) {
        PacketHead head = *part;

        head.packet_bits = (uint64_t)(end - whole) * 8;
        head.content_bits = MIN(head.content_bits, head.packet_bits);
        ok = pwrite(to, &head, sizeof(head), whole) == (ssize_t)sizeof(head);
    }
    if (to >= 0) {
        ok = close(to) == 0 && ok;
    }
    return ok;
}

static bool make_copy(FoundTrace *found, GError **error)
{
    g_autoptr(GDir) entries = NULL;
    g_autofree char *absolute = g_canonicalize_filename(found->path, NULL);
    const char *name;

    if (found->repair) {
        return true;
    }
    found->repair = g_dir_make_tmp("orrery-trace-XXXXXX", error);
    entries = found->repair ? g_dir_open(found->path, 0, error) : NULL;
    if (!entries) {
        return false;
    }
    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(absolute, name, NULL);
        g_autofree char *link = g_build_filename(found->repair, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && symlink(path, link) != 0) {
            tool_fail(error, "cannot make a repaired copy in %s: %s", found->repair,
                      g_strerror(errno));
            return false;
        }
    }
    g_free(found->read);
    found->read = g_strdup(found->repair);
    return true;
}

static bool check_file(FoundTrace *found, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(found->path, name, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    PacketHead part;
    struct stat st;
    off_t whole = 0;
    bool ok = true;

    if (fd < 0) {
        tool_fail(error, "cannot read %s: %s", path, g_strerror(errno));
        return false;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        cut_amid_packet(fd, st.st_size, &whole, &part)) {
        PacketHead first = { 0 };

        if (pread(fd, &first, sizeof(first), 0) > 0) {
            g_array_append_val(found->cut, first.stream_instance_id);
        }
        found->truncated = true;
        ok = make_copy(found, error);
        if (ok) {
            g_autofree char *copy = g_build_filename(found->repair, name, NULL);

            unlink(copy);
            ok = repair_file(fd, st.st_size, whole, &part, copy);
            if (!ok) {
                tool_fail(error,
                          "%s is cut off, and a shorter copy cannot be written to %s: %s; set "
                          "TMPDIR to a folder with space",
                          path, found->repair, g_strerror(errno));
            }
        }
    }
    close(fd);
    return ok;
}

/* ---- Search. */

static bool has_metadata(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "metadata", NULL);

    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static bool add_trace(GPtrArray *traces, const char *dir, GError **error)
{
    g_autofree char *metadata = g_build_filename(dir, "metadata", NULL);
    g_autofree char *base = g_path_get_basename(dir);
    g_autoptr(GDir) entries = NULL;
    FoundTrace *found;
    const char *name;
    struct stat st;

    if (access(metadata, R_OK) != 0 || stat(metadata, &st) != 0) {
        tool_fail(error, "cannot read %s: %s", metadata, g_strerror(errno));
        return false;
    }
    if (st.st_size == 0) {
        tool_fail(error,
                  "%s is empty: the recording ended before it began, or its disk was full; record "
                  "again",
                  metadata);
        return false;
    }
    entries = g_dir_open(dir, 0, error);
    if (!entries) {
        return false;
    }
    if (traces->len >= MAX_TRACES) {
        tool_fail(error, "%s: more than %d traces at once; name fewer directories", dir,
                  MAX_TRACES);
        return false;
    }
    found = g_new0(FoundTrace, 1);
    g_ptr_array_add(traces, found);
    found->path = g_strdup(dir);
    found->read = g_strdup(dir);
    found->cut = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    found->flight = g_str_has_prefix(base, "dump-");
    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (name[0] != '.' && strcmp(name, "metadata") != 0 &&
            g_file_test(path, G_FILE_TEST_IS_REGULAR) && !check_file(found, name, error)) {
            return false;
        }
    }
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Subdirectories of dir, sorted, NULL-terminated. */
static char **subdirectories(const char *dir)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    GPtrArray *dirs = g_ptr_array_new();
    const char *name;

    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
            g_ptr_array_add(dirs, g_steal_pointer(&path));
        }
    }
    g_ptr_array_sort(dirs, compare_names);
    g_ptr_array_add(dirs, NULL);
    return (char **)g_ptr_array_free(dirs, FALSE);
}

static bool refuse_dumps(const char *dir, char *const *below, GError **error)
{
    unsigned n = 0;
    const char *last = NULL;

    for (unsigned i = 0; below[i]; i++) {
        g_autofree char *base = g_path_get_basename(below[i]);

        if (g_str_has_prefix(base, "dump-") && has_metadata(below[i])) {
            /* dump-10 is later than dump-9. */
            if (!last || strlen(below[i]) >= strlen(last)) {
                last = below[i];
            }
            n++;
        }
    }
    if (n) {
        tool_fail(error, "%s is a flight recording with %u dump%s: name one of them, as %s", dir, n,
                  n == 1 ? "" : "s", last);
    }
    return n > 0;
}

/* `top` is what the user named, and `first` how many traces there were before. */
static bool search(GPtrArray *traces, const char *dir, const char *top, unsigned first,
                   unsigned depth, GError **error)
{
    g_auto(GStrv) below = NULL;

    if (has_metadata(dir)) {
        /* An LTTng session has a trace for each user or process; other folders have many by chance. */
        if (traces->len > first && !strstr(dir + strlen(top), "/ust/")) {
            const FoundTrace *other = g_ptr_array_index(traces, first);

            return tool_fail(
                error,
                "%s holds several traces, as %s and %s: name those that are to be read "
                "together",
                top, other->path, dir);
        }
        return add_trace(traces, dir, error);
    }
    below = subdirectories(dir);
    if (refuse_dumps(dir, below, error)) {
        return false;
    }
    for (unsigned i = 0; depth < MAX_DEPTH && below[i]; i++) {
        g_autofree char *base = g_path_get_basename(below[i]);

        /* A session's kernel events are not of Orrery, and may be many. */
        if (strcmp(base, "kernel") != 0 &&
            !search(traces, below[i], top, first, depth + 1, error)) {
            return false;
        }
    }
    return true;
}

/* Why there is no trace where the user said. */
static void explain(const char *path, GError **error)
{
    g_autoptr(GDir) entries = NULL;
    const char *name;

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        tool_fail(error, "%s: no such directory", path);
        return;
    }
    if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_autofree char *base = g_path_get_basename(path);
        g_autofree char *dir = g_path_get_dirname(path);

        if (g_str_has_suffix(path, ".tar.zst")) {
            tool_fail(error,
                      "%s is packed: unpack it with 'tar --zstd -xf %s' and name the "
                      "directory",
                      path, path);
        } else if (strcmp(base, "metadata") == 0 || g_str_has_prefix(base, "thread_")) {
            tool_fail(error, "%s is one file of a trace: name its directory, %s", path, dir);
        } else {
            tool_fail(error, "%s is no directory: name the one that was recorded into (dir=)",
                      path);
        }
        return;
    }
    entries = g_dir_open(path, 0, error);
    if (!entries) {
        return;
    }
    while ((name = g_dir_read_name(entries))) {
        if (g_str_has_prefix(name, "thread_") || g_str_has_prefix(name, "channel")) {
            tool_fail(error,
                      "%s has a trace's stream files, but its file 'metadata' is missing, without "
                      "which they cannot be read; copy the whole directory",
                      path);
            return;
        }
    }
    tool_fail(error,
              "%s holds no trace: neither it nor a directory in it has a file 'metadata'; name the "
              "directory that was recorded into (dir=, or LTTng's session)",
              path);
}

/* Events that are in two of the directories would count twice. */
static bool overlap(const GPtrArray *traces, GError **error)
{
    for (unsigned i = 0; i < traces->len; i++) {
        for (unsigned j = 0; j < i; j++) {
            const FoundTrace *a = g_ptr_array_index(traces, j), *b = g_ptr_array_index(traces, i);
            g_autofree char *path_a = g_canonicalize_filename(a->path, NULL);
            g_autofree char *path_b = g_canonicalize_filename(b->path, NULL);
            g_autofree char *parent_a = g_path_get_dirname(path_a);
            g_autofree char *parent_b = g_path_get_dirname(path_b);

            if (strcmp(path_a, path_b) == 0) {
                tool_fail(error, "%s is named twice: name it once", b->path);
                return true;
            }
            if (a->flight && b->flight && strcmp(parent_a, parent_b) == 0) {
                tool_fail(
                    error,
                    "%s and %s are dumps of one recording and hold the same events: name one of them",
                    a->path, b->path);
                return true;
            }
        }
    }
    return false;
}

GPtrArray *find_traces(const char *const *paths, GError **error)
{
    g_autoptr(GPtrArray) traces = g_ptr_array_new_with_free_func(found_trace_free);

    for (unsigned i = 0; paths[i]; i++) {
        unsigned before = traces->len;

        if (g_file_test(paths[i], G_FILE_TEST_IS_DIR) &&
            !search(traces, paths[i], paths[i], before, 0, error)) {
            return NULL;
        }
        if (traces->len == before) {
            explain(paths[i], error);
            return NULL;
        }
    }
    return overlap(traces, error) ? NULL : g_steal_pointer(&traces);
}
