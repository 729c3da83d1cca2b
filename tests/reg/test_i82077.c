/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the diskette controller (i82077_class) with a 1.44M diskette in memory in drive
 * A:, a 360K one in B:, and the AT's DMA controller. "DS": Intel 82077AA data sheet 290166-007.
 */
#include <stdlib.h>
#include <string.h>

#include "device/misc/i8237.h"
#include "device/storage/i82077.h"
#include "fake_block.h"
#include "harness.h"

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, DIR = 0x3f7, CCR = 0x3f7, BUFFER = 0x20000 };

struct rig {
	struct harness *h;
	struct i8237 *dma;
	struct i82077 *fdc;
	struct block *b[2];
};

static struct rig *rig_new(void)
{
	static const uint64_t sizes[2] = {1440 * KIB, 360 * KIB};
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->dma = (struct i8237 *)dev_new(&i8237_class, "dma", &g->h->sv);
	harness_realize(g->h, &g->dma->dev);
	g->fdc = (struct i82077 *)dev_new(&i82077_class, "fdc", &g->h->sv);
	g->fdc->dma = g->dma;
	for (unsigned i = 0; i < 2; i++) {
		g->b[i] = fake_block_new(sizes[i]);
		for (uint64_t at = 0; at < sizes[i]; at++)
			g->b[i]->data[at] = (uint8_t)(at / 512 * 3 + at);
		g->fdc->drive[i].present = true;
		g->fdc->drive[i].block = g->b[i];
	}
	harness_irq(g->h, &g->fdc->irq, 6);
	harness_realize(g->h, &g->fdc->dev);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	fake_block_free(g->b[0]);
	fake_block_free(g->b[1]);
	free(g);
}

static void work(struct rig *g)
{
	for (unsigned i = 0; i < 200; i++) {
		harness_step(g->h, 20000);
		bus_lock(&g->h->bus);
		fake_block_run(g->b[0], 10, false);
		fake_block_run(g->b[1], 10, false);
		bus_unlock(&g->h->bus);
	}
}

/* Command bytes; each time the controller must ask for one (DS 4.1.5). */
static void put(struct rig *g, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(inb(g->h, MSR) & 0xc0, 0x80);
		outb(g->h, FIFO, bytes[i]);
	}
}

/* All result bytes; returns how many there were. */
static unsigned get(struct rig *g, uint8_t *to)
{
	unsigned n = 0;

	while ((inb(g->h, MSR) & 0xd0) == 0xd0 && n < 10)
		to[n++] = inb(g->h, FIFO);
	assert_int_equal(inb(g->h, MSR) & 0xd0, 0x80);
	return n;
}

static void reset(struct rig *g)
{
	uint8_t r[10];

	outb(g->h, DOR, 0x08);
	assert_int_equal(inb(g->h, MSR), 0);
	outb(g->h, DOR, 0x1c);
	assert_int_equal(g->h->pins[6].level, 0);
	work(g);
	assert_int_equal(g->h->pins[6].level, 1);
	for (unsigned i = 0; i < 4; i++) { /* DS 4.1.1: polling, four drives */
		put(g, (uint8_t[]){0x08}, 1);
		assert_int_equal(get(g, r), 2);
		assert_int_equal(r[0], 0xc0 | i);
	}
	assert_int_equal(g->h->pins[6].level, 0);
	outb(g->h, CCR, 0);
}

/* Channel 2: single transfer of @len bytes at BUFFER. */
static void dma(struct rig *g, bool to_memory, unsigned len)
{
	outb(g->h, 0xd6, 0xc0); /* channel 4: cascade */
	outb(g->h, 0xd4, 0x00);
	outb(g->h, 0x0a, 6);
	outb(g->h, 0x0c, 0);
	outb(g->h, 0x0b, to_memory ? 0x46 : 0x4a);
	outb(g->h, 0x04, 0);
	outb(g->h, 0x04, 0);
	outb(g->h, 0x81, BUFFER >> 16);
	outb(g->h, 0x05, (uint8_t)(len - 1));
	outb(g->h, 0x05, (uint8_t)((len - 1) >> 8));
	outb(g->h, 0x0a, 2);
}

