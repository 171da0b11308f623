/* SPDX-License-Identifier: MIT */
/*
 * Which task a vCPU runs, and which system calls are under way. The idea to hold: the vCPUs'
 * threads come here by themselves and share only two things: what is known of the kernel, which is
 * found out once and then only read, and the table of calls, since a task may return on another
 * vCPU than it called on.
 */
#include "orrery/impl/guest-os.h"

#include <stdlib.h>
#include <string.h>

#include "guest-os/internal.h"
#include "guest-os/tasks.h"
#include "orrery/impl/error.h"
#include "orrery/impl/host-clock.h"
#include "orrery/impl/lock.h"
#include "orrery/impl/log.h"
#include "trace/trace-guest.h"

/* What is known of the kernel; only grows, until a reset. */
typedef enum Knowledge {
    KERNEL_UNSEEN,    /* nothing that looks like a task has been met */
    KERNEL_FOREIGN,   /* not Linux, or not to be asked about */
    KERNEL_NO_LAYOUT, /* Linux, whose tasks cannot be read */
    KERNEL_KNOWN,
} Knowledge;

/* What looks like a task may be something else's value: then the search is for nothing. */
#define MAX_SEARCHES 3

/* Calls under way: a hash table whose rows are overwritten when they are full. */
#define CALL_SETS 1024 /* a power of 2 */
#define CALL_WAYS 4

typedef struct Call {
    uint64_t key; /* of the caller; 0: free */
    uint64_t nr, pc, next_pc;
    int64_t start_ns;
    int32_t pid;
} Call;

struct GuestOs {
    Memory *memory;
    bool off;            /* guest=off */
    bool layout_is_user; /* from guest=, and stays over resets */
    char *layout_source;

    uint32_t knowledge; /* Knowledge, atomic; what follows is written before it, under lock */
    TaskLayout layout;
    unsigned searches;
    OrrMutex lock; /* knowledge, calls */
    Call (*calls)[CALL_WAYS];
};

/* ---- Made from the option. */

static bool parse_place(const char *text, guint64 *value)
{
    bool hex = g_str_has_prefix(text, "0x");

    return g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, 0x1ffff, value,
                                      NULL);
}

static bool parse_places(TaskLayout *layout, const char *text, GError **error)
{
    struct {
        const char *name;
        uint32_t *place;
        bool given;
    } fields[] = { { "pid", &layout->pid, false },
                   { "tgid", &layout->tgid, false },
                   { "comm", &layout->comm, false } };
    g_auto(GStrv) parts = g_strsplit(text, "+", -1);
    bool ok = g_strv_length(parts) == G_N_ELEMENTS(fields);

    for (unsigned i = 0; ok && parts[i]; i++) {
        char *colon = strchr(parts[i], ':');
        guint64 value = 0;
        unsigned f = 0;

        if (colon) {
            *colon = '\0';
        }
        while (f < G_N_ELEMENTS(fields) && strcmp(parts[i], fields[f].name) != 0) {
            f++;
        }
        ok =
            colon && f < G_N_ELEMENTS(fields) && !fields[f].given && parse_place(colon + 1, &value);
        if (ok) {
            *fields[f].place = (uint32_t)value;
            fields[f].given = true;
        }
    }
    layout->comm_bytes = 16; /* TASK_COMM_LEN */
    return ok || orr_fail(error, ORR_ERROR_INVALID,
                          "guest=%s: the places of a task's fields are given as "
                          "pid:N+tgid:N+comm:N, in bytes, all three",
                          text);
}

GuestOs *guest_os_create(Memory *memory, const char *option, GError **error)
{
    GuestOs *os = g_new0(GuestOs, 1);
    bool ok = true;

    os->memory = memory;
    orr_mutex_init(&os->lock, "guest os");
    if (!option || strcmp(option, "auto") == 0) {
        return os;
    }
    if (strcmp(option, "off") == 0) {
        os->off = true;
    } else if (g_str_has_prefix(option, "pid:") || g_str_has_prefix(option, "tgid:") ||
               g_str_has_prefix(option, "comm:")) {
        os->layout_is_user = ok = parse_places(&os->layout, option, error);
        os->layout_source = g_strdup("given");
    } else {
        KernelSearch search;

        kernel_search_init(&search);
        os->layout_is_user = ok = kernel_search_file(&search, option, error);
        os->layout = search.layout;
        os->layout_source = g_strdup(option);
    }
    if (!ok) {
        guest_os_destroy(os);
        return NULL;
    }
    return os;
}

