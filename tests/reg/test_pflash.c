/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the flash chip. Sources: Intel 28F320J3/640J3/128J3 data sheet 290667-009
 * ("J3"), JESD68.01 ("CFI").
 */
#include <stdlib.h>

#include "device/firmware/pflash.h"
#include "harness.h"

#define AT  0xffc00000u
#define LEN (16 * PFLASH_BLOCK)

struct rig {
	struct harness *h;
	struct pflash *p;
	unsigned stores;
	uint64_t first, end; /* of the last store */
	int fail;
};

static int keep(void *ctx, uint64_t off, const void *bytes, size_t len)
{
	struct rig *rig = ctx;

	assert_memory_equal(bytes, rig->p->block->host + off, len);
	rig->stores++;
	rig->first = off;
	rig->end = off + len;
	return rig->fail;
}

static struct rig *rig_new(void)
{
	static uint8_t contents[LEN];
	struct rig *rig = xnew(struct rig);

	for (unsigned i = 0; i < LEN; i++)
		contents[i] = (uint8_t)(i * 7);
	rig->h = harness_new();
	rig->p = (struct pflash *)dev_new(&pflash_class, "efi-vars", &rig->h->sv);
	rig->p->gpa = AT;
	rig->p->contents = contents;
	rig->p->len = LEN;
	rig->p->store = keep;
	rig->p->store_ctx = rig;
	harness_realize(rig->h, &rig->p->dev);
	return rig;
}

static void rig_free(struct rig *rig)
{
	harness_check_state_roundtrip(&rig->p->dev);
	harness_free(rig->h);
	free(rig);
}

/* clang-format off */
static void test_commands(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, AT + 4, 0x312a231c, .cite = "J3 4.1: read array after power-up"},
		/* EDK2 wants 00h here; see pflash.c */
		{WRITE8, AT, 0x50}, {READ8, AT, 0x00, .cite = "J3 table 4: clear status, then the array"},
		{WRITE8, AT, 0x70}, {READ8, AT, 0x00}, {WRITE8, AT, 0xff}, {READ8, AT + 1, 0x07},
		{WRITE8, AT, 0x90}, {READ8, AT, 0x89, .cite = "J3 table 5: manufacturer"}, {READ8, AT + 1, 0x18},
		{READ8, AT + 2, 0, .cite = "J3 table 5: block not locked"},
		{WRITE8, AT, 0x98}, {READ32, AT + 0x10, 0x01595251, .cite = "CFI 4.3.2: \"QRY\", command set 0001h"},
		{READ8, AT + 0x27, 16, .cite = "CFI table 3: 2^16 bytes"}, {READ8, AT + 0x2c, 1}, {READ32, AT + 0x2d, 0x0010000f, .cite = "CFI table 3: 16 blocks of 16 * 256 bytes"},
		{READ8, AT + 0x2a, 5}, {READ32, AT + 0x31, 0x31495250, .cite = "AP-646 table 5: \"PRI1\""}, {READ8, AT + 0x1000, 0},
		/* a program clears bits, whichever command begins it */
		{WRITE8, AT, 0x40}, {READ8, AT, 0x00}, {WRITE8, AT + 3, 0x0f}, {READ8, AT, 0x80, .cite = "J3 table 17: ready"},
		{WRITE8, AT, 0x10}, {WRITE8, AT + 5, 0xff}, {WRITE8, AT, 0xff},
		{READ8, AT + 3, 0x05, .cite = "J3 4.5: programming changes ones to zeros only"}, {READ8, AT + 5, 35},
		/* erase: the block of the confirmation */
		{WRITE8, AT + 0x1234, 0x20}, {WRITE8, AT + 0x1234, 0xd0}, {READ8, AT, 0x80}, {WRITE8, AT, 0xff},
		{READ32, AT + 0x1000, 0xffffffff, .cite = "J3 4.7: block erase"}, {READ32, AT + 0x1ffc, 0xffffffff}, {READ8, AT + 0xfff, 0xf9}, {READ8, AT + 0x2001, 0x07},
		{WRITE8, AT + 0x2000, 0x20}, {WRITE8, AT + 0x2000, 0xff}, {READ8, AT, 0xb0, .cite = "J3 table 17: command sequence error"},
		{WRITE8, AT, 0x50}, {READ8, AT + 0x2001, 0x07},
		{WRITE8, AT, 0xc0}, {READ8, AT, 0xb0}, {WRITE8, AT, 0x50},
		/* nothing to suspend */
		{WRITE8, AT, 0xb0}, {READ8, AT, 0x00}, {WRITE8, AT, 0xd0}, {WRITE8, AT, 0xff}, {READ8, AT + 1, 0x07},
		/* four byte commands in one access: the bus has 8 bits */
		{WRITE32, AT, 0x90909090}, {READ8, AT, 0x89}, {WRITE32, AT, 0xffffffff}, {READ8, AT, 0x00},
	};
	struct rig *rig = rig_new();

	harness_run(rig->h, rows, ARRAY_SIZE(rows));
	rig_free(rig);
}

