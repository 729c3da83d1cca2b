/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOR flash with Intel's command set: where EFI firmware keeps its variables; see pflash.c.
 *
 * Wiring (machine/): set `gpa`, `contents`, `len` and perhaps `store` before dev_realize(). The
 * chip makes its own block of memory and maps it, at MEM_PRIO_ROM.
 */
#ifndef DEVICE_FIRMWARE_PFLASH_H
#define DEVICE_FIRMWARE_PFLASH_H

#include "device/dev.h"

enum {
	PFLASH_BLOCK = 4096,      /* what one erase command erases, bytes */
	PFLASH_BLOCKS_MAX = 1024, /* 4 MiB */
	PFLASH_BUFFER = 32,       /* write buffer, bytes */
};

struct pflash_regs {
	uint8_t mode;       /* enum mode in pflash.c */
	uint8_t status;     /* status register */
	uint8_t buf_len;    /* bytes that a buffered program will take, 1 to PFLASH_BUFFER */
	uint8_t buf_n;      /* bytes taken so far */
	uint32_t buf_block; /* the block it was announced for */
	uint32_t buf_first; /* offset of its first byte in the chip */
	uint8_t buf[PFLASH_BUFFER];
	uint8_t buf_set[PFLASH_BUFFER];        /* 1: this byte of `buf` was written */
	uint8_t locked[PFLASH_BLOCKS_MAX / 8]; /* a bit a block */
};

struct pflash {
	struct dev dev;
	struct pflash_regs s;
	/* properties, set before realize */
	gpa_t gpa;               /* page-aligned */
	const uint8_t *contents; /* borrowed during realize: what the chip holds at first */
	size_t len;              /* bytes, a multiple of PFLASH_BLOCK */
	/* Keeps [@off, @off + @len) of the chip for next time: 0 or -errno. Bus lock held. NULL:
	 * contents are gone at the end. */
	int (*store)(void *ctx, uint64_t off, const void *bytes, size_t len);
	void *store_ctx;
	bool smm_only; /* takes commands from system management mode alone */
	/* private */
	struct ram_block *block;
	struct bus_region region;
	bool as_array;               /* mapped as memory, not as registers */
	uint64_t dirty_lo, dirty_hi; /* changed since the last store; lo >= hi: nothing */
};

extern const struct dev_class pflash_class;

#endif
