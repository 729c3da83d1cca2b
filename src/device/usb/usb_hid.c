/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USB keyboard and tablet, full or high speed. Universal Serial Bus Specification 2.0, chapters 8
 * and 9
 * ("USB"); Device Class Definition for HID 1.11 ("HID"); HID Usage Tables 1.12, 10.
 *
 * Endpoint 0 runs control transfers, endpoint 1 gives reports. The keyboard's report is that of the
 * boot protocol (HID, appendix B.1): modifiers, a zero byte, six keys. The tablet's: buttons, X and
 * Y from 0 to 32767, wheel. Reports wait in a FIFO; when it is full, a tablet's last position is
 * replaced and a keyboard's newest state takes the last place, so that no key stays down.
 *
 * UNMODELLED: data toggle errors (both sides always agree), remote wakeup, idle rate (reports come
 * when something changed, as with rate 0), strings other than manufacturer and product.
 */
#include "device/usb/usb_hid.h"

#include <string.h>

#include "base/bits.h"

enum {
	HID_GET_REPORT = 1,
	HID_GET_IDLE = 2,
	HID_GET_PROTOCOL = 3,
	HID_SET_REPORT = 9,
	HID_SET_IDLE = 10,
	HID_SET_PROTOCOL = 11,
	DESC_HID = 0x21,
	DESC_REPORT = 0x22,
	TABLET_REPORT = 6,
	CONFIG_LEN = 9 + 9 + 9 + 7,
};

/* clang-format off */
/* HID, appendix B.1 */
static const uint8_t keyboard_report_desc[] = {
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,                                     /* keyboard */
	0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01,
	0x75, 0x01, 0x95, 0x08, 0x81, 0x02,                                     /* modifiers */
	0x95, 0x01, 0x75, 0x08, 0x81, 0x01,
	0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, /* LEDs */
	0x95, 0x01, 0x75, 0x03, 0x91, 0x01,
	0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00,
	0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81, 0x00,                   /* keys */
	0xc0,
};
/* HID 6.2.2: mouse with absolute axes */
static const uint8_t tablet_report_desc[] = {
	0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
	0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01,
	0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, 0x81, 0x01, /* buttons */
	0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f,
	0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,       /* X, Y */
	0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00,
	0x75, 0x08, 0x95, 0x01, 0x81, 0x06,                                     /* wheel */
	0xc0, 0xc0,
};

/* Usages of set 1 codes 00h to 58h, then of those with prefix E0 (HID Usage Tables, 10). */
static const uint8_t usages[0x59] = {
	0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b,
	0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16,
	0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19,
	0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
	0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59,
	0x5a, 0x5b, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45,
};
static const struct {
	uint8_t code, usage;
} prefixed[] = {
	{0x9c, 0x58}, {0x9d, 0xe4}, {0xb5, 0x54}, {0xb7, 0x46}, {0xb8, 0xe6}, {0xc6, 0x48}, {0xc7, 0x4a},
	{0xc8, 0x52}, {0xc9, 0x4b}, {0xcb, 0x50}, {0xcd, 0x4f}, {0xcf, 0x4d}, {0xd0, 0x51}, {0xd1, 0x4e},
	{0xd2, 0x49}, {0xd3, 0x4c}, {0xdb, 0xe3}, {0xdc, 0xe7}, {0xdd, 0x65},
};
/* clang-format on */

/* ------------------------------------------------------------------ reports */

static struct usb_hid *to_hid(struct usb_dev *u)
{
	return CONTAINER_OF(u, struct usb_hid, dev);
}

static unsigned report_size(const struct usb_hid *h)
{
	return h->tablet ? TABLET_REPORT : USB_REPORT;
}

/* @merge: nothing is lost if this one takes the place of the newest that waits. */
static void put_report(struct usb_hid *h, const uint8_t report[USB_REPORT], bool merge)
{
	struct usb_hid_regs *s = h->s;

	memcpy(s->last, report, USB_REPORT);
	if (!s->ctl.config)
		return;
	if (s->n && (s->n == USB_REPORTS || merge))
		s->n--;
	memcpy(s->report + s->n++ * USB_REPORT, report, USB_REPORT);
	usb_wake(&h->dev);
}

void usb_hid_key(struct usb_hid *h, uint8_t code, bool down)
{
	struct usb_hid_regs *s = h->s;
	uint8_t usage = code < sizeof(usages) ? usages[code] : 0, report[USB_REPORT] = {0};
	uint8_t *free_place = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(prefixed); i++)
		if (prefixed[i].code == code)
			usage = prefixed[i].usage;
	if (!usage || h->tablet)
		return;
	if (usage >= 0xe0) {
		uint8_t bit = (uint8_t)(1u << (usage - 0xe0));

		s->modifiers = (uint8_t)((s->modifiers & ~bit) | (down ? bit : 0));
	} else {
		for (unsigned i = 6; i-- > 0;) {
			if (s->keys[i] == usage)
				s->keys[i] = 0;
			if (!s->keys[i])
				free_place = &s->keys[i];
		}
		/* A seventh key has no place; boot keyboards say "roll over" then. */
		if (down && free_place)
			*free_place = usage;
	}
	report[0] = s->modifiers;
	memcpy(report + 2, s->keys, sizeof(s->keys));
	put_report(h, report, false);
}

