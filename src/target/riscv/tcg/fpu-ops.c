/* SPDX-License-Identifier: MIT */
/*
 * IR operations with IR_FP by the functions of fpu.h. The idea to hold: each function takes registers'
 * bits and gives a register's bits; what aux says about boxes changes nothing here, since unboxing what is
 * boxed is exact.
 */
#include "target/riscv/tcg/fpu-ops.h"

#include "target/riscv/fpu.h"

#define ENTER FpEnv e = { .rm = env->round }
#define LEAVE(result_)                                                                             \
    do {                                                                                           \
        uint64_t r_ = result_;                                                                     \
        env->flags |= e.flags;                                                                     \
        return r_;                                                                                 \
    } while (0)

/* name, how a, b become operands, what is called, how the result becomes a register. */
#define BINARY(name_, in_, fn_, out_)                                                              \
    static uint64_t name_(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c)         \
    {                                                                                              \
        ENTER;                                                                                     \
        LEAVE(out_(fn_(&e, in_(a), in_(b))));                                                      \
    }

#define UNARY(name_, in_, fn_, out_)                                                               \
    static uint64_t name_(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c)         \
    {                                                                                              \
        ENTER;                                                                                     \
        LEAVE(out_(fn_(&e, in_(a))));                                                              \
    }

#define TO_INT(name_, in_, fn_, out_)                                                              \
    static uint64_t name_(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c)         \
    {                                                                                              \
        ENTER;                                                                                     \
        if (aux & IR_TOWARD_ZERO) {                                                                \
            e.rm = FP_RTZ;                                                                         \
        }                                                                                          \
        LEAVE(out_(fn_(&e, in_(a))));                                                              \
    }

#define SAME(x_) (x_)
#define SIGNED32(x_) ((uint64_t)(int64_t)(int32_t)(x_))
#define SIGNED64(x_) ((uint64_t)(x_))

BINARY(faddd, SAME, fp64_add, SAME)
BINARY(fsubd, SAME, fp64_sub, SAME)
BINARY(fmuld, SAME, fp64_mul, SAME)
BINARY(fdivd, SAME, fp64_div, SAME)
UNARY(fsqrtd, SAME, fp64_sqrt, SAME)
BINARY(fmind, SAME, fp64_min, SAME)
BINARY(fmaxd, SAME, fp64_max, SAME)
BINARY(feqd, SAME, fp64_eq, SAME)
BINARY(fltd, SAME, fp64_lt, SAME)
BINARY(fled, SAME, fp64_le, SAME)
BINARY(fadds, fp_unbox32, fp32_add, fp_box32)
BINARY(fsubs, fp_unbox32, fp32_sub, fp_box32)
BINARY(fmuls, fp_unbox32, fp32_mul, fp_box32)
BINARY(fdivs, fp_unbox32, fp32_div, fp_box32)
UNARY(fsqrts, fp_unbox32, fp32_sqrt, fp_box32)
BINARY(fmins, fp_unbox32, fp32_min, fp_box32)
BINARY(fmaxs, fp_unbox32, fp32_max, fp_box32)
BINARY(feqs, fp_unbox32, fp32_eq, SAME)
BINARY(flts, fp_unbox32, fp32_lt, SAME)
BINARY(fles, fp_unbox32, fp32_le, SAME)

static uint64_t fmad(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c)
{
    ENTER;
    LEAVE(fp64_fma(&e, aux & IR_NEGATE_PRODUCT ? fp64_neg(a) : a, b,
                   aux & IR_NEGATE_ADDEND ? fp64_neg(c) : c));
}

static uint64_t fmas(TcgFpEnv *env, unsigned aux, uint64_t a, uint64_t b, uint64_t c)
{
    uint32_t sa = fp_unbox32(a), sc = fp_unbox32(c);

    ENTER;
    LEAVE(fp_box32(fp32_fma(&e, aux & IR_NEGATE_PRODUCT ? fp32_neg(sa) : sa, fp_unbox32(b),
                            aux & IR_NEGATE_ADDEND ? fp32_neg(sc) : sc)));
}

TO_INT(fcvtwd, SAME, fp64_to_i32, SIGNED32)
TO_INT(fcvtud, SAME, fp64_to_u32, SIGNED32)
TO_INT(fcvtld, SAME, fp64_to_i64, SIGNED64)
TO_INT(fcvtqd, SAME, fp64_to_u64, SIGNED64)
TO_INT(fcvtws, fp_unbox32, fp32_to_i32, SIGNED32)
TO_INT(fcvtus, fp_unbox32, fp32_to_u32, SIGNED32)
TO_INT(fcvtls, fp_unbox32, fp32_to_i64, SIGNED64)
TO_INT(fcvtqs, fp_unbox32, fp32_to_u64, SIGNED64)
UNARY(fcvtdw, (int32_t), fp64_from_i32, SAME)
UNARY(fcvtdu, (uint32_t), fp64_from_u32, SAME)
UNARY(fcvtdl, (int64_t), fp64_from_i64, SAME)
UNARY(fcvtdq, SAME, fp64_from_u64, SAME)
UNARY(fcvtsw, (int32_t), fp32_from_i32, fp_box32)
UNARY(fcvtsu, (uint32_t), fp32_from_u32, fp_box32)
UNARY(fcvtsl, (int64_t), fp32_from_i64, fp_box32)
UNARY(fcvtsq, SAME, fp32_from_u64, fp_box32)
UNARY(fcvtds, fp_unbox32, fp32_to_fp64, SAME)
UNARY(fcvtsd, SAME, fp64_to_fp32, fp_box32)

#define ROW(name_) [IR_OP_##name_] = name_

const TcgFpu riscv_tcg_fpu = { {
    ROW(faddd),  ROW(fsubd),  ROW(fmuld),  ROW(fdivd),  ROW(fsqrtd), ROW(fmad),   ROW(fmind),
    ROW(fmaxd),  ROW(feqd),   ROW(fltd),   ROW(fled),   ROW(fadds),  ROW(fsubs),  ROW(fmuls),
    ROW(fdivs),  ROW(fsqrts), ROW(fmas),   ROW(fmins),  ROW(fmaxs),  ROW(feqs),   ROW(flts),
    ROW(fles),   ROW(fcvtwd), ROW(fcvtud), ROW(fcvtld), ROW(fcvtqd), ROW(fcvtws), ROW(fcvtus),
    ROW(fcvtls), ROW(fcvtqs), ROW(fcvtdw), ROW(fcvtdu), ROW(fcvtdl), ROW(fcvtdq), ROW(fcvtsw),
    ROW(fcvtsu), ROW(fcvtsl), ROW(fcvtsq), ROW(fcvtds), ROW(fcvtsd),
} };
