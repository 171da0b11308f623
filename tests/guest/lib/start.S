/* SPDX-License-Identifier: MIT */
/*
 * Entry of all harts, trap entries of both privileged modes, and the switch into other modes. tp
 * holds the struct Hart everywhere; mscratch and sscratch hold it too, for the trap entries.
 */
#include "layout.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrr    a0, mhartid
    li      t0, MAX_HARTS
    bgeu    a0, t0, park
    li      t0, HART_BYTES
    mul     t0, t0, a0
    la      tp, harts
    add     tp, tp, t0
    addi    t0, a0, 1
    li      t1, STACK_BYTES
    mul     t0, t0, t1
    la      sp, main_stacks
    add     sp, sp, t0
    la      t0, m_trap_entry
    csrw    mtvec, t0
    csrw    mscratch, tp
    csrw    mie, zero
    li      t0, 0x6000              /* mstatus.FS: dirty, so that nothing traps unless asked to */
    csrs    mstatus, t0
    csrw    fcsr, zero
    li      t0, -1                  /* S and U may reach all of memory until a program says less */
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    call    hart_start
park:
    wfi
    j       park

/* All registers to the frame at \frame of the Hart, then handler(Hart *); back if it returns. */
.macro TRAP_ENTRY name, prefix, frame, stack, return
    .text
    .balign 4
    .globl  \name\()_trap_entry
\name\()_trap_entry:
    csrrw   tp, \prefix\()scratch, tp
    sd      x1, \frame + 1 * 8(tp)
    sd      x2, \frame + 2 * 8(tp)
    sd      x3, \frame + 3 * 8(tp)
    .irp    n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, \
               27, 28, 29, 30, 31
    sd      x\n, \frame + \n * 8(tp)
    .endr
    csrr    t0, \prefix\()scratch
    sd      t0, \frame + 4 * 8(tp)
    csrw    \prefix\()scratch, tp
    csrr    t0, \prefix\()epc
    sd      t0, \frame + FRAME_EPC(tp)
    csrr    t0, \prefix\()cause
    sd      t0, \frame + FRAME_CAUSE(tp)
    csrr    t0, \prefix\()tval
    sd      t0, \frame + FRAME_TVAL(tp)
    csrr    t0, \prefix\()status
    sd      t0, \frame + FRAME_STATUS(tp)
    ld      sp, \stack(tp)
    mv      a0, tp
    call    \name\()_trap
    ld      t0, \frame + FRAME_EPC(tp)
    csrw    \prefix\()epc, t0
    ld      x1, \frame + 1 * 8(tp)
    ld      x2, \frame + 2 * 8(tp)
    ld      x3, \frame + 3 * 8(tp)
    .irp    n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, \
               27, 28, 29, 30, 31
    ld      x\n, \frame + \n * 8(tp)
    .endr
    ld      tp, \frame + 4 * 8(tp)
    \return
.endm

    TRAP_ENTRY m, m, HART_M, HART_M_STACK, mret
    TRAP_ENTRY s, s, HART_S, HART_S_STACK, sret

/* Vectored mode: slot n notes n + 1 in the Hart, then goes on as the plain entry. */
.macro VECTORS name, prefix
    .text
    .balign 256
    .globl  \name\()_vectors
\name\()_vectors:
    .option push
    .option norvc
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    j       \name\()_slot_\n
    .endr
    .option pop
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
\name\()_slot_\n:
    csrrw   tp, \prefix\()scratch, tp
    sd      t0, HART_SPARE(tp)
    li      t0, \n + 1
    sd      t0, HART_SLOT(tp)
    ld      t0, HART_SPARE(tp)
    csrrw   tp, \prefix\()scratch, tp
    j       \name\()_trap_entry
    .endr
.endm

    VECTORS m, m
    VECTORS s, s

/*
 * void enter(uint64_t a0, uint64_t a1, uint64_t sp, uint64_t ra): mret with these; comes back when
 * leave() is called on this hart.
 */
    .text
    .globl  enter
enter:
    sd      ra, HART_SAVED + 0 * 8(tp)
    sd      sp, HART_SAVED + 1 * 8(tp)
    sd      s0, HART_SAVED + 2 * 8(tp)
    sd      s1, HART_SAVED + 3 * 8(tp)
    .irp    n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd      s\n, HART_SAVED + (2 + \n) * 8(tp)
    .endr
    mv      sp, a2
    mv      ra, a3
    mret

    .globl  leave
leave:
    ld      ra, HART_SAVED + 0 * 8(tp)
    ld      sp, HART_SAVED + 1 * 8(tp)
    ld      s0, HART_SAVED + 2 * 8(tp)
    ld      s1, HART_SAVED + 3 * 8(tp)
    .irp    n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld      s\n, HART_SAVED + (2 + \n) * 8(tp)
    .endr
    ret

    .globl  run_returned
run_returned:
    li      a7, CALL_RETURNED
    ecall

    .globl  s_give_up
s_give_up:
    li      a7, CALL_S_TRAP
    ecall
