/* SPDX-License-Identifier: MIT */
/*
 * Guest awareness without a guest: BTF good and damaged, finding it in memory and in files, tasks
 * that look right and that do not, and calls from their beginning to their end on another vCPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "btf-sample.h"
#include "guest-os/btf.h"
#include "orrery/impl/guest-os.h"
#include "orrery/impl/trace.h"
#include "trace-fixture.h"

/* ---- BTF. */

static bool read_layout(const GByteArray *btf, TaskLayout *layout)
{
    /* In a block of its own size, so that a sanitizer sees a read beyond it. */
    uint8_t *copy = g_memdup2(btf->data, btf->len);
    bool found = btf_task_layout(copy, btf->len, layout);

    g_free(copy);
    return found;
}

static void test_layout(void **state)
{
    GByteArray *btf = btf_sample();
    TaskLayout layout;

    assert_int_equal(btf_size(btf->data), btf->len);
    assert_true(read_layout(btf, &layout));
    assert_int_equal(layout.pid, SAMPLE_PID);
    assert_int_equal(layout.tgid, SAMPLE_TGID);
    assert_int_equal(layout.comm, SAMPLE_COMM);
    assert_int_equal(layout.comm_bytes, SAMPLE_COMM_BYTES);
    g_byte_array_unref(btf);
}

static void test_truncated(void **state)
{
    GByteArray *btf = btf_sample();
    TaskLayout layout;

    while (btf->len > 0) {
        g_byte_array_set_size(btf, btf->len - 1);
        assert_false(read_layout(btf, &layout));
    }
    g_byte_array_unref(btf);
}

/* Each byte with each of some values: whatever is made of it lies within what a task may be. */
static void test_damaged(void **state)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x04, 0x7f, 0x80, 0xff };
    GByteArray *btf = btf_sample();
    unsigned refused = 0;

    for (guint i = 0; i < btf->len; i++) {
        uint8_t before = btf->data[i];

        for (unsigned v = 0; v < G_N_ELEMENTS(values); v++) {
            TaskLayout layout;

            btf->data[i] = values[v];
            if (!read_layout(btf, &layout)) {
                refused++;
                continue;
            }
            assert_true(layout.pid <= 0x20000 - 4 && layout.tgid <= 0x20000 - 4);
            assert_true(layout.comm_bytes <= 64 && layout.comm + layout.comm_bytes <= 0x20000);
        }
        btf->data[i] = before;
    }
    assert_true(refused > 500);
    g_byte_array_unref(btf);
}

/* Sets a 32-bit word of the n-th type: 0 name, 1 info, 2 size or type, 3... what follows. */
static void set_type_word(GByteArray *btf, unsigned type, unsigned word, uint32_t value)
{
    static const unsigned at[] = { 0, 0, 16, 28, 40, 56, 80, 116 };

    value = GUINT32_TO_LE(value);
    memcpy(btf->data + BTF_HEADER_BYTES + at[type] + 4 * word, &value, sizeof(value));
}

static void assert_refused(unsigned type, unsigned word, uint32_t value)
{
    GByteArray *btf = btf_sample();
    TaskLayout layout;

    set_type_word(btf, type, word, value);
    assert_false(read_layout(btf, &layout));
    g_byte_array_unref(btf);
}

static void test_wrong_types(void **state)
{
    assert_refused(SAMPLE_T_PID, 2, SAMPLE_T_CHAR);      /* a pid of one byte */
    assert_refused(SAMPLE_T_PID, 2, SAMPLE_T_PID);       /* a type that is itself */
    assert_refused(SAMPLE_T_PID, 2, 0x7fffffff);         /* a type that is not there */
    assert_refused(SAMPLE_T_COMM, 3, SAMPLE_T_INT);      /* a name of ints */
    assert_refused(SAMPLE_T_COMM, 5, 1);                 /* a name of one byte, */
    assert_refused(SAMPLE_T_COMM, 5, 0xffffffff);        /* and of very many */
    assert_refused(SAMPLE_T_INNER, 5, 9 * 8);            /* a pid that is not aligned, */
    assert_refused(SAMPLE_T_INNER, 5, 65);               /* nor even to a byte */
    assert_refused(SAMPLE_T_INNER, 4, SAMPLE_T_INNER);   /* a struct inside itself */
    assert_refused(SAMPLE_T_TASK, 2, 64);                /* members beyond the end */
    assert_refused(SAMPLE_T_TASK, 2, 0xffffffff);        /* no task is as large */
    assert_refused(SAMPLE_T_TASK, 1, 4u << 24 | 0xffff); /* more members than bytes */
    assert_refused(SAMPLE_T_TASK, 1, 0);                 /* no kind */
    assert_refused(SAMPLE_T_TASK, 1, 31u << 24 | 3);     /* an unknown one */
    assert_refused(SAMPLE_T_TASK, 0, 0xffffffff);        /* a name that is not there */
}

