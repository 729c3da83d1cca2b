/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Yamaha YMF262 (OPL3), FM music of the Sound Blaster 16. YMF262 data sheet (LSI-4MF2622);
 * Creative, Sound Blaster Series Hardware Programming Guide, 1996, chapter 3. What the data sheet
 * does not say (tables, envelope steps, drums) is as measured on the chip and read from its die.
 *
 *   0 status, index · 1 data · 2 index of the second bank · 3 data
 *   at 220h and 388h; the Sound Blaster also has the first pair at 228h
 *
 * 36 operators, each a phase, an envelope and one of 8 waveforms, make 18 channels of two, of which
 * twelve can be joined to six of four, and three can be five drums. A sample is made 49,716 times a
 * second of guest time, 14.318 MHz / 288, as long as an operator is heard; the registers are looked
 * at when they count.
 *
 * An operator works with logarithms: the waveform's table gives an attenuation in 1/256 of 6 dB, to
 * which envelope, total level, key scaling and tremolo are added, and a second table gives the
 * sample.
 *
 * The timers count guest time; their interrupt is not wired on sound cards, programs read the
 * status.
 *
 * UNMODELLED: the test registers, CSM, the outputs C and D, the time a register write takes.
 */
#include "device/sound/opl3.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"

enum {
	R_TIMER1 = 0x02,
	R_TIMERS = 0x04,
	R_SELECT = 0x08, /* keyboard split */
	R_RHYTHM = 0xbd,
	R_FOUR = 0x104, /* which channels are of four operators */
	R_NEW = 0x105,  /* bit 0: this is an OPL3, not an OPL2 */
	TIMERS_RESET = 0x80,
	SILENT = 511,
	STEP = 512, /* of samples that are made at a time */
};
enum { ATTACK, DECAY, SUSTAIN, RELEASE };
enum { KEY_CHANNEL = 1, KEY_DRUM = 2 };
/* Rhythm: operators of channels 6 to 8 */
enum { DRUM_BASS = 0x10, DRUM_SNARE = 0x08, DRUM_TOM = 0x04, DRUM_CYMBAL = 0x02, DRUM_HAT = 0x01 };

static struct opl3 *to_opl3(struct dev *d)
{
	return CONTAINER_OF(d, struct opl3, dev);
}

/* Operators are numbered 0 to 35: channel c has 2c and 2c+1. Their registers stand in three groups
 * of six in each bank: first operators of three channels, then second ones. */
static unsigned reg_of(unsigned op)
{
	unsigned ch = op / 2 % 9, bank = op / 18 * 256;

	return bank + ch / 3 * 8 + ch % 3 + (op & 1) * 3;
}

static unsigned channel_reg(unsigned ch)
{
	return ch / 9 * 256 + ch % 9;
}

static bool rhythm(const struct opl3 *o)
{
	return o->s.reg[R_RHYTHM] & 0x20;
}

/* Is @ch the first (0) or second (1) half of one of four operators? -1: neither. */
static int four(const struct opl3 *o, unsigned ch)
{
	unsigned n = ch % 9, bit = n % 3 + ch / 9 * 3;

	if (n >= 6 || !(o->s.reg[R_NEW] & 1) || !(o->s.reg[R_FOUR] >> bit & 1))
		return -1;
	return n >= 3;
}

/* ------------------------------------------------------------------ pitch */

/* The channel whose frequency an operator has: the second half of a joined one has the first's. */
static unsigned pitch_channel(const struct opl3 *o, unsigned op)
{
	unsigned ch = op / 2;

	return four(o, ch) == 1 ? ch - 3 : ch;
}

static unsigned f_number(const struct opl3 *o, unsigned ch)
{
	unsigned r = channel_reg(ch);

	return o->s.reg[0xa0 + r] | (o->s.reg[0xb0 + r] & 3u) << 8;
}

static unsigned block(const struct opl3 *o, unsigned ch)
{
	return o->s.reg[0xb0 + channel_reg(ch)] >> 2 & 7;
}

