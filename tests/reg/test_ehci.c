/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the USB 2 controller: the test builds schedules in memory as a driver does.
 * "EHCI": Enhanced Host Controller Interface 1.0. "USB": Universal Serial Bus 2.0.
 */
#include "device/usb/ehci.h"
#include "slot.h"

#include <stdlib.h>
#include <string.h>

#define BAR    0xe0000000u
#define ER(at) (BAR + (at))
enum { QH = 0x11000, TD = 0x12000, BUF = 0x13000, LIST = 0x14000 };
enum { ACTIVE = 0x80, HALTED = 0x40, XACT = 0x08, IOC = 0x8000 };

struct box {
	struct harness *h;
	struct slot slot;
	struct ehci *e;
};

static struct box *box_new(void)
{
	struct box *b = xnew(struct box);

	b->h = harness_new();
	slot_init(&b->slot, b->h);
	b->e = (struct ehci *)dev_new(&ehci_class, "usb", &b->h->sv);
	b->e->bus = &b->slot.bus;
	b->e->hid_present = true;
	harness_realize(b->h, &b->e->dev);
	slot_config(&b->slot, PCI_BAR0, 4, BAR);
	slot_config(&b->slot, PCI_COMMAND, 2, 6);
	return b;
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	free(b);
}

static void put_td(struct box *b, unsigned n, unsigned pid, unsigned len, uint32_t buf, bool last)
{
	uint8_t *td = ram(b->h, TD + 32 * n);

	memset(td, 0, 32);
	st_le32(td, last ? 1 : TD + 32 * (n + 1));
	st_le32(td + 4, 1);
	st_le32(td + 8, ACTIVE | pid << 8 | 3 << 10 | len << 16 | (last ? IOC : 0));
	st_le32(td + 12, buf);
}

static uint32_t token(struct box *b, unsigned n)
{
	return ld_le32(ram(b->h, TD + 32 * n + 8));
}

/* The only queue head of the asynchronous ring. */
static void put_qh(struct box *b, unsigned address, unsigned ep)
{
	uint8_t *qh = ram(b->h, QH);

	memset(qh, 0, 48);
	st_le32(qh, QH | 2);
	st_le32(qh + 4, address | ep << 8 | 2 << 12 | 1 << 15 | 64 << 16);
	st_le32(qh + 8, 1 << 30);
	st_le32(qh + 16, TD);
	st_le32(qh + 20, 1);
}

/* A control transfer; bytes of the data stage, -1 when it halted. */
static int control(struct box *b, unsigned address, uint8_t type, uint8_t req, uint16_t value,
		   uint16_t len)
{
	uint8_t *setup = ram(b->h, BUF);
	unsigned n = 0;
	int got = len;

	memset(setup, 0, 8);
	setup[0] = type, setup[1] = req;
	st_le16(setup + 2, value), st_le16(setup + 6, len);
	put_td(b, n++, 2, 8, BUF, false);
	if (len)
		put_td(b, n++, type & 0x80 ? 1 : 0, len, BUF + 64, false);
	put_td(b, n, (type & 0x80) && len ? 0 : 1, 0, 0, true);
	put_qh(b, address, 0);
	harness_step(b->h, 4 * NS_PER_MS);
	for (unsigned i = 0; i <= n; i++)
		if (token(b, i) & HALTED)
			return -1;
	assert_false(token(b, n) & ACTIVE);
	if (len)
		got -= (int)(token(b, 1) >> 16 & 0x7fff);
	return got;
}

static const struct reg_row rows[] = {
	/* clang-format off */
	{READ32, ER(0x00), 0x01000020, .cite = "EHCI 2.2.1, 2.2.2: CAPLENGTH, HCIVERSION 1.0"},
	{READ32, ER(0x04), 0x00000006, .cite = "EHCI 2.2.3: six ports, no companions"},
	{READ32, ER(0x20), 0x00080000, .cite = "EHCI 2.3.1: USBCMD after reset"},
	{READ32, ER(0x24), 0x00001000, .mask = 0xf000, .cite = "EHCI 2.3.2: halted"},
	{READ32, ER(0x64), 0x00001003, .cite = "EHCI 2.3.9: connected, changed, powered"},
	{READ32, ER(0x6c), 0x00001000, .cite = "nothing there"},
	{WRITE32, ER(0x64), 0x00001002}, {READ32, ER(0x64), 0x00001001, .cite = "CSC: write 1 clears"},
	{WRITE32, ER(0x64), 0x00001100}, {READ32, ER(0x64), 0x00001101, .cite = "EHCI 2.3.9: reset"},
	{WRITE32, ER(0x64), 0x00001000}, {READ32, ER(0x64), 0x00001005, .cite = "high speed: enabled"},
	{WRITE32, ER(0x64), 0x00001084}, {READ32, ER(0x64), 0x00001085, .cite = "suspend"},
	{WRITE32, ER(0x64), 0x000010c4}, {WRITE32, ER(0x64), 0x00001004},
	{READ32, ER(0x64), 0x00001005, .cite = "resumed"},
	{WRITE32, ER(0x34), 0x12345678}, {READ32, ER(0x34), 0x12345000, .cite = "EHCI 2.3.6"},
	{WRITE32, ER(0x38), 0x12345678}, {READ32, ER(0x38), 0x12345660, .cite = "EHCI 2.3.7"},
	{WRITE32, ER(0x2c), 0x5005}, {READ32, ER(0x2c), 0x1005, .cite = "EHCI 2.3.4: FRINDEX"},
	{WRITE32, ER(0x20), 0x00080001}, {STEP, .val = 1000000}, {READ32, ER(0x2c), 0x100d, .cite = "eight a millisecond"},
	{WRITE32, ER(0x20), 0x00080041}, {READ32, ER(0x24), 0x20, .mask = 0x20, .cite = "EHCI 4.8.2: async advance"},
	{WRITE32, ER(0x20), 0x00080002}, {READ32, ER(0x34), 0, .cite = "EHCI 2.3.1: HCRESET"},
	/* clang-format on */
};

