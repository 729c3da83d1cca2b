/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI side of a machine (440FX, PIIX3, PIIX4 power management, two virtio functions) against
 * random port accesses, mostly well-aimed configuration cycles, memory accesses and snapshots with
 * bytes changed.
 */
#include "device/misc/cf9.h"
#include "device/pci/i440fx.h"
#include "device/pci/piix3.h"
#include "fuzz_pci_bus.h"

static struct {
	struct fuzz_pci m;
	struct i440fx *hb;
} g;

static void pm_moved(void *ctx, bool enabled, uint16_t base)
{
	(void)ctx, (void)enabled;
	check((base & 0x3f) == 0);
}

static void set_up(void)
{
	struct ram_block *rom;
	struct error err = {0};

	if (g.m.h)
		return;
	fuzz_pci_start(&g.m, 16);
	bus_lock(&g.m.h->bus);
	check(mem_ram_new(g.m.h->mem, "bios", 0x20000, &rom, &err) == 0);
	bus_unlock(&g.m.h->bus);
	g.hb = (struct i440fx *)dev_new(&i440fx_class, "i440fx", &g.m.h->sv);
	g.hb->pam.ram = g.m.h->ram;
	g.hb->pam.rom[0] = (struct pam_rom){rom, 0xe0000, 0, 0x20000};
	fuzz_pci_add(&g.m, &g.hb->dev);
	g.m.bus = &g.hb->bus;
	struct cf9 *cf9 = (struct cf9 *)dev_new(&cf9_class, "cf9", &g.m.h->sv);
	cf9->behind_pci_host = true;
	fuzz_pci_add(&g.m, &cf9->dev);
	g.hb->host.cf9 = &cf9->region;
	struct piix3 *isa = (struct piix3 *)dev_new(&piix3_class, "piix3", &g.m.h->sv);
	isa->bus = &g.hb->bus;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(g.m.h, &isa->isa[i], i);
	fuzz_pci_add(&g.m, &isa->dev);
	struct piix4_pm *pm = (struct piix4_pm *)dev_new(&piix4_pm_class, "piix4-pm", &g.m.h->sv);
	pm->bus = &g.hb->bus;
	pm->pm_moved = pm_moved;
	fuzz_pci_add(&g.m, &pm->dev);
	fuzz_pci_add_rng(&g.m, "rng0", "pci0", &g.hb->bus);
	fuzz_pci_add_rng(&g.m, "rng1", "pci1", &g.hb->bus);
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
		case 1: fuzz_pci_config(&g.m, &in, addr, w4, true); break;
		case 2: /* a BAR or COMMAND with a likely value */
			bus_pio_write(&g.m.h->bus, 0xcf8, 4, (addr & ~0xffu) | 0x10);
			bus_pio_write(&g.m.h->bus, 0xcfc, 4, bases[fuzz_u8(&in) & 7]);
			bus_pio_write(&g.m.h->bus, 0xcf8, 4, (addr & ~0xffu) | 4);
			bus_pio_write(&g.m.h->bus, 0xcfc, 2, fuzz_u8(&in));
			break;
		case 3: fuzz_pci_config(&g.m, &in, addr, w4, false); break;
		case 4:
			bus_mmio_write(&g.m.h->bus,
				       bases[fuzz_u8(&in) & 7] + fuzz_u16(&in) % 0x8000, width,
				       fuzz_u32(&in));
			break;
		case 5:
			(void)bus_mmio_read(&g.m.h->bus,
					    bases[fuzz_u8(&in) & 7] + fuzz_u16(&in) % 0x8000,
					    width);
			break;
		case 6:
			bus_pio_write(&g.m.h->bus, (uint16_t)(0xcf4 + fuzz_u8(&in) % 16), w4,
				      fuzz_u32(&in));
			break;
		default: fuzz_pci_device(&g.m, &in, op);
		}
		fuzz_pci_check(&g.m);
	}
	fuzz_pci_end(&g.m);
	return 0;
}