/* ---- A guest: RAM, in which the "kernel" sees physical addresses with the upper half set. */

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(32) << 20)
#define HIGH UINT64_C(0xffffffff00000000)
#define CODE (HIGH | (RAM_BASE + 0x200000))
#define TASK(n) (HIGH | (RAM_BASE + 0x1000000 + (n)*UINT64_C(0x2000)))

typedef struct Guest {
    TraceFixture *trace;
    Memory *memory;
    RamBlock *ram;
    GuestOs *os;
    GuestVcpu vcpus[2];
} Guest;

static bool translate(void *opaque, uint64_t vaddr, uint64_t *paddr)
{
    *paddr = vaddr & 0xffffffff;
    return vaddr >> 32 == 0xffffffff;
}

static const char *name_of_call(uint64_t nr)
{
    return nr == 7 ? "seven" : NULL;
}

static GuestMoment moment(Guest *g, unsigned cpu, uint64_t task)
{
    return (GuestMoment){ .vcpu = &g->vcpus[cpu],
                          .cpu = cpu,
                          .task = task,
                          .space = 0x1234,
                          .code = CODE,
                          .syscall_name = name_of_call,
                          .translate = translate };
}

static void *at(Guest *g, uint64_t vaddr)
{
    return g->ram->host + ((vaddr & 0xffffffff) - RAM_BASE);
}

static void put_task(Guest *g, uint64_t task, int32_t pid, int32_t tgid, const char *comm)
{
    uint8_t *to = at(g, task);

    memcpy(to + SAMPLE_PID, &pid, sizeof(pid));
    memcpy(to + SAMPLE_TGID, &tgid, sizeof(tgid));
    memset(to + SAMPLE_COMM, 0, SAMPLE_COMM_BYTES);
    memcpy(to + SAMPLE_COMM, comm, MIN(strlen(comm) + 1, SAMPLE_COMM_BYTES));
}

static void put_kernel(Guest *g, bool banner, bool btf)
{
    if (banner) {
        strcpy(at(g, CODE + 0x300123), "Linux version %s");
        strcpy(at(g, CODE + 0x3ffffa), "Linux version 6.99 (me@here) #1\n");
    }
    if (btf) {
        GByteArray *sample = btf_sample();

        memcpy(at(g, CODE + 0xffff0), btf_magic, sizeof(btf_magic)); /* nothing behind it */
        memcpy(at(g, CODE + 0x1ffffc), sample->data, sample->len);   /* over chunks' border */
        g_byte_array_unref(sample);
    }
}

static int guest_set_up(void **state)
{
    Guest *g = g_new0(Guest, 1);
    void *trace = NULL;

    tf_set_up(&trace);
    g->trace = trace;
    g->memory = memory_create();
    g->ram = memory_add_ram(g->memory, "ram", RAM_BASE, RAM_BYTES, false, NULL);
    assert_non_null(g->ram);
    *state = g;
    return 0;
}

static int guest_tear_down(void **state)
{
    Guest *g = *state;
    void *trace = g->trace;

    guest_os_destroy(g->os);
    memory_destroy(g->memory);
    g_free(g);
    return tf_tear_down(&trace);
}

static void start(Guest *g, const char *option)
{
    GError *error = NULL;

    g->os = guest_os_create(g->memory, option, &error);
    assert_null(error);
    assert_non_null(g->os);
    tf_log_to(g->trace, "guest:*");
}

