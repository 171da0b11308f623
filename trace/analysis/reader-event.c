/* SPDX-License-Identifier: MIT */
/*
 * One message of babeltrace2's into one ReaderEvent. The idea to hold: a class of events is looked at
 * once, and the plan made then says which members to fetch and how; text is compared with what the
 * field had last before it is looked up.
 */
#include "trace/analysis/reader-internal.h"

#include <string.h>

/* ---- Sources and threads. */

static ReaderSource *source_for(Reader *reader, const FoundTrace *found, uint32_t host, int64_t pid)
{
    ReaderSource *source;

    for (unsigned i = 0; i < reader->sources->len; i++) {
        source = g_ptr_array_index(reader->sources, i);
        if (source->pid == pid && source->host == host &&
            (pid >= 0 || strcmp(source->path, found->path) == 0)) {
            return source;
        }
    }
    source = g_new0(ReaderSource, 1);
    source->index = reader->sources->len;
    source->path = found->path;
    source->host = host;
    source->pid = pid;
    source->truncated = found->truncated;
    source->flight = found->flight;
    g_ptr_array_add(reader->sources, source);
    return source;
}

ReaderSource *reader_source_of_trace(Reader *reader, const FoundTrace *found, const bt_trace *trace)
{
    g_autoptr(GString) environment = g_string_new(NULL);
    uint32_t host = 0, recorder = 0, created = 0;
    ReaderSource *source;
    int64_t pid = -1;

    for (uint64_t i = 0; i < bt_trace_get_environment_entry_count(trace); i++) {
        const char *name;
        const bt_value *value;

        bt_trace_borrow_environment_entry_by_index_const(trace, i, &name, &value);
        if (bt_value_is_string(value)) {
            const char *text = bt_value_string_get(value);

            g_string_append_printf(environment, "%s=%s\n", name, text);
            if (strcmp(name, "hostname") == 0) {
                host = atoms_add_text(reader->atoms, text);
            } else if (strcmp(name, "tracer_name") == 0) {
                recorder = atoms_add_text(reader->atoms, text);
            } else if (strcmp(name, "trace_creation_datetime") == 0) {
                created = atoms_add_text(reader->atoms, text);
            }
        } else if (bt_value_is_signed_integer(value)) {
            int64_t number = bt_value_integer_signed_get(value);

            g_string_append_printf(environment, "%s=%" G_GINT64_FORMAT "\n", name, number);
            if (strcmp(name, "traced_pid") == 0 || strcmp(name, "vpid") == 0) {
                pid = number;
            }
        }
    }
    source = source_for(reader, found, host, pid);
    source->truncated |= found->truncated;
    source->flight |= found->flight;
    source->twice |= source->recorder && source->recorder != recorder;
    source->recorder = recorder;
    source->created = created;
    source->environment = atoms_add_text(reader->atoms, environment->str);
    return source;
}

guint reader_thread_hash(gconstpointer key)
{
    const ReaderThread *thread = key;

    return (guint)thread->tid * 31 + thread->source->index;
}

gboolean reader_thread_equal(gconstpointer a, gconstpointer b)
{
    const ReaderThread *x = a, *y = b;

    return x->tid == y->tid && x->source == y->source;
}

static ReaderThread *thread_for(Reader *reader, ReaderSource *source, int64_t tid)
{
    ReaderThread key = { .source = source, .tid = tid };
    ReaderThread *thread = g_hash_table_lookup(reader->threads, &key);

    if (!thread) {
        thread = g_new0(ReaderThread, 1);
        *thread = key;
        g_hash_table_add(reader->threads, thread);
    }
    return thread;
}

/* ---- Fields. */

static int64_t integer_of(const bt_field *field)
{
    bt_field_class_type type = bt_field_get_class_type(field);

    if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER)) {
        return (int64_t)bt_field_integer_unsigned_get_value(field);
    }
    if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_SIGNED_INTEGER)) {
        return bt_field_integer_signed_get_value(field);
    }
    return -1;
}

static uint32_t text_of(Atoms *atoms, const bt_field *field, uint32_t last)
{
    const char *text = bt_field_string_get_value(field);
    size_t length = bt_field_string_get_length(field);
    const char *before = atoms_text(atoms, last);

    if (strncmp(before, text, length) == 0 && before[length] == '\0') {
        return last;
    }
    return atoms_add(atoms, text, length);
}

/* The label of an enum's value; its number as text where it has none. */
static uint32_t label_of(Atoms *atoms, const bt_field *field, FieldPlan *plan, bool is_signed)
{
    uint64_t value = (uint64_t)integer_of(field);
    bt_field_class_enumeration_mapping_label_array labels;
    uint64_t n_labels = 0;
    uint32_t atom;

    for (unsigned i = 0; i < plan->n_labels; i++) {
        if (plan->label_values[i] == value) {
            return plan->labels[i];
        }
    }
    if (is_signed) {
        bt_field_enumeration_signed_get_mapping_labels(field, &labels, &n_labels);
    } else {
        bt_field_enumeration_unsigned_get_mapping_labels(field, &labels, &n_labels);
    }
    atom = n_labels ? atoms_add_text(atoms, labels[0])
                    : atoms_add_printf(atoms, "%" G_GINT64_FORMAT, (int64_t)value);
    if (plan->n_labels < ENUM_CACHE) {
        plan->label_values[plan->n_labels] = value;
        plan->labels[plan->n_labels++] = atom;
    }
    return atom;
}

