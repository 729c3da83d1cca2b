/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the FM synthesizer and of the MIDI port beside it. "YMF262": Yamaha's data
 * sheet LSI-4MF2622. "HPG": Creative, Sound Blaster Series Hardware Programming Guide, 1996.
 */
#include <math.h>

#include "device/sound/mpu401.h"
#include "device/sound/opl3.h"
#include "ear.h"

struct box {
	struct harness *h;
	struct opl3 *o;
	struct ear ear;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	ear_open(&b->ear, b->h);
	b->o = (struct opl3 *)dev_new(&opl3_class, "fm", &b->h->sv);
	b->o->audio = b->ear.audio;
	harness_realize(b->h, &b->o->dev);
	return b;
}

static void listen(struct box *b)
{
	harness_free(b->h);
	ear_listen(&b->ear);
}

static void box_free(struct box *b)
{
	ear_done(&b->ear);
	free(b);
}

static void set(struct box *b, unsigned reg, uint8_t val)
{
	outb(b->h, reg & 0x100 ? 0x38a : 0x388, (uint8_t)reg);
	outb(b->h, reg & 0x100 ? 0x38b : 0x389, val);
}

static void play(struct box *b, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++)
		harness_step(b->h, NS_PER_MS);
}

/* An operator at @off that is there at once, holds, and goes within some ms. */
static void operator(struct box *b, unsigned off, uint8_t flags, uint8_t level, uint8_t wave)
{
	set(b, 0x20 + off, 0x20 | flags);
	set(b, 0x40 + off, level);
	set(b, 0x60 + off, 0xf0);
	set(b, 0x80 + off, 0x0c);
	set(b, 0xe0 + off, wave);
}

enum { A440 = 580 }; /* F number of block 4: 439.99 Hz */

static void note(struct box *b, unsigned ch, bool on)
{
	set(b, 0xa0 + ch, A440 & 0xff);
	set(b, 0xb0 + ch, (uint8_t)((on ? 0x20 : 0) | 4 << 2 | A440 >> 8));
}

/* HPG, 3: how a program finds the chip, and which. */
static void test_timers(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{OUT8, 0x388, 4}, {OUT8, 0x389, 0x60}, {OUT8, 0x389, 0x80}, {IN8, 0x388, 0, .cite = "YMF262: status after RST; low bits 0: no OPL2"},
		{OUT8, 0x388, 2}, {OUT8, 0x389, 0xff}, {OUT8, 0x388, 4}, {OUT8, 0x389, 0x21},
		{STEP, .val = 79000}, {IN8, 0x388, 0}, {STEP, .val = 2000}, {IN8, 0x388, 0xc0, .cite = "YMF262: timer 1, 80 us a step"},
		{IN8, 0x220, 0xc0, .cite = "HPG: also at the base"},
		{OUT8, 0x389, 0x80}, {IN8, 0x388, 0}, {STEP, .val = 80000}, {IN8, 0x388, 0xc0, .cite = "goes on from the start value"},
		{OUT8, 0x389, 0x60}, {OUT8, 0x389, 0x80}, {STEP, .val = 400000}, {IN8, 0x388, 0, .cite = "stopped"},
		{OUT8, 0x388, 3}, {OUT8, 0x389, 0xfe}, {OUT8, 0x388, 4}, {OUT8, 0x389, 0x42},
		{STEP, .val = 639000}, {IN8, 0x388, 0}, {STEP, .val = 2000}, {IN8, 0x388, 0xa0, .cite = "timer 2, 320 us a step"},
		{OUT8, 0x389, 0x80}, {OUT8, 0x389, 0x62}, {STEP, .val = 700000}, {IN8, 0x388, 0, .cite = "masked: no flag"},
		{IN8, 0x389, 0xff},
	};
	/* clang-format on */
	struct box *b = box_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->o->dev);
	listen(b);
	box_free(b);
}

