/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and memory for guests that test virtual machines; see testdev.c.
 */
#ifndef DEVICE_MISC_TESTDEV_H
#define DEVICE_MISC_TESTDEV_H

#include "device/dev.h"

#define TESTDEV_MMIO       0xff000000ull
#define TESTDEV_MMIO_BYTES 0x10000u
#define TESTDEV_LINES      24u

struct testdev_regs {
	uint8_t mem[TESTDEV_MMIO_BYTES];
	uint32_t latch;     /* port e0h */
	uint32_t lines;     /* levels driven by ports 2000h + n */
	uint8_t byte_latch; /* port e8h */
	uint8_t pad_[7];
	uint64_t flushes; /* writes of port e4h */
};

struct testdev {
	struct dev dev;
	struct testdev_regs s;
	struct irq line[TESTDEV_LINES]; /* outputs: ISA interrupt or I/O APIC input n */
};

extern const struct dev_class testdev_class;

#endif
