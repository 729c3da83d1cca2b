/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device under test played: a mixer on the harness's clock that writes a sound file, and
 * its measures. What it records is EAR_LEFT and EAR_RIGHT, all the time.
 */
#ifndef TESTS_REG_EAR_H
#define TESTS_REG_EAR_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audio/audio.h"
#include "harness.h"

struct ear {
	struct audio *audio;
	char path[64], in[64];
	int16_t *frames; /* two samples each, after ear_listen() */
	size_t n;
};

/* A sample that went through rate conversion. */
#define assert_about(got, want) assert_in_range((got) - (want) + 300, 0, 600)

enum { EAR_LEFT = 0x2000, EAR_RIGHT = -0x1000, EAR_IN_RATE = 8000, EAR_IN_SECONDS = 4 };

/* The file that is recorded. */
static inline void ear_input(struct ear *e)
{
	uint8_t head[44] = "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0";
	uint8_t frame[4];
	FILE *f;

	snprintf(e->in, sizeof(e->in), "/tmp/bothy-ear-XXXXXX");
	f = fdopen(mkstemp(e->in), "wb");
	assert_non_null(f);
	st_le32(head + 24, EAR_IN_RATE);
	st_le16(head + 34, 16);
	memcpy(head + 36, "data", 4);
	st_le32(head + 40, EAR_IN_RATE * EAR_IN_SECONDS * 4);
	fwrite(head, sizeof(head), 1, f);
	st_le16(frame, (uint16_t)EAR_LEFT);
	st_le16(frame + 2, (uint16_t)EAR_RIGHT);
	for (unsigned i = 0; i < EAR_IN_RATE * EAR_IN_SECONDS; i++)
		fwrite(frame, sizeof(frame), 1, f);
	assert_int_equal(fclose(f), 0);
}

static inline void ear_open(struct ear *e, struct harness *h)
{
	char spec[160];
	struct error err = {0};

	ear_input(e);
	snprintf(e->path, sizeof(e->path), "/tmp/bothy-ear-XXXXXX");
	assert_true(close(mkstemp(e->path)) == 0);
	snprintf(spec, sizeof(spec), "wav:%s,in=wav:%s", e->path, e->in);
	bus_lock(&h->bus);
	assert_int_equal(audio_open(h->clock, spec, &e->audio, &err), 0);
	bus_unlock(&h->bus);
}

/* After the devices are gone. */
static inline void ear_listen(struct ear *e)
{
	uint8_t head[44];
	FILE *f;

	audio_close(e->audio);
	f = fopen(e->path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(head, 1, 44, f), 44);
	assert_int_equal(ld_le32(head + 24), AUDIO_RATE);
	e->n = ld_le32(head + 40) / 4;
	assert_int_equal(ld_le32(head + 4), e->n * 4 + 36);
	e->frames = xnew_n(int16_t, 2 * e->n + 2);
	assert_int_equal(fread(e->frames, 4, e->n, f), e->n);
	fclose(f);
	unlink(e->path);
	unlink(e->in);
}

/* Loudest sample of a side. */
static inline int ear_peak(const struct ear *e, unsigned side)
{
	int peak = 0;

	for (size_t i = 0; i < e->n; i++)
		peak = MAX(peak, abs(e->frames[2 * i + side]));
	return peak;
}

/* Frequency by rising zero crossings between the first and the last loud sample; 0: silence. */
static inline double ear_hz(const struct ear *e, unsigned side)
{
	size_t first = 0, last = 0, crossings = 0;
	bool low = false;

	for (size_t i = 0; i < e->n; i++) {
		int v = e->frames[2 * i + side];

		if (v < -400)
			low = true;
		if (v > 400 && low) {
			if (!crossings++)
				first = i;
			last = i;
			low = false;
		}
	}
	return crossings > 2 ? (double)(crossings - 1) * AUDIO_RATE / (double)(last - first) : 0;
}

static inline void ear_done(struct ear *e)
{
	free(e->frames);
}

/* A square wave of @hz in 16-bit stereo at @rate, @frames of it. */
static inline void ear_tone(uint8_t *to, unsigned hz, unsigned rate, unsigned frames)
{
	for (unsigned i = 0; i < frames; i++) {
		int16_t v = i * 2 * hz / rate % 2 ? -8000 : 8000;

		st_le16(to + 4 * i, (uint16_t)v);
		st_le16(to + 4 * i + 2, (uint16_t)v);
	}
}

/* @ms milliseconds of the guest's time, one by one. */
static inline void ear_play(struct harness *h, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++)
		harness_step(h, NS_PER_MS);
}

/* The end of a test that does not listen. */
static inline void ear_close(struct ear *e, struct harness *h)
{
	harness_free(h);
	ear_listen(e);
	ear_done(e);
}

#endif
