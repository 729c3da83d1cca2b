/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's loudspeaker: OUT of the 8254's counter 2, let through by port 61h bit 1 (IBM PC/AT
 * Technical Reference, "Speaker"; Intel 82371AB, 4.2.7.2).
 *
 * The speaker is on or off at each of the timer's ticks; a sample is the share of its 25 ticks that
 * were on, so that programs which play samples by pulse width are heard as on the real thing. What
 * was heard is worked out whenever something that makes it up is about to change, and each 10 ms.
 * A high pass stands for the speaker itself: a steady level is silence.
 *
 * No state of its own: after a restore it goes on from the timer's.
 */
#include "device/timer/i8254.h"
#include "device/ticks.h"

enum {
	TICK_MS = 10,
	LINGER_MS = 200, /* kept running after the last tone: programs switch it at each beep */
	CHUNK = 480,
	SAMPLES_LATE = AUDIO_RATE / 2, /* made at once when the host was late */
	LOUDNESS = 9000,               /* of a tone, of 32767 */
	P61_SPEAKER = 0x02,
};

static uint64_t tick_of(const struct speaker *s, uint64_t sample)
{
	return ticks_at(s->start + ticks_to_ns(sample, AUDIO_RATE), I8254_HZ);
}

/* One sample: mean of the input over ticks [@from, @to), without its slow part. */
static int16_t sample(struct speaker *s, uint64_t from, uint64_t to)
{
	uint64_t on = 0;
	float in;

	if (s->pit->s.port61 & P61_SPEAKER)
		on = i8254_out2_ticks(s->pit, from, to);
	in = to > from ? (float)on / (float)(to - from) : 0;
	s->dc += (in - s->dc) * 0.005f;
	return (int16_t)((in - s->dc) * 2 * LOUDNESS);
}

void speaker_catch_up(struct speaker *s)
{
	uint64_t due, tick;
	int16_t out[CHUNK][2];

	if (!s->playing)
		return;
	due = ticks_at(clock_now(s->pit->dev.sv->clock) - s->start, AUDIO_RATE);
	if (due > s->done + SAMPLES_LATE)
		s->done = due - SAMPLES_LATE;
	tick = tick_of(s, s->done);
	while (s->done < due) {
		unsigned n = 0;

		for (; n < CHUNK && s->done < due; n++) {
			uint64_t next = tick_of(s, ++s->done);

			out[n][0] = out[n][1] = sample(s, tick, next);
			tick = next;
		}
		audio_voice_write(s->voice, out[0], n);
	}
}

static void on_tick(void *ctx)
{
	struct speaker *s = ctx;
	ns_t now = clock_now(s->pit->dev.sv->clock);

	speaker_catch_up(s);
	if (s->quiet && now - s->quiet > LINGER_MS * NS_PER_MS) {
		s->playing = false;
		audio_voice_stop(s->voice);
		return;
	}
	vtimer_arm(&s->timer, now + TICK_MS * NS_PER_MS);
}

void speaker_switched(struct speaker *s)
{
	ns_t now;

	if (!s->voice)
		return;
	now = clock_now(s->pit->dev.sv->clock);
	if (!(s->pit->s.port61 & P61_SPEAKER)) {
		if (!s->quiet)
			s->quiet = now;
		return;
	}
	s->quiet = 0;
	if (s->playing)
		return;
	s->playing = true;
	s->start = now;
	s->done = 0;
	s->dc = 0;
	vtimer_arm(&s->timer, now + TICK_MS * NS_PER_MS);
}

void speaker_init(struct speaker *s, struct i8254 *pit, struct audio *audio)
{
	s->pit = pit;
	s->voice = audio_voice_new(audio);
	vtimer_init(&s->timer, pit->dev.sv->clock, on_tick, s);
}

void speaker_done(struct speaker *s)
{
	if (!s->pit)
		return;
	vtimer_cancel(&s->timer);
	audio_voice_free(s->voice);
	s->voice = NULL;
	s->playing = false;
}
