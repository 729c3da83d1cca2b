/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the NE2000. "DP8390": National DP8390D data sheet, July 1995; "RTL8029":
 * Realtek RTL8029AS data sheet rev. 1.6.
 */
#include "device/net/ne2000.h"
#include "nic_rig.h"

#define IO(at) (uint16_t)(NIC_RIG_IO + (at))

static struct nic_rig *rig_new(bool isa)
{
	struct nic_rig *g = nic_rig_new();
	struct ne2000 *n = (struct ne2000 *)dev_new(isa ? &ne2k_isa_class : &ne2k_pci_class, "net0",
						    &g->h->sv);

	n->net = g->net;
	memcpy(n->mac, nic_rig_mac, 6);
	if (isa) {
		n->dev.base = NIC_RIG_IO;
		irq_init(&n->irq, nic_rig_line, g, 0);
	} else {
		n->bus = &g->bus;
	}
	nic_rig_add(g, &n->dev);
	if (!isa)
		nic_rig_enable(g, -1, 0);
	return g;
}

static void out(struct nic_rig *g, unsigned at, uint8_t v)
{
	outb(g->h, IO(at), v);
}

/* Remote DMA of @len bytes of card memory at @at (DP8390, 11.0). */
static void remote(struct nic_rig *g, unsigned cmd, unsigned at, unsigned len)
{
	out(g, 0, 0x22);
	out(g, 8, (uint8_t)at);
	out(g, 9, (uint8_t)(at >> 8));
	out(g, 10, (uint8_t)len);
	out(g, 11, (uint8_t)(len >> 8));
	out(g, 0, (uint8_t)(0x02 | cmd << 3));
}

/* As drivers do it: 16 bits wide, ring from page 46h to 80h, transmit page 40h. */
static void up(struct nic_rig *g, uint8_t rcr)
{
	static const uint8_t steps[][2] = {
		{0, 0x21}, {0xe, 0x49}, {0xc, 0x20}, {0xd, 0x02}, {1, 0x46}, {2, 0x80},  {3, 0x46},
		{7, 0xff}, {0xf, 0x1f}, {0, 0x61},   {7, 0x47},   {0, 0x22}, {0xd, 0x00}};

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++)
		out(g, steps[i][0], steps[i][1]);
	out(g, 0xc, rcr);
}

static const struct reg_row register_rows[] = {
	/* clang-format off */
	{IN8, IO(0), 0x21, .cite = "DP8390 13.0: STP, no DMA after reset"},
	{IN8, IO(7), 0x80, .cite = "DP8390 10.3: RST"},
	{OUT8, IO(7), 0xff}, {IN8, IO(7), 0x80, .cite = "DP8390 10.3: not cleared by writing"},
	{OUT8, IO(0), 0x22}, {IN8, IO(7), 0x00, .cite = "DP8390 10.3: cleared by a start"},
	{OUT8, IO(0), 0x20}, {IN8, IO(0), 0x22, .cite = "DP8390 10.1: only STP stops it"},
	{OUT8, IO(0), 0x62}, {IN8, IO(1), 0x52, .cite = "page 1: PAR"}, {IN8, IO(6), 0x03},
	{OUT8, IO(7), 0x55}, {IN8, IO(7), 0x55, .cite = "page 1: CURR"},
	{OUT8, IO(0xf), 0xa5}, {IN8, IO(0xf), 0xa5, .cite = "page 1: MAR7"},
	{OUT8, IO(0), 0x22}, {OUT8, IO(1), 0x46}, {OUT8, IO(2), 0x80}, {OUT8, IO(0xc), 0xff},
	{OUT8, IO(0xe), 0x49},
	{OUT8, IO(0), 0xa2}, {IN8, IO(1), 0x46, .cite = "page 2: PSTART"}, {IN8, IO(2), 0x80},
	{IN8, IO(0xc), 0xff, .cite = "page 2: RCR, two bits fixed"}, {IN8, IO(0xe), 0xc9},
	{OUT8, IO(0), 0x22}, {OUT16, IO(8), 0x1234}, {IN8, IO(8), 0x34}, {IN8, IO(9), 0x12},
	{IN8, IO(0x1f), 0, .cite = "the reset port"}, {IN8, IO(0), 0x21},
	/* clang-format on */
};

