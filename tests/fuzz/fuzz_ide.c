/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PIIX3 IDE function with two disks and a CD drive against a hostile driver: any register
 * access, plausible commands and packets (to get deep quickly), descriptor tables from raw bytes,
 * disks that finish late, fail or have no room, media changes, resets, and snapshots with bytes
 * changed. Guest memory changes after each of the device's reads (mem_read is wrapped).
 */
#include "changing.h"
#include "checked.h"
#include "ide_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { OPS = 300, PRDT = 0x1000 };

static struct ide_rig *g;

static void command(struct fuzz_input *in)
{
	static const uint8_t cmds[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x06, 0xa0,
				       0xa0, 0xa0, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xce, 0xe7, 0xec,
				       0xa1, 0x3d, 0x91, 0xef, 0x90, 0x08, 0xe4, 0xe8, 0xf8, 0x40};
	uint8_t how = fuzz_u8(in);
	uint16_t port = how & 1 ? 0x170 : 0x1f0;

	outb(g->h, port + 6, (uint8_t)((how & 2 ? 0xe0 : 0xa0) | (how & 4 ? 0x10 : 0)));
	outb(g->h, port + 1, fuzz_u8(in) & 3);
	if (how & 8) {
		outb(g->h, port + 2, 0);
		outb(g->h, port + 3, 0);
	}
	outb(g->h, port + 2, fuzz_u8(in));
	outb(g->h, port + 3, fuzz_u8(in));
	outb(g->h, port + 4, how & 16 ? fuzz_u8(in) : 0);
	outb(g->h, port + 5, how & 32 ? fuzz_u8(in) : 0);
	if (how >= 0xe0) { /* SMART */
		outb(g->h, port + 1, 0xd0 | (fuzz_u8(in) & 15));
		outb(g->h, port + 4, 0x4f);
		outb(g->h, port + 5, 0xc2);
		outb(g->h, port + 7, 0xb0);
		return;
	}
	outb(g->h, port + 7, cmds[fuzz_u8(in) % sizeof(cmds)]);
}

static void packet(struct fuzz_input *in)
{
	static const uint8_t ops[] = {0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25,
				      0x28, 0x28, 0x2b, 0x42, 0x43, 0x46, 0x4a, 0x51,
				      0x52, 0x55, 0x5a, 0xa8, 0xad, 0xb9, 0xbd, 0xbe};
	uint8_t p[12] = {ops[fuzz_u8(in) % sizeof(ops)]}, how = fuzz_u8(in);

	for (unsigned i = 1; i < 12; i++)
		p[i] = i == 1 || i >= 5 || (how & 0x80) ? fuzz_u8(in) & (i == 7 ? 3 : 0xff) : 0;
	outb(g->h, 0x176, 0xa0);
	outb(g->h, 0x171, how & 1);
	outb(g->h, 0x174, fuzz_u8(in));
	outb(g->h, 0x175, how & 2 ? 0 : 8);
	outb(g->h, 0x177, 0xa0);
	for (unsigned i = 0; i < 12; i += 2)
		outw(g->h, 0x170, ld_le16(p + i));
}

static void table(struct fuzz_input *in)
{
	unsigned n = 1 + (fuzz_u8(in) & 15), ch = fuzz_u8(in) & 8;

	for (unsigned i = 0; i < n; i++) {
		st_le32(ram(g->h, PRDT + 8 * i), fuzz_u16(in) << (fuzz_u8(in) & 15));
		st_le32(ram(g->h, PRDT + 8 * i + 4), fuzz_u16(in) & 0xfff);
	}
	ram(g->h, PRDT + 8 * n - 1)[0] = 0x80;
	outl(g->h, IDE_RIG_BM + 4 + ch, PRDT + (fuzz_u8(in) & 4));
	outb(g->h, IDE_RIG_BM + ch, 0);
	outb(g->h, IDE_RIG_BM + ch, fuzz_u8(in) & 9);
}

static void access_any(struct fuzz_input *in)
{
	static const uint16_t base[] = {0x1f0, 0x170, 0x3f6, 0x376, IDE_RIG_BM, IDE_RIG_BM + 8};
	uint8_t how = fuzz_u8(in);
	uint16_t port =
		(uint16_t)(base[how % 6] + (how % 6 == 2 || how % 6 == 3 ? 0 : how >> 3 & 7));

	switch (fuzz_u8(in) % 6) {
	case 0: outb(g->h, port, fuzz_u8(in)); break;
	case 1: outw(g->h, port, fuzz_u16(in)); break;
	case 2: outl(g->h, port, fuzz_u32(in)); break;
	case 3: (void)inb(g->h, port); break;
	case 4: (void)inw(g->h, port); break;
	default: (void)inl(g->h, port); break;
	}
}

/* Much data through a data port. */
static void stream(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint16_t port = how & 1 ? 0x170 : 0x1f0;

	for (unsigned i = 0; i < (how & 0x80 ? 4096u : 128u); i++)
		if (how & 2)
			outl(g->h, port, i * 0x01010101);
		else
			(void)inl(g->h, port);
}

static void disk_event(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	struct block *b = g->b[how % IDE_RIG_DISKS];

	bus_lock(&g->h->bus);
	switch (how >> 4 & 3) {
	case 0:
	case 1: fake_block_run(b, 4, false); break;
	case 2:
		b->no_space = how & 8;
		if (!b->no_space)
			block_retry(b);
		break;
	default:
		if (how & 8)
			b->fail = -5;
		else
			ide_set_medium(&g->ide->ch[1], 0, how & 0x80 ? g->b[2] : NULL);
	}
	bus_unlock(&g->h->bus);
}

static void run_op(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 12) {
	case 0 ... 2: command(in); break;
	case 3 ... 4: packet(in); break;
	case 5: table(in); break;
	case 6: access_any(in); break;
	case 7: stream(in); break;
	case 8 ... 9: disk_event(in); break;
	case 10: ide_rig_enable(g); break;
	default: changing_state(g->h, &g->ide->dev, in, g->b, IDE_RIG_DISKS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct checked seen;

	if (!g) {
		g = ide_rig_new();
		log_set_level(LOG_ERR);
	}
	for (unsigned i = 0; i < IDE_RIG_DISKS; i++) {
		g->b[i]->no_space = false;
		g->b[i]->fail = 0;
	}
	bus_lock(&g->h->bus);
	for (unsigned i = 0; i < IDE_RIG_DISKS; i++)
		block_retry(g->b[i]);
	dev_reset(&g->ide->dev, DEV_RESET_COLD);
	ide_set_medium(&g->ide->ch[1], 0, g->b[2]);
	bus_unlock(&g->h->bus);
	ide_rig_enable(g);
	changing_start(g->h, &in, 0x80);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(&in);
		checked(&seen, g->ide->dev.cls->state, &g->ide->s);
	}
	changing_stop();
	return 0;
}
