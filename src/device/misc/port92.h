/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System control port A; see port92.c.
 */
#ifndef DEVICE_MISC_PORT92_H
#define DEVICE_MISC_PORT92_H

#include "device/dev.h"

struct port92_regs {
	uint8_t val;
	uint8_t pad_[7];
};

struct port92 {
	struct dev dev;
	struct port92_regs s;
	bool a20_at_reset; /* property: what bit 1 is after a reset */
	/* outputs */
	struct irq a20;   /* high: address bit 20 passes */
	struct irq reset; /* pulse: CPU reset */
};

extern const struct dev_class port92_class;

/** port92_follow_a20() - somebody else drives the line @p->a20 is connected to: bit 1 shows it. Bus
 * lock held. */
void port92_follow_a20(struct port92 *p, bool level);

#endif
