/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the USB controller and of the keyboard and tablet behind it: the test builds
 * schedules in memory as a driver does. "UHCI": Universal Host Controller Interface 1.1. "USB":
 * Universal Serial Bus 2.0. "HID": HID 1.11.
 */
#include "device/usb/uhci.h"
#include "slot.h"

#include <stdlib.h>
#include <string.h>

enum { IO = 0xc000, LIST = 0x10000, QH = 0x11000, TD = 0x12000, BUF = 0x13000, PIN = 0 };
enum {
	ACTIVE = 1 << 23,
	STALLED = 1 << 22,
	NAK = 1 << 19,
	CRC = 1 << 18,
	IOC = 1 << 24,
	SPD = 1 << 29
};

struct box {
	struct harness *h;
	struct slot slot;
	struct uhci *u;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	slot_init(&b->slot, b->h);
	b->u = (struct uhci *)dev_new(&uhci_class, "usb", &b->h->sv);
	b->u->bus = &b->slot.bus;
	harness_realize(b->h, &b->u->dev);
	slot_config(&b->slot, PCI_BAR0 + 16, 4, IO);
	slot_config(&b->slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	/* every frame points to one queue */
	for (unsigned i = 0; i < 1024; i++)
		st_le32(ram(b->h, LIST + 4 * i), QH | 2);
	st_le32(ram(b->h, QH), 1);
	st_le32(ram(b->h, QH + 4), 1);
	outl(b->h, IO + 8, LIST);
	return b;
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	free(b);
}

static void put_td(struct box *b, unsigned n, uint32_t flags, unsigned pid, unsigned address,
		   unsigned ep, unsigned len, uint32_t buf, bool last)
{
	uint8_t *td = ram(b->h, TD + 16 * n);

	st_le32(td, last ? 1 : (TD + 16 * (n + 1)) | 4);
	st_le32(td + 4, ACTIVE | flags | 3 << 27);
	st_le32(td + 8, ((len - 1) & 0x7ff) << 21 | ep << 15 | address << 8 | pid);
	st_le32(td + 12, buf);
}

static uint32_t td_status(struct box *b, unsigned n)
{
	return ld_le32(ram(b->h, TD + 16 * n + 4));
}

static void run_queue(struct box *b)
{
	st_le32(ram(b->h, QH + 4), TD);
	harness_step(b->h, 8 * NS_PER_MS);
}

/* A control transfer; returns the bytes of its data stage (at BUF + 64), -1 when it stalled. */
static int control(struct box *b, unsigned address, uint8_t type, uint8_t req, uint16_t value,
		   uint16_t index, uint16_t len)
{
	uint8_t *setup = ram(b->h, BUF);
	unsigned n = 0, data, got = 0;
	bool in = type & 0x80;

	setup[0] = type, setup[1] = req;
	st_le16(setup + 2, value), st_le16(setup + 4, index), st_le16(setup + 6, len);
	put_td(b, n++, 0, 0x2d, address, 0, 8, BUF, false);
	data = n;
	for (unsigned at = 0; at < len; at += 8)
		put_td(b, n++, in ? SPD : 0, in ? 0x69 : 0xe1, address, 0, MIN(8u, len - at),
		       BUF + 64 + at, false);
	put_td(b, n, IOC, in && len ? 0xe1 : 0x69, address, 0, 0, 0, true);
	run_queue(b);
	for (unsigned i = 0; i <= n; i++)
		if (td_status(b, i) & STALLED)
			return -1;
	for (unsigned i = data; i < n && !(td_status(b, i) & ACTIVE); i++)
		got += (td_status(b, i) + 1) & 0x7ff;
	if (td_status(b, n) & ACTIVE) { /* a short packet held the queue: status stage by hand */
		put_td(b, 0, IOC, 0xe1, address, 0, 0, 0, true);
		run_queue(b);
		assert_false(td_status(b, 0) & (ACTIVE | STALLED));
	}
	return (int)got;
}

static const struct reg_row register_rows[] = {
	/* clang-format off */
	{IN16, IO, 0, .cite = "UHCI 2.1.1: USBCMD after reset"},
	{IN16, IO + 2, 0x20, .cite = "UHCI 2.1.2: halted"},
	{IN8, IO + 0xc, 0x40, .cite = "UHCI 2.1.6: SOFMOD 40h"},
	{IN16, IO + 0x10, 0x0093, .cite = "UHCI 2.1.7: connected, changed, full speed, bit 7"},
	{IN16, IO + 0x12, 0x0093},
	{IN16, IO + 0x14, 0, .cite = "UHCI 2.1.7: bit 7 clear: no third port"},
	{OUT16, IO + 0x10, 0x0002}, {IN16, IO + 0x10, 0x0091, .cite = "UHCI 2.1.7: write 1 clears"},
	{OUT16, IO + 0x10, 0x0200}, {IN16, IO + 0x10, 0x0291, .cite = "UHCI 2.1.7: port reset"},
	{OUT16, IO + 0x10, 0x0000}, {OUT16, IO + 0x10, 0x0004}, {IN16, IO + 0x10, 0x0095},
	{OUT16, IO + 6, 0x1234}, {IN16, IO + 6, 0x234, .cite = "UHCI 2.1.4: eleven bits"},
	{OUT32, IO + 8, 0x12345678}, {IN32, IO + 8, 0x12345000, .cite = "UHCI 2.1.5: 4 KiB aligned"},
	{OUT16, IO + 4, 0xffff}, {IN16, IO + 4, 0x0f, .cite = "UHCI 2.1.3: four enables"},
	{OUT16, IO, 0x02}, {IN16, IO + 4, 0, .cite = "UHCI 2.1.1: HCRESET"},
	{IN16, IO + 0x10, 0x0093},
	/* clang-format on */
};

static void test_registers(void **state)
{
	struct box *b = box_new();
	uint16_t frame;

	assert_int_equal(pci_bus_config_read(&b->slot.bus, PCI_DEVFN(2, 0), 0x60, 1), 0x10);
	harness_run(b->h, register_rows, ARRAY_SIZE(register_rows));
	outl(b->h, IO + 8, LIST);
	outw(b->h, IO, 1);
	frame = inw(b->h, IO + 6);
	harness_step(b->h, 100 * NS_PER_MS);
	/* UHCI 2.1.4: counts milliseconds; the host was late for the first of them */
	assert_int_equal((inw(b->h, IO + 6) - frame) & 0x7ff, 100);
	outw(b->h, IO + 6, 0);
	assert_int_not_equal(inw(b->h, IO + 6), 0); /* not while running */
	assert_int_equal(inw(b->h, IO + 2) & 0x20, 0);
	harness_check_state_roundtrip(&b->u->dev);
	box_free(b);
}

static void enable_ports(struct box *b)
{
	for (unsigned port = 0x10; port <= 0x12; port += 2) {
		outw(b->h, (uint16_t)(IO + port), 0x0200);
		outw(b->h, (uint16_t)(IO + port), 0x0000);
	}
	outw(b->h, IO + 4, 0x0f);
	outw(b->h, IO, 1);
}

/* Address, configuration: one after the other, as both start at the default address. */
static void configure(struct box *b)
{
	enable_ports(b);
	for (unsigned i = 0; i < 2; i++) {
		outw(b->h, (uint16_t)(IO + 0x10 + 2 * i), 0x0004);
		assert_int_equal(control(b, 0, 0, 5, (uint16_t)(5 + i), 0, 0), 0);
		assert_int_equal(control(b, 5 + i, 0, 9, 1, 0, 0), 0);
	}
}

/* USB 9.4, HID 7: descriptors and requests. */
static void test_control(void **state)
{
	struct box *b = box_new();
	uint8_t *data;

	enable_ports(b);
	data = ram(b->h, BUF + 64);
	assert_int_equal(control(b, 0, 0x80, 6, 0x0100, 0, 18), -1); /* no port enabled: nobody */
	assert_true(td_status(b, 0) & CRC);
	assert_true(b->slot.irq); /* UHCI 2.1.2: error interrupt */
	outw(b->h, IO + 2, 2);
	assert_false(b->slot.irq);
	outw(b->h, IO + 0x10, 0x0004);
	assert_int_equal(control(b, 0, 0x80, 6, 0x0100, 0, 18), 18);
	assert_int_equal(data[0], 18);
	assert_int_equal(data[7], 8); /* endpoint 0: eight bytes a packet */
	assert_true(b->slot.irq);     /* IOC */
	outw(b->h, IO + 2, 1);
	assert_int_equal(control(b, 0, 0x80, 6, 0x0100, 0, 64), 18); /* short */
	assert_int_equal(control(b, 0, 0, 5, 5, 0, 0), 0);
	assert_int_equal(control(b, 0, 0x80, 8, 0, 0, 1), -1); /* has another address now */
	assert_int_equal(control(b, 5, 0x80, 8, 0, 0, 1), 1);
	assert_int_equal(data[0], 0);
	assert_int_equal(control(b, 5, 0x80, 6, 0x0200, 0, 255), 34);
	assert_int_equal(ld_le16(data + 2), 34);
	assert_int_equal(data[9 + 5], 3);   /* HID, */
	assert_int_equal(data[9 + 6], 1);   /* boot, */
	assert_int_equal(data[9 + 7], 1);   /* keyboard */
	assert_int_equal(data[18 + 7], 65); /* its report descriptor */
	assert_int_equal(control(b, 5, 0x81, 6, 0x2200, 0, 65), 65);
	assert_int_equal(data[64], 0xc0);
	assert_int_equal(control(b, 5, 0x80, 6, 0x0302, 0, 255), 26);
	assert_int_equal(data[2], 'U');
	assert_int_equal(control(b, 5, 0x80, 6, 0x0309, 0, 255), -1);
	assert_int_equal(control(b, 5, 0, 9, 2, 0, 0), -1); /* no second configuration */
	assert_int_equal(control(b, 5, 0, 9, 1, 0, 0), 0);
	*ram(b->h, BUF + 64) = 0x02;
	assert_int_equal(control(b, 5, 0x21, 9, 0x0200, 0, 1), 1); /* Set_Report: Caps Lock */
	assert_int_equal(b->u->s.hid[0].leds, 2);
	assert_int_equal(control(b, 5, 0x21, 10, 0x0400, 0, 0), 0); /* Set_Idle */
	assert_int_equal(control(b, 5, 0xa1, 2, 0, 0, 1), 1);
	assert_int_equal(data[0], 4);
	harness_check_state_roundtrip(&b->u->dev);
	box_free(b);
}

/* Endpoint 1. */
static void test_reports(void **state)
{
	struct box *b = box_new();
	struct display_pointer p = {.x = 639, .y = 240, .w = 640, .h = 481, .buttons = 5, .dz = 1};
	const uint8_t *data;

	configure(b);
	data = ram(b->h, BUF);
	put_td(b, 0, IOC, 0x69, 5, 1, 8, BUF, true);
	run_queue(b);
	assert_true((td_status(b, 0) & (ACTIVE | NAK)) == (ACTIVE | NAK)); /* nothing yet */
	bus_lock(&b->h->bus);
	usb_hid_key(&b->u->hid[0], 0x2a, true); /* left Shift */
	usb_hid_key(&b->u->hid[0], 0x1e, true); /* a */
	bus_unlock(&b->h->bus);
	outw(b->h, IO + 2, 0x1f);
	harness_step(b->h, 8 * NS_PER_MS);
	assert_int_equal(td_status(b, 0) & (ACTIVE | 0x7ff), 7);
	assert_true(b->slot.irq);
	assert_int_equal(data[0], 2); /* HID B.1: modifiers */
	assert_int_equal(data[2], 0);
	put_td(b, 0, IOC, 0x69, 5, 1, 8, BUF, true);
	run_queue(b);
	assert_int_equal(data[0], 2);
	assert_int_equal(data[2], 4); /* usage of a */
	bus_lock(&b->h->bus);
	usb_hid_pointer(&b->u->hid[1], &p);
	bus_unlock(&b->h->bus);
	put_td(b, 0, IOC, 0x69, 6, 1, 8, BUF, true);
	run_queue(b);
	assert_int_equal(td_status(b, 0) & 0x7ff, 5);
	assert_int_equal(data[0], 5);
	assert_int_equal(ld_le16(data + 1), 0x7fff);
	assert_int_equal(ld_le16(data + 3), 0x3fff);
	assert_int_equal(data[5], 0xff);
	/* movements alone are told as one, and nothing piles up */
	bus_lock(&b->h->bus);
	p.dz = 0;
	for (p.x = 0; p.x < 600; p.x++)
		usb_hid_pointer(&b->u->hid[1], &p);
	for (unsigned i = 0; i < 200; i++)
		usb_hid_key(&b->u->hid[0], 0x1f, !(i & 1));
	bus_unlock(&b->h->bus);
	assert_int_equal(b->u->s.hid[1].n, 1);
	assert_int_equal(b->u->s.hid[0].n, USB_REPORTS);
	/* a halted endpoint stalls until it is cleared */
	assert_int_equal(control(b, 6, 0x02, 3, 0, 0x81, 0), 0);
	put_td(b, 0, IOC, 0x69, 6, 1, 8, BUF, true);
	run_queue(b);
	assert_true(td_status(b, 0) & STALLED);
	assert_int_equal(control(b, 6, 0x02, 1, 0, 0x81, 0), 0);
	put_td(b, 0, IOC, 0x69, 6, 1, 8, BUF, true);
	run_queue(b);
	assert_false(td_status(b, 0) & STALLED);
	harness_check_state_roundtrip(&b->u->dev);
	box_free(b);
}

/* Schedules that no driver makes. */
static void test_nonsense(void **state)
{
	struct box *b = box_new();

	configure(b);
	/* rings of queues, of descriptors, a descriptor that names itself */
	st_le32(ram(b->h, QH), (QH + 16) | 2);
	st_le32(ram(b->h, QH + 16), QH | 2);
	st_le32(ram(b->h, QH + 20), (QH + 16) | 2);
	put_td(b, 0, 0, 0x69, 5, 1, 8, BUF, false);
	st_le32(ram(b->h, TD), TD | 4);
	run_queue(b);
	assert_int_equal(inw(b->h, IO + 2) & 0x20, 0);
	/* a token that is none: process error, halted (UHCI 2.1.2) */
	put_td(b, 0, 0, 0x12, 5, 1, 8, BUF, true);
	run_queue(b);
	assert_int_equal(inw(b->h, IO + 2) & 0x30, 0x30);
	assert_int_equal(inw(b->h, IO) & 1, 0);
	/* a list outside of memory */
	outw(b->h, IO + 2, 0x1f);
	outl(b->h, IO + 8, 0xf0000000);
	outw(b->h, IO, 1);
	harness_step(b->h, 8 * NS_PER_MS);
	assert_int_equal(inw(b->h, IO + 2) & 0x30, 0x30);
	box_free(b);
}

/* UHCI 2.1.7: pulled out and plugged in while frames run. */
static void test_plug(void **state)
{
	struct box *b = box_new();

	enable_ports(b);
	outw(b->h, IO + 0x12, 0x000e); /* clear changes, stay enabled */
	bus_lock(&b->h->bus);
	uhci_plug(b->u, 1, NULL);
	bus_unlock(&b->h->bus);
	assert_int_equal(inw(b->h, IO + 0x12), 0x008a); /* not there, both changed */
	outw(b->h, IO + 0x12, 0x000e);
	assert_int_equal(inw(b->h, IO + 0x12), 0x0080); /* an empty port can't be enabled */
	harness_check_state_roundtrip(&b->u->dev);
	bus_lock(&b->h->bus);
	uhci_plug(b->u, 1, &b->u->hid[1].dev);
	bus_unlock(&b->h->bus);
	assert_int_equal(inw(b->h, IO + 0x12), 0x0093);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_control),
		cmocka_unit_test(test_reports),   cmocka_unit_test(test_plug),
		cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
