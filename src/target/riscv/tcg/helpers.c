/* SPDX-License-Identifier: MIT */
/*
 * What translated code calls: system instructions by the functions of cpu.h, and everything that is not
 * translated by the reference interpreter. The idea to hold: a helper finds pc and the count as they
 * are before its instruction. It either does the instruction, counts it, and says how to go on, or raises
 * the instruction's exception; then nothing retires.
 */
#include "target/riscv/fpu.h"
#include "target/riscv/interp/interp.h"
#include "target/riscv/tcg/translate.h"
#include "tcg/runtime.h"

static inline uint32_t imm_bits(uint64_t imm)
{
    return (uint32_t)imm;
}

static inline uint64_t next_pc(const RiscvCpu *cpu, uint64_t imm)
{
    return cpu->pc + (imm >> 32);
}

static inline void retire(RiscvCpu *cpu)
{
    orr_store_relaxed(&cpu->insns, cpu->insns + 1);
}

static inline void retire_to(RiscvCpu *cpu, uint64_t imm)
{
    retire(cpu);
    cpu->pc = next_pc(cpu, imm);
}

static uint64_t trap(RiscvCpu *cpu, unsigned cause, uint64_t tval)
{
    riscv_enter_trap(cpu, false, cause, tval);
    return TCG_STEP_RESUME;
}

static uint64_t raise_illegal(RiscvCpu *cpu, uint64_t imm)
{
    return trap(cpu, RV_CAUSE_ILLEGAL, imm_bits(imm));
}

static uint64_t stop(RiscvCpu *cpu, VcpuExit why)
{
    tcg_cpu(&cpu->vcpu)->stop_reason = why;
    return TCG_STEP_STOP;
}

/* After an instruction in sequence that may have changed what translations depend on. */
static uint64_t go_on(RiscvCpu *cpu, unsigned flags_before)
{
    unsigned changed = rv_tb_flags(cpu) ^ flags_before;

    if (changed == 0) {
        return TCG_STEP_NEXT;
    }
    return changed == RV_TB_FP ? TCG_STEP_JUMP : TCG_STEP_RESUME;
}

/* ---- The interpreter. */

static RvInterp *interpreter(RiscvCpu *cpu)
{
    TcgCpu *tcg = tcg_cpu(&cpu->vcpu);

    if (!tcg->target_state) {
        tcg->target_state = rv_interp_create(&cpu->vcpu, false);
    }
    return tcg->target_state;
}

void rv_state_destroy(void *state)
{
    rv_interp_destroy(state);
}

void rv_state_forget(void *state)
{
    rv_interp_flush(state, false);
}

static void forget(RiscvCpu *cpu)
{
    TcgCpu *tcg = tcg_cpu(&cpu->vcpu);

    if (tcg->target_state) {
        rv_state_forget(tcg->target_state);
    }
}

static uint64_t step(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);
    uint64_t next = next_pc(cpu, imm), insns = cpu->insns;
    unsigned flags = rv_tb_flags(cpu);
    VcpuExit why = rv_interp_step(interpreter(cpu));

    if (why != VCPU_EXIT_DEBUG) {
        return stop(cpu, why);
    }
    /* An instruction that traps does not retire. */
    if (cpu->insns == insns + 1 && cpu->pc == next) {
        return go_on(cpu, flags);
    }
    return TCG_STEP_RESUME;
}

/* ---- Exceptions. */

static uint64_t illegal(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    return raise_illegal(rv_env_cpu(env), imm);
}

static uint64_t misaligned(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    return trap(rv_env_cpu(env), RV_CAUSE_FETCH_MISALIGNED, a);
}

static uint64_t breakpoint(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    return stop(rv_env_cpu(env), VCPU_EXIT_DEBUG);
}

static uint64_t ecall(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    return trap(cpu, RV_CAUSE_ECALL_U + cpu->priv, 0);
}

static uint64_t ebreak(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    return trap(cpu, RV_CAUSE_BREAKPOINT, cpu->pc);
}

static uint64_t mret(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    if (!riscv_mret(cpu)) {
        return raise_illegal(cpu, imm);
    }
    retire(cpu);
    return TCG_STEP_RESUME;
}

static uint64_t sret(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    if (!riscv_sret(cpu)) {
        return raise_illegal(cpu, imm);
    }
    retire(cpu);
    return TCG_STEP_RESUME;
}

/* ---- CSRs. */

enum {
    CSR_FFLAGS = 1,
    CSR_FRM = 2,
    CSR_FCSR = 3,
};

