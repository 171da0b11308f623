/* SPDX-License-Identifier: MIT */
/*
 * The table that joins riscv64 to the translator: what decides about translation, page walks, traps. All
 * of it is cpu.h's; what is chosen here is which state makes another view, and which another
 * translation of the same code.
 */
#include "target/riscv/tcg/target.h"

#include "target/riscv/tcg/fpu-ops.h"
#include "target/riscv/tcg/translate.h"

/* ---- Globals. */

#define OFFSET(member_)                                                                            \
    ((int32_t)((intptr_t)G_STRUCT_OFFSET(RiscvCpu, member_) - (intptr_t)RV_ENV_OFFSET))
#define X(number_, name_) [number_] = { name_, IR_TYPE_I64, OFFSET(x[number_]) }
#define F(number_, name_) [RV_G_F0 + number_] = { name_, IR_TYPE_F64, OFFSET(f[number_]) }

/* clang-format off */
static const IrGlobal globals[RV_G_NUMBER] = {
    X(0, "zero"), X(1, "ra"), X(2, "sp"), X(3, "gp"), X(4, "tp"), X(5, "t0"), X(6, "t1"),
    X(7, "t2"), X(8, "s0"), X(9, "s1"), X(10, "a0"), X(11, "a1"), X(12, "a2"), X(13, "a3"),
    X(14, "a4"), X(15, "a5"), X(16, "a6"), X(17, "a7"), X(18, "s2"), X(19, "s3"), X(20, "s4"),
    X(21, "s5"), X(22, "s6"), X(23, "s7"), X(24, "s8"), X(25, "s9"), X(26, "s10"), X(27, "s11"),
    X(28, "t3"), X(29, "t4"), X(30, "t5"), X(31, "t6"),
    F(0, "ft0"), F(1, "ft1"), F(2, "ft2"), F(3, "ft3"), F(4, "ft4"), F(5, "ft5"), F(6, "ft6"),
    F(7, "ft7"), F(8, "fs0"), F(9, "fs1"), F(10, "fa0"), F(11, "fa1"), F(12, "fa2"), F(13, "fa3"),
    F(14, "fa4"), F(15, "fa5"), F(16, "fa6"), F(17, "fa7"), F(18, "fs2"), F(19, "fs3"),
    F(20, "fs4"), F(21, "fs5"), F(22, "fs6"), F(23, "fs7"), F(24, "fs8"), F(25, "fs9"),
    F(26, "fs10"), F(27, "fs11"), F(28, "ft8"), F(29, "ft9"), F(30, "ft10"), F(31, "ft11"),
    [RV_G_COUNT] = { "count", IR_TYPE_I64, OFFSET(insns) },
    [RV_G_RESERVED] = { "reserved", IR_TYPE_I64, OFFSET(reserved_paddr) },
    [RV_G_RESERVED_VALUE] = { "reserved_value", IR_TYPE_I64, OFFSET(reserved_value) },
};
/* clang-format on */

static const IrTarget ir_target = {
    .name = "riscv64",
    .globals = globals,
    .global_count = RV_G_NUMBER,
    .helpers = rv_helpers,
    .helper_count = RV_HELPER_COUNT,
    .pc_offset = OFFSET(pc),
    .exit_request_offset = OFFSET(vcpu.exit_request),
    .count = RV_G_COUNT,
};

static void *target_env(void *cpu)
{
    return rv_env(cpu);
}

static uint64_t get_pc(void *cpu)
{
    return ((RiscvCpu *)cpu)->pc;
}

static void set_pc(void *cpu, uint64_t pc)
{
    ((RiscvCpu *)cpu)->pc = pc;
}

static void add_count(void *opaque, uint64_t insns)
{
    RiscvCpu *cpu = opaque;

    orr_store_relaxed(&cpu->insns, cpu->insns + insns);
}

/* ---- What translations and views depend on. */

unsigned rv_tb_flags(const RiscvCpu *cpu)
{
    unsigned flags = 0;

    if (cpu->frm <= 3) {
        flags |= (unsigned)cpu->frm << RV_TB_FRM_SHIFT;
        if ((cpu->mstatus & RV_MSTATUS_FS) == RV_MSTATUS_FS) {
            flags |= RV_TB_FP;
        }
    }
    if (cpu->feature.zicboz && riscv_cbo_allowed(cpu, true, false)) {
        flags |= RV_TB_CBO_ZERO;
    }
    return flags;
}

