/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full-speed USB keyboard and tablet. Universal Serial Bus Specification 2.0, chapters 8 and 9
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
	HID_GET_REPORT = 1,
	HID_GET_IDLE = 2,
	HID_GET_PROTOCOL = 3,
	HID_SET_REPORT = 9,
	HID_SET_IDLE = 10,
	HID_SET_PROTOCOL = 11,
	DESC_DEVICE = 1,
	DESC_CONFIG = 2,
	DESC_STRING = 3,
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

static unsigned report_size(const struct usb_hid *h)
{
	return h->tablet ? TABLET_REPORT : USB_REPORT;
}

/* @merge: nothing is lost if this one takes the place of the newest that waits. */
static void put_report(struct usb_hid *h, const uint8_t report[USB_REPORT], bool merge)
{
	struct usb_hid_regs *s = h->s;

	memcpy(s->last, report, USB_REPORT);
	if (!s->config)
		return;
	if (s->n && (s->n == USB_REPORTS || merge))
		s->n--;
	memcpy(s->report + s->n++ * USB_REPORT, report, USB_REPORT);
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
	return h->s->config != 0;
}

void usb_hid_reset(struct usb_hid *h)
{
	memset(h->s, 0, sizeof(*h->s));
	h->s->protocol = 1;
}

/* ------------------------------------------------------------------ descriptors */

static void put_string(struct usb_hid_regs *s, const char *text)
{
	unsigned n = 2;

	for (; *text && n + 2 <= USB_REPLY_MAX; text++, n += 2)
		st_le16(s->reply + n, (uint8_t)*text);
	s->reply[0] = (uint8_t)n;
	s->reply[1] = DESC_STRING;
	s->reply_len = (uint8_t)n;
}

static void put_bytes(struct usb_hid_regs *s, const uint8_t *p, size_t len)
{
	memcpy(s->reply + s->reply_len, p, len);
	s->reply_len = (uint8_t)(s->reply_len + len);
}

static void hid_descriptor(const struct usb_hid *h, uint8_t d[9])
{
	size_t len = h->tablet ? sizeof(tablet_report_desc) : sizeof(keyboard_report_desc);
	const uint8_t bytes[9] = {9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, (uint8_t)len, 0};

	memcpy(d, bytes, 9);
}

/* USB, 9.4.3; HID, 7.1. False: there is none such. */
static bool get_descriptor(struct usb_hid *h)
{
	struct usb_hid_regs *s = h->s;
	const uint8_t device[18] = {
		18, DESC_DEVICE, 0x10, 0x01, 0, 0, 0, 8, 0xf4, 0x1a, (uint8_t)(h->tablet ? 2 : 1),
		0,  0,           1,    1,    2, 0, 1};
	const uint8_t config[9] = {9, DESC_CONFIG, CONFIG_LEN, 0, 1, 1, 0, 0xa0, 50};
	const uint8_t interface[9] = {9,
				      4,
				      0,
				      0,
				      1,
				      3,
				      (uint8_t)!h->tablet, /* boot interface: keyboard */
				      (uint8_t)!h->tablet,
				      0};
	const uint8_t endpoint[7] = {7, 5, 0x81, 3, USB_REPORT, 0, 8 /* ms */};
	uint8_t hid[9];

	hid_descriptor(h, hid);
	switch (s->setup[3]) {
	case DESC_DEVICE: put_bytes(s, device, 18); return true;
	case DESC_CONFIG:
		put_bytes(s, config, 9);
		put_bytes(s, interface, 9);
		put_bytes(s, hid, 9);
		put_bytes(s, endpoint, 7);
		return true;
	case DESC_STRING:
		if (s->setup[2] == 0)
			put_bytes(s, (const uint8_t[]){4, DESC_STRING, 0x09, 0x04}, 4);
		else if (s->setup[2] == 1)
			put_string(s, "bothy");
		else if (s->setup[2] == 2)
			put_string(s, h->tablet ? "USB tablet" : "USB keyboard");
		else
			return false;
		return true;
	case DESC_HID: put_bytes(s, hid, 9); return true;
	case DESC_REPORT:
		if (h->tablet)
			put_bytes(s, tablet_report_desc, sizeof(tablet_report_desc));
		else
			put_bytes(s, keyboard_report_desc, sizeof(keyboard_report_desc));
		return true;
	default: return false;
	}
}

/* ------------------------------------------------------------------ control transfers */

