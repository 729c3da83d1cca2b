/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State tables and streams: every kind, save/load/save, each refusal, completeness, JSON, diff
 * (state/state.h). The byte layout checked here is the one state/internal.h documents.
 */
#include "cm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "state/state.h"

struct chan {
	uint32_t reload;
	uint8_t mode;
	uint8_t pad_[3];
};

struct all {
	uint8_t u8;
	bool flag;
	uint16_t u16[2];
	uint8_t pad_[2];
	uint32_t u32;
	uint8_t raw[2][3];
	uint8_t pad3_[6];
	uint64_t u64;
	int8_t s8;
	uint8_t pad2_[1];
	int16_t s16;
	int32_t s32;
	int64_t s64;
	struct chan ch[2];
	struct chan one;
};

static const struct state_field chan_fields[] = {STATE_VAL(struct chan, reload, .max = 0x10000),
						 STATE_VAL(struct chan, mode, .max = 5),
						 STATE_PAD(struct chan, pad_), STATE_END};

#define ALL_FIELDS                                                                                 \
	STATE_VAL(struct all, u8), STATE_VAL(struct all, flag), STATE_ARRAY(struct all, u16),      \
		STATE_VAL(struct all, u32, .min = 1), STATE_PAD(struct all, pad_),                 \
		STATE_BYTES_OF(struct all, raw), STATE_VAL(struct all, u64),                       \
		STATE_VAL(struct all, s8, .min = (uint64_t)-3, .max = 3),                          \
		STATE_PAD(struct all, pad2_), STATE_PAD(struct all, pad3_),                        \
		STATE_VAL(struct all, s16),                                                        \
		STATE_VAL(struct all, s32, .min = (uint64_t)-9, .max = 0),                         \
		STATE_VAL(struct all, s64), STATE_STRUCTS(struct all, ch, chan_fields),            \
		STATE_STRUCT(struct all, one, chan_fields)

static const struct state_field all_fields[] = {ALL_FIELDS, STATE_END};
static const struct state_desc all_desc = STATE_DESC("all", 1, struct all, all_fields);

static const struct all sample = {.u8 = 200,
				  .flag = true,
				  .u16 = {1, 65535},
				  .u32 = 0xdeadbeef,
				  .raw = {{1, 2, 3}, {4, 5, 6}},
				  .u64 = 0x8877665544332211,
				  .s8 = -3,
				  .s16 = -300,
				  .s32 = -9,
				  .s64 = INT64_MIN,
				  .ch = {{0x10000, 5}, {1, 0}},
				  .one = {7, 3}};

/* A stream in memory that tests may spoil. */
struct stream {
	uint8_t bytes[2048];
	size_t len;
};

static void save(struct stream *s, const char *id, const struct state_desc *desc, const void *obj)
{
	struct state_writer *w = state_writer_new();
	const uint8_t *bytes;

	state_save(w, id, desc, obj);
	bytes = state_writer_finish(w, &s->len);
	assert_true(s->len <= sizeof(s->bytes));
	memcpy(s->bytes, bytes, s->len);
	state_writer_free(w);
}

/* Makes the CRC right again, so that a test reaches what lies behind it. */
static void reseal(struct stream *s)
{
	st_le64(s->bytes + 16, s->len - 24);
	st_le32(s->bytes + 12, (uint32_t)crc32(0, s->bytes + 24, (unsigned)s->len - 24));
}

static int load(const struct stream *s, const char *id, const struct state_desc *desc, void *obj,
		struct error *err)
{
	struct state_reader *r;
	int ret;

	err->text[0] = '\0';
	ret = state_reader_new(s->bytes, s->len, &r, err);
	if (ret)
		return ret;
	ret = state_load(r, id, desc, obj, err);
	if (!ret)
		ret = state_reader_end(r, err);
	state_reader_free(r);
	return ret;
}

static void refused(const struct stream *s, int code, const char *says)
{
	struct all obj = {.u8 = 99}, before = obj;
	struct error err;

	assert_int_equal(load(s, "dev0", &all_desc, &obj, &err), code);
	if (!strstr(err.text, says))
		fail_msg("message is '%s', should contain '%s'", err.text, says);
	assert_memory_equal(&obj, &before, sizeof(obj));
}

static void test_roundtrip(void **state)
{
	struct stream a, b;
	struct all obj = {0};
	struct error err;

	save(&a, "dev0", &all_desc, &sample);
	assert_int_equal(load(&a, "dev0", &all_desc, &obj, &err), 0);
	assert_memory_equal(&obj, &sample, sizeof(obj));
	save(&b, "dev0", &all_desc, &obj);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	/* Padding is neither saved nor kept. */
	obj.pad_[0] = obj.ch[1].pad_[2] = 0xee;
	save(&b, "dev0", &all_desc, &obj);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	assert_int_equal(load(&a, "dev0", &all_desc, &obj, &err), 0);
	assert_int_equal(obj.pad_[0] | obj.ch[1].pad_[2], 0);
}

