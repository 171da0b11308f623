/* SPDX-License-Identifier: MIT */
/*
 * The thread contract, as cases that every accelerator must pass: contract ACCEL [TARGET]. A case
 * that needs guest code, or guest debug, is skipped by name where the accelerator does not claim it.
 * Nothing here sleeps: a case waits for what must happen, and the test runner's time-out is the
 * only clock.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "orrery/impl/cpus.h"
#include "orrery/impl/error.h"
#include "src/cpus/internal.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(1) << 20)
#define CODE_COUNT 0x0
#define CODE_WAIT 0x28
#define LOOP_PC (RAM_BASE + 0x10)
#define COUNTERS (0x1000 + 8) /* auipc in the program at CODE_COUNT */
#define WAIT_COUNTERS (0x1000 + 0x30)
#define MSI 3

/* Two endless programs: one counts per hart, the other counts per wake-up from wfi. */
static const uint32_t guest_code[] = {
    /* CODE_COUNT */
    0xf1402373, /* csrr t1, mhartid */
    0x00631313, /* slli t1, t1, 6 */
    0x00001297, /* auipc t0, 1 */
    0x006282b3, /* add t0, t0, t1 */
    0x0002b383, /* ld t2, 0(t0) */
    0x00138393, /* addi t2, t2, 1 */
    0x0072b023, /* sd t2, 0(t0) */
    0xff5ff06f, /* j .-12 */
    0x00000013, 0x00000013,
    /* CODE_WAIT */
    0xf1402373, 0x00631313, 0x00001297, 0x006282b3, 0x00800e13, /* li t3, 8 */
    0x304e1073,                                                 /* csrw mie, t3 */
    0x10500073,                                                 /* wfi */
    0x0002b383, 0x00138393, 0x0072b023, 0xff1ff06f,             /* j .-16 */
};

static const char *accel_name;
static const char *target_name = "riscv64";
static const AccelDriver *driver;

typedef struct Rig {
    Timers *timers;
    Memory *memory;
    Cpus *cpus;
    Accel *accel;
    const TargetOps *target;
    RamBlock *ram;
    LogSet log;
} Rig;

