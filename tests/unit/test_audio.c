/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixer and its sound file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/audio.h"
#include "base/bits.h"

static void test_specs(void **state)
{
	struct audio *a = (void *)1;
	struct error err = {0};

	assert_true(audio_spec_ok("none"));
	assert_true(audio_spec_ok("wav:x"));
	assert_true(audio_spec_ok("alsa"));
	assert_true(audio_spec_ok("alsa:hw:0"));
	assert_false(audio_spec_ok("wav"));
	assert_false(audio_spec_ok("wav:"));
	assert_false(audio_spec_ok("alsa:"));
	assert_true(audio_spec_ok("wav:x,in=wav:y"));
	assert_true(audio_spec_ok("none,in=alsa"));
	assert_true(audio_spec_ok("alsa:hw:0,0,in=alsa:hw:1,0"));
	assert_false(audio_spec_ok("none,in=none"));
	assert_false(audio_spec_ok("none,in=wav"));
	assert_false(audio_spec_ok("none,in="));
	assert_false(audio_spec_ok("oss,in=alsa"));
	assert_false(audio_spec_ok("oss"));
	assert_false(audio_spec_ok(""));
	assert_int_equal(audio_open(NULL, "none", &a, &err), 0);
	assert_null(a);
	assert_int_equal(audio_open(NULL, "wav:/nonexistent/x", &a, &err), -2);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_int_not_equal(audio_open(NULL, "oss", &a, &err), 0);
	assert_int_equal(audio_open(NULL, "none,in=wav:/nonexistent/y", &a, &err), -2);
	assert_non_null(strstr(err.text, "/nonexistent/y"));
	assert_int_equal(audio_open(NULL, "wav:/dev/null,in=wav:/dev/null", &a, &err), -22);
}

static void test_formats(void **state)
{
	static const struct {
		enum audio_sample kind;
		unsigned channels;
		uint8_t in[8];
		int16_t left, right;
	} rows[] = {
		{AUDIO_U8, 1, {0x80}, 0, 0},
		{AUDIO_U8, 2, {0xff, 0x00}, 0x7f00, -0x8000},
		{AUDIO_S8, 1, {0x80}, -0x8000, -0x8000},
		{AUDIO_U16, 2, {0x00, 0x80, 0xff, 0xff}, 0, 0x7fff},
		{AUDIO_S16, 2, {0x34, 0x12, 0xff, 0xff}, 0x1234, -1},
		{AUDIO_S32, 2, {1, 2, 0x34, 0x12, 0, 0, 0, 0x80}, 0x1234, -0x8000},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int16_t out[2];

		audio_to_frames(rows[i].kind, rows[i].channels, rows[i].in, 1, out);
		assert_int_equal(out[0], rows[i].left);
		assert_int_equal(out[1], rows[i].right);
	}
}

/* Two voices of different rates and volumes: lengths, sums, clipping. */
static void test_mix(void **state)
{
	struct clock *c = clock_new(NULL);
	char path[] = "/tmp/bothy-audio-XXXXXX", spec[64];
	int16_t quiet[441][2], loud[480][2], got[2];
	struct audio_voice *v, *w;
	struct error err = {0};
	struct audio *a;
	uint8_t head[44];
	uint32_t n;
	FILE *f;

	for (unsigned i = 0; i < 480; i++) {
		if (i < 441)
			quiet[i][0] = quiet[i][1] = 4000;
		loud[i][0] = loud[i][1] = 30000;
	}
	assert_true(close(mkstemp(path)) == 0);
	snprintf(spec, sizeof(spec), "wav:%s", path);
	assert_int_equal(audio_open(c, spec, &a, &err), 0);
	clock_start(c);
	v = audio_voice_new(a);
	w = audio_voice_new(a);
	audio_voice_rate(v, 44100);
	audio_voice_volume(v, AUDIO_UNITY, AUDIO_UNITY / 2);
	for (unsigned i = 0; i < 100; i++) {
		audio_voice_write(v, quiet[0], 441);
		if (i >= 50)
			audio_voice_write(w, loud[0], 480);
		clock_step(c, 10 * NS_PER_MS);
	}
	audio_voice_stop(v);
	audio_voice_stop(w);
	clock_step(c, NS_PER_SEC);
	audio_voice_free(v);
	audio_voice_free(w);
	audio_close(a);
	clock_free(c);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(head, 1, 44, f), 44);
	assert_memory_equal(head, "RIFF", 4);
	assert_memory_equal(head + 8, "WAVEfmt ", 8);
	n = ld_le32(head + 40) / 4;
	assert_in_range(n, 48000, 49500); /* a second, and what was kept back at the start */
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(fread(got, 4, 1, f), 1);
		if (i > 10000 && i < 20000) {
			assert_in_range(got[0], 3900, 4100);
			assert_in_range(got[1], 1950, 2050);
		} else if (i > 30000 && i < 40000) {
			assert_int_equal(got[0], 32767); /* 34000 does not go */
			assert_in_range(got[1], 31700, 32300);
		}
	}
	fclose(f);
	unlink(path);
}

