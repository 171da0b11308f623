/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's access to what is not plain RAM. A lockless region is served inside an epoch read section;
 * any other under the machine lock, which itself keeps the map still, so that no thread ever waits
 * for the lock inside a read section that a writer with the lock waits for.
 */
#include <string.h>

#include "src/cpus/internal.h"

typedef struct MmioAccess {
    hwaddr addr;
    unsigned size;
    bool write;
    uint64_t *value;
} MmioAccess;

static MemTxResult perform(Vcpu *vcpu, const MemSection *section, const MmioAccess *access)
{
    if (section->remaining_bytes < access->size) {
        return MEMTX_DECODE_ERROR;
    }
    if (section->ram) {
        uint8_t *host = section->ram->host + section->offset;

        if (!access->write) {
            *access->value = 0;
            memcpy(access->value, host, access->size);
        } else if (!section->ram->readonly) {
            memcpy(host, access->value, access->size);
            ram_note_write(section->ram, section->offset, access->size);
        }
        return MEMTX_OK;
    }
    if (access->write) {
        return mmio_write(section, (int)vcpu->accel.index, access->size, *access->value);
    }
    return mmio_read(section, (int)vcpu->accel.index, access->size, access->value);
}

static MemTxResult access_device(Vcpu *vcpu, const MmioAccess *access)
{
    VcpuState before = vcpu_state(vcpu);
    Memory *memory = vcpu->memory;
    MemTxResult result = MEMTX_DECODE_ERROR;
    MemSection section;
    uint32_t token;
    bool found, lockless;

    vcpu_set_state(vcpu, VCPU_STATE_DEVICE, "mmio");
    token = memory_read_enter(memory);
    found = memory_find(memory, access->addr, &section);
    lockless = !found || section.ram || mem_region_lockless(section.region);
    if (found && lockless) {
        result = perform(vcpu, &section, access);
    }
    memory_read_exit(memory, token);
    if (!lockless) {
        vcpu_machine_lock(vcpu);
        if (memory_find(memory, access->addr, &section)) {
            result = perform(vcpu, &section, access);
        }
        vcpu_machine_unlock(vcpu);
    }
    vcpu_set_state(vcpu, before, "mmio done");
    return result;
}

MemTxResult vcpu_mmio_read(Vcpu *vcpu, hwaddr addr, unsigned size, uint64_t *value)
{
    MmioAccess access = { .addr = addr, .size = size, .value = value };

    *value = 0;
    return access_device(vcpu, &access);
}

MemTxResult vcpu_mmio_write(Vcpu *vcpu, hwaddr addr, unsigned size, uint64_t value)
{
    MmioAccess access = { .addr = addr, .size = size, .write = true, .value = &value };

    return access_device(vcpu, &access);
}
