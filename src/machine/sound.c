/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sound card of the "pc" machine: one of AC '97 or High Definition Audio on PCI, or a Sound
 * Blaster 16 at 220h with its usual resources (interrupt 5, DMA channels 1 and 5), FM synthesizer
 * and MIDI port.
 */
#include "device/sound/ac97.h"
#include "device/sound/hda.h"
#include "device/sound/mpu401.h"
#include "device/sound/opl3.h"
#include "device/sound/sb16.h"
#include "machine/parts.h"

static int add_ac97(struct machine *m, struct error *err)
{
	struct ac97 *a = (struct ac97 *)dev_new(&ac97_class, "sound", &m->sv);

	a->bus = m->pci;
	a->audio = m->cfg.audio;
	return parts_add(m, &a->dev, err);
}

static int add_hda(struct machine *m, struct error *err)
{
	struct hda *h = (struct hda *)dev_new(&hda_class, "sound", &m->sv);

	h->bus = m->pci;
	h->audio = m->cfg.audio;
	return parts_add(m, &h->dev, err);
}

/* The order of the lines is that of mixer register 80h. */
static int add_sb16(struct machine *m, struct error *err)
{
	static const uint8_t irqs[SB16_IRQS] = {9, 5, 7, 10};
	struct opl3 *fm = (struct opl3 *)dev_new(&opl3_class, "fm", &m->sv);
	struct mpu401 *midi;
	struct sb16 *sb;
	int r;

	fm->audio = m->cfg.audio;
	r = parts_add(m, &fm->dev, err);
	if (r < 0)
		return r;
	sb = (struct sb16 *)dev_new(&sb16_class, "sound", &m->sv);
	sb->opl3 = fm;
	sb->dma = m->dma;
	sb->audio = m->cfg.audio;
	for (unsigned i = 0; i < SB16_IRQS; i++)
		parts_isa(m, &sb->irq[i], irqs[i]);
	r = parts_add(m, &sb->dev, err);
	if (r < 0)
		return r;
	midi = (struct mpu401 *)dev_new(&mpu401_class, "midi", &m->sv);
	midi->chr = m->cfg.midi;
	midi->irq = sb16_midi_irq;
	midi->irq_ctx = sb;
	return parts_add(m, &midi->dev, err);
}

int parts_sound(struct machine *m, struct error *err)
{
	switch (m->cfg.sound) {
	case MACHINE_SOUND_AC97: return add_ac97(m, err);
	case MACHINE_SOUND_HDA: return add_hda(m, err);
	case MACHINE_SOUND_SB16: return add_sb16(m, err);
	default: return 0;
	}
}

const char *machine_sound_name(enum machine_sound sound)
{
	static const char *const names[MACHINE_SOUND_COUNT] = {"none", "ac97", "hda", "sb16"};

	return sound < MACHINE_SOUND_COUNT ? names[sound] : "?";
}
