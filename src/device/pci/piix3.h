/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82371SB (PIIX3) ISA bridge 00:01.0, 8086:7000, and the power management function of the
 * 82371AB (PIIX4), 00:01.3, 8086:7113, in the same package, as the common virtual PC has them. Data
 * sheets 290550-002 (PIIX3) and 290562-001 (PIIX4, chapter 7).
 *
 * Wiring (machine/): set `bus` (and `isa[n]` with irq_init()) before dev_realize(). Line isa[n] is
 * the OR of all PIRQs routed to ISA interrupt n; it must be combined with other users of that line
 * by its sink. Both functions share device number 1.
 */
#ifndef DEVICE_PCI_PIIX3_H
#define DEVICE_PCI_PIIX3_H

#include "device/pci/pci.h"

struct piix3_regs {
	struct pci_regs pci;
	bool pirq[4]; /* levels of PIRQ[A-D]# */
	uint8_t pad_[4];
};

struct piix3 {
	struct dev dev;
	struct piix3_regs s;
	struct pci_func f;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* default 01.0 */
	struct irq isa[16];
};
extern const struct dev_class piix3_class;

struct piix4_pm_regs {
	struct pci_regs pci;
};

struct piix4_pm {
	struct dev dev;
	struct piix4_pm_regs s;
	struct pci_func f;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	uint8_t devfn;       /* default 01.3 */
	/* The I/O block of 64 bytes moves (PMBASE 40h, PMREGMISC 80h.0). Called at reset, load and
	 * on changes only; a reset disables it. The ACPI device maps its registers here. */
	void (*pm_moved)(void *ctx, bool enabled, uint16_t base);
	/* likewise the SMBus registers */
	void (*smb_moved)(void *ctx, bool enabled, uint16_t base);
	void *smb_ctx;
	bool smb_enabled; /* as last told */
	uint16_t smb_base;
	void *pm_ctx;
	bool pm_enabled; /* last told */
	uint16_t pm_base;
};
extern const struct dev_class piix4_pm_class;

#endif