/* Standard requests (USB, 9.4). False: STALL. */
static bool standard(struct usb_hid *h, uint8_t req)
{
	struct usb_hid_regs *s = h->s;
	uint8_t type = s->setup[0];

	switch (req) {
	case REQ_GET_STATUS:
		s->reply_len = 2;
		s->reply[0] = (type & 0x1f) == 2 && s->setup[4] == 0x81 && s->halted;
		return true;
	case REQ_CLEAR_FEATURE:
	case REQ_SET_FEATURE:
		if ((type & 0x1f) == 2 && s->setup[4] == 0x81)
			s->halted = req == REQ_SET_FEATURE;
		return true;
	case REQ_SET_ADDRESS: return true; /* takes effect after the status stage */
	case REQ_GET_DESCRIPTOR: return get_descriptor(h);
	case REQ_GET_CONFIGURATION:
		s->reply_len = 1;
		s->reply[0] = s->config;
		return true;
	case REQ_SET_CONFIGURATION:
		if (s->setup[2] > 1)
			return false;
		s->config = s->setup[2];
		s->halted = false;
		s->n = 0;
		memset(s->report, 0, sizeof(s->report));
		return true;
	case REQ_GET_INTERFACE: s->reply_len = 1; return true;
	case REQ_SET_INTERFACE: return s->setup[2] == 0;
	default: return false;
	}
}

/* Class requests (HID, 7.2). */
static bool class_request(struct usb_hid *h, uint8_t req)
{
	struct usb_hid_regs *s = h->s;

	switch (req) {
	case HID_GET_REPORT: put_bytes(s, s->last, report_size(h)); return true;
	case HID_GET_IDLE: put_bytes(s, &s->idle, 1); return true;
	case HID_GET_PROTOCOL: put_bytes(s, &s->protocol, 1); return true;
	case HID_SET_REPORT: return true; /* the data stage brings it */
	case HID_SET_IDLE: s->idle = s->setup[3]; return true;
	case HID_SET_PROTOCOL: s->protocol = s->setup[2] & 1; return true;
	default: return false;
	}
}

static void setup(struct usb_hid *h)
{
	struct usb_hid_regs *s = h->s;
	unsigned want = ld_le16(s->setup + 6);
	bool ok;

	memset(s->reply, 0, sizeof(s->reply));
	s->reply_len = s->reply_at = 0;
	ok = (s->setup[0] & 0x60) == 0x20 ? class_request(h, s->setup[1])
	     : s->setup[0] & 0x60         ? false
					  : standard(h, s->setup[1]);
	if (!ok)
		s->stage = STALLED;
	else if ((s->setup[0] & 0x80) && want)
		s->stage = DATA_IN;
	else
		s->stage = want ? DATA_OUT : STATUS_IN;
	s->reply_len = (uint8_t)MIN((unsigned)s->reply_len, want);
}

static int control_in(struct usb_hid *h, uint8_t *buf, unsigned len)
{
	struct usb_hid_regs *s = h->s;
	unsigned n;

	switch (s->stage) {
	case DATA_IN:
		n = MIN(len, 8u);
		n = MIN(n, (unsigned)(s->reply_len - s->reply_at));
		memcpy(buf, s->reply + s->reply_at, n);
		s->reply_at = (uint8_t)(s->reply_at + n);
		if (n < 8) /* a short packet ends the stage */
			s->stage = STATUS_OUT;
		return (int)n;
	case DATA_OUT: /* the host ends it early */
	case STATUS_IN:
		if (s->setup[0] == 0 && s->setup[1] == REQ_SET_ADDRESS)
			s->address = s->setup[2] & 0x7f;
		s->stage = IDLE;
		return 0;
	default: return USB_STALL;
	}
}

static int control_out(struct usb_hid *h, const uint8_t *buf, unsigned len)
{
	struct usb_hid_regs *s = h->s;

	switch (s->stage) {
	case DATA_OUT:
		if (s->setup[0] == 0x21 && s->setup[1] == HID_SET_REPORT && len)
			s->leds = buf[0] & 0x1f;
		s->stage = STATUS_IN;
		return (int)len;
	case DATA_IN: /* all that was wanted has come, or the host ends it early */
	case STATUS_OUT: s->stage = IDLE; return 0;
	default: return USB_STALL;
	}
}

int usb_hid_packet(struct usb_hid *h, unsigned pid, unsigned endpoint, uint8_t *buf, unsigned len)
{
	struct usb_hid_regs *s = h->s;
	unsigned n;

	if (pid == USB_PID_SETUP) {
		if (endpoint || len != 8)
			return USB_STALL;
		memcpy(s->setup, buf, 8);
		setup(h);
		return 8;
	}
	if (endpoint == 0)
		return pid == USB_PID_IN ? control_in(h, buf, len) : control_out(h, buf, len);
	if (endpoint != 1 || pid != USB_PID_IN || !s->config || s->halted)
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

const struct state_field usb_hid_fields[] = {
	STATE_BYTES_OF(struct usb_hid_regs, setup),
	STATE_BYTES_OF(struct usb_hid_regs, reply),
	STATE_VAL(struct usb_hid_regs, reply_len, .max = USB_REPLY_MAX),
	STATE_VAL(struct usb_hid_regs, reply_at, .max = USB_REPLY_MAX),
	STATE_VAL(struct usb_hid_regs, stage, .max = STAGE_COUNT - 1),
	STATE_VAL(struct usb_hid_regs, address, .max = 127),
	STATE_VAL(struct usb_hid_regs, config, .max = 1),
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
