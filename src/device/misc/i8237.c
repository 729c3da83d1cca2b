/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 8237A DMA controllers, two of them as in the PC/AT, and the page registers.
 *
 * Documents: Intel 8237A data sheet (order 231466-005, "DS"); IBM PC/AT Technical Reference for the
 * cascade, the word channels and the page registers.
 *
 *   00-07  channels 0..3: address, count     c0-cf  channels 4..7, even ports
 *   08 command/status  09 request  0a single mask  0b mode  0c clear flip-flop
 *   0d temporary/master clear  0e clear mask  0f all masks          (d0-df likewise, even ports)
 *   81 82 83 87  pages of channels 2 3 1 0   89 8a 8b  pages of channels 6 7 5   others: latches
 *
 * Devices use the two service functions; a transfer then happens in one piece instead of a bus
 * cycle at a time. A device that moves data at its own pace is asked to catch up before an access.
 * The address counter wraps inside its 64 KiB (128 KiB) page, as on the AT. A transfer never leaves
 * guest RAM.
 *
 * UNMODELLED: DREQ lines (status bits 7:4 show software requests only), memory-to-memory transfers
 * and block transfers by software request (an AT cannot use them), compressed timing.
 */
#include "device/misc/i8237.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum { R_COMMAND = 8, R_REQUEST, R_MASK_ONE, R_MODE, R_FLIP_FLOP, R_CLEAR, R_UNMASK, R_MASK_ALL };
enum { COMMAND_OFF = 0x04, MODE_AUTO = 0x10, MODE_DOWN = 0x20, MODE_CASCADE = 0xc0 };
enum { MODE_KIND = 0x0c, KIND_VERIFY = 0x00, KIND_WRITE = 0x04, KIND_READ = 0x08 };
enum { BIT_SET = 0x04, MODE_MASK = 0xfc };