/* The format is a promise: these bytes must not change within format 1. */
static void test_golden(void **state)
{
	static const uint8_t want[] = {
		'b', 'o', 't', 'h', 'y', 'S', 'T', '\n', 1,   0, 0, 0,    /* magic, format */
		0,   0,   0,   0,   0,   0,   0,   0,    0,   0, 0, 0,    /* CRC, length below */
		'O', 2,   'c', '0', 4,   'c', 'h', 'a',  'n', 1, 0, 0, 0, /* object, version */
		32,  0,   0,   0,                                         /* body */
		3,   6,   'r', 'e', 'l', 'o', 'a', 'd',  1,   0, 0, 0, 7, 0, 0, 0, /* u32 */
		1,   4,   'm', 'o', 'd', 'e', 1,   0,    0,   0, 3, 0};            /* u8, end */
	struct chan c = {7, 3};
	struct state_desc d = STATE_DESC("chan", 1, struct chan, chan_fields);
	struct stream s, w;

	memcpy(w.bytes, want, sizeof(want));
	w.len = sizeof(want);
	w.bytes[24 + 13] = (uint8_t)(sizeof(want) - 24 - 17);
	reseal(&w);
	save(&s, "c0", &d, &c);
	assert_int_equal(s.len, w.len);
	assert_memory_equal(s.bytes, w.bytes, s.len);
}

static void test_short(void **state)
{
	struct stream s;
	struct all obj;
	struct error err;

	save(&s, "dev0", &all_desc, &sample);
	for (size_t full = s.len, n = 0; n < full; n++) {
		s.len = n; /* cut without resealing */
		refused(&s, -ENODATA, "cut short");
	}
	/* Cut, header and object length put right: the object itself is short. */
	save(&s, "dev0", &all_desc, &sample);
	for (size_t full = s.len, n = 24 + 10; n < full; n++) {
		struct stream t = s;

		t.len = n;
		if (n >= 24 + 18)
			st_le32(t.bytes + 24 + 14, (uint32_t)(n - 24 - 18));
		reseal(&t);
		assert_int_equal(load(&t, "dev0", &all_desc, &obj, &err), -ENODATA);
	}
	s.len = 24;
	reseal(&s);
	refused(&s, -ENODATA, "no object 'dev0'");
}

static void test_bit_flips(void **state)
{
	struct stream s;
	struct all obj;
	struct error err;

	save(&s, "dev0", &all_desc, &sample);
	for (size_t i = 0; i < s.len * 8; i++) {
		s.bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
		assert_int_not_equal(load(&s, "dev0", &all_desc, &obj, &err), 0);
		s.bytes[i / 8] ^= (uint8_t)(1 << (i % 8));
	}
	s.bytes[8]++;
	refused(&s, -EINVAL, "format 2");
	s.bytes[8]--;
	s.bytes[0] = 'x';
	refused(&s, -EINVAL, "not a saved state");
}

/* The writer below has other ideas about the same class than the reader. */
#define OTHER(name_, ...)                                                                          \
	static const struct state_field name_##_fields[] = {__VA_ARGS__, STATE_END};               \
	static const struct state_desc name_##_desc =                                              \
		STATE_DESC("all", 1, struct all, name_##_fields)

OTHER(unknown, ALL_FIELDS, STATE_VAL(struct all, u8, .name = "extra"));
OTHER(missing, STATE_VAL(struct all, u8));
OTHER(renamed, STATE_VAL(struct all, u8, .name = "u9"));
OTHER(reordered, STATE_VAL(struct all, flag), STATE_VAL(struct all, u8));
OTHER(kind, STATE_VAL(struct all, s8, .name = "u8"));
OTHER(count, STATE_VAL(struct all, u8), STATE_VAL(struct all, flag),
      STATE_VAL(struct all, u16[0], .name = "u16"));

static void test_other_tables(void **state)
{
	static const struct {
		const struct state_desc *desc;
		const char *says;
	} rows[] = {
		{&unknown_desc, "unknown field 'extra'"},
		{&missing_desc, "field flag: missing"},
		{&renamed_desc, "field u8: expected, but the next one is 'u9'"},
		{&reordered_desc, "field u8: expected, but the next one is 'flag'"},
		{&kind_desc, "field u8: wrong kind"},
		{&count_desc, "field u16[0]: wrong number of elements"},
	};
	struct stream s;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		save(&s, "dev0", rows[i].desc, &sample);
		refused(&s, -EINVAL, rows[i].says);
	}
}

