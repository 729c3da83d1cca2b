/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the RTL8139. "RTL": RTL8139C(L) data sheet rev. 1.4; "RTL+": RTL8139C(L)+ data
 * sheet rev. 1.6.
 */
#include "device/net/rtl8139.h"
#include "nic_rig.h"

#define IO(at) (uint16_t)(NIC_RIG_IO + (at))
enum { RING = 0x100000, BUF = 0x20000, TXD = 0x30000, RXD = 0x31000, RXBUF = 0x200000 };

static struct nic_rig *rig_new(bool plain)
{
	struct nic_rig *g = nic_rig_new();
	struct rtl8139 *t = (struct rtl8139 *)dev_new(&rtl8139_class, "net0", &g->h->sv);

	t->bus = &g->bus;
	t->net = g->net;
	t->plain = plain;
	memcpy(t->mac, nic_rig_mac, 6);
	nic_rig_add(g, &t->dev);
	nic_rig_enable(g, 1, 0);
	return g;
}

static const struct reg_row register_rows[] = {
	/* clang-format off */
	{IN32, IO(0x00), 0x01005452, .cite = "RTL 5.1: IDR from EEPROM"}, {IN16, IO(0x04), 0x0302},
	{READ32, NIC_RIG_MMIO, 0x01005452, .cite = "RTL 7.1: the same in memory space"},
	{IN8, IO(0x37), 0x01, .cite = "RTL 5.3: BUFE"},
	{IN16, IO(0x38), 0xfff0, .cite = "RTL 5.9: CAPR"}, {IN16, IO(0x3a), 0},
	{IN32, IO(0x10), 0x2000, .cite = "RTL 5.2: OWN"},
	{IN32, IO(0x40), 0x74800000, .mask = 0x7cc00000, .cite = "RTL+ 6.4: HWVERID"},
	{IN16, IO(0x64), 0x782d, .cite = "RTL 5.26: BMSR, link, autonegotiation done"},
	{IN8, IO(0x58), 0x00, .mask = 0x04, .cite = "RTL 5.18: LINKB"},
	/* widths: a byte of a wide register, dwords over several registers */
	{OUT16, IO(0x3c), 0x1234}, {OUT8, IO(0x3d), 0x40}, {IN16, IO(0x3c), 0x4034},
	{OUT32, IO(0x30), 0x12345677}, {IN32, IO(0x30), 0x12345674, .cite = "RTL 5.5: dword aligned"},
	{OUT8, IO(0x08), 0x80}, {OUT8, IO(0x0f), 0x01}, {IN32, IO(0x0c), 0x01000000},
	/* configuration registers need EEM = 11b (RTL 5.14) */
	{OUT8, IO(0x52), 0x80}, {IN8, IO(0x52), 0x0c},
	{OUT8, IO(0x50), 0xc0}, {OUT8, IO(0x52), 0x80}, {IN8, IO(0x52), 0x8c},
	{OUT8, IO(0x50), 0x00},
	/* timer (RTL 5.12, 5.21): 33 MHz */
	{OUT32, IO(0x48), 1}, {OUT32, IO(0x54), 3300},
	{STEP, .val = 99999}, {IN16, IO(0x3e), 0}, {IN32, IO(0x48), 3299},
	{STEP, .val = 2}, {IN16, IO(0x3e), 0x4000, .cite = "RTL 5.8: TimeOut"},
	{OUT8, IO(0x3e), 0xff}, {IN16, IO(0x3e), 0x4000, .cite = "only bytes written clear"},
	{OUT16, IO(0x3e), 0x4000}, {IN16, IO(0x3e), 0},
	{OUT8, IO(0xd9), 0x01}, {IN16, IO(0x3e), 0x0100, .cite = "RTL+ 6.31: FSWInt"},
	{OUT8, IO(0x37), 0x10}, {IN8, IO(0x37), 0x01, .cite = "RTL 5.3: RST clears itself"},
	{IN16, IO(0x3e), 0}, {IN32, IO(0x0c), 0x01000000, .cite = "MAR stays"},
	/* clang-format on */
};

/* EEPROM by hand (RTL 5.14) */
static uint16_t bang(struct nic_rig *g, unsigned n)
{
	unsigned bits = 0x180 | n;
	uint16_t v = 0;

	for (unsigned i = 9; i-- > 0;) {
		uint8_t di = bits >> i & 1 ? 2 : 0;

		outb(g->h, IO(0x50), (uint8_t)(0x88 | di));
		outb(g->h, IO(0x50), (uint8_t)(0x8c | di));
	}
	for (unsigned i = 0; i < 16; i++) {
		outb(g->h, IO(0x50), 0x88);
		outb(g->h, IO(0x50), 0x8c);
		v = (uint16_t)(v << 1 | (inb(g->h, IO(0x50)) & 1));
	}
	outb(g->h, IO(0x50), 0x80);
	return v;
}

