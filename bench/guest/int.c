/* SPDX-License-Identifier: MIT */
/*
 * An integer workload for comparing emulators: per iteration it sorts and reverses a linked list,
 * multiplies matrices of 16-bit numbers, runs a state machine over text, and takes a CRC of what came
 * of each. The CRC goes into the next iteration, so no work can be left out, and its last value is
 * known: a run that computes wrongly says so.
 */
#include "guest.h"

#ifndef ITERATIONS
#define ITERATIONS 8000
#endif

#define NODES 128
#define ORDER 12
#define TEXT_BYTES 512

/* ---- List. */

typedef struct Node {
    struct Node *next;
    uint32_t key, data;
} Node;

static Node nodes[NODES];

static Node *make_list(uint32_t seed)
{
    Node *head = NULL;

    for (unsigned i = 0; i < NODES; i++) {
        /* Memory order and list order differ. */
        Node *node = &nodes[i * 37 % NODES];

        seed = seed * 1664525 + 1013904223;
        node->key = seed >> 16;
        node->data = i;
        node->next = head;
        head = node;
    }
    return head;
}

static Node *merge(Node *a, Node *b)
{
    Node *head = NULL, **tail = &head;

    while (a && b) {
        Node **from = a->key <= b->key ? &a : &b;

        *tail = *from;
        tail = &(*from)->next;
        *from = (*from)->next;
    }
    *tail = a ? a : b;
    return head;
}

static Node *sort(Node *list, unsigned length)
{
    Node *middle = list, *rest;

    if (length < 2) {
        return list;
    }
    for (unsigned i = 1; i < length / 2; i++) {
        middle = middle->next;
    }
    rest = middle->next;
    middle->next = NULL;
    return merge(sort(list, length / 2), sort(rest, length - length / 2));
}

static Node *reverse(Node *list)
{
    Node *head = NULL;

    while (list) {
        Node *next = list->next;

        list->next = head;
        head = list;
        list = next;
    }
    return head;
}

/* ---- CRC-32, bit by bit and by table. */

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (unsigned k = 0; k < 8; k++) {
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        }
        crc_table[i] = c;
    }
}

static uint32_t crc_byte(uint32_t crc, uint8_t byte)
{
    return crc_table[(crc ^ byte) & 0xff] ^ crc >> 8;
}

static uint32_t crc_word(uint32_t crc, uint32_t word)
{
    crc ^= word;
    for (unsigned i = 0; i < 32; i++) {
        crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return crc;
}

/* ---- Matrices. */

static int16_t left[ORDER][ORDER], right[ORDER][ORDER];

static uint32_t matrices(uint32_t seed)
{
    uint32_t crc = seed;

    for (unsigned i = 0; i < ORDER; i++) {
        for (unsigned k = 0; k < ORDER; k++) {
            left[i][k] = (int16_t)(seed + i * 7 + k * 13);
            right[i][k] = (int16_t)((seed >> 8) - i * 5 + k * 3);
        }
    }
    for (unsigned i = 0; i < ORDER; i++) {
        for (unsigned k = 0; k < ORDER; k++) {
            int32_t sum = 0;

            for (unsigned j = 0; j < ORDER; j++) {
                sum += left[i][j] * right[j][k];
            }
            crc = crc_byte(crc, (uint8_t)(sum ^ sum >> 16));
        }
    }
    return crc;
}

/* ---- State machine: sorts the words of a text into kinds. */

typedef enum State {
    STATE_START,
    STATE_SIGN,
    STATE_DECIMAL,
    STATE_HEX,
    STATE_FRACTION,
    STATE_NAME,
    STATE_OTHER,
    STATE_COUNT,
} State;

static char text[TEXT_BYTES];

static void make_text(uint32_t seed)
{
    static const char alphabet[] = "0123456789abcdefxyz.-+ ,;_#";
    static const char *const words[] = {
        "12345", "0xc0ffee", "-17.25", "name_7", "+3", "#bad", "x"
    };

    for (unsigned at = 0; at < TEXT_BYTES;) {
        const char *word;

        seed = seed * 1664525 + 1013904223;
        word = words[(seed >> 16) % ARRAY_LENGTH(words)];
        while (*word && at < TEXT_BYTES) {
            text[at++] = *word++;
        }
        if (at < TEXT_BYTES) {
            text[at++] = seed >> 28 == 0 ? alphabet[(seed >> 8) % (sizeof(alphabet) - 1)] : ' ';
        }
    }
}

static uint32_t scan(uint32_t crc)
{
    uint32_t counts[STATE_COUNT] = { 0 };
    State state = STATE_START;

    for (unsigned i = 0; i < TEXT_BYTES; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'z';

        if (c == ' ' || c == ',' || c == ';') {
            counts[state]++;
            state = STATE_START;
            continue;
        }
        switch (state) {
        case STATE_START:
            state = digit                  ? STATE_DECIMAL
                    : letter               ? STATE_NAME
                    : c == '-' || c == '+' ? STATE_SIGN
                                           : STATE_OTHER;
            break;
        case STATE_SIGN:
            state = digit ? STATE_DECIMAL : STATE_OTHER;
            break;
        case STATE_DECIMAL:
            state = digit      ? STATE_DECIMAL
                    : c == 'x' ? STATE_HEX
                    : c == '.' ? STATE_FRACTION
                               : STATE_OTHER;
            break;
        case STATE_HEX:
            state = digit || (c >= 'a' && c <= 'f') ? STATE_HEX : STATE_OTHER;
            break;
        case STATE_FRACTION:
            state = digit ? STATE_FRACTION : STATE_OTHER;
            break;
        case STATE_NAME:
            state = digit || letter || c == '_' ? STATE_NAME : STATE_OTHER;
            break;
        default:
            break;
        }
    }
    for (unsigned i = 0; i < STATE_COUNT; i++) {
        crc = crc_word(crc, counts[i]);
    }
    return crc;
}

void guest_main(void)
{
    uint32_t crc = 0x12345678;
    uint64_t start;

    make_crc_table();
    print("begin\n");
    start = now();
    for (unsigned i = 0; i < ITERATIONS; i++) {
        Node *list = sort(make_list(crc), NODES);

        for (Node *node = reverse(list); node; node = node->next) {
            crc = crc_byte(crc, (uint8_t)(node->key + node->data));
        }
        crc = matrices(crc);
        make_text(crc);
        crc = scan(crc);
    }
    print("int iterations=%u ticks=%lu checksum=%08x\n", ITERATIONS, now() - start, crc);
    power_off(0);
}
