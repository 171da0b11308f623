/* SPDX-License-Identifier: MIT */
/*
 * libbabeltrace2 from inside: a graph of one ctf.fs source for each trace, and a sink of our own with
 * a port for each stream. The idea to hold: the sink takes a batch of messages from each stream and
 * always goes on with the stream whose next event is the oldest; there is no muxer, and nothing is
 * copied.
 */
#include "trace/analysis/reader-internal.h"

#include <string.h>

#include "trace/analysis/text.h"

/* ---- Errors. */

/* What babeltrace2 has to say, its first cause. */
static char *take_cause(void)
{
    const bt_error *error = bt_current_thread_take_error();
    char *text = NULL;

    if (error) {
        if (bt_error_get_cause_count(error)) {
            text = g_strdup(bt_error_cause_get_message(bt_error_borrow_cause_by_index(error, 0)));
        }
        bt_error_release(error);
    }
    return text ? text : g_strdup("babeltrace2 does not say why");
}

static bool fail_damaged(GError **error, const char *path)
{
    g_autofree char *cause = take_cause();

    g_strstrip(cause);
    if (g_str_has_suffix(cause, ".")) {
        cause[strlen(cause) - 1] = '\0';
    }
    return tool_fail(error,
                     "%s is damaged, or no CTF 1.8 trace: %.400s; record it again, or copy "
                     "the whole directory again",
                     path, cause);
}

/* ---- Messages. */

static int64_t time_of(const Stream *stream, const bt_clock_snapshot *snapshot)
{
    int64_t ns = 0;

    if (stream->fixed_offset) {
        return (int64_t)bt_clock_snapshot_get_value(snapshot) + stream->offset_ns;
    }
    if (bt_clock_snapshot_get_ns_from_origin(snapshot, &ns) !=
        BT_CLOCK_SNAPSHOT_GET_NS_FROM_ORIGIN_STATUS_OK) {
        bt_current_thread_clear_error();
    }
    return ns;
}

/* Clocks with one UUID are one clock, whose distance from 1970 each recording measured anew. */
static bool begin_stream(Stream *stream, const bt_stream *bt_stream)
{
    const bt_clock_class *clock =
        bt_stream_class_borrow_default_clock_class_const(bt_stream_borrow_class_const(bt_stream));
    Reader *reader = stream->reader;
    bt_uuid uuid = clock ? bt_clock_class_get_uuid(clock) : NULL;
    int64_t seconds;
    uint64_t cycles;
    ClockOffset new;

    if (!clock) {
        return tool_fail(&reader->error,
                         "%s has no clock, so its events have no order; it is no "
                         "trace of Orrery",
                         stream->found->path);
    }
    stream->trace_source =
        reader_source_of_trace(reader, stream->found, bt_stream_borrow_trace_const(bt_stream));
    stream->source = stream->trace_source;
    stream->pid = stream->source->pid;
    if (bt_clock_class_get_frequency(clock) != 1000000000 || !uuid) {
        return true;
    }
    bt_clock_class_get_offset(clock, &seconds, &cycles);
    stream->fixed_offset = true;
    for (unsigned i = 0; i < reader->clocks->len; i++) {
        const ClockOffset *known = &g_array_index(reader->clocks, ClockOffset, i);

        if (memcmp(known->uuid, uuid, sizeof(known->uuid)) == 0) {
            stream->offset_ns = known->offset_ns;
            return true;
        }
    }
    memcpy(new.uuid, uuid, sizeof(new.uuid));
    new.offset_ns = seconds * 1000000000 + (int64_t)cycles;
    g_array_append_val(reader->clocks, new);
    stream->offset_ns = new.offset_ns;
    return true;
}

static void take_loss(Stream *stream, const bt_message *message)
{
    const bt_stream *of = bt_message_discarded_events_borrow_stream_const(message);
    int64_t begin_ns = READER_NO_TIME, end_ns = READER_NO_TIME;
    uint64_t count = 0;

    if (bt_stream_class_discarded_events_have_default_clock_snapshots(
            bt_stream_borrow_class_const(of))) {
        begin_ns = time_of(
            stream,
            bt_message_discarded_events_borrow_beginning_default_clock_snapshot_const(message));
        end_ns = time_of(
            stream, bt_message_discarded_events_borrow_end_default_clock_snapshot_const(message));
    }
    if (bt_message_discarded_events_get_count(message, &count) !=
        BT_PROPERTY_AVAILABILITY_AVAILABLE) {
        count = 1;
    }
    stream->loss_begin_ns = begin_ns;
    stream->loss_end_ns = end_ns;
    stream->n_lost = count;
}

