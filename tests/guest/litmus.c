/* SPDX-License-Identifier: MIT */
/*
 * Memory ordering between harts (RVWMO, unprivileged spec chapter 17): small races, run many times,
 * counting the outcomes that the model forbids, of which there must be none; what it allows need not
 * be seen. Each variant uses another means of ordering, so that a weak fence shows by name.
 */
#include "guest.h"

#define ROUNDS 4000
#define SLOTS 64

/* Each round has words of its own, on lines of their own. */
typedef struct Slot {
    uint64_t x;
    uint64_t pad0[7];
    uint64_t y;
    uint64_t pad1[7];
} Slot;

static Slot slots[SLOTS] __attribute__((aligned(64)));
static uint64_t results[SLOTS][4][2];

static inline uint64_t load(uint64_t *p)
{
    uint64_t value;

    __asm__ volatile("ld %0, %1" : "=r"(value) : "A"(*p) : "memory");
    return value;
}

static inline void store(uint64_t *p, uint64_t value)
{
    __asm__ volatile("sd %1, %0" : "=A"(*p) : "r"(value) : "memory");
}

static inline void store_release(uint64_t *p, uint64_t value)
{
    __asm__ volatile("amoswap.d.rl x0, %1, %0" : "+A"(*p) : "r"(value) : "memory");
}

static inline uint64_t load_acquire(uint64_t *p)
{
    uint64_t value;

    __asm__ volatile("lr.d.aq %0, %1" : "=r"(value) : "A"(*p) : "memory");
    return value;
}

static inline void store_seq_cst(uint64_t *p, uint64_t value)
{
    __asm__ volatile("amoswap.d.aqrl x0, %1, %0" : "+A"(*p) : "r"(value) : "memory");
}

static inline uint64_t load_seq_cst(uint64_t *p)
{
    uint64_t value;

    __asm__ volatile("lr.d.aqrl %0, %1" : "=r"(value) : "A"(*p) : "memory");
    return value;
}

#define FENCE(what) __asm__ volatile("fence " what ::: "memory")

typedef struct Litmus {
    const char *name;
    unsigned harts;
    void (*thread[4])(Slot *slot, uint64_t *r);
    bool (*forbidden)(uint64_t r[4][2]);
} Litmus;

/* ---- Message passing: data before flag, flag before data. */

static void mp_write_fence(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    FENCE("w, w");
    store(&s->y, 1);
}

static void mp_read_fence(Slot *s, uint64_t *r)
{
    r[0] = load(&s->y);
    FENCE("r, r");
    r[1] = load(&s->x);
}

static void mp_write_release(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    store_release(&s->y, 1);
}

static void mp_read_acquire(Slot *s, uint64_t *r)
{
    r[0] = load_acquire(&s->y);
    r[1] = load(&s->x);
}

static void mp_write_tso(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    __asm__ volatile("fence.tso" ::: "memory");
    store(&s->y, 1);
}

static void mp_read_address(Slot *s, uint64_t *r)
{
    uint64_t flag = load(&s->y);

    /* The second address depends on the first value, in a way the compiler cannot see through. */
    __asm__ volatile("xor t0, %1, %1\n"
                     "add t0, t0, %2\n"
                     "ld %0, 0(t0)"
                     : "=&r"(r[1])
                     : "r"(flag), "r"(&s->x)
                     : "t0", "memory");
    r[0] = flag;
}

static bool mp_forbidden(uint64_t r[4][2])
{
    return r[1][0] == 1 && r[1][1] == 0;
}

/* ---- Store buffering: at least one hart must see the other's store. */

static void sb_x_fence(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    FENCE("rw, rw");
    r[0] = load(&s->y);
}

static void sb_y_fence(Slot *s, uint64_t *r)
{
    store(&s->y, 1);
    FENCE("rw, rw");
    r[0] = load(&s->x);
}

static void sb_x_wr(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    FENCE("w, r");
    r[0] = load(&s->y);
}

static void sb_y_wr(Slot *s, uint64_t *r)
{
    store(&s->y, 1);
    FENCE("w, r");
    r[0] = load(&s->x);
}

static void sb_x_amo(Slot *s, uint64_t *r)
{
    store_seq_cst(&s->x, 1);
    r[0] = load_seq_cst(&s->y);
}

static void sb_y_amo(Slot *s, uint64_t *r)
{
    store_seq_cst(&s->y, 1);
    r[0] = load_seq_cst(&s->x);
}

static bool sb_forbidden(uint64_t r[4][2])
{
    return r[0][0] == 0 && r[1][0] == 0;
}

/* A store stays before an LR with rl, which is no more than a load to the host. */
static void sb_x_lr(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    r[0] = load_seq_cst(&s->y);
}

