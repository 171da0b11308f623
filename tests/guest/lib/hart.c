/* SPDX-License-Identifier: MIT */
/*
 * Harts: where they start, how jobs are given to them, traps and run_in. A hart without a job sleeps
 * in wfi; a software interrupt that is pending but masked wakes it.
 */
#include "guest.h"

#define FDT_MAGIC 0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE 2
#define FDT_PROP 3
#define FDT_NOP 4
#define RUN_STACK_BYTES 8192

_Static_assert(sizeof(TrapFrame) == FRAME_BYTES, "layout.h differs from guest.h");

/* Each Hart's slot has HART_BYTES, so that assembly can index them. */
uint8_t harts[MAX_HARTS][HART_BYTES] __attribute__((aligned(64)));
uint8_t main_stacks[MAX_HARTS][STACK_BYTES] __attribute__((aligned(16)));
static uint8_t trap_stacks[MAX_HARTS][2][4096] __attribute__((aligned(16)));
static uint8_t run_stacks[MAX_HARTS][RUN_STACK_BYTES] __attribute__((aligned(PAGE_BYTES)));
static unsigned count;
static uint64_t alias;

void enter(uint64_t a0, uint64_t a1, uint64_t sp, uint64_t ra);
_Noreturn void leave(void);
_Noreturn void s_give_up(void);
extern const char run_returned[];

/* ---- How many there are. */

const void *guest_fdt; /* where the reset vector left the device tree */

static uint32_t be32(const uint32_t *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool starts_with(const char *text, const char *start)
{
    while (*start) {
        if (*text++ != *start++) {
            return false;
        }
    }
    return true;
}

/* Counts the nodes /cpus/cpu@... */
static unsigned count_cpus(const uint32_t *fdt)
{
    const uint32_t *p;
    unsigned depth = 0, cpus = 0;
    bool in_cpus = false;

    if (!fdt || be32(fdt) != FDT_MAGIC) {
        return 1;
    }
    p = (const uint32_t *)((const char *)fdt + be32(fdt + 2));
    for (;;) {
        switch (be32(p++)) {
        case FDT_BEGIN_NODE: {
            const char *name = (const char *)p;
            size_t length = 0;

            while (name[length]) {
                length++;
            }
            p += (length + 4) / 4;
            if (depth == 1) {
                in_cpus = starts_with(name, "cpus");
            }
            cpus += depth == 2 && in_cpus && starts_with(name, "cpu@");
            depth++;
            break;
        }
        case FDT_END_NODE:
            depth--;
            break;
        case FDT_PROP:
            p += 2 + (be32(p) + 3) / 4;
            break;
        case FDT_NOP:
            break;
        default:
            return cpus;
        }
    }
}

unsigned hart_count(void)
{
    return count;
}

Hart *hart_get(unsigned id)
{
    return (Hart *)harts[id];
}

/* ---- Jobs. */

static void wait_for_jobs(Hart *hart)
{
    csr_write(mie, MIP(IRQ_MSI));
    for (;;) {
        Job *job = __atomic_load_n(&hart->job, __ATOMIC_ACQUIRE);

        if (!job) {
            __asm__ volatile("wfi");
            continue;
        }
        /* The interrupt may be on its way still; the job must not meet it. */
        while (!(csr_read(mip) & MIP(IRQ_MSI))) {
            relax();
        }
        write32(CLINT_MSIP(hart->id), 0);
        csr_write(mie, 0);
        job(hart->job_argument);
        csr_write(mie, MIP(IRQ_MSI));
        __atomic_store_n(&hart->job, NULL, __ATOMIC_RELEASE);
    }
}

void hart_run(unsigned id, Job *job, void *argument)
{
    Hart *hart = hart_get(id);

    hart->job_argument = argument;
    __atomic_store_n(&hart->job, job, __ATOMIC_RELEASE);
    __asm__ volatile("fence w, o" ::: "memory");
    write32(CLINT_MSIP(id), 1);
}

void hart_join(unsigned id)
{
    while (__atomic_load_n(&hart_get(id)->job, __ATOMIC_ACQUIRE)) {
        relax();
    }
}

void hart_run_all(Job *job, void *argument)
{
    unsigned self = (unsigned)this_hart()->id;

    for (unsigned i = 0; i < count; i++) {
        if (i != self) {
            hart_run(i, job, argument);
        }
    }
    job(argument);
    for (unsigned i = 0; i < count; i++) {
        if (i != self) {
            hart_join(i);
        }
    }
}

void barrier_wait(Barrier *barrier, unsigned harts_here)
{
    uint32_t round = __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE);

    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == harts_here) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round) {
        relax();
    }
}

