/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash-test workload and its judge (ledger.h).
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define MAGIC     0x6c65646765723176ull
#define IN_FLIGHT 8

struct op {
	struct ledger_writer *w;
	struct block_req req;
	struct iovec iov;
	uint8_t *buf;
	unsigned first, n;
	uint64_t gen;
	bool busy, zero;
	/* FLUSH: what it will have made durable: acknowledged when it was submitted. */
	struct ledger_record *promise;
	unsigned n_promise;
};

struct ledger_writer {
	struct loop *loop;
	struct block *b;
	uint64_t gen, rng;
	struct ledger_hooks hooks;
	struct op ops[IN_FLIGHT];
	bool locked[LEDGER_SECTORS]; /* an operation is in flight there */
	/* Acknowledged, not known to be durable; gen 0: nothing. */
	struct {
		uint64_t gen;
		bool zero;
	} acked[LEDGER_SECTORS];
	unsigned flying;
};

static uint64_t rng_next(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

static void fill(unsigned s, uint64_t gen, uint8_t *data)
{
	uint64_t x = gen * 0x9e3779b97f4a7c15ull + s + 1;

	st_le64(data, MAGIC);
	st_le64(data + 8, s);
	st_le64(data + 16, gen);
	for (unsigned i = 24; i < LEDGER_SECTOR; i += 8)
		st_le64(data + i, rng_next(&x));
}

int64_t ledger_parse(unsigned s, const uint8_t *data)
{
	uint8_t want[LEDGER_SECTOR] = {0};

	if (memcmp(data, want, LEDGER_SECTOR) == 0)
		return 0;
	fill(s, ld_le64(data + 16), want);
	if (ld_le64(data + 16) == 0 || memcmp(data, want, LEDGER_SECTOR) != 0)
		return -1;
	return (int64_t)ld_le64(data + 16);
}

/* --- the writer --- */

static void report(struct ledger_writer *w, const struct ledger_record *rec, unsigned n)
{
	if (n)
		w->hooks.report(w->hooks.ctx, rec, n);
}

static void promise_now(struct ledger_writer *w, const struct op *op)
{
	struct ledger_record rec[LEDGER_MAX_OP];

	for (unsigned i = 0; i < op->n; i++)
		rec[i] = (struct ledger_record){.event = LEDGER_DURABLE,
						.first = (uint16_t)(op->first + i),
						.n = 1,
						.gen = op->gen};
	report(w, rec, op->n);
}

static void on_done(struct block_req *req, int result)
{
	struct op *op = CONTAINER_OF(req, struct op, req);
	struct ledger_writer *w = op->w;

	check(result == 0 && op->busy);
	op->busy = false;
	w->flying--;
	if (req->op == BLOCK_FLUSH) {
		report(w, op->promise, op->n_promise);
		for (unsigned i = 0; i < op->n_promise; i++) {
			unsigned s = op->promise[i].first;

			if (w->acked[s].gen == op->promise[i].gen)
				w->acked[s].gen = 0;
		}
		return;
	}
	for (unsigned s = op->first; s < op->first + op->n; s++) {
		w->locked[s] = false;
		w->acked[s].gen = op->gen;
		w->acked[s].zero = op->zero;
	}
	if (req->fua)
		promise_now(w, op);
}

static void start_flush(struct ledger_writer *w, struct op *op)
{
	op->n_promise = 0;
	for (unsigned s = 0; s < LEDGER_SECTORS; s++) {
		if (w->acked[s].gen)
			op->promise[op->n_promise++] =
				(struct ledger_record){.event = LEDGER_DURABLE,
						       .first = (uint16_t)s,
						       .n = 1,
						       .zero = w->acked[s].zero,
						       .gen = w->acked[s].gen};
	}
	op->req = (struct block_req){.op = BLOCK_FLUSH, .done = on_done};
}

/* Choose a range where nothing is in flight; false: not this time. */
static bool start_change(struct ledger_writer *w, struct op *op, unsigned choice)
{
	struct ledger_record rec = {0};

	op->n = 1 + (unsigned)(rng_next(&w->rng) % LEDGER_MAX_OP);
	op->first = (unsigned)(rng_next(&w->rng) % (LEDGER_SECTORS - op->n + 1));
	for (unsigned s = op->first; s < op->first + op->n; s++) {
		if (w->locked[s])
			return false;
	}
	op->gen = w->gen++;
	op->zero = choice < 15 && (choice < 8 || block_can_discard(w->b));
	op->req = (struct block_req){.op = !op->zero    ? BLOCK_WRITE
					   : choice < 8 ? BLOCK_ZEROES
							: BLOCK_DISCARD,
				     .off = op->first * LEDGER_SECTOR,
				     .len = op->n * LEDGER_SECTOR,
				     .done = on_done};
	for (unsigned i = 0; i < op->n; i++) {
		w->locked[op->first + i] = true;
		if (!op->zero)
			fill(op->first + i, op->gen, op->buf + i * LEDGER_SECTOR);
	}
	if (!op->zero) {
		op->iov = (struct iovec){op->buf, op->req.len};
		op->req.iov = &op->iov;
		op->req.niov = 1;
		op->req.fua = rng_next(&w->rng) % 10 == 0;
	}
	rec.event = op->zero ? LEDGER_ZERO : LEDGER_WRITE;
	rec.first = (uint16_t)op->first;
	rec.n = (uint16_t)op->n;
	rec.gen = op->gen;
	report(w, &rec, 1);
	return true;
}

struct ledger_writer *ledger_writer_new(struct loop *loop, struct block *b, uint64_t gen,
					uint64_t seed, const struct ledger_hooks *hooks)
{
	struct ledger_writer *w = xnew(struct ledger_writer);

	w->loop = loop;
	w->b = b;
	w->gen = gen;
	w->rng = seed * 2 + 1;
	w->hooks = *hooks;
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		w->ops[i].w = w;
		w->ops[i].buf = xnew_n(uint8_t, LEDGER_MAX_OP * LEDGER_SECTOR);
		w->ops[i].promise = xnew_n(struct ledger_record, LEDGER_SECTORS);
	}
	return w;
}

