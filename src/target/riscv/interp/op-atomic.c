/* SPDX-License-Identifier: MIT */
/*
 * Atomics (unprivileged spec chapter 14). vCPUs run in parallel, so an AMO is the host's atomic of
 * the same meaning, always sequentially consistent, which is at least what aq and rl ask for. SC is
 * a compare-and-swap with the value that LR saw: it also succeeds when the value went and came
 * back, which no guest can tell by the registers.
 */
#include "target/riscv/interp/ops.h"

#define RELEASE_RESERVATION (cpu->reserved_paddr = UINT64_MAX)

/* ---- Load-reserved, store-conditional. */

RV_APART static bool load_reserved(RiscvCpu *cpu, const RvUop *op, RvView *view, unsigned size)
{
    RvInterp *s = view->interp;
    void *host = rv_atomic_begin(view, X(rs1), size, RV_ACCESS_LOAD);

    if (!host) {
        return false;
    }
    orr_fence_seq_cst(); /* with rl it stays behind stores before it, which a load alone need not */
    cpu->reserved_value = size == 4 ? (uint64_t)(int64_t)orr_load_seq_cst((int32_t *)host)
                                    : orr_load_seq_cst((uint64_t *)host);
    cpu->reserved_paddr = s->atomic.paddr;
    cpu->reserved_bytes = (uint8_t)size;
    set_x(cpu, op->rd, cpu->reserved_value);
    return true;
}

RV_APART static bool store_conditional(RiscvCpu *cpu, const RvUop *op, RvView *view, unsigned size)
{
    RvInterp *s = view->interp;
    void *host = rv_atomic_begin(view, X(rs1), size, RV_ACCESS_STORE);
    bool stored = false;

    if (!host) {
        return false;
    }
    if (cpu->reserved_paddr == s->atomic.paddr && cpu->reserved_bytes == size) {
        if (size == 4) {
            uint32_t expected = (uint32_t)cpu->reserved_value;

            stored = __atomic_compare_exchange_n((uint32_t *)host, &expected, (uint32_t)X(rs2),
                                                 false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        } else {
            uint64_t expected = cpu->reserved_value;

            stored = __atomic_compare_exchange_n((uint64_t *)host, &expected, X(rs2), false,
                                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        }
    }
    if (stored) {
        rv_atomic_written(view, size);
    }
    RELEASE_RESERVATION;
    set_x(cpu, op->rd, !stored);
    return true;
}

#define RESERVATION(name_, function_, size_)                                                       \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        if (!function_(cpu, op, view, size_)) {                                                    \
            RAISE(view->interp->cause, view->interp->tval);                                        \
        }                                                                                          \
        NEXT;                                                                                      \
    }

RESERVATION(lr_w, load_reserved, 4)
RESERVATION(lr_d, load_reserved, 8)
RESERVATION(sc_w, store_conditional, 4)
RESERVATION(sc_d, store_conditional, 8)

/* ---- Read-modify-write. */

/* Host atomics for what the compiler has no built-in for; each returns the old value. */
#define FETCH_CHOOSE(name_, type_, choose_)                                                        \
    RV_APART static type_ name_(type_ *p, type_ value)                                             \
    {                                                                                              \
        type_ old = orr_load_relaxed(p);                                                           \
                                                                                                   \
        while (!__atomic_compare_exchange_n(p, &old, old choose_ value ? old : value, false,       \
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {                 \
        }                                                                                          \
        return old;                                                                                \
    }

FETCH_CHOOSE(fetch_min_i32, int32_t, <)
FETCH_CHOOSE(fetch_max_i32, int32_t, >)
FETCH_CHOOSE(fetch_min_u32, uint32_t, <)
FETCH_CHOOSE(fetch_max_u32, uint32_t, >)
FETCH_CHOOSE(fetch_min_i64, int64_t, <)
FETCH_CHOOSE(fetch_max_i64, int64_t, >)
FETCH_CHOOSE(fetch_min_u64, uint64_t, <)
FETCH_CHOOSE(fetch_max_u64, uint64_t, >)

#define FETCH_XOR(p_, v_) __atomic_fetch_xor((p_), (v_), __ATOMIC_SEQ_CST)

/* type_ is what memory holds; signed_ that by whose sign the old value is extended. */
#define AMO(name_, type_, signed_, fetch_)                                                         \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        type_ *host = rv_atomic_begin(view, X(rs1), sizeof(type_), RV_ACCESS_STORE);               \
        type_ old;                                                                                 \
                                                                                                   \
        if (!host) {                                                                               \
            RAISE(view->interp->cause, view->interp->tval);                                        \
        }                                                                                          \
        old = fetch_(host, (type_)X(rs2));                                                         \
        rv_atomic_written(view, sizeof(type_));                                                    \
        set_x(cpu, op->rd, (uint64_t)(int64_t)(signed_)old);                                       \
        NEXT;                                                                                      \
    }

AMO(amoswap_w, uint32_t, int32_t, orr_exchange)
AMO(amoadd_w, uint32_t, int32_t, orr_fetch_add)
AMO(amoand_w, uint32_t, int32_t, orr_fetch_and)
AMO(amoor_w, uint32_t, int32_t, orr_fetch_or)
AMO(amoxor_w, uint32_t, int32_t, FETCH_XOR)
AMO(amomin_w, int32_t, int32_t, fetch_min_i32)
AMO(amomax_w, int32_t, int32_t, fetch_max_i32)
AMO(amominu_w, uint32_t, int32_t, fetch_min_u32)
AMO(amomaxu_w, uint32_t, int32_t, fetch_max_u32)

AMO(amoswap_d, uint64_t, int64_t, orr_exchange)
AMO(amoadd_d, uint64_t, int64_t, orr_fetch_add)
AMO(amoand_d, uint64_t, int64_t, orr_fetch_and)
AMO(amoor_d, uint64_t, int64_t, orr_fetch_or)
AMO(amoxor_d, uint64_t, int64_t, FETCH_XOR)
AMO(amomin_d, int64_t, int64_t, fetch_min_i64)
AMO(amomax_d, int64_t, int64_t, fetch_max_i64)
AMO(amominu_d, uint64_t, int64_t, fetch_min_u64)
AMO(amomaxu_d, uint64_t, int64_t, fetch_max_u64)