static void test_registers(void **state)
{
	struct nic_rig *g = rig_new(false);

	harness_run(g->h, register_rows, ARRAY_SIZE(register_rows));
	assert_int_equal(bang(g, 0), 0x8129); /* RTL, table 6.2 */
	assert_int_equal(bang(g, 7), 0x5452);
	outw(g->h, IO(0x3c), 0x20);
	g->net->h.link(g->net->h.ctx, false);
	assert_true(g->irq);
	assert_int_equal(inb(g->h, IO(0x58)) & 4, 4);
	assert_int_equal(inw(g->h, IO(0x64)), 0x7809);
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
	g = rig_new(true);
	assert_int_equal(inl(g->h, IO(0x40)) & 0x7cc00000, 0x74000000);
	outw(g->h, IO(0xe0), 3);
	assert_int_equal(inw(g->h, IO(0xe0)), 0); /* no C+ mode */
	nic_rig_free(g);
}

/* RTL 5.2, 6.1: four descriptors by turns */
static void test_transmit(void **state)
{
	struct nic_rig *g = rig_new(false);

	memcpy(ram(g->h, BUF), g->frame, 2000);
	outl(g->h, IO(0x20), BUF);
	outl(g->h, IO(0x24), BUF);
	outl(g->h, IO(0x10), 100);
	assert_int_equal(g->net->sent, 0); /* the transmitter is off */
	outb(g->h, IO(0x37), 0x0c);
	assert_int_equal(g->net->sent, 1);
	assert_memory_equal(g->net->last, g->frame, 100);
	assert_int_equal(inl(g->h, IO(0x10)), 0xa000 | 100); /* OWN, TOK */
	assert_int_equal(inw(g->h, IO(0x3e)), 4);
	outl(g->h, IO(0x18), 70); /* the third, before it is its turn */
	assert_int_equal(g->net->sent, 1);
	outl(g->h, IO(0x28), BUF);
	outl(g->h, IO(0x14), 20);
	assert_int_equal(g->net->sent, 3);
	assert_int_equal(g->net->last_len, 70);
	assert_int_equal(inw(g->h, IO(0x60)), 0x700f);
	outl(g->h, IO(0x2c), 0x7ff00000);
	outl(g->h, IO(0x1c), 100); /* no memory there: TABT, TER */
	assert_int_equal(inl(g->h, IO(0x1c)) & 0x40000000, 0x40000000);
	assert_int_equal(inw(g->h, IO(0x3e)) & 8, 8);
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

static void receiver(struct nic_rig *g, uint32_t rcr)
{
	outb(g->h, IO(0x37), 0x10);
	outl(g->h, IO(0x30), RING);
	outw(g->h, IO(0x3c), 0x11);
	outl(g->h, IO(0x44), rcr);
	outb(g->h, IO(0x37), 0x0c);
}

/* RTL 5.7, 6.2: the ring */
static void test_receive(void **state)
{
	struct nic_rig *g = rig_new(false);
	unsigned at = 0, n = 0;

	assert_true(nic_rig_arrive(g, g->frame, 60)); /* off: lost */
	receiver(g, 0x0a);
	assert_true(nic_rig_arrive(g, g->frame, 100));
	assert_true(g->irq);
	assert_int_equal(inb(g->h, IO(0x37)) & 1, 0);
	assert_int_equal(ld_le32(ram(g->h, RING)), 104 << 16 | 0x4001); /* PAM, ROK */
	assert_memory_equal(ram(g->h, RING + 4), g->frame, 100);
	assert_int_equal(inw(g->h, IO(0x3a)), 108);
	outw(g->h, IO(0x38), 108 - 16);
	assert_int_equal(inb(g->h, IO(0x37)) & 1, 1);
	/* 8 KiB are full after some: it waits, and says so again if that was acknowledged */
	while (nic_rig_arrive(g, g->frame, 1000))
		n++;
	assert_in_range(n, 5, 8);
	outw(g->h, IO(0x3e), 0xffff);
	assert_false(g->irq);
	assert_false(nic_rig_arrive(g, g->frame, 1000));
	assert_true(g->irq);
	/* pushed all the same: overflow and a missed packet (RTL 5.8, 5.13) */
	while (!(inw(g->h, IO(0x3e)) & 0x10))
		g->net->h.receive(g->net->h.ctx, g->frame, 1000);
	assert_int_equal(inl(g->h, IO(0x4c)), 1);
	harness_check_state_roundtrip(g->dev);
	/* wrapping: header and data go on at the ring's beginning */
	receiver(g, 0x0a);
	for (unsigned i = 0; i < 40; i++) {
		uint32_t head = ld_le32(ram(g->h, RING + at));

		assert_true(nic_rig_arrive(g, g->frame, 1001));
		head = ld_le32(ram(g->h, RING + at));
		assert_int_equal(head, 1005u << 16 | 0x4001);
		for (unsigned k = 0; k < 1001; k++)
			assert_int_equal(*ram(g->h, RING + (at + 4 + k) % 8192), g->frame[k]);
		at = (at + 1012) % 8192;
		outw(g->h, IO(0x38), (uint16_t)(at - 16));
	}
	/* WRAP: data goes on behind the ring */
	receiver(g, 0x8a);
	for (at = 0; at < 8192;) {
		assert_true(nic_rig_arrive(g, g->frame, 1001));
		assert_memory_equal(ram(g->h, RING + at + 4), g->frame, 1001);
		at += 1012;
		outw(g->h, IO(0x38), (uint16_t)(at % 8192 - 16));
	}
	assert_int_equal(inw(g->h, IO(0x3a)), at % 8192);
	/* loopback (RTL 5.4) */
	receiver(g, 0x0a);
	outl(g->h, IO(0x40), 0x60000);
	memcpy(ram(g->h, BUF), g->frame, 100);
	outl(g->h, IO(0x20), BUF);
	outl(g->h, IO(0x10), 100);
	assert_int_equal(g->net->sent, 0);
	assert_memory_equal(ram(g->h, RING + 4), g->frame, 100);
	nic_rig_free(g);
}

static bool arrives(struct nic_rig *g, const void *dst, uint32_t rcr)
{
	uint8_t mar[8];

	for (unsigned i = 0; i < 8; i++)
		mar[i] = inb(g->h, IO(8 + i));
	receiver(g, rcr);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(inb(g->h, IO(8 + i)), mar[i]);
	memcpy(g->frame, dst, 6);
	assert_true(nic_rig_arrive(g, g->frame, 60));
	return !(inb(g->h, IO(0x37)) & 1);
}

/* RTL 5.7: what comes in; the hash of 01:00:5e:00:00:01 is bit 31, as all drivers have it */
static void test_filter(void **state)
{
	struct nic_rig *g = rig_new(false);
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, multi[6] = {1, 0, 0x5e, 0, 0, 1};

	assert_true(arrives(g, nic_rig_mac, 2));
	assert_false(arrives(g, nic_rig_mac, 0));
	assert_false(arrives(g, other, 2));
	assert_true(arrives(g, other, 1));
	assert_false(arrives(g, "\xff\xff\xff\xff\xff\xff", 3));
	assert_true(arrives(g, "\xff\xff\xff\xff\xff\xff", 8));
	assert_false(arrives(g, multi, 0xf));
	outb(g->h, IO(8 + 3), 0x80);
	assert_true(arrives(g, multi, 0x4));
	assert_false(arrives(g, multi, 0xb));
	nic_rig_free(g);
}

static void cp_desc(struct nic_rig *g, uint32_t ring, unsigned n, uint32_t cmd, uint32_t vlan,
		    uint32_t addr)
{
	uint8_t *d = ram(g->h, ring + 16 * n);

	st_le32(d, cmd);
	st_le32(d + 4, vlan);
	st_le64(d + 8, addr);
}

/* RTL+ 6.33, 9: descriptor rings */
static void test_cplus(void **state)
{
	struct nic_rig *g = rig_new(false);
	uint8_t *p = ram(g->h, BUF);
	unsigned len;

	outw(g->h, IO(0xe0), 0x63);
	outb(g->h, IO(0x37), 0x0c);
	outl(g->h, IO(0x44), 0x0a);
	outl(g->h, IO(0x20), TXD);
	outl(g->h, IO(0x24), 0);
	outl(g->h, IO(0xe4), RXD);
	outw(g->h, IO(0x3c), 0xffff);
	/* two descriptors of one packet; the second is not ready */
	memcpy(p, g->frame, 2000);
	cp_desc(g, TXD, 0, 0xa0000000 | 40, 0, BUF);
	cp_desc(g, TXD, 1, 0x50000000 | 60, 0, BUF + 40);
	outb(g->h, IO(0xd9), 0x40);
	assert_int_equal(g->net->sent, 0);
	assert_int_equal(ld_le32(ram(g->h, TXD)) >> 31, 1);
	cp_desc(g, TXD, 1, 0xd0000000 | 60, 0, BUF + 40); /* LS, EOR */
	outb(g->h, IO(0xd9), 0x40);
	assert_int_equal(g->net->sent, 1);
	assert_int_equal(g->net->last_len, 100);
	assert_memory_equal(g->net->last, g->frame, 100);
	assert_int_equal(ld_le32(ram(g->h, TXD)) >> 31, 0);
	assert_int_equal(ld_le32(ram(g->h, TXD + 16)), 0x50000000 | 60);
	assert_int_equal(inw(g->h, IO(0x3e)) & 0x84, 0x84); /* TOK, TDU */
	/* a tag, checksums */
	len = nic_rig_tcp(p, 100);
	cp_desc(g, TXD, 0, 0xf0000000 | 5 << 16 | len, 0x20000 | 0x2301, BUF);
	outb(g->h, IO(0xd9), 0x40);
	assert_int_equal(g->net->last_len, len + 4);
	assert_int_equal(ld_be32(g->net->last + 12), 0x81000123);
	struct nic_headers h;
	assert_true(nic_headers(g->net->last, g->net->last_len, &h));
	assert_true(nic_good_ip(g->net->last, &h) && nic_good_l4(g->net->last, &h));
	/* large send: 1000 bytes by 300 */
	len = nic_rig_tcp(p, 1000);
	cp_desc(g, TXD, 0, 0xf8000000 | 300 << 16 | len, 0, BUF);
	outb(g->h, IO(0xd9), 0x40);
	assert_int_equal(g->net->sent, 6);
	assert_int_equal(g->net->last_len, 154);
	assert_true(nic_headers(g->net->last, g->net->last_len, &h));
	assert_true(nic_good_ip(g->net->last, &h) && nic_good_l4(g->net->last, &h));
	assert_int_equal(ld_be32(g->net->last + 38), 0x1000 + 900);
	/* receive: two buffers of 64 bytes, then one big one */
	assert_false(nic_rig_arrive(g, g->frame, 100));
	harness_check_state_roundtrip(g->dev);
	unsigned polls = g->net->polls;
	harness_step(g->h, 2 * NS_PER_MS);
	assert_true(g->net->polls > polls);
	cp_desc(g, RXD, 0, 0x80000040, 0, RXBUF);
	cp_desc(g, RXD, 1, 0x80000040, 0, RXBUF + 64);
	cp_desc(g, RXD, 2, 0xc0001000, 0, RXBUF + 128);
	assert_true(nic_rig_arrive(g, g->frame, 100));
	assert_int_equal(ld_le32(ram(g->h, RXD)) & 0xf0000000, 0x20000000);      /* FS */
	assert_int_equal(ld_le32(ram(g->h, RXD + 16)) & 0xf0001fff, 0x10000068); /* LS */
	assert_memory_equal(ram(g->h, RXBUF), g->frame, 100);
	len = nic_rig_tcp(g->frame, 200);
	memmove(g->frame + 16, g->frame + 12, len - 12);
	st_be32(g->frame + 12, 0x81000123);
	memcpy(g->frame, nic_rig_mac, 6);
	assert_true(nic_rig_arrive(g, g->frame, len + 4));
	/* EOR, FS, LS, PAM, TCP; both sums wrong */
	assert_int_equal(ld_le32(ram(g->h, RXD + 32)), 0x72010000 | 0xa000 | (len + 4));
	assert_int_equal(ld_le32(ram(g->h, RXD + 36)), 0x12301);
	/* the tally counters (RTL+ 6.3) */
	outl(g->h, IO(0x14), 0);
	outl(g->h, IO(0x10), 0x40000 | 8);
	assert_int_equal(inl(g->h, IO(0x10)), 0x40000);
	assert_int_equal(ld_le64(ram(g->h, 0x40000)), 6);
	assert_int_equal(ld_le64(ram(g->h, 0x40008)), 2);
	/* a ring that never ends, a packet without an end: in turns, and at last over */
	for (unsigned i = 0; i < 64; i++)
		cp_desc(g, TXD, i, 0xb0000000 | 100, 0, BUF);
	outl(g->h, IO(0x20), TXD);
	outb(g->h, IO(0xd9), 0x40);
	for (unsigned i = 0; i < 64; i++)
		cp_desc(g, TXD, i, 0xa0000000 | 0xffff, 0, BUF);
	outb(g->h, IO(0xd9), 0x40);
	harness_step(g->h, 10 * NS_PER_MS);
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_receive),   cmocka_unit_test(test_filter),
		cmocka_unit_test(test_cplus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
