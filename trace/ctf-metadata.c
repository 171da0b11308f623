/* SPDX-License-Identifier: MIT */
/*
 * The description of a trace that the recorder writes: TSDL, CTF 1.8's language, made from the
 * descriptors of all events of this build, selected or not, since a monitor may select more later.
 *
 * The idea to hold: what stands here must be what ctf-stream.c writes; names, types and order are
 * LTTng-UST's for the same events, so that a tool need not ask who recorded. Alignments are given
 * everywhere and are powers of two, and nothing that a strict reader does not know is in it.
 */
#include "orrery/gen/config.h"
#include "trace/ctf-internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void add_quoted(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            g_string_append_c(out, '\\');
        }
        g_string_append_c(out, g_ascii_iscntrl(*text) ? '?' : *text);
    }
    g_string_append_c(out, '"');
}

static void add_uuid(GString *out, const uint8_t *uuid)
{
    for (unsigned i = 0; i < 16; i++) {
        g_string_append_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               uuid[i]);
    }
}

/* The boot's id names the clock, as in LTTng's traces: those of one boot can be read together. */
static char *clock_uuid(const CtfSession *session)
{
    GString *text;
    char *id = NULL;

    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL)) {
        g_strchomp(id);
        if (g_uuid_string_is_valid(id)) {
            return id;
        }
        g_free(id);
    }
    text = g_string_new(NULL);
    add_uuid(text, session->uuid);
    return g_string_free(text, FALSE);
}

static void add_environment(GString *out)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *created = g_date_time_format(now, "%Y%m%dT%H%M%S+0000");
    char host[256] = "";
    unsigned version[3] = { 0 };

    gethostname(host, sizeof(host) - 1);
    sscanf(ORRERY_VERSION, "%u.%u.%u", &version[0], &version[1], &version[2]);
    g_string_append(out, "env {\n\thostname = ");
    add_quoted(out, host);
    /* "ust" says that the events are a program's, not the kernel's. */
    g_string_append_printf(out,
                           ";\n\tdomain = \"ust\";\n"
                           "\ttracer_name = \"orrery\";\n"
                           "\ttracer_major = %u;\n"
                           "\ttracer_minor = %u;\n"
                           "\ttracer_patchlevel = %u;\n"
                           "\ttracer_ticks = \"%s\";\n"
                           "\tarchitecture_bit_width = %zu;\n"
                           "\ttraced_pid = %d;\n"
                           "\ttrace_creation_datetime = \"%s\";\n"
                           "};\n\n",
                           version[0], version[1], version[2],
                           orr_trace_ctf.coarse_ticks ? "clock_gettime" : "tsc", sizeof(void *) * 8,
                           (int)getpid(), created);
}

static const char *byte_order(void)
{
    return G_BYTE_ORDER == G_LITTLE_ENDIAN ? "le" : "be";
}

