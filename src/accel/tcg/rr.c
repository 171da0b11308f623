/* SPDX-License-Identifier: MIT */
/*
 * tcg-rr: one thread on which all vCPUs take turns. The idea to hold: a kick of any vCPU makes the
 * one that runs leave, and wakes the thread if all were idle; a timer does the same at the end of a
 * time slice, and is armed only while somebody else could run.
 */
#include "src/accel/tcg/tcg.h"

#include "orrery/impl/error.h"
#include "orrery/impl/host-clock.h"

#define SLICE_NS INT64_C(5000000)

struct TcgRr {
    TcgAccel *tcg;
    OrrPark park; /* where the thread sleeps */
    Timer slice;
    pthread_t thread;

    OrrMutex lock;      /* a leaf: all of the next group */
    Vcpu *running;      /* whose turn it is */
    bool kicked;        /* somebody, since the round began */
    GPtrArray *joining; /* plugged, not yet begun */
    bool alive;         /* the thread takes who joins */
    bool joinable;      /* there is, or was, a thread to be joined */

    /* The thread's own. */
    GPtrArray *vcpus;
    guint next; /* whose turn it is next, modulo their number */
};

/* ---- Interrupting whoever runs. Any thread. */

static void make_leave(TcgRr *rr, bool kicked)
{
    orr_mutex_lock(&rr->lock);
    rr->kicked |= kicked;
    if (rr->running) {
        orr_store_release(&rr->running->exit_request, 1u);
    }
    orr_mutex_unlock(&rr->lock);
}

static void slice_over(void *opaque)
{
    make_leave(opaque, false);
}

static void rr_kick_vcpu_thread(Vcpu *vcpu)
{
    TcgRr *rr = tcg_accel(vcpu)->rr;

    make_leave(rr, true);
    orr_unpark(&rr->park);
}

static void set_running(TcgRr *rr, Vcpu *vcpu)
{
    orr_mutex_lock(&rr->lock);
    rr->running = vcpu;
    if (vcpu && rr->kicked) {
        orr_store_release(&vcpu->exit_request, 1u);
    }
    orr_mutex_unlock(&rr->lock);
}

/* Reasons of kicks that came before are looked at in the round that begins. */
static void begin_round(TcgRr *rr)
{
    orr_mutex_lock(&rr->lock);
    rr->kicked = false;
    orr_mutex_unlock(&rr->lock);
}

/* ---- The thread. */

static bool can_run(const Vcpu *vcpu)
{
    return vcpu_can_run(vcpu) && !orr_load_acquire(&vcpu->halted);
}

static void admit(TcgRr *rr)
{
    for (;;) {
        Vcpu *vcpu = NULL;

        orr_mutex_lock(&rr->lock);
        if (rr->joining->len > 0) {
            vcpu = g_ptr_array_index(rr->joining, 0);
            g_ptr_array_remove_index(rr->joining, 0);
        }
        orr_mutex_unlock(&rr->lock);
        if (!vcpu) {
            return;
        }
        g_ptr_array_add(rr->vcpus, vcpu);
        vcpu_thread_begin(vcpu);
    }
}

static void arm_slice(TcgRr *rr, const Vcpu *turn)
{
    Timers *timers = rr->tcg->accel.timers;

    for (guint i = 0; i < rr->vcpus->len; i++) {
        const Vcpu *vcpu = g_ptr_array_index(rr->vcpus, i);

        if (vcpu != turn && can_run(vcpu)) {
            timer_arm_ns(&rr->slice, clock_get_ns(timers, CLOCK_KIND_REALTIME) + SLICE_NS);
            return;
        }
    }
}

static void note_idle(Vcpu *vcpu)
{
    VcpuState idle = vcpu_can_run(vcpu) ? VCPU_STATE_HALTED : VCPU_STATE_STOPPED;
    TcgCpu *cpu = tcg_cpu(vcpu);

    if (!vcpu_is_idle(vcpu) || (cpu->asleep_ns && vcpu_state(vcpu) == idle)) {
        return;
    }
    if (vcpu_state(vcpu) != idle) {
        vcpu_set_state(vcpu, idle, idle == VCPU_STATE_HALTED ? "wait for interrupt" : "vm stopped");
    }
    if (idle == VCPU_STATE_HALTED) {
        vcpu_trace_halt(vcpu);
    }
    cpu->asleep_ns = host_monotonic_ns();
}

/* The thread may have been awake for others: a vCPU sleeps as long as it has nothing to do. */
static void note_awake(Vcpu *vcpu)
{
    TcgCpu *cpu = tcg_cpu(vcpu);

    if (!cpu->asleep_ns || vcpu_is_idle(vcpu)) {
        return;
    }
    vcpu_trace_wake(vcpu, cpu->asleep_ns);
    cpu->asleep_ns = 0;
}

/* false: it cannot run. */
static bool take_turn(TcgRr *rr, Vcpu *vcpu)
{
    vcpu_thread_switch(vcpu);
    if (!can_run(vcpu)) {
        return false;
    }
    note_awake(vcpu); /* a resume may have come since it was looked at */
    set_running(rr, vcpu);
    arm_slice(rr, vcpu);
    tcg_turn(vcpu);
    set_running(rr, NULL);
    timer_disarm(&rr->slice);
    return true;
}