static void advance_phase(struct opl3 *o, unsigned i)
{
	/* doubled */
	static const uint8_t multiple[16] = {1,  2,  4,  6,  8,  10, 12, 14,
					     16, 18, 20, 20, 24, 24, 30, 30};
	unsigned ch = pitch_channel(o, i), f = f_number(o, ch);
	uint8_t flags = o->s.reg[0x20 + reg_of(i)];

	if (flags & 0x40) { /* vibrato: 8 steps of 1024 samples, 7 or 14 cents deep */
		unsigned at = o->s.samples >> 10 & 7;
		int range = (int)(f >> 7 & 7);

		range = at & 3 ? range >> (at & 1) : 0;
		range >>= o->s.reg[R_RHYTHM] & 0x40 ? 0 : 1;
		f = (unsigned)((int)f + (at & 4 ? -range : range));
	}
	o->s.op[i].phase += ((f << block(o, ch)) >> 1) * multiple[flags & 15] >> 1;
	o->s.op[i].phase &= 0x7ffff;
}

/* ------------------------------------------------------------------ envelope */

/* How much louder or softer this sample is; @rate: 4 bits of the register. */
static unsigned envelope_step(const struct opl3 *o, unsigned op, unsigned rate)
{
	/* bit n: one more at step n of 8 */
	static const uint8_t slow[4] = {0xaa, 0xba, 0xee, 0xfe}, fast[4] = {0x00, 0x88, 0xaa, 0xee};
	unsigned ch = pitch_channel(o, op), f = f_number(o, ch);
	unsigned split = o->s.reg[R_SELECT] & 0x40 ? f >> 8 : f >> 9;
	unsigned scale = block(o, ch) << 1 | (split & 1), high, shift;

	if (!rate)
		return 0;
	if (!(o->s.reg[0x20 + reg_of(op)] & 0x10)) /* KSR */
		scale >>= 2;
	rate = MIN(rate * 4 + scale, 63u);
	high = rate >> 2;
	shift = high < 12 ? 12 - high : 0;
	if (o->s.samples & ((1u << shift) - 1))
		return 0;
	shift = o->s.samples >> shift & 7;
	if (high < 13)
		return slow[rate & 3] >> shift & 1;
	return high == 15 ? 4 : (1 + (fast[rate & 3] >> shift & 1u)) << (high - 13);
}

/* An attack of the highest rates takes no time. */
static bool at_once(const struct opl3 *o, unsigned op)
{
	unsigned ch = pitch_channel(o, op);
	unsigned scale = block(o, ch) << 1;
	unsigned rate = o->s.reg[0x60 + reg_of(op)] >> 4;

	if (!(o->s.reg[0x20 + reg_of(op)] & 0x10))
		scale >>= 2;
	return rate && rate * 4 + scale >= 60;
}

static void advance_envelope(struct opl3 *o, unsigned i)
{
	struct opl3_operator *op = &o->s.op[i];
	unsigned r = reg_of(i), sustain = o->s.reg[0x80 + r] >> 4, step;

	switch (op->stage) {
	case ATTACK:
		step = envelope_step(o, i, o->s.reg[0x60 + r] >> 4);
		op->level = (uint16_t)(op->level - (((op->level + 1u) * step + 7) >> 3));
		if (at_once(o, i))
			op->level = 0;
		if (!op->level)
			op->stage = DECAY;
		return;
	case DECAY:
		if (op->level >= (sustain == 15 ? 31u : sustain) << 4) {
			op->stage = SUSTAIN;
			return;
		}
		step = envelope_step(o, i, o->s.reg[0x60 + r] & 15);
		break;
	case SUSTAIN:
		if (o->s.reg[0x20 + r] & 0x20) /* EGT: holds */
			return;
		/* fall through */
	default: step = envelope_step(o, i, o->s.reg[0x80 + r] & 15);
	}
	op->level = (uint16_t)MIN(op->level + step, (unsigned)SILENT);
}

static void key(struct opl3 *o, unsigned i, unsigned who, bool on)
{
	struct opl3_operator *op = &o->s.op[i];
	uint8_t was = op->key;

	op->key = (uint8_t)(on ? was | who : was & ~who);
	if (!was && op->key) {
		op->stage = ATTACK;
		op->phase = 0;
	} else if (was && !op->key) {
		op->stage = RELEASE;
	}
}

