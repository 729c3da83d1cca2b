/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realtek RTL8139C fast Ethernet controller: registers, receive ring, four transmit descriptors,
 * timer. RTL8139C(L) data sheet rev. 1.4 ("RTL") and RTL8139C(L)+ data sheet rev. 1.6 ("RTL+"); C+
 * mode is in rtl8139_cp.c.
 *
 *   BAR 0: I/O, BAR 1: memory; both the same 256 bytes, bytes, words or dwords:
 *   00h IDR · 08h MAR · 10h TSD0-3 · 20h TSAD0-3 · 30h RBSTART · 37h CR · 38h CAPR · 3ah CBR ·
 *   3ch IMR · 3eh ISR · 40h TCR · 44h RCR · 48h TCTR · 4ch MPC · 50h 9346CR · 51h CONFIG0, 1 ·
 *   54h TimerInt · 58h MSR, CONFIG3, 4 · 5ch MULINT · 60h TSAD · 62h BMCR.. · 74h CSCR ·
 *   84h wake-up · d8h CONFIG5 · C+: d9h TPPoll, e0h CPCR, e4h RDSAR, ech ETThR
 *
 * An access of any width is taken apart into registers; a register of which only some bytes are
 * written keeps the others. The receive ring gets each frame behind four bytes of status and
 * length, with its check sequence, dword aligned. A frame that does not fit waits in the back end.
 *
 * UNMODELLED: wake-up and power management, VPD, boot ROM register, cable diagnosis and twister
 * registers (hold what is written), 10 Mb/s, early transmit and receive thresholds (frames move as
 * a whole), flow control.
 */
#include "device/net/rtl8139.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "device/net/rtl8139_internal.h"
#include "device/ticks.h"

enum { REGS = 0x100, TIMER_HZ = 33000000 };

enum reg_id {
	R_IDR,
	R_MAR,
	R_TSD,
	R_TSAD,
	R_RBSTART,
	R_ERSR,
	R_CR,
	R_CAPR,
	R_CBR,
	R_IMR,
	R_ISR,
	R_TCR,
	R_RCR,
	R_TCTR,
	R_MPC,
	R_9346CR,
	R_CONFIG,
	R_TIMERINT,
	R_MSR,
	R_HLTCLK,
	R_MULINT,
	R_RERID,
	R_TSAD_ALL,
	R_BMCR,
	R_BMSR,
	R_ANAR,
	R_ANLPAR,
	R_ANER,
	R_NWAYTR,
	R_CSCR,
	R_PHY1,
	R_TW,
	R_PHY2,
	R_WAKE,
	R_TPPOLL,
	R_CPCR,
	R_RDSAR,
	R_ETTHR,
};

/* Where registers stand: @n of @size bytes from @at on. */
/* clang-format off */
static const struct reg {
	uint8_t at, size, n;
	enum reg_id id;
} regs[] = {
	{0x3e, 2, 1, R_ISR}, {0x3c, 2, 1, R_IMR}, {0x37, 1, 1, R_CR}, {0x38, 2, 1, R_CAPR},
	{0x10, 4, 4, R_TSD}, {0x20, 4, 4, R_TSAD}, {0xd9, 1, 1, R_TPPOLL}, {0x3a, 2, 1, R_CBR},
	{0x00, 1, 6, R_IDR}, {0x08, 1, 8, R_MAR}, {0x30, 4, 1, R_RBSTART}, {0x36, 1, 1, R_ERSR},
	{0x40, 4, 1, R_TCR}, {0x44, 4, 1, R_RCR}, {0x48, 4, 1, R_TCTR}, {0x4c, 4, 1, R_MPC},
	{0x50, 1, 1, R_9346CR}, {0x51, 1, 2, R_CONFIG}, {0x54, 4, 1, R_TIMERINT}, {0x58, 1, 1, R_MSR},
	{0x59, 1, 2, R_CONFIG}, {0x5b, 1, 1, R_HLTCLK}, {0x5c, 2, 1, R_MULINT}, {0x5e, 1, 1, R_RERID},
	{0x60, 2, 1, R_TSAD_ALL}, {0x62, 2, 1, R_BMCR}, {0x64, 2, 1, R_BMSR}, {0x66, 2, 1, R_ANAR},
	{0x68, 2, 1, R_ANLPAR}, {0x6a, 2, 1, R_ANER}, {0x70, 2, 1, R_NWAYTR}, {0x74, 2, 1, R_CSCR},
	{0x78, 4, 1, R_PHY1}, {0x7c, 4, 1, R_TW}, {0x80, 1, 1, R_PHY2}, {0x84, 1, 0x50, R_WAKE},
	{0xd8, 1, 1, R_CONFIG}, {0xe0, 2, 1, R_CPCR}, {0xe4, 4, 2, R_RDSAR}, {0xec, 1, 1, R_ETTHR},
};
/* clang-format on */