static void seek(struct rig *g, uint8_t drive, uint8_t cyl)
{
	uint8_t r[10];

	put(g, (uint8_t[]){0x0f, drive, cyl}, 3);
	assert_int_equal(inb(g->h, MSR), 0x80 | 1 << (drive & 3)); /* DS 4.1.5: drive busy */
	assert_int_equal(g->h->pins[6].level, 0);
	work(g);
	assert_int_equal(g->h->pins[6].level, 1);
	put(g, (uint8_t[]){0x08}, 1);
	assert_int_equal(get(g, r), 2);
	assert_int_equal(r[0], 0x20 | (drive & 3));
	assert_int_equal(r[1], cyl);
	assert_int_equal(inb(g->h, MSR), 0x80);
}

/* One nine-byte command; the result. */
static void transfer(struct rig *g, const uint8_t *cmd, uint8_t *r)
{
	put(g, cmd, 9);
	assert_int_equal(g->h->pins[6].level, 0);
	work(g);
	assert_int_equal(g->h->pins[6].level, 1);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(g->h->pins[6].level, 0);
}

static void test_simple(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	put(g, (uint8_t[]){0x10}, 1); /* DS 5.2.11: VERSION */
	assert_int_equal(get(g, r), 1);
	assert_int_equal(r[0], 0x90);
	put(g, (uint8_t[]){0x08}, 1); /* nothing to report: invalid (DS 5.2.4) */
	assert_int_equal(get(g, r), 1);
	assert_int_equal(r[0], 0x80);
	put(g, (uint8_t[]){0x1f}, 1);
	assert_int_equal(get(g, r), 1);
	assert_int_equal(r[0], 0x80);
	put(g, (uint8_t[]){0x03, 0xdf, 0x02}, 3);
	put(g, (uint8_t[]){0x13, 0, 0x57, 0x11}, 4);
	put(g, (uint8_t[]){0x94}, 1); /* LOCK */
	assert_int_equal(get(g, r), 1);
	assert_int_equal(r[0], 0x10);
	outb(g->h, MSR, 0x80); /* DSR software reset keeps what is locked (DS 5.2.10) */
	put(g, (uint8_t[]){0x0e}, 1);
	assert_int_equal(get(g, r), 10);
	assert_int_equal(r[4], 0xdf);
	assert_int_equal(r[8], 0x07); /* but polls again (DS 7.4) */
	assert_int_equal(r[9], 0x11);
	put(g, (uint8_t[]){0x04, 0x00}, 2); /* SENSE DRIVE STATUS: at track 0 */
	assert_int_equal(get(g, r), 1);
	assert_int_equal(r[0], 0x38);
	/* RECALIBRATE of a drive that isn't there: equipment check (DS 5.2.1) */
	put(g, (uint8_t[]){0x07, 3}, 2);
	work(g);
	put(g, (uint8_t[]){0x08}, 1);
	get(g, r);
	assert_int_equal(r[0], 0x73);
	rig_free(g);
}

static void test_changed(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	reset(g);
	assert_int_equal(inb(g->h, DIR), 0x80); /* DS 2.1.7 */
	seek(g, 0, 3);
	assert_int_equal(inb(g->h, DIR), 0);
	bus_lock(&g->h->bus);
	assert_int_equal(i82077_set_medium(g->fdc, 0, NULL, NULL), 0);
	bus_unlock(&g->h->bus);
	assert_int_equal(inb(g->h, DIR), 0x80);
	seek(g, 0, 5); /* stays while there is no diskette */
	assert_int_equal(inb(g->h, DIR), 0x80);
	rig_free(g);
}