static uint64_t value_of(Reader *reader, const bt_field *field, FieldPlan *plan)
{
    double real;
    uint64_t bits;

    switch (plan->type) {
    case BT_FIELD_CLASS_TYPE_BOOL:
        return bt_field_bool_get_value(field);
    case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER:
        return bt_field_integer_unsigned_get_value(field);
    case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER:
        return (uint64_t)bt_field_integer_signed_get_value(field);
    case BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION:
        return label_of(reader->atoms, field, plan, false);
    case BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION:
        return label_of(reader->atoms, field, plan, true);
    case BT_FIELD_CLASS_TYPE_STRING:
        return plan->text = text_of(reader->atoms, field, plan->text);
    case BT_FIELD_CLASS_TYPE_SINGLE_PRECISION_REAL:
        real = (double)bt_field_real_single_precision_get_value(field);
        memcpy(&bits, &real, sizeof(bits));
        return bits;
    case BT_FIELD_CLASS_TYPE_DOUBLE_PRECISION_REAL:
        real = bt_field_real_double_precision_get_value(field);
        memcpy(&bits, &real, sizeof(bits));
        return bits;
    default:
        return 0;
    }
}

static ReaderFieldType field_type(const bt_field_class *cls)
{
    switch (bt_field_class_get_type(cls)) {
    case BT_FIELD_CLASS_TYPE_BOOL:
        return READER_UNSIGNED;
    case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER:
        return bt_field_class_integer_get_preferred_display_base(cls) ==
                       BT_FIELD_CLASS_INTEGER_PREFERRED_DISPLAY_BASE_HEXADECIMAL
                   ? READER_HEX
                   : READER_UNSIGNED;
    case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER:
        return READER_SIGNED;
    case BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION:
    case BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION:
    case BT_FIELD_CLASS_TYPE_STRING:
        return READER_TEXT;
    case BT_FIELD_CLASS_TYPE_SINGLE_PRECISION_REAL:
    case BT_FIELD_CLASS_TYPE_DOUBLE_PRECISION_REAL:
        return READER_REAL;
    default:
        return READER_OTHER;
    }
}

void reader_class_plan_free(gpointer data)
{
    ClassPlan *plan = data;

    for (unsigned i = 0; i < plan->cls.n_fields; i++) {
        g_free((char *)plan->cls.fields[i].name);
    }
    g_free(plan->name);
    g_free(plan);
}

static ClassPlan *plan_of(Reader *reader, const bt_event_class *event_class)
{
    const bt_field_class *payload = bt_event_class_borrow_payload_field_class_const(event_class);
    const char *name = bt_event_class_get_name(event_class);
    bt_event_class_log_level level;
    ClassPlan *plan = g_hash_table_lookup(reader->plans, event_class);
    uint64_t n_members = 0;

    if (plan) {
        return plan;
    }
    plan = g_new0(ClassPlan, 1);
    plan->cls.ours = name && g_str_has_prefix(name, "orrery_");
    plan->name = g_strdup(name ? name + (plan->cls.ours ? strlen("orrery_") : 0) : "?");
    plan->cls.name = plan->name;
    plan->cls.level = -1;
    if (bt_event_class_get_log_level(event_class, &level) == BT_PROPERTY_AVAILABILITY_AVAILABLE) {
        plan->cls.level = (int)level;
    }
    if (payload && bt_field_class_get_type(payload) == BT_FIELD_CLASS_TYPE_STRUCTURE) {
        n_members = bt_field_class_structure_get_member_count(payload);
    }
    for (uint64_t i = 0; i < n_members && plan->cls.n_fields < READER_MAX_FIELDS; i++) {
        const bt_field_class_structure_member *member =
            bt_field_class_structure_borrow_member_by_index_const(payload, i);
        const bt_field_class *field =
            bt_field_class_structure_member_borrow_field_class_const(member);
        unsigned n = plan->cls.n_fields++;

        plan->cls.fields[n].name = g_strdup(bt_field_class_structure_member_get_name(member));
        plan->cls.fields[n].type = field_type(field);
        plan->fields[n].member = i;
        plan->fields[n].type = bt_field_class_get_type(field);
    }
    g_hash_table_insert(reader->plans, (gpointer)event_class, plan);
    g_ptr_array_add(reader->all_plans, plan);
    reader->callbacks->on_class(reader->callbacks->opaque, &plan->cls);
    return plan;
}

/* ---- Contexts. */