void guest_os_destroy(GuestOs *os)
{
    if (os) {
        orr_mutex_finish(&os->lock);
        g_free(os->layout_source);
        g_free(os->calls);
        g_free(os);
    }
}

void guest_os_reset(GuestOs *os)
{
    orr_mutex_lock(&os->lock);
    orr_store_release(&os->knowledge, KERNEL_UNSEEN);
    os->searches = 0;
    if (os->calls) {
        memset(os->calls, 0, sizeof(*os->calls) * CALL_SETS);
    }
    orr_mutex_unlock(&os->lock);
}

/* ---- Recognising the kernel. */

static void tell(GuestOs *os, const KernelSearch *search, Knowledge knowledge)
{
    const char *source = os->layout_source ? os->layout_source : "btf";

    if (knowledge == KERNEL_FOREIGN) {
        orr_report_warning("trace events of the guest: no Linux kernel was found in its memory; "
                           "its tasks are not shown");
    } else if (knowledge == KERNEL_NO_LAYOUT) {
        orr_report_warning("trace events of the guest: its kernel (%.40s...) carries no BTF; tasks "
                           "have pid -1 and no name unless -trace guest=VMLINUX or "
                           "guest=pid:N+tgid:N+comm:N is given",
                           search->banner);
    }
    if (knowledge != KERNEL_FOREIGN) {
        trace_guest_kernel(search->banner, knowledge == KERNEL_KNOWN ? source : "unknown",
                           os->layout.pid, os->layout.tgid, os->layout.comm);
    }
}

static Knowledge search_kernel(GuestOs *os, const GuestMoment *moment)
{
    Knowledge result = KERNEL_UNSEEN;
    KernelSearch search;
    uint64_t paddr;

    if (!moment->translate(moment->opaque, moment->code, &paddr)) {
        return KERNEL_UNSEEN;
    }
    os->searches++;
    kernel_search_init(&search);
    search.has_layout = os->layout_is_user;
    kernel_search_memory(&search, os->memory, paddr);
    if (os->layout_is_user) {
        result = KERNEL_KNOWN;
    } else if (search.has_layout) {
        os->layout = search.layout;
        result = KERNEL_KNOWN;
    } else if (search.has_banner) {
        result = KERNEL_NO_LAYOUT;
    } else if (os->searches >= MAX_SEARCHES) {
        result = KERNEL_FOREIGN;
    }
    if (result != KERNEL_UNSEEN) {
        tell(os, &search, result);
    }
    return result;
}

static Knowledge kernel_at(GuestOs *os, const GuestMoment *moment)
{
    Knowledge knowledge = orr_load_acquire(&os->knowledge);

    if (G_LIKELY(knowledge != KERNEL_UNSEEN) || os->off || !guest_task_plausible(moment->task)) {
        return knowledge;
    }
    /* Another vCPU is at it: this moment passes. */
    if (!orr_mutex_trylock(&os->lock)) {
        return KERNEL_UNSEEN;
    }
    knowledge = os->knowledge;
    if (knowledge == KERNEL_UNSEEN) {
        knowledge = search_kernel(os, moment);
        orr_store_release(&os->knowledge, knowledge);
    }
    orr_mutex_unlock(&os->lock);
    return knowledge;
}

/* ---- Tasks. */

static void observe(GuestOs *os, const GuestMoment *moment, Knowledge knowledge, bool refresh)
{
    GuestVcpu *vcpu = moment->vcpu;
    GuestVcpu now = { .seen = true, .task = moment->task, .pid = -1, .tgid = -1 };
    TaskReading reading = TASK_UNREADABLE;
    bool known;

    if (knowledge < KERNEL_NO_LAYOUT || moment->task == 0) {
        return;
    }
    /* One that could not be read is looked at again. */
    refresh |= vcpu->pid < 0;
    if (vcpu->task == moment->task && !(refresh && knowledge == KERNEL_KNOWN)) {
        return;
    }
    if (knowledge == KERNEL_KNOWN) {
        reading = guest_task_read(os->memory, moment, &os->layout, &now);
    }
    known = reading == TASK_READ;
    /* A vCPU that starts has tp before it has the page tables by which tasks can be read. */
    if (!guest_task_plausible(moment->task) ||
        (knowledge == KERNEL_KNOWN && reading == TASK_UNREADABLE && !vcpu->seen)) {
        return; /* not a moment that shows one after all */
    }
    if (vcpu->task == now.task && vcpu->pid >= 0) {
        if (known &&
            (vcpu->pid != now.pid || vcpu->tgid != now.tgid || strcmp(vcpu->comm, now.comm) != 0)) {
            trace_guest_task_rename(moment->cpu, now.pid, now.tgid, now.comm, vcpu->comm);
        }
    } else if (vcpu->task != now.task || known) {
        trace_guest_task_switch(moment->cpu, now.pid, now.tgid, now.comm,
                                vcpu->seen ? vcpu->pid : -1, vcpu->seen ? vcpu->tgid : -1,
                                vcpu->comm, now.task);
    }
    *vcpu = now;
}

