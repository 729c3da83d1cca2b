/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the SMBus hosts and the memory modules. "7.3": Intel 82371AB data sheet
 * 290562-001. "20.", "5.21": Intel ICH9 data sheet 316972-004. "SMBus": System Management Bus
 * Specification 2.0. "SPD": JEDEC Standard 21-C, 4.1.2.10. 1.5 GiB are two modules.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/misc/ich9_smbus.h"
#include "device/misc/smbus.h"
#include "slot.h"

static void test_piix4(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{OUT8, 0xb104, 0xa0}, {OUT8, 0xb102, 0x40}, {IN8, 0xb100, 0x02, .cite = "7.3.1: quick write acknowledged: INTER"},
		{OUT8, 0xb100, 0x02}, {IN8, 0xb100, 0, .cite = "cleared by 1"},
		{OUT8, 0xb104, 0xa4}, {OUT8, 0xb102, 0x40}, {IN8, 0xb100, 0x04, .cite = "nobody at 52h: DEV_ERR"}, {OUT8, 0xb100, 0x1e},
		{OUT8, 0xb104, 0xa1}, {OUT8, 0xb103, 2}, {OUT8, 0xb102, 0x48}, {IN8, 0xb105, 8, .cite = "SPD byte 2: DDR2"}, {IN8, 0xb100, 2},
		{OUT8, 0xb103, 31}, {OUT8, 0xb102, 0x48}, {IN8, 0xb105, 0x01, .cite = "SPD byte 31: 1 GiB a rank"},
		{OUT8, 0xb103, 3}, {OUT8, 0xb102, 0x4c}, {IN16, 0xb105, 0x0a0e, .cite = "word data: 14 rows, 10 columns"},
		{OUT8, 0xb102, 0x44}, {IN8, 0xb105, 0x60, .cite = "receive byte: goes on at 5"},
		{OUT8, 0xb104, 0xa3}, {OUT8, 0xb103, 31}, {OUT8, 0xb102, 0x48}, {IN8, 0xb105, 0x80, .cite = "the second: 512 MiB"},
		{OUT8, 0xb104, 0xa0}, {OUT8, 0xb100, 0x1e}, {OUT8, 0xb102, 0x48}, {IN8, 0xb100, 0x04, .cite = "write-protected"},
		{OUT8, 0xb100, 0x1e}, {OUT8, 0xb103, 73}, {OUT8, 0xb102, 0x44}, {OUT8, 0xb104, 0xa1}, {OUT8, 0xb102, 0x44}, {IN8, 0xb105, 'B', .cite = "send byte, receive byte"},
		{OUT8, 0xb102, 0x02}, {IN8, 0xb100, 0x12, .cite = "KILL: FAILED"},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct smbus *s = (struct smbus *)dev_new(&smbus_class, "smbus", &h->sv);

	s->ram_size = 1536 * MIB;
	harness_realize(h, &s->dev);
	bus_lock(&h->bus);
	smbus_moved(s, true, 0xb100);
	bus_unlock(&h->bus);
	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&s->dev);
	for (unsigned n = 0; n < s->bus.n_spd; n++) {
		uint8_t sum = 0;

		for (unsigned i = 0; i < 63; i++)
			sum = (uint8_t)(sum + s->bus.spd[n].bytes[i]);
		assert_int_equal(sum, s->bus.spd[n].bytes[63]);
	}
	bus_lock(&h->bus);
	smbus_moved(s, false, 0xb100);
	bus_unlock(&h->bus);
	assert_int_equal(inb(h, 0xb100), 0xff);
	harness_free(h);
}

/* ---- ICH9 ---- */

enum { IO = 0xb100, MEM = 0xe0000000 };
#define F3 PCI_DEVFN(0x1f, 3)

/* A slave at 2ch that keeps what it is sent and answers with it, then with a packet error code:
 * bytes 32 and on are not acknowledged. */
struct echo {
	uint8_t kept[64], crc;
	unsigned n, bad; /* @bad: the code is wrong */
};