static void test_locks(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE8, AT + 0x3000, 0x60}, {WRITE8, AT + 0x3000, 0x01}, {READ8, AT, 0x80, .cite = "J3 4.9: set block lock bit"},
		{WRITE8, AT, 0x90}, {READ8, AT + 0x3002, 1}, {READ8, AT + 0x2002, 0},
		{WRITE8, AT, 0x40}, {WRITE8, AT + 0x3000, 0}, {READ8, AT, 0x92, .cite = "J3 table 17: SR.4 and SR.1"}, {WRITE8, AT, 0x50},
		{WRITE8, AT, 0x20}, {WRITE8, AT + 0x3000, 0xd0}, {READ8, AT, 0xa2, .cite = "J3 table 17: SR.5 and SR.1"}, {WRITE8, AT, 0x50},
		{READ8, AT + 0x3001, 0x07},
		{WRITE8, AT, 0x60}, {WRITE8, AT, 0xd0}, {READ8, AT, 0x80, .cite = "J3 4.10: clear all"}, {WRITE8, AT, 0x50},
		{WRITE8, AT, 0x20}, {WRITE8, AT + 0x3000, 0xd0}, {READ8, AT, 0x80}, {WRITE8, AT, 0xff}, {READ8, AT + 0x3001, 0xff},
		{WRITE8, AT, 0x60}, {WRITE8, AT, 0x2f}, {READ8, AT, 0xb0},
	};
	struct rig *rig = rig_new();

	harness_run(rig->h, rows, ARRAY_SIZE(rows));
	rig_free(rig);
}

static void test_buffer(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE8, AT + 0x1000, 0x20}, {WRITE8, AT + 0x1000, 0xd0},
		{WRITE8, AT + 0x1000, 0xe8}, {READ8, AT, 0x80, .cite = "J3 4.6: XSR.7, a buffer is free"},
		{WRITE8, AT + 0x1000, 3}, {WRITE8, AT + 0x1010, 0x11}, {WRITE8, AT + 0x1013, 0x44}, {WRITE8, AT + 0x1011, 0x22}, {WRITE8, AT + 0x1012, 0x33},
		{WRITE8, AT + 0x1000, 0xd0}, {READ8, AT, 0x80}, {WRITE8, AT, 0xff}, {READ64, AT + 0x100c, 0x44332211ffffffff},
		/* outside count + 1 bytes, more than the buffer has, another block, no confirmation */
		{WRITE8, AT + 0x1000, 0xe8}, {WRITE8, AT + 0x1000, 1}, {WRITE8, AT + 0x1020, 0}, {WRITE8, AT + 0x1022, 0}, {READ8, AT, 0xb0, .cite = "J3 4.6: address beyond the buffer aborts"}, {WRITE8, AT, 0x50},
		{WRITE8, AT + 0x1000, 0xe8}, {WRITE8, AT + 0x1000, 32}, {READ8, AT, 0xb0}, {WRITE8, AT, 0x50},
		{WRITE8, AT + 0x1000, 0xe8}, {WRITE8, AT + 0x1000, 0}, {WRITE8, AT + 0x2000, 0}, {READ8, AT, 0xb0}, {WRITE8, AT, 0x50},
		{WRITE8, AT + 0x1000, 0xe8}, {WRITE8, AT + 0x1000, 0}, {WRITE8, AT + 0x1020, 0}, {WRITE8, AT + 0x1020, 0xff}, {READ8, AT, 0xb0}, {WRITE8, AT, 0x50},
		{READ32, AT + 0x1020, 0xffffffff}, {READ8, AT + 0x2001, 0x07},
	};
	struct rig *rig = rig_new();

	harness_run(rig->h, rows, ARRAY_SIZE(rows));
	/* A saved buffer that is half full. */
	writeb(rig->h, AT + 0x1000, 0xe8);
	writeb(rig->h, AT + 0x1000, 1);
	writeb(rig->h, AT + 0x1040, 0x55);
	harness_check_state_roundtrip(&rig->p->dev);
	writeb(rig->h, AT + 0x1041, 0xaa);
	writeb(rig->h, AT + 0x1000, 0xd0);
	writeb(rig->h, AT, 0xff);
	assert_int_equal(readw(rig->h, AT + 0x1040), 0xaa55);
	rig_free(rig);
}
/* clang-format on */

