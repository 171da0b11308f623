/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 front end of the translator, judged by the reference interpreter: every encoding with
 * random operands, then random programs with loops and calls. Each runs once by translation, on the IR
 * interpreter or the host, and once instruction by instruction, which must leave the same state.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/riscv/decode.h"
#include "tcg-mini.h"

typedef struct Pair {
    Machine *translated, *stepped;
    Mini *mini;
} Pair;

static const MiniOptions variants[] = {
    { .host = &tcg_host_ir, .tier = 0, .max_insns = 64 },
    { .host = &tcg_host_ir, .tier = 1, .max_insns = 500 },
    { .host = &tcg_host_ir, .tier = 1, .max_insns = 500, .optimise = true },
    { .host = &tcg_host_ir_homes, .tier = 1, .max_insns = 30, .optimise = true, .fuzz_seed = 1 },
#if defined(__x86_64__)
    { .host = &tcg_host_x86_64, .tier = 0, .max_insns = 64, .optimise = true },
    { .host = &tcg_host_x86_64, .tier = 1, .max_insns = 500, .optimise = true },
#endif
};

static MiniOptions variant(unsigned turn)
{
    MiniOptions options = variants[turn % G_N_ELEMENTS(variants)];

    options.features = tcg_host_features();
    return options;
}

static Pair pair_make(const char *options)
{
    Pair p = { machine_make(options), machine_make(options), NULL };

    p.mini = mini_create(p.translated, &variants[0]);
    return p;
}

static void pair_free(Pair *p)
{
    mini_destroy(p->mini);
    machine_free(p->translated);
    machine_free(p->stepped);
}

/* ---- State. */

static void random_state(Machine *m, uint64_t seed)
{
    RiscvCpu *cpu = m->cpu;
    uint64_t frm;

    for (unsigned i = 1; i < 32; i++) {
        uint64_t r = hart_random(&seed), value = hart_random(&seed);

        /* Small ones, and addresses, so that more than faults happens. */
        cpu->x[i] = r % 4 == 0   ? value % 16
                    : r % 4 == 1 ? DATA + 0x1000 + value % 64 * 8
                    : r % 4 == 2 ? DATA + value % 0x2000
                                 : value;
    }
    for (unsigned i = 0; i < 32; i++) {
        uint64_t r = hart_random(&seed), value = hart_random(&seed);

        /* Numbers close to each other, boxed singles, odd exponents. */
        switch (r % 8) {
        case 0:
            value = value % 2048;
            break;
        case 1:
            value = UINT64_C(0x3ff0000000000000) + (value & UINT64_C(0x003fffffffffffff));
            break;
        case 2:
        case 3:
            value = UINT64_C(0xffffffff3f000000) + (value & 0x1ffffff);
            break;
        case 4:
            value |= UINT64_C(0xffffffff00000000);
            break;
        case 5:
            value = UINT64_C(0xffffffff7f800000) | (value & 0x80400001);
            break;
        case 6:
            value = UINT64_C(0x7ff0000000000000) | (value & UINT64_C(0x8008000000000001));
            break;
        default:
            break;
        }
        cpu->f[i] = value;
    }
    for (unsigned i = 0; i < 0x2000; i += 8) {
        uint64_t value = hart_random(&seed);

        memcpy(m->ram->host + (DATA - HART_RAM_BASE) + i, &value, 8);
    }
    cpu->mstatus = RV_MSTATUS_MPP | (hart_random(&seed) % 8 ? RV_MSTATUS_FS | RV_MSTATUS_SD
                                                            : hart_random(&seed) & RV_MSTATUS_FS);
    if ((cpu->mstatus & RV_MSTATUS_FS) == RV_MSTATUS_FS) {
        cpu->mstatus |= RV_MSTATUS_SD;
    }
    frm = hart_random(&seed) % 16;
    cpu->frm = frm < 8 ? (uint8_t)frm : 0;
    cpu->fflags = 0;
    cpu->reserved_paddr = UINT64_MAX;
    cpu->mcause = cpu->mtval = 0;
    cpu->mepc = cpu->sepc = CODE + 0x40;
    cpu->insns = 1000;
    cpu->priv = RV_PRIV_M;
    cpu->pc = CODE + 0x800;
    cpu->vcpu.halted = false;
    riscv_state_changed(cpu);
}

/* The privileged state that is 64 bits wide, from mstatus on. */
#define PRIVILEGED_FIRST G_STRUCT_OFFSET(RiscvCpu, mstatus)
#define PRIVILEGED_LAST G_STRUCT_OFFSET(RiscvCpu, pmpcfg)

