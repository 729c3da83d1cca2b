/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The USB 3 controller and a disk against a hostile driver: any register access, commands and
 * transfer descriptors from raw bytes and half-sensible ones, CBWs, a disk that finishes late or
 * fails, keys, time, resets, and snapshots with bytes changed. Guest memory changes after each of
 * the device's reads (mem_read is wrapped).
 */
#include "changing.h"
#include "checked.h"
#include "usb_setup.h"
#include "xhci_rig.h"

#include "base/log.h"

enum { OPS = 200, RIG_INPUTS = 64 }; /* inputs until a new machine is made */

static struct xhci_rig *g;

static void access_any(struct fuzz_input *in)
{
	static const uint16_t hot[] = {0x40,   0x44,   0x58,   0x5c,   0x70,   0x78,
				       0x440,  0x450,  0x480,  0x490,  0x1020, 0x1024,
				       0x1028, 0x1030, 0x1038, 0x103c, 0x2000, 0x2004,
				       0x2004, 0x2008, 0x3000, 0x300c};
	uint8_t how = fuzz_u8(in);
	uint32_t at = how & 1 ? hot[fuzz_u8(in) % ARRAY_SIZE(hot)] : fuzz_u16(in) & 0x3fff;
	unsigned width = how & 2 ? 4 : 1u << (how >> 2 & 3);

	if (how & 0x40)
		(void)bus_mmio_read(&g->h->bus, XR(at), width);
	else
		bus_mmio_write(&g->h->bus, XR(at), width, how & 0x80 ? fuzz_u32(in) : fuzz_u8(in));
}

static uint64_t address(struct fuzz_input *in, uint8_t how)
{
	static const uint32_t places[] = {XR_INPUT, XR_CONTEXT, XR_COMMANDS, XR_CBW, XR_DATA};

	return how & 7 ? places[how % ARRAY_SIZE(places)] + (how & 0x30u) : fuzz_u32(in);
}

static void command(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	xhci_rig_put(g, g->cmd, address(in, how), fuzz_u8(in),
		     (9u + fuzz_u8(in) % 16) << 10 | (uint32_t)(fuzz_u8(in) & 3) << 24 |
			     (uint32_t)(fuzz_u8(in) & 7) << 16 | (how & 0x40 ? 1 << 9 : 0) | 1);
	g->cmd = g->cmd + 16 < XR_EVENTS ? g->cmd + 16 : XR_COMMANDS;
	writel(g->h, XR(0x2000), 0);
}

static void transfer(struct fuzz_input *in)
{
	unsigned dci = fuzz_u8(in) & 7, n = 1 + (fuzz_u8(in) & 3);

	while (n--) {
		uint8_t how = fuzz_u8(in);

		xr_trb(g, dci, address(in, how), fuzz_u16(in) & (how & 0x80 ? 0xffffu : 0x3ffu),
		       (1u + fuzz_u8(in) % 8) << 10 | fuzz_u8(in) | (how & 0x40 ? 1 << 16 : 0));
		if (g->ring[dci] > XR_RING(dci) + 0x1f00)
			g->ring[dci] = XR_RING(dci);
	}
	writel(g->h, XR(0x2004), dci);
}

/* A request on endpoint 0. */
static void control(struct fuzz_input *in)
{
	uint8_t setup[8], how = fuzz_u8(in);
	bool to_host;

	fuzz_setup(in, setup);
	to_host = setup[0] & 0x80;
	xr_trb(g, 1, ld_le64(setup), 8, 2 << 10 | 1 << 6);
	if (setup[6])
		xr_trb(g, 1, XR_DATA, setup[6], 3 << 10 | 1 << 2 | (to_host ? 1 << 16 : 0));
	xr_trb(g, 1, 0, 0, 4 << 10 | 1 << 5 | (to_host && setup[6] ? 0 : 1 << 16));
	if (g->ring[1] > XR_RING(1) + 0x1f00)
		g->ring[1] = XR_RING(1);
	writel(g->h, XR(0x2000 + 4 * (1 + (how >= 0xf0))), 1);
}

