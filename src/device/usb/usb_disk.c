/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A USB disk (usb_msc.c) as a device of the machine, so that its state is an object of its own. It
 * has no registers or lines: the controller that it is plugged into asks it.
 */
#include "device/usb/xhci.h"

static struct usb_disk *to_disk(struct dev *d)
{
	return CONTAINER_OF(d, struct usb_disk, dev);
}

static int usb_disk_realize(struct dev *d, struct error *err)
{
	struct usb_disk *k = to_disk(d);

	return usb_msc_init(&k->msc, &k->s, k->block, k->serial, k->speed, err);
}

static void usb_disk_unrealize(struct dev *d)
{
	usb_msc_done(&to_disk(d)->msc);
}

static void usb_disk_reset(struct dev *d, enum dev_reset kind)
{
	(void)kind;
	usb_reset(&to_disk(d)->msc.dev);
}

static int usb_disk_quiesce(struct dev *d)
{
	usb_msc_quiesce(&to_disk(d)->msc);
	return 0;
}

static void usb_disk_resume(struct dev *d)
{
	usb_msc_resume(&to_disk(d)->msc);
}

static int usb_disk_loaded(struct dev *d, struct error *err)
{
	return usb_msc_loaded(&to_disk(d)->msc, err);
}

static const struct state_desc usb_disk_state =
	STATE_DESC("usb-disk", 1, struct usb_msc_regs, usb_msc_fields);

const struct dev_class usb_disk_class = {
	.name = "usb-disk",
	.summary = "USB mass storage, bulk-only",
	.spec = "USB Mass Storage Class, Bulk-Only Transport 1.0; USB 3.1",
	.size = sizeof(struct usb_disk),
	.regs_offset = offsetof(struct usb_disk, s),
	.state = &usb_disk_state,
	.realize = usb_disk_realize,
	.unrealize = usb_disk_unrealize,
	.reset = usb_disk_reset,
	.quiesce = usb_disk_quiesce,
	.resume = usb_disk_resume,
	.loaded = usb_disk_loaded,
};