static unsigned cpu_flags(void *cpu)
{
    return rv_tb_flags(cpu);
}

/* Bits of TcgViewKey.mode; SUM and MXR are where mstatus has them. */
enum {
    MODE_DATA_SHIFT = 2,
    MODE_FLAGS_SHIFT = 4,
};

static void view_key(void *opaque, TcgViewKey *out)
{
    const RiscvCpu *cpu = opaque;
    RvPriv data = riscv_data_priv(cpu);
    unsigned flags = rv_tb_flags(cpu) & ~(unsigned)RV_TB_FP;

    out->space = 0;
    out->mode = cpu->priv | (uint64_t)data << MODE_DATA_SHIFT | (uint64_t)flags << MODE_FLAGS_SHIFT;
    if (cpu->priv != RV_PRIV_M || data != RV_PRIV_M) {
        out->space = cpu->satp;
    }
    if (data != RV_PRIV_M) {
        out->mode |= cpu->mstatus & (RV_MSTATUS_SUM | RV_MSTATUS_MXR);
    }
}

static uint32_t mmu_version(void *cpu)
{
    return ((RiscvCpu *)cpu)->mmu_version;
}

/* ---- Floating point. */

static unsigned fp_round(void *opaque)
{
    const RiscvCpu *cpu = opaque;

    return cpu->frm <= 3 ? cpu->frm : 0; /* with others nothing is computed on the host */
}

static void fp_accrue(void *opaque, unsigned flags)
{
    RiscvCpu *cpu = opaque;

    cpu->fflags |= (uint8_t)(flags & 0x1f);
}

/* ---- Memory. */

G_STATIC_ASSERT((int)TCG_ACCESS_LOAD == (int)RV_ACCESS_LOAD &&
                (int)TCG_ACCESS_STORE == (int)RV_ACCESS_STORE &&
                (int)TCG_ACCESS_FETCH == (int)RV_ACCESS_FETCH);

static bool walk(void *opaque, uint64_t va, unsigned size, TcgAccess access, TcgWalk *out)
{
    RiscvCpu *cpu = opaque;
    RvPriv priv = access == TCG_ACCESS_FETCH ? (RvPriv)cpu->priv : riscv_data_priv(cpu);
    RvTranslation found;

    out->cause = riscv_translate(cpu, va, size, (RvAccess)access, priv, &found);
    if (out->cause) {
        return false;
    }
    out->paddr = found.paddr;
    out->page_bits = found.page_bits;
    out->prot = found.prot;
    out->cacheable = found.cacheable;
    return true;
}

static unsigned cause_misaligned(TcgAccess access)
{
    static const uint8_t causes[] = {
        [TCG_ACCESS_LOAD] = RV_CAUSE_LOAD_MISALIGNED,
        [TCG_ACCESS_STORE] = RV_CAUSE_STORE_MISALIGNED,
        [TCG_ACCESS_FETCH] = RV_CAUSE_FETCH_MISALIGNED,
    };

    return causes[access];
}

static unsigned cause_bus(TcgAccess access)
{
    static const uint8_t causes[] = {
        [TCG_ACCESS_LOAD] = RV_CAUSE_LOAD_ACCESS,
        [TCG_ACCESS_STORE] = RV_CAUSE_STORE_ACCESS,
        [TCG_ACCESS_FETCH] = RV_CAUSE_FETCH_ACCESS,
    };

    return causes[access];
}

static void fault(void *cpu, unsigned cause, uint64_t va)
{
    riscv_enter_trap(cpu, false, cause, va);
}

static void take_interrupt(void *cpu)
{
    int irq = riscv_pending_interrupt(cpu);

    if (irq >= 0) {
        riscv_enter_trap(cpu, true, (unsigned)irq, 0);
    }
}

const TcgTarget rv_tcg_target = {
    .name = "riscv64",
    .ir = &ir_target,
    .env = target_env,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .view_key = view_key,
    .cpu_flags = cpu_flags,
    .fp_round = fp_round,
    .fp_accrue = fp_accrue,
    .fpu = &riscv_tcg_fpu,
    .mmu_version = mmu_version,
    .walk = walk,
    .cause_misaligned = cause_misaligned,
    .cause_bus = cause_bus,
    .fault = fault,
    .translate = rv_translate,
    .add_count = add_count,
    .state_destroy = rv_state_destroy,
    .state_forget = rv_state_forget,
    .take_interrupt = take_interrupt,
};
