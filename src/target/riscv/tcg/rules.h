/* SPDX-License-Identifier: MIT */
/*
 * How each operation is translated: RV_RULE_<operation> is the row of rv_rules, function first. Every
 * operation of RV_OP_LIST needs one, else translate.c does not compile. STEP leaves one to the
 * interpreter.
 */
#ifndef ORRERY_TARGET_RISCV_TCG_RULES_H
#define ORRERY_TARGET_RISCV_TCG_RULES_H

/* clang-format off */
#define ALU(op_) { rv_emit_alu, IR_OP_##op_, 0, 0 }
#define ALU_IMM(op_) { rv_emit_alu_imm, IR_OP_##op_, 0, 0 }
#define ALU_ONE(op_) { rv_emit_alu_one, IR_OP_##op_, 0, 0 }
#define SYSTEM(helper_) { rv_emit_system, RV_HELPER_##helper_, 0, RV_RULE_EXACT }
#define SYSTEM_END(helper_) { rv_emit_system, RV_HELPER_##helper_, 0, RV_RULE_EXACT | RV_RULE_ENDS }
#define STEP SYSTEM(STEP)
#define NOTHING { rv_emit_nothing, 0, 0, 0 }

#define SIZE_B 0
#define SIZE_H 1
#define SIZE_W 2
#define SIZE_D 3

/* ---- RV64I */
#define RV_RULE_ILLEGAL SYSTEM_END(ILLEGAL)
#define RV_RULE_LUI { rv_emit_lui, 0, 0, 0 }
#define RV_RULE_AUIPC { rv_emit_auipc, 0, 0, 0 }
#define RV_RULE_JAL { rv_emit_jal, 0, 0, RV_RULE_ENDS }
#define RV_RULE_JALR { rv_emit_jalr, 0, 0, RV_RULE_ENDS }

#define BRANCH(cond_) { rv_emit_branch, IR_##cond_, 0, 0 }
#define RV_RULE_BEQ BRANCH(EQ)
#define RV_RULE_BNE BRANCH(NE)
#define RV_RULE_BLT BRANCH(LT)
#define RV_RULE_BGE BRANCH(GE)
#define RV_RULE_BLTU BRANCH(LTU)
#define RV_RULE_BGEU BRANCH(GEU)

#define LOAD(size_, sign_) { rv_emit_load, IR_OP_ld, SIZE_##size_ | (sign_), 0 }
#define RV_RULE_LB LOAD(B, IR_MEM_SIGNED)
#define RV_RULE_LH LOAD(H, IR_MEM_SIGNED)
#define RV_RULE_LW LOAD(W, IR_MEM_SIGNED)
#define RV_RULE_LD LOAD(D, 0)
#define RV_RULE_LBU LOAD(B, 0)
#define RV_RULE_LHU LOAD(H, 0)
#define RV_RULE_LWU LOAD(W, 0)

#define STORE(size_) { rv_emit_store, IR_OP_st, SIZE_##size_, 0 }
#define RV_RULE_SB STORE(B)
#define RV_RULE_SH STORE(H)
#define RV_RULE_SW STORE(W)
#define RV_RULE_SD STORE(D)

#define RV_RULE_ADDI { rv_emit_addi, 0, 0, 0 }
#define RV_RULE_SLTI { rv_emit_set_imm, IR_LT, 0, 0 }
#define RV_RULE_SLTIU { rv_emit_set_imm, IR_LTU, 0, 0 }
#define RV_RULE_XORI ALU_IMM(xor)
#define RV_RULE_PREFETCH_I NOTHING
#define RV_RULE_PREFETCH_R NOTHING
#define RV_RULE_PREFETCH_W NOTHING
#define RV_RULE_ORI ALU_IMM(or)
#define RV_RULE_ANDI ALU_IMM(and)
#define RV_RULE_SLLI ALU_IMM(shl)
#define RV_RULE_SRLI ALU_IMM(shr)
#define RV_RULE_SRAI ALU_IMM(sar)
#define RV_RULE_ADDIW { rv_emit_addiw, 0, 0, 0 }
#define RV_RULE_SLLIW ALU_IMM(shlw)
#define RV_RULE_SRLIW ALU_IMM(shrw)
#define RV_RULE_SRAIW ALU_IMM(sarw)

