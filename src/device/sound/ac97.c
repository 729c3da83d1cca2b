/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AC '97 audio of the Intel 82801AA with a two-channel codec. Intel 82801AA/82801AB data sheet
 * 290655 ("ICH"), chapter 13; Audio Codec '97, revision 2.3 ("AC97"), chapter 5.7.
 *
 * BAR 0 (NAM): the codec's registers, 16 bits each. BAR 1 (NABM): three bus masters (00h PCM in,
 * 10h PCM out, 20h microphone), then global registers:
 *
 *   +0 BDBAR · +4 CIV · +5 LVI · +6 SR · +8 PICB · +ah PIV · +bh CR
 *   2ch GLOB_CNT · 30h GLOB_STA · 34h CAS
 *
 * A bus master works through a ring of 32 buffers, each so many 16-bit words. Words move at the
 * codec's rate in guest time; a timer wakes at the end of each buffer, and reads of positions bring
 * them up to date, so they are exact. A buffer of no words is passed at once, BUFFERS_MAX of them
 * at a time.
 *
 * Recordings are the host's, whichever input the record select register names; PCM in and
 * microphone share them.
 *
 * UNMODELLED: modem; 20-bit and surround modes; the codec's analog inputs, other than as the source
 * of recordings; S/PDIF. Underrun (FIFOE) never happens.
 */
#include "device/sound/ac97.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_BDBAR = 0x0,
	R_CIV = 0x4,
	R_LVI = 0x5,
	R_SR = 0x6,
	R_PICB = 0x8,
	R_PIV = 0xa,
	R_CR = 0xb,
	R_GLOB_CNT = 0x2c,
	R_GLOB_STA = 0x30,
	R_CAS = 0x34,
	NAM_SIZE = 0x100,
	NABM_SIZE = 0x40,
	BUFFERS = 32,
	BUFFERS_MAX = 64,
	CHUNK = 1024, /* words moved at a time */
};
enum {
	SR_DCH = 0x01,
	SR_CELV = 0x02,
	SR_LVBCI = 0x04,
	SR_BCIS = 0x08,
	SR_FIFOE = 0x10,
	SR_W1C = SR_LVBCI | SR_BCIS | SR_FIFOE,
	SR_MASK = 0x1f,
	CR_RPBM = 0x01,
	CR_RR = 0x02,
	CR_LVBIE = 0x04,
	CR_FEIE = 0x08,
	CR_IOCE = 0x10,
	CR_MASK = 0x1f,
	CNT_COLD = 0x02, /* 0: the codec is held in reset */
	CNT_WARM = 0x04,
	CNT_MASK = 0x3f,
	STA_READY = 0x100,
	STA_RCS = 0x8000,
	CTL_IOC = 1u << 31,
};
static const uint32_t sta_int[AC97_BOXES] = {0x20, 0x40, 0x80};

/* Codec registers (AC97, register index of chapter 5.7). */
enum {
	C_RESET = 0x00,
	C_MASTER = 0x02,
	C_PCM_OUT = 0x18,
	C_REC_GAIN = 0x1c,
	C_MIC_GAIN = 0x1e,
	C_POWER = 0x26,
	C_EXT_ID = 0x28,
	C_EXT_CTRL = 0x2a,
	C_DAC_RATE = 0x2c,
	C_ADC_RATE = 0x32,
	C_MIC_RATE = 0x34,
	C_VENDOR1 = 0x7c,
	C_VENDOR2 = 0x7e,
	EXT_VRA = 0x01,
	EXT_VRM = 0x08,
	MUTE = 0x8000,
	RATE = 48000,
	RATE_MIN = 4000,
};

