/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the 82540EM. "SDM": Intel 8254x Software Developer's Manual, 317453-006.
 */
#include "device/net/e1000.h"
#include "nic_rig.h"

#define AT(at) (NIC_RIG_MMIO + (at))
enum { TX = 0x10000, RX = 0x11000, BUF = 0x20000, RXBUF = 0x100000 };

static struct nic_rig *rig_new(void)
{
	struct nic_rig *g = nic_rig_new();
	struct e1000 *e = (struct e1000 *)dev_new(&e1000_class, "net0", &g->h->sv);

	e->bus = &g->bus;
	e->net = g->net;
	memcpy(e->mac, nic_rig_mac, 6);
	nic_rig_add(g, &e->dev);
	nic_rig_enable(g, 0, 2);
	return g;
}

static uint32_t rd(struct nic_rig *g, uint32_t at)
{
	return readl(g->h, AT(at));
}

static void wr(struct nic_rig *g, uint32_t at, uint32_t v)
{
	writel(g->h, AT(at), v);
}

static const struct reg_row register_rows[] = {
	/* clang-format off */
	{READ32, AT(0x0008), 0x283, .cite = "SDM 13.4.2: full duplex, link up, 1000 Mb/s"},
	{READ32, AT(0x0038), 0x8100, .cite = "SDM 13.4.16: VET"},
	{READ32, AT(0x1000), 0x00100030, .cite = "SDM 13.4.14: PBA 48 KB receive, 16 KB transmit"},
	{READ32, AT(0x5400), 0x01005452, .cite = "SDM 13.5.2: RAL0 from EEPROM"},
	{READ32, AT(0x5404), 0x80000302, .cite = "SDM 13.5.3: RAH0, address valid"},
	{WRITE32, AT(0x2808), 0xffffffff}, {READ32, AT(0x2808), 0xfff80, .cite = "SDM 13.4.27: RDLEN"},
	{WRITE32, AT(0x2800), 0xffffffff}, {READ32, AT(0x2800), 0xfffffff0, .cite = "SDM 13.4.25"},
	{WRITE32, AT(0x540c), 0xffffffff}, {READ32, AT(0x540c), 0x8003ffff, .cite = "SDM 13.5.3: RAH"},
	{WRITE32, AT(0x5200), 0x12345678}, {READ32, AT(0x5200), 0x12345678, .cite = "SDM 13.5.1: MTA"},
	{WRITE32, AT(0x9008), 0x5a}, {READ32, AT(0x9008), 0x5a, .cite = "SDM 13.6.10: FFMT"},
	{WRITE32, AT(0x900c), 0x5a}, {READ32, AT(0x900c), 0, .cite = "SDM 13.6.10: every other dword"},
	/* EERD (SDM 13.4.4): words of the EEPROM */
	{WRITE32, AT(0x0014), 0x0001}, {READ32, AT(0x0014), 0x54520010},
	{WRITE32, AT(0x0014), 0x0201}, {READ32, AT(0x0014), 0x03020210},
	{WRITE32, AT(0x0014), 0x0d01}, {READ32, AT(0x0014), 0x100e0d10},
	/* EECD (SDM 13.4.3): request and grant */
	{READ32, AT(0x0010), 0x100, .mask = 0x1c0, .cite = "SDM 13.4.3: EE_PRES"},
	{WRITE32, AT(0x0010), 0x40}, {READ32, AT(0x0010), 0x1c0, .mask = 0x1c0},
	/* MDIC (SDM 13.4.9) */
	{WRITE32, AT(0x0020), 0x08220000}, {READ32, AT(0x0020), 0x18220141, .cite = "SDM 8.6.2: PHY id"},
	{WRITE32, AT(0x0020), 0x08230000}, {READ32, AT(0x0020), 0x18230c20},
	{WRITE32, AT(0x0020), 0x08210000}, {READ32, AT(0x0020), 0x1821796d, .cite = "802.3, 22.2.4.2: link, done"},
	{WRITE32, AT(0x0020), 0x08410000}, {READ32, AT(0x0020), 0x5841ffff, .cite = "SDM 13.4.9: E: no such PHY"},
	{WRITE32, AT(0x0020), 0x042401e1}, {WRITE32, AT(0x0020), 0x08240000},
	{READ32, AT(0x0020), 0x182401e1, .cite = "advertisement is kept"},
	/* interrupts (SDM 13.4.17 to 13.4.21) */
	{READ32, AT(0x00c0), 0, .mask = 4},
	{WRITE32, AT(0x00c8), 0x1}, {READ32, AT(0x00c0), 0x1, .cite = "ICS sets, reading clears"},
	{READ32, AT(0x00c0), 0},
	{WRITE32, AT(0x00d0), 0x84}, {WRITE32, AT(0x00d8), 0x04}, {READ32, AT(0x00d0), 0x80, .cite = "IMS, IMC"},
	/* the window of the I/O BAR (SDM 13.1.1.2) */
	{OUT32, NIC_RIG_IO, 0x5400}, {IN32, NIC_RIG_IO, 0x5400}, {IN32, NIC_RIG_IO + 4, 0x01005452},
	{OUT32, NIC_RIG_IO, 0x5200}, {OUT32, NIC_RIG_IO + 4, 0x77}, {READ32, AT(0x5200), 0x77},
	{OUT32, NIC_RIG_IO, 0x20000}, {IN32, NIC_RIG_IO + 4, 0},
	/* reset by software (SDM 14.3) */
	{WRITE32, AT(0x0000), 0x04000000}, {READ32, AT(0x5200), 0}, {READ32, AT(0x00d0), 0},
	{READ32, AT(0x0000), 0, .mask = 0x04000000, .cite = "SDM 13.4.1: RST clears itself"},
	/* clang-format on */
};

