/* SPDX-License-Identifier: Apache-2.0 */
/*
 * High Definition Audio controller, as the Intel ICH6 has it, with four input and four output
 * streams. High Definition Audio Specification, revision 1.0a ("HDA"), chapters 3 and 4.
 *
 * BAR 0, 16 KiB: registers 00h to 7fh are words of a table (reset contents, writable bits, bits
 * cleared by writing 1), a stream's eight from 80h + 20h * n. Commands to the codec go through a
 * ring in memory (CORB), answers through another (RIRB), or through the immediate registers.
 *
 * A stream works through its list of buffers, frame by frame, at the rate of its format, in guest
 * time; a timer wakes at the end of each buffer, and reads of positions bring them up to date. What
 * the stream that the DAC listens to brings is heard; the other output streams run unheard.
 *
 * The stream that the ADC feeds records; the other input streams bring silence.
 *
 * UNMODELLED: SSYNC only holds streams; striping, priorities, FIFO errors;
 * more than two channels are reduced to the first two.
 */
#include "device/sound/hda.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_GCAP = 0x00,
	R_PAY = 0x04,
	R_GCTL = 0x08,
	R_STATESTS = 0x0c, /* and WAKEEN, below it */
	R_GSTS = 0x10,
	R_INTCTL = 0x20,
	R_INTSTS = 0x24,
	R_WALCLK = 0x30,
	R_SSYNC = 0x38,
	R_CORBLBASE = 0x40,
	R_CORBUBASE = 0x44,
	R_CORBWP = 0x48, /* and CORBRP */
	R_CORBCTL = 0x4c,
	R_RIRBLBASE = 0x50,
	R_RIRBUBASE = 0x54,
	R_RIRBWP = 0x58, /* and RINTCNT */
	R_RIRBCTL = 0x5c,
	R_ICOI = 0x60,
	R_ICII = 0x64,
	R_ICS = 0x68,
	R_DPLBASE = 0x70,
	R_DPUBASE = 0x74,
	R_STREAM = 0x80,
	STREAM_SIZE = 0x20,
	R_STREAMS_END = R_STREAM + STREAM_SIZE * HDA_STREAMS,
	R_ALIAS = 0x2000, /* WALCLK and LPIB once more */
	MMIO_SIZE = 0x4000,
};
enum {
	S_CTL = 0x00,
	S_LPIB = 0x04,
	S_CBL = 0x08,
	S_LVI = 0x0c,
	S_FMT = 0x10,
	S_BDPL = 0x18,
	S_BDPU = 0x1c,
};
enum {
	GCTL_CRST = 0x1,
	RUN = 0x2, /* of CORBCTL, RIRBCTL and a stream's control */
	SRST = 0x1,
	IOCE = 0x4,
	STS_BCIS = 1 << 26,
	STS_READY = 1 << 29,
	RIRB_INT = 0x1,
	RIRB_FLAG = 0x100,
	RP_RESET = 0x8000,
	ICS_BUSY = 1,
	ICS_VALID = 2,
	DP_ENABLE = 1,
	RINGS = 256,
	FIFO_BYTES = 0xbf,
	WALL_HZ = 24000000,
	CHUNK = 512,      /* frames moved at a time */
	BUFFERS_MAX = 64, /* passed at a time */
};
#define INT_GLOBAL     BIT(31)
#define INT_CONTROLLER BIT(30)

