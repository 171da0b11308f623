/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 hart as the common code sees it: models and properties, reset, registers by name,
 * dumps. The idea to hold: properties choose extensions once, at realize; from then on the hart's
 * code asks cpu->feature and cpu->exts and nothing changes them.
 */
#include "target/riscv/internal.h"

#include <elf.h>
#include <string.h>

#include "orrery/impl/error.h"
#include "target/riscv/csr-list.h"
#include "target/riscv/decode.h"
#include "target/riscv/disas.h"

#define TIME_HZ_DEFAULT 10000000

/* ---- Models and properties. */

static const TargetCpuModel models[] = {
    { "rv64", "RV64GC with every extension this target has", false },
    { "max", "the same", false },
    { NULL, NULL, false },
};

#define FEATURE(name_, help_)                                                                      \
    {                                                                                              \
        .name = #name_, .type = PROP_BOOL, .offset = offsetof(RiscvCpu, feature.name_),            \
        .fallback = "on", .help = help_                                                            \
    }

static const PropDef props[] = {
    FEATURE(m, "integer multiplication and division"),
    FEATURE(a, "atomic instructions"),
    FEATURE(f, "single-precision floating point"),
    FEATURE(d, "double-precision floating point; needs f"),
    FEATURE(c, "compressed instructions"),
    FEATURE(zba, "address generation"),
    FEATURE(zbb, "basic bit manipulation"),
    FEATURE(zbc, "carry-less multiplication"),
    FEATURE(zbs, "single-bit instructions"),
    FEATURE(zicbom, "cache-block management"),
    FEATURE(zicboz, "cache-block zero"),
    FEATURE(zicond, "integer conditional operations"),
    FEATURE(zawrs, "wait on reservation set; off without a"),
    FEATURE(sstc, "supervisor timer compare register"),
    FEATURE(svinval, "fine-grained translation invalidation; off without paging, as all sv*"),
    FEATURE(svnapot, "64 KiB pages by NAPOT entries"),
    FEATURE(svpbmt, "memory types in page tables"),
    FEATURE(svadu, "accessed and dirty bits set by hardware"),
    FEATURE(pmp, "physical memory protection, 16 entries"),
    FEATURE(mmu, "paging; off leaves satp at Bare"),
    FEATURE(sv39, "39-bit virtual addresses; off is as mmu=off"),
    FEATURE(sv48, "48-bit virtual addresses; off excludes sv57 too"),
    FEATURE(sv57, "57-bit virtual addresses"),
    { .name = NULL },
};

static void set_line(void *opaque, unsigned n, int level)
{
    riscv_set_irq(opaque, n, level);
}

static bool riscv_vcpu_init(Vcpu *vcpu, const char *model, GError **error)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);
    bool known = !model; /* the default */

    for (const TargetCpuModel *m = models; !known && m->name; m++) {
        known = strcmp(m->name, model) == 0;
    }
    if (!known) {
        return orr_fail(error, ORR_ERROR_NOT_FOUND,
                        "riscv64 has no CPU model '%s'; `-cpu help` lists them", model);
    }
    cpu->mhartid = vcpu->accel.index;
    cpu->time_hz = TIME_HZ_DEFAULT;
    cpu->reserved_paddr = UINT64_MAX;
    for (unsigned i = 0; i < G_N_ELEMENTS(cpu->irq); i++) {
        cpu->irq[i] = (IrqLine){ .set = set_line, .opaque = cpu, .n = i };
    }
    riscv_stimer_init(cpu);
    return true;
}

static uint64_t misa_of(const RiscvCpu *cpu)
{
    uint64_t misa = UINT64_C(2) << 62;
    const struct {
        bool on;
        char letter;
    } letters[] = {
        { true, 'I' },
        { cpu->feature.m, 'M' },
        { cpu->feature.a, 'A' },
        { cpu->feature.f, 'F' },
        { cpu->feature.d, 'D' },
        { cpu->feature.c, 'C' },
        { cpu->feature.zba && cpu->feature.zbb && cpu->feature.zbs, 'B' },
        { true, 'S' },
        { true, 'U' },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(letters); i++) {
        misa |= letters[i].on ? UINT64_C(1) << (letters[i].letter - 'A') : 0;
    }
    return misa;
}

