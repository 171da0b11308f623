/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers. The idea to hold: csr-list.h says what exists; an access looks the
 * number up in a 4096-byte index, asks the guard, reads the whole value, and hands the whole new
 * value to one write function, which stores what is legal and says what follows from it.
 *
 * Choices where the specification leaves one (WARL fields):
 * - misa is fixed; writes are ignored.
 * - mstatus: MPP keeps its value when 2 is written; UBE, SBE, MBE, VS and XS are zero; FS is zero
 *   without F; UXL and SXL are 2; SUM is zero without paging.
 * - satp: a write with an unsupported MODE changes nothing; ASID has all 16 bits.
 * - mtvec, stvec: bit 1 is zero, so the reserved modes become direct or vectored.
 * - medeleg: causes 0-9, 12, 13 and 15; mideleg: SSI, STI, SEI.
 * - mepc, sepc: bit 0 is zero, and bit 1 without C. xcause and xtval hold any 64 bits.
 * - menvcfg, senvcfg: CBIE keeps its value when 2 is written; bits of absent extensions are zero.
 * - mcounteren, scounteren: all 32 bits; mcountinhibit: CY and IR.
 * - mcycle counts instructions, as minstret does.
 */
#include "target/riscv/internal.h"

#include "target/riscv/csr-list.h"
#include "target/riscv/guest.h"

typedef struct CsrDef CsrDef;

typedef struct CsrWrite {
    uint64_t value; /* whole: the bits that are not written hold what a read shows */
    uint64_t mask;  /* bits that the access writes */
    uint64_t insns; /* cpu->insns once the writing instruction has retired */
} CsrWrite;

struct CsrDef {
    const char *name;
    bool (*guard)(const RiscvCpu *cpu, const CsrDef *def);
    uint64_t (*read)(const RiscvCpu *cpu, const CsrDef *def);
    RvCsrResult (*write)(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w);
    uint64_t mask;
    uint16_t number;
    uint16_t field;
};

#define MSTATUS_WRITABLE                                                                           \
    (RV_MSTATUS_SIE | RV_MSTATUS_MIE | RV_MSTATUS_SPIE | RV_MSTATUS_MPIE | RV_MSTATUS_SPP |        \
     RV_MSTATUS_MPP | RV_MSTATUS_FS | RV_MSTATUS_MPRV | RV_MSTATUS_SUM | RV_MSTATUS_MXR |          \
     RV_MSTATUS_TVM | RV_MSTATUS_TW | RV_MSTATUS_TSR)
#define SSTATUS_WRITABLE                                                                           \
    (RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP | RV_MSTATUS_FS | RV_MSTATUS_SUM |          \
     RV_MSTATUS_MXR)
#define SSTATUS_VISIBLE (SSTATUS_WRITABLE | RV_MSTATUS_UXL | RV_MSTATUS_SD)

enum {
    COUNTER_CYCLE = 0, /* bits of mcountinhibit, mcounteren */
    COUNTER_TIME = 1,
    COUNTER_INSTRET = 2,
};

static uint64_t *csr_field(RiscvCpu *cpu, const CsrDef *def)
{
    return (uint64_t *)((char *)cpu + def->field);
}

/* Fields that other threads read are stored like this; the rest does not mind. */
static void csr_store(RiscvCpu *cpu, const CsrDef *def, uint64_t value)
{
    orr_store_relaxed(csr_field(cpu, def), value);
}

static RvCsrResult result_irq(const RiscvCpu *cpu)
{
    return riscv_pending_interrupt(cpu) >= 0 ? RV_CSR_OK_IRQ : RV_CSR_OK;
}

/* What accelerators kept of translations is wrong, also under the same satp, privilege, SUM, MXR. */
static RvCsrResult result_stale(RiscvCpu *cpu)
{
    cpu->mmu_version++;
    return RV_CSR_OK_MMU;
}

/* ---- Guards: what besides the privilege level decides whether the register is there. */

static bool csr_guard_any(const RiscvCpu *cpu, const CsrDef *def)
{
    return true;
}

static bool csr_guard_fp(const RiscvCpu *cpu, const CsrDef *def)
{
    return riscv_fp_enabled(cpu);
}

