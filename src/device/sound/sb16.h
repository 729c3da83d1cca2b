/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sound Blaster 16; see sb16.c.
 */
#ifndef DEVICE_SOUND_SB16_H
#define DEVICE_SOUND_SB16_H

#include "audio/audio.h"
#include "device/dev.h"
#include "device/sound/pace.h"

enum { SB16_FIFO = 64, SB16_MIXER = 256, SB16_IRQS = 4 };

struct i8237;
struct opl3;

struct sb16_regs {
	struct pace_regs pace; /* units: bytes, or words of a 16-bit transfer */
	uint32_t block, left;  /* units of a block; still to come of this one */
	uint32_t rate;         /* frames a second, set by 41h/42h; 0: time_const counts */
	uint8_t mixer[SB16_MIXER];
	uint8_t fifo[SB16_FIFO]; /* what the DSP answers */
	uint8_t fifo_n, fifo_at;
	uint8_t args[4]; /* of the command being written */
	uint8_t cmd, n_args, want_args;
	uint8_t last;            /* byte read last: again, when there is no other */
	uint8_t part[4], n_part; /* bytes of a frame that is not whole yet */
	uint8_t time_const, test, mixer_index, reset;
	uint8_t status; /* mixer 82h: 1 8-bit, 2 16-bit */
	bool speaker, playing, paused, automatic, last_block, wide, stereo, is_signed, input,
		silence;
	uint8_t adpcm;        /* bits of a sample, 2 to 4; 0: the transfer is not ADPCM */
	uint8_t adpcm_sample; /* the last one */
	uint8_t adpcm_step;   /* how far apart they are now */
	bool adpcm_reference; /* the next byte is a sample as it is */
	bool midi;            /* mixer 82h, bit 2 */
	uint8_t pad_[1];
};

struct sb16 {
	struct dev dev;
	struct sb16_regs s;
	/* wired by the machine */
	struct i8237 *dma;         /* borrowed */
	struct irq irq[SB16_IRQS]; /* out: ISA interrupts 9, 5, 7, 10 */
	struct audio *audio;       /* borrowed; NULL: played to nobody */
	struct opl3 *opl3;         /* borrowed; also at 228h; NULL: none */
	/* private */
	struct audio_voice *voice;
	struct audio_capture *capture;
	struct vtimer timer;
};

extern const struct dev_class sb16_class;

/** sb16_midi_irq() - mpu401.irq: it shares the card's interrupt. */
void sb16_midi_irq(void *ctx, bool level);

#endif
