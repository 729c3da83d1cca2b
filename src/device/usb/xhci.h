/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB 3 host controller with a keyboard, a tablet and disks; see xhci.c.
 */
#ifndef DEVICE_USB_XHCI_H
#define DEVICE_USB_XHCI_H

#include "device/pci/pci.h"
#include "device/usb/usb_hid.h"
#include "device/usb/usb_msc.h"

enum {
	XHCI_PORTS2 = 4, /* USB 2: ports 1 to 4 */
	XHCI_PORTS3 = 4, /* SuperSpeed: ports 5 to 8 */
	XHCI_PORTS = XHCI_PORTS2 + XHCI_PORTS3,
	XHCI_SLOTS = 16,
	XHCI_ENDPOINTS = 31, /* by device context index, 1 on */
	XHCI_DISKS = XHCI_PORTS3,
};

struct xhci_endpoint {
	uint64_t deq;    /* of the transfer ring: address of the next TRB */
	uint32_t done;   /* bytes of that TRB moved */
	uint32_t total;  /* bytes since the last Event Data TRB (EDTLA) */
	uint16_t packet; /* bytes */
	uint8_t state;   /* as in the endpoint context */
	uint8_t type;
	bool ccs;     /* consumer cycle state */
	bool running; /* the doorbell was rung: look at the ring */
	uint8_t code; /* of the last TRB, for Event Data */
	uint8_t pad_[1];
};

struct xhci_slot {
	uint64_t context; /* output device context */
	uint8_t state;    /* 0 off, 1 enabled, 2 default, 3 addressed, 4 configured */
	uint8_t port;     /* from 1 */
	uint8_t pad_[6];
	struct xhci_endpoint ep[XHCI_ENDPOINTS];
};

struct xhci_regs {
	struct pci_regs pci;
	struct pci_msix_regs msix;
	uint64_t crcr, dcbaap, erstba, erdp;
	uint64_t irq_after; /* guest ns: the next interrupt may be told */
	uint64_t er_base;   /* the event ring's segment that is written */
	uint32_t usbcmd, usbsts, dnctrl, config, iman, imod, erstsz;
	uint32_t er_size, er_at, er_seg; /* its TRBs, the next one, its number */
	uint32_t portsc[XHCI_PORTS], portpmsc[XHCI_PORTS], porthlpmc[XHCI_PORTS];
	uint32_t port_events; /* status changes to tell of */
	bool er_cycle, cmd_ccs, cmd_running, ip_pending;
	struct xhci_slot slot[XHCI_SLOTS];
	struct usb_hid_regs hid[2];
};

/* A disk has 32 KiB of state: one object for each. */
struct xhci {
	struct dev dev;
	struct xhci_regs s;
	/* wired by the machine */
	struct pci_bus *bus;              /* borrowed */
	uint8_t devfn;                    /* 0: lowest free slot from 2 */
	struct display *display;          /* borrowed; NULL: nobody types */
	bool hid_present;                 /* keyboard and tablet on ports 1 and 2 */
	struct usb_msc *disk[XHCI_DISKS]; /* borrowed; NULL: nothing in that SuperSpeed port */
	/* private */
	struct pci_func f;
	struct bus_region mmio;
	struct usb_hid hid[2];
	struct usb_dev *port[XHCI_PORTS];
	struct display_input input[2];
	struct vtimer irq_timer, run_timer;
	bool in_run, stopped;
};

extern const struct dev_class xhci_class;

/** xhci_plug() - @u comes into port @i (from 0), which is empty; NULL: what is there is pulled out.
 * While running. @u is borrowed. SuperSpeed devices: XHCI_PORTS2 on. */
void xhci_plug(struct xhci *x, unsigned i, struct usb_dev *u);

/* A disk in a port of a controller: a device of its own, made before the controller. */
struct usb_disk {
	struct dev dev;
	struct usb_msc_regs s;
	/* properties, set before realize */
	struct block *block; /* borrowed */
	enum usb_speed speed;
	char serial[21];
	/* private */
	struct usb_msc msc;
};

extern const struct dev_class usb_disk_class;

#endif