static void test_ranges(void **state)
{
	struct stream s;
	struct all o;
	struct error err;

#define BAD(member, value, says)                                                                   \
	o = sample;                                                                                \
	o.member = (value);                                                                        \
	save(&s, "dev0", &all_desc, &o);                                                           \
	refused(&s, -EINVAL, says);                                                                \
	assert_int_equal(state_check(&all_desc, &o, &err), -EINVAL);                               \
	assert_non_null(strstr(err.text, "out of range"))

	BAD(u32, 0, "field u32: out of range: 0");
	BAD(s8, -4, "field s8: out of range: -4");
	BAD(s8, 4, "field s8: out of range: 4");
	BAD(s32, 1, "field s32: out of range: 1");
	BAD(s32, -10, "field s32: out of range: -10");
	BAD(ch[1].mode, 6, "field ch[1].mode: out of range: 6");
	BAD(one.reload, 0x10001, "field one.reload: out of range: 0x10001");
#undef BAD
	assert_int_equal(state_check(&all_desc, &sample, &err), 0);
	/* A bool that is neither 0 nor 1 can only come from a stream. */
	save(&s, "dev0", &all_desc, &sample);
	for (size_t i = 24; i < s.len; i++) {
		if (memcmp(s.bytes + i, "flag\1\0\0\0", 8))
			continue;
		s.bytes[i + 8] = 2;
		reseal(&s);
		refused(&s, -EINVAL, "field flag: out of range: 2");
		return;
	}
	fail();
}

static const struct state_field v2_fields[] = {STATE_VAL(struct chan, reload),
					       STATE_VAL(struct chan, mode, .since = 2),
					       STATE_PAD(struct chan, pad_), STATE_END};
static const struct state_field v1_fields[] = {STATE_VAL(struct chan, reload), STATE_END};
static const struct state_desc v2_desc = STATE_DESC("chan", 2, struct chan, v2_fields);
static const struct state_desc v1_desc = STATE_DESC("chan", 1, struct chan, v1_fields);

static void test_versions(void **state)
{
	struct chan c = {.reload = 5, .mode = 4}, got = {.mode = 2};
	struct stream s;
	struct error err;

	/* Older stream: the new field keeps its reset value. */
	save(&s, "c", &v1_desc, &c);
	assert_int_equal(load(&s, "c", &v2_desc, &got, &err), 0);
	assert_int_equal(got.reload, 5);
	assert_int_equal(got.mode, 2);
	save(&s, "c", &v2_desc, &c);
	assert_int_equal(load(&s, "c", &v2_desc, &got, &err), 0);
	assert_int_equal(got.mode, 4);
	/* Newer stream: refused, even where the table would fit. */
	assert_int_equal(load(&s, "c", &v1_desc, &got, &err), -EINVAL);
	assert_non_null(strstr(err.text, "version 2"));
	/* Version 0 was never written by anyone; a v1 stream with the v2 field is a lie. */
	save(&s, "c", &v2_desc, &c);
	s.bytes[24 + 8] = 0;
	reseal(&s);
	assert_int_equal(load(&s, "c", &v2_desc, &got, &err), -EINVAL);
	s.bytes[24 + 8] = 1;
	reseal(&s);
	assert_int_equal(load(&s, "c", &v2_desc, &got, &err), -EINVAL);
	assert_non_null(strstr(err.text, "unknown field 'mode'"));
}

static void test_objects(void **state)
{
	struct state_writer *w = state_writer_new();
	struct state_reader *r;
	struct error err;
	struct chan c = {1, 2};
	const uint8_t *bytes;
	uint8_t raw[3] = {9, 8, 7}, got[3];
	struct all obj;
	size_t len;

	state_save(w, "a", &v1_desc, &c);
	state_save_bytes(w, "nv", raw, 3);
	state_save_bytes(w, "none", NULL, 0);
	state_save(w, "b", &v1_desc, &c);
	bytes = state_writer_finish(w, &len);
	assert_int_equal(state_reader_new(bytes, len, &r, &err), 0);
	/* Wrong name, wrong class, wrong section: each refused, and nothing is consumed. */
	assert_int_equal(state_load(r, "b", &v1_desc, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "object 'a' where 'b'"));
	assert_int_equal(state_load(r, "a", &all_desc, &obj, &err), -EINVAL);
	assert_non_null(strstr(err.text, "class 'chan', not 'all'"));
	assert_int_equal(state_load_bytes(r, "a", got, 3, &err), -EINVAL);
	assert_int_equal(state_load(r, "a", &v1_desc, &c, &err), 0);
	assert_int_equal(state_load_bytes(r, "nv", got, 2, &err), -EINVAL);
	assert_non_null(strstr(err.text, "3 bytes, 2 are expected"));
	assert_int_equal(state_load_bytes(r, "nv", got, 3, &err), 0);
	assert_memory_equal(got, raw, 3);
	assert_int_equal(state_load_bytes(r, "none", NULL, 0, &err), 0);
	assert_int_equal(state_reader_end(r, &err), -EINVAL);
	assert_int_equal(state_load(r, "b", &v1_desc, &c, &err), 0);
	assert_int_equal(state_reader_end(r, &err), 0);
	assert_int_equal(state_load(r, "c", &v1_desc, &c, &err), -ENODATA);
	state_reader_free(r);
	state_writer_free(w);
}

