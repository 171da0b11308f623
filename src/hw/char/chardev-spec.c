/* SPDX-License-Identifier: MIT */
/*
 * The text of character back ends, in the two forms QEMU's users know: `-serial unix:PATH,server=on`
 * and `-chardev socket,path=PATH,server=on,id=ID`. The idea to hold: the second is rewritten as the
 * first, so that there is one parser that checks and one that opens.
 */
#include <string.h>

#include "hw/char/internal.h"
#include "orrery/impl/error.h"
#include "orrery/impl/props.h"

enum {
    OPT_SIGNAL = 1 << 0,
    OPT_APPEND = 1 << 1,
    OPT_SERVER = 1 << 2, /* server and wait */
    OPT_PATH = 1 << 3,   /* the text after the colon, needed */
    OPT_HOST = 1 << 4,   /* HOST:PORT */
    OPT_FD = 1 << 5,
    OPT_SIZE = 1 << 6, /* not needed */
};

static const struct {
    const char *name;
    CharKind kind;
    unsigned options;
} kinds[] = {
    { "stdio", CHAR_KIND_STDIO, OPT_SIGNAL },
    { "null", CHAR_KIND_NULL, 0 },
    { "none", CHAR_KIND_NULL, 0 },
    { "file", CHAR_KIND_FILE, OPT_PATH | OPT_APPEND },
    { "pipe", CHAR_KIND_PIPE, OPT_PATH },
    { "pty", CHAR_KIND_PTY, 0 },
    { "unix", CHAR_KIND_UNIX, OPT_PATH | OPT_SERVER },
    { "tcp", CHAR_KIND_TCP, OPT_HOST | OPT_SERVER },
    { "fd", CHAR_KIND_FD, OPT_FD },
    { "ringbuf", CHAR_KIND_RINGBUF, OPT_SIZE },
};

void char_spec_finish(CharSpec *spec)
{
    g_clear_pointer(&spec->path, g_free);
    g_clear_pointer(&spec->host, g_free);
    g_clear_pointer(&spec->port, g_free);
}

static bool unknown_kind(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(kinds) + 1] = { NULL };
    const char *nearest;
    char *list;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        names[i] = kinds[i].name;
    }
    nearest = orr_nearest(name, names);
    if (nearest) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "there is no character back end '%s'; did you mean '%s'?", name, nearest);
    }
    list = g_strjoinv(", ", (char **)names);
    orr_fail(error, ORR_ERROR_NOT_FOUND, "there is no character back end '%s'; there are %s", name,
             list);
    g_free(list);
    return false;
}

static bool set_flag(CharSpec *spec, const char *kind, unsigned allowed, const OptPair *pair,
                     GError **error)
{
    static const PropDef defs[] = {
        { .name = "signal", .type = PROP_BOOL, .offset = offsetof(CharSpec, signal) },
        { .name = "append", .type = PROP_BOOL, .offset = offsetof(CharSpec, append) },
        { .name = "server", .type = PROP_BOOL, .offset = offsetof(CharSpec, server) },
        { .name = "wait", .type = PROP_BOOL, .offset = offsetof(CharSpec, wait) },
        { .name = NULL },
    };
    static const unsigned needs[] = { OPT_SIGNAL, OPT_APPEND, OPT_SERVER, OPT_SERVER };

    if (strcmp(pair->key, "nowait") == 0 && (allowed & OPT_SERVER)) {
        spec->wait = false;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (strcmp(defs[i].name, pair->key) == 0 && (allowed & needs[i])) {
            spec->signal_given |= needs[i] == OPT_SIGNAL;
            return props_set(spec, defs, kind, pair->key, pair->value, error);
        }
    }
    return orr_fail(error, ORR_ERROR_UNSUPPORTED,
                    "character back end '%s' does not take the option '%s'", kind, pair->key);
}

static bool set_address(CharSpec *spec, const char *kind, unsigned allowed, const char *text,
                        GError **error)
{
    const char *colon;

    if (allowed & OPT_PATH) {
        spec->path = g_strdup(text);
        return *text || orr_fail(error, ORR_ERROR_INVALID, "'%s:' needs a path", kind);
    }
    if (allowed & OPT_HOST) {
        colon = strrchr(text, ':');
        if (!colon || !colon[1]) {
            return orr_fail(error, ORR_ERROR_INVALID, "'%s:%s' names no port; write %s:HOST:PORT",
                            kind, text, kind);
        }
        spec->port = g_strdup(colon + 1);
        if (text[0] == '[' && colon > text && colon[-1] == ']') {
            spec->host = g_strndup(text + 1, (gsize)(colon - text - 2));
        } else {
            spec->host = g_strndup(text, (gsize)(colon - text));
        }
        return true;
    }
    if (allowed & OPT_FD) {
        guint64 fd;

        if (!g_ascii_string_to_unsigned(text, 10, 0, INT32_MAX, &fd, NULL)) {
            return orr_fail(error, ORR_ERROR_INVALID, "'fd:%s' is not a file descriptor", text);
        }
        spec->fd = (uint32_t)fd;
        return true;
    }
    if (allowed & OPT_SIZE) {
        if (!*text) {
            return true;
        }
        if (!orr_parse_size(text, 1, &spec->size_bytes, error)) {
            return false;
        }
        if (spec->size_bytes == 0 || spec->size_bytes > 64 * 1024 * 1024) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "a ringbuf of %s bytes is not between 1 and 64M", text);
        }
        return true;
    }
    return !*text || orr_fail(error, ORR_ERROR_INVALID,
                              "character back end '%s' takes nothing after a colon", kind);
}