/* Microwire by hand: read word @n through EECD (SDM, 13.4.3; DS21749). */
static uint16_t bang(struct nic_rig *g, unsigned n)
{
	unsigned bits = 0x180 | n;
	uint16_t v = 0;

	wr(g, 0x10, 0x42);
	for (unsigned i = 9; i-- > 0;) {
		uint32_t di = bits >> i & 1 ? 4 : 0;

		wr(g, 0x10, 0x42 | di);
		wr(g, 0x10, 0x43 | di);
	}
	assert_int_equal(rd(g, 0x10) & 8, 0); /* the dummy bit */
	for (unsigned i = 0; i < 16; i++) {
		wr(g, 0x10, 0x42);
		wr(g, 0x10, 0x43);
		v = (uint16_t)(v << 1 | !!(rd(g, 0x10) & 8));
	}
	wr(g, 0x10, 0x40);
	return v;
}

static void test_registers(void **state)
{
	struct nic_rig *g = rig_new();
	uint16_t sum = 0;

	harness_run(g->h, register_rows, ARRAY_SIZE(register_rows));
	for (unsigned i = 0; i < 64; i++) {
		wr(g, 0x14, i << 8 | 1);
		assert_int_equal(bang(g, i), rd(g, 0x14) >> 16);
		sum = (uint16_t)(sum + bang(g, i));
	}
	assert_int_equal(sum, 0xbaba); /* SDM 5.6.35 */
	/* autonegotiation takes the link away for a while (IEEE 802.3, 22.2.4.1.7) */
	wr(g, 0xd0, 4);
	wr(g, 0x20, 0x04201340);
	assert_int_equal(rd(g, 8) & 2, 0);
	assert_true(g->irq);
	(void)rd(g, 0xc0);
	assert_false(g->irq);
	harness_check_state_roundtrip(g->dev);
	harness_step(g->h, 100 * NS_PER_MS);
	assert_int_equal(rd(g, 8) & 2, 2);
	assert_true(g->irq);
	(void)rd(g, 0xc0);
	/* the cable */
	g->net->h.link(g->net->h.ctx, false);
	assert_int_equal(rd(g, 8) & 2, 0);
	assert_true(g->irq);
	g->net->h.link(g->net->h.ctx, true);
	assert_int_equal(rd(g, 8) & 2, 2);
	nic_rig_free(g);
}