/* Page register (port - 80h) of each channel; 4 is the cascade, its register the refresh page. */
static const uint8_t page_of[I8237_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

static struct i8237 *to_dma(struct dev *d)
{
	return CONTAINER_OF(d, struct i8237, dev);
}

/* ------------------------------------------------------------------ transfers */

/* May channel @chan move data of @kind (or verify)? */
static bool channel_ready(const struct i8237 *dma, unsigned chan, uint8_t kind)
{
	const struct i8237_chip *c, *master = &dma->s.chip[1];
	uint8_t mode;

	if (chan >= I8237_CHANNELS || chan == 4)
		return false;
	c = &dma->s.chip[chan / 4];
	mode = c->ch[chan % 4].mode;
	if ((c->command & COMMAND_OFF) || (c->mask & BIT(chan % 4)))
		return false;
	/* The first controller gets the bus through channel 4. */
	if (chan < 4 && ((master->command & COMMAND_OFF) || (master->mask & 1)))
		return false;
	if ((mode & MODE_CASCADE) == MODE_CASCADE)
		return false;
	return (mode & MODE_KIND) == kind || (mode & MODE_KIND) == KIND_VERIFY;
}

/* Guest-physical address of the channel's current unit. */
static gpa_t unit_addr(const struct i8237 *dma, unsigned chan)
{
	uint16_t at = dma->s.chip[chan / 4].ch[chan % 4].addr;
	gpa_t page = dma->s.page[page_of[chan]];

	return chan < 4 ? page << 16 | at : (page & 0xfe) << 16 | (gpa_t)at << 1;
}

/* DS, "Autoinitialize": terminal count reloads, or masks the channel. */
static void terminal_count(struct i8237_chip *c, unsigned n)
{
	struct i8237_channel *ch = &c->ch[n];

	c->tc |= (uint8_t)BIT(n);
	c->request &= (uint8_t)~BIT(n);
	if (ch->mode & MODE_AUTO) {
		ch->addr = ch->base_addr;
		ch->count = ch->base_count;
	} else {
		c->mask |= (uint8_t)BIT(n);
	}
}

/* Move @units units one by one or, counting up, as far as they lie in one piece. Returns bytes. */
static size_t move_run(struct i8237 *dma, unsigned chan, uint8_t *to_dev, const uint8_t *from_dev,
		       size_t units)
{
	struct i8237_channel *ch = &dma->s.chip[chan / 4].ch[chan % 4];
	size_t unit = chan < 4 ? 1 : 2;
	size_t n = ch->mode & MODE_DOWN ? 1 : MIN(units, (size_t)0x10000 - ch->addr);
	gpa_t at = unit_addr(dma, chan);

	n = MIN(n, (size_t)ch->count + 1);
	if ((ch->mode & MODE_KIND) == KIND_VERIFY) {
		if (to_dev)
			memset(to_dev, 0, n * unit);
	} else if (to_dev) {
		if (dma_read(&dma->dev, at, to_dev, n * unit))
			memset(to_dev, 0xff, n * unit);
	} else if (dma_write(&dma->dev, at, from_dev, n * unit)) {
		guest_error(&dma->dev, "channel %u: write to %#llx, which is not RAM", chan,
			    (unsigned long long)at);
	}
	ch->addr = (uint16_t)(ch->mode & MODE_DOWN ? ch->addr - n : ch->addr + n);
	ch->count = (uint16_t)(ch->count - n);
	return n * unit;
}

static size_t transfer(struct i8237 *dma, unsigned chan, uint8_t *to_dev, const uint8_t *from_dev,
		       size_t len, bool *ret_tc)
{
	size_t unit = chan < 4 ? 1 : 2, done = 0;
	bool tc = false;

	if (channel_ready(dma, chan, to_dev ? KIND_READ : KIND_WRITE)) {
		struct i8237_chip *c = &dma->s.chip[chan / 4];
		const struct i8237_channel *ch = &c->ch[chan % 4];

		while (!tc && len - done >= unit) {
			done += move_run(dma, chan, to_dev ? to_dev + done : NULL,
					 from_dev ? from_dev + done : NULL, (len - done) / unit);
			tc = ch->count == 0xffff;
		}
		if (tc)
			terminal_count(c, chan % 4);
	}
	if (ret_tc)
		*ret_tc = tc;
	return done;
}

size_t dma8237_read(struct i8237 *dma, unsigned chan, void *buf, size_t len, bool *ret_tc)
{
	return transfer(dma, chan, buf, NULL, len, ret_tc);
}

size_t dma8237_write(struct i8237 *dma, unsigned chan, const void *buf, size_t len, bool *ret_tc)
{
	return transfer(dma, chan, NULL, buf, len, ret_tc);
}

int dma8237_attach(struct i8237 *dma, void (*catch_up)(void *ctx), void *ctx)
{
	for (unsigned i = 0; i < I8237_USERS; i++)
		if (!dma->user[i].catch_up) {
			dma->user[i].catch_up = catch_up;
			dma->user[i].ctx = ctx;
			return 0;
		}
	return -ENOSPC;
}

void dma8237_detach(struct i8237 *dma, const void *ctx)
{
	for (unsigned i = 0; i < I8237_USERS; i++)
		if (dma->user[i].ctx == ctx)
			dma->user[i].catch_up = NULL;
}

/* ------------------------------------------------------------------ registers */

static struct i8237_chip *chip_now(struct dev *d, unsigned n)
{
	struct i8237 *dma = to_dma(d);

	for (unsigned i = 0; i < I8237_USERS; i++)
		if (dma->user[i].catch_up)
			dma->user[i].catch_up(dma->user[i].ctx);
	return &dma->s.chip[n];
}

static uint8_t chip_read(struct i8237_chip *c, unsigned reg)
{
	const struct i8237_channel *ch = &c->ch[reg / 2 & 3];
	uint16_t v = reg & 1 ? ch->count : ch->addr;
	uint8_t status;

	if (reg < R_COMMAND) {
		c->high_byte = !c->high_byte;
		return (uint8_t)(c->high_byte ? v : v >> 8);
	}
	switch (reg) {
	case R_COMMAND:
		status = (uint8_t)(c->tc | c->request << 4);
		c->tc = 0; /* DS, "Status register": cleared by a read */
		return status;
	case R_CLEAR: return c->temporary;
	case R_MASK_ALL: return c->mask | 0xf0; /* PIIX4, 4.2.1.8: reads back there */
	default: return 0xff;
	}
}

static void set_byte(uint16_t *v, bool high, uint8_t val)
{
	*v = (uint16_t)(high ? (*v & 0xff) | val << 8 : (*v & 0xff00) | val);
}

/* DS, "Programming the 8237A": base and current are written together, a byte at a time, low first.
 */
static void channel_write(struct i8237_chip *c, unsigned reg, uint8_t val)
{
	struct i8237_channel *ch = &c->ch[reg / 2];

	set_byte(reg & 1 ? &ch->base_count : &ch->base_addr, c->high_byte, val);
	set_byte(reg & 1 ? &ch->count : &ch->addr, c->high_byte, val);
	c->high_byte = !c->high_byte;
}

static void master_clear(struct i8237_chip *c)
{
	c->command = 0;
	c->tc = 0;
	c->request = 0;
	c->temporary = 0;
	c->high_byte = false;
	c->mask = 0x0f;
}

static void chip_write(struct i8237_chip *c, unsigned reg, uint8_t val)
{
	uint8_t bit = (uint8_t)BIT(val & 3);

	switch (reg) {
	case R_COMMAND: c->command = val; break;
	case R_REQUEST: c->request = val & BIT_SET ? c->request | bit : c->request & ~bit; break;
	case R_MASK_ONE: c->mask = val & BIT_SET ? c->mask | bit : c->mask & ~bit; break;
	case R_MODE: c->ch[val & 3].mode = val & MODE_MASK; break;
	case R_FLIP_FLOP: c->high_byte = false; break;
	case R_CLEAR: master_clear(c); break;
	case R_UNMASK: c->mask = 0; break;
	case R_MASK_ALL: c->mask = val & 0x0f; break;
	default: channel_write(c, reg, val); break;
	}
}

static uint64_t dma1_read(struct dev *d, uint64_t off, unsigned size)
{
	return chip_read(chip_now(d, 0), (unsigned)off);
}

static void dma1_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	chip_write(chip_now(d, 0), (unsigned)off, (uint8_t)val);
}

