/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's loudspeaker; see speaker.c.
 */
#ifndef DEVICE_TIMER_SPEAKER_H
#define DEVICE_TIMER_SPEAKER_H

#include "audio/audio.h"

struct i8254;

struct speaker {
	struct i8254 *pit; /* borrowed; NULL: no loudspeaker */
	struct audio_voice *voice;
	struct vtimer timer;
	ns_t start;    /* guest time of sample 0, while playing */
	uint64_t done; /* samples made since */
	ns_t quiet;    /* guest time at which it was switched off */
	float dc;      /* of the input's slow average: a loudspeaker's cone comes back */
	bool playing;
};

/** speaker_init() - a loudspeaker at @pit that is heard through @audio; NULL: none. Bus lock. */
void speaker_init(struct speaker *s, struct i8254 *pit, struct audio *audio);
void speaker_done(struct speaker *s);
/** speaker_catch_up() - before counter 2 or port 61h changes: what was heard up to now. */
void speaker_catch_up(struct speaker *s);
/** speaker_switched() - after port 61h changed. */
void speaker_switched(struct speaker *s);

#endif
