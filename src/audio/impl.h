/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host side of audio.h: where the mix goes.
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

#endif
