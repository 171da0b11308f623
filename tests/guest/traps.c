/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts (privileged spec 3.1.6 to 3.1.9, 3.1.15, 3.1.16, 3.3, 10.1): what each
 * trap leaves in the registers, who takes it under delegation, direct and vectored entry, and which of
 * several interrupts comes first.
 */
#include "guest.h"

CODE(code_nop, "nop");
CODE(code_zeros, ".2byte 0");
CODE(code_ones, ".4byte 0xffffffff");
CODE(code_reserved_opcode, ".4byte 0x0000007f");
CODE(code_reserved_funct, ".4byte 0x0200405b");
CODE(code_unknown_csr, "csrr a0, 0x5c0");
CODE(code_write_mhartid, "csrw mhartid, x0");
CODE(code_read_cycle_set_x0, "csrrs a0, cycle, x0");
CODE(code_write_cycle, "csrrw a0, cycle, x0");
CODE(code_read_mstatus, "csrr a0, mstatus");
CODE(code_read_sstatus, "csrr a0, sstatus");
CODE(code_read_satp, "csrr a0, satp");
CODE(code_write_satp, "csrw satp, x0");
CODE(code_sfence, "sfence.vma");
CODE(code_mret, "mret");
CODE(code_sret, "sret");
CODE(code_wfi, "wfi");
CODE(code_ecall, "ecall");
CODE(code_ebreak, ".option push\n.option norvc\nebreak\n.option pop");
CODE(code_c_ebreak, "c.ebreak");
CODE(code_lb, "lb a0, 0(a0)");
CODE(code_lh, "lh a0, 0(a0)");
CODE(code_lw, "lw a0, 0(a0)");
CODE(code_ld, "ld a0, 0(a0)");
CODE(code_fld, "fld fa0, 0(a0)");
CODE(code_sb, "sb a1, 0(a0)");
CODE(code_sh, "sh a1, 0(a0)");
CODE(code_sw, "sw a1, 0(a0)");
CODE(code_sd, "sd a1, 0(a0)");
CODE(code_fsd, "fsd fa0, 0(a0)");
CODE(code_amoadd_w, "amoadd.w a0, a1, (a0)");
CODE(code_amoadd_d, "amoadd.d a0, a1, (a0)");
CODE(code_lr_w, "lr.w a0, (a0)");
CODE(code_lr_d, "lr.d a0, (a0)");
CODE(code_sc_w, "sc.w a0, a1, (a0)");
CODE(code_sc_d, "sc.d a0, a1, (a0)");
CODE(code_jump, "jr a0");
CODE(code_jump_odd, "lla t0, 1f\naddi t0, t0, 1\nli a0, 7\njr t0\nli a0, 8\n1:");
CODE(code_misaligned,
     "ld a1, 1(a0)\nlw a2, 3(a0)\nlhu a3, 7(a0)\nadd a1, a1, a2\nadd a1, a1, a3\nsd a1, 9(a0)\n"
     "ld a0, 9(a0)");
CODE(code_enable_sie, "csrsi sstatus, 2\nnop");
CODE(code_enable_mie, "csrsi mstatus, 8\nnop");

static uint32_t insn_at(const char *code)
{
    uint16_t low, high;

    memcpy(&low, code, 2);
    memcpy(&high, code + 2, 2);
    return (low & 3) == 3 ? low | (uint32_t)high << 16 : low;
}