/* What a codec register holds after reset, and which bits a guest can write. */
static const struct codec_reg {
	uint8_t reg;
	uint16_t reset, wmask;
} codec_regs[] = {
	{C_MASTER, MUTE, 0x9f1f},
	{0x04, MUTE, 0x9f1f},
	{0x06, MUTE, 0x801f},
	{0x0a, 0, 0x801e},
	{0x0c, 0x8008, 0x801f},
	{0x0e, 0x8008, 0x805f},
	{0x10, 0x8808, 0x9f1f},
	{0x12, 0x8808, 0x9f1f},
	{0x14, 0x8808, 0x9f1f},
	{0x16, 0x8808, 0x9f1f},
	{C_PCM_OUT, 0x8808, 0x9f1f},
	{0x1a, 0, 0x0707},
	{C_REC_GAIN, MUTE, 0x8f0f},
	{C_MIC_GAIN, MUTE, 0x800f},
	{0x20, 0, 0xb380},
	{C_POWER, 0x000f, 0xff00},
	{C_EXT_ID, EXT_VRA | EXT_VRM, 0},
	{C_EXT_CTRL, 0, EXT_VRA | EXT_VRM},
	{C_DAC_RATE, RATE, 0xffff},
	{C_ADC_RATE, RATE, 0xffff},
	{C_MIC_RATE, RATE, 0xffff},
	{C_VENDOR1, 0x8384, 0},
	{C_VENDOR2, 0x7600, 0}, /* a SigmaTel STAC9700, which every driver takes for plain */
};

static struct ac97 *to_ac97(struct dev *d)
{
	return CONTAINER_OF(d, struct ac97, dev);
}

/* ------------------------------------------------------------------ codec */

static const struct codec_reg *find_reg(unsigned reg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(codec_regs); i++)
		if (codec_regs[i].reg == reg)
			return &codec_regs[i];
	return NULL;
}

/* One side's loudness by a volume register's five bits of 1.5 dB; @unity is 0 dB. */
static double side(uint16_t v, unsigned shift, unsigned unity)
{
	if (v & MUTE)
		return 0;
	return pow(10, ((double)unity - (v >> shift & 0x1f)) * 1.5 / 20);
}

static void set_volume(struct ac97 *a)
{
	uint16_t master = a->s.codec[C_MASTER / 2], pcm = a->s.codec[C_PCM_OUT / 2];

	audio_voice_volume(a->voice, (uint32_t)(side(master, 8, 0) * side(pcm, 8, 8) * AUDIO_UNITY),
			   (uint32_t)(side(master, 0, 0) * side(pcm, 0, 8) * AUDIO_UNITY));
}

/* AC97, 5.7.7: bits 3:0 and 11:8 are 1.5 dB upwards. */
static uint32_t sensitivity(uint16_t v, unsigned shift)
{
	if (v & MUTE)
		return 0;
	return (uint32_t)(pow(10, (v >> shift & 15) * 1.5 / 20) * AUDIO_UNITY);
}

static void set_gain(struct ac97 *a)
{
	uint16_t in = a->s.codec[C_REC_GAIN / 2], mic = a->s.codec[C_MIC_GAIN / 2];

	audio_capture_volume(a->capture[0], sensitivity(in, 8), sensitivity(in, 0));
	audio_capture_volume(a->capture[1], sensitivity(mic, 0), sensitivity(mic, 0));
}

static void codec_reset(struct ac97 *a)
{
	memset(a->s.codec, 0, sizeof(a->s.codec));
	for (unsigned i = 0; i < ARRAY_SIZE(codec_regs); i++)
		a->s.codec[codec_regs[i].reg / 2] = codec_regs[i].reset;
	set_volume(a);
	set_gain(a);
}

/* Frames a second of a bus master. */
static uint32_t box_rate(const struct ac97 *a, unsigned n)
{
	static const uint8_t reg[AC97_BOXES] = {C_ADC_RATE, C_DAC_RATE, C_MIC_RATE};
	uint16_t vra = n == AC97_MIC ? EXT_VRM : EXT_VRA;

	return a->s.codec[C_EXT_CTRL / 2] & vra ? a->s.codec[reg[n] / 2] : RATE;
}

static unsigned box_channels(unsigned n)
{
	return n == AC97_MIC ? 1 : 2;
}

/* ------------------------------------------------------------------ bus masters */

static bool box_interrupts(const struct ac97_box_regs *b)
{
	return ((b->sr & SR_LVBCI) && (b->cr & CR_LVBIE)) ||
	       ((b->sr & SR_BCIS) && (b->cr & CR_IOCE)) ||
	       ((b->sr & SR_FIFOE) && (b->cr & CR_FEIE));
}

static uint32_t interrupts(const struct ac97 *a)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < AC97_BOXES; i++)
		if (box_interrupts(&a->s.box[i]))
			v |= sta_int[i];
	return v;
}

static void update_irq(struct ac97 *a)
{
	pci_intx_set(&a->f, interrupts(a) != 0);
}

