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
#include "device/virtio/virtio_rng.h"
#include "fuzz_virtio.h"
#include "hostile.h"

#include <string.h>

enum { DEVS = 16, PORTS = 3 };

static struct {
	struct harness *h;
	struct q35_mch *hb;
	struct root_port *port[PORTS];
	struct dev *dev[DEVS];
	unsigned n;
} g;

static void add(struct dev *d)
{
	harness_realize(g.h, d);
	check(g.n < DEVS);
	g.dev[g.n++] = d;
}

static void add_rng(const char *id, const char *pci, struct pci_bus *bus)
{
	struct virtio_rng *rng = (struct virtio_rng *)dev_new(&virtio_rng_class, id, &g.h->sv);
	struct virtio_pci *vp;

	add(&rng->vd.dev);
	vp = (struct virtio_pci *)dev_new(&virtio_pci_class, pci, &g.h->sv);
	vp->vd = &rng->vd;
	vp->bus = bus;
	add(&vp->dev);
}

static void set_up(void)
{
	struct mem_mapping *map;
	struct acpi_pm *pm;
	struct ich9_lpc *lpc;
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
	bus_unlock(&g.h->bus);
	pm = (struct acpi_pm *)dev_new(&acpi_pm_class, "pm", &g.h->sv);
	pm->ich9 = pm->no_smi_cmd = pm->smm = true;
	add(&pm->dev);
	g.hb = (struct q35_mch *)dev_new(&q35_mch_class, "mch", &g.h->sv);
	g.hb->pam.ram = g.h->ram;
	g.hb->smm = true;
	g.hb->low_end = HARNESS_RAM;
	add(&g.hb->dev);
	lpc = (struct ich9_lpc *)dev_new(&ich9_lpc_class, "lpc", &g.h->sv);
	lpc->bus = &g.hb->bus;
	lpc->pm_moved = acpi_pm_moved;
	lpc->pm_ctx = pm;
	lpc->smi_locked = acpi_pm_lock_smi;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(g.h, &lpc->pic[i], i);
	for (unsigned i = 0; i < 8; i++)
		harness_irq(g.h, &lpc->apic[i], 16 + i);
	add(&lpc->dev);
	for (unsigned i = 0; i < PORTS; i++) {
		static const char *const ids[PORTS] = {"rp0", "rp1", "rp2"};

		g.port[i] = (struct root_port *)dev_new(&root_port_class, ids[i], &g.h->sv);
		g.port[i]->bus = &g.hb->bus;
		g.port[i]->number = i;
		add(&g.port[i]->dev);
	}
	add_rng("rng0", "pci0", &g.port[1]->bridge.bus);
	add_rng("rng1", "pci1", &g.hb->bus);
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

/* Every PIRQ's count is the number of functions that drive it. */
static void check_irqs(void)
{
	unsigned total = 0;

	for (unsigned i = 0; i < PCI_PIRQS; i++)
		total += g.hb->bus.pirq_count[i];
	check(total == driven(&g.hb->bus));
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
		bus_pio_write(&g.h->bus, 0xcf8, 4, rows[i][0]);
		bus_pio_write(&g.h->bus, 0xcfc, 4, rows[i][1]);
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
		case 1:
			bus_pio_write(&g.h->bus, 0xcf8, 4, addr);
			bus_pio_write(&g.h->bus, (uint16_t)(0xcfc + fuzz_u8(&in) % 4), w4,
				      fuzz_u32(&in));
			break;
		case 2: sane(op >> 3); break;
		case 3:
			bus_pio_write(&g.h->bus, 0xcf8, 4, addr);
			(void)bus_pio_read(&g.h->bus, (uint16_t)(0xcfc + fuzz_u8(&in) % 4), w4);
			break;
		case 4: bus_mmio_write(&g.h->bus, at, width, fuzz_u32(&in)); break;
		case 5: (void)bus_mmio_read(&g.h->bus, at, width); break;
		case 6:
			if ((op & 0x38) == 0x38) {
				bus_lock(&g.h->bus);
				root_port_press(g.port[op >> 6 & 1]);
				bus_unlock(&g.h->bus);
			}
			bus_pio_write(&g.h->bus, (uint16_t)(0x600 + fuzz_u8(&in) % 0x80), w4,
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
	for (unsigned i = 0; i < 24; i++)
		check(!g.h->pins[i].level);
	bus_unlock(&g.h->bus);
	return 0;
}
