/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB 1.1 host controller with a keyboard and a tablet; see uhci.c.
 */
#ifndef DEVICE_USB_UHCI_H
#define DEVICE_USB_UHCI_H

#include "device/pci/pci.h"
#include "device/usb/usb_hid.h"

enum { UHCI_PORTS = 2 };

struct uhci_regs {
	struct pci_regs pci;
	struct usb_hid_regs hid[UHCI_PORTS];
	uint64_t frame_ns; /* guest ns at which frame `frnum` began; while running */
	uint32_t flbase;
	uint16_t cmd, sts, intr, frnum;
	uint16_t port[UHCI_PORTS]; /* but for what never changes */
	uint8_t sofmod;
	uint8_t pad_[7];
};

struct uhci {
	struct dev dev;
	struct uhci_regs s;
	/* wired by the machine */
	struct pci_bus *bus;     /* borrowed */
	uint8_t devfn;           /* 0: lowest free slot from 2 */
	struct display *display; /* borrowed; NULL: nobody types */
	/* private */
	struct pci_func f;
	struct bus_region io;
	struct usb_hid hid[UHCI_PORTS];   /* 0: keyboard, 1: tablet */
	struct usb_dev *port[UHCI_PORTS]; /* NULL: empty */
	struct display_input input[UHCI_PORTS];
	struct vtimer timer;
};

extern const struct dev_class uhci_class;

/** uhci_plug() - @u, of full speed, comes into port @i (from 0), which is empty; NULL: what is
 * there is pulled out. While running. @u is borrowed. */
void uhci_plug(struct uhci *u, unsigned i, struct usb_dev *dev);

#endif