/* tval of an illegal instruction may be the instruction or zero; here it is always the former. */
#define CHECK_ILLEGAL(priv, code)                                                                  \
    do {                                                                                           \
        TrapRecord r_ = run_in((priv), (code), 0, 0, 0);                                           \
                                                                                                   \
        CHECK_TRAP(r_, 'M', CAUSE_ILLEGAL, (code), insn_at(code));                                 \
        CHECK_EQ((r_.status & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT, (priv));                          \
    } while (0)

static void illegal(void)
{
    TrapRecord r;

    group("illegal instructions");
    for (unsigned priv = PRIV_U; priv <= PRIV_M; priv += priv == PRIV_U ? 1 : 2) {
        CHECK_ILLEGAL(priv, code_zeros);
        CHECK_ILLEGAL(priv, code_ones);
        CHECK_ILLEGAL(priv, code_reserved_opcode);
        CHECK_ILLEGAL(priv, code_reserved_funct);
        CHECK_ILLEGAL(priv, code_unknown_csr);
        CHECK_ILLEGAL(priv, code_write_cycle);
        r = run_in(priv, code_read_cycle_set_x0, 0, 0, 0);
        CHECK(r.level == 'R');
    }
    CHECK_ILLEGAL(PRIV_M, code_write_mhartid);
    CHECK_ILLEGAL(PRIV_S, code_read_mstatus);
    CHECK_ILLEGAL(PRIV_S, code_mret);
    CHECK_ILLEGAL(PRIV_U, code_read_mstatus);
    CHECK_ILLEGAL(PRIV_U, code_read_sstatus);
    CHECK_ILLEGAL(PRIV_U, code_mret);
    CHECK_ILLEGAL(PRIV_U, code_sret);
    CHECK_ILLEGAL(PRIV_U, code_wfi);
    CHECK_ILLEGAL(PRIV_U, code_sfence);

    group("TVM, TW, TSR");
    csr_set(mstatus, MSTATUS_TVM);
    CHECK_ILLEGAL(PRIV_S, code_read_satp);
    CHECK_ILLEGAL(PRIV_S, code_write_satp);
    CHECK_ILLEGAL(PRIV_S, code_sfence);
    CHECK(RUN_M(code_read_satp, 0, 0).level == 'R');
    csr_clear(mstatus, MSTATUS_TVM);
    CHECK(RUN_S(code_read_satp, 0, 0).level == 'R');
    CHECK(RUN_S(code_sfence, 0, 0).level == 'R');
    csr_set(mstatus, MSTATUS_TW);
    CHECK_ILLEGAL(PRIV_S, code_wfi);
    csr_clear(mstatus, MSTATUS_TW);
    csr_set(mstatus, MSTATUS_TSR);
    CHECK_ILLEGAL(PRIV_S, code_sret);
    csr_clear(mstatus, MSTATUS_TSR);
}

static void calls(void)
{
    TrapRecord r;

    group("ecall and ebreak");
    r = RUN_U(code_ecall, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ECALL_U, code_ecall, 0);
    r = RUN_S(code_ecall, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ECALL_S, code_ecall, 0);
    r = RUN_M(code_ecall, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ECALL_M, code_ecall, 0);
    /* tval of ebreak may be its address or zero. */
    r = RUN_U(code_ebreak, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_BREAKPOINT, code_ebreak, r.tval ? (uint64_t)code_ebreak : 0);
    r = RUN_M(code_c_ebreak, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_BREAKPOINT, code_c_ebreak, r.tval ? (uint64_t)code_c_ebreak : 0);
}

static void accesses(void)
{
    static const char *const loads[] = { code_lb, code_lh, code_lw, code_ld, code_fld };
    static const char *const stores[] = { code_sb, code_sh, code_sw, code_sd, code_fsd };
    static const char *const atomics[] = { code_amoadd_w, code_amoadd_d, code_sc_w, code_sc_d };
    static uint64_t buffer[4] __attribute__((aligned(16)));
    uint64_t addr = (uint64_t)buffer;
    TrapRecord r;

    group("access faults");
    for (unsigned i = 0; i < ARRAY_LENGTH(loads); i++) {
        r = RUN_M(loads[i], NOTHING_BASE + 8 * i, 0);
        CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, loads[i], NOTHING_BASE + 8 * i);
        r = RUN_U(stores[i], NOTHING_BASE + 8 * i, 0);
        CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, stores[i], NOTHING_BASE + 8 * i);
    }
    for (unsigned i = 0; i < 2; i++) {
        r = RUN_M(atomics[i], NOTHING_BASE, 0);
        CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, atomics[i], NOTHING_BASE);
    }
    r = RUN_M(code_lr_w, NOTHING_BASE, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_ACCESS, code_lr_w, NOTHING_BASE);
    r = RUN_M(code_jump, NOTHING_BASE, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_ACCESS, NOTHING_BASE, NOTHING_BASE);
    r = RUN_S(code_jump, NOTHING_BASE + 2, 0);
    CHECK_TRAP(r, 'M', CAUSE_FETCH_ACCESS, NOTHING_BASE + 2, NOTHING_BASE + 2);

    group("misaligned atomics trap");
    r = RUN_M(code_lr_w, addr + 2, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_MISALIGNED, code_lr_w, addr + 2);
    r = RUN_M(code_lr_d, addr + 4, 0);
    CHECK_TRAP(r, 'M', CAUSE_LOAD_MISALIGNED, code_lr_d, addr + 4);
    for (unsigned i = 0; i < ARRAY_LENGTH(atomics); i++) {
        r = RUN_M(atomics[i], addr + 1, 0);
        CHECK_TRAP(r, 'M', CAUSE_STORE_MISALIGNED, atomics[i], addr + 1);
    }

    group("misaligned loads and stores work");
    buffer[0] = 0x8877665544332211;
    buffer[1] = 0x00000000000000aa;
    buffer[2] = 0;
    r = RUN_M(code_misaligned, addr, 0);
    CHECK_RETURNED(r, 0xaa88776655443322 + 0x0000000077665544 + 0xaa88);
    CHECK_EQ(buffer[1], (0xaa88776655443322 + 0x0000000077665544 + 0xaa88) << 8 | 0xaa);
    CHECK_EQ(buffer[2], 0xaa);

    group("bit 0 of a jump's target");
    r = RUN_M(code_jump_odd, 0, 0);
    CHECK_RETURNED(r, 7);
}

