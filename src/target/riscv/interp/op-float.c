/* SPDX-License-Identifier: MIT */
/*
 * Floating-point arithmetic: F and D (unprivileged spec chapters 21 and 22). The work is done by
 * fpu.h on bit patterns; what is here is registers, NaN boxes, rounding modes and sticky flags. The
 * idea to hold: arithmetic() says whether an instruction may execute at all, to_f and to_x say what
 * it did to the state that mstatus.FS keeps watch over.
 */
#include "target/riscv/interp/ops.h"

#define F(field_) cpu->f[op->field_]

/* Operands by register field: the double in it, the single in it. */
#define D(field_) F(field_)
#define S(field_) fp_unbox32(F(field_))
#define D3 cpu->f[op->imm & 31]
#define S3 fp_unbox32(D3)

/*
 * The environment to compute in; NULL when the instruction is illegal: FS is off, or the dynamic
 * rounding mode is none. Instructions without a mode have RNE in its place.
 */
static inline FpEnv *arithmetic(const RiscvCpu *cpu, const RvUop *op, RvView *view)
{
    FpEnv *env = &view->interp->fp;
    unsigned rm = (unsigned)op->imm >> 8 & 7;

    if (rm == 7) {
        rm = cpu->frm;
    }
    if (!riscv_fp_enabled(cpu) || rm > FP_RMM) {
        return NULL;
    }
    env->rm = (uint8_t)rm;
    env->flags = cpu->fflags;
    return env;
}

static inline void to_f(RiscvCpu *cpu, const RvUop *op, const FpEnv *env, uint64_t value)
{
    F(rd) = value;
    cpu->fflags = env->flags;
    riscv_fp_dirty(cpu);
}

static inline void to_x(RiscvCpu *cpu, const RvUop *op, const FpEnv *env, uint64_t value)
{
    set_x(cpu, op->rd, value);
    if (cpu->fflags != env->flags) {
        cpu->fflags = env->flags;
        riscv_fp_dirty(cpu);
    }
}

#define FP(name_, to_, value_)                                                                     \
    HANDLER(name_)                                                                                 \
    {                                                                                              \
        FpEnv *env = arithmetic(cpu, op, view);                                                    \
                                                                                                   \
        if (!env) {                                                                                \
            RAISE_ILLEGAL;                                                                         \
        }                                                                                          \
        to_(cpu, op, env, value_);                                                                 \
        NEXT;                                                                                      \
    }

#define FP_S(name_, value_) FP(name_, to_f, fp_box32(value_))
#define FP_D(name_, value_) FP(name_, to_f, value_)
#define FP_X(name_, value_) FP(name_, to_x, value_)

/* A 32-bit result in an integer register is sign-extended, also when it is unsigned. */
#define WORD(value_) (uint64_t)(int64_t)(int32_t)(value_)

/* ---- Single precision. */

FP_S(fadd_s, fp32_add(env, S(rs1), S(rs2)))
FP_S(fsub_s, fp32_sub(env, S(rs1), S(rs2)))
FP_S(fmul_s, fp32_mul(env, S(rs1), S(rs2)))
FP_S(fdiv_s, fp32_div(env, S(rs1), S(rs2)))
FP_S(fsqrt_s, fp32_sqrt(env, S(rs1)))
FP_S(fmin_s, fp32_min(env, S(rs1), S(rs2)))
FP_S(fmax_s, fp32_max(env, S(rs1), S(rs2)))
FP_S(fmadd_s, fp32_fma(env, S(rs1), S(rs2), S3))
FP_S(fmsub_s, fp32_fma(env, S(rs1), S(rs2), fp32_neg(S3)))
FP_S(fnmsub_s, fp32_fma(env, fp32_neg(S(rs1)), S(rs2), S3))
FP_S(fnmadd_s, fp32_fma(env, fp32_neg(S(rs1)), S(rs2), fp32_neg(S3)))

#define SIGN_S UINT32_C(0x80000000)
FP_S(fsgnj_s, (S(rs1) & ~SIGN_S) | (S(rs2) & SIGN_S))
FP_S(fsgnjn_s, (S(rs1) & ~SIGN_S) | (~S(rs2) & SIGN_S))
FP_S(fsgnjx_s, S(rs1) ^ (S(rs2) & SIGN_S))

