/* SPDX-License-Identifier: MIT */
/*
 * The part of the tcg accelerators that is the same however threads are laid out. The idea to hold:
 * a request from outside is a flag in TcgCpu and a kick; the vCPU's thread acts on it when it next enters
 * guest code.
 */
#include "src/accel/tcg/tcg.h"

#include "orrery/impl/error.h"

enum { THREAD_MULTI, THREAD_SINGLE };

static const char *const thread_values[] = { "multi", "single", NULL };
static const char *const backend_values[] = { "native", "ir", "ir-homes", NULL };

const PropDef tcg_props[] = {
    { "tb-size", PROP_SIZE, offsetof(TcgAccel, tb_size), .fallback = "64M",
      .help = "size of the code cache; memory is used as it fills" },
    { "thread", PROP_ENUM, offsetof(TcgAccel, thread), .values = thread_values,
      .help = "multi: a thread a vCPU; single: they take turns on one" },
    { "backend", PROP_ENUM, offsetof(TcgAccel, backend), .values = backend_values,
      .help = "native: host code; ir: interpret the intermediate representation, for checking" },
    { "one-insn-per-tb", PROP_BOOL, offsetof(TcgAccel, one_insn),
      .help = "translate every instruction by itself, for checking" },
    { "tier1", PROP_BOOL, offsetof(TcgAccel, tier1), .fallback = "on",
      .help = "translate hot code again, as regions with loops" },
    { "hot", PROP_U32, offsetof(TcgAccel, threshold), .fallback = "256", .min = 1, .max = 1u << 30,
      .help = "entries after which a block is hot" },
    { "perfmap", PROP_BOOL, offsetof(TcgAccel, perfmap),
      .help = "name translations for perf in /tmp/perf-PID.map" },
    { "jitdump", PROP_BOOL, offsetof(TcgAccel, jitdump),
      .help = "keep translations for perf inject in jit-PID.dump" },
    { NULL },
};

#define MIN_CACHE_BYTES (UINT64_C(8) << 20)
#define MAX_CACHE_BYTES (UINT64_C(1) << 30) /* reach of a relative jump, with room */

static const TcgHost *choose_host(const TcgAccel *tcg)
{
    switch (tcg->backend) {
    case 1:
        return &tcg_host_ir;
    case 2:
        return &tcg_host_ir_homes;
    default:
#if defined(__x86_64__)
        return &tcg_host_x86_64;
#else
        return &tcg_host_ir;
#endif
    }
}

bool tcg_init_machine(Accel *accel, const TcgTarget *target, const TcgStepper *stepper,
                      bool choose_ops, GError **error)
{
    TcgAccel *tcg = (TcgAccel *)accel;
    TcgOptions options = {
        .cache_bytes = tcg->tb_size & ~UINT64_C(0xfffff),
        .host = choose_host(tcg),
        .stepper = stepper,
        .one_insn = tcg->one_insn,
        .perfmap = tcg->perfmap,
        .jitdump = tcg->jitdump,
        .hot = tcg->tier1 ? tcg->threshold : 0,
    };

    if (options.cache_bytes < MIN_CACHE_BYTES || options.cache_bytes > MAX_CACHE_BYTES) {
        return orr_fail(error, ORR_ERROR_INVALID, "tb-size must be from 8M to 1G");
    }
    if (choose_ops) {
        accel->ops = tcg->thread == THREAD_SINGLE ? &tcg_rr_ops : &tcg_mttcg_ops;
    }
    options.parallel = accel->ops == &tcg_mttcg_ops;
    tcg->context = tcg_context_create(target, accel->memory, &options, error);
    if (!tcg->context) {
        return false;
    }
    if (!options.parallel) {
        tcg->rr = tcg_rr_create(tcg);
    }
    return true;
}

void tcg_finish_machine(Accel *accel)
{
    TcgAccel *tcg = (TcgAccel *)accel;

    tcg_rr_destroy(tcg->rr);
    tcg_context_destroy(tcg->context);
}