static bool csr_guard_pmp(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->feature.pmp;
}

static bool csr_guard_satp(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->priv == RV_PRIV_M || !(cpu->mstatus & RV_MSTATUS_TVM);
}

static bool csr_guard_counter(const RiscvCpu *cpu, const CsrDef *def)
{
    uint64_t bit = UINT64_C(1) << (def->number & 31);

    return (cpu->priv == RV_PRIV_M || (cpu->mcounteren & bit)) &&
           (cpu->priv != RV_PRIV_U || (cpu->scounteren & bit));
}

static bool csr_guard_sstc(const RiscvCpu *cpu, const CsrDef *def)
{
    if (!cpu->feature.sstc) {
        return false;
    }
    return cpu->priv == RV_PRIV_M ||
           ((cpu->menvcfg & RV_ENVCFG_STCE) && ((cpu->mcounteren >> COUNTER_TIME) & 1));
}

/* ---- Plain registers. */

static uint64_t csr_read_zero(const RiscvCpu *cpu, const CsrDef *def)
{
    return 0;
}

static uint64_t csr_read_one(const RiscvCpu *cpu, const CsrDef *def)
{
    return 1;
}

static uint64_t csr_read_field(const RiscvCpu *cpu, const CsrDef *def)
{
    return *(const uint64_t *)((const char *)cpu + def->field);
}

static RvCsrResult csr_write_none(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    return RV_CSR_OK;
}

static RvCsrResult csr_write_field(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    csr_store(cpu, def, w->value & def->mask);
    return RV_CSR_OK;
}

static RvCsrResult csr_write_epc(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    csr_store(cpu, def, w->value & riscv_epc_mask(cpu));
    return RV_CSR_OK;
}

/* ---- Floating point. Any write makes the state dirty. */

static uint64_t csr_read_fflags(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->fflags;
}

static uint64_t csr_read_frm(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->frm;
}

static uint64_t csr_read_fcsr(const RiscvCpu *cpu, const CsrDef *def)
{
    return (uint64_t)cpu->frm << 5 | cpu->fflags;
}

static RvCsrResult csr_write_fflags(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    cpu->fflags = w->value & def->mask;
    riscv_fp_dirty(cpu);
    return RV_CSR_OK;
}

static RvCsrResult csr_write_frm(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    cpu->frm = w->value & def->mask;
    riscv_fp_dirty(cpu);
    return RV_CSR_OK;
}

static RvCsrResult csr_write_fcsr(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    cpu->fflags = w->value & 0x1f;
    cpu->frm = (w->value >> 5) & 7;
    riscv_fp_dirty(cpu);
    return RV_CSR_OK;
}

/* ---- Counters (3.1.10-3.1.12). A write is done instead of the instruction's own increment. */

static uint64_t counter_read(const RiscvCpu *cpu, unsigned counter, uint64_t bias)
{
    if ((cpu->mcountinhibit >> counter) & 1) {
        return cpu->mcounterhold[counter == COUNTER_INSTRET];
    }
    return cpu->insns + bias;
}

static void counter_write(RiscvCpu *cpu, unsigned counter, uint64_t *bias, const CsrWrite *w)
{
    if ((cpu->mcountinhibit >> counter) & 1) {
        cpu->mcounterhold[counter == COUNTER_INSTRET] = w->value;
    } else {
        *bias = w->value - w->insns;
    }
}

static uint64_t csr_read_mcycle(const RiscvCpu *cpu, const CsrDef *def)
{
    return counter_read(cpu, COUNTER_CYCLE, cpu->mcycle_bias);
}

static uint64_t csr_read_minstret(const RiscvCpu *cpu, const CsrDef *def)
{
    return counter_read(cpu, COUNTER_INSTRET, cpu->minstret_bias);
}

static uint64_t csr_read_time(const RiscvCpu *cpu, const CsrDef *def)
{
    return riscv_time(cpu);
}

static RvCsrResult csr_write_mcycle(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    counter_write(cpu, COUNTER_CYCLE, &cpu->mcycle_bias, w);
    return RV_CSR_OK;
}

static RvCsrResult csr_write_minstret(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    counter_write(cpu, COUNTER_INSTRET, &cpu->minstret_bias, w);
    return RV_CSR_OK;
}

