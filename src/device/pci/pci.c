/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI configuration space, base address registers and INTx. PCI Local Bus Specification rev. 3.0,
 * chapters 2.2.6 (INTx), 3.2.2.3 (configuration), 6.1-6.7.
 *
 * Each function has four parallel byte tables: contents, reset contents, writable bits and
 * write-one-to-clear bits. A BAR stands on the bus exactly while its decode bit in COMMAND is set
 * and its address is inside the space; BARs have lower priority than RAM, as the host bridge never
 * passes an access to RAM on to PCI. Two BARs at one address would fight on a real bus; here the
 * one that came first keeps the addresses and the other is tried again after each change.
 *
 * A BAR behind a bridge also needs the bridge's decode bits and windows (bridge.c).
 *
 * UNMODELLED: parity and SERR#, latency.
 */
#include "device/pci/pci.h"

#include "device/pci/internal.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

const struct state_field pci_regs_fields[] = {
	STATE_BYTES_OF(struct pci_regs, cfg),
	STATE_VAL(struct pci_regs, intx),
	STATE_VAL(struct pci_regs, hidden),
	STATE_PAD(struct pci_regs, pad_),
	STATE_END,
};

/* Memory decoders of the machine compare this many address bits. */
#define PCI_MEM_LIMIT (1ull << 52)

/* ---- bus ---- */

void pci_bus_init(struct pci_bus *pb, struct bus *bus,
		  unsigned (*route)(void *ctx, uint8_t devfn, unsigned pin), void *ctx)
{
	memset(pb, 0, sizeof(*pb));
	pb->bus = bus;
	pb->route = route;
	pb->route_ctx = ctx;
}

void pci_bus_set_pirq(struct pci_bus *pb, void (*pirq)(void *ctx, unsigned n, bool level),
		      void *ctx)
{
	pb->pirq = pirq;
	pb->pirq_ctx = ctx;
	for (unsigned i = 0; pirq && i < ARRAY_SIZE(pb->pirq_count); i++)
		pirq(ctx, i, pb->pirq_count[i] > 0);
}

int pci_bus_free_slot(const struct pci_bus *pb, unsigned first)
{
	for (unsigned dev = first; dev < 32; dev++) {
		bool used = false;
		for (unsigned fn = 0; fn < 8; fn++)
			used = used || pb->func[PCI_DEVFN(dev, fn)];
		if (!used)
			return (int)dev;
	}
	return -ENOSPC;
}

/* ---- BARs ---- */

/* Where BAR @n should be mapped now; false if nowhere. */
static bool bar_wanted(const struct pci_func *f, unsigned n, uint64_t *ret_at)
{
	const struct pci_bar *bar = &f->bar[n];
	const uint8_t *reg = &f->r->cfg[PCI_BAR0 + 4 * n];
	uint16_t cmd = pci_command(f);
	uint64_t at, end, limit = PCI_MEM_LIMIT;

	switch (bar->kind) {
	case PCI_BAR_IO:
		if (!(cmd & PCI_COMMAND_IO))
			return false;
		at = ld_le32(reg) & ~3u;
		limit = 0x10000;
		break;
	case PCI_BAR_MEM32:
	case PCI_BAR_MEM32_PREF:
		if (!(cmd & PCI_COMMAND_MEMORY))
			return false;
		at = ld_le32(reg) & ~0xfu;
		break;
	case PCI_BAR_MEM64:
	case PCI_BAR_MEM64_PREF:
		if (!(cmd & PCI_COMMAND_MEMORY))
			return false;
		at = ld_le64(reg) & ~0xfull;
		break;
	case PCI_BAR_NONE:
	default: return false;
	}
	if (ckd_add(&end, at, bar->size) || end > limit ||
	    !pci_bridge_forwards(f->bus, bar->kind == PCI_BAR_IO, at, bar->size))
		return false;
	*ret_at = at;
	return true;
}

