/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 host as the translator sees it: the table of its functions, which registers may be homes, what
 * the CPU offers, and the patching of code that others may be running. The idea to hold about
 * patching: all of it is one aligned store, of 4 bytes for a link and of 8 for a region's entry.
 */
#include <string.h>

#include "tcg/x86-64/internal.h"

#if __has_include(<capstone/capstone.h>)
#include <capstone/capstone.h>
#include <dlfcn.h>
#endif

static const IrHostRegs host_regs = {
    .order = { { RBX, RSI, RDI, R8, R9, R10, R11, R14, R12, R13 },
               { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } },
    .count = { 10, 13 },
    .clobbered = { CLOBBERED_GPRS, HOME_XMMS },
};

static const IrHostRegs *regs(void)
{
    return &host_regs;
}

TcgHostFeatures tcg_host_features(void)
{
    TcgHostFeatures f = { 0 };

    __builtin_cpu_init();
    f.bmi1 = __builtin_cpu_supports("bmi");
    f.bmi2 = __builtin_cpu_supports("bmi2");
    f.popcnt = __builtin_cpu_supports("popcnt");
    f.lzcnt = __builtin_cpu_supports("lzcnt");
    f.avx = __builtin_cpu_supports("avx");
    f.fma = f.avx && __builtin_cpu_supports("fma");
    f.pclmul = __builtin_cpu_supports("pclmul");
    f.sse41 = __builtin_cpu_supports("sse4.1");
    return f;
}

static void link_to(uint8_t *code_rw, const uint8_t *code_rx, const TcgLink *link,
                    const void *target_rx)
{
    const uint8_t *after = code_rx + link->operand_offset + 4;
    const uint8_t *target = target_rx ? target_rx : code_rx + link->stub_offset;

    __atomic_store_n((uint32_t *)(code_rw + link->operand_offset), (uint32_t)(target - after),
                     __ATOMIC_RELEASE);
}

/* jmp rel32 over the first instruction, which is longer: who has run it goes on behind it as before. */
static void kill_code(uint8_t *code_rw, const uint8_t *code_rx, uint32_t stub_offset)
{
    uint64_t word = __atomic_load_n((uint64_t *)code_rw, __ATOMIC_RELAXED);
    uint8_t bytes[8];
    uint32_t rel = stub_offset - 5;

    memcpy(bytes, &word, 8);
    bytes[0] = 0xe9;
    memcpy(bytes + 1, &rel, 4);
    memcpy(&word, bytes, 8);
    __atomic_store_n((uint64_t *)code_rw, word, __ATOMIC_RELEASE);
}

#if __has_include(<capstone/capstone.h>)
/* Loaded by name, so that runs which print no code do without it; not unloaded. */
static size_t disas_capstone(const uint8_t *code, uintptr_t address, GString *out)
{
    cs_err (*open)(cs_arch, cs_mode, csh *);
    cs_err (*close)(csh *);
    cs_insn *(*alloc)(csh);
    void (*release)(cs_insn *, size_t);
    bool (*next)(csh, const uint8_t **, size_t *, uint64_t *, cs_insn *);
    char soname[32];
    void *library;
    csh handle;
    cs_insn *insn;
    size_t length = 0, left = 16;
    uint64_t at = address;

    g_snprintf(soname, sizeof(soname), "libcapstone.so.%d", CS_API_MAJOR);
    library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return 0;
    }
    open = (__typeof__(open))dlsym(library, "cs_open");
    close = (__typeof__(close))dlsym(library, "cs_close");
    alloc = (__typeof__(alloc))dlsym(library, "cs_malloc");
    release = (__typeof__(release))dlsym(library, "cs_free");
    next = (__typeof__(next))dlsym(library, "cs_disasm_iter");
    if (!open || !close || !alloc || !release || !next ||
        open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
        return 0;
    }
    insn = alloc(handle);
    if (insn && next(handle, &code, &left, &at, insn)) {
        length = insn->size;
        g_string_append_printf(out, "%s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "",
                               insn->op_str);
    }
    if (insn) {
        release(insn, 1);
    }
    close(&handle);
    return length;
}
#else
static size_t disas_capstone(const uint8_t *code, uintptr_t address, GString *out)
{
    return 0;
}
#endif

