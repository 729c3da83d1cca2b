/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile driver of fuzz_virtio.h. The machine is made once per process and reset before each
 * input: that a reset restores everything is part of what is tested.
 */
#include "fuzz_virtio.h"
#include "hostile.h"

#include <stdlib.h>
#include <string.h>

int __real_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);
int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);

/* Guest RAM: ring n at n * RING, data from DATA on. */
enum { BAR = 0xe0000000, RING = 0x4000, DATA = 0x80000, SLOTS = 16 };

/* One per process: the wrapped function has no context. */
static struct {
	const struct fuzz_device *fd;
	struct harness *h;
	struct pci_bus bus;
	struct virtio_pci *pci; /* one of these two; the other is NULL */
	struct virtio_mmio *mmio;
	struct dev *transport;
	struct bus_region *window; /* its registers */
	unsigned config;           /* where the device's own are in it */
	struct virtio_dev *vd;
	struct fuzz_input mutations;
	bool mutate;
	uint16_t next[VIRTIO_QUEUES_MAX]; /* the driver's idea of each available index */
} g;

int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len)
{
	int r = __real_mem_read(space, from, to, len);

	if (g.mutate && g.mutations.left >= 3) {
		uint8_t how = fuzz_u8(&g.mutations);
		gpa_t at = from + fuzz_u8(&g.mutations) % 16;
		uint8_t v = fuzz_u8(&g.mutations);
		if ((how & 3) == 3 && at < HARNESS_RAM)
			g.h->ram->host[at] = how & 4 ? v : g.h->ram->host[at] ^ v;
	}
	return r;
}

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx;
	return (pin + devfn) & 3;
}

static void set_up_pci(void)
{
	pci_bus_init(&g.bus, &g.h->bus, route, NULL);
	g.pci = (struct virtio_pci *)dev_new(&virtio_pci_class, "virtio-pci", &g.h->sv);
	g.pci->vd = g.vd;
	g.pci->bus = &g.bus;
	g.transport = &g.pci->dev;
	harness_realize(g.h, g.transport);
	g.window = &g.pci->bar;
	g.config = 0x2000;
}

static void set_up_mmio(void)
{
	g.mmio = (struct virtio_mmio *)dev_new(&virtio_mmio_class, "virtio-mmio", &g.h->sv);
	g.mmio->vd = g.vd;
	g.transport = &g.mmio->dev;
	g.transport->base = BAR;
	harness_irq(g.h, &g.mmio->irq, 0);
	harness_realize(g.h, g.transport);
	g.window = &g.transport->regions[0];
	g.config = 0x100;
}

static void set_up(const struct fuzz_device *fd)
{

	if (g.h)
		return;
	g.fd = fd;
	g.h = harness_new();
	g.vd = fd->make(g.h);
	harness_realize(g.h, &g.vd->dev);
	if (fd->mmio)
		set_up_mmio();
	else
		set_up_pci();
}

/* Bus lock held by the caller, as all of these run on one thread without other users. */
static void reg_write(uint32_t off, unsigned size, uint64_t val)
{
	bus_region_write(g.window, off, size, val);
}

static uint64_t reg_read(uint32_t off, unsigned size)
{
	return bus_region_read(g.window, off, size);
}

static void config_write(unsigned off, unsigned size, uint32_t val)
{
	if (g.pci)
		pci_bus_config_write(&g.bus, g.pci->devfn, off, size, val);
}

static void notify(unsigned q)
{
	if (g.pci)
		reg_write(0x3000 + 4 * q, 2, q);
	else
		reg_write(0x50, 4, q);
}

static void status_write(uint8_t status)
{
	reg_write(g.pci ? 0x14 : 0x70, g.pci ? 1 : 4, status);
}

/* Queue @q of @size descriptors, its rings at @at; @vector: for MSI-X (virtio 1.2, 4.1.4.3, 4.2.2).
 */
static void queue_up(unsigned q, unsigned size, gpa_t at, unsigned vector)
{
	if (g.pci) {
		reg_write(0x16, 2, q);
		reg_write(0x18, 2, size);
		reg_write(0x1a, 2, vector);
		reg_write(0x20, 8, at);
		reg_write(0x28, 8, at + 0x1000);
		reg_write(0x30, 8, at + 0x2000);
		reg_write(0x1c, 2, 1);
		return;
	}
	reg_write(0x30, 4, q);
	reg_write(0x38, 4, size);
	for (unsigned i = 0; i < 3; i++) {
		reg_write(0x80 + 16 * i, 4, (uint32_t)at + 0x1000 * i);
		reg_write(0x84 + 16 * i, 4, 0);
	}
	reg_write(0x44, 4, 1);
}

