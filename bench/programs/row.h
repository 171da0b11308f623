/* SPDX-License-Identifier: MIT */
/*
 * A row of the comparison under Linux: a piece of work that times itself and ends in a checksum, the
 * same for every machine that computes rightly. The one idea to hold: a row prepares, then calls
 * row_begin(), does `count` units of work, calls row_end(), and returns a checksum of what it did.
 * Integers only come out of it bit by bit; floating-point rows add, multiply and divide in the
 * source's order (-ffp-contract=off), so theirs do too.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include <stddef.h>
#include <stdint.h>

typedef struct Row Row;

struct Row {
    const char *name;
    const char *unit;                /* "ns" and "us": time a unit; otherwise units a second */
    uint64_t count;                  /* units of work: how often `run` repeats */
    double scale;                    /* for rates: what one unit counts as, in `unit` seconds */
    uint64_t (*run)(uint64_t count); /* returns the checksum */
};

/* Each file's rows end with one that has no name. */
extern const Row integer_rows[], text_rows[], float_rows[], memory_rows[], system_rows[];

/* The timed part. A row may have several, whose times add up. */
void row_begin(void);
void row_end(void);

/* Ends the program: a row that cannot run here. */
_Noreturn void row_fail(const char *why);

/* The program's own path, for rows that start it again. */
extern const char *row_self;

static inline uint64_t mix64(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

static inline uint64_t random64(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

#endif
