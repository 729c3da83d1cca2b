/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware does on PCI before a kernel starts, for direct boot: bus numbers, windows, base
 * addresses, interrupt lines.
 */
#ifndef MACHINE_PCI_SETUP_H
#define MACHINE_PCI_SETUP_H

#include "device/pci/pci.h"
#include "machine/parts.h"

/* Where the next base address register of a kind may go; inclusive. */
struct pci_window {
	uint64_t next, last;
};

struct pci_setup {
	struct pci_bus *root;
	const uint8_t *isa; /* ISA interrupt of each PIRQ, as the routing registers have it */
	struct pci_window io, mem;
	unsigned last_bus; /* highest bus number given so far */
};

/** pci_setup_bus() - every function of @pb from @first on, and the buses below. -ENOSPC with text.
 */
int pci_setup_bus(struct pci_setup *s, struct pci_bus *pb, unsigned first,
		  struct error *err) MUST_CHECK;
/** pci_setup_isa() - the DMA controllers' cascade; @levels (mask of ISA interrupts) and the SCI
 * level-triggered. */
void pci_setup_isa(struct machine *m, uint16_t levels);

#endif
