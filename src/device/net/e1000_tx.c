/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transmit side of the 82540EM: legacy, context and data descriptors, checksum and VLAN insertion,
 * TCP segmentation (SDM, 3.3 to 3.5).
 *
 * A packet grows in the registers' own buffer, so that what the guest changes afterwards does not
 * matter and a packet of which only some descriptors have come outlives a snapshot. A segment goes
 * out when there is more payload than fits into it, or with the packet's last descriptor.
 */
#include "base/bits.h"
#include "device/net/e1000_internal.h"

enum { DESC = 16, TYPE_CONTEXT = 0, TYPE_DATA = 1 };
/* The command byte, in the place it has in the third dword. */
enum {
	CMD_EOP = 1 << 24,
	CMD_IC = 1 << 26, /* legacy */
	CMD_TSE = 1 << 26,
	CMD_RS = 1 << 27,
	CMD_RPS = 1 << 28,
	CMD_DEXT = 1 << 29,
	CMD_VLE = 1 << 30,
};
#define CMD_IDE 0x80000000u
enum { STA_DD = 1, POPTS_IXSM = 1, POPTS_TXSM = 2, TUCMD_TCP = 1, TUCMD_IP = 2 };
enum {
	BUDGET = 512,        /* descriptors, or frames, in one call */
	SEGMENTS_MAX = 4096, /* of one descriptor */
	REST_NS = 20 * 1000, /* then the rest */
};

const struct state_field e1000_offload_fields[] = {
	STATE_VAL(struct e1000_offload, ipcss), STATE_VAL(struct e1000_offload, ipcso),
	STATE_VAL(struct e1000_offload, tucss), STATE_VAL(struct e1000_offload, tucso),
	STATE_VAL(struct e1000_offload, ipcse), STATE_VAL(struct e1000_offload, tucse),
	STATE_VAL(struct e1000_offload, mss),   STATE_VAL(struct e1000_offload, hdrlen),
	STATE_VAL(struct e1000_offload, flags), STATE_END,
};

static uint8_t *packet(struct e1000 *e)
{
	return e->s.tx_buf + 4;
}

void e1000_tx_reset(struct e1000 *e)
{
	e->s.tx_len = e->s.tx_sent = 0;
	e->s.tx_index = e->s.tx_tag = 0;
	e->s.tx_cso = e->s.tx_css = e->s.tx_popts = 0;
	e->s.tx_open = e->s.tx_tse = e->s.tx_vlan = e->s.tx_sum = e->s.tx_bad = false;
	memset(e->s.tx_buf, 0, sizeof(e->s.tx_buf));
}

/* Sum from @start to @end (0, or past the packet: all of it), put at @at. */
static void put_sum(uint8_t *p, uint32_t len, unsigned start, unsigned at, unsigned end)
{
	uint32_t stop = end && end < len ? end + 1 : len;

	if (start >= stop || at + 2 > len)
		return;
	st_be16(p + at, (uint16_t)~nic_fold(nic_sum(p + start, stop - start, 0)));
}

static void put_sums(struct e1000 *e, uint32_t len)
{
	const struct e1000_offload *o = e->s.tx_tse ? &e->s.tso : &e->s.plain;
	uint8_t *p = packet(e);

	if (e->s.tx_sum)
		put_sum(p, len, e->s.tx_css, e->s.tx_cso, 0);
	if (e->s.tx_popts & POPTS_TXSM) {
		/* SDM, 3.5.8: the driver's pseudo header sum lacks the length */
		if (e->s.tx_tse && o->tucso + 2u <= len && o->tucss <= len)
			st_be16(p + o->tucso,
				nic_fold((uint64_t)ld_be16(p + o->tucso) + len - o->tucss));
		put_sum(p, len, o->tucss, o->tucso, o->tucse);
	}
	if (e->s.tx_popts & POPTS_IXSM)
		put_sum(p, len, o->ipcss, o->ipcso, o->ipcse);
}

