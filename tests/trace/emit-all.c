/* SPDX-License-Identifier: MIT */
/*
 * Emits every event of this build once, with made-up arguments that differ from field to field, to
 * the back ends named on the command line: each argument is one of -trace. The records are filled
 * from the descriptors, so that a descriptor which does not fit its record shows as a wrong value.
 *
 * An argument "switch=GLOB" switches events on after the start, as a monitor does. With "loop" as
 * first argument it emits until its standard input ends, and then once more.
 */
#include "orrery/impl/trace.h"
#include "trace/internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t value_for(const TraceEvent *event, const TraceField *field, size_t i)
{
    if (field->type == TRACE_FIELD_BOOL) {
        return event->id & 1;
    }
    if (field->type == TRACE_FIELD_ENUM) {
        return (uint32_t)field->labels[event->id % field->n_labels].value;
    }
    /* All bytes differ and the top bit is set: signs and widths show. */
    return UINT64_C(0xf1e2d3c4b5a69788) + event->id * UINT64_C(0x0101) + i;
}

static void emit(const TraceEvent *event)
{
    union {
        char bytes[256];
        uint64_t align;
    } record;
    char texts[16][64];

    memset(&record, 0, sizeof(record));
    g_assert(event->args_bytes <= sizeof(record) && event->n_fields <= G_N_ELEMENTS(texts));
    for (size_t i = 0; i < event->n_fields; i++) {
        const TraceField *field = &event->fields[i];
        uint64_t value = value_for(event, field, i);

        if (field->type == TRACE_FIELD_STR) {
            const char *text = texts[i];

            snprintf(texts[i], sizeof(texts[i]), "%s-%s-%zu", event->name, field->name, i);
            memcpy(record.bytes + field->offset, &text, sizeof(text));
        } else {
            /* Little endian, as the host is: the low bytes come first. */
            memcpy(record.bytes + field->offset, &value, field->size);
        }
    }
    orr_trace_dispatch(event, event->n_fields ? &record : NULL);
}

static void emit_all(void)
{
    for (size_t i = 0; orr_trace_subsystems[i]; i++) {
        for (uint16_t j = 0; j < orr_trace_subsystems[i]->n_events; j++) {
            emit(&orr_trace_subsystems[i]->events[j]);
        }
    }
}

int main(int argc, char **argv)
{
    bool loop = argc > 1 && g_str_equal(argv[1], "loop");
    g_autoptr(GError) error = NULL;
    const char *timeout;

    if (argc == 2 && g_str_equal(argv[1], "help")) {
        orr_trace_help(stdout);
        return 0;
    }
    for (int i = 1 + loop; i < argc; i++) {
        if (!g_str_has_prefix(argv[i], "switch=") && !orr_trace_option(argv[i], &error)) {
            fprintf(stderr, "%s\n", error->message);
            return 1;
        }
    }
    if (!orr_trace_start(&error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    for (int i = 1 + loop; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "switch=") &&
            !orr_trace_switch(argv[i] + strlen("switch="), true, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return 1;
        }
    }
    if (loop) {
        struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN | POLLHUP };

        printf("ready\n");
        fflush(stdout);
        for (bool told = false; poll(&pfd, 1, 0) == 0;) {
            emit_all();
            if (!told && orr_trace_lost() > 0) {
                printf("lost\n");
                fflush(stdout);
                told = true;
            }
        }
    }
    emit_all();
    timeout = g_getenv("LTTNG_UST_REGISTER_TIMEOUT");
    printf("LTTNG_UST_REGISTER_TIMEOUT=%s\n", timeout ? timeout : "(null)");
    return 0;
}
