/* SPDX-License-Identifier: MIT */
/*
 * Executes random instructions and prints what became of the registers and memory, as hashes. Run
 * with the same arguments under two emulators, or two accelerators, it must print the same. The idea to
 * hold: nothing here knows what an instruction does; the patterns come from the decoder's files, and
 * random fields are steered only as far as it takes to stay alive: memory operands point into `data`
 * most of the time, branches go forward, loops count down a register that nothing else writes.
 *
 * Arguments, in -append: seed=N, count=N sequences, verbose=FIRST (every state from there on).
 */
#include "paging.h"

typedef enum Kind {
    KIND_PLAIN,
    KIND_FLOAT,
    KIND_MEMORY,
    KIND_ATOMIC,
    KIND_BRANCH,
    KIND_JUMP,
    KIND_CSR,
    KIND_FENCE,
} Kind;

typedef enum Dest { DEST_NONE, DEST_AT_7, DEST_AT_7_PRIME, DEST_AT_2_PRIME, DEST_SP } Dest;

typedef struct Pattern {
    const char *name;
    uint32_t mask, value;
    uint8_t length;
    uint8_t kind, dest;
    uint8_t mem_bytes;
    uint8_t stores;
} Pattern;

#include "random-patterns.h"

#define MAX_INSNS 160
#define MAX_TRAPS 200
#define CONTEXT_FCSR 64

/* Registers that point into data: sp, and those that compressed loads can use. */
#define IS_POINTER(r) ((r) == 2 || ((r) >= 8 && (r) <= 11))
#define LOOP_REGISTER 5

#define DATA_VA 0x1000000000ul
#define DATA_PAGES 8

/* Offsets reach beyond data, and nothing but this may be there. */
static struct {
    uint8_t below[PAGE_BYTES], data[DATA_PAGES * PAGE_BYTES], above[PAGE_BYTES];
} memory __attribute__((aligned(PAGE_BYTES)));

#define data memory.data
static uint16_t code[4096] __attribute__((aligned(PAGE_BYTES)));
static uint64_t context[65], result[65];

static uint64_t rng;
static unsigned code_length; /* halfwords */
static uint64_t traps, trap_hash, code_distance;

static unsigned below(unsigned limit)
{
    return (unsigned)(random64(&rng) >> 33) % limit;
}

/* x and f registers from context, fcsr with them, then to where x31 says. a0: the context. */
CODE(
    load_context,
    "ld t0, 64*8(a0)\n fscsr t0\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "fld f\\n, 256+8*\\n(a0)\n .endr\n"
    ".irp n,1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "ld x\\n, 8*\\n(a0)\n .endr\n"
    "ld a0, 80(a0)\n"
    "jr x31");

static void save_floats(uint64_t *to)
{
    __asm__ volatile(
        "frcsr t0\n sd t0, 32*8(%0)\n"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "fsd f\\n, 8*\\n(%0)\n .endr\n" ::"r"(to)
        : "t0", "memory");
}

/* ---- Encodings. */

