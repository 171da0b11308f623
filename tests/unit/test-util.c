/* SPDX-License-Identifier: MIT */
/*
 * Locks, parking, epochs, host clock and log. Threads meet by what is tested, never by waiting some
 * time; a deadline in the past stands for one that passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "orrery/impl/epoch.h"
#include "orrery/impl/error.h"
#include "orrery/impl/host-clock.h"
#include "orrery/impl/lock.h"
#include "orrery/impl/log.h"

static void run_threads(unsigned count, void *(*fn)(void *), void *data)
{
    pthread_t thread[16];

    assert_true(count <= G_N_ELEMENTS(thread));
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, fn, data), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void error_is_made_or_not(void **state)
{
    GError *error = NULL;

    assert_false(orr_fail(NULL, ORR_ERROR_IO, "nobody asks"));
    assert_false(orr_fail(&error, ORR_ERROR_INVALID, "%s %d", "seven", 7));
    assert_true(g_error_matches(error, ORR_ERROR, ORR_ERROR_INVALID));
    assert_string_equal(error->message, "seven 7");
    g_error_free(error);
}

static void *ask_held(void *data)
{
    return GINT_TO_POINTER(orr_mutex_held(data));
}

static void mutex_knows_its_holder(void **state)
{
    OrrMutex mutex;
    pthread_t thread;
    void *held;

    orr_mutex_init(&mutex, "test");
    assert_false(orr_mutex_held(&mutex));
    orr_mutex_lock(&mutex);
    assert_true(orr_mutex_held(&mutex));
    assert_int_equal(pthread_create(&thread, NULL, ask_held, &mutex), 0);
    pthread_join(thread, &held);
    assert_null(held);
    orr_mutex_unlock(&mutex);
    assert_false(orr_mutex_held(&mutex));
    assert_true(orr_mutex_trylock(&mutex));
    assert_true(orr_mutex_held(&mutex));
    orr_mutex_unlock(&mutex);
    orr_mutex_finish(&mutex);
}

static void *try_lock(void *data)
{
    return GINT_TO_POINTER(orr_mutex_trylock(data));
}

static void trylock_gives_way(void **state)
{
    OrrMutex mutex;
    pthread_t thread;
    void *got;

    orr_mutex_init(&mutex, "test");
    orr_mutex_lock(&mutex);
    assert_int_equal(pthread_create(&thread, NULL, try_lock, &mutex), 0);
    pthread_join(thread, &got);
    assert_null(got);
    orr_mutex_unlock(&mutex);
    orr_mutex_finish(&mutex);
}

typedef struct CondTest {
    OrrMutex mutex;
    OrrCond cond;
    unsigned turn;
} CondTest;

static void *take_turns(void *data)
{
    CondTest *test = data;

    orr_mutex_lock(&test->mutex);
    for (unsigned i = 0; i < 1000; i++) {
        while (test->turn % 2 == 0) {
            orr_cond_wait(&test->cond, &test->mutex);
            assert_true(orr_mutex_held(&test->mutex));
        }
        test->turn++;
        orr_cond_signal(&test->cond);
    }
    orr_mutex_unlock(&test->mutex);
    return NULL;
}

static void condition_variables_hand_over(void **state)
{
    CondTest test = { .turn = 0 };
    pthread_t thread;

    orr_mutex_init(&test.mutex, "test");
    orr_cond_init(&test.cond);
    assert_int_equal(pthread_create(&thread, NULL, take_turns, &test), 0);
    orr_mutex_lock(&test.mutex);
    for (unsigned i = 0; i < 1000; i++) {
        test.turn++;
        orr_cond_broadcast(&test.cond);
        while (test.turn % 2) {
            assert_true(orr_cond_wait_until(&test.cond, &test.mutex, INT64_MAX));
        }
    }
    assert_false(orr_cond_wait_until(&test.cond, &test.mutex, host_monotonic_ns() - 1));
    assert_true(orr_mutex_held(&test.mutex));
    orr_mutex_unlock(&test.mutex);
    pthread_join(thread, NULL);
    orr_cond_finish(&test.cond);
    orr_mutex_finish(&test.mutex);
}

static void a_token_is_remembered_once(void **state)
{
    OrrPark park = { 0 };

    assert_false(orr_unpark(&park));
    assert_false(orr_unpark(&park));
    assert_true(orr_park(&park, -1));
    assert_false(orr_park(&park, host_monotonic_ns() - 1));
    assert_false(orr_park(&park, 0));
    assert_false(orr_unpark(&park));
    assert_true(orr_park(&park, 0));
}

typedef struct ParkTest {
    OrrPark ping, pong;
    unsigned rounds, seen;
} ParkTest;

static void *answer(void *data)
{
    ParkTest *test = data;

    for (unsigned i = 0; i < test->rounds; i++) {
        while (!orr_park(&test->ping, i % 2 ? -1 : host_monotonic_ns() + 1000)) {
        }
        test->seen++;
        orr_unpark(&test->pong);
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    ParkTest test = { .rounds = 20000 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, answer, &test), 0);
    for (unsigned i = 0; i < test.rounds; i++) {
        orr_unpark(&test.ping);
        assert_true(orr_park(&test.pong, -1));
        assert_int_equal(test.seen, i + 1);
    }
    pthread_join(thread, NULL);
}

typedef struct EpochTest {
    OrrEpoch epoch;
    uint64_t *value; /* what readers dereference; poisoned before it is freed */
    bool ending;
    uint64_t bad;
} EpochTest;

