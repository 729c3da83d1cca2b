/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots that somebody edited, for fuzzers of devices. The edits are made where a load would put
 * them, not in the stream: the parser of streams has a fuzzer of its own (fuzz_state.c), takes
 * most of the time, and refuses most of what is changed by chance in names and lengths. Each edit
 * picks a field by walking the state table, so that a flag is as likely as a large buffer; a value
 * that the table does not allow is taken back, as a load would have refused it.
 */
#ifndef TESTS_FUZZ_HOSTILE_H
#define TESTS_FUZZ_HOSTILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "device/dev.h"
#include "input.h"
#include "state/state.h"

enum { HOSTILE_EDITS = 8 };

/* What stood there before; at NULL: nothing was changed. */
struct hostile_undo {
	uint8_t *at, old;
};

static inline struct hostile_undo hostile_edit(struct dev *d, struct fuzz_input *in)
{
	const struct state_field *f = d->cls->state->fields, *pick;
	uint8_t *obj = dev_regs(d), *at, old, val;
	struct error err = {0};

	for (;;) {
		unsigned n = 0, i;

		while (f[n].kind != STATE_END_KIND)
			n++;
		pick = &f[fuzz_u8(in) % n];
		i = pick->count < 2     ? 0
		    : pick->count < 256 ? fuzz_u8(in) % pick->count
					: fuzz_u16(in) % pick->count;
		at = obj + pick->offset + (size_t)i * pick->size;
		if (pick->kind == STATE_PADDING)
			return (struct hostile_undo){0};
		if (pick->kind != STATE_NESTED)
			break;
		obj = at;
		f = pick->fields;
	}
	if (pick->size > 1)
		at += fuzz_u8(in) % pick->size;
	old = *at;
	val = fuzz_u8(in);
	if (pick->kind == STATE_BOOL && val != 0xff)
		val &= 1;
	else if (pick->size == 1 && pick->max && val != 0xff)
		val = (uint8_t)(val % (pick->max + 1));
	*at = val;
	const struct state_field one[] = { *pick, STATE_END };
	const struct state_desc desc = {"field", 1, 0, one};

	if (state_check(&desc, obj, &err) < 0)
		*at = old;
	return (struct hostile_undo){at, old};
}

/**
 * hostile_state() - @edits bytes of @d's registers changed, then loaded() as after a load
 * @d is quiescent, the bus lock held. @edits: HOSTILE_EDITS at most.
 * Return: false: the device refused and said why; it is back where it was, and reset.
 */
static inline bool hostile_state(struct dev *d, struct fuzz_input *in, unsigned edits)
{
	struct hostile_undo undo[HOSTILE_EDITS];
	struct error err = {0};

	check(edits <= HOSTILE_EDITS);
	for (unsigned i = 0; i < edits; i++)
		undo[i] = hostile_edit(d, in);
	if (!d->cls->loaded || d->cls->loaded(d, &err) == 0)
		return true;
	check(err.text[0]);
	for (unsigned i = edits; i-- > 0;)
		if (undo[i].at)
			*undo[i].at = undo[i].old;
	if (edits && d->cls->loaded(d, &err) < 0)
		fprintf(stderr, "%s\n", err.text), check(false);
	dev_reset(d, DEV_RESET_COLD);
	return false;
}

/** saved() - @d's state as a stream; free with free(). */
static inline uint8_t *saved(struct dev *d, size_t *ret_len)
{
	struct state_writer *w = state_writer_new();
	const uint8_t *bytes;
	uint8_t *copy;

	dev_save(d, w);
	bytes = state_writer_finish(w, ret_len);
	copy = xcalloc(*ret_len, 1);
	memcpy(copy, bytes, *ret_len);
	state_writer_free(w);
	return copy;
}

static inline void hostile_differs(void *ctx, const char *path, const char *a, const char *b)
{
	(void)ctx;
	fprintf(stderr, "%s was %s, is %s\n", path, a, b);
}

/** reload() - what @d saves it accepts. The stream; free with free(). */
static inline uint8_t *reload(struct dev *d, size_t *ret_len)
{
	uint8_t *bytes = saved(d, ret_len);
	struct state_reader *r;
	struct error err = {0};

	check(state_reader_new(bytes, *ret_len, &r, &err) == 0);
	if (dev_load(d, r, &err) < 0)
		fprintf(stderr, "%s\n", err.text), check(false);
	state_reader_free(r);
	return bytes;
}

/** round_trip() - what @d saves it accepts, and saves again unchanged. */
static inline void round_trip(struct dev *d)
{
	size_t n1, n2, size = d->cls->state->size;
	uint8_t *b1, *b2, *regs = xcalloc(1, size);

	memcpy(regs, dev_regs(d), size);
	b1 = reload(d, &n1);
	b2 = saved(d, &n2);
	if (n1 != n2 || memcmp(b1, b2, n1) != 0) {
		state_diff(d->cls->state, regs, dev_regs(d), hostile_differs, NULL);
		check(false);
	}
	free(b1);
	free(b2);
	free(regs);
}

#endif