/* ---- transmit ---- */

static void desc(struct nic_rig *g, unsigned n, uint64_t addr, uint32_t lower, uint32_t upper)
{
	uint8_t *p = ram(g->h, TX + 16 * n);

	st_le64(p, addr);
	st_le32(p + 8, lower);
	st_le32(p + 12, upper);
}

static void tx_up(struct nic_rig *g)
{
	wr(g, 0x3800, TX);
	wr(g, 0x3804, 0);
	wr(g, 0x3808, 128);
	wr(g, 0x3810, 0);
	wr(g, 0x3818, 0);
	wr(g, 0x400, 0x0004010a);
}

static uint8_t dd(struct nic_rig *g, unsigned n)
{
	return *ram(g->h, TX + 16 * n + 12) & 1;
}

static void test_transmit(void **state)
{
	struct nic_rig *g = rig_new();
	uint8_t *p = ram(g->h, BUF);

	tx_up(g);
	wr(g, 0xd0, 3);
	memcpy(p, g->frame, 2000);
	/* SDM 3.3.3: legacy; a packet of two descriptors, RS on the second */
	desc(g, 0, BUF, 20, 0);
	desc(g, 1, BUF + 20, 0x0b000000 | 80, 0);
	wr(g, 0x3818, 1);
	assert_int_equal(g->net->sent, 0);
	harness_check_state_roundtrip(g->dev);
	wr(g, 0x3818, 2);
	assert_int_equal(g->net->sent, 1);
	assert_int_equal(g->net->last_len, 100);
	assert_memory_equal(g->net->last, g->frame, 100);
	assert_false(dd(g, 0));
	assert_true(dd(g, 1));
	assert_int_equal(rd(g, 0x3810), 2);
	assert_true(g->irq);
	assert_int_equal(rd(g, 0xc0) & 3, 3); /* TXDW, TXQE */
	/* short ones are padded */
	desc(g, 2, BUF, 0x0b000000 | 20, 0);
	wr(g, 0x3818, 3);
	assert_int_equal(g->net->last_len, 60);
	/* SDM 3.3.3.2: checksum insertion from CSS, at CSO */
	desc(g, 3, BUF, 0x0f000000 | 50 << 16 | 64, 14 << 8);
	wr(g, 0x3818, 4);
	uint32_t sum = 0;
	for (unsigned i = 14; i < 64; i += 2)
		sum += ld_be16(g->frame + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(ld_be16(g->net->last + 50), (uint16_t)~sum);
	/* SDM 9.4: VLE with CTRL.VME puts the tag in */
	wr(g, 0x0000, 0x40000241);
	desc(g, 4, BUF, 0x4b000000 | 64, 0x20050000);
	wr(g, 0x3818, 5);
	assert_int_equal(g->net->last_len, 68);
	assert_memory_equal(g->net->last, g->frame, 12);
	assert_int_equal(ld_be32(g->net->last + 12), 0x81002005);
	assert_memory_equal(g->net->last + 16, g->frame + 12, 52);
	/* delayed: IDE and TIDV (SDM 13.4.44), 1.024 us each */
	(void)rd(g, 0xc0);
	wr(g, 0x3820, 100);
	desc(g, 5, BUF, 0x8b000000 | 64, 0);
	wr(g, 0x3818, 6);
	assert_true(dd(g, 5));
	assert_int_equal(rd(g, 0xc0) & 1, 0);
	harness_step(g->h, 102399);
	assert_int_equal(rd(g, 0xc0) & 1, 0);
	harness_step(g->h, 1);
	assert_int_equal(rd(g, 0xc0) & 1, 1);
	/* SDM 13.7: statistics, cleared when read */
	assert_int_equal(rd(g, 0x4080), 5);
	assert_int_equal(rd(g, 0x4080), 0);
	assert_int_equal(rd(g, 0x40d4), 5);
	assert_int_equal(rd(g, 0x4090), 104 + 64 + 68 + 72 + 68);
	assert_int_equal(rd(g, 0x4090), 104 + 64 + 68 + 72 + 68); /* stays until the upper half */
	assert_int_equal(rd(g, 0x4094), 0);
	assert_int_equal(rd(g, 0x4090), 0);
	/* a ring that is out of range, a descriptor that is nowhere, a packet without end */
	wr(g, 0x3818, 9);
	wr(g, 0x3818, 6);
	desc(g, 6, 0x7fff0000, 0x0b000000 | 64, 0);
	wr(g, 0x3818, 7);
	assert_int_equal(g->net->sent, 5);
	for (unsigned i = 0; i < 8; i++)
		desc(g, i, BUF, 0x00003fff, 0);
	for (unsigned i = 0; i < 20; i++) {
		wr(g, 0x3818, (7 + 7 * i + 7) % 8);
		harness_step(g->h, NS_PER_MS);
	}
	harness_check_state_roundtrip(g->dev);
	assert_int_equal(g->net->sent, 5);
	/* RCTL.LBM: what is sent is received */
	wr(g, 0x0000, 0x04000000);
	nic_rig_free(g);
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t words(const uint8_t *p, unsigned len)
{
	uint32_t sum = len & 1 ? (uint32_t)p[len - 1] << 8 : 0;

	for (unsigned i = 0; i + 1 < len; i += 2)
		sum += ld_be16(p + i);
	return sum;
}

/* Every segment a good IPv4 and TCP packet. */
static void check_tcp(const uint8_t *p, size_t len, unsigned payload)
{
	assert_int_equal(len, MAX(54 + payload, 60u));
	assert_int_equal(ld_be16(p + 16), 40 + payload);
	assert_int_equal(fold(words(p + 14, 20)), 0xffff);
	assert_int_equal(fold(words(p + 34, 20 + payload) + words(p + 26, 8) + 6 + 20 + payload),
			 0xffff);
}

/* SDM 3.3.6, 3.3.7, 3.5: contexts, checksum offload, segmentation */
static void test_offload(void **state)
{
	struct nic_rig *g = rig_new();
	uint8_t *p = ram(g->h, BUF);
	unsigned len = nic_rig_tcp(p, 100);

	tx_up(g);
	/* the driver leaves the pseudo header's sum where the checksum goes */
	st_be16(p + 50, fold(words(p + 26, 8) + 6 + 120));
	desc(g, 0, 14 | 24 << 8 | (uint64_t)33 << 16 | (uint64_t)34 << 32 | (uint64_t)50 << 40,
	     0x20000000 | 3 << 24, 0);
	desc(g, 1, BUF, 0x2b100000 | len, 0x300);
	wr(g, 0x3818, 2);
	assert_int_equal(g->net->sent, 1);
	check_tcp(g->net->last, g->net->last_len, 100);
	/* 1000 bytes in segments of 300: three full, one of 100 */
	len = nic_rig_tcp(p, 1000);
	st_be16(p + 16, 0);
	st_be16(p + 50, fold(words(p + 26, 8) + 6));
	desc(g, 2, 14 | 24 << 8 | (uint64_t)33 << 16 | (uint64_t)34 << 32 | (uint64_t)50 << 40,
	     0x27000000 | 1000, 300u << 16 | 54 << 8);
	desc(g, 3, BUF, 0x24100000 | 54, 0x300);
	desc(g, 4, BUF + 54, 0x24100000 | 400, 0);
	desc(g, 5, BUF + 454, 0x2f100000 | 600, 0);
	wr(g, 0x3818, 5);
	/* 400 bytes: one went out, and the second waits for more */
	assert_int_equal(g->net->sent, 2);
	check_tcp(g->net->last, g->net->last_len, 300);
	assert_int_equal(ld_be32(g->net->last + 38), 0x1000);
	assert_int_equal(ld_be16(g->net->last + 18), 0x1234);
	assert_int_equal(g->net->last[47], 0x10); /* no FIN, no PSH but in the last */
	harness_check_state_roundtrip(g->dev);
	wr(g, 0x3818, 6);
	assert_int_equal(g->net->sent, 5);
	check_tcp(g->net->last, g->net->last_len, 100);
	assert_int_equal(ld_be32(g->net->last + 38), 0x1000 + 900);
	assert_int_equal(ld_be16(g->net->last + 18), 0x1237);
	assert_int_equal(g->net->last[47], 0x19);
	assert_memory_equal(g->net->last + 54, p + 954, 100);
	assert_int_equal(rd(g, 0x40f8), 1); /* TSCTC */
	/* contexts that make no sense: no payload size, headers longer than the packet */
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t upper[] = {54 << 8, 300u << 16, 1u << 16 | 255 << 8};

		tx_up(g);
		desc(g, 0, 0xffffffffffffull, 0x27000000 | 1000, upper[i]);
		desc(g, 1, BUF, 0x2f100000 | 0xfffff, 0x300);
		wr(g, 0x3818, 2);
		assert_int_equal(rd(g, 0x3810), 2);
	}
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

/* ---- receive ---- */

static void rx_up(struct nic_rig *g, uint32_t rctl)
{
	wr(g, 0x2800, RX);
	wr(g, 0x2804, 0);
	wr(g, 0x2808, 128);
	wr(g, 0x2810, 0);
	wr(g, 0x2818, 0);
	for (unsigned i = 0; i < 8; i++) {
		memset(ram(g->h, RX + 16 * i), 0, 16);
		st_le64(ram(g->h, RX + 16 * i), RXBUF + i * 0x4000);
	}
	wr(g, 0x100, rctl);
}

static const uint8_t *rx_desc(struct nic_rig *g, unsigned n)
{
	return ram(g->h, RX + 16 * n);
}

static void test_receive(void **state)
{
	struct nic_rig *g = rig_new();
	uint8_t *p = g->frame;

	assert_true(nic_rig_arrive(g, p, 60)); /* the receiver is off: lost */
	rx_up(g, 0x8002);
	assert_false(nic_rig_arrive(g, p, 60)); /* no descriptor: waits */
	unsigned polls = g->net->polls;
	wr(g, 0x2818, 7);
	assert_true(g->net->polls > polls);
	wr(g, 0xd0, 0x80);
	assert_true(nic_rig_arrive(g, p, 100));
	assert_true(g->irq);
	assert_int_equal(ld_le16(rx_desc(g, 0) + 8), 104); /* SDM 13.4.22: SECRC clear */
	assert_int_equal(rx_desc(g, 0)[12], 0x07);         /* DD, EOP, IXSM */
	assert_memory_equal(ram(g->h, RXBUF), p, 100);
	assert_int_equal(rd(g, 0x2810), 1);
	assert_int_equal(rd(g, 0xc0) & 0x80, 0x80);
	/* buffers of 256 bytes, no check sequence: four for 1000 bytes */
	wr(g, 0x100, 0x04038002);
	assert_true(nic_rig_arrive(g, p, 1000));
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(ld_le16(rx_desc(g, i) + 8), i < 4 ? 256 : 232);
		assert_int_equal(rx_desc(g, i)[12], i < 4 ? 0x01 : 0x07);
		assert_memory_equal(ram(g->h, RXBUF + i * 0x4000), p + (i - 1) * 256,
				    i < 4 ? 256 : 232);
	}
	/* two descriptors are left: not enough for a long one, which waits; a frame that is pushed
	 * all the same is missed (SDM 13.7.5) and told of by RXO */
	(void)rd(g, 0xc0);
	assert_false(nic_rig_arrive(g, p, 1000));
	g->net->h.receive(g->net->h.ctx, p, 1000);
	assert_int_equal(rd(g, 0xc0) & 0x40, 0x40);
	assert_int_equal(rd(g, 0x4010), 1);
	/* SDM 3.2.9: checksums */
	rx_up(g, 0x8002);
	wr(g, 0x2818, 7);
	wr(g, 0x5000, 0x300);
	unsigned len = nic_rig_tcp(p, 200);
	memcpy(p, nic_rig_mac, 6);
	assert_true(nic_rig_arrive(g, p, len));
	assert_int_equal(rx_desc(g, 0)[12], 0x63);
	assert_int_equal(rx_desc(g, 0)[13], 0x60); /* both wrong */
	st_be16(p + 24, (uint16_t)~fold(words(p + 14, 20)));
	st_be16(p + 50, (uint16_t)~fold(words(p + 34, 220) + words(p + 26, 8) + 6 + 220));
	assert_true(nic_rig_arrive(g, p, len));
	assert_int_equal(rx_desc(g, 1)[13], 0);
	/* delayed: RDTR and RADV (SDM 13.4.30, 13.4.32) */
	(void)rd(g, 0xc0);
	wr(g, 0x2820, 100);
	wr(g, 0x282c, 150);
	assert_true(nic_rig_arrive(g, p, len));
	harness_step(g->h, 100000);
	assert_true(nic_rig_arrive(g, p, len));
	assert_int_equal(rd(g, 0xc0) & 0x80, 0);
	harness_check_state_roundtrip(g->dev);
	harness_step(g->h, 153600 - 100000);
	assert_int_equal(rd(g, 0xc0) & 0x80, 0x80);
	/* SDM 13.4.18: throttled; 1000 units of 256 ns */
	wr(g, 0x2820, 0);
	wr(g, 0xc4, 1000);
	assert_true(nic_rig_arrive(g, p, len));
	assert_true(g->irq);
	(void)rd(g, 0xc0);
	assert_true(nic_rig_arrive(g, p, len));
	assert_false(g->irq);
	harness_check_state_roundtrip(g->dev);
	harness_step(g->h, 256000);
	assert_true(g->irq);
	nic_rig_free(g);
}

/* Does a frame for @dst arrive? */
static bool arrives(struct nic_rig *g, const void *dst, uint32_t rctl, size_t len)
{
	rx_up(g, rctl);
	wr(g, 0x2818, 7);
	memcpy(g->frame, dst, 6);
	assert_true(nic_rig_arrive(g, g->frame, len));
	return rd(g, 0x2810) != 0;
}

/* SDM 13.4.22, 13.5: what comes in */
static void test_filter(void **state)
{
	struct nic_rig *g = rig_new();
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9},
			     multi[6] = {1, 0, 0x5e, 0x12, 0x34, 0x56};

	assert_true(arrives(g, nic_rig_mac, 0x2, 60));
	assert_false(arrives(g, other, 0x2, 60));
	assert_true(arrives(g, other, 0xa, 60)); /* UPE */
	assert_false(arrives(g, "\xff\xff\xff\xff\xff\xff", 0x2, 60));
	assert_true(arrives(g, "\xff\xff\xff\xff\xff\xff", 0x8002, 60)); /* BAM */
	assert_false(arrives(g, multi, 0xa, 60));
	assert_true(arrives(g, multi, 0x12, 60)); /* MPE */
	for (unsigned mo = 0; mo < 4; mo++) {     /* MO: which bits of the address */
		static const unsigned shift[4] = {4, 3, 2, 0};
		unsigned n = (0x5634u >> shift[mo]) & 0xfff;

		assert_false(arrives(g, multi, 0x2 | mo << 12, 60));
		wr(g, 0x5200 + (n >> 5) * 4, 1u << (n & 31));
		assert_true(arrives(g, multi, 0x2 | mo << 12, 60));
		assert_int_equal(rx_desc(g, 0)[12] & 0x80, 0x80); /* PIF */
		wr(g, 0x5200 + (n >> 5) * 4, 0);
	}
	wr(g, 0x5478, 0x00000002); /* the last receive address */
	wr(g, 0x547c, 0x80000900);
	assert_true(arrives(g, other, 0x2, 60));
	/* long ones: LPE */
	assert_false(arrives(g, other, 0x2, 1515));
	assert_true(arrives(g, other, 0x22, 1515));
	/* SDM 9: VLAN filter and stripping */
	st_be32(g->frame + 12, 0x81000123);
	assert_false(arrives(g, other, 0x40002, 64));
	wr(g, 0x5600 + 9 * 4, 8); /* VFTA: bit 3 of word 9 is VLAN 123h */
	assert_true(arrives(g, other, 0x40002, 64));
	assert_int_equal(ld_le16(rx_desc(g, 0) + 8), 68);
	wr(g, 0, 0x40000241); /* VME */
	assert_true(arrives(g, other, 0x40002, 1518));
	assert_int_equal(ld_le16(rx_desc(g, 0) + 8), 1518);
	assert_int_equal(rx_desc(g, 0)[12] & 8, 8);
	assert_int_equal(ld_le16(rx_desc(g, 0) + 14), 0x123);
	assert_memory_equal(ram(g->h, RXBUF) + 12, g->frame + 16, 1000);
	harness_check_state_roundtrip(g->dev);
	/* no bus mastering: nothing arrives, nothing breaks */
	nic_rig_cfg(g, PCI_COMMAND, 2, 3);
	assert_false(arrives(g, other, 0xa, 64));
	nic_rig_free(g);
}

