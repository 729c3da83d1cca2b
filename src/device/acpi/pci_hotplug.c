/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI hot plug through ACPI, for machines without native hot plug. There is no data sheet: the
 * registers are the machine's own, known to the methods of its DSDT alone (machine/acpi_dsdt.c),
 * with the ports that virtual PCs have used for this since 2006.
 *
 *   +0 UP     something has come into these slots; reading a byte clears it
 *   +4 DOWN   what is in these slots is to go; likewise
 *   +8 EJECT  written: the operating system lets these slots go (_EJ0, ACPI 6.4, 6.3.3)
 *
 * A general-purpose event makes the system look (ACPI 6.4, 5.6.4: \\_GPE._E01).
 */
#include "device/acpi/pci_hotplug.h"

#include "base/bits.h"

static struct pci_hotplug *to_hotplug(struct dev *d)
{
	return CONTAINER_OF(d, struct pci_hotplug, dev);
}

void pci_hotplug_tell(struct pci_hotplug *h, unsigned slot, bool come)
{
	h->s.up = (uint32_t)field_set(h->s.up, slot & 31, 1, come);
	h->s.down = (uint32_t)field_set(h->s.down, slot & 31, 1, !come);
	irq_pulse(&h->gpe);
}

static uint64_t hotplug_read(struct dev *d, uint64_t off, unsigned size)
{
	struct pci_hotplug *h = to_hotplug(d);
	uint32_t *reg = off < PCI_HOTPLUG_DOWN ? &h->s.up : &h->s.down;
	unsigned shift = (off & 3) * 8;
	uint8_t v;

	if (off >= PCI_HOTPLUG_EJECT)
		return 0;
	v = (uint8_t)(*reg >> shift);
	*reg &= ~(0xffu << shift);
	return v;
}

static void hotplug_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_hotplug *h = to_hotplug(d);

	if (off < PCI_HOTPLUG_EJECT || !h->eject)
		return;
	for (unsigned i = 0; i < 8; i++)
		if (val >> i & 1)
			h->eject(h->eject_ctx, (unsigned)(off & 3) * 8 + i);
}

static void hotplug_reset(struct dev *d, enum dev_reset kind)
{
	to_hotplug(d)->s = (struct pci_hotplug_regs){0};
}

/* clang-format off */
static const struct state_field hotplug_fields[] = {
	STATE_VAL(struct pci_hotplug_regs, up),
	STATE_VAL(struct pci_hotplug_regs, down),
	STATE_END};

static const struct state_desc hotplug_state =
	STATE_DESC("pci-hotplug", 1, struct pci_hotplug_regs, hotplug_fields);

static const struct dev_region hotplug_regions[] = {
	{"pci-hotplug", DEV_PIO, PCI_HOTPLUG_PORT, PCI_HOTPLUG_SIZE, WIDTH_124, WIDTH_1, hotplug_read, hotplug_write},
	{0}};
/* clang-format on */

const struct dev_class pci_hotplug_class = {
	.name = "pci-hotplug",
	.summary = "PCI hot plug through ACPI",
	.spec = "ACPI 6.4, 6.3.3 (_EJ0), 5.6.4 (general-purpose events)",
	.size = sizeof(struct pci_hotplug),
	.regs_offset = offsetof(struct pci_hotplug, s),
	.regions = hotplug_regions,
	.state = &hotplug_state,
	.reset = hotplug_reset,
};