/* ICH, 13.2: the next buffer becomes the current one. */
static void next_buffer(struct ac97 *a, struct ac97_box_regs *b)
{
	uint8_t d[8];

	b->civ = b->piv;
	b->piv = (b->piv + 1) % BUFFERS;
	if (!pci_bus_master(&a->f) || dma_read(&a->dev, b->bdbar + 8u * b->civ, d, 8) < 0)
		memset(d, 0, sizeof(d));
	b->addr = ld_le32(d) & ~1u;
	b->len = ld_le16(d + 4);
	b->picb = (uint16_t)b->len;
	b->ioc = ld_le32(d + 4) & CTL_IOC;
}

static bool running(const struct ac97_box_regs *b)
{
	return (b->cr & CR_RPBM) && !(b->sr & SR_DCH);
}

/* @n words of the current buffer. */
static void move(struct ac97 *a, unsigned box, uint32_t n)
{
	struct ac97_box_regs *b = &a->s.box[box];
	uint32_t at = b->addr + (b->len - b->picb) * 2;
	uint8_t words[CHUNK * 2] = {0};
	int16_t frames[2 * CHUNK];

	if (box != AC97_OUT) {
		uint32_t channels = box_channels(box);

		audio_capture_read(a->capture[box == AC97_MIC], frames, n / channels);
		audio_from_frames(AUDIO_S16, channels, frames, n / channels, words);
		if (dma_write(&a->dev, at, words, n * 2) < 0)
			guest_error(&a->dev, "buffer at %#x is not in RAM", at);
	} else {
		if (dma_read(&a->dev, at, words, n * 2) < 0)
			guest_error(&a->dev, "buffer at %#x is not in RAM", at);
		audio_to_frames(AUDIO_S16, 2, words, n / 2, frames);
		audio_voice_write(a->voice, frames, n / 2);
	}
	b->picb = (uint16_t)(b->picb - n);
}

/* The current buffer is done. */
static void buffer_done(struct ac97 *a, unsigned box)
{
	struct ac97_box_regs *b = &a->s.box[box];

	if (b->ioc)
		b->sr |= SR_BCIS;
	if (b->civ != b->lvi) {
		next_buffer(a, b);
		return;
	}
	b->sr |= SR_LVBCI | SR_CELV | SR_DCH;
	pace_stop(&b->pace);
	if (box == AC97_OUT)
		audio_voice_stop(a->voice);
}

static void box_catch_up(struct ac97 *a, unsigned box, ns_t now)
{
	struct ac97_box_regs *b = &a->s.box[box];
	uint64_t due = running(b) ? pace_due(&b->pace, now) : 0;

	for (unsigned i = 0; due && running(b) && i < BUFFERS_MAX;) {
		uint32_t n = MIN(b->picb, (uint16_t)CHUNK);

		if (due < n)
			n = (uint32_t)(due - due % box_channels(box)); /* whole frames */
		if (!n && b->picb)
			break;
		move(a, box, n);
		due -= n;
		b->pace.done += n;
		if (!b->picb) {
			buffer_done(a, box);
			i++;
		}
	}
}

static void arm(struct ac97 *a, ns_t now)
{
	ns_t at = UINT64_MAX;

	for (unsigned i = 0; i < AC97_BOXES; i++) {
		const struct ac97_box_regs *b = &a->s.box[i];

		if (running(b)) {
			ns_t end = pace_when(&b->pace, now, b->picb ? b->picb : 1);

			end = MAX(end, now + NS_PER_MS);
			at = MIN(at, end);
		}
	}
	if (at == UINT64_MAX)
		vtimer_cancel(&a->timer);
	else
		vtimer_arm(&a->timer, at);
}

static void catch_up(struct ac97 *a)
{
	ns_t now = clock_now(a->dev.sv->clock);

	for (unsigned i = 0; i < AC97_BOXES; i++)
		box_catch_up(a, i, now);
	update_irq(a);
	arm(a, now);
}

static void on_timer(void *ctx)
{
	catch_up(ctx);
}

static void box_go(struct ac97 *a, unsigned box)
{
	struct ac97_box_regs *b = &a->s.box[box];
	uint32_t rate = box_rate(a, box);

	if (!b->picb)
		next_buffer(a, b);
	b->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
	pace_start(&b->pace, clock_now(a->dev.sv->clock), rate * box_channels(box));
	if (box == AC97_OUT)
		audio_voice_rate(a->voice, rate);
	else
		audio_capture_rate(a->capture[box == AC97_MIC], rate);
}

