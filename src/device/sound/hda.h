/* SPDX-License-Identifier: Apache-2.0 */
/*
 * High Definition Audio controller with one codec; see hda.c and hda_codec.c.
 */
#ifndef DEVICE_SOUND_HDA_H
#define DEVICE_SOUND_HDA_H

#include "audio/audio.h"
#include "device/pci/pci.h"
#include "device/sound/pace.h"

enum { HDA_INPUTS = 4, HDA_STREAMS = 8, HDA_WORDS = 32, HDA_NODES = 6 };
enum { HDA_DAC, HDA_ADC, HDA_CONVERTERS };

struct hda_converter_regs {
	uint16_t format;
	uint8_t stream; /* number 7:4, lowest channel 3:0 */
	uint8_t amp[2]; /* left, right: gain in bits 6:0, bit 7 mute */
	uint8_t pad_[3];
};

struct hda_codec_regs {
	struct hda_converter_regs conv[HDA_CONVERTERS];
	uint32_t config[2]; /* configuration defaults of the output and the input pin */
	uint32_t subsystem;
	uint8_t pin[2];           /* pin widget control */
	uint8_t power[HDA_NODES]; /* power state of each node */
	uint8_t unsol[2];         /* unsolicited response control of the pins */
	uint8_t pad_[2];
};

struct hda_stream_regs {
	struct pace_regs pace; /* frames */
	uint64_t addr;         /* of the current buffer */
	uint32_t len, off;     /* its bytes, and those done */
	uint32_t ctl, lpib, cbl, lvi, fmt, bdpl, bdpu;
	uint8_t index; /* of the current buffer in the list */
	bool ioc, fetched;
	uint8_t pad_[1];
};

struct hda_regs {
	struct pci_regs pci;
	uint32_t word[HDA_WORDS]; /* registers 00h..7fh */
	struct hda_stream_regs stream[HDA_STREAMS];
	struct hda_codec_regs codec;
	uint32_t told; /* interrupt bits a message was sent for */
	uint32_t rirb_count;
};

struct hda {
	struct dev dev;
	struct hda_regs s;
	/* wired by the machine */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* 0: lowest free slot from 2 */
	struct audio *audio; /* borrowed; NULL: played to nobody */
	/* private */
	struct pci_func f;
	struct bus_region mmio;
	struct audio_voice *voice;
	struct audio_capture *capture;
	struct vtimer timer;
};

extern const struct dev_class hda_class;

/* ---- the codec (hda_codec.c) ---- */

extern const struct state_field hda_codec_fields[];

void hda_codec_reset(struct hda_codec_regs *c);
/** hda_codec_verb() - @cmd: codec address, node and verb as they go over the link. Return: the
 * response. Bus lock held. Source: HDA specification 1.0a, 7.3. */
uint32_t hda_codec_verb(struct hda_codec_regs *c, uint32_t cmd);
/** hda_codec_loudness() - of the output side @right, AUDIO_UNITY = as it came; 0 when it is off. */
uint32_t hda_codec_loudness(const struct hda_codec_regs *c, unsigned right);
/** hda_codec_sensitivity() - likewise of the input side. */
uint32_t hda_codec_sensitivity(const struct hda_codec_regs *c, unsigned right);

#endif