static void echo_crc(struct echo *e, uint8_t v)
{
	e->crc ^= v;
	for (unsigned i = 0; i < 8; i++)
		e->crc = (uint8_t)(e->crc & 0x80 ? e->crc << 1 ^ 7 : e->crc << 1);
}

static bool echo_put(void *ctx, unsigned index, uint8_t byte)
{
	struct echo *e = ctx;

	if (!index) {
		e->n = 0;
		e->crc = 0;
		echo_crc(e, 0x58);
	}
	echo_crc(e, byte);
	if (index < sizeof(e->kept))
		e->kept[e->n++] = byte;
	return index < 36;
}

/* What it was sent after the command code, then the code. */
static uint8_t echo_get(void *ctx, unsigned index)
{
	struct echo *e = ctx;
	uint8_t v;

	if (!index)
		echo_crc(e, 0x59);
	if (index + 1 >= e->n)
		return (uint8_t)(e->crc ^ e->bad);
	v = e->kept[index + 1];
	echo_crc(e, v);
	return v;
}

struct box {
	struct harness *h;
	struct slot slot;
	struct ich9_smbus *s;
	struct echo echo;
};

static void config(struct box *b, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&b->h->bus);
	pci_bus_config_write(&b->slot.bus, F3, off, size, val);
	bus_unlock(&b->h->bus);
}

static uint32_t config_read(struct box *b, unsigned off, unsigned size)
{
	uint32_t v;

	bus_lock(&b->h->bus);
	v = pci_bus_config_read(&b->slot.bus, F3, off, size);
	bus_unlock(&b->h->bus);
	return v;
}

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	slot_init(&b->slot, b->h);
	b->s = (struct ich9_smbus *)dev_new(&ich9_smbus_class, "smbus", &b->h->sv);
	b->s->bus = &b->slot.bus;
	b->s->ram_size = 1536 * MIB;
	smbus_bus_add(&b->s->smb,
		      &(struct smbus_slave){
			      .address = 0x2c, .put = echo_put, .get = echo_get, .ctx = &b->echo});
	harness_realize(b->h, &b->s->dev);
	config(b, 0x10, 4, MEM);
	config(b, 0x20, 4, IO);
	config(b, PCI_COMMAND, 2, 3);
	config(b, 0x40, 1, 1);
	return b;
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	free(b);
}

/* clang-format off */
static void test_ich9_config(void **state)
{
	static const struct { unsigned off, size; uint32_t want; } rows[] = {
		{0x00, 4, 0x29308086}, /* VID, DID */
		{0x06, 2, 0x0280},     /* PCISTS */
		{0x08, 4, 0x0c050002}, /* RID, PI, SCC, BCC: SMBus controller */
		{0x10, 4, MEM | 4},    /* SMBMBAR: 64-bit memory */
		{0x14, 4, 0},
		{0x20, 4, IO | 1},     /* SMB_BASE */
		{0x3d, 1, 3},          /* INT_PN; D31IP.SMIP after reset: INTC# */
		{0x40, 1, 1},          /* HOSTC */
	};
	struct box *b = box_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(config_read(b, rows[i].off, rows[i].size), rows[i].want);
	config(b, 0x20, 4, 0xffffffff);
	assert_int_equal(config_read(b, 0x20, 4), 0xffffffe1); /* 32 ports */
	config(b, 0x10, 4, 0xffffffff);
	assert_int_equal(config_read(b, 0x10, 4), 0xffffff04); /* 256 bytes */
	config(b, 0x40, 1, 0xff);
	assert_int_equal(config_read(b, 0x40, 1), 0x07); /* SSRESET falls by itself */
	box_free(b);
}

