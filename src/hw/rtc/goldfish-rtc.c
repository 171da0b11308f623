/* SPDX-License-Identifier: MIT */
/*
 * The goldfish real-time clock of Android's emulator (registers as in its GOLDFISH-VIRTUAL-HARDWARE
 * document): nanoseconds since 1970, and an alarm. The idea to hold: the clock is the host's plus an
 * offset that the guest chooses by setting the time.
 */
#include "hw/hw-classes.h"
#include "orrery/impl/device.h"

enum {
    RTC_TIME_LOW = 0x00, /* reading it latches the high half */
    RTC_TIME_HIGH = 0x04,
    RTC_ALARM_LOW = 0x08, /* writing it arms the alarm */
    RTC_ALARM_HIGH = 0x0c,
    RTC_IRQ_ENABLED = 0x10,
    RTC_CLEAR_ALARM = 0x14,
    RTC_ALARM_STATUS = 0x18,
    RTC_CLEAR_INTERRUPT = 0x1c,
    RTC_BYTES = 0x24,
};

typedef struct GoldfishRtc {
    Device dev;
    Timer alarm;
    uint64_t offset_ns; /* guest's time less the host's, modulo 2^64 */
    uint64_t alarm_ns;
    uint32_t time_high;
    bool alarm_running, irq_pending, irq_enabled;
} GoldfishRtc;

static uint64_t now_ns(const GoldfishRtc *rtc)
{
    return (uint64_t)clock_get_ns(rtc->dev.env->timers, CLOCK_KIND_HOST) + rtc->offset_ns;
}

static void update_irq(GoldfishRtc *rtc)
{
    device_irq_set(&rtc->dev, 0, rtc->irq_pending && rtc->irq_enabled);
}

static void ring(GoldfishRtc *rtc)
{
    rtc->alarm_running = false;
    rtc->irq_pending = true;
    update_irq(rtc);
}

static void set_alarm(GoldfishRtc *rtc)
{
    uint64_t host_deadline = rtc->alarm_ns - rtc->offset_ns;

    timer_disarm(&rtc->alarm);
    if ((int64_t)(rtc->alarm_ns - now_ns(rtc)) <= 0) {
        ring(rtc);
        return;
    }
    rtc->alarm_running = true;
    timer_arm_ns(&rtc->alarm, (int64_t)MIN(host_deadline, (uint64_t)INT64_MAX - 1));
}

static void clear_alarm(GoldfishRtc *rtc)
{
    timer_disarm(&rtc->alarm);
    rtc->alarm_running = false;
}

/* The host's clock may have been set back since the timer was armed. */
static void alarm_fired(void *opaque)
{
    set_alarm(opaque);
}

static MemTxResult rtc_read(void *opaque, hwaddr offset, unsigned size, uint64_t *value)
{
    GoldfishRtc *rtc = opaque;
    uint64_t now;

    switch (offset) {
    case RTC_TIME_LOW:
        now = now_ns(rtc);
        rtc->time_high = (uint32_t)(now >> 32);
        *value = now & UINT32_MAX;
        break;
    case RTC_TIME_HIGH:
        *value = rtc->time_high;
        break;
    case RTC_ALARM_LOW:
        *value = rtc->alarm_ns & UINT32_MAX;
        break;
    case RTC_ALARM_HIGH:
        *value = rtc->alarm_ns >> 32;
        break;
    case RTC_IRQ_ENABLED:
        *value = rtc->irq_enabled;
        break;
    case RTC_ALARM_STATUS:
        *value = rtc->alarm_running;
        break;
    default:
        *value = 0;
        break;
    }
    return MEMTX_OK;
}

static void set_time(GoldfishRtc *rtc, uint64_t time_ns)
{
    rtc->offset_ns += time_ns - now_ns(rtc);
    if (rtc->alarm_running) {
        set_alarm(rtc);
    }
}

static MemTxResult rtc_write(void *opaque, hwaddr offset, unsigned size, uint64_t value)
{
    GoldfishRtc *rtc = opaque;
    uint32_t word = (uint32_t)value;

    switch (offset) {
    case RTC_TIME_LOW:
        set_time(rtc, (now_ns(rtc) & ~(uint64_t)UINT32_MAX) | word);
        break;
    case RTC_TIME_HIGH:
        set_time(rtc, (now_ns(rtc) & UINT32_MAX) | (uint64_t)word << 32);
        break;
    case RTC_ALARM_LOW:
        rtc->alarm_ns = (rtc->alarm_ns & ~(uint64_t)UINT32_MAX) | word;
        set_alarm(rtc);
        break;
    case RTC_ALARM_HIGH:
        rtc->alarm_ns = (rtc->alarm_ns & UINT32_MAX) | (uint64_t)word << 32;
        break;
    case RTC_IRQ_ENABLED:
        rtc->irq_enabled = word & 1;
        update_irq(rtc);
        break;
    case RTC_CLEAR_ALARM:
        clear_alarm(rtc);
        break;
    case RTC_CLEAR_INTERRUPT:
        rtc->irq_pending = false;
        update_irq(rtc);
        break;
    default:
        if (orr_log_on(rtc->dev.env->log, LOG_GUEST_ERROR)) {
            orr_log(rtc->dev.env->log, "%s: write to no register at 0x%x\n", rtc->dev.id,
                    (unsigned)offset);
        }
        break;
    }
    return MEMTX_OK;
}

static const MmioOps rtc_ops = {
    .read = rtc_read,
    .write = rtc_write,
    .valid = { .min_bytes = 4, .max_bytes = 4 },
};

static bool rtc_realize(Device *dev, GError **error)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;

    timer_init(&rtc->alarm, dev->env->timers, CLOCK_KIND_HOST, false, "goldfish-rtc", alarm_fired,
               rtc);
    device_init_region(dev, "registers", &rtc_ops, RTC_BYTES);
    device_init_irq_out(dev, 1);
    return true;
}

static void rtc_unrealize(Device *dev)
{
    timer_finish(&((GoldfishRtc *)dev)->alarm);
}

/* The time goes on, as a battery-backed clock's does. */
static void rtc_reset(Device *dev)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;

    clear_alarm(rtc);
    rtc->alarm_ns = 0;
    rtc->time_high = 0;
    rtc->irq_enabled = false;
    rtc->irq_pending = false;
    update_irq(rtc);
}

const DeviceClass goldfish_rtc_class = {
    .name = "goldfish-rtc",
    .summary = "goldfish real-time clock",
    .instance_bytes = sizeof(GoldfishRtc),
    .realize = rtc_realize,
    .unrealize = rtc_unrealize,
    .reset = rtc_reset,
};
