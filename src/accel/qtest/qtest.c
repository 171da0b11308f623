/* SPDX-License-Identifier: MIT */
/*
 * The qtest accelerator: no guest code runs, guest time moves only when a test says so, and devices
 * are driven by text commands over a socket. Its vCPUs keep the thread contract and wait.
 */
#include "src/accel/qtest/qtest.h"

#include "orrery/impl/cpus.h"
#include "orrery/impl/error.h"
#include "orrery/impl/module.h"

static void *qtest_thread(void *opaque)
{
    Vcpu *vcpu = opaque;

    vcpu_thread_begin(vcpu);
    do {
        if (vcpu_can_run(vcpu)) {
            vcpu_set_state(vcpu, VCPU_STATE_RUNNING, "enter");
            vcpu_exec_begin(vcpu);
            while (!vcpu_exit_requested(vcpu)) {
                orr_park(&vcpu->park, -1);
            }
            vcpu_exec_end(vcpu);
            vcpu_set_state(vcpu, VCPU_STATE_EXIT, "exit");
        }
        vcpu_wait_io_event(vcpu);
    } while (vcpu_thread_continues(vcpu));
    vcpu_thread_end(vcpu);
    return NULL;
}

static bool qtest_create_vcpu_thread(Vcpu *vcpu, GError **error)
{
    return vcpu_start_thread(vcpu, qtest_thread, error);
}

/* Nobody executes, so nobody takes it; the pending word itself is what a test reads. */
static void qtest_handle_interrupt(Vcpu *vcpu)
{
}

static int64_t qtest_get_virtual_clock(Accel *accel)
{
    return orr_load_acquire(&((QtestAccel *)accel)->clock_ns);
}

static void qtest_set_virtual_clock(Accel *accel, int64_t ns)
{
    orr_store_release(&((QtestAccel *)accel)->clock_ns, ns);
}

static int64_t qtest_get_elapsed_ticks(Accel *accel)
{
    return qtest_get_virtual_clock(accel);
}

static const AccelOps qtest_ops = {
    .struct_size = sizeof(AccelOps),
    .name = "qtest",
    .create_vcpu_thread = qtest_create_vcpu_thread,
    .handle_interrupt = qtest_handle_interrupt,
    .get_virtual_clock = qtest_get_virtual_clock,
    .set_virtual_clock = qtest_set_virtual_clock,
    .get_elapsed_ticks = qtest_get_elapsed_ticks,
};

static const PropDef qtest_props[] = {
    { "chardev", PROP_STRING, offsetof(QtestAccel, chardev_spec),
      .help = "where commands come from: unix:PATH,server=on, stdio, fd:N (as -qtest gives it)" },
    { "log", PROP_STRING, offsetof(QtestAccel, log_path),
      .help = "file for a log of commands and answers (as -qtest-log gives it)" },
    { NULL },
};

static bool qtest_setup_post(Accel *accel, GError **error)
{
    return qtest_server_open((QtestAccel *)accel, error);
}

static void qtest_finish_machine(Accel *accel)
{
    qtest_server_close((QtestAccel *)accel);
}

static const AccelDriver qtest_driver = {
    .struct_size = sizeof(AccelDriver),
    .name = "qtest",
    .summary = "no guest code; devices and time driven over a socket",
    .caps = ACCEL_CAP_RESETTABLE,
    .instance_bytes = sizeof(QtestAccel),
    .ops = &qtest_ops,
    .props = qtest_props,
    .setup_post = qtest_setup_post,
    .finish_machine = qtest_finish_machine,
};

ORR_MODULE_NOTE("accel", "qtest", "qtest", "*",
                "no guest code; devices and time driven over a socket", "");

static const AccelDriver *const qtest_drivers[] = { &qtest_driver, NULL };

ORR_ACCEL_MODULE_DECLARE(qtest);
ORR_ACCEL_MODULE(qtest) = {
    .struct_size = sizeof(AccelModule),
    .abi_stamp = ORR_ABI_STAMP,
    .drivers = qtest_drivers,
};
