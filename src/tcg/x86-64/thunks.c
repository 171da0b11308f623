/* SPDX-License-Identifier: MIT */
/*
 * The thunks: how C enters generated code and generated code enters C. The idea to hold: C runs with
 * the host's rounding mode and may disturb the sticky flags, so every thunk that calls into C first
 * puts MXCSR into TcgCpuFast.mxcsr and sets it anew afterwards. PURE helpers alone are called without
 * that, straight from the code.
 *
 * All code here is position-dependent only by relative distances inside the code cache.
 */
#include <string.h>

#include "tcg/x86-64/internal.h"

#define CPU(field_) ((int32_t)G_STRUCT_OFFSET(TcgCpuFast, field_))
#define MXCSR_ROUNDING 0x6000
#define MXCSR_FLAGS 0x3f

/* What a slow access's thunk has on the stack: the frame, MXCSR, and padding to 8 modulo 16. */
enum {
    SLOW_MXCSR = sizeof(TcgFrame),
    SLOW_BYTES = (sizeof(TcgFrame) + 8 + 15) / 16 * 16 + 8,
};

G_STATIC_ASSERT(FRAME_BYTES % 16 == 8);

typedef struct Maker {
    Asm as;
    X86Thunks *rw;
    const X86Thunks *rx;
    const TcgHostCalls *calls;
    const void *leave_saved, *lookup_saved; /* as leave and lookup, MXCSR already stored */
} Maker;

static void mov(Asm *as, unsigned dst, unsigned base, int32_t disp)
{
    asm_op(as, X_MOV | X_W, dst, rm_mem(base, disp));
}

static void call_c(Asm *as, const void *fn)
{
    asm_movi(as, RAX, (int64_t)(uintptr_t)fn);
    asm_rr(as, X_GROUP5, 2, RAX);
}

/* MXCSR for C, the guest's in the TcgCpu (in reg cpu). frame: distance of the region's frame from rsp. */
static void mxcsr_to_c(Asm *as, unsigned cpu, int32_t frame)
{
    uint32_t skip;

    asm_op(as, X_STMXCSR, 3, rm_mem(cpu, CPU(mxcsr)));
    asm_op(as, X_TEST_IMM, 0, rm_mem(cpu, CPU(mxcsr)));
    asm_u32(as, MXCSR_ROUNDING);
    skip = asm_jcc8(as, CC_E);
    asm_op(as, X_STMXCSR, 2, rm_mem(RSP, frame + FRAME_HOST_MXCSR));
    asm_patch8(as, skip, asm_offset(as));
}

/* MXCSR as TcgCpuFast (in reg cpu, not rax, rcx, rdx) has it. Destroys rax, rcx, rdx. */
static void mxcsr_to_guest(Maker *m, unsigned cpu, int32_t frame)
{
    Asm *as = &m->as;

    asm_op(as, X_MOV, RAX, rm_mem(cpu, CPU(fp_round)));
    asm_alu_imm(as, ALU_AND, 0, rm_reg(RAX), 7);
    asm_op(as, X_MOV, RCX, rm_mem(cpu, CPU(mxcsr)));
    asm_alu_imm(as, ALU_AND, 0, rm_reg(RCX), MXCSR_FLAGS);
    asm_op_at(as, X_LEA | X_W, RDX, m->rx->mxcsr, 0);
    asm_op(as, X_ALU(ALU_OR), RCX, rm_index(RDX, RAX, 2, 0));
    asm_op(as, X_MOV_ST, RCX, rm_mem(RSP, frame + FRAME_WORK_MXCSR));
    asm_op(as, X_STMXCSR, 2, rm_mem(RSP, frame + FRAME_WORK_MXCSR));
}

static const void *begin(Maker *m)
{
    asm_nops(&m->as, -(uintptr_t)asm_rx(&m->as) & 15);
    return asm_rx(&m->as);
}

static const unsigned preserved[] = { RBX, RBP, R12, R13, R14, R15 };