static const struct word_reg {
	uint32_t reset, wmask, w1c;
} words[HDA_WORDS] = {
	[R_GCAP / 4] = {0x01004401}, /* version 1.0, 4 outputs, 4 inputs, 64-bit addresses */
	[R_PAY / 4] = {0x001d003c},
	[R_GCTL / 4] = {0, 0x00000103},
	[R_STATESTS / 4] = {0, 0x00007fff, 0x7fff0000},
	[R_GSTS / 4] = {0, 0, 0x2},
	[R_INTCTL / 4] = {0, 0xc00000ff},
	[R_SSYNC / 4] = {0, 0xff},
	[R_CORBLBASE / 4] = {0, 0xffffff80},
	[R_CORBUBASE / 4] = {0, 0xffffffff},
	[R_CORBWP / 4] = {0, 0x800000ff},
	[R_CORBCTL / 4] = {0x00420000, 0x3, 0x100},
	[R_RIRBLBASE / 4] = {0, 0xffffff80},
	[R_RIRBUBASE / 4] = {0, 0xffffffff},
	[R_RIRBWP / 4] = {0, 0x00ff0000},
	[R_RIRBCTL / 4] = {0x00420000, 0x7, 0x500},
	[R_ICOI / 4] = {0, 0xffffffff},
	[R_ICS / 4] = {0, ICS_BUSY, ICS_VALID},
	[R_DPLBASE / 4] = {0, 0xffffff81},
	[R_DPUBASE / 4] = {0, 0xffffffff},
};

static struct hda *to_hda(struct dev *d)
{
	return CONTAINER_OF(d, struct hda, dev);
}

static uint32_t *word(struct hda *h, unsigned reg)
{
	return &h->s.word[reg / 4];
}

static uint64_t pair(const struct hda *h, unsigned lo)
{
	return (h->s.word[lo / 4] & ~0x7full) | (uint64_t)h->s.word[lo / 4 + 1] << 32;
}

/* ------------------------------------------------------------------ interrupts */

/* INTSTS without the global bit (HDA, 3.3.15). */
static uint32_t int_bits(struct hda *h)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		if ((h->s.stream[i].ctl & STS_BCIS) && (h->s.stream[i].ctl & IOCE))
			v |= (uint32_t)BIT(i);
	if ((*word(h, R_RIRBCTL) & RIRB_FLAG) && (*word(h, R_RIRBCTL) & RIRB_INT))
		v |= (uint32_t)INT_CONTROLLER;
	if ((*word(h, R_STATESTS) >> 16) & *word(h, R_STATESTS))
		v |= (uint32_t)INT_CONTROLLER;
	return v;
}

static void update_irq(struct hda *h)
{
	uint32_t ctl = *word(h, R_INTCTL), on = int_bits(h) & ctl;

	if (!(ctl & INT_GLOBAL))
		on = 0;
	pci_intx_set(&h->f, on && !pci_msi_enabled(&h->f));
	if (on & ~h->s.told)
		pci_msi_notify(&h->f);
	h->s.told = on;
}

/* ------------------------------------------------------------------ commands */

static uint32_t command(struct hda *h, uint32_t cmd)
{
	uint32_t v = cmd >> 28 ? 0 : hda_codec_verb(&h->s.codec, cmd);

	audio_voice_volume(h->voice, hda_codec_loudness(&h->s.codec, 0),
			   hda_codec_loudness(&h->s.codec, 1));
	audio_capture_volume(h->capture, hda_codec_sensitivity(&h->s.codec, 0),
			     hda_codec_sensitivity(&h->s.codec, 1));
	return v;
}

static void respond(struct hda *h, uint32_t response, bool last)
{
	uint32_t *wp = word(h, R_RIRBWP), want = *wp >> 16 & 0xff;
	uint8_t entry[8] = {0};

	if (!(*word(h, R_RIRBCTL) & RUN))
		return;
	*wp = (*wp & ~0xffu) | ((*wp + 1) & 0xff);
	st_le32(entry, response);
	if (dma_write(&h->dev, pair(h, R_RIRBLBASE) + 8 * (*wp & 0xff), entry, 8) < 0)
		guest_error(&h->dev, "RIRB is not in RAM");
	if (++h->s.rirb_count >= (want ? want : RINGS) || last) {
		h->s.rirb_count = 0;
		*word(h, R_RIRBCTL) |= RIRB_FLAG;
	}
}

