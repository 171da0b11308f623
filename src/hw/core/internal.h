/* SPDX-License-Identifier: MIT */
/*
 * What the files of the device core share.
 */
#ifndef ORRERY_HW_CORE_INTERNAL_H
#define ORRERY_HW_CORE_INTERNAL_H

#include "orrery/impl/device.h"

/* A property of the class or of its parents; NULL when there is none. */
const PropDef *device_class_prop(const DeviceClass *cls, const char *name);

/* Sets the -global values that are meant for the device's class or one of its parents. */
bool device_apply_globals(Device *dev, GError **error);

/* An id as users may give: a letter first, then letters, digits and "-._". */
bool device_id_well_formed(const char *id);

void bus_destroy(Bus *bus);

#endif
