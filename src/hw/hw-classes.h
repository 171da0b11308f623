/* SPDX-License-Identifier: MIT */
/*
 * Every device class there is. The idea to hold: a device is known to the program by its line here
 * and by nothing else; declarations and the table of src/hw/core/classes.c come from it.
 */
#ifndef ORRERY_HW_CLASSES_H
#define ORRERY_HW_CLASSES_H

#include "orrery/impl/device.h"

#define HW_CLASSES(X)                                                                              \
    X(goldfish_rtc_class)                                                                          \
    X(riscv_aclint_mswi_class)                                                                     \
    X(riscv_aclint_mtimer_class)                                                                   \
    X(riscv_aclint_sswi_class)                                                                     \
    X(riscv_clint_class)                                                                           \
    X(riscv_htif_class)                                                                            \
    X(riscv_plic_class)                                                                            \
    X(serial_mm_class)                                                                             \
    X(sifive_test_class)                                                                           \
    X(virtconsole_class)                                                                           \
    X(virtio_blk_class)                                                                            \
    X(virtio_mmio_class)                                                                           \
    X(virtio_rng_class)                                                                            \
    X(virtio_serial_class)                                                                         \
    X(virtserialport_class)

#define HW_DECLARE_CLASS(name) extern const DeviceClass name;
HW_CLASSES(HW_DECLARE_CLASS)
#undef HW_DECLARE_CLASS

#endif
