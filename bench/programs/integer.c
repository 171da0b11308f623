/* SPDX-License-Identifier: MIT */
/*
 * Integer rows: records and strings, recursive calls, sorting, a sieve, SHA-256, an interpreter of
 * bytecode. Each unit's input comes from the last one's result, so that no unit can be left out.
 */
#include "row.h"

#include <stdbool.h>
#include <string.h>

/* ---- Records and strings, the mix of small statements that application code is made of. */

typedef enum Colour { RED, GREEN, BLUE, COLOURS } Colour;

typedef struct Record {
    struct Record *next;
    Colour colour;
    int number;
    char label[31];
} Record;

static Record *first_record, *second_record;
static int table[64], square[50][50];

static __attribute__((noinline)) Colour next_colour(Colour colour, int turn)
{
    switch (colour) {
    case RED:
        return turn & 1 ? GREEN : BLUE;
    case GREEN:
        return turn > 100 ? RED : BLUE;
    case BLUE:
    default:
        return RED;
    }
}

static __attribute__((noinline)) int add_and_store(int a, int b, int *to)
{
    *to = a + b + 2;
    return *to;
}

static __attribute__((noinline)) bool same_label(const char *a, const char *b, int *at)
{
    int i = 2;

    while (i < 20 && a[i] == b[i + 1]) {
        i++;
    }
    *at = i;
    return strcmp(a, b) > 0;
}

static __attribute__((noinline)) void fill(int *list, int place, int value)
{
    int i = place + 5;

    list[i] = value;
    list[i + 1] = list[i];
    list[i + 30] = i;
    for (int k = i; k <= i + 1; k++) {
        square[i][k] = i;
    }
    square[i][i - 1]++;
    square[i + 20][i] = list[i];
}

static __attribute__((noinline)) void follow(Record *record, int turn)
{
    Record *next = record->next;

    *next = *first_record;
    record->number = 5;
    next->number = record->number + turn % 7;
    next->next = record->next;
    next->colour = next_colour(record->colour, turn);
    if (next->colour == RED) {
        next->number = 6 + turn % 3;
    } else {
        *record = *next;
    }
}

static uint64_t run_records(uint64_t count)
{
    static Record a, b;
    char left[31] = "RECORDS AND TEXT, 1ST TEXT OF", right[31];
    uint64_t sum = 1;
    int one = 1, two = 3, three = 0;

    first_record = &a;
    second_record = &b;
    a.next = &b;
    a.colour = GREEN;
    a.number = 40;
    strcpy(a.label, "RECORDS AND TEXT, SOME LABEL");
    row_begin();
    for (uint64_t i = 1; i <= count; i++) {
        strcpy(right, "RECORDS AND TEXT, 2ND TEXT OF");
        right[18] = (char)('0' + (i & 7));
        while (one < two) {
            three = 5 * one - two;
            one = add_and_store(one, three & 7, &three);
        }
        fill(table, (int)(i & 7), three);
        follow(first_record, (int)(i & 127));
        if (!same_label(left, right, &one)) {
            two = (int)(i & 3) + three;
        }
        two = two * one;
        one = two / (three | 1);
        two = 7 * (two - three) - one;
        one &= 15;
        two &= 31;
        sum = sum * 31 + (uint64_t)(one + two + first_record->number + (int)a.colour);
    }
    row_end();
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 50; k++) {
            sum = mix64(sum, (uint64_t)square[i][k]);
        }
    }
    return sum;
}

/* ---- Recursive calls. */

static __attribute__((noinline, noclone)) uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n + 1 : fibonacci(n - 1) + fibonacci(n - 2);
}

static __attribute__((noinline, noclone)) uint64_t ackermann(uint64_t m, uint64_t n)
{
    if (m == 0) {
        return n + 1;
    }
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static uint64_t run_calls(uint64_t count)
{
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        sum = mix64(sum, fibonacci(24 + (sum & 1)) + ackermann(2, 60));
    }
    row_end();
    return sum;
}

/* ---- Sorting. */

#define SORTED 32768

