/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI Express root port of the ICH9, function n of device 1ch, 8086:2940h + 2n; see root_port.c.
 *
 * Wiring (machine/): set `bus` and `number` before dev_realize(); then put one device at device 0
 * of `bridge.bus`.
 */
#ifndef DEVICE_PCI_ROOT_PORT_H
#define DEVICE_PCI_ROOT_PORT_H

#include "device/pci/express.h"

enum { ROOT_PORTS = 6, ROOT_PORT_DEVICE = 0x1c };

struct root_port_regs {
	struct pci_regs pci;
	bool pending; /* a hot-plug event that is enabled: an interrupt was sent for it */
	uint8_t pad_[7];
};

struct root_port {
	struct dev dev;
	struct root_port_regs s;
	struct pci_func f;
	struct pci_bridge bridge;
	/* properties, set before realize */
	struct pci_bus *bus; /* borrowed */
	unsigned number;     /* 0 to ROOT_PORTS - 1 */
	/* the guest has switched the slot off for good: what is there may go; may be NULL */
	void (*eject)(void *ctx, unsigned number);
	void *eject_ctx;
	/* private */
	uint8_t express; /* offset of the capability */
	bool present;    /* what presence detect last said; derived */
};

extern const struct dev_class root_port_class;

/** root_port_press() - the slot's attention button. */
void root_port_press(struct root_port *rp);

#endif
