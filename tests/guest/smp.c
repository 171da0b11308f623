/* SPDX-License-Identifier: MIT */
/*
 * Harts that contend for the same words: every AMO in both widths, LR/SC loops, three kinds of lock,
 * barriers. Each result is one that does not depend on the order of events, so a lost update shows as
 * a wrong number.
 */
#include "guest.h"

#define ROUNDS 4000

static unsigned harts_here;
static Barrier barrier;

/* ---- AMOs. Each hart adds, toggles, sets, clears and offers values of its own. */

typedef struct Cells {
    uint64_t add, xor, or, and, min, max, minu, maxu, swap;
} Cells;

static Cells wide, narrow; /* narrow uses the lower words, the upper ones must not change */
static uint64_t swapped_out[MAX_HARTS][2];

#define AMO(name, width, cell, value)                                                              \
    ({                                                                                             \
        uint64_t old_;                                                                             \
        __asm__ volatile("amo" #name "." #width " %0, %2, %1"                                      \
                         : "=r"(old_), "+A"(cell)                                                  \
                         : "r"((uint64_t)(value))                                                  \
                         : "memory");                                                              \
        old_;                                                                                      \
    })

static void amos(void *argument)
{
    uint64_t id = this_hart()->id;
    uint64_t state = id + 1;
    uint64_t out[2] = { 0, 0 };

    barrier_wait(&barrier, harts_here);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t r = random64(&state);

        AMO(add, d, wide.add, r);
        AMO(xor, d, wide.xor, r);
        AMO(or, d, wide.or, r & 0x5555555555555555 << (id & 1));
        AMO(and, d, wide.and, r | ~(uint64_t)0xffff);
        AMO(min, d, wide.min, r);
        AMO(max, d, wide.max, r);
        AMO(minu, d, wide.minu, r);
        AMO(maxu, d, wide.maxu, r);
        /* Values are conserved: what is swapped in comes out once, or is left. */
        out[0] += AMO(swap, d, wide.swap, r) - r;
        AMO(add, w, narrow.add, r);
        AMO(xor, w, narrow.xor, r);
        AMO(or, w, narrow.or, r & 0x5555555555555555 << (id & 1));
        AMO(and, w, narrow.and, r | ~(uint64_t)0xffff);
        AMO(min, w, narrow.min, r);
        AMO(max, w, narrow.max, r);
        AMO(minu, w, narrow.minu, r);
        AMO(maxu, w, narrow.maxu, r);
        out[1] += (uint32_t)AMO(swap, w, narrow.swap, r) - (uint32_t)r;
    }
    swapped_out[id][0] = out[0];
    swapped_out[id][1] = out[1];
}

static Cells expected(bool is_narrow)
{
    Cells c = {
        .and = UINT64_MAX, .min = INT64_MAX, .max = (uint64_t)INT64_MIN, .minu = UINT64_MAX
    };
    int32_t min = INT32_MAX, max = INT32_MIN;
    uint32_t minu = UINT32_MAX, maxu = 0;

    for (unsigned id = 0; id < harts_here; id++) {
        uint64_t state = id + 1;

        for (unsigned i = 0; i < ROUNDS; i++) {
            uint64_t r = random64(&state);

            c.add += r;
            c.xor ^= r;
            c.or |= r & 0x5555555555555555 << (id & 1);
            c.and &= r | ~(uint64_t)0xffff;
            c.min = (int64_t)r < (int64_t)c.min ? r : c.min;
            c.max = (int64_t)r > (int64_t)c.max ? r : c.max;
            c.minu = r < c.minu ? r : c.minu;
            c.maxu = r > c.maxu ? r : c.maxu;
            min = (int32_t)r < min ? (int32_t)r : min;
            max = (int32_t)r > max ? (int32_t)r : max;
            minu = (uint32_t)r < minu ? (uint32_t)r : minu;
            maxu = (uint32_t)r > maxu ? (uint32_t)r : maxu;
        }
    }
    if (is_narrow) {
        c.add = (uint32_t)c.add;
        c.xor = (uint32_t)c.xor ;
        c.or = (uint32_t)c.or ;
        c.and = (uint32_t)c.and | 0xabcdef0000000000;
        c.min = (uint32_t)min | 0xabcdef0000000000;
        c.max = (uint32_t)max;
        c.minu = minu;
        c.maxu = maxu;
    }
    return c;
}