/* The lines so far, after "guest:", joined; the trace ends. Durations are left out. */
static void assert_events(Guest *g, const char *expected)
{
    g_autoptr(GString) got = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    orr_trace_stop();
    lines = tf_read_lines(g->trace->file);
    for (unsigned i = 0; lines[i] && *lines[i]; i++) {
        const char *event = strstr(lines[i], "] guest:");
        const char *duration;

        assert_non_null(event);
        duration = strstr(event, " duration_ns=");
        g_string_append_len(got, event + 8, duration ? duration - event - 8 : -1);
        g_string_append_c(got, '\n');
    }
    assert_string_equal(got->str, expected);
}

static void observe(Guest *g, unsigned cpu, uint64_t task, bool refresh)
{
    GuestMoment m = moment(g, cpu, task);

    guest_os_observe(g->os, &m, refresh);
}

static void enter(Guest *g, unsigned cpu, uint64_t task, uint64_t nr, uint64_t pc)
{
    static const uint64_t args[6] = { 1, 2, 3, 4, 5, 6 };
    GuestMoment m = moment(g, cpu, task);

    guest_os_syscall_enter(g->os, &m, nr, args, pc, pc + 4);
}

static void leave(Guest *g, unsigned cpu, uint64_t task, uint64_t pc, uint64_t ret)
{
    GuestMoment m = moment(g, cpu, task);

    guest_os_syscall_exit(g->os, &m, pc, ret);
}

#define KERNEL                                                                                     \
    "kernel banner=\"Linux version 6.99 (me@here) #1\" layout=btf pid_offset=1032 "                \
    "tgid_offset=1036 comm_offset=2000\n"

static void test_switches(void **state)
{
    Guest *g = *state;

    put_kernel(g, true, true);
    put_task(g, TASK(0), 0, 0, "swapper/0");
    put_task(g, TASK(1), 1, 1, "init");
    put_task(g, TASK(2), 4194304, 70, "fifteen letters");
    start(g, "auto");
    observe(g, 0, TASK(0), false);
    observe(g, 0, TASK(0), true);
    observe(g, 0, TASK(1), false);
    observe(g, 1, TASK(2), true);
    put_task(g, TASK(1), 1, 1, "systemd");
    observe(g, 0, TASK(1), false);
    observe(g, 0, 0, true);
    observe(g, 0, TASK(1), true);
    assert_events(
        g, KERNEL
        "task_switch cpu=0 pid=0 tgid=0 comm=swapper/0 prev_pid=-1 prev_tgid=-1 prev_comm=\"\" "
        "task=0xffffffff81000000\n"
        "task_switch cpu=0 pid=1 tgid=1 comm=init prev_pid=0 prev_tgid=0 prev_comm=swapper/0 "
        "task=0xffffffff81002000\n"
        "task_switch cpu=1 pid=4194304 tgid=70 comm=\"fifteen letters\" prev_pid=-1 prev_tgid=-1 "
        "prev_comm=\"\" task=0xffffffff81004000\n"
        "task_rename cpu=0 pid=1 tgid=1 comm=systemd prev_comm=init\n");
}

