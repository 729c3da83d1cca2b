/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the DMA controllers. "DS": Intel 8237A data sheet 231466-005; "AT": IBM PC/AT
 * Technical Reference.
 */
#include <errno.h>
#include <string.h>

#include "device/misc/i8237.h"
#include "harness.h"

static struct i8237 *dma_new(struct harness *h)
{
	struct i8237 *dma = (struct i8237 *)dev_new(&i8237_class, "dma", &h->sv);

	harness_realize(h, &dma->dev);
	return dma;
}

/* clang-format off */
static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{IN8, 0x08, 0x00}, {IN8, 0x0f, 0xff, .cite = "DS: master clear masks all"},
		{OUT8, 0x00, 0x34}, {OUT8, 0x00, 0x12}, {IN8, 0x00, 0x34, .cite = "DS: low byte first"}, {IN8, 0x00, 0x12},
		{OUT8, 0x07, 0xff}, {OUT8, 0x0c, 0, .cite = "DS: clear first/last flip-flop"}, {OUT8, 0x07, 0x78}, {OUT8, 0x07, 0x56},
		{IN8, 0x07, 0x78}, {IN8, 0x07, 0x56}, {IN8, 0x00, 0x34}, {OUT8, 0x0c, 0}, {IN8, 0x00, 0x34},
		{OUT8, 0x0e, 0}, {IN8, 0x0f, 0xf0, .cite = "DS: clear mask register"}, {OUT8, 0x0a, 0x06}, {IN8, 0x0f, 0xf4, .cite = "DS: single mask"},
		{OUT8, 0x0a, 0x02}, {IN8, 0x0f, 0xf0}, {OUT8, 0x0f, 0x09}, {IN8, 0x0f, 0xf9, .cite = "DS: all masks"},
		{OUT8, 0x09, 0x05}, {IN8, 0x08, 0x20, .cite = "DS: request shows in status 7:4"}, {OUT8, 0x09, 0x01}, {IN8, 0x08, 0x00},
		{OUT8, 0x0d, 0}, {IN8, 0x0f, 0xff, .cite = "DS: master clear"}, {IN8, 0x0d, 0, .cite = "temporary"},
		{OUT8, 0xc4, 0xcd}, {OUT8, 0xc4, 0xab}, {IN8, 0xc4, 0xcd, .cite = "AT: second controller, even ports"}, {IN8, 0xc5, 0xab},
		{OUT8, 0x81, 0x11}, {OUT8, 0x87, 0x22}, {OUT8, 0x8f, 0x33}, {OUT8, 0x84, 0x44},
		{IN8, 0x81, 0x11, .cite = "AT: page registers"}, {IN8, 0x87, 0x22}, {IN8, 0x8f, 0x33}, {IN8, 0x84, 0x44},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct i8237 *dma = dma_new(h);

	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&dma->dev);
	harness_free(h);
}

/* Set channel 2 (ports 4, 5, page 81h) up and unmask it and the cascade. */
static void setup2(struct harness *h, uint8_t mode, uint8_t page, uint16_t addr, uint16_t count)
{
	outb(h, 0xd4, 0x00);
	outb(h, 0x0a, 0x06);
	outb(h, 0x0c, 0);
	outb(h, 0x0b, mode | 2);
	outb(h, 0x04, (uint8_t)addr);
	outb(h, 0x04, (uint8_t)(addr >> 8));
	outb(h, 0x05, (uint8_t)count);
	outb(h, 0x05, (uint8_t)(count >> 8));
	outb(h, 0x81, page);
	outb(h, 0x0a, 0x02);
}

