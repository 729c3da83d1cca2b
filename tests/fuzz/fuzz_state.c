/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state reader against hostile streams. The first byte picks a way in:
 *  - the rest is the whole file (mostly dies in the header, as it should);
 *  - the rest is the body, under a correct header and CRC;
 *  - the rest edits a correct stream: pairs of (position, value), CRC put right again.
 * Whatever is accepted must be in range, and saving it again must load again to the same bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/base.h"
#include "base/bits.h"
#include "state/state.h"

struct inner {
	uint16_t a;
	int16_t b;
	bool c;
	uint8_t pad_[3];
};

struct outer {
	uint8_t kind;
	uint8_t raw[11];
	uint32_t list[3];
	struct inner in[2];
	uint64_t late;
	int64_t s64;
};

static const struct state_field inner_fields[] = {
	STATE_VAL(struct inner, a, .min = 1, .max = 500),
	STATE_VAL(struct inner, b, .min = (uint64_t)-5, .max = 5), STATE_VAL(struct inner, c),
	STATE_PAD(struct inner, pad_), STATE_END};
static const struct state_field outer_fields[] = {STATE_VAL(struct outer, kind, .max = 7),
						  STATE_BYTES_OF(struct outer, raw),
						  STATE_ARRAY(struct outer, list),
						  STATE_STRUCTS(struct outer, in, inner_fields),
						  STATE_VAL(struct outer, late, .since = 2),
						  STATE_VAL(struct outer, s64),
						  STATE_END};
static const struct state_desc outer_desc = STATE_DESC("outer", 2, struct outer, outer_fields);

static const struct outer good = {.in = {{.a = 1}, {.a = 2}}};

static void put_header(uint8_t *p, size_t len)
{
	memcpy(p, "bothyST\n", 8);
	st_le32(p + 8, 1);
	st_le32(p + 12, (uint32_t)crc32_z(0, p + 24, len - 24));
	st_le64(p + 16, len - 24);
}

static void try_stream(const uint8_t *bytes, size_t len)
{
	struct outer o = good, again = good;
	struct state_reader *r;
	struct state_writer *w;
	struct error err = {0};
	uint8_t tail[4];
	const uint8_t *saved;
	size_t n;

	if (state_reader_new(bytes, len, &r, &err)) {
		check(err.code < 0 && err.text[0]);
		return;
	}
	if (state_load(r, "o", &outer_desc, &o, &err) == 0) {
		check(state_check(&outer_desc, &o, &err) == 0);
		free(state_print_json(&outer_desc, &o));
		w = state_writer_new();
		state_save(w, "o", &outer_desc, &o);
		saved = state_writer_finish(w, &n);
		state_reader_free(r);
		check(state_reader_new(saved, n, &r, &err) == 0);
		check(state_load(r, "o", &outer_desc, &again, &err) == 0);
		check(state_diff(&outer_desc, &o, &again, NULL, NULL) == 0);
		check(state_reader_end(r, &err) == 0);
		state_writer_free(w);
	} else {
		check(err.code < 0 && err.text[0]);
		check(memcmp(&o, &good, sizeof(o)) == 0);
		if (state_load_bytes(r, "o", tail, sizeof(tail), &err) == 0)
			(void)!state_reader_end(r, &err);
	}
	state_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_writer *w;
	const uint8_t *saved;
	uint8_t *buf;
	size_t len;

	if (!size)
		return 0;
	data++;
	size--;
	switch (data[-1] % 3) {
	case 0: try_stream(data, size); break;
	case 1:
		buf = xcalloc(24 + size, 1);
		memcpy(buf + 24, data, size);
		put_header(buf, 24 + size);
		try_stream(buf, 24 + size);
		free(buf);
		break;
	default:
		w = state_writer_new();
		state_save(w, "o", &outer_desc, &good);
		saved = state_writer_finish(w, &len);
		buf = xcalloc(len, 1);
		memcpy(buf, saved, len);
		for (size_t i = 0; i + 1 < size && i < 32; i += 2)
			buf[24 + data[i] % (len - 24)] = data[i + 1];
		put_header(buf, len);
		try_stream(buf, len);
		free(buf);
		state_writer_free(w);
		break;
	}
	return 0;
}
