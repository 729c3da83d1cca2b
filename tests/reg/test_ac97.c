/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the AC '97 controller. "ICH": Intel 82801AA data sheet 290655, chapter 13.
 * "AC97": Audio Codec '97, revision 2.3.
 */
#include "device/sound/ac97.h"
#include "ear.h"
#include "slot.h"

enum { NAM = 0xc000, NABM = 0xc400, PO = NABM + 0x10, LIST = 0x10000, BUF = 0x20000 };

struct box {
	struct harness *h;
	struct slot slot;
	struct ac97 *a;
	struct ear ear;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	slot_init(&b->slot, b->h);
	ear_open(&b->ear, b->h);
	b->a = (struct ac97 *)dev_new(&ac97_class, "sound", &b->h->sv);
	b->a->bus = &b->slot.bus;
	b->a->audio = b->ear.audio;
	harness_realize(b->h, &b->a->dev);
	slot_config(&b->slot, PCI_BAR0, 4, NAM);
	slot_config(&b->slot, PCI_BAR0 + 4, 4, NABM);
	slot_config(&b->slot, PCI_COMMAND, 2, 5);
	outl(b->h, NABM + 0x2c, 2);
	outw(b->h, NAM + 0x02, 0);      /* master: 0 dB */
	outw(b->h, NAM + 0x18, 0x0808); /* PCM out: 0 dB */
	return b;
}

static void box_free(struct box *b)
{
	ear_close(&b->ear, b->h);
	free(b);
}

static void put_buffer(struct box *b, unsigned n, uint32_t at, unsigned words, uint32_t flags)
{
	st_le32(ram(b->h, LIST + 8 * n), at);
	st_le32(ram(b->h, LIST + 8 * n + 4), words | flags);
}

/* clang-format off */
static void test_codec(void **state)
{
	static const struct reg_row rows[] = {
		{IN16, NAM + 0x7c, 0x8384}, {IN16, NAM + 0x02, 0, .cite = "as written by the set-up"},
		{OUT16, NAM + 0x02, 0xffff}, {IN16, NAM + 0x02, 0x9f1f, .cite = "AC97 5.7.2: mute, two times five bits"},
		{OUT16, NAM + 0x00, 0}, {IN16, NAM + 0x02, 0x8000, .cite = "AC97 5.7.1: a write resets; master is muted"},
		{IN16, NAM + 0x18, 0x8808, .cite = "AC97 table: PCM out volume"}, {IN16, NAM + 0x26, 0x000f, .cite = "AC97, register 26h: all sections ready"},
		{OUT16, NAM + 0x2c, 22050}, {IN16, NAM + 0x2c, 22050},
		{OUT16, NAM + 0x2a, 0}, {IN16, NAM + 0x2c, 48000, .cite = "AC97, register 2Ah: without VRA 48 kHz"},
		{OUT16, NAM + 0x7c, 0}, {IN16, NAM + 0x7c, 0x8384},
		{IN32, NABM + 0x30, 0x100, .mask = 0x100, .cite = "ICH 13.2.9: primary codec ready"},
		{IN8, NABM + 0x34, 0, .cite = "ICH 13.2.10: the first reader gets the codec"}, {IN8, NABM + 0x34, 1},
		{IN16, NAM + 0x02, 0x8000}, {IN8, NABM + 0x34, 0, .cite = "and an access ends it"},
		{OUT32, NABM + 0x2c, 0}, {IN32, NABM + 0x30, 0, .mask = 0x100},
	};
	/* clang-format on */
	struct box *b = box_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->a->dev);
	box_free(b);
}