/* Loopback, rings over each other, and much at once. */
static void test_bounds(void **state)
{
	struct nic_rig *g = rig_new();

	rx_up(g, 0x80c2);
	wr(g, 0x2818, 7);
	tx_up(g);
	memcpy(ram(g->h, BUF), g->frame, 100);
	desc(g, 0, BUF, 0x0b000000 | 100, 0);
	wr(g, 0x3818, 1);
	assert_int_equal(g->net->sent, 0);
	assert_int_equal(rd(g, 0x2810), 1);
	assert_memory_equal(ram(g->h, RXBUF), g->frame, 100);
	/* a ring of 65536 descriptors that all lie in one buffer: in several turns */
	wr(g, 0x100, 0);
	wr(g, 0x3800, 0x200000);
	wr(g, 0x3808, 0xfff80);
	for (unsigned i = 0; i < 0xfff8; i++) {
		uint8_t *d = ram(g->h, 0x200000 + 16 * i);

		st_le64(d, 0x200000);
		st_le32(d + 8, 0x0b000000 | 64);
		st_le32(d + 12, 0);
	}
	wr(g, 0x3810, 0);
	wr(g, 0x3818, 0xfff7);
	assert_in_range(rd(g, 0x3810), 500, 600);
	harness_check_state_roundtrip(g->dev);
	for (unsigned i = 0; i < 200 && rd(g, 0x3810) != 0xfff7; i++)
		harness_step(g->h, NS_PER_MS / 10);
	assert_int_equal(rd(g, 0x3810), 0xfff7);
	/* the ring is its own receive ring and its own data */
	wr(g, 0x100, 0x80c2);
	wr(g, 0x2800, 0x200000);
	wr(g, 0x2808, 0x1000);
	wr(g, 0x2818, 255);
	wr(g, 0x3818, 0xfff6);
	for (unsigned i = 0; i < 200; i++)
		harness_step(g->h, NS_PER_MS / 10);
	harness_check_state_roundtrip(g->dev);
	nic_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_offload),   cmocka_unit_test(test_receive),
		cmocka_unit_test(test_filter),    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
