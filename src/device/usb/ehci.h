/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB 2 host controller with a keyboard, a tablet and disks, all of high speed; see ehci.c.
 */
#ifndef DEVICE_USB_EHCI_H
#define DEVICE_USB_EHCI_H

#include "device/pci/pci.h"
#include "device/usb/usb_hid.h"
#include "device/usb/usb_msc.h"

enum { EHCI_PORTS = 6, EHCI_DISKS = 4 };

struct ehci_regs {
	struct pci_regs pci;
	uint64_t base_ns; /* guest ns at which `frindex` was what it is; while running */
	uint32_t cmd, sts, intr, frindex, periodic, async, configflag;
	uint32_t port[EHCI_PORTS];
	uint32_t walked; /* the first frame that was not walked yet */
	uint8_t pad_[4];
	struct usb_hid_regs hid[2];
	uint8_t pad2_[4];
};

struct ehci {
	struct dev dev;
	struct ehci_regs s;
	/* wired by the machine */
	struct pci_bus *bus;              /* borrowed */
	uint8_t devfn;                    /* 0: lowest free slot from 2 */
	struct display *display;          /* borrowed; NULL: nobody types */
	bool hid_present;                 /* keyboard and tablet on ports 1 and 2 */
	struct usb_msc *disk[EHCI_DISKS]; /* borrowed; ports 3 to 6; NULL: nothing there */
	/* private */
	struct pci_func f;
	struct bus_region mmio;
	struct usb_hid hid[2];
	struct usb_dev *port[EHCI_PORTS];
	struct display_input input[2];
	struct vtimer timer;
	bool in_run, stopped;
};

extern const struct dev_class ehci_class;

/** ehci_plug() - @u, of high speed, comes into port @i (from 0), which is empty; NULL: what is
 * there is pulled out. While running. @u is borrowed. */
void ehci_plug(struct ehci *e, unsigned i, struct usb_dev *u);

#endif
