/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back ends as devices see them: Ethernet frames out, Ethernet frames in. Kinds: user NAT
 * (libslirp in its own sandboxed helper process), tap, stream socket (4-byte big-endian length
 * before each frame: the protocol passt speaks), none. Bus lock held; callbacks on the loop's
 * thread.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <sys/uio.h>

#include "base/err.h"

struct net;
struct loop;

#define NET_FRAME_MAX 65550u /* bytes of one frame incl. Ethernet header (with TSO-less limits) */

struct net_handler {
	bool (*can_receive)(void *ctx);
	void (*receive)(void *ctx, const uint8_t *frame, size_t len);
	void (*link)(void *ctx, bool up); /* helper died or came back; may be NULL */
	void *ctx;
};

struct net_forward {
	bool udp;
	char host_addr[16]; /* default "127.0.0.1" */
	uint16_t host_port, guest_port;
};

struct net_options {
	const char *kind; /* "nat", "none", "tap:IF", "stream:PATH" */
	const struct net_forward *forwards;
	unsigned n_forwards;
	const char *tftp;     /* NAT: directory that is served by TFTP; NULL = none */
	const char *bootfile; /* NAT: what DHCP tells the guest to start from; NULL = nothing */
	bool restrict_host;   /* NAT: no reach to host loopback (default true) */
	bool large_frames;    /* the device can tell its driver an MTU above 1500 (net_mtu()) */
};

/** net_open() - 0, or -errno with text ("port 2222 on 127.0.0.1 is in use by another program"). */
int net_open(struct loop *loop, const struct net_options *opt, struct net **ret_net,
	     struct error *err) MUST_CHECK;
void net_close(struct net *n);
void net_set_handler(struct net *n, const struct net_handler *h); /* copied; NULL disconnects */
/** net_send() - one frame from the guest. 0 taken, -EAGAIN full (dropped by caller's choice). */
int net_send(struct net *n, const struct iovec *iov, int niov) MUST_CHECK;
/** net_poll_input() - the device can receive again. */
void net_poll_input(struct net *n);
/** net_mtu() - the largest IP packet that goes either way where both ends know; 1500 elsewhere. */
unsigned net_mtu(const struct net *n);
const char *net_describe(const struct net *n);

struct net_counters {
	uint64_t tx_frames, tx_bytes, tx_drops, rx_frames, rx_bytes, rx_drops;
};
void net_get_counters(const struct net *n, struct net_counters *ret);

#endif