#define NEED_CAP(cap)                                                                              \
    if (!(driver->caps & (cap))) {                                                                 \
        print_message("skipped: %s does not claim " #cap "\n", accel_name);                        \
        skip();                                                                                    \
    }

/* Lets the machine go on (main loop, requests) until the condition holds. */
#define AWAIT(rig, condition)                                                                      \
    while (!(condition)) {                                                                         \
        int code_;                                                                                 \
        main_loop_handle_requests((rig)->cpus, false, true, &code_);                               \
        main_loop_iterate((rig)->cpus, false);                                                     \
        machine_unlock((rig)->cpus);                                                               \
        sched_yield();                                                                             \
        machine_lock((rig)->cpus);                                                                 \
    }

static void begin_at(Vcpu *vcpu, void *pc)
{
    vcpu->target->set_pc(vcpu, *(const uint64_t *)pc);
    accel_synchronize_post_reset(vcpu);
}

static Vcpu *plug_vcpu(Rig *rig, uint64_t pc)
{
    GError *error = NULL;
    Vcpu *vcpu = vcpu_create(rig->cpus, rig->target, rig->target->models[0].name, &error);

    if (!vcpu || !vcpu_plug(vcpu, &error)) {
        fail_msg("%s", error->message);
    }
    /* On its thread: plugging waits without the lock, and another may have resumed all meanwhile. */
    vcpu_run_on(vcpu, begin_at, &pc);
    return vcpu;
}

static Rig *rig_create(unsigned vcpus, uint64_t code)
{
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;

    rig->log.file = stderr;
    rig->target = target_find(target_name);
    rig->timers = timers_create();
    rig->memory = memory_create();
    rig->cpus = cpus_create(rig->timers, rig->memory, &rig->log);
    machine_lock(rig->cpus);
    rig->ram = memory_add_ram(rig->memory, "ram", RAM_BASE, RAM_BYTES, false, &error);
    assert_non_null(rig->ram);
    assert_int_equal(memory_write(rig->memory, RAM_BASE, guest_code, sizeof(guest_code)), MEMTX_OK);
    rig->accel = accel_create(driver, rig->target, rig->cpus, rig->timers, rig->memory);
    if (!accel_init_machine(rig->accel, &error)) {
        fail_msg("%s", error->message);
    }
    cpus_set_accel(rig->cpus, rig->accel);
    for (unsigned i = 0; i < vcpus; i++) {
        plug_vcpu(rig, RAM_BASE + code);
    }
    if (!accel_setup_post(rig->accel, &error)) {
        fail_msg("%s", error->message);
    }
    return rig;
}

static void rig_destroy(Rig *rig)
{
    if (vm_running(rig->cpus)) {
        vm_stop(rig->cpus, RUN_STATE_SHUTDOWN);
    }
    for (unsigned i = 0; i < rig->cpus->slots->len; i++) {
        Vcpu *vcpu = cpus_get(rig->cpus, i);

        if (vcpu) {
            vcpu_unplug(vcpu);
        }
    }
    accel_destroy(rig->accel);
    machine_unlock(rig->cpus);
    cpus_destroy(rig->cpus);
    memory_destroy(rig->memory);
    timers_destroy(rig->timers);
    g_free(rig);
}

static uint64_t entries(Vcpu *vcpu, VcpuState state)
{
    return orr_load_acquire(&vcpu->sched.entries[state]);
}

static uint64_t counter(Rig *rig, uint64_t offset, unsigned hart)
{
    return orr_load_relaxed((uint64_t *)(void *)(rig->ram->host + offset + hart * 64));
}

/* ---- Cases. */

static void test_create(void **state)
{
    Rig *rig = rig_create(4, CODE_COUNT);

    for (unsigned i = 0; i < 4; i++) {
        Vcpu *vcpu = cpus_get(rig->cpus, i);

        assert_true(vcpu->created);
        assert_true(orr_load_acquire(&vcpu->stopped));
        assert_int_not_equal(orr_load_acquire(&vcpu->thread_id), 0);
        assert_int_equal(vcpu->accel.index, i);
        assert_int_equal(entries(vcpu, VCPU_STATE_RUNNING), 0);
    }
    assert_true(all_vcpu_threads_idle(rig->cpus));
    rig_destroy(rig);
}

static void test_run(void **state)
{
    Rig *rig = rig_create(2, CODE_COUNT);

    vm_start(rig->cpus);
    for (unsigned i = 0; i < 2; i++) {
        if (driver->caps & ACCEL_CAP_RUNS_GUEST) {
            AWAIT(rig, counter(rig, COUNTERS, i) > 1000);
        } else {
            AWAIT(rig, entries(cpus_get(rig->cpus, i), VCPU_STATE_RUNNING) > 0);
        }
    }
    rig_destroy(rig);
}

static void test_kick_while_running(void **state)
{
    Rig *rig = rig_create(1, CODE_COUNT);
    Vcpu *vcpu = cpus_get(rig->cpus, 0);

    vm_start(rig->cpus);
    for (int i = 0; i < 200; i++) {
        uint64_t before;

        AWAIT(rig, vcpu_state(vcpu) == VCPU_STATE_RUNNING);
        before = entries(vcpu, VCPU_STATE_EXIT);
        vcpu_kick(vcpu, "test");
        /*
         * Seen: the vCPU left guest code, or it was on its way out for an earlier kick and took this
         * one along. A lost kick leaves the request set for good.
         */
        AWAIT(rig,
              entries(vcpu, VCPU_STATE_EXIT) > before || !orr_load_acquire(&vcpu->exit_request));
    }
    rig_destroy(rig);
}

typedef struct Chain {
    uint32_t left;
    uint32_t ran;
} Chain;

/* Runs on the vCPU between clearing exit_request and entering the guest, and asks for more. */
static void chain_step(Vcpu *vcpu, void *data)
{
    Chain *chain = data;

    if (chain->left > 0) {
        chain->left--;
        vcpu_async_run_on(vcpu, chain_step, chain);
    }
    orr_fetch_add(&chain->ran, 1u);
}

static void test_kick_before_entry(void **state)
{
    Rig *rig = rig_create(1, CODE_COUNT);
    Vcpu *vcpu = cpus_get(rig->cpus, 0);
    Chain chain = { .left = 5000 };

    vm_start(rig->cpus);
    vcpu_async_run_on(vcpu, chain_step, &chain);
    AWAIT(rig, orr_load_acquire(&chain.ran) == 5001);
    rig_destroy(rig);
}

static void test_halt_and_wake(void **state)
{
    Rig *rig;
    Vcpu *vcpu;
    IrqLine *line;

    NEED_CAP(ACCEL_CAP_RUNS_GUEST);
    rig = rig_create(1, CODE_WAIT);
    vcpu = cpus_get(rig->cpus, 0);
    line = rig->target->irq_in(vcpu, MSI);
    vm_start(rig->cpus);
    for (int i = 0; i < 300; i++) {
        uint64_t before;

        AWAIT(rig, vcpu_state(vcpu) == VCPU_STATE_HALTED);
        before = counter(rig, WAIT_COUNTERS, 0);
        irq_set(line, 1);
        AWAIT(rig, counter(rig, WAIT_COUNTERS, 0) > before);
        irq_set(line, 0);
    }
    rig_destroy(rig);
}

static void test_pause_under_load(void **state)
{
    Rig *rig = rig_create(4, CODE_COUNT);
    Chain chain = { 0 };

    vm_start(rig->cpus);
    for (int i = 0; i < 100; i++) {
        uint64_t seen[4];

        for (unsigned c = 0; c < 4; c++) {
            vcpu_async_run_on(cpus_get(rig->cpus, c), chain_step, &chain);
        }
        vm_stop(rig->cpus, RUN_STATE_PAUSED);
        assert_int_equal(run_state(rig->cpus), RUN_STATE_PAUSED);
        assert_false(clocks_running(rig->timers));
        for (unsigned c = 0; c < 4; c++) {
            assert_true(orr_load_acquire(&cpus_get(rig->cpus, c)->stopped));
            seen[c] = counter(rig, COUNTERS, c);
        }
        /* Work is done while stopped, and no guest instruction with it. */
        for (unsigned c = 0; c < 4; c++) {
            vcpu_run_on(cpus_get(rig->cpus, c), chain_step, &(Chain){ 0 });
            assert_int_equal(counter(rig, COUNTERS, c), seen[c]);
        }
        vm_start(rig->cpus);
    }
    rig_destroy(rig);
}

typedef struct Pauser {
    Rig *rig;
    int rounds;
} Pauser;

static void *pauser_thread(void *opaque)
{
    Pauser *pauser = opaque;

    for (int i = 0; i < pauser->rounds; i++) {
        machine_lock(pauser->rig->cpus);
        pause_vcpus(pauser->rig->cpus);
        for (unsigned c = 0; c < pauser->rig->cpus->slots->len; c++) {
            Vcpu *vcpu = cpus_get(pauser->rig->cpus, c);

            g_assert(!vcpu || orr_load_acquire(&vcpu->stopped));
        }
        resume_vcpus(pauser->rig->cpus);
        machine_unlock(pauser->rig->cpus);
    }
    return NULL;
}

static void test_concurrent_pausers(void **state)
{
    Rig *rig = rig_create(3, CODE_COUNT);
    Pauser pauser = { rig, 100 };
    pthread_t thread[3];

    vm_start(rig->cpus);
    machine_unlock(rig->cpus);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, pauser_thread, &pauser), 0);
    }
    /* vCPUs come and go meanwhile. */
    for (int i = 0; i < 20; i++) {
        machine_lock(rig->cpus);
        Vcpu *guest = plug_vcpu(rig, RAM_BASE + CODE_COUNT);
        vcpu_resume(guest);
        vcpu_unplug(guest);
        machine_unlock(rig->cpus);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
    machine_lock(rig->cpus);
    rig_destroy(rig);
}

