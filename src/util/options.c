/* SPDX-License-Identifier: MIT */
/*
 * Text of options: sizes, comma-separated pairs, and the nearest known name to a misspelt one. The
 * idea to hold: all of it is exact; a size that does not fit or a stray character is an error, never
 * a rounded value.
 */
#include <string.h>

#include "orrery/impl/error.h"
#include "orrery/impl/props.h"

static bool suffix_shift(char suffix, unsigned *shift)
{
    static const char suffixes[] = "bkmgtpe";
    const char *found = suffix ? strchr(suffixes, g_ascii_tolower(suffix)) : NULL;

    if (!found) {
        return false;
    }
    *shift = (unsigned)(found - suffixes) * 10;
    return true;
}

bool orr_parse_size(const char *text, uint64_t default_unit, uint64_t *bytes, GError **error)
{
    const char *p = text;
    unsigned __int128 total = 0, fraction = 0, scale = 1;
    uint64_t unit = default_unit;
    unsigned shift;

    if (!g_ascii_isdigit(*p)) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "size '%s' is not a number; write it as 4096, 64K or 1.5G", text);
    }
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && g_ascii_isxdigit(p[2])) {
        for (p += 2; g_ascii_isxdigit(*p) && total <= UINT64_MAX; p++) {
            total = total * 16 + (unsigned)g_ascii_xdigit_value(*p);
        }
    } else {
        for (; g_ascii_isdigit(*p) && total <= UINT64_MAX; p++) {
            total = total * 10 + (unsigned)(*p - '0');
        }
        if (*p == '.' && g_ascii_isdigit(p[1])) {
            for (p++; g_ascii_isdigit(*p); p++) {
                if (scale < 1000000000000) {
                    fraction = fraction * 10 + (unsigned)(*p - '0');
                    scale *= 10;
                }
            }
        }
    }
    if (suffix_shift(*p, &shift)) {
        unit = (uint64_t)1 << shift;
        p++;
    }
    if (*p && total <= UINT64_MAX) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "size '%s' ends in '%s', which is none of K, M, G, T, P, E", text, p);
    }
    if (total <= UINT64_MAX) {
        total = total * unit + fraction * unit / scale;
    }
    if (total > UINT64_MAX) {
        return orr_fail(error, ORR_ERROR_INVALID, "size '%s' does not fit into 64 bits", text);
    }
    *bytes = (uint64_t)total;
    return true;
}

/* Levenshtein's distance over two rows, without regard to case. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t columns = strlen(b) + 1;
    unsigned *row = g_new(unsigned, columns);
    unsigned result;

    for (size_t j = 0; j < columns; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j < columns; j++) {
            unsigned above = row[j];
            bool same = g_ascii_tolower(a[i]) == g_ascii_tolower(b[j - 1]);

            row[j] = MIN(MIN(above, row[j - 1]) + 1, diagonal + (same ? 0 : 1));
            diagonal = above;
        }
    }
    result = row[columns - 1];
    g_free(row);
    return result;
}

const char *orr_nearest(const char *name, const char *const *candidates)
{
    size_t length = strlen(name);
    unsigned limit = length <= 3 ? 1 : MAX(2, (unsigned)MIN(length, 64) / 3);
    const char *best = NULL;
    unsigned best_distance = limit + 1;

    if (length > 256) {
        return NULL;
    }
    for (; *candidates; candidates++) {
        unsigned distance = edit_distance(name, *candidates);

        if (length >= 3 && g_str_has_prefix(*candidates, name)) {
            distance = MIN(distance, limit); /* the beginning of a longer name */
        }
        if (distance < best_distance) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best;
}

static void pair_clear(gpointer data)
{
    OptPair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
}

static void add_pair(GArray *pairs, const char *item, const char *implied)
{
    const char *equals = strchr(item, '=');
    OptPair pair;

    if (equals) {
        pair.key = g_strndup(item, (gsize)(equals - item));
        pair.value = g_strdup(equals + 1);
    } else if (pairs->len == 0 && implied) {
        pair.key = g_strdup(implied);
        pair.value = g_strdup(item);
    } else {
        pair.key = g_strdup(item);
        pair.value = g_strdup("on");
    }
    g_array_append_val(pairs, pair);
}

GArray *orr_split_options(const char *text, const char *implied)
{
    GArray *pairs = g_array_new(FALSE, FALSE, sizeof(OptPair));
    GString *item = g_string_new(NULL);

    g_array_set_clear_func(pairs, pair_clear);
    for (const char *p = text; *p; p++) {
        if (*p == ',' && p[1] != ',') {
            add_pair(pairs, item->str, implied);
            g_string_truncate(item, 0);
            continue;
        }
        if (*p == ',') {
            p++;
        }
        g_string_append_c(item, *p);
    }
    if (*text) {
        add_pair(pairs, item->str, implied);
    }
    g_string_free(item, TRUE);
    return pairs;
}
