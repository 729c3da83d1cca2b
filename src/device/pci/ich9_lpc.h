/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LPC interface bridge of the ICH9, 00:1f.0, 8086:2918: interrupt routing, the places of the power
 * management block and of the chip set's configuration registers; see ich9_lpc.c.
 *
 * Wiring (machine/): set `bus`, and pic[n] and apic[n] with irq_init(), before dev_realize(). Line
 * pic[n] is the OR of all PIRQs routed to interrupt n of the 8259s, apic[n] is PIRQ n at IOAPIC
 * input 16 + n.
 */
#ifndef DEVICE_PCI_ICH9_LPC_H
#define DEVICE_PCI_ICH9_LPC_H

#include "device/pci/pci.h"

enum {
	ICH9_LPC_DEVICE = 0x1f,
	ICH9_RCBA_FIRST = 0x3000, /* of the chip set's registers: the part that is modelled */
	ICH9_RCBA_BYTES = 0x0440
};

struct ich9_lpc_regs {
	struct pci_regs pci;
	uint8_t chip[ICH9_RCBA_BYTES]; /* configuration registers from 3000h */
	bool pirq[8];                  /* levels of PIRQ[A-H]# */
};

struct ich9_lpc {
	struct dev dev;
	struct ich9_lpc_regs s;
	struct pci_func f;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	struct irq pic[16], apic[8];
	/* the PM block moved, or went away; as piix4_pm.pm_moved. May be NULL */
	void (*pm_moved)(void *ctx, bool enabled, uint16_t base);
	/* GEN_PMCON_1.SMI_LOCK is as @locked says; with pm_ctx. May be NULL */
	void (*smi_locked)(void *ctx, bool locked);
	void *pm_ctx;
	/* private */
	struct bus_region rcba;
	uint64_t rcba_at;
	bool pm_enabled;
	uint16_t pm_base;
};

extern const struct dev_class ich9_lpc_class;

#endif