static uint64_t exts_of(const RiscvCpu *cpu)
{
    uint64_t exts = RV_EXT_I | RV_EXT_ZICSR | RV_EXT_ZIFENCEI | RV_EXT_ZICBOP | RV_EXT_ZIHINTPAUSE |
                    RV_EXT_PRIV | RV_EXT_S;
    const struct {
        bool on;
        uint64_t exts;
    } parts[] = {
        { cpu->feature.m, RV_EXT_M },
        { cpu->feature.a, RV_EXT_A },
        { cpu->feature.f, RV_EXT_F },
        { cpu->feature.d, RV_EXT_D },
        { cpu->feature.c, RV_EXT_ZCA },
        { cpu->feature.c && cpu->feature.d, RV_EXT_ZCD },
        { cpu->feature.zba, RV_EXT_ZBA },
        { cpu->feature.zbb, RV_EXT_ZBB },
        { cpu->feature.zbc, RV_EXT_ZBC },
        { cpu->feature.zbs, RV_EXT_ZBS },
        { cpu->feature.zicbom, RV_EXT_ZICBOM },
        { cpu->feature.zicboz, RV_EXT_ZICBOZ },
        { cpu->feature.zicond, RV_EXT_ZICOND },
        { cpu->feature.zawrs, RV_EXT_ZAWRS },
        { cpu->feature.svinval, RV_EXT_SVINVAL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        exts |= parts[i].on ? parts[i].exts : 0;
    }
    return exts;
}

static bool riscv_vcpu_realize(Vcpu *vcpu, GError **error)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    if (cpu->feature.d && !cpu->feature.f) {
        return orr_fail(error, ORR_ERROR_INVALID,
                        "CPU property d=on needs f=on; add d=off or drop f=off");
    }
    if (!cpu->feature.mmu || !cpu->feature.sv39) {
        cpu->satp_mode_max = 0;
    } else if (!cpu->feature.sv48) {
        cpu->satp_mode_max = 8;
    } else {
        cpu->satp_mode_max = cpu->feature.sv57 ? 10 : 9;
    }
    /* What lives by another extension goes with it, and is not announced to the guest. */
    cpu->feature.zawrs &= cpu->feature.a;
    if (cpu->satp_mode_max == 0) {
        cpu->feature.svinval = cpu->feature.svnapot = false;
        cpu->feature.svpbmt = cpu->feature.svadu = false;
    }
    cpu->exts = exts_of(cpu);
    cpu->misa = misa_of(cpu);
    return true;
}

static void riscv_vcpu_finish(Vcpu *vcpu)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    if (cpu->stimer.timers) {
        timer_finish(&cpu->stimer);
    }
}

/* ---- Reset (3.4). */

static void dump_state(Vcpu *vcpu, GString *out);

static void riscv_vcpu_reset(Vcpu *vcpu)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    memset(cpu->x, 0, sizeof(cpu->x));
    memset(cpu->f, 0, sizeof(cpu->f));
    cpu->pc = 0; /* the board's reset vector follows by set_pc */
    cpu->fflags = 0;
    cpu->frm = 0;
    cpu->priv = RV_PRIV_M;
    cpu->insns = 0;
    cpu->reserved_paddr = UINT64_MAX;
    cpu->reserved_value = 0;
    cpu->reserved_bytes = 0;

    memset(&cpu->guest, 0, sizeof(cpu->guest));

    cpu->mstatus = UINT64_C(2) << 32 | UINT64_C(2) << 34;
    orr_store_seq_cst(&cpu->mie, 0);
    cpu->mideleg = cpu->medeleg = 0;
    cpu->mtvec = cpu->mscratch = cpu->mepc = cpu->mcause = cpu->mtval = 0;
    cpu->mcounteren = cpu->mcountinhibit = 0;
    /*
     * Firmware that does not know these extensions finds them working: a kernel without firmware
     * relies on A and D being set for it.
     */
    orr_store_relaxed(&cpu->menvcfg, (cpu->feature.svadu ? RV_ENVCFG_ADUE : 0) |
                                         (cpu->feature.svpbmt ? RV_ENVCFG_PBMTE : 0));
    cpu->senvcfg = 0;
    cpu->stvec = cpu->sscratch = cpu->sepc = cpu->scause = cpu->stval = 0;
    cpu->satp = cpu->scounteren = 0;
    orr_store_seq_cst(&cpu->stimecmp, UINT64_MAX);
    cpu->minstret_bias = cpu->mcycle_bias = 0;
    memset(cpu->mcounterhold, 0, sizeof(cpu->mcounterhold));
    memset(cpu->pmpcfg, 0, sizeof(cpu->pmpcfg));
    memset(cpu->pmpaddr, 0, sizeof(cpu->pmpaddr));
    /* mip_lines stays: the wires show what the devices drive. */
    orr_store_seq_cst(&cpu->mip_soft, 0);
    riscv_state_changed(cpu);

    if (orr_log_on(vcpu->log, LOG_CPU_RESET)) {
        GString *text = g_string_new(NULL);

        dump_state(vcpu, text);
        orr_log(vcpu->log, "riscv: hart %" G_GUINT64_FORMAT " reset\n%s", cpu->mhartid, text->str);
        g_string_free(text, TRUE);
    }
}

