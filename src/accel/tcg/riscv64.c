/* SPDX-License-Identifier: MIT */
/*
 * accel-tcg-riscv64: joins the translator to the riscv64 target, and is the module as the loader sees
 * it. The interpreter's engine is linked in for single steps, breakpoints, and pages that cannot be
 * translated from.
 */
#include "src/accel/tcg/tcg.h"

#include "orrery/impl/module.h"
#include "target/riscv/interp/interp.h"
#include "target/riscv/tcg/target.h"

#define SUMMARY "translates guest code to host code"

static void *stepper_create(Vcpu *vcpu)
{
    return rv_interp_create(vcpu, false);
}

static void stepper_destroy(void *state)
{
    rv_interp_destroy(state);
}

static VcpuExit stepper_run(void *state)
{
    return rv_interp_run(state);
}

static VcpuExit stepper_step(void *state)
{
    return rv_interp_step(state);
}

static void stepper_flush(void *state, bool code)
{
    rv_interp_flush(state, code);
}

static const TcgStepper stepper = {
    .create = stepper_create,
    .destroy = stepper_destroy,
    .run = stepper_run,
    .step = stepper_step,
    .flush = stepper_flush,
};

static bool init_machine(Accel *accel, GError **error)
{
    return tcg_init_machine(accel, &rv_tcg_target, &stepper, false, error);
}

static bool init_machine_choose(Accel *accel, GError **error)
{
    return tcg_init_machine(accel, &rv_tcg_target, &stepper, true, error);
}

static const char *const targets[] = { "riscv64", NULL };

#define DRIVER(name_, summary_, ops_, init_)                                                       \
    {                                                                                              \
        .struct_size = sizeof(AccelDriver), .name = name_, .summary = summary_,                    \
        .targets = targets,                                                                        \
        .caps = ACCEL_CAP_RUNS_GUEST | ACCEL_CAP_GUEST_DEBUG | ACCEL_CAP_RESETTABLE,               \
        .instance_bytes = sizeof(TcgAccel), .ops = ops_, .props = tcg_props,                       \
        .init_machine = init_, .finish_machine = tcg_finish_machine,                               \
        .memory_listener = &tcg_memory_listener,                                                   \
    }

static const AccelDriver tcg_driver =
    DRIVER("tcg", SUMMARY ", a thread a vCPU or (thread=single) one for all", &tcg_mttcg_ops,
           init_machine_choose);
static const AccelDriver rr_driver =
    DRIVER("tcg-rr", SUMMARY ", vCPUs take turns on one thread", &tcg_rr_ops, init_machine);
static const AccelDriver mttcg_driver =
    DRIVER("tcg-mttcg", SUMMARY ", a thread a vCPU", &tcg_mttcg_ops, init_machine);

ORR_MODULE_NOTE("accel", "tcg-riscv64", "tcg,tcg-rr,tcg-mttcg", "riscv64", SUMMARY, "");

static const AccelDriver *const drivers[] = { &tcg_driver, &rr_driver, &mttcg_driver, NULL };

ORR_ACCEL_MODULE_DECLARE(tcg);
ORR_ACCEL_MODULE(tcg) = {
    .struct_size = sizeof(AccelModule),
    .abi_stamp = ORR_ABI_STAMP,
    .drivers = drivers,
};