static uint64_t csr(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);
    uint32_t bits = imm_bits(imm);
    unsigned number = bits >> 20, rd = bits >> 7 & 31, rs1 = bits >> 15 & 31;
    unsigned kind = bits >> 12 & 3; /* 1 write, 2 set, 3 clear */
    uint64_t operand = bits >> 14 & 1 ? rs1 : cpu->x[rs1];
    bool read = kind != 1 || rd != 0, write = kind == 1 || rs1 != 0;
    bool fp = number >= CSR_FFLAGS && number <= CSR_FCSR;
    unsigned flags = rv_tb_flags(cpu);
    uint64_t old = 0;
    RvCsrResult result;

    if (fp) {
        tcg_fp_pull(tcg_cpu(&cpu->vcpu));
    }
    result = riscv_csr_access(cpu, number, read ? &old : NULL, write,
                              kind == 1 ? operand : (kind == 2 ? UINT64_MAX : 0),
                              kind == 1 ? UINT64_MAX : operand);
    if (result == RV_CSR_ILLEGAL) {
        return raise_illegal(cpu, imm);
    }
    if (read && rd) {
        cpu->x[rd] = old;
    }
    if (!write) {
        retire(cpu);
        return TCG_STEP_NEXT;
    }
    if (fp && number != CSR_FFLAGS) {
        tcg_fp_changed(tcg_cpu(&cpu->vcpu));
    }
    retire_to(cpu, imm);
    return result == RV_CSR_OK ? go_on(cpu, flags) : TCG_STEP_RESUME;
}

/* ---- Fences. */

/* satp, which is a view's address space, has the ASID in bits 44 to 59. */
#define ASID_SHIFT 44
#define ASID_MASK (UINT64_C(0xffff) << ASID_SHIFT)

static uint64_t sfence_vma(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);
    TcgCpu *tcg = tcg_cpu(&cpu->vcpu);
    unsigned rs1 = imm_bits(imm) >> 15 & 31, rs2 = imm_bits(imm) >> 20 & 31;
    uint64_t space = cpu->x[rs2] << ASID_SHIFT & ASID_MASK, mask = rs2 ? ASID_MASK : 0;

    if (!riscv_sfence_allowed(cpu)) {
        return raise_illegal(cpu, imm);
    }
    if (rs1) {
        tcg_flush_page(tcg, cpu->x[rs1], space, mask);
    } else if (rs2) {
        tcg_flush_space(tcg, space, mask);
    } else {
        tcg_flush_all(tcg);
    }
    forget(cpu);
    retire_to(cpu, imm);
    return TCG_STEP_JUMP;
}

/* sinval.vma is ordered by itself, so these have nothing to do. */
static uint64_t sfence_inval(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    if (cpu->priv == RV_PRIV_U) {
        return raise_illegal(cpu, imm);
    }
    retire(cpu);
    return TCG_STEP_NEXT;
}

static uint64_t fence_i(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    tcg_fence_i(tcg_cpu(&cpu->vcpu));
    retire_to(cpu, imm);
    return TCG_STEP_JUMP;
}

/* ---- Waiting. */

static uint64_t wait_for_interrupt(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    if (!riscv_wfi_allowed(cpu)) {
        return raise_illegal(cpu, imm);
    }
    retire_to(cpu, imm);
    if (cpu->vcpu.single_step || cpu->vcpu.target->has_work(&cpu->vcpu)) {
        return TCG_STEP_RESUME;
    }
    orr_store_seq_cst(&cpu->vcpu.halted, true);
    return stop(cpu, VCPU_EXIT_HALTED);
}

/* A spinning guest gives its turn to the hart that it waits for. */
static uint64_t yield(void *env, uint64_t a, uint64_t b, uint64_t imm)
{
    RiscvCpu *cpu = rv_env_cpu(env);

    retire_to(cpu, imm);
    return stop(cpu, VCPU_EXIT_YIELD);
}

/* ---- Pure. */

static uint64_t fclass_s(uint64_t a)
{
    return fp32_class(fp_unbox32(a));
}

static uint64_t fclass_d(uint64_t a)
{
    return fp64_class(a);
}

const IrHelper rv_helpers[RV_HELPER_COUNT] = {
    [RV_HELPER_STEP] = { "step", step, true },
    [RV_HELPER_ILLEGAL] = { "illegal", illegal, true },
    [RV_HELPER_MISALIGNED] = { "misaligned", misaligned, true },
    [RV_HELPER_BREAKPOINT] = { "breakpoint", breakpoint, true },
    [RV_HELPER_ECALL] = { "ecall", ecall, true },
    [RV_HELPER_EBREAK] = { "ebreak", ebreak, true },
    [RV_HELPER_MRET] = { "mret", mret, true },
    [RV_HELPER_SRET] = { "sret", sret, true },
    [RV_HELPER_CSR] = { "csr", csr, true },
    [RV_HELPER_SFENCE_VMA] = { "sfence_vma", sfence_vma, true },
    [RV_HELPER_SFENCE_INVAL] = { "sfence_inval", sfence_inval, true },
    [RV_HELPER_FENCE_I] = { "fence_i", fence_i, true },
    [RV_HELPER_WFI] = { "wfi", wait_for_interrupt, true },
    [RV_HELPER_YIELD] = { "yield", yield, true },
    [RV_HELPER_FCLASS_S] = { "fclass_s", fclass_s, false },
    [RV_HELPER_FCLASS_D] = { "fclass_d", fclass_d, false },
};