/* A voice that is given more than time passes keeps half a second. */
static void test_flood(void **state)
{
	struct clock *c = clock_new(NULL);
	struct audio_voice *v;
	struct error err = {0};
	struct audio *a;
	int16_t buf[4800][2] = {0};

	assert_int_equal(audio_open(c, "wav:/dev/null", &a, &err), 0);
	clock_start(c);
	v = audio_voice_new(a);
	audio_voice_rate(v, 1); /* clamped */
	for (unsigned i = 0; i < 20; i++)
		audio_voice_write(v, buf[0], 4800);
	clock_step(c, NS_PER_SEC);
	audio_voice_rate(v, 4000000);
	audio_voice_write(v, buf[0], 4800);
	clock_step(c, 100 * NS_PER_SEC);
	audio_voice_free(v);
	audio_close(a);
	clock_free(c);
	/* Nobody listens: everything is allowed and does nothing. */
	assert_null(audio_voice_new(NULL));
	audio_voice_rate(NULL, 1);
	audio_voice_volume(NULL, 1, 1);
	audio_voice_write(NULL, buf[0], 1);
	audio_voice_stop(NULL);
	audio_voice_free(NULL);
	audio_close(NULL);
}

/* Each kind of sample comes back as it went, as far as it has bits. */
static void test_reverse(void **state)
{
	for (unsigned kind = 0; kind < AUDIO_SAMPLE_COUNT; kind++)
		for (unsigned channels = 1; channels <= 3; channels++) {
			const int16_t in[2][2] = {{0x1200, -0x1200}, {-0x8000, 0x7f00}};
			int16_t out[2][2];
			uint8_t buf[2 * 3 * 4 + 1];

			buf[2 * channels * audio_sample_bytes(kind)] = 0x5a;
			audio_from_frames(kind, channels, in[0], 2, buf);
			audio_to_frames(kind, channels, buf, 2, out[0]);
			for (unsigned i = 0; i < 2; i++)
				for (unsigned side = 0; side < 2; side++) {
					int want = channels > 1 ? in[i][side]
								: (in[i][0] + in[i][1]) / 2;

					assert_in_range(out[i][side] - want + 256, 0, 512);
				}
			assert_int_equal(buf[2 * channels * audio_sample_bytes(kind)], 0x5a);
		}
}

enum { WAVE_HEAD = 58 };

/* A file of @n frames, the left side 1000 and the right one 2000, with a chunk more than it needs.
 */
