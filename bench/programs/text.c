/* SPDX-License-Identifier: MIT */
/*
 * Rows on text: compressing it by references to what came before, unpacking it again, and looking
 * for patterns by backtracking. The text is made here, of words that come back at random.
 */
#include "row.h"

#include <stdbool.h>
#include <string.h>

#define TEXT_BYTES 131072

static char text[TEXT_BYTES + 1];

static void make_text(uint64_t seed)
{
    static const char *const words[] = {
        "the",   "machine", "a",      "vector",  "of",      "interrupt", "table",      "and",
        "loads", "stores",  "every",  "address", "while",   "another",   "page",       "is",
        "clean", "dirty",   "mapped", "foo12",   "ab-cdef", "x",         "translated", "block",
    };
    unsigned at = 0;

    while (at < TEXT_BYTES) {
        uint64_t r = random64(&seed);
        const char *word = words[(r >> 20) % (sizeof(words) / sizeof(*words))];

        while (*word && at < TEXT_BYTES) {
            text[at++] = *word++;
        }
        if (at < TEXT_BYTES) {
            text[at++] = r % 13 == 0 ? '\n' : r % 31 == 0 ? (char)('0' + r % 10) : ' ';
        }
    }
}

/* ---- Compression: literals, and references back (distance, length) found by a hash of 4 bytes. */

#define HASH_BITS 13
#define SHORTEST 4
#define LONGEST (SHORTEST + 126)

static uint8_t packed[TEXT_BYTES + TEXT_BYTES / 64 + 64], unpacked[TEXT_BYTES];

static uint32_t word_at(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/*
 * A token is a byte: below 128, that many literals plus one follow; otherwise a match of the rest
 * plus SHORTEST, and its distance in two bytes.
 */
static __attribute__((noinline)) size_t compress(const uint8_t *from, size_t bytes, uint8_t *to)
{
    static uint32_t newest[1 << HASH_BITS], older[1 << HASH_BITS];
    size_t at = 0, literals = 0, out = 0;

    memset(newest, 0, sizeof(newest));
    memset(older, 0, sizeof(older));
    while (at < bytes) {
        size_t length = 0, distance = 0;

        if (at + SHORTEST <= bytes) {
            uint32_t hash = word_at(from + at) * 2654435761u >> (32 - HASH_BITS);
            uint32_t tries[2] = { newest[hash], older[hash] };

            for (unsigned i = 0; i < 2; i++) {
                size_t seen = tries[i], n = 0;

                if (!seen || at + 1 - seen > 65535) {
                    continue;
                }
                seen--; /* 0 stands for none */
                while (n < LONGEST && at + n < bytes && from[seen + n] == from[at + n]) {
                    n++;
                }
                if (n >= SHORTEST && n > length) {
                    length = n;
                    distance = at - seen;
                }
            }
            older[hash] = newest[hash];
            newest[hash] = (uint32_t)at + 1;
        }
        if (!length) {
            literals++;
            at++;
        }
        if (literals && (length || literals == 128 || at == bytes)) {
            to[out++] = (uint8_t)(literals - 1);
            memcpy(to + out, from + at - literals, literals);
            out += literals;
            literals = 0;
        }
        if (length) {
            to[out++] = (uint8_t)(128 + length - SHORTEST);
            to[out++] = (uint8_t)distance;
            to[out++] = (uint8_t)(distance >> 8);
            at += length;
        }
    }
    return out;
}

static __attribute__((noinline)) size_t expand(const uint8_t *from, size_t bytes, uint8_t *to)
{
    size_t at = 0, out = 0;

    while (at < bytes) {
        unsigned token = from[at++];

        if (token < 128) {
            for (unsigned i = 0; i <= token; i++) {
                to[out++] = from[at++];
            }
        } else {
            size_t distance = from[at] | (size_t)from[at + 1] << 8;

            at += 2;
            for (unsigned i = 0; i < token - 128 + SHORTEST; i++, out++) {
                to[out] = to[out - distance];
            }
        }
    }
    return out;
}

static uint64_t run_compress(uint64_t count)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        size_t size, back;

        make_text(88172645463325252 + sum);
        row_begin();
        size = compress((const uint8_t *)text, TEXT_BYTES, packed);
        back = expand(packed, size, unpacked);
        row_end();
        if (back != TEXT_BYTES || memcmp(unpacked, text, TEXT_BYTES) != 0) {
            row_fail("what was unpacked differs from what was packed");
        }
        sum = mix64(sum, size);
        for (size_t k = 0; k < size; k += 61) {
            sum = mix64(sum, packed[k]);
        }
    }
    return sum;
}

/* ---- Patterns: characters, '.', classes [a-z], each with '*', '+' or '?'; '^' and '$'. */

static const char *item_end(const char *pattern)
{
    if (*pattern == '[') {
        while (*pattern != ']') {
            pattern++;
        }
    }
    return pattern + 1;
}

static bool item_matches(const char *pattern, char c)
{
    if (c == '\0' || c == '\n') {
        return false;
    }
    if (*pattern == '.') {
        return true;
    }
    if (*pattern != '[') {
        return *pattern == c;
    }
    for (pattern++; *pattern != ']'; pattern++) {
        if (pattern[1] == '-') {
            if (c >= pattern[0] && c <= pattern[2]) {
                return true;
            }
            pattern += 2;
        } else if (*pattern == c) {
            return true;
        }
    }
    return false;
}

/* Where a match that starts here ends; NULL: none does. */
static const char *match_here(const char *pattern, const char *at)
{
    const char *after = item_end(pattern), *from = at;

    if (*pattern == '\0') {
        return at;
    }
    if (*pattern == '$' && pattern[1] == '\0') {
        return *at == '\0' || *at == '\n' ? at : NULL;
    }
    if (*after != '*' && *after != '+' && *after != '?') {
        return item_matches(pattern, *at) ? match_here(after, at + 1) : NULL;
    }
    while (item_matches(pattern, *at) && !(*after == '?' && at > from)) {
        at++;
    }
    for (; at >= from + (*after == '+'); at--) {
        const char *end = match_here(after + 1, at);

        if (end) {
            return end;
        }
    }
    return NULL;
}

static uint64_t search_all(const char *pattern, const char *at)
{
    uint64_t sum = 0;
    bool anchored = *pattern == '^', line_start = true;

    pattern += anchored;
    while (*at) {
        const char *end = anchored && !line_start ? NULL : match_here(pattern, at);

        line_start = *at == '\n';
        if (end && end > at) {
            sum = mix64(sum, (uint64_t)(at - text) << 32 | (uint64_t)(end - at));
            at = end;
            line_start = at[-1] == '\n';
        } else {
            at++;
        }
    }
    return sum;
}

static uint64_t run_regex(uint64_t count)
{
    static const char *const patterns[] = {
        "[a-z]+[0-9]+ [a-z]+", "^the .*page", "[a-e]b?-?c[def]+", "t[a-z]*d ", "in.*t.*table$",
    };
    uint64_t sum = 0;

    make_text(88172645463325252);
    text[TEXT_BYTES] = '\0';
    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < sizeof(patterns) / sizeof(*patterns); k++) {
            sum = mix64(sum, search_all(patterns[k], text + (sum & 63)));
        }
    }
    row_end();
    return sum;
}

const Row text_rows[] = {
    { "compress", "MB/s", 40, TEXT_BYTES * 1e-6, run_compress },
    { "regex", "ms", 5, 0, run_regex },
    { 0 },
};
