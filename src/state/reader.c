/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a stream (layout in state/internal.h). Every byte is untrusted: the CRC finds accidents,
 * not intent. The table drives the parser, so recursion depth, allocations and the number of bytes
 * stored are chosen by the program; the stream can only agree or be refused.
 */
#include "state/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"

struct state_reader {
	const uint8_t *p, *end; /* borrowed */
};

/* Cursor over a part of the stream, with what messages need. */
struct cursor {
	const uint8_t *p, *end;
	const char *id, *cls;
	uint32_t version;
	struct error *err;
};

/* A name as found in the stream, made printable. */
struct shown {
	char text[64];
};

static struct shown show(const uint8_t *name, size_t len)
{
	struct shown s;
	size_t n = MIN(len, sizeof(s.text) - 1);

	for (size_t i = 0; i < n; i++)
		s.text[i] = (char)(name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?');
	s.text[n] = '\0';
	return s;
}

int state_reader_new(const uint8_t *bytes, size_t len, struct state_reader **ret_r,
		     struct error *err)
{
	struct state_reader *r;
	uint32_t format;
	uint64_t body;

	if (len < STATE_HEADER_LEN)
		return error_set(err, -ENODATA,
				 "saved state is cut short: %zu bytes, not even a header", len);
	if (memcmp(bytes, STATE_MAGIC, STATE_MAGIC_LEN))
		return error_set(err, -EINVAL, "this is not a saved state (bad magic)");
	format = ld_le32(bytes + 8);
	if (format != STATE_FORMAT)
		return error_set(err, -EINVAL,
				 "saved state has format %" PRIu32
				 ", this program reads format %d; "
				 "use the version that wrote it",
				 format, STATE_FORMAT);
	body = ld_le64(bytes + 16);
	if (body > len - STATE_HEADER_LEN)
		return error_set(err, -ENODATA,
				 "saved state is cut short: %zu bytes of %" PRIu64 " are there",
				 len - STATE_HEADER_LEN, body);
	if (body < len - STATE_HEADER_LEN)
		return error_set(err, -EINVAL, "saved state has %" PRIu64 " bytes behind its end",
				 (uint64_t)(len - STATE_HEADER_LEN) - body);
	if (crc32_z(0, bytes + STATE_HEADER_LEN, (size_t)body) != ld_le32(bytes + 12))
		return error_set(err, -EINVAL, "saved state is damaged (CRC mismatch)");
	r = xnew(struct state_reader);
	r->p = bytes + STATE_HEADER_LEN;
	r->end = bytes + len;
	*ret_r = r;
	return 0;
}

void state_reader_free(struct state_reader *r)
{
	free(r);
}

int state_reader_end(struct state_reader *r, struct error *err)
{
	if (r->p == r->end)
		return 0;
	return error_set(err, -EINVAL, "saved state has %zu bytes of objects nobody asked for",
			 (size_t)(r->end - r->p));
}

static int short_body(const struct cursor *c)
{
	return error_set(c->err, -ENODATA, "state of '%s' (%s) is cut short", c->id, c->cls);
}

static int take(struct cursor *c, size_t n, const uint8_t **ret_p)
{
	if ((size_t)(c->end - c->p) < n) {
		short_body(c);
		return -ENODATA;
	}
	*ret_p = c->p;
	c->p += n;
	return 0;
}

static int take_u8(struct cursor *c, uint8_t *ret)
{
	const uint8_t *p;
	int r = take(c, 1, &p);

	if (!r)
		*ret = *p;
	return r;
}

static int take_u32(struct cursor *c, uint32_t *ret)
{
	const uint8_t *p;
	int r = take(c, 4, &p);

	if (!r)
		*ret = ld_le32(p);
	return r;
}

static int take_name(struct cursor *c, const uint8_t **ret_name, size_t *ret_len)
{
	uint8_t n;
	int r = take_u8(c, &n);

	if (r)
		return r;
	*ret_len = n;
	return take(c, n, ret_name);
}

static bool same(const char *want, const uint8_t *name, size_t len)
{
	return strlen(want) == len && !memcmp(want, name, len);
}

/* Object header of @id and @cls; leaves @body over the object's bytes and returns their end. */
static int open_object(struct state_reader *r, const char *id, const char *cls, struct cursor *body)
{
	const uint8_t *name;
	uint8_t tag;
	uint32_t len;
	size_t n;
	int ret;

	body->p = r->p;
	body->end = r->end;
	if (r->p == r->end)
		return error_set(body->err, -ENODATA, "saved state has no object '%s' (%s)", id,
				 cls);
	ret = take_u8(body, &tag);
	if (ret)
		return ret;
	if (tag != STATE_OBJECT)
		return error_set(body->err, -EINVAL,
				 "saved state: no object where '%s' should start", id);
	ret = take_name(body, &name, &n);
	if (ret)
		return ret;
	if (!same(id, name, n))
		return error_set(body->err, -EINVAL,
				 "saved state has object '%s' where '%s' (%s) should be: it comes "
				 "from another machine configuration",
				 show(name, n).text, id, cls);
	ret = take_name(body, &name, &n);
	if (ret)
		return ret;
	if (!same(cls, name, n))
		return error_set(body->err, -EINVAL, "object '%s' is of class '%s', not '%s'", id,
				 show(name, n).text, cls);
	ret = take_u32(body, &body->version);
	if (!ret)
		ret = take_u32(body, &len);
	if (ret)
		return ret;
	if ((size_t)(body->end - body->p) < len)
		return short_body(body);
	body->end = body->p + len;
	return 0;
}

static int bad_field(const struct cursor *c, const struct state_path *at, const char *what)
{
	char path[200];

	return error_set(c->err, -EINVAL, "state of '%s' (%s): field %s: %s", c->id, c->cls,
			 state_path_text(at, path, sizeof(path)), what);
}

static int load_scalars(struct cursor *c, struct state_path *at, uint8_t *mem)
{
	const struct state_field *f = at->f;
	const uint8_t *p;
	int r = take(c, (size_t)f->size * f->count, &p);

	if (r)
		return r;
	for (at->index = 0; at->index < f->count; at->index++) {
		uint64_t v = state_value(f, p + (size_t)at->index * f->size);
		char text[32], why[64] = "out of range: ";

		if (state_in_range(f, v))
			continue;
		state_value_text(f, v, text, sizeof(text));
		strcat(why, text);
		return bad_field(c, at, why);
	}
	memcpy(mem, p, (size_t)f->size * f->count);
	return 0;
}

static int load_fields(struct cursor *c, const struct state_field *fields,
		       const struct state_path *up, uint8_t *base);

static int load_field(struct cursor *c, struct state_path *at, uint8_t *mem)
{
	const struct state_field *f = at->f;
	const uint8_t *name;
	uint8_t kind;
	uint32_t count;
	size_t n;
	int r = take_u8(c, &kind);

	if (r)
		return r;
	if (kind == STATE_END_KIND)
		return bad_field(c, at, "missing");
	r = take_name(c, &name, &n);
	if (r)
		return r;
	if (!same(f->name, name, n)) {
		char why[128] = "expected, but the next one is '";

		strcat(why, show(name, n).text);
		strcat(why, "'");
		return bad_field(c, at, why);
	}
	r = take_u32(c, &count);
	if (r)
		return r;
	if (kind != f->kind)
		return bad_field(c, at, "wrong kind");
	if (count != f->count)
		return bad_field(c, at, "wrong number of elements");
	if (f->kind == STATE_BYTES) {
		r = take(c, f->count, &name);
		if (!r)
			memcpy(mem, name, f->count);
		return r;
	}
	if (f->kind != STATE_NESTED)
		return load_scalars(c, at, mem);
	for (at->index = 0; at->index < f->count; at->index++) {
		r = load_fields(c, f->fields, at, mem + (size_t)at->index * f->size);
		if (r)
			return r;
	}
	return 0;
}

static int load_fields(struct cursor *c, const struct state_field *fields,
		       const struct state_path *up, uint8_t *base)
{
	const uint8_t *name;
	uint8_t kind;
	size_t n;
	int r;

	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		struct state_path at = {.up = up, .f = f};

		if (f->kind == STATE_PADDING) {
			memset(base + f->offset, 0, (size_t)f->size * f->count);
			continue;
		}
		if (f->since > c->version)
			continue; /* the writer did not know it: the reset value stays */
		r = load_field(c, &at, base + f->offset);
		if (r)
			return r;
	}
	r = take_u8(c, &kind);
	if (r)
		return r;
	if (kind == STATE_END_KIND)
		return 0;
	r = take_name(c, &name, &n);
	return r ? r
		 : error_set(c->err, -EINVAL, "state of '%s' (%s): unknown field '%s'", c->id,
			     c->cls, show(name, n).text);
}