static void plan_context(ContextPlan *plan, const bt_field *context)
{
    const bt_field_class *cls = bt_field_borrow_class_const(context);

    *plan = (ContextPlan){ true, -1, -1, -1, -1, -1, -1 };
    for (uint64_t i = 0; i < bt_field_class_structure_get_member_count(cls); i++) {
        const bt_field_class_structure_member *member =
            bt_field_class_structure_borrow_member_by_index_const(cls, i);
        bt_field_class_type type = bt_field_class_get_type(
            bt_field_class_structure_member_borrow_field_class_const(member));
        const char *name = bt_field_class_structure_member_get_name(member);
        bool integer = bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_INTEGER);

        if (integer && strcmp(name, "vtime") == 0) {
            plan->vtime = (int)i;
        } else if (integer && strcmp(name, "icount") == 0) {
            plan->icount = (int)i;
        } else if (integer && strcmp(name, "cpu_id") == 0) {
            plan->cpu = (int)i;
        } else if (integer && strcmp(name, "vtid") == 0) {
            plan->tid = (int)i;
        } else if (integer && strcmp(name, "vpid") == 0) {
            plan->pid = (int)i;
        } else if (type == BT_FIELD_CLASS_TYPE_STRING && strcmp(name, "procname") == 0) {
            plan->name = (int)i;
        }
    }
}

static int64_t context_integer(const bt_field *context, int member)
{
    return integer_of(
        bt_field_structure_borrow_member_field_by_index_const(context, (uint64_t)member));
}

/* The thread, and under LTTng the process, that a context names. */
static void take_thread(Stream *stream, const bt_field *context, const ContextPlan *plan)
{
    Reader *reader = stream->reader;

    if (plan->pid >= 0) {
        int64_t pid = context_integer(context, plan->pid);

        if (pid != stream->pid) {
            uint32_t host = stream->trace_source->host;
            ReaderSource *source = source_for(reader, stream->found, host, pid);

            source->twice |= source->recorder && source->recorder != stream->trace_source->recorder;
            source->recorder = stream->trace_source->recorder;
            source->created = stream->trace_source->created;
            source->environment = stream->trace_source->environment;
            stream->pid = pid;
            stream->source = source;
            stream->thread = NULL;
        }
    }
    if (plan->tid >= 0) {
        int64_t tid = context_integer(context, plan->tid);

        if (!stream->thread || stream->thread->tid != tid) {
            stream->thread = thread_for(reader, stream->source, tid);
        }
        if (plan->name >= 0) {
            stream->last_name = text_of(reader->atoms,
                                        bt_field_structure_borrow_member_field_by_index_const(
                                            context, (uint64_t)plan->name),
                                        stream->last_name);
            stream->thread->name = stream->last_name;
        }
    }
}

/* ---- Packets and events. */

void reader_begin_packet(Stream *stream, const bt_packet *packet)
{
    const bt_field *context = bt_packet_borrow_context_field_const(packet);
    ContextPlan plan;

    if (context) {
        plan_context(&plan, context);
        take_thread(stream, context, &plan);
        if (plan.cpu >= 0) {
            stream->host_cpu = context_integer(context, plan.cpu);
        }
    }
}

void reader_take_event(Stream *stream, const bt_message *message)
{
    const bt_event *bt_event = bt_message_event_borrow_event_const(message);
    const bt_event_class *event_class = bt_event_borrow_class_const(bt_event);
    Reader *reader = stream->reader;
    ReaderEvent event = { .time_ns = stream->head_ns,
                          .vtime_ns = READER_NO_TIME,
                          .icount = -1,
                          .host_cpu = stream->host_cpu };
    const bt_field *context, *payload;
    ClassPlan *plan;

    reader->n_events++;
    if (event_class != stream->last_class) {
        stream->last_class = event_class;
        stream->last_plan = plan_of(reader, event_class);
    }
    plan = stream->last_plan;
    context = bt_event_borrow_common_context_field_const(bt_event);
    if (context) {
        if (!stream->common.known) {
            plan_context(&stream->common, context);
        }
        take_thread(stream, context, &stream->common);
        if (stream->common.vtime >= 0) {
            int64_t vtime = context_integer(context, stream->common.vtime);

            event.vtime_ns = vtime == -1 ? READER_NO_TIME : vtime;
        }
        if (stream->common.icount >= 0) {
            event.icount = context_integer(context, stream->common.icount);
        }
        if (stream->common.cpu >= 0) {
            event.host_cpu = context_integer(context, stream->common.cpu);
        }
    }
    if (!plan->cls.skip && plan->cls.n_fields) {
        payload = bt_event_borrow_payload_field_const(bt_event);
        for (unsigned i = 0; i < plan->cls.n_fields; i++) {
            reader->values[i] = value_of(reader,
                                         bt_field_structure_borrow_member_field_by_index_const(
                                             payload, plan->fields[i].member),
                                         &plan->fields[i]);
        }
    }
    event.cls = &plan->cls;
    event.source = stream->source;
    event.thread = stream->thread;
    event.values = reader->values;
    reader->callbacks->on_event(reader->callbacks->opaque, &event);
}