enum {
	TSD_SIZE = 0x1fff,
	TSD_OWN = 1 << 13,
	TSD_TUN = 1 << 14,
	TSD_TOK = 1 << 15,
	TSD_THRESHOLD = 0x3f0000,
	TSD_TABT = 1 << 30,
	RCR_AAP = 0x01,
	RCR_APM = 0x02,
	RCR_AM = 0x04,
	RCR_AB = 0x08,
	RCR_WRAP = 0x80,
	RX_ROK = 0x0001,
	RX_BAR = 0x2000,
	RX_PAM = 0x4000,
	RX_MAR = 0x8000,
	CAPR_AHEAD = 16, /* RTL, 5.9: CAPR points so much before what is read next */
	EEM_MODE = 0xc0,
	EEM_LOAD = 0x40,
	EEM_PROGRAM = 0x80,
	EEM_CONFIG = 0xc0,
	EECS = 0x08,
	EESK = 0x04,
	EEDI = 0x02,
	EEDO = 0x01,
	MSR_LINKB = 0x04,
	BMCR_RESET = 0x8000,
	BMCR_RESTART = 0x0200,
	FRAME_MAX = 1792, /* RTL, 6.1: longest frame of a descriptor */
	RX_LEN_MAX = 4096,
	MPC_MASK = 0xffffff,
};
/* RTL, 5.4: hardware version; writable bits of TCR. */
#define VERSION_C      0x74000000u
#define VERSION_C_PLUS 0x74800000u
#define TCR_MASK       0x030707f0u
#define RCR_MASK       0x0f03ffffu

/* ------------------------------------------------------------------ interrupts, timer */

static void update_irq(struct rtl8139 *t)
{
	pci_intx_set(&t->f, t->s.isr & t->s.imr & ISR_MASK);
}

void rtl8139_cause(struct rtl8139 *t, uint16_t bits)
{
	t->s.isr |= bits & ISR_MASK;
	update_irq(t);
}

static uint64_t timer_ticks(const struct rtl8139 *t)
{
	return ticks_at(clock_now(t->dev.sv->clock) - t->s.timer_ns, TIMER_HZ);
}

/* RTL, 5.21: TimeOut when TCTR comes to be TimerInt; 0 switches it off. */
static void arm_timer(struct rtl8139 *t)
{
	uint64_t now = timer_ticks(t), at;

	if (!t->s.timer_int) {
		vtimer_cancel(&t->timer);
		return;
	}
	at = (now & ~0xffffffffull) + t->s.timer_int;
	if (at <= now)
		at += BIT(32);
	vtimer_arm(&t->timer, t->s.timer_ns + ticks_to_ns(at, TIMER_HZ));
}

static void on_timer(void *ctx)
{
	struct rtl8139 *t = ctx;

	rtl8139_cause(t, ISR_TIMEOUT);
	arm_timer(t);
}

static void on_tx_timer(void *ctx)
{
	rtl8139_cp_transmit(ctx);
}

static void on_rx_timer(void *ctx)
{
	nic_poll(&((struct rtl8139 *)ctx)->nic);
}

/* ------------------------------------------------------------------ transmit */

void rtl8139_send(struct rtl8139 *t, const uint8_t *frame, size_t len)
{
	t->s.tx_ok++;
	if ((t->s.tcr & TCR_LOOPBACK) == TCR_LOOPBACK)
		nic_loop(&t->nic, frame, len);
	else
		nic_send(&t->nic, frame, len);
}

/* RTL, 5.2: the descriptors by turns, while the driver has given one. Each is given back, so that
 * there are at most four. */
static void transmit(struct rtl8139 *t)
{
	if (!(t->s.cr & CR_TE) || !pci_bus_master(&t->f))
		return;
	for (unsigned i = 0; i < 4 && !(t->s.tsd[t->s.tx_next] & TSD_OWN); i++) {
		uint32_t *tsd = &t->s.tsd[t->s.tx_next];
		size_t len = *tsd & TSD_SIZE;
		uint32_t from = t->s.tsad[t->s.tx_next];

		*tsd |= TSD_OWN;
		t->s.tx_next = (t->s.tx_next + 1) & 3;
		if (len < 14 || len > FRAME_MAX || dma_read(&t->dev, from, t->buf, len) < 0) {
			guest_error(&t->dev, "transmit of %zu bytes at %#x", len, from);
			*tsd |= TSD_TABT;
			rtl8139_cause(t, ISR_TER);
			continue;
		}
		rtl8139_send(t, t->buf, len);
		*tsd |= TSD_TOK;
		rtl8139_cause(t, ISR_TOK);
	}
}

