/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_check() after each operation of a fuzzer, for devices with so much state that looking at
 * all of it would take most of the time: only what has changed since it was last found in range.
 */
#ifndef TESTS_FUZZ_CHECKED_H
#define TESTS_FUZZ_CHECKED_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "state/state.h"

struct checked {
	uint8_t *seen; /* in range; NULL: nothing yet */
};

static inline void checked_fields(const struct state_field *fields, const uint8_t *now,
				  const uint8_t *seen)
{
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		const struct state_field one[] = { *f, STATE_END };
		const struct state_desc d = {"field", 1, 0, one};
		struct error err = {0};

		if (!memcmp(now + f->offset, seen + f->offset, (size_t)f->size * f->count))
			continue;
		if (f->kind != STATE_NESTED) {
			check(state_check(&d, now, &err) == 0);
			continue;
		}
		for (uint32_t i = 0; i < f->count; i++) {
			size_t at = f->offset + (size_t)i * f->size;

			if (memcmp(now + at, seen + at, f->size) != 0)
				checked_fields(f->fields, now + at, seen + at);
		}
	}
}

/** checked() - every field of @obj must be in range. @c: of this object alone, zeroed at first. */
static inline void checked(struct checked *c, const struct state_desc *desc, const void *obj)
{
	struct error err = {0};

	if (!c->seen) {
		c->seen = xcalloc(1, desc->size);
		check(state_check(desc, obj, &err) == 0);
	} else if (memcmp(obj, c->seen, desc->size) != 0) {
		checked_fields(desc->fields, obj, c->seen);
	} else {
		return;
	}
	memcpy(c->seen, obj, desc->size);
}

#endif