static void test_read(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	/* Two sectors up to terminal count: table 5-6, R + 1 */
	dma(g, true, 1024);
	transfer(g, (uint8_t[]){0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff}, r);
	assert_memory_equal(r, ((uint8_t[]){0x00, 0, 0, 0, 0, 3, 2}), 7);
	assert_memory_equal(ram(g->h, BUFFER), g->b[0]->data, 1024);
	/* Multi-track: from sector 18 of head 0 to sector 1 of head 1; drive B: knows 250 kb/s */
	seek(g, 0, 40);
	dma(g, true, 1024);
	transfer(g, (uint8_t[]){0xe6, 0, 40, 0, 18, 2, 18, 0x1b, 0xff}, r);
	assert_memory_equal(r, ((uint8_t[]){0x04, 0, 0, 40, 1, 2, 2}), 7);
	assert_memory_equal(ram(g->h, BUFFER), g->b[0]->data + (80 * 18 + 17) * 512, 1024);
	/* the end of the cylinder with bytes to spare: EN (DS 6.2) */
	dma(g, true, 2048);
	transfer(g, (uint8_t[]){0x46, 4, 40, 1, 18, 2, 18, 0x1b, 0xff}, r);
	assert_memory_equal(r, ((uint8_t[]){0x44, 0x80, 0, 41, 1, 1, 2}), 7);
	/* B: at the wrong rate has no address marks, at the right one it has */
	dma(g, true, 512);
	transfer(g, (uint8_t[]){0x46, 1, 0, 0, 1, 2, 9, 0x1b, 0xff}, r);
	assert_int_equal(r[0], 0x41);
	assert_int_equal(r[1], 0x01);
	outb(g->h, CCR, 2);
	dma(g, true, 512);
	transfer(g, (uint8_t[]){0x46, 1, 0, 0, 9, 2, 9, 0x1b, 0xff}, r);
	assert_int_equal(r[0], 0x01);
	assert_memory_equal(ram(g->h, BUFFER), g->b[1]->data + 8 * 512, 512);
	/* READ ID finds the cylinder under the head */
	outb(g->h, CCR, 0);
	put(g, (uint8_t[]){0x4a, 4}, 2);
	work(g);
	get(g, r);
	assert_int_equal(r[0], 0x04);
	assert_int_equal(r[3], 40);
	assert_int_equal(r[4], 1);
	assert_in_range(r[5], 1, 18);
	rig_free(g);
}

static void test_errors(void **state)
{
	static const struct {
		uint8_t cmd[9], st0, st1, st2;
		const char *cite;
	} rows[] = {
		{{0x46, 0, 0, 0, 19, 2, 19, 0x1b, 0xff}, 0x40, 0x04, 0x00, "no sector 19: ND"},
		{{0x46, 0, 0, 0, 0, 2, 18, 0x1b, 0xff}, 0x40, 0x04, 0x00, "no sector 0: ND"},
		{{0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff}, 0x40, 0x04, 0x10, "other cylinder: WC"},
		{{0x46, 0, 0, 1, 1, 2, 18, 0x1b, 0xff}, 0x40, 0x04, 0x00, "other head in the mark"},
		{{0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff}, 0x40, 0x04, 0x00, "other size"},
		{{0x06, 0, 0, 0, 1, 2, 18, 0x1b, 0xff}, 0x40, 0x01, 0x00, "FM: no mark"},
		{{0x46, 2, 0, 0, 1, 2, 18, 0x1b, 0xff}, 0x42, 0x01, 0x00, "no drive"},
		{{0x4c, 0, 0, 0, 1, 2, 18, 0x1b, 0xff},
		 0x00,
		 0x00,
		 0x40,
		 "DS 5.1.2: normal data: CM"},
	};
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		dma(g, true, 1024);
		transfer(g, rows[i].cmd, r);
		if (r[0] != rows[i].st0 || r[1] != rows[i].st1 || r[2] != rows[i].st2)
			fail_msg("row %zu (%s): %02x %02x %02x", i, rows[i].cite, r[0], r[1], r[2]);
	}
	g->b[0]->fail = -5;
	dma(g, true, 512);
	transfer(g, (uint8_t[]){0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff}, r);
	assert_int_equal(r[1], 0x20); /* DE */
	g->b[0]->read_only = true;
	dma(g, false, 512);
	transfer(g, (uint8_t[]){0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff}, r);
	assert_int_equal(r[1], 0x02); /* NW */
	put(g, (uint8_t[]){0x04, 0x00}, 2);
	get(g, r);
	assert_int_equal(r[0] & 0x40, 0x40);
	/* The DMA channel masked: the controller waits, then overruns (DS 6.2) */
	outb(g->h, 0x0a, 6);
	put(g, (uint8_t[]){0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff}, 9);
	work(g);
	assert_int_equal(g->h->pins[6].level, 0);
	for (unsigned i = 0; i < 300; i++)
		harness_step(g->h, 2 * NS_PER_MS);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[1], 0x10);
	rig_free(g);
}

