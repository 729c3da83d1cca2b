/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sound: what devices play, mixed to one stream of 48 kHz stereo and handed to the host; and what
 * the host gives them to record (capture.c).
 *
 * A device has voices. It gives a voice sample frames at the pace of the guest clock; the mixer
 * takes 10 ms of each voice every 10 ms of guest time, so that a run's sound depends on the guest
 * alone. A voice is heard from when it has AUDIO_PRIME_MS of sound (a device that wakes late is not
 * heard as gaps) until it was stopped and is empty.
 *
 * Everything runs with the bus lock held, on the loop's thread or a vCPU's. Nothing blocks: a host
 * that takes no sound loses it.
 */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H

#include "base/err.h"
#include "bus/clock.h"

#define AUDIO_RATE     48000u /* frames a second, of the mix */
#define AUDIO_RATE_MIN 1000u  /* of a voice */
#define AUDIO_RATE_MAX 192000u
#define AUDIO_PRIME_MS 30u
#define AUDIO_UNITY    0x10000u /* volume: as loud as it came */

struct audio;
struct audio_voice;

/* How a guest's samples lie in memory. */
enum audio_sample { AUDIO_U8, AUDIO_S8, AUDIO_U16, AUDIO_S16, AUDIO_S32, AUDIO_SAMPLE_COUNT };

/** audio_spec_ok() - is @spec one that audio_open() knows: "none", "wav:PATH", "alsa",
 * "alsa:DEVICE", each perhaps with ",in=wav:PATH", ",in=alsa" or ",in=alsa:DEVICE"? */
bool audio_spec_ok(const char *spec);
/**
 * audio_open() - a mixer with its host side
 * @clock: borrowed; whose time the mixer goes by.
 * "none" gives *@ret_audio NULL. Nothing is recorded unless @spec says from where. Return: 0, or
 * -errno with text (file, ALSA library or device).
 */
int audio_open(struct clock *clock, const char *spec, struct audio **ret_audio,
	       struct error *err) MUST_CHECK;
/** audio_close() - voices must be gone. NULL is fine. */
void audio_close(struct audio *a);

/** audio_voice_new() - NULL when @a is NULL or memory is short; the other voice functions take a
 * NULL voice and do nothing. */
struct audio_voice *audio_voice_new(struct audio *a);
void audio_voice_free(struct audio_voice *v);
/** audio_voice_rate() - frames a second of what is written from now on; clamped to the limits. */
void audio_voice_rate(struct audio_voice *v, uint32_t rate);
/** audio_voice_volume() - of each side, AUDIO_UNITY = 1; at most twice that. */
void audio_voice_volume(struct audio_voice *v, uint32_t left, uint32_t right);
/** audio_voice_write() - @n frames of two samples. */
void audio_voice_write(struct audio_voice *v, const int16_t *frames, size_t n);
/** audio_voice_stop() - no more for now: play what is there to the end. */
void audio_voice_stop(struct audio_voice *v);

struct audio_capture;

/** audio_capture_new() - recording for a device; NULL when @a records nothing or memory is short.
 * The other capture functions take NULL and record silence. */
struct audio_capture *audio_capture_new(struct audio *a);
void audio_capture_free(struct audio_capture *c);
/** audio_capture_rate() - frames a second that are read from now on; clamped to the limits. */
void audio_capture_rate(struct audio_capture *c, uint32_t rate);
/** audio_capture_volume() - of each side, AUDIO_UNITY = 1; at most 16 times that. */
void audio_capture_volume(struct audio_capture *c, uint32_t left, uint32_t right);
/** audio_capture_read() - the next @n frames of two samples; silence when there are none. */
void audio_capture_read(struct audio_capture *c, int16_t *frames, size_t n);
/** audio_capture_stop() - no more for now: the next read begins anew. */
void audio_capture_stop(struct audio_capture *c);

/** audio_sample_bytes() - of one sample. */
unsigned audio_sample_bytes(enum audio_sample kind);
/**
 * audio_to_frames() - guest samples to frames for audio_voice_write()
 * @channels: 1 (heard on both sides) or more (the first two are taken).
 * @n: frames in @in and room in @out.
 */
void audio_to_frames(enum audio_sample kind, unsigned channels, const uint8_t *in, size_t n,
		     int16_t *out);
/** audio_from_frames() - the reverse; one channel is the mean of both sides, channels beyond the
 * second are silent. */
void audio_from_frames(enum audio_sample kind, unsigned channels, const int16_t *in, size_t n,
		       uint8_t *out);

#endif
