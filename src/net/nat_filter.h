/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's frame must look like before the NAT's IP stack sees it.
 */
#ifndef NET_NAT_FILTER_H
#define NET_NAT_FILTER_H

#include "net/nat.h"

/* Ethernet header, one VLAN tag's worth of slack, the largest MTU. */
#define NAT_FRAME_MAX (NAT_MTU_LARGE + 18)

#define NAT_REPLIES 256 /* peers of forwarded UDP ports that are remembered */

struct nat_filter {
	bool restrict_host;
	bool tftp; /* the gateway serves files */
	unsigned n_udp;
	uint16_t udp_ports[NAT_MAX_FORWARDS]; /* guest ports that UDP is forwarded to */
	/* Who sent a datagram to a forwarded port, oldest overwritten first; 0 = unused. */
	struct {
		uint16_t guest_port, host_port;
	} replies[NAT_REPLIES];
	unsigned next_reply;
};

void nat_filter_init(struct nat_filter *f, const struct nat_config *cfg);

/**
 * nat_filter_out() - check one frame of a guest, and mend it in place
 * @frame, @len: any bytes, any length.
 * Passed: ARP, IPv4 and IPv6 of at most NAT_FRAME_MAX bytes that are not addressed to the host
 * itself: 127.0.0.0/8, 0.0.0.0/8 (Linux connects 0.0.0.0 to itself), ::, ::1, ::ffff:0.0.0.0/96.
 * With restrict_host of what is addressed to the virtual network only ICMP, DHCP, DNS, and answers
 * to forwarded connections and datagrams. Mended: the urgent pointer of a TCP segment is cleared,
 * as many middle boxes do. Return: true to pass it on.
 */
bool nat_filter_out(const struct nat_filter *f, uint8_t *frame, size_t len) MUST_CHECK;

/** nat_filter_in() - see a frame for the guest: remember whom the guest may answer. */
void nat_filter_in(struct nat_filter *f, const uint8_t *frame, size_t len);

#endif
