/* SPDX-License-Identifier: MIT */
/*
 * accel-interp-riscv64: joins the interpreter's driver to the riscv64 target, and is the module as
 * the loader sees it.
 */
#include "src/accel/interp/interp-target.h"

#include "orrery/impl/module.h"
#include "target/riscv/interp/interp.h"

#define SUMMARY "reference interpreter: plain C semantics, a thread a vCPU"

static void *riscv64_create(Vcpu *vcpu)
{
    return rv_interp_create(vcpu, ((const InterpAccel *)vcpu_accel(vcpu))->host_float);
}

static void riscv64_destroy(void *state)
{
    rv_interp_destroy(state);
}

static VcpuExit riscv64_run(void *state)
{
    return rv_interp_run(state);
}

static VcpuExit riscv64_step(void *state)
{
    return rv_interp_step(state);
}

static void riscv64_flush(void *state, bool code)
{
    rv_interp_flush(state, code);
}

static void riscv64_stats(const void *state, AccelVcpuStats *stats)
{
    rv_interp_stats(state, stats);
}

static const InterpTarget riscv64 = {
    .create = riscv64_create,
    .destroy = riscv64_destroy,
    .run = riscv64_run,
    .step = riscv64_step,
    .flush = riscv64_flush,
    .stats = riscv64_stats,
};

static bool init_machine(Accel *accel, GError **error)
{
    ((InterpAccel *)accel)->target = &riscv64;
    return true;
}

static const char *const targets[] = { "riscv64", NULL };

static const AccelDriver driver = {
    .struct_size = sizeof(AccelDriver),
    .name = "interp",
    .summary = SUMMARY,
    .targets = targets,
    .caps = ACCEL_CAP_RUNS_GUEST | ACCEL_CAP_GUEST_DEBUG | ACCEL_CAP_RESETTABLE |
            ACCEL_CAP_EXACT_ICOUNT,
    .instance_bytes = sizeof(InterpAccel),
    .ops = &interp_ops,
    .props = interp_props,
    .init_machine = init_machine,
    .memory_listener = &interp_memory_listener,
};

ORR_MODULE_NOTE("accel", "interp-riscv64", "interp", "riscv64", SUMMARY, "");

static const AccelDriver *const drivers[] = { &driver, NULL };

ORR_ACCEL_MODULE_DECLARE(interp);
ORR_ACCEL_MODULE(interp) = {
    .struct_size = sizeof(AccelModule),
    .abi_stamp = ORR_ABI_STAMP,
    .drivers = drivers,
};