static void bar_unmap(struct pci_func *f, struct pci_bar *bar)
{
	if (!bar->mapped)
		return;
	if (bar->kind == PCI_BAR_IO)
		bus_unmap_pio(f->bus->bus, bar->region);
	else if (bar->region)
		bus_unmap_mmio(f->bus->bus, bar->region);
	else
		mem_unmap(f->bus->bus->mem, bar->map);
	bar->map = NULL;
	bar->mapped = false;
}

static int bar_map(struct pci_bus *pb, struct pci_bar *bar, uint64_t at, struct error *err)
{
	if (bar->kind == PCI_BAR_IO)
		return bus_map_pio(pb->bus, bar->region, (uint32_t)at, err);
	if (bar->region)
		return bus_map_mmio(pb->bus, bar->region, at, MEM_PRIO_LOW, err);
	return mem_map_ram(pb->bus->mem, bar->block->name, at, bar->block, 0, bar->size, false,
			   MEM_PRIO_LOW, &bar->map, err);
}

/* Where the expansion ROM should be mapped now: its own enable bit and COMMAND's memory bit both
 * have to be set (PCI 3.0, 6.2.5.2). */
static bool rom_wanted(const struct pci_func *f, uint64_t *ret_at)
{
	uint32_t reg = ld_le32(&f->r->cfg[PCI_ROM_ADDRESS]);

	if (!f->rom.block || !(reg & 1) || !(pci_command(f) & PCI_COMMAND_MEMORY))
		return false;
	*ret_at = align_down(reg, f->rom.block->size);
	return *ret_at != 0 && pci_bridge_forwards(f->bus, false, *ret_at, f->rom.block->size);
}

static void rom_unmap(struct pci_func *f)
{
	mem_unmap(f->bus->bus->mem, f->rom.map);
	f->rom.map = NULL;
}

static void rom_map(struct pci_func *f, bool complain)
{
	struct error err = {0};
	uint64_t at;

	if (f->rom.map || !rom_wanted(f, &at))
		return;
	f->rom.at = at;
	if (mem_map_ram(f->bus->bus->mem, "pci-rom", at, f->rom.block, 0, f->rom.block->size, true,
			MEM_PRIO_LOW, &f->rom.map, &err) < 0 &&
	    complain)
		guest_error(f->dev, "expansion ROM at %#" PRIx64 ": %s", at, err.text);
}

static void unmap_stale(struct pci_bus *pb)
{
	uint64_t at;

	for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++) {
		struct pci_func *f = pb->func[i];

		for (unsigned n = 0; f && n < PCI_BARS; n++) {
			struct pci_bar *bar = &f->bar[n];
			if (bar->mapped && (!bar_wanted(f, n, &at) || at != bar->at))
				bar_unmap(f, bar);
		}
		if (f && f->rom.map && (!rom_wanted(f, &at) || at != f->rom.at))
			rom_unmap(f);
		if (f && f->bridge)
			unmap_stale(&f->bridge->bus);
	}
}

static void map_wanted(struct pci_bus *pb, struct pci_func *changed)
{
	uint64_t at;

	for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++) {
		struct pci_func *f = pb->func[i];

		for (unsigned n = 0; f && n < PCI_BARS; n++) {
			struct pci_bar *bar = &f->bar[n];
			struct error err = {0};
			if (bar->mapped || !bar_wanted(f, n, &at))
				continue;
			int r = bar_map(pb, bar, at, &err);
			if (r < 0) {
				if (f == changed)
					guest_error(f->dev, "BAR %u at %#" PRIx64 ": %s", n, at,
						    err.text);
				continue;
			}
			bar->at = at;
			bar->mapped = true;
		}
		if (f)
			rom_map(f, f == changed);
		if (f && f->bridge)
			map_wanted(&f->bridge->bus, changed);
	}
}

/* Bring the buses in line with all BARs. @changed: whose registers changed, for the complaint.
 * Bridges are part of the machine, so how deep they nest is bounded by it. */
void pci_bus_remap(struct pci_bus *pb, struct pci_func *changed)
{
	while (pb->bridge)
		pb = pb->bridge->f->bus;
	mem_map_begin(pb->bus->mem);
	unmap_stale(pb);
	map_wanted(pb, changed);
	mem_map_commit(pb->bus->mem);
}

/* ---- INTx ---- */