static void box_unheard(struct ac97 *a, unsigned box)
{
	if (box == AC97_OUT)
		audio_voice_stop(a->voice);
	else
		audio_capture_stop(a->capture[box == AC97_MIC]);
}

static void box_reset(struct ac97_box_regs *b, uint8_t keep)
{
	*b = (struct ac97_box_regs){.sr = SR_DCH, .cr = b->cr & keep};
}

static void box_control(struct ac97 *a, unsigned box, uint8_t val)
{
	struct ac97_box_regs *b = &a->s.box[box];
	bool was = b->cr & CR_RPBM;

	if ((val & CR_RR) && !(val & CR_RPBM)) {
		b->cr = val & CR_MASK;
		box_reset(b, CR_LVBIE | CR_FEIE | CR_IOCE);
		val = b->cr;
	}
	b->cr = val & (CR_MASK & ~CR_RR);
	if ((val & CR_RPBM) && !was) {
		box_go(a, box);
	} else if (!(val & CR_RPBM) && was) {
		b->sr |= SR_DCH;
		pace_stop(&b->pace);
	}
	if (!(b->cr & CR_RPBM))
		box_unheard(a, box);
}

static void set_last_valid(struct ac97 *a, unsigned box, uint8_t val)
{
	struct ac97_box_regs *b = &a->s.box[box];

	b->lvi = val % BUFFERS;
	/* ICH, 13.2.3: a halted engine goes on when there is a new last buffer. */
	if ((b->cr & CR_RPBM) && (b->sr & SR_CELV) && b->civ != b->lvi)
		box_go(a, box);
}

/* ------------------------------------------------------------------ registers */

static struct ac97 *of_region(void *ctx)
{
	return ctx;
}

static uint64_t nam_read(void *ctx, uint64_t off, unsigned size)
{
	struct ac97 *a = of_region(ctx);
	uint16_t v = a->s.codec[off / 2 % AC97_CODEC_REGS];

	a->s.cas = 0;
	if (size == 2)
		return v;
	return off & 1 ? v >> 8 : v & 0xff;
}

static void nam_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ac97 *a = of_region(ctx);
	const struct codec_reg *r = find_reg((unsigned)off & 0x7f);
	uint16_t *at = &a->s.codec[off / 2 % AC97_CODEC_REGS];

	a->s.cas = 0;
	if (size != 2 || (off & 0x80))
		return; /* AC97, 5.1: registers are words */
	catch_up(a);
	if (off == C_RESET) {
		codec_reset(a);
		return;
	}
	if (!r)
		return;
	*at = (uint16_t)((*at & ~r->wmask) | (val & r->wmask));
	if (off == C_DAC_RATE || off == C_ADC_RATE || off == C_MIC_RATE)
		*at = *at < RATE_MIN ? RATE_MIN : *at > RATE ? RATE : *at;
	if (off == C_EXT_CTRL && !(val & EXT_VRA))
		a->s.codec[C_DAC_RATE / 2] = a->s.codec[C_ADC_RATE / 2] = RATE;
	set_volume(a);
	set_gain(a);
	/* A new rate counts from now on. */
	for (unsigned i = 0; i < AC97_BOXES; i++)
		if (running(&a->s.box[i]) &&
		    a->s.box[i].pace.rate != box_rate(a, i) * box_channels(i))
			box_go(a, i);
}

static uint64_t box_read(struct ac97 *a, const struct ac97_box_regs *b, unsigned reg)
{
	switch (reg) {
	case R_BDBAR: return b->bdbar;
	case R_BDBAR + 1: return b->bdbar >> 8;
	case R_BDBAR + 2: return b->bdbar >> 16;
	case R_BDBAR + 3: return b->bdbar >> 24;
	case R_CIV: return b->civ;
	case R_LVI: return b->lvi;
	case R_SR: return b->sr;
	case R_SR + 1: return b->sr >> 8;
	case R_PICB: return b->picb;
	case R_PICB + 1: return b->picb >> 8;
	case R_PIV: return b->piv;
	case R_CR: return b->cr;
	default: return 0;
	}
}