/* Everything that makes it softer, in steps of 3/16 dB. */
static unsigned attenuation(const struct opl3 *o, unsigned i)
{
	static const uint8_t scale[16] = {0,  32, 40, 45, 48, 51, 53, 55,
					  56, 58, 59, 60, 61, 62, 63, 64};
	static const uint8_t slope[4] = {8, 1, 2, 0}; /* 0, 3, 1.5, 6 dB an octave */
	unsigned r = reg_of(i), ch = pitch_channel(o, i);
	unsigned level = o->s.op[i].level + ((o->s.reg[0x40 + r] & 0x3fu) << 2);
	int ksl = (scale[f_number(o, ch) >> 6] << 2) - (int)((8 - block(o, ch)) << 5);

	if (ksl > 0)
		level += (unsigned)ksl >> slope[o->s.reg[0x40 + r] >> 6];
	if (o->s.reg[0x20 + r] & 0x80) { /* tremolo: a triangle of 3.7 Hz, 1 or 4.8 dB deep */
		unsigned at = (o->s.samples >> 6) % 210;

		level += (at < 105 ? at : 209 - at) >> (o->s.reg[R_RHYTHM] & 0x80 ? 2 : 4);
	}
	return level;
}

/* ------------------------------------------------------------------ waveforms */

/* @at: 10 bits of a period. */
static int sample(const struct opl3 *o, unsigned i, unsigned at)
{
	unsigned wave = o->s.reg[0xe0 + reg_of(i)] & (o->s.reg[R_NEW] & 1 ? 7 : 3), level, quarter;
	bool negative = false, none = false;

	if (wave == 4 || wave == 5) { /* a period in the first half */
		none = at & 0x200;
		at = at << 1 & 0x3ff;
	}
	quarter = at & 0x100 ? ~at & 0xff : at & 0xff;
	level = o->sine[quarter];
	switch (wave) {
	case 0:
	case 4: negative = at & 0x200; break;
	case 1: none = at & 0x200; break;
	case 3: none = at & 0x100; break;
	case 6:
		level = 0;
		negative = at & 0x200;
		break;
	case 7:
		negative = at & 0x200;
		level = (negative ? ~at & 0x1ff : at & 0x1ff) << 3;
		break;
	}
	level += attenuation(o, i) << 3;
	if (none || level >= 13 << 8)
		return 0;
	level = (unsigned)(o->exp[~level & 0xff] + 1024) << 1 >> (level >> 8);
	return negative ? -(int)level : (int)level;
}

/* One operator with @modulation of its phase. */
static int run(struct opl3 *o, unsigned i, int modulation)
{
	struct opl3_operator *op = &o->s.op[i];
	int v = sample(o, i, ((op->phase >> 9) + (unsigned)modulation) & 0x3ff);

	op->old = op->out;
	op->out = (int16_t)v;
	advance_envelope(o, i);
	advance_phase(o, i);
	return v;
}

/* The first operator of a channel modulates itself. */
static int run_first(struct opl3 *o, unsigned ch)
{
	const struct opl3_operator *op = &o->s.op[2 * ch];
	unsigned feedback = o->s.reg[0xc0 + channel_reg(ch)] >> 1 & 7;

	return run(o, 2 * ch, feedback ? (op->out + op->old) >> (9 - feedback) : 0);
}

static int run_two(struct opl3 *o, unsigned ch)
{
	int a = run_first(o, ch);

	if (o->s.reg[0xc0 + channel_reg(ch)] & 1)
		return a + run(o, 2 * ch + 1, 0);
	return run(o, 2 * ch + 1, a);
}

/* Data sheet, figure of the four connections: bit 0 of C0h of both halves. */
static int run_four(struct opl3 *o, unsigned ch)
{
	bool first = o->s.reg[0xc0 + channel_reg(ch)] & 1;
	bool second = o->s.reg[0xc0 + channel_reg(ch + 3)] & 1;
	int a = run_first(o, ch), b = run(o, 2 * ch + 1, first ? 0 : a);
	int c = run(o, 2 * ch + 6, second && !first ? 0 : b);
	int d = run(o, 2 * ch + 7, first && second ? 0 : c);

	if (!first)
		return second ? b + d : d;
	return second ? a + c + d : a + d;
}