static void counter_inhibit(RiscvCpu *cpu, unsigned counter, uint64_t *bias, uint64_t insns,
                            bool inhibit)
{
    bool inhibited = (cpu->mcountinhibit >> counter) & 1;
    uint64_t *hold = &cpu->mcounterhold[counter == COUNTER_INSTRET];

    if (inhibit && !inhibited) {
        *hold = insns + *bias; /* the writing instruction itself still counts */
    } else if (!inhibit && inhibited) {
        *bias = *hold - insns;
    }
}

static RvCsrResult csr_write_mcountinhibit(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    uint64_t value = w->value & def->mask;

    counter_inhibit(cpu, COUNTER_CYCLE, &cpu->mcycle_bias, w->insns, value >> COUNTER_CYCLE & 1);
    counter_inhibit(cpu, COUNTER_INSTRET, &cpu->minstret_bias, w->insns,
                    value >> COUNTER_INSTRET & 1);
    cpu->mcountinhibit = value;
    return RV_CSR_OK;
}

/* ---- Status (3.1.6). */

static RvCsrResult write_status(RiscvCpu *cpu, uint64_t value, uint64_t writable)
{
    uint64_t old = cpu->mstatus;
    uint64_t changed, translation;

    if (!cpu->feature.f) {
        writable &= ~RV_MSTATUS_FS;
    }
    if (cpu->satp_mode_max == 0) {
        writable &= ~RV_MSTATUS_SUM;
    }
    if ((value & RV_MSTATUS_MPP) >> 11 == 2) {
        writable &= ~RV_MSTATUS_MPP;
    }
    value = (old & ~(writable | RV_MSTATUS_SD)) | (value & writable);
    if ((value & RV_MSTATUS_FS) == RV_MSTATUS_FS) {
        value |= RV_MSTATUS_SD;
    }
    cpu->mstatus = value;

    changed = old ^ value;
    if ((changed & value & RV_MSTATUS_SIE) && trace_guest_task_switch_enabled()) {
        riscv_guest_interrupts_on(cpu);
    }
    translation = RV_MSTATUS_SUM | RV_MSTATUS_MXR | RV_MSTATUS_MPRV;
    if (value & RV_MSTATUS_MPRV) {
        translation |= RV_MSTATUS_MPP;
    }
    if (changed & translation) {
        return RV_CSR_OK_MMU;
    }
    return result_irq(cpu);
}

static RvCsrResult csr_write_mstatus(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    return write_status(cpu, w->value, MSTATUS_WRITABLE);
}

static uint64_t csr_read_sstatus(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->mstatus & SSTATUS_VISIBLE;
}

static RvCsrResult csr_write_sstatus(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    return write_status(cpu, w->value, SSTATUS_WRITABLE);
}

/* ---- Interrupts (3.1.8, 3.1.9, 10.1.3). Stores that pair with reads by other threads: see trap.c. */

static RvCsrResult csr_write_mideleg(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    cpu->mideleg = w->value & def->mask;
    return result_irq(cpu);
}

static RvCsrResult csr_write_mie(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    orr_store_seq_cst(&cpu->mie, w->value & def->mask);
    return result_irq(cpu);
}

static uint64_t csr_read_sie(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->mie & cpu->mideleg;
}

static RvCsrResult csr_write_sie(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    orr_store_seq_cst(&cpu->mie, (cpu->mie & ~cpu->mideleg) | (w->value & cpu->mideleg));
    return result_irq(cpu);
}

/*
 * Only the bits that software wrote take part in a read-modify-write of mip: a csrrs of SEIP must
 * not turn the line of the interrupt controller into a software bit.
 */
static RvCsrResult write_mip(RiscvCpu *cpu, uint64_t writable, const CsrWrite *w)
{
    uint64_t set = writable & w->mask & w->value, clear = writable & w->mask & ~w->value;

    riscv_irq_fell(cpu, orr_fetch_and(&cpu->mip_soft, ~clear) & clear);
    riscv_irq_rises(cpu, set & ~orr_load_relaxed(&cpu->mip_soft));
    orr_fetch_or(&cpu->mip_soft, set);
    return result_irq(cpu);
}

