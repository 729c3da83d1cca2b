/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C+ mode of the RTL8139C+: rings of descriptors in both directions, checksum offload, large send,
 * VLAN tags, tally counters (RTL+, chapters 6.3, 8, 9).
 *
 * A packet goes out when all its descriptors, from FS to LS, belong to the card; the driver hands
 * over the first one last, so nothing of a packet needs to be kept. Drivers give receive
 * descriptors back without telling: a frame that finds none waits, and a timer looks again.
 */
#include "base/bits.h"
#include "device/net/rtl8139_internal.h"

/* Descriptors (RTL+, 9.2.1, 9.2.3): bits of the first and second dword. */
enum {
	D_EOR = 1 << 30,
	D_FS = 1 << 29,
	D_LS = 1 << 28,
	TX_LGSEN = 1 << 27,
	TX_IPCS = 1 << 18,
	TX_UDPCS = 1 << 17,
	TX_TCPCS = 1 << 16,
	TX_TAGC = 1 << 17,
	RX_MAR = 1 << 26,
	RX_PAM = 1 << 25,
	RX_BAR = 1 << 24,
	RX_IPF = 1 << 15,
	RX_UDPF = 1 << 14,
	RX_TCPF = 1 << 13,
	RX_SIZE = 0x1fff,
	RX_TAVA = 1 << 16,
};
#define D_OWN 0x80000000u
enum {
	DESC = 16,
	RING_MAX = 64,     /* RTL+, 9.2: descriptors of a ring */
	BUDGET = 256,      /* descriptors in one call */
	FRAMES_MAX = 4096, /* segments of one packet */
	PACKET_MAX = 65535,
};
#define REST_NS  (20 * 1000ull)
#define RETRY_NS NS_PER_MS

/* ------------------------------------------------------------------ transmit */

/* One packet as its descriptors tell. */
struct packet {
	uint32_t first, tag; /* first dword of the first descriptor, second of it */
	size_t len;
	unsigned n; /* descriptors */
	bool bad;
};

static gpa_t desc_at(uint64_t base, unsigned n)
{
	return base + (uint64_t)n * DESC;
}

static uint16_t *tx_at(struct rtl8139 *t, bool high)
{
	return &t->s.cp_tx[high];
}

static unsigned next_at(unsigned at, uint32_t word)
{
	return (word & D_EOR) || at + 1 >= RING_MAX ? 0 : at + 1;
}

/* The packet that begins at the queue's place. False: not all of it is the card's. */
static bool collect(struct rtl8139 *t, uint64_t base, unsigned at, struct packet *p)
{
	*p = (struct packet){0};
	for (; p->n < RING_MAX; p->n++) {
		uint8_t d[DESC] = {0};
		uint32_t word, len;

		if (dma_read(&t->dev, desc_at(base, at), d, DESC) < 0)
			return false;
		word = ld_le32(d);
		if (!(word & D_OWN))
			return false;
		if (!p->n) {
			p->first = word;
			p->tag = ld_le32(d + 4);
		}
		len = word & 0xffff;
		if (len > PACKET_MAX - p->len ||
		    dma_read(&t->dev, ld_le64(d + 8), t->buf + p->len, len) < 0)
			p->bad = true;
		else
			p->len += len;
		at = next_at(at, word);
		if (word & D_LS) {
			p->n++;
			return true;
		}
	}
	p->bad = true; /* a ring without an end */
	return true;
}

static void put_sums(uint8_t *frame, size_t len, uint32_t flags)
{
	struct nic_headers h;

	if (!nic_headers(frame, len, &h))
		return;
	if (flags & TX_IPCS)
		nic_put_ip(frame, &h);
	if (h.l4 && (h.proto == 6 ? flags & TX_TCPCS : flags & TX_UDPCS))
		nic_put_l4(frame, &h);
}

/* Cut a TCP packet (RTL+, 9.2.1, "large send"). */
static void send_large(struct rtl8139 *t, const struct packet *p, unsigned mss)
{
	uint8_t *out = t->buf + RTL_SEGMENT;
	struct nic_headers h;
	struct nic_segment seg = {.tcp = true};
	unsigned head, payload;

	/* the length fields may be those of no packet: make them of this one */
	if (p->len > 38 && ld_be16(t->buf + 12) == 0x0800)
		st_be16(t->buf + 16, (uint16_t)(p->len - 14));
	if (!mss || !nic_headers(t->buf, p->len, &h) || !h.l4 || h.proto != 6 ||
	    (p->len - h.l4) / mss > FRAMES_MAX) {
		guest_error(&t->dev, "large send of something that is no TCP packet");
		return;
	}
	head = h.l4 + h.l4_size;
	payload = h.end - head;
	seg.l3 = h.l3;
	seg.l4 = h.l4;
	seg.v6 = h.v6;
	do {
		unsigned n = MIN(payload - seg.before, mss);
		struct nic_headers each = h;

		memcpy(out, t->buf, head);
		memcpy(out + head, t->buf + head + seg.before, n);
		seg.len = each.end = head + n;
		seg.last = seg.before + n == payload;
		nic_segment(out, &seg);
		nic_put_ip(out, &each);
		nic_put_l4(out, &each);
		rtl8139_send(t, out, seg.len);
		seg.before += n;
		seg.index++;
	} while (seg.before < payload);
}

