/* SPDX-License-Identifier: MIT */
/*
 * What the drivers tcg, tcg-rr and tcg-mttcg share for all targets: properties, ops that do not
 * depend on how threads are laid out, and the way from memory's callbacks to the translator. A
 * module joins them to one target with a few lines of glue (riscv64.c).
 */
#ifndef ORRERY_ACCEL_TCG_TCG_H
#define ORRERY_ACCEL_TCG_TCG_H

#include "tcg/tb.h"

typedef struct TcgRr TcgRr;

/* The Accel of every tcg module. */
typedef struct TcgAccel {
    Accel accel; /* first */
    TcgContext *context;
    TcgRr *rr; /* of tcg-rr */
    LogSet no_log;

    /* Properties. */
    uint64_t tb_size;
    uint32_t thread, backend, threshold;
    bool one_insn, perfmap, jitdump, tier1;
} TcgAccel;

extern const AccelOps tcg_rr_ops, tcg_mttcg_ops;
extern const PropDef tcg_props[];
extern const MemoryListener tcg_memory_listener;

static inline TcgAccel *tcg_accel(const Vcpu *vcpu)
{
    return (TcgAccel *)vcpu_accel(vcpu);
}

/* For AccelDriver.init_machine, with the ops by the thread property when the driver has no own. */
bool tcg_init_machine(Accel *accel, const TcgTarget *target, const TcgStepper *stepper,
                      bool choose_ops, GError **error);
void tcg_finish_machine(Accel *accel);

/* One turn of a vCPU that can run: state account, exec section, what follows from the exit. */
void tcg_turn(Vcpu *vcpu);
void tcg_destroy_state(Vcpu *vcpu);

/* Ops that both tables have. */
void tcg_handle_interrupt(Vcpu *vcpu);
void tcg_vcpu_reset_hold(Vcpu *vcpu);
void tcg_invalidate_translations(Vcpu *vcpu);
bool tcg_supports_guest_debug(Accel *accel);
bool tcg_update_guest_debug(Vcpu *vcpu, GError **error);
bool tcg_insert_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                           GError **error);
bool tcg_remove_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                           GError **error);
void tcg_remove_all_breakpoints(Vcpu *vcpu);
bool tcg_get_vcpu_stats(Vcpu *vcpu, AccelVcpuStats *stats);
bool tcg_step_vcpu(Vcpu *vcpu);
bool tcg_print_translator(Accel *accel, GString *out);

#define TCG_COMMON_OPS                                                                             \
    .struct_size = sizeof(AccelOps), .handle_interrupt = tcg_handle_interrupt,                     \
    .vcpu_reset_hold = tcg_vcpu_reset_hold,                                                        \
    .invalidate_translations = tcg_invalidate_translations,                                        \
    .supports_guest_debug = tcg_supports_guest_debug,                                              \
    .update_guest_debug = tcg_update_guest_debug, .insert_breakpoint = tcg_insert_breakpoint,      \
    .remove_breakpoint = tcg_remove_breakpoint,                                                    \
    .remove_all_breakpoints = tcg_remove_all_breakpoints, .get_vcpu_stats = tcg_get_vcpu_stats,    \
    .step_vcpu = tcg_step_vcpu, .print_translator = tcg_print_translator

/* rr.c */
TcgRr *tcg_rr_create(TcgAccel *tcg);
void tcg_rr_destroy(TcgRr *rr);

#endif
