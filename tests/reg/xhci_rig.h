/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An xHCI with keyboard, tablet and a disk in memory, and a small driver for it: for the register
 * test and the fuzzer.
 */
#ifndef TESTS_REG_XHCI_RIG_H
#define TESTS_REG_XHCI_RIG_H

#include <stdlib.h>
#include <string.h>

#include "device/usb/xhci.h"
#include "fake_block.h"
#include "harness.h"

enum { FAKE_BLOCKS = 2048 };
enum {
	XR_DCBAA = 0x10000,
	XR_COMMANDS = 0x11000,
	XR_EVENTS = 0x13000, /* 256 TRBs */
	XR_ERST = 0x14000,
	XR_INPUT = 0x15000,
	XR_CONTEXT = 0x16000,
	XR_CBW = 0x17000,
	XR_CSW = 0x18000,
	XR_DATA = 0x100000,
};
#define XR_BAR       0xe0000000u
#define XR(at)       (XR_BAR + (at))
#define XR_RING(dci) (0x20000u + 0x2000u * (dci))

struct xr_event {
	uint64_t param;
	unsigned type, code, slot;
	uint32_t left;
};

struct xhci_rig {
	struct harness *h;
	struct pci_bus bus;
	struct xhci *x;
	struct usb_disk *disk;
	struct block *block;
	uint32_t cmd, event, ring[8];
	bool cycle;
	uint32_t residue, tag;
};

static inline unsigned xr_route(void *ctx, uint8_t devfn, unsigned pin)
{
	return pin;
}

static inline void xhci_rig_map(struct xhci_rig *g)
{
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, PCI_DEVFN(2, 0), PCI_BAR0, 4, XR_BAR);
	pci_bus_config_write(&g->bus, PCI_DEVFN(2, 0), PCI_COMMAND, 2, 6);
	bus_unlock(&g->h->bus);
}

static inline struct xhci_rig *xhci_rig_new(void)
{
	struct xhci_rig *g = xnew(struct xhci_rig);

	g->h = harness_new();
	pci_bus_init(&g->bus, &g->h->bus, xr_route, NULL);
	g->block = fake_block_new(FAKE_BLOCKS * 512);
	g->disk = (struct usb_disk *)dev_new(&usb_disk_class, "disk0", &g->h->sv);
	g->disk->block = g->block;
	g->disk->speed = USB_SUPER;
	strcpy(g->disk->serial, "serial");
	harness_realize(g->h, &g->disk->dev);
	g->x = (struct xhci *)dev_new(&xhci_class, "usb", &g->h->sv);
	g->x->bus = &g->bus;
	g->x->hid_present = true;
	g->x->disk[0] = &g->disk->msc;
	harness_realize(g->h, &g->x->dev);
	xhci_rig_map(g);
	return g;
}

static inline void xr_disk(struct xhci_rig *g)
{
	bus_lock(&g->h->bus);
	while (fake_block_run(g->block, 16, false))
		;
	bus_unlock(&g->h->bus);
}

static inline void xhci_rig_free(struct xhci_rig *g)
{
	xr_disk(g);
	harness_free(g->h);
	fake_block_free(g->block);
	free(g);
}

/* Rings are laid out and the controller runs (xHCI, 4.2). */
static inline void xhci_rig_start(struct xhci_rig *g)
{
	memset(ram(g->h, XR_DCBAA), 0, XR_DATA - XR_DCBAA);
	st_le64(ram(g->h, XR_ERST), XR_EVENTS);
	st_le32(ram(g->h, XR_ERST + 8), 256);
	writel(g->h, XR(0x78), 16);
	writel(g->h, XR(0x70), XR_DCBAA);
	writel(g->h, XR(0x74), 0);
	writel(g->h, XR(0x58), XR_COMMANDS | 1);
	writel(g->h, XR(0x5c), 0);
	writel(g->h, XR(0x1028), 1);
	writel(g->h, XR(0x1038), XR_EVENTS);
	writel(g->h, XR(0x103c), 0);
	writel(g->h, XR(0x1030), XR_ERST);
	writel(g->h, XR(0x1034), 0);
	writel(g->h, XR(0x1020), 2);
	writel(g->h, XR(0x40), 5);
	g->cmd = XR_COMMANDS;
	g->event = XR_EVENTS;
	g->cycle = true;
	for (unsigned i = 0; i < 8; i++)
		g->ring[i] = XR_RING(i);
}