static bool equal(const Machine *a, const Machine *b)
{
    const RiscvCpu *x = a->cpu, *y = b->cpu;

    return memcmp(x->x, y->x, sizeof(x->x)) == 0 && memcmp(x->f, y->f, sizeof(x->f)) == 0 &&
           x->pc == y->pc && x->fflags == y->fflags && x->frm == y->frm && x->priv == y->priv &&
           x->insns == y->insns &&
           memcmp((const char *)x + PRIVILEGED_FIRST, (const char *)y + PRIVILEGED_FIRST,
                  PRIVILEGED_LAST - PRIVILEGED_FIRST) == 0 &&
           memcmp(a->ram->host, b->ram->host, RAM_BYTES) == 0;
}

static void print_difference(const Machine *a, const Machine *b)
{
    const RiscvCpu *x = a->cpu, *y = b->cpu;

#define SHOW(name_, member_)                                                                       \
    if (x->member_ != y->member_) {                                                                \
        print_error("  %s %" PRIx64 ", interpreter %" PRIx64 "\n", name_, (uint64_t)x->member_,    \
                    (uint64_t)y->member_);                                                         \
    }
    for (unsigned i = 0; i < 32; i++) {
        char name[8];

        g_snprintf(name, sizeof(name), "x%u", i);
        SHOW(name, x[i]);
        name[0] = 'f';
        SHOW(name, f[i]);
    }
    SHOW("pc", pc);
    SHOW("fflags", fflags);
    SHOW("frm", frm);
    SHOW("priv", priv);
    SHOW("insns", insns);
    SHOW("mstatus", mstatus);
    SHOW("mepc", mepc);
    SHOW("mcause", mcause);
    SHOW("mtval", mtval);
    SHOW("mscratch", mscratch);
    if (memcmp(a->ram->host, b->ram->host, RAM_BYTES) != 0) {
        print_error("  memory differs\n");
    }
}

/* Both from pc to the wfi that traps lead to. false: they differ. What goes on for ever is not tried. */
static bool run_pair(Pair *p)
{
    RiscvCpu *stepped = p->stepped->cpu;
    unsigned steps = 0;

    while (stepped->pc != TRAP) {
        uint64_t data = stepped->pc - DATA;

        /* Data changes while it is executed; a run time would notice, this one does not. */
        if (++steps > 20000 || data < 0x2000) {
            return true;
        }
        rv_interp_step(p->stepped->interp);
    }
    stepped->insns++; /* the wfi, which does not wait in a step */
    stepped->pc += 4;
    assert_int_equal(mini_run(p->mini), VCPU_EXIT_HALTED);
    return equal(p->translated, p->stepped);
}

/* ---- Every encoding. */

/* CSRs whose values decide whether this test ends are left alone. */
static const uint16_t csrs[] = {
    0x001, 0x002, 0x003, 0x001, 0x002, 0x003, 0xc00, 0xc02, 0xb00, 0xb02,
    0x300, 0x100, 0x340, 0x341, 0x342, 0x343, 0x140, 0x141, 0x142, 0x143,
    0x105, 0x306, 0x106, 0x320, 0x30a, 0xf14, 0x301, 0x123, 0x302,
};

static uint32_t random_encoding(const RvForm *form, uint64_t *seed)
{
    uint32_t bits = ((uint32_t)hart_random(seed) & ~form->mask) | form->value;

    if (rv_op_info[form->op].flags & RV_OPF_CSR) {
        bits = (bits & 0xfffff) | (uint32_t)csrs[hart_random(seed) % G_N_ELEMENTS(csrs)] << 20;
    }
    /* Often the rounding mode of the moment. */
    if ((rv_op_info[form->op].flags & RV_OPF_ROUNDS) && hart_random(seed) % 2) {
        bits |= 7 << 12;
    }
    /* Often no offset, so that addresses made as such are good. */
    if ((rv_op_info[form->op].flags & RV_OPF_LOAD) && (form->value & 3) == 3 &&
        hart_random(seed) % 2) {
        bits &= 0xfffff | form->mask;
        bits |= form->value;
    }
    return bits;
}

static void put_code(Pair *p, uint32_t bits, unsigned place)
{
    uint16_t filler[0x800];

    for (unsigned i = 0; i < G_N_ELEMENTS(filler); i++) {
        filler[i] = 0x9002; /* c.ebreak */
    }
    memcpy((char *)filler + place, &bits, (bits & 3) == 3 ? 4 : 2);
    put(p->translated, CODE, filler, sizeof(filler));
    put(p->stepped, CODE, filler, sizeof(filler));
}

