/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI hot plug through ACPI; see pci_hotplug.c.
 */
#ifndef DEVICE_ACPI_PCI_HOTPLUG_H
#define DEVICE_ACPI_PCI_HOTPLUG_H

#include "device/dev.h"

#define PCI_HOTPLUG_PORT 0xae00u
/* Registers, each 4 bytes, a bit for each device number. */
enum {
	PCI_HOTPLUG_UP = 0x00,
	PCI_HOTPLUG_DOWN = 0x04,
	PCI_HOTPLUG_EJECT = 0x08,
	PCI_HOTPLUG_SIZE = 0x0c,
};
enum { PCI_HOTPLUG_GPE = 1 };

struct pci_hotplug_regs {
	uint32_t up, down;
};

struct pci_hotplug {
	struct dev dev;
	struct pci_hotplug_regs s;
	struct irq gpe; /* pulse */
	/* the guest lets what stands in @slot go; may be NULL */
	void (*eject)(void *ctx, unsigned slot);
	void *eject_ctx;
};

extern const struct dev_class pci_hotplug_class;

/** pci_hotplug_tell() - something has come into @slot (1 to 31), or is to go. */
void pci_hotplug_tell(struct pci_hotplug *h, unsigned slot, bool come);

#endif
