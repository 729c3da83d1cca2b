/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixer of audio.h. Rates are converted by libsamplerate. Each voice has a ring of half a
 * second of converted frames; what does not fit is dropped, so a guest that plays faster than time
 * passes loses sound, not host memory.
 */
#include "audio/impl.h"

#include <errno.h>
#include <samplerate.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/list.h"

enum {
	TICK_MS = 10,
	RING = AUDIO_RATE / 2,                      /* frames */
	PRIME = AUDIO_RATE / 1000 * AUDIO_PRIME_MS, /* frames */
	CHUNK = 512,                                /* frames converted at a time */
	CHUNK_OUT = CHUNK * (AUDIO_RATE / AUDIO_RATE_MIN) + 64,
	TICK_FRAMES = AUDIO_RATE / 1000 * TICK_MS,
	TICKS_LATE = 20, /* mixed at once when the host was late; the rest is left out */
};

struct audio_voice {
	struct audio *audio; /* borrowed */
	struct list node;
	SRC_STATE *src;
	double ratio;
	float volume[2];
	float ring[RING][2];
	unsigned head, n; /* first frame, frames */
	bool heard, stopped;
};

struct audio {
	const struct audio_sink_ops *ops; /* NULL: nobody hears */
	void *sink;
	struct audio_source source; /* ops NULL: nothing is recorded */
	struct clock *clock;
	struct vtimer timer;
	struct list voices;
	ns_t mixed_to; /* guest time up to which the mix was handed on, while the timer runs */
	float conv[CHUNK_OUT][2];
};

/* ------------------------------------------------------------------ samples */

unsigned audio_sample_bytes(enum audio_sample kind)
{
	static const uint8_t bytes[AUDIO_SAMPLE_COUNT] = {1, 1, 2, 2, 4};

	return bytes[kind];
}

static int16_t one_sample(enum audio_sample kind, const uint8_t *p)
{
	switch (kind) {
	case AUDIO_U8: return (int16_t)((*p ^ 0x80) << 8);
	case AUDIO_S8: return (int16_t)(*p << 8);
	case AUDIO_U16: return (int16_t)(ld_le16(p) ^ 0x8000);
	case AUDIO_S16: return (int16_t)ld_le16(p);
	default: return (int16_t)(ld_le32(p) >> 16);
	}
}

void audio_to_frames(enum audio_sample kind, unsigned channels, const uint8_t *in, size_t n,
		     int16_t *out)
{
	unsigned bytes = audio_sample_bytes(kind);

	for (size_t i = 0; i < n; i++, in += (size_t)bytes * channels) {
		out[2 * i] = one_sample(kind, in);
		out[2 * i + 1] = channels > 1 ? one_sample(kind, in + bytes) : out[2 * i];
	}
}

static void put_sample(enum audio_sample kind, int v, uint8_t *p)
{
	switch (kind) {
	case AUDIO_U8: *p = (uint8_t)(v >> 8 ^ 0x80); break;
	case AUDIO_S8: *p = (uint8_t)(v >> 8); break;
	case AUDIO_U16: st_le16(p, (uint16_t)(v ^ 0x8000)); break;
	case AUDIO_S16: st_le16(p, (uint16_t)v); break;
	default: st_le32(p, (uint32_t)v << 16); break;
	}
}

void audio_from_frames(enum audio_sample kind, unsigned channels, const int16_t *in, size_t n,
		       uint8_t *out)
{
	unsigned bytes = audio_sample_bytes(kind);

	for (size_t i = 0; i < n; i++) {
		int left = in[2 * i], right = in[2 * i + 1];

		for (unsigned c = 0; c < channels; c++, out += bytes)
			put_sample(kind,
				   channels == 1 ? (left + right) / 2
				   : c == 0      ? left
				   : c == 1      ? right
						 : 0,
				   out);
	}
}

/* ------------------------------------------------------------------ mixing */

/* The next @n frames of @v, added to @mix. */
static void mix_voice(struct audio_voice *v, float (*mix)[2], unsigned n)
{
	if (!v->heard && (v->n >= PRIME || (v->stopped && v->n)))
		v->heard = true;
	if (!v->heard)
		return;
	for (unsigned i = 0; i < n && v->n; i++) {
		mix[i][0] += v->ring[v->head][0] * v->volume[0];
		mix[i][1] += v->ring[v->head][1] * v->volume[1];
		v->head = (v->head + 1) % RING;
		v->n--;
	}
	if (!v->n)
		v->heard = false;
}