#define RV_RULE_ADD { rv_emit_add, 0, 0, 0 }
#define RV_RULE_SUB ALU(sub)
#define RV_RULE_SLL ALU(shl)
#define RV_RULE_SLT { rv_emit_set, IR_LT, 0, 0 }
#define RV_RULE_SLTU { rv_emit_set, IR_LTU, 0, 0 }
#define RV_RULE_XOR ALU(xor)
#define RV_RULE_SRL ALU(shr)
#define RV_RULE_SRA ALU(sar)
#define RV_RULE_OR ALU(or)
#define RV_RULE_AND ALU(and)
#define RV_RULE_ADDW ALU(addw)
#define RV_RULE_SUBW ALU(subw)
#define RV_RULE_SLLW ALU(shlw)
#define RV_RULE_SRLW ALU(shrw)
#define RV_RULE_SRAW ALU(sarw)

/* A host whose loads and stores are ordered but for a load passing a store has these for nothing. */
#define RV_RULE_FENCE_TSO NOTHING
#define RV_RULE_FENCE { rv_emit_fence, 0, 0, 0 }

/* ---- System */
#define RV_RULE_PAUSE SYSTEM_END(YIELD)
#define RV_RULE_FENCE_I SYSTEM_END(FENCE_I)
#define RV_RULE_CBO_INVAL STEP
#define RV_RULE_CBO_CLEAN STEP
#define RV_RULE_CBO_FLUSH STEP
#define RV_RULE_CBO_ZERO { rv_emit_cbo_zero, 0, 0, RV_RULE_EXACT }
#define RV_RULE_ECALL SYSTEM_END(ECALL)
#define RV_RULE_EBREAK SYSTEM_END(EBREAK)
#define RV_RULE_SRET SYSTEM_END(SRET)
#define RV_RULE_MRET SYSTEM_END(MRET)
#define RV_RULE_WFI SYSTEM_END(WFI)
#define RV_RULE_SFENCE_VMA SYSTEM_END(SFENCE_VMA)
#define RV_RULE_SINVAL_VMA SYSTEM_END(SFENCE_VMA)
#define RV_RULE_SFENCE_W_INVAL SYSTEM(SFENCE_INVAL)
#define RV_RULE_SFENCE_INVAL_IR SYSTEM(SFENCE_INVAL)
#define RV_RULE_WRS_NTO SYSTEM_END(YIELD)
#define RV_RULE_WRS_STO SYSTEM_END(YIELD)
#define RV_RULE_CSRRW SYSTEM(CSR)
#define RV_RULE_CSRRS SYSTEM(CSR)
#define RV_RULE_CSRRC SYSTEM(CSR)
#define RV_RULE_CSRRWI SYSTEM(CSR)
#define RV_RULE_CSRRSI SYSTEM(CSR)
#define RV_RULE_CSRRCI SYSTEM(CSR)

/* ---- M */
#define RV_RULE_MUL ALU(mul)
#define RV_RULE_MULH ALU(mulhs)
#define RV_RULE_MULHSU ALU(mulhsu)
#define RV_RULE_MULHU ALU(mulhu)
#define RV_RULE_DIV ALU(divs)
#define RV_RULE_DIVU ALU(divu)
#define RV_RULE_REM ALU(rems)
#define RV_RULE_REMU ALU(remu)
#define RV_RULE_MULW ALU(mulw)
#define RV_RULE_DIVW ALU(divsw)
#define RV_RULE_DIVUW ALU(divuw)
#define RV_RULE_REMW ALU(remsw)
#define RV_RULE_REMUW ALU(remuw)

