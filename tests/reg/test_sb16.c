/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the Sound Blaster 16. "HPG": Creative, Sound Blaster Series Hardware
 * Programming Guide, 1996.
 */
#include "device/misc/i8237.h"
#include "device/sound/sb16.h"
#include "ear.h"

enum { IRQ9, IRQ5, IRQ7, IRQ10, BUF = 0x20000 };

struct box {
	struct harness *h;
	struct i8237 *dma;
	struct sb16 *sb;
	struct ear ear;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	ear_open(&b->ear, b->h);
	b->dma = (struct i8237 *)dev_new(&i8237_class, "dma", &b->h->sv);
	harness_realize(b->h, &b->dma->dev);
	b->sb = (struct sb16 *)dev_new(&sb16_class, "sound", &b->h->sv);
	b->sb->dma = b->dma;
	b->sb->audio = b->ear.audio;
	for (unsigned i = 0; i < SB16_IRQS; i++)
		harness_irq(b->h, &b->sb->irq[i], i);
	harness_realize(b->h, &b->sb->dev);
	return b;
}

static void box_free(struct box *b)
{
	ear_close(&b->ear, b->h);
	free(b);
}

static void dsp(struct box *b, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		outb(b->h, 0x22c, bytes[i]);
}
#define DSP(b, ...) dsp(b, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Channel 1 or 5: @bytes from BUF, again and again if @automatic. */
static void program_dma(struct box *b, bool wide, unsigned bytes, bool automatic)
{
	uint8_t mode = automatic ? 0x59 : 0x49;
	unsigned count = (wide ? bytes / 2 : bytes) - 1;

	outb(b->h, 0xd6, 0xc0);
	outb(b->h, 0xd4, 0x00);
	if (wide) {
		outb(b->h, 0xd6, mode);
		outb(b->h, 0xd8, 0);
		outb(b->h, 0xc4, BUF >> 1 & 0xff);
		outb(b->h, 0xc4, BUF >> 9 & 0xff);
		outb(b->h, 0x8b, BUF >> 16);
		outb(b->h, 0xc6, (uint8_t)count);
		outb(b->h, 0xc6, (uint8_t)(count >> 8));
		outb(b->h, 0xd4, 1);
	} else {
		outb(b->h, 0x0b, mode);
		outb(b->h, 0x0c, 0);
		outb(b->h, 0x02, BUF & 0xff);
		outb(b->h, 0x02, BUF >> 8 & 0xff);
		outb(b->h, 0x83, BUF >> 16);
		outb(b->h, 0x03, (uint8_t)count);
		outb(b->h, 0x03, (uint8_t)(count >> 8));
		outb(b->h, 0x0a, 1);
	}
}

/* clang-format off */
static void test_dsp(void **state)
{
	static const struct reg_row rows[] = {
		{OUT8, 0x226, 1}, {OUT8, 0x226, 0}, {IN8, 0x22e, 0x80, .mask = 0x80, .cite = "HPG 2: data available after a reset"},
		{IN8, 0x22a, 0xaa, .cite = "HPG 2: AAh"}, {IN8, 0x22e, 0, .mask = 0x80},
		{IN8, 0x22c, 0, .mask = 0x80, .cite = "HPG 2: may be written"},
		{OUT8, 0x22c, 0xe1}, {IN8, 0x22a, 4, .cite = "HPG 6, E1h: version 4.xx"}, {IN8, 0x22a, 5},
		{OUT8, 0x22c, 0xe0}, {OUT8, 0x22c, 0x5a}, {IN8, 0x22a, 0xa5},
		{OUT8, 0x22c, 0xd8}, {IN8, 0x22a, 0}, {OUT8, 0x22c, 0xd1}, {OUT8, 0x22c, 0xd8}, {IN8, 0x22a, 0xff, .cite = "HPG 6, D8h"},
		{OUT8, 0x22c, 0xf2}, {LEVEL, IRQ5, 1, .cite = "F2h: 8-bit interrupt"},
		{OUT8, 0x224, 0x82}, {IN8, 0x225, 1, .mask = 7, .cite = "HPG 4, register 82h"}, {IN8, 0x22e, 0, .mask = 0}, {LEVEL, IRQ5, 0},
		{OUT8, 0x22c, 0xf3}, {IN8, 0x225, 2, .mask = 7}, {IN8, 0x22f, 0xff}, {IN8, 0x225, 0, .mask = 7},
		{OUT8, 0x224, 0x80}, {OUT8, 0x225, 0x04}, {OUT8, 0x22c, 0xf2}, {LEVEL, IRQ7, 1, .cite = "HPG 4, register 80h"}, {LEVEL, IRQ5, 0},
		{OUT8, 0x224, 0x22}, {OUT8, 0x225, 0xf3}, {OUT8, 0x224, 0x30}, {IN8, 0x225, 0xf8, .cite = "HPG 4, register 22h: Sound Blaster Pro's"},
		{OUT8, 0x224, 0x31}, {IN8, 0x225, 0x30},
		{OUT8, 0x224, 0x00}, {OUT8, 0x225, 0x00}, {OUT8, 0x224, 0x30}, {IN8, 0x225, 0xc0, .cite = "HPG table 4-3"},
		{OUT8, 0x224, 0x80}, {IN8, 0x225, 0xf4, .cite = "a mixer reset leaves it"},
	};
	/* clang-format on */
	struct box *b = box_new();

	/* the acknowledging read has any value in its low bits */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].op == IN8 && rows[i].at == 0x22e && !rows[i].mask)
			(void)inb(b->h, 0x22e);
		else
			harness_run(b->h, &rows[i], 1);
	harness_check_state_roundtrip(&b->sb->dev);
	box_free(b);
}

