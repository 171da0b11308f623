/* SPDX-License-Identifier: MIT */
/*
 * The recorder's own options of -trace: where it writes, how much it holds, what it notes besides.
 * The idea to hold: a value that cannot be meant is refused, and zero stands for the default.
 */
#include "orrery/impl/error.h"
#include "orrery/impl/props.h"
#include "trace/ctf-internal.h"

#include <string.h>

#define RING_BYTES_MAX (UINT64_C(1) << 30)
#define FLIGHT_BYTES_MIN (UINT64_C(1) << 20)
#define FLIGHT_NS_MAX (UINT64_C(24) * 3600 * 1000000000)

static bool parse_ring(uint64_t *bytes, const char *value, GError **error)
{
    uint64_t wanted;

    if (!orr_parse_size(value, 1, &wanted, error)) {
        return false;
    }
    if (wanted < CTF_RING_BYTES_MIN || wanted > RING_BYTES_MAX) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "trace option 'ring=%s' is not between 64K and 1G", value);
    }
    for (*bytes = CTF_RING_BYTES_MIN; *bytes < wanted; *bytes *= 2) {
    }
    return true;
}

static bool parse_size(uint64_t *bytes, const char *value, GError **error)
{
    return orr_parse_size(value, 1, bytes, error) &&
           (*bytes >= FLIGHT_BYTES_MIN ||
            orr_fail(error, ORR_ERROR_INVALID, "trace option 'size=%s' is less than 1M", value));
}

/* "5s", "500ms", "2m"; seconds where there is no unit. */
static bool parse_flight(uint64_t *ns, const char *value, GError **error)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        { "", 1000000000 }, { "s", 1000000000 }, { "ms", 1000000 }, { "m", 60000000000 }
    };
    char *end = NULL;
    guint64 number = g_ascii_isdigit(*value) ? g_ascii_strtoull(value, &end, 10) : 0;

    for (size_t i = 0; end && i < G_N_ELEMENTS(units); i++) {
        if (strcmp(end, units[i].name) == 0 && number > 0 &&
            number <= FLIGHT_NS_MAX / units[i].ns) {
            *ns = number * units[i].ns;
            return true;
        }
    }
    return orr_fail(error, ORR_ERROR_INVALID,
                    "trace option 'flight=%s' is no time; write it as 5s, 500ms or 2m", value);
}

static bool parse_context(uint16_t *contexts, const char *value, GError **error)
{
    static const char *const names[] = { "vtime", "icount", "cpu" };
    g_auto(GStrv) words = g_strsplit(value, "+", -1);

    for (size_t i = 0; words[i]; i++) {
        size_t which = 0;

        while (which < G_N_ELEMENTS(names) && strcmp(words[i], names[which]) != 0) {
            which++;
        }
        if (which == G_N_ELEMENTS(names)) {
            return orr_fail(error, ORR_ERROR_NOT_FOUND,
                            "unknown trace context '%s'; known: vtime, icount, cpu", words[i]);
        }
        *contexts |= 1u << which;
    }
    return true;
}

bool orr_trace_ctf_option(TraceCtfOptions *options, const char *key, const char *value, bool *known,
                          GError **error)
{
    bool ok;

    *known = true;
    if (g_str_equal(key, "dir")) {
        ok = *value || orr_fail(error, ORR_ERROR_INVALID, "trace option 'dir=' needs a path");
        if (ok) {
            g_free(options->dir);
            options->dir = g_strdup(value);
        }
    } else if (g_str_equal(key, "ring")) {
        ok = parse_ring(&options->ring_bytes, value, error);
    } else if (g_str_equal(key, "size")) {
        ok = parse_size(&options->flight_bytes, value, error);
    } else if (g_str_equal(key, "flight")) {
        ok = parse_flight(&options->flight_ns, value, error);
    } else if (g_str_equal(key, "context")) {
        ok = parse_context(&options->contexts, value, error);
    } else {
        *known = false;
        return true;
    }
    options->given = true;
    return ok;
}

void orr_trace_ctf_options_copy(TraceCtfOptions *to, const TraceCtfOptions *from)
{
    *to = *from;
    to->dir = g_strdup(from->dir);
}

void orr_trace_ctf_options_clear(TraceCtfOptions *options)
{
    g_free(options->dir);
    memset(options, 0, sizeof(*options));
}