void guest_os_observe(GuestOs *os, const GuestMoment *moment, bool refresh)
{
    observe(os, moment, kernel_at(os, moment), refresh);
}

/* ---- System calls. */

/* Who calls: a task, or where those are not known an address space, or then a vCPU. Never 0. */
static uint64_t caller(const GuestMoment *moment, Knowledge knowledge)
{
    if (knowledge >= KERNEL_NO_LAYOUT && guest_task_plausible(moment->task)) {
        return moment->task;
    }
    return moment->space ? moment->space : moment->cpu + UINT64_C(1);
}

static Call *calls_of(GuestOs *os, uint64_t key)
{
    uint64_t hash = (key ^ key >> 33) * UINT64_C(0x9e3779b97f4a7c15);

    return os->calls[hash >> 54 & (CALL_SETS - 1)];
}

static const char *call_name(const GuestMoment *moment, Knowledge knowledge, uint64_t nr)
{
    const char *name = NULL;

    if (knowledge >= KERNEL_NO_LAYOUT && moment->syscall_name) {
        name = moment->syscall_name(nr);
    }
    return name ? name : "";
}

static int32_t pid_of(const GuestMoment *moment, Knowledge knowledge)
{
    return knowledge == KERNEL_KNOWN && moment->vcpu->seen ? moment->vcpu->pid : -1;
}

void guest_os_syscall_enter(GuestOs *os, const GuestMoment *moment, uint64_t nr,
                            const uint64_t args[6], uint64_t pc, uint64_t next_pc)
{
    Knowledge knowledge = kernel_at(os, moment);
    Call call = { .key = caller(moment, knowledge), .nr = nr, .pc = pc, .next_pc = next_pc };
    Call *set, *place;

    observe(os, moment, knowledge, false);
    call.pid = pid_of(moment, knowledge);
    call.start_ns = host_monotonic_ns();

    orr_mutex_lock(&os->lock);
    if (!os->calls) {
        os->calls = g_malloc0(sizeof(*os->calls) * CALL_SETS);
    }
    /* The caller's own, else a free one, else the oldest, whose end will not be seen. */
    place = set = calls_of(os, call.key);
    for (unsigned i = 0; i < CALL_WAYS; i++) {
        if (set[i].key == call.key) {
            place = &set[i];
            break;
        }
        if (place->key != 0 && (set[i].key == 0 || set[i].start_ns < place->start_ns)) {
            place = &set[i];
        }
    }
    *place = call;
    orr_mutex_unlock(&os->lock);

    trace_guest_syscall_enter(moment->cpu, call.pid, nr, call_name(moment, knowledge, nr), args[0],
                              args[1], args[2], args[3], args[4], args[5]);
}

void guest_os_syscall_exit(GuestOs *os, const GuestMoment *moment, uint64_t pc, uint64_t ret)
{
    Knowledge knowledge = kernel_at(os, moment);
    uint64_t key = caller(moment, knowledge);
    Call call = { 0 };
    int way;

    observe(os, moment, knowledge, true);
    orr_mutex_lock(&os->lock);
    if (os->calls) {
        Call *set = calls_of(os, key);

        for (unsigned i = 0; i < CALL_WAYS; i++) {
            if (set[i].key == key) {
                call = set[i];
                set[i].key = 0;
            }
        }
    }
    orr_mutex_unlock(&os->lock);

    if (!call.key) {
        return; /* an interrupt or a fault, or the task's first steps */
    }
    if (pc == call.next_pc) {
        way = TRACE_GUEST_WAY_RETURNED;
    } else if (pc == call.pc) {
        way = TRACE_GUEST_WAY_RESTARTED;
    } else {
        way = TRACE_GUEST_WAY_REDIRECTED;
    }
    /* A caller that has ended in its call: what has its place now is another. */
    if (call.pid != pid_of(moment, knowledge) ||
        (call.pid < 0 && way != TRACE_GUEST_WAY_RETURNED)) {
        return;
    }
    trace_guest_syscall_exit(moment->cpu, call.pid, call.nr, call_name(moment, knowledge, call.nr),
                             way == TRACE_GUEST_WAY_RETURNED ? (int64_t)ret : 0, way,
                             (uint64_t)(host_monotonic_ns() - call.start_ns));
}
