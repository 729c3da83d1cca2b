/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over PCI, modern only. Virtio 1.2, 4.1. Ids 1AF4h:1040h+n. BAR 0 (memory, 64-bit, 32 KiB)
 * holds all structures; five vendor capabilities and MSI-X say where.
 *
 * Wiring (machine/): realize the virtio device, then set `vd`, `bus` and `devfn` here and realize.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_PCI_H
#define DEVICE_VIRTIO_VIRTIO_PCI_H

#include "device/pci/pci.h"
#include "device/virtio/virtio.h"

struct virtio_pci_regs {
	struct pci_regs pci;
	struct pci_msix_regs msix;
	uint16_t config_vector;                   /* MSI-X vector or NO_VECTOR */
	uint16_t queue_vector[VIRTIO_QUEUES_MAX]; /* likewise */
	uint8_t isr;                              /* bit 0 queue, bit 1 configuration */
	uint8_t pad_[3];
};

#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_PCI_DEVICE 0x1040u /* + device type; virtio 1.2, 4.1.2 */

struct virtio_pci {
	struct dev dev;
	struct virtio_pci_regs s;
	struct pci_func f;
	/* properties, set before realize */
	struct virtio_dev *vd; /* borrowed */
	struct pci_bus *bus;   /* borrowed */
	const uint8_t *rom;    /* option ROM, borrowed during realize; NULL = none */
	size_t rom_len;        /* bytes */
	uint8_t devfn;         /* 0 = first free device number from 2 on */
	/* private */
	struct bus_region bar;
	uint8_t pci_cfg_cap; /* offset of the configuration access capability */
	bool master;         /* bus mastering as last seen */
};

extern const struct dev_class virtio_pci_class;

#endif
