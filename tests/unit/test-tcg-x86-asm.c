/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 encoder, read back by capstone: every form of operand with every register, and each opcode
 * word once. Skipped where capstone is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tcg/host.h"
#include "tcg/x86-64/asm.h"

static const char *const names64[] = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};
static const char *const names32[] = {
    "eax", "ecx", "edx",  "ebx",  "esp",  "ebp",  "esi",  "edi",
    "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d",
};
static const char *const names8[] = {
    "al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
    "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b",
};

static uint8_t code[64];

static bool have_capstone(void)
{
    GString *text = g_string_new(NULL);
    size_t length = tcg_host_x86_64.disas((const uint8_t[16]){ 0x48, 0x01, 0xd8 }, 0, text);

    g_string_free(text, TRUE);
    return length == 3;
}

static Asm begin(void)
{
    Asm as;

    memset(code, 0x90, sizeof(code));
    asm_init(&as, code, code, sizeof(code));
    return as;
}

/* All that was written is one instruction with this text. */
static void expect(const Asm *as, const char *expected)
{
    GString *text = g_string_new(NULL);
    size_t length = tcg_host_x86_64.disas(code, 0x1000, text);

    if (length != asm_offset(as) || strcmp(text->str, expected) != 0) {
        fail_msg("%u bytes are \"%s\" of %zu, not \"%s\"", asm_offset(as), text->str, length,
                 expected);
    }
    g_string_free(text, TRUE);
}

static void expect_free(const Asm *as, char *expected)
{
    expect(as, expected);
    g_free(expected);
}

static char *memory_text(X86Rm rm)
{
    GString *text = g_string_new("[");

    g_string_append(text, names64[rm.base]);
    if (rm.index >= 0) {
        g_string_append_printf(text, " + %s", names64[rm.index]);
        if (rm.scale) {
            g_string_append_printf(text, "*%u", 1u << rm.scale);
        }
    }
    if (rm.disp > 9) {
        g_string_append_printf(text, " + 0x%x", rm.disp);
    } else if (rm.disp > 0) {
        g_string_append_printf(text, " + %d", rm.disp);
    } else if (rm.disp < -9) {
        g_string_append_printf(text, " - 0x%x", -(unsigned)rm.disp);
    } else if (rm.disp < 0) {
        g_string_append_printf(text, " - %d", -rm.disp);
    }
    g_string_append(text, "]");
    return g_string_free(text, FALSE);
}

static void registers(void **state)
{
    for (unsigned a = 0; a < 16; a++) {
        for (unsigned b = 0; b < 16; b++) {
            Asm as = begin();

            asm_rr(&as, X_MOV | X_W, a, b);
            expect_free(&as, g_strdup_printf("mov %s, %s", names64[a], names64[b]));
            as = begin();
            asm_rr(&as, X_ALU(ALU_SUB), a, b);
            expect_free(&as, g_strdup_printf("sub %s, %s", names32[a], names32[b]));
            as = begin();
            asm_rr(&as, X_MOVZX8, a, b);
            expect_free(&as, g_strdup_printf("movzx %s, %s", names32[a], names8[b]));
            as = begin();
            asm_rr(&as, X_ADDF | X_F2, a, b);
            expect_free(&as, g_strdup_printf("addsd xmm%u, xmm%u", a, b));
            as = begin();
            asm_rr(&as, X_MOVQ_FROM, a, b);
            expect_free(&as, g_strdup_printf("movq xmm%u, %s", a, names64[b]));
            as = begin();
            asm_rr(&as, X_LZCNT | X_W, a, b);
            expect_free(&as, g_strdup_printf("lzcnt %s, %s", names64[a], names64[b]));
            for (unsigned c = 0; c < 16; c++) {
                as = begin();
                asm_vex(&as, X_SUBF | X_F2, a, b, rm_reg(c));
                expect_free(&as, g_strdup_printf("vsubsd xmm%u, xmm%u, xmm%u", a, b, c));
                as = begin();
                asm_vex(&as, X_SHLX | X_W, a, b, rm_reg(c));
                expect_free(&as,
                            g_strdup_printf("shlx %s, %s, %s", names64[a], names64[c], names64[b]));
                as = begin();
                asm_vex(&as, X_ANDN | X_W, a, b, rm_reg(c));
                expect_free(&as,
                            g_strdup_printf("andn %s, %s, %s", names64[a], names64[b], names64[c]));
                as = begin();
                asm_vex(&as, X_FMADD231 | X_W, a, b, rm_reg(c));
                expect_free(&as, g_strdup_printf("vfmadd231sd xmm%u, xmm%u, xmm%u", a, b, c));
            }
        }
    }
}