static void sort(uint32_t *list, int64_t from, int64_t to)
{
    while (to - from > 12) {
        uint32_t pivot = list[(from + to) / 2];
        int64_t i = from, k = to;

        while (i <= k) {
            while (list[i] < pivot) {
                i++;
            }
            while (list[k] > pivot) {
                k--;
            }
            if (i <= k) {
                uint32_t other = list[i];

                list[i++] = list[k];
                list[k--] = other;
            }
        }
        sort(list, from, k);
        from = i;
    }
    for (int64_t i = from + 1; i <= to; i++) {
        uint32_t value = list[i];
        int64_t k = i;

        for (; k > from && list[k - 1] > value; k--) {
            list[k] = list[k - 1];
        }
        list[k] = value;
    }
}

static uint64_t run_sort(uint64_t count)
{
    static uint32_t list[SORTED];
    uint64_t seed = 88172645463325252, sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < SORTED; k++) {
            list[k] = (uint32_t)random64(&seed);
        }
        sort(list, 0, SORTED - 1);
        for (unsigned k = 0; k < SORTED; k += 97) {
            sum = mix64(sum, list[k]);
        }
        seed ^= sum | 1;
    }
    row_end();
    return sum;
}

/* ---- Sieve of Eratosthenes. */

#define SIEVED 500000

static uint64_t run_sieve(uint64_t count)
{
    static uint8_t composite[SIEVED];
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        unsigned primes = 0;

        memset(composite, 0, sizeof(composite));
        for (unsigned n = 2; n < SIEVED; n++) {
            if (composite[n]) {
                continue;
            }
            primes++;
            for (unsigned k = 2 * n; k < SIEVED; k += n) {
                composite[k] = 1;
            }
        }
        sum = mix64(sum, primes);
    }
    row_end();
    return sum;
}

/* ---- SHA-256 (FIPS 180-4); its constants are computed: fractions of roots of primes. */

static uint32_t sha_k[64], sha_start[8];

/* The first 32 bits of the fraction of the square (power 2) or cube (power 3) root of n. */
static uint32_t root_fraction(uint64_t n, unsigned power)
{
    unsigned __int128 want = (unsigned __int128)n << (power == 2 ? 64 : 96);
    uint64_t root = 0;

    for (int bit = 37; bit >= 0; bit--) {
        unsigned __int128 next = root | 1ull << bit, raised = next * next;

        if (power == 3) {
            raised *= next;
        }
        if (raised <= want) {
            root = (uint64_t)next;
        }
    }
    return (uint32_t)root;
}

static void sha_init(void)
{
    unsigned found = 0;

    for (uint64_t n = 2; found < 64; n++) {
        bool prime = true;

        for (uint64_t d = 2; d * d <= n; d++) {
            prime &= n % d != 0;
        }
        if (prime) {
            if (found < 8) {
                sha_start[found] = root_fraction(n, 2);
            }
            sha_k[found++] = root_fraction(n, 3);
        }
    }
}

static inline uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void sha_block(uint32_t *state, const uint8_t *block)
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4],
                    f = state[5], g = state[6], h = state[7];

    for (unsigned i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];

        w[i] = w[i - 16] + w[i - 7] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) +
               (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    for (unsigned i = 0; i < 64; i++) {
        uint32_t one = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                       sha_k[i] + w[i];
        uint32_t two =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));

        h = g;
        g = f;
        f = e;
        e = d + one;
        d = c;
        c = b;
        b = a;
        a = one + two;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

#define HASHED 65536

static uint64_t run_sha256(uint64_t count)
{
    static uint8_t data[HASHED];
    static const uint8_t abc[64] = { 'a', 'b', 'c', 0x80, [63] = 24 };
    uint32_t state[8];

    sha_init();
    /* The standard's own example. */
    memcpy(state, sha_start, sizeof(state));
    sha_block(state, abc);
    if (state[0] != 0xba7816bf || state[7] != 0xf20015ad) {
        row_fail("the hash of 'abc' is wrong");
    }
    for (unsigned i = 0; i < HASHED; i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        for (unsigned at = 0; at < HASHED; at += 64) {
            sha_block(state, data + at);
        }
    }
    row_end();
    return (uint64_t)state[0] << 32 | state[7];
}