/* ---- A turn. */

static VcpuExit run(void *cpu)
{
    return tcg_run(cpu);
}

void tcg_turn(Vcpu *vcpu)
{
    vcpu_execute(vcpu, run, tcg_cpu(vcpu));
}

/* Those who reach the state through the vCPU hold the machine lock. */
void tcg_destroy_state(Vcpu *vcpu)
{
    vcpu_machine_lock(vcpu);
    tcg_cpu_destroy(vcpu->accel.opaque);
    vcpu->accel.opaque = NULL;
    vcpu_machine_unlock(vcpu);
}

/* ---- Requests. The state is there as long as the thread is; else there is nothing to do. */

void tcg_handle_interrupt(Vcpu *vcpu)
{
    vcpu_kick(vcpu, "interrupt");
}

static void request(Vcpu *vcpu, bool code)
{
    if (vcpu->accel.opaque) {
        tcg_request_flush(vcpu->accel.opaque, code);
    }
}

void tcg_vcpu_reset_hold(Vcpu *vcpu)
{
    request(vcpu, false);
}

void tcg_invalidate_translations(Vcpu *vcpu)
{
    request(vcpu, false);
}

bool tcg_get_vcpu_stats(Vcpu *vcpu, AccelVcpuStats *stats)
{
    if (!vcpu->accel.opaque) {
        return false;
    }
    tcg_cpu_stats(vcpu->accel.opaque, stats);
    return true;
}

bool tcg_step_vcpu(Vcpu *vcpu)
{
    tcg_step(vcpu->accel.opaque);
    return true;
}

bool tcg_print_translator(Accel *accel, GString *out)
{
    tcg_info_jit(((TcgAccel *)accel)->context, out);
    return true;
}

/* ---- Memory. */

static void map_changed(void *opaque)
{
    Cpus *cpus = ((Accel *)opaque)->cpus;

    for (unsigned i = 0, left = cpus_count(cpus); left > 0; i++) {
        Vcpu *vcpu = cpus_get(cpus, i);

        if (vcpu) {
            left--;
            request(vcpu, false);
            vcpu_kick(vcpu, "memory map changed");
        }
    }
}

static void ram_added(void *opaque, hwaddr base, RamBlock *block)
{
    tcg_ram_added(((TcgAccel *)opaque)->context, block);
}

static void ram_removed(void *opaque, hwaddr base, RamBlock *block)
{
    tcg_ram_removed(((TcgAccel *)opaque)->context, block);
}

static void page_watched(void *opaque, RamBlock *block, uint64_t page)
{
    tcg_page_watched(((TcgAccel *)opaque)->context, block, page);
}

static bool code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length_bytes)
{
    return tcg_code_written(((TcgAccel *)opaque)->context, block, offset, length_bytes);
}

const MemoryListener tcg_memory_listener = {
    .ram_added = ram_added,
    .ram_removed = ram_removed,
    .map_changed = map_changed,
    .page_watched = page_watched,
    .code_written = code_written,
};

/* ---- Guest debug. A vCPU that steps or has breakpoints is executed by the interpreter's engine. */

bool tcg_supports_guest_debug(Accel *accel)
{
    return true;
}

bool tcg_update_guest_debug(Vcpu *vcpu, GError **error)
{
    request(vcpu, false);
    return true;
}

bool tcg_insert_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                           GError **error)
{
    if (kind != BREAKPOINT_SOFTWARE && kind != BREAKPOINT_HARDWARE) {
        return orr_fail(error, ORR_ERROR_UNSUPPORTED, "accelerator %s has no watchpoints",
                        vcpu->accel.ops->name);
    }
    request(vcpu, false);
    return true;
}

bool tcg_remove_breakpoint(Vcpu *vcpu, BreakpointKind kind, uint64_t addr, uint64_t length_bytes,
                           GError **error)
{
    request(vcpu, false);
    return true;
}

void tcg_remove_all_breakpoints(Vcpu *vcpu)
{
    request(vcpu, false);
}