static void add_types(GString *out, const CtfSession *session, int64_t realtime_offset_ns)
{
    g_autofree char *clock = clock_uuid(session);

    g_string_append(out, "/* CTF 1.8 */\n\n");
    for (unsigned size = 8; size <= 64; size *= 2) {
        g_string_append_printf(
            out, "typealias integer { size = %u; align = 8; signed = false; } := uint%u_t;\n", size,
            size);
    }
    g_string_append(out, "\ntrace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"");
    add_uuid(out, session->uuid);
    g_string_append_printf(out,
                           "\";\n\tbyte_order = %s;\n"
                           "\tpacket.header := struct {\n"
                           "\t\tuint32_t magic;\n"
                           "\t\tuint8_t  uuid[16];\n"
                           "\t\tuint32_t stream_id;\n"
                           "\t\tuint64_t stream_instance_id;\n"
                           "\t};\n};\n\n",
                           byte_order());
    add_environment(out);
    g_string_append_printf(out,
                           "clock {\n"
                           "\tname = \"monotonic\";\n"
                           "\tuuid = \"%s\";\n"
                           "\tdescription = \"Monotonic Clock\";\n"
                           "\tfreq = 1000000000; /* Hz */\n"
                           "\t/* from the Epoch, in periods of the clock */\n"
                           "\toffset = %" G_GINT64_FORMAT ";\n};\n\n",
                           clock, realtime_offset_ns);
    for (unsigned size = 32; size <= 64; size *= 2) {
        g_string_append_printf(out,
                               "typealias integer { size = %u; align = 8; signed = false; "
                               "map = clock.monotonic.value; } := uint%u_clock_monotonic_t;\n",
                               size, size);
    }
}

static void add_stream(GString *out, const CtfSession *session)
{
    static const char *const context_names[] = {
        [TRACE_CONTEXT_VTIME] = "vtime",
        [TRACE_CONTEXT_ICOUNT] = "icount",
    };

    g_string_append_printf(
        out,
        "\nstruct packet_context {\n"
        "\tuint64_clock_monotonic_t timestamp_begin;\n"
        "\tuint64_clock_monotonic_t timestamp_end;\n"
        "\tuint64_t content_size;\n"
        "\tuint64_t packet_size;\n"
        "\tuint64_t packet_seq_num;\n"
        "\tuint64_t events_discarded;\n"
        "\tuint32_t vtid;\n"
        "\tinteger { size = 8; align = 8; signed = false; encoding = UTF8; } procname[%u];\n"
        "};\n\n"
        "struct event_header_large {\n"
        "\tenum : uint16_t { compact = 0 ... 65534, extended = 65535 } id;\n"
        "\tvariant <id> {\n"
        "\t\tstruct {\n"
        "\t\t\tuint32_clock_monotonic_t timestamp;\n"
        "\t\t} compact;\n"
        "\t\tstruct {\n"
        "\t\t\tuint32_t id;\n"
        "\t\t\tuint64_clock_monotonic_t timestamp;\n"
        "\t\t} extended;\n"
        "\t} v;\n"
        "} align(8);\n\n"
        "stream {\n"
        "\tid = 0;\n"
        "\tevent.header := struct event_header_large;\n"
        "\tpacket.context := struct packet_context;\n",
        CTF_NAME_BYTES);
    if (session->contexts) {
        g_string_append(out, "\tevent.context := struct {\n");
        for (unsigned i = 0; i < TRACE_CONTEXT_N_SOURCES; i++) {
            if (session->contexts & 1u << i) {
                g_string_append_printf(
                    out, "\t\tinteger { size = 64; align = 8; signed = true; } _%s;\n",
                    context_names[i]);
            }
        }
        if (session->contexts & TRACE_CONTEXT_CPU) {
            g_string_append(out, "\t\tuint32_t _cpu_id;\n");
        }
        g_string_append(out, "\t};\n");
    }
    g_string_append(out, "};\n");
}

static void add_integer(GString *out, unsigned bytes, bool is_signed, unsigned base)
{
    g_string_append_printf(
        out, "integer { size = %u; align = 8; signed = %u; encoding = none; base = %u; }",
        bytes * 8, is_signed, base);
}

static void add_field(GString *out, const TraceField *field)
{
    g_string_append(out, "\t\t");
    switch (field->type) {
    case TRACE_FIELD_U8:
    case TRACE_FIELD_U16:
    case TRACE_FIELD_U32:
    case TRACE_FIELD_U64:
    case TRACE_FIELD_BOOL:
        add_integer(out, field->size, false, 10);
        break;
    case TRACE_FIELD_I8:
    case TRACE_FIELD_I16:
    case TRACE_FIELD_I32:
    case TRACE_FIELD_I64:
        add_integer(out, field->size, true, 10);
        break;
    case TRACE_FIELD_HEX8:
    case TRACE_FIELD_HEX16:
    case TRACE_FIELD_HEX32:
    case TRACE_FIELD_HEX64:
    case TRACE_FIELD_PTR:
        add_integer(out, field->size, false, 16);
        break;
    case TRACE_FIELD_ENUM:
        g_string_append(out, "enum : ");
        add_integer(out, field->size, true, 10);
        g_string_append(out, " { ");
        for (unsigned i = 0; i < field->n_labels; i++) {
            g_string_append_printf(out, "%s\"%s\" = %d", i ? ", " : "", field->labels[i].name,
                                   field->labels[i].value);
        }
        g_string_append(out, " }");
        break;
    case TRACE_FIELD_STR:
        g_string_append(out, "string");
        break;
    }
    /* The underscore keeps TSDL's own words free; readers take it off. */
    g_string_append_printf(out, " _%s;", field->name);
    if (field->unit) {
        g_string_append_printf(out, " /* %s */", field->unit);
    }
    g_string_append_c(out, '\n');
}

char *orr_trace_ctf_metadata(const CtfSession *session, int64_t realtime_offset_ns)
{
    GString *out = g_string_new(NULL);

    add_types(out, session, realtime_offset_ns);
    add_stream(out, session);
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        const TraceSubsystem *sub = orr_trace_subsystems[i];

        for (unsigned j = 0; j < sub->n_events; j++) {
            const TraceEvent *event = &sub->events[j];

            g_string_append_printf(out,
                                   "\nevent {\n"
                                   "\tname = \"orrery_%s:%s\";\n"
                                   "\tid = %u;\n"
                                   "\tstream_id = 0;\n"
                                   "\tloglevel = %u;\n"
                                   "\tfields := struct {\n",
                                   sub->name, event->name, event->id, event->level);
            for (unsigned k = 0; k < event->n_fields; k++) {
                add_field(out, &event->fields[k]);
            }
            g_string_append(out, "\t};\n};\n");
        }
    }
    return g_string_free(out, FALSE);
}
