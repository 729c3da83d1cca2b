/* SPDX-License-Identifier: Apache-2.0 */
/*
 * High precision event timer; see hpet.c.
 */
#ifndef DEVICE_TIMER_HPET_H
#define DEVICE_TIMER_HPET_H

#include "device/dev.h"

#define HPET_BASE   0xfed00000ull
#define HPET_TIMERS 3u
#define HPET_ROUTES 24u /* inputs of the I/O APIC that a timer may be routed to */
#define HPET_HZ     100000000ull
#define HPET_ID     0x8086a201u /* GCAP_ID low, as the ACPI table repeats it */

struct hpet_timer {
	uint64_t comparator; /* next match */
	uint64_t period;     /* value last written in periodic mode: added after each match */
	uint64_t due;        /* tick since guest time 0 of the next match; all ones = none */
	uint32_t config;     /* writable bits of Tn_CONF */
	bool edge_high;      /* the last edge left the line high */
	uint8_t pad_[3];
};

struct hpet_regs {
	struct hpet_timer timer[HPET_TIMERS];
	uint64_t counter; /* halted: its value; running: its value at tick 0 (may be "negative") */
	uint32_t config;  /* ENABLE_CNF, LEG_RT_CNF */
	uint32_t status;  /* Tn_INT_STS of level-triggered timers */
};

struct hpet {
	struct dev dev;
	struct hpet_regs s;
	/* outputs */
	struct irq irq[HPET_ROUTES]; /* to the I/O APIC */
	struct irq legacy_irq0;      /* to IRQ0 (I/O APIC input 2), legacy replacement only */
	struct irq legacy_irq8;      /* to IRQ8 */
	struct irq legacy; /* high while legacy replacement is on: PIT and RTC are cut off */
	/* private */
	struct vtimer vt[HPET_TIMERS];
};

extern const struct dev_class hpet_class;

#endif
