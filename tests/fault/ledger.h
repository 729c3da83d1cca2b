/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk workload that can be judged after a crash. Every sector written describes itself: its
 * number and the generation of the operation, which fill it. The writer reports, through a
 * callback, each operation before it starts, and after each flush or FUA write what that made
 * durable; the judge then knows for each sector the oldest contents that may be found: what a
 * completed flush promised, or anything started later, whole. Anything older, mixed or foreign is a
 * broken promise.
 *
 * One sector is never touched by two operations in flight, as an operating system's page cache
 * would not do either; so the contents of a sector change in the order of generations.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "block/block.h"
#include "host/loop.h"

#define LEDGER_SECTORS 512u /* sectors of the image */
#define LEDGER_SECTOR  512u /* bytes */
#define LEDGER_MAX_OP  16u  /* sectors of one operation */

enum ledger_event {
	LEDGER_WRITE,   /* about to start: sectors [first, first + n) get generation gen */
	LEDGER_ZERO,    /* about to start zeroes or discard */
	LEDGER_DURABLE, /* promised from now on: sector `first` holds gen (zero: zeroes) or newer */
	LEDGER_EVENT_COUNT,
};

struct ledger_record {
	uint32_t event; /* enum ledger_event */
	uint16_t first, n;
	uint32_t zero; /* DURABLE */
	uint32_t pad_;
	uint64_t gen;
};

/* --- the writer --- */

struct ledger_writer;

struct ledger_hooks {
	void (*report)(void *ctx, const struct ledger_record *rec, unsigned n);
	void *ctx;
};

/** ledger_writer_new() - operations on @b from generation @gen on; random, from @seed. */
struct ledger_writer *ledger_writer_new(struct loop *loop, struct block *b, uint64_t gen,
					uint64_t seed, const struct ledger_hooks *hooks);
/** ledger_writer_run() - start @ops operations, up to 8 at a time, and see them end. */
void ledger_writer_run(struct ledger_writer *w, uint64_t ops);
void ledger_writer_free(struct ledger_writer *w);

/* --- the judge --- */

struct ledger_sector {
	uint64_t durable; /* generation promised */
	bool durable_zero;
	uint64_t started[64]; /* generations started since, newest last; oldest forgotten */
	bool started_zero[64];
	unsigned n_started;
};

struct ledger_judge {
	struct ledger_sector sector[LEDGER_SECTORS];
	uint64_t max_gen;
};

void ledger_judge_init(struct ledger_judge *j);
void ledger_judge_take(struct ledger_judge *j, const struct ledger_record *rec);
/** ledger_judge_sector() - may @data be found in sector @s? false prints why. */
bool ledger_judge_sector(const struct ledger_judge *j, unsigned s, const uint8_t *data);
/** ledger_judge_settle() - @data was found, and stays: nothing older from now on. */
void ledger_judge_settle(struct ledger_judge *j, unsigned s, const uint8_t *data);

/** ledger_parse() - generation that @data describes for sector @s; 0 = zeroes, -1 = garbage. */
int64_t ledger_parse(unsigned s, const uint8_t *data);

#endif
