/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the PCI core share.
 */
#ifndef DEVICE_PCI_INTERNAL_H
#define DEVICE_PCI_INTERNAL_H

#include "device/pci/pci.h"

/** pci_bridge_forwards() - do all bridges above @pb pass [@at, @at + @size) down to it? */
bool pci_bridge_forwards(const struct pci_bus *pb, bool io, uint64_t at, uint64_t size);
/** pci_bus_remap() - map and unmap BARs as all registers say now. @changed: may be NULL. */
void pci_bus_remap(struct pci_bus *pb, struct pci_func *changed);

#endif
