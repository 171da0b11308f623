/* SPDX-License-Identifier: MIT */
/*
 * Control and status registers: which fields take which values (WARL), views of one register through
 * another, counters, and the forms of the CSR instructions. What the specification leaves to the
 * implementation is checked only to be legal.
 */
#include "guest.h"

#define S_IRQS (MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI))

CODE(code_read_cycle, "csrr a0, cycle");
CODE(code_read_instret, "csrr a0, instret");
CODE(code_read_hpm3, "csrr a0, hpmcounter3");
CODE(code_sip, "csrr a0, sip");

static void identity(void)
{
    uint64_t misa = csr_read(misa);

    group("identity");
    CHECK_EQ(csr_read(mhartid), 0);
    CHECK_EQ(misa >> 62, 2);
    for (const char *p = "IMAFDCSU"; *p; p++) {
        CHECK(misa >> (*p - 'A') & 1);
    }
    CHECK_EQ(misa >> 26 & ((1ul << 36) - 1), 0);
    CHECK_EQ(csr_read(mhpmcounter3), 0);
    CHECK_EQ(csr_read(mhpmevent31), 0);
}

static void status(void)
{
    uint64_t before = csr_read(mstatus);

    group("mstatus");
    CHECK_EQ(before >> 32 & 3, 2); /* UXL */
    CHECK_EQ(before >> 34 & 3, 2); /* SXL */
    csr_write(mstatus, before & ~MSTATUS_MPP);
    CHECK_EQ(csr_read(mstatus) & MSTATUS_MPP, 0);
    csr_set(mstatus, 1ul << 11);
    CHECK_EQ(csr_read(mstatus) & MSTATUS_MPP, 1ul << 11);
    csr_write(mstatus, (before & ~MSTATUS_MPP) | 2ul << 11);
    CHECK((csr_read(mstatus) & MSTATUS_MPP) != 2ul << 11);
    csr_write(mstatus, before | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_SPIE);
    CHECK_EQ(csr_read(sstatus) & (MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_SPIE),
             MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_SPIE);
    csr_write(mstatus, before | MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MPIE);
    CHECK_EQ(csr_read(sstatus) & (MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MPIE), 0);
    /* A write through sstatus leaves what it does not show. */
    csr_write(sstatus, 0);
    CHECK_EQ(csr_read(mstatus) & (MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MPIE),
             MSTATUS_TVM | MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MPIE);
    CHECK_EQ(csr_read(mstatus) & (MSTATUS_FS | MSTATUS_SD), 0);
    csr_write(mstatus, before);
    CHECK_EQ(csr_read(mstatus), before);
    /* SD cannot be written. */
    csr_clear(mstatus, MSTATUS_SD);
    CHECK_EQ(csr_read(mstatus) & MSTATUS_SD, MSTATUS_SD);
}

static void trap_registers(void)
{
    static const uint64_t bits[] = { 0, ~0ul, 0x123456789abcdef0, 0x8000000000000001 };

    group("trap registers");
    for (unsigned i = 0; i < ARRAY_LENGTH(bits); i++) {
        uint64_t kept = csr_swap(mscratch, bits[i]);

        CHECK_EQ(csr_swap(mscratch, kept), bits[i]);
        kept = csr_swap(sscratch, bits[i]);
        CHECK_EQ(csr_swap(sscratch, kept), bits[i]);
        csr_write(mepc, bits[i]);
        CHECK_EQ(csr_read(mepc), bits[i] & ~1ul);
        csr_write(sepc, bits[i]);
        CHECK_EQ(csr_read(sepc), bits[i] & ~1ul);
        csr_write(mtval, bits[i]);
        CHECK_EQ(csr_read(mtval), bits[i]);
        csr_write(stval, bits[i]);
        CHECK_EQ(csr_read(stval), bits[i]);
    }
    for (uint64_t mode = 0; mode < 4; mode++) {
        uint64_t got;

        csr_write(stvec, 0x80001000 | mode);
        got = csr_read(stvec);
        CHECK((got & 3) < 2);
        if (mode < 2) {
            CHECK_EQ(got, 0x80001000 | mode);
        }
    }
    csr_write(stvec, s_trap_entry);
}