static void test_transfer(void **state)
{
	struct harness *h = harness_new();
	struct i8237 *dma = dma_new(h);
	struct bus_region hole = {.name = "hole", .size = 0x1000};
	struct error err = {0};
	uint8_t buf[0x200];
	bool tc;

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	setup2(h, 0x44, 0x12, 0x3456, 0x1ff);                   /* single, write to memory */
	assert_int_equal(dma8237_read(dma, 2, buf, 1, &tc), 0); /* the other direction */
	assert_int_equal(dma8237_write(dma, 2, buf, 0x100, &tc), 0x100);
	assert_false(tc);
	outb(h, 0x0c, 0);
	assert_int_equal(inb(h, 0x04), 0x56);
	assert_int_equal(inb(h, 0x04), 0x35);
	assert_int_equal(inb(h, 0x05), 0xff);
	assert_int_equal(inb(h, 0x05), 0x00);
	harness_check_state_roundtrip(&dma->dev);
	assert_int_equal(dma8237_write(dma, 2, buf + 0x100, 0x1000, &tc), 0x100); /* up to TC */
	assert_true(tc);
	assert_memory_equal(ram(h, 0x123456), buf, 0x200);
	assert_int_equal(inb(h, 0x08), 0x04); /* DS: TC of channel 2, cleared by reading */
	assert_int_equal(inb(h, 0x08), 0x00);
	assert_int_equal(inb(h, 0x0f), 0xff); /* DS: TC masks without autoinit */
	assert_int_equal(dma8237_write(dma, 2, buf, 1, &tc), 0);

	/* DS, "Autoinitialize": again from the base registers. */
	setup2(h, 0x58, 0x12, 0x3456, 9);
	assert_int_equal(dma8237_read(dma, 2, buf, 100, &tc), 10);
	assert_true(tc);
	assert_int_equal(dma8237_read(dma, 2, buf, 4, &tc), 4);
	assert_false(tc);
	assert_memory_equal(buf, ram(h, 0x123456), 4);

	/* The address wraps in its 64 KiB page; DS: decrement. */
	memset(ram(h, 0x120000), 0, 16);
	setup2(h, 0x44, 0x12, 0xfffe, 3);
	assert_int_equal(dma8237_write(dma, 2, "wxyz", 4, &tc), 4);
	assert_memory_equal(ram(h, 0x12fffe), "wx", 2);
	assert_memory_equal(ram(h, 0x120000), "yz\0", 3);
	setup2(h, 0x64, 0x12, 0x0002, 3);
	assert_int_equal(dma8237_write(dma, 2, "abcd", 4, &tc), 4);
	assert_memory_equal(ram(h, 0x120000), "cba", 3);
	assert_memory_equal(ram(h, 0x12ffff), "d", 1);

	/* DS: verify counts and moves nothing. */
	setup2(h, 0x40, 0x12, 0, 1);
	assert_int_equal(dma8237_write(dma, 2, "QQ", 2, &tc), 2);
	assert_true(tc);
	assert_memory_equal(ram(h, 0x120000), "cb", 2);

	/* Not RAM: nothing is written, ones are read. */
	bus_lock(&h->bus);
	assert_int_equal(bus_map_mmio(&h->bus, &hole, 0xff0000, MEM_PRIO_IO, &err), 0);
	bus_unlock(&h->bus);
	setup2(h, 0x48, 0xff, 0, 3);
	assert_int_equal(dma8237_read(dma, 2, buf, 4, &tc), 4);
	assert_memory_equal(buf, "\xff\xff\xff\xff", 4);

	setup2(h, 0x44, 0xff, 0, 3);
	assert_int_equal(dma8237_write(dma, 2, buf, 4, &tc), 4);
	assert_int_equal(dma->dev.guest_errors, 1);

	/* AT: the first controller needs channel 4; DS: controller disable. */
	setup2(h, 0x48, 0, 0, 3);
	outb(h, 0xd4, 0x04);
	assert_int_equal(dma8237_read(dma, 2, buf, 4, &tc), 0);
	outb(h, 0xd4, 0x00);
	outb(h, 0x08, 0x04);
	assert_int_equal(dma8237_read(dma, 2, buf, 4, &tc), 0);
	assert_int_equal(dma8237_read(dma, 4, buf, 4, &tc), 0);
	assert_int_equal(dma8237_read(dma, 99, buf, 4, NULL), 0);
	harness_free(h);
}

