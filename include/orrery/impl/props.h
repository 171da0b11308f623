/* SPDX-License-Identifier: MIT */
/*
 * Named properties of devices, machines and accelerators: one table a class, offsets into its
 * struct, set from text. `-device x,a=b`, `-global x.a=b`, `-machine a=b` and `-accel x,a=b` all
 * end here, and `help` is printed from the same table.
 */
#ifndef ORRERY_IMPL_PROPS_H
#define ORRERY_IMPL_PROPS_H

#include <stdio.h>

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef enum PropType {
    PROP_BOOL,   /* bool: on/off/yes/no/true/false */
    PROP_U32,    /* uint32_t, checked against min and max when max is not 0 */
    PROP_U64,    /* uint64_t, likewise */
    PROP_SIZE,   /* uint64_t bytes with K, M, G, T suffixes */
    PROP_STRING, /* char *, owned by the object, freed by props_finish */
    PROP_ENUM,   /* uint32_t index into values */
} PropType;

typedef struct PropDef {
    const char *name;
    PropType type;
    size_t offset;             /* of the field in the object */
    const char *fallback;      /* default, as text; NULL leaves zero */
    uint64_t min, max;         /* inclusive, numeric types */
    const char *const *values; /* PROP_ENUM: NULL-terminated names */
    const char *help;          /* one sentence */
} PropDef;

/* Tables end with an entry whose name is NULL. A NULL table is an empty one. */
void props_init(void *object, const PropDef *defs);
void props_finish(void *object, const PropDef *defs);

const PropDef *props_find(const PropDef *defs, const char *name);

/* owner is the class's name, for the message. An unknown name lists the nearest known one. */
bool props_set(void *object, const PropDef *defs, const char *owner, const char *name,
               const char *value, GError **error);
void props_help(const PropDef *defs, FILE *out);

/* "4096", "128M", "1.5G" to bytes. false with a GError naming what was wrong. */
bool orr_parse_size(const char *text, uint64_t default_unit, uint64_t *bytes, GError **error);

/* The candidate nearest to `name` by edit distance, or NULL when none is near. */
const char *orr_nearest(const char *name, const char *const *candidates);

/*
 * Splits "a,b=c,,d,e" at single commas (a doubled comma is a literal one) into key/value pairs.
 * implied is the key of a first item without '='; later items without '=' get the value "on".
 */
typedef struct OptPair {
    char *key;
    char *value;
} OptPair;

/* Returns a GArray of OptPair that frees its strings; never NULL. */
GArray *orr_split_options(const char *text, const char *implied);

ORR_END_DECLS

#endif
