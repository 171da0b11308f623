/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 front end of the translator, as the accelerator's module takes it. It needs the
 * interpreter's sources linked in, for what it leaves to it.
 */
#ifndef ORRERY_TARGET_RISCV_TCG_TARGET_H
#define ORRERY_TARGET_RISCV_TCG_TARGET_H

#include "tcg/target.h"

extern const TcgTarget rv_tcg_target;

/* TcgTarget.translate. */
void rv_translate(IrRegion *region, const TcgSource *source, TcgTranslated *out);

#endif
