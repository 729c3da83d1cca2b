/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio network device. Virtio 1.2, 5.1.
 *
 * Wiring (machine/): set `net` (NULL = cable unplugged) and `mac` before dev_realize().
 */
#ifndef DEVICE_VIRTIO_VIRTIO_NET_H
#define DEVICE_VIRTIO_VIRTIO_NET_H

#include "device/virtio/virtio.h"
#include "net/net.h"

#define VIRTIO_NET_MACS 64u /* addresses in the receive filter */

struct virtio_net_regs {
	struct virtio_regs v;
	struct virtq_regs q[3]; /* 0 receive, 1 transmit, 2 control */
	uint8_t mac[6];
	bool promisc, allmulti;
	bool uni_overflow, multi_overflow; /* filter list was too long: let all of them in */
	uint16_t n_uni, n_macs;            /* filter: n_uni unicast, then multicast addresses */
	uint8_t pad_[2];
	uint8_t macs[VIRTIO_NET_MACS][6];
};

struct virtio_net {
	struct virtio_dev vd;
	struct virtio_net_regs s;
	/* properties, set before realize */
	struct net *net; /* borrowed */
	uint8_t mac[6];
	/* private */
	bool link_up;
	uint8_t *tx_buf; /* [NET_FRAME_MAX], owned */
};

extern const struct dev_class virtio_net_class;

#endif