static void test_store(void **state)
{
	struct rig *rig = rig_new();

	for (unsigned i = 0; i < 100; i++) {
		writeb(rig->h, AT, 0x10);
		writeb(rig->h, AT + 0x4000 + i, 0);
	}
	assert_int_equal(rig->stores, 0);
	writeb(rig->h, AT, 0x70); /* whoever asks for the status learns that all is done */
	assert_int_equal(rig->stores, 1);
	assert_int_equal(rig->first, 0x4000);
	assert_int_equal(rig->end, 0x4064);
	writeb(rig->h, AT, 0xff);
	assert_int_equal(rig->stores, 1);
	writeb(rig->h, AT + 0x5000, 0x20);
	writeb(rig->h, AT + 0x5000, 0xd0);
	rig->fail = -28;
	writeb(rig->h, AT, 0x70);
	assert_int_equal(rig->end, 0x6000);
	assert_int_equal(readb(rig->h, AT), 0x90); /* the guest hears that it wasn't kept */
	rig->fail = 0;
	writeb(rig->h, AT, 0x10);
	writeb(rig->h, AT, 0);
	bus_lock(&rig->h->bus);
	dev_reset(&rig->p->dev, DEV_RESET_WARM);
	bus_unlock(&rig->h->bus);
	assert_int_equal(rig->stores, 3);
	assert_int_equal(readb(rig->h, AT + 1), 7); /* the array again */
	rig_free(rig);
}

/* Reads of the array don't come to the device: processors run and read it as ROM. */
static void test_mapping(void **state)
{
	struct rig *rig = rig_new();
	struct mem_ref ref;
	uint8_t byte = 0;

	mem_lookup(rig->h->mem, AT + 0x1001, &ref);
	assert_int_equal(ref.kind, MEM_ROM);
	assert_ptr_equal(ref.block, rig->p->block);
	assert_int_equal(mem_read(rig->h->mem, AT + 0x1001, &byte, 1), 0);
	assert_int_equal(byte, 0x07);
	assert_int_equal(mem_write(rig->h->mem, AT + 0x1001, &byte, 1), -14);
	writeb(rig->h, AT, 0x98);
	mem_lookup(rig->h->mem, AT, &ref);
	assert_int_equal(ref.kind, MEM_IO);
	harness_check_state_roundtrip(&rig->p->dev);
	writeb(rig->h, AT, 0xff);
	mem_lookup(rig->h->mem, AT, &ref);
	assert_int_equal(ref.kind, MEM_ROM);
	rig_free(rig);
}

/* States no guest can bring about. */
static void test_hostile_state(void **state)
{
	struct rig *rig = rig_new();
	struct pflash_regs *s = &rig->p->s;
	struct error err = {0};

	*s = (struct pflash_regs){.buf_first = LEN, .mode = 8};
	assert_int_equal(pflash_class.loaded(&rig->p->dev, &err), -22);
	*s = (struct pflash_regs){.buf_first = LEN - 1, .buf_block = LEN - PFLASH_BLOCK};
	s->mode = 9;
	s->buf_len = s->buf_n = 2;
	s->buf_set[1] = 1;
	assert_int_equal(pflash_class.loaded(&rig->p->dev, &err), -22);
	*s = (struct pflash_regs){.buf_n = 3, .buf_len = 2};
	assert_int_equal(pflash_class.loaded(&rig->p->dev, &err), -22);
	*s = (struct pflash_regs){.mode = 9, .buf_n = 1, .buf_len = 2};
	assert_int_equal(pflash_class.loaded(&rig->p->dev, &err), -22);
	*s = (struct pflash_regs){0};
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands), cmocka_unit_test(test_locks),
		cmocka_unit_test(test_buffer),   cmocka_unit_test(test_store),
		cmocka_unit_test(test_mapping),  cmocka_unit_test(test_hostile_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