void usb_hid_pointer(struct usb_hid *h, const struct display_pointer *p)
{
	struct usb_hid_regs *s = h->s;
	uint8_t report[USB_REPORT] = {0}, buttons = p->buttons & 0x1f;
	bool merge;

	if (!h->tablet)
		return;
	report[0] = buttons;
	st_le16(report + 1, (uint16_t)(p->w > 1 ? p->x * 0x7fff / (p->w - 1) : 0));
	st_le16(report + 3, (uint16_t)(p->h > 1 ? p->y * 0x7fff / (p->h - 1) : 0));
	report[5] = (uint8_t)-p->dz; /* away from the user is positive */
	/* Movements alone may be told as one. */
	merge = s->n && buttons == s->buttons && !report[5] &&
		s->report[(s->n - 1u) * USB_REPORT] == buttons &&
		!s->report[(s->n - 1u) * USB_REPORT + 5];
	s->buttons = buttons;
	put_report(h, report, merge);
}

bool usb_hid_ready(const struct usb_hid *h)
{
	return h->s->ctl.config != 0;
}

/* ------------------------------------------------------------------ descriptors */

static void hid_descriptor(const struct usb_hid *h, uint8_t d[9])
{
	size_t len = h->tablet ? sizeof(tablet_report_desc) : sizeof(keyboard_report_desc);
	const uint8_t bytes[9] = {9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, (uint8_t)len, 0};

	memcpy(d, bytes, 9);
}

/* USB, 9.4.3; HID, 7.1. */
static bool descriptor(struct usb_dev *u, uint8_t type, uint8_t index)
{
	struct usb_hid *h = to_hid(u);
	struct usb_ctl_regs *c = u->ctl;
	bool high = u->speed >= USB_HIGH;
	const uint8_t device[18] = {18,
				    USB_DESC_DEVICE,
				    high ? 0x00 : 0x10,
				    high ? 0x02 : 0x01,
				    0,
				    0,
				    0,
				    (uint8_t)usb_ctl_packet(u),
				    0xf4,
				    0x1a,
				    (uint8_t)(h->tablet ? 2 : 1),
				    0,
				    0,
				    1,
				    1,
				    2,
				    0,
				    1};
	const uint8_t config[9] = {9, USB_DESC_CONFIG, CONFIG_LEN, 0, 1, 1, 0, 0xa0, 50};
	const uint8_t interface[9] = {9,
				      4,
				      0,
				      0,
				      1,
				      3,
				      (uint8_t)!h->tablet, /* boot interface: keyboard */
				      (uint8_t)!h->tablet,
				      0};
	/* 8 ms: in frames, or as a power of two of microframes (USB, 9.6.6) */
	const uint8_t endpoint[7] = {7, 5, 0x81, 3, USB_REPORT, 0, high ? 7 : 8};
	uint8_t hid[9];

	hid_descriptor(h, hid);
	switch (type) {
	case USB_DESC_DEVICE: usb_ctl_put(c, device, 18); return true;
	case USB_DESC_CONFIG:
		usb_ctl_put(c, config, 9);
		usb_ctl_put(c, interface, 9);
		usb_ctl_put(c, hid, 9);
		usb_ctl_put(c, endpoint, 7);
		return true;
	case USB_DESC_STRING:
		return usb_ctl_string(c, index, h->tablet ? "USB tablet" : "USB keyboard", NULL);
	case DESC_HID: usb_ctl_put(c, hid, 9); return true;
	case DESC_REPORT:
		if (h->tablet)
			usb_ctl_put(c, tablet_report_desc, sizeof(tablet_report_desc));
		else
			usb_ctl_put(c, keyboard_report_desc, sizeof(keyboard_report_desc));
		return true;
	default: return false;
	}
}

/* ------------------------------------------------------------------ control transfers */

/* Class requests (HID, 7.2). */
static bool class_request(struct usb_dev *u)
{
	struct usb_hid *h = to_hid(u);
	struct usb_hid_regs *s = h->s;
	struct usb_ctl_regs *c = u->ctl;

	switch (c->setup[1]) {
	case HID_GET_REPORT: usb_ctl_put(c, s->last, report_size(h)); return true;
	case HID_GET_IDLE: usb_ctl_put(c, &s->idle, 1); return true;
	case HID_GET_PROTOCOL: usb_ctl_put(c, &s->protocol, 1); return true;
	case HID_SET_REPORT: return true; /* the data stage brings it */
	case HID_SET_IDLE: s->idle = c->setup[3]; return true;
	case HID_SET_PROTOCOL: s->protocol = c->setup[2] & 1; return true;
	default: return false;
	}
}

