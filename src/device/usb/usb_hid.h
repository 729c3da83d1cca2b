/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB keyboard and tablet, as a host controller sees them; see usb_hid.c.
 */
#ifndef DEVICE_USB_USB_HID_H
#define DEVICE_USB_USB_HID_H

#include "base/base.h"
#include "display/display.h"
#include "state/state.h"

enum { USB_PID_IN = 0x69, USB_PID_OUT = 0xe1, USB_PID_SETUP = 0x2d }; /* USB 2.0, 8.3.1 */
enum { USB_NAK = -1, USB_STALL = -2 };
enum { USB_REPLY_MAX = 128, USB_REPORT = 8, USB_REPORTS = 32 };

struct usb_hid_regs {
	uint8_t setup[8];             /* of the control transfer going on */
	uint8_t reply[USB_REPLY_MAX]; /* its data stage, device to host */
	uint8_t reply_len, reply_at;
	uint8_t stage;      /* of endpoint 0: enum in usb_hid.c */
	uint8_t address;    /* 0: the default one */
	uint8_t config;     /* 0: not configured */
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
	struct usb_hid_regs *s; /* borrowed: inside the controller's *_regs */
	bool tablet;            /* else a keyboard */
};

/** usb_hid_reset() - the bus was reset, or power came on. */
void usb_hid_reset(struct usb_hid *h);
/**
 * usb_hid_packet() - one transaction
 * @buf: data from the host (@len bytes), or where data for the host go (at most @len).
 * Return: bytes moved, USB_NAK, USB_STALL.
 */
int usb_hid_packet(struct usb_hid *h, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len);
/** usb_hid_ready() - configured: a driver listens. */
bool usb_hid_ready(const struct usb_hid *h);
/** usb_hid_key(), usb_hid_pointer() - what a viewer did (display/display.h). */
void usb_hid_key(struct usb_hid *h, uint8_t code, bool down);
void usb_hid_pointer(struct usb_hid *h, const struct display_pointer *p);

#endif