static void test_registers(void **state)
{
	for (unsigned isa = 0; isa < 2; isa++) {
		struct nic_rig *g = rig_new(isa);

		harness_run(g->h, register_rows, ARRAY_SIZE(register_rows));
		/* RTL8029 5.1 */
		assert_int_equal(inb(g->h, IO(0x0a)), isa ? 0xff : 0x50);
		assert_int_equal(inb(g->h, IO(0x0b)), isa ? 0xff : 0x43);
		/* the PROM, each byte twice; WW at its end */
		out(g, 0xe, 0x48);
		remote(g, 1, 0, 32);
		for (unsigned i = 0; i < 32; i++) {
			uint8_t v = inb(g->h, IO(0x10));

			assert_int_equal(v, i < 12 ? nic_rig_mac[i / 2] : i >= 28 ? 0x57 : 0);
		}
		assert_int_equal(inb(g->h, IO(7)) & 0x40, 0x40); /* RDC */
		/* memory in bytes, words, dwords */
		out(g, 0xe, 0x49);
		remote(g, 2, 0x4000, 8);
		outw(g->h, IO(0x10), 0x2211);
		outl(g->h, IO(0x10), 0x66554433);
		outw(g->h, IO(0x10), 0x8877);
		outw(g->h, IO(0x10), 0xaaaa); /* one too many */
		remote(g, 1, 0x4000, 8);
		assert_int_equal(inl(g->h, IO(0x10)), 0x44332211);
		assert_int_equal(inb(g->h, IO(7)) & 0x40, 0x40);
		out(g, 7, 0x40);
		assert_int_equal(inl(g->h, IO(0x10)), 0x88776655);
		assert_int_equal(inb(g->h, IO(7)) & 0x40, 0x40);
		assert_int_equal(inw(g->h, IO(0x10)), 0xffff);
		remote(g, 1, 0x8000, 2);
		assert_int_equal(inw(g->h, IO(0x10)), 0xffff); /* nothing there */
		harness_check_state_roundtrip(g->dev);
		nic_rig_free(g);
	}
}

static void test_transmit(void **state)
{
	for (unsigned isa = 0; isa < 2; isa++) {
		struct nic_rig *g = rig_new(isa);

		up(g, 0x04);
		remote(g, 2, 0x4000, 100);
		for (unsigned i = 0; i < 100; i += 2)
			outw(g->h, IO(0x10), ld_le16(g->frame + i));
		out(g, 7, 0xff);
		out(g, 4, 0x40);
		out(g, 5, 100);
		out(g, 6, 0);
		out(g, 0, 0x26);
		assert_int_equal(g->net->sent, 1);
		assert_memory_equal(g->net->last, g->frame, 100);
		assert_int_equal(inb(g->h, IO(0)), 0x22); /* TXP clears itself */
		assert_int_equal(inb(g->h, IO(4)), 0x01);
		assert_int_equal(inb(g->h, IO(7)), 0x02);
		assert_true(g->irq);
		out(g, 7, 0x02);
		assert_false(g->irq);
		/* DP8390 12.0, table 2: loopback 1, 2, 3 */
		static const uint8_t tsr[] = {0x53, 0x43, 0x03};
		for (unsigned mode = 1; mode < 4; mode++) {
			out(g, 0xe, 0x41);
			out(g, 0xd, (uint8_t)(mode << 1));
			out(g, 0, 0x26);
			assert_int_equal(inb(g->h, IO(4)), tsr[mode - 1]);
			assert_int_equal(inb(g->h, IO(0xc)), 0x02);
			assert_int_equal(inb(g->h, IO(7)), 0x02);
			assert_int_equal(inb(g->h, IO(6)), 104); /* the FIFO: length, last byte */
			(void)inw(g->h, IO(6));
			(void)inb(g->h, IO(6));
		}
		assert_int_equal(g->net->sent, 1);
		harness_check_state_roundtrip(g->dev);
		nic_rig_free(g);
	}
}

/*
 * A driver that keeps BNRY one page behind the frame it reads next, and for the ring's first page
 * writes PSTART - 1, as Linux's does: nothing goes over what it has not read.
 */