/* HDA, 4.4.1: from the read to the write pointer. */
static void run_corb(struct hda *h)
{
	uint32_t *p = word(h, R_CORBWP);
	uint8_t wp = (uint8_t)*p, rp = (uint8_t)(*p >> 16);

	if (!(*word(h, R_CORBCTL) & RUN) || !pci_bus_master(&h->f))
		return;
	while (rp != wp) {
		uint8_t cmd[4];
		uint32_t v;

		rp++;
		if (dma_read(&h->dev, pair(h, R_CORBLBASE) + 4u * rp, cmd, 4) < 0) {
			guest_error(&h->dev, "CORB is not in RAM");
			*word(h, R_CORBCTL) |= 0x100; /* CMEI: memory error */
			*word(h, R_CORBCTL) &= ~(uint32_t)RUN;
			break;
		}
		v = ld_le32(cmd);
		respond(h, command(h, v), rp == wp);
	}
	*p = (*p & 0x8000ffff) | (uint32_t)rp << 16;
}

/* ------------------------------------------------------------------ streams */

static unsigned number(const struct hda_stream_regs *s)
{
	return s->ctl >> 20 & 15;
}

/* HDA, 3.7.1. */
static uint32_t frame_rate(const struct hda_stream_regs *s)
{
	uint32_t base = s->fmt & 0x4000 ? 44100 : 48000;

	return base * ((s->fmt >> 11 & 3) + 1) / ((s->fmt >> 8 & 7) + 1);
}

static unsigned sample_bytes(const struct hda_stream_regs *s)
{
	static const uint8_t bytes[8] = {1, 2, 4, 4, 4, 4, 4, 4};

	return bytes[s->fmt >> 4 & 7];
}

static unsigned frame_bytes(const struct hda_stream_regs *s)
{
	return sample_bytes(s) * ((s->fmt & 15) + 1);
}

static bool running(const struct hda *h, unsigned n)
{
	return (h->s.stream[n].ctl & RUN) && !(h->s.word[R_SSYNC / 4] & BIT(n)) &&
	       (h->s.word[R_GCTL / 4] & GCTL_CRST);
}

static bool heard(const struct hda *h, unsigned n)
{
	const struct hda_stream_regs *s = &h->s.stream[n];

	return n >= HDA_INPUTS && number(s) && number(s) == h->s.codec.conv[HDA_DAC].stream >> 4;
}

static bool records(const struct hda *h, unsigned n)
{
	const struct hda_stream_regs *s = &h->s.stream[n];

	return n < HDA_INPUTS && number(s) && number(s) == h->s.codec.conv[HDA_ADC].stream >> 4;
}

static void fetch(struct hda *h, struct hda_stream_regs *s)
{
	uint64_t at = ((uint64_t)s->bdpu << 32 | s->bdpl) + 16u * s->index;
	uint8_t d[16];

	if (!pci_bus_master(&h->f) || dma_read(&h->dev, at, d, 16) < 0) {
		guest_error(&h->dev, "buffer list is not in RAM");
		memset(d, 0, sizeof(d));
	}
	s->addr = ld_le64(d);
	s->len = ld_le32(d + 8);
	s->ioc = d[12] & 1;
	s->off = 0;
	s->fetched = true;
}

/* @n bytes more of the list have been passed. */
static void advance(struct hda *h, struct hda_stream_regs *s, uint32_t n)
{
	s->off += n;
	s->lpib += n;
	if (s->cbl && s->lpib >= s->cbl)
		s->lpib -= s->cbl;
	if (s->off < s->len)
		return;
	if (s->ioc)
		s->ctl |= STS_BCIS;
	s->index = s->index >= s->lvi ? 0 : (uint8_t)(s->index + 1);
	s->fetched = false;
}

/* One frame or part of it at most @want bytes from the current buffer; 0: nothing there. */
static uint32_t take(struct hda *h, unsigned n, uint8_t *buf, uint32_t want)
{
	struct hda_stream_regs *s = &h->s.stream[n];
	uint32_t len;
	int r;

	if (!s->fetched)
		fetch(h, s);
	len = MIN(want, s->len - s->off);
	if (!len)
		return 0;
	if (n < HDA_INPUTS) {
		r = dma_write(&h->dev, s->addr + s->off, buf, len);
	} else {
		r = dma_read(&h->dev, s->addr + s->off, buf, len);
		if (r < 0)
			memset(buf, 0, len);
	}
	if (r < 0)
		guest_error(&h->dev, "buffer at %#llx is not in RAM", (unsigned long long)s->addr);
	return len;
}

