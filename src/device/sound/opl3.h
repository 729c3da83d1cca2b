/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Yamaha YMF262 (OPL3); see opl3.c.
 */
#ifndef DEVICE_SOUND_OPL3_H
#define DEVICE_SOUND_OPL3_H

#include "audio/audio.h"
#include "device/dev.h"
#include "device/sound/pace.h"

enum { OPL3_OPERATORS = 36, OPL3_CHANNELS = 18, OPL3_RATE = 49716 };

struct opl3_operator {
	uint32_t phase;   /* 19 bits: a period */
	uint16_t level;   /* of the envelope: attenuation, 0 to 511, 3/16 dB each */
	uint8_t stage;    /* enum in opl3.c */
	uint8_t key;      /* bit 0: by its channel, bit 1: as a drum */
	int16_t out, old; /* the last two samples */
};

struct opl3_regs {
	struct pace_regs pace;
	uint64_t timer_at[2]; /* guest ns of the next overflow; 0: stopped */
	uint32_t samples;     /* made so far: what oscillators and envelopes go by */
	uint32_t noise;       /* shift register, 23 bits */
	uint8_t reg[512];
	uint16_t index;
	uint8_t status; /* 40h timer 1, 20h timer 2 */
	bool sounding;
	uint8_t pad_[4];
	struct opl3_operator op[OPL3_OPERATORS];
};

struct opl3 {
	struct dev dev;
	struct opl3_regs s;
	struct audio *audio; /* borrowed; NULL: played to nobody */
	/* private */
	struct audio_voice *voice;
	struct vtimer timer;
	uint16_t sine[256], exp[256]; /* the chip's tables */
};

extern const struct dev_class opl3_class;

/** opl3_read(), opl3_write() - port @off, 0 to 3, wherever it stands. */
uint8_t opl3_read(struct opl3 *o, unsigned off);
void opl3_write(struct opl3 *o, unsigned off, uint8_t val);
/** opl3_volume() - of its output at the card's mixer: audio_voice_volume(). */
void opl3_volume(struct opl3 *o, uint32_t left, uint32_t right);

#endif
