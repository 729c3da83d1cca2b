/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI-to-PCI bridges: header type 1, bus numbers, windows, secondary bus reset. PCI-to-PCI Bridge
 * Architecture Specification rev. 1.2, chapter 3.
 *
 * An access goes down through a bridge when it is inside one of its three windows and COMMAND has
 * the decode bit set, which is checked where BARs are mapped.
 *
 * ERRATUM: what goes up (DMA, messages) doesn't need bus mastering of the bridges on the way
 * (3.2.5.1), only of the function: SeaBIOS never sets it on bridges.
 *
 * UNMODELLED: the ISA and VGA enable bits of Bridge Control (stored only); I/O above 64 KiB.
 */
#include "base/bits.h"
#include "device/pci/internal.h"

struct window {
	uint64_t first, last;
};

/* Low bits of base and limit say what the window can do and don't count (3.2.5.6, .8, .9). */
static struct window io_window(const uint8_t *cfg)
{
	return (struct window){(uint64_t)(cfg[PCI_IO_BASE] & 0xf0) << 8,
			       (uint64_t)(cfg[PCI_IO_BASE + 1] & 0xf0) << 8 | 0xfff};
}

static struct window memory_window(const uint8_t *cfg)
{
	return (struct window){(uint64_t)(ld_le16(cfg + PCI_MEMORY_BASE) & 0xfff0) << 16,
			       (uint64_t)(ld_le16(cfg + PCI_MEMORY_BASE + 2) & 0xfff0) << 16 |
				       0xfffff};
}

static struct window pref_window(const uint8_t *cfg)
{
	return (struct window){(uint64_t)ld_le32(cfg + PCI_PREF_BASE_HI) << 32 |
				       (uint64_t)(ld_le16(cfg + PCI_PREF_BASE) & 0xfff0) << 16,
			       (uint64_t)ld_le32(cfg + PCI_PREF_LIMIT_HI) << 32 |
				       (uint64_t)(ld_le16(cfg + PCI_PREF_BASE + 2) & 0xfff0) << 16 |
				       0xfffff};
}

static bool inside(struct window w, uint64_t at, uint64_t size)
{
	return at >= w.first && at <= w.last && size - 1 <= w.last - at;
}

bool pci_bridge_forwards(const struct pci_bus *pb, bool io, uint64_t at, uint64_t size)
{
	for (; pb->bridge; pb = pb->bridge->f->bus) {
		const struct pci_func *f = pb->bridge->f;
		const uint8_t *cfg = f->r->cfg;
		uint16_t cmd = pci_command(f);

		if (!f->added)
			return false;
		/* 3.2.5.6: base and limit are read-only 0 where there is no such window. */
		if (io && (!(cmd & PCI_COMMAND_IO) || !f->wmask[PCI_IO_BASE] ||
			   !inside(io_window(cfg), at, size)))
			return false;
		if (!io && (!(cmd & PCI_COMMAND_MEMORY) || (!inside(memory_window(cfg), at, size) &&
							    !inside(pref_window(cfg), at, size))))
			return false;
	}
	return true;
}

struct pci_bus *pci_bus_find(struct pci_bus *root, unsigned number)
{
	if (number == 0)
		return root;
	for (struct pci_bus *pb = root; pb;) {
		struct pci_bus *next = NULL;

		for (unsigned i = 0; i < PCI_DEVFN_COUNT && !next; i++) {
			const struct pci_func *f = pb->func[i];

			if (!f || !f->bridge)
				continue;
			if (f->r->cfg[PCI_SECONDARY_BUS] == number)
				return &f->bridge->bus;
			if (number > f->r->cfg[PCI_SECONDARY_BUS] &&
			    number <= f->r->cfg[PCI_SUBORDINATE_BUS])
				next = &f->bridge->bus;
		}
		pb = next;
	}
	return NULL;
}

void pci_bridge_init(struct pci_bridge *br, struct pci_func *f)
{
	memset(&br->bus, 0, sizeof(br->bus));
	br->f = f;
	br->bus.bridge = br;
	f->bridge = br;
	f->reset[PCI_HEADER_TYPE] = (uint8_t)((f->reset[PCI_HEADER_TYPE] & 0x80) | 1);
	pci_config_def(f, PCI_PRIMARY_BUS, 4, 0, 0x00ffffff);
	pci_config_def(f, PCI_IO_BASE, 2, 0, 0xf0f0);
	pci_config_def(f, PCI_SECONDARY_STATUS, 2, 0, 0);
	st_le16(&f->w1c[PCI_SECONDARY_STATUS], 0xf900);
	pci_config_def(f, PCI_MEMORY_BASE, 4, 0, 0xfff0fff0);
	pci_config_def(f, PCI_PREF_BASE, 4, 0x00010001, 0xfff0fff0); /* 64-bit */
	pci_config_def(f, PCI_PREF_BASE_HI, 4, 0, 0xffffffff);
	pci_config_def(f, PCI_PREF_LIMIT_HI, 4, 0, 0xffffffff);
	pci_config_def(f, PCI_IO_BASE_HI, 4, 0, 0);
	pci_config_def(f, PCI_BRIDGE_CONTROL, 2, 0, 0x005f);
}

void pci_bridge_attach(struct pci_bridge *br)
{
	br->bus.bus = br->f->bus->bus;
}

void pci_bridge_written(struct pci_bridge *br, unsigned off, unsigned size)
{
	const uint8_t *cfg = br->f->r->cfg;

	if (off < PCI_IO_BASE_HI + 4 && off + size > PCI_PRIMARY_BUS)
		pci_bus_remap(&br->bus, NULL);
	/* 3.2.5.17: everything behind the bridge is reset while the bit is set; nothing there can
	 * be reached meanwhile, so once is enough. */
	if (off <= PCI_BRIDGE_CONTROL && off + size > PCI_BRIDGE_CONTROL &&
	    (cfg[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_RESET))
		for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++)
			if (br->bus.func[i])
				dev_reset(br->bus.func[i]->dev, DEV_RESET_FUNCTION);
}