static uint32_t branch_bits(uint32_t insn, unsigned length, int32_t off)
{
    uint32_t o = (uint32_t)off;

    if (length == 4) {
        return (insn & 0x01fff07f) | (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 |
               (o >> 1 & 0xf) << 8 | (o >> 11 & 1) << 7;
    }
    return (insn & 0xe383) | (o >> 8 & 1) << 12 | (o >> 3 & 3) << 10 | (o >> 6 & 3) << 5 |
           (o >> 1 & 3) << 3 | (o >> 5 & 1) << 2;
}

static uint32_t jump_bits(uint32_t insn, unsigned length, int32_t off)
{
    uint32_t o = (uint32_t)off;

    if (length == 4) {
        return (insn & 0xfff) | (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 |
               (o >> 12 & 0xff) << 12;
    }
    return (insn & 0xe003) | (o >> 11 & 1) << 12 | (o >> 4 & 1) << 11 | (o >> 8 & 3) << 9 |
           (o >> 10 & 1) << 8 | (o >> 6 & 1) << 7 | (o >> 7 & 1) << 6 | (o >> 1 & 7) << 3 |
           (o >> 5 & 1) << 2;
}

static const uint16_t csrs[] = { 0x001, 0x002, 0x003, 0x343, 0x140, 0xc02, 0xb02, 0x141, 0x143 };

static bool dest_ok(const Pattern *p, uint32_t insn)
{
    unsigned reg;

    switch (p->dest) {
    case DEST_NONE:
        return true;
    case DEST_AT_7:
        reg = insn >> 7 & 31;
        break;
    case DEST_AT_7_PRIME:
        reg = 8 + (insn >> 7 & 7);
        break;
    case DEST_AT_2_PRIME:
        reg = 8 + (insn >> 2 & 7);
        break;
    default:
        return false;
    }
    if (IS_POINTER(reg) && p->kind == KIND_MEMORY && p->mem_bytes <= 2) {
        return below(4) == 0; /* what such a load gives is the address of nothing */
    }
    return reg != LOOP_REGISTER && !IS_POINTER(reg);
}

/* Random fields, steered. */
static uint32_t fill(const Pattern *p)
{
    for (;;) {
        uint32_t insn = ((uint32_t)random64(&rng) & ~p->mask) | p->value;

        if (p->length == 2) {
            insn &= 0xffff;
        }
        /* What may store does so to data alone: the program itself lies in reach. */
        if ((p->kind == KIND_MEMORY || p->kind == KIND_ATOMIC) && (p->stores || below(24) != 0)) {
            if (p->length == 4) {
                insn = (insn & ~(31u << 15)) | (below(5) == 0 ? 2u : 8u + below(4)) << 15;
            } else if (!(p->mask & 1u << 9) && (insn & 3) == 0) {
                insn &= ~(1u << 9);
            }
        }
        if (p->kind == KIND_CSR && below(8) != 0) {
            insn = (insn & 0xfffff) | (uint32_t)csrs[below(ARRAY_LENGTH(csrs))] << 20;
        } else if (p->kind == KIND_CSR) {
            insn = (insn & 0xfffff) | (0xc80u + below(64)) << 20; /* there is none on RV64 */
        }
        /* Few registers, so that results are used. */
        if (p->kind == KIND_PLAIN && p->length == 4 && (p->mask & 0xf8000) == 0 && below(2)) {
            insn = (insn & ~(31u << 15)) | (12u + below(6)) << 15;
        }
        if (p->kind == KIND_FLOAT && below(2)) {
            insn = (insn & ~((31u << 15) & ~p->mask)) | ((below(6) << 15) & ~p->mask);
            if (below(4)) { /* dynamic rounding, where that is a field */
                insn |= 7u << 12 & ~p->mask;
            }
        }
        insn = (insn & ~p->mask) | p->value;
        /* c.mv and c.add without a source are jumps to anywhere. */
        if (dest_ok(p, insn) && (p->length == 4 || (insn & 0xe07f) != 0x8002)) {
            return insn;
        }
    }
}

/* ---- One sequence. */

static uint16_t at[MAX_INSNS + 1];   /* halfword where instruction n begins */
static const Pattern *of[MAX_INSNS]; /* NULL: of a loop's frame */
static uint32_t bits[MAX_INSNS];

static void put(unsigned n, const Pattern *p, uint32_t insn, unsigned length)
{
    of[n] = p;
    bits[n] = insn;
    at[n + 1] = (uint16_t)(at[n] + length / 2);
}

static const Pattern *pick(unsigned style)
{
    for (;;) {
        const Pattern *p = &patterns[below(ARRAY_LENGTH(patterns))];
        unsigned keep = 8;

        switch (p->kind) {
        case KIND_FENCE:
            keep = 1;
            break;
        case KIND_CSR:
            keep = 2;
            break;
        case KIND_ATOMIC:
            keep = style & 4 ? 8 : 1;
            break;
        case KIND_FLOAT:
            keep = style & 1 ? 8 : 0;
            break;
        case KIND_MEMORY:
            keep = style & 2 ? 16 : 8;
            break;
        default:
            break;
        }
        if (p->dest != DEST_SP && below(16) < keep) {
            return p;
        }
    }
}

static void generate(void)
{
    unsigned n = 0, wanted = 8 + below(120), style = below(8);
    unsigned loop_start = 0, loop_end = 0;

    at[0] = (uint16_t)(below(4) == 0 ? 2040 - below(60) : below(64)); /* across a page's end */
    while (n < wanted) {
        const Pattern *p;

        if (n > loop_end && n + 24 < wanted && below(12) == 0) {
            unsigned rounds = below(10) == 0 ? 600 : 1 + below(40);

            put(n, NULL, rounds << 20 | LOOP_REGISTER << 7 | 0x13, 4);
            n++;
            loop_start = n;
            /* Counting down comes first, so that no branch in the loop jumps over it. */
            put(n, NULL, 0xfffu << 20 | LOOP_REGISTER << 15 | LOOP_REGISTER << 7 | 0x13, 4);
            n++;
            loop_end = n + 2 + below(18);
        }
        p = pick(style);
        put(n, p, fill(p), p->length);
        n++;
        if (loop_end != 0 && n == loop_end) {
            /* blt x0, x5: a loop that is entered in the middle ends too. */
            put(n, NULL,
                branch_bits(LOOP_REGISTER << 20 | 4u << 12 | 0x63, 4,
                            2 * ((int32_t)at[loop_start] - (int32_t)at[n])),
                4);
            n++;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (of[i] && (of[i]->kind == KIND_BRANCH || of[i]->kind == KIND_JUMP)) {
            unsigned target = i + 1 + below(10);
            int32_t off = 2 * ((int32_t)at[target > n ? n : target] - (int32_t)at[i]);

            bits[i] = of[i]->kind == KIND_BRANCH ? branch_bits(bits[i], of[i]->length, off)
                                                 : jump_bits(bits[i], of[i]->length, off);
        }
        code[at[i]] = (uint16_t)bits[i];
        if (at[i + 1] - at[i] == 2) {
            code[at[i] + 1] = (uint16_t)(bits[i] >> 16);
        }
    }
    code[at[n]] = 0x0073; /* ecall */
    code[at[n] + 1] = 0;
    code_length = at[n] + 2u;
    __asm__ volatile("fence.i" ::: "memory");
}

/* Values that arithmetic has an eye for. */
static uint64_t interesting(void)
{
    static const uint64_t values[] = {
        0,
        1,
        2,
        63,
        64,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0xffffffff80000000,
        0xffffffff7fffffff,
    };

    switch (below(4)) {
    case 0:
        return values[below(ARRAY_LENGTH(values))];
    case 1:
        return random64(&rng) >> below(64);
    case 2:
        return (uint64_t)((int64_t)random64(&rng) >> below(64));
    default:
        return random64(&rng);
    }
}

static uint64_t interesting_float(void)
{
    static const uint64_t values[] = {
        0,
        0x8000000000000000,
        0x3ff0000000000000,
        0xbff0000000000000,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x7ff0000000000001,
        0xfff8000000000001,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x7fefffffffffffff,
        0x43e0000000000000,
        0xc3e0000000000000,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x4340000000000001,
        0xffffffff3f800000,
        0xffffffff7f800000,
        0xffffffff7fc00000,
        0xffffffff7f800001,
        0xffffffff00000001,
        0xffffffff007fffff,
        0xffffffff7f7fffff,
        0xffffffff4f000000,
        0xffffffff5f000000,
        0xffffffff80000000,
        0xffffffffbf800000,
        0x3f800000,
    };

    switch (below(4)) {
    case 0:
        return values[below(ARRAY_LENGTH(values))];
    case 1: /* of moderate size, so that sums and products do not overflow */
        return (random64(&rng) & 0x800fffffffffffff) | (uint64_t)(0x3e0 + below(64)) << 52;
    case 2:
        return 0xffffffff00000000 | ((uint32_t)random64(&rng) & 0x807fffff) |
               (uint64_t)(0x70 + below(32)) << 23;
    default:
        return random64(&rng);
    }
}

static uint64_t pointer(uint64_t base)
{
    uint64_t page = below(DATA_PAGES) * PAGE_BYTES;

    switch (below(4)) {
    case 0:
        return base + page + below(PAGE_BYTES);
    case 1: /* about a page's end */
        return base + page + PAGE_BYTES - 16 + below(32);
    default:
        return base + page + (below(PAGE_BYTES) & ~7u);
    }
}

static bool on_trap(Hart *hart, TrapFrame *frame)
{
    uint64_t paddr = frame->epc - code_distance;

    if (frame->cause >= CAUSE_ECALL_U && frame->cause <= CAUSE_ECALL_M) {
        return false;
    }
    trap_hash = mix64(mix64(mix64(trap_hash, frame->cause), paddr - (uint64_t)code), frame->tval);
    if (++traps > MAX_TRAPS || paddr < (uint64_t)code || paddr >= (uint64_t)code + sizeof(code)) {
        return false;
    }
    frame->epc += (*(const uint16_t *)paddr & 3) == 3 ? 4 : 2;
    return true;
}

static void fill_context(uint64_t data_base, uint64_t entry)
{
    for (unsigned i = 0; i < 32; i++) {
        context[i] = IS_POINTER(i) ? pointer(data_base) : interesting();
        context[32 + i] = interesting_float();
    }
    context[LOOP_REGISTER] = below(4);
    context[31] = entry;
    context[CONTEXT_FCSR] = (below(4) == 0 ? below(5) : 0) << 5 | below(32);
}

static uint64_t run_once(unsigned priv, uint64_t distance, uint64_t data_base)
{
    Hart *hart = this_hart();
    uint64_t hash = 1, before, after;
    TrapRecord record;

    fill_context(data_base, (uint64_t)&code[at[0]] + distance);
    code_distance = distance;
    traps = 0;
    trap_hash = 1;
    hart->m_hook = on_trap;
    csr_write(minstret, 0); /* what polling of the console cost must not show */
    before = csr_read(minstret);
    record = run_in(priv, load_context, (uint64_t)context + distance, 0, 0);
    after = csr_read(minstret);
    save_floats(result + 32);
    csr_write(fcsr, 0);
    hart->m_hook = NULL;
    for (unsigned i = 0; i < 32; i++) {
        result[i] = hart->m.x[i];
    }
    for (unsigned i = 1; i <= 64; i++) {
        hash = mix64(hash, result[i]);
    }
    hash = mix64(mix64(hash, trap_hash), after - before);
    return mix64(mix64(hash, record.cause), record.epc - (uint64_t)code);
}

static uint64_t data_hash(void)
{
    uint64_t hash = 7;

    for (unsigned i = 0; i < sizeof(data) / 8; i++) {
        hash = mix64(hash, ((const uint64_t *)data)[i]);
    }
    return hash;
}

static void print_state(uint64_t sequence, unsigned priv)
{
    print("sequence %lu priv %u traps %lu\n", sequence, priv, traps);
    for (unsigned i = 0; i < 65; i++) {
        print("%s%u %lx%c",
              i < 32   ? "x"
              : i < 64 ? "f"
                       : "fcsr",
              i % 32, result[i], i % 4 == 3 || i == 64 ? '\n' : ' ');
    }
    for (unsigned i = at[0]; i < code_length; i++) {
        print("%04x%c", code[i], (i - at[0]) % 16 == 15 || i + 1 == code_length ? '\n' : ' ');
    }
}

/* ---- Arguments. */

static uint64_t argument(const char *name, uint64_t otherwise)
{
    const uint8_t *fdt = guest_fdt;
    size_t length = 0;
    uint32_t total =
        (uint32_t)fdt[4] << 24 | (uint32_t)fdt[5] << 16 | (uint32_t)fdt[6] << 8 | fdt[7];

    while (name[length]) {
        length++;
    }
    for (uint32_t i = 0; i + length < total; i++) {
        if (memcmp(fdt + i, name, length) == 0 && fdt[i + length] == '=') {
            uint64_t value = 0;

            for (i += (uint32_t)length + 1; fdt[i] >= '0' && fdt[i] <= '9'; i++) {
                value = value * 10 + (fdt[i] - '0');
            }
            return value;
        }
    }
    return otherwise;
}

/* Two pages that can all be done with, then one each that is short of something. */
static void map_data(const Space *space, uint64_t user)
{
    static const uint64_t flags[DATA_PAGES] = {
        PTE_ALL,          PTE_ALL, PTE_V | PTE_R | PTE_A | PTE_D, 0, PTE_ALL, PTE_ALL & ~PTE_D,
        PTE_ALL & ~PTE_A, PTE_ALL,
    };

    for (unsigned i = 0; i < DATA_PAGES; i++) {
        space_map(space, DATA_VA + i * PAGE_BYTES, (uint64_t)data + i * PAGE_BYTES, 0,
                  flags[i] | (flags[i] ? user : 0));
    }
}

void guest_main(void)
{
    uint64_t seed = argument("seed", 1), count = argument("count", 200);
    uint64_t verbose = argument("verbose", UINT64_MAX), repeat = argument("repeat", 12);
    uint64_t hash = 1;
    Space space[2];

    rng = seed * 0x9e3779b97f4a7c15 | 1;
    paging_reset();
    for (unsigned i = 0; i < 2; i++) {
        space[i] = space_create(MODE_SV39, (uint16_t)(i + 1));
        map_data(&space[i], i ? PTE_U : 0);
    }
    run_set_alias(USER_ALIAS);
    for (unsigned i = 0; i < sizeof(data) / 8; i++) {
        ((uint64_t *)data)[i] = interesting();
    }
    for (uint64_t sequence = 0; sequence < count; sequence++) {
        static const uint8_t privs[] = { PRIV_M, PRIV_S, PRIV_U };
        unsigned which = below(3), priv = privs[which];

        generate();
        csr_write(satp, which ? space_satp(&space[which - 1]) : 0);
        for (uint64_t i = 0; i < repeat; i++) {
            hash = mix64(hash, run_once(priv, priv == PRIV_U ? USER_ALIAS : 0,
                                        which ? DATA_VA : (uint64_t)data));
            if (sequence >= verbose) {
                print_state(sequence, priv);
                print("data %lx hash %lx\n", data_hash(), hash);
            }
        }
        csr_write(satp, 0);
        hash = mix64(hash, data_hash());
        if (sequence % 16 == 15 || sequence >= verbose) {
            print("%lu %lx\n", sequence, hash);
        }
    }
    print("seed %lu count %lu hash %lx\n", seed, count, hash);
    power_off(0);
}
