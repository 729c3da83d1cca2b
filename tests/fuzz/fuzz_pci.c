/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI side of a machine (440FX, PIIX3, PIIX4 power management, two virtio functions) against
 * random port accesses, mostly well-aimed configuration cycles, memory accesses and snapshots with
 * bytes changed.
 */
#include "device/misc/cf9.h"
#include "device/pci/i440fx.h"
#include "device/pci/piix3.h"
#include "device/virtio/virtio_rng.h"
#include "fuzz_virtio.h"
#include "hostile.h"

#include <string.h>

enum { DEVS = 9 };

static struct {
	struct harness *h;
	struct i440fx *hb;
	struct dev *dev[DEVS];
	unsigned n;
} g;

static void pm_moved(void *ctx, bool enabled, uint16_t base)
{
	(void)ctx, (void)enabled;
	check((base & 0x3f) == 0);
}

static void add(struct dev *d)
{
	harness_realize(g.h, d);
	g.dev[g.n++] = d;
}

static void set_up(void)
{
	struct mem_mapping *map;
	struct ram_block *rom;
	struct error err = {0};

	if (g.h)
		return;
	g.h = harness_new();
	bus_lock(&g.h->bus);
	mem_unmap(g.h->mem, g.h->ram_map);
	check(mem_map_ram(g.h->mem, "low", 0, g.h->ram, 0, 0xa0000, false, MEM_PRIO_RAM, &map,
			  &err) == 0);
	check(mem_map_ram(g.h->mem, "high", MIB, g.h->ram, MIB, HARNESS_RAM - MIB, false,
			  MEM_PRIO_RAM, &map, &err) == 0);
	check(mem_ram_new(g.h->mem, "bios", 0x20000, &rom, &err) == 0);
	bus_unlock(&g.h->bus);
	g.hb = (struct i440fx *)dev_new(&i440fx_class, "i440fx", &g.h->sv);
	g.hb->pam.ram = g.h->ram;
	g.hb->pam.rom[0] = (struct pam_rom){rom, 0xe0000, 0, 0x20000};
	add(&g.hb->dev);
	struct cf9 *cf9 = (struct cf9 *)dev_new(&cf9_class, "cf9", &g.h->sv);
	cf9->behind_pci_host = true;
	add(&cf9->dev);
	g.hb->host.cf9 = &cf9->region;
	struct piix3 *isa = (struct piix3 *)dev_new(&piix3_class, "piix3", &g.h->sv);
	isa->bus = &g.hb->bus;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(g.h, &isa->isa[i], i);
	add(&isa->dev);
	struct piix4_pm *pm = (struct piix4_pm *)dev_new(&piix4_pm_class, "piix4-pm", &g.h->sv);
	pm->bus = &g.hb->bus;
	pm->pm_moved = pm_moved;
	add(&pm->dev);
	for (unsigned i = 0; i < 2; i++) {
		struct virtio_rng *rng = (struct virtio_rng *)dev_new(
			&virtio_rng_class, i ? "rng1" : "rng0", &g.h->sv);
		add(&rng->vd.dev);
		struct virtio_pci *vp = (struct virtio_pci *)dev_new(&virtio_pci_class,
								     i ? "pci1" : "pci0", &g.h->sv);
		vp->vd = &rng->vd;
		vp->bus = &g.hb->bus;
		add(&vp->dev);
	}
}

/* Every PIRQ's count is the number of functions that drive it. */
static void check_irqs(void)
{
	unsigned total = 0, driven = 0;

	for (unsigned i = 0; i < 4; i++)
		total += g.hb->bus.pirq_count[i];
	for (unsigned i = 0; i < PCI_DEVFN_COUNT; i++)
		driven += g.hb->bus.func[i] && g.hb->bus.func[i]->intx_driven;
	check(total == driven);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static const uint8_t devfns[] = {0, 8, 9, 10, 11, 16, 24, 32};
	static const uint32_t bases[] = {0xe0000000, 0xe0004000, 0xa0000,    0xf0000,
					 0x100000,   0xfffff000, 0xffff8000, 0};

	set_up();
	for (unsigned i = 0; i < 200 && in.left; i++) {
		uint8_t op = fuzz_u8(&in);
		unsigned width = 1u << (op >> 6 & 3), w4 = width > 4 ? 4 : width;
		uint32_t addr = 0x80000000u | devfns[op >> 3 & 7] << 8 | (fuzz_u8(&in) & 0xfc);

		switch (op & 7) {
		case 0:
		case 1:
			bus_pio_write(&g.h->bus, 0xcf8, 4, addr);
			bus_pio_write(&g.h->bus, (uint16_t)(0xcfc + fuzz_u8(&in) % 4), w4,
				      fuzz_u32(&in));
			break;
		case 2: /* a BAR or COMMAND with a likely value */
			bus_pio_write(&g.h->bus, 0xcf8, 4, (addr & ~0xffu) | 0x10);
			bus_pio_write(&g.h->bus, 0xcfc, 4, bases[fuzz_u8(&in) & 7]);
			bus_pio_write(&g.h->bus, 0xcf8, 4, (addr & ~0xffu) | 4);
			bus_pio_write(&g.h->bus, 0xcfc, 2, fuzz_u8(&in));
			break;
		case 3:
			bus_pio_write(&g.h->bus, 0xcf8, 4, addr);
			(void)bus_pio_read(&g.h->bus, (uint16_t)(0xcfc + fuzz_u8(&in) % 4), w4);
			break;
		case 4:
			bus_mmio_write(&g.h->bus, bases[fuzz_u8(&in) & 7] + fuzz_u16(&in) % 0x8000,
				       width, fuzz_u32(&in));
			break;
		case 5:
			(void)bus_mmio_read(
				&g.h->bus, bases[fuzz_u8(&in) & 7] + fuzz_u16(&in) % 0x8000, width);
			break;
		case 6:
			bus_pio_write(&g.h->bus, (uint16_t)(0xcf4 + fuzz_u8(&in) % 16), w4,
				      fuzz_u32(&in));
			break;
		default:
			bus_lock(&g.h->bus);
			if (op & 8)
				(void)hostile_state(g.dev[fuzz_u8(&in) % g.n], &in, op >> 4 & 7);
			else
				dev_reset(g.dev[fuzz_u8(&in) % g.n], DEV_RESET_WARM);
			bus_unlock(&g.h->bus);
			break;
		}
		check_irqs();
	}
	bus_lock(&g.h->bus);
	for (unsigned i = 0; i < g.n; i++)
		dev_reset(g.dev[i], DEV_RESET_COLD);
	check_irqs();
	for (unsigned i = 0; i < 16; i++)
		check(!g.h->pins[i].level);
	bus_unlock(&g.h->bus);
	return 0;
}