static void send_packet(struct rtl8139 *t, struct packet *p)
{
	if (p->bad || p->len < 14 || !(p->first & D_FS)) {
		guest_error(&t->dev, "a packet of %zu bytes that cannot be sent", p->len);
		return;
	}
	if ((p->tag & TX_TAGC) && p->len + 4 <= PACKET_MAX) {
		memmove(t->buf + 16, t->buf + 12, p->len - 12);
		st_be16(t->buf + 12, 0x8100);
		st_le16(t->buf + 14, (uint16_t)p->tag); /* as on the wire: swapped */
		p->len += 4;
	}
	if (p->first & TX_LGSEN) {
		send_large(t, p, p->first >> 16 & 0x7ff);
		return;
	}
	put_sums(t->buf, p->len, p->first);
	rtl8139_send(t, t->buf, p->len);
}

/* Give the descriptors of a packet back. */
static void give_back(struct rtl8139 *t, uint64_t base, uint16_t *at, unsigned n)
{
	while (n--) {
		gpa_t where = desc_at(base, *at);
		uint8_t d[4] = {0};

		if (dma_read(&t->dev, where, d, 4) < 0)
			return;
		st_le32(d, ld_le32(d) & ~D_OWN);
		if (dma_write(&t->dev, where, d, 4) < 0)
			return;
		*at = (uint16_t)next_at(*at, ld_le32(d));
	}
}

/* One queue. Return: descriptors worked off; *more: the budget ran out. */
static unsigned run_queue(struct rtl8139 *t, bool high, unsigned budget, bool *more)
{
	const uint32_t *reg = &t->s.tsad[high ? 2 : 0];
	uint64_t base = (reg[0] & ~255u) | (uint64_t)reg[1] << 32;
	uint16_t *at = tx_at(t, high);
	unsigned done = 0;
	struct packet p;

	while (collect(t, base, *at, &p)) {
		if (done >= budget) {
			*more = true;
			return done;
		}
		send_packet(t, &p);
		give_back(t, base, at, p.n);
		done += p.n + (unsigned)(p.len / 1024);
	}
	return done;
}

void rtl8139_cp_transmit(struct rtl8139 *t)
{
	unsigned done = 0;
	bool more = false;

	if (!(t->s.cr & CR_TE) || !(t->s.cpcr & CPCR_TX) || !pci_bus_master(&t->f) ||
	    t->nic.stopped || !t->s.tx_poll)
		return;
	if (t->s.tx_poll & 0x80)
		done = run_queue(t, true, BUDGET, &more);
	if (!more)
		t->s.tx_poll &= 0x7f;
	if (!more && (t->s.tx_poll & 0x40)) {
		done += run_queue(t, false, BUDGET, &more);
		if (!more)
			t->s.tx_poll = 0;
	}
	if (more)
		vtimer_arm(&t->tx_timer, clock_now(t->dev.sv->clock) + REST_NS);
	if (done)
		rtl8139_cause(t, (uint16_t)(ISR_TOK | (more ? 0 : ISR_TDU)));
}

/* ------------------------------------------------------------------ receive */

/* The ring's next descriptor; false: it is not the card's. */
static bool rx_desc(struct rtl8139 *t, uint8_t d[DESC])
{
	return dma_read(&t->dev, desc_at(t->s.rdsar, t->s.cp_rx), d, DESC) == 0 &&
	       (ld_le32(d) & D_OWN);
}

bool rtl8139_cp_can_receive(struct rtl8139 *t)
{
	uint8_t d[DESC];

	if (rx_desc(t, d))
		return true;
	if (!vtimer_armed(&t->rx_timer))
		vtimer_arm(&t->rx_timer, clock_now(t->dev.sv->clock) + RETRY_NS);
	return false;
}