static void note_thread(Vcpu *vcpu, void *data)
{
    int32_t *id = data;

    assert_true(machine_locked(vcpu->cpus));
    *id = orr_thread_id();
}

static void test_run_on(void **state)
{
    Rig *rig = rig_create(2, CODE_COUNT);

    for (int running = 0; running < 2; running++) {
        if (running) {
            vm_start(rig->cpus);
        }
        for (int i = 0; i < 500; i++) {
            Vcpu *vcpu = cpus_get(rig->cpus, (unsigned)i & 1);
            int32_t id = 0;

            vcpu_run_on(vcpu, note_thread, &id);
            assert_int_equal(id, orr_load_acquire(&vcpu->thread_id));
        }
    }
    rig_destroy(rig);
}

typedef struct Order {
    uint32_t next;
    uint32_t bad;
} Order;

typedef struct OrderItem {
    Order *order;
    uint32_t number;
} OrderItem;

static void check_order(Vcpu *vcpu, void *data)
{
    OrderItem *item = data;
    uint32_t next = orr_load_relaxed(&item->order->next);

    if (item->number != next) {
        orr_fetch_add(&item->order->bad, 1u);
    }
    orr_store_release(&item->order->next, next + 1);
}

static void test_async_keeps_order(void **state)
{
    Rig *rig = rig_create(1, CODE_COUNT);
    Vcpu *vcpu = cpus_get(rig->cpus, 0);
    Order order = { 0 };
    OrderItem items[1000];

    vm_start(rig->cpus);
    for (uint32_t i = 0; i < 1000; i++) {
        items[i] = (OrderItem){ &order, i };
        if (i % 7 == 3) {
            vcpu_async_safe_run_on(vcpu, check_order, &items[i]);
        } else {
            vcpu_async_run_on(vcpu, check_order, &items[i]);
        }
    }
    AWAIT(rig, orr_load_acquire(&order.next) == 1000);
    assert_int_equal(order.bad, 0);
    rig_destroy(rig);
}

