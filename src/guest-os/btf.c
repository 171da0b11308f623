/* SPDX-License-Identifier: MIT */
/*
 * BTF is a header, a row of types, and their strings. A type is three words and, for some kinds, as
 * many records as its second word says; types are numbered from 1 in the order in which they stand.
 * The idea to hold: one pass notes where each type begins and proves that it ends inside the row;
 * whoever looks at a type after that only has to ask whether its number exists.
 */
#include "guest-os/btf.h"

#include <string.h>

const uint8_t btf_magic[8] = { 0x9f, 0xeb, 1, 0, BTF_HEADER_BYTES, 0, 0, 0 };

typedef enum BtfKind {
    BTF_INT = 1,
    BTF_PTR,
    BTF_ARRAY,
    BTF_STRUCT,
    BTF_UNION,
    BTF_ENUM,
    BTF_FWD,
    BTF_TYPEDEF,
    BTF_VOLATILE,
    BTF_CONST,
    BTF_RESTRICT,
    BTF_FUNC,
    BTF_FUNC_PROTO,
    BTF_VAR,
    BTF_DATASEC,
    BTF_FLOAT,
    BTF_DECL_TAG,
    BTF_TYPE_TAG,
    BTF_ENUM64,
    BTF_KINDS,
} BtfKind;

/* Bytes behind a type's three words: once, and for each of its records. */
static const struct {
    uint8_t once, each;
} kind_bytes[BTF_KINDS] = {
    [BTF_INT] = { 4, 0 },     [BTF_ARRAY] = { 12, 0 },   [BTF_STRUCT] = { 0, 12 },
    [BTF_UNION] = { 0, 12 },  [BTF_ENUM] = { 0, 8 },     [BTF_FUNC_PROTO] = { 0, 8 },
    [BTF_VAR] = { 4, 0 },     [BTF_DATASEC] = { 0, 12 }, [BTF_DECL_TAG] = { 4, 0 },
    [BTF_ENUM64] = { 0, 12 },
};

#define TYPE_BYTES 12
#define MEMBER_BYTES 12
#define MAX_NESTING 8      /* of unnamed structs, and of typedefs, const and the like */
#define MAX_STRUCT 0x20000 /* a task is some 10 KiB */
#define MAX_NAME 64
#define MAX_CANDIDATES 16 /* structs of the name that is looked for */

typedef struct Btf {
    const uint8_t *types;
    uint32_t types_bytes;
    const char *strings; /* the last byte is 0 */
    uint32_t strings_bytes;
    uint32_t *place; /* of each type, by number */
    uint32_t count;  /* numbers from 0, which is void and has no place */
} Btf;

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return GUINT32_FROM_LE(value);
}

static BtfKind kind_of(const uint8_t *type)
{
    return (BtfKind)(word(type + 4) >> 24 & 0x1f);
}

static uint32_t records_of(const uint8_t *type)
{
    return word(type + 4) & 0xffff;
}

static const uint8_t *type_at(const Btf *btf, uint32_t number)
{
    return number > 0 && number < btf->count ? btf->types + btf->place[number] : NULL;
}

static const char *string_at(const Btf *btf, uint32_t offset)
{
    return offset < btf->strings_bytes ? btf->strings + offset : "";
}

/* ---- The header and the first pass. */

typedef struct Head {
    uint32_t header_bytes, types, types_bytes, strings, strings_bytes;
} Head;

static size_t read_head(const uint8_t *header, Head *head)
{
    uint64_t end;

    if (memcmp(header, btf_magic, sizeof(btf_magic)) != 0) {
        return 0;
    }
    *head = (Head){
        .header_bytes = word(header + 4),
        .types = word(header + 8),
        .types_bytes = word(header + 12),
        .strings = word(header + 16),
        .strings_bytes = word(header + 20),
    };
    end = (uint64_t)head->header_bytes + MAX((uint64_t)head->types + head->types_bytes,
                                             (uint64_t)head->strings + head->strings_bytes);
    if (head->types % 4 != 0 || head->types_bytes < TYPE_BYTES || head->strings_bytes == 0 ||
        end > BTF_MAX_BYTES) {
        return 0;
    }
    return (size_t)end;
}

size_t btf_size(const uint8_t header[BTF_HEADER_BYTES])
{
    Head head;

    return read_head(header, &head);
}

static bool index_types(Btf *btf)
{
    uint32_t room = 1024;
    uint32_t at = 0;

    btf->place = g_new(uint32_t, room);
    btf->count = 1;
    while (at < btf->types_bytes) {
        uint32_t left = btf->types_bytes - at;
        const uint8_t *type = btf->types + at;
        uint64_t bytes;
        BtfKind kind;

        if (left < TYPE_BYTES) {
            return false;
        }
        kind = kind_of(type);
        if (kind == 0 || kind >= BTF_KINDS) {
            return false; /* its length is unknown, and so is where the next one begins */
        }
        bytes =
            TYPE_BYTES + kind_bytes[kind].once + (uint64_t)kind_bytes[kind].each * records_of(type);
        if (bytes > left) {
            return false;
        }
        if (btf->count == room) {
            room *= 2;
            btf->place = g_renew(uint32_t, btf->place, room);
        }
        btf->place[btf->count++] = at;
        at += (uint32_t)bytes;
    }
    return true;
}