static uint64_t csr_read_mip(const RiscvCpu *cpu, const CsrDef *def)
{
    return riscv_mip(cpu);
}

static RvCsrResult csr_write_mip(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    uint64_t writable = RV_MIP_S;

    if (cpu->menvcfg & RV_ENVCFG_STCE) {
        writable &= ~RV_MIP_BIT(RV_IRQ_STI);
    }
    return write_mip(cpu, writable, w);
}

static uint64_t csr_read_sip(const RiscvCpu *cpu, const CsrDef *def)
{
    return riscv_mip(cpu) & cpu->mideleg;
}

static RvCsrResult csr_write_sip(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    return write_mip(cpu, cpu->mideleg & RV_MIP_BIT(RV_IRQ_SSI), w);
}

static RvCsrResult csr_write_stimecmp(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    orr_store_seq_cst(&cpu->stimecmp, w->value);
    riscv_stimer_update(cpu);
    return result_irq(cpu);
}

/* ---- Environment (3.1.18, 10.1.10). */

static RvCsrResult csr_write_envcfg(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    uint64_t old = *csr_field(cpu, def);
    uint64_t value = w->value;
    uint64_t mask = def->mask;
    uint64_t changed;

    if ((value & RV_ENVCFG_CBIE) >> 4 == 2) {
        value = (value & ~RV_ENVCFG_CBIE) | (old & RV_ENVCFG_CBIE);
    }
    mask &= cpu->feature.zicbom ? ~UINT64_C(0) : ~(RV_ENVCFG_CBIE | RV_ENVCFG_CBCFE);
    mask &= cpu->feature.zicboz ? ~UINT64_C(0) : ~RV_ENVCFG_CBZE;
    mask &= cpu->feature.svadu ? ~UINT64_C(0) : ~RV_ENVCFG_ADUE;
    mask &= cpu->feature.svpbmt ? ~UINT64_C(0) : ~RV_ENVCFG_PBMTE;
    mask &= cpu->feature.sstc ? ~UINT64_C(0) : ~RV_ENVCFG_STCE;
    value &= mask;
    csr_store(cpu, def, value);

    changed = old ^ value;
    if (changed & RV_ENVCFG_STCE) {
        riscv_stimer_update(cpu);
    }
    if (changed & (RV_ENVCFG_ADUE | RV_ENVCFG_PBMTE)) {
        return result_stale(cpu);
    }
    return result_irq(cpu);
}

/* ---- Translation and protection. */

static RvCsrResult csr_write_satp(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    unsigned mode = (unsigned)(w->value >> 60);

    if ((mode != 0 && (mode < 8 || mode > cpu->satp_mode_max)) || w->value == cpu->satp) {
        return RV_CSR_OK;
    }
    cpu->satp = w->value;
    if (trace_guest_satp_enabled()) {
        riscv_guest_satp(cpu);
    }
    return RV_CSR_OK_MMU;
}

/* On RV64 each even pmpcfg register holds eight entries. */
static unsigned pmpcfg_first(const CsrDef *def)
{
    return (def->number - 0x3a0u) * 4;
}

static uint64_t csr_read_pmpcfg(const RiscvCpu *cpu, const CsrDef *def)
{
    unsigned first = pmpcfg_first(def);
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)cpu->pmpcfg[first + i] << (8 * i);
    }
    return value;
}

static RvCsrResult csr_write_pmpcfg(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    unsigned first = pmpcfg_first(def);
    bool changed = false;

    for (unsigned i = 0; i < 8; i++) {
        changed |= riscv_pmp_write_cfg(cpu, first + i, (uint8_t)(w->value >> (8 * i)));
    }
    if (!changed) {
        return RV_CSR_OK;
    }
    riscv_pmp_update(cpu);
    return result_stale(cpu);
}

static uint64_t csr_read_pmpaddr(const RiscvCpu *cpu, const CsrDef *def)
{
    return cpu->pmpaddr[def->number - 0x3b0];
}

static RvCsrResult csr_write_pmpaddr(RiscvCpu *cpu, const CsrDef *def, const CsrWrite *w)
{
    if (!riscv_pmp_write_addr(cpu, def->number - 0x3b0u, w->value)) {
        return RV_CSR_OK;
    }
    riscv_pmp_update(cpu);
    return result_stale(cpu);
}