/* Hi-hat, snare drum, tom-tom and cymbal: channels 7 and 8. Their phases are mixed of those of
 * hi-hat and cymbal and of noise. */
static int run_drums(struct opl3 *o)
{
	unsigned hat = o->s.op[14].phase >> 9, cym = o->s.op[17].phase >> 9, noise = o->s.noise & 1;
	unsigned mix = ((hat >> 2 ^ hat >> 7) | (hat >> 3 ^ cym >> 5) | (cym >> 3 ^ cym >> 5)) & 1;
	unsigned h = mix << 9 | (mix ^ noise ? 0xd0 : 0x34);
	unsigned s = (hat >> 8 & 1) << 9 | ((hat >> 8 & 1) ^ noise) << 8;
	int sum = run(o, 14, (int)(h - hat)) + run(o, 15, (int)(s - (o->s.op[15].phase >> 9))) +
		  run(o, 16, 0) + run(o, 17, (int)((mix << 9 | 0x80) - cym));

	return 2 * sum;
}

static int run_bass(struct opl3 *o)
{
	int a = run_first(o, 6);

	/* connected side by side the first is not heard */
	return 2 * run(o, 13, o->s.reg[0xc6] & 1 ? 0 : a);
}

static bool heard(const struct opl3 *o, unsigned ch)
{
	const struct opl3_operator *op = &o->s.op[2 * ch];

	return op[0].key || op[1].key || op[0].level < SILENT || op[1].level < SILENT;
}

static void make_sample(struct opl3 *o, int16_t frame[2])
{
	int sum[2] = {0, 0};
	bool drums = rhythm(o);

	for (unsigned ch = 0; ch < OPL3_CHANNELS; ch++) {
		uint8_t c = o->s.reg[0xc0 + channel_reg(ch)];
		int join = four(o, ch), v;

		if (join == 1 || (drums && ch == 8))
			continue;
		if (drums && ch == 7)
			v = run_drums(o);
		else if (!heard(o, ch) && !(join == 0 && heard(o, ch + 3)))
			continue;
		else if (drums && ch == 6)
			v = run_bass(o);
		else
			v = join == 0 ? run_four(o, ch) : run_two(o, ch);
		if (!(o->s.reg[R_NEW] & 1))
			c = 0x30;
		sum[0] += c & 0x10 ? v : 0;
		sum[1] += c & 0x20 ? v : 0;
	}
	for (unsigned i = 0; i < 2; i++)
		frame[i] = (int16_t)MAX(-32768, MIN(sum[i], 32767));
	o->s.samples++;
	o->s.noise = o->s.noise >> 1 | ((o->s.noise ^ o->s.noise >> 14) & 1) << 22;
}

/* ------------------------------------------------------------------ time */

static bool any_heard(const struct opl3 *o)
{
	for (unsigned ch = 0; ch < OPL3_CHANNELS; ch++)
		if (heard(o, ch))
			return true;
	return false;
}

/* Make what is due. */
static void catch_up(struct opl3 *o)
{
	ns_t now = clock_now(o->dev.sv->clock);
	uint64_t due = o->s.sounding ? pace_due(&o->s.pace, now) : 0;
	int16_t frames[STEP][2];

	while (due) {
		unsigned n = due < STEP ? (unsigned)due : STEP;

		for (unsigned i = 0; i < n; i++)
			make_sample(o, frames[i]);
		audio_voice_write(o->voice, frames[0], n);
		o->s.pace.done += n;
		due -= n;
	}
	for (unsigned t = 0; t < 2; t++) {
		uint64_t period = (256u - o->s.reg[R_TIMER1 + t]) * (t ? 320000ull : 80000ull);

		if (!o->s.timer_at[t] || now < o->s.timer_at[t])
			continue;
		o->s.timer_at[t] += ((now - o->s.timer_at[t]) / period + 1) * period;
		if (!(o->s.reg[R_TIMERS] & (t ? 0x20 : 0x40))) /* masked */
			o->s.status |= t ? 0x20 : 0x40;
	}
}

