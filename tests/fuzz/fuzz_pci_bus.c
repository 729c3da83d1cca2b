/* SPDX-License-Identifier: Apache-2.0 */
/* See fuzz_pci_bus.h. */
#include "fuzz_pci_bus.h"

#include "device/virtio/virtio_pci.h"
#include "device/virtio/virtio_rng.h"
#include "hostile.h"

void fuzz_pci_start(struct fuzz_pci *g, unsigned n_pins)
{
	struct mem_mapping *map;
	struct error err = {0};

	g->h = harness_new();
	g->n_pins = n_pins;
	bus_lock(&g->h->bus);
	mem_unmap(g->h->mem, g->h->ram_map);
	check(mem_map_ram(g->h->mem, "low", 0, g->h->ram, 0, 0xa0000, false, MEM_PRIO_RAM, &map,
			  &err) == 0);
	check(mem_map_ram(g->h->mem, "high", MIB, g->h->ram, MIB, HARNESS_RAM - MIB, false,
			  MEM_PRIO_RAM, &map, &err) == 0);
	bus_unlock(&g->h->bus);
}

void fuzz_pci_add(struct fuzz_pci *g, struct dev *d)
{
	check(g->n < FUZZ_PCI_DEVS);
	harness_realize(g->h, d);
	g->dev[g->n++] = d;
}

void fuzz_pci_add_rng(struct fuzz_pci *g, const char *id, const char *pci, struct pci_bus *bus)
{
	struct virtio_rng *rng = (struct virtio_rng *)dev_new(&virtio_rng_class, id, &g->h->sv);
	struct virtio_pci *vp;

	fuzz_pci_add(g, &rng->vd.dev);
	vp = (struct virtio_pci *)dev_new(&virtio_pci_class, pci, &g->h->sv);
	vp->vd = &rng->vd;
	vp->bus = bus;
	fuzz_pci_add(g, &vp->dev);
}

void fuzz_pci_config(struct fuzz_pci *g, struct fuzz_input *in, uint32_t addr, unsigned width,
		     bool write)
{
	uint16_t port = (uint16_t)(0xcfc + fuzz_u8(in) % 4);

	bus_pio_write(&g->h->bus, 0xcf8, 4, addr);
	if (write)
		bus_pio_write(&g->h->bus, port, width, fuzz_u32(in));
	else
		(void)bus_pio_read(&g->h->bus, port, width);
}

void fuzz_pci_device(struct fuzz_pci *g, struct fuzz_input *in, uint8_t how)
{
	struct dev *d = g->dev[fuzz_u8(in) % g->n];

	bus_lock(&g->h->bus);
	if (how & 8)
		(void)hostile_state(d, in, how >> 4 & 7);
	else
		dev_reset(d, DEV_RESET_WARM);
	bus_unlock(&g->h->bus);
}

static unsigned driven(const struct pci_bus *pb)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++) {
		n += pb->func[i] && pb->func[i]->intx_driven;
		if (pb->func[i] && pb->func[i]->bridge)
			n += driven(&pb->func[i]->bridge->bus);
	}
	return n;
}

void fuzz_pci_check(const struct fuzz_pci *g)
{
	unsigned total = 0;

	for (unsigned i = 0; i < PCI_PIRQS; i++)
		total += g->bus->pirq_count[i];
	check(total == driven(g->bus));
}

void fuzz_pci_end(struct fuzz_pci *g)
{
	bus_lock(&g->h->bus);
	for (unsigned i = 0; i < g->n; i++)
		dev_reset(g->dev[i], DEV_RESET_COLD);
	fuzz_pci_check(g);
	for (unsigned i = 0; i < g->n_pins; i++)
		check(!g->h->pins[i].level);
	bus_unlock(&g->h->bus);
}