/* 8-bit mono with auto-initialized DMA, the old way: two halves of a buffer. */
static void test_old(void **state)
{
	struct box *b = box_new();

	memset(ram(b->h, BUF), 0x80, 2000);
	program_dma(b, false, 2000, true);
	DSP(b, 0x40, 156);        /* 1000000 / (256 - 156) = 10 kHz */
	DSP(b, 0x48, 0xe7, 0x03); /* blocks of 1000: 100 ms */
	DSP(b, 0x1c);
	ear_play(b->h, 99);
	assert_false(b->h->pins[IRQ5].level);
	ear_play(b->h, 2);
	assert_true(b->h->pins[IRQ5].level);
	(void)inb(b->h, 0x22e);
	assert_false(b->h->pins[IRQ5].level);
	harness_check_state_roundtrip(&b->sb->dev);
	ear_play(b->h, 100);
	assert_int_equal(b->h->pins[IRQ5].rises, 2);
	(void)inb(b->h, 0x22e);
	DSP(b, 0xd0); /* pause */
	ear_play(b->h, 500);
	assert_int_equal(b->h->pins[IRQ5].rises, 2);
	DSP(b, 0xd4);
	DSP(b, 0xda); /* the last one */
	ear_play(b->h, 500);
	assert_int_equal(b->h->pins[IRQ5].rises, 3);
	assert_false(b->sb->s.playing);
	box_free(b);
}

static void test_tone(void **state)
{
	struct box *b = box_new();

	for (unsigned i = 0x30; i < 0x34; i++) { /* master and voice: 0 dB */
		outb(b->h, 0x224, (uint8_t)i);
		outb(b->h, 0x225, 0xf8);
	}
	ear_tone(ram(b->h, BUF), 500, 22050, 11025);
	program_dma(b, true, 44100, false);
	DSP(b, 0x41, 0x56, 0x22);       /* 22050 Hz */
	DSP(b, 0xb0, 0x30, 0x21, 0x56); /* 16 bits, signed stereo, 22050 words */
	ear_play(b->h, 600);
	assert_int_equal(b->h->pins[IRQ5].rises, 1);
	outb(b->h, 0x224, 0x82);
	assert_int_equal(inb(b->h, 0x225) & 7, 2);
	harness_free(b->h);
	ear_listen(&b->ear);
	assert_true(ear_hz(&b->ear, 0) > 497 && ear_hz(&b->ear, 0) < 503);
	assert_in_range(ear_peak(&b->ear, 1), 7000, 11000);
	ear_done(&b->ear);
	free(b);
}

/* A masked channel holds the transfer; a block of silence needs none. */
static void test_held(void **state)
{
	struct box *b = box_new();

	DSP(b, 0x41, 0x2b, 0x11, 0xc0, 0x00, 0xe7, 0x03);
	ear_play(b->h, 500);
	assert_int_equal(b->h->pins[IRQ5].rises, 0);
	program_dma(b, false, 1000, false);
	ear_play(b->h, 150);
	assert_int_equal(b->h->pins[IRQ5].rises, 1);
	(void)inb(b->h, 0x22e);
	DSP(b, 0x80, 0xe7, 0x03);
	ear_play(b->h, 150);
	assert_int_equal(b->h->pins[IRQ5].rises, 2);
	box_free(b);
}

