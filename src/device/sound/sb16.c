/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creative Sound Blaster 16: digital sound processor (DSP) 4.05 and CT1745 mixer. Sound Blaster
 * Series Hardware Programming Guide, Creative Technology 1996 ("HPG").
 *
 *   224 mixer index · 225 mixer data · 226 reset · 22a read · 22c command, status ·
 *   22e read status, acknowledge 8-bit · 22f acknowledge 16-bit
 *
 * A command is a byte and its arguments; the DSP takes each at once. Sound comes through the DMA
 * controller at the rate that was set, in guest time, block by block, each ending with an
 * interrupt. A channel that is masked holds the transfer up, as a request that is not answered
 * does. A mixer register (80h, 81h) tells which interrupt and channels are used.
 *
 * FM music is opl3.c's, MIDI mpu401.c's. The older cards' ADPCM has samples of 4, 2.6 (three in a
 * byte) or 2 bits: a sign and how many steps of the present size, which grows and shrinks with what
 * it is used for.
 *
 * Recordings are the host's, on each side that has microphone or line switched to it.
 *
 * UNMODELLED: the joystick, the wave table and the CSP; volumes of the inputs (their gain is there)
 * and recording what is played; tone controls and filters; the DMA identification command E2h.
 */
#include "device/sound/sb16.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "device/misc/i8237.h"
#include "device/sound/opl3.h"

enum {
	BASE = 0x224,
	R_MIXER_INDEX = 0,
	R_MIXER_DATA = 1,
	R_RESET = 2,
	R_FM = 4, /* two ports */
	R_READ = 6,
	R_COMMAND = 8,
	R_STATUS = 10,
	R_ACK16 = 11,
	PORTS = 12,
	READY = 0xaa, /* after a reset */
	NOT_BUSY = 0x7f,
	DATA = 0x80,
	IRQ8 = 1,
	IRQ16 = 2,
	IRQ_MIDI = 4,
	CHUNK = 1024, /* bytes moved at a time */
	FIFO_UNITS = 64,
	RATE_MIN = 4000,
	RATE_MAX = 45454, /* HPG, table 6-4 */
};
enum {
	M_RESET = 0x00,
	M_VOICE = 0x04,
	M_STEREO = 0x0e,
	M_MASTER = 0x22,
	M_MASTER_L = 0x30,
	M_VOICE_L = 0x32,
	M_FM = 0x26,
	M_FM_L = 0x34,
	M_INPUT_L = 0x3d,
	M_INPUT_GAIN_L = 0x3f,
	M_GAIN_L = 0x41,
	INPUT_MIC = 0x01,
	INPUT_LINE = 0x18,
	M_IRQ = 0x80,
	M_DMA = 0x81,
	M_STATUS = 0x82,
};

static struct sb16 *to_sb16(struct dev *d)
{
	return CONTAINER_OF(d, struct sb16, dev);
}

/* ------------------------------------------------------------------ mixer */

static void update_irq(struct sb16 *sb)
{
	for (unsigned i = 0; i < SB16_IRQS; i++)
		irq_set(&sb->irq[i], (sb->s.status || sb->s.midi) && (sb->s.mixer[M_IRQ] & BIT(i)));
}

/* HPG, 4: 5 bits in 7:3, 2 dB a step, 31 = 0 dB; output gain in bits 7:6, 6 dB a step. */
static uint32_t loudness(const struct sb16 *sb, unsigned source, unsigned right)
{
	unsigned down = (31u - (sb->s.mixer[M_MASTER_L + right] >> 3)) +
			(31u - (sb->s.mixer[source + right] >> 3));
	unsigned gain = sb->s.mixer[M_GAIN_L + right] >> 6;

	return (uint32_t)(pow(10, (gain * 6.0 - down * 2.0) / 20) * AUDIO_UNITY);
}

/* HPG, 4: switches of the inputs (bit 0 microphone, 4:3 line), gain in bits 7:6, 6 dB a step. */
static uint32_t sensitivity(const struct sb16 *sb, unsigned right)
{
	if (!(sb->s.mixer[M_INPUT_L + right] & (INPUT_MIC | INPUT_LINE)))
		return 0;
	return (uint32_t)AUDIO_UNITY << (sb->s.mixer[M_INPUT_GAIN_L + right] >> 6);
}