FP_X(feq_s, fp32_eq(env, S(rs1), S(rs2)))
FP_X(flt_s, fp32_lt(env, S(rs1), S(rs2)))
FP_X(fle_s, fp32_le(env, S(rs1), S(rs2)))
FP_X(fclass_s, fp32_class(S(rs1)))

FP_X(fcvt_w_s, WORD(fp32_to_i32(env, S(rs1))))
FP_X(fcvt_wu_s, WORD(fp32_to_u32(env, S(rs1))))
FP_X(fcvt_l_s, (uint64_t)fp32_to_i64(env, S(rs1)))
FP_X(fcvt_lu_s, fp32_to_u64(env, S(rs1)))
FP_S(fcvt_s_w, fp32_from_i32(env, (int32_t)X(rs1)))
FP_S(fcvt_s_wu, fp32_from_u32(env, (uint32_t)X(rs1)))
FP_S(fcvt_s_l, fp32_from_i64(env, (int64_t)X(rs1)))
FP_S(fcvt_s_lu, fp32_from_u64(env, X(rs1)))

/* ---- Double precision. */

FP_D(fadd_d, fp64_add(env, D(rs1), D(rs2)))
FP_D(fsub_d, fp64_sub(env, D(rs1), D(rs2)))
FP_D(fmul_d, fp64_mul(env, D(rs1), D(rs2)))
FP_D(fdiv_d, fp64_div(env, D(rs1), D(rs2)))
FP_D(fsqrt_d, fp64_sqrt(env, D(rs1)))
FP_D(fmin_d, fp64_min(env, D(rs1), D(rs2)))
FP_D(fmax_d, fp64_max(env, D(rs1), D(rs2)))
FP_D(fmadd_d, fp64_fma(env, D(rs1), D(rs2), D3))
FP_D(fmsub_d, fp64_fma(env, D(rs1), D(rs2), fp64_neg(D3)))
FP_D(fnmsub_d, fp64_fma(env, fp64_neg(D(rs1)), D(rs2), D3))
FP_D(fnmadd_d, fp64_fma(env, fp64_neg(D(rs1)), D(rs2), fp64_neg(D3)))

#define SIGN_D UINT64_C(0x8000000000000000)
FP_D(fsgnj_d, (D(rs1) & ~SIGN_D) | (D(rs2) & SIGN_D))
FP_D(fsgnjn_d, (D(rs1) & ~SIGN_D) | (~D(rs2) & SIGN_D))
FP_D(fsgnjx_d, D(rs1) ^ (D(rs2) & SIGN_D))

FP_X(feq_d, fp64_eq(env, D(rs1), D(rs2)))
FP_X(flt_d, fp64_lt(env, D(rs1), D(rs2)))
FP_X(fle_d, fp64_le(env, D(rs1), D(rs2)))
FP_X(fclass_d, fp64_class(D(rs1)))

FP_X(fcvt_w_d, WORD(fp64_to_i32(env, D(rs1))))
FP_X(fcvt_wu_d, WORD(fp64_to_u32(env, D(rs1))))
FP_X(fcvt_l_d, (uint64_t)fp64_to_i64(env, D(rs1)))
FP_X(fcvt_lu_d, fp64_to_u64(env, D(rs1)))
FP_D(fcvt_d_w, fp64_from_i32(env, (int32_t)X(rs1)))
FP_D(fcvt_d_wu, fp64_from_u32(env, (uint32_t)X(rs1)))
FP_D(fcvt_d_l, fp64_from_i64(env, (int64_t)X(rs1)))
FP_D(fcvt_d_lu, fp64_from_u64(env, X(rs1)))
FP_D(fcvt_d_s, fp32_to_fp64(env, S(rs1)))
FP_S(fcvt_s_d, fp64_to_fp32(env, D(rs1)))

/* ---- Moves of bits. The lower half of a register is moved to x whether boxed or not. */

FP_X(fmv_x_w, WORD(F(rs1)))
FP_X(fmv_x_d, F(rs1))
FP_S(fmv_w_x, (uint32_t)X(rs1))
FP_D(fmv_d_x, X(rs1))