static void wave_file(char path[], unsigned channels, unsigned bits, uint32_t rate, uint32_t n)
{
	uint8_t h[WAVE_HEAD] = "RIFF\0\0\0\0WAVEfact\5\0\0\0-----\0fmt ";
	FILE *f;
	int fd;

	st_le32(h + 30, 16);
	st_le16(h + 34, 1);
	st_le16(h + 36, (uint16_t)channels);
	st_le32(h + 38, rate);
	st_le32(h + 42, rate * channels * bits / 8);
	st_le16(h + 46, (uint16_t)(channels * bits / 8));
	st_le16(h + 48, (uint16_t)bits);
	memcpy(h + 50, "data", 4);
	st_le32(h + 54, n * channels * bits / 8);
	fd = mkstemp(path);
	f = fdopen(fd, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(h, sizeof(h), 1, f), 1);
	for (uint32_t i = 0; i < n * channels; i++) {
		int v = 1000 * (int)(i % channels + 1);

		if (bits == 8)
			fputc(v / 256 + 128, f);
		else
			fwrite((uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2, 1, f);
	}
	fclose(f);
}

static void test_capture(void **state)
{
	static const struct {
		unsigned channels, bits;
		uint32_t rate, record_at;
	} rows[] = {{2, 16, 48000, 48000}, {2, 16, 44100, 48000}, {1, 8, 8000, 44100},
		    {2, 16, 192000, 4000}, {1, 16, 4000, 192000}, {2, 8, 48000, 11025}};
	struct error err = {0};
	struct audio *a;

	for (unsigned row = 0; row < ARRAY_SIZE(rows); row++) {
		char path[] = "/tmp/bothy-record-XXXXXX", spec[64];
		struct audio_capture *c;
		int16_t got[100][2];
		unsigned heard = 0;

		wave_file(path, rows[row].channels, rows[row].bits, rows[row].rate, rows[row].rate);
		snprintf(spec, sizeof(spec), "none,in=wav:%s", path);
		assert_int_equal(audio_open(NULL, spec, &a, &err), 0);
		c = audio_capture_new(a);
		assert_non_null(c);
		audio_capture_rate(c, rows[row].record_at);
		audio_capture_volume(c, 2 * AUDIO_UNITY, AUDIO_UNITY);
		for (uint32_t i = 0; i < rows[row].record_at * 2; i += 100) {
			int left = rows[row].bits == 8 ? 3 * 256 : 1000;
			int right = rows[row].channels == 1 ? left
				    : rows[row].bits == 8   ? 7 * 256
							    : 2000;

			audio_capture_read(c, got[0], 100);
			if (i > rows[row].record_at / 10 && i < rows[row].record_at * 8 / 10) {
				assert_in_range(got[50][0], 2 * left - 30, 2 * left + 30);
				assert_in_range(got[50][1], right - 30, right + 30);
			}
			for (unsigned f = 0; f < 100; f++)
				heard += got[f][0] > 600;
		}
		/* the whole second, but for what the filter keeps back */
		assert_in_range(heard, rows[row].record_at * 97 / 100 - 100,
				rows[row].record_at + 10);
		audio_capture_stop(c);
		audio_capture_read(c, got[0], 100); /* the end has been reached */
		assert_in_range(got[99][0] + 30, 0, 60);
		audio_capture_free(c);
		audio_close(a);
		unlink(path);
	}
	assert_null(audio_capture_new(NULL));
	audio_capture_rate(NULL, 1);
	audio_capture_volume(NULL, 1, 1);
	audio_capture_stop(NULL);
	audio_capture_free(NULL);
}

/* Files that are not what they should be: cut anywhere, with any byte changed. */
static void test_bad_files(void **state)
{
	char path[] = "/tmp/bothy-record-XXXXXX", spec[64];
	uint8_t whole[WAVE_HEAD + 40];
	struct error err = {0};
	struct audio *a;
	FILE *f;

	wave_file(path, 2, 16, 8000, 10);
	snprintf(spec, sizeof(spec), "none,in=wav:%s", path);
	f = fopen(path, "rb");
	assert_int_equal(fread(whole, sizeof(whole), 1, f), 1);
	fclose(f);
	for (unsigned i = 0; i < 2 * sizeof(whole); i++) {
		size_t at = i / 2;
		uint8_t old = whole[at];

		f = fopen(path, "wb");
		whole[at] ^= i & 1 ? 0xff : 0;
		fwrite(whole, i & 1 ? sizeof(whole) : at, 1, f);
		whole[at] = old;
		fclose(f);
		if (audio_open(NULL, spec, &a, &err) == 0) {
			struct audio_capture *c = audio_capture_new(a);
			int16_t got[100][2];

			audio_capture_rate(c, 8000);
			for (unsigned n = 0; n < 5; n++)
				audio_capture_read(c, got[0], 100);
			audio_capture_free(c);
			audio_close(a);
		} else {
			assert_true(!(i & 1) || at < WAVE_HEAD);
		}
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs),    cmocka_unit_test(test_formats),
		cmocka_unit_test(test_mix),      cmocka_unit_test(test_flood),
		cmocka_unit_test(test_reverse),  cmocka_unit_test(test_capture),
		cmocka_unit_test(test_bad_files)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
