/* SPDX-License-Identifier: MIT */
/*
 * Disassembly of riscv64 instructions. The idea to hold: what is printed is the decoded RvInsn,
 * by the operand list of its assembler form (rv_forms), so that text and execution cannot disagree
 * about an encoding. Capstone, where built in, is only another way to print.
 */
#include "disas.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "orrery/gen/config.h"

#ifdef HAVE_CAPSTONE_RISCV
#include <capstone/capstone.h>
#include <dlfcn.h>
#endif

static const char *const reg_names[32] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static const char *const freg_names[32] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

static const char *const rounding_names[8] = {
    "rne", "rtz", "rdn", "rup", "rmm", "invalid5", "invalid6", "dyn",
};

static const char *const order_suffixes[4] = { "", ".rl", ".aq", ".aqrl" };

const char *rv_reg_name(unsigned reg)
{
    return reg_names[reg & 31];
}

const char *rv_freg_name(unsigned reg)
{
    return freg_names[reg & 31];
}

const char *rv_csr_name(unsigned csr)
{
    size_t low = 0, high = RV_CSR_NAME_COUNT;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (rv_csr_names[mid].number < csr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low < RV_CSR_NAME_COUNT && rv_csr_names[low].number == csr) {
        return rv_csr_names[low].name;
    }
    return NULL;
}

/* Appends to a buffer that may be too small, counting what would have been written. */
typedef struct Text {
    char *buf;
    size_t len;
    size_t used;
} Text;

static void ORR_PRINTF(2, 3) text_add(Text *text, const char *format, ...)
{
    size_t room = text->used < text->len ? text->len - text->used : 0;
    va_list args;
    int count;

    va_start(args, format);
    count = vsnprintf(room ? text->buf + text->used : NULL, room, format, args);
    va_end(args);
    if (count > 0) {
        text->used += count;
    }
}

static void add_fence_set(Text *text, unsigned set)
{
    if (set == 0) {
        text_add(text, "unknown");
        return;
    }
    for (unsigned bit = 0; bit < 4; bit++) {
        if (set & (8 >> bit)) {
            text_add(text, "%c", "iorw"[bit]);
        }
    }
}

static void add_csr(Text *text, unsigned csr)
{
    const char *name = rv_csr_name(csr);

    if (name) {
        text_add(text, "%s", name);
    } else {
        text_add(text, "0x%x", csr);
    }
}

static void add_operand(Text *text, unsigned arg, uint64_t pc, const RvInsn *insn)
{
    switch ((RvOperand)arg) {
    case RV_ARG_RD:
        text_add(text, "%s", rv_reg_name(insn->rd));
        break;
    case RV_ARG_RS1:
        text_add(text, "%s", rv_reg_name(insn->rs1));
        break;
    case RV_ARG_RS2:
        text_add(text, "%s", rv_reg_name(insn->rs2));
        break;
    case RV_ARG_FD:
        text_add(text, "%s", rv_freg_name(insn->rd));
        break;
    case RV_ARG_FS1:
        text_add(text, "%s", rv_freg_name(insn->rs1));
        break;
    case RV_ARG_FS2:
        text_add(text, "%s", rv_freg_name(insn->rs2));
        break;
    case RV_ARG_FS3:
        text_add(text, "%s", rv_freg_name(insn->rs3));
        break;
    case RV_ARG_RM:
    case RV_ARG_RMX:
        text_add(text, "%s", rounding_names[insn->rm & 7]);
        break;
    case RV_ARG_IMM:
    case RV_ARG_NZIMM:
        text_add(text, "%" PRId32, insn->imm);
        break;
    case RV_ARG_SHAMT:
        text_add(text, "0x%" PRIx32, (uint32_t)insn->imm);
        break;
    case RV_ARG_UPPER:
        text_add(text, "0x%" PRIx32, (uint32_t)insn->imm >> 12);
        break;
    case RV_ARG_TARGET:
        text_add(text, "0x%" PRIx64, pc + (uint64_t)(int64_t)insn->imm);
        break;
    case RV_ARG_CSR:
        add_csr(text, insn->imm);
        break;
    case RV_ARG_ZIMM:
        text_add(text, "%u", insn->rs1);
        break;
    case RV_ARG_MEM:
        text_add(text, "%" PRId32 "(%s)", insn->imm, rv_reg_name(insn->rs1));
        break;
    case RV_ARG_BASE:
        text_add(text, "(%s)", rv_reg_name(insn->rs1));
        break;
    case RV_ARG_PRED:
        add_fence_set(text, insn->imm >> 4 & 15);
        break;
    case RV_ARG_SUCC:
        add_fence_set(text, insn->imm & 15);
        break;
    case RV_ARG_END:
        break;
    }
}

/* Operands that assembler syntax leaves out when they have their usual value. */
static bool operand_hidden(unsigned arg, const RvInsn *insn)
{
    switch (arg) {
    case RV_ARG_RM:
        return insn->rm == 7;
    case RV_ARG_RMX:
        return insn->rm == 0;
    case RV_ARG_NZIMM:
        return insn->imm == 0;
    default:
        return false;
    }
}

/* The assembler form: that of the operation, or of the compressed encoding it came from. */
static const RvForm *form_of(const RvInsn *insn)
{
    if (insn->len == 2) {
        RvInsn again;
        unsigned form = rv_match16(insn->raw & 0xffff, RV_EXT_ALL, &again);

        if (form && again.op == insn->op) {
            return &rv_forms[form];
        }
    }
    return &rv_forms[insn->op < RV_OP_COUNT ? insn->op : RV_OP_ILLEGAL];
}

