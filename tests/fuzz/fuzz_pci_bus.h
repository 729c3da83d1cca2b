/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers of the two PCI machines share: RAM as it lies below and above the VGA window, a
 * list of devices, configuration cycles, edited states and resets, and what must hold after each
 * operation.
 */
#ifndef TESTS_FUZZ_FUZZ_PCI_BUS_H
#define TESTS_FUZZ_FUZZ_PCI_BUS_H

#include "device/pci/pci.h"
#include "harness.h"
#include "input.h"

enum { FUZZ_PCI_DEVS = 16 };

struct fuzz_pci {
	struct harness *h;
	struct pci_bus *bus;
	struct dev *dev[FUZZ_PCI_DEVS];
	unsigned n, n_pins; /* devices, the harness' interrupt lines in use */
};

/** fuzz_pci_start() - a harness whose RAM leaves out a0000h to fffffh. */
void fuzz_pci_start(struct fuzz_pci *g, unsigned n_pins);

/** fuzz_pci_add() - @d realized, and reset and edited from then on. */
void fuzz_pci_add(struct fuzz_pci *g, struct dev *d);

/** fuzz_pci_add_rng() - a virtio device @id, function @pci of @bus. */
void fuzz_pci_add_rng(struct fuzz_pci *g, const char *id, const char *pci, struct pci_bus *bus);

/** fuzz_pci_config() - a configuration cycle of @width bytes (1, 2 or 4) near @addr. */
void fuzz_pci_config(struct fuzz_pci *g, struct fuzz_input *in, uint32_t addr, unsigned width,
		     bool write);

/** fuzz_pci_device() - one device is reset, or its state edited. */
void fuzz_pci_device(struct fuzz_pci *g, struct fuzz_input *in, uint8_t how);

/** fuzz_pci_check() - every PIRQ's count is the number of functions that drive it. */
void fuzz_pci_check(const struct fuzz_pci *g);

/** fuzz_pci_end() - after a reset nothing interrupts. */
void fuzz_pci_end(struct fuzz_pci *g);

#endif