static void set_volume(struct sb16 *sb)
{
	audio_capture_volume(sb->capture, sensitivity(sb, 0), sensitivity(sb, 1));
	audio_voice_volume(sb->voice, loudness(sb, M_VOICE_L, 0), loudness(sb, M_VOICE_L, 1));
	if (sb->opl3)
		opl3_volume(sb->opl3, loudness(sb, M_FM_L, 0), loudness(sb, M_FM_L, 1));
}

/* HPG, table 4-3: contents after a reset. What 80h and 81h say stays. */
static void mixer_reset(struct sb16 *sb)
{
	static const uint8_t init[][2] = {{0x30, 0xc0}, {0x31, 0xc0}, {0x32, 0xc0}, {0x33, 0xc0},
					  {0x34, 0xc0}, {0x35, 0xc0}, {0x3c, 0x1f}, {0x3d, 0x15},
					  {0x3e, 0x0b}, {0x44, 0x80}, {0x45, 0x80}, {0x46, 0x80},
					  {0x47, 0x80}, {0x04, 0xcc}, {0x22, 0xcc}, {0x26, 0xcc}};

	memset(sb->s.mixer, 0, M_IRQ);
	for (unsigned i = 0; i < ARRAY_SIZE(init); i++)
		sb->s.mixer[init[i][0]] = init[i][1];
	set_volume(sb);
}

/* The Sound Blaster Pro's volume registers: four bits a side of the new ones. */
static void old_volume(struct sb16 *sb, unsigned to, uint8_t val)
{
	sb->s.mixer[to] = (uint8_t)((val & 0xf0) | (val & 0x80 ? 0x08 : 0));
	sb->s.mixer[to + 1] = (uint8_t)((val << 4) | (val & 0x08 ? 0x08 : 0));
}

static void mixer_write(struct sb16 *sb, uint8_t val)
{
	uint8_t i = sb->s.mixer_index;

	if (i == M_RESET) {
		mixer_reset(sb);
		return;
	}
	if (i == M_STATUS)
		return; /* read-only */
	if (i == M_IRQ)
		val &= 0x0f;
	if (i == M_DMA)
		val &= 0xeb;
	sb->s.mixer[i] = val;
	if (i == M_VOICE)
		old_volume(sb, M_VOICE_L, val);
	if (i == M_FM)
		old_volume(sb, M_FM_L, val);
	if (i == M_MASTER)
		old_volume(sb, M_MASTER_L, val);
	set_volume(sb);
	update_irq(sb);
}

static uint8_t mixer_read(const struct sb16 *sb)
{
	switch (sb->s.mixer_index) {
	case M_STATUS:
		return sb->s.status | (sb->s.midi ? IRQ_MIDI : 0) |
		       0x20; /* bits 7:4: as a CT1745 has them */
	case M_IRQ: return sb->s.mixer[M_IRQ] | 0xf0;
	default: return sb->s.mixer[sb->s.mixer_index];
	}
}

/* The channel that is used, 8- or 16-bit; a card without a 16-bit one uses the other for both. */
static unsigned dma_channel(const struct sb16 *sb)
{
	uint8_t sel = sb->s.mixer[M_DMA];

	if (sb->s.wide)
		for (unsigned i = 5; i <= 7; i++)
			if (sel & BIT(i))
				return i;
	for (unsigned i = 0; i <= 3; i++)
		if (sel & BIT(i) & 0x0b)
			return i;
	return 4; /* none: nothing moves */
}

/* ------------------------------------------------------------------ transfers */

static unsigned channels(const struct sb16 *sb)
{
	return sb->s.stereo ? 2 : 1;
}

static unsigned unit_bytes(const struct sb16 *sb)
{
	return sb->s.wide ? 2 : 1;
}

/* Frames a second. 40h takes the time of a byte, so that stereo has half as many frames. */
static uint32_t frame_rate(const struct sb16 *sb)
{
	uint32_t r = sb->s.rate;

	if (!r)
		r = 1000000 / (256u - sb->s.time_const) / channels(sb);
	return r < RATE_MIN ? RATE_MIN : r > RATE_MAX ? RATE_MAX : r;
}

