/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards against a hostile driver: any register access, plausible values in the registers
 * that point to rings, descriptors from raw bytes, frames of all lengths, a full back end, a cable
 * that is pulled, time, resets, and snapshots with bytes changed. The first byte picks the card.
 * Guest memory changes after each of the device's reads (mem_read is wrapped).
 */
#include "changing.h"
#include "checked.h"
#include "device/net/e1000.h"
#include "device/net/ne2000.h"
#include "device/net/rtl8139.h"
#include "nic_rig.h"

#include "base/log.h"

enum { OPS = 300, RINGS = 0x4000, RIG_INPUTS = 64 }; /* inputs until a new machine is made */

struct card {
	const struct dev_class *cls;
	int mem, io; /* BARs; -1: none */
	void (*wire)(struct nic_rig *g, struct dev *d);
	void (*start)(struct nic_rig *g, struct fuzz_input *in); /* as a driver does */
	uint32_t size;                                           /* of the registers */
	const uint16_t *hot; /* registers worth a look; ends with ffffh */
};

static struct nic_rig *g;

static void wire_e1000(struct nic_rig *r, struct dev *d)
{
	struct e1000 *e = (struct e1000 *)d;

	e->bus = &r->bus;
	e->net = r->net;
	memcpy(e->mac, nic_rig_mac, 6);
}

static void start_e1000(struct nic_rig *r, struct fuzz_input *in)
{
	static const uint16_t base[2] = {0x2800, 0x3800};

	for (unsigned i = 0; i < 2; i++) {
		writel(r->h, NIC_RIG_MMIO + base[i], RINGS + (fuzz_u8(in) & 0xf0u));
		writel(r->h, NIC_RIG_MMIO + base[i] + 4, 0);
		writel(r->h, NIC_RIG_MMIO + base[i] + 8, 128u << (fuzz_u8(in) & 3));
		writel(r->h, NIC_RIG_MMIO + base[i] + 16, fuzz_u8(in) & 15);
	}
	writel(r->h, NIC_RIG_MMIO + 0x100, (fuzz_u32(in) & 0x07ffffff) | 2);
	writel(r->h, NIC_RIG_MMIO + 0x400, 0x0004010a);
	writel(r->h, NIC_RIG_MMIO + 0x3818, fuzz_u8(in) & 15);
}

static const uint16_t hot_e1000[] = {
	0x0000, 0x0008, 0x0010, 0x0014, 0x0020, 0x00c0, 0x00c4, 0x00c8, 0x00d0, 0x00d8, 0x0100,
	0x0400, 0x2800, 0x2808, 0x2810, 0x2818, 0x2820, 0x282c, 0x3800, 0x3808, 0x3810, 0x3818,
	0x3820, 0x4010, 0x4090, 0x4094, 0x5000, 0x5200, 0x5404, 0x5600, 0x9000, 0xffff,
};

static void wire_rtl8139(struct nic_rig *r, struct dev *d)
{
	struct rtl8139 *t = (struct rtl8139 *)d;

	t->bus = &r->bus;
	t->net = r->net;
	memcpy(t->mac, nic_rig_mac, 6);
}

static void start_rtl8139(struct nic_rig *r, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	outw(r->h, NIC_RIG_IO + 0xe0, how & 1 ? 0x63 : 0);
	outb(r->h, NIC_RIG_IO + 0x37, 0x0c);
	outl(r->h, NIC_RIG_IO + 0x44, (how & 0x98u) << 4 | 0x0f | (how & 0x80));
	outl(r->h, NIC_RIG_IO + 0x30, 0x100000);
	for (unsigned i = 0; i < 4; i++)
		outl(r->h, (uint16_t)(NIC_RIG_IO + 0x20 + 4 * i),
		     how & 1 ? i & 1 ? 0 : RINGS : 0x10000u + fuzz_u16(in));
	outl(r->h, NIC_RIG_IO + 0xe4, RINGS + 0x100);
	outl(r->h, NIC_RIG_IO + 0x40, how & 2 ? 0x60000 : 0);
	outb(r->h, NIC_RIG_IO + 0xd9, 0xc0);
	for (unsigned i = 0; i < 4 && !(how & 1); i++)
		outl(r->h, (uint16_t)(NIC_RIG_IO + 0x10 + 4 * i), fuzz_u16(in) & 0x7ff);
}

static const uint16_t hot_rtl8139[] = {
	0x08, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x28, 0x30, 0x37, 0x38, 0x3a, 0x3c, 0x3e,
	0x40, 0x44, 0x48, 0x50, 0x54, 0x58, 0x60, 0x62, 0xd9, 0xe0, 0xe4, 0xe8, 0xffff,
};

