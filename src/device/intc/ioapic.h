/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC with 24 inputs; see ioapic.c.
 */
#ifndef DEVICE_INTC_IOAPIC_H
#define DEVICE_INTC_IOAPIC_H

#include "device/dev.h"

#define IOAPIC_PINS 24u
#define IOAPIC_BASE 0xfec00000ull

struct ioapic_regs {
	uint64_t rte[IOAPIC_PINS]; /* redirection table */
	uint32_t lines;            /* input levels, 1 = asserted; survives reset (they are wires) */
	uint32_t id;               /* IOAPICID, bits 27:24 */
	uint8_t sel;               /* IOREGSEL */
	uint8_t pad_[7];
};

struct ioapic {
	struct dev dev;
	struct ioapic_regs s;
	/* private */
	struct msi_eoi_listener eoi;
};

extern const struct dev_class ioapic_class;

/** ioapic_set_line() - irq sink: input @pin, 0..23, asserted or not (whatever its polarity).
 * @ctx: the struct ioapic. Bus lock held. */
void ioapic_set_line(void *ctx, unsigned pin, bool level);

#endif
