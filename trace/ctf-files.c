/* SPDX-License-Identifier: MIT */
/*
 * Where packets end up: in one file a stream, or in memory until a flight recording is dumped into
 * a directory of its own. On the writer thread, but for opening and closing.
 *
 * The idea to hold: an event that cannot be written is an event lost, counted in the stream's
 * events_discarded like one for which a ring had no room; what is in a file ends with a whole
 * packet. A reader can compare that count between packets only, so a stream's first says 0.
 */
#include "orrery/impl/error.h"
#include "trace/ctf-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64 /* packets a write */

static void report_disk(CtfSession *session, const char *what, int error)
{
    if (!session->told_disk) {
        session->told_disk = true;
        orr_trace_say("warning: cannot write %s/%s: %s; events are lost", session->path, what,
                      g_strerror(error));
    }
}

/* ---- The directory ---- */

static bool dir_is_empty(int fd)
{
    DIR *dir = fdopendir(dup(fd));
    const struct dirent *entry;
    bool empty = true;

    while (dir && (entry = readdir(dir))) {
        empty &= g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..");
    }
    if (dir) {
        closedir(dir);
    }
    return empty;
}

/* All or nothing; false with errno set. */
static bool write_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    size_t left = strlen(text);
    int error = fd < 0 ? errno : 0;

    while (!error && left) {
        ssize_t n = write(fd, text, left);

        if (n > 0) {
            text += n;
            left -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            error = n == 0 ? EIO : errno;
        }
    }
    if (fd >= 0 && close(fd) != 0 && !error) {
        error = errno;
    }
    if (error && fd >= 0) {
        unlinkat(dir_fd, name, 0);
    }
    errno = error;
    return !error;
}

/* False with ORR_ERROR_INVALID is the user's mistake; all else is a fault of the host's. */
static bool open_dir(CtfSession *session, GError **error)
{
    bool made = mkdir(session->path, 0777) == 0;

    if (!made && errno != EEXIST) {
        return orr_fail(error, ORR_ERROR_IO, "cannot create the trace directory '%s': %s",
                        session->path, g_strerror(errno));
    }
    session->dir_fd = open(session->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (session->dir_fd < 0) {
        return orr_fail(error, ORR_ERROR_IO, "cannot open the trace directory '%s': %s",
                        session->path, g_strerror(errno));
    }
    session->own_dir = made;
    if (!made && !dir_is_empty(session->dir_fd)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "the trace directory '%s' is not empty; remove it, or name another by dir=",
                        session->path);
    }
    return true;
}

static void remove_dir(CtfSession *session)
{
    if (session->own_dir) {
        rmdir(session->path);
    }
}

static void close_dir(CtfSession *session)
{
    if (session->dir_fd >= 0) {
        close(session->dir_fd);
    }
    session->dir_fd = -1;
}