/* The next event, waiting for the disk and for time to pass; false: none comes. */
static inline bool xhci_rig_next(struct xhci_rig *g, struct xr_event *e)
{
	const uint8_t *p = ram(g->h, g->event);

	for (unsigned i = 0; i < 200 && (ld_le32(p + 12) & 1) != g->cycle; i++) {
		xr_disk(g);
		harness_step(g->h, 100 * 1000);
	}
	if ((ld_le32(p + 12) & 1) != g->cycle)
		return false;
	*e = (struct xr_event){.param = ld_le64(p),
			       .type = ld_le32(p + 12) >> 10 & 63,
			       .code = ld_le32(p + 8) >> 24,
			       .slot = ld_le32(p + 12) >> 24,
			       .left = ld_le32(p + 8) & 0xffffff};
	g->event += 16;
	if (g->event == XR_EVENTS + 256 * 16) {
		g->event = XR_EVENTS;
		g->cycle = !g->cycle;
	}
	writel(g->h, XR(0x1038), g->event | 8);
	return true;
}

static inline void xhci_rig_put(struct xhci_rig *g, uint32_t at, uint64_t param, uint32_t status,
				uint32_t control)
{
	st_le64(ram(g->h, at), param);
	st_le32(ram(g->h, at + 8), status);
	st_le32(ram(g->h, at + 12), control);
}

/* A command; its completion code. */
static inline unsigned xhci_rig_command(struct xhci_rig *g, uint32_t control, uint64_t param,
					struct xr_event *e)
{
	xhci_rig_put(g, g->cmd, param, 0, control | 1);
	g->cmd += 16;
	writel(g->h, XR(0x2000), 0);
	do {
		if (!xhci_rig_next(g, e))
			return 0;
	} while (e->type != 33);
	return e->code;
}

/* A TRB on a transfer ring of slot 1. */
static inline void xr_trb(struct xhci_rig *g, unsigned dci, uint64_t param, uint32_t status,
			  uint32_t control)
{
	xhci_rig_put(g, g->ring[dci], param, status, control | 1);
	g->ring[dci] += 16;
}

static inline bool xr_transfer(struct xhci_rig *g, struct xr_event *e)
{
	do {
		if (!xhci_rig_next(g, e))
			return false;
	} while (e->type != 32);
	return true;
}

/* Enable slot 1 and address what is in @port. The slot. */
static inline unsigned xhci_rig_attach(struct xhci_rig *g, unsigned port)
{
	uint8_t *in = ram(g->h, XR_INPUT);
	struct xr_event e;

	if (port <= XHCI_PORTS2)
		writel(g->h, XR(0x430 + 16 * port), 0x210);
	if (xhci_rig_command(g, 9 << 10, 0, &e) != 1)
		return 0;
	st_le64(ram(g->h, XR_DCBAA + 8 * e.slot), XR_CONTEXT);
	memset(in, 0, 0x400);
	st_le32(in + 4, 3);
	st_le32(in + 32, 1u << 27);
	st_le32(in + 36, port << 16);
	st_le32(in + 68, (port > XHCI_PORTS2 ? 512u : 8u) << 16 | 4 << 3 | 3 << 1);
	st_le64(in + 72, g->ring[1] | 1);
	return xhci_rig_command(g, 11 << 10 | e.slot << 24, XR_INPUT, &e) == 1 ? e.slot : 0;
}

