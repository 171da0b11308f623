/* SPDX-License-Identifier: MIT */
/*
 * A small well-formed BTF, as a kernel would carry it, for tests and fuzzing: a struct task_struct
 * whose pid and tgid are in an unnamed struct, among types of all kinds.
 */
#ifndef ORRERY_TESTS_UNIT_BTF_SAMPLE_H
#define ORRERY_TESTS_UNIT_BTF_SAMPLE_H

#include <glib.h>
#include <stdint.h>
#include <string.h>

enum {
    SAMPLE_TASK_BYTES = 4096,
    SAMPLE_INNER = 1024,
    SAMPLE_PID = SAMPLE_INNER + 8,
    SAMPLE_TGID = SAMPLE_INNER + 12,
    SAMPLE_COMM = 2000,
    SAMPLE_COMM_BYTES = 16,
};

/* Numbers of the types, in the order in which btf_sample writes them. */
enum {
    SAMPLE_T_INT = 1,
    SAMPLE_T_KERNEL_PID,
    SAMPLE_T_PID,
    SAMPLE_T_CHAR,
    SAMPLE_T_COMM,
    SAMPLE_T_INNER,
    SAMPLE_T_TASK,
};

typedef struct BtfSample {
    GByteArray *types;
    GByteArray *strings;
} BtfSample;

static inline void sample_word(GByteArray *to, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    g_byte_array_append(to, (const uint8_t *)&value, sizeof(value));
}

static inline uint32_t sample_name(BtfSample *s, const char *name)
{
    uint32_t offset = s->strings->len;

    if (!*name) {
        return 0;
    }
    g_byte_array_append(s->strings, (const uint8_t *)name, (guint)strlen(name) + 1);
    return offset;
}

/* kind, number of records, and size or type. */
static inline void sample_type(BtfSample *s, const char *name, unsigned kind, unsigned records,
                               uint32_t size_or_type)
{
    sample_word(s->types, sample_name(s, name));
    sample_word(s->types, kind << 24 | records);
    sample_word(s->types, size_or_type);
}

static inline void sample_member(BtfSample *s, const char *name, uint32_t type, uint32_t offset)
{
    sample_word(s->types, sample_name(s, name));
    sample_word(s->types, type);
    sample_word(s->types, offset * 8);
}

static inline void sample_words(BtfSample *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        sample_word(s->types, 1);
    }
}

/* Kinds that a reader has to pass over: pointer, union, enum, forward, qualifiers, functions... */
static inline void sample_others(BtfSample *s)
{
    sample_type(s, "", 2, 0, SAMPLE_T_TASK);
    sample_type(s, "u", 5, 1, 4);
    sample_member(s, "x", SAMPLE_T_INT, 0);
    sample_type(s, "e", 6, 2, 4);
    sample_words(s, 4);
    sample_type(s, "later", 7, 0, 0);
    for (unsigned kind = 9; kind <= 12; kind++) {
        sample_type(s, "q", kind, 0, SAMPLE_T_INT);
    }
    sample_type(s, "", 13, 2, SAMPLE_T_INT);
    sample_words(s, 4);
    sample_type(s, "v", 14, 0, SAMPLE_T_INT);
    sample_words(s, 1);
    sample_type(s, ".data", 15, 1, 8);
    sample_words(s, 3);
    sample_type(s, "float", 16, 0, 4);
    sample_type(s, "tag", 17, 0, SAMPLE_T_INT);
    sample_words(s, 1);
    sample_type(s, "tag", 18, 0, SAMPLE_T_INT);
    sample_type(s, "e64", 19, 1, 8);
    sample_words(s, 3);
}

static inline GByteArray *btf_sample(void)
{
    static const uint8_t head[8] = { 0x9f, 0xeb, 1, 0, 24, 0, 0, 0 };
    BtfSample s = { g_byte_array_new(), g_byte_array_new() };
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(s.strings, (const uint8_t *)"", 1);
    sample_type(&s, "int", 1, 0, 4);
    sample_word(s.types, 1 << 24 | 32);
    sample_type(&s, "__kernel_pid_t", 8, 0, SAMPLE_T_INT);
    sample_type(&s, "pid_t", 8, 0, SAMPLE_T_KERNEL_PID);
    sample_type(&s, "char", 1, 0, 1);
    sample_word(s.types, 8);
    sample_type(&s, "", 3, 0, 0);
    sample_word(s.types, SAMPLE_T_CHAR);
    sample_word(s.types, SAMPLE_T_INT);
    sample_word(s.types, SAMPLE_COMM_BYTES);
    sample_type(&s, "", 4, 2, 16);
    sample_member(&s, "pid", SAMPLE_T_PID, SAMPLE_PID - SAMPLE_INNER);
    sample_member(&s, "tgid", SAMPLE_T_PID, SAMPLE_TGID - SAMPLE_INNER);
    sample_type(&s, "task_struct", 4, 3, SAMPLE_TASK_BYTES);
    sample_member(&s, "__state", SAMPLE_T_INT, 24);
    sample_member(&s, "", SAMPLE_T_INNER, SAMPLE_INNER);
    sample_member(&s, "comm", SAMPLE_T_COMM, SAMPLE_COMM);
    sample_others(&s);

    g_byte_array_append(out, head, sizeof(head));
    sample_word(out, 0);
    sample_word(out, s.types->len);
    sample_word(out, s.types->len);
    sample_word(out, s.strings->len);
    g_byte_array_append(out, s.types->data, s.types->len);
    g_byte_array_append(out, s.strings->data, s.strings->len);
    g_byte_array_unref(s.types);
    g_byte_array_unref(s.strings);
    return out;
}

#endif