/* ------------------------------------------------------------------ receive */

bool rtl8139_receiver(const struct rtl8139 *t)
{
	return (t->s.cr & CR_RE) && pci_bus_master(&t->f);
}

static uint32_t ring_size(const struct rtl8139 *t)
{
	return 8192u << (t->s.rcr >> 11 & 3);
}

/* Bytes of the ring that the driver has read or that were never used. */
static uint32_t ring_room(const struct rtl8139 *t)
{
	uint32_t size = ring_size(t), read = (t->s.capr + CAPR_AHEAD) & 0xffff;

	/* equal: empty */
	return (read - t->s.cbr - 1) % size + 1;
}

static bool can_receive(struct dev *d)
{
	struct rtl8139 *t = to_rtl8139(d);

	/* With the receiver off the wire is still there: frames come in and are lost. */
	if (!rtl8139_receiver(t))
		return true;
	if (t->s.cpcr & CPCR_RX)
		return rtl8139_cp_can_receive(t);
	if (ring_room(t) > 4 + NIC_FRAME_STD + 4 + NIC_FCS + 4)
		return true;
	/* Drivers may acknowledge ROK with frames left in the ring, which the next frame would tell
	 * them of. It waits for the driver, so it is told now. */
	rtl8139_cause(t, ISR_ROK);
	return false;
}

/* RTL, 5.7 */
static bool wanted(const struct rtl8139 *t, const uint8_t *dst)
{
	unsigned hash;

	if (nic_is_broadcast(dst))
		return t->s.rcr & RCR_AB;
	if (dst[0] & 1) {
		hash = nic_hash6(dst);
		return (t->s.rcr & RCR_AM) && (t->s.mar[hash >> 3] >> (hash & 7) & 1);
	}
	return (t->s.rcr & RCR_AAP) || ((t->s.rcr & RCR_APM) && !memcmp(dst, t->s.idr, 6));
}

/* Bytes into the ring at @*at, which moves on. */
static bool ring_put(struct rtl8139 *t, uint32_t *at, const uint8_t *p, size_t len)
{
	uint32_t size = ring_size(t);
	/* RTL, 5.7, WRAP: the buffer goes on behind the ring; of 64 KiB it never does */
	bool on = (t->s.rcr & RCR_WRAP) && size < 65536;
	size_t n = on ? len : MIN(len, (size_t)(size - *at % size));

	if (!on)
		*at %= size;
	if (dma_write(&t->dev, (gpa_t)t->s.rbstart + *at, p, n) < 0 ||
	    (n < len && dma_write(&t->dev, t->s.rbstart, p + n, len - n) < 0)) {
		guest_error(&t->dev, "receive ring at %#x is not in memory", t->s.rbstart);
		return false;
	}
	*at += (uint32_t)len;
	return true;
}

static void ring_receive(struct rtl8139 *t, const uint8_t *frame, size_t len)
{
	uint32_t at = t->s.cbr + 4u, header = t->s.cbr, stored;
	uint8_t fcs[NIC_FCS], head[4];

	stored = (uint32_t)align_up(4 + len + NIC_FCS, 4);
	if (len > RX_LEN_MAX || stored >= ring_room(t)) {
		t->s.mpc = (t->s.mpc + 1) & MPC_MASK;
		rtl8139_cause(t, ISR_RXOVW);
		return;
	}
	st_le16(head, (uint16_t)(RX_ROK | (nic_is_broadcast(frame)       ? RX_BAR
					   : frame[0] & 1                ? RX_MAR
					   : !memcmp(frame, t->s.idr, 6) ? RX_PAM
									 : 0)));
	st_le16(head + 2, (uint16_t)(len + NIC_FCS));
	st_le32(fcs, nic_fcs(frame, len));
	if (!ring_put(t, &at, frame, len) || !ring_put(t, &at, fcs, NIC_FCS) ||
	    !ring_put(t, &header, head, 4))
		return;
	t->s.cbr = (uint16_t)((t->s.cbr + stored) % ring_size(t));
	rtl8139_cause(t, ISR_ROK);
}

static void receive(struct dev *d, const uint8_t *frame, size_t len)
{
	struct rtl8139 *t = to_rtl8139(d);

	if (!rtl8139_receiver(t) || !wanted(t, frame))
		return;
	t->s.rx_ok++;
	if (nic_is_broadcast(frame))
		t->s.rx_broadcast++;
	else if (frame[0] & 1)
		t->s.rx_multicast++;
	else
		t->s.rx_phys++;
	if (t->s.cpcr & CPCR_RX)
		rtl8139_cp_receive(t, frame, len);
	else
		ring_receive(t, frame, len);
}