static void received(struct usb_dev *u, const uint8_t *buf, unsigned len)
{
	if (u->ctl->setup[0] == 0x21 && u->ctl->setup[1] == HID_SET_REPORT && len)
		to_hid(u)->s->leds = buf[0] & 0x1f;
}

static void configured(struct usb_dev *u)
{
	struct usb_hid_regs *s = to_hid(u)->s;

	s->halted = false;
	s->n = 0;
	memset(s->report, 0, sizeof(s->report));
}

static bool *halted(struct usb_dev *u, uint8_t endpoint)
{
	return endpoint == 0x81 ? &to_hid(u)->s->halted : NULL;
}

/* Endpoint 1 */
static int transfer(struct usb_dev *u, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len)
{
	struct usb_hid *h = to_hid(u);
	struct usb_hid_regs *s = h->s;
	unsigned n;

	if (endpoint != 1 || pid != USB_PID_IN || !s->ctl.config || s->halted)
		return USB_STALL;
	if (!s->n)
		return USB_NAK;
	n = MIN(len, report_size(h));
	memcpy(buf, s->report, n);
	s->n--;
	memmove(s->report, s->report + USB_REPORT, s->n * USB_REPORT);
	memset(s->report + s->n * USB_REPORT, 0, USB_REPORT);
	return (int)n;
}

static void bus_reset(struct usb_dev *u)
{
	struct usb_hid_regs *s = to_hid(u)->s;

	memset(s, 0, sizeof(*s));
	s->protocol = 1;
}

void usb_hid_init(struct usb_hid *h, struct usb_hid_regs *s, bool tablet, enum usb_speed speed)
{
	static const struct usb_ops ops = {.descriptor = descriptor,
					   .class_request = class_request,
					   .received = received,
					   .configured = configured,
					   .halted = halted,
					   .transfer = transfer,
					   .reset = bus_reset};

	*h = (struct usb_hid){
		.dev = {.ops = &ops, .ctl = &s->ctl, .speed = speed}, .s = s, .tablet = tablet};
}

int usb_hid_loaded(struct usb_hid *h, struct error *err)
{
	struct usb_hid_regs *s = h->s;
	int r = usb_ctl_loaded(&h->dev, err);

	if (r == 0)
		memset(s->report + s->n * USB_REPORT, 0, (size_t)(USB_REPORTS - s->n) * USB_REPORT);
	return r;
}

const struct state_field usb_hid_fields[] = {
	STATE_STRUCT(struct usb_hid_regs, ctl, usb_ctl_fields),
	STATE_VAL(struct usb_hid_regs, protocol, .max = 1),
	STATE_VAL(struct usb_hid_regs, idle),
	STATE_VAL(struct usb_hid_regs, leds, .max = 0x1f),
	STATE_VAL(struct usb_hid_regs, halted),
	STATE_VAL(struct usb_hid_regs, n, .max = USB_REPORTS),
	STATE_BYTES_OF(struct usb_hid_regs, keys),
	STATE_VAL(struct usb_hid_regs, modifiers),
	STATE_VAL(struct usb_hid_regs, buttons, .max = 0x1f),
	STATE_BYTES_OF(struct usb_hid_regs, report),
	STATE_BYTES_OF(struct usb_hid_regs, last),
	STATE_PAD(struct usb_hid_regs, pad_),
	STATE_END,
};

/* ------------------------------------------------------------------ viewers */

static void on_key(void *ctx, uint8_t code, bool down)
{
	usb_hid_key(ctx, code, down);
}

static void on_pointer(void *ctx, const struct display_pointer *p)
{
	usb_hid_pointer(ctx, p);
}

static bool on_ready(void *ctx)
{
	return usb_hid_ready(ctx);
}

static bool on_room(void *ctx)
{
	return !((struct usb_hid *)ctx)->s->n;
}

void usb_hid_attach(struct usb_hid *h, struct display *d, struct display_input *in)
{
	*in = (struct display_input){.key = h->tablet ? NULL : on_key,
				     .pointer = h->tablet ? on_pointer : NULL,
				     .ready = on_ready,
				     .room = on_room,
				     .absolute = h->tablet,
				     .ctx = h};
	display_add_input(d, in);
}

void usb_hid_detach(struct display *d, struct display_input *in)
{
	if (in->ctx)
		display_del_input(d, in);
	in->ctx = NULL;
}