static void test_words(void **state)
{
	struct harness *h = harness_new();
	struct i8237 *dma = dma_new(h);
	bool tc;

	outb(h, 0xd6, 0x45); /* channel 5, write */
	outb(h, 0xc4, 0x00);
	outb(h, 0xc4, 0x10); /* word address 1000h */
	outb(h, 0xc6, 0x01);
	outb(h, 0xc6, 0x00); /* two words */
	outb(h, 0x8b, 0x13); /* AT: page bit 0 is not used by word channels */
	outb(h, 0xd4, 0x01);
	assert_int_equal(dma8237_write(dma, 5, "abcdefg", 7, &tc), 4);
	assert_true(tc);
	assert_memory_equal(ram(h, 0x122000), "abcd\0", 5);
	harness_check_state_roundtrip(&dma->dev);
	harness_free(h);
}

/* DS, "Programming the 8237A": base and current registers are written a byte at a time. */
static void test_bytes(void **state)
{
	struct harness *h = harness_new();
	struct i8237 *dma = dma_new(h);
	uint8_t buf[0x100] = {0};

	setup2(h, 0x54, 0x12, 0x1234, 0x3ff);
	assert_int_equal(dma8237_write(dma, 2, buf, 0x100, NULL), 0x100);
	outb(h, 0x0c, 0);
	outb(h, 0x04, 0x78); /* current 1334h: its high byte stays */
	outb(h, 0x0c, 0);
	assert_int_equal(inb(h, 0x04), 0x78);
	assert_int_equal(inb(h, 0x04), 0x13);
	outb(h, 0x0c, 0);
	outb(h, 0x05, 0x10);
	outb(h, 0x0c, 0);
	assert_int_equal(inb(h, 0x05), 0x10);
	assert_int_equal(inb(h, 0x05), 0x02);
	assert_int_equal(dma8237_write(dma, 2, buf, 0x100, NULL), 0x100);
	assert_int_equal(dma8237_write(dma, 2, buf, 0x100, NULL), 0x100);
	assert_int_equal(dma8237_write(dma, 2, buf, 0x11, NULL), 0x11); /* up to TC: base, 1278h */
	outb(h, 0x0c, 0);
	assert_int_equal(inb(h, 0x04), 0x78);
	assert_int_equal(inb(h, 0x04), 0x12);
	assert_int_equal(inb(h, 0x05), 0x10);
	assert_int_equal(inb(h, 0x05), 0x03);
	harness_free(h);
}

struct user {
	struct i8237 *dma;
	unsigned calls;
};

static void on_look(void *ctx)
{
	struct user *u = ctx;

	u->calls++;
	assert_int_equal(dma8237_write(u->dma, 2, "ab", 2, NULL), 2);
}

/* A device is asked to catch up before the guest sees its channel. */
static void test_catch_up(void **state)
{
	struct harness *h = harness_new();
	struct user u[I8237_USERS + 1] = {{dma_new(h), 0}};

	setup2(h, 0x44, 0x12, 0, 0xff);
	for (unsigned i = 0; i < I8237_USERS; i++) {
		u[i].dma = u[0].dma;
		assert_int_equal(dma8237_attach(u[0].dma, on_look, &u[i]), 0);
	}
	assert_int_equal(dma8237_attach(u[0].dma, on_look, &u[I8237_USERS]), -ENOSPC);
	for (unsigned i = 1; i <= I8237_USERS; i++)
		dma8237_detach(u[0].dma, &u[i]);
	assert_int_equal(inb(h, 0x05), 0xfd); /* after two bytes, and then after four */
	assert_int_equal(inb(h, 0x05), 0x00);
	assert_int_equal(inb(h, 0x04), 6);
	assert_int_equal(u[0].calls, 3);
	dma8237_detach(u[0].dma, &u[0]);
	assert_int_equal(inb(h, 0x04), 0);
	assert_int_equal(u[0].calls, 3);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_words),     cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_catch_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