static uint8_t nabm_byte(struct ac97 *a, unsigned off)
{
	uint32_t sta = a->s.glob_sta | interrupts(a) |
		       (a->s.glob_cnt & CNT_COLD ? (uint32_t)STA_READY : 0);

	if (off < 0x10u * AC97_BOXES && (off & 0xf) <= R_CR)
		return (uint8_t)box_read(a, &a->s.box[off >> 4], off & 0xf);
	if (off >= R_GLOB_CNT && off < R_GLOB_CNT + 4)
		return (uint8_t)(a->s.glob_cnt >> (off - R_GLOB_CNT) * 8);
	if (off >= R_GLOB_STA && off < R_GLOB_STA + 4)
		return (uint8_t)(sta >> (off - R_GLOB_STA) * 8);
	if (off == R_CAS) {
		uint8_t v = a->s.cas;

		a->s.cas = 1; /* ICH, 13.2.10: whoever reads 0 has the codec */
		return v;
	}
	return 0;
}

static uint64_t nabm_read(void *ctx, uint64_t off, unsigned size)
{
	struct ac97 *a = of_region(ctx);
	uint64_t v = 0;

	catch_up(a);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)nabm_byte(a, (unsigned)off + i) << i * 8;
	return v;
}

static void global_control(struct ac97 *a, uint32_t val)
{
	bool cold = val & CNT_COLD;

	if (!cold && (a->s.glob_cnt & CNT_COLD)) {
		codec_reset(a);
		for (unsigned i = 0; i < AC97_BOXES; i++)
			box_reset(&a->s.box[i], 0);
		audio_voice_stop(a->voice);
	}
	a->s.glob_cnt = val & (CNT_MASK & ~CNT_WARM); /* a warm reset is over at once */
}

static void nabm_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ac97 *a = of_region(ctx);
	unsigned box = (unsigned)off >> 4, reg = off & 0xf;
	struct ac97_box_regs *b = &a->s.box[MIN(box, AC97_BOXES - 1u)];

	catch_up(a);
	if (off == R_GLOB_CNT && size == 4) {
		global_control(a, (uint32_t)val);
	} else if (off == R_GLOB_STA && size == 4) {
		a->s.glob_sta &= ~((uint32_t)val & STA_RCS);
	} else if (off < R_GLOB_CNT && box < AC97_BOXES) {
		if (reg == R_BDBAR && size == 4)
			b->bdbar = (uint32_t)val & ~7u;
		if (reg == R_SR)
			b->sr &= (uint16_t) ~(val & SR_W1C);
		if (reg == R_LVI || (reg == R_CIV && size >= 2))
			set_last_valid(a, box, (uint8_t)(reg == R_LVI ? val : val >> 8));
		if (reg == R_CIV && size == 4) /* CIV, LVI and SR at once */
			b->sr &= (uint16_t) ~(val >> 16 & SR_W1C);
		if (reg == R_CR || (reg == R_PIV && size == 2))
			box_control(a, box, (uint8_t)(reg == R_CR ? val : val >> 8));
	}
	catch_up(a);
}

/* ------------------------------------------------------------------ device */