/*
 * CTF has them between the ends of two packets. Both recorders begin a packet behind what they lost, so
 * that the second packet's own events are known to be whole. NULL: no packet follows.
 */
static void tell_loss(Stream *stream, const bt_message *packet_beginning)
{
    if (!stream->n_lost) {
        return;
    }
    if (packet_beginning && stream->loss_end_ns != READER_NO_TIME &&
        bt_stream_class_packets_have_beginning_default_clock_snapshot(
            bt_stream_borrow_class_const(bt_packet_borrow_stream_const(
                bt_message_packet_beginning_borrow_packet_const(packet_beginning))))) {
        int64_t begin_ns = time_of(
            stream,
            bt_message_packet_beginning_borrow_default_clock_snapshot_const(packet_beginning));

        stream->loss_end_ns = CLAMP(begin_ns, stream->loss_begin_ns, stream->loss_end_ns);
    }
    stream->reader->callbacks->on_loss(stream->reader->callbacks->opaque, stream->source,
                                       stream->thread, stream->loss_begin_ns, stream->loss_end_ns,
                                       stream->n_lost);
    stream->n_lost = 0;
}

static bool is_cut(const Stream *stream)
{
    for (unsigned i = 0; i < stream->found->cut->len; i++) {
        g_autofree char *end = g_strdup_printf(" | %" G_GUINT64_FORMAT,
                                               g_array_index(stream->found->cut, uint64_t, i));

        if (g_str_has_suffix(stream->port, end)) {
            return true;
        }
    }
    return false;
}

/* Goes on to the stream's next event; head_ns is INT64_MAX when there is none. */
static bool next_event(Stream *stream)
{
    Reader *reader = stream->reader;

    for (;;) {
        while (stream->next < stream->n_messages) {
            const bt_message *message = stream->messages[stream->next];

            switch (bt_message_get_type(message)) {
            case BT_MESSAGE_TYPE_EVENT:
                stream->head_ns =
                    time_of(stream, bt_message_event_borrow_default_clock_snapshot_const(message));
                return true;
            case BT_MESSAGE_TYPE_STREAM_BEGINNING:
                if (!begin_stream(stream,
                                  bt_message_stream_beginning_borrow_stream_const(message))) {
                    return false;
                }
                break;
            case BT_MESSAGE_TYPE_PACKET_BEGINNING:
                tell_loss(stream, message);
                reader_begin_packet(stream,
                                    bt_message_packet_beginning_borrow_packet_const(message));
                break;
            case BT_MESSAGE_TYPE_DISCARDED_EVENTS:
                take_loss(stream, message);
                break;
            default:
                break;
            }
            bt_message_put_ref(message);
            stream->next++;
        }
        stream->next = stream->n_messages = 0;
        switch (
            bt_message_iterator_next(stream->iterator, &stream->messages, &stream->n_messages)) {
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK:
            break;
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
            tell_loss(stream, NULL);
            stream->head_ns = INT64_MAX;
            return true;
        case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
            continue;
        default:
            stream->n_messages = 0;
            if (!is_cut(stream)) {
                return fail_damaged(&reader->error, stream->found->path);
            }
            /* The event that was cut in two. */
            bt_current_thread_clear_error();
            tell_loss(stream, NULL);
            stream->head_ns = INT64_MAX;
            return true;
        }
    }
}

static bool read_all(Reader *reader)
{
    for (unsigned i = 0; i < reader->streams->len; i++) {
        if (!next_event(g_ptr_array_index(reader->streams, i))) {
            return false;
        }
    }
    for (;;) {
        Stream *oldest = NULL;
        int64_t until_ns = INT64_MAX;

        for (unsigned i = 0; i < reader->streams->len; i++) {
            Stream *stream = g_ptr_array_index(reader->streams, i);

            if (!oldest || stream->head_ns < oldest->head_ns) {
                until_ns = oldest ? oldest->head_ns : INT64_MAX;
                oldest = stream;
            } else {
                until_ns = MIN(until_ns, stream->head_ns);
            }
        }
        if (!oldest || oldest->head_ns == INT64_MAX) {
            return true;
        }
        /* Until another stream has an older one. */
        do {
            const bt_message *message = oldest->messages[oldest->next++];

            reader_take_event(oldest, message);
            bt_message_put_ref(message);
            if (!next_event(oldest)) {
                return false;
            }
        } while (oldest->head_ns <= until_ns && oldest->head_ns != INT64_MAX);
    }
}