#define ALIVE UINT64_C(0x600d600d600d600d)

static void *read_values(void *data)
{
    EpochTest *test = data;

    while (!orr_load_acquire(&test->ending)) {
        uint32_t outer = orr_epoch_enter(&test->epoch, (uint32_t)orr_thread_id());
        uint32_t inner = orr_epoch_enter(&test->epoch, 3);
        uint64_t *value = orr_load_seq_cst(&test->value);

        if (orr_load_relaxed(value) != ALIVE) {
            orr_fetch_add(&test->bad, 1u);
        }
        orr_epoch_exit(&test->epoch, inner);
        sched_yield();
        if (orr_load_relaxed(value) != ALIVE) {
            orr_fetch_add(&test->bad, 1u);
        }
        orr_epoch_exit(&test->epoch, outer);
    }
    return NULL;
}

static void readers_keep_what_they_see(void **state)
{
    EpochTest test = { .bad = 0 };
    pthread_t reader[3];

    orr_epoch_init(&test.epoch);
    test.value = g_new(uint64_t, 1);
    *test.value = ALIVE;
    for (unsigned i = 0; i < G_N_ELEMENTS(reader); i++) {
        assert_int_equal(pthread_create(&reader[i], NULL, read_values, &test), 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t *old = test.value, *fresh = g_new(uint64_t, 1);

        *fresh = ALIVE;
        orr_store_seq_cst(&test.value, fresh);
        orr_epoch_synchronize(&test.epoch);
        orr_store_relaxed(old, (uint64_t)0);
        g_free(old);
    }
    orr_store_release(&test.ending, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(reader); i++) {
        pthread_join(reader[i], NULL);
    }
    assert_int_equal(test.bad, 0);
    g_free(test.value);
    orr_epoch_finish(&test.epoch);
}

static void ticks_become_nanoseconds(void **state)
{
    HostTickMark from = { .ticks = 1000, .ns = 5000 };
    HostTickMark to = { .ticks = 4000, .ns = 6000 };
    HostTickMark mark = host_tick_mark(), later = host_tick_mark();

    assert_int_equal(host_ticks_to_ns(3000, &from, &to), 1000);
    assert_int_equal(host_ticks_to_ns(1500, &from, &to), 500);
    assert_int_equal(host_ticks_to_ns(1500, &from, &from), 0);
    to.ticks = UINT64_C(1) << 62;
    to.ns = INT64_C(1) << 61;
    from = (HostTickMark){ 0, 0 };
    assert_int_equal(host_ticks_to_ns(UINT64_C(1) << 62, &from, &to), INT64_C(1) << 61);
    assert_true(later.ns >= mark.ns);
    assert_true(later.ticks >= mark.ticks);
}

static void log_items_are_parsed(void **state)
{
    LogSet log = { .items = LOG_EXEC };
    GError *error = NULL;
    bool help;

    assert_true(orr_log_parse(&log, "in_asm,int", &help, &error));
    assert_false(help);
    assert_int_equal(log.items, LOG_EXEC | LOG_IN_ASM | LOG_INT);
    assert_true(orr_log_on(&log, LOG_INT | LOG_MMU));
    assert_false(orr_log_on(&log, LOG_MMU));
    assert_false(orr_log_on(NULL, LOG_MMU));
    assert_false(orr_log_parse(&log, "mmu,guest_error", &help, &error));
    assert_non_null(strstr(error->message, "guest_errors"));
    assert_int_equal(log.items, LOG_EXEC | LOG_IN_ASM | LOG_INT);
    g_clear_error(&error);
}

static void *write_lines(void *data)
{
    for (unsigned i = 0; i < 500; i++) {
        orr_log(data, "%s\n", "abcdefghijklmnopqrstuvwxyz0123456789");
    }
    return NULL;
}

static void log_lines_stay_whole(void **state)
{
    LogSet log = { .items = LOG_INT, .file = tmpfile() };
    char line[80];
    unsigned lines = 0;

    assert_non_null(log.file);
    run_threads(4, write_lines, &log);
    rewind(log.file);
    while (fgets(line, sizeof(line), log.file)) {
        assert_string_equal(line, "abcdefghijklmnopqrstuvwxyz0123456789\n");
        lines++;
    }
    assert_int_equal(lines, 2000);
    fclose(log.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_made_or_not),
        cmocka_unit_test(mutex_knows_its_holder),
        cmocka_unit_test(trylock_gives_way),
        cmocka_unit_test(condition_variables_hand_over),
        cmocka_unit_test(a_token_is_remembered_once),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(readers_keep_what_they_see),
        cmocka_unit_test(ticks_become_nanoseconds),
        cmocka_unit_test(log_items_are_parsed),
        cmocka_unit_test(log_lines_stay_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