/* ---- A */
#define AMO(amo_, size_) { rv_emit_amo, IR_AMO_##amo_, SIZE_##size_, 0 }
#define RV_RULE_LR_W { rv_emit_lr, 0, SIZE_W, 0 }
#define RV_RULE_SC_W { rv_emit_sc, 0, SIZE_W, 0 }
#define RV_RULE_AMOADD_W AMO(ADD, W)
#define RV_RULE_AMOSWAP_W AMO(SWAP, W)
#define RV_RULE_AMOXOR_W AMO(XOR, W)
#define RV_RULE_AMOOR_W AMO(OR, W)
#define RV_RULE_AMOAND_W AMO(AND, W)
#define RV_RULE_AMOMIN_W AMO(MIN, W)
#define RV_RULE_AMOMAX_W AMO(MAX, W)
#define RV_RULE_AMOMINU_W AMO(MINU, W)
#define RV_RULE_AMOMAXU_W AMO(MAXU, W)
#define RV_RULE_LR_D { rv_emit_lr, 0, SIZE_D, 0 }
#define RV_RULE_SC_D { rv_emit_sc, 0, SIZE_D, 0 }
#define RV_RULE_AMOADD_D AMO(ADD, D)
#define RV_RULE_AMOSWAP_D AMO(SWAP, D)
#define RV_RULE_AMOXOR_D AMO(XOR, D)
#define RV_RULE_AMOOR_D AMO(OR, D)
#define RV_RULE_AMOAND_D AMO(AND, D)
#define RV_RULE_AMOMIN_D AMO(MIN, D)
#define RV_RULE_AMOMAX_D AMO(MAX, D)
#define RV_RULE_AMOMINU_D AMO(MINU, D)
#define RV_RULE_AMOMAXU_D AMO(MAXU, D)

/* ---- F and D. aux: 1 double, 0 single, but for conversions. */
#define FP(function_, op_, double_) { function_, IR_OP_##op_, double_, 0 }
#define RV_RULE_FLW FP(rv_emit_fload, ld32f, SIZE_W)
#define RV_RULE_FLD FP(rv_emit_fload, ld64f, SIZE_D)
#define RV_RULE_FSW FP(rv_emit_fstore, st32f, SIZE_W)
#define RV_RULE_FSD FP(rv_emit_fstore, st64f, SIZE_D)

/* aux: IR_NEGATE_*; the operation tells single from double. */
#define RV_RULE_FMADD_S FP(rv_emit_fma, fmas, 0)
#define RV_RULE_FMADD_D FP(rv_emit_fma, fmad, 0)
#define RV_RULE_FMSUB_S FP(rv_emit_fma, fmas, IR_NEGATE_ADDEND)
#define RV_RULE_FMSUB_D FP(rv_emit_fma, fmad, IR_NEGATE_ADDEND)
#define RV_RULE_FNMSUB_S FP(rv_emit_fma, fmas, IR_NEGATE_PRODUCT)
#define RV_RULE_FNMSUB_D FP(rv_emit_fma, fmad, IR_NEGATE_PRODUCT)
#define RV_RULE_FNMADD_S FP(rv_emit_fma, fmas, IR_NEGATE_PRODUCT | IR_NEGATE_ADDEND)
#define RV_RULE_FNMADD_D FP(rv_emit_fma, fmad, IR_NEGATE_PRODUCT | IR_NEGATE_ADDEND)

