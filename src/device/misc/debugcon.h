/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug console port; see debugcon.c.
 */
#ifndef DEVICE_MISC_DEBUGCON_H
#define DEVICE_MISC_DEBUGCON_H

#include "chr/chr.h"
#include "device/dev.h"

enum { DEBUGCON_PORT = 0xe9 };

struct debugcon_regs {
	uint64_t written; /* bytes the guest wrote */
	uint64_t dropped; /* of them, bytes that the back end had no room for */
};

struct debugcon {
	struct dev
		dev; /* .base: the port; E9h for the Bochs and SeaBIOS convention, 402h for OVMF */
	struct debugcon_regs s;
	struct chr *chr; /* borrowed; NULL: output is dropped */
};

extern const struct dev_class debugcon_class;

#endif