/* Where INTx of @f arrives: through each bridge, device n turns the pins by n (PCI-to-PCI Bridge
 * 1.2, table 9-1). */
static unsigned intx_route(const struct pci_func *f, struct pci_bus **ret_root)
{
	unsigned pin = (f->r->cfg[PCI_INTERRUPT_PIN] - 1u) & 3;
	uint8_t devfn = f->devfn;
	struct pci_bus *pb = f->bus;

	for (; pb->bridge; pb = pb->bridge->f->bus) {
		pin = (pin + (devfn >> 3) + pb->bridge->rotate) & 3;
		devfn = pb->bridge->f->devfn;
	}
	*ret_root = pb;
	return pb->route(pb->route_ctx, devfn, pin) % PCI_PIRQS;
}

unsigned pci_func_pirq(const struct pci_func *f)
{
	struct pci_bus *root;

	return intx_route(f, &root);
}

static void intx_update(struct pci_func *f)
{
	uint8_t pin = f->r->cfg[PCI_INTERRUPT_PIN];
	bool level = f->added && pin && f->r->intx && !(pci_command(f) & PCI_COMMAND_INTX_DISABLE);
	struct pci_bus *pb;

	if (level == f->intx_driven)
		return;
	f->intx_driven = level;
	unsigned n = intx_route(f, &pb);
	if (level)
		f->intx_pirq = (uint8_t)n;
	n = f->intx_pirq;
	bool was = pb->pirq_count[n] > 0;
	pb->pirq_count[n] += level ? 1u : -1u;
	bool is = pb->pirq_count[n] > 0;
	if (was != is && pb->pirq)
		pb->pirq(pb->pirq_ctx, n, is);
}

/* The routing registers changed: what is high now may belong elsewhere. */
void pci_bus_reroute(struct pci_bus *pb)
{
	for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++) {
		struct pci_func *f = pb->func[i];
		bool was = f && f->r->intx;

		if (f && f->intx_driven) {
			f->r->intx = false;
			intx_update(f);
			f->r->intx = was;
			intx_update(f);
		}
		if (f && f->bridge)
			pci_bus_reroute(&f->bridge->bus);
	}
}

void pci_intx_set(struct pci_func *f, bool level)
{
	f->r->intx = level;
	if (f->added)
		intx_update(f);
}

/* ---- configuration cycles ---- */

uint32_t pci_bus_config_read(struct pci_bus *pb, uint8_t devfn, unsigned off, unsigned size)
{
	struct pci_func *f = pb->func[devfn];
	uint32_t val;

	if (!f || f->r->hidden || pb->dark || off + size > PCI_CONFIG_SIZE)
		return (uint32_t)mask_bytes(size);
	if (f->config_read_hook && f->config_read_hook(f, off, size, &val))
		return val;
	val = (uint32_t)ld_le(&f->r->cfg[off], size);
	/* Interrupt Status shows the request whether or not INTx is disabled (PCI 3.0, 6.2.3). */
	if (f->r->intx && off <= PCI_STATUS && off + size > PCI_STATUS)
		val |= (uint32_t)PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - off));
	return val;
}

static bool touches(unsigned off, unsigned size, unsigned reg, unsigned len)
{
	return off < reg + len && off + size > reg;
}

void pci_bus_config_write(struct pci_bus *pb, uint8_t devfn, unsigned off, unsigned size,
			  uint32_t val)
{
	struct pci_func *f = pb->func[devfn];

	if (!f || f->r->hidden || pb->dark || off + size > PCI_CONFIG_SIZE)
		return;
	if (f->config_write_hook && f->config_write_hook(f, off, size, val))
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t *reg = &f->r->cfg[off + i], w = f->wmask[off + i];
		uint8_t v = (uint8_t)(val >> (8 * i));
		*reg = (uint8_t)((*reg & ~w) | (v & w));
		*reg &= (uint8_t) ~(v & f->w1c[off + i]);
	}
	if (touches(off, size, PCI_COMMAND, 2) || touches(off, size, PCI_BAR0, 4 * PCI_BARS) ||
	    touches(off, size, PCI_ROM_ADDRESS, 4))
		pci_bus_remap(pb, f);
	if (touches(off, size, PCI_COMMAND, 2))
		intx_update(f);
	if (f->config_written)
		f->config_written(f, off, size);
	pci_msix_flush(f);
}