/* What is no task gives no pid and no name, whatever is there. */
static void test_garbage(void **state)
{
    static const struct {
        int32_t pid, tgid;
        const char *comm;
    } wrong[] = {
        { -1, 1, "a" },    { 4194305, 1, "a" }, { 1, -5, "a" },
        { 0, 7, "a" },     { 5, 0, "a" },       { 1, 1, "sixteen letters!" },
        { 1, 1, "a\x01" }, { 1, 1, "\x7f" },    { 1, 1, "\xff\xfe" },
        { 1, 1, "\n" },    { 0, 0, "" },
    };
    Guest *g = *state;
    g_autoptr(GString) expected = g_string_new(KERNEL);

    put_kernel(g, true, true);
    start(g, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        put_task(g, TASK(i), wrong[i].pid, wrong[i].tgid, wrong[i].comm);
        observe(g, 0, TASK(i), true);
        observe(g, 0, TASK(i), true);
        g_string_append_printf(expected,
                               "task_switch cpu=0 pid=-1 tgid=-1 comm=\"\" prev_pid=-1 "
                               "prev_tgid=-1 prev_comm=\"\" task=0x%" G_GINT64_MODIFIER "x\n",
                               TASK(i));
    }
    observe(g, 0, TASK(0) + 4, true);                       /* not aligned */
    observe(g, 0, 0x80000000, true);                        /* not the kernel's */
    observe(g, 0, HIGH | (RAM_BASE + RAM_BYTES - 8), true); /* the fields are beyond RAM */
    g_string_append(expected, "task_switch cpu=0 pid=-1 tgid=-1 comm=\"\" prev_pid=-1 "
                              "prev_tgid=-1 prev_comm=\"\" task=0xffffffff81fffff8\n");
    put_task(g, TASK(0), 3, 3, "caf\xc3\xa9");
    observe(g, 0, TASK(0), true);
    g_string_append(expected, "task_switch cpu=0 pid=3 tgid=3 comm=\"caf\xc3\xa9\" prev_pid=-1 "
                              "prev_tgid=-1 prev_comm=\"\" task=0xffffffff81000000\n");
    assert_events(g, expected->str);
}

static void test_no_btf(void **state)
{
    Guest *g = *state;
    int saved;

    put_kernel(g, true, false);
    put_task(g, TASK(0), 1, 1, "init");
    start(g, NULL);
    saved = tf_stderr_to("/dev/null");
    observe(g, 0, TASK(0), true);
    tf_stderr_back(saved);
    observe(g, 0, TASK(0), true);
    enter(g, 0, TASK(0), 7, 0x1000);
    leave(g, 0, TASK(0), 0x1004, (uint64_t)-2);
    assert_events(g,
                  "kernel banner=\"Linux version 6.99 (me@here) #1\" layout=unknown pid_offset=0 "
                  "tgid_offset=0 comm_offset=0\n"
                  "task_switch cpu=0 pid=-1 tgid=-1 comm=\"\" prev_pid=-1 prev_tgid=-1 "
                  "prev_comm=\"\" task=0xffffffff81000000\n"
                  "syscall_enter cpu=0 pid=-1 nr=7 name=seven arg0=0x1 arg1=0x2 arg2=0x3 "
                  "arg3=0x4 arg4=0x5 arg5=0x6\n"
                  "syscall_exit cpu=0 pid=-1 nr=7 name=seven ret=-2 way=returned\n");
}

/* Something else than Linux: calls are told apart by address space, and nothing is named. */
static void test_foreign(void **state)
{
    Guest *g = *state;
    int saved;

    start(g, NULL);
    saved = tf_stderr_to("/dev/null");
    for (unsigned i = 0; i < 5; i++) {
        observe(g, 0, TASK(0), true);
    }
    tf_stderr_back(saved);
    enter(g, 0, TASK(0), 7, 0x1000);
    leave(g, 1, TASK(1), 0x1004, 9);
    enter(g, 0, TASK(0), 7, 0x1000);
    leave(g, 0, TASK(0), 0x2000, 9); /* a program that is new in the old one's place */
    leave(g, 0, TASK(0), 0x1004, 9);
    assert_events(g, "syscall_enter cpu=0 pid=-1 nr=7 name=\"\" arg0=0x1 arg1=0x2 arg2=0x3 "
                     "arg3=0x4 arg4=0x5 arg5=0x6\n"
                     "syscall_exit cpu=1 pid=-1 nr=7 name=\"\" ret=9 way=returned\n"
                     "syscall_enter cpu=0 pid=-1 nr=7 name=\"\" arg0=0x1 arg1=0x2 arg2=0x3 "
                     "arg3=0x4 arg4=0x5 arg5=0x6\n");
}

#define SWITCH(cpu, n)                                                                             \
    "task_switch cpu=" #cpu " pid=" #n " tgid=" #n " comm=t" #n " prev_pid=-1 prev_tgid=-1 "       \
    "prev_comm=\"\" task=0xffffffff8100" #n "000\n"
