/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A USB device as host controllers see it: transactions; and what all devices have in common,
 * endpoint 0. See usb_dev.c.
 */
#ifndef DEVICE_USB_USB_DEV_H
#define DEVICE_USB_USB_DEV_H

#include "base/err.h"
#include "state/state.h"

enum { USB_PID_IN = 0x69, USB_PID_OUT = 0xe1, USB_PID_SETUP = 0x2d }; /* USB 2.0, 8.3.1 */
enum { USB_NAK = -1, USB_STALL = -2 };
enum { USB_REPLY_MAX = 128 };
enum usb_speed { USB_FULL, USB_HIGH, USB_SUPER };
/* USB 2.0, table 9-5; USB 3.1, 9.6 */
enum {
	USB_DESC_DEVICE = 1,
	USB_DESC_CONFIG = 2,
	USB_DESC_STRING = 3,
	USB_DESC_BOS = 15,
};

/* State of endpoint 0 and of the device as such; goes into the device's regs. */
struct usb_ctl_regs {
	uint8_t setup[8];             /* of the control transfer going on */
	uint8_t reply[USB_REPLY_MAX]; /* its data stage, device to host */
	uint8_t reply_len, reply_at;
	uint8_t stage;   /* enum in usb_dev.c */
	uint8_t address; /* 0: the default one */
	uint8_t config;  /* 0: not configured */
};
extern const struct state_field usb_ctl_fields[];

struct usb_dev;
struct usb_ops {
	/* Append descriptor @type, @index to the reply; false: there is none such. */
	bool (*descriptor)(struct usb_dev *u, uint8_t type, uint8_t index);
	/* Class request in ctl->setup; false: STALL. */
	bool (*class_request)(struct usb_dev *u);
	void (*received)(struct usb_dev *u, const uint8_t *buf, unsigned len); /* data stage */
	void (*configured)(struct usb_dev *u);
	/* Is that endpoint (80h: in) halted? NULL: there is none such. */
	bool *(*halted)(struct usb_dev *u, uint8_t endpoint);
	void (*unhalted)(struct usb_dev *u); /* the host cleared a halt; may be NULL */
	/* A transaction with an endpoint other than 0, as usb_packet(). */
	int (*transfer)(struct usb_dev *u, unsigned pid, unsigned endpoint, uint8_t *buf,
			unsigned len);
	void (*reset)(struct usb_dev *u);
};

struct usb_dev {
	const struct usb_ops *ops;
	struct usb_ctl_regs *ctl; /* borrowed: inside the controller's *_regs */
	enum usb_speed speed;
	/* The controller: an endpoint that answered NAK may have more to say. NULL: it polls. */
	void (*wake)(void *ctx, struct usb_dev *u);
	void *wake_ctx;
};

/** usb_reset() - the bus was reset, or power came on. */
static inline void usb_reset(struct usb_dev *u)
{
	u->ops->reset(u);
}
static inline void usb_wake(struct usb_dev *u)
{
	if (u->wake)
		u->wake(u->wake_ctx, u);
}
/**
 * usb_packet() - one transaction
 * @buf: data from the host (@len bytes), or where data for the host go (at most @len).
 * Return: bytes moved, USB_NAK, USB_STALL.
 */
int usb_packet(struct usb_dev *u, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len);
/** usb_ctl_packet() - bytes of endpoint 0's packets. */
unsigned usb_ctl_packet(const struct usb_dev *u);
/** usb_ctl_loaded() - after state load. 0 or -EINVAL with text. */
int usb_ctl_loaded(struct usb_dev *u, struct error *err) MUST_CHECK;

/* ---- for devices ---- */

/** usb_ctl_put() - append to the reply. */
void usb_ctl_put(struct usb_ctl_regs *c, const void *p, size_t len);
/** usb_ctl_string() - string descriptor @index: languages, the maker, @product, @serial (NULL:
 * none). */
bool usb_ctl_string(struct usb_ctl_regs *c, uint8_t index, const char *product, const char *serial);

#endif