/* ---- building a function ---- */

void pci_config_def(struct pci_func *f, unsigned off, unsigned size, uint32_t reset, uint32_t wmask)
{
	check(off + size <= PCI_CONFIG_SIZE);
	st_le(&f->reset[off], size, reset);
	st_le(&f->wmask[off], size, wmask);
}

void pci_func_init(struct pci_func *f, struct dev *dev, struct pci_regs *r,
		   const struct pci_ids *ids)
{
	memset(f, 0, sizeof(*f));
	f->dev = dev;
	f->r = r;
	f->cap_end = 0x40;
	pci_config_def(f, PCI_VENDOR_ID, 2, ids->vendor, 0);
	pci_config_def(f, PCI_DEVICE_ID, 2, ids->device, 0);
	pci_config_def(f, PCI_COMMAND, 2, 0,
		       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			       PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	/* Error bits 15:11 and 8 are cleared by writing 1 (PCI 3.0, 6.2.3); nothing here sets them.
	 */
	st_le16(&f->w1c[PCI_STATUS], 0xf900);
	pci_config_def(f, PCI_REVISION_ID, 1, ids->revision, 0);
	pci_config_def(f, PCI_CLASS_PROG, 1, ids->prog_if, 0);
	pci_config_def(f, PCI_CLASS_DEVICE, 2, ids->cls, 0);
	pci_config_def(f, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	pci_config_def(f, PCI_LATENCY_TIMER, 1, 0, 0xff);
	pci_config_def(f, PCI_HEADER_TYPE, 1, ids->header_type, 0);
	pci_config_def(f, PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsystem_vendor, 0);
	pci_config_def(f, PCI_SUBSYSTEM_ID, 2, ids->subsystem, 0);
	if (ids->interrupt_pin) {
		pci_config_def(f, PCI_INTERRUPT_LINE, 1, 0, 0xff);
		pci_config_def(f, PCI_INTERRUPT_PIN, 1, ids->interrupt_pin, 0);
	}
}

static void bar_define(struct pci_func *f, unsigned n, enum pci_bar_kind kind, uint64_t size)
{
	bool wide = kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREF;
	/* Low bits as PCI 3.0, 6.2.5.1: bit 0 I/O; bits 2:1 = 10b 64-bit; bit 3 prefetchable. */
	uint32_t flags = kind == PCI_BAR_IO ? 1 : wide ? 4 : 0;

	check(n + wide < PCI_BARS && size >= (kind == PCI_BAR_IO ? 4 : 16) && !(size & (size - 1)));
	if (kind == PCI_BAR_MEM64_PREF || kind == PCI_BAR_MEM32_PREF)
		flags |= 8;
	pci_config_def(f, PCI_BAR0 + 4 * n, 4, flags, (uint32_t) ~(size - 1));
	if (wide)
		pci_config_def(f, PCI_BAR0 + 4 * n + 4, 4, 0, (uint32_t)(~(size - 1) >> 32));
}

void pci_bar_add(struct pci_func *f, unsigned n, enum pci_bar_kind kind, struct bus_region *region)
{
	bar_define(f, n, kind, region->size);
	f->bar[n] = (struct pci_bar){.kind = kind, .size = region->size, .region = region};
}

void pci_bar_add_ram(struct pci_func *f, unsigned n, enum pci_bar_kind kind,
		     struct ram_block *block)
{
	check(kind != PCI_BAR_IO);
	bar_define(f, n, kind, block->size);
	f->bar[n] = (struct pci_bar){.kind = kind, .size = block->size, .block = block};
}

int pci_rom_add(struct pci_func *f, const uint8_t *bytes, size_t len, struct error *err)
{
	uint64_t size = MEM_PAGE_SIZE;
	char *name;
	int r;

	if (!len || len > 16 * MIB)
		return error_set(err, -E2BIG, "'%s': an option ROM of %zu bytes: 1 to 16 MiB",
				 f->dev->id, len);
	while (size < len)
		size *= 2;
	name = xasprintf("rom-%s", f->dev->id);
	r = mem_ram_new(f->dev->sv->mem, name, size, &f->rom.block, err);
	free(name);
	if (r < 0)
		return r;
	memcpy(f->rom.block->host, bytes, len);
	pci_config_def(f, PCI_ROM_ADDRESS, 4, 0, (uint32_t) ~(size - 1) | 1);
	return 0;
}

int pci_cap_add(struct pci_func *f, uint8_t id, unsigned len)
{
	unsigned off = f->cap_end;

	if (off + len > PCI_CONFIG_SIZE)
		return -ENOSPC;
	f->reset[off] = id;
	f->reset[off + 1] = 0;
	f->reset[f->cap_last ? f->cap_last + 1u : PCI_CAP_POINTER] = (uint8_t)off;
	f->reset[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	f->cap_last = (uint8_t)off;
	f->cap_end = (unsigned)align_up(off + len, 4);
	return (int)off;
}

int pci_func_add(struct pci_func *f, struct pci_bus *pb, uint8_t devfn, struct error *err)
{
	if (pb->func[devfn])
		return error_set(err, -EEXIST, "PCI slot %02x.%u is taken by '%s'", devfn >> 3,
				 devfn & 7, pb->func[devfn]->dev->id);
	f->bus = pb;
	f->devfn = devfn;
	memcpy(f->r->cfg, f->reset, PCI_CONFIG_SIZE);
	pb->func[devfn] = f;
	f->added = true;
	if (pb->bridge && pb->bridge->changed)
		pb->bridge->changed(pb->bridge);
	return 0;
}

void pci_func_hide(struct pci_func *f)
{
	f->r->hidden = true;
	if (f->bus->bridge && f->bus->bridge->changed)
		f->bus->bridge->changed(f->bus->bridge);
}

void pci_func_done(struct pci_func *f)
{
	if (!f->added)
		return;
	f->added = false;
	intx_update(f);
	for (unsigned n = 0; n < PCI_BARS; n++)
		bar_unmap(f, &f->bar[n]);
	rom_unmap(f);
	f->bus->func[f->devfn] = NULL;
	if (f->bus->bridge && f->bus->bridge->changed)
		f->bus->bridge->changed(f->bus->bridge);
	pci_bus_remap(f->bus, NULL); /* another BAR may have waited for these addresses */
}

void pci_func_reset(struct pci_func *f, enum dev_reset kind)
{
	(void)kind; /* RST# and function level reset both clear everything (PCI 3.0, 6.2.2) */
	f->r->intx = false;
	intx_update(f);
	memcpy(f->r->cfg, f->reset, PCI_CONFIG_SIZE);
	if (f->msix.r) {
		memset(f->msix.r, 0, sizeof(*f->msix.r));
		for (unsigned i = 0; i < f->msix.n; i++)
			f->msix.r->vec[i].ctrl = 1; /* PCI 3.0, 6.8.2.9: masked after reset */
	}
	pci_bus_remap(f->bus, f);
}

int pci_func_loaded(struct pci_func *f, struct error *err)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		uint8_t fixed = (uint8_t) ~(f->wmask[i] | f->w1c[i]);
		if ((f->r->cfg[i] ^ f->reset[i]) & fixed)
			return error_set(err, -EINVAL,
					 "PCI configuration byte %#04x is %#04x, this device has "
					 "%#04x there",
					 i, f->r->cfg[i], f->reset[i]);
	}
	if (f->msix.r) {
		struct pci_msix_regs *m = f->msix.r;
		for (unsigned i = 0; i < PCI_MSIX_MAX; i++)
			m->vec[i].addr_lo &= ~3u;
		m->pba &= mask_bytes(8) >> (64 - f->msix.n);
	}
	pci_bus_remap(f->bus, f);
	intx_update(f);
	if (f->bus->bridge && f->bus->bridge->loaded)
		f->bus->bridge->loaded(f->bus->bridge);
	return 0;
}
