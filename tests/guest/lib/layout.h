/* SPDX-License-Identifier: MIT */
/*
 * Offsets that assembly and C share. guest.h asserts that struct Hart agrees with them.
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define MAX_HARTS 8
#define STACK_BYTES 16384

/* struct TrapFrame: x0 to x31, then these. */
#define FRAME_EPC (32 * 8)
#define FRAME_CAUSE (33 * 8)
#define FRAME_TVAL (34 * 8)
#define FRAME_STATUS (35 * 8)
#define FRAME_BYTES (36 * 8)

/* struct Hart. */
#define HART_M 0
#define HART_S FRAME_BYTES
#define HART_SAVED (2 * FRAME_BYTES)
#define HART_M_STACK (HART_SAVED + 14 * 8)
#define HART_S_STACK (HART_M_STACK + 8)
#define HART_SLOT (HART_S_STACK + 8)
#define HART_SPARE (HART_SLOT + 8)
#define HART_BYTES 1024

/* In a7 of an ecall: the code that run_in started has returned; the S-mode handler gives up. */
#define CALL_RETURNED 0x52455455
#define CALL_S_TRAP 0x53545241

#endif