static int ac97_realize(struct dev *d, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x2415,
					   .subsystem_vendor = 0x8086,
					   .revision = 1,
					   .cls = 0x0401,
					   .interrupt_pin = 1};
	struct ac97 *a = to_ac97(d);
	int r;

	vtimer_init(&a->timer, d->sv->clock, on_timer, a);
	a->nam = (struct bus_region){.name = "ac97-nam",
				     .size = NAM_SIZE,
				     .valid = WIDTH_124,
				     .impl = WIDTH_1 | WIDTH_2,
				     .read = nam_read,
				     .write = nam_write,
				     .ctx = a};
	a->nabm = (struct bus_region){.name = "ac97-nabm",
				      .size = NABM_SIZE,
				      .valid = WIDTH_124,
				      .impl = WIDTH_124,
				      .read = nabm_read,
				      .write = nabm_write,
				      .ctx = a};
	pci_func_init(&a->f, d, &a->s.pci, &ids);
	pci_bar_add(&a->f, 0, PCI_BAR_IO, &a->nam);
	pci_bar_add(&a->f, 1, PCI_BAR_IO, &a->nabm);
	if (!a->devfn) {
		r = pci_bus_free_slot(a->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", d->id);
		a->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	a->voice = audio_voice_new(a->audio);
	for (unsigned i = 0; i < ARRAY_SIZE(a->capture); i++)
		a->capture[i] = audio_capture_new(a->audio);
	return pci_func_add(&a->f, a->bus, a->devfn, err);
}

static void ac97_unrealize(struct dev *d)
{
	struct ac97 *a = to_ac97(d);

	if (a->timer.clock)
		vtimer_cancel(&a->timer);
	audio_voice_free(a->voice);
	for (unsigned i = 0; i < ARRAY_SIZE(a->capture); i++)
		audio_capture_free(a->capture[i]);
	pci_func_done(&a->f);
}

static void ac97_reset(struct dev *d, enum dev_reset kind)
{
	struct ac97 *a = to_ac97(d);

	pci_func_reset(&a->f, kind);
	codec_reset(a);
	for (unsigned i = 0; i < AC97_BOXES; i++)
		box_reset(&a->s.box[i], 0);
	a->s.glob_cnt = a->s.glob_sta = 0;
	a->s.cas = 0;
	audio_voice_stop(a->voice);
	vtimer_cancel(&a->timer);
}

static int ac97_loaded(struct dev *d, struct error *err)
{
	struct ac97 *a = to_ac97(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&a->f, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < AC97_BOXES; i++) {
		struct ac97_box_regs *b = &a->s.box[i];

		if (b->picb > b->len)
			return error_set(err, -EINVAL, "bus master %u: %u words left of %u", i,
					 b->picb, b->len);
		if (running(b) != (b->pace.rate != 0))
			return error_set(err, -EINVAL, "bus master %u: runs at %u words a second",
					 i, b->pace.rate);
		pace_loaded(&b->pace, now);
	}
	set_volume(a);
	set_gain(a);
	audio_voice_rate(a->voice, box_rate(a, AC97_OUT));
	audio_capture_rate(a->capture[0], box_rate(a, AC97_IN));
	audio_capture_rate(a->capture[1], box_rate(a, AC97_MIC));
	arm(a, now);
	return 0;
}

/* clang-format off */
static const struct state_field pace_fields[] = {PACE_FIELDS, STATE_END};

static const struct state_field box_fields[] = {
	STATE_STRUCT(struct ac97_box_regs, pace, pace_fields),
	STATE_VAL(struct ac97_box_regs, bdbar),
	STATE_VAL(struct ac97_box_regs, addr),
	STATE_VAL(struct ac97_box_regs, len, .max = 0xffff),
	STATE_VAL(struct ac97_box_regs, sr, .max = SR_MASK),
	STATE_VAL(struct ac97_box_regs, picb),
	STATE_VAL(struct ac97_box_regs, civ, .max = BUFFERS - 1),
	STATE_VAL(struct ac97_box_regs, lvi, .max = BUFFERS - 1),
	STATE_VAL(struct ac97_box_regs, piv, .max = BUFFERS - 1),
	STATE_VAL(struct ac97_box_regs, cr, .max = CR_MASK),
	STATE_VAL(struct ac97_box_regs, ioc),
	STATE_PAD(struct ac97_box_regs, pad_),
	STATE_END};

static const struct state_field ac97_fields[] = {
	STATE_STRUCT(struct ac97_regs, pci, pci_regs_fields),
	STATE_STRUCTS(struct ac97_regs, box, box_fields),
	STATE_ARRAY(struct ac97_regs, codec),
	STATE_VAL(struct ac97_regs, glob_cnt, .max = CNT_MASK),
	STATE_VAL(struct ac97_regs, glob_sta, .max = STA_RCS),
	STATE_VAL(struct ac97_regs, cas, .max = 1),
	STATE_PAD(struct ac97_regs, pad_),
	STATE_END};

static const struct state_desc ac97_state = STATE_DESC("ac97", 1, struct ac97_regs, ac97_fields);
/* clang-format on */

const struct dev_class ac97_class = {
	.name = "ac97",
	.summary = "AC '97 audio",
	.spec = "Intel 82801AA, order 290655; Audio Codec '97, revision 2.3",
	.size = sizeof(struct ac97),
	.regs_offset = offsetof(struct ac97, s),
	.state = &ac97_state,
	.realize = ac97_realize,
	.unrealize = ac97_unrealize,
	.reset = ac97_reset,
	.loaded = ac97_loaded,
};