static const struct reg_row ich9_rows[] = {
	/* registers after reset */
	{IN8, IO + 2, 0}, {IN8, IO + 9, 0x44, .cite = "RCV_SLVA"}, {IN8, IO + 0x0e, 0x07, .cite = "SMLINK_PIN_CTL"}, {IN8, IO + 0x0f, 0x07, .cite = "SMBUS_PIN_CTL"},
	{OUT8, IO + 0x0f, 0}, {IN8, IO + 0x0f, 0x02, .cite = "SMBUS_PIN_CTL: the clock held low"}, {OUT8, IO + 0x0f, 4}, {OUT8, IO + 0x0e, 0xff}, {IN8, IO + 0x0e, 0x07},
	{OUT8, IO + 9, 0xff}, {IN8, IO + 9, 0x7f}, {OUT8, IO + 0x11, 0xff}, {IN8, IO + 0x11, 0x07, .cite = "SLV_CMD"}, {OUT8, IO + 0x11, 0},
	{OUT8, IO + 0x0d, 0xff}, {IN8, IO + 0x0d, 0x03, .cite = "AUX_CTL"}, {OUT8, IO + 0x0d, 0},
	{IN8, IO + 0x10, 0}, {IN8, IO + 0x14, 0}, {IN16, IO + 0x16, 0}, {IN16, IO + 0x0a, 0}, {IN8, IO + 0x0c, 0}, {IN8, IO + 1, 0}, {IN8, IO + 0x1f, 0},
	/* the semaphore */
	{IN8, IO, 0x00, .cite = "HST_STS: INUSE_STS, the first reader has it"}, {IN8, IO, 0x40}, {OUT8, IO, 0x00}, {IN8, IO, 0x40}, {OUT8, IO, 0x40}, {IN8, IO, 0}, {OUT8, IO, 0x40},
	/* quick, nobody, write protection; the same registers in memory */
	{OUT8, IO + 4, 0xa0}, {OUT8, IO + 2, 0x40}, {IN8, IO, 0x02, .cite = "quick: INTR"}, {IN8, IO + 2, 0, .cite = "START reads 0"}, {OUT8, IO, 0x42}, {READ8, MEM, 0, .cite = "SMBMBAR"},
	{OUT8, IO, 0x40}, {OUT8, IO + 4, 0xa4}, {WRITE8, MEM + 2, 0x40}, {IN8, IO, 0x04, .cite = "nobody at 52h: DEV_ERR"}, {OUT8, IO, 0x44},
	{OUT8, IO + 4, 0xa0}, {OUT8, IO + 3, 5}, {OUT8, IO + 2, 0x48}, {IN8, IO, 0x04, .cite = "write-protected"}, {OUT8, IO, 0x44},
	/* byte, byte data, word data */
	{OUT8, IO + 4, 0xa1}, {OUT8, IO + 3, 2}, {OUT8, IO + 2, 0x48}, {IN8, IO + 5, 8, .cite = "SPD byte 2: DDR2"},
	{OUT8, IO + 3, 3}, {OUT8, IO + 2, 0x4c}, {IN16, IO + 5, 0x0a0e, .cite = "word data: 14 rows, 10 columns"},
	{OUT8, IO + 2, 0x44}, {IN8, IO + 5, 0x60, .cite = "receive byte: goes on at 5"},
	{OUT8, IO + 4, 0xa0}, {OUT8, IO + 3, 73}, {OUT8, IO + 2, 0x44}, {OUT8, IO + 4, 0xa1}, {OUT8, IO + 2, 0x44}, {IN8, IO + 5, 'B', .cite = "send byte, receive byte"},
	{OUT8, IO, 0xff},
	/* process call to the echo */
	{OUT8, IO + 4, 0x58}, {OUT8, IO + 3, 9}, {OUT8, IO + 5, 0x12}, {OUT8, IO + 6, 0x34}, {OUT8, IO + 2, 0x50}, {IN8, IO, 0x02, .cite = "process call"}, {IN16, IO + 5, 0x3412}, {OUT8, IO, 0xff},
	/* block write and read with the buffer */
	{OUT8, IO + 0x0d, 2}, {IN8, IO + 2, 0x10, .cite = "HST_CNT: the buffer starts over"},
	{OUT8, IO + 5, 3}, {OUT8, IO + 7, 'x'}, {OUT8, IO + 7, 'y'}, {OUT8, IO + 7, 'z'}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x02, .cite = "block write"}, {OUT8, IO, 0xff},
	{OUT8, IO + 5, 33}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x04, .cite = "SMBus 5.5.7: at most 32 bytes"}, {OUT8, IO, 0xff},
	{OUT8, IO + 5, 0}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x04}, {OUT8, IO, 0xff},
	{IN8, IO + 2, 0x14}, {OUT8, IO + 7, 1}, {OUT8, IO + 7, 2}, {OUT8, IO + 5, 2}, {OUT8, IO + 2, 0x5c}, {IN8, IO, 0x02, .cite = "block process call"}, {IN8, IO + 5, 2}, {IN8, IO + 7, 1}, {IN8, IO + 7, 2}, {OUT8, IO, 0xff},
	{OUT8, IO + 4, 0xa1}, {OUT8, IO + 3, 1}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x02, .cite = "block read: SPD byte 1 is the count"}, {IN8, IO + 5, 8}, {IN8, IO + 7, 8}, {IN8, IO + 7, 0x0e}, {OUT8, IO, 0xff},
	{OUT8, IO + 3, 0}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x04, .cite = "5.21.1.1: a count of 128"}, {OUT8, IO, 0xff},
	{OUT8, IO + 0x0d, 0}, {OUT8, IO + 2, 0x5c}, {IN8, IO, 0x04, .cite = "5.21.1.1: needs the buffer"}, {OUT8, IO, 0xff},
	/* byte by byte: read */
	{OUT8, IO + 3, 6}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x04, .cite = "a count of 64"}, {OUT8, IO, 0xff},
	{OUT8, IO + 3, 20}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x81, .cite = "HST_STS: BYTE_DONE, and busy"}, {IN8, IO + 5, 2}, {IN8, IO + 7, 0},
	{OUT8, IO + 2, 0x54}, {IN8, IO, 0xc1, .cite = "no other command meanwhile"}, {OUT8, IO, 0xc0},
	{IN8, IO, 0x81, .cite = "the last byte"}, {IN8, IO + 7, 3}, {OUT8, IO, 0xc0}, {IN8, IO, 0x02, .cite = "HST_STS: INTR when that is cleared"}, {OUT8, IO, 0xff},
	{OUT8, IO + 3, 13}, {OUT8, IO + 2, 0x74}, {IN8, IO, 0x81}, {OUT8, IO, 0xc0}, {IN8, IO, 0x02, .cite = "HST_CNT: LAST_BYTE ends it early"}, {OUT8, IO, 0xff},
	/* byte by byte: write */
	{OUT8, IO + 4, 0x58}, {OUT8, IO + 5, 2}, {OUT8, IO + 7, 0xaa}, {OUT8, IO + 2, 0x14}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x81}, {OUT8, IO + 7, 0xbb}, {OUT8, IO, 0xc0}, {IN8, IO, 0x81}, {OUT8, IO, 0xc0}, {IN8, IO, 0x02}, {OUT8, IO, 0xff},
	{OUT8, IO + 4, 0xa0}, {OUT8, IO + 2, 0x54}, {IN8, IO, 0x04, .cite = "the count is not acknowledged"}, {OUT8, IO, 0xff},
	/* I2C read */
	{OUT8, IO + 6, 73}, {OUT8, IO + 2, 0x58}, {IN8, IO, 0x81, .cite = "5.21.1.1: I2C read from HST_D1 on"}, {IN8, IO + 7, 'B'}, {OUT8, IO, 0xc0}, {IN8, IO + 7, 'O'},
	{OUT8, IO + 2, 0x38}, {OUT8, IO, 0xc0}, {IN8, IO, 0x81}, {IN8, IO + 7, 'T', .cite = "LAST_BYTE"}, {OUT8, IO, 0xc0}, {IN8, IO, 0x02}, {OUT8, IO, 0xff},
	{OUT8, IO + 4, 0xa4}, {OUT8, IO + 2, 0x58}, {IN8, IO, 0x04, .cite = "nobody there"}, {OUT8, IO, 0xff},
	/* KILL */
	{OUT8, IO + 4, 0xa0}, {OUT8, IO + 2, 0x58}, {IN8, IO, 0x81}, {OUT8, IO + 2, 0x02}, {IN8, IO, 0xd0, .cite = "HST_CNT: FAILED, not busy"}, {IN8, IO + 2, 0x02, .cite = "until it is cleared"},
	{OUT8, IO, 0xff}, {OUT8, IO + 2, 0x42}, {IN8, IO, 0x10, .cite = "no command while it is set"}, {OUT8, IO + 2, 0}, {OUT8, IO, 0xff}, {IN8, IO, 0}, {OUT8, IO, 0x40},
};

