/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82441FX (440FX PMC): host bridge 00:00.0, 8086:1237. Owns PCI bus 0, configuration
 * mechanism #1 and the memory between 640 KiB and 1 MiB. Data sheet 290549-001 (May 1996).
 *
 * Wiring (machine/): set `pam.ram`, `pam.rom` before dev_realize(). The machine maps RAM [0, 640
 * KiB) and from 1 MiB up; C0000h-FFFFFh is mapped here as the PAM registers say, and so is the ROM
 * behind it (at MEM_PRIO_LOW, RAM at MEM_PRIO_RAM). A0000h-BFFFFh becomes RAM only while
 * SMRAM.DOPEN is set.
 */
#ifndef DEVICE_PCI_I440FX_H
#define DEVICE_PCI_I440FX_H

#include "device/pci/host.h"
#include "device/pci/pam.h"

struct i440fx_regs {
	struct pci_regs pci;
	struct pci_host_regs host;
	uint8_t pad_[4];
};

struct i440fx {
	struct dev dev;
	struct i440fx_regs s;
	struct pci_func f;
	struct pci_bus bus;
	struct pci_host host;
	/* properties, set before realize */
	struct pam pam; /* ram, rom */
	/* The chip itself has no subsystem registers (they read 0); firmware for virtual machines
	 * tells by 1af4:1100 there that fw_cfg is present. */
	uint16_t subsystem_vendor, subsystem;
	bool shadow_at_reset; /* direct boot without firmware: all segments RAM after reset */
};

extern const struct dev_class i440fx_class;

#endif
