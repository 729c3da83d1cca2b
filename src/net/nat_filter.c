/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter in front of libslirp (net/nat_filter.h). Two reasons to have one:
 *
 * - Reach: libslirp connects to whatever address the guest wrote. A packet to 127.0.0.1 must not
 *   reach the host's loopback services; the gateway's address 10.0.2.2 stands for the host only
 *   when the user allowed that. libslirp has a switch for the latter, but it also swallows the
 *   guest's answers to forwarded UDP datagrams; so the rule is here, default deny for everything
 *   addressed to the virtual networks, and the switch is used where no UDP is forwarded.
 * - Attack surface: protocols nobody needs (NC-SI and unknown Ethernet types), frames longer than
 *   the MTU, and TCP urgent data, which user-mode stacks have got wrong, do not arrive at all.
 *
 * Fragments: a fragment that starts inside the TCP header (RFC 1858) is dropped, so the header that
 * is looked at is the header that counts. With restrict_host no fragment goes to the virtual
 * network.
 *
 * Source: RFC 791, RFC 8200, RFC 9293 (3.1), RFC 1624 (checksum update).
 */
#include "net/nat_filter.h"

#include <string.h>

#include "base/bits.h"

enum { ETH_TYPE = 12, ETH_HEADER = 14 };
enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58 };
enum { TCP_FLAGS = 13, TCP_SUM = 16, TCP_URGENT = 18, TCP_HEADER = 20 };
enum { FLAG_SYN = 0x02, FLAG_ACK = 0x10, FLAG_URG = 0x20 };
enum { UDP_HEADER = 8, PORT_DNS = 53, PORT_TFTP = 69, PORT_DHCP = 67, PORT_DHCPV6 = 547 };

#define VIRTUAL_NET  0x0a0002u   /* 10.0.2.0/24, without the last byte */
#define ADDR_GATEWAY 0x0a000202u /* 10.0.2.2 */
#define ADDR_DNS     0x0a000203u /* 10.0.2.3 */
#define ADDR_ALL     0xffffffffu

void nat_filter_init(struct nat_filter *f, const struct nat_config *cfg)
{
	memset(f, 0, sizeof(*f));
	f->restrict_host = cfg->restrict_host;
	f->tftp = cfg->tftp[0];
	for (unsigned i = 0; i < cfg->n_forwards; i++) {
		if (cfg->forwards[i].udp)
			f->udp_ports[f->n_udp++] = cfg->forwards[i].guest_port;
	}
}