static enum audio_sample sample_kind(const struct sb16 *sb)
{
	if (sb->s.wide)
		return sb->s.is_signed ? AUDIO_S16 : AUDIO_U16;
	return sb->s.is_signed ? AUDIO_S8 : AUDIO_U8;
}

/* Distance to the next sample, and the next size of steps; @n: the sample's bits without its sign.
 */
static int adpcm_distance(struct sb16 *sb, unsigned n)
{
	static const uint8_t biggest[5] = {[2] = 5, [3] = 4, [4] = 3},
			     last[5] = {[2] = 1, [3] = 3, [4] = 5};
	unsigned s = sb->s.adpcm_step, bits = sb->s.adpcm;
	int d = s ? (int)((2 * n + 1) << (s - 1)) : (int)n;

	if (bits == 3 && s == 4)
		d = (int)(5 * (2 * n + 1));
	if (n >= last[bits] && s < biggest[bits])
		sb->s.adpcm_step++;
	else if (!n && s)
		sb->s.adpcm_step--;
	return d;
}

static void adpcm_next(struct sb16 *sb, unsigned code, unsigned bits, int16_t frame[2])
{
	unsigned sign = code >> (bits - 1) & 1;
	int d = adpcm_distance(sb, code & ((1u << (bits - 1)) - 1));
	int v = sb->s.adpcm_sample + (sign ? -d : d);

	sb->s.adpcm_sample = (uint8_t)MAX(0, MIN(v, 255));
	frame[0] = frame[1] = (int16_t)((sb->s.adpcm_sample - 128) * 256);
}

static void adpcm_heard(struct sb16 *sb, const uint8_t *bytes, size_t n)
{
	int16_t frames[4 * CHUNK][2];
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t b = bytes[i];

		if (sb->s.adpcm_reference) {
			sb->s.adpcm_reference = false;
			sb->s.adpcm_sample = b;
			sb->s.adpcm_step = 0;
			continue;
		}
		if (sb->s.adpcm == 3) { /* three, three and two bits */
			adpcm_next(sb, b >> 5, 3, frames[made++]);
			adpcm_next(sb, b >> 2 & 7, 3, frames[made++]);
			adpcm_next(sb, (b & 3u) << 1, 3, frames[made++]);
			continue;
		}
		for (int at = 8 - sb->s.adpcm; at >= 0; at -= sb->s.adpcm)
			adpcm_next(sb, (unsigned)b >> at & ((1u << sb->s.adpcm) - 1), sb->s.adpcm,
				   frames[made++]);
	}
	audio_voice_write(sb->voice, frames[0], made);
}

/* Bytes that came; whole frames are heard. The speaker switch is without effect (HPG, D1h: on this
 * card). */
static void heard(struct sb16 *sb, const uint8_t *bytes, size_t n)
{
	size_t frame = (size_t)unit_bytes(sb) * channels(sb), whole;
	int16_t frames[CHUNK + 4][2];
	uint8_t buf[CHUNK + 4];

	memcpy(buf, sb->s.part, sb->s.n_part);
	memcpy(buf + sb->s.n_part, bytes, n);
	n += sb->s.n_part;
	whole = n / frame;
	sb->s.n_part = (uint8_t)(n % frame);
	memcpy(sb->s.part, buf + whole * frame, sb->s.n_part);
	if (sb->s.silence)
		memset(frames, 0, whole * sizeof(frames[0]));
	else
		audio_to_frames(sample_kind(sb), channels(sb), buf, whole, frames[0]);
	audio_voice_write(sb->voice, frames[0], whole);
}

/* @n units as the converter gives them, whole frames but for the last of a block. */
static void recorded(struct sb16 *sb, uint8_t *buf, uint32_t n)
{
	uint8_t bytes[CHUNK + 4];
	int16_t frames[CHUNK][2];
	uint32_t whole = (n + channels(sb) - 1) / channels(sb);

	audio_capture_read(sb->capture, frames[0], whole);
	audio_from_frames(sample_kind(sb), channels(sb), frames[0], whole, bytes);
	memcpy(buf, bytes, (size_t)n * unit_bytes(sb));
}