static void sb_y_lr(Slot *s, uint64_t *r)
{
    store(&s->y, 1);
    r[0] = load_seq_cst(&s->x);
}

/* ---- Load buffering: no value out of thin air, by dependency. */

static void lb_x(Slot *s, uint64_t *r)
{
    r[0] = load(&s->x);
    FENCE("r, w");
    store(&s->y, 1);
}

static void lb_y(Slot *s, uint64_t *r)
{
    r[0] = load(&s->y);
    FENCE("r, w");
    store(&s->x, 1);
}

static bool lb_forbidden(uint64_t r[4][2])
{
    return r[0][0] == 1 && r[1][0] == 1;
}

/* ---- Coherence: two reads of one word do not go back in time. */

static void co_write(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
    store(&s->x, 2);
}

static void co_read(Slot *s, uint64_t *r)
{
    r[0] = load(&s->x);
    r[1] = load(&s->x);
}

static bool co_forbidden(uint64_t r[4][2])
{
    return r[1][0] > r[1][1];
}

/* ---- Independent reads of independent writes: all readers agree on the order of two stores. */

static void iriw_x(Slot *s, uint64_t *r)
{
    store(&s->x, 1);
}

static void iriw_y(Slot *s, uint64_t *r)
{
    store(&s->y, 1);
}

static void iriw_read_xy(Slot *s, uint64_t *r)
{
    r[0] = load(&s->x);
    FENCE("r, r");
    r[1] = load(&s->y);
}

static void iriw_read_yx(Slot *s, uint64_t *r)
{
    r[0] = load(&s->y);
    FENCE("r, r");
    r[1] = load(&s->x);
}

static bool iriw_forbidden(uint64_t r[4][2])
{
    return r[2][0] == 1 && r[2][1] == 0 && r[3][0] == 1 && r[3][1] == 0;
}

static const Litmus litmuses[] = {
    { "message passing, fences", 2, { mp_write_fence, mp_read_fence }, mp_forbidden },
    { "message passing, release and acquire",
      2,
      { mp_write_release, mp_read_acquire },
      mp_forbidden },
    { "message passing, fence.tso", 2, { mp_write_tso, mp_read_fence }, mp_forbidden },
    { "message passing, address dependency", 2, { mp_write_fence, mp_read_address }, mp_forbidden },
    { "store buffering, fence rw,rw", 2, { sb_x_fence, sb_y_fence }, sb_forbidden },
    { "store buffering, fence w,r", 2, { sb_x_wr, sb_y_wr }, sb_forbidden },
    { "store buffering, aqrl", 2, { sb_x_amo, sb_y_amo }, sb_forbidden },
    { "store buffering, lr.aqrl", 2, { sb_x_lr, sb_y_lr }, sb_forbidden },
    { "load buffering, fence r,w", 2, { lb_x, lb_y }, lb_forbidden },
    { "coherence of one word", 2, { co_write, co_read }, co_forbidden },
    { "IRIW, fences", 4, { iriw_x, iriw_y, iriw_read_xy, iriw_read_yx }, iriw_forbidden },
};

/*
 * ---- The harness. Harts meet before every round and leave the gate at once, but for a few random
 * steps, so that their accesses fall into each other's store buffers.
 */
static uint64_t gates[SLOTS];
static const Litmus *current;

static void pass_gate(uint64_t *gate)
{
    unsigned spins = 0;

    __atomic_fetch_add(gate, 1, __ATOMIC_SEQ_CST);
    while (load(gate) != current->harts) {
        /* Whom we wait for may want this processor. */
        if (++spins % 1024 == 0) {
            relax();
        }
    }
}

static void run_thread(void *argument)
{
    unsigned id = (unsigned)this_hart()->id;
    uint64_t state = id * 977 + 1;

    if (id >= current->harts) {
        return;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t wait = random64(&state) & 255;

        pass_gate(&gates[i]);
        while (wait--) {
            __asm__ volatile("nop");
        }
        current->thread[id](&slots[i], results[i][id]);
    }
}

void guest_main(void)
{
    for (unsigned n = 0; n < ARRAY_LENGTH(litmuses); n++) {
        uint64_t forbidden = 0;

        current = &litmuses[n];
        if (current->harts > hart_count()) {
            continue;
        }
        for (unsigned round = 0; round < ROUNDS; round += SLOTS) {
            memset(gates, 0, sizeof(gates));
            memset(slots, 0, sizeof(slots));
            memset(results, 0, sizeof(results));
            hart_run_all(run_thread, NULL);
            for (unsigned i = 0; i < SLOTS; i++) {
                forbidden += current->forbidden(results[i]);
            }
        }
        group(current->name);
        CHECK_EQ(forbidden, 0);
    }
}
