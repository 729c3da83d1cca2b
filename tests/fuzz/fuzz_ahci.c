/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AHCI host bus adapter with a disk and a CD drive against a hostile driver: any register
 * access, plausible commands, queued and not, with scatter lists of any contents, disks that finish
 * late, fail or have no room, media changes, resets, and snapshots with bytes changed. Guest memory
 * changes after each of the device's reads (mem_read is wrapped).
 */
#include "changing.h"
#include "checked.h"
#include "ahci_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { OPS = 300 };

static struct ahci_rig *g;

static void table(struct fuzz_input *in, unsigned port, unsigned slot, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t how = fuzz_u8(in);
		uint32_t at = (uint32_t)fuzz_u16(in) << 8;

		ahci_rig_prd(g, port, slot, i, how & 0x80 ? at << (how & 15) : at,
			     how & 1 ? 512u * (1 + (how >> 1 & 31)) : 1u + fuzz_u16(in) % 9000);
	}
}

static void command(struct fuzz_input *in)
{
	static const uint8_t cmds[] = {0x20, 0x25, 0x24, 0x35, 0x3d, 0xc8, 0xca, 0xec, 0xef,
				       0x06, 0xb0, 0x2f, 0xe7, 0xea, 0xe4, 0xe8, 0x39, 0xc6,
				       0x60, 0x61, 0x60, 0x61, 0x60, 0x61, 0x90, 0x42};
	uint8_t how = fuzz_u8(in);
	unsigned slot = fuzz_u8(in) & 31, n = how & 15;
	uint8_t *fis = ahci_rig_slot(g, 0, slot, n);
	uint16_t count = fuzz_u8(in) & (how & 0x20 ? 255 : 15);

	ahci_rig_fis(fis, cmds[fuzz_u8(in) % sizeof(cmds)], fuzz_u16(in) & 0x1fff, count);
	fis[3] = fuzz_u8(in);
	if (fis[2] == 0x60 || fis[2] == 0x61) {
		fis[3] &= 15;
		fis[12] = (uint8_t)(slot << 3);
		fis[13] = 0;
	} else if (fis[2] == 0xb0) {
		fis[3] = 0xd0 | (fis[3] & 15);
		fis[5] = 0x4f;
		fis[6] = 0xc2;
	} else if (fis[2] == 0x06) {
		fis[3] = 1;
	}
	if (how & 0x40)
		fis[fuzz_u8(in) & 31] = fuzz_u8(in);
	table(in, 0, slot, n);
	if (fis[2] == 0x60 || fis[2] == 0x61)
		ahci_rig_write(g, 0, 0x34, 1u << slot);
	ahci_rig_write(g, 0, 0x38, 1u << slot);
}

static void packet(struct fuzz_input *in)
{
	static const uint8_t ops[] = {0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x28,
				      0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a, 0xa8, 0xad, 0xbe};
	uint8_t how = fuzz_u8(in);
	unsigned slot = fuzz_u8(in) & 31;
	uint8_t *fis = ahci_rig_slot(g, 1, slot, how & 7);

	ahci_rig_fis(fis, how & 0x10 ? 0xa1 : 0xa0, 0, 0);
	fis[3] = how >> 5 & 1;
	fis[0x40] = ops[fuzz_u8(in) % sizeof(ops)];
	for (unsigned i = 1; i < 12; i++)
		fis[0x40 + i] =
			i == 1 || i >= 5 || (how & 0x80) ? fuzz_u8(in) & (i == 7 ? 3 : 0xff) : 0;
	table(in, 1, slot, how & 7);
	ahci_rig_write(g, 1, 0x38, 1u << slot);
}

static void access_any(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint32_t off = how & 1 ? fuzz_u8(in) & 0x3c : 0x100 + (fuzz_u8(in) & 0xbc);
	uint32_t val = how & 2 ? fuzz_u32(in) : fuzz_u8(in) & 0x1f;

	switch (how >> 4 & 3) {
	case 0: writel(g->h, AHCI_RIG_BAR + off, val); break;
	case 1: writeb(g->h, AHCI_RIG_BAR + off + (how >> 6), (uint8_t)val); break;
	case 2: writel(g->h, AHCI_RIG_BAR + 0x100 + (how & 0x80) + 0x18, val & 0x1f); break;
	default: (void)readl(g->h, AHCI_RIG_BAR + off);
	}
}

/* The disk of port 0 is pulled out or put in again. */
static void plug(bool in)
{
	struct ide_drive *d = &g->a->port[0].ch.drive[0];
	struct error err = {0};

	if (in == d->present)
		return;
	if (in)
		*d = (struct ide_drive){.block = g->b[0]};
	check(ahci_plug(g->a, 0, in, &err) == 0);
}

static void disk_event(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	struct block *b = g->b[how & 1];

	bus_lock(&g->h->bus);
	switch (how >> 4) {
	case 15: plug(how & 8); break;
	case 0 ... 3:
	case 8 ... 11: fake_block_run(b, 1 + (how & 7), how & 8); break;
	case 4:
	case 12:
		b->no_space = how & 8;
		if (!b->no_space)
			block_retry(b);
		break;
	case 5:
	case 13: b->fail = -5; break;
	case 6:
	case 14: b->read_only = how & 8; break;
	default: ide_set_medium(&g->a->port[1].ch, 0, how & 8 ? g->b[1] : NULL);
	}
	bus_unlock(&g->h->bus);
}

static void run_op(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 16) {
	case 0 ... 5: command(in); break;
	case 6 ... 8: packet(in); break;
	case 9: access_any(in); break;
	case 10 ... 12: disk_event(in); break;
	case 13:
		ahci_rig_enable_pci(g);
		ahci_rig_start(g, fuzz_u8(in) & 1);
		break;
	case 14: /* COMRESET */
		ahci_rig_write(g, 0, 0x2c, 0x301);
		ahci_rig_write(g, 0, 0x2c, 0x300);
		break;
	default: changing_state(g->h, &g->a->dev, in, g->b, AHCI_RIG_DISKS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct checked seen;

	if (!g) {
		g = ahci_rig_new();
		log_set_level(LOG_ERR);
	}
	bus_lock(&g->h->bus);
	for (unsigned i = 0; i < AHCI_RIG_DISKS; i++) {
		g->b[i]->no_space = g->b[i]->read_only = false;
		g->b[i]->fail = 0;
		block_retry(g->b[i]);
	}
	plug(true);
	dev_reset(&g->a->dev, DEV_RESET_COLD);
	ide_set_medium(&g->a->port[1].ch, 0, g->b[1]);
	bus_unlock(&g->h->bus);
	ahci_rig_enable_pci(g);
	ahci_rig_start(g, 0);
	ahci_rig_start(g, 1);
	changing_start(g->h, &in, 0x80);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(&in);
		checked(&seen, g->a->dev.cls->state, &g->a->s);
	}
	changing_stop();
	return 0;
}
