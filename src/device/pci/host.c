/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration mechanism #1; see host.h. Cycles to buses that no bridge has go nowhere. */
#include "device/pci/host.h"

#include "base/bits.h"

const struct state_field pci_host_regs_fields[] = {
	STATE_VAL(struct pci_host_regs, confadd),
	STATE_END,
};

/* 82441FX data sheet, 3.1.1: CONFADD. */
FIELD(CONFADD_REG, 2, 6)
FIELD(CONFADD_DEVFN, 8, 8)
FIELD(CONFADD_BUS, 16, 8)
FIELD(CONFADD_CONE, 31, 1)
#define CONFADD_WRITABLE 0x80fffffcu

static uint64_t addr_read(void *ctx, uint64_t off, unsigned size)
{
	struct pci_host *h = ctx;

	if (off == 0 && size == 4)
		return h->r->confadd;
	if (off == 1 && size == 1 && h->cf9)
		return bus_region_read(h->cf9, 0, 1);
	return mask_bytes(size);
}

static void addr_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = ctx;

	if (off == 0 && size == 4)
		h->r->confadd = (uint32_t)val & CONFADD_WRITABLE;
	else if (off == 1 && size == 1 && h->cf9)
		bus_region_write(h->cf9, 0, 1, val);
}

static struct pci_bus *selected(const struct pci_host *h)
{
	return GET(h->r->confadd, CONFADD_CONE)
		       ? pci_bus_find(h->pb, (unsigned)GET(h->r->confadd, CONFADD_BUS))
		       : NULL;
}

static uint64_t data_read(void *ctx, uint64_t off, unsigned size)
{
	struct pci_host *h = ctx;
	struct pci_bus *pb = selected(h);

	if (!pb)
		return mask_bytes(size);
	return pci_bus_config_read(pb, (uint8_t)GET(h->r->confadd, CONFADD_DEVFN),
				   (unsigned)(GET(h->r->confadd, CONFADD_REG) * 4 + off), size);
}

static void data_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = ctx;
	struct pci_bus *pb = selected(h);

	if (pb)
		pci_bus_config_write(pb, (uint8_t)GET(h->r->confadd, CONFADD_DEVFN),
				     (unsigned)(GET(h->r->confadd, CONFADD_REG) * 4 + off), size,
				     (uint32_t)val);
}

int pci_host_init(struct pci_host *h, struct pci_bus *pb, struct pci_host_regs *r,
		  struct error *err)
{
	h->r = r;
	h->pb = pb;
	h->addr = (struct bus_region){.name = "pci-confadd",
				      .size = 4,
				      .valid = WIDTH_124,
				      .read = addr_read,
				      .write = addr_write,
				      .ctx = h};
	h->data = (struct bus_region){.name = "pci-confdata",
				      .size = 4,
				      .valid = WIDTH_124,
				      .read = data_read,
				      .write = data_write,
				      .ctx = h};
	int res = bus_map_pio(pb->bus, &h->addr, 0xcf8, err);
	if (res < 0)
		return res;
	res = bus_map_pio(pb->bus, &h->data, 0xcfc, err);
	if (res < 0)
		bus_unmap_pio(pb->bus, &h->addr);
	return res;
}

void pci_host_done(struct pci_host *h)
{
	if (!h->pb)
		return;
	if (h->addr.mapped)
		bus_unmap_pio(h->pb->bus, &h->addr);
	if (h->data.mapped)
		bus_unmap_pio(h->pb->bus, &h->data);
}