static void features_up(uint64_t f)
{
	for (unsigned i = 0; i < 2; i++) {
		reg_write(g.pci ? 0x08 : 0x24, 4, i);
		reg_write(g.pci ? 0x0c : 0x20, 4, (uint32_t)(f >> (32 * i)));
	}
}

/* A driver that does everything right up to DRIVER_OK, with features as the input wants. */
static void bring_up(struct fuzz_input *in)
{
	uint64_t offered = virtio_offered(g.vd), f = offered;
	uint8_t how = fuzz_u8(in);
	unsigned size = 1u << (how >> 5 & 3) << 1; /* 2..16 */

	if (how & 1)
		f &= ~BIT(VIRTIO_F_RING_PACKED);
	if (how & 2)
		f &= ~BIT(VIRTIO_F_EVENT_IDX);
	if (how & 4)
		f &= ~(uint64_t)fuzz_u32(in);
	f |= BIT(VIRTIO_F_VERSION_1);
	config_write(PCI_BAR0, 4, BAR);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	status_write(0);
	status_write(3);
	features_up(f);
	status_write(11);
	for (unsigned q = 0; q < g.vd->n_queues; q++) {
		memset(g.h->ram->host + q * RING, 0, RING);
		g.next[q] = 0;
		queue_up(q, size, q * RING, how & 8 ? q + 1 : 0xffff);
	}
	if (g.pci && (how & 8)) { /* MSI-X on */
		for (unsigned i = 0; i <= g.vd->n_queues; i++)
			reg_write(0x400c + 16 * i, 4, 0);
		config_write(g.pci->f.msix.cap + 2u, 2, 0x8000);
	}
	status_write(15);
}

struct piece {
	uint64_t at;
	uint32_t len;
	bool write; /* by the device */
};

/* Piece @i of @n of what a device with a header takes: header, data for the device, room for the
 * response, room for data. */
static struct piece formed(struct fuzz_input *in, gpa_t data, unsigned i, unsigned n, bool out)
{
	unsigned answer = n == 2 ? 1 : n == 3 ? 1 + out : 2;
	uint8_t sectors = fuzz_u8(in);

	if (i == 0)
		return (struct piece){data, g.fd->header, false};
	if (i == answer)
		return (struct piece){data + 0x400, 108 + (sectors & 0x83u), true};
	return (struct piece){data + 0x1000 + 0x200 * i, 512u * (1 + (sectors & 15)), i > answer};
}

/* One request of up to four pieces on a queue; often well-formed enough to be taken. */
static void make_request(struct fuzz_input *in)
{
	unsigned q = fuzz_u8(in) % g.vd->n_queues, shape = fuzz_u8(in), n = 1 + shape % 4;
	struct virtq *vq = &g.vd->q[q];
	uint8_t *ring = g.h->ram->host + q * RING;
	unsigned size = vq->live ? vq->a.size : 16, slot = fuzz_u8(in) % SLOTS;
	gpa_t data = DATA + slot * 0x1000;

	bool good = g.fd->header && (fuzz_u8(in) & 7);

	if (good)
		n = 2 + shape % 3;
	g.fd->request(g.vd, q, g.h->ram->host + data, in);
	for (unsigned i = 0; i < n; i++) {
		bool packed = vq->live && vq->a.packed;
		unsigned at = packed ? (vq->r->avail + i) % size : (g.next[q] + i) % size;
		bool wrap = vq->r->avail_wrap ^ (packed && vq->r->avail + i >= size);
		uint8_t *d = ring + 16 * at;
		uint16_t flags = (i + 1 < n ? 1 : 0) | (shape >> (4 + i) & 1 ? 2 : 0);
		uint32_t len = i ? fuzz_u16(in) : g.fd->header ? g.fd->header : 16;
		uint64_t addr = i == 0 ? data : data + (fuzz_u8(in) << 4);
		if (good) {
			struct piece p = formed(in, data, i, n, shape & 0x10);

			addr = p.at;
			len = p.len;
			flags = (i + 1 < n ? 1 : 0) | (p.write ? 2 : 0);
		} else if (shape & 0x80 && i == n - 1) {
			len = 1 + (len & 3);
		}
		if (packed)
			flags |= wrap ? 0x0080 : 0x8000;
		st_le64(d, addr);
		st_le32(d + 8, len);
		st_le16(d + 12, packed ? (uint16_t)slot : flags);
		st_le16(d + 14, packed ? flags : (uint16_t)((at + 1) % size));
	}
	if (!(vq->live && vq->a.packed)) {
		st_le16(ring + 0x1004 + 2 * (g.next[q] % size), (uint16_t)(g.next[q] % size));
		g.next[q]++;
		st_le16(ring + 0x1002, g.next[q]);
	}
	if (shape & 0x40 || fuzz_u8(in) & 1)
		notify(q);
}