#define RV_RULE_FADD_S FP(rv_emit_fp2, fadds, 0)
#define RV_RULE_FSUB_S FP(rv_emit_fp2, fsubs, 0)
#define RV_RULE_FMUL_S FP(rv_emit_fp2, fmuls, 0)
#define RV_RULE_FDIV_S FP(rv_emit_fp2, fdivs, 0)
#define RV_RULE_FSQRT_S FP(rv_emit_fp1, fsqrts, 0)
#define RV_RULE_FSGNJ_S FP(rv_emit_fsgnj, fsgnjs, 0)
#define RV_RULE_FSGNJN_S FP(rv_emit_fsgnj, fsgnjns, 0)
#define RV_RULE_FSGNJX_S FP(rv_emit_fsgnj, fsgnjxs, 0)
#define RV_RULE_FMIN_S FP(rv_emit_fp2, fmins, 0)
#define RV_RULE_FMAX_S FP(rv_emit_fp2, fmaxs, 0)
#define RV_RULE_FLE_S FP(rv_emit_fcompare, fles, 0)
#define RV_RULE_FLT_S FP(rv_emit_fcompare, flts, 0)
#define RV_RULE_FEQ_S FP(rv_emit_fcompare, feqs, 0)
#define RV_RULE_FCVT_W_S FP(rv_emit_f_to_x, fcvtws, 0)
#define RV_RULE_FCVT_WU_S FP(rv_emit_f_to_x, fcvtus, 0)
#define RV_RULE_FCVT_L_S FP(rv_emit_f_to_x, fcvtls, 0)
#define RV_RULE_FCVT_LU_S FP(rv_emit_f_to_x, fcvtqs, 0)
#define RV_RULE_FCVT_S_W FP(rv_emit_x_to_f, fcvtsw, 0)
#define RV_RULE_FCVT_S_WU FP(rv_emit_x_to_f, fcvtsu, 0)
#define RV_RULE_FCVT_S_L FP(rv_emit_x_to_f, fcvtsl, 0)
#define RV_RULE_FCVT_S_LU FP(rv_emit_x_to_f, fcvtsq, 0)
#define RV_RULE_FMV_X_W FP(rv_emit_fmv_to_x, fmvxw, 0)
#define RV_RULE_FCLASS_S { rv_emit_fclass, RV_HELPER_FCLASS_S, 0, 0 }
#define RV_RULE_FMV_W_X FP(rv_emit_fmv_to_f, fmvwx, 0)

#define RV_RULE_FADD_D FP(rv_emit_fp2, faddd, 1)
#define RV_RULE_FSUB_D FP(rv_emit_fp2, fsubd, 1)
#define RV_RULE_FMUL_D FP(rv_emit_fp2, fmuld, 1)
#define RV_RULE_FDIV_D FP(rv_emit_fp2, fdivd, 1)
#define RV_RULE_FSQRT_D FP(rv_emit_fp1, fsqrtd, 1)
#define RV_RULE_FSGNJ_D FP(rv_emit_fsgnj, fsgnjd, 1)
#define RV_RULE_FSGNJN_D FP(rv_emit_fsgnj, fsgnjnd, 1)
#define RV_RULE_FSGNJX_D FP(rv_emit_fsgnj, fsgnjxd, 1)
#define RV_RULE_FMIN_D FP(rv_emit_fp2, fmind, 1)
#define RV_RULE_FMAX_D FP(rv_emit_fp2, fmaxd, 1)
#define RV_RULE_FLE_D FP(rv_emit_fcompare, fled, 1)
#define RV_RULE_FLT_D FP(rv_emit_fcompare, fltd, 1)
#define RV_RULE_FEQ_D FP(rv_emit_fcompare, feqd, 1)
#define RV_RULE_FCVT_S_D FP(rv_emit_f_to_f, fcvtsd, 0)
#define RV_RULE_FCVT_D_S FP(rv_emit_f_to_f, fcvtds, 1)
#define RV_RULE_FCVT_W_D FP(rv_emit_f_to_x, fcvtwd, 1)
#define RV_RULE_FCVT_WU_D FP(rv_emit_f_to_x, fcvtud, 1)
#define RV_RULE_FCVT_L_D FP(rv_emit_f_to_x, fcvtld, 1)
#define RV_RULE_FCVT_LU_D FP(rv_emit_f_to_x, fcvtqd, 1)
#define RV_RULE_FCVT_D_W FP(rv_emit_x_to_f, fcvtdw, 1)
#define RV_RULE_FCVT_D_WU FP(rv_emit_x_to_f, fcvtdu, 1)
#define RV_RULE_FCVT_D_L FP(rv_emit_x_to_f, fcvtdl, 1)
#define RV_RULE_FCVT_D_LU FP(rv_emit_x_to_f, fcvtdq, 1)
#define RV_RULE_FMV_X_D FP(rv_emit_fmv_to_x, fmvxd, 1)
#define RV_RULE_FCLASS_D { rv_emit_fclass, RV_HELPER_FCLASS_D, 1, 0 }
#define RV_RULE_FMV_D_X FP(rv_emit_fmv_to_f, fmvdx, 1)