/* Packet error codes (SMBus 5.4): HST_CNT PEC_EN, PEC, AUX_STS CRCE, AUX_CTL AAC */
static const struct reg_row pec_rows[] = {
	{OUT8, IO + 0x0d, 1}, {OUT8, IO + 4, 0x58}, {OUT8, IO + 3, 9}, {OUT8, IO + 5, 0x12}, {OUT8, IO + 6, 0x34}, {OUT8, IO + 2, 0xd0}, {IN8, IO, 0x02, .cite = "process call: the code fits"}, {IN8, IO + 0x0c, 0}, {OUT8, IO, 0xff},
	{OUT8, IO + 4, 0xa1}, {OUT8, IO + 3, 2}, {OUT8, IO + 2, 0xc8}, {IN8, IO, 0x04, .cite = "an EEPROM has none: DEV_ERR"}, {IN8, IO + 8, 0x0e, .cite = "what came in its place"}, {IN8, IO + 0x0c, 1, .cite = "CRCE"},
	{OUT8, IO + 0x0c, 0}, {IN8, IO + 0x0c, 1}, {OUT8, IO + 0x0c, 1}, {IN8, IO + 0x0c, 0}, {OUT8, IO, 0xff},
	{OUT8, IO + 0x0d, 0}, {OUT8, IO + 2, 0xc8}, {IN8, IO, 0x02, .cite = "without AAC software looks"}, {IN8, IO + 8, 0x0e}, {OUT8, IO, 0xff},
	{OUT8, IO + 4, 0x58}, {OUT8, IO + 5, 0x77}, {OUT8, IO + 8, 0x99}, {OUT8, IO + 2, 0xc8}, {IN8, IO, 0x02, .cite = "and sends what it made"}, {OUT8, IO, 0xff},
};
/* clang-format on */

