/* SPDX-License-Identifier: MIT */
/*
 * What a page shows, as tracks. The idea to hold: whatever the table, a track is items between two
 * times with a name and a few numbers, so that the viewer draws, searches and explains all of them
 * with the same code; only a vCPU's states, the arrows and the losses are special.
 */
#ifndef ORRERY_TRACE_ANALYSIS_TIMELINE_BUILD_H
#define ORRERY_TRACE_ANALYSIS_TIMELINE_BUILD_H

#include "trace/analysis/model.h"
#include "trace/analysis/timeline-pack.h"

#define TIMELINE_EXTRAS 5

/* What an extra number means; the viewer shows it accordingly. TIMELINE_NO_UNIT ends a list. */
typedef enum TimelineUnit {
    TIMELINE_NO_UNIT,
    TIMELINE_NS,    /* a duration */
    TIMELINE_COUNT, /* any number */
    TIMELINE_TEXT,  /* a text's number */
    TIMELINE_LANE,
    TIMELINE_HEX, /* 64 bits, written as two columns, high half first */
    TIMELINE_FLAG,
} TimelineUnit;

typedef struct TimelineExtra {
    const char *key;
    TimelineUnit unit;
} TimelineExtra;

typedef struct TimelineItem {
    int64_t begin_ns;
    int64_t end_ns;                 /* begin_ns for a moment */
    uint32_t name;                  /* a text's number */
    int64_t extra[TIMELINE_EXTRAS]; /* TRACE_NO_TIME: absent */
} TimelineItem;

/* One kind of track. Items that overlap go to further rows of it. */
typedef struct TimelineKind {
    const char *label;
    const char *about; /* one line for people */
    bool marks;        /* moments, not spans */
    TimelineExtra extra[TIMELINE_EXTRAS];
} TimelineKind;

typedef struct TimelineBuild {
    const TraceModel *model;
    TimelinePack pack;
    GHashTable *text_ids; /* text to number */
    GPtrArray *texts;     /* number to text */
    uint32_t *atom_ids;   /* by atom: number + 1, 0 not used yet */
    GArray **items;       /* by lane, one more for TRACE_NO_LANE; of TimelineItem */
    GByteArray *column;
    unsigned n_tracks;
    bool stray; /* something belongs to no lane */
} TimelineBuild;

/* `build->pack.json` holds the tracks' JSON texts, between commas, after this. One thread. */
void timeline_build_tracks(TimelineBuild *build);

/* The number by which the page knows a text. */
uint32_t timeline_text(TimelineBuild *build, const char *text);
uint32_t timeline_atom(TimelineBuild *build, TraceAtom atom);

#endif
