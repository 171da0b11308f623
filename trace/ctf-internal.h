/* SPDX-License-Identifier: MIT */
/*
 * Between the parts of the embedded recorder. An event's way: the emitting thread puts a record
 * into its own ring (ctf-ring.c); the writer thread (ctf-writer.c) takes records out, converts them
 * to CTF packets (ctf-stream.c), and puts those into files, or into memory until a flight recording
 * is dumped (ctf-files.c). The metadata that describes them is ctf-metadata.c's.
 *
 * The idea to hold: the emitting thread owns a ring's head and the writer its tail, and nothing
 * else is shared. All that happens behind the tail is the writer thread's alone.
 */
#ifndef ORRERY_TRACE_CTF_INTERNAL_H
#define ORRERY_TRACE_CTF_INTERNAL_H

#include "orrery/impl/host-clock.h"
#include "trace/internal.h"

#include <signal.h>
#include <sys/types.h>

/* ---- Rings ---- */

/* A string is cut to this, its NUL included, so that any event fits into a packet. */
#define CTF_STRING_BYTES 256
#define CTF_NAME_BYTES 16 /* what the kernel keeps of a thread's name */
#define CTF_RING_CHUNKS 8
#define CTF_RING_BYTES_MIN (64 * 1024)

/* Not events: their numbers are no subsystem's. */
#define CTF_RECORD_SKIP 0xffff /* the rest of the chunk is empty */
#define CTF_RECORD_NAME 0xfffe /* the thread's name from here on, CTF_NAME_BYTES of it */
#define CTF_RECORD_LOST 0xfffd /* events are missing here; CtfRing.discarded, as it is now */

/*
 * In a ring: this, the contexts that are asked for (8 bytes each, but for the CPU), the numbers as
 * they stand in the argument record, the strings with their NULs; then up to a multiple of 8 bytes.
 */
typedef struct CtfRecord {
    uint16_t event;    /* TraceEvent.id, or CTF_RECORD_* */
    uint16_t words;    /* length, in units of 8 bytes */
    uint16_t contexts; /* TRACE_CONTEXT_* bits that follow, or that are in host_cpu */
    uint16_t host_cpu;
    uint64_t ticks; /* orr_trace_ctf_ticks() */
} CtfRecord;

typedef struct CtfStream CtfStream;
typedef struct CtfRing CtfRing;

struct CtfRing {
    /* The emitting thread's. Positions count bytes from the beginning and never fall. */
    uint64_t head;      /* atomic, release: records are whole below it */
    uint64_t limit;     /* records may be put up to here: the end of a chunk */
    uint64_t discarded; /* atomic: events for which there was no room */
    uint64_t marked;    /* the discarded of the last CTF_RECORD_LOST */
    char *bytes;
    uint64_t size;              /* a power of two */
    volatile sig_atomic_t busy; /* a signal handler that traces in between must not get in */

    /* The writer's, or that of whoever opens or closes while there is no writer. */
    uint64_t tail ORR_ALIGNED(ORR_CACHE_LINE); /* atomic, release: room begins anew below it */
    CtfRing *next;
    CtfStream *stream;    /* NULL before the session's first look at it */
    uint64_t lost_before; /* what had been discarded when the session began */
    uint64_t drain_to;    /* the head seen in this pass */
    uint64_t drain_lost;  /* the discarded and the nested seen in this pass */
    uint64_t drain_nested;
    uint64_t told; /* the discarded that records told of, or that are of no session */

    uint64_t nested; /* atomic: events of signal handlers that came amid an emission */
    bool ended;      /* atomic, release: the thread puts nothing more into it */
    pid_t tid;
};

/* What is the process's and not a session's, since threads and signal handlers come to it. */
typedef struct CtfShared {
    CtfRing *rings;    /* atomic: pushed by new threads, unlinked by the writer alone */
    uint32_t wake;     /* futex: not 0 when the writer has something to do at once */
    uint32_t causes;   /* atomic: CTF_CAUSE_* bits, why the flight recording is to be dumped */
    uint16_t trigger;  /* atomic: id of the event that was one */
    bool open;         /* atomic */
    uint16_t contexts; /* atomic: TRACE_CONTEXT_* bits to record */
    bool coarse_ticks; /* host ticks are no steady clock here: ns instead */
    uint64_t ring_bytes;
    uint64_t no_ring; /* atomic: events of threads for which there was no memory */
    const TraceContextSource *sources[TRACE_CONTEXT_N_SOURCES]; /* atomic */
} CtfShared;