/* ------------------------------------------------------------------ registers */

/* RTL, 5.3, RST. The addresses stay. */
static void soft_reset(struct rtl8139 *t)
{
	t->s.cr = 0;
	t->s.imr = t->s.isr = t->s.mulint = 0;
	for (unsigned i = 0; i < 4; i++) {
		t->s.tsd[i] = TSD_OWN;
		t->s.tsad[i] = 0;
	}
	t->s.tx_next = t->s.tx_poll = 0;
	t->s.rbstart = 0;
	t->s.cbr = 0;
	t->s.capr = (uint16_t)-CAPR_AHEAD;
	t->s.tcr = 0x03000000;
	t->s.rcr = 0;
	t->s.mpc = 0;
	t->s.timer_int = 0;
	t->s.cpcr = 0;
	t->s.cp_tx[0] = t->s.cp_tx[1] = t->s.cp_rx = 0;
	t->s.etthr = 0;
	vtimer_cancel(&t->tx_timer);
	vtimer_cancel(&t->rx_timer);
	arm_timer(t);
	update_irq(t);
}

static void load_eeprom(struct rtl8139 *t)
{
	memset(t->s.idr, 0, sizeof(t->s.idr));
	for (unsigned i = 0; i < 3; i++)
		st_le16(t->s.idr + 2 * i, t->s.eeprom.word[7 + i]);
}

static void phy_reset(struct rtl8139 *t)
{
	t->s.bmcr = 0x3100; /* 100 Mb/s, autonegotiation, full duplex */
	t->s.anar = 0x05e1;
	t->s.nwaytr = 0;
	t->s.cscr = 0x03c0;
}

/* RTL, 5.11: OWN, TABT, TUN, TOK of all four */
static uint32_t tsad_all(const struct rtl8139 *t)
{
	static const uint32_t bits[4] = {TSD_OWN, TSD_TABT, TSD_TUN, TSD_TOK};
	uint32_t v = 0;

	for (unsigned i = 0; i < 16; i++)
		if (t->s.tsd[i & 3] & bits[i >> 2])
			v |= 1u << i;
	return v;
}

/* CONFIG0, 1, 3, 4, 5 by address. */
static unsigned config_at(unsigned at)
{
	return at == 0xd8 ? 5 : at >= 0x59 ? at - 0x59 + 3 : at - 0x51;
}

static uint32_t read_mii(const struct rtl8139 *t, enum reg_id id)
{
	bool link = t->nic.link_up;

	switch (id) {
	case R_BMCR: return t->s.bmcr;
	case R_BMSR: return 0x7809 | (link ? 0x24 : 0); /* link, autonegotiation done */
	case R_ANAR: return t->s.anar;
	case R_ANLPAR: return link ? 0x45e1 : 0;
	case R_ANER: return link ? 1 : 0;
	case R_NWAYTR: return t->s.nwaytr;
	case R_CSCR: return t->s.cscr | (link ? 0x0400 : 0);
	default: return 0;
	}
}

static uint32_t read_plus(const struct rtl8139 *t, enum reg_id id, unsigned n)
{
	if (t->plain)
		return 0;
	switch (id) {
	case R_TPPOLL: return t->s.tx_poll;
	case R_CPCR: return t->s.cpcr;
	case R_RDSAR: return (uint32_t)(t->s.rdsar >> (n ? 32 : 0));
	case R_ETTHR: return t->s.etthr;
	default: return 0;
	}
}

static bool in_cplus(const struct rtl8139 *t)
{
	return t->s.cpcr & (CPCR_TX | CPCR_RX);
}

/* TSD0 to 3; in C+ mode DTCCR is in the place of the first two. */
static uint32_t read_tsd(const struct rtl8139 *t, unsigned n)
{
	if (in_cplus(t))
		return n < 2 ? (uint32_t)(t->s.dtccr >> (n ? 32 : 0)) : 0;
	return t->s.tsd[n];
}

static uint32_t read_9346(struct rtl8139 *t)
{
	uint8_t v = t->s.cr9346;
	bool out;

	if ((v & EEM_MODE) != EEM_PROGRAM)
		return v;
	out = nic_eeprom_pins(&t->s.eeprom, v & EECS, v & EESK, v & EEDI);
	return (v & ~(uint32_t)EEDO) | (out ? EEDO : 0);
}