typedef struct Alone {
    uint32_t inside; /* sections now */
    uint32_t bad;
    uint32_t ran;
} Alone;

static void check_alone(Vcpu *vcpu, void *data)
{
    Alone *alone = data;
    Vcpu *other;

    if (orr_fetch_add(&alone->inside, 1u) != 0 || machine_locked(vcpu->cpus)) {
        orr_fetch_add(&alone->bad, 1u);
    }
    orr_mutex_lock(&vcpu->cpus->exclusive_lock);
    CPUS_FOREACH(vcpu->cpus, other)
    {
        /* `running` may flash true in a vCPU that finds the section and backs out, but a vCPU
         * that is in guest code has been waited for. */
        if (other != vcpu && other->has_waiter) {
            orr_fetch_add(&alone->bad, 1u);
        }
    }
    orr_mutex_unlock(&vcpu->cpus->exclusive_lock);
    orr_fetch_and(&alone->inside, 0u);
    orr_fetch_add(&alone->ran, 1u);
}

static void test_async_safe(void **state)
{
    Rig *rig = rig_create(4, CODE_COUNT);
    Alone alone = { 0 };

    vm_start(rig->cpus);
    for (int i = 0; i < 100; i++) {
        for (unsigned c = 0; c < 4; c++) {
            vcpu_async_safe_run_on(cpus_get(rig->cpus, c), check_alone, &alone);
        }
    }
    AWAIT(rig, orr_load_acquire(&alone.ran) == 400);
    assert_int_equal(alone.bad, 0);
    rig_destroy(rig);
}