static void places_in_memory(void **state)
{
    static const int32_t displacements[] = { 0, 1, 127, 128, -128, -129, 0x12345678, -8 };

    for (unsigned base = 0; base < 16; base++) {
        for (int index = -1; index < 16; index++) {
            for (unsigned d = 0; d < G_N_ELEMENTS(displacements); d++) {
                unsigned scale = d & 3, reg = (base + (unsigned)index + d) & 15;
                X86Rm rm = index >= 0 ? rm_index(base, (unsigned)index, scale, displacements[d])
                                      : rm_mem(base, displacements[d]);
                char *place = memory_text(rm);
                Asm as = begin();

                if (index == RSP) {
                    g_free(place);
                    continue;
                }
                asm_op(&as, X_MOV_ST | X_W, reg, rm);
                expect_free(&as, g_strdup_printf("mov qword ptr %s, %s", place, names64[reg]));
                as = begin();
                asm_op(&as, X_MOV8_ST, reg, rm);
                expect_free(&as, g_strdup_printf("mov byte ptr %s, %s", place, names8[reg]));
                as = begin();
                asm_op(&as, X_MOV_ST | X_66, RBX, rm);
                expect_free(&as, g_strdup_printf("mov word ptr %s, bx", place));
                as = begin();
                asm_op(&as, X_MOVSS, reg, rm);
                expect_free(&as, g_strdup_printf("movss xmm%u, dword ptr %s", reg, place));
                as = begin();
                asm_vex(&as, X_MULF | X_F3, reg, base, rm);
                expect_free(&as,
                            g_strdup_printf("vmulss xmm%u, xmm%u, dword ptr %s", reg, base, place));
                as = begin();
                asm_op(&as, X_CMPXCHG | X_W | X_LOCK, reg, rm);
                expect_free(&as,
                            g_strdup_printf("lock cmpxchg qword ptr %s, %s", place, names64[reg]));
                g_free(place);
            }
        }
    }
}

static void immediates(void **state)
{
    for (unsigned reg = 0; reg < 16; reg++) {
        Asm as = begin();

        asm_movi(&as, reg, 0x12345);
        expect_free(&as, g_strdup_printf("mov %s, 0x12345", names32[reg]));
        as = begin();
        asm_movi(&as, reg, INT32_MIN);
        expect_free(&as, g_strdup_printf("mov %s, -0x80000000", names64[reg]));
        assert_int_equal(asm_offset(&as), 7);
        as = begin();
        asm_movi(&as, reg, INT64_C(0x123456789abcdef0));
        expect_free(&as, g_strdup_printf("movabs %s, 0x123456789abcdef0", names64[reg]));
        as = begin();
        asm_alu_imm(&as, ALU_CMP, X_W, rm_reg(reg), 0x7f);
        expect_free(&as, g_strdup_printf("cmp %s, 0x7f", names64[reg]));
        as = begin();
        asm_alu_imm(&as, ALU_XOR, 0, rm_reg(reg), 0x80);
        expect_free(&as, g_strdup_printf("xor %s, 0x80", names32[reg]));
        as = begin();
        asm_shift_imm(&as, SHIFT_SAR, X_W, rm_reg(reg), 63);
        expect_free(&as, g_strdup_printf("sar %s, 0x3f", names64[reg]));
        as = begin();
        asm_shift_imm(&as, SHIFT_SHL, 0, rm_reg(reg), 1);
        expect_free(&as, g_strdup_printf("shl %s, 1", names32[reg]));
        as = begin();
        asm_push(&as, reg);
        expect_free(&as, g_strdup_printf("push %s", names64[reg]));
        as = begin();
        asm_pop(&as, reg);
        expect_free(&as, g_strdup_printf("pop %s", names64[reg]));
        as = begin();
        asm_op(&as, X_SETCC + CC_LE, 0, rm_reg(reg));
        expect_free(&as, g_strdup_printf("setle %s", names8[reg]));
        as = begin();
        asm_vex(&as, X_RORX | X_W, reg, 0, rm_reg(15 - reg));
        asm_u8(&as, 8);
        expect_free(&as, g_strdup_printf("rorx %s, %s, 8", names64[reg], names64[15 - reg]));
    }
}