static uint32_t read_reg(struct rtl8139 *t, const struct reg *r, unsigned n)
{
	switch (r->id) {
	case R_IDR: return t->s.idr[n];
	case R_MAR: return t->s.mar[n];
	case R_TSD: return read_tsd(t, n);
	case R_TSAD: return t->s.tsad[n];
	case R_RBSTART: return t->s.rbstart;
	case R_CR: return t->s.cr | (ring_room(t) == ring_size(t) ? CR_BUFE : 0);
	case R_CAPR: return t->s.capr;
	case R_CBR: return t->s.cbr;
	case R_IMR: return t->s.imr;
	case R_ISR: return t->s.isr;
	case R_TCR: return t->s.tcr | (t->plain ? VERSION_C : VERSION_C_PLUS);
	case R_RCR: return t->s.rcr;
	case R_TCTR: return (uint32_t)timer_ticks(t);
	case R_MPC: return t->s.mpc;
	case R_9346CR: return read_9346(t);
	case R_CONFIG: return t->s.config[config_at(r->at + n)];
	case R_TIMERINT: return t->s.timer_int;
	case R_MSR: return t->s.msr | (t->nic.link_up ? 0 : MSR_LINKB);
	case R_MULINT: return t->s.mulint;
	case R_TSAD_ALL: return tsad_all(t);
	case R_PHY1: return t->s.phy1;
	case R_TW: return t->s.tw;
	case R_PHY2: return t->s.phy2;
	case R_WAKE: return t->s.wake[n];
	case R_TPPOLL:
	case R_CPCR:
	case R_RDSAR:
	case R_ETTHR: return read_plus(t, r->id, n);
	default: return read_mii(t, r->id);
	}
}

static void write_cr(struct rtl8139 *t, uint8_t val)
{
	uint8_t was = t->s.cr;

	if (val & CR_RST) {
		soft_reset(t);
		return;
	}
	t->s.cr = val & (CR_RE | CR_TE);
	if (!(was & CR_RE) && (val & CR_RE)) {
		t->s.cbr = t->s.cp_rx = 0;
		t->s.capr = (uint16_t)-CAPR_AHEAD;
	}
	if (!(was & CR_TE) && (val & CR_TE)) {
		t->s.tx_next = 0;
		t->s.cp_tx[0] = t->s.cp_tx[1] = 0;
	}
	nic_poll(&t->nic);
	if (in_cplus(t))
		rtl8139_cp_transmit(t);
	else
		transmit(t);
}

static void write_9346(struct rtl8139 *t, uint8_t val)
{
	t->s.cr9346 = val & (EEM_MODE | EECS | EESK | EEDI);
	if ((val & EEM_MODE) == EEM_LOAD) { /* RTL, 5.14: then back to normal */
		load_eeprom(t);
		t->s.cr9346 = 0;
	} else if ((val & EEM_MODE) == EEM_PROGRAM) {
		nic_eeprom_pins(&t->s.eeprom, val & EECS, val & EESK, val & EEDI);
	}
}

/* Bits of the configuration registers that can be written, with EEM = 11b (RTL, 5.15 to 5.20). */
static void write_config(struct rtl8139 *t, unsigned n, uint8_t val)
{
	static const uint8_t mask[6] = {0x00, 0xf3, 0x00, 0x6d, 0xf5, 0x73};

	if ((t->s.cr9346 & EEM_MODE) == EEM_CONFIG)
		t->s.config[n] = (uint8_t)((t->s.config[n] & ~mask[n]) | (val & mask[n]));
}

static void write_tsd(struct rtl8139 *t, unsigned n, uint32_t val)
{
	if (!in_cplus(t)) {
		t->s.tsd[n] = val & (TSD_SIZE | TSD_OWN | TSD_THRESHOLD);
		transmit(t);
	} else if (n == 1) {
		t->s.dtccr = (t->s.dtccr & 0xffffffff) | (uint64_t)val << 32;
	} else if (n == 0) {
		t->s.dtccr = (t->s.dtccr & ~0xffffffffull) | (val & ~63u);
		if (val & 8) /* RTL+, 6.3: Cmd, which clears itself */
			rtl8139_cp_tally(t);
	}
}

static void write_plus(struct rtl8139 *t, enum reg_id id, unsigned n, uint32_t val)
{
	if (t->plain)
		return;
	switch (id) {
	case R_TPPOLL:
		t->s.tx_poll |= val & 0xc0;
		if (val & 1)
			rtl8139_cause(t, ISR_SWINT);
		rtl8139_cp_transmit(t);
		break;
	case R_CPCR:
		t->s.cpcr = val & 0x027f;
		nic_poll(&t->nic);
		break;
	case R_RDSAR:
		t->s.rdsar = n ? (t->s.rdsar & 0xffffffff) | (uint64_t)val << 32
			       : (t->s.rdsar & ~0xffffffffull) | (val & ~255u);
		t->s.cp_rx = 0;
		break;
	case R_ETTHR: t->s.etthr = val & 0x3f; break;
	default: break;
	}
}