static void test_exclusive(void **state)
{
    Rig *rig = rig_create(3, CODE_COUNT);

    vm_start(rig->cpus);
    for (int i = 0; i < 200; i++) {
        uint64_t seen[3];

        AWAIT(rig, true);
        machine_unlock(rig->cpus);
        exclusive_start(rig->cpus, NULL);
        for (unsigned c = 0; c < 3; c++) {
            seen[c] = counter(rig, COUNTERS, c);
        }
        for (int spin = 0; spin < 50; spin++) {
            sched_yield();
        }
        for (unsigned c = 0; c < 3; c++) {
            assert_int_equal(counter(rig, COUNTERS, c), seen[c]);
        }
        exclusive_end(rig->cpus, NULL);
        machine_lock(rig->cpus);
    }
    if (driver->caps & ACCEL_CAP_RUNS_GUEST) {
        uint64_t before = counter(rig, COUNTERS, 0);

        AWAIT(rig, counter(rig, COUNTERS, 0) > before);
    }
    rig_destroy(rig);
}

static void test_reset(void **state)
{
    Rig *rig = rig_create(2, CODE_COUNT);

    vm_start(rig->cpus);
    for (int i = 0; i < 50; i++) {
        pause_vcpus(rig->cpus);
        for (unsigned c = 0; c < 2; c++) {
            Vcpu *vcpu = cpus_get(rig->cpus, c);

            vcpu_reset(vcpu);
            rig->target->set_pc(vcpu, RAM_BASE + CODE_COUNT);
            accel_synchronize_post_reset(vcpu);
        }
        memset(rig->ram->host + COUNTERS, 0, 128);
        resume_vcpus(rig->cpus);
        if (driver->caps & ACCEL_CAP_RUNS_GUEST) {
            AWAIT(rig, counter(rig, COUNTERS, 0) > 0 && counter(rig, COUNTERS, 1) > 0);
        }
    }
    rig_destroy(rig);
}

static void test_plug_and_unplug(void **state)
{
    Rig *rig = rig_create(1, CODE_COUNT);

    vm_start(rig->cpus);
    for (int i = 0; i < 50; i++) {
        Vcpu *one = plug_vcpu(rig, RAM_BASE + CODE_COUNT);
        Vcpu *two = plug_vcpu(rig, RAM_BASE + CODE_COUNT);
        Chain chain = { .left = 10 };

        assert_int_equal(cpus_count(rig->cpus), 3);
        assert_int_equal(one->accel.index, 1);
        assert_int_equal(two->accel.index, 2);
        vcpu_resume(one);
        vcpu_resume(two);
        if (driver->caps & ACCEL_CAP_RUNS_GUEST) {
            uint64_t before = counter(rig, COUNTERS, 1);

            AWAIT(rig, counter(rig, COUNTERS, 1) > before);
        }
        /* Queued work of a vCPU that leaves is done, not dropped. */
        vcpu_async_run_on(two, chain_step, &chain);
        vcpu_unplug(two);
        assert_int_equal(chain.ran, 11);
        vcpu_unplug(one);
        assert_int_equal(cpus_count(rig->cpus), 1);
    }
    rig_destroy(rig);
}

