/* SPDX-License-Identifier: MIT */
/*
 * A kernel in the manner of Linux, as small as it can be, so that a trace of the guest has a known
 * content: it has BTF and a version banner, tasks in the upper half, tp and sscratch as Linux uses
 * them, and programs that call it. tests/trace/test-guest compares the events with a list; here it
 * is only checked that the calls do what the list then says.
 */
#include "paging.h"

#define HIGH_ALIAS (0xffffffff80000000ul - RAM_BASE)

/* ---- BTF: int, pid_t, char, char[16], struct task_struct. */

enum {
    BTF_INT = 1,
    BTF_ARRAY = 3,
    BTF_STRUCT = 4,
    BTF_TYPEDEF = 8,
};

enum {
    NAME_INT = 1,
    NAME_PID_T = 5,
    NAME_CHAR = 11,
    NAME_TASK = 16,
    NAME_PID = 28,
    NAME_TGID = 32,
    NAME_COMM = 37,
};

#define BTF_NAMES "\0int\0pid_t\0char\0task_struct\0pid\0tgid\0comm"
#define BTF_INFO(kind, records) ((kind) << 24 | (records))

typedef struct Task {
    uint64_t flags[9];
    int32_t pid, tgid;
    uint64_t more;
    char comm[16];
} Task;

typedef struct Btf {
    uint16_t magic;
    uint8_t version, flags;
    uint32_t header_bytes, types_at, types_bytes, names_at, names_bytes;
    uint32_t types[29];
    char names[sizeof(BTF_NAMES)];
} Btf;

const Btf btf __attribute__((used, aligned(8))) = {
    .magic = 0xeb9f,
    .version = 1,
    .header_bytes = 24,
    .types_bytes = sizeof(btf.types),
    .names_at = sizeof(btf.types),
    .names_bytes = sizeof(BTF_NAMES),
    .types = {
        NAME_INT, BTF_INFO(BTF_INT, 0), 4, 32,
        NAME_PID_T, BTF_INFO(BTF_TYPEDEF, 0), 1,
        NAME_CHAR, BTF_INFO(BTF_INT, 0), 1, 8,
        0, BTF_INFO(BTF_ARRAY, 0), 0, 3, 1, 16,
        NAME_TASK, BTF_INFO(BTF_STRUCT, 3), sizeof(Task),
        NAME_PID, 2, 8 * offsetof(Task, pid),
        NAME_TGID, 2, 8 * offsetof(Task, tgid),
        NAME_COMM, 4, 8 * offsetof(Task, comm),
    },
    .names = BTF_NAMES,
};

const char banner[] __attribute__((used)) = "Linux version 0.0-orrery (nobody) #1\n";

/* ---- Tasks. */

Task tasks[] __attribute__((aligned(64))) = {
    { .pid = 0, .comm = "swapper/0" },
    { .pid = 1, .tgid = 1, .comm = "init" },
    { .pid = 42, .tgid = 40, .comm = "a thread" },
    { .pid = 7, .tgid = 7, .comm = "not\001a name" },
};

static uint64_t task(unsigned n)
{
    return (uint64_t)&tasks[n] + HIGH_ALIAS;
}

/* ---- The kernel: what a call does hangs on its number. Entered with Linux's tp and sscratch. */

enum {
    CALL_GETPID = 172,  /* returns a1 */
    CALL_SWITCH = 124,  /* sched_yield: goes on as the task in a1 */
    CALL_SPACE = 226,   /* writes a1 to satp */
    CALL_RESTART = 101, /* nanosleep: once again, as CALL_GETPID */
    CALL_EXEC = 221,    /* goes on at a1, under another name */
};

extern const char kernel_entry[];

