/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real-time clock and CMOS memory; see mc146818.c.
 */
#ifndef DEVICE_TIMER_MC146818_H
#define DEVICE_TIMER_MC146818_H

#include "device/dev.h"

#define MC146818_BYTES 128u

/* CMOS bytes of the PC that a machine or a firmware may want (IBM PC/AT Technical Reference). */
enum {
	CMOS_SHUTDOWN = 0x0f, /* what the BIOS does after a reset */
	CMOS_FLOPPY = 0x10,
	CMOS_EQUIPMENT = 0x14,
	CMOS_BASE_LO = 0x15, /* KiB below 640 KiB */
	CMOS_BASE_HI = 0x16,
	CMOS_EXT_LO = 0x17, /* KiB above 1 MiB, <= 65535; again at 30h */
	CMOS_EXT_HI = 0x18,
	CMOS_CENTURY = 0x32,
};

struct mc146818_regs {
	uint8_t ram[MC146818_BYTES]; /* time bytes are used while the clock is held only */
	int64_t offset_ns;           /* RTC time minus the clock's wall time */
	uint64_t held_ns;            /* RTC time at which it was stopped (SET or divider reset) */
	uint64_t flags_ns;           /* flags in C are complete up to this RTC time */
	uint8_t index;               /* port 70h bits 6:0 */
	uint8_t a, b, c;             /* registers A (without UIP), B, C (without IRQF) */
	uint8_t weekday;             /* added to the computed day of the week, modulo 7 */
	bool nmi_masked;             /* port 70h bit 7 */
	bool irq_off;                /* HPET legacy replacement has taken IRQ8 */
	uint8_t pad_;
};

struct mc146818 {
	struct dev dev;
	struct mc146818_regs s;
	struct irq irq;      /* out: ISA IRQ8 */
	struct irq nmi_mask; /* out: high while NMI is masked */
	/* private */
	struct vtimer timer;
};

extern const struct dev_class mc146818_class;

/** mc146818_set_cmos/get_cmos() - battery-backed byte @index, 0eh..7fh but not the century byte.
 * For machine/: memory sizes, boot order. Any time after dev_new(); bus lock held once realized. */
void mc146818_set_cmos(struct mc146818 *rtc, unsigned index, uint8_t val);
uint8_t mc146818_get_cmos(const struct mc146818 *rtc, unsigned index);

/** mc146818_set_legacy() - irq sink: while high, the RTC is cut off from IRQ8 (HPET LEG_RT_CNF).
 * @ctx: the struct mc146818. Bus lock held. */
void mc146818_set_legacy(void *ctx, unsigned pin, bool level);

#endif
