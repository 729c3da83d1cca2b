/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive side of the 82540EM: filters, checksum and VLAN offload, the descriptor ring (SDM, 3.2,
 * 9.2 "VLAN", 13.4.22 "RCTL", 13.5 "filter registers").
 */
#include "base/bits.h"
#include "device/net/e1000_internal.h"

/* Status and errors of a descriptor (SDM, 3.2.3.1, 3.2.3.2). */
enum {
	STA_DD = 0x01,
	STA_EOP = 0x02,
	STA_IXSM = 0x04,
	STA_VP = 0x08,
	STA_TCPCS = 0x20,
	STA_IPCS = 0x40,
	STA_PIF = 0x80,
	ERR_TCPE = 0x20,
	ERR_IPE = 0x40,
};
enum { RXCSUM_PCSS = 0xff, RXCSUM_IPOFLD = 0x100, RXCSUM_TUOFLD = 0x200 };
enum { DESC = 16, LONG_MAX = 16384 };
enum wanted { NOT_WANTED, EXACT, INEXACT };

static unsigned buffer_size(const struct e1000 *e)
{
	uint32_t rctl = e->s.reg[R_RCTL];
	unsigned code = rctl >> 16 & 3;

	/* 00 is reserved with BSEX */
	return (rctl & RCTL_BSEX) && code ? 32768u >> code : 2048u >> code;
}

bool e1000_can_receive(struct dev *d)
{
	const struct e1000 *e = to_e1000(d);

	/* With the receiver off the wire is still there: frames come in and are lost. */
	if (!(e->s.reg[R_RCTL] & RCTL_EN) || !pci_bus_master(&e->f))
		return true;
	return (uint64_t)e1000_ring(e, R_RDBAL) * buffer_size(e) >= NIC_FRAME_STD + 4 + NIC_FCS;
}

/* The receive addresses, of which multicast ones are matched too (SDM, 13.5.2). */
static bool in_table(const struct e1000 *e, const uint8_t *dst)
{
	uint32_t low = ld_le32(dst), high = ld_le16(dst + 4);

	for (unsigned i = 0; i < 32; i += 2) {
		uint32_t rah = e->s.ra[i + 1];

		/* AV, and compare with the destination */
		if ((rah & 0x80030000) == 0x80000000 && e->s.ra[i] == low && (rah & 0xffff) == high)
			return true;
	}
	return false;
}

/* SDM, 13.5.1: twelve bits of the address, by RCTL.MO */
static bool in_hash(const struct e1000 *e, const uint8_t *dst)
{
	static const uint8_t shift[4] = {4, 3, 2, 0};
	unsigned n = (unsigned)(dst[4] | dst[5] << 8) >> shift[e->s.reg[R_RCTL] >> 12 & 3] & 0xfff;

	return e->s.mta[n >> 5] >> (n & 31) & 1;
}

static enum wanted filter(const struct e1000 *e, const uint8_t *frame)
{
	uint32_t rctl = e->s.reg[R_RCTL];

	if ((rctl & RCTL_VFE) && ld_be16(frame + 12) == e->s.reg[R_VET]) {
		unsigned tag = ld_be16(frame + 14), vid = tag & 0xfff;

		if (!(e->s.vfta[vid >> 5] >> (vid & 31) & 1))
			return NOT_WANTED;
		if ((rctl & RCTL_CFIEN) && !(tag & 0x1000) != !(rctl & RCTL_CFI))
			return NOT_WANTED;
	}
	if (in_table(e, frame))
		return EXACT;
	if (!(frame[0] & 1))
		return rctl & RCTL_UPE ? EXACT : NOT_WANTED;
	if (nic_is_broadcast(frame) && (rctl & RCTL_BAM))
		return EXACT;
	if (in_hash(e, frame))
		return INEXACT;
	return rctl & RCTL_MPE ? EXACT : NOT_WANTED;
}

/* SDM, 3.2.9: status and errors of the checksums. */
static unsigned check_sums(const struct e1000 *e, const uint8_t *frame, size_t len, uint8_t *errors)
{
	uint32_t rxcsum = e->s.reg[R_RXCSUM];
	struct nic_headers h;
	unsigned status = 0;

	if (!(rxcsum & (RXCSUM_IPOFLD | RXCSUM_TUOFLD)) || !nic_headers(frame, len, &h) || h.v6)
		return STA_IXSM;
	if (rxcsum & RXCSUM_IPOFLD) {
		status |= STA_IPCS;
		if (!nic_good_ip(frame, &h))
			*errors |= ERR_IPE;
	}
	/* a UDP checksum of 0 is none */
	if ((rxcsum & RXCSUM_TUOFLD) && h.l4 && (h.proto == 6 || ld_be16(frame + h.l4 + 6))) {
		status |= STA_TCPCS;
		if (!nic_good_l4(frame, &h))
			*errors |= ERR_TCPE;
	}
	return status ? status : STA_IXSM;
}

/* What all descriptors of one packet say. */
struct packet {
	const uint8_t *part[2]; /* the frame (addresses, the rest without its tag) */
	size_t part_len[2];
	uint8_t fcs[NIC_FCS];
	size_t total; /* with the check sequence, if that is kept */
	uint16_t csum, tag;
	uint8_t status, errors;
};

