/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostic port 80h; see postcode.c.
 */
#ifndef DEVICE_MISC_POSTCODE_H
#define DEVICE_MISC_POSTCODE_H

#include "device/dev.h"

enum { POSTCODE_HISTORY = 16 };

struct postcode_regs {
	uint8_t history[POSTCODE_HISTORY]; /* different codes, newest first */
	uint64_t writes;
};

struct postcode {
	struct dev dev;
	struct postcode_regs s;
};

extern const struct dev_class postcode_class;

#endif