static const void *make_run(Maker *m)
{
    const void *at = begin(m);
    Asm *as = &m->as;

    for (unsigned i = 0; i < G_N_ELEMENTS(preserved); i++) {
        asm_push(as, preserved[i]);
    }
    asm_alu_imm(as, ALU_SUB, X_W, rm_reg(RSP), FRAME_BYTES);
    asm_op(as, X_MOV_ST | X_W, RDI, rm_mem(RSP, FRAME_CPU));
    asm_op(as, X_STMXCSR, 3, rm_mem(RSP, FRAME_HOST_MXCSR));
    mxcsr_to_guest(m, RDI, 0);
    mov(as, ENV, RDI, CPU(env));
    mov(as, VIEW, RDI, CPU(view));
    asm_rr(as, X_GROUP5, 4, RSI);
    return at;
}

static void make_leave(Maker *m)
{
    Asm *as = &m->as;

    m->rw->leave = begin(m);
    mov(as, RDI, RSP, FRAME_CPU);
    asm_op(as, X_STMXCSR, 3, rm_mem(RDI, CPU(mxcsr)));
    m->leave_saved = asm_rx(as);
    asm_op(as, X_STMXCSR, 2, rm_mem(RSP, FRAME_HOST_MXCSR));
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), FRAME_BYTES);
    for (unsigned i = G_N_ELEMENTS(preserved); i-- > 0;) {
        asm_pop(as, preserved[i]);
    }
    asm_u8(as, 0xc3);
}

/* lookup, link and hot: C says where to go on. All homes are dead. */
static const void *make_go_on(Maker *m, const void *fn, const void **saved)
{
    const void *at = begin(m);
    Asm *as = &m->as;
    uint32_t out;

    mov(as, RDI, RSP, FRAME_CPU);
    mxcsr_to_c(as, RDI, 0);
    if (saved) {
        uint32_t skip = asm_jmp8(as);

        *saved = asm_rx(as);
        mov(as, RDI, RSP, FRAME_CPU);
        asm_patch8(as, skip, asm_offset(as));
    }
    call_c(as, fn);
    asm_rr(as, X_TEST | X_W, RDX, RDX);
    out = asm_jcc8(as, CC_NE);
    asm_rr(as, X_MOV | X_W, RBX, RAX);
    mov(as, RDI, RSP, FRAME_CPU);
    mxcsr_to_guest(m, RDI, 0);
    mov(as, VIEW, RDI, CPU(view));
    asm_rr(as, X_GROUP5, 4, RBX);
    asm_patch8(as, out, asm_offset(as));
    asm_rr(as, X_MOV, RAX, RDX);
    asm_jmp_to(as, m->leave_saved);
    return at;
}

/* Called with the function in rax and its arguments in place. The result is a TcgStep. */
static void make_call(Maker *m)
{
    const int32_t frame = 16;
    Asm *as = &m->as;
    uint32_t other, lookup;

    m->rw->call = begin(m);
    asm_alu_imm(as, ALU_SUB, X_W, rm_reg(RSP), 8);
    mov(as, R11, RSP, frame + FRAME_CPU);
    mxcsr_to_c(as, R11, frame);
    asm_rr(as, X_GROUP5, 2, RAX);
    asm_rr(as, X_TEST, RAX, RAX);
    other = asm_jcc8(as, CC_NE);
    mov(as, RDI, RSP, frame + FRAME_CPU);
    mxcsr_to_guest(m, RDI, frame);
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), 8);
    asm_u8(as, 0xc3);
    asm_patch8(as, other, asm_offset(as));
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), 16);
    asm_alu_imm(as, ALU_CMP, 0, rm_reg(RAX), TCG_STEP_JUMP);
    lookup = asm_jcc8(as, CC_E);
    asm_jmp_to(as, m->leave_saved);
    asm_patch8(as, lookup, asm_offset(as));
    asm_jmp_to(as, m->lookup_saved);
}

enum { SLOW_LOAD, SLOW_STORE, SLOW_AMO, SLOW_CAS };