static void test_trailing(void **state)
{
	struct stream s;

	save(&s, "dev0", &all_desc, &sample);
	s.bytes[s.len++] = 0; /* behind the sealed part */
	refused(&s, -EINVAL, "behind its end");
	reseal(&s); /* a byte of a next object */
	struct all obj = {0};
	struct error err;
	assert_int_equal(load(&s, "dev0", &all_desc, &obj, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nobody asked for"));
	/* inside the object, behind its last field */
	st_le32(s.bytes + 24 + 14, ld_le32(s.bytes + 24 + 14) + 1);
	reseal(&s);
	refused(&s, -EINVAL, "behind the last field");
	/* something else than an object */
	save(&s, "dev0", &all_desc, &sample);
	s.bytes[24] = 'X';
	reseal(&s);
	refused(&s, -EINVAL, "no object where");
	/* names from the stream are made harmless before they are shown */
	save(&s, "de\nv", &all_desc, &sample);
	refused(&s, -EINVAL, "object 'de?v'");
}

static const struct state_field gap_fields[] = {STATE_VAL(struct chan, reload),
						STATE_PAD(struct chan, pad_), STATE_END};
static const struct state_field twice_fields[] = {
	STATE_VAL(struct chan, reload), STATE_VAL(struct chan, mode),
	STATE_VAL(struct chan, mode, .name = "again"), STATE_PAD(struct chan, pad_), STATE_END};
static const struct state_field nested_gap_fields[] = {STATE_STRUCTS(struct all, ch, gap_fields),
						       STATE_END};

static void test_unnamed(void **state)
{
	const char *name = NULL;
	struct state_desc d = STATE_DESC("chan", 1, struct chan, gap_fields);

	assert_int_equal(state_unnamed_bytes(&all_desc, &name), 0);
	assert_null(name);
	assert_int_equal(state_unnamed_bytes(&d, &name), 1);
	assert_string_equal(name, "reload");
	d.fields = twice_fields;
	assert_int_equal(state_unnamed_bytes(&d, &name), 1);
	assert_string_equal(name, "again");
	d.size -= 1; /* a field past the end */
	d.fields = chan_fields;
	assert_int_equal(state_unnamed_bytes(&d, &name), 1);
	d = (struct state_desc)STATE_DESC("all", 1, struct all, nested_gap_fields);
	assert_int_equal(state_unnamed_bytes(&d, NULL), sizeof(struct all) - 14);
}

static void test_json(void **state)
{
	CLEANUP(x_freep) char *text = state_print_json(&all_desc, &sample);
	static const char *const parts[] = {"\"u8\": 200",
					    "\"flag\": true",
					    "\"raw\": \"010203040506\"",
					    "\"u64\": \"0x8877665544332211\"",
					    "\"s64\": -9223372036854775808",
					    "\"mode\": 5"};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		assert_non_null(strstr(text, parts[i]));
	assert_null(strstr(text, "pad"));
}

struct seen {
	char text[400];
};

static void on_diff(void *ctx, const char *path, const char *a, const char *b)
{
	struct seen *s = ctx;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s:%s>%s ", path, a,
		 b);
}

static void test_diff(void **state)
{
	struct all b = sample;
	struct seen s = {""};

	assert_int_equal(state_diff(&all_desc, &sample, &b, on_diff, &s), 0);
	b.pad_[1] = 1;
	assert_int_equal(state_diff(&all_desc, &sample, &b, on_diff, &s), 0);
	b.u16[1] = 3;
	b.flag = false;
	b.raw[1][0] = 0;
	b.s16 = -1;
	b.ch[1].reload = 0x20;
	assert_int_equal(state_diff(&all_desc, &sample, &b, NULL, NULL), 5);
	state_diff(&all_desc, &sample, &b, on_diff, &s);
	assert_string_equal(s.text, "flag:true>false u16[1]:0xffff>3 raw[3]:4>0 s16:-300>-1 "
				    "ch[1].reload:1>0x20 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),    cmocka_unit_test(test_golden),
		cmocka_unit_test(test_short),        cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_other_tables), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_versions),     cmocka_unit_test(test_objects),
		cmocka_unit_test(test_trailing),     cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_json),         cmocka_unit_test(test_diff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