/* ---- Looking at types. */

/* The type behind typedefs and qualifiers; NULL when there is none, or no end to them. */
static const uint8_t *resolve(const Btf *btf, uint32_t number)
{
    for (unsigned i = 0; i < MAX_NESTING; i++) {
        const uint8_t *type = type_at(btf, number);

        if (!type) {
            return NULL;
        }
        switch (kind_of(type)) {
        case BTF_TYPEDEF:
        case BTF_VOLATILE:
        case BTF_CONST:
        case BTF_RESTRICT:
        case BTF_TYPE_TAG:
            number = word(type + 8);
            break;
        default:
            return type;
        }
    }
    return NULL;
}

static bool is_int(const uint8_t *type, uint32_t bytes)
{
    /* The word behind it: encoding, offset in bits, and number of bits. */
    return type && kind_of(type) == BTF_INT && word(type + 8) == bytes &&
           (word(type + TYPE_BYTES) & 0xff) == bytes * 8;
}

typedef struct Field {
    uint32_t offset;
    const uint8_t *type; /* resolved */
} Field;

/* Looks for a member by name, also in members that are structs or unions without a name. */
static bool find_field(const Btf *btf, const uint8_t *type, const char *name, unsigned depth,
                       unsigned *budget, Field *field)
{
    bool packed = word(type + 4) >> 31; /* offsets share their word with a bit field's width */
    uint32_t size = word(type + 8);

    for (uint32_t i = 0; i < records_of(type) && *budget > 0; i++) {
        const uint8_t *member = type + TYPE_BYTES + (size_t)i * MEMBER_BYTES;
        const char *own_name = string_at(btf, word(member));
        uint32_t bits = word(member + 8);
        uint32_t offset = (packed ? bits & 0xffffff : bits) / 8;
        const uint8_t *inner;

        --*budget;
        if (offset >= size) {
            continue;
        }
        if (strncmp(own_name, name, MAX_NAME) == 0) {
            if (bits % 8 != 0 || (packed && bits >> 24)) {
                return false;
            }
            field->offset = offset;
            field->type = resolve(btf, word(member + 4));
            return field->type != NULL;
        }
        inner = *own_name || depth == 0 ? NULL : resolve(btf, word(member + 4));
        if (inner && (kind_of(inner) == BTF_STRUCT || kind_of(inner) == BTF_UNION) &&
            find_field(btf, inner, name, depth - 1, budget, field)) {
            field->offset += offset;
            return field->offset >= offset;
        }
    }
    return false;
}

static bool fits(const Field *field, uint32_t bytes, uint32_t struct_bytes)
{
    return (uint64_t)field->offset + bytes <= struct_bytes;
}

static bool layout_of(const Btf *btf, const uint8_t *task, TaskLayout *layout)
{
    unsigned budget =
        10000; /* members looked at: unnamed structs may be nested in a guest's ways */
    uint32_t bytes = word(task + 8);
    Field pid, tgid, comm;
    uint32_t length;

    if (bytes > MAX_STRUCT || !find_field(btf, task, "pid", MAX_NESTING, &budget, &pid) ||
        !find_field(btf, task, "tgid", MAX_NESTING, &budget, &tgid) ||
        !find_field(btf, task, "comm", MAX_NESTING, &budget, &comm)) {
        return false;
    }
    if (!is_int(pid.type, 4) || !is_int(tgid.type, 4) || pid.offset % 4 != 0 ||
        tgid.offset % 4 != 0 || !fits(&pid, 4, bytes) || !fits(&tgid, 4, bytes)) {
        return false;
    }
    if (kind_of(comm.type) != BTF_ARRAY || !is_int(resolve(btf, word(comm.type + TYPE_BYTES)), 1)) {
        return false;
    }
    length = word(comm.type + TYPE_BYTES + 8);
    if (length < 2 || length > MAX_NAME || !fits(&comm, length, bytes)) {
        return false;
    }
    *layout = (TaskLayout){
        .pid = pid.offset, .tgid = tgid.offset, .comm = comm.offset, .comm_bytes = length
    };
    return true;
}

bool btf_task_layout(const uint8_t *data, size_t size_bytes, TaskLayout *layout)
{
    bool found = false;
    Btf btf = { 0 };
    Head head;
    size_t end;

    if (size_bytes < BTF_HEADER_BYTES) {
        return false;
    }
    end = read_head(data, &head);
    if (end == 0 || end > size_bytes) {
        return false;
    }
    btf.types = data + head.header_bytes + head.types;
    btf.types_bytes = head.types_bytes;
    btf.strings = (const char *)data + head.header_bytes + head.strings;
    btf.strings_bytes = head.strings_bytes;
    if (btf.strings[btf.strings_bytes - 1] == '\0' && index_types(&btf)) {
        unsigned left = MAX_CANDIDATES;

        for (uint32_t i = 1; i < btf.count && !found && left > 0; i++) {
            const uint8_t *type = type_at(&btf, i);

            if (kind_of(type) == BTF_STRUCT &&
                strncmp(string_at(&btf, word(type)), "task_struct", MAX_NAME) == 0) {
                left--;
                found = layout_of(&btf, type, layout);
            }
        }
    }
    g_free(btf.place);
    return found;
}