static void test_ich9(void **state)
{
	struct box *b = box_new();

	harness_run(b->h, ich9_rows, ARRAY_SIZE(ich9_rows));
	assert_memory_equal(b->echo.kept, "\x0d\x02\xaa\xbb", 4);
	harness_run(b->h, pec_rows, ARRAY_SIZE(pec_rows));
	assert_memory_equal(b->echo.kept, "\x02\x77\x99", 3);
	harness_check_state_roundtrip(&b->s->dev);
	box_free(b);
}

/* A block under way goes on after a save and a load; one that contradicts itself is refused. */
static void test_ich9_state(void **state)
{
	struct box *b = box_new();
	struct error err = {0};

	outb(b->h, IO + 4, 0xa1);
	outb(b->h, IO + 3, 20);
	outb(b->h, IO + 2, 0x54);
	assert_int_equal(inb(b->h, IO), 0x81);
	harness_check_state_roundtrip(&b->s->dev);
	assert_int_equal(inb(b->h, IO + 7), 0);
	outb(b->h, IO, 0x80);
	assert_int_equal(inb(b->h, IO + 7), 3);
	bus_lock(&b->h->bus);
	b->s->s.status = 0x80;
	assert_int_equal(b->s->dev.cls->loaded(&b->s->dev, &err), -EINVAL);
	b->s->s.status = 0x01;
	assert_int_equal(b->s->dev.cls->loaded(&b->s->dev, &err), -EINVAL);
	b->s->s.status = 0xc1 & 0xbf;
	b->s->s.control = 0x1f;
	assert_int_equal(b->s->dev.cls->loaded(&b->s->dev, &err), 0);
	bus_unlock(&b->h->bus);
	/* HOSTC: SSRESET */
	config(b, 0x40, 1, 9);
	assert_int_equal(inb(b->h, IO) & 0xbf, 0);
	box_free(b);
}