/* A driver masks the channel while it reads the count: that takes no time from what is played. */
static void test_looked_at(void **state)
{
	struct box *b = box_new();

	program_dma(b, false, 2000, true);
	DSP(b, 0x41, 0x2b, 0x11, 0xc4, 0x00, 0xe7, 0x03); /* 11,025 a second, blocks of 1,000 */
	for (unsigned i = 0; i < 40000; i++) {
		outb(b->h, 0x0a, 5);
		harness_step(b->h, 20000);
		(void)inb(b->h, 0x03);
		outb(b->h, 0x0a, 1);
		harness_step(b->h, 5000);
		if (b->h->pins[IRQ5].level)
			(void)inb(b->h, 0x22e);
	}
	assert_int_equal(b->h->pins[IRQ5].rises, 11);
	box_free(b);
}

/* HPG, 6, 75h: 4-bit ADPCM with a reference: up by full steps, which grow, and down again. */
static void test_adpcm(void **state)
{
	static const struct {
		uint8_t cmd, bytes[4];
		unsigned n, samples;
		uint8_t last;
	} rows[] = {
		{0x75, {0x80, 0x12, 0x9a}, 3, 4, 0x80}, /* +1 +2 -1 -2 */
		{0x75, {0x80, 0x77, 0x77}, 3, 4, 0x80 + 7 + 15 + 30 + 60},
		{0x75, {0xf0, 0x77, 0x77}, 3, 4, 0xff},       /* clipped */
		{0x77, {0x80, 0x6e}, 2, 3, 0x80 + 3 + 7 - 2}, /* +3 of 1, +3 of 2, then -0 of 4 */
		{0x17, {0x80, 0x55}, 2, 4, 0x80 + 1 + 3 + 6 + 12},
		{0x74, {0x12}, 1, 2, 3}, /* no reference: from where it was, after a reset 0 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box *b = box_new();

		memcpy(ram(b->h, BUF), rows[i].bytes, rows[i].n);
		program_dma(b, false, rows[i].n, false);
		DSP(b, 0x40, 156);
		DSP(b, rows[i].cmd, (uint8_t)(rows[i].n - 1), 0);
		ear_play(b->h, 20);
		assert_true(b->h->pins[IRQ5].level);
		if (b->sb->s.adpcm_sample != rows[i].last)
			fail_msg("row %u: %u, not %u", i, b->sb->s.adpcm_sample, rows[i].last);
		harness_check_state_roundtrip(&b->sb->dev);
		box_free(b);
	}
}

/* All kinds of samples, byte and word channels; inputs that are switched off. */
static void test_record(void **state)
{
	static const struct {
		uint8_t cmd, mode, inputs;
		enum audio_sample kind;
		int left, right;
	} rows[] = {
		{0xb8, 0x30, 0x1f, AUDIO_S16, EAR_LEFT, EAR_RIGHT},
		{0xb8, 0x20, 0x1f, AUDIO_U16, EAR_LEFT, EAR_RIGHT},
		{0xc8, 0x20, 0x01, AUDIO_U8, EAR_LEFT, EAR_RIGHT},
		{0xc8, 0x30, 0x08, AUDIO_S8, EAR_LEFT, EAR_RIGHT},
		{0xb8, 0x10, 0x1f, AUDIO_S16, (EAR_LEFT + EAR_RIGHT) / 2,
		 (EAR_LEFT + EAR_RIGHT) / 2},
		{0xb8, 0x30, 0x00, AUDIO_S16, 0, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box *b = box_new();
		bool wide = rows[i].cmd == 0xb8;
		unsigned channels = rows[i].mode & 0x20 ? 2 : 1;
		int16_t got[2];

		outb(b->h, 0x224, 0x3d);
		outb(b->h, 0x225, rows[i].inputs);
		outb(b->h, 0x224, 0x3e);
		outb(b->h, 0x225, rows[i].inputs);
		program_dma(b, wide, 20000, true);
		outb(b->h, wide ? 0xd6 : 0x0b, 0x55);
		DSP(b, 0x42, 0x56, 0x22, rows[i].cmd, rows[i].mode, 0xff, 0x0f);
		ear_play(b->h, 350);
		audio_to_frames(rows[i].kind, channels, ram(b->h, BUF + 3200), 1, got);
		assert_about(got[0], rows[i].left);
		assert_about(got[1], rows[i].right);
		assert_true(b->h->pins[IRQ5].level);
		harness_check_state_roundtrip(&b->sb->dev);
		/* one sample at a time */
		DSP(b, 0xd5, 0x20);
		audio_to_frames(AUDIO_U8, 1, (uint8_t[]){inb(b->h, 0x22a)}, 1, got);
		assert_in_range(got[0] - (rows[i].inputs ? (EAR_LEFT + EAR_RIGHT) / 2 : 0) + 600, 0,
				1200);
		box_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adpcm),    cmocka_unit_test(test_dsp),
		cmocka_unit_test(test_old),      cmocka_unit_test(test_tone),
		cmocka_unit_test(test_held),     cmocka_unit_test(test_record),
		cmocka_unit_test(test_looked_at)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