/* ---- Zba, Zbb, Zbc, Zbs, Zicond. aux: shift. */
#define RV_RULE_SH1ADD { rv_emit_sh_add, 0, 1, 0 }
#define RV_RULE_SH2ADD { rv_emit_sh_add, 0, 2, 0 }
#define RV_RULE_SH3ADD { rv_emit_sh_add, 0, 3, 0 }
#define RV_RULE_ADD_UW { rv_emit_uw_add, 0, 0, 0 }
#define RV_RULE_SH1ADD_UW { rv_emit_uw_add, 0, 1, 0 }
#define RV_RULE_SH2ADD_UW { rv_emit_uw_add, 0, 2, 0 }
#define RV_RULE_SH3ADD_UW { rv_emit_uw_add, 0, 3, 0 }
#define RV_RULE_SLLI_UW { rv_emit_slli_uw, 0, 0, 0 }

#define RV_RULE_ANDN ALU(andn)
#define RV_RULE_ORN ALU(orn)
#define RV_RULE_XNOR ALU(xnor)
#define RV_RULE_MIN ALU(min)
#define RV_RULE_MINU ALU(minu)
#define RV_RULE_MAX ALU(max)
#define RV_RULE_MAXU ALU(maxu)
#define RV_RULE_ROL ALU(rol)
#define RV_RULE_ROR ALU(ror)
#define RV_RULE_RORI ALU_IMM(ror)
#define RV_RULE_ROLW ALU(rolw)
#define RV_RULE_RORW ALU(rorw)
#define RV_RULE_RORIW ALU_IMM(rorw)
#define RV_RULE_CLZ ALU_ONE(clz)
#define RV_RULE_CTZ ALU_ONE(ctz)
#define RV_RULE_CPOP ALU_ONE(popcnt)
#define RV_RULE_SEXT_B ALU_ONE(sext8)
#define RV_RULE_SEXT_H ALU_ONE(sext16)
#define RV_RULE_ORC_B ALU_ONE(orcb)
#define RV_RULE_REV8 ALU_ONE(bswap)
#define RV_RULE_CLZW ALU_ONE(clzw)
#define RV_RULE_CTZW ALU_ONE(ctzw)
#define RV_RULE_CPOPW ALU_ONE(popcntw)
#define RV_RULE_ZEXT_H ALU_ONE(zext16)

#define RV_RULE_CLMUL ALU(clmul)
#define RV_RULE_CLMULR ALU(clmulr)
#define RV_RULE_CLMULH ALU(clmulh)

#define RV_RULE_BCLR { rv_emit_bit, IR_OP_andn, 0, 0 }
#define RV_RULE_BEXT { rv_emit_bext, 0, 0, 0 }
#define RV_RULE_BINV { rv_emit_bit, IR_OP_xor, 0, 0 }
#define RV_RULE_BSET { rv_emit_bit, IR_OP_or, 0, 0 }
#define RV_RULE_BCLRI { rv_emit_bit_imm, IR_OP_and, 1, 0 } /* 1: the mask is inverted */
#define RV_RULE_BEXTI { rv_emit_bexti, 0, 0, 0 }
#define RV_RULE_BINVI { rv_emit_bit_imm, IR_OP_xor, 0, 0 }
#define RV_RULE_BSETI { rv_emit_bit_imm, IR_OP_or, 0, 0 }

#define RV_RULE_CZERO_EQZ { rv_czero, IR_EQ, 0, 0 }
#define RV_RULE_CZERO_NEZ { rv_czero, IR_NE, 0, 0 }
/* clang-format on */

#endif