/* ---- An interpreter of bytecode, whose program looks for long hailstone sequences. */

typedef enum Op { LOAD, ADD, SHIFT, ODD, LESS, COPY, JUMP, JUMP_ZERO, TRIPLE, STOP } Op;

typedef struct Insn {
    uint8_t op, to, a, b;
    int32_t value;
} Insn;

static const Insn hailstones[] = {
    /* r0: n, r1: up to, r2: value, r3: length, r4: longest, r5: 1, r6: scratch */
    { LOAD, 0, 0, 0, 1 },       /* 0 */
    { LOAD, 4, 0, 0, 0 },       /* 1 */
    { LOAD, 5, 0, 0, 1 },       /* 2 */
    { COPY, 2, 0, 0, 0 },       /* 3: next n */
    { LOAD, 3, 0, 0, 0 },       /* 4 */
    { LESS, 6, 5, 2, 0 },       /* 5: step: 1 < value? */
    { JUMP_ZERO, 0, 6, 0, 13 }, /* 6 */
    { ADD, 3, 3, 5, 0 },        /* 7 */
    { ODD, 6, 2, 0, 0 },        /* 8 */
    { JUMP_ZERO, 0, 6, 0, 11 }, /* 9 */
    { TRIPLE, 2, 2, 0, 0 },     /* 10: odd: (3 * value + 1) / 2 by what follows */
    { SHIFT, 2, 2, 0, 1 },      /* 11 */
    { JUMP, 0, 0, 0, 5 },       /* 12 */
    { LESS, 6, 4, 3, 0 },       /* 13 */
    { JUMP_ZERO, 0, 6, 0, 16 }, /* 14 */
    { COPY, 4, 3, 0, 0 },       /* 15 */
    { ADD, 0, 0, 5, 0 },        /* 16 */
    { LESS, 6, 0, 1, 0 },       /* 17 */
    { JUMP_ZERO, 0, 6, 0, 20 }, /* 18 */
    { JUMP, 0, 0, 0, 3 },       /* 19 */
    { STOP, 0, 4, 0, 0 },       /* 20 */
};

static __attribute__((noinline)) uint64_t interpret(const Insn *program, uint64_t up_to)
{
    uint64_t r[8] = { 0, up_to };

    for (const Insn *insn = program;; insn++) {
        switch ((Op)insn->op) {
        case LOAD:
            r[insn->to] = (uint64_t)(int64_t)insn->value;
            break;
        case ADD:
            r[insn->to] = r[insn->a] + r[insn->b];
            break;
        case SHIFT:
            r[insn->to] = r[insn->a] >> insn->value;
            break;
        case ODD:
            r[insn->to] = r[insn->a] & 1;
            break;
        case LESS:
            r[insn->to] = r[insn->a] < r[insn->b];
            break;
        case COPY:
            r[insn->to] = r[insn->a];
            break;
        case JUMP:
            insn = program + insn->value - 1;
            break;
        case JUMP_ZERO:
            if (!r[insn->a]) {
                insn = program + insn->value - 1;
            }
            break;
        case TRIPLE:
            r[insn->to] = 3 * r[insn->a] + 1;
            break;
        case STOP:
            return r[insn->a];
        }
    }
}

static uint64_t run_interpreter(uint64_t count)
{
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        sum = mix64(sum, interpret(hailstones, 4000 + (sum & 1)));
    }
    row_end();
    return sum;
}

const Row integer_rows[] = {
    { "records", "M/s", 1500000, 1e-6, run_records },
    { "calls", "ms", 60, 0, run_calls },
    { "sort", "ms", 30, 0, run_sort },
    { "sieve", "ms", 60, 0, run_sieve },
    { "sha256", "MB/s", 200, HASHED * 1e-6, run_sha256 },
    { "interpreter", "ms", 6, 0, run_interpreter },
    { 0 },
};