/* Up to @n units. Returns how many the channel gave. */
static uint32_t move(struct sb16 *sb, uint32_t n)
{
	size_t len = (size_t)n * unit_bytes(sb), got = len;
	uint8_t buf[CHUNK];

	if (sb->s.input) {
		recorded(sb, buf, n);
		got = dma8237_write(sb->dma, dma_channel(sb), buf, len, NULL);
	} else {
		if (sb->s.silence)
			memset(buf, 0, len);
		else
			got = dma8237_read(sb->dma, dma_channel(sb), buf, len, NULL);
		if (sb->s.adpcm)
			adpcm_heard(sb, buf, got);
		else
			heard(sb, buf, got);
	}
	return (uint32_t)(got / unit_bytes(sb));
}

static void stop(struct sb16 *sb)
{
	sb->s.playing = sb->s.silence = false;
	sb->s.n_part = 0;
	pace_stop(&sb->s.pace);
	vtimer_cancel(&sb->timer);
	audio_voice_stop(sb->voice);
	audio_capture_stop(sb->capture);
}

static void block_done(struct sb16 *sb)
{
	sb->s.status |= sb->s.wide ? IRQ16 : IRQ8;
	update_irq(sb);
	sb->s.left = sb->s.block;
	if (!sb->s.automatic || sb->s.last_block)
		stop(sb);
}

static void arm(struct sb16 *sb)
{
	ns_t now = clock_now(sb->dev.sv->clock);

	if (sb->s.playing && !sb->s.paused)
		vtimer_arm(&sb->timer,
			   MAX(pace_when(&sb->s.pace, now, sb->s.left), now + NS_PER_MS / 10));
	else
		vtimer_cancel(&sb->timer);
}

/* One block's end at most: the interrupt is to be seen before the next. */
static void catch_up(struct sb16 *sb)
{
	ns_t now = clock_now(sb->dev.sv->clock);
	uint64_t due = sb->s.playing && !sb->s.paused ? pace_due(&sb->s.pace, now) : 0;

	while (due) {
		uint32_t n = MIN(sb->s.left, CHUNK / 2u), got;

		n = due < n ? (uint32_t)due : n;
		if (sb->s.input && sb->s.stereo && n < sb->s.left)
			n &= ~1u; /* whole frames */
		if (!n)
			break;
		got = move(sb, n);

		sb->s.pace.done += got;
		sb->s.left -= got;
		due -= got;
		if (!sb->s.left) {
			block_done(sb);
			break;
		}
		if (got < n) {
			/* Held up: what the FIFO takes is made good, the rest of the time does not
			 * count. Drivers mask the channel for as long as they read its count. */
			sb->s.pace.done += due - MIN(due, (uint64_t)FIFO_UNITS);
			break;
		}
	}
	arm(sb);
}

static void on_timer(void *ctx)
{
	catch_up(ctx);
}

static void begin(struct sb16 *sb, uint32_t units)
{
	uint32_t rate = frame_rate(sb);

	sb->s.block = sb->s.left = units;
	sb->s.playing = true;
	sb->s.paused = sb->s.last_block = false;
	sb->s.n_part = 0;
	/* ADPCM has several samples in a byte */
	pace_start(&sb->s.pace, clock_now(sb->dev.sv->clock),
		   sb->s.adpcm ? MAX(1u, rate * sb->s.adpcm / 8) : rate * channels(sb));
	audio_voice_rate(sb->voice, rate);
	audio_capture_rate(sb->capture, rate);
	arm(sb);
}

/* 8-bit transfers of the older cards: unsigned; stereo by the mixer (Sound Blaster Pro). */
static void begin_old(struct sb16 *sb, bool automatic, bool input)
{
	sb->s.automatic = automatic;
	sb->s.input = input;
	sb->s.wide = sb->s.is_signed = sb->s.silence = false;
	sb->s.adpcm = 0;
	sb->s.stereo = sb->s.mixer[M_STEREO] & 2;
	if (!automatic)
		sb->s.block = ld_le16(sb->s.args) + 1u;
	begin(sb, MAX(sb->s.block, 1u));
}

