/* SPDX-License-Identifier: MIT */
/*
 * Clocks and timers: stop and resume, monotonic reads under a writer, deadlines in order, stepped
 * time. Time is stepped by hand wherever an order is checked.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "orrery/impl/host-clock.h"
#include "orrery/impl/timers.h"

typedef struct Fixture {
    Timers *timers;
    int64_t now_ns; /* the stepped clock */
    unsigned wakes;
} Fixture;

static int64_t stepped_clock(void *opaque)
{
    return ((Fixture *)opaque)->now_ns;
}

static void set_stepped_clock(void *opaque, int64_t ns)
{
    ((Fixture *)opaque)->now_ns = ns;
}

static void count_wake(void *opaque)
{
    ((Fixture *)opaque)->wakes++;
}

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    TimersHooks hooks = {
        .virtual_clock = stepped_clock,
        .set_virtual_clock = set_stepped_clock,
        .wake = count_wake,
        .opaque = f,
        .wake_opaque = f,
        .stepped = true,
    };

    f->timers = timers_create();
    timers_set_hooks(f->timers, &hooks);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    timers_destroy(f->timers);
    g_free(f);
    return 0;
}

static void test_virtual_stops(void **state)
{
    Timers *timers = timers_create();
    int64_t a, b;

    assert_int_equal(clock_get_ns(timers, CLOCK_KIND_VIRTUAL), 0);
    clocks_start(timers);
    clocks_start(timers);
    a = clock_get_ns(timers, CLOCK_KIND_VIRTUAL);
    while (clock_get_ns(timers, CLOCK_KIND_VIRTUAL) <= a) {
    }
    clocks_stop(timers);
    clocks_stop(timers);
    a = clock_get_ns(timers, CLOCK_KIND_VIRTUAL);
    b = guest_ticks_get(timers);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(clock_get_ns(timers, CLOCK_KIND_VIRTUAL), a);
        assert_int_equal(clock_get_ns(timers, CLOCK_KIND_VIRTUAL_RT), a);
        assert_int_equal(guest_ticks_get(timers), b);
    }
    /* The pause does not show. */
    clocks_start(timers);
    assert_true(clock_get_ns(timers, CLOCK_KIND_VIRTUAL) >= a);
    assert_true(guest_ticks_get(timers) >= b);
    timers_destroy(timers);
}

typedef struct Race {
    Timers *timers;
    uint32_t done;
    uint32_t backwards;
} Race;

static void *read_clocks(void *opaque)
{
    Race *race = opaque;
    int64_t ns = 0, ticks = 0;

    while (!orr_load_acquire(&race->done)) {
        int64_t n = clock_get_ns(race->timers, CLOCK_KIND_VIRTUAL);
        int64_t t = guest_ticks_get(race->timers);

        if (n < ns || t < ticks) {
            orr_fetch_add(&race->backwards, 1u);
        }
        ns = n;
        ticks = t;
    }
    return NULL;
}

static void test_never_backwards(void **state)
{
    Race race = { .timers = timers_create() };
    pthread_t reader[2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&reader[i], NULL, read_clocks, &race), 0);
    }
    for (int i = 0; i < 20000; i++) {
        clocks_start(race.timers);
        clocks_stop(race.timers);
    }
    orr_store_release(&race.done, 1u);
    for (int i = 0; i < 2; i++) {
        pthread_join(reader[i], NULL);
    }
    assert_int_equal(race.backwards, 0);
    timers_destroy(race.timers);
}

typedef struct Shot {
    Timer timer;
    Fixture *fixture;
    int64_t due_ns;
    unsigned fired;
    int64_t seen_ns;
    int64_t rearm_ns; /* 0: no */
} Shot;

static void fire(void *opaque)
{
    Shot *shot = opaque;

    shot->fired++;
    shot->seen_ns = shot->fixture->now_ns;
    if (shot->rearm_ns) {
        timer_arm_ns(&shot->timer, shot->fixture->now_ns + shot->rearm_ns);
    }
}

