/* SPDX-License-Identifier: MIT */
/*
 * Properties set from text by the table of their class. The idea to hold: a table row knows the
 * field's offset and type, so one setter serves every class, and every message names the class,
 * the property and the value that would not do.
 */
#include "orrery/impl/props.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "orrery/impl/error.h"

static void *field_of(void *object, const PropDef *def)
{
    return (char *)object + def->offset;
}

const PropDef *props_find(const PropDef *defs, const char *name)
{
    for (const PropDef *def = defs; def && def->name; def++) {
        if (strcmp(def->name, name) == 0) {
            return def;
        }
    }
    return NULL;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const on[] = { "on", "yes", "true", "y", NULL };
    static const char *const off[] = { "off", "no", "false", "n", NULL };

    if (g_strv_contains(on, text)) {
        *value = true;
        return true;
    }
    *value = false;
    return g_strv_contains(off, text);
}

/* Decimal, 0x and 0 prefixes; nothing before and nothing after. */
static bool parse_u64(const char *text, uint64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(text[0])) {
        return false;
    }
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    return errno == 0 && *end == '\0';
}

static bool bad_value(GError **error, const char *owner, const char *name, const char *value,
                      const char *wanted)
{
    return orr_fail(error, ORR_ERROR_INVALID, "property '%s' of '%s' cannot be '%s': it takes %s",
                    name, owner, value, wanted);
}

static bool check_range(const PropDef *def, const char *owner, const char *text, uint64_t value,
                        GError **error)
{
    char wanted[80];

    if (def->max == 0 || (value >= def->min && value <= def->max)) {
        return true;
    }
    g_snprintf(wanted, sizeof(wanted), "a number from %" PRIu64 " to %" PRIu64, def->min, def->max);
    return bad_value(error, owner, def->name, text, wanted);
}

static bool set_number(void *object, const PropDef *def, const char *owner, const char *text,
                       GError **error)
{
    uint64_t value;

    if (!parse_u64(text, &value)) {
        return bad_value(error, owner, def->name, text, "a whole number");
    }
    if (!check_range(def, owner, text, value, error)) {
        return false;
    }
    if (def->type == PROP_U32) {
        if (value > UINT32_MAX) {
            return bad_value(error, owner, def->name, text, "a number below 2^32");
        }
        *(uint32_t *)field_of(object, def) = (uint32_t)value;
    } else {
        *(uint64_t *)field_of(object, def) = value;
    }
    return true;
}

static bool set_size(void *object, const PropDef *def, const char *owner, const char *text,
                     GError **error)
{
    uint64_t value;

    if (!orr_parse_size(text, 1, &value, NULL)) {
        return bad_value(error, owner, def->name, text, "a size such as 4096, 64K or 1.5G");
    }
    if (!check_range(def, owner, text, value, error)) {
        return false;
    }
    *(uint64_t *)field_of(object, def) = value;
    return true;
}

static bool set_enum(void *object, const PropDef *def, const char *owner, const char *text,
                     GError **error)
{
    char *names, *wanted;

    for (uint32_t i = 0; def->values[i]; i++) {
        if (strcmp(def->values[i], text) == 0) {
            *(uint32_t *)field_of(object, def) = i;
            return true;
        }
    }
    names = g_strjoinv(", ", (char **)def->values);
    wanted = g_strdup_printf("one of %s", names);
    bad_value(error, owner, def->name, text, wanted);
    g_free(wanted);
    g_free(names);
    return false;
}

static bool set_field(void *object, const PropDef *def, const char *owner, const char *text,
                      GError **error)
{
    bool flag;

    switch (def->type) {
    case PROP_BOOL:
        if (!parse_bool(text, &flag)) {
            return bad_value(error, owner, def->name, text, "on or off");
        }
        *(bool *)field_of(object, def) = flag;
        return true;
    case PROP_U32:
    case PROP_U64:
        return set_number(object, def, owner, text, error);
    case PROP_SIZE:
        return set_size(object, def, owner, text, error);
    case PROP_STRING: {
        char **field = field_of(object, def);

        g_free(*field);
        *field = g_strdup(text);
        return true;
    }
    case PROP_ENUM:
        return set_enum(object, def, owner, text, error);
    }
    return orr_fail(error, ORR_ERROR_UNSUPPORTED, "property '%s' of '%s' has no known type",
                    def->name, owner);
}

void props_init(void *object, const PropDef *defs)
{
    for (const PropDef *def = defs; def && def->name; def++) {
        GError *error = NULL;

        if (def->fallback && !set_field(object, def, "default", def->fallback, &error)) {
            g_error("%s", error->message); /* the table itself is wrong */
        }
    }
}

void props_finish(void *object, const PropDef *defs)
{
    for (const PropDef *def = defs; def && def->name; def++) {
        if (def->type == PROP_STRING) {
            char **field = field_of(object, def);

            g_clear_pointer(field, g_free);
        }
    }
}

bool props_set(void *object, const PropDef *defs, const char *owner, const char *name,
               const char *value, GError **error)
{
    const PropDef *found = props_find(defs, name);
    GPtrArray *names;
    const char *nearest;

    if (found) {
        return set_field(object, found, owner, value, error);
    }
    names = g_ptr_array_new();
    for (const PropDef *def = defs; def && def->name; def++) {
        g_ptr_array_add(names, (char *)def->name);
    }
    g_ptr_array_add(names, NULL);
    nearest = orr_nearest(name, (const char *const *)names->pdata);
    g_ptr_array_free(names, TRUE);
    if (nearest) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND, "'%s' has no property '%s'; did you mean '%s'?",
                        owner, name, nearest);
    }
    return orr_fail(error, ORR_ERROR_NOT_FOUND, "'%s' has no property '%s'", owner, name);
}

static void print_type(const PropDef *def, GString *out)
{
    switch (def->type) {
    case PROP_BOOL:
        g_string_append(out, "<bool>");
        break;
    case PROP_U32:
    case PROP_U64:
        if (def->max) {
            g_string_append_printf(out, "<%" PRIu64 "..%" PRIu64 ">", def->min, def->max);
        } else {
            g_string_append(out, def->type == PROP_U32 ? "<uint32>" : "<uint64>");
        }
        break;
    case PROP_SIZE:
        g_string_append(out, "<size>");
        break;
    case PROP_STRING:
        g_string_append(out, "<str>");
        break;
    case PROP_ENUM: {
        char *names = g_strjoinv("|", (char **)def->values);

        g_string_append_printf(out, "<%s>", names);
        g_free(names);
        break;
    }
    }
}

void props_help(const PropDef *defs, FILE *out)
{
    for (const PropDef *def = defs; def && def->name; def++) {
        GString *left = g_string_new(NULL);

        g_string_printf(left, "%s=", def->name);
        print_type(def, left);
        fprintf(out, "  %-30s %s", left->str, def->help ? def->help : "");
        if (def->fallback) {
            fprintf(out, " (default: %s)", def->fallback);
        }
        fputc('\n', out);
        g_string_free(left, TRUE);
    }
}
