/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores (unprivileged spec 2.6, and those of F and D). An aligned access to RAM whose
 * page the TLB holds is one comparison and one host access; everything else goes through rv_load
 * and rv_store. The idea to hold: each access to guest memory is a single relaxed atomic of its
 * size, so that vCPUs race as harts do and no host compiler gets ideas.
 */
#include "target/riscv/interp/ops.h"

#define F(field_) cpu->f[op->field_]

#define ALWAYS ((void)0)
#define IF_FP_ON                                                                                   \
    if (!riscv_fp_enabled(cpu)) {                                                                  \
        RAISE_ILLEGAL;                                                                             \
    }

/* type_ is signed where the register gets the sign; use_ is what to do with `value`. */
#define LOAD(name_, type_, if_, use_)                                                              \
    RV_SELDOM static RvUop *slow_##name_(RV_HANDLER_PARAMS)                                        \
    {                                                                                              \
        RvLoaded loaded = rv_load(view, X(rs1) + (uint64_t)IMM, sizeof(type_));                    \
        type_ value = (type_)loaded.value;                                                         \
                                                                                                   \
        if (loaded.cause) {                                                                        \
            RAISE(loaded.cause, view->interp->tval);                                               \
        }                                                                                          \
        use_;                                                                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        uint64_t addr = X(rs1) + (uint64_t)IMM;                                                    \
        RvTlbEntry *entry = rv_tlb_entry(view, addr);                                              \
        type_ value;                                                                               \
                                                                                                   \
        if_;                                                                                       \
        if (G_UNLIKELY(entry->load_tag != rv_tlb_tag(addr, sizeof(type_)))) {                      \
            return slow_##name_(cpu, op, view, pc);                                                \
        }                                                                                          \
        value = orr_load_relaxed((type_ *)(entry->addend + addr));                                 \
        use_;                                                                                      \
        NEXT;                                                                                      \
    }

#define STORE(name_, type_, if_, value_)                                                           \
    RV_SELDOM static RvUop *slow_##name_(RV_HANDLER_PARAMS)                                        \
    {                                                                                              \
        unsigned cause = rv_store(view, X(rs1) + (uint64_t)IMM, sizeof(type_), (type_)(value_));   \
                                                                                                   \
        if (cause) {                                                                               \
            RAISE(cause, view->interp->tval);                                                      \
        }                                                                                          \
        NEXT;                                                                                      \
    }                                                                                              \
    RV_SELDOM static RvUop *noted_##name_(RV_HANDLER_PARAMS)                                       \
    {                                                                                              \
        rv_note_store(view, X(rs1) + (uint64_t)IMM, sizeof(type_));                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        uint64_t addr = X(rs1) + (uint64_t)IMM;                                                    \
        RvTlbEntry *entry = rv_tlb_entry(view, addr);                                              \
                                                                                                   \
        if_;                                                                                       \
        if (G_UNLIKELY(entry->store_tag != rv_tlb_tag(addr, sizeof(type_)))) {                     \
            return slow_##name_(cpu, op, view, pc);                                                \
        }                                                                                          \
        orr_store_relaxed((type_ *)(entry->addend + addr), (type_)(value_));                       \
        if (G_UNLIKELY(orr_load_relaxed(entry->page_flags))) {                                     \
            return noted_##name_(cpu, op, view, pc);                                               \
        }                                                                                          \
        NEXT;                                                                                      \
    }

LOAD(lb, int8_t, ALWAYS, X(rd) = (uint64_t)value)
LOAD(lh, int16_t, ALWAYS, X(rd) = (uint64_t)value)
LOAD(lw, int32_t, ALWAYS, X(rd) = (uint64_t)value)
LOAD(ld, int64_t, ALWAYS, X(rd) = (uint64_t)value)
LOAD(lbu, uint8_t, ALWAYS, X(rd) = value)
LOAD(lhu, uint16_t, ALWAYS, X(rd) = value)
LOAD(lwu, uint32_t, ALWAYS, X(rd) = value)

STORE(sb, uint8_t, ALWAYS, X(rs2))
STORE(sh, uint16_t, ALWAYS, X(rs2))
STORE(sw, uint32_t, ALWAYS, X(rs2))
STORE(sd, uint64_t, ALWAYS, X(rs2))

LOAD(flw, uint32_t, IF_FP_ON, F(rd) = fp_box32(value); riscv_fp_dirty(cpu))
LOAD(fld, uint64_t, IF_FP_ON, F(rd) = value; riscv_fp_dirty(cpu))
STORE(fsw, uint32_t, IF_FP_ON, F(rs2))
STORE(fsd, uint64_t, IF_FP_ON, F(rs2))

/* The access is made, for its faults and its effects on a device; the value is dropped. */
HANDLER(load_x0)
{
    RvLoaded loaded = rv_load(view, X(rs1) + (uint64_t)IMM, op->rd);

    if (loaded.cause) {
        RAISE(loaded.cause, view->interp->tval);
    }
    NEXT;
}