/* The first item as it was written: a path may hold a '=', at which it was split. */
static char *first_item(const GArray *pairs)
{
    const OptPair *first = pairs->len ? &g_array_index(pairs, OptPair, 0) : NULL;

    if (!first) {
        return g_strdup("");
    }
    return *first->key ? g_strconcat(first->key, "=", first->value, NULL) : g_strdup(first->value);
}

static bool parse_items(const GArray *pairs, char *first, CharSpec *spec, GError **error)
{
    char *colon = strchr(first, ':');
    const char *kind = first;
    unsigned allowed = 0;
    bool found = false;

    if (colon) {
        *colon = '\0';
    }
    for (size_t i = 0; !found && i < G_N_ELEMENTS(kinds); i++) {
        found = strcmp(kinds[i].name, kind) == 0;
        spec->kind = kinds[i].kind;
        allowed = kinds[i].options;
    }
    if (!found) {
        return unknown_kind(kind, error);
    }
    if (!colon && (allowed & (OPT_PATH | OPT_HOST | OPT_FD))) {
        return orr_fail(error, ORR_ERROR_INVALID, "character back end '%s' needs %s:...", kind,
                        kind);
    }
    if (colon && !set_address(spec, kind, allowed, colon + 1, error)) {
        return false;
    }
    for (guint i = 1; i < pairs->len; i++) {
        if (!set_flag(spec, kind, allowed, &g_array_index(pairs, OptPair, i), error)) {
            return false;
        }
    }
    return true;
}

bool char_spec_parse(const char *text, CharSpec *spec, GError **error)
{
    GArray *pairs;
    char *first;
    bool ok;

    memset(spec, 0, sizeof(*spec));
    spec->wait = true;
    spec->size_bytes = 64 * 1024;
    if (g_str_has_prefix(text, "mon:")) {
        spec->mux = true;
        text += strlen("mon:");
    }
    pairs = orr_split_options(text, "");
    first = first_item(pairs);
    ok = parse_items(pairs, first, spec, error);
    if (!spec->signal_given) {
        spec->signal = !spec->mux;
    }
    g_free(first);
    g_array_free(pairs, TRUE);
    return ok;
}

static void append_escaped(GString *out, const char *text)
{
    for (; *text; text++) {
        g_string_append_c(out, *text);
        if (*text == ',') {
            g_string_append_c(out, ',');
        }
    }
}

/* What a -chardev said, before it is put together. */
typedef struct ChardevWords {
    const char *backend, *id, *path, *host, *port, *fd, *size;
    bool mux;
    GString *rest; /* ",server=on" and the like */
} ChardevWords;

static bool take_word(ChardevWords *words, const OptPair *pair, GError **error)
{
    const struct {
        const char *name;
        const char **field;
    } fields[] = {
        { "backend", &words->backend }, { "id", &words->id },     { "path", &words->path },
        { "host", &words->host },       { "port", &words->port }, { "fd", &words->fd },
        { "size", &words->size },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (strcmp(fields[i].name, pair->key) == 0) {
            *fields[i].field = pair->value;
            return true;
        }
    }
    if (strcmp(pair->key, "mux") == 0) {
        static const PropDef defs[] = {
            { .name = "mux", .type = PROP_BOOL, .offset = offsetof(ChardevWords, mux) },
            { .name = NULL },
        };

        return props_set(words, defs, "chardev", "mux", pair->value, error);
    }
    g_string_append_printf(words->rest, ",%s=", pair->key);
    append_escaped(words->rest, pair->value);
    return true;
}

static bool put_together(const ChardevWords *words, GString *out, GError **error)
{
    const char *backend = words->backend;

    g_string_append(out, words->mux ? "mon:" : "");
    if (strcmp(backend, "socket") == 0) {
        backend = words->path ? "unix" : "tcp";
    }
    g_string_append(out, backend);
    if (strcmp(backend, "tcp") == 0) {
        if (!words->port) {
            return orr_fail(error, ORR_ERROR_INVALID,
                            "-chardev socket,id=%s needs path=, or host= and port=", words->id);
        }
        g_string_append_printf(out, ":%s:%s", words->host ? words->host : "", words->port);
    } else if (words->path) {
        g_string_append_c(out, ':');
        append_escaped(out, words->path);
    } else if (words->fd) {
        g_string_append_printf(out, ":%s", words->fd);
    } else if (words->size) {
        g_string_append_printf(out, ":%s", words->size);
    }
    g_string_append(out, words->rest->str);
    return true;
}

bool chardev_parse_options(const char *options, char **id, char **spec, GError **error)
{
    GArray *pairs = orr_split_options(options, "backend");
    ChardevWords words = { .rest = g_string_new(NULL) };
    GString *out = g_string_new(NULL);
    bool ok = true;

    *id = *spec = NULL;
    for (guint i = 0; ok && i < pairs->len; i++) {
        ok = take_word(&words, &g_array_index(pairs, OptPair, i), error);
    }
    if (ok && (!words.backend || !words.id || !*words.id)) {
        ok = orr_fail(error, ORR_ERROR_INVALID, "-chardev %s: write it as -chardev BACKEND,id=ID",
                      options);
    }
    ok = ok && put_together(&words, out, error);
    if (ok) {
        CharSpec check;

        ok = char_spec_parse(out->str, &check, error);
        char_spec_finish(&check);
    }
    if (ok) {
        *id = g_strdup(words.id);
        *spec = g_strdup(out->str);
    }
    g_string_free(out, TRUE);
    g_string_free(words.rest, TRUE);
    g_array_free(pairs, TRUE);
    return ok;
}