static void test_write(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	memset(ram(g->h, BUFFER), 0x3c, 2048);
	/* 700 bytes: the second sector's rest is zeros (DS 5.1.3) */
	dma(g, false, 700);
	transfer(g, (uint8_t[]){0x45, 0, 0, 0, 5, 2, 18, 0x1b, 0xff}, r);
	assert_memory_equal(r, ((uint8_t[]){0x00, 0, 0, 0, 0, 7, 2}), 7);
	assert_int_equal(g->b[0]->data[4 * 512], 0x3c);
	assert_int_equal(g->b[0]->data[5 * 512 + 187], 0x3c);
	assert_int_equal(g->b[0]->data[5 * 512 + 188], 0);
	assert_int_equal(g->b[0]->data[5 * 512 + 511], 0);
	/* FORMAT TRACK, head 1: 18 sectors with filler F6h */
	for (unsigned i = 0; i < 18; i++)
		memcpy(ram(g->h, BUFFER + 4 * i), ((uint8_t[]){0, 1, (uint8_t)(i + 1), 2}), 4);
	dma(g, false, 72);
	put(g, (uint8_t[]){0x4d, 4, 2, 18, 0x50, 0xf6}, 6);
	work(g);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[0], 0x04);
	assert_int_equal(g->b[0]->data[18 * 512], 0xf6);
	assert_int_equal(g->b[0]->data[36 * 512 - 1], 0xf6);
	assert_int_not_equal(g->b[0]->data[36 * 512 + 1], 0xf6);
	/* VERIFY of three sectors by count (EC); SCAN EQUAL */
	put(g, (uint8_t[]){0x56, 0x84, 0, 1, 1, 2, 18, 0x1b, 3}, 9);
	work(g);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[0], 0x04);
	assert_int_equal(r[5], 4);
	memset(ram(g->h, BUFFER), 0xf6, 512);
	dma(g, false, 512);
	transfer(g, (uint8_t[]){0x51, 4, 0, 1, 2, 2, 18, 0x1b, 1}, r);
	assert_int_equal(r[2] & 0x0c, 0x08);
	rig_free(g);
}

/* DS 5.1.6, table 5-8, without DMA: the host's bytes come through the FIFO. */
static void test_scan_pio(void **state)
{
	enum { EQUAL = 0x51, LOW = 0x59, HIGH = 0x5d, SN = 0x04, SH = 0x08 };
	/* clang-format off */
	static const struct {
		uint8_t op, host, odd; /* the host's bytes; one of them */
		uint8_t st2;
		bool second;           /* goes on to the next sector */
	} rows[] = {
		{EQUAL, 0x55, 0x55, SH, false},
		{EQUAL, 0x55, 0xff, SH, false}, /* FFh of the host matches anything */
		{EQUAL, 0x55, 0x56, SN, true},
		{LOW,   0x55, 0x56, 0,  false}, /* medium below the host */
		{LOW,   0x55, 0x54, SN, true},
		{HIGH,  0x55, 0x54, 0,  false},
		{HIGH,  0x55, 0x56, SN, true},
		{HIGH,  0x55, 0x55, SH, false},
	};
	/* clang-format on */
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	put(g, (uint8_t[]){0x03, 0xdf, 0x03}, 3);
	memset(g->b[0]->data, 0x55, 1024);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put(g, (uint8_t[]){rows[i].op, 0, 0, 0, 1, 2, 2, 0x1b, 1}, 9);
		for (unsigned k = 0; k < (rows[i].second ? 1024u : 512u); k++) {
			if (k % 512 == 0) {
				work(g);
				assert_int_equal(g->h->pins[6].level, 1);
			}
			assert_int_equal(inb(g->h, MSR),
					 0xb0); /* RQM, non-DMA, from the host, busy */
			outb(g->h, FIFO, k % 512 == 300 ? rows[i].odd : rows[i].host);
			if (k == 301)
				harness_check_state_roundtrip(&g->fdc->dev);
		}
		work(g);
		assert_int_equal(get(g, r), 7);
		assert_int_equal(r[0], 0x00);
		assert_int_equal(r[1], 0x00);
		assert_int_equal(r[2] & (SN | SH), rows[i].st2);
	}
	rig_free(g);
}