static void settle(struct opl3 *o)
{
	ns_t now = clock_now(o->dev.sv->clock);
	bool on = any_heard(o);

	if (on && !o->s.sounding)
		pace_start(&o->s.pace, now, OPL3_RATE);
	if (!on && o->s.sounding) {
		pace_stop(&o->s.pace);
		audio_voice_stop(o->voice);
	}
	o->s.sounding = on;
	if (on)
		vtimer_arm(&o->timer, now + PACE_TICK_NS);
	else
		vtimer_cancel(&o->timer);
}

static void on_timer(void *ctx)
{
	catch_up(ctx);
	settle(ctx);
}

/* ------------------------------------------------------------------ registers */

static void write_timers(struct opl3 *o, uint8_t val)
{
	ns_t now = clock_now(o->dev.sv->clock);

	if (val & TIMERS_RESET) {
		o->s.status = 0;
		return;
	}
	for (unsigned t = 0; t < 2; t++) {
		uint64_t period = (256u - o->s.reg[R_TIMER1 + t]) * (t ? 320000ull : 80000ull);

		if (!(val >> t & 1))
			o->s.timer_at[t] = 0;
		else if (!o->s.timer_at[t])
			o->s.timer_at[t] = now + period;
	}
	o->s.reg[R_TIMERS] = val;
}

static void write_rhythm(struct opl3 *o, uint8_t val)
{
	static const struct {
		uint8_t bit, op;
	} drums[] = {{DRUM_BASS, 12},  {DRUM_BASS, 13}, {DRUM_HAT, 14},
		     {DRUM_SNARE, 15}, {DRUM_TOM, 16},  {DRUM_CYMBAL, 17}};

	o->s.reg[R_RHYTHM] = val;
	for (unsigned i = 0; i < ARRAY_SIZE(drums); i++)
		key(o, drums[i].op, KEY_DRUM, (val & 0x20) && (val & drums[i].bit));
}

static void write_key(struct opl3 *o, unsigned ch, uint8_t val)
{
	int join = four(o, ch);

	if (join == 1) /* the first half keys all four */
		return;
	for (unsigned i = 0; i < (join == 0 ? 4u : 2u); i++)
		key(o, 2 * ch + i % 2 + i / 2 * 6, KEY_CHANNEL, val & 0x20);
}

static void write_reg(struct opl3 *o, unsigned r, uint8_t val)
{
	unsigned low = r & 0xff;

	if (r == R_TIMERS) {
		write_timers(o, val);
	} else if (r == R_RHYTHM) {
		write_rhythm(o, val);
	} else {
		o->s.reg[r] = val;
		if (low >= 0xb0 && low <= 0xb8)
			write_key(o, (r >> 8) * 9 + low - 0xb0, val);
	}
	settle(o);
}

void opl3_volume(struct opl3 *o, uint32_t left, uint32_t right)
{
	audio_voice_volume(o->voice, left, right);
}

uint8_t opl3_read(struct opl3 *o, unsigned off)
{
	catch_up(o);
	if (off & 3)
		return 0xff;
	return o->s.status | (o->s.status ? 0x80 : 0);
}

void opl3_write(struct opl3 *o, unsigned off, uint8_t val)
{
	catch_up(o);
	switch (off & 3) {
	case 0: o->s.index = val; break;
	/* an OPL2 has one bank, but for the switch itself */
	case 2: o->s.index = 0x100u | val; break;
	default:
		if ((o->s.index & 0x100) && !(o->s.reg[R_NEW] & 1) && o->s.index != R_NEW)
			break;
		write_reg(o, o->s.index, val);
	}
}

static uint64_t port_read(struct dev *d, uint64_t off, unsigned size)
{
	return opl3_read(to_opl3(d), (unsigned)off);
}

static void port_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	opl3_write(to_opl3(d), (unsigned)off, (uint8_t)val);
}

/* ------------------------------------------------------------------ device */

static int opl3_realize(struct dev *d, struct error *err)
{
	struct opl3 *o = to_opl3(d);

	vtimer_init(&o->timer, d->sv->clock, on_timer, o);
	o->voice = audio_voice_new(o->audio);
	audio_voice_rate(o->voice, OPL3_RATE);
	for (unsigned i = 0; i < 256; i++) {
		o->sine[i] = (uint16_t)lround(-log2(sin((i + 0.5) * M_PI / 512)) * 256);
		o->exp[i] = (uint16_t)lround((exp2(i / 256.0) - 1) * 1024);
	}
	return 0;
}