/* ---- The table. */

#define CSR_ID(number_, name_, guard_, read_, write_, field_, mask_) CSR_ID_##name_,
#define CSR_INDEX(number_, name_, guard_, read_, write_, field_, mask_)                            \
    [number_] = CSR_ID_##name_ + 1,
#define CSR_DEF(number_, name_, guard_, read_, write_, field_, mask_)                              \
    [CSR_ID_##name_] = {                                                                           \
        .name = #name_,                                                                            \
        .guard = csr_guard_##guard_,                                                               \
        .read = csr_read_##read_,                                                                  \
        .write = csr_write_##write_,                                                               \
        .mask = mask_,                                                                             \
        .number = number_,                                                                         \
        .field = offsetof(RiscvCpu, field_),                                                       \
    },

enum { RISCV_CSR_LIST(CSR_ID) CSR_ID_COUNT };

_Static_assert(CSR_ID_COUNT < 256, "the index holds bytes");

static const CsrDef csr_defs[CSR_ID_COUNT] = { RISCV_CSR_LIST(CSR_DEF) };

/* By number: place in csr_defs plus one; 0 where there is no register. */
static const uint8_t csr_index[4096] = { RISCV_CSR_LIST(CSR_INDEX) };

static const CsrDef *csr_find(unsigned csr)
{
    unsigned place = csr < G_N_ELEMENTS(csr_index) ? csr_index[csr] : 0;

    return place ? &csr_defs[place - 1] : NULL;
}

static bool csr_read_only(unsigned csr)
{
    return csr >> 10 == 3;
}

RvCsrResult riscv_csr_access(RiscvCpu *cpu, unsigned csr, uint64_t *old, bool write, uint64_t value,
                             uint64_t mask)
{
    const CsrDef *def = csr_find(csr);
    uint64_t now;

    if (!def && orr_log_on(cpu->vcpu.log, LOG_UNIMP)) {
        orr_log(cpu->vcpu.log,
                "riscv: hart %" G_GUINT64_FORMAT " has no CSR 0x%03x, pc 0x%016" G_GINT64_MODIFIER
                "x\n",
                cpu->mhartid, csr, cpu->pc);
    }
    if (!def || cpu->priv < ((csr >> 8) & 3) || (write && csr_read_only(csr)) ||
        !def->guard(cpu, def)) {
        return RV_CSR_ILLEGAL;
    }
    now = def->read(cpu, def);
    if (old) {
        *old = now;
    }
    if (!write) {
        return RV_CSR_OK;
    }
    return def->write(cpu, def,
                      &(CsrWrite){ .value = (now & ~mask) | (value & mask),
                                   .mask = mask,
                                   .insns = cpu->insns + 1 });
}

/* Whether the hart has the register at all; guards that depend on the hart's mode do not count. */
static bool csr_exists(const RiscvCpu *cpu, const CsrDef *def)
{
    return def && (def->guard != csr_guard_pmp || cpu->feature.pmp) &&
           (def->guard != csr_guard_sstc || cpu->feature.sstc) &&
           (def->guard != csr_guard_fp || cpu->feature.f);
}

bool riscv_csr_peek(RiscvCpu *cpu, unsigned csr, uint64_t *value)
{
    const CsrDef *def = csr_find(csr);

    if (!csr_exists(cpu, def)) {
        return false;
    }
    *value = def->read(cpu, def);
    return true;
}

bool riscv_csr_poke(RiscvCpu *cpu, unsigned csr, uint64_t value)
{
    const CsrDef *def = csr_find(csr);

    if (!csr_exists(cpu, def) || csr_read_only(csr)) {
        return false;
    }
    def->write(cpu, def, &(CsrWrite){ .value = value, .mask = UINT64_MAX, .insns = cpu->insns });
    return true;
}

unsigned riscv_csr_count(void)
{
    return CSR_ID_COUNT;
}

unsigned riscv_csr_number(unsigned index)
{
    return csr_defs[index].number;
}

const char *riscv_csr_name(unsigned index)
{
    return csr_defs[index].name;
}