__asm__(".pushsection .text\n"
        ".balign 4\n"
        ".globl kernel_entry\n"
        "kernel_entry:\n"
        "    csrrw tp, sscratch, tp\n" /* t5 and t6 are the program's to lose */
        "    csrw sscratch, zero\n"
        "    csrr t5, sepc\n"
        "    li t6, 0x52455455\n" /* CALL_RETURNED */
        "    beq a7, t6, 9f\n"
        "    li t6, 101\n"
        "    beq a7, t6, 4f\n"
        "    addi t5, t5, 4\n"
        "    csrw sepc, t5\n"
        "    mv a0, a1\n"
        "    li t6, 124\n"
        "    beq a7, t6, 2f\n"
        "    li t6, 226\n"
        "    beq a7, t6, 3f\n"
        "    li t6, 221\n"
        "    beq a7, t6, 5f\n"
        "1:  csrw sscratch, tp\n"
        "    sret\n"
        "2:  mv tp, a1\n"
        "    csrsi sstatus, 2\n" /* as at the end of a switch */
        "    csrci sstatus, 2\n"
        "    j 1b\n"
        "3:  csrw satp, a1\n"
        "    sfence.vma\n"
        "    j 1b\n"
        "4:  li a7, 172\n"
        "    j 1b\n"
        "5:  csrw sepc, a1\n"
        "    li t6, 0x68732f\n" /* "/sh" */
        "    sd t6, 88(tp)\n"   /* comm */
        "    j 1b\n"
        ".globl kernel_end\n"
        "kernel_end:\n"
        "9:  ecall\n" /* to M mode, which ends the run */
        ".popsection\n");

_Static_assert(offsetof(Task, comm) == 88, "kernel_entry has another place for the name");

/* One call after the other, from one place: pairs of number and argument at a0, 0 ends them. */
CODE(program, "mv s0, a0\n"
              "1: ld a7, 0(s0)\n"
              "ld a1, 8(s0)\n"
              "addi s0, s0, 16\n"
              "beqz a7, 2f\n"
              "li a0, 10\n"
              "li a2, 12\n"
              "li a3, 13\n"
              "li a4, 14\n"
              "li a5, 15\n"
              ".globl program_call\n"
              "program_call: ecall\n"
              "j 1b\n"
              "2: mv a0, s1\n");
CODE(program_exec, "li a0, 3");
CODE(code_nothing, "li a0, 5");
CODE(code_ebreak, ".option push\n.option norvc\nebreak\n.option pop");
CODE(code_illegal, ".4byte 0xffffffff");

static uint64_t calls[32];

static void firmware(void)
{
    TrapRecord r;

    group("privilege");
    r = RUN_S(code_nothing, 0, 0);
    CHECK_RETURNED(r, 5);
    r = RUN_U(code_ebreak, 0, 0);
    CHECK(r.level == 'M' && r.cause == CAUSE_BREAKPOINT);
    r = RUN_S(code_illegal, 0, 0);
    CHECK(r.level == 'M' && r.cause == CAUSE_ILLEGAL && r.tval == 0xffffffff);
}

void guest_main(void)
{
    const uint64_t table[] = {
        CALL_GETPID, 1,       CALL_SPACE,   0,
        CALL_SWITCH, task(2), CALL_RESTART, 77,
        CALL_SWITCH, task(3), CALL_SWITCH,  task(0),
        CALL_SWITCH, task(1), CALL_EXEC,    (uint64_t)program_exec + USER_ALIAS,
        0,           0,
    };
    Space space, other;
    TrapRecord r;

    firmware();

    group("calls");
    space = space_create(MODE_SV39, 1);
    other = space;
    other.asid = 2;
    space_map(&space, 0xffffffff80000000ul, RAM_BASE, 2, PTE_ALL | PTE_G);
    memcpy(calls, table, sizeof(table));
    calls[3] = space_satp(&other);
    csr_write(satp, space_satp(&space));
    csr_write(satp, space_satp(&space)); /* the same value is no change */
    sfence_all();
    csr_write(medeleg, 1 << CAUSE_ECALL_U);
    csr_write(stvec, kernel_entry);
    csr_write(sscratch, task(1));
    run_set_alias(USER_ALIAS);
    r = RUN_U(program, (uint64_t)calls + USER_ALIAS, 0);
    CHECK(r.cause == CAUSE_ECALL_S && r.a0 == 3);
    CHECK_EQ(csr_read(satp), space_satp(&other));
    csr_write(satp, 0);
    sfence_all();
}