/* Called with rax: va, rdx: value, ecx: IrMem or aux, xmm0: expected. Keeps all homes; result in rax. */
static const void *make_slow(Maker *m, int kind, const void *fn)
{
    const void *at = begin(m);
    const int32_t frame = SLOW_BYTES + 8;
    Asm *as = &m->as;
    uint32_t fault;

    asm_alu_imm(as, ALU_SUB, X_W, rm_reg(RSP), SLOW_BYTES);
    for (unsigned i = 0; i < 16; i++) {
        if (HOME_GPRS & 1u << i) {
            asm_op(as, X_MOV_ST | X_W, i,
                   rm_mem(RSP, (int32_t)G_STRUCT_OFFSET(TcgFrame, gpr) + 8 * (int32_t)i));
        }
        if (HOME_XMMS & 1u << i) {
            asm_op(as, X_MOVSD_ST, i,
                   rm_mem(RSP, (int32_t)G_STRUCT_OFFSET(TcgFrame, fpr) + 8 * (int32_t)i));
        }
    }
    mov(as, R11, RSP, SLOW_BYTES);
    asm_op(as, X_MOV_ST | X_W, R11,
           rm_mem(RSP, (int32_t)G_STRUCT_OFFSET(TcgFrame, return_address)));
    mov(as, RDI, RSP, frame + FRAME_CPU);
    asm_rr(as, X_MOV | X_W, RSI, RAX);
    switch (kind) {
    case SLOW_LOAD:
        asm_rr(as, X_MOV, RDX, RCX);
        asm_rr(as, X_MOV | X_W, RCX, RSP);
        break;
    case SLOW_CAS:
        asm_rr(as, X_MOV, R8, RCX);
        asm_rr(as, X_MOV | X_W, RCX, RDX);
        asm_op(as, X_MOVQ_TO, X0, rm_reg(RDX));
        asm_rr(as, X_MOV | X_W, R9, RSP);
        break;
    default:
        asm_rr(as, X_MOV | X_W, R8, RSP);
        break;
    }
    mxcsr_to_c(as, RDI, frame);
    asm_op(as, X_MOV, RAX, rm_mem(RDI, CPU(mxcsr)));
    asm_op(as, X_MOV_ST, RAX, rm_mem(RSP, SLOW_MXCSR));
    call_c(as, fn);
    asm_rr(as, X_TEST | X_W, RDX, RDX);
    fault = asm_jcc(as, CC_NE);
    for (unsigned i = 0; i < 16; i++) {
        if (CLOBBERED_GPRS & 1u << i) {
            mov(as, i, RSP, (int32_t)G_STRUCT_OFFSET(TcgFrame, gpr) + 8 * (int32_t)i);
        }
        if (HOME_XMMS & 1u << i) {
            asm_op(as, X_MOVSD, i,
                   rm_mem(RSP, (int32_t)G_STRUCT_OFFSET(TcgFrame, fpr) + 8 * (int32_t)i));
        }
    }
    asm_op(as, X_STMXCSR, 2, rm_mem(RSP, SLOW_MXCSR));
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), SLOW_BYTES);
    asm_u8(as, 0xc3);
    asm_patch(as, fault, asm_offset(as));
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), SLOW_BYTES + 8);
    asm_rr(as, X_MOV, RAX, RDX);
    asm_jmp_to(as, m->leave_saved);
    return at;
}

/* A few bytes an IrMem before the common part. */
static const void *with_mem(Maker *m, unsigned mem, const void *slow)
{
    const void *at = asm_rx(&m->as);

    asm_movi(&m->as, RCX, mem);
    asm_jmp_to(&m->as, slow);
    return at;
}

/* rdx:rax = carry-less product of rax and rcx, bit by bit from the top. Keeps all but rcx. */
static void make_clmul(Maker *m)
{
    Asm *as = &m->as;
    uint32_t loop, skip;

    m->rw->clmul = begin(m);
    asm_push(as, RSI);
    asm_push(as, RDI);
    asm_rr(as, X_MOV | X_W, RSI, RAX);
    asm_zero(as, RAX);
    asm_zero(as, RDX);
    asm_movi(as, RDI, 64);
    loop = asm_offset(as);
    asm_rr(as, X_ALU(ALU_ADD) | X_W, RAX, RAX);
    asm_rr(as, X_ALU(ALU_ADC) | X_W, RDX, RDX);
    asm_rr(as, X_ALU(ALU_ADD) | X_W, RCX, RCX);
    skip = asm_jcc8(as, CC_AE);
    asm_rr(as, X_ALU(ALU_XOR) | X_W, RAX, RSI);
    asm_patch8(as, skip, asm_offset(as));
    asm_rr(as, X_GROUP5, 1, RDI);
    asm_jcc_back(as, CC_NE, loop);
    asm_pop(as, RDI);
    asm_pop(as, RSI);
    asm_u8(as, 0xc3);
}