static void test_every_encoding(void **state)
{
    Pair p = pair_make(NULL);
    uint64_t seed = 20261122;

    for (unsigned f = 1; f < RV_FORM_COUNT; f++) {
        if (rv_forms[f].op == RV_OP_WFI) {
            continue; /* a step of it does not wait */
        }
        for (unsigned turn = 0; turn < 60; turn++) {
            MiniOptions options = variant(turn);
            uint32_t bits = random_encoding(&rv_forms[f], &seed);
            uint64_t start = hart_random(&seed);
            /* Twice in the page's last halfword, so that 32 bits cross. */
            unsigned place = turn < 58 ? 0x800 : 0xffe;

            put_code(&p, bits, place == 0x800 ? place : 0x800);
            random_state(p.translated, start);
            random_state(p.stepped, start);
            mini_reset(p.mini, &options);
            if (!run_pair(&p)) {
                print_error("%s, bits %08x, variant %u, turn %u\n", rv_forms[f].mnemonic, bits,
                            turn % (unsigned)G_N_ELEMENTS(variants), turn);
                print_difference(p.translated, p.stepped);
                fail();
            }
        }
    }
    pair_free(&p);
}

/* ---- Programs. S0 is the base of loads and stores, S1 and S2 count loops, RA and T0 are links. */

static unsigned free_reg(uint64_t r)
{
    static const uint8_t regs[] = { ZERO, SP, GP, TP, T1, T2, A0, A1, A2, A3, A4, A5,
                                    A6,   A7, S3, S4, S5, S6, S7, S8, S9, T3, T4, T6 };

    return regs[r % G_N_ELEMENTS(regs)];
}

static uint32_t random_insn(uint64_t *seed)
{
    static const uint8_t f7s[] = { 0, 1, 0x20, 4, 5, 0x10, 0x14, 0x24, 0x30, 0x34, 7 };
    uint64_t r = hart_random(seed);
    unsigned rd = free_reg(r), rs1 = r >> 5 & 31, rs2 = r >> 10 & 31, f3 = r >> 15 & 7;
    unsigned f7 = f7s[(r >> 32 & 0xff) % G_N_ELEMENTS(f7s)], fd = r >> 56 & 31;
    int imm = (int)(r >> 20 & 0x7ff) - 0x400;

    switch (r >> 40 & 31) {
    case 0:
    case 1:
    case 2:
        return asm_r(0x33, f3, f7, rd, rs1, rs2);
    case 3:
        return asm_r(0x3b, f3, f7, rd, rs1, rs2);
    case 4:
    case 5:
    case 6:
        return asm_i(0x13, f3 == 1 || f3 == 5 ? 0 : f3, rd, rs1, imm);
    case 7:
    case 8:
        return asm_i(0x03, f3 == 7 ? 3 : f3, rd, S0, imm);
    case 9:
    case 10:
        return asm_s(0x23, f3 & 3, rs2, S0, imm);
    case 11:
    case 12:
    case 13:
        return asm_b(f3 == 2 || f3 == 3 ? 0 : f3, rs1, rs2, 4 + (int)(r >> 20 & 7) * 4);
    case 14:
        return r >> 50 & 1 ? jal(ZERO, 4 + (int)(r >> 20 & 7) * 4) : auipc(rd, r >> 20 & 0xfffff);
    case 15:
    case 16:
        return asm_r(0x53, r >> 50 & 1 ? 7 : 0, (unsigned)(r >> 20 & 3) << 2 | (r >> 22 & 1), fd,
                     rs1, rs2); /* fadd, fsub, fmul, fdiv */
    case 17:
        return asm_i(0x07, 2 + (f3 & 1), fd, S0, imm & ~7);
    case 18:
        return asm_s(0x27, 2 + (f3 & 1), rs2, S0, imm);
    case 19:
        return csrrs(rd, r >> 50 & 1 ? 0xc02 : 0x001, ZERO);
    case 20:
        return amo((unsigned)(r >> 20 & 3) << 2, 3, rd, rs2, S0);
    case 21: { /* two compressed ones: c.addi and c.mv */
        unsigned one = 0x0001 | (rd == 0 ? A0 : rd) << 7 | (unsigned)(imm & 31) << 2;
        unsigned two = 0x8002 | (rd == 0 ? A1 : rd) << 7 | (rs2 == 0 ? A2 : rs2) << 2;

        return one | two << 16;
    }
    case 22:
        return lui(rd, r >> 20 & 0xfffff);
    case 23:
        return asm_r(0x53, f3 & 1, 0x50 | (r >> 22 & 1), rd, rs1, rs2); /* fle, flt */
    case 24:
        return asm_r(0x53, 1, 0x60 | (r >> 22 & 1), rd, rs1, r >> 20 & 3); /* fcvt to x, rtz */
    case 25:
        return asm_r(0x53, f3 % 3, 0x10 | (r >> 22 & 1), fd, rs1, rs2); /* fsgnj */
    case 26:
        return asm_r(0x43 | (r >> 20 & 3) << 2, 7, (rs2 ^ 5) << 2 | (r >> 22 & 1), fd, rs1, rs2);
    case 27:
        return asm_r(0x53, 7, 0x68 | (r >> 22 & 1), fd, rs1, r >> 20 & 3); /* fcvt from x */
    case 28:
        return asm_r(0x53, 0, r >> 22 & 1 ? 0x78 : 0x70, r >> 22 & 1 ? fd : rd, rs1, 0); /* fmv */
    case 29:
        return r >> 50 & 1 ? lr_d(rd, S0) : sc_d(rd, rs2, S0);
    case 30:
        return asm_i(0x03, 3, rd, rs1, imm); /* from anywhere: mostly a fault */
    default:
        return r >> 44 & 15 ? fence_i() : (uint32_t)hart_random(seed);
    }
}