extern CtfShared orr_trace_ctf;

#define CTF_CAUSE_ASKED 1u   /* by a monitor */
#define CTF_CAUSE_SIGNAL 2u  /* SIGUSR2 */
#define CTF_CAUSE_TRIGGER 4u /* an event of trigger= */
#define CTF_CAUSE_PANIC 8u   /* the guest, or the machine, has given up */

/* Wakes the writer. Any thread, signal handlers too. */
void orr_trace_ctf_wake(void);

/* Once a process, before the first session: keys, handlers, what the host's clock is worth. */
void orr_trace_ctf_rings_init(void);

/* Takes a ring off the list and gives it back. The thread has ended. Writer's side. */
void orr_trace_ctf_ring_free(CtfRing *ring);

static inline uint64_t orr_trace_ctf_ticks(void)
{
    return G_UNLIKELY(orr_trace_ctf.coarse_ticks) ? (uint64_t)host_monotonic_ns() : host_ticks();
}

/* ---- Ticks to nanoseconds ---- */

#define CTF_MARKS 32

/*
 * Straight lines between readings of both clocks, one a pass of the writer. A tick has one time,
 * whichever thread asks, and a later tick never an earlier one.
 */
typedef struct CtfClock {
    HostTickMark marks[CTF_MARKS]; /* a ring */
    uint64_t rates[CTF_MARKS];     /* ns a tick up to this mark from the one before, times 2^32 */
    uint64_t begin_ns;             /* nothing is earlier */
    unsigned newest, count;
} CtfClock;

void orr_trace_ctf_clock_init(CtfClock *clock, HostTickMark mark);
/* A mark whose ticks or time have not moved on is left out; ticks that fell back start anew. */
void orr_trace_ctf_clock_mark(CtfClock *clock, HostTickMark mark);
/* Later than the last mark is its time; earlier than all marks, the first line is drawn out. */
uint64_t orr_trace_ctf_clock_ns(const CtfClock *clock, uint64_t ticks);
HostTickMark orr_trace_ctf_mark(void);

/* ---- Packets ---- */

/*
 * One packet is one page of the file. The page that is not full yet is written again in place when
 * more events are in it, and a write ends at a page's end wherever the process is killed: a file
 * holds whole packets at any time, and no packet waits for events to come.
 */
#define CTF_PACKET_BYTES 4096
#define CTF_MAGIC 0xc1fc1fc1

typedef struct __attribute__((packed)) CtfPacketHead {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t stream_id;
    uint64_t stream_instance_id;
    /* The packet's context. */
    uint64_t timestamp_begin, timestamp_end;
    uint64_t content_size, packet_size; /* bits */
    uint64_t packet_seq_num;
    uint64_t events_discarded;
    uint32_t vtid;
    char procname[CTF_NAME_BYTES];
} CtfPacketHead;

typedef struct CtfPacket {
    unsigned refs; /* flight recording: the stream, and a dump under way */
    uint32_t used; /* bytes, the head included */
    uint32_t n_events;
    uint32_t n_written; /* of them already in the file */
    uint64_t end_ns;
    union {
        CtfPacketHead head;
        char bytes[CTF_PACKET_BYTES];
    };
} CtfPacket;

typedef struct CtfSession CtfSession;