static void write_mii(struct rtl8139 *t, enum reg_id id, uint16_t val)
{
	switch (id) {
	case R_BMCR:
		if (val & BMCR_RESET) {
			phy_reset(t);
			break;
		}
		t->s.bmcr = val & 0x3100;
		if (val & BMCR_RESTART) /* done at once */
			rtl8139_cause(t, ISR_LINK);
		break;
	case R_ANAR: t->s.anar = val & 0x2fff; break;
	case R_NWAYTR: t->s.nwaytr = val & 0x87; break;
	case R_CSCR: t->s.cscr = val & 0xfbc7; break;
	default: break;
	}
}

static void write_reg(struct rtl8139 *t, const struct reg *r, unsigned n, uint32_t val)
{
	switch (r->id) {
	case R_IDR: t->s.idr[n] = (uint8_t)val; break;
	case R_MAR: t->s.mar[n] = (uint8_t)val; break;
	case R_TSD: write_tsd(t, n, val); break;
	case R_TSAD: /* in C+ mode TNPDS and THPDS, two dwords each */
		t->s.tsad[n] = val;
		if (in_cplus(t) && !(n & 1))
			t->s.cp_tx[n / 2] = 0;
		break;
	case R_RBSTART: t->s.rbstart = val & ~3u; break;
	case R_CR: write_cr(t, (uint8_t)val); break;
	case R_CAPR:
		t->s.capr = (uint16_t)val;
		nic_poll(&t->nic);
		break;
	case R_IMR:
		t->s.imr = val & ISR_MASK;
		nic_poll(&t->nic);
		break;
	case R_ISR: t->s.isr &= (uint16_t)~val; break;
	case R_TCR: t->s.tcr = val & TCR_MASK; break;
	case R_RCR:
		t->s.rcr = val & RCR_MASK;
		t->s.cbr = (uint16_t)(t->s.cbr % ring_size(t));
		break;
	case R_TCTR:
		t->s.timer_ns = clock_now(t->dev.sv->clock);
		arm_timer(t);
		break;
	case R_MPC: t->s.mpc = 0; break;
	case R_9346CR: write_9346(t, (uint8_t)val); break;
	case R_CONFIG: write_config(t, config_at(r->at + n), (uint8_t)val); break;
	case R_TIMERINT:
		t->s.timer_int = val;
		arm_timer(t);
		break;
	case R_MSR: t->s.msr = val & 0xc0; break;
	case R_MULINT: t->s.mulint = val & 0x0fff; break;
	case R_PHY1: t->s.phy1 = val; break;
	case R_TW: t->s.tw = val; break;
	case R_PHY2: t->s.phy2 = (uint8_t)val; break;
	case R_WAKE: t->s.wake[n] = (uint8_t)val; break;
	case R_TPPOLL:
	case R_CPCR:
	case R_RDSAR:
	case R_ETTHR: write_plus(t, r->id, n, val); break;
	default: write_mii(t, r->id, (uint16_t)val);
	}
	update_irq(t);
}

/* The register that has byte @at. */
static const struct reg *find_reg(uint64_t at)
{
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		if (at >= regs[i].at && at < regs[i].at + (unsigned)regs[i].size * regs[i].n)
			return &regs[i];
	return NULL;
}

static uint64_t io_read(void *ctx, uint64_t off, unsigned size)
{
	struct rtl8139 *t = ctx;
	uint64_t val = 0;

	for (unsigned i = 0; i < size;) {
		const struct reg *r = find_reg(off + i);
		unsigned in, n;

		if (!r) {
			i++;
			continue;
		}
		in = (unsigned)(off + i - r->at) % r->size;
		n = MIN(r->size - in, size - i);
		val |= (read_reg(t, r, (unsigned)(off + i - r->at) / r->size) >> 8 * in &
			mask_bytes(n))
		       << 8 * i;
		i += n;
	}
	return val;
}

static void io_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct rtl8139 *t = ctx;

	for (unsigned i = 0; i < size;) {
		const struct reg *r = find_reg(off + i);
		unsigned in, n, k;
		uint64_t v, mask;

		if (!r) {
			i++;
			continue;
		}
		in = (unsigned)(off + i - r->at) % r->size;
		k = (unsigned)(off + i - r->at) / r->size;
		n = MIN(r->size - in, size - i);
		mask = mask_bytes(n) << 8 * in;
		v = val >> 8 * i << 8 * in & mask;
		/* what is not written stays, and of ISR nothing is cleared */
		if (n < r->size && r->id != R_ISR)
			v |= read_reg(t, r, k) & ~mask;
		write_reg(t, r, k, (uint32_t)v);
		i += n;
	}
}

/* ------------------------------------------------------------------ life cycle */

