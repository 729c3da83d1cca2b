/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common parts of Ethernet controllers (nic.h): IEEE 802.3 for frames and their check sequence,
 * RFC 791, 793, 768, 8200 and 1071 for headers and checksums, Microchip DS21749 for the EEPROM.
 *
 * Frames from a back end come without check sequence and perhaps shorter than a wire allows; cards
 * see them padded, and make up a check sequence themselves where drivers can look at it. There are
 * no damaged frames.
 */
#include "device/net/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/bits.h"

enum { TYPE_IPV4 = 0x0800, TYPE_VLAN = 0x8100, TYPE_IPV6 = 0x86dd };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

/* ------------------------------------------------------------------ back end */

static bool nic_room(void *ctx)
{
	const struct nic *nic = ctx;

	return !nic->stopped && nic->ops->can_receive(nic->dev);
}

/* @frame, padded. */
static const uint8_t *padded(struct nic *nic, const uint8_t *frame, size_t *len)
{
	if (*len >= NIC_FRAME_MIN)
		return frame;
	memset(nic->pad, 0, NIC_FRAME_MIN);
	memcpy(nic->pad, frame, *len);
	*len = NIC_FRAME_MIN;
	return nic->pad;
}

static void nic_receive(void *ctx, const uint8_t *frame, size_t len)
{
	struct nic *nic = ctx;

	if (nic->stopped || len > NET_FRAME_MAX || !nic->link_up)
		return;
	frame = padded(nic, frame, &len);
	nic->ops->receive(nic->dev, frame, len);
}

static void nic_link(void *ctx, bool up)
{
	struct nic *nic = ctx;

	if (nic->link_up == up)
		return;
	nic->link_up = up;
	nic->ops->link(nic->dev, up);
}

int nic_init(struct nic *nic, struct dev *dev, const struct nic_ops *ops, struct net *net,
	     const uint8_t mac[6], struct error *err)
{
	const struct net_handler h = {
		.can_receive = nic_room, .receive = nic_receive, .link = nic_link, .ctx = nic};

	if (mac[0] & 1)
		return error_set(err, -EINVAL, "'%s': a MAC address of a card can't be multicast",
				 dev->id);
	*nic = (struct nic){.dev = dev, .ops = ops, .net = net, .link_up = net != NULL};
	nic->pad = xtry_calloc(1, NIC_FRAME_MIN);
	if (!nic->pad)
		return error_set(err, -ENOMEM, "no memory for the frames of '%s'", dev->id);
	if (net)
		net_set_handler(net, &h);
	return 0;
}

void nic_done(struct nic *nic)
{
	if (nic->net && nic->pad)
		net_set_handler(nic->net, NULL);
	free(nic->pad);
	nic->pad = NULL;
}

bool nic_send(struct nic *nic, const uint8_t *frame, size_t len)
{
	struct iovec iov;

	if (!nic->net || !nic->link_up)
		return false;
	frame = padded(nic, frame, &len);
	iov = (struct iovec){.iov_base = (void *)(uintptr_t)frame, .iov_len = len};
	if (net_send(nic->net, &iov, 1) < 0)
		return true; /* full: lost on the wire, the back end counts it */
	return true;
}

void nic_loop(struct nic *nic, const uint8_t *frame, size_t len)
{
	frame = padded(nic, frame, &len);
	nic->ops->receive(nic->dev, frame, len);
}

void nic_poll(struct nic *nic)
{
	if (nic->net && !nic->stopped)
		net_poll_input(nic->net);
}

void nic_stop(struct nic *nic)
{
	nic->stopped = true;
}

void nic_go(struct nic *nic)
{
	nic->stopped = false;
	nic_poll(nic);
}

/* ------------------------------------------------------------------ addresses */

uint32_t nic_fcs(const uint8_t *p, size_t len)
{
	return (uint32_t)crc32_z(0, p, len);
}

unsigned nic_hash6(const uint8_t addr[6])
{
	/* The register as it stands, before the complement, and its first bit is our lowest. */
	uint32_t crc = ~nic_fcs(addr, 6);
	unsigned hash = 0;

	for (unsigned i = 0; i < 6; i++)
		hash = hash << 1 | (crc >> i & 1);
	return hash;
}

bool nic_is_broadcast(const uint8_t *addr)
{
	return !memcmp(addr, "\xff\xff\xff\xff\xff\xff", 6);
}

/* ------------------------------------------------------------------ checksums */

uint64_t nic_sum(const uint8_t *p, size_t len, uint64_t sum)
{
	uint64_t a = 0, b = 0;

	/* RFC 1071, 2(B): the sum of words in the other byte order is the sum in the other byte
	 * order; 2(C): of larger words, too. */
	for (; len >= 16; p += 16, len -= 16) {
		uint64_t v = ld_le64(p), w = ld_le64(p + 8);

		a += (v >> 32) + (w >> 32);
		b += (uint32_t)v + (uint64_t)(uint32_t)w;
	}
	for (; len >= 2; p += 2, len -= 2)
		a += ld_le16(p);
	if (len)
		a += *p;
	return sum + __builtin_bswap16(nic_fold(a + b));
}

