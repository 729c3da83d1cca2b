/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration mechanism #1: CONFADD (0CF8h, dword accesses only) and CONFDATA (0CFCh-0CFFh). PCI
 * Local Bus Specification rev. 3.0, 3.2.2.3.2.
 *
 * Byte and word accesses to 0CF8h-0CFBh are not for CONFADD but ordinary I/O cycles; the PC has its
 * reset control register at 0CF9h. One port has one owner on the bus, so the host bridge claims the
 * four ports and passes such accesses to `cf9` (a region of size 1 that stands at 0CF9h and is
 * *not* mapped by its owner).
 */
#ifndef DEVICE_PCI_HOST_H
#define DEVICE_PCI_HOST_H

#include "device/pci/pci.h"

struct pci_host_regs {
	uint32_t confadd;
};
extern const struct state_field pci_host_regs_fields[];

struct pci_host {
	struct pci_host_regs *r;      /* borrowed: inside the device's *_regs */
	struct pci_bus *pb;           /* borrowed */
	const struct bus_region *cf9; /* borrowed; NULL = nobody there */
	struct bus_region addr, data;
};

/** pci_host_init() - claim CF8h-CFFh. 0 or -errno. */
int pci_host_init(struct pci_host *h, struct pci_bus *pb, struct pci_host_regs *r,
		  struct error *err) MUST_CHECK;
void pci_host_done(struct pci_host *h);

#endif
