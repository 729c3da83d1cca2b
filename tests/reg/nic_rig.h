/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card on a PCI bus of its own (or on none), with a back end in memory, for register
 * tests and the fuzzer.
 */
#ifndef TESTS_REG_NIC_RIG_H
#define TESTS_REG_NIC_RIG_H

#include <stdlib.h>
#include <string.h>

#include "device/pci/pci.h"
#include "fake_net.h"
#include "harness.h"

#define NIC_RIG_MMIO 0xe0000000u
#define NIC_RIG_IO   0xc000u

static const uint8_t nic_rig_mac[6] = {0x52, 0x54, 0x00, 0x01, 0x02, 0x03};

struct nic_rig {
	struct harness *h;
	struct pci_bus bus;
	struct net *net;
	struct dev *dev;
	bool irq;
	uint8_t frame[NET_FRAME_MAX];
};

static inline unsigned nic_rig_route(void *ctx, uint8_t devfn, unsigned pin)
{
	return 0;
}

static inline void nic_rig_pirq(void *ctx, unsigned n, bool level)
{
	((struct nic_rig *)ctx)->irq = level;
}

static inline void nic_rig_line(void *ctx, unsigned pin, bool level)
{
	((struct nic_rig *)ctx)->irq = level;
}

/* A harness without a card yet: the caller wires one and calls nic_rig_add(). */
static inline struct nic_rig *nic_rig_new(void)
{
	struct nic_rig *g = xnew(struct nic_rig);

	g->h = harness_new();
	g->net = xnew(struct net);
	pci_bus_init(&g->bus, &g->h->bus, nic_rig_route, g);
	pci_bus_set_pirq(&g->bus, nic_rig_pirq, g);
	for (unsigned i = 0; i < sizeof(g->frame); i++)
		g->frame[i] = (uint8_t)(i * 7);
	memcpy(g->frame, nic_rig_mac, 6);
	return g;
}

static inline void nic_rig_cfg(struct nic_rig *g, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, PCI_DEVFN(2, 0), off, size, val);
	bus_unlock(&g->h->bus);
}

/* The function in slot 2: memory BAR @mem and I/O BAR @io (-1: none) where the names say. */
static inline void nic_rig_enable(struct nic_rig *g, int mem, int io)
{
	if (mem >= 0)
		nic_rig_cfg(g, PCI_BAR0 + 4 * (unsigned)mem, 4, NIC_RIG_MMIO);
	if (io >= 0)
		nic_rig_cfg(g, PCI_BAR0 + 4 * (unsigned)io, 4, NIC_RIG_IO);
	nic_rig_cfg(g, PCI_COMMAND, 2, 7);
}

static inline void nic_rig_add(struct nic_rig *g, struct dev *d)
{
	g->dev = d;
	harness_realize(g->h, d);
}

static inline void nic_rig_free(struct nic_rig *g)
{
	harness_free(g->h);
	free(g->net);
	free(g);
}

/* A frame arrives; false when the card makes it wait. */
static inline bool nic_rig_arrive(struct nic_rig *g, const void *frame, size_t len)
{
	bool took;

	bus_lock(&g->h->bus);
	took = fake_net_frame(g->net, frame, len);
	bus_unlock(&g->h->bus);
	return took;
}

/* A TCP packet over IPv4 of @payload bytes with no checksums right; its length. */
static inline unsigned nic_rig_tcp(uint8_t *p, unsigned payload)
{
	static const uint8_t head[54] = {0x52, 0x55, 10,   0,    2,    2, 0x52, 0x54, 0,    1,    2,
					 3,    8,    0,    0x45, 0,    0, 0,    0x12, 0x34, 0x40, 0,
					 64,   6,    0,    0,    10,   0, 2,    15,   10,   0,    2,
					 2,    0x04, 0x00, 0,    80,   0, 0,    0x10, 0,    0,    0,
					 0,    1,    0x50, 0x19, 0x20, 0, 0,    0,    0,    0};

	memcpy(p, head, 54);
	st_be16(p + 16, (uint16_t)(40 + payload));
	for (unsigned i = 0; i < payload; i++)
		p[54 + i] = (uint8_t)(i * 11 + (i >> 8));
	return 54 + payload;
}

#endif