int16_t audio_clip(float v)
{
	return v >= 1 ? INT16_MAX : v < -1 ? INT16_MIN : (int16_t)(v * 32767);
}

static void mix_tick(struct audio *a)
{
	float mix[TICK_FRAMES][2] = {0};
	int16_t out[TICK_FRAMES][2];

	LIST_FOR_EACH(it, &a->voices)
	{
		mix_voice(LIST_ENTRY(it, struct audio_voice, node), mix, TICK_FRAMES);
	}
	for (unsigned i = 0; i < TICK_FRAMES; i++)
		for (unsigned c = 0; c < 2; c++)
			out[i][c] = audio_clip(mix[i][c]);
	if (a->ops)
		a->ops->write(a->sink, out[0], TICK_FRAMES);
}

static bool anything(const struct audio *a)
{
	LIST_FOR_EACH(it, &a->voices)
	{
		const struct audio_voice *v = LIST_ENTRY(it, struct audio_voice, node);

		if (v->n || !v->stopped)
			return true;
	}
	return false;
}

static void on_tick(void *ctx)
{
	struct audio *a = ctx;
	ns_t now = clock_now(a->clock);
	uint64_t due = now > a->mixed_to ? (now - a->mixed_to) / (TICK_MS * NS_PER_MS) : 0;

	for (uint64_t i = 0; i < MIN(due, (uint64_t)TICKS_LATE); i++)
		mix_tick(a);
	a->mixed_to += due * TICK_MS * NS_PER_MS;
	if (anything(a))
		vtimer_arm(&a->timer, a->mixed_to + TICK_MS * NS_PER_MS);
}

static void wake(struct audio *a)
{
	if (vtimer_armed(&a->timer))
		return;
	a->mixed_to = clock_now(a->clock);
	vtimer_arm(&a->timer, a->mixed_to + TICK_MS * NS_PER_MS);
}

/* ------------------------------------------------------------------ voices */

struct audio_voice *audio_voice_new(struct audio *a)
{
	struct audio_voice *v = a ? xtry_calloc(1, sizeof(*v)) : NULL;
	int r;

	if (!v)
		return NULL;
	v->src = src_new(SRC_SINC_FASTEST, 2, &r);
	if (!v->src) {
		free(v);
		return NULL;
	}
	v->audio = a;
	v->ratio = 1;
	v->volume[0] = v->volume[1] = 1;
	v->stopped = true;
	list_append(&a->voices, &v->node);
	return v;
}

void audio_voice_free(struct audio_voice *v)
{
	if (!v)
		return;
	list_remove(&v->node);
	src_delete(v->src);
	free(v);
}

void audio_voice_rate(struct audio_voice *v, uint32_t rate)
{
	double ratio;

	if (!v)
		return;
	rate = MIN(rate, AUDIO_RATE_MAX);
	rate = MAX(rate, AUDIO_RATE_MIN);
	ratio = (double)AUDIO_RATE / rate;
	if (ratio == v->ratio)
		return;
	v->ratio = ratio;
	src_set_ratio(v->src, ratio);
}

void audio_voice_volume(struct audio_voice *v, uint32_t left, uint32_t right)
{
	if (!v)
		return;
	v->volume[0] = (float)MIN(left, 2 * AUDIO_UNITY) / AUDIO_UNITY;
	v->volume[1] = (float)MIN(right, 2 * AUDIO_UNITY) / AUDIO_UNITY;
}

static void push(struct audio_voice *v, float (*frames)[2], size_t n)
{
	for (size_t i = 0; i < n && v->n < RING; i++) {
		float *to = v->ring[(v->head + v->n) % RING];

		to[0] = frames[i][0];
		to[1] = frames[i][1];
		v->n++;
	}
}

