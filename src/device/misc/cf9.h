/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset control register at port CF9h; see cf9.c.
 */
#ifndef DEVICE_MISC_CF9_H
#define DEVICE_MISC_CF9_H

#include "device/dev.h"

enum { CF9_PORT = 0xcf9 };

struct cf9_regs {
	uint8_t rcr;
	uint8_t pad_[7];
};

struct cf9 {
	struct dev dev;
	struct cf9_regs s;
	/* property, set before realize: a PCI host bridge owns CF8h-CFBh and passes byte accesses
	 * to `region`; without it the device claims the port itself. */
	bool behind_pci_host;
	/* outputs */
	struct irq hard, soft; /* pulses: whole platform, CPU only */
	/* private */
	struct bus_region region;
};

extern const struct dev_class cf9_class;

#endif
