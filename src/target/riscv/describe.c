/* SPDX-License-Identifier: MIT */
/*
 * What a device tree says of a hart: instruction set, kind of paging, sizes of cache blocks. The
 * idea to hold: one table names every extension in the order in which an ISA string lists them
 * (unprivileged spec, "ISA extension naming conventions"), and both the old string and the newer
 * list are made of it.
 */
#include "target/riscv/internal.h"

#include <string.h>

typedef struct ExtensionName {
    const char *name;
    size_t feature; /* offset of its switch in RiscvCpu; 0: always there */
} ExtensionName;

#define SWITCH(name_)                                                                              \
    {                                                                                              \
#name_, offsetof(RiscvCpu, feature.name_)                                                  \
    }

static const ExtensionName names[] = {
    { "i", 0 },
    SWITCH(m),
    SWITCH(a),
    SWITCH(f),
    SWITCH(d),
    SWITCH(c),
    SWITCH(zicbom),
    SWITCH(zicboz),
    { "zicntr", 0 },
    SWITCH(zicond),
    { "zicsr", 0 },
    { "zifencei", 0 },
    { "zihintpause", 0 },
    { "zihpm", 0 },
    SWITCH(zawrs),
    SWITCH(zba),
    SWITCH(zbb),
    SWITCH(zbc),
    SWITCH(zbs),
    SWITCH(sstc),
    SWITCH(svadu),
    SWITCH(svinval),
    SWITCH(svnapot),
    SWITCH(svpbmt),
};

static bool has_extension(const RiscvCpu *cpu, const ExtensionName *extension)
{
    return !extension->feature || *(const bool *)((const char *)cpu + extension->feature);
}

static const char *mmu_type(const RiscvCpu *cpu)
{
    switch (cpu->satp_mode_max) {
    case 8:
        return "riscv,sv39";
    case 9:
        return "riscv,sv48";
    case 10:
        return "riscv,sv57";
    default:
        return "riscv,none";
    }
}

static void add_text(TargetDescribeFn *add, void *opaque, const char *property, const char *text)
{
    add(opaque, property, text, strlen(text) + 1);
}

void riscv_describe(Vcpu *vcpu, TargetDescribeFn *add, void *opaque)
{
    const RiscvCpu *cpu = riscv_cpu(vcpu);
    GString *isa = g_string_new("rv64");
    GString *list = g_string_new(NULL);
    uint32_t block_bytes = GUINT32_TO_BE(RV_CACHE_BLOCK_BYTES);

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!has_extension(cpu, &names[i])) {
            continue;
        }
        if (names[i].name[1]) {
            g_string_append_c(isa, '_');
        }
        g_string_append(isa, names[i].name);
        g_string_append_len(list, names[i].name, (gssize)strlen(names[i].name) + 1);
    }
    add_text(add, opaque, "device_type", "cpu");
    add_text(add, opaque, "compatible", "riscv");
    add_text(add, opaque, "riscv,isa", isa->str);
    add_text(add, opaque, "riscv,isa-base", "rv64i");
    add(opaque, "riscv,isa-extensions", list->str, list->len);
    add_text(add, opaque, "mmu-type", mmu_type(cpu));
    if (cpu->feature.zicbom) {
        add(opaque, "riscv,cbom-block-size", &block_bytes, sizeof(block_bytes));
    }
    if (cpu->feature.zicboz) {
        add(opaque, "riscv,cboz-block-size", &block_bytes, sizeof(block_bytes));
    }
    g_string_free(isa, TRUE);
    g_string_free(list, TRUE);
}
