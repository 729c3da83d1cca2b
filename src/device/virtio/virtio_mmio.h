/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over MMIO, version 2. Virtio 1.2, 4.2. 512 bytes of registers and one interrupt line.
 *
 * Wiring (machine/): realize the virtio device, then set `vd`, dev.base and `irq` here and realize.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_MMIO_H
#define DEVICE_VIRTIO_VIRTIO_MMIO_H

#include "device/virtio/virtio.h"

#define VIRTIO_MMIO_SIZE 0x200u

struct virtio_mmio_regs {
	uint32_t interrupt_status; /* bit 0 queue, bit 1 configuration */
};

struct virtio_mmio {
	struct dev dev;
	struct virtio_mmio_regs s;
	/* properties, set before realize; dev.base is the address */
	struct virtio_dev *vd; /* borrowed */
	struct irq irq;
};

extern const struct dev_class virtio_mmio_class;

#endif