/* Two buffers of 10 ms at 48 kHz: positions, interrupts, the end. */
static void test_run(void **state)
{
	struct box *b = box_new();

	put_buffer(b, 0, BUF, 960, 1u << 31);
	put_buffer(b, 1, BUF + 1920, 960, 1u << 31);
	outl(b->h, PO, LIST);
	outb(b->h, PO + 5, 1);
	assert_int_equal(inw(b->h, PO + 6), 1); /* ICH 13.2.5: halted */
	outb(b->h, PO + 11, 0x1d);
	assert_int_equal(inb(b->h, PO + 4), 0);
	assert_int_equal(inb(b->h, PO + 10), 1);
	assert_int_equal(inw(b->h, PO + 8), 960);
	ear_play(b->h, 5);
	assert_int_equal(inw(b->h, PO + 8), 480); /* exact: 240 frames of 20.8 us */
	assert_false(b->slot.irq);
	harness_check_state_roundtrip(&b->a->dev);
	ear_play(b->h, 5);
	assert_true(b->slot.irq);
	assert_int_equal(inw(b->h, PO + 6), 8); /* buffer completed */
	assert_int_equal(inl(b->h, NABM + 0x30) & 0x40, 0x40);
	outw(b->h, PO + 6, 8);
	assert_false(b->slot.irq);
	assert_int_equal(inb(b->h, PO + 4), 1);
	ear_play(b->h, 11);
	assert_true(b->slot.irq);
	assert_int_equal(inw(b->h, PO + 6),
			 0xf); /* last valid buffer, current equals last, halted */
	/* A new last buffer: goes on. */
	put_buffer(b, 2, BUF, 960, 0);
	outw(b->h, PO + 6, 0x1c);
	outb(b->h, PO + 5, 2);
	assert_int_equal(inw(b->h, PO + 6), 0);
	assert_int_equal(inb(b->h, PO + 4), 2);
	/* Pause and go on in the same place. */
	ear_play(b->h, 3);
	outb(b->h, PO + 11, 0);
	assert_int_equal(inw(b->h, PO + 8), 960 - 288);
	ear_play(b->h, 3);
	outb(b->h, PO + 11, 1);
	assert_int_equal(inw(b->h, PO + 8), 960 - 288);
	assert_int_equal(inb(b->h, PO + 4), 2);
	outb(b->h, PO + 11, 0);
	outb(b->h, PO + 11, 2);
	assert_int_equal(inw(b->h, PO + 8), 0); /* ICH 13.2.7: reset of registers */
	assert_int_equal(inl(b->h, PO), 0);
	box_free(b);
}

/* A tone at a variable rate arrives as that tone, as loud as it was. */
static void test_tone(void **state)
{
	struct box *b = box_new();

	outw(b->h, NAM + 0x2a, 1);
	outw(b->h, NAM + 0x2c, 32000);
	ear_tone(ram(b->h, BUF), 400, 32000, 16000);
	put_buffer(b, 0, BUF, 32000, 0);
	outl(b->h, PO, LIST);
	outb(b->h, PO + 11, 1);
	ear_play(b->h, 700);
	harness_free(b->h);
	ear_listen(&b->ear);
	assert_true(ear_hz(&b->ear, 0) > 398 && ear_hz(&b->ear, 0) < 402);
	assert_in_range(ear_peak(&b->ear, 1), 7000, 11000);
	ear_done(&b->ear);
	free(b);
}

/* Buffers of nothing, a list that is not in RAM: the machine goes on. */
static void test_odd(void **state)
{
	struct box *b = box_new();

	outl(b->h, PO, LIST);
	outb(b->h, PO + 5, 31);
	outb(b->h, PO + 11, 0x1d);
	ear_play(b->h, 50);
	outb(b->h, PO + 11, 0);
	outl(b->h, PO, 0xf0000000);
	outb(b->h, PO + 11, 0x1d);
	ear_play(b->h, 50);
	put_buffer(b, 0, 0xf0000000, 1000, 0);
	outb(b->h, PO + 11, 2);
	outl(b->h, PO, LIST);
	outb(b->h, PO + 11, 1);
	ear_play(b->h, 50);
	assert_true(b->a->dev.guest_errors > 0);
	harness_check_state_roundtrip(&b->a->dev);
	box_free(b);
}

/* PCM in and microphone, by their gain registers (AC97 5.7.7); muted after a reset. */
static void test_record(void **state)
{
	static const struct {
		unsigned box, reg;
		uint16_t gain;
		int left, right;
	} rows[] = {{0, 0x1c, 0x8000, 0, 0},
		    {0, 0x1c, 0x0004, EAR_LEFT, 2 * EAR_RIGHT}, /* 6 dB to the right */
		    {0x20, 0x1e, 0x8000, 0, 0},
		    {0x20, 0x1e, 0x0000, (EAR_LEFT + EAR_RIGHT) / 2, (EAR_LEFT + EAR_RIGHT) / 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box *b = box_new();
		const uint8_t *got = ram(b->h, BUF + 20000);

		assert_int_equal(inw(b->h, NAM + (uint16_t)rows[i].reg), 0x8000);
		outw(b->h, NAM + (uint16_t)rows[i].reg, rows[i].gain);
		put_buffer(b, 0, BUF, 20000, 0);
		outl(b->h, (uint16_t)(NABM + rows[i].box), LIST);
		outb(b->h, (uint16_t)(NABM + rows[i].box + 5), 0);
		outb(b->h, (uint16_t)(NABM + rows[i].box + 11), 1);
		ear_play(b->h, 300);
		assert_about((int16_t)ld_le16(got), rows[i].left);
		assert_about((int16_t)ld_le16(got + 2), rows[i].right);
		harness_check_state_roundtrip(&b->a->dev);
		box_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_codec), cmocka_unit_test(test_run),
					   cmocka_unit_test(test_tone), cmocka_unit_test(test_odd),
					   cmocka_unit_test(test_record)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
