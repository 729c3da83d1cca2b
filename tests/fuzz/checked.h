/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_check() after each operation of a fuzzer. Most of a device's state is buffers that may hold
 * anything, and most of the rest has not changed since the last look: the fields that have a range
 * are noted once, and only those that have changed are checked.
 */
#ifndef TESTS_FUZZ_CHECKED_H
#define TESTS_FUZZ_CHECKED_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/state.h"

enum { CHECKED_CHUNK = 4096, CHECKED_GAP = 64 };

/* One field with a range, of one element of a nested array. */
struct checked_span {
	const struct state_field *f;
	uint32_t base; /* of the struct that has it */
};

/* Neighbours that are compared at once. */
struct checked_chunk {
	uint32_t at, len; /* bytes */
	unsigned first, n;
};

struct checked {
	struct checked_span *span;
	struct checked_chunk *chunk;
	unsigned n, n_chunks;
	uint8_t *seen; /* in range; NULL: nothing yet */
};

static inline void checked_span(struct checked *c, const struct state_field *f, uint32_t base)
{
	uint32_t at = base + f->offset, end = at + f->size * f->count;
	struct checked_chunk *k = c->n_chunks ? &c->chunk[c->n_chunks - 1] : NULL;

	if (!(c->n & (c->n - 1)))
		c->span = xrealloc(c->span, c->n ? 2 * c->n : 1, sizeof(*c->span));
	c->span[c->n] = (struct checked_span){f, base};
	if (k && at >= k->at && at <= k->at + k->len + CHECKED_GAP &&
	    end <= k->at + CHECKED_CHUNK) {
		k->len = MAX(end - k->at, k->len);
		k->n++;
	} else {
		c->chunk = xrealloc(c->chunk, c->n_chunks + 1, sizeof(*c->chunk));
		c->chunk[c->n_chunks++] = (struct checked_chunk){at, end - at, c->n, 1};
	}
	c->n++;
}

static inline void checked_note(struct checked *c, const struct state_field *f, uint32_t base)
{
	for (; f->kind != STATE_END_KIND; f++) {
		if (f->kind == STATE_NESTED)
			for (uint32_t i = 0; i < f->count; i++)
				checked_note(c, f->fields, base + f->offset + i * f->size);
		else if (f->kind == STATE_BOOL ||
			 (f->kind != STATE_BYTES && f->kind != STATE_PADDING && (f->min || f->max)))
			checked_span(c, f, base);
	}
}

/* Without the sanitizers' look at each byte: it would take most of the time. */
__attribute__((no_sanitize("address", "undefined"))) static inline bool
checked_same(const uint8_t *seen, const uint8_t *now, uint32_t len)
{
	uint8_t differ = 0;

	for (uint32_t i = 0; i < len; i++)
		differ |= seen[i] ^ now[i];
	return !differ;
}

/** checked() - every field of @obj must be in range. @c: of this object alone, zeroed at first. */
static inline void checked(struct checked *c, const struct state_desc *desc, const void *obj)
{
	const uint8_t *now = obj;
	struct error err = {0};

	if (!c->seen) {
		checked_note(c, desc->fields, 0);
		c->seen = xcalloc(1, desc->size);
		memcpy(c->seen, obj, desc->size);
		check(state_check(desc, obj, &err) == 0);
	}
	for (const struct checked_chunk *k = c->chunk; k < c->chunk + c->n_chunks; k++) {
		if (checked_same(c->seen + k->at, now + k->at, k->len))
			continue;
		for (unsigned i = k->first; i < k->first + k->n; i++) {
			const struct checked_span *s = &c->span[i];
			const struct state_field one[] = { *s->f, STATE_END };
			const struct state_desc d = {"field", 1, 0, one};
			uint32_t at = s->base + s->f->offset, len = s->f->size * s->f->count;

			if (!checked_same(c->seen + at, now + at, len))
				check(state_check(&d, now + s->base, &err) == 0);
		}
		memcpy(c->seen + k->at, now + k->at, k->len);
	}
}

/** checked_done() - forget what was noted. */
static inline void checked_done(struct checked *c)
{
	free(c->span);
	free(c->chunk);
	free(c->seen);
	*c = (struct checked){0};
}

#endif