static void wire_ne2k_pci(struct nic_rig *r, struct dev *d)
{
	struct ne2000 *n = (struct ne2000 *)d;

	n->bus = &r->bus;
	n->net = r->net;
	memcpy(n->mac, nic_rig_mac, 6);
}

static void wire_ne2k_isa(struct nic_rig *r, struct dev *d)
{
	struct ne2000 *n = (struct ne2000 *)d;

	d->base = NIC_RIG_IO;
	irq_init(&n->irq, nic_rig_line, r, 0);
	n->net = r->net;
	memcpy(n->mac, nic_rig_mac, 6);
}

static void start_ne2000(struct nic_rig *r, struct fuzz_input *in)
{
	static const uint8_t steps[][2] = {{0, 0x21}, {0xe, 0x49}, {1, 0x46}, {2, 0x80},
					   {3, 0x46}, {0xf, 0x7f}, {0, 0x61}, {7, 0x47},
					   {0, 0x22}, {0xd, 0}};
	uint8_t how = fuzz_u8(in);

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++)
		outb(r->h, (uint16_t)(NIC_RIG_IO + steps[i][0]), steps[i][1]);
	outb(r->h, NIC_RIG_IO + 0xc, how & 0x3f);
	outb(r->h, NIC_RIG_IO + 0xd, how & 0x40 ? 2 : 0);
	outb(r->h, NIC_RIG_IO + 4, 0x40);
	outb(r->h, NIC_RIG_IO + 5, fuzz_u8(in));
	outb(r->h, NIC_RIG_IO + 6, fuzz_u8(in) & 7);
	outw(r->h, NIC_RIG_IO + 8, (uint16_t)(0x4000 + (fuzz_u16(in) & 0x3fff)));
	outw(r->h, NIC_RIG_IO + 10, fuzz_u16(in) & 0x7ff);
	outb(r->h, NIC_RIG_IO, how & 0x80 ? 0x26 : 0x12);
}

static const uint16_t hot_ne2000[] = {0,  1,  2,  3,  7,  8,  9,  10,    11,
				      12, 13, 14, 16, 16, 16, 31, 0xffff};

static const struct card cards[] = {
	{&e1000_class, 0, 2, wire_e1000, start_e1000, 0x20000, hot_e1000},
	{&rtl8139_class, 1, 0, wire_rtl8139, start_rtl8139, 0x100, hot_rtl8139},
	{&ne2k_pci_class, -1, 0, wire_ne2k_pci, start_ne2000, 32, hot_ne2000},
	{&ne2k_isa_class, -1, -1, wire_ne2k_isa, start_ne2000, 32, hot_ne2000},
};

static void access_any(const struct card *c, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	unsigned n = 0, width = 1u << (how & 3) % 3;
	uint32_t at;

	while (c->hot[n] != 0xffff)
		n++;
	at = how & 0x40 ? c->hot[fuzz_u8(in) % n] : fuzz_u32(in) % c->size;
	if (how & 0x40)
		width = how & 8 ? 4 : width;
	if (c->mem < 0 || (how & 0x80)) {
		uint16_t port = (uint16_t)(NIC_RIG_IO + at % 0x100);

		if (how & 0x20)
			bus_pio_write(&g->h->bus, port, width, fuzz_u32(in));
		else
			(void)bus_pio_read(&g->h->bus, port, width);
	} else if (how & 0x20) {
		bus_mmio_write(&g->h->bus, NIC_RIG_MMIO + at, width, fuzz_u32(in));
	} else {
		(void)bus_mmio_read(&g->h->bus, NIC_RIG_MMIO + at, width);
	}
}

/* Ring entries: mostly pointing into memory. */
static void descriptors(struct fuzz_input *in)
{
	unsigned at = RINGS + (fuzz_u8(in) & 0x1fu) * 16, n = 1 + (fuzz_u8(in) & 7);

	for (; n; n--, at += 16) {
		uint8_t how = fuzz_u8(in);

		st_le64(ram(g->h, at), how & 1 ? 0x10000u + fuzz_u16(in) : fuzz_u32(in));
		st_le32(ram(g->h, at + 8), how & 2 ? fuzz_u32(in)
						   : (uint32_t)fuzz_u8(in) << 24 |
							     (fuzz_u16(in) & 0xfffu) |
							     (uint32_t)(how & 4) << 18);
		st_le32(ram(g->h, at + 12), how & 8 ? fuzz_u32(in) : 0);
	}
}