/* Up to 16 bytes at code are looked at. */
static size_t disas(const uint8_t *code, uintptr_t address, GString *out)
{
    uint8_t bytes[16] = { 0 };
    size_t length;

    memcpy(bytes, code, sizeof(bytes));
    length = disas_capstone(bytes, address, out);
    if (length == 0) {
        g_string_append_printf(out, ".byte 0x%02x", code[0]);
        length = 1;
    }
    return length;
}

const TcgHost tcg_host_x86_64 = {
    .name = "x86-64",
    .code_alignment = 16,
    .regs = regs,
    .make_thunks = x86_make_thunks,
    .emitter_create = x86_emitter_create,
    .emitter_destroy = x86_emitter_destroy,
    .emit = x86_emit,
    .link = link_to,
    .kill = kill_code,
    .disas = disas,
};

/* ---- Which function emits what. */

EmitFn *const x86_emitters[IR_OP_COUNT] = {
    [IR_OP_mov] = emit_move,
    [IR_OP_movi] = emit_movi,
    [IR_OP_fmov] = emit_fmove,
    [IR_OP_add] = emit_alu,
    [IR_OP_sub] = emit_alu,
    [IR_OP_and] = emit_alu,
    [IR_OP_or] = emit_alu,
    [IR_OP_xor] = emit_alu,
    [IR_OP_andn] = emit_andn,
    [IR_OP_orn] = emit_andn,
    [IR_OP_xnor] = emit_alu,
    [IR_OP_addsh] = emit_addsh,
    [IR_OP_addw] = emit_alu,
    [IR_OP_subw] = emit_alu,
    [IR_OP_shl] = emit_shift,
    [IR_OP_shr] = emit_shift,
    [IR_OP_sar] = emit_shift,
    [IR_OP_ror] = emit_shift,
    [IR_OP_rol] = emit_shift,
    [IR_OP_shlw] = emit_shift,
    [IR_OP_shrw] = emit_shift,
    [IR_OP_sarw] = emit_shift,
    [IR_OP_rorw] = emit_shift,
    [IR_OP_rolw] = emit_shift,
    [IR_OP_mul] = emit_mul,
    [IR_OP_mulhu] = emit_mul_high,
    [IR_OP_mulhs] = emit_mul_high,
    [IR_OP_mulhsu] = emit_mul_high,
    [IR_OP_divs] = emit_divide,
    [IR_OP_divu] = emit_divide,
    [IR_OP_rems] = emit_divide,
    [IR_OP_remu] = emit_divide,
    [IR_OP_mulw] = emit_mul,
    [IR_OP_divsw] = emit_divide,
    [IR_OP_divuw] = emit_divide,
    [IR_OP_remsw] = emit_divide,
    [IR_OP_remuw] = emit_divide,
    [IR_OP_sext8] = emit_extend,
    [IR_OP_sext16] = emit_extend,
    [IR_OP_sext32] = emit_extend,
    [IR_OP_zext8] = emit_extend,
    [IR_OP_zext16] = emit_extend,
    [IR_OP_zext32] = emit_extend,
    [IR_OP_clz] = emit_count_zeros,
    [IR_OP_ctz] = emit_count_zeros,
    [IR_OP_popcnt] = emit_popcnt,
    [IR_OP_clzw] = emit_count_zeros,
    [IR_OP_ctzw] = emit_count_zeros,
    [IR_OP_popcntw] = emit_popcnt,
    [IR_OP_bswap] = emit_bswap,
    [IR_OP_orcb] = emit_orcb,
    [IR_OP_clmul] = emit_clmul,
    [IR_OP_clmulh] = emit_clmul,
    [IR_OP_clmulr] = emit_clmul,
    [IR_OP_set] = emit_set,
    [IR_OP_cmov] = emit_cmov,
    [IR_OP_min] = emit_minmax,
    [IR_OP_max] = emit_minmax,
    [IR_OP_minu] = emit_minmax,
    [IR_OP_maxu] = emit_minmax,
    [IR_OP_ld] = emit_load,
    [IR_OP_ld64f] = emit_load,
    [IR_OP_ld32f] = emit_load,
    [IR_OP_st] = emit_store,
    [IR_OP_st64f] = emit_store,
    [IR_OP_st32f] = emit_store,
    [IR_OP_amo] = emit_amo,
    [IR_OP_cas] = emit_cas,
    [IR_OP_fence] = emit_fence,
    [IR_OP_faddd] = emit_farith,
    [IR_OP_fsubd] = emit_farith,
    [IR_OP_fmuld] = emit_farith,
    [IR_OP_fdivd] = emit_farith,
    [IR_OP_fsqrtd] = emit_farith,
    [IR_OP_fmad] = emit_fma,
    [IR_OP_fmind] = emit_fminmax,
    [IR_OP_fmaxd] = emit_fminmax,
    [IR_OP_feqd] = emit_fcompare,
    [IR_OP_fltd] = emit_fcompare,
    [IR_OP_fled] = emit_fcompare,
    [IR_OP_fadds] = emit_farith,
    [IR_OP_fsubs] = emit_farith,
    [IR_OP_fmuls] = emit_farith,
    [IR_OP_fdivs] = emit_farith,
    [IR_OP_fsqrts] = emit_farith,
    [IR_OP_fmas] = emit_fma,
    [IR_OP_fmins] = emit_fminmax,
    [IR_OP_fmaxs] = emit_fminmax,
    [IR_OP_feqs] = emit_fcompare,
    [IR_OP_flts] = emit_fcompare,
    [IR_OP_fles] = emit_fcompare,
    [IR_OP_fcvtwd] = emit_float_to_int,
    [IR_OP_fcvtud] = emit_float_to_int,
    [IR_OP_fcvtld] = emit_float_to_int,
    [IR_OP_fcvtqd] = emit_float_to_int,
    [IR_OP_fcvtws] = emit_float_to_int,
    [IR_OP_fcvtus] = emit_float_to_int,
    [IR_OP_fcvtls] = emit_float_to_int,
    [IR_OP_fcvtqs] = emit_float_to_int,
    [IR_OP_fcvtdw] = emit_int_to_float,
    [IR_OP_fcvtdu] = emit_int_to_float,
    [IR_OP_fcvtdl] = emit_int_to_float,
    [IR_OP_fcvtdq] = emit_int_to_float,
    [IR_OP_fcvtsw] = emit_int_to_float,
    [IR_OP_fcvtsu] = emit_int_to_float,
    [IR_OP_fcvtsl] = emit_int_to_float,
    [IR_OP_fcvtsq] = emit_int_to_float,
    [IR_OP_fcvtds] = emit_float_to_float,
    [IR_OP_fcvtsd] = emit_float_to_float,
    [IR_OP_fsgnjd] = emit_fsign,
    [IR_OP_fsgnjnd] = emit_fsign,
    [IR_OP_fsgnjxd] = emit_fsign,
    [IR_OP_fsgnjs] = emit_fsign,
    [IR_OP_fsgnjns] = emit_fsign,
    [IR_OP_fsgnjxs] = emit_fsign,
    [IR_OP_fmvxd] = emit_fbits,
    [IR_OP_fmvdx] = emit_fbits,
    [IR_OP_fmvxw] = emit_fbits,
    [IR_OP_fmvwx] = emit_fbits,
    [IR_OP_call] = emit_call,
    [IR_OP_callf] = emit_call,
    [IR_OP_callif] = emit_call,
    [IR_OP_syscall] = emit_syscall,
    [IR_OP_br] = emit_br,
    [IR_OP_brcond] = emit_brcond,
    [IR_OP_poll] = emit_poll,
    [IR_OP_exit] = emit_exit,
    [IR_OP_exit_reg] = emit_exit_reg,
};