void audio_voice_write(struct audio_voice *v, const int16_t *frames, size_t n)
{
	float in[CHUNK * 2];

	if (!v || !n)
		return;
	v->stopped = false;
	wake(v->audio);
	while (n) {
		size_t chunk = MIN(n, (size_t)CHUNK);
		SRC_DATA d = {.data_in = in,
			      .input_frames = (long)chunk,
			      .data_out = v->audio->conv[0],
			      .output_frames = CHUNK_OUT,
			      .src_ratio = v->ratio};

		for (size_t i = 0; i < 2 * chunk; i++)
			in[i] = (float)frames[i] / 32768;
		if (src_process(v->src, &d))
			return; /* only for bad arguments */
		push(v, v->audio->conv, (size_t)d.output_frames_gen);
		frames += 2 * chunk;
		n -= chunk;
	}
}

void audio_voice_stop(struct audio_voice *v)
{
	if (v)
		v->stopped = true;
}

/* ------------------------------------------------------------------ host side */

static const struct audio_sink_ops *const sinks[] = {&audio_wav, &audio_alsa};
static const struct audio_source_ops *const sources[] = {&audio_wavin, &audio_alsain};

/* Is @spec @name, perhaps with an argument behind a colon? */
static bool names(const char *spec, const char *name, bool needs_arg, const char **ret_arg)
{
	size_t n = strlen(name);

	if (strncmp(spec, name, n))
		return false;
	*ret_arg = spec[n] == ':' && spec[n + 1] ? spec + n + 1 : NULL;
	return *ret_arg || (!spec[n] && !needs_arg);
}

static const struct audio_sink_ops *find_sink(const char *spec, const char **ret_arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sinks); i++)
		if (names(spec, sinks[i]->name, sinks[i]->needs_arg, ret_arg))
			return sinks[i];
	return NULL;
}

static const struct audio_source_ops *find_source(const char *spec, const char **ret_arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++)
		if (names(spec, sources[i]->name, sources[i]->needs_arg, ret_arg))
			return sources[i];
	return NULL;
}

/* Cuts @spec at its last ",in="; returns what is behind that, or NULL. */
static const char *cut_source(char *spec)
{
	char *at = NULL;

	for (char *p = strstr(spec, ",in="); p; p = strstr(p + 1, ",in="))
		at = p;
	if (!at)
		return NULL;
	*at = '\0';
	return at + 4;
}

bool audio_spec_ok(const char *spec)
{
	char *copy = xstrdup(spec);
	const char *arg, *in = cut_source(copy);
	bool ok =
		(!strcmp(copy, "none") || find_sink(copy, &arg)) && (!in || find_source(in, &arg));

	free(copy);
	return ok;
}

const struct audio_source *audio_source_of(const struct audio *a)
{
	return a && a->source.ops ? &a->source : NULL;
}

/* Host sides of @out and @in (NULL: none), as audio_spec_ok() found right. */
static int open_sides(struct audio *a, const char *out, const char *in, struct error *err)
{
	const struct audio_source_ops *from;
	const char *arg;
	int r;

	a->ops = find_sink(out, &arg);
	if (a->ops) {
		r = a->ops->open(arg, &a->sink, err);
		if (r < 0)
			return r;
	}
	from = in ? find_source(in, &arg) : NULL;
	if (!from)
		return 0;
	r = from->open(arg, &a->source.source, &a->source.rate, err);
	if (r == 0)
		a->source.ops = from;
	else if (a->ops)
		a->ops->close(a->sink);
	return r;
}

int audio_open(struct clock *clock, const char *spec, struct audio **ret_audio, struct error *err)
{
	struct audio *a;
	const char *in;
	char *out;
	int r;

	*ret_audio = NULL;
	if (!strcmp(spec, "none"))
		return 0;
	if (!audio_spec_ok(spec))
		return error_set(err, -EINVAL,
				 "sound: unknown place '%s'; use none, wav:PATH, alsa or "
				 "alsa:DEVICE, and perhaps ,in=wav:PATH or ,in=alsa",
				 spec);
	out = xstrdup(spec);
	in = cut_source(out);
	a = xnew(struct audio);
	r = open_sides(a, out, in, err);
	free(out);
	if (r < 0) {
		free(a);
		return r;
	}
	a->clock = clock;
	list_init(&a->voices);
	vtimer_init(&a->timer, clock, on_tick, a);
	*ret_audio = a;
	return 0;
}

void audio_close(struct audio *a)
{
	if (!a)
		return;
	vtimer_cancel(&a->timer);
	if (a->ops)
		a->ops->close(a->sink);
	if (a->source.ops)
		a->source.ops->close(a->source.source);
	free(a);
}