static void delegation(void)
{
    TrapRecord r;

    group("delegated exceptions");
    csr_write(medeleg, 1 << CAUSE_ILLEGAL | 1 << CAUSE_BREAKPOINT | 1 << CAUSE_LOAD_ACCESS |
                           1 << CAUSE_ECALL_U | 1 << CAUSE_FETCH_ACCESS);
    r = RUN_U(code_ones, 0, 0);
    CHECK_TRAP(r, 'S', CAUSE_ILLEGAL, code_ones, 0xffffffff);
    CHECK_EQ(r.status & (MSTATUS_SPP | MSTATUS_SIE | MSTATUS_SPIE), 0);
    r = RUN_S(code_ones, 0, 0);
    CHECK_TRAP(r, 'S', CAUSE_ILLEGAL, code_ones, 0xffffffff);
    CHECK_EQ(r.status & (MSTATUS_SPP | MSTATUS_SIE | MSTATUS_SPIE), MSTATUS_SPP);
    csr_set(mstatus, MSTATUS_SIE);
    r = RUN_U(code_ecall, 0, 0);
    CHECK_TRAP(r, 'S', CAUSE_ECALL_U, code_ecall, 0);
    CHECK_EQ(r.status & (MSTATUS_SPP | MSTATUS_SIE | MSTATUS_SPIE), MSTATUS_SPIE);
    csr_clear(mstatus, MSTATUS_SIE);
    r = RUN_S(code_lw, NOTHING_BASE, 0);
    CHECK_TRAP(r, 'S', CAUSE_LOAD_ACCESS, code_lw, NOTHING_BASE);
    r = RUN_U(code_jump, NOTHING_BASE, 0);
    CHECK_TRAP(r, 'S', CAUSE_FETCH_ACCESS, NOTHING_BASE, NOTHING_BASE);

    group("what is not delegated");
    r = RUN_M(code_ones, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_ones, 0xffffffff);
    r = RUN_S(code_sw, NOTHING_BASE, 0);
    CHECK_TRAP(r, 'M', CAUSE_STORE_ACCESS, code_sw, NOTHING_BASE);
    r = RUN_S(code_ecall, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ECALL_S, code_ecall, 0);
    csr_write(medeleg, 0);
}

CODE(code_mret_to_m, "li t0, 0x1800\ncsrs mstatus, t0\nlla t0, 1f\ncsrw mepc, t0\nmret\n1:\n"
                     "csrr a0, mstatus");
CODE(code_mret_to_next, "lla t0, 1f\ncsrw mepc, t0\nmret\n1:\ncsrr a0, mstatus");
CODE(code_sret_to_next, "lla t0, 1f\ncsrw sepc, t0\nsret\n1:\ncsrr a0, sstatus");