void riscv_state_changed(RiscvCpu *cpu)
{
    riscv_pmp_update(cpu);
    riscv_stimer_update(cpu);
    cpu->mmu_version++;
}

static bool has_work(const Vcpu *vcpu)
{
    const RiscvCpu *cpu = (const RiscvCpu *)vcpu;
    uint64_t enabled = orr_load_seq_cst(&cpu->mie);

    return enabled && (riscv_mip(cpu) & enabled);
}

static uint64_t get_pc(const Vcpu *vcpu)
{
    return ((const RiscvCpu *)vcpu)->pc;
}

static void set_pc(Vcpu *vcpu, uint64_t pc)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    cpu->pc = pc & riscv_epc_mask(cpu);
}

/* ---- Registers by index: x, pc, f, then CSRs in the order of csr-list.h. */

enum {
    REG_X = 0,
    REG_PC = 32,
    REG_F = 33,
    REG_CSR = 65,
};

/* clang-format off */
#define REG_X_NAMES(X)                                                                             \
    X("zero") X("ra") X("sp") X("gp") X("tp") X("t0") X("t1") X("t2") X("fp") X("s1") X("a0")      \
    X("a1") X("a2") X("a3") X("a4") X("a5") X("a6") X("a7") X("s2") X("s3") X("s4") X("s5")        \
    X("s6") X("s7") X("s8") X("s9") X("s10") X("s11") X("t3") X("t4") X("t5") X("t6")
#define REG_F_NAMES(X)                                                                             \
    X("ft0") X("ft1") X("ft2") X("ft3") X("ft4") X("ft5") X("ft6") X("ft7") X("fs0") X("fs1")      \
    X("fa0") X("fa1") X("fa2") X("fa3") X("fa4") X("fa5") X("fa6") X("fa7") X("fs2") X("fs3")      \
    X("fs4") X("fs5") X("fs6") X("fs7") X("fs8") X("fs9") X("fs10") X("fs11") X("ft8") X("ft9")    \
    X("ft10") X("ft11")
#define REG_GENERAL(name_) { name_, "general", 64 },
#define REG_FLOAT(name_) { name_, "float", 64 },
#define REG_CSR_ENTRY(number_, name_, guard_, read_, write_, field_, mask_) { #name_, "csr", 64 },

/* gdb calls x8 fp, and expects these names for its standard feature sets. */
static const TargetReg regs[] = {
    REG_X_NAMES(REG_GENERAL)
    { "pc", "general", 64 },
    REG_F_NAMES(REG_FLOAT)
    RISCV_CSR_LIST(REG_CSR_ENTRY)
};
/* clang-format on */

static uint64_t read_reg(Vcpu *vcpu, unsigned reg)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);
    uint64_t value = 0;

    if (reg < REG_PC) {
        return cpu->x[reg];
    }
    if (reg == REG_PC) {
        return cpu->pc;
    }
    if (reg < REG_CSR) {
        return cpu->f[reg - REG_F];
    }
    if (reg < G_N_ELEMENTS(regs)) {
        riscv_csr_peek(cpu, riscv_csr_number(reg - REG_CSR), &value);
    }
    return value;
}