/* @len bytes of the packet from @at on to @to. */
static int put_bytes(struct e1000 *e, const struct packet *p, size_t at, gpa_t to, size_t len)
{
	const uint8_t *part[3] = {p->part[0], p->part[1], p->fcs};
	const size_t size[3] = {p->part_len[0], p->part_len[1], NIC_FCS};

	for (unsigned i = 0; i < 3 && len; i++) {
		size_t n;

		if (at >= size[i]) {
			at -= size[i];
			continue;
		}
		n = MIN(len, size[i] - at);
		if (dma_write(&e->dev, to, part[i] + at, n) < 0)
			return -1;
		to += n;
		len -= n;
		at = 0;
	}
	return 0;
}

/* Fill the ring's next descriptor with the packet from @at on. Return: bytes. */
static size_t put_descriptor(struct e1000 *e, const struct packet *p, size_t at)
{
	gpa_t where = e1000_desc_at(e, R_RDBAL, e->s.reg[R_RDH]);
	size_t n = MIN(p->total - at, (size_t)buffer_size(e));
	uint8_t desc[DESC] = {0};
	bool bad = dma_read(&e->dev, where, desc, DESC) < 0;
	uint64_t to = ld_le64(desc);

	if (!bad && to)
		bad = put_bytes(e, p, at, to, n) < 0;
	else
		n = 0; /* SDM, 3.2.4: a null address takes nothing */
	if (bad)
		guest_error(&e->dev, "receive descriptor %u is not in memory", e->s.reg[R_RDH]);
	st_le16(desc + 8, (uint16_t)n);
	st_le16(desc + 10, p->csum);
	desc[12] = STA_DD | (at + n == p->total ? p->status | STA_EOP : 0);
	desc[13] = at + n == p->total ? p->errors : 0;
	st_le16(desc + 14, p->tag);
	/* length first, "done" last */
	if (dma_write(&e->dev, where + 8, desc + 8, 4) < 0 ||
	    dma_write(&e->dev, where + 12, desc + 12, 4) < 0)
		bad = true;
	e->s.reg[R_RDH] = (e->s.reg[R_RDH] + 1) % (e->s.reg[R_RDLEN] / DESC);
	return bad ? p->total - at : n;
}

/* RXT0, at once or after the delays (SDM, 13.4.30, 13.4.32). */
static void tell(struct e1000 *e, size_t len)
{
	uint32_t delay = e->s.reg[R_RDTR] & 0xffff, most = e->s.reg[R_RADV], cause = 0;
	unsigned left = e1000_ring(e, R_RDBAL);
	ns_t now = clock_now(e->dev.sv->clock);

	if (left <= e->s.reg[R_RDLEN] / DESC >> (1 + (e->s.reg[R_RCTL] >> 8 & 3)))
		cause |= ICR_RXDMT0;
	if (len <= (e->s.reg[R_RSRPD] & 0xfff))
		cause |= ICR_SRPD;
	if (!delay) {
		cause |= ICR_RXT0;
	} else {
		if (!e->s.rx_at)
			e->s.rx_first = now;
		e->s.rx_at = now + delay * 1024ull;
		if (most)
			e->s.rx_at = MIN(e->s.rx_at, e->s.rx_first + most * 1024ull);
		e1000_delay(e);
	}
	e1000_cause(e, cause);
}

static void describe(struct e1000 *e, const uint8_t *frame, size_t len, struct packet *p)
{
	uint32_t rctl = e->s.reg[R_RCTL];
	unsigned start = e->s.reg[R_RXCSUM] & RXCSUM_PCSS;
	bool strip = (e->s.reg[R_CTRL] & CTRL_VME) && ld_be16(frame + 12) == e->s.reg[R_VET];

	p->status = (uint8_t)(p->status | check_sums(e, frame, len, &p->errors));
	p->csum =
		start < len ? (uint16_t)~nic_fold(nic_sum(frame + start, len - start, 0)) : 0xffff;
	if (!(rctl & RCTL_SECRC))
		st_le32(p->fcs, nic_fcs(frame, len));
	p->part[0] = frame;
	p->part_len[0] = strip ? 12 : len;
	if (strip) {
		p->status |= STA_VP;
		p->tag = ld_be16(frame + 14);
		p->part[1] = frame + 16;
		p->part_len[1] = len - 16;
	}
	p->total = p->part_len[0] + p->part_len[1] + (rctl & RCTL_SECRC ? 0 : NIC_FCS);
}

void e1000_receive(struct dev *d, const uint8_t *frame, size_t len)
{
	struct e1000 *e = to_e1000(d);
	uint32_t rctl = e->s.reg[R_RCTL];
	struct packet p = {0};
	enum wanted wanted;
	bool tagged;

	if (!(rctl & RCTL_EN) || !pci_bus_master(&e->f))
		return;
	tagged = ld_be16(frame + 12) == e->s.reg[R_VET];
	e1000_count(e, ST_TPR);
	if (len + NIC_FCS > LONG_MAX ||
	    (!(rctl & RCTL_LPE) && len > NIC_FRAME_STD + (tagged ? 4 : 0))) {
		e1000_count(e, ST_ROC);
		return;
	}
	wanted = filter(e, frame);
	if (wanted == NOT_WANTED)
		return;
	if (wanted == INEXACT)
		p.status = STA_PIF;
	describe(e, frame, len, &p);
	if ((uint64_t)e1000_ring(e, R_RDBAL) * buffer_size(e) < p.total) {
		e1000_count(e, ST_MPC);
		e1000_count(e, ST_RNBC);
		e1000_cause(e, ICR_RXO);
		return;
	}
	e1000_count_frame(e, false, frame, len + NIC_FCS);
	for (size_t at = 0; at < p.total && e1000_ring(e, R_RDBAL);)
		at += put_descriptor(e, &p, at);
	tell(e, len + NIC_FCS);
}