static void cbw(struct fuzz_input *in)
{
	static const uint8_t ops[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2f,
				      0x35, 0x41, 0x42, 0x55, 0x5a, 0x88, 0x8a, 0x93, 0x9e};
	uint8_t *p = ram(g->h, XR_CBW);
	uint32_t len = fuzz_u16(in);

	memset(p, 0, 31);
	st_le32(p, 0x43425355);
	st_le32(p + 8, len);
	p[12] = fuzz_u8(in) & 0x80;
	p[14] = 10;
	p[15] = ops[fuzz_u8(in) % sizeof(ops)];
	for (unsigned i = 1; i < 10; i++)
		p[15 + i] = i == 1 || i >= 5 ? fuzz_u8(in) & (i == 7 ? 0 : 0xff) : 0;
	xr_trb(g, 4, XR_CBW, 31, 1 << 10 | 1 << 5);
	writel(g->h, XR(0x2004), 4);
	if (len)
		xr_trb(g, p[12] ? 3 : 4, XR_DATA, len, 1 << 10 | 1 << 5 | 1 << 2);
	xr_trb(g, 3, XR_CSW, 13, 1 << 10 | 1 << 5);
	writel(g->h, XR(0x2004), 4);
	writel(g->h, XR(0x2004), 3);
	for (unsigned i = 3; i < 5; i++)
		if (g->ring[i] > XR_RING(i) + 0x1f00)
			g->ring[i] = XR_RING(i);
}

/* A driver that gets far. */
static void set_up(struct fuzz_input *in)
{
	struct xr_event e;

	changing_stop();
	writel(g->h, XR(0x40), 2);
	xhci_rig_start(g);
	uint8_t port = fuzz_u8(in);

	if (xhci_rig_attach(g, port & 3 ? 5 : 1 + (port >> 2 & 1)) == 1 && (fuzz_u8(in) & 3) &&
	    xhci_rig_control(g, 0, 9, 1, 0, 0) == 0) {
		uint8_t *p = ram(g->h, XR_INPUT);

		st_le32(p + 4, 1 | 1 << 3 | 1 << 4);
		for (unsigned dci = 3; dci <= 4; dci++) {
			st_le32(p + 32 * (dci + 1) + 4,
				1024u << 16 | (dci & 1 ? 6 : 2) << 3 | 3 << 1);
			st_le64(p + 32 * (dci + 1) + 8, g->ring[dci] | 1);
		}
		(void)xhci_rig_command(g, 12 << 10 | 1 << 24, XR_INPUT, &e);
	}
	changing_start(g->h, in, 0xf0);
}

static void disk_event(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	bus_lock(&g->h->bus);
	if (how & 1)
		g->block->fail = -5;
	if (how & 2)
		g->block->no_space = how & 4;
	if (!g->block->no_space)
		block_retry(g->block);
	fake_block_run(g->block, 4, false);
	usb_hid_key(&g->x->hid[0], how, how & 8);
	if ((how & 0xf0) == 0x50)
		xhci_plug(g->x, XHCI_PORTS2, g->x->port[XHCI_PORTS2] ? NULL : &g->disk->msc.dev);
	if ((how & 0xf0) == 0xa0)
		xhci_plug(g->x, how & 1, g->x->port[how & 1] ? NULL : &g->x->hid[how & 1].dev);
	bus_unlock(&g->h->bus);
}

static void run_op(struct fuzz_input *in)
{
	switch (fuzz_u8(in) & 15) {
	case 0 ... 2: access_any(in); break;
	case 3 ... 4: command(in); break;
	case 5: control(in); break;
	case 6: transfer(in); break;
	case 7 ... 9: cbw(in); break;
	case 10: set_up(in); break;
	case 11 ... 12: disk_event(in); break;
	case 13: harness_step(g->h, fuzz_u16(in) * 100ull); break;
	case 14: changing_state(g->h, &g->x->dev, in, &g->block, 1); break;
	default: changing_state(g->h, &g->disk->dev, in, &g->block, 1);
	}
}

static void disk_right(void)
{
	bus_lock(&g->h->bus);
	g->block->no_space = false;
	block_retry(g->block);
	bus_unlock(&g->h->bus);
	xr_disk(g);
	g->block->fail = 0;
}

/* A machine as it is after power-on: most often the last one. */
static void machine(void)
{
	static unsigned n;

	if (g && n++ % RIG_INPUTS == 0) {
		disk_right();
		xhci_rig_free(g);
		g = NULL;
	}
	if (!g) {
		g = xhci_rig_new();
		return;
	}
	bus_lock(&g->h->bus);
	dev_reset(&g->x->dev, DEV_RESET_COLD);
	dev_reset(&g->disk->dev, DEV_RESET_COLD);
	bus_unlock(&g->h->bus);
	disk_right();
	xhci_rig_map(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct checked seen[2];

	log_set_level(LOG_ERR);
	machine();
	set_up(&in);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(&in);
		checked(&seen[0], g->x->dev.cls->state, &g->x->s);
		checked(&seen[1], g->disk->dev.cls->state, &g->disk->s);
	}
	changing_stop();
	return 0;
}
