/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory that changes after each of a device's reads, and states that somebody edited while
 * the machine stood still: what the fuzzers of devices with DMA share. mem_read is wrapped by the
 * linker; while an input is set, its bytes say whether the memory that was just read changes.
 */
#ifndef TESTS_FUZZ_CHANGING_H
#define TESTS_FUZZ_CHANGING_H

#include "fake_block.h"
#include "harness.h"
#include "input.h"

/**
 * changing_start() - from now on @h's RAM changes: after a read whose byte of @in is @from or more
 * (1..255), in the first 64 bytes of what was read
 */
void changing_start(struct harness *h, struct fuzz_input *in, unsigned from);

/** changing_stop() - RAM stays as it is written. */
void changing_stop(void);

/**
 * changing_state() - @d is quiescent, perhaps saved and loaded, up to 7 bytes of its state change,
 * and it goes on
 * @blocks: its @n_blocks disks, whose parked requests a save would abort. Takes the bus
 * lock.
 */
void changing_state(struct harness *h, struct dev *d, struct fuzz_input *in,
		    struct block *const *blocks, unsigned n_blocks);

#endif