/* Up to @n frames; returns how many. */
static uint32_t move(struct hda *h, unsigned n, uint32_t frames)
{
	struct hda_stream_regs *s = &h->s.stream[n];
	static const enum audio_sample kinds[5] = {0, AUDIO_U8, AUDIO_S16, 0, AUDIO_S32};
	uint8_t buf[CHUNK * 8] = {0};
	int16_t out[CHUNK][2];
	uint32_t bytes = frame_bytes(s), got = 0, want;

	frames = MIN(frames, (uint32_t)sizeof(buf) / bytes);
	want = frames * bytes;
	if (records(h, n)) {
		audio_capture_read(h->capture, out[0], frames);
		audio_from_frames(kinds[sample_bytes(s)], (s->fmt & 15) + 1, out[0], frames, buf);
	}
	for (unsigned i = 0; got < want && i < BUFFERS_MAX; i++) {
		uint32_t len = take(h, n, buf + got, want - got);

		got += len;
		advance(h, s, len);
	}
	if (heard(h, n)) {
		audio_to_frames(kinds[sample_bytes(s)], (s->fmt & 15) + 1, buf, got / bytes,
				out[0]);
		audio_voice_write(h->voice, out[0], got / bytes);
	}
	return frames;
}

static void catch_up_stream(struct hda *h, unsigned n, ns_t now)
{
	struct hda_stream_regs *s = &h->s.stream[n];
	uint64_t due = running(h, n) ? pace_due(&s->pace, now) : 0, dp = pair(h, R_DPLBASE);
	uint8_t pos[4];

	if (!due)
		return;
	while (due) {
		uint32_t did = move(h, n, (uint32_t)MIN(due, (uint64_t)CHUNK));

		s->pace.done += did;
		due -= did;
	}
	st_le32(pos, s->lpib);
	if ((*word(h, R_DPLBASE) & DP_ENABLE) && dma_write(&h->dev, dp + 8 * n, pos, 4) < 0)
		guest_error(&h->dev, "position buffer is not in RAM");
}

/* Until the current buffer ends; one is looked at in advance. */
static ns_t stream_when(struct hda *h, unsigned n, ns_t now)
{
	struct hda_stream_regs *s = &h->s.stream[n];

	if (!s->fetched)
		fetch(h, s);
	return MAX(pace_when(&s->pace, now, (s->len - s->off) / frame_bytes(s) + 1),
		   now + NS_PER_MS);
}

static void arm(struct hda *h, ns_t now)
{
	ns_t at = UINT64_MAX;

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		if (running(h, i))
			at = MIN(at, stream_when(h, i, now));
	if (at == UINT64_MAX)
		vtimer_cancel(&h->timer);
	else
		vtimer_arm(&h->timer, at);
}

static void catch_up(struct hda *h)
{
	ns_t now = clock_now(h->dev.sv->clock);

	for (unsigned i = 0; i < HDA_STREAMS; i++)
		catch_up_stream(h, i, now);
	update_irq(h);
	arm(h, now);
}

static void on_timer(void *ctx)
{
	catch_up(ctx);
}

/* What runs now begins to count, what stopped no longer does. */
static void sync_running(struct hda *h)
{
	ns_t now = clock_now(h->dev.sv->clock);
	bool any = false, recorded = false;

	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		struct hda_stream_regs *s = &h->s.stream[i];

		if (!running(h, i)) {
			pace_stop(&s->pace);
			continue;
		}
		if (s->pace.rate != frame_rate(s))
			pace_start(&s->pace, now, frame_rate(s));
		if (heard(h, i)) {
			audio_voice_rate(h->voice, frame_rate(s));
			any = true;
		}
		if (records(h, i)) {
			audio_capture_rate(h->capture, frame_rate(s));
			recorded = true;
		}
	}
	if (!any)
		audio_voice_stop(h->voice);
	if (!recorded)
		audio_capture_stop(h->capture);
}