static void delegation(void)
{
    group("delegation and interrupts");
    csr_write(medeleg, ~0ul);
    CHECK_EQ(csr_read(medeleg) & 1ul << CAUSE_ECALL_M, 0);
    CHECK_EQ(csr_read(medeleg) & 0xb1ff, 0xb1ff);
    csr_write(medeleg, 0);
    CHECK_EQ(csr_read(medeleg), 0);
    csr_write(mideleg, ~0ul);
    CHECK_EQ(csr_read(mideleg) & 0xfff, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    /* sie and sip show what is delegated, and no more. */
    csr_write(mie, MIP(IRQ_SSI) | MIP(IRQ_MTI) | MIP(IRQ_SEI));
    CHECK_EQ(csr_read(sie), MIP(IRQ_SSI) | MIP(IRQ_SEI));
    csr_write(sie, ~0ul);
    CHECK_EQ(csr_read(mie) & 0xfff, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI) | MIP(IRQ_MTI));
    csr_write(mideleg, MIP(IRQ_SSI));
    CHECK_EQ(csr_read(sie), MIP(IRQ_SSI));
    csr_write(sie, 0);
    CHECK_EQ(csr_read(mie) & 0xfff, MIP(IRQ_STI) | MIP(IRQ_SEI) | MIP(IRQ_MTI));
    csr_write(mie, 0);
    csr_set(mip, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    CHECK_EQ(RUN_S(code_sip, 0, 0).a0, MIP(IRQ_SSI));
    /* S mode may clear SSIP alone. */
    csr_write(mideleg, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    csr_write(sip, 0);
    CHECK_EQ(csr_read(mip) & S_IRQS, MIP(IRQ_STI) | MIP(IRQ_SEI));
    csr_write(sip, ~0ul);
    CHECK_EQ(csr_read(mip) & S_IRQS, MIP(IRQ_SSI) | MIP(IRQ_STI) | MIP(IRQ_SEI));
    csr_write(mip, 0);
    CHECK_EQ(csr_read(mip) & S_IRQS, 0);
    csr_write(mideleg, 0);
}

static void translation(void)
{
    uint64_t all;

    group("satp");
    csr_write(satp, 8ul << 60 | 0x3ful << 44 | 0x12345);
    CHECK_EQ(csr_read(satp), 8ul << 60 | 0x3ful << 44 | 0x12345);
    /* A mode that is not there: the whole write has no effect. */
    csr_write(satp, 5ul << 60 | 0x777);
    CHECK_EQ(csr_read(satp), 8ul << 60 | 0x3ful << 44 | 0x12345);
    csr_write(satp, 8ul << 60 | 0xffful << 44 | 0xffful << 56);
    all = csr_read(satp);
    csr_write(satp, 0);
    CHECK_EQ(csr_read(satp), 0);
    CHECK(all >> 60 == 8 || all == (8ul << 60 | 0x3ful << 44 | 0x12345));
}

static void counters(void)
{
    uint64_t a, b, c, d;
    TrapRecord r;

    group("counters");
    a = csr_read(instret);
    b = csr_read(instret);
    CHECK(b > a);
    a = csr_read(cycle);
    b = csr_read(cycle);
    CHECK(b > a);
    /* Exactly: two reads with three instructions between them. */
    __asm__ volatile("csrr %0, minstret\nnop\nnop\nnop\ncsrr %1, minstret" : "=&r"(a), "=&r"(b));
    CHECK_EQ(b - a, 4);
    /* A write takes the place of the writer's own count. */
    __asm__ volatile("csrw minstret, %2\ncsrr %0, minstret\ncsrr %1, minstret"
                     : "=&r"(a), "=&r"(b)
                     : "r"(1000ul));
    CHECK_EQ(a, 1000);
    CHECK_EQ(b, 1001);
    __asm__ volatile("csrw minstret, %2\ncsrr %0, minstret\ncsrr %1, minstret"
                     : "=&r"(a), "=&r"(b)
                     : "r"(~0ul));
    CHECK_EQ(a, ~0ul);
    CHECK_EQ(b, 0);
    /* Inhibited ones stand still. */
    csr_write(mcountinhibit, 5);
    a = csr_read(minstret);
    c = csr_read(mcycle);
    __asm__ volatile("nop\nnop");
    b = csr_read(minstret);
    d = csr_read(mcycle);
    csr_write(mcountinhibit, 0);
    CHECK_EQ(a, b);
    CHECK_EQ(c, d);
    CHECK(csr_read(minstret) - b < 1000);

    group("counter enables");
    csr_write(mcounteren, 5);
    csr_write(scounteren, 1);
    CHECK(RUN_S(code_read_cycle, 0, 0).level == 'R');
    CHECK(RUN_S(code_read_instret, 0, 0).level == 'R');
    CHECK(RUN_U(code_read_cycle, 0, 0).level == 'R');
    r = RUN_U(code_read_instret, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_instret, 0xc0202573);
    r = RUN_S(code_read_hpm3, 0, 0);
    CHECK_TRAP(r, 'M', CAUSE_ILLEGAL, code_read_hpm3, 0xc0302573);
    csr_write(mcounteren, 15);
    r = RUN_S(code_read_hpm3, 0, 0);
    CHECK_RETURNED(r, 0);
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
}

static void forms(void)
{
    uint64_t kept = csr_read(mscratch), a, b;

    group("forms of the instructions");
    csr_write(mscratch, 0xf0);
    __asm__ volatile("csrrs %0, mscratch, %1" : "=r"(a) : "r"(0x0f0ful));
    CHECK_EQ(a, 0xf0);
    __asm__ volatile("csrrc %0, mscratch, %1" : "=r"(a) : "r"(0xfful));
    CHECK_EQ(a, 0xfff);
    __asm__ volatile("csrrwi %0, mscratch, 21" : "=r"(a));
    CHECK_EQ(a, 0xf00);
    __asm__ volatile("csrrsi %0, mscratch, 10" : "=r"(a));
    CHECK_EQ(a, 21);
    __asm__ volatile("csrrci %0, mscratch, 1" : "=r"(a));
    CHECK_EQ(a, 31);
    /* Source and destination are one register. */
    __asm__ volatile("li %0, 77\ncsrrw %0, mscratch, %0\ncsrr %1, mscratch" : "=&r"(a), "=&r"(b));
    CHECK_EQ(a, 30);
    CHECK_EQ(b, 77);
    csr_write(mscratch, kept);
}

static void per_hart(void *argument)
{
    bool *ok = argument;
    Hart *hart = this_hart();

    ok[hart->id] = csr_read(mhartid) == hart->id && csr_read(mscratch) == (uint64_t)hart &&
                   csr_read(minstret) > 0;
}

void guest_main(void)
{
    static bool ok[MAX_HARTS];

    identity();
    status();
    trap_registers();
    delegation();
    translation();
    counters();
    forms();
    group("registers of each hart");
    hart_run_all(per_hart, ok);
    for (unsigned i = 0; i < hart_count(); i++) {
        CHECK(ok[i]);
    }
}
