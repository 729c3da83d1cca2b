/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit port for guests that are tests; see debugexit.c.
 */
#ifndef DEVICE_MISC_DEBUGEXIT_H
#define DEVICE_MISC_DEBUGEXIT_H

#include "device/dev.h"

struct debugexit_regs {
	uint32_t last; /* value last written */
	uint8_t pad_[4];
};

struct debugexit {
	struct dev dev;
	struct debugexit_regs s;
	/* properties, set before realize */
	uint16_t iobase; /* 0 = f4h */
	uint8_t iosize;  /* bytes; 0 = 4 */
	/* The guest asks for the end of the process with exit status @code = value * 2 + 1. Called
	 * with the bus lock held on a vCPU thread: take note and return. */
	void (*exit)(void *ctx, unsigned code);
	void *exit_ctx;
	/* private */
	struct bus_region region;
};

extern const struct dev_class debugexit_class;

#endif
