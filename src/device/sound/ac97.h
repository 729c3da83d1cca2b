/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AC '97 controller and codec; see ac97.c.
 */
#ifndef DEVICE_SOUND_AC97_H
#define DEVICE_SOUND_AC97_H

#include "audio/audio.h"
#include "device/pci/pci.h"
#include "device/sound/pace.h"

enum { AC97_IN, AC97_OUT, AC97_MIC, AC97_BOXES };
enum { AC97_CODEC_REGS = 64 };

/* One bus master. */
struct ac97_box_regs {
	struct pace_regs pace; /* words of 16 bits */
	uint32_t bdbar;
	uint32_t addr, len; /* of the current buffer: memory, words */
	uint16_t sr, picb;
	uint8_t civ, lvi, piv, cr;
	bool ioc; /* the current buffer ends with an interrupt */
	uint8_t pad_[3];
};

struct ac97_regs {
	struct pci_regs pci;
	struct ac97_box_regs box[AC97_BOXES];
	uint16_t codec[AC97_CODEC_REGS];
	uint32_t glob_cnt, glob_sta; /* without the bits that follow from the boxes */
	uint8_t cas;
	uint8_t pad_[7];
};

struct ac97 {
	struct dev dev;
	struct ac97_regs s;
	/* wired by the machine */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0: lowest free slot from 2 */
	struct audio *audio; /* borrowed; NULL: played to nobody */
	/* private */
	struct pci_func f;
	struct bus_region nam, nabm;
	struct audio_voice *voice;
	struct audio_capture *capture[2]; /* PCM in, microphone */
	struct vtimer timer;
};

extern const struct dev_class ac97_class;

#endif