static void test_registers(void **state)
{
	struct box *b = box_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->e->dev);
	box_free(b);
}

static void start(struct box *b)
{
	writel(b->h, ER(0x64), 0x1100);
	writel(b->h, ER(0x64), 0x1000);
	writel(b->h, ER(0x28), 3);
	writel(b->h, ER(0x38), QH);
	put_qh(b, 0, 0);
	st_le32(ram(b->h, QH + 16), 1);
	writel(b->h, ER(0x20), 0x80021);
}

/* EHCI 4.10; USB 9.4 */
static void test_transfers(void **state)
{
	struct box *b = box_new();
	uint8_t *data = ram(b->h, BUF + 64);

	start(b);
	assert_int_equal(control(b, 0, 0x80, 6, 0x0100, 18), 18);
	assert_int_equal(data[3], 2);  /* USB 2.0 */
	assert_int_equal(data[7], 64); /* bytes a packet */
	assert_true(b->slot.irq);      /* IOC */
	writel(b->h, ER(0x24), 0x3f);
	assert_false(b->slot.irq);
	assert_int_equal(control(b, 0, 0x80, 6, 0x0100, 64), 18); /* short */
	assert_int_equal(control(b, 0, 0, 5, 5, 0), 0);
	assert_int_equal(control(b, 0, 0x80, 8, 0, 1), -1); /* nobody there any more */
	assert_true(token(b, 0) & XACT);
	assert_int_equal(control(b, 5, 0x80, 6, 0x0700, 64), -1); /* stalls */
	assert_int_equal(control(b, 5, 0, 9, 1, 0), 0);
	/* interrupt endpoint in the periodic schedule (EHCI 4.6): NAK until there is a report */
	for (unsigned i = 0; i < 1024; i++)
		st_le32(ram(b->h, LIST + 4 * i), i % 8 ? 1 : QH | 2);
	put_td(b, 0, 1, 8, BUF, true);
	put_qh(b, 5, 1);
	st_le32(ram(b->h, QH), 1);
	st_le32(ram(b->h, QH + 8), 1 << 30 | 1);
	writel(b->h, ER(0x34), LIST);
	writel(b->h, ER(0x20), 0x80011);
	harness_step(b->h, 40 * NS_PER_MS);
	assert_true(token(b, 0) & ACTIVE);
	harness_check_state_roundtrip(&b->e->dev);
	bus_lock(&b->h->bus);
	usb_hid_key(&b->e->hid[0], 0x1e, true);
	bus_unlock(&b->h->bus);
	harness_step(b->h, 40 * NS_PER_MS);
	assert_false(token(b, 0) & (ACTIVE | HALTED));
	assert_int_equal(ram(b->h, BUF)[2], 4);
	box_free(b);
}

/* Schedules that no driver makes. */
static void test_nonsense(void **state)
{
	struct box *b = box_new();

	start(b);
	/* descriptors that lead to themselves, a ring that does not come back to its first */
	put_td(b, 0, 1, 0, BUF, false);
	st_le32(ram(b->h, TD), TD);
	put_qh(b, 0, 0);
	harness_step(b->h, 20 * NS_PER_MS);
	st_le32(ram(b->h, QH), (QH + 64) | 2);
	st_le32(ram(b->h, QH + 64), (QH + 64) | 2);
	harness_step(b->h, 20 * NS_PER_MS);
	/* more bytes than a descriptor can have; pages it has not; nowhere */
	put_td(b, 0, 1, 0x7fff, BUF, true);
	put_qh(b, 0, 0);
	harness_step(b->h, 4 * NS_PER_MS);
	assert_true(token(b, 0) & HALTED);
	put_td(b, 0, 0, 64, 0xfffffff0, true);
	put_qh(b, 0, 0);
	harness_step(b->h, 4 * NS_PER_MS);
	assert_true(token(b, 0) & HALTED);
	writel(b->h, ER(0x38), 0xffffffe0);
	writel(b->h, ER(0x34), 0xfffff000);
	writel(b->h, ER(0x20), 0x80031);
	harness_step(b->h, 20 * NS_PER_MS);
	harness_check_state_roundtrip(&b->e->dev);
	box_free(b);
}

/* EHCI 2.3.9: pulled out: not connected, not enabled, a change. */
static void test_plug(void **state)
{
	struct box *b = box_new();

	bus_lock(&b->h->bus);
	ehci_plug(b->e, 0, NULL);
	bus_unlock(&b->h->bus);
	assert_int_equal(readl(b->h, ER(0x64)) & 0x100f, 0x1002);
	assert_int_equal(readl(b->h, ER(0x24)) & 4, 4); /* port change detect */
	harness_check_state_roundtrip(&b->e->dev);
	writel(b->h, ER(0x64), 0x1002);
	bus_lock(&b->h->bus);
	ehci_plug(b->e, 0, &b->e->hid[0].dev);
	bus_unlock(&b->h->bus);
	assert_int_equal(readl(b->h, ER(0x64)) & 0x100f, 0x1003);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plug),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