/* A control transfer, data at XR_DATA; bytes of its data stage, or minus the completion code. */
static inline int xhci_rig_control(struct xhci_rig *g, uint8_t type, uint8_t req, uint16_t value,
				   uint16_t index, uint16_t len)
{
	bool in = type & 0x80;
	struct xr_event e;
	int got = len;

	xr_trb(g, 1,
	       type | req << 8 | (uint64_t)value << 16 | (uint64_t)index << 32 |
		       (uint64_t)len << 48,
	       8, 2 << 10 | 1 << 6);
	if (len)
		xr_trb(g, 1, XR_DATA, len, 3 << 10 | 1 << 2 | (in ? 1 << 16 : 0));
	xr_trb(g, 1, 0, 0, 4 << 10 | 1 << 5 | (in && len ? 0 : 1 << 16));
	writel(g->h, XR(0x2004), 1);
	if (!xr_transfer(g, &e))
		return -99;
	if (e.code == 13) {
		got = len - (int)e.left;
		if (!xr_transfer(g, &e))
			return -98;
	}
	return e.code == 1 ? got : -(int)e.code;
}

/* The disk's endpoints (xHCI, 4.6.6). */
static inline void xhci_rig_configure(struct xhci_rig *g)
{
	uint8_t *in = ram(g->h, XR_INPUT);
	struct xr_event e;

	check(xhci_rig_control(g, 0, 9, 1, 0, 0) == 0);
	st_le32(in + 4, 1 | 1 << 3 | 1 << 4);
	for (unsigned dci = 3; dci <= 4; dci++) {
		uint8_t *c = in + 32 * (dci + 1);

		memset(c, 0, 32);
		st_le32(c + 4, 1024u << 16 | (dci & 1 ? 6 : 2) << 3 | 3 << 1);
		st_le64(c + 8, g->ring[dci] | 1);
	}
	check(xhci_rig_command(g, 12 << 10 | 1 << 24, XR_INPUT, &e) == 1);
}

/* Bulk data; the completion code. */
static inline unsigned xhci_rig_bulk(struct xhci_rig *g, unsigned dci, uint32_t at, uint32_t len,
				     uint32_t *ret_left)
{
	struct xr_event e;

	xr_trb(g, dci, at, len, 1 << 10 | 1 << 5 | 1 << 2);
	writel(g->h, XR(0x2004), dci);
	if (!xr_transfer(g, &e))
		return 0;
	if (ret_left)
		*ret_left = e.left;
	return e.code;
}

/* A command of the disk with @len bytes of data at XR_DATA; the status of its CSW. */
static inline unsigned xhci_rig_scsi(struct xhci_rig *g, const uint8_t *cdb, unsigned n,
				     uint32_t len, bool in)
{
	uint8_t *cbw = ram(g->h, XR_CBW);

	memset(cbw, 0, 31);
	st_le32(cbw, 0x43425355);
	st_le32(cbw + 4, ++g->tag);
	st_le32(cbw + 8, len);
	cbw[12] = in ? 0x80 : 0;
	cbw[14] = (uint8_t)n;
	memcpy(cbw + 15, cdb, n);
	check(xhci_rig_bulk(g, 4, XR_CBW, 31, NULL) == 1);
	if (len) {
		unsigned code = xhci_rig_bulk(g, in ? 3 : 4, XR_DATA, len, NULL);

		check(code == 1 || code == 13);
	}
	check(xhci_rig_bulk(g, 3, XR_CSW, 13, NULL) == 1);
	check(ld_le32(ram(g->h, XR_CSW)) == 0x53425355);
	check(ld_le32(ram(g->h, XR_CSW + 4)) == g->tag);
	g->residue = ld_le32(ram(g->h, XR_CSW + 8));
	return *ram(g->h, XR_CSW + 12);
}

/* Set TR Dequeue Pointer to where the driver writes next; and Reset Endpoint before. */
static inline void xhci_rig_rewind(struct xhci_rig *g, unsigned dci)
{
	struct xr_event e;

	check(xhci_rig_command(g, 16 << 10 | 1 << 24 | dci << 16, g->ring[dci] | 1, &e) == 1);
}

static inline void xhci_rig_reset_ep(struct xhci_rig *g, unsigned dci)
{
	struct xr_event e;

	check(xhci_rig_command(g, 14 << 10 | 1 << 24 | dci << 16, 0, &e) == 1);
	xhci_rig_rewind(g, dci);
}

#endif