static void test_debug_stop(void **state)
{
    Rig *rig;
    Vcpu *vcpu;
    GError *error = NULL;

    NEED_CAP(ACCEL_CAP_GUEST_DEBUG);
    rig = rig_create(2, CODE_COUNT);
    vcpu = cpus_get(rig->cpus, 1);
    assert_true(vcpu_insert_breakpoint(vcpu, BREAKPOINT_SOFTWARE, LOOP_PC, 4, &error));
    vm_start(rig->cpus);
    AWAIT(rig, run_state(rig->cpus) == RUN_STATE_DEBUG);
    assert_ptr_equal(rig->cpus->debug_vcpu, vcpu);
    accel_synchronize_state(vcpu);
    assert_int_equal(rig->target->get_pc(vcpu), LOOP_PC);
    assert_true(orr_load_acquire(&cpus_get(rig->cpus, 0)->stopped));

    /* One step from there, then on without the breakpoint. */
    assert_true(vcpu_remove_breakpoint(vcpu, BREAKPOINT_SOFTWARE, LOOP_PC, 4, &error));
    assert_true(vcpu_set_single_step(vcpu, true, &error));
    vm_start(rig->cpus);
    AWAIT(rig, run_state(rig->cpus) == RUN_STATE_DEBUG);
    accel_synchronize_state(vcpu);
    assert_int_equal(rig->target->get_pc(vcpu), LOOP_PC + 4);
    assert_true(vcpu_set_single_step(vcpu, false, &error));
    vm_start(rig->cpus);
    AWAIT(rig, counter(rig, COUNTERS, 1) > 10);
    rig_destroy(rig);
}

static void fail_vcpu(Vcpu *vcpu, void *data)
{
    vcpu_handle_error(vcpu);
}

static void test_error_stop(void **state)
{
    Rig *rig = rig_create(2, CODE_COUNT);

    vm_start(rig->cpus);
    vcpu_async_safe_run_on(cpus_get(rig->cpus, 1), fail_vcpu, NULL);
    AWAIT(rig, run_state(rig->cpus) == RUN_STATE_INTERNAL_ERROR);
    assert_true(orr_load_acquire(&cpus_get(rig->cpus, 0)->stopped));
    assert_true(orr_load_acquire(&cpus_get(rig->cpus, 1)->stopped));
    rig_destroy(rig);
}

static void test_account_sums_to_age(void **state)
{
    Rig *rig = rig_create(2, CODE_COUNT);

    vm_start(rig->cpus);
    for (int i = 0; i < 200; i++) {
        vcpu_run_on(cpus_get(rig->cpus, (unsigned)i & 1), chain_step, &(Chain){ 0 });
    }
    vm_stop(rig->cpus, RUN_STATE_PAUSED);
    for (unsigned c = 0; c < 2; c++) {
        Vcpu *vcpu = cpus_get(rig->cpus, c);
        VcpuSchedInfo info;
        int64_t age;

        vcpu_sched_read(vcpu, &info);
        age = host_monotonic_ns() - vcpu->sched.born.ns;
        assert_true(info.total_ns <= age + age / 100);
        assert_int_equal(info.state, VCPU_STATE_STOPPED);
        /* The reading is a moment old; what is missing can only be that moment. */
        assert_true(info.total_ns >= 0);
        assert_true(info.entries[VCPU_STATE_RUNNING] > 0);
    }
    rig_destroy(rig);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_kick_while_running),
        cmocka_unit_test(test_kick_before_entry),
        cmocka_unit_test(test_halt_and_wake),
        cmocka_unit_test(test_pause_under_load),
        cmocka_unit_test(test_concurrent_pausers),
        cmocka_unit_test(test_run_on),
        cmocka_unit_test(test_async_keeps_order),
        cmocka_unit_test(test_async_safe),
        cmocka_unit_test(test_exclusive),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_plug_and_unplug),
        cmocka_unit_test(test_debug_stop),
        cmocka_unit_test(test_error_stop),
        cmocka_unit_test(test_account_sums_to_age),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: contract ACCEL [TARGET]\n");
        return 2;
    }
    accel_name = argv[1];
    if (argc > 2) {
        target_name = argv[2];
    }
    driver = accel_find(accel_name, target_name, &error);
    if (!driver) {
        fprintf(stderr, "contract: %s\n", error->message);
        return 1;
    }
    return cmocka_run_group_tests_name(accel_name, tests, NULL, NULL);
}