/* A sine of 440 Hz on both sides, which ends when the key is let go. */
static void test_tone(void **state)
{
	struct box *b = box_new();

	operator(b, 0x00, 1, 0x3f, 0);
	operator(b, 0x03, 1, 0x00, 0);
	set(b, 0xc0, 0x01); /* side by side: the first is too soft to matter */
	note(b, 0, true);
	play(b, 250);
	harness_check_state_roundtrip(&b->o->dev);
	play(b, 250);
	note(b, 0, false);
	play(b, 200);
	assert_false(b->o->s.sounding);
	harness_check_state_roundtrip(&b->o->dev);
	listen(b);
	assert_true(fabs(ear_hz(&b->ear, 0) - 440) < 1);
	assert_true(fabs(ear_hz(&b->ear, 1) - 440) < 1);
	assert_true(abs(ear_peak(&b->ear, 0) - 4084) < 100); /* full scale of an operator */
	box_free(b);
}

/* Multiples, sides (YMF262, C0h), and the second bank only once it was asked for. */
static void test_sides(void **state)
{
	struct box *b = box_new();

	operator(b, 0x103, 2, 0, 0);
	set(b, 0x1b0, 0x32);
	play(b, 50);
	assert_false(b->o->s.sounding);
	set(b, 0x105, 1);
	operator(b, 0x103, 2, 0, 0);
	operator(b, 0x100, 1, 0x3f, 0);
	set(b, 0x1c0, 0x21); /* right */
	note(b, 0x100, true);
	play(b, 400);
	note(b, 0x100, false);
	play(b, 200);
	listen(b);
	assert_int_equal(ear_peak(&b->ear, 0), 0);
	assert_true(fabs(ear_hz(&b->ear, 1) - 880) < 2);
	box_free(b);
}

/* Waveforms (YMF262, E0h): mean and root of mean square over the time it sounds, of full scale. */
static void test_waveforms(void **state)
{
	static const struct {
		double mean, rms;
	} want[8] = {{0, 0.707}, {0.318, 0.5}, {0.637, 0.707}, {0.318, 0.5},
		     {0, 0.5},   {0.318, 0.5}, {0, 1},         {0, -1}};

	for (unsigned w = 0; w < 8; w++) {
		struct box *b = box_new();
		double sum = 0, square = 0;
		size_t n = 0;

		set(b, 0x105, 1);
		operator(b, 0x00, 1, 0x3f, 0);
		operator(b, 0x03, 1, 0x00, (uint8_t)w);
		set(b, 0xc0, 0x31);
		note(b, 0, true);
		play(b, 500);
		listen(b);
		for (size_t i = AUDIO_RATE / 10; i < AUDIO_RATE / 10 * 4; i++, n++) {
			double v = b->ear.frames[2 * i] / 4084.0;

			sum += v;
			square += v * v;
		}
		if (fabs(sum / (double)n - want[w].mean) > 0.02)
			fail_msg("waveform %u: mean %f", w, sum / (double)n);
		/* the last is exponential: its value is not a round one */
		if (want[w].rms > 0 && fabs(sqrt(square / (double)n) - want[w].rms) > 0.03)
			fail_msg("waveform %u: rms %f", w, sqrt(square / (double)n));
		box_free(b);
	}
}

/* Total level and key scaling in dB (YMF262, 40h). */
static void test_levels(void **state)
{
	static const struct {
		uint8_t level;
		double db;
	} rows[] = {{0x00, 0}, {0x08, -6}, {0x10, -12}};
	double full = 4084;

	for (unsigned i = 0; i < 3; i++) {
		struct box *b = box_new();

		operator(b, 0x00, 1, 0x3f, 0);
		operator(b, 0x03, 1, rows[i].level, 0);
		set(b, 0xc0, 0x01);
		note(b, 0, true);
		play(b, 300);
		listen(b);
		assert_true(fabs(20 * log10(ear_peak(&b->ear, 0) / full) - rows[i].db) < 0.3);
		box_free(b);
	}
}