int state_load(struct state_reader *r, const char *id, const struct state_desc *desc, void *obj,
	       struct error *err)
{
	struct cursor c = {.id = id, .cls = desc->cls, .err = err};
	const struct state_path root = {0};
	uint8_t *tmp;
	int ret = open_object(r, id, desc->cls, &c);

	if (ret)
		return ret;
	if (!c.version || c.version > desc->version)
		return error_set(err, -EINVAL,
				 "state of '%s' (%s) has version %" PRIu32
				 ", this program knows up to "
				 "%" PRIu32 "; use a newer program",
				 id, desc->cls, c.version, desc->version);
	tmp = xcalloc(desc->size, 1);
	memcpy(tmp, obj, desc->size);
	ret = load_fields(&c, desc->fields, &root, tmp);
	if (!ret && c.p != c.end)
		ret = error_set(err, -EINVAL, "state of '%s' (%s): %zu bytes behind the last field",
				id, desc->cls, (size_t)(c.end - c.p));
	if (!ret) {
		memcpy(obj, tmp, desc->size);
		r->p = c.end;
	}
	free(tmp);
	return ret;
}

int state_load_bytes(struct state_reader *r, const char *id, void *bytes, size_t len,
		     struct error *err)
{
	struct cursor c = {.id = id, .cls = STATE_BYTES_CLASS, .err = err};
	int ret = open_object(r, id, STATE_BYTES_CLASS, &c);

	if (ret)
		return ret;
	if (c.version != 1 || (size_t)(c.end - c.p) != len)
		return error_set(err, -EINVAL, "section '%s' has %zu bytes, %zu are expected", id,
				 (size_t)(c.end - c.p), len);
	if (len)
		memcpy(bytes, c.p, len);
	r->p = c.end;
	return 0;
}
