/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB mass storage, bulk-only: a disk; see usb_msc.c.
 */
#ifndef DEVICE_USB_USB_MSC_H
#define DEVICE_USB_USB_MSC_H

#include "device/storage/scsi.h"
#include "device/usb/usb_dev.h"

enum { USB_MSC_CBW = 31, USB_MSC_CSW = 13, USB_MSC_BUF = 32768 };

struct usb_msc_regs {
	struct usb_ctl_regs ctl;
	uint8_t stage;  /* enum in usb_msc.c */
	uint8_t status; /* of the command, for the CSW */
	bool halted[2]; /* bulk out, bulk in */
	bool lost;      /* after a bad CBW, until a reset */
	uint8_t pad0_[6];
	uint8_t cbw[USB_MSC_CBW];
	uint8_t pad1_;
	uint32_t want, moved; /* bytes the host said, bytes that went over the bus */
	uint32_t len, at;     /* bytes in buf, taken out or put in */
	uint64_t off, left;   /* on the medium: next byte, bytes to come */
	struct scsi_lu_regs lu;
	uint8_t buf[USB_MSC_BUF];
};
extern const struct state_field usb_msc_fields[];

struct usb_msc {
	struct usb_dev dev;
	struct usb_msc_regs *s; /* borrowed: inside the controller's *_regs */
	struct scsi_lu lu;
	/* private */
	struct scsi_cmd cmd;
	struct block_req req;
	struct iovec iov;
	bool busy;    /* req is at the block layer */
	bool dropped; /* nobody wants its result */
	bool stopped; /* no requests are to be started */
};

/** usb_msc_init() - a disk on @block with its state in @s. 0 or -errno with text. */
int usb_msc_init(struct usb_msc *m, struct usb_msc_regs *s, struct block *block, const char *serial,
		 enum usb_speed speed, struct error *err) MUST_CHECK;
/** usb_msc_done() - wait for what is under way. */
void usb_msc_done(struct usb_msc *m);
/** usb_msc_quiesce() - wait, start nothing more. usb_msc_resume() - go on, also after a load. */
void usb_msc_quiesce(struct usb_msc *m);
void usb_msc_resume(struct usb_msc *m);
/** usb_msc_loaded() - after state load. 0 or -EINVAL with text. */
int usb_msc_loaded(struct usb_msc *m, struct error *err) MUST_CHECK;

#endif
