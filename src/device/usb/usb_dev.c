/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoint 0 of every USB device: control transfers and the standard requests. Universal Serial Bus
 * Specification 2.0, chapters 8 and 9 ("USB"); 3.1, chapter 9 for what is new there.
 *
 * UNMODELLED: data toggle errors (both sides always agree), remote wakeup, test modes.
 */
#include "device/usb/usb_dev.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum stage { IDLE, DATA_IN, DATA_OUT, STATUS_IN, STATUS_OUT, STALLED, STAGE_COUNT };
enum {
	REQ_GET_STATUS = 0,
	REQ_CLEAR_FEATURE = 1,
	REQ_SET_FEATURE = 3,
	REQ_SET_ADDRESS = 5,
	REQ_GET_DESCRIPTOR = 6,
	REQ_GET_CONFIGURATION = 8,
	REQ_SET_CONFIGURATION = 9,
	REQ_GET_INTERFACE = 10,
	REQ_SET_INTERFACE = 11,
	REQ_SET_SEL = 48,
	REQ_SET_ISOCH_DELAY = 49,
	TO_ENDPOINT = 2,
};

const struct state_field usb_ctl_fields[] = {
	STATE_BYTES_OF(struct usb_ctl_regs, setup),
	STATE_BYTES_OF(struct usb_ctl_regs, reply),
	STATE_VAL(struct usb_ctl_regs, reply_len, .max = USB_REPLY_MAX),
	STATE_VAL(struct usb_ctl_regs, reply_at, .max = USB_REPLY_MAX),
	STATE_VAL(struct usb_ctl_regs, stage, .max = STAGE_COUNT - 1),
	STATE_VAL(struct usb_ctl_regs, address, .max = 127),
	STATE_VAL(struct usb_ctl_regs, config, .max = 1),
	STATE_END,
};

unsigned usb_ctl_packet(const struct usb_dev *u)
{
	static const uint16_t bytes[] = {[USB_FULL] = 8, [USB_HIGH] = 64, [USB_SUPER] = 512};

	return bytes[u->speed];
}

void usb_ctl_put(struct usb_ctl_regs *c, const void *p, size_t len)
{
	len = MIN(len, (size_t)USB_REPLY_MAX - c->reply_len);
	memcpy(c->reply + c->reply_len, p, len);
	c->reply_len = (uint8_t)(c->reply_len + len);
}

bool usb_ctl_string(struct usb_ctl_regs *c, uint8_t index, const char *product, const char *serial)
{
	const char *text = index == 1 ? "bothy" : index == 2 ? product : index == 3 ? serial : NULL;
	unsigned n = 2;

	if (index == 0) {
		usb_ctl_put(c, (const uint8_t[]){4, USB_DESC_STRING, 0x09, 0x04}, 4);
		return true;
	}
	if (!text)
		return false;
	for (; *text && n + 2 <= USB_REPLY_MAX; text++, n += 2)
		st_le16(c->reply + n, (uint8_t)*text);
	c->reply[0] = (uint8_t)n;
	c->reply[1] = USB_DESC_STRING;
	c->reply_len = (uint8_t)n;
	return true;
}

static bool feature(struct usb_dev *u, bool set)
{
	struct usb_ctl_regs *c = u->ctl;
	bool *halted;

	if ((c->setup[0] & 0x1f) != TO_ENDPOINT || !(c->setup[4] & 0x0f))
		return true;
	halted = u->ops->halted(u, c->setup[4]);
	if (!halted)
		return false;
	if (c->setup[2] != 0) /* ENDPOINT_HALT */
		return true;
	*halted = set;
	if (!set && u->ops->unhalted)
		u->ops->unhalted(u);
	return true;
}

static bool get_status(struct usb_dev *u)
{
	struct usb_ctl_regs *c = u->ctl;
	bool *halted = NULL;

	if ((c->setup[0] & 0x1f) == TO_ENDPOINT && (c->setup[4] & 0x0f)) {
		halted = u->ops->halted(u, c->setup[4]);
		if (!halted)
			return false;
	}
	c->reply_len = 2;
	c->reply[0] = halted && *halted;
	return true;
}