typedef struct Program {
    uint32_t code[900];
    unsigned count;
} Program;

/* Branches in it lead at most eight instructions on, so that many follow that do nothing. */
static void add_random(Program *program, unsigned count, uint64_t *seed)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t insn = random_insn(seed);

        /* Faults and nonsense end a program: not in most. */
        if ((insn & 3) == 3 && hart_random(seed) % 32) {
            RvInsn decoded;

            if (!rv_decode32(insn, &decoded) || ((insn & 0x7f) == 0x03 && decoded.rs1 != S0)) {
                insn = nop();
            }
        }
        program->code[program->count++] = insn;
    }
    for (unsigned i = 0; i < 8; i++) {
        program->code[program->count++] = nop();
    }
}

/* Two nested loops around calls of two functions, one of which stands before the program. */
static void random_program(Program *program, uint64_t *seed)
{
    unsigned length = 5 + (unsigned)(hart_random(seed) % 30), before, loop, inner, call, after;

    program->count = 0;
    program->code[program->count++] = nop(); /* jumps over the first function */
    before = program->count;
    add_random(program, length, seed);
    program->code[program->count++] = jalr(ZERO, RA, 0);
    program->code[0] = jal(ZERO, (int)program->count * 4);
    program->code[program->count++] = addi(S1, ZERO, 1 + (int)(hart_random(seed) % 3));
    loop = program->count;
    add_random(program, length / 2, seed);
    program->code[program->count++] = addi(S2, ZERO, 1 + (int)(hart_random(seed) % 4));
    inner = program->count;
    add_random(program, length, seed);
    program->code[program->count] = jal(RA, ((int)before - (int)program->count) * 4);
    program->count++;
    program->code[program->count++] = addi(S2, S2, -1);
    program->code[program->count] = bne(S2, ZERO, ((int)inner - (int)program->count) * 4);
    program->count++;
    call = program->count++;
    program->code[program->count++] = addi(S1, S1, -1);
    program->code[program->count] = bne(S1, ZERO, ((int)loop - (int)program->count) * 4);
    program->count++;
    program->code[program->count++] = ebreak();
    after = program->count;
    program->code[call] = jal(RA, ((int)after - (int)call) * 4);
    add_random(program, length, seed);
    program->code[program->count++] = jalr(ZERO, RA, 0);
}

static void test_programs(void **state)
{
    Pair p = pair_make(NULL);
    uint64_t seed = 4;
    unsigned whole = 0;

    for (unsigned turn = 0; turn < 1000; turn++) {
        MiniOptions options = variant(turn);
        uint64_t start = hart_random(&seed), at;
        Program program;

        random_program(&program, &seed);
        assert_true(program.count <= G_N_ELEMENTS(program.code));
        random_state(p.translated, start);
        random_state(p.stepped, start);
        if (turn % 4) { /* mostly with FP on */
            p.translated->cpu->mstatus |= RV_MSTATUS_FS | RV_MSTATUS_SD;
            p.stepped->cpu->mstatus |= RV_MSTATUS_FS | RV_MSTATUS_SD;
        }
        at = CODE + hart_random(&seed) % 0x600 * 2;
        put(p.translated, at, program.code, program.count * 4);
        put(p.stepped, at, program.code, program.count * 4);
        p.translated->cpu->pc = p.stepped->cpu->pc = at;
        p.translated->cpu->x[S0] = p.stepped->cpu->x[S0] = DATA + 0x1000;
        if (options.fuzz_seed) {
            options.fuzz_seed = hart_random(&seed) | 1;
        }
        mini_reset(p.mini, &options);
        if (!run_pair(&p)) {
            print_error("program %u at %" PRIx64 "\n", turn, at);
            print_difference(p.translated, p.stepped);
            fail();
        }
        whole += p.stepped->cpu->mcause == RV_CAUSE_BREAKPOINT;
    }
    assert_true(whole > 100); /* else most end in faults */
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_encoding),
        cmocka_unit_test(test_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
