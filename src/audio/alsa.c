/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "alsa", "alsa:DEVICE": the mix to an ALSA device, or recordings from one; "default" is PipeWire
 * or PulseAudio where those run. The library is loaded when it is asked for, so that hosts without
 * sound need none. Functions are as <alsa/asoundlib.h> of alsa-lib 1.2 declares them.
 *
 * Never waits: what the device has no room for is dropped, and after an underrun it starts anew.
 */
#include "audio/impl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum {
	STREAM_PLAYBACK = 0,
	STREAM_CAPTURE = 1,
	FORMAT_S16_LE = 2,
	ACCESS_RW_INTERLEAVED = 3,
	OPEN_NONBLOCK = 1,
	LATENCY_US = 100000,
};

struct alsa {
	void *lib, *pcm;
	int (*open)(void **pcm, const char *name, int stream, int mode);
	int (*set_params)(void *pcm, int format, int access, unsigned channels, unsigned rate,
			  int soft_resample, unsigned latency_us);
	long (*writei)(void *pcm, const void *frames, unsigned long n);
	long (*readi)(void *pcm, void *frames, unsigned long n);
	int (*start)(void *pcm);
	int (*recover)(void *pcm, int code, int silent);
	int (*close)(void *pcm);
	const char *(*strerror)(int code);
	bool lost; /* the device is gone: said once */
};

static bool find_symbols(struct alsa *s)
{
	const struct {
		const char *name;
		void *at;
	} symbols[] = {
		{"snd_pcm_open", &s->open},     {"snd_pcm_set_params", &s->set_params},
		{"snd_pcm_writei", &s->writei}, {"snd_pcm_recover", &s->recover},
		{"snd_pcm_close", &s->close},   {"snd_strerror", &s->strerror},
		{"snd_pcm_readi", &s->readi},   {"snd_pcm_start", &s->start},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *p = dlsym(s->lib, symbols[i].name);

		if (!p)
			return false;
		memcpy(symbols[i].at, &p, sizeof(p));
	}
	return true;
}

static int open_stream(const char *arg, int stream, struct alsa **ret_alsa, struct error *err)
{
	struct alsa *s = xnew(struct alsa);
	const char *name = arg ? arg : "default";
	int r;

	s->lib = dlopen("libasound.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!s->lib || !find_symbols(s)) {
		r = error_set(err, -ENOENT,
			      "sound: ALSA's library libasound.so.2 is not usable: %s; install it "
			      "(Debian: libasound2), or use wav:PATH or none",
			      dlerror());
		goto fail;
	}
	r = s->open(&s->pcm, name, stream, OPEN_NONBLOCK);
	if (r == 0) {
		r = s->set_params(s->pcm, FORMAT_S16_LE, ACCESS_RW_INTERLEAVED, 2, AUDIO_RATE, 1,
				  LATENCY_US);
		if (r < 0)
			s->close(s->pcm);
	}
	if (r == 0) {
		*ret_alsa = s;
		return 0;
	}
	error_set(err, r, "sound: ALSA device '%s'%s: %s; '%s -L' lists what there is", name,
		  stream == STREAM_CAPTURE ? " to record from" : "", s->strerror(r),
		  stream == STREAM_CAPTURE ? "arecord" : "aplay");
fail:
	if (s->lib)
		dlclose(s->lib);
	free(s);
	return r;
}

static int alsa_open(const char *arg, void **ret_sink, struct error *err)
{
	struct alsa *s;
	int r = open_stream(arg, STREAM_PLAYBACK, &s, err);

	if (r == 0)
		*ret_sink = s;
	return r;
}

static void alsa_write(void *sink, const int16_t *frames, size_t n)
{
	struct alsa *s = sink;
	long r = s->lost ? -EAGAIN : s->writei(s->pcm, frames, n);

	if (r == -EPIPE || r == -ESTRPIPE) {
		r = s->recover(s->pcm, (int)r, 1);
		if (r == 0)
			r = s->writei(s->pcm, frames, n);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("sound: ALSA: %s; no more sound", s->strerror((int)r));
		s->lost = true;
	}
}

static void alsa_close(void *sink)
{
	struct alsa *s = sink;

	s->close(s->pcm);
	dlclose(s->lib);
	free(s);
}

/* ---- recording ---- */

static int alsain_open(const char *arg, void **ret_source, uint32_t *ret_rate, struct error *err)
{
	struct alsa *s;
	int r = open_stream(arg, STREAM_CAPTURE, &s, err);

	if (r < 0)
		return r;
	*ret_source = s;
	*ret_rate = AUDIO_RATE;
	return 0;
}

/* The first read starts the device. When nobody records it overruns, and starts anew. */
static size_t alsain_read(void *source, int16_t *frames, size_t n)
{
	struct alsa *s = source;
	long r = s->lost ? -EAGAIN : s->readi(s->pcm, frames, n);

	if (r == -EPIPE || r == -ESTRPIPE) {
		r = s->recover(s->pcm, (int)r, 1);
		if (r == 0)
			r = s->start(s->pcm);
		if (r == 0)
			r = s->readi(s->pcm, frames, n);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("sound: ALSA: %s; no more recording", s->strerror((int)r));
		s->lost = true;
	}
	return r > 0 ? (size_t)r : 0;
}

const struct audio_source_ops audio_alsain = {
	.name = "alsa",
	.live = true,
	.open = alsain_open,
	.read = alsain_read,
	.close = alsa_close,
};

const struct audio_sink_ops audio_alsa = {
	.name = "alsa",
	.open = alsa_open,
	.write = alsa_write,
	.close = alsa_close,
};
