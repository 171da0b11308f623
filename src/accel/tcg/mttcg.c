/* SPDX-License-Identifier: MIT */
/*
 * tcg-mttcg: a thread a vCPU. The idea to hold: mttcg_thread is the whole of a vCPU's life, and the
 * only thing other threads do to it is leave a request and kick.
 */
#include "src/accel/tcg/tcg.h"

static void *mttcg_thread(void *opaque)
{
    Vcpu *vcpu = opaque;

    vcpu_thread_begin(vcpu);
    do {
        if (vcpu_can_run(vcpu) && !orr_load_acquire(&vcpu->halted)) {
            tcg_turn(vcpu);
        }
        vcpu_wait_io_event(vcpu);
    } while (vcpu_thread_continues(vcpu));
    tcg_destroy_state(vcpu);
    vcpu_thread_end(vcpu);
    return NULL;
}

static bool mttcg_create_vcpu_thread(Vcpu *vcpu, GError **error)
{
    vcpu->accel.opaque = tcg_cpu_create(tcg_accel(vcpu)->context, vcpu);
    if (!vcpu_start_thread(vcpu, mttcg_thread, error)) {
        tcg_cpu_destroy(vcpu->accel.opaque);
        vcpu->accel.opaque = NULL;
        return false;
    }
    return true;
}

const AccelOps tcg_mttcg_ops = {
    .name = "tcg-mttcg",
    .create_vcpu_thread = mttcg_create_vcpu_thread,
    TCG_COMMON_OPS,
};
