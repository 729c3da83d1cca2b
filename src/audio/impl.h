/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host sides of audio.h: where the mix goes, and where recordings come from.
 */
#ifndef AUDIO_IMPL_H
#define AUDIO_IMPL_H

#include "audio/audio.h"

struct audio_sink_ops {
	const char *name; /* before the colon of a spec */
	bool needs_arg;
	/* @arg: after the colon, NULL if there is none. */
	int (*open)(const char *arg, void **ret_sink, struct error *err);
	void (*write)(void *sink, const int16_t *frames, size_t n); /* two samples each */
	void (*close)(void *sink);
};

extern const struct audio_sink_ops audio_wav, audio_alsa;

#define AUDIO_SOURCE_RATE_MIN 4000u

struct audio_source_ops {
	const char *name; /* after "in=", before the colon */
	bool needs_arg;
	bool live; /* has a clock of its own; otherwise it gives what is asked for, up to its end */
	/* @ret_rate: AUDIO_SOURCE_RATE_MIN to AUDIO_RATE_MAX frames a second. */
	int (*open)(const char *arg, void **ret_source, uint32_t *ret_rate, struct error *err);
	/* Up to @n frames; 0: none now. Never waits. */
	size_t (*read)(void *source, int16_t *frames, size_t n);
	void (*close)(void *source);
};

extern const struct audio_source_ops audio_wavin, audio_alsain;

struct audio_source {
	const struct audio_source_ops *ops;
	void *source;
	uint32_t rate;
};

/** audio_source_of() - what @a records, or NULL; NULL @a is fine. */
const struct audio_source *audio_source_of(const struct audio *a);
/** audio_clip() - a sample of full scale 1. */
int16_t audio_clip(float v);

#endif