static void on_link(struct dev *d, bool up)
{
	rtl8139_cause(to_rtl8139(d), ISR_LINK);
}

/* RTL, table 6.2 */
static void make_eeprom(struct rtl8139 *t)
{
	struct nic_eeprom *e = &t->s.eeprom;

	memset(e->word, 0, sizeof(e->word));
	e->word[0] = 0x8129;
	e->word[1] = e->word[3] = 0x10ec;
	e->word[2] = e->word[4] = 0x8139;
	nic_eeprom_mac(e, 7, t->mac);
	nic_eeprom_deselect(e);
}

static int add_function(struct rtl8139 *t, struct error *err)
{
	struct pci_ids ids = {.vendor = 0x10ec,
			      .device = 0x8139,
			      .subsystem_vendor = 0x10ec,
			      .subsystem = 0x8139,
			      /* drivers tell the chips apart by this */
			      .revision = t->plain ? 0x10 : 0x20,
			      .cls = 0x0200,
			      .interrupt_pin = 1};
	int r = 0;

	pci_func_init(&t->f, &t->dev, &t->s.pci, &ids);
	t->io = (struct bus_region){.name = "rtl8139",
				    .size = REGS,
				    .valid = WIDTH_124,
				    .read = io_read,
				    .write = io_write,
				    .ctx = t};
	t->mmio = t->io;
	pci_bar_add(&t->f, 0, PCI_BAR_IO, &t->io);
	pci_bar_add(&t->f, 1, PCI_BAR_MEM32, &t->mmio);
	if (t->rom)
		r = pci_rom_add(&t->f, t->rom, t->rom_len, err);
	if (r == 0 && !t->devfn) {
		r = pci_bus_free_slot(t->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", t->dev.id);
		t->devfn = PCI_DEVFN((unsigned)r, 0);
		r = 0;
	}
	return r < 0 ? r : pci_func_add(&t->f, t->bus, t->devfn, err);
}

static int rtl8139_realize(struct dev *d, struct error *err)
{
	static const struct nic_ops ops = {
		.can_receive = can_receive, .receive = receive, .link = on_link};
	struct rtl8139 *t = to_rtl8139(d);
	int r;

	if (!t->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' before realizing", d->id);
	vtimer_init(&t->timer, d->sv->clock, on_timer, t);
	vtimer_init(&t->tx_timer, d->sv->clock, on_tx_timer, t);
	vtimer_init(&t->rx_timer, d->sv->clock, on_rx_timer, t);
	t->buf = xtry_calloc(1, RTL_BUF);
	if (!t->buf)
		return error_set(err, -ENOMEM, "no memory for the frames of '%s'", d->id);
	make_eeprom(t);
	r = add_function(t, err);
	return r < 0 ? r : nic_init(&t->nic, d, &ops, t->net, t->mac, err);
}

static void rtl8139_unrealize(struct dev *d)
{
	struct rtl8139 *t = to_rtl8139(d);
	struct vtimer *timer[] = {&t->timer, &t->tx_timer, &t->rx_timer};

	nic_done(&t->nic);
	for (unsigned i = 0; i < ARRAY_SIZE(timer); i++)
		if (timer[i]->clock)
			vtimer_cancel(timer[i]);
	pci_func_done(&t->f);
	free(t->buf);
	t->buf = NULL;
}

static void rtl8139_reset(struct dev *d, enum dev_reset kind)
{
	struct rtl8139 *t = to_rtl8139(d);

	pci_func_reset(&t->f, kind);
	nic_eeprom_deselect(&t->s.eeprom);
	load_eeprom(t);
	memset(t->s.mar, 0, sizeof(t->s.mar));
	memset(t->s.wake, 0, sizeof(t->s.wake));
	memset(t->s.config, 0, sizeof(t->s.config));
	t->s.config[1] = 0x0c; /* I/O and memory are mapped */
	t->s.config[3] = 0x01;
	t->s.cr9346 = t->s.msr = t->s.phy2 = 0;
	t->s.phy1 = t->s.tw = 0;
	t->s.rdsar = t->s.dtccr = 0;
	t->s.tx_ok = t->s.rx_ok = t->s.rx_phys = t->s.rx_broadcast = 0;
	t->s.rx_multicast = 0;
	t->s.timer_ns = clock_now(d->sv->clock);
	phy_reset(t);
	soft_reset(t);
	nic_poll(&t->nic);
}

static int rtl8139_quiesce(struct dev *d)
{
	nic_stop(&to_rtl8139(d)->nic);
	return 0;
}

static void rtl8139_resume(struct dev *d)
{
	struct rtl8139 *t = to_rtl8139(d);

	nic_go(&t->nic);
	rtl8139_cp_transmit(t);
}

static int rtl8139_loaded(struct dev *d, struct error *err)
{
	struct rtl8139 *t = to_rtl8139(d);
	ns_t now = clock_now(d->sv->clock);
	int r = pci_func_loaded(&t->f, err);

	if (r < 0)
		return r;
	if (t->plain && t->s.cpcr)
		return error_set(err, -EINVAL, "C+ mode of a card that has none");
	t->s.timer_ns = MIN(t->s.timer_ns, now);
	t->s.isr &= ISR_MASK; /* .max lets others through */
	t->s.cbr = (uint16_t)(t->s.cbr % ring_size(t));
	arm_timer(t);
	if (t->s.tx_poll)
		vtimer_arm(&t->tx_timer, now);
	return 0;
}

/* clang-format off */
static const struct state_field rtl8139_fields[] = {
	STATE_STRUCT(struct rtl8139_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct rtl8139_regs, eeprom, nic_eeprom_fields),
	STATE_VAL(struct rtl8139_regs, timer_ns),
	STATE_VAL(struct rtl8139_regs, rdsar),
	STATE_VAL(struct rtl8139_regs, dtccr),
	STATE_VAL(struct rtl8139_regs, tx_ok),
	STATE_VAL(struct rtl8139_regs, rx_ok),
	STATE_VAL(struct rtl8139_regs, rx_phys),
	STATE_VAL(struct rtl8139_regs, rx_broadcast),
	STATE_VAL(struct rtl8139_regs, rx_multicast),
	STATE_ARRAY(struct rtl8139_regs, tsd),
	STATE_ARRAY(struct rtl8139_regs, tsad),
	STATE_VAL(struct rtl8139_regs, rbstart),
	STATE_VAL(struct rtl8139_regs, tcr, .max = TCR_MASK),
	STATE_VAL(struct rtl8139_regs, rcr, .max = RCR_MASK),
	STATE_VAL(struct rtl8139_regs, timer_int),
	STATE_VAL(struct rtl8139_regs, mpc, .max = MPC_MASK),
	STATE_VAL(struct rtl8139_regs, phy1),
	STATE_VAL(struct rtl8139_regs, tw),
	STATE_VAL(struct rtl8139_regs, cbr),
	STATE_VAL(struct rtl8139_regs, capr),
	STATE_VAL(struct rtl8139_regs, imr, .max = ISR_MASK),
	STATE_VAL(struct rtl8139_regs, isr, .max = ISR_MASK),
	STATE_VAL(struct rtl8139_regs, mulint),
	STATE_VAL(struct rtl8139_regs, bmcr),
	STATE_VAL(struct rtl8139_regs, anar),
	STATE_VAL(struct rtl8139_regs, nwaytr),
	STATE_VAL(struct rtl8139_regs, cscr),
	STATE_VAL(struct rtl8139_regs, cpcr),
	STATE_ARRAY(struct rtl8139_regs, cp_tx, .max = 63),
	STATE_VAL(struct rtl8139_regs, cp_rx, .max = 63),
	STATE_BYTES_OF(struct rtl8139_regs, idr),
	STATE_BYTES_OF(struct rtl8139_regs, mar),
	STATE_BYTES_OF(struct rtl8139_regs, wake),
	STATE_VAL(struct rtl8139_regs, cr, .max = CR_RE | CR_TE),
	STATE_VAL(struct rtl8139_regs, cr9346),
	STATE_BYTES_OF(struct rtl8139_regs, config),
	STATE_VAL(struct rtl8139_regs, msr),
	STATE_VAL(struct rtl8139_regs, phy2),
	STATE_VAL(struct rtl8139_regs, etthr),
	STATE_VAL(struct rtl8139_regs, tx_next, .max = 3),
	STATE_VAL(struct rtl8139_regs, tx_poll),
	STATE_PAD(struct rtl8139_regs, pad_),
	STATE_END};

static const struct state_desc rtl8139_state =
	STATE_DESC("rtl8139", 1, struct rtl8139_regs, rtl8139_fields);
/* clang-format on */

const struct dev_class rtl8139_class = {
	.name = "rtl8139",
	.summary = "RTL8139C+ fast Ethernet",
	.spec = "Realtek RTL8139C(L) rev. 1.4, RTL8139C(L)+ rev. 1.6",
	.size = sizeof(struct rtl8139),
	.regs_offset = offsetof(struct rtl8139, s),
	.state = &rtl8139_state,
	.realize = rtl8139_realize,
	.unrealize = rtl8139_unrealize,
	.reset = rtl8139_reset,
	.quiesce = rtl8139_quiesce,
	.resume = rtl8139_resume,
	.loaded = rtl8139_loaded,
};
