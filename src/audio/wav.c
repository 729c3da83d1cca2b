/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "wav:PATH": the mix as a RIFF WAVE file, 16-bit PCM (Multimedia Programming Interface and Data
 * Specifications 1.0, 1991). Sound only is kept, not the silence between. The lengths in the header
 * are brought up to date every second, so that the file of a killed VM plays; at 2 GiB it is full
 * and the rest is left out.
 */
#include "audio/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

enum { HEADER = 44, FRAME = 4, PCM = 1 };
#define DATA_MAX (2 * GIB - HEADER)

struct wav {
	int fd;
	uint64_t data; /* bytes after the header */
	uint64_t told; /* as the header says */
	bool full;
};

static bool put_header(struct wav *w)
{
	uint8_t h[HEADER] = "RIFF\0\0\0\0WAVEfmt ";

	st_le32(h + 4, (uint32_t)(w->data + HEADER - 8));
	st_le32(h + 16, 16);
	st_le16(h + 20, PCM);
	st_le16(h + 22, 2);
	st_le32(h + 24, AUDIO_RATE);
	st_le32(h + 28, AUDIO_RATE * FRAME);
	st_le16(h + 32, FRAME);
	st_le16(h + 34, 16);
	memcpy(h + 36, "data", 4);
	st_le32(h + 40, (uint32_t)w->data);
	w->told = w->data;
	return pwrite(w->fd, h, HEADER, 0) == HEADER;
}

static int wav_open(const char *arg, void **ret_sink, struct error *err)
{
	struct wav *w = xnew(struct wav);
	int code;

	w->fd = open(arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (w->fd >= 0 && put_header(w)) {
		*ret_sink = w;
		return 0;
	}
	code = errno;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return error_set(err, -code, "sound file '%s': cannot write: %s", arg, strerror(code));
}

static void wav_write(void *sink, const int16_t *frames, size_t n)
{
	struct wav *w = sink;
	ssize_t len = (ssize_t)(n * FRAME);

	if (w->full)
		return;
	if (w->data + (uint64_t)len > DATA_MAX ||
	    pwrite(w->fd, frames, (size_t)len, (off_t)(w->data + HEADER)) != len) {
		log_warn("sound file: %s; the rest of the sound is left out",
			 w->data + (uint64_t)len > DATA_MAX ? "2 GiB are full" : strerror(errno));
		w->full = true;
		return;
	}
	w->data += (uint64_t)len;
	if (w->data - w->told >= AUDIO_RATE * FRAME)
		w->full = !put_header(w);
}

static void wav_close(void *sink)
{
	struct wav *w = sink;

	if (!put_header(w))
		log_warn("sound file: cannot finish the header: %s", strerror(errno));
	close(w->fd);
	free(w);
}

const struct audio_sink_ops audio_wav = {
	.name = "wav",
	.needs_arg = true,
	.open = wav_open,
	.write = wav_write,
	.close = wav_close,
};