/* HPG, 6: 4, 2.6 or 2 bits; the first byte of the sound may be its reference. */
static void begin_adpcm(struct sb16 *sb, bool automatic, unsigned bits, bool reference)
{
	sb->s.stereo = false;
	sb->s.automatic = automatic;
	sb->s.input = sb->s.wide = sb->s.is_signed = sb->s.silence = false;
	sb->s.adpcm = (uint8_t)bits;
	sb->s.adpcm_reference = reference;
	if (!automatic)
		sb->s.block = ld_le16(sb->s.args) + 1u;
	begin(sb, MAX(sb->s.block, 1u));
}

/* Bxh, Cxh (HPG, 6): 16 or 8 bits, bit 3 input, bit 2 automatic; mode: bit 5 stereo, 4 signed. */
static void begin_new(struct sb16 *sb, uint8_t cmd)
{
	sb->s.wide = cmd < 0xc0;
	sb->s.input = cmd & 8;
	sb->s.automatic = cmd & 4;
	sb->s.stereo = sb->s.args[0] & 0x20;
	sb->s.is_signed = sb->s.args[0] & 0x10;
	sb->s.silence = false;
	sb->s.adpcm = 0;
	begin(sb, ld_le16(sb->s.args + 1) + 1u);
}

static void pause_transfer(struct sb16 *sb, bool paused)
{
	if (!sb->s.playing || sb->s.paused == paused)
		return;
	sb->s.paused = paused;
	if (paused)
		audio_voice_stop(sb->voice);
	else
		pace_start(&sb->s.pace, clock_now(sb->dev.sv->clock), sb->s.pace.rate);
	arm(sb);
}

/* ------------------------------------------------------------------ DSP */

static void answer(struct sb16 *sb, uint8_t v)
{
	if (sb->s.fifo_n < SB16_FIFO)
		sb->s.fifo[(sb->s.fifo_at + sb->s.fifo_n++) % SB16_FIFO] = v;
}

static void direct_sample(struct sb16 *sb)
{
	int16_t frame[2];

	/* One sample each time the program likes; at about the rate games use. */
	audio_to_frames(AUDIO_U8, 1, sb->s.args, 1, frame);
	audio_voice_rate(sb->voice, 11025);
	audio_voice_write(sb->voice, frame, 1);
}

static void direct_input(struct sb16 *sb)
{
	int16_t frame[2];
	uint8_t v;

	audio_capture_rate(sb->capture, 11025);
	audio_capture_read(sb->capture, frame, 1);
	audio_from_frames(AUDIO_U8, 1, frame, 1, &v);
	answer(sb, v);
}

static void raise_irq(struct sb16 *sb, uint8_t bits)
{
	sb->s.status |= bits;
	update_irq(sb);
}

/* Arguments of a command (HPG, 6). */
static unsigned args_of(uint8_t cmd)
{
	if (cmd >= 0xb0 && cmd <= 0xcf)
		return 3;
	switch (cmd) {
	case 0x04:
	case 0x0f:
	case 0x10:
	case 0x38:
	case 0x40:
	case 0xe0:
	case 0xe2:
	case 0xe4:
	case 0xf9: return 1;
	case 0x05:
	case 0x0e:
	case 0x14:
	case 0x16:
	case 0x17:
	case 0x24:
	case 0x41:
	case 0x42:
	case 0x48:
	case 0x74:
	case 0x75:
	case 0x76:
	case 0x77:
	case 0x80: return 2;
	default: return 0;
	}
}

static void identify(struct sb16 *sb, uint8_t cmd)
{
	static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

	switch (cmd) {
	case 0xe0: answer(sb, (uint8_t)~sb->s.args[0]); break;
	case 0xe1:
		answer(sb, 4);
		answer(sb, 5);
		break;
	case 0xe3:
		for (unsigned i = 0; i < sizeof(copyright); i++)
			answer(sb, (uint8_t)copyright[i]);
		break;
	case 0xe4: sb->s.test = sb->s.args[0]; break;
	case 0xe8: answer(sb, sb->s.test); break;
	case 0xf8:
	case 0x0f:
	case 0xf9: answer(sb, 0); break;
	default: break;
	}
}