/* RTL+, 9.2.4: what was found out about the checksums. */
static uint32_t check_sums(const struct rtl8139 *t, const uint8_t *frame, size_t len)
{
	struct nic_headers h;
	uint32_t bits = 0;

	if (!(t->s.cpcr & CPCR_RXCHK) || !nic_headers(frame, len, &h) || h.v6)
		return 0;
	if (!nic_good_ip(frame, &h))
		bits |= RX_IPF;
	if (!h.l4)
		return bits | 3 << 16;
	if (h.proto == 6)
		return bits | 1 << 16 | (nic_good_l4(frame, &h) ? 0 : RX_TCPF);
	return bits | 2 << 16 |
	       (!ld_be16(frame + h.l4 + 6) || nic_good_l4(frame, &h) ? 0 : RX_UDPF);
}

/* Up to @room bytes of frame and check sequence from @at on. Return: bytes; <0: not memory. */
static int put_part(struct rtl8139 *t, gpa_t to, size_t room, const uint8_t *frame, size_t len,
		    const uint8_t fcs[NIC_FCS], size_t at)
{
	size_t n = at < len ? MIN(room, len - at) : 0, more;

	if (n && dma_write(&t->dev, to, frame + at, n) < 0)
		return -1;
	more = at + n >= len ? MIN(room - n, len + NIC_FCS - at - n) : 0;
	if (more && dma_write(&t->dev, to + n, fcs + (at + n - len), more) < 0)
		return -1;
	return (int)(n + more);
}

/* Fill descriptors with @frame, its tag taken out already. */
static void put_frame(struct rtl8139 *t, const uint8_t *frame, size_t len, uint32_t bits,
		      uint32_t tag)
{
	size_t total = len + NIC_FCS, at = 0;
	uint8_t fcs[NIC_FCS], d[DESC];

	st_le32(fcs, nic_fcs(frame, len));
	for (unsigned i = 0; i < RING_MAX && at < total; i++) {
		gpa_t where = desc_at(t->s.rdsar, t->s.cp_rx);
		uint32_t word;
		int n;

		if (!rx_desc(t, d)) {
			t->s.mpc = (t->s.mpc + 1) & 0xffffff;
			rtl8139_cause(t, ISR_RXOVW);
			return;
		}
		word = ld_le32(d);
		n = put_part(t, ld_le64(d + 8), word & RX_SIZE, frame, len, fcs, at);
		if (n < 0) {
			guest_error(&t->dev, "receive buffer is not in memory");
			n = (int)(total - at);
		}
		st_le32(d, (word & D_EOR) | bits | (at ? 0 : D_FS) |
				   (at + (size_t)n >= total ? D_LS | (uint32_t)total : 0));
		st_le32(d + 4, tag);
		/* "not the card's any more" comes last */
		if (dma_write(&t->dev, where + 4, d + 4, 4) < 0 ||
		    dma_write(&t->dev, where, d, 4) < 0)
			return;
		t->s.cp_rx = (uint16_t)next_at(t->s.cp_rx, word);
		at += (size_t)n;
	}
	rtl8139_cause(t, ISR_ROK);
}

void rtl8139_cp_receive(struct rtl8139 *t, const uint8_t *frame, size_t len)
{
	uint32_t bits = nic_is_broadcast(frame) ? RX_BAR : frame[0] & 1 ? RX_MAR : RX_PAM, tag = 0;

	if (len > RX_SIZE - NIC_FCS)
		return;
	bits |= check_sums(t, frame, len);
	if ((t->s.cpcr & CPCR_RXVLAN) && ld_be16(frame + 12) == 0x8100) {
		tag = RX_TAVA | ld_le16(frame + 14);
		memcpy(t->buf + RTL_STRIP, frame, 12);
		memcpy(t->buf + RTL_STRIP + 12, frame + 16, len - 16);
		put_frame(t, t->buf + RTL_STRIP, len - 4, bits, tag);
		return;
	}
	put_frame(t, frame, len, bits, 0);
}

/* RTL+, 6.3: 64 bytes */
void rtl8139_cp_tally(struct rtl8139 *t)
{
	uint8_t b[64] = {0};

	st_le64(b, t->s.tx_ok);
	st_le64(b + 8, t->s.rx_ok);
	st_le16(b + 28, (uint16_t)t->s.mpc);
	st_le64(b + 40, t->s.rx_phys);
	st_le64(b + 48, t->s.rx_broadcast);
	st_le32(b + 56, t->s.rx_multicast);
	if (!pci_bus_master(&t->f) || dma_write(&t->dev, t->s.dtccr & ~63ull, b, sizeof(b)) < 0)
		guest_error(&t->dev, "tally counters go to %#llx, which is no memory",
			    (unsigned long long)t->s.dtccr);
}