/* The second controller's A0 is the bus's A1. */
static uint64_t dma2_read(struct dev *d, uint64_t off, unsigned size)
{
	return chip_read(chip_now(d, 1), (unsigned)off >> 1);
}

static void dma2_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	chip_write(chip_now(d, 1), (unsigned)off >> 1, (uint8_t)val);
}

static uint64_t page_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_dma(d)->s.page[(off + 1) & (I8237_PAGES - 1)];
}

static void page_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	to_dma(d)->s.page[(off + 1) & (I8237_PAGES - 1)] = (uint8_t)val;
}

/* DS, "Reset": as master clear; the channels' own registers keep what they had, zero when cold. */
static void i8237_reset(struct dev *d, enum dev_reset kind)
{
	struct i8237 *dma = to_dma(d);

	if (kind == DEV_RESET_COLD)
		memset(&dma->s, 0, sizeof(dma->s));
	for (unsigned i = 0; i < 2; i++)
		master_clear(&dma->s.chip[i]);
}

/* clang-format off */
static const struct state_field channel_fields[] = {
	STATE_VAL(struct i8237_channel, base_addr),
	STATE_VAL(struct i8237_channel, base_count),
	STATE_VAL(struct i8237_channel, addr),
	STATE_VAL(struct i8237_channel, count),
	STATE_VAL(struct i8237_channel, mode, .max = MODE_MASK),
	STATE_PAD(struct i8237_channel, pad_),
	STATE_END};

static const struct state_field chip_fields[] = {
	STATE_STRUCTS(struct i8237_chip, ch, channel_fields),
	STATE_VAL(struct i8237_chip, command),
	STATE_VAL(struct i8237_chip, tc, .max = 15),
	STATE_VAL(struct i8237_chip, request, .max = 15),
	STATE_VAL(struct i8237_chip, mask, .max = 15),
	STATE_VAL(struct i8237_chip, temporary),
	STATE_VAL(struct i8237_chip, high_byte),
	STATE_END};

static const struct state_field i8237_fields[] = {
	STATE_STRUCTS(struct i8237_regs, chip, chip_fields),
	STATE_BYTES_OF(struct i8237_regs, page),
	STATE_END};

static const struct state_desc i8237_state =
	STATE_DESC("i8237", 1, struct i8237_regs, i8237_fields);

static const struct dev_region i8237_regions[] = {
	{"dma1",      DEV_PIO, 0x00, 16, WIDTH_124, WIDTH_1, dma1_read, dma1_write},
	{"dma2",      DEV_PIO, 0xc0, 32, WIDTH_124, WIDTH_1, dma2_read, dma2_write},
	{"dma-pages", DEV_PIO, 0x81, 15, WIDTH_124, WIDTH_1, page_read, page_write},
	{0}};
/* clang-format on */

const struct dev_class i8237_class = {
	.name = "i8237",
	.summary = "AT DMA controllers",
	.spec = "Intel 8237A, order 231466-005",
	.size = sizeof(struct i8237),
	.regs_offset = offsetof(struct i8237, s),
	.regions = i8237_regions,
	.state = &i8237_state,
	.reset = i8237_reset,
};