static void stacks(void)
{
    TrapRecord r;

    group("status stacks");
    r = run_in(PRIV_M, code_ones, 0, 0, RUN_MIE);
    CHECK_EQ(r.status & (MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE), MSTATUS_MPP | MSTATUS_MPIE);
    r = run_in(PRIV_U, code_ones, 0, 0, 0);
    CHECK_EQ(r.status & (MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE), 0);

    /* From M to M: MIE from MPIE, MPIE becomes 1, MPP becomes U, MPRV stays. */
    csr_set(mstatus, MSTATUS_MPRV);
    r = RUN_M(code_mret_to_m, 0, 0);
    csr_clear(mstatus, MSTATUS_MPRV);
    CHECK(r.level == 'R');
    CHECK_EQ(r.a0 & (MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MPIE), MSTATUS_MPRV | MSTATUS_MPIE);
    r = RUN_M(code_mret_to_next, 0, 0);
    /* run_in's own mret left MPP = U and MPIE = 1, so this went to U, which may not read mstatus. */
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_mret_to_next + 16, 0x30002573);
    CHECK_EQ(r.status & (MSTATUS_MPP | MSTATUS_MPIE), MSTATUS_MPIE);

    /* sret from S with SPP = S and SPIE = 1: SIE becomes 1, SPP becomes U. */
    csr_set(mstatus, MSTATUS_SPP | MSTATUS_SPIE);
    csr_clear(mstatus, MSTATUS_SIE);
    r = RUN_S(code_sret_to_next, 0, 0);
    CHECK(r.level == 'R');
    CHECK_EQ(r.a0 & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPIE | MSTATUS_SIE);
    /* sret in M clears MPRV, and goes to U since SPP is clear now. */
    csr_set(mstatus, MSTATUS_MPRV);
    r = RUN_M(code_sret_to_next, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_sret_to_next + 16, 0x10002573);
    CHECK_EQ(r.status & MSTATUS_MPRV, 0);
    csr_clear(mstatus, MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_MPRV);
}

/* ---- Interrupts. */