/* Standard requests (USB, 9.4). False: STALL. */
static bool standard(struct usb_dev *u)
{
	struct usb_ctl_regs *c = u->ctl;

	switch (c->setup[1]) {
	case REQ_GET_STATUS: return get_status(u);
	case REQ_CLEAR_FEATURE: return feature(u, false);
	case REQ_SET_FEATURE: return feature(u, true);
	case REQ_SET_ADDRESS: return true; /* takes effect after the status stage */
	case REQ_GET_DESCRIPTOR: return u->ops->descriptor(u, c->setup[3], c->setup[2]);
	case REQ_GET_CONFIGURATION: usb_ctl_put(c, &c->config, 1); return true;
	case REQ_SET_CONFIGURATION:
		if (c->setup[2] > 1)
			return false;
		c->config = c->setup[2];
		u->ops->configured(u);
		return true;
	case REQ_GET_INTERFACE: c->reply_len = 1; return true;
	case REQ_SET_INTERFACE: return c->setup[2] == 0;
	case REQ_SET_SEL:
	case REQ_SET_ISOCH_DELAY: return u->speed == USB_SUPER;
	default: return false;
	}
}

static void setup(struct usb_dev *u)
{
	struct usb_ctl_regs *c = u->ctl;
	unsigned want = ld_le16(c->setup + 6);
	bool ok;

	memset(c->reply, 0, sizeof(c->reply));
	c->reply_len = c->reply_at = 0;
	ok = (c->setup[0] & 0x60) == 0x20 ? u->ops->class_request(u)
	     : c->setup[0] & 0x60         ? false
					  : standard(u);
	if (!ok)
		c->stage = STALLED;
	else if ((c->setup[0] & 0x80) && want)
		c->stage = DATA_IN;
	else
		c->stage = want ? DATA_OUT : STATUS_IN;
	c->reply_len = (uint8_t)MIN((unsigned)c->reply_len, want);
}

static int control_in(struct usb_dev *u, uint8_t *buf, unsigned len)
{
	struct usb_ctl_regs *c = u->ctl;
	unsigned n, most = usb_ctl_packet(u);

	switch (c->stage) {
	case DATA_IN:
		n = MIN(len, most);
		n = MIN(n, (unsigned)(c->reply_len - c->reply_at));
		memcpy(buf, c->reply + c->reply_at, n);
		c->reply_at = (uint8_t)(c->reply_at + n);
		if (n < most) /* a short packet ends the stage */
			c->stage = STATUS_OUT;
		return (int)n;
	case DATA_OUT: /* the host ends it early */
	case STATUS_IN:
		if (c->setup[0] == 0 && c->setup[1] == REQ_SET_ADDRESS)
			c->address = c->setup[2] & 0x7f;
		c->stage = IDLE;
		return 0;
	default: return USB_STALL;
	}
}

static int control_out(struct usb_dev *u, const uint8_t *buf, unsigned len)
{
	struct usb_ctl_regs *c = u->ctl;

	switch (c->stage) {
	case DATA_OUT:
		u->ops->received(u, buf, len);
		c->stage = STATUS_IN;
		return (int)len;
	case DATA_IN: /* all that was wanted has come, or the host ends it early */
	case STATUS_OUT: c->stage = IDLE; return 0;
	default: return USB_STALL;
	}
}

int usb_packet(struct usb_dev *u, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len)
{
	if (pid == USB_PID_SETUP) {
		if (endpoint || len != 8)
			return USB_STALL;
		memcpy(u->ctl->setup, buf, 8);
		setup(u);
		return 8;
	}
	if (endpoint == 0)
		return pid == USB_PID_IN ? control_in(u, buf, len) : control_out(u, buf, len);
	return u->ops->transfer(u, pid, endpoint, buf, len);
}

int usb_ctl_loaded(struct usb_dev *u, struct error *err)
{
	const struct usb_ctl_regs *c = u->ctl;

	if (c->reply_at > c->reply_len)
		return error_set(err, -EINVAL, "USB device: reply of %u bytes, %u sent",
				 c->reply_len, c->reply_at);
	return 0;
}
