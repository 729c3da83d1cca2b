/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the High Definition Audio controller and its codec. "HDA": High Definition
 * Audio Specification, revision 1.0a.
 */
#include "device/sound/hda.h"
#include "ear.h"
#include "slot.h"

enum { BASE = 0xe0000000, CORB = 0x10000, RIRB = 0x11000, LIST = 0x12000, BUF = 0x20000 };
enum { OUT0 = BASE + 0x80 + 0x20 * HDA_INPUTS, POS = 0x13000 };

struct box {
	struct harness *h;
	struct slot slot;
	struct hda *hda;
	struct ear ear;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	slot_init(&b->slot, b->h);
	ear_open(&b->ear, b->h);
	b->hda = (struct hda *)dev_new(&hda_class, "sound", &b->h->sv);
	b->hda->bus = &b->slot.bus;
	b->hda->audio = b->ear.audio;
	harness_realize(b->h, &b->hda->dev);
	slot_config(&b->slot, PCI_BAR0, 4, BASE);
	slot_config(&b->slot, PCI_COMMAND, 2, 6);
	writel(b->h, BASE + 0x08, 1);
	return b;
}

static void box_free(struct box *b)
{
	ear_close(&b->ear, b->h);
	free(b);
}

/* A verb through the immediate registers (HDA, 3.4.3). */
static uint32_t verb(struct box *b, unsigned node, unsigned v, unsigned payload)
{
	writel(b->h, BASE + 0x60, node << 20 | (v > 15 ? v << 8 | payload : v << 16 | payload));
	writew(b->h, BASE + 0x68, 3);
	assert_int_equal(readw(b->h, BASE + 0x68) & 3, 2);
	return readl(b->h, BASE + 0x64);
}

/* clang-format off */
static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{READ16, BASE, 0x4401, .cite = "HDA 3.3.2: 4 outputs, 4 inputs, 64-bit"}, {READ8, BASE + 3, 1, .cite = "HDA 3.3.4: version 1"},
		{READ16, BASE + 0x0e, 1, .cite = "HDA 3.3.9: codec 0 is there after reset"},
		{WRITE16, BASE + 0x0e, 1}, {READ16, BASE + 0x0e, 0},
		{READ8, BASE + 0x4e, 0x42, .cite = "HDA 3.3.24: 256 entries"}, {READ8, BASE + 0x5e, 0x42},
		{WRITE32, BASE + 0x40, 0xffffffff}, {READ32, BASE + 0x40, 0xffffff80, .cite = "HDA 3.3.18"},
		{WRITE16, BASE + 0x4a, 0x8000}, {READ16, BASE + 0x4a, 0x8000, .cite = "HDA 3.3.21: reads back until it is cleared"},
		{WRITE16, BASE + 0x4a, 0}, {READ16, BASE + 0x4a, 0},
		{WRITE32, OUT0 + 0x08, 4096}, {READ32, OUT0 + 0x08, 4096},
		{WRITE8, OUT0, 1}, {READ8, OUT0, 1, .cite = "HDA 3.3.35: SRST"}, {READ32, OUT0 + 0x08, 0},
		{WRITE8, OUT0, 0}, {READ8, OUT0, 0},
		{WRITE32, BASE + 0x08, 0}, {READ32, BASE + 0x08, 0}, {READ32, BASE + 0x40, 0},
		{WRITE32, BASE + 0x40, 0x1000}, {READ32, BASE + 0x40, 0, .cite = "HDA 3.3.7: in reset nothing else can be written"},
	};
	/* clang-format on */
	struct box *b = box_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->hda->dev);
	box_free(b);
}

static void test_codec(void **state)
{
	struct box *b = box_new();

	assert_int_equal(verb(b, 0, 0xf00, 0x04), 0x00010001); /* HDA 7.3.4.3 */
	assert_int_equal(verb(b, 1, 0xf00, 0x05), 1);          /* audio function group */
	assert_int_equal(verb(b, 1, 0xf00, 0x04), 0x00020004);
	assert_int_equal(verb(b, 2, 0xf00, 0x09) >> 20, 0); /* audio output */
	assert_int_equal(verb(b, 3, 0xf00, 0x09) >> 20, 4); /* pin */
	assert_int_equal(verb(b, 3, 0xf02, 0), 2);          /* from the DAC */
	assert_int_equal(verb(b, 4, 0xf00, 0x09) >> 20, 1); /* audio input */
	assert_int_equal(verb(b, 3, 0xf1c, 0), 0x01014110);
	verb(b, 2, 0x2, 0x4011);
	assert_int_equal(verb(b, 2, 0xa, 0), 0x4011);
	verb(b, 2, 0x706, 0x10);
	assert_int_equal(verb(b, 2, 0xf06, 0), 0x10);
	verb(b, 2, 0x3, 0xa000 | 0x20); /* left only */
	assert_int_equal(verb(b, 2, 0xb, 0xa000), 0x20);
	assert_int_equal(verb(b, 2, 0xb, 0x8000), 0x4a);
	verb(b, 2, 0x705, 3);
	assert_int_equal(verb(b, 2, 0xf05, 0), 0x33);
	assert_int_equal(verb(b, 9, 0xf00, 0), 0); /* no such node */
	harness_check_state_roundtrip(&b->hda->dev);
	box_free(b);
}