static void raise_all(void)
{
    write32(CLINT_MSIP(0), 1);
    write64(CLINT_MTIMECMP(0), 0);
    /* The transmitter is empty, which is an interrupt once it is asked for. */
    write32(PLIC_PRIORITY(UART_IRQ), 1);
    write32(PLIC_ENABLE(0, 0), 1 << UART_IRQ);
    write32(PLIC_THRESHOLD(0), 0);
    write8(UART_BASE + 1, 2);
    csr_set(mip, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
}

static void lower_all(void)
{
    write32(CLINT_MSIP(0), 0);
    write64(CLINT_MTIMECMP(0), UINT64_MAX);
    write8(UART_BASE + 1, 0);
    write32(PLIC_ENABLE(0, 0), 0);
    csr_clear(mip, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
}

#define ALL_IRQS                                                                                   \
    (MIP(IRQ_SSI) | MIP(IRQ_MSI) | MIP(IRQ_STI) | MIP(IRQ_MTI) | MIP(IRQ_SEI) | MIP(IRQ_MEI))

/* Takes one interrupt after the other, masking each once it has come, and checks the order. */
static void check_order(unsigned priv, const char *order, const char *levels)
{
    uint64_t enabled = ALL_IRQS;

    for (; *order; order++, levels++) {
        uint64_t irq = (uint64_t)(*order <= '9' ? *order - '0' : *order - 'a' + 10);
        TrapRecord r;

        csr_write(mie, enabled);
        csr_set(mstatus, MSTATUS_SIE);
        r = run_in(priv, code_nop, 0, 0, priv == PRIV_M ? RUN_MIE : 0);
        CHECK_TRAP(r, *levels, INTERRUPT | irq, code_nop, 0);
        enabled &= ~MIP(irq);
    }
    csr_write(mie, 0);
}

static void priorities(void)
{
    TrapRecord r;

    group("interrupt priorities");
    raise_all();
    while ((csr_read(mip) & ALL_IRQS) != ALL_IRQS) {
    }
    check_order(PRIV_M, "b37915", "MMMMMM");
    check_order(PRIV_S, "b37915", "MMMMMM");
    check_order(PRIV_U, "b37915", "MMMMMM");
    csr_write(mideleg, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    check_order(PRIV_S, "b37915", "MMMSSS");
    check_order(PRIV_U, "b37915", "MMMSSS");
    csr_write(mideleg, MIP(IRQ_SEI));
    check_order(PRIV_U, "b37159", "MMMMMS");

    group("interrupt masks");
    csr_write(mideleg, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    csr_write(mie, ALL_IRQS);
    CHECK(RUN_M(code_nop, 0, 0).level == 'R');
    csr_write(mie, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    CHECK(run_in(PRIV_M, code_nop, 0, 0, RUN_MIE).level == 'R');
    csr_clear(mstatus, MSTATUS_SIE);
    CHECK(RUN_S(code_nop, 0, 0).level == 'R');
    r = RUN_U(code_nop, 0, 0);
    CHECK_TRAP(r, 'S', INTERRUPT | IRQ_SEI, code_nop, 0);
    r = RUN_S(code_enable_sie, 0, 0);
    CHECK_TRAP(r, 'S', INTERRUPT | IRQ_SEI, code_enable_sie + 4, 0);
    csr_clear(mstatus, MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP);
    csr_write(mie, MIP(IRQ_MSI));
    r = RUN_S(code_nop, 0, 0);
    CHECK_TRAP(r, 'M', INTERRUPT | IRQ_MSI, code_nop, 0);
    r = RUN_M(code_enable_mie, 0, 0);
    CHECK_TRAP(r, 'M', INTERRUPT | IRQ_MSI, code_enable_mie + 4, 0);
    csr_write(mie, 0);
    csr_write(mideleg, 0);
}

static void vectors(void)
{
    TrapRecord r;

    group("vectored mode");
    csr_write(mtvec, (uint64_t)m_vectors | 1);
    csr_write(stvec, (uint64_t)s_vectors | 1);
    for (unsigned irq = IRQ_SSI; irq <= IRQ_MEI; irq += 2) {
        csr_write(mie, MIP(irq));
        r = run_in(PRIV_M, code_nop, 0, 0, RUN_MIE);
        CHECK_TRAP(r, 'M', INTERRUPT | irq, code_nop, 0);
        CHECK_EQ(r.slot, irq + 1);
    }
    csr_write(mideleg, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    for (unsigned irq = IRQ_SSI; irq <= IRQ_SEI; irq += 4) {
        csr_write(mie, MIP(irq));
        /* The handler's own ecall comes through slot 0 of M's table. */
        r = RUN_U(code_nop, 0, 0);
        CHECK_TRAP(r, 'S', INTERRUPT | irq, code_nop, 0);
    }
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    r = RUN_M(code_ones, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_ones, 0xffffffff);
    CHECK_EQ(r.slot, 1);
    csr_write(mtvec, m_trap_entry);
    csr_write(stvec, s_trap_entry);
    lower_all();
}

/* A handler that returns: registers and the interrupted loop must be as they were. */
static bool count_software(Hart *hart, TrapFrame *frame)
{
    if (frame->cause != (INTERRUPT | IRQ_MSI)) {
        return false;
    }
    write32(CLINT_MSIP(hart->id), 0);
    hart->ticks++;
    return true;
}

CODE(code_count_with_msip, "li t0, 0\n"
                           "1: sw a1, 0(a0)\n"
                           "addi t0, t0, 1\n"
                           "blt t0, a1, 1b\n"
                           "mv a0, t0");

static void returning(void)
{
    TrapRecord r;

    group("interrupts that return");
    this_hart()->m_hook = count_software;
    this_hart()->ticks = 0;
    csr_write(mie, MIP(IRQ_MSI));
    r = RUN_S(code_count_with_msip, CLINT_MSIP(0), 1001);
    CHECK_RETURNED(r, 1001);
    CHECK_EQ(this_hart()->ticks, 1001);
    csr_write(mie, 0);
    this_hart()->m_hook = NULL;
}

void guest_main(void)
{
    illegal();
    calls();
    accesses();
    delegation();
    stacks();
    priorities();
    vectors();
    returning();
}
