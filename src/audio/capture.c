/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording: what the host hears, at the rate at which a device's converter takes it. The devices
 * pull, at the pace of the guest clock, and libsamplerate converts from the host side's rate.
 *
 * A file gives what is asked for, so a recording depends on the guest alone. A live source has its
 * own clock: AUDIO_PRIME_MS are collected before anything is heard, silence fills in when it falls
 * behind, and what is older than RING frames is dropped when it runs ahead. A capture that begins
 * leaves out what a live source had waiting. Several captures at once share what comes.
 */
#include "audio/impl.h"

#include <samplerate.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
	CHUNK = 256, /* frames converted at a time */
	CHUNK_OUT = CHUNK * (AUDIO_RATE_MAX / AUDIO_SOURCE_RATE_MIN) + 64,
	RING = AUDIO_RATE_MAX / 4 + CHUNK_OUT, /* frames */
	READS_MAX = 64, /* of a source that has nothing to say, for one capture_read() */
};

struct audio_capture {
	struct audio *audio; /* borrowed */
	SRC_STATE *src;
	uint32_t rate;
	double ratio;
	float volume[2];
	float ring[RING][2];
	unsigned head, n; /* first frame, frames */
	bool begun, heard;
	float conv[CHUNK_OUT][2];
};

struct audio_capture *audio_capture_new(struct audio *a)
{
	struct audio_capture *c = audio_source_of(a) ? xtry_calloc(1, sizeof(*c)) : NULL;
	int r;

	if (!c)
		return NULL;
	c->src = src_new(SRC_SINC_FASTEST, 2, &r);
	if (!c->src) {
		free(c);
		return NULL;
	}
	c->audio = a;
	c->volume[0] = c->volume[1] = 1;
	audio_capture_rate(c, AUDIO_RATE);
	return c;
}

void audio_capture_free(struct audio_capture *c)
{
	if (!c)
		return;
	src_delete(c->src);
	free(c);
}

void audio_capture_rate(struct audio_capture *c, uint32_t rate)
{
	if (!c)
		return;
	rate = MIN(rate, AUDIO_RATE_MAX);
	rate = MAX(rate, AUDIO_RATE_MIN);
	if (rate == c->rate)
		return;
	c->rate = rate;
	c->ratio = (double)rate / audio_source_of(c->audio)->rate;
	src_set_ratio(c->src, c->ratio);
	c->n = 0;
}

void audio_capture_volume(struct audio_capture *c, uint32_t left, uint32_t right)
{
	if (!c)
		return;
	c->volume[0] = (float)MIN(left, 16 * AUDIO_UNITY) / AUDIO_UNITY;
	c->volume[1] = (float)MIN(right, 16 * AUDIO_UNITY) / AUDIO_UNITY;
}

static void push(struct audio_capture *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float *to = c->ring[(c->head + c->n) % RING];

		to[0] = c->conv[i][0];
		to[1] = c->conv[i][1];
		if (c->n < RING)
			c->n++;
		else
			c->head = (c->head + 1) % RING;
	}
}

/* Takes what the source has into the ring, up to @want frames there. */
static void fill(struct audio_capture *c, unsigned want)
{
	const struct audio_source *s = audio_source_of(c->audio);

	for (unsigned i = 0; i < READS_MAX && c->n < want; i++) {
		int16_t in[CHUNK][2];
		float frames[CHUNK][2];
		SRC_DATA d = {.data_in = frames[0],
			      .data_out = c->conv[0],
			      .output_frames = CHUNK_OUT,
			      .src_ratio = c->ratio};
		size_t need = (size_t)((want - c->n) / c->ratio) + 1;
		size_t got = s->ops->read(s->source, in[0], MIN(need, (size_t)CHUNK));

		if (!got)
			break;
		for (size_t f = 0; f < got; f++)
			for (unsigned side = 0; side < 2; side++)
				frames[f][side] = (float)in[f][side] / 32768;
		d.input_frames = (long)got;
		if (src_process(c->src, &d))
			break; /* only for bad arguments */
		push(c, (size_t)d.output_frames_gen);
	}
}

static void begin(struct audio_capture *c)
{
	const struct audio_source *s = audio_source_of(c->audio);
	int16_t old[CHUNK][2];

	c->begun = true;
	c->heard = !s->ops->live;
	c->n = 0;
	src_reset(c->src);
	for (unsigned i = 0; s->ops->live && i < READS_MAX; i++)
		if (!s->ops->read(s->source, old[0], CHUNK))
			break;
}

void audio_capture_read(struct audio_capture *c, int16_t *frames, size_t n)
{
	unsigned prime;

	memset(frames, 0, n * 2 * sizeof(*frames));
	if (!c || !n)
		return;
	n = MIN(n, (size_t)RING - CHUNK_OUT);
	prime = audio_source_of(c->audio)->ops->live ? c->rate / 1000 * AUDIO_PRIME_MS : 0;
	if (!c->begun)
		begin(c);
	fill(c, (unsigned)n + prime);
	if (c->n < n) /* behind: collect again */
		c->heard = !prime;
	else if (c->n >= n + prime)
		c->heard = true;
	for (size_t i = 0; i < n && c->heard && c->n; i++) {
		for (unsigned side = 0; side < 2; side++) {
			float v = c->ring[c->head][side] * c->volume[side];

			frames[2 * i + side] = audio_clip(v);
		}
		c->head = (c->head + 1) % RING;
		c->n--;
	}
}

void audio_capture_stop(struct audio_capture *c)
{
	if (c)
		c->begun = false;
}
