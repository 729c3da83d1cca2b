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
	/* outputs */
	struct irq a20;   /* high: address bit 20 passes; ORed with the keyboard controller's */
	struct irq reset; /* pulse: CPU reset */
};

extern const struct dev_class port92_class;

#endif
