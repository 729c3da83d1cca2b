/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host bridge of Intel's 3 Series chip sets (82G33/82P35 MCH), 00:00.0, 8086:29c0: owns PCI bus 0,
 * both configuration mechanisms and the memory between 640 KiB and 1 MiB; see q35_mch.c.
 *
 * Wiring (machine/): set `pam.ram`, `pam.rom` before dev_realize(), as for the 440FX.
 */
#ifndef DEVICE_PCI_Q35_MCH_H
#define DEVICE_PCI_Q35_MCH_H

#include "device/pci/host.h"
#include "device/pci/pam.h"

struct q35_mch_regs {
	struct pci_regs pci;
	struct pci_host_regs host;
	uint8_t pad_[4];
};

struct q35_mch {
	struct dev dev;
	struct q35_mch_regs s;
	struct pci_func f;
	struct pci_bus bus;
	struct pci_host host;
	/* properties, set before realize */
	struct pam pam;
	uint16_t subsystem_vendor, subsystem; /* as in struct i440fx */
	bool shadow_at_reset;
	bool smm;         /* SMRAM is for system management mode, and can be part of RAM's end */
	uint64_t low_end; /* of RAM below 4 GiB */
	/* private */
	struct bus_region ecam, tseg; /* tseg: what others than SMM see there */
	uint64_t ecam_at;
};

extern const struct dev_class q35_mch_class;

#endif