uint16_t nic_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t nic_pseudo(const uint8_t *ip, uint8_t proto)
{
	if (ip[0] >> 4 == 6)
		return nic_sum(ip + 8, 32, proto);
	return nic_sum(ip + 12, 8, proto);
}

static bool find_v4(const uint8_t *ip, size_t len, struct nic_headers *h)
{
	unsigned ihl = (ip[0] & 15u) * 4, total = ld_be16(ip + 2);

	if (len < 20 || ip[0] >> 4 != 4 || ihl < 20 || total < ihl || total > len)
		return false;
	h->end = h->l3 + total;
	h->frag = ld_be16(ip + 6) & 0x3fff;
	h->proto = ip[9];
	h->l4 = h->frag ? 0 : h->l3 + ihl;
	return true;
}

static bool find_v6(const uint8_t *ip, size_t len, struct nic_headers *h)
{
	unsigned total = 40u + (len >= 40 ? ld_be16(ip + 4) : 0);

	if (len < 40 || ip[0] >> 4 != 6 || total > len)
		return false;
	h->end = h->l3 + total;
	h->v6 = true;
	h->proto = ip[6];
	h->l4 = h->l3 + 40;
	return true;
}

bool nic_headers(const uint8_t *frame, size_t len, struct nic_headers *ret)
{
	struct nic_headers h = {.l3 = 14};
	unsigned type, rest;
	bool ok;

	*ret = h;
	if (len < 38)
		return false;
	type = ld_be16(frame + 12);
	if (type == TYPE_VLAN) {
		type = ld_be16(frame + 16);
		h.l3 = 18;
	}
	ok = type == TYPE_IPV4 ? find_v4(frame + h.l3, len - h.l3, &h)
			       : type == TYPE_IPV6 && find_v6(frame + h.l3, len - h.l3, &h);
	if (!ok)
		return false;
	rest = h.l4 ? h.end - h.l4 : 0;
	if (h.l4 && h.proto == PROTO_TCP && rest >= 20)
		h.l4_size = (uint8_t)((frame[h.l4 + 12] >> 4) * 4);
	else if (h.l4 && h.proto == PROTO_UDP && rest >= 8)
		h.l4_size = 8;
	if (h.l4_size < 8 || h.l4_size > rest || (h.proto == PROTO_TCP && h.l4_size < 20))
		h.l4 = h.l4_size = 0;
	*ret = h;
	return true;
}

bool nic_good_ip(const uint8_t *frame, const struct nic_headers *h)
{
	const uint8_t *ip = frame + h->l3;

	return h->v6 || nic_fold(nic_sum(ip, (ip[0] & 15u) * 4, 0)) == 0xffff;
}

static uint64_t l4_sum(const uint8_t *frame, const struct nic_headers *h)
{
	unsigned len = h->end - h->l4;

	return nic_sum(frame + h->l4, len, nic_pseudo(frame + h->l3, h->proto) + len);
}

bool nic_good_l4(const uint8_t *frame, const struct nic_headers *h)
{
	return nic_fold(l4_sum(frame, h)) == 0xffff;
}

void nic_put_ip(uint8_t *frame, const struct nic_headers *h)
{
	uint8_t *ip = frame + h->l3;

	if (h->v6)
		return;
	st_be16(ip + 10, 0);
	st_be16(ip + 10, (uint16_t)~nic_fold(nic_sum(ip, (ip[0] & 15u) * 4, 0)));
}

void nic_put_l4(uint8_t *frame, const struct nic_headers *h)
{
	uint8_t *at = frame + h->l4 + (h->proto == PROTO_TCP ? 16 : 6);
	uint16_t sum;

	if (!h->l4)
		return;
	st_be16(at, 0);
	sum = (uint16_t)~nic_fold(l4_sum(frame, h));
	/* RFC 768: zero means "no checksum" */
	st_be16(at, sum || h->proto == PROTO_TCP ? sum : 0xffff);
}