#define ENTER(cpu, pid, nr, name)                                                                  \
    "syscall_enter cpu=" #cpu " pid=" #pid " nr=" #nr " name=" name " arg0=0x1 arg1=0x2 arg2=0x3 " \
    "arg3=0x4 arg4=0x5 arg5=0x6\n"

static void test_calls(void **state)
{
    static const char *const parts[] = {
        KERNEL,
        SWITCH(0, 2),
        ENTER(0, 2, 7, "seven"),
        SWITCH(1, 4),
        ENTER(1, 4, 8, "\"\""),
        "task_switch cpu=1 pid=2 tgid=2 comm=t2 prev_pid=4 prev_tgid=4 prev_comm=t4 "
        "task=0xffffffff81002000\n",
        "syscall_exit cpu=1 pid=2 nr=7 name=seven ret=42 way=returned\n",
        "task_switch cpu=0 pid=4 tgid=4 comm=t4 prev_pid=2 prev_tgid=2 prev_comm=t2 "
        "task=0xffffffff81004000\n",
        "syscall_exit cpu=0 pid=4 nr=8 name=\"\" ret=0 way=restarted\n",
        ENTER(0, 4, 8, "\"\""),
        "syscall_exit cpu=0 pid=4 nr=8 name=\"\" ret=0 way=redirected\n",
        ENTER(0, 4, 8, "\"\""),
        "task_rename cpu=0 pid=6 tgid=6 comm=t6 prev_comm=t4\n",
        NULL,
    };
    g_autofree char *expected = g_strjoinv("", (char **)parts);
    Guest *g = *state;

    put_kernel(g, true, true);
    put_task(g, TASK(1), 2, 2, "t2");
    put_task(g, TASK(2), 4, 4, "t4");
    start(g, NULL);
    enter(g, 0, TASK(1), 7, 0x1000);
    enter(g, 1, TASK(2), 8, 0x2000);
    leave(g, 1, TASK(1), 0x1004, 42); /* called on the other vCPU */
    leave(g, 1, TASK(1), 0x1004, 43); /* an interrupt's end */
    leave(g, 0, TASK(2), 0x2000, 1);
    enter(g, 0, TASK(2), 8, 0x2000);
    leave(g, 0, TASK(2), 0x9000, 1);
    enter(g, 0, TASK(2), 8, 0x2000);
    put_task(g, TASK(2), 6, 6, "t6"); /* it has ended in its call, and another is in its place */
    leave(g, 0, TASK(2), 0x2004, 1);
    assert_events(g, expected);
}

/* Far more callers than there is room for: the table stays as it is, and the newest are in it. */
static void test_many_callers(void **state)
{
    Guest *g = *state;
    unsigned seen = 0;
    g_auto(GStrv) lines = NULL;

    start(g, "off");
    for (uint64_t i = 1; i <= 100000; i++) {
        GuestMoment m = moment(g, 0, 0);
        static const uint64_t args[6];

        m.space = i << 12;
        guest_os_syscall_enter(g->os, &m, 1, args, 0x1000, 0x1004);
        if (i % 1000 == 0) {
            guest_os_syscall_exit(g->os, &m, 0x1004, i);
        }
    }
    orr_trace_stop();
    lines = tf_read_lines(g->trace->file);
    for (unsigned i = 0; lines[i]; i++) {
        seen += strstr(lines[i], "syscall_exit") != NULL;
    }
    assert_int_equal(seen, 100);
}

static void test_reset(void **state)
{
    Guest *g = *state;

    put_kernel(g, true, true);
    put_task(g, TASK(0), 1, 1, "init");
    start(g, NULL);
    observe(g, 0, TASK(0), false);
    guest_os_reset(g->os);
    memset(&g->vcpus[0], 0, sizeof(g->vcpus[0]));
    observe(g, 0, TASK(0), false);
    assert_events(
        g,
        KERNEL "task_switch cpu=0 pid=1 tgid=1 comm=init prev_pid=-1 prev_tgid=-1 prev_comm=\"\" "
               "task=0xffffffff81000000\n" KERNEL
               "task_switch cpu=0 pid=1 tgid=1 comm=init prev_pid=-1 prev_tgid=-1 prev_comm=\"\" "
               "task=0xffffffff81000000\n");
}