/* Commands through the rings (HDA 4.4). */
static void test_rings(void **state)
{
	struct box *b = box_new();

	for (unsigned i = 1; i <= 3; i++)
		st_le32(ram(b->h, CORB + 4 * i), 0x000f0000 | (i == 1 ? 0 : i == 2 ? 2 : 4));
	writel(b->h, BASE + 0x20, 0xc0000000);
	writel(b->h, BASE + 0x40, CORB);
	writel(b->h, BASE + 0x50, RIRB);
	writew(b->h, BASE + 0x58, 0x8000);
	writew(b->h, BASE + 0x5a, 3);
	writeb(b->h, BASE + 0x5c, 3);
	writew(b->h, BASE + 0x48, 2);
	assert_int_equal(readw(b->h, BASE + 0x58), 0); /* not running yet */
	writeb(b->h, BASE + 0x4c, 2);
	assert_int_equal(readw(b->h, BASE + 0x4a), 2);
	assert_int_equal(readw(b->h, BASE + 0x58), 2);
	assert_int_equal(ld_le32(ram(b->h, RIRB + 8)), 0x1af40022);
	assert_int_equal(ld_le32(ram(b->h, RIRB + 16)), 0x00100101);
	assert_true(b->slot.irq); /* HDA 3.3.28: or when the CORB is empty */
	assert_int_equal(readl(b->h, BASE + 0x24), 0xc0000000);
	writeb(b->h, BASE + 0x5d, 1);
	assert_false(b->slot.irq);
	writew(b->h, BASE + 0x48, 3);
	assert_int_equal(ld_le32(ram(b->h, RIRB + 24)), 0x00010001);
	harness_check_state_roundtrip(&b->hda->dev);
	/* a ring that is not in RAM */
	writel(b->h, BASE + 0x40, 0xf0000000);
	writew(b->h, BASE + 0x48, 9);
	assert_int_equal(readb(b->h, BASE + 0x4d), 1);
	assert_int_equal(readb(b->h, BASE + 0x4c) & 2, 0);
	box_free(b);
}

static void put_buffer(struct box *b, unsigned n, uint64_t at, uint32_t len, uint32_t flags)
{
	st_le64(ram(b->h, LIST + 16 * n), at);
	st_le32(ram(b->h, LIST + 16 * n + 8), len);
	st_le32(ram(b->h, LIST + 16 * n + 12), flags);
}

static void start(struct box *b, unsigned buffers, uint32_t bytes, unsigned fmt)
{
	writel(b->h, OUT0 + 0x08, bytes);
	writew(b->h, OUT0 + 0x0c, (uint16_t)(buffers - 1));
	writew(b->h, OUT0 + 0x12, (uint16_t)fmt);
	writel(b->h, OUT0 + 0x18, LIST);
	writel(b->h, BASE + 0x20, 0x80000000 | 1 << HDA_INPUTS);
	writel(b->h, OUT0, 0x00100006);
}

static void test_stream(void **state)
{
	struct box *b = box_new();

	put_buffer(b, 0, BUF, 1920, 1); /* 10 ms each */
	put_buffer(b, 1, BUF + 1920, 1920, 0);
	writel(b->h, BASE + 0x70, POS | 1);
	start(b, 2, 3840, 0x0011);
	ear_play(b->h, 5);
	assert_int_equal(readl(b->h, OUT0 + 4), 960);
	assert_false(b->slot.irq);
	harness_check_state_roundtrip(&b->hda->dev);
	ear_play(b->h, 6);
	assert_true(b->slot.irq);
	assert_int_equal(readl(b->h, BASE + 0x24), 0x80000000u | 1 << HDA_INPUTS);
	assert_int_equal(ld_le32(ram(b->h, POS + 8 * HDA_INPUTS)), readl(b->h, OUT0 + 4));
	writeb(b->h, OUT0 + 3, 4);
	assert_false(b->slot.irq);
	ear_play(b->h, 14);
	assert_int_equal(readl(b->h, OUT0 + 4),
			 (25 * 192) % 3840); /* HDA 3.3.37: round and round */
	writeb(b->h, OUT0, 0);
	ear_play(b->h, 10);
	assert_int_equal(readl(b->h, OUT0 + 4), 960);
	/* MSI instead of the line */
	slot_config(&b->slot, b->hda->f.msi_cap + 4, 4, 0xfee00000);
	slot_config(&b->slot, b->hda->f.msi_cap + 2, 2, 1);
	writeb(b->h, OUT0 + 3, 4);
	harness_clear(b->h);
	writeb(b->h, OUT0, 6);
	ear_play(b->h, 30);
	assert_true(b->h->n_msis > 0);
	assert_false(b->slot.irq);
	box_free(b);
}