static void stream_reset(struct hda_stream_regs *s, uint32_t ctl)
{
	*s = (struct hda_stream_regs){.ctl = (ctl & SRST) | STS_READY, .fmt = 0};
}

static uint32_t *stream_word(struct hda_stream_regs *s, unsigned reg, uint32_t *ret_wmask)
{
	switch (reg) {
	case S_CTL: *ret_wmask = 0x00f4001f; return &s->ctl;
	case S_CBL: *ret_wmask = 0xffffffff; return &s->cbl;
	case S_LVI: *ret_wmask = 0xff; return &s->lvi;
	case S_BDPL: *ret_wmask = 0xffffff80; return &s->bdpl;
	case S_BDPU: *ret_wmask = 0xffffffff; return &s->bdpu;
	default: return NULL;
	}
}

static uint32_t stream_read(const struct hda_stream_regs *s, unsigned reg)
{
	uint32_t unused, *w = stream_word((struct hda_stream_regs *)s, reg, &unused);

	if (w)
		return *w;
	if (reg == S_LPIB)
		return s->lpib;
	return reg == S_FMT ? FIFO_BYTES | s->fmt << 16 : 0;
}

/* @mask: the bytes written. */
static void stream_write(struct hda *h, unsigned n, unsigned reg, uint32_t val, uint32_t mask)
{
	struct hda_stream_regs *s = &h->s.stream[n];
	uint32_t wmask = 0, *w = stream_word(s, reg, &wmask), old = s->ctl;

	if (reg == S_FMT && (mask >> 16))
		s->fmt = (s->fmt & ~(mask >> 16)) | (val & mask) >> 16;
	s->fmt &= 0x7fff;
	if (w)
		*w = (*w & ~(mask & wmask)) | (val & mask & wmask);
	if (reg == S_CTL) {
		s->ctl &= ~(val & mask & 0x1c000000);
		if ((s->ctl & SRST) && !(old & SRST))
			stream_reset(s, s->ctl);
		if (s->ctl & SRST)
			s->ctl &= ~(uint32_t)RUN;
		if ((s->ctl & RUN) && !(old & RUN) && !s->lpib) {
			s->index = 0;
			s->fetched = false;
		}
	}
	sync_running(h);
}

/* ------------------------------------------------------------------ registers */

static void controller_reset(struct hda *h)
{
	for (unsigned i = 0; i < HDA_WORDS; i++)
		h->s.word[i] = words[i].reset;
	for (unsigned i = 0; i < HDA_STREAMS; i++)
		stream_reset(&h->s.stream[i], 0);
	hda_codec_reset(&h->s.codec);
	h->s.told = h->s.rirb_count = 0;
	audio_voice_stop(h->voice);
	audio_capture_stop(h->capture);
	vtimer_cancel(&h->timer);
}

static uint32_t reg_read(struct hda *h, unsigned reg)
{
	uint32_t bits;

	if (reg >= R_ALIAS)
		reg = reg - R_ALIAS == R_WALCLK || (reg & 0x1f) == S_LPIB ? reg - R_ALIAS
									  : (unsigned)MMIO_SIZE;
	if (reg >= R_STREAM && reg < R_STREAMS_END)
		return stream_read(&h->s.stream[(reg - R_STREAM) / STREAM_SIZE],
				   (reg - R_STREAM) % STREAM_SIZE);
	if (reg >= R_STREAM)
		return 0;
	if (reg == R_INTSTS) {
		bits = int_bits(h);
		return bits | (bits & *word(h, R_INTCTL) ? (uint32_t)INT_GLOBAL : 0);
	}
	if (reg == R_WALCLK)
		return (uint32_t)ticks_at(clock_now(h->dev.sv->clock), WALL_HZ);
	return *word(h, reg);
}