/* Called with rax, rdx, xmm0: inputs, ecx: op | aux << 16. Keeps all homes; result in rax. */
static void make_fpu(Maker *m)
{
    enum { ENVIRONMENT = 19 * 8, SAVED_MXCSR = ENVIRONMENT + 8, BYTES = SAVED_MXCSR + 8 };
    const int32_t frame = BYTES + 8;
    Asm *as = &m->as;

    G_STATIC_ASSERT(BYTES % 16 == 8);
    m->rw->fpu = begin(m);
    asm_alu_imm(as, ALU_SUB, X_W, rm_reg(RSP), BYTES);
    for (unsigned pass = 0; pass < 2; pass++) {
        int32_t place = 0;

        for (unsigned i = 0; i < 16; i++) {
            if (CLOBBERED_GPRS & 1u << i) {
                asm_op(as, (pass ? X_MOV : X_MOV_ST) | X_W, i, rm_mem(RSP, place));
                place += 8;
            }
        }
        for (unsigned i = 0; i < 16; i++) {
            if (HOME_XMMS & 1u << i) {
                asm_op(as, pass ? X_MOVSD : X_MOVSD_ST, i, rm_mem(RSP, place));
                place += 8;
            }
        }
        if (pass == 1) {
            break;
        }
        mov(as, R11, RSP, frame + FRAME_CPU);
        asm_op(as, X_MOV, R10, rm_mem(R11, CPU(fp_round)));
        asm_op(as, X_MOV_ST, R10, rm_mem(RSP, ENVIRONMENT)); /* and no flags */
        asm_rr(as, X_MOV, RSI, RCX);
        asm_shift_imm(as, SHIFT_SHR, 0, rm_reg(RSI), 16);
        asm_rr(as, X_MOVZX16, R10, RCX);
        asm_rr(as, X_MOV | X_W, RCX, RDX);
        asm_rr(as, X_MOV | X_W, RDX, RAX);
        asm_op(as, X_MOVQ_TO, X0, rm_reg(R8));
        asm_op(as, X_LEA | X_W, RDI, rm_mem(RSP, ENVIRONMENT));
        asm_movi(as, R11, (int64_t)(uintptr_t)m->calls->fpu);
        asm_op(as, X_GROUP5, 2, rm_index(R11, R10, 3, (int32_t)G_STRUCT_OFFSET(TcgFpu, op)));
        asm_op(as, X_MOVZX8 & ~(uint32_t)X_BRM, RCX,
               rm_mem(RSP, ENVIRONMENT + (int32_t)G_STRUCT_OFFSET(TcgFpEnv, flags)));
        asm_op_at(as, X_LEA | X_W, RDX, m->rx->accrued, 0);
        asm_op(as, X_MOVZX8 & ~(uint32_t)X_BRM, RCX, rm_index(RDX, RCX, 0, 0));
        asm_op(as, X_STMXCSR, 3, rm_mem(RSP, SAVED_MXCSR));
        asm_op(as, X_ALU_ST(ALU_OR), RCX, rm_mem(RSP, SAVED_MXCSR));
        asm_op(as, X_STMXCSR, 2, rm_mem(RSP, SAVED_MXCSR));
    }
    asm_alu_imm(as, ALU_ADD, X_W, rm_reg(RSP), BYTES);
    asm_u8(as, 0xc3);
}

/*
 * The product of a fused multiply-add whose addend is NaN: infinity times zero raises invalid, which
 * the host leaves out. rax, rcx: bits of the factors; both are lost, as xmm0.
 */