/* HST_CNT INTREN, HOSTC HST_EN, SMB_SMI_EN */
static void test_ich9_interrupt(void **state)
{
	struct box *b = box_new();

	outb(b->h, IO + 4, 0xa0);
	outb(b->h, IO + 2, 0x41);
	assert_true(b->slot.irq);
	assert_int_equal(config_read(b, 6, 2) & 8, 8);
	outb(b->h, IO + 4, 0xa4);
	outb(b->h, IO + 2, 0x41); /* not before that is cleared */
	assert_int_equal(inb(b->h, IO), 0x02);
	outb(b->h, IO, 0x02);
	assert_false(b->slot.irq);
	outb(b->h, IO + 2, 0x41);
	assert_true(b->slot.irq);
	assert_int_equal(inb(b->h, IO) & 0xbf, 0x04);
	outb(b->h, IO + 2, 0);
	assert_false(b->slot.irq);
	outb(b->h, IO + 2, 1);
	assert_true(b->slot.irq);
	config(b, 0x40, 1, 3);
	assert_false(b->slot.irq);
	config(b, 0x40, 1, 1);
	outb(b->h, IO, 0xff);
	outb(b->h, IO + 4, 0xa0); /* a block: one interrupt a byte, and one at the end */
	outb(b->h, IO + 2, 0x59);
	assert_true(b->slot.irq);
	outb(b->h, IO + 2, 0x39);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(b->slot.irq);
		outb(b->h, IO, i < 2 ? 0x80 : 0x02);
	}
	assert_false(b->slot.irq);
	assert_int_equal(inb(b->h, IO) & 0xbf, 0);
	config(b, 0x40, 1, 0);
	outb(b->h, IO + 2, 0x41);
	assert_false(b->slot.irq);
	assert_int_equal(inb(b->h, IO) & 0xbf, 0);
	box_free(b);
}

/* HOSTC I2C_EN: no count before the bytes of a block, no command of a process call. */
static void test_ich9_i2c(void **state)
{
	struct box *b = box_new();

	config(b, 0x40, 1, 5);
	outb(b->h, IO + 4, 0x58);
	outb(b->h, IO + 3, 0x11);
	outb(b->h, IO + 5, 1);
	outb(b->h, IO + 7, 0xcc);
	outb(b->h, IO + 2, 0x54);
	assert_memory_equal(b->echo.kept, "\x11\xcc", 2);
	assert_int_equal(b->echo.n, 2);
	outb(b->h, IO, 0x80);
	assert_int_equal(inb(b->h, IO) & 0xbf, 0x02);
	outb(b->h, IO + 0x0d, 2);
	(void)inb(b->h, IO + 2);
	outb(b->h, IO + 7, 0xdd);
	outb(b->h, IO + 2, 0x54);
	assert_memory_equal(b->echo.kept, "\x11\xdd", 2);
	outb(b->h, IO + 5, 0x21);
	outb(b->h, IO + 6, 0x43);
	outb(b->h, IO + 2, 0x50);
	assert_memory_equal(b->echo.kept, "\x21\x43", 2);
	assert_int_equal(b->echo.n, 2);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_piix4),          cmocka_unit_test(test_ich9_config),
		cmocka_unit_test(test_ich9),           cmocka_unit_test(test_ich9_state),
		cmocka_unit_test(test_ich9_interrupt), cmocka_unit_test(test_ich9_i2c),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
