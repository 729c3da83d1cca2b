/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a stream (layout in state/internal.h). Output depends on tables and values alone: no
 * times, no addresses, no padding bytes; saving the same state twice gives the same bytes.
 */
#include "state/internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"

struct state_writer {
	uint8_t *buf;
	size_t len, room;
};

struct state_writer *state_writer_new(void)
{
	struct state_writer *w = xnew(struct state_writer);

	w->room = 4096;
	w->buf = xcalloc(w->room, 1);
	w->len = STATE_HEADER_LEN;
	return w;
}

void state_writer_free(struct state_writer *w)
{
	if (!w)
		return;
	free(w->buf);
	free(w);
}

static uint8_t *grow(struct state_writer *w, size_t n)
{
	uint8_t *p;

	while (w->room - w->len < n) {
		w->buf = xrealloc(w->buf, w->room, 2);
		w->room *= 2;
	}
	p = w->buf + w->len;
	w->len += n;
	return p;
}

static void put(struct state_writer *w, const void *bytes, size_t n)
{
	uint8_t *p = grow(w, n);

	if (n)
		memcpy(p, bytes, n);
}

static void put_u8(struct state_writer *w, unsigned v)
{
	*grow(w, 1) = (uint8_t)v;
}

static void put_u32(struct state_writer *w, uint32_t v)
{
	st_le32(grow(w, 4), v);
}

static void put_name(struct state_writer *w, const char *name)
{
	size_t n = strlen(name);

	check(n <= STATE_NAME_MAX);
	put_u8(w, (unsigned)n);
	put(w, name, n);
}

static void put_fields(struct state_writer *w, const struct state_field *fields,
		       const uint8_t *base)
{
	for (const struct state_field *f = fields; f->kind != STATE_END_KIND; f++) {
		const uint8_t *mem = base + f->offset;

		if (f->kind == STATE_PADDING)
			continue;
		put_u8(w, f->kind);
		put_name(w, f->name);
		put_u32(w, f->count);
		if (f->kind != STATE_NESTED) {
			/* Host and stream are both little-endian: arrays go as they are. */
			put(w, mem, (size_t)f->size * f->count);
			continue;
		}
		for (uint32_t i = 0; i < f->count; i++)
			put_fields(w, f->fields, mem + (size_t)i * f->size);
	}
	put_u8(w, STATE_END_KIND);
}

/* Starts an object; returns where the body length goes. */
static size_t put_object(struct state_writer *w, const char *id, const char *cls, uint32_t version)
{
	size_t at;

	put_u8(w, STATE_OBJECT);
	put_name(w, id);
	put_name(w, cls);
	put_u32(w, version);
	at = w->len;
	put_u32(w, 0);
	return at;
}

static void end_object(struct state_writer *w, size_t len_at)
{
	size_t body = w->len - len_at - 4;

	check(body <= UINT32_MAX);
	st_le32(w->buf + len_at, (uint32_t)body);
}

void state_save(struct state_writer *w, const char *id, const struct state_desc *desc,
		const void *obj)
{
	size_t at = put_object(w, id, desc->cls, desc->version);

	put_fields(w, desc->fields, obj);
	end_object(w, at);
}

void state_save_bytes(struct state_writer *w, const char *id, const void *bytes, size_t len)
{
	size_t at = put_object(w, id, STATE_BYTES_CLASS, 1);

	put(w, bytes, len);
	end_object(w, at);
}

const uint8_t *state_writer_finish(struct state_writer *w, size_t *ret_len)
{
	size_t body = w->len - STATE_HEADER_LEN;

	memcpy(w->buf, STATE_MAGIC, STATE_MAGIC_LEN);
	st_le32(w->buf + 8, STATE_FORMAT);
	st_le32(w->buf + 12, (uint32_t)crc32_z(0, w->buf + STATE_HEADER_LEN, body));
	st_le64(w->buf + 16, body);
	*ret_len = w->len;
	return w->buf;
}