/* What vcpu_wait_io_event does, but for sleeping. */
static void look_around(Vcpu *vcpu)
{
    note_awake(vcpu);
    vcpu_wait_io_event_common(vcpu);
    if (orr_load_acquire(&vcpu->halted) && vcpu->target->has_work(vcpu)) {
        orr_store_release(&vcpu->halted, false);
    }
    if (!vcpu_is_idle(vcpu) && vcpu_state(vcpu) != VCPU_STATE_EXIT && vcpu_can_run(vcpu)) {
        vcpu_set_state(vcpu, VCPU_STATE_EXIT, "work");
    }
}

/* The first who can run after the one who had the last turn. */
static void one_turn(TcgRr *rr)
{
    guint count = rr->vcpus->len;

    for (guint n = 0; n < count; n++) {
        guint at = (rr->next + n) % count;

        if (take_turn(rr, g_ptr_array_index(rr->vcpus, at))) {
            rr->next = at + 1;
            return;
        }
    }
}

/* Reasons of kicks, for each; who shall end does. */
static void look_at_all(TcgRr *rr)
{
    for (guint i = 0; i < rr->vcpus->len;) {
        Vcpu *vcpu = g_ptr_array_index(rr->vcpus, i);

        vcpu_thread_switch(vcpu);
        look_around(vcpu);
        if (vcpu_thread_continues(vcpu)) {
            i++;
            continue;
        }
        g_ptr_array_remove_index(rr->vcpus, i);
        tcg_destroy_state(vcpu);
        vcpu_thread_end(vcpu);
    }
}

static bool all_idle(TcgRr *rr)
{
    bool idle = true;

    for (guint i = 0; i < rr->vcpus->len; i++) {
        Vcpu *vcpu = g_ptr_array_index(rr->vcpus, i);

        vcpu_thread_switch(vcpu);
        note_idle(vcpu);
        idle &= vcpu_is_idle(vcpu);
    }
    return idle;
}

/* false: the last vCPU has gone and nobody has joined. */
static bool stay(TcgRr *rr)
{
    bool alive;

    orr_mutex_lock(&rr->lock);
    alive = rr->alive = rr->vcpus->len > 0 || rr->joining->len > 0;
    orr_mutex_unlock(&rr->lock);
    return alive;
}

static bool somebody_joins(TcgRr *rr)
{
    bool joins;

    orr_mutex_lock(&rr->lock);
    joins = rr->joining->len > 0;
    orr_mutex_unlock(&rr->lock);
    return joins;
}

/* The creator's vCPU is in `joining`, like those of all who come later. */
static void *rr_thread(void *opaque)
{
    TcgRr *rr = tcg_accel(opaque)->rr;

    do {
        begin_round(rr);
        admit(rr);
        look_at_all(rr);
        one_turn(rr);
        if (rr->vcpus->len > 0 && all_idle(rr) && !somebody_joins(rr)) {
            orr_park(&rr->park, -1);
        }
    } while (stay(rr));
    return NULL;
}

/* ---- Coming and going. */

TcgRr *tcg_rr_create(TcgAccel *tcg)
{
    TcgRr *rr = g_new0(TcgRr, 1);

    rr->tcg = tcg;
    rr->joining = g_ptr_array_new();
    rr->vcpus = g_ptr_array_new();
    orr_mutex_init(&rr->lock, "tcg rr");
    timer_init(&rr->slice, tcg->accel.timers, CLOCK_KIND_REALTIME, true, "tcg-rr slice", slice_over,
               rr);
    return rr;
}

static void join_old(TcgRr *rr)
{
    if (rr->joinable) {
        pthread_join(rr->thread, NULL);
        rr->joinable = false;
    }
}

void tcg_rr_destroy(TcgRr *rr)
{
    if (!rr) {
        return;
    }
    join_old(rr);
    timer_finish(&rr->slice);
    orr_mutex_finish(&rr->lock);
    g_ptr_array_free(rr->joining, TRUE);
    g_ptr_array_free(rr->vcpus, TRUE);
    g_free(rr);
}

/* The thread outlives the vCPU that it was started with, so it is joined by us, not at unplug. */
static bool start_thread(TcgRr *rr, Vcpu *vcpu, GError **error)
{
    join_old(rr);
    rr->alive = true;
    if (!vcpu_start_thread(vcpu, rr_thread, error)) {
        rr->alive = false;
        return false;
    }
    rr->thread = vcpu->thread;
    rr->joinable = true;
    vcpu->thread_joinable = false;
    return true;
}

static bool rr_create_vcpu_thread(Vcpu *vcpu, GError **error)
{
    TcgRr *rr = tcg_accel(vcpu)->rr;
    bool alive;

    vcpu->accel.opaque = tcg_cpu_create(tcg_accel(vcpu)->context, vcpu);
    orr_mutex_lock(&rr->lock);
    g_ptr_array_add(rr->joining, vcpu);
    alive = rr->alive;
    orr_mutex_unlock(&rr->lock);
    if (alive) {
        make_leave(rr, true);
        orr_unpark(&rr->park);
        return true;
    }
    if (!start_thread(rr, vcpu, error)) {
        g_ptr_array_remove(rr->joining, vcpu);
        tcg_cpu_destroy(vcpu->accel.opaque);
        vcpu->accel.opaque = NULL;
        return false;
    }
    return true;
}

const AccelOps tcg_rr_ops = {
    .name = "tcg-rr",
    .create_vcpu_thread = rr_create_vcpu_thread,
    .kick_vcpu_thread = rr_kick_vcpu_thread,
    TCG_COMMON_OPS,
};