static void check_amos(void)
{
    Cells want;
    uint64_t left[2];

    group("amo counters");
    wide = (Cells){
        .and = UINT64_MAX, .min = INT64_MAX, .max = (uint64_t)INT64_MIN, .minu = UINT64_MAX
    };
    narrow = (Cells){
        .and = 0xabcdef00ffffffff, .min = 0xabcdef007fffffff, .max = 0x80000000, .minu = 0xffffffff
    };
    hart_run_all(amos, NULL);
    want = expected(false);
    CHECK_EQ(wide.add, want.add);
    CHECK_EQ(wide.xor, want.xor);
    CHECK_EQ(wide.or, want.or);
    CHECK_EQ(wide.and, want.and);
    CHECK_EQ(wide.min, want.min);
    CHECK_EQ(wide.max, want.max);
    CHECK_EQ(wide.minu, want.minu);
    CHECK_EQ(wide.maxu, want.maxu);
    want = expected(true);
    CHECK_EQ(narrow.add, want.add);
    CHECK_EQ(narrow.xor, want.xor);
    CHECK_EQ(narrow.or, want.or);
    CHECK_EQ(narrow.and, want.and);
    CHECK_EQ(narrow.min, want.min);
    CHECK_EQ(narrow.max, want.max);
    CHECK_EQ(narrow.minu, want.minu);
    CHECK_EQ(narrow.maxu, want.maxu);
    left[0] = wide.swap;
    left[1] = narrow.swap;
    for (unsigned id = 0; id < harts_here; id++) {
        left[0] += swapped_out[id][0];
        left[1] += swapped_out[id][1];
    }
    CHECK_EQ(left[0], 0);
    CHECK_EQ((uint32_t)left[1], 0);
    CHECK_EQ(narrow.swap >> 32, 0);
}

/* ---- LR/SC. */

static uint64_t counter_d, failures;
static uint32_t counter_w[2];

static void lr_sc(void *argument)
{
    uint64_t fails = 0;

    barrier_wait(&barrier, harts_here);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t old, failed;

        do {
            __asm__ volatile("lr.d.aqrl %0, %2\n"
                             "addi %0, %0, 1\n"
                             "sc.d.aqrl %1, %0, %2"
                             : "=&r"(old), "=&r"(failed), "+A"(counter_d)
                             :
                             : "memory");
            fails += failed;
        } while (failed);
        do {
            __asm__ volatile("lr.w %0, %2\n"
                             "addi %0, %0, 3\n"
                             "sc.w %1, %0, %2"
                             : "=&r"(old), "=&r"(failed), "+A"(counter_w[1])
                             :
                             : "memory");
        } while (failed);
    }
    __atomic_fetch_add(&failures, fails, __ATOMIC_RELAXED);
}

static uint64_t sc_after_store(uint64_t *cell)
{
    uint64_t old, failed;

    /* A store of this hart to the word may or may not end the reservation; the value must hold. */
    __asm__ volatile("lr.d %0, %2\n"
                     "sc.d %1, %0, %2"
                     : "=&r"(old), "=&r"(failed), "+A"(*cell)
                     :
                     : "memory");
    return failed;
}

static uint64_t sc_alone(uint64_t *cell)
{
    uint64_t failed;

    __asm__ volatile("sc.d %0, x0, %1" : "=&r"(failed), "+A"(*cell) : : "memory");
    return failed;
}

static uint64_t sc_elsewhere(uint64_t *a, uint64_t *b)
{
    uint64_t old, failed;

    __asm__ volatile("lr.d %0, %2\n"
                     "sc.d %1, x0, %3"
                     : "=&r"(old), "=&r"(failed), "+A"(*a), "+A"(*b)
                     :
                     : "memory");
    return failed;
}

static void check_lr_sc(void)
{
    uint64_t cells[16] = { 5, 6 };

    group("lr and sc");
    hart_run_all(lr_sc, NULL);
    CHECK_EQ(counter_d, (uint64_t)ROUNDS * harts_here);
    CHECK_EQ(counter_w[1], 3 * ROUNDS * harts_here);
    CHECK_EQ(counter_w[0], 0);
    CHECK_EQ(sc_after_store(&cells[0]), 0);
    CHECK_EQ(cells[0], 5);
    /* sc pairs with the last lr only, and only once. */
    CHECK(sc_alone(&cells[0]) != 0);
    CHECK_EQ(cells[0], 5);
    CHECK(sc_elsewhere(&cells[0], &cells[15]) != 0);
    CHECK_EQ(cells[15], 0);
}

