/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI bus on the harness with one function in slot 2, and the level of its interrupt.
 */
#ifndef TESTS_REG_SLOT_H
#define TESTS_REG_SLOT_H

#include "device/pci/pci.h"
#include "harness.h"

struct slot {
	struct harness *h;
	struct pci_bus bus;
	bool irq;
};

static inline unsigned slot_route(void *ctx, uint8_t devfn, unsigned pin)
{
	return 0;
}

static inline void slot_pirq(void *ctx, unsigned n, bool level)
{
	((struct slot *)ctx)->irq = level;
}

static inline void slot_init(struct slot *s, struct harness *h)
{
	s->h = h;
	pci_bus_init(&s->bus, &h->bus, slot_route, s);
	pci_bus_set_pirq(&s->bus, slot_pirq, s);
}

static inline void slot_config(struct slot *s, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&s->h->bus);
	pci_bus_config_write(&s->bus, PCI_DEVFN(2, 0), off, size, val);
	bus_unlock(&s->h->bus);
}

#endif
