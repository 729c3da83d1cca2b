/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory behind block/block.h, whose requests end when the test says so. Linked in place
 * of the block layer.
 */
#ifndef TESTS_REG_FAKE_BLOCK_H
#define TESTS_REG_FAKE_BLOCK_H

#include "block/block.h"

struct block {
	uint8_t *data; /* owned */
	uint64_t size;
	bool read_only, can_discard;
	bool no_space; /* writes are parked */
	int fail;      /* -errno for what ends next; 0 = success */
	struct list queue, parked;
	unsigned n_queued, n_parked;
	unsigned submitted, flushes, fua_writes, discards;
};

struct block *fake_block_new(uint64_t size);
void fake_block_free(struct block *b);
/** fake_block_run() - end up to @n requests, oldest first, @reverse newest first. How many ended.
 */
unsigned fake_block_run(struct block *b, unsigned n, bool reverse);

#endif