/* ---- The sink. */

static bt_component_class_initialize_method_status sink_initialize(
    bt_self_component_sink *self, bt_self_component_sink_configuration *configuration,
    const bt_value *params, void *data)
{
    Reader *reader = data;

    bt_self_component_set_data(bt_self_component_sink_as_self_component(self), reader);
    for (unsigned i = 0; i < reader->streams->len; i++) {
        Stream *stream = g_ptr_array_index(reader->streams, i);
        g_autofree char *name = g_strdup_printf("%u", i);

        if (bt_self_component_sink_add_input_port(self, name, stream, &stream->self_port) !=
            BT_SELF_COMPONENT_ADD_PORT_STATUS_OK) {
            return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR;
        }
    }
    return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_OK;
}

static bt_component_class_sink_graph_is_configured_method_status sink_configured(
    bt_self_component_sink *self)
{
    Reader *reader = bt_self_component_get_data(bt_self_component_sink_as_self_component(self));

    for (unsigned i = 0; i < reader->streams->len; i++) {
        Stream *stream = g_ptr_array_index(reader->streams, i);

        if (bt_message_iterator_create_from_sink_component(self, stream->self_port,
                                                           &stream->iterator) !=
            BT_MESSAGE_ITERATOR_CREATE_FROM_SINK_COMPONENT_STATUS_OK) {
            return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_ERROR;
        }
    }
    return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_OK;
}

/* All in one go: the graph has nothing else to do. */
static bt_component_class_sink_consume_method_status sink_consume(bt_self_component_sink *self)
{
    Reader *reader = bt_self_component_get_data(bt_self_component_sink_as_self_component(self));
    bool ok = read_all(reader);

    for (unsigned i = 0; i < reader->streams->len; i++) {
        Stream *stream = g_ptr_array_index(reader->streams, i);

        for (; stream->next < stream->n_messages; stream->next++) {
            bt_message_put_ref(stream->messages[stream->next]);
        }
        BT_MESSAGE_ITERATOR_PUT_REF_AND_RESET(stream->iterator);
    }
    return ok ? BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_END
              : BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_ERROR;
}

static void stream_free(gpointer data)
{
    Stream *stream = data;

    g_free(stream->port);
    g_free(stream);
}

static bool add_source(Reader *reader, bt_graph *graph, const bt_component_class_source *fs,
                       FoundTrace *found, unsigned number, GPtrArray *ports, GError **error)
{
    bt_value *params = bt_value_map_create();
    bt_value *inputs = bt_value_array_create();
    g_autofree char *name = g_strdup_printf("trace %u", number);
    const bt_component_source *component = NULL;
    bool ok;

    bt_value_array_append_string_element(inputs, found->read);
    bt_value_map_insert_entry(params, "inputs", inputs);
    bt_value_put_ref(inputs);
    ok = bt_graph_add_source_component(graph, fs, name, params, BT_LOGGING_LEVEL_NONE,
                                       &component) == BT_GRAPH_ADD_COMPONENT_STATUS_OK;
    bt_value_put_ref(params);
    if (!ok) {
        return fail_damaged(error, found->path);
    }
    for (uint64_t i = 0; i < bt_component_source_get_output_port_count(component); i++) {
        const bt_port_output *port =
            bt_component_source_borrow_output_port_by_index_const(component, i);
        Stream *stream = g_new0(Stream, 1);

        stream->reader = reader;
        stream->found = found;
        stream->port = g_strdup(bt_port_get_name(bt_port_output_as_port_const(port)));
        stream->host_cpu = -1;
        g_ptr_array_add(reader->streams, stream);
        g_ptr_array_add(ports, (gpointer)port);
    }
    return true;
}

static bool connect_all(bt_graph *graph, const bt_component_sink *sink, GPtrArray *ports)
{
    for (unsigned i = 0; i < ports->len; i++) {
        if (bt_graph_connect_ports(graph, g_ptr_array_index(ports, i),
                                   bt_component_sink_borrow_input_port_by_index_const(sink, i),
                                   NULL) != BT_GRAPH_CONNECT_PORTS_STATUS_OK) {
            return false;
        }
    }
    return true;
}