/* The PHY and the serial EEPROM of an e1000 or RTL8139: start bit, opcode, address, data. */
static void slow_parts(const struct card *c, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint32_t bits = 1u << 31 | fuzz_u32(in) >> 1;

	if (c->mem == 0 && (how & 1)) {
		writel(g->h, NIC_RIG_MMIO + 0x20,
		       (how & 2 ? 1u << 26 : 2u << 26) | 1u << 21 | (how >> 3 & 31u) << 16 |
			       (bits & 0xffff));
		(void)readl(g->h, NIC_RIG_MMIO + 0x20);
		return;
	}
	if (c->mem < 0)
		return;
	for (unsigned i = 0; i < 27; i++, bits <<= 1)
		for (unsigned clock = 0; clock < 2; clock++)
			if (c->mem == 0)
				writel(g->h, NIC_RIG_MMIO + 0x10, 0x42 | clock | (bits >> 31) << 2);
			else
				outb(g->h, NIC_RIG_IO + 0x50,
				     (uint8_t)(0x88 | clock << 2 | (bits >> 31) << 1));
	if (c->mem == 0)
		writel(g->h, NIC_RIG_MMIO + 0x10, 0x40);
	else
		outb(g->h, NIC_RIG_IO + 0x50, 0x80);
}

static void frames(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	size_t len = 14 + fuzz_u16(in) % (how & 0x40 ? 0xfff0u : 2000u);

	memcpy(g->frame,
	       how & 1   ? (const uint8_t *)"\xff\xff\xff\xff\xff\xff"
	       : how & 2 ? (const uint8_t *)"\1\0\x5e\0\0\1"
			 : nic_rig_mac,
	       6);
	if (how & 4)
		nic_rig_tcp(g->frame, 1000);
	for (unsigned i = fuzz_u8(in) & 7; i; i--)
		g->frame[12 + (fuzz_u8(in) & 63)] = fuzz_u8(in);
	if (how & 0x80) {
		bus_lock(&g->h->bus);
		g->net->h.receive(g->net->h.ctx, g->frame, len);
		bus_unlock(&g->h->bus);
	} else {
		nic_rig_arrive(g, g->frame, len);
	}
}

static void run_op(const struct card *c, struct fuzz_input *in)
{
	switch (fuzz_u8(in) & 15) {
	case 0 ... 5: access_any(c, in); break;
	case 6 ... 7: descriptors(in); break;
	case 8 ... 9: frames(in); break;
	case 10 ... 11: c->start(g, in); break;
	case 12: harness_step(g->h, fuzz_u16(in) * 100ull); break;
	case 13:
		g->net->full = fuzz_u8(in) & 1;
		bus_lock(&g->h->bus);
		g->net->h.link(g->net->h.ctx, fuzz_u8(in) & 3);
		bus_unlock(&g->h->bus);
		break;
	case 14:
		if (fuzz_u8(in) & 3)
			slow_parts(c, in);
		else
			nic_rig_enable(g, c->mem, c->io);
		break;
	default: changing_state(g->h, g->dev, in, NULL, 0);
	}
}

/* A machine with card @c as it is after power-on: most often its last one. */
static void machine(const struct card *c)
{
	static struct nic_rig *rigs[ARRAY_SIZE(cards)];
	static unsigned n[ARRAY_SIZE(cards)];
	size_t i = (size_t)(c - cards);

	if (rigs[i] && n[i]++ % RIG_INPUTS == 0) {
		nic_rig_free(rigs[i]);
		rigs[i] = NULL;
	}
	g = rigs[i];
	if (!g) {
		struct dev *d;

		g = rigs[i] = nic_rig_new();
		d = dev_new(c->cls, "net0", &g->h->sv);
		c->wire(g, d);
		nic_rig_add(g, d);
	} else {
		g->net->full = false;
		bus_lock(&g->h->bus);
		dev_reset(g->dev, DEV_RESET_COLD);
		g->net->h.link(g->net->h.ctx, true);
		bus_unlock(&g->h->bus);
		memset(ram(g->h, 0), 0, 0x10000);
	}
	nic_rig_enable(g, c->mem, c->io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	const struct card *c = &cards[fuzz_u8(&in) % ARRAY_SIZE(cards)];
	static struct checked seen[ARRAY_SIZE(cards)];

	log_set_level(LOG_ERR);
	machine(c);
	changing_start(g->h, &in, 0x80);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(c, &in);
		checked(&seen[c - cards], c->cls->state, dev_regs(g->dev));
	}
	changing_stop();
	return 0;
}