/* The frame in the buffer goes out. */
static void send_frame(struct e1000 *e, uint32_t len)
{
	uint8_t *p = packet(e);

	put_sums(e, len);
	if (e->s.tx_vlan && (e->s.reg[R_CTRL] & CTRL_VME) && len >= 12) {
		memmove(p - 4, p, 12);
		st_be16(p + 8, (uint16_t)e->s.reg[R_VET]);
		st_be16(p + 10, e->s.tx_tag);
		p -= 4;
		len += 4;
	}
	if (len < 14)
		return;
	e1000_count_frame(e, true, p, MAX(len, NIC_FRAME_MIN) + NIC_FCS);
	if ((e->s.reg[R_RCTL] & RCTL_LBM) || e1000_phy_loopback(e))
		nic_loop(&e->nic, p, len);
	else if (e1000_link(e))
		nic_send(&e->nic, p, len);
}

/* One segment of a packet that is cut, with headers of its own. */
static void send_segment(struct e1000 *e, bool last)
{
	const struct e1000_offload *o = &e->s.tso;
	uint32_t payload = e->s.tx_len - o->hdrlen;
	uint8_t headers[256];
	struct nic_segment seg = {.l3 = o->ipcss,
				  .l4 = o->tucss,
				  .v6 = !(o->flags & TUCMD_IP),
				  .tcp = o->flags & TUCMD_TCP,
				  .len = e->s.tx_len,
				  .index = e->s.tx_index,
				  .before = e->s.tx_sent,
				  .last = last};

	memcpy(headers, packet(e), o->hdrlen);
	if (seg.l4 <= o->hdrlen)
		nic_segment(packet(e), &seg);
	send_frame(e, e->s.tx_len);
	memcpy(packet(e), headers, o->hdrlen);
	e->s.tx_sent += payload;
	e->s.tx_index++;
	e->s.tx_len = o->hdrlen;
}

static void end_packet(struct e1000 *e)
{
	if (e->s.tx_bad) {
		guest_error(&e->dev, "a packet that cannot be sent");
	} else if (!e->s.tx_tse) {
		send_frame(e, e->s.tx_len);
	} else if (e->s.tx_len > e->s.tso.hdrlen || !e->s.tx_index) {
		if (e->s.tx_len >= e->s.tso.hdrlen)
			send_segment(e, true);
		e1000_count(e, ST_TSCTC);
	}
	e->s.tx_open = e->s.tx_tse = e->s.tx_vlan = e->s.tx_sum = e->s.tx_bad = false;
	e->s.tx_len = e->s.tx_sent = 0;
	e->s.tx_index = 0;
	e->s.tx_popts = 0;
}

static void context(struct e1000 *e, const uint8_t *desc)
{
	uint32_t cmd = ld_le32(desc + 8);
	struct e1000_offload *o = cmd & CMD_TSE ? &e->s.tso : &e->s.plain;

	o->ipcss = desc[0];
	o->ipcso = desc[1];
	o->ipcse = ld_le16(desc + 2);
	o->tucss = desc[4];
	o->tucso = desc[5];
	o->tucse = ld_le16(desc + 6);
	o->flags = cmd >> 24 & (TUCMD_TCP | TUCMD_IP);
	o->hdrlen = desc[13];
	o->mss = ld_le16(desc + 14);
}

/* Data of one descriptor. Return: frames that went out. */
static unsigned append(struct e1000 *e, gpa_t from, uint32_t len)
{
	uint32_t limit = E1000_TX_MAX;
	unsigned frames = 0;

	if (e->s.tx_tse)
		limit = e->s.tso.hdrlen + (uint32_t)e->s.tso.mss;
	if (limit > E1000_TX_MAX || (e->s.tx_tse && (!e->s.tso.mss || !e->s.tso.hdrlen ||
						     len / e->s.tso.mss > SEGMENTS_MAX)))
		e->s.tx_bad = true;
	while (len && !e->s.tx_bad) {
		uint32_t n;

		/* another context may have come in between */
		if (e->s.tx_len >= limit) {
			if (!e->s.tx_tse || e->s.tx_len > limit) {
				e->s.tx_bad = true;
				break;
			}
			send_segment(e, false);
			frames++;
		}
		n = MIN(len, limit - e->s.tx_len);
		if (dma_read(&e->dev, from, packet(e) + e->s.tx_len, n) < 0) {
			e->s.tx_bad = true;
			break;
		}
		e->s.tx_len += n;
		from += n;
		len -= n;
	}
	return frames;
}