static void after_write(struct hda *h, unsigned reg, uint32_t old, uint32_t wrote)
{
	uint32_t *w = word(h, reg);

	switch (reg) {
	case R_GCTL:
		if (!(*w & GCTL_CRST))
			controller_reset(h);
		else if (!(old & GCTL_CRST))
			*word(h, R_STATESTS) |= 1 << 16; /* the codec at address 0 is there */
		break;
	case R_CORBWP:
		/* HDA, 3.3.21: the reset bit stays until it is written 0. */
		if (*w & 0x80000000)
			*w &= 0x8000ffff;
		break;
	case R_RIRBWP:
		if (wrote & RP_RESET) {
			*w &= ~0xffffu;
			h->s.rirb_count = 0;
		}
		break;
	case R_ICS:
		if (*w & ICS_BUSY) {
			*word(h, R_ICII) = command(h, *word(h, R_ICOI));
			*w = ICS_VALID;
		}
		break;
	default: break;
	}
	run_corb(h);
	sync_running(h);
}

static uint64_t hda_read(void *ctx, uint64_t off, unsigned size)
{
	struct hda *h = ctx;

	catch_up(h);
	return reg_read(h, (unsigned)off & ~3u) >> (off & 3) * 8;
}

static void hda_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct hda *h = ctx;
	unsigned reg = (unsigned)off & ~3u, shift = (unsigned)(off & 3) * 8;
	uint32_t mask = (uint32_t)(mask_bytes(size) << shift), v = (uint32_t)(val << shift), old;

	/* HDA, 3.3.7: in reset only CRST can be written. */
	if (reg != R_GCTL && !(*word(h, R_GCTL) & GCTL_CRST))
		return;
	catch_up(h);
	if (reg >= R_STREAM && reg < R_STREAMS_END) {
		stream_write(h, (reg - R_STREAM) / STREAM_SIZE, (reg - R_STREAM) % STREAM_SIZE, v,
			     mask);
	} else if (reg < R_STREAM) {
		const struct word_reg *w = &words[reg / 4];

		old = *word(h, reg);
		*word(h, reg) =
			((old & ~(mask & w->wmask)) | (v & mask & w->wmask)) & ~(v & mask & w->w1c);
		after_write(h, reg, old, v & mask);
	}
	catch_up(h);
}

/* ------------------------------------------------------------------ device */