static void begin_silence(struct sb16 *sb)
{
	sb->s.wide = sb->s.is_signed = sb->s.stereo = sb->s.input = sb->s.automatic = false;
	sb->s.silence = true;
	sb->s.adpcm = 0;
	begin(sb, ld_le16(sb->s.args) + 1u);
}

static void execute(struct sb16 *sb)
{
	uint8_t cmd = sb->s.cmd;

	if (cmd >= 0xb0 && cmd <= 0xcf) {
		begin_new(sb, cmd);
		return;
	}
	switch (cmd) {
	case 0x10: direct_sample(sb); break;
	case 0x14: begin_old(sb, false, false); break;
	case 0x16:
	case 0x17: begin_adpcm(sb, false, 2, cmd & 1); break;
	case 0x74:
	case 0x75: begin_adpcm(sb, false, 4, cmd & 1); break;
	case 0x76:
	case 0x77: begin_adpcm(sb, false, 3, cmd & 1); break;
	case 0x1c:
	case 0x90: begin_old(sb, true, false); break;
	case 0x1f: begin_adpcm(sb, true, 2, true); break;
	case 0x7d: begin_adpcm(sb, true, 4, true); break;
	case 0x7f: begin_adpcm(sb, true, 3, true); break;
	case 0x20: direct_input(sb); break;
	case 0x24: begin_old(sb, false, true); break;
	case 0x2c:
	case 0x98: begin_old(sb, true, true); break;
	case 0x40:
		sb->s.time_const = sb->s.args[0];
		sb->s.rate = 0;
		break;
	case 0x41:
	case 0x42: sb->s.rate = MAX(1u, ld_be16(sb->s.args)); break;
	case 0x48: sb->s.block = ld_le16(sb->s.args) + 1u; break;
	case 0x80: begin_silence(sb); break;
	case 0x91:
		if (sb->s.block) {
			st_le16(sb->s.args, (uint16_t)(sb->s.block - 1));
			begin_old(sb, false, false);
		}
		break;
	case 0xd0:
	case 0xd5: pause_transfer(sb, true); break;
	case 0x45:
	case 0x47:
		sb->s.last_block = false;
		pause_transfer(sb, false);
		break;
	case 0xd4:
	case 0xd6: pause_transfer(sb, false); break;
	case 0xd1: sb->s.speaker = true; break;
	case 0xd3: sb->s.speaker = false; break;
	case 0xd8: answer(sb, sb->s.speaker ? 0xff : 0); break;
	case 0xd9:
	case 0xda: sb->s.last_block = true; break;
	case 0xf2: raise_irq(sb, IRQ8); break;
	case 0xf3: raise_irq(sb, IRQ16); break;
	default: identify(sb, cmd); break;
	}
}

static void command(struct sb16 *sb, uint8_t val)
{
	if (!sb->s.want_args) {
		sb->s.cmd = val;
		sb->s.n_args = 0;
		sb->s.want_args = (uint8_t)args_of(val);
		if (sb->s.want_args)
			return;
	} else {
		sb->s.args[sb->s.n_args++] = val;
		if (sb->s.n_args < sb->s.want_args)
			return;
		sb->s.want_args = 0;
	}
	execute(sb);
}

static void dsp_reset(struct sb16 *sb)
{
	stop(sb);
	sb->s.paused = sb->s.automatic = sb->s.last_block = sb->s.speaker = false;
	sb->s.wide = sb->s.stereo = sb->s.is_signed = sb->s.input = false;
	sb->s.adpcm = sb->s.adpcm_step = sb->s.adpcm_sample = 0;
	sb->s.adpcm_reference = false;
	sb->s.fifo_n = sb->s.fifo_at = 0;
	sb->s.want_args = sb->s.n_args = 0;
	sb->s.time_const = 0xa5; /* 11 kHz */
	sb->s.rate = 0;
	sb->s.block = sb->s.left = 0;
	sb->s.status = 0;
	update_irq(sb);
}

static uint8_t dsp_read(struct sb16 *sb)
{
	if (sb->s.fifo_n) {
		sb->s.last = sb->s.fifo[sb->s.fifo_at];
		sb->s.fifo_at = (sb->s.fifo_at + 1) % SB16_FIFO;
		sb->s.fifo_n--;
	}
	return sb->s.last;
}