static void test_boundary(void **state)
{
	struct nic_rig *g = rig_new(false);
	unsigned n = 0;

	up(g, 0x04);
	out(g, 3, 0x45);
	out(g, 0, 0x62);
	out(g, 7, 0x46); /* CURR at PSTART: empty */
	out(g, 0, 0x22);
	for (unsigned i = 0; i < 100; i++) {
		st_le32(g->frame + 60, i);
		n += nic_rig_arrive(g, g->frame, 1514);
	}
	assert_in_range(n, 8, 9);
	assert_int_equal(inb(g->h, IO(7)) & 0x10, 0);
	for (unsigned i = 0; i < n; i++) {
		uint32_t at = (0x46 + 6 * i) << 8;

		remote(g, 1, at + 4 + 60, 4);
		assert_int_equal(inl(g->h, IO(0x10)), i);
	}
	/* a page picked with neither STA nor STP set: frames come in all the same */
	out(g, 3, 0x51);
	out(g, 0, 0x60);
	out(g, 7, 0x52);
	out(g, 0, 0x20);
	out(g, 7, 0xff);
	assert_true(nic_rig_arrive(g, g->frame, 60));
	assert_int_equal(inb(g->h, IO(7)) & 1, 1);
	/* elsewhere outside the ring it is never reached */
	out(g, 3, 0x20);
	assert_true(nic_rig_arrive(g, g->frame, 1514));
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

/* DP8390 10.0: the ring */
static void test_receive(void **state)
{
	struct nic_rig *g = rig_new(false);
	unsigned page = 0x47, n = 0;

	assert_true(nic_rig_arrive(g, g->frame, 60)); /* stopped: lost */
	up(g, 0x04);
	/* round and round; the driver follows with BNRY one page behind */
	for (unsigned i = 0; i < 200; i++) {
		unsigned len = 60 + i * 7, next = page + (4 + len + 4 + 255) / 256;
		uint8_t head[4];

		if (next >= 0x80)
			next -= 0x80 - 0x46;
		assert_true(nic_rig_arrive(g, g->frame, len));
		assert_true(g->irq);
		remote(g, 1, page << 8, 4);
		st_le16(head, inw(g->h, IO(0x10)));
		st_le16(head + 2, inw(g->h, IO(0x10)));
		assert_int_equal(head[0], 0x01);
		assert_int_equal(head[1], next);
		assert_int_equal(ld_le16(head + 2), len + 4);
		remote(g, 1, (page << 8) + 4, len); /* remote DMA wraps with the ring */
		for (unsigned k = 0; k + 1 < len; k += 2)
			assert_int_equal(inw(g->h, IO(0x10)), ld_le16(g->frame + k));
		page = next;
		out(g, 3, (uint8_t)(page == 0x46 ? 0x7f : page - 1));
		out(g, 7, 0x41);
		assert_false(g->irq);
	}
	while (nic_rig_arrive(g, g->frame, 1514))
		n++;
	assert_in_range(n, 8, 9);
	unsigned polls = g->net->polls;
	out(g, 3, 0x46);
	assert_true(g->net->polls > polls);
	/* pushed all the same: overwrite warning, and it is counted as missed */
	while (!(inb(g->h, IO(7)) & 0x10))
		g->net->h.receive(g->net->h.ctx, g->frame, 1514);
	assert_int_equal(inb(g->h, IO(0xf)), 1);
	assert_int_equal(inb(g->h, IO(0xf)), 0);
	/* monitor mode: looked at, counted, not kept (DP8390 10.5) */
	up(g, 0x24);
	for (unsigned i = 0; i < 200; i++)
		assert_true(nic_rig_arrive(g, g->frame, 60));
	assert_int_equal(inb(g->h, IO(0xc)), 0x50);
	assert_int_equal(inb(g->h, IO(7)) & 0x21, 0x20); /* CNT: the counter's top bit */
	assert_int_equal(inb(g->h, IO(0xf)), 192);
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

static bool arrives(struct nic_rig *g, const void *dst, uint8_t rcr)
{
	up(g, rcr);
	memcpy(g->frame, dst, 6);
	assert_true(nic_rig_arrive(g, g->frame, 60));
	return inb(g->h, IO(7)) & 1;
}

/* DP8390 7.0 */
static void test_filter(void **state)
{
	struct nic_rig *g = rig_new(true);
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, multi[6] = {1, 0, 0x5e, 0, 0, 1};

	assert_true(arrives(g, nic_rig_mac, 0));
	assert_false(arrives(g, other, 0x0c));
	assert_true(arrives(g, other, 0x10));
	assert_false(arrives(g, "\xff\xff\xff\xff\xff\xff", 0));
	assert_true(arrives(g, "\xff\xff\xff\xff\xff\xff", 4));
	assert_false(arrives(g, multi, 0x1c));
	out(g, 0, 0x62);
	out(g, 8 + 3, 0x80);
	assert_true(arrives(g, multi, 0x08));
	assert_false(arrives(g, multi, 0x14));
	/* rings that make no sense */
	for (unsigned i = 0; i < 16; i++) {
		out(g, 0, 0x22);
		out(g, 1, (uint8_t)(i * 37));
		out(g, 2, (uint8_t)(i * 91));
		out(g, 3, (uint8_t)(i * 53));
		out(g, 0, 0x62);
		out(g, 7, (uint8_t)(i * 71));
		out(g, 0, 0x22);
		nic_rig_arrive(g, g->frame, 1514);
		g->net->h.receive(g->net->h.ctx, g->frame, 1514);
		remote(g, 3, 0, 0);
		(void)inl(g->h, IO(0x10));
	}
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_receive),   cmocka_unit_test(test_boundary),
		cmocka_unit_test(test_filter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