size_t rv_disas(char *buf, size_t len, uint64_t pc, const RvInsn *insn)
{
    Text text = { .buf = buf, .len = len };
    const RvForm *form = form_of(insn);
    const char *separator = " ";

    if (len > 0) {
        buf[0] = '\0';
    }
    if (form->op == RV_OP_ILLEGAL) {
        if (insn->len == 2 && insn->raw == 0) {
            text_add(&text, "c.unimp");
        } else {
            text_add(&text, ".%ubyte 0x%" PRIx32, insn->len, insn->raw);
        }
        return text.used;
    }
    text_add(&text, "%s", form->mnemonic);
    if (rv_op_info[form->op].flags & RV_OPF_AQRL) {
        text_add(&text, "%s", order_suffixes[insn->rm & 3]);
    }
    for (size_t k = 0; k < sizeof(form->args) && form->args[k] != RV_ARG_END; k++) {
        if (!operand_hidden(form->args[k], insn)) {
            text_add(&text, "%s", separator);
            add_operand(&text, form->args[k], pc, insn);
            separator = ",";
        }
    }
    return text.used;
}

#ifdef HAVE_CAPSTONE_RISCV

/* Capstone is loaded by name, so that runs which print no instruction do without it. */
typedef struct Capstone {
    void *library;
    csh handle;
    cs_insn *insn;
    char engine[32];
    cs_err (*close)(csh *);
    bool (*disasm_iter)(csh, const uint8_t **, size_t *, uint64_t *, cs_insn *);
    void (*free)(cs_insn *, size_t);
} Capstone;

struct RvDisas {
    Capstone capstone;
};

static bool capstone_load(Capstone *cs)
{
    cs_err (*open)(cs_arch, cs_mode, csh *);
    cs_insn *(*alloc)(csh);
    unsigned (*version)(int *, int *);
    char soname[32];
    int major, minor;

    snprintf(soname, sizeof(soname), "libcapstone.so.%d", CS_API_MAJOR);
    cs->library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!cs->library) {
        return false;
    }
    open = (__typeof__(open))dlsym(cs->library, "cs_open");
    alloc = (__typeof__(alloc))dlsym(cs->library, "cs_malloc");
    version = (__typeof__(version))dlsym(cs->library, "cs_version");
    cs->close = (__typeof__(cs->close))dlsym(cs->library, "cs_close");
    cs->free = (__typeof__(cs->free))dlsym(cs->library, "cs_free");
    cs->disasm_iter = (__typeof__(cs->disasm_iter))dlsym(cs->library, "cs_disasm_iter");
    if (!open || !alloc || !version || !cs->close || !cs->free || !cs->disasm_iter ||
        open(CS_ARCH_RISCV, CS_MODE_RISCV64 | CS_MODE_RISCVC, &cs->handle) != CS_ERR_OK) {
        return false;
    }
    cs->insn = alloc(cs->handle);
    if (!cs->insn) {
        cs->close(&cs->handle);
        return false;
    }
    version(&major, &minor);
    snprintf(cs->engine, sizeof(cs->engine), "capstone %d.%d", major, minor);
    return true;
}

static void capstone_unload(Capstone *cs)
{
    if (cs->insn) {
        cs->free(cs->insn, 1);
        cs->close(&cs->handle);
    }
    if (cs->library) {
        dlclose(cs->library);
    }
    *cs = (Capstone){ 0 };
}

static size_t capstone_print(Capstone *cs, char *buf, size_t len, uint64_t pc, const RvInsn *insn)
{
    const uint8_t bytes[4] = { insn->raw, insn->raw >> 8, insn->raw >> 16, insn->raw >> 24 };
    const uint8_t *code = bytes;
    size_t size = insn->len;

    if (!cs->insn || insn->op == RV_OP_ILLEGAL ||
        !cs->disasm_iter(cs->handle, &code, &size, &pc, cs->insn) || cs->insn->size != insn->len) {
        return 0;
    }
    return snprintf(buf, len, "%s%s%s", cs->insn->mnemonic, cs->insn->op_str[0] ? " " : "",
                    cs->insn->op_str);
}

#else

struct RvDisas {
    char unused;
};

#endif

RvDisas *rv_disas_create(bool want_capstone)
{
    RvDisas *disas = g_new0(RvDisas, 1);

#ifdef HAVE_CAPSTONE_RISCV
    if (want_capstone && !capstone_load(&disas->capstone)) {
        capstone_unload(&disas->capstone);
    }
#endif
    return disas;
}

void rv_disas_destroy(RvDisas *disas)
{
    if (!disas) {
        return;
    }
#ifdef HAVE_CAPSTONE_RISCV
    capstone_unload(&disas->capstone);
#endif
    g_free(disas);
}

const char *rv_disas_engine(const RvDisas *disas)
{
#ifdef HAVE_CAPSTONE_RISCV
    if (disas->capstone.insn) {
        return disas->capstone.engine;
    }
#endif
    return "builtin";
}

size_t rv_disas_print(RvDisas *disas, char *buf, size_t len, uint64_t pc, uint32_t bits,
                      uint64_t exts, unsigned *insn_len)
{
    size_t used = 0;
    RvInsn insn;

    rv_decode(bits, exts, &insn);
    if (insn_len) {
        *insn_len = insn.len;
    }
#ifdef HAVE_CAPSTONE_RISCV
    used = capstone_print(&disas->capstone, buf, len, pc, &insn);
#endif
    return used ? used : rv_disas(buf, len, pc, &insn);
}
