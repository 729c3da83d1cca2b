/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The USB controller of a "pc", and what is plugged in: keyboard and tablet for viewers, disks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/usb/ehci.h"
#include "device/usb/uhci.h"
#include "device/usb/xhci.h"
#include "machine/firmware.h"

static const char *const names[MACHINE_USB_COUNT] = {
	[MACHINE_USB_NONE] = "none",
	[MACHINE_USB_UHCI] = "uhci",
	[MACHINE_USB_EHCI] = "ehci",
	[MACHINE_USB_XHCI] = "xhci",
};

const char *machine_usb_name(enum machine_usb kind)
{
	return kind < MACHINE_USB_COUNT ? names[kind] : "?";
}

/* Keyboard and tablet in ports 0 and 1. */
static void note_hid(struct machine *m)
{
	parts_plug(m, "keyboard", MACHINE_PLUG_USB, 0, -1, NULL);
	parts_plug(m, "tablet", MACHINE_PLUG_USB, 1, -1, NULL);
}

/* Disks in the controller's ports from @first on, in the order given. */
static void note_disks(struct machine *m, unsigned first)
{
	LIST_FOR_EACH(it, &m->devs)
	{
		struct dev *d = LIST_ENTRY(it, struct dev, node);

		if (d->cls == &usb_disk_class)
			parts_plug(m, d->id, MACHINE_PLUG_USB, first++, atoi(d->id + 4), d);
	}
}

static void plug_uhci(void *of, unsigned port, struct usb_dev *u)
{
	uhci_plug(of, port, u);
}

static void plug_ehci(void *of, unsigned port, struct usb_dev *u)
{
	ehci_plug(of, port, u);
}

static void plug_xhci(void *of, unsigned port, struct usb_dev *u)
{
	xhci_plug(of, port, u);
}

static int add_uhci(struct machine *m, struct error *err)
{
	struct uhci *u = (struct uhci *)dev_new(&uhci_class, "usb", &m->sv);

	int r;

	u->bus = m->pci;
	u->display = m->cfg.display;
	r = parts_add(m, &u->dev, err);
	if (r < 0)
		return r;
	m->usb = (struct machine_usb_host){u,          plug_uhci, u->port, 0,
					   UHCI_PORTS, USB_FULL,  u->hid,  u->input};
	note_hid(m);
	return 0;
}

/* The disks for a controller's ports: made before it, so that it finds them. */
static int add_disks(struct machine *m, unsigned ports, enum usb_speed speed, struct usb_msc **disk,
		     unsigned *ret_n, struct error *err)
{
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; i < m->cfg.n_disks && r == 0; i++) {
		const struct machine_disk *d = &m->cfg.disk[i];
		struct usb_disk *k;
		char id[16];

		if (d->kind != MACHINE_DISK_USB)
			continue;
		if (n == ports)
			return error_set(err, -ENOSPC,
					 "there are %u USB disks at most; give the others as "
					 "--disk FILE,if=virtio",
					 ports);
		snprintf(id, sizeof(id), "disk%u", i & 0xff);
		k = (struct usb_disk *)dev_new(&usb_disk_class, id, &m->sv);
		k->block = d->block;
		k->speed = speed;
		snprintf(k->serial, sizeof(k->serial), "%s", d->serial[0] ? d->serial : id);
		r = parts_add(m, &k->dev, err);
		if (r == 0)
			disk[n++] = &k->msc;
	}
	*ret_n = n;
	return r;
}

static int add_ehci(struct machine *m, struct error *err)
{
	struct usb_msc *disk[EHCI_DISKS] = {0};
	unsigned n = 0;
	struct ehci *e;
	int r = add_disks(m, EHCI_DISKS, USB_HIGH, disk, &n, err);

	if (r < 0)
		return r;
	e = (struct ehci *)dev_new(&ehci_class, "usb", &m->sv);
	e->bus = m->pci;
	e->display = m->cfg.display;
	e->hid_present = m->cfg.usb_hid;
	for (unsigned i = 0; i < n; i++)
		e->disk[i] = disk[i];
	r = parts_add(m, &e->dev, err);
	for (unsigned i = 0; i < n && r == 0; i++)
		firmware_boot_path(m, 'c', "/pci@i0cf8/usb@%x/storage@%x/*@0/*@0,0", e->devfn >> 3,
				   3 + i);
	if (r < 0)
		return r;
	m->usb = (struct machine_usb_host){e,          plug_ehci, e->port, 2,
					   EHCI_PORTS, USB_HIGH,  e->hid,  e->input};
	if (m->cfg.usb_hid)
		note_hid(m);
	note_disks(m, m->usb.first);
	return 0;
}

static int add_xhci(struct machine *m, struct error *err)
{
	struct usb_msc *disk[XHCI_DISKS] = {0};
	unsigned n = 0;
	struct xhci *x;
	int r = add_disks(m, XHCI_DISKS, USB_SUPER, disk, &n, err);

	if (r < 0)
		return r;
	x = (struct xhci *)dev_new(&xhci_class, "usb", &m->sv);
	x->bus = m->pci;
	x->display = m->cfg.display;
	x->hid_present = m->cfg.usb_hid;
	for (unsigned i = 0; i < n; i++)
		x->disk[i] = disk[i];
	r = parts_add(m, &x->dev, err);
	for (unsigned i = 0; i < n && r == 0; i++)
		firmware_boot_path(m, 'c', "/pci@i0cf8/usb@%x/storage@%x/*@0/*@0,0", x->devfn >> 3,
				   XHCI_PORTS2 + 1 + i);
	if (r < 0)
		return r;
	m->usb = (struct machine_usb_host){x,          plug_xhci, x->port, XHCI_PORTS2,
					   XHCI_PORTS, USB_SUPER, x->hid,  x->input};
	if (m->cfg.usb_hid)
		note_hid(m);
	note_disks(m, m->usb.first);
	return 0;
}

int parts_usb(struct machine *m, struct error *err)
{
	switch (m->cfg.usb) {
	case MACHINE_USB_UHCI: return add_uhci(m, err);
	case MACHINE_USB_EHCI: return add_ehci(m, err);
	case MACHINE_USB_XHCI: return add_xhci(m, err);
	default: return 0;
	}
}