/* A snapshot whose bytes somebody changed: refused with a reason, or as good as any other. */
static void edit_state(struct dev *d, struct fuzz_input *in)
{
	size_t size = d->cls->state->size, len;
	uint8_t *copy, how = fuzz_u8(in);

	if (d->cls->quiesce)
		check(d->cls->quiesce(d) == 0);
	if (how >= 0xf8) { /* the first load takes requests under way back into their rings */
		free(reload(d, &len));
		round_trip(d);
	}
	for (unsigned n = how & 7; n; n--)
		(void)hostile_edit(d, in);
	/* Into a fresh device, as a restore does. */
	copy = xcalloc(1, size);
	memcpy(copy, dev_regs(d), size);
	dev_reset(&g.vd->dev, DEV_RESET_COLD);
	dev_reset(g.transport, DEV_RESET_COLD);
	memcpy(dev_regs(d), copy, size);
	(void)hostile_state(d, in, 0);
	if (g.vd->dev.cls->resume)
		g.vd->dev.cls->resume(&g.vd->dev);
	free(copy);
}

/* Configuration space; of a device without, a register, with its own width. */
static void settings(struct fuzz_input *in, bool write)
{
	unsigned off = fuzz_u8(in) & 0xfc;

	if (write && g.pci)
		config_write(off, 4, fuzz_u32(in));
	else if (write)
		reg_write(off, 4, fuzz_u32(in) >> (fuzz_u8(in) & 31));
	else if (g.pci)
		(void)pci_bus_config_read(&g.bus, g.pci->devfn, off, 4);
	else
		(void)reg_read(off, 4);
}

static void operation(struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in);
	static const uint8_t sizes[] = {1, 2, 4, 8};
	unsigned size = sizes[op >> 6];

	switch (op % 16) {
	case 0: reg_write(fuzz_u16(in) % (g.pci ? 0x3c : 0x100), size, fuzz_u32(in)); break;
	case 1: reg_write(fuzz_u16(in) % (unsigned)g.window->size, size, fuzz_u32(in)); break;
	case 2: (void)reg_read(fuzz_u16(in) % (unsigned)g.window->size, size); break;
	case 3: reg_write(g.config + fuzz_u8(in) % 64, size, fuzz_u32(in)); break;
	case 4: (void)reg_read(g.config + fuzz_u8(in) % 64, size); break;
	case 5: settings(in, true); break;
	case 6: settings(in, false); break;
	case 7: bring_up(in); break;
	case 8:
	case 9:
	case 10: make_request(in); break;
	case 11: /* raw bytes into rings or data */
	{
		unsigned at = fuzz_u8(in) & 1 ? DATA + (unsigned)fuzz_u16(in)
					      : fuzz_u16(in) % (VIRTIO_QUEUES_MAX * RING);
		for (unsigned n = fuzz_u8(in) % 32; n; n--)
			g.h->ram->host[at++] = fuzz_u8(in);
		break;
	}
	case 12: g.fd->event(g.vd, in); break;
	case 13: clock_step(g.h->clock, fuzz_u16(in) * NS_PER_US); break;
	case 14: notify(fuzz_u8(in) % VIRTIO_QUEUES_MAX); break;
	default:
		if (op & 0x40)
			edit_state(op & 0x80 ? &g.vd->dev : g.transport, in);
		else if (op & 0x80)
			dev_reset(&g.vd->dev, DEV_RESET_WARM);
		break;
	}
	if (g.fd->verify)
		g.fd->verify(g.vd);
	for (unsigned q = 0; q < g.vd->n_queues; q++)
		check(vq_inflight(&g.vd->q[q]) <= VQ_SIZE_MAX);
}

void fuzz_virtio(const struct fuzz_device *fd, const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up(fd);
	/* The last quarter is what changes under the device's feet. */
	g.mutations = (struct fuzz_input){data + size - size / 4, size / 4};
	in.left -= size / 4;
	bus_lock(&g.h->bus);
	g.mutate = true;
	if (fuzz_u8(&in) & 1)
		bring_up(&in);
	for (unsigned i = 0; i < 300 && in.left; i++)
		operation(&in);
	g.mutate = false;
	dev_reset(&g.vd->dev, DEV_RESET_COLD);
	dev_reset(g.transport, DEV_RESET_COLD);
	if (fd->rewind)
		fd->rewind(g.vd);
	for (unsigned q = 0; q < g.vd->n_queues; q++)
		check(vq_inflight(&g.vd->q[q]) == 0 && g.vd->q[q].n_free == g.vd->q[q].size_max);
	check(g.vd->r->status == 0);
	check((g.pci ? g.pci->s.isr : g.mmio->s.interrupt_status) == 0);
	memset(g.h->ram->host, 0, DATA + 0x20000);
	bus_unlock(&g.h->bus);
}
