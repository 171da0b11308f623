/* SPDX-License-Identifier: MIT */
/*
 * Makes the hart of riscv-hart.h the way vcpu_create does, without the cpus core.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "riscv-hart.h"

static int64_t hart_clock(void *opaque)
{
    return orr_load_seq_cst(&((Hart *)opaque)->now_ns);
}

static void count_interrupt(Vcpu *vcpu)
{
    Hart *hart = vcpu->accel.opaque;

    orr_fetch_add(&hart->interrupts, 1u);
}

static const AccelOps counting_ops = {
    .struct_size = sizeof(AccelOps),
    .name = "counting",
    .handle_interrupt = count_interrupt,
};

static void set_options(RiscvCpu *cpu, const char *options)
{
    GArray *pairs = orr_split_options(options, NULL);

    for (guint i = 0; i < pairs->len; i++) {
        const OptPair *pair = &g_array_index(pairs, OptPair, i);
        GError *error = NULL;

        props_set(cpu, riscv64_target_ops.props, "rv64", pair->key, pair->value, &error);
        assert_null(error);
    }
    g_array_unref(pairs);
}

Hart *hart_create(const char *options)
{
    Hart *hart = calloc(1, sizeof(*hart));
    size_t bytes = (sizeof(RiscvCpu) + ORR_CACHE_LINE - 1) & ~(size_t)(ORR_CACHE_LINE - 1);
    GError *error = NULL;
    RiscvCpu *cpu;

    hart->memory = memory_create();
    hart->timers = timers_create();
    timers_set_hooks(hart->timers, &(TimersHooks){ .virtual_clock = hart_clock, .opaque = hart });
    clocks_start(hart->timers);

    cpu = hart->cpu = aligned_alloc(ORR_CACHE_LINE, bytes);
    memset(cpu, 0, bytes);
    cpu->vcpu.accel.ops = &counting_ops;
    cpu->vcpu.accel.opaque = hart;
    cpu->vcpu.target = &riscv64_target_ops;
    cpu->vcpu.memory = hart->memory;
    cpu->vcpu.timers = hart->timers;
    props_init(cpu, riscv64_target_ops.props);
    assert_true(riscv64_target_ops.vcpu_init(&cpu->vcpu, "rv64", &error));
    if (options) {
        set_options(cpu, options);
    }
    assert_true(riscv64_target_ops.vcpu_realize(&cpu->vcpu, &error));
    riscv64_target_ops.vcpu_reset(&cpu->vcpu);
    return hart;
}

void hart_destroy(Hart *hart)
{
    riscv64_target_ops.vcpu_finish(&hart->cpu->vcpu);
    props_finish(hart->cpu, riscv64_target_ops.props);
    free(hart->cpu);
    clocks_stop(hart->timers);
    timers_destroy(hart->timers);
    memory_destroy(hart->memory);
    free(hart);
}

RamBlock *hart_add_ram(Hart *hart, uint64_t base, uint64_t size_bytes, bool readonly)
{
    char name[32];
    GError *error = NULL;
    RamBlock *block;

    g_snprintf(name, sizeof(name), "ram-%" G_GINT64_MODIFIER "x", base);
    block = memory_add_ram(hart->memory, name, base, size_bytes, readonly, &error);
    assert_non_null(block);
    return block;
}

void hart_set_time(Hart *hart, int64_t now_ns)
{
    orr_store_seq_cst(&hart->now_ns, now_ns);
    timers_run_lockless(hart->timers);
}

RvCsrResult hart_csrw(Hart *hart, unsigned csr, uint64_t value)
{
    RvCsrResult result = riscv_csr_access(hart->cpu, csr, NULL, true, value, UINT64_MAX);

    assert_int_not_equal(result, RV_CSR_ILLEGAL);
    return result;
}

uint64_t hart_csrr(Hart *hart, unsigned csr)
{
    uint64_t value = 0;

    assert_int_equal(riscv_csr_access(hart->cpu, csr, &value, false, 0, 0), RV_CSR_OK);
    return value;
}

void hart_open_pmp(Hart *hart)
{
    hart_csrw(hart, 0x3b0, UINT64_MAX);
    hart_csrw(hart, 0x3a0, 0x1f);
}

uint64_t hart_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}
