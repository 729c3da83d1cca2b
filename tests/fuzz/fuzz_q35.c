/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI Express side of a machine (Q35 host bridge, ICH9 LPC bridge with its power management
 * block, three root ports, virtio functions behind one of them and on bus 0) against random port
 * and memory accesses, mostly well-aimed configuration cycles, hot plug, resets and states with
 * bytes changed.
 */
#include "device/acpi/acpi_pm.h"
#include "device/pci/ich9_lpc.h"
#include "device/pci/q35_mch.h"
#include "device/pci/root_port.h"
#include "fuzz_pci_bus.h"

enum { PORTS = 3 };

static struct {
	struct fuzz_pci m;
	struct q35_mch *hb;
	struct root_port *port[PORTS];
} g;

static void set_up(void)
{
	struct acpi_pm *pm;
	struct ich9_lpc *lpc;

	if (g.m.h)
		return;
	fuzz_pci_start(&g.m, 24);
	pm = (struct acpi_pm *)dev_new(&acpi_pm_class, "pm", &g.m.h->sv);
	pm->ich9 = pm->no_smi_cmd = pm->smm = true;
	fuzz_pci_add(&g.m, &pm->dev);
	g.hb = (struct q35_mch *)dev_new(&q35_mch_class, "mch", &g.m.h->sv);
	g.hb->pam.ram = g.m.h->ram;
	g.hb->smm = true;
	g.hb->low_end = HARNESS_RAM;
	fuzz_pci_add(&g.m, &g.hb->dev);
	g.m.bus = &g.hb->bus;
	lpc = (struct ich9_lpc *)dev_new(&ich9_lpc_class, "lpc", &g.m.h->sv);
	lpc->bus = &g.hb->bus;
	lpc->pm_moved = acpi_pm_moved;
	lpc->pm_ctx = pm;
	lpc->smi_locked = acpi_pm_lock_smi;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(g.m.h, &lpc->pic[i], i);
	for (unsigned i = 0; i < 8; i++)
		harness_irq(g.m.h, &lpc->apic[i], 16 + i);
	fuzz_pci_add(&g.m, &lpc->dev);
	for (unsigned i = 0; i < PORTS; i++) {
		static const char *const ids[PORTS] = {"rp0", "rp1", "rp2"};

		g.port[i] = (struct root_port *)dev_new(&root_port_class, ids[i], &g.m.h->sv);
		g.port[i]->bus = &g.hb->bus;
		g.port[i]->number = i;
		fuzz_pci_add(&g.m, &g.port[i]->dev);
	}
	fuzz_pci_add_rng(&g.m, "rng0", "pci0", &g.port[1]->bridge.bus);
	fuzz_pci_add_rng(&g.m, "rng1", "pci1", &g.hb->bus);
}

/* Numbers, windows and base addresses as firmware would give them. */
static void sane(unsigned how)
{
	static const uint32_t rows[][2] = {
		{0x80000060, 0xb0000001}, {0x8000f8f0, 0xfed1c001}, {0x8000f840, 0x601},
		{0x8000f844, 0x80},       {0x8000e118, 0x020200},   {0x8000e120, 0xe000e000},
		{0x8000e104, 7},          {0x80020010, 0xe0000000}, {0x80020004, 6},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) - how % 3; i++) {
		bus_pio_write(&g.m.h->bus, 0xcf8, 4, rows[i][0]);
		bus_pio_write(&g.m.h->bus, 0xcfc, 4, rows[i][1]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static const uint32_t funcs[] = {0x000000, 0x00f800, 0x00e000, 0x00e100,
					 0x00e200, 0x020000, 0x010000, 0x001000};
	static const uint32_t bases[] = {0xb0000000, 0xfed1c000, 0xe0000000, 0xa0000,
					 0xf0000,    0xb0200000, 0xb00e1000, 0xb00f8000};

	set_up();
	for (unsigned i = 0; i < 200 && in.left; i++) {
		uint8_t op = fuzz_u8(&in);
		unsigned width = 1u << (op >> 6 & 3), w4 = width > 4 ? 4 : width;
		uint32_t addr = 0x80000000u | funcs[op >> 3 & 7] | (fuzz_u8(&in) & 0xfc);
		uint64_t at = bases[op >> 3 & 7] + fuzz_u16(&in) % 0x4000;

		switch (op & 7) {
		case 0:
		case 1: fuzz_pci_config(&g.m, &in, addr, w4, true); break;
		case 2: sane(op >> 3); break;
		case 3: fuzz_pci_config(&g.m, &in, addr, w4, false); break;
		case 4: bus_mmio_write(&g.m.h->bus, at, width, fuzz_u32(&in)); break;
		case 5: (void)bus_mmio_read(&g.m.h->bus, at, width); break;
		case 6:
			if ((op & 0x38) == 0x38) {
				bus_lock(&g.m.h->bus);
				root_port_press(g.port[op >> 6 & 1]);
				bus_unlock(&g.m.h->bus);
			}
			bus_pio_write(&g.m.h->bus, (uint16_t)(0x600 + fuzz_u8(&in) % 0x80), w4,
				      fuzz_u32(&in));
			break;
		default: fuzz_pci_device(&g.m, &in, op);
		}
		fuzz_pci_check(&g.m);
	}
	fuzz_pci_end(&g.m);
	return 0;
}