static bool run_graph(Reader *reader, bt_graph *graph, const bt_component_class_source *fs,
                      GError **error)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    bt_component_class_sink *cls;
    const bt_component_sink *sink = NULL;
    bool ok;

    for (unsigned i = 0; i < reader->found->len; i++) {
        if (!add_source(reader, graph, fs, g_ptr_array_index(reader->found, i), i, ports, error)) {
            return false;
        }
    }
    if (!ports->len) {
        return true;
    }
    cls = bt_component_class_sink_create("orrery-trace", sink_consume);
    bt_component_class_sink_set_initialize_method(cls, sink_initialize);
    bt_component_class_sink_set_graph_is_configured_method(cls, sink_configured);
    ok = bt_graph_add_sink_component_with_initialize_method_data(graph, cls, "sink", NULL, reader,
                                                                 BT_LOGGING_LEVEL_NONE, &sink) ==
             BT_GRAPH_ADD_COMPONENT_STATUS_OK &&
         connect_all(graph, sink, ports) && bt_graph_run(graph) == BT_GRAPH_RUN_STATUS_OK;
    bt_component_class_sink_put_ref(cls);
    if (!ok && reader->error) {
        bt_current_thread_clear_error();
        g_propagate_error(error, g_steal_pointer(&reader->error));
    } else if (!ok) {
        const FoundTrace *first = g_ptr_array_index(reader->found, 0);

        fail_damaged(error, first->path);
    }
    return ok;
}

bool reader_run(Reader *reader, const ReaderCallbacks *callbacks, GError **error)
{
    const bt_plugin *plugin = NULL;
    const bt_component_class_source *fs = NULL;
    bt_graph *graph;
    bool ok;

    if (bt_plugin_find("ctf", BT_TRUE, BT_FALSE, BT_TRUE, BT_TRUE, BT_FALSE, &plugin) ==
        BT_PLUGIN_FIND_STATUS_OK) {
        fs = bt_plugin_borrow_source_component_class_by_name_const(plugin, "fs");
    }
    if (!fs) {
        bt_current_thread_clear_error();
        return tool_fail(error, "babeltrace2's plugin 'ctf' is not there: install libbabeltrace2, "
                                "or set BABELTRACE_PLUGIN_PATH");
    }
    reader->callbacks = callbacks;
    graph = bt_graph_create(0);
    ok = run_graph(reader, graph, fs, error);
    bt_graph_put_ref(graph);
    bt_plugin_put_ref(plugin);
    g_hash_table_remove_all(reader->plans);
    return ok;
}

uint64_t reader_n_events(const Reader *reader)
{
    return reader->n_events;
}

bool reader_truncated(const Reader *reader)
{
    for (unsigned i = 0; i < reader->found->len; i++) {
        const FoundTrace *found = g_ptr_array_index(reader->found, i);

        if (found->truncated) {
            return true;
        }
    }
    return false;
}

GPtrArray *reader_sources(const Reader *reader)
{
    return reader->sources;
}

Reader *reader_open(const char *const *paths, Atoms *atoms, GError **error)
{
    GPtrArray *found = find_traces(paths, error);
    Reader *reader;

    if (!found) {
        return NULL;
    }
    reader = g_new0(Reader, 1);
    reader->atoms = atoms;
    reader->found = found;
    reader->sources = g_ptr_array_new_with_free_func(g_free);
    reader->threads = g_hash_table_new_full(reader_thread_hash, reader_thread_equal, g_free, NULL);
    reader->plans = g_hash_table_new(NULL, NULL);
    reader->all_plans = g_ptr_array_new_with_free_func(reader_class_plan_free);
    reader->streams = g_ptr_array_new_with_free_func(stream_free);
    reader->clocks = g_array_new(FALSE, FALSE, sizeof(ClockOffset));
    return reader;
}

void reader_close(Reader *reader)
{
    if (reader) {
        g_hash_table_destroy(reader->threads);
        g_hash_table_destroy(reader->plans);
        g_ptr_array_unref(reader->all_plans);
        g_ptr_array_unref(reader->streams);
        g_ptr_array_unref(reader->sources);
        g_ptr_array_unref(reader->found);
        g_array_unref(reader->clocks);
        g_clear_error(&reader->error);
        g_free(reader);
    }
}