/* ---- Locks. */

typedef struct Locked {
    uint32_t swap_lock;
    uint32_t next_ticket, now_serving;
    uint32_t lr_lock;
    uint64_t a, b, hash; /* a + b is constant whenever a lock is free */
    uint64_t seen_torn;
} Locked;

static Locked locked;
static unsigned lock_kind;

static void lock(void)
{
    switch (lock_kind) {
    case 0:
        for (;;) {
            uint64_t was;

            __asm__ volatile("amoswap.w.aq %0, %2, %1"
                             : "=r"(was), "+A"(locked.swap_lock)
                             : "r"(1)
                             : "memory");
            if (!was) {
                return;
            }
            relax();
        }
    case 1: {
        uint32_t mine = __atomic_fetch_add(&locked.next_ticket, 1, __ATOMIC_RELAXED);

        while (__atomic_load_n(&locked.now_serving, __ATOMIC_ACQUIRE) != mine) {
            relax();
        }
        return;
    }
    default:
        for (;;) {
            uint64_t was, failed;

            __asm__ volatile("lr.w.aq %0, %2\n"
                             "li %1, 1\n"
                             "bnez %0, 1f\n"
                             "sc.w %1, %3, %2\n"
                             "1:"
                             : "=&r"(was), "=&r"(failed), "+A"(locked.lr_lock)
                             : "r"(1)
                             : "memory");
            if (!failed) {
                return;
            }
            relax();
        }
    }
}

static void unlock(void)
{
    switch (lock_kind) {
    case 0:
        __asm__ volatile("amoswap.w.rl x0, x0, %0" : "+A"(locked.swap_lock) : : "memory");
        break;
    case 1:
        __atomic_store_n(&locked.now_serving, locked.now_serving + 1, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n(&locked.lr_lock, 0, __ATOMIC_RELEASE);
        break;
    }
}

#define LOCK_ROUNDS 400

static void use_lock(void *argument)
{
    uint64_t state = this_hart()->id + 77;

    barrier_wait(&barrier, harts_here);
    for (unsigned i = 0; i < LOCK_ROUNDS; i++) {
        uint64_t amount = random64(&state);

        lock();
        if (locked.a + locked.b != 1000) {
            locked.seen_torn++;
        }
        locked.a -= amount;
        locked.hash++;
        locked.b += amount;
        unlock();
    }
}

static void check_locks(void)
{
    static const char *const names[] = { "amoswap lock", "ticket lock", "lr/sc lock" };

    for (lock_kind = 0; lock_kind < ARRAY_LENGTH(names); lock_kind++) {
        group(names[lock_kind]);
        locked = (Locked){ .a = 1000 };
        hart_run_all(use_lock, NULL);
        CHECK_EQ(locked.seen_torn, 0);
        CHECK_EQ(locked.a + locked.b, 1000);
        CHECK_EQ(locked.hash, (uint64_t)LOCK_ROUNDS * harts_here);
    }
}

/* ---- Barriers: rounds in which each hart reads what its neighbour wrote in the one before. */

#define BARRIER_ROUNDS 500

static volatile uint64_t lanes[2][MAX_HARTS];

static void march(void *argument)
{
    unsigned id = (unsigned)this_hart()->id;
    unsigned left = (id + harts_here - 1) % harts_here;

    lanes[0][id] = id + 1;
    barrier_wait(&barrier, harts_here);
    for (unsigned i = 0; i < BARRIER_ROUNDS; i++) {
        lanes[~i & 1][id] = mix64(lanes[i & 1][left], i);
        barrier_wait(&barrier, harts_here);
    }
}

static void check_barriers(void)
{
    bool ok = true;

    group("barriers");
    hart_run_all(march, NULL);
    for (unsigned id = 0; id < harts_here; id++) {
        unsigned from = (id + harts_here * BARRIER_ROUNDS - BARRIER_ROUNDS) % harts_here;
        uint64_t want = from + 1;

        for (unsigned i = 0; i < BARRIER_ROUNDS; i++) {
            want = mix64(want, i);
        }
        ok &= lanes[BARRIER_ROUNDS & 1][id] == want;
    }
    CHECK(ok);
}

void guest_main(void)
{
    harts_here = hart_count();
    check_amos();
    check_lr_sc();
    check_locks();
    check_barriers();
}