bool orr_trace_ctf_files_open(CtfSession *session, GError **error)
{
    /* A flight recording has its metadata in each dump; here it shows that one can be made. */
    const char *name = session->flight ? ".metadata" : "metadata";
    g_autoptr(GError) why = NULL;
    bool ok = open_dir(session, &why);

    if (ok && !write_file(session->dir_fd, name, session->metadata)) {
        ok = orr_fail(&why, ORR_ERROR_IO, "cannot write '%s/%s': %s", session->path, name,
                      g_strerror(errno));
        remove_dir(session);
    }
    if (ok && session->flight) {
        unlinkat(session->dir_fd, name, 0);
    }
    if (ok) {
        return true;
    }
    close_dir(session);
    if (g_error_matches(why, ORR_ERROR, ORR_ERROR_INVALID)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    /* A full or a read-only disk is no reason not to run the guest. */
    session->told_disk = true;
    orr_trace_say("warning: %s; %s", why->message,
                  session->flight ? "nothing can be dumped" : "events are lost");
    return true;
}

void orr_trace_ctf_files_close(CtfSession *session)
{
    if (session->flight && session->n_dumps == 0) {
        remove_dir(session);
    }
    close_dir(session);
}

/* ---- Streams to files ---- */

/* Tried again with each batch: descriptors may be given back, and a disk have room again. */
static bool open_stream(CtfSession *session, CtfStream *stream, const char *name)
{
    if (stream->fd < 0 && session->dir_fd >= 0) {
        stream->fd = openat(session->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (stream->fd < 0) {
            report_disk(session, name, errno);
        }
    }
    return stream->fd >= 0;
}

/*
 * Writes packets to consecutive places. Returns how many are in the file whole; *error is why that
 * was not all. What is left of a packet that was cut is taken back.
 */
static unsigned write_packets(int fd, off_t offset, struct iovec *parts, unsigned n, int *error)
{
    size_t done = 0, all = (size_t)n * CTF_PACKET_BYTES;

    *error = 0;
    while (done < all && !*error) {
        unsigned whole = (unsigned)(done / CTF_PACKET_BYTES);
        size_t part = done % CTF_PACKET_BYTES;
        struct iovec first = parts[whole];
        ssize_t got;

        parts[whole].iov_base = (char *)first.iov_base + part;
        parts[whole].iov_len = first.iov_len - part;
        got = pwritev(fd, parts + whole, (int)(n - whole), offset + (off_t)done);
        parts[whole] = first;
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            *error = got == 0 ? EIO : errno;
        }
    }
    if (done % CTF_PACKET_BYTES) {
        struct stat st;
        off_t end = offset + (off_t)(done / CTF_PACKET_BYTES * CTF_PACKET_BYTES);

        /* Unless the packet was there before: then its place is whole, if not its events. */
        if (fstat(fd, &st) == 0 && st.st_size < end + CTF_PACKET_BYTES && ftruncate(fd, end) != 0) {
            *error = errno;
        }
    }
    return (unsigned)(done / CTF_PACKET_BYTES);
}

static uint64_t stream_lost(const CtfStream *stream)
{
    return stream->ring_lost + stream->disk_lost;
}

/* A packet is done with unless it is the last and has room, and more may come. */
static void packet_written(CtfStream *stream, CtfPacket *packet, bool keep)
{
    packet->n_written = packet->n_events;
    stream->told = packet->head.events_discarded;
    if (!keep) {
        g_queue_pop_head(&stream->packets);
        orr_trace_ctf_packet_unref(packet);
        stream->offset += CTF_PACKET_BYTES;
        stream->seq++;
    }
}

static void packet_lost(CtfStream *stream)
{
    CtfPacket *packet = g_queue_pop_head(&stream->packets);

    stream->disk_lost += packet->n_events - packet->n_written;
    if (packet->n_written) {
        /* What was written of it before stays. */
        stream->offset += CTF_PACKET_BYTES;
        stream->seq++;
    }
    orr_trace_ctf_packet_unref(packet);
}

/* Writes up to BATCH packets; those that cannot be written are gone. */
static void write_batch(CtfSession *session, CtfStream *stream, unsigned n, bool last)
{
    struct iovec parts[BATCH];
    GList *at = stream->packets.head;
    unsigned done = 0;
    int error = EIO;
    g_autofree char *name = g_strdup_printf("thread_%" G_GUINT64_FORMAT, stream->instance);

    for (unsigned i = 0; i < n; i++, at = at->next) {
        CtfPacket *packet = at->data;

        if (!at->next) {
            packet->head.events_discarded = stream_lost(stream);
        }
        packet->head.packet_seq_num = stream->seq + i;
        if (packet->head.packet_seq_num == 0) {
            packet->head.events_discarded = 0;
        }
        orr_trace_ctf_packet_seal(session, stream, packet);
        parts[i] = (struct iovec){ packet->bytes, CTF_PACKET_BYTES };
    }
    if (open_stream(session, stream, name)) {
        done = write_packets(stream->fd, stream->offset, parts, n, &error);
    }
    for (unsigned i = 0; i < done; i++) {
        packet_written(stream, g_queue_peek_head(&stream->packets),
                       stream->packets.length == 1 && !last);
    }
    for (unsigned i = done; i < n; i++) {
        packet_lost(stream);
    }
    if (done < n && stream->fd >= 0) {
        report_disk(session, name, error);
    }
}

/* How many packets of the queue there is a reason to write, the open one included. */
static unsigned count_new(CtfStream *stream)
{
    const CtfPacket *open = g_queue_peek_tail(&stream->packets);

    if (open && open->n_written == open->n_events &&
        (open->n_events == 0 || stream->seq == 0 || stream->told == stream_lost(stream))) {
        return stream->packets.length - 1;
    }
    return stream->packets.length;
}

static void write_queue(CtfSession *session, CtfStream *stream, unsigned n, bool last)
{
    while (n > 0) {
        unsigned batch = MIN(n, BATCH);

        write_batch(session, stream, batch, last);
        n -= batch;
    }
}

void orr_trace_ctf_files_write(CtfSession *session, CtfStream *stream, bool all, bool last)
{
    if (session->flight) {
        return;
    }
    write_queue(session, stream, all ? count_new(stream) : MAX(stream->packets.length, 1) - 1,
                last);
    if (!last) {
        return;
    }
    /* The last losses: in a second packet without events, where the first packet has to say 0. */
    for (unsigned i = 0; i < 2 && stream->fd >= 0 && stream->told < stream_lost(stream); i++) {
        if (orr_trace_ctf_stream_empty_packet(stream)) {
            write_queue(session, stream, stream->packets.length, true);
        }
    }
    if (stream->fd >= 0) {
        struct stat st;
        g_autofree char *name = g_strdup_printf("thread_%" G_GUINT64_FORMAT, stream->instance);

        if (fstat(stream->fd, &st) == 0 && st.st_size == 0) {
            unlinkat(session->dir_fd, name, 0);
        }
        if (close(stream->fd) != 0) {
            report_disk(session, name, errno);
        }
        stream->fd = -1;
    }
}

/* ---- Flight recordings ---- */

static void let_go(CtfSession *session, CtfStream *stream)
{
    CtfPacket *packet = g_queue_pop_head(&stream->packets);

    stream->lost_before = packet->head.events_discarded;
    stream->expired += packet->n_events;
    session->packet_bytes_kept -= sizeof(*packet);
    orr_trace_ctf_packet_unref(packet);
}

/* The stream with the oldest packet that may be let go; NULL when there is none. */
static CtfStream *oldest_stream(CtfSession *session)
{
    CtfStream *oldest = NULL;
    uint64_t oldest_ns = UINT64_MAX;

    for (guint i = 0; i < session->streams->len; i++) {
        CtfStream *stream = session->streams->pdata[i];
        const CtfPacket *packet = g_queue_peek_head(&stream->packets);

        if (packet && packet->end_ns < oldest_ns && (stream->packets.length > 1 || stream->ended)) {
            oldest = stream;
            oldest_ns = packet->end_ns;
        }
    }
    return oldest;
}

void orr_trace_ctf_files_expire(CtfSession *session, uint64_t now_ns)
{
    uint64_t from_ns =
        now_ns > session->options.flight_ns ? now_ns - session->options.flight_ns : 0;
    CtfStream *oldest;

    session->packet_bytes_kept = 0;
    for (guint i = 0; i < session->streams->len; i++) {
        CtfStream *stream = session->streams->pdata[i];
        const CtfPacket *packet;

        session->packet_bytes_kept += stream->packets.length * sizeof(CtfPacket);
        while ((packet = g_queue_peek_head(&stream->packets)) && packet->end_ns < from_ns &&
               (stream->packets.length > 1 || stream->ended)) {
            let_go(session, stream);
        }
        if (stream->ended && !stream->packets.length) {
            session->ring_lost_gone += stream->ring_lost;
            g_ptr_array_remove_index_fast(session->streams, i--);
        }
    }
    while (session->packet_bytes_kept > session->options.flight_bytes &&
           (oldest = oldest_stream(session))) {
        let_go(session, oldest);
    }
}

/* The packets of one stream as a dump has them. They are let go while it is written, but not freed. */
typedef struct Snapshot {
    GPtrArray *packets; /* of CtfPacket */
    uint64_t instance;
    uint64_t lost_before, lost; /* events_discarded where the dump begins, and in the end */
} Snapshot;

static void snapshot_free(void *opaque)
{
    Snapshot *snapshot = opaque;

    for (guint i = 0; i < snapshot->packets->len; i++) {
        orr_trace_ctf_packet_unref(snapshot->packets->pdata[i]);
    }
    g_ptr_array_unref(snapshot->packets);
    g_free(snapshot);
}

static GPtrArray *take_snapshots(CtfSession *session)
{
    GPtrArray *snapshots = g_ptr_array_new_with_free_func(snapshot_free);

    for (guint i = 0; i < session->streams->len; i++) {
        CtfStream *stream = session->streams->pdata[i];
        Snapshot *snapshot;

        if (!stream->packets.length) {
            continue;
        }
        snapshot = g_new0(Snapshot, 1);
        snapshot->packets = g_ptr_array_new();
        snapshot->instance = stream->instance;
        snapshot->lost_before = stream->lost_before;
        snapshot->lost = stream_lost(stream);
        for (GList *at = stream->packets.head; at; at = at->next) {
            CtfPacket *packet = at->data;

            orr_trace_ctf_packet_seal(session, stream, packet);
            if (at->next) {
                packet->refs++;
            } else { /* goes on to be filled */
                packet->head.events_discarded = snapshot->lost;
                packet = memcpy(g_malloc(sizeof(*packet)), packet, sizeof(*packet));
                packet->refs = 1;
            }
            g_ptr_array_add(snapshot->packets, packet);
        }
        g_ptr_array_add(snapshots, snapshot);
    }
    return snapshots;
}

/* Copies of packets with the counts that the dump has, since the first is not the first ever. */
static bool write_copies(int fd, const Snapshot *snapshot, guint from, unsigned n, int *error)
{
    g_autofree char *copies = g_malloc((size_t)n * CTF_PACKET_BYTES);
    struct iovec parts[BATCH];

    for (unsigned i = 0; i < n; i++) {
        const CtfPacket *packet = snapshot->packets->pdata[from + i];
        CtfPacketHead *head = (CtfPacketHead *)(copies + (size_t)i * CTF_PACKET_BYTES);

        memcpy(head, packet->bytes, CTF_PACKET_BYTES);
        head->packet_seq_num = from + i;
        head->events_discarded = from + i ? head->events_discarded - snapshot->lost_before : 0;
        parts[i] = (struct iovec){ head, CTF_PACKET_BYTES };
    }
    return write_packets(fd, (off_t)from * CTF_PACKET_BYTES, parts, n, error) == n;
}

static bool write_snapshot(CtfSession *session, int dir_fd, Snapshot *snapshot,
                           void (*between)(CtfSession *session), int *error)
{
    g_autofree char *name = g_strdup_printf("thread_%" G_GUINT64_FORMAT, snapshot->instance);
    GPtrArray *packets = snapshot->packets;
    int fd;
    bool ok = true;

    if (packets->len == 1 && snapshot->lost > snapshot->lost_before) {
        /* The first says 0, so a second has to tell. */
        const CtfPacket *first = packets->pdata[0];
        CtfPacket *packet = memcpy(g_malloc(sizeof(*packet)), first, sizeof(*packet));

        packet->used = sizeof(packet->head);
        packet->head.content_size = packet->used * UINT64_C(8);
        packet->head.timestamp_begin = first->end_ns;
        g_ptr_array_add(packets, packet);
    }
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        *error = errno;
        return false;
    }
    for (guint i = 0; i < packets->len && ok; i += BATCH) {
        ok = write_copies(fd, snapshot, i, MIN(BATCH, packets->len - i), error);
        between(session);
    }
    if (close(fd) != 0 && ok) {
        *error = errno;
        ok = false;
    }
    return ok;
}