void ledger_writer_free(struct ledger_writer *w)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		free(w->ops[i].buf);
		free(w->ops[i].promise);
	}
	free(w);
}

void ledger_writer_run(struct ledger_writer *w, uint64_t ops)
{
	while (ops > 0 || w->flying > 0) {
		struct op *op = &w->ops[rng_next(&w->rng) % IN_FLIGHT];
		unsigned choice = (unsigned)(rng_next(&w->rng) % 100);

		if (ops > 0 && !op->busy) {
			if (choice >= 85)
				start_flush(w, op);
			else if (!start_change(w, op, choice))
				continue;
			op->busy = true;
			w->flying++;
			ops--;
			block_submit(w->b, &op->req);
			if (choice % 3)
				continue;
		}
		check(loop_run_once(w->loop, ops > 0 ? 0 : 5) == 0);
	}
}

/* --- the judge --- */

void ledger_judge_init(struct ledger_judge *j)
{
	memset(j, 0, sizeof(*j));
	for (unsigned s = 0; s < LEDGER_SECTORS; s++)
		j->sector[s].durable_zero = true; /* a new image */
}

void ledger_judge_take(struct ledger_judge *j, const struct ledger_record *rec)
{
	check(rec->event < LEDGER_EVENT_COUNT && rec->first + rec->n <= LEDGER_SECTORS);
	for (unsigned s = rec->first; s < (unsigned)rec->first + rec->n; s++) {
		struct ledger_sector *at = &j->sector[s];

		if (rec->event == LEDGER_DURABLE) {
			if (rec->gen > at->durable) {
				at->durable = rec->gen;
				at->durable_zero = rec->zero;
			}
			continue;
		}
		if (at->n_started == ARRAY_SIZE(at->started)) {
			memmove(at->started, at->started + 1, sizeof(at->started) - 8);
			memmove(at->started_zero, at->started_zero + 1,
				sizeof(at->started_zero) - 1);
			at->n_started--;
		}
		at->started[at->n_started] = rec->gen;
		at->started_zero[at->n_started++] = rec->event == LEDGER_ZERO;
		j->max_gen = MAX(j->max_gen, rec->gen);
	}
}

bool ledger_judge_sector(const struct ledger_judge *j, unsigned s, const uint8_t *data)
{
	const struct ledger_sector *at = &j->sector[s];
	int64_t gen = ledger_parse(s, data);

	if (gen == 0 && at->durable_zero)
		return true;
	if (gen > 0 && !at->durable_zero && (uint64_t)gen == at->durable)
		return true;
	for (unsigned i = 0; i < at->n_started; i++) {
		if (at->started[i] <= at->durable)
			continue;
		if (at->started_zero[i] ? gen == 0 : (uint64_t)gen == at->started[i])
			return true;
	}
	fprintf(stderr, "sector %u: %s %lld found, promised: %s %llu\n", s,
		gen < 0 ? "garbage"
		: gen   ? "generation"
			: "zeroes",
		(long long)gen, at->durable_zero ? "zeroes of" : "generation",
		(unsigned long long)at->durable);
	return false;
}

void ledger_judge_settle(struct ledger_judge *j, unsigned s, const uint8_t *data)
{
	struct ledger_sector *at = &j->sector[s];
	int64_t gen = ledger_parse(s, data);

	at->durable_zero = gen == 0;
	if (gen > 0)
		at->durable = (uint64_t)gen;
	else if (at->n_started)
		at->durable = MAX(at->durable, at->started[0]);
	at->n_started = 0;
}