/* Four operators of which only the last is loud enough: heard with the first's frequency, keyed by
 * the first half (YMF262, 104h). */
static void test_four(void **state)
{
	struct box *b = box_new();

	set(b, 0x105, 1);
	set(b, 0x104, 1);
	operator(b, 0x00, 1, 0x3f, 0);
	operator(b, 0x03, 1, 0x3f, 0);
	operator(b, 0x08, 1, 0x3f, 0);
	operator(b, 0x0b, 1, 0x00, 0);
	set(b, 0xc0, 0x30);
	set(b, 0xc3, 0x30);
	set(b, 0xb3, 0x20); /* the second half's key and pitch mean nothing */
	play(b, 20);
	assert_false(b->o->s.sounding);
	note(b, 0, true);
	play(b, 400);
	harness_check_state_roundtrip(&b->o->dev);
	listen(b);
	assert_true(fabs(ear_hz(&b->ear, 0) - 440) < 2);
	box_free(b);
}

/* Drums by BDh; a decay that comes to an end by itself. */
static void test_rhythm(void **state)
{
	struct box *b = box_new();

	for (unsigned i = 0; i < 6; i++) {
		static const uint8_t off[6] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15};

		operator(b, off[i], 1, 0, 0);
		set(b, 0x20 + off[i], 0x01);
		set(b, 0x60 + off[i], 0xf8);
		set(b, 0x80 + off[i], 0xf8);
	}
	for (unsigned ch = 6; ch < 9; ch++)
		note(b, ch, false);
	set(b, 0xbd, 0x20);
	play(b, 50);
	assert_false(b->o->s.sounding);
	for (unsigned drum = 1; drum <= 16; drum <<= 1) {
		set(b, 0xbd, (uint8_t)(0x20 | drum));
		play(b, 20);
		assert_true(b->o->s.sounding);
		harness_check_state_roundtrip(&b->o->dev);
		set(b, 0xbd, 0x20);
		play(b, 400);
		assert_false(b->o->s.sounding);
	}
	listen(b);
	assert_true(ear_peak(&b->ear, 0) > 2000);
	box_free(b);
}

static void on_midi(void *ctx, bool level)
{
	*(bool *)ctx = level;
}

static void test_mpu401(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{IN8, 0x331, 0xbf, .cite = "MPU-401: nothing to read, may be written"}, {IN8, 0x330, 0xff},
		{OUT8, 0x331, 0xff}, {IN8, 0x331, 0x3f}, {IN8, 0x330, 0xfe, .cite = "HPG, 5: reset is acknowledged"}, {IN8, 0x331, 0xbf},
		{OUT8, 0x331, 0x3f}, {IN8, 0x330, 0xfe, .cite = "UART mode"}, {OUT8, 0x330, 0x90},
		{OUT8, 0x331, 0x3f}, {IN8, 0x331, 0xbf, .cite = "commands mean nothing there"},
		{OUT8, 0x331, 0xff}, {IN8, 0x331, 0xbf, .cite = "HPG, 5: leaving it is not acknowledged"},
		{OUT8, 0x331, 0xff}, {IN8, 0x330, 0xfe},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct mpu401 *m = (struct mpu401 *)dev_new(&mpu401_class, "midi", &h->sv);
	bool irq = false;

	m->irq = on_midi;
	m->irq_ctx = &irq;
	harness_realize(h, &m->dev);
	harness_run(h, rows, ARRAY_SIZE(rows));
	outb(h, 0x331, 0xff);
	assert_true(irq);
	harness_check_state_roundtrip(&m->dev);
	assert_int_equal(inb(h, 0x330), 0xfe);
	assert_false(irq);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers), cmocka_unit_test(test_tone),
		cmocka_unit_test(test_sides),  cmocka_unit_test(test_waveforms),
		cmocka_unit_test(test_levels), cmocka_unit_test(test_four),
		cmocka_unit_test(test_rhythm), cmocka_unit_test(test_mpu401),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
