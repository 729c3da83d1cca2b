/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI resources without firmware (pci_setup.h). Sources: PCI 3.0, 6.2.5.1 (sizing base addresses);
 * PCI-to-PCI Bridge 1.2, 3.2.5 (numbers and windows); PIIX3 data sheet 290550-002, 2.5.9 (ELCR);
 * 8237A data sheet ("Cascade mode").
 *
 * Base addresses are given in ascending order, so a bridge's memory window is what was given while
 * its bus was set up. Bridges have no I/O windows here: what stands behind them has memory.
 */
#include "machine/pci_setup.h"

#include <errno.h>

#include "base/bits.h"

#define BRIDGE_UNIT MIB /* of a bridge's memory window */

static int assign_bar(struct pci_setup *s, struct pci_bus *pb, uint8_t devfn, unsigned *bar,
		      struct error *err)
{
	unsigned off = PCI_BAR0 + *bar * 4;
	uint32_t old = pci_bus_config_read(pb, devfn, off, 4), mask;
	bool is_io = old & 1, is64 = !is_io && (old & 6) == 4;
	struct pci_window *w = is_io ? &s->io : &s->mem;
	uint64_t size, at;

	pci_bus_config_write(pb, devfn, off, 4, 0xffffffff);
	mask = pci_bus_config_read(pb, devfn, off, 4) & (is_io ? ~3u : ~15u);
	if (is_io)
		mask |= 0xffff0000;
	*bar += is64 ? 2 : 1;
	if (!(mask & (is_io ? 0xfffcu : ~15u))) {
		pci_bus_config_write(pb, devfn, off, 4, old);
		return 0;
	}
	size = (uint64_t)(uint32_t)~mask + 1;
	at = align_up(w->next, size);
	if (at > w->last || size - 1 > w->last - at)
		return error_set(err, -ENOSPC,
				 "PCI device %02x.%x: no address left for a region of %llu bytes; "
				 "use fewer devices",
				 devfn >> 3, devfn & 7, (unsigned long long)size);
	pci_bus_config_write(pb, devfn, off, 4, (uint32_t)at);
	if (is64)
		pci_bus_config_write(pb, devfn, off + 4, 4, 0);
	w->next = at + size;
	return 0;
}

static int setup_bridge(struct pci_setup *s, struct pci_bus *pb, uint8_t devfn, struct error *err)
{
	struct pci_bridge *br = pb->func[devfn]->bridge;
	uint32_t number = ++s->last_bus, limit = 0x0000fff0; /* base above limit: closed */
	uint64_t first;
	int r;

	pci_bus_config_write(pb, devfn, PCI_PRIMARY_BUS, 4, 0xff0000u | number << 8);
	s->mem.next = first = align_up(s->mem.next, BRIDGE_UNIT);
	r = pci_setup_bus(s, &br->bus, 0, err);
	if (s->mem.next != first) {
		s->mem.next = align_up(s->mem.next, BRIDGE_UNIT);
		limit = (uint32_t)((first >> 16 & 0xfff0) | ((s->mem.next - 1) & 0xfff00000));
	}
	pci_bus_config_write(pb, devfn, PCI_MEMORY_BASE, 4, limit);
	pci_bus_config_write(pb, devfn, PCI_PREF_BASE, 4, 0x0000fff0);
	pci_bus_config_write(pb, devfn, PCI_IO_BASE, 2, 0x00f0); /* closed, where there is one */
	pci_bus_config_write(pb, devfn, PCI_SUBORDINATE_BUS, 1, s->last_bus);
	pci_bus_config_write(pb, devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return r;
}

static int setup_function(struct pci_setup *s, struct pci_bus *pb, uint8_t devfn, struct error *err)
{
	struct pci_func *f = pb->func[devfn];
	uint8_t pin = f->r->cfg[PCI_INTERRUPT_PIN];
	uint32_t cmd = pci_bus_config_read(pb, devfn, PCI_COMMAND, 2);
	int r = 0;

	if (pin >= 1 && pin <= 4)
		pci_bus_config_write(pb, devfn, PCI_INTERRUPT_LINE, 1, s->isa[pci_func_pirq(f)]);
	if (f->bridge)
		return setup_bridge(s, pb, devfn, err);
	for (unsigned bar = 0; bar < PCI_BARS && r == 0;)
		r = assign_bar(s, pb, devfn, &bar, err);
	pci_bus_config_write(pb, devfn, PCI_COMMAND, 2, cmd | PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	return r;
}

int pci_setup_bus(struct pci_setup *s, struct pci_bus *pb, unsigned first, struct error *err)
{
	int r = 0;

	for (unsigned devfn = first; devfn < PCI_DEVFN_COUNT && r == 0; devfn++)
		if (pb->func[devfn] && !pb->func[devfn]->r->hidden)
			r = setup_function(s, pb, (uint8_t)devfn, err);
	return r;
}

/* A byte to an I/O port, as firmware would write it; the bus lock is held already. */
static void poke(struct machine *m, uint16_t port, uint8_t val)
{
	const struct bus_region *r = m->sv.bus->ports[port];

	if (r)
		bus_region_write(r, port - r->port, 1, val);
}

void pci_setup_isa(struct machine *m, uint16_t levels)
{
	levels |= 1u << ISA_IRQ_SCI;
	/* Channel 4 carries the requests of 0 to 3. */
	poke(m, 0xd6, 0xc0);
	poke(m, 0xd4, 0x00);
	poke(m, 0x4d0, (uint8_t)levels);
	poke(m, 0x4d1, (uint8_t)(levels >> 8));
}