static void opl3_unrealize(struct dev *d)
{
	struct opl3 *o = to_opl3(d);

	if (o->timer.clock)
		vtimer_cancel(&o->timer);
	audio_voice_free(o->voice);
}

static void opl3_reset(struct dev *d, enum dev_reset kind)
{
	struct opl3 *o = to_opl3(d);

	vtimer_cancel(&o->timer);
	audio_voice_stop(o->voice);
	memset(&o->s, 0, sizeof(o->s));
	o->s.noise = 1;
	for (unsigned i = 0; i < OPL3_OPERATORS; i++) {
		o->s.op[i].level = SILENT;
		o->s.op[i].stage = RELEASE;
	}
}

static int opl3_loaded(struct dev *d, struct error *err)
{
	struct opl3 *o = to_opl3(d);
	ns_t now = clock_now(d->sv->clock);

	if (o->s.sounding != (o->s.pace.rate == OPL3_RATE) ||
	    (!o->s.sounding && (o->s.pace.rate || any_heard(o))))
		return error_set(err, -EINVAL, "plays at %u samples a second", o->s.pace.rate);
	pace_loaded(&o->s.pace, now);
	o->s.status &= 0x60; /* .max lets others through */
	for (unsigned t = 0; t < 2; t++)
		o->s.timer_at[t] = MIN(o->s.timer_at[t], now + NS_PER_SEC);
	if (o->s.sounding)
		vtimer_arm(&o->timer, now);
	return 0;
}

/* clang-format off */
static const struct state_field operator_fields[] = {
	STATE_VAL(struct opl3_operator, phase, .max = 0x7ffff),
	STATE_VAL(struct opl3_operator, level, .max = SILENT),
	STATE_VAL(struct opl3_operator, stage, .max = RELEASE),
	STATE_VAL(struct opl3_operator, key, .max = KEY_CHANNEL | KEY_DRUM),
	STATE_VAL(struct opl3_operator, out, .min = -4096, .max = 4096),
	STATE_VAL(struct opl3_operator, old, .min = -4096, .max = 4096),
	STATE_END};

static const struct state_field pace_fields[] = {PACE_FIELDS, STATE_END};

static const struct state_field opl3_fields[] = {
	STATE_STRUCT(struct opl3_regs, pace, pace_fields),
	STATE_ARRAY(struct opl3_regs, timer_at),
	STATE_VAL(struct opl3_regs, samples),
	STATE_VAL(struct opl3_regs, noise, .max = 0x7fffff),
	STATE_BYTES_OF(struct opl3_regs, reg),
	STATE_VAL(struct opl3_regs, index, .max = 0x1ff),
	STATE_VAL(struct opl3_regs, status, .max = 0x60),
	STATE_VAL(struct opl3_regs, sounding),
	STATE_PAD(struct opl3_regs, pad_),
	STATE_STRUCTS(struct opl3_regs, op, operator_fields),
	STATE_END};

static const struct state_desc opl3_state = STATE_DESC("opl3", 1, struct opl3_regs, opl3_fields);

static const struct dev_region opl3_regions[] = {
	{"opl3", DEV_PIO, 0x388, 4, WIDTH_124, WIDTH_1, port_read, port_write},
	{"opl3-sb", DEV_PIO, 0x220, 4, WIDTH_124, WIDTH_1, port_read, port_write},
	{0}};
/* clang-format on */

const struct dev_class opl3_class = {
	.name = "opl3",
	.summary = "Yamaha YMF262 FM synthesizer",
	.spec = "Yamaha YMF262 data sheet LSI-4MF2622",
	.size = sizeof(struct opl3),
	.regs_offset = offsetof(struct opl3, s),
	.regions = opl3_regions,
	.state = &opl3_state,
	.realize = opl3_realize,
	.unrealize = opl3_unrealize,
	.reset = opl3_reset,
	.loaded = opl3_loaded,
};