static void remove_dump(CtfSession *session, int fd, const char *name)
{
    DIR *dir = fdopendir(dup(fd));
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        unlinkat(fd, entry->d_name, 0); /* "." and ".." are refused */
    }
    if (dir) {
        closedir(dir);
    }
    unlinkat(session->dir_fd, name, AT_REMOVEDIR);
}

static uint64_t snapshots_ns(const GPtrArray *snapshots)
{
    uint64_t begin = UINT64_MAX, end = 0;

    for (guint i = 0; i < snapshots->len; i++) {
        const Snapshot *snapshot = snapshots->pdata[i];
        const CtfPacket *first = snapshot->packets->pdata[0];
        const CtfPacket *last = snapshot->packets->pdata[snapshot->packets->len - 1];

        begin = MIN(begin, first->head.timestamp_begin);
        end = MAX(end, last->end_ns);
    }
    return end > begin ? end - begin : 0;
}

void orr_trace_ctf_files_dump(CtfSession *session, const char *why,
                              void (*between)(CtfSession *session))
{
    g_autoptr(GPtrArray) snapshots = take_snapshots(session);
    double seconds = (double)snapshots_ns(snapshots) / 1e9;
    unsigned number = orr_fetch_add(&session->next_dump, 1);
    g_autofree char *name = g_strdup_printf("dump-%u", number);
    g_autofree char *part = g_strdup_printf(".dump-%u", number);
    bool full = session->packet_bytes_kept + sizeof(CtfPacket) > session->options.flight_bytes;
    int error = 0, fd = -1;
    bool ok;

    if (session->dir_fd < 0 && !open_dir(session, NULL)) {
        close_dir(session);
    }
    ok = mkdirat(session->dir_fd, part, 0777) == 0;
    if (ok) {
        fd = openat(session->dir_fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ok = fd >= 0 && write_file(fd, "metadata", session->metadata);
    }
    error = session->dir_fd < 0 ? ENOENT : errno;
    for (guint i = 0; i < snapshots->len && ok; i++) {
        ok = write_snapshot(session, fd, snapshots->pdata[i], between, &error);
    }
    /* Whole, or not to be seen at all. */
    if (ok && renameat(session->dir_fd, part, session->dir_fd, name) != 0) {
        error = errno;
        ok = false;
    }
    if (ok) {
        session->n_dumps++;
        orr_trace_say("%s: the last %.3f s are in %s/%s%s", why, seconds, session->path, name,
                      full ? " (size= has no room for more)" : "");
    } else {
        orr_trace_say("warning: %s: cannot write %s/%s: %s", why, session->path, name,
                      g_strerror(error));
        if (fd >= 0) {
            remove_dump(session, fd, part);
        } else if (session->dir_fd >= 0) {
            unlinkat(session->dir_fd, part, AT_REMOVEDIR);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

uint64_t orr_trace_ctf_session_lost(const CtfSession *session)
{
    uint64_t lost = session->ring_lost_gone + session->disk_lost_gone;

    for (guint i = 0; i < session->streams->len; i++) {
        lost += stream_lost(session->streams->pdata[i]);
    }
    return lost;
}