/* The events of one thread in one session. */
struct CtfStream {
    uint64_t instance;
    pid_t tid;
    char name[CTF_NAME_BYTES];
    bool ended;         /* its thread has */
    bool active;        /* has had records since the last flush */
    uint64_t last_ns;   /* of the last event */
    uint64_t ring_lost; /* events that its ring had no room for, before the open packet */
    uint64_t ring_lost_all;
    uint64_t split_lost;  /* ring_lost of the packet that comes next */
    bool split;           /* events are missing behind the open packet: it takes no more */
    uint64_t disk_lost;   /* events of packets that could not be made or written */
    GQueue packets;       /* of CtfPacket, oldest first; the last may have room */
    uint64_t expired;     /* flight recording: events that have grown too old */
    uint64_t lost_before; /* flight recording: events_discarded of the last packet let go */
    /* The file. */
    int fd;        /* -1 before the first packet, and while it cannot be created */
    off_t offset;  /* where the first packet of the queue belongs */
    uint64_t seq;  /* and its packet_seq_num */
    uint64_t told; /* events_discarded of the last packet written */
};

CtfStream *orr_trace_ctf_stream_create(CtfSession *session, const CtfRing *ring);
void orr_trace_ctf_stream_destroy(CtfStream *stream);

/* Converts what lies between a ring's tail and drain_to. */
void orr_trace_ctf_stream_drain(CtfSession *session, CtfStream *stream, CtfRing *ring);

/* From here on the thread has this name, CTF_NAME_BYTES of it. */
void orr_trace_ctf_stream_rename(CtfStream *stream, const char *name);

/* The packet that takes the next event of up to `bytes`, or NULL. */
CtfPacket *orr_trace_ctf_stream_packet(CtfStream *stream, uint64_t ns, uint32_t bytes);

/* Appends a packet without an event, as the bearer of events_discarded. NULL: it did not. */
CtfPacket *orr_trace_ctf_stream_empty_packet(CtfStream *stream);

/* Fills in all of the head but what the stream's file knows. */
void orr_trace_ctf_packet_seal(const CtfSession *session, const CtfStream *stream,
                               CtfPacket *packet);
void orr_trace_ctf_packet_unref(CtfPacket *packet);

/* ---- Sessions: from open to close ---- */

struct CtfSession {
    TraceCtfOptions options; /* its strings are the session's own */
    CtfClock clock;
    uint8_t uuid[16];
    uint16_t contexts;
    bool flight;
    const TraceSubsystem *subsystems[TRACE_MAX_SUBSYSTEMS]; /* by the high byte of an id */
    GPtrArray *streams;                                     /* of CtfStream */
    uint64_t n_streams;                                     /* ever */
    char *metadata;                                         /* its text */
    char *path;                                             /* of the directory */
    int dir_fd;                                             /* -1: there is none to write to */
    bool own_dir;                                           /* was made for this session */
    uint64_t flushed_ns;
    /* Flight recording. */
    uint64_t packet_bytes_kept;
    uint64_t dumped_trigger_ns; /* when a trigger last led to a dump */
    uint32_t pending;           /* causes that wait */
    unsigned n_dumps, n_trigger_dumps;
    unsigned next_dump; /* atomic: the number the next will have */
    /* Losses that were reported. */
    bool told_disk, told_rings;
    uint64_t disk_lost_gone, ring_lost_gone; /* of streams that are no more */
};

/* What the writer has put into files, or let go in memory, and what was lost. Writer's side. */
uint64_t orr_trace_ctf_session_lost(const CtfSession *session);

/* TSDL for all events of this build. Caller frees. */
char *orr_trace_ctf_metadata(const CtfSession *session, int64_t realtime_offset_ns);

/*
 * Makes the directory, with the metadata in it unless it is a flight recording. Where the host
 * refuses, that is said, dir_fd is -1, and all events will be lost. False: the directory is not fit.
 */
bool orr_trace_ctf_files_open(CtfSession *session, GError **error);
/* Writes a stream's packets: those that are full, or all. `last`: nothing follows. */
void orr_trace_ctf_files_write(CtfSession *session, CtfStream *stream, bool all, bool last);
/* Lets go of packets that are too old, or too many. */
void orr_trace_ctf_files_expire(CtfSession *session, uint64_t now_ns);
/* Writes what a flight recording holds to a directory of its own. Calls `between` now and then. */
void orr_trace_ctf_files_dump(CtfSession *session, const char *why,
                              void (*between)(CtfSession *session));
void orr_trace_ctf_files_close(CtfSession *session);

#endif
