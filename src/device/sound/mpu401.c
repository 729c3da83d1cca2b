/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPU-401, as the Sound Blaster 16 has it at 330h: its UART mode, which passes MIDI bytes through.
 * Roland MPU-401 Technical Reference Manual; Creative, Sound Blaster Series Hardware Programming
 * Guide, 1996, chapter 5.
 *
 *   0 data · 1 status (bit 7: nothing to read, bit 6: can't be written), command
 *
 * FFh resets and 3Fh enters the UART mode; both are acknowledged with FEh, but a reset that leaves
 * the UART mode is not (HPG, 5). Bytes that wait for the guest keep the interrupt up.
 *
 * UNMODELLED: the intelligent mode: its other commands are acknowledged and do nothing.
 */
#include "device/sound/mpu401.h"

#include <string.h>

enum { CMD_RESET = 0xff, CMD_UART = 0x3f, ACK = 0xfe, EMPTY = 0x80, FULL = 0x40 };

static struct mpu401 *to_mpu(struct dev *d)
{
	return CONTAINER_OF(d, struct mpu401, dev);
}

static void drive(struct mpu401 *m)
{
	if (m->irq)
		m->irq(m->irq_ctx, m->s.n > 0);
}

static void put(struct mpu401 *m, uint8_t v)
{
	if (m->s.n < MPU401_FIFO)
		m->s.fifo[(m->s.at + m->s.n++) % MPU401_FIFO] = v;
	drive(m);
}

static void command(struct mpu401 *m, uint8_t v)
{
	bool was = m->s.uart;

	if (v == CMD_RESET) {
		m->s.uart = false;
		m->s.n = 0;
		drive(m);
		if (was)
			return;
	} else if (was) {
		return; /* only a reset leads out of it */
	}
	if (v == CMD_UART)
		m->s.uart = true;
	put(m, ACK);
}

static uint64_t mpu_read(struct dev *d, uint64_t off, unsigned size)
{
	struct mpu401 *m = to_mpu(d);
	uint8_t v = m->s.fifo[m->s.at];

	if (off)
		return (m->s.n ? 0 : EMPTY) | 0x3f;
	if (!m->s.n)
		return 0xff;
	m->s.at = (uint8_t)((m->s.at + 1) % MPU401_FIFO);
	m->s.n--;
	drive(m);
	if (m->chr)
		chr_poll_input(m->chr);
	return v;
}

static void mpu_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct mpu401 *m = to_mpu(d);
	uint8_t v = (uint8_t)val;

	if (off)
		command(m, v);
	else if (m->s.uart && m->chr)
		chr_write(m->chr, &v, 1); /* a host that takes nothing loses it, as a cable does */
}

static size_t can_receive(void *ctx)
{
	struct mpu401 *m = ctx;

	return m->s.uart ? (size_t)(MPU401_FIFO - m->s.n) : 0;
}

static void receive(void *ctx, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put(ctx, buf[i]);
}

static int mpu_realize(struct dev *d, struct error *err)
{
	struct mpu401 *m = to_mpu(d);
	const struct chr_handler h = {.can_receive = can_receive, .receive = receive, .ctx = m};

	if (m->chr)
		chr_set_handler(m->chr, &h);
	return 0;
}

static void mpu_unrealize(struct dev *d)
{
	if (to_mpu(d)->chr)
		chr_set_handler(to_mpu(d)->chr, NULL);
}

static void mpu_reset(struct dev *d, enum dev_reset kind)
{
	memset(&to_mpu(d)->s, 0, sizeof(to_mpu(d)->s));
	drive(to_mpu(d));
}

static int mpu_loaded(struct dev *d, struct error *err)
{
	drive(to_mpu(d));
	return 0;
}

/* clang-format off */
static const struct state_field mpu_fields[] = {
	STATE_BYTES_OF(struct mpu401_regs, fifo),
	STATE_VAL(struct mpu401_regs, n, .max = MPU401_FIFO),
	STATE_VAL(struct mpu401_regs, at, .max = MPU401_FIFO - 1),
	STATE_VAL(struct mpu401_regs, uart),
	STATE_PAD(struct mpu401_regs, pad_),
	STATE_END};

static const struct state_desc mpu_state = STATE_DESC("mpu401", 1, struct mpu401_regs, mpu_fields);

static const struct dev_region mpu_regions[] = {
	{"mpu401", DEV_PIO, 0x330, 2, WIDTH_124, WIDTH_1, mpu_read, mpu_write},
	{0}};
/* clang-format on */

const struct dev_class mpu401_class = {
	.name = "mpu401",
	.summary = "MPU-401, UART mode",
	.spec = "Roland MPU-401 Technical Reference Manual",
	.size = sizeof(struct mpu401),
	.regs_offset = offsetof(struct mpu401, s),
	.regions = mpu_regions,
	.state = &mpu_state,
	.realize = mpu_realize,
	.unrealize = mpu_unrealize,
	.reset = mpu_reset,
	.loaded = mpu_loaded,
};