static void test_tone(void **state)
{
	struct box *b = box_new();

	verb(b, 2, 0x706, 0x10);
	ear_tone(ram(b->h, BUF), 441, 44100, 22050);
	put_buffer(b, 0, BUF, 88200, 0);
	start(b, 1, 88200, 0x4011);
	ear_play(b->h, 480);
	writeb(b->h, OUT0, 0);
	ear_play(b->h, 100);
	harness_free(b->h);
	ear_listen(&b->ear);
	assert_true(ear_hz(&b->ear, 0) > 439 && ear_hz(&b->ear, 0) < 443);
	assert_in_range(ear_peak(&b->ear, 1), 7000, 11000);
	ear_done(&b->ear);
	free(b);
}

/* A stream the DAC does not listen to is not heard; a muted one neither. */
static void test_silence(void **state)
{
	for (unsigned muted = 0; muted < 2; muted++) {
		struct box *b = box_new();

		verb(b, 2, 0x706, muted ? 0x10 : 0x20);
		if (muted)
			verb(b, 2, 0x3, 0xb080);
		ear_tone(ram(b->h, BUF), 441, 44100, 22050);
		put_buffer(b, 0, BUF, 88200, 0);
		start(b, 1, 88200, 0x4011);
		ear_play(b->h, 200);
		harness_free(b->h);
		ear_listen(&b->ear);
		assert_int_equal(ear_peak(&b->ear, 0), 0);
		ear_done(&b->ear);
		free(b);
	}
}

/* The stream that the ADC feeds; muted, and another stream: silence. */
static void test_record(void **state)
{
	static const struct {
		uint32_t stream, amp;
		uint16_t fmt;
		int shift;
		bool heard;
	} rows[] = {{2, 0x707f, 0x4011, 0, true},
		    {2, 0x7080, 0x4011, 0, false},
		    {3, 0x707f, 0x4011, 0, false},
		    {2, 0x7044, 0x0011, 1, true},  /* 6 dB down */
		    {2, 0x707f, 0x0031, 0, true}}; /* 24 bits in 32 */
	enum { IN0 = BASE + 0x80, AT = 30000 };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box *b = box_new();
		unsigned bytes = rows[i].fmt & 0x20 ? 4 : 2;
		const uint8_t *got = (uint8_t *)ram(b->h, BUF) + AT / 8 * 8 + bytes - 2;
		int16_t left, right;

		verb(b, 4, 0x706, 0x20);
		verb(b, 4, 0x3, rows[i].amp);
		memset(ram(b->h, BUF), 0x55, 65536);
		put_buffer(b, 0, BUF, 65536, 1);
		writel(b->h, IN0 + 0x08, 65536);
		writew(b->h, IN0 + 0x12, rows[i].fmt);
		writel(b->h, IN0 + 0x18, LIST);
		writel(b->h, IN0, rows[i].stream << 20 | 2);
		ear_play(b->h, 300);
		left = (int16_t)ld_le16(got);
		right = (int16_t)ld_le16(got + bytes);
		assert_about(left, rows[i].heard ? EAR_LEFT >> rows[i].shift : 0);
		assert_about(right, rows[i].heard ? EAR_RIGHT >> rows[i].shift : 0);
		harness_check_state_roundtrip(&b->hda->dev);
		box_free(b);
	}
}

static void test_odd(void **state)
{
	struct box *b = box_new();

	start(b, 256, 0, 0x7fff); /* buffers of nothing, sixteen channels */
	ear_play(b->h, 20);
	put_buffer(b, 0, 0xffffffffffffff00, 0xffffffff, 1);
	writeb(b->h, OUT0, 0);
	start(b, 1, 7, 0x11);
	ear_play(b->h, 20);
	assert_true(b->hda->dev.guest_errors > 0);
	harness_check_state_roundtrip(&b->hda->dev);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_codec),
		cmocka_unit_test(test_rings),     cmocka_unit_test(test_stream),
		cmocka_unit_test(test_tone),      cmocka_unit_test(test_silence),
		cmocka_unit_test(test_record),    cmocka_unit_test(test_odd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
