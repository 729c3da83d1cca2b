/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPU-401 in UART mode; see mpu401.c.
 */
#ifndef DEVICE_SOUND_MPU401_H
#define DEVICE_SOUND_MPU401_H

#include "chr/chr.h"
#include "device/dev.h"

enum { MPU401_FIFO = 64 };

struct mpu401_regs {
	uint8_t fifo[MPU401_FIFO]; /* for the guest */
	uint8_t n, at;
	bool uart;
	uint8_t pad_[5];
};

struct mpu401 {
	struct dev dev;
	struct mpu401_regs s;
	/* wired by the machine */
	struct chr *chr; /* borrowed: where MIDI goes to and comes from; NULL: nowhere */
	void (*irq)(void *ctx, bool level);
	void *irq_ctx;
};

extern const struct dev_class mpu401_class;

#endif
