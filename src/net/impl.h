/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of network back ends share. A kind moves frames between the host and net.c; net.c
 * checks lengths, counts, and asks the device for room.
 */
#ifndef NET_IMPL_H
#define NET_IMPL_H

#include "host/loop.h"
#include "net/net.h"

#define NET_FRAME_MIN 14u /* bytes of an Ethernet header */
#define NET_RX_BATCH  64u /* frames delivered in one turn of the loop */

struct net_kind {
	const char *name; /* "nat"; with takes_arg: "tap" of "tap:IF" */
	bool takes_arg;
	int (*open)(struct net *n, const char *arg, const struct net_options *opt,
		    struct error *err);
	void (*close)(struct net *n); /* copes with a half-opened back end */
	/* One frame of checked length: 0 taken, -EAGAIN no room now, -errno lost. */
	int (*send)(struct net *n, const struct iovec *iov, int niov, size_t len);
	void (*resume)(struct net *n); /* the device has room again; may be NULL */
};

struct net {
	struct loop *loop; /* borrowed */
	const struct net_kind *kind;
	char *desc;
	struct net_handler h;
	bool have_handler;
	bool link_up;
	unsigned mtu; /* 0: 1500 */
	struct net_counters n;
	void *drv; /* the kind's own */
};

extern const struct net_kind net_none_kind, net_nat_kind, net_tap_kind, net_stream_kind;

/** net_room() - may a frame be delivered now? (Without a device: yes, it is dropped.) */
bool net_room(struct net *n);
/** net_deliver() - a frame from the host, of any length: checked here. Loop's thread. */
void net_deliver(struct net *n, const uint8_t *frame, size_t len);
/** net_set_link() - tell the device. Loop's thread, or inside open. */
void net_set_link(struct net *n, bool up);

#endif