/* ------------------------------------------------------------------ ports */

static void acknowledge(struct sb16 *sb, uint8_t bit)
{
	sb->s.status &= (uint8_t)~bit;
	update_irq(sb);
}

static uint64_t sb16_read(struct dev *d, uint64_t off, unsigned size)
{
	struct sb16 *sb = to_sb16(d);

	catch_up(sb);
	switch (off) {
	case R_MIXER_INDEX: return sb->s.mixer_index;
	case R_MIXER_DATA: return mixer_read(sb);
	case R_FM:
	case R_FM + 1: return sb->opl3 ? opl3_read(sb->opl3, (unsigned)off - R_FM) : 0xff;
	case R_READ: return dsp_read(sb);
	case R_COMMAND: return NOT_BUSY;
	case R_STATUS: acknowledge(sb, IRQ8); return NOT_BUSY | (sb->s.fifo_n ? DATA : 0);
	case R_ACK16: acknowledge(sb, IRQ16); return 0xff;
	default: return 0xff;
	}
}

static void sb16_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct sb16 *sb = to_sb16(d);
	uint8_t v = (uint8_t)val;

	catch_up(sb);
	switch (off) {
	case R_MIXER_INDEX: sb->s.mixer_index = v; break;
	case R_MIXER_DATA: mixer_write(sb, v); break;
	case R_RESET:
		/* HPG, 2: 1, then 0, and the DSP answers AAh. */
		if ((v & 1) && !sb->s.reset)
			dsp_reset(sb);
		if (!(v & 1) && sb->s.reset)
			answer(sb, READY);
		sb->s.reset = v & 1;
		break;
	case R_FM:
	case R_FM + 1:
		if (sb->opl3)
			opl3_write(sb->opl3, (unsigned)off - R_FM, v);
		break;
	case R_COMMAND: command(sb, v); break;
	default: break;
	}
}

void sb16_midi_irq(void *ctx, bool level)
{
	struct sb16 *sb = ctx;

	sb->s.midi = level;
	update_irq(sb);
}

/* ------------------------------------------------------------------ device */

static int sb16_realize(struct dev *d, struct error *err)
{
	struct sb16 *sb = to_sb16(d);

	vtimer_init(&sb->timer, d->sv->clock, on_timer, sb);
	sb->voice = audio_voice_new(sb->audio);
	sb->capture = audio_capture_new(sb->audio);
	return dma8237_attach(sb->dma, on_timer, sb);
}

static void sb16_unrealize(struct dev *d)
{
	struct sb16 *sb = to_sb16(d);

	if (sb->timer.clock)
		vtimer_cancel(&sb->timer);
	if (sb->dma)
		dma8237_detach(sb->dma, sb);
	audio_voice_free(sb->voice);
	audio_capture_free(sb->capture);
}

/* Jumpers and set-up programs leave interrupt 5, channels 1 and 5. */
static void sb16_reset(struct dev *d, enum dev_reset kind)
{
	struct sb16 *sb = to_sb16(d);
	bool midi = sb->s.midi; /* a wire */

	dsp_reset(sb);
	memset(&sb->s, 0, sizeof(sb->s));
	sb->s.midi = midi;
	sb->s.time_const = 0xa5;
	sb->s.mixer[M_IRQ] = 0x02;
	sb->s.mixer[M_DMA] = 0x22;
	mixer_reset(sb);
}

static int sb16_loaded(struct dev *d, struct error *err)
{
	struct sb16 *sb = to_sb16(d);

	/* Command 48h changes the length of blocks to come, not the one that is under way. */
	if (sb->s.playing && (!sb->s.left || !sb->s.block))
		return error_set(err, -EINVAL, "%u units left of a block of %u", sb->s.left,
				 sb->s.block);
	if (sb->s.playing != (sb->s.pace.rate != 0))
		return error_set(err, -EINVAL, "plays at %u units a second", sb->s.pace.rate);
	if (sb->s.n_part >= unit_bytes(sb) * channels(sb))
		return error_set(err, -EINVAL, "%u bytes of a frame", sb->s.n_part);
	if (sb->s.adpcm == 1 || (sb->s.adpcm && (sb->s.wide || sb->s.stereo)))
		return error_set(err, -EINVAL, "ADPCM of %u bits", sb->s.adpcm);
	if (sb->s.want_args && sb->s.n_args >= sb->s.want_args)
		return error_set(err, -EINVAL, "%u arguments of %u", sb->s.n_args, sb->s.want_args);
	pace_loaded(&sb->s.pace, clock_now(d->sv->clock));
	set_volume(sb);
	audio_voice_rate(sb->voice, frame_rate(sb));
	audio_capture_rate(sb->capture, frame_rate(sb));
	update_irq(sb);
	arm(sb);
	return 0;
}