/* DS 5.2.2, ND = 1: through the FIFO, to the end of the cylinder. */
static void test_pio(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	put(g, (uint8_t[]){0x03, 0xdf, 0x03}, 3);
	put(g, (uint8_t[]){0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff}, 9);
	for (unsigned i = 0; i < 1024; i++) {
		if (i % 512 == 0) {
			work(g);
			assert_int_equal(g->h->pins[6].level, 1);
		}
		assert_int_equal(inb(g->h, MSR), 0xf0);
		assert_int_equal(inb(g->h, FIFO), g->b[0]->data[16 * 512 + i]);
	}
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[0], 0x40);
	assert_int_equal(r[1], 0x80);
	rig_free(g);
}

/* DS 5.2.7, EFIFO = 1: an interrupt for each byte; 0: for so many as the FIFO has. */
static void test_pio_irq(void **state)
{
	static const struct {
		uint8_t config;
		unsigned edges;
	} rows[] = {{0x20, 512}, {0x00, 32}};
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	put(g, (uint8_t[]){0x03, 0xdf, 0x03}, 3);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = g->h->pins[6].rises;

		put(g, (uint8_t[]){0x13, 0, rows[i].config, 0}, 4);
		put(g, (uint8_t[]){0x46, 0, 0, 0, 1, 2, 1, 0x1b, 0xff}, 9);
		work(g);
		for (unsigned n = 0; n < 512; n++) {
			assert_int_equal(g->h->pins[6].level, 1);
			(void)inb(g->h, FIFO);
			if (n == 255)
				harness_check_state_roundtrip(&g->fdc->dev);
		}
		assert_int_equal(g->h->pins[6].rises - before,
				 rows[i].edges + 1); /* and the result */
		assert_int_equal(get(g, r), 7);
	}
	/* FORMAT TRACK: four bytes a sector */
	put(g, (uint8_t[]){0x4d, 0, 2, 18, 0x50, 0x77}, 6);
	for (uint8_t n = 1; n <= 18; n++) {
		const uint8_t id[4] = {0, 0, n, 2};

		work(g);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(inb(g->h, MSR), 0xb0);
			if (i == 2)
				harness_check_state_roundtrip(&g->fdc->dev);
			outb(g->h, FIFO, id[i]);
		}
	}
	work(g);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[0], 0);
	assert_int_equal(g->b[0]->data[0], 0x77);
	assert_int_equal(g->b[0]->data[18 * 512 - 1], 0x77);
	rig_free(g);
}

