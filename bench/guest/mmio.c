/* SPDX-License-Identifier: MIT */
/*
 * What one access to a device costs: reads of a register whose device wants the machine lock (the
 * UART's scratch register), of one that does not (mtime), and of RAM, for comparison.
 */
#include "guest.h"

#define READS 200000
#define SCRATCH (UART_BASE + 7)

#define MEASURE(name, read)                                                                        \
    do {                                                                                           \
        uint64_t start_ = now(), sum_ = 0;                                                         \
                                                                                                   \
        for (unsigned i_ = 0; i_ < READS; i_++) {                                                  \
            sum_ += (read);                                                                        \
        }                                                                                          \
        print("mmio %s=%u ticks=%lu checksum=%08x\n", name, READS, now() - start_,                 \
              (unsigned)(sum_ / READS));                                                           \
    } while (0)

static volatile uint64_t word = 0x55;

static uint64_t high_word(void)
{
    return read64(CLINT_MTIME) >> 63;
}

void guest_main(void)
{
    write8(SCRATCH, 0x5a);
    MEASURE("ram", word);
    MEASURE("uart", read8(SCRATCH));
    MEASURE("mtime", high_word());
    power_off(0);
}
