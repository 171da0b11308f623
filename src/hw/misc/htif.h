/* SPDX-License-Identifier: MIT */
/*
 * For boards: HTIF's two words lie where the guest's program has them, on a page that the device
 * takes the place of.
 */
#ifndef ORRERY_HW_MISC_HTIF_H
#define ORRERY_HW_MISC_HTIF_H

#include "orrery/impl/device.h"

extern const DeviceClass riscv_htif_class;

/*
 * Offsets of tohost and fromhost (-1: the program has none) on the page, multiples of 8. console is
 * where its characters go when the device has no chardev of its own; output only, may be NULL.
 * After realize, before device_map of region 0. Machine lock held.
 */
void htif_set_words(Device *dev, unsigned tohost, int fromhost, Chardev *console);

#endif
