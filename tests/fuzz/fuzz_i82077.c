/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The diskette controller with two drives and a DMA controller against a hostile driver: whole
 * commands and single register accesses, DMA set up or not, time, diskettes that fail, have no room
 * or change, resets, and snapshots with bytes changed.
 */
#include "changing.h"
#include "checked.h"
#include "device/misc/i8237.h"
#include "device/storage/i82077.h"
#include "fake_block.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { OPS = 300 };

static struct {
	struct harness *h;
	struct i8237 *dma;
	struct i82077 *fdc;
	struct block *b[2];
} g;

static void set_up(void)
{
	if (g.h)
		return;
	g.h = harness_new();
	g.dma = (struct i8237 *)dev_new(&i8237_class, "dma", &g.h->sv);
	harness_realize(g.h, &g.dma->dev);
	g.fdc = (struct i82077 *)dev_new(&i82077_class, "fdc", &g.h->sv);
	g.fdc->dma = g.dma;
	for (unsigned i = 0; i < 2; i++) {
		g.b[i] = fake_block_new(i ? 160 * KIB : 1440 * KIB);
		g.fdc->drive[i].present = true;
		g.fdc->drive[i].block = g.b[i];
	}
	harness_realize(g.h, &g.fdc->dev);
	log_set_level(LOG_ERR);
}

static void command(struct fuzz_input *in)
{
	static const uint8_t ops[] = {0x46, 0xe6, 0x45, 0xc5, 0x4d, 0x02, 0x4a, 0x4c, 0x49, 0x51,
				      0xd9, 0x5d, 0x16, 0xd6, 0x07, 0x0f, 0x8f, 0xcf, 0x08, 0x03,
				      0x13, 0x12, 0x14, 0x94, 0x0e, 0x10, 0x04, 0x6c};
	uint8_t how = fuzz_u8(in), op = ops[fuzz_u8(in) % sizeof(ops)];
	uint8_t c = fuzz_u8(in) & 3, h = how & 1;

	outb(g.h, 0x3f7, how >> 6);
	outb(g.h, 0x3f5, op);
	outb(g.h, 0x3f5, (uint8_t)((how >> 1 & 1) | h << 2 | (how & 0x10 ? 0x80 : 0)));
	if (op == 0x08 || op == 0x0e || op == 0x10 || (op & 0x7f) == 0x14)
		return;
	outb(g.h, 0x3f5, op == 0x4d ? 2 : c);
	outb(g.h, 0x3f5, op == 0x4d ? fuzz_u8(in) & 31 : h);
	outb(g.h, 0x3f5, fuzz_u8(in) & 31);
	outb(g.h, 0x3f5, how & 0x20 ? fuzz_u8(in) : 2);
	outb(g.h, 0x3f5, fuzz_u8(in) & 31);
	outb(g.h, 0x3f5, 0x1b);
	outb(g.h, 0x3f5, fuzz_u8(in));
}

static void dma(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	outb(g.h, 0xd6, 0xc0); /* channel 4: cascade */
	outb(g.h, 0xd4, 0x00);
	outb(g.h, 0x0c, 0);
	outb(g.h, 0x0b, (uint8_t)(0x42 | (how & 0x3c)));
	outb(g.h, 0x04, fuzz_u8(in));
	outb(g.h, 0x04, fuzz_u8(in));
	outb(g.h, 0x05, fuzz_u8(in));
	outb(g.h, 0x05, fuzz_u8(in) & 31);
	outb(g.h, 0x81, how & 1 ? 0xff : 0);
	outb(g.h, 0x0a, how & 2 ? 6 : 2);
}

static void disk_event(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	struct block *b = g.b[how & 1];
	struct error err;

	bus_lock(&g.h->bus);
	switch (how >> 1 & 7) {
	case 0 ... 3: fake_block_run(b, 3, false); break;
	case 4:
		b->no_space = how & 0x10;
		if (!b->no_space)
			block_retry(b);
		break;
	case 5: b->fail = -5; break;
	case 6: b->read_only = how & 0x10; break;
	default: check(i82077_set_medium(g.fdc, how & 1, how & 0x10 ? b : NULL, &err) == 0);
	}
	bus_unlock(&g.h->bus);
}

static void run_op(struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in);

	switch (op & 15) {
	case 0 ... 3: command(in); break;
	case 4: dma(in); break;
	case 5: outb(g.h, (uint16_t)(0x3f2 + (op >> 4) % 6), fuzz_u8(in)); break;
	case 6: (void)inb(g.h, (uint16_t)(0x3f2 + (op >> 4) % 6)); break;
	case 7:
		for (unsigned i = 0; i < 600; i++)
			if (op & 0x80)
				outb(g.h, 0x3f5, (uint8_t)i);
			else
				(void)inb(g.h, 0x3f5);
		break;
	case 8 ... 10: harness_step(g.h, fuzz_u16(in) * 100u); break;
	case 11 ... 13: disk_event(in); break;
	case 14: outb(g.h, 0x3f2, op & 0x10 ? 0x1c : 0x18); break;
	default: changing_state(g.h, &g.fdc->dev, in, g.b, 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct checked seen;
	struct error err = {0};

	set_up();
	bus_lock(&g.h->bus);
	for (unsigned i = 0; i < 2; i++) {
		g.b[i]->no_space = g.b[i]->read_only = false;
		g.b[i]->fail = 0;
		block_retry(g.b[i]);
		check(i82077_set_medium(g.fdc, i, g.b[i], &err) == 0);
	}
	dev_reset(&g.fdc->dev, DEV_RESET_COLD);
	dev_reset(&g.dma->dev, DEV_RESET_COLD);
	bus_unlock(&g.h->bus);
	outb(g.h, 0x3f2, 0x1c);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(&in);
		checked(&seen, g.fdc->dev.cls->state, &g.fdc->s);
	}
	return 0;
}