static void test_step_in_order(void **state)
{
    Fixture *f = *state;
    Shot shots[500];
    uint64_t seed = 12345;

    memset(shots, 0, sizeof(shots));
    for (int i = 0; i < 500; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        shots[i].fixture = f;
        shots[i].due_ns = (int64_t)(seed >> 44);
        timer_init(&shots[i].timer, f->timers, CLOCK_KIND_VIRTUAL, i & 1, "shot", fire, &shots[i]);
        timer_arm_ns(&shots[i].timer, shots[i].due_ns);
    }
    /* Some are moved, some taken off. */
    for (int i = 0; i < 500; i += 5) {
        shots[i].due_ns /= 2;
        timer_arm_ns(&shots[i].timer, shots[i].due_ns);
    }
    for (int i = 1; i < 500; i += 5) {
        timer_disarm(&shots[i].timer);
        assert_false(timer_armed(&shots[i].timer));
    }
    assert_true(clock_step_to(f->timers, 1 << 20));
    for (int i = 0; i < 500; i++) {
        assert_int_equal(shots[i].fired, i % 5 == 1 ? 0 : 1);
        if (i % 5 != 1) {
            /* Time stood at the deadline when it fired: nothing came late, nothing early. */
            assert_int_equal(shots[i].seen_ns, shots[i].due_ns);
        }
        timer_finish(&shots[i].timer);
    }
    assert_int_equal(f->now_ns, 1 << 20);
    assert_int_equal(clock_deadline_ns(f->timers, CLOCK_KIND_VIRTUAL), -1);
}

static void test_periodic_and_stuck(void **state)
{
    Fixture *f = *state;
    Shot periodic = { .fixture = f, .rearm_ns = 10 };
    Shot stuck = { .fixture = f, .rearm_ns = -1 }; /* always in the past */

    timer_init(&periodic.timer, f->timers, CLOCK_KIND_VIRTUAL, true, "periodic", fire, &periodic);
    timer_arm_ns(&periodic.timer, 10);
    assert_true(clock_step_to(f->timers, 1000));
    assert_int_equal(periodic.fired, 100);

    timer_init(&stuck.timer, f->timers, CLOCK_KIND_VIRTUAL, false, "stuck", fire, &stuck);
    timer_arm_ns(&stuck.timer, 1500);
    assert_true(clock_step_to(f->timers, 2000));
    assert_int_equal(f->now_ns, 2000);
    assert_true(stuck.fired > 0);
    timer_finish(&stuck.timer);
    timer_finish(&periodic.timer);
}

static void test_wakes_only_when_earlier(void **state)
{
    Fixture *f = *state;
    Shot a = { .fixture = f }, b = { .fixture = f };

    timer_init(&a.timer, f->timers, CLOCK_KIND_REALTIME, false, "a", fire, &a);
    timer_init(&b.timer, f->timers, CLOCK_KIND_REALTIME, false, "b", fire, &b);
    timer_arm_ns(&a.timer, host_monotonic_ns() + INT64_C(1000000000000));
    assert_int_equal(f->wakes, 1);
    timer_arm_ns(&b.timer, host_monotonic_ns() + INT64_C(2000000000000));
    assert_int_equal(f->wakes, 1);
    timer_arm_ns(&b.timer, host_monotonic_ns() + INT64_C(500000000000));
    assert_int_equal(f->wakes, 2);
    assert_true(timers_next_ns(f->timers) > 0);
    assert_false(timers_run_locked(f->timers));
    timer_arm_ns(&a.timer, 0);
    assert_int_equal(timers_next_ns(f->timers), 0);
    assert_true(timers_run_locked(f->timers));
    assert_int_equal(a.fired, 1);
    timer_finish(&a.timer);
    timer_finish(&b.timer);
}

static void test_stopped_clock_holds_timers(void **state)
{
    Timers *timers = timers_create();
    Fixture f = { .timers = timers };
    Shot shot = { .fixture = &f };

    timer_init(&shot.timer, timers, CLOCK_KIND_VIRTUAL, true, "shot", fire, &shot);
    timer_arm_ns(&shot.timer, 0);
    assert_int_equal(timers_next_ns(timers), -1);
    assert_false(timers_run_lockless(timers));
    clocks_start(timers);
    assert_int_equal(timers_next_ns(timers), 0);
    assert_true(timers_run_lockless(timers));
    assert_int_equal(shot.fired, 1);
    timer_finish(&shot.timer);
    timers_destroy(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual_stops),
        cmocka_unit_test(test_never_backwards),
        cmocka_unit_test_setup_teardown(test_step_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_periodic_and_stuck, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wakes_only_when_earlier, setup, teardown),
        cmocka_unit_test(test_stopped_clock_holds_timers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
