/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of every benchmark program.
 *
 * A program is a list of kernels. A kernel's run() does one *unit*: a fixed, deterministic amount
 *of work (0.5 to 20 ms on current hardware) that returns a check sum. The frame (main.c) repeats
 *units until a time window is over and prints
 *
 *	bench NAME UNITS SECONDS SHORTEST_UNIT_SECONDS CHECKSUM
 *
 * so that machines of very different speed do comparable work, and every unit's result is compared
 * with the first one's. Times are CLOCK_MONOTONIC.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

struct kernel {
	const char *name;
	/* One unit; data is what setup() returned (NULL without one). */
	uint64_t (*run)(void *data);
	/* Once, outside of the measurement. NULL: nothing to set up. */
	void *(*setup)(void);
	/* CPUID feature without which the kernel is skipped, as gcc spells it; NULL: none. */
	const char *needs;
};

/* Each program's own list; a row without name ends it. */
extern const struct kernel kernels[];

/* Keep v in a register or memory: the compiler must not compute it at build time or drop it. */
#define KEEP(v) __asm__ volatile("" : "+r"(v) : : "memory")

/* xorshift64*; state must not be 0. */
static inline uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

/* Mix v into a check sum. */
static inline uint64_t mix(uint64_t sum, uint64_t v)
{
	sum = (sum ^ v) * 0x9e3779b97f4a7c15ull;
	return sum ^ (sum >> 29);
}

/* Memory that is there: zeroed, page aligned, touched; ends the program when there is none. */
void *bench_alloc(size_t bytes);

/* End the program with a message: "bench: what: strerror(errno)". */
void bench_fail(const char *what) __attribute__((noreturn));

/* This program's own path, for kernels that execute it again. */
const char *bench_self(void);

#endif