/* Called by start.S; the device tree is where the reset vector left it. */
void hart_start(uint64_t id, const void *fdt)
{
    Hart *hart = this_hart();

    hart->id = id;
    hart->m_stack = (uint64_t)trap_stacks[id][1];
    hart->s_stack = (uint64_t)(trap_stacks[id] + 1);
    csr_write(sscratch, hart);
    csr_write(stvec, s_trap_entry);
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
    if (id == 0) {
        guest_fdt = fdt;
        count = count_cpus(fdt);
        if (count > MAX_HARTS) {
            count = MAX_HARTS;
        }
        guest_main();
        finish();
    }
    wait_for_jobs(hart);
}

/* ---- Traps. */

static _Noreturn void unexpected(Hart *hart, const TrapFrame *frame, char level)
{
    print("hart %lu: unexpected trap to %c: cause 0x%lx epc 0x%lx tval 0x%lx status 0x%lx\n",
          hart->id, level, frame->cause, frame->epc, frame->tval, frame->status);
    power_off(99);
}

void m_trap(Hart *hart)
{
    if (hart->in_trap) {
        unexpected(hart, &hart->m, 'M');
    }
    hart->in_trap = true;
    if (!hart->m_hook || !hart->m_hook(hart, &hart->m)) {
        if (!hart->running) {
            unexpected(hart, &hart->m, 'M');
        }
        hart->in_trap = false;
        leave();
    }
    hart->in_trap = false;
}

void s_trap(Hart *hart)
{
    if (!hart->s_hook || !hart->s_hook(hart, &hart->s)) {
        s_give_up();
    }
}

void run_set_alias(uint64_t distance)
{
    alias = distance;
}

TrapRecord run_in(unsigned priv, const void *code, uint64_t a0, uint64_t a1, unsigned flags)
{
    Hart *hart = this_hart();
    uint64_t distance = priv == PRIV_U ? alias : 0;
    TrapRecord record = { 0 };
    const TrapFrame *frame = &hart->m;

    csr_clear(mstatus, MSTATUS_MPP | MSTATUS_MPIE);
    csr_set(mstatus, (uint64_t)priv << MSTATUS_MPP_SHIFT | (flags & RUN_MIE ? MSTATUS_MPIE : 0));
    csr_write(mepc, (uint64_t)code + distance);
    hart->slot = 0;
    hart->running = true;
    enter(a0, a1, (uint64_t)(run_stacks[hart->id] + 1) + distance,
          (uint64_t)run_returned + distance);
    hart->running = false;
    /* Memory that the code wrote is read anew from here. */
    __asm__ volatile("" ::: "memory");
    record.level = 'M';
    if (frame->cause >= CAUSE_ECALL_U && frame->cause <= CAUSE_ECALL_M) {
        if (frame->x[17] == CALL_RETURNED && frame->epc != (uint64_t)code + distance) {
            record.level = 'R';
        } else if (frame->x[17] == CALL_S_TRAP) {
            record.level = 'S';
            frame = &hart->s;
        }
    }
    record.cause = frame->cause;
    record.epc = frame->epc;
    record.tval = frame->tval;
    record.status = frame->status;
    record.slot = hart->slot;
    record.a0 = frame->x[10];
    return record;
}
