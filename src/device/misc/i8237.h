/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AT's two DMA controllers and their page registers; see i8237.c.
 */
#ifndef DEVICE_MISC_I8237_H
#define DEVICE_MISC_I8237_H

#include "device/dev.h"

enum { I8237_CHANNELS = 8, I8237_PAGES = 16, I8237_USERS = 4 };

struct i8237_channel {
	uint16_t base_addr, base_count; /* as written */
	uint16_t addr, count;           /* current */
	uint8_t mode;                   /* mode register without the channel number */
	uint8_t pad_[1];
};

struct i8237_chip {
	struct i8237_channel ch[4];
	uint8_t command;
	uint8_t tc;        /* status bits 3:0: terminal count reached */
	uint8_t request;   /* request register, bits 3:0 */
	uint8_t mask;      /* 1 = masked, bits 3:0 */
	uint8_t temporary; /* of memory-to-memory transfers: always 0 */
	bool high_byte;    /* first/last flip-flop: the MSB comes next */
};

struct i8237_regs {
	struct i8237_chip chip[2]; /* 0: channels 0..3 (bytes), 1: 4..7 (words) */
	uint8_t page[I8237_PAGES]; /* ports 80h..8fh; [0] is not used */
};

struct i8237 {
	struct dev dev;
	struct i8237_regs s;
	/* private: who moves data as time goes by */
	struct {
		void (*catch_up)(void *ctx);
		void *ctx; /* borrowed */
	} user[I8237_USERS];
};

extern const struct dev_class i8237_class;

/**
 * dma8237_read() - a device on channel @chan takes @len bytes from memory
 * @chan: 0..3 bytes, 5..7 words (an odd @len leaves its last byte alone).
 * @ret_tc: set to whether terminal count was reached; may be NULL.
 * Return: bytes transferred: up to terminal count; 0 if the channel is masked, cascaded, or set up
 * for the other direction. Memory that is not RAM reads as ones. Bus lock held.
 */
size_t dma8237_read(struct i8237 *dma, unsigned chan, void *buf, size_t len, bool *ret_tc);
/** dma8237_write() - likewise, a device gives bytes to memory. A verify transfer counts and writes
 * nothing. */
size_t dma8237_write(struct i8237 *dma, unsigned chan, const void *buf, size_t len, bool *ret_tc);

/**
 * dma8237_attach() - @catch_up moves what a device's channel should have moved by now
 *
 * Called, with the bus lock held, before the guest sees or changes a channel: programs read the
 * current count to know how far a sound has been played. For a device's realize; @ctx is borrowed
 * until dma8237_detach(). Return: 0; -ENOSPC when there are I8237_USERS of them.
 */
int dma8237_attach(struct i8237 *dma, void (*catch_up)(void *ctx), void *ctx) MUST_CHECK;
/** dma8237_detach() - no more calls with @ctx; fine when there were none. */
void dma8237_detach(struct i8237 *dma, const void *ctx);

#endif