static const void *make_fma_nan(Maker *m, bool single)
{
    const void *at = begin(m);
    uint32_t wide = single ? 0 : X_W, no[2], raise;
    Asm *as = &m->as;

    for (unsigned i = 0; i < 2; i++) {
        asm_rr(as, X_ALU(ALU_ADD) | wide, i ? RCX : RAX, i ? RCX : RAX); /* without sign */
    }
    /* One is zero and the other infinity when their sum is infinity and one of them is zero. */
    asm_rr(as, X_TEST | wide, RAX, RAX);
    raise = asm_jcc8(as, CC_E);
    asm_rr(as, X_TEST | wide, RCX, RCX);
    no[0] = asm_jcc8(as, CC_NE);
    asm_patch8(as, raise, asm_offset(as));
    asm_rr(as, X_ALU(ALU_ADD) | wide, RAX, RCX);
    asm_movi(as, RCX, single ? 0xff000000 : (int64_t)UINT64_C(0xffe0000000000000));
    asm_rr(as, X_ALU(ALU_CMP) | wide, RAX, RCX);
    no[1] = asm_jcc8(as, CC_NE);
    asm_rr(as, X_XORPS, X0, X0);
    asm_rr(as, X_DIVF | X_F2, X0, X0);
    for (unsigned i = 0; i < 2; i++) {
        asm_patch8(as, no[i], asm_offset(as));
    }
    asm_u8(as, 0xc3);
    return at;
}

bool x86_make_thunks(const TcgCodeBuffer *buffer, const TcgHostCalls *calls,
                     const TcgHostFeatures *features, TcgThunks *out)
{
    static const uint8_t rounding[8] = { 0, 3, 1, 2 }; /* by fp_round: nearest, zero, down, up */
    X86Thunks *t = (X86Thunks *)buffer->rw;
    Maker m = { .rw = t, .rx = (const X86Thunks *)buffer->rx, .calls = calls };
    const void *slow;

    if (buffer->capacity_bytes < sizeof(X86Thunks) + 8192) {
        return false;
    }
    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < 2; i++) {
        t->nan64[i] = UINT64_C(0x7ff8000000000000);
        t->nan32[i] = UINT64_C(0xffffffff7fc00000);
        t->box[i] = UINT64_C(0xffffffff00000000);
        t->sign64[i] = UINT64_C(1) << 63;
        t->abs64[i] = ~(UINT64_C(1) << 63);
        t->sign32[i] = UINT64_C(1) << 31;
        t->abs32[i] = ~(UINT64_C(1) << 31);
    }
    for (unsigned i = 0; i < 8; i++) {
        t->mxcsr[i] = 0x1f80u | (uint32_t)rounding[i] << 13;
    }
    for (unsigned i = 0; i < 32; i++) {
        /* NX, UF, OF, DZ, NV in bits 0 to 4; there in 5, 4, 3, 2, 0. */
        t->accrued[i] =
            (uint8_t)((i & 1) << 5 | (i & 2) << 3 | (i & 4) << 1 | (i & 8) >> 1 | (i & 16) >> 4);
    }
    asm_init(&m.as, buffer->rw, buffer->rx, buffer->capacity_bytes);
    m.as.p += sizeof(*t);

    make_leave(&m);
    t->lookup = make_go_on(&m, (const void *)calls->lookup, &m.lookup_saved);
    t->link = make_go_on(&m, (const void *)calls->link, NULL);
    t->hot = make_go_on(&m, (const void *)calls->hot, NULL);
    make_call(&m);
    slow = make_slow(&m, SLOW_LOAD, (const void *)calls->load);
    for (unsigned i = 0; i < LOAD_THUNKS; i++) {
        t->load[i] = with_mem(&m, i, slow);
    }
    slow = make_slow(&m, SLOW_STORE, (const void *)calls->store);
    for (unsigned i = 0; i < 4; i++) {
        t->store[i] = with_mem(&m, i, slow);
    }
    t->amo = make_slow(&m, SLOW_AMO, (const void *)calls->amo);
    t->cas = make_slow(&m, SLOW_CAS, (const void *)calls->cas);
    make_clmul(&m);
    make_fpu(&m);
    t->fma_nan = make_fma_nan(&m, false);
    t->fma_nan32 = make_fma_nan(&m, true);
    out->run = (uint32_t(*)(TcgCpu *, const void *))(uintptr_t)make_run(&m);
    out->lookup = t->lookup;
    out->host = m.rx;
    out->bytes = asm_offset(&m.as);
    return true;
}