/* RFC 1624, eqn. 3: HC' = ~(~HC + ~m + m'), one's complement arithmetic. */
static uint16_t sum_update(uint16_t sum, uint16_t old, uint16_t new)
{
	uint32_t s = (uint32_t)(uint16_t)~sum + (uint16_t)~old + new;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void clear_urgent(uint8_t *tcp, size_t len)
{
	uint16_t sum, word, pointer;

	if (len < TCP_HEADER || !(tcp[TCP_FLAGS] & FLAG_URG))
		return;
	sum = ld_be16(tcp + TCP_SUM);
	word = ld_be16(tcp + TCP_FLAGS - 1);
	pointer = ld_be16(tcp + TCP_URGENT);
	sum = sum_update(sum, word, (uint16_t)(word & ~FLAG_URG));
	sum = sum_update(sum, pointer, 0);
	st_be16(tcp + TCP_SUM, sum);
	st_be16(tcp + TCP_FLAGS - 1, (uint16_t)(word & ~FLAG_URG));
	st_be16(tcp + TCP_URGENT, 0);
}

static bool is_reply(const struct nat_filter *f, uint16_t guest_port, uint16_t host_port)
{
	for (unsigned i = 0; i < NAT_REPLIES; i++) {
		if (f->replies[i].guest_port == guest_port && f->replies[i].host_port == host_port)
			return guest_port != 0;
	}
	return false;
}

/* UDP or TCP from the guest to an address of 10.0.2.0/24 or to everybody, with restrict_host. */
static bool may_reach_virtual(const struct nat_filter *f, uint8_t proto, uint32_t to,
			      const uint8_t *l4, size_t len)
{
	uint16_t from_port, to_port;

	if (proto == PROTO_ICMP)
		return true;
	if (len < UDP_HEADER)
		return false;
	from_port = ld_be16(l4);
	to_port = ld_be16(l4 + 2);
	if (to == ADDR_DNS && to_port == PORT_DNS)
		return proto == PROTO_UDP || proto == PROTO_TCP;
	if (proto == PROTO_UDP) {
		if (to_port == PORT_DHCP && (to == ADDR_GATEWAY || to == ADDR_ALL))
			return true;
		if (f->tftp && to_port == PORT_TFTP && to == ADDR_GATEWAY)
			return true;
		return to == ADDR_GATEWAY && is_reply(f, from_port, to_port);
	}
	/* Anything but the opening of a connection belongs to one that the host opened. */
	return proto == PROTO_TCP && len >= TCP_HEADER &&
	       (l4[TCP_FLAGS] & (FLAG_SYN | FLAG_ACK)) != FLAG_SYN;
}

static bool filter_ipv4(const struct nat_filter *f, uint8_t *ip, size_t len)
{
	unsigned fragment, more;
	size_t header;
	uint32_t to;

	if (len < 20 || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15u) * 4u;
	to = ld_be32(ip + 16);
	if (header < 20 || header > len || to >> 24 == 127 || to >> 24 == 0)
		return false;
	fragment = ld_be16(ip + 6) & 0x1fff;
	more = ld_be16(ip + 6) & 0x2000;
	if (f->restrict_host && (to >> 8 == VIRTUAL_NET || to == ADDR_ALL)) {
		if (fragment || more || !may_reach_virtual(f, ip[9], to, ip + header, len - header))
			return false;
	}
	if (ip[9] == PROTO_TCP) {
		if (fragment == 0)
			clear_urgent(ip + header, len - header);
		else if (fragment * 8u < TCP_HEADER)
			return false;
	}
	return true;
}

/* fec0::/64 is the virtual network; link-local and multicast are on the same link. */
static bool is_virtual6(const uint8_t *to)
{
	static const uint8_t prefix[8] = {0xfe, 0xc0};

	return memcmp(to, prefix, 8) == 0 || to[0] == 0xff ||
	       (to[0] == 0xfe && (to[1] & 0xc0) == 0x80);
}

static bool may_reach_virtual6(uint8_t proto, const uint8_t *to, const uint8_t *l4, size_t len)
{
	static const uint8_t dns[16] = {0xfe, 0xc0, [15] = 3};
	static const uint8_t dhcp[16] = {0xff, 0x02, [13] = 1, [15] = 2};
	uint16_t to_port;

	if (proto == PROTO_ICMPV6)
		return true;
	if (len < UDP_HEADER || (proto != PROTO_UDP && proto != PROTO_TCP))
		return false;
	to_port = ld_be16(l4 + 2);
	return (to_port == PORT_DNS && memcmp(to, dns, 16) == 0) ||
	       (to_port == PORT_DHCPV6 && proto == PROTO_UDP && memcmp(to, dhcp, 16) == 0);
}

static bool filter_ipv6(const struct nat_filter *f, uint8_t *ip, size_t len)
{
	static const uint8_t zero[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *to;

	if (len < 40 || ip[0] >> 4 != 6)
		return false;
	to = ip + 24;
	if (memcmp(to, zero, 15) == 0 && to[15] <= 1) /* :: and ::1 */
		return false;
	if (memcmp(to, mapped, 12) == 0) /* IPv4 in disguise has no place on a wire */
		return false;
	if (f->restrict_host && is_virtual6(to) &&
	    !may_reach_virtual6(ip[6], to, ip + 40, len - 40))
		return false;
	if (ip[6] == PROTO_TCP)
		clear_urgent(ip + 40, len - 40);
	return true;
}

bool nat_filter_out(const struct nat_filter *f, uint8_t *frame, size_t len)
{
	if (len < ETH_HEADER || len > NAT_FRAME_MAX)
		return false;
	switch (ld_be16(frame + ETH_TYPE)) {
	case TYPE_ARP: return true;
	case TYPE_IPV4: return filter_ipv4(f, frame + ETH_HEADER, len - ETH_HEADER);
	case TYPE_IPV6: return filter_ipv6(f, frame + ETH_HEADER, len - ETH_HEADER);
	default: return false;
	}
}

void nat_filter_in(struct nat_filter *f, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HEADER, *udp;
	uint16_t guest_port, host_port;
	size_t header;

	if (f->n_udp == 0 || len < ETH_HEADER + 20 + UDP_HEADER ||
	    ld_be16(frame + ETH_TYPE) != TYPE_IPV4 || ip[9] != PROTO_UDP ||
	    ld_be32(ip + 12) != ADDR_GATEWAY || (ld_be16(ip + 6) & 0x1fff))
		return;
	header = (ip[0] & 15u) * 4u;
	if (header + UDP_HEADER > len - ETH_HEADER)
		return;
	udp = ip + header;
	host_port = ld_be16(udp);
	guest_port = ld_be16(udp + 2);
	for (unsigned i = 0; i < f->n_udp; i++) {
		if (f->udp_ports[i] != guest_port || is_reply(f, guest_port, host_port))
			continue;
		f->replies[f->next_reply].guest_port = guest_port;
		f->replies[f->next_reply].host_port = host_port;
		f->next_reply = (f->next_reply + 1) % NAT_REPLIES;
	}
}
