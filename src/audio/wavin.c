/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "in=wav:PATH": a RIFF WAVE file as what the guest records (Multimedia Programming Interface and
 * Data Specifications 1.0, 1991): 8- or 16-bit PCM, one or two channels. It is played once, from
 * where the last recording left it, then there is silence. The file may be anything: lengths in it
 * only ever shorten what is read.
 */
#include "audio/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

enum { PCM = 1, EXTENSIBLE = 0xfffe, CHUNKS_MAX = 1000, FORMAT_BYTES = 26, FRAMES = 256 };

struct wavin {
	int fd;
	uint64_t at, end; /* of the samples not read yet, in the file */
	enum audio_sample kind;
	unsigned channels;
	uint32_t rate;
};

/* The format chunk's @n bytes. Returns why not, or NULL. */
static const char *take_format(struct wavin *w, const uint8_t *p, size_t n)
{
	unsigned bits = ld_le16(p + 14), tag = ld_le16(p);

	if (tag == EXTENSIBLE && n >= FORMAT_BYTES)
		tag = ld_le16(p + 24);
	w->channels = ld_le16(p + 2);
	w->rate = ld_le32(p + 4);
	w->kind = bits == 8 ? AUDIO_U8 : AUDIO_S16;
	if (tag != PCM || (bits != 8 && bits != 16))
		return "only PCM of 8 and 16 bits is known";
	if (w->channels < 1 || w->channels > 2)
		return "only one or two channels are known";
	if (w->rate < AUDIO_SOURCE_RATE_MIN || w->rate > AUDIO_RATE_MAX)
		return "its rate is not one of 4,000 to 192,000 a second";
	return NULL;
}

/* Finds format and samples. Returns why not, or NULL. */
static const char *parse(struct wavin *w)
{
	uint8_t head[12], format[FORMAT_BYTES] = {0};
	uint64_t at = sizeof(head);
	const char *why;
	ssize_t n;

	if (pread(w->fd, head, 12, 0) != 12 || memcmp(head, "RIFF", 4) ||
	    memcmp(head + 8, "WAVE", 4))
		return "it is not a WAVE file";
	for (unsigned i = 0; i < CHUNKS_MAX; i++) {
		uint8_t chunk[8];
		uint32_t len;

		if (pread(w->fd, chunk, 8, (off_t)at) != 8)
			break;
		len = ld_le32(chunk + 4);
		at += 8;
		if (!memcmp(chunk, "fmt ", 4)) {
			n = pread(w->fd, format, sizeof(format), (off_t)at);
			if (len < 16 || n < 16)
				return "its format is cut short";
			why = take_format(w, format, MIN((size_t)n, (size_t)len));
			if (why)
				return why;
		} else if (!memcmp(chunk, "data", 4)) {
			w->at = at;
			w->end = at + len;
			return w->channels ? NULL : "its samples come before their format";
		}
		at += len + (len & 1);
	}
	return "it has no samples";
}

static int wavin_open(const char *arg, void **ret_source, uint32_t *ret_rate, struct error *err)
{
	struct wavin *w = xnew(struct wavin);
	const char *why = NULL;
	int code = -EINVAL;

	w->fd = open(arg, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (w->fd < 0) {
		code = -errno;
		why = strerror(errno);
	} else {
		why = parse(w);
	}
	if (!why) {
		*ret_source = w;
		*ret_rate = w->rate;
		return 0;
	}
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return error_set(err, code, "sound file '%s' to record from: %s", arg, why);
}

static size_t wavin_read(void *source, int16_t *frames, size_t n)
{
	struct wavin *w = source;
	size_t frame = audio_sample_bytes(w->kind) * w->channels, len;
	uint8_t buf[FRAMES * 4];
	ssize_t got;

	n = MIN(n, (size_t)FRAMES);
	len = MIN(n * frame, w->end - w->at);
	got = len ? pread(w->fd, buf, len, (off_t)w->at) : 0;
	if (got < (ssize_t)frame) {
		w->at = w->end;
		return 0;
	}
	n = (size_t)got / frame;
	w->at += n * frame;
	audio_to_frames(w->kind, w->channels, buf, n, frames);
	return n;
}

static void wavin_close(void *source)
{
	struct wavin *w = source;

	close(w->fd);
	free(w);
}

const struct audio_source_ops audio_wavin = {
	.name = "wav",
	.needs_arg = true,
	.open = wavin_open,
	.read = wavin_read,
	.close = wavin_close,
};