/* ---- The option. */

static void test_given_places(void **state)
{
    Guest *g = *state;

    put_kernel(g, true, false);
    put_task(g, TASK(0), 12, 12, "sh");
    start(g, "comm:2000+pid:0x408+tgid:1036");
    observe(g, 0, TASK(0), false);
    assert_events(g, "kernel banner=\"Linux version 6.99 (me@here) #1\" layout=given "
                     "pid_offset=1032 tgid_offset=1036 comm_offset=2000\n"
                     "task_switch cpu=0 pid=12 tgid=12 comm=sh prev_pid=-1 prev_tgid=-1 "
                     "prev_comm=\"\" task=0xffffffff81000000\n");
}

static void test_file(void **state)
{
    Guest *g = *state;
    g_autofree char *path = g_build_filename(g->trace->dir, "vmlinux", NULL);
    g_autofree char *expected = NULL;
    GByteArray *file = g_byte_array_new(), *sample = btf_sample();

    g_byte_array_set_size(file, 3 << 20);
    memset(file->data, 0x55, file->len);
    memcpy(file->data + (2 << 20) - 12, sample->data, sample->len);
    g_file_set_contents(path, (const char *)file->data, file->len, NULL);
    put_task(g, TASK(0), 12, 12, "sh");
    start(g, path);
    observe(g, 0, TASK(0), false);
    expected = g_strdup_printf("kernel banner=\"\" layout=%s pid_offset=1032 tgid_offset=1036 "
                               "comm_offset=2000\n"
                               "task_switch cpu=0 pid=12 tgid=12 comm=sh prev_pid=-1 prev_tgid=-1 "
                               "prev_comm=\"\" task=0xffffffff81000000\n",
                               path);
    assert_events(g, expected);
    remove(path);
    g_byte_array_unref(sample);
    g_byte_array_unref(file);
}

static void assert_option_refused(Guest *g, const char *option, const char *part)
{
    GError *error = NULL;

    assert_null(guest_os_create(g->memory, option, &error));
    assert_non_null(strstr(error->message, part));
    g_error_free(error);
}

static void test_option_refused(void **state)
{
    Guest *g = *state;
    const char *places = "all three";

    assert_option_refused(g, "pid:1", places);
    assert_option_refused(g, "pid:1+tgid:2", places);
    assert_option_refused(g, "pid:1+tgid:2+comm:x", places);
    assert_option_refused(g, "pid:1+tgid:2+comm:-3", places);
    assert_option_refused(g, "pid:1+pid:2+comm:3", places);
    assert_option_refused(g, "pid:1+tgid:2+comm:9999999", places);
    assert_option_refused(g, "pid:1+tgid:2+comm:3+comm:4", places);
    assert_option_refused(g, "/nonexistent/vmlinux", "cannot be read as a file");
    assert_option_refused(g, "/proc/self/exe", "there is no BTF in it");
    assert_option_refused(g, "", "cannot be read as a file");
}

static void test_syscall_names(void **state)
{
    assert_string_equal(guest_linux_generic_syscall(63), "read");
    assert_string_equal(guest_linux_generic_syscall(221), "execve");
    assert_null(guest_linux_generic_syscall(250));
    assert_null(guest_linux_generic_syscall(UINT64_MAX));
}

#define WITH_GUEST(name) cmocka_unit_test_setup_teardown(name, guest_set_up, guest_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_wrong_types),
        WITH_GUEST(test_option_refused), cmocka_unit_test(test_syscall_names),
    };
    const struct CMUnitTest traced[] = {
        WITH_GUEST(test_switches), WITH_GUEST(test_garbage),      WITH_GUEST(test_no_btf),
        WITH_GUEST(test_foreign),  WITH_GUEST(test_calls),        WITH_GUEST(test_many_callers),
        WITH_GUEST(test_reset),    WITH_GUEST(test_given_places), WITH_GUEST(test_file),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    /* Not under -Dtrace=disabled. */
    if (orr_trace_subsystems[0]) {
        failed += cmocka_run_group_tests(traced, NULL, NULL);
    }
    return failed;
}
