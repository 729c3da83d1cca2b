/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB keyboard and tablet, as a host controller sees them; see usb_hid.c.
 */
#ifndef DEVICE_USB_USB_HID_H
#define DEVICE_USB_USB_HID_H

#include "device/usb/usb_dev.h"
#include "display/display.h"

enum { USB_REPORT = 8, USB_REPORTS = 32 };

struct usb_hid_regs {
	struct usb_ctl_regs ctl;
	uint8_t protocol;   /* keyboard: 0 boot, 1 report; the reports are the same */
	uint8_t idle, leds; /* as the host set them */
	bool halted;        /* endpoint 1 */
	uint8_t n;          /* reports that wait */
	uint8_t keys[6];    /* usages of keys held, 0 = none; tablet: unused */
	uint8_t modifiers, buttons;
	uint8_t report[USB_REPORTS * USB_REPORT]; /* oldest first */
	uint8_t last[USB_REPORT];                 /* the report last put in */
	uint8_t pad_[6];
};
extern const struct state_field usb_hid_fields[];

struct usb_hid {
	struct usb_dev dev;
	struct usb_hid_regs *s; /* borrowed: inside the controller's *_regs */
	bool tablet;            /* else a keyboard */
};

/** usb_hid_init() - a keyboard, or a tablet, with its state in @s. */
void usb_hid_init(struct usb_hid *h, struct usb_hid_regs *s, bool tablet, enum usb_speed speed);
/** usb_hid_loaded() - after state load. 0 or -EINVAL with text. */
int usb_hid_loaded(struct usb_hid *h, struct error *err) MUST_CHECK;
/** usb_hid_ready() - configured: a driver listens. */
bool usb_hid_ready(const struct usb_hid *h);
/** usb_hid_key(), usb_hid_pointer() - what a viewer did (display/display.h). */
void usb_hid_key(struct usb_hid *h, uint8_t code, bool down);
void usb_hid_pointer(struct usb_hid *h, const struct display_pointer *p);
/** usb_hid_attach() - let viewers of @d type or point here; @in is the controller's and lives until
 * usb_hid_detach(), which is harmless without. Bus lock held. */
void usb_hid_attach(struct usb_hid *h, struct display *d, struct display_input *in);
void usb_hid_detach(struct display *d, struct display_input *in);

#endif
