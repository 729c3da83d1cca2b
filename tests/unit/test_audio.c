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
	assert_false(audio_spec_ok("oss"));
	assert_false(audio_spec_ok(""));
	assert_int_equal(audio_open(NULL, "none", &a, &err), 0);
	assert_null(a);
	assert_int_equal(audio_open(NULL, "wav:/nonexistent/x", &a, &err), -2);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_int_not_equal(audio_open(NULL, "oss", &a, &err), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_mix), cmocka_unit_test(test_flood)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