static void test_seeks(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];

	(void)state;
	reset(g);
	/* Two at once: an interrupt for each (DS 5.2.4). */
	put(g, (uint8_t[]){0x0f, 0, 5}, 3);
	put(g, (uint8_t[]){0x0f, 1, 6}, 3);
	work(g);
	for (uint8_t n = 0; n < 2; n++) {
		assert_int_equal(g->h->pins[6].level, 1);
		put(g, (uint8_t[]){0x08}, 1);
		assert_int_equal(g->h->pins[6].level, 0);
		assert_int_equal(get(g, r), 2);
		assert_int_equal(r[0], 0x20 | n);
		assert_int_equal(r[1], 5 + n);
	}
	assert_int_equal(g->h->pins[6].level, 0);
	/* DS 5.2.1: 79 steps; a reset forgets where the head is, and the drive stops it at its end.
	 */
	seek(g, 0, 200);
	for (unsigned i = 0; i < 2; i++) {
		put(g, (uint8_t[]){0x07, 0}, 2);
		harness_check_state_roundtrip(&g->fdc->dev);
		work(g);
		put(g, (uint8_t[]){0x08}, 1);
		assert_int_equal(get(g, r), 2);
		assert_int_equal(r[0], i ? 0x20 : 0x70);
		assert_int_equal(r[1], 0);
	}
	seek(g, 0, 7);
	reset(g);
	seek(g, 0, 3); /* three more */
	put(g, (uint8_t[]){0x4a, 0}, 2);
	work(g);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[3], 10);
	/* a seek that a program asks about before the rest of a reset */
	outb(g->h, DOR, 0x08);
	outb(g->h, DOR, 0x1c);
	work(g);
	put(g, (uint8_t[]){0x08}, 1);
	assert_int_equal(get(g, r), 2);
	assert_int_equal(r[0], 0xc0);
	seek(g, 0, 1);
	put(g, (uint8_t[]){0x08}, 1);
	assert_int_equal(get(g, r), 2);
	assert_int_equal(r[0], 0xc1);
	/* DS 2.1.2: the gate */
	outb(g->h, DOR, 0x14);
	put(g, (uint8_t[]){0x0f, 0, 4}, 3);
	work(g);
	assert_int_equal(g->h->pins[6].level, 0);
	outb(g->h, DOR, 0x1c);
	assert_int_equal(g->h->pins[6].level, 1);
	rig_free(g);
}

static void test_state(void **state)
{
	struct rig *g = rig_new();
	uint8_t r[10];
	struct error err = {0};

	(void)state;
	harness_check_state_roundtrip(&g->fdc->dev);
	reset(g);
	put(g, (uint8_t[]){0x0f, 0, 9}, 3);
	harness_check_state_roundtrip(&g->fdc->dev);
	work(g);
	put(g, (uint8_t[]){0x08}, 1);
	harness_check_state_roundtrip(&g->fdc->dev);
	get(g, r);
	assert_int_equal(r[1], 9);
	dma(g, true, 512);
	put(g, (uint8_t[]){0x46, 0, 9, 0, 1, 2, 18, 0x1b, 0xff}, 9);
	harness_check_state_roundtrip(&g->fdc->dev);
	work(g);
	assert_int_equal(get(g, r), 7);
	assert_int_equal(r[0], 0);
	/* an edited state: bytes of a command that nobody waits for */
	bus_lock(&g->h->bus);
	g->fdc->s.n_cmd = 5;
	g->fdc->s.need = 0;
	assert_int_equal(i82077_class.loaded(&g->fdc->dev, &err), 0);
	assert_int_equal(g->fdc->s.n_cmd, 0);
	bus_unlock(&g->h->bus);
	/* another data rate while a sector is on its way */
	dma(g, true, 512);
	put(g, (uint8_t[]){0x46, 0, 9, 0, 1, 2, 18, 0x1b, 0xff}, 9);
	for (unsigned i = 0; i < 1000 && g->fdc->s.phase != I82077_IO; i++)
		harness_step(g->h, NS_PER_MS);
	assert_int_equal(g->fdc->s.phase, I82077_IO);
	outb(g->h, CCR, 3);
	harness_check_state_roundtrip(&g->fdc->dev);
	work(g);
	assert_int_equal(get(g, r), 7);
	rig_free(g);
}

static void test_formats(void **state)
{
	(void)state;
	assert_null(i82077_format_of(1440 * KIB + 512));
	assert_null(i82077_format_of(0));
	for (unsigned kib = 100; kib < 3000; kib++) {
		const struct i82077_format *f = i82077_format_of(kib * KIB);

		if (f)
			assert_int_equal(f->cyls * f->heads * f->spt, 2 * kib);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),  cmocka_unit_test(test_changed),
		cmocka_unit_test(test_read),    cmocka_unit_test(test_errors),
		cmocka_unit_test(test_write),   cmocka_unit_test(test_scan_pio),
		cmocka_unit_test(test_pio),     cmocka_unit_test(test_state),
		cmocka_unit_test(test_formats), cmocka_unit_test(test_seeks),
		cmocka_unit_test(test_pio_irq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