static bool write_reg(Vcpu *vcpu, unsigned reg, uint64_t value)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    if (reg < REG_PC) {
        cpu->x[reg] = reg == 0 ? 0 : value;
        return true;
    }
    if (reg == REG_PC) {
        set_pc(vcpu, value);
        return true;
    }
    if (reg < REG_CSR) {
        cpu->f[reg - REG_F] = value;
        return true;
    }
    return reg < G_N_ELEMENTS(regs) && riscv_csr_poke(cpu, riscv_csr_number(reg - REG_CSR), value);
}

/* ---- Text. */

static void dump_line(GString *out, const char *name, uint64_t value)
{
    g_string_append_printf(out, " %-8s %016" G_GINT64_MODIFIER "x\n", name, value);
}

static void dump_bank(GString *out, char bank, const char *(*name_of)(unsigned), const uint64_t *v)
{
    for (unsigned i = 0; i < 32; i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "%c%u/%s", bank, i, name_of(i));
        g_string_append_printf(out, " %-8s %016" G_GINT64_MODIFIER "x%s", name, v[i],
                               i % 4 == 3 ? "\n" : "");
    }
}

static void dump_state(Vcpu *vcpu, GString *out)
{
    static const uint16_t shown[] = { 0xf14, 0x300, 0x344, 0x304, 0x303, 0x302, 0x305, 0x105, 0x341,
                                      0x141, 0x342, 0x142, 0x343, 0x143, 0x340, 0x140, 0x180 };
    static const char *const privs[] = { "U", "S", "-", "M" };
    RiscvCpu *cpu = riscv_cpu(vcpu);

    dump_line(out, "pc", cpu->pc);
    g_string_append_printf(out, " %-8s %s\n", "priv", privs[cpu->priv & 3]);
    for (unsigned i = 0; i < G_N_ELEMENTS(shown); i++) {
        uint64_t value = 0;

        riscv_csr_peek(cpu, shown[i], &value);
        dump_line(out, rv_csr_name(shown[i]), value);
    }
    dump_bank(out, 'x', rv_reg_name, cpu->x);
    dump_bank(out, 'f', rv_freg_name, cpu->f);
}

static size_t disas(Vcpu *vcpu, uint64_t pc, const uint8_t *bytes, size_t available, char *text,
                    size_t text_bytes)
{
    uint32_t bits;
    RvInsn insn;

    if (available < 2) {
        return 0;
    }
    bits = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
    if ((bits & 3) == 3) {
        if (available < 4) {
            return 0;
        }
        bits |= (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    }
    if (!rv_decode(bits, riscv_cpu(vcpu)->exts, &insn)) {
        return 0;
    }
    rv_disas(text, text_bytes, pc, &insn);
    return insn.len;
}

static IrqLine *irq_in(Vcpu *vcpu, unsigned n)
{
    RiscvCpu *cpu = riscv_cpu(vcpu);

    return n < G_N_ELEMENTS(cpu->irq) ? &cpu->irq[n] : NULL;
}

static bool debug_translate(Vcpu *vcpu, uint64_t vaddr, uint64_t *paddr)
{
    return riscv_debug_walk(riscv_cpu(vcpu), vaddr, paddr);
}

const TargetOps riscv64_target_ops = {
    .name = "riscv64",
    .summary = "RISC-V, 64 bit",
    .vcpu_bytes = sizeof(RiscvCpu),
    .max_vcpus = 512,
    .elf_machine = EM_RISCV,
    .models = models,
    .props = props,
    .vcpu_init = riscv_vcpu_init,
    .vcpu_realize = riscv_vcpu_realize,
    .vcpu_finish = riscv_vcpu_finish,
    .vcpu_reset = riscv_vcpu_reset,
    .has_work = has_work,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .regs = regs,
    .reg_count = G_N_ELEMENTS(regs),
    .read_reg = read_reg,
    .write_reg = write_reg,
    .dump_state = dump_state,
    .debug_translate = debug_translate,
    .disas = disas,
    .irq_in = irq_in,
    .describe = riscv_describe,
};
