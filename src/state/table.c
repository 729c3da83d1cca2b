/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on tables and described objects that needs no stream: values, ranges, completeness of a
 * table, differences (state/state.h).
 */
#include "state/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

const char *state_path_text(const struct state_path *p, char *buf, size_t size)
{
	size_t n = 0;

	if (p->up && p->up->f) {
		state_path_text(p->up, buf, size);
		n = strlen(buf);
		if (n + 1 < size)
			n += (size_t)snprintf(buf + n, size - n, ".");
	}
	if (!p->f)
		snprintf(buf + n, size - n, "(object)");
	else if (p->f->count > 1)
		snprintf(buf + n, size - n, "%s[%" PRIu32 "]", p->f->name, p->index);
	else
		snprintf(buf + n, size - n, "%s", p->f->name);
	return buf;
}

uint64_t state_value(const struct state_field *f, const void *elem)
{
	uint64_t v;

	switch (f->size) {
	case 1: v = *(const uint8_t *)elem; break;
	case 2: v = ld_le16(elem); break;
	case 4: v = ld_le32(elem); break;
	default: v = ld_le64(elem); break;
	}
	return state_signed(f->kind) ? (uint64_t)sext(v, f->size * 8) : v;
}

bool state_in_range(const struct state_field *f, uint64_t v)
{
	if (f->kind == STATE_BOOL && v > 1)
		return false;
	if (!f->min && !f->max)
		return true;
	if (state_signed(f->kind))
		return (int64_t)v >= (int64_t)f->min && (int64_t)v <= (int64_t)f->max;
	/* A lower bound alone leaves the top open. */
	return v >= f->min && (!f->max || v <= f->max);
}

void state_value_text(const struct state_field *f, uint64_t v, char *buf, size_t size)
{
	if (f->kind == STATE_BOOL && v <= 1)
		snprintf(buf, size, "%s", v ? "true" : "false");
	else if (state_signed(f->kind))
		snprintf(buf, size, "%" PRId64, (int64_t)v);
	else if (v > 9)
		snprintf(buf, size, "0x%" PRIx64, v);
	else
		snprintf(buf, size, "%" PRIu64, v);
}

/* Is there a value that the field, or one in it, must not have? Large arrays of anything need not
 * be looked at. */
static bool has_range(const struct state_field *f)
{
	if (f->kind == STATE_NESTED) {
		for (const struct state_field *in = f->fields; in->kind != STATE_END_KIND; in++)
			if (has_range(in))
				return true;
		return false;
	}
	return f->kind == STATE_BOOL ||
	       (f->kind != STATE_BYTES && f->kind != STATE_PADDING && (f->min || f->max));
}

static int check_fields(const struct state_field *fields, const uint8_t *base,
			const struct state_path *up, const char *cls, struct error *err)
{
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		struct state_path at = {.up = up, .f = f};

		if (!has_range(f))
			continue;
		for (; at.index < f->count; at.index++) {
			const uint8_t *elem = base + f->offset + (size_t)at.index * f->size;
			char path[200], val[32];
			int r;

			if (f->kind == STATE_NESTED) {
				r = check_fields(f->fields, elem, &at, cls, err);
				if (r)
					return r;
			} else if (!state_in_range(f, state_value(f, elem))) {
				state_value_text(f, state_value(f, elem), val, sizeof(val));
				return error_set(err, -EINVAL,
						 "state of %s: %s is %s, out of range", cls,
						 state_path_text(&at, path, sizeof(path)), val);
			}
		}
	}
	return 0;
}

int state_check(const struct state_desc *desc, const void *obj, struct error *err)
{
	const struct state_path root = {0};

	return check_fields(desc->fields, obj, &root, desc->cls, err);
}

/* Which leaf field names each byte, for state_unnamed_bytes(). */
struct cover {
	const char **owner; /* per byte, NULL = none */
	size_t size, bad;
	const char *bad_name;
};

static void cover_fault(struct cover *c, const char *name)
{
	if (!c->bad++)
		c->bad_name = name;
}

static void cover_leaf(struct cover *c, size_t off, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++) {
		if (off + i >= c->size || c->owner[off + i])
			cover_fault(c, name);
		else
			c->owner[off + i] = name;
	}
}

static void cover_fields(struct cover *c, const struct state_field *fields, size_t base)
{
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		if (f->kind != STATE_NESTED) {
			cover_leaf(c, base + f->offset, (size_t)f->size * f->count, f->name);
			continue;
		}
		for (uint32_t i = 0; i < f->count; i++)
			cover_fields(c, f->fields, base + f->offset + (size_t)i * f->size);
	}
}

size_t state_unnamed_bytes(const struct state_desc *desc, const char **ret_name)
{
	struct cover c = {.owner = xnew_n(const char *, desc->size), .size = desc->size};
	const char *last = "(start)";

	cover_fields(&c, desc->fields, 0);
	for (size_t i = 0; i < desc->size; i++) {
		if (c.owner[i])
			last = c.owner[i];
		else
			cover_fault(&c, last);
	}
	free(c.owner);
	if (c.bad && ret_name)
		*ret_name = c.bad_name;
	return c.bad;
}

struct diff {
	void (*fn)(void *ctx, const char *path, const char *val_a, const char *val_b);
	void *ctx;
	unsigned count;
};

static void diff_elem(struct diff *d, const struct state_path *at, const uint8_t *a,
		      const uint8_t *b)
{
	const struct state_field *f = at->f;
	char path[200], va[32], vb[32];

	if (!memcmp(a, b, f->size))
		return;
	d->count++;
	if (!d->fn)
		return;
	state_value_text(f, state_value(f, a), va, sizeof(va));
	state_value_text(f, state_value(f, b), vb, sizeof(vb));
	d->fn(d->ctx, state_path_text(at, path, sizeof(path)), va, vb);
}

static void diff_fields(struct diff *d, const struct state_field *fields, const uint8_t *a,
			const uint8_t *b, const struct state_path *up)
{
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		struct state_path at = {.up = up, .f = f};

		if (f->kind == STATE_PADDING)
			continue;
		for (; at.index < f->count; at.index++) {
			size_t off = f->offset + (size_t)at.index * f->size;

			if (f->kind == STATE_NESTED)
				diff_fields(d, f->fields, a + off, b + off, &at);
			else
				diff_elem(d, &at, a + off, b + off);
		}
	}
}

unsigned state_diff(const struct state_desc *desc, const void *a, const void *b,
		    void (*fn)(void *ctx, const char *path, const char *val_a, const char *val_b),
		    void *ctx)
{
	struct diff d = {.fn = fn, .ctx = ctx};
	const struct state_path root = {0};

	diff_fields(&d, desc->fields, a, b, &root);
	return d.count;
}