static int hda_realize(struct dev *d, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x2668,
					   .subsystem_vendor = 0x8086,
					   .subsystem = 0x2668,
					   .revision = 1,
					   .cls = 0x0403,
					   .interrupt_pin = 1};
	struct hda *h = to_hda(d);
	int r;

	vtimer_init(&h->timer, d->sv->clock, on_timer, h);
	h->mmio = (struct bus_region){.name = "hda",
				      .size = MMIO_SIZE,
				      .valid = WIDTH_124,
				      .impl = WIDTH_124,
				      .read = hda_read,
				      .write = hda_write,
				      .ctx = h};
	pci_func_init(&h->f, d, &h->s.pci, &ids);
	pci_bar_add(&h->f, 0, PCI_BAR_MEM64, &h->mmio);
	pci_config_def(&h->f, 0x40, 1, 0x01, 0); /* HDCTL: HDA, not AC '97 */
	r = pci_msi_init(&h->f);
	if (r < 0)
		return error_set(err, r, "'%s': no room for its MSI capability", d->id);
	if (!h->devfn) {
		r = pci_bus_free_slot(h->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", d->id);
		h->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	h->voice = audio_voice_new(h->audio);
	h->capture = audio_capture_new(h->audio);
	return pci_func_add(&h->f, h->bus, h->devfn, err);
}

static void hda_unrealize(struct dev *d)
{
	struct hda *h = to_hda(d);

	if (h->timer.clock)
		vtimer_cancel(&h->timer);
	audio_voice_free(h->voice);
	audio_capture_free(h->capture);
	pci_func_done(&h->f);
}

static void hda_reset(struct dev *d, enum dev_reset kind)
{
	struct hda *h = to_hda(d);

	pci_func_reset(&h->f, kind);
	controller_reset(h);
}

static int hda_loaded(struct dev *d, struct error *err)
{
	struct hda *h = to_hda(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&h->f, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < HDA_WORDS; i++) {
		uint32_t fixed = ~(words[i].wmask | words[i].w1c);

		if ((i * 4 == R_RIRBWP || i * 4 == R_CORBWP || i * 4 == R_ICII))
			continue;
		if (i * 4 != R_RIRBCTL && (h->s.word[i] ^ words[i].reset) & fixed)
			return error_set(err, -EINVAL, "register %02xh holds %#x", i * 4,
					 h->s.word[i]);
	}
	*word(h, R_CORBWP) &= 0x80ff00ff;
	*word(h, R_RIRBWP) &= 0x00ff00ff;
	*word(h, R_RIRBCTL) = (*word(h, R_RIRBCTL) & 0x507) | 0x00420000;
	for (unsigned i = 0; i < HDA_STREAMS; i++) {
		struct hda_stream_regs *s = &h->s.stream[i];

		if (s->off > s->len || (s->fetched && s->off == s->len && s->len))
			return error_set(err, -EINVAL, "stream %u: %u bytes of %u done", i, s->off,
					 s->len);
		s->ctl = (s->ctl & 0x1cf4001f) | STS_READY;
		s->bdpl &= 0xffffff80;
		if (running(h, i) != (s->pace.rate != 0))
			return error_set(err, -EINVAL, "stream %u: runs at %u frames a second", i,
					 s->pace.rate);
		pace_loaded(&s->pace, now);
	}
	sync_running(h);
	command(h, 0);
	arm(h, now);
	return 0;
}

/* clang-format off */
static const struct state_field pace_fields[] = {PACE_FIELDS, STATE_END};

static const struct state_field stream_fields[] = {
	STATE_STRUCT(struct hda_stream_regs, pace, pace_fields),
	STATE_VAL(struct hda_stream_regs, addr),
	STATE_VAL(struct hda_stream_regs, len),
	STATE_VAL(struct hda_stream_regs, off),
	STATE_VAL(struct hda_stream_regs, ctl),
	STATE_VAL(struct hda_stream_regs, lpib),
	STATE_VAL(struct hda_stream_regs, cbl),
	STATE_VAL(struct hda_stream_regs, lvi, .max = 0xff),
	STATE_VAL(struct hda_stream_regs, fmt, .max = 0x7fff),
	STATE_VAL(struct hda_stream_regs, bdpl),
	STATE_VAL(struct hda_stream_regs, bdpu),
	STATE_VAL(struct hda_stream_regs, index),
	STATE_VAL(struct hda_stream_regs, ioc),
	STATE_VAL(struct hda_stream_regs, fetched),
	STATE_PAD(struct hda_stream_regs, pad_),
	STATE_END};

static const struct state_field hda_fields[] = {
	STATE_STRUCT(struct hda_regs, pci, pci_regs_fields),
	STATE_ARRAY(struct hda_regs, word),
	STATE_STRUCTS(struct hda_regs, stream, stream_fields),
	STATE_STRUCT(struct hda_regs, codec, hda_codec_fields),
	STATE_VAL(struct hda_regs, told),
	STATE_VAL(struct hda_regs, rirb_count, .max = 256),
	STATE_END};

static const struct state_desc hda_state = STATE_DESC("hda", 1, struct hda_regs, hda_fields);
/* clang-format on */

const struct dev_class hda_class = {
	.name = "hda",
	.summary = "High Definition Audio",
	.spec = "High Definition Audio Specification, revision 1.0a",
	.size = sizeof(struct hda),
	.regs_offset = offsetof(struct hda, s),
	.state = &hda_state,
	.realize = hda_realize,
	.unrealize = hda_unrealize,
	.reset = hda_reset,
	.loaded = hda_loaded,
};