void nic_segment(uint8_t *frame, const struct nic_segment *s)
{
	uint8_t *ip = frame + s->l3, *l4 = frame + s->l4;

	if (s->l3 + 20 > s->l4 || s->l4 + (s->tcp ? 20 : 8) > s->len)
		return;
	if (s->v6) {
		st_be16(ip + 4, (uint16_t)(s->len - s->l3 - 40));
	} else {
		st_be16(ip + 2, (uint16_t)(s->len - s->l3));
		st_be16(ip + 4, (uint16_t)(ld_be16(ip + 4) + s->index));
	}
	if (!s->tcp) {
		st_be16(l4 + 4, (uint16_t)(s->len - s->l4));
		return;
	}
	st_be32(l4 + 4, ld_be32(l4 + 4) + s->before);
	if (!s->last)
		l4[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (s->index)
		l4[13] &= (uint8_t)~TCP_CWR;
}

/* ------------------------------------------------------------------ EEPROM */

enum { OP_SPECIAL = 0, OP_WRITE = 1, OP_READ = 2, OP_ERASE = 3 };
enum { ADDR_BITS = 6, OP_LEN = 1 + 2 + ADDR_BITS, WRITE_LEN = OP_LEN + 16 };

const struct state_field nic_eeprom_fields[] = {
	STATE_ARRAY(struct nic_eeprom, word),
	STATE_VAL(struct nic_eeprom, out),
	STATE_VAL(struct nic_eeprom, in),
	STATE_VAL(struct nic_eeprom, n_in, .max = WRITE_LEN),
	STATE_VAL(struct nic_eeprom, n_out, .max = 16),
	STATE_VAL(struct nic_eeprom, addr),
	STATE_VAL(struct nic_eeprom, cs),
	STATE_VAL(struct nic_eeprom, sk),
	STATE_VAL(struct nic_eeprom, out_bit),
	STATE_VAL(struct nic_eeprom, writable),
	STATE_VAL(struct nic_eeprom, busy_bit),
	STATE_PAD(struct nic_eeprom, pad_),
	STATE_END,
};

static unsigned eeprom_op(const struct nic_eeprom *e)
{
	return e->addr >> ADDR_BITS & 3;
}

/* All of an instruction is there but the data. */
static void eeprom_instruction(struct nic_eeprom *e)
{
	unsigned at = e->addr & (NIC_EEPROM_WORDS - 1);

	switch (eeprom_op(e)) {
	case OP_READ:
		e->out = e->word[at];
		e->n_out = 16;
		e->out_bit = false; /* the dummy zero */
		break;
	case OP_ERASE:
		if (e->writable)
			e->word[at] = 0xffff;
		e->busy_bit = true;
		break;
	case OP_SPECIAL:
		if (at >> 4 == 3 || at >> 4 == 0)
			e->writable = at >> 4 == 3; /* EWEN, EWDS */
		else if (at >> 4 == 2 && e->writable)
			memset(e->word, 0xff, sizeof(e->word)); /* ERAL */
		e->busy_bit = at >> 4 == 2;
		break;
	}
}

static void eeprom_data(struct nic_eeprom *e)
{
	unsigned at = e->addr & (NIC_EEPROM_WORDS - 1);

	if (e->writable && eeprom_op(e) == OP_WRITE)
		e->word[at] = e->in;
	else if (e->writable && eeprom_op(e) == OP_SPECIAL && at >> 4 == 1) /* WRAL */
		for (unsigned i = 0; i < NIC_EEPROM_WORDS; i++)
			e->word[i] = e->in;
	e->busy_bit = true;
}

/* A rising edge of the clock while selected. */
static void eeprom_clock(struct nic_eeprom *e, bool di)
{
	if (e->n_in == 0) {
		e->n_in = di; /* the start bit */
		e->busy_bit = false;
		return;
	}
	if (e->n_in >= OP_LEN && eeprom_op(e) == OP_READ) {
		if (!e->n_out) { /* goes on with the next word */
			e->addr = (uint8_t)((e->addr & 0xc0) | ((e->addr + 1) & 0x3f));
			e->out = e->word[e->addr & 0x3f];
			e->n_out = 16;
		}
		e->out_bit = e->out >> 15;
		e->out = (uint16_t)(e->out << 1);
		e->n_out--;
		return;
	}
	if (e->n_in == WRITE_LEN)
		return;
	e->in = (uint16_t)(e->in << 1 | di);
	e->n_in++;
	if (e->n_in == OP_LEN) {
		e->addr = (uint8_t)e->in;
		e->in = 0;
		eeprom_instruction(e);
	} else if (e->n_in == WRITE_LEN) {
		eeprom_data(e);
	}
}

void nic_eeprom_deselect(struct nic_eeprom *e)
{
	e->cs = e->sk = false;
	e->n_in = e->n_out = e->addr = 0;
	e->in = e->out = 0;
	e->out_bit = true; /* not driven: pulled up */
	e->busy_bit = e->writable = false;
}

bool nic_eeprom_pins(struct nic_eeprom *e, bool cs, bool sk, bool di)
{
	if (!cs) {
		e->n_in = e->n_out = 0;
		e->in = 0;
		e->out_bit = true;
	} else if (e->cs && sk && !e->sk) {
		eeprom_clock(e, di);
	}
	e->cs = cs;
	e->sk = sk;
	return e->busy_bit || e->out_bit;
}

void nic_eeprom_mac(struct nic_eeprom *e, unsigned at, const uint8_t mac[6])
{
	for (unsigned i = 0; i < 3; i++)
		e->word[(at + i) % NIC_EEPROM_WORDS] = ld_le16(mac + 2 * i);
}