typedef struct Word {
    uint32_t op;
    unsigned reg, rm, imm_bytes;
    const char *text;
} Word;

static void opcodes(void **state)
{
    static const Word words[] = {
        { X_LEA | X_W, 0, 16, 0, "lea rax, [rbx + 8]" },
        { X_TEST | X_W, 6, 7, 0, "test rdi, rsi" },
        { X_TEST_IMM, 0, 6, 4, "test esi, 0x5050505" },
        { X_TEST8_IMM, 0, 6, 1, "test sil, 5" },
        { X_XCHG | X_W, 6, 7, 0, "xchg rdi, rsi" },
        { X_XCHG8, 6, 16, 0, "xchg byte ptr [rbx + 8], sil" },
        { X_SHIFT_CL | X_W, SHIFT_ROL, 8, 0, "rol r8, cl" },
        { X_GROUP3 | X_W, 2, 8, 0, "not r8" },
        { X_GROUP3 | X_W, 3, 8, 0, "neg r8" },
        { X_GROUP3 | X_W, 4, 8, 0, "mul r8" },
        { X_GROUP3, 7, 16, 0, "idiv dword ptr [rbx + 8]" },
        { X_GROUP5, 2, 0, 0, "call rax" },
        { X_GROUP5, 4, 16, 0, "jmp qword ptr [rbx + 8]" },
        { X_GROUP5, 1, 16, 0, "dec dword ptr [rbx + 8]" },
        { X_IMUL | X_W, 1, 9, 0, "imul rcx, r9" },
        { X_IMUL_IMM32 | X_W, 1, 9, 4, "imul rcx, r9, 0x5050505" },
        { X_IMUL_IMM8 | X_W, 1, 9, 1, "imul rcx, r9, 5" },
        { X_MOVSXD, 1, 9, 0, "movsxd rcx, r9d" },
        { X_MOVSX8 | X_W, 1, 7, 0, "movsx rcx, dil" },
        { X_MOVSX16 | X_W, 1, 9, 0, "movsx rcx, r9w" },
        { X_MOVZX16, 1, 9, 0, "movzx ecx, r9w" },
        { X_BSF | X_W, 1, 9, 0, "bsf rcx, r9" },
        { X_BSR, 1, 9, 0, "bsr ecx, r9d" },
        { X_TZCNT | X_W, 1, 9, 0, "tzcnt rcx, r9" },
        { X_POPCNT, 1, 9, 0, "popcnt ecx, r9d" },
        { X_SHLD_IMM | X_W, 2, 0, 1, "shld rax, rdx, 5" },
        { (X_CMOV + CC_A) | X_W, 1, 9, 0, "cmova rcx, r9" },
        { X_XADD | X_LOCK, 1, 16, 0, "lock xadd dword ptr [rbx + 8], ecx" },
        { X_XADD8 | X_LOCK, 1, 16, 0, "lock xadd byte ptr [rbx + 8], cl" },
        { X_CMPXCHG8 | X_LOCK, 2, 16, 0, "lock cmpxchg byte ptr [rbx + 8], dl" },
        { X_MOVAPS, 1, 9, 0, "movaps xmm1, xmm9" },
        { X_MOVSD, 1, 16, 0, "movsd xmm1, qword ptr [rbx + 8]" },
        { X_MOVSD_ST, 9, 16, 0, "movsd qword ptr [rbx + 8], xmm9" },
        { X_MOVSS_ST, 9, 16, 0, "movss dword ptr [rbx + 8], xmm9" },
        { X_MOVD_FROM, 9, 8, 0, "movd xmm9, r8d" },
        { X_MOVQ_TO, 9, 8, 0, "movq r8, xmm9" },
        { X_MOVD_TO, 9, 8, 0, "movd r8d, xmm9" },
        { X_ANDPS, 1, 2, 0, "andps xmm1, xmm2" },
        { X_ORPS, 1, 2, 0, "orps xmm1, xmm2" },
        { X_XORPS, 1, 2, 0, "xorps xmm1, xmm2" },
        { X_PCMPEQB, 1, 2, 0, "pcmpeqb xmm1, xmm2" },
        { X_PSHUFD, 1, 2, 1, "pshufd xmm1, xmm2, 5" },
        { X_PCLMUL, 1, 2, 1, "pclmulqdq xmm1, xmm2, 5" },
        { X_DIVF | X_F3, 1, 2, 0, "divss xmm1, xmm2" },
        { X_SQRTF | X_F2, 1, 2, 0, "sqrtsd xmm1, xmm2" },
        { X_MINF | X_F2, 1, 2, 0, "minsd xmm1, xmm2" },
        { X_MAXF | X_F3, 1, 2, 0, "maxss xmm1, xmm2" },
        { X_UCOMIS | X_66, 1, 2, 0, "ucomisd xmm1, xmm2" },
        { X_COMIS, 1, 2, 0, "comiss xmm1, xmm2" },
        { X_CVT_INT | X_F2 | X_W, 1, 8, 0, "cvtsi2sd xmm1, r8" },
        { X_CVTT_TO | X_F2, 8, 1, 0, "cvttsd2si r8d, xmm1" },
        { X_CVT_TO | X_F3 | X_W, 8, 1, 0, "cvtss2si r8, xmm1" },
        { X_CVT_F2F | X_F2, 1, 2, 0, "cvtsd2ss xmm1, xmm2" },
        { X_STMXCSR, 3, 16, 0, "stmxcsr dword ptr [rbx + 8]" },
        { X_STMXCSR, 2, 16, 0, "ldmxcsr dword ptr [rbx + 8]" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        const Word *w = &words[i];
        Asm as = begin();

        asm_op(&as, w->op, w->reg, w->rm == 16 ? rm_mem(RBX, 8) : rm_reg(w->rm));
        for (unsigned n = 0; n < w->imm_bytes; n++) {
            asm_u8(&as, 5);
        }
        expect(&as, w->text);
    }
}

/* Padding is of as few instructions as can be, jumps go where they are told. */
static void jumps_and_padding(void **state)
{
    Asm as;

    for (unsigned bytes = 1; bytes <= 8; bytes++) {
        GString *text = g_string_new(NULL);

        as = begin();
        asm_nops(&as, bytes);
        assert_int_equal(tcg_host_x86_64.disas(code, 0, text), bytes);
        assert_true(strstr(text->str, "nop") || strstr(text->str, "xchg"));
        g_string_free(text, TRUE);
    }
    as = begin();
    asm_patch(&as, asm_jcc(&as, CC_NP), 0x40);
    expect(&as, "jnp 0x1040");
    as = begin();
    asm_patch8(&as, asm_jmp8(&as), 0x20);
    expect(&as, "jmp 0x1020");
    as = begin();
    asm_jmp_back(&as, 0);
    expect(&as, "jmp 0x1000");
    as = begin();
    asm_call(&as, code + 0x25);
    expect(&as, "call 0x1025");
    as = begin();
    asm_op_long(&as, 0x83, ALU_CMP, rm_mem(RBP, 8));
    asm_u8(&as, 0);
    expect(&as, "cmp dword ptr [rbp + 8], 0");
    assert_int_equal(asm_offset(&as), 7);
    as = begin();
    asm_op_at(&as, X_ORPS, 9, code + 0x20, 0);
    expect(&as, "orps xmm9, xmmword ptr [rip + 0x18]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers),         cmocka_unit_test(places_in_memory),
        cmocka_unit_test(immediates),        cmocka_unit_test(opcodes),
        cmocka_unit_test(jumps_and_padding),
    };

    if (!have_capstone()) {
        print_message("skipped: capstone is missing\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