/* clang-format off */
static const struct state_field pace_fields[] = {PACE_FIELDS, STATE_END};

static const struct state_field sb16_fields[] = {
	STATE_STRUCT(struct sb16_regs, pace, pace_fields),
	STATE_VAL(struct sb16_regs, block, .max = 0x10000),
	STATE_VAL(struct sb16_regs, left, .max = 0x10000),
	STATE_VAL(struct sb16_regs, rate, .max = 0xffff),
	STATE_BYTES_OF(struct sb16_regs, mixer),
	STATE_BYTES_OF(struct sb16_regs, fifo),
	STATE_VAL(struct sb16_regs, fifo_n, .max = SB16_FIFO),
	STATE_VAL(struct sb16_regs, fifo_at, .max = SB16_FIFO - 1),
	STATE_BYTES_OF(struct sb16_regs, args),
	STATE_VAL(struct sb16_regs, cmd),
	STATE_VAL(struct sb16_regs, n_args, .max = 3),
	STATE_VAL(struct sb16_regs, want_args, .max = 3),
	STATE_VAL(struct sb16_regs, last),
	STATE_BYTES_OF(struct sb16_regs, part),
	STATE_VAL(struct sb16_regs, n_part, .max = 3),
	STATE_VAL(struct sb16_regs, time_const),
	STATE_VAL(struct sb16_regs, test),
	STATE_VAL(struct sb16_regs, mixer_index),
	STATE_VAL(struct sb16_regs, reset, .max = 1),
	STATE_VAL(struct sb16_regs, status, .max = IRQ8 | IRQ16),
	STATE_VAL(struct sb16_regs, speaker),
	STATE_VAL(struct sb16_regs, playing),
	STATE_VAL(struct sb16_regs, paused),
	STATE_VAL(struct sb16_regs, automatic),
	STATE_VAL(struct sb16_regs, last_block),
	STATE_VAL(struct sb16_regs, wide),
	STATE_VAL(struct sb16_regs, stereo),
	STATE_VAL(struct sb16_regs, is_signed),
	STATE_VAL(struct sb16_regs, input),
	STATE_VAL(struct sb16_regs, silence),
	STATE_VAL(struct sb16_regs, adpcm, .max = 4, .since = 2),
	STATE_VAL(struct sb16_regs, adpcm_sample, .since = 2),
	STATE_VAL(struct sb16_regs, adpcm_step, .max = 5, .since = 2),
	STATE_VAL(struct sb16_regs, adpcm_reference, .since = 2),
	STATE_VAL(struct sb16_regs, midi, .since = 2),
	STATE_PAD(struct sb16_regs, pad_),
	STATE_END};

static const struct state_desc sb16_state = STATE_DESC("sb16", 2, struct sb16_regs, sb16_fields);

static const struct dev_region sb16_regions[] = {
	{"sb16", DEV_PIO, BASE, PORTS, WIDTH_124, WIDTH_1, sb16_read, sb16_write},
	{0}};
/* clang-format on */

const struct dev_class sb16_class = {
	.name = "sb16",
	.summary = "Sound Blaster 16",
	.spec = "Creative, Sound Blaster Series Hardware Programming Guide, 1996",
	.size = sizeof(struct sb16),
	.regs_offset = offsetof(struct sb16, s),
	.regions = sb16_regions,
	.state = &sb16_state,
	.realize = sb16_realize,
	.unrealize = sb16_unrealize,
	.reset = sb16_reset,
	.loaded = sb16_loaded,
};
