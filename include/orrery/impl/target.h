/* SPDX-License-Identifier: MIT */
/*
 * What the common code knows of a guest architecture: how large its CPU struct is, how to reset it,
 * whether it has a reason to wake up, and how to name its registers. Executing instructions is not
 * here; that is in the accelerators' modules.
 */
#ifndef ORRERY_IMPL_TARGET_H
#define ORRERY_IMPL_TARGET_H

#include <stdio.h>

#include "orrery/impl/compiler.h"
#include "orrery/impl/irq.h"
#include "orrery/impl/props.h"

ORR_BEGIN_DECLS

typedef struct Vcpu Vcpu;

typedef struct TargetCpuModel {
    const char *name;
    const char *summary;
    bool alias; /* not listed by -cpu help */
} TargetCpuModel;

/* A register as gdb and `info registers` name it. */
typedef struct TargetReg {
    const char *name;
    const char *group; /* "general", "float", "csr" */
    uint32_t bits;
} TargetReg;

/* One property of a vCPU's node in a device tree; data as the tree holds it (cells big-endian). */
typedef void TargetDescribeFn(void *opaque, const char *property, const void *data,
                              size_t length_bytes);

typedef struct TargetOps {
    const char *name; /* "riscv64" */
    const char *summary;
    size_t vcpu_bytes; /* of the struct that begins with Vcpu */
    unsigned max_vcpus;
    uint16_t elf_machine;
    const TargetCpuModel *models; /* ends with a NULL name; the first is the default */
    const PropDef *props;         /* of the CPU struct, for -cpu model,prop=on */

    /* Sets up the model's features; properties follow, then realize checks the whole. */
    bool (*vcpu_init)(Vcpu *vcpu, const char *model, GError **error);
    bool (*vcpu_realize)(Vcpu *vcpu, GError **error);
    void (*vcpu_finish)(Vcpu *vcpu);

    /* Architectural reset. Machine lock held, the vCPU stopped or its own thread. */
    void (*vcpu_reset)(Vcpu *vcpu);

    /* A halted vCPU must wake: an enabled interrupt is pending. Any thread, no lock. */
    bool (*has_work)(const Vcpu *vcpu);

    uint64_t (*get_pc)(const Vcpu *vcpu);
    void (*set_pc)(Vcpu *vcpu, uint64_t pc);

    /* Registers by index into regs. Synchronised state. */
    const TargetReg *regs;
    unsigned reg_count;
    uint64_t (*read_reg)(Vcpu *vcpu, unsigned reg);
    bool (*write_reg)(Vcpu *vcpu, unsigned reg, uint64_t value);

    /* Human-readable registers, appended. */
    void (*dump_state)(Vcpu *vcpu, GString *out);

    /* Virtual to physical as a debugger sees it: no faults, no accessed bits. false: unmapped. */
    bool (*debug_translate)(Vcpu *vcpu, uint64_t vaddr, uint64_t *paddr);

    /* One instruction at pc from `bytes`; returns its length, 0 when not decodable. */
    size_t (*disas)(Vcpu *vcpu, uint64_t pc, const uint8_t *bytes, size_t available, char *text,
                    size_t text_bytes);

    /*
     * Interrupt input n of the vCPU, for a board to wire; lockless. NULL when there is none. NULL
     * here: the target has no inputs that boards wire.
     */
    IrqLine *(*irq_in)(Vcpu *vcpu, unsigned n);

    /*
     * Tells a device tree what the vCPU is: calls add for each property of its node that follows
     * from its model and features (not its address, status or phandle). After vcpu_realize. NULL:
     * nothing to tell.
     */
    void (*describe)(Vcpu *vcpu, TargetDescribeFn *add, void *opaque);
} TargetOps;

/* NULL when unknown. */
const TargetOps *target_find(const char *name);

/* All of them, NULL-terminated. */
const TargetOps *const *target_list(void);

ORR_END_DECLS

#endif