/* A descriptor with data. Return: frames that went out. */
static unsigned data(struct e1000 *e, const uint8_t *desc)
{
	uint32_t cmd = ld_le32(desc + 8);
	bool extended = cmd & CMD_DEXT;
	unsigned frames;

	if (!e->s.tx_open) {
		e->s.tx_open = true;
		e->s.tx_tse = extended && (cmd & CMD_TSE);
		e->s.tx_popts = extended ? desc[13] & (POPTS_IXSM | POPTS_TXSM) : 0;
	}
	if (cmd & CMD_VLE) {
		e->s.tx_vlan = true;
		e->s.tx_tag = ld_le16(desc + 14);
	}
	if (!extended && (cmd & CMD_IC)) {
		e->s.tx_sum = true;
		e->s.tx_cso = desc[10];
		e->s.tx_css = desc[13];
	}
	frames = append(e, ld_le64(desc), cmd & (extended ? 0xfffff : 0xffff));
	if (cmd & CMD_EOP) {
		end_packet(e);
		frames++;
	}
	return frames;
}

/* One descriptor. Return: frames that went out; *cause: what to tell. */
static unsigned descriptor(struct e1000 *e, uint32_t *cause)
{
	gpa_t where = e1000_desc_at(e, R_TDBAL, e->s.reg[R_TDH]);
	uint32_t tidv = e->s.reg[R_TIDV] & 0xffff, cmd;
	uint8_t desc[DESC] = {0}, status;
	unsigned frames = 0;

	if (dma_read(&e->dev, where, desc, DESC) < 0)
		guest_error(&e->dev, "transmit descriptor %u is not in memory", e->s.reg[R_TDH]);
	cmd = ld_le32(desc + 8);
	if ((cmd & CMD_DEXT) && (cmd >> 20 & 15) == TYPE_CONTEXT)
		context(e, desc);
	else if (!(cmd & CMD_DEXT) || (cmd >> 20 & 15) == TYPE_DATA)
		frames = data(e, desc);
	e->s.reg[R_TDH] = (e->s.reg[R_TDH] + 1) % (e->s.reg[R_TDLEN] / DESC);
	if (!(cmd & (CMD_RS | CMD_RPS)))
		return frames;
	status = desc[12] | STA_DD;
	if (dma_write(&e->dev, where + 12, &status, 1) < 0)
		return frames;
	if ((cmd & CMD_IDE) && tidv) {
		ns_t at = clock_now(e->dev.sv->clock) + tidv * 1024ull;

		/* TADV bounds what TIDV, started anew each time, puts off: the first is as good */
		if (!e->s.tx_at)
			e->s.tx_at = at;
	} else {
		*cause |= ICR_TXDW;
	}
	return frames;
}

void e1000_transmit(struct e1000 *e)
{
	unsigned descs = 0, frames = 0, left, low;
	uint32_t cause = 0;

	if (!(e->s.reg[R_TCTL] & TCTL_EN) || !pci_bus_master(&e->f) || e->nic.stopped)
		return;
	while ((left = e1000_ring(e, R_TDBAL))) {
		if (descs++ == BUDGET || frames > BUDGET) {
			vtimer_arm(&e->tx_timer, clock_now(e->dev.sv->clock) + REST_NS);
			break;
		}
		frames += descriptor(e, &cause);
	}
	if (!left && descs)
		cause |= ICR_TXQE;
	low = e->s.reg[R_TXDCTL] >> 25 << 3; /* LWTHRESH */
	if (descs && low && left < low)
		cause |= ICR_TXD_LOW;
	e1000_delay(e);
	if (cause)
		e1000_cause(e, cause);
}
