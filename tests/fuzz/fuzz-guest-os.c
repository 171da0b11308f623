/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for what is read from a guest's kernel: BTF, banner, tasks, page by page. An input's
 * first byte says whether the BTF is the input itself or a well-formed one in which some bytes are
 * changed; the rest is also what stands in memory where a task should be. Whatever it is, what
 * comes out must be a pid that there may be and a name that can be printed, or neither.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/btf-sample.h"
#include "guest-os/btf.h"
#include "orrery/impl/guest-os.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(1) << 18)
#define HIGH UINT64_C(0xffffffff00000000)
#define BTF_AT 0x1000
#define TASK_AT 0x20000
#define INPUT_BYTES 8192

static struct {
    Memory *memory;
    RamBlock *ram;
} world;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    world.memory = memory_create();
    world.ram = memory_add_ram(world.memory, "ram", RAM_BASE, RAM_BYTES, false, NULL);
    /* A warning for each input would be many. Sanitizers write to descriptor 2 all the same. */
    stderr = fopen("/dev/null", "w");
    return 0;
}

static bool translate(void *opaque, uint64_t vaddr, uint64_t *paddr)
{
    const uint8_t *holes = opaque;

    *paddr = vaddr & 0xffffffff;
    return vaddr >> 32 == 0xffffffff && (vaddr >> 12 & 0xff) != *holes;
}

static void check(const GuestVcpu *vcpu)
{
    size_t length = strnlen(vcpu->comm, sizeof(vcpu->comm));

    if (length == sizeof(vcpu->comm) || !g_utf8_validate(vcpu->comm, (gssize)length, NULL) ||
        vcpu->pid < -1 || vcpu->pid > 4 << 20 || vcpu->tgid < -1 || vcpu->tgid > 4 << 20 ||
        (vcpu->pid < 0) != (vcpu->tgid < 0) || (vcpu->pid < 0 && length > 0)) {
        abort();
    }
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)vcpu->comm[i] < ' ') {
            abort();
        }
    }
}

static void check_layout(const GByteArray *btf)
{
    uint8_t *copy = g_memdup2(btf->data, btf->len);
    TaskLayout layout;

    if (btf_task_layout(copy, btf->len, &layout) &&
        (layout.pid > 0x20000 || layout.tgid > 0x20000 || layout.comm > 0x20000 ||
         layout.comm_bytes > 64)) {
        abort();
    }
    g_free(copy);
}

static void run(uint8_t hole, bool places)
{
    GuestOs *os =
        guest_os_create(world.memory, places ? "pid:1032+tgid:1036+comm:2000" : NULL, NULL);
    static const uint64_t args[6];
    GuestVcpu vcpu = { 0 };
    GuestMoment moment = { .vcpu = &vcpu,
                           .code = HIGH | RAM_BASE,
                           .translate = translate,
                           .syscall_name = guest_linux_generic_syscall,
                           .opaque = &hole };

    for (unsigned i = 0; i < 8; i++) {
        moment.task = HIGH | (RAM_BASE + TASK_AT + (i % 4) * 0x1000 + i / 4 * 8);
        guest_os_observe(os, &moment, i & 1);
        check(&vcpu);
        guest_os_syscall_enter(os, &moment, moment.task >> i, args, i, i + 4);
        guest_os_syscall_exit(os, &moment, i + 4, 0);
        check(&vcpu);
    }
    guest_os_destroy(os);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GByteArray *btf;

    if (size < 4 || size > INPUT_BYTES) {
        return 0;
    }
    if (data[0] % 4 == 0) {
        btf = g_byte_array_new();
        g_byte_array_append(btf, data, (guint)size);
        memcpy(btf->data, btf_magic, MIN(size, sizeof(btf_magic)));
    } else {
        btf = btf_sample();
        /* A few changes at most: BTF that is all wrong only ever fails the first check. */
        for (size_t i = 3; i + 2 < size && i < 3 + 3 * (size_t)(data[1] % 8); i += 3) {
            btf->data[(data[i] | data[i + 1] << 8) % btf->len] = data[i + 2];
        }
    }
    if (data[1] & 0x80) {
        g_byte_array_set_size(btf, btf->len * (data[1] & 0x7f) / 128 + 1);
    }
    check_layout(btf);

    memset(world.ram->host, 0, RAM_BYTES);
    memcpy(world.ram->host + BTF_AT, btf->data, btf->len);
    for (unsigned i = 0; i < 4; i++) {
        memcpy(world.ram->host + TASK_AT + i * 0x1000 + 0x400 * i, data, MIN(size, 0x1000));
    }
    if (data[2] & 1) {
        memcpy(world.ram->host + 0x100, "Linux version 6.", 16);
        memcpy(world.ram->host + 0x110, data, MIN(size, 0x200));
    }
    run(data[2], data[0] % 8 == 1);
    g_byte_array_unref(btf);
    return 0;
}
